// want: cannot refer to unexported field id in struct literal
package main

import "deputy/approvals"

// A permit is made by the ledger alone.
func main() {
	_ = approvals.Permit{id: "apr_forged"}
}

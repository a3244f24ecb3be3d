// want: cannot refer to unexported field p in struct literal
package main

import "deputy/authz"

// A caller comes through a door.
func main() {
	_ = authz.Caller{p: authz.Principal{User: "anna", Agent: "claude"}}
}

// want: lease undefined
package main

import (
	"context"

	"deputy/tools"
)

// A handler reads through its account; the lease that can send is closed.
func main() {
	var account *tools.Account
	_, _ = account.lease.Read(context.Background(), "/user")
}

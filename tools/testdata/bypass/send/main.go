// want: not enough arguments in call to lease.Send
package main

import (
	"context"

	"deputy/approvals"
	"deputy/vault"
)

// Without a permit there is no sending.
func main() {
	var lease *vault.Lease
	_, _ = lease.Send(context.Background(), approvals.Action{})
}

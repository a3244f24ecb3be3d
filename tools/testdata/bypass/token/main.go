// want: lease.route undefined
package main

import "deputy/vault"

// No exported name of vault leads to a token.
func main() {
	var lease *vault.Lease
	_ = lease.route.ClientSecret
}

// Package vault keeps the grants a person gave deputy at Google, Slack, GitHub
// and in-house providers, and performs requests with them. It never hands out
// a token.
//
//	connect.go, device.go, page.go   a person gives a grant; whoever finishes is who started
//	connection.go, keep.go           accounts, their grants, and which tokens are current
//	refresh.go, claim.go             one refresh at a time, among all processes, and none lost
//	narrow.go, trade.go              less than the grant; another API's token for it
//	lease.go, bearer.go              a request, with the narrowest token there is
//	limits.go, etag.go               asking no more often than a provider wants
//	freeze.go, end.go                stopping, disconnecting, and what that ended
//	share.go, exchange.go            the one place where a token leaves, for back ends
//	internal/oauth                   the protocols
//
//	Lease     caller + provider + scopes ──▶ *Lease: can Read, and Send
//	Read      only what the provider declares readable
//	Send      only against an approvals.Permit for exactly these bytes
//
// That the vault imports approvals surprises once: the vault pays out only
// against a permit. So a mistake in a tool or in the guard can refuse a write
// too many; it cannot send one too many.
//
// A token exists in three places: sealed in the store, in memory on its way
// from there, and in the pinned round tripper, which adds it to requests for
// one host and takes it out of everything the rest of the program can see. No
// exported name of this package returns one; Exchange writes one into an HTTP
// answer and nowhere else.
package vault

// Package vault keeps the grants a person gave deputy at Google, Slack and
// GitHub, and performs requests with them. It never hands out a token.
//
//	Connect   authorization code, PKCE S256, state bound to user and browser
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
// exported name of this package returns one.
package vault

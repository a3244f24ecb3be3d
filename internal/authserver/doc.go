// Package authserver is deputy's own OAuth 2.1 authorization server: what the
// MCP authorization profile needs, and nothing else.
//
//	request.go, authorize.go   a client asks, in the front channel or pushed (pushed.go)
//	consent.go, page.go        the person says yes to this client, once for these scopes
//	code.go, token.go          the client gets tokens for it: one file per grant,
//	refresh.go, device.go,     all behind one token endpoint
//	assertion.go
//	grant.go, live.go          what a person gave a client; it ends at once for all its tokens
//	access.go                  access tokens, made and verified
//	listing.go, revoke.go      what was given, and taking it back
//	clients/, signing/         who asks; keys
//
//	client ──▶ /oauth/authorize ──▶ sign in ──▶ consent ──▶ code ──▶ /oauth/token ──▶ grant
//	                                                                 access token (10 min, names the grant)
//	                                                                 refresh token (rotates)
//
// A grant is the centre: one row per authorization. Every token belongs to one,
// Verify asks whether it still lives, and whoever ends it ends them all. Each
// change of state is one transaction with its line in the log.
//
// What comes from a client is never repeated to a person as fact: a name is
// what the client calls itself, and only a host that served its document, or
// the operator's entry, is shown as known.
package authserver

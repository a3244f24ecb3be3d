// Package oauth speaks to authorization servers. It sends one request and
// reads one answer; it keeps nothing and decides nothing.
//
//	Server     an authorization server as data, and deputy as its client
//	Authorize  where to send the browser: RFC 6749 §4.1, PKCE, PAR where offered
//	Ask        one request to the token endpoint, whatever the grant
//	Device     RFC 8628, for a terminal without a browser
//	Exchange   RFC 8693, and the ID-JAG built on it
//	Revoke     RFC 7009, and what Slack and GitHub have instead
//	Discover   RFC 8414 and OpenID Connect Discovery
//
// Everything that came from a server is bounded before it is read, and none of
// it appears in an error: token endpoints are known to repeat what they were
// sent.
package oauth

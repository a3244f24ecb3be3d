// Package access is deputy as a protected resource (RFC 9728): it tells clients
// where tokens for it come from, reads the tokens of an authorization server
// that is somebody else's, and says what a call lacks.
//
//	Resource        metadata and challenges         (RFC 9728, 6750 §3, 9470)
//	JWT             access tokens as JWT            (RFC 9068), keys from the issuer
//	Introspection   opaque ones, asked about        (RFC 7662)
//
// Tokens of deputy's own authorization server are read where they are made, in
// internal/authserver. No token is passed on: what opens this door is for this
// door alone.
package access

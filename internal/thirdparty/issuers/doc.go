// Package issuers proves deputy's vault against two authorization servers that
// other people wrote and that disagree: zitadel/oidc, in this process, which
// forgives a refresh token that comes twice, and panva's oidc-provider, under
// Node, which ends the whole grant. Both are used as deputy uses any provider
// of `type: oidc`: by their metadata alone.
//
// It is a module of its own so that nobody who builds deputy builds them.
package issuers

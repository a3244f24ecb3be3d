// Package clients knows who may ask for tokens, and what is known of them:
//
//	operator    registered in the configuration
//	published   the client_id is the https URL of a document about the client
//	            (draft-ietf-oauth-client-id-metadata-document)
//	dynamic     registered itself (RFC 7591), where the operator lets them
//
// Names are what clients say of themselves. What is verified is little: the host
// that served a document, and that the operator wrote an entry.
package clients

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"slices"
	"strings"
)

// Grant types (RFC 6749 §4, RFC 8628 §3.4, RFC 7523 §2.1).
const (
	CodeGrant      = "authorization_code"
	RefreshGrant   = "refresh_token"
	DeviceGrant    = "urn:ietf:params:oauth:grant-type:device_code"
	AssertionGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// Kind is how a client came to be known.
type Kind string

// The kinds.
const (
	Operator  Kind = "operator"
	Published Kind = "published"
	Dynamic   Kind = "dynamic"
)

// ErrUnknown says that there is no such client, or none that is acceptable.
var ErrUnknown = errors.New("clients: no such client")

// Client is one program that may ask for tokens.
type Client struct {
	ID        string   // client_id
	Name      string   // what it calls itself; for an operator's, what the operator calls it
	Redirects []string // where codes may go, see Allows
	Grants    []string // grant types; empty in a configuration: code and refresh
	Secret    Secret   // none: a public client

	// Introspects lets the client ask about any token (RFC 7662). It needs a
	// secret.
	Introspects bool

	Kind Kind   // set by the Directory
	Host string // for Published: the host that serves the document
}

// Public reports whether nothing proves that a request is the client's.
func (c Client) Public() bool { return c.Secret.sum == nil }

// May reports whether the client may use a grant type.
func (c Client) May(grant string) bool { return slices.Contains(c.Grants, grant) }

// Secret is a client's secret, of which only a hash is kept. The zero Secret is
// none, and matches nothing.
type Secret struct{ sum *[sha256.Size]byte }

// NewSecret takes a secret from the configuration.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	sum := sha256.Sum256([]byte(text))
	return Secret{&sum}
}

// Matches compares in constant time.
func (s Secret) Matches(text string) bool {
	if s.sum == nil || text == "" {
		return false
	}
	sum := sha256.Sum256([]byte(text))
	return subtle.ConstantTimeCompare(sum[:], s.sum[:]) == 1
}

// check refuses a configured client that would be a hole.
func (c Client) check() error {
	switch {
	case c.ID == "" || len(c.ID) > maxID || strings.ContainsFunc(c.ID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("a client's id is missing, too long or not plain ASCII")
	case strings.HasPrefix(c.ID, "https://") || strings.HasPrefix(c.ID, dynamicPrefix):
		return errors.New("client " + c.ID + ": ids with https:// or " + dynamicPrefix + " belong to clients that are not configured")
	case c.Public() && (c.Introspects || c.May(AssertionGrant)):
		return errors.New("client " + c.ID + ": introspection and assertions take a secret")
	case c.May(CodeGrant) && len(c.Redirects) == 0:
		return errors.New("client " + c.ID + ": has no redirect URI")
	}
	for _, g := range c.Grants {
		if !slices.Contains([]string{CodeGrant, RefreshGrant, DeviceGrant, AssertionGrant}, g) {
			return errors.New("client " + c.ID + ": there is no grant type " + g)
		}
	}
	for _, u := range c.Redirects {
		if !validRedirect(u, true) {
			return errors.New("client " + c.ID + ": redirect URI " + u + " is not https, loopback or a scheme of its own")
		}
	}
	return nil
}

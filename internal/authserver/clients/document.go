package clients

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"deputy/authz"
)

// document is what is read of client metadata (RFC 7591 §2), from an address or
// in a registration. Unknown members are allowed there, and ignored. The logo
// is one of them: it is neither fetched nor shown.
type document struct {
	ID        string          `json:"client_id"`
	Name      string          `json:"client_name"`
	Redirects []string        `json:"redirect_uris"`
	Grants    []string        `json:"grant_types"`
	Responses []string        `json:"response_types"`
	Auth      string          `json:"token_endpoint_auth_method"`
	Secret    json.RawMessage `json:"client_secret"`
}

// ErrMetadata says that client metadata are not acceptable.
var ErrMetadata = errors.New("clients: the metadata are not acceptable")

// decode reads and judges metadata.
func decode(body []byte) (c Client, d document, err error) {
	if !utf8.Valid(body) || json.Unmarshal(body, &d) != nil {
		return c, d, ErrMetadata
	}
	switch {
	case len(d.Redirects) == 0 && d.wants(CodeGrant), len(d.Redirects) > maxRedirects,
		d.Auth != "" && d.Auth != "none", len(d.Secret) > 0,
		len(d.Responses) > 0 && !slices.Contains(d.Responses, "code"):
		return c, d, ErrMetadata
	}
	for _, u := range d.Redirects {
		if !validRedirect(u, false) {
			return c, d, ErrMetadata
		}
	}
	c = Client{ID: d.ID, Name: plain(d.Name), Redirects: d.Redirects}
	for _, g := range []string{CodeGrant, RefreshGrant, DeviceGrant} {
		if d.wants(g) {
			c.Grants = append(c.Grants, g)
		}
	}
	return c, d, nil
}

// wants: metadata that name no grant types mean the code alone (RFC 7591 §2).
func (d document) wants(grant string) bool {
	return slices.Contains(d.Grants, grant) || len(d.Grants) == 0 && grant == CodeGrant
}

// plain makes a self-asserted name fit to be shown: one line, bounded, without
// what changes how the rest is read.
func plain(name string) string {
	var b strings.Builder
	n := 0
	for _, r := range name {
		if authz.Invisible(r) || r == '\n' || r == '\t' {
			continue
		}
		if n++; n > maxName {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// published reads the document at address, which has to be about address.
func published(address string, body []byte) (Client, error) {
	c, d, err := decode(body)
	if err != nil {
		return Client{}, err
	}
	u, err := url.Parse(address)
	if err != nil || d.ID != address { // byte for byte: the id is the address
		return Client{}, ErrMetadata
	}
	c.Kind, c.Host = Published, u.Hostname()
	return c, nil
}

// isAddress reports whether a client_id is an address to look at: https, with a
// path, and nothing that could be read in two ways (§3 of the draft).
func isAddress(id string) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxID || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Contains(id, "#") ||
		u.RawQuery != "" || u.ForceQuery || u.Path == "" || u.Path == "/" || u.String() != id || strings.ToLower(u.Host) != u.Host {
		return false
	}
	for part := range strings.SplitSeq(u.Path, "/") {
		if part == "." || part == ".." {
			return false
		}
	}
	return !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

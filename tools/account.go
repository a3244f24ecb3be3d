package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"

	"deputy/authz"
	"deputy/vault"
)

// Account is all a handler has of the world: it can read what the provider
// declares readable, as one connected account.
type Account struct {
	lease *vault.Lease
	reads atomic.Int32 // Get may be called from several goroutines
}

// Name is the account's name at the provider: a mail address, a login.
func (a *Account) Name() string { return a.lease.Account().Name }

// Get reads a path below the provider's API and decodes the JSON answer. Build
// the path with Path, so that no argument can leave its place.
func (a *Account) Get(ctx context.Context, path string, v any) error {
	a.reads.Add(1)
	body, err := a.lease.Read(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return &vault.Fault{Provider: a.lease.Account().Provider, Kind: vault.Upstream, Cause: "the answer does not have the expected form"}
	}
	return nil
}

// Path builds a path from a pattern with {} for each part, escaped, and an
// optional query: Path("/repos/{}/{}/issues", owner, repo).With("state", "open").
func Path(pattern string, parts ...string) *PathBuilder {
	p := &PathBuilder{}
	for i, piece := range strings.Split(pattern, "{}") {
		if i > 0 {
			if i > len(parts) {
				panic(fmt.Sprintf("tools: path %q lacks a part", pattern))
			}
			p.path.WriteString(escapeSegment(parts[i-1]))
		}
		p.path.WriteString(piece)
	}
	return p
}

// PathBuilder is a path under construction.
type PathBuilder struct {
	path  strings.Builder
	query strings.Builder
}

// With adds a query parameter; an empty value adds nothing.
func (p *PathBuilder) With(name, value string) *PathBuilder {
	if value != "" {
		if p.query.Len() > 0 {
			p.query.WriteByte('&')
		}
		p.query.WriteString(escapeQuery(name) + "=" + escapeQuery(value))
	}
	return p
}

// Tail adds a relative path whose slashes are kept; each segment is escaped.
func (p *PathBuilder) Tail(rest string) *PathBuilder {
	for _, s := range strings.Split(strings.Trim(rest, "/"), "/") {
		if s != "" {
			p.path.WriteString("/" + escapeSegment(s))
		}
	}
	return p
}

func (p *PathBuilder) String() string {
	if p.query.Len() == 0 {
		return p.path.String()
	}
	return p.path.String() + "?" + p.query.String()
}

// AccountObject is the object of a connected account.
func AccountObject(id string) authz.Object { return authz.NewPathObject("account", id) }

package vault

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
	"deputy/vault/internal/oauth"
)

// Report is the blast radius of a connection: what ended, and what it had been
// used for.
type Report struct {
	Account
	Revoked bool   `json:"revoked"` // the provider confirmed it
	Note    string `json:"note"`    // what else that ended, or what is left to do

	Grants   []EndedGrant   `json:"grants"`
	Calls    map[string]int `json:"calls"` // by tool, since the account was first connected
	LastCall time.Time      `json:"last_call,omitzero"`
}

// EndedGrant is one consent that ended.
type EndedGrant struct {
	Scopes  []string  `json:"scopes"`
	Given   time.Time `json:"given"`
	Tokens  uint64    `json:"tokens"` // access tokens it had given so far
	Revoked bool      `json:"revoked"`
}

// Disconnect revokes the grants at the provider, then forgets them. If the
// provider cannot be reached, they are forgotten all the same and the report
// says so: a person who wants out gets out.
func (v *Vault) Disconnect(ctx context.Context, c authz.Caller, account string) (Report, error) {
	if c.IsZero() {
		return Report{}, authz.ErrNobody
	}
	r, err := v.load(c.User(), account)
	if err != nil {
		return Report{}, err
	}
	report := Report{}
	if report.Calls, report.LastCall, err = v.uses(r); err != nil {
		return Report{}, err
	}
	done := map[string]revoked{}
	for last := range disconnectTries {
		v.revoke(ctx, r, done, &report)
		later, err := v.forget(r, report.Revoked, last == disconnectTries-1)
		if err != nil {
			return Report{}, err
		}
		if later == nil {
			break
		}
		r = *later
	}
	v.etags.forget(r.User, r.ID)
	return report, v.c.Ledger.Revoke(ctx, "the account was disconnected", func(i approvals.Item) bool {
		return i.User == r.User && i.Account == r.ID
	})
}

// disconnectTries bounds how often a grant is revoked anew because a refresh,
// or a login, came in between.
const disconnectTries = 3

// revoked is the generation of a grant that was revoked, and whether the
// provider confirmed it.
type revoked struct {
	gen uint64
	ok  bool
}

// revoke ends what done does not have yet at the provider, and reports on all.
func (v *Vault) revoke(ctx context.Context, r connection, done map[string]revoked, report *Report) {
	p, allEnded := v.routes[r.Provider], false
	report.Account, report.Revoked, report.Grants = r.Account, true, nil
	for _, g := range r.Grants {
		was, ok := done[g.ID]
		if !ok || was.gen != g.Gen {
			was = revoked{g.Gen, allEnded}
			if now, err := v.open(r.User, r.ID, g.ID); err == nil && !allEnded {
				was = revoked{now.grant.Gen, v.end(ctx, r.Provider, now.tokens, oauth.WholeGrant)}
				allEnded = was.ok && p != nil && p.OAuth.RevokesAll
			}
			done[g.ID] = was
		}
		report.Revoked = report.Revoked && was.ok
		report.Grants = append(report.Grants, EndedGrant{Scopes: g.Scopes, Given: g.Given, Tokens: g.Gen, Revoked: was.ok})
	}
	switch {
	case p == nil:
		report.Note = "the provider is no longer configured: revoke the grant in its own settings"
	case report.Revoked:
		report.Note = p.RevokeNote
	default:
		report.Note = "the provider did not confirm the revocation: revoke it in " + p.Title + "'s own settings"
	}
}

// forget removes an account that was revoked as r. If a refresh has left later
// tokens since, which are then still good, it removes nothing and returns the
// account as it is, unless this is the last time.
func (v *Vault) forget(r connection, confirmed, last bool) (later *connection, err error) {
	err = v.c.Store.Update(func(tx store.Tx) error {
		later = nil
		now, err := v.rows.Get(tx, r.User, r.ID)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		same := slices.EqualFunc(now.Grants, r.Grants, func(a, b grant) bool { return a.ID == b.ID && a.Gen == b.Gen })
		if !same && !last {
			later = &now
			return nil
		}
		for _, g := range now.Grants {
			if err := v.tokens.Delete(tx, tokenKey(&now, &g)...); err != nil {
				return err
			}
			v.narrowed.forget(g.ID)
		}
		if err := v.rows.Delete(tx, r.User, r.ID); err != nil {
			return err
		}
		outcome := "revoked"
		if !same || !confirmed {
			outcome = "forgotten"
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "disconnect", User: r.User, Account: r.ID, Outcome: outcome})
	})
	return later, err
}

// end revokes tokens at the provider, as far as asked and no further.
func (v *Vault) end(ctx context.Context, provider string, t tokens, e oauth.Extent) bool {
	r := v.routes[provider]
	if r == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
	defer cancel()
	server, err := r.server(ctx)
	if err != nil || !server.CanRevoke(e) {
		return false
	}
	return oauth.Revoke(ctx, r.client, server, t.access, t.refresh, e) == nil
}

// uses counts the calls that were answered with an account, from the log.
func (v *Vault) uses(r connection) (calls map[string]int, last time.Time, err error) {
	calls = map[string]int{}
	err = v.c.Store.View(func(tx store.Tx) error {
		return audit.Each(tx, func(data json.RawMessage) error {
			var line audit.Line
			if err := json.Unmarshal(data, &line); err != nil {
				return err
			}
			if line.Event == "answer" && line.User == r.User && line.Account == r.ID && !line.Time.Before(r.Since) {
				calls[line.Tool]++
				last = line.Time
			}
			return nil
		})
	})
	return calls, last, err
}

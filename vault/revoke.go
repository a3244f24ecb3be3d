package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// Report tells what a disconnection ended.
type Report struct {
	Account
	Revoked bool   `json:"revoked"` // the provider confirmed it
	Note    string `json:"note"`    // what else that ended, or what is left to do
}

// Disconnect revokes the grant at the provider, then forgets it. If the
// provider cannot be reached, the grant is forgotten all the same and the
// report says so: a person who wants out gets out.
func (v *Vault) Disconnect(ctx context.Context, c authz.Caller, account string) (Report, error) {
	if c.IsZero() {
		return Report{}, authz.ErrNobody
	}
	r, err := v.load(c.User(), account)
	if err != nil {
		return Report{}, err
	}
	p := v.routes[r.Provider]
	report := Report{Account: r.Account}
	if p == nil {
		report.Note = "the provider is no longer configured: revoke the grant in its own settings"
	} else if err := v.revoke(ctx, p, r); err != nil {
		report.Note = "the provider did not confirm the revocation: revoke it in " + p.Title + "'s own settings"
	} else {
		report.Revoked, report.Note = true, p.RevokeNote
	}
	err = v.c.Store.Update(func(tx store.Tx) error {
		if err := v.rows.Delete(tx, r.User, r.ID); err != nil {
			return err
		}
		outcome := "revoked"
		if !report.Revoked {
			outcome = "forgotten"
		}
		return v.c.Audit.Append(tx, audit.Line{Event: "disconnect", User: r.User, Account: r.ID, Outcome: outcome})
	})
	if err != nil {
		return Report{}, err
	}
	return report, v.c.Ledger.Revoke(ctx, "the account was disconnected", func(i approvals.Item) bool {
		return i.User == r.User && i.Account == r.ID
	})
}

func (v *Vault) revoke(ctx context.Context, p *route, r row) error {
	var req *http.Request
	var err error
	post := func(method, u, contentType string, body []byte) {
		if req, err = http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body)); err == nil {
			req.Header.Set("Content-Type", contentType)
		}
	}
	client := v.client
	switch p.Revocation {
	case RevokeForm:
		t := r.Refresh // ends both, where there is one
		if t == "" {
			t = r.Access
		}
		post(http.MethodPost, p.RevokeURL, "application/x-www-form-urlencoded", []byte(url.Values{"token": {t}}.Encode()))
	case RevokeBearer:
		u, perr := url.Parse(p.RevokeURL)
		if perr != nil {
			return perr
		}
		client = &http.Client{Timeout: v.client.Timeout, CheckRedirect: noRedirect, Transport: pinned{base: u, token: token{r.Access}, next: v.c.Transport}}
		post(http.MethodPost, p.RevokeURL, "application/x-www-form-urlencoded", nil)
	case RevokeGitHub:
		body, _ := json.Marshal(map[string]string{"access_token": r.Access})
		post(http.MethodDelete, strings.TrimSuffix(p.RevokeURL, "/")+"/"+url.PathEscape(p.ClientID)+"/grant", "application/json", body)
		if err == nil {
			req.SetBasicAuth(p.ClientID, p.ClientSecret.v)
		}
	}
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return errors.New("vault: the revocation endpoint did not answer")
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil || resp.StatusCode/100 != 2 {
		return errors.New("vault: the revocation was refused")
	}
	var said struct {
		OK *bool `json:"ok"`
	}
	if json.Unmarshal(answer, &said); said.OK != nil && !*said.OK {
		return errors.New("vault: the revocation was refused")
	}
	return nil
}

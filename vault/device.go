package vault

import (
	"context"
	"errors"
	"net/url"
	"time"

	"deputy/authz"
	"deputy/vault/internal/oauth"
)

// Device is a connection by code (RFC 8628): the person types it on whatever
// screen has a browser. The code is shown on the terminal that began, and to
// nobody else; RFC 8628 §5.4 tells why it must not come in a message.
type Device struct {
	UserCode string    `json:"user_code"`
	URL      string    `json:"verification_uri"`
	Complete string    `json:"verification_uri_complete,omitempty"`
	Expires  time.Time `json:"expires_at"`

	vault  *Vault
	caller authz.Caller
	wish   Wish
	start  oauth.Device
}

// BeginDevice starts a device flow.
func (v *Vault) BeginDevice(ctx context.Context, c authz.Caller, w Wish) (*Device, error) {
	p, err := v.ready(c, &w)
	if err != nil {
		return nil, err
	}
	server, err := p.server(ctx)
	if err != nil {
		return nil, err
	}
	if server.DeviceURL == "" {
		return nil, ErrNoDevice
	}
	scopes := w.Scopes
	if p.App {
		scopes = nil
	}
	d, err := oauth.StartDevice(ctx, p.client, server, scopes)
	if err != nil {
		return nil, p.fault(err)
	}
	return &Device{d.UserCode, d.URL, d.Complete, d.Expires, v, c, w, d}, nil
}

// Finish waits until the person has decided.
func (d *Device) Finish(ctx context.Context) (Connected, error) {
	p := d.vault.routes[d.wish.Provider]
	server, err := p.server(ctx)
	if err != nil {
		return Connected{}, err
	}
	form := url.Values{"grant_type": {oauth.DeviceGrant}, "device_code": {oauth.Reveal(d.start.Code)}}
	if server.Resource != "" {
		form.Set("resource", server.Resource) // asked again, else the token may be for another API (RFC 8707 §2.2)
	}
	for wait := d.start.Interval; ; {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return Connected{}, ctx.Err()
		}
		if time.Now().After(d.start.Expires) {
			return Connected{}, ErrState
		}
		t, err := oauth.Ask(ctx, p.client, server, form)
		var no *oauth.Refusal
		var passing *oauth.Unavailable
		switch {
		case err == nil:
			return d.vault.connected(ctx, d.caller, p, server, d.wish, t)
		case errors.As(err, &no) && no.Verdict == oauth.NotYet:
		case errors.As(err, &no) && no.Verdict == oauth.SlowDown, errors.As(err, &passing):
			wait += 5 * time.Second // RFC 8628 §3.5
		case errors.As(err, &no) && no.Verdict == oauth.GrantEnded:
			return Connected{}, ErrRefused
		default:
			return Connected{}, p.fault(err)
		}
	}
}

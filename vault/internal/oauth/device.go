package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DeviceGrant is the grant type of RFC 8628.
const DeviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// Device is the answer to a device authorization request (RFC 8628 §3.2).
type Device struct {
	Code     Secret
	UserCode string
	URL      string // where the person types the user code
	Complete string // the same with the code filled in, or ""
	Interval time.Duration
	Expires  time.Time
}

// StartDevice begins a device flow.
func StartDevice(ctx context.Context, c *http.Client, s *Server, scopes []string) (Device, error) {
	form := url.Values{}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, s.scopeSep()))
	}
	if s.Resource != "" {
		form.Set("resource", s.Resource)
	}
	status, body, err := post(ctx, c, s, s.DeviceURL, form)
	if err != nil {
		return Device{}, err
	}
	var w struct {
		Error    string `json:"error"`
		Code     string `json:"device_code"`
		UserCode string `json:"user_code"`
		URI      string `json:"verification_uri"`
		Complete string `json:"verification_uri_complete"`
		Expires  int64  `json:"expires_in"`
		Interval int64  `json:"interval"`
	}
	if err := json.Unmarshal(body, &w); err != nil {
		return Device{}, &Unavailable{Status: status, Cause: "the device answer is not JSON"}
	}
	if w.Error != "" {
		return Device{}, s.refusal(status, w.Error)
	}
	// A person is told to open this address: it has to be a safe one.
	if w.Code == "" || w.UserCode == "" || SafeURL(w.URI) != nil || w.Complete != "" && SafeURL(w.Complete) != nil {
		return Device{}, &Unavailable{Status: status, Cause: "the device answer is incomplete"}
	}
	if w.Interval <= 0 {
		w.Interval = 5 // RFC 8628 §3.2
	}
	return Device{
		Code: Hide(w.Code), UserCode: clip(w.UserCode), URL: w.URI, Complete: w.Complete,
		Interval: time.Duration(min(w.Interval, 60)) * time.Second,
		Expires:  time.Now().Add(time.Duration(min(max(w.Expires, 60), 1800)) * time.Second),
	}, nil
}

// clip keeps a user code to what a person can type: it is printed.
func clip(code string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, code[:min(len(code), 32)])
}

package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of what is read from an issuer.
const (
	maxDocument = 256 << 10
	maxKeys     = 64
	fetchTime   = 5 * time.Second
)

// How often keys are read: again after keysLife, for a key that is not known at
// most once in refetch, and not sooner than patience after a failure. Keys that
// cannot be read again are used for keysStale at most.
const (
	keysLife  = 10 * time.Minute
	keysStale = time.Hour
	refetch   = 30 * time.Second
	patience  = 5 * time.Second
)

// IssuerKeys are the keys that an issuer's metadata points to (RFC 8414, OpenID
// Connect Discovery 1.0).
type IssuerKeys struct {
	issuer string
	http   *http.Client

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	read   time.Time // when keys were read
	tried  time.Time // when that was last tried
	failed bool      // … in vain
}

// NewIssuerKeys does not ask the issuer yet, so that it need not be there when
// deputy starts. via replaces the transport; nil is the usual one.
func NewIssuerKeys(issuer string, via http.RoundTripper) (*IssuerKeys, error) {
	if err := CheckURL(issuer); err != nil {
		return nil, err
	}
	return &IssuerKeys{issuer: issuer, http: client(via)}, nil
}

// CheckURL: an address of an issuer is https, or on this machine.
func CheckURL(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !onThisMachine(u.Hostname())) {
		return fmt.Errorf("%q: want an https address", address)
	}
	return nil
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func client(via http.RoundTripper) *http.Client {
	if via == nil {
		via = &http.Transport{
			TLSHandshakeTimeout: fetchTime, ResponseHeaderTimeout: fetchTime, MaxResponseHeaderBytes: 16 << 10,
			MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		}
	}
	return &http.Client{Transport: via, Timeout: fetchTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Key implements Keys.
func (k *IssuerKeys) Key(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	old := now.Sub(k.read) > keysLife
	if found := k.find(id); found != nil && !old {
		return found, nil
	}
	wait := refetch
	if old || k.failed {
		wait = patience
	}
	if now.Sub(k.tried) >= wait {
		k.tried = now
		// Whoever waits for the lock wants the answer too.
		keys, err := k.fetch(context.WithoutCancel(ctx))
		if k.failed = err != nil; !k.failed {
			k.keys, k.read = keys, now
		}
	}
	if now.Sub(k.read) > keysStale {
		return nil, ErrSilent
	}
	return k.find(id), nil
}

func (k *IssuerKeys) find(id string) *jose.JSONWebKey {
	if id == "" && len(k.keys) == 1 {
		return &k.keys[0]
	}
	for i := range k.keys {
		if id != "" && k.keys[i].KeyID == id {
			return &k.keys[i]
		}
	}
	return nil
}

func (k *IssuerKeys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	var meta struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration", &meta)
	if err != nil {
		err = k.get(ctx, wellKnown(k.issuer), &meta)
	}
	if err != nil {
		return nil, err
	}
	if meta.Issuer != k.issuer {
		return nil, errors.New("access: the metadata is another issuer's")
	}
	if err := CheckURL(strings.SplitN(meta.JWKS, "?", 2)[0]); err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, meta.JWKS, &set); err != nil {
		return nil, err
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("access: the issuer has too many keys")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		// Others' kinds of key are not ours to judge. A secret is no public key.
		if key.UnmarshalJSON(raw) == nil && key.Valid() && key.IsPublic() {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// wellKnown puts the well-known path before an issuer's own (RFC 8414 §3).
func wellKnown(issuer string) string {
	u, _ := url.Parse(issuer) // checked
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	return u.String()
}

func (k *IssuerKeys) get(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	return do(k.http, req, v)
}

// do reads a JSON answer of a bounded size.
func do(c *http.Client, req *http.Request, v any) error {
	resp, err := c.Do(req)
	if err != nil {
		return ErrSilent // its text has the address, and a form's with it
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil || resp.StatusCode != http.StatusOK || len(body) > maxDocument || json.Unmarshal(body, v) != nil {
		return ErrSilent
	}
	return nil
}

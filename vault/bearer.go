package vault

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
)

// token is an access or refresh token in memory. Nothing prints it.
type token struct{ v string }

func (token) String() string               { return "token(hidden)" }
func (token) GoString() string             { return "token(hidden)" }
func (token) LogValue() slog.Value         { return slog.StringValue("token(hidden)") }
func (token) MarshalJSON() ([]byte, error) { return []byte(`"token(hidden)"`), nil }

// pinned adds the bearer to requests for one host and to nothing else. The
// response it returns refers to the caller's request, which never had it.
type pinned struct {
	base  *url.URL
	token token
	next  http.RoundTripper
}

func (p pinned) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != p.base.Scheme || req.URL.Host != p.base.Host {
		return nil, fmt.Errorf("vault: a request for %s stays here: this grant is for %s", req.URL.Host, p.base.Host)
	}
	out := req.Clone(req.Context())
	out.Header.Set("Authorization", "Bearer "+p.token.v)
	resp, err := p.next.RoundTrip(out)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

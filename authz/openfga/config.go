package openfga

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
)

// Config says which server to ask, and which of its stores.
type Config struct {
	URL     string        // of its HTTP API, "https://fga.example.com"
	Store   string        // its id, or its name if no other store has it
	Token   string        // a preshared key or an access token; empty for none
	ModelID string        // the authorization model to decide under; empty for the store's latest
	Timeout time.Duration // of one attempt; 0 means five seconds
	HTTP    *http.Client  // nil for one that takes no proxy from the environment
}

// String leaves the token out, however a Config comes to be printed.
func (c Config) String() string { return "OpenFGA store " + c.Store + " at " + c.URL }

// GoString is String: %#v shows the token no more than %v.
func (c Config) GoString() string { return c.String() }

// wire checks the address, and gives what sends requests there.
func (c Config) wire() (*wire, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("authz.openfga.url is no address: write it as https://fga.example.com")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("authz.openfga.url holds more than an address: put the token into authz.openfga.token, and leave out what follows ? or #")
	case c.Token != "" && u.Scheme != "https" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("the token would go to %s in the open: write its address with https, or reach it on a loopback address", u.Host)
	case strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("authz.openfga.token holds a space or a line break: copy it once more")
	}
	w := &wire{base: strings.TrimSuffix(u.String(), "/"), timeout: c.Timeout, http: http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
		TLSHandshakeTimeout: 3 * time.Second,
		MaxIdleConnsPerHost: parallel,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}}}
	if c.HTTP != nil {
		w.http = *c.HTTP
	}
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if w.timeout <= 0 {
		w.timeout = 5 * time.Second
	}
	if token := c.Token; token != "" {
		// In functions, not in fields: nothing that prints a Client finds it.
		w.authorize = func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
		w.redact = func(s string) string { return strings.ReplaceAll(s, token, "[token]") }
	}
	return w, nil
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// Open finds the store and the model. A store without a model can be opened,
// and decides nothing before WriteModel.
func Open(ctx context.Context, config Config) (*Client, error) {
	w, err := config.wire()
	if err != nil {
		return nil, err
	}
	c := &Client{wire: w, pinned: config.ModelID}
	if c.store, err = w.findStore(ctx, config.Store); err != nil {
		return nil, err
	}
	_, err = c.Follow(ctx)
	return c, err
}

// CreateStore makes an empty store, and returns its id for Config.Store.
func CreateStore(ctx context.Context, config Config, name string) (id string, err error) {
	w, err := config.wire()
	if err != nil {
		return "", err
	}
	in, out := &openfgav1.CreateStoreRequest{Name: name}, &openfgav1.CreateStoreResponse{}
	if err := in.Validate(); err != nil {
		return "", fmt.Errorf("%q cannot be the name of a store: use 3 to 64 letters, digits and . - / _", name)
	}
	if err := w.write(ctx, "/stores", in, out, "look at the server's list of stores"); err != nil {
		return "", err
	}
	return out.GetId(), nil
}

var idPattern = regexp.MustCompile(`^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$`) // a ULID, as OpenFGA takes it

func (w *wire) findStore(ctx context.Context, store string) (id string, err error) {
	switch {
	case store == "":
		return "", errors.New("authz.openfga.store is empty: name the store, or give its id")
	case idPattern.MatchString(store):
		out := &openfgav1.GetStoreResponse{}
		if err := w.get(ctx, "/stores/"+store, nil, out); err != nil {
			return "", err
		}
		return store, nil
	}
	var found []string
	err = pages(func(token string) (string, error) {
		out := &openfgav1.ListStoresResponse{}
		err := w.get(ctx, "/stores", url.Values{"name": {store}, "continuation_token": {token}}, out)
		for _, s := range out.GetStores() {
			if s.GetName() == store { // older servers know no filter
				found = append(found, s.GetId())
			}
		}
		return out.GetContinuationToken(), err
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("OpenFGA at %s has no store named %q: create it, or name another in authz.openfga.store", w.base, store)
	case len(found) > 1:
		return "", fmt.Errorf("OpenFGA at %s has %d stores named %q: give the id of the one that is meant", w.base, len(found), store)
	case !idPattern.MatchString(found[0]):
		return "", w.odd("a store's id is %q", found[0])
	}
	return found[0], nil
}

package issuers

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is a person's: it keeps cookies, follows redirects, and fills in
// forms. It stops at deputy's door.
type browser struct {
	t *testing.T
	c *http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t, &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), publicURL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// open goes to an address and submits every form it meets, filled in. It
// returns where it was sent back to deputy, or the last page it saw.
func (b *browser) open(to string, fill map[string]string) (back *url.URL, page string) {
	b.t.Helper()
	resp, err := b.c.Get(to)
	for range 10 {
		if err != nil {
			b.t.Fatal(err)
		}
		body, err2 := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err2 != nil {
			b.t.Fatal(err2)
		}
		if at, err := resp.Location(); err == nil {
			return at, ""
		}
		action, values, found := form(string(body), fill)
		if !found || resp.StatusCode != http.StatusOK {
			return nil, string(body)
		}
		next, err2 := resp.Request.URL.Parse(action)
		if err2 != nil {
			b.t.Fatal(err2)
		}
		resp, err = b.c.PostForm(next.String(), values)
	}
	b.t.Fatalf("%s asks without end", to)
	return nil, ""
}

// form reads the first form of a page, with what fill knows put in. A form
// with an empty field that fill does not know is one for nobody.
func form(page string, fill map[string]string) (action string, values url.Values, found bool) {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return "", nil, false
	}
	values = url.Values{}
	for n := range doc.Descendants() {
		attr := map[string]string{}
		for _, a := range n.Attr {
			attr[a.Key] = a.Val
		}
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "form" && !found:
			action, found = attr["action"], true
		case n.Data == "input" && found:
			v, known := fill[attr["name"]]
			if !known {
				v = attr["value"]
			}
			if v == "" && attr["type"] != "hidden" {
				return "", nil, false
			}
			values.Set(attr["name"], v)
		}
	}
	return action, values, found
}

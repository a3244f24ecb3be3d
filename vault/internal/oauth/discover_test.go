package oauth

import "testing"

// Basic wherever a server takes it, the form where it takes nothing else.
func TestClientAuthentication(t *testing.T) {
	for name, c := range map[string]struct {
		methods []string
		basic   bool
	}{
		"nothing said": {nil, true},
		"both":         {[]string{"none", "client_secret_post", "client_secret_basic"}, true},
		"basic alone":  {[]string{"client_secret_basic"}, true},
		"form alone":   {[]string{"none", "client_secret_post"}, false},
	} {
		if got := (Metadata{ClientMethods: c.methods}).Merge(Server{}).Basic; got != c.basic {
			t.Errorf("%s: Basic is %v", name, got)
		}
	}
}

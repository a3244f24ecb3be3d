package passkey_test

import (
	"errors"
	"net/url"
	"testing"

	"deputy/internal/login/passkey"
)

// FuzzAnswers: nothing that a browser can send, short of a signature, enrols a
// key or signs anybody in.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"", "{}", "null", "[]", `{"id":"AA","rawId":"AA","type":"public-key","response":{}}`,
		`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","attestationObject":"oA"}}`,
		`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AAAA","signature":"AA","userHandle":"AA"}}`,
	} {
		f.Add([]byte(s))
	}
	public, _ := url.Parse("http://localhost:8787")
	p, err := passkey.New(public)
	if err != nil {
		f.Fatal(err)
	}
	o := passkey.Owner{Handle: []byte("handle"), Name: "anna", Keys: []passkey.Key{{ID: []byte{0}, PublicKey: []byte{1}, Party: "localhost"}}}
	_, enrol, err := p.Enrol(o)
	if err != nil {
		f.Fatal(err)
	}
	_, anybody, err := p.Ask()
	if err != nil {
		f.Fatal(err)
	}
	_, owner, err := p.AskOwner(o, nil)
	if err != nil {
		f.Fatal(err)
	}
	find := func([]byte) (passkey.Owner, error) { return o, nil }
	f.Fuzz(func(t *testing.T, answer []byte) {
		if _, err := p.Enrolled(o, enrol, answer); !errors.Is(err, passkey.ErrAnswer) {
			t.Errorf("enrolled: %v", err)
		}
		for _, c := range []passkey.Challenge{anybody, owner} {
			if _, _, err := p.Answered(c, answer, find); !errors.Is(err, passkey.ErrAnswer) {
				t.Errorf("signed in: %v", err)
			}
		}
	})
}

// TestParties: a passkey belongs to a host's name, whatever its port.
func TestParties(t *testing.T) {
	for text, want := range map[string]string{
		"http://localhost:8787": "localhost", "https://deputy.example": "deputy.example", "https://deputy.example:8443": "deputy.example",
		"http://127.0.0.1:8787": "", "http://[::1]:8787": "", "https://192.0.2.1": "",
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := passkey.New(u)
		if want == "" {
			if !errors.Is(err, passkey.ErrAddress) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err != nil || p.ID() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}

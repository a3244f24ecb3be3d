package oauth

import "testing"

// A person's token, and nobody else's, whatever shape the answer has.
func TestTokenShapes(t *testing.T) {
	for name, c := range map[string]struct {
		shape        Shape
		body, access string
		scopes       int
	}{
		"RFC 6749":             {RFC6749, `{"access_token":"a","scope":"x y"}`, "a", 2},
		"GitHub's commas":      {RFC6749, `{"access_token":"a","scope":"x,y,z"}`, "a", 3},
		"Slack: user and bot":  {SlackV2User, `{"ok":true,"access_token":"bot","token_type":"bot","scope":"b","authed_user":{"id":"U1","access_token":"user","scope":"x,y"}}`, "user", 2},
		"Slack: bot alone":     {SlackV2User, `{"ok":true,"access_token":"bot","token_type":"bot","scope":"b","authed_user":{"id":"U1"}}`, "", 0},
		"Slack: user alone":    {SlackV2User, `{"ok":true,"authed_user":{"id":"U1","access_token":"user","scope":"x"}}`, "user", 1},
		"Slack: a refresh":     {SlackV2User, `{"ok":true,"access_token":"user","token_type":"user","scope":"x,y"}`, "user", 2},
		"Slack: user endpoint": {SlackV2User, `{"ok":true,"access_token":"user","token_type":"user","authed_user":{"id":"U1","scope":"x,y"}}`, "user", 2},
		"Slack: no type":       {SlackV2User, `{"ok":true,"access_token":"whose"}`, "", 0},
		"Slack: not ok":        {SlackV2User, `{"ok":false,"error":"invalid_code","access_token":"a","token_type":"user"}`, "", 0},
	} {
		s := &Server{Shape: c.shape}
		got, err := s.parse(200, []byte(c.body))
		if (err == nil) != (c.access != "") || Reveal(got.Access) != c.access || len(got.Scopes) != c.scopes {
			t.Errorf("%s: %q, %d scopes, %v", name, Reveal(got.Access), len(got.Scopes), err)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add(200, `{"access_token":"a","expires_in":1e309}`)
	f.Add(200, `{"ok":true,"authed_user":{"access_token":"u"}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		for _, shape := range []Shape{RFC6749, SlackV2User} {
			s := &Server{Shape: shape}
			got, err := s.parse(status, []byte(body))
			if err == nil && (Reveal(got.Access) == "" || got.Lifetime < 0) {
				t.Fatalf("no token and no error: %q", body)
			}
			if err != nil && len(err.Error()) > 120 {
				t.Fatalf("the error repeats the answer: %v", err)
			}
		}
	})
}

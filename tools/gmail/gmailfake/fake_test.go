package gmailfake_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"deputy/tools/gmail/gmailfake"
)

// user is a client of the fake over HTTP.
type user struct {
	t    *testing.T
	fake *gmailfake.Fake
	base string
}

func open(t *testing.T) *user {
	f := gmailfake.New(gmailfake.Config{ClientID: "id", ClientSecret: "secret", RedirectURI: "http://localhost/cb"})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return &user{t: t, fake: f, base: srv.URL}
}

const verifier = "a-verifier-of-a-proper-length-for-the-code-exchange"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (u *user) consent(change url.Values) (url.Values, int) {
	u.t.Helper()
	q := url.Values{
		"client_id": {"id"}, "redirect_uri": {"http://localhost/cb"}, "response_type": {"code"}, "state": {"s"}, "access_type": {"offline"},
		"scope":          {"openid email https://www.googleapis.com/auth/gmail.readonly https://www.googleapis.com/auth/gmail.send"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}
	for k, v := range change {
		q[k] = v
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(u.base + "/o/oauth2/v2/auth?" + q.Encode())
	if err != nil {
		u.t.Fatal(err)
	}
	resp.Body.Close()
	if to, err := resp.Location(); err == nil {
		return to.Query(), resp.StatusCode
	}
	return nil, resp.StatusCode
}

func (u *user) token(form url.Values) (map[string]any, int) {
	u.t.Helper()
	for k, v := range map[string]string{"client_id": "id", "client_secret": "secret", "redirect_uri": "http://localhost/cb"} {
		if !form.Has(k) {
			form.Set(k, v)
		}
	}
	resp, err := http.PostForm(u.base+"/token", form)
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer map[string]any
	json.NewDecoder(resp.Body).Decode(&answer)
	return answer, resp.StatusCode
}

func (u *user) signIn() (access, refresh string) {
	u.t.Helper()
	back, _ := u.consent(nil)
	answer, status := u.token(url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "code_verifier": {verifier}})
	if status != 200 {
		u.t.Fatalf("token: %d %v", status, answer)
	}
	refresh, _ = answer["refresh_token"].(string)
	return answer["access_token"].(string), refresh
}

func (u *user) api(token, method, path, body string) (string, int) {
	u.t.Helper()
	req, _ := http.NewRequest(method, u.base+"/gmail/v1/users/me/"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error(), 0
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error(), -1
	}
	return string(data), resp.StatusCode
}

func TestOAuth(t *testing.T) {
	u := open(t)
	for name, change := range map[string]url.Values{
		"client": {"client_id": {"x"}}, "redirect": {"redirect_uri": {"http://localhost/cb/x"}}, "plain": {"code_challenge_method": {"plain"}}, "type": {"response_type": {"token"}},
	} {
		if _, status := u.consent(change); status != 400 {
			t.Errorf("%s: %d, want 400", name, status)
		}
	}
	back, _ := u.consent(nil)
	exchange := url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "code_verifier": {"wrong"}}
	if a, status := u.token(exchange); status != 400 || a["error"] != "invalid_grant" {
		t.Errorf("wrong verifier: %d %v", status, a)
	}
	exchange.Set("code_verifier", verifier)
	exchange.Set("client_secret", "wrong")
	if a, status := u.token(exchange); status != 401 || a["error"] != "invalid_client" {
		t.Errorf("wrong secret: %d %v", status, a)
	}
	exchange.Set("client_secret", "secret")
	a, status := u.token(exchange)
	if status != 200 || a["id_token"] == nil || !strings.Contains(a["scope"].(string), "gmail.send") {
		t.Fatalf("exchange: %d %v", status, a)
	}
	if a, status := u.token(exchange); status != 400 {
		t.Errorf("replayed code: %d %v", status, a)
	}
	refresh := a["refresh_token"].(string)
	again, status := u.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	if status != 200 || again["refresh_token"] != nil {
		t.Errorf("refresh: %d %v", status, again)
	}
	u.fake.ExpireAccess()
	if _, status := u.api(again["access_token"].(string), "GET", "profile", ""); status != 401 {
		t.Errorf("expired: %d", status)
	}
	resp, _ := http.PostForm(u.base+"/revoke", url.Values{"token": {refresh}})
	resp.Body.Close()
	if _, status := u.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}); resp.StatusCode != 200 || status != 400 {
		t.Errorf("revoked: %d, then %d", resp.StatusCode, status)
	}
	resp, _ = http.PostForm(u.base+"/revoke", url.Values{"token": {refresh}})
	resp.Body.Close()
	if resp.StatusCode != 400 {
		t.Errorf("revoked twice: %d", resp.StatusCode)
	}
	u.fake.Consent("https://www.googleapis.com/auth/gmail.readonly")
	if back, _ := u.consent(nil); strings.Contains(back.Get("scope"), "send") {
		t.Errorf("an unticked scope was given: %v", back)
	}
	u.fake.Deny(gmailfake.Anna)
	if back, _ := u.consent(nil); back.Get("error") != "access_denied" || back.Get("code") != "" {
		t.Errorf("denied: %v", back)
	}
}

func TestSearch(t *testing.T) {
	u := open(t)
	token, _ := u.signIn()
	for q, want := range map[string]int{
		"": 9, "from:bo": 2, "subject:launch": 1, "\"rollback plan\"": 1, "has:attachment": 1, "label:clients": 1, "label:Payroll": 2, "in:inbox": 9,
		"newer_than:2d": 2, "older_than:11d": 1, "-from:bo newer_than:4d": 2, "is:unread": 3, "fancy:operator": 0, "목요일": 1, "in:trash": 0,
	} {
		body, status := u.api(token, "GET", "threads?q="+url.QueryEscape(q), "")
		var a struct{ Threads []struct{ ID string } }
		if json.Unmarshal([]byte(body), &a); status != 200 || len(a.Threads) != want {
			t.Errorf("%q: %d threads, want %d (%d)", q, len(a.Threads), want, status)
		}
	}
	var first, second struct {
		Threads       []struct{ ID string }
		NextPageToken string
	}
	body, _ := u.api(token, "GET", "threads?maxResults=5", "")
	json.Unmarshal([]byte(body), &first)
	body, _ = u.api(token, "GET", "threads?maxResults=5&pageToken="+first.NextPageToken, "")
	json.Unmarshal([]byte(body), &second)
	if len(first.Threads) != 5 || len(second.Threads) != 4 || second.NextPageToken != "" {
		t.Errorf("pages of %d and %d", len(first.Threads), len(second.Threads))
	}
	if _, status := u.api(token, "GET", "threads?pageToken=x", ""); status != 400 {
		t.Errorf("bad page token: %d", status)
	}
}

func TestSend(t *testing.T) {
	u := open(t)
	token, _ := u.signIn()
	raw := "To: bo@example.com\r\nSubject: Re: Harbor launch\r\nIn-Reply-To: <" + gmailfake.LaunchThread + "@mail.example.com>\r\n\r\nYes\r\n"
	body := func(raw, thread string) string {
		b, _ := json.Marshal(map[string]string{"raw": base64.URLEncoding.EncodeToString([]byte(raw)), "threadId": thread})
		return string(b)
	}
	if answer, status := u.api(token, "POST", "messages/send", body(raw, gmailfake.LaunchThread)); status != 200 || !strings.Contains(answer, gmailfake.LaunchThread) {
		t.Fatalf("%d %s", status, answer)
	}
	if sent := u.fake.Sent(); len(sent) != 1 || string(sent[0].Raw) != raw {
		t.Errorf("sent %q", sent)
	}
	for name, b := range map[string]string{
		"nobody": body("Subject: x\r\n\r\nx", ""), "bad address": body("To: ,,\r\n\r\nx", ""), "bad raw": `{"raw":"%%%"}`, "not JSON": "raw", "foreign thread": body("To: bo@example.com\r\n\r\nx", gmailfake.LaunchThread),
	} {
		if answer, status := u.api(token, "POST", "messages/send", b); status != 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if _, status := u.api(token, "POST", "drafts", `{"message":{}}`); status != 403 {
		t.Errorf("a draft without the scope: %d", status)
	}
	if len(u.fake.Sent()) != 1 || len(u.fake.Writes()) != 7 {
		t.Errorf("%d sent, %d writes", len(u.fake.Sent()), len(u.fake.Writes()))
	}
}

func TestMessages(t *testing.T) {
	u := open(t)
	token, _ := u.signIn()
	for path, want := range map[string]string{
		"messages/" + gmailfake.InvoiceMail:                       `"filename":"invoice-2041.txt"`,
		"messages/" + gmailfake.HTMLMail:                          `"mimeType":"text/html"`,
		"messages/" + gmailfake.KoreanMail + "?format=metadata":   "=?UTF-8?B?",
		"messages/" + gmailfake.LaunchThread + "?format=raw":      `"raw":`,
		"messages/" + gmailfake.LaunchThread + "?format=minimal":  `"labelIds":["INBOX","IMPORTANT"]`,
		"threads/" + gmailfake.MixedThread:                        gmailfake.MixedHidden,
		"labels":                                                  `"name":"Payroll"`,
		"labels/" + gmailfake.LabelClients:                        `"Clients"`,
		"profile":                                                 `"emailAddress":"anna@example.com"`,
		"messages?labelIds=" + gmailfake.LabelPayroll + "&q=band": gmailfake.PayrollThread,
	} {
		if body, status := u.api(token, "GET", path, ""); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d lacks %s: %.300s", path, status, want, body)
		}
	}
	for _, path := range []string{"messages/0000000000000000", "threads/x", "labels/x", "drafts/x", "messages/" + gmailfake.InvoiceMail + "/attachments/x"} {
		if _, status := u.api(token, "GET", path, ""); status == 200 {
			t.Errorf("%s was found", path)
		}
	}
}

func TestFaults(t *testing.T) {
	u := open(t)
	token, _ := u.signIn()
	u.fake.Inject(gmailfake.Fault{Status: 429, Header: http.Header{"Retry-After": {"3"}}}, gmailfake.Fault{Truncate: true}, gmailfake.Fault{Body: "<html>"})
	if _, status := u.api(token, "GET", "profile", ""); status != 429 {
		t.Errorf("429: %d", status)
	}
	if body, status := u.api(token, "GET", "profile", ""); status != -1 {
		t.Errorf("truncated: %d %s", status, body)
	}
	if body, _ := u.api(token, "GET", "profile", ""); body != "<html>" {
		t.Errorf("HTML: %s", body)
	}
	u.fake.Inject(gmailfake.Fault{Status: 502, ApplyFirst: true})
	raw := base64.URLEncoding.EncodeToString([]byte("To: bo@example.com\r\n\r\nx"))
	if _, status := u.api(token, "POST", "messages/send", `{"raw":"`+raw+`"}`); status != 502 || len(u.fake.Sent()) != 1 {
		t.Errorf("a lost reply: %d, %d sent", status, len(u.fake.Sent()))
	}
	u.fake.RevokeAll()
	if _, status := u.api(token, "GET", "profile", ""); status != 401 {
		t.Errorf("revoked: %d", status)
	}
	for _, tok := range u.fake.Tokens() {
		if !strings.Contains(tok, "canary") {
			t.Errorf("a token without its mark: %s", tok)
		}
	}
}

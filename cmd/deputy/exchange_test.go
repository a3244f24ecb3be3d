package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A back end gets a person's token over HTTP once the operator and the person
// both said so, and not before.
func TestBackEndsGetTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "exchange: {clients: {crm: {secret: env:CRM_SECRET, providers: [github]}}}")
	bearer, err := os.ReadFile(filepath.Join(h.dir, "home", "keys", "bearer"))
	if err != nil {
		t.Fatal(err)
	}
	ask := func() (int, map[string]any) {
		form := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {"github"}, "scope": {"repo"},
			"subject_token": {strings.TrimSpace(string(bearer))}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		}
		req, _ := http.NewRequest("POST", h.url+"/oauth/token", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("crm", "crm-secret")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var said map[string]any
		json.NewDecoder(resp.Body).Decode(&said)
		return resp.StatusCode, said
	}
	if status, said := ask(); status != http.StatusBadRequest || said["error"] != "access_denied" {
		t.Errorf("before the person agreed: %d %v", status, said)
	}
	if out, errText, code := h.run("accounts", "share", "github/octo-anna", "crm"); code != 0 || !strings.Contains(out, "crm may have tokens of github/octo-anna for: repo") {
		t.Fatalf("%d %s %s", code, out, errText)
	}
	if status, said := ask(); status != http.StatusOK || !slices.Contains(h.github.Tokens(), said["access_token"].(string)) {
		t.Errorf("%d %v", status, said)
	}
	if out, _, _ := h.run("audit", "tail"); !strings.Contains(out, `"event":"exchange"`) || !strings.Contains(out, `"agent":"crm"`) {
		t.Errorf("the log: %s", out)
	}
	if out, _, code := h.run("accounts", "shares"); code != 0 || !strings.Contains(out, "crm") {
		t.Errorf("%s", out)
	}
	if _, errText, code := h.run("accounts", "unshare", "github/octo-anna", "crm"); code != 0 {
		t.Error(errText)
	}
	if status, said := ask(); status != http.StatusBadRequest || said["access_token"] != nil {
		t.Errorf("after it was taken back: %d %v", status, said)
	}
}

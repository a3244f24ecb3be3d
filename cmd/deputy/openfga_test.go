package main

import (
	"fmt"
	"strings"
	"testing"

	"deputy/authz/openfga"
	"deputy/authz/openfga/openfgafake"
)

// TestAnOpenFGAServerDecides: rules are kept by a server, which gets deputy's
// model, and hold as those in the home do. Without it nothing is shown.
func TestAnOpenFGAServerDecides(t *testing.T) {
	t.Parallel()
	fga := openfgafake.New()
	t.Cleanup(fga.Close)
	fga.Token = "crm-secret" // what the house's environment has
	if _, err := openfga.CreateStore(t.Context(), openfga.Config{URL: fga.URL, Token: fga.Token}, "deputy"); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, fmt.Sprintf("authz: {backend: openfga, openfga: {url: %q, store: deputy, token: env:CRM_SECRET}}", fga.URL))
	list := func() string {
		t.Helper()
		r, err := h.client.call("github_list_issues", map[string]any{"owner": "octo-anna", "repo": "harbor"})
		if err != nil {
			t.Fatal(err)
		}
		return r.raw
	}
	if s := list(); !strings.Contains(s, "items") || strings.Contains(s, `"items":[]`) {
		t.Fatalf("before a rule: %.300s", s)
	}
	if _, err := h.order("authz", "write", "user:*", "hidden", "github_repo:octo-anna/harbor"); err != nil {
		t.Fatal(err)
	}
	if s := list(); !strings.Contains(s, `"items":[]`) {
		t.Errorf("after it: %.300s", s)
	}
	if out, err := h.order("authz", "explain", "user:anna", "can_view", "github_repo:octo-anna/harbor"); err != nil || !strings.Contains(out, "user:* hidden github_repo:octo-anna/harbor") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := h.order("authz", "delete", "user:*", "hidden", "github_repo:octo-anna/harbor"); err != nil {
		t.Fatal(err)
	}
	if s := list(); strings.Contains(s, `"items":[]`) {
		t.Errorf("after it was taken back: %.300s", s)
	}
	fga.Close()
	if s := list(); !strings.Contains(s, "not found") || strings.Contains(s, "Rope") || strings.Contains(s, "crm-secret") {
		t.Errorf("without the server: %.300s", s)
	}
}

package openfga_test

import (
	"strings"
	"testing"

	"github.com/openfga/language/pkg/go/transformer"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/authz/openfga"
)

func TestAddressesAreChecked(t *testing.T) {
	for _, c := range []struct {
		config openfga.Config
		want   string
	}{
		{openfga.Config{URL: "", Store: "x"}, "write it as https://"},
		{openfga.Config{URL: "fga.example.com", Store: "x"}, "write it as https://"},
		{openfga.Config{URL: "ftp://fga.example.com", Store: "x"}, "write it as https://"},
		{openfga.Config{URL: "https://anna:pw@fga.example.com", Store: "x"}, "put the token into authz.openfga.token"},
		{openfga.Config{URL: "https://fga.example.com?key=pw", Store: "x"}, "leave out what follows"},
		{openfga.Config{URL: "http://fga.example.com", Store: "x", Token: "pw"}, "write its address with https"},
		{openfga.Config{URL: "http://127.0.0.1.example.com", Store: "x", Token: "pw"}, "write its address with https"},
		{openfga.Config{URL: "https://fga.example.com", Store: "x", Token: "pw\n"}, "copy it once more"},
		{openfga.Config{URL: "http://[::1]:1", Token: "pw"}, "authz.openfga.store is empty"},
		{openfga.Config{URL: "http://localhost:1", Store: "x", Token: "pw"}, "see that it runs"},
	} {
		_, err := openfga.Open(ctx, c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v", c.config.URL, err)
		}
	}
}

func TestStoresAndModelsAreFound(t *testing.T) {
	s := served(t)
	c := openfga.Config{URL: s.URL + "/"}
	must := func(id string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	fails := func(c openfga.Config, want string) {
		t.Helper()
		if _, err := openfga.Open(ctx, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", c, err)
		}
	}
	first := must(openfga.CreateStore(ctx, c, "harbor"))
	must(openfga.CreateStore(ctx, c, "twice"))
	must(openfga.CreateStore(ctx, c, "twice"))
	if _, err := openfga.CreateStore(ctx, c, "a?"); err == nil {
		t.Error("a store without a proper name")
	}
	for name, want := range map[string]string{"nobody": `no store named "nobody"`, "twice": "has 2 stores named", "01S99999999999999999999999": "has no such store"} {
		c.Store = name
		fails(c, want)
	}

	c.Store = "harbor"
	client, err := openfga.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := client.Check(ctx, fga.Query{User: "user:a", Relation: "viewer", Object: "doc:1"}); ok || err == nil || !strings.Contains(err.Error(), "has no authorization model: write one first") {
		t.Errorf("without a model: %v, %v", ok, err)
	}
	if _, err := client.WriteModel(ctx, transformer.MustTransformDSLToProto("model\n  schema 1.1\ntype doc\n  relations\n    define viewer: viewer from viewer\n")); fga.KindOf(err) != fga.InvalidModel {
		t.Errorf("no model: %v", err)
	}
	one := must(client.WriteModel(ctx, transformer.MustTransformDSLToProto(fgatest.SuiteModel)))
	if err := client.Write(ctx, fga.Write{Writes: fgatest.Lines("user:a viewer doc:1", "user:a blocked doc:1")}); err != nil {
		t.Fatal(err)
	}

	// Somebody else writes another model: until it is followed, and unless it
	// is named, questions are asked under the first.
	c.Store = first
	other, err := openfga.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	two := must(other.WriteModel(ctx, transformer.MustTransformDSLToProto(strings.Replace(fgatest.SuiteModel, " but not blocked", "", 1))))
	c.ModelID = one
	pinned, err := openfga.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	viewer := func(c *openfga.Client, want bool) {
		t.Helper()
		ok, err := c.Check(ctx, fga.Query{User: "user:a", Relation: "viewer", Object: "doc:1"})
		a := c.BatchCheck(ctx, []fga.Query{{User: "user:a", Relation: "viewer", Object: "doc:1"}})[0]
		if err != nil || ok != want || a != (fga.Answer{Allowed: want}) {
			t.Errorf("%v, %v; %v", ok, err, a)
		}
	}
	viewer(client, false)
	viewer(other, true)
	viewer(pinned, false)
	for c, want := range map[*openfga.Client]bool{client: true, other: false, pinned: false} {
		if changed, err := c.Follow(ctx); err != nil || changed != want {
			t.Errorf("another model: %v, %v", changed, err)
		}
	}
	viewer(client, true)
	viewer(pinned, false)
	if ids, err := client.Models(ctx); err != nil || len(ids) != 2 || ids[0] != two || ids[1] != one {
		t.Errorf("models: %v, %v", ids, err)
	}
	if id, m, err := pinned.Model(ctx); err != nil || id != one || len(m.GetTypeDefinitions()) != 4 {
		t.Errorf("model: %v, %v, %v", id, m, err)
	}
	for id, want := range map[string]string{"01M99999999999999999999999": "no longer has the authorization model", "latest": "is no id of an authorization model"} {
		c.ModelID = id
		fails(c, want)
	}

	s.Forget()
	if ok, err := client.Check(ctx, fga.Query{User: "user:a", Relation: "viewer", Object: "doc:1"}); ok || err == nil || !strings.Contains(err.Error(), "no longer has the authorization model") {
		t.Errorf("the model is gone: %v, %v", ok, err)
	}
	if _, err := client.Follow(ctx); err == nil || !strings.Contains(err.Error(), "has lost its authorization models") {
		t.Errorf("no model to follow: %v", err)
	}
}

package openfga_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openfga/language/pkg/go/transformer"
	"github.com/openfga/openfga/cmd/run"
	"github.com/openfga/openfga/pkg/logger"
	"github.com/openfga/openfga/pkg/server/config"

	"deputy/authz/fga"
	"deputy/authz/fga/fgatest"
	"deputy/authz/openfga"
	"deputy/internal/store"
)

// served is OpenFGA's own server, as its command starts it, over its memory
// store. It returns the address of its HTTP API.
func served(t testing.TB, token string) string {
	t.Helper()
	c := config.DefaultConfig()
	c.Playground.Enabled, c.Metrics.Enabled = false, false
	c.Log.Level = "none"
	c.HTTP.Addr, c.GRPC.Addr = free(t), free(t)
	c.RequestTimeout = time.Minute // decisions are compared here, on machines that may be busy
	if token != "" {
		c.Authn.Method, c.Authn.AuthnPresharedKeyConfig = "preshared", &config.AuthnPresharedKeyConfig{Keys: []string{token}}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- (&run.ServerContext{Logger: logger.NewNoopLogger()}).Run(ctx, c) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	url := "http://" + c.HTTP.Addr
	for range 100 {
		if conn, err := net.Dial("tcp", c.HTTP.Addr); err == nil {
			conn.Close()
			return url
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("OpenFGA does not start")
	return ""
}

func free(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func remote(t testing.TB, c openfga.Config, model string) *openfga.Client {
	t.Helper()
	c.Timeout = time.Minute
	var err error
	if c.Store, err = openfga.CreateStore(ctx, c, "deputy"); err != nil {
		t.Fatal(err)
	}
	client, err := openfga.Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.WriteModel(ctx, transformer.MustTransformDSLToProto(model)); err != nil {
		t.Fatal(err)
	}
	return client
}

// TestSuite judges OpenFGA's server, over HTTP, by the suite that authz/fga
// passes.
func TestSuite(t *testing.T) {
	c := openfga.Config{URL: served(t, "key-for-the-suite"), Token: "key-for-the-suite"}
	fgatest.Suite(t, func(t *testing.T, model string) fgatest.Backend { return remote(t, c, model) },
		fgatest.SwallowsErrors, fgatest.BoundedWrites, fgatest.BoundedFacts)
}

// TestWhatOperatorsAreTold of a server that is there and does not fit.
func TestWhatOperatorsAreTold(t *testing.T) {
	c := openfga.Config{URL: served(t, "the-key"), Token: "the-key"}
	client := remote(t, c, fgatest.SuiteModel)
	id, _, err := client.Model(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		change func(*openfga.Config)
		want   string
	}{
		{func(c *openfga.Config) { c.Token = "another-key" }, "does not let deputy in (401): set authz.openfga.token"},
		{func(c *openfga.Config) { c.Token = "" }, "does not let deputy in (401): set authz.openfga.token"},
		{func(c *openfga.Config) { c.Store = "nobody" }, `has no store named "nobody"`},
		{func(c *openfga.Config) { c.Store = "01ARZ3NDEKTSV4RRFFQ69G5FAV" }, "has no such store"},
		{func(c *openfga.Config) { c.ModelID = "01ARZ3NDEKTSV4RRFFQ69G5FAV" }, "no longer has the authorization model"},
		{func(c *openfga.Config) { c.URL += "/elsewhere" }, "see that authz.openfga.url"},
	} {
		bad := c
		bad.Store = "deputy"
		x.change(&bad)
		if _, err := openfga.Open(ctx, bad); err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "-key") {
			t.Errorf("want %q: %v", x.want, err)
		}
	}
	c.Store, c.ModelID = "deputy", id
	if again, err := openfga.Open(ctx, c); err != nil {
		t.Error(err)
	} else if ids, err := again.Models(ctx); err != nil || !slices.Equal(ids, []string{id}) {
		t.Errorf("%v, %v", ids, err)
	}
}

// TestALongAnswer: deputy's own model, and the facts of a list of a hundred
// mails. The server says what authz/fga says with all of the facts.
func TestALongAnswer(t *testing.T) {
	model, err := os.ReadFile("../../../authz/model.fga")
	if err != nil {
		t.Fatal(err)
	}
	m, err := fga.ParseModel(string(model))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := fga.Open(store.NewMemory(), "authz", m)
	if err != nil {
		t.Fatal(err)
	}
	theirs := remote(t, openfga.Config{URL: served(t, "")}, string(model))
	rules := fga.Write{Writes: fgatest.Lines("group:interns#member hidden gmail_label:3", "agent:bot hidden gmail_label:5", "user:anna hidden gmail_thread:13",
		"user:* restricted account:b", "group:interns#member allowed gmail_label:1", "user:anna member group:interns")}
	for _, b := range []fgatest.Backend{ours, theirs} {
		if err := b.Write(ctx, rules); err != nil {
			t.Fatal(err)
		}
	}
	facts := fgatest.Lines("user:anna owner account:a", "user:anna owner account:b", "account:a account gmail_mailbox:a", "account:b account gmail_mailbox:b")
	var qs []fga.Query
	for i := range 100 {
		thread, mailbox := fmt.Sprintf("gmail_thread:%d", i), "gmail_mailbox:"+string("ab"[i%2])
		facts = append(facts, fgatest.Lines(mailbox+" mailbox "+thread)...)
		for j := range i % 7 {
			facts = append(facts, fgatest.Lines(fmt.Sprintf("gmail_label:%d label %s", (i+j*j)%9, thread))...)
		}
		qs = append(qs, fga.Query{User: "user:anna", Relation: "can_view", Object: thread}, fga.Query{User: "agent:bot", Relation: "hidden", Object: thread})
	}
	for i := range qs {
		qs[i].Contextual = facts
	}
	want := ours.BatchCheck(ctx, qs)
	var took []time.Duration
	for range 20 {
		start := time.Now()
		got := theirs.BatchCheck(ctx, qs)
		took = append(took, time.Since(start))
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v: OpenFGA says %v, authz/fga %v", qs[i].Object, got[i], want[i])
			}
		}
	}
	allowed := 0
	for _, a := range want {
		if a.Allowed {
			allowed++
		}
	}
	slices.Sort(took)
	t.Logf("%d questions with %d facts, %d of them yes: median %v over HTTP", len(qs), len(facts), allowed, took[len(took)/2])
	if allowed == 0 || allowed == len(qs) {
		t.Error("all questions have the same answer")
	}
}

package openfga_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/openfga/language/pkg/go/transformer"
	"github.com/openfga/openfga/cmd/run"
	"github.com/openfga/openfga/pkg/logger"
	"github.com/openfga/openfga/pkg/server/config"

	"deputy/authz/fga/fgatest"
	"deputy/authz/openfga"
)

// served is OpenFGA's own server, as its command starts it, over its memory
// store. It returns the address of its HTTP API.
func served(t testing.TB, token string) string {
	t.Helper()
	c := config.DefaultConfig()
	c.Playground.Enabled, c.Metrics.Enabled = false, false
	c.Log.Level = "none"
	c.HTTP.Addr, c.GRPC.Addr = free(t), free(t)
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

var _ = fmt.Sprint

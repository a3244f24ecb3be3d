package openfga_test

import (
	"context"
	"testing"

	"github.com/openfga/language/pkg/go/transformer"

	"deputy/authz/fga/fgatest"
	"deputy/authz/openfga"
	"deputy/authz/openfga/openfgafake"
)

var ctx = context.Background()

// opened is a client of a new store with the model.
func opened(t testing.TB, s *openfgafake.Server, model string) *openfga.Client {
	t.Helper()
	return openedWith(t, s, model, openfga.Config{})
}

func openedWith(t testing.TB, s *openfgafake.Server, model string, config openfga.Config) *openfga.Client {
	t.Helper()
	config.URL, config.Token = s.URL, s.Token
	var err error
	if config.Store, err = openfga.CreateStore(ctx, config, "deputy"); err != nil {
		t.Fatal(err)
	}
	c, err := openfga.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteModel(ctx, transformer.MustTransformDSLToProto(model)); err != nil {
		t.Fatal(err)
	}
	return c
}

func served(t testing.TB) *openfgafake.Server {
	s := openfgafake.New()
	t.Cleanup(s.Close)
	return s
}

func TestSuite(t *testing.T) {
	fgatest.Suite(t, func(t *testing.T, model string) fgatest.Backend { return opened(t, served(t), model) },
		fgatest.BoundedWrites, fgatest.BoundedFacts)
}

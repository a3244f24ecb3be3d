package main

import (
	"context"
	"fmt"
	"time"

	"deputy/authz"
	"deputy/authz/openfga"
	"deputy/internal/config"
)

// openRules opens the relationships: in this home's store, or those of an
// OpenFGA server.
func (a *app) openRules(c config.Config) (*authz.Rules, error) {
	if c.Authz.Backend == "openfga" {
		return openRemoteRules(c.Authz.OpenFGA)
	}
	model, err := modelFile(c.Authz.Model)
	if err != nil {
		return nil, err
	}
	return authz.Open(a.store, model)
}

// openRemoteRules asks a server. Its store keeps the models; an empty one gets
// deputy's own. Without the server deputy does not start: nothing could be
// decided.
func openRemoteRules(c config.OpenFGA) (*authz.Rules, error) {
	token := ""
	if c.Token != "" {
		var err error
		if token, err = c.Token.Read(); err != nil {
			return nil, fmt.Errorf("authz.openfga.token: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := openfga.Open(ctx, openfga.Config{URL: c.URL, Store: c.Store, Token: token})
	if err != nil {
		return nil, fmt.Errorf("authz.openfga: %w", err)
	}
	keep := remoteModels{client}
	model, err := keep.inUse(ctx)
	return authz.Over(client, model, keep), err
}

// remoteModels are the models of an OpenFGA store.
type remoteModels struct{ client *openfga.Client }

func (k remoteModels) inUse(ctx context.Context) (authz.Model, error) {
	own := authz.Builtin()
	text, err := k.client.ModelText(ctx, "")
	if err != nil {
		return own, err
	}
	if text == "" {
		return own, k.client.SetModel(ctx, own.String())
	}
	if same, err := k.client.Uses(own.String()); same || err != nil {
		return own, err // word for word: an approval does not outlive a model, and this is no other
	}
	return authz.ParseModel(text)
}

func (k remoteModels) SetModel(ctx context.Context, m authz.Model) error {
	return k.client.SetModel(ctx, m.String())
}

func (k remoteModels) Models(ctx context.Context) (out []authz.ModelInfo, err error) {
	ids, err := k.client.Models(ctx)
	for _, id := range ids {
		out = append(out, authz.ModelInfo{ID: id})
	}
	return out, err
}

func (k remoteModels) ModelText(ctx context.Context, id string) (string, error) {
	return k.client.ModelText(ctx, id)
}

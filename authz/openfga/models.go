package openfga

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"google.golang.org/protobuf/proto"

	"deputy/authz/fga"
)

// model is what questions are asked under.
type model struct {
	id    string
	proto *openfgav1.AuthorizationModel
	types map[string]*openfgav1.TypeDefinition
	fga   *fga.Model
}

func newModel(id string, m *openfgav1.AuthorizationModel) (*model, error) {
	if !idPattern.MatchString(id) {
		return nil, fmt.Errorf("OpenFGA gives an authorization model the id %q: see that authz.openfga.url leads to an OpenFGA server", id)
	}
	compiled, err := fga.NewModel(m)
	if err != nil {
		return nil, fmt.Errorf("authorization model %s: %w", id, err)
	}
	out := &model{id: id, proto: m, types: map[string]*openfgav1.TypeDefinition{}, fga: compiled}
	for _, td := range m.GetTypeDefinitions() {
		out.types[td.GetType()] = td
	}
	return out, nil
}

// lookup says if the model lacks the type or its relation.
func (m *model) lookup(typ, relation string) error {
	if m.types[typ] == nil {
		return &fga.Error{Kind: fga.TypeNotFound, Cause: fmt.Errorf("the model has no type %q", typ)}
	}
	if !m.fga.Lookup(typ, relation) {
		return &fga.Error{Kind: fga.RelationNotFound, Cause: fmt.Errorf("type %s has no relation %q", typ, relation)}
	}
	return nil
}

func (c *Client) current() (*model, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.model == nil {
		return nil, fmt.Errorf("the OpenFGA store %s has no authorization model: write one first", c.store)
	}
	return c.model, nil
}

func (c *Client) use(m *model) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = c.model == nil || c.model.id != m.id
	c.model = m
	return changed
}

// Model is the authorization model that questions are asked under. A model
// that somebody writes to the store changes nothing here before Follow.
func (c *Client) Model(context.Context) (id string, m *openfgav1.AuthorizationModel, err error) {
	in, err := c.current()
	if err != nil {
		return "", nil, err
	}
	return in.id, proto.CloneOf(in.proto), nil
}

// Follow moves on to the store's latest model, unless the configuration names
// one, and reports whether it is another than before.
func (c *Client) Follow(ctx context.Context) (changed bool, err error) {
	if c.pinned != "" {
		if !idPattern.MatchString(c.pinned) {
			return false, errors.New("authz.openfga.model is no id of an authorization model: take it from the server's list, or leave it out for the latest")
		}
		out := &openfgav1.ReadAuthorizationModelResponse{}
		if err := c.get(ctx, c.path("authorization-models/"+c.pinned), nil, out); err != nil {
			return false, err
		}
		if out.GetAuthorizationModel().GetId() != c.pinned {
			return false, c.odd("asked for model %s, it gives another", c.pinned)
		}
		return c.adopt(out.GetAuthorizationModel())
	}
	out := &openfgav1.ReadAuthorizationModelsResponse{}
	if err := c.get(ctx, c.path("authorization-models"), url.Values{"page_size": {"1"}}, out); err != nil {
		return false, err
	}
	if len(out.GetAuthorizationModels()) == 0 {
		if _, err := c.current(); err == nil {
			return false, fmt.Errorf("the OpenFGA store %s has lost its authorization models: write the model again, and restart deputy", c.store)
		}
		return false, nil // a new store
	}
	return c.adopt(out.GetAuthorizationModels()[0])
}

func (c *Client) adopt(p *openfgav1.AuthorizationModel) (changed bool, err error) {
	m, err := newModel(p.GetId(), p)
	if err != nil {
		return false, err
	}
	return c.use(m), nil
}

// Models lists the ids of the store's models, newest first.
func (c *Client) Models(ctx context.Context) (ids []string, err error) {
	err = pages(func(token string) (string, error) {
		out := &openfgav1.ReadAuthorizationModelsResponse{}
		err := c.get(ctx, c.path("authorization-models"), url.Values{"page_size": {"50"}, "continuation_token": {token}}, out)
		for _, m := range out.GetAuthorizationModels() {
			ids = append(ids, m.GetId())
		}
		return out.GetContinuationToken(), err
	})
	return ids, err
}

// WriteModel adds a model to the store. From then on it is the one that
// questions are asked under, unless the configuration names another.
func (c *Client) WriteModel(ctx context.Context, p *openfgav1.AuthorizationModel) (id string, err error) {
	if _, err := fga.NewModel(p); err != nil {
		return "", err // before the server keeps for ever what deputy cannot read
	}
	in := &openfgav1.WriteAuthorizationModelRequest{SchemaVersion: p.GetSchemaVersion(), TypeDefinitions: p.GetTypeDefinitions(), Conditions: p.GetConditions()}
	out := &openfgav1.WriteAuthorizationModelResponse{}
	if err := c.write(ctx, c.path("authorization-models"), in, out, "look at the list of the store's models"); err != nil {
		return "", err
	}
	m, err := newModel(out.GetAuthorizationModelId(), proto.CloneOf(p))
	if err != nil {
		return "", err
	}
	if c.pinned == "" {
		c.use(m)
	}
	return m.id, nil
}

// ModelText is a model of the store in OpenFGA's JSON, without its id; for ""
// the one that questions are asked under, and nothing if there is none.
func (c *Client) ModelText(ctx context.Context, id string) (string, error) {
	var p *openfgav1.AuthorizationModel
	if id == "" {
		c.mu.Lock()
		in := c.model
		c.mu.Unlock()
		if in == nil {
			return "", nil
		}
		p = proto.CloneOf(in.proto)
	} else {
		out := &openfgav1.ReadAuthorizationModelResponse{}
		if err := c.get(ctx, c.path("authorization-models/"+url.PathEscape(id)), nil, out); err != nil {
			return "", err
		}
		p = out.GetAuthorizationModel()
	}
	p.Id = ""
	return fga.WriteJSON(p)
}

// SetModel is WriteModel for a model in the OpenFGA language or its JSON. A
// model that is in use already is not written again.
func (c *Client) SetModel(ctx context.Context, text string) error {
	p, err := fga.ParseProto(text)
	if err != nil {
		return err
	}
	if same, err := c.Uses(text); same || err != nil {
		return err
	}
	_, err = c.WriteModel(ctx, p)
	return err
}

// Uses reports whether questions are asked under a model that says just this.
func (c *Client) Uses(text string) (bool, error) {
	p, err := fga.ParseProto(text)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.model == nil {
		return false, nil
	}
	in := proto.CloneOf(c.model.proto)
	in.Id, p.Id = "", ""
	return proto.Equal(in, p), nil
}

func typeOf(object string) string {
	typ, _, _ := strings.Cut(object, ":")
	return typ
}

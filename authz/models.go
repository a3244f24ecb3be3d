package authz

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"deputy/authz/fga"
	"deputy/internal/store"
)

// ModelKeeper keeps the models that were set, none of which is changed
// afterwards.
type ModelKeeper interface {
	// SetModel puts a model in use: when it returns, the backend decides by it.
	SetModel(context.Context, Model) error
	Models(context.Context) ([]ModelInfo, error)
	ModelText(ctx context.Context, id string) (string, error)
}

// ModelInfo is one model that was set.
type ModelInfo struct {
	ID  string    `json:"id"`
	Set time.Time `json:"set,omitzero"` // where the keeper knows it
}

// ErrModelFixed says that the configuration names the model's file.
var ErrModelFixed = errors.New("authz.model in the configuration names the model: change that file and start again, or set authz.model to builtin")

// SetModel puts another model in place of the one in use; the next decision is
// made under it. It is refused if it leaves a stored tuple without a place.
func (r *Rules) SetModel(ctx context.Context, m Model) error {
	r.writing.Lock() // a tuple written meanwhile may find no place
	defer r.writing.Unlock()
	change, err := r.Compare(ctx, m)
	if err != nil {
		return err
	}
	if len(change.Stray) > 0 {
		return fmt.Errorf("%w: the model has no place for %s: delete it first, since it may be what forbids something", ErrBadTuple, change.Stray[0])
	}
	if err := r.models.SetModel(ctx, m); err != nil {
		return err
	}
	r.model.Store(&m)
	return nil
}

// Models lists the models that were set, the newest first.
func (r *Rules) Models(ctx context.Context) ([]ModelInfo, error) { return r.models.Models(ctx) }

// ModelText is a model that was set.
func (r *Rules) ModelText(ctx context.Context, id string) (string, error) {
	return r.models.ModelText(ctx, id)
}

// ModelChange is what another model would change.
type ModelChange struct {
	Stray   []Tuple    `json:"stray"`   // stored, and without a place in it
	Unasked []string   `json:"unasked"` // relations that decisions ask for, which it lacks
	Types   []string   `json:"types"`   // "+ type" and "- type"
	Answers []Decision `json:"answers"` // questions on stored tuples that it answers otherwise
	Asked   int        `json:"asked"`   // of so many
}

// Decision is one question and what would be answered to it.
type Decision struct {
	Tuple
	Now  bool `json:"now"`
	Then bool `json:"then"`
}

// maxAsked bounds how many questions Compare asks.
const maxAsked = 100_000

// Compare finds what another model would change: everybody whom a stored tuple
// names is asked about everything that one names, under both.
func (r *Rules) Compare(ctx context.Context, m Model) (ModelChange, error) {
	stored, err := r.Read(ctx, Tuple{})
	if err != nil {
		return ModelChange{}, err
	}
	now := r.Model()
	c := ModelChange{Stray: []Tuple{}, Types: []string{}, Answers: []Decision{}, Unasked: m.unasked()}
	for _, t := range m.compiled.Types() {
		if !slices.Contains(now.compiled.Types(), t) {
			c.Types = append(c.Types, "+ "+t)
		}
	}
	for _, t := range now.compiled.Types() {
		if !slices.Contains(m.compiled.Types(), t) {
			c.Types = append(c.Types, "- "+t)
		}
	}
	var fits []fga.Tuple
	for _, t := range stored {
		if m.compiled.CheckTuple(t.fga()) != nil {
			c.Stray = append(c.Stray, t)
			continue
		}
		fits = append(fits, t.fga())
	}
	qs := r.questions(stored, m)
	c.Asked = len(qs)
	before, err := answers(ctx, now, fits, qs)
	if err != nil {
		return ModelChange{}, err
	}
	after, err := answers(ctx, m, fits, qs)
	if err != nil {
		return ModelChange{}, err
	}
	for i, q := range qs {
		if before[i].Allowed != after[i].Allowed {
			c.Answers = append(c.Answers, Decision{Tuple{q.User, q.Relation, Object(q.Object), nil}, before[i].Allowed, after[i].Allowed})
		}
	}
	return c, nil
}

// questions are all that can be asked under both models of those whom tuples
// name, about what they name.
func (r *Rules) questions(stored []Tuple, m Model) (qs []fga.Query) {
	users, objects := map[string]bool{}, map[Object]bool{}
	for _, t := range stored {
		users[t.User], objects[t.Object] = true, true
	}
	values, now := r.values(), r.Model()
	for _, o := range sorted(objects) {
		for _, relation := range now.compiled.Relations(o.Type()) {
			if !m.compiled.Lookup(o.Type(), relation) {
				continue
			}
			for _, u := range sorted(users) {
				typ, _, _ := strings.Cut(u, ":")
				if !slices.Contains(m.compiled.Types(), typ) {
					continue
				}
				if len(qs) == maxAsked {
					return qs
				}
				qs = append(qs, fga.Query{User: u, Relation: relation, Object: string(o), Context: values})
			}
		}
	}
	return qs
}

func sorted[K ~string](set map[K]bool) []K {
	out := make([]K, 0, len(set))
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func answers(ctx context.Context, m Model, tuples []fga.Tuple, qs []fga.Query) ([]fga.Answer, error) {
	e, err := fga.Open(store.NewMemory(), "authz", m.compiled)
	if err == nil && len(tuples) > 0 {
		err = e.Write(ctx, fga.Write{Writes: tuples})
	}
	if err != nil {
		return nil, err
	}
	return e.BatchCheck(ctx, qs), nil
}

// unasked are the relations that deputy's decisions ask for and the model
// lacks, on types that the built-in model has them on. Without a can_ relation
// nothing of the type is ever allowed; without the others nothing of it can be
// kept from an agent.
func (m Model) unasked() []string {
	out := []string{}
	b := builtin().compiled
	for _, t := range b.Types() {
		for _, relation := range []string{canCall, canView, canWrite, withheld, readOnly} {
			if b.Lookup(t, relation) && !m.compiled.Lookup(t, relation) {
				out = append(out, t+"#"+relation)
			}
		}
	}
	return out
}

// keptModels are the models in a home's own store.
type keptModels struct {
	store  store.Store
	engine *fga.Engine
	fixed  bool // the configuration names the model
}

type modelRow struct {
	Text string    `json:"text"`
	Set  time.Time `json:"set"`
}

var (
	modelRows    = store.Table[modelRow]{Name: "authz/model"}
	modelCurrent = store.Table[string]{Name: "authz/model-in-use"}
)

func (k *keptModels) current() (m *Model, err error) {
	text := builtinText
	err = k.store.View(func(tx store.Tx) error {
		id, err := modelCurrent.Get(tx, "")
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		row, err := modelRows.Get(tx, id)
		text = row.Text
		return err
	})
	if err != nil {
		return nil, err
	}
	if text == builtinText {
		b := builtin()
		return &b, nil
	}
	parsed, err := ParseModel(text)
	return &parsed, err
}

func (k *keptModels) SetModel(_ context.Context, m Model) error {
	if k.fixed {
		return ErrModelFixed
	}
	err := k.store.Update(func(tx store.Tx) error {
		if m.text == builtinText { // the next version's may be another
			return modelCurrent.Delete(tx, "")
		}
		return errors.Join(
			modelRows.Put(tx, modelRow{m.text, time.Now().UTC()}, m.Version()),
			modelCurrent.Put(tx, m.Version(), ""))
	})
	if err != nil {
		return err
	}
	return k.engine.SetModel(m.compiled)
}

func (k *keptModels) Models(context.Context) (out []ModelInfo, err error) {
	err = k.store.View(func(tx store.Tx) error {
		out = nil
		return modelRows.All(tx, func(row modelRow) error {
			out = append(out, ModelInfo{versionOf(row.Text), row.Set})
			return nil
		})
	})
	slices.SortFunc(out, func(a, b ModelInfo) int { return b.Set.Compare(a.Set) })
	return out, err
}

// ErrNoModel says that there is no such model.
var ErrNoModel = errors.New("there is no such model: deputy authz model list shows them")

func (k *keptModels) ModelText(_ context.Context, id string) (text string, err error) {
	err = k.store.View(func(tx store.Tx) error {
		row, err := modelRows.Get(tx, id)
		text = row.Text
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNoModel
	}
	return text, err
}

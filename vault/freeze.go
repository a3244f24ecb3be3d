package vault

import (
	"context"
	"errors"
	"slices"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/store"
)

// Freeze stops what it names until somebody thaws it: nothing is lost, and
// nothing is done. It is looked at before every single request, so a run that
// is under way stops too.
type Freeze struct {
	Kind   string    `json:"kind"` // user, account, agent, provider or all
	Name   string    `json:"name,omitempty"`
	Since  time.Time `json:"since"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
}

// FreezeKinds are what can be stopped.
var FreezeKinds = []string{"all", "user", "account", "agent", "provider"}

// Freeze stops something in the caller's name. Freezing twice is once.
func (v *Vault) Freeze(_ context.Context, c authz.Caller, f Freeze) error {
	return v.editFrozen(c, "freeze", f, func(all []Freeze) []Freeze {
		if slices.ContainsFunc(all, f.same) {
			return all
		}
		f.By, f.Since = c.User(), time.Now().UTC()
		return append(all, f)
	})
}

// Thaw lets it go on.
func (v *Vault) Thaw(_ context.Context, c authz.Caller, f Freeze) error {
	return v.editFrozen(c, "thaw", f, func(all []Freeze) []Freeze { return slices.DeleteFunc(all, f.same) })
}

func (f Freeze) same(other Freeze) bool { return f.Kind == other.Kind && f.Name == other.Name }

func (v *Vault) editFrozen(c authz.Caller, event string, f Freeze, edit func([]Freeze) []Freeze) error {
	if c.IsZero() {
		return authz.ErrNobody
	}
	return v.c.Store.Update(func(tx store.Tx) error {
		all, err := v.frozen.Get(tx, "")
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := v.frozen.Put(tx, edit(slices.Clone(all)), ""); err != nil {
			return err
		}
		what := f.Kind
		if f.Name != "" {
			what += " " + f.Name
		}
		return v.c.Audit.Append(tx, audit.Line{Event: event, User: c.User(), Agent: c.Agent(), Outcome: what})
	})
}

// FrozenNow lists what is stopped.
func (v *Vault) FrozenNow() (all []Freeze, err error) {
	err = v.c.Store.View(func(tx store.Tx) error {
		all, err = v.freezes(tx)
		return err
	})
	return all, err
}

func (v *Vault) freezes(tx store.Tx) ([]Freeze, error) {
	all, err := v.frozen.Get(tx, "")
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return all, err
}

// Frozen returns ErrFrozen if the caller, or what it is about to use, is
// stopped. provider and account may be empty.
func (v *Vault) Frozen(c authz.Caller, provider, account string) error {
	return v.c.Store.View(func(tx store.Tx) error { return v.frozenIn(tx, c, provider, account) })
}

func (v *Vault) frozenIn(tx store.Tx, c authz.Caller, provider, account string) error {
	all, err := v.freezes(tx)
	if err != nil {
		return err
	}
	for _, f := range all {
		name := map[string]string{"all": "", "user": c.User(), "agent": c.Agent(), "provider": provider, "account": account}
		if is, ok := name[f.Kind]; ok && is == f.Name {
			return ErrFrozen
		}
	}
	return nil
}

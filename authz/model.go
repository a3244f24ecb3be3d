package authz

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"
)

//go:embed model.fga
var builtinModel string

// BuiltinModel is the model deputy ships, in the OpenFGA language.
func BuiltinModel() string { return builtinModel }

// model is an authorization model made ready for evaluation.
type model struct {
	dsl     string
	version string
	types   map[string]map[string]*relation
}

type relation struct {
	rewrite *rewrite
	direct  map[string]bool // allowed users: "user", "user:*", "group#member"
}

type rewriteKind uint8

const (
	this rewriteKind = iota
	computed
	fromTupleset
	union
	intersection
	exclusion
)

type rewrite struct {
	kind     rewriteKind
	relation string // computed: on the same object; fromTupleset: on each parent
	tupleset string
	children []*rewrite
}

// parseModel reads a model in the OpenFGA DSL, schema 1.1.
func parseModel(dsl string) (*model, error) {
	proto, err := transformer.TransformDSLToProto(dsl)
	if err != nil {
		return nil, fmt.Errorf("authorization model: %w", err)
	}
	if len(proto.GetConditions()) > 0 {
		return nil, errors.New("authorization model: conditions are not supported by the embedded engine: remove them")
	}
	sum := sha256.Sum256([]byte(dsl))
	m := &model{dsl: dsl, version: hex.EncodeToString(sum[:8]), types: map[string]map[string]*relation{}}
	for _, td := range proto.GetTypeDefinitions() {
		if m.types[td.GetType()] != nil {
			return nil, fmt.Errorf("authorization model: type %s is defined twice", td.GetType())
		}
		relations := map[string]*relation{}
		for name, userset := range td.GetRelations() {
			rw, err := compile(userset)
			if err != nil {
				return nil, fmt.Errorf("authorization model: %s#%s: %w", td.GetType(), name, err)
			}
			r := &relation{rewrite: rw, direct: map[string]bool{}}
			for _, ref := range td.GetMetadata().GetRelations()[name].GetDirectlyRelatedUserTypes() {
				r.direct[reference(ref)] = true
			}
			relations[name] = r
		}
		m.types[td.GetType()] = relations
	}
	return m, m.validate()
}

func reference(ref *openfgav1.RelationReference) string {
	switch {
	case ref.GetWildcard() != nil:
		return ref.GetType() + ":*"
	case ref.GetRelation() != "":
		return ref.GetType() + "#" + ref.GetRelation()
	}
	return ref.GetType()
}

func compile(u *openfgav1.Userset) (*rewrite, error) {
	all := func(kind rewriteKind, us ...*openfgav1.Userset) (*rewrite, error) {
		rw := &rewrite{kind: kind}
		for _, child := range us {
			c, err := compile(child)
			if err != nil {
				return nil, err
			}
			rw.children = append(rw.children, c)
		}
		return rw, nil
	}
	switch u := u.GetUserset().(type) {
	case *openfgav1.Userset_This:
		return &rewrite{kind: this}, nil
	case *openfgav1.Userset_ComputedUserset:
		return &rewrite{kind: computed, relation: u.ComputedUserset.GetRelation()}, nil
	case *openfgav1.Userset_TupleToUserset:
		return &rewrite{
			kind:     fromTupleset,
			tupleset: u.TupleToUserset.GetTupleset().GetRelation(),
			relation: u.TupleToUserset.GetComputedUserset().GetRelation(),
		}, nil
	case *openfgav1.Userset_Union:
		return all(union, u.Union.GetChild()...)
	case *openfgav1.Userset_Intersection:
		return all(intersection, u.Intersection.GetChild()...)
	case *openfgav1.Userset_Difference:
		return all(exclusion, u.Difference.GetBase(), u.Difference.GetSubtract())
	}
	return nil, errors.New("unknown rewrite")
}

// validate refuses references to what is not defined: a typing error in a
// rule must not silently deny, or worse, silently not exclude.
func (m *model) validate() error {
	for typ, relations := range m.types {
		for name, r := range relations {
			for ref := range r.direct {
				user, rel, _ := strings.Cut(ref, "#")
				user = strings.TrimSuffix(user, ":*")
				if m.types[user] == nil || rel != "" && m.types[user][rel] == nil {
					return fmt.Errorf("authorization model: %s#%s: [%s] is not defined", typ, name, ref)
				}
			}
			if err := m.validateRewrite(typ, name, r.rewrite); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *model) validateRewrite(typ, name string, rw *rewrite) error {
	switch rw.kind {
	case computed:
		if m.types[typ][rw.relation] == nil {
			return fmt.Errorf("authorization model: %s#%s: relation %s is not defined", typ, name, rw.relation)
		}
	case fromTupleset:
		parents := m.types[typ][rw.tupleset]
		if parents == nil || parents.rewrite.kind != this {
			return fmt.Errorf("authorization model: %s#%s: %s must be a relation assigned directly", typ, name, rw.tupleset)
		}
		found := false
		for parent := range parents.direct {
			found = found || m.types[parent][rw.relation] != nil
		}
		if !found {
			return fmt.Errorf("authorization model: %s#%s: no type of %s has the relation %s", typ, name, rw.tupleset, rw.relation)
		}
	}
	for _, child := range rw.children {
		if err := m.validateRewrite(typ, name, child); err != nil {
			return err
		}
	}
	return nil
}

// admits reports whether the model has a place for t.
func (m *model) admits(t Tuple) error {
	relations := m.types[t.Object.Type()]
	if relations == nil {
		return fmt.Errorf("%w: %s: the model has no type %q", ErrBadTuple, t, t.Object.Type())
	}
	r := relations[t.Relation]
	if r == nil {
		return fmt.Errorf("%w: %s: type %s has no relation %q", ErrBadTuple, t, t.Object.Type(), t.Relation)
	}
	user, rel := splitUser(t.User)
	ref := Object(user).Type()
	switch {
	case rel != "":
		ref += "#" + rel
	case strings.HasSuffix(user, ":*"):
		ref += ":*"
	}
	if !r.direct[ref] {
		return fmt.Errorf("%w: %s: %s#%s does not take [%s]", ErrBadTuple, t, t.Object.Type(), t.Relation, ref)
	}
	return nil
}

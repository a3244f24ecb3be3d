package fga

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"github.com/openfga/language/pkg/go/transformer"
	"google.golang.org/protobuf/encoding/protojson"
)

// Model is an authorization model, schema 1.1, checked and made ready for
// evaluation: its types and relations are numbered, so that the index and the
// evaluation compare numbers.
type Model struct {
	types      map[string]uint16
	typeNames  []string
	byType     []map[string]uint16 // relation ids by type and name
	relations  []relation
	slots      []int // how many relations of each type take tuples
	conditions []*condition
	named      map[string]int // into conditions
}

type relation struct {
	typ          uint16
	slot         int // which of its type's relations that take tuples; -1: it takes none
	name         string
	rewrite      *rewrite
	restrictions []restriction
	reach        bits // the shapes of users that can stand in it
	leaf         bool // direct, of objects, without conditions: not worth remembering
}

// restriction is one entry of a type restriction: [user], [user:*],
// [group#member], each perhaps with a condition.
type restriction struct {
	shape     uint32
	condition string
}

type rewriteKind uint8

const (
	direct rewriteKind = iota
	computed
	tupleToUserset
	union
	intersection
	exclusion
)

const none = ^uint16(0)

type rewrite struct {
	kind     rewriteKind
	relation uint16 // direct: its own; computed: on the same object; tupleToUserset: the tupleset
	name     string // tupleToUserset: the relation asked for on each parent …
	targets  []uint16
	children []*rewrite // … by the parent's type, none where it has no such relation
}

// ParseModel reads a model in the OpenFGA language or its JSON.
func ParseModel(text string) (*Model, error) {
	proto, err := ParseProto(text)
	if err != nil {
		return nil, err
	}
	return NewModel(proto)
}

// ParseProto reads a model into OpenFGA's own message, without checking it.
func ParseProto(text string) (*openfgav1.AuthorizationModel, error) {
	if len(text) > maxModel {
		return nil, fail(InvalidModel, errors.New("authorization model: it is larger than 256 KiB"))
	}
	if nested(text) > maxNested {
		return nil, fail(InvalidModel, errors.New("authorization model: its brackets are nested deeper than 100"))
	}
	read := transformer.TransformDSLToProto
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		read = transformer.LoadJSONStringToProto
	}
	proto, err := read(text)
	if err != nil {
		return nil, fail(InvalidModel, fmt.Errorf("authorization model: %w", err))
	}
	return proto, nil
}

// Bounds of a model. The first two are OpenFGA's.
const (
	maxModel  = 256 << 10
	maxTypes  = 100
	maxNested = 100
)

// nested is how deep the brackets of a text are, wherever they stand.
func nested(text string) (deepest int) {
	depth := 0
	for _, c := range []byte(text) {
		switch c {
		case '(', '{', '[':
			depth++
			deepest = max(deepest, depth)
		case ')', '}', ']':
			depth--
		}
	}
	return deepest
}

// WriteJSON is a model in OpenFGA's JSON: equal models are equal texts.
func WriteJSON(proto *openfgav1.AuthorizationModel) (string, error) {
	text, err := protojson.Marshal(proto)
	if err != nil {
		return "", fail(InvalidModel, fmt.Errorf("authorization model: %w", err))
	}
	var stable bytes.Buffer // protojson's spaces vary from build to build
	err = json.Indent(&stable, text, "", "  ")
	return stable.String(), err
}

// JoinModules makes one model, in OpenFGA's JSON, of a modular one: the text
// of its fga.mod, and read for each file that it names.
func JoinModules(mod string, read func(name string) (string, error)) (string, error) {
	invalid := func(err error) error { return fail(InvalidModel, fmt.Errorf("authorization model: %w", err)) }
	file, err := transformer.TransformModFile(mod)
	if err != nil {
		return "", invalid(err)
	}
	var modules []transformer.ModuleFile
	for _, c := range file.Contents.Value {
		text, err := read(c.Value)
		if err != nil {
			return "", invalid(err)
		}
		modules = append(modules, transformer.ModuleFile{Name: c.Value, Contents: text})
	}
	proto, err := transformer.TransformModuleFilesToModel(modules, file.Schema.Value)
	if err != nil {
		return "", invalid(err)
	}
	return WriteJSON(proto)
}

// ParseModules reads a modular model, see JoinModules.
func ParseModules(mod string, read func(name string) (string, error)) (*Model, error) {
	text, err := JoinModules(mod, read)
	if err != nil {
		return nil, err
	}
	return ParseModel(text)
}

// NewModel checks a model in OpenFGA's own message.
func NewModel(proto *openfgav1.AuthorizationModel) (*Model, error) {
	m, err := compile(proto)
	if err != nil {
		return nil, fail(InvalidModel, fmt.Errorf("authorization model: %w", err))
	}
	return m, nil
}

func compile(proto *openfgav1.AuthorizationModel) (*Model, error) {
	if v := proto.GetSchemaVersion(); v != "1.1" && v != "1.2" {
		return nil, fmt.Errorf("invalid schema version %q", v)
	}
	if n := len(proto.GetTypeDefinitions()); n > maxTypes {
		return nil, fmt.Errorf("it has %d types, more than 100 types", n)
	}
	m := &Model{types: map[string]uint16{}, named: map[string]int{}}
	for _, td := range proto.GetTypeDefinitions() {
		if err := m.declare(td); err != nil {
			return nil, err
		}
	}
	if len(m.relations) >= int(none) {
		return nil, errors.New("too many relations")
	}
	for _, name := range slices.Sorted(maps.Keys(proto.GetConditions())) {
		c := proto.GetConditions()[name]
		if name != c.GetName() {
			return nil, fmt.Errorf("condition key '%s' does not match condition name '%s'", name, c.GetName())
		}
		compiled, err := compileCondition(c)
		if err != nil {
			return nil, err
		}
		m.named[name] = len(m.conditions)
		m.conditions = append(m.conditions, compiled)
	}
	for _, td := range proto.GetTypeDefinitions() {
		t := m.types[td.GetType()]
		for name, userset := range td.GetRelations() {
			id := m.byType[t][name]
			if err := m.define(id, userset, td.GetMetadata().GetRelations()[name].GetDirectlyRelatedUserTypes()); err != nil {
				return nil, fmt.Errorf("'%s#%s': %w", td.GetType(), name, err)
			}
		}
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	m.findReach()
	return m, nil
}

func (m *Model) declare(td *openfgav1.TypeDefinition) error {
	t := uint16(len(m.typeNames))
	name := td.GetType()
	if _, twice := m.types[name]; twice {
		return fmt.Errorf("type '%s' is defined twice", name)
	}
	if err := reserved(name); err != nil {
		return err
	}
	m.types[name] = t
	m.typeNames = append(m.typeNames, name)
	byName := map[string]uint16{}
	for _, r := range slices.Sorted(maps.Keys(td.GetRelations())) {
		if err := reserved(r); err != nil {
			return fmt.Errorf("type '%s': %w", name, err)
		}
		byName[r] = uint16(len(m.relations))
		m.relations = append(m.relations, relation{typ: t, name: r, slot: -1})
	}
	m.byType = append(m.byType, byName)
	m.slots = append(m.slots, 0)
	return nil
}

func reserved(name string) error {
	switch name {
	case "":
		return errors.New("a name cannot be empty")
	case "self", "this":
		return fmt.Errorf("'%s' is a reserved keyword", name)
	}
	return nil
}

func (m *Model) define(id uint16, userset *openfgav1.Userset, refs []*openfgav1.RelationReference) (err error) {
	r := &m.relations[id]
	if r.rewrite, err = m.rewriteOf(id, userset); err != nil {
		return err
	}
	for _, ref := range refs {
		s, err := m.shapeOf(ref)
		if err != nil {
			return err
		}
		r.restrictions = append(r.restrictions, restriction{s, ref.GetCondition()})
	}
	r.leaf = r.rewrite.kind == direct
	for _, x := range r.restrictions {
		_, set := m.usersetOf(x.shape)
		r.leaf = r.leaf && !set && x.condition == ""
	}
	if len(refs) > 0 {
		r.slot = m.slots[r.typ]
		m.slots[r.typ]++
	}
	return nil
}

func (m *Model) rewriteOf(id uint16, u *openfgav1.Userset) (*rewrite, error) {
	typ := m.relations[id].typ
	group := func(kind rewriteKind, us ...*openfgav1.Userset) (*rewrite, error) {
		if len(us) < 2 {
			return nil, errors.New("a set operation has fewer than two operands")
		}
		rw := &rewrite{kind: kind}
		for _, child := range us {
			c, err := m.rewriteOf(id, child)
			if err != nil {
				return nil, err
			}
			rw.children = append(rw.children, c)
		}
		return rw, nil
	}
	switch u := u.GetUserset().(type) {
	case *openfgav1.Userset_This:
		return &rewrite{kind: direct, relation: id}, nil
	case *openfgav1.Userset_ComputedUserset:
		r, ok := m.relation(typ, u.ComputedUserset.GetRelation())
		if !ok || r == id {
			return nil, fmt.Errorf("relation '%s' is not defined, or is itself", u.ComputedUserset.GetRelation())
		}
		return &rewrite{kind: computed, relation: r}, nil
	case *openfgav1.Userset_TupleToUserset:
		r, ok := m.relation(typ, u.TupleToUserset.GetTupleset().GetRelation())
		if !ok {
			return nil, fmt.Errorf("tupleset '%s' is not defined", u.TupleToUserset.GetTupleset().GetRelation())
		}
		rw := &rewrite{kind: tupleToUserset, relation: r, name: u.TupleToUserset.GetComputedUserset().GetRelation()}
		for t := range m.typeNames {
			target, ok := m.relation(uint16(t), rw.name)
			if !ok {
				target = none
			}
			rw.targets = append(rw.targets, target)
		}
		return rw, nil
	case *openfgav1.Userset_Union:
		return group(union, u.Union.GetChild()...)
	case *openfgav1.Userset_Intersection:
		return group(intersection, u.Intersection.GetChild()...)
	case *openfgav1.Userset_Difference:
		return group(exclusion, u.Difference.GetBase(), u.Difference.GetSubtract())
	}
	return nil, errors.New("unknown rewrite")
}

// relation is the id of a type's relation.
func (m *Model) relation(t uint16, name string) (uint16, bool) {
	r, ok := m.byType[t][name]
	return r, ok
}

// Lookup reports whether the model defines the relation on the type.
func (m *Model) Lookup(typ, relation string) bool {
	t, ok := m.types[typ]
	if ok {
		_, ok = m.relation(t, relation)
	}
	return ok
}

// Has reports whether the model defines the type.
func (m *Model) Has(typ string) bool { _, ok := m.types[typ]; return ok }

// Types are the model's types, sorted.
func (m *Model) Types() []string { return slices.Sorted(slices.Values(m.typeNames)) }

// Relations are the relations of a type, sorted.
func (m *Model) Relations(typ string) []string {
	t, ok := m.types[typ]
	if !ok {
		return nil
	}
	return slices.Sorted(maps.Keys(m.byType[t]))
}

func (r *rewrite) walk(fn func(*rewrite)) {
	fn(r)
	for _, c := range r.children {
		c.walk(fn)
	}
}

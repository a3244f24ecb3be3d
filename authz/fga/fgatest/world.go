// Package fgatest draws random models with tuples and questions, so that
// authz/fga can be compared with other evaluators.
package fgatest

import (
	"fmt"

	openfgav1 "github.com/openfga/api/proto/openfga/v1"
	"pgregory.net/rapid"

	"deputy/authz/fga"
)

// World is a model, which may be invalid, and what could be asked under it.
type World struct {
	Model      *openfgav1.AuthorizationModel
	Tuples     []fga.Tuple // without duplicates; not all fit the model
	Contextual []fga.Tuple
	Context    map[string]any
	Users      []string
	Objects    []string
	Relations  []string
}

var (
	types     = []string{"user", "group", "folder", "doc"}
	relations = []string{"a", "b", "c", "d"}
)

// Draw makes a world. Ids are few, so that cycles and chance meetings are
// common.
func Draw(t *rapid.T, conditions bool) World {
	g := generator{t, conditions}
	w := World{Relations: relations}
	m := &openfgav1.AuthorizationModel{SchemaVersion: "1.1"}
	for _, typ := range types {
		td := &openfgav1.TypeDefinition{Type: typ}
		if typ != "user" {
			g.relations(td)
		}
		m.TypeDefinitions = append(m.TypeDefinitions, td)
		for id := range 3 {
			w.Objects = append(w.Objects, fmt.Sprintf("%s:%d", typ, id))
		}
		w.Users = append(w.Users, typ+":*")
	}
	if conditions {
		m.Conditions = map[string]*openfgav1.Condition{
			"low":  condition("low", "x < 10", map[string]openfgav1.ConditionParamTypeRef_TypeName{"x": openfgav1.ConditionParamTypeRef_TYPE_NAME_INT}),
			"near": condition("near", "ip.in_cidr('10.0.0.0/8') && x > 0", map[string]openfgav1.ConditionParamTypeRef_TypeName{"x": openfgav1.ConditionParamTypeRef_TYPE_NAME_INT, "ip": openfgav1.ConditionParamTypeRef_TYPE_NAME_IPADDRESS}),
		}
		w.Context = g.context()
	}
	w.Model = m
	w.Users = append(w.Users, w.Objects...)
	for _, o := range w.Objects {
		for _, r := range relations {
			w.Users = append(w.Users, o+"#"+r)
		}
	}
	w.Tuples = g.tuples(w, rapid.IntRange(0, 60).Draw(t, "stored"))
	w.Contextual = g.tuples(w, rapid.IntRange(0, 4).Draw(t, "contextual"))
	return w
}

// Question draws what may be asked: mostly about a person.
func (w World) Question(t *rapid.T) (user, relation, object string) {
	user = rapid.SampledFrom([]string{"user:0", "user:1", "user:2", "user:*"}).Draw(t, "user")
	if rapid.IntRange(0, 3).Draw(t, "another kind") == 0 {
		user = rapid.SampledFrom(w.Users).Draw(t, "user")
	}
	return user, rapid.SampledFrom(w.Relations).Draw(t, "relation"), rapid.SampledFrom(w.Objects[3:]).Draw(t, "object")
}

func condition(name, expression string, params map[string]openfgav1.ConditionParamTypeRef_TypeName) *openfgav1.Condition {
	c := &openfgav1.Condition{Name: name, Expression: expression, Parameters: map[string]*openfgav1.ConditionParamTypeRef{}}
	for p, typ := range params {
		c.Parameters[p] = &openfgav1.ConditionParamTypeRef{TypeName: typ}
	}
	return c
}

type generator struct {
	*rapid.T
	conditions bool
}

func pick[T any](g generator, from ...T) T { return rapid.SampledFrom(from).Draw(g.T, "pick") }

// relations gives td a direct relation p, which others go through, and a to d.
// Most models are valid: computed relations mostly go up the alphabet.
func (g generator) relations(td *openfgav1.TypeDefinition) {
	td.Relations = map[string]*openfgav1.Userset{"p": this()}
	td.Metadata = &openfgav1.Metadata{Relations: map[string]*openfgav1.RelationMetadata{
		"p": {DirectlyRelatedUserTypes: g.refs(false)},
	}}
	for i, r := range relations {
		if i > 1 && rapid.IntRange(0, 19).Draw(g.T, "missing") == 0 {
			continue
		}
		direct := false
		td.Relations[r] = g.rewrite(i, 2, &direct)
		if direct {
			td.Metadata.Relations[r] = &openfgav1.RelationMetadata{DirectlyRelatedUserTypes: g.refs(true)}
		}
	}
}

func this() *openfgav1.Userset {
	return &openfgav1.Userset{Userset: &openfgav1.Userset_This{This: &openfgav1.DirectUserset{}}}
}

func (g generator) refs(sets bool) (out []*openfgav1.RelationReference) {
	if sets && rapid.IntRange(0, 3).Draw(g.T, "people") > 0 {
		out = append(out, &openfgav1.RelationReference{Type: "user"})
	}
	for range rapid.IntRange(1, 3).Draw(g.T, "refs") {
		ref := &openfgav1.RelationReference{Type: pick(g, types...)}
		if sets {
			switch rapid.IntRange(0, 5).Draw(g.T, "shape") {
			case 0, 1:
				ref.Type = "user"
			case 2:
				ref.RelationOrWildcard = &openfgav1.RelationReference_Wildcard{Wildcard: &openfgav1.Wildcard{}}
			case 3, 4:
				ref.Type = pick(g, types[1:]...)
				ref.RelationOrWildcard = &openfgav1.RelationReference_Relation{Relation: pick(g, relations[:2]...)}
			}
		} else {
			ref.Type = pick(g, types[1:]...)
		}
		if g.conditions && rapid.IntRange(0, 3).Draw(g.T, "conditional") == 0 {
			ref.Condition = pick(g, "low", "near")
		}
		out = append(out, ref)
	}
	return out
}

func (g generator) rewrite(own, depth int, direct *bool) *openfgav1.Userset {
	kinds := []int{0, 0, 0, 2}
	above := relations[own+1:]
	if rapid.IntRange(0, 29).Draw(g.T, "any") == 0 {
		above = relations
	}
	if len(above) > 0 {
		kinds = append(kinds, 1)
	}
	if depth > 0 {
		kinds = append(kinds, 3, 3, 4, 5)
	}
	children := func() []*openfgav1.Userset {
		return []*openfgav1.Userset{g.rewrite(own, depth-1, direct), g.rewrite(own, depth-1, direct)}
	}
	switch pick(g, kinds...) {
	case 1:
		return &openfgav1.Userset{Userset: &openfgav1.Userset_ComputedUserset{ComputedUserset: &openfgav1.ObjectRelation{Relation: pick(g, above...)}}}
	case 2:
		return &openfgav1.Userset{Userset: &openfgav1.Userset_TupleToUserset{TupleToUserset: &openfgav1.TupleToUserset{
			Tupleset: &openfgav1.ObjectRelation{Relation: "p"}, ComputedUserset: &openfgav1.ObjectRelation{Relation: pick(g, relations...)}}}}
	case 3:
		return &openfgav1.Userset{Userset: &openfgav1.Userset_Union{Union: &openfgav1.Usersets{Child: children()}}}
	case 4:
		return &openfgav1.Userset{Userset: &openfgav1.Userset_Intersection{Intersection: &openfgav1.Usersets{Child: children()}}}
	case 5:
		c := children()
		return &openfgav1.Userset{Userset: &openfgav1.Userset_Difference{Difference: &openfgav1.Difference{Base: c[0], Subtract: c[1]}}}
	}
	*direct = true
	return this()
}

// tuples mostly fit the model.
func (g generator) tuples(w World, n int) (out []fga.Tuple) {
	seen := map[string]bool{}
	names := append([]string{"p", "p"}, relations...)
	for range n {
		td := pick(g, w.Model.GetTypeDefinitions()[1:]...)
		t := fga.Tuple{User: pick(g, w.Users...), Relation: pick(g, names...), Object: fmt.Sprintf("%s:%d", td.GetType(), pick(g, 0, 1, 2))}
		if refs := td.GetMetadata().GetRelations()[t.Relation].GetDirectlyRelatedUserTypes(); len(refs) > 0 && rapid.IntRange(0, 9).Draw(g.T, "stray") > 0 {
			ref := pick(g, refs...)
			t.User = fmt.Sprintf("%s:%d", ref.GetType(), pick(g, 0, 1, 2))
			switch {
			case ref.GetWildcard() != nil:
				t.User = ref.GetType() + ":*"
			case ref.GetRelation() != "":
				t.User += "#" + ref.GetRelation()
			}
			if c := ref.GetCondition(); c != "" {
				t.Condition = &fga.Condition{Name: c, Context: g.context()}
			}
		} else if g.conditions && rapid.Bool().Draw(g.T, "conditional") {
			t.Condition = &fga.Condition{Name: pick(g, "low", "near"), Context: g.context()}
		}
		key := t.User + " " + t.Relation + " " + t.Object
		if !seen[key] && t.User != t.Object+"#"+t.Relation {
			seen[key] = true
			out = append(out, t)
		}
	}
	return out
}

func (g generator) context() map[string]any {
	out := map[string]any{}
	if rapid.Bool().Draw(g.T, "x") {
		out["x"] = pick[any](g, 1.0, 11.0, "-3")
	}
	if rapid.Bool().Draw(g.T, "ip") {
		out["ip"] = pick[any](g, "10.1.2.3", "::ffff:10.0.0.1", "192.0.2.1")
	}
	return out
}

package tools_test

import (
	"slices"
	"testing"

	"deputy/tools"
	"deputy/tools/toolstest"
)

// offered are the provider's tools that a guard offers.
func offered(w *toolstest.World, g *tools.Guard) (names []string) {
	for _, s := range g.Catalog().Specs() {
		if s.Scopes != nil && g.Allowed(ctx, w.Caller("anna", "claude"), s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

func TestAChoiceOnlyTakesAway(t *testing.T) {
	n := &notebook{}
	w, anna := world(t, n)
	const add, draft, list = "github_notes_add", "github_notes_draft", "github_notes_list"
	for name, c := range map[string]struct {
		choices []tools.Choice
		want    []string
	}{
		"nothing chosen":            {nil, []string{add, draft, list}},
		"reading only":              {[]tools.Choice{{ReadOnly: true}}, []string{list}},
		"drafting only":             {[]tools.Choice{{DraftsOnly: true}}, []string{draft, list}},
		"by name":                   {[]tools.Choice{{Tools: []string{add}}}, []string{add}},
		"no toolset":                {[]tools.Choice{{Toolsets: []string{}}}, nil},
		"by name and toolset":       {[]tools.Choice{{Toolsets: []string{"github"}, Tools: []string{add}}}, []string{add, draft, list}},
		"exclusion wins":            {[]tools.Choice{{Tools: []string{add, list}, Exclude: []string{add}}}, []string{list}},
		"reading wins":              {[]tools.Choice{{Tools: []string{add, list}, ReadOnly: true}}, []string{list}},
		"all, after reading only":   {[]tools.Choice{{ReadOnly: true}, {Toolsets: []string{"all"}}}, []string{list}},
		"named, after an exclusion": {[]tools.Choice{{Exclude: []string{add}}, {Tools: []string{add}}}, nil},
		"the default toolset":       {[]tools.Choice{{Toolsets: []string{"default"}}}, []string{add, draft, list}},
	} {
		g := w.Guard
		for _, choice := range c.choices {
			var err error
			if g, err = g.Within(choice); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if got := offered(w, g); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		// The same, where the whole process is narrowed.
		catalog, err := tools.NewCatalog(c.choices, notesProvider())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for _, s := range catalog.Specs() {
			if s.Scopes != nil {
				got = append(got, s.Name)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: the catalogue has %v, want %v", name, got, c.want)
		}
	}

	// What is left out cannot be called, and is as unknown as any other word.
	narrow, err := w.Guard.Within(tools.Choice{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	refused(t, narrow.Call(ctx, anna, add, []byte(`{"text":"x"}`)), tools.NoSuchTool)
	refused(t, narrow.Call(ctx, anna, draft, []byte(`{"text":"x"}`)), tools.NoSuchTool)
	if len(n.sent) != 0 {
		t.Errorf("sent: %q", n.sent)
	}
	// What a person said yes to is sent, and told to a narrower session too.
	item := pending(t, w.Guard.Call(ctx, anna, add, []byte(`{"text":"x"}`)))
	approve(t, w, anna, item.ID)
	if _, ok := narrow.Wait(ctx, anna, item.ID, 0).(tools.Answer); !ok || len(n.sent) != 1 {
		t.Errorf("sent: %q", n.sent)
	}

	for name, choice := range map[string]tools.Choice{
		"unknown toolset": {Toolsets: []string{"gitlab"}}, "unknown tool": {Tools: []string{"github_x"}}, "unknown exclusion": {Exclude: []string{"github_x"}},
	} {
		if _, err := w.Guard.Within(choice); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	// A client may name what the operator has left out: it gets nothing for it.
	catalog, err := tools.NewCatalog([]tools.Choice{{Exclude: []string{add}}, {Tools: []string{add, list}}}, notesProvider())
	if err != nil || catalog.Has(add) || !catalog.Has(list) {
		t.Errorf("%v", err)
	}
}

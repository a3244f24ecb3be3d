package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"deputy/approvals/rules"
	"deputy/authz"
	"deputy/authz/storefile"
)

// changeFromFile writes or deletes all tuples of a file in one transaction.
func (inv *invocation) changeFromFile(verb string) error {
	var all []authz.Tuple
	catalog := inv.app.guard.Catalog()
	bar := inv.progress("reading")
	err := storefile.ReadTuples(inv.authzFlags.file, func(t authz.Tuple) error {
		t.Object = catalog.Spell(t.Object)
		all = append(all, t)
		bar(len(all), 0)
		return inv.ctx.Err()
	})
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s holds no tuple: there is nothing to do", inv.authzFlags.file)
	}
	what := fmt.Sprintf("%s %d tuples of %s", verb, len(all), filepath.Base(inv.authzFlags.file))
	err = inv.logged(what, func() error {
		bar := inv.progress("writing")
		if verb == "delete" {
			return inv.app.engine.WriteMany(inv.ctx, nil, all, bar)
		}
		return inv.app.engine.WriteMany(inv.ctx, all, nil, bar)
	})
	if err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	done := map[string]string{"write": "written", "delete": "deleted"}[verb]
	fmt.Fprintf(inv.err, "deputy: %d tuples %s\n", len(all), done)
	return nil
}

// progress shows how far something is, from its second second on, where a
// person watches. of is 0 where the end is not known.
func (inv *invocation) progress(doing string) func(done, of int) {
	if !inv.watched {
		return func(int, int) {}
	}
	begun, shown := time.Now(), time.Time{}
	return func(done, of int) {
		now := time.Now()
		last := done == of
		if now.Sub(begun) < time.Second || now.Sub(shown) < 100*time.Millisecond && !last {
			return
		}
		shown = now
		if of == 0 {
			fmt.Fprintf(inv.err, "\r%s %d", doing, done)
			return
		}
		const width = 30
		full := width * done / of
		fmt.Fprintf(inv.err, "\r%s [%-*s] %d of %d", doing, width, bars[:full], done, of)
		if last {
			fmt.Fprintln(inv.err)
		}
	}
}

const bars = "##############################"

// modelCommand prints, lists or replaces the model.
func (inv *invocation) modelCommand(words []string) error {
	engine := inv.app.engine
	verb := ""
	if len(words) > 0 {
		verb = words[0]
	}
	switch {
	case verb == "":
		fmt.Fprint(inv.out, engine.Model())
		return nil
	case verb == "list" && len(words) == 1:
		all, err := engine.Models(inv.ctx)
		if err != nil {
			return err
		}
		var rows [][]string
		for _, m := range all {
			inUse := ""
			if m.ID == engine.Version() {
				inUse = "in use"
			}
			rows = append(rows, []string{m.ID, m.Set.Format(time.RFC3339), inUse})
		}
		return inv.list(map[string]any{"models": all, "in_use": engine.Version()}, "MODEL SET STATE", rows)
	case verb == "show" && len(words) == 2:
		text, err := engine.ModelText(inv.ctx, words[1])
		if err == nil {
			fmt.Fprint(inv.out, text)
		}
		return err
	case verb == "set" && len(words) == 2:
		return inv.setModel(words[1])
	}
	return usage("want model, model list, model show ID or model set FILE | builtin [--dry-run]")
}

// setModel says what another model would change, and then changes it.
func (inv *invocation) setModel(path string) error {
	m := authz.Builtin()
	if path != "builtin" {
		var err error
		if m, err = storefile.ReadModel(path); err != nil {
			return err
		}
	}
	change, err := inv.app.engine.Compare(inv.ctx, m)
	if err != nil {
		return err
	}
	if inv.global.json {
		if err := inv.printJSON(change); err != nil {
			return err
		}
	} else {
		inv.printChange(change)
	}
	if inv.authzFlags.dryRun {
		if len(change.Stray) > 0 {
			return fmt.Errorf("the model has no place for %d tuples: delete them first, then set it", len(change.Stray))
		}
		return nil
	}
	return inv.logged("model set "+m.Version(), func() error { return inv.app.engine.SetModel(inv.ctx, m) })
}

func (inv *invocation) printChange(c authz.ModelChange) {
	for _, t := range c.Types {
		fmt.Fprintf(inv.out, "type %s\n", t)
	}
	for _, u := range c.Unasked {
		fmt.Fprintf(inv.out, "missing %s, which deputy asks for\n", u)
	}
	for _, t := range c.Stray {
		fmt.Fprintf(inv.out, "no place for %s\n", t)
	}
	word := map[bool]string{true: "yes", false: "no"}
	for _, d := range c.Answers {
		fmt.Fprintf(inv.out, "%s: %s, would be %s\n", d.Tuple, word[d.Now], word[d.Then])
	}
	fmt.Fprintf(inv.out, "%d of %d answers on stored tuples change\n", len(c.Answers), c.Asked)
}

// testRules runs a file's tests of the argument rules: of its own, or of the
// configuration's.
func (inv *invocation) testRules(name string, f *storefile.File, r *storefile.Report) error {
	var suite rules.Suite
	if err := f.Section(&suite); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if len(suite.Tests) == 0 && suite.Rules == nil {
		return nil
	}
	c, err := loadConfig(inv.global)
	if err != nil {
		return err
	}
	all, err := ruleTools(c)
	if err != nil {
		return err
	}
	got, err := suite.Run(configuredRules(c), all)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.Passed += got.Passed
	for _, bad := range got.Failures {
		r.Failures = append(r.Failures, storefile.Failure{Test: bad.Test, Says: bad.Diff})
	}
	return nil
}

// testStores runs store files here, without a home.
func (inv *invocation) testStores(files []string) error {
	if len(files) == 0 {
		return usage("authz test wants store files, as in: deputy authz test docs/recipes/*.fga.yaml")
	}
	passed, failed := 0, 0
	reports := map[string]storefile.Report{}
	for _, name := range files {
		f, err := storefile.Load(name)
		if err != nil {
			return err
		}
		r, err := f.Run(inv.ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := inv.testRules(name, f, &r); err != nil {
			return err
		}
		reports[name] = r
		passed, failed = passed+r.Passed, failed+len(r.Failures)
		if inv.global.json {
			continue
		}
		fmt.Fprintf(inv.out, "%s: %d passed, %d failed\n", name, r.Passed, len(r.Failures))
		for _, bad := range r.Failures {
			fmt.Fprintf(inv.out, "  %s: %s\n", bad.Test, bad.Says)
			for line := range strings.Lines(bad.Why) {
				fmt.Fprintf(inv.out, "    %s", line)
			}
		}
	}
	if inv.global.json {
		if err := inv.printJSON(map[string]any{"passed": passed, "failed": failed, "files": reports}); err != nil {
			return err
		}
	} else if len(files) > 1 {
		fmt.Fprintf(inv.out, "in all: %d passed, %d failed\n", passed, failed)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d expectations are not met", failed, passed+failed)
	}
	return nil
}

package rules

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"deputy/approvals"
)

// Rule is one sentence of the policy, as it is written down.
type Rule struct {
	Name   string `yaml:"name" json:"name"`
	When   string `yaml:"when" json:"when"`     // CEL, a bool
	Need   string `yaml:"need" json:"need"`     // ask, ask+stepup or deny
	Reason string `yaml:"reason" json:"reason"` // told to the person who is asked, and to the agent that is refused
}

// Bounds of what one policy may hold.
const (
	maxRules  = 200
	maxReason = 200
	maxWhen   = 4000
)

// level orders what can be asked; forbidden is above every yes.
type level int

const forbidden = level(approvals.ByFreshPerson) + 1

func (l level) String() string {
	if l == forbidden {
		return "deny"
	}
	return approvals.Need(l).String()
}

var levels = map[string]level{
	"ask": level(approvals.ByPerson), "ask+stepup": level(approvals.ByFreshPerson), "deny": forbidden,
}

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,39}$`)

// check says what is wrong with a rule before its condition is read.
func (r Rule) check() error {
	switch {
	case !ruleName.MatchString(r.Name):
		return fmt.Errorf("name: %q: want small letters, digits, - and _, at most 40", r.Name)
	case r.Need == "allow":
		return errors.New("need: a rule can only raise what is asked: want ask, ask+stepup or deny")
	case levels[r.Need] == 0:
		return fmt.Errorf("need: %q: want ask, ask+stepup or deny", r.Need)
	case strings.TrimSpace(r.When) == "":
		return errors.New("when: it is missing: write a condition, as in taint")
	case len(r.When) > maxWhen:
		return fmt.Errorf("when: it is longer than %d bytes: split the rule", maxWhen)
	case len(r.Reason) > maxReason || strings.ContainsFunc(r.Reason, func(c rune) bool { return !unicode.IsGraphic(c) }):
		return fmt.Errorf("reason: want one line of at most %d bytes", maxReason)
	}
	return nil
}

// place is how errors name a rule.
func (r Rule) place(i int) string { return fmt.Sprintf("approvals.rules[%d] %q", i, r.Name) }

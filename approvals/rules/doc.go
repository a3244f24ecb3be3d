// Package rules is what an operator adds to whose yes a call takes: sentences
// in CEL over the tool, its arguments, the account and what the session has
// read.
//
//   - name: outside
//     when: 'args.to.exists(a, domain(a) != "example.com")'
//     need: ask+stepup
//     reason: mail leaves the company
//
// A rule can only raise what is asked. A Ruling starts at what the tool's
// effect and floor ask already and goes up from there: there is no word for
// less. All rules that match count, and the strictest decides.
//
// Rules are read against the tools' own schemas, once for each tool, so that
// what cannot be right is said before anything runs: an argument no tool has, a
// rule that is never true, a rule that changes nothing (analyse.go). What is
// left to run time is bounded in cost; a rule that cannot be evaluated counts
// as matched.
//
//	rule.go     what an operator writes
//	tool.go     what a tool's schema makes of the names in a rule
//	names.go    the names a rule uses, and the ones it may have meant
//	compile.go  rules × tools → a Set
//	analyse.go  what a rule can come to, before any call
//	set.go      one call → one Ruling
//	suite.go    rules with their tests
package rules

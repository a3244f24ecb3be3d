// Package authz says who may see and do what.
//
// It is the leaf every other part of deputy stands on, and it owns the words
// they share:
//
//	Caller   proof of who is asking: made by a Door, passed as a parameter
//	Object   one thing a rule can speak about: "github_repo:octo/hello"
//	Label    what is known about a text: trusted or not, public or private
//	Engine   the decision: Admit a call, keep what is Visible of an answer
//
// Rules are relationships in the OpenFGA language (model.fga). A decision is
// made on stored tuples, which an operator writes, and on facts, contextual
// tuples that the provider's own answer carries. There is no cache between a
// written tuple and the next decision.
package authz

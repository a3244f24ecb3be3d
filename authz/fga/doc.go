// Package fga is a relationship-based authorization engine in the OpenFGA
// language: it decides whether a user stands in a relation to an object.
//
//	Model    types and relations, compiled          (model, shape, validate)
//	  │        … and its conditions, in CEL         (condition, param, inline)
//	index    the tuples in memory, under a model    (nodes, index)
//	  │
//	evaluation   one user, many objects, one state  (eval, rewrite, memo, overlay)
//	  │
//	Engine   Check, BatchCheck, ListObjects, ListUsers, Expand,
//	         Write, Read, ReadChanges               (engine, list, expand, read, write, rows)
//
// The language, its semantics and the kinds of errors are OpenFGA's; its own
// test suites judge this package, in internal/thirdparty/openfga. Where they
// leave room, an answer that rests on an error or on a cycle is a denial.
//
// The tuples are rows of a store and an index in memory. A write holds the
// engine's lock from before its commit until the index has it, so no decision
// is made on a state older than the last acknowledged write, and none is
// cached from one call to the next. One process owns the store.
package fga

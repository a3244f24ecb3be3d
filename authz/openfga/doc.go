// Package openfga asks an OpenFGA server over its HTTP API what authz/fga
// answers in the process: the same questions, answers and kinds of errors.
//
//	Config   where the server is, its store, the token        (config)
//	  │
//	wire     one request: bounds, retries, what failed         (wire, errors)
//	  │
//	Client   Check, BatchCheck                                 (client, batch, facts)
//	         ListObjects, ListUsers, Expand                    (lists)
//	         Write, Read, ReadChanges                          (tuples)
//	         Model, Models, WriteModel, Follow                 (models)
//
// A server that is down, slow, cut off or lying denies: nothing but a whole,
// well-formed answer to exactly what was asked is a yes. Questions always ask
// for HIGHER_CONSISTENCY, so that a tuple that was taken away does not go on
// allowing out of the server's cache, and are made under one model, named by
// its id. They are repeated where that is safe. A write is never repeated; if
// its outcome is not known, the error says so.
//
// What the server does differently from authz/fga is listed with its reasons
// in fgatest, beside the suite that both pass.
package openfga

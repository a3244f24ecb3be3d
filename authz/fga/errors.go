package fga

import "errors"

// Kind says what a caller can do about an error. Each has a counterpart among
// OpenFGA's codes.
type Kind uint8

const (
	Internal         Kind = iota // the store failed
	Validation                   // validation_error: the request, or a condition of it
	InvalidTuple                 // invalid_tuple
	InvalidModel                 // invalid_authorization_model
	TypeNotFound                 // type_not_found
	RelationNotFound             // relation_not_found
	TooComplex                   // authorization_model_resolution_too_complex
	DuplicateTuple               // cannot_allow_duplicate_tuples_in_one_request
	WriteRefused                 // write_failed_due_to_invalid_input: already there, or not there
	WriteConflict                // aborted: there, with another condition
)

// Error is what every function of this package fails with, except for what
// the store reports.
type Error struct {
	Kind  Kind
	Cause error
}

func (e *Error) Error() string { return e.Cause.Error() }
func (e *Error) Unwrap() error { return e.Cause }

// KindOf is the kind of the outermost Error in err's chain.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

func fail(kind Kind, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Cause: err}
}

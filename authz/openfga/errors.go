package openfga

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"deputy/authz/fga"
)

// failure is an attempt that brought nothing.
type failure struct {
	cause   error
	refused bool          // nothing was done: the server says so, or was not reached
	passing bool          // another attempt may do better …
	after   time.Duration // … and not sooner than this
}

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// odd is an answer that an OpenFGA server would not give.
func (w *wire) odd(format string, args ...any) error {
	return &failure{cause: fmt.Errorf("OpenFGA at %s: %s: see that authz.openfga.url leads to an OpenFGA server, with nothing in between that changes its answers",
		w.base, w.clean(fmt.Sprintf(format, args...)))}
}

// codes are OpenFGA's codes of the kinds. Where several mean one kind, the
// first is the one that stands for it.
var codes = map[fga.Kind][]string{
	fga.Internal: {"internal_error"},
	fga.Validation: {"validation_error", "invalid_write_input", "invalid_check_input", "invalid_expand_input", "invalid_tuple_set",
		"invalid_object_format", "invalid_user", "unsupported_user_set", "exceeded_entity_limit", "tuple_key_value_not_specified",
		"tuple_keys_too_many_or_too_few_items", "param_missing_value", "id_too_long", "object_too_long", "object_invalid_pattern",
		"relation_too_long", "type_invalid_length", "type_invalid_pattern"},
	fga.InvalidTuple: {"invalid_tuple", "invalid_contextual_tuple", "duplicate_contextual_tuple"},
	fga.InvalidModel: {"invalid_authorization_model", "unsupported_schema_version", "cannot_allow_duplicate_types_in_one_request",
		"cannot_allow_multiple_references_to_one_relation", "empty_relation_definition", "type_definitions_too_few_items",
		"relations_too_few_items", "relations_too_long", "relations_invalid_pattern", "difference_base_missing_value", "subtract_base_missing_value"},
	fga.TypeNotFound:     {"type_not_found"},
	fga.RelationNotFound: {"relation_not_found", "unknown_relation"},
	fga.TooComplex:       {"authorization_model_resolution_too_complex"},
	fga.DuplicateTuple:   {"cannot_allow_duplicate_tuples_in_one_request"},
	fga.WriteRefused:     {"write_failed_due_to_invalid_input"},
	fga.WriteConflict:    {"Aborted"},
}

var kinds = func() map[string]fga.Kind {
	m := map[string]fga.Kind{}
	for kind, names := range codes {
		for _, name := range names {
			m[name] = kind
		}
	}
	return m
}()

// Code is OpenFGA's code for a kind of error.
func Code(kind fga.Kind) string { return codes[kind][0] }

// coded is an error that the server gives a code and words for.
func (w *wire) coded(code, message string) error {
	return &fga.Error{Kind: kinds[code], Cause: errors.New("OpenFGA says: " + w.clean(message))}
}

func invalid(err error) error { return &fga.Error{Kind: fga.Validation, Cause: err} }

// refusal reads an answer that is no success.
func (w *wire) refusal(resp *http.Response, answer []byte) error {
	var in struct {
		Code, Message string
		Error         *streamError // of a stream that did not begin
	}
	readable := json.Unmarshal(answer, &in) == nil && in.Code != ""
	f := &failure{after: retryAfter(resp.Header)}
	_, known := kinds[in.Code]
	switch status := resp.StatusCode; {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.refused = true
		f.cause = fmt.Errorf("OpenFGA at %s does not let deputy in (%d): set authz.openfga.token to a token that may use this store", w.base, status)
	case status == http.StatusTooManyRequests:
		f.refused, f.passing = true, true
		f.cause = fmt.Errorf("OpenFGA at %s has too much to do (429): try later, or raise its limits", w.base)
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
		f.passing = true
		f.cause = fmt.Errorf("OpenFGA at %s is not ready (%d): see that it runs, and what its log says", w.base, status)
	case status >= 300 && status < 400:
		f.cause = fmt.Errorf("OpenFGA at %s answers with a redirect (%d), which is not followed: set authz.openfga.url to where it leads", w.base, status)
	case in.Code == "store_id_not_found":
		f.refused = true
		f.cause = fmt.Errorf("OpenFGA at %s has no such store: create it, or name another in authz.openfga.store", w.base)
	case in.Code == "authorization_model_not_found" || in.Code == "latest_authorization_model_not_found":
		f.refused = true
		f.cause = fmt.Errorf("OpenFGA at %s no longer has the authorization model that deputy decides under, or never had it: see that the store is the right one, write the model again, and restart deputy", w.base)
	case in.Error != nil && status == http.StatusBadRequest:
		f.refused = true
		f.cause = w.streamed(*in.Error)
	case readable && known && status < 500:
		f.refused = true
		f.cause = w.coded(in.Code, in.Message)
	case in.Code == "undefined_endpoint":
		return w.odd("it has no such endpoint")
	case readable:
		f.cause = fmt.Errorf("OpenFGA at %s failed (%d %s): see its log", w.base, status, w.clean(in.Code))
	default:
		return w.odd("it answers with status %d", status)
	}
	return f
}

// clean makes words from outside fit for a log: short, printable, and without
// the token, which some servers repeat.
func (w *wire) clean(s string) string {
	if w.redact != nil {
		s = w.redact(s)
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}

package authserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Error codes (RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2, RFC 8628 §3.5, RFC 7591
// §3.2.2, RFC 9470 §3, OpenID Connect Core §3.1.2.6).
const (
	invalidRequest     = "invalid_request"
	invalidClient      = "invalid_client"
	invalidGrant       = "invalid_grant"
	invalidScope       = "invalid_scope"
	invalidTarget      = "invalid_target"
	invalidMetadata    = "invalid_client_metadata"
	unauthorizedClient = "unauthorized_client"
	unsupportedGrant   = "unsupported_grant_type"
	unsupportedAnswer  = "unsupported_response_type"
	unsupportedRequest = "request_not_supported"
	accessDenied       = "access_denied"
	unavailable        = "temporarily_unavailable"
	loginRequired      = "login_required"
	consentRequired    = "consent_required"
	unmet              = "unmet_authentication_requirements"
	pending            = "authorization_pending"
	slowDown           = "slow_down"
	expiredToken       = "expired_token"
)

// fault is an error that a client may read. Its words are ours: nothing that
// came in is repeated.
type fault struct {
	code, words string
	status      int
	after       time.Duration // Retry-After
}

func (f *fault) Error() string { return f.code + ": " + f.words }

func refuse(code, words string) *fault {
	f := &fault{code: code, words: words, status: http.StatusBadRequest}
	if code == invalidClient {
		f.status = http.StatusUnauthorized
	}
	return f
}

// faultOf is what a client is told of an error. Whatever is no fault is ours.
func (s *Server) faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	s.log.Error("authserver", "error", err)
	return &fault{code: unavailable, words: "the server failed: try again later", status: http.StatusServiceUnavailable}
}

// answer writes JSON that nobody may keep (RFC 6749 §5.1).
func answer(w http.ResponseWriter, status int, v any) { writeJSON(w, status, "no-store", v) }

func writeJSON(w http.ResponseWriter, status int, keep string, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", keep)
	h.Set("X-Content-Type-Options", "nosniff")
	body, err := json.Marshal(v)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

// fail answers a machine's request with an error (RFC 6749 §5.2).
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := s.faultOf(err)
	if f.status == http.StatusUnauthorized {
		if _, _, basic := r.BasicAuth(); basic {
			w.Header().Set("WWW-Authenticate", `Basic realm="deputy"`)
		}
	}
	if f.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(f.after.Seconds()))))
	}
	answer(w, f.status, map[string]string{"error": f.code, "error_description": f.words})
}

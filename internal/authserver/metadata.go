package authserver

import (
	"maps"
	"net/http"
	"slices"
)

// metadata answers both addresses where clients look (RFC 8414, OpenID Connect
// Discovery) with the same facts. The two that only the latter wants,
// subject_types and id_token_signing_alg_values, say what would hold: there are
// no ID tokens here.
func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	grants := slices.Sorted(maps.Keys(s.grantTypes()))
	grants = append(grants, slices.Sorted(maps.Keys(s.c.Grants))...)
	scopes := make([]string, 0, len(s.c.Scopes))
	for _, k := range s.c.Scopes {
		scopes = append(scopes, k.Name)
	}
	auth := []string{"none", "client_secret_basic", "client_secret_post"}
	m := map[string]any{
		"issuer":                                         s.issuer,
		"authorization_endpoint":                         s.issuer + "/oauth/authorize",
		"token_endpoint":                                 s.issuer + "/oauth/token",
		"jwks_uri":                                       s.issuer + "/oauth/jwks",
		"pushed_authorization_request_endpoint":          s.issuer + "/oauth/par",
		"device_authorization_endpoint":                  s.issuer + "/oauth/device",
		"revocation_endpoint":                            s.issuer + "/oauth/revoke",
		"introspection_endpoint":                         s.issuer + "/oauth/introspect",
		"scopes_supported":                               scopes,
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          grants,
		"code_challenge_methods_supported":               []string{"S256"},
		"prompt_values_supported":                        []string{promptNone, promptLogin, promptConsent},
		"token_endpoint_auth_methods_supported":          auth,
		"revocation_endpoint_auth_methods_supported":     auth,
		"introspection_endpoint_auth_methods_supported":  auth[1:],
		"authorization_response_iss_parameter_supported": true,
		"client_id_metadata_document_supported":          true,
		"require_pushed_authorization_requests":          false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
		"protected_resources":                            s.c.Resources,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
	}
	if len(s.c.ACRValues) > 0 {
		m["acr_values_supported"] = s.c.ACRValues
	}
	if s.c.Register {
		m["registration_endpoint"] = s.issuer + "/oauth/register"
	}
	if len(s.issuers) > 0 {
		m["authorization_grant_profiles_supported"] = []string{"urn:ietf:params:oauth:grant-profile:id-jag"}
	}
	publish(w, m)
}

// jwks answers GET /oauth/jwks.
func (s *Server) jwks(w http.ResponseWriter, r *http.Request) {
	set, err := s.keys.Public()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	publish(w, set)
}

// publish answers what everybody may know, for a while.
func publish(w http.ResponseWriter, v any) {
	writeJSON(w, http.StatusOK, "public, max-age=300", v)
}

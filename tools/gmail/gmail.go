// Package gmail lets an agent read a person's mail, draft and send.
//
//	gmail.go     the provider and the list of its tools
//	threads.go   searching, and reading a thread
//	drafts.go    drafting; send.go sends; reply.go finds whom a reply goes to
//	mime.go      a mail as the one sequence of bytes deputy sends for it
//	address.go   who gets it; header.go what stands above it
//	render.go    the same bytes, read back for the person who is asked
//	objects.go   what the tools return, as the rules know it
//	body.go      a received mail as text; html.go HTML as text
//	api.go       Gmail's answers and refusals
//
// A label hides everything under it, whether a rule names the label as people
// do or by Gmail's id. What is hidden answers as what does not exist.
package gmail

import (
	"deputy/tools"
	"deputy/vault"
)

const (
	readonly = "https://www.googleapis.com/auth/gmail.readonly"
	compose  = "https://www.googleapis.com/auth/gmail.compose"
	send     = "https://www.googleapis.com/auth/gmail.send"
	modify   = "https://www.googleapis.com/auth/gmail.modify"
	allMail  = "https://mail.google.com/"
)

// Provider is Google with the tools for its mail.
func Provider() tools.Provider {
	return tools.Provider{
		Provider: vault.Provider{
			Name:  "google",
			Title: "Google",

			APIURL: "https://gmail.googleapis.com",
			OAuth: vault.Server{
				AuthURL:   "https://accounts.google.com/o/oauth2/v2/auth",
				TokenURL:  "https://oauth2.googleapis.com/token",
				RevokeURL: "https://oauth2.googleapis.com/revoke",
				DeviceURL: "", // Google's device flow takes no Gmail scope
				Issuer:    "https://accounts.google.com",
				PKCE:      true,
				// Google gives a refresh token only for offline access, and only when
				// it asks for consent.
				Params:     map[string]string{"access_type": "offline", "prompt": "consent"},
				Revocation: vault.RevokeToken,
				RevokesAll: true,
				Refusals:   map[string]vault.Verdict{"admin_policy_enforced": vault.GrantEnded, "org_internal": vault.ClientBad, "deleted_client": vault.ClientBad},
			},
			// include_granted_scopes stays off: each grant is for itself, so that
			// reading never holds a token that sends.
			Several:    true,
			Narrow:     vault.Narrow{Refresh: true},
			BaseScopes: []string{"openid", "email"},
			Implies: map[string][]string{
				allMail: {modify, readonly, compose, send},
				modify:  {readonly, compose, send},
				compose: {send},
				// What Google calls "email" in its answer.
				"https://www.googleapis.com/auth/userinfo.email": {"email"},
			},
			RevokeNote: "Google ends all access this user gave to the same Google Cloud project, not only this connection: other programs that use the project have to be connected again too.",
			Notes: []string{
				`While the app's consent screen is in "Testing", Google ends every connection after 7 days: publish it ("In production"); unverified it may have 100 users.`,
				"Google keeps 100 refresh tokens for an account and client, and forgets the oldest without a word.",
				"A changed password, 6 months without use and an administrator's policy end a connection that reads mail.",
			},
			Identity: vault.Identity{IDToken: true, Subject: []string{"sub"}, Name: []string{"email"}},

			Reads: []string{
				"GET /gmail/v1/users/me/labels",
				"GET /gmail/v1/users/me/threads",
				"GET /gmail/v1/users/me/threads/{id}",
				"GET /gmail/v1/users/me/messages/{id}",
			},
			Writes: []string{
				"POST /gmail/v1/users/me/drafts",
				"POST /gmail/v1/users/me/messages/send",
			},
			Header:    map[string]string{"Accept": "application/json"},
			Fault:     fault,
			PerMinute: 1500,
		},
		Toolset: "gmail",
		Tools: []tools.Tool{
			searchThreads,
			getThread,
			createDraft,
			sendMessage,
			reply,
		},
		Render: render,
		Where:  where,
		Spell:  spell,
	}
}

// Package slack lets an agent read Slack and post to it for a person.
//
//	slack.go     the provider and the list of its tools
//	search.go    searching messages
//	channels.go  finding channels
//	messages.go  reading channels and threads
//	people.go    people; names.go puts names to user ids
//	files.go     files and canvases
//	send.go      posting a message, now or later; post.go is what goes out
//	change.go    changing, deleting and reacting to one message
//	open.go      opening conversations
//	render.go    reads a write back for the person who is asked
//	objects.go   what the tools return, as the rules know it; results.go of writes
//	text.go      Slack's markup as it comes; markup.go and blocks.go as it goes out
//	wire.go      Slack's answers; api.go its refusals
//
// Slack's own names are all ids. Text goes out as plain text, whatever it looks
// like: an agent notifies nobody and hides no link behind a label, unless it
// asks to and the person reads that it does.
//
// Left out on purpose: inviting people from outside, writing user groups and
// everything under admin, which give away more than one call should; canvases'
// whole text, which Slack tells on another host only; drafts, which Slack has
// no API for, and which a message that waits for its yes is anyway.
package slack

import (
	"deputy/tools"
	"deputy/vault"
)

// The scopes that open conversations.info, and a conversation's messages,
// whatever kind of conversation it is.
var (
	see     = []string{"channels:read", "groups:read", "im:read", "mpim:read"}
	history = []string{"channels:history", "groups:history", "im:history", "mpim:history"}
)

// Provider is Slack with its tools.
func Provider() tools.Provider {
	n := newNames()
	return tools.Provider{
		Provider: vault.Provider{
			Name:  "slack",
			Title: "Slack",

			APIURL: "https://slack.com/api",
			OAuth: vault.Server{
				AuthURL:    "https://slack.com/oauth/v2/authorize",
				TokenURL:   "https://slack.com/api/oauth.v2.access",
				RevokeURL:  "https://slack.com/api/auth.revoke",
				ScopeParam: "user_scope", // "scope" would ask for a bot, who is not this person
				ScopeSep:   ",",
				Shape:      vault.SlackV2User,
				Revocation: vault.RevokeBearer,
				Refusals:   refusals,
			},
			// A Slack app that once switches PKCE on is a public client for good: no
			// secret, and refresh tokens that end after 30 days.
			Public: &vault.Server{
				AuthURL:    "https://slack.com/oauth/v2_user/authorize",
				TokenURL:   "https://slack.com/api/oauth.v2.user.access",
				RevokeURL:  "https://slack.com/api/auth.revoke",
				PKCE:       true,
				ScopeSep:   ",",
				Shape:      vault.SlackV2User,
				Revocation: vault.RevokeBearer,
				Refusals:   refusals,
			},
			RevokeNote: "Slack ended this connection's tokens. The app itself stays installed in the workspace until it is removed there.",
			Notes: []string{
				"Make the app an internal one of your workspace: Slack lets other apps outside its marketplace read one page of 15 messages a minute.",
				"Slack sends people back to https addresses alone: set an https public_url, or use an app with PKCE, which may use http://localhost: then leave client_secret out.",
				"Switch token rotation on: without it a token never ends. It cannot be switched off again.",
			},
			Identity: vault.Identity{
				Path:    "/auth.test",
				Subject: []string{"team_id", "user_id"},
				Name:    []string{"team_id", "user_id"}, // names at Slack change and repeat
			},

			Reads: []string{
				"GET /auth.test",
				"GET /conversations.list",
				"GET /conversations.info",
				"GET /conversations.history",
				"GET /conversations.replies",
				"GET /conversations.members",
				"GET /users.info",
				"GET /users.list",
				"GET /files.info",
				"GET /assistant.search.context",
			},
			Writes: []string{
				"POST " + postPath,
				"POST " + schedulePath,
				"POST " + updatePath,
				"POST " + deletePath,
				"POST " + reactPath,
				"POST " + openPath,
				"POST " + createPath,
			},
			PostReads: true, // arguments in a query would end up in logs on the way
			Header:    map[string]string{"Accept": "application/json"},
			Fault:     fault,
			PerMinute: 300,
		},
		Toolset: "slack",
		Tools: []tools.Tool{
			n.searchPublic(),
			n.searchAll(),
			searchChannels,
			n.searchUsers(),
			n.readChannel(),
			n.readThread(),
			readUserProfile,
			n.listMembers(),
			n.readFile(),
			n.sendMessage(),
			n.scheduleMessage(),
			n.updateMessage(),
			n.deleteMessage(),
			n.addReaction(),
			createConversation,
		},
		Render: render,
		Where:  where,
	}
}

// refusals are what Slack's token endpoint says instead of RFC 6749's codes.
var refusals = map[string]vault.Verdict{
	"invalid_refresh_token": vault.GrantEnded, "token_revoked": vault.GrantEnded, "token_expired": vault.GrantEnded, "account_inactive": vault.GrantEnded,
	"invalid_code": vault.GrantEnded, "code_already_used": vault.GrantEnded,
	"invalid_client_id": vault.ClientBad, "bad_client_secret": vault.ClientBad, "bad_redirect_uri": vault.ClientBad,
}

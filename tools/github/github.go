// Package github lets an agent read repositories and issues on GitHub for a
// person, and open, change and comment on issues.
//
//	github.go    the provider and the list of its tools
//	issues.go    reading issues
//	contents.go  reading files and directories
//	change.go    opening and changing an issue; other writes have a file each
//	render.go    reads every write back for the person who is asked
//	notes.go     what that person should not overlook
//	objects.go   what the tools return, as the rules know it
//	names.go     the names and texts that GitHub takes
//	api.go       GitHub's answers and refusals
//
// GitHub knows a repository under any case of its name, and under its old name
// after a move. The rules know it by one: the name that GitHub's answer gives,
// in lower case. A repository asked for under another name has to pass under
// both.
package github

import (
	"deputy/tools"
	"deputy/vault"
)

// scopes is what every tool takes: GitHub's OAuth scopes know no reading, and
// no issues without the code.
var scopes = []string{"repo"}

// offer is a tool with the requests it may send. What is not one of them
// cannot be shown to a person, and so it is never sent.
type offer struct {
	tool  tools.Tool
	sends []form
}

var offers = []offer{
	{tool: listIssues},
	{tool: issueRead},
	{tool: getFileContents},
	{issueWrite, []form{createForm, updateForm}},
	{addIssueComment, []form{commentForm}},
}

// Provider is GitHub with its tools.
func Provider() tools.Provider {
	p := tools.Provider{
		Provider: vault.Provider{
			Name:  "github",
			Title: "GitHub",

			APIURL: "https://api.github.com",
			OAuth: vault.Server{
				AuthURL:    "https://github.com/login/oauth/authorize",
				TokenURL:   "https://github.com/login/oauth/access_token",
				RevokeURL:  "https://api.github.com/applications",
				DeviceURL:  "https://github.com/login/device/code",
				PKCE:       true,
				Revocation: vault.RevokeGitHub,
				RevokesAll: true,
				Refusals: map[string]vault.Verdict{
					"bad_refresh_token": vault.GrantEnded, "bad_verification_code": vault.GrantEnded,
					"incorrect_client_credentials": vault.ClientBad, "redirect_uri_mismatch": vault.ClientBad,
					"incorrect_device_code": vault.GrantEnded, "device_flow_disabled": vault.ClientBad, "unsupported_grant_type": vault.ClientBad,
				},
			},
			Several:    true, // up to ten tokens, one for each set of scopes
			Narrow:     vault.Narrow{ScopedURL: "https://api.github.com/applications", Permissions: permissions},
			Implies:    map[string][]string{"repo": {"public_repo"}},
			RevokeNote: "GitHub ended every token that deputy's app had for this account, on this and any other installation of the app.",
			Notes: []string{
				"A GitHub App (app: true) is the better client: its tokens end after 8 hours and are narrowed to one repository for each request.",
				"GitHub keeps ten tokens for a user and OAuth app, and forgets the oldest: other machines with the same app may be signed out.",
				`Switch off the wildcard for redirect URIs in the app's settings.`,
			},
			Identity: vault.Identity{
				Path:    "/user",
				Subject: []string{"id"}, // a login can be given up and taken by somebody else
				Name:    []string{"login"},
			},

			Reads: []string{
				"GET /user",
				"GET /repos/{owner}/{repo}",
				"GET /repos/{owner}/{repo}/issues",
				"GET /repos/{owner}/{repo}/issues/{number}",
				"GET /repos/{owner}/{repo}/issues/{number}/comments",
				"GET /repos/{owner}/{repo}/issues/{number}/labels",
				"GET /repos/{owner}/{repo}/issues/{number}/sub_issues",
				"GET /repos/{owner}/{repo}/contents",
				"GET /repos/{owner}/{repo}/contents/{path...}",
			},
			Header: map[string]string{
				"Accept":               "application/vnd.github+json",
				"X-GitHub-Api-Version": "2022-11-28",
				"User-Agent":           "deputy", // GitHub refuses requests without one
			},
			Fault:     fault,
			PerMinute: 600,
		},
		Toolset: "github",
		Render:  render,
		Where:   where,
		Spell:   spell,
	}
	for _, o := range offers {
		p.Tools = append(p.Tools, o.tool)
		for _, f := range o.sends {
			p.Writes = append(p.Writes, f.pattern)
		}
	}
	return p
}

// permissions are what a GitHub App's token needs for each request (its REST
// reference, "Permissions required for GitHub Apps").
var permissions = map[string]string{
	"GET /repos/{owner}/{repo}":                            "metadata:read",
	"GET /repos/{owner}/{repo}/issues":                     "issues:read",
	"GET /repos/{owner}/{repo}/issues/{number}":            "issues:read",
	"GET /repos/{owner}/{repo}/issues/{number}/comments":   "issues:read",
	"GET /repos/{owner}/{repo}/issues/{number}/labels":     "issues:read",
	"GET /repos/{owner}/{repo}/issues/{number}/sub_issues": "issues:read",
	"GET /repos/{owner}/{repo}/contents":                   "contents:read",
	"GET /repos/{owner}/{repo}/contents/{path...}":         "contents:read",
	"POST /repos/{owner}/{repo}/issues":                    "issues:write",
	"PATCH /repos/{owner}/{repo}/issues/{number}":          "issues:write",
	"POST /repos/{owner}/{repo}/issues/{number}/comments":  "issues:write",
}

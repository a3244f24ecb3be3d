package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/tools"
	"deputy/vault"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// Capabilities are what this request's client declared, in either era.
func Capabilities(ctx context.Context) mcp.ClientCapabilities {
	if i := mcpserver.RequestProtocolInfoFromContext(ctx); i != nil && i.Modern {
		if i.ClientCapabilities != nil {
			return *i.ClientCapabilities
		}
		return mcp.ClientCapabilities{}
	}
	if s, ok := mcpserver.ClientSessionFromContext(ctx).(mcpserver.SessionWithClientInfo); ok {
		return s.GetClientCapabilities()
	}
	return mcp.ClientCapabilities{}
}

const (
	form    = "form"
	link    = "url"
	inputID = "approval"
)

// elicit turns an outcome that needs a person into a question to the client,
// or returns nil if this client declared no way to be asked.
func (s *Server) elicit(ctx context.Context, c authz.Caller, req mcp.CallToolRequest, out tools.Outcome) *mcp.CallToolResult {
	e := Capabilities(ctx).Elicitation
	if e == nil {
		return nil
	}
	forms := e.Form != nil || e.URL == nil // {} means forms
	st := State{User: c.User(), Agent: c.Agent(), Call: Digest(req), Mode: link}
	var ask mcp.ElicitationParams
	switch out := out.(type) {
	case tools.NeedsApproval:
		st.Approval, st.Expires = out.Item.ID, out.Item.Expires
		switch {
		case forms && s.c.Forms && out.Item.Need <= approvals.ByPerson:
			st.Mode = form
			ask = mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: formMessage(out.Item), RequestedSchema: approveSchema}
		case e.URL != nil:
			ask = mcp.ElicitationParams{
				Mode: mcp.ElicitationModeURL, URL: out.URL, ElicitationID: out.Item.ID,
				Message: fmt.Sprintf("deputy: %s with %s? Decide on deputy's page; it shows the code %s.", out.Item.Title, out.Item.Account, out.Item.MatchCode),
			}
		default:
			return nil
		}
	case tools.NeedsConnection:
		if e.URL == nil {
			return nil
		}
		st.Asked = time.Now()
		st.Expires = st.Asked.Add(15 * time.Minute)
		st.Connect = vault.Wish{Provider: out.Provider, Account: out.Account}
		ask = mcp.ElicitationParams{
			Mode: mcp.ElicitationModeURL, URL: out.URL, ElicitationID: "connect-" + st.Call[:16],
			Message: fmt.Sprintf("deputy needs to be connected to %s.", out.Provider),
		}
	default:
		return nil
	}
	sealed, err := s.states.Seal(st)
	if err != nil {
		return nil
	}
	return mcpserver.NewInputRequestBuilder(sealed).Elicit(inputID, ask).ToolResult()
}

var approveSchema = map[string]any{
	"type": "object",
	"properties": map[string]any{
		"approve": map[string]any{"type": "boolean", "title": "Approve", "description": "Yes: deputy sends exactly this, once.", "default": false},
	},
	"required": []string{"approve"},
}

func formMessage(i approvals.Item) string {
	return fmt.Sprintf("%s, with %s?\n\n%s", i.Title, i.Account, i.Preview.Text())
}

// resume takes the client's answer. A form's yes or no is the person's; a URL
// that was opened says nothing yet: the decision is made on the page.
func (s *Server) resume(ctx context.Context, v visit, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	c := v.caller
	st, err := s.states.Open(req.Params.RequestState, c.User(), c.Agent(), Digest(req))
	if err != nil {
		return nil, err
	}
	answer := mcpserver.ElicitationResponse(req.Params.InputResponses, inputID)
	if st.Approval == "" { // it was for a connection
		patience := time.Duration(0)
		if answer != nil && answer.Action == mcp.ElicitationResponseActionAccept {
			patience = s.c.Patience // the person is on their way through the provider's pages
		}
		out := v.guard.Connected(ctx, c, req.Params.Name, arguments(req), st.Connect, st.Asked, patience)
		if _, still := out.(tools.NeedsConnection); still { // it is not asked for twice in one call
			return result(out), nil
		}
		if asked := s.elicit(ctx, c, req, out); asked != nil {
			return asked, nil
		}
		return result(out), nil
	}
	if answer == nil {
		return result(v.guard.Wait(ctx, c, st.Approval, 0)), nil
	}
	accepted := answer.Action == mcp.ElicitationResponseActionAccept
	switch {
	case st.Mode == form && answer.Action != mcp.ElicitationResponseActionCancel:
		content, _ := answer.Content.(map[string]any)
		yes, _ := content["approve"].(bool)
		err := v.guard.Decide(ctx, c, st.Approval, accepted && yes)
		if err != nil && !errors.Is(err, approvals.ErrDecided) {
			return nil, ErrState
		}
		return result(v.guard.Wait(ctx, c, st.Approval, s.c.Patience)), nil
	case st.Mode == link && accepted:
		return result(v.guard.Wait(ctx, c, st.Approval, s.c.Patience)), nil
	}
	// Dismissed: nobody said no, so the question stays open on the page.
	return result(v.guard.Wait(ctx, c, st.Approval, 0)), nil
}

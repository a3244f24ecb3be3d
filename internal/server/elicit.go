package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"deputy/approvals"
	"deputy/authz"
	"deputy/internal/store"
	"deputy/tools"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// state is what a client carries between two rounds of one call. It is sealed,
// and bound to who asked, for what, and for how long. It is used once because
// the request it names is decided once.
type state struct {
	User     string    `json:"user"`
	Agent    string    `json:"agent"`
	Call     string    `json:"call"` // digest of the tool and its arguments
	Approval string    `json:"approval,omitempty"`
	Mode     string    `json:"mode"`
	Expires  time.Time `json:"expires"`
}

type states struct{ sealer store.Sealer }

var stateAD = []byte("server/request-state")

// errState is all a client learns of a state that is not its own.
var errState = errors.New("the requestState is not valid for this call")

func (s *states) seal(st state) (string, error) {
	plain, err := json.Marshal(st)
	if err != nil {
		return "", err
	}
	sealed, err := s.sealer.Seal(stateAD, plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (s *states) open(text string, c authz.Caller, call string) (st state, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return st, errState
	}
	plain, err := s.sealer.Open(stateAD, sealed)
	if err != nil || json.Unmarshal(plain, &st) != nil {
		return st, errState
	}
	if st.User != c.User() || st.Agent != c.Agent() || st.Call != call || time.Now().After(st.Expires) {
		return st, errState
	}
	return st, nil
}

func digest(req mcp.CallToolRequest) string {
	// Arguments are compared by value: a client may encode them anew.
	var v any
	_ = json.Unmarshal(arguments(req), &v)
	canonical, _ := json.Marshal([]any{req.Params.Name, v})
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// capabilities are what this request's client declared, in either era.
func capabilities(ctx context.Context) mcp.ClientCapabilities {
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
	e := capabilities(ctx).Elicitation
	if e == nil {
		return nil
	}
	forms := e.Form != nil || e.URL == nil // {} means forms
	st := state{User: c.User(), Agent: c.Agent(), Call: digest(req), Mode: link}
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
		st.Expires = time.Now().Add(15 * time.Minute)
		ask = mcp.ElicitationParams{
			Mode: mcp.ElicitationModeURL, URL: out.URL, ElicitationID: "connect-" + st.Call[:16],
			Message: fmt.Sprintf("deputy needs to be connected to %s.", out.Provider),
		}
	default:
		return nil
	}
	sealed, err := s.states.seal(st)
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

// wait bounds how long a second round waits for an outcome: less than the
// minute after which clients give up.
const wait = 50 * time.Second

// resume takes the client's answer. A form's yes or no is the person's; a URL
// that was opened says nothing yet: the decision is made on the page.
func (s *Server) resume(ctx context.Context, c authz.Caller, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	st, err := s.states.open(req.Params.RequestState, c, digest(req))
	if err != nil {
		return nil, err
	}
	answer := mcpserver.ElicitationResponse(req.Params.InputResponses, inputID)
	if st.Approval == "" { // the URL was for a connection: try again as if anew
		return result(s.c.Guard.Call(ctx, c, req.Params.Name, arguments(req))), nil
	}
	if answer == nil {
		return result(s.c.Guard.Wait(ctx, c, st.Approval, 0)), nil
	}
	accepted := answer.Action == mcp.ElicitationResponseActionAccept
	switch {
	case st.Mode == form && answer.Action != mcp.ElicitationResponseActionCancel:
		content, _ := answer.Content.(map[string]any)
		yes, _ := content["approve"].(bool)
		err := s.c.Guard.Decide(ctx, c, st.Approval, accepted && yes)
		if err != nil && !errors.Is(err, approvals.ErrDecided) {
			return nil, errState
		}
		return result(s.c.Guard.Wait(ctx, c, st.Approval, wait)), nil
	case st.Mode == link && accepted:
		return result(s.c.Guard.Wait(ctx, c, st.Approval, wait)), nil
	}
	// Dismissed: nobody said no, so the question stays open on the page.
	return result(s.c.Guard.Wait(ctx, c, st.Approval, 0)), nil
}

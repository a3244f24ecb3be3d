package approvals

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"deputy/authz"
	"deputy/internal/pages"
)

//go:embed templates
var templates embed.FS

var (
	inboxPage = pages.Parse(templates, "templates/inbox.html")
	itemPage  = pages.Parse(templates, "templates/item.html")
)

// Page is where a person reads and decides: server-rendered, without script.
// A link to it carries no authority; Who says who is signed in.
type Page struct {
	Ledger *Ledger
	Who    func(*http.Request) (authz.Caller, bool)
	SignIn http.HandlerFunc // answers a browser nobody is signed in with
}

// Routes adds the pages and their JSON twins to mux.
func (p Page) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /approvals", p.signedIn(p.inbox))
	mux.HandleFunc("GET /approvals/{id}", p.signedIn(p.show))
	mux.HandleFunc("POST /approvals/{id}", p.signedIn(p.decide))
	mux.HandleFunc("GET /api/approvals", p.api(p.apiList))
	mux.HandleFunc("GET /api/approvals/{id}", p.api(p.apiShow))
	mux.HandleFunc("POST /api/approvals/{id}", p.api(p.apiDecide))
}

type handler func(http.ResponseWriter, *http.Request, authz.Caller)

func (p Page) signedIn(next handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c, ok := p.Who(r); ok {
			next(w, r, c)
			return
		}
		p.SignIn(w, r)
	}
}

func (p Page) inbox(w http.ResponseWriter, r *http.Request, c authz.Caller) {
	items, err := p.Ledger.List(r.Context(), c)
	if err != nil {
		pages.Message(w, http.StatusInternalServerError, "Approvals", "The list cannot be read just now.")
		return
	}
	var data struct{ Open, Ended []Item }
	for _, i := range items {
		if i.State.Ended() {
			data.Ended = append(data.Ended, i)
		} else {
			data.Open = append(data.Open, i)
		}
	}
	data.Ended = data.Ended[:min(len(data.Ended), 50)]
	inboxPage.Render(w, http.StatusOK, "Approvals", data)
}

func (p Page) show(w http.ResponseWriter, r *http.Request, c authz.Caller) {
	item, err := p.Ledger.Get(r.Context(), c, r.PathValue("id"))
	if err != nil {
		pages.Message(w, http.StatusNotFound, "Not found", "There is no such request, or it was swept away after its end.")
		return
	}
	p.render(w, http.StatusOK, item, "")
}

func (p Page) render(w http.ResponseWriter, status int, item Item, complaint string) {
	itemPage.Render(w, status, item.Title, struct {
		Item      Item
		Complaint string
	}{item, complaint})
}

func (p Page) decide(w http.ResponseWriter, r *http.Request, c authz.Caller) {
	id := r.PathValue("id")
	approve, ok := map[string]bool{"approve": true, "deny": false}[r.PostFormValue("decision")]
	if !ok {
		pages.Message(w, http.StatusBadRequest, "Nothing was decided", "Go back and press Approve or Deny.")
		return
	}
	_, err := p.Ledger.Decide(r.Context(), id, c, Decision{Approve: approve, Channel: "page", Reason: clip(r.PostFormValue("reason"))})
	if err == nil {
		if approve { // the sending takes a moment; show its end if it is quick
			ctx, cancel := shortly(r.Context())
			defer cancel()
			p.Ledger.Wait(ctx, c, id)
		}
		http.Redirect(w, r, "/approvals/"+id, http.StatusSeeOther)
		return
	}
	item, getErr := p.Ledger.Get(r.Context(), c, id)
	if getErr != nil {
		pages.Message(w, http.StatusNotFound, "Not found", "There is no such request, or it was swept away after its end.")
		return
	}
	status, complaint := explain(err)
	p.render(w, status, item, complaint)
}

var errBadDecision = errors.New("approvals: bad decision")

// explain is the one table from errors to what a person reads.
func explain(err error) (int, string) {
	switch {
	case errors.Is(err, errBadDecision):
		return http.StatusBadRequest, `Want {"decision": "approve" or "deny", "reason": "…"}; nothing was decided.`
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound, "There is no such request."
	case errors.Is(err, ErrDecided):
		return http.StatusConflict, "This is closed: decided, expired or replaced. Nothing changed."
	case errors.Is(err, ErrStepUp):
		return http.StatusForbidden, "This one takes a fresh sign-in: sign in again, then approve."
	case errors.Is(err, ErrChannel):
		return http.StatusForbidden, "The operator does not take decisions on this page (approvals.channels)."
	}
	return http.StatusInternalServerError, "The decision could not be recorded; nothing was sent."
}

func (p Page) api(next func(*http.Request, authz.Caller) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		pages.Headers(w.Header())
		w.Header().Set("Content-Type", "application/json")
		c, ok := p.Who(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="deputy approvals"`)
			w.WriteHeader(http.StatusUnauthorized)
			json.NewEncoder(w).Encode(map[string]string{"error": "sign in on the approval page; an agent's bearer is not accepted here"})
			return
		}
		answer, err := next(r, c)
		if err != nil {
			status, text := explain(err)
			w.WriteHeader(status)
			answer = map[string]string{"error": text}
		}
		json.NewEncoder(w).Encode(answer)
	}
}

func (p Page) apiList(r *http.Request, c authz.Caller) (any, error) {
	items, err := p.Ledger.List(r.Context(), c)
	return map[string][]Item{"approvals": slices.Concat([]Item{}, items)}, err
}

func (p Page) apiShow(r *http.Request, c authz.Caller) (any, error) {
	return p.Ledger.Get(r.Context(), c, r.PathValue("id"))
}

func (p Page) apiDecide(r *http.Request, c authz.Caller) (any, error) {
	var in struct {
		Decision string `json:"decision"`
		Reason   string `json:"reason"`
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil || in.Decision != "approve" && in.Decision != "deny" {
		return nil, errBadDecision
	}
	return p.Ledger.Decide(r.Context(), r.PathValue("id"), c, Decision{Approve: in.Decision == "approve", Channel: "page", Reason: clip(in.Reason)})
}

// clip bounds a person's reason, which is shown to the agent.
func clip(s string) string {
	if r := []rune(s); len(r) > 200 {
		return string(r[:200])
	}
	return s
}

func shortly(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*time.Second)
}

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
	StepUp http.HandlerFunc // asks for a fresh proof, and leads back; nil: only says that it takes one
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
		pages.Message(w, r, http.StatusInternalServerError, "inbox.title", "inbox.broken")
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
	inboxPage.Render(w, r, http.StatusOK, "inbox.title", data)
}

func (p Page) show(w http.ResponseWriter, r *http.Request, c authz.Caller) {
	item, err := p.Ledger.Get(r.Context(), c, r.PathValue("id"))
	if err != nil {
		pages.Message(w, r, http.StatusNotFound, "missing.title", "item.missing")
		return
	}
	p.render(w, r, http.StatusOK, c, item, "")
}

func (p Page) render(w http.ResponseWriter, r *http.Request, status int, c authz.Caller, item Item, complaint string) {
	itemPage.Render(w, r, status, item.Title, struct {
		Item      Item
		Complaint string
		Fresh     bool // approving takes a proof that the person has not given yet
	}{item, complaint, p.Ledger.wantsProof(item.Need, c)})
}

func (p Page) decide(w http.ResponseWriter, r *http.Request, c authz.Caller) {
	id := r.PathValue("id")
	approve, ok := map[string]bool{"approve": true, "deny": false}[r.PostFormValue("decision")]
	if !ok {
		pages.Message(w, r, http.StatusBadRequest, "item.undecided", "item.go_back")
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
	if errors.Is(err, ErrStepUp) && p.StepUp != nil {
		p.StepUp(w, r)
		return
	}
	item, getErr := p.Ledger.Get(r.Context(), c, id)
	if getErr != nil {
		pages.Message(w, r, http.StatusNotFound, "missing.title", "item.missing")
		return
	}
	status, complaint := explain(err)
	p.render(w, r, status, c, item, complaint)
}

var errBadDecision = errors.New("approvals: bad decision")

// explain is the one table from errors to what a person reads: a text's key.
func explain(err error) (int, string) {
	switch {
	case errors.Is(err, errBadDecision):
		return http.StatusBadRequest, "item.format"
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound, "item.none"
	case errors.Is(err, ErrDecided):
		return http.StatusConflict, "item.closed"
	case errors.Is(err, ErrStepUp):
		return http.StatusForbidden, "item.stepup"
	case errors.Is(err, ErrChannel):
		return http.StatusForbidden, "item.channel"
	}
	return http.StatusInternalServerError, "item.broken"
}

func (p Page) api(next func(*http.Request, authz.Caller) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		pages.Headers(w.Header())
		w.Header().Set("Content-Type", "application/json")
		c, ok := p.Who(r)
		if !ok {
			w.Header().Set("WWW-Authenticate", `Bearer realm="deputy approvals"`)
			w.WriteHeader(http.StatusUnauthorized)
			json.NewEncoder(w).Encode(map[string]string{"error": pages.Text(r, "item.api")})
			return
		}
		answer, err := next(r, c)
		if err != nil {
			status, key := explain(err)
			w.WriteHeader(status)
			answer = map[string]string{"error": pages.Text(r, key)}
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

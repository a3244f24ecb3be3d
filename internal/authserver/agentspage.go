package authserver

import (
	"net/http"

	"deputy/internal/pages"
)

var agentsPage = pages.Parse(templates, "templates/agents.html")

// showAgents lists the programs that may act for the person who is signed in.
func (s *Server) showAgents(w http.ResponseWriter, r *http.Request) {
	who, ok := s.c.People.Person(r)
	if !ok {
		s.c.People.Ask(w, r)
		return
	}
	all, err := s.Grants(r.Context(), who.User())
	if err != nil {
		s.log.Error("authserver", "error", err)
		pages.Message(w, r, http.StatusInternalServerError, "agents.title", "agents.failed")
		return
	}
	type shown struct {
		Given
		Titled []Scope
	}
	var data []shown
	for _, g := range all {
		data = append(data, shown{g, s.scopesTitled(g.Scopes)})
	}
	agentsPage.Render(w, r, http.StatusOK, "agents.title", data)
}

// revokeAgent takes back everything that the person gave a program.
func (s *Server) revokeAgent(w http.ResponseWriter, r *http.Request) {
	who, ok := s.c.People.Person(r)
	if !ok {
		s.c.People.Ask(w, r)
		return
	}
	if err := s.Revoke(r.Context(), who.User(), r.PostFormValue("client"), who.User()); err != nil {
		s.log.Error("authserver", "error", err)
		pages.Message(w, r, http.StatusInternalServerError, "agents.title", "agents.failed")
		return
	}
	http.Redirect(w, r, "/agents", http.StatusSeeOther)
}

package authserver

import (
	"errors"
	"net/http"

	"deputy/authz"
	"deputy/internal/pages"
	"deputy/internal/store"
)

// showDevice asks for the code that a device shows.
func (s *Server) showDevice(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.c.People.Person(r); !ok {
		s.c.People.Ask(w, r)
		return
	}
	s.renderDevice(w, r, http.StatusOK, "")
}

func (s *Server) renderDevice(w http.ResponseWriter, r *http.Request, status int, complaint string) {
	devicePage.Render(w, r, status, "device.title", struct{ Code, Complaint string }{
		group(readUserCode(r.FormValue("user_code"))), complaint,
	})
}

func group(code string) string {
	if len(code) <= userLen/2 {
		return code
	}
	return code[:userLen/2] + "-" + code[userLen/2:min(len(code), userLen)]
}

// deviceForm takes the code, and then the answer. An answer to a device is never
// remembered: nothing shows that the next one is the same.
func (s *Server) deviceForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	who, ok := s.c.People.Person(r)
	switch {
	case !ok:
		s.c.People.Ask(w, r)
	case r.PostFormValue("handle") != "":
		s.answerDevice(w, r, who)
	default:
		s.askDevice(w, r, who)
	}
}

// askDevice finds the device behind a code, and asks.
func (s *Server) askDevice(w http.ResponseWriter, r *http.Request, who authz.Caller) {
	if err := s.limits.take("guess|"+who.User(), 1/guessEvery.Seconds(), guesses); err != nil {
		s.renderDevice(w, r, http.StatusTooManyRequests, "oauth.busy")
		return
	}
	d, id, err := s.waiting(readUserCode(r.PostFormValue("user_code")))
	if errors.Is(err, errHandle) {
		s.renderDevice(w, r, http.StatusNotFound, "device.unknown")
		return
	}
	var ask question
	if err == nil {
		client, errClient := s.find(r, d.Client)
		if err = errClient; err == nil {
			ask = s.question(client, who, d.Scopes)
			ask.Action = "/device"
			ask.Handle, err = s.seal(deviceAD, handle{Device: id, User: who.User(), Session: who.Session()})
		}
	}
	if err != nil {
		f := s.faultOf(err)
		pages.Message(w, r, f.status, "oauth.title", "oauth.broken")
		return
	}
	consentPage.Render(w, r, http.StatusOK, "consent.title", ask)
}

// waiting finds the device that shows a code.
func (s *Server) waiting(code string) (d device, id string, err error) {
	err = s.c.Store.View(func(tx store.Tx) error {
		u, err := s.tables.userCodes.Get(tx, hashed(code))
		if err == nil {
			d, err = s.tables.devices.Get(tx, u.Device)
		}
		id = u.Device
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && d.over() {
		err = errHandle
	}
	return d, id, err
}

func (s *Server) answerDevice(w http.ResponseWriter, r *http.Request, who authz.Caller) {
	h, err := s.asked(deviceAD, r.PostFormValue("handle"), who)
	decision := r.PostFormValue("decision")
	switch {
	case err == nil && decision != "allow" && decision != "deny":
		pages.Message(w, r, http.StatusBadRequest, "oauth.title", "oauth.undecided")
		return
	case err == nil:
		err = s.settle(h.Device, who, decision == "allow")
	}
	switch {
	case errors.Is(err, errHandle):
		pages.Message(w, r, http.StatusNotFound, "oauth.title", "oauth.over")
	case err != nil:
		pages.Message(w, r, s.faultOf(err).status, "oauth.title", "oauth.broken")
	case decision == "allow":
		pages.Message(w, r, http.StatusOK, "device.done", "device.allowed")
	default:
		pages.Message(w, r, http.StatusOK, "device.done", "device.denied")
	}
}

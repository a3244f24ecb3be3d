package authserver

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"deputy/authz"
	"deputy/internal/audit"
	"deputy/internal/authserver/clients"
	"deputy/internal/store"
)

const (
	// DeviceLife is how long a device waits for its person.
	DeviceLife = 10 * time.Minute

	pollEvery   = 5 * time.Second
	pollSlower  = 5 * time.Second // added each time that a device asks too soon
	userLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userLen     = 8
)

// device is a device authorization under way (RFC 8628), by the hash of its
// device_code.
type device struct {
	Client   string        `json:"client"`
	Scopes   []string      `json:"scopes"`
	Resource string        `json:"resource"`
	Code     string        `json:"code"` // hash of the user_code
	Every    time.Duration `json:"every"`
	Polled   time.Time     `json:"polled,omitzero"`
	Expires  time.Time     `json:"expires"`
	State    deviceState   `json:"state"`
	User     string        `json:"user,omitempty"`
	AuthTime time.Time     `json:"auth_time,omitzero"`
	ACR      string        `json:"acr,omitempty"`
}

type deviceState string

const (
	deviceWaits   deviceState = "waits"
	deviceAllowed deviceState = "allowed"
	deviceDenied  deviceState = "denied"
)

// userCode leads from what a person types to the device.
type userCode struct {
	Device  string    `json:"device"`
	Expires time.Time `json:"expires"`
}

// beginDevice answers POST /oauth/device (RFC 8628 §3.1).
func (s *Server) beginDevice(w http.ResponseWriter, r *http.Request, client clients.Client) error {
	if !client.May(clients.DeviceGrant) {
		return refuse(unauthorizedClient, "the client is not registered for this grant type")
	}
	resource, err := s.resourceOf(r.PostForm["resource"])
	if err != nil {
		return err
	}
	scopes, err := s.scopesOf(r.PostForm.Get("scope"))
	if err != nil {
		return err
	}
	text, typed := secret(), newUserCode()
	until := time.Now().UTC().Add(DeviceLife)
	err = s.change(func(c *change) error {
		if crowded, err := full(c, s.tables.devices); err != nil || crowded {
			return errors.Join(err, errCrowded)
		}
		d := device{
			Client: client.ID, Scopes: scopes, Resource: resource, Code: hashed(typed), Every: pollEvery, Expires: until, State: deviceWaits,
		}
		return errors.Join(
			s.tables.devices.Put(c, d, hashed(text)),
			s.tables.userCodes.Put(c, userCode{hashed(text), until}, d.Code),
		)
	})
	if err != nil {
		return err
	}
	shown := typed[:userLen/2] + "-" + typed[userLen/2:]
	answer(w, http.StatusOK, map[string]any{
		"device_code": text, "user_code": shown, "verification_uri": s.issuer + "/device",
		"verification_uri_complete": s.issuer + "/device?" + url.Values{"user_code": {shown}}.Encode(),
		"expires_in":                int(DeviceLife.Seconds()), "interval": int(pollEvery.Seconds()),
	})
	return nil
}

// newUserCode is 34 bits in letters that are not taken for others and spell no
// words (RFC 8628 §6.1). It lives for minutes, and a person has few guesses.
func newUserCode() string {
	code := make([]byte, 0, userLen)
	for len(code) < userLen {
		var b [1]byte
		rand.Read(b[:])
		if int(b[0]) < 256/len(userLetters)*len(userLetters) { // each letter as likely as the others
			code = append(code, userLetters[int(b[0])%len(userLetters)])
		}
	}
	return string(code)
}

// readUserCode forgives what people do when they type.
func readUserCode(text string) string {
	if len(text) > 64 {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(userLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(text))
}

func (d device) over() bool { return d.State != deviceWaits || time.Now().After(d.Expires) }

// poll answers grant_type=urn:…:device_code (RFC 8628 §3.4). A device_code gives
// tokens once.
func (s *Server) poll(r *http.Request, client clients.Client) (*tokens, error) {
	key, err := s.macKey()
	if err != nil {
		return nil, err
	}
	id := hashed(r.PostForm.Get("device_code"))
	if err := s.mayPoll(r, id); err != nil {
		return nil, err
	}
	var t *tokens
	var refused error
	err = s.change(func(c *change) error {
		t, refused = nil, nil
		d, err := s.tables.devices.Get(c, id)
		now := time.Now().UTC()
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && d.Client != client.ID:
			refused = refuse(invalidGrant, "the device_code is not one of ours, used or another client's: start again")
			return nil
		case err != nil:
			return err
		case now.After(d.Expires):
			refused = refuse(expiredToken, "nobody confirmed in time: start again")
			return c.forgetDevice(id, d)
		case d.State == deviceDenied:
			refused = refuse(accessDenied, "the person said no")
			return c.forgetDevice(id, d)
		case !d.Polled.IsZero() && now.Sub(d.Polled) < d.Every:
			d.Every, d.Polled = d.Every+pollSlower, now
			refused = refuse(slowDown, "wait five seconds longer between requests")
			return s.tables.devices.Put(c, d, id)
		case d.State == deviceWaits:
			d.Polled = now
			refused = refuse(pending, "the person has not confirmed yet")
			return s.tables.devices.Put(c, d, id)
		}
		if err := c.forgetDevice(id, d); err != nil {
			return err
		}
		t, err = c.give(grant{
			User: d.User, Resource: d.Resource, Scopes: d.Scopes, AuthTime: d.AuthTime, ACR: d.ACR, Via: "device",
		}, client, key, mayRefresh(client))
		return err
	})
	if err == nil {
		err = refused
	}
	return t, err
}

func (c *change) forgetDevice(id string, d device) error {
	return errors.Join(c.s.tables.devices.Delete(c, id), c.s.tables.userCodes.Delete(c, d.Code))
}

func (s *Server) mayPoll(r *http.Request, id string) error {
	var d device
	err := s.c.Store.View(func(tx store.Tx) (err error) { d, err = s.tables.devices.Get(tx, id); return err })
	if errors.Is(err, store.ErrNotFound) {
		return nil // judged in the transaction
	}
	if err == nil && d.User != "" && s.c.People.May(r.Context(), d.User) != nil {
		return errGone
	}
	return err
}

// settle notes a person's answer to a device, once.
func (s *Server) settle(id string, who authz.Caller, allow bool) error {
	return s.change(func(c *change) error {
		d, err := s.tables.devices.Get(c, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && d.over() {
			return errHandle
		}
		if err != nil {
			return err
		}
		outcome := "refused"
		d.State = deviceDenied
		if allow {
			outcome, d.State, d.User, d.AuthTime, d.ACR = "given", deviceAllowed, who.User(), who.AuthTime(), who.ACR()
		}
		return errors.Join(
			s.tables.devices.Put(c, d, id),
			c.note(audit.Line{
				Event: "consent", User: who.User(), Agent: d.Client, Session: who.Session(), Channel: "device", Outcome: outcome,
				Arguments: map[string]string{"scope": strings.Join(d.Scopes, " ")},
			}),
		)
	})
}

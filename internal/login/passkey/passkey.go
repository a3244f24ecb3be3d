// Package passkey speaks WebAuthn Level 3 for one relying party: it makes what
// a browser is asked and judges what it answers. It keeps nothing; whoever
// holds the keys and the challenges is internal/login.
//
// The rules that are ours, on top of the library's: the person is verified each
// time (§6.4.1, user verification), a signature counter that does not advance
// ends the ceremony (§6.1.1, a copy of the key may exist), and no attestation is
// asked for, since no make of authenticator is preferred.
package passkey

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"
)

// Limits of one ceremony.
const (
	Life      = 5 * time.Minute // a challenge is answered within it, or not at all
	MaxAnswer = 64 << 10        // bytes of a browser's answer
)

// Sentinels of this package. What exactly was wrong with an answer is not told:
// it would help nobody but a forger.
var (
	ErrAddress = errors.New("passkey: passkeys belong to a name, and public_url is an IP address: use http://localhost, or a name with https")
	ErrAnswer  = errors.New("passkey: the answer does not fit what was asked")
	ErrCloned  = errors.New("passkey: the signature counter went back: there may be a copy of this passkey")
)

// Key is one enrolled passkey: a credential record (§4).
type Key struct {
	ID             []byte    `json:"id"`
	PublicKey      []byte    `json:"public_key"` // COSE
	Counter        uint32    `json:"counter"`
	Transports     []string  `json:"transports,omitempty"`
	BackupEligible bool      `json:"backup_eligible,omitempty"` // it may be synchronised
	BackedUp       bool      `json:"backed_up,omitempty"`       // it is
	Party          string    `json:"party"`                     // the RP ID it is good for
	Name           string    `json:"name"`
	Added          time.Time `json:"added"`
	Used           time.Time `json:"used,omitzero"`
}

// Owner is whose passkeys are asked for.
type Owner struct {
	Handle []byte // random and stable; the authenticator keeps it (§5.4.3)
	Name   string
	Keys   []Key
}

// Challenge is one ceremony under way. It is plain data, to be kept from the
// browser's hands or sealed.
type Challenge = webauthn.SessionData

// Party is a relying party: the name that passkeys are bound to.
type Party struct{ w *webauthn.WebAuthn }

// New returns the party of a public URL, or ErrAddress where that has no name.
func New(public *url.URL) (*Party, error) {
	host := public.Hostname()
	if net.ParseIP(host) != nil {
		return nil, ErrAddress
	}
	w, err := webauthn.New(&webauthn.Config{
		RPID: host, RPDisplayName: "deputy", RPOrigins: []string{public.Scheme + "://" + public.Host},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{
			Login:        webauthn.TimeoutConfig{Enforce: true, Timeout: Life, TimeoutUVD: Life},
			Registration: webauthn.TimeoutConfig{Enforce: true, Timeout: Life, TimeoutUVD: Life},
		},
		// Password managers add outputs that nobody asked for.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: public_url %s: %w", public, err)
	}
	return &Party{w}, nil
}

// ID is the RP ID: the host of the public URL.
func (p *Party) ID() string { return p.w.Config.RPID }

// Enrol asks for a new passkey. Authenticators that hold one of the owner's
// keys already say so.
func (p *Party) Enrol(o Owner) (options []byte, c Challenge, err error) {
	ask, session, err := p.w.BeginRegistration(user{o, p.ID()}, webauthn.WithExclusions(webauthn.Credentials(user{o, p.ID()}.WebAuthnCredentials()).CredentialDescriptors()))
	if err != nil {
		return nil, Challenge{}, err
	}
	options, err = json.Marshal(ask)
	return options, *session, err
}

// Enrolled judges the answer to Enrol and returns the new key, without a name.
func (p *Party) Enrolled(o Owner, c Challenge, answer []byte) (Key, error) {
	if len(answer) > MaxAnswer {
		return Key{}, ErrAnswer
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return Key{}, ErrAnswer
	}
	cred, err := p.w.CreateCredential(user{o, p.ID()}, c, parsed)
	if err != nil {
		return Key{}, ErrAnswer
	}
	k := Key{
		ID: cred.ID, PublicKey: cred.PublicKey, Counter: cred.Authenticator.SignCount,
		BackupEligible: cred.Flags.BackupEligible, BackedUp: cred.Flags.BackupState,
		Party: p.ID(), Added: time.Now().UTC(),
	}
	for _, t := range cred.Transport {
		k.Transports = append(k.Transports, string(t))
	}
	return k, nil
}

// Ask asks whoever is there for any passkey of this party.
func (p *Party) Ask() (options []byte, c Challenge, err error) {
	ask, session, err := p.w.BeginDiscoverableLogin(webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, Challenge{}, err
	}
	options, err = json.Marshal(ask)
	return options, *session, err
}

// AskOwner asks for a passkey of this owner, over a challenge of the caller's
// own, as the digest of what is to be confirmed, or a random one if it is nil.
func (p *Party) AskOwner(o Owner, over []byte) (options []byte, c Challenge, err error) {
	set := []webauthn.LoginOption{webauthn.WithUserVerification(protocol.VerificationRequired)}
	if over != nil {
		set = append(set, webauthn.WithChallenge(over))
	}
	ask, session, err := p.w.BeginLogin(user{o, p.ID()}, set...)
	if err != nil {
		return nil, Challenge{}, err
	}
	options, err = json.Marshal(ask)
	return options, *session, err
}

// Answered judges the answer to Ask or AskOwner. find names the owner of a user
// handle; for AskOwner it is that owner. The key comes back as it is to be kept:
// with its new counter and the time of its use.
func (p *Party) Answered(c Challenge, answer []byte, find func(handle []byte) (Owner, error)) (Owner, Key, error) {
	if len(answer) > MaxAnswer {
		return Owner{}, Key{}, ErrAnswer
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return Owner{}, Key{}, ErrAnswer
	}
	handle := c.UserID
	if len(handle) == 0 {
		handle = parsed.Response.UserHandle
	}
	o, err := find(handle)
	if err != nil {
		return Owner{}, Key{}, ErrAnswer
	}
	var cred *webauthn.Credential
	if len(c.UserID) > 0 {
		cred, err = p.w.ValidateLogin(user{o, p.ID()}, c, parsed)
	} else {
		_, cred, err = p.w.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return user{o, p.ID()}, nil }, c, parsed)
	}
	if err != nil {
		return Owner{}, Key{}, ErrAnswer
	}
	for _, k := range o.Keys {
		if string(k.ID) != string(cred.ID) {
			continue
		}
		if cred.Authenticator.CloneWarning {
			return o, k, ErrCloned
		}
		k.Counter, k.BackedUp, k.Used = cred.Authenticator.SignCount, cred.Flags.BackupState, time.Now().UTC()
		return o, k, nil
	}
	return Owner{}, Key{}, ErrAnswer
}

// user shows an Owner to the library, with the keys of one party.
type user struct {
	Owner
	party string
}

func (u user) WebAuthnID() []byte          { return u.Handle }
func (u user) WebAuthnName() string        { return u.Name }
func (u user) WebAuthnDisplayName() string { return u.Name }

func (u user) WebAuthnCredentials() []webauthn.Credential {
	var all []webauthn.Credential
	for _, k := range u.Keys {
		if k.Party != u.party {
			continue
		}
		c := webauthn.Credential{
			ID: k.ID, PublicKey: k.PublicKey,
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: k.BackupEligible, BackupState: k.BackedUp},
			Authenticator: webauthn.Authenticator{SignCount: k.Counter},
		}
		for _, t := range k.Transports {
			c.Transport = append(c.Transport, protocol.AuthenticatorTransport(t))
		}
		all = append(all, c)
	}
	return all
}

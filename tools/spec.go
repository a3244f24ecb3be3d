package tools

import (
	"deputy/approvals"
	"deputy/authz"
)

// Effect says what a tool does to the world. The four hints of MCP and the
// default approval derive from it.
type Effect int

const (
	Reads     Effect = iota
	Drafts           // changes the user's own space, and can be undone
	Publishes        // others see it
	Destroys         // it cannot be undone
)

func (e Effect) String() string {
	return [...]string{"reads", "drafts", "publishes", "destroys"}[e]
}

// Spec declares a tool.
type Spec struct {
	Name   string   // "gmail_reply"
	Title  string   // "Reply to a mail", as a person reads it
	Doc    string   // what the model reads
	Scopes []string // all the provider's scopes it takes
	Effect Effect
	Floor  approvals.Need // no less than this, whatever the policy says
	Extra  bool           // not in the default toolset: asked for more rarely
}

// Hints are MCP's tool annotations. All four are always set, because the
// protocol's defaults are the worst case. They inform; nothing here obeys them.
type Hints struct{ ReadOnly, Destructive, Idempotent, OpenWorld bool }

// Hints derives from the effect. A write is idempotent in the protocol's sense
// only with an idempotency_key, so it does not claim to be.
func (s Spec) Hints() Hints {
	return Hints{
		ReadOnly:    s.Effect == Reads,
		Destructive: s.Effect == Destroys,
		Idempotent:  s.Effect == Reads,
		OpenWorld:   s.Effect != Drafts,
	}
}

// Policy says whose yes each effect takes. A read takes none.
type Policy struct{ Drafts, Publishes, Destroys approvals.Need }

// DefaultPolicy lets an agent draft, asks before anybody else sees anything,
// and asks for presence before something is lost.
var DefaultPolicy = Policy{approvals.ByRule, approvals.ByPerson, approvals.ByFreshPerson}

// need is the stricter of policy and floor.
func (p Policy) need(s Spec) approvals.Need {
	return max(p.byEffect(s.Effect), s.Floor)
}

func (p Policy) byEffect(e Effect) approvals.Need {
	return map[Effect]approvals.Need{Drafts: p.Drafts, Publishes: p.Publishes, Destroys: p.Destroys}[e]
}

// Resource is what tools return. Its object and facts are what the rules speak
// about; account is the connected account it was read with.
type Resource interface {
	Object() authz.Object
	Facts(account authz.Object) authz.Facts
	Label() authz.Label
}

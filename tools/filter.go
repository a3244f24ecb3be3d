package tools

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"deputy/authz"
)

// maxAnswer is the byte budget of one answer. What does not fit is behind
// next_cursor.
const maxAnswer = 64 << 10

// visible asks the rules about all resources in one batch and joins the labels
// of those that may be seen.
func (g *Guard) visible(ctx context.Context, c authz.Caller, account authz.Object, rs []Resource) ([]bool, authz.Label, error) {
	objects, facts := about(account, rs)
	facts = append(facts, accountFacts(c, account)...)
	visible, err := g.c.Engine.Visible(ctx, c, objects, facts)
	if err != nil {
		return nil, authz.Label{}, err
	}
	label := authz.Label{}.Join(authz.Label{})
	for i, ok := range visible {
		if ok {
			label = label.Join(rs[i].Label())
		}
	}
	return visible, label, nil
}

// about is what resources are for the rules, and what is known about them.
func about(account authz.Object, rs []Resource) (objects []authz.Object, facts authz.Facts) {
	for _, r := range rs {
		objects = append(objects, r.Object())
		facts = append(facts, r.Facts(account)...)
	}
	return objects, facts.Set()
}

// A cursor is sealed, so that it tells an agent nothing about what was
// withheld, and bound to the user, the agent and the tool.
func (k *call) cursorAD() []byte {
	return []byte(strings.Join([]string{"cursor", k.caller.User(), k.caller.Agent(), k.tool.spec.Name}, "\x00"))
}

func (g *Guard) sealCursor(k *call, p page) (string, error) {
	sealed, err := g.c.Sealer.Seal(k.cursorAD(), mustMarshal(p))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (g *Guard) openCursor(k *call, text string) (p page, err error) {
	bad := BadInput("cursor", "it is not a next_cursor of this tool; start again without it")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return page{}, bad
	}
	plain, err := g.c.Sealer.Open(k.cursorAD(), sealed)
	if err != nil || json.Unmarshal(plain, &p) != nil {
		return page{}, bad
	}
	return p, nil
}

// remember joins a label into what the caller's session has read.
func (g *Guard) remember(c authz.Caller, l authz.Label) {
	key := sessionKey(c)
	for {
		old, loaded := g.read.LoadOrStore(key, l)
		joined := l
		if loaded {
			joined = old.(authz.Label).Join(l)
		}
		if !loaded || g.read.CompareAndSwap(key, old, joined) {
			return
		}
	}
}

func (g *Guard) sessionLabel(c authz.Caller) authz.Label {
	if l, ok := g.read.Load(sessionKey(c)); ok {
		return l.(authz.Label)
	}
	return authz.Label{}.Join(authz.Label{})
}

func sessionKey(c authz.Caller) string {
	return c.User() + "\x00" + c.Agent() + "\x00" + c.Session()
}

// cutAccount takes "github/octo-anna" apart.
func cutAccount(id string) (provider, name string, ok bool) { return strings.Cut(id, "/") }

// auditArguments is what the log keeps of a call's arguments: those a tool
// marks as plain, and keyed digests of the others. Names it does not know are
// counted, not kept.
func (g *Guard) auditArguments(t Tool, raw json.RawMessage) map[string]string {
	args, err := members(raw)
	if err != nil || len(args) == 0 {
		return nil
	}
	out := map[string]string{}
	for name, v := range args {
		plain, known := t.input.plain[name]
		switch {
		case t.input.schema == nil || t.input.schema.Properties[name] == nil:
			out["(unknown)"] = "present"
		case known && plain && len(v) <= 256:
			out[name] = clean(string(v))
		default:
			out[name] = g.c.Audit.Digest(v)
		}
	}
	return out
}

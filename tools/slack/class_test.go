package slack

import (
	"fmt"
	"testing"
	"time"

	"deputy/authz"
	"deputy/tools/toolstest"
)

// BenchmarkHiddenAndMissing: what is hidden takes as many requests, one after
// another, as what does not exist.
func BenchmarkHiddenAndMissing(b *testing.B) {
	f := newFake()
	fake := adapt(f)
	fake.Handler = toolstest.Slow(fake.Handler, 5*time.Millisecond)
	w := toolstest.New(b, Provider(), fake)
	anna := w.Caller("anna", "claude")
	if _, err := w.Connect(anna); err != nil {
		b.Fatal(err)
	}
	hide := authz.Object("slack_channel:T0HARBOR01/G0LEAD0001").Is("hidden", "user:*")
	if err := w.Engine.Write(b.Context(), []authz.Tuple{hide}, nil); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ tool, args, hidden, missing string }{
		{"slack_read_channel", `{"channel_id":"%s"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_read_thread", `{"channel_id":"%s","message_ts":"1794733200.001900"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_send_message", `{"channel_id":"%s","message":"hi"}`, "G0LEAD0001", "G0NOWHERE1"},
	} {
		b.Run(c.tool, func(b *testing.B) {
			w.TimeClass(b, anna, c.tool, fmt.Sprintf(c.args, c.hidden), fmt.Sprintf(c.args, c.missing))
		})
	}
}

package gmail

import (
	"fmt"
	"testing"
	"time"

	"deputy/authz"
	"deputy/tools/gmail/gmailfake"
	"deputy/tools/toolstest"
)

// BenchmarkHiddenAndMissing: what is hidden takes as many requests, one after
// another, as what does not exist.
func BenchmarkHiddenAndMissing(b *testing.B) {
	f := newFake()
	fake := adapt(b, f)
	fake.Handler = toolstest.Slow(fake.Handler, 5*time.Millisecond)
	w := toolstest.New(b, Provider(), fake)
	anna := w.Caller("anna", "claude")
	if _, err := w.Connect(anna); err != nil {
		b.Fatal(err)
	}
	hide := authz.Object("gmail_label:anna@example.com/Payroll").Is("hidden", "user:*")
	if err := w.Engine.Write(b.Context(), []authz.Tuple{hide}, nil); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ tool, args, hidden, missing string }{
		{"gmail_get_thread", `{"thread_id":"%s"}`, gmailfake.PayrollThread, "19afffffffffffff"},
		{"gmail_reply", `{"message_id":"%s","body":"Hello"}`, gmailfake.PayrollThread, "19afffffffffffff"},
		{"gmail_search_threads", `{"label_ids":["%s"]}`, "Payroll", "No such label"},
	} {
		b.Run(c.tool, func(b *testing.B) {
			w.TimeClass(b, anna, c.tool, fmt.Sprintf(c.args, c.hidden), fmt.Sprintf(c.args, c.missing))
		})
	}
}

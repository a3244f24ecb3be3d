package slack

import (
	"fmt"
	"testing"
	"time"

	"deputy/authz"
	"deputy/tools/toolstest"
	"deputy/vault"
)

// BenchmarkHiddenAndMissing: what is hidden takes as many requests, one after
// another, as what does not exist.
func BenchmarkHiddenAndMissing(b *testing.B) {
	f := newFake()
	fake := adapt(f)
	fake.Handler = toolstest.Slow(fake.Handler, 5*time.Millisecond)
	w := toolstest.NewWith(b, Provider(), fake, func(p *vault.Provider) { p.PerMinute = 0 }) // a refusal takes no request
	anna := w.Caller("anna", "claude")
	if _, err := w.Connect(anna); err != nil {
		b.Fatal(err)
	}
	var hide []authz.Tuple
	for _, o := range []authz.Object{"slack_channel:T0HARBOR01/G0LEAD0001", "slack_user:T0HARBOR01/U0PARTNER1"} {
		hide = append(hide, o.Is("hidden", "user:*"))
	}
	if err := w.Engine.Write(b.Context(), hide, nil); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct{ tool, args, hidden, missing string }{
		{"slack_read_channel", `{"channel_id":"%s"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_read_thread", `{"channel_id":"%s","message_ts":"1794733200.001900"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_send_message", `{"channel_id":"%s","message":"hi"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_send_message", `{"channel_id":"%s","message":"<@U0BO000001>","mrkdwn":true}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_schedule_message", `{"channel_id":"%s","message":"hi","post_at":"2026-12-01T09:00:00Z"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_update_message", `{"channel_id":"%s","message_ts":"` + anns + `","message":"hi"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_delete_message", `{"channel_id":"%s","message_ts":"` + anns + `"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_add_reaction", `{"channel_id":"%s","message_ts":"` + anns + `","emoji":"eyes"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_list_channel_members", `{"channel_id":"%s"}`, "G0LEAD0001", "G0NOWHERE1"},
		{"slack_search_public_and_private", `{"query":"%s"}`, "salary", "nothing like it"},
		{"slack_read_user_profile", `{"user_id":"%s"}`, "U0PARTNER1", "U0NOWHERE1"},
		{"slack_read_file", `{"file_id":"%s"}`, "F0SALARIES", "F0NOWHERE1"},
		{"slack_create_conversation", `{"user_ids":["%s"]}`, "U0PARTNER1", "U0NOWHERE1"},
	} {
		b.Run(c.tool, func(b *testing.B) {
			w.TimeClass(b, anna, c.tool, fmt.Sprintf(c.args, c.hidden), fmt.Sprintf(c.args, c.missing))
		})
	}
}

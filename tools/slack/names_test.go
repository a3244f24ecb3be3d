package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"deputy/authz"
	"deputy/tools"
	"deputy/tools/slack/slackfake"
)

// lookups counts the requests for names since a moment.
func lookups(f *slackfake.Fake, since int) (n int) {
	for _, c := range f.Calls()[since:] {
		if c.Path == "/api/users.info" {
			n++
		}
	}
	return n
}

// Names are asked for once; after that, one each time: the oldest.
func TestNamesAreKept(t *testing.T) {
	w, f, anna := connected(t)
	for i, want := range []int{3, 1, 1} {
		before := len(f.Calls())
		out := w.Call(anna, "slack_read_channel", `{"channel_id":"C0LAUNCH01"}`)
		if got := lookups(f, before); got != want || !strings.Contains(string(out.Structured()), `"user":"mia"`) {
			t.Errorf("read %d: %d lookups, want %d: %s", i+1, got, want, out.Structured())
		}
	}
	// A list of people tells names too.
	w, f, anna = connected(t)
	w.Call(anna, "slack_search_users", `{"query":""}`)
	before := len(f.Calls())
	w.Call(anna, "slack_read_channel", `{"channel_id":"C0LAUNCH01"}`)
	if got := lookups(f, before); got != 1 {
		t.Errorf("after the list: %d lookups", got)
	}
	// What does not exist takes one as well.
	before = len(f.Calls())
	w.Call(anna, "slack_read_channel", `{"channel_id":"C0NOWHERE1"}`)
	if got := lookups(f, before); got != 1 {
		t.Errorf("for what does not exist: %d lookups", got)
	}
}

// What one account was told is not another's, is forgotten after a while, and
// has bounds.
func TestNamesAreBounded(t *testing.T) {
	now := storyTime
	n := newNames()
	n.clock = func() time.Time { return now }
	bo := wireUser{ID: "U0BO", Name: "bo"}
	n.keep("T0A/U0ANNA", bo)
	if known, _ := n.look("T0A/U0ANNA", []string{"U0BO"}, "U0ANNA"); known["U0BO"] != "bo" {
		t.Errorf("it was not kept: %v", known)
	}
	for _, other := range []string{"T0A/U0MIA", "T0B/U0ANNA", ""} {
		if known, ask := n.look(other, []string{"U0BO"}, "U0X"); len(known) > 0 || fmt.Sprint(ask) != "[U0BO]" {
			t.Errorf("%s knows %v", other, known)
		}
	}
	now = now.Add(nameLife)
	if known, ask := n.look("T0A/U0ANNA", []string{"U0BO"}, "U0ANNA"); len(known) > 0 || len(ask) != 1 {
		t.Errorf("after %v: %v", nameLife, known)
	}

	for i := range maxNames + 10 {
		n.keep("T0A/U0ANNA", wireUser{ID: fmt.Sprint("U", i), Name: "x"})
	}
	if got := len(n.kept["T0A/U0ANNA"]); got != maxNames {
		t.Errorf("%d names are kept", got)
	}
	for i := range maxAccounts + 10 {
		n.keep(fmt.Sprint("T0A/U", i), bo)
	}
	if got := len(n.kept); got != maxAccounts {
		t.Errorf("%d accounts are kept", got)
	}
	many := make([]string, maxLookups+10)
	for i := range many {
		many[i] = fmt.Sprint("V", i)
	}
	if _, ask := n.look("T0A/U0ANNA", many, "U0ANNA"); len(ask) != maxLookups {
		t.Errorf("%d are asked for at once", len(ask))
	}
}

// A hundred messages cost a third of what Slack itself sends, at most.
func TestAnswersAreSmall(t *testing.T) {
	w, f, anna := connected(t)
	words := strings.Fields("the quick brown fox jumps over the lazy dog while <@U0BO000001> reads <https://docs.harbor.example/launch|the plan> again")
	f.Fill(slackfake.Random, 100, func(i int) string { return strings.Join(words[:3+i%(len(words)-3)], " ") })
	theirs := 0
	w.Call(anna, "slack_read_channel", `{"channel_id":"C0RANDOM01","limit":100}`)
	for _, c := range f.Calls() {
		if c.Path == "/api/conversations.history" {
			theirs = c.Answered
		}
	}
	out := w.Call(anna, "slack_read_channel", `{"channel_id":"C0RANDOM01","limit":100}`)
	var said struct{ Items []json.RawMessage }
	if json.Unmarshal(out.Structured(), &said) != nil || len(said.Items) != 100 {
		t.Fatalf("%d messages", len(said.Items))
	}
	ours := len(out.Structured())
	t.Logf("100 messages: %d bytes, Slack's own %d (%.0f %%)", ours, theirs, 100*float64(ours)/float64(theirs))
	if ours*3 > theirs {
		t.Errorf("%d bytes, more than a third of %d", ours, theirs)
	}
}

// What a model reads of Slack's tools has its budget.
func TestListingIsSmall(t *testing.T) {
	catalog, err := tools.NewCatalog(nil, Provider())
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, l := range catalog.All() {
		if strings.HasPrefix(l.Name, "slack_") {
			size += len(l.Name) + len(l.Description) + len(l.Input)
		}
	}
	t.Logf("names, descriptions and arguments: %d bytes", size)
	if size > 9<<10 {
		t.Errorf("%d bytes, the budget is %d", size, 9<<10)
	}
}

// A search whose pages are full of hidden messages gives the visible ones, in
// full pages, and no cursor behind the last (T27, T28).
func TestSearchTellsNothingOfWhatIsHidden(t *testing.T) {
	w, f, anna := connected(t)
	f.Fill(slackfake.General, 45, func(i int) string { return fmt.Sprintf("zebra %d", i) })
	f.Fill(slackfake.Launch, 3, func(i int) string { return fmt.Sprintf("zebra crossing %d", i) })
	f.Fill(slackfake.General, 45, func(i int) string { return fmt.Sprintf("zebra %d", 45+i) })
	before := string(w.Call(anna, "slack_search_public", `{"query":"zebra crossing"}`).Structured())

	rule := channelObject("T0HARBOR01", slackfake.General).Is("hidden", "user:anna")
	if err := w.Engine.Write(context.Background(), []authz.Tuple{rule}, nil); err != nil {
		t.Fatal(err)
	}
	if got := string(w.Call(anna, "slack_search_public", `{"query":"zebra"}`).Structured()); got != before {
		t.Errorf("got %s\nwant %s", got, before)
	}
	first := w.Call(anna, "slack_search_public", `{"query":"zebra","limit":2}`)
	rest := w.Call(anna, "slack_search_public", fmt.Sprintf(`{"query":"zebra","limit":2,"cursor":%q}`, next(t, first)))
	if got := string(rest.Structured()); strings.Contains(got, "next_cursor") || strings.Count(got, `"ts"`) != 1 {
		t.Errorf("the last page: %s", got)
	}
	none := string(w.Call(anna, "slack_search_public", `{"query":"zebra 7"}`).Structured())
	if want := string(w.Call(anna, "slack_search_public", `{"query":"unicorn"}`).Structured()); none != want {
		t.Errorf("hidden %s, missing %s", none, want)
	}
}

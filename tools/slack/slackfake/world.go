package slackfake

import (
	"slices"
	"time"
)

// The people of the demo world. Anna is who consents on the OAuth page.
const (
	Anna     = "U0ANNA0001" // anna, "Anna Kim"
	Bo       = "U0BO000001" // bo, "Bo Lindgren"
	Mia      = "U0MIA00001" // mia, "Mia Torres"
	Pat      = "U0PARTNER1" // pat, "Pat Doyle", of Northwind, reachable in PartnersNorthwind only
	Bot      = "U0DEPUTYBT" // the app's bot, in General and Random only
	Slackbot = "USLACKBOT"
)

// The teams of the demo world.
const (
	Team        = "T0HARBOR01" // "Harbor", where Anna works
	PartnerTeam = "T0NORTHWND" // Northwind, which shares PartnersNorthwind
)

// The conversations of the demo world. Anna is in all of them except Lunch, Board and OldOffice.
const (
	General           = "C0GENERAL1"
	Launch            = "C0LAUNCH01" // has a thread of Bo's, see LaunchThread
	Random            = "C0RANDOM01" // has a message with instructions for assistants
	PartnersNorthwind = "C0PARTNER1" // Slack Connect, shared with PartnerTeam
	Lunch             = "C0LUNCH001" // public
	OldOffice         = "C0OLDOFFC1" // public, archived
	Leadership        = "G0LEAD0001" // private, confidential
	Board             = "G0BOARD001" // private; Anna must never learn of it
	DirectBo          = "D0BO000001" // Anna and Bo
)

const (
	teamName   = "Harbor"
	teamDomain = "harbor"
	teamURL    = "https://harbor.slack.com/"
	appID      = "A0DEPUTY01"
	botID      = "B0DEPUTY01"
)

type world struct {
	users    []*user
	channels []*channel
	files    []*file
}

func (w *world) user(id string) *user {
	i := slices.IndexFunc(w.users, func(u *user) bool { return u.id == id })
	if i < 0 {
		return nil
	}
	return w.users[i]
}

func (w *world) channel(id string) *channel {
	i := slices.IndexFunc(w.channels, func(ch *channel) bool { return ch.id == id })
	if i < 0 {
		return nil
	}
	return w.channels[i]
}

func teamOf(user string) string {
	if user == Pat {
		return PartnerTeam
	}
	return Team
}

// newWorld is the same every time, except that it ends now.
func newWorld(now time.Time) *world {
	w := &world{users: people(), channels: conversations(now), files: files(now)}
	for i, s := range seeds {
		w.channel(s.channel).add(i, s, now)
	}
	for _, ch := range w.channels {
		slices.SortFunc(ch.messages, func(a, b *message) int { return int(a.ts - b.ts) })
	}
	w.channel(Launch).message(seedTS(launchThread, now)).reactions = []*reaction{
		{Name: "eyes", Users: []string{Mia, Anna}, Count: 2},
	}
	for _, f := range w.files {
		for _, id := range f.channels {
			ch := w.channel(id)
			ch.files = w.files
			last := ch.messages[len(ch.messages)-1]
			last.files = append(last.files, f.id)
		}
	}
	return w
}

func (ch *channel) add(i int, s seed, now time.Time) {
	m := &message{ts: seedTS(i, now), user: s.user, text: s.text}
	if s.thread > 0 {
		m.threadTS = seedTS(s.thread-1, now)
	}
	ch.messages = append(ch.messages, m)
}

// seedTS numbers the fractions, so that no two messages share a timestamp.
func seedTS(i int, now time.Time) int64 {
	return now.Add(-seeds[i].ago).Unix()*1e6 + int64(i+1)*100
}

// LaunchThread returns the ts of the parent of the thread in Launch.
func (f *Fake) LaunchThread() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.world.channel(Launch).messages {
		if m.threadTS != 0 {
			return formatTS(m.threadTS)
		}
	}
	return ""
}

func people() []*user {
	const berlin, malmo, denver = "Europe/Berlin", "Europe/Stockholm", "America/Denver"
	return []*user{
		{id: Anna, name: "anna", realName: "Anna Kim", title: "Head of Product", email: "anna@harbor.example", team: Team, tz: berlin, admin: true},
		{id: Bo, name: "bo", realName: "Bo Lindgren", title: "Engineer", email: "bo@harbor.example", team: Team, tz: malmo},
		{id: Mia, name: "mia", realName: "Mia Torres", title: "Marketing", email: "mia@harbor.example", team: Team, tz: berlin},
		{id: Pat, name: "pat", realName: "Pat Doyle", title: "Partner Manager, Northwind", email: "pat@northwind.example", team: PartnerTeam, tz: denver},
		{id: Bot, name: "deputy", realName: "deputy", team: Team, tz: berlin, bot: true},
		{id: Slackbot, name: "slackbot", realName: "Slackbot", team: Team, tz: berlin},
	}
}

func conversations(now time.Time) []*channel {
	all := []*channel{
		{id: General, name: "general", kind: public, creator: Anna, members: []string{Anna, Bo, Mia, Bot},
			topic: "Company news", purpose: "Announcements for everyone at Harbor"},
		{id: Launch, name: "launch", kind: public, creator: Mia, members: []string{Anna, Bo, Mia},
			topic: "Harbor 2.0", purpose: "Everything about the 2.0 launch"},
		{id: Random, name: "random", kind: public, creator: Bo, members: []string{Anna, Bo, Mia, Bot},
			topic: "", purpose: "Anything else"},
		{id: PartnersNorthwind, name: "partners-northwind", kind: public, creator: Anna, members: []string{Anna, Mia, Pat},
			topic: "Joint webinar", purpose: "Shared with Northwind", partner: PartnerTeam},
		{id: Lunch, name: "lunch", kind: public, creator: Mia, members: []string{Bo, Mia},
			topic: "", purpose: "Who eats where"},
		{id: OldOffice, name: "old-office", kind: public, creator: Bo, members: []string{Bo},
			topic: "", purpose: "Moving out of the old office", archived: true},
		{id: Leadership, name: "leadership", kind: private, creator: Anna, members: []string{Anna, Mia},
			topic: "Confidential", purpose: "Salaries, hiring and other things that stay here"},
		{id: Board, name: "board", kind: private, creator: Mia, members: []string{Mia, Bo},
			topic: "", purpose: "Board papers"},
		{id: DirectBo, kind: direct, members: []string{Anna, Bo}},
	}
	for i, ch := range all {
		ch.created = now.AddDate(0, -6, i).Unix()
	}
	return all
}

// Fill adds messages to a conversation, by its members in turn, one second apart and before now.
func (f *Fake) Fill(channel string, n int, text func(i int) string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ch := f.world.channel(channel)
	for i := range n {
		f.filled++
		ts := f.now().Add(-time.Hour).Unix()*1e6 + int64(f.filled)*1e6 + 7
		ch.messages = append(ch.messages, &message{ts: ts, user: ch.members[i%len(ch.members)], text: text(i)})
	}
	slices.SortFunc(ch.messages, func(a, b *message) int { return int(a.ts - b.ts) })
}

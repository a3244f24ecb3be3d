package slackfake

import (
	"slices"
	"time"
)

// The files of the demo world.
const (
	PressKit  = "F0PRESSKIT" // a text of Mia's in Launch
	Salaries  = "F0SALARIES" // a table in Leadership, confidential
	Handbook  = "F0HANDBOOK" // a canvas in General; Slack tells its beginning only
	Logo      = "F0LOGO0001" // a picture in PartnersNorthwind, shared with Northwind
	Both      = "F0BOTH0001" // in General and in Leadership
	BoardFile = "F0BOARD001" // in Board, where Anna is not
	Note      = "F0NOTE0001" // Anna's own, shared with nobody
)

type file struct {
	id, name, title, kind, user string
	size                        int
	created                     int64
	content, preview            string
	channels                    []string
}

func files(now time.Time) []*file {
	at := now.AddDate(0, -1, 0).Unix()
	return []*file{
		{PressKit, "press-kit.txt", "Press kit", "Plain Text", Mia, 64, at, "Harbor 2.0 in three sentences. Embargo: Tuesday 09:00 UTC.\n", "", []string{Launch}},
		{Salaries, "salaries.csv", "Salaries 2027", "CSV", Anna, 40, at, "name,now,then\nBo,71000,78000\n", "", []string{Leadership}},
		{Handbook, "Harbor_handbook", "Harbor handbook", "Canvas", Mia, 9000, at, "", "Welcome aboard. First day: ", []string{General}},
		{Logo, "logo.png", "Logo", "PNG", Mia, 20480, at, "", "", []string{PartnersNorthwind}},
		{Both, "plan.md", "Plan", "Markdown", Anna, 30, at, "# Plan\nHire two more by May.\n", "", []string{General, Leadership}},
		{BoardFile, "paper-12.txt", "Board paper 12", "Plain Text", Mia, 30, at, "The offer is 12 million.\n", "", []string{Board}},
		{Note, "note.txt", "Note to self", "Plain Text", Anna, 12, at, "Buy plants.\n", "", nil},
	}
}

// filesInfo gives a file to its owner and to whoever is in a conversation it was shared in, or
// could be: a public channel is open to all.
func (f *Fake) filesInfo(c *call) reply {
	i := slices.IndexFunc(f.world.files, func(x *file) bool { return x.id == c.args["file"] })
	if i < 0 {
		return fail("file_not_found")
	}
	found := f.world.files[i]
	open, groups, ims := []string{}, []string{}, []string{}
	for _, id := range found.channels {
		switch ch := f.world.channel(id); {
		case ch.kind == private && ch.has(c.token.user) || ch.kind == group && ch.has(c.token.user):
			groups = append(groups, id)
		case ch.kind == direct && ch.has(c.token.user):
			ims = append(ims, id)
		case ch.kind == public:
			open = append(open, id)
		}
	}
	if found.user != c.token.user && len(open)+len(groups)+len(ims) == 0 {
		return fail("file_not_found")
	}
	o := found.view()
	o["channels"], o["groups"], o["ims"] = open, groups, ims
	if found.preview != "" {
		o["preview"] = found.preview
	}
	answer := object{"file": o, "comments": []object{}, "response_metadata": object{"next_cursor": ""}}
	if found.content != "" {
		answer["content"], answer["is_truncated"] = found.content, false
	}
	return ok(answer)
}

func (x *file) view() object {
	return object{
		"id": x.id, "name": x.name, "title": x.title, "pretty_type": x.kind, "user": x.user, "size": x.size, "created": x.created,
		"is_external": false, "is_public": false, "url_private": "https://files.slack.com/files-pri/" + Team + "-" + x.id + "/" + x.name,
	}
}

// attached are a message's files as everybody in the conversation sees them.
func (ch *channel) attached(m *message) (out []object) {
	for _, x := range ch.files {
		if slices.Contains(m.files, x.id) {
			out = append(out, x.view())
		}
	}
	return out
}

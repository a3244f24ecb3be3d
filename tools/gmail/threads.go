package gmail

import (
	"context"
	"fmt"
	"html"
	"slices"
	"strconv"
	"time"

	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

type searchInput struct {
	Query        string   `json:"query,omitempty" jsonschema:"As in Gmail's search box: from:bo subject:launch newer_than:7d. Empty lists all."`
	LabelIDs     []string `json:"label_ids,omitempty" jsonschema:"Only under all of these labels, by id or name." audit:"plain"`
	IncludeTrash bool     `json:"include_trash,omitempty" jsonschema:"Also in trash and spam." audit:"plain"`
	Detail       string   `json:"detail,omitempty" jsonschema:"Default summary." enum:"ids,summary" audit:"plain"`
	tools.Page
}

var searchThreads = tools.Read(tools.Spec{
	Name:   "gmail_search_threads",
	Title:  "Search mail",
	Doc:    "Find mail threads, newest first. Fewer items than limit, or none, do not mean the end: go on while there is a next_cursor. gmail_get_thread reads one.",
	Scopes: []string{readonly},
	Effect: tools.Reads,
}, findThreads)

const (
	parallelThreads = 8 // so many threads of a page are read at a time

	// A search is part of a URL, which servers do not take at any length.
	maxQuery        = 2000
	maxSearchLabels = 20
)

func findThreads(ctx context.Context, a *tools.Account, in searchInput) (tools.Found[Thread], error) {
	var none tools.Found[Thread]
	if len(in.Query) > maxQuery {
		return none, tools.BadInput("query", fmt.Sprintf("is longer than %d bytes", maxQuery))
	}
	if len(in.LabelIDs) > maxSearchLabels {
		return none, tools.BadInput("label_ids", fmt.Sprintf("are more than %d", maxSearchLabels))
	}
	known, err := readLabels(ctx, a)
	if err != nil {
		return none, err
	}
	path := tools.Path(me+"/threads").With("q", in.Query).With("pageToken", in.Cursor).
		With("maxResults", strconv.Itoa(in.Size(20)))
	nowhere := false
	for _, label := range in.LabelIDs {
		id, ok := known.find(label)
		if !ok {
			nowhere = true // as a label whose every thread is withheld, and in the same time
			continue
		}
		path = path.With("labelIds", id)
	}
	if in.IncludeTrash {
		path = path.With("includeSpamTrash", "true")
	}
	var answer struct {
		Threads       []struct{ ID string }
		NextPageToken string
	}
	if err := a.Get(ctx, path.String(), &answer); err != nil {
		return none, err
	}

	if nowhere {
		answer.Threads = answer.Threads[:min(len(answer.Threads), parallelThreads)]
	}
	found := make([]*Thread, len(answer.Threads))
	var each errgroup.Group
	each.SetLimit(parallelThreads)
	for i, listed := range answer.Threads {
		each.Go(func() error {
			t, err := readThread(ctx, a, listed.ID, "metadata")
			if missing(err) {
				return nil // deleted since it was listed
			}
			found[i] = known.thread(a.Name(), listed.ID, t.Messages, in.Detail)
			return err
		})
	}
	if err := each.Wait(); err != nil || nowhere {
		return none, err
	}
	var items []Thread
	for _, t := range found {
		if t != nil {
			items = append(items, *t)
		}
	}
	return tools.Items(items...).Next(answer.NextPageToken), nil
}

// thread is one thread, under all labels of all its messages whatever the
// detail.
func (l labels) thread(mailbox, id string, messages []wireMessage, detail string) *Thread {
	t := &Thread{ID: id, place: l.placeOf(mailbox, messages...)}
	if detail == "ids" || len(messages) == 0 {
		return t
	}
	for _, m := range messages {
		if from := shownHeader(m.Payload.header("From")); !slices.Contains(t.From, from) && from != "" {
			t.From = append(t.From, from)
		}
		t.Unread = t.Unread || slices.Contains(m.LabelIDs, "UNREAD")
	}
	last := messages[len(messages)-1]
	t.Subject = shownHeader(messages[0].Payload.header("Subject"))
	t.Messages = len(messages)
	t.Date = last.date()
	t.Snippet = last.snippet()
	t.Labels = l.names(messages...)
	return t
}

type threadInput struct {
	ThreadID string `json:"thread_id" audit:"plain"`
	Detail   string `json:"detail,omitempty" jsonschema:"Default full." enum:"metadata,snippet,full" audit:"plain"`
	MaxBytes int    `json:"max_bytes,omitempty" jsonschema:"Most text of each body; default 20000." min:"500" max:"200000" audit:"plain"`
	Cursor   string `json:"cursor,omitempty" jsonschema:"next_cursor of the last answer." audit:"plain"`
}

var getThread = tools.Read(tools.Spec{
	Name:   "gmail_get_thread",
	Title:  "Read a mail thread",
	Doc:    "The messages of a thread, oldest first. No items: there is no such thread, or it is not visible to you.",
	Scopes: []string{readonly},
	Effect: tools.Reads,
}, messagesOfThread)

func messagesOfThread(ctx context.Context, a *tools.Account, in threadInput) (tools.Found[Message], error) {
	var none tools.Found[Message]
	if err := checkID("thread_id", in.ThreadID); err != nil {
		return none, err
	}
	format := "metadata"
	if in.Detail == "" || in.Detail == "full" {
		format = "full"
	}
	var t wireThread
	var known labels
	var both errgroup.Group
	both.Go(func() (err error) {
		t, err = readThread(ctx, a, in.ThreadID, format)
		return err
	})
	both.Go(func() (err error) {
		known, err = readLabels(ctx, a)
		return err
	})
	// A thread that does not exist is answered as one whose every message is
	// withheld: nobody can tell the two apart.
	if err := both.Wait(); missing(err) {
		return none, nil
	} else if err != nil {
		return none, err
	}
	// All of them: Gmail keeps a thread short. What does not fit one answer is
	// behind the guard's own cursor, which counts only what is shown, so that
	// no cursor tells of messages that are withheld.
	items := make([]Message, len(t.Messages))
	for i, m := range t.Messages {
		items[i] = known.message(a.Name(), m, in)
		items[i].answers = known.answered(a.Name(), m, t.Messages)
	}
	return tools.Items(items...), nil
}

func (l labels) message(mailbox string, m wireMessage, in threadInput) Message {
	show := func(name string) string { return shownHeader(m.Payload.header(name)) }
	out := Message{
		ID: m.ID, From: show("From"), To: show("To"), Cc: show("Cc"), Bcc: show("Bcc"), Subject: show("Subject"),
		Date: m.date(), Labels: l.names(m), place: l.placeOf(mailbox, m),
	}
	out.thread = in.ThreadID
	if r := show("Reply-To"); r != out.From {
		out.ReplyTo = r
	}
	switch in.Detail {
	case "metadata":
	case "snippet":
		out.Snippet = m.snippet()
	default:
		var c content
		c.read(m.Payload, 0)
		most := in.MaxBytes
		if most == 0 {
			most = 20000
		}
		out.Body, out.BodyCut = cut(c.text(), most)
		out.BodyCut = out.BodyCut || c.elsewhere
		out.Attachments = c.attachments[:min(len(c.attachments), maxAttachments)]
	}
	return out
}

// maxAttachments keeps a message's list of files small.
const maxAttachments = 50

// date is when Gmail got the message; the Date field is the sender's to write.
func (m wireMessage) date() string {
	ms, err := strconv.ParseInt(m.InternalDate, 10, 64)
	if err != nil || ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format(time.RFC3339)
}

// snippet is the beginning of the text, which Gmail gives as HTML.
func (m wireMessage) snippet() string { return oneLine(html.UnescapeString(m.Snippet)) }

package gmail

import (
	"cmp"
	"context"

	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

// original is a message that is to be answered.
type original struct {
	mailbox string
	message wireMessage
	thread  wireThread
	labels  labels
}

func readOriginal(ctx context.Context, a *tools.Account, id string) (original, error) {
	o := original{mailbox: a.Name()}
	if err := checkID("message_id", id); err != nil {
		return o, err
	}
	var both errgroup.Group
	both.Go(func() (err error) {
		o.message, err = readMessage(ctx, a, id)
		thread := o.message.ThreadID
		if !wellFormedID.MatchString(thread) {
			thread = id // one that does not exist takes as long as one that is withheld
		}
		var also error
		o.thread, also = readThread(ctx, a, thread, "metadata")
		return cmp.Or(err, also)
	})
	both.Go(func() (err error) {
		o.labels, err = readLabels(ctx, a)
		return err
	})
	err := both.Wait()
	if missing(err) || err == nil && (o.message.ID != id || !wellFormedID.MatchString(o.message.ThreadID)) {
		return o, tools.NotFound()
	}
	return o, err
}

// uses is what an answer is made of: the message, and the thread it goes to,
// which a rule may hide by itself.
func (o original) uses() []tools.Resource {
	at := o.labels.placeOf(o.mailbox, o.message)
	answered := at
	answered.answers = o.labels.answered(o.mailbox, o.message, o.thread.Messages)
	return []tools.Resource{Message{ID: o.message.ID, place: answered}, Thread{ID: o.message.ThreadID, place: at}}
}

// answer is an empty letter to whom an answer goes, in the original's thread.
//
// The original may be one that the agent must not know, which is found out
// only afterwards. So nothing about it may be told here: a message that cannot
// be answered is one that does not exist.
func (o original) answer(all bool) (letter, error) {
	head := o.message.Payload
	self := address{Addr: o.mailbox}
	to := others(head.header("Reply-To"))
	from := others(head.header("From"))
	if len(to) == 0 {
		to = from
		if len(without(from, self)) == 0 { // one's own mail goes on to whom it went
			to = others(head.header("To"))
		}
	}
	var l letter
	if all {
		to = append(to, others(head.header("To"))...)
		l.To = without(to, self)
		l.Cc = without(others(head.header("Cc")), append(l.To, self)...)
	} else {
		l.To = without(to, self)
	}
	if len(l.To) == 0 {
		l.To, l.Cc = l.Cc, nil
	}
	if len(l.To) == 0 { // a note to oneself
		l.To = without(to)
	}
	if n := l.recipientCount(); n == 0 || n > maxRecipients {
		return letter{}, tools.NotFound()
	}
	l.Subject = replySubject(head.header("Subject"))
	if id := head.header("Message-ID"); messageID.MatchString(id) {
		l.InReplyTo = id
		l.References = references(head.header("References"), id)
	}
	return l, nil
}

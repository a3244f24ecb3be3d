package slack

import (
	"encoding/json"
	"errors"

	"deputy/authz"
)

// Posted says where a message that was sent or changed stands, or stood. It
// repeats nothing of the text, so nothing in it is anybody's words.
type Posted struct {
	ChannelID string `json:"channel_id"`
	MessageTS string `json:"message_ts"`
	ThreadTS  string `json:"thread_ts,omitempty"`

	team string
}

func (p Posted) Object() authz.Object { return messageObject(p.team, p.ChannelID, p.MessageTS) }
func (p Posted) Facts(account authz.Object) authz.Facts {
	return where(account, p.Object())
}
func (p Posted) Label() authz.Label { return ours }

// Scheduled says what Slack will post, where and when.
type Scheduled struct {
	ChannelID string `json:"channel_id"`
	ID        string `json:"scheduled_message_id"`
	PostAt    int64  `json:"post_at"`

	team string
}

func (s Scheduled) Object() authz.Object { return channelObject(s.team, s.ChannelID) }
func (s Scheduled) Facts(account authz.Object) authz.Facts {
	return where(account, s.Object())
}
func (s Scheduled) Label() authz.Label { return ours }

// Done is the answer of a method that says nothing but that it worked.
type Done struct {
	OK bool `json:"ok"`

	team string
}

func (d Done) Object() authz.Object { return authz.NewObject("slack_workspace", d.team) }
func (d Done) Facts(account authz.Object) authz.Facts {
	return where(account, d.Object())
}
func (d Done) Label() authz.Label { return ours }

// Opened is a conversation that was made, or was there.
type Opened struct {
	ChannelID string `json:"channel_id"`

	team, kind string
}

func (o Opened) Object() authz.Object { return channelObject(o.team, o.ChannelID) }
func (o Opened) Facts(account authz.Object) authz.Facts {
	return Channel{ID: o.ChannelID, Member: true, team: o.team, kind: o.kind}.Facts(account)
}
func (o Opened) Label() authz.Label { return ours }

// ours is the label of an answer that holds ids alone.
var ours = authz.Label{Integrity: authz.Trusted, Confidentiality: authz.Private}

var errAnswer = errors.New("slack: the answer does not have the expected form")

// decodePosted reads where the message is from Slack's answer to a post.
func decodePosted(account string, answer []byte) (Posted, error) {
	var said postedAnswer
	if json.Unmarshal(answer, &said) != nil || !channelID.MatchString(said.Channel) || !messageTS.MatchString(said.TS) {
		return Posted{}, errAnswer
	}
	if said.Message.ThreadTS != "" && !messageTS.MatchString(said.Message.ThreadTS) {
		return Posted{}, errAnswer
	}
	team, _ := whose(account)
	return Posted{ChannelID: said.Channel, MessageTS: said.TS, ThreadTS: said.Message.ThreadTS, team: team}, nil
}

// decodeChanged reads where the message is that was changed or deleted.
func decodeChanged(account string, answer []byte) (Posted, error) {
	var said changedAnswer
	if json.Unmarshal(answer, &said) != nil || !channelID.MatchString(said.Channel) || !messageTS.MatchString(said.TS) {
		return Posted{}, errAnswer
	}
	team, _ := whose(account)
	return Posted{ChannelID: said.Channel, MessageTS: said.TS, team: team}, nil
}

func decodeScheduled(account string, answer []byte) (Scheduled, error) {
	var said scheduledAnswer
	if json.Unmarshal(answer, &said) != nil || !channelID.MatchString(said.Channel) || !scheduledID.MatchString(said.ID) {
		return Scheduled{}, errAnswer
	}
	at, err := said.PostAt.Int64()
	if err != nil {
		return Scheduled{}, errAnswer
	}
	team, _ := whose(account)
	return Scheduled{ChannelID: said.Channel, ID: said.ID, PostAt: at, team: team}, nil
}

func decodeDone(account string, answer []byte) (Done, error) {
	var said doneAnswer
	if json.Unmarshal(answer, &said) != nil || !said.OK {
		return Done{}, errAnswer
	}
	team, _ := whose(account)
	return Done{OK: true, team: team}, nil
}

// decodeOpened reads the id of a conversation. What conversations.open answers
// has nothing more; a direct message's id says that it is one.
func decodeOpened(account string, answer []byte) (Opened, error) {
	var said openedAnswer
	if json.Unmarshal(answer, &said) != nil || !channelID.MatchString(said.Channel.ID) {
		return Opened{}, errAnswer
	}
	team, _ := whose(account)
	kind := ""
	switch {
	case said.Channel.ID[0] == 'D':
		kind = "im"
	case said.Channel.Name == "":
		kind = "mpim"
	case said.Channel.IsPrivate:
		kind = "private_channel"
	}
	return Opened{ChannelID: said.Channel.ID, team: team, kind: kind}, nil
}

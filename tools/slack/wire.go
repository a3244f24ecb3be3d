package slack

import "encoding/json"

// What Slack answers, as far as it is read. testdata/methods.json says the same
// method by method.
type (
	channelsAnswer struct {
		Channels []wireChannel
		more
	}
	channelAnswer  struct{ Channel wireChannel }
	messagesAnswer struct {
		Messages []wireMessage
		more
	}
	membersAnswer struct {
		Members []string
		more
	}
	usersAnswer struct {
		Members []wireUser
		more
	}
	userAnswer struct{ User wireUser }
	fileAnswer struct {
		File        wireFile
		Content     string
		IsTruncated bool `json:"is_truncated"`
	}
	searchAnswer struct {
		Results struct{ Messages []wireHit }
		more
	}

	postedAnswer struct {
		Channel, TS string
		Message     struct {
			ThreadTS string `json:"thread_ts"`
		}
	}
	changedAnswer   struct{ Channel, TS string }
	scheduledAnswer struct {
		Channel string
		ID      string      `json:"scheduled_message_id"`
		PostAt  json.Number `json:"post_at"` // a number or a string of one
	}
	openedAnswer struct {
		Channel struct {
			ID        string
			Name      string // of a channel alone
			IsPrivate bool   `json:"is_private"`
		}
	}
	doneAnswer struct{ OK bool }
)

// more is how Slack says that a list goes on.
type more struct {
	Metadata struct {
		NextCursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

// wireChannel is a conversation as conversations.list and .info give it. A
// direct message has no name and does not say is_member: it is the member's.
type wireChannel struct {
	ID          string
	Name        string
	IsIM        bool `json:"is_im"`
	IsMPIM      bool `json:"is_mpim"`
	IsPrivate   bool `json:"is_private"`
	IsArchived  bool `json:"is_archived"`
	IsMember    bool `json:"is_member"`
	IsExtShared bool `json:"is_ext_shared"`
	IsPending   bool `json:"is_pending_ext_shared"`
	Members     int  `json:"num_members"`
	Topic       struct{ Value string }
	Purpose     struct{ Value string }
}

// external reports whether another organisation reads along, or is about to.
func (w wireChannel) external() bool { return w.IsExtShared || w.IsPending }

// writable reports whether the account's user can post there.
func (w wireChannel) writable() bool {
	return !w.IsArchived && (w.IsMember || w.IsIM || w.IsMPIM)
}

// wireMessage is a message as conversations.history and .replies give it.
type wireMessage struct {
	TS       string
	ThreadTS string `json:"thread_ts"`
	User     string
	Username string // an app may post under any name
	BotID    string `json:"bot_id"`
	AppID    string `json:"app_id"`
	Text     string
	Edited   *struct{ TS string }

	ReplyCount int `json:"reply_count"`
	Reactions  []struct {
		Name  string
		Count int
	}
	Files       []struct{ ID, Name string }
	Attachments []struct{ Fallback, Text string }
}

// wireUser is a person or an app, as users.info and users.list give it.
type wireUser struct {
	ID         string
	TeamID     string `json:"team_id"`
	Name       string
	RealName   string `json:"real_name"`
	Deleted    bool
	IsBot      bool `json:"is_bot"`
	IsGuest    bool `json:"is_restricted"`
	IsStranger bool `json:"is_stranger"`
	TZ         string
	Profile    struct {
		DisplayName string `json:"display_name"`
		Title       string
	}
}

// wireFile is a file as files.info gives it: channels are the public ones it
// was shared in, groups the private ones.
type wireFile struct {
	ID          string
	Name        string
	Title       string
	PrettyType  string `json:"pretty_type"`
	Size        int
	Created     int64
	User        string
	IsExternal  bool `json:"is_external"`
	Channels    []string
	Groups      []string
	IMs         []string
	PlainText   string `json:"plain_text"`
	Preview     string
	PreviewText string `json:"preview_plain_text"`
}

// wireHit is a message as assistant.search.context gives it.
type wireHit struct {
	ChannelID  string `json:"channel_id"`
	TS         string `json:"message_ts"`
	UserID     string `json:"author_user_id"`
	AuthorName string `json:"author_name"`
	IsBot      bool   `json:"is_author_bot"`
	Content    string
}

package slack

import (
	"encoding/json"
	"errors"
	"strings"

	"deputy/tools"
	"deputy/vault"
)

// kinds sorts the words with which Slack refuses, mostly with a status of 200.
// A word that is not here is Slack's failure: of a write it is then said that
// it may have happened, which is the safe thing to say.
var kinds = byWord(map[vault.Kind]string{
	vault.NotFound: `channel_not_found thread_not_found message_not_found user_not_found user_not_visible
			users_not_found file_not_found file_deleted not_in_channel`,
	vault.Reconnect:   `invalid_auth token_expired token_revoked account_inactive not_authed`,
	vault.Scope:       `missing_scope`,
	vault.RateLimited: `ratelimited rate_limited message_limit_exceeded`,
	vault.BadInput: `no_text msg_too_long msg_blocks_too_long invalid_blocks invalid_blocks_format too_many_attachments
			invalid_arguments invalid_arg_name invalid_array_arg missing_argument invalid_charset invalid_form_data
			invalid_json json_not_object invalid_post_type missing_post_type
			invalid_cursor invalid_limit invalid_types invalid_ts_latest invalid_ts_oldest
			invalid_name invalid_name_required invalid_name_punctuation invalid_name_maxlength invalid_name_specials
			name_taken already_reacted too_many_emoji too_many_reactions bad_timestamp time_in_past time_too_far invalid_time
			not_enough_users too_many_users invalid_user_combination cannot_dm_bot users_list_not_supplied`,
	vault.Forbidden: `restricted_action restricted_action_read_only_channel restricted_action_thread_only_channel
			restricted_action_non_threadable_channel restricted_action_thread_locked cannot_reply_to_message
			cant_update_message cant_delete_message edit_window_closed restricted_too_many user_disabled
			compliance_exports_prevent_deletion is_archived access_denied ekm_access_denied no_permission not_allowed_token_type channel_type_not_supported
			team_access_not_granted enterprise_is_restricted org_login_required two_factor_setup_required`,
	vault.Upstream: `fatal_error internal_error service_unavailable request_timeout`,
})

func byWord(words map[vault.Kind]string) map[string]vault.Kind {
	out := map[string]vault.Kind{}
	for kind, list := range words {
		for word := range strings.FieldsSeq(list) {
			out[word] = kind
		}
	}
	return out
}

// fault sorts an answer. Only a JSON object that says ok with a 2xx is a
// success: a proxy's page, or half an answer, must not pass for an empty list.
func fault(status int, body []byte) vault.Kind {
	switch {
	case status == 429:
		return vault.RateLimited
	case status >= 500:
		return vault.Upstream
	}
	var said struct {
		OK    *bool  `json:"ok"`
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &said) != nil || said.OK == nil {
		return vault.Upstream
	}
	if *said.OK {
		if status/100 == 2 {
			return ""
		}
		return vault.Upstream
	}
	if kind, ok := kinds[said.Error]; ok {
		return kind
	}
	return vault.Upstream
}

// missing reports whether the provider says that there is no such thing.
func missing(err error) bool {
	var f *vault.Fault
	return errors.As(err, &f) && f.Kind == vault.NotFound || errors.Is(err, tools.NotFound())
}

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
		Email       string // there with users:read.email alone, which is not asked for
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

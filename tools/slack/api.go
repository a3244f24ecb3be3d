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

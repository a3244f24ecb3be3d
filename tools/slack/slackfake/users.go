package slackfake

type user struct {
	id, name, realName, title, email string
	team                             string
	tz                               string
	admin, bot                       bool
}

func (f *Fake) authTest(c *call) reply {
	u := f.world.user(c.token.user)
	o := object{
		"url": teamURL, "team": teamName, "team_id": Team, "user": u.name, "user_id": u.id,
		"is_enterprise_install": false,
	}
	if u.bot {
		o["bot_id"] = botID
	}
	return ok(o)
}

func (f *Fake) usersList(c *call) reply {
	// Without a limit Slack tries to give all.
	limit, valid := c.limit(1000, 1000)
	if !valid {
		return fail("invalid_limit")
	}
	part, next, word := pageOf(c, "", f.world.users, func(u *user) string { return u.id }, limit)
	if word != "" {
		return fail(word)
	}
	list := []object{}
	for _, u := range part {
		list = append(list, u.view(c.token))
	}
	return ok(object{"members": list, "cache_ts": f.now().Unix(), "response_metadata": object{"next_cursor": next}})
}

func (f *Fake) usersInfo(c *call) reply {
	u := f.world.user(c.args["user"])
	if u == nil {
		return fail("user_not_found")
	}
	return ok(object{"user": u.view(c.token)})
}

func (f *Fake) teamInfo(c *call) reply {
	if id := c.args["team"]; id != "" && id != Team {
		return fail("team_not_found")
	}
	return ok(object{"team": object{
		"id": Team, "name": teamName, "domain": teamDomain, "url": teamURL,
		"email_domain": "harbor.example", "enterprise_id": "", "enterprise_name": "",
	}})
}

// view shows the mail address only to those who have the scope for it. A person of another
// organisation has its team id, and no is_stranger: they share a channel with this workspace.
func (u *user) view(t *token) object {
	profile := object{
		"real_name": u.realName, "real_name_normalized": u.realName,
		"display_name": u.name, "display_name_normalized": u.name,
		"title": u.title, "team": u.team, "status_text": "", "status_emoji": "",
	}
	if t.has("users:read.email") && u.email != "" {
		profile["email"] = u.email
	}
	return object{
		"id": u.id, "team_id": u.team, "name": u.name, "real_name": u.realName, "deleted": false,
		"is_bot": u.bot, "is_app_user": false, "is_admin": u.admin, "is_owner": false, "is_primary_owner": false,
		"is_restricted": false, "is_ultra_restricted": false,
		"tz": u.tz, "profile": profile,
	}
}

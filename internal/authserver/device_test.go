package authserver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestDeviceFlow (RFC 8628): the device waits, the person types its code, reads
// and allows; the device_code gives tokens once.
func TestDeviceFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		begin := func() said {
			s := o.call("/oauth/device", form("client_id", "tv", "scope", "gmail.read", "resource", resource))
			if s.Status != 200 || s.Device == "" || len(s.User) != 9 || s.Verify != issuer+"/device" || s.Every != 5 || s.Life != 600 {
				t.Fatalf("%d %s", s.Status, s.raw)
			}
			return s
		}
		poll := func(d said, as string) said {
			return o.call("/oauth/token", form("grant_type", "urn:ietf:params:oauth:grant-type:device_code", "device_code", d.Device, "client_id", as))
		}
		d := begin()
		if s := poll(d, "tv"); s.Error != "authorization_pending" {
			t.Errorf("%s", s.raw)
		}
		if s := poll(d, "tv"); s.Error != "slow_down" {
			t.Errorf("at once again: %s", s.raw)
		}
		time.Sleep(6 * time.Second)
		if s := poll(d, "tv"); s.Error != "slow_down" {
			t.Errorf("the wait is ten seconds now: %s", s.raw)
		}
		if s := poll(d, "app"); s.Error != "unauthorized_client" {
			t.Errorf("another client: %s", s.raw)
		}
		if s := poll(d, "radio"); s.Error != "invalid_grant" {
			t.Errorf("another client: %s", s.raw)
		}
		if p := o.browser("").get("/device"); p.StatusCode != 401 {
			t.Errorf("nobody: %d", p.StatusCode)
		}
		anna, bo := o.browser("anna"), o.browser("bo")
		if p := anna.get("/device?user_code=" + d.User); !strings.Contains(p.text, `value="`+d.User+`"`) || handleField.MatchString(p.text) {
			t.Errorf("a link fills the code in and decides nothing: %s", p.text)
		}
		p := anna.post("/device", form("user_code", strings.ToLower(strings.ReplaceAll(d.User, "-", " "))))
		for _, want := range []string{"Television", "Allow only if you have the device in front of you", "the device that shows the code"} {
			if !strings.Contains(p.text, want) {
				t.Errorf("the page lacks %q:\n%s", want, p.text)
			}
		}
		yes := form("handle", p.handle(t), "decision", "allow")
		if q := bo.post("/device", yes); q.StatusCode != 404 {
			t.Errorf("bo: %d", q.StatusCode)
		}
		if q := anna.post("/device", yes); q.StatusCode != 200 || !strings.Contains(q.text, "Done.") {
			t.Errorf("%d %s", q.StatusCode, q.text)
		}
		if q := anna.post("/device", yes); q.StatusCode != 404 {
			t.Errorf("twice: %d", q.StatusCode)
		}
		if q := bo.post("/device", form("user_code", d.User)); q.StatusCode != 404 {
			t.Errorf("the code again: %d", q.StatusCode)
		}
		time.Sleep(20 * time.Second)
		got := poll(d, "tv")
		if got.Status != 200 || !o.valid(got.Access) || got.Refresh == "" {
			t.Fatalf("%s", got.raw)
		}
		if s := poll(d, "tv"); s.Error != "invalid_grant" {
			t.Errorf("the device_code again: %s", s.raw)
		}
		d = begin()
		p = anna.post("/device", form("user_code", d.User))
		if p.StatusCode != 200 {
			t.Fatalf("%d", p.StatusCode)
		} // asked again: what a device got is not remembered
		anna.post("/device", form("handle", p.handle(t), "decision", "deny"))
		if s := poll(d, "tv"); s.Error != "access_denied" {
			t.Errorf("%s", s.raw)
		}
		d = begin()
		time.Sleep(11 * time.Minute)
		if s := poll(d, "tv"); s.Error != "expired_token" {
			t.Errorf("late: %s", s.raw)
		}
		if q := anna.post("/device", form("user_code", d.User)); q.StatusCode != 404 {
			t.Errorf("late: %d", q.StatusCode)
		}
		if got := o.lines("consent"); len(got) != 2 || got[0].Channel != "device" || got[1].Outcome != "refused" {
			t.Errorf("%+v", got)
		}
		for _, s := range []said{
			o.call("/oauth/device", form("client_id", "app", "resource", resource)), o.call("/oauth/device", form("client_id", "tv")),
			o.call("/oauth/device", form("client_id", "tv", "resource", resource, "scope", "x")),
		} {
			if s.Status != 400 {
				t.Errorf("%d %s", s.Status, s.raw)
			}
		}
		guesses := 0
		for range 40 {
			if bo.post("/device", form("user_code", "BBBB-BBBB")).StatusCode == 404 {
				guesses++
			}
		}
		if guesses > 11 {
			t.Errorf("%d guesses", guesses)
		}
	})
}

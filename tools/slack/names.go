package slack

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

// The bounds of names: so many are asked for at once for one answer, and
// further users stay ids until the next; so many are kept for an account, for
// so many accounts, for so long.
const (
	maxLookups  = 40
	maxNames    = 5000
	maxAccounts = 200
	nameLife    = time.Hour
)

// names keeps what each account was told its workspace's people are called. An
// account is a person in a workspace, and none sees what another was told.
type names struct {
	mu    sync.Mutex
	kept  map[string]map[string]named // account → user id
	clock func() time.Time
}

type named struct {
	name string
	at   time.Time
}

func newNames() *names { return &names{kept: map[string]map[string]named{}, clock: time.Now} }

// of returns users' display names by id. Names are a courtesy: a user whose
// name Slack does not tell is shown by id, and the page is answered all the
// same.
//
// It always asks for something: the names it lacks, or else the oldest it has.
// So it takes one round of requests whatever is known, and nobody learns from
// the time of an answer whether there was anything withheld in it.
func (n *names) of(ctx context.Context, a *tools.Account, ids []string) map[string]string {
	account := a.Name()
	_, self := whose(account)
	known, ask := n.look(account, ids, self)
	var each errgroup.Group
	for _, id := range ask {
		each.Go(func() error {
			u, err := userInfo(ctx, a, id)
			if err == nil {
				n.keep(account, u)
			} else if missing(err) {
				return nil
			}
			return err
		})
	}
	_ = each.Wait()
	fresh, _ := n.look(account, ids, self)
	maps.Copy(known, fresh)
	return known
}

// look says which names are known, and which ids to ask for.
func (n *names) look(account string, ids []string, self string) (known map[string]string, ask []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	known = map[string]string{}
	now := n.clock()
	refresh, oldest := self, now
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		kept, ok := n.kept[account][id]
		switch {
		case id == "":
		case !ok || now.Sub(kept.at) >= nameLife:
			ask = append(ask, id)
		default:
			known[id] = kept.name
			if kept.at.Before(oldest) {
				refresh, oldest = id, kept.at
			}
		}
	}
	if len(ask) == 0 {
		ask = []string{refresh}
	}
	return known, ask[:min(len(ask), maxLookups)]
}

func (n *names) keep(account string, users ...wireUser) {
	n.mu.Lock()
	defer n.mu.Unlock()
	mine := n.kept[account]
	if mine == nil {
		if len(n.kept) >= maxAccounts {
			drop(n.kept)
		}
		mine = map[string]named{}
		n.kept[account] = mine
	}
	for _, u := range users {
		name := u.shown()
		if u.ID == "" || name == "" {
			continue
		}
		if _, ok := mine[u.ID]; !ok && len(mine) >= maxNames {
			drop(mine)
		}
		mine[u.ID] = named{name, n.clock()}
	}
}

// drop makes room for one more. Which one goes matters little: it is asked for
// again.
func drop[V any](m map[string]V) {
	for k := range m {
		delete(m, k)
		return
	}
}

// shown is what people read beside what the user writes.
func (u wireUser) shown() string { return line(cmp.Or(u.Profile.DisplayName, u.RealName, u.Name)) }

func userInfo(ctx context.Context, a *tools.Account, id string) (wireUser, error) {
	var answer userAnswer
	err := a.Get(ctx, tools.Path("/users.info").With("user", id).String(), &answer)
	return answer.User, err
}

package slack

import (
	"cmp"
	"context"
	"slices"

	"deputy/tools"

	"golang.org/x/sync/errgroup"
)

// One page of messages asks for so many names at most, so many at a time.
// Further users stay ids.
const (
	maxNames      = 60
	parallelNames = 8
)

// displayNames looks up users' names by id. Names are a courtesy: a user whose
// name Slack does not tell is shown by id, and the page is answered all the
// same.
func displayNames(ctx context.Context, a *tools.Account, ids []string) map[string]string {
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
	ids = ids[:min(len(ids), maxNames)]
	names := make([]string, len(ids))
	var each errgroup.Group
	each.SetLimit(parallelNames)
	for i, id := range ids {
		each.Go(func() error {
			var answer struct {
				User struct {
					Name     string
					RealName string `json:"real_name"`
					Profile  struct {
						DisplayName string `json:"display_name"`
					}
				}
			}
			err := a.Get(ctx, tools.Path("/users.info").With("user", id).String(), &answer)
			u := answer.User
			names[i] = line(cmp.Or(u.Profile.DisplayName, u.RealName, u.Name))
			if missing(err) {
				return nil
			}
			return err // one that will meet the others too: ask no more
		})
	}
	_ = each.Wait()
	out := map[string]string{}
	for i, id := range ids {
		if names[i] != "" {
			out[id] = names[i]
		}
	}
	return out
}

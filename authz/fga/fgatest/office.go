package fgatest

import (
	"fmt"
	"math/rand/v2"

	"deputy/authz/fga"
)

// OfficeModel is the shape of a search result: documents in folders in
// folders, shared with people and with groups of groups.
const OfficeModel = `model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type document
  relations
    define parent: [folder]
    define owner: [user]
    define blocked: [user, group#member]
    define viewer: ([user, user:*, group#member] or owner or viewer from parent) but not blocked
`

// Office makes n tuples under OfficeModel: half of them place a document in a
// folder, most others name an owner, the rest are groups, folders and shares.
func Office(n int) (tuples []fga.Tuple, users, documents int) {
	rng := rand.New(rand.NewPCG(1, 2))
	users, documents = n/20, n/2
	groups, folders := n/100, n/50
	add := func(user, relation, object string) {
		tuples = append(tuples, fga.Tuple{User: user, Relation: relation, Object: object})
	}
	for i := 1; i < groups; i++ { // groups in groups, some seven deep
		add(fmt.Sprintf("group:%d#member", i), "member", fmt.Sprintf("group:%d", i/4))
	}
	for i := 1; i < folders; i++ {
		add(fmt.Sprintf("folder:%d", i/6), "parent", fmt.Sprintf("folder:%d", i))
		if i%10 == 0 {
			add(fmt.Sprintf("group:%d#member", rng.IntN(groups)), "viewer", fmt.Sprintf("folder:%d", i))
		}
	}
	for i := range users {
		add(fmt.Sprintf("user:%d", i), "member", fmt.Sprintf("group:%d", rng.IntN(groups)))
	}
	for i := range documents {
		add(fmt.Sprintf("folder:%d", rng.IntN(folders)), "parent", fmt.Sprintf("document:%d", i))
	}
	for i := 0; len(tuples) < n; i++ {
		object := fmt.Sprintf("document:%d", i%documents)
		switch {
		case i%50 == 0:
			add("user:*", "viewer", object)
		case i%7 == 0:
			add(fmt.Sprintf("group:%d#member", rng.IntN(groups)), "viewer", object)
		default:
			add(fmt.Sprintf("user:%d", rng.IntN(users)), "owner", object)
		}
	}
	return tuples, users, documents
}

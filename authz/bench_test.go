package authz_test

import (
	"context"
	"fmt"
	"testing"

	"deputy/authz"
	"deputy/internal/store"
)

// BenchmarkVisible decides on one list of a hundred threads, with what the
// provider's answer says about them.
func BenchmarkVisible(b *testing.B) {
	e, err := authz.Open(store.NewMemory(), nil)
	if err != nil {
		b.Fatal(err)
	}
	tuple := func(user, relation, object string) authz.Tuple {
		t, err := authz.ParseTuple(user, relation, object)
		if err != nil {
			b.Fatal(err)
		}
		return t
	}
	if err := e.Write(ctx, []authz.Tuple{tuple("user:*", "hidden", "gmail_label:anna/Payroll")}, nil); err != nil {
		b.Fatal(err)
	}
	facts := authz.Facts{tuple("user:anna", "owner", "account:google/anna"), tuple("account:google/anna", "account", "gmail_mailbox:anna")}
	var objects []authz.Object
	for i := range 100 {
		o := fmt.Sprintf("gmail_thread:%d", i)
		objects = append(objects, authz.Object(o))
		facts = append(facts, tuple("gmail_mailbox:anna", "mailbox", o), tuple(fmt.Sprintf("gmail_label:anna/L%d", i%7), "label", o), tuple("gmail_label:anna/INBOX", "label", o))
	}
	door := authz.NewDoor(func(_ context.Context, _ authz.Principal) error { return nil })
	c, err := door.Caller(ctx, authz.Principal{User: "anna", Agent: "claude"})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := e.Visible(ctx, c, objects, facts); err != nil {
			b.Fatal(err)
		}
	}
}

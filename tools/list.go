package tools

import (
	"context"
	"encoding/json"

	"deputy/authz"
)

// A list is where withheld things could show by what is around them: by an
// empty page with a cursor, or by a cursor that leads to nothing. So where
// rules could withhold anything, a page ends because it is full or because
// there is no more to be seen, and never because of what was withheld; and a
// cursor is given only when something visible lies behind it (T27, T28).

// page is where a list goes on: the provider's own cursor, how many items it
// was asked for there, and how many of them were already given.
type page struct {
	Cursor string `json:"c,omitempty"`
	Size   int    `json:"n,omitempty"`
	Skip   int    `json:"s,omitempty"`
}

const (
	// pageSize is what a provider is asked for at least, where rules could
	// withhold some of it; pagesAhead bounds how many pages one call reads. A
	// list that meets more withheld things in a row than that ends there.
	pageSize   = 20
	pagesAhead = 25
)

// listing is one answer in the making.
type listing struct {
	g    *Guard
	k    *call
	read func(cursor string, size int) (found, error)
	want int // items at most; 0 is what one page of the provider has

	items    []json.RawMessage
	label    authz.Label
	size     int // bytes
	withheld int
	next     page
	more     bool // there is something at next
}

// list answers a read: pages of the provider, without what is withheld.
func (g *Guard) list(ctx context.Context, k *call, a *Account, args json.RawMessage) (Outcome, error) {
	l := &listing{g: g, k: k, items: []json.RawMessage{}, label: authz.Label{}.Join(authz.Label{})}
	l.read = func(cursor string, size int) (found, error) {
		return k.tool.read(ctx, a, paged(args, cursor, size))
	}
	narrowed := g.c.Engine.Narrowed()
	size := 0
	if k.tool.input.schema.Properties["limit"] != nil {
		size = integer(k.args["limit"])
		if narrowed {
			if l.want = size; size == 0 {
				l.want = pageSize
			}
			size = max(size, pageSize)
		}
	}
	at := k.page
	for range pagesAhead {
		done, err := l.page(ctx, &at, size)
		if err != nil {
			return nil, err
		}
		if done || !narrowed {
			break
		}
	}
	if !narrowed && !l.more && at.Cursor != "" { // the provider says that there is more, and all of it is visible
		l.next, l.more = at, true
	}
	return l.answer()
}

// page reads one page of the provider and takes what is visible. It reports
// whether the answer is complete, and moves at to the page after.
func (l *listing) page(ctx context.Context, at *page, size int) (done bool, err error) {
	if at.Size == 0 {
		at.Size = size
	}
	f, err := l.read(at.Cursor, at.Size)
	if err != nil {
		if len(l.items) > 0 { // what was found is not lost to a failure after it
			l.next, l.more = *at, true
			return true, nil
		}
		return false, err
	}
	account := AccountObject(l.k.lease.Account().ID)
	if f.within != nil {
		visible, _, err := l.g.visible(ctx, l.k.caller, account, []Resource{f.within})
		if err != nil {
			return false, err
		}
		if !visible[0] {
			f = found{}
			l.withheld++
		}
	}
	if f.failed != nil {
		return false, f.failed
	}
	visible, _, err := l.g.visible(ctx, l.k.caller, account, f.items)
	if err != nil {
		return false, err
	}
	full := l.want > 0 && len(l.items) >= l.want || l.want == 0 && len(l.items) > 0
	for i := min(at.Skip, len(f.items)); i < len(f.items); i++ {
		if !visible[i] {
			l.withheld++
			continue
		}
		item, err := encode(f.items[i])
		if err != nil {
			return false, err
		}
		full = full || l.want > 0 && len(l.items) >= l.want || l.size+len(item) > maxAnswer && len(l.items) > 0
		if full {
			l.next, l.more = page{at.Cursor, at.Size, i}, true
			return true, nil
		}
		l.items = append(l.items, item)
		l.size += len(item)
		l.label = l.label.Join(f.items[i].Label())
	}
	*at = page{Cursor: f.next}
	return f.next == "", nil
}

func (l *listing) answer() (Outcome, error) {
	said := struct {
		Items []json.RawMessage `json:"items"`
		Next  string            `json:"next_cursor,omitempty"`
	}{Items: l.items}
	var err error
	if l.more {
		if said.Next, err = l.g.sealCursor(l.k, l.next); err != nil {
			return nil, err
		}
	}
	l.g.remember(l.k.caller, l.label)
	out := Answer{Label: l.label, shown: len(l.items), withheld: l.withheld}
	out.json, err = marshal(said)
	return out, err
}

// paged puts a provider's cursor and a page's size into arguments that were
// checked before. A size of 0 leaves the caller's.
func paged(args json.RawMessage, cursor string, size int) json.RawMessage {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(args, &all); err != nil || all == nil {
		return args
	}
	delete(all, "cursor")
	if cursor != "" {
		all["cursor"] = mustMarshal(cursor)
	}
	if size > 0 {
		all["limit"] = mustMarshal(size)
	}
	return mustMarshal(all)
}

// integer is a checked number argument, or 0.
func integer(raw json.RawMessage) (n int) {
	if len(raw) > 0 {
		_ = json.Unmarshal(raw, &n)
	}
	return n
}

package revenue

import (
	"context"
	"fmt"

	"tandem/kit/store"
)

const atOnce = 400 // members of a side that are read together

// side is one set of a comparison, handed out in pages by key.
type side[T any] struct {
	// page is what has a key behind after, in the order of the keys (by octets), each key
	// once. Less than limit are all there are.
	page func(tx *store.Tx, after string, limit int) ([]T, error)
	key  func(T) string
}

// pair is what the two sides have by one key; nil: nothing.
type pair[L, R any] struct {
	key   string
	left  *L
	right *R
}

// merge goes through two sides together, by key, and hands judge a page of pairs at a
// time, and then calls done. Each page is read at one state of the store; what is in
// memory is a page of each side, however long they are.
func merge[L, R any](ctx context.Context, db *store.DB, s store.Scope, left side[L], right side[R], judge func(tx *store.Tx, page []pair[L, R]) error, done func() error) error {
	for after, more := "", true; more; {
		err := db.Snapshot(ctx, s, func(tx *store.Tx) error {
			l, err := left.page(tx, after, atOnce)
			if err != nil {
				return fmt.Errorf("left set: %w", err)
			}
			r, err := right.page(tx, after, atOnce)
			if err != nil {
				return fmt.Errorf("right set: %w", err)
			}
			var page []pair[L, R]
			page, after, more = zip(l, r, left.key, right.key, atOnce)
			return judge(tx, page)
		})
		if err == nil {
			err = done()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// zip joins two pages of members by key, up to the key that both pages are sure of: a
// full page says nothing of what is behind its last key. last is that key, and more says
// that there may be keys behind it.
func zip[L, R any](l []L, r []R, lkey func(L) string, rkey func(R) string, limit int) (page []pair[L, R], last string, more bool) {
	sure := func(key string) bool { return true }
	if len(l) >= limit {
		last, more = lkey(l[len(l)-1]), true
	}
	if len(r) >= limit {
		if end := rkey(r[len(r)-1]); !more || end < last {
			last, more = end, true
		}
	}
	if more {
		sure = func(key string) bool { return key <= last }
	}
	for len(l) > 0 || len(r) > 0 {
		p := pair[L, R]{}
		switch {
		case len(r) == 0 || len(l) > 0 && lkey(l[0]) <= rkey(r[0]):
			p.key = lkey(l[0])
		default:
			p.key = rkey(r[0])
		}
		if !sure(p.key) {
			break
		}
		if len(l) > 0 && lkey(l[0]) == p.key {
			p.left, l = &l[0], l[1:]
		}
		if len(r) > 0 && rkey(r[0]) == p.key {
			p.right, r = &r[0], r[1:]
		}
		page = append(page, p)
	}
	return page, last, more
}

// nothing is the side of a control that looks at one set only.
func nothing() side[struct{}] {
	return side[struct{}]{func(*store.Tx, string, int) ([]struct{}, error) { return nil, nil }, func(struct{}) string { return "" }}
}

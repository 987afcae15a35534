package outbox

import (
	"context"
	"slices"

	"tandem/kit/store"
)

// Passed waits until every hearer has passed the facts told before the call.
// Unlike Idle it ends on a busy node too, because it does not wait for facts
// told meanwhile.
func (b *Bus) Passed(ctx context.Context) error {
	end, err := b.end(ctx)
	if err != nil {
		return err
	}
	return b.reach(ctx, end)
}

// Unheard is a fact that at least one hearer it concerns has not passed yet.
type Unheard struct {
	Seq                     int64
	Tenant, Fact, Key, Body string
}

const behindPage = 1000 // facts read at once

// Unheard calls f with every fact that a hearer it concerns has not passed. It
// needs no started bus: after a stop it says what is still to be heard. Parked
// facts do not count: they are passed.
func (b *Bus) Unheard(ctx context.Context, f func(Unheard) error) error {
	at, after, err := b.positions(ctx)
	for err == nil {
		var page []Unheard
		if page, err = b.factsAfter(ctx, after); err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			if !b.awaited(at, u) {
				continue
			}
			if err := f(u); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Seq
	}
	return err
}

// awaited says whether a hearer of the fact stands before it. The others' rows
// may lag behind facts that do not concern them.
func (b *Bus) awaited(at map[string]int64, u Unheard) bool {
	return slices.ContainsFunc(b.hearers, func(h *hearer) bool { return h.ears[u.Fact] != nil && at[h.name] < u.Seq })
}

// positions are how far the hearers have come, and the least of these. One that
// was never started begins where facts were pruned.
func (b *Bus) positions(ctx context.Context) (at map[string]int64, least int64, err error) {
	at = map[string]int64{}
	err = b.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT hearer, seq FROM outbox_cursor")
		_, err = store.Collect(rows, err, func(r store.Rows) (name string, err error) {
			var n int64
			err = r.Scan(&name, &n)
			at[name] = n
			return name, err
		})
		return err
	})
	for i, h := range b.hearers {
		if _, known := at[h.name]; !known {
			at[h.name] = at[""]
		}
		if i == 0 || at[h.name] < least {
			least = at[h.name]
		}
	}
	return at, least, err
}

func (b *Bus) factsAfter(ctx context.Context, seq int64) (page []Unheard, err error) {
	err = b.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT seq, tenant, name, key, body FROM outbox_fact WHERE seq > $1 ORDER BY seq LIMIT $2", seq, int64(behindPage))
		page, err = store.Collect(rows, err, func(r store.Rows) (u Unheard, err error) {
			err = r.Scan(&u.Seq, &u.Tenant, &u.Fact, &u.Key, &u.Body)
			return u, err
		})
		return err
	})
	return page, err
}

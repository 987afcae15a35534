package outbox

import (
	"context"

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

// Unheard is a fact that at least one hearer has not passed yet.
type Unheard struct {
	Seq                     int64
	Tenant, Fact, Key, Body string
}

const behindPage = 1000 // facts read at once

// Unheard calls f with every fact that some hearer of the score has not passed.
// It needs no started bus: after a stop it says what is still to be heard.
func (b *Bus) Unheard(ctx context.Context, f func(Unheard) error) error {
	after, err := b.slowest(ctx)
	for err == nil {
		var page []Unheard
		if page, err = b.factsAfter(ctx, after); err != nil || len(page) == 0 {
			return err
		}
		for _, u := range page {
			if err := f(u); err != nil {
				return err
			}
		}
		after = page[len(page)-1].Seq
	}
	return err
}

// slowest is how far the hearer has come that has come least far. One that was
// never started begins where facts were pruned.
func (b *Bus) slowest(ctx context.Context) (seq int64, err error) {
	at := map[string]int64{}
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
	if err != nil {
		return 0, err
	}
	for i, h := range b.hearers {
		n, known := at[h.name]
		if !known {
			n = at[""]
		}
		if i == 0 || n < seq {
			seq = n
		}
	}
	return seq, nil
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

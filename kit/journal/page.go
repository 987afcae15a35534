package journal

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"tandem/kit/store"
)

// Page is a part of a shard's snapshot.
type Page struct {
	Shard  int
	Number int64  // which part: the caller's numbering
	Mark   uint64 // the caller's: how many of the shard's records the page contains
	Low    int64  // the first batch that must be replayed over it; what is below may be pruned
	Blob   []byte
}

// Save writes pages over those of the same shard and number, all of them or none,
// in one transaction: keep it small. Errors are those of Append.
func (l *Log) Save(ctx context.Context, pages []Page) error {
	var shards Set
	for _, p := range pages {
		shards.Add(p.Shard)
	}
	if len(pages) == 0 {
		return nil
	}
	return l.fenced(ctx, &l.doubt, shards, func(tx *store.Tx, term int64) error {
		y := tx.System()
		var held int64
		err := y.Row("SELECT term FROM journal_term WHERE term = $1"+share(tx), term).Scan(&held)
		if errors.Is(err, store.ErrNotFound) {
			return store.ErrStale
		}
		if err != nil {
			return err
		}
		for _, p := range pages {
			y.Queue(`INSERT INTO journal_page (log, shard, number, mark, low, blob) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (log, shard, number) DO UPDATE SET mark = excluded.mark, low = excluded.low, blob = excluded.blob`,
				l.name, int64(p.Shard), p.Number, int64(p.Mark), p.Low, octets(p.Blob))
		}
		return nil
	})
}

const loadPages = 64 // read at once

// Load calls fn with the pages of the wanted shards, by shard and number.
func (l *Log) Load(ctx context.Context, want Set, fn func(Page) error) (err error) {
	if err := l.settle(ctx); err != nil {
		return err
	}
	want.Each(func(shard int) {
		if err == nil {
			err = l.loadShard(ctx, shard, fn)
		}
	})
	return err
}

func (l *Log) loadShard(ctx context.Context, shard int, fn func(Page) error) error {
	for after := int64(math.MinInt64); ; {
		pages, err := l.pages(ctx, shard, after)
		if err != nil {
			return err
		}
		for _, p := range pages {
			if err := fn(p); err != nil {
				return err
			}
			after = p.Number
		}
		if len(pages) < loadPages {
			return nil
		}
	}
}

func (l *Log) pages(ctx context.Context, shard int, after int64) (pages []Page, err error) {
	err = l.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query(`SELECT number, mark, low, blob FROM journal_page
			WHERE log = $1 AND shard = $2 AND number > $3 ORDER BY number LIMIT $4`, l.name, int64(shard), after, loadPages)
		pages, err = store.Collect(rows, err, func(r store.Rows) (Page, error) {
			p := Page{Shard: shard}
			var mark int64
			err := r.Scan(&p.Number, &mark, &p.Low, &p.Blob)
			p.Mark = uint64(mark)
			return p, err
		})
		return err
	})
	return pages, err
}

// Low is the smallest number of a batch that a page, or a shard that has none, still
// needs. If none is needed it is above all that are final.
func (l *Log) Low(ctx context.Context) (seq int64, err error) {
	lows, err := l.lows(ctx)
	if err != nil {
		return 0, err
	}
	at := max(slices.Min(lows[:])-1, l.unneeded.Load())
	for {
		// Only what is final is looked at: a number below may still appear.
		upto, err := l.tail.Upto(ctx, at, lookAhead)
		if err != nil || upto == at {
			return at + 1, err
		}
		need, err := l.needed(ctx, at, upto, lows)
		if err != nil {
			return 0, err
		}
		l.unneeded.Store(max(need-1, l.unneeded.Load()))
		if need <= upto {
			return need, nil
		}
		at = upto
	}
}

// lows is from where on each shard needs the log: all of it if it has no page.
func (l *Log) lows(ctx context.Context) (lows [Shards]int64, err error) {
	err = l.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT shard, min(low) FROM journal_page WHERE log = $1 GROUP BY shard", l.name)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var shard int
			var low int64
			if err := rows.Scan(&shard, &low); err != nil {
				return err
			}
			lows[shard] = max(low, 0)
		}
		return rows.Err()
	})
	return lows, err
}

// needed is the first batch in (after, upto] that touches a shard whose low is not
// above it; upto+1 if there is none.
func (l *Log) needed(ctx context.Context, after, upto int64, lows [Shards]int64) (need int64, err error) {
	err = l.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		need = upto + 1
		rows, err := tx.System().Query(`SELECT seq, shards_0, shards_1, shards_2, shards_3 FROM journal_batch
			WHERE log = $1 AND seq > $2 AND seq <= $3 ORDER BY seq`, l.name, after, upto)
		if err != nil {
			return err
		}
		defer rows.Close()
		for need > upto && rows.Next() {
			var seq int64
			var w [4]int64
			if err := rows.Scan(&seq, &w[0], &w[1], &w[2], &w[3]); err != nil {
				return err
			}
			setOf(w).Each(func(shard int) {
				if lows[shard] <= seq {
					need = seq
				}
			})
		}
		return rows.Err()
	})
	return need, err
}

const (
	pruneRows  = 256     // deleted in one transaction, at most
	pruneBytes = 8 << 20 // octets of blobs, about
)

// Prune deletes the batches up to the given number that no page needs and that
// were written longer than keep ago, in small transactions, and says how many.
func (l *Log) Prune(ctx context.Context, upto int64, keep time.Duration) (rows int64, err error) {
	low, err := l.Low(ctx)
	if err != nil {
		return 0, err
	}
	upto = min(upto, low-1)
	for after := int64(0); after < upto; {
		last, err := l.old(ctx, after, upto, l.db.Now().Add(-keep))
		if err != nil || last == after {
			return rows, err
		}
		var n int64
		err = l.write(ctx, func(tx *store.Tx) error {
			n, err = tx.System().Exec("DELETE FROM journal_batch WHERE log = $1 AND seq > $2 AND seq <= $3", l.name, after, last)
			return err
		})
		if err != nil {
			return rows, err
		}
		rows, after = rows+n, last
	}
	return rows, nil
}

// old finds up to where to delete next: not beyond a batch that is too young.
func (l *Log) old(ctx context.Context, after, upto int64, before time.Time) (last int64, err error) {
	err = l.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		last = after
		rows, err := tx.System().Query("SELECT seq, at, length(blob) FROM journal_batch WHERE log = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
			l.name, after, upto, pruneRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for total := 0; rows.Next() && total < pruneBytes; {
			var seq, at int64
			var size int
			if err := rows.Scan(&seq, &at, &size); err != nil {
				return err
			}
			if at >= store.Micros(before) {
				return nil
			}
			last, total = seq, total+size
		}
		return rows.Err()
	})
	return last, err
}

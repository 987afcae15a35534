package store

import (
	"context"
	"sync"
)

// Tail reads an append-only table whose BIGINT key "seq" the database assigns.
//
// On PostgreSQL numbers become visible in another order than they were drawn: a
// reader that simply goes on after the highest number it saw loses rows that
// commit late. Tail therefore stops before a hole until every transaction that
// could still fill it has ended; then the hole belongs to one that rolled back.
// Writers must call [Tx.Append] before they draw a number.
type Tail struct {
	db    *DB
	table string
	mu    sync.Mutex
	// holes are the first missing numbers seen, at whichever cursor: transactions
	// from the given one on had not begun then. Those in gone nobody can fill.
	holes map[int64]int64
	gone  map[int64]bool

	between func() // a test's, run between the look at the horizon and that at the rows
}

const maxHoles = 10_000 // remembered; what is forgotten is looked at again

// Tail is a reader of the named table, for any number of cursors.
func (db *DB) Tail(table string) *Tail {
	return &Tail{db: db, table: table, holes: map[int64]int64{}, gone: map[int64]bool{}}
}

// Append prepares the transaction to add rows to a tailed table: it takes its
// transaction number now, so that the number is older than any seq it draws.
func (tx *Tx) Append() {
	top := tx.top()
	if tx.dialect == Postgres && !top.logged {
		tx.session.queue("SELECT pg_current_xact_id()", nil, -1)
	}
	top.logged = true
}

// Upto returns the highest number n such that all rows in (after, n] are final
// and visible, looking at no more than limit rows; after itself if there is none.
func (t *Tail) Upto(ctx context.Context, after int64, limit int) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	upto, news, err := t.look(ctx, after, limit)
	if err == nil && news { // most often whoever left the new holes has ended already
		upto, _, err = t.look(ctx, after, limit)
	}
	return upto, err
}

// look is one look at the horizon and then at the rows; news tells of holes that
// were seen for the first time.
func (t *Tail) look(ctx context.Context, after int64, limit int) (upto int64, news bool, err error) {
	// The horizon is taken before the rows are read: a transaction that has ended
	// by then has filled its hole, or never will. Taken afterwards, one that
	// commits in between would be lost.
	var xmin int64
	if len(t.holes) > 0 {
		if xmin, err = t.db.horizon(ctx); err != nil {
			return after, false, err
		}
	}
	if t.between != nil {
		t.between()
	}
	seqs, err := t.read(ctx, after, limit)
	if err != nil || len(seqs) == 0 {
		return after, false, err
	}
	if t.db.dialect == SQLite { // one writer: numbers appear in order
		return seqs[len(seqs)-1], false, nil
	}
	return t.firm(ctx, after, seqs, xmin)
}

func (t *Tail) read(ctx context.Context, after int64, limit int) (seqs []int64, err error) {
	err = t.db.Read(ctx, Scope{}, func(tx *Tx) error {
		rows, err := tx.System().Query("SELECT seq FROM "+t.table+" WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
		seqs, err = Collect(rows, err, func(r Rows) (n int64, err error) {
			err = r.Scan(&n)
			return n, err
		})
		return err
	})
	return seqs, err
}

// firm goes up to the first hole that may still be filled, and notes all new ones.
func (t *Tail) firm(ctx context.Context, after int64, seqs []int64, xmin int64) (upto int64, news bool, err error) {
	upto = after
	last, open, fresh := after, false, []int64{}
	for _, seq := range seqs {
		if hole := last + 1; seq != hole && !t.gone[hole] {
			until, known := t.holes[hole]
			switch {
			case !known:
				fresh = append(fresh, hole)
				open = true
			case xmin >= until:
				t.gone[hole] = true
				delete(t.holes, hole)
			default:
				open = true
			}
		}
		if !open {
			upto = seq
		}
		last = seq
	}
	return upto, len(fresh) > 0, t.note(ctx, fresh)
}

func (t *Tail) note(ctx context.Context, fresh []int64) error {
	if len(fresh) == 0 {
		return nil
	}
	until, err := t.db.newest(ctx) // who drew a missing number had his own before that
	if err != nil {
		return err
	}
	if len(t.holes)+len(t.gone) > maxHoles {
		clear(t.holes)
		clear(t.gone)
	}
	for _, hole := range fresh {
		t.holes[hole] = until
	}
	return nil
}

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
	hole  int64 // first missing number seen
	until int64 // transactions from this one on had not begun when it was seen

	between func() // a test's, run between the look at the horizon and that at the rows
}

// Tail is a reader of the named table.
func (db *DB) Tail(table string) *Tail { return &Tail{db: db, table: table} }

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
	// The horizon is taken before the rows are read: a transaction that has ended
	// by then has filled its hole, or never will. Taken afterwards, one that
	// commits in between would be lost.
	var xmin int64
	if t.hole > 0 {
		var err error
		if xmin, _, err = t.db.horizon(ctx); err != nil {
			return after, err
		}
	}
	if t.between != nil {
		t.between()
	}
	seqs, err := t.read(ctx, after, limit)
	if err != nil || len(seqs) == 0 {
		return after, err
	}
	if t.db.dialect == SQLite { // one writer: numbers appear in order
		return seqs[len(seqs)-1], nil
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

// firm goes up to the first hole that may still be filled, and notes it.
func (t *Tail) firm(ctx context.Context, after int64, seqs []int64, xmin int64) (int64, error) {
	last := after
	for _, seq := range seqs {
		if hole := last + 1; seq != hole && !(t.hole == hole && xmin >= t.until) {
			if t.hole == hole {
				return last, nil
			}
			_, xmax, err := t.db.horizon(ctx)
			t.hole, t.until = hole, xmax
			return last, err
		}
		last = seq
	}
	t.hole = 0
	return last, nil
}

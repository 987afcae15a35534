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
	var seqs []int64
	err := t.db.Read(ctx, Scope{}, func(tx *Tx) error {
		rows, err := tx.System().Query("SELECT seq FROM "+t.table+" WHERE seq > $1 ORDER BY seq LIMIT $2", after, limit)
		seqs, err = Collect(rows, err, func(r Rows) (n int64, err error) {
			err = r.Scan(&n)
			return n, err
		})
		return err
	})
	if err != nil || len(seqs) == 0 {
		return after, err
	}
	if t.db.dialect == SQLite {
		return seqs[len(seqs)-1], nil
	}
	return t.firm(ctx, after, seqs)
}

func (t *Tail) firm(ctx context.Context, after int64, seqs []int64) (int64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := after
	for _, seq := range seqs {
		if seq != last+1 {
			dead, err := t.holeIsDead(ctx, last+1)
			if err != nil || !dead {
				return last, err
			}
		}
		last = seq
	}
	return last, nil
}

// holeIsDead decides on the hole that starts at n. The caller read the rows
// before the horizon is taken here, so a dead hole is looked at once more by
// the caller's next call: only a hole noted on an earlier call can be dead.
func (t *Tail) holeIsDead(ctx context.Context, n int64) (bool, error) {
	xmin, xmax, err := t.db.horizon(ctx)
	if err != nil {
		return false, err
	}
	if t.hole != n || t.until == 0 {
		t.hole, t.until = n, xmax
		return false, nil
	}
	return xmin >= t.until, nil
}

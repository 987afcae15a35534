package journal

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"tandem/kit/store"
)

// Claim gains shards that nobody holds, and those of holders that have not renewed
// in time, at most max. ErrFenced: this holder's own term was ended; it holds
// nothing now and may claim again.
func (l *Log) Claim(ctx context.Context, max int) (gained Set, err error) {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	if err := l.settleLeasing(ctx); err != nil || max <= 0 {
		return Set{}, err
	}
	present, _ := l.present()
	var term int64
	err = l.write(ctx, func(tx *store.Tx) (err error) { // appends in the present term go on meanwhile
		gained, term, err = l.claim(tx, present, max)
		return err
	})
	return l.gain(term, gained, err)
}

// gain takes the outcome of a claim.
func (l *Log) gain(term int64, gained Set, err error) (Set, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.lost.Load() { // by an append meanwhile
		err = ErrFenced
	}
	if errors.Is(err, ErrFenced) {
		l.lost.Store(true)
	}
	if err != nil {
		l.doubt.Store(true)
		return Set{}, err
	}
	l.term, l.held = term, l.held.Union(gained)
	return gained, nil
}

// claim leases shards to the present term, or to a new one if that is 0.
func (l *Log) claim(tx *store.Tx, present int64, max int) (gained Set, term int64, err error) {
	if err := l.enter(tx); err != nil {
		return Set{}, 0, err
	}
	now, err := l.now(tx)
	if err != nil {
		return Set{}, 0, err
	}
	free, lapsed, err := l.survey(tx, present, now)
	if err != nil {
		return Set{}, 0, err
	}
	for _, t := range lapsed {
		if free.Len() >= max {
			break
		}
		ended, err := l.end(tx, t.term, now)
		if err != nil {
			return Set{}, 0, err
		}
		if ended {
			free = free.Union(t.shards)
		}
	}
	free.Each(func(n int) {
		if gained.Len() < max {
			gained.Add(n)
		}
	})
	if gained == (Set{}) {
		return gained, present, nil
	}
	if term, err = l.begin(tx, present, now); err != nil {
		return Set{}, 0, err
	}
	l.lease(tx, term, gained)
	return gained, term, nil
}

// enter makes sure of the log's lines and keeps others from changing its leases
// until the transaction ends.
func (l *Log) enter(tx *store.Tx) error {
	y := tx.System()
	made, err := y.Exec("INSERT INTO journal_log (log) VALUES ($1) ON CONFLICT (log) DO NOTHING", l.name)
	if err != nil {
		return err
	}
	for shard := range int64(Shards) {
		if made == 1 {
			y.Queue("INSERT INTO journal_lease (log, shard, term) VALUES ($1, $2, 0)", l.name, shard)
		}
	}
	var name string
	return y.Row("SELECT log FROM journal_log WHERE log = $1"+tx.Dialect().ForUpdate(), l.name).Scan(&name)
}

// now is the database's clock, which all holders share. It decides who may try to
// take over, nothing more.
func (l *Log) now(tx *store.Tx) (us int64, err error) {
	if tx.Dialect() == store.SQLite {
		return store.Micros(tx.Now()), nil
	}
	err = tx.System().Row("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").Scan(&us)
	return us, err
}

// lapse is a term that may be ended, with its shards.
type lapse struct {
	term, expires int64
	shards        Set
}

// survey tells the shards that nobody holds and the terms that may be ended, the
// longest lapsed first. A term of this very holder that is not the present one is
// left over from a write of unknown outcome.
func (l *Log) survey(tx *store.Tx, present, now int64) (free Set, lapsed []lapse, err error) {
	rows, err := tx.System().Query(`SELECT l.shard, coalesce(t.term, 0), coalesce(t.holder, ''), coalesce(t.expires_at, 0)
		FROM journal_lease l LEFT JOIN journal_term t ON t.term = l.term WHERE l.log = $1 ORDER BY l.shard`, l.name)
	if err != nil {
		return Set{}, nil, err
	}
	defer rows.Close()
	at := map[int64]int{}
	for rows.Next() {
		var shard int
		var t lapse
		var holder string
		if err := rows.Scan(&shard, &t.term, &holder, &t.expires); err != nil {
			return Set{}, nil, err
		}
		if t.term == 0 {
			free.Add(shard)
			continue
		}
		if t.term == present || t.expires >= now && holder != l.o.Holder {
			continue
		}
		if _, seen := at[t.term]; !seen {
			at[t.term] = len(lapsed)
			lapsed = append(lapsed, t)
		}
		lapsed[at[t.term]].shards.Add(shard)
	}
	slices.SortStableFunc(lapsed, func(a, b lapse) int { return cmp.Compare(a.expires, b.expires) })
	return free, lapsed, rows.Err()
}

// end ends a term if it still may be. From here on until the commit its holder's
// writes wait; those under way were waited for.
func (l *Log) end(tx *store.Tx, term, now int64) (bool, error) {
	y := tx.System()
	n, err := y.Exec("DELETE FROM journal_term WHERE term = $1 AND (expires_at < $2 OR holder = $3)", term, now, l.o.Holder)
	if err != nil || n == 0 {
		return false, err
	}
	y.Queue("UPDATE journal_lease SET term = 0 WHERE log = $1 AND term = $2", l.name, term)
	return true, nil
}

// begin is the present term, extended, or a new one if that is 0.
func (l *Log) begin(tx *store.Tx, present, now int64) (term int64, err error) {
	if present == 0 {
		return l.open(tx, now)
	}
	n, err := tx.System().Exec("UPDATE journal_term SET expires_at = $2 WHERE term = $1", present, now+l.o.Lease.Microseconds())
	if err == nil && n == 0 {
		err = ErrFenced
	}
	return present, err
}

func (l *Log) open(tx *store.Tx, now int64) (term int64, err error) {
	err = tx.System().Row("INSERT INTO journal_term (log, holder, address, expires_at) VALUES ($1, $2, $3, $4) RETURNING term",
		l.name, l.o.Holder, l.o.Address, now+l.o.Lease.Microseconds()).Scan(&term)
	return term, err
}

func (l *Log) lease(tx *store.Tx, term int64, shards Set) {
	tx.System().Queue("UPDATE journal_lease SET term = $2 WHERE log = $1 AND shard IN ("+store.In(3, shards.Len())+")",
		append([]any{l.name, term}, shards.args()...)...)
}

// Renew keeps what is held for another lease and returns it. What is missing from
// held was taken over; since a term ends as a whole, then all is missing.
func (l *Log) Renew(ctx context.Context) (held Set, err error) {
	if err := l.settle(ctx); err != nil && !errors.Is(err, ErrFenced) {
		return l.Held(), err
	}
	err = l.renew(ctx)
	return l.Held(), err
}

// renew extends the present term while appends go on.
func (l *Log) renew(ctx context.Context) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.term == 0 {
		return nil
	}
	err := l.write(ctx, func(tx *store.Tx) error {
		now, err := l.now(tx)
		if err != nil {
			return err
		}
		_, err = l.begin(tx, l.term, now)
		return err
	})
	if !errors.Is(err, ErrFenced) {
		return err
	}
	l.lost.Store(true)
	l.doubt.Store(true)
	return nil
}

// Release gives shards back, so that others may claim them at once. Those not held
// do not matter. Appends to other shards go on.
func (l *Log) Release(ctx context.Context, shards Set) error {
	l.leasing.Lock()
	defer l.leasing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.held.Overlaps(shards) {
		return nil
	}
	return l.move(ctx, l.held.Minus(shards))
}

// move ends the present term and begins one with the shards to keep, if any.
// ErrFenced: another holder has ended it, and there is nothing to keep. After any
// other error the term may have ended or not.
func (l *Log) move(ctx context.Context, keep Set) error {
	if l.lost.Load() {
		keep = Set{}
	}
	var term int64
	if l.term != 0 {
		err := l.write(ctx, func(tx *store.Tx) (err error) {
			term, err = l.succeed(tx, keep)
			return err
		})
		if err != nil && !errors.Is(err, ErrFenced) {
			l.doubt.Store(true)
			return err
		}
	}
	wanted := keep
	if term == 0 {
		keep = Set{}
	}
	if l.lost.Load() && l.held != (Set{}) || keep != wanted {
		l.o.Log.Warn("journal: the shards held are lost", "log", l.name, "holder", l.o.Holder, "term", l.term, "shards", l.held.Len())
	}
	l.term, l.held = term, keep
	l.lost.Store(false)
	l.doubt.Store(false)
	if keep != wanted {
		return ErrFenced
	}
	return nil
}

// succeed is the term after the present one; 0 if there is nothing to keep.
func (l *Log) succeed(tx *store.Tx, keep Set) (term int64, err error) {
	if err := l.enter(tx); err != nil {
		return 0, err
	}
	now, err := l.now(tx)
	if err != nil {
		return 0, err
	}
	y := tx.System()
	n, err := y.Exec("DELETE FROM journal_term WHERE term = $1", l.term)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, ErrFenced
	}
	y.Queue("UPDATE journal_lease SET term = 0 WHERE log = $1 AND term = $2", l.name, l.term)
	if keep == (Set{}) {
		return 0, nil
	}
	if term, err = l.open(tx, now); err != nil {
		return 0, err
	}
	l.lease(tx, term, keep)
	return term, nil
}

// Owners are the addresses of the holders of all shards, "" where there is none.
// A holder that has died stays until another takes over.
func (l *Log) Owners(ctx context.Context) (owners [Shards]string, err error) {
	err = l.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT l.shard, t.address FROM journal_lease l JOIN journal_term t ON t.term = l.term WHERE l.log = $1", l.name)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var shard int
			var address string
			if err := rows.Scan(&shard, &address); err != nil {
				return err
			}
			owners[shard] = address
		}
		return rows.Err()
	})
	return owners, err
}

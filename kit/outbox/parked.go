package outbox

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

const (
	waiting    = math.MaxInt64 // next_at of a fact behind a parked one
	retryFirst = 500 * time.Millisecond
	retryMost  = 10 * time.Minute
	errorMax   = 2000 // octets of an error that are kept
)

// blocked is the lanes of the batch in which an earlier fact is parked.
func (h *hearer) blocked(tx *store.Tx, parked bool, batch []heard) (map[lane]bool, error) {
	if !parked {
		return nil, nil
	}
	args := []any{h.name}
	for _, f := range batch {
		args = append(args, f.key)
	}
	rows, err := tx.System().Query("SELECT DISTINCT tenant, key FROM outbox_parked WHERE hearer = $1 AND key IN ("+store.In(2, len(batch))+")", args...)
	lanes, err := store.Collect(rows, err, func(r store.Rows) (l lane, err error) {
		err = r.Scan(&l.tenant, &l.key)
		return l, err
	})
	found := map[lane]bool{}
	for _, l := range lanes {
		found[l] = true
	}
	return found, err
}

const insertParked = `INSERT INTO outbox_parked (tenant, hearer, seq, name, key, body, told_at, error, attempts, next_at, at)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

func (h *hearer) parkBehind(tx *store.Tx, f told) {
	tx.System().Queue(insertParked, f.tenant, h.name, f.seq, f.name, f.key, f.body, f.at,
		"waits behind an earlier fact of the same key", 0, int64(waiting), store.Micros(tx.Now()))
}

// park sets a fact aside that failed with cause, and goes on behind it.
func (h *hearer) park(ctx context.Context, f told, cause error, upto int64) error {
	h.bus.log.Warn("outbox: fact parked", "hearer", h.name, "fact", f.name, "seq", f.seq, "tenant", f.tenant, "key", f.key, "err", cause)
	err := h.write(ctx, func(tx *store.Tx, _ bool) error {
		next := tx.Now().Add(backoff(retryFirst, retryMost, 1))
		tx.System().Queue(insertParked, f.tenant, h.name, f.seq, f.name, f.key, f.body, f.at,
			short(cause), 1, store.Micros(next), store.Micros(tx.Now()))
		h.move(tx, upto)
		return h.schedule(tx)
	})
	if err == nil {
		h.moved(upto, upto)
	}
	return err
}

func short(err error) string {
	return strings.ToValidUTF8(strings.ReplaceAll(err.Error()[:min(len(err.Error()), errorMax)], "\x00", ""), "")
}

// schedule writes into the cursor row when the hearer's next parked fact is due.
func (h *hearer) schedule(tx *store.Tx) error {
	retryAt, err := schedule(tx, h.name)
	if err == nil {
		tx.OnCommit(func() { h.retryAt.Store(retryAt) })
	}
	return err
}

func schedule(tx *store.Tx, hearer string) (retryAt int64, err error) {
	err = tx.System().Row("SELECT coalesce(min(next_at), 0) FROM outbox_parked WHERE hearer = $1", hearer).Scan(&retryAt)
	if err == nil {
		tx.System().Queue("UPDATE outbox_cursor SET retry_at = $2 WHERE hearer = $1", hearer, retryAt)
	}
	return retryAt, err
}

func (h *hearer) retryDue() bool {
	at := h.retryAt.Load()
	return at != 0 && at <= store.Micros(h.bus.db.Now())
}

// retryParked tries due parked facts; more means that some may be left.
func (h *hearer) retryParked(ctx context.Context) (more bool, err error) {
	for range retryRound {
		if !h.retryDue() {
			return false, nil
		}
		if err := h.retryOne(ctx); err != nil {
			return false, err
		}
	}
	return true, nil
}

// retryOne handles the longest due parked fact and makes the one behind it due.
func (h *hearer) retryOne(ctx context.Context) error {
	var f told
	scope := store.Scope{Actor: "system:" + h.name}
	err := h.bus.db.Write(ctx, scope, func(tx *store.Tx) error {
		f = told{}
		if _, _, err := h.lock(tx); err != nil {
			return err
		}
		err := tx.System().Row(`SELECT seq, tenant, name, key, body, attempts FROM outbox_parked
			WHERE hearer = $1 AND next_at <= $2 ORDER BY next_at, seq LIMIT 1`, h.name, store.Micros(tx.Now())).
			Scan(&f.seq, &f.tenant, &f.name, &f.key, &f.body, &f.attempts)
		if errors.Is(err, store.ErrNotFound) {
			return h.schedule(tx)
		}
		if err != nil {
			return err
		}
		if err := h.hear(f).call(tx.As(store.Scope{Tenant: f.tenant, Actor: tx.Actor()})); err != nil {
			return err
		}
		unpark(tx, h.name, f)
		return h.schedule(tx)
	})
	if err == nil || f.seq == 0 || h.outside(ctx, err) {
		return err
	}
	return h.parkAgain(ctx, f, err)
}

// parkAgain notes a further failure of a parked fact.
func (h *hearer) parkAgain(ctx context.Context, f told, cause error) error {
	return h.bus.db.Write(ctx, store.Scope{Actor: "system:" + h.name}, func(tx *store.Tx) error {
		if _, _, err := h.lock(tx); err != nil {
			return err
		}
		next := tx.Now().Add(backoff(retryFirst, retryMost, int(f.attempts)+1))
		tx.System().Queue("UPDATE outbox_parked SET attempts = $4, error = $5, next_at = $6 WHERE tenant = $1 AND hearer = $2 AND seq = $3",
			f.tenant, h.name, f.seq, f.attempts+1, short(cause), store.Micros(next))
		return h.schedule(tx)
	})
}

// unpark removes a parked fact and makes the next of its lane due.
func unpark(tx *store.Tx, hearer string, f told) {
	y := tx.System()
	y.Queue("DELETE FROM outbox_parked WHERE tenant = $1 AND hearer = $2 AND seq = $3", f.tenant, hearer, f.seq)
	y.Queue(`UPDATE outbox_parked SET next_at = $4 WHERE tenant = $1 AND hearer = $2 AND next_at = $5 AND seq =
		(SELECT min(p.seq) FROM outbox_parked p WHERE p.tenant = $1 AND p.hearer = $2 AND p.key = $3)`,
		f.tenant, hearer, f.key, store.Micros(tx.Now()), int64(waiting))
}

// Parked is a fact that a hearer could not handle yet.
type Parked struct {
	Hearer, Tenant  string
	Seq             int64
	Fact, Key, Body string
	Error           string
	Attempts        int64
	ToldAt, At      time.Time // when told, when parked
	NextAt          time.Time // next try; zero: waits behind an earlier fact of its key
}

// ParkedQuery selects parked facts; empty fields select all.
type ParkedQuery struct {
	Tenant, Hearer string
	After          int64 // seq of the last one of the previous page
	Limit          int   // 0: 100
}

// Parked lists parked facts, oldest first.
func (b *Bus) Parked(ctx context.Context, q ParkedQuery) (found []Parked, err error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	err = b.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query(`SELECT hearer, tenant, seq, name, key, body, error, attempts, told_at, at, next_at FROM outbox_parked
			WHERE ($1 = '' OR tenant = $1) AND ($2 = '' OR hearer = $2) AND seq > $3 ORDER BY seq, hearer LIMIT $4`,
			q.Tenant, q.Hearer, q.After, q.Limit)
		found, err = store.Collect(rows, err, scanParked)
		return err
	})
	return found, err
}

func scanParked(r store.Rows) (p Parked, err error) {
	var toldAt, at, next int64
	err = r.Scan(&p.Hearer, &p.Tenant, &p.Seq, &p.Fact, &p.Key, &p.Body, &p.Error, &p.Attempts, &toldAt, &at, &next)
	p.ToldAt, p.At = store.Instant(toldAt), store.Instant(at)
	if next != waiting {
		p.NextAt = store.Instant(next)
	}
	return p, err
}

// Retry makes a parked fact due now instead of at its next try.
func (b *Bus) Retry(ctx context.Context, hearer string, seq int64) error {
	return b.settle(ctx, hearer, seq, "", func(tx *store.Tx, p Parked) error {
		if p.NextAt.IsZero() {
			return fault.Clash("waitsBehind", "Fact %d waits behind an earlier fact of %q; retry or drop that one", seq, p.Key)
		}
		tx.System().Queue("UPDATE outbox_parked SET next_at = $4 WHERE tenant = $1 AND hearer = $2 AND seq = $3",
			p.Tenant, hearer, seq, store.Micros(tx.Now()))
		return nil
	})
}

// Drop gives a parked fact up for good; who and why is kept with the fact.
func (b *Bus) Drop(ctx context.Context, hearer string, seq int64, actor, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fault.BadInput("reasonMissing", "Say why the fact is dropped")
	}
	return b.settle(ctx, hearer, seq, actor, func(tx *store.Tx, p Parked) error {
		tx.System().Queue(`INSERT INTO outbox_dropped (tenant, hearer, seq, name, key, body, error, attempts, actor, reason, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, p.Tenant, hearer, seq, p.Fact, p.Key, p.Body,
			p.Error, p.Attempts, actor, reason, store.Micros(tx.Now()))
		unpark(tx, hearer, told{seq: seq, tenant: p.Tenant, key: p.Key})
		return nil
	})
}

// settle changes one parked fact while its hearer stands still, and wakes it.
func (b *Bus) settle(ctx context.Context, hearer string, seq int64, actor string, fn func(*store.Tx, Parked) error) error {
	var retryAt int64
	err := b.db.Write(ctx, store.Scope{Actor: actor}, func(tx *store.Tx) error {
		var at int64
		err := tx.System().Row("SELECT seq FROM outbox_cursor WHERE hearer = $1"+tx.Dialect().ForUpdate(), hearer).Scan(&at)
		if errors.Is(err, store.ErrNotFound) {
			return fault.Missing("hearer", hearer)
		}
		if err != nil {
			return err
		}
		rows, err := tx.System().Query(`SELECT hearer, tenant, seq, name, key, body, error, attempts, told_at, at, next_at
			FROM outbox_parked WHERE hearer = $1 AND seq = $2`, hearer, seq)
		found, err := store.Collect(rows, err, scanParked)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.New(fault.NotFound, "notFound", "%s has no parked fact %d", hearer, seq)
		}
		if err := fn(tx, found[0]); err != nil {
			return err
		}
		retryAt, err = schedule(tx, hearer)
		return err
	})
	if err != nil {
		return err
	}
	for _, h := range b.hearers {
		if h.name == hearer {
			h.retryAt.Store(retryAt)
			poke(h.nudge)
		}
	}
	return nil
}

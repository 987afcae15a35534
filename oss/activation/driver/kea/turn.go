package kea

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"time"

	"tandem/kit/store"
	"tandem/oss/activation/driver"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the driver's own tables.
var Schemas = []store.Schema{store.Embedded("kea", schemaFiles)}

// Turns lets one node at a time change the configuration of a server: it is read, changed and set as a whole, and of what two set at
// once only one stays. A node that dies with the turn keeps it until its lease is over.
type Turns struct {
	db    *store.DB
	scope store.Scope
	lease time.Duration
}

const (
	defaultLease = 30 * time.Second
	margin       = 5 * time.Second       // before the end of a lease nothing more is sent
	poll         = 50 * time.Millisecond // between two looks at a turn that another node has
	stale        = 2 * time.Second       // who has not asked for so long does not wait any more
)

// NewTurns keeps the turns of a host in its store.
func NewTurns(db *store.DB, host string) *Turns {
	return &Turns{db: db, scope: store.Scope{Tenant: host, Actor: "system:kea"}, lease: defaultLease}
}

// New makes a driver; it connects to the control agent when it is first used.
func (s *Turns) New(end driver.Endpoint) (driver.Driver, error) { return newDriver(s, end) }

// turn is one that was taken.
type turn struct {
	of          *Turns
	address, me string
	cancel      context.CancelFunc
	written     bool // all that was ever set is on the server's disk
}

// take waits for the turn at a server until ctx is done. Within the context it returns the turn is the caller's; end gives it up.
func (s *Turns) take(ctx context.Context, address string) (mine context.Context, t *turn, err error) {
	t = &turn{of: s, address: address, me: rand.Text()}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		asked := time.Now()
		got, err := t.ask(ctx)
		if err != nil {
			return nil, nil, err
		}
		if got {
			mine, t.cancel = context.WithDeadline(ctx, asked.Add(s.lease-margin))
			return mine, t, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

const (
	takeTurn = `INSERT INTO kea_turn (tenant, address, holder, until, next, asked, written, was) VALUES ($1, $2, $3, $4, '', 0, 0, 0)
	ON CONFLICT (tenant, address) DO UPDATE SET holder = excluded.holder, until = excluded.until, next = '', asked = 0, written = 0, was = kea_turn.written
	WHERE kea_turn.until <= $5 AND (kea_turn.next IN ('', $3) OR kea_turn.asked <= $6) RETURNING was`
	waitForTurn = "UPDATE kea_turn SET next = $3, asked = $4 WHERE tenant = $1 AND address = $2 AND (next IN ('', $3) OR asked <= $5)"
	leaveTurn   = "UPDATE kea_turn SET until = 0, written = $4 WHERE tenant = $1 AND address = $2 AND holder = $3"
)

// ask takes the turn if nobody has it and nobody else waits for it; got false: the caller is the next, if nobody was before it.
func (t *turn) ask(ctx context.Context) (got bool, err error) {
	var written int64
	err = t.of.db.Write(ctx, t.of.scope, func(tx *store.Tx) error {
		now, err := clock(tx)
		if err != nil {
			return err
		}
		err = tx.Row(takeTurn, t.address, t.me, now+t.of.lease.Microseconds(), now, now-stale.Microseconds()).Scan(&written)
		if got = err == nil; got || !errors.Is(err, store.ErrNotFound) {
			return err
		}
		_, err = tx.Exec(waitForTurn, t.address, t.me, now, now-stale.Microseconds())
		return err
	})
	t.written = written == 1
	return got && err == nil, err
}

// clock is the database's, which all nodes share, in microseconds.
func clock(tx *store.Tx) (us int64, err error) {
	if tx.Dialect() == store.SQLite {
		return store.Micros(tx.Now()), nil
	}
	err = tx.System().Row("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").Scan(&us)
	return us, err
}

// end gives a turn up; one that cannot be given up ends with its lease, and then nobody knows what is on the disk.
func (t *turn) end(ctx context.Context) {
	t.cancel()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), margin)
	defer cancel()
	written := int64(0)
	if t.written {
		written = 1
	}
	_ = t.of.db.Write(ctx, t.of.scope, func(tx *store.Tx) error { // see above
		_, err := tx.Exec(leaveTurn, t.address, t.me, written)
		return err
	})
}

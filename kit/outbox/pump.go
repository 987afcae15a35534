package outbox

import (
	"context"
	"slices"
	"sort"
	"time"

	"tandem/kit/store"
)

const (
	poll     = 250 * time.Millisecond // how late a fact of another node is noticed
	readMax  = 1024                   // facts read at once
	ringMax  = 8192                   // facts kept in memory for the hearers
	holeWait = 2 * time.Millisecond   // first wait for a writer that drew a lower number
)

// told is a fact as it lies in the table.
type told struct {
	seq          int64
	tenant, name string
	key, body    string
	at           int64 // when it was told, microseconds
	attempts     int64 // parked ones only
}

const factColumns = "seq, tenant, name, key, body, at"

func scanTold(r store.Rows) (f told, err error) {
	err = r.Scan(&f.seq, &f.tenant, &f.name, &f.key, &f.body, &f.at)
	return f, err
}

// pump reads new facts once for all hearers of this node.
func (b *Bus) pump(ctx context.Context) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	wait := holeWait
	for {
		again, err := b.read(ctx)
		if err != nil && ctx.Err() == nil {
			b.log.Error("outbox: reading facts failed; trying again", "err", err)
		}
		var soon <-chan time.Time
		if again {
			soon = time.After(wait)
			wait = min(2*wait, 50*time.Millisecond)
		} else {
			wait = holeWait
		}
		select {
		case <-b.wake:
		case <-soon:
		case <-tick.C:
			b.tick(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// tick looks after what no local commit announces: other nodes' moves and
// parked facts that became due.
func (b *Bus) tick(ctx context.Context) {
	if b.db.Dialect() == store.Postgres {
		if err := b.refresh(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("outbox: reading cursors failed; trying again", "err", err)
		}
	}
	for _, h := range b.hearers {
		if h.retryDue() || h.unsaved() {
			poke(h.nudge)
		}
	}
}

// read takes all new facts. again means that numbers are missing below the
// newest fact, and whoever drew them has not ended yet.
func (b *Bus) read(ctx context.Context) (again bool, err error) {
	for ctx.Err() == nil {
		upto, err := b.tail.Upto(ctx, b.high, readMax)
		if err != nil {
			return false, err
		}
		if upto == b.high {
			break
		}
		facts, err := b.load(ctx, b.high, upto, readMax)
		if err != nil {
			return false, err
		}
		b.publish(facts, upto)
	}
	if b.db.Dialect() == store.SQLite {
		return false, ctx.Err()
	}
	end, err := b.end(ctx)
	return end > b.high, err
}

func (b *Bus) load(ctx context.Context, after, upto int64, limit int) (facts []told, err error) {
	err = b.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT "+factColumns+" FROM outbox_fact WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
			after, upto, limit)
		facts, err = store.Collect(rows, err, scanTold)
		return err
	})
	return facts, err
}

// publish hands facts to the hearers. The slice is only appended to, or
// replaced, so that hearers read it without the lock.
func (b *Bus) publish(facts []told, upto int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent = append(b.recent, facts...)
	if n := len(b.recent) - ringMax; n > ringMax {
		b.from = b.recent[n-1].seq
		b.recent = slices.Clone(b.recent[n:])
	}
	b.high = upto
	close(b.news)
	b.news = make(chan struct{})
}

// after is the facts that follow seq, in full up to the returned number; ok is
// false if memory does not reach back so far.
func (b *Bus) after(seq int64) (facts []told, upto int64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if seq < b.from {
		return nil, b.high, false
	}
	i := sort.Search(len(b.recent), func(i int) bool { return b.recent[i].seq > seq })
	return b.recent[i:], b.high, true
}

func (b *Bus) newsChannel() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.news
}

// refresh learns from the cursor rows what other nodes did.
func (b *Bus) refresh(ctx context.Context) error {
	type row struct {
		hearer       string
		seq, retryAt int64
	}
	var all []row
	err := b.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		rows, err := tx.System().Query("SELECT hearer, seq, retry_at FROM outbox_cursor")
		all, err = store.Collect(rows, err, func(r store.Rows) (c row, err error) {
			err = r.Scan(&c.hearer, &c.seq, &c.retryAt)
			return c, err
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, c := range all {
		for _, h := range b.hearers {
			if h.name == c.hearer {
				h.known.Store(c.seq)
				h.retryAt.Store(c.retryAt)
			}
		}
	}
	return nil
}

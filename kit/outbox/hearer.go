package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"tandem/kit/store"
)

const (
	batchMax   = 64                    // facts handled in one transaction
	batchTime  = 10 * time.Millisecond // a batch takes no further fact after this: other writers wait
	staleTries = 4                     // of a fact whose hearer met a concurrent change
	saveEvery  = 512                   // facts passed over before the cursor is written
	saveAfter  = time.Minute           // or this long
	retryRound = 16                    // parked facts tried before the tail has its turn again
)

var (
	errBusy  = errors.New("outbox: another node holds the cursor")
	errMoved = errors.New("outbox: another node moved the cursor")
)

// ear decodes a fact's body and returns the call that handles it, so that
// decoding happens outside the transaction.
type ear func(body string) (Fact, func(*store.Tx) error, error)

type hearer struct {
	bus   *Bus
	name  string
	ears  map[string]ear
	ahead map[string]func(*store.Tx, []Fact) error
	nudge chan struct{} // capacity 1: look at parked facts and the cursor

	at    int64     // the cursor as last read or written; the hearer's goroutine only
	saved time.Time // when it was last written here

	seen    atomic.Int64 // nothing up to here is left to do for this hearer
	known   atomic.Int64 // the cursor row as the pump last read it
	retryAt atomic.Int64 // when a parked fact is due, 0 for none
	lag     atomic.Bool  // seen is ahead of the cursor row
}

// heard is a fact and the call that handles it.
type heard struct {
	told
	fact Fact // nil if it cannot be read
	call func(*store.Tx) error
}

// lane is what order is kept within.
type lane struct{ tenant, key string }

func (f told) lane() lane { return lane{f.tenant, f.key} }

func (h *hearer) run(ctx context.Context) {
	h.saved = time.Now()
	failures := 0
	for ctx.Err() == nil {
		news := h.bus.newsChannel()
		more, err := h.step(ctx)
		h.bus.signal()
		var pause <-chan time.Time
		switch {
		case errors.Is(err, errMoved):
			h.at = h.known.Load()
			continue
		case err == nil && more:
			failures = 0
			continue
		case errors.Is(err, errBusy):
			pause = time.After(2*time.Millisecond + rand.N(6*time.Millisecond))
		case err != nil && ctx.Err() == nil:
			failures++
			wait := backoff(50*time.Millisecond, 5*time.Second, failures)
			h.bus.log.Error("outbox: hearer cannot work; trying again", "hearer", h.name, "in", wait, "err", err)
			pause, news = time.After(wait), nil
		default:
			failures = 0
		}
		select {
		case <-news:
		case <-h.nudge:
		case <-pause:
		case <-ctx.Done():
		}
	}
}

// step tries due parked facts and then one batch; more means there may be work left.
func (h *hearer) step(ctx context.Context) (more bool, err error) {
	if h.retryDue() {
		if more, err = h.retryParked(ctx); err != nil {
			return false, err
		}
	}
	if known := h.known.Load(); known > h.at {
		h.at = known
	}
	batch, upto, err := h.next(ctx)
	if err != nil {
		return false, err
	}
	if len(batch) == 0 {
		err := h.pass(ctx, upto)
		return more || upto < h.highNow(), err
	}
	if err := h.handle(ctx, batch, upto); err != nil {
		return false, err
	}
	return true, nil
}

func (h *hearer) highNow() int64 {
	h.bus.mu.Lock()
	defer h.bus.mu.Unlock()
	return h.bus.high
}

// next is the next facts this hearer hears, and up to where it has looked.
func (h *hearer) next(ctx context.Context) (batch []heard, upto int64, err error) {
	from := max(h.at, h.seen.Load())
	facts, upto, ok := h.bus.after(from)
	if !ok {
		if facts, err = h.bus.load(ctx, from, upto, readMax); err != nil {
			return nil, from, err
		}
		if len(facts) == readMax {
			upto = facts[readMax-1].seq
		}
	}
	for _, f := range facts {
		if h.ears[f.name] == nil {
			continue
		}
		if batch = append(batch, h.hear(f)); len(batch) == batchMax {
			return batch, f.seq, nil
		}
	}
	return batch, max(upto, from), nil
}

func (h *hearer) hear(f told) heard {
	decode := h.ears[f.name]
	if decode == nil {
		return heard{f, nil, func(*store.Tx) error { return fmt.Errorf("%s no longer hears %s", h.name, f.name) }}
	}
	fact, call, err := decode(f.body)
	if err != nil {
		call = func(*store.Tx) error { return err }
	}
	return heard{f, fact, call}
}

// readAhead reads what the facts of the batch need together, by tenant and type.
func (h *hearer) readAhead(tx *store.Tx, batch []heard, blocked map[lane]bool) error {
	type group struct{ tenant, name string }
	groups := map[group][]Fact{}
	var order []group
	for _, f := range batch {
		if g := (group{f.tenant, f.name}); f.fact != nil && h.ahead[f.name] != nil && !blocked[f.lane()] {
			if groups[g] == nil {
				order = append(order, g)
			}
			groups[g] = append(groups[g], f.fact)
		}
	}
	for _, g := range order {
		if len(groups[g]) == 1 {
			continue
		}
		if err := h.ahead[g.name](tx.As(store.Scope{Tenant: g.tenant, Actor: tx.Actor()}), groups[g]); err != nil {
			return err
		}
	}
	return nil
}

// pass notes that nothing up to seq concerns this hearer. The cursor row follows
// now and then: passing over a fact again does no harm.
func (h *hearer) pass(ctx context.Context, seq int64) error {
	h.seen.Store(seq)
	h.lag.Store(seq > h.at)
	if seq-h.at < saveEvery && (seq == h.at || time.Since(h.saved) < saveAfter) {
		return nil
	}
	err := h.write(ctx, func(tx *store.Tx, _ bool) error {
		h.move(tx, seq)
		return nil
	})
	if err == nil {
		h.moved(seq, seq)
	}
	return err
}

func (h *hearer) unsaved() bool { return h.lag.Load() }

func (h *hearer) moved(at, seen int64) {
	h.at, h.saved = at, time.Now()
	h.seen.Store(seen)
	h.lag.Store(seen > at)
}

// write runs fn in a transaction that holds the cursor row and finds it where
// this hearer left it. parked tells whether the hearer has parked facts.
func (h *hearer) write(ctx context.Context, fn func(tx *store.Tx, parked bool) error) error {
	return h.bus.db.Write(ctx, store.Scope{Actor: "system:" + h.name}, func(tx *store.Tx) error {
		seq, retryAt, err := h.lock(tx)
		if err != nil {
			return err
		}
		if seq != h.at {
			h.known.Store(seq)
			return errMoved
		}
		return fn(tx, retryAt != 0)
	})
}

func (h *hearer) lock(tx *store.Tx) (seq, retryAt int64, err error) {
	err = tx.System().Row("SELECT seq, retry_at FROM outbox_cursor WHERE hearer = $1"+tx.Dialect().SkipLocked(), h.name).Scan(&seq, &retryAt)
	if errors.Is(err, store.ErrNotFound) {
		return 0, 0, errBusy
	}
	return seq, retryAt, err
}

func (h *hearer) move(tx *store.Tx, seq int64) {
	tx.System().Queue("UPDATE outbox_cursor SET seq = $2, moved_at = $3 WHERE hearer = $1", h.name, seq, store.Micros(tx.Now()))
}

// handle brings the batch to an end: in one transaction if possible, otherwise
// fact by fact, so that the one that fails takes nothing of the others with it.
func (h *hearer) handle(ctx context.Context, batch []heard, upto int64) error {
	err := h.try(ctx, batch, upto)
	if err == nil || h.outside(ctx, err) {
		return err
	}
	for i, f := range batch {
		end := f.seq
		if i == len(batch)-1 {
			end = upto
		}
		if err := h.one(ctx, f, end); err != nil {
			return err
		}
	}
	return nil
}

// outside reports an error that is not the fault of a fact.
func (h *hearer) outside(ctx context.Context, err error) bool {
	return errors.Is(err, errBusy) || errors.Is(err, errMoved) || errors.Is(err, store.ErrClosed) || ctx.Err() != nil
}

// try handles the batch, or its first facts if it takes long, in one transaction.
func (h *hearer) try(ctx context.Context, batch []heard, upto int64) error {
	var end int64
	err := h.write(ctx, func(tx *store.Tx, parked bool) error {
		blocked, err := h.blocked(tx, parked, batch)
		if err != nil {
			return err
		}
		if err := h.readAhead(tx, batch, blocked); err != nil {
			return err
		}
		started := time.Now()
		for i, f := range batch {
			if blocked[f.lane()] {
				h.parkBehind(tx, f.told)
			} else if err := f.call(tx.As(store.Scope{Tenant: f.tenant, Actor: tx.Actor()})); err != nil {
				return err
			}
			if end = f.seq; i == len(batch)-1 {
				end = upto
			} else if time.Since(started) > batchTime {
				break
			}
		}
		h.move(tx, end)
		return nil
	})
	if err == nil {
		h.moved(end, end)
	}
	return err
}

// one handles a single fact, or parks it.
func (h *hearer) one(ctx context.Context, f heard, upto int64) error {
	var err error
	for try := range staleTries {
		if err = h.try(ctx, []heard{f}, upto); err == nil || h.outside(ctx, err) {
			return err
		}
		if !errors.Is(err, store.ErrStale) {
			break
		}
		time.Sleep(rand.N(time.Duration(try+1) * 4 * time.Millisecond)) // let the other one commit
	}
	return h.park(ctx, f.told, err, upto)
}

// backoff doubles from first up to most, with a quarter of jitter either way.
func backoff(first, most time.Duration, attempt int) time.Duration {
	d := most
	if shift := attempt - 1; shift < 20 && first<<shift < most {
		d = first << shift
	}
	return d - d/4 + rand.N(d/2)
}

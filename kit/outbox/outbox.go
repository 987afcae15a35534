package outbox

import (
	"context"
	"embed"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the outbox's own tables.
func Schema() store.Schema { return store.Embedded("outbox", schemaFiles) }

// Fact is something that happened. Facts with the same Key (within a tenant)
// reach a hearer in the order they were told.
type Fact interface{ Key() string }

// Tell says, in the transaction that makes it true, that f happened. A fact
// that cannot be encoded (text that is not UTF-8) fails the transaction.
func Tell[F Fact](tx *store.Tx, f F) {
	body, err := json.Marshal(f)
	if err != nil {
		// The store turns it into the transaction's error: a fact must not get
		// lost because a caller forgot to look at a result.
		panic(fmt.Errorf("outbox: tell %T: %w", f, err))
	}
	tx.Log("INSERT INTO outbox_fact (tenant, name, key, body, at)",
		nameOf[F](), f.Key(), string(body), store.Micros(tx.Now()))
	_, _ = tx.Memo(wakeOnce{}, func() (any, error) { // the maker below never fails
		tx.OnCommit(wakeAll)
		return true, nil
	})
}

type wakeOnce struct{}

func nameOf[F Fact]() string { return reflect.TypeFor[F]().Name() }

// Line is one line of the score: hearer hears fact.
type Line struct{ Fact, Hearer string }

// DefaultKeep is how many of the newest facts are kept although all hearers
// have passed them, so that a new hearer finds some past.
const DefaultKeep = 10_000

// Bus brings facts to hearers. Make it with New, register with On, then Start.
type Bus struct {
	Keep int64 // facts kept at least; set before Start

	db      *store.DB
	log     *slog.Logger
	tail    *store.Tail
	lines   []Line
	types   map[string]reflect.Type
	hearers []*hearer

	wake   chan struct{} // capacity 1: somebody told something here
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	high   int64 // all facts up to here are final and visible
	from   int64 // recent holds all facts in (from, high]
	recent []told
	news   chan struct{} // closed when high moves
	moved  chan struct{} // closed when a hearer moves; nil while nobody waits
}

// New is a bus on db without hearers.
func New(db *store.DB, log *slog.Logger) *Bus {
	return &Bus{Keep: DefaultKeep, db: db, log: log, tail: db.Tail("outbox_fact"), types: map[string]reflect.Type{},
		wake: make(chan struct{}, 1), news: make(chan struct{})}
}

// On lets hearer hear facts of type F. fn runs in a transaction of the fact's
// tenant, as actor "system:<hearer>"; it must be short and touch nothing but the
// store. A hearer may hear several facts: they share its cursor, so the order
// per key holds between them too. Register everything before Start; the same
// hearer twice for one fact is a programmer's error.
func On[F Fact](b *Bus, hearer string, fn func(*store.Tx, F) error) {
	name := nameOf[F]()
	if known, ok := b.types[name]; ok && known != reflect.TypeFor[F]() {
		panic("outbox: two facts are named " + name)
	}
	if hearer == "" || slices.Contains(b.lines, Line{name, hearer}) {
		panic("outbox: hearer " + hearer + " is nameless or hears " + name + " already")
	}
	b.types[name] = reflect.TypeFor[F]()
	b.lines = append(b.lines, Line{name, hearer})
	b.hearer(hearer).ears[name] = func(body string) (Fact, func(*store.Tx) error, error) {
		var f F
		if err := json.Unmarshal([]byte(body), &f); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", name, err)
		}
		return f, func(tx *store.Tx) error { return fn(tx, f) }, nil
	}
}

// Ahead lets a hearer read at once what several facts of type F will need, before
// they are handled one by one in the same transaction. It changes nothing but how
// often the store is asked: a fact that comes alone is handled without it.
func Ahead[F Fact](b *Bus, hearer string, fn func(*store.Tx, []F) error) {
	b.hearer(hearer).ahead[nameOf[F]()] = func(tx *store.Tx, facts []Fact) error {
		all := make([]F, len(facts))
		for i, f := range facts {
			all[i] = f.(F)
		}
		return fn(tx, all)
	}
}

func (b *Bus) hearer(name string) *hearer {
	for _, h := range b.hearers {
		if h.name == name {
			return h
		}
	}
	h := &hearer{bus: b, name: name, ears: map[string]ear{}, ahead: map[string]func(*store.Tx, []Fact) error{}, nudge: make(chan struct{}, 1)}
	b.hearers = append(b.hearers, h)
	return h
}

// Score is who hears what, in the order registered: the source of the drawing.
func (b *Bus) Score() []Line { return slices.Clone(b.lines) }

// Start begins to carry facts, until ctx ends or Stop is called. A new hearer
// begins with the oldest fact that is kept.
func (b *Bus) Start(ctx context.Context) error {
	if err := b.cursors(ctx); err != nil {
		return fmt.Errorf("outbox: start: %w", err)
	}
	ctx, b.cancel = context.WithCancel(ctx)
	running.add(b)
	b.wg.Go(func() { b.pump(ctx) })
	b.wg.Go(func() { b.keepPruning(ctx) })
	for _, h := range b.hearers {
		b.wg.Go(func() { h.run(ctx) })
	}
	return nil
}

// Stop ends carrying and waits for transactions under way.
func (b *Bus) Stop() {
	if b.cancel == nil {
		return
	}
	running.remove(b)
	b.cancel()
	b.wg.Wait()
	b.cancel = nil
}

// cursors makes the rows of new hearers and learns where the others stand.
func (b *Bus) cursors(ctx context.Context) error {
	err := b.db.Write(ctx, store.Scope{}, func(tx *store.Tx) error {
		for _, h := range b.hearers {
			tx.System().Queue(`INSERT INTO outbox_cursor (hearer, seq, retry_at, moved_at)
				SELECT $1, seq, 0, $2 FROM outbox_cursor WHERE hearer = '' ON CONFLICT (hearer) DO NOTHING`,
				h.name, store.Micros(tx.Now()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := b.refresh(ctx); err != nil {
		return err
	}
	b.high = 0
	for i, h := range b.hearers {
		h.at = h.known.Load()
		h.seen.Store(h.at)
		if i == 0 || h.at < b.high {
			b.high = h.at
		}
	}
	b.from, b.recent = b.high, nil
	return nil
}

// Idle waits until every hearer has passed all facts told before, including
// those told by hearers meanwhile. Parked facts do not count: they are passed.
func (b *Bus) Idle(ctx context.Context) error {
	for {
		end, err := b.end(ctx)
		if err != nil {
			return err
		}
		if err := b.reach(ctx, end); err != nil {
			return err
		}
		if now, err := b.end(ctx); err != nil || now == end {
			return err
		}
	}
}

func (b *Bus) end(ctx context.Context) (seq int64, err error) {
	err = b.db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT coalesce(max(seq), 0) FROM outbox_fact").Scan(&seq)
	})
	return seq, err
}

func (b *Bus) reach(ctx context.Context, end int64) error {
	poke(b.wake)
	for {
		moved := b.watch()
		behind := slices.IndexFunc(b.hearers, func(h *hearer) bool { return h.seen.Load() < end })
		if behind < 0 {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("outbox: %s is at %d of %d: %w", b.hearers[behind].name, b.hearers[behind].seen.Load(), end, ctx.Err())
		}
	}
}

// watch returns a channel that is closed when a hearer moves.
func (b *Bus) watch() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.moved == nil {
		b.moved = make(chan struct{})
	}
	return b.moved
}

func (b *Bus) signal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.moved != nil {
		close(b.moved)
		b.moved = nil
	}
}

// poke fills a channel of capacity one without waiting.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// running is the buses of this process. Tell has a transaction but no bus, so
// a commit wakes them all; waking one of another store costs it one look.
var running buses

type buses struct {
	mu  sync.RWMutex
	all []*Bus
}

func (s *buses) add(b *Bus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, b)
}

func (s *buses) remove(b *Bus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o *Bus) bool { return o == b })
}

func wakeAll() {
	running.mu.RLock()
	defer running.mu.RUnlock()
	for _, b := range running.all {
		poke(b.wake)
	}
}

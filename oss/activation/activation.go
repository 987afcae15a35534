package activation

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/oss/activation/driver"
)

// Options of the room. Zero values mean the defaults.
type Options struct {
	Log     *slog.Logger
	Drivers map[string]driver.Factory // by type of element: "osmo-hlr"
	Keys    Sealer                    // seals the secrets of directly activated services; nil: such services have none

	Threshold int           // failures in a row that open an element's breaker; 5
	Cooldown  time.Duration // how long it stays open; 5 s
	Deadline  time.Duration // of one operation on an element, waiting not counted; 15 s
	Patience  time.Duration // of one exchange with an element; the driver's default
	Refresh   time.Duration // how late a changed configuration is noticed; 1 s
	Now       func() time.Time

	Attempts int                             // of a direct activation, before its monitor says InError; 8
	Backoff  func(attempt int) time.Duration // between them; kit/work's default
}

// Sealer encrypts secrets for one place, named by context.
type Sealer interface {
	Seal(plain []byte, context string) ([]byte, error)
	Open(sealed []byte, context string) ([]byte, error)
}

// Activation drives elements. Make it with New and end it with Close.
type Activation struct {
	db      *store.DB
	options Options
	closing chan struct{}

	mu     sync.Mutex
	closed bool
	under  sync.WaitGroup // operations
	gates  map[gateName]*gate
	known  map[gateName]resolved // by tenant and name
}

// gateName is an element's owner and name.
type gateName struct{ tenant, element string }

type resolved struct {
	element Element
	at      time.Time
}

// New prepares the room; it connects to an element when that is first used.
func New(db *store.DB, o Options) *Activation {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Threshold = cmp.Or(o.Threshold, 5)
	o.Cooldown = cmp.Or(o.Cooldown, 5*time.Second)
	o.Deadline = cmp.Or(o.Deadline, 15*time.Second)
	o.Refresh = cmp.Or(o.Refresh, time.Second)
	o.Attempts = cmp.Or(o.Attempts, 8)
	a := &Activation{db: db, options: o, closing: make(chan struct{}), gates: map[gateName]*gate{}, known: map[gateName]resolved{}}
	rooms.Store(db, a)
	return a
}

// Close refuses those who wait, waits for operations under way and ends all connections.
func (a *Activation) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	close(a.closing)
	a.mu.Unlock()
	rooms.CompareAndDelete(a.db, a)
	a.under.Wait()
	var err error
	for _, g := range a.gates {
		err = errors.Join(err, g.close())
	}
	return err
}

// rooms finds the room of a store: the hooks of a Kind have a transaction only.
var rooms sync.Map // *store.DB -> *Activation

// Ensure makes a resource on an element what d says; see the contract of package driver. Every error is a *driver.Error or a fault
// (there is no such element for the tenant).
func (a *Activation) Ensure(ctx context.Context, tenant, element string, d driver.Desired) (o driver.Observed, err error) {
	err = a.do(ctx, tenant, element, d.Key, func(ctx context.Context, _ Element, dr driver.Driver) (err error) {
		o, err = dr.Ensure(ctx, d)
		return err
	})
	return o, err
}

// Observe reads a resource from an element.
func (a *Activation) Observe(ctx context.Context, tenant, element, typ, key string) (o driver.Observed, err error) {
	err = a.do(ctx, tenant, element, key, func(ctx context.Context, _ Element, dr driver.Driver) (err error) {
		o, err = dr.Observe(ctx, typ, key)
		return err
	})
	return o, err
}

// errEach marks an error of the caller's own function, which says nothing about the element.
type errEach struct{ error }

// List hands to each, in the element's order, every resource of a type that the tenant may touch, and stops at its first error. The
// options' Deadline does not apply: a list of a million takes its time, and the caller's context limits it.
func (a *Activation) List(ctx context.Context, tenant, element, typ string, each func(driver.Observed) error) error {
	err := a.do(ctx, tenant, element, "", func(_ context.Context, e Element, dr driver.Driver) error {
		return dr.List(ctx, typ, func(o driver.Observed) error {
			if !e.permits(o.Key) {
				return nil
			}
			if err := each(o); err != nil {
				return errEach{err}
			}
			return nil
		})
	})
	var own errEach
	if errors.As(err, &own) {
		return own.error
	}
	return err
}

func (a *Activation) do(ctx context.Context, tenant, element, key string, op func(context.Context, Element, driver.Driver) error) error {
	if !a.enter() {
		return errClosing
	}
	defer a.under.Done()
	r, err := a.resolve(ctx, tenant, element)
	e := r.element
	switch {
	case err != nil && fault.Of(err).Kind != fault.Internal:
		return err
	case err != nil:
		return &driver.Error{Class: driver.Transient, Reason: "What element " + element + " is cannot be looked up now", Unsent: true, Err: err}
	case !e.Enabled:
		return &driver.Error{Class: driver.Transient, Reason: "Element " + element + " is out of service by decision of its owner", RetryAfter: time.Minute, Unsent: true}
	case key != "" && !e.permits(key):
		return &driver.Error{Class: driver.Auth, Reason: "The owner of element " + element + " lets you use it for keys that begin with " + e.Prefix + " only, not for " + key}
	}
	return a.gate(e).do(ctx, r, key, func(ctx context.Context, dr driver.Driver) error { return op(ctx, e, dr) })
}

// enter counts an operation, unless the room is closed.
func (a *Activation) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.under.Add(1)
	return true
}

// resolve is Resolve with a short memory.
func (a *Activation) resolve(ctx context.Context, tenant, name string) (resolved, error) {
	now := a.options.Now()
	a.mu.Lock()
	r, ok := a.known[gateName{tenant, name}]
	a.mu.Unlock()
	if ok && now.Sub(r.at) < a.options.Refresh {
		return r, nil
	}
	r = resolved{at: now}
	err := a.db.Read(ctx, store.Scope{Tenant: tenant, Actor: "system:activation"}, func(tx *store.Tx) (err error) {
		r.element, err = Resolve(tx, name)
		return err
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		delete(a.known, gateName{tenant, name})
		return resolved{}, err
	}
	a.known[gateName{tenant, name}] = r
	return r, nil
}

func (a *Activation) gate(e Element) *gate {
	a.mu.Lock()
	defer a.mu.Unlock()
	name := gateName{e.Owner, e.Name}
	g := a.gates[name]
	if g == nil {
		g = &gate{options: &a.options, closing: a.closing,
			breaker: &breaker{threshold: a.options.Threshold, cooldown: a.options.Cooldown, now: a.options.Now}}
		a.gates[name] = g
	}
	return g
}

// Counters are what one element's gate did since the start, for metrics.
type Counters struct {
	Owner, Element   string
	Waiting, Running int64                  // now
	Done             int64                  // operations that succeeded
	Failed           map[driver.Class]int64 // operations that the element or the way to it failed
	Refused          int64                  // by the open breaker
	Opened           int64                  // how often the breaker opened
	Open             bool                   // now
	Busy             time.Duration          // sum over all operations, waiting not counted
}

// Counters lists the elements used so far, by owner and name.
func (a *Activation) Counters() []Counters {
	a.mu.Lock()
	gates := maps.Clone(a.gates)
	a.mu.Unlock()
	var out []Counters
	for name, g := range gates {
		c := Counters{Owner: name.tenant, Element: name.element, Waiting: g.count.waiting.Load(), Running: g.count.running.Load(), Done: g.count.done.Load(),
			Failed: map[driver.Class]int64{}, Refused: g.count.refused.Load(), Busy: time.Duration(g.count.busy.Load())}
		for i, class := range classes {
			c.Failed[class] = g.count.failed[i].Load()
		}
		g.breaker.mu.Lock()
		c.Opened, c.Open = g.breaker.opened, !g.breaker.until.IsZero()
		g.breaker.mu.Unlock()
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Counters) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), strings.Compare(a.Element, b.Element))
	})
	return out
}

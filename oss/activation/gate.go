package activation

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"tandem/oss/activation/driver"
)

const (
	defaultConcurrency = 4
	maxWaiting         = 20_000 // operations that wait for one element
)

// gate is the way to one element. There is one on each node.
type gate struct {
	options *Options
	closing <-chan struct{}
	breaker *breaker
	keys    turns
	count   counts

	// Held for reading by operations under way, for writing while the driver is replaced because the element was configured anew.
	mu      sync.RWMutex
	element Element
	asOf    time.Time     // when that was read
	driver  driver.Driver // nil before the first use
	slots   chan struct{}
	limiter *rate.Limiter
}

var errClosing = &driver.Error{Class: driver.Transient, Reason: "The program is shutting down", RetryAfter: time.Second, Unsent: true}

// do runs an operation on one key (empty: on all) when it is its turn.
func (g *gate) do(ctx context.Context, r resolved, key string, op func(context.Context, driver.Driver) error) error {
	e := r.element
	if left := g.breaker.open(); left > 0 {
		return g.refuse(e, left)
	}
	if g.count.waiting.Add(1) > maxWaiting {
		g.count.waiting.Add(-1)
		return &driver.Error{Class: driver.Transient, Reason: "Too many operations wait for element " + e.Name, RetryAfter: time.Second, Unsent: true}
	}
	waited := sync.OnceFunc(func() { g.count.waiting.Add(-1) })
	defer waited()
	if key != "" {
		release, err := g.keys.take(ctx, g.closing, key)
		if err != nil {
			return g.gaveUp(e, err)
		}
		defer release()
	}
	if err := g.adopt(e, r.at); err != nil {
		return err
	}
	leave, err := g.enter(ctx)
	if err != nil {
		return g.gaveUp(e, err)
	}
	defer leave()
	left, probe := g.breaker.admit()
	if left > 0 {
		return g.refuse(e, left)
	}
	waited()
	return g.run(ctx, probe, op)
}

// run gives the element its time and judges it by the outcome.
func (g *gate) run(ctx context.Context, probe bool, op func(context.Context, driver.Driver) error) (err error) {
	v := nothing
	defer func() { g.breaker.report(v, probe) }()
	g.count.running.Add(1)
	defer g.count.running.Add(-1)
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, g.options.Deadline)
	defer cancel()
	err = op(limited, g.driver)
	g.count.note(err, time.Since(began))
	var e *driver.Error
	switch {
	case errors.As(err, &e) && e.Unsent: // it was not asked
	case err == nil, e != nil && e.Class != driver.Transient && e.Class != driver.Unknown:
		v = answered
	case e != nil && ctx.Err() == nil:
		v = silent
	}
	return err
}

// enter waits for one of the element's places, without standing in the way of a new configuration, and then keeps the driver from being
// replaced until leave.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	for {
		g.mu.RLock()
		slots, limiter := g.slots, g.limiter
		g.mu.RUnlock()
		if err := wait(ctx, g.closing, slots, limiter); err != nil {
			return nil, err
		}
		g.mu.RLock()
		if g.slots == slots {
			return func() { g.mu.RUnlock(); <-slots }, nil
		}
		g.mu.RUnlock() // the place was one of a driver that is gone
		<-slots
	}
}

// wait takes a place and waits for its turn by the rate.
func wait(ctx context.Context, closing <-chan struct{}, slots chan struct{}, limiter *rate.Limiter) error {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-closing:
		return errClosing
	}
	if limiter == nil {
		return nil
	}
	turn := limiter.Reserve()
	timer := time.NewTimer(turn.Delay())
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-closing:
		err = errClosing
	}
	turn.Cancel()
	<-slots
	return err
}

func (g *gate) refuse(e Element, left time.Duration) error {
	g.count.refused.Add(1)
	return &driver.Error{Class: driver.Transient, RetryAfter: left, Unsent: true,
		Reason: "Element " + e.Name + " does not answer and is left alone for a while"}
}

func (g *gate) gaveUp(e Element, err error) error {
	if err == errClosing {
		return errClosing
	}
	return &driver.Error{Class: driver.Transient, Reason: "Element " + e.Name + " is busy", Unsent: true, Err: err}
}

// adopt makes the driver, or replaces it when the element was configured anew: then it waits for the operations under way. What was
// read before the present configuration is not news: tenants remember an element for different times.
func (g *gate) adopt(e Element, at time.Time) error {
	e.Prefix, e.Note = "", ""
	current := func() bool { return g.driver != nil && (g.element == e || !at.After(g.asOf)) }
	g.mu.RLock()
	same := current()
	g.mu.RUnlock()
	if same {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if current() {
		return nil
	}
	factory, known := g.options.Drivers[e.Type]
	if !known {
		return &driver.Error{Class: driver.Validation, Reason: "There is no driver for elements of type " + e.Type + ", which " + e.Name + " is"}
	}
	n := int(cmp.Or(e.Concurrency, defaultConcurrency))
	d, err := factory(driver.Endpoint{Address: e.Address, VTY: e.VTY, Connections: n, Patience: g.options.Patience})
	if err != nil {
		return err
	}
	if g.driver != nil {
		g.driver.Close()
	}
	g.driver, g.element, g.asOf, g.slots, g.limiter = d, e, at, make(chan struct{}, n), nil
	if e.Rate > 0 {
		g.limiter = rate.NewLimiter(rate.Limit(e.Rate), int(max(1, e.Rate/50)))
	}
	return nil
}

// close ends the driver when the operations under way have ended.
func (g *gate) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.driver == nil {
		return nil
	}
	return g.driver.Close()
}

// turns lets one holder of a key go at a time.
type turns struct {
	mu  sync.Mutex
	all map[string]*turn
}

type turn struct {
	token chan struct{} // capacity 1
	users int
}

// take waits for the turn of a key.
func (t *turns) take(ctx context.Context, closing <-chan struct{}, key string) (release func(), err error) {
	t.mu.Lock()
	if t.all == nil {
		t.all = map[string]*turn{}
	}
	w := t.all[key]
	if w == nil {
		w = &turn{token: make(chan struct{}, 1)}
		t.all[key] = w
	}
	w.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if w.users--; w.users == 0 {
			delete(t.all, key)
		}
	}
	select {
	case w.token <- struct{}{}:
		return func() { <-w.token; leave() }, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-closing:
		err = errClosing
	}
	leave()
	return nil, err
}

// counts are what a gate has done so far.
type counts struct {
	waiting, running    atomic.Int64
	done, refused, busy atomic.Int64
	failed              [len(classes)]atomic.Int64
}

var classes = [...]driver.Class{driver.Transient, driver.Capacity, driver.Validation, driver.Conflict, driver.Auth, driver.Unknown}

func (c *counts) note(err error, took time.Duration) {
	c.busy.Add(int64(took))
	if err == nil {
		c.done.Add(1)
		return
	}
	var e *driver.Error
	if errors.As(err, &e) { // anything else is the caller's own
		c.failed[slices.Index(classes[:], e.Class)].Add(1)
	}
}

package drivertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/oss/activation/driver"
)

// Action is what happens to one command on its way to the element.
type Action int

// The actions.
const (
	Pass      Action = iota
	LoseReply        // executed; no reply ever
	HoldReply        // executed; the reply comes when Fault.Until is closed, after later ones
	CutBefore        // not executed; the connection breaks
	CutAfter         // executed; the connection breaks instead of a reply
)

// Fault is an Action with its data.
type Fault struct {
	Action Action
	Until  <-chan struct{} // of HoldReply
}

// Rule judges the n-th command (from 1) since it was injected.
type Rule func(n int) Fault

// Harness is one fresh, empty element and what the suite may do to it.
type Harness struct {
	New      driver.Factory
	Endpoint driver.Endpoint // the way through Inject; Connections and Patience are the suite's
	Inject   func(Rule)      // nil: everything passes
	Resident bool            // the element lives in this process: the driver keeps no connection to it
	Kill     func()
	Restart  func() // after Kill: same address, same data

	// Full is the n-th complete resource (from 1), with every attribute and secret of the type; no two share anything.
	Full func(n int) driver.Desired
	// Changed is the same resource with another value of every attribute and secret.
	Changed func(driver.Desired) driver.Desired
	// Clashing is d with a unique attribute that owner has; nil if nothing is unique.
	Clashing func(d, owner driver.Desired) driver.Desired
	Invalid  []driver.Desired

	// Holds asks the element, past the driver, whether it has exactly d; the error says what differs.
	Holds func(t testing.TB, d driver.Desired) error
	// Tamper changes every attribute and secret on the element, past the driver; Vanish removes the resource.
	Tamper func(t testing.TB, d driver.Desired)
	Vanish func(t testing.TB, d driver.Desired)
	// Works uses the service as a customer would; nil if the element cannot be used. A refusal is an error.
	Works func(t testing.TB, d driver.Desired) error
}

const (
	patience = 300 * time.Millisecond // of one exchange, in tests that lose replies
	limit    = 30 * time.Second       // of one operation that is not expected to come to its limit
)

// bench is a harness with one driver and an ear for secrets.
type bench struct {
	Harness
	t   *testing.T
	ctx context.Context
	ear *ear
}

// open makes a driver with the given number of connections.
func (b *bench) open(connections int) driver.Driver {
	b.t.Helper()
	end := b.Endpoint
	end.Connections, end.Patience = connections, patience
	d, err := b.New(end)
	b.must(err)
	b.t.Cleanup(func() { d.Close() })
	return &listening{d, b.ear}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) ensure(d driver.Driver, want driver.Desired) driver.Observed {
	b.t.Helper()
	o, err := d.Ensure(b.ctx, want)
	b.must(err)
	b.agrees(o, want)
	return o
}

// agrees compares what the driver says it observed with what was asked.
func (b *bench) agrees(o driver.Observed, want driver.Desired) {
	b.t.Helper()
	if o.Type != want.Type || o.Key != want.Key || o.Present == want.Absent {
		b.t.Errorf("observed %+v, want %+v", o, want)
	}
	if want.Absent {
		return
	}
	for name, value := range want.Attributes {
		if o.Attributes[name] != value {
			b.t.Errorf("observed %s %q, want %q", name, o.Attributes[name], value)
		}
	}
}

func (b *bench) holds(want driver.Desired) {
	b.t.Helper()
	if err := b.Holds(b.t, want); err != nil {
		b.t.Errorf("the element: %v", err)
	}
}

func (b *bench) class(err error, want ...driver.Class) {
	b.t.Helper()
	var e *driver.Error
	if !errors.As(err, &e) {
		b.t.Fatalf("got %v, want a driver.Error of class %v", err, want)
	}
	for _, c := range want {
		if e.Class == c {
			return
		}
	}
	b.t.Fatalf("got class %s (%v), want %v", e.Class, err, want)
}

// suspended is d taken out of service.
func suspended(d driver.Desired) driver.Desired {
	return driver.Desired{Type: d.Type, Key: d.Key, Attributes: driver.Types[d.Type].Suspended}
}

func absent(d driver.Desired) driver.Desired {
	return driver.Desired{Type: d.Type, Key: d.Key, Absent: true}
}

// listening is a driver whose every word goes to the ear.
type listening struct {
	driver.Driver
	ear *ear
}

func (l *listening) Ensure(ctx context.Context, d driver.Desired) (driver.Observed, error) {
	o, err := l.Driver.Ensure(ctx, d)
	l.ear.hear(d, d, o, err, l.Driver)
	return o, err
}

func (l *listening) Observe(ctx context.Context, typ, key string) (driver.Observed, error) {
	o, err := l.Driver.Observe(ctx, typ, key)
	l.ear.hear(driver.Desired{}, o, err, l.Driver)
	return o, err
}

// ear collects what was said, in every way of saying it, and the secrets that must not be in it.
type ear struct {
	mu      sync.Mutex
	text    strings.Builder
	secrets map[string]bool
}

func (e *ear) hear(d driver.Desired, said ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range d.Secrets {
		e.secrets[s.Reveal()] = true
	}
	log := slog.New(slog.NewJSONHandler(&e.text, nil))
	for _, v := range said {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&e.text, verb+"\n", v)
		}
		log.Info("said", "v", v)
	}
}

// check searches for the secrets as text, in hexadecimal of the text, and as octets printed in decimal.
func (e *ear) check(t *testing.T) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	text := strings.ToLower(e.text.String())
	for s := range e.secrets {
		if s == "" {
			continue
		}
		for _, form := range []string{s, s[:len(s)/2], fmt.Sprintf("%x", s), strings.Trim(fmt.Sprint([]byte(s)), "[]"), octets(s)} {
			if form != "" && strings.Contains(text, strings.ToLower(form)) {
				t.Errorf("a secret of %d characters was said as %d", len(s), len(form))
			}
		}
	}
}

// octets is a hexadecimal secret as fmt prints its first octets, empty if it is none.
func octets(s string) string {
	var b []byte
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil || len(b) < 8 {
		return ""
	}
	return strings.Trim(fmt.Sprint(b[:8]), "[]")
}

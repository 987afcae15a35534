package drivertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/oss/activation/driver"
)

// Run runs the suite; start gives a fresh element to each of its tests.
func Run(t *testing.T, start func(t *testing.T) Harness) {
	for _, c := range []struct {
		rule string
		run  func(b *bench)
	}{
		{"a resource is created, read back and works", creates},
		{"applied twice is the same state", twice},
		{"an attribute that is not named stays", partly},
		{"what is absent can be deleted, and what exists created", idempotent},
		{"after a crash behind any command it converges", crashes},
		{"a connection that breaks once is no failure", breaks},
		{"a lost reply is resolved by reading back", losesReply},
		{"lost replies to everything are an unknown outcome", losesAll},
		{"a late reply goes to nobody else", lateReply},
		{"a contradiction is a conflict", conflicts},
		{"what can never succeed is refused unsent", invalid},
		{"an element that is dead before", deadBefore},
		{"an element that dies during", deadDuring},
		{"an element that dies after", deadAfter},
		{"drift behind our back is found and repaired", drift},
		{"the list has everything", lists},
		{"many at once", manyAtOnce},
		{"the caller's time is kept", keepsTime},
		{"nothing is left after Close", closes},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 4*limit)
			defer cancel()
			b := &bench{start(t), t, ctx, &ear{secrets: map[string]bool{}}}
			c.run(b)
			b.ear.check(t)
		})
	}
}

func creates(b *bench) {
	d, want := b.open(1), b.Full(1)
	if b.Holds(b.t, want) == nil {
		b.t.Fatal("the element has it before it is created, so this proves nothing")
	}
	b.ensure(d, want)
	b.holds(want)
	o, err := d.Observe(b.ctx, want.Type, want.Key)
	b.must(err)
	b.agrees(o, want)
	b.works(want, true)
	b.ensure(d, suspended(want))
	b.works(want, false)
	b.ensure(d, want)
	b.holds(want)
	b.works(want, true)
	b.ensure(d, absent(want))
	b.works(want, false)
	o, err = d.Observe(b.ctx, want.Type, want.Key)
	b.must(err)
	b.agrees(o, absent(want))
}

func (b *bench) works(d driver.Desired, should bool) {
	b.t.Helper()
	if b.Works == nil {
		return
	}
	if err := b.Works(b.t, d); (err == nil) != should {
		b.t.Errorf("the service works is %v (%v), want %v", err == nil, err, should)
	}
}

func twice(b *bench) {
	d, want := b.open(1), b.Full(1)
	b.ensure(d, want)
	first := b.count(func() { b.ensure(d, want) })
	second := b.count(func() { b.ensure(d, want) })
	b.holds(want)
	if first != second {
		b.t.Errorf("%d commands, then %d: something was changed again", first, second)
	}
}

// count is how many commands f makes the driver send.
func (b *bench) count(f func()) int {
	sent := 0
	var mu sync.Mutex
	b.Inject(func(n int) Fault {
		mu.Lock()
		defer mu.Unlock()
		sent = n
		return Fault{}
	})
	f()
	b.Inject(nil)
	mu.Lock()
	defer mu.Unlock()
	return sent
}

func partly(b *bench) {
	d, want := b.open(1), b.Full(1)
	b.ensure(d, want)
	changed := b.Changed(want)
	for name, value := range changed.Attributes {
		b.ensure(d, driver.Desired{Type: want.Type, Key: want.Key, Attributes: map[string]string{name: value}})
	}
	changed.Secrets = want.Secrets
	b.holds(changed)
	b.ensure(d, driver.Desired{Type: want.Type, Key: want.Key})
	b.holds(changed)
}

func idempotent(b *bench) {
	d, want := b.open(1), b.Full(1)
	b.ensure(d, absent(want))
	b.ensure(b.open(1), want)
	b.ensure(d, want)
	b.holds(want)
	b.ensure(d, absent(want))
	b.ensure(d, absent(want))
	if b.Holds(b.t, want) == nil {
		b.t.Error("it is still there")
	}
}

// step is a change from one state of a resource to another.
type step struct {
	name     string
	from, to driver.Desired
}

func (b *bench) steps(n int) []step {
	full := b.Full(n)
	out := suspended(full)
	return []step{
		{"create", absent(full), full},
		{"change", full, b.Changed(full)},
		{"suspend", full, out},
		{"delete", full, absent(full)},
	}
}

// reached checks that the element has what a step leads to.
func (b *bench) reached(s step) {
	b.t.Helper()
	want := s.to
	switch s.name {
	case "delete":
		if b.Holds(b.t, s.from) == nil {
			b.t.Error("it is still there")
		}
		return
	case "suspend":
		want = s.from
		want.Attributes = map[string]string{}
		for name, value := range s.from.Attributes {
			want.Attributes[name] = value
		}
		for name, value := range s.to.Attributes {
			want.Attributes[name] = value
		}
	}
	b.holds(want)
}

// Our process dies behind the n-th command: nothing more reaches the element, and a new driver goes on.
func crashes(b *bench) {
	for _, action := range []Action{CutBefore, CutAfter} {
		for i, s := range b.steps(1) {
			for n := 1; ; n++ {
				what := fmt.Sprintf("%s, action %d at command %d", s.name, action, n)
				b.ensure(b.open(1), s.from)
				fired := b.crash(s.to, action, n, what)
				b.ensure(b.open(1), s.to)
				b.reached(s)
				if b.t.Failed() {
					b.t.Fatalf("after %s", what)
				}
				if !fired {
					if n < 3 && i < 2 {
						b.t.Fatalf("%s: only %d commands, so this proves little", s.name, n-1)
					}
					break
				}
			}
		}
	}
}

// crash runs Ensure while everything from the n-th command on is cut and says whether it came so far.
func (b *bench) crash(want driver.Desired, action Action, n int, what string) (fired bool) {
	var mu sync.Mutex
	b.Inject(func(i int) Fault {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case i < n:
			return Fault{}
		case i == n:
			fired = true
			return Fault{Action: action}
		}
		return Fault{Action: CutBefore}
	})
	d := b.open(1)
	_, err := d.Ensure(b.ctx, want)
	b.must(d.Close())
	b.Inject(nil)
	mu.Lock()
	defer mu.Unlock()
	switch {
	case fired && err == nil:
		b.t.Fatalf("%s: it succeeded although nothing could be read back", what)
	case fired:
		b.class(err, driver.Transient, driver.Unknown)
	case err != nil:
		b.t.Fatalf("%s: %v", what, err)
	}
	return fired
}

// once disturbs the n-th command only, and says whether it came so far.
func (b *bench) once(n int, f Fault, run func()) (fired bool) {
	var mu sync.Mutex
	b.Inject(func(i int) Fault {
		mu.Lock()
		defer mu.Unlock()
		if i == n {
			fired = true
			return f
		}
		return Fault{}
	})
	run()
	b.Inject(nil)
	mu.Lock()
	defer mu.Unlock()
	return fired
}

func breaks(b *bench) {
	for _, action := range []Action{CutBefore, CutAfter} {
		for _, s := range b.steps(1) {
			for n := 1; ; n++ {
				d := b.open(1)
				b.ensure(d, s.from)
				fired := b.once(n, Fault{Action: action}, func() { b.ensure(d, s.to) })
				b.reached(s)
				if b.t.Failed() {
					b.t.Fatalf("%s, action %d at command %d", s.name, action, n)
				}
				if !fired {
					break
				}
			}
		}
	}
}

func losesReply(b *bench) {
	for _, s := range b.steps(1) {
		for n := 1; ; n++ {
			d := b.open(1)
			b.ensure(d, s.from)
			fired := b.once(n, Fault{Action: LoseReply}, func() { b.ensure(d, s.to) })
			b.reached(s)
			if b.t.Failed() {
				b.t.Fatalf("%s, the reply to command %d was lost", s.name, n)
			}
			if !fired {
				break
			}
		}
	}
}

// From the n-th command on everything is executed, but no reply comes: if it was done, it must not be reported as not done.
func losesAll(b *bench) {
	unknown := 0
	for _, s := range b.steps(1)[:2] {
		for _, n := range []int{1, 2, 4, 5} {
			b.ensure(b.open(1), s.from)
			var fired atomic.Bool
			b.Inject(func(i int) Fault {
				if i >= n {
					fired.Store(true)
					return Fault{Action: LoseReply}
				}
				return Fault{}
			})
			d := b.open(1)
			ctx, cancel := context.WithTimeout(b.ctx, 4*patience)
			_, err := d.Ensure(ctx, s.to)
			cancel()
			if !fired.Load() { // done with fewer commands
				b.must(err)
				b.must(d.Close())
				b.Inject(nil)
				continue
			}
			b.class(err, driver.Transient, driver.Unknown)
			b.must(d.Close())
			b.Inject(nil)
			if driver.ClassOf(err) == driver.Unknown {
				unknown++
			} else if b.Holds(b.t, s.to) == nil {
				b.t.Errorf("%s, no reply from command %d on: it was done, but the driver says %v", s.name, n, err)
			}
			b.ensure(b.open(1), s.to)
			b.reached(s)
		}
	}
	if unknown == 0 {
		b.t.Error("no outcome was ever unknown, so this proves nothing")
	}
}

// The reply to each command of the first operation comes in the middle of the second, on the same connection.
func lateReply(b *bench) {
	one, two := b.Full(1), b.Full(2)
	for n := 1; ; n++ {
		d := b.open(1)
		b.ensure(d, absent(one))
		b.ensure(d, absent(two))
		release := make(chan struct{})
		fired := b.once(n, Fault{HoldReply, release}, func() { b.ensure(d, one) })
		var wg sync.WaitGroup
		wg.Go(func() { close(release) })
		b.ensure(d, two)
		wg.Wait()
		b.ensure(d, absent(one))
		b.holds(two)
		o, err := d.Observe(b.ctx, one.Type, one.Key)
		b.must(err)
		b.agrees(o, absent(one))
		if b.t.Failed() {
			b.t.Fatalf("the reply to command %d came late", n)
		}
		if !fired {
			return
		}
	}
}

func conflicts(b *bench) {
	d := b.open(1)
	owner, other := b.Full(1), b.Full(2)
	b.ensure(d, owner)
	if b.Clashing != nil {
		clash := b.Clashing(other, owner)
		_, err := d.Ensure(b.ctx, clash)
		b.class(err, driver.Conflict)
		b.ensure(d, other)
		_, err = d.Ensure(b.ctx, clash)
		b.class(err, driver.Conflict)
		b.holds(owner)
		b.ensure(d, absent(owner))
		b.ensure(d, clash)
		b.holds(clash)
	}
	bare := b.Full(3)
	if len(bare.Secrets) == 0 {
		return
	}
	bare.Secrets = nil
	_, err := d.Ensure(b.ctx, bare)
	b.class(err, driver.Conflict)
	o, err := d.Observe(b.ctx, bare.Type, bare.Key)
	b.must(err)
	b.agrees(o, absent(bare))
}

func invalid(b *bench) {
	d, full := b.open(1), b.Full(1)
	unknownType, badName, badSecret := full, b.Full(1), b.Full(1)
	unknownType.Type = "noSuchType"
	badName.Attributes["noSuchAttribute"] = "1"
	badSecret.Secrets["noSuchSecret"] = driver.NewSecret("00112233445566778899aabbccddeeff")
	sent := b.count(func() {
		for _, want := range append(slices.Clone(b.Invalid), unknownType, badName, badSecret) {
			_, err := d.Ensure(b.ctx, want)
			b.class(err, driver.Validation)
		}
		_, err := d.Observe(b.ctx, "noSuchType", full.Key)
		b.class(err, driver.Validation)
		b.class(d.List(b.ctx, "noSuchType", func(driver.Observed) error { return nil }), driver.Validation)
	})
	if sent != 0 {
		b.t.Errorf("%d commands were sent", sent)
	}
}

func deadBefore(b *bench) {
	d, want := b.open(2), b.Full(1)
	b.Kill()
	_, err := d.Ensure(b.ctx, want)
	b.class(err, driver.Transient)
	_, err = d.Observe(b.ctx, want.Type, want.Key)
	b.class(err, driver.Transient)
	b.class(d.List(b.ctx, want.Type, func(driver.Observed) error { return nil }), driver.Transient)
	b.Restart()
	b.ensure(d, want)
	b.holds(want)
}

// The element dies while it owes a reply, for each command in turn.
func deadDuring(b *bench) {
	d, want := b.open(1), b.Full(1)
	for n := 1; ; n++ {
		b.ensure(d, absent(want))
		reached, result := make(chan struct{}), make(chan error, 1)
		b.Inject(func(i int) Fault {
			if i == n {
				close(reached)
			}
			if i >= n {
				return Fault{Action: LoseReply}
			}
			return Fault{}
		})
		go func() {
			_, err := d.Ensure(b.ctx, want)
			result <- err
		}()
		select {
		case <-reached:
			b.Kill()
			b.class(<-result, driver.Transient, driver.Unknown)
		case err := <-result:
			b.must(err)
			b.Inject(nil)
			if n < 3 {
				b.t.Fatalf("only %d commands, so this proves little", n-1)
			}
			return
		}
		b.Inject(nil)
		b.Restart()
		b.ensure(d, want)
		b.holds(want)
	}
}

func deadAfter(b *bench) {
	d, want := b.open(1), b.Full(1)
	b.ensure(d, want)
	b.Kill()
	b.Restart()
	o, err := d.Observe(b.ctx, want.Type, want.Key)
	b.must(err)
	b.agrees(o, want)
	b.ensure(d, want)
	b.holds(want)
}

func drift(b *bench) {
	d, want := b.open(1), b.Full(1)
	b.ensure(d, want)
	b.Tamper(b.t, want)
	o, err := d.Observe(b.ctx, want.Type, want.Key)
	b.must(err)
	for name, value := range want.Attributes {
		if o.Attributes[name] == value {
			b.t.Errorf("%s was changed behind our back, and the driver still observes %q", name, value)
		}
	}
	b.ensure(d, want)
	b.holds(want)
	b.Vanish(b.t, want)
	o, err = d.Observe(b.ctx, want.Type, want.Key)
	b.must(err)
	b.agrees(o, absent(want))
	b.ensure(d, want)
	b.holds(want)
}

var errEnough = errors.New("enough")

func lists(b *bench) {
	d := b.open(1)
	const many = 5
	want := map[string]driver.Desired{}
	b.must(d.List(b.ctx, b.Full(1).Type, func(o driver.Observed) error { return fmt.Errorf("an empty element lists %+v", o) }))
	for n := range many {
		full := b.Full(n + 1)
		want[full.Key] = full
		b.ensure(d, full)
	}
	b.ensure(d, suspended(b.Full(2)))
	for name, value := range suspended(b.Full(2)).Attributes {
		want[b.Full(2).Key].Attributes[name] = value
	}
	b.must(d.List(b.ctx, b.Full(1).Type, func(o driver.Observed) error {
		full, ok := want[o.Key]
		if !ok {
			return fmt.Errorf("nobody made %+v", o)
		}
		b.agrees(o, full)
		b.ear.hear(driver.Desired{}, o)
		delete(want, o.Key)
		return nil
	}))
	if len(want) != 0 {
		b.t.Errorf("the list lacks %d of %d", len(want), many)
	}
	seen := 0
	err := d.List(b.ctx, b.Full(1).Type, func(driver.Observed) error {
		seen++
		return errEnough
	})
	if !errors.Is(err, errEnough) || seen != 1 {
		b.t.Errorf("stopping the list: %d resources, %v", seen, err)
	}
}

func manyAtOnce(b *bench) {
	d := b.open(4)
	var wg sync.WaitGroup
	for n := range 40 {
		wg.Go(func() {
			full := b.Full(n + 1)
			for _, want := range []driver.Desired{full, b.Changed(full), suspended(full), full} {
				o, err := d.Ensure(b.ctx, want)
				if err != nil {
					b.t.Errorf("%d: %v", n, err)
					return
				}
				b.agrees(o, want)
			}
		})
	}
	wg.Wait()
	for n := range 40 {
		b.holds(b.Full(n + 1))
	}
}

func keepsTime(b *bench) {
	d, want := b.open(1), b.Full(1)
	b.ensure(d, want)
	expired, cancel := context.WithCancel(b.ctx)
	cancel()
	_, err := d.Ensure(expired, want)
	b.class(err, driver.Transient)
	b.Inject(func(int) Fault { return Fault{Action: LoseReply} })
	short, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	began := time.Now()
	_, err = d.Ensure(short, want)
	b.class(err, driver.Transient, driver.Unknown)
	if took := time.Since(began); took > patience+time.Second {
		b.t.Errorf("it took %v of %v", took, patience)
	}
}

func closes(b *bench) {
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithTimeout(b.ctx, limit)
	defer cancel()
	label := fmt.Sprint("driver of ", b.t.Name())
	pprof.Do(b.ctx, pprof.Labels("owner", label), func(context.Context) {
		d := b.open(3)
		var wg sync.WaitGroup
		for n := range 3 {
			wg.Go(func() {
				if _, err := d.Ensure(b.ctx, b.Full(n+1)); err != nil {
					b.t.Errorf("%d: %v", n, err)
				}
			})
		}
		wg.Wait()
		if !b.Resident && owned(b.t, label) < 2 {
			b.t.Error("the driver keeps no connection open, or its goroutines cannot be counted")
		}
		b.must(d.Close())
		b.must(d.Close())
		_, err := d.Ensure(b.ctx, b.Full(1))
		b.class(err, driver.Transient)
	})
	// A goroutine that has said that it ends may take a moment to be gone.
	for owned(b.t, label) != 0 {
		if b.ctx.Err() != nil {
			b.t.Fatalf("%d goroutines are left", owned(b.t, label))
		}
		runtime.Gosched()
	}
}

// owned counts the goroutines that were started under a label: the runtime lists them in groups, "COUNT @ stack", then the labels.
func owned(t *testing.T, label string) (total int) {
	t.Helper()
	var profile strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(profile.String()) {
		if n, _, ok := strings.Cut(line, " @ "); ok {
			if v, err := strconv.Atoi(n); err == nil {
				count = v
			}
		}
		if strings.HasPrefix(line, "# labels:") && strings.Contains(line, strconv.Quote(label)) {
			total += count
		}
	}
	return total
}

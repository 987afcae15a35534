package activation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	edge "tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/lab"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/hlr"
)

const limit = 60 * time.Second

// site is a room with one element of the lab, "hlr-1" of the tenant "host".
type site struct {
	t   testing.TB
	ctx context.Context
	db  *store.DB
	a   *activation.Activation
	reg *lab.HLR
	cfg lab.HLRConfig
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func drivers() map[string]driver.Factory { return map[string]driver.Factory{"osmo-hlr": hlr.New} }

func open(t testing.TB, db *store.DB, o activation.Options) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	s := &site{t: t, ctx: ctx, db: db, cfg: lab.HLRConfig{Dir: t.TempDir()}}
	s.start()
	s.cfg.CTRLAddr, s.cfg.VTYAddr = s.reg.Addr(), s.reg.VTYAddr()
	t.Cleanup(func() { s.reg.Close() })
	if o.Drivers == nil {
		o.Drivers = drivers()
	}
	o.Log = quiet()
	o.Refresh = time.Nanosecond
	s.a = activation.New(db, o)
	t.Cleanup(func() { s.a.Close() })
	s.save(s.element())
	return s
}

func (s *site) start() {
	s.t.Helper()
	var err error
	s.reg, err = lab.StartHLR(s.ctx, s.cfg)
	must(s.t, err)
}

func (s *site) element() activation.Element {
	return activation.Element{Name: "hlr-1", Type: "osmo-hlr", Address: s.cfg.CTRLAddr, VTY: s.cfg.VTYAddr, Concurrency: 8, Enabled: true}
}

func (s *site) save(e activation.Element) {
	s.t.Helper()
	s.write("host", func(tx *store.Tx) error { return activation.SaveElement(tx, e) })
}

func (s *site) write(tenant string, f func(tx *store.Tx) error) {
	s.t.Helper()
	must(s.t, s.db.Write(s.ctx, store.Scope{Tenant: tenant, Actor: "test"}, f))
}

func (s *site) ensure(d driver.Desired) {
	s.t.Helper()
	o, err := s.a.Ensure(s.ctx, "host", "hlr-1", d)
	must(s.t, err)
	if o.Present == d.Absent || o.Attributes["msisdn"] != d.Attributes["msisdn"] {
		s.t.Errorf("observed %+v", o)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func class(t testing.TB, err error, want driver.Class, words string) *driver.Error {
	t.Helper()
	var e *driver.Error
	if !errors.As(err, &e) || e.Class != want || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v (class %s), want class %s and the words %q", err, driver.ClassOf(err), want, words)
	}
	return e
}

func imsi(n int) string { return fmt.Sprintf("24001%010d", n) }

func sim(n int) driver.Desired {
	return driver.Desired{
		Type:       driver.HLRSubscriber,
		Key:        imsi(n),
		Attributes: map[string]string{"msisdn": fmt.Sprintf("4479%08d", n), "cs": "true", "ps": "true"},
		Secrets: map[string]driver.Secret{
			"k":   driver.NewSecret(fmt.Sprintf("465b5ce8b199b49faa5f0a2e%08x", n)),
			"opc": driver.NewSecret(fmt.Sprintf("cd63cb71954a9f4e48a5994e%08x", n)),
		},
	}
}

func sqlite(t testing.TB) *store.DB { return storetest.Open(t, store.SQLite, activation.Schemas...) }

func TestEnsureObserveList(t *testing.T) {
	s := open(t, sqlite(t), activation.Options{})
	s.ensure(sim(1))
	s.ensure(sim(1))
	o, err := s.a.Observe(s.ctx, "host", "hlr-1", driver.HLRSubscriber, imsi(1))
	if err != nil || o.Attributes["msisdn"] != "447900000001" {
		t.Errorf("%+v, %v", o, err)
	}
	seen := 0
	must(t, s.a.List(s.ctx, "host", "hlr-1", driver.HLRSubscriber, func(driver.Observed) error { seen++; return nil }))
	if seen != 1 {
		t.Errorf("%d are listed", seen)
	}
	enough := errors.New("enough")
	if err := s.a.List(s.ctx, "host", "hlr-1", driver.HLRSubscriber, func(driver.Observed) error { return enough }); err != enough {
		t.Errorf("got %v, want the caller's own error", err)
	}
	c := s.a.Counters()
	if len(c) != 1 || c[0].Done != 4 || c[0].Failed[driver.Unknown] != 0 || c[0].Waiting != 0 || c[0].Running != 0 || c[0].Busy == 0 {
		t.Errorf("counters %+v", c)
	}
	if _, err := s.a.Ensure(s.ctx, "host", "hlr-2", sim(1)); !fault.Is(err, fault.NotFound) {
		t.Errorf("an element that is not there: %v", err)
	}
	if _, err := s.a.Ensure(s.ctx, "other", "hlr-1", sim(1)); !fault.Is(err, fault.NotFound) {
		t.Errorf("another operator's element: %v", err)
	}
}

// watch wraps real drivers and notes how many operations run at once: altogether and on one key.
type watch struct {
	mu          sync.Mutex
	running     int
	perKey      map[string]int
	most        int
	mostPerKey  int
	opened      atomic.Int64
	connections int
}

type watched struct {
	driver.Driver
	w *watch
}

func (w *watch) drivers() map[string]driver.Factory {
	return map[string]driver.Factory{"osmo-hlr": func(e driver.Endpoint) (driver.Driver, error) {
		w.opened.Add(1)
		w.connections = e.Connections
		d, err := hlr.New(e)
		return watched{d, w}, err
	}}
}

func (d watched) Ensure(ctx context.Context, want driver.Desired) (driver.Observed, error) {
	defer d.w.enter(want.Key)()
	return d.Driver.Ensure(ctx, want)
}

func (w *watch) enter(key string) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.perKey == nil {
		w.perKey = map[string]int{}
	}
	w.running++
	w.perKey[key]++
	w.most, w.mostPerKey = max(w.most, w.running), max(w.mostPerKey, w.perKey[key])
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.running--
		w.perKey[key]--
	}
}

// One key at a time, but several keys at once, and not more than the element may have.
func TestOperationsOnOneKeyFollowOneAnother(t *testing.T) {
	w := &watch{}
	s := open(t, sqlite(t), activation.Options{Drivers: w.drivers()})
	e := s.element()
	e.Concurrency = 3
	s.save(e)
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			d := sim(n % 6)
			if n%2 == 1 {
				d.Attributes["msisdn"] = fmt.Sprintf("4478%08d", n)
			}
			o, err := s.a.Ensure(s.ctx, "host", "hlr-1", d)
			if err != nil || o.Attributes["msisdn"] != d.Attributes["msisdn"] {
				t.Errorf("%d: %+v, %v", n, o, err)
			}
		})
	}
	wg.Wait()
	if w.mostPerKey != 1 || w.most != 3 || w.connections != 3 {
		t.Errorf("%d at once, %d on one key, %d connections", w.most, w.mostPerKey, w.connections)
	}
}

func TestRate(t *testing.T) {
	s := open(t, sqlite(t), activation.Options{})
	s.ensure(sim(1))
	e := s.element()
	e.Rate = 50
	s.save(e)
	began := time.Now()
	var wg sync.WaitGroup
	const n = 26
	for i := range n {
		wg.Go(func() { s.ensure(sim(i)) })
	}
	wg.Wait()
	if took := time.Since(began); took < (n-1)*time.Second/50 {
		t.Errorf("%d operations at 50 a second took %v", n, took)
	}
}

// clock is moved by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestBreaker(t *testing.T) {
	c, w := &clock{}, &watch{}
	s := open(t, sqlite(t), activation.Options{Threshold: 3, Cooldown: 10 * time.Second, Now: c.now, Drivers: w.drivers()})
	s.ensure(sim(1))
	clash := sim(2)
	clash.Attributes["msisdn"] = "447900000001"
	for range 5 { // the element answers, so this does not count
		_, err := s.a.Ensure(s.ctx, "host", "hlr-1", clash)
		class(t, err, driver.Conflict, "in use")
	}
	must(t, s.reg.Close())
	for range 3 {
		c.advance(time.Millisecond)
		_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
		class(t, err, driver.Transient, "cannot be reached")
	}
	_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
	if e := class(t, err, driver.Transient, "left alone"); e.RetryAfter != 10*time.Second || !e.Unsent {
		t.Errorf("retry after %v", e.RetryAfter)
	}
	s.start()
	c.advance(9 * time.Second)
	_, err = s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
	class(t, err, driver.Transient, "left alone")
	must(t, s.reg.Close())
	c.advance(time.Second)
	_, err = s.a.Ensure(s.ctx, "host", "hlr-1", sim(1)) // the probe
	class(t, err, driver.Transient, "cannot be reached")
	_, err = s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
	class(t, err, driver.Transient, "left alone")
	if n := s.a.Counters()[0]; !n.Open || n.Opened != 2 || n.Refused != 3 || n.Failed[driver.Transient] != 4 || n.Failed[driver.Conflict] != 5 {
		t.Errorf("counters %+v", n)
	}
	s.start()
	c.advance(10 * time.Second)
	s.ensure(sim(1))
	s.ensure(sim(2))
	if s.a.Counters()[0].Open || w.opened.Load() != 1 {
		t.Errorf("open %v, %d drivers were made", s.a.Counters()[0].Open, w.opened.Load())
	}
}

// An element that hangs does not hold up another one, and what waits for it gives up with its caller.
func TestBulkhead(t *testing.T) {
	s := open(t, sqlite(t), activation.Options{Deadline: limit, Patience: limit, Threshold: 1000})
	other, err := lab.StartHLR(s.ctx, lab.HLRConfig{Dir: t.TempDir()})
	must(t, err)
	defer other.Close()
	second := s.element()
	second.Name, second.Address, second.VTY = "hlr-2", other.Addr(), other.VTYAddr()
	s.save(second)
	release := make(chan struct{})
	reached := make(chan struct{}, 100)
	s.reg.SetFaults(func(c edge.Command) lab.Fault {
		if strings.Contains(c.Var, "by-imsi") && strings.HasSuffix(c.Var, ".info") {
			reached <- struct{}{} // one for each operation
		}
		return lab.Fault{Action: lab.LateReply, Until: release}
	})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() { s.ensure(sim(n)) })
	}
	for range 8 {
		<-reached
	}
	for _, n := range []int{9, 1} { // waits for a place, waits for its key
		short, cancel := context.WithTimeout(s.ctx, 50*time.Millisecond)
		_, err = s.a.Ensure(short, "host", "hlr-1", sim(n))
		class(t, err, driver.Transient, "busy")
		_, err = s.a.Ensure(short, "host", "hlr-1", sim(n)) // too late to look the element up
		class(t, err, driver.Transient, "")
		cancel()
	}
	_, err = s.a.Ensure(s.ctx, "host", "hlr-2", sim(1))
	must(t, err)
	s.reg.SetFaults(nil)
	close(release)
	wg.Wait()
}

func TestDeadlineOfAnOperation(t *testing.T) {
	s := open(t, sqlite(t), activation.Options{Deadline: 200 * time.Millisecond})
	s.ensure(sim(1))
	s.reg.SetFaults(func(c edge.Command) lab.Fault {
		if c.Verb == edge.Set {
			return lab.Fault{}
		}
		return lab.Fault{Action: lab.LoseReply}
	})
	_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
	class(t, err, driver.Transient, "cannot be reached")
}

// Nothing that belongs to the room runs after Close, and nobody waits in it.
func TestClose(t *testing.T) {
	db := sqlite(t)
	var s *site
	pprof.Do(t.Context(), pprof.Labels("owner", t.Name()), func(context.Context) {
		s = open(t, db, activation.Options{Deadline: 300 * time.Millisecond})
		release := make(chan struct{})
		reached := make(chan struct{}, 1000)
		s.reg.SetFaults(func(edge.Command) lab.Fault {
			reached <- struct{}{}
			return lab.Fault{Action: lab.LateReply, Until: release}
		})
		var wg sync.WaitGroup
		for n := range 30 {
			wg.Go(func() {
				_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(n%20))
				class(t, err, driver.Transient, "")
			})
		}
		<-reached
		must(t, s.a.Close())
		must(t, s.a.Close())
		wg.Wait()
		close(release)
		must(t, s.reg.Close())
	})
	_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
	class(t, err, driver.Transient, "shutting down")
	// A goroutine that has said that it ends may take a moment to be gone.
	for end := time.Now().Add(limit / 2); ; runtime.Gosched() {
		var profile strings.Builder
		must(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
		if !strings.Contains(profile.String(), strconv.Quote(t.Name())) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("goroutines are left:\n%s", profile.String())
		}
	}
}

func TestAConnectionThatDiedIsMadeAnew(t *testing.T) {
	w := &watch{}
	s := open(t, sqlite(t), activation.Options{Drivers: w.drivers()})
	s.ensure(sim(1))
	must(t, s.reg.Close())
	s.start()
	s.ensure(sim(1))
	if w.opened.Load() != 1 {
		t.Errorf("%d drivers were made", w.opened.Load())
	}
}

func TestElementsAreConfiguredWhileTheyRun(t *testing.T) {
	storetest.Each(t, activation.Schemas, func(t *testing.T, db *store.DB) {
		w := &watch{}
		s := open(t, db, activation.Options{Drivers: w.drivers()})
		s.ensure(sim(1))
		e := s.element()
		e.Enabled = false
		s.save(e)
		_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
		class(t, err, driver.Transient, "out of service")
		other, err := lab.StartHLR(s.ctx, lab.HLRConfig{Dir: t.TempDir()})
		must(t, err)
		defer other.Close()
		e.Enabled, e.Address, e.VTY, e.Note = true, other.Addr(), other.VTYAddr(), "moved"
		s.save(e)
		o, err := s.a.Observe(s.ctx, "host", "hlr-1", driver.HLRSubscriber, imsi(1))
		if err != nil || o.Present || w.opened.Load() != 2 {
			t.Errorf("the moved element: %+v, %v, %d drivers", o, err, w.opened.Load())
		}
		e.Type = "noSuchDriver"
		s.save(e)
		_, err = s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
		class(t, err, driver.Validation, "noSuchDriver")
		for _, bad := range []activation.Element{{}, {Name: "a b", Type: "x", Address: "h:1"}, {Name: "a", Type: "x"}, {Name: "a", Type: "x", Address: "h"},
			{Name: "a", Type: "x", Address: "h:1", VTY: ":"}, {Name: "a", Type: "x", Address: "h:1", Rate: -1}, {Name: "a", Type: "x", Address: "h:1", Concurrency: 257}} {
			err := db.Write(s.ctx, store.Scope{Tenant: "host", Actor: "test"}, func(tx *store.Tx) error { return activation.SaveElement(tx, bad) })
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		s.write("host", func(tx *store.Tx) error { return activation.RemoveElement(tx, "hlr-1") })
		if _, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1)); !fault.Is(err, fault.NotFound) {
			t.Errorf("a removed element: %v", err)
		}
	})
}

// Tenants remember an element for different times; what was read before the present configuration must not bring the old one back.
func TestAnOldConfigurationDoesNotComeBack(t *testing.T) {
	c, w := &clock{}, &watch{}
	db := sqlite(t)
	s := open(t, db, activation.Options{})
	must(t, s.a.Close())
	s.a = activation.New(db, activation.Options{Drivers: w.drivers(), Now: c.now, Refresh: time.Second, Log: quiet()})
	defer s.a.Close()
	s.write("host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "brand", "24001") })
	_, err := s.a.Ensure(s.ctx, "brand", "hlr-1", sim(1))
	must(t, err)
	c.advance(time.Millisecond)
	e := s.element()
	e.Concurrency = 2
	s.save(e)
	for range 3 {
		c.advance(time.Millisecond)
		for _, tenant := range []string{"host", "brand"} {
			_, err := s.a.Ensure(s.ctx, tenant, "hlr-1", sim(1))
			must(t, err)
		}
	}
	if w.opened.Load() != 2 || w.connections != 2 {
		t.Errorf("%d drivers were made, the last with %d connections", w.opened.Load(), w.connections)
	}
}

func TestWholesale(t *testing.T) {
	storetest.Each(t, activation.Schemas, func(t *testing.T, db *store.DB) {
		s := open(t, db, activation.Options{})
		brand := store.Scope{Tenant: "brand", Actor: "test"}
		s.write("host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "brand", "24001000000001") })
		for n := range 30 {
			s.ensure(sim(n))
		}
		_, err := s.a.Ensure(s.ctx, "brand", "hlr-1", sim(12))
		must(t, err)
		_, err = s.a.Ensure(s.ctx, "brand", "hlr-1", sim(2))
		class(t, err, driver.Auth, "24001000000001 only, not for "+imsi(2))
		_, err = s.a.Observe(s.ctx, "brand", "hlr-1", driver.HLRSubscriber, imsi(2))
		class(t, err, driver.Auth, "")
		seen := 0
		must(t, s.a.List(s.ctx, "brand", "hlr-1", driver.HLRSubscriber, func(o driver.Observed) error {
			seen++
			if !strings.HasPrefix(o.Key, "24001000000001") {
				t.Errorf("the brand sees %s", o.Key)
			}
			return nil
		}))
		if seen != 10 {
			t.Errorf("the brand sees %d subscribers, want 10", seen)
		}
		list := func(tenant string) (out []string) {
			must(t, db.Read(s.ctx, store.Scope{Tenant: tenant, Actor: "test"}, func(tx *store.Tx) error {
				all, err := activation.Elements(tx)
				for _, e := range all {
					out = append(out, e.Owner+"/"+e.Name+"/"+e.Prefix)
				}
				return err
			}))
			return out
		}
		if got := fmt.Sprint(list("host"), list("brand"), list("third")); got != "[host/hlr-1/] [host/hlr-1/24001000000001] []" {
			t.Errorf("elements %s", got)
		}
		refused := func(kind fault.Kind, tenant string, f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(s.ctx, store.Scope{Tenant: tenant, Actor: "test"}, f); !fault.Is(err, kind) {
				t.Errorf("got %v, want %v", err, kind)
			}
		}
		refused(fault.NotFound, "host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-2", "brand", "24001") })
		refused(fault.NotFound, "brand", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "third", "24002") })
		refused(fault.Invalid, "host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "host", "24001") })
		refused(fault.Invalid, "host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "third", "") })
		for _, overlapping := range []string{"2", "24001000000001", "240010000000012"} {
			refused(fault.Conflict, "host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "third", overlapping) })
		}
		s.write("host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "third", "24001000000002") })
		s.write("host", func(tx *store.Tx) error { return activation.Revoke(tx, "hlr-1", "third") })
		s.write("host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "brand", "24001000000001") }) // its own again
		refused(fault.Conflict, "host", func(tx *store.Tx) error { return activation.RemoveElement(tx, "hlr-1") })
		s.write("other", func(tx *store.Tx) error { return activation.SaveElement(tx, s.element()) })
		refused(fault.Conflict, "other", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "brand", "24001") })
		s.write("host", func(tx *store.Tx) error { return activation.Revoke(tx, "hlr-1", "brand") })
		if _, err := s.a.Ensure(s.ctx, "brand", "hlr-1", sim(12)); !fault.Is(err, fault.NotFound) {
			t.Errorf("after the revocation: %v", err)
		}
		refused(fault.NotFound, "host", func(tx *store.Tx) error { return activation.Revoke(tx, "hlr-1", "brand") })
		// An element of one's own hides a granted one.
		s.write("host", func(tx *store.Tx) error { return activation.Grant(tx, "hlr-1", "brand", "24001") })
		must(t, db.Write(s.ctx, brand, func(tx *store.Tx) error { return activation.SaveElement(tx, s.element()) }))
		if got := fmt.Sprint(list("brand")); got != "[brand/hlr-1/]" {
			t.Errorf("elements %s", got)
		}
	})
}

func TestAudit(t *testing.T) {
	s := open(t, sqlite(t), activation.Options{})
	for n := range 6 {
		s.ensure(sim(n))
	}
	ctrl, err := edge.Dial(s.ctx, s.reg.Addr())
	must(t, err)
	defer ctrl.Close()
	must(t, ctrl.Delete(s.ctx, imsi(1)))
	must(t, ctrl.SetPS(s.ctx, imsi(2), false))
	must(t, ctrl.SetMSISDN(s.ctx, imsi(2), ""))
	_, err = ctrl.Create(s.ctx, imsi(99))
	must(t, err)
	expected := func(yield func(driver.Desired, error) bool) {
		for n := range 5 {
			if !yield(sim(n), nil) {
				return
			}
		}
		gone := sim(5)
		gone.Absent = true
		yield(gone, nil)
	}
	drift, err := s.a.Audit(s.ctx, "host", "hlr-1", driver.HLRSubscriber, expected)
	must(t, err)
	want := []activation.Drift{
		{Key: imsi(1), Kind: activation.Missing},
		{Key: imsi(2), Kind: activation.Different, Attribute: "msisdn", Want: "447900000002"},
		{Key: imsi(2), Kind: activation.Different, Attribute: "ps", Want: "true", Have: "false"},
		{Key: imsi(5), Kind: activation.Surplus},
		{Key: imsi(99), Kind: activation.Surplus},
	}
	if fmt.Sprint(drift) != fmt.Sprint(want) {
		t.Errorf("drift %v\nwant %v", drift, want)
	}
	broken := errors.New("broken")
	_, err = s.a.Audit(s.ctx, "host", "hlr-1", driver.HLRSubscriber, func(yield func(driver.Desired, error) bool) { yield(driver.Desired{}, broken) })
	if err != broken {
		t.Errorf("got %v", err)
	}
}

// The address of nobody: a connection is refused at once.
func deadAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

func TestAnElementThatWasNeverThere(t *testing.T) {
	s := open(t, sqlite(t), activation.Options{})
	e := s.element()
	e.Address = deadAddress(t)
	s.save(e)
	_, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(1))
	class(t, err, driver.Transient, "cannot be reached")
}

// A new configuration waits for the operations under way, not for those that wait for a place; they use the new one.
func TestAReconfigurationDoesNotWaitForTheQueue(t *testing.T) {
	w := &watch{}
	s := open(t, sqlite(t), activation.Options{Drivers: w.drivers(), Patience: limit, Deadline: limit})
	e := s.element()
	e.Concurrency = 1
	s.save(e)
	release, reached := make(chan struct{}), make(chan struct{}, 10)
	s.reg.SetFaults(func(edge.Command) lab.Fault {
		reached <- struct{}{}
		return lab.Fault{Action: lab.LateReply, Until: release}
	})
	var wg sync.WaitGroup
	wg.Go(func() { s.ensure(sim(0)) })
	<-reached
	for n := 1; n < 20; n++ {
		wg.Go(func() { s.ensure(sim(n)) })
	}
	for s.a.Counters()[0].Waiting < 19 {
		must(t, s.ctx.Err())
	}
	s.reg.SetFaults(nil)
	e.Concurrency = 5
	s.save(e)
	wg.Go(func() { s.ensure(sim(20)) })
	for s.a.Counters()[0].Waiting < 20 {
		must(t, s.ctx.Err())
	}
	close(release)
	wg.Wait()
	if w.opened.Load() != 2 || w.connections != 5 {
		t.Errorf("%d drivers were made, the last with %d connections", w.opened.Load(), w.connections)
	}
	if n := s.a.Counters()[0]; n.Done != 21 {
		t.Errorf("counters %+v", n)
	}
}

// Activations a second through the whole room: resolve, gate, driver, read, change, read back, on one element of the lab.
func BenchmarkActivations(b *testing.B) {
	s := open(b, sqlite(b), activation.Options{})
	activations(b, s)
}

// The same on the real register, which syncs every change to its own database.
func BenchmarkActivationsOnTheRealElement(b *testing.B) {
	s := open(b, sqlite(b), activation.Options{})
	real := hlrtest.Start(b)
	e := s.element()
	e.Address, e.VTY = real.CTRL(), real.VTY()
	s.save(e)
	activations(b, s)
}

func activations(b *testing.B, s *site) {
	var n atomic.Int64
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.a.Ensure(s.ctx, "host", "hlr-1", sim(int(n.Add(1)))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "activations/s")
}

package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// effect is a room's table: what a hearer did, in the order of n.
var schemas = []store.Schema{outbox.Schema(), {Room: "test", Files: fstest.MapFS{"0001.sql": {Data: []byte(`
CREATE TABLE effect (
	n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tenant TEXT NOT NULL, hearer TEXT NOT NULL, key TEXT NOT NULL, value BIGINT NOT NULL
) STRICT;
CREATE TABLE tally (
	tenant TEXT NOT NULL, hearer TEXT NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (tenant, hearer)
) STRICT;
`)}}}}

type Lit struct {
	Lamp  string `json:"lamp"`
	Value int    `json:"value"`
}

func (f Lit) Key() string { return f.Lamp }

type Dimmed struct {
	Lamp  string `json:"lamp"`
	Value int    `json:"value"`
}

func (f Dimmed) Key() string { return f.Lamp }

var mno = store.Scope{Tenant: "mno", Actor: "test"}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func note(tx *store.Tx, hearer, key string, value int) {
	tx.Queue("INSERT INTO effect (tenant, hearer, key, value) VALUES ($1, $2, $3, $4)", hearer, key, value)
}

func noting(hearer string) func(*store.Tx, Lit) error {
	return func(tx *store.Tx, f Lit) error {
		note(tx, hearer, f.Lamp, f.Value)
		return nil
	}
}

func tell(t testing.TB, db *store.DB, facts ...Lit) {
	t.Helper()
	err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
		for _, f := range facts {
			outbox.Tell(tx, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func start(t testing.TB, b *outbox.Bus) {
	t.Helper()
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
}

func idle(t testing.TB, b *outbox.Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	if err := b.Idle(ctx); err != nil {
		t.Fatal(err)
	}
}

// effects is what a hearer did for a key, in order.
func effects(t testing.TB, db *store.DB, hearer, key string) (values []int) {
	t.Helper()
	err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT value FROM effect WHERE tenant = $1 AND hearer = $2 AND key = $3 ORDER BY n", hearer, key)
		values, err = store.Collect(rows, err, func(r store.Rows) (v int, err error) {
			err = r.Scan(&v)
			return v, err
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func wantEffects(t testing.TB, db *store.DB, hearer, key string, want ...int) {
	t.Helper()
	if got := effects(t, db, hearer, key); !reflect.DeepEqual(got, want) {
		t.Errorf("%s did %v for %s, want %v", hearer, got, key, want)
	}
}

func parked(t testing.TB, b *outbox.Bus) []outbox.Parked {
	t.Helper()
	all, err := b.Parked(t.Context(), outbox.ParkedQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAFactReachesEveryHearerOnceAndInOrder(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		b := outbox.New(db, quiet())
		outbox.On(b, "one", noting("one"))
		outbox.On(b, "two", noting("two"))
		start(t, b)
		var want []int
		for i := range 300 {
			tell(t, db, Lit{"a", i}, Lit{"b", i})
			want = append(want, i)
		}
		idle(t, b)
		for _, h := range []string{"one", "two"} {
			wantEffects(t, db, h, "a", want...)
			wantEffects(t, db, h, "b", want...)
		}
	})
}

func TestAFactOfARolledBackTransactionIsNeverHeard(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		b := outbox.New(db, quiet())
		outbox.On(b, "one", noting("one"))
		start(t, b)
		no := errors.New("changed my mind")
		for i := range 20 {
			err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
				outbox.Tell(tx, Lit{"a", i})
				if err := tx.System().Flush(); err != nil || i%2 == 0 {
					return errors.Join(err, no)
				}
				return nil
			})
			if (i%2 == 0) != errors.Is(err, no) {
				t.Fatal(err)
			}
		}
		idle(t, b)
		wantEffects(t, db, "one", "a", 1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
	})
}

func TestOneHearerOfTwoFactsKeepsTheirOrderPerKey(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		b := outbox.New(db, quiet())
		outbox.On(b, "one", noting("one"))
		outbox.On(b, "one", func(tx *store.Tx, f Dimmed) error { note(tx, "one", f.Lamp, -f.Value); return nil })
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			outbox.Tell(tx, Lit{"a", 1})
			outbox.Tell(tx, Dimmed{"a", 2})
			outbox.Tell(tx, Lit{"a", 3})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		start(t, b)
		idle(t, b)
		wantEffects(t, db, "one", "a", 1, -2, 3)
		want := []outbox.Line{{Fact: "Lit", Hearer: "one"}, {Fact: "Dimmed", Hearer: "one"}}
		if got := b.Score(); !reflect.DeepEqual(got, want) {
			t.Errorf("score %v, want %v", got, want)
		}
	})
}

func TestAHearerRunsForTheTenantOfTheFactUnderItsOwnName(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var mu sync.Mutex
		seen := map[string]int{}
		b := outbox.New(db, quiet())
		outbox.On(b, "one", func(tx *store.Tx, f Lit) error {
			mu.Lock()
			defer mu.Unlock()
			seen[tx.Tenant()+" "+tx.Actor()] = f.Value
			return nil
		})
		start(t, b)
		for i, tenant := range []string{"mno", "mvno", "isp"} {
			err := db.Write(t.Context(), store.Scope{Tenant: tenant}, func(tx *store.Tx) error {
				outbox.Tell(tx, Lit{"a", i})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		idle(t, b)
		want := map[string]int{"mno system:one": 0, "mvno system:one": 1, "isp system:one": 2}
		mu.Lock()
		defer mu.Unlock()
		if !reflect.DeepEqual(seen, want) {
			t.Errorf("heard as %v, want %v", seen, want)
		}
	})
}

// A poison fact is parked with everything of its key behind it; other keys and
// other hearers go on, and a retry brings all of it in the order told.
func TestAPoisonFactParksItsKeyAndNothingElse(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var broken atomic.Bool
		broken.Store(true)
		b := outbox.New(db, quiet())
		outbox.On(b, "weak", func(tx *store.Tx, f Lit) error {
			note(tx, "weak", f.Lamp, f.Value)
			if broken.Load() && f.Lamp == "a" && f.Value == 3 {
				return errors.New("lamp a is broken")
			}
			return nil
		})
		outbox.On(b, "sane", noting("sane"))
		var facts []Lit
		for i := 1; i <= 6; i++ {
			facts = append(facts, Lit{"a", i}, Lit{"b", i})
		}
		tell(t, db, facts...)
		start(t, b)
		idle(t, b)
		wantEffects(t, db, "weak", "a", 1, 2)
		wantEffects(t, db, "weak", "b", 1, 2, 3, 4, 5, 6)
		wantEffects(t, db, "sane", "a", 1, 2, 3, 4, 5, 6)
		all := parked(t, b)
		if len(all) != 4 {
			t.Fatalf("parked %v, want four facts", all)
		}
		if p := all[0]; p.Error != "lamp a is broken" || p.Attempts < 1 || p.NextAt.IsZero() || p.Key != "a" || p.Tenant != "mno" || p.Hearer != "weak" {
			t.Errorf("the head of the key is %+v", p)
		}
		if p := all[1]; !p.NextAt.IsZero() || p.Attempts != 0 {
			t.Errorf("the one behind is %+v", p)
		}
		if err := b.Retry(t.Context(), "weak", all[1].Seq); !fault.Is(err, fault.Conflict) {
			t.Errorf("retry out of order: %v", err)
		}
		tell(t, db, Lit{"a", 7}) // joins the queue of its key
		idle(t, b)
		broken.Store(false)
		if err := b.Retry(t.Context(), "weak", all[0].Seq); err != nil {
			t.Fatal(err)
		}
		awaitParked(t, b, 0)
		wantEffects(t, db, "weak", "a", 1, 2, 3, 4, 5, 6, 7)
		tell(t, db, Lit{"a", 8})
		idle(t, b)
		wantEffects(t, db, "weak", "a", 1, 2, 3, 4, 5, 6, 7, 8)
	})
}

// awaitParked polls the visible list, as an operator would.
func awaitParked(t *testing.T, b *outbox.Bus, want int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		n := len(parked(t, b))
		if n == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d facts are still parked, want %d", n, want)
		}
	}
}

func TestAParkedFactIsRetriedByItself(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var tries atomic.Int64
		healed := make(chan struct{})
		b := outbox.New(db, quiet())
		outbox.On(b, "weak", func(tx *store.Tx, f Lit) error {
			if tries.Add(1) <= 2 { // the batch, and the fact alone
				panic("not today")
			}
			note(tx, "weak", f.Lamp, f.Value)
			tx.OnCommit(func() { close(healed) })
			return nil
		})
		start(t, b)
		tell(t, db, Lit{"a", 1})
		select {
		case <-healed:
		case <-time.After(20 * time.Second):
			t.Fatal("never retried")
		}
		wantEffects(t, db, "weak", "a", 1)
		awaitParked(t, b, 0)
	})
}

func TestADroppedFactFreesItsKeyAndIsRemembered(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		b := outbox.New(db, quiet())
		outbox.On(b, "weak", func(tx *store.Tx, f Lit) error {
			if f.Value == 1 {
				return errors.New("no")
			}
			return noting("weak")(tx, f)
		})
		tell(t, db, Lit{"a", 1}, Lit{"a", 2})
		start(t, b)
		idle(t, b)
		seq := parked(t, b)[0].Seq
		if err := b.Drop(t.Context(), "weak", seq, "user:ann", " "); !fault.Is(err, fault.Invalid) {
			t.Errorf("drop without a reason: %v", err)
		}
		if err := b.Drop(t.Context(), "weak", seq, "user:ann", "duplicate of 7"); err != nil {
			t.Fatal(err)
		}
		if err := b.Drop(t.Context(), "weak", seq, "user:ann", "again"); !fault.Is(err, fault.NotFound) {
			t.Errorf("drop twice: %v", err)
		}
		awaitParked(t, b, 0)
		wantEffects(t, db, "weak", "a", 2)
		var actor, reason, body string
		err := db.Read(t.Context(), mno, func(tx *store.Tx) error {
			return tx.Row("SELECT actor, reason, body FROM outbox_dropped WHERE tenant = $1 AND hearer = 'weak' AND seq = $2", seq).Scan(&actor, &reason, &body)
		})
		if err != nil || actor != "user:ann" || reason != "duplicate of 7" || body != `{"lamp":"a","value":1}` {
			t.Errorf("remembered %q %q %q, %v", actor, reason, body, err)
		}
	})
}

func TestAConcurrentChangeIsTriedAgainAtOnce(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		var tries atomic.Int64
		b := outbox.New(db, quiet())
		outbox.On(b, "weak", func(tx *store.Tx, f Lit) error {
			if tries.Add(1) <= 3 {
				return fmt.Errorf("save: %w", store.ErrStale)
			}
			return noting("weak")(tx, f)
		})
		tell(t, db, Lit{"a", 1})
		start(t, b)
		idle(t, b)
		wantEffects(t, db, "weak", "a", 1)
		if p := parked(t, b); len(p) != 0 {
			t.Errorf("parked %v", p)
		}
	})
}

func TestHearersThatTellAreWaitedFor(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		b := outbox.New(db, quiet())
		outbox.On(b, "chain", func(tx *store.Tx, f Lit) error {
			note(tx, "chain", f.Lamp, f.Value)
			if f.Value < 25 {
				outbox.Tell(tx, Lit{f.Lamp, f.Value + 1})
			}
			return nil
		})
		start(t, b)
		tell(t, db, Lit{"a", 1})
		idle(t, b)
		if n := len(effects(t, db, "chain", "a")); n != 25 {
			t.Errorf("%d effects after Idle, want 25", n)
		}
	})
}

// A process that dies in the middle leaves neither a lost nor a double effect:
// the handling and the cursor are one commit.
func TestADeathInTheMiddleLosesAndDoublesNothing(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			config := storetest.Config(t, engine)
			const facts = 400
			var want []int
			for life := 0; ; life++ {
				db, err := store.Open(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Migrate(t.Context(), schemas...); err != nil {
					t.Fatal(err)
				}
				if life == 0 {
					for i := range facts {
						tell(t, db, Lit{"a", i})
						want = append(want, i)
					}
				}
				if done := live(t, db, life); done {
					wantEffects(t, db, "one", "a", want...)
					db.Close()
					return
				}
				db.Close()
			}
		})
	}
}

// live runs a bus until it has handled some 90 facts, and cuts it off there.
func live(t *testing.T, db *store.DB, life int) (done bool) {
	ctx, die := context.WithCancel(t.Context())
	defer die()
	var handled atomic.Int64
	b := outbox.New(db, quiet())
	outbox.On(b, "one", func(tx *store.Tx, f Lit) error {
		if life < 4 && handled.Add(1) > 90 {
			die()
			return errors.New("died")
		}
		return noting("one")(tx, f)
	})
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer b.Stop()
	err := b.Idle(ctx)
	return err == nil
}

// Two nodes share the work of one database under load: every fact takes effect
// once at every hearer, in order per key.
func TestTwoNodesHandleEachFactOnce(t *testing.T) {
	config := storetest.Config(t, store.Postgres)
	const writers, each = 4, 150
	nodes := []*store.DB{storetest.OpenConfig(t, config, schemas...), storetest.OpenConfig(t, config, schemas...)}
	var buses []*outbox.Bus
	var byNode [2]atomic.Int64
	for n, db := range nodes {
		b := outbox.New(db, quiet())
		for _, name := range []string{"one", "two", "three"} {
			outbox.On(b, name, func(tx *store.Tx, f Lit) error {
				note(tx, name, f.Lamp, f.Value)
				tx.OnCommit(func() { byNode[n].Add(1) })
				return nil
			})
		}
		start(t, b)
		buses = append(buses, b)
	}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				tell(t, nodes[w%2], Lit{fmt.Sprint(w), i})
			}
		})
	}
	wg.Wait()
	for _, b := range buses {
		idle(t, b)
	}
	var want []int
	for i := range each {
		want = append(want, i)
	}
	for _, h := range []string{"one", "two", "three"} {
		for w := range writers {
			wantEffects(t, nodes[0], h, fmt.Sprint(w), want...)
		}
	}
	total := byNode[0].Load() + byNode[1].Load()
	t.Logf("node 0 handled %d, node 1 %d", byNode[0].Load(), byNode[1].Load())
	if total != writers*each*3 {
		t.Errorf("%d facts were handled, want %d", total, writers*each*3)
	}
}

// What another node told is noticed although nothing wakes this one.
func TestAFactOfAnotherNodeIsNoticed(t *testing.T) {
	config := storetest.Config(t, store.Postgres)
	here, there := storetest.OpenConfig(t, config, schemas...), storetest.OpenConfig(t, config, schemas...)
	heard := make(chan struct{})
	b := outbox.New(here, quiet())
	outbox.On(b, "one", func(tx *store.Tx, f Lit) error {
		tx.OnCommit(func() { close(heard) })
		return nil
	})
	start(t, b)
	idle(t, b)
	// A plain insert, as another process's commit looks from here.
	err := there.Write(t.Context(), mno, func(tx *store.Tx) error {
		tx.Append()
		tx.Queue("INSERT INTO outbox_fact (tenant, name, key, body, at) VALUES ($1, 'Lit', 'a', '{}', 0)")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-heard:
	case <-time.After(20 * time.Second):
		t.Fatal("not noticed")
	}
}

func TestFactsArePrunedOnlyWhenAllHaveHeardThem(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		slow := outbox.New(db, quiet()) // knows a hearer that never gets on
		outbox.On(slow, "slow", noting("slow"))
		if err := slow.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		slow.Stop()
		b := outbox.New(db, quiet())
		b.Keep = 10
		outbox.On(b, "fast", noting("fast"))
		start(t, b)
		for i := range 100 {
			tell(t, db, Lit{"a", i})
		}
		idle(t, b)
		if n, err := b.Prune(t.Context()); n != 0 || err != nil {
			t.Errorf("pruned %d facts that one hearer has not heard, %v", n, err)
		}
		if err := slow.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		idle(t, slow)
		slow.Stop()
		if n, err := b.Prune(t.Context()); n != 90 || err != nil {
			t.Errorf("pruned %d facts, want 90, %v", n, err)
		}
		b.Stop()
		late := outbox.New(db, quiet())
		outbox.On(late, "late", noting("late"))
		start(t, late)
		idle(t, late)
		wantEffects(t, db, "late", "a", 90, 91, 92, 93, 94, 95, 96, 97, 98, 99)
	})
}

func TestABodyThatCannotBeReadIsParkedToo(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		b := outbox.New(db, quiet())
		outbox.On(b, "one", noting("one"))
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			tx.Append()
			tx.Queue("INSERT INTO outbox_fact (tenant, name, key, body, at) VALUES ($1, 'Lit', 'a', '{\"value\":\"x\"}', 0)")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		start(t, b)
		idle(t, b)
		if all := parked(t, b); len(all) != 1 {
			t.Errorf("parked %v, want one fact", all)
		}
	})
}

func TestAFactThatCannotBeEncodedFailsItsTransaction(t *testing.T) {
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		err := db.Write(t.Context(), mno, func(tx *store.Tx) error {
			note(tx, "room", "a", 1)
			outbox.Tell(tx, Lit{"\xff", 1})
			return nil
		})
		if err == nil || len(effects(t, db, "room", "a")) != 0 {
			t.Errorf("the transaction held: %v", err)
		}
	})
}

// A hearer far behind what memory keeps reads the table, and misses nothing.
func TestALongBacklogIsHeardInFull(t *testing.T) {
	if testing.Short() {
		t.Skip("tells 20,000 facts")
	}
	db := storetest.Open(t, store.SQLite, schemas...)
	const facts = 20_000
	for i := 0; i < facts; i += 500 {
		var batch []Lit
		for v := i; v < i+500; v++ {
			batch = append(batch, Lit{fmt.Sprint(v % 7), v})
		}
		tell(t, db, batch...)
	}
	b := outbox.New(db, quiet())
	outbox.On(b, "one", noting("one"))
	outbox.On(b, "deaf", func(*store.Tx, Dimmed) error { return errors.New("nobody dimmed") })
	start(t, b)
	idle(t, b)
	n := 0
	for k := range 7 {
		got := effects(t, db, "one", fmt.Sprint(k))
		for i, v := range got {
			if v != i*7+k {
				t.Fatalf("key %d: effect %d is %d", k, i, v)
			}
		}
		n += len(got)
	}
	if n != facts {
		t.Errorf("%d effects, want %d", n, facts)
	}
}

// BenchmarkEightHearers prints facts/s from Tell to the last of eight hearers.
func BenchmarkEightHearers(b *testing.B) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(engine.String(), func(b *testing.B) {
			db := storetest.Open(b, engine, schemas...)
			bus := outbox.New(db, quiet())
			for i := range 8 {
				name := fmt.Sprint("hearer", i)
				outbox.On(bus, name, func(tx *store.Tx, f Lit) error {
					tx.Queue(`INSERT INTO tally (tenant, hearer, count) VALUES ($1, $2, 1)
						ON CONFLICT (tenant, hearer) DO UPDATE SET count = tally.count + 1`, name)
					return nil
				})
			}
			start(b, bus)
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range 32 { // callers that each tell one fact a transaction
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						tell(b, db, Lit{fmt.Sprint(i % 100), int(i)})
					}
				})
			}
			wg.Wait()
			idle(b, bus)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "facts/s")
		})
	}
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/billing"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

const (
	inFlight = 256 // orders placed and not yet completed
	tenant   = "bench"
	owners   = 1000 // the first buyers own what exists before; orders are by those after them
)

var scope = store.Scope{Tenant: tenant, Actor: "bench"}

// rig is a node for a benchmark, with what completed orders are waited on.
type rig struct {
	*app.App
	options Options
	placed  sync.Map // order id -> time.Time
	slots   chan struct{}
	first   int64 // buyer, counted from owners on
	done    atomic.Int64
	failed  atomic.Int64
	mu      sync.Mutex
	took    []time.Duration
}

func newRig(ctx context.Context, o Options) (*rig, error) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	a, err := app.New(ctx, app.Config{Data: o.Data, Database: o.Database, Tenant: tenant, Lab: true, Log: log, Concurrency: 32})
	if err != nil {
		return nil, err
	}
	r := &rig{App: a, options: o, slots: make(chan struct{}, inFlight)}
	outbox.On(a.Bus, "bench", r.ended)
	if err := a.Start(ctx); err != nil {
		a.Stop()
		return nil, err
	}
	return r, nil
}

// ended hears that an order is through.
func (r *rig) ended(tx *store.Tx, f fact.OrderEnded) error {
	tx.OnCommit(func() {
		at, ok := r.placed.LoadAndDelete(f.Order)
		if !ok {
			return
		}
		if f.State != order.Completed {
			r.failed.Add(1)
		}
		r.done.Add(1)
		r.mu.Lock()
		r.took = append(r.took, time.Since(at.(time.Time)))
		r.mu.Unlock()
		<-r.slots
	})
	return nil
}

// stock gives the tenant its catalogue, and numbers, cards and customers for n orders
// beside those that were placed before.
func (r *rig) stock(ctx context.Context, n int) error {
	have := int64(0)
	if err := r.DB.Write(ctx, scope, func(tx *store.Tx) error {
		pools, err := inventory.ResourcePools.Count(tx, nil)
		if err == nil && pools == 0 {
			return mobile.Install(tx)
		}
		if err == nil {
			have, err = party.Customers.Count(tx, nil)
		}
		return err
	}); err != nil {
		return err
	}
	if r.first > 0 {
		n += owners + int(r.first)
	}
	const step = 1000
	for i := int(have); i < n; i += step {
		if err := r.DB.Write(ctx, scope, func(tx *store.Tx) error {
			first := 491700000000 + i
			if _, err := inventory.AddRange(tx, mobile.NumberPool, fmt.Sprint(first), fmt.Sprint(first+step-1)); err != nil {
				return err
			}
			cards := make([]mobile.Card, step)
			for j := range cards {
				cards[j] = mobile.Card{ICCID: fmt.Sprintf("8949017%012d", i+j), IMSI: fmt.Sprintf("26201%010d", i+j)}
			}
			if err := mobile.AddCards(tx, r.Sealer, cards); err != nil {
				return err
			}
			return buyers(tx, i, i+step)
		}); err != nil {
			return err
		}
	}
	return nil
}

func buyer(n int) string { return fmt.Sprintf("buyer-%08d", n) }

func buyers(tx *store.Tx, from, to int) error {
	for n := from; n < to; n++ {
		p := &party.Individual{GivenName: "Bench", FamilyName: fmt.Sprintf("Buyer %d", n)}
		p.ID = fmt.Sprintf("person-%08d", n)
		if err := party.Individuals.Create(tx, p); err != nil {
			return err
		}
		c := &party.Customer{Name: "Bench Buyer", EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}}
		c.ID = buyer(n)
		if err := party.Customers.Create(tx, c); err != nil {
			return err
		}
		if _, err := billing.AccountFor(tx, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// place orders a SIM for the n-th buyer.
func (r *rig) place(ctx context.Context, n int) error {
	o := &order.ProductOrder{RelatedParty: []tmf.RelatedParty{{ID: buyer(n), Role: "customer", ReferredType: "Customer"}},
		ProductOrderItem: []order.Item{{ID: "1", Action: order.Add, ProductOffering: &order.Ref{ID: mobile.FlatM}}}}
	o.ID = tmf.NewID()
	began := time.Now()
	r.placed.Store(o.ID, began)
	return r.DB.Write(ctx, scope, func(tx *store.Tx) error {
		again := *o
		again.ProductOrderItem = append([]order.Item(nil), o.ProductOrderItem...)
		return order.Place(tx, &again)
	})
}

// Orders measures completed mobile orders a second: placed, decomposed, activated
// on the lab's HLR and read back, billable; durable at every step.
func Orders(ctx context.Context, o Options) (Result, error) {
	done, err := o.folder()
	if err != nil {
		return Result{}, err
	}
	defer done()
	r, err := newRig(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer r.Stop()
	need := o.Seconds*1500 + 5000
	if err := r.goOn(ctx); err != nil {
		return Result{}, err
	}
	o.say("stocking numbers, cards and customers for %d orders", need)
	if err := r.stock(ctx, need); err != nil {
		return Result{}, fmt.Errorf("stock: %w", err)
	}
	if err := r.fill(ctx, o.Existing); err != nil {
		return Result{}, fmt.Errorf("existing products: %w", err)
	}
	o.say("measuring the floor")
	floor, err := floorOfRows(ctx, r.DB, rowsPerOrder, 900, 32, 3)
	if err != nil {
		return Result{}, fmt.Errorf("floor: %w", err)
	}
	o.say("placing orders for %d s", o.Seconds)
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return Result{}, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return Result{}, err
		}
		defer pprof.StopCPUProfile()
	}
	began := time.Now()
	placed, err := r.run(ctx, time.Duration(o.Seconds)*time.Second, o.Workers)
	if err != nil {
		return Result{}, err
	}
	// The figure counts what completed while orders came in; the rest must
	// complete too.
	rate, secs := float64(r.done.Load())/time.Since(began).Seconds(), time.Since(began).Seconds()
	drain := time.Now()
	for r.done.Load() < int64(placed) {
		if time.Since(drain) > time.Minute {
			return Result{}, fmt.Errorf("%d of %d orders did not complete", int64(placed)-r.done.Load(), placed)
		}
		time.Sleep(10 * time.Millisecond) // a benchmark's end, not a test's signal
	}
	if n := r.failed.Load(); n > 0 {
		return Result{}, fmt.Errorf("%d orders failed", n)
	}
	if err := r.Bus.Idle(ctx); err != nil { // billed, and the customers told
		return Result{}, err
	}
	heard := float64(placed) / time.Since(began).Seconds()
	return Result{Name: "orders", Store: r.DB.Dialect().String(), Seconds: secs, PerSecond: rate, FloorPerSecond: floor, Ratio: rate / floor,
		P50: percentile(r.took, .5), P99: percentile(r.took, .99), RSS: resident(),
		Own: map[string]any{"existing_products": o.Existing, "completed": r.done.Load(), "heard_by_all_per_second": heard, "rows_per_order": rowsPerOrder}}, nil
}

// rowsPerOrder is what the floor writes for an order: the rows that an order of a
// mobile SIM leaves behind (documents, changes, tasks, facts, numbers).
const rowsPerOrder = 40

func (r *rig) run(ctx context.Context, d time.Duration, workers int) (int, error) {
	var next, failed atomic.Int64
	next.Store(r.first)
	var first error
	var once sync.Once
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				select {
				case r.slots <- struct{}{}:
				case <-time.After(time.Until(end)):
					return
				}
				if err := r.place(ctx, owners+int(next.Add(1)-1)); err != nil {
					<-r.slots
					failed.Add(1)
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return 0, errors.Join(fmt.Errorf("%d orders could not be placed", failed.Load()), first)
	}
	return int(next.Load() - r.first), nil
}

// goOn begins with the first buyer who has ordered nothing yet: on a store that is measured
// once more the others have products, and checking their orders is more work.
func (r *rig) goOn(ctx context.Context) error {
	return r.DB.Read(ctx, scope, func(tx *store.Tx) error {
		n, err := order.ProductOrders.Count(tx, nil)
		r.first = max(0, n-int64(r.options.Existing)) // what existed before has its order, too
		return err
	})
}

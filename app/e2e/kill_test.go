package e2e_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// story is an order whose node is killed. It is told again and again on one
// store, each time about another line.
type story struct {
	name     string
	existing bool // the line is there before
	item     func(product string, n int) order.Item
	after    func(p *subscription.Product, n int) bool
}

var stories = []story{
	{"add", false, func(string, int) order.Item { return add(mobile.FlatM) },
		func(p *subscription.Product, _ int) bool { return p.Status == subscription.Active }},
	{"swap", true, func(id string, n int) order.Item { return modify(id, "", tmf.Text("iccid", spare(n).ICCID)) },
		func(p *subscription.Product, n int) bool {
			return p.Status == subscription.Active && char(p, "imsi") == spare(n).IMSI
		}},
	{"delete", true, func(id string, _ int) order.Item { return end(id) },
		func(p *subscription.Product, _ int) bool { return p.Status == subscription.Terminated }},
}

const tellings = 200 // cards and numbers for so many

// spare is the card that the n-th line is swapped to, from the far end of the stock.
func spare(n int) mobile.Card { return card(prefix, 2*tellings-1-n) }

// stage is where a story is told.
type stage struct {
	story
	element *hlrtest.Element
	proxy   *hlrtest.Proxy
	config  app.Config
	n       int    // tellings so far
	product string // the line of the next one, if it exists
}

func prepare(t *testing.T, engine store.Dialect, s story) *stage {
	t.Helper()
	e := hlrtest.Start(t)
	g := &stage{story: s, element: e, proxy: hlrtest.NewProxy(t, e.CTRL()), config: config(t, engine)}
	t.Run("prepare", func(t *testing.T) { // the node ends with it
		o := start(t, g.config, e)
		o.seed(g.proxy.Addr(), e.VTY(), 2*tellings)
		g.next(o)
	})
	return g
}

// next makes the line of the next telling.
func (g *stage) next(o *operator) {
	if g.n++; g.existing {
		g.product = o.through(add(mobile.FlatM)).ID
	}
}

func (g *stage) id() string { return fmt.Sprintf("order-%d", g.n) }

// order is what is ordered in this telling.
func (g *stage) order() *order.ProductOrder {
	w := wish(g.item(g.product, g.n))
	w.ID = g.id()
	return w
}

// child is a node that places the order, or recovers.
func (g *stage) child(t *testing.T, j job) *process {
	t.Helper()
	if !j.Recover {
		var err error
		if j.Order, err = tmf.Encode(g.order()); err != nil {
			t.Fatal(err)
		}
	}
	j.Data, j.Database = g.config.Data, g.config.Database
	p := spawn(t, j)
	p.start(t)
	return p
}

// recover starts a node on what the killed one left, as a supervisor would, and
// proves that the order ends as if nothing had happened. A client that had no
// answer sends its order again; one that had must not need to.
func (g *stage) recover(t *testing.T, answered bool) {
	t.Helper()
	o := start(t, g.config, g.element)
	a := o.as(brand, http.MethodGet, orders+"/"+g.id(), nil)
	switch {
	case a.status == http.StatusNotFound && answered:
		t.Fatal("an order was accepted and is lost")
	case a.status == http.StatusNotFound:
		if a = o.as(brand, http.MethodPost, orders, g.order()); a.status != http.StatusCreated {
			t.Fatalf("the order cannot be placed again: %s", a)
		}
	case a.status != http.StatusOK:
		t.Fatal(a)
	}
	o.ends(g.id(), order.Completed)
	o.proves()
	if p := o.productOf(g.id()); !g.after(p, g.n) {
		t.Errorf("the product is %s on %s", p.Status, char(p, "imsi"))
	}
	if n := o.count("SELECT count(*) FROM subscription_product"); n != int64(g.n) {
		t.Errorf("%d products after %d tellings", n, g.n)
	}
	if n := o.count("SELECT count(*) FROM fulfilment_service_order WHERE a_state <> 'completed'"); n != 0 {
		t.Errorf("%d service orders are not completed", n)
	}
	g.next(o)
}

// A node is killed just before and just after every commit of an order, one
// commit further each time until it gets through. Each time it is started again,
// and in the end the order is done, once.
func TestKillAtEveryDurableStep(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			for _, s := range stories {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					began := time.Now()
					g := prepare(t, engine, s)
					steps := map[bool]int64{}
					for _, durable := range rounds(engine) {
						for at := int64(1); at > 0; {
							at = g.killAt(t, at, durable)
							steps[durable] = max(steps[durable], at-1)
						}
					}
					if steps[false] < 5 || steps[true] < 5 {
						t.Errorf("only %d and %d durable steps", steps[false], steps[true])
					}
					t.Logf("%s on %s: killed before %d commits and after %d, %.1f s", s.name, engine, steps[false], steps[true], time.Since(began).Seconds())
				})
			}
		})
	}
}

// rounds are the sweeps, each before or after the commits. On SQLite transactions
// that meet share a commit, each time others: several rounds cut between them in
// several ways.
func rounds(engine store.Dialect) []bool {
	if engine == store.SQLite {
		return []bool{false, true, false, true, false, true}
	}
	return []bool{false, true}
}

// The node that recovers is killed as well, at every commit of the recovery from
// every place where the first one can have been killed.
func TestKillDuringRecovery(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			g, kills := prepare(t, engine, stories[0]), 0
			for first := int64(1); first > 0; first++ {
				through := false
				for second := int64(1); !through; second++ {
					if engine == store.Postgres {
						second = max(second, first) // one each: its leases take their time
					}
					var killed bool
					killed, through = g.killTwice(t, first, second)
					if !killed {
						t.Logf("%d nodes killed during recovery", kills)
						return
					}
					if kills++; engine == store.Postgres {
						through = true
					}
				}
			}
		})
	}
}

// killTwice kills the node after a commit, and the one after it before a commit.
func (g *stage) killTwice(t *testing.T, first, second int64) (killed, through bool) {
	t.Helper()
	t.Run(fmt.Sprintf("%d and %d", first, second), func(t *testing.T) {
		var answered bool
		killed, answered = g.child(t, job{KillAt: first, Durable: true}).wait(t)
		if killed {
			again, _ := g.child(t, job{Recover: true, KillAt: second}).wait(t)
			through = !again
		}
		g.recover(t, answered)
	})
	if t.Failed() {
		t.FailNow()
	}
	return killed, through
}

// killAt tells the story with a kill at the n-th commit, and returns the next
// one to try, or 0 when the order got through.
func (g *stage) killAt(t *testing.T, at int64, durable bool) (next int64) {
	t.Helper()
	where := map[bool]string{false: "before", true: "after"}[durable]
	t.Run(fmt.Sprintf("%s commit %d", where, at), func(t *testing.T) {
		killed, answered := g.child(t, job{KillAt: at, Durable: durable}).wait(t)
		g.recover(t, answered)
		if killed && !t.Failed() && at < 200 {
			next = at + 1
		}
	})
	return next
}

// A node is killed while the register works for it: before it does the n-th
// command, or when it has done it and the answer is on the way.
func TestKillAtEveryCommand(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			for _, s := range stories {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					g := prepare(t, engine, s)
					for _, done := range []bool{false, true} {
						for n := 1; n > 0; {
							n = g.killAtCommand(t, n, done)
						}
					}
				})
			}
		})
	}
}

func (g *stage) killAtCommand(t *testing.T, n int, done bool) (next int) {
	t.Helper()
	where := map[bool]string{false: "before", true: "during"}[done]
	t.Run(fmt.Sprintf("%s command %d", where, n), func(t *testing.T) {
		var p *process
		from := g.proxy.Seen()
		started := make(chan struct{})
		g.proxy.SetRule(func(seen int, _ string) hlrtest.Verdict {
			if seen != from+n {
				return hlrtest.Verdict{}
			}
			<-started
			p.cmd.Process.Kill()
			if done {
				return hlrtest.Verdict{}
			}
			return hlrtest.Verdict{Action: hlrtest.CutBefore}
		})
		p = g.child(t, job{})
		close(started)
		killed, answered := p.wait(t)
		g.proxy.SetRule(nil)
		g.recover(t, answered)
		if killed && !t.Failed() && n < 50 {
			next = n + 1
		}
	})
	return next
}

package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// story is an order whose node is killed. It happens on a copy of a store that
// was prepared for it, and on a register put back to the same state.
type story struct {
	name     string
	existing bool // a line is there before
	item     func(product string) order.Item
	after    func(t *testing.T, p *subscription.Product)
}

const killedOrder = "order-1"

var stories = []story{
	{"add", false, func(string) order.Item { return add(mobile.FlatM) }, func(t *testing.T, p *subscription.Product) {
		if p.Status != subscription.Active || char(p, "imsi") != card(prefix, 0).IMSI {
			t.Errorf("the product is %s on %s", p.Status, char(p, "imsi"))
		}
	}},
	{"swap", true, func(id string) order.Item { return modify(id, "", tmf.Text("iccid", card(prefix, 2).ICCID)) },
		func(t *testing.T, p *subscription.Product) {
			if p.Status != subscription.Active || char(p, "imsi") != card(prefix, 2).IMSI {
				t.Errorf("the product is %s on %s", p.Status, char(p, "imsi"))
			}
		}},
	{"delete", true, end, func(t *testing.T, p *subscription.Product) {
		if p.Status != subscription.Terminated {
			t.Errorf("the product is %s", p.Status)
		}
	}},
}

// stage is where a story is told again and again.
type stage struct {
	story
	engine  store.Dialect
	element *hlrtest.Element
	proxy   *hlrtest.Proxy
	ready   app.Config // the prepared store
	order   json.RawMessage
}

func prepare(t *testing.T, engine store.Dialect, s story) *stage {
	t.Helper()
	e := hlrtest.Start(t)
	g := &stage{story: s, engine: engine, element: e, proxy: hlrtest.NewProxy(t, e.CTRL()), ready: config(t, engine)}
	product := ""
	t.Run("prepare", func(t *testing.T) { // the node ends with it
		o := start(t, g.ready, e)
		o.seed(g.proxy.Addr(), e.VTY(), 3)
		if s.existing {
			product = o.through(add(mobile.FlatM)).ID
			o.proves()
		}
	})
	w := wish(s.item(product))
	w.ID = killedOrder
	var err error
	if g.order, err = tmf.Encode(w); err != nil {
		t.Fatal(err)
	}
	return g
}

// copy makes a store like the prepared one, for one telling.
func (g *stage) copy(t *testing.T) app.Config {
	t.Helper()
	c := g.ready
	c.Data = t.TempDir()
	if err := errors.Join(os.CopyFS(c.Data, os.DirFS(g.ready.Data)), os.Chmod(filepath.Join(c.Data, "secret.key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if g.engine == store.Postgres {
		c.Database = copyDatabase(t, g.ready.Database)
	}
	return c
}

var copies atomic.Int64

func copyDatabase(t *testing.T, url string) string {
	t.Helper()
	_, rest, _ := strings.Cut(strings.TrimPrefix(url, "postgres://"), "/")
	from, _, _ := strings.Cut(rest, "?")
	to := fmt.Sprintf("e2e_%d_%d", os.Getpid(), copies.Add(1))
	admin(t, "CREATE DATABASE "+to+" TEMPLATE "+from)
	t.Cleanup(func() { admin(t, "DROP DATABASE "+to+" WITH (FORCE)") })
	return strings.Replace(url, "/"+from+"?", "/"+to+"?", 1)
}

func admin(t *testing.T, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, storetest.Server(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// rewind puts the register back to what it had when the store was prepared.
func (g *stage) rewind(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	c, err := hlr.Dial(ctx, g.element.CTRL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var cmds []hlr.Command
	for i := range 3 {
		cmds = append(cmds, hlr.DeleteCommand(card(prefix, i).IMSI))
	}
	if x := card(prefix, 0); g.existing {
		cmds = append(cmds, hlr.CreateCommand(x.IMSI), hlr.MilenageCommand(x.IMSI, x.K, x.OPc), hlr.MSISDNCommand(x.IMSI, number(170, 0)))
	}
	if _, err := c.Do(ctx, cmds...); err != nil { // to delete an absent one is refused, and fine
		t.Fatal(err)
	}
}

// recover starts a node on what the killed one left, as a supervisor would, and
// proves that the order ends as if nothing had happened. A client that had no
// answer sends its order again; one that had must not need to.
func (g *stage) recover(t *testing.T, c app.Config, answered bool) {
	t.Helper()
	o := start(t, c, g.element)
	a := o.as(brand, http.MethodGet, orders+"/"+killedOrder, nil)
	switch {
	case a.status == http.StatusNotFound && answered:
		t.Fatal("an order was accepted and is lost")
	case a.status == http.StatusNotFound:
		if a = o.as(brand, http.MethodPost, orders, []byte(g.order)); a.status != http.StatusCreated {
			t.Fatalf("the order cannot be placed again: %s", a)
		}
	case a.status != http.StatusOK:
		t.Fatal(a)
	}
	o.ends(killedOrder, order.Completed)
	o.proves()
	g.after(t, o.productOf(killedOrder))
	if n := o.count("SELECT count(*) FROM subscription_product"); n != 1 {
		t.Errorf("%d products", n)
	}
	if n := o.count("SELECT count(*) FROM fulfilment_service_order WHERE a_state <> 'completed'"); n != 0 {
		t.Errorf("%d service orders are not completed", n)
	}
}

// A node is killed just before and just after every commit of an order, one
// commit further each time until it gets through. Each time it is started again,
// and in the end the order is done, once.
func TestKillAtEveryDurableStep(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			for _, s := range stories {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					began := time.Now()
					g := prepare(t, engine, s)
					steps := map[bool]int64{}
					for _, durable := range []bool{false, true} {
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

// killAt tells the story with a kill at the n-th commit, and returns the next
// one to try, or 0 when the order got through.
func (g *stage) killAt(t *testing.T, at int64, durable bool) (next int64) {
	t.Helper()
	where := map[bool]string{false: "before", true: "after"}[durable]
	t.Run(fmt.Sprintf("%s commit %d", where, at), func(t *testing.T) {
		c := g.copy(t)
		g.rewind(t)
		p := spawn(t, job{Data: c.Data, Database: c.Database, Order: g.order, KillAt: at, Durable: durable})
		p.start(t)
		killed, answered := p.wait(t)
		g.recover(t, c, answered)
		if killed && !t.Failed() && at < 200 {
			next = at + 1
		}
	})
	return next
}

// A node is killed while the register works for it: before it does the n-th
// command, or when it has done it and the answer is on the way.
func TestKillAtEveryCommand(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
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
		c := g.copy(t)
		g.rewind(t)
		p := spawn(t, job{Data: c.Data, Database: c.Database, Order: g.order})
		p.start(t)
		from := g.proxy.Seen()
		g.proxy.SetRule(func(seen int, _ string) hlrtest.Verdict {
			switch {
			case seen != from+n:
				return hlrtest.Verdict{}
			case done:
				p.cmd.Process.Kill()
				return hlrtest.Verdict{}
			}
			p.cmd.Process.Kill()
			return hlrtest.Verdict{Action: hlrtest.CutBefore}
		})
		killed, answered := p.wait(t)
		g.proxy.SetRule(nil)
		g.recover(t, c, answered)
		if killed && !t.Failed() && n < 50 {
			next = n + 1
		}
	})
	return next
}

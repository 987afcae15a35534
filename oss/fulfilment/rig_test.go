package fulfilment_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/edge/hlr"
	"tandem/edge/lab"
	"tandem/edge/lab/labtest"
	"tandem/kit/access"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	hlrdriver "tandem/oss/activation/driver/hlr"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

const (
	tenant   = "mno"
	patience = 30 * time.Second // for anything that must happen
	stock    = 12               // cards and numbers

	orders         = "/tmf-api/serviceOrdering/v4/serviceOrder"
	cancels        = "/tmf-api/serviceOrdering/v4/cancelServiceOrder"
	resourceOrders = "/tmf-api/resourceOrderingManagement/v4/resourceOrder"
	cancelsOfRO    = "/tmf-api/resourceOrderingManagement/v4/cancelResourceOrder"
	fallouts       = "/tandem-api/fulfilment/v1/fallout"
	decisions      = "/tandem-api/fulfilment/v1/falloutAction"
	policies       = "/tandem-api/fulfilment/v1/faultPolicy"
	services       = "/tmf-api/serviceInventory/v4/service"
)

//go:embed testdata/network.json
var network []byte

// wing is the network wing with one register of the lab, before it an API.
type wing struct {
	*testing.T
	db     *store.DB
	api    *tmftest.API
	runner *work.Runner
	reg    *lab.HLR
	ahead  atomic.Int64 // nanoseconds the store's clock is ahead of the wall's
}

// each runs f on a fresh wing over either store.
func each(t *testing.T, f func(w *wing)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			f(open(t, engine))
		})
	}
}

func open(t *testing.T, engine store.Dialect) *wing {
	t.Helper()
	w := &wing{T: t}
	kinds := slices.Concat(spec.Kinds(), inventory.Kinds(), activation.Kinds(), fulfilment.Kinds())
	schemas := slices.Concat([]store.Schema{outbox.Schema(), work.Schema()}, spec.Schemas, inventory.Schemas, activation.Schemas, fulfilment.Schemas)
	config := tmftest.Config(t, engine, schemas, kinds)
	config.Clock = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	w.db = tmftest.Open(t, config, schemas, kinds)
	var err error
	w.reg, err = lab.StartHLR(context.WithoutCancel(t.Context()), lab.HLRConfig{Dir: t.TempDir()})
	w.ok(err)
	t.Cleanup(func() { w.reg.Close() })

	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	network := activation.New(w.db, activation.Options{Log: log, Refresh: time.Nanosecond, Threshold: 1000, Drivers: map[string]driver.Factory{"osmo-hlr": hlrdriver.New}})
	t.Cleanup(func() { network.Close() })
	seal, err := access.NewSealer(bytes.Repeat([]byte{7}, 32))
	w.ok(err)
	w.seed(seal)
	w.runner = work.New(w.db, log, work.Config{})
	fulfilment.NewEngine(w.db, w.runner, network, seal, log, 8)
	inventory.Handle(w.runner, w.db)
	w.ok(w.runner.Start(t.Context()))
	t.Cleanup(w.runner.Stop)
	w.api = tmftest.Serve(t, w.db, kinds)
	return w
}

// seed makes the register known, installs the specifications and fills the pools.
func (w *wing) seed(seal *access.Sealer) {
	w.Helper()
	w.write(func(tx *store.Tx) error {
		if err := activation.SaveElement(tx, w.element()); err != nil {
			return err
		}
		var docs []struct {
			Kind string         `json:"kind"`
			Doc  jsontext.Value `json:"doc"`
		}
		if err := tmf.Decode(network, &docs); err != nil {
			return err
		}
		for _, d := range docs {
			if err := create(tx, d.Kind, d.Doc); err != nil {
				return fmt.Errorf("%.60s: %w", d.Doc, err)
			}
		}
		for _, p := range []inventory.Pool{{ID: "numbers", Kind: "msisdn", Name: "Numbers", Quarantine: time.Hour}, {ID: "cards", Kind: "sim", Name: "Cards"},
			{ID: "bare", Kind: "msisdn", Name: "Bare"}} {
			if err := inventory.NewPool(tx, p); err != nil {
				return err
			}
		}
		if _, err := inventory.AddRange(tx, "numbers", number(0), number(stock-1)); err != nil {
			return err
		}
		sims := make([]inventory.SIM, stock)
		for i := range sims {
			sealed, err := seal.Seal([]byte(keysOf(i)), fulfilment.KeysContext(iccid(i)))
			if err != nil {
				return err
			}
			sims[i] = inventory.SIM{ICCID: iccid(i), IMSI: imsi(i), Form: inventory.Removable, Algorithm: "milenage", Sealed: sealed}
		}
		return inventory.AddSIMs(tx, "cards", sims)
	})
}

func (w *wing) element() activation.Element {
	return activation.Element{Name: "hlr", Type: "osmo-hlr", Address: w.reg.Addr(), VTY: w.reg.VTYAddr(), Enabled: true}
}

// configure changes how the register is reached; it counts for the next operation.
func (w *wing) configure(change func(e *activation.Element)) {
	w.Helper()
	e := w.element()
	change(&e)
	w.write(func(tx *store.Tx) error { return activation.SaveElement(tx, e) })
}

// create makes a specification.
func create(tx *store.Tx, kind string, doc []byte) error {
	if kind == "resource" {
		s := &spec.ResourceSpecification{}
		if err := tmf.Decode(doc, s); err != nil {
			return err
		}
		return spec.ResourceSpecifications.Create(tx, s)
	}
	s := &spec.ServiceSpecification{}
	if err := tmf.Decode(doc, s); err != nil {
		return err
	}
	return spec.ServiceSpecifications.Create(tx, s)
}

// The stock is handed out in this order.
func number(i int) string { return fmt.Sprintf("467000%05d", i) }
func iccid(i int) string  { return fmt.Sprintf("8946000000000%06d", i) }
func imsi(i int) string   { return fmt.Sprintf("24001%010d", i) }

func keysOf(i int) string {
	sum := sha256.Sum256([]byte(iccid(i)))
	return fmt.Sprintf(`{"k":%q,"opc":%q}`, hex.EncodeToString(sum[:16]), hex.EncodeToString(sum[16:]))
}

func (w *wing) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *wing) write(f func(tx *store.Tx) error) {
	w.Helper()
	w.ok(w.db.Write(w.Context(), store.Scope{Tenant: tenant, Actor: "test"}, f))
}

func (w *wing) read(f func(tx *store.Tx) error) {
	w.Helper()
	w.ok(w.db.Read(w.Context(), store.Scope{Tenant: tenant, Actor: "test"}, f))
}

// do sends a request of the tenant and decodes an answer that must be a success.
func do[T any](w *wing, method, path string, body any) *T {
	w.Helper()
	return tmftest.Must[T](w.api, tenant, method, path, body)
}

func (w *wing) send(method, path string, body any) tmftest.Answer {
	w.Helper()
	return w.api.Send(tenant, method, path, body)
}

// refused sends what must be refused so.
func (w *wing) refused(method, path string, body any, status int, code string) {
	w.Helper()
	a := w.send(method, path, body)
	if a.Status != status || a.Object()["code"] != code {
		w.Errorf("%s %s: %d %s; want %d %s", method, path, a.Status, a.Body, status, code)
	}
}

type order = fulfilment.ServiceOrder
type item = fulfilment.ServiceOrderItem

// add, modify and remove are items of an order.
func add(id, specification string, chars ...tmf.Characteristic) item {
	return item{ID: id, Action: "add", Service: &fulfilment.Service{Specification: &tmf.Ref{ID: specification}, Characteristic: chars}}
}

func modify(id, service, state string, chars ...tmf.Characteristic) item {
	return item{ID: id, Action: "modify", Service: &fulfilment.Service{ID: service, State: state, Characteristic: chars}}
}

func remove(id, service string) item {
	return item{ID: id, Action: "delete", Service: &fulfilment.Service{ID: service}}
}

// after makes an item wait for others.
func (w *wing) after(it item, others ...string) item {
	for _, o := range others {
		it.Relationship = append(it.Relationship, fulfilment.ItemRelationship{RelationshipType: "reliesOn", OrderItem: &fulfilment.ItemRef{ItemID: o}})
	}
	return it
}

func truth(name string, v bool) tmf.Characteristic {
	return tmf.Characteristic{Name: name, ValueType: "boolean", Value: jsontext.Value(fmt.Sprint(v))}
}

// place orders and returns what was answered at once.
func (w *wing) place(items ...item) *order {
	w.Helper()
	return do[order](w, http.MethodPost, orders, &order{ServiceOrderItem: items})
}

// through orders and waits for the end, which must be a success.
func (w *wing) through(items ...item) *order {
	w.Helper()
	return w.ends(w.place(items...).ID, fulfilment.Completed)
}

func (w *wing) order(id string) *order {
	w.Helper()
	return do[order](w, http.MethodGet, orders+"/"+id, nil)
}

// ends waits until the order is in the state.
func (w *wing) ends(id, state string) *order {
	w.Helper()
	var o *order
	w.await(func() string {
		if o = w.order(id); o.State == state {
			return ""
		}
		return fmt.Sprintf("order %s is %s, not %s: %+v", id, o.State, state, o.ServiceOrderItem)
	})
	return o
}

func (w *wing) await(wrong func() string) {
	w.Helper()
	tmftest.Await(w, wrong)
}

// idle waits until no job is due.
func (w *wing) idle() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	w.ok(w.runner.Idle(ctx))
}

// pass lets the store's clock step forward.
func (w *wing) pass(d time.Duration) { w.ahead.Add(int64(d)) }

// fallen waits for so many open fallouts and returns them.
func (w *wing) fallen(n int) (open []*fulfilment.Fallout) {
	w.Helper()
	w.await(func() string {
		open = *do[[]*fulfilment.Fallout](w, http.MethodGet, fallouts+"?state=open&sort=id", nil)
		if len(open) == n {
			return ""
		}
		return fmt.Sprintf("%d open fallouts, not %d: %v", len(open), n, open)
	})
	return open
}

// decide posts what a person decides of fallouts.
func (w *wing) decide(action, reason string, on []*fulfilment.Fallout, chars ...tmf.Characteristic) *fulfilment.FalloutAction {
	w.Helper()
	return do[fulfilment.FalloutAction](w, http.MethodPost, decisions, decision(action, reason, on, chars...))
}

func decision(action, reason string, on []*fulfilment.Fallout, chars ...tmf.Characteristic) *fulfilment.FalloutAction {
	a := &fulfilment.FalloutAction{Action: action, Reason: reason, Characteristic: chars}
	for _, f := range on {
		a.Fallout = append(a.Fallout, f.ID)
	}
	return a
}

// tryOnce makes what an element refuses fall out at the first attempt.
func (w *wing) tryOnce(then string) {
	w.Helper()
	for _, class := range []string{"transient", "unknown"} {
		do[fulfilment.FaultPolicy](w, http.MethodPost, policies, &fulfilment.FaultPolicy{Class: class, Tries: 1, Then: then})
	}
}

// refuse makes the register refuse changes of a subscriber.
func refuse(subscribers ...string) lab.Faults { return labtest.Refuse(subscribers...) }

// hold keeps back the answer to the first change of a subscriber.
func (w *wing) hold(subscriber string) *labtest.Barrier { return labtest.Hold(w.reg, subscriber) }

// holds is what the register has: "IMSI number cs ps", one a line; keys must be the card's.
func (w *wing) holds() (out []string) {
	w.Helper()
	c, err := hlr.Dial(w.Context(), w.reg.Addr())
	w.ok(err)
	defer c.Close()
	for i := range stock {
		s, err := c.Info(w.Context(), imsi(i))
		if errors.Is(err, hlr.NoSubscriber) {
			continue
		}
		w.ok(err)
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s cs=%t ps=%t", s.IMSI, s.MSISDN, s.CS, s.PS)))
	}
	return out
}

// has checks what the register holds.
func (w *wing) has(want ...string) {
	w.Helper()
	if got := w.holds(); !slices.Equal(got, want) {
		w.Errorf("the register has %q, want %q", got, want)
	}
}

// entry is a subscriber as holds writes it.
func entry(card, num int) string {
	return fmt.Sprintf("%s %s cs=true ps=true", imsi(card), number(num))
}

// pooled is the state of a number in its pool, and who holds it.
func (w *wing) pooled(value string) (state, holder string) {
	w.Helper()
	w.read(func(tx *store.Tx) error {
		n, err := inventory.NumberOf(tx, "msisdn", value)
		state, holder = n.State, n.Holder
		return err
	})
	return state, holder
}

func (w *wing) wantNumber(value, state string) {
	w.Helper()
	if got, _ := w.pooled(value); got != state {
		w.Errorf("number %s is %s, want %s", value, got, state)
	}
}

func (w *wing) wantCard(i int, state string) {
	w.Helper()
	w.read(func(tx *store.Tx) error {
		s, err := inventory.SIMOf(tx, iccid(i))
		if err == nil && s.State != state {
			w.Errorf("card %d is %s, want %s", i, s.State, state)
		}
		return err
	})
}

func (w *wing) wantService(id, state string) *inventory.Service {
	w.Helper()
	s := do[inventory.Service](w, http.MethodGet, services+"/"+id, nil)
	if s.State != state {
		w.Errorf("service %s is %s, want %s", id, s.State, state)
	}
	return s
}

// told lists the facts told of a key so far, in their order: name and state.
func (w *wing) told(key string) (names []string) {
	w.Helper()
	w.read(func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT name FROM outbox_fact WHERE tenant = $1 AND key = $2 ORDER BY seq", key)
		names, err = store.Collect(rows, err, store.Text)
		return err
	})
	return names
}

func (w *wing) count(sql string, args ...any) (n int64) {
	w.Helper()
	w.read(func(tx *store.Tx) error { return tx.Row(sql, args...).Scan(&n) })
	return n
}

// states are those of the items of an order.
func states(o *order) (out []string) {
	for _, it := range o.ServiceOrderItem {
		out = append(out, it.State)
	}
	return out
}

func serviceOf(o *order, n int) string { return o.ServiceOrderItem[n].Service.ID }

// text is a characteristic of a service in the inventory.
func text(s *inventory.Service, name string) string {
	v, _ := tmf.Value(s.ServiceCharacteristic, name)
	return v
}

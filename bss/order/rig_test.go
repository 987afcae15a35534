package order_test

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/ledger/recognition"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/subscription"
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

	orders    = "/tmf-api/productOrderingManagement/v4/productOrder"
	cancels   = "/tmf-api/productOrderingManagement/v4/cancelProductOrder"
	products  = "/tmf-api/productInventory/v4/product"
	fallouts  = "/tandem-api/fulfilment/v1/fallout"
	decisions = "/tandem-api/fulfilment/v1/falloutAction"
	policies  = "/tandem-api/fulfilment/v1/faultPolicy"
)

//go:embed testdata/network.json
var network []byte

//go:embed testdata/catalogue.json
var catalogue []byte

// shop is the whole order path: both wings, one register of the lab, and an API.
type shop struct {
	*testing.T
	db     *store.DB
	api    *tmftest.API
	bus    *outbox.Bus
	runner *work.Runner
	reg    *lab.HLR
	ahead  atomic.Int64 // nanoseconds the store's clock is ahead of the wall's
}

// each runs f on a fresh shop over either store.
func each(t *testing.T, f func(s *shop)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			f(open(t, engine))
		})
	}
}

func open(t *testing.T, engine store.Dialect) *shop {
	t.Helper()
	s := &shop{T: t}
	kinds := slices.Concat(party.Kinds(), catalog.Kinds(), subscription.Kinds(), order.Kinds(), billing.Kinds(),
		spec.Kinds(), inventory.Kinds(), activation.Kinds(), fulfilment.Kinds())
	schemas := slices.Concat([]store.Schema{outbox.Schema(), work.Schema()},
		subscription.Schemas, charging.Schemas, order.Schemas, billing.Schemas, recognition.Schemas, spec.Schemas, inventory.Schemas, activation.Schemas, fulfilment.Schemas)
	config := tmftest.Config(t, engine, schemas, kinds)
	config.Clock = func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }
	s.db = tmftest.Open(t, config, schemas, kinds)
	var err error
	s.reg, err = lab.StartHLR(context.WithoutCancel(t.Context()), lab.HLRConfig{Dir: t.TempDir()})
	s.ok(err)
	t.Cleanup(func() { s.reg.Close() })
	seal, err := access.NewSealer(bytes.Repeat([]byte{7}, 32))
	s.ok(err)
	s.seed(seal)
	s.run(seal)
	s.api = tmftest.Serve(t, s.db, kinds)
	return s
}

// run starts what works in the background, with the hearers of the order path.
func (s *shop) run(seal *access.Sealer) {
	s.Helper()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	network := activation.New(s.db, activation.Options{Log: log, Refresh: time.Nanosecond, Threshold: 1000, Drivers: map[string]driver.Factory{"osmo-hlr": hlrdriver.New}})
	s.Cleanup(func() { network.Close() })
	s.bus = outbox.New(s.db, log)
	outbox.On(s.bus, "subscription", subscription.Activate)
	outbox.On(s.bus, "subscription", subscription.Change)
	outbox.On(s.bus, "subscription", subscription.Suspend)
	outbox.On(s.bus, "subscription", subscription.Resume)
	outbox.On(s.bus, "subscription", subscription.Terminate)
	outbox.On(s.bus, "order", order.ItemDone)
	outbox.On(s.bus, "order", order.FellOut)
	outbox.On(s.bus, "billing", billing.Begin)
	outbox.On(s.bus, "billing", billing.Change)
	outbox.On(s.bus, "billing", billing.Suspend)
	outbox.On(s.bus, "billing", billing.Resume)
	outbox.On(s.bus, "billing", billing.End)
	order.Payer(billing.SettlePayer)
	s.runner = work.New(s.db, log, work.Config{})
	order.Handle(s.runner, s.db)
	fulfilment.NewEngine(s.db, s.runner, network, seal, log, 8)
	s.ok(s.bus.Start(s.Context()))
	s.Cleanup(s.bus.Stop)
	s.ok(s.runner.Start(s.Context()))
	s.Cleanup(s.runner.Stop)
}

type entry struct {
	Kind string         `json:"kind"`
	Doc  jsontext.Value `json:"doc"`
}

func (e entry) create(tx *store.Tx) error {
	switch e.Kind {
	case "resource":
		return create(tx, &spec.ResourceSpecifications, e.Doc)
	case "service":
		return create(tx, &spec.ServiceSpecifications, e.Doc)
	case "spec":
		return create(tx, &catalog.Specs, e.Doc)
	case "price":
		return create(tx, &catalog.OfferingPrices, e.Doc)
	}
	return create(tx, &catalog.Offerings, e.Doc)
}

func create[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], doc []byte) error {
	p := P(new(T))
	if err := tmf.Decode(doc, p); err != nil {
		return err
	}
	return k.Create(tx, p)
}

// seed makes the register known, installs specifications and catalogue, fills the
// pools and brings in two customers.
func (s *shop) seed(seal *access.Sealer) {
	s.Helper()
	s.write(func(tx *store.Tx) error {
		if err := activation.SaveElement(tx, activation.Element{Name: "hlr", Type: "osmo-hlr", Address: s.reg.Addr(), VTY: s.reg.VTYAddr(), Enabled: true}); err != nil {
			return err
		}
		for _, file := range [][]byte{network, catalogue} {
			var entries []entry
			if err := tmf.Decode(file, &entries); err != nil {
				return err
			}
			for _, e := range entries {
				if err := e.create(tx); err != nil {
					return fmt.Errorf("%s %.60s: %w", e.Kind, e.Doc, err)
				}
			}
		}
		for _, p := range []inventory.Pool{{ID: "numbers", Kind: "msisdn", Name: "Numbers"}, {ID: "cards", Kind: "sim", Name: "Cards"}} {
			if err := inventory.NewPool(tx, p); err != nil {
				return err
			}
		}
		if _, err := inventory.AddRange(tx, "numbers", number(0), number(stock-1)); err != nil {
			return err
		}
		sims := make([]inventory.SIM, stock)
		for i := range sims {
			sealed, err := seal.Seal(fmt.Appendf(nil, `{"k":"%032x","opc":"%032x"}`, i+1, i+100), fulfilment.KeysContext(iccid(i)))
			if err != nil {
				return err
			}
			sims[i] = inventory.SIM{ICCID: iccid(i), IMSI: imsi(i), Form: inventory.Removable, Algorithm: "milenage", Sealed: sealed}
		}
		if err := inventory.AddSIMs(tx, "cards", sims); err != nil {
			return err
		}
		if err := customer(tx, "ada", "private"); err != nil {
			return err
		}
		return customer(tx, "bob", "business")
	})
}

func customer(tx *store.Tx, id, segment string) error {
	p := &party.Individual{GivenName: id, FamilyName: "Berg"}
	p.ID = "person-" + id
	if err := party.Individuals.Create(tx, p); err != nil {
		return err
	}
	c := &party.Customer{Name: id, EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}, Terms: party.Terms{Characteristic: []tmf.Characteristic{tmf.Text("segment", segment)}}}
	c.ID = id
	return party.Customers.Create(tx, c)
}

// The stock is handed out in this order.
func number(i int) string { return fmt.Sprintf("467000%05d", i) }
func iccid(i int) string  { return fmt.Sprintf("8946000000000%06d", i) }
func imsi(i int) string   { return fmt.Sprintf("24001%010d", i) }

func (s *shop) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *shop) write(f func(tx *store.Tx) error) {
	s.Helper()
	s.ok(s.db.Write(s.Context(), store.Scope{Tenant: tenant, Actor: "test"}, f))
}

func (s *shop) read(f func(tx *store.Tx) error) {
	s.Helper()
	s.ok(s.db.Read(s.Context(), store.Scope{Tenant: tenant, Actor: "test"}, f))
}

// do sends a request and decodes an answer that must be a success.
func do[T any](s *shop, method, path string, body any) *T {
	s.Helper()
	return tmftest.Must[T](s.api, tenant, method, path, body)
}

func (s *shop) send(method, path string, body any) tmftest.Answer {
	s.Helper()
	return s.api.Send(tenant, method, path, body)
}

// refused sends an order that must be refused so.
func (s *shop) refused(why string, o *order.ProductOrder, status int, code string) {
	s.Helper()
	a := s.send(http.MethodPost, orders, o)
	if a.Status != status || a.Object()["code"] != code {
		s.Errorf("%s: %d %s; want %d %s", why, a.Status, a.Body, status, code)
	}
}

// of is an order of a customer.
func of(customer string, items ...order.Item) *order.ProductOrder {
	return &order.ProductOrder{ProductOrderItem: items, RelatedParty: []tmf.RelatedParty{{ID: customer, Role: "customer", ReferredType: "Customer"}}}
}

func add(id, offering string, chars ...tmf.Characteristic) order.Item {
	return order.Item{ID: id, Action: order.Add, ProductOffering: &order.Ref{ID: offering}, Product: &order.Product{Characteristic: chars}}
}

func modify(id, product, status string, chars ...tmf.Characteristic) order.Item {
	return order.Item{ID: id, Action: order.Modify, Product: &order.Product{ID: product, Status: status, Characteristic: chars}}
}

// become is a modify that changes the offering.
func become(id, product, offering string, chars ...tmf.Characteristic) order.Item {
	it := modify(id, product, "", chars...)
	it.ProductOffering = &order.Ref{ID: offering}
	return it
}

func end(id, product string) order.Item {
	return order.Item{ID: id, Action: order.Delete, Product: &order.Product{ID: product}}
}

func times(n int64, it order.Item) order.Item {
	it.Quantity = &n
	return it
}

func with(it order.Item, parts ...order.Item) order.Item {
	it.ProductOrderItem = parts
	return it
}

func after(it order.Item, others ...string) order.Item {
	for _, o := range others {
		it.Relationship = append(it.Relationship, order.Relationship{ID: o, RelationshipType: "reliesOn"})
	}
	return it
}

func truth(name string, v bool) tmf.Characteristic {
	return tmf.Characteristic{Name: name, ValueType: "boolean", Value: jsontext.Value(fmt.Sprint(v))}
}

func (s *shop) place(o *order.ProductOrder) *order.ProductOrder {
	s.Helper()
	return do[order.ProductOrder](s, http.MethodPost, orders, o)
}

// through orders, waits for success and until all have heard of it.
func (s *shop) through(o *order.ProductOrder) *order.ProductOrder {
	s.Helper()
	return s.ends(s.place(o).ID, order.Completed)
}

func (s *shop) order(id string) *order.ProductOrder {
	s.Helper()
	return do[order.ProductOrder](s, http.MethodGet, orders+"/"+id, nil)
}

// ends waits until the order is in the state and all have heard of it; no fact may
// have been too much for its hearer.
func (s *shop) ends(id, state string) *order.ProductOrder {
	s.Helper()
	s.await(func() string {
		if o := s.order(id); o.State != state {
			return fmt.Sprintf("order %s is %s, not %s: notes %+v", id, o.State, state, o.Note)
		}
		return ""
	})
	s.idle()
	return s.order(id)
}

func (s *shop) await(wrong func() string) {
	s.Helper()
	tmftest.Await(s, wrong)
}

// idle waits until no job is due and all facts are heard.
func (s *shop) idle() {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	for range 3 { // a fact may order a job, whose end may tell a fact
		s.ok(s.runner.Idle(ctx))
		s.ok(s.bus.Idle(ctx))
	}
	parked, err := s.bus.Parked(ctx, outbox.ParkedQuery{Limit: 10})
	s.ok(err)
	for _, p := range parked {
		s.Errorf("parked: %+v", p)
	}
}

// productsOf are the products an order is about, in the order of its lines.
func (s *shop) productsOf(id string) (out []*subscription.Product) {
	s.Helper()
	var p order.Progress
	s.read(func(tx *store.Tx) (err error) {
		p, err = order.ProgressOf(tx, id)
		return err
	})
	for _, l := range p.Lines {
		if !slices.ContainsFunc(out, func(x *subscription.Product) bool { return x.ID == l.Product }) {
			out = append(out, s.product(l.Product))
		}
	}
	return out
}

func (s *shop) product(id string) *subscription.Product {
	s.Helper()
	return do[subscription.Product](s, http.MethodGet, products+"/"+id, nil)
}

// sold orders one offering and returns its product.
func (s *shop) sold(customer, offering string, chars ...tmf.Characteristic) *subscription.Product {
	s.Helper()
	return s.productsOf(s.through(of(customer, add("1", offering, chars...))).ID)[0]
}

// billed lists the prices billed for a product: "price state".
func (s *shop) billed(product string) (out []string) {
	s.Helper()
	s.read(func(tx *store.Tx) error {
		items, err := billing.ItemsOf(tx, product)
		for _, i := range items {
			out = append(out, i.Price.ID+" "+i.State)
		}
		slices.Sort(out)
		return err
	})
	return out
}

// items is how many billable items there ever were.
func (s *shop) items() (n int64) {
	s.Helper()
	s.read(func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM billing_item WHERE tenant = $1").Scan(&n)
	})
	return n
}

// tryOnce makes what an element refuses be given up at the first attempt.
func (s *shop) tryOnce(then string) {
	s.Helper()
	do[fulfilment.FaultPolicy](s, http.MethodPost, policies, &fulfilment.FaultPolicy{Class: "transient", Tries: 1, Then: then})
}

// refuse makes the register refuse changes that have these words in them.
func (s *shop) refuse(words ...string) { s.reg.SetFaults(labtest.Refuse(words...)) }

// hold keeps back the answer to the first change of a subscriber.
func (s *shop) hold(subscriber string) (reached func(), release func()) {
	b := labtest.Hold(s.reg, subscriber)
	return func() { s.Helper(); b.Wait(s) }, b.Release
}

// has checks what the register holds: "card number", by the card.
func (s *shop) has(want ...string) {
	s.Helper()
	c, err := hlr.Dial(s.Context(), s.reg.Addr())
	s.ok(err)
	defer c.Close()
	var got []string
	for i := range stock {
		x, err := c.Info(s.Context(), imsi(i))
		if errors.Is(err, hlr.NoSubscriber) {
			continue
		}
		s.ok(err)
		got = append(got, x.IMSI+" "+x.MSISDN)
	}
	if !slices.Equal(got, want) {
		s.Errorf("the register has %q, want %q", got, want)
	}
}

// line is a subscriber as has knows it.
func line(card, num int) string { return imsi(card) + " " + number(num) }

// itemStates are the states of the items of an order.
func itemStates(o *order.ProductOrder) (out []string) {
	for _, it := range o.ProductOrderItem {
		out = append(out, it.State)
	}
	return out
}

// char is a characteristic of a product.
func char(p *subscription.Product, name string) string {
	v, _ := tmf.Value(p.ProductCharacteristic, name)
	return v
}

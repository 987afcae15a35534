package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/apptest"
	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/peertest"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	"tandem/oss/inventory"
)

const (
	adminToken = "end-to-end-admin-token-0001"
	host       = "northwind" // owns the register
	brand      = "bluebird"  // sells on it
	customer   = "ada"
	prefix     = "2400101"

	patience = 30 * time.Second // for anything that must happen
	stock    = 80               // cards and numbers of the brand

	orders    = "/tmf-api/productOrderingManagement/v4/productOrder"
	cancels   = "/tmf-api/productOrderingManagement/v4/cancelProductOrder"
	fallouts  = "/tandem-api/fulfilment/v1/fallout"
	decisions = "/tandem-api/fulfilment/v1/falloutAction"
)

// operator is a running node with a host, a brand and a real register.
type operator struct {
	*app.App
	t       testing.TB
	element *hlrtest.Element
	log     *logbook
}

var engines = []store.Dialect{store.SQLite, store.Postgres}

// each runs f on a fresh operator over either store.
func each(t *testing.T, f func(t *testing.T, o *operator)) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			f(t, fresh(t, engine))
		})
	}
}

// fresh is an operator ready to sell, with a register of its own.
func fresh(t *testing.T, engine store.Dialect) *operator {
	t.Helper()
	e := hlrtest.Start(t)
	o := start(t, config(t, engine), e)
	o.seed(e.CTRL(), e.VTY(), stock)
	return o
}

// config names a fresh store.
func config(t testing.TB, engine store.Dialect) app.Config {
	data, database := apptest.Store(t, engine)
	return app.Config{Data: data, Database: database, Listen: "127.0.0.1:0",
		AdminToken: adminToken, Tenant: host, AllowLocal: true, Lease: time.Second}
}

// apart runs the test that calls it once more in a network of its own, and is true there.
func apart(t *testing.T, engine store.Dialect) bool {
	t.Helper()
	if engine == store.Postgres {
		return peertest.Inside(t, storetest.Nearby(t))
	}
	return peertest.Inside(t)
}

// start runs a node until the test ends.
func start(t testing.TB, c app.Config, e *hlrtest.Element) *operator {
	t.Helper()
	o := &operator{t: t, element: e, log: &logbook{}}
	c.Log = slog.New(slog.NewTextHandler(o.log, nil))
	var err error
	if o.App, err = app.New(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		o.Stop()
		if t.Failed() {
			t.Logf("the node's log:\n%s", o.log)
		}
	})
	if err := o.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o
}

// logbook keeps the end of a log for tests that fail.
type logbook struct {
	mu sync.Mutex
	b  []byte
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	l.b = l.b[max(0, len(l.b)-8000):]
	return len(b), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}

func scope(tenant string) store.Scope { return store.Scope{Tenant: tenant, Actor: "test"} }

func (o *operator) write(tenant string, f func(*store.Tx) error) {
	o.t.Helper()
	if err := o.DB.Write(o.t.Context(), scope(tenant), f); err != nil {
		o.t.Fatal(err)
	}
}

// seed makes the host's register known and the brand ready to sell: catalogue,
// so many numbers and cards, one customer.
func (o *operator) seed(ctrl, vty string, n int) {
	o.t.Helper()
	o.tenant(brand, prefix, 170, n)
	o.write(host, func(tx *store.Tx) error {
		if err := activation.SaveElement(tx, activation.Element{Name: mobile.Element, Type: "osmo-hlr", Address: ctrl, VTY: vty, Enabled: true}); err != nil {
			return err
		}
		return activation.Grant(tx, mobile.Element, brand, prefix)
	})
}

// grant lets a brand use the register for its cards.
func grant(tenant, imsiPrefix string) func(*store.Tx) error {
	return func(tx *store.Tx) error { return activation.Grant(tx, mobile.Element, tenant, imsiPrefix) }
}

// tenant makes a brand with its catalogue, stock and a customer.
func (o *operator) tenant(id, imsiPrefix string, block, n int) {
	o.t.Helper()
	if a := o.as(host, http.MethodPost, "/access/v1/tenants", map[string]any{"id": id, "name": id}); a.status != http.StatusCreated {
		o.t.Fatalf("tenant %s: %s", id, a)
	}
	o.write(id, func(tx *store.Tx) error {
		if err := mobile.Install(tx); err != nil {
			return err
		}
		if _, err := inventory.AddRange(tx, mobile.NumberPool, number(block, 0), number(block, n-1)); err != nil {
			return err
		}
		cards := make([]mobile.Card, n)
		for i := range cards {
			cards[i] = card(imsiPrefix, i)
		}
		if err := mobile.AddCards(tx, o.Sealer, cards); err != nil {
			return err
		}
		return buyer(tx, customer)
	})
}

func buyer(tx *store.Tx, id string) error {
	p := &party.Individual{GivenName: "Ada", FamilyName: "Berg"}
	p.ID = "person-" + id
	if err := party.Individuals.Create(tx, p); err != nil {
		return err
	}
	c := &party.Customer{Name: "Ada Berg", EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}}
	c.ID = id
	return party.Customers.Create(tx, c)
}

// number is the i-th MSISDN of a block, card the i-th SIM card of a prefix. The
// stock is handed out in this order.
func number(block, i int) string { return fmt.Sprintf("46%d%07d", block, i) }

func card(prefix string, i int) mobile.Card {
	c := mobile.Card{IMSI: fmt.Sprintf("%s%08d", prefix, i), ICCID: fmt.Sprintf("894601%s%06d", prefix, i)}
	sum := sha256.Sum256([]byte("card " + c.ICCID))
	copy(c.K[:], sum[:16])
	copy(c.OPc[:], sum[16:])
	return c
}

// answer is what the API said.
type answer struct {
	status int
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %.600s", a.status, a.body) }

// refusal is code and reason of an error body.
func (a answer) refusal() (code, reason string) {
	var e struct{ Code, Reason string }
	if json.Unmarshal(a.body, &e) != nil {
		return "", ""
	}
	return e.Code, e.Reason
}

// send makes one request to a node.
func send(ctx context.Context, addr, tenant, method, path, contentType string, body io.Reader) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, body)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	r.Header.Set("Tandem-Tenant", tenant)
	r.Header.Set("Content-Type", contentType)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, b}, err
}

// as sends a document, or text and bytes as they are, for a tenant.
func (o *operator) as(tenant, method, path string, body any) answer {
	o.t.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case []byte:
		data = b
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = tmf.Encode(b); err != nil {
			o.t.Fatal(err)
		}
	}
	a, err := send(o.t.Context(), o.Addr(), tenant, method, path, "application/json", bytes.NewReader(data))
	if err != nil {
		o.t.Fatal(err)
	}
	return a
}

// must sends for the brand and decodes an answer that must be a success.
func must[T any](o *operator, method, path string, body any) *T {
	o.t.Helper()
	a := o.as(brand, method, path, body)
	if a.status/100 != 2 {
		o.t.Fatalf("%s %s: %s", method, path, a)
	}
	v := new(T)
	if err := tmf.Decode(a.body, v); err != nil {
		o.t.Fatalf("%s %s: %v", method, path, err)
	}
	return v
}

// wish is an order of one item.
func wish(item order.Item) *order.ProductOrder {
	item.ID = "1"
	return &order.ProductOrder{ProductOrderItem: []order.Item{item},
		RelatedParty: []tmf.RelatedParty{{ID: customer, Role: "customer", ReferredType: "Customer"}}}
}

// add, modify and end are the items of an order.
func add(offering string, chars ...tmf.Characteristic) order.Item {
	return order.Item{Action: order.Add, ProductOffering: &order.Ref{ID: offering}, Product: &order.Product{Characteristic: chars}}
}

func modify(product, status string, chars ...tmf.Characteristic) order.Item {
	return order.Item{Action: order.Modify, Product: &order.Product{ID: product, Status: status, Characteristic: chars}}
}

func end(product string) order.Item {
	return order.Item{Action: order.Delete, Product: &order.Product{ID: product}}
}

// place orders and returns at once.
func (o *operator) place(item order.Item) *order.ProductOrder {
	o.t.Helper()
	return must[order.ProductOrder](o, http.MethodPost, orders, wish(item))
}

// through orders, waits until the order has completed and returns its product.
func (o *operator) through(item order.Item) *subscription.Product {
	o.t.Helper()
	return o.completed(o.place(item).ID)
}

// completed waits until an order has completed and all have heard of it, and
// returns the product it was about.
func (o *operator) completed(id string) *subscription.Product {
	o.t.Helper()
	o.ends(id, order.Completed)
	return o.productOf(id)
}

// ends waits until the order is in the state, and all have heard of it.
func (o *operator) ends(id, state string) {
	o.t.Helper()
	var last *order.ProductOrder
	o.await("order "+id+" "+state, func() bool {
		last = must[order.ProductOrder](o, http.MethodGet, orders+"/"+id, nil)
		return last.State == state
	}, func() string { return fmt.Sprintf("it is %s, with notes %+v", last.State, last.Note) })
	o.idle()
}

// productOf is the product that an order was about.
func (o *operator) productOf(id string) *subscription.Product {
	o.t.Helper()
	var product string
	err := o.DB.Read(o.t.Context(), scope(brand), func(tx *store.Tx) error {
		return tx.Row("SELECT product FROM order_line WHERE tenant = $1 AND product_order = $2 ORDER BY line LIMIT 1", id).Scan(&product)
	})
	if err != nil {
		o.t.Fatalf("product of order %s: %v", id, err)
	}
	return must[subscription.Product](o, http.MethodGet, "/tmf-api/productInventory/v4/product/"+product, nil)
}

// idle waits until no job is due and every fact is heard.
func (o *operator) idle() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	for range 2 { // a fact may order a job, whose end may tell a fact
		if err := o.Bus.Idle(ctx); err != nil {
			o.t.Fatal(err)
		}
		if err := o.Runner.Idle(ctx); err != nil {
			o.t.Fatal(err)
		}
		if err := o.Charging.Idle(ctx); err != nil {
			o.t.Fatal(err)
		}
	}
}

// await polls until ok, or fails the test with what why says.
func (o *operator) await(what string, ok func() bool, why ...func() string) {
	o.t.Helper()
	if poll(o.t.Context(), patience, ok) {
		return
	}
	for _, w := range why {
		what += ": " + w()
	}
	o.t.Fatalf("not within %s: %s", patience, what)
}

// poll asks every few milliseconds until ok, for so long at most.
func poll(ctx context.Context, limit time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ok()
		}
	}
}

// count is the result of a counting query over all tenants.
func count(ctx context.Context, t testing.TB, db *store.DB, sql string, args ...any) (n int64) {
	t.Helper()
	err := db.Read(ctx, store.Scope{}, func(tx *store.Tx) error { return tx.System().Row(sql, args...).Scan(&n) })
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (o *operator) count(sql string, args ...any) int64 {
	o.t.Helper()
	return count(o.t.Context(), o.t, o.DB, sql, args...)
}

// char is a characteristic's text of a product, "" if it has none.
func char(p *subscription.Product, name string) string {
	v, _ := tmf.Value(p.ProductCharacteristic, name)
	return strings.Trim(v, `"`)
}

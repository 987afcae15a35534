package revenue_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/receivable"
	"tandem/bss/revenue"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/access"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

var (
	kinds = slices.Concat(party.Kinds(), catalog.Kinds(), subscription.Kinds(), order.Kinds(), billing.Kinds(), receivable.Kinds(), charging.Kinds(),
		revenue.Kinds(), spec.Kinds(), inventory.Kinds(), fulfilment.Kinds())
	schemas = slices.Concat([]store.Schema{outbox.Schema(), work.Schema(), access.Schema()}, subscription.Schemas, order.Schemas, ledger.Schemas, recognition.Schemas, billing.Schemas,
		receivable.Schemas, charging.Schemas, revenue.Schemas, spec.Schemas, inventory.Schemas, fulfilment.Schemas)
	now = time.Date(2026, 12, 20, 6, 0, 0, 0, time.UTC)
)

const (
	base     = "/tandem-api/revenue/v1/"
	catalogs = "/tmf-api/productCatalogManagement/v4/"
	mno      = "mno"
)

// house is a store with a tenant, its catalogue and a clock that stands still but for the
// time that passes.
type house struct {
	testing.TB
	db     *store.DB
	api    *tmftest.API
	shift  *atomic.Int64 // by how much the clock was set on
	runner *work.Runner
	doors  revenue.Doors

	offering, customer, account string
}

// each runs f over both stores.
func each(t *testing.T, f func(h *house)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(open(t, engine)) })
	}
}

func open(t testing.TB, engine store.Dialect) *house {
	shift, began := &atomic.Int64{}, time.Now()
	c := tmftest.Config(t, engine, schemas, kinds)
	c.Clock = func() time.Time { return now.Add(time.Since(began) + time.Duration(shift.Load())) }
	db := tmftest.Open(t, c, schemas, kinds)
	h := &house{TB: t, db: db, api: tmftest.Serve(t, db, kinds), shift: shift}
	h.runner = work.New(db, slog.New(slog.NewTextHandler(t.Output(), nil)), work.Config{})
	revenue.Handle(h.runner, db, revenue.Doors{Network: h})
	billing.Handle(h.runner, db)
	if err := h.runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.runner.Stop)
	h.open()
	return h
}

// Drifts makes the house its own network, for controls that ask it.
func (h *house) Drifts(ctx context.Context, tenant string, found func(revenue.Drift) error) (int64, int64, []string, error) {
	if h.doors.Network == nil {
		return 0, 0, nil, nil
	}
	return h.doors.Network.Drifts(ctx, tenant, found)
}

// open makes a catalogue with one offering of 19.99 a month, a customer and an account.
func (h *house) open() {
	h.Helper()
	price := h.post(catalogs+"productOfferingPrice", `{"name":"Line","priceType":"recurring","recurringChargePeriodType":"month","recurringChargePeriodLength":1,
		"price":{"unit":"EUR","value":19.99},"lifecycleStatus":"Active"}`)
	h.offering = h.post(catalogs+"productOffering", `{"name":"Mobile M","lifecycleStatus":"Active","productOfferingPrice":[{"id":"`+price+`"}]}`)
	person := h.post("/tmf-api/party/v4/individual", `{"givenName":"Ada","familyName":"Berg"}`)
	h.customer = h.post("/tmf-api/customerManagement/v4/customer", `{"name":"Ada Berg","engagedParty":{"id":"`+person+`","@referredType":"Individual"}}`)
	h.must(func(tx *store.Tx) error {
		if err := realEntity(tx); err != nil {
			return err
		}
		a, err := billing.AccountFor(tx, h.customer)
		if err == nil {
			h.account = a.ID
		}
		return err
	})
}

// realEntity is a legal entity whose bills may be posted.
func realEntity(tx *store.Tx) error {
	e, err := billing.DefaultEntity(tx)
	if err == nil {
		err = tx.Flush()
	}
	if err != nil {
		return err
	}
	_, err = billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error {
		e.Name, e.TaxRegistration = "Bluebird", "12/345"
		e.Address.Street, e.Address.PostCode, e.Address.City = "Main Street 1", "10115", "Berlin"
		return nil
	})
	return err
}

// clock sets the clock to so many days after now.
func (h *house) clock(days int) { h.shift.Store(int64(days) * int64(24*time.Hour)) }

func (h *house) post(path, body string) string {
	h.Helper()
	a := h.api.Do(mno, "POST", path, body)
	if a.Status != http.StatusCreated {
		h.Fatalf("POST %s: %d %s", path, a.Status, a.Body)
	}
	return a.Object()["id"].(string)
}

func (h *house) as(tenant, actor string, fn func(tx *store.Tx) error) error {
	return h.db.Write(h.Context(), store.Scope{Tenant: tenant, Actor: actor}, fn)
}

func (h *house) must(fn func(tx *store.Tx) error) {
	h.Helper()
	if err := h.as(mno, "user:ann", fn); err != nil {
		h.Fatal(err)
	}
}

func (h *house) read(fn func(tx *store.Tx) error) {
	h.Helper()
	if err := h.db.Read(h.Context(), store.Scope{Tenant: mno, Actor: "test"}, fn); err != nil {
		h.Fatal(err)
	}
}

// sql changes rows behind the program's back.
func (h *house) sql(text string, args ...any) {
	h.Helper()
	h.must(func(tx *store.Tx) error {
		n, err := tx.Exec(text, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s changes nothing", text)
		}
		return err
	})
}

// sell makes a product that the network confirmed some days before now; billed says whether
// billing hears of it.
func (h *house) sell(id string, daysAgo int, billed bool) {
	h.Helper()
	at := now.AddDate(0, 0, -daysAgo)
	h.must(func(tx *store.Tx) error {
		p := &subscription.Product{Name: "Mobile M", Status: subscription.PendingActive, ProductOffering: &subscription.Ref{ID: h.offering}, OrderDate: at,
			BillingAccount: &subscription.Ref{ID: h.account}, ProductOrderItem: []subscription.OrderItem{{ProductOrderID: "o-" + id, OrderItemID: "1"}},
			RelatedParty: []tmf.RelatedParty{{ID: h.customer, Role: "customer"}}, RealizingService: []subscription.ServiceRef{{ID: "s-" + id}}}
		p.ID = id
		s := &inventory.Service{Name: id, State: inventory.Active, ServiceSpecification: &tmf.Ref{ID: "line"}}
		s.ID = "s-" + id
		if err := inventory.Services.Create(tx, s); err != nil {
			return err
		}
		return subscription.Create(tx, p)
	})
	h.must(func(tx *store.Tx) error {
		return subscription.Activate(tx, fact.ServiceActive{Service: "s-" + id, External: fact.External{Product: id}, At: at})
	})
	if billed {
		h.begin(id, at)
	}
}

func (h *house) begin(id string, at time.Time) {
	h.Helper()
	h.must(func(tx *store.Tx) error {
		return billing.Begin(tx, fact.ProductActive{Product: id, Offering: h.offering, Customer: h.customer, BillingAccount: h.account, Service: "s-" + id, At: at})
	})
}

// terminate ends a product some days before now; heard says whether billing hears of it.
func (h *house) terminate(id string, daysAgo int, heard bool) {
	h.Helper()
	at := now.AddDate(0, 0, -daysAgo)
	h.must(func(tx *store.Tx) error {
		if _, err := inventory.Services.Edit(tx, "s-"+id, func(s *inventory.Service) error {
			s.State = inventory.Terminated
			return nil
		}); err != nil {
			return err
		}
		return subscription.Terminate(tx, fact.ServiceTerminated{Service: "s-" + id, External: fact.External{Product: id}, At: at})
	})
	if heard {
		h.must(func(tx *store.Tx) error {
			return billing.End(tx, fact.ProductTerminated{Product: id, Customer: h.customer, Service: "s-" + id, At: at})
		})
	}
}

// run runs controls and waits for the end.
func (h *house) run(controls ...string) *revenue.ControlRun {
	h.Helper()
	r := &revenue.ControlRun{}
	for _, c := range controls {
		r.Control = append(r.Control, tmf.Ref{ID: c})
	}
	id := tmftest.Must[revenue.ControlRun](h.api, mno, "POST", base+"controlRun", r).ID
	ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
	defer cancel()
	if err := h.runner.Idle(ctx); err != nil {
		h.Fatal(err)
	}
	r = tmftest.Must[revenue.ControlRun](h.api, mno, "GET", base+"controlRun/"+id, nil)
	if r.State != revenue.Done {
		h.Fatalf("the run is %s: %+v", r.State, r)
	}
	for _, c := range r.Result {
		if c.State != revenue.Done {
			h.Fatalf("%s is %s: %s", c.Control, c.State, c.Reason)
		}
	}
	return r
}

// findings are those of a control that stand, by class, side, amount and key.
func (h *house) findings(control string) (out []string) {
	h.Helper()
	for _, f := range h.list(control) {
		if f.State != revenue.Open && f.State != revenue.Confirmed {
			continue
		}
		amount := "-"
		if f.Amount != nil {
			amount = f.Amount.Decimal()
		}
		out = append(out, fmt.Sprintf("%s %s %s %s", f.Class, f.Side, amount, f.Key))
	}
	slices.Sort(out)
	return out
}

func (h *house) list(control string) []*revenue.Finding {
	h.Helper()
	return *tmftest.Must[[]*revenue.Finding](h.api, mno, "GET", base+"finding?control.id="+control, nil)
}

// finds fails the test if a control does not find just these.
func (h *house) finds(control string, want ...string) {
	h.Helper()
	h.run(control)
	if got := h.findings(control); !slices.Equal(got, want) {
		h.Errorf("%s finds\n%s\nwant\n%s", control, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// clean fails the test if any control finds anything.
func (h *house) clean(controls ...string) {
	h.Helper()
	for _, c := range h.run(controls...).Result {
		if c.Findings != 0 {
			h.Errorf("%s finds %d in a clean house: %v", c.Control, c.Findings, h.findings(c.Control))
		}
	}
}

// worth is what an amount a month comes to in some days, as exact rationals say:
// m x 12 / 365 x days, to the nearest of 10^-9.
func worth(month string, days int64) string {
	r, ok := new(big.Rat).SetString(month)
	if !ok {
		panic(month)
	}
	r.Mul(r, big.NewRat(12*days, 365))
	s := r.FloatString(9)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}

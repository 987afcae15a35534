package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"tandem/app"
	"tandem/app/verify"
	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// proof holds what the register has against what inventory, pools and billing
// say. It reads the register and the tables itself, so that it shares no mistake
// with the program.
type proof struct {
	tx      *store.Tx // of the brand
	ctrl    *hlr.Client
	ctx     context.Context
	on      map[string]hlr.Subscriber // on the element, by IMSI
	claimed map[string]string         // IMSI -> product
	held    map[string]bool           // numbers and cards that a service rightly holds
	found   []string
}

func (p *proof) bad(format string, args ...any) {
	p.found = append(p.found, fmt.Sprintf(format, args...))
}

// proves fails the test if the register and the books differ, or if something
// is left undone. strangers are IMSIs that the brand knows nothing of.
func (o *operator) proves(strangers ...string) {
	o.t.Helper()
	for _, m := range mismatches(o.t, o.App, o.element, strangers...) {
		o.t.Errorf("mismatch: %s", m)
	}
	if o.t.Failed() {
		o.t.FailNow()
	}
}

// mismatches lists all that does not agree in a store where nothing is under way
// but what fell out: what the proof finds, and what tandem verify does.
func mismatches(t testing.TB, a *app.App, e *hlrtest.Element, strangers ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := &proof{ctx: ctx, on: map[string]hlr.Subscriber{}, claimed: map[string]string{}, held: map[string]bool{}}
	err := p.readRegister(e)
	if err != nil {
		t.Fatalf("read the register: %v", err)
	}
	if p.ctrl, err = hlr.Dial(ctx, e.CTRL()); err != nil {
		t.Fatal(err)
	}
	defer p.ctrl.Close()
	for _, imsi := range strangers {
		if _, there := p.on[imsi]; !there {
			p.bad("the stranger %s is gone from the register", imsi)
		}
		delete(p.on, imsi)
	}
	if err := a.DB.Read(ctx, scope(brand), func(tx *store.Tx) error { p.tx = tx; return p.all() }); err != nil {
		t.Fatalf("prove: %v", err)
	}
	if err := p.verify(a, strangers); err != nil {
		t.Fatalf("verify: %v", err)
	}
	return p.found
}

// verify runs the product's own proof. Of strangers it must speak.
func (p *proof) verify(a *app.App, strangers []string) error {
	spoken := 0
	_, err := verify.Run(p.ctx, verify.Config{DB: a.DB, Elements: a.Network, Bus: a.Bus, Charging: a.Charging}, func(m verify.Mismatch) error {
		if m.Kind == verify.KindElement && slices.Contains(strangers, m.Key) {
			spoken++
			return nil
		}
		p.bad("tandem verify: %s", m)
		return nil
	})
	if err == nil && spoken != len(strangers) {
		p.bad("tandem verify speaks of %d strangers on the register, there are %d", spoken, len(strangers))
	}
	return err
}

func (p *proof) readRegister(e *hlrtest.Element) error {
	v, err := hlr.DialVTY(p.ctx, e.VTY())
	if err != nil {
		return err
	}
	defer v.Close()
	numbers := map[string]string{}
	for s, err := range v.Subscribers(p.ctx) {
		if err != nil {
			return err
		}
		if other := numbers[s.MSISDN]; s.MSISDN != "" && other != "" {
			p.bad("number %s is on the register twice: %s and %s", s.MSISDN, other, s.IMSI)
		}
		numbers[s.MSISDN] = s.IMSI
		p.on[s.IMSI] = s
	}
	return nil
}

func (p *proof) all() error {
	products, err := subscription.Products.Select(p.tx, nil, tmf.Page{Sort: "id"})
	if err != nil {
		return err
	}
	for _, x := range products {
		if err := p.product(x); err != nil {
			return fmt.Errorf("product %s: %w", x.ID, err)
		}
	}
	for imsi := range p.on {
		if p.claimed[imsi] == "" {
			p.bad("%s is on the register, and nobody has it", imsi)
		}
	}
	if err := p.pools(); err != nil {
		return err
	}
	return p.leftovers()
}

// product checks one product and all that stands behind it.
func (p *proof) product(x *subscription.Product) error {
	if len(x.RealizingService) != 1 {
		p.bad("product %s has %d services", x.ID, len(x.RealizingService))
		return nil
	}
	s, err := inventory.Services.Get(p.tx, x.RealizingService[0].ID)
	if err != nil {
		return err
	}
	want := map[string]string{subscription.Active: fulfilment.ServiceActive, subscription.Suspended: fulfilment.ServiceInactive,
		subscription.PendingActive: fulfilment.ServiceReserved}[x.Status]
	if want == "" {
		want = fulfilment.ServiceTerminated
	}
	if s.State != want {
		p.bad("product %s is %s, but its service %s", x.ID, x.Status, s.State)
	}
	runs := x.Status == subscription.Active || x.Status == subscription.Suspended
	if err := p.bill(x, s, runs); err != nil {
		return err
	}
	if err := p.told(x, s, runs); err != nil {
		return err
	}
	if runs && s.ServiceSpecification != nil && s.ServiceSpecification.ID == mobileLine {
		return p.subscriber(x, s)
	}
	if x.Status == subscription.PendingActive { // waits in the fallout queue
		p.held[value(s, "msisdn")], p.held[value(s, "iccid")] = true, true
	}
	return nil
}

// mobileLine is the specification of services that are on the register. An agreement has
// none there, and an option only what its line has.
const mobileLine = "mobile-line"

func value(s *inventory.Service, name string) string {
	v, _ := tmf.Value(s.ServiceCharacteristic, name)
	return v
}

// subscriber checks that the register has the line as the service says.
func (p *proof) subscriber(x *subscription.Product, s *inventory.Service) error {
	imsi, msisdn, iccid := value(s, "imsi"), value(s, "msisdn"), value(s, "iccid")
	if p.claimed[imsi] != "" {
		p.bad("%s belongs to products %s and %s", imsi, p.claimed[imsi], x.ID)
	}
	p.claimed[imsi], p.held[msisdn], p.held[iccid] = x.ID, true, true
	if char(x, "msisdn") != msisdn || char(x, "iccid") != iccid || char(x, "imsi") != imsi {
		p.bad("product %s says %s %s %s, its service %s %s %s", x.ID, char(x, "msisdn"), char(x, "iccid"), char(x, "imsi"), msisdn, iccid, imsi)
	}
	sub, there := p.on[imsi]
	on := x.Status == subscription.Active
	want := hlr.Subscriber{MSISDN: msisdn, CS: on && value(s, "voice") != "false", PS: on && value(s, "data") != "false"}
	if !there || sub.MSISDN != want.MSISDN || sub.CS != want.CS || sub.PS != want.PS {
		p.bad("product %s is %s, but the register has %v %+v for %s, not %+v", x.ID, x.Status, there, sub, imsi, want)
		return nil
	}
	auth, err := p.ctrl.AuthInfo(p.ctx, imsi)
	if err != nil {
		return err
	}
	c := cardOf(imsi)
	if !auth.Matches(hlr.Secret(c.K), hlr.Secret(c.OPc)) {
		p.bad("the register has other keys for %s than the card", imsi)
	}
	return p.assigned(s.ID, msisdn, iccid, imsi)
}

func (p *proof) assigned(service, msisdn, iccid, imsi string) error {
	n, err := inventory.NumberOf(p.tx, inventory.MSISDN, msisdn)
	if err != nil {
		return err
	}
	sim, err := inventory.SIMOf(p.tx, iccid)
	if err != nil {
		return err
	}
	if n.State != inventory.NumberAssigned || n.Holder != service || sim.State != inventory.NumberAssigned || sim.Holder != service || sim.IMSI != imsi {
		p.bad("service %s runs, but number %s is %s by %s and SIM %s (%s) %s by %s", service, msisdn, n.State, n.Holder, iccid, sim.IMSI, sim.State, sim.Holder)
	}
	return nil
}

// bill checks that every price is charged once, from the instant the network
// confirmed the product, and nothing else.
func (p *proof) bill(x *subscription.Product, s *inventory.Service, runs bool) error {
	type row struct {
		price, by string
		from, to  int64
	}
	rows, err := p.tx.Query("SELECT price, confirmed_by, from_at, coalesce(to_at, 0) FROM billing_charge WHERE tenant = $1 AND product = $2 ORDER BY price", x.ID)
	charges, err := store.Collect(rows, err, func(r store.Rows) (c row, err error) {
		err = r.Scan(&c.price, &c.by, &c.from, &c.to)
		return c, err
	})
	if err != nil {
		return err
	}
	var want []string
	fees := map[string]bool{} // charged once
	if runs || x.Status == subscription.Terminated {
		o, err := catalog.Offerings.Get(p.tx, x.Offering())
		if err != nil {
			return err
		}
		for _, price := range o.ProductOfferingPrice {
			full, err := catalog.OfferingPrices.Get(p.tx, price.ID)
			if err != nil {
				return err
			}
			if full.PriceType == "usage" || full.PriceType == "allowance" {
				continue // billed by what was used
			}
			want, fees[price.ID] = append(want, price.ID), full.PriceType == "oneTime"
		}
	}
	slices.Sort(want)
	var have []string
	for _, c := range charges {
		have = append(have, c.price)
		switch {
		case c.by != s.ID:
			p.bad("product %s is billed on the word of %s, not of its service", x.ID, c.by)
		case c.from != store.Micros(x.StartDate) || c.from != store.Micros(s.StartDate):
			p.bad("product %s is billed from %s, confirmed %s, active from %s", x.ID, store.Instant(c.from), s.StartDate, x.StartDate)
		case fees[c.price] && c.to != c.from:
			p.bad("product %s is billed for the fee %s not at one instant, but until %s", x.ID, c.price, store.Instant(c.to))
		case !fees[c.price] && (runs != (c.to == 0) || !runs && c.to != store.Micros(x.TerminationDate)):
			p.bad("product %s is %s, but price %s is billed until %s", x.ID, x.Status, c.price, store.Instant(c.to))
		}
	}
	if !slices.Equal(have, want) {
		p.bad("product %s is %s and billed for %v, want %v", x.ID, x.Status, have, want)
	}
	return nil
}

// told checks that its activation was told once, or never if it did not run.
func (p *proof) told(x *subscription.Product, s *inventory.Service, runs bool) error {
	var active, product int64
	err := p.tx.Row(`SELECT count(CASE WHEN name = 'ServiceActive' AND key = $2 THEN 1 END), count(CASE WHEN name = 'ProductActive' AND key = $3 THEN 1 END)
		FROM outbox_fact WHERE tenant = $1`, s.ID, x.ID).Scan(&active, &product)
	want := int64(0)
	if runs || x.Status == subscription.Terminated {
		want = 1
	}
	if err == nil && (active != want || product != want) {
		p.bad("product %s is %s, and its activation was told %d and %d times", x.ID, x.Status, active, product)
	}
	return err
}

// pools checks that nothing is held without need.
func (p *proof) pools() error {
	rows, err := p.tx.Query(`SELECT value, state, holder FROM inventory_number WHERE tenant = $1 AND holder <> ''
		UNION ALL SELECT iccid, state, holder FROM inventory_sim WHERE tenant = $1 AND holder <> ''`)
	_, err = store.Collect(rows, err, func(r store.Rows) (v string, err error) {
		var state, holder string
		if err = r.Scan(&v, &state, &holder); err == nil && !p.held[v] {
			p.bad("%s is %s by %s for nothing", v, state, holder)
		}
		return v, err
	})
	return err
}

// leftovers checks that nothing waits: no parked fact or job, no job at all that
// should be done, no claim on a service, no task without an end.
func (p *proof) leftovers() error {
	for what, sql := range map[string]string{
		"parked facts":     "SELECT count(*) FROM outbox_parked",
		"parked jobs":      "SELECT count(*) FROM work_job WHERE state = 'parked'",
		"open tasks":       "SELECT count(*) FROM work_job WHERE kind = 'fulfilment.task'",
		"orphaned claims":  "SELECT count(*) FROM fulfilment_claim c WHERE NOT EXISTS (SELECT 1 FROM fulfilment_item i WHERE i.tenant = c.tenant AND i.service_order = c.service_order AND i.service = c.service AND i.state NOT IN ('completed', 'failed', 'cancelled'))",
		"half-ended items": "SELECT count(*) FROM fulfilment_item i WHERE i.state IN ('completed', 'failed', 'cancelled') AND i.open_tasks > 0",
		"unfinished tasks": "SELECT count(*) FROM fulfilment_task WHERE state IN ('ready', 'waiting') AND NOT EXISTS (SELECT 1 FROM fulfilment_task f WHERE f.tenant = fulfilment_task.tenant AND f.service_order = fulfilment_task.service_order AND f.state = 'fallen')",
	} {
		var n int64
		if err := p.tx.System().Row(sql).Scan(&n); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n > 0 {
			p.bad("%d %s", n, what)
		}
	}
	return nil
}

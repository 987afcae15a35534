package charging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// plan is what a product on an offering gets: the number of its tariff plan and what
// is given with it.
//
// What was sold stays as it was sold: another price is another plan, for who buys
// from then on. Who has the old one gets the new one by an order.
type plan struct {
	Number   int64       `json:"-"`
	Offering string      `json:"offering"`
	Prices   string      `json:"prices"` // digest of its tariff
	Currency string      `json:"currency"`
	Mode     core.Mode   `json:"mode"`
	Credit   int64       `json:"credit"`
	Main     int64       `json:"main"`              // definition of the balance
	Line     int64       `json:"line,omitzero"`     // definition of the credit line of a hybrid account
	CycleDay int         `json:"cycleDay,omitzero"` // of the month; 0: that of the start
	Zone     string      `json:"zone"`
	Gives    []given     `json:"gives,omitzero"`
	Caps     []capOf     `json:"caps,omitzero"`
	Bonus    []bonusOf   `json:"bonus,omitzero"`
	Versions []planPrice `json:"-"`

	tariff bool // it has usage prices; known where it was published
}

type given struct {
	Definition int64          `json:"definition"`
	Amount     int64          `json:"amount"`
	Renew      civil.Duration `json:"renew,omitzero"`
	Validity   civil.Duration `json:"validity,omitzero"`
	FirstUse   bool           `json:"firstUse,omitzero"`
	Paid       bool           `json:"paid,omitzero"`    // each period has a price, the first one too
	Prorate    bool           `json:"prorate,omitzero"` // the first period gives a part
	Shared     bool           `json:"shared,omitzero"`
	Name       string         `json:"name"`
}

type capOf struct {
	Definition int64 `json:"definition"`
	Limit      int64 `json:"limit"`         // 0: none, it only counts
	Each       bool  `json:"each,omitzero"` // one for each line, not one for the account
}

type planPrice struct {
	from   int64
	number int64
}

// tariffDoc is a published tariff.
type tariffDoc struct {
	Plan     int64       `json:"plan"`
	Prices   rating.Plan `json:"prices"`
	Counters []int64     `json:"counters,omitzero"`
}

// shelves are what the book was filled from.
type shelves struct {
	mu      sync.Mutex
	known   map[int64]bool
	tenants map[string]*brand
	names   map[uint32]string
	plans   map[int64]*plan
	done    map[string]publication
}

// publication is what an offering was published as, at a version of it.
type publication struct {
	version string
	plan    *plan
}

func (s *shelves) published(key, version string) (*plan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.done[key]
	return p.plan, ok && p.version == version
}

func (s *shelves) remember(key, version string, p *plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = map[string]publication{}
	}
	s.done[key] = publication{version, p}
}

const readBook = "SELECT number, kind, name, from_at, doc FROM charging_book WHERE tenant = $1 AND number > $2 ORDER BY number"

type entry struct {
	number     int64
	kind, name string
	from       int64
	doc        string
}

// readShelves fills the book with what it does not hold yet, of all tenants.
func (r *Room) readShelves(ctx context.Context) error {
	tenants, err := r.tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		err := r.DB.Read(ctx, store.Scope{Tenant: tenant, Actor: "system:charging"}, func(tx *store.Tx) error {
			return r.readShelf(tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readShelf fills the book with what a tenant has on the shelf. Numbers become
// visible out of order, so it looks at all of them.
func (r *Room) readShelf(tx *store.Tx) error {
	rows, err := tx.Query(readBook, 0)
	entries, err := store.Collect(rows, err, func(r store.Rows) (e entry, err error) {
		err = r.Scan(&e.number, &e.kind, &e.name, &e.from, &e.doc)
		return e, err
	})
	if err != nil {
		return err
	}
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	for _, e := range entries {
		if r.shelves.known[e.number] {
			continue
		}
		if err := r.put(tx.Tenant(), e); err != nil {
			return fmt.Errorf("charging: %s %q (number %d) of tenant %s: %w", e.kind, e.name, e.number, tx.Tenant(), err)
		}
		r.shelves.known[e.number] = true
	}
	return nil
}

// put enters one thing into the book. A tenant comes before its plans, a plan
// before its tariffs: they are written in that order.
func (r *Room) put(tenant string, e entry) error {
	s := &r.shelves
	if s.tenants == nil {
		s.tenants, s.names, s.plans = map[string]*brand{}, map[uint32]string{}, map[int64]*plan{}
	}
	switch e.kind {
	case "tenant":
		var d tenantDoc
		if err := json.Unmarshal([]byte(e.doc), &d); err != nil {
			return err
		}
		b := s.tenants[tenant]
		if b == nil { // its number is that of its first row
			b = &brand{number: uint32(e.number)}
			s.tenants[tenant], s.names[b.number] = b, tenant
		}
		if err := b.hear(e.number, d); err != nil {
			return err
		}
		r.book.SetTenant(b.number, core.Tenant{Name: tenant, Home: b.home, Life: b.life, Defaults: b.defaults})
	case "definition":
		var d core.Definition
		if err := json.Unmarshal([]byte(e.doc), &d); err != nil {
			return err
		}
		d.ID, d.Tenant = uint32(e.number), s.number(tenant)
		r.book.SetDefinition(d)
	case "plan":
		p := &plan{}
		if err := json.Unmarshal([]byte(e.doc), p); err != nil {
			return err
		}
		p.Number = e.number
		s.plans[e.number] = p
	case "tariff":
		return r.putTariff(tenant, e)
	}
	return nil
}

func (r *Room) putTariff(tenant string, e entry) error {
	var d tariffDoc
	if err := json.Unmarshal([]byte(e.doc), &d); err != nil {
		return err
	}
	t, err := rating.Compile(d.Prices)
	if err != nil {
		return err
	}
	counters := make([]uint32, len(d.Counters))
	for i, n := range d.Counters {
		counters[i] = uint32(n)
	}
	r.book.SetTariff(uint32(e.number), t, counters)
	p := r.shelves.plans[d.Plan]
	if p == nil {
		return fmt.Errorf("its plan %d is not there", d.Plan)
	}
	p.Versions = append(p.Versions, planPrice{e.from, e.number})
	out := core.Plan{Name: p.Offering, Tenant: r.shelves.number(tenant)}
	for i, v := range p.Versions {
		from := v.from / 1e6
		if i == 0 {
			from = 0 // there is no earlier price
		}
		out.Versions = append(out.Versions, core.Version{From: from, Tariff: uint32(v.number)})
	}
	r.book.SetPlan(uint32(p.Number), out)
	return nil
}

const (
	addBook  = "INSERT INTO charging_book (tenant, kind, name, from_at, doc) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant, kind, name) DO NOTHING"
	findBook = "SELECT number, doc FROM charging_book WHERE tenant = $1 AND kind = $2 AND name = $3"
)

// shelve puts something on the shelf unless it is there, and says its number.
func shelve(tx *store.Tx, kind, name string, doc any) (number int64, err error) {
	body, err := json.Marshal(doc, json.Deterministic(true))
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(addBook, kind, name, store.Micros(tx.Now()), string(body)); err != nil {
		return 0, err
	}
	var kept string
	err = tx.Row(findBook, kind, name).Scan(&number, &kept)
	return number, err
}

// digest names a version by its content.
func digest(doc any) string {
	body, err := json.Marshal(doc, json.Deterministic(true))
	if err != nil {
		return "unreadable"
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:8])
}

// publish puts what an offering charges for usage on the shelf: a new version if it
// has changed. nil: the offering charges none and gives nothing.
func (r *Room) publish(tx *store.Tx, offering string) (*plan, error) {
	o, err := catalog.Offerings.Look(tx, offering)
	if err != nil {
		return nil, err
	}
	prices, err := catalog.Prices(tx, o)
	if err != nil {
		return nil, err
	}
	key, version := tx.Tenant()+"/"+offering, versionOf(o, prices)
	if p, ok := r.shelves.published(key, version); ok {
		return p, nil
	}
	p, err := r.publishAnew(tx, o, prices)
	if err == nil {
		tx.OnCommit(func() { r.shelves.remember(key, version, p) })
	}
	return p, err
}

// versionOf names what an offering and its prices say now.
func versionOf(o *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) string {
	b := strconv.AppendInt(nil, o.Rev(), 36)
	for _, p := range prices {
		b = append(append(append(b, ' '), p.ID...), ' ')
		b = strconv.AppendInt(b, p.Rev(), 36)
	}
	return string(b)
}

func (r *Room) publishAnew(tx *store.Tx, o *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) (*plan, error) {
	offering := o.ID
	tariff, allowances, err := rating.FromCatalog(o, prices)
	if err != nil || len(tariff.Rules) == 0 && len(allowances) == 0 {
		return nil, err
	}
	t, _, err := termsOf(o)
	if err == nil {
		err = t.sound(&tariff, allowances)
	}
	if err != nil {
		return nil, fault.At("Offering "+strconv.Quote(o.Name), err)
	}
	if err := r.shelveTenant(tx, offering, &t, store.Micros(o.LastUpdate)); err != nil {
		return nil, err
	}
	p, err := t.plan(tx, offering, &tariff, allowances)
	if err != nil {
		return nil, err
	}
	if p.Number, err = shelve(tx, "plan", offering+"#"+digest(p), p); err != nil {
		return nil, err
	}
	p.tariff = len(tariff.Rules) > 0
	d := tariffDoc{Plan: p.Number, Prices: tariff}
	for _, c := range tariff.Counters {
		n, err := shelve(tx, "definition", "counter "+offering+"/"+c.Name, counterOf(c, tariff.Zone))
		if err != nil {
			return nil, err
		}
		d.Counters = append(d.Counters, n)
	}
	if len(tariff.Rules) > 0 {
		if _, err = shelve(tx, "tariff", offering+"#"+digest(d), d); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// plan works out what comes with an offering whose terms are sound.
func (t *terms) plan(tx *store.Tx, offering string, tariff *rating.Plan, allowances []rating.Allowance) (*plan, error) {
	currency := currencyOf(tariff)
	p := &plan{Offering: offering, Prices: digest(tariff), Currency: currency, Zone: tariff.Zone, Mode: modes[t.Mode], CycleDay: t.CycleDay}
	var err error
	if p.Credit, err = nano(string(t.Credit), currency); err != nil {
		return nil, err
	}
	main := core.Definition{Name: "balance", Unit: core.Money, Priority: 1000, Main: true, Zone: tariff.Zone, Notices: []uint8{80, 100}}
	if p.Main, err = shelve(tx, "definition", "balance "+currency+"#"+digest(main), main); err != nil {
		return nil, err
	}
	if p.Mode >= core.HybridPrepaid {
		line := core.Definition{Name: "credit", Unit: core.Money, Priority: 1000, Zone: tariff.Zone}
		if p.Line, err = shelve(tx, "definition", "credit "+currency+"#"+digest(line), line); err != nil {
			return nil, err
		}
	}
	limits := make([]capOf, len(t.Limits))
	within := map[string]int64{} // definitions of limits by name: what is within one refers to it
	for i := range t.Limits {
		if limits[i], err = t.Limits[i].shelve(tx, currency, tariff.Zone); err != nil {
			return nil, err
		}
		within[t.Limits[i].Name] = limits[i].Definition
	}
	for i := range allowances {
		if err := p.add(tx, &allowances[i], uint32(within[allowances[i].Within])); err != nil {
			return nil, err
		}
	}
	if p.Bonus, err = t.bonuses(tx, currency, tariff.Zone); err != nil {
		return nil, err
	}
	p.Caps = append(p.Caps, limits...)
	return p, nil
}

// add puts an allowance into the plan, with the counters that watch it. within is the
// definition of the limit that it is within, 0 for none.
func (p *plan) add(tx *store.Tx, a *rating.Allowance, within uint32) error {
	g, err := allowance(tx, a, p.Zone, within)
	if err != nil {
		return err
	}
	p.Gives = append(p.Gives, g)
	for _, c := range watched(a, p.Zone) {
		name := "limit "
		if len(c.Status) > 0 {
			name = "policy "
		}
		n, err := shelve(tx, "definition", name+c.Name+"#"+digest(c), c)
		if err != nil {
			return err
		}
		watch := capOf{Definition: n, Each: c.Hard || !a.Shared}
		if c.Hard {
			watch.Limit = int64(a.MemberCap)
		}
		p.Caps = append(p.Caps, watch)
	}
	return nil
}

// watched are the counters of an allowance: what one member has taken of it, and
// its fair use.
func watched(a *rating.Allowance, zone string) (list []core.Definition) {
	reset := core.NoReset
	switch {
	case a.Renew.Months > 0:
		reset = core.Monthly
	case a.Renew.Days > 0:
		reset = core.Daily
	}
	c := core.Definition{Unit: unitOf(a.Unit), Counter: true, Classes: a.Classes, Reset: reset, Zone: zone}
	if a.MemberCap > 0 {
		m := c
		m.Name, m.Hard, m.Notices = a.Name+" (member)", true, []uint8{80, 100}
		list = append(list, m)
	}
	if a.FairUse != nil {
		c.Name = a.FairUse.Counter
		for _, s := range a.FairUse.All() {
			c.Status = append(c.Status, core.Step{From: int64(s.Units), Status: s.Status})
		}
		list = append(list, c)
	}
	return list
}

// nano reads an amount of money at 10^-9.
func nano(text, currency string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	c, err := money.ParseCurrency(currency)
	if err != nil {
		return 0, fault.BadInput("invalidCharging", "%v", err)
	}
	r, err := money.ParseRate(text, c)
	if err != nil {
		return 0, fault.BadInput("invalidCharging", "%v", err)
	}
	return r.Nano, nil
}

func unitOf(u credit.Has) core.Unit {
	switch u {
	case credit.HasSeconds:
		return core.Seconds
	case credit.HasEvents:
		return core.Events
	case credit.HasMoney:
		return core.Money
	}
	return core.Octets
}

// allowance shelves what is given again and again.
func allowance(tx *store.Tx, a *rating.Allowance, zone string, within uint32) (g given, err error) {
	d := core.Definition{Name: a.Name, Unit: unitOf(a.Unit), Classes: a.Classes, Priority: int16(min(a.Priority, 900)), Zone: zone, Within: within}
	d.Notices, d.Ahead = percents(a.Notify, 50, 80, 100), rating.Seconds(a.Ahead)
	switch {
	case a.Renew.Months > 0:
		d.Renew = core.Renew{Unit: 'm', Every: a.Renew.Months}
	case a.Renew.Days > 0:
		d.Renew = core.Renew{Unit: 'd', Every: a.Renew.Days}
	}
	d.Renew.Price, d.Renew.Grace = a.Price, rating.Seconds(a.Grace)
	if a.FirstUse {
		d.FirstUse = rating.Seconds(a.Validity)
	}
	if a.Rollover != nil {
		over := core.Definition{Name: a.Name + " (kept)", Unit: d.Unit, Classes: d.Classes, Priority: d.Priority + 1, Zone: zone, Within: within}
		if a.Rollover.First {
			over.Priority = d.Priority - 1
		}
		n, err := shelve(tx, "definition", "kept "+a.ID+"#"+digest(over), over)
		if err != nil {
			return g, err
		}
		d.Rollover = core.Rollover{Percent: int64(a.Rollover.Percent), Max: int64(a.Rollover.MaxUnits), Cycles: a.Rollover.MaxCycles, Def: uint32(n)}
		if d.Rollover.Percent == 0 {
			d.Rollover.Percent = 100
		}
	}
	g = given{Amount: int64(a.Amount), Renew: a.Renew, Validity: a.Validity, FirstUse: a.FirstUse, Paid: a.Price > 0, Prorate: a.Prorate,
		Shared: a.Shared, Name: a.Name}
	g.Definition, err = shelve(tx, "definition", "allowance "+a.ID+"#"+digest(d), d)
	return g, err
}

func counterOf(c rating.Counter, zone string) core.Definition {
	d := core.Definition{Name: c.Name, Counter: true, Tariff: true, Zone: zone}
	switch c.Reset {
	case rating.Day:
		d.Reset = core.Daily
	case rating.Cycle:
		d.Reset = core.Monthly
	}
	return d
}

// number is that of a tenant in the book; 0: it has none yet.
func (s *shelves) number(tenant string) uint32 {
	if b := s.tenants[tenant]; b != nil {
		return b.number
	}
	return 0
}

// planByNumber is a plan this node knows.
func (r *Room) planByNumber(n int64) *plan {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	return r.shelves.plans[n]
}

// versions are the plans of an offering that this node knows: each price it was sold at.
func (r *Room) versions(offering string) (list []*plan) {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	for _, p := range r.shelves.plans {
		if p.Offering == offering {
			list = append(list, p)
		}
	}
	return list
}

// tenantName is the tenant behind a number of the journal.
func (r *Room) tenantName(n uint32) string {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	return r.shelves.names[n]
}

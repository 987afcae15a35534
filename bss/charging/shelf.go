package charging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Attribute is the extension of an offering that says how its customers pay, which
// TMF620 has no field for:
//
//	"tandem:charging": {"mode": "postpaid", "credit": "50.00", "home": ["24001"], "limits": [{"name": "EU roaming", "classes": ["data.eu"], "amount": "50", "hard": true}]}
const Attribute = "tandem:charging"

// terms are what the Attribute holds.
type terms struct {
	Mode   string   `json:"mode,omitzero"`   // prepaid (default), postpaid
	Credit string   `json:"credit,omitzero"` // how far a postpaid balance may fall
	Home   []string `json:"home,omitzero"`   // PLMNs of the brand
	Limits []limit  `json:"limits,omitzero"`
	Bonus  []bonus  `json:"bonus,omitzero"` // of top-ups
}

// limit is a spending limit or a cap on units.
type limit struct {
	Name    string         `json:"name"`
	Classes []string       `json:"classes,omitzero"` // none: all
	Amount  rating.Decimal `json:"amount,omitzero"`  // of money
	Units   uint64         `json:"units,omitzero"`
	Unit    string         `json:"unit,omitzero"` // octets, seconds, events; of Units
	Hard    bool           `json:"hard,omitzero"`
	Notices []uint8        `json:"notices,omitzero"`
	Reset   string         `json:"reset,omitzero"` // day, cycle (default), never
}

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
	Main     int64       `json:"main"` // definition of the balance
	Zone     string      `json:"zone"`
	Gives    []given     `json:"gives,omitzero"`
	Caps     []capOf     `json:"caps,omitzero"`
	Bonus    []bonusOf   `json:"bonus,omitzero"`
	Versions []planPrice `json:"-"`
}

type given struct {
	Definition int64          `json:"definition"`
	Amount     int64          `json:"amount"`
	Renew      civil.Duration `json:"renew,omitzero"`
	Validity   civil.Duration `json:"validity,omitzero"`
	FirstUse   bool           `json:"firstUse,omitzero"`
	Shared     bool           `json:"shared,omitzero"`
	Name       string         `json:"name"`
}

type capOf struct {
	Definition int64 `json:"definition"`
	Limit      int64 `json:"limit"`
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

// tenantDoc is a tenant.
type tenantDoc struct {
	Home []uint32 `json:"home,omitzero"`
}

// shelves are what the book was filled from.
type shelves struct {
	mu      sync.Mutex
	known   map[int64]bool
	tenants map[string]uint32
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
		s.tenants, s.names, s.plans = map[string]uint32{}, map[uint32]string{}, map[int64]*plan{}
	}
	switch e.kind {
	case "tenant":
		var d tenantDoc
		if err := json.Unmarshal([]byte(e.doc), &d); err != nil {
			return err
		}
		s.tenants[tenant], s.names[uint32(e.number)] = uint32(e.number), tenant
		r.book.SetTenant(uint32(e.number), core.Tenant{Name: tenant, Home: d.Home})
	case "definition":
		var d core.Definition
		if err := json.Unmarshal([]byte(e.doc), &d); err != nil {
			return err
		}
		d.ID, d.Tenant = uint32(e.number), s.tenants[tenant]
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
	out := core.Plan{Name: p.Offering, Tenant: r.shelves.tenants[tenant]}
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
	o, err := catalog.Offerings.Get(tx, offering)
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
	var t terms
	if err := extension(o.Extra, &t); err != nil {
		return nil, fault.At("Offering "+o.Name, err)
	}
	if err := r.shelveTenant(tx, t); err != nil {
		return nil, err
	}
	p, err := t.plan(tx, offering, &tariff, allowances)
	if err != nil {
		return nil, err
	}
	if p.Number, err = shelve(tx, "plan", offering+"#"+digest(p), p); err != nil {
		return nil, err
	}
	d := tariffDoc{Plan: p.Number, Prices: tariff}
	for _, c := range tariff.Counters {
		n, err := shelve(tx, "definition", "counter "+offering+"/"+c.Name, counterOf(c, tariff.Zone))
		if err != nil {
			return nil, err
		}
		d.Counters = append(d.Counters, n)
	}
	if len(tariff.Rules) > 0 {
		if _, err := rating.Compile(tariff); err != nil {
			return nil, err
		}
		if _, err = shelve(tx, "tariff", offering+"#"+digest(d), d); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func extension(extra jsontext.Value, into *terms) error {
	if len(extra) == 0 {
		return nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(extra, &all); err != nil {
		return err
	}
	doc, ok := all[Attribute]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(doc, into, json.RejectUnknownMembers(true)); err != nil {
		return fault.BadInput("invalidCharging", "%s cannot be read: %v", Attribute, err)
	}
	return nil
}

func (r *Room) shelveTenant(tx *store.Tx, t terms) error {
	d := tenantDoc{}
	for _, code := range t.Home {
		n, err := plmn(code)
		if err != nil {
			return err
		}
		d.Home = append(d.Home, n)
	}
	if _, err := shelve(tx, "tenant", tx.Tenant(), d); err != nil {
		return err
	}
	// Nothing was charged for it before now, so its part of the journal begins here.
	_, err := tx.Exec("INSERT INTO charging_cursor (tenant, part, seq) VALUES ($1, 1, $2) ON CONFLICT (tenant, part) DO NOTHING", r.upto.Load())
	return err
}

// plmn reads a network code of five or six digits: MCC and MNC.
func plmn(code string) (uint32, error) {
	n := uint32(0)
	for _, c := range code {
		if c < '0' || c > '9' {
			return 0, fault.BadInput("invalidNetwork", "%q is not a network code of five or six digits", code)
		}
		n = n*10 + uint32(c-'0')
	}
	switch len(code) {
	case 5:
		return n/100*1000 + n%100, nil
	case 6:
		return n, nil
	}
	return 0, fault.BadInput("invalidNetwork", "%q is not a network code of five or six digits", code)
}

// plan works out what comes with an offering.
func (t terms) plan(tx *store.Tx, offering string, tariff *rating.Plan, allowances []rating.Allowance) (*plan, error) {
	currency := tariff.Currency
	if currency == "" {
		currency = "EUR"
	}
	p := &plan{Offering: offering, Prices: digest(tariff), Currency: currency, Zone: tariff.Zone}
	switch t.Mode {
	case "", "prepaid":
	case "postpaid":
		p.Mode = core.Postpaid
	default:
		return nil, fault.BadInput("invalidCharging", "The mode is prepaid or postpaid, not %q", t.Mode)
	}
	var err error
	if p.Credit, err = nano(t.Credit, currency); err != nil {
		return nil, err
	}
	main := core.Definition{Name: "balance", Unit: core.Money, Priority: 1000, Main: true, Zone: tariff.Zone, Notices: []uint8{80, 100}}
	if p.Main, err = shelve(tx, "definition", "balance "+currency+"#"+digest(main), main); err != nil {
		return nil, err
	}
	for i := range allowances {
		g, err := allowance(tx, &allowances[i], tariff.Zone)
		if err != nil {
			return nil, err
		}
		p.Gives = append(p.Gives, g)
	}
	if p.Bonus, err = t.bonuses(tx, currency, tariff.Zone); err != nil {
		return nil, err
	}
	for i := range t.Limits {
		c, err := t.Limits[i].shelve(tx, currency, tariff.Zone)
		if err != nil {
			return nil, err
		}
		p.Caps = append(p.Caps, c)
	}
	return p, nil
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
func allowance(tx *store.Tx, a *rating.Allowance, zone string) (g given, err error) {
	d := core.Definition{Name: a.Name, Unit: unitOf(a.Unit), Classes: a.Classes, Priority: int16(min(a.Priority, 900)), Zone: zone}
	for _, n := range a.Notify {
		d.Notices = append(d.Notices, uint8(n))
	}
	if len(d.Notices) == 0 {
		d.Notices = []uint8{50, 80, 100}
	}
	switch {
	case a.Renew.Months > 0:
		d.Renew = core.Renew{Unit: 'm', Every: a.Renew.Months}
	case a.Renew.Days > 0:
		d.Renew = core.Renew{Unit: 'd', Every: a.Renew.Days}
	}
	if a.FirstUse {
		d.FirstUse = int64(a.Validity.Months)*30*86400 + int64(a.Validity.Days)*86400 + int64(a.Validity.Clock.Seconds())
	}
	if a.Rollover != nil {
		over := core.Definition{Name: a.Name + " (kept)", Unit: d.Unit, Classes: d.Classes, Priority: d.Priority + 1, Zone: zone}
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
	g = given{Amount: int64(a.Amount), Renew: a.Renew, Validity: a.Validity, FirstUse: a.FirstUse, Shared: a.Shared, Name: a.Name}
	g.Definition, err = shelve(tx, "definition", "allowance "+a.ID+"#"+digest(d), d)
	return g, err
}

func (l *limit) shelve(tx *store.Tx, currency, zone string) (c capOf, err error) {
	d := core.Definition{Name: l.Name, Counter: true, Classes: l.Classes, Hard: l.Hard, Notices: l.Notices, Zone: zone, Reset: core.Monthly}
	switch l.Reset {
	case "", "cycle":
	case "day":
		d.Reset = core.Daily
	case "never":
		d.Reset = core.NoReset
	default:
		return c, fault.BadInput("invalidCharging", "A limit starts anew each day, each cycle or never, not %q", l.Reset)
	}
	if l.Amount != "" {
		d.Money, d.Unit = true, core.Money
		if c.Limit, err = nano(string(l.Amount), currency); err != nil {
			return c, err
		}
	} else {
		units := map[string]core.Unit{"octets": core.Octets, "seconds": core.Seconds, "events": core.Events}
		u, ok := units[l.Unit]
		if !ok || l.Units == 0 {
			return c, fault.BadInput("invalidCharging", "The limit %q needs an amount of money, or units of octets, seconds or events", l.Name)
		}
		d.Unit, c.Limit = u, int64(l.Units)
	}
	if len(d.Notices) == 0 {
		d.Notices = []uint8{80, 100}
	}
	c.Definition, err = shelve(tx, "definition", "limit "+l.Name+"#"+digest(d), d)
	return c, err
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

// planByNumber is a plan this node knows.
func (r *Room) planByNumber(n int64) *plan {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	return r.shelves.plans[n]
}

// tenantName is the tenant behind a number of the journal.
func (r *Room) tenantName(n uint32) string {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	return r.shelves.names[n]
}

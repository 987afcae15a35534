package charging

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// Attribute is the extension of an offering that says how its customers pay, which
// TMF620 has no field for:
//
//	"tandem:charging": {"mode": "postpaid", "credit": "50.00", "home": ["24001"], "limits": [{"name": "EU roaming", "classes": ["data.eu"], "amount": "50", "hard": true}]}
//
// docs/tariffs.md has an example of each thing that can be said.
const Attribute = "tandem:charging"

func init() { catalog.AskBeforeLaunch(judge) }

// terms are what the Attribute holds.
type terms struct {
	Mode     string         `json:"mode,omitzero"`     // prepaid (default), postpaid, hybridPrepaid, hybridPostpaid
	Credit   rating.Decimal `json:"credit,omitzero"`   // how far the balance, or the credit line of a hybrid account, may fall
	CycleDay int            `json:"cycleDay,omitzero"` // 1 to 28: the day of the month periods begin on; none: that of the start
	Limits   []limit        `json:"limits,omitzero"`
	Bonus    []bonus        `json:"bonus,omitzero"` // of top-ups

	// Home, Life and Defaults are those of the brand: of several offerings, what was said
	// last counts, for all customers at once.
	Home     []string       `json:"home,omitzero"` // PLMNs
	Life     *life          `json:"life,omitzero"`
	Defaults []DefaultGrant `json:"defaults,omitzero"` // where use has no price; an empty list: none from now on
}

// life is how long a prepaid account stays in each state after its last top-up or
// chargeable event.
type life struct {
	Active  civil.Duration `json:"active"`           // then it can only be reached
	Inbound civil.Duration `json:"inbound,omitzero"` // then it is barred
	Barred  civil.Duration `json:"barred,omitzero"`  // then it is closed
}

// limit is a spending limit, a cap on units, or a policy counter.
type limit struct {
	Name     string         `json:"name"`
	Classes  []string       `json:"classes,omitzero"` // none: all
	Amount   rating.Decimal `json:"amount,omitzero"`  // of money
	Units    uint64         `json:"units,omitzero"`
	Unit     string         `json:"unit,omitzero"`     // octets, seconds, events; of Units
	Per      string         `json:"per,omitzero"`      // account (default), line
	Hard     bool           `json:"hard,omitzero"`     // it refuses; else it only tells
	Net      bool           `json:"net,omitzero"`      // of money: counts without tax
	Optional bool           `json:"optional,omitzero"` // nobody is limited before it is set for him
	Notices  []int          `json:"notices,omitzero"`  // percentages, rising
	Reset    string         `json:"reset,omitzero"`    // day, cycle (default), never
	Normal   string         `json:"normal,omitzero"`   // status of the policy counter before the first step
	Statuses []statusFrom   `json:"statuses,omitzero"` // of a policy counter (TS 29.594), rising
	Months   int            `json:"months,omitzero"`   // of a cycle; none: one
	Window   civil.Duration `json:"window,omitzero"`   // instead of Reset: a period that begins with what is counted first
	TopUps   bool           `json:"topUps,omitzero"`   // it counts top-ups, not use
	Gift     *gift          `json:"gift,omitzero"`     // for who gets so far
	OpenData *openData      `json:"openData,omitzero"` // of fair use abroad: says the octets
}

// statusFrom is a status from an amount on, in what the limit is counted in.
type statusFrom struct {
	From   rating.Decimal `json:"from"`
	Status string         `json:"status"`
}

func nonsense(format string, args ...any) error {
	return fault.BadInput("invalidCharging", format, args...)
}

// termsOf reads the Attribute, strictly.
func termsOf(o *catalog.ProductOffering) (t terms, said bool, err error) {
	if len(o.Extra) == 0 {
		return t, false, nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(o.Extra, &all); err != nil {
		return t, false, err
	}
	doc, said := all[Attribute]
	if !said {
		return t, false, nil
	}
	if err := json.Unmarshal(doc, &t, json.RejectUnknownMembers(true)); err != nil {
		return t, true, nonsense("%s cannot be read: %v", Attribute, err)
	}
	return t, true, nil
}

// modes are the words for who pays first: own money or credit (P19).
var modes = map[string]core.Mode{"": core.Prepaid, "prepaid": core.Prepaid, "postpaid": core.Postpaid,
	"hybridPrepaid": core.HybridPrepaid, "hybridPostpaid": core.HybridPostpaid}

// check refuses terms that mean nothing beside a tariff and its allowances.
func (t *terms) check(tariff *rating.Plan, allowances []rating.Allowance) error {
	mode, known := modes[t.Mode]
	credit, err := nano(string(t.Credit), currencyOf(tariff))
	switch {
	case !known:
		return nonsense("mode is prepaid, postpaid, hybridPrepaid or hybridPostpaid, not %q", t.Mode)
	case err != nil:
		return fault.At("credit", err)
	case credit < 0:
		return nonsense("credit is how far the balance may fall; write it without a sign")
	case mode >= core.HybridPrepaid && credit == 0:
		return nonsense("mode %s has a credit line: say in credit how long it is", t.Mode)
	case t.CycleDay < 0 || t.CycleDay > 28:
		return nonsense("cycleDay is a day that each month has, 1 to 28, not %d", t.CycleDay)
	}
	if err := t.checkLife(mode); err != nil {
		return err
	}
	counters := map[string]string{}
	for i := range allowances {
		if err := checkCounted(&allowances[i], mode, counters); err != nil {
			return fault.At("Allowance "+allowances[i].Name, err)
		}
	}
	for i := range t.Limits {
		if err := t.Limits[i].check(tariff, counters); err != nil {
			return err
		}
	}
	return t.checkWithin(allowances)
}

func (t *terms) checkLife(mode core.Mode) error {
	l := t.Life
	if l == nil {
		return nil
	}
	for _, d := range [...]civil.Duration{l.Active, l.Inbound, l.Barred} {
		if d.Months > 0 {
			return nonsense("life: give days, such as P90D; a month has no fixed length")
		}
	}
	none := civil.Duration{}
	switch {
	case mode != core.Prepaid:
		return nonsense("life is for prepaid accounts: who pays a bill is not barred because he was silent")
	case l.Active == none:
		return nonsense("life needs active: how long an account lives after its last top-up or use, such as P90D")
	case l.Inbound == none && l.Barred != none:
		return nonsense("life has barred, but no inbound: say how long the account can still be reached before it is barred")
	}
	return nil
}

// checkCounted refuses an allowance whose caps or policy counter could not follow its
// periods, or whose price nobody would pay.
func checkCounted(a *rating.Allowance, mode core.Mode, counters map[string]string) error {
	if a.Price > 0 && mode == core.Postpaid {
		return nonsense("its price is taken from a balance; for who pays a bill, give the offering a price of type recurring")
	}
	if a.MemberCap == 0 && a.FairUse == nil {
		return nil
	}
	once, day, month := civil.Duration{}, civil.Duration{Days: 1}, civil.Duration{Months: 1}
	if a.Renew != once && a.Renew != day && a.Renew != month {
		return nonsense("memberCap and fairUse count by the day or by the month; it is given every %s", a.Renew)
	}
	if a.FairUse == nil {
		return nil
	}
	return named(counters, a.FairUse.Counter, "the fairUse of "+a.Name)
}

// named takes a name for a limit or a policy counter; two cannot have one.
func named(counters map[string]string, name, whose string) error {
	if other, taken := counters[name]; taken {
		return nonsense("%s and %s are both called %q: who asks how far it is could not tell them apart", other, whose, name)
	}
	counters[name] = whose
	return nil
}

func (l *limit) check(tariff *rating.Plan, counters map[string]string) error {
	if l.Name == "" {
		return nonsense("A limit needs a name: the customer is told of it")
	}
	if err := named(counters, l.Name, "a limit"); err != nil {
		return err
	}
	if err := l.sound(tariff); err != nil {
		return fault.At("Limit "+l.Name, err)
	}
	return nil
}

func hasClass(tariff *rating.Plan, class string) bool {
	return slices.ContainsFunc(tariff.Rules, func(r rating.Rule) bool { return r.Class == class })
}

func (l *limit) sound(tariff *rating.Plan) error {
	for _, class := range l.Classes {
		if !hasClass(tariff, class) {
			return nonsense("it is for the class %q, which no usage price has", class)
		}
	}
	_, resets := resets[l.Reset]
	_, counts := unitsOfLimit[l.Unit]
	money := l.Amount != "" || l.Unit == ""
	switch {
	case !resets:
		return nonsense("reset is day, cycle or never, not %q", l.Reset)
	case l.Per != "" && l.Per != "account" && l.Per != "line":
		return nonsense("per is account or line, not %q", l.Per)
	case l.Amount != "" && (l.Units != 0 || l.Unit != ""):
		return nonsense("it has an amount of money and units; make a limit of each")
	case !money && !counts:
		return nonsense("unit is octets, seconds or events, not %q", l.Unit)
	case money && l.Units != 0:
		return nonsense("units need unit: octets, seconds or events")
	case l.Units > rating.MaxUnits:
		return nonsense("%d units are more than an account can count", l.Units)
	case l.Net && !money:
		return nonsense("net is for money: units have no tax")
	case l.OpenData != nil && (l.Unit != "octets" || l.Units != 0):
		return nonsense("openData says how many octets it is: write unit octets, and no units")
	case l.Normal != "" && len(l.Statuses) == 0:
		return nonsense("normal is the status before others: statuses are missing")
	case len(l.Notices) > rating.MaxNotices:
		return nonsense("at most %d notices", rating.MaxNotices)
	}
	if err := l.checkNotices(); err != nil {
		return err
	}
	if err := l.checkPeriod(tariff); err != nil {
		return err
	}
	if _, err := l.volume(currencyOf(tariff)); err != nil {
		return err
	}
	at, err := l.value(l.Amount, currencyOf(tariff))
	if err != nil {
		return err
	}
	if onlyCounts := l.Optional || len(l.Statuses) > 0 || l.Gift != nil || l.OpenData != nil; l.Units == 0 && !onlyCounts && (!money || at <= 0) {
		return nonsense("it needs an amount of money, or units of octets, seconds or events; or optional, if it is set customer by customer; or statuses; or a gift")
	}
	_, err = l.steps(currencyOf(tariff))
	return err
}

func (l *limit) checkNotices() error {
	last := 0
	for _, n := range l.Notices {
		if n <= last || n > 100 {
			return nonsense("notices are percentages from 1 to 100, rising, such as [80, 100]")
		}
		last = n
	}
	return nil
}

// value reads an amount of what the limit counts.
func (l *limit) value(d rating.Decimal, currency string) (int64, error) {
	if l.Unit == "" {
		n, err := nano(string(d), currency)
		if err == nil && n < 0 {
			err = nonsense("%s is below zero", d)
		}
		return n, err
	}
	if d == "" {
		return 0, nil
	}
	n, ok := d.Whole()
	if !ok || n > rating.MaxUnits {
		return 0, nonsense("%s is no whole number of %s", d, l.Unit)
	}
	return int64(n), nil
}

// steps are the statuses of the limit's policy counter.
func (l *limit) steps(currency string) (list []core.Step, err error) {
	if len(l.Statuses) == 0 {
		return nil, nil
	}
	list = []core.Step{{From: 0, Status: cmp.Or(l.Normal, rating.DefaultStatus)}}
	for _, s := range l.Statuses {
		from, err := l.value(s.From, currency)
		last := list[len(list)-1]
		switch {
		case err != nil:
			return nil, err
		case s.Status == "":
			return nil, nonsense("the status from %s on has no name", s.From)
		case from <= last.From:
			return nil, nonsense("statuses rise from above zero; %s does not come after the one before", s.From)
		case s.Status == last.Status:
			return nil, nonsense("from %s on nothing changes: the status is %q before and after", s.From, s.Status)
		case len(list) == 100:
			return nil, nonsense("a policy counter has at most 100 statuses")
		}
		list = append(list, core.Step{From: from, Status: s.Status})
	}
	return list, nil
}

var (
	resets       = map[string]core.Reset{"": core.Monthly, "cycle": core.Monthly, "day": core.Daily, "never": core.NoReset}
	unitsOfLimit = map[string]core.Unit{"": core.Money, "octets": core.Octets, "seconds": core.Seconds, "events": core.Events}
)

// shelve puts a limit on the shelf.
func (l *limit) shelve(tx *store.Tx, currency, zone string) (c capOf, err error) {
	d := core.Definition{Name: l.Name, Unit: unitsOfLimit[l.Unit], Counter: true, Money: l.Unit == "", Net: l.Net, Classes: l.Classes, Hard: l.Hard,
		Zone: zone, Reset: resets[l.Reset], Months: l.Months, Window: rating.Seconds(l.Window), TopUps: l.TopUps, Notices: percents(l.Notices, 80, 100)}
	if d.Gift, err = l.shelveGift(tx, currency, zone); err != nil {
		return c, err
	}
	if d.Status, err = l.steps(currency); err != nil {
		return c, err
	}
	c.Each = l.Per == "line"
	if c.Limit, err = l.volume(currency); err != nil {
		return c, err
	}
	if l.Amount != "" {
		if c.Limit, err = l.value(l.Amount, currency); err != nil {
			return c, err
		}
	}
	c.Definition, err = shelve(tx, "definition", "limit "+l.Name+"#"+digest(d), d)
	return c, err
}

// percents are those that are told of: the given ones, or the usual.
func percents(list []int, usual ...uint8) (out []uint8) {
	for _, n := range list {
		out = append(out, uint8(n))
	}
	if len(out) == 0 {
		return usual
	}
	return out
}

func currencyOf(tariff *rating.Plan) string { return cmp.Or(tariff.Currency, "EUR") }

// tenantDoc is what an offering said of its brand, when.
type tenantDoc struct {
	Home     []uint32   `json:"home,omitzero"`
	Life     *core.Life `json:"life,omitzero"`
	Said     int64      `json:"said,omitzero"`     // Unix microseconds
	Offering string     `json:"offering,omitzero"` // that said it; older rows have none

	Defaults []DefaultGrant `json:"defaults,omitzero"` // nil: nothing was said of them
}

// same says that two offerings say the same, whenever they do.
func (d tenantDoc) same(o tenantDoc) bool {
	return slices.Equal(d.Home, o.Home) && (d.Life == o.Life || d.Life != nil && o.Life != nil && *d.Life == *o.Life) &&
		slices.Equal(d.Defaults, o.Defaults) && (d.Defaults == nil) == (o.Defaults == nil)
}

// brand is what a tenant has said last, of each thing.
type brand struct {
	number       uint32
	home         []uint32
	life         core.Life
	homeAt       int64
	lifeAt       int64
	homeN, lifeN int64 // the row it stands in

	defaults              []core.Default
	defaultsAt, defaultsN int64
}

// hear takes over what a row says, if nothing later was said.
func (b *brand) hear(row int64, d tenantDoc) error {
	if len(d.Home) > 0 && (d.Said > b.homeAt || d.Said == b.homeAt && row >= b.homeN) {
		b.home, b.homeAt, b.homeN = d.Home, d.Said, row
	}
	if d.Life != nil && (d.Said > b.lifeAt || d.Said == b.lifeAt && row >= b.lifeN) {
		b.life, b.lifeAt, b.lifeN = *d.Life, d.Said, row
	}
	if d.Defaults != nil && (d.Said > b.defaultsAt || d.Said == b.defaultsAt && row >= b.defaultsN) {
		list, err := DefaultGrants(d.Defaults)
		if err != nil {
			return err
		}
		b.defaults, b.defaultsAt, b.defaultsN = list, d.Said, row
	}
	return nil
}

// ofBrand is what the terms say of the brand; said is false if nothing.
func (t *terms) ofBrand(at int64) (d tenantDoc, said bool, err error) {
	d.Said = at
	for _, code := range t.Home {
		n, err := plmn(code)
		if err != nil {
			return d, false, err
		}
		d.Home = append(d.Home, n)
	}
	if l := t.Life; l != nil {
		d.Life = &core.Life{Active: rating.Seconds(l.Active), Inbound: rating.Seconds(l.Inbound), Barred: rating.Seconds(l.Barred)}
	}
	if _, err := DefaultGrants(t.Defaults); err != nil {
		return d, false, err
	}
	d.Defaults = t.Defaults
	return d, len(d.Home) > 0 || d.Life != nil || d.Defaults != nil, nil
}

// repeats says that an offering has said nothing else of its brand before: to say it
// again, as when a price of it changes, is no news.
func (d tenantDoc) repeats(tx *store.Tx) (is bool, err error) {
	rows, err := tx.Query("SELECT doc FROM charging_book WHERE tenant = $1 AND kind = 'tenant' ORDER BY number")
	docs, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return false, err
	}
	for _, doc := range docs {
		var old tenantDoc
		if err := json.Unmarshal([]byte(doc), &old); err != nil {
			return false, err
		}
		if old.Offering == d.Offering {
			is = old.same(d)
		}
	}
	return is, nil
}

// shelveTenant gives the brand its number, and takes down what an offering says of it
// from an instant on, if that is something else than it said before.
func (r *Room) shelveTenant(tx *store.Tx, offering string, t *terms, at int64) error {
	d, said, err := t.ofBrand(at)
	if err != nil {
		return err
	}
	if d.Offering = offering; said {
		again, err := d.repeats(tx)
		if err != nil {
			return err
		}
		said = !again
	}
	first, err := shelve(tx, "tenant", tx.Tenant(), tenantDoc{})
	if err != nil {
		return err
	}
	rows := []entry{{number: first, kind: "tenant", name: tx.Tenant(), doc: "{}"}}
	if said {
		number, err := shelve(tx, "tenant", tx.Tenant()+"@"+digest(d), d)
		if err != nil {
			return err
		}
		body, err := json.Marshal(d)
		if err != nil {
			return err
		}
		rows = append(rows, entry{number: number, kind: "tenant", doc: string(body)})
		tenant := tx.Tenant()
		tx.OnCommit(func() { r.takeOver(tenant, rows) })
	}
	// Nothing was charged for it before now, so its part of the journal begins here.
	_, err = tx.Exec("INSERT INTO charging_cursor (tenant, part, seq) VALUES ($1, 1, $2) ON CONFLICT (tenant, part) DO NOTHING", r.upto.Load())
	return err
}

// takeOver enters what this node has just written about a brand.
func (r *Room) takeOver(tenant string, rows []entry) {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	for _, e := range rows {
		if r.shelves.known[e.number] {
			continue
		}
		if err := r.put(tenant, e); err != nil {
			r.log.Error("charging: what was said of a brand cannot be read", "tenant", tenant, "err", err)
			return
		}
		r.shelves.known[e.number] = true
	}
}

// follow reads the shelf if another node has written what the brand says of itself:
// that holds for accounts which are open already, here too.
func (r *Room) follow(tx *store.Tx) error {
	var last int64
	if err := tx.Row("SELECT coalesce(max(number), 0) FROM charging_book WHERE tenant = $1 AND kind = 'tenant'").Scan(&last); err != nil {
		return err
	}
	r.shelves.mu.Lock()
	known := last == 0 || r.shelves.known[last]
	r.shelves.mu.Unlock()
	if known {
		return nil
	}
	return r.readShelf(tx)
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

// judge refuses to launch an offering that charging could not carry out, in the words
// of who wrote it, and hears what it says of the brand.
func judge(tx *store.Tx, o *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) error {
	t, said, err := termsOf(o)
	if err != nil {
		return fault.At("Offering "+strconv.Quote(o.Name), err)
	}
	if !said && !slices.ContainsFunc(prices, rating.Rates) {
		return nil
	}
	tariff, allowances, err := rating.FromCatalog(o, prices)
	if err != nil {
		return err
	}
	if err = t.sound(&tariff, allowances); err == nil {
		err = t.beside(&tariff, allowances)
	}
	if err != nil {
		return fault.At("Offering "+strconv.Quote(o.Name), err)
	}
	r := roomOn(tx.DB())
	if _, speaks, err := t.ofBrand(0); r == nil || err != nil || !speaks {
		return err
	}
	at, err := saidAt(tx, o, &t)
	if err != nil {
		return err
	}
	return r.shelveTenant(tx, o.ID, &t, at)
}

// saidAt is since when an offering says of the brand what it says: now, unless it was
// on the market with it already.
func saidAt(tx *store.Tx, o *catalog.ProductOffering, t *terms) (at int64, err error) {
	now := store.Micros(tx.Now())
	old, err := catalog.Offerings.Get(tx, o.ID)
	if fault.Is(err, fault.NotFound) || err == nil && (old.LifecycleStatus != catalog.Launched || old.LastUpdate.IsZero()) {
		return now, nil
	}
	if err != nil {
		return 0, err
	}
	was, _, err := termsOf(old)
	if err != nil {
		return now, nil // what stood there could not be read
	}
	before, _, err := was.ofBrand(0)
	if err != nil {
		return now, nil
	}
	if is, _, err := t.ofBrand(0); err != nil || !is.same(before) {
		return now, err
	}
	return store.Micros(old.LastUpdate), nil
}

// beside refuses limits of an offering that is no tariff: it gives a line something
// beside its tariff, and that is what limits the line.
func (t *terms) beside(tariff *rating.Plan, allowances []rating.Allowance) error {
	if len(tariff.Rules) > 0 {
		return nil
	}
	if len(t.Limits) > 0 {
		return nonsense("it has no price of type usage, so it is sold beside a tariff; limits stand in the tariff of the line")
	}
	for i := range allowances {
		if a := &allowances[i]; a.MemberCap > 0 || a.FairUse != nil {
			return fault.At("Allowance "+a.Name, nonsense("its offering has no price of type usage, so it is sold beside a tariff; memberCap and fairUse stand in the tariff of the line"))
		}
	}
	return nil
}

// sound says that an offering can be sold: its tariff compiles, and its terms go
// with it.
func (t *terms) sound(tariff *rating.Plan, allowances []rating.Allowance) error {
	if len(tariff.Rules) == 0 && len(allowances) == 0 {
		return nonsense("it has %s, but no price of type usage or allowance to charge by", Attribute)
	}
	if len(tariff.Rules) > 0 {
		if _, err := rating.Compile(*tariff); err != nil {
			return err
		}
	}
	if err := t.check(tariff, allowances); err != nil {
		return err
	}
	for i := range t.Bonus {
		if err := t.Bonus[i].check(currencyOf(tariff)); err != nil {
			return err
		}
	}
	_, _, err := t.ofBrand(0)
	return err
}

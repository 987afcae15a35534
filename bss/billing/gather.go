package billing

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"tandem/bss/billing/compute"
	"tandem/bss/charging"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Gathered is all that the bill of one account is made from, and who stands on it.
type Gathered struct {
	Account string        // that pays
	Input   compute.Input // for [compute.Make]
	// Parked says in a sentence why the account cannot be billed and what to do about it;
	// Code is that reason for machines. Empty: it can.
	Parked string
	Code   string

	provisional string // why the legal entity cannot send invoices yet, and what to do

	next civil.Date // when the bill after this one is due
	// Suspense counts usage records of the accounts it pays for that could not be rated yet.
	Suspense int64

	marks   []usageMark
	unnamed map[string]string // customers whose wallets name no account, to the one they are billed on from now on
	paper   Document          // all of the document but what is computed
}

// usageMark is how far a bill takes the usage of a wallet: what was written up to a number
// and used before an instant. What the marks of an account's bills hold is billed; the next
// bill takes its own rectangle less the last one, so usage that comes late is found by itself.
type usageMark struct {
	account string
	wallet  int64 // number in charging
	charging.BillMark
}

// Document is the document of a bill that was computed from what was gathered; id is that
// of the bill.
func (g *Gathered) Document(id string, b *compute.Bill) *Document {
	d := g.paper
	d.Bill = id
	d.fill(b)
	d.Due = d.Date.AddDays(int(d.DueDays))
	return &d
}

const insertMark = "INSERT INTO billing_usage_upto (tenant, account, wallet, before_at, bill, number, entry, charged_at)"

// Mark writes down with the draft of a bill how far it takes usage.
func (g *Gathered) Mark(tx *store.Tx, bill string) {
	for _, m := range g.marks {
		tx.Insert(insertMark, m.account, m.wallet, m.Before, bill, m.Number, m.Entry, m.At)
	}
	for _, customer := range slices.Sorted(maps.Keys(g.unnamed)) {
		charging.BillOn(tx, customer, g.unnamed[customer])
	}
}

// Unmark forgets how far a discarded draft took usage.
func Unmark(tx *store.Tx, _, bill string) {
	tx.Queue("DELETE FROM billing_usage_upto WHERE tenant = $1 AND bill = $2", bill)
}

// Gather reads what the bills of up to a page of accounts are made from: for each the last
// billing period that ends on or before a date, by the calendar of its own zone. An account
// that cannot be billed comes with the reason; the others go on. One that another account
// pays for has nothing of its own: it is on the payer's bill. The answer is in the order of
// the ids. The number of statements grows with hundreds of accounts, not with each.
func Gather(tx *store.Tx, accounts []string, upto civil.Date) (out []Gathered, err error) {
	defer fault.Wrap(&err, "billing.Gather")
	g := newGatherer(tx, accounts, upto)
	if err := g.all(nil); err != nil {
		return nil, err
	}
	out = make([]Gathered, len(g.rows))
	for i := range g.rows {
		out[i] = g.rows[i].Gathered
	}
	return out, nil
}

func newGatherer(tx *store.Tx, accounts []string, upto civil.Date) *gatherer {
	g := &gatherer{tx: tx, upto: upto, rows: make([]gathering, len(accounts)), of: map[string]*gathering{}}
	for i, id := range accounts {
		g.rows[i].Account = id
		g.of[id] = &g.rows[i]
	}
	return g
}

// all reads everything. suppose, if there is one, changes what is owed before it is looked
// at what of it was billed: a preview supposes that something is ordered.
func (g *gatherer) all(suppose func() error) error {
	if suppose == nil {
		suppose = func() error { return nil }
	}
	for _, step := range []func() error{g.payers, g.terms, g.parties, g.items, suppose, g.corrected, g.billed, g.usage, g.finish} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// gatherer is one page under way.
type gatherer struct {
	tx    *store.Tx
	upto  civil.Date
	rows  []gathering
	of    map[string]*gathering // by every account of it: the payer's and those paid for
	rates map[string]rateTable
}

// gathering is one payer under way.
type gathering struct {
	Gathered
	account  *Account
	paidFor  []string // accounts: its own, and those it pays for
	entity   *LegalEntity
	zone     *time.Location
	cycle    civil.Cycle // of its billing periods, as it is now
	cal      calendar    // as it was and is
	period   civil.Period
	rates    rateTable
	buyer    DocumentParty
	customer string
	docs     []*itemRow
	changed  bool // an item is new or changed since it was billed
	counting bool // there is a discount or commitment
	byUsage  bool // one of them counts usage
	since    time.Time
}

// park sets the account aside; the first reason stays.
func (g *gathering) park(code, format string, args ...any) {
	if g.Parked == "" {
		g.Code, g.Parked = code, fmt.Sprintf(format, args...)
	}
}

const (
	billedBy  = "billedBy" // relationshipType of an account to the one that pays for it
	maxPayers = 4          // levels of accounts that pay for accounts
)

// payers reads the accounts and those that they pay for.
func (g *gatherer) payers() error {
	ids := make([]string, len(g.rows))
	for i := range g.rows {
		ids[i] = g.rows[i].Account
	}
	if err := BillingAccounts.Fetch(g.tx, ids, false); err != nil {
		return err
	}
	for i := range g.rows {
		p := &g.rows[i]
		if p.account != nil {
			continue // one that is only supposed
		}
		a, err := BillingAccounts.Get(g.tx, p.Account)
		if fault.Is(err, fault.NotFound) {
			p.park("unknownAccount", "There is no billing account %q any more: take it off the list", p.Account)
			continue
		}
		if err != nil {
			return err
		}
		p.account = a
		if a.payer(g.tx.Now()) == "" {
			p.paidFor = []string{a.ID}
		}
	}
	level := ids
	for range maxPayers {
		if len(level) == 0 {
			return nil
		}
		owners, err := BillingAccounts.Owners(g.tx, "accountRelationship.account.id", level)
		if err != nil {
			return err
		}
		var next []string
		for _, list := range owners {
			next = append(next, list...)
		}
		if level, err = g.children(next); err != nil {
			return err
		}
	}
	return nil
}

// children are those of some accounts that one of the page pays for.
func (g *gatherer) children(ids []string) ([]string, error) {
	if err := BillingAccounts.Fetch(g.tx, ids, false); err != nil {
		return nil, err
	}
	slices.Sort(ids)
	var out []string
	for _, id := range slices.Compact(ids) {
		a, err := BillingAccounts.Get(g.tx, id)
		if err != nil {
			return nil, err
		}
		p := g.of[a.payer(g.tx.Now())]
		own := g.of[id]
		if p == nil || p == own || p.account == nil || slices.Contains(p.paidFor, id) {
			continue
		}
		p.paidFor = append(p.paidFor, id)
		if own != nil { // what it pays for goes with it
			p.paidFor, own.paidFor = append(p.paidFor, own.paidFor...), nil
		}
		for _, paid := range p.paidFor {
			g.of[paid] = p
		}
		out = append(out, id)
	}
	return out, nil
}

// payer is the account that pays for this one, "" if it pays itself.
func (a *Account) payer(at time.Time) string {
	for _, r := range a.AccountRelationship {
		if r.RelationshipType == billedBy && r.Account != nil && r.Account.ID != a.ID && r.ValidFor.Holds(at) {
			return r.Account.ID
		}
	}
	return ""
}

// terms finds the legal entity, calendar, currency and zone of each payer.
func (g *gatherer) terms() (err error) {
	if g.rates, err = ratesOf(g.tx); err != nil {
		return err
	}
	ids := make([]string, len(g.rows))
	for i := range g.rows {
		ids[i] = g.rows[i].Account
	}
	was, err := calendarsBefore(g.tx, ids)
	if err != nil {
		return err
	}
	for i := range g.rows {
		p := &g.rows[i]
		if p.Parked != "" {
			continue
		}
		if p.entity, err = EntityOf(g.tx, p.account); fault.Is(err, fault.NotFound) {
			p.park("noLegalEntity", "There is no legal entity that bills account %q: make one (legalEntity), or name another in the account", p.Account)
			continue
		}
		if err != nil {
			return err
		}
		if err := g.calendar(p, was[p.Account]); err != nil {
			return err
		}
	}
	return nil
}

// EntityOf is the legal entity that bills an account.
func EntityOf(tx *store.Tx, a *Account) (*LegalEntity, error) {
	if a.LegalEntity != nil {
		return LegalEntities.Look(tx, a.LegalEntity.ID)
	}
	type key struct{}
	v, err := tx.Memo(key{}, func() (any, error) { return DefaultEntity(tx) })
	if err != nil {
		return nil, err
	}
	return v.(*LegalEntity), nil
}

// calendar says which period is billed, and when it ends where the account is.
func (g *gatherer) calendar(p *gathering, was []before) error {
	zone, cycle, days, err := calendarOf(g.tx, p.account, p.entity)
	if f := fault.Of(err); err != nil && f.Kind == fault.Invalid {
		p.park("badCycle", "%s", f.Reason)
		return nil
	}
	if err != nil {
		return err
	}
	currency, err := money.ParseCurrency(cmp.Or(p.account.Currency, p.entity.Currency))
	if err != nil {
		p.park("unknownCurrency", "The account has no currency that can be billed: %v", err)
		return nil
	}
	rounding, err := money.ParseRounding(p.entity.Rounding)
	if err != nil {
		return err
	}
	p.zone = zone
	p.Input = compute.Input{Terms: compute.Terms{Account: p.Account, Currency: currency, Zone: zone, Moved: moved(was, zone), Cycle: cycle, Rounding: rounding}}
	p.cycle = cycle
	if err := p.billing(g.upto, was); err != nil {
		return err
	}
	if m := p.account.MinimumBill; m != nil && m.Currency == currency {
		least, err := m.Post(money.HalfUp)
		if err != nil {
			return err
		}
		p.Input.Minimum = least.Minor
	}
	p.paper.DueDays = days
	return nil
}

// billing finds the billing period: the last one that ends on or before a date.
func (p *gathering) billing(upto civil.Date, was []before) (err error) {
	if p.cal, err = calendarAfter(was, p.cycle); err != nil {
		return err
	}
	whole := true
	if p.period, whole, err = p.cal.last(upto); err != nil {
		return err
	}
	next, _, err := p.cal.period(p.period.To)
	if err != nil {
		return err
	}
	p.next, p.paper.Shortened = next.To, !whole
	return p.cal.input(&p.Input, p.period, whole)
}

// itemRow is what a bill needs of a billable item.
type itemRow struct {
	account  string
	revision int64
	*BillableItem
}

const readItems = `SELECT a_billing_account_id, rev, doc FROM billing_item WHERE tenant = $1 AND a_billing_account_id IN (`

// items reads what is owed on the accounts.
func (g *gatherer) items() error {
	args := store.Padded(g.paying())
	if len(args) == 0 {
		return nil
	}
	rows, err := g.tx.Query(readItems+store.In(2, len(args))+") ORDER BY a_billing_account_id, id", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (bool, error) {
		var doc []byte
		it := &itemRow{BillableItem: &BillableItem{}}
		if err := r.Scan(&it.account, &it.revision, &doc); err != nil {
			return false, err
		}
		if p := g.of[it.account]; p != nil {
			p.docs = append(p.docs, it)
		}
		return true, decodeItem(doc, it.BillableItem)
	})
	return err
}

// paying are the accounts of all payers that can be billed.
func (g *gatherer) paying() (out []string) {
	for i := range g.rows {
		if p := &g.rows[i]; p.Parked == "" {
			out = append(out, p.paidFor...)
		}
	}
	return out
}

const (
	billedColumns = "b.item, b.idx, b.version, b.bill, b.net, b.tax_category, b.tax_num, b.tax_den, b.tax_included, b.revision"
	readLastOf    = "SELECT c.account, " + billedColumns + ` FROM billing_charge c JOIN billing_billed b ON b.tenant = c.tenant AND b.item = c.item
		WHERE c.tenant = $1 AND b.idx = (SELECT max(m.idx) FROM billing_billed m WHERE m.tenant = c.tenant AND m.item = c.item) AND c.account IN (`
	readAllOf = "SELECT '', " + billedColumns + " FROM billing_billed b WHERE b.tenant = $1 AND b.item IN ("
)

type billedRow struct {
	account string
	compute.Billed
}

// billed reads what was billed of the items: the last period of each, and all of them where
// an item was changed since, or is worked out from others.
func (g *gatherer) billed() error {
	args := store.Padded(g.paying())
	if len(args) == 0 {
		return nil
	}
	rows, err := g.tx.Query(readLastOf+store.In(2, len(args))+")", args...)
	last, err := store.Collect(rows, err, scanBilled)
	if err != nil {
		return err
	}
	known := map[string][]billedRow{}
	for _, b := range last {
		known[b.Item] = append(known[b.Item], b)
	}
	var all []string
	for i := range g.rows {
		all = append(all, g.rows[i].wantsAll(known)...)
	}
	if args = store.Padded(all); len(args) > 0 {
		rows, err := g.tx.Query(readAllOf+store.In(2, len(args))+")", args...)
		more, err := store.Collect(rows, err, scanBilled)
		if err != nil {
			return err
		}
		for _, id := range all {
			known[id] = nil
		}
		for _, b := range more {
			known[b.Item] = append(known[b.Item], b)
		}
	}
	given, err := g.credited(args)
	if err != nil {
		return err
	}
	for i := range g.rows {
		p := &g.rows[i]
		for _, it := range p.docs {
			p.Input.Billed = append(p.Input.Billed, merged(known[it.ID])...)
			p.Input.Credited = append(p.Input.Credited, given[it.ID]...)
		}
	}
	return nil
}

const readCredited = `SELECT item, idx, corrects, amount, tax_category, tax_num, tax_den, tax_included FROM billing_credited
	WHERE tenant = $1 AND item IN (`

// credited reads what final credit notes gave back of the items that are looked at again.
func (g *gatherer) credited(items []any) (map[string][]compute.Credited, error) {
	if len(items) == 0 {
		return nil, nil
	}
	out := map[string][]compute.Credited{}
	rows, err := g.tx.Query(readCredited+store.In(2, len(items))+") ORDER BY item, idx, note, line", items...)
	_, err = store.Collect(rows, err, func(r store.Rows) (c compute.Credited, err error) {
		var corrects, amount, included int64
		err = r.Scan(&c.Item, &c.Index, &corrects, &amount, &c.TaxCategory, &c.TaxRate.Num, &c.TaxRate.Den, &included)
		c.TaxIncluded = included == 1
		if corrects == 1 {
			c.Corrected = amount
		} else {
			c.Waived = amount
		}
		out[c.Item] = append(out[c.Item], c)
		return c, err
	})
	return out, err
}

func scanBilled(r store.Rows) (b billedRow, err error) {
	included := int64(0)
	err = r.Scan(&b.account, &b.Item, &b.Index, &b.Version, &b.Bill, &b.Net, &b.TaxCategory, &b.TaxRate.Num, &b.TaxRate.Den, &included, &b.Revision)
	b.TaxIncluded = included == 1
	return b, err
}

// wantsAll are the items all of whose periods are looked at again, of those that have any.
func (p *gathering) wantsAll(known map[string][]billedRow) (out []string) {
	for _, it := range p.docs {
		fresh := true
		for _, b := range known[it.ID] {
			if p.paper.Replaces != nil {
				break // any of its periods may have been credited, to be charged again
			}
			fresh = fresh && b.Revision != it.revision
		}
		sort := sortOf(it.BillableItem)
		counts := sort == compute.Discount || sort == compute.Commitment
		p.counting = p.counting || counts
		if fresh {
			p.changed = true
		}
		if (fresh || counts) && len(known[it.ID]) > 0 {
			out = append(out, it.ID)
		}
		if counts && it.countsUsage() {
			p.byUsage = true
			if p.since.IsZero() || it.From.Before(p.since) {
				p.since = it.From
			}
		}
	}
	if !p.counting || !p.changed {
		return out
	}
	out = nil
	for _, it := range p.docs {
		if len(known[it.ID]) > 0 {
			out = append(out, it.ID)
		}
	}
	return out
}

// merged joins the lines of a service period that have the same tax.
func merged(rows []billedRow) (out []compute.Billed) {
	slices.SortFunc(rows, func(a, b billedRow) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Version, b.Version))
	})
	for i := 0; i < len(rows); {
		from := len(out)
		end := i
		for ; end < len(rows) && rows[end].Index == rows[i].Index; end++ {
			b := rows[end].Billed
			at := slices.IndexFunc(out[from:], func(o compute.Billed) bool {
				return o.TaxRate == b.TaxRate && o.TaxCategory == b.TaxCategory && o.TaxIncluded == b.TaxIncluded
			})
			if at < 0 {
				b.Bill = rows[i].Bill
				out = append(out, b)
				continue
			}
			out[from+at].Net += b.Net
			out[from+at].Revision = b.Revision
		}
		for n := from; n < len(out); n++ {
			out[n].Version, out[n].Revision = rows[end-1].Version+1, rows[end-1].Revision
		}
		i = end
	}
	return out
}

const readMarks = `SELECT account, wallet, before_at, number, entry, charged_at FROM billing_usage_upto u WHERE tenant = $1 AND before_at =
	(SELECT max(before_at) FROM billing_usage_upto m WHERE m.tenant = u.tenant AND m.account = u.account AND m.wallet = u.wallet) AND account IN (`

// lastMarks are the rectangles of accounts' last bills.
func lastMarks(tx *store.Tx, accounts []any) (map[string]charging.BillMarks, error) {
	rows, err := tx.Query(readMarks+store.In(2, len(accounts))+")", accounts...)
	all, err := store.Collect(rows, err, scanMark)
	return byAccount(all), err
}

func scanMark(r store.Rows) (m usageMark, err error) {
	return m, r.Scan(&m.account, &m.wallet, &m.Before, &m.Number, &m.Entry, &m.At)
}

// byAccount puts rectangles by account and wallet, of several of one wallet the largest.
func byAccount(all []usageMark) map[string]charging.BillMarks {
	out := map[string]charging.BillMarks{}
	for _, m := range all {
		of := out[m.account]
		if of == nil {
			of = charging.BillMarks{}
			out[m.account] = of
		}
		if was, ok := of[m.wallet]; !ok || was.Before < m.Before || was.Number < m.Number || was.Entry < m.Entry {
			of[m.wallet] = m.BillMark
		}
	}
	return out
}

// usage asks charging what is owed for use.
func (g *gatherer) usage() error {
	ids := g.paying()
	args := store.Padded(ids)
	if len(args) == 0 {
		return nil
	}
	marks, err := lastMarks(g.tx, args)
	if err != nil {
		return err
	}
	usual, err := g.usualOf(ids)
	if err != nil {
		return err
	}
	asked, accounts := make([]charging.ToBill, len(ids)), map[string]string{}
	for i, id := range ids {
		asked[i] = g.of[id].toBill(id, marks[id])
		asked[i].Customer, accounts[id] = usual[id], usual[id]
	}
	found, err := charging.BillFor(g.tx, asked)
	if err != nil {
		return err
	}
	suspended, err := charging.SuspendedOf(g.tx, accounts)
	if err != nil {
		return err
	}
	for i, id := range ids {
		p := g.of[id]
		p.Suspense += suspended[id]
		for _, wallet := range slices.Sorted(maps.Keys(found[i].Marks)) {
			p.marks = append(p.marks, usageMark{id, wallet, found[i].Marks[wallet]})
		}
		if found[i].Unnamed {
			if p.unnamed == nil {
				p.unnamed = map[string]string{}
			}
			p.unnamed[usual[id]] = id
		}
		for n := range found[i].Totals {
			p.use(id, &found[i].Totals[n])
		}
	}
	return nil
}

// usualOf says of accounts whose usual one they are: the account a customer is billed on
// when nothing names another, see [AccountFor].
func (g *gatherer) usualOf(ids []string) (map[string]string, error) {
	customers := map[string]bool{}
	for _, id := range ids {
		a, err := g.accountOf(id)
		if err != nil {
			return nil, err
		}
		if c := a.Customer(); c != "" {
			customers[c] = true
		}
	}
	owners, err := BillingAccounts.Owners(g.tx, "relatedParty.id", slices.Sorted(maps.Keys(customers)))
	if err != nil {
		return nil, err
	}
	var others []string
	for _, of := range owners {
		if len(of) > 1 {
			others = append(others, of...)
		}
	}
	if err := BillingAccounts.Fetch(g.tx, others, false); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for customer, of := range owners {
		for _, id := range of {
			a, err := g.accountOf(id)
			if err != nil {
				return nil, err
			}
			if a.State != Closed && a.belongsTo(customer) {
				out[id] = customer
				break
			}
		}
	}
	return out, nil
}

// accountOf is an account of the page, or another one.
func (g *gatherer) accountOf(id string) (*Account, error) {
	if p := g.of[id]; p != nil && p.account != nil && p.account.ID == id {
		return p.account, nil
	}
	return BillingAccounts.Get(g.tx, id)
}

// toBill is the question for one account.
func (p *gathering) toBill(account string, after charging.BillMarks) charging.ToBill {
	start := func(d civil.Date) int64 { return store.Micros(p.Input.Start(d)) }
	a := charging.ToBill{Account: account, After: after, From: start(p.period.From), Before: start(p.period.To), All: p.byUsage,
		Period: func(at int64) int { return dayNumber(p.periodOf(p.Input.Date(store.Instant(at))).From) },
		Span: func(period int) (from, to int64) {
			of := p.periodOf(dayOne.AddDays(period))
			return start(of.From), start(of.To)
		}}
	if p.byUsage && p.changed {
		a.Since = store.Micros(p.since)
	}
	return a
}

// dayOne is the day from which the first days of billing periods are counted, by which charging
// knows them.
var dayOne = civil.Date{Year: 2000, Month: time.January, Day: 1}

func dayNumber(d civil.Date) int { return d.Sub(dayOne) }

// periodOf is the billing period that holds a day. Its calendar was checked; a day that lies
// outside of all calendars is in a period of its own, and parks the account.
func (p *gathering) periodOf(d civil.Date) civil.Period {
	of, _, err := p.cal.period(d)
	if err != nil {
		p.park("badCycle", "Usage of the account lies outside of all calendars: %v", err)
		return civil.Period{From: d, To: d.AddDays(1)}
	}
	return of
}

// use makes a line of usage.
func (p *gathering) use(account string, t *charging.BillTotal) {
	of := p.periodOf(dayOne.AddDays(t.Period))
	if t.Amount.Currency != p.Input.Currency {
		p.park("wrongCurrency", "Product %q is used in %s, its bill is in %s: bill it on another account", t.Product, t.Amount.Currency, p.Input.Currency)
		return
	}
	category, ok := p.rates.category("", "", t.TaxPercent, p.period.To)
	if !ok && p.Input.Override == "" {
		p.park("noTaxRate", "Usage of product %q is taxed with %s %%, of which there is no category in %s on %s: add a taxRate", t.Product, t.TaxPercent, p.entity.Jurisdiction, p.period.To)
	}
	u := compute.UsageSum{Key: t.Product + "|" + t.What + "|" + t.Class + "|" + t.Unit + "|" + t.TaxPercent + "|" + strconv.FormatBool(t.TaxIncluded) + "|" + strconv.Itoa(t.Period),
		Product: t.Product, Name: t.Name, Class: t.Class, Quantity: t.Quantity, Unit: t.Unit, Records: t.Records, Amount: t.Amount, Before: t.Before,
		Period: of, TaxCategory: category, TaxIncluded: t.TaxIncluded, Revenue: p.entity.Revenue}
	if t.What != charging.BillUsage {
		u.Name = say(p.paper.Language, "usage."+t.What+"."+t.Class)
	} else if u.Name == "" {
		u.Name = u.Class
	}
	if account != p.Account {
		u.Account = account
	}
	p.Input.Usage = append(p.Input.Usage, u)
}

const readCorrected = `SELECT n.account, c.bill, p.number, p.issue_date FROM billing_credit_of c JOIN billing_draft n ON n.tenant = c.tenant AND n.id = c.note
	JOIN billing_posted p ON p.tenant = c.tenant AND p.bill = c.bill WHERE c.tenant = $1 AND c.rebill = 1 AND n.account IN (`

// corrected finds the bills that were credited to be charged anew, where no bill was made
// since: the bill that is made now comes in their place.
func (g *gatherer) corrected() error {
	args := store.Padded(g.paying())
	if len(args) == 0 {
		return nil
	}
	rows, err := g.tx.Query(readCorrected+store.In(2, len(args))+`) AND NOT EXISTS
		(SELECT 1 FROM billing_draft x WHERE x.tenant = n.tenant AND x.account = n.account AND x.turn > n.turn AND x.kind = 'invoice') ORDER BY n.turn`, args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (p Preceding, err error) {
		var account, issued string
		if err = r.Scan(&account, &p.Bill, &p.Number, &issued); err != nil {
			return p, err
		}
		p.Date, err = civil.ParseDate(issued)
		g.of[account].paper.Replaces = &p
		return p, err
	})
	return err
}

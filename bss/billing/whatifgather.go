package billing

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"tandem/bss/billing/compute"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/kit/civil"
	"tandem/kit/store"
)

// replayed is a posted bill that is worked out once more, from what was known when it was
// made: the items as they were, what bills before it had billed, the usage of its rectangle.
type replayed struct {
	id, account, number string
	currency            string
	turn, at            int64
	doc                 *Document // as it was posted; nil: it is gone
	own                 *gathering
	earlier             map[string][]compute.Billed // by item: what bills before it had billed
	now                 []compute.UsageSum          // its usage by the changed tariffs
	offering            map[string]string           // by product: what its usage was charged by
	usage               charging.Rebilled
	code, parked        string // why it cannot be worked out
}

func (b *replayed) park(code, format string, args ...any) {
	if b.parked == "" {
		b.code, b.parked = code, short(fmt.Sprintf(format, args...))
	}
}

const readReplayed = `SELECT d.id, d.account, p.number, d.currency, d.turn, d.at, d.bill_date, coalesce(t.doc, '') FROM billing_draft d
	JOIN billing_posted p ON p.tenant = d.tenant AND p.bill = d.id LEFT JOIN billing_document t ON t.tenant = d.tenant AND t.bill = d.id
	WHERE d.tenant = $1 AND d.id IN (`

// readBills reads the bills of a page, in groups: each of one bill date, with one bill of an
// account.
func readBills(tx *store.Tx, ids []string) (all []*replayed, groups [][]*replayed, err error) {
	args := store.Padded(ids)
	rows, err := tx.Query(readReplayed+store.In(2, len(args))+") ORDER BY d.account, d.turn", args...)
	type group struct {
		date string
		nth  int
	}
	at, seen := map[group]int{}, map[[2]string]int{}
	all, err = store.Collect(rows, err, func(r store.Rows) (*replayed, error) {
		b := &replayed{earlier: map[string][]compute.Billed{}}
		var date, doc string
		err := r.Scan(&b.id, &b.account, &b.number, &b.currency, &b.turn, &b.at, &date, &doc)
		if err != nil {
			return b, err
		}
		if doc == "" {
			b.park("documentGone", "The document of bill %s is gone: see tandem verify", b.number)
			return b, nil
		}
		if b.doc, err = ReadDocument([]byte(doc)); err != nil { // the others can be compared
			b.doc = nil
			b.park("documentGone", "The document of bill %s cannot be read: see tandem verify", b.number)
			return b, nil
		}
		key := [2]string{date, b.account}
		g := group{date, seen[key]}
		seen[key]++
		if _, ok := at[g]; !ok {
			at[g] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[g]] = append(groups[at[g]], b)
		return b, nil
	})
	return all, groups, err
}

// replaying is the gathering of a group of bills.
type replaying struct {
	*gatherer
	bills map[string]*replayed // by every account that is on one: the payer's and those paid for
	with  charging.Substitutes
}

// replay gathers the bills of a group as they were.
func replay(tx *store.Tx, group []*replayed, with charging.Substitutes) error {
	ids := make([]string, len(group))
	for i, b := range group {
		ids[i] = b.account
	}
	r := &replaying{gatherer: newGatherer(tx, ids, group[0].doc.To), bills: map[string]*replayed{}, with: with}
	for i, b := range group {
		r.bills[b.account], b.own = b, &r.rows[i]
	}
	for _, step := range []func() error{r.payers, r.formerly, r.terms, r.parties, r.then, r.before, r.used, r.finish} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, b := range group {
		b.own.paper.Replaces = b.doc.Replaces
		if b.own.Parked != "" {
			b.park(b.own.Code, "%s", b.own.Parked)
		} else if p := b.own.period; p.From != b.doc.From || p.To != b.doc.To {
			b.park("otherCalendar", "The account's billing periods have changed since: the bill is for %s to %s, by its calendar now it would be for %s to %s",
				b.doc.From, b.doc.To, p.From, p.To)
		}
	}
	return nil
}

// formerly puts accounts back that were paid for then: their lines are on the bill.
func (r *replaying) formerly() error {
	for i := range r.rows {
		p := &r.rows[i]
		b := r.bills[p.Account]
		for j := range b.doc.Lines {
			if id := b.doc.Lines[j].Account; id != "" && !slices.Contains(p.paidFor, id) && r.of[id] == nil {
				p.paidFor, r.of[id] = append(p.paidFor, id), p
			}
		}
		if !slices.Contains(p.paidFor, p.Account) && p.Parked == "" {
			p.paidFor, r.of[p.Account] = append(p.paidFor, p.Account), p // it pays for itself no more, but did then
		}
		for _, id := range p.paidFor {
			r.bills[id] = b
		}
	}
	return nil
}

const (
	itemsThen = "SELECT id, a_billing_account_id, rev, updated_at, doc FROM billing_item WHERE tenant = $1 AND a_billing_account_id IN ("
	itemsByID = "SELECT id, a_billing_account_id, rev, updated_at, doc FROM billing_item WHERE tenant = $1 AND id IN ("
)

// then reads the items as they were when the bills were made.
func (r *replaying) then() error {
	args := store.Padded(r.paying())
	if len(args) == 0 {
		return nil
	}
	bill, found := map[string]*replayed{}, map[string]*itemRow{}
	since := map[string]time.Time{}
	read := func(text string, args []any) error {
		rows, err := r.tx.Query(text+store.In(2, len(args))+")", args...)
		_, err = store.Collect(rows, err, func(rows store.Rows) (id string, err error) {
			it := &itemRow{BillableItem: &BillableItem{}}
			var updated int64
			var doc []byte
			if err = rows.Scan(&id, &it.account, &it.revision, &updated, &doc); err != nil {
				return id, err
			}
			if bill[id] == nil {
				bill[id] = r.bills[it.account]
			}
			if b := bill[id]; b != nil && updated > b.at {
				since[id] = store.Instant(b.at)
			}
			found[id] = it
			return id, decodeItem(doc, it.BillableItem)
		})
		return err
	}
	if err := read(itemsThen, args); err != nil {
		return err
	}
	var moved []string // items that are on the bill, and on another account by now
	for _, p := range r.bills {
		for i := range p.doc.Lines {
			if id := p.doc.Lines[i].Item; id != "" && found[id] == nil && bill[id] == nil {
				bill[id], moved = p, append(moved, id)
			}
		}
	}
	for ids := range slices.Chunk(moved, itemsAtOnce) {
		if err := read(itemsByID, store.Padded(ids)); err != nil {
			return err
		}
	}
	was, err := Items.AsOf(r.tx, since)
	if err != nil {
		return err
	}
	for id, it := range found {
		if old, changed := was[id]; changed && old == nil {
			continue // it was made later
		} else if changed {
			it = &itemRow{account: old.BillingAccount.ID, revision: old.Rev(), BillableItem: old}
		}
		if p := r.of[it.account]; p != nil && p.Parked == "" {
			p.docs = append(p.docs, it)
		}
	}
	return nil
}

const (
	billedThen = `SELECT d.account, d.turn, d.at, ` + billedColumns + ` FROM billing_billed b JOIN billing_draft d ON d.tenant = b.tenant AND d.id = b.bill
		WHERE b.tenant = $1 AND b.item IN (`
	creditsThen = `SELECT d.account, d.turn, d.at, c.item, c.idx, c.corrects, c.amount, c.tax_category, c.tax_num, c.tax_den, c.tax_included
		FROM billing_credited c JOIN billing_draft d ON d.tenant = c.tenant AND d.id = c.note WHERE c.tenant = $1 AND c.item IN (`
	itemsAtOnce = 4000
)

// madeBefore says that another bill was there when this one was made.
func (b *replayed) madeBefore(account string, turn, at int64) bool {
	if account == b.account {
		return turn < b.turn
	}
	return at < b.at
}

// before reads what of the items was billed and credited when the bills were made.
func (r *replaying) before() error {
	bill := map[string]*replayed{}
	for i := range r.rows {
		p := &r.rows[i]
		p.changed = true
		for _, it := range p.docs {
			bill[it.ID] = r.bills[p.Account]
			p.counts(it)
		}
	}
	known := map[string][]billedRow{}
	given := map[string][]compute.Credited{}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(bill)), itemsAtOnce) {
		args := store.Padded(ids)
		rows, err := r.tx.Query(billedThen+store.In(2, len(args))+")", args...)
		if _, err = store.Collect(rows, err, func(rows store.Rows) (b billedRow, err error) {
			var turn, at, included int64
			err = rows.Scan(&b.account, &turn, &at, &b.Item, &b.Index, &b.Version, &b.Bill, &b.Net, &b.TaxCategory, &b.TaxRate.Num, &b.TaxRate.Den, &included, &b.Revision)
			b.TaxIncluded = included == 1
			if err == nil && bill[b.Item].madeBefore(b.account, turn, at) {
				known[b.Item] = append(known[b.Item], b)
			}
			return b, err
		}); err != nil {
			return err
		}
		rows, err = r.tx.Query(creditsThen+store.In(2, len(args))+") ORDER BY c.item, c.idx, c.note, c.line", args...)
		if _, err = store.Collect(rows, err, func(rows store.Rows) (c compute.Credited, err error) {
			var account string
			var turn, at, corrects, amount, included int64
			err = rows.Scan(&account, &turn, &at, &c.Item, &c.Index, &corrects, &amount, &c.TaxCategory, &c.TaxRate.Num, &c.TaxRate.Den, &included)
			c.TaxIncluded, c.Waived = included == 1, amount
			if corrects == 1 {
				c.Corrected, c.Waived = amount, 0
			}
			if err == nil && bill[c.Item].madeBefore(account, turn, at) {
				given[c.Item] = append(given[c.Item], c)
			}
			return c, err
		}); err != nil {
			return err
		}
	}
	for i := range r.rows {
		p := &r.rows[i]
		for _, it := range p.docs {
			rows := merged(known[it.ID])
			r.bills[p.Account].earlier[it.ID] = rows
			p.Input.Billed = append(p.Input.Billed, rows...)
			p.Input.Credited = append(p.Input.Credited, given[it.ID]...)
		}
	}
	return nil
}

// counts notes what an item that counts others needs to be read.
func (p *gathering) counts(it *itemRow) {
	sort := sortOf(it.BillableItem)
	if sort != compute.Discount && sort != compute.Commitment {
		return
	}
	p.counting = true
	if it.countsUsage() {
		p.byUsage = true
		if p.since.IsZero() || it.From.Before(p.since) {
			p.since = it.From
		}
	}
}

const marksThen = `SELECT u.account, u.wallet, u.before_at, u.number, u.entry, u.charged_at, u.bill, d.account, d.turn, d.at FROM billing_usage_upto u
	JOIN billing_draft d ON d.tenant = u.tenant AND d.id = u.bill WHERE u.tenant = $1 AND u.account IN (`

// used asks charging for the usage of the bills, as it was charged and as it would be.
func (r *replaying) used() error {
	ids := r.paying()
	args := store.Padded(ids)
	if len(args) == 0 {
		return nil
	}
	var own, earlier []usageMark
	rows, err := r.tx.Query(marksThen+store.In(2, len(args))+")", args...)
	if _, err = store.Collect(rows, err, func(rows store.Rows) (m usageMark, err error) {
		var bill, payer string
		var turn, at int64
		err = rows.Scan(&m.account, &m.wallet, &m.Before, &m.Number, &m.Entry, &m.At, &bill, &payer, &turn, &at)
		b := r.bills[m.account]
		switch {
		case err != nil:
		case bill == b.id:
			own = append(own, m)
		case b.madeBefore(payer, turn, at):
			earlier = append(earlier, m)
		}
		return m, err
	}); err != nil {
		return err
	}
	upto, after := byAccount(own), byAccount(earlier)
	var asked []charging.ToBill
	for _, id := range ids {
		if upto[id] != nil {
			a := r.of[id].toBill(id, after[id])
			a.Upto = upto[id]
			asked = append(asked, a)
		}
	}
	found, err := charging.RebillFor(r.tx, asked, r.with)
	if err != nil {
		return err
	}
	for i, a := range asked {
		r.take(a.Account, &found[i])
	}
	return nil
}

// take puts usage on the bill of an account, and beside it what it would be.
func (r *replaying) take(account string, found *charging.Rebilled) {
	p, b := r.of[account], r.bills[account]
	was := p.Input.Usage
	p.Input.Usage = nil
	for i := range found.Now {
		p.use(account, &found.Now[i])
	}
	b.now = append(b.now, p.Input.Usage...)
	p.Input.Usage = was
	for i := range found.Was {
		p.use(account, &found.Was[i])
	}
	if b.offering == nil {
		b.offering = map[string]string{}
	}
	maps.Copy(b.offering, found.Offering)
	b.usage.Undecided += found.Undecided
	b.usage.Unrated += found.Unrated
	b.usage.Older += found.Older
}

// substitution is a price that takes the place of another.
type substitution struct{ was, with *catalog.ProductOfferingPrice }

// substitutes are the prices of a comparison, as long as they are what they were when it was
// asked for.
func substitutes(tx *store.Tx, c *BillComparison) (map[string]substitution, charging.Substitutes, error) {
	out, usage := map[string]substitution{}, charging.Substitutes{}
	for _, ch := range c.Change {
		was, err := catalog.OfferingPrices.Get(tx, ch.ProductOfferingPrice.ID)
		if err != nil {
			return nil, nil, err
		}
		with, err := catalog.OfferingPrices.Get(tx, ch.With.ID)
		if err != nil {
			return nil, nil, err
		}
		if was.Rev() != ch.Replaced {
			return nil, nil, priceMoved(was)
		}
		if with.Rev() != ch.Revision {
			return nil, nil, priceMoved(with)
		}
		out[was.ID], usage[was.ID] = substitution{was, with}, with
	}
	return out, usage, nil
}

// swappedItem is an item whose price becomes another.
type swappedItem struct {
	it   *itemRow
	sub  substitution
	over compute.Item // as it was
	next compute.Item // as it would be
}

// swap are the items of a bill with other prices: where the bill charged for an item for the
// first time it has the new price; what was charged before keeps the old one.
func (b *replayed) swap(with map[string]substitution, agreed bool) (items []compute.Item, swapped map[string]*swappedItem, kept int64, err error) {
	docs := map[string]*itemRow{}
	for _, it := range b.own.docs {
		docs[it.ID] = it
	}
	swapped = map[string]*swappedItem{}
	for _, base := range b.own.Input.Items {
		it := docs[base.ID]
		sub, ok := with[it.Price.ID]
		ok = ok && chargeType(sub.was) == it.ChargeType // a fee for ending early has the price that it is for
		if ok && !agreed && ownAmount(it.BillableItem, sub.was) {
			ok = false
			kept++
		}
		if !ok {
			items = append(items, base)
			continue
		}
		fresh, err := b.reprice(it, sub)
		if err != nil {
			return nil, nil, 0, err
		}
		next, err := b.own.item(&itemRow{account: it.account, revision: it.revision, BillableItem: fresh})
		if err != nil {
			return nil, nil, 0, err
		}
		parts, err := b.part(base, next)
		if err != nil {
			return nil, nil, 0, err
		}
		items = append(items, parts...)
		swapped[base.ID] = &swappedItem{it, sub, base, next}
	}
	for i := range items {
		items[i].Alters = both(items[i].Alters, with)
	}
	return items, swapped, kept, nil
}

// both adds the other price of each pair to what a discount counts: it goes on counting.
func both(alters []string, with map[string]substitution) []string {
	out := slices.Clone(alters)
	for _, sub := range with {
		has, hasNew := slices.Contains(alters, sub.was.ID), slices.Contains(alters, sub.with.ID)
		if has && !hasNew {
			out = append(out, sub.with.ID)
		}
		if hasNew && !has {
			out = append(out, sub.was.ID)
		}
	}
	return out
}

// ownAmount says that the item has another amount than the list price: it was agreed for the
// product, or sold when the list was another.
func ownAmount(i *BillableItem, listed *catalog.ProductOfferingPrice) bool {
	if i.Amount == nil || listed.Price == nil {
		return (i.Amount == nil) != (listed.Price == nil)
	}
	m, err := listed.Signed(*listed.Price)
	if err != nil {
		return true
	}
	order, err := i.Amount.Cmp(m)
	return err != nil || order != 0
}

// reprice is an item as it would be with the other price.
func (b *replayed) reprice(it *itemRow, sub substitution) (*BillableItem, error) {
	fresh := *it.BillableItem
	if err := fresh.take(sub.with, sub.with.Price); err != nil {
		return nil, err
	}
	if fresh.PeriodUnit != it.PeriodUnit || fresh.PeriodCount != it.PeriodCount {
		fresh.ServicePeriods = servicePeriods(&fresh, civil.DateOf(it.From, b.own.zone), b.own.cycle)
	}
	return &fresh, nil
}

// freshMark is behind the id of an item that has the other price.
const freshMark = "~"

// part cuts an item at the first service period that the bill charged for the first time.
func (b *replayed) part(base, next compute.Item) ([]compute.Item, error) {
	rows := b.earlier[base.ID]
	if base.Sort == compute.OneTime {
		if len(rows) > 0 {
			return []compute.Item{base}, nil
		}
		return []compute.Item{next}, nil
	}
	k, err := b.firstNew(base, rows)
	if err != nil {
		return nil, err
	}
	boundary, err := base.Cycle.Boundary(k)
	if err != nil {
		return nil, err
	}
	cut := boundary.Start(b.own.zone)
	if !base.Span.From.Before(cut) {
		next.ID += freshMark
		if len(rows) > 0 { // periods that lie before its beginning, as it is known now
			return []compute.Item{endedBy(base, cut), next}, nil
		}
		return []compute.Item{next}, nil
	}
	if !base.Span.Open() && !base.Span.To.After(cut) {
		return []compute.Item{base}, nil
	}
	if next.Periods > 0 {
		first, err := base.Cycle.Index(civil.DateOf(base.Span.From, b.own.zone))
		if err != nil {
			return nil, err
		}
		if next.Periods -= int64(k - first); next.Periods <= 0 {
			return []compute.Item{endedBy(base, cut)}, nil
		}
	}
	next.ID += freshMark
	next.Span.From = cut
	return []compute.Item{endedBy(base, cut), next}, nil
}

// firstNew is the first service period of an item that bills before had not charged for.
func (b *replayed) firstNew(it compute.Item, rows []compute.Billed) (int, error) {
	k, err := it.Cycle.Index(b.doc.From) // the date of the bill before
	if err != nil {
		return 0, err
	}
	if it.Timing == compute.Advance && it.Sort != compute.Commitment {
		k++
	}
	for i := range b.doc.Lines {
		if l := &b.doc.Lines[i]; l.Item == it.ID && l.Number == 0 {
			k = min(k, l.Index)
		}
	}
	for i := range rows {
		k = max(k, rows[i].Index+1)
	}
	return k, nil
}

// endedBy is an item that is not owed from an instant on.
func endedBy(it compute.Item, at time.Time) compute.Item {
	if it.Span.Open() || it.Span.To.After(at) {
		it.Span.To = latest(at, it.Span.From)
	}
	return it
}

package charging

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
	"tandem/bss/rating"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Substitutes are prices in the place of others, by the id of the one that goes.
type Substitutes map[string]*catalog.ProductOfferingPrice

// Rebilled is the usage of a bill as it was charged, and what it would be by other prices.
type Rebilled struct {
	Was, Now  []BillTotal       // in the same order
	Offering  map[string]string // by product: the offering its usage was charged by
	Undecided int               // records paid in part by an allowance, or whose price depends on a counter: they keep theirs
	Unrated   int               // records that the other prices have no rate for: they keep theirs
	Older     int               // records by a version of the tariff that is no longer sold: they keep theirs
}

// RebillFor adds up the usage of bills that were made (ToBill.Upto), and prices it anew as if
// usage prices of the catalogue were others. A record is priced as a whole and alone, as when
// it is re-rated ([Room.ProposeRerating]); what an allowance paid stays paid. It writes nothing.
func RebillFor(tx *store.Tx, asked []ToBill, with Substitutes) ([]Rebilled, error) {
	r := rebiller{with: with, out: make([]Rebilled, len(asked)), deltas: make([]map[billKey]*money.Tally, len(asked)), tariffs: map[int64]*swapped{}}
	var err error
	if r.biller, err = billFor(tx, asked); err != nil {
		return nil, err
	}
	for i := range asked {
		r.out[i].Was, r.out[i].Offering, r.deltas[i] = r.biller.out[i].Totals, map[string]string{}, map[billKey]*money.Tally{}
	}
	for _, w := range r.list {
		for product, offering := range w.offerings {
			r.out[w.asked].Offering[product] = offering
		}
	}
	if err := r.reprice(); err != nil {
		return nil, err
	}
	for i := range r.out {
		if err := r.now(i); err != nil {
			return nil, err
		}
	}
	return r.out, nil
}

// rebiller is the question under way.
type rebiller struct {
	*biller
	with    Substitutes
	out     []Rebilled
	deltas  []map[billKey]*money.Tally // by account asked for: what use becomes dearer
	tariffs map[int64]*swapped
}

// swapped is a tariff and what it becomes.
type swapped struct {
	billTariff
	fresh *rating.Tariff // nil: it stays
	older bool           // it would change, but is no longer sold, so it stays
}

const (
	tariffsUsed  = "SELECT DISTINCT tariff FROM charging_usage WHERE tenant = $1 AND at >= $2 AND account IN ("
	readRebilled = `SELECT number, account, subscriber, tariff, service, rating_group, rate, seconds, octets, events, money, network, first_at, last_at, called, file, page
		FROM charging_usage WHERE tenant = $1 AND at >= $2 AND tariff IN (%s) AND account IN (`
)

// rebilledRow is a row of usage.
type rebilledRow struct {
	usedRow
	subscriber, tariff, last, file int64
	page                           []byte
}

// reprice prices the records of the bills whose tariffs become others.
func (r *rebiller) reprice() error {
	usage := false
	for _, p := range r.with {
		usage = usage || p.Sort() == catalog.Usage
	}
	if !usage {
		return nil
	}
	for _, some := range r.together() {
		if err := r.repriceSome(some); err != nil {
			return err
		}
	}
	return nil
}

// together are the wallets that are read at once: those whose last bills were made to the
// same instant, so that a new one does not make all others be read from their first day.
func (r *rebiller) together() map[[2]int64][]*billWallet {
	out := map[[2]int64][]*billWallet{}
	for _, w := range r.list {
		n := int64(0)
		if w.spans != nil { // one of several accounts that pay for it
			n = int64(w.asked) + 1
		}
		k := [2]int64{w.after.Before, n}
		out[k] = append(out[k], w)
	}
	return out
}

func (r *rebiller) repriceSome(some []*billWallet) error {
	wallets := r.begin(some)
	at := int64(longAgo)
	for i, w := range some {
		if w.after.At == 0 {
			at = longAgo
			break
		}
		if own := min(w.after.At, w.after.Before) - billSlack; i == 0 || own < at {
			at = own
		}
	}
	rows, err := r.tx.Query(tariffsUsed+store.In(3, len(wallets))+")", append([]any{at}, wallets...)...)
	used, err := store.Collect(rows, err, func(r store.Rows) (n int64, err error) { return n, r.Scan(&n) })
	if err != nil {
		return err
	}
	var changed []any
	for _, n := range used {
		t, err := r.tariff(n)
		if err != nil {
			return err
		}
		if t.fresh != nil || t.older {
			changed = append(changed, n)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	args := append(append([]any{at}, changed...), wallets...)
	text := strings.Replace(readRebilled, "%s", store.In(3, len(changed)), 1)
	rows, err = r.tx.Query(text+store.In(3+len(changed), len(wallets))+") ORDER BY number", args...)
	read, err := store.Collect(rows, err, scanRebilled)
	if err != nil {
		return err
	}
	for i := range read {
		if err := r.row(&read[i]); err != nil {
			return err
		}
	}
	return nil
}

func scanRebilled(r store.Rows) (u rebilledRow, err error) {
	return u, r.Scan(&u.number, &u.account, &u.subscriber, &u.tariff, &u.service, &u.group, &u.rate, &u.seconds, &u.octets, &u.events, &u.money,
		&u.network, &u.first, &u.last, &u.called, &u.file, &u.page)
}

// row prices what of a row of usage is on the bill: of a file record by record.
func (r *rebiller) row(u *rebilledRow) error {
	w := r.biller.now[u.account]
	period := r.asked[w.asked].Period
	due := func(at int64) bool {
		return at < w.mark.Before && w.pays(at) && !w.beyond(u.number) && !w.after.holds(u.number, w.after.Number, at)
	}
	if u.file == 0 {
		if !due(u.last) {
			return nil
		}
		return r.record(w, u, &u.usedRow, period(u.last))
	}
	return eachUsed(u.usedRow, u.page, func(x usedRow) error {
		if !due(x.first) {
			return nil
		}
		return r.record(w, u, &x, period(x.first))
	})
}

// record notes what a record becomes dearer.
func (r *rebiller) record(w *billWallet, u *rebilledRow, x *usedRow, period int) error {
	t, out := r.tariffs[u.tariff], &r.out[w.asked]
	if t.older {
		out.Older++
		return nil
	}
	var report RerateReport
	d, dearer := report.price(t.Tariff, t.fresh, x)
	out.Undecided, out.Unrated = out.Undecided+report.Undecided, out.Unrated+report.Unrated
	if !dearer {
		return nil
	}
	k := w.usageKey(t.billTariff, u.subscriber, uint32(u.rate), period)
	tally := r.deltas[w.asked][k]
	if tally == nil {
		fresh := money.NewTally(w.currency)
		tally = &fresh
		r.deltas[w.asked][k] = tally
	}
	return tally.Add(money.Rate{Nano: d.becomes - d.was, Currency: w.currency})
}

// now are the totals with what use becomes dearer.
func (r *rebiller) now(i int) error {
	out := &r.out[i]
	out.Now = slices.Clone(out.Was)
	for k, tally := range r.deltas[i] {
		delta, err := tally.Rate()
		if err != nil {
			return err
		}
		percent, _, _ := strings.Cut(k.tax, " ")
		at := slices.IndexFunc(out.Now, func(t BillTotal) bool {
			return t.What == k.what && t.Product == k.product && t.Class == k.class && t.Unit == k.unit && t.Period == k.period && t.TaxPercent == percent
		})
		if at < 0 {
			return fault.Clash("usageMoved", "Usage of product %q that is priced anew is not among what was billed", k.product)
		}
		if out.Now[at].Amount, err = out.Now[at].Amount.Add(delta); err != nil {
			return err
		}
	}
	return nil
}

const nameOfTariff = "SELECT name, doc FROM charging_book WHERE tenant = $1 AND number = $2 AND kind = 'tariff'"

// tariff is a published tariff and what it becomes with the substitutes. One that is not what
// the catalogue sells now stays: who has it was sold it, and a new price does not reach him.
func (r *rebiller) tariff(number int64) (*swapped, error) {
	if t := r.tariffs[number]; t != nil {
		return t, nil
	}
	t := &swapped{}
	var err error
	if t.billTariff, err = r.shelf.tariff(r.tx, number); err != nil {
		return nil, err
	}
	var name, text string
	if err := r.tx.Row(nameOfTariff, number).Scan(&name, &text); err != nil {
		return nil, err
	}
	var doc tariffDoc
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, err
	}
	offering, _, _ := strings.Cut(name, "#")
	if err := r.swap(t, offering, doc.Prices); err != nil {
		return nil, err
	}
	r.tariffs[number] = t
	return t, nil
}

// swap compiles what a tariff of an offering becomes.
func (r *rebiller) swap(t *swapped, offering string, was rating.Plan) error {
	o, err := catalog.Offerings.Look(r.tx, offering)
	if fault.Is(err, fault.NotFound) {
		return nil // it was deleted: nothing is sold by it
	}
	if err != nil {
		return err
	}
	prices, err := catalog.Prices(r.tx, o)
	if err != nil {
		return err
	}
	others, some := slices.Clone(prices), false
	for i, p := range prices {
		if fresh := r.with[p.ID]; fresh != nil && p.Sort() == catalog.Usage {
			others[i], some = fresh, true
		}
	}
	if !some {
		return nil
	}
	sold, _, err := rating.FromCatalog(o, prices)
	if err != nil {
		return err
	}
	if digest(sold) != digest(was) {
		t.older = true
		return nil
	}
	fresh, _, err := rating.FromCatalog(o, others)
	if err != nil {
		return err
	}
	if fresh.Currency != sold.Currency {
		return fault.BadInput("otherCurrency", "The tariff of %q is in %s; a price in %s cannot take the place of one of it", o.Name, sold.Currency, fresh.Currency)
	}
	t.fresh, err = rating.Compile(fresh)
	return err
}

// usageKey is the line of a bill that use is on, by the rate that it was priced by.
func (w *billWallet) usageKey(t billTariff, subscriber int64, rate uint32, period int) billKey {
	k := billKey{what: BillUsage, product: w.product(subscriber), period: period, tax: t.tax}
	if by := t.Rate(rate); by != nil {
		k.class = cmp.Or(t.ClassName(by.Class), by.Name)
		k.unit, _ = billUnit(by.Unit, &billRow{})
	}
	return k
}

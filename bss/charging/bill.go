package charging

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// BillMark is a rectangle of what an account used: written up to a number and used before
// an instant. The numbers grow in the order in which things are written, so what comes late
// for a past instant has a higher number and is not in it. Instants are microseconds.
type BillMark struct {
	Number int64 // of the last usage in it
	Entry  int64 // of the last ledger entry in it
	At     int64 // when the newest of both was charged
	Before int64 // used before this
}

// holds says whether something with a number, of an instant, is in the rectangle.
func (m BillMark) holds(number, upto, at int64) bool { return number <= upto && at < m.Before }

// BillMarks are the rectangles of the wallets of a billing account, by number of the wallet.
// That of number 0 is of all that have none of their own: so it was kept before each had one.
type BillMarks map[int64]BillMark

// Of is the rectangle of a wallet; the empty one where nothing is billed.
func (m BillMarks) Of(wallet int64) BillMark {
	if own, ok := m[wallet]; ok {
		return own
	}
	return m[0]
}

// ToBill asks for what a billing account owes for use: all used before an instant that is
// not in the rectangles of its last bills. Of a wallet that was billed on several accounts it
// is what was used while it was billed on this one.
type ToBill struct {
	Account string // billing account
	// Customer is whose usual account it is, on which he is billed when nothing names
	// another: wallets that name no billing account are asked for as well. "": nobody's.
	Customer string
	After    BillMarks
	Upto     BillMarks // those of a bill that was made: it is asked once more what was on it; nil: all there is
	From     int64     // the billing period begins; what was used before it is late
	Before   int64
	// Period is the number of the billing period that an instant lies in: later ones have higher
	// numbers, with any others between. Span is from when to when the period of a number is.
	Period func(at int64) int
	Span   func(period int) (from, to int64)
	// All wants every sum of a period that has something new, with no amount where it is
	// billed already; with Since, of all periods from that of an instant on.
	All   bool
	Since int64
}

// What a BillTotal is of.
const (
	BillUsage   = "usage"
	BillPaid    = "paid"    // of the usage, from the customer's own balance or from money given with an allowance: negative
	BillChanged = "changed" // adjustments, refunds and re-ratings of what was charged: less is negative
	BillFee     = "fee"     // of an allowance, taken from the credit
)

// BillTotal is what was used of a class by a product in a billing period, and its price.
type BillTotal struct {
	What        string
	Product     string
	Class       string // of the tariff: data.home; of a change its reason: refund
	Name        string // of the tariff's rule
	Unit        string // octets, seconds, events
	Quantity    int64  // in Unit
	Records     int64
	Amount      money.Rate
	Before      money.Rate // of the same sort and period, what is in the last bill's rectangle already
	Period      int
	TaxIncluded bool
	TaxPercent  string // by the tariff; "": it says nothing
}

// Billed is the answer to ToBill: the totals in a fixed order, and the rectangles that they
// are of, together with all before them: one for each wallet that is billed on the account,
// or was and has something new.
type Billed struct {
	Totals  []BillTotal
	Marks   BillMarks
	Unnamed bool // some of them name no billing account yet: see BillOn
}

// billSlack is by how many microseconds clocks may differ that a charge and its use were
// timed by.
const billSlack = 48 * 3600 * 1e6

// BillFor adds up what billing accounts owe for use, in few statements for many of them. Of
// accounts that pay in advance there is nothing; of hybrid ones, what went to the credit.
// It is asked on a snapshot of the store: what is written between two of its statements
// would else be within the rectangle, and on no bill.
func BillFor(tx *store.Tx, asked []ToBill) ([]Billed, error) {
	b, err := billFor(tx, asked)
	return b.out, err
}

func billFor(tx *store.Tx, asked []ToBill) (*biller, error) {
	b := &biller{tx: tx, shelf: billShelfOf(tx), asked: asked, out: make([]Billed, len(asked)), sums: make([]map[billKey]*billSum, len(asked)), at: map[[2]int64]*billWallet{}}
	for i := range asked {
		b.sums[i] = map[billKey]*billSum{}
	}
	if err := b.wallets(); err != nil || len(b.list) == 0 {
		return b, err
	}
	if err := b.read(); err != nil {
		return b, err
	}
	if err := b.readBefore(); err != nil {
		return b, err
	}
	for _, w := range b.list {
		b.keep(w)
	}
	return b, b.close()
}

// keep answers with the rectangle of a wallet. Of one that is billed elsewhere by now it
// stays as it was, unless there was something late.
func (b *biller) keep(w *billWallet) {
	if w.spans != nil && w.spans[len(w.spans)-1].to != never && w.mark.Number == w.after.Number && w.mark.Entry == w.after.Entry {
		return
	}
	out := &b.out[w.asked]
	if out.Marks == nil {
		out.Marks = BillMarks{}
	}
	out.Marks[w.Number] = w.mark
}

// biller is one question for many accounts under way.
type biller struct {
	tx     *store.Tx
	asked  []ToBill
	held   bool // what is read is in the last bill's rectangle, otherwise in the new one's
	period int  // that is read while held
	out    []Billed
	sums   []map[billKey]*billSum // by account asked for
	list   []*billWallet
	at     map[[2]int64]*billWallet // of list, by number and asked
	now    map[int64]*billWallet    // those that are read at the moment, by number
	shelf  *billShelf
	taxes  map[string]string // of offerings, see offeringTax
}

// billWallet is a wallet as one of the accounts that are asked for pays for it.
type billWallet struct {
	account
	asked int       // index of the billing account
	spans []tenure  // in which it is billed on it; nil: always
	after BillMark  // of the last bill
	mark  BillMark  // of this one
	upto  *BillMark // of the bill that is asked for once more
	*billLines
	currency money.Currency
	tax      string // of the tariff its usage was priced by
}

// billLines is what lies on a wallet, whoever pays for it.
type billLines struct {
	lines     map[int64]string  // subscriber to product
	offerings map[string]string // product to offering
	buckets   map[int64]bool    // of money; true: it is the credit that the bill collects
}

// pays says whether use at an instant is billed on the account.
func (w *billWallet) pays(at int64) bool {
	return w.spans == nil || slices.ContainsFunc(w.spans, func(t tenure) bool { return t.from <= at && at < t.to })
}

// beyond says that usage with a number was written after the bill that is asked for once more;
// late that an entry was.
func (w *billWallet) beyond(number int64) bool { return w.upto != nil && number > w.upto.Number }
func (w *billWallet) late(entry int64) bool    { return w.upto != nil && entry > w.upto.Entry }

// billKey is what makes a line of a bill.
type billKey struct {
	what, product, class, unit, tax string
	option                          string // product that a fee is of; "": one of the wallet's own
	period                          int
}

type billSum struct {
	name     string
	rate     int64 // the name is of the lowest
	quantity int64
	records  int64
	money    money.Tally
	before   money.Tally // see BillTotal.Before
}

const (
	billWallets  = "SELECT number, id, customer, billing_account, mode, currency FROM charging_account WHERE tenant = $1 AND mode <> 0 AND billing_account IN ("
	looseWallets = "SELECT number, id, customer, billing_account, mode, currency FROM charging_account WHERE tenant = $1 AND mode <> 0 AND billing_account = '' AND customer IN ("
	movedWallets = `SELECT number, id, customer, billing_account, mode, currency FROM charging_account WHERE tenant = $1 AND mode <> 0
		AND number IN (SELECT account FROM charging_payer WHERE tenant = $1 AND billing_account IN (`
	strayWallets = `SELECT number, id, customer, billing_account, mode, currency FROM charging_account WHERE tenant = $1 AND mode <> 0
		AND number IN (SELECT account FROM charging_payer WHERE tenant = $1 AND billing_account = '') AND customer IN (`
	nameWallets = "UPDATE charging_account SET billing_account = $3 WHERE tenant = $1 AND customer = $2 AND mode <> 0 AND billing_account = ''"
	nameFormer  = `UPDATE charging_payer SET billing_account = $3 WHERE tenant = $1 AND billing_account = ''
		AND account IN (SELECT number FROM charging_account WHERE tenant = $1 AND customer = $2 AND mode <> 0)`
	linesOfBill = "SELECT account, subscriber, product, offering FROM charging_line WHERE tenant = $1 AND account IN ("
	billBuckets = "SELECT account, bucket, definition FROM charging_bucket WHERE tenant = $1 AND unit = 'money' AND account IN ("
)

// wallets finds the wallets that the accounts pay, or paid, for afterwards.
func (b *biller) wallets() error {
	index, usual := map[string]int{}, map[string]int{}
	var names, customers []string
	for i, a := range b.asked {
		index[a.Account], names = i, append(names, a.Account)
		if a.Customer != "" {
			usual[a.Customer], customers = i, append(customers, a.Customer)
		}
	}
	moves, err := anyMoved(b.tx)
	if err != nil {
		return err
	}
	found, err := b.accounts(names, customers, moves)
	if err != nil || len(found) == 0 {
		return err
	}
	times, err := tenures(b.tx, found, moves)
	if err != nil {
		return err
	}
	for _, a := range found {
		for _, t := range times[a.Number] {
			i, asked := index[t.payer]
			if t.payer == "" {
				if i, asked = usual[a.Customer]; asked {
					b.out[i].Unnamed = true
				}
			}
			if !asked {
				continue
			}
			if err := b.put(a, i, t); err != nil {
				return err
			}
		}
	}
	return b.contents()
}

// put has an account pay for a wallet in a time.
func (b *biller) put(a account, asked int, t tenure) error {
	key := [2]int64{a.Number, int64(asked)}
	if w := b.at[key]; w != nil {
		w.spans = append(w.spans, t)
		return nil
	}
	currency, err := money.ParseCurrency(a.Currency)
	if err != nil {
		return err
	}
	w := &billWallet{account: a, asked: asked, after: b.asked[asked].After.Of(a.Number), currency: currency}
	if t.from != longAgo || t.to != never {
		w.spans = []tenure{t}
	}
	w.mark = w.after
	w.mark.Before = max(b.asked[asked].Before, w.after.Before)
	if again := b.asked[asked].Upto; again != nil {
		upto := again.Of(a.Number)
		w.upto, w.mark.Before = &upto, upto.Before
	}
	b.list, b.at[key] = append(b.list, w), w
	return nil
}

// accounts are the wallets that billing accounts pay for, or paid for once, and those of
// customers that name none, by number. moves: some wallet was billed elsewhere once.
func (b *biller) accounts(names, customers []string, moves bool) ([]account, error) {
	all := map[int64]account{}
	for _, q := range []struct {
		sql, end string
		args     []any
		once     bool
	}{{billWallets, ")", store.Padded(names), false}, {looseWallets, ")", store.Padded(customers), false},
		{movedWallets, "))", store.Padded(names), true}, {strayWallets, ")", store.Padded(customers), true}} {
		if len(q.args) == 0 || q.once && !moves {
			continue
		}
		rows, err := b.tx.Query(q.sql+store.In(2, len(q.args))+q.end, q.args...)
		found, err := store.Collect(rows, err, scanAccount)
		if err != nil {
			return nil, err
		}
		for _, a := range found {
			all[a.Number] = a
		}
	}
	return slices.SortedFunc(maps.Values(all), func(x, y account) int { return cmp.Compare(x.Number, y.Number) }), nil
}

// contents reads what lies on the wallets.
func (b *biller) contents() error {
	of := map[int64]*billLines{}
	for _, w := range b.list {
		if of[w.Number] == nil {
			of[w.Number] = &billLines{map[int64]string{}, map[string]string{}, map[int64]bool{}}
		}
		w.billLines = of[w.Number]
	}
	modes := map[int64]core.Mode{}
	for _, w := range b.list {
		modes[w.Number] = w.Mode
	}
	args := numbersOf(b.list)
	rows, err := b.tx.Query(linesOfBill+store.In(2, len(args))+")", args...)
	if _, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var subscriber int64
		var product, offering string
		err = r.Scan(&n, &subscriber, &product, &offering)
		of[n].offerings[product] = offering
		if subscriber > 0 {
			of[n].lines[subscriber] = product
		}
		return n, err
	}); err != nil {
		return err
	}
	rows, err = b.tx.Query(billBuckets+store.In(2, len(args))+")", args...)
	all, err := store.Collect(rows, err, func(r store.Rows) (x [3]int64, err error) { return x, r.Scan(&x[0], &x[1], &x[2]) })
	for _, x := range all {
		if err == nil {
			of[x[0]].buckets[x[1]], err = b.shelf.credit(b.tx, modes[x[0]], x[2])
		}
	}
	return err
}

// BillOn names the billing account of a customer's wallets that name none: they have been
// billed on it, and stay there whatever becomes his usual account.
func BillOn(tx *store.Tx, customer, account string) {
	tx.Queue(nameWallets, customer, account)
	tx.Queue(nameFormer, customer, account)
}

// numbersOf are those of wallets, each once, as arguments.
func numbersOf(some []*billWallet) []any {
	var out []any
	for _, w := range some {
		out = append(out, w.Number)
	}
	slices.SortFunc(out, func(x, y any) int { return cmp.Compare(x.(int64), y.(int64)) })
	if out = slices.Compact(out); len(out) == 0 {
		return nil
	}
	for n := 1; n < 2*len(out); n *= 2 { // as store.Padded
		for len(out) < n && n/2 < len(out) {
			out = append(out, out[len(out)-1])
		}
	}
	return out
}

// begin says which wallets are read now, no two of them of one number, and their numbers.
func (b *biller) begin(some []*billWallet) []any {
	b.now = map[int64]*billWallet{}
	for _, w := range some {
		b.now[w.Number] = w
	}
	return numbersOf(some)
}

// read reads usage and entries. Wallets with the same period are read together: what was
// used in it is added up by the store, what came late is looked at one by one. A wallet
// whose last bill does not end where the period begins is looked at one by one altogether,
// and so is one that was billed elsewhere in the meantime.
func (b *biller) read() error {
	type window struct{ from, before int64 }
	together, late, fresh, again := map[window][]*billWallet{}, map[window][]*billWallet{}, map[window][]*billWallet{}, map[window][]*billWallet{}
	var alone []*billWallet
	for _, w := range b.list {
		a := &b.asked[w.asked]
		k := window{a.From, a.Before}
		switch {
		case w.upto != nil && w.spans == nil:
			again[window{w.after.Before, w.mark.Before}] = append(again[window{w.after.Before, w.mark.Before}], w)
			continue
		case w.spans != nil, w.after.Before != 0 && w.after.Before != a.From:
			alone = append(alone, w)
			continue
		case w.after.At == 0:
			fresh[k] = append(fresh[k], w)
		default:
			late[k] = append(late[k], w)
		}
		together[k] = append(together[k], w)
	}
	for k, some := range together {
		if err := b.readPeriod(some, k.from, k.before); err != nil {
			return err
		}
	}
	for _, group := range []map[window][]*billWallet{late, fresh} {
		for k, some := range group {
			if err := b.readEach(some, lateUsage, k.from); err != nil {
				return err
			}
		}
	}
	for k, some := range again {
		if err := b.readEach(some, everyUsage, k.before); err != nil {
			return err
		}
	}
	for _, w := range alone {
		if err := b.readEach([]*billWallet{w}, everyUsage, w.mark.Before); err != nil {
			return err
		}
	}
	return nil
}

// Rows of files hold records of a day: sumUsage takes those that lie in the period with all
// their records, cutUsage those that an end of it cuts.
const (
	sumUsage = `SELECT account, subscriber, tariff, rate, CAST(sum(seconds) AS BIGINT), CAST(sum(octets) AS BIGINT), CAST(sum(events) AS BIGINT),
		CAST(sum(money) AS BIGINT), CAST(sum(records) AS BIGINT), max(number), max(at) FROM charging_usage
		WHERE tenant = $1 AND at >= $2 AND last_at >= $3 AND last_at < $4 AND (file = 0 OR first_at >= $3) AND account IN (`
	rowUsage = `SELECT account, subscriber, tariff, rate, seconds, octets, events, money, records, number, at, first_at, last_at, file, page FROM charging_usage
		WHERE tenant = $1 AND at >= $2 AND `
	cutUsage   = "file > 0 AND (first_at < $3 AND last_at >= $3 OR first_at < $4 AND last_at >= $4)"
	lateUsage  = "number > $3 AND last_at < $4"
	heldUsage  = "last_at >= $3 AND first_at < $4"
	everyUsage = "number > $3 AND (last_at < $4 OR file > 0 AND first_at < $4)"

	// Fees are kept apart by the option that they are of.
	sumEntries = `SELECT account, bucket, against, CASE WHEN against = 'fee' THEN ref ELSE '' END, CAST(sum(amount) AS BIGINT), count(*), max(number), max(at), 0
		FROM charging_entry WHERE tenant = $1 AND at >= $2 AND at < $3 AND account IN (`
	groupEntries = ") GROUP BY account, bucket, against, CASE WHEN against = 'fee' THEN ref ELSE '' END"
	rowEntries   = `SELECT account, bucket, against, CASE WHEN against = 'fee' THEN ref ELSE '' END, amount, 1, number, at, at FROM charging_entry
		WHERE tenant = $1 AND at >= $2 AND number > $3 AND at < $4 AND account IN (`
)

type billRow struct {
	wallet, subscriber, tariff, rate        int64
	seconds, octets, events, money, records int64
	number, at, first, last, file           int64
	page                                    []byte
}

// readPeriod adds up what was used in a period nothing of which is billed.
func (b *biller) readPeriod(some []*billWallet, from, before int64) error {
	wallets := b.begin(some)
	args := append([]any{from - billSlack, from, before}, wallets...)
	rows, err := b.tx.Query(sumUsage+store.In(5, len(wallets))+") GROUP BY account, subscriber, tariff, rate", args...)
	sums, err := store.Collect(rows, err, func(r store.Rows) (u billRow, err error) {
		err = r.Scan(&u.wallet, &u.subscriber, &u.tariff, &u.rate, &u.seconds, &u.octets, &u.events, &u.money, &u.records, &u.number, &u.at)
		return u, err
	})
	if err != nil {
		return err
	}
	for i := range sums {
		w := b.now[sums[i].wallet]
		if err := b.add(w, &sums[i], b.asked[w.asked].Period(from)); err != nil {
			return err
		}
	}
	if err := b.readRows(cutUsage, []any{from - billSlack, from, before}, wallets); err != nil {
		return err
	}
	args = append([]any{from, before}, wallets...)
	rows, err = b.tx.Query(sumEntries+store.In(4, len(wallets))+groupEntries, args...)
	return b.takeEntries(rows, err, from)
}

// readEach looks one by one at what was used before an instant; of what is billed it looks
// at no more than it must.
func (b *biller) readEach(some []*billWallet, which string, before int64) error {
	wallets := b.begin(some)
	number, entry, at := int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64)
	for _, w := range some {
		m := w.after
		number, entry, at = min(number, m.Number), min(entry, m.Entry), min(at, m.At-billSlack)
		switch {
		case m.At == 0:
			number, entry, at = 0, 0, longAgo
		case m.Before < before: // of what was used since nothing is billed, whatever its number
			number, entry, at = 0, 0, min(at, m.Before-billSlack)
		}
	}
	if err := b.readRows(which, []any{at, number, before}, wallets); err != nil {
		return err
	}
	rows, err := b.tx.Query(rowEntries+store.In(5, len(wallets))+")", append([]any{at, entry, before}, wallets...)...)
	return b.takeEntries(rows, err, 0)
}

// readBefore adds up what was billed already of periods that something is still billed of.
func (b *biller) readBefore() error {
	b.held = true
	for i, a := range b.asked {
		periods := map[int]bool{}
		for k := range b.sums[i] {
			periods[k.period] = true
		}
		if a.All && a.Since != 0 {
			a.between(a.Since, a.From, func(p int) { periods[p] = true })
		}
		for p := range periods {
			if err := b.readHeld(i, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// between tells of each period from that of an instant to that of another one, once. The next
// one is that which holds the end of this one, since their numbers are not in a row.
func (a *ToBill) between(since, last int64, tell func(period int)) {
	end := a.Period(last)
	for p := a.Period(since); p <= end; {
		tell(p)
		_, to := a.Span(p)
		next := a.Period(to)
		if next <= p {
			return
		}
		p = next
	}
}

// readHeld adds up what is billed already of a period of an account, and of no other one: a
// session that began before the period or goes on after it is found for both.
func (b *biller) readHeld(asked, period int) error {
	from, to := b.asked[asked].Span(period)
	b.period = period
	var some []*billWallet
	for _, w := range b.list {
		if w.asked == asked && from < w.after.Before {
			some = append(some, w)
		}
	}
	wallets := b.begin(some)
	if wallets == nil {
		return nil
	}
	if err := b.readRows(heldUsage, []any{from - billSlack, from, to}, wallets); err != nil {
		return err
	}
	rows, err := b.tx.Query(rowEntries+store.In(5, len(wallets))+")", append([]any{from, int64(0), to}, wallets...)...)
	return b.takeEntries(rows, err, 0)
}

// readRows takes rows of usage one by one.
func (b *biller) readRows(which string, args, wallets []any) error {
	rows, err := b.tx.Query(rowUsage+which+" AND account IN ("+store.In(2+len(args), len(wallets))+") ORDER BY number", append(args, wallets...)...)
	read, err := store.Collect(rows, err, func(r store.Rows) (u billRow, err error) {
		err = r.Scan(&u.wallet, &u.subscriber, &u.tariff, &u.rate, &u.seconds, &u.octets, &u.events, &u.money, &u.records, &u.number, &u.at,
			&u.first, &u.last, &u.file, &u.page)
		return u, err
	})
	if err != nil {
		return err
	}
	for i := range read {
		if err := b.take(&read[i]); err != nil {
			return err
		}
	}
	return nil
}

// take adds a row of usage, or those of its records that are due.
func (b *biller) take(u *billRow) error {
	w := b.now[u.wallet]
	a := &b.asked[w.asked]
	due := func(at int64) bool {
		return at < w.mark.Before && w.pays(at) && !w.beyond(u.number) && w.after.holds(u.number, w.after.Number, at) == b.held
	}
	if u.file == 0 || w.spans == nil && due(u.first) == due(u.last) && a.Period(u.first) == a.Period(u.last) {
		if !due(u.last) {
			return nil
		}
		return b.add(w, u, a.Period(u.last))
	}
	return eachUsed(usedRow{usedKey: usedKey{number: u.number}}, u.page, func(x usedRow) error {
		if !due(x.first) {
			return nil
		}
		one := *u
		one.seconds, one.octets, one.events, one.money, one.records = x.seconds, x.octets, x.events, x.money, 1
		return b.add(w, &one, a.Period(x.first))
	})
}

// add puts usage on its line.
func (b *biller) add(w *billWallet, u *billRow, period int) error {
	if b.held && period != b.period {
		return nil
	}
	k := billKey{what: BillUsage, product: w.product(u.subscriber), period: period}
	name, unit := "", ""
	quantity := int64(0)
	t, err := b.shelf.tariff(b.tx, u.tariff)
	if err != nil {
		return err
	}
	k.tax = t.tax
	if rate := t.Rate(uint32(u.rate)); rate != nil {
		k.class, name = t.ClassName(rate.Class), rate.Name
		unit, quantity = billUnit(rate.Unit, u)
	}
	if k.class == "" {
		k.class = name
	}
	k.unit = unit
	s := b.sum(w, k)
	if s == nil {
		return nil
	}
	if b.held {
		if s.name == "" {
			s.name = name
		}
		return s.before.Add(money.Rate{Nano: u.money, Currency: w.currency})
	}
	if s.name == "" || u.rate < s.rate {
		s.name, s.rate = name, u.rate
	}
	if w.tax == "" {
		w.tax = t.tax
	}
	s.quantity += quantity
	s.records += u.records
	b.note(w, u.number, 0, u.at)
	return s.money.Add(money.Rate{Nano: u.money, Currency: w.currency})
}

// billUnit is what of a row the rate prices.
func billUnit(unit credit.Has, u *billRow) (string, int64) {
	switch unit {
	case credit.HasSeconds:
		return core.Seconds.String(), u.seconds
	case credit.HasTotal:
		return core.Octets.String(), u.octets
	}
	return core.Events.String(), u.events
}

func (w *billWallet) product(subscriber int64) string {
	if p := w.lines[subscriber]; p != "" {
		return p
	}
	return w.ID // the product that the wallet was opened with
}

// sum is the one of a key. Of what is billed already there is one only if something new of
// the key is billed.
func (b *biller) sum(w *billWallet, k billKey) *billSum {
	s := b.sums[w.asked][k]
	if s == nil && (!b.held || b.asked[w.asked].All) {
		s = &billSum{money: money.NewTally(w.currency), before: money.NewTally(w.currency)}
		b.sums[w.asked][k] = s
	}
	return s
}

// note moves the mark on to what was taken.
func (b *biller) note(w *billWallet, number, entry, at int64) {
	if b.held {
		return
	}
	m := &w.mark
	m.Number, m.Entry, m.At = max(m.Number, number), max(m.Entry, entry), max(m.At, at)
}

// billChanges are the entries on the credit of an account that change what is owed; top-ups
// and transfers pay it, which is no matter of the bill.
var billChanges = map[string]string{core.Adjusted.String(): BillChanged, core.Refunded.String(): BillChanged, core.Rerated.String(): BillChanged, core.Fee.String(): BillFee}

// takeEntries adds what stands in the ledger: what was paid for use otherwise than by the
// credit, and what changed the credit but use. period is the instant whose billing period
// the sums are of; 0: each entry has its own.
func (b *biller) takeEntries(rows store.Rows, err error, period int64) error {
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var bucket, amount, count, entry, at, of int64
		var against, option string
		if err = r.Scan(&n, &bucket, &against, &option, &amount, &count, &entry, &at, &of); err != nil {
			return n, err
		}
		w := b.now[n]
		a := &b.asked[w.asked]
		isCredit, isMoney := w.buckets[bucket]
		what := billChanges[against]
		switch {
		case !isMoney || of != 0 && (!w.pays(of) || w.late(entry) || w.after.holds(entry, w.after.Entry, of) != b.held):
			return n, nil
		case !isCredit && against == "usage":
			what = BillPaid // the entry is negative, and so is the line
		case !isCredit || what == "":
			b.note(w, 0, entry, at)
			return n, nil
		default:
			amount = -amount // a credit to the customer lowers his bill
		}
		b.note(w, 0, entry, at)
		if period != 0 {
			of = period
		}
		k := billKey{what: what, product: w.ID, option: option, class: against, unit: core.Events.String(), period: a.Period(of)}
		if what == BillPaid {
			k.class = "balance"
		}
		s := b.sum(w, k)
		switch {
		case s == nil:
			return n, nil
		case b.held:
			return n, s.before.Add(money.Rate{Nano: amount, Currency: w.currency})
		}
		s.quantity += count
		s.records += count
		return n, s.money.Add(money.Rate{Nano: amount, Currency: w.currency})
	})
	return err
}

// close makes totals of the sums, in an order that does not depend on that of the rows.
func (b *biller) close() error {
	for i, sums := range b.sums {
		for k, s := range sums {
			amount, err := s.money.Rate()
			if err != nil {
				return err
			}
			before, err := s.before.Rate()
			if err != nil {
				return err
			}
			if k.what != BillUsage {
				if amount.Sign() == 0 && before.Sign() == 0 {
					continue
				}
				if k.tax, err = b.taxOf(i, k); err != nil {
					return err
				}
			}
			percent, included, _ := strings.Cut(k.tax, " ")
			b.out[i].Totals = append(b.out[i].Totals, BillTotal{What: k.what, Product: cmp.Or(k.option, k.product), Class: k.class, Name: s.name, Unit: k.unit, Quantity: s.quantity,
				Records: s.records, Amount: amount, Before: before, Period: k.period, TaxIncluded: included != "", TaxPercent: percent})
		}
		slices.SortFunc(b.out[i].Totals, func(x, y BillTotal) int {
			return cmp.Or(cmp.Compare(x.Product, y.Product), cmp.Compare(x.Period, y.Period), -cmp.Compare(x.What, y.What), cmp.Compare(x.Class, y.Class),
				cmp.Compare(x.Unit, y.Unit), cmp.Compare(x.TaxPercent, y.TaxPercent))
		})
	}
	return nil
}

// taxOf is the tax of what is billed of a wallet besides use: of a fee that of the option it
// is of; else that of the tariff its use was priced by, or that its product is sold with.
func (b *biller) taxOf(asked int, k billKey) (string, error) {
	at := slices.IndexFunc(b.list, func(w *billWallet) bool { return w.asked == asked && w.ID == k.product })
	w := b.list[at] // the sum was made for it
	if k.option != "" {
		var offering string
		err := b.tx.Row("SELECT offering FROM charging_option WHERE tenant = $1 AND product = $2", k.option).Scan(&offering)
		if err != nil && err != store.ErrNotFound {
			return "", err
		}
		if err == nil {
			if tax, err := b.offeringTax(offering); err != nil || tax != "" {
				return tax, err
			}
		}
	}
	if w.tax != "" {
		return w.tax, nil
	}
	return b.offeringTax(w.offerings[w.ID])
}

const tariffOfOffering = "SELECT number FROM charging_book WHERE tenant = $1 AND kind = 'tariff' AND name >= $2 AND name < $3 ORDER BY from_at DESC, number DESC LIMIT 1"

// offeringTax is the tax of an offering's tariff as it was last published, or, where it has
// no prices of usage, as the catalogue has it. "": it says nothing of a tax.
func (b *biller) offeringTax(offering string) (tax string, err error) {
	if offering == "" {
		return "", nil
	}
	if tax, known := b.taxes[offering]; known {
		return tax, nil
	}
	defer func() {
		if b.taxes == nil {
			b.taxes = map[string]string{}
		}
		b.taxes[offering] = tax
	}()
	var number int64
	err = b.tx.Row(tariffOfOffering, offering+"#", offering+"$").Scan(&number)
	if err == nil {
		t, err := b.shelf.tariff(b.tx, number)
		return t.tax, err
	}
	if err != store.ErrNotFound {
		return "", err
	}
	o, err := catalog.Offerings.Look(b.tx, offering)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	prices, err := catalog.Prices(b.tx, o)
	if err != nil {
		return "", err
	}
	plan, _, err := rating.FromCatalog(o, prices)
	if err != nil { // it was changed since, and cannot be sold as it is: the tax of the country holds
		return "", nil
	}
	return taxText(&plan, prices), nil
}

// taxText is the tax of a plan, or of the first of its prices that names one.
func taxText(plan *rating.Plan, prices []*catalog.ProductOfferingPrice) string {
	percent := string(plan.Tax.Percent)
	for _, p := range prices {
		for _, t := range p.Tax {
			percent = cmp.Or(percent, strings.Trim(string(t.TaxRate), `" `))
		}
	}
	if plan.Tax.Included {
		percent += " included"
	}
	return percent
}

// billShelf is what tariffs and definitions say that wallets refer to by number. A number
// means the same for ever, so the process keeps what it has read.
type billShelf struct {
	mu          sync.Mutex
	tariffs     map[int64]billTariff
	definitions map[int64]billDefinition
}

type billTariff struct {
	*rating.Tariff
	tax string // percent, and " included" behind it
}

type billDefinition struct {
	name string
	core.Definition
}

type billShelfKey struct {
	db     *store.DB
	tenant string
}

var billShelves sync.Map // by billShelfKey

func billShelfOf(tx *store.Tx) *billShelf {
	s, _ := billShelves.LoadOrStore(billShelfKey{tx.DB(), tx.Tenant()},
		&billShelf{tariffs: map[int64]billTariff{}, definitions: map[int64]billDefinition{}})
	return s.(*billShelf)
}

const readShelved = "SELECT name, doc FROM charging_book WHERE tenant = $1 AND number = $2 AND kind = $3"

// credit says that a definition is that of the credit which a bill collects: the balance of
// who pays afterwards, the credit line beside it of a hybrid account.
func (s *billShelf) credit(tx *store.Tx, mode core.Mode, definition int64) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.definitions[definition]
	if !ok {
		var doc string
		if err := tx.Row(readShelved, definition, "definition").Scan(&d.name, &doc); err != nil {
			return false, fmt.Errorf("definition %d: %w", definition, err)
		}
		if err := json.Unmarshal([]byte(doc), &d.Definition); err != nil {
			return false, err
		}
		s.definitions[definition] = d
	}
	if mode == core.Postpaid {
		return d.Main, nil
	}
	return strings.HasPrefix(d.name, "credit "), nil
}

func (s *billShelf) tariff(tx *store.Tx, number int64) (t billTariff, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.tariffs[number]; ok {
		return t, nil
	}
	var name, text string
	if err := tx.Row(readShelved, number, "tariff").Scan(&name, &text); err != nil {
		return t, fmt.Errorf("tariff %d: %w", number, err)
	}
	var doc tariffDoc
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return t, err
	}
	if t.Tariff, err = rating.Compile(doc.Prices); err != nil {
		return t, err
	}
	t.tax = taxText(&doc.Prices, nil)
	s.tariffs[number] = t
	return t, nil
}

// BilledUsage are the usage records of a product that a bill of an account holds: those of
// one rectangle of its wallet less an earlier one, used in a period while it was billed on
// the account, those charged last first. cursor and next are as in UsageOfLine; a page before the end may have fewer than limit.
func BilledUsage(tx *store.Tx, payer, product string, after, upto BillMarks, from, to time.Time, cursor string, limit int) (page []*Usage, next string, err error) {
	l, err := lineOf(tx, product)
	if err == store.ErrNotFound {
		return nil, "", fault.Missing("line", product)
	}
	if err != nil {
		return nil, "", err
	}
	moves, err := anyMoved(tx)
	if err != nil {
		return nil, "", err
	}
	times := map[int64][]tenure{}
	if moves {
		wallet, err := oneAccount(tx, "number = $2", l.Account)
		if err != nil {
			return nil, "", err
		}
		if times, err = tenures(tx, []account{wallet}, moves); err != nil {
			return nil, "", err
		}
	}
	all, next, err := UsageOfLine(tx, product, from, to, cursor, limit)
	was, is, spans := after.Of(l.Account), upto.Of(l.Account), times[l.Account]
	for _, u := range all {
		s := &u.row
		if is.holds(s.number, is.Number, s.last) && !was.holds(s.number, was.Number, s.last) && (len(spans) < 2 || paidBy(spans, s.last, payer)) {
			page = append(page, u)
		}
	}
	return page, next, err
}

// Class is the class of usage by the tariff that priced the record, or what it is called
// there.
func (u *Usage) Class() string {
	if len(u.RatedProductUsage) == 0 {
		return ""
	}
	return u.RatedProductUsage[0].UsageRatingTag
}

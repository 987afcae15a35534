package charging

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/edge/credit"
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

// ToBill asks for what a billing account owes for use: all used before an instant that is
// not in the rectangle of its last bill.
type ToBill struct {
	Account string // billing account
	// Customer is whose usual account it is, on which he is billed when nothing names
	// another: wallets that name no billing account are asked for as well. "": nobody's.
	Customer string
	After    BillMark
	From     int64 // the billing period begins; what was used before it is late
	Before   int64
	// Period is the index of the billing period that an instant lies in, Span from when to
	// when a period is.
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

// Billed is the answer to ToBill: the totals in a fixed order, and the rectangle that they
// are of, together with all before them.
type Billed struct {
	Totals  []BillTotal
	Mark    BillMark
	Wallets bool // the account has some whose use is billed
	Unnamed bool // some of them name no billing account yet: see BillOn
}

const (
	billSlack = 48 * 3600 * 1e6 // by so much may clocks differ that a charge and its use were timed by
	longAgo   = -1 << 62
)

// BillFor adds up what billing accounts owe for use, in few statements for many of them. Of
// accounts that pay in advance there is nothing; of hybrid ones, what went to the credit.
// It is asked on a snapshot of the store: what is written between two of its statements
// would else be within the rectangle, and on no bill.
func BillFor(tx *store.Tx, asked []ToBill) ([]Billed, error) {
	b := biller{tx: tx, shelf: billShelfOf(tx), asked: asked, out: make([]Billed, len(asked)), sums: make([]map[billKey]*billSum, len(asked))}
	for i := range asked {
		b.out[i].Mark = asked[i].After
		b.out[i].Mark.Before = max(asked[i].Before, asked[i].After.Before)
		b.sums[i] = map[billKey]*billSum{}
	}
	if err := b.wallets(); err != nil || len(b.of) == 0 {
		return b.out, err
	}
	for _, w := range b.of {
		b.out[w.asked].Wallets = true
	}
	if err := b.read(); err != nil {
		return nil, err
	}
	if err := b.readBefore(); err != nil {
		return nil, err
	}
	return b.out, b.close()
}

// biller is one question for many accounts under way.
type biller struct {
	tx    *store.Tx
	asked []ToBill
	held  bool // what is read is in the last bill's rectangle, otherwise in the new one's
	out   []Billed
	sums  []map[billKey]*billSum // by account asked for
	of    map[int64]*billWallet  // by number
	shelf *billShelf
}

type billWallet struct {
	account
	asked    int              // index of the billing account
	lines    map[int64]string // subscriber to product
	buckets  map[int64]bool   // of money; true: it is the credit that the bill collects
	currency money.Currency
	tax      string // of the tariff its usage was priced by
}

// billKey is what makes a line of a bill.
type billKey struct {
	what, product, class, unit, tax string
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
	nameWallets  = "UPDATE charging_account SET billing_account = $3 WHERE tenant = $1 AND customer = $2 AND mode <> 0 AND billing_account = ''"
	billLines    = "SELECT account, subscriber, product FROM charging_line WHERE tenant = $1 AND subscriber > 0 AND account IN ("
	billBuckets  = "SELECT account, bucket, definition FROM charging_bucket WHERE tenant = $1 AND unit = 'money' AND account IN ("
)

// wallets finds the wallets that the accounts pay for afterwards.
func (b *biller) wallets() error {
	index, names := map[string]int{}, make([]string, len(b.asked))
	for i, a := range b.asked {
		index[a.Account], names[i] = i, a.Account
	}
	if len(names) == 0 {
		return nil
	}
	args := store.Padded(names)
	rows, err := b.tx.Query(billWallets+store.In(2, len(args))+") ORDER BY number", args...)
	found, err := store.Collect(rows, err, scanAccount)
	if err != nil {
		return err
	}
	loose, err := b.loose()
	if err != nil || len(found)+len(loose) == 0 {
		return err
	}
	found = append(found, loose...)
	b.of = map[int64]*billWallet{}
	for _, a := range found {
		currency, err := money.ParseCurrency(a.Currency)
		if err != nil {
			return err
		}
		b.of[a.Number] = &billWallet{account: a, currency: currency, asked: index[a.BillingAccount], lines: map[int64]string{}, buckets: map[int64]bool{}}
	}
	args = b.numbers(nil)
	rows, err = b.tx.Query(billLines+store.In(2, len(args))+")", args...)
	if _, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var subscriber int64
		var product string
		err = r.Scan(&n, &subscriber, &product)
		b.of[n].lines[subscriber] = product
		return n, err
	}); err != nil {
		return err
	}
	rows, err = b.tx.Query(billBuckets+store.In(2, len(args))+")", args...)
	all, err := store.Collect(rows, err, func(r store.Rows) (x [3]int64, err error) { return x, r.Scan(&x[0], &x[1], &x[2]) })
	for _, x := range all {
		if err == nil {
			w := b.of[x[0]]
			w.buckets[x[1]], err = b.shelf.credit(b.tx, w.Mode, x[2])
		}
	}
	return err
}

// loose finds the wallets of customers that name no billing account: they came with a
// product whose order named none. They are billed on the customer's usual one.
func (b *biller) loose() ([]account, error) {
	usual, names := map[string]int{}, []string(nil)
	for i, a := range b.asked {
		if a.Customer != "" {
			usual[a.Customer] = i
			names = append(names, a.Customer)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	args := store.Padded(names)
	rows, err := b.tx.Query(looseWallets+store.In(2, len(args))+") ORDER BY number", args...)
	found, err := store.Collect(rows, err, scanAccount)
	for i := range found {
		at := usual[found[i].Customer]
		found[i].BillingAccount = b.asked[at].Account
		b.out[at].Unnamed = true
	}
	return found, err
}

// BillOn names the billing account of a customer's wallets that name none: they have been
// billed on it, and stay there whatever becomes his usual account.
func BillOn(tx *store.Tx, customer, account string) { tx.Queue(nameWallets, customer, account) }

// numbers are those of the wallets of some accounts, nil: of all, as arguments.
func (b *biller) numbers(some map[int]bool) []any {
	var out []any
	for n, w := range b.of {
		if some == nil || some[w.asked] {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(x, y any) int { return cmp.Compare(x.(int64), y.(int64)) })
	if len(out) == 0 {
		return nil
	}
	for n := 1; n < 2*len(out); n *= 2 { // as store.Padded
		for len(out) < n && n/2 < len(out) {
			out = append(out, out[len(out)-1])
		}
	}
	return out
}

// read reads usage and entries. Accounts with the same period are read together: what was
// used in it is added up by the store, what came late is looked at one by one. An account
// whose last bill does not end where the period begins is looked at one by one altogether.
func (b *biller) read() error {
	type window struct{ from, before int64 }
	together, alone := map[window]map[int]bool{}, map[int]bool{}
	late, fresh := map[window]map[int]bool{}, map[window]map[int]bool{}
	put := func(m map[window]map[int]bool, k window, i int) {
		if m[k] == nil {
			m[k] = map[int]bool{}
		}
		m[k][i] = true
	}
	for i, a := range b.asked {
		k := window{a.From, a.Before}
		switch {
		case a.After.Before != 0 && a.After.Before != a.From:
			alone[i] = true
			continue
		case a.After.At == 0:
			put(fresh, k, i)
		default:
			put(late, k, i)
		}
		put(together, k, i)
	}
	for k, some := range together {
		if err := b.readPeriod(some, k.from, k.before); err != nil {
			return err
		}
	}
	for _, group := range []map[window]map[int]bool{late, fresh} {
		for k, some := range group {
			if err := b.readEach(some, lateUsage, k.from); err != nil {
				return err
			}
		}
	}
	for i := range alone {
		if err := b.readEach(map[int]bool{i: true}, everyUsage, b.out[i].Mark.Before); err != nil {
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

	sumEntries = `SELECT account, bucket, against, CAST(sum(amount) AS BIGINT), count(*), max(number), max(at), 0 FROM charging_entry
		WHERE tenant = $1 AND at >= $2 AND at < $3 AND account IN (`
	rowEntries = `SELECT account, bucket, against, amount, 1, number, at, at FROM charging_entry
		WHERE tenant = $1 AND at >= $2 AND number > $3 AND at < $4 AND account IN (`
)

type billRow struct {
	wallet, subscriber, tariff, rate        int64
	seconds, octets, events, money, records int64
	number, at, first, last, file           int64
	page                                    []byte
}

// readPeriod adds up what was used in a period nothing of which is billed.
func (b *biller) readPeriod(some map[int]bool, from, before int64) error {
	wallets := b.numbers(some)
	if wallets == nil {
		return nil
	}
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
		w := b.of[sums[i].wallet]
		if err := b.add(w, &sums[i], b.asked[w.asked].Period(from)); err != nil {
			return err
		}
	}
	if err := b.readRows(cutUsage, []any{from - billSlack, from, before}, wallets); err != nil {
		return err
	}
	args = append([]any{from, before}, wallets...)
	rows, err = b.tx.Query(sumEntries+store.In(4, len(wallets))+") GROUP BY account, bucket, against", args...)
	return b.takeEntries(rows, err, from)
}

// readEach looks one by one at what was used before an instant; of what is billed it looks
// at no more than it must.
func (b *biller) readEach(some map[int]bool, which string, before int64) error {
	wallets := b.numbers(some)
	if wallets == nil {
		return nil
	}
	number, entry, at := int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64)
	for i := range some {
		m := b.asked[i].After
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
			for p := a.Period(a.Since); p <= a.Period(a.From); p++ {
				periods[p] = true
			}
		}
		for p := range periods {
			from, to := a.Span(p)
			wallets := b.numbers(map[int]bool{i: true})
			if wallets == nil || from >= a.After.Before {
				continue
			}
			if err := b.readRows(heldUsage, []any{from - billSlack, from, to}, wallets); err != nil {
				return err
			}
			rows, err := b.tx.Query(rowEntries+store.In(5, len(wallets))+")", append([]any{from, int64(0), to}, wallets...)...)
			if err := b.takeEntries(rows, err, 0); err != nil {
				return err
			}
		}
	}
	return nil
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
	w := b.of[u.wallet]
	a := &b.asked[w.asked]
	due := func(at int64) bool {
		return at < b.out[w.asked].Mark.Before && a.After.holds(u.number, a.After.Number, at) == b.held
	}
	if u.file == 0 || due(u.first) == due(u.last) && a.Period(u.first) == a.Period(u.last) {
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
	m := &b.out[w.asked].Mark
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
		var against string
		if err = r.Scan(&n, &bucket, &against, &amount, &count, &entry, &at, &of); err != nil {
			return n, err
		}
		w := b.of[n]
		a := &b.asked[w.asked]
		isCredit, isMoney := w.buckets[bucket]
		what := billChanges[against]
		switch {
		case !isMoney || of != 0 && a.After.holds(entry, a.After.Entry, of) != b.held:
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
		k := billKey{what: what, product: w.ID, class: against, unit: core.Events.String(), period: a.Period(of)}
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
	tax := map[string]string{} // by wallet
	for _, w := range b.of {
		tax[w.ID] = w.tax
	}
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
				if k.tax = tax[k.product]; amount.Sign() == 0 && before.Sign() == 0 {
					continue
				}
			}
			percent, included, _ := strings.Cut(k.tax, " ")
			b.out[i].Totals = append(b.out[i].Totals, BillTotal{What: k.what, Product: k.product, Class: k.class, Name: s.name, Unit: k.unit, Quantity: s.quantity,
				Records: s.records, Amount: amount, Before: before, Period: k.period, TaxIncluded: included != "", TaxPercent: percent})
		}
		slices.SortFunc(b.out[i].Totals, func(x, y BillTotal) int {
			return cmp.Or(cmp.Compare(x.Product, y.Product), cmp.Compare(x.Period, y.Period), -cmp.Compare(x.What, y.What), cmp.Compare(x.Class, y.Class),
				cmp.Compare(x.Unit, y.Unit), cmp.Compare(x.TaxPercent, y.TaxPercent))
		})
	}
	return nil
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
	t.tax = string(doc.Prices.Tax.Percent)
	if doc.Prices.Tax.Included {
		t.tax += " included"
	}
	s.tariffs[number] = t
	return t, nil
}

// BilledUsage are the usage records of a product that a bill holds: those of one rectangle
// less an earlier one, used in a period, those charged last first. cursor and next are as in
// UsageOfLine; a page before the end may have fewer than limit.
func BilledUsage(tx *store.Tx, product string, after, upto BillMark, from, to time.Time, cursor string, limit int) (page []*Usage, next string, err error) {
	all, next, err := UsageOfLine(tx, product, from, to, cursor, limit)
	for _, u := range all {
		s := &u.row
		if upto.holds(s.number, upto.Number, s.last) && !after.holds(s.number, after.Number, s.last) {
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

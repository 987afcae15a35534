package billing

import (
	"cmp"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"tandem/bss/billing/compute"
	"tandem/bss/catalog"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// comparing is a page of bills under way.
type comparing struct {
	tx     *store.Tx
	agreed bool
	with   map[string]substitution
	totals map[[2]string]*offeringTotal // by offering and currency
	names  map[string]string            // of offerings
	counts ComparisonProgress
	sums   comparedSums
	bills  []comparedRow
	lines  []differenceRow
}

type offeringTotal struct{ lines, changed, was, becomes int64 }

// comparedRow is a row of billing_compared.
type comparedRow struct {
	bill, account, number, currency string
	lines                           int64
	net, tax, gross                 int64
	newNet, newTax, newGross        int64
	code, reason                    string
}

// differenceRow is a row of billing_difference.
type differenceRow struct {
	bill, account, item, product, offering, name, sort, currency string
	n, was, becomes                                              int64
	code, reason                                                 string
}

// compare replays the bills of a page. It only reads.
func compare(tx *store.Tx, c *BillComparison, ids []string) (*comparing, error) {
	p := &comparing{tx: tx, agreed: c.IncludeAgreed, totals: map[[2]string]*offeringTotal{}, names: map[string]string{}, sums: comparedSums{}}
	with, usage, err := substitutes(tx, c)
	if err != nil {
		return nil, err
	}
	p.with = with
	all, groups, err := readBills(tx, ids)
	if err != nil {
		return nil, err
	}
	for _, group := range groups {
		if err := replay(tx, group, usage); err != nil {
			return nil, err
		}
	}
	for _, b := range all {
		if err := p.bill(b); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// bill replays one bill. What goes wrong with it is its own.
func (p *comparing) bill(b *replayed) error {
	if b.parked == "" {
		if err := p.replayed(b); err != nil {
			f := fault.Of(err)
			if f.Kind == fault.Internal && !b.defect(err) {
				return err
			}
			b.park("notComputable", "%s", sentence(err))
		}
	}
	if b.parked == "" {
		return nil
	}
	p.counts.Parked++
	row := comparedRow{bill: b.id, account: b.account, number: b.number, code: b.code, reason: b.parked, currency: b.currency}
	if d := b.doc; d != nil {
		sign := signOf(d)
		row.net, row.tax, row.gross = sign*d.Net, sign*d.Tax, sign*d.Gross
		row.newNet, row.newTax, row.newGross = row.net, row.tax, row.gross
	}
	p.bills = append(p.bills, row)
	return nil
}

// signOf is -1 for a credit note, whose amounts are what the customer gets.
func signOf(d *Document) int64 {
	if d.Kind == CreditNote {
		return -1
	}
	return 1
}

// errDefect is a panic of the engine.
type errDefect struct{ text string }

func (e errDefect) Error() string { return e.text }

func (b *replayed) defect(err error) bool {
	_, ok := err.(errDefect)
	return ok
}

// made works a bill out.
func made(in *compute.Input) (b *compute.Bill, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, errDefect{fmt.Sprintf("The bill cannot be worked out, which is a defect of this program; report it with these words: %v\n%s", p, debug.Stack())}
		}
	}()
	return compute.Make(in)
}

// replayed works a bill out as it was, then as it would be, and lists what differs.
func (p *comparing) replayed(b *replayed) error {
	was, err := made(&b.own.Input)
	if err != nil {
		return err
	}
	if why := b.unlike(b.own.Document(b.id, was)); why != "" {
		b.park("notReproduced", "By what is known now the bill cannot be worked out as it was, so it is not compared: %s", why)
		return nil
	}
	p.counts.Reproduced++
	p.counts.Undecided += int64(b.usage.Undecided)
	p.counts.Unrated += int64(b.usage.Unrated)
	p.counts.Older += int64(b.usage.Older)
	next := b.own.Input
	items, swapped, kept, err := b.swap(p.with, p.agreed)
	if err != nil {
		return err
	}
	p.counts.Kept += kept
	next.Items = items
	if b.now != nil {
		next.Usage = b.now
	}
	is, err := made(&next)
	if err != nil {
		return err
	}
	return p.differ(b, was, is, swapped)
}

// unlike says in which way a bill that was worked out again is not as it was posted.
func (b *replayed) unlike(d *Document) string {
	type amount struct{ amount, net int64 }
	key := func(l *DocumentLine) string { return fmt.Sprintf("%s|%s|%d|%d", l.Item, l.Key, l.Index, l.Number) }
	names, sums := map[string]string{}, map[string]amount{}
	c, err := money.ParseCurrency(b.doc.Currency)
	if err != nil || d.Currency != b.doc.Currency {
		return "it was in " + b.doc.Currency
	}
	for _, x := range []struct {
		doc  *Document
		sign int64
	}{{b.doc, signOf(b.doc)}, {d, -signOf(d)}} {
		for i := range x.doc.Lines {
			l := &x.doc.Lines[i]
			a := sums[key(l)]
			sums[key(l)] = amount{a.amount + x.sign*l.Amount, a.net + x.sign*l.Net}
			names[key(l)] = l.Name
		}
	}
	for _, k := range slices.Sorted(maps.Keys(sums)) {
		if a := sums[k]; a != (amount{}) {
			less, than := cmp.Or(a.net, a.amount), "less"
			if less < 0 {
				than = "more"
			}
			return fmt.Sprintf("%s comes to %s %s than it did", names[k], money.Amount{Minor: abs(less), Currency: c}, than)
		}
	}
	if was, is := signOf(b.doc)*b.doc.Gross, signOf(d)*d.Gross; was != is {
		return fmt.Sprintf("its total was %s and is %s", money.Amount{Minor: was, Currency: c}, money.Amount{Minor: is, Currency: c})
	}
	return ""
}

// difference is what a bill has of one thing: an item's service period, or usage of a sort.
type difference struct {
	was, is       *compute.Line // the first line of each
	item          string
	before, after int64 // net
	base, newBase int64
}

// differ lists what differs between two bills.
func (p *comparing) differ(b *replayed, was, is *compute.Bill, swapped map[string]*swappedItem) error {
	all, order := map[string]*difference{}, []string(nil)
	of := func(l *compute.Line) *difference {
		item := strings.TrimSuffix(l.Item, freshMark)
		key := fmt.Sprintf("%s|%s|%d", item, l.Key, l.Index)
		d := all[key]
		if d == nil {
			d = &difference{item: item}
			all[key], order = d, append(order, key)
		}
		return d
	}
	for i := range was.Lines {
		l := &was.Lines[i]
		d := of(l)
		d.before, d.was, d.base = d.before+l.Net, cmp.Or(d.was, l), l.Base
	}
	for i := range is.Lines {
		l := &is.Lines[i]
		d := of(l)
		d.after, d.is, d.newBase = d.after+l.Net, cmp.Or(d.is, l), l.Base
	}
	currency, n := b.doc.Currency, int64(0)
	for _, key := range order {
		d := all[key]
		l := cmp.Or(d.is, d.was)
		row := differenceRow{bill: b.id, account: b.account, item: d.item, product: l.Product, name: l.Name, sort: sortNames[l.Sort], currency: currency,
			was: d.before, becomes: d.after}
		row.offering = p.offeringOf(b, d.item, l.Product)
		t := p.total(row.offering, currency)
		t.lines, t.was, t.becomes = t.lines+1, t.was+d.before, t.becomes+d.after
		if d.before == d.after {
			continue
		}
		n++
		t.changed++
		row.n = n
		row.code, row.reason = d.why(swapped[d.item], b)
		p.lines = append(p.lines, row)
	}
	row := comparedRow{bill: b.id, account: b.account, number: b.number, currency: currency, lines: n, net: was.Net, tax: was.Tax, gross: was.Gross,
		newNet: is.Net, newTax: is.Tax, newGross: is.Gross, code: comparedChanged}
	if is.Waits {
		row.reason = "It would be below the account's minimum, and wait for the next bill"
	}
	p.counts.Lines += n
	p.sums.add(currency, was.Net, was.Gross, is.Net, is.Gross)
	if n > 0 || was.Net != is.Net || was.Tax != is.Tax || is.Waits {
		p.counts.Changed++
		p.bills = append(p.bills, row)
	}
	return nil
}

// why says why a line differs.
func (d *difference) why(s *swappedItem, b *replayed) (code, reason string) {
	c := b.own.Input.Currency
	in := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: c} }
	switch {
	case s != nil:
		return differsByPrice, s.words()
	case d.item == "" && d.was != nil && d.is != nil && d.was.Unit != d.is.Unit:
		return differsByTariff, fmt.Sprintf("Its records cost %s by the changed tariff, by the present one %s", d.is.Unit, d.was.Unit)
	case d.item == "":
		return differsByTariff, "Its records are priced by the changed tariff"
	case d.base != d.newBase:
		return differsByBase, fmt.Sprintf("It counts %s instead of %s", in(d.newBase), in(d.base))
	case d.was != nil && d.is != nil && d.was.Amount == d.is.Amount:
		return differsByShare, "Its share of the net of prices with tax, which follows from the gross of all of them, is rounded otherwise"
	}
	return differsByBase, "It counts lines that are charged otherwise"
}

// words say what of a price becomes other.
func (s *swappedItem) words() string {
	was, next := priceWords(s.it.Name, s.it.Price.Version, s.over), priceWords(s.sub.with.Name, s.sub.with.Version, s.next)
	if was != next {
		return was + " becomes " + next
	}
	return fmt.Sprintf("%s stays at its price, but is billed otherwise: %s", was, strings.Join(s.otherwise(), ", "))
}

func priceWords(name, version string, it compute.Item) string {
	amount := it.Amount.String()
	if it.Percent.Den != 0 {
		amount = percentText([2]int64{it.Percent.Num, it.Percent.Den}) + " %"
	}
	if version == "" {
		return fmt.Sprintf("%s (%s)", name, amount)
	}
	return fmt.Sprintf("%s (version %s, %s)", name, version, amount)
}

// otherwise names what besides the amount is other.
func (s *swappedItem) otherwise() (out []string) {
	a, b := s.over, s.next
	if a.Timing != b.Timing {
		out = append(out, map[compute.Timing]string{compute.Advance: "in advance", compute.Arrears: "in arrears"}[b.Timing])
	}
	if a.Proration != b.Proration {
		out = append(out, "parts of a period by the rule "+ruleNames[b.Proration])
	}
	if a.TaxCategory != b.TaxCategory || a.TaxIncluded != b.TaxIncluded {
		out = append(out, "another tax")
	}
	if a.Cycle != b.Cycle {
		out = append(out, "other service periods")
	}
	if a.Quantity != b.Quantity {
		out = append(out, "another quantity")
	}
	if len(out) == 0 {
		out = []string{"by other terms"}
	}
	return out
}

// offeringOf is the offering that a line belongs to.
func (p *comparing) offeringOf(b *replayed, item, product string) string {
	for _, it := range b.own.docs {
		if r := it.ProductOffering; r != nil && (it.ID == item || item == "" && it.Product.ID == product) {
			p.names[r.ID] = cmp.Or(p.names[r.ID], r.Name)
			return r.ID
		}
	}
	id := b.offering[product]
	if id != "" && p.names[id] == "" {
		p.names[id] = id
		if o, err := catalog.Offerings.Look(p.tx, id); err == nil {
			p.names[id] = o.Name
		}
	}
	return id
}

func (p *comparing) total(offering, currency string) *offeringTotal {
	key := [2]string{offering, currency}
	if p.totals[key] == nil {
		p.totals[key] = &offeringTotal{}
	}
	return p.totals[key]
}

// priceMoved refuses to go on with prices that are changed meanwhile: half of the bills would
// be compared with what they were.
func priceMoved(p *catalog.ProductOfferingPrice) error {
	return fault.Clash("priceMoved", "The price %q was changed while it was compared: compare again", p.Name)
}

package billing

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/ledger/recognition"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// ObligationTerms make what a price is paid for a performance obligation of a contract (IFRS
// 15): with a minimum term on one of its prices, the price of a product is allocated by them.
//
//	"obligation": {"name": "Handset", "sellingPrice": 600}
type ObligationTerms struct {
	Name string `json:"name,omitzero"` // none: that of the price
	// SellingPrice is what it is sold for on its own, without tax: for one period of a recurring
	// price, or once.
	SellingPrice jsontext.Value `json:"sellingPrice"`
}

func (o *ObligationTerms) check(p *catalog.ProductOfferingPrice) error {
	if o == nil {
		return nil
	}
	price, err := amountOf(o.SellingPrice, money.EUR)
	unit, _, recurs := p.Period()
	switch {
	case p.Sort() != catalog.Recurring && p.Sort() != catalog.OneTime || p.Price == nil || recurs && monthsOf(unit, 1) == 0:
		return badTerms("obligation is for a price with an amount, once or a month, quarter or year")
	case err != nil || len(o.SellingPrice) == 0 || price.Sign() < 0:
		return badTerms("obligation.sellingPrice is an amount without tax and sign, not %.40s", o.SellingPrice)
	case len(o.Name) > 120:
		return badTerms("obligation.name has at most 120 characters")
	}
	return nil
}

func init() { catalog.AskBeforeLaunch(judgeContract) }

// judgeContract refuses to launch an offering whose contract could not be allocated: each of
// its prices that the contract counts is for something that is promised, or what is promised
// would bear the revenue of all of them, and something is sold for more than nothing.
func judgeContract(_ *store.Tx, _ *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) error {
	var term, promised, worth bool
	without := ""
	for _, p := range prices {
		t, err := billingTerms(p)
		if err != nil {
			return err
		}
		i := BillableItem{Name: p.Name, ChargeType: chargeType(p), Amount: p.Price, Billing: t}
		i.PeriodUnit, i.PeriodCount, _ = p.Period()
		term = term || i.committed() > 0
		switch {
		case !i.counts():
		case i.promises():
			promised = true
			selling, err := amountOf(t.Obligation.SellingPrice, money.EUR)
			if err != nil {
				return err
			}
			worth = worth || selling.Sign() > 0
		case i.Amount.Sign() != 0:
			without = cmp.Or(without, p.Name)
		}
	}
	switch {
	case !term || !promised:
		return nil
	case without != "":
		return badTerms("price %q has no obligation, and others of the offering have one: with a minimum term all of them are the price of one contract, so say what it is for and what that is sold for on its own", without)
	case !worth:
		return badTerms("obligation.sellingPrice is above zero for one price of the offering at least: by selling prices the price of the contract is allocated")
	}
	return nil
}

// counts says that an item is part of the price of a contract. What is charged by use, what
// alters other charges or is the least that they come to is not known before: it is taken up
// when the contract is settled.
func (i *BillableItem) counts() bool {
	switch {
	case i.Amount == nil || i.apart() || i.Billing != nil && i.Billing.Commitment != nil:
		return false
	case i.ChargeType == Recurring:
		return monthsOf(i.PeriodUnit, i.PeriodCount) > 0
	}
	return i.ChargeType == OneTime
}

// promises says that an item is an obligation.
func (i *BillableItem) promises() bool {
	return i.counts() && i.Billing != nil && i.Billing.Obligation != nil
}

// committed are the months that an item is taken for at least.
func (i *BillableItem) committed() int64 {
	if i.Billing == nil || i.Billing.MinimumTerm == nil {
		return 0
	}
	return i.Billing.MinimumTerm.Months
}

// accounting is what the charges of a billing account are booked by: the account that pays
// for it and the legal entity that bills that one.
type accounting struct {
	tx      *store.Tx
	account *Account
	entity  *LegalEntity
	zone    *time.Location
}

func accountingOf(tx *store.Tx, account string) (a *accounting, err error) {
	a = &accounting{tx: tx}
	if a.account, err = payerOf(tx, account); err != nil {
		return nil, err
	}
	if a.entity, err = EntityOf(tx, a.account); err != nil {
		return nil, err
	}
	a.zone, err = civil.LoadZone(cmp.Or(a.account.TimeZone, a.entity.TimeZone))
	return a, err
}

// openContract begins the contract of a product whose new items promise something for a
// minimum term. It has the id of the product.
func openContract(tx *store.Tx, product string, items []*BillableItem) error {
	var months int64
	for _, i := range items {
		months = max(months, i.committed())
	}
	first := slices.IndexFunc(items, (*BillableItem).promises)
	if months == 0 || first < 0 {
		return nil
	}
	at := items[first].From
	return unlessRefused(tx, product, "opened", items[first], at, func(a *accounting) error {
		begins := civil.DateOf(at, a.zone)
		c := recognition.Contract{ID: product, Entity: a.entity.ID, Account: items[first].BillingAccount.ID, Product: product, Start: begins,
			Price: money.Amount{Currency: items[first].Amount.Currency}}
		over := civil.Period{From: begins, To: begins.AddMonths(int(months))}
		for _, i := range items {
			price, o, err := a.promise(i, over)
			if err != nil {
				return err
			}
			if c.Price.Minor += price; o != nil {
				c.Obligations = append(c.Obligations, *o)
			}
		}
		return recognition.Open(tx, c)
	})
}

// unlessRefused does something with the contract of a product. Where that cannot be done the
// contract is set aside with a sentence, since the product is billed all the same: its bills
// are then booked by what is known of it. item is one of the product.
func unlessRefused(tx *store.Tx, product, what string, item *BillableItem, at time.Time, do func(*accounting) error) error {
	aside := recognition.Aside{Contract: product, What: what, On: civil.DateOf(at, time.UTC)}
	a, err := accountingOf(tx, item.BillingAccount.ID)
	if err == nil {
		aside.On, aside.Entity = civil.DateOf(at, a.zone), a.entity.ID
		err = do(a)
	}
	f := fault.Of(err)
	if err == nil || f.Kind == fault.Internal || f.Kind == fault.Unavailable {
		return err
	}
	aside.Reason = "The contract could not be " + what + " on " + aside.On.String() + ", and its bills are booked as if nothing had been asked: " + f.Reason
	return recognition.SetAside(tx, aside)
}

// promise is what an item adds to the price of a contract for a time, in minor units without
// tax, and the obligation that it is.
func (a *accounting) promise(i *BillableItem, over civil.Period) (price int64, o *recognition.Obligation, err error) {
	if !i.counts() {
		return 0, nil, nil
	}
	num, den := int64(1), int64(1)
	if i.Billing != nil {
		num = max(i.Billing.Quantity, 1)
	}
	if i.ChargeType == Recurring {
		num, den = num*civil.Days360(over.From, over.To), 30*monthsOf(i.PeriodUnit, i.PeriodCount)
	}
	net, err := a.net(i, num, den, over.From)
	if err != nil || !i.promises() {
		return net, nil, tooMuch(i, err)
	}
	selling, err := amountOf(i.Billing.Obligation.SellingPrice, i.Amount.Currency)
	if err != nil {
		return 0, nil, tooMuch(i, err)
	}
	worth, err := selling.PostRat(num, den, money.HalfUp)
	if i.ChargeType == OneTime {
		over.To = civil.Date{} // delivered at once
	}
	return net, &recognition.Obligation{ID: i.ID, Name: cmp.Or(i.Billing.Obligation.Name, i.Name), SellingPrice: worth.Minor, Over: over,
		Revenue: cmp.Or(i.Billing.Revenue, a.entity.Revenue, defaultRevenue)}, tooMuch(i, err)
}

// tooMuch says of an item that its amounts cannot be counted.
func tooMuch(i *BillableItem, err error) error {
	if errors.Is(err, money.ErrOverflow) {
		return fault.BadInput("amountTooLarge", "%q comes to more than can be counted", i.Name)
	}
	return err
}

// net is num/den of the price of an item in minor units, without the tax that it may have.
func (a *accounting) net(i *BillableItem, num, den int64, on civil.Date) (int64, error) {
	whole, err := i.Amount.PostRat(num, den, money.HalfUp)
	if err != nil || i.Billing == nil || !i.Billing.TaxIncluded {
		return whole.Minor, err
	}
	all, err := ratesOf(a.tx)
	if err != nil {
		return 0, err
	}
	word, percent := "", ""
	if len(i.Tax) > 0 {
		word, percent = i.Tax[0].TaxCategory, string(i.Tax[0].TaxRate)
	}
	rates := all[cmp.Or(a.account.TaxJurisdiction, a.entity.Jurisdiction)]
	category, _ := rates.category(i.Billing.TaxCategory, word, percent, on)
	for _, r := range rates {
		if r.Category == category && r.Period.Contains(on) && r.Percent.Den > 0 {
			return money.MulDiv(whole.Minor, 100*r.Percent.Den, 100*r.Percent.Den+r.Percent.Num, money.HalfUp)
		}
	}
	return whole.Minor, nil
}

// changeContract takes a change of a product into its contract: what is no longer charged
// leaves the price, what now is joins it, and what was promised follows (IFRS 15.21a). was
// are the items that the change has ended.
func changeContract(tx *store.Tx, product string, was []*BillableItem, at time.Time) error {
	c, err := recognition.Of(tx, product)
	if fault.Is(err, fault.NotFound) || err == nil && c.State != recognition.Active {
		return nil
	}
	if err != nil {
		return err
	}
	items, err := ItemsOf(tx, product)
	if err != nil {
		return err
	}
	var began, ended []*BillableItem
	for _, i := range items {
		switch {
		case slices.ContainsFunc(was, func(w *BillableItem) bool { return w.ID == i.ID }):
			ended = append(ended, i)
		case i.From.Equal(at):
			began = append(began, i)
		}
	}
	if len(began)+len(ended) == 0 {
		return nil
	}
	return unlessRefused(tx, product, "changed", slices.Concat(began, ended)[0], at, func(a *accounting) error {
		return a.modify(c, began, ended, civil.DateOf(at, a.zone))
	})
}

// modify takes items that began and ended on a day into a contract. One of which nothing is
// left to render goes on from month to month: it ends.
func (a *accounting) modify(c *recognition.Contract, began, ended []*BillableItem, on civil.Date) error {
	if !on.Before(c.Ends) {
		return nil
	}
	m := recognition.Modification{On: on, Price: c.Price, Obligations: slices.Clone(c.Obligations)}
	left := civil.Period{From: on, To: c.Ends}
	for _, i := range ended {
		price, _, err := a.promise(i, left)
		if err != nil {
			return err
		}
		m.Price.Minor -= price
		for n := range m.Obligations {
			if x := &m.Obligations[n]; x.ID == i.ID && on.Before(x.Over.To) {
				x.Over.To = on
			}
		}
	}
	for _, i := range began {
		price, o, err := a.promise(i, left)
		if err != nil {
			return err
		}
		if m.Price.Minor += price; o != nil {
			m.Obligations = append(m.Obligations, *o)
		}
	}
	switch {
	case m.Price == c.Price && slices.Equal(m.Obligations, c.Obligations):
		return nil
	case !slices.ContainsFunc(m.Obligations, func(o recognition.Obligation) bool { return on.Before(o.Over.To) }):
		return recognition.End(a.tx, c.ID, on)
	}
	return recognition.Modify(a.tx, c.ID, m)
}

// endContract ends the contract of a product whose items end.
func endContract(tx *store.Tx, product string, items []*BillableItem, at time.Time) error {
	first := slices.IndexFunc(items, (*BillableItem).promises)
	if first < 0 {
		return nil
	}
	return unlessRefused(tx, product, "ended", items[first], at, func(a *accounting) error {
		err := recognition.End(tx, product, civil.DateOf(at, a.zone))
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
}

// Recognise hears of posted bills, and puts what they have of contracts onto those: it is
// revenue when it is rendered (bss/ledger/recognition).
func Recognise(tx *store.Tx, f fact.BillsPosted) (err error) {
	defer fault.Wrap(&err, "billing.Recognise")
	if any, err := recognition.Any(tx); err != nil || !any {
		return err
	}
	for page := range slices.Chunk(f.Bills, recognisedAtOnce) {
		ids := make([]string, len(page))
		for i := range page {
			ids[i] = page[i].Bill
		}
		args := store.Padded(ids)
		rows, err := tx.Query("SELECT doc FROM billing_document WHERE tenant = $1 AND bill IN ("+store.In(2, len(args))+") ORDER BY bill", args...)
		docs, err := store.Collect(rows, err, func(r store.Rows) (*Document, error) {
			var doc []byte
			if err := r.Scan(&doc); err != nil {
				return nil, err
			}
			return ReadDocument(doc)
		})
		if err != nil {
			return err
		}
		if err := recogniseAll(tx, page, docs); err != nil {
			return err
		}
	}
	return nil
}

const (
	recognisedAtOnce = 100         // bills
	feeItem          = ".earlyEnd" // how the id of an item ends that charges an early end
)

// recogniseAll tells contracts of the lines that their products have on bills.
func recogniseAll(tx *store.Tx, bills []fact.PostedBill, docs []*Document) error {
	issued := map[string]string{}
	for _, b := range bills {
		issued[b.Bill] = b.IssuedOn
	}
	sold := map[string]bool{}
	for _, d := range docs {
		for i := range d.Lines {
			sold[d.Lines[i].Product] = true
		}
	}
	delete(sold, "")
	contracts, err := recognition.ByProduct(tx, sortedKeys(sold))
	if err != nil {
		return err
	}
	for _, d := range docs {
		on, err := civil.ParseDate(issued[d.Bill])
		if err != nil {
			return err
		}
		of := map[string][]recognition.BilledLine{}
		for i := range d.Lines {
			l := &d.Lines[i]
			contract, ok := contracts[l.Product]
			if !ok || l.Product == "" {
				continue
			}
			b := recognition.BilledLine{Product: l.Product, From: l.ServiceFrom, Fee: strings.HasSuffix(l.Item, feeItem), Corrects: l.Corrects,
				Revenue: cmp.Or(l.Revenue, defaultRevenue), Net: l.Net}
			if d.Kind == CreditNote {
				b.Net = -b.Net
			}
			if l.Sort == Usage || strings.HasPrefix(l.Revenue, "@") {
				continue // is rendered when it is used; or is no price at all
			}
			of[contract] = append(of[contract], b)
		}
		for _, contract := range sortedKeys(of) {
			if err := recognition.Billed(tx, contract, recognition.Bill{ID: d.Bill, Entity: d.Entity, On: on, Lines: of[contract]}); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

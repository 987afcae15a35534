package billing

import (
	"cmp"
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

// promises says that an item is an obligation.
func (i *BillableItem) promises() bool {
	return i.Billing != nil && i.Billing.Obligation != nil && i.Amount != nil
}

// committed are the months that an item is taken for at least.
func (i *BillableItem) committed() int64 {
	if i.Billing == nil || i.Billing.MinimumTerm == nil {
		return 0
	}
	return i.Billing.MinimumTerm.Months
}

// accounting is what contracts of a billing account are made with.
type accounting struct {
	tx      *store.Tx
	account *Account
	entity  *LegalEntity
	zone    *time.Location
}

func accountingOf(tx *store.Tx, account string) (a *accounting, err error) {
	a = &accounting{tx: tx}
	if a.account, err = BillingAccounts.Get(tx, account); err != nil {
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
	if months == 0 || !slices.ContainsFunc(items, (*BillableItem).promises) {
		return nil
	}
	a, err := accountingOf(tx, items[0].BillingAccount.ID)
	if err != nil {
		return err
	}
	begins := civil.DateOf(items[0].From, a.zone)
	c := recognition.Contract{ID: product, Entity: a.entity.ID, Account: a.account.ID, Product: product, Start: begins, Price: money.Amount{Currency: items[0].currency()}}
	for _, i := range items {
		over := civil.Period{From: begins, To: begins.AddMonths(int(months))}
		price, o, err := a.promise(i, over)
		if err != nil {
			return err
		}
		if c.Price.Minor += price; o != nil {
			c.Obligations = append(c.Obligations, *o)
		}
	}
	return recognition.Open(tx, c)
}

func (i *BillableItem) currency() (c money.Currency) {
	if i.Amount != nil {
		c = i.Amount.Currency
	}
	return c
}

// promise is what an item adds to the price of a contract for a time, in minor units without
// tax, and the obligation that it is. What is charged by use, and what alters other charges,
// is not known before: it is taken up when the contract is settled.
func (a *accounting) promise(i *BillableItem, over civil.Period) (price int64, o *recognition.Obligation, err error) {
	if i.Amount == nil || i.apart() || i.ChargeType != Recurring && i.ChargeType != OneTime {
		return 0, nil, nil
	}
	num, den := int64(1), int64(1)
	if i.Billing != nil {
		num = max(i.Billing.Quantity, 1)
	}
	if i.ChargeType == Recurring {
		months := monthsOf(i.PeriodUnit, i.PeriodCount)
		if months == 0 {
			return 0, nil, nil
		}
		num, den = num*civil.Days360(over.From, over.To), 30*months
	}
	net, err := a.net(i, num, den, over.From)
	if err != nil || !i.promises() {
		return net, nil, err
	}
	selling, err := amountOf(i.Billing.Obligation.SellingPrice, i.Amount.Currency)
	if err != nil {
		return 0, nil, err
	}
	worth, err := selling.PostRat(num, den, money.HalfUp)
	if i.ChargeType == OneTime {
		over.To = civil.Date{} // delivered at once
	}
	return net, &recognition.Obligation{ID: i.ID, Name: cmp.Or(i.Billing.Obligation.Name, i.Name), SellingPrice: worth.Minor, Over: over,
		Revenue: cmp.Or(i.Billing.Revenue, a.entity.Revenue, defaultRevenue)}, err
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
	if !slices.ContainsFunc(was, (*BillableItem).promises) {
		return nil
	}
	c, err := recognition.Of(tx, product)
	if fault.Is(err, fault.NotFound) || err == nil && c.State != recognition.Active {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := accountingOf(tx, was[0].BillingAccount.ID)
	if err != nil {
		return err
	}
	on := civil.DateOf(at, a.zone)
	if !on.Before(c.Ends) {
		return nil
	}
	m := recognition.Modification{On: on, Price: c.Price, Obligations: c.Obligations}
	left := civil.Period{From: on, To: c.Ends}
	items, err := ItemsOf(tx, product)
	if err != nil {
		return err
	}
	promised := false
	for _, i := range items {
		began, ended := i.From.Equal(at), i.To.Equal(at) && i.From.Before(at)
		if !began && !ended {
			continue
		}
		price, o, err := a.promise(i, left)
		if err != nil {
			return err
		}
		if ended {
			m.Price.Minor -= price
			for n := range m.Obligations {
				if x := &m.Obligations[n]; x.ID == i.ID && on.Before(x.Over.To) {
					x.Over.To = on
				}
			}
			continue
		}
		if m.Price.Minor += price; o != nil {
			m.Obligations, promised = append(m.Obligations, *o), true
		}
	}
	goesOn := slices.ContainsFunc(m.Obligations, func(o recognition.Obligation) bool { return on.Before(o.Over.To) })
	if !promised && !goesOn {
		return recognition.End(tx, product, on) // from month to month from now on
	}
	return recognition.Modify(tx, product, m)
}

// endContract ends the contract of a product whose items end.
func endContract(tx *store.Tx, product string, items []*BillableItem, at time.Time) error {
	if !slices.ContainsFunc(items, (*BillableItem).promises) {
		return nil
	}
	a, err := accountingOf(tx, items[0].BillingAccount.ID)
	if err != nil {
		return err
	}
	err = recognition.End(tx, product, civil.DateOf(at, a.zone))
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
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

const recognisedAtOnce = 100 // bills

// recogniseAll tells contracts of the lines that their products have on bills.
func recogniseAll(tx *store.Tx, bills []fact.PostedBill, docs []*Document) error {
	issued := map[string]string{}
	for _, b := range bills {
		issued[b.Bill] = b.IssuedOn
	}
	var products []string
	for _, d := range docs {
		for i := range d.Lines {
			if p := d.Lines[i].Product; p != "" && !slices.Contains(products, p) {
				products = append(products, p)
			}
		}
	}
	contracts, err := recognition.ByProduct(tx, products)
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
			b := recognition.BilledLine{Product: l.Product, From: l.ServiceFrom, Revenue: cmp.Or(l.Revenue, defaultRevenue), Net: l.Net}
			if d.Kind == CreditNote {
				b.Net = -b.Net
			}
			if l.Sort == Usage || strings.HasPrefix(l.Revenue, "@") {
				continue // is rendered when it is used; or is no price at all
			}
			of[contract] = append(of[contract], b)
		}
		for _, contract := range sortedKeys(of) {
			if err := recognition.Billed(tx, contract, d.Bill, on, of[contract]); err != nil {
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

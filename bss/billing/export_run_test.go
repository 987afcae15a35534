package billing

import "tandem/kit/civil"

// PagesOf makes pages of bill runs have so many accounts, until what it returns is called.
func PagesOf(accounts int) func() {
	was := accountsAPage
	accountsAPage = accounts
	return func() { accountsAPage = was }
}

// ComparedTries has jobs of comparisons tried so often, until what it returns is called.
func ComparedTries(tries int) func() {
	was := comparedTries
	comparedTries = tries
	return func() { comparedTries = was }
}

// RateTable is the tax rates of a jurisdiction.
type RateTable = rateTable

// Category is how a charge is taxed.
func (t rateTable) Category(named, word, percent string, at civil.Date) (string, bool) {
	return t.category(named, word, percent, at)
}

// CreditOf is net and tax of a part of a line whose price has so many per cent in it.
func CreditOf(gross, percent int64) (net, tax int64) {
	p := [2]int64{percent, 1}
	c := &credit{was: &Document{Lines: []DocumentLine{{TaxCode: "S", TaxPercent: p, TaxIncluded: true, Amount: 10_000, Net: 8403}}, Taxes: []DocumentTax{{Code: "S", Percent: p, Net: 8403, Tax: 1597}}},
		doc: &Document{Lines: []DocumentLine{{TaxCode: "S", TaxPercent: p, TaxIncluded: true, Amount: gross, Net: gross * 100 / (100 + percent)}}}}
	if err := c.taxes(nil); err != nil {
		panic(err)
	}
	return c.doc.Net, c.doc.Tax
}

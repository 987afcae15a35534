package billing

import "tandem/kit/civil"

// PagesOf makes pages of bill runs have so many accounts, until what it returns is called.
func PagesOf(accounts int) func() {
	was := accountsAPage
	accountsAPage = accounts
	return func() { accountsAPage = was }
}

// RateTable is the tax rates of a jurisdiction.
type RateTable = rateTable

// Category is how a charge is taxed.
func (t rateTable) Category(named, word, percent string, at civil.Date) (string, bool) {
	return t.category(named, word, percent, at)
}

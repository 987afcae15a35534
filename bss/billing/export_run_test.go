package billing

// PagesOf makes pages of bill runs have so many accounts, until what it returns is called.
func PagesOf(accounts int) func() {
	was := accountsAPage
	accountsAPage = accounts
	return func() { accountsAPage = was }
}

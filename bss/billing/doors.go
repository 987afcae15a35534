package billing

import (
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/party"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// AccountFor is the billing account of a customer: the oldest one that is not
// closed. A customer who has none gets one; that needs a transaction that writes.
// The customer stays locked, so that two orders make one account.
func AccountFor(tx *store.Tx, customer string) (*BillingAccount, error) {
	return accountFor(tx, customer, "")
}

// accountFor is AccountFor; an account that it makes is billed in the currency.
func accountFor(tx *store.Tx, customer, currency string) (*BillingAccount, error) {
	get := party.Customers.Get
	if tx.Writable() {
		get = party.Customers.Lock
	}
	c, err := get(tx, customer)
	if err != nil {
		return nil, err
	}
	a, err := usual(tx, customer)
	if a != nil || err != nil {
		return a, err
	}
	if !tx.Writable() {
		return nil, fault.Missing("billingAccount of customer", customer)
	}
	a = &Account{Currency: currency, AccountTerms: AccountTerms{Name: "Account of " + c.Name,
		RelatedParty: []tmf.RelatedParty{{ID: c.ID, Name: c.Name, Href: c.Href, Role: "customer", ReferredType: "Customer"}}}}
	delete(readAhead(tx).accounts, customer)
	return a, BillingAccounts.Create(tx, a)
}

// usual is the account a customer is billed on if none is named, nil if he has none.
func usual(tx *store.Tx, customer string) (*BillingAccount, error) {
	found, err := accountsOf(tx, customer)
	if err != nil {
		return nil, err
	}
	for _, a := range found {
		if a.belongsTo(customer) && a.State != Closed {
			return a, nil
		}
	}
	return nil, nil
}

// belongsTo says that the account names the customer as one it is for.
func (a *Account) belongsTo(customer string) bool {
	return slices.ContainsFunc(a.RelatedParty, func(r tmf.RelatedParty) bool { return r.ID == customer && (r.Role == "" || isCustomer(r)) })
}

// ItemsOf lists the billable items of a product, oldest first, the ended ones too.
func ItemsOf(tx *store.Tx, product string) ([]*BillableItem, error) {
	return Items.Select(tx, tmf.Where{"product.id": product}, tmf.Page{Sort: "from"})
}

// Needs refuses the delete of a customer who has a billing account; for party.Keep.
func Needs(tx *store.Tx, customer string) error {
	for _, k := range []*tmf.Kind[Account, *Account]{&BillingAccounts, &PartyAccounts, &SettlementAccounts} {
		found, err := k.Select(tx, tmf.Where{"relatedParty.id": customer}, tmf.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return fault.Clash("stillReferenced", "The customer %q cannot be deleted: %s %q belongs to it", customer, k.Name, found[0].ID)
		}
	}
	return nil
}

// SettlePayer refuses an account that a customer cannot be billed on in all of some
// currencies: it is not there, not for him, closed, or billed in another. An empty
// account is the one he is billed on if none is named. Where nothing is refused the
// account is there and billed in that currency when the transaction ends, so that no
// later order can be taken in another before this one is billed. For order.Payer.
func SettlePayer(tx *store.Tx, customer, account string, currencies []string) error {
	a, err := payingAccount(tx, customer, account)
	if err != nil {
		return err
	}
	in := a.Currency
	for _, c := range currencies {
		switch {
		case in == "":
			in = c
		case in != c && a.ID == "":
			return fault.BadInput("wrongCurrency", "The prices are in %s and %s; name a billing account for each", in, c)
		case in != c:
			return fault.BadInput("wrongCurrency", "The billing account %q is billed in %s; the price is in %s", a.ID, in, c)
		}
	}
	if in == "" { // nothing to pay, and no account that says in what
		return nil
	}
	if a.ID == "" { // two orders at once make one account: the second finds that of the first
		if a, err = accountFor(tx, customer, in); err != nil {
			return err
		}
	}
	_, err = inCurrency(tx, a, in)
	return err
}

// payingAccount is the account an order names for a customer, or the one he has otherwise;
// an empty one if he has none yet.
func payingAccount(tx *store.Tx, customer, account string) (*Account, error) {
	if account == "" {
		a, err := usual(tx, customer)
		if a == nil {
			a = &Account{}
		}
		return a, err
	}
	a, err := BillingAccounts.Get(tx, account)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, fault.BadInput("unknownAccount", "There is no billing account with id %q", account)
	case err != nil:
		return nil, err
	case !a.belongsTo(customer):
		return nil, fault.BadInput("anothersAccount", "The billing account %q is not one of customer %q", account, customer)
	case a.State == Closed:
		return nil, fault.BadInput("accountClosed", "The billing account %q is closed", account)
	}
	return a, nil
}

// MonthlyValue is what a product brings in a month by its recurring charges: by
// what is billed, or by its offering as long as nothing is. The zero Money says
// that it brings nothing regularly. Of nothing measured by use.
func MonthlyValue(tx *store.Tx, product string) (tmf.Money, error) {
	items, err := openItems(tx, product)
	if err != nil {
		return tmf.Money{}, err
	}
	if len(items) > 0 {
		return monthly(items)
	}
	p, o, err := sold(tx, product, "")
	if err != nil || o == nil {
		return tmf.Money{}, err
	}
	charges, err := owed(tx, p, o, judged(p.Ordered(), tx.Now()), nil)
	if err != nil {
		return tmf.Money{}, err
	}
	items = make([]*BillableItem, len(charges))
	for n, c := range charges {
		if items[n], err = c.item(p, o, &Account{}, "", tx.Now()); err != nil {
			return tmf.Money{}, err
		}
	}
	return monthly(items)
}

// perMonth is how many months a period unit has: num/den of them.
var perMonth = map[string]struct{ num, den int64 }{
	"day": {365, 12}, "week": {365, 84}, "month": {1, 1}, "quarter": {1, 3}, "year": {1, 12},
}

// monthly adds up the recurring charges by month, and what alters them.
func monthly(items []*BillableItem) (tmf.Money, error) {
	sum, byPrice := tmf.Money{}, map[string]tmf.Money{}
	add := func(m tmf.Money) (err error) {
		if sum.Currency == (money.Currency{}) {
			sum = m
			return nil
		}
		sum, err = sum.Add(m)
		return err
	}
	for _, i := range items {
		per, regular := perMonth[i.PeriodUnit]
		if !regular || i.Amount == nil || i.PeriodCount <= 0 || i.ChargeType != Recurring && i.ChargeType != Alteration {
			continue
		}
		m, err := i.Amount.MulRat(per.num, per.den*i.PeriodCount, money.HalfEven)
		if err != nil {
			return tmf.Money{}, err
		}
		byPrice[i.Price.ID] = m
		if err := add(m); err != nil {
			return tmf.Money{}, err
		}
	}
	for _, i := range items {
		num, den, ok := percent(i.Percentage)
		if i.ChargeType != Alteration || !ok {
			continue
		}
		for _, id := range i.Alters {
			base, ok := byPrice[id]
			if !ok {
				continue
			}
			m, err := base.MulRat(num, den, money.HalfEven)
			if err != nil {
				return tmf.Money{}, err
			}
			if err := add(m); err != nil {
				return tmf.Money{}, err
			}
		}
	}
	return sum, nil
}

// percent is a percentage as a fraction.
func percent(v jsontext.Value) (num, den int64, ok bool) {
	r, ok := new(big.Rat).SetString(strings.Trim(string(v), `"`))
	if !ok {
		return 0, 0, false
	}
	r.Quo(r, big.NewRat(100, 1))
	return r.Num().Int64(), r.Denom().Int64(), r.Num().IsInt64() && r.Denom().IsInt64()
}

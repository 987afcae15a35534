package billing

import (
	"slices"

	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// ahead is what a transaction has read of several products at once. Nobody else
// writes down or bills what was heard: whoever hears holds the cursor.
type ahead struct {
	products map[string]bool             // those it was read of
	notes    map[noteKey]bool            // what was heard of them
	billed   map[string]map[string]int64 // everBilled of those that have not been billed since
	accounts map[string][]string         // customer -> ids of accounts that name it
}

type noteKey struct {
	product, what, service string
	at                     int64
}

type aheadKey struct{ tenant string }

func readAhead(tx *store.Tx) *ahead {
	v, err := tx.Shared(aheadKey{tx.Tenant()}, func() (any, error) {
		return &ahead{map[string]bool{}, map[noteKey]bool{}, map[string]map[string]int64{}, map[string][]string{}}, nil
	})
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(*ahead)
}

// Ahead reads at once what Begin needs of several products.
func Ahead(tx *store.Tx, facts []fact.ProductActive) error {
	var products, accounts, customers []string
	for _, f := range facts {
		products = append(products, f.Product)
		if f.BillingAccount != "" {
			accounts = append(accounts, f.BillingAccount)
		} else if f.Customer != "" {
			customers = append(customers, f.Customer)
		}
	}
	products = slices.Compact(slices.Sorted(slices.Values(products)))
	if err := subscription.Products.Fetch(tx, products, false); err != nil {
		return err
	}
	known := readAhead(tx)
	if err := known.history(tx, products); err != nil {
		return err
	}
	if err := party.Customers.Fetch(tx, customers, true); err != nil {
		return err
	}
	owners, err := BillingAccounts.Owners(tx, "relatedParty.id", customers)
	if err != nil {
		return err
	}
	for customer, ids := range owners {
		known.accounts[customer] = ids
		accounts = append(accounts, ids...)
	}
	return BillingAccounts.Fetch(tx, accounts, true)
}

// history reads what was heard and billed of products.
func (a *ahead) history(tx *store.Tx, products []string) error {
	args := store.Padded(products)
	in := " WHERE tenant = $1 AND product IN (" + store.In(2, len(args)) + ")"
	rows, err := tx.Query("SELECT product, what, service, at FROM billing_heard"+in, args...)
	if _, err = store.Collect(rows, err, func(r store.Rows) (k noteKey, err error) {
		err = r.Scan(&k.product, &k.what, &k.service, &k.at)
		a.notes[k] = true
		return k, err
	}); err != nil {
		return err
	}
	for _, id := range products {
		a.products[id], a.billed[id] = true, map[string]int64{}
	}
	rows, err = tx.Query("SELECT product, price, count(*) FROM billing_charge"+in+" GROUP BY product, price", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var product, price string
		err = r.Scan(&product, &price, &n)
		a.billed[product][price] = n
		return n, err
	})
	return err
}

// accountsOf are the accounts that name a customer, by id.
func accountsOf(tx *store.Tx, customer string) ([]*BillingAccount, error) {
	ids, ok := readAhead(tx).accounts[customer]
	if !ok {
		return BillingAccounts.Select(tx, tmf.Where{"relatedParty.id": customer}, tmf.Page{Sort: "id"})
	}
	var out []*BillingAccount
	for _, id := range ids {
		a, err := BillingAccounts.Lock(tx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

package billing

import "tandem/kit/store"

// Buyer is the customer of an account as he would stand on a document now: name, address,
// ways to reach him.
func Buyer(tx *store.Tx, a *BillingAccount) (DocumentParty, error) {
	b, _, err := buyerOf(tx, a, a.Customer())
	return b, err
}

package order

import (
	"sync/atomic"

	"tandem/bss/catalog"
	"tandem/kit/store"
)

// payer is asked whether a billing account can pay for something in a currency.
var payer atomic.Pointer[func(tx *store.Tx, account, currency string) error]

// Payer lets the room of billing, which lies above, refuse an account that an order
// names, with a fault in the user's words; an empty currency asks for the account
// alone. Otherwise the mistake would show only when the line runs already, and is
// not billed. app wires it.
func Payer(refuse func(tx *store.Tx, account, currency string) error) { payer.Store(&refuse) }

func mayPay(tx *store.Tx, account string, prices []*catalog.ProductOfferingPrice) error {
	refuse := payer.Load()
	if refuse == nil {
		return nil
	}
	if err := (*refuse)(tx, account, ""); err != nil {
		return err
	}
	for _, p := range prices {
		if p.Price == nil {
			continue
		}
		if err := (*refuse)(tx, account, p.Price.Currency.Code()); err != nil {
			return err
		}
	}
	return nil
}

package order

import (
	"maps"
	"slices"
	"sync/atomic"

	"tandem/bss/catalog"
	"tandem/kit/store"
)

// paying is asked whether a customer can be billed in some currencies, on an
// account or, if it is empty, on the one he is billed on by himself; what it does
// not refuse holds for later orders too.
type paying func(tx *store.Tx, customer, account string, currencies []string) error

var payer atomic.Pointer[paying]

// Payer lets the room of billing, which lies above, refuse an order that nobody
// could be billed for, with a fault in the user's words. Otherwise the mistake
// would show only when the line runs already, and is not billed. app wires it.
func Payer(refuse func(tx *store.Tx, customer, account string, currencies []string) error) {
	p := paying(refuse)
	payer.Store(&p)
}

// charge notes what an account, nil for the customer's own, will have to pay.
func (p *placing) charge(account *Ref, prices []*catalog.ProductOfferingPrice) {
	id := ""
	if account != nil {
		id = account.ID
	}
	p.owes[id] = append(p.owes[id], currencies(prices)...)
}

func currencies(prices []*catalog.ProductOfferingPrice) (out []string) {
	for _, p := range prices {
		if p.Price != nil {
			out = append(out, p.Price.Currency.Code())
		}
	}
	return out
}

// payable refuses what an account could not be billed for.
func (p *placing) payable() error {
	refuse := payer.Load()
	if refuse == nil {
		return nil
	}
	if p.order.BillingAccount != nil {
		p.charge(p.order.BillingAccount, nil)
	}
	for _, account := range slices.Sorted(maps.Keys(p.owes)) {
		owed := slices.Compact(slices.Sorted(slices.Values(p.owes[account])))
		if err := (*refuse)(p.tx, p.customer.ID, account, owed); err != nil {
			return err
		}
	}
	return nil
}

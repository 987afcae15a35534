package subscription

import (
	"slices"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Reasons for which a product ends, as an order gives them. None: the customer wants it.
const (
	EndedByOperator   = "operator"   // ends the service
	EndedByFault      = "fault"      // of the operator, such as a service that never worked
	EndedByWithdrawal = "withdrawal" // within the time for it
	EndedByGoodwill   = "goodwill"
	EndedByDeath      = "death"
	EndedByDebt       = "debt"
	EndedByCustomer   = "customer"
)

// TerminationReason is the characteristic by which an order that ends a product says why.
const TerminationReason = "terminationReason"

// EndReasons are all of them.
var EndReasons = []string{EndedByCustomer, EndedByDebt, EndedByOperator, EndedByFault, EndedByWithdrawal, EndedByGoodwill, EndedByDeath}

// MarkEnding moves a product to pendingTerminate, and keeps why it ends: whether an early end
// is charged depends on it. Errors: unknownReason.
func MarkEnding(tx *store.Tx, product, reason string) error {
	if reason != "" && !slices.Contains(EndReasons, reason) {
		return fault.BadInput("unknownReason", "%s is one of %v, not %.40q", TerminationReason, EndReasons, reason)
	}
	_, err := Products.Edit(tx, product, func(p *Product) error {
		p.Status, p.TerminationReason = PendingTerminate, reason
		return nil
	})
	return err
}

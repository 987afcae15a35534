package subscription

import (
	"slices"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Create stores a product an order is about to build: in created, or in
// pendingActive if realizingService names the services that must become active.
func Create(tx *store.Tx, p *Product) error {
	if p.Status != Created && p.Status != PendingActive {
		return fault.BadInput("illegalState", "An ordered product begins in created or pendingActive, not %q", p.Status)
	}
	return Products.Create(tx, p)
}

// Get is the product with the id; fault.Missing if the tenant has none.
func Get(tx *store.Tx, id string) (*Product, error) { return Products.Get(tx, id) }

// OfCustomer lists a customer's products that are in one of the states, or all.
func OfCustomer(tx *store.Tx, customer string, states ...string) (found []*Product, err error) {
	if err = OfCustomerLater(tx, customer, &found, states...); err == nil {
		err = tx.Flush()
	}
	return found, err
}

// OfCustomerLater is OfCustomer in one round trip with what else is asked: found is what
// it finds, after [store.Tx.Flush].
func OfCustomerLater(tx *store.Tx, customer string, found *[]*Product, states ...string) error {
	return Products.SelectLater(tx, tmf.Where{"relatedParty.id": customer}, tmf.Page{Sort: "startDate"}, func(all []*Product) {
		*found = slices.DeleteFunc(all, func(p *Product) bool {
			return p.Customer() != customer || len(states) > 0 && !slices.Contains(states, p.Status)
		})
	})
}

// OfService lists the products that a service realises: what is hurt when it is.
func OfService(tx *store.Tx, service string) ([]*Product, error) {
	return Products.Select(tx, tmf.Where{"realizingService.id": service}, tmf.Page{})
}

// Options lists the products that rely on a product and are not over.
func Options(tx *store.Tx, product string) ([]*Product, error) {
	found, err := Products.Select(tx, tmf.Where{"productRelationship.product.id": product}, tmf.Page{Sort: "startDate"})
	return slices.DeleteFunc(found, func(p *Product) bool { return p.Over() || !slices.Contains(p.ReliesOn(), product) }), err
}

// LineSuspended says that a product relies on one that is barred in the network.
func LineSuspended(tx *store.Tx, p *Product) (bool, error) {
	for _, id := range p.ReliesOn() {
		line, err := Get(tx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil || line.Network() == Suspended {
			return true, err
		}
	}
	return false, nil
}

// Mark moves a product to a state that an order decides, not the network:
// pendingActive, cancelled, aborted or pendingTerminate.
func Mark(tx *store.Tx, product, status string) error {
	if !slices.Contains([]string{PendingActive, Cancelled, Aborted, PendingTerminate}, status) {
		return fault.Clash("networkDecides", "Only the network makes a product %s", status)
	}
	_, err := Products.Edit(tx, product, func(p *Product) error {
		p.Status = status
		return nil
	})
	return err
}

// Settle takes a product out of pendingTerminate, to what its services say: the
// order that was to end it has failed or was cancelled.
func Settle(tx *store.Tx, product string) error {
	_, err := Products.Edit(tx, product, func(p *Product) error {
		if is := p.network(); p.Status == PendingTerminate && is != "" {
			p.Status = is
		}
		return nil
	})
	return err
}

// Propose notes what an order is about to change; it becomes part of the product
// when the network confirms the change.
func Propose(tx *store.Tx, product string, c *PendingChange) error {
	_, err := Products.Edit(tx, product, func(p *Product) error {
		if p.PendingChange != nil {
			return fault.Clash("changePending", "Another change of product %q is under way", product)
		}
		p.PendingChange = c
		return nil
	})
	return err
}

// Withdraw takes back what an order was about to change; a change that another
// order asks for stays.
func Withdraw(tx *store.Tx, product, order string) error {
	_, err := Products.Edit(tx, product, func(p *Product) error {
		if p.PendingChange != nil && p.PendingChange.order() == order {
			p.PendingChange = nil
		}
		return nil
	})
	return err
}

// Needs refuses the delete of a customer who has products; for party.Keep.
func Needs(tx *store.Tx, customer string) error {
	found, err := OfCustomer(tx, customer)
	if err != nil || len(found) == 0 {
		return err
	}
	return fault.Clash("stillReferenced", "The customer %q cannot be deleted: product %q belongs to it", customer, found[0].ID)
}

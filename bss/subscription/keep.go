package subscription

import (
	"slices"
	"strings"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/party"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// live says that in this state something runs in the network, or did until
// somebody barred it.
func live(status string) bool {
	return status == Active || status == Suspended || status == PendingTerminate
}

// post takes a product from a client: one that no order made. It cannot begin as
// one that runs: nobody would have confirmed that, and nobody would bill it.
func post(tx *store.Tx, p *Product) error {
	p.Status = strings.TrimSpace(p.Status)
	if live(p.Status) {
		return fault.BadInput("networkDecides", "A product is %s when the network confirms it: order it, or send it as pendingActive with its services", p.Status)
	}
	p.PendingChange, p.ChangeDate, p.PaidFromBalance = nil, time.Time{}, nil
	for i := range p.RealizingService {
		s := &p.RealizingService[i]
		s.State, s.Since, s.Started = "", time.Time{}, time.Time{}
		if p.Status == Terminated {
			s.State, s.Since, s.Started = Terminated, p.TerminationDate, p.StartDate
		}
	}
	return Products.Create(tx, p)
}

// patch takes a change from a client. What network and bill depend on is changed
// by orders only; that keeps the three from drifting apart.
func patch(tx *store.Tx, old, p *Product) error {
	p.Status = strings.TrimSpace(p.Status)
	if p.Status != old.Status {
		if err := mayMark(old, p.Status); err != nil {
			return err
		}
	}
	if live(old.Status) || old.Status == Terminated {
		if what := ordered(old, p); what != "" {
			return fault.Clash("orderNeeded", "%s of a product that is %s is changed by a product order, so that network and bill follow", what, old.Status)
		}
	}
	return Products.Save(tx, old, p)
}

// mayMark says whether a client may set the status: only what needs no word from
// the network, and only while no service is being built.
func mayMark(old *Product, status string) error {
	switch {
	case !slices.Contains(moves[old.Status], status):
		return nil // the state machine refuses it in its own words
	case live(status) || status == Terminated:
		return fault.Clash("networkDecides", "A product becomes %s when the network confirms it; place a product order", status)
	case (status == Cancelled || status == Aborted) && len(old.RealizingService) > 0:
		return fault.Clash("orderNeeded", "Services of this product are being built; cancel its product order instead")
	}
	return nil
}

// ordered names the first attribute that differs and is changed by orders only.
func ordered(old, p *Product) string {
	switch {
	case old.Offering() != p.Offering():
		return "productOffering"
	case old.Account() != p.Account():
		return "billingAccount"
	case old.Customer() != p.Customer():
		return "The customer"
	case !old.OrderDate.Equal(p.OrderDate):
		return "orderDate"
	case !same(old.Place, p.Place):
		return "place"
	case !old.StartDate.Equal(p.StartDate):
		return "startDate"
	case !old.TerminationDate.Equal(p.TerminationDate):
		return "terminationDate"
	case !same(old.ProductCharacteristic, p.ProductCharacteristic):
		return "productCharacteristic"
	case !same(old.ProductPrice, p.ProductPrice):
		return "productPrice"
	}
	return ""
}

// same compares two values by their documents.
func same(a, b any) bool {
	x, errX := tmf.Encode(a)
	y, errY := tmf.Encode(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// remove keeps history: only what never ran can be deleted.
func remove(tx *store.Tx, p *Product) error {
	switch {
	case live(p.Status):
		return fault.Clash("productRuns", "A product that is %s cannot be deleted; order its termination", p.Status)
	case p.Status == Terminated:
		return fault.Clash("productHistory", "A terminated product is kept: bills refer to it")
	case p.Status == PendingActive && len(p.RealizingService) > 0:
		return fault.Clash("productOrdered", "Services of this product are being built; cancel its product order instead")
	}
	return Products.Remove(tx, p)
}

// check is the rules of every write, whoever writes.
func check(tx *store.Tx, old, p *Product) error {
	if err := checkLife(tx, p); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, s := range p.RealizingService {
		if seen[s.ID] {
			return fault.BadInput("duplicateReference", "realizingService[%d] names %q twice", i, s.ID)
		}
		seen[s.ID] = true
	}
	for i, r := range p.ProductRelationship {
		if r.Product.ID == p.ID {
			return fault.BadInput("selfReference", "productRelationship[%d] refers to the product itself", i)
		}
	}
	if err := checkOffering(tx, old, p); err != nil {
		return err
	}
	return checkCustomer(tx, old, p)
}

// checkLife: a product that lives has a service and a start, one that has ended an end.
func checkLife(tx *store.Tx, p *Product) error {
	switch {
	case live(p.Status) && len(p.RealizingService) == 0:
		return fault.BadInput("serviceMissing", "A product that is %s names the services that realise it in realizingService; without one begin in created", p.Status)
	case live(p.Status) && p.StartDate.IsZero():
		return fault.BadInput("startMissing", "A product that is %s has a startDate", p.Status)
	case live(p.Status) && p.StartDate.After(tx.Now().Add(24*time.Hour)):
		// Clocks of elements may be ahead of ours, but not by a day.
		return fault.BadInput("startInFuture", "A product that is %s started in the past", p.Status)
	case p.Status == Terminated && p.TerminationDate.IsZero():
		return fault.BadInput("endMissing", "A terminated product has a terminationDate")
	case !p.TerminationDate.IsZero() && p.TerminationDate.Before(p.StartDate):
		return fault.BadInput("invalidPeriod", "terminationDate is before startDate")
	}
	return nil
}

func checkOffering(tx *store.Tx, old, p *Product) error {
	if p.ProductOffering == nil || old != nil && old.Offering() == p.Offering() {
		return nil
	}
	o, err := catalog.Offerings.Look(tx, p.ProductOffering.ID)
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownOffering", "productOffering: there is no offering with id %q", p.ProductOffering.ID)
	}
	if err != nil {
		return err
	}
	p.ProductOffering.Name, p.ProductOffering.Href = o.Name, o.Href
	if p.Name == "" {
		p.Name = o.Name
	}
	return nil
}

// checkCustomer: the customer must be one of the tenant. Other parties are free.
func checkCustomer(tx *store.Tx, old, p *Product) error {
	ref := customer(p.RelatedParty)
	if ref == nil || old != nil && old.Customer() == ref.ID {
		return nil
	}
	c, err := party.Get(tx, ref.ID)
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownCustomer", "relatedParty: there is no customer with id %q", ref.ID)
	}
	if err != nil {
		return err
	}
	if ref.Name == "" {
		ref.Name = c.Name
	}
	return nil
}

package order

import (
	"fmt"
	"slices"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/spec"
)

// end asks for all services of a product to leave the network.
func (p *placing) end(it *Item, owned *subscription.Product) error {
	for i, s := range owned.RealizingService {
		if s.State != subscription.Terminated {
			p.line(it, fmt.Sprintf("%s.%d", it.ID, i+1), owned.ID, &fulfilment.Service{ID: s.ID})
		}
	}
	if len(p.byItem[it.ID]) == 0 {
		return fault.Clash("alreadyEnded", "Product %q has ended already", owned.ID)
	}
	reason, _ := tmf.Value(it.Product.Characteristic, subscription.TerminationReason)
	return subscription.MarkEnding(p.tx, owned.ID, reason)
}

// modify asks for other characteristics, another offering, or suspension and its
// end. What is asked becomes part of the product when the network confirms it.
func (p *placing) modify(it *Item, owned *subscription.Product) error {
	state := map[string]string{subscription.Suspended: fulfilment.ServiceInactive, subscription.Active: fulfilment.ServiceActive}[it.Product.Status]
	if it.Product.Status != "" && state == "" {
		return fault.BadInput("badStatus", "status of a modified product may be suspended or active")
	}
	if owned.Status == it.Product.Status {
		state = ""
	}
	if owned.Status != subscription.Active && owned.Status != subscription.Suspended {
		return fault.Clash("notActive", "Product %q is %s; only one that runs can be modified", owned.ID, owned.Status)
	}
	change, err := p.change(it, owned)
	if err != nil {
		return err
	}
	if change != nil && state != "" {
		return fault.BadInput("twoChanges", "Product %q can be suspended or resumed by one order and changed by another, not both by one", owned.ID)
	}
	if change == nil && state == "" {
		return fault.Clash("nothingToChange", "Product %q is already as this item asks; nothing would change", owned.ID)
	}
	for i, s := range owned.RealizingService {
		if s.State == subscription.Terminated {
			continue
		}
		want := &fulfilment.Service{ID: s.ID, State: state, Place: servicePlaces(owned, change)}
		if change != nil {
			change.Awaited = append(change.Awaited, s.ID)
			if want.Characteristic, err = p.forService(s.ID, change.ProductCharacteristic); err != nil {
				return err
			}
		}
		p.line(it, fmt.Sprintf("%s.%d", it.ID, i+1), owned.ID, want)
	}
	if change == nil {
		return nil
	}
	return subscription.Propose(p.tx, owned.ID, change)
}

// servicePlaces are where the services of a product are used once it is changed.
func servicePlaces(owned *subscription.Product, c *subscription.PendingChange) (out []tmf.Place) {
	places := owned.Place
	if c != nil && c.Place != nil {
		places = c.Place
	}
	for _, at := range places {
		out = append(out, tmf.Place(at))
	}
	return out
}

// change is what of the product itself shall be different; nil for nothing.
func (p *placing) change(it *Item, owned *subscription.Product) (*subscription.PendingChange, error) {
	c := &subscription.PendingChange{OrderDate: p.order.OrderDate,
		ProductOrderItem: &subscription.OrderItem{ProductOrderID: p.order.ID, OrderItemID: it.ID, OrderItemAction: Modify}}
	if own := ownAccount(it); own != nil && own.ID != owned.Account() {
		c.BillingAccount = own
	}
	if at := placesOf(it); len(at) > 0 && !slices.EqualFunc(at, owned.Place, func(a, b subscription.Place) bool { return a.ID == b.ID }) {
		c.Place = at
	}
	other := it.ProductOffering != nil && it.ProductOffering.ID != owned.Offering()
	if other || len(it.Product.Characteristic) > 0 {
		if err := p.configured(c, it, owned, other); err != nil {
			return nil, err
		}
	}
	if !other && len(c.ProductCharacteristic) == 0 && c.BillingAccount == nil && c.Place == nil {
		return nil, nil
	}
	return c, p.allowed(c, owned)
}

// configured adds to a change another offering and characteristics.
func (p *placing) configured(c *subscription.PendingChange, it *Item, owned *subscription.Product, other bool) error {
	var o *catalog.ProductOffering
	var err error
	if other {
		o, err = catalog.Sellable(p.tx, it.ProductOffering.ID, p.tx.Now())
	} else {
		o, err = catalog.Offerings.Get(p.tx, owned.Offering())
	}
	if err != nil {
		return err
	}
	s, err := catalog.SpecOf(p.tx, o)
	if err != nil {
		return err
	}
	if other {
		if len(owned.ReliesOn()) > 0 {
			return fault.BadInput("otherOption", "Product %q is an option: order %q anew, and end the product", owned.ID, o.Name)
		}
		if err := p.sameServices(owned, o, s); err != nil {
			return err
		}
		it.ProductOffering.Name = o.Name
		c.ProductOffering = &Ref{ID: o.ID, Name: o.Name}
		c.ProductSpecification = &subscription.SpecRef{ID: s.ID, Name: s.Name, Version: s.Version}
	}
	chosen := kept(s, owned.ProductCharacteristic)
	for _, ch := range it.Product.Characteristic {
		chosen = tmf.With(chosen, ch)
	}
	chars, err := s.Configure(o, chosen, p.tx.Now())
	for _, ch := range chars {
		old, had := tmf.Value(owned.ProductCharacteristic, ch.Name)
		if now, _ := tmf.Value(chars, ch.Name); !had || now != old {
			c.ProductCharacteristic = append(c.ProductCharacteristic, ch)
		}
	}
	return err
}

// allowed checks that the customer may have the product as the change makes it, and
// notes what its account will have to pay.
func (p *placing) allowed(c *subscription.PendingChange, owned *subscription.Product) error {
	will, err := subscription.Products.Copy(owned)
	if err != nil {
		return err
	}
	will.Take(c)
	if will.Offering() == "" {
		return nil // nothing is sold, and nothing owed
	}
	o, err := catalog.Offerings.Get(p.tx, will.Offering())
	if err != nil {
		return err
	}
	at := will.Places()
	if c.ProductOffering != nil || c.Place != nil {
		if err := p.eligible(o, will.ProductCharacteristic, at); err != nil {
			return err
		}
	}
	prices, err := catalog.Prices(p.tx, o)
	if err != nil {
		return err
	}
	p.charge(will.BillingAccount, concerning(prices, p.tx.Now(), will.ProductCharacteristic, at))
	p.charge(will.BillingAccount, concerning(prices, owned.Ordered(), will.ProductCharacteristic, at)) // what is billed already stays
	return nil
}

// sameServices refuses another offering that other services realise: those of the
// product stay what they are, and what is billed must run.
func (p *placing) sameServices(owned *subscription.Product, o *catalog.ProductOffering, s *catalog.ProductSpecification) error {
	var now *catalog.ProductSpecification
	if owned.ProductSpecification != nil {
		var err error
		if now, err = catalog.Specs.Get(p.tx, owned.ProductSpecification.ID); err != nil {
			return err
		}
	}
	if len(o.BundledProductOffering) > 0 || now == nil || s == nil || !slices.Equal(servicesOf(now), servicesOf(s)) {
		return fault.BadInput("otherServices", "%q is realised by other services than product %q: order it anew and end the product", o.Name, owned.ID)
	}
	return nil
}

// servicesOf are the ids of the service specifications of a product, sorted.
func servicesOf(s *catalog.ProductSpecification) []string {
	var out []string
	for _, r := range s.ServiceSpecification {
		out = append(out, r.ID)
	}
	slices.Sort(out)
	return out
}

// kept are the characteristics of a product that its (new) specification has.
func kept(s *catalog.ProductSpecification, chars []tmf.Characteristic) []tmf.Characteristic {
	var out []tmf.Characteristic
	for _, c := range chars {
		if s != nil && slices.ContainsFunc(s.ProductSpecCharacteristic, func(x catalog.SpecCharacteristic) bool { return x.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}

// forService keeps what the service's specification knows.
func (p *placing) forService(service string, chars []tmf.Characteristic) ([]tmf.Characteristic, error) {
	id, err := fulfilment.SpecificationOf(p.tx, service)
	if err != nil {
		return nil, err
	}
	tree, err := spec.Load(p.tx, id)
	if err != nil {
		return nil, err
	}
	return known(tree.Specification(), chars), nil
}

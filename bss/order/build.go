package order

import (
	"fmt"
	"slices"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/spec"
)

// product makes one product and the lines that build it.
func (p *placing) product(it *Item, n int64, o *catalog.ProductOffering, parts []part, chars []tmf.Characteristic) error {
	product := &subscription.Product{
		Name: o.Name, Status: subscription.PendingActive, OrderDate: p.order.OrderDate,
		ProductOffering:  &Ref{ID: o.ID, Name: o.Name},
		ProductOrderItem: []subscription.OrderItem{{ProductOrderID: p.order.ID, OrderItemID: it.ID, OrderItemAction: Add}},
		RelatedParty:     p.service.RelatedParty,
		BillingAccount:   p.account(it),
		Place:            placesOf(it),

		ProductCharacteristic: slices.Clone(chars),
	}
	product.ID = tmf.NewID()
	if err := p.relate(it, product); err != nil {
		return err
	}
	if err := p.option(product, o); err != nil {
		return err
	}
	if it.Product != nil && it.Product.Name != "" {
		product.Name = it.Product.Name
	}
	if len(o.BundledProductOffering) > 0 {
		yes := true
		product.IsBundle = &yes
	} else {
		product.ProductSpecification = &subscription.SpecRef{ID: parts[0].spec.ID, Name: parts[0].spec.Name, Version: parts[0].spec.Version}
	}
	for i, pt := range parts {
		if err := p.build(it, fmt.Sprintf("%s.%d.%d", it.ID, n+1, i+1), product, pt); err != nil {
			return err
		}
	}
	p.products = append(p.products, product)
	return nil
}

// relate ties a new product to those that the item names, which must be the
// customer's own and not over.
func (p *placing) relate(it *Item, product *subscription.Product) error {
	if it.Product == nil {
		return nil
	}
	for i, r := range it.Product.Relationship {
		at := fmt.Sprintf("productRelationship[%d]", i)
		if r.Product == nil || r.Product.ID == "" || r.RelationshipType == "" {
			return fault.BadInput("mandatoryAttributeMissing", "%s needs relationshipType and product.id", at)
		}
		other, err := subscription.Products.Lock(p.tx, r.Product.ID) // no order ends it meanwhile
		if err == nil && other.Customer() != p.customer.ID {
			err = fault.Missing("product", r.Product.ID) // somebody else's: not even that it exists is said
		}
		if err == nil && (other.Over() || other.Status == subscription.PendingTerminate) {
			err = fault.Clash("productEnded", "Product %q is %s", other.ID, other.Status)
		}
		if err == nil && r.RelationshipType == subscription.ReliesOn {
			err = mayRely(other)
		}
		if err != nil {
			return fault.At(at, err)
		}
		product.ProductRelationship = append(product.ProductRelationship, subscription.Relationship{RelationshipType: r.RelationshipType,
			Product: &subscription.RefOrValue{ID: other.ID, Name: other.Name, ReferredType: "Product"}})
	}
	return nil
}

// account is the one that what the item adds is billed on; nil for the customer's.
func (p *placing) account(it *Item) *Ref {
	if own := ownAccount(it); own != nil {
		return own
	}
	return p.order.BillingAccount
}

// ownAccount is the account that the item itself names.
func ownAccount(it *Item) *Ref {
	if it.BillingAccount == nil && it.Product != nil {
		return it.Product.BillingAccount
	}
	return it.BillingAccount
}

// placesOf are the places that the item names, as a product has them.
func placesOf(it *Item) (out []subscription.Place) {
	if it.Product == nil {
		return nil
	}
	for _, at := range it.Product.Place {
		if at.Role == "" {
			at.Role = "use"
		}
		out = append(out, subscription.Place(at))
	}
	return out
}

// places are the ids of the places that the item names.
func places(it *Item) []string {
	if it.Product == nil {
		return nil
	}
	return idsOf(it.Product.Place)
}

func idsOf(places []tmf.Place) (ids []string) {
	for _, at := range places {
		ids = append(ids, at.ID)
	}
	return ids
}

// build adds the service order items of a part.
func (p *placing) build(it *Item, id string, product *subscription.Product, pt part) error {
	for i, cfs := range pt.spec.ServiceSpecification {
		tree, err := spec.Load(p.tx, cfs.ID)
		if err != nil {
			return err
		}
		s := &fulfilment.Service{Name: product.Name, Specification: &tmf.Ref{ID: cfs.ID, Name: cfs.Name}, Characteristic: known(tree.Specification(), pt.chars)}
		if it.Product != nil {
			s.Place = it.Product.Place
		}
		name := id
		if len(pt.spec.ServiceSpecification) > 1 {
			name = fmt.Sprintf("%s.%d", id, i+1)
		}
		p.line(it, name, product.ID, s)
	}
	return nil
}

// known keeps the characteristics that a service specification has.
func known(s *spec.ServiceSpecification, chars []tmf.Characteristic) []tmf.Characteristic {
	var out []tmf.Characteristic
	for _, c := range chars {
		if slices.ContainsFunc(s.SpecCharacteristic, func(x spec.CharacteristicSpecification) bool { return x.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}

// line adds a service order item that waits for the items its item relies on.
func (p *placing) line(it *Item, id, product string, s *fulfilment.Service) {
	if it.Product != nil {
		s.Supporting = it.Product.Realizing
	}
	p.service.ServiceOrderItem = append(p.service.ServiceOrderItem, fulfilment.ServiceOrderItem{
		ID: id, Action: it.Action, Service: s, External: &fact.External{Order: p.order.ID, Item: it.ID, Product: product}})
	p.lines = append(p.lines, line{id, it.ID, it.Action, product})
	p.byItem[it.ID] = append(p.byItem[it.ID], id)
}

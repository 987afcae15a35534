package order

import (
	"fmt"
	"slices"
	"time"

	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
)

const (
	maxItems    = 200  // items of an order; and pieces of them all, parts of bundles included
	maxQuantity = 100  // pieces of one item
	maxWaits    = 5000 // pieces that wait for pieces
)

// placing is an order on its way in.
type placing struct {
	tx       *store.Tx
	order    *ProductOrder
	customer *party.Customer
	has      []*subscription.Product // what the customer has, read once when needed
	service  *fulfilment.ServiceOrder
	lines    []line
	byItem   map[string][]string     // item -> its service order items
	products []*subscription.Product // to be made, once their services are known
	pieces   int64
	owes     map[string][]string  // billing account, "" the customer's own -> currencies
	balances map[string]tmf.Money // line -> what its options take from its balance
}

// line ties a service order item to the product it realises.
type line struct {
	id, item, action, product string
}

// Place takes an order on, all of it or nothing: it is the one way in, for the
// API and for rooms above.
func Place(tx *store.Tx, o *ProductOrder) error {
	if o.State != "" && o.State != Acknowledged {
		return fault.BadInput("notSettable", "state is set by the server")
	}
	o.receive(tx.Now())
	p := &placing{tx: tx, order: o, byItem: map[string][]string{}, owes: map[string][]string{}, balances: map[string]tmf.Money{}, service: &fulfilment.ServiceOrder{
		RequestedStartDate: o.RequestedStartDate, RequestedCompletionDate: o.RequestedCompletionDate, Priority: o.Priority, Category: o.Category}}
	if err := p.checkItems(); err != nil {
		return err
	}
	if err := p.who(); err != nil {
		return err
	}
	if o.ID == "" {
		o.ID = tmf.NewID()
	}
	p.service.ExternalReference = []tmf.ExternalReference{{ID: o.ID, Name: o.ID, ExternalReferenceType: "productOrder"}}
	p.service.RelatedParty = customerOf(o.RelatedParty)
	for i := range o.ProductOrderItem {
		if err := p.item(&o.ProductOrderItem[i]); err != nil {
			return fault.At(fmt.Sprintf("productOrderItem %s", o.ProductOrderItem[i].ID), err)
		}
	}
	if err := p.endOptions(); err != nil {
		return err
	}
	if err := p.compatible(); err != nil {
		return err
	}
	if err := p.payable(); err != nil {
		return err
	}
	return p.begin()
}

// receive sets what is the server's to say, whatever the client said of it.
func (o *ProductOrder) receive(now time.Time) {
	o.OrderDate, o.ExpectedCompletionDate, o.CompletionDate, o.CancellationDate = now, time.Time{}, time.Time{}, time.Time{}
	o.OrderTotalPrice = nil
	unprice(o.ProductOrderItem)
}

func unprice(items []Item) {
	for i := range items {
		items[i].ItemPrice, items[i].ItemTotalPrice = nil, nil
		unprice(items[i].ProductOrderItem)
	}
}

// customerOf is the order's customer among its parties.
func customerOf(parties []tmf.RelatedParty) []tmf.RelatedParty {
	for _, role := range []func(tmf.RelatedParty) bool{
		func(r tmf.RelatedParty) bool { return r.Role == "customer" || r.Role == "Customer" },
		func(r tmf.RelatedParty) bool { return r.ReferredType == "Customer" },
	} {
		if i := slices.IndexFunc(parties, role); i >= 0 {
			r := parties[i]
			return []tmf.RelatedParty{{ID: r.ID, Name: r.Name, Role: "customer", ReferredType: "Customer", Extension: tmf.Extension{Type: "RelatedParty"}}}
		}
	}
	return nil
}

// who finds the customer: as the order says, or whose product it is about.
func (p *placing) who() error {
	c := customerOf(p.order.RelatedParty)
	if c == nil {
		for _, it := range p.order.ProductOrderItem {
			if it.Product == nil || it.Product.ID == "" {
				continue
			}
			owned, err := subscription.Get(p.tx, it.Product.ID)
			if err != nil {
				return fault.At("productOrderItem "+it.ID, err)
			}
			c = customerOf(owned.RelatedParty)
			p.order.RelatedParty = append(p.order.RelatedParty, c...)
			break
		}
	}
	if c == nil {
		return fault.BadInput("customerMissing", `relatedParty must name the customer: {"id": "...", "role": "customer", "@referredType": "Customer"}`)
	}
	tmf.GenerationLater(p.tx)
	if p.takesOffering() {
		if err := subscription.OfCustomerLater(p.tx, c[0].ID, &p.has, subscription.Created, subscription.PendingActive, subscription.Active, subscription.Suspended); err != nil {
			return err
		}
	}
	var err error
	p.customer, err = party.Buyer(p.tx, c[0].ID) // answers the rest, too
	return err
}

// takesOffering says that an item makes the customer have an offering.
func (p *placing) takesOffering() bool {
	return slices.ContainsFunc(p.order.ProductOrderItem, func(it Item) bool {
		return it.Action == Add || it.Action == Modify && it.ProductOffering != nil
	})
}

func (p *placing) item(it *Item) error {
	switch it.Action {
	case Add:
		return p.add(it)
	case NoChange:
		it.State = Completed
		return nil
	}
	if it.Product == nil || it.Product.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "product.id is required to %s a product", it.Action)
	}
	owned, err := subscription.Get(p.tx, it.Product.ID)
	if err != nil {
		return err
	}
	if owned.Customer() != p.customer.ID {
		return fault.Missing("product", it.Product.ID) // somebody else's: not even that it exists is said
	}
	if len(owned.RealizingService) == 0 {
		return fault.Clash("notRealised", "Product %q has no service in the network yet", owned.ID)
	}
	if it.Action == Delete {
		return p.end(it, owned)
	}
	return p.modify(it, owned)
}

// begin hands the service order down and writes the product order.
func (p *placing) begin() error {
	o, waits := p.order, 0
	for i := range p.service.ServiceOrderItem {
		si := &p.service.ServiceOrderItem[i]
		it := o.ProductOrderItem[slices.IndexFunc(o.ProductOrderItem, func(x Item) bool { return x.ID == si.External.Item })]
		for _, r := range it.Relationship {
			for _, id := range p.byItem[r.ID] {
				if waits++; waits > maxWaits {
					return fault.BadInput("tooManyRelations", "More than %d pieces of the order wait for others through productOrderItemRelationship", maxWaits)
				}
				si.Relationship = append(si.Relationship, fulfilment.ItemRelationship{RelationshipType: "reliesOn", OrderItem: &fulfilment.ItemRef{ItemID: id}})
			}
		}
	}
	o.State = InProgress
	if o.RequestedStartDate.After(p.tx.Now()) {
		o.State = Acknowledged
	}
	for i := range o.ProductOrderItem {
		if it := &o.ProductOrderItem[i]; it.State != Completed {
			it.State = o.State
		}
	}
	o.OrderTotalPrice = totals(o.ProductOrderItem)
	if len(p.lines) == 0 {
		o.State, o.CompletionDate = Completed, p.tx.Now()
		return ProductOrders.Create(p.tx, o)
	}
	if err := ProductOrders.Create(p.tx, o); err != nil {
		return err
	}
	if err := fulfilment.Begin(p.tx, p.service); err != nil {
		return err
	}
	if err := p.createProducts(); err != nil {
		return err
	}
	for _, l := range p.lines {
		p.tx.Insert("INSERT INTO order_line (tenant, product_order, line, lines, item, action, product, service_order, state, reason)",
			o.ID, l.id, len(p.lines), l.item, l.action, l.product, p.service.ID, "open", "")
	}
	outbox.Tell(p.tx, fact.OrderPlaced{Order: o.ID})
	return nil
}

// createProducts makes the products, which wait for their services to become active.
func (p *placing) createProducts() error {
	for _, product := range p.products {
		for i, l := range p.lines {
			if l.product == product.ID {
				product.RealizingService = append(product.RealizingService, subscription.ServiceRef{
					ID: p.service.ServiceOrderItem[i].Service.ID, Href: p.service.ServiceOrderItem[i].Service.Href, ReferredType: "CustomerFacingService"})
			}
		}
		if err := subscription.Create(p.tx, product); err != nil {
			return err
		}
	}
	return nil
}

package order

import (
	"fmt"
	"slices"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/spec"
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

func (p *placing) checkItems() error {
	seen := map[string]bool{}
	for _, it := range p.order.ProductOrderItem {
		if seen[it.ID] {
			return fault.BadInput("duplicateItem", "Two items have the id %q", it.ID)
		}
		seen[it.ID] = true
		if it.State != "" && it.State != Acknowledged {
			return fault.BadInput("notSettable", "The state of item %q is set by the server", it.ID)
		}
		if err := checkQuantity(&it); err != nil {
			return err
		}
		for i := range it.ProductOrderItem {
			if err := checkQuantity(&it.ProductOrderItem[i]); err != nil {
				return err
			}
		}
		if err := p.count(quantity(&it) * max(1, chosen(&it))); err != nil {
			return err
		}
	}
	for _, it := range p.order.ProductOrderItem {
		for _, r := range it.Relationship {
			if !seen[r.ID] {
				return fault.BadInput("unknownItem", "Item %q relates to item %q, which the order does not have", it.ID, r.ID)
			}
		}
	}
	return p.acyclic()
}

func checkQuantity(it *Item) error {
	if it.Quantity != nil && (*it.Quantity < 1 || *it.Quantity > maxQuantity) {
		return fault.BadInput("badQuantity", "quantity of item %q must be 1 to %d", it.ID, maxQuantity)
	}
	return nil
}

// chosen is how many parts of a bundle an item chooses.
func chosen(it *Item) (n int64) {
	for i := range it.ProductOrderItem {
		n += quantity(&it.ProductOrderItem[i])
	}
	return n
}

// count refuses an order of more pieces than one transaction should make.
func (p *placing) count(n int64) error {
	if p.pieces += n; p.pieces > maxItems {
		return fault.BadInput("tooManyItems", "An order has at most %d items, each piece and each part of a bundle counted; order the rest by another", maxItems)
	}
	return nil
}

// acyclic refuses items that wait for one another in a circle.
func (p *placing) acyclic() error {
	left := map[string]Item{}
	for _, it := range p.order.ProductOrderItem {
		left[it.ID] = it
	}
	for progress := true; progress; {
		progress = false
		for id, it := range left {
			if !slices.ContainsFunc(it.Relationship, func(r Relationship) bool { _, waits := left[r.ID]; return waits }) {
				delete(left, id)
				progress = true
			}
		}
	}
	for _, it := range p.order.ProductOrderItem {
		if _, waits := left[it.ID]; waits {
			return fault.BadInput("cyclicItems", "Item %q waits for itself through productOrderItemRelationship, or for items that do", it.ID)
		}
	}
	return nil
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

// part is an offering taken: the item's own, or one of a bundle's.
type part struct {
	offering *catalog.ProductOffering
	spec     *catalog.ProductSpecification
	chars    []tmf.Characteristic
}

// add makes the products of an item and the service order items that build them.
func (p *placing) add(it *Item) error {
	if it.Product != nil && it.Product.ID != "" {
		return fault.BadInput("productExists", "An item with action add describes a new product; it cannot name product %q", it.Product.ID)
	}
	if it.ProductOffering == nil {
		return fault.BadInput("mandatoryAttributeMissing", "productOffering.id is required to add a product")
	}
	offering, err := catalog.Sellable(p.tx, it.ProductOffering.ID, p.tx.Now())
	if err != nil {
		return err
	}
	it.ProductOffering.Name = offering.Name
	parts, err := p.parts(it, offering)
	if err != nil {
		return err
	}
	prices, err := catalog.Prices(p.tx, offering)
	if err != nil {
		return err
	}
	var chars []tmf.Characteristic
	for _, pt := range parts {
		for _, c := range pt.chars {
			chars = tmf.With(chars, c)
		}
	}
	due := concerning(prices, p.tx.Now(), chars, places(it))
	p.charge(p.account(it), due)
	if it.ItemPrice, err = itemPrices(due); err != nil {
		return err
	}
	for n := range quantity(it) {
		if err := p.product(it, n, offering, parts, chars); err != nil {
			return err
		}
	}
	return nil
}

func quantity(it *Item) int64 {
	if it.Quantity == nil {
		return 1
	}
	return *it.Quantity
}

// parts are what the item takes: the offering itself, or the parts of a bundle
// that are chosen or come with it.
func (p *placing) parts(it *Item, o *catalog.ProductOffering) ([]part, error) {
	if len(o.BundledProductOffering) == 0 {
		if len(it.ProductOrderItem) > 0 {
			return nil, fault.BadInput("notABundle", "%q is no bundle; it has no parts to choose", o.Name)
		}
		one, err := p.configure(o, it.Product)
		return []part{one}, err
	}
	usual, err := p.usual(it, o)
	if err != nil {
		return nil, err
	}
	var out []part
	for _, child := range it.ProductOrderItem {
		if err := p.take(&out, o, child.ProductOffering.ID, quantity(&child), child.Product); err != nil {
			return nil, err
		}
	}
	given := len(out)
	for _, b := range o.BundledProductOffering {
		if err := p.takeUsual(&out, o, b.ID, usual[b.ID], it.Product); err != nil {
			return nil, err
		}
	}
	return out, wanted(it.Product, o, out[given:])
}

// usual are the parts of a bundle that come with it beside those chosen, by
// offering. It refuses numbers of parts that the bundle, or an order, does not allow.
func (p *placing) usual(it *Item, o *catalog.ProductOffering) (map[string]int64, error) {
	taken, usual, all := map[string]int64{}, map[string]int64{}, int64(0)
	for _, child := range it.ProductOrderItem {
		if child.ProductOffering == nil {
			return nil, fault.BadInput("mandatoryAttributeMissing", "productOffering.id is required for part %q of a bundle", child.ID)
		}
		taken[child.ProductOffering.ID] += quantity(&child)
	}
	for _, b := range o.BundledProductOffering {
		lower, _, n := b.Limits()
		if n = max(lower, n) - taken[b.ID]; n > 0 {
			usual[b.ID], taken[b.ID], all = n, taken[b.ID]+n, all+n
		}
	}
	if err := p.count(quantity(it) * (chosen(it) + all - max(1, chosen(it)))); err != nil { // the rest is counted already
		return nil, err
	}
	return usual, o.CheckParts(taken)
}

// takeUsual takes a part that nobody chose, n times: of the characteristics of the
// whole it gets those that it has.
func (p *placing) takeUsual(out *[]part, bundle *catalog.ProductOffering, id string, n int64, whole *Product) error {
	if n == 0 {
		return nil
	}
	o, err := catalog.Component(p.tx, bundle, id, p.tx.Now())
	if err != nil {
		return err
	}
	s, err := catalog.SpecOf(p.tx, o)
	if err != nil {
		return err
	}
	var own Product
	if whole != nil {
		own = *whole
		own.Characteristic = kept(s, whole.Characteristic)
	}
	return p.take(out, bundle, id, n, &own)
}

// wanted refuses characteristics of a bundle that none of the parts that come with
// it has.
func wanted(whole *Product, bundle *catalog.ProductOffering, parts []part) error {
	if whole == nil {
		return nil
	}
	for _, c := range whole.Characteristic {
		if !slices.ContainsFunc(parts, func(pt part) bool { return len(kept(pt.spec, []tmf.Characteristic{c})) > 0 }) {
			return fault.BadInput("unknownCharacteristic", "No part that comes with %q has a characteristic %q; give it to the part it is for", bundle.Name, c.Name)
		}
	}
	return nil
}

// take takes a part of a bundle n times.
func (p *placing) take(out *[]part, bundle *catalog.ProductOffering, id string, n int64, want *Product) error {
	o, err := catalog.Component(p.tx, bundle, id, p.tx.Now())
	if err != nil {
		return err
	}
	one, err := p.configure(o, want)
	*out = append(*out, slices.Repeat([]part{one}, int(n))...)
	return err
}

func (p *placing) configure(o *catalog.ProductOffering, want *Product) (part, error) {
	s, err := catalog.SpecOf(p.tx, o)
	if err != nil {
		return part{}, err
	}
	if s == nil || len(s.ServiceSpecification) == 0 {
		return part{}, fault.Clash("notRealisable", "%q has no service specification: nothing in the network could confirm it, so it could never be billed", o.Name)
	}
	var chosen []tmf.Characteristic
	var at []tmf.Place
	if want != nil {
		chosen, at = want.Characteristic, want.Place
	}
	chars, err := s.Configure(o, chosen, p.tx.Now())
	if err != nil {
		return part{}, err
	}
	return part{o, s, chars}, p.eligible(o, chars, idsOf(at))
}

// eligible checks that the customer may have the offering, so configured, there.
func (p *placing) eligible(o *catalog.ProductOffering, chars []tmf.Characteristic, places []string) (err error) {
	env := catalog.Env{Segments: segments(p.customer), Channel: p.channel(), Places: places, Characteristics: catalog.Values(chars)}
	if len(o.Eligibility) > 0 {
		if env.Offerings, err = p.offerings(); err != nil {
			return err
		}
	}
	return catalog.Eligible(p.tx, o, env)
}

// segments are the market segments the customer belongs to.
func segments(c *party.Customer) []string {
	var out []string
	for _, ch := range c.Characteristic {
		if ch.Name == "segment" {
			if v, ok := tmf.Value([]tmf.Characteristic{ch}, "segment"); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

func (p *placing) channel() string {
	if len(p.order.Channel) == 0 {
		return ""
	}
	return p.order.Channel[0].ID
}

// offerings are the ids of what the customer will have: what he has, as far as the
// order neither ends it nor makes another offering of it, and what is ordered.
func (p *placing) offerings() ([]string, error) {
	if err := p.owned(); err != nil {
		return nil, err
	}
	var out []string
	gone := map[string]bool{} // products
	for _, it := range p.order.ProductOrderItem {
		switch {
		case it.Action == Delete && it.Product != nil:
			gone[it.Product.ID] = true
		case it.Action == Modify && it.Product != nil && it.ProductOffering != nil:
			gone[it.Product.ID] = true
			out = append(out, it.ProductOffering.ID)
		case it.Action == Add && it.ProductOffering != nil:
			out = append(out, it.ProductOffering.ID)
		}
	}
	for _, h := range p.has {
		if !gone[h.ID] {
			out = append(out, h.Offering())
		}
	}
	return out, nil
}

func (p *placing) owned() (err error) {
	if p.has == nil {
		p.has, err = subscription.OfCustomer(p.tx, p.customer.ID, subscription.Created, subscription.PendingActive, subscription.Active, subscription.Suspended)
		if p.has == nil {
			p.has = []*subscription.Product{}
		}
	}
	return err
}

// compatible checks that what the customer will have can be had together.
func (p *placing) compatible() error {
	if !p.takesOffering() {
		return nil
	}
	ids, err := p.offerings()
	if err != nil {
		return err
	}
	return catalog.Compatible(p.tx, slices.DeleteFunc(ids, func(id string) bool { return id == "" }))
}

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

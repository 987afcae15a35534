package order

import (
	"slices"

	"tandem/bss/catalog"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/tmf"
)

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

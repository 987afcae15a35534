package order

import (
	"fmt"
	"slices"

	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// mayRely refuses an option of what does not run yet, and of another option.
func mayRely(line *subscription.Product) error {
	switch {
	case !line.Live():
		return fault.Clash("notActive", "Product %q is %s; what relies on it can be ordered when it runs", line.ID, line.Status)
	case len(line.ReliesOn()) > 0:
		return fault.BadInput("optionOfOption", "%q (product %q) is an option itself; order this one for product %q", line.Name, line.ID, line.ReliesOn()[0])
	}
	return nil
}

// option checks that the line of a new product can use what that gives, and finds out
// what it pays for it from its balance.
func (p *placing) option(product *subscription.Product, o *catalog.ProductOffering) error {
	on := product.ReliesOn()
	if len(on) == 0 {
		return nil
	}
	if len(on) > 1 {
		return fault.BadInput("severalLines", "An option relies on one product, not on %d; order it for each", len(on))
	}
	line, err := subscription.Get(p.tx, on[0])
	if err != nil {
		return err
	}
	prices, err := catalog.Prices(p.tx, o)
	if err != nil {
		return err
	}
	if err := charging.Fits(p.tx, line, o, prices); err != nil {
		return err
	}
	due := concerning(prices, p.tx.Now(), product.ProductCharacteristic, product.Places())
	product.PaidFromBalance, err = charging.FromBalance(p.tx, line, due)
	if err != nil || product.PaidFromBalance == nil {
		return err
	}
	sum := *product.PaidFromBalance.Amount
	if before, more := p.balances[line.ID]; more {
		if sum, err = sum.Add(before); err != nil {
			return err
		}
	}
	p.balances[line.ID] = sum
	return charging.Reaches(p.tx, line, sum)
}

// OptionRefused hears that charging could not give what an option gives: it is ended,
// by an order that says why.
func OptionRefused(tx *store.Tx, f fact.OptionRefused) error {
	p, err := subscription.Get(tx, f.Product)
	if err != nil || p.Over() || p.Status == subscription.PendingTerminate {
		return err
	}
	return Place(tx, &ProductOrder{Description: "Ends what could not be given: " + f.Reason,
		Note: []tmf.Note{{Author: "charging", Date: tx.Now(), Text: f.Reason}},
		ProductOrderItem: []Item{{ID: "1", Action: Delete, Product: &Product{ID: p.ID, Name: p.Name,
			Characteristic: []tmf.Characteristic{tmf.Text(subscription.TerminationReason, subscription.EndedByOperator)}}}}})
}

// endOptions has the order end what relies on the products that it ends (TMF637
// productRelationship reliesOn), by items that everybody sees. Each waits for the item
// that ends what it relies on: of a line that could not be ended nobody loses an option.
func (p *placing) endOptions() error {
	ends := map[string]bool{} // products
	for _, it := range p.order.ProductOrderItem {
		if it.Action == Delete {
			ends[it.Product.ID] = true
		}
	}
	for _, made := range p.products {
		if i := slices.IndexFunc(made.ReliesOn(), func(id string) bool { return ends[id] }); i >= 0 {
			return fault.BadInput("reliesOnEnded", "%q cannot rely on product %q, which the same order ends", made.Name, made.ReliesOn()[i])
		}
	}
	for _, it := range slices.Clone(p.order.ProductOrderItem) { // it grows
		if it.Action != Delete {
			continue
		}
		options, err := subscription.Options(p.tx, it.Product.ID)
		if err != nil {
			return err
		}
		for _, o := range options {
			if ends[o.ID] || o.Customer() != p.customer.ID || o.Status == subscription.PendingTerminate || o.Status == subscription.Created {
				continue
			}
			ends[o.ID] = true
			if err := p.endOption(&it, o); err != nil {
				return fault.At("productOrderItem "+it.ID, err)
			}
		}
	}
	return nil
}

// endOption adds the item that ends an option of what another item ends, for the reason of that.
func (p *placing) endOption(line *Item, option *subscription.Product) error {
	if !option.Live() {
		return fault.Clash("optionUnderWay", "%q (product %q), which relies on it, is just being built; wait for its order, or cancel that first", option.Name, option.ID)
	}
	if err := p.count(1); err != nil {
		return err
	}
	it := Item{ID: p.freeItem(line.ID), Action: Delete, Product: &Product{ID: option.ID, Name: option.Name},
		Relationship: []Relationship{{ID: line.ID, RelationshipType: subscription.ReliesOn}}}
	if why, said := tmf.Value(line.Product.Characteristic, subscription.TerminationReason); said {
		it.Product.Characteristic = []tmf.Characteristic{tmf.Text(subscription.TerminationReason, why)}
	}
	if err := p.end(&it, option); err != nil {
		return err
	}
	p.order.ProductOrderItem = append(p.order.ProductOrderItem, it)
	return nil
}

// freeItem is an id for an item that another one brings with it.
func (p *placing) freeItem(by string) string {
	for n := 1; ; n++ {
		id := fmt.Sprintf("%s-%d", by, n)
		if !slices.ContainsFunc(p.order.ProductOrderItem, func(it Item) bool { return it.ID == id }) {
			return id
		}
	}
}

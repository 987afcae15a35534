package order

import (
	"fmt"
	"slices"

	"tandem/bss/subscription"
	"tandem/kit/fault"
)

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
	for i := 0; i < len(p.order.ProductOrderItem); i++ { // it grows: an option may have options
		it := p.order.ProductOrderItem[i]
		if it.Action != Delete {
			continue
		}
		options, err := subscription.Options(p.tx, it.Product.ID)
		if err != nil {
			return err
		}
		for _, o := range options {
			if ends[o.ID] || o.Status == subscription.PendingTerminate || o.Status == subscription.Created {
				continue
			}
			ends[o.ID] = true
			if err := p.endOption(it.ID, o); err != nil {
				return fault.At("productOrderItem "+it.ID, err)
			}
		}
	}
	return nil
}

// endOption adds the item that ends an option of what another item ends.
func (p *placing) endOption(line string, option *subscription.Product) error {
	if !option.Live() {
		return fault.Clash("optionUnderWay", "%q (product %q), which relies on it, is just being built; wait for its order, or cancel that first", option.Name, option.ID)
	}
	if err := p.count(1); err != nil {
		return err
	}
	it := Item{ID: p.freeItem(line), Action: Delete, Product: &Product{ID: option.ID, Name: option.Name},
		Relationship: []Relationship{{ID: line, RelationshipType: subscription.ReliesOn}}}
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

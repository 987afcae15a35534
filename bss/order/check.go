package order

import (
	"slices"

	"tandem/kit/fault"
)

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

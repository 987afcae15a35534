package revenue

import (
	"fmt"
	"slices"
	"strings"

	"tandem/bss/billing"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// Orphan is a billable item of a product that is not there.
const Orphan = "orphan"

// sold is R2: products against their services and what is billed of them, and the services
// of the network against products.
func sold(c *check) error {
	if err := products(c); err != nil {
		return err
	}
	return standings(c)
}

// products holds every product against its services and its bill, and what is billed
// against the products. R2, R4 and R5 each tell their own classes of it.
func products(c *check) error {
	owing := &billing.Owing{}
	left := side[*subscription.Product]{subscription.After, func(p *subscription.Product) string { return p.ID }}
	right := side[billing.Running]{billing.RunningAfter, func(r billing.Running) string { return r.Product }}
	return compare(c, left, right, func(tx *store.Tx, page []pair[*subscription.Product, billing.Running]) error {
		var there []*subscription.Product
		for _, p := range page {
			if p.left != nil {
				there = append(there, *p.left)
			} else if err := c.orphan(tx, p.right); err != nil {
				return err
			}
		}
		found, err := Disagreements(tx, owing, there)
		if err != nil {
			return err
		}
		for _, p := range there {
			if err := c.disagreements(tx, p, found[p.ID]); err != nil {
				return err
			}
		}
		return nil
	})
}

// mine says that a class is one of the control's.
func (c *check) mine(class string) bool { return slices.Contains(c.control.Classes, class) }

// disagreements tells those of a product, one finding for each class.
func (c *check) disagreements(tx *store.Tx, p *subscription.Product, found []Disagreement) error {
	byClass := map[string][]Disagreement{}
	var order []string
	for _, d := range found {
		if !c.mine(d.Class) {
			continue
		}
		if byClass[d.Class] == nil {
			order = append(order, d.Class)
		}
		byClass[d.Class] = append(byClass[d.Class], d)
	}
	for _, class := range order {
		l, err := c.ofProduct(tx, p, byClass[class])
		if err != nil {
			return err
		}
		if err := c.tell(l); err != nil {
			return err
		}
	}
	return nil
}

// ofProduct makes one leak of disagreements of one class of a product.
func (c *check) ofProduct(tx *store.Tx, p *subscription.Product, all []Disagreement) (l leak, err error) {
	d := all[0]
	l = leak{key: p.ID + "/" + d.Class, class: d.Class, since: d.Since, about: refs(ref("Product", p.ID), ref("Service", d.Service), ref("Customer", p.Customer()))}
	if d.Over {
		l.side = Overcharge
	}
	var words []string
	for _, x := range all {
		words = append(words, x.Words)
		if x.Item != "" {
			l.about = append(l.about, ref("BillableItem", x.Item))
			l.evidence = append(l.evidence, Evidence{Set: "billing", ID: x.Item, Says: itemSays(x.item)})
		}
		if x.Since.Before(l.since) {
			l.since = x.Since
		}
	}
	l.words = "Product " + p.ID + " " + strings.Join(words, "; ")
	l.evidence = append([]Evidence{{Set: "products", ID: p.ID, Says: fmt.Sprintf("%s since %s", p.Status, instant(moved(p)))}}, l.evidence...)
	if l.monthly, err = monthlyOf(tx, p.ID, all); err != nil {
		return l, err
	}
	if !d.Until.IsZero() && l.monthly != nil {
		m, err := forDays(*l.monthly, wholeDays(l.since, d.Until))
		if err != nil {
			return l, err
		}
		l.amount, l.monthly = &m, nil // it does not go on
	}
	switch d.Class {
	case NotBilled, ItemLost:
		items, err := billing.ItemsOf(tx, p.ID)
		if err != nil {
			return l, err
		}
		for _, i := range items { // what comes later is told apart from them
			l.evidence = append(l.evidence, Evidence{Set: "billing", ID: i.ID, Says: itemSays(i)})
		}
	}
	switch d.Class {
	case NotBilled:
		l.correction = c.propose(beginBilling, p.ID, "Bill product %s from %s on", p.ID, instant(p.StartDate))
	case BilledAfterEnd:
		l.correction = c.propose(endBilling, p.ID, "End the billing of product %s at %s: what was billed since is given back by the next bill", p.ID, instant(p.TerminationDate))
	}
	return l, nil
}

func itemSays(i *billing.BillableItem) string {
	if i == nil {
		return "is gone"
	}
	says := fmt.Sprintf("%s is %s, from %s", i.Name, i.State, instant(i.From))
	if !i.To.IsZero() {
		says += " to " + instant(i.To)
	}
	return says
}

// monthlyOf is what disagreements are worth in a month: what is said, what their items
// bring, or else what the product does.
func monthlyOf(tx *store.Tx, product string, all []Disagreement) (*tmf.Money, error) {
	if all[0].Monthly != nil {
		return noMoney(*all[0].Monthly), nil
	}
	var items []*billing.BillableItem
	for _, d := range all {
		if d.item != nil && !(d.Class == BilledInFull && d.item.ChargeWhileSuspended == billing.ChargeFull) {
			items = append(items, d.item)
		}
	}
	if all[0].item != nil && all[0].Class != WrongService {
		m, err := billing.Monthly(items)
		return noMoney(m), err
	}
	return valueOf(tx, product)
}

// valueOf is what a product brings in a month; nil if it is not there or brings nothing.
func valueOf(tx *store.Tx, product string) (*tmf.Money, error) {
	m, err := billing.MonthlyValue(tx, product)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return noMoney(m), err
}

// orphan tells of what is billed of a product that is not there.
func (c *check) orphan(tx *store.Tx, r *billing.Running) error {
	if !c.mine(Orphan) {
		return nil
	}
	booked, err := billing.BookedOf(tx, []string{r.Product})
	if err != nil {
		return err
	}
	var open []*billing.BillableItem
	l := leak{key: r.Product + "/" + Orphan, class: Orphan, side: Overcharge, since: r.Since, words: "Product " + r.Product + " is billed, but does not exist", about: refs(ref("Product", r.Product))}
	for _, i := range booked[r.Product].Items {
		if i.Open() {
			open = append(open, i)
			l.about = append(l.about, ref("BillableItem", i.ID))
			l.evidence = append(l.evidence, Evidence{Set: "billing", ID: i.ID, Says: itemSays(i)})
		}
	}
	m, err := billing.Monthly(open)
	if err != nil {
		return err
	}
	l.monthly = noMoney(m)
	return c.tell(l)
}

// standings holds the services that stand in the network against inventory and products.
func standings(c *check) error {
	var page []fulfilment.Standing
	flush := func() error {
		err := c.read(func(tx *store.Tx) error { return c.standingPage(tx, page) })
		page = page[:0]
		if err != nil {
			return err
		}
		return c.flush()
	}
	err := fulfilment.Built(c.ctx, c.db, c.scope, func(s fulfilment.Standing) error {
		c.out.Left++
		if page = append(page, s); len(page) < atOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func (c *check) standingPage(tx *store.Tx, page []fulfilment.Standing) error {
	var services, products []string
	for _, s := range page {
		services = append(services, s.Services...)
		if s.Product != "" {
			products = append(products, s.Product)
		}
	}
	states, err := inventory.States(tx, services)
	if err != nil {
		return err
	}
	statuses, err := subscription.Statuses(tx, products)
	if err != nil {
		return err
	}
	for _, s := range page {
		class, words := JudgeStanding(s, states, statuses)
		if class == "" {
			continue
		}
		l := leak{key: s.Service + "/" + class, class: class, since: s.Since, words: "Service " + s.Service + " " + words, about: refs(ref("Service", s.Service), ref("Product", s.Product)),
			evidence: []Evidence{{Set: "network", ID: s.Service, Says: "stands since " + instant(s.Since)}}}
		if s.Product != "" {
			if l.monthly, err = valueOf(tx, s.Product); err != nil {
				return err
			}
		}
		if err := c.tell(l); err != nil {
			return err
		}
	}
	return nil
}

package billing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// suppose puts what is supposed among the items that were read: one stage for what there is,
// and one after each thing that happens. By the rules that the facts of a real order are
// heard by, see [Begin] and [Change].
func (v *previewing) suppose() error {
	docs := v.own.docs
	slices.SortFunc(docs, func(a, b *itemRow) int { return cmp.Compare(a.ID, b.ID) })
	v.stages = [][]*itemRow{docs}
	for i := range v.turns {
		t := &v.turns[i]
		var err error
		if t.change != nil {
			docs, err = v.changed(docs, t)
		} else {
			docs, err = v.ordered(docs, t)
		}
		if err != nil {
			return err
		}
		slices.SortFunc(docs, func(a, b *itemRow) int { return cmp.Compare(a.ID, b.ID) })
		v.stages = append(v.stages, docs)
	}
	v.own.docs = docs
	return nil
}

// changed are the items after a product has become another offering.
func (v *previewing) changed(docs []*itemRow, t *turning) ([]*itemRow, error) {
	id := t.change.Product.ID
	was, err := subscription.Get(v.tx, id)
	if err != nil {
		return nil, named("change.product", err)
	}
	o, err := catalog.Sellable(v.tx, t.change.ProductOffering.ID, v.tx.Now())
	if err != nil {
		return nil, err
	}
	var open []*BillableItem
	for _, d := range docs {
		if d.Product.ID == id && d.open() {
			open = append(open, d.BillableItem)
		}
	}
	if len(open) == 0 {
		return nil, fault.BadInput("notOnAccount", "Nothing of the product %q is billed on the account %q", id, v.account.ID)
	}
	p := *was
	p.ProductOffering = &subscription.Ref{ID: o.ID, Name: o.Name, Href: o.Href}
	p.ProductCharacteristic = characteristics(was.ProductCharacteristic, t.change.ProductCharacteristic)
	charges, err := owed(v.tx, &p, o, v.tx.Now(), open)
	if err != nil {
		return nil, err
	}
	billed, err := everBilled(v.tx, id)
	if err != nil {
		return nil, err
	}
	next := start{product: &p, offering: o, service: open[0].ConfirmedBy, from: t.at}
	ends, begins := next.turnover(open, charges, counted(billed, docs, id))
	out := slices.Clone(docs)
	for i, d := range out {
		if slices.Contains(ends, d.BillableItem) {
			over := *d.BillableItem
			over.Suspension = slices.Clone(over.Suspension)
			over.end(t.at)
			out[i] = &itemRow{account: d.account, revision: d.revision + 1, BillableItem: &over}
		}
	}
	kept := len(out)
	if out, err = v.begun(out, next, begins, counted(billed, docs, id)); err != nil {
		return nil, err
	}
	var instead []*BillableItem
	for _, d := range out[kept:] {
		instead = append(instead, d.BillableItem)
	}
	return v.leftEarly(out, ends, instead, t.at)
}

// leftEarly adds what it costs that items end before their terms.
func (v *previewing) leftEarly(docs []*itemRow, ends, instead []*BillableItem, at time.Time) ([]*itemRow, error) {
	for _, i := range ends {
		fee, err := i.earlyEnd(v.tx, instead, "", at)
		if err != nil {
			return nil, err
		}
		if fee != nil {
			docs = append(docs, &itemRow{account: fee.BillingAccount.ID, revision: 1, BillableItem: fee})
		}
	}
	return docs, nil
}

// characteristics are those of a product, some of them changed.
func characteristics(was, changed []tmf.Characteristic) []tmf.Characteristic {
	out := slices.Clone(was)
	for _, c := range changed {
		if i := slices.IndexFunc(out, func(x tmf.Characteristic) bool { return x.Name == c.Name }); i >= 0 {
			out[i] = c
		} else {
			out = append(out, c)
		}
	}
	return out
}

// counted are the items there were of each price of a product, the supposed ones as well.
func counted(kept map[string]int64, docs []*itemRow, product string) map[string]int64 {
	out := map[string]int64{}
	for _, d := range docs {
		if d.Product.ID == product {
			out[d.Price.ID]++
		}
	}
	for price, n := range kept { // some may be on other accounts
		out[price] = max(out[price], n)
	}
	return out
}

// ordered are the items with those of a line of a cart.
func (v *previewing) ordered(docs []*itemRow, t *turning) (out []*itemRow, err error) {
	o, err := v.offered(t.order)
	if err != nil {
		return nil, err
	}
	out = slices.Clone(docs)
	for piece := range max(1, t.order.Quantity) {
		p := &subscription.Product{Name: o.Name, OrderDate: v.tx.Now(), ProductOffering: &subscription.Ref{ID: o.ID, Name: o.Name, Href: o.Href},
			ProductCharacteristic: t.order.ProductCharacteristic, RelatedParty: v.account.RelatedParty}
		p.ID = fmt.Sprintf("order-%d-%d", t.n, piece+1)
		charges, err := owed(v.tx, p, o, judged(p.OrderDate, t.at), nil)
		if err != nil {
			return nil, err
		}
		if out, err = v.begun(out, start{product: p, offering: o, from: t.at}, charges, nil); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// offered is the offering of a line, which can be bought now.
func (v *previewing) offered(o *SupposedOrder) (*catalog.ProductOffering, error) {
	if o.Bundle == nil {
		return catalog.Sellable(v.tx, o.ProductOffering.ID, v.tx.Now())
	}
	bundle, err := catalog.Sellable(v.tx, o.Bundle.ID, v.tx.Now())
	if err != nil {
		return nil, err
	}
	return catalog.Component(v.tx, bundle, o.ProductOffering.ID, v.tx.Now())
}

// begun adds the items of charges that begin.
func (v *previewing) begun(docs []*itemRow, s start, begins []charge, billed map[string]int64) ([]*itemRow, error) {
	account := v.account
	if s.account != "" && s.account != account.ID { // one that this account pays for
		var err error
		if account, err = BillingAccounts.Get(v.tx, s.account); err != nil {
			return nil, err
		}
	}
	for _, c := range begins {
		i, err := s.item(v.tx, c, account, billed)
		if err != nil {
			return nil, err
		}
		docs = append(docs, &itemRow{account: account.ID, revision: 1, BillableItem: i})
	}
	return docs, nil
}

package verify

import (
	"slices"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/bss/revenue"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// products judges each product with its services and its billable items, and
// then the items whose product is not there at all.
func (v *run) products(tenant string) error {
	owing := &billing.Owing{}
	var page []*subscription.Product
	flush := func() error {
		ps := page
		page = nil
		return v.productPage(tenant, owing, ps)
	}
	err := subscription.Products.Each(v.ctx, v.DB, scopeOf(tenant), func(p *subscription.Product) error {
		if v.sum.Products++; v.sum.Products%100_000 == 0 {
			v.say("%s: %d products", tenant, v.sum.Products)
		}
		if page = append(page, p); len(page) < pageSize {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return v.items(tenant)
}

func (v *run) productPage(tenant string, owing *billing.Owing, page []*subscription.Product) error {
	var found []suspect
	err := v.read(tenant, func(tx *store.Tx) (err error) {
		found, err = v.judgeAll(tx, owing, page)
		return err
	})
	for _, s := range found {
		if err == nil {
			err = v.suspect(s)
		}
	}
	return err
}

// judgeAll judges products that were read together.
func (v *run) judgeAll(tx *store.Tx, owing *billing.Owing, page []*subscription.Product) (out []suspect, err error) {
	disagree, err := revenue.Disagreements(tx, owing, page)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range page {
		ids = append(ids, p.ID)
	}
	lines, err := charging.LinesOf(tx, ids)
	if err != nil {
		return nil, err
	}
	for _, p := range page {
		var found []Mismatch
		for _, d := range disagree[p.ID] {
			found = append(found, mismatchOf(tx.Tenant(), d))
		}
		words := ""
		if !slices.ContainsFunc(found, func(m Mismatch) bool { return m.Kind == KindProduct }) {
			if words, err = v.judgeLine(tx, p, lines); err != nil {
				return nil, err
			}
		}
		if words != "" {
			found = append(found, Mismatch{Kind: KindCharging, Tenant: tx.Tenant(), Product: p.ID, Words: words})
		}
		for _, m := range found {
			s := suspect{Mismatch: m, also: p.ReliesOn(), again: func() (Mismatch, bool, error) { return v.productAgain(m) }}
			for _, r := range p.RealizingService {
				s.also = append(s.also, r.ID)
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// mismatchOf is what revenue assurance says of a product, as it is told here.
func mismatchOf(tenant string, d revenue.Disagreement) Mismatch {
	m := Mismatch{Kind: KindBilling, Tenant: tenant, Product: d.Product, Service: d.Service, Item: d.Item, Words: d.Words, Money: d.Monthly}
	if d.Class == revenue.ServicesContradict || d.Class == revenue.NothingRealises {
		m.Kind = KindProduct
	}
	return m
}

// productAgain judges one product anew and looks for the same finding.
func (v *run) productAgain(m Mismatch) (now Mismatch, bad bool, err error) {
	err = v.read(m.Tenant, func(tx *store.Tx) error {
		p, err := subscription.Get(tx, m.Product)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		found, err := v.judgeAll(tx, &billing.Owing{}, []*subscription.Product{p})
		for _, s := range found {
			if s.Kind == m.Kind && s.Item == m.Item {
				now, bad = s.Mismatch, true
			}
		}
		return err
	})
	return now, bad, err
}

// items looks for billable items whose product is not there; those of the others
// were judged with their product.
func (v *run) items(tenant string) error {
	var page []*billing.BillableItem
	flush := func() error {
		items := page
		page = nil
		return v.itemPage(tenant, items)
	}
	err := billing.Items.Each(v.ctx, v.DB, scopeOf(tenant), func(i *billing.BillableItem) error {
		if v.sum.Items++; v.sum.Items%100_000 == 0 {
			v.say("%s: %d billable items", tenant, v.sum.Items)
		}
		if !i.Open() {
			return nil
		}
		if page = append(page, i); len(page) < pageSize {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func (v *run) itemPage(tenant string, items []*billing.BillableItem) error {
	orphans := func(items []*billing.BillableItem) (out []*billing.BillableItem, err error) {
		ids := make([]string, len(items))
		for n, i := range items {
			ids[n] = i.Product.ID
		}
		err = v.read(tenant, func(tx *store.Tx) error {
			there, err := subscription.Statuses(tx, ids)
			out = slices.DeleteFunc(slices.Clone(items), func(i *billing.BillableItem) bool { return there[i.Product.ID] != "" })
			return err
		})
		return out, err
	}
	found, err := orphans(items)
	if err != nil {
		return err
	}
	for _, i := range found {
		money, err := billing.Monthly([]*billing.BillableItem{i})
		if err != nil {
			return err
		}
		m := Mismatch{Kind: KindBilling, Tenant: tenant, Product: i.Product.ID, Item: i.ID, Service: i.ConfirmedBy, Money: worth(money),
			Words: i.Name + " is billed, but the product does not exist"}
		if err := v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) {
			still, err := orphans([]*billing.BillableItem{i})
			return m, len(still) > 0, err
		}}); err != nil {
			return err
		}
	}
	return nil
}

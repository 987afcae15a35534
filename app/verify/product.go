package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
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
	var ids, services, on []string
	for _, p := range page {
		ids, on = append(ids, p.ID), append(on, p.ReliesOn()...)
		for _, r := range p.RealizingService {
			services = append(services, r.ID)
		}
	}
	states, err := inventory.States(tx, services)
	if err != nil {
		return nil, err
	}
	booked, err := billing.BookedOf(tx, ids)
	if err != nil {
		return nil, err
	}
	lines, err := charging.LinesOf(tx, ids)
	if err != nil {
		return nil, err
	}
	relied, err := subscription.Statuses(tx, on)
	if err != nil {
		return nil, err
	}
	for _, p := range page {
		found, err := judge(tx, owing, p, states, relied, booked[p.ID])
		if err != nil {
			return nil, err
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

// judge holds a product against its services, what it relies on, and its bill. A
// product whose own state is wrong is not judged further.
func judge(tx *store.Tx, owing *billing.Owing, p *subscription.Product, states, relied map[string]string, b *billing.Booked) ([]Mismatch, error) {
	m := Mismatch{Kind: KindProduct, Tenant: tx.Tenant(), Product: p.ID}
	if len(p.RealizingService) > 0 {
		m.Service = p.RealizingService[0].ID
	}
	if m.Words = p.Mismatch(); m.Words != "" {
		return []Mismatch{m}, nil
	}
	for _, r := range p.RealizingService {
		if words := disagreement(p, r, states[r.ID]); words != "" {
			m.Service, m.Words = r.ID, words
			return []Mismatch{m}, nil
		}
	}
	if m.Words = leftBehind(p, relied); m.Words != "" {
		return []Mismatch{m}, nil
	}
	m.Kind = KindBilling
	var out []Mismatch
	for _, i := range b.Items {
		if words := judgeItem(p, standing(p, relied), i); words != "" {
			one := m
			one.Item, one.Words = i.ID, words
			out = append(out, one)
		}
	}
	if !p.Live() {
		return out, nil
	}
	unbilled, err := judgeBill(tx, owing, p, b, m)
	return append(out, unbilled...), err
}

// leftBehind says that an option runs whose line is over: nobody can use it. relied are
// the statuses of what products rely on.
func leftBehind(p *subscription.Product, relied map[string]string) string {
	if !p.Live() || p.Status == subscription.PendingTerminate {
		return ""
	}
	for _, id := range p.ReliesOn() {
		switch relied[id] {
		case "":
			return fmt.Sprintf("is %s, but product %s, which it relies on, does not exist", p.Status, id)
		case subscription.Terminated, subscription.Cancelled, subscription.Aborted:
			return fmt.Sprintf("is %s, but product %s, which it relies on, is %s", p.Status, id, relied[id])
		}
	}
	return ""
}

// standing is how a product stands for its bill: an option rests while its line does.
// "" while that is being ended, and nobody can say.
func standing(p *subscription.Product, relied map[string]string) string {
	is := p.Network()
	for _, id := range p.ReliesOn() {
		switch {
		case is == subscription.Active && relied[id] == subscription.Suspended:
			is = subscription.Suspended
		case relied[id] != subscription.Active && relied[id] != subscription.Suspended:
			return ""
		}
	}
	return is
}

// confirmed is what the inventory must say for each state that a product heard.
var confirmed = map[string]string{subscription.Active: inventory.Active, subscription.Suspended: inventory.Inactive}

// disagreement is in words how a product and a service of it disagree.
func disagreement(p *subscription.Product, r subscription.ServiceRef, state string) string {
	want := confirmed[r.State]
	lives := state == inventory.Active || state == inventory.Inactive
	switch {
	case want == state && want != "":
		return ""
	case want == "" && lives:
		return fmt.Sprintf("is %s, but service %s is %s in the inventory", p.Status, r.ID, state)
	case want == "":
		return ""
	case state == "":
		return fmt.Sprintf("is %s, but the inventory does not know service %s", p.Status, r.ID)
	}
	return fmt.Sprintf("is %s, but service %s is %s in the inventory", p.Status, r.ID, state)
}

// judgeItem says what is wrong with a billable item of a product that stands so.
func judgeItem(p *subscription.Product, is string, i *billing.BillableItem) string {
	switch {
	case !slices.ContainsFunc(p.RealizingService, func(r subscription.ServiceRef) bool { return r.ID == i.ConfirmedBy }):
		return fmt.Sprintf("%s is billed on the word of service %s, which does not realise the product", i.Name, i.ConfirmedBy)
	case i.From.Before(p.StartDate) && !p.StartDate.IsZero():
		return fmt.Sprintf("%s is billed from %s, but the network confirmed the product at %s only", i.Name, instant(i.From), instant(p.StartDate))
	case !i.Open():
		return ""
	case !p.Live():
		return fmt.Sprintf("%s is billed, but the product is %s", i.Name, p.Status)
	case is == subscription.Suspended && i.State != billing.ItemSuspended:
		return fmt.Sprintf("%s is billed in full, but the product is suspended in the network", i.Name)
	case is == subscription.Active && i.State == billing.ItemSuspended:
		return fmt.Sprintf("%s is billed as suspended, but the product runs", i.Name)
	}
	return ""
}

func instant(t time.Time) string { return tmf.FormatTime(t) }

// judgeBill says what of a live product is not billed, or too late.
func judgeBill(tx *store.Tx, owing *billing.Owing, p *subscription.Product, b *billing.Booked, m Mismatch) ([]Mismatch, error) {
	names, money, err := owing.Missing(tx, p, b.Items)
	if err != nil {
		return nil, err
	}
	switch {
	case len(names) > 0:
		m.Words, m.Money = fmt.Sprintf("is %s since %s, but not billed: %s", p.Status, instant(p.StartDate), strings.Join(names, ", ")), worth(money)
	case len(b.Lost) > 0:
		m.Item, m.Words = b.Lost[0], "was billed, but the billable item is gone: "+strings.Join(b.Lost, ", ")
	case len(b.Items) > 0 && late(p, b.Items):
		m.Words = fmt.Sprintf("runs since %s, but is billed only from %s", instant(p.StartDate), instant(b.Items[0].From))
	default:
		return nil, nil
	}
	return []Mismatch{m}, nil
}

// late says that the first item began after the product. One that was changed may
// have been free before.
func late(p *subscription.Product, items []*billing.BillableItem) bool {
	return len(p.ProductOrderItem) == 1 && items[0].From.After(p.StartDate)
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

package verify

import (
	"fmt"

	"tandem/bss/order"
	"tandem/kit/store"
	"tandem/oss/fulfilment"
)

// orders looks for service orders that stand still, and for product orders that
// contradict them.
func (v *run) orders(tenant string) error {
	err := fulfilment.EachOpen(v.ctx, v.DB, scopeOf(tenant), func(so string) error {
		m, bad, err := v.stuck(tenant, so)
		if err != nil || !bad {
			return err
		}
		return v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) { return v.stuck(tenant, so) }})
	})
	if err != nil {
		return err
	}
	var page []order.Progress
	flush := func() error {
		ps := page
		page = nil
		return v.progressPage(tenant, ps)
	}
	err = order.EachProgress(v.ctx, v.DB, scopeOf(tenant), func(p order.Progress) error {
		if v.sum.Orders++; v.sum.Orders%100_000 == 0 {
			v.say("%s: %d orders", tenant, v.sum.Orders)
		}
		if page = append(page, p); len(page) < pageSize {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func (v *run) stuck(tenant, so string) (m Mismatch, bad bool, err error) {
	m = Mismatch{Kind: KindOrder, Tenant: tenant, ServiceOrder: so}
	err = v.read(tenant, func(tx *store.Tx) error {
		s, err := fulfilment.Stuck(tx, so)
		if err != nil || s.Reason == "" {
			return err
		}
		if len(s.External) > 0 {
			m.Order, m.Product = s.External[0].Order, s.External[0].Product
		}
		m.Words, bad = "stands still: "+s.Reason, true
		return nil
	})
	return m, bad, err
}

func (v *run) progressPage(tenant string, page []order.Progress) error {
	var found []Mismatch
	err := v.read(tenant, func(tx *store.Tx) (err error) {
		found, err = judgeProgress(tx, page)
		return err
	})
	for _, m := range found {
		if err != nil {
			return err
		}
		err = v.suspect(suspect{Mismatch: m, again: func() (Mismatch, bool, error) { return v.progressAgain(m) }})
	}
	return err
}

func (v *run) progressAgain(m Mismatch) (now Mismatch, bad bool, err error) {
	err = v.read(m.Tenant, func(tx *store.Tx) error {
		p, err := order.ProgressOf(tx, m.Order)
		if err != nil || p.Order == "" {
			return err
		}
		found, err := judgeProgress(tx, []order.Progress{p})
		if len(found) > 0 {
			now, bad = found[0], true
		}
		return err
	})
	return now, bad, err
}

// judgeProgress compares product orders with their service orders.
func judgeProgress(tx *store.Tx, page []order.Progress) (out []Mismatch, err error) {
	states := map[fulfilment.ItemState]string{}
	var ids []string
	for i, p := range page {
		for _, l := range p.Lines {
			if len(ids) == 0 || ids[len(ids)-1] != l.ServiceOrder {
				ids = append(ids, l.ServiceOrder)
			}
		}
		if len(ids) < pageSize && i < len(page)-1 {
			continue
		}
		some, err := fulfilment.ItemStates(tx, ids)
		if err != nil {
			return nil, err
		}
		for at, state := range some {
			states[at] = state
		}
		ids = nil
	}
	for _, p := range page {
		if m, bad := judgeOrder(p, states); bad {
			m.Tenant = tx.Tenant()
			out = append(out, m)
		}
	}
	return out, nil
}

var ended = map[string]bool{fulfilment.Completed: true, fulfilment.Failed: true, fulfilment.Cancelled: true}

// judgeOrder says what is wrong between a product order and the items that
// realise it.
func judgeOrder(p order.Progress, states map[fulfilment.ItemState]string) (Mismatch, bool) {
	m := Mismatch{Kind: KindOrder, Order: p.Order}
	count := map[string]int{}
	for _, l := range p.Lines {
		m.ServiceOrder, m.Product = l.ServiceOrder, l.Product
		state := states[fulfilment.ItemState{Order: l.ServiceOrder, Item: l.ID}]
		if !ended[state] && state != "" {
			state = "open"
		}
		if state != l.State {
			m.Words = fmt.Sprintf("takes item %s for %s, but in the network it is %s", l.ID, l.State, orNothing(state))
			return m, true
		}
		count[l.State]++
	}
	all := len(p.Lines)
	switch {
	case all > 0 && count["open"] == 0 && !p.Ended():
		m.Words = fmt.Sprintf("is %s, but all that was to be done for it has ended", p.State)
	case count["open"] > 0 && p.Ended():
		m.Words = fmt.Sprintf("is %s, but %d of %d items are not done", p.State, count["open"], all)
	case p.State == order.Completed && count[order.Completed] < all, p.State == order.Cancelled && count[order.Cancelled] < all:
		m.Words = fmt.Sprintf("is %s, but of %d items %d are completed, %d failed and %d cancelled", p.State, all, count[order.Completed], count[order.Failed], count[order.Cancelled])
	case all == 0 && !p.Ended():
		m.Words = fmt.Sprintf("is %s, but nothing was ordered from the network for it", p.State)
	default:
		return m, false
	}
	return m, true
}

func orNothing(state string) string {
	if state == "" {
		return "not known"
	}
	return state
}

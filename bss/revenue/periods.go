package revenue

import (
	"fmt"
	"time"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Classes of R3.
const (
	NotOnBill      = "notOnBill"      // a product was due on a bill, and is on none
	CannotBeBilled = "cannotBeBilled" // an account cannot be billed at all
)

// periods is R3: what was due on the bills of each account, and is on none of them. A bill
// run has the patience of the control to make them.
func periods(c *check) error {
	upto := civil.DateOf(c.young, time.UTC)
	c.unlooked = map[string]bool{}
	left := side[string]{billing.AccountsAfter, func(id string) string { return id }}
	return compare(c, left, nothing(), func(tx *store.Tx, page []pair[string, struct{}]) error {
		ids := make([]string, len(page))
		for i, p := range page {
			ids[i] = *p.left
		}
		if len(ids) == 0 {
			return nil
		}
		all, err := billing.MissedOf(tx, ids, upto)
		if err != nil {
			return err
		}
		for i := range all {
			if err := c.missed(tx, &all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// missed tells what an account was not billed for, product by product.
func (c *check) missed(tx *store.Tx, m *billing.Missed) error {
	if m.Parked != "" {
		c.unlooked[m.Account] = true // what of it is on no bill nobody can say
		return c.parked(tx, m)
	}
	for len(m.Lines) > 0 {
		n := 1
		for n < len(m.Lines) && m.Lines[n].Product == m.Lines[0].Product {
			n++
		}
		if err := c.notOnBill(m, m.Lines[:n]); err != nil {
			return err
		}
		m.Lines = m.Lines[n:]
	}
	return nil
}

func (c *check) notOnBill(m *billing.Missed, lines []billing.MissedLine) error {
	first := lines[0]
	l := leak{key: m.Account + "/" + first.Product, class: NotOnBill, since: first.Service.From.Start(time.UTC), about: refs(ref("Product", first.Product), ref("BillingAccount", m.Account))}
	net := money.Amount{Currency: first.Net.Currency}
	for _, x := range lines {
		var err error
		if net, err = net.Add(x.Net); err != nil {
			return err
		}
		if from := x.Service.From.Start(time.UTC); from.Before(l.since) {
			l.since = from
		}
		l.evidence = append(l.evidence, Evidence{Set: "due", ID: x.Item, Says: fmt.Sprintf("%s from %s to %s: %s", x.Name, x.Service.From, x.Service.To, x.Net)})
	}
	if net.Sign() == 0 {
		return nil
	}
	if net.Sign() < 0 {
		l.side = Overcharge
		var err error
		if net, err = net.Neg(); err != nil {
			return err
		}
	}
	r, err := net.Rate()
	if err != nil {
		return err
	}
	l.amount = &r
	l.words = fmt.Sprintf("Product %s was due on the bill of account %s of %s with %s, and is on none", first.Product, m.Account, m.Bill, net)
	return c.tell(l)
}

// parked tells of an account that no bill can be made for: what its products bring in a
// month is at stake for each day since it was found.
func (c *check) parked(tx *store.Tx, m *billing.Missed) error {
	all, err := billing.Items.Select(tx, tmf.Where{"billingAccount.id": m.Account}, tmf.Page{Limit: 1000})
	if err != nil {
		return err
	}
	var open []*billing.BillableItem
	for _, i := range all {
		if i.Open() {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return nil
	}
	monthly, err := billing.Monthly(open)
	if err != nil {
		return err
	}
	return c.tell(leak{key: m.Account, class: CannotBeBilled, lasts: true, monthly: noMoney(monthly), words: fmt.Sprintf("Account %s cannot be billed: %s", m.Account, m.Parked),
		about: refs(ref("BillingAccount", m.Account)), evidence: []Evidence{{Set: "billing", ID: m.Account, Says: cut(m.Parked)}}})
}

package revenue

import (
	"fmt"
	"slices"
	"time"

	"tandem/bss/billing"
	"tandem/bss/receivable"
	"tandem/kit/store"
)

// Classes of R18, R20 and R21.
const (
	BrokenChain  = "brokenChain"  // R18: a posted bill, its series, its hash or the books disagree
	Undelivered  = "undelivered"  // R18: a bill was posted, and nobody says that it was sent
	NotPosted    = "notPosted"    // R18: a draft waits
	DoesNotAddUp = "doesNotAddUp" // R20: claims, payments, allocations and the books disagree
	PaysNothing  = "paysNothing"  // R20: money came in and pays nothing, though something is owed, or nobody knows whose it is
	NotBarred    = "notBarred"    // R21: overdue and to be barred, and it runs
	StillBarred  = "stillBarred"  // R21: paid, and still barred
)

// delivered is R18: what was posted against its series, the books and what became of it.
func delivered(c *check) error {
	if err := c.chain(); err != nil {
		return err
	}
	posted := side[billing.PostedBill]{billing.PostedAfter, func(b billing.PostedBill) string { return b.Bill }}
	err := compare(c, posted, nothing(), func(tx *store.Tx, page []pair[billing.PostedBill, struct{}]) error {
		for _, p := range page {
			b := p.left
			if b.Sent || b.Kind != billing.Invoice || b.Gross <= 0 {
				continue
			}
			m, err := minor(b.Gross, b.Currency)
			if err != nil {
				return err
			}
			if err := c.tell(leak{key: b.Bill + "/" + Undelivered, class: Undelivered, side: Risk, since: b.PostedAt, amount: m, words: fmt.Sprintf("Bill %s was posted, and nobody says that it was sent", b.Number),
				about: refs(ref("CustomerBill", b.Bill), ref("BillingAccount", b.Account)), evidence: []Evidence{{Set: "bills", ID: b.Number, Says: "posted at " + instant(b.PostedAt)}}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	drafts := side[billing.Waiting]{billing.WaitingAfter, func(w billing.Waiting) string { return w.Bill }}
	return compare(c, drafts, nothing(), func(tx *store.Tx, page []pair[billing.Waiting, struct{}]) error {
		for _, p := range page {
			if err := c.waitingBill(p.left); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *check) waitingBill(w *billing.Waiting) error {
	l := leak{key: w.Bill + "/" + NotPosted, class: NotPosted, since: w.At, words: fmt.Sprintf("A bill of account %s was worked out and is not posted", w.Account),
		about: refs(ref("CustomerBill", w.Bill), ref("BillingAccount", w.Account), ref("BillRun", w.Run))}
	if w.Held != "" {
		l.words += ": it is held, because " + w.Held
	}
	gross := w.Gross
	if gross < 0 {
		l.side, gross = Overcharge, -gross
	}
	var err error
	l.amount, err = minor(gross, w.Currency)
	l.evidence = []Evidence{{Set: "drafts", ID: w.Bill, Says: "made at " + instant(w.At)}}
	if err != nil {
		return err
	}
	return c.tell(l)
}

// surely tells what look finds at two states of the store, one after the other: what only
// one of them shows was under way. What it tells does not pass by itself.
func (c *check) surely(look func(tx *store.Tx, found func(leak) error) error) error {
	before := map[string]bool{}
	err := c.db.Snapshot(c.ctx, c.scope, func(tx *store.Tx) error {
		clear(before)
		return look(tx, func(l leak) error {
			if len(before) < maxWritten { // they are in memory
				before[l.key] = true
			}
			return nil
		})
	})
	if err != nil || len(before) == 0 {
		return err
	}
	c.blind = c.blind || len(before) == maxWritten
	return c.once(func(tx *store.Tx) error {
		return look(tx, func(l leak) error {
			l.lasts = true
			switch {
			case before[l.key]:
				return c.tell(l)
			case len(before) == maxWritten:
				c.out.Findings++
				c.out.More++
			}
			return nil
		})
	})
}

// chain asks billing to prove its posted bills: numbers, hashes, totals, the books. The
// amount is that of the bill.
func (c *check) chain() error {
	return c.surely(func(tx *store.Tx, found func(leak) error) error {
		sum, err := billing.AuditBills(tx, func(f billing.BillFault) error {
			l := leak{key: f.Series + "/" + f.Number + "/" + f.Bill + "/" + BrokenChain, class: BrokenChain, side: Risk, words: f.String(), about: refs(ref("CustomerBill", f.Bill)),
				evidence: []Evidence{{Set: "bills", ID: f.Bill, Says: f.Words}}}
			if f.Bill != "" {
				b, err := billing.CustomerBills.Get(tx, f.Bill)
				if err == nil && b.TaxIncludedAmount != nil {
					l.amount = b.TaxIncludedAmount
				}
			}
			return found(l)
		})
		c.out.Right = sum.Bills
		return err
	})
}

// paid is R20: claims, payments and allocations against each other and the books, and money
// that pays nothing.
func paid(c *check) error {
	err := c.surely(func(tx *store.Tx, found func(leak) error) error {
		wrong, err := receivable.Audit(tx)
		for _, m := range wrong {
			if err != nil {
				break
			}
			var l leak
			if l, err = doesNotAddUp(tx, m); err == nil {
				err = found(l)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	unused := side[receivable.Unused]{receivable.UnusedAfter, func(u receivable.Unused) string { return u.ID }}
	return compare(c, unused, nothing(), func(tx *store.Tx, page []pair[receivable.Unused, struct{}]) error {
		for _, p := range page {
			u := p.left
			m, err := minor(u.Amount, u.Currency)
			if err != nil {
				return err
			}
			l := leak{key: u.ID + "/" + PaysNothing, class: PaysNothing, side: Risk, since: u.At, amount: m, words: fmt.Sprintf("Payment %s of account %s pays nothing, though the account owes something", u.ID, u.Account),
				about: refs(ref("Payment", u.ID), ref("BillingAccount", u.Account)), evidence: []Evidence{{Set: "payments", ID: u.ID, Says: "came in at " + instant(u.At)}}}
			if u.Bank {
				l.words, l.about = fmt.Sprintf("Nobody has said whose the money of bank entry %s is", u.ID), refs(ref("BankEntry", u.ID))
			}
			if err := c.tell(l); err != nil {
				return err
			}
		}
		return nil
	})
}

func doesNotAddUp(tx *store.Tx, m receivable.Mismatch) (leak, error) {
	code, err := receivable.CurrencyOf(tx, m.ID)
	if err != nil {
		return leak{}, err
	}
	l := leak{key: m.ID + "/" + m.What, class: DoesNotAddUp, side: Risk, words: fmt.Sprintf("%s: %s: %d here, %d there, in minor units", m.ID, m.What, m.Here, m.There), about: refs(ref("Receivable", m.ID)),
		evidence: []Evidence{{Set: "receivable", ID: m.ID, Says: fmt.Sprint(m.Here)}, {Set: "books", ID: m.ID, Says: fmt.Sprint(m.There)}}}
	if code != "" {
		l.amount, err = minor(max(m.Here-m.There, m.There-m.Here), code)
	}
	return l, err
}

// barred is R21: what the ladder of debts says of each account against what the network
// has confirmed of its lines.
func barred(c *check) error {
	left := side[receivable.Barring]{receivable.BarringAfter, func(b receivable.Barring) string { return b.Account }}
	return compare(c, left, nothing(), func(tx *store.Tx, page []pair[receivable.Barring, struct{}]) error {
		for _, p := range page {
			b := p.left
			slices.Sort(b.Held)
			for _, product := range b.Running {
				if err := c.bar(tx, b, product, NotBarred, Leakage, "is to be barred for debt, and runs"); err != nil {
					return err
				}
			}
			for _, product := range b.Held {
				if err := c.bar(tx, b, product, StillBarred, Overcharge, "is barred for debt, and the debt is paid"); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (c *check) bar(tx *store.Tx, b *receivable.Barring, product, class, whose, words string) error {
	monthly, err := valueOf(tx, product)
	if err != nil {
		return err
	}
	return c.tell(leak{key: product + "/" + class, class: class, side: whose, since: b.Since, monthly: monthly, words: fmt.Sprintf("Product %s of account %s %s", product, b.Account, words),
		about: refs(ref("Product", product), ref("BillingAccount", b.Account)), evidence: []Evidence{{Set: "dunning", ID: b.Account, Says: "since " + b.Since.UTC().Format(time.RFC3339)}}})
}

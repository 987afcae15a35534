package revenue

import (
	"fmt"

	"tandem/bss/charging"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Classes of R8, R10, R12, R14 and R16.
const (
	FileGap       = "fileGap"       // R8: files of a source never came
	ChargedTwice  = "chargedTwice"  // R10
	InSuspense    = "inSuspense"    // R12: usage could not be charged, and waits
	WrongPrice    = "wrongPrice"    // R14: charged otherwise than its tariff says
	WalletDiffers = "walletDiffers" // R16: a wallet is not what came less what went
)

const maxListed = 10_000 // of what is not read in pages

// files is R8: sequence numbers of sources that never came, at what a file of the source is
// worth on average. They are missing since the file behind them came.
func files(c *check) error {
	return c.once(func(tx *store.Tx) error {
		gaps, err := charging.MissingFiles(tx, maxListed)
		c.out.Left, c.blind = int64(len(gaps)), len(gaps) == maxListed
		for _, g := range gaps {
			if err != nil {
				return err
			}
			var each money.Rate
			if each, err = charging.MeanFile(tx, g.Source); err != nil {
				return err
			}
			n := g.To - g.From + 1
			l := leak{key: fmt.Sprintf("%s/%d", g.Source, g.From), class: FileGap, since: g.At, words: fmt.Sprintf("%d files of source %s never came: %d to %d", n, g.Source, g.From, g.To),
				evidence: []Evidence{{Set: "files", ID: fmt.Sprintf("%d-%d", g.From, g.To), Says: fmt.Sprintf("a file of %s is worth %s on average", g.Source, each)}}}
			if each.Currency != (money.Currency{}) {
				m, err := each.Mul(n)
				if err != nil {
					return err
				}
				l.amount = &m
			}
			err = c.tell(l)
		}
		return err
	})
}

// once is a control that reads what there is in one look.
func (c *check) once(look func(tx *store.Tx) error) error {
	c.leaks = nil
	if err := c.db.Snapshot(c.ctx, c.scope, look); err != nil {
		return err
	}
	return c.flush()
}

// twice is R10: usage that was charged more than once. It looks at the newest usage only,
// and nothing there says that a charge was given back: a person does.
func twice(c *check) error {
	c.blind = true
	return c.once(func(tx *store.Tx) error {
		all, err := charging.ChargedTwice(tx, maxListed)
		c.out.Left = int64(len(all))
		for i := range all {
			t := &all[i]
			if err != nil {
				return err
			}
			err = c.tell(leak{key: fmt.Sprintf("%s/%s", t.Customer, t.Session), class: ChargedTwice, side: Overcharge, since: t.At, amount: noMoney(t.Over),
				words: fmt.Sprintf("Of session %s %d charges are there once more", t.Session, t.Again), about: refs(ref("Customer", t.Customer)), evidence: []Evidence{{Set: "usage", ID: t.Session, Says: "last at " + instant(t.At)}}})
		}
		return err
	})
}

// suspense is R12: usage that could not be charged, at what a record is charged with on
// average.
func suspense(c *check) error {
	return c.once(func(tx *store.Tx) error {
		each, err := charging.MeanRecord(tx)
		if err != nil {
			return err
		}
		all, err := charging.SuspenseByReason(tx)
		for _, s := range all {
			if err != nil {
				return err
			}
			c.out.Left += s.Cases
			l := leak{key: s.Source + "/" + s.Reason, class: InSuspense, since: s.Oldest, words: fmt.Sprintf("%d records of %s could not be charged: %s", s.Cases, s.Source, s.Reason),
				evidence: []Evidence{{Set: "suspense", ID: s.Source, Says: fmt.Sprintf("the oldest since %s, a record is worth %s on average", instant(s.Oldest), each)}}}
			if each.Currency != (money.Currency{}) {
				m, err := each.Mul(s.Cases)
				if err != nil {
					return err
				}
				l.amount = &m
			}
			err = c.tell(l)
		}
		return err
	})
}

// rerated is R14: every charge in the journal that one rate prices, priced anew by an
// evaluator of its own. The finding is the sum of what differs; the shares are the accuracy.
// What is pruned from the journal is not looked at again: a finding ends by a person's word.
func rerated(c *check) error {
	c.blind = true
	if c.doors.Charging == nil {
		return errNotHere("The journal of charges cannot be read from here")
	}
	under, over := sums{}, sums{}
	var first string
	audited, err := c.doors.Charging.AuditCharges(c.ctx, c.scope.Tenant, func(w charging.WrongCharge) error {
		c.out.Wrong++
		if first == "" {
			first = w.Words
		}
		if w.Off.Sign() < 0 {
			short, err := w.Off.Neg()
			if err != nil {
				return err
			}
			return under.add(&short)
		}
		return over.add(&w.Off)
	})
	if err != nil {
		return err
	}
	c.out.Left, c.out.Unjudged = audited.Records, audited.Unjudged
	c.out.Judged = audited.Records - audited.Unjudged
	for _, x := range []struct {
		side, words string
		of          sums
	}{{Leakage, "too little", under}, {Overcharge, "too much", over}} {
		list, err := x.of.list()
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := c.tell(leak{key: x.side + "/" + m.Currency.Code(), class: WrongPrice, side: x.side, amount: &m,
				words:    fmt.Sprintf("Usage was charged %s: %d of %d records that were priced anew differ, such as: %s", x.words, c.out.Wrong, c.out.Judged, first),
				evidence: []Evidence{{Set: "journal", Says: first}}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// wallets is R16: what is in each wallet against what came less what went.
func wallets(c *check) error {
	if c.doors.Charging == nil {
		return errNotHere("Balances cannot be looked at from here")
	}
	judged, err := c.doors.Charging.AuditWallets(c.ctx, c.scope.Tenant, func(f charging.WalletFault) error {
		return c.tell(leak{key: f.Account, class: WalletDiffers, side: Risk, amount: noMoney(f.Money), words: "Account " + f.Account + " " + f.Words,
			about: refs(ref("Customer", f.Customer), ref("BillingAccount", f.BillingAccount)), evidence: []Evidence{{Set: "entries", ID: f.Account, Says: cut(f.Words)}}})
	})
	c.out.Left, c.out.Judged = judged, 0
	return err
}

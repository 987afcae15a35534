package revenue

import (
	"fmt"
	"time"

	"tandem/bss/billing"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// States of a correction.
const (
	Proposed = "proposed"
	Accepted = "accepted" // a person's word; it is done at once, or refused with the reason
	Made     = "made"
	Refused  = "refused" // by a person, or because it could not be made
)

// Corrections that the house can make.
const (
	beginBilling = "beginBilling" // of a product, from the instant the network confirmed it
	endBilling   = "endBilling"   // of a product that has ended, from then: the next bill gives back what was charged since
)

// Proposal is what would put a finding right.
type Proposal struct {
	Action  string    `json:"action"`
	Product string    `json:"product,omitzero"`
	Words   string    `json:"description,omitzero"`
	State   string    `json:"state"`
	By      string    `json:"decidedBy,omitzero"`
	Date    time.Time `json:"decisionDate,omitzero"`
	Reason  string    `json:"reason,omitzero"`
}

// mayFix says that a leak is put right without a person: the control allows it, it is the
// operator's own money, and it began not longer ago than the control's days. What customers
// were charged too much is given back by a person's word only, as is what is older.
func (c *check) mayFix(l *leak) bool {
	if c.control.Correction != Fix || l.correction == nil || l.side != Leakage || c.control.FixDays == nil {
		return false
	}
	return !l.since.Before(c.at.Add(-time.Duration(*c.control.FixDays) * day))
}

// propose is a correction, if the control is to propose any.
func (c *check) propose(action, product, format string, args ...any) *Proposal {
	if c.control.Correction != Propose && c.control.Correction != Fix {
		return nil
	}
	return &Proposal{Action: action, Product: product, Words: fmt.Sprintf(format, args...), State: Proposed}
}

// correct makes the corrections that need no person, each in a transaction of its own.
func (c *check) correct() error {
	for _, id := range c.fixes {
		made := int64(0)
		err := c.db.Write(c.ctx, c.scope, func(tx *store.Tx) error {
			made = 0
			old, err := Findings.Lock(tx, id)
			if err != nil {
				return err
			}
			f, err := Findings.Copy(old)
			if err != nil || f.Correction == nil || f.Correction.State != Proposed || f.State == False {
				return err
			}
			if err := f.correct(tx, c.at); err != nil {
				return err
			}
			made = 1
			return Findings.Save(tx, old, f)
		})
		if err == nil {
			c.out.Corrected += made
			continue
		}
		if err := c.refused(id, err); err != nil {
			return err
		}
	}
	return nil
}

// refused notes why a correction could not be made.
func (c *check) refused(id string, cause error) error {
	f := fault.Of(cause)
	if c.ctx.Err() != nil || f.Kind == fault.Internal {
		return cause
	}
	return c.db.Write(c.ctx, c.scope, func(tx *store.Tx) error {
		_, err := Findings.Edit(tx, id, func(g *Finding) error {
			g.Correction.State, g.Correction.Reason, g.Correction.Date, g.Correction.By = Refused, f.Reason, c.at, tx.Actor()
			return nil
		})
		return err
	})
}

// decideCorrection is a person's word on a proposed correction.
func decideCorrection(tx *store.Tx, old, f *Finding) error {
	was, is := old.Correction, f.Correction
	switch {
	case was == nil && is == nil, was != nil && is != nil && *was == *is:
		return nil
	case was == nil || is == nil || was.Action != is.Action || was.Product != is.Product || was.Words != is.Words:
		return fault.BadInput("notYours", "Of a correction only its state and reason are given: %s or %s", Accepted, Refused)
	case was.State != Proposed && was.State != Refused:
		return fault.Clash("decided", "The correction is %s already", was.State)
	case is.State == Refused:
		f.Correction = &Proposal{Action: was.Action, Product: was.Product, Words: was.Words, State: Refused, Reason: cut(is.Reason), By: tx.Actor(), Date: tx.Now()}
		return nil
	case is.State != Accepted:
		return fault.BadInput("badDecision", "A correction is %s or %s", Accepted, Refused)
	}
	f.Correction = &Proposal{Action: was.Action, Product: was.Product, Words: was.Words, State: Proposed}
	return f.correct(tx, tx.Now())
}

// correct makes the correction of a finding; the next run sees whether that has helped.
func (f *Finding) correct(tx *store.Tx, at time.Time) error {
	p, err := subscription.Get(tx, f.Correction.Product)
	if err != nil {
		return err
	}
	switch f.Correction.Action {
	case beginBilling:
		err = beginToBill(tx, p)
	case endBilling:
		err = endToBill(tx, p)
	default:
		err = fault.BadInput("unknownCorrection", "There is no correction %q", f.Correction.Action)
	}
	if err != nil {
		return err
	}
	f.Correction.State, f.Correction.By, f.Correction.Date = Made, tx.Actor(), at
	return access.Audit(tx, "revenue.correct", "finding:"+f.ID, nil, map[string]string{"action": f.Correction.Action, "product": p.ID})
}

// beginToBill tells billing again what the network has confirmed.
func beginToBill(tx *store.Tx, p *subscription.Product) error {
	if !p.Live() || len(p.RealizingService) == 0 {
		return fault.Clash("notLive", "Product %q does not run: nothing is owed for it", p.ID)
	}
	before, err := billing.ItemsOf(tx, p.ID)
	if err != nil {
		return err
	}
	account := ""
	if p.BillingAccount != nil {
		account = p.BillingAccount.ID
	}
	if err := billing.Begin(tx, fact.ProductActive{Product: p.ID, Offering: p.Offering(), Customer: p.Customer(), BillingAccount: account,
		Service: p.RealizingService[len(p.RealizingService)-1].ID, At: p.StartDate}); err != nil {
		return err
	}
	if err := tx.Flush(); err != nil {
		return err
	}
	after, err := billing.ItemsOf(tx, p.ID)
	if err == nil && len(after) == len(before) {
		err = fault.Clash("heardAlready", "Billing has heard of product %q before and bills no more of it: look at its items and its offering", p.ID)
	}
	return err
}

// endToBill tells billing again that a product has ended.
func endToBill(tx *store.Tx, p *subscription.Product) error {
	if p.Live() || p.TerminationDate.IsZero() {
		return fault.Clash("notEnded", "Product %q has not ended", p.ID)
	}
	service := ""
	if n := len(p.RealizingService); n > 0 {
		service = p.RealizingService[n-1].ID
	}
	if err := billing.End(tx, fact.ProductTerminated{Product: p.ID, Customer: p.Customer(), Service: service, At: p.TerminationDate}); err != nil {
		return err
	}
	if err := tx.Flush(); err != nil {
		return err
	}
	items, err := billing.ItemsOf(tx, p.ID)
	if err != nil {
		return err
	}
	for _, i := range items {
		if i.Open() {
			return fault.Clash("heardAlready", "Billing has heard of the end of product %q before, and %s is billed on: look at its items", p.ID, i.Name)
		}
	}
	return nil
}

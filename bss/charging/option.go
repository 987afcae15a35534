package charging

import (
	"cmp"
	"errors"
	"slices"

	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// ReliesOn makes a product an option of a line (TMF637 productRelationship reliesOn):
// a pack of data, a booster. What its offering gives goes to the account and the
// subscriber of the line, which keeps its own tariff; sessions that had been told
// that nothing is left are asked to ask again.
const ReliesOn = subscription.ReliesOn

const (
	cmdOption    = "option"    // an option is paid, and gives; the product of the command is the line
	cmdOptionEnd = "optionEnd" // what is left of it is taken back
)

// openOption hears that a product runs that is an option. is says whether it is one:
// what relies on nothing that is charged for is not. on is nil for one that gives
// nothing here, and is only to be paid.
func (r *Room) openOption(tx *store.Tx, p *subscription.Product, offering string, on *plan) (is bool, err error) {
	if _, _, err := optionOf(tx, p.ID); err != store.ErrNotFound {
		return err == nil, err // heard before
	}
	for _, rel := range p.ProductRelationship {
		if rel.RelationshipType != ReliesOn || rel.Product == nil {
			continue
		}
		l, err := lineOf(tx, rel.Product.ID)
		if err == store.ErrNotFound {
			continue
		}
		if err != nil {
			return false, err
		}
		if on != nil && on.tariff { // it was ordered before it had usage prices, or past the order
			return true, tellRefused(tx, p.ID, l.Product, tariffAsOption(cmp.Or(p.Name, offering)).Error())
		}
		acc, err := oneAccount(tx, "number = $2", l.Account)
		if err == nil && on != nil && acc.Currency != on.Currency {
			err = fault.Clash("charging.option", "Product %q is priced in %s; the account of %q is in %s", p.ID, on.Currency, l.Product, acc.Currency)
		}
		if err != nil {
			return false, err
		}
		if _, err := tx.Exec("INSERT INTO charging_option (tenant, product, line, account, offering) VALUES ($1, $2, $3, $4, $5)",
			p.ID, l.Product, l.Account, offering); err != nil {
			return false, err
		}
		o := order{Ref: p.ID}
		if on != nil {
			o.Plan = on.Number
		}
		if paid := p.PaidFromBalance; paid != nil {
			o.Amount = paid.Amount.Nano
		}
		return true, r.order(tx, l.Account, cmdOption, l.Product, o)
	}
	return false, nil
}

// optionOf is the line and the account of an option.
func optionOf(tx *store.Tx, product string) (line string, account int64, err error) {
	err = tx.Row("SELECT line, account FROM charging_option WHERE tenant = $1 AND product = $2", product).Scan(&line, &account)
	return line, account, err
}

// endOption hears that an option has ended; what is left of it is gone. Barring or
// resuming one changes nothing: that is the line's.
func (r *Room) endOption(tx *store.Tx, product string, s core.State) error {
	line, account, err := optionOf(tx, product)
	if err == store.ErrNotFound || err == nil && s != core.Closed {
		return nil // charged nowhere
	}
	if err != nil {
		return err
	}
	rows, err := tx.Query("SELECT DISTINCT bucket, 0, 0 FROM charging_entry WHERE tenant = $1 AND account = $2 AND ref = $3 AND amount > 0 ORDER BY bucket", account, product)
	takes, err := store.Collect(rows, err, func(r store.Rows) (t take, err error) {
		err = r.Scan(&t.Bucket, &t.Amount, &t.Why)
		return t, err
	})
	if err != nil {
		return err
	}
	return r.order(tx, account, cmdOptionEnd, line, order{Ref: product, Takes: takes})
}

// giveOption takes what the option costs from the balance, and gives the line what it
// gives: both or nothing, once.
func (r *Room) giveOption(o *order, acc account, l line) (func(*core.Hand) error, error) {
	p := r.planByNumber(o.Plan)
	if p == nil && o.Plan != 0 {
		return nil, errors.New("its plan is not on the shelf")
	}
	if l.Subscriber == 0 {
		return nil, errors.New("its line is not confirmed yet")
	}
	return func(h *core.Hand) error {
		if !has(h, uint16(l.Subscriber)) {
			return fault.Clash("charging.ended", "The line of the option has ended")
		}
		if err := r.pay(h, o, acc.Currency); err != nil || p == nil {
			return err
		}
		return give(h, p, uint16(l.Subscriber), false, o.Ref, core.SourceOf(o.Ref))
	}, nil
}

// takeOption takes back what is left of the buckets that came with an option. Those
// that do not say so themselves were found by their entries.
func takeOption(o *order) func(*core.Hand) error {
	return func(h *core.Hand) error {
		for _, t := range o.Takes {
			if err := h.End(t.Bucket); err != nil {
				return err
			}
		}
		return h.EndOf(core.SourceOf(o.Ref))
	}
}

// withdraw takes back what a plan has given a line that leaves it, and what was rolled
// over of it: what all lines share only if no other line has the offering. Options
// stay with the line.
func (r *Room) withdraw(h *core.Hand, was *plan, sub uint16) error {
	if was == nil {
		return h.Withdraw(sub)
	}
	var gone []uint32
	last := !r.mates(h, was, sub)
	for i := range h.Account().Buckets {
		b := &h.Account().Buckets[i]
		if (b.Owner == sub || b.Owner == 0 && last) && r.brought(was, b) {
			gone = append(gone, b.ID)
		}
	}
	for _, id := range gone {
		if err := h.End(id); err != nil {
			return err
		}
	}
	return nil
}

// mates says that another line of the account has the offering of a plan.
func (r *Room) mates(h *core.Hand, p *plan, sub uint16) bool {
	return slices.ContainsFunc(h.Account().Subscribers, func(s core.Subscriber) bool {
		other := r.planByNumber(int64(s.Plan))
		return s.ID != sub && other != nil && other.Offering == p.Offering
	})
}

// brought says that a bucket came with a plan, or with another version of its offering:
// which the first line had brings what all share.
func (r *Room) brought(p *plan, b *core.Bucket) bool {
	if b.Source != 0 {
		return false // an option
	}
	if b.Owner != 0 {
		return r.gives(p, b)
	}
	return slices.ContainsFunc(r.versions(p.Offering), func(v *plan) bool { return r.gives(v, b) })
}

func (r *Room) gives(p *plan, b *core.Bucket) bool {
	return slices.ContainsFunc(p.Gives, func(g given) bool {
		d := r.book.Definition(uint32(g.Definition))
		return g.Shared == (b.Owner == 0) && (uint32(g.Definition) == b.Def || d != nil && d.Rollover.Def == b.Def && b.Def != 0)
	})
}

// OfLine are the buckets that a product can draw on: those of its account that have
// not ended and are its own or for all.
func OfLine(tx *store.Tx, product string) ([]*Bucket, error) {
	r, err := roomOf(tx)
	if err != nil {
		return nil, err
	}
	l, err := lineOf(tx, product)
	if err == store.ErrNotFound {
		return nil, fault.Missing("line", product)
	}
	if err != nil {
		return nil, err
	}
	a, err := oneAccount(tx, "number = $2", l.Account)
	if err != nil {
		return nil, err
	}
	all, err := r.bucketsOf(tx, a)
	out := all[:0]
	for _, b := range all {
		if b.row.owner == 0 || b.row.owner == l.Subscriber {
			out = append(out, b)
		}
	}
	return out, err
}

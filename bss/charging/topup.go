package charging

import (
	"errors"
	"math"
	"math/bits"

	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// bonus is what a top-up of an amount or more brings on top. An offering says so in
// its Attribute: {"bonus": [{"from": "20", "percent": 10}, {"from": "50", "amount": "10", "days": 30}]}
type bonus struct {
	From    rating.Decimal `json:"from"`
	Percent int64          `json:"percent,omitzero"` // of the top-up
	Amount  rating.Decimal `json:"amount,omitzero"`  // instead
	Days    int            `json:"days,omitzero"`    // how long it can be used; 0: as the balance
}

// bonusOf is a bonus as a plan has it.
type bonusOf struct {
	From       int64 `json:"from"`
	Percent    int64 `json:"percent,omitzero"`
	Amount     int64 `json:"amount,omitzero"`
	Days       int   `json:"days,omitzero"`
	Definition int64 `json:"definition,omitzero"` // of the bucket it goes to; 0: the balance
}

// amounts reads what a bonus says, and refuses what makes no sense.
func (b *bonus) amounts(currency string) (o bonusOf, err error) {
	o = bonusOf{Percent: b.Percent, Days: b.Days}
	if o.From, err = nano(string(b.From), currency); err != nil {
		return o, err
	}
	if o.Amount, err = nano(string(b.Amount), currency); err != nil {
		return o, err
	}
	if b.Percent < 0 || b.Percent > 1000 || b.Days < 0 || o.Amount < 0 || (o.Amount > 0) == (b.Percent > 0) {
		return o, fault.BadInput("invalidCharging", "A bonus has a percentage or an amount, and days of zero or more")
	}
	return o, nil
}

func (b *bonus) check(currency string) error {
	_, err := b.amounts(currency)
	return err
}

// bonuses puts the bonuses of an offering on the shelf.
func (t *terms) bonuses(tx *store.Tx, currency, zone string) (out []bonusOf, err error) {
	for i := range t.Bonus {
		o, err := t.Bonus[i].amounts(currency)
		if err != nil {
			return nil, err
		}
		if o.Days > 0 {
			d := core.Definition{Name: "bonus", Unit: core.Money, Priority: 950, Zone: zone, Notices: []uint8{80, 100}}
			if o.Definition, err = shelve(tx, "definition", "bonus "+currency+"#"+digest(d), d); err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// of is what a bonus is for a top-up.
func (b *bonusOf) of(amount int64) int64 {
	if b.Amount > 0 {
		return b.Amount
	}
	hi, lo := bits.Mul64(uint64(amount), uint64(b.Percent))
	if hi >= 100 {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, 100)
	return int64(min(q, math.MaxInt64))
}

// bonusFor is the best bonus of the plan of an account's first line.
func (r *Room) bonusFor(a *core.Account, amount int64) (best *bonusOf) {
	if len(a.Subscribers) == 0 {
		return nil
	}
	p := r.planByNumber(int64(a.Subscribers[0].Plan))
	if p == nil {
		return nil
	}
	for i := range p.Bonus {
		if b := &p.Bonus[i]; amount >= b.From && (best == nil || b.of(amount) > best.of(amount)) {
			best = b
		}
	}
	return best
}

// topUp adds an amount and the bonus that comes with it.
func (r *Room) topUp(h *core.Hand, o *order) error {
	var extra *bonusOf
	if a := h.Account(); a != nil {
		for i := range a.Buckets {
			b := &a.Buckets[i]
			if d := r.book.Definition(b.Def); b.ID == o.Bucket && d != nil && d.Main {
				if extra = r.bonusFor(a, o.Amount); extra != nil && (b.Value > math.MaxInt64-o.Amount || max(0, b.Value)+o.Amount > math.MaxInt64-extra.of(o.Amount)) {
					return fault.BadInput("charging.tooMuch", "The bucket cannot hold that much")
				}
			}
		}
	}
	if extra != nil && extra.Definition != 0 && r.book.Definition(uint32(extra.Definition)) == nil {
		return errors.New("charging: the bonus of this plan is not on the shelf of this node")
	}
	if err := h.Credit(o.Bucket, o.Amount, o.Why, o.Ref, o.To); err != nil || extra == nil {
		return err
	}
	if extra.Definition == 0 {
		return h.Credit(o.Bucket, extra.of(o.Amount), core.Bonus, o.Ref, 0)
	}
	_, err := h.Give(core.Bucket{Def: uint32(extra.Definition), To: h.Now() + int64(extra.Days)*86400}, extra.of(o.Amount), core.Bonus, o.Ref)
	return err
}

// takeBack takes back what an action gave, or gives back what it took, in the
// buckets that are still there.
func takeBack(h *core.Hand, o *order) error {
	a := h.Account()
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	there := map[uint32]bool{}
	for i := range a.Buckets {
		there[a.Buckets[i].ID] = true
	}
	done := false
	for _, t := range o.Takes {
		if !there[t.Bucket] {
			continue
		}
		if err := h.Reverse(t.Bucket, t.Amount, t.Why, o.Ref); err != nil {
			return err
		}
		done = true
	}
	if !done {
		return fault.Clash("charging.bucket", "The bucket has ended")
	}
	return nil
}

package recognition

import (
	"fmt"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Obligation is a good or service that is distinct (IFRS 15.22-30). Amounts are minor units
// without tax.
type Obligation struct {
	ID           string
	Name         string
	SellingPrice int64        // on its own, for all of Over (stand-alone selling price, 15.77)
	Over         civil.Period // rendered evenly in these days; without an end: delivered at once, on From
	Revenue      string       // general-ledger account
}

// atOnce says that it is satisfied at a point in time (15.38).
func (o *Obligation) atOnce() bool { return o.Over.Open() }

// Slice is an amount of an obligation that is recognised: on the first day of Over, or evenly
// over it.
type Slice struct {
	Obligation string
	Amount     int64
	Over       civil.Period
}

// before is what of the slice is recognised before a day.
func (s *Slice) before(d civil.Date) (int64, error) {
	switch {
	case !s.Over.From.Before(d):
		return 0, nil
	case s.Over.Open(), !d.Before(s.Over.To):
		return s.Amount, nil
	}
	whole := civil.Days360(s.Over.From, s.Over.To)
	if whole <= 0 { // from the 30th to the 31st: no day by this count
		return s.Amount, nil
	}
	return money.MulDiv(s.Amount, civil.Days360(s.Over.From, d), whole, money.HalfUp)
}

// Schedule is how the price of a contract is recognised.
type Schedule []Slice

// Price is what the slices come to: the transaction price.
func (s Schedule) Price() (sum int64) {
	for i := range s {
		sum += s[i].Amount
	}
	return sum
}

// Before is what is recognised before a day, by obligation.
func (s Schedule) Before(d civil.Date) (map[string]int64, error) {
	out := map[string]int64{}
	for i := range s {
		n, err := s[i].before(d)
		if err != nil {
			return nil, err
		}
		out[s[i].Obligation] += n
	}
	return out, nil
}

// End is the day after which nothing more is recognised.
func (s Schedule) End() (end civil.Date) {
	for i := range s {
		to := s[i].Over.To
		if s[i].Over.Open() {
			to = s[i].Over.From.AddDays(1)
		}
		if to.After(end) {
			end = to
		}
	}
	return end
}

// Plan allocates a price to obligations by their selling prices. Errors: noObligations, noSellingPrice.
func Plan(price money.Amount, all []Obligation) (Schedule, error) {
	if len(all) == 0 {
		return nil, fault.BadInput("noObligations", "A contract has at least one obligation")
	}
	weights := make([]int64, len(all))
	var sum int64
	for i := range all {
		if all[i].SellingPrice < 0 || all[i].SellingPrice > maxAmount {
			return nil, fault.BadInput("noSellingPrice", "The selling price of %q is not one", all[i].Name)
		}
		weights[i] = all[i].SellingPrice
		sum += weights[i]
	}
	if sum <= 0 {
		return nil, fault.BadInput("noSellingPrice", "Without selling prices a price cannot be allocated: give at least one obligation one")
	}
	parts, err := price.Allocate(weights...)
	if err != nil {
		return nil, err
	}
	out := make(Schedule, len(all))
	for i := range all {
		out[i] = Slice{Obligation: all[i].ID, Amount: parts[i].Minor, Over: all[i].Over}
	}
	return out, nil
}

// maxAmount bounds amounts, so that sums of some hundred of them fit: 10^15 minor units.
const maxAmount = 1_000_000_000_000_000

// cut ends a schedule before a day: what is recognised stays, at the days it was.
func (s Schedule) cut(d civil.Date) (kept Schedule, err error) {
	for _, x := range s {
		if !x.Over.From.Before(d) {
			continue
		}
		if !x.Over.Open() && d.Before(x.Over.To) {
			if x.Amount, err = x.before(d); err != nil {
				return nil, err
			}
			x.Over.To = d
		}
		kept = append(kept, x)
	}
	return kept, nil
}

// rest is what of an obligation is not yet rendered on a day, with the share of its
// selling price; ok is false if nothing is.
func (o Obligation) rest(d civil.Date) (left Obligation, ok bool, err error) {
	switch {
	case o.atOnce():
		return o, !o.Over.From.Before(d), nil
	case !d.Before(o.Over.To):
		return o, false, nil
	case !o.Over.From.Before(d):
		return o, true, nil
	}
	done := Slice{Amount: o.SellingPrice, Over: o.Over}
	used, err := done.before(d)
	o.SellingPrice -= used
	o.Over.From = d
	return o, true, err
}

// Prospective is the schedule after a modification by which remaining goods or services are
// distinct from those before (IFRS 15.21a): what was recognised before the day stays, the
// rest of the new price goes to what is left. all are the obligations as they are from then
// on, also those that were satisfied.
func (s Schedule) Prospective(on civil.Date, price money.Amount, all []Obligation) (Schedule, error) {
	kept, err := s.cut(on)
	if err != nil {
		return nil, err
	}
	var left []Obligation
	for _, o := range all {
		o, ok, err := o.rest(on)
		if err != nil {
			return nil, err
		}
		if ok {
			left = append(left, o)
		}
	}
	rest := money.Amount{Minor: price.Minor - kept.Price(), Currency: price.Currency}
	if len(left) == 0 {
		if rest.Minor == 0 {
			return kept, nil
		}
		return nil, fault.BadInput("nothingLeft", "Nothing is left to render on %s: a change of the price alone is a catch-up", on)
	}
	next, err := Plan(rest, left)
	return append(kept, next...), err
}

// CatchUp is the schedule after a modification by which what is left is part of one
// obligation with what was rendered (IFRS 15.21b), or after a change of the price alone
// (15.87-88): the new price is allocated as if it had always been so, and the difference of
// what would have been recognised is, on that day.
func (s Schedule) CatchUp(on civil.Date, price money.Amount, all []Obligation) (Schedule, error) {
	kept, err := s.cut(on)
	if err != nil {
		return nil, err
	}
	was, err := kept.Before(on)
	if err != nil {
		return nil, err
	}
	anew, err := Plan(price, all)
	if err != nil {
		return nil, err
	}
	for _, x := range anew {
		done, err := x.before(on)
		if err != nil {
			return nil, err
		}
		if more := done - was[x.Obligation]; more != 0 {
			kept = append(kept, Slice{Obligation: x.Obligation, Amount: more, Over: civil.Period{From: on}})
		}
		delete(was, x.Obligation)
		if rest := x.Amount - done; rest != 0 {
			over := x.Over
			if !over.Open() && over.From.Before(on) {
				over.From = on
			}
			kept = append(kept, Slice{Obligation: x.Obligation, Amount: rest, Over: over})
		}
	}
	if len(was) > 0 {
		return nil, fmt.Errorf("recognition: an obligation that was recognised is not part of the contract any more: %v", was)
	}
	return kept, nil
}

// Settled is the schedule of a contract that is over, whose price was what was billed: the
// difference is recognised on the day, for the obligation named.
func (s Schedule) Settled(on civil.Date, billed int64, obligation string) Schedule {
	more := billed - s.Price()
	if more == 0 {
		return s
	}
	return append(append(Schedule(nil), s...), Slice{Obligation: obligation, Amount: more, Over: civil.Period{From: on}})
}

package compute

import "tandem/kit/fault"

// given names a service period of which something was credited.
type given struct {
	item  string
	index int
}

// takeCredits sorts what was credited by service period.
func (e *engine) takeCredits() error {
	for _, c := range e.in.Credited {
		if size(c.Corrected) > maxMinor || size(c.Waived) > maxMinor || !c.TaxRate.sane() {
			return fault.BadInput("creditedInvalid", "What was credited of item %s, period %d, is not believable: %d and %d minor units", c.Item, c.Index, c.Corrected, c.Waived)
		}
		if e.given == nil {
			e.given = map[given][]Credited{}
		}
		k := given{c.Item, c.Index}
		e.given[k] = append(e.given[k], c)
	}
	return nil
}

// difference is what is charged (negative: given back) where so much ought to be billed of a service
// period and so much was. What a credit note has given back since the bill was wrong is part
// of what a correction gives back; and no more is given back, all together, than was charged.
// of is the tax of the line, nil: all of the period.
func (e *engine) difference(item string, index int, of *tax, wanted, before int64) int64 {
	diff := wanted - before
	if e.given == nil {
		return diff
	}
	var corrected, waived int64
	for _, c := range e.given[given{item, index}] {
		own := tax{category: c.TaxCategory, percent: c.TaxRate.lowest(), included: c.TaxIncluded}
		if of == nil || own.same(*of) {
			corrected, waived = corrected+c.Corrected, waived+c.Waived
		}
	}
	if before < 0 { // what lowers the bill, such as a discount, is charged again when it is credited
		return -afterCredits(-diff, -before, -corrected, -waived)
	}
	return afterCredits(diff, before, corrected, waived)
}

// afterCredits is what is left of a difference to what was billed, which is not negative.
func afterCredits(diff, before, corrected, waived int64) int64 {
	corrected = min(max(corrected, 0), before)
	waived = min(max(waived, 0), before-corrected)
	if diff >= 0 || corrected+waived == 0 {
		return diff
	}
	back := -diff
	back -= min(back, corrected)
	return -min(back, before-corrected-waived)
}

// charge sets the amounts of a line.
func (l *Line) charge(wanted, before, due int64) {
	l.Wanted, l.Before, l.Amount = wanted, before, due
	l.Credited = due - (wanted - before)
}

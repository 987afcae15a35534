package sepa

import (
	"strconv"

	"tandem/kit/money"
)

// checks are the sums that a statement announces.
type checks struct {
	opening, closing *Balance // OPBD or PRCD, CLBD
	interim          []Balance
	summary          *node
}

// balance keeps the booked balances: available and forward ones say when money can be
// used, not what was booked.
func (c *checks) balance(r *reader, n *node) error {
	code := n.str("Tp", "CdOrPrtry", "Cd")
	if code != "OPBD" && code != "PRCD" && code != "CLBD" && code != "ITBD" {
		return nil
	}
	what := "The balance " + code
	sum, err := r.sum(n.at("Amt"), what)
	if err != nil {
		return err
	}
	if sum, err = r.signed(sum, n.str("CdtDbtInd"), what); err != nil {
		return err
	}
	day, err := r.day(n.at("Dt"), what)
	if err != nil {
		return err
	}
	b := Balance{day, sum}
	switch {
	case code == "ITBD":
		c.interim = append(c.interim, b)
	case code == "CLBD":
		c.closing = &b
	case code == "OPBD" || c.opening == nil: // PRCD is what OPBD begins with
		c.opening = &b
	}
	return nil
}

// check compares everything announced with what was listed.
func (c *checks) check(r *reader, s *Statement, notice bool) error {
	if err := c.currency(r, s); err != nil {
		return err
	}
	if err := c.summed(r, s); err != nil {
		return err
	}
	if notice {
		return nil
	}
	// A page of a longer statement begins or ends with an interim balance.
	if c.opening == nil && len(c.interim) > 0 {
		c.opening = &c.interim[0]
	}
	if c.closing == nil && len(c.interim) > 0 {
		c.closing = &c.interim[len(c.interim)-1]
	}
	if c.opening == nil || c.closing == nil {
		return r.bad("balanceMissing", "the statement %s has no opening or no closing balance", s.ID)
	}
	s.Opening, s.Closing = c.opening, c.closing
	at := s.Opening.Sum
	for _, e := range s.Entries {
		var err error
		if e.Booked {
			if at, err = at.Add(e.Amount); err != nil {
				return r.bad("balance", "the statement %s: %v", s.ID, err)
			}
		}
	}
	if at != s.Closing.Sum {
		return r.bad("balance", "the statement %s does not add up: opening balance %s and its booked lines make %s, the closing balance is %s", s.ID, s.Opening.Sum, at, s.Closing.Sum)
	}
	return nil
}

// currency has everything on an account in its one currency.
func (c *checks) currency(r *reader, s *Statement) error {
	sums := []money.Currency{}
	for _, b := range []*Balance{c.opening, c.closing} {
		if b != nil {
			sums = append(sums, b.Sum.Currency)
		}
	}
	for _, b := range c.interim {
		sums = append(sums, b.Sum.Currency)
	}
	for _, e := range s.Entries {
		sums = append(sums, e.Amount.Currency)
	}
	for _, ccy := range sums {
		if s.Currency == (money.Currency{}) {
			s.Currency = ccy
		}
		if ccy != s.Currency {
			return r.bad("currency", "the statement %s of an account in %s has a sum in %s", s.ID, s.Currency, ccy)
		}
	}
	return nil
}

// summed checks the totals of TxsSummry. Banks count what is announced and not yet
// booked or do not: either is taken.
func (c *checks) summed(r *reader, s *Statement) error {
	for _, part := range []struct {
		name string
		side int // of the amounts: +1 credits, -1 debits, 0 both
	}{{"TtlNtries", 0}, {"TtlCdtNtries", 1}, {"TtlDbtNtries", -1}} {
		n := c.summary.at(part.name)
		if n == nil {
			continue
		}
		count, sum := n.str("NbOfNtries"), n.str("Sum")
		booked, err := total(s.Entries, part.side, false)
		if err != nil {
			return r.bad("summary", "the statement %s: %v", s.ID, err)
		}
		listed, err := total(s.Entries, part.side, true)
		if err != nil {
			return r.bad("summary", "the statement %s: %v", s.ID, err)
		}
		if !booked.like(count, sum, s.Currency) && !listed.like(count, sum, s.Currency) {
			return r.bad("summary", "the statement %s announces %s lines with a sum of %s (%s); it lists %d with %s", s.ID, or(count, "-"), or(sum, "-"), part.name, listed.count, listed.sum.Decimal())
		}
	}
	return nil
}

// lines is how many lines there are, with the sum of their absolute amounts.
type lines struct {
	count int
	sum   money.Amount
}

func total(entries []Entry, side int, announced bool) (lines, error) {
	var t lines
	for _, e := range entries {
		if !e.Booked && !announced || side != 0 && e.Amount.Sign() == -side {
			continue
		}
		a := e.Amount
		var err error
		if a.Sign() < 0 {
			if a, err = a.Neg(); err != nil {
				return t, err
			}
		}
		if t.count++; t.count == 1 {
			t.sum = a
		} else if t.sum, err = t.sum.Add(a); err != nil {
			return t, err
		}
	}
	return t, nil
}

// like tells whether announced texts, where present, say the same.
func (t lines) like(count, sum string, c money.Currency) bool {
	if count != "" {
		if n, err := strconv.Atoi(count); err != nil || n != t.count {
			return false
		}
	}
	if sum == "" || c == (money.Currency{}) {
		return true
	}
	a, err := money.ParseAmount(sum, c)
	return err == nil && a.Minor == t.sum.Minor
}

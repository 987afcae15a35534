package revenue

import (
	"fmt"
	"math/big"

	"tandem/bss/billing"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Outlier is a person whose credits are far above those of the others (R22).
const Outlier = "outlier"

const (
	leastOthers = 5  // persons to compare with
	sigmas      = 3  // how far above their mean is far
	creditDays  = 30 // whose credits are added up
)

// byAgent is R22: the credit notes that each person asked for in the last days, against
// those of all others. What is above their mean by more than three standard deviations is
// to be looked at.
func byAgent(c *check) error {
	type who struct {
		by       string
		currency money.Currency
	}
	totals, all := map[who]int64{}, map[money.Currency]*spread{}
	from := c.at.AddDate(0, 0, -creditDays)
	page := func(tx *store.Tx, after string, limit int) ([]billing.CreditBy, error) {
		return billing.CreditsAfter(tx, from, after, limit)
	}
	left := side[billing.CreditBy]{page, func(x billing.CreditBy) string { return x.Request }}
	err := compare(c, left, nothing(), func(tx *store.Tx, page []pair[billing.CreditBy, struct{}]) error {
		for _, p := range page {
			x := p.left
			if x.Gross.Currency == (money.Currency{}) {
				continue
			}
			totals[who{x.By, x.Gross.Currency}] += max(x.Gross.Minor, -x.Gross.Minor)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for w, sum := range totals {
		if all[w.currency] == nil {
			all[w.currency] = &spread{}
		}
		all[w.currency].add(sum, 1)
	}
	for w, sum := range totals {
		others := all[w.currency]
		others.add(sum, -1)
		over, ok := others.below(sum)
		n := others.n
		others.add(sum, 1)
		if !ok {
			continue
		}
		r, err := money.Amount{Minor: over, Currency: w.currency}.Rate()
		if err != nil {
			return err
		}
		given := money.Amount{Minor: sum, Currency: w.currency}
		if err := c.tell(leak{key: w.by + "/" + w.currency.Code(), class: Outlier, side: Risk, amount: &r, lasts: true,
			words: fmt.Sprintf("%s credited %s in %d days: %s more than %d standard deviations above the mean of %d others", w.by, given, creditDays, inMinor(r), sigmas, n),
			about: refs(ref("User", w.by)), evidence: []Evidence{{Set: "credits", ID: w.by, Says: given.String()}}}); err != nil {
			return err
		}
	}
	return nil
}

// spread is what amounts add up to, and their squares.
type spread struct {
	n            int64
	sum, squares big.Int
}

// add adds an amount n times, or takes it away.
func (s *spread) add(x, n int64) {
	times, b := big.NewInt(n), big.NewInt(x)
	s.n += n
	s.sum.Add(&s.sum, new(big.Int).Mul(b, times))
	s.squares.Add(&s.squares, b.Mul(b, b).Mul(b, times))
}

// below is by how much an amount is more than three standard deviations above the mean of
// these, rounded up to a whole unit, in integers throughout:
//
//	x > S/n + 3 sqrt(n Q - S^2)/n, with S the sum and Q the sum of squares of n others
func (s *spread) below(x int64) (over int64, ok bool) {
	if s.n < leastOthers {
		return 0, false
	}
	n := big.NewInt(s.n)
	limit := new(big.Int).Mul(n, &s.squares)
	limit.Sub(limit, new(big.Int).Mul(&s.sum, &s.sum))
	limit.Mul(limit, big.NewInt(sigmas*sigmas)).Sqrt(limit) // rounded down: less than a unit of n
	limit.Add(limit, &s.sum).Quo(limit, n)
	d := new(big.Int).Sub(big.NewInt(x), limit)
	if d.Sign() <= 0 || !d.IsInt64() {
		return 0, false
	}
	return d.Int64(), true
}

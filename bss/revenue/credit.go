package revenue

import (
	"fmt"
	"math/big"
	"slices"

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
	totals := map[who]int64{}
	from := c.at.AddDate(0, 0, -creditDays)
	left := side[billing.CreditBy]{billing.CreditsAfter, func(x billing.CreditBy) string { return x.Request }}
	err := compare(c, left, nothing(), func(tx *store.Tx, page []pair[billing.CreditBy, struct{}]) error {
		for _, p := range page {
			x := p.left
			if x.At.Before(from) || x.Gross.Currency == (money.Currency{}) {
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
		var others []int64
		for x, n := range totals {
			if x != w && x.currency == w.currency {
				others = append(others, n)
			}
		}
		slices.Sort(others)
		over, ok := above(sum, others)
		if !ok {
			continue
		}
		r, err := money.Amount{Minor: over, Currency: w.currency}.Rate()
		if err != nil {
			return err
		}
		given := money.Amount{Minor: sum, Currency: w.currency}
		if err := c.tell(leak{key: w.by + "/" + w.currency.Code(), class: Outlier, side: Risk, amount: &r,
			words: fmt.Sprintf("%s credited %s in %d days: %s more than %d standard deviations above the mean of %d others", w.by, given, creditDays, inMinor(r), sigmas, len(others)),
			about: refs(ref("User", w.by)), evidence: []Evidence{{Set: "credits", ID: w.by, Says: given.String()}}}); err != nil {
			return err
		}
	}
	return nil
}

// above is by how much an amount is more than three standard deviations above the mean of
// others, rounded up to a whole unit, in integers throughout:
//
//	x > S/n + 3 sqrt(n Q - S^2)/n, with S the sum and Q the sum of squares of n others
func above(x int64, others []int64) (over int64, ok bool) {
	n := big.NewInt(int64(len(others)))
	if len(others) < leastOthers {
		return 0, false
	}
	sum, squares := new(big.Int), new(big.Int)
	for _, o := range others {
		b := big.NewInt(o)
		sum.Add(sum, b)
		squares.Add(squares, new(big.Int).Mul(b, b))
	}
	spread := new(big.Int).Mul(n, squares)
	spread.Sub(spread, new(big.Int).Mul(sum, sum))
	spread.Mul(spread, big.NewInt(sigmas*sigmas)).Sqrt(spread) // rounded down: less than a unit of n
	limit := spread.Add(spread, sum)
	limit.Quo(limit, n)
	d := new(big.Int).Sub(big.NewInt(x), limit)
	if d.Sign() <= 0 || !d.IsInt64() {
		return 0, false
	}
	return d.Int64(), true
}

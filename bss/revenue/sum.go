package revenue

import (
	"slices"
	"time"

	"tandem/kit/money"
	"tandem/kit/tmf"
)

// sums adds money up by currency.
type sums map[money.Currency]*money.Tally

func (s sums) add(m *tmf.Money) error {
	if m == nil || m.Currency == (money.Currency{}) {
		return nil
	}
	t := s[m.Currency]
	if t == nil {
		fresh := money.NewTally(m.Currency)
		t, s[m.Currency] = &fresh, &fresh
	}
	return t.Add(*m)
}

// list is the sums by currency, in the order of their codes, without those of zero.
func (s sums) list() (out []tmf.Money, err error) {
	for _, t := range s {
		r, err := t.Rate()
		if err != nil {
			return nil, err
		}
		if r.Sign() != 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b tmf.Money) int {
		switch {
		case a.Currency.Code() < b.Currency.Code():
			return -1
		case a.Currency.Code() > b.Currency.Code():
			return 1
		}
		return 0
	})
	return out, nil
}

const day = 24 * time.Hour

// wholeDays are the days from one instant to another that are over, never less than none.
func wholeDays(from, to time.Time) int64 {
	return max(0, int64(to.Sub(from)/day))
}

// forDays is what an amount of a month comes to in some days: a year has twelve months
// and 365 days.
func forDays(month tmf.Money, days int64) (tmf.Money, error) {
	return month.MulRat(12*days, 365, money.HalfEven)
}

// minor is an amount of minor units as it is shown.
func minor(n int64, code string) (*tmf.Money, error) {
	c, err := money.ParseCurrency(code)
	if err != nil {
		return nil, err
	}
	r, err := money.Amount{Minor: n, Currency: c}.Rate()
	return &r, err
}

package money

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"
)

// Allocate splits a by weights with the largest-remainder method: every part is its
// exact share rounded down or up, and the parts sum to a. On equal remainders the
// earlier part gets the minor unit, so the result is the same every time. Weights
// are zero or positive and not all zero (ErrShare); a zero weight gets nothing. A
// negative sum is split like the positive one: a credit mirrors its debit.
func (a Amount) Allocate(weights ...int64) ([]Amount, error) {
	if err := known(a.Currency); err != nil {
		return nil, err
	}
	parts, err := allocate(a.Minor, weights)
	if err != nil {
		return nil, err
	}
	out := make([]Amount, len(parts))
	for i, n := range parts {
		out[i] = Amount{n, a.Currency}
	}
	return out, nil
}

// Slice is the part of a that covers [from, to) of the whole [0, of), for example
// days 10 to 20 of 31. It is the difference of two rounded running totals, so the
// slices of any cutting of the whole sum to a, even when the later cuts are not yet
// known (a plan changed in mid-month, C4 and C5). Errors: ErrShare, ErrRounding.
func (a Amount) Slice(from, to, of int64, r Rounding) (Amount, error) {
	n, err := slice(a.Minor, from, to, of, r)
	return a.with(n, err)
}

// Allocate splits a rated sum at 10^-9, with the rules of Amount.Allocate.
func (a Rate) Allocate(weights ...int64) ([]Rate, error) {
	if err := known(a.Currency); err != nil {
		return nil, err
	}
	parts, err := allocate(a.Nano, weights)
	if err != nil {
		return nil, err
	}
	out := make([]Rate, len(parts))
	for i, n := range parts {
		out[i] = Rate{n, a.Currency}
	}
	return out, nil
}

// Slice cuts a rated sum at 10^-9, with the rules of Amount.Slice.
func (a Rate) Slice(from, to, of int64, r Rounding) (Rate, error) {
	n, err := slice(a.Nano, from, to, of, r)
	return a.with(n, err)
}

// allocate is the largest-remainder method on magnitudes.
func allocate(total int64, weights []int64) ([]int64, error) {
	sum, err := sumWeights(weights)
	if err != nil {
		return nil, err
	}
	parts := make([]uint64, len(weights))
	rests := make([]uint64, len(weights))
	left := magnitude(total)
	for i, w := range weights {
		// w <= sum, so the quotient is at most |total| and Div64 cannot overflow.
		hi, lo := bits.Mul64(magnitude(total), uint64(w))
		parts[i], rests[i] = bits.Div64(hi, lo, sum)
		left -= parts[i]
	}
	// The rests sum to left*sum and each is below sum: more than left of them are
	// positive, so a zero weight never gets a unit.
	for _, i := range byRest(rests)[:left] {
		parts[i]++
	}
	out := make([]int64, len(parts))
	for i, p := range parts {
		if out[i], err = signed(p, total < 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sumWeights checks and adds the weights.
func sumWeights(weights []int64) (uint64, error) {
	var sum uint64
	for _, w := range weights {
		if w < 0 {
			return 0, fmt.Errorf("%w: weight %d is negative", ErrShare, w)
		}
		next, carry := bits.Add64(sum, uint64(w), 0)
		if carry != 0 {
			return 0, fmt.Errorf("%w: the weights", ErrOverflow)
		}
		sum = next
	}
	if sum == 0 {
		return 0, fmt.Errorf("%w: no weight is positive", ErrShare)
	}
	return sum, nil
}

// byRest is the indices of rests, largest rest first, ties in order.
func byRest(rests []uint64) []int {
	order := make([]int, len(rests))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(rests[j], rests[i]) })
	return order
}

// slice is total*to/of - total*from/of, each rounded.
func slice(total, from, to, of int64, r Rounding) (int64, error) {
	if of <= 0 || from < 0 || to < from || to > of {
		return 0, fmt.Errorf("%w: [%d, %d) of %d", ErrShare, from, to, of)
	}
	until, err := MulDiv(total, to, of, r)
	if err != nil {
		return 0, err
	}
	before, err := MulDiv(total, from, of, r)
	if err != nil {
		return 0, err
	}
	return subInt(until, before)
}

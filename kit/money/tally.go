package money

import "math/bits"

// Tally adds rated sums in 128 bits and rounds once at the end. A month of usage in
// a weak currency (VND, IDR) overflows one Rate but never a Tally: 2^64 of the
// largest rates fit. Make one with NewTally.
type Tally struct {
	hi       int64 // two's complement, hi:lo
	lo       uint64
	currency Currency
}

// NewTally is an empty tally of one currency.
func NewTally(c Currency) Tally { return Tally{currency: c} }

// Add puts a rated sum on the tally. Error: ErrMismatch.
func (t *Tally) Add(r Rate) error {
	if err := same(t.currency, r.Currency); err != nil {
		return err
	}
	lo, carry := bits.Add64(t.lo, uint64(r.Nano), 0)
	t.lo, t.hi = lo, t.hi+(r.Nano>>63)+int64(carry)
	return nil
}

// Sub takes a rated sum off the tally: what was billed before. Error: ErrMismatch.
func (t *Tally) Sub(r Rate) error {
	if err := same(t.currency, r.Currency); err != nil {
		return err
	}
	lo, borrow := bits.Sub64(t.lo, uint64(r.Nano), 0)
	t.lo, t.hi = lo, t.hi-(r.Nano>>63)-int64(borrow)
	return nil
}

// Rate is the exact total. Error: ErrOverflow beyond 9.2e9 major units.
func (t Tally) Rate() (Rate, error) {
	hi, lo, negative := t.magnitude()
	if hi != 0 {
		return Rate{}, ErrOverflow
	}
	n, err := signed(lo, negative)
	return Rate{Currency: t.currency}.with(n, err)
}

// Post rounds the exact total to whole minor units. Errors: ErrOverflow, ErrRounding.
func (t Tally) Post(r Rounding) (Amount, error) {
	if !r.valid() {
		return Amount{}, ErrRounding
	}
	hi, lo, negative := t.magnitude()
	unit := pow10[rateScale-t.currency.Digits()]
	hi, lo, rem := div128(hi, lo, unit)
	if hi != 0 {
		return Amount{}, ErrOverflow
	}
	n, err := finish(lo, negative, residueOf(rem, unit, false), r)
	return Amount{Currency: t.currency}.with(n, err)
}

func (t Tally) magnitude() (hi, lo uint64, negative bool) {
	if t.hi >= 0 {
		return uint64(t.hi), t.lo, false
	}
	lo, borrow := bits.Sub64(0, t.lo, 0)
	hi, _ = bits.Sub64(0, uint64(t.hi), borrow)
	return hi, lo, true
}

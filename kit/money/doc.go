// Package money owns what a sum of money is: a posted [Amount] in whole minor
// units, a rated [Rate] at 10^-9 of the major unit, and the [Currency] both
// carry. There is no float anywhere; every product runs through 128 bits and
// every loss of digits has a named [Rounding].
//
//	 price (catalogue)      charge              posted
//	+-----------------+   x num/den   +------+   Post    +--------+
//	| Rate 0.000 5 EUR| ------------> | Rate | --------> | Amount |--> bill,
//	+-----------------+               +------+  rounding  +--------+    ledger
//	         |                            | +                 |
//	         +------- PostRat ------------|-------------------+
//	           (one rounding)          Tally (128 bits)   Allocate, Slice
//
// One charge is rounded once. [Rate.PostRat] goes from price and quantity to
// minor units in one step; [Tally] adds many rated charges without rounding and
// without the int64 limit of 9.2e9 major units, and posts once at the end.
//
// An Amount is split with [Amount.Allocate] (largest remainder, all parts known
// now) or [Amount.Slice] (parts become known one after the other); neither loses
// or invents a minor unit.
//
// On the wire both types are the TMF Money object {"unit":"EUR","value":12.34}.
// The number is read from and written as decimal text.
//
// The package tells no facts and hears none. It returns plain errors that wrap
// the sentinels of errors.go; the room that speaks to the user gives them kind
// and code.
package money

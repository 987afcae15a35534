// Package cardtest is a card gateway that misbehaves on demand: a real HTTP server on
// this machine that speaks the protocol of package card and keeps its own books, so
// that a test can compare what was really taken with what was thought.
//
//	test ── Break(TakeHang, TakeDrop, ...) ──> next movements of money go wrong that way
//	test ── Deliver(times, seed) ──> every webhook so often, out of order
//	test ── Moves ──> each movement of money that really happened
//
// Owns its books in memory. Only tests and demonstrations import it. It shares no code
// with package card, so that each checks the other.
package cardtest

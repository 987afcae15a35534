// Package charging knows what each customer may use and has used: wallets and
// their balances, sessions, rated usage (TMF635, TMF654, TMF677).
//
// Owns: the shelf (tariffs and definitions that accounts refer to by number),
// accounts, lines, options, commands, usage records, ledger entries, suspense. What is left
// in a bucket is decided in memory by package core and is true when the journal
// says so; the tables here are what the journal has said.
//
// A Mediator takes files of usage, in blocks of records (mediate.go, mediateblock.go),
// and writes files of records (cdrout.go); it owns the files' rows, the cases of usage
// that could not be charged (suspense.go), and proposals to write off and to re-rate.
// Records of a file are written down in rows of many (mediatebook.go).
//
// Balance actions (top-ups, adjustments, transfers, reservations) are resources: a POST
// stores one with the command that carries it out, and the journal's word, or the
// account's refusal, ends it. Buckets and usage are read from the room's rows, what is
// left from memory. Vouchers are kept by a keyed MAC of their PIN.
//
// What an offering says of paying, limits and its brand is read by terms.go, and judged
// when it is launched; docs/tariffs.md has all of it by example. A limit of one customer
// is ordered by a resource of its own (policy_limit.go). Policy counters are projected
// too, and policy control is told of them by a job, until it has heard (policy_counter.go).
//
// An option is a product that relies on a line (option.go): what it gives goes to the
// line's account. On a prepaid line its one-time price is taken from the balance in the
// same command (buy.go), and is not billed.
//
// Tells: BalanceChanged, ThresholdCrossed, UsageFileEnded, OptionRefused. Hears: ProductActive, ProductChanged,
// ProductSuspended, ProductResumed, ProductTerminated.
//
//	facts, APIs ──> command (row) ──> core.Engine ──> journal ──> projector ──> usage, entries, facts
//	Gy, Nchf, RADIUS, files ─────────────^
package charging

// Package rating owns the price of usage: it turns a tariff, published as data,
// into answers to "which price holds here and now", "what do these units cost" and
// "how many units are there for this money". It is pure: no clock, no store, no
// network, and the same question has the same answer on every node and in every
// replay.
//
//	Plan (JSON) ──Compile──> Tariff
//	                            │
//	   Context ──Find───────────┼──> Rate, and until when it holds
//	   service, group, number,  │      │
//	   network, access, instant │      ├─ Cost(used, more)  -> 10^-9 of the major unit
//	                            │      └─ Units(used, money) -> units
//	   catalogue ──FromCatalog──┴──> Plan + Allowances
//
// A price is a function F of all units of a session, rounded once; what a part of
// the session costs is F(after) - F(before). So the parts always add up to the
// whole, however the network cuts the session (P17), and the effort depends on the
// number of steps of the price, never on how many increments were used.
//
// Prices are ratios of whole numbers with 128-bit intermediates: a third of a cent
// per mebibyte does not drift. Too large a sum is an error, never a wrong sum.
//
// The package tells no facts and hears none. Refusals of a plan are fault.Invalid
// and name the rule in the words of whoever wrote it.
package rating

// Package revenue is revenue assurance: is all that ran billed, and did all that is billed
// run? It holds the sets of the rooms below against each other, every day.
//
// Owns: controls (as a tenant sets them), their runs, findings and reports. It tells and
// hears nothing, and changes nothing but what a correction puts right.
//
//	left set ──┐ by key, a page of each     ┌─ young: may be on its way
//	           ├──────── merge ──── judge ──┼─ tolerated
//	right set ─┘                            └─ leak ──> finding (control, key)
//
// A set is a query door of its room, in pages by key: two sets of any length are merged in
// the memory of two pages, each at one state of the store. A few controls ask more than
// the store: R1 the elements, R14 and R16 the journal and the memory of charging.
//
//	             ┌──────────────── found again by later runs: it ages ───────────────┐
//	open ──> confirmed ──┐                                                           │
//	 │  └──> false       ├─ not found any more ─> recovered, prevented ──────────────┘
//	 └───────────────────┘
//
// A finding that is not found any more is recovered only if something shows it: the
// correction was made, an item bills from the start, the line is on a posted bill, the
// file came. Else it is prevented: it ended, and what was lost stays lost. What a control
// did not look at (a window of the newest, a list that was cut) it does not end at all.
//
// What nobody knows the beginning of began when it was first seen, and is young until it
// has stood for the patience of its control. Books that do not add up are not waited for,
// but asked for at two states of the store.
//
// One run of a tenant is under way at a time (revenue_turn). It always ends: one that was
// tried in vain, or whose job is gone, with what it did not reach as failed.
//
// What a finding comes to is the monthly amount at stake for each whole day since it began,
// or the difference itself where there is one. The side says whose money it is: the
// operator's (leakage), customers' (overcharge), or nobody's yet (risk).
//
// Corrections climb a ladder: observe, case, propose, fix. A fix is made without a person
// for the operator's own money only, and not if it began longer ago than the control says;
// what customers were charged too much is always proposed. Whether a correction has helped
// the next run sees.
//
// Accuracy is measured, not asserted: of bills by the credit notes that say that a bill was
// wrong, of ratings by an evaluator of its own (R14); a report says how many were judged.
//
// Doors: [Begin], [Handle], [Disagreements], [JudgeStanding].
package revenue

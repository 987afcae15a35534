// Package compute works out what is on a bill: pure, from what is owed to lines, tax
// and totals. No clock, no store; the same input gives the same bill on any machine.
//
//	items ──> service periods ──> wanted ─┐
//	                                      ├─ less what was billed ──> lines ──> discounts ──> commitment
//	billed before ────────────────────────┘                             usage ──┘      │
//	                                                    tax by (category, rate) on the sums, totals
//
// A bill is not a list of events but a reconciliation: for every item and service
// period there is an amount that ought to be billed by what is known now, and an amount
// that was. The line is the difference. A period billed in advance and then cut short, a
// resumption heard late, a corrected start: each is a negative or positive line of the
// period it belongs to, and a second run of the same account finds nothing to do.
//
// Rules, one each:
//   - An instant counts as its local date in the zone of the account. What is owed from
//     one instant to another is owed for the days [date(from), date(to)).
//   - The price of a full period is rounded once, to minor units; parts of it are slices of
//     that amount (money's Slice), so that any cutting adds up to the whole.
//   - An item in advance is due on the bill whose date is on or after the first day of the
//     service period; one in arrears on or after its end, or after the end of the item.
//   - Discounts run in the order of their priority; each lowers what the ones before have
//     left, never below zero.
//   - Tax is that of the tax point of the line: the first day of a period charged in
//     advance, the last day of one charged in arrears and of usage. A correction has the
//     tax of the line it corrects.
//   - Tax is worked out on the rounded sum of each (category, rate) (EN 16931 BR-CO-17),
//     from the net, or from the gross where prices include tax, which then stays exact.
//
// Doors: [Make].
package compute

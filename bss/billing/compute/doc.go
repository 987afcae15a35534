// Package compute works out what is on a bill: pure, from what is owed to lines, tax
// and totals. No clock, no store; the same input gives the same bill on any machine.
//
//	items ──> service periods ──> wanted ─┐
//	                                      ├─ less what was billed ──> lines ──> discounts ──> commitment
//	billed before ────────────────────────┘                             usage ──┘      │
//	                                                    tax by (code, rate) on the sums, totals
//
// A bill is not a list of events but a reconciliation: for every item and service
// period there is an amount that ought to be billed by what is known now, and an amount
// that was. The line is the difference. A period billed in advance and then cut short, a
// resumption heard late, a corrected start: each is a negative or positive line of the
// period it belongs to, and a second run of the same account finds nothing to do.
//
// # Time
//
//   - An instant counts as its local date in the zone of the account. What is owed from
//     one instant to another is owed for the days [date(from), date(to)). A move of zone
//     holds from the boundary it names: that boundary is still where the old zone has it.
//   - Service periods are those of the item's Cycle, from its origin in closed form.
//   - An item in advance is due on the bill whose date is on or after the first day of the
//     service period that is charged; one in arrears on or after its end, or after the end
//     of the item. A one-time charge is owed for the day of its instant: in advance due from
//     that day on, in arrears from the next. What was billed once stays due.
//   - An item whose Revision is the last that was billed is only looked at from the period
//     after the last billed one; every other from its first period on.
//
// # Amounts
//
//   - The price of a full period, times the pieces, is rounded once to minor units; parts of
//     it are slices of that amount (money's Slice), so that any cutting adds up to the whole.
//     The parts are measured in days, in days of months of 30 (30E/360; a cycle of days
//     counts days), or in seconds.
//   - While suspended an item with a Resting amount is charged slices of that instead.
//   - InFull: a period with a day of use is charged the price, one that was only suspended
//     the resting amount. WholeOnly: the price for a period of use from end to end, the
//     resting amount if a part of it was suspended, nothing if the item does not cover it.
//   - Usage is rounded once for each sum, together with what of the same sum was billed.
//
// # Credits
//
//   - What a final credit note gave back of a period since the bill was wrong, or the service
//     not taken, is part of what a correction of the period gives back. What it gave for its
//     own sake is not. All together no more is given back of a period than was charged.
//
// # Discounts and commitments
//
//   - They have service periods of their own, in which they hold for the days of their Span,
//     a Discount for no more than its first Periods. They count what is charged for those
//     days: slices of recurring charges (one that is charged InFull or WholeOnly belongs to
//     its first day), one-time charges of those days, and usage of a billing period with its
//     first day of the item.
//   - Discounts run in the order of their priority, then of their ids; each changes what the
//     ones before have left, never below zero: a percentage of the sum, rounded once, or its
//     own amount, prorated as a price is; at most its Cap. The change is shared out over what
//     is counted by largest remainder (charges in the order of the items and of time, each cut
//     where a period of a discount or commitment begins or ends), and stands in one line for
//     each tax of it.
//   - A commitment is charged, in arrears, what the counted charges, after discounts, miss of
//     its amount. If nothing is missing a line of zero says so, once for each period.
//   - Both are reconciled too: a charge corrected later corrects its discount.
//
// # Tax
//
//   - Tax is that of the tax point of the line: the first day charged of a period in advance,
//     the last day of one in arrears and of usage. A correction has the tax, and names the
//     bill, of the line it corrects; a discount has the tax of what it lowers.
//   - Tax is worked out on the rounded sum of each (code, rate) (EN 16931 BR-CO-17), from the
//     net, or from the gross where prices include tax, which then stays exact: the net of
//     such lines is what is left, rounding differences stand in the largest of them.
//   - An exemption replaces the category of every charge whose tax point lies in its time. An
//     amount that includes tax stays what is paid.
//
// A bill below the account's Minimum, in either direction, is worked out but Waits.
//
// Doors: [Make].
package compute

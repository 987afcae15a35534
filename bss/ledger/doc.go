// Package ledger owns the books of each legal entity: double entry, in minor units,
// debit positive and credit negative.
//
//	billing, receivable ──Post──> ledger_transaction ──< ledger_entry     sums to zero
//	                                                        │
//	     trial balance, balance of a party, entries ────────┤
//	                                                        v
//	    open ──Close──> closed month ──Export──> CSV for the general ledger, always the same
//	      ^───Reopen───────┘
//
// A transaction is booked whole or not at all, once by its name, sums to zero in its
// currency, and is never changed: what was wrong is undone by Reverse, which books the
// same with the signs turned. Balances are sums of entries, nowhere kept beside them,
// but for the sums at the end of a closed month.
//
// The chart of accounts is a list of sorts ([Receivable], [Revenue] ...); some carry a
// code behind a colon, the operator's own general-ledger account or the code of a tax.
// A [ChartAccount] says under which account of the operator's general ledger one is kept.
//
// A month is closed, and opened again, by a [PeriodClose]: one person asks, another does
// it, one month after the other. Nothing is booked in a closed month; what happened then and
// comes late is refused, or booked on the first open day (Transaction.Shift). Each closing has
// a number and keeps the chart, and so a [GeneralLedgerExport] of it is the same file for ever.
//
// Tells and hears nothing. Doors: [Post], [Reverse], [Balance], [Held], [Trial], [Statement],
// [Close], [Reopen], [ClosedTo], [Books], [Export], [Content], [BalanceOf], [Audit].
package ledger

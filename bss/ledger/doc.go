// Package ledger owns the books of each legal entity: double entry, in minor units,
// debit positive and credit negative.
//
//	billing, receivable ──Post──> ledger_transaction ──< ledger_entry     sums to zero
//	                                                        │
//	                  trial balance, balance of a party, export, closing of a month
//
// A transaction is booked whole or not at all, once by its name, sums to zero in its
// currency, and is never changed: what was wrong is undone by Reverse, which books the
// same with the signs turned. Balances are sums of entries, nowhere kept beside them,
// but for the sums at the end of a closed month.
//
// The chart of accounts is a list of sorts ([Receivable], [Revenue] ...); some carry a
// code behind a colon, the operator's own general-ledger account or the code of a tax.
//
// Tells and hears nothing. Doors: [Post], [Reverse], [Balance], [Trial], [Statement],
// [Close], [Export], [Audit].
package ledger

// Package sepa writes and reads the files that a creditor and its bank exchange in
// the Single Euro Payments Area: ISO 20022 messages under the scheme rulebooks of
// the European Payments Council.
//
// Owns: the formats, the calendar of banks, the checksums, the meaning of reason
// codes. Tells and hears nothing; keeps nothing.
//
//	Debits ────> Profile.WriteDebits ────> pain.008.001.02 | .08   collect
//	Transfers ─> Profile.WriteTransfers ─> pain.001.001.03 | .09   pay back
//
//	pain.002 ────────────> ReadStatus ─────> accepted, or rejected with reasons
//	camt.053, camt.054 ──> ReadStatements ─> Statement > Entry > Detail
//	                                         each Detail has one Key, once for ever
//
// A notice (camt.054) tells what the statement tells again, under other keys: book from
// one of the two. Entry.Bank is the same in both, so a notice can give the details of a
// line that the statement shows as one sum.
//
// A file is taken whole or not at all: whatever is cut, does not add up or is too
// large is an error in the words of a bank clerk, and nothing of it is returned.
//
// # Doors
//
// ParseIBAN, ParseBIC, ParseCreditorID and ParseReference check what people type.
// BankDay, NextBankDay and AddBankDays are the TARGET calendar. A Profile is what one
// bank wants: Earliest and Due give collection dates, SequenceOf the sequence type,
// Check refuses one collection before it spoils a file. ReasonOf says what a reason
// code means for the mandate and the debt; Scheme.RefundUntil how long the debtor may
// ask for the money back. StatusReport.About and Statement.Follows see what is missing
// between files; Unpack opens the archives that they come in.
//
// # What is covered
//
// Direct debits of the schemes CORE and B2B with all four sequence types and amended
// mandates, credit transfers in euro; customer status reports, statements and
// notifications of every version since 2009, told apart by their elements. Intraday
// reports (camt.052) are refused: what they show comes again in the statement.
package sepa

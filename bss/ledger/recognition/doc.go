// Package recognition owns when what is billed becomes revenue (IFRS 15): contracts with
// several promises for one price, such as a handset below its price with 24 months of service.
//
//	prices with an obligation ──billing──> Open ──> Contract: obligations, price, schedule
//	                                                  │
//	posted bills ──billing──> Billed: revenue as billed ─> deferred (or off the contract asset)
//	                                                  │
//	month ──Run──────────────> recognised: deferred (or the contract asset) ─> revenue
//
// # The price is allocated
//
// The transaction price is what the customer pays for all of the contract, without tax. It
// is allocated to the obligations by their stand-alone selling prices (IFRS 15.73-80) by
// largest remainder. What is delivered at once is recognised that day, what is rendered over
// time evenly, by months of 30 days (30E/360): the parts of any cutting add up.
//
//	24 x 60.00 + 200.00 = 1,640.00      handset  600.00 of 2,040.00: 482.35    on the first day
//	                                    service 1,440.00          : 1,157.65   48.24 a month
//
// # It changes
//
// A modification leaves what was recognised and spreads the rest of the new price over what
// is left (prospective, IFRS 15.21a), or works the whole anew from the beginning and takes the
// difference at once (catch-up, 15.21b); a further good at its own price is a contract of its
// own (15.20). A contract that ends early recognises nothing after its end. Two months after
// the end of the last obligation the contract is settled: what was billed by then was its
// price (15.87), and the difference is recognised. Bills pay for it with what is for service
// before its end, what corrects that, and the fee of an early end; the rest is a contract from
// month to month, revenue as billed.
//
// # What cannot be done
//
// Bookkeeping stops neither billing nor the month of others. A contract that cannot be opened,
// changed or recognised is set aside with a sentence, which a [Run] of its legal entity says.
// A bill of another legal entity ends the contract: nothing is booked across two companies.
//
// # In the books
//
// A contract has one position: billed less recognised (15.105). Above zero it stands on
// ledger.Deferred, below zero on ledger.ContractAsset, by billing account, in the books of the
// legal entity that bills who pays. So at any time
//
//	recognised + deferred = billed + contract asset
//
// Tells and hears nothing. Doors: [Open], [Billed], [Modify], [End], [SetAside], [Of], [Any], [ByProduct], [Handle], [Audit].
package recognition

// Package receivable owns what customers owe and what they pay: claims, payments,
// which pays which, what is done about what is not paid (TMF676, TMF670).
//
//	BillsPosted ─> Posted ─> claim (open) ─────┐
//	                                           ├─ allocation ─> claim open 0
//	cash, bank, card, SEPA ─> Receive ─> payment (open) ─┘
//	                                           │
//	returned, charged back, given back: allocations undone, the claim open again
//
// Everything is in the books in the same transaction (bss/ledger): money received is
// owed to the customer (unapplied) until it pays a claim. So the ledger's receivable
// of an account is the sum of its open claims, and its unapplied the sum of its open
// payments, at every instant; Audit proves it.
//
// Allocations are explicit rows. A wrong one is undone by a row with the amount
// turned, never changed. The database refuses to pay more than is open.
//
// What is overdue climbs a ladder (ladder.go, dunning.go): a level a day at most, each
// once in a cycle, none while it is paused or disputed. A bar is an order like any
// other, down to the element, and is barred only when the element has said so; the
// payment that settles the debt leaves the job that lifts it in its own transaction (bar.go).
//
//	Dun ─> receivable_dunning.barred ─> job: order.Place(suspended) ─> ProductSuspended ─> barred
//	Receive ─> not barred ────────────> job: order.Place(active) ───> ProductResumed ──> lifted
//
// Banks (sepa*.go, statement*.go): a mandate lets open claims be collected, each in one
// open collection only. What the bank says comes back as files, each taken whole and
// once; what is on a statement and nobody recognises waits in suspense for a person.
//
//	Collect ─> directDebitFile (pain.008) ─> bank
//	TakeStatus (pain.002) ────> rejected: the claim is open; retry, hold, or stop the mandate
//	TakeStatement (camt.053) ─> settled: Receive; returned: Return; transfer: Receive; else bankEntry (open)
//
// An account is charged by one at a time: by hand, by itself, or in a file for the bank. Who
// does it holds the account, or its claims, and then asks what is under way.
//
// Refunds go back by transfer (transfer.go, pain.001) or to the card. Files of collections
// are made by themselves on bank days, of what customers were told of (sepaschedule.go).
//
// Cards (card*.go): only tokens. Each movement is an attempt that is stored before the
// gateway is asked, and asked about until it is known how it ended; a webhook is a hint to ask.
//
//	payment, refund (TMF676), ChargeDue ─> attempt minted ─job─> sent ─> succeeded: Receive
//	                                                                 └─> declined, cancelled: nothing moved
//	webhook ─> inbox ─> ask again; dispute: chargeback, the claim is open again, with its fee
//
// What people decide (arrangement.go, dispute.go, decision.go, writeoffface.go, agency.go):
//
//	payment plan, promise: active ─> kept | broken: the ladder goes on
//	dispute: open ─> credited by a credit note | rejected: dunned again
//	write-off: waiting ─> approved by another person | rejected;   agency: placed ─> paid | recalled | closed
//
// Money without a purpose pays the instalments that are due, with the next one, before what
// else is owed (turns in allocate.go), and nothing that is disputed. Files with the accounts
// and addresses of customers are handed out to those who may update their content, and it
// is written down ([BankFiles]).
//
// Hears BillsPosted, ProductSuspended, ProductResumed. Doors: [Receive], [Allocate], [Release], [Return], [GiveBack],
// [WriteOff], [Recover], [Charge], [ChargeDue], [Cards], [Collect], [CollectScheduled], [DebitFile], [TakeStatus],
// [TakeStatement], [ReadBankFile], [TakeBankFile], [Dun], [Pause], [Resume], [Unbar], [Dispute], [AgencyCSV],
// [EndedCSV], [Claims], [Ageing], [Reports], [Audit].
package receivable

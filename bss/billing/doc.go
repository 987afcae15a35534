// Package billing owns on which account a customer is billed (TMF666 v4) and what
// there is to bill: the billable items.
//
//	partyAccount, billingAccount, settlementAccount ──> financialAccount
//	       │                └ billStructure ──> billingCycleSpecification, billFormat,
//	       │                                    billPresentationMedia
//	       └──< billableItem >── product            one for each price of the product
//
//	ProductActive ─> Begin      from the instant the network confirmed, not before
//	ProductChanged ─> Change    ends what no longer applies, begins what now does
//	ProductSuspended ─> Suspend, ProductResumed ─> Resume
//	ProductTerminated ─> End
//
// A billable item is a frozen copy of a price, tied to a product, an account and
// the service whose confirmation started it. The table billing_charge stands
// behind every item and makes three promises the database keeps: no item without
// a confirming service, no two open items for the same price of a product, no item
// that ends before it begins.
//
//	active <──> suspended
//	   └────┬───────┘
//	      ended            a one-time charge is born ended
//
// While a product is suspended its items are charged or not as their price says:
// an extension attribute of the price, chargeWhileSuspended, "full" or "none". A
// price that says nothing is not charged for: the customer cannot use it. An option
// rests with the line that it relies on, by the policy of its own prices.
//
// How a price is billed stands in its extension "tandem:billing" ([BillingTerms]) and is
// frozen into the item, with the calendar of its service periods.
//
// A bill is worked out from what is gathered, never from the last bill:
//
//	items, billed before, usage, tax table, parties ──Gather──> compute.Make ──> Document ──> draft ──> posted
//	                                                                                  │ Judge     number, hash, ledger
//	              customerBill, appliedCustomerBillingRate (TMF678) <──┬──────────────┘
//	              einvoice.Invoice, billExplanation  <─────────────────┘      creditNoteRequest ──> credit note
//
// The [Document] is the one thing that is posted; invoice, explanation and TMF678 are views
// of it. Who sells is a [LegalEntity], taxed by dated [TaxRate]s; an account may be billed by
// another one (accountRelationship "billedBy"): its charges are lines of the payer's bill.
// Usage is billed by rectangles, one for each wallet, written up to a number and used before
// an instant (billing_usage_upto): what comes late is in the next one, and a wallet that is
// billed elsewhere from now on leaves behind what was used before.
//
// What of an account is changed holds from when it was changed: a billing day makes one short
// bill ([calendar]), a zone holds up to the end of its billing period, an exemption for its
// days. What a final credit note gave back of a period (billing_credited) no correction of it
// gives back once more. Bills of an entity that the house has made up are held until it is
// completed.
//
// Many bills are made by a [BillRun], which a person starts and another one approves:
//
//	scoping ─> computing ─> assuring ─> ready ─> approved ─> posting ─> posted
//	 accounts   a draft      totals      │  ^       │         number, hash,
//	 frozen     each,                    │  └───────┘         ledger, fact
//	 in pages   held or not              └─> discarding ─> discarded
//
// A page of accounts is a job of kit/work; what it leaves is one transaction with the end
// of the job, so that a killed node leaves nothing half. Bills of an account are numbered
// (billing_draft.turn) and billed periods have an identity (billing_billed): two runs at
// once cannot bill one thing twice. An account that cannot be billed is parked with a
// sentence, a draft that looks odd is held; a [BillDecision] lets them go on, in a round
// of the run with an approval of its own. Posted bills are only ever added: numbers of a
// series have no gap, dates in it never go backwards, each hash holds the one before, and
// triggers refuse to change any of it. [AuditBills] proves that.
//
// Two questions are answered by the same engine, without a bill being made:
//
//	what there is + what is supposed ──Preview──> the next bills, in the words of real ones
//	posted bills, as they were + other prices ──BillComparison──> every line that would be another
//
// A [BillPreview] supposes a change of plan or an order and shows the bills of the running
// period and after. A [BillComparison] works posted bills out once more, from the items as
// they were then ([tmf.Kind.AsOf]), what bills before had billed and the usage of their
// rectangles; one that does not come to the same is set aside ([ComparedBills]). Then prices
// that are not launched take the place of others, and what differs is listed
// ([BillDifferences]). What a bill charged for the first time has the new price; a correction
// of what was charged before keeps the old one, and so does an amount agreed for a product.
//
// A price may have more to say: how long it is taken at least and what an early end costs
// ([MinimumTerm]), that it is a security, held as a liability and given back ([Deposit]), or
// that it is a performance obligation, whose revenue is recognised when it is rendered
// ([Recognise], bss/ledger/recognition).
//
// Hears Product*, and its own BillsPosted for contracts and to tell customers; tells BillsPosted. Every heard fact is written to billing_heard, so
// that hearing it twice changes nothing. What cannot be billed (no account, an
// account that is closed or in another currency) fails, and is seen among the
// parked facts with its reason.
//
// Doors: [AccountFor], [ItemsOf], [MonthlyValue], [Needs], [SettlePayer], [Gather], [Preview], [Judge],
// [KeepDocument], [PostBill], [Paid], [BillUsageOf], [ReadPaper], [Documents],
// [Handle], [AuditBills].
package billing

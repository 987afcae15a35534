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
// Hears Product*; tells nothing. Every heard fact is written to billing_heard, so
// that hearing it twice changes nothing. What cannot be billed (no account, an
// account that is closed or in another currency) fails, and is seen among the
// parked facts with its reason.
//
// Doors: [AccountFor], [ItemsOf], [MonthlyValue], [Needs], [SettlePayer].
package billing

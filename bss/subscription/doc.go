// Package subscription owns what each customer has: the product inventory
// (TMF637 v4). A product is an offering that a customer bought, realised by
// services of the network wing.
//
//	order ── Create ──> product <── ServiceActive, ServiceChanged, ServiceSuspended,
//	                     │   ^       ServiceResumed, ServiceTerminated   (heard)
//	                     │   └ realizingService: each with the state the network confirmed
//	                     v
//	ProductActive, ProductChanged, ProductSuspended, ProductResumed, ProductTerminated (told)
//
// A product runs when all its services run: it is active from the instant the
// last of them was confirmed, suspended as soon as one of them is, and terminated
// when the last one has left the network. Only a heard fact can say so; no client
// and no room above can set these states (see [Mark] for those they can).
//
//	created ──> pendingActive ──> active <──> suspended
//	   │              │             │ ^           │
//	   └──────┬───────┘             v │           │
//	          v               pendingTerminate <──┘
//	cancelled, aborted              v
//	                            terminated
//
// # Products that no order made
//
// A POST by API is for migrations. A product posted as created or pendingActive
// waits for the network: the first ServiceActive that names it makes it active and
// starts its billing. One posted as terminated is history. None can be posted as
// running: no element has confirmed that, and no bill would follow. [Mismatches]
// finds what the room itself can see of products and services that disagree.
//
// # Changes
//
// What an order asks of a running product is its pendingChange until all services
// that the change concerns have confirmed it; only then is it part of the product,
// and told. The date of that order, changeDate, is from then on the date by which
// the prices of the product are judged.
//
// # Hearing twice
//
// Every heard fact is written to subscription_history under (product, service,
// what, at); one that is there already changes nothing. Facts of a service are
// taken in the order they come, not by their clocks.
package subscription

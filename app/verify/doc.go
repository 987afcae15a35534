// Package verify proves that business and network agree: what runs is billed,
// what is billed runs, and the elements themselves say so.
//
// Owns nothing and changes nothing: it reads the rooms through their doors and
// asks every element for its own list. Tells and hears nothing.
//
//	product ──── billable items         order lines ──── service order items
//	   │  judged together                    │ states agree, none stands still
//	service (inventory) ══ built (newest completed order item) ══ element's own list
//	                          │
//	                       numbers and SIMs in use ══ pools
//
// # Moving targets
//
// What looks wrong on a running node may be on its way. So nothing is reported
// at first sight: it becomes a suspect, which is looked at again after all
// hearers have passed the facts told so far and a time of grace has gone by. A
// suspect is let go if it agrees then, if a fact about it is still to be heard,
// or if a task at work on the same resource has not ended.
//
// # One cause, one line
//
// A parked fact, and a service whose inventory record contradicts what was built,
// explain the disagreements of product, bill, order and pools that follow from
// them: those are not told again. The money of a product counts once in the sum.
//
// # Memory
//
// Every set is read in pages. What has to be compared with an element's list, or
// with what a pool says, is kept as digests in sorted slices, some 20 octets a
// resource, and written out in words only for those that disagree, which are found
// again by a further pass.
package verify

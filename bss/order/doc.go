// Package order takes product orders (TMF622): it checks them against catalogue,
// customer and what the customer has, makes the products they ask for, has the
// network wing fulfil them, and follows how that goes.
//
// Owns: product orders and their cancellation tasks. Tells: OrderPlaced,
// OrderEnded. Hears: ServiceOrderItemDone, ServiceOrderFellOut, OptionRefused.
//
//	POST productOrder ─> Place ─┬─ party: may this customer buy?
//	      (one transaction)     ├─ catalog: sellable, eligible, configured, compatible
//	                            ├─ subscription: the product, pendingActive
//	                            └─ fulfilment.Begin: the service order, planned
//	                                       │ network
//	ServiceOrderItemDone ^ ─> the item, then the order: completed, failed, partial, cancelled
//
// A product order item becomes one line or more: one for each service of its
// product (a bundle's product has those of all its parts), and for each piece of
// its quantity. The item is done when its lines are, the order when its items are.
//
// A product that relies on another one (an option of a line) ends with it: the order
// that ends the line is given the items for that ([Place]).
//
// The date of an order is the server's: by it prices are judged, those the order
// shows and those that are billed. What nobody could be billed for is refused
// ([Payer]). A cancellation with a requested date waits for it as a job ([Handle]).
package order

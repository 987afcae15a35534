// Package activation makes elements of the network what they shall be, and proves it by reading back.
//
// Owns: the elements of an operator, who else may use them and who has what on them, and the services that integrators activate directly
// (TMF640). Tells and hears no facts: fulfilment calls Ensure and draws its own conclusions.
//
//	fulfilment ─ Ensure ─┐                    ┌ gate: one per element ────────────────────────┐
//	TMF640 ── job ───────┼─> Resolve (own or ─┤ one operation a key, n at once, rate, breaker ├─> driver ─> element
//	verify ── Audit ─────┘    granted)        └───────────────────────────────────────────────┘
//
// # Gates
//
// Every element has one gate on this node. Operations on the same key follow one another; different keys run side by side, as many
// as the element's concurrency, not faster than its rate. After a number of failures in a row the breaker opens: everybody is
// told at once to come back later, until one probe succeeds.
//
// # Wholesale
//
// An element belongs to its host. Another operator uses it under the same name if the host granted it, for the keys that begin with the
// granted prefix only, and prefixes do not overlap: a brand of an MVNE cannot touch another brand's subscribers on the same register.
//
// # Claims
//
// A resource on an element has one user over all tenants: an ordered service, a resource order or a direct activation. Whoever plans to put
// it there claims its place first and yields it when it is gone; a claim that is taken refuses the order.
//
// # Services (TMF640)
//
//	POST ─> designed ──────── confirmed by the element ─┬─> active <──> inactive (suspended)
//	                                                    └───┴─ DELETE, confirmed ─> gone, or PATCH terminated ─> terminated
//
// A request writes what the service shall be and is answered at once; a job brings the element there, and only then the state moves. Each
// request has a monitor (sourceHref is the service; the service's relatedEntity with the role "monitor" is its newest).
// These services are not part of the order path; who may activate directly is a question of permissions.
package activation

// Package fulfilment makes the network what an order asks for (TMF641 services, TMF652 resources): it
// decomposes a service into a graph, reserves what comes from pools, plans the
// steps on elements, runs them, and either confirms the service or leaves a
// fallout that a person can see and resolve.
//
// Owns: service and resource orders, plans, tasks, the fallout queue and the fault policy.
// Tells: ServiceActive, ServiceChanged, ServiceSuspended, ServiceResumed,
// ServiceTerminated, ServiceOrderItemDone, ServiceOrderFellOut. Hears nothing.
//
//	Begin (one tx)                          task (per element)            outcome (one tx)
//	spec.Load ─> Expand ─> target graph     Ensure + read back            task done ─> next tasks
//	   current graph ──┐        │           outside any transaction       last one: inventory, pools,
//	   pools: assign <─┴─ diff ─┴─> steps ───────────────────────────>    fact ^ ServiceActive
//	                                            │ error
//	                                        fault policy: try again | fall out | take back
//
// # What holds
//
// The intent of a task is durable before anything is sent. A task is done when
// the element, read back, holds what was desired; a reply alone proves nothing.
// The job that runs a task is fenced: a run that lost its lease cannot write an
// outcome. Taking an item back turns its tasks round under the same jobs, so
// doing and undoing never overlap. A service is active in the inventory, its
// numbers are assigned, and the fact is told in one transaction, which the outcomes
// of several tasks share when they come at the same time.
//
// # The life of a task
//
//	waiting ─> ready ─> done ─┐
//	             │ ▲          ├─ take back ─> ready (undoing) ─> undone
//	             ▼ │ retry    │
//	           fallen ────────┘        waiting ─ take back ─> cancelled
//	             └─ skip (only what takes away) ─> skipped
//
// # How a specification says what to do
//
// The category of a resource specification names what realises it:
// "number/<kind>" is assigned from the pool in its characteristic "pool", "sim"
// is a SIM card from such a pool, "element/<type>" lives on the element in its
// characteristic "element". Services and resources on elements are told what was
// assigned beside and below them under the names msisdn, iccid, imsi; an entry
// ordered by itself (TMF652) takes the card of its IMSI out of the stock. The
// characteristic "suspended" of a service says, through its mappings, what
// suspension means on the element.
package fulfilment

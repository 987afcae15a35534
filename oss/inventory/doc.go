// Package inventory knows what runs in the network and on what: services,
// resources, sites, and the pools of numbers and SIM cards (TMF638, TMF639,
// TMF674, TMF685), all in one graph.
//
// Owns: services, resources, geographic sites, the edges between them, resource
// pools, their numbers and SIMs, reservations. Tells and hears no facts: who
// changes the network tells of it. Customers are opaque related parties.
//
//	service (customer facing)                        Above
//	   ▲ supports                                      ▲
//	service (resource facing)                          │
//	   ▲ supports                                      │
//	resource: link <── connects ── port <─ contains ─ node <─ contains ─ site
//	   ▲ protects
//	resource: other link                             Below
//
// # Edges
//
// An edge goes from what carries to what is carried: if From fails over supports,
// contains or connects, To is hurt. Edges are never written by themselves: they
// follow from supportingService, supportingResource, serviceRelationship,
// resourceRelationship, siteRelationship and place of the resources. Which
// relationship may join what is data: see relations in relation.go. The carrying
// types form no cycles.
//
// # Service states
//
//	feasibilityChecked ─> designed ─> reserved ─> inactive <─> active ─> terminated
//
// A suspended service is inactive and has suspendedSince. What an order has built
// (builtBy) is changed by orders only: see keep.go.
//
// # Numbers and SIMs
//
//	available ──Reserve──> reserved ──Assign──> assigned
//	    ▲  ▲───expired/Release──┘                   │
//	    └────────ended────── quarantined <──Release─┘
//
// The primary keys of numbers and SIMs hold across tenants: no value is ever given
// to two. Key material is sealed by the caller; this room never opens it.
package inventory

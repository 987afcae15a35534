// Package tmf is the one machine for all resources of the TM Forum Open APIs: a
// Kind describes a resource type, and the machine serves, stores, filters,
// patches, audits and announces it (TMF630, generation v4).
//
// Owns: the tables of the kinds, the change records, subscriptions and dead
// letters. It knows TMF grammar and no telecom.
//
//	HTTP ──> serve ──> Kind.Save: defaults - moves - check - write - change record
//	rooms ─────────────────^                                             │
//	subscriber <── hub: events in order, at least once <── read back ────┘
package tmf

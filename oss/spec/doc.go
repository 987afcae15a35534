// Package spec says what the network can be made of: service and resource
// specifications, their catalogues, and the rules by which a service is
// decomposed into smaller services and resources (TMF633, TMF634).
//
// Owns: service and resource catalogues, categories, candidates and
// specifications. Tells and hears no facts: others read it through [Load].
//
//	serviceSpecification "Mobile line"            (customer facing)
//	  ├─ serviceSpecRelationship role=access      condition: c.access == "mobile"
//	  │    └─ serviceSpecification "HLR profile"  mapping:   apn <- c.apn ?? "internet"
//	  │         └─ resourceSpecification role=sim
//	  └─ resourceSpecification role=msisdn
//
//	Load ──> Tree (frozen, compiled, cached) ──Expand(characteristics, action)──> Node graph
//
// # Life
//
//	In study ─> In design ─> In test ─> Active ─> Launched ─> Retired ─> Obsolete
//	     └──────────┴──────────┴─> Rejected          └──<──────┘
//
// What a specification decomposes into may be changed at any time, but once it is
// Active only together with a new version.
//
// # Rules
//
// serviceSpecRelationship, resourceSpecification and resourceSpecRelationship
// carry, beside the attributes of TM Forum:
//
//	minCardinality, maxCardinality  how many of the role there must and may be
//	quantity   expression -> whole number; default 1
//	condition  expression -> true or false; the branch is taken if true
//	mapping    [{name, expr}]: characteristic of the target <- expression
//
// A role's limits hold over all branches that carry the role: two branches with
// the same role, minCardinality 1 and maxCardinality 1 are an exclusive choice.
//
// Expressions are those of github.com/expr-lang/expr without loops, variables,
// ranges and clocks: their cost is bounded by their length. They see
//
//	c        the characteristics of the source, defaults filled in: c.speed, c["data-limit"]
//	action   add, modify, delete or noChange
//	place    the place of the order item: place.id, place.name, place.role ("" if none)
//	has("x") whether the characteristic has a value
//	text(v)  v as text; number(v), whole(v): text or number as a number
//	pad(v, n) v as text, zeros in front up to n characters
//
// A characteristic that is mandatory or has a default has the type of its
// valueType; any other may be nil: write has("x") && c.x > 5, or c.x ?? 5.
package spec

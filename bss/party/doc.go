// Package party owns who the operator deals with: people (individual) and bodies
// (organization), TMF632; those of them who buy (customer), TMF629; and every
// other part they play (partyRole: dealer, supplier, owner), TMF669.
//
//	individual ─┐                      ┌─> customer  ──> what others refer to:
//	            ├─ engagedParty of ────┤                 orders, accounts, bills
//	organization┘                      └─> partyRole
//	     │ parent (a tree)
//	organization
//
// A party is the person; a customer is the relation. One person may be customer
// twice, and a dealer besides. Hence a reference to a party is checked and kept:
// engagedParty must exist in the tenant and bears the party's own name, and
// nothing can be deleted that others still refer to. relatedParty is free: it may
// name parties of other systems; but what it names here cannot be deleted either.
//
// States. individual: initialized, validated, deceaded (the file's spelling);
// organization: initialized, validated, closed. A customer's and a role's status
// is free text in the files; the words of [statusMoves] have an order that is
// kept, an operator's own words go anywhere, and Closed is final.
//
//	Prospective ──> Active <──> Suspended
//	      └───────────┴─────┬───────┘
//	                        v
//	                      Closed
//
// Tells and hears no facts. Doors for rooms above: [Get], [Contacts], and
// [Keep], with which a room says that it still needs a customer.
package party

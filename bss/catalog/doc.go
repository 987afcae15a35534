// Package catalog owns what the operator sells: offerings, their prices, the
// product specifications behind them, and the categories and catalogues in which
// they are shown (TMF620 v4.1).
//
//	catalog ──> category ──> productOffering ──> productOfferingPrice
//	            (a tree)      │  │    │ requires, excludes, optionalFor, substitution
//	                          │  └ bundledProductOffering (no cycles)
//	                          v
//	                productSpecification ──> serviceSpecification
//	                 what can be configured   (id in the network wing, opaque here)
//
// Life cycle, the same for all five, as a table of moves ([lifecycle]):
//
//	In study ─> In design <─> In test ─> Active ─> Launched ─> Retired ─> Obsolete
//	    └───────────┴───────────┴─> Rejected  └──────────────────^
//
// Only what is Launched is sold. A simple catalogue may begin in Active or
// Launched. Nothing comes back from Retired, Obsolete or Rejected: a new version
// is made instead. A version is a resource of its own, with its own id and life
// cycle, the same name and another "version"; it points to the one it replaces by
// a relationship of type "substitution". So an order or a product that names an
// id always means exactly what was sold.
//
// Rules, checked at the one door of every write: references exist in the tenant
// and stay (a delete is refused while somebody refers to the thing); bundles,
// categories and composite prices have no cycles; what is Launched rests on a
// specification, prices and components that are Active or Launched, and these
// cannot be withdrawn from under it; characteristic values are among the allowed
// ones; a price is a price; conditions of eligibility compile.
//
// Tells and hears no facts. Doors: [Sellable], [Component], [Prices], [SpecOf],
// [Configure], [Eligible], [Compatible]. Each reads what it needs in one statement
// and takes values already read, so that ordering one offering with two prices
// costs three. importJob and exportJob are those of kit/transfer.
package catalog

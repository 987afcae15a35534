// Package selfcare is what customers may do themselves: see what is left of what they
// have, and buy packs for it.
//
// Owns: the tokens of customers. It tells and hears nothing; what it does it does
// through the rooms that own it.
//
//	staff    ──POST /tandem-api/selfcare/v1/token──> a token of one customer, shown once
//	customer ──GET  /selfcare/v1/lines─────────────> products with numbers and balances
//	         ──GET  /selfcare/v1/lines/{id}/packs──> what can be bought for one, with prices
//	         ──GET  /selfcare/v1/lines/{id}/usage──> what was used in a period, and its price
//	         ──GET  /selfcare/v1/lines/{id}/statement─> balances at an instant, what came and went
//	         ──POST /selfcare/v1/orders────────────> order.Place: the pack relies on the line
//
// # Rules
//
//   - A customer's token opens these paths and nothing else: staff tokens and
//     customers' tokens are not the same sort of thing, and no role is given to one.
//   - What a token shows and changes belongs to its customer. What belongs to somebody
//     else is not there.
//   - A period has at most 92 days, a page of usage at most 100 records, a statement at
//     most 1000 entries.
//   - Customers have a rate of their own: what they ask for is not counted against the
//     tenant's people and systems, and one customer has a small part of it.
//   - Of a token only the SHA-256 is kept. One that is made anew leaves the others
//     valid; all of a customer's can be ended.
package selfcare

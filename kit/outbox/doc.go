// Package outbox carries facts up the house: a fact leaves with the transaction
// that made it true and takes effect at every hearer exactly once, in order per
// key.
//
// Owns: the told facts, one cursor a hearer, the parked facts and the record of
// dropped ones. Tells nothing and hears nothing itself; who hears what stands in
// app/flow.go and can be read back with [Bus.Score].
//
//	Tell(tx, f) ─┐ same tx                       ┌─> hearer A: lock cursor, handle, move cursor (one tx)
//	room rows ───┴> outbox_fact ──tail──> pump ──┼─> hearer B: ...        \
//	                     ▲ pruned                └─> hearer C               └─ fails ─> outbox_parked
//	                     └ when all passed                                     (same key waits behind it)
//
// # What holds
//
// Handling and the move of the cursor commit together, and the cursor row is
// locked meanwhile, so neither a crash nor a second node makes a fact take
// effect twice. A batch is tried in one transaction; if it fails, its facts are
// taken one by one, and the one that fails is parked: it is retried with
// back-off and stays visible until it succeeds or an operator drops it. Later
// facts of the same tenant and key wait behind it, for that hearer only. Facts
// of other keys, and other hearers, go on.
//
// # Several nodes
//
// All nodes run all hearers; for each batch, whoever gets the cursor row handles
// it. A fact is noticed at once on the node that told it and within [poll] on
// the others. A hearer that gets a further fact needs a new name while nodes of
// the old release still run: they would pass over facts they do not know.
package outbox

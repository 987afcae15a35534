// Package core decides on charges: accounts in memory, one decision at a time for
// each, answered only when the decision is durable.
//
// Owns: accounts (wallets), their buckets, counters, subscribers and open sessions;
// the format of the journal's records and of the snapshot's pages. Tells and hears
// nothing: package charging projects what the journal says.
//
//	credit.Call ──> resolve ──> shard: decide ──> moves ──> batch ──> kit/journal
//	      ^                        │ rating.Cost, rating.Units            │ durable
//	      └──────── Done <─────────┴──────────────────────────────────────┘
//
// A decision is a list of moves (op.go): each is made in memory and written down in
// the same call. Replay makes the same moves from the journal and decides nothing,
// so a price that has changed since does not change the past. A batch that could
// not be made durable takes back everything: the shards are forgotten and loaded
// anew, and no client was told anything of it.
//
// Quantities in a page or record are found by position; where one grew, a bool became a
// byte of flags (image.go), so that what an older engine wrote is read as it was meant.
//
// Octets, seconds and events are counted as they are, money at 10^-9 of the major
// unit; nothing is a float.
package core

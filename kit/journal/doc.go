// Package journal is an append-only log of blobs that one holder a shard writes to,
// with the leases that say who that is and the snapshot pages that make replays short.
//
// Owns: terms, leases, batches and pages. Tells and hears nothing, and knows nothing
// of what the blobs say.
//
//	holder ──Claim──> term ─┬─ leases of shards            projector ──Read──┐
//	   │                    │ fences                                         v
//	   ├──Append(batch)─────┴──> journal_batch: 1 row, 1 commit ──> 41 │ 42 │ 43 │ 44
//	   ├──Save(pages)──────────> journal_page: low = 43                ^ prune   │
//	   └──after a start or a take-over: Claim, Load, Replay <────────────────────┘
//
// A holder decides in memory, appends what it decided, and answers when Append has
// returned. Several logs, each with a name, may share a store.
//
// # Terms
//
// A term is the time in which a holder gains shards and loses none. It begins with the
// first Claim and has a line in journal_term, whose number is never used again. It ends
// as a whole, when its line is deleted: by another holder that takes over any of its
// shards, by the holder itself when it releases some (it keeps the others in a new
// term, and notices nothing) or when an append has failed. A holder that lost its term
// holds nothing: it claims anew, and loads and replays what it gains.
//
// # Why no shard has two masters
//
// Every append is one statement: INSERT .. SELECT .. FROM journal_term WHERE term = mine
// FOR SHARE. To delete the line of a term is the only way to take a shard from it.
//
//  1. A batch of a term is written only while the term's line is there, since the INSERT
//     takes its row from it.
//  2. The shared lock is kept until the append commits. A DELETE of the line therefore
//     waits for all appends that have found it, and an append that comes meanwhile waits
//     for the DELETE and finds nothing if that commits. So when the deletion of a term
//     has committed, every batch of it is committed or never will be. On SQLite there is
//     one writer, and nothing is under way at all.
//  3. A lease changes from one term to another only after the line of the first was
//     deleted in the same transaction, under the lock of the log's line in journal_log.
//  4. An append names shards only which the term was given by a committed Claim, and a
//     term loses none before it ends (by 3).
//
// So, per shard, the batches of a term are all committed before the first of the next
// term begins: in the order of seq, terms follow each other and never interleave, and a
// replay that starts after a Claim sees all there will ever be of earlier terms. The
// numbers of batches of different shards may become visible in another order than they
// were drawn; Read, which follows all shards, waits for gaps (store.Tail).
//
// Clocks decide nothing in this. expires_at, by the database's clock, says who may try
// to end the term of another; a clock that is wrong makes a holder lose its shards too
// early or too late, and it finds out at its next append.
//
// # Failures
//
// An append that fails for another reason than the fence (the connection broke) may
// still be under way at the server. Before the holder reads or writes again it ends its
// term, which by 2 settles the matter: the batch is durable, and the replay has it, or
// it never will be. The same goes for Save and Claim, but these cost the holder nothing:
// it goes on in a new term with the same shards.
//
// # Pruning
//
// A batch may go when no page needs it (Page.Low) and whoever follows the log has it.
// Prune looks at the pages itself; up to where the followers are is for its caller to
// say. A reader that starts below what was pruned finds what is left, and no error: it
// must know by itself that there was more.
//
// # Sizes
//
// An append costs one round trip on PostgreSQL and one fdatasync on either engine, so
// that batches are worth gathering: see [Floor] and BenchmarkAppend. On SQLite a journal
// wants a file, and so a writer, of its own (in a folder of its own, which the store
// locks), with [Checkpoint] for store.Config.Checkpoint.
package journal

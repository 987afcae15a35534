// Package work runs durable jobs and timers: what a transaction decided to do
// later, or over the network, is a row that survives everything until its
// outcome is written.
//
// Owns: the open and parked jobs, and the record of dropped ones. It tells and
// hears nothing; rooms enqueue in their own transactions and register handlers.
//
//	room tx ──Enqueue──> work_job(open) ──claim (lease, epoch)──> handler: talks to the element, no tx
//	                        ▲      │ attempts used up                 │
//	         error: back-off└──────┼──────────────────────────────────┤
//	                               ▼                                  ▼
//	                  work_job(parked): visible;        room tx: outcome + job.Finish(tx)
//	                  Release or Drop                   fenced by (id, epoch)
//
// # One job a key
//
// (tenant, kind, key) is unique. Enqueue of a key that is there already never
// makes a second job, and never gets lost:
//
//   - waiting: the earlier of both times holds, with the new payload;
//   - running: the job runs once more after this run, at the new time, with the
//     new payload (an Enqueue may be about something the run did not see yet);
//   - parked: the job is open again with no attempts used: a new intention is a
//     new try.
//
// To put a timer off, Cancel and Enqueue in one transaction.
//
// # Leases
//
// A claim raises the job's epoch and holds for the lease, which is renewed while
// the handler runs. Who loses it has its context cancelled; if it goes on
// nevertheless, Finish fails with [store.ErrStale] and its outcome is rolled
// back. Clocks decide only who may try, the epoch decides who may write. A
// handler can therefore run more than once for one outcome and must ensure, not
// do. On SQLite one process owns the file, so all leases of the former process
// are void when a runner starts.
package work

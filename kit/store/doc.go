// Package store keeps everything durable, with one SQL text on two engines:
// SQLite (embedded default) and PostgreSQL (when grown).
//
// Owns: the connection, the write path, migrations, the tail of append-only logs.
// It knows no telecom and no table but its own migration list.
//
//	caller ──Write(scope, fn)──> SQLite: one writer goroutine, many fns in one commit
//	                             PostgreSQL: one transaction a fn, statements pipelined
//	caller ──Group.Write(v)────> many values in one fn
//	caller ──Read(scope, fn)───> pool of readers
//
// # Tenants
//
// Every statement of a room goes through [Tx], whose $1 is always the tenant: a
// text without $1 is refused, so no query can be written without one. Only kit
// itself may work across tenants ([Tx.System]).
//
// # Durability
//
// When Write returns nil the change is on disk (SQLite WAL with synchronous=FULL,
// PostgreSQL synchronous_commit=on). Work that is not yet durable is never
// acknowledged. A fn may be run again after a serialisation failure: it must not
// leave traces outside the Tx but through [Tx.OnCommit].
//
// # Round trips
//
// On PostgreSQL a transaction costs what it asks more than what it writes. What is
// written waits ([Tx.Queue], [Tx.Insert]) until something is asked or the transaction
// ends; what is asked together ([Tx.Later]) is answered together. Callers that have the
// same to write share a transaction ([Group]).
//
// # Portable SQL
//
// $N placeholders, times as BIGINT microseconds since 1970 UTC, ids as TEXT,
// money as BIGINT, JSON read with ->> only, no DML in CTEs. Schema files are
// written once, in PostgreSQL's types with SQLite's STRICT; see [Dialect].
package store

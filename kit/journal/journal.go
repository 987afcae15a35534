package journal

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the journal's own tables.
func Schema() store.Schema { return store.Embedded("journal", schemaFiles) }

// ErrFenced says that this holder no longer holds what it wanted to write to, or
// never did. Nothing was written.
var ErrFenced = errors.New("journal: the shards are not held here")

// Batch is what one append makes durable: all of it or nothing.
type Batch struct {
	Shards      Set   // whose records are in it; never empty
	Records     int   // how many records
	First, Last int64 // when the first and the last of them happened, Unix microseconds
	Blob        []byte
}

// Options say who writes to a log.
type Options struct {
	Holder  string        // unique per process start
	Address string        // where other nodes reach the holder
	Lease   time.Duration // how long a holder that does not renew is left alone; 0: DefaultLease
	Log     *slog.Logger
}

// DefaultLease is the lease of Options that do not give one.
const DefaultLease = 10 * time.Second

// Log is one append-only log as one holder sees it. It is safe for concurrent
// use; there is one Log a process and name, since it owns the holder's term.
type Log struct {
	db   *store.DB
	name string
	o    Options
	tail *store.Tail

	// leasing is held by whoever means to change the term: before mu.
	leasing sync.Mutex
	// mu is held for reading while a term is used and for writing while it changes:
	// so a release of some shards does not fence an append to others.
	mu   sync.RWMutex
	term int64 // 0 while none is held
	held Set

	// doubt says that a write's outcome is not known: it may still become durable.
	// The term is ended before anything is read or written again.
	doubt atomic.Bool
	lost  atomic.Bool // all that is held; doubt is set as well

	unneeded atomic.Int64 // no page needs a batch up to here
}

// New is the named log in db, of which nothing is held yet.
func New(db *store.DB, name string, o Options) *Log {
	if o.Lease <= 0 {
		o.Lease = DefaultLease
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Log{db: db, name: name, o: o, tail: db.Tail("journal_batch")}
}

// Held is the shards of the present term, as far as this holder knows.
func (l *Log) Held() Set {
	_, held := l.present()
	return held
}

func (l *Log) present() (term int64, held Set) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.lost.Load() {
		return l.term, Set{}
	}
	return l.term, l.held
}

func (l *Log) write(ctx context.Context, fn func(*store.Tx) error) error {
	return l.db.Write(ctx, store.Scope{Actor: "system:journal"}, fn)
}

const appendBatch = `INSERT INTO journal_batch
	(log, term, shards_0, shards_1, shards_2, shards_3, records, first_at, last_at, at, blob)
	SELECT $2, term, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM journal_term WHERE term = $1`

// Append writes the batch and returns its number. When err is nil it is durable.
// After an error the holder holds nothing more: it forgets what it knows of its
// shards, claims anew, and loads and replays what it gains. With ErrFenced nothing
// was written; after another error the replay tells whether it was.
func (l *Log) Append(ctx context.Context, b *Batch) (seq int64, err error) {
	err = l.fenced(ctx, &l.lost, b.Shards, func(tx *store.Tx, term int64) error {
		tx.Append()
		w := b.Shards.words()
		tx.System().QueueGet(&seq, appendBatch+share(tx)+" RETURNING seq", term, l.name, w[0], w[1], w[2], w[3],
			b.Records, b.First, b.Last, store.Micros(tx.Now()), octets(b.Blob))
		return nil
	})
	if err != nil {
		return 0, err
	}
	return seq, nil
}

// octets is a blob that is not NULL.
func octets(blob []byte) []byte {
	if blob == nil {
		return []byte{}
	}
	return blob
}

// share is appended to the SELECT that finds the term of a write: it lets the end
// of the term wait for the write, and the write for the end of the term.
func share(tx *store.Tx) string {
	if tx.Dialect() == store.Postgres {
		return " FOR SHARE"
	}
	return ""
}

// fenced runs a write to shards in the present term. fn fails with store.ErrStale if
// it finds the term no more. If it fails, mark is set besides doubt.
func (l *Log) fenced(ctx context.Context, mark *atomic.Bool, shards Set, fn func(*store.Tx, int64) error) error {
	err := l.settle(ctx)
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err == nil {
		err = ErrFenced
		if shards != (Set{}) && l.held.Covers(shards) {
			err = l.write(ctx, func(tx *store.Tx) error { return fn(tx, l.term) })
		}
	}
	if errors.Is(err, store.ErrStale) {
		err = ErrFenced
	}
	if err != nil {
		mark.Store(true)
		l.doubt.Store(true)
	}
	return err
}

// settle ends doubt: when the term has ended, what was under way in it either is
// durable or never will be.
func (l *Log) settle(ctx context.Context) error {
	if !l.doubt.Load() {
		return nil
	}
	l.leasing.Lock()
	defer l.leasing.Unlock()
	return l.settleLeasing(ctx)
}

func (l *Log) settleLeasing(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.doubt.Load() {
		return nil
	}
	if err := l.move(ctx, l.held); err != nil {
		return fmt.Errorf("journal: settle a write of unknown outcome: %w", err)
	}
	return nil
}

// Checkpoint is what store.Config.Checkpoint should be for a SQLite file that holds a
// journal. Blobs are written once, so that more would gain nothing: the sixteenth of it
// that is folded at a time is on the disk within some milliseconds.
const Checkpoint = 16 << 20

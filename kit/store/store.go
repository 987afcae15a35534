package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Config says where the data lives. Exactly one of Path and URL is set.
type Config struct {
	Path  string // SQLite file; its folder must exist
	URL   string // postgres://...
	Conns int    // PostgreSQL connections, or SQLite readers; 0: a default
	// Checkpoint is how large SQLite's write-ahead log becomes, in octets, about, before it
	// is written from its beginning again; 0: 64 MB. It is folded into the file beside the
	// writer, a sixteenth of that at a time. Pages that are changed again and again are
	// folded less often if it is larger; large rows that are only added gain nothing by it.
	Checkpoint int64
	Clock      func() time.Time // tests freeze it; nil: time.Now
	Log        *slog.Logger

	// Around is called before every commit (durable false) and after it (true):
	// tests end the process there. nil: nothing.
	Around func(durable bool)
}

// Errors a room may meet. Everything else is a defect or an outage.
var (
	ErrNotFound = errors.New("store: no such row")
	ErrStale    = errors.New("store: the row was changed by someone else")
	ErrClosed   = errors.New("store: closed")
	ErrAway     = errors.New("store: the database is out of reach")
)

// Unique is a broken UNIQUE or PRIMARY KEY constraint.
type Unique struct {
	Constraint string // PostgreSQL: constraint name; SQLite: table.column list
	Err        error
}

func (u *Unique) Error() string { return "store: not unique: " + u.Constraint }
func (u *Unique) Unwrap() error { return u.Err }

// IsUnique reports whether err is a broken uniqueness constraint that names part.
func IsUnique(err error, part string) bool {
	var u *Unique
	return errors.As(err, &u) && strings.Contains(u.Constraint, part)
}

// Scope says for whom and by whom a transaction runs.
type Scope struct {
	Tenant string // the operator brand; empty only for kit's own cross-tenant work
	Actor  string // "user:ann", "token:ci", "system:fulfilment": written into the audit
}

// Rows is a result set. Close it.
type Rows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close()
}

type engine interface {
	write(context.Context, Scope, func(*Tx) error) error
	read(context.Context, Scope, func(*Tx) error) error
	horizon(context.Context) (oldest int64, err error) // transaction that still runs
	newest(context.Context) (int64, error)             // a number above all of transactions that have begun to write
	close()
}

// DB is an open store, shared by all rooms.
type DB struct {
	engine
	dialect Dialect
	clock   func() time.Time
	log     *slog.Logger
	around  func(durable bool)
	closed  sync.Once
}

// Open opens or creates the store.
func Open(ctx context.Context, c Config) (*DB, error) {
	db := &DB{clock: c.Clock, log: c.Log, around: c.Around}
	if db.around == nil {
		db.around = func(bool) {}
	}
	if db.clock == nil {
		db.clock = time.Now
	}
	if db.log == nil {
		db.log = slog.Default()
	}
	var err error
	switch {
	case c.URL != "" && c.Path != "":
		return nil, errors.New("store: give a file or a database URL, not both")
	case c.URL != "":
		db.dialect = Postgres
		db.engine, err = openPostgres(ctx, c, db)
	case c.Path != "":
		db.engine, err = openSQLite(ctx, c, db)
	default:
		return nil, errors.New("store: neither a file nor a database URL is given")
	}
	if err != nil {
		return nil, fmt.Errorf("open %s store: %w", db.dialect, err)
	}
	return db, nil
}

// Dialect is the engine in use.
func (db *DB) Dialect() Dialect { return db.dialect }

// Now is the store's clock, in UTC and whole microseconds.
func (db *DB) Now() time.Time { return db.clock().UTC().Truncate(time.Microsecond) }

// Close waits for running writes and closes the store.
func (db *DB) Close() { db.closed.Do(db.engine.close) }

// Write runs fn in a transaction. When it returns nil, what fn wrote is durable.
func (db *DB) Write(ctx context.Context, s Scope, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.write(ctx, s, fn)
}

// Read runs fn on a reader. Each statement sees the newest committed state.
func (db *DB) Read(ctx context.Context, s Scope, fn func(*Tx) error) error {
	return db.read(ctx, s, fn)
}

// Snapshot runs fn on a reader all of whose statements see one state, whatever is
// committed meanwhile: for who adds up what lies in several statements.
func (db *DB) Snapshot(ctx context.Context, s Scope, fn func(*Tx) error) error {
	return db.read(ctx, s, func(tx *Tx) (err error) {
		if err := tx.session.hold(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, tx.session.letGo()) }()
		return fn(tx)
	})
}

// Ready asks the engine for one answer; nil means it can serve.
func (db *DB) Ready(ctx context.Context) error {
	return db.Read(ctx, Scope{}, func(tx *Tx) error {
		var one int64
		return tx.System().Row("SELECT 1").Scan(&one)
	})
}

// safely turns a panic of fn into an error, so that one room's defect cannot
// take the writer and every other caller with it.
func safely(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("store: panic in transaction: %v\n%s", p, stack())
		}
	}()
	return fn(tx)
}

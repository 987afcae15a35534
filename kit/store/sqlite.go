package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	maxBatch     = 256                   // transactions that share one commit
	maxBatchTime = 20 * time.Millisecond // a batch takes no new members after this
	stmtLimit    = 1000                  // prepared statements kept per connection
)

// sqliteEngine has one writer goroutine, which owns the only writing connection,
// and a pool of readers. The writer puts all transactions that wait into one
// commit, each in its own savepoint, so that one fdatasync serves them all.
type sqliteEngine struct {
	db      *DB
	pool    *sql.DB
	writer  *sqliteConn
	readers chan *sqliteConn
	queue   chan *writeRequest
	stop    chan struct{}
	stopped chan struct{}
	lock    *os.File
}

type writeRequest struct {
	ctx   context.Context
	scope Scope
	fn    func(*Tx) error
	done  chan error
	hooks []func()
}

func openSQLite(ctx context.Context, c Config, db *DB) (*sqliteEngine, error) {
	lock, err := lockFolder(filepath.Dir(c.Path))
	if err != nil {
		return nil, err
	}
	if c.Conns == 0 {
		c.Conns = 4
	}
	pool, err := sql.Open("sqlite", c.Path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=temp_store(2)")
	if err != nil {
		return nil, err
	}
	e := &sqliteEngine{db: db, pool: pool, lock: lock, readers: make(chan *sqliteConn, c.Conns),
		queue: make(chan *writeRequest, 4*maxBatch), stop: make(chan struct{}), stopped: make(chan struct{})}
	if e.writer, err = e.connect(ctx, "PRAGMA cache_size=-48000", "PRAGMA wal_autocheckpoint=4000", "PRAGMA journal_size_limit=134217728"); err != nil {
		return nil, err
	}
	for range c.Conns {
		r, err := e.connect(ctx, "PRAGMA cache_size=-8000", "PRAGMA query_only=1")
		if err != nil {
			return nil, err
		}
		e.readers <- r
	}
	go e.loop()
	return e, nil
}

// lockFolder makes sure that one process owns the data folder.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("data folder %s is in use by another process", dir)
	}
	return f, nil
}

func (e *sqliteEngine) connect(ctx context.Context, pragmas ...string) (*sqliteConn, error) {
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	c := &sqliteConn{conn: conn, stmts: map[string]*sql.Stmt{}}
	for _, p := range pragmas {
		if _, err := conn.ExecContext(ctx, p); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return c, nil
}

func (e *sqliteEngine) close() {
	close(e.stop)
	<-e.stopped
	for range cap(e.readers) {
		r := <-e.readers
		r.close()
	}
	e.writer.close()
	e.pool.Close()
	e.lock.Close()
}

func (e *sqliteEngine) horizon(context.Context) (int64, int64, error) { return 0, 0, nil }

func (e *sqliteEngine) read(ctx context.Context, s Scope, fn func(*Tx) error) error {
	var c *sqliteConn
	select {
	case c = <-e.readers:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stop:
		return ErrClosed
	}
	defer func() { e.readers <- c }()
	return safely(fn, &Tx{db: e.db, session: c, ctx: ctx, scope: s, now: e.db.Now()})
}

func (e *sqliteEngine) write(ctx context.Context, s Scope, fn func(*Tx) error) error {
	r := &writeRequest{ctx: ctx, scope: s, fn: fn, done: make(chan error, 1)}
	select {
	case e.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.stop:
		return ErrClosed
	}
	// The outcome is awaited even if the caller gives up: after this point the
	// change may become durable, and only the answer says whether it did.
	select {
	case err := <-r.done:
		return err
	case <-e.stopped:
		select {
		case err := <-r.done:
			return err
		default:
			return ErrClosed
		}
	}
}

func (e *sqliteEngine) loop() {
	defer close(e.stopped)
	batch := make([]*writeRequest, 0, maxBatch)
	for {
		select {
		case r := <-e.queue:
			batch = append(batch[:0], r)
		case <-e.stop:
			return
		}
		e.commitBatch(batch)
	}
}

// commitBatch runs the first request and all that wait, then commits once.
func (e *sqliteEngine) commitBatch(batch []*writeRequest) {
	if _, err := e.writer.exec("BEGIN IMMEDIATE", nil); err != nil {
		batch[0].done <- err
		return
	}
	started := time.Now()
	var ran []*writeRequest
	for next := batch[0]; next != nil; {
		if err := e.runOne(next); err != nil {
			next.done <- err
		} else {
			ran = append(ran, next)
		}
		next = nil
		if len(ran) < maxBatch && time.Since(started) < maxBatchTime {
			select {
			case next = <-e.queue:
			default:
			}
		}
	}
	_, err := e.writer.exec("COMMIT", nil)
	if err != nil {
		_, _ = e.writer.exec("ROLLBACK", nil) // the COMMIT error is the one to tell
	}
	for _, r := range ran {
		if err == nil {
			for _, f := range r.hooks {
				f()
			}
		}
		r.done <- err
	}
}

// runOne runs a request in its own savepoint, so that its failure takes nothing
// of the others with it.
func (e *sqliteEngine) runOne(r *writeRequest) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if _, err := e.writer.exec("SAVEPOINT one", nil); err != nil {
		return err
	}
	tx := &Tx{db: e.db, session: e.writer, ctx: r.ctx, scope: r.scope, now: e.db.Now(), writes: true}
	err := safely(r.fn, tx)
	if err == nil {
		err = e.writer.failed
	}
	e.writer.failed = nil
	if err == nil {
		r.hooks = tx.commit
		_, err = e.writer.exec("RELEASE one", nil)
		return err
	}
	if _, back := e.writer.exec("ROLLBACK TO one", nil); back != nil {
		return errors.Join(err, back)
	}
	_, rel := e.writer.exec("RELEASE one", nil)
	return errors.Join(err, rel)
}

// sqliteConn is one connection with its prepared statements.
type sqliteConn struct {
	conn   *sql.Conn
	stmts  map[string]*sql.Stmt
	failed error // first error of a queued statement in this transaction
}

func (c *sqliteConn) close() {
	for _, s := range c.stmts {
		s.Close()
	}
	c.conn.Close()
}

// background is the context of every statement: modernc starts a goroutine per
// call for a cancellable one, and a half-run statement helps nobody.
var background = context.Background()

func (c *sqliteConn) prepare(text string) (*sql.Stmt, error) {
	if s, ok := c.stmts[text]; ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(background, text)
	if err != nil {
		return nil, fmt.Errorf("%w in %s", err, text)
	}
	if len(c.stmts) >= stmtLimit {
		for k, old := range c.stmts {
			old.Close()
			delete(c.stmts, k)
			break
		}
	}
	c.stmts[text] = s
	return s, nil
}

func (c *sqliteConn) query(text string, args []any) (Rows, error) {
	if c.failed != nil {
		return nil, c.failed
	}
	s, err := c.prepare(text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(background, args...)
	if err != nil {
		return nil, sqliteError(err)
	}
	return sqliteRows{rows}, nil
}

func (c *sqliteConn) exec(text string, args []any) (int64, error) {
	if c.failed != nil && text != "ROLLBACK" {
		return 0, c.failed
	}
	s, err := c.prepare(text)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(background, args...)
	if err != nil {
		return 0, sqliteError(err)
	}
	return res.RowsAffected()
}

// queue runs at once: there is no round trip to save.
func (c *sqliteConn) queue(text string, args []any, want int64) {
	if c.failed != nil {
		return
	}
	n, err := c.exec(text, args)
	if err == nil && want >= 0 && n != want {
		err = ErrStale
	}
	c.failed = err
}

func (c *sqliteConn) flush() error { return c.failed }

type sqliteRows struct{ *sql.Rows }

func (r sqliteRows) Close()     { r.Rows.Close() }
func (r sqliteRows) Err() error { return sqliteError(r.Rows.Err()) }

func sqliteError(err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		text := strings.TrimPrefix(se.Error(), "constraint failed: UNIQUE constraint failed: ")
		return &Unique{Constraint: strings.ReplaceAll(text, ".", "_"), Err: err}
	}
	return err
}

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	maxBatch     = 256                   // transactions that share one commit
	maxBatchTime = 50 * time.Millisecond // a batch takes no new members after this
	pageSize     = 4096                  // SQLite's default; larger pages made appends of large rows slower too
)

// sqliteEngine has one writer goroutine, which owns the only writing connection,
// and a pool of readers. The writer puts all transactions that wait into one
// commit, so that one fdatasync serves them all.
type sqliteEngine struct {
	db      *DB
	writer  *sqliteConn
	folder  *checkpointer
	often   int64 // octets written after which the log is folded
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
	keepHeap()
	lock, err := lockFolder(ctx, filepath.Dir(c.Path))
	if err != nil {
		return nil, err
	}
	if c.Conns == 0 {
		c.Conns = 4
	}
	e := &sqliteEngine{db: db, lock: lock, readers: make(chan *sqliteConn, c.Conns),
		queue: make(chan *writeRequest, 4*maxBatch), stop: make(chan struct{}), stopped: make(chan struct{})}
	if c.Checkpoint == 0 {
		c.Checkpoint = 16000 * pageSize
	}
	checkpoint := fmt.Sprintf("PRAGMA wal_autocheckpoint=%d", max(1, c.Checkpoint/pageSize))
	if e.writer, err = connect(c.Path, "PRAGMA synchronous=FULL", "PRAGMA cache_size=-48000", checkpoint, "PRAGMA journal_size_limit=134217728"); err != nil {
		return nil, err
	}
	for range c.Conns {
		r, err := connect(c.Path, "PRAGMA cache_size=-8000", "PRAGMA query_only=1")
		if err != nil {
			return nil, err
		}
		e.readers <- r
	}
	e.often = max(pageSize, c.Checkpoint/foldings)
	if e.folder, err = newCheckpointer(c.Path, c.Checkpoint/pageSize, func(err error) {
		db.log.Warn("store: the log could not be folded into the file; trying again", "err", err)
	}); err != nil {
		return nil, err
	}
	go e.loop()
	return e, nil
}

// lockPatience is how long a node waits for the one before it to let go of the
// folder: the last moments of a process, or of a child that was being started.
const lockPatience = 3 * time.Second

// lockFolder makes sure that one process owns the data folder.
func lockFolder(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	late := time.After(lockPatience)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-late:
			f.Close()
			return nil, fmt.Errorf("data folder %s is in use by another process", dir)
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
}

func (e *sqliteEngine) close() {
	close(e.stop)
	<-e.stopped
	e.folder.close()
	for range cap(e.readers) {
		r := <-e.readers
		r.close()
	}
	e.writer.close()
	e.lock.Close()
}

func (e *sqliteEngine) horizon(context.Context) (int64, error) { return 0, nil }
func (e *sqliteEngine) newest(context.Context) (int64, error)  { return 0, nil }

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
	c.conn.SetInterrupt(ctx.Done()) // a query nobody waits for would keep the reader from others
	defer c.conn.SetInterrupt(nil)
	c.failed = nil
	err := safely(fn, &Tx{db: e.db, session: c, ctx: ctx, scope: s, now: e.db.Now()})
	if err == nil {
		err = c.failed
	}
	if err != nil && ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
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

// commitBatch runs the first request and all that wait, then commits once. It
// hopes that none fails: then they need no savepoints, which would copy every
// page they touch. If one does fail, all is undone and the same requests run
// again, each in a savepoint of its own, so that the failure takes nothing of the
// others with it.
func (e *sqliteEngine) commitBatch(batch []*writeRequest) {
	batch, err := e.gather(batch)
	if err == nil {
		err = e.commit()
	}
	if err != nil {
		e.rollback()
		batch, err = e.oneByOne(batch)
	}
	for _, r := range batch {
		if err == nil {
			for _, f := range r.hooks {
				f()
			}
		}
		r.done <- err
	}
}

// gather begins a transaction and runs requests in it as they come, until one
// fails or there are enough.
func (e *sqliteEngine) gather(batch []*writeRequest) ([]*writeRequest, error) {
	if _, err := e.writer.exec("BEGIN IMMEDIATE", nil); err != nil {
		return batch, err
	}
	started := time.Now()
	for next := batch[0]; ; {
		if err := e.runOne(next); err != nil {
			return batch, err
		}
		if len(batch) == maxBatch || time.Since(started) > maxBatchTime {
			return batch, nil
		}
		select {
		case next = <-e.queue:
			batch = append(batch, next)
		default:
			return batch, nil
		}
	}
}

// oneByOne runs requests in savepoints and commits those that succeed; the others
// are answered here. It returns the requests that the commit decides.
func (e *sqliteEngine) oneByOne(batch []*writeRequest) ([]*writeRequest, error) {
	if _, err := e.writer.exec("BEGIN IMMEDIATE", nil); err != nil {
		return batch, err
	}
	var ran []*writeRequest
	for _, r := range batch {
		if err := e.runInSavepoint(r); err != nil {
			r.done <- err
			continue
		}
		ran = append(ran, r)
	}
	err := e.commit()
	if err != nil {
		e.rollback()
	}
	return ran, err
}

func (e *sqliteEngine) commit() error {
	e.db.around(false)
	_, err := e.writer.exec("COMMIT", nil)
	if err != nil {
		return err
	}
	if e.writer.octets >= e.often {
		e.writer.octets = 0
		e.folder.fold()
	}
	e.db.around(true)
	return nil
}

// rollback gives the batch up. Its error would say no more than the one that led
// here.
func (e *sqliteEngine) rollback() {
	e.writer.failed = nil
	_, _ = e.writer.exec("ROLLBACK", nil)
}

// runOne runs a request in the open transaction.
func (e *sqliteEngine) runOne(r *writeRequest) error {
	r.hooks = nil
	if err := r.ctx.Err(); err != nil {
		return err
	}
	tx := &Tx{db: e.db, session: e.writer, ctx: r.ctx, scope: r.scope, now: e.db.Now(), writes: true}
	err := safely(r.fn, tx)
	if err == nil {
		err = e.writer.flush()
	}
	e.writer.dropRows()
	r.hooks = tx.commit
	return err
}

func (e *sqliteEngine) runInSavepoint(r *writeRequest) error {
	if _, err := e.writer.exec("SAVEPOINT one", nil); err != nil {
		return err
	}
	err := e.runOne(r)
	e.writer.failed = nil
	if err == nil {
		_, err = e.writer.exec("RELEASE one", nil)
		return err
	}
	if _, back := e.writer.exec("ROLLBACK TO one", nil); back != nil {
		return errors.Join(err, back)
	}
	_, rel := e.writer.exec("RELEASE one", nil)
	return errors.Join(err, rel)
}

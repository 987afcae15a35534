package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const maxTries = 5 // of a transaction that met a serialisation failure or deadlock

// postgresEngine runs each transaction on a connection of its own; PostgreSQL
// groups the commits. Queued statements, BEGIN and COMMIT travel in pipelines.
type postgresEngine struct {
	db   *DB
	pool *pgxpool.Pool
}

func openPostgres(ctx context.Context, c Config, db *DB) (*postgresEngine, error) {
	cfg, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Conns == 0 {
		c.Conns = 8
	}
	cfg.MaxConns = int32(c.Conns)
	cfg.ConnConfig.RuntimeParams["timezone"] = "UTC"
	cfg.ConnConfig.RuntimeParams["application_name"] = "tandem"
	// Statements are prepared once, often while a table is still empty, and keep
	// their plan until its statistics change (or see newSession). Every statement of the
	// house has an index to go by: a plan that scans or hashes a whole table is never
	// meant.
	// The compiler of plans would take every forbidden scan, of a table of ten rows
	// too, for dear enough to compile: 50 ms and more each time.
	for _, plan := range []string{"enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"} {
		cfg.ConnConfig.RuntimeParams[plan] = "off"
	}
	// What a node that vanished had under way holds locks until the server notices:
	// after 15 s, not after the two hours of its system.
	for name, seconds := range map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "2"} {
		cfg.ConnConfig.RuntimeParams[name] = seconds
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return &postgresEngine{db, pool}, nil
}

func (e *postgresEngine) close() { e.pool.Close() }

// horizon is the oldest transaction that still runs.
func (e *postgresEngine) horizon(ctx context.Context) (xmin int64, err error) {
	err = e.pool.QueryRow(ctx, "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint").Scan(&xmin)
	return xmin, err
}

// newest draws a transaction number. The xmax of a snapshot would not do: it is one
// more than the newest number that has ended, and higher ones may be at work.
func (e *postgresEngine) newest(ctx context.Context) (xid int64, err error) {
	err = e.pool.QueryRow(ctx, "SELECT pg_current_xact_id()::text::bigint").Scan(&xid)
	return xid, err
}

func (e *postgresEngine) read(ctx context.Context, s Scope, fn func(*Tx) error) error {
	conn, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	p := newSession(ctx, conn.Conn())
	tx := &Tx{db: e.db, session: p, ctx: ctx, scope: s, now: e.db.Now(), dialect: Postgres}
	err = safely(fn, tx)
	if err == nil && p.asks() {
		err = p.flush()
	}
	return away(err, conn)
}

func (e *postgresEngine) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := e.pool.Acquire(ctx)
	if err != nil && ctx.Err() == nil {
		err = errors.Join(ErrAway, err)
	}
	return conn, err
}

// away marks an error that came with the loss of the connection.
func away(err error, conn *pgxpool.Conn) error {
	if err != nil && conn.Conn().IsClosed() {
		return errors.Join(ErrAway, err)
	}
	return err
}

func (e *postgresEngine) write(ctx context.Context, s Scope, fn func(*Tx) error) error {
	for try := 1; ; try++ {
		err := e.writeOnce(ctx, s, fn)
		if err == nil || try == maxTries || !again(err) {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// again reports a failure that a fresh run of the same transaction may not meet.
func again(err error) bool { return isCode(err, "40001") || isCode(err, "40P01") }

const divisionByZero = "22012"

func isCode(err error, code string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == code
}

func (e *postgresEngine) writeOnce(ctx context.Context, s Scope, fn func(*Tx) error) error {
	conn, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	// A transaction once begun is decided, not abandoned half way: the caller's
	// deadline ends waiting for a connection, not the work on it.
	run := context.WithoutCancel(ctx)
	p := newSession(run, conn.Conn())
	p.queue("BEGIN", nil, -1)
	tx := &Tx{db: e.db, session: p, ctx: ctx, scope: s, now: e.db.Now(), dialect: Postgres, writes: true}
	err = safely(fn, tx)
	if err == nil && p.asks() { // an answer may end the transaction
		err = p.flush()
	}
	if err == nil {
		e.db.around(false)
		tx.writeLogs()
		p.queue("COMMIT", nil, -1)
		err = p.flush()
	}
	if err != nil {
		if p.begun {
			if _, back := conn.Conn().Exec(run, "ROLLBACK"); back != nil {
				conn.Conn().Close(run)
			}
		}
		return away(err, conn)
	}
	e.db.around(true)
	for _, f := range tx.commit {
		f()
	}
	return nil
}

type pgQueued struct {
	sql  string
	args []any
	want int64
	dest *int64           // where its one number goes, or nil
	read func(Rows) error // takes its rows, or nil
	cols int              // of an insert, whose sql lacks the values: args are those of a row or more
}

// pgSession sends queued statements in one pipeline with the next query.
type pgSession struct {
	ctx     context.Context
	conn    *pgx.Conn
	pending []pgQueued
	rows    map[string]int // insert -> its place in pending, to which rows may be added
	begun   bool
	failed  error // first failure of a queued statement: the transaction is lost
}

// firstPlans is how often a connection is used before it plans its statements anew
// for the first time.
const firstPlans = 64

// newSession is the next use of a connection. At its 64th, 128th, 256th use and so on
// the connection forgets its plans. One made while a table was empty may go by any
// index, one on the tenant alone for instance, and costs more with every row: new
// statistics, which would end it, come after a minute or never.
func newSession(ctx context.Context, conn *pgx.Conn) *pgSession {
	p := &pgSession{ctx: ctx, conn: conn}
	data := conn.PgConn().CustomData()
	uses, _ := data["uses"].(int) // none at the first
	uses++
	data["uses"] = uses
	if uses >= firstPlans && uses&(uses-1) == 0 {
		p.queue("DISCARD PLANS", nil, -1)
	}
	return p
}

// queue keeps a statement for the next pipeline. One that must touch exactly one
// row is wrapped so that the server itself fails on any other number: the COMMIT
// may travel in the same pipeline, and must not be reached then.
func (p *pgSession) queue(sql string, args []any, want int64) {
	if want == 1 {
		sql = "WITH one AS (" + sql + " RETURNING 1) SELECT 1 / (count(*) = 1)::int FROM one"
	}
	p.add(pgQueued{sql: sql, args: args, want: want})
}

// queueGet fails on the server, as queue of one row does.
func (p *pgSession) queueGet(dest *int64, sql string, args []any) {
	sql = "WITH one(n) AS (" + sql + ") SELECT coalesce(max(n), 0) / (count(*) = 1)::int FROM one"
	p.add(pgQueued{sql: sql, args: args, want: 1, dest: dest})
}

func (p *pgSession) later(read func(Rows) error, sql string, args []any) {
	p.add(pgQueued{sql: sql, args: args, want: -1, read: read})
}

// asks says that somebody waits for rows of what is queued.
func (p *pgSession) asks() bool {
	return slices.ContainsFunc(p.pending, func(q pgQueued) bool { return q.read != nil })
}

func (q *pgQueued) result(res pgx.BatchResults) (pgconn.CommandTag, error) {
	switch {
	case q.read != nil:
		rows, err := res.Query()
		return pgconn.CommandTag{}, give(&pgRows{Rows: rows}, err, q.read)
	case q.dest != nil:
		return pgconn.CommandTag{}, res.QueryRow().Scan(q.dest)
	}
	return res.Exec()
}

// send puts the pending statements and, if given, one more into a pipeline and
// reads the results of the pending ones.
func (p *pgSession) send(sql string, args []any) (pgx.BatchResults, error) {
	if p.failed != nil {
		return nil, p.failed
	}
	b, sent := &pgx.Batch{}, split(p.pending)
	for _, q := range sent {
		b.Queue(q.sql, q.args...)
	}
	if sql != "" {
		b.Queue(sql, args...)
	}
	p.pending, p.rows = nil, nil
	p.begun = true
	res := p.conn.SendBatch(p.ctx, b)
	for _, q := range sent {
		tag, err := q.result(res)
		if q.want == 1 && isCode(err, divisionByZero) {
			err = ErrStale
		}
		if err == nil && q.sql == "COMMIT" && tag.String() != "COMMIT" {
			err = errors.New("store: the transaction was rolled back at commit")
		}
		if err != nil {
			res.Close()
			p.failed = pgError(err)
			return nil, p.failed
		}
	}
	return res, nil
}

func (p *pgSession) flush() error {
	if len(p.pending) == 0 {
		return nil
	}
	res, err := p.send("", nil)
	if err != nil {
		return err
	}
	return pgError(res.Close())
}

func (p *pgSession) query(sql string, args []any) (Rows, error) {
	if p.failed != nil {
		return nil, p.failed
	}
	if len(p.pending) == 0 {
		p.begun = true
		rows, err := p.conn.Query(p.ctx, sql, args...)
		if err != nil {
			return nil, pgError(err)
		}
		return &pgRows{Rows: rows}, nil
	}
	res, err := p.send(sql, args)
	if err != nil {
		return nil, err
	}
	rows, err := res.Query()
	if err != nil {
		res.Close()
		return nil, pgError(err)
	}
	return &pgRows{rows, res}, nil
}

// hold begins one view of the store. What is queued before it, such as the forgetting of
// plans, goes ahead by itself: a transaction cannot change its isolation after a statement.
func (p *pgSession) hold() error {
	if err := p.flush(); err != nil {
		return err
	}
	_, err := p.exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", nil)
	return err
}

// letGo ends the view. A connection on which that fails is not used again: the pool drops
// one that is in a transaction.
func (p *pgSession) letGo() error {
	_, err := p.exec("ROLLBACK", nil)
	return err
}

func (p *pgSession) exec(sql string, args []any) (int64, error) {
	res, err := p.send(sql, args)
	if err != nil {
		return 0, err
	}
	tag, err := res.Exec()
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	return tag.RowsAffected(), pgError(err)
}

type pgRows struct {
	pgx.Rows
	batch pgx.BatchResults
}

func (r *pgRows) Err() error { return pgError(r.Rows.Err()) }

func (r *pgRows) Close() {
	r.Rows.Close()
	if r.batch != nil {
		r.batch.Close()
		r.batch = nil
	}
}

func pgError(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "23505" {
		return &Unique{Constraint: pe.ConstraintName, Err: err}
	}
	return err
}

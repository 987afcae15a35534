package store

import (
	"context"
	"fmt"
	"regexp"
	"runtime/debug"
	"sync"
	"time"
)

func stack() []byte { return debug.Stack() }

// session is what an engine offers to a running transaction.
type session interface {
	query(sql string, args []any) (Rows, error)
	exec(sql string, args []any) (int64, error)
	// queue defers a statement to the next query, exec or the commit; want is 1
	// if it must touch exactly one row, or -1.
	queue(sql string, args []any, want int64)
	queueGet(dest *int64, sql string, args []any)
	later(read func(Rows) error, sql string, args []any) // see Tx.Later
	insert(into string, args []any)                      // see Tx.Insert
	hold() error                                         // one view for a reader, until letGo
	letGo() error
	flush() error
}

// Tx is a running transaction (or a reader). It is used by one goroutine.
type Tx struct {
	session
	ctx     context.Context
	scope   Scope
	now     time.Time
	dialect Dialect
	root    *Tx // shared parts when this Tx is a view of another
	commit  []func()
	logged  bool
	logs    []logRow
	writes  bool
	memo    map[any]any
	db      *DB
}

// DB is the store the transaction runs on.
func (tx *Tx) DB() *DB { return tx.db }

// Context is the caller's, for cancellation only.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Tenant is whose data this transaction sees.
func (tx *Tx) Tenant() string { return tx.scope.Tenant }

// Actor is who is acting, for the audit.
func (tx *Tx) Actor() string { return tx.scope.Actor }

// Now is the transaction's instant, the same for everything it writes.
func (tx *Tx) Now() time.Time { return tx.now }

// Dialect is the engine in use.
func (tx *Tx) Dialect() Dialect { return tx.dialect }

// Writable reports whether the transaction may write.
func (tx *Tx) Writable() bool { return tx.top().writes }

func (tx *Tx) top() *Tx {
	if tx.root != nil {
		return tx.root
	}
	return tx
}

// As is the same transaction for another tenant and actor. Only kit and app may
// use it (the law of floors checks it): it is how one batch serves many tenants.
func (tx *Tx) As(s Scope) *Tx {
	view := *tx
	view.scope, view.root, view.commit, view.memo = s, tx.top(), nil, nil
	return &view
}

// OnCommit runs f after the transaction is durable, and not at all if it fails.
func (tx *Tx) OnCommit(f func()) {
	t := tx.top()
	t.commit = append(t.commit, f)
}

// Memo keeps a value for the life of the transaction, per tenant view.
func (tx *Tx) Memo(key any, make func() (any, error)) (any, error) {
	if v, ok := tx.memo[key]; ok {
		return v, nil
	}
	v, err := make()
	if err == nil {
		if tx.memo == nil {
			tx.memo = map[any]any{}
		}
		tx.memo[key] = v
	}
	return v, err
}

// Shared is Memo for all views of the transaction together.
func (tx *Tx) Shared(key any, make func() (any, error)) (any, error) {
	return tx.top().Memo(key, make)
}

// Query runs a SELECT (or a statement with RETURNING). $1 is the tenant; args
// are $2 and on.
func (tx *Tx) Query(sql string, args ...any) (Rows, error) {
	return tx.session.query(sql, tx.bind(sql, args))
}

// Row runs a query that yields at most one row; Scan says ErrNotFound for none.
func (tx *Tx) Row(sql string, args ...any) Row {
	rows, err := tx.Query(sql, args...)
	return Row{rows, err}
}

// Exec runs a statement now and says how many rows it touched.
func (tx *Tx) Exec(sql string, args ...any) (int64, error) {
	return tx.session.exec(sql, tx.bind(sql, args))
}

// Queue runs a statement not later than the next Query, Exec or commit. On
// PostgreSQL queued statements share one round trip. Its error ends the
// transaction there.
func (tx *Tx) Queue(sql string, args ...any) {
	tx.session.queue(sql, tx.bind(sql, args), -1)
}

// QueueOne is Queue for a statement that must touch exactly one row; otherwise
// the transaction ends with ErrStale.
func (tx *Tx) QueueOne(sql string, args ...any) {
	tx.session.queue(sql, tx.bind(sql, args), 1)
}

// Later is Query for rows that are not wanted at once: the statement runs like a queued
// one, and read is called with its rows then, which it may leave open. It may queue
// statements, but asks nothing itself; its error ends the transaction.
func (tx *Tx) Later(read func(Rows) error, sql string, args ...any) {
	tx.session.later(read, sql, tx.bind(sql, args))
}

// Flush runs what is queued now, in one round trip: several questions asked by Later are
// answered together.
func (tx *Tx) Flush() error { return tx.session.flush() }

func (tx *Tx) bind(sql string, args []any) []any {
	mustNameTenant(sql)
	if tx.scope.Tenant == "" {
		panic("store: a tenant's statement in a transaction without a tenant: " + sql)
	}
	return append([]any{tx.scope.Tenant}, args...)
}

var (
	tenantParam = regexp.MustCompile(`\$1\b`)
	tenantWord  = regexp.MustCompile(`\btenant\b`)
	checkedSQL  sync.Map
)

// mustNameTenant refuses a text that does not use $1 as tenant: a programmer's
// error, found the first time the statement runs.
func mustNameTenant(sql string) {
	if _, ok := checkedSQL.Load(sql); ok {
		return
	}
	if !tenantParam.MatchString(sql) || !tenantWord.MatchString(sql) {
		panic("store: statement without tenant = $1: " + sql)
	}
	checkedSQL.Store(sql, true)
}

// System is the door for kit's own cross-tenant work (queues, logs, cursors,
// migrations): its statements have no tenant parameter.
func (tx *Tx) System() System { return System{tx.session} }

// System runs statements that belong to no tenant.
type System struct{ s session }

func (y System) Query(sql string, args ...any) (Rows, error) { return y.s.query(sql, args) }
func (y System) Exec(sql string, args ...any) (int64, error) { return y.s.exec(sql, args) }
func (y System) Queue(sql string, args ...any)               { y.s.queue(sql, args, -1) }
func (y System) QueueOne(sql string, args ...any)            { y.s.queue(sql, args, 1) }
func (y System) Flush() error                                { return y.s.flush() }

// Later is [Tx.Later].
func (y System) Later(read func(Rows) error, sql string, args ...any) { y.s.later(read, sql, args) }

// QueueGet is QueueOne for a statement that ends in RETURNING of one number, which
// is in dest when the statement has run, at the latest when Write returns.
func (y System) QueueGet(dest *int64, sql string, args ...any) { y.s.queueGet(dest, sql, args) }

func (y System) Row(sql string, args ...any) Row {
	rows, err := y.s.query(sql, args)
	return Row{rows, err}
}

// Row is the result of a query for one row.
type Row struct {
	rows Rows
	err  error
}

// Scan reads the row; ErrNotFound if there is none.
func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return ErrNotFound
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	for r.rows.Next() { // drain, so that the connection is free again
	}
	return r.rows.Err()
}

// Collect reads all rows with scan and closes them.
func Collect[T any](rows Rows, err error, scan func(Rows) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// give hands rows over and closes them.
func give(rows Rows, err error, read func(Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := read(rows); err != nil {
		return err
	}
	for rows.Next() { // what was not read, so that the connection is free again
	}
	return rows.Err()
}

// Text scans a single text column, for Collect.
func Text(r Rows) (s string, err error) {
	err = r.Scan(&s)
	return s, err
}

// In writes "$n,$n+1,..." for a list of values that starts at parameter first.
func In(first, count int) string {
	b := make([]byte, 0, count*4)
	for i := range count {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "$%d", first+i)
	}
	return string(b)
}

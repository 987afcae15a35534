package store

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"zombiezen.com/go/sqlite"
)

const (
	stmtLimit   = 1000 // prepared statements kept per connection
	busyTimeout = 10 * time.Second
)

// sqliteConn is one connection with its prepared statements. It is used by one
// goroutine at a time.
type sqliteConn struct {
	conn   *sqlite.Conn
	stmts  map[string]*sqliteStmt
	failed error // first error of a queued statement in this transaction

	waiting []waitingRows // to be written before any other statement
	inserts map[insertKey]*insertion
	octets  int64 // bound by what was written, and rowOctets for each statement and row
}

// rowOctets is about what a row adds to the write-ahead log beside its own octets: parts
// of pages of its table and indexes.
const rowOctets = 1024

// sqliteStmt is a prepared statement. SQLite numbers $N by first appearance; args
// says which argument each of its parameters is.
type sqliteStmt struct {
	*sqlite.Stmt
	args []int
	busy bool // its rows are being read
}

func connect(path string, pragmas ...string) (*sqliteConn, error) {
	conn, err := sqlite.OpenConn(path, sqlite.OpenReadWrite, sqlite.OpenCreate, sqlite.OpenWAL)
	if err != nil {
		return nil, err
	}
	conn.SetBlockOnBusy()
	conn.SetBusyTimeout(busyTimeout)
	c := &sqliteConn{conn: conn, stmts: map[string]*sqliteStmt{}, inserts: map[insertKey]*insertion{}}
	for _, p := range append(pragmas, "PRAGMA foreign_keys=1", "PRAGMA temp_store=2") {
		rows, err := c.query(p, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		for rows.Next() { // a pragma may answer; what it says does not matter
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return c, nil
}

func (c *sqliteConn) close() {
	for _, s := range c.stmts {
		_ = s.Finalize() // the connection is closed next, which ends them too
	}
	for _, s := range c.inserts {
		_ = s.Finalize()
	}
	_ = c.conn.Close() // everything acknowledged is on disk already
}

func (c *sqliteConn) prepare(text string) (*sqliteStmt, error) {
	if s, ok := c.stmts[text]; ok {
		if s.busy {
			return nil, errors.New("store: rows of the same statement are still open: " + text)
		}
		return s, nil
	}
	s, err := c.compile(text)
	if err != nil {
		return nil, err
	}
	c.makeRoom()
	c.stmts[text] = s
	return s, nil
}

// compile prepares a statement that nobody else has.
func (c *sqliteConn) compile(text string) (*sqliteStmt, error) {
	stmt, trailing, err := c.conn.PrepareTransient(text)
	if err != nil {
		return nil, fmt.Errorf("%w in %s", sqliteError(err), text)
	}
	if trailing > 0 && strings.TrimSpace(text[len(text)-trailing:]) != "" {
		return nil, errors.New("store: more than one statement in " + text)
	}
	s := &sqliteStmt{Stmt: stmt}
	for i := 1; i <= stmt.BindParamCount(); i++ {
		n, err := strconv.Atoi(strings.TrimPrefix(stmt.BindParamName(i), "$"))
		if err != nil {
			return nil, fmt.Errorf("store: parameter %q is not $N in %s", stmt.BindParamName(i), text)
		}
		s.args = append(s.args, n-1)
	}
	return s, nil
}

// makeRoom drops a statement when there are too many: filters make endlessly many texts.
func (c *sqliteConn) makeRoom() {
	if len(c.stmts) < stmtLimit {
		return
	}
	for text, s := range c.stmts {
		if !s.busy {
			_ = s.Finalize() // its last error was told when it ran
			delete(c.stmts, text)
			return
		}
	}
}

func (s *sqliteStmt) bind(text string, args []any) error {
	used := 0
	for i, n := range s.args {
		if n < 0 || n >= len(args) {
			return fmt.Errorf("store: no argument for $%d in %s", n+1, text)
		}
		used = max(used, n+1)
		if err := s.bindOne(i+1, args[n]); err != nil {
			return fmt.Errorf("argument $%d in %s: %w", n+1, text, err)
		}
	}
	if used < len(args) {
		return fmt.Errorf("store: %d arguments, but only $%d is used in %s", len(args), used, text)
	}
	return nil
}

func (s *sqliteStmt) bindOne(i int, v any) error {
	switch v := v.(type) {
	case nil:
		s.BindNull(i)
	case string:
		s.BindText(i, v)
	case int64:
		s.BindInt64(i, v)
	case int:
		s.BindInt64(i, int64(v))
	case []byte:
		s.BindBytes(i, v)
	case bool:
		s.BindBool(i, v)
	default:
		return s.bindOther(i, v)
	}
	return nil
}

// octetsOf is how many octets of text and blobs are among some values.
func octetsOf(args []any) (n int64) {
	for _, v := range args {
		switch v := v.(type) {
		case string:
			n += int64(len(v))
		case []byte:
			n += int64(len(v))
		}
	}
	return n
}

// bindOther binds named types and what knows its own column value.
func (s *sqliteStmt) bindOther(i int, v any) error {
	if own, ok := v.(driver.Valuer); ok {
		x, err := own.Value()
		if err != nil {
			return err
		}
		v = x
	}
	switch r := reflect.ValueOf(v); {
	case v == nil:
		s.BindNull(i)
	case r.Kind() == reflect.String:
		s.BindText(i, r.String())
	case r.CanInt():
		s.BindInt64(i, r.Int())
	case r.CanUint():
		s.BindInt64(i, int64(r.Uint()))
	default:
		return fmt.Errorf("store: a %T cannot be bound", v)
	}
	return nil
}

func (c *sqliteConn) query(text string, args []any) (Rows, error) {
	if len(c.waiting) > 0 {
		c.writeRows()
	}
	if c.failed != nil {
		return nil, c.failed
	}
	s, err := c.prepare(text)
	if err != nil {
		return nil, err
	}
	if err := s.bind(text, args); err != nil {
		return nil, err
	}
	s.busy = true
	r := &sqliteRows{stmt: s}
	// The first step runs what the statement does: its errors belong here.
	if r.more, r.err = s.Step(); r.err != nil {
		err := sqliteError(r.err)
		r.Close()
		return nil, err
	}
	r.first = true
	return r, nil
}

func (c *sqliteConn) exec(text string, args []any) (int64, error) {
	if c.failed != nil && text != "ROLLBACK" {
		return 0, c.failed
	}
	c.octets += rowOctets + octetsOf(args)
	rows, err := c.query(text, args)
	if err != nil {
		return 0, err
	}
	for rows.Next() {
	}
	err = rows.Err()
	rows.Close()
	return int64(c.conn.Changes()), err
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

// queueGet runs at once, too.
func (c *sqliteConn) queueGet(dest *int64, text string, args []any) {
	if c.failed != nil {
		return
	}
	c.octets += rowOctets + octetsOf(args)
	rows, err := c.query(text, args)
	err = Row{rows, err}.Scan(dest)
	if errors.Is(err, ErrNotFound) || err == nil && c.conn.Changes() != 1 {
		err = ErrStale
	}
	c.failed = err
}

// later runs at once, too.
func (c *sqliteConn) later(read func(Rows) error, text string, args []any) {
	if c.failed != nil {
		return
	}
	rows, err := c.query(text, args)
	if err := give(rows, err, read); c.failed == nil { // what read has queued may have failed
		c.failed = err
	}
}

func (c *sqliteConn) hold() error {
	_, err := c.exec("BEGIN", nil)
	return err
}

// letGo ends the view in any case: the next reader must not see an old one.
func (c *sqliteConn) letGo() error {
	c.conn.SetInterrupt(nil)
	_, err := c.exec("ROLLBACK", nil)
	return err
}

func (c *sqliteConn) flush() error {
	if len(c.waiting) > 0 {
		c.writeRows()
	}
	return c.failed
}

// sqliteRows reads a statement that has made its first step.
type sqliteRows struct {
	stmt  *sqliteStmt
	first bool // the first step's row was not yet asked for
	more  bool
	err   error
}

func (r *sqliteRows) Next() bool {
	if r.first {
		r.first = false
		return r.more
	}
	if r.more && r.err == nil {
		r.more, r.err = r.stmt.Step()
	}
	return r.more && r.err == nil
}

func (r *sqliteRows) Err() error { return sqliteError(r.err) }

func (r *sqliteRows) Close() {
	if r.stmt == nil {
		return
	}
	_ = r.stmt.Reset() // repeats the error of the last step, which was told
	_ = r.stmt.ClearBindings()
	r.stmt.busy = false
	r.stmt, r.first, r.more = nil, false, false
}

func (r *sqliteRows) Scan(dest ...any) error {
	if n := r.stmt.ColumnCount(); n != len(dest) {
		return fmt.Errorf("store: %d columns scanned into %d places", n, len(dest))
	}
	for i, d := range dest {
		if err := r.column(i, d); err != nil {
			return err
		}
	}
	return nil
}

func (r *sqliteRows) column(i int, dest any) error {
	null := r.stmt.ColumnIsNull(i)
	switch d := dest.(type) {
	case *[]byte:
		*d = nil
		if !null {
			*d = make([]byte, r.stmt.ColumnLen(i))
			r.stmt.ColumnBytes(i, *d)
		}
		return nil
	case **string:
		*d = nil
		if !null {
			text := r.stmt.ColumnText(i)
			*d = &text
		}
		return nil
	case **int64:
		*d = nil
		if !null {
			n := r.stmt.ColumnInt64(i)
			*d = &n
		}
		return nil
	}
	if own, ok := dest.(sql.Scanner); ok {
		return own.Scan(r.value(i, null))
	}
	if null {
		return fmt.Errorf("store: column %q is NULL, which a %T cannot hold", r.stmt.ColumnName(i), dest)
	}
	switch d := dest.(type) {
	case *string:
		*d = r.stmt.ColumnText(i)
	case *int64:
		*d = r.stmt.ColumnInt64(i)
	case *int:
		*d = int(r.stmt.ColumnInt64(i))
	case *bool:
		*d = r.stmt.ColumnBool(i)
	default:
		return r.other(i, dest)
	}
	return nil
}

// value is a column in the types of database/sql.
func (r *sqliteRows) value(i int, null bool) any {
	switch {
	case null:
		return nil
	case r.stmt.ColumnType(i) == sqlite.TypeInteger:
		return r.stmt.ColumnInt64(i)
	}
	return r.stmt.ColumnText(i)
}

// other scans into named types.
func (r *sqliteRows) other(i int, dest any) error {
	v := reflect.ValueOf(dest)
	if v.Kind() != reflect.Pointer {
		return fmt.Errorf("store: cannot scan into a %T", dest)
	}
	switch v = v.Elem(); {
	case v.Kind() == reflect.String:
		v.SetString(r.stmt.ColumnText(i))
	case v.CanInt():
		v.SetInt(r.stmt.ColumnInt64(i))
	case v.CanUint():
		v.SetUint(uint64(r.stmt.ColumnInt64(i)))
	default:
		return fmt.Errorf("store: cannot scan into a %T", dest)
	}
	return nil
}

func sqliteError(err error) error {
	if err == nil {
		return nil
	}
	switch sqlite.ErrCode(err) {
	case sqlite.ResultConstraintUnique, sqlite.ResultConstraintPrimaryKey, sqlite.ResultConstraintRowID:
		_, what, _ := strings.Cut(err.Error(), "constraint failed: ")
		return &Unique{Constraint: strings.ReplaceAll(what, ".", "_"), Err: err}
	}
	return err
}

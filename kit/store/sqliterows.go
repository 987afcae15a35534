package store

import (
	"fmt"
	"strings"
)

// waitingRows are rows of one table and tenant that are to share a statement.
type waitingRows struct {
	into   string
	tenant any
	cols   int // of a row, without the tenant
	args   []any
}

// insert lets a row wait for others of its table: a statement costs as much as some rows,
// and one into a table that numbers its rows writes the last number each time. Rows may
// go before those of other tables, since what these refer to is inserted before them, but
// not before any other statement.
func (c *sqliteConn) insert(into string, args []any) {
	if c.failed != nil {
		return
	}
	w := c.rowsOf(into, args[0], len(args)-1)
	w.args = append(w.args, args[1:]...)
	if len(w.args) == maxRows*w.cols {
		c.writeFull()
	}
}

// rowsOf is where the rows of a table and tenant wait.
func (c *sqliteConn) rowsOf(into string, tenant any, cols int) *waitingRows {
	for i := len(c.waiting) - 1; i >= 0; i-- {
		if w := &c.waiting[i]; w.into == into && w.tenant == tenant && w.cols == cols {
			return w
		}
	}
	if len(c.waiting) < cap(c.waiting) {
		c.waiting = c.waiting[:len(c.waiting)+1]
	} else {
		c.waiting = append(c.waiting, waitingRows{})
	}
	w := &c.waiting[len(c.waiting)-1]
	w.into, w.tenant, w.cols, w.args = into, tenant, cols, w.args[:0]
	return w
}

// writeRows writes what waits, before another statement.
func (c *sqliteConn) writeRows() {
	c.writeFull()
	c.dropRows()
}

// writeFull writes what waits, table by table in the order of their first rows since the
// last other statement.
func (c *sqliteConn) writeFull() {
	for i := range c.waiting {
		w := &c.waiting[i]
		for args, n := w.args, maxRows; len(args) > 0 && c.failed == nil; {
			if n*w.cols > len(args) {
				n /= 2 // powers of two, so that few texts are to be prepared
				continue
			}
			c.failed = c.writeSome(w, args[:n*w.cols], n)
			args = args[n*w.cols:]
		}
		clear(w.args)
		w.args = w.args[:0]
	}
}

// dropRows forgets what waits.
func (c *sqliteConn) dropRows() {
	for i := range c.waiting {
		clear(c.waiting[i].args)
	}
	c.waiting = c.waiting[:0]
}

func (c *sqliteConn) writeSome(w *waitingRows, args []any, rows int) error {
	s, err := c.insertion(w, rows)
	if err != nil {
		return err
	}
	c.octets += int64(rows) * rowOctets
	if err := s.bindRows(c, w.tenant, args); err != nil {
		return err
	}
	_, err = s.Step()
	if err != nil {
		s.was = make([]any, len(s.was))
		_ = s.ClearBindings() // the error of the step is told
		return sqliteError(err)
	}
	err = s.Reset()
	s.unload()
	return err
}

// insertion is a prepared insert of so many rows. What is bound stays bound: most values
// of a row are those of the row that was written in its place before.
type insertion struct {
	*sqliteStmt
	was []any // by parameter
}

func (c *sqliteConn) insertion(w *waitingRows, rows int) (*insertion, error) {
	k := insertKey{w.into, w.cols, rows}
	if s, ok := c.inserts[k]; ok {
		return s, nil
	}
	stmt, err := c.compile(rowsText(w.into, w.cols, rows))
	if err != nil {
		return nil, err
	}
	if len(stmt.args) != 1+rows*w.cols { // they are numbered as they appear
		return nil, fmt.Errorf("store: %d values for the columns of %s", w.cols+1, w.into)
	}
	s := &insertion{stmt, make([]any, len(stmt.args))}
	c.inserts[k] = s
	return s, nil
}

// rowsText completes an insert for so many rows of one tenant. If one of them fails, the
// others stay (OR FAIL) until the transaction or savepoint is undone, as it always is then:
// else SQLite would copy each page before it changes it, to undo the statement alone.
func rowsText(into string, cols, rows int) string {
	var b strings.Builder
	b.WriteString(strings.Replace(into, "INSERT INTO", "INSERT OR FAIL INTO", 1) + " VALUES ")
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		b.WriteString("($1")
		if cols > 0 {
			b.WriteString(", " + In(2+r*cols, cols))
		}
		b.WriteString(")")
	}
	return b.String()
}

func (s *insertion) bindRows(c *sqliteConn, tenant any, args []any) error {
	if err := s.bindNew(c, 0, tenant); err != nil {
		return err
	}
	for i, v := range args {
		if err := s.bindNew(c, i+1, v); err != nil {
			return fmt.Errorf("argument $%d: %w", i+2, err)
		}
	}
	return nil
}

// bindNew binds a value unless it is bound already.
func (s *insertion) bindNew(c *sqliteConn, i int, v any) error {
	switch x := v.(type) {
	case int64:
		if was, ok := s.was[i].(int64); ok && was == x {
			return nil
		}
		s.BindInt64(i+1, x)
	case int:
		if was, ok := s.was[i].(int); ok && was == x {
			return nil
		}
		s.BindInt64(i+1, int64(x))
	case string:
		c.octets += int64(len(x))
		if was, ok := s.was[i].(string); ok && was == x {
			return nil
		}
		s.BindText(i+1, x)
	default:
		if b, ok := v.([]byte); ok {
			c.octets += int64(len(b))
		}
		if err := s.bindOne(i+1, v); err != nil {
			return err
		}
	}
	s.was[i] = v
	return nil
}

const keptBound = 4096 // octets of a value

// unload lets go of values that are too large to be kept bound.
func (s *insertion) unload() {
	for i, v := range s.was {
		switch x := v.(type) {
		case string:
			if len(x) <= keptBound {
				continue
			}
		case []byte:
			if len(x) <= keptBound {
				s.was[i] = nil // it may be written over
				continue
			}
		default:
			continue
		}
		s.BindNull(i + 1)
		s.was[i] = nil
	}
}

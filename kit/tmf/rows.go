package tmf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Rows serves a Kind from rows that its room keeps for other ends, such as usage and
// balances, instead of documents: nothing is written twice. Such a Kind has no
// history and no events, and is changed by nobody through the machine.
type Rows[P any] struct {
	From    string            // a table, or a subquery with a name; it has a column tenant
	Columns string            // what Scan reads
	Order   []string          // columns that together are unique in the tenant: lists are in their order
	Paths   map[string]string // attribute to column, for filters and sort; a time is in microseconds
	// Find is the condition for an id, whose arguments are numbered from first on; ""
	// says that nothing has such an id.
	Find func(id string, first int) (where string, args []any)
	Scan func(r store.Rows) (P, error)
	// Complete adds what is not in the rows, to a page at a time; nil: nothing.
	Complete func(tx *store.Tx, page []P) error
}

const (
	maxRowsScan = 20_000  // rows looked at one by one for a filter without a column
	maxRowsSeen = 100_000 // rows counted: a total beyond it is that
	rowsAtOnce  = 500
)

// rowsOf reads rows and makes resources of them.
func (k *Kind[T, P]) rowsOf(tx *store.Tx, tail string, args []any) ([]P, error) {
	rows, err := tx.Query("SELECT "+k.Rows.Columns+" FROM "+k.Rows.From+" WHERE "+everything+tail, args...)
	page, err := store.Collect(rows, err, k.Rows.Scan)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", k.Name, err)
	}
	if k.Rows.Complete != nil && len(page) > 0 {
		err = k.Rows.Complete(tx, page)
	}
	for _, p := range page {
		b := p.Base()
		b.Href = k.API.Base + "/" + k.Name + "/" + b.ID
		if b.Type == "" {
			b.Type = k.Class
		}
	}
	return page, err
}

// row is the one with an id.
func (k *Kind[T, P]) row(tx *store.Tx, id string) (P, error) {
	where, args := k.Rows.Find(id, 2)
	if where == "" {
		return nil, fault.Missing(k.Name, id)
	}
	found, err := k.rowsOf(tx, " AND "+where, args)
	if err == nil && len(found) == 0 {
		err = fault.Missing(k.Name, id)
	}
	if err != nil {
		return nil, err
	}
	found[0].Base().raw, err = encode(found[0])
	return found[0], err
}

// findRows is find for a Kind of rows. All matches are in the order of the rows, or
// of one column.
func (k *Kind[T, P]) findRows(tx *store.Tx, q *Query, total bool) (docs []document, n int64, err error) {
	tail, args, rest := k.rowConditions(q)
	order, err := k.rowOrder(tx.Dialect(), q)
	if err != nil {
		return nil, 0, err
	}
	if len(rest) > 0 {
		return k.scanRows(tx, q, rest, tail+order, args)
	}
	n = -1
	if total {
		text := fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s%s LIMIT %d) AS some_rows", k.Rows.From, everything, tail, maxRowsSeen)
		if err := tx.Row(text, args...).Scan(&n); err != nil || int64(q.Offset) >= n {
			return nil, n, err
		}
	}
	if q.Limit > 0 {
		order += fmt.Sprintf(" LIMIT %d OFFSET %d", q.Limit, q.Offset)
	}
	page, err := k.rowsOf(tx, tail+order, args)
	if err != nil {
		return nil, 0, err
	}
	docs, err = rowDocs[T, P](page)
	return docs, n, err
}

func rowDocs[T any, P Pointer[T]](page []P) (docs []document, err error) {
	for _, p := range page {
		b := p.Base()
		if b.raw, err = encode(p); err != nil {
			return nil, err
		}
		docs = append(docs, document{id: b.ID, body: b.raw})
	}
	return docs, nil
}

// rowConditions turns conditions into SQL as far as there are columns for them.
func (k *Kind[T, P]) rowConditions(q *Query) (tail string, args []any, rest []Cond) {
	for _, c := range q.Conds {
		sql, more, ok := k.rowCondition(c, len(args)+2)
		if !ok {
			rest = append(rest, c)
			continue
		}
		tail, args = tail+" AND "+sql, append(args, more...)
	}
	return tail, args, rest
}

func (k *Kind[T, P]) rowCondition(c Cond, first int) (sql string, args []any, ok bool) {
	col := k.Rows.Paths[c.Path]
	switch {
	case c.Path == "id" && c.Op == "eq":
		parts := []string{"1 = 0"}
		for _, v := range c.Values {
			if where, more := k.Rows.Find(v, first+len(args)); where != "" {
				parts, args = append(parts, "("+where+")"), append(args, more...)
			}
		}
		return "(" + strings.Join(parts, " OR ") + ")", args, true
	case col == "" || c.Op == "regex" || c.Op == "ne":
		return "", nil, false
	}
	for i, v := range c.Values {
		args = append(args, c.arg(i, v))
	}
	if c.Op == "eq" {
		return fmt.Sprintf("%s IN (%s)", col, store.In(first, len(args))), args, true
	}
	parts := make([]string, len(args))
	for i := range args {
		parts[i] = fmt.Sprintf("%s %s $%d", col, sqlOps[c.Op], first+i)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args, true
}

func (k *Kind[T, P]) rowOrder(d store.Dialect, q *Query) (string, error) {
	var parts []string
	desc := false
	for _, s := range q.Sort {
		desc = s.Desc
		if s.Path == "id" {
			break // as all others: the order of the rows decides
		}
		col := k.Rows.Paths[s.Path]
		if col == "" {
			return "", fault.BadInput("badQuery", "A list of %s can be sorted by %s only", k.Name, strings.Join(k.rowPaths(), ", "))
		}
		parts = append(parts, col+direction(d, s.Desc))
	}
	for _, col := range k.Rows.Order {
		parts = append(parts, col+direction(d, desc))
	}
	return " ORDER BY " + strings.Join(parts, ", "), nil
}

func (k *Kind[T, P]) rowPaths() []string {
	out := []string{"id"}
	for path := range k.Rows.Paths {
		out = append(out, path)
	}
	slices.Sort(out)
	return out
}

// scanRows evaluates in Go what there is no column for.
func (k *Kind[T, P]) scanRows(tx *store.Tx, q *Query, rest []Cond, tail string, args []any) (docs []document, n int64, err error) {
	for from := 0; ; from += rowsAtOnce {
		if from == maxRowsScan {
			return nil, 0, fault.BadInput("filterTooBroad", "This filter would look at more than %d resources; add a condition on one of: %s",
				maxRowsScan, strings.Join(k.rowPaths(), ", "))
		}
		page, err := k.rowsOf(tx, fmt.Sprintf("%s LIMIT %d OFFSET %d", tail, rowsAtOnce, from), args)
		if err != nil {
			return nil, 0, err
		}
		read := len(page)
		page = slices.DeleteFunc(page, func(p P) bool { return !matches(rest, reflect.ValueOf(p)) })
		found, err := rowDocs[T, P](page)
		if err != nil {
			return nil, 0, err
		}
		for _, d := range found {
			if n >= int64(q.Offset) && (q.Limit == 0 || len(docs) < q.Limit) {
				docs = append(docs, d)
			}
			n++
		}
		if read < rowsAtOnce {
			return docs, n, nil
		}
	}
}

package tmf

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

const (
	maxScan     = 200_000          // resources looked at one by one for a filter or sort without an index
	maxPage     = 16 << 20         // bytes of a page; the resource that passes it is its last
	maxList     = 30 * time.Second // that a list may take
	bigTotal    = 10_000           // totals from here on may be up to totalAge old
	totalAge    = 10 * time.Second // a total of a moving list is old when it is read anyway
	manyMatches = 5_000            // from here on, walking the sort index beats sorting the matches
)

// Select finds resources in code.
func (k *Kind[T, P]) Select(tx *store.Tx, w Where, p Page) ([]P, error) {
	q, err := w.query(p, k.ready().attribute)
	if err != nil {
		return nil, err
	}
	docs, _, err := k.find(tx, q, false)
	if err != nil {
		return nil, err
	}
	return k.decodeAll(docs)
}

func (k *Kind[T, P]) decodeAll(docs []document) (out []P, err error) {
	out = make([]P, len(docs))
	for i, d := range docs {
		if out[i], err = k.decodeStored(d.body, d.rev); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SelectLater is Select in one round trip with what else is asked: found is called with
// the resources at [store.Tx.Flush] at the latest.
func (k *Kind[T, P]) SelectLater(tx *store.Tx, w Where, p Page, found func([]P)) error {
	q, err := w.query(p, k.ready().attribute)
	if err != nil {
		return err
	}
	c := k.compile(tx.Dialect(), q)
	if k.Rows != nil || len(c.rest) > 0 { // more than one statement
		all, err := k.Select(tx, w, p)
		found(all)
		return err
	}
	text, args := k.selection(q, c)
	tx.Later(func(rows store.Rows) error {
		docs, err := store.Collect(rows, nil, scanDocument)
		if err != nil {
			return err
		}
		all, err := k.decodeAll(docs)
		found(all)
		return err
	}, text, args...)
	return nil
}

// Count says how many resources match.
func (k *Kind[T, P]) Count(tx *store.Tx, w Where) (int64, error) {
	q, err := w.query(Page{}, k.ready().attribute)
	if err != nil {
		return 0, err
	}
	_, total, err := k.find(tx, &Query{Conds: q.Conds, Limit: 1}, true)
	return total, err
}

func (k *Kind[T, P]) listDocs(tx *store.Tx, q *Query) (page, error) {
	docs, total, err := k.find(tx, q, true)
	for i := 0; err == nil && k.View != nil && i < len(docs); i++ {
		docs[i].body, err = k.present(docs[i].body)
	}
	return page{docs, total}, err
}

// find runs a query: in SQL as far as it goes, the rest in Go.
func (k *Kind[T, P]) find(tx *store.Tx, q *Query, total bool) ([]document, int64, error) {
	if k.Rows != nil {
		return k.findRows(tx, q, total)
	}
	c := k.compile(tx.Dialect(), q)
	if total {
		if err := k.sortable(tx, q, c); err != nil {
			return nil, 0, err
		}
	}
	if len(c.rest) > 0 {
		return k.scan(tx, q, c)
	}
	n := int64(-1)
	var err error
	if total {
		if n, err = k.count(tx, c); err != nil {
			return nil, 0, err
		}
		if int64(q.Offset) >= n {
			return nil, n, nil
		}
	}
	if n > manyMatches {
		c = k.compileSortWalk(tx.Dialect(), q)
	}
	text, args := k.selection(q, c)
	rows, err := tx.Query(text, args...)
	if !total {
		docs, err := store.Collect(rows, err, scanDocument)
		return docs, n, err
	}
	docs, err := collectPage(rows, err)
	return docs, n, err
}

// selection is the statement that reads the documents of a query.
func (k *Kind[T, P]) selection(q *Query, c compiled) (text string, args []any) {
	text = "SELECT id, rev, updated_at, doc FROM " + k.Table + " WHERE " + c.where + " ORDER BY " + c.order
	if q.Limit > 0 {
		text += fmt.Sprintf(" LIMIT %d OFFSET %d", q.Limit, q.Offset)
	}
	return text, c.args
}

// collectPage reads rows until a page is full.
func collectPage(rows store.Rows, err error) (docs []document, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for size := 0; size < maxPage && rows.Next(); {
		d, err := scanDocument(rows)
		if err != nil {
			return nil, err
		}
		docs, size = append(docs, d), size+len(d.body)
	}
	return docs, rows.Err()
}

// sortable refuses a sort that has no index over more resources than are looked at
// one by one: the engine would read them all before it shows the first.
func (k *Kind[T, P]) sortable(tx *store.Tx, q *Query, c compiled) error {
	if !slices.ContainsFunc(q.Sort, func(s SortKey) bool { return k.columnOf(s.Path) == "" }) {
		return nil
	}
	n, err := k.count(tx, c)
	if err == nil && n > maxScan {
		err = fault.BadInput("sortTooBroad", "This sort has no index and would look at %d resources, more than %d; filter by, or sort by, some of: %s",
			n, maxScan, strings.Join(k.indexed(), ", "))
	}
	return err
}

func scanDocument(r store.Rows) (d document, err error) {
	err = r.Scan(&d.id, &d.rev, &d.updated, &d.body)
	return d, err
}

// scan evaluates in Go what SQL cannot: it looks at the resources one by one in
// the order asked for, up to a limit that it says when it is met.
func (k *Kind[T, P]) scan(tx *store.Tx, q *Query, c compiled) ([]document, int64, error) {
	rows, err := tx.Query("SELECT id, rev, updated_at, doc FROM "+k.Table+" WHERE "+c.where+" ORDER BY "+c.order, c.args...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	var out []document
	total, size := int64(0), 0
	for seen := 0; rows.Next(); seen++ {
		if seen == maxScan {
			return nil, 0, fault.BadInput("filterTooBroad", "This filter has no index and would look at more than %d resources; add a condition on one of: %s",
				maxScan, strings.Join(k.indexed(), ", "))
		}
		d, err := scanDocument(rows)
		if err != nil {
			return nil, 0, err
		}
		p, err := k.decodeStored(d.body, d.rev)
		if err != nil {
			return nil, 0, err
		}
		if !matches(c.rest, reflect.ValueOf(p)) {
			continue
		}
		if total >= int64(q.Offset) && (q.Limit == 0 || len(out) < q.Limit && size < maxPage) {
			d.body = slices.Clone(d.body)
			size += len(d.body)
			out = append(out, d)
		}
		total++
	}
	return out, total, rows.Err()
}

func (k *Kind[T, P]) indexed() []string {
	out := append([]string{"id"}, k.Index...)
	return append(out, k.Multi...)
}

// compiled is a query in SQL; rest are the conditions left for Go.
type compiled struct {
	where string
	order string
	args  []any
	rest  []Cond
}

func (k *Kind[T, P]) compile(d store.Dialect, q *Query) compiled {
	return k.compileWith(d, q, "")
}

// compileSortWalk keeps SQLite from using an index of a condition (a unary plus
// says so), so that it walks the index of the sort and stops at the limit.
// PostgreSQL weighs this by itself.
func (k *Kind[T, P]) compileSortWalk(d store.Dialect, q *Query) compiled {
	if d == store.Postgres || len(q.Sort) == 0 || k.columnOf(q.Sort[0].Path) == "" {
		return k.compileWith(d, q, "")
	}
	return k.compileWith(d, q, "+")
}

func (k *Kind[T, P]) compileWith(d store.Dialect, q *Query, guard string) compiled {
	c := compiled{where: everything}
	for _, cond := range q.Conds {
		if sql, args, ok := k.condition(d, cond, len(c.args)+2, guard); ok {
			c.where += " AND " + sql
			c.args = append(c.args, args...)
			continue
		}
		c.rest = append(c.rest, cond)
	}
	// With a condition that SQL decides, the matches are found by its index and then
	// sorted; left to itself, SQLite may walk the index of the sort through a million
	// rows for the few that match. A unary plus keeps it from that.
	c.order = k.order(d, q.Sort, d == store.SQLite && guard == "" && c.where != everything)
	return c
}

// columnOf is the column that holds an attribute, "" if it has none.
func (k *Kind[T, P]) columnOf(path string) string {
	if path == "id" {
		return "id"
	}
	for _, c := range k.plan.columns {
		if c.attr.path == path {
			return c.name
		}
	}
	return ""
}

var sqlOps = map[string]string{"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

// condition turns a condition into SQL on a column or the index of multi
// values; ok is false if that cannot be done.
func (k *Kind[T, P]) condition(d store.Dialect, c Cond, first int, guard string) (sql string, args []any, ok bool) {
	for _, m := range k.plan.multi {
		if m.attr.path == c.Path && c.Op == "eq" {
			for i, v := range c.Values {
				args = append(args, fmt.Sprint(c.arg(i, v))) // as plan.multiValues writes it
			}
			// Left to itself, PostgreSQL may walk all resources and look each one up; an
			// array is made once.
			in := "id IN (%s)"
			if d == store.Postgres {
				in = "id = ANY(ARRAY(%s))"
			}
			return fmt.Sprintf(in, fmt.Sprintf("SELECT id FROM tmf_multi WHERE tenant = $1 AND tbl = '%s' AND attr = '%s' AND value IN (%s)",
				k.Table, c.Path, store.In(first, len(args)))), args, true
		}
	}
	col := k.columnOf(c.Path)
	if col == "" || c.Op == "regex" || c.Op == "ne" {
		return "", nil, false
	}
	for i, v := range c.Values {
		args = append(args, c.arg(i, v))
	}
	if c.Op == "eq" {
		return fmt.Sprintf("%s%s IN (%s)", guard, col, store.In(first, len(args))), args, true
	}
	parts := make([]string, len(args))
	for i := range args {
		parts[i] = fmt.Sprintf("%s%s %s $%d", guard, col, sqlOps[c.Op], first+i)
	}
	return "(" + strings.Join(parts, " OR ") + ")", args, true
}

// arg is the i-th value as the column holds it.
func (c *Cond) arg(i int, v string) any {
	switch c.attr.kind {
	case asTime:
		return store.Micros(c.times[i])
	case asNumber:
		n, _ := strconv.ParseInt(v, 10, 64) // checked when the query was parsed
		return n
	case asBool:
		if v == "true" {
			return int64(1)
		}
		return int64(0)
	}
	return v
}

// everything is the condition of a list without a filter.
const everything = "tenant = $1"

// order sorts absent values before all others, on both engines; id decides ties.
// sorted keeps the engine from using an index for it.
func (k *Kind[T, P]) order(d store.Dialect, keys []SortKey, sorted bool) string {
	var parts []string
	plus := ""
	if sorted {
		plus = "+"
	}
	desc := false
	for _, s := range keys {
		expr := k.columnOf(s.Path)
		if expr == "" {
			expr = jsonExpr(d, s.attr)
		}
		desc = s.Desc
		parts = append(parts, plus+expr+direction(d, s.Desc))
	}
	return strings.Join(append(parts, plus+"id"+direction(d, desc)), ", ")
}

func direction(d store.Dialect, desc bool) string {
	switch {
	case d == store.Postgres && desc:
		return " DESC NULLS LAST"
	case d == store.Postgres:
		return " ASC NULLS FIRST"
	case desc:
		return " DESC"
	}
	return " ASC"
}

// jsonExpr reads an attribute that has no column out of the document.
func jsonExpr(d store.Dialect, a *attribute) string {
	expr := "doc"
	for i, s := range a.steps {
		op := "->"
		if i == len(a.steps)-1 {
			op = "->>"
		}
		expr += op + "'" + s.name + "'"
	}
	if a.kind == asNumber {
		return "CAST(" + expr + " AS NUMERIC)"
	}
	if d == store.Postgres {
		return "(" + expr + `) COLLATE "C"`
	}
	return expr
}

// totals remembers large totals for a short while.
type totals struct {
	mu sync.Mutex
	m  map[string]remembered
}

type remembered struct {
	total int64
	at    time.Time
}

var bigTotals = totals{m: map[string]remembered{}}

// count is the number of matches: exact up to bigTotal, above that possibly
// up to totalAge old.
func (k *Kind[T, P]) count(tx *store.Tx, c compiled) (int64, error) {
	key := fmt.Sprintf("%p\x00%s\x00%s\x00%s\x00%v", tx.DB(), k.Table, tx.Tenant(), c.where, c.args)
	if n, ok := bigTotals.recall(key); ok {
		return n, nil
	}
	var n int64
	if err := tx.Row("SELECT count(*) FROM "+k.Table+" WHERE "+c.where, c.args...).Scan(&n); err != nil {
		return 0, err
	}
	if n > bigTotal {
		bigTotals.note(key, n)
	}
	return n, nil
}

func (t *totals) recall(key string) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.m[key]
	return r.total, ok && time.Since(r.at) < totalAge
}

func (t *totals) note(key string, n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.m) > 1000 {
		clear(t.m)
	}
	t.m[key] = remembered{n, time.Now()}
}

// Each calls f with every resource of the tenant in id order, in pages, each on
// a reader of its own; for exports and audits.
func (k *Kind[T, P]) Each(ctx context.Context, db *store.DB, s store.Scope, f func(P) error) error {
	k.ready()
	for after := ""; ; {
		var docs []document
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT id, rev, updated_at, doc FROM "+k.Table+" WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT 500", after)
			docs, err = store.Collect(rows, err, scanDocument)
			return err
		})
		if err != nil || len(docs) == 0 {
			return err
		}
		after = docs[len(docs)-1].id
		for _, d := range docs {
			p, err := k.decodeStored(d.body, d.rev)
			if err != nil {
				return err
			}
			if err := f(p); err != nil {
				return err
			}
		}
	}
}

package store

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"sync"
)

// Insert writes a row like Queue. The text ends with the names of the columns, of
// which the tenant is the first: "INSERT INTO t (tenant, id, n)"; args are the values
// of the others. The rows of a table share a statement, if nothing but further inserts
// stands between them: what is wrong with one may come out at the next statement or the
// commit.
func (tx *Tx) Insert(into string, args ...any) {
	tx.session.insert(into, tx.row(into, args))
}

// Log adds a row to a tailed table, whose BIGINT key "seq" the database assigns. The
// text is as for Insert. On PostgreSQL the row is written with the commit: the
// transaction itself does not see it.
func (tx *Tx) Log(into string, args ...any) {
	row := tx.row(into, args)
	if tx.dialect != Postgres {
		tx.session.insert(into, row)
		return
	}
	top := tx.top()
	top.logs = append(top.logs, logRow{into, row})
}

// logRow is a row of a tailed table that waits for the commit.
type logRow struct {
	into string
	args []any
}

// writeLogs sends what Log has gathered, after the transaction's number was taken.
func (tx *Tx) writeLogs() {
	if len(tx.logs) == 0 {
		return
	}
	tx.Append()
	for _, r := range tx.logs {
		tx.session.insert(r.into, r.args)
	}
}

// row is the values of a row with the tenant before them.
func (tx *Tx) row(into string, args []any) []any {
	if _, ok := checkedSQL.Load(into); !ok {
		if !strings.Contains(into, " (tenant, ") || !strings.HasSuffix(into, ")") {
			panic("store: insert without tenant as first column: " + into)
		}
		checkedSQL.Store(into, true)
	}
	if tx.scope.Tenant == "" {
		panic("store: a tenant's row in a transaction without a tenant: " + into)
	}
	return append([]any{tx.scope.Tenant}, args...)
}

var insertTexts sync.Map // insertKey -> text

type insertKey struct {
	into       string
	cols, rows int
}

// insertText completes an insert for so many rows.
func insertText(into string, cols, rows int) string {
	k := insertKey{into, cols, rows}
	if text, ok := insertTexts.Load(k); ok {
		return text.(string)
	}
	var b strings.Builder
	b.WriteString(into + " VALUES ")
	for r := range rows {
		if r > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(%s)", In(r*cols+1, cols))
	}
	insertTexts.Store(k, b.String())
	return b.String()
}

// insert adds a row to the pending ones of its table. It may go before other statements
// that do not name the table: what it refers to is inserted before the first of them.
func (p *pgSession) insert(into string, args []any) {
	if i, ok := p.rows[into]; ok && p.pending[i].cols == len(args) {
		p.pending[i].args = append(p.pending[i].args, args...)
		return
	}
	if p.rows == nil {
		p.rows = map[string]int{}
	}
	p.rows[into] = len(p.pending)
	p.pending = append(p.pending, pgQueued{sql: into, args: args, want: -1, cols: len(args)})
}

// add puts a statement behind the pending ones. No later row goes before it into a table
// that it names, or into one whose rows may refer to such a row.
func (p *pgSession) add(q pgQueued) {
	words, named := wordsOf(q.sql), len(p.pending)
	for into, i := range p.rows {
		if i < named && words[tableOf(into)] {
			named = i
		}
	}
	maps.DeleteFunc(p.rows, func(_ string, i int) bool { return i >= named })
	p.pending = append(p.pending, q)
}

// tableOf is the table of an insert.
func tableOf(into string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(into, "INSERT INTO "), " ")
	return name
}

var (
	word      = regexp.MustCompile(`[a-z][a-z0-9_]*`)
	wordsSeen sync.Map // statement -> map[string]bool
)

// wordsOf are the words of a statement in small letters, and so all tables that it names.
func wordsOf(sql string) map[string]bool {
	if words, ok := wordsSeen.Load(sql); ok {
		return words.(map[string]bool)
	}
	words := map[string]bool{}
	for _, w := range word.FindAllString(sql, -1) {
		words[w] = true
	}
	wordsSeen.Store(sql, words)
	return words
}

const maxRows = 32 // of one insert

// split makes statements of what is pending. Rows go in powers of two, so that few
// texts are to be prepared.
func split(pending []pgQueued) []pgQueued {
	out := make([]pgQueued, 0, len(pending))
	for _, q := range pending {
		if q.cols == 0 {
			out = append(out, q)
			continue
		}
		for n := maxRows; len(q.args) > 0; {
			if n*q.cols > len(q.args) {
				n /= 2
				continue
			}
			out = append(out, pgQueued{sql: insertText(q.sql, q.cols, n), args: q.args[:n*q.cols], want: -1})
			q.args = q.args[n*q.cols:]
		}
	}
	return out
}

// Padded is values as arguments of [In], the last one repeated until their number is
// a power of two, so that few texts are to be prepared.
func Padded(values []string) []any {
	var out []any
	for _, v := range values {
		out = append(out, v)
	}
	for n := len(out); n > 0 && n&(n-1) != 0; n++ {
		out = append(out, values[len(values)-1])
	}
	return out
}

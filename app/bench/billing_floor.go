package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"tandem/kit/store"
)

// left are the tables that a bill leaves rows in, and how a row's bill is found.
var left = []struct{ table, bill string }{
	{"billing_draft", "id"}, {"billing_document", "bill"}, {"billing_billed", "bill"}, {"billing_usage_upto", "bill"}, {"billing_posted", "bill"},
	{"ledger_transaction", "name"}, {"ledger_entry", "name"}, {"outbox_fact", ""},
}

const (
	floorAccounts = 10_000 // whose rows are inserted again
	floorPage     = 500    // accounts of a transaction, as the run has
	floorWriters  = 3
)

// twin is a table of the same columns and indexes as one that a bill leaves rows in, and
// rows of it.
type twin struct {
	into string
	rows [][]any
}

// floor is how many accounts a second this store takes if a bill were only its rows: all
// that bills have left, inserted again in bulk, each page of accounts in one durable
// commit, into empty tables with the same indexes.
func (b *billingRun) floor(ctx context.Context) (perSecond, rowsPerAccount float64, err error) {
	accounts := min(floorAccounts, b.options.Accounts)
	var twins []twin
	for _, l := range left {
		t, err := b.twin(ctx, l.table, accounts)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", l.table, err)
		}
		twins = append(twins, t)
		rowsPerAccount += float64(len(t.rows)) / float64(accounts)
	}
	pages := max(1, accounts/floorPage)
	var next sync.Mutex
	page, failed := 0, error(nil)
	var wg sync.WaitGroup
	began := time.Now()
	for range floorWriters {
		wg.Go(func() {
			for {
				next.Lock()
				n := page
				page++
				stop := n >= pages || failed != nil
				next.Unlock()
				if stop {
					return
				}
				if err := b.DB.Write(ctx, store.Scope{Tenant: "floor", Actor: "bench"}, func(tx *store.Tx) error {
					for i := range twins {
						t := &twins[i]
						for k := n * len(t.rows) / pages; k < (n+1)*len(t.rows)/pages; k++ {
							tx.Insert(t.into, t.rows[k]...)
						}
					}
					return nil
				}); err != nil {
					next.Lock()
					failed = err
					next.Unlock()
				}
			}
		})
	}
	wg.Wait()
	perSecond = float64(accounts) / time.Since(began).Seconds()
	if failed != nil {
		return 0, 0, failed
	}
	var drop []string
	for _, l := range left {
		drop = append(drop, "DROP TABLE bench_"+l.table+";")
	}
	return perSecond, rowsPerAccount, b.DB.Script(ctx, strings.Join(drop, "\n"))
}

// twin makes the table and reads what bills of so many accounts have left in the one it is
// the twin of.
func (b *billingRun) twin(ctx context.Context, table string, accounts int) (t twin, err error) {
	var columns []column
	var ddl []string
	share := float64(accounts) / float64(b.options.Accounts)
	err = b.DB.Read(ctx, scope, func(tx *store.Tx) error {
		all, err := tables(tx)
		if err != nil {
			return err
		}
		for _, x := range all {
			if x.name == table {
				columns = x.columns
			}
		}
		if ddl, err = twinDDL(tx, table); err != nil {
			return err
		}
		var count int64
		if err := tx.Row("SELECT count(*) FROM " + table + " WHERE tenant = $1").Scan(&count); err != nil {
			return err
		}
		var names []string
		for _, c := range columns {
			if c.name != "tenant" && c.name != "seq" && c.name != "xid" || table == "billing_posted" && c.name == "seq" {
				names = append(names, c.name)
			}
		}
		t.into = fmt.Sprintf("INSERT INTO bench_%s (tenant, %s)", table, strings.Join(names, ", "))
		rows, err := tx.Query(fmt.Sprintf("SELECT %s FROM %s WHERE tenant = $1 LIMIT %d", strings.Join(names, ", "), table, int64(float64(count)*share)))
		t.rows, err = store.Collect(rows, err, func(r store.Rows) ([]any, error) { return scanAny(r, columns, names) })
		return err
	})
	if err != nil {
		return t, err
	}
	return t, b.DB.Script(ctx, strings.Join(ddl, "\n"))
}

// scanAny reads a row by the kinds of its columns.
func scanAny(r store.Rows, columns []column, names []string) ([]any, error) {
	to, out := make([]any, len(names)), make([]any, len(names))
	kinds := map[string]string{}
	for _, c := range columns {
		kinds[c.name] = c.kind
	}
	for i, name := range names {
		if kinds[name] == "number" {
			to[i] = new(int64)
		} else {
			to[i] = new([]byte)
		}
	}
	if err := r.Scan(to...); err != nil {
		return nil, err
	}
	for i := range to {
		switch v := to[i].(type) {
		case *int64:
			out[i] = *v
		case *[]byte:
			out[i] = string(*v)
		}
	}
	return out, nil
}

// twinDDL makes a table of the same shape.
func twinDDL(tx *store.Tx, table string) ([]string, error) {
	if tx.Dialect() == store.Postgres {
		return []string{fmt.Sprintf("CREATE TABLE bench_%s (LIKE %s INCLUDING ALL);", table, table)}, nil
	}
	rows, err := tx.System().Query("SELECT sql FROM sqlite_master WHERE tbl_name = $1 AND type IN ('table', 'index') AND sql IS NOT NULL ORDER BY type DESC", table)
	texts, err := store.Collect(rows, err, store.Text)
	for i, s := range texts {
		if !strings.HasPrefix(s, "CREATE TABLE ") {
			s = strings.Replace(s, " INDEX ", " INDEX bench_", 1)
			s = strings.Replace(s, " ON "+table, " ON bench_"+table, 1)
		} else {
			s = strings.Replace(s, `"`+table+`"`, table, 1) // so it is written of a table that was renamed
			s = strings.Replace(s, "CREATE TABLE "+table, "CREATE TABLE bench_"+table, 1)
		}
		texts[i] = s + ";"
	}
	return texts, err
}

package inventory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

var tenant = store.Scope{Tenant: "mno", Actor: "test"}

// stocked is a store with a pool of so many taken numbers and 50,001 free ones
// behind them, and an empty pool of SIMs.
func stocked(t testing.TB, engine store.Dialect, taken int) *store.DB {
	t.Helper()
	db := storetest.Open(t, engine, append([]store.Schema{tmf.Schema(), work.Schema()}, Schemas...)...)
	if err := tmf.Migrate(t.Context(), db, Kinds()); err != nil {
		t.Fatal(err)
	}
	write := func(f func(tx *store.Tx) error) {
		t.Helper()
		if err := db.Write(t.Context(), tenant, f); err != nil {
			t.Fatal(err)
		}
	}
	write(func(tx *store.Tx) error { return NewPool(tx, Pool{ID: "p", Kind: MSISDN, Name: "p"}) })
	write(func(tx *store.Tx) error { return NewPool(tx, Pool{ID: "s", Kind: SIMs, Name: "s"}) })
	for from := 0; from < taken; from += maxRange {
		to := min(from+maxRange, taken)
		write(func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO inventory_number (tenant, kind, value, pool, state, holder, until)
				WITH RECURSIVE counter(n) AS (SELECT CAST($2 AS BIGINT) UNION ALL SELECT n + 1 FROM counter WHERE n < CAST($3 AS BIGINT))
				SELECT CAST($1 AS TEXT), 'msisdn', CAST(n AS TEXT), 'p', 'assigned', 's' || CAST(n AS TEXT), 0 FROM counter`, 440_000_000+from, 440_000_000+to-1)
			return err
		})
	}
	write(func(tx *store.Tx) error {
		_, err := AddRange(tx, "p", "449000000", "449050000")
		return err
	})
	if engine == store.Postgres {
		write(func(tx *store.Tx) error {
			_, err := tx.System().Exec("ANALYZE inventory_number")
			return err
		})
	}
	return db
}

// The next free number is found in an index, however many are taken.
func TestNextFreeIsAnIndexSearch(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			db := stocked(t, engine, 20_000)
			for _, s := range []shelf{numberShelf, simShelf} {
				text := "EXPLAIN QUERY PLAN "
				if engine == store.Postgres {
					text = "EXPLAIN "
				}
				pool, kind := "p", MSISDN
				if s == simShelf {
					pool, kind = "s", SIMs
				}
				plan := explain(t, db, text+s.takeNext(db.Dialect().SkipLocked()), kind, pool, "holder", int64(1), "1")
				if !strings.Contains(plan, s.table+"_free") {
					t.Errorf("%s: the free index is not used:\n%s", s.table, plan)
				}
				if strings.Contains(plan, "SCAN "+s.table) || strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") ||
					s == numberShelf && strings.Contains(plan, "Seq Scan") {
					t.Errorf("%s: rows are walked or sorted:\n%s", s.table, plan)
				}
			}
		})
	}
}

func explain(t *testing.T, db *store.DB, text string, args ...any) string {
	t.Helper()
	var out strings.Builder
	err := db.Write(t.Context(), tenant, func(tx *store.Tx) error {
		rows, err := tx.Query(text, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c int64
			var line string
			dest := []any{&line}
			if db.Dialect() == store.SQLite {
				dest = []any{&a, &b, &c, &line}
			}
			if err := rows.Scan(dest...); err != nil {
				return err
			}
			out.WriteString(line + "\n")
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// BenchmarkReserve shows that a thousand times more taken numbers do not matter.
func BenchmarkReserve(b *testing.B) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		for _, taken := range []int{1_000, 1_000_000} {
			b.Run(fmt.Sprintf("%s/%d", engine, taken), func(b *testing.B) {
				db := stocked(b, engine, taken)
				n := 0
				for b.Loop() {
					err := db.Write(b.Context(), tenant, func(tx *store.Tx) error {
						n++
						_, err := Reserve(tx, MSISDN, "p", "", fmt.Sprint("h", n), tx.Now().Add(time.Hour))
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

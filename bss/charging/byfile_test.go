package charging_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/edge/cdr"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// aside is the room without its projector, in place of the one that runs.
func (w *world) aside() (stop func()) {
	w.Helper()
	if err := w.room.Idle(w.Context()); err != nil {
		w.Fatal(err)
	}
	if err := w.room.Stop(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.room = w.onlooker()
	if err := w.room.StartWithoutProjector(w.Context()); err != nil {
		w.Fatal(err)
	}
	room := w.room
	return func() {
		w.Helper()
		if err := room.Stop(w.Context()); err != nil {
			w.Fatal(err)
		}
	}
}

// Files charge several accounts in one record of the journal; of what is not projected
// yet each is held against its own.
func TestAuditWhileFilesAreCharged(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.change(`INSERT INTO charging_account (tenant, id, customer, billing_account, mode, currency, opened_at)
			SELECT CAST($1 AS TEXT) || '2', CAST(n AS TEXT), '', '', 0, 'EUR', 0 FROM charging_place WHERE n < 255`)
		w.sell("mno", "p2", "prepaid", "491510002")
		if n := w.count("mno", "SELECT max(number) - min(number) FROM charging_account WHERE tenant = $1"); n%256 != 0 {
			t.Fatalf("the accounts are %d apart, so in two shards: the test says nothing", n)
		}
		defer w.aside()()
		m := w.mediate(cdr.FormatJSON)
		if f := m.take("a.jsonl", lines(t, session("a", "491510001", 0, 1), session("b", "491510002", 0, 2), session("c", "491510001", 0, 4))); f.Charged != 3 {
			t.Fatalf("%+v", f)
		}
		for _, r := range []*charging.Room{w.room, w.onlooker()} {
			if found := w.balances(r, 2); len(found) > 0 {
				t.Errorf("%v", found)
			}
		}
	})
}

// However late the ledger is written, it is exact to the second for usage by file too.
func TestStatementOfUsageByFile(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p1"}],"amount":{"amount":10,"units":"EUR"}}`).text("id"), "completed")
		stop := w.aside()
		m := w.mediate(cdr.FormatJSON)
		m.take("a.jsonl", lines(t, session("a", "491510001", 0, 100))) // 1 EUR
		between := time.Now()
		w.await("the next second", func() bool { return time.Now().Unix() > between.Unix() })
		m.take("b.jsonl", lines(t, session("b", "491510001", 0, 200), session("c", "491510001", 0, 300)))
		stop()
		w.start()
		m.used(600 * mib)
		if got, want := w.post(own+"balanceStatement", fmt.Sprintf(`{"product":{"id":"p1"},"from":%q}`, between.UTC().Format(time.RFC3339Nano))).text("balance"),
			`[{"id":"p1.1","name":"balance","opening":{"amount":9,"units":"EUR"},"value":{"amount":4,"units":"EUR"}}]`; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if n := w.count("mno", "SELECT count(*) FROM charging_entry WHERE tenant = $1 AND against = 'usage'"); n != 2 {
			t.Errorf("%d entries of two seconds", n)
		}
	})
}

// The files that a new one is compared with are found in an index, however many there
// are.
func TestFilesOfATimeAreAnIndexSearch(t *testing.T) {
	storetest.Each(t, charging.Schemas, func(t *testing.T, db *store.DB) {
		plan := ""
		if err := db.Write(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			text, dest := "EXPLAIN ", []any{&plan}
			if db.Dialect() == store.SQLite {
				var a, b, c int64
				text, dest = "EXPLAIN QUERY PLAN ", []any{&a, &b, &c, &plan}
			} else if _, err := tx.System().Exec("SET LOCAL enable_seqscan = off"); err != nil { // an empty table is scanned
				return err
			}
			rows, err := tx.Query(text+charging.OverlappingFiles, "smf-1", 1, 2, 3)
			all, err := store.Collect(rows, err, func(r store.Rows) (string, error) { err := r.Scan(dest...); return plan, err })
			plan = strings.Join(all, "\n")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, "charging_file_known") {
			t.Errorf("the index is not used:\n%s", plan)
		}
	})
}

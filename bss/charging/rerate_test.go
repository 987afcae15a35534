package charging_test

import (
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"tandem/bss/charging"
	"tandem/edge/cdr"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// Only the records of the time that is asked for are priced anew, though a row has
// those of a day; the others can be later, and each once.
func TestReratingOfAPartOfADay(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -2)
		var records []*cdr.Record
		for i := range 4 {
			r := session(fmt.Sprint("s", i), "4917011", 0, 10*(i+1))
			at := day.Add(time.Duration(10+i) * time.Hour).UnixMicro()
			r.Start, r.Usage[0].First = at, at
			records = append(records, r)
		}
		m.take("a.jsonl", lines(t, records...))
		m.used(100 * mib)
		if n := w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1 AND records = 4"); n != 1 {
			t.Fatal("the records are not in one row: the test says nothing")
		}
		if a := w.do(ann, "PATCH", "/tmf-api/productCatalogManagement/v4/productOfferingPrice/data", `{"price":{"unit":"EUR","value":0.008}}`); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.sell("mno", "other", "prepaid", "4917012") // publishes the version
		old := w.count("mno", "SELECT DISTINCT tariff FROM charging_usage WHERE tenant = $1")
		fresh := w.count("mno", "SELECT max(number) FROM charging_book WHERE tenant = $1 AND kind = 'tariff'")
		m.routes()
		posted := int64(0)
		for _, x := range []struct {
			from, to       int // hours
			records, delta string
			verdict        string
			posts          int64
		}{
			{14, 20, "0", "0", "", 0},
			{11, 13, "2", "-100000000", "approve", 100_000_000},
			{10, 13, "1", "-20000000", "reject", 0},
			{0, 24, "2", "-100000000", "approve", 100_000_000},
			{0, 24, "0", "0", "", 0},
		} {
			p := m.do(ann, "POST", own+"rerate", fmt.Sprintf(`{"tariff":%d,"with":%d,"from":%q,"to":%q}`, old, fresh,
				day.Add(time.Duration(x.from)*time.Hour).Format(time.RFC3339), day.Add(time.Duration(x.to)*time.Hour).Format(time.RFC3339)))
			if p.status != 200 || p.text("report", "records") != x.records || p.text("report", "changed") != x.records || p.text("report", "delta") != x.delta {
				t.Fatalf("from %d to %d: %d %s", x.from, x.to, p.status, p.body)
			}
			if x.verdict == "" {
				continue
			}
			if a := m.do(bob, "POST", own+"proposal/"+p.text("id")+"/"+x.verdict, `{}`); a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			posted += x.posts
			w.await("the entry", func() bool {
				return w.count("mno", "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM charging_entry WHERE tenant = $1 AND against = 'rerating'") == posted
			})
		}
	})
}

// What was priced anew row by row, as it once was, is not priced anew again.
func TestReratedRowsAreReratedRecords(t *testing.T) {
	const fresh = "0041_rerated.sql"
	was := fstest.MapFS{}
	files, err := fs.Glob(charging.Schemas[0].Files, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if name < fresh {
			text, err := fs.ReadFile(charging.Schemas[0].Files, name)
			if err != nil {
				t.Fatal(err)
			}
			was[name] = &fstest.MapFile{Data: text}
		}
	}
	storetest.Each(t, []store.Schema{{Room: "charging", Files: was}}, func(t *testing.T, db *store.DB) {
		scope := store.Scope{Tenant: "mno", Actor: "test"}
		if err := db.Write(t.Context(), scope, func(tx *store.Tx) error {
			tx.Insert(`INSERT INTO charging_usage (tenant, account, subscriber, service, session, part, cause, rating_group, tariff, rate, seconds, octets, octets_in,
				octets_out, events, money, called, network, first_at, last_at, shard, record, at, file, records)`, 1, 1, 1, "", 0, "event", 0, 1, 1, 0, 0, 0, 0, 0, 0, "", 0, 0, 0, 1, 1, 0, 5, 3)
			tx.Insert("INSERT INTO charging_rerating (tenant, proposal, usage_number, account, was, becomes)", 7, 1, 1, 30, 20)
			tx.Insert("INSERT INTO charging_rerating (tenant, proposal, usage_number, account, was, becomes)", 7, 99, 1, 5, 6) // its row is gone
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := db.Migrate(t.Context(), charging.Schemas...); err != nil {
			t.Fatal(err)
		}
		var places, money int64
		if err := db.Read(t.Context(), scope, func(tx *store.Tx) error {
			return tx.Row("SELECT CAST(sum(CASE WHEN usage_number = 1 THEN 1 ELSE 100 END) AS BIGINT), CAST(sum(becomes - was) AS BIGINT) FROM charging_rerated WHERE tenant = $1 AND proposal = 7").Scan(&places, &money)
		}); err != nil {
			t.Fatal(err)
		}
		if places != 103 || money != -9 {
			t.Errorf("%d, %d", places, money)
		}
	})
}

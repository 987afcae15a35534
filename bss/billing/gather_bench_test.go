package billing_test

import (
	"testing"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// BenchmarkGather reads a page of accounts with five items each.
func BenchmarkGather(b *testing.B) {
	const accounts = 500
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		b.Run(engine.String(), func(b *testing.B) {
			db := storetest.OpenConfig(b, storetest.Config(b, engine), append([]store.Schema{tmf.Schema()}, runSchemas...)...)
			if err := tmf.Migrate(b.Context(), db, runKinds); err != nil {
				b.Fatal(err)
			}
			w := &office{world: &world{b, db, nil}}
			w.open(0, accounts)
			ids := make([]string, accounts)
			for i := range ids {
				ids[i] = accountID(i)
			}
			w.must(func(tx *store.Tx) error { _, err := billing.DefaultEntity(tx); return err })
			b.ResetTimer()
			for range b.N {
				err := db.Read(b.Context(), mno, func(tx *store.Tx) error {
					out, err := billing.Gather(tx, ids, civil.Date{Year: 2026, Month: 12, Day: 1})
					if err == nil && len(out[0].Input.Items) != 5 {
						b.Fatal(out[0].Parked)
					}
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/accounts, "us/account")
		})
	}
}

// BenchmarkJudge looks at a document of five lines as an electronic invoice.
func BenchmarkJudge(b *testing.B) {
	db := storetest.OpenConfig(b, storetest.Config(b, store.SQLite), append([]store.Schema{tmf.Schema()}, runSchemas...)...)
	if err := tmf.Migrate(b.Context(), db, runKinds); err != nil {
		b.Fatal(err)
	}
	o := &office{world: &world{b, db, nil}}
	o.open(0, 1)
	o.must(func(tx *store.Tx) error { _, err := billing.DefaultEntity(tx); return err })
	d := o.paper("2026-12-01", accountID(0))
	for b.Loop() {
		if v := billing.Judge(d); v != nil {
			b.Fatal(v)
		}
	}
}

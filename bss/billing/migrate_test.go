package billing_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// schemaUpTo is the room's schema as it was up to a file.
func schemaUpTo(t *testing.T, last string) store.Schema {
	files := fstest.MapFS{}
	list, err := os.ReadDir("schema")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if text, err := os.ReadFile("schema/" + f.Name()); err != nil {
			t.Fatal(err)
		} else if f.Name() <= last {
			files[f.Name()] = &fstest.MapFile{Data: text}
		}
	}
	return store.Schema{Room: "billing", Files: files}
}

// What stood in a store before is moved over: rectangles of usage stand for all wallets of
// their account, and final credits are known by item and period.
func TestOldBillsAreMovedOver(t *testing.T) {
	storetest.Each(t, []store.Schema{tmf.Schema(), schemaUpTo(t, "0003_terms.sql")}, func(t *testing.T, db *store.DB) {
		write := func(sql string, args ...any) {
			t.Helper()
			if err := db.Write(t.Context(), mno, func(tx *store.Tx) error { tx.Insert(sql, args...); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		write("INSERT INTO billing_usage_upto (tenant, account, before_at, bill, number, entry, charged_at)", "a1", 100, "b1", 7, 8, 99)
		for _, note := range []struct {
			id, reason string
			rebill     int64
		}{{"n1", "goodwill", 0}, {"n2", "notOrdered", 0}, {"n3", "wrongPrice", 1}} {
			doc := billing.Document{Bill: note.id, Kind: billing.CreditNote, Reason: note.reason, Date: civil.Date{Year: 2026, Month: 12, Day: 1}, Lines: []billing.DocumentLine{
				{ID: "2", Item: "i1", Index: 3, Name: "Line", Amount: 500, TaxCategory: "standard", TaxCode: "S", TaxPercent: [2]int64{19, 1}, TaxIncluded: note.id == "n2"},
				{ID: "3", Key: "usage", Name: "Data", Amount: 100, TaxCategory: "standard", TaxCode: "S", TaxPercent: [2]int64{19, 1}}}}
			body, err := doc.Encode()
			if err != nil {
				t.Fatal(err)
			}
			write("INSERT INTO billing_document (tenant, bill, doc)", note.id, string(body))
			write("INSERT INTO billing_credit_of (tenant, bill, note, rebill)", "b1", note.id, note.rebill)
		}
		if err := db.Migrate(t.Context(), billing.Schemas...); err != nil {
			t.Fatal(err)
		}
		o := &office{world: &world{TB: t, db: db}}
		if got := o.rows(6, "SELECT account, wallet, before_at, bill, number, entry FROM billing_usage_upto WHERE tenant = $1"); !slices.Equal(got, []string{"a1 0 100 b1 7 8"}) {
			t.Errorf("%q", got)
		}
		want := "i1 3 n1 2 500 0 standard 19 1 0, i1 3 n2 2 500 1 standard 19 1 1"
		got := o.rows(10, "SELECT item, idx, note, line, amount, corrects, tax_category, tax_num, tax_den, tax_included FROM billing_credited WHERE tenant = $1 ORDER BY note")
		if strings.Join(got, ", ") != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

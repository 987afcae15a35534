package charging_test

import (
	"strings"
	"testing"

	"tandem/kit/store"
)

// audited is what the audits find.
func (w *world) audited() (found []string) {
	w.Helper()
	w.await("the journal to be projected", func() bool { return w.room.Behind() <= 0 })
	err := w.room.AuditBalances(w.Context(), "mno", func(account, words string) error {
		found = append(found, account+": "+words)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	seen, err := w.room.AuditJournal(w.Context(), func(tenant, words string) error {
		found = append(found, tenant+": "+words)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	if seen.Records != 6 || seen.Unjudged != 0 {
		w.Errorf("%+v", seen)
	}
	return found
}

func (w *world) change(sql string, args ...any) {
	w.Helper()
	err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
		n, err := tx.Exec(sql, args...)
		if err == nil && n == 0 {
			w.Errorf("%s changes nothing", sql)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

// The journal, the usage records, the ledger and the balances agree; what was changed
// behind their backs is found, a price as well.
func TestAuditFindsWhatDisagrees(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "plan", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		w.sell("rival", "r1", "prepaid", "491510003")
		w.ends("topupBalance", w.post(balance+"topupBalance", `{"product":[{"id":"p2"}],"amount":{"amount":20,"units":"EUR"}}`).text("id"), "completed")
		w.eats("491510001", "a", 60_000_000)
		w.eats("491510001", "b", 60_000_001) // part of it beyond the allowance
		w.eats("491510002", "c", 1_000_003)
		w.eats("491510002", "d", 77)
		w.eats("491510003", "e", 123_456_789)
		w.post(usage+"usage", `{"usageType":"sms","usageCharacteristic":[{"name":"msisdn","value":"491510001"},{"name":"events","value":7}]}`)
		if found := w.audited(); len(found) > 0 {
			t.Fatalf("%v", found)
		}
		for _, c := range [][3]string{
			{"UPDATE charging_entry SET amount = amount + 1 WHERE tenant = $1 AND against = 'topUp'", "UPDATE charging_entry SET amount = amount - 1 WHERE tenant = $1 AND against = 'topUp'",
				"p2: bucket 1 holds"},
			{"UPDATE charging_usage SET octets = octets - 1 WHERE tenant = $1 AND session = 'a'", "UPDATE charging_usage SET octets = octets + 1 WHERE tenant = $1 AND session = 'a'",
				"mno: the journal has 5 records"},
			{`UPDATE charging_book SET doc = replace(doc, '"per":1048576', '"per":1048577') WHERE tenant = $1 AND kind = 'tariff'`, "", "they cost"},
		} {
			sql := c[0]
			if w.db.Dialect() == store.Postgres {
				sql = strings.Replace(sql, "replace(doc,", "CAST(replace(CAST(doc AS TEXT),", 1)
				sql = strings.Replace(sql, `1048577')`, `1048577') AS JSON)`, 1)
			}
			w.change(sql)
			if found := w.audited(); len(found) == 0 || !strings.Contains(strings.Join(found, "\n"), c[2]) {
				t.Errorf("after %s: %v", sql, found)
			}
			if c[1] != "" {
				w.change(c[1])
			}
		}
	})
}

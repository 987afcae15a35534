package charging_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// audited is what the audits find.
func (w *world) audited() (found []string) {
	w.Helper()
	w.await("the journal to be projected", func() bool { return w.room.Behind() <= 0 })
	found = w.balances(w.room, 2)
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

// balances are what a room says of the balances of the tenant's so many accounts.
func (w *world) balances(r *charging.Room, accounts int64) (found []string) {
	w.Helper()
	judged, err := r.AuditBalances(w.Context(), "mno", func(account, words string) error {
		found = append(found, account+": "+words)
		return nil
	})
	if err != nil || judged != accounts {
		w.Fatalf("%d of %d balances were judged: %v", judged, accounts, err)
	}
	return found
}

// A balance that never rests is held against the ledger all the same; so is one that
// another node decides for, or nobody.
func TestAuditJudgesEveryBalance(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.sell("mno", "p2", "plan", "491510002")
		idle := w.onlooker()
		stop, ended := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			for ; ; n++ {
				select {
				case <-stop:
					ended <- n
					return
				default:
					w.eats("491510001", fmt.Sprint("e", n), mib)
				}
			}
		}()
		written := func() int64 {
			return w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1")
		}
		for range 5 {
			n := written()
			w.await("a few charges more", func() bool { return written() > n+4 })
			if found := append(w.balances(w.room, 2), w.balances(idle, 2)...); len(found) > 0 {
				t.Errorf("%v", found)
			}
		}
		w.change("UPDATE charging_entry SET amount = amount + 1 WHERE tenant = $1 AND against = 'usage' AND number = (SELECT min(number) FROM charging_entry WHERE tenant = $1 AND against = 'usage')")
		for _, r := range []*charging.Room{w.room, idle} {
			if found := w.balances(r, 2); len(found) != 1 || !strings.Contains(found[0], "p1: bucket 1 holds") {
				t.Errorf("%v", found)
			}
		}
		close(stop)
		if n := <-ended; n < 10 {
			t.Errorf("only %d charges in the mean time", n)
		}
	})
}

// onlooker is a room that decides for no account.
func (w *world) onlooker() *charging.Room {
	return charging.New(charging.Config{DB: w.db, Journal: w.journal, Holder: tmf.NewID(), Address: "aside", Lease: time.Second, PINKey: []byte("a key for tests"),
		Tenants: func(context.Context) ([]string, error) { return w.tenants, nil }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
}

package ledger_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/bss/ledger"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
)

var (
	host  = store.Scope{Tenant: "host", Actor: "user:ann"}
	other = store.Scope{Tenant: "other", Actor: "user:bob"}
	day   = civil.Date{Year: 2026, Month: time.March, Day: 14}
)

// each runs f on both stores.
func each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	tmftest.Each(t, append([]store.Schema{access.Schema()}, ledger.Schemas...), ledger.Kinds(), f)
}

func bill(name string, net, tax int64) ledger.Transaction {
	return ledger.Transaction{Name: name, Entity: "acme", Currency: money.EUR, Date: day, What: "Bill", Entries: []ledger.Entry{
		{Account: ledger.Receivable, Party: "a1", Amount: net + tax},
		{Account: ledger.Of(ledger.Revenue, "4400"), Amount: -net},
		{Account: ledger.Of(ledger.Tax, "S19"), Amount: -tax}}}
}

func post(t *testing.T, db *store.DB, all ...ledger.Transaction) error {
	t.Helper()
	return db.Write(t.Context(), host, func(tx *store.Tx) error { return ledger.Post(tx, all...) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reading(t *testing.T, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	must(t, db.Read(t.Context(), host, fn))
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code {
		t.Fatalf("got %v, want a refusal %s", err, code)
	}
}

func TestABookingIsBookedOnceAndBalances(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, post(t, db, bill("bill/1", 1000, 190), bill("bill/2", 500, 95)))
		if err := post(t, db, bill("bill/1", 1000, 190)); !store.IsUnique(err, "ledger_transaction") {
			t.Fatalf("booked twice: %v", err)
		}
		wrong := bill("bill/3", 1000, 190)
		wrong.Entries[0].Amount--
		if err := post(t, db, bill("bill/4", 1, 0), wrong); err == nil || !strings.Contains(err.Error(), "does not balance: -0.01 EUR") {
			t.Fatalf("a booking that does not balance: %v", err)
		}
		reading(t, db, func(tx *store.Tx) error {
			got, err := ledger.Balance(tx, ledger.Receivable, "a1", day)
			if err != nil || len(got) != 1 || got[0].Amount != 1785 {
				t.Errorf("a1 owes %v %v, want 1785", got, err)
			}
			if got, err = ledger.Balance(tx, ledger.Receivable, "a1", day.AddDays(-1)); err != nil || len(got) != 0 {
				t.Errorf("a1 owed %v %v the day before", got, err)
			}
			if found, err := ledger.Audit(tx); err != nil || len(found) != 0 {
				t.Errorf("audit: %v %v", found, err)
			}
			return nil
		})
		must(t, db.Read(t.Context(), other, func(tx *store.Tx) error {
			got, err := ledger.Trial(tx, "acme", day)
			if len(got) != 0 {
				t.Errorf("another tenant sees %v", got)
			}
			return err
		}))
	})
}

func TestTheChartIsKept(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for _, e := range []ledger.Entry{{Account: "recievable", Party: "a1"}, {Account: ledger.Receivable}, {Account: ledger.Revenue},
			{Account: ledger.Of(ledger.Tax, "S19"), Party: "a1"}, {Account: ledger.Of(ledger.Receivable, "x"), Party: "a1"}, {Account: ""}} {
			b := bill("bill/x", 100, 19)
			e.Amount = b.Entries[0].Amount
			b.Entries[0] = e
			if err := post(t, db, b); err == nil || !strings.Contains(err.Error(), "chart of accounts") {
				t.Errorf("%+v: %v", e, err)
			}
		}
	})
}

func TestWhatIsBookedStays(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, post(t, db, bill("bill/1", 1000, 190)))
		for _, text := range []string{"UPDATE ledger_entry SET amount = 0 WHERE tenant = $1", "DELETE FROM ledger_entry WHERE tenant = $1",
			"UPDATE ledger_transaction SET on_date = '2026-01-01' WHERE tenant = $1", "DELETE FROM ledger_transaction WHERE tenant = $1"} {
			err := db.Write(t.Context(), host, func(tx *store.Tx) error { _, err := tx.Exec(text); return err })
			if err == nil || !strings.Contains(err.Error(), "what is booked is not") {
				t.Errorf("%s: %v", text, err)
			}
		}
		reverse := func(name string) error {
			return db.Write(t.Context(), host, func(tx *store.Tx) error {
				return ledger.Reverse(tx, name, day.AddDays(3), "Sent to the wrong customer")
			})
		}
		must(t, reverse("bill/1"))
		if err := reverse("bill/1"); !store.IsUnique(err, "ledger_transaction") {
			t.Errorf("undone twice: %v", err)
		}
		refused(t, reverse("bill/1/reversed"), "isReversal")
		if err := reverse("bill/9"); !fault.Is(err, fault.NotFound) {
			t.Errorf("undone what is not there: %v", err)
		}
		reading(t, db, func(tx *store.Tx) error {
			sums, err := ledger.Trial(tx, "acme", day.AddDays(3))
			for _, s := range sums {
				if s.Amount != 0 {
					t.Errorf("after the reversal %s has %d", s.Account, s.Amount)
				}
			}
			return err
		})
	})
}

func TestNothingIsBookedInAClosedMonth(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, post(t, db, bill("bill/1", 1000, 190)))
		closing := func(month civil.Date) error {
			return db.Write(t.Context(), host, func(tx *store.Tx) error { return ledger.Close(tx, "acme", month) })
		}
		refused(t, closing(civil.DateOf(db.Now(), time.UTC)), "monthNotOver")
		must(t, closing(day))
		refused(t, closing(day), "monthClosed")
		refused(t, post(t, db, bill("bill/2", 500, 95)), "monthClosed")
		late := bill("bill/2", 500, 95)
		late.Date = civil.Date{Year: 2026, Month: time.April, Day: 1}
		must(t, post(t, db, late))
		reading(t, db, func(tx *store.Tx) error {
			sums, err := ledger.Trial(tx, "acme", late.Date)
			if len(sums) != 3 || sums[0].Amount != 1785 {
				t.Errorf("trial balance over a closing: %v, want 1785 receivable", sums)
			}
			return err
		})
	})
}

// TestClosingWaitsForWhoBooks: entries of a month come in from many sides while it is
// closed: each is in the closing or refused.
func TestClosingWaitsForWhoBooks(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for n := range 50 {
					err := db.Write(t.Context(), host, func(tx *store.Tx) error { return ledger.Post(tx, bill(fmt.Sprintf("bill/%d-%d", w, n), 100, 19)) })
					if err != nil && fault.Of(err).Code != "monthClosed" {
						t.Error(err)
					}
				}
			})
		}
		wg.Go(func() {
			if err := db.Write(t.Context(), host, func(tx *store.Tx) error { return ledger.Close(tx, "acme", day) }); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		reading(t, db, func(tx *store.Tx) error {
			if found, err := ledger.Audit(tx); err != nil || len(found) != 0 {
				t.Errorf("audit: %v %v", found, err)
			}
			return nil
		})
	})
}

// TestTheBooksBalanceAfterAnyHistory books, reverses and closes at random; the trial
// balance is zero at every date, and the parties' balances sum to the account.
func TestTheBooksBalanceAfterAnyHistory(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 1))
		var names []string
		for n := range 120 {
			name := fmt.Sprintf("t/%d", n)
			b := bill(name, r.Int64N(2_000_000)-1_000_000, r.Int64N(1000))
			b.Date = day.AddDays(r.IntN(90))
			b.Entries[0].Party = fmt.Sprintf("a%d", r.IntN(5))
			if err := post(t, db, b); err != nil {
				refused(t, err, "monthClosed")
				continue
			}
			names = append(names, name)
			switch r.IntN(12) {
			case 0:
				err := db.Write(t.Context(), host, func(tx *store.Tx) error {
					return ledger.Reverse(tx, names[r.IntN(len(names))], b.Date.AddDays(r.IntN(30)), "wrong")
				})
				if err != nil && !store.IsUnique(err, "ledger_transaction") {
					refused(t, err, "monthClosed")
				}
			case 1:
				if n > 100 {
					err := db.Write(t.Context(), host, func(tx *store.Tx) error { return ledger.Close(tx, "acme", day.AddDays(r.IntN(60))) })
					if err != nil && fault.Of(err).Code != "monthBeforeOpen" {
						refused(t, err, "monthClosed")
					}
				}
			}
		}
		reading(t, db, func(tx *store.Tx) error {
			for d := 0; d < 130; d += 13 {
				sums, err := ledger.Trial(tx, "acme", day.AddDays(d))
				if err != nil {
					return err
				}
				var total, owed, parties int64
				for _, s := range sums {
					total += s.Amount
					if s.Account == ledger.Receivable {
						owed = s.Amount
					}
				}
				for a := range 5 {
					of, err := ledger.Balance(tx, ledger.Receivable, fmt.Sprintf("a%d", a), day.AddDays(d))
					if err != nil {
						return err
					}
					for _, s := range of {
						parties += s.Amount
					}
				}
				if total != 0 || owed != parties {
					t.Errorf("day %d: the books are off by %d; the account has %d, its parties %d", d, total, owed, parties)
				}
			}
			found, err := ledger.Audit(tx)
			if len(found) > 0 {
				t.Errorf("audit: %v", found)
			}
			return err
		})
	})
}

func TestAStatementIsWhatWasBooked(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, post(t, db, bill("bill/1", 1000, 190)))
		reading(t, db, func(tx *store.Tx) error {
			got, err := ledger.Statement(tx, ledger.Receivable, "a1", civil.Period{From: day, To: day.AddDays(1)})
			if len(got) != 1 || got[0].Amount != 1190 || got[0].What != "Bill" {
				t.Errorf("statement %v", got)
			}
			return err
		})
	})
}

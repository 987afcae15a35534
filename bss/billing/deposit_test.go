package billing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// deposit is one, as it is now.
func (o *office) deposit(id string) (d *billing.Deposit) {
	o.Helper()
	o.must(func(tx *store.Tx) (err error) { d, err = billing.Deposits.Get(tx, id); return err })
	return d
}

// holds is what the books hold as deposits of an account, and have paid as interest.
func (o *office) holds(account string) (held, interest int64) {
	o.Helper()
	o.must(func(tx *store.Tx) error {
		sums, err := ledger.Balance(tx, ledger.Deposits, account, civil.Date{Year: 2099, Month: 1, Day: 1})
		for _, s := range sums {
			held -= s.Amount
		}
		return err
	})
	for _, s := range o.trial() {
		if s.Account == ledger.Interest {
			interest = s.Amount
		}
	}
	return held, interest
}

// lineOf is a line of a bill by the beginning of its name.
func lineOf(d *billing.Document, name string) string {
	for _, l := range d.Lines {
		if strings.HasPrefix(l.Name, name) {
			return fmt.Sprintf("%s = %d %s", l.Name, l.Amount, l.TaxCode)
		}
	}
	return ""
}

// pays says that a bill is paid, as receivable does.
func (o *office) pays(bill string) {
	o.Helper()
	o.must(func(tx *store.Tx) error { billing.Paid(tx, bill, 1, 0); return nil })
}

// later sets the clock on by days, and begins a node that finds what is due then.
func (o *office) later(days int) {
	o.Helper()
	o.shift.Add(int64(days) * int64(24*time.Hour))
	o.node(o.db)
}

// TestADepositIsHeldAndGivenBack: 100.00 are asked for, billed without tax, a liability in the
// books and no revenue; a year after it was paid it is given back with 2.00 of interest.
func TestADepositIsHeldAndGivenBack(t *testing.T) {
	bills(t, func(o *office) {
		account := o.account(o.customer("Groß"), "")
		o.refused("POST", runs+"deposit", `{"billingAccount":{"id":"nobody"},"amount":{"unit":"EUR","value":100}}`, 400, "unknownReference")
		o.refused("POST", runs+"deposit", `{"billingAccount":{"id":"`+account+`"},"amount":{"unit":"EUR","value":0}}`, 400, "badAmount")
		o.refused("POST", runs+"deposit", `{"billingAccount":{"id":"`+account+`"},"amount":{"unit":"EUR","value":0.001}}`, 400, "badAmount")
		id := o.post(runs+"deposit", `{"billingAccount":{"id":"`+account+`"},"amount":{"unit":"EUR","value":100},"interestPercent":2,"goodMonths":12}`)
		d := o.paper("2026-12-01", account)
		if d.Gross != 10000 || d.Tax != 0 || lineOf(d, "Security deposit") != "Security deposit = 10000 E" {
			t.Errorf("billed as %s", said(d))
		}
		o.valid(d)
		bill := o.demand(account)
		if held, _ := o.holds(account); held != 10000 {
			t.Errorf("the books hold %d", held)
		}
		o.zero()
		o.explained(bill)
		o.pays(bill)
		o.refused("PATCH", runs+"deposit/"+id, `{"state":"held"}`, 409, "illegalMove")
		o.later(366)
		tmftest.Await(o, func() string {
			if now := o.deposit(id); now.State != billing.DepositReleased {
				return now.State
			}
			return ""
		})
		now := o.deposit(id)
		if now.ReleaseReason != billing.ForGoodMonths || now.Interest == nil || now.Interest.String() != "2.01 EUR" { // 366 days
			t.Errorf("released for %s with interest %v", now.ReleaseReason, now.Interest)
		}
		o.refused("PATCH", runs+"deposit/"+id, `{"state":"held"}`, 409, "illegalMove")
		o.later(30)
		o.demand(account)
		if held, interest := o.holds(account); held != 0 || interest != 201 {
			t.Errorf("the books hold %d and paid %d of interest", held, interest)
		}
		o.zero()
		o.proves()
	})
}

// TestADepositComesWithAnOffering: it is charged once with the product, no discount touches
// it, and what the customer owes when he leaves is set off against it.
func TestADepositComesWithAnOffering(t *testing.T) {
	bills(t, func(o *office) {
		bad := o.price("bad", "recurring", "10", monthly+`"tandem:billing":{"deposit":{}},`)
		o.refused("POST", catalogs+"productOffering", `{"name":"bad","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"`+bad+`"}]}`, 400, "invalidBilling")
		bad = o.price("bad", "oneTime", "10", `"tandem:billing":{"deposit":{},"revenue":"4400","taxIncluded":true},`)
		o.refused("POST", catalogs+"productOffering", `{"name":"bad","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"`+bad+`"}]}`, 400, "invalidBilling")
		customer := o.customer("Groß")
		account := o.account(customer, "")
		half := o.price("Half", "discount", "", `"percentage":50,`)
		product := o.runs(o.offering("M", o.price("Deposit", "oneTime", "50", `"tandem:billing":{"deposit":{}},`), o.price("Line", "recurring", "20", monthly), half),
			customer, account, on("2026-11-01T10:00:00Z"))
		d := o.paper("2026-12-01", account)
		if lineOf(d, "Deposit") != "Deposit = 5000 E" || lineOf(d, "Half") != "Half = -1000 S" {
			t.Errorf("billed as %s", said(d))
		}
		bill := o.demand(account)
		o.pays(bill)
		o.ends(product, "2026-12-01T05:00:00Z")
		d = o.paper("2026-12-02", account)
		if d.Kind != billing.CreditNote || lineOf(d, "Security deposit given back") != "Security deposit given back = 5000 E" {
			t.Errorf("the last bill: %s", said(d))
		}
		if held, _ := o.holds(account); held != 5000 {
			t.Errorf("the books hold %d", held)
		}
		o.demand(account)
		if held, _ := o.holds(account); held != 0 {
			t.Errorf("the books hold %d after it was given back", held)
		}
		o.zero()
		o.proves()
	})
}

// TestALateBillKeepsADeposit: a bill that was due and is not paid keeps it for another month.
func TestALateBillKeepsADeposit(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		id := o.post(runs+"deposit", `{"billingAccount":{"id":"`+account+`"},"amount":{"unit":"EUR","value":100},"goodMonths":1}`)
		o.pays(o.demand(account))
		o.runs(o.offering("M", o.price("Setup", "oneTime", "20", "")), customer, account, on("2026-12-01T05:00:00Z"))
		owed := o.demand(account)
		o.later(40)
		tmftest.Await(o, func() string {
			if now := o.deposit(id); now.State != billing.DepositHeld {
				return now.State
			}
			return ""
		})
		o.pays(owed)
		o.later(70)
		tmftest.Await(o, func() string {
			if now := o.deposit(id); now.State != billing.DepositReleased {
				return now.State
			}
			return ""
		})
	})
}

// credits credits a posted bill, or a line of it, for good.
func (o *office) credits(bill, lines string) {
	o.Helper()
	r := o.read(runs + "creditNoteRequest/" + o.post(runs+"creditNoteRequest", `{"bill":{"id":"`+bill+`"},"reason":"cancellation"`+lines+`}`))
	if r["state"] != "posted" {
		o.Fatalf("%v", r)
	}
}

// TestACreditedDepositIsNotGivenBackOnceMore: a credit note gives it back itself; what it leaves
// is given back later, and what was given back is not credited.
func TestACreditedDepositIsNotGivenBackOnceMore(t *testing.T) {
	bills(t, func(o *office) {
		ask := func(account string) string {
			return o.post(runs+"deposit", `{"billingAccount":{"id":"`+account+`"},"amount":{"unit":"EUR","value":100},"interestPercent":2}`)
		}
		back := func(account string, want int64) {
			o.Helper()
			if held, interest := o.holds(account); held != want || interest != 0 {
				t.Errorf("the books hold %d, want %d; interest %d", held, want, interest)
			}
		}
		customer := o.customer("Groß")
		whole, part := o.account(customer, ""), o.account(customer, "")
		id := ask(whole)
		o.credits(o.demand(whole), "")
		if d := o.deposit(id); d.State != billing.DepositReleased || d.ReleaseReason != billing.ForCredit || d.Interest != nil {
			t.Errorf("credited, and is %s for %s", d.State, d.ReleaseReason)
		}
		back(whole, 0)
		o.refused("PATCH", runs+"deposit/"+id, `{"reason":"another"}`, 409, "depositReasonStays")
		o.refused("PATCH", runs+"deposit/"+id, `{"releaseReason":"debt"}`, 409, "depositReasonStays")

		id = ask(part)
		bill := o.demand(part)
		o.credits(bill, `,"line":[{"id":"1","amount":{"unit":"EUR","value":40}}]`)
		o.pays(bill)
		back(part, 6000)
		o.refused("PATCH", runs+"deposit/"+id, `{"releaseReason":"debt"}`, 409, "depositReasonStays")
		o.refused("PATCH", runs+"deposit/"+id, `{"state":"released","releaseReason":"credit"}`, 400, "badReason")
		if a := o.api.Do("mno", "PATCH", runs+"deposit/"+id, `{"state":"released"}`); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		o.demand(part)
		back(part, 0)
		o.refused("POST", runs+"creditNoteRequest", `{"bill":{"id":"`+bill+`"},"reason":"cancellation"}`, 409, "depositReleased")
		back(part, 0)
		if n := o.number("SELECT count(*) FROM access_audit WHERE tenant = $1 AND action = 'billing.depositReleased'"); n != 2 {
			t.Errorf("%d of 2 releases stand in the audit", n)
		}
		o.zero()
		o.proves()
	})
}

// TestADepositIsKeptWhileABillIsOwed, however long it was due, and for its good months after one
// that was paid late; a bill of nothing is neither.
func TestADepositIsKeptWhileABillIsOwed(t *testing.T) {
	bills(t, func(o *office) {
		ask := func(account string) string {
			return o.post(runs+"deposit", `{"billingAccount":{"id":"`+account+`"},"amount":{"unit":"EUR","value":100},"goodMonths":1}`)
		}
		state := func(id, want string) {
			o.Helper()
			tmftest.Await(o, func() string {
				if now := o.deposit(id); now.State != want {
					return now.State
				}
				return ""
			})
		}
		customer := o.customer("Groß")
		account, even := o.account(customer, ""), o.account(customer, "")
		id, first := ask(account), ask(even)
		o.pays(o.demand(account))
		o.pays(o.demand(even))
		if a := o.api.Do("mno", "PATCH", runs+"deposit/"+first, `{"state":"released"}`); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		second := ask(even)
		if d := o.documentOf(o.demand(even)); d.Gross != 0 || len(d.Lines) != 2 {
			t.Fatalf("not even: %s", said(d))
		}
		o.runs(o.offering("M", o.price("Setup", "oneTime", "20", "")), customer, account, on("2026-12-01T05:00:00Z"))
		owed := o.demand(account)
		o.later(40)
		state(id, billing.DepositHeld)
		state(second, billing.DepositReleased)
		keeps := func(days int, why string) {
			o.Helper()
			o.later(days)
			tmftest.Await(o, func() string {
				due := fmt.Sprintf("SELECT count(*) FROM work_job WHERE tenant = $1 AND kind = 'billing.deposit' AND run_at <= %d", store.Micros(o.db.Now()))
				if o.number(due) > 0 {
					return "the deposit was not looked at"
				}
				return ""
			})
			if now := o.deposit(id); now.State != billing.DepositHeld {
				t.Errorf("%s, and the deposit is %s", why, now.State)
			}
		}
		keeps(100, "a bill is due for four months")
		o.later(20)
		o.pays(owed) // late
		keeps(12, "a bill was paid late this month")
		o.later(60)
		state(id, billing.DepositReleased)
	})
}

// TestADepositEndsWithWhatItIsFor: with its product, on whatever account that ends; one that
// was asked for by hand not with a product that ran before.
func TestADepositEndsWithWhatItIsFor(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		a, b := o.account(customer, ""), o.account(customer, "")
		deposit := o.price("Deposit", "oneTime", "50", `"tandem:billing":{"deposit":{}},`)
		of := func(account string) *billing.Deposit {
			o.Helper()
			var found []*billing.Deposit
			o.must(func(tx *store.Tx) (err error) {
				found, err = billing.Deposits.Select(tx, tmf.Where{"billingAccount.id": account}, tmf.Page{})
				return err
			})
			if len(found) != 1 {
				t.Fatalf("%d deposits", len(found))
			}
			return found[0]
		}
		moves := o.runs(o.offering("M", deposit, o.price("Line", "recurring", "20", monthly)), customer, a, on("2026-11-01T10:00:00Z"))
		o.pays(o.demand(a))
		o.must(func(tx *store.Tx) error {
			return billing.Change(tx, fact.ProductChanged{Product: moves, BillingAccount: b, Service: "s1", At: on("2026-11-20T10:00:00Z")})
		})
		if d := of(a); d.State == billing.DepositReleased {
			t.Error("the deposit was given back while its product runs on another account")
		}
		o.ends(moves, "2026-12-01T05:00:00Z")
		if d := of(a); d.ReleaseReason != billing.ForEnd {
			t.Errorf("its product ended on another account, and the deposit is %s", d.State)
		}

		once := o.account(customer, "")
		only := o.runs(o.offering("Only", deposit), customer, once, on("2026-11-01T10:00:00Z"))
		o.ends(only, "2026-12-01T05:00:00Z")
		if d := of(once); d.ReleaseReason != billing.ForEnd {
			t.Errorf("its product had nothing else, ended, and the deposit is %s", d.State)
		}

		hand := o.account(customer, "")
		plan := o.offering("S", o.price("Small", "recurring", "10", monthly))
		before := o.runs(plan, customer, hand, on("2026-11-01T10:00:00Z"))
		o.post(runs+"deposit", `{"billingAccount":{"id":"`+hand+`"},"amount":{"unit":"EUR","value":100}}`)
		o.at("2026-12-03T09:00:00Z")
		o.ends(before, "2026-12-02T05:00:00Z")
		if d := of(hand); d.State == billing.DepositReleased {
			t.Error("a deposit for a product that is still to come was given back with the one before")
		}
		after := o.runs(plan, customer, hand, on("2026-12-02T10:00:00Z"))
		o.ends(after, "2026-12-03T05:00:00Z")
		if d := of(hand); d.ReleaseReason != billing.ForEnd {
			t.Errorf("all that began after it was asked for ended, and the deposit is %s", d.State)
		}
	})
}

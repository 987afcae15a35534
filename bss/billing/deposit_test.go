package billing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/store"
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

package e2e_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/billing"
	"tandem/bss/order"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/edge/gsup"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/sepa/sepatest"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	payments = "/payment/v4/payment"
	day      = 24 * time.Hour
)

// debtor is an operator whose calendar the test turns, with a customer who has a bill.
type debtor struct {
	*operator
	ahead *atomic.Int64
}

func turning(t *testing.T, engine store.Dialect) *debtor { return turningFrom(t, engine, time.Now()) }

// turningFrom is one whose calendar begins at an instant.
func turningFrom(t *testing.T, engine store.Dialect, first time.Time) *debtor {
	d := &debtor{ahead: &atomic.Int64{}}
	d.ahead.Store(int64(time.Until(first)))
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Clock = func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }
	d.operator = start(t, c, e)
	d.seed(e.CTRL(), e.VTY(), stock)
	d.incorporated()
	return d
}

// incorporated completes the legal entity that the house has made: the bills of one that is
// made up are held.
func (d *debtor) incorporated() {
	d.t.Helper()
	d.write(brand, func(tx *store.Tx) error {
		e, err := billing.DefaultEntity(tx)
		if err != nil {
			return err
		}
		_, err = billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error {
			e.Name, e.TaxRegistration = "Bluebird Mobile GmbH", "12/345/67890"
			e.Address = &billing.PostalAddress{Street: "Hafenstraße 1", PostCode: "20457", City: "Hamburg", Country: "DE"}
			return nil
		})
		return err
	})
}

// days turns the calendar.
func (d *debtor) days(n int) {
	d.t.Helper()
	d.ahead.Add(int64(time.Duration(n) * day))
	d.idle()
}

// billed runs the bills of all accounts, approved by a second person, and says what the
// account of the brand's customer owes.
func (d *debtor) billed() (account string, open int64) {
	d.t.Helper()
	run := &billing.BillRun{}
	as := func(actor string, f func(*store.Tx) error) {
		d.t.Helper()
		if err := d.DB.Write(d.t.Context(), store.Scope{Tenant: brand, Actor: actor}, f); err != nil {
			d.t.Fatal(err)
		}
		d.idle()
	}
	as("user:ann", func(tx *store.Tx) error { return billing.BillRuns.OnPost(tx, run) })
	for _, state := range []string{billing.RunApproved, billing.RunPosted} {
		as("user:bob", func(tx *store.Tx) error {
			old, err := billing.BillRuns.Lock(tx, run.ID)
			if err != nil {
				return err
			}
			next, err := billing.BillRuns.Copy(old)
			if err != nil {
				return err
			}
			next.State = state
			return billing.BillRuns.OnPatch(tx, old, next)
		})
	}
	d.await("the bill", func() bool {
		return d.count("SELECT count(*) FROM receivable_claim WHERE tenant = $1 AND open > 0", brand) == 1
	}, func() string {
		return fmt.Sprintf("the run is %+v", must[billing.BillRun](d.operator, http.MethodGet, "/tandem-api/billing/v1/billRun/"+run.ID, nil))
	})
	err := d.DB.Read(d.t.Context(), scope(brand), func(tx *store.Tx) error {
		return tx.Row("SELECT account, open FROM receivable_claim WHERE tenant = $1 AND open > 0").Scan(&account, &open)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return account, open
}

// Who does not pay is reminded twice, then barred in the register, and told so only when the
// register has said it; who pays is served again within seconds.
func TestADebtIsBarredInTheRegister(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			turning(t, engine).barred()
		})
	}
}

func (d *debtor) barred() {
	t, w := d.t, d.tower()
	line := d.through(add(mobile.FlatM))
	c, msisdn := cardOf(char(line, "imsi")), char(line, "msisdn")
	w.attaches(c, msisdn)
	d.days(40)
	account, open := d.billed()
	steps := func() int64 { return d.count("SELECT count(*) FROM receivable_action WHERE tenant = $1", brand) }
	due := 0
	for ; steps() < 3; due++ {
		if due > 60 {
			t.Fatalf("after %d days the ladder has %d steps", due, steps())
		}
		w.attaches(c, msisdn)
		d.days(1)
	}
	t.Logf("barred %d days after the bill", due)
	d.await("the register's word", func() bool {
		return d.count("SELECT count(*) FROM receivable_bar WHERE tenant = $1 AND product = $2 AND state = 'barred' AND confirmed_at > 0", brand, line.ID) == 1
	})
	w.refused(c, gsup.CauseGPRSNotAllowed)
	d.proves()

	half := tmf.Money{Nano: open / 2 * 10_000_000, Currency: money.EUR}
	d.pays(account, half)
	w.refused(c, gsup.CauseGPRSNotAllowed)
	before := time.Now()
	d.pays(account, tmf.Money{Nano: (open - open/2) * 10_000_000, Currency: money.EUR})
	d.await("the register serves the line again", func() bool {
		return d.count("SELECT count(*) FROM receivable_bar WHERE tenant = $1 AND product = $2 AND state = 'lifted' AND confirmed_at > 0", brand, line.ID) == 1
	})
	took := time.Since(before)
	w.attaches(c, msisdn)
	t.Logf("%s from the payment to the register's word", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("who pays waits %s", took)
	}
	if b := must[[]*billing.CustomerBill](d.operator, http.MethodGet, "/tmf-api/customerBillManagement/v4/customerBill?billingAccount.id="+account, nil); len(*b) != 1 || (*b)[0].State != billing.BillSettled {
		t.Errorf("the bill is not settled: %+v", *b)
	}
	if p := must[subscription.Product](d.operator, http.MethodGet, "/tmf-api/productInventory/v4/product/"+line.ID, nil); p.Status != subscription.Active {
		t.Errorf("the product is %s", p.Status)
	}
	d.proves()
	d.addsUp()
}

// pays takes money for an account over the API.
func (d *debtor) pays(account string, amount tmf.Money) {
	d.t.Helper()
	must[receivable.PaymentResource](d.operator, http.MethodPost, payments, &receivable.PaymentResource{Account: &receivable.Ref{ID: account}, TotalAmount: &amount,
		PaymentMethod: &receivable.Method{Type: "Cash"}})
}

// addsUp proves receivable against the books.
func (d *debtor) addsUp() {
	d.t.Helper()
	if err := d.DB.Read(d.t.Context(), scope(brand), func(tx *store.Tx) error {
		found, err := receivable.Audit(tx)
		for _, m := range found {
			d.t.Errorf("%s: %s has %d here and %d there", m.What, m.ID, m.Here, m.There)
		}
		return err
	}); err != nil {
		d.t.Fatal(err)
	}
}

const (
	ourIBAN   = "DE02120300000000202051"
	adasIBAN  = "SE4550000000058398257466"
	mandates  = "/tandem-api/receivable/v1/mandate"
	collects  = "/tandem-api/receivable/v1/directDebitFile"
	bankFiles = "/tandem-api/receivable/v1/bankStatement/content"
)

// The story of a customer: joins in the middle of a month, changes the plan, roams, uses more
// than the plan has, is billed, pays by direct debit, the bank takes the money back, is
// reminded and barred in the register, pays by transfer, and is served again. Our books have what the bank's
// account has, all the way.
func TestTheStoryOfACustomer(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			turning(t, engine).story()
		})
	}
}

func (d *debtor) story() {
	t, w := d.t, d.tower()
	d.offersSurf()
	d.write(brand, func(tx *store.Tx) error {
		e, err := billing.DefaultEntity(tx)
		if err != nil {
			return err
		}
		_, err = billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error {
			e.Name, e.IBAN, e.CreditorID = "Bluebird Mobile", ourIBAN, "DE98ZZZ09999999999"
			return nil
		})
		return err
	})
	line := d.sold("surf")
	c, msisdn := cardOf(char(line, "imsi")), char(line, "msisdn")
	d.uses(msisdn, "home", 0, allowance+30<<20) // more than the plan has
	d.days(3)
	d.through(order.Item{Action: order.Modify, ProductOffering: &order.Ref{ID: "surf-flat"}, Product: &order.Product{ID: line.ID}})
	d.uses(msisdn, "abroad", 262001, 5<<20)
	d.days(40)
	account, owed := d.billed()
	text := must[billing.Explanation](d.operator, http.MethodGet, "/tandem-api/billing/v1/billExplanation/"+d.bill(), nil).Text
	t.Logf("the bill is %d minor units:\n%s", owed, text)
	for _, word := range []string{"Flat M", "Data", "Europe", d.due(account)} {
		if !strings.Contains(text, word) {
			t.Errorf("the explanation does not speak of %q", word)
		}
	}

	bank := sepatest.New(ourIBAN, 0)
	must[receivable.Mandate](d.operator, http.MethodPost, mandates, &receivable.Mandate{Account: &receivable.Ref{ID: account}, IBAN: adasIBAN, Debtor: "Ada Berg", Signed: "2026-01-05"})
	d.days(10) // a debit is ordered a few days before the bill is due
	file := must[receivable.DirectDebitFile](d.operator, http.MethodPost, collects, &receivable.DirectDebitFile{LegalEntity: &receivable.Ref{ID: "default"}})
	sent := d.as(brand, http.MethodGet, collects+"/"+file.ID+"/content", nil)
	report, err := bank.Take(sent.body)
	if err != nil {
		t.Fatalf("%v: %s", err, sent)
	}
	d.tells(report)
	waiting := bank.Waiting()
	if len(waiting) != 1 {
		t.Fatalf("the bank collects %d times", len(waiting))
	}
	d.days(6)
	bank.Settle(d.date())
	d.tells(bank.Statement(d.date()))
	if open := d.open(account); open != 0 {
		t.Fatalf("collected, and yet %d are open", open)
	}
	d.days(2)
	if err := bank.Return(d.date(), "AM04", 350, waiting[0].EndToEnd); err != nil {
		t.Fatal(err)
	}
	d.tells(bank.Statement(d.date()))
	if open := d.open(account); open <= owed {
		t.Fatalf("returned with a fee, and only %d of %d are open", open, owed)
	}
	w.attaches(c, msisdn)

	for n := 0; d.count("SELECT count(*) FROM receivable_bar WHERE tenant = $1 AND state = 'barred' AND confirmed_at > 0", brand) == 0; n++ {
		if n > 40 {
			t.Fatalf("nobody was barred: %+v", d.count("SELECT count(*) FROM receivable_action WHERE tenant = $1", brand))
		}
		d.days(1)
	}
	w.refused(c, gsup.CauseGPRSNotAllowed)

	bank.Pay(d.date(), "Ada Berg", adasIBAN, "my bill", "", d.open(account))
	before := time.Now()
	d.tells(bank.Statement(d.date()))
	d.await("the line to be served again", func() bool {
		return d.count("SELECT count(*) FROM receivable_bar WHERE tenant = $1 AND state = 'lifted' AND confirmed_at > 0", brand) == 1
	})
	t.Logf("%s from the bank statement to the register's word", time.Since(before).Round(time.Millisecond))
	w.attaches(c, msisdn)
	d.proves()
	d.addsUp()
	booked := d.count("SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM ledger_entry WHERE tenant = $1 AND account = $2", brand, "bank:"+ourIBAN)
	if booked != bank.Balance {
		t.Errorf("the books have %d at the bank, the bank %d", booked, bank.Balance)
	}
}

// uses has a session use so many octets in a network, and waits until it is written down.
func (d *debtor) uses(msisdn, name string, plmn uint32, octets uint64) {
	d.t.Helper()
	before := d.count("SELECT CAST(coalesce(sum(octets), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1", brand)
	s := &session{o: d.operator, g: d.Charging.Engine, name: name, msisdn: msisdn, plmn: plmn}
	s.says(credit.Initial, 10, 0)
	s.says(credit.Terminate, 10, octets)
	d.await("the usage of "+name, func() bool {
		return d.count("SELECT CAST(coalesce(sum(octets), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1", brand) == before+int64(octets)
	})
	d.idle()
}

// tells hands a file of the bank in.
func (d *debtor) tells(file []byte) {
	d.t.Helper()
	a, err := send(d.t.Context(), d.Addr(), brand, http.MethodPost, bankFiles, "application/xml", bytes.NewReader(file))
	if err != nil || a.status/100 != 2 {
		d.t.Fatalf("%v %s\n%s", err, a, file)
	}
	d.idle()
}

// date is the day it is for the operator.
func (d *debtor) date() string { return d.DB.Now().Format(time.DateOnly) }

func (d *debtor) open(account string) int64 {
	d.t.Helper()
	return d.count("SELECT CAST(coalesce(sum(open), 0) AS BIGINT) FROM receivable_claim WHERE tenant = $1 AND account = $2", brand, account)
}

// bill is the id of the only bill.
func (d *debtor) bill() (id string) {
	d.t.Helper()
	if err := d.DB.Read(d.t.Context(), scope(brand), func(tx *store.Tx) error {
		return tx.Row("SELECT bill FROM billing_posted WHERE tenant = $1").Scan(&id)
	}); err != nil {
		d.t.Fatal(err)
	}
	return id
}

// due is when the account has to pay, as it is said to a customer.
func (d *debtor) due(account string) (due string) {
	d.t.Helper()
	if err := d.DB.Read(d.t.Context(), scope(brand), func(tx *store.Tx) error {
		return tx.Row("SELECT due FROM receivable_claim WHERE tenant = $1 AND account = $2", account).Scan(&due)
	}); err != nil {
		d.t.Fatal(err)
	}
	day, err := time.Parse(time.DateOnly, due)
	if err != nil {
		d.t.Fatal(err)
	}
	return day.Format("2 January 2006")
}

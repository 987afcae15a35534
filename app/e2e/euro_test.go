package e2e_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/billing"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/edge/gsup"
	"tandem/edge/hlr/hlrtest"
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

func turning(t *testing.T, engine store.Dialect) *debtor {
	d := &debtor{ahead: &atomic.Int64{}}
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Clock = func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }
	d.operator = start(t, c, e)
	d.seed(e.CTRL(), e.VTY(), stock)
	return d
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

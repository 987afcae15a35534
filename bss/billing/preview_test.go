package billing_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/billing"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// preview asks for a preview over the API.
func (o *office) preview(body string) *billing.BillPreview {
	o.Helper()
	id := o.post(runs+"billPreview", body)
	a := o.api.Do("mno", "GET", runs+"billPreview/"+id, nil)
	p := &billing.BillPreview{}
	if err := tmf.Decode(a.Body, p); a.Status != 200 || err != nil {
		o.Fatalf("%d %s %v", a.Status, a.Body, err)
	}
	return p
}

// posted is what stands on a bill.
func (o *office) posted(bill string) *billing.Document {
	o.Helper()
	var text string
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error {
		return tx.Row("SELECT doc FROM billing_document WHERE tenant = $1 AND bill = $2", bill).Scan(&text)
	})
	if err != nil {
		o.Fatal(err)
	}
	d, err := billing.ReadDocument([]byte(text))
	if err != nil {
		o.Fatal(err)
	}
	return d
}

// same wants a previewed document to be the one that was posted; as are ids of products that
// were only supposed, and what they became.
func (o *office) same(what string, preview, posted *billing.Document, as ...string) {
	o.Helper()
	text := func(d *billing.Document) string {
		c := *d
		c.Bill, c.Lines = "", append([]billing.DocumentLine(nil), d.Lines...)
		for i := range c.Lines {
			c.Lines[i].Corrects = ""
		}
		b, err := json.Marshal(&c, json.Deterministic(true))
		if err != nil {
			o.Fatal(err)
		}
		return string(b)
	}
	want, got := text(posted), strings.NewReplacer(as...).Replace(text(preview))
	if got != want {
		o.Errorf("%s: the preview says\n%s\nthe bill\n%s", what, got, want)
	}
}

// seeded is a source of chance whose seed can be given again.
func seeded(t testing.TB) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("TANDEM_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("TANDEM_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// anyPlan is an offering with prices of many sorts; amounts are in cents. It answers with
// what its prices are, by what they are for.
func (o *office) anyPlan(r *rand.Rand, name string) (offering string, prices map[string]string) {
	o.Helper()
	cents := func(upto int) string { return fmt.Sprintf("%d.%02d", r.IntN(upto), r.IntN(100)) }
	terms := []string{``, `"tandem:billing":{"timing":"arrears"},`, `"tandem:billing":{"proration":"30days"},`, `"tandem:billing":{"proration":"seconds","timing":"arrears"},`,
		`"tandem:billing":{"taxIncluded":true},`, `"tandem:billing":{"proration":"full"},`, `"tandem:billing":{"quantity":3},`, `"tandem:billing":{"whileSuspended":{"amount":1.11}},`}
	prices = map[string]string{}
	prices["base"] = o.price("Base "+name, "recurring", cents(60), monthly+terms[r.IntN(len(terms))])
	ids := []string{prices["base"]}
	add := func(key, id string) { prices[key] = id; ids = append(ids, id) }
	if r.IntN(2) == 0 {
		add("extra", o.price("Extra "+name, "recurring", cents(20), monthly+terms[r.IntN(len(terms))]))
	}
	if r.IntN(2) == 0 {
		add("setup", o.price("Set-up "+name, "one time", cents(50), ""))
	}
	if r.IntN(3) == 0 {
		add("yearly", o.price("Yearly "+name, "recurring", cents(99), `"recurringChargePeriodType":"year",`))
	}
	if r.IntN(2) == 0 {
		add("percent", o.price("Percent "+name, "discount", "", fmt.Sprintf(`%s"percentage":%d,"popRelationship":[{"id":%q}],"tandem:billing":{"discount":{"priority":1,"periods":%d}},`,
			monthly, 5+r.IntN(90), prices["base"], r.IntN(4))))
	}
	if r.IntN(3) == 0 {
		add("off", o.price("Off "+name, "discount", cents(9), monthly+`"tandem:billing":{"discount":{"allOf":true,"priority":2}},`))
	}
	return o.offering(name, ids...), prices
}

// sellable makes an offering one that can be ordered.
func (o *office) launched(offering string) {
	o.Helper()
	if a := o.api.Do("mno", "PATCH", catalogs+"productOffering/"+offering, `{"lifecycleStatus":"Launched","isSellable":true}`); a.Status != 200 {
		o.Fatalf("%d %s", a.Status, a.Body)
	}
}

// rests and resumes a product at random.
func (o *office) pauses(r *rand.Rand, product string, from time.Time, days int) {
	o.Helper()
	if r.IntN(2) == 0 {
		return
	}
	at := from.Add(time.Duration(1+r.IntN(days*24)) * time.Hour)
	o.must(func(tx *store.Tx) error {
		return billing.Suspend(tx, fact.ProductSuspended{Product: product, Service: "s1", At: at})
	})
	if r.IntN(2) == 0 {
		o.must(func(tx *store.Tx) error {
			return billing.Resume(tx, fact.ProductResumed{Product: product, Service: "s1", At: at.Add(time.Duration(1+r.IntN(100)) * time.Hour)})
		})
	}
}

const previewAccounts = 12

// What a preview of a period says is to the cent, and to the word, what its bill says, and so
// is what it says of today when the period ends today.
func TestAPreviewOfAPeriodIsItsBill(t *testing.T) {
	bills(t, func(o *office) {
		r := seeded(t)
		for n := range previewAccounts {
			offering, _ := o.anyPlan(r, fmt.Sprint("P", n))
			customer := o.customer("Groß")
			account := o.account(customer, "")
			from := on("2026-09-10T09:00:00Z").Add(time.Duration(r.IntN(75*24)) * time.Hour)
			product := o.runs(offering, customer, account, from)
			o.pauses(r, product, from, 20)
			p := o.preview(`{"billingAccount":{"id":"` + account + `"},"date":"2026-11-` + fmt.Sprintf("%02d", 1+r.IntN(30)) + `"}`)
			running := o.preview(`{"billingAccount":{"id":"` + account + `"}}`)
			if len(p.Bill) != 1 || len(running.Bill) != 1 || running.Bill[0].To != "2026-12-31" {
				t.Fatalf("%+v", p)
			}
			if len(p.Bill[0].Document.Lines) == 0 { // it never ran in a billed time
				continue
			}
			posted := o.posted(o.demand(account))
			o.same(fmt.Sprint("account ", n), p.Bill[0].Document, posted)
			if p.Bill[0].Gross.Minor != posted.Gross || p.Bill[0].BillDate != "2026-12-01" || len(p.Bill[0].Line) != len(posted.Lines) || len(p.Bill[0].Text) <= len(posted.Lines) {
				t.Errorf("%+v", p.Bill[0])
			}
			o.shift.Add(int64(31 * 24 * time.Hour))
			after := o.preview(`{"billingAccount":{"id":"` + account + `"},"date":"2026-12-05"}`)
			if len(after.Bill[0].Document.Lines) > 0 {
				o.same(fmt.Sprint("the next of account ", n), after.Bill[0].Document, o.posted(o.demand(account)))
			}
			o.shift.Add(-int64(31 * 24 * time.Hour))
		}
		o.zero()
	})
}

// What is shown as the bill of today is what is due by the end of today.
func TestThePreviewOfToday(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		o.runs(o.offering("M", o.price("Mobile M", "recurring", "31", monthly+`"tandem:billing":{"timing":"arrears"},`), o.price("Line", "recurring", "10", monthly),
			o.price("Set-up", "one time", "25", "")), customer, account, on("2026-11-16T09:00:00Z"))
		o.demand(account)
		ask := `{"billingAccount":{"id":"` + account + `"},"closing":"%s"}`
		today, end := o.preview(fmt.Sprintf(ask, "today")), o.preview(fmt.Sprintf(ask, "period"))
		if d := today.Bill[0]; len(d.Document.Lines) != 0 || d.BillDate != "2026-12-02" || d.Gross.Minor != 0 {
			t.Errorf("%+v", d)
		}
		if d := end.Bill[0]; len(d.Document.Lines) != 2 || d.BillDate != "2027-01-01" || d.Net.Minor != 4100 { // December of the one, January of the other
			t.Errorf("%+v", d)
		}
		o.shift.Store(int64(30 * 24 * time.Hour)) // the last day of the period
		today, end = o.preview(fmt.Sprintf(ask, "today")), o.preview(fmt.Sprintf(ask, "period"))
		if today.Bill[0].Gross != end.Bill[0].Gross || today.Bill[0].Gross.Minor == 0 {
			t.Errorf("%v, %v", today.Bill[0].Gross, end.Bill[0].Gross)
		}
	})
}

// A previewed change of plan is what is billed when it is ordered: on the next bill and on
// the one after.
func TestAPreviewedChangeOfPlanIsWhatIsBilled(t *testing.T) {
	bills(t, func(o *office) {
		r := seeded(t)
		for n := range previewAccounts {
			small, _ := o.anyPlan(r, fmt.Sprint("S", n))
			large, _ := o.anyPlan(r, fmt.Sprint("L", n))
			o.launched(large)
			customer := o.customer("Groß")
			account := o.account(customer, "")
			product := o.runs(small, customer, account, on("2026-10-05T09:00:00Z").Add(time.Duration(r.IntN(20*24))*time.Hour))
			if r.IntN(2) == 0 { // October is billed; November is on the bill in advance
				o.shift.Store(-int64(30 * 24 * time.Hour))
				o.demand(account)
				o.shift.Store(0)
			}
			change := on("2026-11-02T12:00:00Z").Add(time.Duration(r.IntN(28*24)) * time.Hour)
			p := o.preview(fmt.Sprintf(`{"billingAccount":{"id":%q},"date":"2026-11-20","change":[{"product":{"id":%q},"productOffering":{"id":%q},"date":%q}]}`,
				account, product, large, change.Format(time.RFC3339)))
			if len(p.Bill) != 2 || len(p.Thereafter) == 0 {
				t.Fatalf("%+v", p)
			}
			o.must(func(tx *store.Tx) error {
				return billing.Change(tx, fact.ProductChanged{Product: product, Offering: large, Service: "s1", At: change, OrderDate: tx.Now()})
			})
			o.demands(p, account)
		}
		o.zero()
	})
}

// demands makes the bills that were previewed and compares them.
func (o *office) demands(p *billing.BillPreview, account string, as ...string) {
	o.Helper()
	was := o.shift.Load()
	for i, b := range p.Bill {
		if len(b.Document.Lines) > 0 {
			o.same(fmt.Sprint("bill ", i+1), b.Document, o.posted(o.demand(account)), as...)
		}
		o.shift.Add(int64(31 * 24 * time.Hour))
	}
	o.shift.Store(was)
}

// A change in a period to come is not on the bill before it.
func TestAPreviewedChangeLaterOn(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		product := o.runs(o.offering("S", o.price("Small", "recurring", "10", monthly)), customer, account, on("2026-11-01T09:00:00Z"))
		large := o.offering("L", o.price("Large", "recurring", "31", monthly))
		o.launched(large)
		p := o.preview(fmt.Sprintf(`{"billingAccount":{"id":%q},"language":"de","date":"2026-11-20","change":[{"product":{"id":%q},"productOffering":{"id":%q},"date":"2027-01-11"}]}`, account, product, large))
		var got []string
		for _, b := range p.Bill {
			got = append(got, b.BillDate+" "+b.Net.String())
		}
		// December in advance; January; the rest of January for what was paid (10 less 10/31) and
		// for the new one (21/31 of 31), and February.
		want := "2026-12-01 20.00 EUR, 2027-01-01 10.00 EUR, 2027-02-01 45.23 EUR, 2027-03-01 31.00 EUR"
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s\nwant %s", s, want)
		}
		text := strings.Join(p.Bill[2].Text, "\n")
		for _, words := range []string{"21 Tage von 31 Tage x 31,00 EUR", "10 Tage von 31 Tage x 10,00 EUR", "Large ist neu"} {
			if !strings.Contains(text, words) {
				t.Errorf("%q is not in\n%s", words, text)
			}
		}
		if len(p.Thereafter) != 1 || p.Thereafter[0].Gross.Minor != 3689 {
			t.Errorf("%+v", p.Thereafter)
		}
	})
}

// A previewed cart is what is billed when it is ordered.
func TestAPreviewedOrderIsWhatIsBilled(t *testing.T) {
	bills(t, func(o *office) {
		r := seeded(t)
		for n := range previewAccounts {
			offering, _ := o.anyPlan(r, fmt.Sprint("O", n))
			o.launched(offering)
			customer := o.customer("Groß")
			account := o.account(customer, "")
			if r.IntN(2) == 0 { // he has something already
				other, _ := o.anyPlan(r, fmt.Sprint("H", n))
				o.runs(other, customer, account, on("2026-10-05T09:00:00Z"))
			}
			begins := on("2026-11-02T12:00:00Z").Add(time.Duration(r.IntN(28*24)) * time.Hour)
			p := o.preview(fmt.Sprintf(`{"customer":{"id":%q},"date":"2026-11-20","order":[{"productOffering":{"id":%q},"quantity":2,"date":%q}]}`,
				customer, offering, begins.Format(time.RFC3339)))
			if len(p.Bill) != 2 || p.BillingAccount == nil || p.BillingAccount.ID != account {
				t.Fatalf("%+v", p)
			}
			var as []string
			for i := range 2 {
				product := o.product(offering, customer, func(p *subscription.Product) { p.OrderDate, p.ID = begins, fmt.Sprintf("real-%d-%d", n, i+1) })
				o.must(func(tx *store.Tx) error {
					return billing.Begin(tx, fact.ProductActive{Product: product, BillingAccount: account, Service: "s1", At: begins})
				})
				as = append(as, fmt.Sprintf("order-1-%d", i+1), product)
			}
			o.demands(p, account, as...)
		}
		o.zero()
	})
}

// Somebody who has no account yet is told what it will cost, and from when on more.
func TestAPreviewForANewCustomer(t *testing.T) {
	bills(t, func(o *office) {
		o.must(func(tx *store.Tx) error { _, err := billing.DefaultEntity(tx); return err })
		base := o.price("Mobile M", "recurring", "20", monthly)
		offering := o.offering("M", base, o.price("Set-up", "one time", "25", ""),
			o.price("Welcome", "discount", "", monthly+`"percentage":50,"popRelationship":[{"id":"`+base+`"}],"tandem:billing":{"discount":{"periods":4}},`))
		o.launched(offering)
		p := o.preview(`{"language":"en","currency":"EUR","order":[{"productOffering":{"id":"` + offering + `"},"date":"2026-12-16"}]}`)
		var got []string
		for _, b := range p.Bill {
			got = append(got, b.BillDate+" "+b.Net.String())
		}
		for _, a := range p.Thereafter {
			got = append(got, a.BillDate+" "+a.Net.String())
		}
		// 16 of 31 days and January at half the price, with the set-up; February at half;
		// March at half; then in full.
		want := "2027-01-01 40.16 EUR, 2027-02-01 10.00 EUR, 2027-03-01 10.00 EUR, 2027-04-01 20.00 EUR"
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s\nwant %s", s, want)
		}
		for _, bad := range []struct{ body, code string }{
			{`{}`, "mandatoryAttributeMissing"},
			{`{"billingAccount":{"id":"nobody"}}`, "unknownReference"},
			{`{"order":[{"productOffering":{"id":"nothing"}}]}`, "unknownOffering"},
			{`{"order":[{"productOffering":{"id":"` + offering + `"},"quantity":501}]}`, "badQuantity"},
			{`{"order":[{"productOffering":{"id":"` + offering + `"},"date":"soon"}]}`, "badDate"},
			{`{"order":[{"productOffering":{"id":"` + offering + `"},"date":"2029-01-01"}]}`, "tooFar"},
			{`{"closing":"today","order":[{"productOffering":{"id":"` + offering + `"}}]}`, "badClosing"},
		} {
			o.refused("POST", runs+"billPreview", bad.body, 400, bad.code)
		}
		account := o.account(o.customer("Groß"), "")
		if a := o.api.Do("rival", "POST", runs+"billPreview", `{"billingAccount":{"id":"`+account+`"}}`); a.Status != 400 {
			t.Errorf("another tenant previews the bill of this one's account: %d %s", a.Status, a.Body)
		}
		if l := o.api.Do("rival", "GET", runs+"billPreview", nil).List(); len(l) != 0 {
			t.Errorf("another tenant reads %v", l)
		}
	})
}

package billing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/ledger/recognition"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

var (
	mno   = store.Scope{Tenant: "mno", Actor: "test"}
	start = time.Now().UTC().Add(-1000 * time.Hour).Truncate(time.Second)
)

const (
	accounts = "/tmf-api/accountManagement/v4/"
	catalogs = "/tmf-api/productCatalogManagement/v4/"
)

type world struct {
	testing.TB
	db  *store.DB
	api *tmftest.API
}

func each(t *testing.T, f func(w *world)) {
	kinds := slices.Concat(party.Kinds(), catalog.Kinds(), subscription.Kinds(), billing.Kinds())
	schemas := slices.Concat([]store.Schema{outbox.Schema()}, subscription.Schemas, billing.Schemas, recognition.Schemas)
	tmftest.Each(t, schemas, kinds, func(t *testing.T, db *store.DB) {
		f(&world{t, db, tmftest.Serve(t, db, kinds)})
	})
}

func (w *world) write(fn func(tx *store.Tx) error) error {
	w.Helper()
	return w.db.Write(w.Context(), mno, fn)
}

func (w *world) must(fn func(tx *store.Tx) error) {
	w.Helper()
	if err := w.write(fn); err != nil {
		w.Fatal(err)
	}
}

func (w *world) post(path, body string) string {
	w.Helper()
	a := w.api.Do("mno", "POST", path, body)
	if a.Status != 201 {
		w.Fatalf("POST %s: %d %s", path, a.Status, a.Body)
	}
	return a.Object()["id"].(string)
}

func (w *world) refused(method, path, body string, status int, code string) {
	w.Helper()
	a := w.api.Do("mno", method, path, body)
	if a.Status != status || a.Object()["code"] != code {
		w.Errorf("%s %s %s: %d %s; want %d %s", method, path, body, a.Status, a.Body, status, code)
	}
}

func (w *world) customer(name string) string {
	person := w.post("/tmf-api/party/v4/individual", `{"givenName":"Änne","familyName":"`+name+`"}`)
	return w.post("/tmf-api/customerManagement/v4/customer", `{"name":"`+name+`","engagedParty":{"id":"`+person+`","@referredType":"Individual"}}`)
}

// price makes a price in force; more are further attributes.
func (w *world) price(name, typ, value, more string) string {
	if value != "" {
		more = `"price":{"unit":"EUR","value":` + value + `},` + more
	}
	return w.post(catalogs+"productOfferingPrice", `{`+more+`"name":"`+name+`","priceType":"`+typ+`","lifecycleStatus":"Active"}`)
}

const monthly = `"recurringChargePeriodType":"month","recurringChargePeriodLength":1,`

func (w *world) offering(name string, prices ...string) string {
	refs := make([]string, len(prices))
	for i, p := range prices {
		refs[i] = `{"id":"` + p + `"}`
	}
	return w.post(catalogs+"productOffering", `{"name":"`+name+`","lifecycleStatus":"Active","productOfferingPrice":[`+strings.Join(refs, ",")+`]}`)
}

func (w *world) product(offering, customer string, more ...func(*subscription.Product)) string {
	w.Helper()
	var id string
	w.must(func(tx *store.Tx) error {
		p := &subscription.Product{Status: subscription.Created, ProductOffering: &subscription.Ref{ID: offering},
			RelatedParty: []tmf.RelatedParty{{ID: customer, Role: "customer"}}}
		for _, f := range more {
			f(p)
		}
		err := subscription.Create(tx, p)
		id = p.ID
		return err
	})
	return id
}

func hour(h float64) time.Time { return start.Add(time.Duration(h * float64(time.Hour))) }

func (w *world) begin(product string, h float64) error {
	return w.write(func(tx *store.Tx) error {
		return billing.Begin(tx, fact.ProductActive{Product: product, Service: "s1", At: hour(h)})
	})
}

func (w *world) hear(what, product string, h float64) {
	w.Helper()
	w.must(func(tx *store.Tx) error {
		switch what {
		case "suspend":
			return billing.Suspend(tx, fact.ProductSuspended{Product: product, Service: "s1", At: hour(h)})
		case "resume":
			return billing.Resume(tx, fact.ProductResumed{Product: product, Service: "s1", At: hour(h)})
		case "change":
			return billing.Change(tx, fact.ProductChanged{Product: product, Service: "s1", At: hour(h)})
		}
		return billing.End(tx, fact.ProductTerminated{Product: product, Service: "s1", At: hour(h)})
	})
}

func (w *world) items(product string) (items []*billing.BillableItem) {
	w.Helper()
	err := w.db.Read(w.Context(), mno, func(tx *store.Tx) (err error) {
		items, err = billing.ItemsOf(tx, product)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return items
}

// lines are the items as "name type amount state from-to", hours since start.
func (w *world) lines(product string) (out []string) {
	w.Helper()
	for _, i := range w.items(product) {
		to := "..."
		if !i.To.IsZero() {
			to = fmt.Sprint(i.To.Sub(start).Hours())
		}
		amount := "-"
		if i.Amount != nil {
			amount = i.Amount.Decimal()
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %g-%s", i.Name, i.ChargeType, amount, i.State, i.From.Sub(start).Hours(), to))
	}
	slices.Sort(out)
	return out
}

func (w *world) want(product string, want ...string) {
	w.Helper()
	if got := w.lines(product); !slices.Equal(got, want) {
		w.Errorf("items:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func (w *world) plan() string {
	return w.offering("Mobile M",
		w.price("base", "recurring", "19.99", monthly),
		w.price("setup", "one time", "25", ""),
		w.price("data", "usage", "0.01", `"unitOfMeasure":{"amount":1,"units":"MB"},`),
		w.price("welcome discount", "discount", "5", monthly),
		w.price("included data", "allowance", "", `"unitOfMeasure":{"amount":10,"units":"GB"},`))
}

func TestBillingBeginsWhenTheNetworkConfirmsAndOnlyOnce(t *testing.T) {
	each(t, func(w *world) {
		id := w.product(w.plan(), w.customer("Groß"))
		want := []string{"base recurring 19.99 active 1.5-...", "data usage 0.01 active 1.5-...",
			"setup oneTime 25.00 ended 1.5-1.5", "welcome discount alteration -5.00 active 1.5-..."}
		for _, h := range []float64{1.5, 1.5, 2} { // heard again, and told again later
			if err := w.begin(id, h); err != nil {
				w.Fatal(err)
			}
			w.want(id, want...)
		}
		for _, i := range w.items(id) {
			if i.ConfirmedBy != "s1" || i.BillingAccount.ID == "" || i.Customer == nil || i.Price.ID == "" || i.ChargeWhileSuspended != "none" {
				w.Errorf("item %+v", i)
			}
		}
		list := w.api.Do("mno", "GET", "/tandem-api/billing/v1/billableItem?product.id="+id, nil)
		if len(list.List()) != 4 {
			w.Errorf("by API: %s", list.Body)
		}
		w.refused("POST", "/tandem-api/billing/v1/billableItem", `{}`, 405, "methodNotAllowed")
	})
}

func TestTheCatalogueDoesNotReachWhatIsSold(t *testing.T) {
	each(t, func(w *world) {
		base := w.price("base", "recurring", "10", monthly)
		id := w.product(w.offering("M", base), w.customer("Groß"))
		if err := w.begin(id, 1); err != nil {
			w.Fatal(err)
		}
		if a := w.api.Do("mno", "PATCH", catalogs+"productOfferingPrice/"+base, `{"price":{"unit":"EUR","value":12}}`); a.Status != 200 {
			w.Fatalf("%d %s", a.Status, a.Body)
		}
		w.hear("change", id, 2)
		w.want(id, "base recurring 10.00 active 1-...")
	})
}

func TestNothingIsBilledWithoutAService(t *testing.T) {
	each(t, func(w *world) {
		id := w.product(w.plan(), w.customer("Groß"))
		err := w.write(func(tx *store.Tx) error {
			return billing.Begin(tx, fact.ProductActive{Product: id, At: hour(1)})
		})
		if err == nil || len(w.items(id)) != 0 {
			w.Errorf("without a service: %v, %v", err, w.lines(id))
		}
		// The database says it too, whatever the program thinks.
		err = w.write(func(tx *store.Tx) error {
			tx.Queue(`INSERT INTO billing_charge (tenant, item, product, price, account, confirmed_by, from_at) VALUES ($1, 'i', 'p', 'q', 'a', $2, 1)`, "")
			return nil
		})
		if err == nil {
			w.Error("the database takes a charge nobody confirmed")
		}
		twice := `INSERT INTO billing_charge (tenant, item, product, price, account, confirmed_by, from_at) VALUES ($1, $2, 'p', 'q', 'a', 's', 1)`
		err = w.write(func(tx *store.Tx) error {
			tx.Queue(twice, "i1")
			tx.Queue(twice, "i2")
			return nil
		})
		if !store.IsUnique(err, "billing_charge") {
			w.Errorf("the database takes the same charge twice: %v", err)
		}
	})
}

func TestWhoPays(t *testing.T) {
	each(t, func(w *world) {
		plan, c := w.plan(), w.customer("Groß")
		orphan := w.product(plan, c, func(p *subscription.Product) { p.RelatedParty = nil })
		if err := w.begin(orphan, 1); fault.Of(err).Code != "nobodyPays" {
			w.Errorf("nobody pays: %v", err)
		}
		own := w.post(accounts+"billingAccount", `{"name":"own","currency":"EUR","relatedParty":[{"id":"`+c+`","role":"customer"}]}`)
		usd := w.post(accounts+"billingAccount", `{"name":"usd","currency":"USD","relatedParty":[{"id":"`+c+`","role":"customer"}]}`)
		on := func(account string) func(p *subscription.Product) {
			return func(p *subscription.Product) { p.BillingAccount = &subscription.Ref{ID: account} }
		}
		if err := w.begin(w.product(plan, c, on(usd)), 1); fault.Of(err).Code != "wrongCurrency" {
			w.Errorf("a euro price on a dollar account: %v", err)
		}
		id := w.product(plan, c, on(own))
		if err := w.begin(id, 1); err != nil || w.items(id)[0].BillingAccount.ID != own {
			w.Errorf("on the account named: %v, %+v", err, w.items(id)[0].BillingAccount)
		}
		w.refused("PATCH", accounts+"billingAccount/"+own, `{"state":"Closed"}`, 409, "accountInUse")
		w.refused("PATCH", accounts+"billingAccount/"+own, `{"currency":"CHF"}`, 409, "currencyFixed")
		w.refused("DELETE", accounts+"billingAccount/"+own, ``, 409, "stillReferenced")
		w.hear("end", id, 2)
		if a := w.api.Do("mno", "PATCH", accounts+"billingAccount/"+own, `{"state":"Closed"}`); a.Status != 200 {
			w.Errorf("close: %d %s", a.Status, a.Body)
		}
		if err := w.begin(w.product(plan, c, on(own)), 3); fault.Of(err).Code != "accountClosed" {
			w.Errorf("on a closed account: %v", err)
		}
	})
}

func TestACustomerWithoutAccountGetsOne(t *testing.T) {
	each(t, func(w *world) {
		c := w.customer("Groß")
		var ids []string
		err := w.db.Read(w.Context(), mno, func(tx *store.Tx) error {
			_, err := billing.AccountFor(tx, c)
			return err
		})
		if !fault.Is(err, fault.NotFound) {
			w.Errorf("a reader makes an account: %v", err)
		}
		for range 2 {
			w.must(func(tx *store.Tx) error {
				a, err := billing.AccountFor(tx, c)
				if err == nil {
					ids = append(ids, a.ID)
				}
				return err
			})
		}
		if ids[0] != ids[1] {
			w.Errorf("two accounts: %v", ids)
		}
		err = w.write(func(tx *store.Tx) error { return billing.Needs(tx, c) })
		if !fault.Is(err, fault.Conflict) {
			w.Errorf("the customer is still needed: %v", err)
		}
		id := w.product(w.plan(), c)
		if err := w.begin(id, 1); err != nil {
			w.Fatal(err)
		}
		if a := w.api.Do("mno", "GET", accounts+"billingAccount/"+ids[0], nil).Object(); a["currency"] != "EUR" {
			w.Errorf("the first price fixes the currency: %v", a["currency"])
		}
	})
}

func TestAPlanChangeEndsWhatIsGoneAndBeginsWhatIsNew(t *testing.T) {
	each(t, func(w *world) {
		setup := w.price("setup", "oneTime", "25", "")
		option := w.price("option", "recurring", "3", monthly)
		small := w.offering("S", setup, option, w.price("small", "recurring", "10", monthly))
		large := w.offering("L", setup, option, w.price("large", "recurring", "20", monthly))
		c := w.customer("Groß")
		id := w.product(small, c)
		if err := w.begin(id, 0); err != nil {
			w.Fatal(err)
		}
		change := func(offering string, h float64) {
			for range 2 {
				w.must(func(tx *store.Tx) error {
					return billing.Change(tx, fact.ProductChanged{Product: id, Offering: offering, Service: "s1", At: hour(h)})
				})
			}
		}
		change(large, 10)
		change(small, 20)
		w.want(id, "large recurring 20.00 ended 10-20", "option recurring 3.00 active 0-...", "setup oneTime 25.00 ended 0-0",
			"small recurring 10.00 active 20-...", "small recurring 10.00 ended 0-10")
		w.hear("end", id, 30)
		w.want(id, "large recurring 20.00 ended 10-20", "option recurring 3.00 ended 0-30", "setup oneTime 25.00 ended 0-0",
			"small recurring 10.00 ended 0-10", "small recurring 10.00 ended 20-30")
	})
}

// A product that is barred goes over to another account: each pays for its time,
// and the bar goes on.
func TestABarredProductMovesToAnotherAccount(t *testing.T) {
	each(t, func(w *world) {
		c := w.customer("Groß")
		account := func() string {
			return w.post(accounts+"billingAccount", `{"name":"a","currency":"EUR","relatedParty":[{"id":"`+c+`","role":"customer"}]}`)
		}
		first, second := account(), account()
		id := w.product(w.offering("M", w.price("line", "recurring", "20", monthly), w.price("setup", "oneTime", "25", "")), c)
		if err := w.begin(id, 0); err != nil {
			w.Fatal(err)
		}
		w.hear("suspend", id, 5)
		for range 2 {
			w.must(func(tx *store.Tx) error {
				return billing.Change(tx, fact.ProductChanged{Product: id, BillingAccount: second, Service: "s2", OrderDate: hour(9), At: hour(10)})
			})
		}
		w.hear("resume", id, 15)
		w.want(id, "line recurring 20.00 active 10-...", "line recurring 20.00 ended 0-10", "setup oneTime 25.00 ended 0-0")
		for _, i := range w.items(id) {
			now := i.State == billing.ItemActive
			if now && (i.BillingAccount.ID != second || i.ConfirmedBy != "s2") || !now && i.BillingAccount.ID != first {
				w.Errorf("%s is on %s, confirmed by %s", i.Name, i.BillingAccount.ID, i.ConfirmedBy)
			}
			if now && (len(i.Suspension) != 1 || !i.Suspension[0].From.Equal(hour(10)) || !i.Suspension[0].To.Equal(hour(15))) {
				w.Errorf("barred %v", i.Suspension)
			}
		}
	})
}

func TestAnAgreedPriceCounts(t *testing.T) {
	each(t, func(w *world) {
		base := w.price("base", "recurring", "19.99", monthly)
		c := w.customer("Groß")
		eur := func(v string) *tmf.Money {
			var m tmf.Money
			if err := tmf.Decode([]byte(`{"unit":"EUR","value":`+v+`}`), &m); err != nil {
				w.Fatal(err)
			}
			return &m
		}
		id := w.product(w.offering("M", base), c, func(p *subscription.Product) {
			p.ProductPrice = []subscription.ProductPrice{{PriceType: "recurring", Price: &subscription.Price{DutyFreeAmount: eur("15")},
				ProductOfferingPrice: &subscription.Ref{ID: base}}}
		})
		if err := w.begin(id, 1); err != nil {
			w.Fatal(err)
		}
		w.hear("change", id, 2)
		w.want(id, "base recurring 15.00 active 1-...")
	})
}

func TestPricesForOtherValuesAndTimesAreNotOwed(t *testing.T) {
	each(t, func(w *world) {
		fast := `"prodSpecCharValueUse":[{"name":"speed","productSpecCharacteristicValue":[{"value":"500"}]}],`
		slow := `"prodSpecCharValueUse":[{"name":"speed","productSpecCharacteristicValue":[{"value":"100"}]}],`
		past := `"validFor":{"endDateTime":"2020-01-01T00:00:00Z"},`
		o := w.offering("Fibre", w.price("fast", "recurring", "50", monthly+fast), w.price("slow", "recurring", "30", monthly+slow),
			w.price("past", "recurring", "1", monthly+past))
		id := w.product(o, w.customer("Groß"), func(p *subscription.Product) {
			p.ProductCharacteristic = []tmf.Characteristic{tmf.Text("speed", "500")}
		})
		if err := w.begin(id, 1); err != nil {
			w.Fatal(err)
		}
		w.want(id, "fast recurring 50.00 active 1-...")
	})
}

func TestMoneyAtStake(t *testing.T) {
	each(t, func(w *world) {
		base := w.price("base", "recurring", "20", monthly)
		yearly := w.price("hosting", "recurring", "12", `"recurringChargePeriodType":"year","recurringChargePeriodLength":1,`)
		off := w.post(catalogs+"productOfferingPrice", `{"name":"ten percent","priceType":"discount","percentage":10,"lifecycleStatus":"Active","popRelationship":[{"id":"`+base+`","relationshipType":"discounts"}]}`)
		o := w.offering("M", base, yearly, off, w.price("setup", "one time", "99", ""))
		id := w.product(o, w.customer("Groß"))
		value := func(f func(tx *store.Tx) (tmf.Money, error)) (m tmf.Money) {
			err := w.db.Read(w.Context(), mno, func(tx *store.Tx) (err error) {
				m, err = f(tx)
				return err
			})
			if err != nil {
				w.Fatal(err)
			}
			return m
		}
		ofProduct := func(tx *store.Tx) (tmf.Money, error) { return billing.MonthlyValue(tx, id) }
		const want = "19.00 EUR" // 20 - 2 + 12/12
		if m := value(ofProduct); m.String() != want {
			w.Errorf("not yet billed: %v", m)
		}
		if err := w.begin(id, 1); err != nil {
			w.Fatal(err)
		}
		if m := value(ofProduct); m.String() != want {
			w.Errorf("billed: %v", m)
		}
	})
}

func TestSuspendedTimeIsChargedAsThePriceSays(t *testing.T) {
	each(t, func(w *world) {
		o := w.offering("M", w.price("line", "recurring", "20", monthly), w.price("rent", "recurring", "5", `"chargeWhileSuspended":"full",`+monthly))
		id := w.product(o, w.customer("Groß"))
		if err := w.begin(id, 0); err != nil {
			w.Fatal(err)
		}
		life := []struct {
			what string
			h    float64
		}{{"suspend", 10}, {"resume", 15}, {"suspend", 30}, {"resume", 31}, {"end", 40}}
		for n := range life {
			for _, s := range slices.Concat(life[n:n+1], life[:n+1]) { // all is heard again
				w.hear(s.what, id, s.h)
			}
		}
		for _, i := range w.items(id) {
			got := 0.0
			for _, s := range i.Billable(civil.Span{From: hour(5), To: hour(35)}) {
				got += s.To.Sub(s.From).Hours()
			}
			if want := map[string]float64{"line": 24, "rent": 30}[i.Name]; got != want || len(i.Suspension) != 2 || i.State != "ended" {
				w.Errorf("%s: %g hours billable, want %g; %d suspensions, %s", i.Name, got, want, len(i.Suspension), i.State)
			}
		}
	})
}

// TestBillableTimeIsActiveTime runs random lives of a product through the hearers,
// some facts twice, and compares with a clock that only runs while it is active.
func TestBillableTimeIsActiveTime(t *testing.T) {
	tmftestOnSQLite(t, func(w *world) {
		o := w.offering("M", w.price("line", "recurring", "20", monthly))
		c := w.customer("Groß")
		rapid.Check(t, func(rt *rapid.T) {
			id := w.product(o, c)
			now := float64(rapid.IntRange(0, 600).Draw(rt, "begin")) / 64
			if err := w.begin(id, now); err != nil {
				rt.Fatal(err)
			}
			active, barred := time.Duration(0), false
			steps := rapid.IntRange(0, 8).Draw(rt, "steps")
			var past []func()
			for n := range steps {
				next := now + float64(rapid.IntRange(1, 4).Draw(rt, "hours"))
				if !barred {
					active += hour(next).Sub(hour(now))
				}
				now = next
				what := rapid.SampledFrom([]string{"suspend", "resume"}).Draw(rt, "what")
				if n == steps-1 {
					what = "end"
				}
				h := now
				past = append(past, func() { w.hear(what, id, h) })
				past[n]()
				past[rapid.IntRange(0, n).Draw(rt, "again")]()
				barred = what == "suspend" || what == "end"
			}
			item := w.items(id)[0]
			whole := civil.Span{From: hour(0), To: hour(now)}
			got, last := time.Duration(0), time.Time{}
			for _, s := range item.Billable(whole) {
				if s.Empty() || s.From.Before(last) {
					rt.Fatalf("spans %v", item.Billable(whole))
				}
				got, last = got+s.To.Sub(s.From), s.To
			}
			if got != active {
				rt.Fatalf("billable %v, active %v: from %v to %v, suspended %v", got, active, item.From, item.To, item.Suspension)
			}
		})
	})
}

func tmftestOnSQLite(t *testing.T, f func(w *world)) {
	done := false
	each(t, func(w *world) {
		if done || w.db.Dialect() != store.SQLite {
			return // the property is about the rules, which know no engine
		}
		done = true
		f(w)
	})
	if !done {
		t.Fatal("not run")
	}
}

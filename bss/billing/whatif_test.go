package billing_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// compared asks for a comparison over the API and waits until it is done.
func (o *office) compared(body string) *billing.BillComparison {
	o.Helper()
	id := o.post(runs+"billComparison", body)
	for late := time.Now().Add(time.Minute); ; {
		o.idle()
		if c := o.comparison(id); !c.Working() {
			return c
		}
		if time.Now().After(late) {
			o.Fatalf("the comparison %s does not come to an end", id)
		}
	}
}

func (o *office) comparison(id string) *billing.BillComparison {
	o.Helper()
	c := &billing.BillComparison{}
	if a := o.api.Do("mno", "GET", runs+"billComparison/"+id, nil); a.Status != 200 || tmf.Decode(a.Body, c) != nil {
		o.Fatalf("%d %s", a.Status, a.Body)
	}
	return c
}

// listed are rows of a comparison, over the API in pages.
func listed[T any](o *office, kind, comparison string) (all []T) {
	o.Helper()
	for {
		var page []T
		a := o.api.Do("mno", "GET", fmt.Sprintf("%s%s?billComparison.id=%s&limit=7&offset=%d", runs, kind, comparison, len(all)), nil)
		if a.Status != 200 && a.Status != 206 || tmf.Decode(a.Body, &page) != nil {
			o.Fatalf("%d %s", a.Status, a.Body)
		}
		all = append(all, page...)
		if len(page) < 7 {
			return all
		}
	}
}

// adds wants a comparison to add up: the lines to the bills, the bills to the sums, the
// offerings to the sums.
func (o *office) adds(c *billing.BillComparison) (bills map[string]billing.ComparedBill) {
	o.Helper()
	bills = map[string]billing.ComparedBill{}
	lines := map[string]int64{}
	for _, d := range listed[billing.BillDifference](o, "billDifference", c.ID) {
		lines[d.Bill.ID] += d.Difference.Minor
		if d.Difference.Minor == 0 || d.Reason == "" || d.Becomes.Minor-d.Was.Minor != d.Difference.Minor {
			o.Errorf("%+v", d)
		}
	}
	var net, gross int64
	for _, b := range listed[billing.ComparedBill](o, "comparedBill", c.ID) {
		bills[b.BillingAccount.ID] = b
		if b.NewNet.Minor-b.Net.Minor != lines[b.Bill.ID] || b.NewNet.Minor+b.NewTax.Minor != b.NewGross.Minor || b.Net.Minor+b.Tax.Minor != b.Gross.Minor {
			o.Errorf("its lines come to %d: %+v", lines[b.Bill.ID], b)
		}
		net, gross = net+b.NewNet.Minor-b.Net.Minor, gross+b.NewGross.Minor-b.Gross.Minor
	}
	for _, s := range c.Sum {
		net, gross = net-(s.NewNet.Minor-s.Net.Minor), gross-(s.NewGross.Minor-s.Gross.Minor)
	}
	if net != 0 || gross != 0 {
		o.Errorf("bills and sums differ by %d and %d", net, gross)
	}
	for _, t := range c.Total {
		net += t.Difference.Minor
	}
	for _, s := range c.Sum {
		net -= s.NewNet.Minor - s.Net.Minor
	}
	if net != 0 {
		o.Errorf("the offerings differ from the sums by %d", net)
	}
	return bills
}

// everybody makes the bills of a run and posts them.
func (o *office) everybody(cutOff string) *billing.BillRun {
	o.Helper()
	r := o.run(`{"cutOff":"` + cutOff + `"}`)
	for _, h := range o.api.Do("mno", "GET", runs+"heldBill?billRun.id="+r.ID+"&limit=100", nil).List() {
		if err := o.as("user:ann", func(tx *store.Tx) error {
			return billing.BillDecisions.OnPost(tx, &billing.BillDecision{Subject: &tmf.Ref{ID: at(h, "id"), ReferredType: "HeldBill"}, Decision: billing.Release})
		}); err != nil {
			o.Fatal(err)
		}
	}
	for _, state := range []string{billing.RunApproved, billing.RunPosted} {
		if err := o.move("user:bob", r.ID, state); err != nil {
			o.Fatal(err)
		}
	}
	return o.settled(r.ID)
}

const comparedAccounts = 10

// Bills are worked out again as they were, whatever has become of the accounts since; and
// under the unchanged catalogue no cent is another.
func TestBillsComeToTheSameUnderTheSameCatalogue(t *testing.T) {
	defer billing.PagesOf(3)()
	bills(t, func(o *office) {
		r := seeded(t)
		o.shift.Store(-int64(30 * 24 * time.Hour)) // 1 November
		type line struct{ product, account string }
		var all []line
		other, _ := o.anyPlan(r, "other")
		for n := range comparedAccounts {
			offering, _ := o.anyPlan(r, fmt.Sprint("P", n))
			customer := o.customer("Groß")
			more := ""
			if n > comparedAccounts-4 { // others pay for them, in two levels
				more = `"accountRelationship":[{"relationshipType":"billedBy","validFor":{"startDateTime":"2020-01-01T00:00:00Z"},"account":{"id":"` + all[(n-1)%(comparedAccounts-2)].account + `"}}],`
			}
			account := o.account(customer, more)
			from := on("2026-09-10T09:00:00Z").Add(time.Duration(r.IntN(50*24)) * time.Hour)
			all = append(all, line{o.runs(offering, customer, account, from), account})
			o.pauses(r, all[n].product, from, 20)
		}
		first := o.everybody("2026-11-01")
		o.shift.Store(0)
		o.moved(r.IntN, all[0].product, all[1].product, other)
		second := o.everybody("2026-12-01")
		o.moved(r.IntN, all[2].product, all[3].product, other)
		for _, run := range []*billing.BillRun{first, second} {
			c := o.compared(`{"billRun":{"id":"` + run.ID + `"}}`)
			if p := c.Progress; c.State != billing.ComparisonDone || p.Bills != run.Progress.Done || p.Reproduced != p.Bills || p.Parked+p.Changed+p.Lines != 0 || p.Bills == 0 {
				t.Errorf("%+v", c)
				for _, b := range listed[billing.ComparedBill](o, "comparedBill", c.ID) {
					t.Errorf("%s: %s", b.Code, b.Reason)
				}
			}
			o.adds(c)
		}
		if c := o.compared(`{"from":"2026-11-01","to":"2026-12-01","sample":4}`); c.Progress.Bills != 4 || c.Progress.Reproduced != 4 {
			t.Errorf("%+v", c)
		}
		o.zero()
	})
}

// moved has products end, rest and become others.
func (o *office) moved(chance func(int) int, ends, changes, other string) {
	o.Helper()
	at := on("2026-11-10T00:00:00Z").Add(time.Duration(chance(15*24)) * time.Hour)
	o.must(func(tx *store.Tx) error {
		if err := billing.End(tx, fact.ProductTerminated{Product: ends, Service: "s1", At: at}); err != nil {
			return err
		}
		return billing.Change(tx, fact.ProductChanged{Product: changes, Offering: other, Service: "s1", At: at, OrderDate: at})
	})
}

// What a comparison says of a bill is what the bill would have been: twins whose history is
// the same, and who bought at the other prices, are billed that to the cent.
func TestAComparisonIsWhatTheOtherPricesBill(t *testing.T) {
	defer billing.PagesOf(4)()
	bills(t, func(o *office) {
		r := seeded(t)
		twin, changes := map[string]string{}, []string(nil)
		for n := range comparedAccounts {
			was, prices := o.anyPlan(r, fmt.Sprint("P", n))
			fresh := map[string]string{"base": o.price("Base", "recurring", fmt.Sprintf("%d.%02d", r.IntN(80), r.IntN(100)),
				monthly+`"version":"2",`+[]string{"", `"tandem:billing":{"timing":"arrears"},`, `"tandem:billing":{"taxIncluded":true},`, `"tandem:billing":{"proration":"whole"},`}[r.IntN(4)])}
			ids := []string{fresh["base"]}
			for _, key := range []string{"extra", "setup", "yearly"} {
				id, there := prices[key]
				if !there {
					continue
				}
				if fresh[key] = id; key == "setup" {
					fresh[key] = o.price("Set-up", "one time", fmt.Sprint(1+r.IntN(70)), "")
				}
				ids = append(ids, fresh[key])
			}
			for _, key := range []string{"percent", "off"} { // a discount of the base goes on to lower it
				if id, there := prices[key]; there && key == "off" {
					ids, fresh[key] = append(ids, id), id
				} else if there {
					fresh[key] = o.price("Percent", "discount", "", fmt.Sprintf(`%s"percentage":%d,"popRelationship":[{"id":%q}],`, monthly, 1+r.IntN(99), fresh["base"]))
					ids = append(ids, fresh[key])
				}
			}
			for key, id := range fresh {
				if id != prices[key] {
					changes = append(changes, fmt.Sprintf(`{"productOfferingPrice":{"id":%q},"with":{"id":%q}}`, prices[key], id))
				}
			}
			from := on("2026-10-01T09:00:00Z").Add(time.Duration(r.IntN(60*24)) * time.Hour)
			rests, rested := from.Add(time.Duration(r.IntN(20*24))*time.Hour), r.IntN(2) == 0
			var pair [2]string
			for i, offering := range []string{was, o.offering(fmt.Sprint("Q", n), ids...)} {
				customer := o.customer("Groß")
				pair[i] = o.account(customer, "")
				product := o.runs(offering, customer, pair[i], from)
				if rested {
					o.must(func(tx *store.Tx) error {
						return billing.Suspend(tx, fact.ProductSuspended{Product: product, Service: "s1", At: rests})
					})
				}
			}
			twin[pair[0]] = pair[1]
		}
		o.everybody("2026-12-01")
		c := o.compared(`{"change":[` + strings.Join(changes, ",") + `]}`)
		if p := c.Progress; c.State != billing.ComparisonDone || p.Parked != 0 || p.Reproduced != p.Bills || p.Changed == 0 || p.Kept != 0 {
			t.Fatalf("%+v", c)
		}
		bills := o.adds(c)
		for account, other := range twin {
			own, want := o.billOf(account), o.billOf(other)
			is := own
			if b, changed := bills[account]; changed {
				is = [2]int64{b.NewNet.Minor, b.NewGross.Minor}
				if got := [2]int64{b.Net.Minor, b.Gross.Minor}; got != own {
					t.Errorf("the bill is %v, compared as %v", own, got)
				}
			}
			if is != want {
				t.Errorf("the comparison says %v, the twin's bill is %v", is, want)
				for _, d := range listed[billing.BillDifference](o, "billDifference", c.ID) {
					if d.BillingAccount.ID == account {
						t.Logf("%s %s -> %s: %s", d.Name, d.Was, d.Becomes, d.Reason)
					}
				}
			}
			if _, changed := bills[other]; changed {
				t.Errorf("a bill without the price is another")
			}
		}
		o.zero()
	})
}

// billOf is net and gross of an account's last bill; negative in the customer's favour.
func (o *office) billOf(account string) (out [2]int64) {
	o.Helper()
	var kind string
	err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error {
		return tx.Row("SELECT net, gross, kind FROM billing_draft WHERE tenant = $1 AND account = $2 ORDER BY turn DESC LIMIT 1", account).Scan(&out[0], &out[1], &kind)
	})
	if err != nil && err != store.ErrNotFound {
		o.Fatal(err)
	}
	if kind == billing.CreditNote {
		out[0], out[1] = -out[0], -out[1]
	}
	return out
}

// Earlier periods keep the price that they were billed at, agreed amounts stay, a discount
// follows what it counts; each line says why.
func TestWhatAComparisonSays(t *testing.T) {
	bills(t, func(o *office) {
		base := o.price("Mobile M", "recurring", "20", monthly+`"version":"1",`)
		offering := o.offering("M", base, o.price("Loyal", "discount", "", monthly+`"percentage":10,"popRelationship":[{"id":"`+base+`"}],`))
		begin := func(from string) (account, product string) {
			customer := o.customer("Groß")
			account = o.account(customer, "")
			return account, o.runs(offering, customer, account, on(from))
		}
		o.shift.Store(-int64(30 * 24 * time.Hour))
		ended, product := begin("2026-10-01T09:00:00Z")
		stays, _ := begin("2026-10-01T09:00:00Z")
		agreed, special := begin("2026-10-01T09:00:00Z")
		o.must(func(tx *store.Tx) error { // an amount of his own
			p, err := subscription.Products.Lock(tx, special)
			if err != nil {
				return err
			}
			q, err := subscription.Products.Copy(p)
			if err != nil {
				return err
			}
			q.ProductPrice = []subscription.ProductPrice{{Name: "agreed", PriceType: "recurring", ProductOfferingPrice: &subscription.Ref{ID: base},
				Price: &subscription.Price{DutyFreeAmount: &tmf.Money{Nano: 15e9, Currency: o.items(special)[0].Amount.Currency}}}}
			if err := subscription.Products.Save(tx, p, q); err != nil {
				return err
			}
			return billing.Change(tx, fact.ProductChanged{Product: special, Service: "s1", At: on("2026-10-01T10:00:00Z")})
		})
		o.everybody("2026-11-01")
		o.shift.Store(0)
		o.must(func(tx *store.Tx) error {
			return billing.End(tx, fact.ProductTerminated{Product: product, Service: "s1", At: on("2026-11-16T00:00:00Z")})
		})
		run := o.everybody("2026-12-01")
		fresh := o.post(catalogs+"productOfferingPrice", `{`+monthly+`"version":"2","price":{"unit":"EUR","value":23},"name":"Mobile M","priceType":"recurring"}`)
		change := `"change":[{"productOfferingPrice":{"id":"` + base + `"},"with":{"id":"` + fresh + `"}}]`
		c := o.compared(`{"billRun":{"id":"` + run.ID + `"},` + change + `}`)
		if p := c.Progress; p.Bills != 3 || p.Reproduced != 3 || p.Changed != 1 || p.Kept != 1 || p.Lines != 2 {
			t.Errorf("%+v", c)
		}
		var said []string
		for _, d := range listed[billing.BillDifference](o, "billDifference", c.ID) {
			if d.BillingAccount.ID != stays { // what was given back to the other was billed at the old price
				t.Errorf("%+v", d)
			}
			said = append(said, fmt.Sprintf("%s %s -> %s %s: %s", d.Name, d.Was, d.Becomes, d.Code, d.Reason))
		}
		want := "Mobile M 20.00 EUR -> 23.00 EUR price: Mobile M (version 1, 20.00 EUR) becomes Mobile M (version 2, 23.00 EUR)\n" +
			"Loyal -2.00 EUR -> -2.30 EUR follows: It counts 23.00 EUR instead of 20.00 EUR"
		if got := strings.Join(said, "\n"); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
		if len(c.Total) != 1 || c.Total[0].ProductOffering.ID != offering || c.Total[0].Difference.Minor != 270 {
			t.Errorf("%+v", c.Total)
		}
		if c := o.compared(`{"includeAgreed":true,"billingAccount":[{"id":"` + agreed + `"}],` + change + `}`); c.Progress.Bills != 2 || c.Progress.Changed != 2 || c.Progress.Kept != 0 {
			t.Errorf("%+v", c)
		}
		if n := o.count("SELECT count(*) FROM billing_draft WHERE tenant = $1"); n != 6 {
			t.Errorf("there are %d bills: a comparison makes none", n)
		}
		o.refusals(base, fresh, ended)
		for _, path := range []string{"billComparison", "comparedBill", "billDifference"} {
			if l := o.api.Do("rival", "GET", runs+path, nil).List(); len(l) != 0 {
				t.Errorf("another tenant reads %v", l)
			}
		}
		if a := o.api.Do("mno", "DELETE", runs+"billComparison/"+c.ID, nil); a.Status != 204 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		for _, table := range []string{"billing_compare_page", "billing_compared", "billing_difference", "billing_compare_total"} {
			if n := o.count("SELECT count(*) FROM "+table+" WHERE tenant = $1 AND comparison = $2", c.ID); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	})
}

func (o *office) count(sql string, args ...any) (n int64) {
	o.Helper()
	if err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error { return tx.Row(sql, args...).Scan(&n) }); err != nil {
		o.Fatal(err)
	}
	return n
}

// refusals are comparisons that make no sense.
func (o *office) refusals(base, fresh, account string) {
	o.Helper()
	once, dollars := o.price("once", "one time", "1", ""), o.post(catalogs+"productOfferingPrice", `{`+monthly+`"price":{"unit":"USD","value":1},"name":"d","priceType":"recurring"}`)
	pair := func(was, with string) string {
		return `{"productOfferingPrice":{"id":"` + was + `"},"with":{"id":"` + with + `"}}`
	}
	for body, code := range map[string]string{
		`{"change":[` + pair(base, base) + `]}`:                           "badChange",
		`{"change":[` + pair(base, fresh) + `,` + pair(base, once) + `]}`: "badChange",
		`{"change":[` + pair(base, once) + `]}`:                           "otherSort",
		`{"change":[` + pair(base, dollars) + `]}`:                        "otherCurrency",
		`{"change":[` + pair(base, "nothing") + `]}`:                      "unknownReference",
		`{"billRun":{"id":"nothing"}}`:                                    "unknownReference",
		`{"billRun":{"id":"nothing"},"from":"2026-01-01"}`:                "badScope",
		`{"from":"2026-02-01","to":"2026-01-01"}`:                         "badDate",
		`{"sample":100000}`:                                               "badSample",
	} {
		o.refused("POST", runs+"billComparison", body, 400, code)
	}
}

// A comparison that is cut off goes on where it was, and lists nothing twice; one whose price
// is changed meanwhile says so.
func TestAComparisonGoesOnAfterACrash(t *testing.T) {
	defer billing.PagesOf(2)()
	bills(t, func(o *office) {
		price, with := o.price("Line", "recurring", "10", monthly), o.price("Line", "recurring", "11", monthly)
		offering := o.offering("M", price)
		for range 8 {
			customer := o.customer("Groß")
			o.runs(offering, customer, o.account(customer, ""), on("2026-11-01T09:00:00Z"))
		}
		o.everybody("2026-12-01")
		body := `{"change":[{"productOfferingPrice":{"id":"` + price + `"},"with":{"id":"` + with + `"}}]}`
		o.runner.Stop()
		id := o.post(runs+"billComparison", body)
		halfway := o.until(id, func(c *billing.BillComparison) bool { return c.Progress.Done > 0 })
		o.runner = o.node(o.db)
		<-halfway
		o.runner.Stop() // whatever it was doing
		o.runner = o.node(o.db)
		o.idle()
		c := o.comparison(id)
		if p := c.Progress; c.State != billing.ComparisonDone || p.Pages != 4 || p.Done != 4 || p.Bills != 8 || p.Changed != 8 || p.Lines != 16 || len(o.adds(c)) != 8 {
			t.Errorf("%+v", c)
		}
		for _, moved := range []string{with, price} {
			o.runner.Stop()
			id = o.post(runs+"billComparison", body)
			if a := o.api.Do("mno", "PATCH", catalogs+"productOfferingPrice/"+moved, `{"description":"other"}`); a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			o.runner = o.node(o.db)
			o.idle()
			if c := o.comparison(id); c.State != billing.ComparisonFailed || !strings.Contains(c.Reason, "compare again") {
				t.Errorf("%+v", c)
			}
		}
	})
}

// A comparison that cannot go on ends as failed, one that is under way can be given up, and
// neither stays in the way of others. A bill that cannot be read, or does not come to the same
// any more, is set aside.
func TestComparisonsComeToAnEnd(t *testing.T) {
	defer billing.PagesOf(2)()
	bills(t, func(o *office) {
		offering := o.offering("M", o.price("Line", "recurring", "10", monthly))
		var products []string
		for range 4 {
			customer := o.customer("Groß")
			products = append(products, o.runs(offering, customer, o.account(customer, ""), on("2026-11-01T09:00:00Z")))
		}
		o.everybody("2026-12-01")
		item := o.items(products[0])[0].ID
		o.tampers(item, `"from":"`, `"from":"x`)
		given := o.post(runs+"billComparison", "{}")
		<-o.until(given, func(c *billing.BillComparison) bool { return c.State == billing.ComparisonReplaying })
		if c := o.comparison(given); !c.Working() { // it is tried again and again
			t.Fatalf("%+v", c)
		}
		o.givesUp(given)
		o.runner.Stop()
		restore := billing.ComparedTries(2)
		defer func() { o.runner.Stop(); restore() }()
		var waiting []string
		for range 4 {
			waiting = append(waiting, o.post(runs+"billComparison", "{}"))
		}
		o.refused("POST", runs+"billComparison", "{}", 409, "tooManyComparisons")
		o.givesUp(waiting...)
		o.runner = o.node(o.db)
		if c := o.compared("{}"); c.State != billing.ComparisonFailed || !strings.Contains(c.Reason, "tried 2 times") {
			t.Errorf("%+v", c)
		}
		if n := o.count("SELECT count(*) FROM work_job WHERE tenant = $1"); n != 0 {
			t.Errorf("%d jobs are left, parked or waiting", n)
		}
		o.tampers(item, `"from":"x`, `"from":"`)
		o.tampers(item, `"value":10`, `"value":12`)
		o.must(func(tx *store.Tx) error {
			on := map[store.Dialect]string{store.Postgres: " ON billing_document"}[o.db.Dialect()]
			if _, err := tx.System().Exec("DROP TRIGGER billing_document_kept" + on); err != nil {
				return err
			}
			_, err := tx.Exec("UPDATE billing_document SET doc = '{' WHERE tenant = $1 AND bill IN (SELECT id FROM billing_draft WHERE tenant = $1 AND account = $2)", o.items(products[1])[0].BillingAccount.ID)
			return err
		})
		c := o.compared("{}")
		said := map[string]string{}
		for _, b := range listed[billing.ComparedBill](o, "comparedBill", c.ID) {
			said[b.Code] += b.Reason
		}
		if p := c.Progress; c.State != billing.ComparisonDone || p.Bills != 4 || p.Reproduced != 2 || p.Parked != 2 ||
			!strings.Contains(said["documentGone"], "cannot be read") || !strings.Contains(said["notReproduced"], "Line comes to 2.00 EUR more than it did") {
			t.Errorf("%+v %v", c, said)
		}
	})
}

// tampers changes what is written of an item.
func (o *office) tampers(item, old, with string) {
	o.Helper()
	o.must(func(tx *store.Tx) error {
		var doc []byte
		if err := tx.Row("SELECT doc FROM billing_item WHERE tenant = $1 AND id = $2", item).Scan(&doc); err != nil {
			return err
		}
		other := strings.Replace(string(doc), old, with, 1)
		if other == string(doc) {
			return fmt.Errorf("there is no %s in %s", old, doc)
		}
		_, err := tx.Exec("UPDATE billing_item SET doc = $3 WHERE tenant = $1 AND id = $2", item, other)
		return err
	})
}

// givesUp deletes comparisons that are under way: nothing is left of them.
func (o *office) givesUp(comparisons ...string) {
	o.Helper()
	for _, id := range comparisons {
		if a := o.api.Do("mno", "DELETE", runs+"billComparison/"+id, nil); a.Status != 204 {
			o.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	for _, table := range []string{"work_job", "billing_compare_page", "billing_compared", "billing_difference", "billing_compare_total"} {
		if n := o.count("SELECT count(*) FROM " + table + " WHERE tenant = $1"); n != 0 {
			o.Errorf("%d rows are left in %s", n, table)
		}
	}
}

// until is closed when a comparison is so far.
func (o *office) until(id string, so func(*billing.BillComparison) bool) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if c := o.comparison(id); so(c) || !c.Working() {
				return
			}
		}
	}()
	return done
}

// Usage is priced anew record by record; late usage that a later bill has is not on this one,
// and what an allowance or an older tariff priced keeps its price.
func TestUsageUnderAChangedTariff(t *testing.T) {
	meters(t, func(o *office, room *charging.Room) {
		o.runner = o.node(o.db)
		month := time.Now().UTC()
		month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
		rated := `{"name":"Data abroad","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":%s},
			"unitOfMeasure":{"amount":1,"units":"MiB"},"tandem:rating":{"match":{"service":"data"},"class":"data.abroad"}}`
		price, fresh := o.post(catalogs+"productOfferingPrice", fmt.Sprintf(rated, "0.0123")), o.post(catalogs+"productOfferingPrice", fmt.Sprintf(rated, "0.02"))
		offering := o.post(catalogs+"productOffering", `{"name":"M","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"`+price+`"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR","tax":{"percent":19}},"tandem:charging":{"mode":"postpaid","credit":"500","home":["24001"]}}`)
		customer := o.customer("Groß")
		account := o.post(accounts+"billingAccount", `{"name":"Account","currency":"EUR","timeZone":"UTC","relatedParty":[{"id":"`+customer+`","role":"customer"}]}`)
		begins := month.AddDate(0, -1, 0)
		product := o.product(offering, customer, func(p *subscription.Product) { p.OrderDate = begins })
		o.must(func(tx *store.Tx) error {
			f := fact.ProductActive{Product: product, Offering: offering, Customer: customer, BillingAccount: account, Service: "s1", At: begins,
				Resources: []fact.Resource{{Role: "msisdn", Value: "491510001"}}}
			if err := billing.Begin(tx, f); err != nil {
				return err
			}
			return room.Open(tx, f)
		})
		o.awaitLine(product)
		for n := range 25 {
			o.uses(product, fmt.Sprint("early", n), month.Add(-time.Duration(n+1)*time.Hour), 3)
		}
		o.uses(product, "now", month.Add(time.Minute), 100) // of the running month
		first := o.demand(account)
		o.uses(product, "late", month.Add(-48*time.Hour), 1)
		second := o.demand(account)
		scope := `{"billingAccount":[{"id":"` + account + `"}],"from":"` + month.Format(time.DateOnly) + `","to":"` + month.Format(time.DateOnly) + `"`
		if c := o.compared(scope + `}`); c.Progress.Bills != 2 || c.Progress.Reproduced != 2 || c.Progress.Changed != 0 {
			t.Fatalf("%+v %+v", c, listed[billing.ComparedBill](o, "comparedBill", c.ID))
		}
		change := `,"change":[{"productOfferingPrice":{"id":"` + price + `"},"with":{"id":"` + fresh + `"}}]}`
		c := o.compared(scope + change)
		got := map[string]string{}
		for _, d := range listed[billing.BillDifference](o, "billDifference", c.ID) {
			got[d.Bill.ID] = fmt.Sprintf("%s -> %s %s %v", d.Was, d.Becomes, d.Code, d.ProductOffering)
		}
		// 75 MiB at 0.0123 and at 0.02; then one at 0.02 on top of 0.9225 that were billed.
		for bill, want := range map[string]string{first: "0.92 EUR -> 1.50 EUR tariff", second: "0.01 EUR -> 0.02 EUR tariff"} {
			if !strings.HasPrefix(got[bill], want) {
				t.Errorf("%v, want %s: %+v", got, want, c)
			}
		}
		if p := c.Progress; p.Changed != 2 || p.Undecided+p.Unrated+p.Older != 0 || len(c.Total) != 1 || c.Total[0].ProductOffering == nil || c.Total[0].ProductOffering.ID != offering {
			t.Errorf("%+v", c)
		}
		o.adds(c)
		if a := o.api.Do("mno", "PATCH", catalogs+"productOfferingPrice/"+price, `{"price":{"unit":"EUR","value":0.5}}`); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if c := o.compared(scope + change); c.Progress.Older != 26 || c.Progress.Changed != 0 { // sold by a tariff that the catalogue no longer has
			t.Errorf("%+v", c)
		}
		p := o.preview(`{"billingAccount":{"id":"` + account + `"}}`)
		if b := p.Bill[0]; b.Net.Minor != 123 || len(b.Line) != 1 || len(b.Line[0].Usage) != 1 || b.Line[0].Usage[0].Session != "now" { // 100 MiB so far
			t.Errorf("%+v", b)
		}
	})
}

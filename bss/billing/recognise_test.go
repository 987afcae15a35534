package billing_test

import (
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/ledger/recognition"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
)

// changes gives a product another offering from an instant on.
func (o *office) changes(product, offering, account, at string) {
	o.Helper()
	o.must(func(tx *store.Tx) error {
		_, err := subscription.Products.Edit(tx, product, func(p *subscription.Product) error {
			p.ProductOffering.ID = offering
			return nil
		})
		return err
	})
	o.must(func(tx *store.Tx) error {
		return billing.Change(tx, fact.ProductChanged{Product: product, BillingAccount: account, Service: "s1", At: on(at)})
	})
}

// setAside are the sentences of contracts that were set aside.
func (o *office) setAside() []string {
	o.Helper()
	return o.rows(2, "SELECT what, reason FROM recognition_aside WHERE tenant = $1 ORDER BY contract, what")
}

// TestWhatCouldNotBeAllocatedIsNotLaunched: with a minimum term every price is for something
// that is promised, and something is sold for more than nothing.
func TestWhatCouldNotBeAllocatedIsNotLaunched(t *testing.T) {
	const term, promise = `"minimumTerm":{"months":24}`, `"obligation":{"sellingPrice":%}`
	terms := func(all ...string) string { return `"tandem:billing":{` + strings.Join(all, ",") + `},` }
	worth := func(n string) string { return strings.Replace(promise, "%", n, 1) }
	bills(t, func(o *office) {
		once := func(more string) string { return o.price("Handset", "oneTime", "200", more) }
		recurs := func(more string) string { return o.price("Line", "recurring", "60", monthly+more) }
		for name, c := range map[string]struct {
			prices []string
			words  string
		}{
			"the term has no obligation":  {[]string{once(terms(worth("600"))), recurs(terms(term))}, `"Line\" has no obligation`},
			"an option has none":          {[]string{recurs(terms(term, worth("60"))), o.price("Option", "recurring", "5", monthly)}, `"Option\" has no obligation`},
			"nothing is sold for a price": {[]string{once(terms(worth("0"))), recurs(terms(term, worth("0")))}, "above zero"},
			"all promise":                 {[]string{once(terms(worth("600"))), recurs(terms(term, worth("60")))}, ""},
			"a discount, use, nothing": {[]string{recurs(terms(term, worth("60"))), o.price("Off", "discount", "", `"percentage":10,`), o.price("Use", "usage", "1", `"unitOfMeasure":{"amount":1,"units":"GB"},`),
				o.price("Card", "oneTime", "0", "")}, ""},
			"no term": {[]string{once(terms(worth("0"))), recurs("")}, ""},
		} {
			refs := make([]string, len(c.prices))
			for i, p := range c.prices {
				refs[i] = `{"id":"` + p + `"}`
			}
			a := o.api.Do("mno", "POST", catalogs+"productOffering", `{"name":"`+name+`","lifecycleStatus":"Launched","productOfferingPrice":[`+strings.Join(refs, ",")+`]}`)
			if launched := a.Status == 201; launched != (c.words == "") || !launched && !strings.Contains(string(a.Body), c.words) {
				t.Errorf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	})
}

// TestBookkeepingStopsNoBilling: a discount by percentage is the first price; a contract that
// cannot be allocated is set aside, and what was sold is billed.
func TestBookkeepingStopsNoBilling(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		offering := o.offering("M", o.price("Off", "discount", "", monthly+`"percentage":10,`), o.price("Handset", "oneTime", "200", handsetPrice), o.price("Line", "recurring", "60", servicePrice))
		if c := o.contract(o.runs(offering, customer, account, on("2026-11-01T10:00:00Z"))); c.Price.String() != "1640.00 EUR" {
			t.Errorf("behind a discount the contract is for %s", c.Price)
		}
		for _, set := range o.setAside() {
			t.Errorf("set aside: %s", set)
		}
		free := o.offering("S", o.price("Line", "recurring", "60", strings.Replace(servicePrice, `"sellingPrice":60`, `"sellingPrice":0`, 1)))
		product := o.runs(free, customer, account, on("2026-11-01T10:00:00Z"))
		if items := o.items(product); len(items) != 1 {
			t.Errorf("%d items of what cannot be allocated", len(items))
		}
		if set := o.setAside(); len(set) != 1 || !strings.Contains(set[0], "Without selling prices") {
			t.Errorf("set aside: %q", set)
		}
		o.recognises(o.demand(account))
		if n := o.number("SELECT count(*) FROM recognition_contract WHERE tenant = $1"); n != 1 {
			t.Errorf("%d contracts", n)
		}
	})
}

// TestWhatAChangeAddsIsRendered: an option for 10.00 joins for the last 20 of 24 months, and
// goes again after 10 of them.
func TestWhatAChangeAddsIsRendered(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		handset, line := o.price("Handset", "oneTime", "200", handsetPrice), o.price("Line", "recurring", "60", servicePrice)
		plain := o.offering("M", handset, line)
		more := o.offering("M+", handset, line, o.price("Option", "recurring", "10", monthly))
		product := o.runs(plain, customer, account, on("2026-01-01T10:00:00Z"))
		for i, step := range []struct {
			offering, at string
			price        int64
		}{{more, "2026-05-01T10:00:00Z", 164000 + 20*1000}, {plain, "2027-03-01T10:00:00Z", 164000 + 10*1000}} {
			o.changes(product, step.offering, account, step.at)
			if c := o.contract(product); c.Price.Minor != step.price || c.Schedule.Price() != step.price || c.Version != int64(i+2) || c.State != recognition.Active {
				t.Errorf("change %d: the contract %+v", i, c)
			}
		}
		if set := o.setAside(); len(set) > 0 {
			t.Errorf("set aside: %q", set)
		}
	})
}

// TestFromMonthToMonthIsRevenue: in the second month the plan is changed to one that promises
// nothing: what the new one bills stays revenue, what was billed of the old one is put right.
func TestFromMonthToMonthIsRevenue(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		first := o.offering("M", o.price("Line", "recurring", "60", servicePrice))
		free := o.offering("S", o.price("Free line", "recurring", "30", monthly+`"tandem:billing":{"revenue":"4500"},`))
		product := o.runs(first, customer, account, on("2026-11-01T10:00:00Z"))
		o.recognises(o.demand(account)) // November and December
		if c := o.contract(product); c.Billed != 12000 {
			t.Fatalf("billed %d", c.Billed)
		}
		o.changes(product, free, account, "2026-12-01T05:00:00Z")
		o.recognises(o.demand(account)) // the old December back, the new one, and a fee
		fee := int64(0)
		for _, i := range o.items(product) {
			if strings.HasSuffix(i.ID, ".earlyEnd") {
				a, err := i.Amount.Post(money.HalfUp)
				if err != nil {
					t.Fatal(err)
				}
				fee += a.Minor
			}
		}
		if c := o.contract(product); c.State != recognition.Ended || c.Ends != (civil.Date{Year: 2026, Month: 12, Day: 1}) || c.Billed != 6000+fee {
			t.Errorf("the contract has billed %d and a fee of %d, ends %s", c.Billed, fee, c.Ends)
		}
		for _, s := range o.trial() {
			if s.Account == "revenue:4500" && s.Amount != -3000 || s.Account == "deferred" && s.Amount != -6000-fee {
				t.Errorf("%s has %d", s.Account, s.Amount)
			}
		}
	})
}

// TestAContractIsInThePayersBooks: account and payer are billed by two companies; then the
// payer goes to the other one.
func TestAContractIsInThePayersBooks(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		other := o.post(runs+"legalEntity", `{"name":"Acme South","registration":"HRB 2","vatId":"DE123456788","jurisdiction":"DE","timeZone":"Europe/Berlin","invoiceNumber":"S-{year}-{seq:7}","creditNoteNumber":"SC-{year}-{seq:7}",
			"address":{"street":"Weg 1","postCode":"10115","city":"Berlin","country":"DE"}}`)
		payer := o.account(customer, `"legalEntity":{"id":"`+other+`"},`)
		account := o.account(customer, `"accountRelationship":[{"relationshipType":"billedBy","validFor":{"startDateTime":"2020-01-01T00:00:00Z"},"account":{"id":"`+payer+`"}}],`)
		product := o.runs(o.offering("M", o.price("Line", "recurring", "60", servicePrice)), customer, account, on("2026-11-01T10:00:00Z"))
		o.recognises(o.demand(payer))
		if c := o.contract(product); c.Entity != other || c.Billed != 12000 || c.Account != account {
			t.Fatalf("the contract %+v", c)
		}
		if a := o.api.Do("mno", "PATCH", accounts+"billingAccount/"+payer, `{"legalEntity":{"id":"default"}}`); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		o.later(31)
		o.recognises(o.demand(payer)) // January
		c := o.contract(product)
		if c.State != recognition.Ended || c.Billed != 12000 || c.Ends != (civil.Date{Year: 2027, Month: 1, Day: 1}) {
			t.Errorf("billed elsewhere the contract is %+v", c)
		}
		if set := o.setAside(); len(set) != 1 || !strings.Contains(set[0], "stays its revenue") {
			t.Errorf("set aside: %q", set)
		}
		for _, s := range o.trial() { // of the default entity
			if s.Account == "deferred" || s.Account == "revenue:4400" && s.Amount != -6000 {
				t.Errorf("%s has %d", s.Account, s.Amount)
			}
		}
		o.zero()
	})
}

package billing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/billing/compute"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// bills runs f on both stores, in an office without accounts on 1 December 2026.
func bills(t *testing.T, f func(o *office)) { offices(t, 0, f) }

func on(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}

// runs makes a product of an offering run from an instant.
func (o *office) runs(offering, customer, account string, at time.Time) string {
	o.Helper()
	id := o.product(offering, customer, func(p *subscription.Product) { p.OrderDate = at })
	o.must(func(tx *store.Tx) error {
		return billing.Begin(tx, fact.ProductActive{Product: id, BillingAccount: account, Service: "s1", At: at})
	})
	return id
}

// account makes a billing account; more are further attributes.
func (o *office) account(customer, more string) string {
	o.Helper()
	return o.post(accounts+"billingAccount", `{"name":"Account","currency":"EUR","timeZone":"Europe/Berlin",`+more+`"relatedParty":[{"id":"`+customer+`","role":"customer"}]}`)
}

func (o *office) gather(upto string, ids ...string) (out []billing.Gathered) {
	o.Helper()
	d, err := civil.ParseDate(upto)
	if err != nil {
		o.Fatal(err)
	}
	o.must(func(tx *store.Tx) (err error) {
		out, err = billing.Gather(tx, ids, d)
		return err
	})
	return out
}

// paper works out the document of an account's bill.
func (o *office) paper(upto, account string) *billing.Document {
	o.Helper()
	g := o.gather(upto, account)[0]
	if g.Parked != "" {
		o.Fatalf("%s is parked: %s", account, g.Parked)
	}
	b, err := compute.Make(&g.Input)
	if err != nil {
		o.Fatal(err)
	}
	return g.Document("b1", b)
}

// said is a document in few words: its lines, taxes and total.
func said(d *billing.Document) string {
	var out []string
	for _, l := range d.Lines {
		out = append(out, fmt.Sprintf("%s %d (%d/%d) %s", l.Name, l.Amount, l.Part, l.Of, l.TaxCode))
	}
	for _, t := range d.Taxes {
		out = append(out, fmt.Sprintf("%s %d/%d of %d: %d", t.Code, t.Percent[0], t.Percent[1], t.Net, t.Tax))
	}
	return strings.Join(append(out, fmt.Sprintf("%d + %d = %d", d.Net, d.Tax, d.Gross)), "; ")
}

func (o *office) says(d *billing.Document, want string) {
	o.Helper()
	if got := said(d); got != want {
		o.Errorf("the document says\n%s\nwant\n%s", got, want)
	}
	back, err := d.Encode()
	if err != nil {
		o.Fatal(err)
	}
	again, err := billing.ReadDocument(back)
	if err != nil {
		o.Fatal(err)
	}
	if twice, err := again.Encode(); err != nil || string(twice) != string(back) {
		o.Errorf("read and written again: %v\n%s\n%s", err, back, twice)
	}
}

func (o *office) valid(d *billing.Document) {
	o.Helper()
	for _, v := range billing.Judge(d) {
		o.Errorf("%s", v)
	}
}

func TestPricesSayHowTheyAreBilled(t *testing.T) {
	bills(t, func(o *office) {
		for _, bad := range []string{`{"timeing":"arrears"}`, `{"timing":"later"}`, `{"proration":"31days"}`, `{"align":"moon"}`, `{"quantity":-1}`, `{"whileSuspended":"half"}`,
			`{"whileSuspended":{"amount":-1}}`, `{"discount":{"priority":1}}`, `{"commitment":{"withUsag":true}}`, `{"taxIncluded":"yes"}`} {
			p := o.price("bad", "recurring", "10", monthly+`"tandem:billing":`+bad+`,`)
			o.refused("POST", catalogs+"productOffering", `{"name":"bad","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"`+p+`"}]}`, 400, "invalidBilling")
		}
		p := o.price("misspelt", "recurring", "10", monthly+`"tandem:biling":{},`)
		o.refused("POST", catalogs+"productOffering", `{"name":"bad","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"`+p+`"}]}`, 400, "invalidBilling")

		good := o.price("line", "recurring", "11.90", monthly+`"tandem:billing":{"timing":"arrears","proration":"30days","taxIncluded":true,"revenue":"4401","whileSuspended":{"amount":1.19}},`)
		yearly := o.price("yearly", "recurring", "120", `"recurringChargePeriodType":"year","tandem:billing":{"align":"own"},`)
		old := o.price("old", "recurring", "5", monthly)
		product := o.runs(o.offering("M", good, yearly, old), o.customer("Groß"), "", on("2026-10-10T10:00:00Z"))
		for _, i := range o.items(product) {
			switch s := i.ServicePeriods; {
			case s == nil:
				t.Fatalf("%s has no service periods", i.Name)
			case i.Name == "line" && (i.Billing == nil || i.Billing.Timing != "arrears" || !i.Billing.TaxIncluded || s.Day != 1 || s.Origin.String() != "2026-10-01"):
				t.Errorf("%+v %+v", i.Billing, s)
			case i.Name == "yearly" && (s.Day != 10 || s.Step != "P1Y" || s.Origin.String() != "2026-10-10"):
				t.Errorf("%+v", s)
			case i.Name == "old" && i.Billing != nil:
				t.Errorf("%+v", i.Billing)
			}
		}
		o.must(func(tx *store.Tx) error {
			return billing.Suspend(tx, fact.ProductSuspended{Product: product, Service: "s1", At: on("2026-10-20T00:00:00Z")})
		})
		a := o.items(product)[0].BillingAccount.ID
		d := o.paper("2026-11-01", a)
		if len(d.Lines) < 2 || d.From.String() != "2026-10-01" || d.To.String() != "2026-11-01" || d.Currency != "EUR" {
			t.Fatalf("%+v", d)
		}
		for _, l := range d.Lines {
			if l.Name == "line" && (l.Revenue != "4401" || l.Rule != "30days" || !l.TaxIncluded || l.Rested == 0) {
				t.Errorf("%+v", l)
			}
			if l.Name == "old" && (l.Revenue != "sales" || l.Rule != "days" || l.TaxIncluded) {
				t.Errorf("%+v", l)
			}
		}
		o.valid(d)
	})
}

func TestLegalEntitiesAndTaxRates(t *testing.T) {
	bills(t, func(o *office) {
		o.must(madeUp)
		const entities, rates = runs + "legalEntity", runs + "taxRate"
		berlin := `"name":"Tandem Mobil GmbH","address":{"street":"Weg 1","postCode":"10115","city":"Berlin","country":"DE"},"timeZone":"Europe/Berlin",`
		for _, bad := range []string{`{"name":"n"}`, `{` + berlin + `"iban":"DE89370400440532013001"}`, `{` + berlin + `"creditorId":"DE97ZZZ09999999999"}`, `{` + berlin + `"vatId":"123"}`,
			`{` + berlin + `"invoiceNumber":"R-{seq}"}`, `{` + berlin + `"invoiceNumber":"{year}-{seq}","creditNoteNumber":"{year}-{seq}"}`, `{` + berlin + `"paymentDays":400}`,
			`{` + berlin + `"rounding":"sometimes"}`, `{` + berlin + `"language":"Deutsch"}`} {
			o.refused("POST", entities, bad, 400, "invalidLegalEntity")
		}
		id := o.post(entities, `{`+berlin+`"isDefault":true,"vatId":"DE123456788","registration":"HRB 1","iban":"DE89370400440532013000","bic":"COBADEFFXXX","creditorId":"DE98ZZZ09999999999",
			"language":"de","invoiceNumber":"R{year}-{seq:5}"}`)
		o.refused("POST", entities, `{`+berlin+`"isDefault":true}`, 409, "oneDefault")
		o.refused("DELETE", entities+"/"+id, "", 409, "oneDefault")
		for _, r := range o.api.Do("mno", "GET", rates, nil).List() { // those of the provisional entity
			if a := o.api.Do("mno", "DELETE", rates+"/"+at(r, "id"), nil); a.Status != 204 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
		}
		for _, bad := range []string{`{"jurisdiction":"Germany","category":"standard","code":"S","percent":19,"validFrom":"2021-01-01"}`,
			`{"jurisdiction":"DE","category":"standard","code":"X","percent":19,"validFrom":"2021-01-01"}`, `{"jurisdiction":"DE","category":"standard","code":"S","percent":0,"validFrom":"2021-01-01"}`,
			`{"jurisdiction":"DE","category":"exempt","code":"E","percent":0,"validFrom":"2021-01-01"}`, `{"jurisdiction":"DE","category":"exempt","code":"E","percent":1,"reason":"r","validFrom":"2021-01-01"}`,
			`{"jurisdiction":"DE","category":"standard","code":"S","percent":19,"validFrom":"2021-01-01","validTo":"2021-01-01"}`} {
			o.refused("POST", rates, bad, 400, "invalidTaxRate")
		}
		standard := o.post(rates, `{"jurisdiction":"DE","category":"standard","code":"S","percent":19,"validFrom":"2021-01-01","validTo":"2026-11-01"}`)
		o.refused("POST", rates, `{"jurisdiction":"DE","category":"standard","code":"S","percent":20,"validFrom":"2026-10-31"}`, 409, "overlappingTaxRate")

		account := o.account(o.customer("Groß"), "")
		o.runs(o.offering("M", o.price("line", "recurring", "20", monthly)), o.customer("Groß"), account, on("2026-10-01T00:00:00Z"))
		g := o.gather("2026-12-01", account)[0]
		if _, err := compute.Make(&g.Input); err == nil || !fault.Is(err, fault.Invalid) {
			t.Errorf("a day without a rate: %v", err)
		}
		o.post(rates, `{"jurisdiction":"DE","category":"standard","code":"S","percent":20,"validFrom":"2026-11-01"}`)
		d := o.paper("2026-12-01", account)
		if d.Language != "de" || d.Seller.VATID != "DE123456788" || d.Bank.IBAN != "DE89370400440532013000" || d.Entity != id || d.Due.Sub(d.Date) != 14 {
			t.Errorf("%+v", d)
		}
		o.says(d, "line 2000 (31/31) S; line 2000 (30/30) S; line 2000 (31/31) S; S 20/1 of 4000: 800; S 19/1 of 2000: 380; 6000 + 1180 = 7180")
		o.valid(d)
		if r := o.api.Do("mno", "DELETE", rates+"/"+standard, ""); r.Status != 204 {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	})
}

// What a bill is taxed with depends on who buys, and where.
func TestTaxByBuyer(t *testing.T) {
	bills(t, func(o *office) {
		offering := o.offering("M", o.price("line", "recurring", "100", monthly))
		firm := func(name, vat, country string) string {
			id := o.post("/tmf-api/party/v4/organization", `{"tradingName":"`+name+`","name":"`+name+`","organizationIdentification":[{"identificationType":"vatId","identificationId":"`+vat+`"}],
				"contactMedium":[{"mediumType":"postalAddress","characteristic":{"street1":"Way 2","postCode":"1","city":"City","country":"`+country+`"}}]}`)
			return o.post("/tmf-api/customerManagement/v4/customer", `{"name":"`+name+`","engagedParty":{"id":"`+id+`","@referredType":"Organization"}}`)
		}
		exempt := `"taxExemption":[{"issuingJurisdiction":"DE","certificateNumber":"1","validFor":{"startDateTime":"2020-01-01T00:00:00Z"}}],`
		for i, c := range []struct{ customer, more, code string }{
			{o.customer("Groß"), "", "S"},
			{firm("Inland GmbH", "DE111111111", "DE"), "", "S"},
			{firm("Österreich GmbH", "ATU12345678", "Austria"), "", "AE"},
			{firm("Swiss AG", "CHE123456789", "CH"), "", "G"},
			{firm("Embassy", "", "DE"), exempt, "E"},
			{firm("Expired", "", "DE"), strings.Replace(exempt, `"startDateTime":"2020-01-01T00:00:00Z"`, `"endDateTime":"2020-01-01T00:00:00Z"`, 1), "S"},
			{firm("Forced", "ATU12345679", "AT"), `"taxTreatment":"standard",`, "S"},
			{o.customer("Weit"), `"taxTreatment":"thirdCountry",`, "G"},
		} {
			account := o.account(c.customer, c.more)
			o.runs(offering, c.customer, account, on("2026-11-01T10:00:00Z"))
			d := o.paper("2026-12-01", account)
			tax := int64(0)
			if c.code == "S" {
				tax = 3800
			}
			if len(d.Taxes) != 1 || d.Taxes[0].Code != c.code || d.Tax != tax || d.Net != 20000 || c.code != "S" && d.Taxes[0].Reason == "" {
				t.Errorf("buyer %d: %s", i, said(d))
			}
			if c.code == "AE" && (d.Buyer.VATID != "ATU12345678" || d.Buyer.Country != "AT") {
				t.Errorf("%+v", d.Buyer)
			}
			for _, v := range billing.Judge(d) { // the provisional entity has no VAT id, which these need
				if c.code == "S" || !slices.Contains([]string{"BR-AE-02", "BR-G-02", "BR-E-02"}, v.Rule) {
					t.Errorf("buyer %d: %s", i, v)
				}
			}
		}
	})
}

// A child's charges are lines of the payer's bill, and of no bill of its own.
func TestThePayersBill(t *testing.T) {
	bills(t, func(o *office) {
		offering := o.offering("M", o.price("line", "recurring", "20", monthly))
		firm := o.customer("Konzern")
		head := o.account(firm, "")
		paid := func(by string) string {
			return `"accountRelationship":[{"relationshipType":"billedBy","validFor":{"startDateTime":"2020-01-01T00:00:00Z"},"account":{"id":"` + by + `"}}],`
		}
		site := o.account(firm, paid(head))
		desk := o.account(firm, paid(site))
		own := o.account(firm, "")
		for _, a := range []string{head, site, desk, own} {
			o.runs(offering, firm, a, on("2026-11-01T00:00:00Z"))
		}
		o.refused("PATCH", accounts+"billingAccount/"+head, `{`+strings.TrimSuffix(paid(desk), ",")+`}`, 400, "payerCircle")
		for _, order := range [][]string{{head, site, desk, own}, {own, desk, site, head}, {head}} {
			for _, g := range o.gather("2026-12-01", order...) {
				want := map[string]int{head: 3, own: 1}[g.Account]
				if len(g.Input.Items) != want || g.Parked != "" {
					t.Errorf("%v: account %s has %d items (%s), want %d", order, g.Account, len(g.Input.Items), g.Parked, want)
				}
			}
		}
		d := o.paper("2026-12-01", head)
		seen := map[string]int64{}
		for _, l := range d.Lines {
			seen[l.Account] += l.Amount
		}
		if seen[""] != 4000 || seen[site] != 4000 || seen[desk] != 4000 || len(seen) != 3 {
			t.Errorf("%v", seen)
		}
		o.valid(d)
	})
}

func TestWhatCannotBeBilledIsParked(t *testing.T) {
	bills(t, func(o *office) {
		c := o.customer("Groß")
		dollars := o.account(c, "")
		weird := o.account(c, `"billStructure":{"cycleSpecification":{"isRef":false,"billingPeriod":"moon"}},`)
		odd := o.account(c, "")
		o.runs(o.offering("M", o.price("line", "recurring", "20", monthly+`"tax":[{"taxCategory":"luxury","taxRate":50}],`)), c, odd, on("2026-11-01T00:00:00Z"))
		fine := o.account(c, "")
		codes := map[string]string{}
		for _, g := range o.gather("2026-12-01", dollars, weird, odd, fine, "nobody") {
			if codes[g.Account] = g.Code; (g.Parked == "") != (g.Code == "") {
				t.Errorf("%s: %q %q", g.Account, g.Code, g.Parked)
			}
		}
		want := map[string]string{dollars: "", weird: "badCycle", odd: "noTaxRate", fine: "", "nobody": "unknownAccount"}
		if fmt.Sprint(codes) != fmt.Sprint(want) {
			t.Errorf("%v, want %v", codes, want)
		}
	})
}

// A price that names its tax by a percentage is taxed on when the rate changes: what was
// sold with 19 % is taxed with 20 % from the day on which that is the rate.
func TestATaxRateThatChangesParksNobody(t *testing.T) {
	day := func(y, m, d int) civil.Date { return civil.Date{Year: y, Month: time.Month(m), Day: d} }
	rates := billing.RateTable{
		{Category: "standard", Code: "S", Percent: compute.Percent{Num: 19, Den: 1}, Period: civil.Period{From: day(2020, 1, 1), To: day(2027, 1, 1)}},
		{Category: "standard", Code: "S", Percent: compute.Percent{Num: 20, Den: 1}, Period: civil.Period{From: day(2027, 1, 1)}},
	}
	for _, c := range []struct {
		percent string
		on      civil.Date
		want    string
	}{{"19", day(2026, 12, 1), "standard"}, {"19", day(2027, 1, 1), "standard"}, {"20", day(2027, 1, 1), "standard"}, {"7", day(2026, 12, 1), ""}} {
		got, ok := rates.Category("", "VAT", c.percent, c.on)
		if ok != (c.want != "") || ok && got != c.want {
			t.Errorf("VAT of %s %% on %s: %q %v, want %q", c.percent, c.on, got, ok, c.want)
		}
	}
}

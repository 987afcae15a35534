package billing_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/ledger/recognition"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/store"
)

// ends lets a product end.
func (o *office) ends(product, at string) {
	o.Helper()
	for range 2 { // heard twice
		o.must(func(tx *store.Tx) error {
			return billing.End(tx, fact.ProductTerminated{Product: product, Service: "s1", At: on(at)})
		})
	}
}

// feeOf is the line of a bill that charges an early end, "" if there is none.
func feeOf(d *billing.Document) string {
	for _, l := range d.Lines {
		if l.Sort == billing.OneTime {
			return fmt.Sprintf("%s = %d %s %s", l.Name, l.Amount, l.TaxCategory, l.Revenue)
		}
	}
	return ""
}

// TestAnEarlyEndIsCharged: a line for 20.00 a month, taken for 24 months from 15 January
// 2026, ends on 15 November: 14 months are left.
func TestAnEarlyEndIsCharged(t *testing.T) {
	left := "Line: early end. The minimum term runs until 14 January 2028; 14 months of 24 months are left = "
	cases := []struct{ name, term, more, begins, ends, reason, language, want string }{
		{"in full", `"fee":"remaining"`, "", "2026-01-15", "2026-11-15", "", "en", left + "28000 standard sales"},
		{"half, to a code of its own", `"fee":"remaining","percent":50,"revenue":"4499"`, "", "2026-01-15", "2026-11-15", "", "en", left + "14000 standard 4499"},
		{"capped", `"fee":"remaining","cap":99.90`, "", "2026-01-15", "2026-11-15", "", "en", left + "9990 standard sales"},
		{"of pieces", `"fee":"remaining"`, `"quantity":3,`, "2026-01-15", "2026-11-15", "", "en", left + "84000 standard sales"},
		{"declining", `"fee":"declining","amount":240`, "", "2026-01-15", "2026-11-15", "", "en", left + "14000 standard sales"},
		{"fixed, not taxed", `"fee":"fixed","amount":50,"taxCategory":"exempt"`, "", "2026-01-15", "2026-11-15", "", "en", left + "5000 exempt sales"},
		{"for debt", `"fee":"fixed","amount":50`, "", "2026-01-15", "2026-11-15", subscription.EndedByDebt, "en", left + "5000 standard sales"},
		{"in parts of months", `"fee":"remaining"`, "", "2026-01-15", "2026-11-16", "", "de",
			"Line: vorzeitiges Ende. Die Mindestlaufzeit dauert bis 14. Januar 2028; es verbleiben 13 Monate und 29 Tage von 24 Monaten = 27933 standard sales"},
		{"without a fee", ``, "", "2026-01-15", "2026-11-15", "", "en", ""},
		{"by the operator", `"fee":"remaining"`, "", "2026-01-15", "2026-11-15", subscription.EndedByOperator, "en", ""},
		{"for a fault", `"fee":"remaining"`, "", "2026-01-15", "2026-11-15", subscription.EndedByFault, "en", ""},
		{"withdrawn", `"fee":"remaining"`, "", "2026-11-02", "2026-11-16", "", "en", ""},
		{"a day late to withdraw", `"fee":"fixed","amount":1`, "", "2026-11-01", "2026-11-16", "", "en",
			"Line: early end. The minimum term runs until 31 October 2028; 23 months and 15 days of 24 months are left = 100 standard sales"},
		{"without a right to", `"fee":"fixed","amount":1,"withdrawalDays":0`, "", "2026-11-02", "2026-11-03", "", "en",
			"Line: early end. The minimum term runs until 1 November 2028; 23 months and 29 days of 24 months are left = 100 standard sales"},
		{"on the last day", `"fee":"remaining"`, "", "2024-11-10", "2026-11-10", "", "en", ""},
	}
	bills(t, func(o *office) {
		for _, c := range cases {
			sep := ","
			if c.term == "" {
				sep = ""
			}
			price := o.price("Line", "recurring", "20", monthly+`"tandem:billing":{`+c.more+`"minimumTerm":{"months":24`+sep+c.term+`}},`)
			customer := o.customer("Groß")
			account := o.account(customer, `"language":"`+c.language+`",`)
			product := o.product(o.offering("M", price), customer, func(p *subscription.Product) {
				p.OrderDate, p.TerminationReason = on(c.begins+"T10:00:00Z"), c.reason
			})
			o.must(func(tx *store.Tx) error {
				return billing.Begin(tx, fact.ProductActive{Product: product, BillingAccount: account, Service: "s1", At: on(c.begins + "T10:00:00Z")})
			})
			o.ends(product, c.ends+"T10:00:00Z")
			d := o.paper("2026-12-01", account)
			if got := feeOf(d); got != c.want {
				t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
			}
			o.valid(d)
		}
	})
}

func TestTermsThatMeanNothingAreRefused(t *testing.T) {
	bills(t, func(o *office) {
		for _, bad := range []string{`"minimumTerm":{"months":0}`, `"minimumTerm":{"months":24,"fee":"all"}`, `"minimumTerm":{"months":24,"fee":"fixed"}`,
			`"minimumTerm":{"months":24,"fee":"remaining","percent":120}`, `"minimumTerm":{"months":24,"fee":"fixed","amount":5,"percent":20}`,
			`"minimumTerm":{"months":24,"fee":"fixed","amount":-5}`, `"minimumTerm":{"months":24,"cap":-1}`, `"minimumTerm":{"months":24,"caps":1}`,
			`"minimumTerm":{"months":24,"withdrawalDays":-1}`, `"obligation":{}`, `"obligation":{"sellingPrice":-1}`} {
			p := o.price("bad", "recurring", "10", monthly+`"tandem:billing":{`+bad+`},`)
			o.refused("POST", catalogs+"productOffering", `{"name":"bad","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"`+p+`"}]}`, 400, "invalidBilling")
		}
		p := o.price("bad", "oneTime", "10", `"tandem:billing":{"minimumTerm":{"months":24}},`)
		o.refused("POST", catalogs+"productOffering", `{"name":"bad","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"`+p+`"}]}`, 400, "invalidBilling")
	})
}

// TestATermGoesOnOnAnotherAccount: who pays changes, for how long it is taken does not.
func TestATermGoesOnOnAnotherAccount(t *testing.T) {
	bills(t, func(o *office) {
		price := o.price("Line", "recurring", "20", monthly+`"tandem:billing":{"minimumTerm":{"months":24,"fee":"remaining"}},`)
		customer := o.customer("Groß")
		first, second := o.account(customer, ""), o.account(customer, "")
		product := o.runs(o.offering("M", price), customer, first, on("2026-01-15T10:00:00Z"))
		for i, to := range []string{second, first} {
			o.must(func(tx *store.Tx) error {
				return billing.Change(tx, fact.ProductChanged{Product: product, BillingAccount: to, Service: "s1", At: on(fmt.Sprintf("2026-0%d-15T10:00:00Z", 5+i))})
			})
		}
		o.ends(product, "2026-11-15T10:00:00Z")
		if got := feeOf(o.paper("2026-12-01", first)); !strings.HasSuffix(got, "= 28000 standard sales") {
			t.Errorf("got %s", got)
		}
		if got := feeOf(o.paper("2026-12-01", second)); got != "" {
			t.Errorf("the account that paid for a month is charged %s", got)
		}
	})
}

// TestATermIsNotEscapedByAChangeOfPlan: 24 months at 60.00 become another plan after ten of
// them, which ends the day after. 14 months are left.
func TestATermIsNotEscapedByAChangeOfPlan(t *testing.T) {
	bills(t, func(o *office) {
		large := o.offering("L", o.price("Line", "recurring", "60", monthly+`"tandem:billing":{"minimumTerm":{"months":24,"fee":"remaining"}},`))
		for _, c := range []struct {
			name, terms string
			want        []int64 // fees, in order
		}{
			{"to a plan without a term", ``, []int64{84000}},
			{"to a shorter term", `"tandem:billing":{"minimumTerm":{"months":12,"fee":"remaining","withdrawalDays":0}},`, []int64{5983, 84000}}, // 11 months and 29 days of 5.00
			{"to a term that costs nothing", `"tandem:billing":{"minimumTerm":{"months":24}},`, []int64{84000}},
			{"to a term as long", `"tandem:billing":{"minimumTerm":{"months":24,"fee":"fixed","amount":48,"withdrawalDays":0}},`, []int64{4800}},
		} {
			customer := o.customer("Groß")
			account := o.account(customer, "")
			small := o.offering("S", o.price("Small", "recurring", "5", monthly+c.terms))
			product := o.runs(large, customer, account, on("2026-01-15T10:00:00Z"))
			o.must(func(tx *store.Tx) error {
				_, err := subscription.Products.Edit(tx, product, func(p *subscription.Product) error {
					p.ProductOffering.ID = small
					return nil
				})
				return err
			})
			for range 2 { // heard twice
				o.must(func(tx *store.Tx) error {
					return billing.Change(tx, fact.ProductChanged{Product: product, BillingAccount: account, Service: "s1", At: on("2026-11-15T10:00:00Z")})
				})
			}
			o.ends(product, "2026-11-16T10:00:00Z")
			var got []int64
			for _, l := range o.paper("2026-12-01", account).Lines {
				if l.Sort == billing.OneTime {
					got = append(got, l.Amount)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("%s costs %v, want %v", c.name, got, c.want)
			}
		}
	})
}

const (
	handsetPrice = `"tandem:billing":{"revenue":"4410","obligation":{"name":"Handset","sellingPrice":600}},`
	servicePrice = monthly + `"tandem:billing":{"revenue":"4400","minimumTerm":{"months":24,"fee":"remaining","percent":50},"obligation":{"name":"Service","sellingPrice":60}},`
)

// contract is a contract, and the audit of all of them.
func (o *office) contract(id string) (c *recognition.Contract) {
	o.Helper()
	o.must(func(tx *store.Tx) (err error) {
		wrong, err := recognition.Audit(tx)
		if err != nil {
			return err
		}
		if len(wrong) > 0 {
			o.Errorf("contracts: %v", wrong)
		}
		c, err = recognition.Of(tx, id)
		return err
	})
	return c
}

// recognises tells of a posted bill, twice.
func (o *office) recognises(bill string) {
	o.Helper()
	for range 2 {
		o.must(func(tx *store.Tx) error {
			b := fact.PostedBill{Bill: bill}
			if err := tx.Row("SELECT issue_date FROM billing_posted WHERE tenant = $1 AND bill = $2", bill).Scan(&b.IssuedOn); err != nil {
				return err
			}
			return billing.Recognise(tx, fact.BillsPosted{Entity: "default", Bills: []fact.PostedBill{b}})
		})
	}
}

// TestAContractIsMadeOfPricesAndPaidByBills: a handset of 600.00 for 200.00 and 24 months of
// service at 60.00 from 1 November; the bill of 1 December has the handset and two months.
func TestAContractIsMadeOfPricesAndPaidByBills(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		offering := o.offering("M", o.price("Handset", "oneTime", "200", handsetPrice), o.price("Line", "recurring", "60", servicePrice))
		product := o.runs(offering, customer, account, on("2026-11-01T10:00:00Z"))
		c := o.contract(product)
		if c.Price.Minor != 164000 || len(c.Schedule) != 2 || c.Schedule[0].Amount+c.Schedule[1].Amount != 164000 || c.Ends != (civil.Date{Year: 2028, Month: 11, Day: 1}) {
			t.Fatalf("the contract %+v", c)
		}
		for _, s := range c.Schedule {
			if s.Amount != 48235 && s.Amount != 115765 {
				t.Errorf("allocated %+v", s)
			}
		}
		bill := o.demand(account)
		o.recognises(bill)
		if c = o.contract(product); c.Billed != 20000+2*6000 {
			t.Errorf("billed %d", c.Billed)
		}
		o.zero()
		for _, s := range o.trial() {
			if s.Account == "deferred" && s.Amount != -32000 || strings.HasPrefix(s.Account, "revenue") && s.Amount != 0 {
				t.Errorf("%s has %d", s.Account, s.Amount)
			}
		}
		// It ends in the second month: half of what is left is charged, and pays for the contract.
		o.ends(product, "2026-12-01T05:00:00Z")
		if c = o.contract(product); c.State != recognition.Ended || c.Price.Minor != 48235+4824 {
			t.Errorf("ended as %+v", c)
		}
		o.recognises(o.demand(account))
		if c = o.contract(product); c.Billed != 20000+6000+23*3000 {
			t.Errorf("billed %d with the fee", c.Billed)
		}
	})
}

// TestAChangeOfPlanChangesTheContract: after six months another plan for 45.00, sold for 50.00
// on its own, takes the place of the first.
func TestAChangeOfPlanChangesTheContract(t *testing.T) {
	bills(t, func(o *office) {
		customer := o.customer("Groß")
		account := o.account(customer, "")
		handset := o.price("Handset", "oneTime", "200", handsetPrice)
		first := o.offering("M", handset, o.price("Line", "recurring", "60", servicePrice))
		small := o.offering("S", handset, o.price("Small line", "recurring", "45", strings.Replace(servicePrice, `"sellingPrice":60`, `"sellingPrice":50`, 1)))
		product := o.runs(first, customer, account, on("2026-01-01T10:00:00Z"))
		o.must(func(tx *store.Tx) error {
			_, err := subscription.Products.Edit(tx, product, func(p *subscription.Product) error {
				p.ProductOffering.ID = small
				return nil
			})
			return err
		})
		o.must(func(tx *store.Tx) error {
			return billing.Change(tx, fact.ProductChanged{Product: product, BillingAccount: account, Service: "s1", At: on("2026-07-01T10:00:00Z")})
		})
		c := o.contract(product)
		if c.Price.Minor != 164000-18*1500 || c.Version != 2 || c.Schedule.Price() != 137000 {
			t.Fatalf("the contract %+v", c)
		}
		got, err := c.Schedule.Before(civil.Date{Year: 2026, Month: 8, Day: 1})
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, n := range got {
			sum += n
		}
		if sum != 77176+3324 { // (137000 - 77176) / 18
			t.Errorf("recognised by the end of July %d", sum)
		}
	})
}

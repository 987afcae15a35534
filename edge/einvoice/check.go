package einvoice

import (
	"strconv"

	"tandem/kit/civil"
	"tandem/kit/money"
)

// Violation is a business rule that an invoice breaks.
type Violation struct {
	Rule string // as EN 16931-1 names it: "BR-CO-10"
	Path string // where in the model: "Lines[2].Price.Net"; empty for the whole invoice
	Text string // what the rule demands
}

// String is the violation for logs and users.
func (v Violation) String() string {
	if v.Path == "" {
		return v.Rule + ": " + v.Text
	}
	return v.Rule + " at " + v.Path + ": " + v.Text
}

// Check applies the business rules of EN 16931-1 and returns what is broken, nil for a
// valid invoice. It changes nothing and may be called by many at once.
func Check(v *Invoice) []Violation {
	c := checker{v: v, cent: 1, tooFine: 1}
	for d := v.Currency.Digits(); d > 2; d-- {
		c.cent, c.tooFine = c.cent*10, c.tooFine*10
	}
	c.header()
	c.parties()
	c.delivery()
	c.payment()
	c.codes()
	c.adjustments()
	for i := range v.Lines {
		c.line(i)
	}
	c.breakdowns()
	c.totals()
	c.categories()
	return c.found
}

// checker walks over one invoice.
type checker struct {
	v       *Invoice
	found   []Violation
	cent    int64 // 0.01 in minor units, at least one
	tooFine int64 // an amount that is no multiple has a third decimal
	used    [categories]usage
	lines   int64 // sum of BT-131
	allowed int64 // sum of BT-92
	charged int64 // sum of BT-99
}

// place is where a rule looks, turned into words only when it fails.
type place struct {
	list  string
	i     int
	inner string
	j     int
	field string
}

func field(name string) place                { return place{field: name} }
func in(list string, i int) place            { return place{list: list, i: i} }
func (p place) in(inner string, j int) place { p.inner, p.j = inner, j; return p }
func (p place) at(name string) place         { p.field = name; return p }

func (p place) String() string {
	s := ""
	if p.list != "" {
		s = p.list + "[" + strconv.Itoa(p.i) + "]"
	}
	if p.inner != "" {
		s += "." + p.inner + "[" + strconv.Itoa(p.j) + "]"
	}
	if p.field != "" && s != "" {
		s += "."
	}
	return s + p.field
}

// need records a violation unless ok.
func (c *checker) need(ok bool, rule string, p place) {
	if !ok {
		c.fail(rule, p)
	}
}

func (c *checker) fail(rule string, p place) {
	c.found = append(c.found, Violation{Rule: rule, Path: p.String(), Text: textOf(rule)})
}

// maxMinor bounds an amount (TD-2): 900,000 of them still fit an int64.
const maxMinor = 1e13

// amount checks the form of an amount in invoice currency: currency, size, and at
// most two decimals (rule dec, "" for none).
func (c *checker) amount(a money.Amount, dec string, p place) {
	if !present(a) {
		return
	}
	if a.Currency != c.v.Currency && c.v.Currency != (money.Currency{}) {
		c.fail("TD-1", p)
	}
	if a.Minor > maxMinor || a.Minor < -maxMinor {
		c.fail("TD-2", p)
	}
	if dec != "" && a.Minor%c.tooFine != 0 {
		c.fail(dec, p)
	}
}

func present(a money.Amount) bool { return a.Currency != money.Currency{} }

func noDate(d civil.Date) bool { return d == civil.Date{} }

// header checks BT-1 to BT-24, BG-3, BG-14 and BG-24.
func (c *checker) header() {
	v := c.v
	c.need(v.Specification != "", "BR-01", field("Specification"))
	c.need(v.Number != "", "BR-02", field("Number"))
	c.need(!noDate(v.Issued), "BR-03", field("Issued"))
	c.need(v.Type != "", "BR-04", field("Type"))
	c.need(v.Currency != money.Currency{}, "BR-05", field("Currency"))
	c.need(len(v.Lines) > 0, "BR-16", field("Lines"))
	c.need(noDate(v.TaxPoint) || v.TaxPointCode == "", "BR-CO-03", field("TaxPoint"))
	if v.TaxCurrency != (money.Currency{}) {
		other := v.TaxCurrency != v.Currency && v.Totals.TaxAccounting.Currency == v.TaxCurrency
		c.need(other, "BR-53", field("Totals.TaxAccounting"))
	}
	c.period(v.Period, "BR-29", "BR-CO-19", field("Period"))
	for i := range v.Preceding {
		c.need(v.Preceding[i].Number != "", "BR-55", in("Preceding", i).at("Number"))
	}
	for i := range v.Documents {
		c.need(v.Documents[i].Reference != "", "BR-52", in("Documents", i).at("Reference"))
	}
}

// period checks a period: its ends in order, and at least one of them there.
func (c *checker) period(p *Period, order, filled string, where place) {
	if p == nil {
		return
	}
	if noDate(p.Start) || noDate(p.End) {
		c.need(!noDate(p.Start) || !noDate(p.End), filled, where)
		return
	}
	c.need(!p.End.Before(p.Start), order, where)
}

// delivery checks BG-13.
func (c *checker) delivery() {
	if d := c.v.Delivery; d != nil && d.Address != nil {
		c.country(d.Address.Country, "BR-57", field("Delivery.Address.Country"))
	}
}

// country checks that an address has its country, and a real one.
func (c *checker) country(code, rule string, p place) {
	c.need(code != "", rule, p)
	c.need(code == "" || isCountry(code), "BR-CL-14", p)
}

// payment checks BG-16.
func (c *checker) payment() {
	p := c.v.Payment
	if p == nil {
		return
	}
	c.need(p.Means != "", "BR-49", field("Payment.Means"))
	if p.Means == CreditTransfer || p.Means == SEPACreditTransfer {
		c.need(len(p.Transfers) > 0, "BR-61", field("Payment.Transfers"))
	}
	for i := range p.Transfers {
		c.need(p.Transfers[i].Account != "", "BR-50", in("Payment.Transfers", i).at("Account"))
	}
	if p.Card != nil {
		c.need(lastDigits(p.Card.Number), "BR-51", field("Payment.Card.Number"))
	}
}

// lastDigits tells whether s is four to six digits and nothing else.
func lastDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= 4 && len(s) <= 6
}

package einvoice

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tandem/kit/civil"
	"tandem/kit/money"
)

var nine = [categories]Category{Standard, ZeroRated, Exempt, ReverseCharge, IntraCommunity, Export, OutOfScope, IGIC, IPSI}

// broken is one way to break a valid invoice, and the rules that must then speak: one,
// unless the standard itself says the same twice.
type broken struct {
	rules string // separated by blanks
	base  func() *Invoice
	do    func(v *Invoice)
}

func standard() *Invoice { return sample(Standard) }

// represented has everything that a German bill seldom has.
func represented() *Invoice {
	v := sample(Standard)
	v.TaxRepresentative = &TaxRepresentative{"Steuer & Co", "AT U123", &Address{City: "Wien", Country: "AT"}}
	v.Payee = &Payee{Name: "Factor AG"}
	v.Documents = []Document{{Reference: "calls"}}
	v.Preceding = []Preceding{{Number: "R-1"}}
	v.Payment.Means, v.Payment.Transfers = SEPACreditTransfer, []Transfer{{Account: "DE1"}, {Account: "DE2"}}
	v.Payment.Card = &Card{Number: "1234"}
	l := &v.Lines[0]
	l.Allowances = []Adjustment{{Amount: eur(1), Reason: "less"}}
	l.Charges = []Adjustment{{Amount: eur(1), Reason: "more"}}
	l.Item.StandardID, l.Item.Classes = Identifier{"4000001", "0160"}, []Classification{{"43", "STI", ""}}
	l.Item.Attributes = []Attribute{{"tariff", "L"}}
	return v
}

// dinars is a bill in a currency of three decimals.
func dinars() *Invoice {
	v := sample(Standard)
	v.Currency = money.KWD
	kwd := func(a *money.Amount) { *a = money.Amount{Minor: a.Minor * 10, Currency: money.KWD} }
	for i := range v.Lines {
		kwd(&v.Lines[i].Net)
	}
	v.Lines[0].Allowances = []Adjustment{{Amount: eur(10), Base: eur(10), Reason: "less"}}
	v.Lines[0].Charges = []Adjustment{{Amount: eur(10), Base: eur(10), Reason: "more"}}
	v.Charges[0].Base = eur(10)
	for _, list := range [][]Adjustment{v.Allowances, v.Charges, v.Lines[0].Allowances, v.Lines[0].Charges} {
		kwd(&list[0].Amount)
		kwd(&list[0].Base)
	}
	v.TaxCurrency, _ = money.ParseCurrency("BHD")
	v.Totals.TaxAccounting = money.Amount{Minor: 10, Currency: v.TaxCurrency}
	v.Totals.Prepaid, v.Totals.Rounding = money.Amount{Minor: 10, Currency: money.KWD}, money.Amount{Minor: 10, Currency: money.KWD}
	settle(v)
	return v
}

var headerCases = []broken{
	{"BR-01", standard, func(v *Invoice) { v.Specification = "" }},
	{"BR-02", standard, func(v *Invoice) { v.Number = "" }},
	{"BR-03", standard, func(v *Invoice) { v.Issued = civil.Date{} }},
	{"BR-04", standard, func(v *Invoice) { v.Type = "" }},
	{"BR-CL-01", standard, func(v *Invoice) { v.Type = "999" }},
	{"BR-06", standard, func(v *Invoice) { v.Seller.Name = "" }},
	{"BR-07", standard, func(v *Invoice) { v.Buyer.Name = "" }},
	{"BR-08", standard, func(v *Invoice) { v.Seller.Address = nil }},
	{"BR-09", standard, func(v *Invoice) { v.Seller.Address.Country = "" }},
	{"BR-10", standard, func(v *Invoice) { v.Buyer.Address = nil }},
	{"BR-11", standard, func(v *Invoice) { v.Buyer.Address.Country = "" }},
	{"BR-CL-14", standard, func(v *Invoice) { v.Buyer.Address.Country = "D " }},
	{"BR-CL-06", standard, func(v *Invoice) { v.TaxPointCode = "29" }},
	{"BR-CL-07", standard, func(v *Invoice) { v.Object = Identifier{"+4915112345", "phone"} }},
	{"BR-CL-07", standard, func(v *Invoice) { v.Lines[0].Object = Identifier{"+4915112345", "X"} }},
	{"BR-CL-08", standard, func(v *Invoice) { v.Notes = []Note{{"AA", "text"}} }},
	{"BR-CL-10", standard, func(v *Invoice) { v.Seller.IDs = []Identifier{{"4", "GLN"}} }},
	{"BR-CL-10", standard, func(v *Invoice) { v.Buyer.ID = Identifier{"4", "9906"} }},
	{"BR-CL-10", represented, func(v *Invoice) { v.Payee.ID = Identifier{"4", "00088"} }},
	{"BR-CL-11", standard, func(v *Invoice) { v.Seller.Legal.Scheme = "HRB" }},
	{"BR-CL-11", standard, func(v *Invoice) { v.Buyer.Legal = Identifier{"4", "088"} }},
	{"BR-CL-11", represented, func(v *Invoice) { v.Payee.Legal = Identifier{"4", "00a8"} }},
	{"BR-CL-13", represented, func(v *Invoice) { v.Lines[0].Item.Classes[0].Scheme = "UNSPSC" }},
	{"BR-CL-15", standard, func(v *Invoice) { v.Lines[0].Item.Origin = "XX" }},
	{"BR-CL-16", standard, func(v *Invoice) { v.Payment.Means = "71" }},
	{"BR-CL-16", standard, func(v *Invoice) { v.Payment.Means = "058" }},
	{"BR-CL-16", standard, func(v *Invoice) { v.Payment.Means = "SEPA" }},
	{"BR-CL-19", standard, func(v *Invoice) { v.Allowances[0].ReasonCode = "61" }},
	{"BR-CL-19", represented, func(v *Invoice) { v.Lines[0].Allowances[0].ReasonCode = "FC" }},
	{"BR-CL-20", standard, func(v *Invoice) { v.Charges[0].ReasonCode = "paper" }},
	{"BR-CL-20", represented, func(v *Invoice) { v.Lines[0].Charges[0].ReasonCode = "A" }},
	{"BR-CL-21", represented, func(v *Invoice) { v.Lines[0].Item.StandardID.Scheme = "GTIN" }},
	{"BR-CL-22", func() *Invoice { return sample(Exempt) }, func(v *Invoice) { v.VAT[0].ReasonCode = "§ 4 UStG" }},
	{"BR-CL-23", standard, func(v *Invoice) { v.Lines[0].Unit = "month" }},
	{"BR-CL-23", standard, func(v *Invoice) { v.Lines[0].Price.Per, v.Lines[0].Price.Unit = Dec(1, 0), "1" }},
	{"BR-CL-24", represented, func(v *Invoice) {
		v.Documents[0].Content, v.Documents[0].MIME, v.Documents[0].File = []byte{1}, "text/html", "a"
	}},
	{"TD-3", represented, func(v *Invoice) { v.Documents[0].Content, v.Documents[0].MIME = []byte{1}, "image/png" }},
	{"BR-CL-25", standard, func(v *Invoice) { v.Seller.Endpoint.Scheme = "mailto" }},
	{"BR-CL-25", standard, func(v *Invoice) { v.Buyer.Endpoint.Scheme = "99a1" }},
	{"BR-CL-26", standard, func(v *Invoice) { v.Delivery.Location = Identifier{"4", "GLN"} }},
	{"BR-17", represented, func(v *Invoice) { v.Payee.Name = "" }},
	{"BR-17", represented, func(v *Invoice) { v.Payee.Name = v.Seller.TradingName }},
	{"BR-18", represented, func(v *Invoice) { v.TaxRepresentative.Name = "" }},
	{"BR-19", represented, func(v *Invoice) { v.TaxRepresentative.Address = nil }},
	{"BR-20", represented, func(v *Invoice) { v.TaxRepresentative.Address.Country = "" }},
	{"BR-29", standard, func(v *Invoice) { v.Period.End = day(2025, 12, 31) }},
	{"BR-49", represented, func(v *Invoice) { v.Payment.Means = "" }},
	{"BR-50", represented, func(v *Invoice) { v.Payment.Transfers[1].Account = "" }},
	{"BR-51", represented, func(v *Invoice) { v.Payment.Card.Number = "5454545454545454" }},
	{"BR-51", represented, func(v *Invoice) { v.Payment.Card.Number = "x123" }},
	{"BR-52", represented, func(v *Invoice) { v.Documents[0].Reference = "" }},
	{"BR-53", standard, func(v *Invoice) { v.TaxCurrency = money.GBP }},
	{"BR-53", standard, func(v *Invoice) { v.TaxCurrency, v.Totals.TaxAccounting = money.EUR, v.Totals.VAT }},
	{"BR-55", represented, func(v *Invoice) { v.Preceding[0].Number = "" }},
	{"BR-56", represented, func(v *Invoice) { v.TaxRepresentative.VAT = "" }},
	{"BR-57", standard, func(v *Invoice) { v.Delivery.Address.Country = "" }},
	{"BR-61", represented, func(v *Invoice) { v.Payment.Transfers = nil }},
	{"BR-61", represented, func(v *Invoice) { v.Payment.Means, v.Payment.Transfers = "30", nil }},
	{"BR-62", standard, func(v *Invoice) { v.Seller.Endpoint.Scheme = "" }},
	{"BR-63", standard, func(v *Invoice) { v.Buyer.Endpoint.Scheme = "" }},
	{"BR-CO-03", standard, func(v *Invoice) { v.TaxPoint, v.TaxPointCode = day(2026, 2, 1), "3" }},
	{"BR-CO-09", standard, func(v *Invoice) { v.Seller.VAT = "123456789" }},
	{"BR-CO-09", standard, func(v *Invoice) { v.Buyer.VAT = "XX1" }},
	{"BR-CO-09", represented, func(v *Invoice) { v.TaxRepresentative.VAT = "?" }},
	{"BR-CO-19", standard, func(v *Invoice) { *v.Period = Period{} }},
	{"BR-CO-25", standard, func(v *Invoice) { v.Due, v.Terms = civil.Date{}, "" }},
	{"BR-CO-25", standard, func(v *Invoice) { v.Type, v.Due, v.Terms = CreditNote, civil.Date{}, "" }},
	{"BR-CO-26", standard, func(v *Invoice) { v.Seller.VAT, v.Seller.TaxRegistration, v.Seller.Legal = "", "20/123", Identifier{} }},
	{"TD-1", standard, func(v *Invoice) { v.Totals.Prepaid = money.Amount{Currency: money.USD} }},
	{"TD-2", standard, func(v *Invoice) { v.Allowances[0].Base = eur(maxMinor + 1) }},
}

var lineCases = []broken{
	{"BR-21", standard, func(v *Invoice) { v.Lines[1].ID = "" }},
	{"BR-22", standard, func(v *Invoice) { v.Lines[1].Quantity = Decimal{} }},
	{"BR-23", standard, func(v *Invoice) { v.Lines[1].Unit = "" }},
	{"BR-24", standard, func(v *Invoice) { v.Lines[1].Net = money.Amount{}; settle(v) }},
	{"BR-25", standard, func(v *Invoice) { v.Lines[1].Item.Name = "" }},
	{"BR-26", standard, func(v *Invoice) { v.Lines[1].Price.Net = Decimal{} }},
	{"BR-27", standard, func(v *Invoice) { v.Lines[1].Price.Net = Dec(-1, 2) }},
	{"BR-28", standard, func(v *Invoice) { v.Lines[1].Price.Gross = Dec(-1, 2) }},
	{"BR-30", standard, func(v *Invoice) { v.Lines[0].Period.Start = day(2026, 2, 1) }},
	{"BR-31", standard, func(v *Invoice) { v.Allowances[0].Amount = money.Amount{}; settle(v) }},
	{"BR-32", standard, func(v *Invoice) { withoutTax(v, &v.Allowances[0].Tax, "") }},
	{"BR-CL-17", standard, func(v *Invoice) { withoutTax(v, &v.Allowances[0].Tax, "Q") }},
	{"BR-33 BR-CO-21", standard, func(v *Invoice) { v.Allowances[0].Reason, v.Allowances[0].ReasonCode = "", "" }},
	{"BR-36", standard, func(v *Invoice) { v.Charges[0].Amount = money.Amount{}; settle(v) }},
	{"BR-37", standard, func(v *Invoice) { withoutTax(v, &v.Charges[0].Tax, "") }},
	{"BR-38 BR-CO-22", standard, func(v *Invoice) { v.Charges[0].Reason = "" }},
	{"BR-41", represented, func(v *Invoice) { v.Lines[0].Allowances[0].Amount = money.Amount{} }},
	{"BR-42 BR-CO-23", represented, func(v *Invoice) { v.Lines[0].Allowances[0].Reason = "" }},
	{"BR-43", represented, func(v *Invoice) { v.Lines[0].Charges[0].Amount = money.Amount{} }},
	{"BR-44 BR-CO-24", represented, func(v *Invoice) { v.Lines[0].Charges[0].Reason = "" }},
	{"BR-54", represented, func(v *Invoice) { v.Lines[0].Item.Attributes[0].Value = "" }},
	{"BR-54", represented, func(v *Invoice) { v.Lines[0].Item.Attributes[0].Name = "" }},
	{"BR-64", represented, func(v *Invoice) { v.Lines[0].Item.StandardID.Scheme = "" }},
	{"BR-65", represented, func(v *Invoice) { v.Lines[0].Item.Classes[0].Scheme = "" }},
	{"BR-CO-04", standard, func(v *Invoice) { withoutTax(v, &v.Lines[0].Tax, "") }},
	{"BR-CL-18", standard, func(v *Invoice) { withoutTax(v, &v.Lines[0].Tax, "Q") }},
	{"BR-CO-20", standard, func(v *Invoice) { *v.Lines[0].Period = Period{} }},
}

// withoutTax takes its category from one part of the bill; the sums stay right.
func withoutTax(v *Invoice, t *Tax, k Category) {
	t.Category = k
	settle(v)
	for i := range v.VAT {
		if v.VAT[i].Category == k {
			v.VAT = slices.Delete(v.VAT, i, i+1)
			break
		}
	}
	v.Totals.VAT.Minor = 0
	for i := range v.VAT {
		v.Totals.VAT.Minor += v.VAT[i].Tax.Minor
	}
	pay(v)
}

// pay carries a changed VAT total on to the amount due.
func pay(v *Invoice) {
	t := &v.Totals
	t.WithVAT.Minor = t.WithoutVAT.Minor + t.VAT.Minor
	t.Payable.Minor = t.WithVAT.Minor
}

var totalCases = []broken{
	{"BR-12", standard, func(v *Invoice) { v.Totals.Lines = money.Amount{} }},
	{"BR-13", standard, func(v *Invoice) { v.Totals.WithoutVAT = money.Amount{} }},
	{"BR-14", standard, func(v *Invoice) { v.Totals.WithVAT = money.Amount{} }},
	{"BR-15", standard, func(v *Invoice) { v.Totals.Payable = money.Amount{} }},
	{"BR-45", standard, func(v *Invoice) { v.VAT[0].Base = money.Amount{} }},
	{"BR-46", standard, func(v *Invoice) { v.VAT[0].Tax = money.Amount{}; v.Totals.VAT.Minor = 0; pay(v) }},
	{"BR-47 BR-S-01", standard, func(v *Invoice) { v.VAT[0].Category = "" }},
	{"BR-CL-17 BR-S-01", standard, func(v *Invoice) { v.VAT[0].Category = "Q" }},
	{"BR-48", standard, func(v *Invoice) { v.VAT[0].Rate = Decimal{} }},
	{"BR-CO-10 BR-CO-13", standard, func(v *Invoice) { v.Totals.Lines.Minor++ }},
	{"BR-CO-10", standard, func(v *Invoice) { v.Totals.Lines.Minor++; v.Totals.WithoutVAT.Minor++; pay(v) }},
	{"BR-CO-11", standard, func(v *Invoice) { v.Totals.Allowances.Minor++; v.Totals.WithoutVAT.Minor--; pay(v) }},
	{"BR-CO-12", standard, func(v *Invoice) { v.Totals.Charges.Minor++; v.Totals.WithoutVAT.Minor++; pay(v) }},
	{"BR-CO-12", standard, func(v *Invoice) {
		v.Charges = nil
		settle(v)
		v.Totals.Charges = eur(5)
		v.Totals.WithoutVAT.Minor += 5
		pay(v)
	}},
	{"BR-CO-13", standard, func(v *Invoice) { v.Totals.WithoutVAT.Minor++; pay(v) }},
	{"BR-CO-14", standard, func(v *Invoice) { v.Totals.VAT.Minor++; pay(v) }},
	{"BR-CO-14", func() *Invoice { return sample(OutOfScope) }, func(v *Invoice) { v.Totals.VAT = money.Amount{} }},
	{"BR-CO-15", standard, func(v *Invoice) { v.Totals.WithVAT.Minor++; v.Totals.Payable.Minor++ }},
	{"BR-CO-16", standard, func(v *Invoice) { v.Totals.Payable.Minor++ }},
	{"BR-CO-16", standard, func(v *Invoice) { v.Totals.Prepaid = eur(1) }},
	{"BR-CO-16", standard, func(v *Invoice) { v.Totals.Rounding = eur(1) }},
	{"BR-CO-17", func() *Invoice { return sample(ZeroRated) }, func(v *Invoice) { v.VAT[0].Rate = Dec(5, 0) }},
	{"BR-CO-17 BR-S-09", standard, func(v *Invoice) { v.VAT[0].Tax.Minor += 2; v.Totals.VAT.Minor += 2; pay(v) }},
	{"BR-CO-18 BR-S-01", standard, func(v *Invoice) { v.VAT = nil; v.Totals.VAT.Minor = 0; pay(v) }},
	{"BR-S-08 BR-S-08", standard, func(v *Invoice) { v.Lines[1].Tax.Rate = Dec(7, 0); settle(v); v.VAT[1].Rate = Dec(19, 0); retax(v) }},
	{"BR-S-08 BR-S-08", standard, func(v *Invoice) { v.Lines[1].Tax.Rate = Dec(7, 0) }},
}

// retax computes the tax of the breakdowns again, and what follows from it.
func retax(v *Invoice) {
	v.Totals.VAT.Minor = 0
	for i := range v.VAT {
		v.VAT[i].Tax.Minor, _ = v.VAT[i].Rate.percentOf(v.VAT[i].Base.Minor)
		v.Totals.VAT.Minor += v.VAT[i].Tax.Minor
	}
	pay(v)
}

// third gives an amount a third decimal; the sum of what it belongs to must not move,
// so the opposite goes where no rule of decimals looks.
var decimalCases = []broken{
	{"BR-DEC-01", dinars, func(v *Invoice) { third(&v.Allowances[0].Amount, 5); twin(v, &v.Allowances, -5) }},
	{"BR-DEC-02", dinars, func(v *Invoice) { v.Allowances[0].Base.Minor++ }},
	{"BR-DEC-05", dinars, func(v *Invoice) { third(&v.Charges[0].Amount, 5); twin(v, &v.Charges, -5) }},
	{"BR-DEC-06", dinars, func(v *Invoice) { v.Charges[0].Base.Minor++ }},
	{"BR-DEC-09 BR-CO-10 BR-CO-13", dinars, func(v *Invoice) { v.Totals.Lines.Minor++ }},
	{"BR-DEC-10 BR-CO-11 BR-CO-13", dinars, func(v *Invoice) { v.Totals.Allowances.Minor++ }},
	{"BR-DEC-11 BR-CO-12 BR-CO-13", dinars, func(v *Invoice) { v.Totals.Charges.Minor++ }},
	{"BR-DEC-12 BR-CO-13 BR-CO-15", dinars, func(v *Invoice) { v.Totals.WithoutVAT.Minor++ }},
	{"BR-DEC-13 BR-CO-14 BR-CO-15", dinars, func(v *Invoice) { v.Totals.VAT.Minor++ }},
	{"BR-DEC-14 BR-CO-15 BR-CO-16", dinars, func(v *Invoice) { v.Totals.WithVAT.Minor++ }},
	{"BR-DEC-15", dinars, func(v *Invoice) { v.Totals.TaxAccounting.Minor++ }},
	{"BR-DEC-16 BR-CO-16", dinars, func(v *Invoice) { v.Totals.Prepaid.Minor++ }},
	{"BR-DEC-17 BR-CO-16", dinars, func(v *Invoice) { v.Totals.Rounding.Minor++ }},
	{"BR-DEC-18 BR-CO-16", dinars, func(v *Invoice) { v.Totals.Payable.Minor++ }},
	{"BR-DEC-19 BR-S-08", dinars, func(v *Invoice) { v.VAT[0].Base.Minor++ }},
	{"BR-DEC-20 BR-CO-14", dinars, func(v *Invoice) { v.VAT[0].Tax.Minor++ }},
	{"BR-DEC-23 BR-DEC-23", dinars, func(v *Invoice) { v.Lines[0].Net.Minor += 5; v.Lines[1].Net.Minor -= 5 }},
	{"BR-DEC-24", dinars, func(v *Invoice) { v.Lines[0].Allowances[0].Amount.Minor++ }},
	{"BR-DEC-25", dinars, func(v *Invoice) { v.Lines[0].Allowances[0].Base.Minor++ }},
	{"BR-DEC-27", dinars, func(v *Invoice) { v.Lines[0].Charges[0].Amount.Minor++ }},
	{"BR-DEC-28", dinars, func(v *Invoice) { v.Lines[0].Charges[0].Base.Minor++ }},
}

// third moves an amount by a third decimal.
func third(a *money.Amount, n int64) { a.Minor += n }

// twin adds a second allowance or charge of 0.005 less, so that the sums stay as they
// were; it breaks the same rule, so the table names it once and the test takes one.
func twin(v *Invoice, list *[]Adjustment, n int64) {
	a := (*list)[0]
	a.Amount.Minor, a.Base = n, money.Amount{}
	*list = append(*list, a)
}

// vatCases are the rules of one VAT category.
func vatCases(k Category) []broken {
	base := func() *Invoice { return sample(k) }
	rule := vatRules[k.index()]
	wrong := Dec(5, 0) // a rate that does not fit
	switch rule.rate {
	case ratePositive:
		wrong = Decimal{}
	case rateNotNegative:
		wrong = Dec(-1, 0)
	}
	name := func(number string) string { return rule.name + number }
	cases := []broken{
		{name("-01"), base, func(v *Invoice) { without(v, k) }},
		{name("-09"), base, func(v *Invoice) { wrongTax(v, rule.perRate) }},
		{name("-10"), base, func(v *Invoice) {
			v.VAT[0].ReasonCode = map[bool]string{true: "", false: "VATEX-EU-O"}[rule.reason]
		}},
		{name("-10"), base, func(v *Invoice) {
			v.VAT[0].ReasonCode, v.VAT[0].Reason = "", map[bool]string{true: "", false: "because"}[rule.reason]
		}},
		{name("-08"), base, func(v *Invoice) { wrongBase(v) }},
	}
	// An allowance or a charge stands on a bill with lines, which need the same identifiers.
	for where, rules := range []string{name("-02"), name("-02") + " " + name("-03"), name("-02") + " " + name("-04")} {
		cases = append(cases, broken{rules, base, func(v *Invoice) { usedAt(v, where); unidentified(v, k) }})
	}
	for where, number := range []string{"-05", "-06", "-07"} {
		cases = append(cases, broken{name(number), base, func(v *Invoice) { free(v, where); *taxAt(v, where) = Tax{k, wrong} }})
	}
	return cases
}

func taxAt(v *Invoice, where int) *Tax {
	switch where {
	case onAllowance:
		return &v.Allowances[0].Tax
	case onCharge:
		return &v.Charges[0].Tax
	}
	return &v.Lines[0].Tax
}

// usedAt leaves the lines, and the allowance or the charge.
func usedAt(v *Invoice, where int) {
	if where != onAllowance {
		v.Allowances = nil
	}
	if where != onCharge {
		v.Charges = nil
	}
	settle(v)
}

// free makes the amount at a place 0, so that its rate moves no sum.
func free(v *Invoice, where int) {
	switch where {
	case onAllowance:
		v.Allowances[0].Amount.Minor = 0
	case onCharge:
		v.Charges[0].Amount.Minor = 0
	default:
		v.Lines[0].Net.Minor = 0
	}
	settle(v)
}

// unidentified takes away one identifier that the category needs, or gives one to what
// is not subject to VAT.
func unidentified(v *Invoice, k Category) {
	switch k {
	case OutOfScope:
		v.Seller.VAT = "DE1"
	case Export:
		v.Seller.VAT, v.Seller.TaxRegistration = "", "20/123"
	case IntraCommunity:
		v.Buyer.VAT = ""
	case ReverseCharge:
		v.Buyer.VAT = ""
	default:
		v.Seller.VAT = ""
	}
}

// without drops the breakdown of a category; a line of another one keeps its own, so
// that only the rule that misses the first speaks.
func without(v *Invoice, k Category) {
	other := ZeroRated
	if k == ZeroRated {
		other = Exempt
	}
	v.Lines[1].Tax, v.Seller.TaxRegistration = Tax{other, Dec(0, 0)}, "20/123"
	settle(v)
	v.VAT = slices.DeleteFunc(v.VAT, func(b Breakdown) bool { return b.Category == k })
	v.Totals.VAT.Minor = 0
	pay(v)
}

func wrongTax(v *Invoice, byRate bool) {
	n := int64(1)
	if byRate {
		n = 2
	}
	v.VAT[0].Tax.Minor += n
	v.Totals.VAT.Minor += n
	pay(v)
}

func wrongBase(v *Invoice) { v.VAT[0].Base.Minor++ }

var someCases = []broken{
	{"BR-IC-11", func() *Invoice { return sample(IntraCommunity) }, func(v *Invoice) { v.Delivery.Date, v.Period = civil.Date{}, nil }},
	{"BR-IC-12", func() *Invoice { return sample(IntraCommunity) }, func(v *Invoice) { v.Delivery.Address = nil }},
	{"BR-O-11 BR-Z-01", func() *Invoice { return sample(OutOfScope) }, func(v *Invoice) {
		v.VAT = append(v.VAT, Breakdown{Base: eur(0), Tax: eur(0), Category: ZeroRated, Rate: Dec(0, 0)})
	}},
	{"BR-O-11 BR-O-12", func() *Invoice { return sample(OutOfScope) }, func(v *Invoice) { mixed(v, &v.Lines[0].Tax) }},
	{"BR-O-11 BR-O-13", func() *Invoice { return sample(OutOfScope) }, func(v *Invoice) { mixed(v, &v.Allowances[0].Tax) }},
	{"BR-O-11 BR-O-14", func() *Invoice { return sample(OutOfScope) }, func(v *Invoice) { mixed(v, &v.Charges[0].Tax) }},
}

// mixed puts a zero rated part into a bill that is not subject to VAT.
func mixed(v *Invoice, t *Tax) {
	*t = Tax{ZeroRated, Dec(0, 0)}
	v.Seller.TaxRegistration = "20/123"
	settle(v)
}

func rulesOf(found []Violation) []string {
	var rules []string
	for _, f := range found {
		rules = append(rules, f.Rule)
	}
	slices.Sort(rules)
	return rules
}

// alongside are rules that must speak along with one, because the standard cannot be broken in
// this place alone.
var alongside = map[string][]string{
	"BR-DEC-01": {"BR-DEC-01"}, "BR-DEC-05": {"BR-DEC-05"}, // the twin
	"BR-S-09": {"BR-CO-17"}, "BR-AF-09": {"BR-CO-17"}, "BR-AG-09": {"BR-CO-17"},
}

// allCases are all ways to break an invoice.
func allCases() []broken {
	cases := slices.Concat(headerCases, lineCases, totalCases, decimalCases, someCases, []broken{
		{"BR-05", standard, func(v *Invoice) { v.Currency = money.Currency{} }},
		{"BR-16 BR-Z-01", standard, noLines},
	})
	for _, k := range nine {
		cases = append(cases, vatCases(k)...)
	}
	return cases
}

func TestEveryRuleSpeaksAloneOfWhatItIsAbout(t *testing.T) {
	cases := allCases()
	spoken := map[string]int{}
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d %s", i, c.rules), func(t *testing.T) {
			v := c.base()
			if found := Check(v); len(found) > 0 {
				t.Fatalf("before it is broken: %v", found)
			}
			c.do(v)
			want := strings.Fields(c.rules)
			for _, rule := range want {
				spoken[rule]++
			}
			if len(want) == 1 {
				want = append(want, alongside[want[0]]...)
			}
			slices.Sort(want)
			found := Check(v)
			if got := rulesOf(found); !slices.Equal(got, want) {
				t.Fatalf("spoke %v, not %v: %v", got, want, found)
			}
			for _, f := range found {
				if f.Text == "" || f.String() == "" {
					t.Errorf("%s says nothing", f.Rule)
				}
			}
		})
	}
	undecided := []string{"BR-CO-05", "BR-CO-06", "BR-CO-07", "BR-CO-08"}
	for _, rule := range everyRule() {
		if spoken[rule] == 0 && !slices.Contains(undecided, rule) {
			t.Errorf("no case breaks %s", rule)
		}
	}
}

// noLines leaves an invoice over nothing.
func noLines(v *Invoice) {
	v.Lines, v.Allowances, v.Charges = nil, nil, nil
	settle(v)
	v.VAT = []Breakdown{{Base: eur(0), Tax: eur(0), Category: ZeroRated, Rate: Dec(0, 0)}}
}

// everyRule names all rules that Check can speak of, and the four that no machine decides.
func everyRule() []string {
	var all []string
	for rule := range texts {
		all = append(all, rule)
	}
	for rule := range onlySome {
		all = append(all, rule)
	}
	for k := range vatRules {
		for number, text := range vatTexts {
			if text != "" {
				all = append(all, vatRules[k].name+number)
			}
		}
	}
	return all
}

func TestTheRulesAreAll(t *testing.T) {
	count := map[string]int{}
	for _, rule := range everyRule() {
		family, _, _ := strings.Cut(strings.TrimPrefix(rule, "BR-"), "-")
		if _, err := strconv.Atoi(family); err == nil {
			family = "BR"
		}
		count[family]++
		if textOf(rule) == "" {
			t.Errorf("%s has no text", rule)
		}
	}
	want := map[string]int{"BR": 58, "CO": 24, "DEC": 21, "CL": 20, "TD": 3,
		"S": 10, "Z": 10, "E": 10, "AE": 10, "IC": 12, "G": 10, "O": 14, "AF": 10, "AG": 10}
	for family, n := range want {
		if count[family] != n {
			t.Errorf("%d rules of %s, not %d", count[family], family, n)
		}
	}
	if len(count) != len(want) {
		t.Errorf("families %v", count)
	}
}

func seeded(t testing.TB) *rand.Rand {
	seed := uint64(os.Getpid())*1_000_003 + uint64(len(t.Name()))
	if s, err := strconv.ParseUint(os.Getenv("TANDEM_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("TANDEM_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 16931))
}

// rounds is how many random invoices a test makes.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("TANDEM_EINVOICE_ROUNDS")); err == nil {
		return n
	}
	return 500
}

func TestRandomInvoicesAreValid(t *testing.T) {
	r := seeded(t)
	for i := range rounds() {
		if found := Check(random(r)); len(found) > 0 {
			t.Fatalf("round %d: %v", i, found)
		}
	}
}

func TestCheckAllocatesNothingForAValidInvoice(t *testing.T) {
	v := typical(7)
	if n := testing.AllocsPerRun(100, func() {
		if Check(v) != nil {
			t.Fatal(Check(v))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// typical is a bill of n lines of two rates.
func typical(n int) *Invoice {
	v := sample(Standard)
	for i := len(v.Lines); i < n; i++ {
		l := v.Lines[i%2]
		l.ID = strconv.Itoa(i + 1)
		if i%3 == 0 {
			l.Tax.Rate = Dec(7, 0)
		}
		v.Lines = append(v.Lines, l)
	}
	settle(v)
	return v
}

func BenchmarkCheck(b *testing.B) {
	v := typical(7)
	b.ReportAllocs()
	for b.Loop() {
		if Check(v) != nil {
			b.Fatal(Check(v))
		}
	}
}

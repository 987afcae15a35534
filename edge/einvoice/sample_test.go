package einvoice

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"tandem/kit/civil"
	"tandem/kit/money"
)

func day(y, m, d int) civil.Date { return civil.Date{Year: y, Month: time.Month(m), Day: d} }

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

// settle computes VAT breakdown and totals from lines, allowances and charges, as a
// bill does: what is charged per category and rate, tax on the sum.
func settle(v *Invoice) {
	reasons := map[Category]string{}
	for _, b := range v.VAT {
		reasons[b.Category] = b.ReasonCode
	}
	v.VAT = nil
	amount := func(n int64) money.Amount { return money.Amount{Minor: n, Currency: v.Currency} }
	add := func(t Tax, n int64) {
		for i := range v.VAT {
			b := &v.VAT[i]
			if b.Category == t.Category && (b.Rate == t.Rate || t.Category == OutOfScope) {
				b.Base.Minor += n
				return
			}
		}
		b := Breakdown{Base: amount(n), Tax: amount(0), Category: t.Category, Rate: t.Rate, ReasonCode: reasons[t.Category]}
		if b.ReasonCode == "" {
			b.ReasonCode = exemptions[t.Category]
		}
		v.VAT = append(v.VAT, b)
	}
	t := &v.Totals
	*t = Totals{Prepaid: t.Prepaid, Rounding: t.Rounding, TaxAccounting: t.TaxAccounting}
	t.Lines, t.WithoutVAT, t.VAT, t.WithVAT, t.Payable = amount(0), amount(0), amount(0), amount(0), amount(0)
	for i := range v.Lines {
		t.Lines.Minor += v.Lines[i].Net.Minor
		add(v.Lines[i].Tax, v.Lines[i].Net.Minor)
	}
	for i := range v.Allowances {
		t.Allowances = amount(t.Allowances.Minor + v.Allowances[i].Amount.Minor)
		add(v.Allowances[i].Tax, -v.Allowances[i].Amount.Minor)
	}
	for i := range v.Charges {
		t.Charges = amount(t.Charges.Minor + v.Charges[i].Amount.Minor)
		add(v.Charges[i].Tax, v.Charges[i].Amount.Minor)
	}
	t.WithoutVAT.Minor = t.Lines.Minor - t.Allowances.Minor + t.Charges.Minor
	for i := range v.VAT {
		b := &v.VAT[i]
		if b.Rate.present {
			b.Tax.Minor, _ = b.Rate.percentOf(b.Base.Minor)
			b.Tax.Minor = roundTo(b.Tax.Minor, v.Currency)
		}
		t.VAT.Minor += b.Tax.Minor
	}
	t.WithVAT.Minor = t.WithoutVAT.Minor + t.VAT.Minor
	t.Payable.Minor = t.WithVAT.Minor - t.Prepaid.Minor + t.Rounding.Minor
}

// exemptions are reasons that fit the categories.
var exemptions = map[Category]string{
	Exempt: "VATEX-EU-132", ReverseCharge: "VATEX-EU-AE", IntraCommunity: "VATEX-EU-IC", Export: "VATEX-EU-G", OutOfScope: "VATEX-EU-O",
}

// roundTo drops a third decimal.
func roundTo(n int64, c money.Currency) int64 {
	for d := c.Digits(); d > 2; d-- {
		n = n / 10 * 10
	}
	return n
}

// rateOf is a rate that fits a category.
func rateOf(k Category) Decimal {
	switch k {
	case OutOfScope:
		return Decimal{}
	case Standard:
		return Dec(19, 0)
	case IGIC:
		return Dec(7, 0)
	case IPSI:
		return Dec(4, 0)
	}
	return Dec(0, 0)
}

// sample is a valid bill of one VAT category with two lines, an allowance and a charge.
func sample(k Category) *Invoice {
	tax := Tax{k, rateOf(k)}
	v := &Invoice{
		Number: "R-2026-000042", Issued: day(2026, 2, 1), Type: Commercial, Currency: money.EUR, Due: day(2026, 2, 15),
		Specification: EN16931, BuyerReference: "04011000-1234512345-06", Terms: "by direct debit on the due date",
		Seller: Seller{
			Name: "Nordlicht Mobilfunk GmbH", TradingName: "Nordlicht", Legal: Identifier{ID: "HRB 12345"}, VAT: "DE123456789",
			Endpoint: Identifier{"rechnung@nordlicht.example", "EM"}, Address: &Address{Line1: "Hafenstr. 1", City: "Kiel", PostCode: "24103", Country: "DE"},
			Contact: &Contact{"Kundendienst", "+49 431 1234", "hilfe@nordlicht.example"},
		},
		Buyer: Buyer{
			Name: "Åkerblom & Söner AB", VAT: "SE556677889901", Endpoint: Identifier{"5566778899", "0007"},
			Address: &Address{Line1: "Storgatan 5", City: "Malmö", PostCode: "21142", Country: "SE"},
		},
		Delivery: &Delivery{Date: day(2026, 1, 31), Address: &Address{City: "Malmö", Country: "SE"}},
		Period:   &Period{day(2026, 1, 1), day(2026, 1, 31)},
		Payment: &Payment{
			Means: SEPADirectDebit, Remittance: "R-2026-000042",
			Debit: &DirectDebit{"M-77", "DE98ZZZ09999999999", "SE4550000000058398257466"},
		},
		Allowances: []Adjustment{{Amount: eur(500), Base: eur(10000), Percent: Dec(5, 0), Tax: tax, Reason: "loyalty", ReasonCode: "95"}},
		Charges:    []Adjustment{{Amount: eur(250), Tax: tax, Reason: "paper bill"}},
		Lines: []Line{
			{
				ID: "1", Quantity: Dec(1, 0), Unit: "MON", Net: eur(2999), Price: Price{Net: Dec(2999, 2)}, Tax: tax,
				Period: &Period{day(2026, 1, 1), day(2026, 1, 31)}, Item: Item{Name: "Tariff L", SellerID: "L-24"},
			},
			{
				ID: "2", Quantity: Dec(12345, 3), Unit: "MIN", Net: eur(111), Price: Price{Net: Dec(9, 2)}, Tax: tax,
				Item: Item{Name: "Calls to Norway", Attributes: []Attribute{{"calling number", "+4915112345"}}},
			},
		},
	}
	if k == OutOfScope {
		v.Seller.VAT, v.Buyer.VAT = "", ""
	}
	settle(v)
	return v
}

// random is a valid invoice or credit note with anything in it that the model has.
func random(r *rand.Rand) *Invoice {
	g := gen{r}
	v := sample(Standard)
	v.Currency = g.currency()
	v.Type = pick(g, []Type{Commercial, Corrected, CreditNote, Prepayment, "326"})
	v.Number, v.Specification, v.Process = g.text(), EN16931, g.maybe(g.text)
	v.Payment, v.Delivery, v.Period = nil, nil, nil
	g.references(v)
	kinds := []Category{Standard, ZeroRated, Exempt, ReverseCharge, IntraCommunity, Export, IGIC, IPSI}
	r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	kinds = kinds[:1+r.IntN(3)]
	if r.IntN(8) == 0 {
		kinds = []Category{OutOfScope}
	}
	g.parties(v, kinds)
	g.payment(v)
	if g.half() || kinds[0] == IntraCommunity || len(kinds) > 1 {
		v.Delivery = &Delivery{g.maybe(g.text), g.identifier(), day(2026, 1, 1+r.IntN(28)), &Address{City: g.text(), Country: "AT"}}
	}
	if g.half() {
		v.Period = &Period{Start: day(2026, 1, 1+r.IntN(28))}
	}
	g.money(v, kinds)
	return v
}

type gen struct{ *rand.Rand }

func pick[T any](g gen, list []T) T { return list[g.IntN(len(list))] }

func (g gen) half() bool { return g.IntN(2) == 0 }

func (g gen) maybe(f func() string) string {
	if g.half() {
		return ""
	}
	return f()
}

// text has no outer white space, which is not kept, and no number sign, which UBL
// marks the subject of a note with.
func (g gen) text() string {
	const letters = "abcXYZ0189 .,-/\\'\"<>&;%]\t\n\rß€é漢😀\u00a0"
	all := []rune(letters)
	var b strings.Builder
	for range 1 + g.IntN(20) {
		b.WriteRune(all[g.IntN(len(all))])
	}
	if s := strings.TrimSpace(b.String()); s != "" {
		return s
	}
	return "x"
}

func (g gen) currency() money.Currency {
	return pick(g, []money.Currency{money.EUR, money.EUR, money.USD, money.JPY, money.KWD})
}

func (g gen) identifier() Identifier {
	if g.half() {
		return Identifier{}
	}
	return Identifier{g.text(), g.maybe(func() string { return "0088" })}
}

func (g gen) scheme(scheme string) Identifier {
	if g.half() {
		return Identifier{}
	}
	return Identifier{g.text(), scheme}
}

func (g gen) references(v *Invoice) {
	for _, p := range []*string{&v.BuyerReference, &v.Project, &v.Contract, &v.PurchaseOrder, &v.SalesOrder, &v.ReceivingAdvice,
		&v.DespatchAdvice, &v.Tender, &v.BuyerAccounting, &v.Terms} {
		*p = g.maybe(g.text)
	}
	if v.PurchaseOrder == notApplicable {
		v.PurchaseOrder = ""
	}
	v.Object = g.scheme("ABT")
	if !v.Type.Credit() || g.half() {
		v.Due = day(2026, 3, 1+g.IntN(28))
	}
	switch g.IntN(3) {
	case 0:
		v.TaxPoint = day(2026, 2, 1+g.IntN(28))
	case 1:
		v.TaxPointCode = pick(g, []string{"3", "35", "432"})
	}
	for range g.IntN(3) {
		v.Notes = append(v.Notes, Note{g.maybe(func() string { return "AAI" }), g.text()})
		v.Preceding = append(v.Preceding, Preceding{Number: g.text(), Issued: day(2025, 12, 1+g.IntN(31))})
		d := Document{Reference: g.text(), Description: g.maybe(g.text), Location: g.maybe(g.text)}
		if g.half() {
			d.Content, d.MIME, d.File = []byte(g.text()), "text/csv", g.text()
		}
		v.Documents = append(v.Documents, d)
	}
}

func (g gen) parties(v *Invoice, kinds []Category) {
	s, b := &v.Seller, &v.Buyer
	for _, p := range []*string{&s.TradingName, &s.TaxRegistration, &s.LegalForm, &b.TradingName, &s.Address.Line2, &s.Address.Line3, &b.Address.Subdivision} {
		*p = g.maybe(g.text)
	}
	s.Name, b.Name = g.text(), g.text()
	s.IDs = nil
	for range g.IntN(3) {
		s.IDs = append(s.IDs, Identifier{ID: g.text()})
	}
	for range g.IntN(2) {
		s.IDs = append(s.IDs, Identifier{g.text(), "0204"})
	}
	b.ID, b.Legal, b.Endpoint = g.identifier(), g.identifier(), g.scheme("EM")
	if g.half() {
		b.Contact = &Contact{g.text(), g.maybe(g.text), g.maybe(g.text)}
	}
	if g.half() {
		v.Payee = &Payee{"P" + s.Name + s.TradingName, Identifier{}, g.identifier()}
	}
	if g.half() {
		v.TaxRepresentative = &TaxRepresentative{g.text(), "AT" + g.text(), &Address{Country: "AT", Line1: g.text()}}
	}
	if kinds[0] == OutOfScope {
		s.VAT, b.VAT, v.TaxRepresentative = "", "", nil
	}
}

func (g gen) payment(v *Invoice) {
	if g.half() && !v.Type.Credit() {
		return
	}
	p := &Payment{Means: pick(g, []string{"30", "58", "59", "48", "ZZZ"}), Text: g.maybe(g.text), Remittance: g.maybe(g.text)}
	for range g.IntN(3) {
		account := pick(g, []string{"DE89370400440532013000", "12-345/678 9", "NO9386011117947"})
		p.Transfers = append(p.Transfers, Transfer{account, g.maybe(g.text), g.maybe(g.text)})
	}
	if (p.Means == "30" || p.Means == "58") && len(p.Transfers) == 0 {
		p.Transfers = []Transfer{{Account: "DE89370400440532013000"}}
	}
	if g.half() {
		p.Card = &Card{pick(g, []string{"1234", "123456"}), g.maybe(g.text)}
	}
	if g.half() {
		p.Debit = &DirectDebit{g.text(), g.maybe(g.text), g.maybe(g.text)}
	}
	v.Payment = p
}

// money fills lines, allowances and charges of the given categories, and settles.
func (g gen) money(v *Invoice, kinds []Category) {
	amount := func(limit int64) money.Amount {
		return money.Amount{Minor: g.minor(v.Currency, limit), Currency: v.Currency}
	}
	tax := func() Tax {
		k := pick(g, kinds)
		t := Tax{k, rateOf(k)}
		if vatRules[k.index()].perRate {
			t.Rate = pick(g, []Decimal{Dec(19, 0), Dec(7, 0), Dec(55, 1), Dec(21, 1)})
		}
		return t
	}
	adjustment := func(limit int64, t Tax, code string) Adjustment {
		a := Adjustment{Amount: amount(limit), Tax: t, Reason: g.text(), ReasonCode: g.maybe(func() string { return code })}
		if g.half() {
			a.Base, a.Percent = amount(10*limit), Dec(g.Int64N(100000), g.IntN(4))
		}
		return a
	}
	v.VAT, v.Lines, v.Allowances, v.Charges, v.Totals = nil, nil, nil, nil, Totals{}
	for i := range 1 + g.IntN(9) {
		l := g.line(i)
		l.Net, l.Tax = amount(1_000_000), tax()
		if v.Type.Credit() || g.IntN(5) == 0 {
			l.Net.Minor = -l.Net.Minor
		}
		for range g.IntN(2) {
			l.Allowances = append(l.Allowances, adjustment(1000, Tax{}, "95"))
			l.Charges = append(l.Charges, adjustment(1000, Tax{}, "FC"))
		}
		v.Lines = append(v.Lines, l)
	}
	for range g.IntN(3) {
		v.Allowances = append(v.Allowances, adjustment(5000, tax(), "95"))
		v.Charges = append(v.Charges, adjustment(5000, tax(), "FC"))
	}
	if g.half() {
		v.Totals.Prepaid, v.Totals.Rounding = amount(5000), amount(9)
	}
	if g.half() {
		v.TaxCurrency = money.GBP
		v.Totals.TaxAccounting = money.Amount{Minor: g.Int64N(100000), Currency: money.GBP}
	}
	settle(v)
	if v.Totals.Payable.Minor > 0 && noDate(v.Due) && v.Terms == "" {
		v.Terms = "at once"
	}
}

func (g gen) minor(c money.Currency, limit int64) int64 {
	return roundTo(g.Int64N(limit), c)
}

func (g gen) line(i int) Line {
	l := Line{
		ID: fmt.Sprint(i + 1), Note: g.maybe(g.text), Object: g.scheme("AVE"), Quantity: Dec(g.Int64N(1e15)-5e14, g.IntN(maxScale+1)), Unit: "C62",
		OrderLine: g.maybe(g.text), BuyerAccounting: g.maybe(g.text), Price: Price{Net: Dec(g.Int64N(1e9), g.IntN(10))},
		Item: Item{
			Name: g.text(), Description: g.maybe(g.text), SellerID: g.maybe(g.text), BuyerID: g.maybe(g.text),
			StandardID: g.scheme("0160"), Origin: g.maybe(func() string { return "CN" }),
		},
	}
	if g.half() {
		l.Price.Gross, l.Price.Discount = Dec(g.Int64N(1e9), 4), Dec(g.Int64N(1e6), 4)
	}
	if g.half() {
		l.Price.Per, l.Price.Unit = Dec(1+g.Int64N(1000), 0), "C62"
	}
	if g.half() {
		from := 1 + g.IntN(28)
		l.Period = &Period{day(2026, 1, from), day(2026, 1, from+g.IntN(29-from))}
	}
	for range g.IntN(3) {
		l.Item.Classes = append(l.Item.Classes, Classification{g.text(), "STI", g.maybe(g.text)})
		l.Item.Attributes = append(l.Item.Attributes, Attribute{g.text(), g.text()})
	}
	return l
}

package billing

import (
	"cmp"
	"fmt"
	"strconv"

	"tandem/edge/einvoice"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// Invoice is the document as an electronic invoice (EN 16931), with its number and dates of
// posting.
func (d *Document) Invoice(number string, issued, due civil.Date) (*einvoice.Invoice, error) {
	c, err := money.ParseCurrency(d.Currency)
	if err != nil {
		return nil, err
	}
	v := &einvoice.Invoice{Number: number, Issued: issued, Due: due, Type: d.invoiceType(), Currency: c, Specification: einvoice.EN16931,
		BuyerReference: d.BuyerReference, PurchaseOrder: d.PurchaseOrder, Contract: d.Contract, Seller: d.Seller.seller(), Buyer: d.Buyer.buyer()}
	switch {
	case d.Kind == CreditNote: // nobody has to pay by a day; BR-CO-25 wants terms in its place
		v.Due, v.Terms = civil.Date{}, say(d.Language, "terms.credit")
	case d.Gross > 0:
		v.Terms = fmt.Sprintf(say(d.Language, "terms"), due)
	}
	if d.Note != "" {
		v.Notes = []einvoice.Note{{Text: d.Note}}
	}
	for _, p := range []*Preceding{d.Preceding, d.Replaces} {
		if p != nil {
			v.Preceding = append(v.Preceding, einvoice.Preceding{Number: p.Number, Issued: p.Date})
		}
	}
	v.Period = inclusive(d.From, d.To)
	if b := d.Bank; b != nil && d.Kind == Invoice {
		v.Payment = &einvoice.Payment{Means: einvoice.SEPACreditTransfer, Remittance: number,
			Transfers: []einvoice.Transfer{{Account: b.IBAN, Name: b.Name, Provider: b.BIC}}}
	}
	sum := int64(0)
	for i := range d.Lines {
		l, err := d.Lines[i].invoiceLine(c)
		if err != nil {
			return nil, fmt.Errorf("line %s: %w", d.Lines[i].ID, err)
		}
		sum += d.Lines[i].Net
		v.Lines = append(v.Lines, l)
	}
	amount := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: c} }
	v.Totals = einvoice.Totals{Lines: amount(sum), WithoutVAT: amount(d.Net), VAT: amount(d.Tax), WithVAT: amount(d.Gross), Payable: amount(d.Gross)}
	for _, t := range d.Taxes {
		rate, err := rateDecimal(t.Percent, t.Code)
		if err != nil {
			return nil, err
		}
		v.VAT = append(v.VAT, einvoice.Breakdown{Base: amount(t.Net), Tax: amount(t.Tax), Category: einvoice.Category(t.Code), Rate: rate, Reason: t.Reason})
	}
	return v, nil
}

// Judge looks whether the document is an invoice by all business rules of EN 16931; nil for a
// good one. It is asked before a bill is posted.
func Judge(d *Document) []einvoice.Violation {
	v, err := d.Invoice("1", d.Date, d.Due)
	if err != nil {
		return []einvoice.Violation{{Rule: "TD-0", Text: err.Error()}}
	}
	return einvoice.Check(v)
}

// doubts say which business rules the document breaks: a draft that does is held.
func (d *Document) doubts() (out []string) {
	for i, v := range Judge(d) {
		if i == maxDoubts {
			return append(out, "and more")
		}
		out = append(out, "It is no valid invoice: "+v.String())
	}
	return out
}

const maxDoubts = 5

func (d *Document) invoiceType() einvoice.Type {
	switch {
	case d.Kind == CreditNote:
		return einvoice.CreditNote
	case d.Replaces != nil:
		return einvoice.Corrected
	}
	return einvoice.Commercial
}

// inclusive is a half-open period as invoices write it: with its last day.
func inclusive(from, to civil.Date) *einvoice.Period {
	if !from.Valid() || !to.Valid() || !from.Before(to) {
		return nil
	}
	return &einvoice.Period{Start: from, End: to.AddDays(-1)}
}

func (p *DocumentParty) address() *einvoice.Address {
	return &einvoice.Address{Line1: p.Street, Line2: p.Street2, City: p.City, PostCode: p.PostCode, Subdivision: p.Region, Country: p.Country}
}

func (p *DocumentParty) reachedAt() *einvoice.Contact {
	if p.Contact == "" && p.Phone == "" && p.Email == "" {
		return nil
	}
	return &einvoice.Contact{Name: p.Contact, Phone: p.Phone, Mail: p.Email}
}

// endpoint is the electronic address: the one that is given, or the mailbox.
func (p *DocumentParty) endpoint() einvoice.Identifier {
	if p.Endpoint != "" {
		return einvoice.Identifier{ID: p.Endpoint, Scheme: p.EndpointScheme}
	}
	if p.Email != "" {
		return einvoice.Identifier{ID: p.Email, Scheme: "EM"}
	}
	return einvoice.Identifier{}
}

func (p *DocumentParty) seller() einvoice.Seller {
	s := einvoice.Seller{Name: p.Name, TradingName: p.TradingName, Legal: einvoice.Identifier{ID: p.Registration}, VAT: p.VATID, TaxRegistration: p.TaxRegistration,
		LegalForm: p.LegalForm, Endpoint: p.endpoint(), Address: p.address(), Contact: p.reachedAt()}
	if p.ID != "" {
		s.IDs = []einvoice.Identifier{{ID: p.ID}}
	}
	return s
}

func (p *DocumentParty) buyer() einvoice.Buyer {
	return einvoice.Buyer{Name: p.Name, TradingName: p.TradingName, ID: einvoice.Identifier{ID: p.ID}, Legal: einvoice.Identifier{ID: p.Registration}, VAT: p.VATID,
		Endpoint: p.endpoint(), Address: p.address(), Contact: p.reachedAt()}
}

// rateDecimal is a percentage; a supply that is not subject to tax has none (BR-O-05).
func rateDecimal(p [2]int64, code string) (einvoice.Decimal, error) {
	if code == string(einvoice.OutOfScope) {
		return einvoice.Decimal{}, nil
	}
	return einvoice.ParseDecimal(percentText(p))
}

// invoiceLine is a line as EN 16931 has it: a price is not negative (BR-27), so that what
// lowers the bill is a negative quantity.
func (l *DocumentLine) invoiceLine(c money.Currency) (out einvoice.Line, err error) {
	out = einvoice.Line{ID: l.ID, Unit: "C62", Net: money.Amount{Minor: l.Net, Currency: c}, Period: inclusive(l.ServiceFrom, l.ServiceTo)}
	out.Item = einvoice.Item{Name: cmp.Or(l.Name, l.Sort), SellerID: l.Price}
	pieces, minor := int64(1), l.Net
	if minor < 0 {
		pieces, minor = -1, -minor
	}
	if q := l.Quantity; l.Sort == Recurring && q > 1 && minor%q == 0 {
		pieces, minor = pieces*q, minor/q
	}
	out.Quantity = einvoice.Dec(pieces, 0)
	out.Price.Net = einvoice.Dec(minor, c.Digits())
	out.Tax.Category = einvoice.Category(l.TaxCode)
	if out.Tax.Rate, err = rateDecimal(l.TaxPercent, l.TaxCode); err != nil {
		return out, err
	}
	for _, a := range [][2]string{{"product", l.Product}, {"account", l.Account}} {
		if a[1] != "" {
			out.Item.Attributes = append(out.Item.Attributes, einvoice.Attribute{Name: a[0], Value: a[1]})
		}
	}
	if l.Sort == Usage && l.Quantity != 0 {
		out.Item.Attributes = append(out.Item.Attributes, einvoice.Attribute{Name: l.UsageUnit, Value: strconv.FormatInt(l.Quantity, 10)},
			einvoice.Attribute{Name: "records", Value: strconv.FormatInt(l.Records, 10)})
	}
	return out, nil
}

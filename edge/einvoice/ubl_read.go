package einvoice

import (
	"fmt"
	"io"
	"strings"
)

// ReadUBL reads a UBL 2.1 Invoice or CreditNote. Of what the model has once it takes
// the first; what the model does not have it reads over. Errors: ErrSyntax, ErrLimit,
// and that of r. It does not Check.
func ReadUBL(r io.Reader) (*Invoice, error) {
	root, err := document(r, nsInvoice, nsCreditNote, nsCAC, nsCBC)
	if err != nil {
		return nil, err
	}
	if root.name != "Invoice" && root.name != "CreditNote" {
		return nil, fmt.Errorf("%w: the root is %.100q", ErrSyntax, root.name)
	}
	b := ublReader{root: root, v: new(Invoice)}
	b.header()
	b.references()
	b.parties()
	b.delivery()
	b.payment()
	b.v.Allowances, b.v.Charges = b.adjustments(root, true)
	b.totals()
	b.lines()
	if b.err != nil {
		return nil, b.err
	}
	return b.v, nil
}

type ublReader struct {
	values
	root *node
	v    *Invoice
}

func (b *ublReader) header() {
	n, v := b.root, b.v
	v.Currency = b.currencyOf(n.one("DocumentCurrencyCode"))
	b.currency = v.Currency
	v.Specification, v.Process, v.Number = n.str("CustomizationID"), n.str("ProfileID"), n.str("ID")
	v.Issued, v.TaxPoint, v.Due = b.date(n.one("IssueDate")), b.date(n.one("TaxPointDate")), b.date(n.one("DueDate"))
	v.Type = Type(or(n.str("InvoiceTypeCode"), n.str("CreditNoteTypeCode")))
	v.TaxCurrency = b.currencyOf(n.one("TaxCurrencyCode"))
	v.BuyerAccounting, v.BuyerReference = n.str("AccountingCost"), n.str("BuyerReference")
	for _, note := range n.all("Note") {
		v.Notes = append(v.Notes, ublNote(note.text))
	}
	if p := n.one("InvoicePeriod"); p != nil {
		v.TaxPointCode = p.str("DescriptionCode")
		v.Period = b.period(p)
		if *v.Period == (Period{}) && v.TaxPointCode != "" { // the group is there for the code
			v.Period = nil
		}
	}
}

// ublNote cuts "#subject#text".
func ublNote(text string) Note {
	if rest, ok := strings.CutPrefix(text, "#"); ok {
		if subject, words, ok := strings.Cut(rest, "#"); ok {
			return Note{Subject: subject, Text: strings.TrimSpace(words)}
		}
	}
	return Note{Text: text}
}

func (b *ublReader) period(n *node) *Period {
	if n == nil {
		return nil
	}
	return &Period{Start: b.date(n.one("StartDate")), End: b.date(n.one("EndDate"))}
}

func (b *ublReader) references() {
	n, v := b.root, b.v
	v.PurchaseOrder, v.SalesOrder = n.str("OrderReference", "ID"), n.str("OrderReference", "SalesOrderID")
	if v.PurchaseOrder == notApplicable && v.SalesOrder != "" {
		v.PurchaseOrder = ""
	}
	for _, ref := range n.all("BillingReference") {
		doc := ref.one("InvoiceDocumentReference")
		v.Preceding = append(v.Preceding, Preceding{doc.str("ID"), b.date(doc.one("IssueDate"))})
	}
	v.DespatchAdvice, v.ReceivingAdvice = n.str("DespatchDocumentReference", "ID"), n.str("ReceiptDocumentReference", "ID")
	v.Contract, v.Tender = n.str("ContractDocumentReference", "ID"), n.str("OriginatorDocumentReference", "ID")
	v.Project = n.str("ProjectReference", "ID")
	for _, ref := range n.all("AdditionalDocumentReference") {
		b.document(ref)
	}
}

func (b *ublReader) document(n *node) {
	switch n.str("DocumentTypeCode") {
	case objectReference:
		b.v.Object = n.id("ID")
		return
	case projectReference:
		b.v.Project = n.str("ID")
		return
	}
	d := Document{
		Reference:   n.str("ID"),
		Description: n.str("DocumentDescription"),
		Location:    n.str("Attachment", "ExternalReference", "URI"),
	}
	b.file(n.one("Attachment", "EmbeddedDocumentBinaryObject"), &d)
	b.v.Documents = append(b.v.Documents, d)
}

func (b *ublReader) parties() {
	v := b.v
	p := b.root.one("AccountingSupplierParty", "Party")
	s := &v.Seller
	s.Name, s.TradingName = p.str("PartyLegalEntity", "RegistrationName"), p.str("PartyName", "Name")
	for _, id := range p.all("PartyIdentification") {
		if x := id.id("ID"); x.ID != "" && x.Scheme != sepaCreditor {
			s.IDs = append(s.IDs, x)
		}
	}
	s.Legal, s.LegalForm = p.id("PartyLegalEntity", "CompanyID"), p.str("PartyLegalEntity", "CompanyLegalForm")
	s.VAT, s.TaxRegistration = ublTaxes(p)
	s.Endpoint, s.Address, s.Contact = p.id("EndpointID"), ublAddress(p.one("PostalAddress")), ublContact(p.one("Contact"))

	p = b.root.one("AccountingCustomerParty", "Party")
	c := &v.Buyer
	c.Name, c.TradingName = p.str("PartyLegalEntity", "RegistrationName"), p.str("PartyName", "Name")
	c.ID, c.Legal = p.id("PartyIdentification", "ID"), p.id("PartyLegalEntity", "CompanyID")
	c.VAT, _ = ublTaxes(p)
	c.Endpoint, c.Address, c.Contact = p.id("EndpointID"), ublAddress(p.one("PostalAddress")), ublContact(p.one("Contact"))

	if p = b.root.one("PayeeParty"); p != nil {
		v.Payee = &Payee{Name: p.str("PartyName", "Name"), Legal: p.id("PartyLegalEntity", "CompanyID")}
		if id := p.id("PartyIdentification", "ID"); id.Scheme != sepaCreditor {
			v.Payee.ID = id
		}
	}
	if p = b.root.one("TaxRepresentativeParty"); p != nil {
		vat, _ := ublTaxes(p)
		v.TaxRepresentative = &TaxRepresentative{p.str("PartyName", "Name"), vat, ublAddress(p.one("PostalAddress"))}
	}
}

// ublTaxes are the VAT identifier of a party and its other tax registration.
func ublTaxes(p *node) (vat, other string) {
	for _, t := range p.all("PartyTaxScheme") {
		if strings.EqualFold(t.str("TaxScheme", "ID"), "VAT") {
			vat = or(vat, t.str("CompanyID"))
			continue
		}
		other = or(other, t.str("CompanyID"))
	}
	return vat, other
}

func ublAddress(n *node) *Address {
	if n == nil {
		return nil
	}
	return &Address{
		Line1: n.str("StreetName"), Line2: n.str("AdditionalStreetName"), Line3: n.str("AddressLine", "Line"),
		City: n.str("CityName"), PostCode: n.str("PostalZone"), Subdivision: n.str("CountrySubentity"),
		Country: n.str("Country", "IdentificationCode"),
	}
}

func ublContact(n *node) *Contact {
	if n == nil {
		return nil
	}
	return &Contact{n.str("Name"), n.str("Telephone"), n.str("ElectronicMail")}
}

func (b *ublReader) delivery() {
	n := b.root.one("Delivery")
	if n == nil {
		return
	}
	b.v.Delivery = &Delivery{
		Name:     n.str("DeliveryParty", "PartyName", "Name"),
		Location: n.id("DeliveryLocation", "ID"),
		Date:     b.date(n.one("ActualDeliveryDate")),
		Address:  ublAddress(n.one("DeliveryLocation", "Address")),
	}
}

func (b *ublReader) payment() {
	b.v.Terms = b.root.str("PaymentTerms", "Note")
	means := b.root.all("PaymentMeans")
	if len(means) == 0 {
		return
	}
	p, first := new(Payment), means[0]
	p.Means, p.Text = first.str("PaymentMeansCode"), first.one("PaymentMeansCode").attribute("name")
	p.Remittance = first.str("PaymentID")
	for _, n := range means {
		if noDate(b.v.Due) {
			b.v.Due = b.date(n.one("PaymentDueDate"))
		}
		if a := n.one("PayeeFinancialAccount"); a != nil {
			p.Transfers = append(p.Transfers, Transfer{a.str("ID"), a.str("Name"), a.str("FinancialInstitutionBranch", "ID")})
		}
		if c := n.one("CardAccount"); c != nil && p.Card == nil {
			p.Card = &Card{c.str("PrimaryAccountNumberID"), c.str("HolderName")}
		}
		if m := n.one("PaymentMandate"); m != nil && p.Debit == nil {
			p.Debit = &DirectDebit{Mandate: m.str("ID"), Account: m.str("PayerFinancialAccount", "ID")}
		}
	}
	if creditor := b.creditor(); creditor != "" {
		if p.Debit == nil {
			p.Debit = new(DirectDebit)
		}
		p.Debit.Creditor = creditor
	}
	b.v.Payment = p
}

// creditor finds BT-90 among the identifiers of seller and payee.
func (b *ublReader) creditor() string {
	for _, p := range []*node{b.root.one("AccountingSupplierParty", "Party"), b.root.one("PayeeParty")} {
		for _, id := range p.all("PartyIdentification") {
			if x := id.id("ID"); x.Scheme == sepaCreditor {
				return x.ID
			}
		}
	}
	return ""
}

// adjustments reads the allowances and the charges of the document or of a line.
func (b *ublReader) adjustments(n *node, taxed bool) (allowances, charges []Adjustment) {
	for _, x := range n.all("AllowanceCharge") {
		a := Adjustment{
			Amount: b.amount(x.one("Amount")), Base: b.amount(x.one("BaseAmount")),
			Percent: b.decimal(x.one("MultiplierFactorNumeric")),
			Reason:  x.str("AllowanceChargeReason"), ReasonCode: x.str("AllowanceChargeReasonCode"),
		}
		if taxed {
			a.Tax = b.tax(x.one("TaxCategory"))
		}
		if b.indicated(x.one("ChargeIndicator")) {
			charges = append(charges, a)
			continue
		}
		allowances = append(allowances, a)
	}
	return allowances, charges
}

func (b *ublReader) tax(n *node) Tax {
	return Tax{Category(n.str("ID")), b.decimal(n.one("Percent"))}
}

func (b *ublReader) totals() {
	v, t := b.v, &b.v.Totals
	for _, n := range b.root.all("TaxTotal") {
		amount, parts := b.amount(n.one("TaxAmount")), n.all("TaxSubtotal")
		switch {
		case len(parts) == 0 && present(t.VAT) || present(amount) && amount.Currency == v.TaxCurrency && v.TaxCurrency != v.Currency:
			t.TaxAccounting = amount
		default:
			t.VAT = amount
		}
		for _, p := range parts {
			c := p.one("TaxCategory")
			tax := b.tax(c)
			v.VAT = append(v.VAT, Breakdown{
				Base: b.amount(p.one("TaxableAmount")), Tax: b.amount(p.one("TaxAmount")),
				Category: tax.Category, Rate: tax.Rate,
				Reason: c.str("TaxExemptionReason"), ReasonCode: c.str("TaxExemptionReasonCode"),
			})
		}
	}
	n := b.root.one("LegalMonetaryTotal")
	t.Lines, t.WithoutVAT = b.amount(n.one("LineExtensionAmount")), b.amount(n.one("TaxExclusiveAmount"))
	t.WithVAT, t.Allowances = b.amount(n.one("TaxInclusiveAmount")), b.amount(n.one("AllowanceTotalAmount"))
	t.Charges, t.Prepaid = b.amount(n.one("ChargeTotalAmount")), b.amount(n.one("PrepaidAmount"))
	t.Rounding, t.Payable = b.amount(n.one("PayableRoundingAmount")), b.amount(n.one("PayableAmount"))
}

func (b *ublReader) lines() {
	tag, quantity := "InvoiceLine", "InvoicedQuantity"
	if b.root.name == "CreditNote" {
		tag, quantity = "CreditNoteLine", "CreditedQuantity"
	}
	for _, n := range b.root.all(tag) {
		l := Line{
			ID: n.str("ID"), Note: n.str("Note"),
			Quantity: b.decimal(n.one(quantity)), Unit: n.one(quantity).attribute("unitCode"),
			Net: b.amount(n.one("LineExtensionAmount")), BuyerAccounting: n.str("AccountingCost"),
			Period: b.period(n.one("InvoicePeriod")), OrderLine: n.str("OrderLineReference", "LineID"),
			Price: b.price(n.one("Price")), Tax: b.tax(n.one("Item", "ClassifiedTaxCategory")), Item: ublItem(n.one("Item")),
		}
		for _, ref := range n.all("DocumentReference") {
			if ref.str("DocumentTypeCode") == objectReference {
				l.Object = ref.id("ID")
			}
		}
		l.Allowances, l.Charges = b.adjustments(n, false)
		b.v.Lines = append(b.v.Lines, l)
	}
}

func (b *ublReader) price(n *node) Price {
	per := n.one("BaseQuantity")
	return Price{
		Net: b.decimal(n.one("PriceAmount")), Per: b.decimal(per), Unit: per.attribute("unitCode"),
		Discount: b.decimal(n.one("AllowanceCharge", "Amount")), Gross: b.decimal(n.one("AllowanceCharge", "BaseAmount")),
	}
}

func ublItem(n *node) Item {
	item := Item{
		Name: n.str("Name"), Description: n.str("Description"),
		SellerID: n.str("SellersItemIdentification", "ID"), BuyerID: n.str("BuyersItemIdentification", "ID"),
		StandardID: n.id("StandardItemIdentification", "ID"), Origin: n.str("OriginCountry", "IdentificationCode"),
	}
	for _, c := range n.all("CommodityClassification") {
		item.Classes = append(item.Classes, classOf(c.one("ItemClassificationCode")))
	}
	for _, a := range n.all("AdditionalItemProperty") {
		item.Attributes = append(item.Attributes, Attribute{a.str("Name"), a.str("Value")})
	}
	return item
}

func classOf(n *node) Classification {
	return Classification{n.str(), n.attribute("listID"), n.attribute("listVersionID")}
}

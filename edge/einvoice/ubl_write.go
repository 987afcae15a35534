package einvoice

import "io"

const (
	nsInvoice    = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
	nsCreditNote = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"
	nsCAC        = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
	nsCBC        = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
)

// Document type codes that UBL tells its document references apart by (UNTDID 1001).
const (
	objectReference  = "130" // BT-18, BT-128
	projectReference = "50"  // BT-11 in a credit note
)

// notApplicable stands where the schema wants an element that the model has not.
const notApplicable = "NA"

// sepaCreditor is the scheme under which UBL hides BT-90 among the seller's identifiers.
const sepaCreditor = "SEPA"

// WriteUBL writes an invoice as UBL 2.1 Invoice or, for a credit note, CreditNote
// (CEN/TS 16931-3-2). The order of elements is that of the schemas. It does not Check.
// A credit note with a due date needs payment instructions to carry it (ErrCarry).
func WriteUBL(w io.Writer, v *Invoice) error { return write(w, v, buildUBL) }

func buildUBL(s *sink, v *Invoice) {
	root, ns := "Invoice", nsInvoice
	if v.Type.Credit() {
		root, ns = "CreditNote", nsCreditNote
	}
	s.raw("<" + root + ` xmlns="` + ns + `" xmlns:cac="` + nsCAC + `" xmlns:cbc="` + nsCBC + `">`)
	s.ublHeader(v)
	s.ublReferences(v)
	s.ublParties(v)
	s.ublDelivery(v.Delivery)
	s.ublPayment(v)
	s.ublAdjustments(v.Allowances, false, true)
	s.ublAdjustments(v.Charges, true, true)
	s.ublTax(v)
	s.ublTotals(&v.Totals)
	for i := range v.Lines {
		s.ublLine(v, &v.Lines[i])
	}
	s.shut(root)
}

func (s *sink) ublHeader(v *Invoice) {
	s.text("cbc:CustomizationID", v.Specification)
	s.text("cbc:ProfileID", v.Process)
	s.text("cbc:ID", v.Number)
	s.date("cbc:IssueDate", v.Issued)
	if v.Type.Credit() {
		s.date("cbc:TaxPointDate", v.TaxPoint)
		s.text("cbc:CreditNoteTypeCode", string(v.Type))
		s.ublNotes(v.Notes)
	} else {
		s.date("cbc:DueDate", v.Due)
		s.text("cbc:InvoiceTypeCode", string(v.Type))
		s.ublNotes(v.Notes)
		s.date("cbc:TaxPointDate", v.TaxPoint)
	}
	s.text("cbc:DocumentCurrencyCode", v.Currency.Code())
	s.text("cbc:TaxCurrencyCode", v.TaxCurrency.Code())
	s.text("cbc:AccountingCost", v.BuyerAccounting)
	s.text("cbc:BuyerReference", v.BuyerReference)
	if v.Period != nil || v.TaxPointCode != "" {
		s.ublPeriod(v.Period, v.TaxPointCode)
	}
}

// ublNotes writes BG-1: the subject goes before the text, between number signs.
func (s *sink) ublNotes(notes []Note) {
	for i := range notes {
		s.open("cbc:Note")
		if subject := notes[i].Subject; subject != "" {
			s.escape("#" + subject + "#")
		}
		s.escape(notes[i].Text)
		s.shut("cbc:Note")
	}
}

func (s *sink) ublPeriod(p *Period, code string) {
	s.open("cac:InvoicePeriod")
	if p != nil {
		s.date("cbc:StartDate", p.Start)
		s.date("cbc:EndDate", p.End)
	}
	s.text("cbc:DescriptionCode", code)
	s.shut("cac:InvoicePeriod")
}

func (s *sink) ublReferences(v *Invoice) {
	if v.PurchaseOrder != "" || v.SalesOrder != "" {
		s.open("cac:OrderReference")
		s.text("cbc:ID", or(v.PurchaseOrder, notApplicable))
		s.text("cbc:SalesOrderID", v.SalesOrder)
		s.shut("cac:OrderReference")
	}
	for i := range v.Preceding {
		s.raw("<cac:BillingReference><cac:InvoiceDocumentReference>")
		s.text("cbc:ID", v.Preceding[i].Number)
		s.date("cbc:IssueDate", v.Preceding[i].Issued)
		s.raw("</cac:InvoiceDocumentReference></cac:BillingReference>")
	}
	s.wrapped("cac:DespatchDocumentReference", "cbc:ID", v.DespatchAdvice)
	s.wrapped("cac:ReceiptDocumentReference", "cbc:ID", v.ReceivingAdvice)
	if v.Type.Credit() {
		s.wrapped("cac:ContractDocumentReference", "cbc:ID", v.Contract)
		s.ublDocuments(v)
		s.wrapped("cac:OriginatorDocumentReference", "cbc:ID", v.Tender)
		return
	}
	s.wrapped("cac:OriginatorDocumentReference", "cbc:ID", v.Tender)
	s.wrapped("cac:ContractDocumentReference", "cbc:ID", v.Contract)
	s.ublDocuments(v)
	s.wrapped("cac:ProjectReference", "cbc:ID", v.Project)
}

// ublDocuments writes BT-18, BG-24 and, where the schema has no other place, BT-11.
func (s *sink) ublDocuments(v *Invoice) {
	const tag = "cac:AdditionalDocumentReference"
	s.ublReference(tag, v.Object, objectReference)
	if v.Type.Credit() {
		s.ublReference(tag, Identifier{ID: v.Project}, projectReference)
	}
	for i := range v.Documents {
		d := &v.Documents[i]
		s.open(tag)
		s.text("cbc:ID", d.Reference)
		s.text("cbc:DocumentDescription", d.Description)
		if d.Content != nil || d.Location != "" {
			s.open("cac:Attachment")
			if d.Content != nil {
				s.binary("cbc:EmbeddedDocumentBinaryObject", d)
			}
			s.wrapped("cac:ExternalReference", "cbc:URI", d.Location)
			s.shut("cac:Attachment")
		}
		s.shut(tag)
	}
}

func (s *sink) ublReference(tag string, id Identifier, code string) {
	if id.ID != "" {
		s.open(tag)
		s.with("cbc:ID", "schemeID", id.Scheme, id.ID)
		s.text("cbc:DocumentTypeCode", code)
		s.shut(tag)
	}
}

func (s *sink) ublParties(v *Invoice) {
	b := &v.Buyer
	s.raw("<cac:AccountingSupplierParty>")
	s.ublSeller(v)
	s.raw("</cac:AccountingSupplierParty><cac:AccountingCustomerParty><cac:Party>")
	s.with("cbc:EndpointID", "schemeID", b.Endpoint.Scheme, b.Endpoint.ID)
	s.ublIdentification(b.ID)
	s.wrapped("cac:PartyName", "cbc:Name", b.TradingName)
	s.ublAddress("cac:PostalAddress", b.Address)
	s.ublTaxScheme(b.VAT, "VAT")
	s.ublLegal(b.Name, b.Legal, "")
	s.ublContact(b.Contact)
	s.raw("</cac:Party></cac:AccountingCustomerParty>")
	if p := v.Payee; p != nil {
		s.open("cac:PayeeParty")
		s.ublIdentification(p.ID)
		s.wrapped("cac:PartyName", "cbc:Name", p.Name)
		s.ublLegal("", p.Legal, "")
		s.shut("cac:PayeeParty")
	}
	if t := v.TaxRepresentative; t != nil {
		s.open("cac:TaxRepresentativeParty")
		s.wrapped("cac:PartyName", "cbc:Name", t.Name)
		s.ublAddress("cac:PostalAddress", t.Address)
		s.ublTaxScheme(t.VAT, "VAT")
		s.shut("cac:TaxRepresentativeParty")
	}
}

func (s *sink) ublSeller(v *Invoice) {
	p := &v.Seller
	s.open("cac:Party")
	s.with("cbc:EndpointID", "schemeID", p.Endpoint.Scheme, p.Endpoint.ID)
	for i := range p.IDs {
		s.ublIdentification(p.IDs[i])
	}
	if v.Payment != nil && v.Payment.Debit != nil {
		s.ublIdentification(Identifier{v.Payment.Debit.Creditor, sepaCreditor})
	}
	s.wrapped("cac:PartyName", "cbc:Name", p.TradingName)
	s.ublAddress("cac:PostalAddress", p.Address)
	s.ublTaxScheme(p.VAT, "VAT")
	s.ublTaxScheme(p.TaxRegistration, "TAX")
	s.ublLegal(p.Name, p.Legal, p.LegalForm)
	s.ublContact(p.Contact)
	s.shut("cac:Party")
}

func (s *sink) ublIdentification(id Identifier) {
	if id.ID != "" {
		s.open("cac:PartyIdentification")
		s.with("cbc:ID", "schemeID", id.Scheme, id.ID)
		s.shut("cac:PartyIdentification")
	}
}

func (s *sink) ublTaxScheme(id, scheme string) {
	if id != "" {
		s.open("cac:PartyTaxScheme")
		s.text("cbc:CompanyID", id)
		s.wrapped("cac:TaxScheme", "cbc:ID", scheme)
		s.shut("cac:PartyTaxScheme")
	}
}

func (s *sink) ublLegal(name string, id Identifier, form string) {
	if name == "" && id.ID == "" && form == "" {
		return
	}
	s.open("cac:PartyLegalEntity")
	s.text("cbc:RegistrationName", name)
	s.with("cbc:CompanyID", "schemeID", id.Scheme, id.ID)
	s.text("cbc:CompanyLegalForm", form)
	s.shut("cac:PartyLegalEntity")
}

func (s *sink) ublContact(c *Contact) {
	if c != nil {
		s.open("cac:Contact")
		s.text("cbc:Name", c.Name)
		s.text("cbc:Telephone", c.Phone)
		s.text("cbc:ElectronicMail", c.Mail)
		s.shut("cac:Contact")
	}
}

func (s *sink) ublAddress(tag string, a *Address) {
	if a == nil {
		return
	}
	s.open(tag)
	s.text("cbc:StreetName", a.Line1)
	s.text("cbc:AdditionalStreetName", a.Line2)
	s.text("cbc:CityName", a.City)
	s.text("cbc:PostalZone", a.PostCode)
	s.text("cbc:CountrySubentity", a.Subdivision)
	s.wrapped("cac:AddressLine", "cbc:Line", a.Line3)
	s.wrapped("cac:Country", "cbc:IdentificationCode", a.Country)
	s.shut(tag)
}

func (s *sink) ublDelivery(d *Delivery) {
	if d == nil {
		return
	}
	s.open("cac:Delivery")
	s.date("cbc:ActualDeliveryDate", d.Date)
	if d.Location.ID != "" || d.Address != nil {
		s.open("cac:DeliveryLocation")
		s.with("cbc:ID", "schemeID", d.Location.Scheme, d.Location.ID)
		s.ublAddress("cac:Address", d.Address)
		s.shut("cac:DeliveryLocation")
	}
	if d.Name != "" {
		s.open("cac:DeliveryParty")
		s.wrapped("cac:PartyName", "cbc:Name", d.Name)
		s.shut("cac:DeliveryParty")
	}
	s.shut("cac:Delivery")
}

// ublPayment writes BG-16, one group for each account, and the payment terms. Card and
// mandate stand in the first group only.
func (s *sink) ublPayment(v *Invoice) {
	switch {
	case v.Payment != nil:
		for i := range max(1, len(v.Payment.Transfers)) {
			s.ublMeans(v, i)
		}
	case v.Type.Credit() && !noDate(v.Due):
		s.cannot("the due date of a UBL credit note without payment instructions")
	}
	s.wrapped("cac:PaymentTerms", "cbc:Note", v.Terms)
}

func (s *sink) ublMeans(v *Invoice, i int) {
	p := v.Payment
	s.open("cac:PaymentMeans")
	s.with("cbc:PaymentMeansCode", "name", p.Text, p.Means)
	if v.Type.Credit() { // whose schema has no due date of the document
		s.date("cbc:PaymentDueDate", v.Due)
	}
	s.text("cbc:PaymentID", p.Remittance)
	if i == 0 {
		s.ublCard(p.Card)
	}
	if i < len(p.Transfers) {
		s.ublAccount(&p.Transfers[i])
	}
	if i == 0 {
		s.ublMandate(p.Debit)
	}
	s.shut("cac:PaymentMeans")
}

func (s *sink) ublCard(c *Card) {
	if c != nil {
		s.open("cac:CardAccount")
		s.text("cbc:PrimaryAccountNumberID", c.Number)
		s.text("cbc:NetworkID", notApplicable) // the schema wants it
		s.text("cbc:HolderName", c.Holder)
		s.shut("cac:CardAccount")
	}
}

func (s *sink) ublAccount(t *Transfer) {
	s.open("cac:PayeeFinancialAccount")
	s.text("cbc:ID", t.Account)
	s.text("cbc:Name", t.Name)
	s.wrapped("cac:FinancialInstitutionBranch", "cbc:ID", t.Provider)
	s.shut("cac:PayeeFinancialAccount")
}

func (s *sink) ublMandate(d *DirectDebit) {
	if d == nil || d.Mandate == "" && d.Account == "" {
		return
	}
	s.open("cac:PaymentMandate")
	s.text("cbc:ID", d.Mandate)
	s.wrapped("cac:PayerFinancialAccount", "cbc:ID", d.Account)
	s.shut("cac:PaymentMandate")
}

// ublAdjustments writes allowances or charges, of the document with their own tax.
func (s *sink) ublAdjustments(list []Adjustment, charge, taxed bool) {
	for i := range list {
		a := &list[i]
		s.open("cac:AllowanceCharge")
		s.ublIndicator(charge)
		s.text("cbc:AllowanceChargeReasonCode", a.ReasonCode)
		s.text("cbc:AllowanceChargeReason", a.Reason)
		s.number("cbc:MultiplierFactorNumeric", a.Percent)
		s.money("cbc:Amount", a.Amount, true)
		s.money("cbc:BaseAmount", a.Base, true)
		if taxed {
			s.ublCategory("cac:TaxCategory", a.Tax, "", "")
		}
		s.shut("cac:AllowanceCharge")
	}
}

func (s *sink) ublIndicator(charge bool) {
	if charge {
		s.raw("<cbc:ChargeIndicator>true</cbc:ChargeIndicator>")
		return
	}
	s.raw("<cbc:ChargeIndicator>false</cbc:ChargeIndicator>")
}

func (s *sink) ublCategory(tag string, t Tax, code, reason string) {
	if t.Category == "" && !t.Rate.present && code == "" && reason == "" {
		return
	}
	s.open(tag)
	s.text("cbc:ID", string(t.Category))
	s.number("cbc:Percent", t.Rate)
	s.text("cbc:TaxExemptionReasonCode", code)
	s.text("cbc:TaxExemptionReason", reason)
	s.raw("<cac:TaxScheme><cbc:ID>VAT</cbc:ID></cac:TaxScheme>")
	s.shut(tag)
}

func (s *sink) ublTax(v *Invoice) {
	if present(v.Totals.VAT) || len(v.VAT) > 0 {
		s.open("cac:TaxTotal")
		s.money("cbc:TaxAmount", v.Totals.VAT, true)
		for i := range v.VAT {
			b := &v.VAT[i]
			s.open("cac:TaxSubtotal")
			s.money("cbc:TaxableAmount", b.Base, true)
			s.money("cbc:TaxAmount", b.Tax, true)
			s.ublCategory("cac:TaxCategory", Tax{b.Category, b.Rate}, b.ReasonCode, b.Reason)
			s.shut("cac:TaxSubtotal")
		}
		s.shut("cac:TaxTotal")
	}
	if a := v.Totals.TaxAccounting; present(a) {
		s.open("cac:TaxTotal")
		s.money("cbc:TaxAmount", a, true)
		s.shut("cac:TaxTotal")
	}
}

func (s *sink) ublTotals(t *Totals) {
	s.open("cac:LegalMonetaryTotal")
	s.money("cbc:LineExtensionAmount", t.Lines, true)
	s.money("cbc:TaxExclusiveAmount", t.WithoutVAT, true)
	s.money("cbc:TaxInclusiveAmount", t.WithVAT, true)
	s.money("cbc:AllowanceTotalAmount", t.Allowances, true)
	s.money("cbc:ChargeTotalAmount", t.Charges, true)
	s.money("cbc:PrepaidAmount", t.Prepaid, true)
	s.money("cbc:PayableRoundingAmount", t.Rounding, true)
	s.money("cbc:PayableAmount", t.Payable, true)
	s.shut("cac:LegalMonetaryTotal")
}

func (s *sink) ublLine(v *Invoice, l *Line) {
	tag, quantity := "cac:InvoiceLine", "cbc:InvoicedQuantity"
	if v.Type.Credit() {
		tag, quantity = "cac:CreditNoteLine", "cbc:CreditedQuantity"
	}
	s.open(tag)
	s.text("cbc:ID", l.ID)
	s.text("cbc:Note", l.Note)
	s.measure(quantity, l.Quantity, l.Unit)
	s.money("cbc:LineExtensionAmount", l.Net, true)
	s.text("cbc:AccountingCost", l.BuyerAccounting)
	if l.Period != nil {
		s.ublPeriod(l.Period, "")
	}
	s.wrapped("cac:OrderLineReference", "cbc:LineID", l.OrderLine)
	s.ublReference("cac:DocumentReference", l.Object, objectReference)
	s.ublAdjustments(l.Allowances, false, false)
	s.ublAdjustments(l.Charges, true, false)
	s.ublItem(&l.Item, l.Tax)
	s.ublPrice(&l.Price, v.Currency.Code())
	s.shut(tag)
}

func (s *sink) ublItem(item *Item, t Tax) {
	s.open("cac:Item")
	s.text("cbc:Description", item.Description)
	s.text("cbc:Name", item.Name)
	s.wrapped("cac:BuyersItemIdentification", "cbc:ID", item.BuyerID)
	s.wrapped("cac:SellersItemIdentification", "cbc:ID", item.SellerID)
	if item.StandardID.ID != "" {
		s.open("cac:StandardItemIdentification")
		s.with("cbc:ID", "schemeID", item.StandardID.Scheme, item.StandardID.ID)
		s.shut("cac:StandardItemIdentification")
	}
	s.wrapped("cac:OriginCountry", "cbc:IdentificationCode", item.Origin)
	for i := range item.Classes {
		s.open("cac:CommodityClassification")
		s.class("cbc:ItemClassificationCode", &item.Classes[i])
		s.shut("cac:CommodityClassification")
	}
	s.ublCategory("cac:ClassifiedTaxCategory", t, "", "")
	for i := range item.Attributes {
		s.open("cac:AdditionalItemProperty")
		s.text("cbc:Name", item.Attributes[i].Name)
		s.text("cbc:Value", item.Attributes[i].Value)
		s.shut("cac:AdditionalItemProperty")
	}
	s.shut("cac:Item")
}

// class writes an item classification, in both syntaxes the same.
func (s *sink) class(tag string, c *Classification) {
	s.begin(tag)
	s.attribute("listID", c.Scheme)
	s.attribute("listVersionID", c.Version)
	s.b = append(s.b, '>')
	s.escape(c.ID)
	s.shut(tag)
}

func (s *sink) ublPrice(p *Price, currency string) {
	s.open("cac:Price")
	s.price("cbc:PriceAmount", p.Net, currency)
	s.measure("cbc:BaseQuantity", p.Per, p.Unit)
	if p.Gross.present || p.Discount.present {
		s.open("cac:AllowanceCharge")
		s.ublIndicator(false)
		s.price("cbc:Amount", p.Discount, currency)
		s.price("cbc:BaseAmount", p.Gross, currency)
		s.shut("cac:AllowanceCharge")
	}
	s.shut("cac:Price")
}

func (s *sink) price(tag string, d Decimal, currency string) {
	if d.present {
		s.begin(tag)
		s.attribute("currencyID", currency)
		s.b = append(s.b, '>')
		s.b = d.append(s.b)
		s.shut(tag)
	}
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

package einvoice

import (
	"io"

	"tandem/kit/civil"
)

const (
	nsRSM = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
	nsRAM = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
	nsQDT = "urn:un:unece:uncefact:data:standard:QualifiedDataType:100"
	nsUDT = "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"
)

// Type codes that CII tells its referenced documents apart by (UNTDID 1001).
const (
	tenderReference     = "50"  // BT-17
	supportingReference = "916" // BG-24
)

// Schemes of CII's tax registrations.
const (
	vatRegistration = "VA" // BT-31, 48, 63
	taxRegistration = "FC" // BT-32
)

// WriteCII writes an invoice or credit note as UN/CEFACT Cross Industry Invoice D16B
// (CEN/TS 16931-3-3), the XML inside Factur-X. It does not Check.
func WriteCII(w io.Writer, v *Invoice) error { return write(w, v, buildCII) }

func buildCII(s *sink, v *Invoice) {
	s.raw(`<rsm:CrossIndustryInvoice xmlns:rsm="` + nsRSM + `" xmlns:ram="` + nsRAM + `" xmlns:qdt="` + nsQDT + `" xmlns:udt="` + nsUDT + `">`)
	s.raw("<rsm:ExchangedDocumentContext>")
	s.wrapped("ram:BusinessProcessSpecifiedDocumentContextParameter", "ram:ID", v.Process)
	s.wrapped("ram:GuidelineSpecifiedDocumentContextParameter", "ram:ID", v.Specification)
	s.raw("</rsm:ExchangedDocumentContext><rsm:ExchangedDocument>")
	s.text("ram:ID", v.Number)
	s.text("ram:TypeCode", string(v.Type))
	s.ciiDate("ram:IssueDateTime", v.Issued)
	for i := range v.Notes {
		s.open("ram:IncludedNote")
		s.text("ram:Content", v.Notes[i].Text)
		s.text("ram:SubjectCode", v.Notes[i].Subject)
		s.shut("ram:IncludedNote")
	}
	s.raw("</rsm:ExchangedDocument><rsm:SupplyChainTradeTransaction>")
	for i := range v.Lines {
		s.ciiLine(&v.Lines[i])
	}
	s.ciiAgreement(v)
	s.ciiDelivery(v)
	s.ciiSettlement(v)
	s.raw("</rsm:SupplyChainTradeTransaction></rsm:CrossIndustryInvoice>")
}

// ciiDate writes a date in the form 102 (UNTDID 2379), or nothing.
func (s *sink) ciiDate(tag string, d civil.Date) { s.ciiDay(tag, "udt:DateTimeString", d) }

func (s *sink) ciiDay(tag, kind string, d civil.Date) {
	if noDate(d) {
		return
	}
	s.open(tag)
	s.begin(kind)
	s.raw(` format="102">`)
	s.day(d, false)
	s.shut(kind)
	s.shut(tag)
}

func (s *sink) ciiLine(l *Line) {
	s.raw("<ram:IncludedSupplyChainTradeLineItem><ram:AssociatedDocumentLineDocument>")
	s.text("ram:LineID", l.ID)
	s.wrapped("ram:IncludedNote", "ram:Content", l.Note)
	s.raw("</ram:AssociatedDocumentLineDocument>")
	s.ciiProduct(&l.Item)
	s.raw("<ram:SpecifiedLineTradeAgreement>")
	s.wrapped("ram:BuyerOrderReferencedDocument", "ram:LineID", l.OrderLine)
	s.ciiPrice(&l.Price)
	s.raw("</ram:SpecifiedLineTradeAgreement><ram:SpecifiedLineTradeDelivery>")
	s.measure("ram:BilledQuantity", l.Quantity, l.Unit)
	s.raw("</ram:SpecifiedLineTradeDelivery><ram:SpecifiedLineTradeSettlement>")
	s.ciiTax("ram:ApplicableTradeTax", l.Tax)
	s.ciiPeriod(l.Period)
	s.ciiAdjustments(l.Allowances, false, false)
	s.ciiAdjustments(l.Charges, true, false)
	s.raw("<ram:SpecifiedTradeSettlementLineMonetarySummation>")
	s.money("ram:LineTotalAmount", l.Net, false)
	s.raw("</ram:SpecifiedTradeSettlementLineMonetarySummation>")
	s.ciiReference(l.Object, objectReference)
	s.wrapped("ram:ReceivableSpecifiedTradeAccountingAccount", "ram:ID", l.BuyerAccounting)
	s.raw("</ram:SpecifiedLineTradeSettlement></ram:IncludedSupplyChainTradeLineItem>")
}

func (s *sink) ciiProduct(item *Item) {
	s.open("ram:SpecifiedTradeProduct")
	s.with("ram:GlobalID", "schemeID", item.StandardID.Scheme, item.StandardID.ID)
	s.text("ram:SellerAssignedID", item.SellerID)
	s.text("ram:BuyerAssignedID", item.BuyerID)
	s.text("ram:Name", item.Name)
	s.text("ram:Description", item.Description)
	for i := range item.Attributes {
		s.open("ram:ApplicableProductCharacteristic")
		s.text("ram:Description", item.Attributes[i].Name)
		s.text("ram:Value", item.Attributes[i].Value)
		s.shut("ram:ApplicableProductCharacteristic")
	}
	for i := range item.Classes {
		s.open("ram:DesignatedProductClassification")
		s.class("ram:ClassCode", &item.Classes[i])
		s.shut("ram:DesignatedProductClassification")
	}
	s.wrapped("ram:OriginTradeCountry", "ram:ID", item.Origin)
	s.shut("ram:SpecifiedTradeProduct")
}

func (s *sink) ciiPrice(p *Price) {
	if p.Gross.present || p.Discount.present {
		s.open("ram:GrossPriceProductTradePrice")
		s.number("ram:ChargeAmount", p.Gross)
		if p.Discount.present {
			s.open("ram:AppliedTradeAllowanceCharge")
			s.ciiIndicator(false)
			s.number("ram:ActualAmount", p.Discount)
			s.shut("ram:AppliedTradeAllowanceCharge")
		}
		s.shut("ram:GrossPriceProductTradePrice")
	}
	if p.Net.present || p.Per.present {
		s.open("ram:NetPriceProductTradePrice")
		s.number("ram:ChargeAmount", p.Net)
		s.measure("ram:BasisQuantity", p.Per, p.Unit)
		s.shut("ram:NetPriceProductTradePrice")
	}
}

func (s *sink) ciiIndicator(charge bool) {
	if charge {
		s.raw("<ram:ChargeIndicator><udt:Indicator>true</udt:Indicator></ram:ChargeIndicator>")
		return
	}
	s.raw("<ram:ChargeIndicator><udt:Indicator>false</udt:Indicator></ram:ChargeIndicator>")
}

func (s *sink) ciiTax(tag string, t Tax) {
	if t.Category == "" && !t.Rate.present {
		return
	}
	s.open(tag)
	s.raw("<ram:TypeCode>VAT</ram:TypeCode>")
	s.text("ram:CategoryCode", string(t.Category))
	s.number("ram:RateApplicablePercent", t.Rate)
	s.shut(tag)
}

func (s *sink) ciiPeriod(p *Period) {
	if p != nil {
		s.open("ram:BillingSpecifiedPeriod")
		s.ciiDate("ram:StartDateTime", p.Start)
		s.ciiDate("ram:EndDateTime", p.End)
		s.shut("ram:BillingSpecifiedPeriod")
	}
}

func (s *sink) ciiAdjustments(list []Adjustment, charge, taxed bool) {
	for i := range list {
		a := &list[i]
		s.open("ram:SpecifiedTradeAllowanceCharge")
		s.ciiIndicator(charge)
		s.number("ram:CalculationPercent", a.Percent)
		s.money("ram:BasisAmount", a.Base, false)
		s.money("ram:ActualAmount", a.Amount, false)
		s.text("ram:ReasonCode", a.ReasonCode)
		s.text("ram:Reason", a.Reason)
		if taxed {
			s.ciiTax("ram:CategoryTradeTax", a.Tax)
		}
		s.shut("ram:SpecifiedTradeAllowanceCharge")
	}
}

// ciiReference writes BT-18 or BT-128.
func (s *sink) ciiReference(id Identifier, code string) {
	if id.ID != "" {
		s.open("ram:AdditionalReferencedDocument")
		s.text("ram:IssuerAssignedID", id.ID)
		s.text("ram:TypeCode", code)
		s.text("ram:ReferenceTypeCode", id.Scheme)
		s.shut("ram:AdditionalReferencedDocument")
	}
}

func (s *sink) ciiAgreement(v *Invoice) {
	const order, assigned = "ram:BuyerOrderReferencedDocument", "ram:IssuerAssignedID"
	s.open("ram:ApplicableHeaderTradeAgreement")
	s.text("ram:BuyerReference", v.BuyerReference)
	s.ciiSeller(&v.Seller)
	s.ciiBuyer(&v.Buyer)
	if t := v.TaxRepresentative; t != nil {
		s.open("ram:SellerTaxRepresentativeTradeParty")
		s.text("ram:Name", t.Name)
		s.ciiAddress(t.Address)
		s.ciiRegistration(t.VAT, vatRegistration)
		s.shut("ram:SellerTaxRepresentativeTradeParty")
	}
	s.wrapped("ram:SellerOrderReferencedDocument", assigned, v.SalesOrder)
	s.wrapped(order, assigned, v.PurchaseOrder)
	s.wrapped("ram:ContractReferencedDocument", assigned, v.Contract)
	s.ciiReference(Identifier{ID: v.Tender}, tenderReference)
	s.ciiReference(v.Object, objectReference)
	for i := range v.Documents {
		s.ciiDocument(&v.Documents[i])
	}
	if v.Project != "" {
		s.open("ram:SpecifiedProcuringProject")
		s.text("ram:ID", v.Project)
		s.text("ram:Name", notApplicable) // the schema wants it
		s.shut("ram:SpecifiedProcuringProject")
	}
	s.shut("ram:ApplicableHeaderTradeAgreement")
}

func (s *sink) ciiDocument(d *Document) {
	s.open("ram:AdditionalReferencedDocument")
	s.text("ram:IssuerAssignedID", d.Reference)
	s.text("ram:URIID", d.Location)
	s.text("ram:TypeCode", supportingReference)
	s.text("ram:Name", d.Description)
	if d.Content != nil {
		s.binary("ram:AttachmentBinaryObject", d)
	}
	s.shut("ram:AdditionalReferencedDocument")
}

func (s *sink) ciiSeller(p *Seller) {
	s.open("ram:SellerTradeParty")
	s.ciiIDs(p.IDs...)
	s.text("ram:Name", p.Name)
	s.text("ram:Description", p.LegalForm)
	s.ciiLegal(p.Legal, p.TradingName)
	s.ciiContact(p.Contact)
	s.ciiAddress(p.Address)
	s.ciiEndpoint(p.Endpoint)
	s.ciiRegistration(p.VAT, vatRegistration)
	s.ciiRegistration(p.TaxRegistration, taxRegistration)
	s.shut("ram:SellerTradeParty")
}

func (s *sink) ciiBuyer(p *Buyer) {
	s.open("ram:BuyerTradeParty")
	s.ciiIDs(p.ID)
	s.text("ram:Name", p.Name)
	s.ciiLegal(p.Legal, p.TradingName)
	s.ciiContact(p.Contact)
	s.ciiAddress(p.Address)
	s.ciiEndpoint(p.Endpoint)
	s.ciiRegistration(p.VAT, vatRegistration)
	s.shut("ram:BuyerTradeParty")
}

// ciiIDs writes identifiers: those of a scheme are global, and come after the others.
func (s *sink) ciiIDs(ids ...Identifier) {
	for i := range ids {
		if ids[i].Scheme == "" {
			s.text("ram:ID", ids[i].ID)
		}
	}
	for i := range ids {
		if ids[i].Scheme != "" {
			s.with("ram:GlobalID", "schemeID", ids[i].Scheme, ids[i].ID)
		}
	}
}

func (s *sink) ciiLegal(id Identifier, trading string) {
	if id.ID == "" && trading == "" {
		return
	}
	s.open("ram:SpecifiedLegalOrganization")
	s.with("ram:ID", "schemeID", id.Scheme, id.ID)
	s.text("ram:TradingBusinessName", trading)
	s.shut("ram:SpecifiedLegalOrganization")
}

func (s *sink) ciiContact(c *Contact) {
	if c != nil {
		s.open("ram:DefinedTradeContact")
		s.text("ram:PersonName", c.Name)
		s.wrapped("ram:TelephoneUniversalCommunication", "ram:CompleteNumber", c.Phone)
		s.wrapped("ram:EmailURIUniversalCommunication", "ram:URIID", c.Mail)
		s.shut("ram:DefinedTradeContact")
	}
}

func (s *sink) ciiAddress(a *Address) {
	if a == nil {
		return
	}
	s.open("ram:PostalTradeAddress")
	s.text("ram:PostcodeCode", a.PostCode)
	s.text("ram:LineOne", a.Line1)
	s.text("ram:LineTwo", a.Line2)
	s.text("ram:LineThree", a.Line3)
	s.text("ram:CityName", a.City)
	s.text("ram:CountryID", a.Country)
	s.text("ram:CountrySubDivisionName", a.Subdivision)
	s.shut("ram:PostalTradeAddress")
}

func (s *sink) ciiEndpoint(id Identifier) {
	if id.ID != "" {
		s.open("ram:URIUniversalCommunication")
		s.with("ram:URIID", "schemeID", id.Scheme, id.ID)
		s.shut("ram:URIUniversalCommunication")
	}
}

func (s *sink) ciiRegistration(id, scheme string) {
	if id != "" {
		s.open("ram:SpecifiedTaxRegistration")
		s.with("ram:ID", "schemeID", scheme, id)
		s.shut("ram:SpecifiedTaxRegistration")
	}
}

func (s *sink) ciiDelivery(v *Invoice) {
	s.open("ram:ApplicableHeaderTradeDelivery")
	if d := v.Delivery; d != nil {
		if d.Name != "" || d.Location.ID != "" || d.Address != nil {
			s.open("ram:ShipToTradeParty")
			s.ciiIDs(d.Location)
			s.text("ram:Name", d.Name)
			s.ciiAddress(d.Address)
			s.shut("ram:ShipToTradeParty")
		}
		if !noDate(d.Date) {
			s.open("ram:ActualDeliverySupplyChainEvent")
			s.ciiDate("ram:OccurrenceDateTime", d.Date)
			s.shut("ram:ActualDeliverySupplyChainEvent")
		}
	}
	s.wrapped("ram:DespatchAdviceReferencedDocument", "ram:IssuerAssignedID", v.DespatchAdvice)
	s.wrapped("ram:ReceivingAdviceReferencedDocument", "ram:IssuerAssignedID", v.ReceivingAdvice)
	s.shut("ram:ApplicableHeaderTradeDelivery")
}

func (s *sink) ciiSettlement(v *Invoice) {
	s.open("ram:ApplicableHeaderTradeSettlement")
	p := v.Payment
	if p != nil {
		if p.Debit != nil {
			s.text("ram:CreditorReferenceID", p.Debit.Creditor)
		}
		s.text("ram:PaymentReference", p.Remittance)
	}
	s.text("ram:TaxCurrencyCode", v.TaxCurrency.Code())
	s.text("ram:InvoiceCurrencyCode", v.Currency.Code())
	if payee := v.Payee; payee != nil {
		s.open("ram:PayeeTradeParty")
		s.ciiIDs(payee.ID)
		s.text("ram:Name", payee.Name)
		s.ciiLegal(payee.Legal, "")
		s.shut("ram:PayeeTradeParty")
	}
	s.ciiPayment(p)
	for i := range v.VAT {
		s.ciiBreakdown(v, &v.VAT[i])
	}
	s.ciiPeriod(v.Period)
	s.ciiAdjustments(v.Allowances, false, true)
	s.ciiAdjustments(v.Charges, true, true)
	s.ciiTerms(v)
	s.ciiTotals(&v.Totals)
	for i := range v.Preceding {
		s.open("ram:InvoiceReferencedDocument")
		s.text("ram:IssuerAssignedID", v.Preceding[i].Number)
		s.ciiDay("ram:FormattedIssueDateTime", "qdt:DateTimeString", v.Preceding[i].Issued)
		s.shut("ram:InvoiceReferencedDocument")
	}
	s.wrapped("ram:ReceivableSpecifiedTradeAccountingAccount", "ram:ID", v.BuyerAccounting)
	s.shut("ram:ApplicableHeaderTradeSettlement")
}

// ciiPayment writes BG-16, one group for each account; card and debited account stand
// in the first.
func (s *sink) ciiPayment(p *Payment) {
	if p == nil {
		return
	}
	for i := range max(1, len(p.Transfers)) {
		s.open("ram:SpecifiedTradeSettlementPaymentMeans")
		s.text("ram:TypeCode", p.Means)
		s.text("ram:Information", p.Text)
		if i == 0 {
			s.ciiCard(p.Card)
		}
		if i == 0 && p.Debit != nil {
			s.wrapped("ram:PayerPartyDebtorFinancialAccount", "ram:IBANID", p.Debit.Account)
		}
		if i < len(p.Transfers) {
			s.ciiAccount(&p.Transfers[i])
		}
		s.shut("ram:SpecifiedTradeSettlementPaymentMeans")
	}
}

func (s *sink) ciiCard(c *Card) {
	if c != nil {
		s.open("ram:ApplicableTradeSettlementFinancialCard")
		s.text("ram:ID", c.Number)
		s.text("ram:CardholderName", c.Holder)
		s.shut("ram:ApplicableTradeSettlementFinancialCard")
	}
}

func (s *sink) ciiAccount(t *Transfer) {
	s.open("ram:PayeePartyCreditorFinancialAccount")
	if isIBAN(t.Account) {
		s.text("ram:IBANID", t.Account)
	}
	s.text("ram:AccountName", t.Name)
	if !isIBAN(t.Account) {
		s.text("ram:ProprietaryID", t.Account)
	}
	s.shut("ram:PayeePartyCreditorFinancialAccount")
	s.wrapped("ram:PayeeSpecifiedCreditorFinancialInstitution", "ram:BICID", t.Provider)
}

// isIBAN tells an IBAN from a national account number by its form (ISO 13616).
func isIBAN(account string) bool {
	if len(account) < 15 || len(account) > 34 || !isCountry(account[:2]) {
		return false
	}
	for i := 2; i < len(account); i++ {
		c := account[i]
		if digit := c >= '0' && c <= '9'; !digit && (i < 4 || c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// dueDateTypes are the codes of BT-8 in CII (UNTDID 2475) for those of the model (2005).
var dueDateTypes = [...][2]string{{"3", "5"}, {"35", "29"}, {"432", "72"}}

// ciiBreakdown writes BG-23, with BT-7 or BT-8, which CII keeps in every breakdown.
func (s *sink) ciiBreakdown(v *Invoice, b *Breakdown) {
	s.open("ram:ApplicableTradeTax")
	s.money("ram:CalculatedAmount", b.Tax, false)
	s.raw("<ram:TypeCode>VAT</ram:TypeCode>")
	s.text("ram:ExemptionReason", b.Reason)
	s.money("ram:BasisAmount", b.Base, false)
	s.text("ram:CategoryCode", string(b.Category))
	s.text("ram:ExemptionReasonCode", b.ReasonCode)
	s.ciiDay("ram:TaxPointDate", "udt:DateString", v.TaxPoint)
	if v.TaxPointCode != "" {
		s.text("ram:DueDateTypeCode", s.dueDateType(v.TaxPointCode))
	}
	s.number("ram:RateApplicablePercent", b.Rate)
	s.shut("ram:ApplicableTradeTax")
}

func (s *sink) dueDateType(code string) string {
	for _, pair := range dueDateTypes {
		if pair[0] == code {
			return pair[1]
		}
	}
	s.cannot("the tax point code " + code + ": CII knows 3, 35 and 432")
	return ""
}

// ciiTerms writes BT-20, BT-9 and BT-89, which CII keeps with the terms.
func (s *sink) ciiTerms(v *Invoice) {
	mandate := ""
	if v.Payment != nil && v.Payment.Debit != nil {
		mandate = v.Payment.Debit.Mandate
	}
	if v.Terms == "" && noDate(v.Due) && mandate == "" {
		return
	}
	s.open("ram:SpecifiedTradePaymentTerms")
	s.text("ram:Description", v.Terms)
	s.ciiDate("ram:DueDateDateTime", v.Due)
	s.text("ram:DirectDebitMandateID", mandate)
	s.shut("ram:SpecifiedTradePaymentTerms")
}

func (s *sink) ciiTotals(t *Totals) {
	s.open("ram:SpecifiedTradeSettlementHeaderMonetarySummation")
	s.money("ram:LineTotalAmount", t.Lines, false)
	s.money("ram:ChargeTotalAmount", t.Charges, false)
	s.money("ram:AllowanceTotalAmount", t.Allowances, false)
	s.money("ram:TaxBasisTotalAmount", t.WithoutVAT, false)
	s.money("ram:TaxTotalAmount", t.VAT, true)
	s.money("ram:TaxTotalAmount", t.TaxAccounting, true)
	s.money("ram:RoundingAmount", t.Rounding, false)
	s.money("ram:GrandTotalAmount", t.WithVAT, false)
	s.money("ram:TotalPrepaidAmount", t.Prepaid, false)
	s.money("ram:DuePayableAmount", t.Payable, false)
	s.shut("ram:SpecifiedTradeSettlementHeaderMonetarySummation")
}

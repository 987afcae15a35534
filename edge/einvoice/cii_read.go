package einvoice

import (
	"fmt"
	"io"

	"tandem/kit/money"
)

// ReadCII reads a UN/CEFACT Cross Industry Invoice D16B, as ReadUBL reads UBL.
func ReadCII(r io.Reader) (*Invoice, error) {
	root, err := document(r, nsRSM, nsRAM, nsUDT, nsQDT)
	if err != nil {
		return nil, err
	}
	if root.name != "CrossIndustryInvoice" {
		return nil, fmt.Errorf("%w: the root is %.100q", ErrSyntax, root.name)
	}
	deal := root.one("SupplyChainTradeTransaction")
	c := ciiReader{v: new(Invoice), agreement: deal.one("ApplicableHeaderTradeAgreement"),
		delivered: deal.one("ApplicableHeaderTradeDelivery"), settlement: deal.one("ApplicableHeaderTradeSettlement")}
	c.header(root)
	c.references()
	c.parties()
	c.delivery()
	c.payment()
	c.v.Allowances, c.v.Charges = c.adjustments(c.settlement, true)
	c.taxes()
	c.totals()
	for _, n := range deal.all("IncludedSupplyChainTradeLineItem") {
		c.v.Lines = append(c.v.Lines, c.line(n))
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.v, nil
}

type ciiReader struct {
	values
	v                                *Invoice
	agreement, delivered, settlement *node
}

func (c *ciiReader) header(root *node) {
	v, doc, s := c.v, root.one("ExchangedDocument"), c.settlement
	v.Currency = c.currencyOf(s.one("InvoiceCurrencyCode"))
	c.currency = v.Currency
	v.TaxCurrency = c.currencyOf(s.one("TaxCurrencyCode"))
	context := root.one("ExchangedDocumentContext")
	v.Process = context.str("BusinessProcessSpecifiedDocumentContextParameter", "ID")
	v.Specification = context.str("GuidelineSpecifiedDocumentContextParameter", "ID")
	v.Number, v.Type = doc.str("ID"), Type(doc.str("TypeCode"))
	v.Issued = c.date(doc.one("IssueDateTime", "DateTimeString"))
	for _, n := range doc.all("IncludedNote") {
		v.Notes = append(v.Notes, Note{n.str("SubjectCode"), n.str("Content")})
	}
	v.Period = c.period(s.one("BillingSpecifiedPeriod"))
	v.BuyerAccounting = s.str("ReceivableSpecifiedTradeAccountingAccount", "ID")
	for _, n := range s.all("InvoiceReferencedDocument") {
		v.Preceding = append(v.Preceding, Preceding{n.str("IssuerAssignedID"), c.date(n.one("FormattedIssueDateTime", "DateTimeString"))})
	}
	terms := s.one("SpecifiedTradePaymentTerms")
	v.Terms, v.Due = terms.str("Description"), c.date(terms.one("DueDateDateTime", "DateTimeString"))
}

func (c *ciiReader) period(n *node) *Period {
	if n == nil {
		return nil
	}
	return &Period{c.date(n.one("StartDateTime", "DateTimeString")), c.date(n.one("EndDateTime", "DateTimeString"))}
}

func (c *ciiReader) references() {
	const assigned = "IssuerAssignedID"
	v, a := c.v, c.agreement
	v.BuyerReference, v.Project = a.str("BuyerReference"), a.str("SpecifiedProcuringProject", "ID")
	v.SalesOrder, v.PurchaseOrder = a.str("SellerOrderReferencedDocument", assigned), a.str("BuyerOrderReferencedDocument", assigned)
	v.Contract = a.str("ContractReferencedDocument", assigned)
	v.DespatchAdvice = c.delivered.str("DespatchAdviceReferencedDocument", assigned)
	v.ReceivingAdvice = c.delivered.str("ReceivingAdviceReferencedDocument", assigned)
	for _, n := range a.all("AdditionalReferencedDocument") {
		switch n.str("TypeCode") {
		case tenderReference:
			v.Tender = n.str(assigned)
		case objectReference:
			v.Object = ciiReference(n)
		default:
			d := Document{Reference: n.str(assigned), Description: n.str("Name"), Location: n.str("URIID")}
			c.file(n.one("AttachmentBinaryObject"), &d)
			v.Documents = append(v.Documents, d)
		}
	}
}

func ciiReference(n *node) Identifier {
	id := Identifier{n.str("IssuerAssignedID"), n.str("ReferenceTypeCode")}
	if id.ID == "" {
		return Identifier{}
	}
	return id
}

func (c *ciiReader) parties() {
	v := c.v
	p, s := c.agreement.one("SellerTradeParty"), &v.Seller
	s.IDs, s.Name, s.LegalForm = ciiIDs(p), p.str("Name"), p.str("Description")
	s.Legal, s.TradingName = p.id("SpecifiedLegalOrganization", "ID"), p.str("SpecifiedLegalOrganization", "TradingBusinessName")
	s.Contact, s.Address, s.Endpoint = ciiContact(p), ciiAddress(p), p.id("URIUniversalCommunication", "URIID")
	s.VAT, s.TaxRegistration = ciiRegistration(p, vatRegistration), ciiRegistration(p, taxRegistration)

	p, b := c.agreement.one("BuyerTradeParty"), &v.Buyer
	b.ID, b.Name = first(ciiIDs(p)), p.str("Name")
	b.Legal, b.TradingName = p.id("SpecifiedLegalOrganization", "ID"), p.str("SpecifiedLegalOrganization", "TradingBusinessName")
	b.Contact, b.Address, b.Endpoint = ciiContact(p), ciiAddress(p), p.id("URIUniversalCommunication", "URIID")
	b.VAT = ciiRegistration(p, vatRegistration)

	if p = c.settlement.one("PayeeTradeParty"); p != nil {
		v.Payee = &Payee{p.str("Name"), first(ciiIDs(p)), p.id("SpecifiedLegalOrganization", "ID")}
	}
	if p = c.agreement.one("SellerTaxRepresentativeTradeParty"); p != nil {
		v.TaxRepresentative = &TaxRepresentative{p.str("Name"), ciiRegistration(p, vatRegistration), ciiAddress(p)}
	}
}

func ciiIDs(p *node) []Identifier {
	var ids []Identifier
	for _, name := range [...]string{"ID", "GlobalID"} {
		for _, n := range p.all(name) {
			if id := n.id(); id.ID != "" {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func first(ids []Identifier) Identifier {
	if len(ids) == 0 {
		return Identifier{}
	}
	return ids[0]
}

func ciiRegistration(p *node, scheme string) string {
	for _, n := range p.all("SpecifiedTaxRegistration") {
		if id := n.id("ID"); id.Scheme == scheme {
			return id.ID
		}
	}
	return ""
}

func ciiContact(p *node) *Contact {
	n := p.one("DefinedTradeContact")
	if n == nil {
		return nil
	}
	return &Contact{
		or(n.str("PersonName"), n.str("DepartmentName")),
		n.str("TelephoneUniversalCommunication", "CompleteNumber"),
		n.str("EmailURIUniversalCommunication", "URIID"),
	}
}

func ciiAddress(p *node) *Address {
	n := p.one("PostalTradeAddress")
	if n == nil {
		return nil
	}
	return &Address{
		Line1: n.str("LineOne"), Line2: n.str("LineTwo"), Line3: n.str("LineThree"), City: n.str("CityName"),
		PostCode: n.str("PostcodeCode"), Subdivision: n.str("CountrySubDivisionName"), Country: n.str("CountryID"),
	}
}

func (c *ciiReader) delivery() {
	to, day := c.delivered.one("ShipToTradeParty"), c.delivered.one("ActualDeliverySupplyChainEvent")
	if to == nil && day == nil {
		return
	}
	c.v.Delivery = &Delivery{
		Name: to.str("Name"), Location: first(ciiIDs(to)), Address: ciiAddress(to),
		Date: c.date(day.one("OccurrenceDateTime", "DateTimeString")),
	}
}

func (c *ciiReader) payment() {
	s := c.settlement
	p := &Payment{Remittance: s.str("PaymentReference")}
	debit := DirectDebit{Mandate: s.str("SpecifiedTradePaymentTerms", "DirectDebitMandateID"), Creditor: s.str("CreditorReferenceID")}
	means := s.all("SpecifiedTradeSettlementPaymentMeans")
	for i, n := range means {
		if i == 0 {
			p.Means, p.Text = n.str("TypeCode"), n.str("Information")
		}
		if card := n.one("ApplicableTradeSettlementFinancialCard"); card != nil && p.Card == nil {
			p.Card = &Card{card.str("ID"), card.str("CardholderName")}
		}
		debit.Account = or(debit.Account, n.str("PayerPartyDebtorFinancialAccount", "IBANID"))
		if a := n.one("PayeePartyCreditorFinancialAccount"); a != nil {
			p.Transfers = append(p.Transfers, Transfer{
				or(a.str("IBANID"), a.str("ProprietaryID")), a.str("AccountName"),
				n.str("PayeeSpecifiedCreditorFinancialInstitution", "BICID"),
			})
		}
	}
	if debit != (DirectDebit{}) {
		p.Debit = &debit
	}
	if len(means) > 0 || p.Remittance != "" || p.Debit != nil {
		c.v.Payment = p
	}
}

func (c *ciiReader) adjustments(n *node, taxed bool) (allowances, charges []Adjustment) {
	for _, x := range n.all("SpecifiedTradeAllowanceCharge") {
		a := Adjustment{
			Amount: c.amount(x.one("ActualAmount")), Base: c.amount(x.one("BasisAmount")),
			Percent: c.decimal(x.one("CalculationPercent")), Reason: x.str("Reason"), ReasonCode: x.str("ReasonCode"),
		}
		if taxed {
			a.Tax = c.tax(x.one("CategoryTradeTax"))
		}
		if c.indicated(x.one("ChargeIndicator", "Indicator")) {
			charges = append(charges, a)
			continue
		}
		allowances = append(allowances, a)
	}
	return allowances, charges
}

func (c *ciiReader) tax(n *node) Tax {
	return Tax{Category(n.str("CategoryCode")), c.decimal(n.one("RateApplicablePercent"))}
}

func (c *ciiReader) taxes() {
	v := c.v
	for _, n := range c.settlement.all("ApplicableTradeTax") {
		t := c.tax(n)
		v.VAT = append(v.VAT, Breakdown{
			Base: c.amount(n.one("BasisAmount")), Tax: c.amount(n.one("CalculatedAmount")),
			Category: t.Category, Rate: t.Rate, Reason: n.str("ExemptionReason"), ReasonCode: n.str("ExemptionReasonCode"),
		})
		if d := c.date(n.one("TaxPointDate", "DateString")); !noDate(d) {
			v.TaxPoint = d
		}
		if code := n.str("DueDateTypeCode"); code != "" {
			v.TaxPointCode = code
			for _, pair := range dueDateTypes {
				if pair[1] == code {
					v.TaxPointCode = pair[0]
				}
			}
		}
	}
}

func (c *ciiReader) totals() {
	t, n := &c.v.Totals, c.settlement.one("SpecifiedTradeSettlementHeaderMonetarySummation")
	t.Lines, t.Charges = c.amount(n.one("LineTotalAmount")), c.amount(n.one("ChargeTotalAmount"))
	t.Allowances, t.WithoutVAT = c.amount(n.one("AllowanceTotalAmount")), c.amount(n.one("TaxBasisTotalAmount"))
	t.Rounding, t.WithVAT = c.amount(n.one("RoundingAmount")), c.amount(n.one("GrandTotalAmount"))
	t.Prepaid, t.Payable = c.amount(n.one("TotalPrepaidAmount")), c.amount(n.one("DuePayableAmount"))
	for _, x := range n.all("TaxTotalAmount") {
		a := c.amount(x)
		if present(t.VAT) || a.Currency != c.v.Currency && a.Currency == c.v.TaxCurrency && a.Currency != (money.Currency{}) {
			t.TaxAccounting = a
			continue
		}
		t.VAT = a
	}
}

func (c *ciiReader) line(n *node) Line {
	doc, deal := n.one("AssociatedDocumentLineDocument"), n.one("SpecifiedLineTradeAgreement")
	s, quantity := n.one("SpecifiedLineTradeSettlement"), n.one("SpecifiedLineTradeDelivery", "BilledQuantity")
	l := Line{
		ID: doc.str("LineID"), Note: doc.str("IncludedNote", "Content"),
		Quantity: c.decimal(quantity), Unit: quantity.attribute("unitCode"),
		Net:       c.amount(s.one("SpecifiedTradeSettlementLineMonetarySummation", "LineTotalAmount")),
		OrderLine: deal.str("BuyerOrderReferencedDocument", "LineID"), Period: c.period(s.one("BillingSpecifiedPeriod")),
		BuyerAccounting: s.str("ReceivableSpecifiedTradeAccountingAccount", "ID"),
		Price:           c.price(deal), Tax: c.tax(s.one("ApplicableTradeTax")), Item: ciiItem(n.one("SpecifiedTradeProduct")),
	}
	for _, ref := range s.all("AdditionalReferencedDocument") {
		if ref.str("TypeCode") == objectReference {
			l.Object = ciiReference(ref)
		}
	}
	l.Allowances, l.Charges = c.adjustments(s, false)
	return l
}

func (c *ciiReader) price(deal *node) Price {
	net, gross := deal.one("NetPriceProductTradePrice"), deal.one("GrossPriceProductTradePrice")
	per := net.one("BasisQuantity")
	return Price{
		Net: c.decimal(net.one("ChargeAmount")), Gross: c.decimal(gross.one("ChargeAmount")),
		Discount: c.decimal(gross.one("AppliedTradeAllowanceCharge", "ActualAmount")),
		Per:      c.decimal(per), Unit: per.attribute("unitCode"),
	}
}

func ciiItem(n *node) Item {
	item := Item{
		Name: n.str("Name"), Description: n.str("Description"), SellerID: n.str("SellerAssignedID"),
		BuyerID: n.str("BuyerAssignedID"), StandardID: n.id("GlobalID"), Origin: n.str("OriginTradeCountry", "ID"),
	}
	for _, x := range n.all("DesignatedProductClassification") {
		item.Classes = append(item.Classes, classOf(x.one("ClassCode")))
	}
	for _, x := range n.all("ApplicableProductCharacteristic") {
		item.Attributes = append(item.Attributes, Attribute{x.str("Description"), x.str("Value")})
	}
	return item
}

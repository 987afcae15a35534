package billing

import (
	"strconv"

	"github.com/go-json-experiment/json"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// Kinds of document.
const (
	Invoice    = "invoice"
	CreditNote = "creditNote" // its amounts are what the customer gets: positive
)

// Document is what a bill says, and all that is posted of it: whoever sold and bought, as
// they were then, lines, tax, totals and how to pay. Number and hash are not part of it;
// they are given to it when it is posted. Amounts are minor units of its currency. Invoice,
// PDF, explanation and TMF678 are views of it, so none can say another thing.
type Document struct {
	Bill        string `json:"bill"`
	Kind        string `json:"kind"`
	Account     string `json:"account"`
	AccountName string `json:"accountName,omitzero"`
	Customer    string `json:"customer,omitzero"` // id in party
	Entity      string `json:"entity"`            // the legal entity that sells
	Brand       string `json:"brand,omitzero"`    // template it is rendered with
	Currency    string `json:"currency"`
	Language    string `json:"language"` // BCP 47, such as "de"
	Zone        string `json:"zone"`     // IANA, of the dates

	Date    civil.Date `json:"date"`
	Due     civil.Date `json:"due,omitzero"`
	From    civil.Date `json:"from,omitzero"` // billing period, half open
	To      civil.Date `json:"to,omitzero"`
	DueDays int64      `json:"dueDays,omitzero"`
	// Shortened says that the billing period is not a whole one: the billing cycle was changed.
	Shortened bool `json:"shortened,omitzero"`

	Seller DocumentParty `json:"seller"`
	Buyer  DocumentParty `json:"buyer"`
	Bank   *Bank         `json:"bank,omitzero"` // where to pay

	BuyerReference string     `json:"buyerReference,omitzero"` // EN 16931 BT-10
	PurchaseOrder  string     `json:"purchaseOrder,omitzero"`  // BT-13
	Contract       string     `json:"contract,omitzero"`       // BT-12
	Note           string     `json:"note,omitzero"`           // BT-22
	Preceding      *Preceding `json:"preceding,omitzero"`      // of a credit note: the invoice it corrects
	Replaces       *Preceding `json:"replaces,omitzero"`       // of a corrected invoice: the one it comes for
	Reason         string     `json:"reason,omitzero"`         // of a credit note: why, a code of CreditReasons

	Lines []DocumentLine `json:"lines"`
	Taxes []DocumentTax  `json:"taxes"`
	Net   int64          `json:"net"`
	Tax   int64          `json:"tax"`
	Gross int64          `json:"gross"`
}

// DocumentParty is a seller or buyer as it was when the document was made.
type DocumentParty struct {
	Name            string `json:"name"`
	TradingName     string `json:"tradingName,omitzero"`
	ID              string `json:"id,omitzero"`              // by which the other one knows it
	Registration    string `json:"registration,omitzero"`    // of companies: HRB 1234 B
	VATID           string `json:"vatId,omitzero"`           // with the country before it
	TaxRegistration string `json:"taxRegistration,omitzero"` // with the local tax office
	LegalForm       string `json:"legalForm,omitzero"`
	Street          string `json:"street,omitzero"`
	Street2         string `json:"street2,omitzero"`
	PostCode        string `json:"postCode,omitzero"`
	City            string `json:"city,omitzero"`
	Region          string `json:"region,omitzero"`
	Country         string `json:"country,omitzero"` // ISO 3166-1 alpha-2
	Contact         string `json:"contact,omitzero"`
	Email           string `json:"email,omitzero"`
	Phone           string `json:"phone,omitzero"`
	Endpoint        string `json:"endpoint,omitzero"`       // electronic address, BT-34 and BT-49
	EndpointScheme  string `json:"endpointScheme,omitzero"` // of the EAS code list: 0088, EM, 9930
}

// Bank is an account of the seller that customers pay to.
type Bank struct {
	Name       string `json:"name,omitzero"` // of the account's owner
	IBAN       string `json:"iban,omitzero"`
	BIC        string `json:"bic,omitzero"`
	CreditorID string `json:"creditorId,omitzero"` // SEPA creditor identifier
}

// Preceding names a document that was posted before.
type Preceding struct {
	Bill   string     `json:"bill"`
	Number string     `json:"number"`
	Date   civil.Date `json:"date"`
}

// DocumentLine is compute.Line as it is kept. See there.
type DocumentLine struct {
	ID      string `json:"id"` // in the document: 1, 2, ...
	Item    string `json:"item,omitzero"`
	Key     string `json:"key,omitzero"`
	Price   string `json:"price,omitzero"`
	Version string `json:"version,omitzero"`
	Name    string `json:"name"`
	Product string `json:"product,omitzero"`
	Account string `json:"account,omitzero"`
	Sort    string `json:"sort"` // recurring, oneTime, discount, commitment, usage

	Index       int        `json:"index,omitzero"`
	Number      int        `json:"number,omitzero"` // how many lines the item and period had before
	ServiceFrom civil.Date `json:"serviceFrom,omitzero"`
	ServiceTo   civil.Date `json:"serviceTo,omitzero"`
	FullFrom    civil.Date `json:"fullFrom,omitzero"`
	FullTo      civil.Date `json:"fullTo,omitzero"`
	Part        int64      `json:"part,omitzero"` // of Of: days, or nanoseconds
	Of          int64      `json:"of,omitzero"`
	Rested      int64      `json:"rested,omitzero"` // of Of, at the price while suspended
	Rule        string     `json:"rule,omitzero"`   // days, 30days, seconds, full, whole
	Unit        int64      `json:"unit,omitzero"`   // 10^-9 of the major unit: price of a full period, a piece; of usage the exact sum
	Quantity    int64      `json:"quantity,omitzero"`
	UsageUnit   string     `json:"usageUnit,omitzero"`
	Records     int64      `json:"records,omitzero"`
	Percent     [2]int64   `json:"percent,omitzero"` // of a discount
	Base        int64      `json:"base,omitzero"`    // what a discount or commitment counted

	Wanted   int64  `json:"wanted,omitzero"`
	Before   int64  `json:"before,omitzero"`
	Credited int64  `json:"credited,omitzero"` // of the difference of both, what credit notes have settled
	Amount   int64  `json:"amount"`
	Net      int64  `json:"net"`
	Corrects string `json:"corrects,omitzero"`

	TaxCategory string     `json:"taxCategory"`
	TaxCode     string     `json:"taxCode"`
	TaxPercent  [2]int64   `json:"taxPercent"` // num and den of a hundredth: 19/1
	TaxReason   string     `json:"taxReason,omitzero"`
	TaxIncluded bool       `json:"taxIncluded,omitzero"`
	TaxPoint    civil.Date `json:"taxPoint,omitzero"`
	Revenue     string     `json:"revenue,omitzero"`
}

// DocumentTax is the tax of one category and rate (EN 16931 BG-23).
type DocumentTax struct {
	Category string   `json:"category"`
	Code     string   `json:"code"`
	Percent  [2]int64 `json:"percent"`
	Reason   string   `json:"reason,omitzero"`
	Net      int64    `json:"net"`
	Tax      int64    `json:"tax"`
}

// Encode is the canonical JSON of the document, which is stored and hashed: members in the
// order of the struct, nothing absent written, no blanks.
func (d *Document) Encode() ([]byte, error) { return json.Marshal(d, json.Deterministic(true)) }

// ReadDocument reads what Encode has written.
func ReadDocument(doc []byte) (*Document, error) {
	d := &Document{}
	return d, json.Unmarshal(doc, d)
}

// Money is an amount of the document.
func (d *Document) Money(minor int64) (money.Amount, error) {
	c, err := money.ParseCurrency(d.Currency)
	return money.Amount{Minor: minor, Currency: c}, err
}

// names of compute's words, as they are kept.
var (
	sortNames = map[compute.Sort]string{compute.Recurring: Recurring, compute.OneTime: OneTime, compute.Discount: "discount",
		compute.Commitment: "commitment", compute.Usage: Usage}
	ruleNames = map[compute.Proration]string{compute.ByDays: "days", compute.By30Days: "30days", compute.BySeconds: "seconds",
		compute.InFull: "full", compute.WholeOnly: "whole"}
)

// fill takes over what was computed. A bill in the customer's favour becomes a credit note.
func (d *Document) fill(b *compute.Bill) {
	d.Kind, d.Date, d.From, d.To = Invoice, b.Date, b.Period.From, b.Period.To
	sign := int64(1)
	if b.Gross < 0 {
		d.Kind, sign = CreditNote, -1
	}
	d.Net, d.Tax, d.Gross = sign*b.Net, sign*b.Tax, sign*b.Gross
	d.Lines = make([]DocumentLine, len(b.Lines))
	for i := range b.Lines {
		d.Lines[i] = documentLine(&b.Lines[i], i, sign)
	}
	d.Taxes = make([]DocumentTax, len(b.Taxes))
	for i, t := range b.Taxes {
		d.Taxes[i] = DocumentTax{Category: t.Category, Code: t.Code, Percent: [2]int64{t.Percent.Num, t.Percent.Den}, Reason: t.Reason,
			Net: sign * t.Net, Tax: sign * t.Tax}
	}
}

func documentLine(l *compute.Line, i int, sign int64) DocumentLine {
	out := DocumentLine{ID: strconv.Itoa(i + 1), Item: l.Item, Key: l.Key, Price: l.Price, Version: l.Version, Name: l.Name, Product: l.Product, Account: l.Account,
		Sort: sortNames[l.Sort], Index: l.Index, Number: l.Number, ServiceFrom: l.Service.From, ServiceTo: l.Service.To, FullFrom: l.Full.From, FullTo: l.Full.To,
		Part: l.Portion.Num(), Of: l.Portion.Of, Rested: l.Rested, Percent: [2]int64{l.Percent.Num, l.Percent.Den}, Base: sign * l.Base, Unit: l.Unit.Nano, Quantity: l.Quantity, UsageUnit: l.UsageUnit, Records: l.Records,
		Wanted: sign * l.Wanted, Before: sign * l.Before, Credited: sign * l.Credited, Amount: sign * l.Amount, Net: sign * l.Net, Corrects: l.Corrects,
		TaxCategory: l.TaxCategory, TaxCode: l.TaxCode, TaxPercent: [2]int64{l.TaxPercent.Num, l.TaxPercent.Den}, TaxReason: l.TaxReason,
		TaxIncluded: l.TaxIncluded, TaxPoint: l.TaxPoint, Revenue: l.Revenue}
	if l.Sort == compute.Recurring {
		out.Rule = ruleNames[l.Rule]
	}
	return out
}

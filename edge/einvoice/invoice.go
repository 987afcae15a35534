package einvoice

import (
	"errors"

	"tandem/kit/civil"
	"tandem/kit/money"
)

// What can go wrong with a document. Every error of the readers and writers wraps one.
var (
	// ErrSyntax: not the XML of an invoice, or a value that is none of its type.
	ErrSyntax = errors.New("not an electronic invoice")
	// ErrLimit: larger or deeper than any invoice.
	ErrLimit = errors.New("the electronic invoice is too large")
	// ErrCarry: the syntax has no place for something in the model.
	ErrCarry = errors.New("cannot be carried by this syntax")
)

// EN16931 is the specification identifier (BT-24) of an invoice that follows the
// standard and no national usage specification.
const EN16931 = "urn:cen.eu:en16931:2017"

// Type is the invoice type code (BT-3, UNTDID 1001).
type Type string

// The types that a telecom operator issues. BR-CL-01 allows more.
const (
	Commercial Type = "380" // commercial invoice
	Corrected  Type = "384" // corrected invoice
	CreditNote Type = "381" // credit note
	Prepayment Type = "386" // prepayment invoice
	SelfBilled Type = "389" // self-billed invoice
)

// Credit tells whether the type is a credit note: its positive amounts are owed by
// the seller, and UBL has a document of its own for it.
func (t Type) Credit() bool {
	switch t {
	case "81", "83", "261", "262", "296", "308", "381", "396", "420", "458", "502", "503", "532":
		return true
	}
	return false
}

// known is the list of UNTDID 1001 that EN 16931 uses (BR-CL-01).
func (t Type) known() bool {
	switch t {
	case "71", "80", "82", "84", "102", "130", "202", "203", "204", "211", "218", "219", "295", "325", "326",
		"331", "380", "382", "383", "384", "385", "386", "387", "388", "389", "390", "393", "394", "395",
		"456", "457", "527", "553", "575", "623", "633", "751", "780", "817", "870", "875", "876", "877", "935":
		return true
	}
	return t.Credit()
}

// Invoice is the semantic model of EN 16931-1 clause 6.3, invoice or credit note.
type Invoice struct {
	Number       string         // BT-1 invoice number
	Issued       civil.Date     // BT-2 issue date
	Type         Type           // BT-3 type code
	Currency     money.Currency // BT-5 invoice currency
	TaxCurrency  money.Currency // BT-6 VAT accounting currency, where it is another
	TaxPoint     civil.Date     // BT-7 value added tax point date
	TaxPointCode string         // BT-8 its code instead: 3 issue, 35 delivery, 432 payment (UNTDID 2005)
	Due          civil.Date     // BT-9 payment due date

	BuyerReference  string     // BT-10 given by the buyer, for his own routing
	Project         string     // BT-11 project reference
	Contract        string     // BT-12 contract reference
	PurchaseOrder   string     // BT-13 purchase order reference
	SalesOrder      string     // BT-14 sales order reference
	ReceivingAdvice string     // BT-15 receiving advice reference
	DespatchAdvice  string     // BT-16 despatch advice reference
	Tender          string     // BT-17 tender or lot reference
	Object          Identifier // BT-18 invoiced object: a line, a meter
	BuyerAccounting string     // BT-19 buyer accounting reference
	Terms           string     // BT-20 payment terms in words
	Notes           []Note     // BG-1
	Process         string     // BT-23 business process type
	Specification   string     // BT-24 specification identifier, see EN16931

	Preceding         []Preceding        // BG-3 invoices that this one corrects or credits
	Seller            Seller             // BG-4
	Buyer             Buyer              // BG-7
	Payee             *Payee             // BG-10 who is paid, where it is not the seller
	TaxRepresentative *TaxRepresentative // BG-11
	Delivery          *Delivery          // BG-13
	Period            *Period            // BG-14 invoicing period
	Payment           *Payment           // BG-16 payment instructions
	Allowances        []Adjustment       // BG-20 document level allowances
	Charges           []Adjustment       // BG-21 document level charges
	Totals            Totals             // BG-22
	VAT               []Breakdown        // BG-23 one per VAT category and rate
	Documents         []Document         // BG-24 additional supporting documents
	Lines             []Line             // BG-25
}

// Identifier is an identifier with the scheme it belongs to.
type Identifier struct {
	ID     string
	Scheme string // ISO/IEC 6523, EAS or UNTDID 1153, as the term says; may be empty where the term allows
}

// Note is a free text (BG-1).
type Note struct {
	Subject string // BT-21 subject code (UNTDID 4451), may be empty
	Text    string // BT-22
}

// Preceding names an earlier invoice (BG-3).
type Preceding struct {
	Number string     // BT-25
	Issued civil.Date // BT-26
}

// Period is the days from Start to End, both included (BG-14, BG-26), unlike
// civil.Period. One of them may be missing.
type Period struct {
	Start civil.Date // BT-73, BT-134
	End   civil.Date // BT-74, BT-135: the last day
}

// Delivery is where and when goods or services were delivered (BG-13).
type Delivery struct {
	Name     string     // BT-70 deliver to party
	Location Identifier // BT-71 deliver to location
	Date     civil.Date // BT-72 actual delivery date
	Address  *Address   // BG-15
}

// Document is an additional supporting document (BG-24).
type Document struct {
	Reference   string // BT-122
	Description string // BT-123
	Location    string // BT-124 external URL
	Content     []byte // BT-125 attached file; then MIME and File are needed
	MIME        string // BT-125-1 its media type
	File        string // BT-125-2 its file name
}

// Totals are the document totals (BG-22). All but TaxAccounting are in the invoice currency.
type Totals struct {
	Lines         money.Amount // BT-106 sum of line net amounts
	Allowances    money.Amount // BT-107 sum of document level allowances, absent without any
	Charges       money.Amount // BT-108 sum of document level charges, absent without any
	WithoutVAT    money.Amount // BT-109
	VAT           money.Amount // BT-110
	TaxAccounting money.Amount // BT-111 total VAT in the VAT accounting currency (BT-6)
	WithVAT       money.Amount // BT-112
	Prepaid       money.Amount // BT-113 paid amount
	Rounding      money.Amount // BT-114 rounding amount
	Payable       money.Amount // BT-115 amount due for payment
}

// Category is a VAT category code (BT-95, BT-102, BT-118, BT-151; UNTDID 5305).
type Category string

// The VAT categories.
const (
	Standard       Category = "S"  // standard rate, and every other rate above zero
	ZeroRated      Category = "Z"  // zero rated goods
	Exempt         Category = "E"  // exempt from tax
	ReverseCharge  Category = "AE" // VAT reverse charge
	IntraCommunity Category = "K"  // intra-community supply, rules BR-IC
	Export         Category = "G"  // export outside the Union
	OutOfScope     Category = "O"  // not subject to VAT
	IGIC           Category = "L"  // Canary Islands general indirect tax, rules BR-AF
	IPSI           Category = "M"  // tax of Ceuta and Melilla, rules BR-AG
)

// Tax is category and rate of a line, an allowance or a charge (BG-30).
type Tax struct {
	Category Category // BT-151, BT-95, BT-102
	Rate     Decimal  // BT-152, BT-96, BT-103: percent, absent in category O
}

// Breakdown is the VAT of one category and rate (BG-23).
type Breakdown struct {
	Base       money.Amount // BT-116 taxable amount
	Tax        money.Amount // BT-117 tax amount
	Category   Category     // BT-118
	Rate       Decimal      // BT-119 percent
	Reason     string       // BT-120 exemption reason
	ReasonCode string       // BT-121 its code (VATEX)
}

// Adjustment is an allowance or a charge, of the document (BG-20, BG-21) or of a line
// (BG-27, BG-28). The amount is not negative: the list it stands in says what it is.
type Adjustment struct {
	Amount     money.Amount // BT-92, BT-99, BT-136, BT-141
	Base       money.Amount // BT-93, BT-100, BT-137, BT-142: what the percentage is of
	Percent    Decimal      // BT-94, BT-101, BT-138, BT-143
	Tax        Tax          // BT-95, BT-96, BT-102, BT-103; empty on a line, whose own tax holds
	Reason     string       // BT-97, BT-104, BT-139, BT-144
	ReasonCode string       // BT-98, BT-140 (UNTDID 5189), BT-105, BT-145 (UNTDID 7161)
}

// Line is an invoice line (BG-25).
type Line struct {
	ID              string       // BT-126
	Note            string       // BT-127
	Object          Identifier   // BT-128 invoiced object
	Quantity        Decimal      // BT-129
	Unit            string       // BT-130 unit of measure (UN/ECE Recommendation 20 and 21): C62 one, MON month
	Net             money.Amount // BT-131 quantity x price, with the line's allowances and charges
	OrderLine       string       // BT-132 purchase order line
	BuyerAccounting string       // BT-133
	Period          *Period      // BG-26
	Allowances      []Adjustment // BG-27
	Charges         []Adjustment // BG-28
	Price           Price        // BG-29
	Tax             Tax          // BG-30
	Item            Item         // BG-31
}

// Price is the price of the item (BG-29), without VAT, in the invoice currency.
type Price struct {
	Net      Decimal // BT-146 net price
	Discount Decimal // BT-147 price discount
	Gross    Decimal // BT-148 gross price; the net price is it less the discount
	Per      Decimal // BT-149 base quantity, absent means 1
	Unit     string  // BT-150 its unit, that of the quantity
}

// Item is what is invoiced (BG-31).
type Item struct {
	Name        string           // BT-153
	Description string           // BT-154
	SellerID    string           // BT-155
	BuyerID     string           // BT-156
	StandardID  Identifier       // BT-157 with scheme (ISO/IEC 6523)
	Classes     []Classification // BT-158
	Origin      string           // BT-159 country of origin
	Attributes  []Attribute      // BG-32
}

// Classification is an item classification identifier (BT-158).
type Classification struct {
	ID      string
	Scheme  string // BT-158-1 (UNTDID 7143)
	Version string // BT-158-2
}

// Attribute is an item attribute (BG-32): calling number, tariff, allowance.
type Attribute struct {
	Name  string // BT-160
	Value string // BT-161
}

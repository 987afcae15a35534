package einvoice

// Seller is who sells (BG-4).
type Seller struct {
	Name            string       // BT-27 registered name
	TradingName     string       // BT-28
	IDs             []Identifier // BT-29, those without scheme first
	Legal           Identifier   // BT-30 legal registration
	VAT             string       // BT-31 VAT identifier, with country prefix
	TaxRegistration string       // BT-32 local tax number
	LegalForm       string       // BT-33 additional legal information
	Endpoint        Identifier   // BT-34 electronic address (scheme: EAS)
	Address         *Address     // BG-5
	Contact         *Contact     // BG-6
}

// Buyer is who buys (BG-7).
type Buyer struct {
	Name        string     // BT-44
	TradingName string     // BT-45
	ID          Identifier // BT-46
	Legal       Identifier // BT-47
	VAT         string     // BT-48
	Endpoint    Identifier // BT-49
	Address     *Address   // BG-8
	Contact     *Contact   // BG-9
}

// Payee is who is paid (BG-10).
type Payee struct {
	Name  string     // BT-59
	ID    Identifier // BT-60
	Legal Identifier // BT-61
}

// TaxRepresentative stands for the seller before the tax office (BG-11).
type TaxRepresentative struct {
	Name    string   // BT-62
	VAT     string   // BT-63
	Address *Address // BG-12
}

// Address is a postal address (BG-5, BG-8, BG-12, BG-15).
type Address struct {
	Line1       string // BT-35, 50, 64, 75: street and number
	Line2       string // BT-36, 51, 65, 76
	Line3       string // BT-162, 163, 164, 165
	City        string // BT-37, 52, 66, 77
	PostCode    string // BT-38, 53, 67, 78
	Subdivision string // BT-39, 54, 68, 79
	Country     string // BT-40, 55, 69, 80: ISO 3166-1 alpha-2
}

// Contact is a contact point (BG-6, BG-9).
type Contact struct {
	Name  string // BT-41, 56
	Phone string // BT-42, 57
	Mail  string // BT-43, 58
}

// Payment is how to pay (BG-16).
type Payment struct {
	Means      string       // BT-81 means (UNTDID 4461): see the constants
	Text       string       // BT-82 means in words
	Remittance string       // BT-83 what to quote when paying
	Transfers  []Transfer   // BG-17 accounts to pay to
	Card       *Card        // BG-18 card that was or will be charged
	Debit      *DirectDebit // BG-19
}

// Payment means that bills of an operator use (BT-81).
const (
	CreditTransfer     = "30"
	CardPayment        = "48"
	Debit              = "49"
	SEPACreditTransfer = "58"
	SEPADirectDebit    = "59"
)

// Transfer is an account to pay to (BG-17).
type Transfer struct {
	Account  string // BT-84 IBAN or national account number
	Name     string // BT-85 account name
	Provider string // BT-86 BIC
}

// Card is a payment card (BG-18). Never a whole card number: the last four to six digits.
type Card struct {
	Number string // BT-87 last digits
	Holder string // BT-88
}

// DirectDebit is a direct debit, SEPA or not (BG-19).
type DirectDebit struct {
	Mandate  string // BT-89 mandate reference
	Creditor string // BT-90 bank assigned creditor identifier
	Account  string // BT-91 debited account, IBAN
}

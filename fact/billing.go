package fact

// PostedBill is a bill that has its number and stands in the ledger: nothing of it changes
// any more. Dates are ISO 8601, amounts minor units of the currency.
type PostedBill struct {
	Bill     string `json:"bill"`
	Number   string `json:"number"`
	Account  string `json:"account"` // that pays
	Currency string `json:"currency"`
	Gross    int64  `json:"gross"`    // to be paid; negative: what the customer gets
	Date     string `json:"date"`     // the end of its period
	IssuedOn string `json:"issuedOn"` // when it was posted
	Due      string `json:"due"`
	Credits  string `json:"credits,omitzero"` // the bill that a credit note corrects
}

// BillsPosted says that bills of a legal entity were posted, those of one transaction
// together: millions are posted in a night.
type BillsPosted struct {
	Entity string       `json:"entity"` // that sells
	Bills  []PostedBill `json:"bills"`
}

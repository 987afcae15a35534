package fact

// PostedBill is a bill as the books know it. Amounts are minor units of Currency.
type PostedBill struct {
	Bill     string `json:"bill"`
	Number   string `json:"number"`
	Account  string `json:"account"` // billing account that pays
	Customer string `json:"customer,omitzero"`
	Currency string `json:"currency"`
	Gross    int64  `json:"gross"` // to be paid; negative: a credit note
	Date     string `json:"date"`  // of the bill, ISO 8601
	Due      string `json:"due"`
	Credits  string `json:"credits,omitzero"` // the bill that a credit note credits
}

// BillsPosted says that bills of a legal entity have been posted: numbered, hashed and
// in the books. Those of one transaction come together.
type BillsPosted struct {
	Entity string       `json:"entity"`
	Page   string       `json:"page"` // of the run, or the bill: names the fact
	Bills  []PostedBill `json:"bills"`
}

// Key orders the postings of an entity.
func (f BillsPosted) Key() string { return f.Entity }

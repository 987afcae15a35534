package einvoice

// adjustments checks the allowances and charges of the document (BG-20, BG-21).
func (c *checker) adjustments() {
	for i := range c.v.Allowances {
		a := &c.v.Allowances[i]
		c.allowed += a.Amount.Minor
		c.adjustment(a, &documentAllowance, in("Allowances", i))
		c.taxed(&a.Tax, a.Amount.Minor, onAllowance, "BR-32", "BR-CL-17", in("Allowances", i))
	}
	for i := range c.v.Charges {
		a := &c.v.Charges[i]
		c.charged += a.Amount.Minor
		c.adjustment(a, &documentCharge, in("Charges", i))
		c.taxed(&a.Tax, a.Amount.Minor, onCharge, "BR-37", "BR-CL-17", in("Charges", i))
	}
}

// adjustmentRules names the rules of one of the four groups of allowances and charges.
type adjustmentRules struct{ amount, reason, reasonToo, decimals, baseDecimals string }

var (
	documentAllowance = adjustmentRules{"BR-31", "BR-33", "BR-CO-21", "BR-DEC-01", "BR-DEC-02"}
	documentCharge    = adjustmentRules{"BR-36", "BR-38", "BR-CO-22", "BR-DEC-05", "BR-DEC-06"}
	lineAllowance     = adjustmentRules{"BR-41", "BR-42", "BR-CO-23", "BR-DEC-24", "BR-DEC-25"}
	lineCharge        = adjustmentRules{"BR-43", "BR-44", "BR-CO-24", "BR-DEC-27", "BR-DEC-28"}
)

func (c *checker) adjustment(a *Adjustment, r *adjustmentRules, p place) {
	c.need(present(a.Amount), r.amount, p.at("Amount"))
	if a.Reason == "" && a.ReasonCode == "" { // the standard says it twice
		c.fail(r.reason, p.at("Reason"))
		c.fail(r.reasonToo, p.at("Reason"))
	}
	c.amount(a.Amount, r.decimals, p.at("Amount"))
	c.amount(a.Base, r.baseDecimals, p.at("Base"))
}

// line checks one invoice line (BG-25).
func (c *checker) line(i int) {
	l, p := &c.v.Lines[i], in("Lines", i)
	c.need(l.ID != "", "BR-21", p.at("ID"))
	c.need(l.Quantity.present, "BR-22", p.at("Quantity"))
	c.need(l.Unit != "", "BR-23", p.at("Unit"))
	c.need(present(l.Net), "BR-24", p.at("Net"))
	c.amount(l.Net, "BR-DEC-23", p.at("Net"))
	c.need(l.Item.Name != "", "BR-25", p.at("Item.Name"))
	c.need(l.Price.Net.present, "BR-26", p.at("Price.Net"))
	c.need(l.Price.Net.units >= 0, "BR-27", p.at("Price.Net"))
	c.need(l.Price.Gross.units >= 0, "BR-28", p.at("Price.Gross"))
	c.period(l.Period, "BR-30", "BR-CO-20", p.at("Period"))
	for j := range l.Allowances {
		c.adjustment(&l.Allowances[j], &lineAllowance, p.in("Allowances", j))
	}
	for j := range l.Charges {
		c.adjustment(&l.Charges[j], &lineCharge, p.in("Charges", j))
	}
	c.item(&l.Item, p)
	c.lineCodes(l, p)
	c.lines += l.Net.Minor
	c.taxed(&l.Tax, l.Net.Minor, onLine, "BR-CO-04", "BR-CL-18", p)
}

// item checks what the line invoices (BG-31).
func (c *checker) item(item *Item, p place) {
	c.need(item.StandardID.ID == "" || item.StandardID.Scheme != "", "BR-64", p.at("Item.StandardID.Scheme"))
	for j := range item.Classes {
		c.need(item.Classes[j].Scheme != "", "BR-65", p.in("Item.Classes", j).at("Scheme"))
	}
	for j := range item.Attributes {
		a := &item.Attributes[j]
		c.need(a.Name != "" && a.Value != "", "BR-54", p.in("Item.Attributes", j))
	}
}

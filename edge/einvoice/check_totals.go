package einvoice

import "tandem/kit/money"

// totals checks BG-22. Of an absent amount only the rule speaks that demands it.
func (c *checker) totals() {
	t := &c.v.Totals
	c.totalsForm(t)
	if present(t.Lines) {
		c.need(t.Lines.Minor == c.lines, "BR-CO-10", field("Totals.Lines"))
	}
	c.need(sumOf(t.Allowances, c.allowed, len(c.v.Allowances)), "BR-CO-11", field("Totals.Allowances"))
	c.need(sumOf(t.Charges, c.charged, len(c.v.Charges)), "BR-CO-12", field("Totals.Charges"))
	if present(t.Lines) && present(t.WithoutVAT) {
		net := t.Lines.Minor - t.Allowances.Minor + t.Charges.Minor
		c.need(t.WithoutVAT.Minor == net, "BR-CO-13", field("Totals.WithoutVAT"))
	}
	if len(c.v.VAT) > 0 {
		var tax int64
		for i := range c.v.VAT {
			tax += c.v.VAT[i].Tax.Minor
		}
		c.need(present(t.VAT) && t.VAT.Minor == tax, "BR-CO-14", field("Totals.VAT"))
	}
	if present(t.WithoutVAT) && present(t.WithVAT) {
		c.need(t.WithVAT.Minor == t.WithoutVAT.Minor+t.VAT.Minor, "BR-CO-15", field("Totals.WithVAT"))
	}
	if present(t.WithVAT) && present(t.Payable) {
		due := t.WithVAT.Minor - t.Prepaid.Minor + t.Rounding.Minor
		c.need(t.Payable.Minor == due, "BR-CO-16", field("Totals.Payable"))
	}
	if t.Payable.Minor > 0 {
		c.need(!noDate(c.v.Due) || c.v.Terms != "", "BR-CO-25", field("Due"))
	}
}

// totalsForm checks what must be there, and the decimals.
func (c *checker) totalsForm(t *Totals) {
	c.need(present(t.Lines), "BR-12", field("Totals.Lines"))
	c.need(present(t.WithoutVAT), "BR-13", field("Totals.WithoutVAT"))
	c.need(present(t.WithVAT), "BR-14", field("Totals.WithVAT"))
	c.need(present(t.Payable), "BR-15", field("Totals.Payable"))
	c.amount(t.Lines, "BR-DEC-09", field("Totals.Lines"))
	c.amount(t.Allowances, "BR-DEC-10", field("Totals.Allowances"))
	c.amount(t.Charges, "BR-DEC-11", field("Totals.Charges"))
	c.amount(t.WithoutVAT, "BR-DEC-12", field("Totals.WithoutVAT"))
	c.amount(t.VAT, "BR-DEC-13", field("Totals.VAT"))
	c.amount(t.WithVAT, "BR-DEC-14", field("Totals.WithVAT"))
	c.amount(t.Prepaid, "BR-DEC-16", field("Totals.Prepaid"))
	c.amount(t.Rounding, "BR-DEC-17", field("Totals.Rounding"))
	c.amount(t.Payable, "BR-DEC-18", field("Totals.Payable"))
	if a := t.TaxAccounting; present(a) && a.Currency.Digits() > 2 { // in its own currency
		third := money.Amount{Minor: a.Minor % int64(pow10[a.Currency.Digits()-2])}
		c.need(third.Minor == 0, "BR-DEC-15", field("Totals.TaxAccounting"))
	}
}

// sumOf tells whether total is the sum of n amounts; it may be absent only without any.
func sumOf(total money.Amount, sum int64, n int) bool {
	return total.Minor == sum && (n == 0 || present(total))
}

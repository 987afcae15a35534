package einvoice

// codes checks the values of code lists (EN 16931-1 clause 6.5, rules BR-CL). Lists of
// a few codes are known by heart; of the long ones that grow twice a year, only the
// form of a code.
func (c *checker) codes() {
	v := c.v
	c.need(v.Type == "" || v.Type.known(), "BR-CL-01", field("Type"))
	c.need(v.TaxPointCode == "" || isTaxPointCode(v.TaxPointCode), "BR-CL-06", field("TaxPointCode"))
	c.need(code(v.Object.Scheme, 2, 3), "BR-CL-07", field("Object.Scheme"))
	for i := range v.Notes {
		c.need(code(v.Notes[i].Subject, 3, 3), "BR-CL-08", in("Notes", i).at("Subject"))
	}
	c.schemes()
	if p := v.Payment; p != nil {
		c.need(p.Means == "" || isPaymentMeans(p.Means), "BR-CL-16", field("Payment.Means"))
	}
	for i := range v.Allowances {
		c.need(isAllowanceReason(v.Allowances[i].ReasonCode), "BR-CL-19", in("Allowances", i).at("ReasonCode"))
	}
	for i := range v.Charges {
		c.need(code(v.Charges[i].ReasonCode, 2, 4), "BR-CL-20", in("Charges", i).at("ReasonCode"))
	}
	for i := range v.VAT {
		c.need(isExemption(v.VAT[i].ReasonCode), "BR-CL-22", in("VAT", i).at("ReasonCode"))
	}
	for i := range v.Documents {
		d := &v.Documents[i]
		c.need(d.Content == nil || isMIME(d.MIME), "BR-CL-24", in("Documents", i).at("MIME"))
		c.need(d.Content == nil || d.File != "", "TD-3", in("Documents", i).at("File"))
	}
}

// schemes checks the schemes of the identifiers of parties.
func (c *checker) schemes() {
	s, b := &c.v.Seller, &c.v.Buyer
	for i := range s.IDs {
		c.need(isICD(s.IDs[i].Scheme), "BR-CL-10", in("Seller.IDs", i).at("Scheme"))
	}
	c.need(isICD(b.ID.Scheme), "BR-CL-10", field("Buyer.ID.Scheme"))
	c.need(isICD(s.Legal.Scheme), "BR-CL-11", field("Seller.Legal.Scheme"))
	c.need(isICD(b.Legal.Scheme), "BR-CL-11", field("Buyer.Legal.Scheme"))
	c.need(isEAS(s.Endpoint.Scheme), "BR-CL-25", field("Seller.Endpoint.Scheme"))
	c.need(isEAS(b.Endpoint.Scheme), "BR-CL-25", field("Buyer.Endpoint.Scheme"))
	if p := c.v.Payee; p != nil {
		c.need(isICD(p.ID.Scheme), "BR-CL-10", field("Payee.ID.Scheme"))
		c.need(isICD(p.Legal.Scheme), "BR-CL-11", field("Payee.Legal.Scheme"))
	}
	if d := c.v.Delivery; d != nil {
		c.need(isICD(d.Location.Scheme), "BR-CL-26", field("Delivery.Location.Scheme"))
	}
}

// lineCodes checks the codes of one line.
func (c *checker) lineCodes(l *Line, p place) {
	c.need(code(l.Object.Scheme, 2, 3), "BR-CL-07", p.at("Object.Scheme"))
	c.need(code(l.Unit, 2, 3), "BR-CL-23", p.at("Unit"))
	c.need(code(l.Price.Unit, 2, 3), "BR-CL-23", p.at("Price.Unit"))
	c.need(isICD(l.Item.StandardID.Scheme), "BR-CL-21", p.at("Item.StandardID.Scheme"))
	c.need(l.Item.Origin == "" || isCountry(l.Item.Origin), "BR-CL-15", p.at("Item.Origin"))
	for j := range l.Item.Classes {
		c.need(code(l.Item.Classes[j].Scheme, 2, 3), "BR-CL-13", p.in("Item.Classes", j).at("Scheme"))
	}
	for j := range l.Allowances {
		c.need(isAllowanceReason(l.Allowances[j].ReasonCode), "BR-CL-19", p.in("Allowances", j).at("ReasonCode"))
	}
	for j := range l.Charges {
		c.need(code(l.Charges[j].ReasonCode, 2, 4), "BR-CL-20", p.in("Charges", j).at("ReasonCode"))
	}
}

// code tells whether s is absent, or of at least and at most so many capitals and digits.
func code(s string, atLeast, atMost int) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s == "" || len(s) >= atLeast && len(s) <= atMost
}

// isICD tells whether s is absent or a code of ISO/IEC 6523: four digits from 0002.
func isICD(s string) bool { return s == "" || len(s) == 4 && s[0] == '0' && fourDigits(s) }

// isEAS tells whether s is absent or an electronic address scheme: one of ISO/IEC 6523,
// one of OpenPeppol (99xx), or one of the five in letters.
func isEAS(s string) bool {
	switch s {
	case "AN", "AQ", "AS", "AU", "EM":
		return true
	}
	return isICD(s) || len(s) == 4 && s[:2] == "99" && fourDigits(s)
}

func fourDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 4
}

// isTaxPointCode knows the three codes of UNTDID 2005 that BT-8 takes.
func isTaxPointCode(s string) bool { return s == "3" || s == "35" || s == "432" }

// isPaymentMeans knows UNTDID 4461: 1 to 70, 74 to 78, 91 to 97 and ZZZ.
func isPaymentMeans(s string) bool {
	if s == "ZZZ" {
		return true
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' || i == 2 || n == 0 && s[i] == '0' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n >= 1 && n <= 70 || n >= 74 && n <= 78 || n >= 91 && n <= 97
}

// isAllowanceReason knows UNTDID 5189 as the standard cuts it.
func isAllowanceReason(s string) bool {
	switch s {
	case "", "41", "42", "60", "62", "63", "64", "65", "66", "67", "68", "70", "71", "88", "95", "100", "102", "103", "104", "105":
		return true
	}
	return false
}

// isExemption tells whether s is absent or of the form VATEX-EU-132.
func isExemption(s string) bool {
	const prefix = "VATEX-"
	return s == "" || len(s) > len(prefix)+3 && s[:len(prefix)] == prefix && s[len(prefix)+2] == '-'
}

// isMIME knows the six media types of BT-125.
func isMIME(s string) bool {
	switch s {
	case "application/pdf", "image/png", "image/jpeg", "text/csv",
		"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "application/vnd.oasis.opendocument.spreadsheet":
		return true
	}
	return false
}

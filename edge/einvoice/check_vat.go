package einvoice

// The nine VAT categories, as indexes.
const (
	isStandard = iota
	isZero
	isExempt
	isReverse
	isIntra
	isExport
	isOutside
	isIGIC
	isIPSI
	categories
)

// index is the index of a category, -1 for one that the standard does not know.
func (k Category) index() int {
	switch k {
	case Standard:
		return isStandard
	case ZeroRated:
		return isZero
	case Exempt:
		return isExempt
	case ReverseCharge:
		return isReverse
	case IntraCommunity:
		return isIntra
	case Export:
		return isExport
	case OutOfScope:
		return isOutside
	case IGIC:
		return isIGIC
	case IPSI:
		return isIPSI
	}
	return -1
}

// rateRule is what a category demands of the rate of a line, an allowance or a charge.
type rateRule uint8

const (
	rateZero rateRule = iota
	ratePositive
	rateNotNegative
	rateAbsent
)

func (r rateRule) holds(rate Decimal) bool {
	switch r {
	case rateAbsent:
		return !rate.present
	case ratePositive:
		return rate.present && rate.units > 0
	case rateNotNegative:
		return rate.present && rate.units >= 0
	}
	return rate.present && rate.units == 0
}

// vatRule is what a category demands (EN 16931-1 clause 6.4.3, tables of VAT rules).
type vatRule struct {
	name    string // of its rules
	rate    rateRule
	perRate bool // a breakdown for every rate, and tax in it; else one breakdown without tax
	reason  bool // an exemption reason is needed; else it is forbidden
}

var vatRules = [categories]vatRule{
	isStandard: {"BR-S", ratePositive, true, false},
	isZero:     {"BR-Z", rateZero, false, false},
	isExempt:   {"BR-E", rateZero, false, true},
	isReverse:  {"BR-AE", rateZero, false, true},
	isIntra:    {"BR-IC", rateZero, false, true},
	isExport:   {"BR-G", rateZero, false, true},
	isOutside:  {"BR-O", rateAbsent, false, true},
	isIGIC:     {"BR-AF", rateNotNegative, true, false},
	isIPSI:     {"BR-AG", rateNotNegative, true, false},
}

// where a category is used.
const (
	onLine = iota
	onAllowance
	onCharge
	inBreakdown
	wheres
)

// usage is where and how often a category occurs, and the sum it is charged on.
type usage struct {
	times [wheres]int
	sum   int64
}

func (u *usage) outside() int { return u.times[onLine] + u.times[onAllowance] + u.times[onCharge] }

// taxed checks the tax of a line, an allowance or a charge: category there and known,
// rate as the category wants it (-05, -06, -07). It counts and adds the amount.
func (c *checker) taxed(t *Tax, minor int64, where int, missing, unknown string, p place) {
	k := t.Category.index()
	if k < 0 {
		c.need(t.Category != "", missing, p.at("Tax.Category"))
		c.need(t.Category == "", unknown, p.at("Tax.Category"))
		return
	}
	u := &c.used[k]
	u.times[where]++
	if where == onAllowance {
		minor = -minor
	}
	u.sum += minor
	if !vatRules[k].rate.holds(t.Rate) {
		c.fail(vatRules[k].name+[...]string{onLine: "-05", onAllowance: "-06", onCharge: "-07"}[where], p.at("Tax.Rate"))
	}
}

// breakdowns checks each VAT breakdown by itself (BG-23).
func (c *checker) breakdowns() {
	v := c.v
	c.need(len(v.VAT) > 0, "BR-CO-18", field("VAT"))
	for i := range v.VAT {
		b, p := &v.VAT[i], in("VAT", i)
		c.need(present(b.Base), "BR-45", p.at("Base"))
		c.need(present(b.Tax), "BR-46", p.at("Tax"))
		c.amount(b.Base, "BR-DEC-19", p.at("Base"))
		c.amount(b.Tax, "BR-DEC-20", p.at("Tax"))
		c.need(b.Rate.present || b.Category == OutOfScope || b.Category == "", "BR-48", p.at("Rate"))
		due, ok := b.Rate.percentOf(b.Base.Minor)
		exact := ok && within(b.Tax.Minor, due, c.cent)
		if present(b.Base) && present(b.Tax) && (b.Rate.present || b.Category == OutOfScope) {
			c.need(exact, "BR-CO-17", p.at("Tax"))
		}
		k := b.Category.index()
		if k < 0 {
			c.need(b.Category != "", "BR-47", p.at("Category"))
			c.need(b.Category == "", "BR-CL-17", p.at("Category"))
			continue
		}
		c.used[k].times[inBreakdown]++
		c.breakdown(i, k, exact, p)
	}
}

// breakdown checks the rules -08, -09 and -10 of its category.
func (c *checker) breakdown(i, k int, exact bool, p place) {
	b, r := &c.v.VAT[i], &vatRules[k]
	complete := present(b.Base) && (b.Rate.present || !r.perRate)
	if complete && !c.summed(i, k) {
		c.fail(r.name+"-08", p.at("Base"))
	}
	if present(b.Tax) {
		if r.perRate && !exact && complete || !r.perRate && b.Tax.Minor != 0 {
			c.fail(r.name+"-09", p.at("Tax"))
		}
	}
	if r.reason != (b.Reason != "" || b.ReasonCode != "") {
		c.fail(r.name+"-10", p.at("Reason"))
	}
}

// summed tells whether the base of a breakdown is what is charged in its category, and
// where the rate counts, at its rate, which has no second breakdown.
func (c *checker) summed(i, k int) bool {
	b := &c.v.VAT[i]
	if !vatRules[k].perRate {
		return b.Base.Minor == c.used[k].sum
	}
	for j := range i {
		if c.v.VAT[j].Category == b.Category && c.v.VAT[j].Rate == b.Rate {
			return false
		}
	}
	return b.Base.Minor == c.sumAt(b.Category, b.Rate)
}

// within tells whether a and b differ by cent at most.
func within(a, b, cent int64) bool { return a-b <= cent && b-a <= cent }

// sumAt is what is charged in a category at a rate.
func (c *checker) sumAt(k Category, rate Decimal) int64 {
	sum, want := int64(0), Tax{k, rate}
	for i := range c.v.Lines {
		if l := &c.v.Lines[i]; l.Tax == want {
			sum += l.Net.Minor
		}
	}
	for i := range c.v.Allowances {
		if a := &c.v.Allowances[i]; a.Tax == want {
			sum -= a.Amount.Minor
		}
	}
	for i := range c.v.Charges {
		if a := &c.v.Charges[i]; a.Tax == want {
			sum += a.Amount.Minor
		}
	}
	return sum
}

// categories checks what each category demands of the whole invoice (-01 to -04), the
// rates without a breakdown (-08), and the rules that only some categories have.
func (c *checker) categories() {
	for k := range c.used {
		u, r := &c.used[k], &vatRules[k]
		if u.outside()+u.times[inBreakdown] == 0 {
			continue
		}
		there := u.times[inBreakdown] == 1 || u.times[inBreakdown] > 1 && r.perRate
		if !there || u.outside() == 0 {
			c.fail(r.name+"-01", field("VAT"))
		}
		if !c.identified(k) {
			for where, id := range [...]string{onLine: "-02", onAllowance: "-03", onCharge: "-04"} {
				if u.times[where] > 0 {
					c.fail(r.name+id, field("Seller.VAT"))
				}
			}
		}
		if r.perRate && u.times[inBreakdown] > 0 {
			c.uncovered(k)
		}
	}
	c.intraCommunity()
	c.outOfScope()
}

// identified tells whether the tax identifiers that a category wants are there.
func (c *checker) identified(k int) bool {
	v := c.v
	represented := v.TaxRepresentative != nil && v.TaxRepresentative.VAT != ""
	vat := v.Seller.VAT != "" || represented
	switch k {
	case isReverse:
		return (vat || v.Seller.TaxRegistration != "") && (v.Buyer.VAT != "" || v.Buyer.Legal.ID != "")
	case isIntra:
		return vat && v.Buyer.VAT != ""
	case isExport:
		return vat
	case isOutside: // there must be none
		return !vat && v.Buyer.VAT == ""
	}
	return vat || v.Seller.TaxRegistration != ""
}

// uncovered finds the rates that lines, allowances or charges of a category have and
// no breakdown has.
func (c *checker) uncovered(k int) {
	for i := range c.v.Lines {
		c.covered(&c.v.Lines[i].Tax, k, "Lines", i)
	}
	for i := range c.v.Allowances {
		c.covered(&c.v.Allowances[i].Tax, k, "Allowances", i)
	}
	for i := range c.v.Charges {
		c.covered(&c.v.Charges[i].Tax, k, "Charges", i)
	}
}

func (c *checker) covered(t *Tax, k int, list string, i int) {
	if t.Category.index() != k || !vatRules[k].rate.holds(t.Rate) {
		return
	}
	for j := range c.v.VAT {
		if b := &c.v.VAT[j]; b.Category == t.Category && (b.Rate == t.Rate || !b.Rate.present) {
			return
		}
	}
	c.fail(vatRules[k].name+"-08", in(list, i).at("Tax.Rate"))
}

// intraCommunity checks BR-IC-11 and BR-IC-12.
func (c *checker) intraCommunity() {
	if c.used[isIntra].times[inBreakdown] == 0 {
		return
	}
	d, p := c.v.Delivery, c.v.Period
	dated := d != nil && !noDate(d.Date) || p != nil && (!noDate(p.Start) || !noDate(p.End))
	c.need(dated, "BR-IC-11", field("Delivery.Date"))
	c.need(d != nil && d.Address != nil && d.Address.Country != "", "BR-IC-12", field("Delivery.Address.Country"))
}

// outOfScope checks BR-O-11 to BR-O-14: not subject to VAT is all of the invoice or nothing.
func (c *checker) outOfScope() {
	u := &c.used[isOutside]
	if u.times[inBreakdown] == 0 {
		return
	}
	v := c.v
	c.need(u.times[inBreakdown] == len(v.VAT), "BR-O-11", field("VAT"))
	c.need(u.times[onLine] == len(v.Lines), "BR-O-12", field("Lines"))
	c.need(u.times[onAllowance] == len(v.Allowances), "BR-O-13", field("Allowances"))
	c.need(u.times[onCharge] == len(v.Charges), "BR-O-14", field("Charges"))
}

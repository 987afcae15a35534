package render

import (
	"cmp"
	"fmt"
	"strings"

	"rsc.io/qr"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// sheet is a bill in words and written numbers: what HTML and PDF both show.
type sheet struct {
	t          tongue
	Lang       string
	Title      string // Invoice, Credit note ...
	Subject    string // the title of the file
	Draft      bool
	Wordmark   string
	Return     string
	Address    []string
	Facts      []pair
	Opening    []string
	Head       []string // of the columns of charges
	Groups     []group
	Totals     []total
	Taxes      [][]string // rate, without, tax, with
	TaxHead    []string
	Reasons    []string // why a tax is not charged, or a credit note is given
	Pay        *slip
	PayText    string
	Closing    []string
	Notes      []string
	Footer     [][]string
	Usage      []usageTable
	UsageIntro string
}

type pair struct{ Label, Value string }

// group is the charges of one product.
type group struct {
	Name  string
	Lines []line
	Sum   string // "": there is one group only
}

type line struct {
	Name                          string
	Details                       []string
	Quantity, Price, Rate, Amount string
}

type total struct {
	Label, Amount string
	Strong        bool
}

// slip is what a credit transfer needs.
type slip struct {
	Pairs []pair
	Label string // of the amount
	Sum   string
	Code  *qr.Code // nil: none
	Alt   string
	Hint  string
}

type usageTable struct {
	Title   string
	Head    []string
	Rows    [][]string
	Omitted string
}

// drafting is one sheet under way.
type drafting struct {
	*billing.Paper
	sheet
	c    money.Currency
	with bool // amounts of charges are with tax
}

// write puts a paper into words.
func write(p *billing.Paper) (*sheet, error) {
	c, err := money.ParseCurrency(p.Currency)
	if err != nil {
		return nil, err
	}
	d := &drafting{Paper: p, c: c}
	d.t = tongueOf(p.Language)
	d.Lang, d.Draft = d.t.tag, p.Number == ""
	d.with = d.allIncluded()
	d.Title = d.title()
	d.Subject = d.t.say("subject", d.Title, cmp.Or(p.Number, p.Bill), p.Buyer.Name)
	d.Wordmark = cmp.Or(p.Template.Wordmark, p.Seller.TradingName, p.Seller.Name)
	d.address()
	d.facts()
	d.charges()
	d.totals()
	d.payment()
	d.usage()
	said := p.Template.Words(p.Language)
	d.Opening, d.Closing, d.Notes = paragraphs(said.Opening), paragraphs(said.Closing), paragraphs(p.Note)
	d.Footer = d.foot()
	return &d.sheet, nil
}

// allIncluded says that all prices include tax, and the charges with it add up to the total.
func (d *drafting) allIncluded() bool {
	sum := int64(0)
	for i := range d.Lines {
		if !d.Lines[i].TaxIncluded {
			return false
		}
		sum += d.Lines[i].Amount
	}
	return len(d.Lines) > 0 && sum == d.Gross
}

func (d *drafting) title() string {
	switch {
	case d.Draft:
		return d.t.say("draft")
	case d.Kind == billing.CreditNote:
		return d.t.say("creditNote")
	case d.Replaces != nil:
		return d.t.say("corrected")
	}
	return d.t.say("invoice")
}

// lines are texts that say something.
func lines(texts ...string) (out []string) {
	for _, s := range texts {
		if s = strings.TrimSpace(s); s != "" && s != "-" {
			out = append(out, s)
		}
	}
	return out
}

func paragraphs(text string) []string { return lines(strings.Split(text, "\n")...) }

// place is post code and city as the country writes them.
func place(p *billing.DocumentParty) string {
	if p.Country == "GB" || p.Country == "US" || p.Country == "IE" {
		return strings.Join(lines(p.City, p.Region, p.PostCode), " ")
	}
	return strings.Join(lines(p.PostCode, p.City), " ")
}

func (d *drafting) address() {
	b, s := &d.Buyer, &d.Seller
	contact := b.Contact
	if contact == b.Name {
		contact = ""
	}
	d.Address = lines(b.Name, b.TradingName, contact, b.Street, b.Street2, place(b))
	if b.Country != s.Country {
		d.Address = append(d.Address, lines(b.Country)...)
	}
	d.Return = d.Template.ReturnAddress
	if d.Return == "" {
		d.Return = strings.Join(lines(cmp.Or(s.TradingName, s.Name), s.Street, place(s)), " · ")
	}
}

func (d *drafting) facts() {
	t := d.t
	preceding := func(p *billing.Preceding) string {
		if p == nil {
			return ""
		}
		return t.say("of", p.Number, t.date(p.Date))
	}
	due := ""
	if d.Kind == billing.Invoice && d.Gross > 0 {
		due = t.date(d.Due)
	}
	for _, f := range [][2]string{{"number", d.Number}, {"date", t.date(d.IssuedOn)}, {"due", due}, {"period", t.period(d.From, d.To)}, {"preceding", preceding(d.Preceding)},
		{"replaces", preceding(d.Replaces)}, {"customer", d.Customer}, {"account", d.Account}, {"yourVat", d.Buyer.VATID}, {"order", d.PurchaseOrder},
		{"reference", d.BuyerReference}, {"contract", d.Contract}} {
		if f[1] != "" {
			d.Facts = append(d.Facts, pair{t.say(f[0]), f[1]})
		}
	}
}

// charges are the lines, by product, in the order in which products come first.
func (d *drafting) charges() {
	t := d.t
	head := "amount"
	if d.with {
		head = "amountWith"
	}
	d.Head = []string{t.say("description"), t.say("quantity"), t.say("price"), t.say("vat"), t.say(head, d.c.Code())}
	at, sums := map[string]int{}, []int64(nil)
	for i := range d.Lines {
		l := &d.Lines[i]
		key := l.Account + "|" + l.Product
		n, ok := at[key]
		if !ok {
			n = len(d.Groups)
			at[key] = n
			d.Groups, sums = append(d.Groups, group{Name: d.groupName(l)}), append(sums, 0)
		}
		sums[n] += d.shown(l)
		d.Groups[n].Lines = append(d.Groups[n].Lines, d.line(l))
	}
	if len(d.Groups) < 2 {
		return
	}
	for n := range d.Groups {
		g := &d.Groups[n]
		if g.Name = cmp.Or(g.Name, t.say("general")); len(g.Lines) > 1 {
			g.Sum = t.amount(sums[n], d.c)
		}
	}
}

// groupName is what the customer calls the product, and the account it is paid for.
func (d *drafting) groupName(l *billing.DocumentLine) string {
	name := d.Names[l.Product]
	if l.Account != "" && l.Account != d.Account {
		name = strings.Join(lines(name, d.t.say("forAccount", l.Account)), ", ")
	}
	return name
}

// shown is the amount of a line as it stands in the column.
func (d *drafting) shown(l *billing.DocumentLine) int64 {
	if d.with {
		return l.Amount
	}
	return l.Net
}

func (d *drafting) line(l *billing.DocumentLine) line {
	t := d.t
	out := line{Name: cmp.Or(l.Name, l.Sort), Rate: percent(t, l.TaxPercent) + hard + "%", Amount: t.amount(d.shown(l), d.c)}
	if l.TaxPercent[0] == 0 {
		out.Rate = "0" + hard + "%"
	}
	out.Details = lines(t.period(l.ServiceFrom, l.ServiceTo))
	add := func(text string) { out.Details = append(out.Details, text) }
	if l.Of > 0 && l.Part < l.Of && l.Sort == billing.Recurring {
		add(t.part(l.Part, l.Of, l.Rule))
	}
	if l.Rested > 0 {
		add(t.say("rested", t.length(l.Rested, l.Rule)))
	}
	switch l.Sort {
	case billing.Recurring, billing.OneTime:
		out.Quantity = t.decimal(fmt.Sprint(max(1, l.Quantity)))
		if l.TaxIncluded == d.with && l.Unit != 0 {
			out.Price = t.rate(money.Rate{Nano: l.Unit, Currency: d.c})
		}
	case billing.Usage:
		d.used(l, &out)
	case "discount":
		if l.Percent[1] != 0 && l.TaxIncluded == d.with {
			add(t.say("share", percent(t, l.Percent), t.amount(l.Base, d.c)))
		}
	case "commitment":
		add(t.say("commitment", t.rate(money.Rate{Nano: l.Unit, Currency: d.c}), t.amount(l.Base, d.c)))
	}
	if l.Before != 0 && l.TaxIncluded == d.with {
		add(t.say("before", t.amount(l.Wanted, d.c), t.amount(l.Before, d.c)))
	}
	if l.Credited != 0 && l.TaxIncluded == d.with {
		add(t.say("credited", t.amount(max(l.Credited, -l.Credited), d.c)))
	}
	return out
}

// used is what a line of usage says of it.
func (d *drafting) used(l *billing.DocumentLine, out *line) {
	if l.Records == 0 {
		return
	}
	out.Quantity = d.t.used(l.Quantity, l.UsageUnit)
	out.Details = append(out.Details, d.t.say("records", l.Records))
	if l.ServiceFrom.Valid() && d.From.Valid() && l.ServiceTo.Compare(d.From) <= 0 {
		out.Details = append(out.Details, d.t.say("late"))
	}
}

// percent writes a percentage: 19, 7.7.
func percent(t tongue, p [2]int64) string {
	if p[1] == 0 {
		return "0"
	}
	n, err := money.MulDiv(p[0], 10_000, p[1], money.HalfUp)
	if err != nil {
		return "?"
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	text := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%04d", n/10_000, n%10_000), "0"), ".")
	return sign + t.decimal(text)
}

func (d *drafting) totals() {
	t := d.t
	if d.Reason != "" {
		d.Reasons = append(d.Reasons, t.say("reason."+d.Reason))
	}
	add := func(label, amount string, strong bool) { d.Totals = append(d.Totals, total{label, amount, strong}) }
	label := t.say("gross")
	switch {
	case d.Kind == billing.CreditNote:
		label = t.say("toGet")
	case d.Gross > 0 && !d.Draft:
		label = t.say("toPay")
	}
	if d.with {
		add(label, t.money(d.Gross, d.c), true)
		add(t.say("included"), t.money(d.Tax, d.c), false)
	} else {
		add(t.say("net"), t.money(d.Net, d.c), false)
		for _, x := range d.Document.Taxes {
			add(t.say("tax", percent(t, x.Percent)), t.money(x.Tax, d.c), false)
		}
		add(label, t.money(d.Gross, d.c), true)
	}
	if !d.with && len(d.Document.Taxes) == 1 && d.Document.Taxes[0].Reason == "" {
		return // the totals have said it
	}
	d.TaxHead = []string{t.say("taxRate"), t.say("taxNet"), t.say("taxAmount"), t.say("taxGross")}
	for _, x := range d.Document.Taxes {
		d.sheet.Taxes = append(d.sheet.Taxes, []string{percent(t, x.Percent) + hard + "%", t.money(x.Net, d.c), t.money(x.Tax, d.c), t.money(x.Net+x.Tax, d.c)})
		if x.Reason != "" {
			d.Reasons = append(d.Reasons, percent(t, x.Percent)+hard+"%: "+x.Reason)
		}
	}
}

// payment says how to pay, or that nothing is to be paid.
func (d *drafting) payment() {
	t := d.t
	switch {
	case d.Draft:
		return
	case d.Kind == billing.CreditNote:
		d.PayText = t.say("credit")
		return
	case d.Gross <= 0:
		d.PayText = t.say("nothing")
		return
	}
	d.PayText = t.say("payBy", t.date(d.Due))
	b := d.Bank
	if b == nil {
		return
	}
	d.Pay = &slip{Label: t.say("toPay"), Sum: t.money(d.Gross, d.c), Hint: t.say("qr"), Code: symbol(paymentCode(b, d.Gross, d.c, d.Number)),
		Alt: t.say("qrAlt", t.money(d.Gross, d.c), b.Name, d.Number)}
	for _, f := range [][2]string{{"owner", b.Name}, {"iban", grouped(b.IBAN)}, {"bic", b.BIC}, {"purpose", d.Number}} {
		if f[1] != "" {
			d.Pay.Pairs = append(d.Pay.Pairs, pair{t.say(f[0]), f[1]})
		}
	}
}

const footColumn = 4 // lines of a column of the foot

// foot is the template's, else what the law wants said of a seller.
func (d *drafting) foot() (out [][]string) {
	if len(d.Template.Footer) > 0 {
		for from := 0; from < len(d.Template.Footer); from += footColumn {
			out = append(out, d.Template.Footer[from:min(from+footColumn, len(d.Template.Footer))])
		}
		return out
	}
	s, t := &d.Seller, d.t
	labelled := func(key, value string) string {
		if value == "" {
			return ""
		}
		return t.say(key) + " " + value
	}
	columns := [][]string{lines(s.Name, s.Street, s.Street2, place(s)), lines(s.LegalForm, labelled("register", s.Registration), labelled("vatId", s.VATID), labelled("taxNumber", s.TaxRegistration)),
		lines(s.Contact, labelled("phone", s.Phone), s.Email)}
	if b := d.Bank; b != nil {
		columns = append(columns, lines(b.Name, grouped(b.IBAN), labelled("bic", b.BIC), labelled("creditor", b.CreditorID)))
	}
	for _, c := range columns {
		if len(c) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// usage is what was used, one by one.
func (d *drafting) usage() {
	t := d.t
	for _, u := range d.Paper.Usage {
		table := usageTable{Title: strings.Join(lines(d.Names[u.Line.Product], u.Line.Name, t.period(u.Line.ServiceFrom, u.Line.ServiceTo)), " · "),
			Head: []string{t.say("when"), t.say("time"), t.say("called"), t.say("network"), t.say("used"), t.say(d.usageHead(u.Line), d.c.Code())}}
		amounts := t.rates(u.Records)
		for i, r := range u.Records {
			table.Rows = append(table.Rows, []string{t.date(civil.Wall(r.At)), r.At.Format("15:04:05"), r.Called, r.Network, t.used(r.Quantity, u.Line.UsageUnit), amounts[i]})
		}
		if u.Omitted > 0 {
			table.Omitted = t.say("omitted", u.Omitted)
		}
		if len(table.Rows) > 0 || u.Omitted > 0 {
			d.sheet.Usage = append(d.sheet.Usage, table)
		}
	}
	d.UsageIntro = t.say("usageIntro")
}

func (d *drafting) usageHead(l *billing.DocumentLine) string {
	if l.TaxIncluded {
		return "amountWith"
	}
	return "amount"
}

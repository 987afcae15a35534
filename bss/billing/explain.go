package billing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/bss/charging"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

// Explanation says why a bill is what it is, line by line and against the bill before, in
// the customer's language: an agent can read it aloud. It is worked out when it is read, from
// the document as it was posted.
type Explanation struct {
	tmf.Entity
	Bill           *tmf.Ref        `json:"bill,omitzero"`
	BillNo         string          `json:"billNo,omitzero"`
	BillingAccount *tmf.Ref        `json:"billingAccount,omitzero"`
	Language       string          `json:"language,omitzero"`
	Text           string          `json:"text,omitzero"` // all of it, a sentence a line
	Line           []ExplainedLine `json:"line,omitzero"`
	PreviousBill   *tmf.Ref        `json:"previousBill,omitzero"`
	Change         []BillChange    `json:"change,omitzero"` // against the previous bill, the largest first

	doc  *Document
	turn int64
}

// ExplainedLine is a line of the bill opened up.
type ExplainedLine struct {
	ID       string       `json:"id,omitzero"`
	Name     string       `json:"name,omitzero"`
	Amount   *tmf.Money   `json:"amount,omitzero"`
	Text     []string     `json:"text,omitzero"`
	Product  *tmf.Ref     `json:"product,omitzero"`
	Price    *tmf.Ref     `json:"price,omitzero"` // of the catalogue, with its version
	Item     *tmf.Ref     `json:"billableItem,omitzero"`
	Service  *tmf.Ref     `json:"service,omitzero"`   // whose activation started the charge
	Resource []tmf.Ref    `json:"resource,omitzero"`  // it runs on
	Usage    []UsageEntry `json:"usage,omitzero"`     // the newest records
	More     string       `json:"moreUsage,omitzero"` // where those behind them are, see UsagePages
	tmf.Extension
}

// UsageEntry is a usage record of a line.
type UsageEntry struct {
	ID      string     `json:"id,omitzero"` // in usage management
	Href    string     `json:"href,omitzero"`
	Date    time.Time  `json:"date,omitzero"`
	Session string     `json:"session,omitzero"`
	Called  string     `json:"called,omitzero"` // masked: the record has all of it, for who may read usage
	Network string     `json:"network,omitzero"`
	Amount  *tmf.Money `json:"amount,omitzero"`
	tmf.Extension
}

// BillChange is what of the bill differs from the bill before.
type BillChange struct {
	Name   string     `json:"name,omitzero"`
	Before *tmf.Money `json:"before,omitzero"`
	Now    *tmf.Money `json:"now,omitzero"`
	Text   string     `json:"text,omitzero"`
	tmf.Extension
}

// Explanations are read by the id of the bill.
var Explanations = tmf.Kind[Explanation, *Explanation]{
	API: &ItemAPI, Name: "billExplanation", Table: "billing_draft", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*Explanation]{
		From:    "billing_shown",
		Columns: "id, account, turn, number, due_date, doc",
		Order:   []string{"id"},
		Paths:   map[string]string{"bill.id": "id", "billNo": "number", "billingAccount.id": "account"},
		Find:    func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
		Scan:    scanExplanation,
	},
}

func scanExplanation(r store.Rows) (*Explanation, error) {
	x := &Explanation{}
	var account, due, doc string
	err := r.Scan(&x.ID, &account, &x.turn, &x.BillNo, &due, &doc)
	if err != nil || doc == "" {
		return x, err
	}
	x.Bill = &tmf.Ref{ID: x.ID, Name: x.BillNo, Href: BillAPI.Base + "/customerBill/" + x.ID, ReferredType: "CustomerBill"}
	x.BillingAccount = accountRef(account)
	if x.doc, err = ReadDocument([]byte(doc)); err != nil || due == "" {
		return x, err
	}
	x.doc.Due, err = civil.ParseDate(due) // counted from the day it was posted
	return x, err
}

func explainAll(tx *store.Tx, page []*Explanation) error {
	for _, x := range page {
		if x.doc == nil {
			x.Text = say("", "explain.gone")
			continue
		}
		if err := x.explain(tx); err != nil {
			return fmt.Errorf("explain bill %s: %w", x.ID, err)
		}
	}
	return nil
}

// explainer is one explanation under way.
type explainer struct {
	tx   *store.Tx
	doc  *Document
	c    money.Currency
	lang string
	marks
}

// marks are the rectangles of usage of a bill and of the one before, by account.
type marks struct{ upto, after map[string]charging.BillMarks }

func (x *Explanation) explain(tx *store.Tx) error {
	c, err := money.ParseCurrency(x.doc.Currency)
	if err != nil {
		return err
	}
	e := explainer{tx: tx, doc: x.doc, c: c, lang: x.doc.Language}
	x.Language = e.lang
	if e.marks, err = marksOf(tx, x.ID); err != nil {
		return err
	}
	var text []string
	text = append(text, e.opening(x.BillNo)...)
	for i := range x.doc.Lines {
		l, err := e.line(&x.doc.Lines[i])
		if err != nil {
			return err
		}
		x.Line = append(x.Line, l)
		text = append(text, l.Text...)
	}
	text = append(text, e.taxes()...)
	if err := x.compare(&e); err != nil {
		return err
	}
	if x.PreviousBill != nil && len(x.Change) == 0 {
		text = append(text, e.say("explain.same"))
	}
	for _, ch := range x.Change {
		text = append(text, ch.Text)
	}
	x.Text = strings.Join(text, "\n")
	return nil
}

func (e *explainer) say(key string, args ...any) string {
	return fmt.Sprintf(say(e.lang, key), args...)
}

// money is an amount as it is read: 20.00 EUR, or 20,00 EUR.
func (e *explainer) money(minor int64) string {
	return localNumber(e.lang, money.Amount{Minor: minor, Currency: e.c}.Decimal()) + " " + e.c.Code()
}

// rate is an exact amount: 0.0005 EUR.
func (e *explainer) rate(nano int64) string {
	return localNumber(e.lang, money.Rate{Nano: nano, Currency: e.c}.Decimal()) + " " + e.c.Code()
}

func localNumber(lang, text string) string {
	if base, _, _ := strings.Cut(lang, "-"); base == "de" {
		return strings.Replace(text, ".", ",", 1)
	}
	return text
}

// date is a day as it is read: 3 March 2026, 3. März 2026.
func (e *explainer) date(d civil.Date) string {
	return e.say("date", d.Day, say(e.lang, "month."+strconv.Itoa(int(d.Month))), d.Year)
}

func (e *explainer) opening(number string) []string {
	d := e.doc
	key := "explain.invoice"
	switch {
	case d.Kind == CreditNote && d.Preceding != nil:
		return []string{e.say("explain.credit", cmp.Or(number, d.Bill), e.money(d.Gross), d.Preceding.Number, e.say("reason."+d.Reason))}
	case d.Kind == CreditNote:
		key = "explain.creditor"
	case number == "":
		key = "explain.draft"
	}
	if number == "" {
		number = d.Bill
	}
	out := []string{e.say(key, number, e.date(d.From), e.date(d.To.AddDays(-1)), e.money(d.Gross), e.date(d.Due))}
	if d.Shortened {
		out = append(out, e.say("explain.shortened", d.To.Sub(d.From)))
	}
	if d.Replaces != nil {
		out = append(out, e.say("explain.replaces", d.Replaces.Number))
	}
	return out
}

// line opens one line: what it is for, how it was worked out, and what stands behind it.
func (e *explainer) line(l *DocumentLine) (out ExplainedLine, err error) {
	out = ExplainedLine{ID: l.ID, Name: l.Name}
	if out.Amount, err = minorMoney(l.Amount, e.c); err != nil {
		return out, err
	}
	if l.Product != "" {
		out.Product = &tmf.Ref{ID: l.Product, Href: "/tmf-api/productInventory/v4/product/" + l.Product, ReferredType: "Product"}
	}
	if l.Price != "" {
		out.Price = &tmf.Ref{ID: l.Price, Name: l.Name, Version: l.Version, Href: "/tmf-api/productCatalogManagement/v4/productOfferingPrice/" + l.Price,
			ReferredType: "ProductOfferingPrice"}
	}
	out.Text = e.why(l)
	if l.Item != "" {
		return out, e.behindItem(&out, l)
	}
	return out, e.behindUsage(&out, l)
}

// why is the sentences of a line.
func (e *explainer) why(l *DocumentLine) []string {
	var out []string
	switch {
	case e.doc.Kind == CreditNote && e.doc.Preceding != nil:
		return []string{e.say("line.credited", l.Name, e.money(l.Amount))}
	case l.Sort == Usage:
		return []string{e.usageWords(l)}
	case l.Sort == OneTime:
		out = append(out, e.say("line.oneTime", l.Name, e.money(l.Amount)))
	case l.Sort == "commitment":
		out = append(out, e.say("line.commitment", l.Name, e.money(l.Base), e.rate(l.Unit), e.money(l.Amount)))
	case l.Sort == "discount" && l.Percent[1] != 0:
		out = append(out, e.say("line.percent", l.Name, localNumber(e.lang, percentText(l.Percent)), e.money(l.Base), e.money(l.Amount)))
	case l.Sort == "discount":
		out = append(out, e.say("line.discount", l.Name, e.money(l.Amount)))
	default:
		out = append(out, e.recurring(l))
	}
	if l.Rested > 0 {
		out = append(out, e.say("line.rested", e.parts(l.Rested, l), e.parts(l.Of, l)))
	}
	if l.Before != 0 {
		out = append(out, e.say("line.before", e.money(l.Wanted), e.money(l.Before), e.money(l.Amount-l.Credited)))
	}
	if l.Credited != 0 {
		out = append(out, e.say("line.alreadyCredited", e.money(abs(l.Credited)), e.money(l.Amount)))
	}
	return out
}

// recurring is a charge of a period: in full, or "18 of 30 days x 20.00 EUR".
func (e *explainer) recurring(l *DocumentLine) string {
	from, to := e.date(l.ServiceFrom), e.date(l.ServiceTo.AddDays(-1))
	amount := l.Amount
	if l.Before != 0 {
		amount = l.Wanted
	}
	price := e.rate(l.Unit)
	if l.Quantity > 1 {
		price = strconv.FormatInt(l.Quantity, 10) + " x " + price
	}
	if l.Of == 0 || l.Part == l.Of {
		return e.say("line.full", l.Name, from, to, price, e.money(amount))
	}
	return e.say("line.part", l.Name, from, to, e.parts(l.Part, l), e.parts(l.Of, l), price, e.money(amount))
}

// parts is a count of days, or of time where the price goes by seconds.
func (e *explainer) parts(n int64, l *DocumentLine) string {
	if l.Rule == ruleSeconds {
		return e.say("hours", n/int64(time.Hour), n%int64(time.Hour)/int64(time.Minute))
	}
	return e.say("days", n)
}

const ruleSeconds = "seconds"

func (e *explainer) usageWords(l *DocumentLine) string {
	key := "line.usage"
	if l.ServiceFrom.Valid() && e.doc.From.Valid() && l.ServiceTo.Compare(e.doc.From) <= 0 {
		return e.say("line.late", l.Name, e.amountUsed(l), l.Records, e.date(l.ServiceFrom), e.date(l.ServiceTo.AddDays(-1)), e.money(l.Amount))
	}
	return e.say(key, l.Name, e.amountUsed(l), l.Records, e.money(l.Amount))
}

// amountUsed is a quantity in units that people read.
func (e *explainer) amountUsed(l *DocumentLine) string {
	switch l.UsageUnit {
	case "octets":
		units, div := "kB", int64(1000)
		for _, u := range []struct {
			name string
			div  int64
		}{{"MB", 1e6}, {"GB", 1e9}} {
			if l.Quantity >= u.div {
				units, div = u.name, u.div
			}
		}
		n, err := money.MulDiv(l.Quantity, 100, div, money.HalfUp)
		if err != nil {
			return strconv.FormatInt(l.Quantity, 10) + " B"
		}
		return localNumber(e.lang, fmt.Sprintf("%d.%02d", n/100, n%100)) + " " + units
	case "seconds":
		return fmt.Sprintf("%d:%02d min", l.Quantity/60, l.Quantity%60)
	}
	return e.say("events", l.Quantity)
}

func (e *explainer) taxes() (out []string) {
	for _, t := range e.doc.Taxes {
		if t.Tax == 0 && t.Reason != "" {
			out = append(out, e.say("tax.none", e.money(t.Net), t.Reason))
			continue
		}
		out = append(out, e.say("tax", localNumber(e.lang, percentText(t.Percent)), e.money(t.Net), e.money(t.Tax)))
	}
	return out
}

// behindItem is the item, the service that confirmed it, and what that runs on.
func (e *explainer) behindItem(out *ExplainedLine, l *DocumentLine) error {
	out.Item = &tmf.Ref{ID: l.Item, Href: ItemAPI.Base + "/billableItem/" + l.Item, ReferredType: "BillableItem"}
	i, err := Items.Get(e.tx, l.Item)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if i.apart() {
		return nil // no service stands behind it
	}
	out.Service = &tmf.Ref{ID: i.ConfirmedBy, Href: "/tmf-api/serviceInventory/v4/service/" + i.ConfirmedBy, ReferredType: "Service"}
	zone, err := civil.LoadZone(e.doc.Zone)
	if err != nil {
		return err
	}
	out.Text = append(out.Text, e.say("line.since", e.date(civil.DateOf(i.From, zone)), i.ConfirmedBy))
	out.Resource, err = resourcesOf(e.tx, i.ConfirmedBy)
	return err
}

const maxServices = 8 // looked at for what a line runs on

// resourcesOf are the resources that a service rests on, itself or by the services below it.
func resourcesOf(tx *store.Tx, service string) (out []tmf.Ref, err error) {
	seen, next := map[string]bool{}, []string{service}
	for len(next) > 0 && len(seen) < maxServices {
		id := next[0]
		if next = next[1:]; seen[id] {
			continue
		}
		seen[id] = true
		s, err := inventory.Services.Get(tx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s.SupportingResource...)
		for _, r := range s.SupportingService {
			next = append(next, r.ID)
		}
	}
	return out, nil
}

const usageShown = 20 // records of a line in an explanation

// behindUsage is the newest usage records of a line.
func (e *explainer) behindUsage(out *ExplainedLine, l *DocumentLine) (err error) {
	if l.Product == "" || l.Records == 0 {
		return nil
	}
	next := ""
	out.Usage, next, err = e.records(l, "", usageShown)
	out.More = moreUsage(e.doc.Bill, l.ID, next)
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Unavailable) { // the line is gone, or charging does not run here
		return nil
	}
	return err
}

// records are usage records of a line, behind a cursor.
func (e *explainer) records(l *DocumentLine, cursor string, limit int) (out []UsageEntry, next string, err error) {
	key := strings.Split(l.Key, "|")
	if len(key) < 3 || key[1] != charging.BillUsage {
		return nil, "", nil
	}
	zone, err := civil.LoadZone(e.doc.Zone)
	if err != nil {
		return nil, "", err
	}
	for round := 0; round == 0 || next != "" && len(out) < limit && round < maxRounds; round++ {
		var page []*charging.Usage
		account := cmp.Or(l.Account, e.doc.Account)
		page, next, err = charging.BilledUsage(e.tx, account, l.Product, e.after[account], e.upto[account], l.ServiceFrom.Start(zone), l.ServiceTo.Start(zone),
			cmp.Or(next, cursor), limit-len(out))
		if err != nil {
			return nil, "", err
		}
		out = append(out, l.entries(page, key[2])...)
	}
	return out, next, nil
}

// maxRounds is how often it is looked further for records of one class among those of all.
const maxRounds = 20

// entries are the records of a class.
func (l *DocumentLine) entries(page []*charging.Usage, of string) (out []UsageEntry) {
	for _, u := range page {
		if class := u.Class(); class != "" && class != of {
			continue
		}
		entry := UsageEntry{ID: u.ID, Href: charging.UsageAPI.Base + "/usage/" + u.ID, Date: u.UsageDate, Session: u.ExternalID}
		called, _ := tmf.Value(u.UsageCharacteristic, "called")
		entry.Called = masked(called)
		entry.Network, _ = tmf.Value(u.UsageCharacteristic, "network")
		if len(u.RatedProductUsage) > 0 {
			entry.Amount = u.RatedProductUsage[0].TaxExcludedRatingAmount
			if l.TaxIncluded {
				entry.Amount = u.RatedProductUsage[0].TaxIncludedRatingAmount
			}
		}
		out = append(out, entry)
	}
	return out
}

// BillUsageOf is a page of the usage records of a line of a bill, those charged last first,
// behind a cursor; next is "" at the end.
func BillUsageOf(tx *store.Tx, bill, line, cursor string, limit int) (page []UsageEntry, next string, err error) {
	d, err := documentOf(tx, bill)
	if err != nil {
		return nil, "", err
	}
	i := slices.IndexFunc(d.Lines, func(l DocumentLine) bool { return l.ID == line })
	if i < 0 {
		return nil, "", fault.Missing("line of bill "+bill, line)
	}
	e := explainer{tx: tx, doc: d, lang: d.Language}
	if e.c, err = money.ParseCurrency(d.Currency); err != nil {
		return nil, "", err
	}
	if e.marks, err = marksOf(tx, bill); err != nil {
		return nil, "", err
	}
	return e.records(&d.Lines[i], cursor, min(max(1, limit), maxUsagePage))
}

const maxUsagePage = 1000 // records of a page

const (
	readOwnMarks    = "SELECT account, wallet, before_at, number, entry, charged_at FROM billing_usage_upto WHERE tenant = $1 AND bill = $2"
	readMarksBefore = `SELECT account, wallet, before_at, number, entry, charged_at FROM billing_usage_upto u WHERE tenant = $1 AND account IN
		(SELECT account FROM billing_usage_upto o WHERE o.tenant = $1 AND o.bill = $2) AND bill <> $2`
)

// marksOf are the rectangles of usage that a bill holds, and those it goes on from.
func marksOf(tx *store.Tx, bill string) (m marks, err error) {
	rows, err := tx.Query(readOwnMarks, bill)
	own, err := store.Collect(rows, err, scanMark)
	if err != nil {
		return m, err
	}
	m.upto = byAccount(own)
	rows, err = tx.Query(readMarksBefore, bill)
	others, err := store.Collect(rows, err, scanMark)
	others = slices.DeleteFunc(others, func(o usageMark) bool {
		is := m.upto[o.account].Of(o.wallet)
		if o.wallet == 0 { // it stands for wallets of their own later on
			for _, x := range m.upto[o.account] {
				is.Before, is.Number = max(is.Before, x.Before), max(is.Number, x.Number)
			}
		}
		return o.Before > is.Before || o.Before == is.Before && o.Number >= is.Number
	})
	m.after = byAccount(others)
	return m, err
}

const readPrevious = `SELECT id, number, doc FROM billing_shown WHERE tenant = $1 AND account = $2 AND turn < $3 AND kind = 'invoice' ORDER BY turn DESC LIMIT 1`

// compare says what differs from the account's bill before.
func (x *Explanation) compare(e *explainer) error {
	if x.doc.Kind != Invoice {
		return nil
	}
	var id, number, doc string
	err := e.tx.Row(readPrevious, x.doc.Account, x.turn).Scan(&id, &number, &doc)
	if err == store.ErrNotFound || err == nil && doc == "" {
		return nil
	}
	if err != nil {
		return err
	}
	was, err := ReadDocument([]byte(doc))
	if err != nil {
		return err
	}
	x.PreviousBill = &tmf.Ref{ID: id, Name: number, Href: BillAPI.Base + "/customerBill/" + id, ReferredType: "CustomerBill"}
	x.Change, err = e.changes(was)
	return err
}

// topic is what is compared from bill to bill: an item, or usage of a class.
type topic struct {
	name        string
	before, now int64
	was, is     *DocumentLine
}

func topicKey(l *DocumentLine) string {
	if l.Item != "" {
		return "item " + l.Item
	}
	key := l.Key
	if i := strings.LastIndexByte(key, '|'); i >= 0 { // without the period
		key = key[:i]
	}
	return "usage " + key
}

// changes are the differences, the largest first.
func (e *explainer) changes(was *Document) ([]BillChange, error) {
	topics := map[string]*topic{}
	var order []string
	of := func(l *DocumentLine) *topic {
		key := topicKey(l)
		t := topics[key]
		if t == nil {
			t = &topic{name: l.Name}
			topics[key] = t
			order = append(order, key)
		}
		return t
	}
	for i := range e.doc.Lines {
		t := of(&e.doc.Lines[i])
		t.now += e.doc.Lines[i].Amount
		t.is = &e.doc.Lines[i]
	}
	for i := range was.Lines {
		t := of(&was.Lines[i])
		t.before += was.Lines[i].Amount
		t.was = &was.Lines[i]
	}
	slices.SortStableFunc(order, func(a, b string) int {
		return cmp.Compare(abs(topics[b].now-topics[b].before), abs(topics[a].now-topics[a].before))
	})
	var out []BillChange
	if diff := e.doc.Gross - was.Gross; diff != 0 {
		ch, err := e.change("", was.Gross, e.doc.Gross, e.say(moreOrLess("against", diff), e.money(abs(diff)), e.money(was.Gross)))
		if err != nil {
			return nil, err
		}
		out = append(out, ch)
	}
	for _, key := range order {
		t := topics[key]
		if t.now == t.before {
			continue
		}
		ch, err := e.change(t.name, t.before, t.now, e.changeWords(t))
		if err != nil {
			return nil, err
		}
		out = append(out, ch)
	}
	return out, nil
}

func (e *explainer) change(name string, before, now int64, text string) (ch BillChange, err error) {
	ch = BillChange{Name: name, Text: text}
	if ch.Before, err = minorMoney(before, e.c); err != nil {
		return ch, err
	}
	ch.Now, err = minorMoney(now, e.c)
	return ch, err
}

func moreOrLess(key string, diff int64) string {
	if diff < 0 {
		return key + ".less"
	}
	return key + ".more"
}

// changeWords say why an amount differs, as far as the lines tell.
func (e *explainer) changeWords(t *topic) string {
	diff := e.money(abs(t.now - t.before))
	switch {
	case t.was == nil:
		return e.say("change.new", t.name, e.money(t.now))
	case t.is == nil:
		return e.say("change.gone", t.name, e.money(t.before))
	case t.is.Sort == Usage && t.is.Quantity != t.was.Quantity && t.is.UsageUnit == t.was.UsageUnit:
		return e.say(moreOrLess("change.usage", t.now-t.before), t.name, diff, e.amountUsed(t.is), e.amountUsed(t.was))
	case t.is.Unit != t.was.Unit && t.is.Version != t.was.Version:
		return e.say("change.price", t.name, e.rate(t.was.Unit), e.rate(t.is.Unit))
	case t.was.Of > 0 && t.was.Part < t.was.Of && t.is.Part == t.is.Of:
		return e.say(moreOrLess("change.wasPart", t.now-t.before), t.name, diff, e.parts(t.was.Part, t.was), e.parts(t.was.Of, t.was))
	case t.is.Of > 0 && t.is.Part < t.is.Of && t.was.Part == t.was.Of:
		return e.say(moreOrLess("change.isPart", t.now-t.before), t.name, diff, e.parts(t.is.Part, t.is), e.parts(t.is.Of, t.is))
	}
	return e.say(moreOrLess("change", t.now-t.before), t.name, diff, e.money(t.before), e.money(t.now))
}

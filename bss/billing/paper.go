package billing

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Paper is all that a bill that people see is drawn from: the document as it was posted, with
// its number and dates, the template of its brand, and what is shown beside it.
type Paper struct {
	*Document
	Number   string // "": a draft
	IssuedOn civil.Date
	Template *BillTemplate
	Names    map[string]string // of products: as the customer knows them
	Usage    []ItemisedLine    // in the order of the lines
	Beyond   []string          // accounts more of whose usage is shown than they ask for, which is to be audited
}

// Itemising is what of the usage on a bill a reader asks to see.
type Itemising struct {
	As   string // one of Itemisations; "": as each account says whose usage it is
	More bool   // he may read usage itself, so more of it than the accounts say may be shown to him
}

// ItemisedLine is the usage records behind a line of usage.
type ItemisedLine struct {
	Line    *DocumentLine
	Records []ItemisedRecord // in the order of time
	Omitted int64            // of the line, that are not here: there are too many for paper
}

// ItemisedRecord is one use.
type ItemisedRecord struct {
	At       time.Time // when it began
	Called   string    // masked where the account asks for it
	Network  string    // MCC and MNC
	Quantity int64     // in the unit of the line
	Amount   money.Rate
}

// What a bill shows of each use. An account says which (itemisation).
const (
	ItemisedNone   = "none"
	ItemisedMasked = "masked" // without the last three digits of numbers
	ItemisedFull   = "full"
)

// Itemisations are the words an account's itemisation may be, each shows more than those before.
var Itemisations = []string{ItemisedNone, ItemisedMasked, ItemisedFull}

const (
	maxItemised  = 20_000 // records on one bill
	itemisedPage = 500
	maskedDigits = 3
)

const readPaper = "SELECT number, issue_date, due_date, doc FROM billing_shown WHERE tenant = $1 AND id = $2"

// ReadPaper reads a bill as people see it, by its id. It fails with "documentGone" if its
// document is gone, which an audit finds, with "usageNotAllowed" if more of its usage is asked
// for than may be shown, and with fault.Unavailable if records are to be shown where charging
// does not run.
func ReadPaper(tx *store.Tx, bill string, asked Itemising) (*Paper, error) {
	if asked.As != "" && !slices.Contains(Itemisations, asked.As) {
		return nil, fault.BadInput("badItemisation", "Usage is shown %s, not %.20q", strings.Join(Itemisations, ", "), asked.As)
	}
	p := &Paper{Names: map[string]string{}}
	var issued, due, doc string
	err := tx.Row(readPaper, bill).Scan(&p.Number, &issued, &due, &doc)
	if err == store.ErrNotFound {
		return nil, fault.Missing("customerBill", bill)
	}
	if err != nil {
		return nil, err
	}
	if doc == "" {
		return nil, fault.Clash("documentGone", "The document of bill %q is gone; its number and its hash are kept: see tandem verify", bill)
	}
	if p.Document, err = ReadDocument([]byte(doc)); err != nil {
		return nil, fmt.Errorf("bill %s: %w", bill, err)
	}
	p.IssuedOn = p.Date
	if issued != "" {
		if p.IssuedOn, err = civil.ParseDate(issued); err != nil {
			return nil, err
		}
	}
	if due != "" {
		if p.Due, err = civil.ParseDate(due); err != nil {
			return nil, err
		}
	}
	if p.Template, err = templateOf(tx, p.Brand); err != nil {
		return nil, err
	}
	if err := p.nameProducts(tx); err != nil {
		return nil, err
	}
	return p, p.itemise(tx, asked)
}

// nameProducts finds what the customer calls his products: their names and numbers.
func (p *Paper) nameProducts(tx *store.Tx) error {
	ids := make([]string, len(p.Lines))
	for i := range p.Lines {
		ids[i] = p.Lines[i].Product
	}
	if err := subscription.Products.Fetch(tx, ids, false); err != nil {
		return err
	}
	for _, id := range ids {
		if _, known := p.Names[id]; known || id == "" {
			continue
		}
		p.Names[id] = ""
		product, err := subscription.Products.Get(tx, id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		name := product.Name
		for _, r := range product.RealizingResource {
			if r.Role == "msisdn" && r.Value != "" {
				name = strings.TrimSpace(name + " +" + strings.TrimPrefix(r.Value, "+"))
				break
			}
		}
		p.Names[id] = name
	}
	return nil
}

// itemise reads the records behind the lines of usage.
func (p *Paper) itemise(tx *store.Tx, asked Itemising) error {
	if asked.As == ItemisedNone || p.Kind != Invoice {
		return nil
	}
	e := explainer{tx: tx, doc: p.Document, lang: p.Language}
	var err error
	if e.marks, err = marksOf(tx, p.Bill); err != nil {
		return err
	}
	read := map[string]bool{}
	left := maxItemised
	for i := range p.Lines {
		l := &p.Lines[i]
		key := strings.Split(l.Key, "|")
		if l.Sort != Usage || l.Records == 0 || l.Product == "" || len(key) < 3 || key[1] != charging.BillUsage {
			continue
		}
		group := l.Product + "|" + l.Account + "|" + l.ServiceFrom.String() + "|" + l.ServiceTo.String()
		if read[group] {
			continue
		}
		read[group] = true
		how, err := p.shown(tx, cmp.Or(l.Account, p.Account), asked)
		if err != nil {
			return err
		}
		if how == ItemisedNone {
			continue
		}
		n, err := p.records(&e, l, how, left)
		if err != nil {
			return err
		}
		left -= n
	}
	slices.SortStableFunc(p.Usage, func(a, b ItemisedLine) int { return cmp.Compare(lineNumber(a.Line), lineNumber(b.Line)) })
	return nil
}

func lineNumber(l *DocumentLine) int {
	n, err := strconv.Atoi(l.ID)
	if err != nil {
		return 0
	}
	return n
}

// shown is how the usage of an account is shown: as it says, or less; more only to who may
// read usage itself, and then it is noted.
func (p *Paper) shown(tx *store.Tx, account string, asked Itemising) (string, error) {
	own := ItemisedNone
	a, err := BillingAccounts.Get(tx, account)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	if err == nil {
		own = cmp.Or(a.Itemisation, ItemisedNone)
	}
	if asked.As == "" || slices.Index(Itemisations, asked.As) <= slices.Index(Itemisations, own) {
		return cmp.Or(asked.As, own), nil
	}
	if !asked.More {
		return "", fault.Denied("usageNotAllowed", "The account %s has its usage shown %s; to see it %s, ask your administrator for the permission to read usage", account, own, asked.As)
	}
	if !slices.Contains(p.Beyond, account) {
		p.Beyond = append(p.Beyond, account)
	}
	return asked.As, nil
}

// records reads what a product used in the period of a line, for all lines of the two: at
// most left of them. It is how many were read.
func (p *Paper) records(e *explainer, of *DocumentLine, how string, left int) (int, error) {
	byClass, order := map[string]*ItemisedLine{}, []string(nil)
	for i := range p.Lines {
		l := &p.Lines[i]
		key := strings.Split(l.Key, "|")
		same := l.Sort == Usage && l.Product == of.Product && l.Account == of.Account && l.ServiceFrom == of.ServiceFrom && l.ServiceTo == of.ServiceTo
		if !same || len(key) < 3 || key[1] != charging.BillUsage || byClass[key[2]] != nil {
			continue
		}
		byClass[key[2]] = &ItemisedLine{Line: l, Omitted: l.Records}
		order = append(order, key[2])
	}
	zone, err := civil.LoadZone(p.Zone)
	if err != nil {
		return 0, err
	}
	account, n, cursor := cmp.Or(of.Account, p.Account), 0, ""
	for n < left {
		page, next, err := charging.BilledUsage(e.tx, account, of.Product, e.after[account], e.upto[account], of.ServiceFrom.Start(zone), of.ServiceTo.Start(zone), cursor, min(itemisedPage, left-n))
		if fault.Is(err, fault.NotFound) { // the line is gone
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		for _, u := range page {
			to := byClass[u.Class()]
			if to == nil {
				to = byClass[order[0]]
			}
			to.Records = append(to.Records, to.Line.record(u, how, zone))
			to.Omitted = max(0, to.Omitted-1)
		}
		n += len(page)
		if cursor = next; next == "" {
			break
		}
	}
	for _, class := range order {
		l := byClass[class]
		if cursor == "" {
			l.Omitted = 0 // all there are were read
		}
		slices.SortStableFunc(l.Records, func(a, b ItemisedRecord) int { return a.At.Compare(b.At) })
		p.Usage = append(p.Usage, *l)
	}
	return n, nil
}

// record is a usage record as it stands on paper.
func (l *DocumentLine) record(u *charging.Usage, how string, zone *time.Location) ItemisedRecord {
	r := ItemisedRecord{At: u.UsageDate.In(zone)}
	value := func(name string) string { v, _ := tmf.Value(u.UsageCharacteristic, name); return v }
	if began, err := time.Parse(time.RFC3339, value("startDate")); err == nil {
		r.At = began.In(zone)
	}
	if r.Called, r.Network = value("called"), value("network"); how == ItemisedMasked {
		r.Called = masked(r.Called)
	}
	if n, err := strconv.ParseInt(value(cmp.Or(l.UsageUnit, "events")), 10, 64); err == nil {
		r.Quantity = n
	}
	if len(u.RatedProductUsage) > 0 {
		amount := u.RatedProductUsage[0].TaxExcludedRatingAmount
		if l.TaxIncluded {
			amount = u.RatedProductUsage[0].TaxIncludedRatingAmount
		}
		if amount != nil {
			r.Amount = *amount
		}
	}
	return r
}

// masked hides the last digits of a number: who was called is not for everybody who may see
// the bill.
func masked(called string) string {
	b := []byte(called)
	for i, hidden := len(b)-1, 0; i >= 0 && hidden < maskedDigits; i-- {
		if b[i] >= '0' && b[i] <= '9' {
			b[i] = 'x'
			hidden++
		}
	}
	return string(b)
}

// Media types of the forms a bill can be had in.
var paperForms = []struct{ format, media, name string }{
	{"pdf", "application/pdf", "PDF with the electronic invoice inside (EN 16931, Factur-X)"},
	{"html", "text/html", "for browsers"},
	{"ubl", "application/xml", "electronic invoice, UBL 2.1 (EN 16931)"},
	{"cii", "application/xml", "electronic invoice, UN/CEFACT CII (EN 16931)"},
}

// billDocuments say where a bill can be had as people and programs read it. A draft is no
// electronic invoice: it has no number.
func billDocuments(bill, number string) (out []tmf.Attachment) {
	for _, f := range paperForms {
		if number == "" && f.media == "application/xml" {
			continue
		}
		out = append(out, tmf.Attachment{ID: f.format, AttachmentType: f.format, MimeType: f.media, Description: f.name, Name: cmp.Or(number, "draft-"+bill) + "." + f.format,
			URL: BillAPI.Base + "/customerBill/" + bill + "/document?format=" + f.format})
	}
	return out
}

package billing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"tandem/bss/billing/compute"
	"tandem/bss/ledger"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// CreditReasons are why a bill is corrected. Those that say the bill was wrong count against
// billing accuracy; the others do not.
var CreditReasons = map[string]bool{
	"wrongPrice": true, "wrongPeriod": true, "wrongQuantity": true, "wrongTax": true, "wrongParty": true, "notOrdered": true, "duplicate": true, "wrongUsage": true,
	"goodwill": false, "serviceLevel": false, "outage": false, "withdrawal": false, "cancellation": false,
}

// CreditNoteRequest asks to credit a posted bill, in full or line by line. Up to the legal
// entity's limit the credit note is posted at once; above it another person approves it.
type CreditNoteRequest struct {
	tmf.Entity
	State  string       `json:"state,omitzero" tmf:"enum=waiting|posted|rejected"`
	Bill   *tmf.Ref     `json:"bill,omitzero" tmf:"required"`
	Reason string       `json:"reason,omitzero" tmf:"required"` // a code of CreditReasons
	Note   string       `json:"note,omitzero"`                  // as the customer reads it
	Line   []CreditLine `json:"line,omitzero"`                  // none: all that is not credited yet
	// Rebill makes the account's next bill charge again what is credited: the corrected
	// invoice. Without it the credit is final.
	Rebill *bool `json:"rebill,omitzero"`

	CreditNote   *tmf.Ref   `json:"creditNote,omitzero"`
	Gross        *tmf.Money `json:"gross,omitzero"`
	RequestedBy  string     `json:"requestedBy,omitzero"`
	DecidedBy    string     `json:"decidedBy,omitzero"`
	DecideReason string     `json:"decideReason,omitzero"`
}

// CreditLine is what of a line is credited.
type CreditLine struct {
	ID     string     `json:"id,omitzero" tmf:"required"` // of the line on the bill
	Amount *tmf.Money `json:"amount,omitzero"`            // as the line's own: with tax where its price is; none: all that is left
	tmf.Extension
}

// States of a request.
const (
	creditWaiting  = "waiting"
	creditPosted   = "posted"
	creditRejected = "rejected"
)

// CreditNotes are the requests of the tenant.
var CreditNotes = tmf.Kind[CreditNoteRequest, *CreditNoteRequest]{
	API: &ItemAPI, Name: "creditNoteRequest", Table: "billing_credit_request", Verbs: tmf.Post | tmf.Patch,
	Index: []string{"state", "bill.id", "creditNote.id"}, StateAttr: "state",
	Moves:  tmf.Moves{"": {creditWaiting, creditPosted}, creditWaiting: {creditPosted, creditRejected}, creditPosted: {}, creditRejected: {}},
	Frozen: []string{"bill", "reason", "note", "line", "rebill", "creditNote", "gross", "requestedBy", "decidedBy"},
}

// postCreditNote works the credit note out, and posts it if nobody else has to look at it.
func postCreditNote(tx *store.Tx, r *CreditNoteRequest) error {
	if _, known := CreditReasons[r.Reason]; !known {
		return fault.BadInput("unknownReason", "reason is one of %s", strings.Join(creditReasons(), ", "))
	}
	if len(r.Line) > 1000 || len(r.Note) > 1000 {
		return fault.BadInput("tooLong", "A request has at most 1000 lines and a note of 1000 characters")
	}
	r.RequestedBy, r.DecidedBy, r.DecideReason, r.CreditNote = tx.Actor(), "", "", nil
	c, err := creditOf(tx, r)
	if err != nil {
		return err
	}
	e, err := LegalEntities.Get(tx, c.doc.Entity)
	if err != nil {
		return err
	}
	if r.Gross, err = minorMoney(c.doc.Gross, c.currency); err != nil {
		return err
	}
	if limit := e.ApproveAbove; limit != nil {
		if order, err := r.Gross.Cmp(*limit); err != nil || order > 0 {
			r.State = creditWaiting
			return CreditNotes.Create(tx, r)
		}
	}
	return c.post(tx, nil, r)
}

func creditReasons() []string {
	var out []string
	for r := range CreditReasons {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

// patchCreditNote lets a second person post or reject what waits.
func patchCreditNote(tx *store.Tx, old, r *CreditNoteRequest) error {
	if old.State == r.State {
		return fault.Clash("nothingToDo", "The request is %s already", old.State)
	}
	if old.State != creditWaiting {
		return fault.Clash("decided", "The request is %s; that is final", old.State)
	}
	if old.RequestedBy == tx.Actor() {
		return fault.Denied("fourEyes", "Who asked for the credit note cannot decide on it: another person must")
	}
	r.DecidedBy = tx.Actor()
	if r.State == creditRejected {
		return CreditNotes.Save(tx, old, r)
	}
	c, err := creditOf(tx, r)
	if err != nil {
		return err
	}
	return c.post(tx, old, r)
}

// credit is a credit note under way.
type credit struct {
	was      *Document // the bill
	number   string
	doc      *Document
	currency money.Currency
}

// post posts the credit note and keeps the request.
func (c *credit) post(tx *store.Tx, old, r *CreditNoteRequest) error {
	if err := c.judged(); err != nil {
		return err
	}
	if r.Rebill != nil && *r.Rebill && slices.ContainsFunc(c.doc.Lines, func(l DocumentLine) bool { return l.Item == "" && l.Amount != 0 }) {
		return fault.BadInput("usageNotRebilled", "Usage is not charged anew by the next bill: credit bill %q without rebill, or only its other lines", c.number)
	}
	if err := KeepDocument(tx, c.doc, c.entries()); err != nil {
		return err
	}
	again := r.Rebill != nil && *r.Rebill
	tx.Insert(insertCredit, c.was.Bill, c.doc.Bill, flag(again))
	for i := range c.doc.Lines {
		l := &c.doc.Lines[i]
		switch {
		case l.Item == "":
		case again:
			if err := rebill(tx, c.doc.Bill, l); err != nil {
				return err
			}
		default:
			final(tx, c.doc, l)
			if err := creditDeposit(tx, c.number, l); err != nil {
				return err
			}
		}
	}
	if err := PostBill(tx, c.doc.Bill); err != nil {
		return err
	}
	r.State = creditPosted
	r.CreditNote = &tmf.Ref{ID: c.doc.Bill, Href: BillAPI.Base + "/customerBill/" + c.doc.Bill, ReferredType: "CustomerBill"}
	if err := CreditNotes.Save(tx, old, r); err != nil {
		return err
	}
	return access.Audit(tx, "billing.creditNote", "customerBill:"+c.was.Bill, nil, map[string]string{"reason": r.Reason, "creditNote": c.doc.Bill})
}

func (c *credit) judged() error {
	found := Judge(c.doc)
	if len(found) == 0 {
		return nil
	}
	return fault.Clash("notAnInvoice", "The credit note would break %s: complete the legal entity and the customer", found[0])
}

const (
	readPosted   = "SELECT number, issue_date FROM billing_posted WHERE tenant = $1 AND bill = $2"
	creditsOf    = "SELECT d.doc FROM billing_credit_of c JOIN billing_document d ON d.tenant = c.tenant AND d.bill = c.note WHERE c.tenant = $1 AND c.bill = $2"
	insertCredit = "INSERT INTO billing_credit_of (tenant, bill, note, rebill)"
)

// creditOf works out the credit note that a request asks for. The bill stays locked, so that
// two requests do not credit the same.
func creditOf(tx *store.Tx, r *CreditNoteRequest) (*credit, error) {
	c := &credit{}
	var issued, locked string
	err := tx.Row("SELECT id FROM billing_draft WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), r.Bill.ID).Scan(&locked)
	if err == nil {
		err = tx.Row(readPosted, r.Bill.ID).Scan(&c.number, &issued)
	}
	if err == store.ErrNotFound {
		return nil, fault.BadInput("notPosted", "There is no posted bill with id %q; a draft is discarded instead", r.Bill.ID)
	}
	if err != nil {
		return nil, err
	}
	if c.was, err = documentOf(tx, r.Bill.ID); err != nil {
		return nil, err
	}
	if c.was.Kind != Invoice {
		return nil, fault.BadInput("notAnInvoice", "%s is a credit note itself", c.number)
	}
	if c.currency, err = money.ParseCurrency(c.was.Currency); err != nil {
		return nil, err
	}
	on, err := civil.ParseDate(issued)
	if err != nil {
		return nil, err
	}
	credited, err := creditedBefore(tx, r.Bill.ID)
	if err != nil {
		return nil, err
	}
	r.Bill = &tmf.Ref{ID: c.was.Bill, Name: c.number, Href: BillAPI.Base + "/customerBill/" + c.was.Bill, ReferredType: "CustomerBill"}
	return c, c.make(tx, r, credited, Preceding{Bill: c.was.Bill, Number: c.number, Date: on})
}

// creditedBefore is what credit notes have given back of the lines of a bill, and of its tax.
func creditedBefore(tx *store.Tx, bill string) ([]*Document, error) {
	rows, err := tx.Query(creditsOf, bill)
	return store.Collect(rows, err, func(r store.Rows) (*Document, error) {
		var doc []byte
		if err := r.Scan(&doc); err != nil {
			return nil, err
		}
		return ReadDocument(doc)
	})
}

// left is what of an amount of the bill is not credited yet, by a function that finds it.
func left(was *Document, credited []*Document, find func(*Document) int64) int64 {
	n := find(was)
	for _, c := range credited {
		n -= find(c)
	}
	return n
}

func lineOf(id string, amount func(*DocumentLine) int64) func(*Document) int64 {
	return func(d *Document) int64 {
		for i := range d.Lines {
			if d.Lines[i].ID == id {
				return amount(&d.Lines[i])
			}
		}
		return 0
	}
}

// make works out lines, tax and totals. Tax is that of the bill: what is credited in full
// gives back the very cents, what is credited in part its share of them.
func (c *credit) make(tx *store.Tx, r *CreditNoteRequest, credited []*Document, of Preceding) error {
	d := *c.was
	d.Bill, d.Kind, d.Preceding, d.Replaces, d.Shortened, d.Reason = tmf.NewID(), CreditNote, &of, nil, false, r.Reason
	d.Note = cmp.Or(r.Note, d.Note)
	zone, err := civil.LoadZone(d.Zone)
	if err != nil {
		return err
	}
	d.Date, d.DueDays = civil.DateOf(tx.Now(), zone), 0
	if d.Date.Before(of.Date) {
		d.Date = of.Date
	}
	d.Due, d.Lines, d.Taxes, d.Net, d.Tax, d.Gross = d.Date, nil, nil, 0, 0, 0
	wanted, err := c.wanted(r)
	if err != nil {
		return err
	}
	for i := range c.was.Lines {
		l := c.was.Lines[i]
		rest := left(c.was, credited, lineOf(l.ID, func(l *DocumentLine) int64 { return l.Amount }))
		restNet := left(c.was, credited, lineOf(l.ID, func(l *DocumentLine) int64 { return l.Net }))
		amount := rest
		some, asked := wanted[l.ID]
		switch {
		case !asked && len(r.Line) > 0, !asked && rest == 0:
			continue
		case rest == 0:
			return fault.Clash("creditedAlready", "Line %s of %s is credited in full already", l.ID, c.number)
		case some != nil:
			amount = *some
		}
		if amount == 0 || amount < 0 != (rest < 0) || abs(amount) > abs(rest) {
			return fault.Clash("aboveBill", "Of line %s of %s, %s can still be credited", l.ID, c.number, money.Amount{Minor: rest, Currency: c.currency})
		}
		net, err := money.MulDiv(restNet, amount, rest, money.HalfUp)
		if err != nil {
			return err
		}
		l.Amount, l.Net, l.Wanted, l.Before, l.Credited, l.Corrects = amount, net, 0, 0, 0, c.was.Bill
		d.Lines = append(d.Lines, l)
	}
	if len(d.Lines) == 0 {
		return fault.Clash("creditedAlready", "Nothing of %s is left to credit", c.number)
	}
	c.doc = &d
	return c.taxes(credited)
}

// wanted are the amounts asked for, in minor units by line; nil: all that is left.
func (c *credit) wanted(r *CreditNoteRequest) (map[string]*int64, error) {
	out := map[string]*int64{}
	for i, l := range r.Line {
		if !slices.ContainsFunc(c.was.Lines, func(x DocumentLine) bool { return x.ID == l.ID }) {
			return nil, fault.BadInput("unknownLine", "line[%d]: %s has no line %q", i, c.number, l.ID)
		}
		if _, twice := out[l.ID]; twice {
			return nil, fault.BadInput("lineTwice", "line[%d]: line %q is named twice", i, l.ID)
		}
		out[l.ID] = nil
		if l.Amount == nil {
			continue
		}
		if l.Amount.Currency != c.currency {
			return nil, fault.BadInput("wrongCurrency", "line[%d]: the bill is in %s", i, c.currency)
		}
		a, err := l.Amount.Post(money.HalfUp)
		back, errBack := a.Rate()
		if err != nil || errBack != nil || back != *l.Amount {
			return nil, fault.BadInput("badAmount", "line[%d]: %s is not an amount in whole minor units", i, l.Amount)
		}
		out[l.ID] = &a.Minor
	}
	return out, nil
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

// taxes gives back tax by category and rate: all that is left where all lines of it are
// credited, else the share of the net. Of prices with tax the gross is exact.
func (c *credit) taxes(credited []*Document) error {
	d := c.doc
	for _, t := range c.was.Taxes {
		same := func(l *DocumentLine) bool { return l.TaxCode == t.Code && l.TaxPercent == t.Percent }
		sum := func(x *Document) (net int64) {
			for i := range x.Lines {
				if same(&x.Lines[i]) {
					net += x.Lines[i].Net
				}
			}
			return net
		}
		taxOf := func(x *Document) int64 {
			for _, o := range x.Taxes {
				if o.Code == t.Code && o.Percent == t.Percent {
					return o.Tax
				}
			}
			return 0
		}
		if !slices.ContainsFunc(d.Lines, func(l DocumentLine) bool { return same(&l) }) {
			continue
		}
		net, tax := sum(d), left(c.was, credited, taxOf)
		if net != left(c.was, credited, sum) {
			var err error
			if tax, err = c.partTax(same, t.Percent); err != nil {
				return err
			}
			net = sum(d)
		}
		d.Taxes = append(d.Taxes, DocumentTax{Category: t.Category, Code: t.Code, Percent: t.Percent, Reason: t.Reason, Net: net, Tax: tax})
		d.Net, d.Tax = d.Net+net, d.Tax+tax
	}
	d.Gross = d.Net + d.Tax
	if d.Gross <= 0 {
		return fault.Clash("nothingToCredit", "These lines come to %s: a credit note gives something back", money.Amount{Minor: d.Gross, Currency: c.currency})
	}
	return nil
}

// partTax is the tax of a part of a rate. What has its tax included is given back to the
// cent: net is what the tax leaves of it, the difference in its largest line.
func (c *credit) partTax(same func(*DocumentLine) bool, percent [2]int64) (int64, error) {
	num, den := percent[0], max(1, percent[1])*100
	var net, gross, within int64
	var largest *DocumentLine
	for i := range c.doc.Lines {
		l := &c.doc.Lines[i]
		switch {
		case !same(l):
		case !l.TaxIncluded:
			net += l.Net
		default:
			gross, within = gross+l.Amount, within+l.Net
			if largest == nil || abs(l.Amount) > abs(largest.Amount) {
				largest = l
			}
		}
	}
	tax, err := money.MulDiv(net, num, den, money.HalfUp)
	if err != nil || largest == nil {
		return tax, err
	}
	included, err := money.MulDiv(gross, num, den+num, money.HalfUp)
	largest.Net += gross - included - within
	return tax + included, err
}

// entries are what the ledger gets: those of the bill turned round, for what is credited.
func (c *credit) entries() []ledger.Entry {
	sums := map[string]int64{}
	for i := range c.doc.Lines {
		l := &c.doc.Lines[i]
		sums[bookedOn(l.Revenue)] += l.Net
	}
	for _, t := range c.doc.Taxes {
		sums[ledger.Of(ledger.Tax, t.Code+rateText(compute.Percent{Num: t.Percent[0], Den: t.Percent[1]}))] += t.Tax
	}
	names := make([]string, 0, len(sums))
	for name := range sums {
		names = append(names, name)
	}
	slices.Sort(names)
	out := []ledger.Entry{{Account: ledger.Receivable, Party: c.doc.Account, Amount: -c.doc.Gross}}
	for _, name := range names {
		if sums[name] != 0 {
			out = append(out, ledger.Entry{Account: name, Amount: sums[name]})
		}
	}
	return out
}

const insertCredited = `INSERT INTO billing_credited (tenant, item, idx, note, line, amount, corrects, tax_category, tax_num, tax_den, tax_included)`

// gestures are the reasons of credits that are given for their own sake: the bill was right,
// and a correction of it comes on top.
var gestures = map[string]bool{"goodwill": true, "serviceLevel": true, "outage": true}

// final keeps what a credit note gave back of an item's period for good, so that no later
// correction of the period gives it back once more.
func final(tx *store.Tx, note *Document, l *DocumentLine) {
	tx.Insert(insertCredited, l.Item, int64(l.Index), note.Bill, l.ID, l.Amount, flag(!gestures[note.Reason]), l.TaxCategory, l.TaxPercent[0], l.TaxPercent[1], flag(l.TaxIncluded))
}

// rebill lets the next bill charge again what was credited of an item's period.
func rebill(tx *store.Tx, note string, l *DocumentLine) error {
	var version int64
	err := tx.Row("SELECT max(version) FROM billing_billed WHERE tenant = $1 AND item = $2 AND idx = $3", l.Item, int64(l.Index)).Scan(&version)
	if err != nil {
		return fmt.Errorf("item %s, period %d: %w", l.Item, l.Index, err)
	}
	tx.Insert(insertBilled, l.Item, int64(l.Index), version+1, note, -l.Amount, l.TaxCategory, l.TaxPercent[0], l.TaxPercent[1], flag(l.TaxIncluded), 0)
	return nil
}

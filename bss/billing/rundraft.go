package billing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"tandem/bss/billing/compute"
	"tandem/bss/ledger"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// draft is a row of billing_draft.
type draft struct {
	id, account, run       string
	turn, page             int64
	entity, kind, currency string
	idx                    int64
	net, tax, gross        int64
	date, next             string
	dueDays                int64
	held, entries, digest  string
}

// past is what the bills before say of an account.
type past struct {
	turn  int64   // of the last bill
	next  string  // when the next one in the cycle is due
	gross []int64 // of the last bills, the newest first
}

const (
	historyBills = 3 // that a bill is held against
	readPast     = `SELECT account, turn, next_date, kind, gross FROM billing_draft d WHERE tenant = $1 AND account IN (%s)
		AND turn > (SELECT max(x.turn) FROM billing_draft x WHERE x.tenant = d.tenant AND x.account = d.account) - %d ORDER BY account, turn DESC`
)

// pasts reads the last bills of accounts. One without bills is not in it.
func pasts(tx *store.Tx, accounts []string) (map[string]*past, error) {
	args := store.Padded(accounts)
	rows, err := tx.Query(fmt.Sprintf(readPast, store.In(2, len(args)), historyBills), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]*past{}
	for rows.Next() {
		var account, next, kind string
		var turn, gross int64
		if err := rows.Scan(&account, &turn, &next, &kind, &gross); err != nil {
			return nil, err
		}
		p := out[account]
		if p == nil {
			p = &past{turn: turn}
			out[account] = p
		}
		if next > p.next {
			p.next = next
		}
		if kind == CreditNote {
			gross = -gross
		}
		p.gross = append(p.gross, gross)
	}
	return out, rows.Err()
}

// outcome is what became of an account in a run: a draft, a reason, or nothing to do.
type outcome struct {
	account string
	draft   *draft
	doc     []byte
	gather  *Gathered
	lines   []compute.Line
	code    string // of the reason
	parked  string // why it cannot be billed, and what to do
	waits   bool   // below its minimum
}

// judge is what a page of accounts is worked out with.
type judge struct {
	policy *BillPolicy
	past   map[string]*past
}

// outcomes works out the bills of a page of accounts. It only reads.
func outcomes(tx *store.Tx, r *BillRun, accounts []string) ([]outcome, error) {
	upto, err := r.cutOff()
	if err != nil {
		return nil, err
	}
	j := judge{}
	if j.past, err = pasts(tx, accounts); err != nil {
		return nil, err
	}
	if j.policy, err = policyOf(tx); err != nil {
		return nil, err
	}
	due := accounts
	if !r.onDemand() {
		anew, err := dueAgain(tx, r.CutOff, accounts)
		if err != nil {
			return nil, err
		}
		due = slices.DeleteFunc(slices.Clone(accounts), func(a string) bool { p := j.past[a]; return p != nil && p.next > r.CutOff && !anew[a] })
	}
	if len(due) == 0 {
		return nil, nil
	}
	gathered, err := Gather(tx, due, upto)
	if err != nil {
		return nil, err
	}
	out := make([]outcome, 0, len(gathered))
	for i := range gathered {
		o := j.outcome(&gathered[i])
		if o.draft != nil {
			o.draft.run = r.ID
		}
		out = append(out, o)
	}
	return out, nil
}

// outcome works out the bill of one account. What goes wrong with it is its own.
func (j *judge) outcome(g *Gathered) (o outcome) {
	o = outcome{account: g.Account, gather: g}
	if g.Parked != "" {
		o.parked, o.code = g.Parked, g.Code
		return o
	}
	defer func() {
		if p := recover(); p != nil {
			o = outcome{account: g.Account, code: "defect", parked: short(fmt.Sprintf("The bill cannot be worked out, which is a defect of this program; report it with these words: %v\n%s", p, debug.Stack()))}
		}
	}()
	bill, err := compute.Make(&g.Input)
	if err == nil && bill.Waits {
		o.waits = true
		return o
	}
	if err == nil && len(bill.Lines) > 0 {
		err = j.draft(&o, bill)
	}
	if err != nil {
		o.draft, o.code, o.parked = nil, "notComputable", short(sentence(err))
	}
	return o
}

// sentence is an error in the words of whoever refused.
func sentence(err error) string {
	if f := fault.Of(err); f.Kind != fault.Internal {
		return f.Reason
	}
	return err.Error()
}

func short(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s[:min(len(s), maxReason)], "\x00", ""), "")
}

// draft makes the row and the document of a bill, and looks at it as a careful clerk would.
func (j *judge) draft(o *outcome, b *compute.Bill) error {
	g, was := o.gather, j.past[o.account]
	if was == nil {
		was = &past{}
	}
	id := tmf.NewID()
	doc := g.Document(id, b)
	body, err := doc.Encode()
	if err != nil {
		return err
	}
	entries, err := entriesOf(b)
	if err != nil {
		return err
	}
	d := &draft{id: id, account: o.account, turn: was.turn + 1, entity: doc.Entity, kind: doc.Kind, currency: doc.Currency, idx: int64(g.Input.Index),
		net: doc.Net, tax: doc.Tax, gross: doc.Gross, date: doc.Date.String(), next: g.next.String(), dueDays: doc.DueDays,
		entries: entries, digest: digestOf(body)}
	d.held = strings.Join(append(j.doubts(g, b, was), doc.doubts()...), "; ")
	o.draft, o.doc, o.lines = d, body, b.Lines
	return nil
}

func digestOf(doc []byte) string {
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])
}

// entriesOf is what the ledger gets of a bill: an account and an amount a line, the
// receivable first. Amounts are minor units, debit positive.
func entriesOf(b *compute.Bill) (string, error) {
	revenue, order := map[string]int64{}, []string(nil)
	left := b.Net
	for i := range b.Lines {
		l := &b.Lines[i]
		account := bookedOn(l.Revenue)
		if _, ok := revenue[account]; !ok {
			order = append(order, account)
		}
		revenue[account] -= l.Net
		left -= l.Net
	}
	tax := b.Tax
	for _, t := range b.Taxes {
		account := ledger.Of(ledger.Tax, t.Code+rateText(t.Percent))
		if _, ok := revenue[account]; !ok {
			order = append(order, account)
		}
		revenue[account] -= t.Tax
		tax -= t.Tax
	}
	if tax != 0 || b.Net+b.Tax != b.Gross {
		return "", fmt.Errorf("the taxes of the bill do not add up: %d of %d are left, net %d, gross %d", tax, b.Tax, b.Net, b.Gross)
	}
	slices.Sort(order)
	out := appendEntry(nil, ledger.Receivable, b.Gross)
	for _, account := range order {
		out = appendEntry(out, account, revenue[account])
	}
	return string(appendEntry(out, ledger.Rounding, -left)), nil
}

func appendEntry(b []byte, account string, amount int64) []byte {
	if amount == 0 {
		return b
	}
	if len(b) > 0 {
		b = append(b, '\n')
	}
	b = append(append(b, account...), '=')
	return strconv.AppendInt(b, amount, 10)
}

// readEntries is the inverse of entriesOf; party is whose receivable it is.
func readEntries(text, party string) ([]ledger.Entry, error) {
	if text == "" {
		return nil, nil
	}
	var out []ledger.Entry
	for line := range strings.SplitSeq(text, "\n") {
		at := strings.LastIndexByte(line, '=')
		if at < 0 {
			return nil, fmt.Errorf("entry %q of a bill is not readable", line)
		}
		n, err := strconv.ParseInt(line[at+1:], 10, 64)
		if err != nil {
			return nil, err
		}
		e := ledger.Entry{Account: line[:at], Amount: n}
		if e.Account == ledger.Receivable || e.Account == ledger.Deposits {
			e.Party = party
		}
		out = append(out, e)
	}
	return out, nil
}

// rateText is a rate as the code of a tax account ends with it: "19", "7.7", "8.1".
func rateText(p compute.Percent) string {
	if p.Den == 0 {
		return "0"
	}
	n, err := money.MulDiv(p.Num, 1000, p.Den, money.HalfUp)
	if err != nil {
		return "0"
	}
	text := fmt.Sprintf("%d.%03d", n/1000, n%1000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

const (
	insertDraft = `INSERT INTO billing_draft (tenant, id, account, turn, run, page, entity, kind, idx, currency, net, tax, gross, bill_date, next_date, due_days,
		held, entries, digest, at)`
	insertDocument = "INSERT INTO billing_document (tenant, bill, doc)"
	insertBilled   = "INSERT INTO billing_billed (tenant, item, idx, version, bill, net, tax_category, tax_num, tax_den, tax_included, revision)"
	insertParked   = "INSERT INTO billing_parked (tenant, run, account, code, reason, attempts, at)"
)

func (d *draft) insert(tx *store.Tx, doc []byte) {
	tx.Insert(insertDraft, d.id, d.account, d.turn, d.run, d.page, d.entity, d.kind, d.idx, d.currency, d.net, d.tax, d.gross, d.date, d.next, d.dueDays,
		d.held, d.entries, d.digest, store.Micros(tx.Now()))
	tx.Insert(insertDocument, d.id, string(doc))
}

// write keeps a draft with all that says it was billed.
func (o *outcome) write(tx *store.Tx) {
	d := o.draft
	d.insert(tx, o.doc)
	revision := map[string]int64{}
	for i := range o.gather.Input.Items {
		it := &o.gather.Input.Items[i]
		revision[it.ID] = it.Revision
	}
	for i := range o.lines {
		if l := &o.lines[i]; l.Item != "" {
			tx.Insert(insertBilled, l.Item, int64(l.Index), int64(l.Number), d.id, l.Amount, l.TaxCategory, l.TaxPercent.Num, l.TaxPercent.Den, flag(l.TaxIncluded), revision[l.Item])
		}
	}
	o.gather.Mark(tx, d.id)
}

func flag(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// undo takes a draft back as if it had never been made. It has to be the last bill of its
// account: those after it rest on it, but for credit notes of bills before it.
func undo(tx *store.Tx, d *draft, doc *Document) {
	for i := range doc.Lines {
		if l := &doc.Lines[i]; l.Item != "" {
			tx.QueueOne("DELETE FROM billing_billed WHERE tenant = $1 AND item = $2 AND idx = $3 AND version = $4 AND bill = $5", l.Item, int64(l.Index), int64(l.Number), d.id)
		}
	}
	Unmark(tx, d.account, d.id)
	tx.QueueOne("DELETE FROM billing_document WHERE tenant = $1 AND bill = $2", d.id)
	tx.QueueOne(`DELETE FROM billing_draft WHERE tenant = $1 AND id = $2 AND NOT EXISTS
		(SELECT 1 FROM billing_draft x WHERE x.tenant = $1 AND x.account = $3 AND x.turn > $4 AND (x.kind = 'invoice' OR EXISTS
			(SELECT 1 FROM billing_credit_of c WHERE c.tenant = x.tenant AND c.note = x.id AND c.rebill = 1)))`, d.id, d.account, d.turn)
}

const draftColumns = `id, account, turn, run, page, entity, kind, idx, currency, net, tax, gross, bill_date, next_date, due_days, held, entries, digest`

func scanDraft(r store.Rows) (*draft, error) {
	d := &draft{}
	return d, r.Scan(&d.id, &d.account, &d.turn, &d.run, &d.page, &d.entity, &d.kind, &d.idx, &d.currency, &d.net, &d.tax, &d.gross,
		&d.date, &d.next, &d.dueDays, &d.held, &d.entries, &d.digest)
}

// draftOf reads a bill and says whether it was posted.
func draftOf(tx *store.Tx, id string) (d *draft, posted bool, err error) {
	rows, err := tx.Query("SELECT "+draftColumns+" FROM billing_draft WHERE tenant = $1 AND id = $2", id)
	found, err := store.Collect(rows, err, scanDraft)
	if err != nil {
		return nil, false, err
	}
	if len(found) == 0 {
		return nil, false, fault.Missing("bill", id)
	}
	var n int64
	err = tx.Row("SELECT count(*) FROM billing_posted WHERE tenant = $1 AND bill = $2", id).Scan(&n)
	return found[0], n > 0, err
}

// documentOf reads what stands on a bill.
func documentOf(tx *store.Tx, bill string) (*Document, error) {
	var doc []byte
	err := tx.Row("SELECT doc FROM billing_document WHERE tenant = $1 AND bill = $2", bill).Scan(&doc)
	if err == store.ErrNotFound {
		return nil, fault.Missing("bill", bill)
	}
	if err != nil {
		return nil, err
	}
	return ReadDocument(doc)
}

// billDate is the date of a draft.
func (d *draft) billDate() (civil.Date, error) { return civil.ParseDate(d.date) }

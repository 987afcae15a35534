package billing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tandem/bss/ledger"
	"tandem/kit/store"
)

// BillFault is something that is wrong with posted bills.
type BillFault struct {
	Series string
	Number string
	Bill   string
	Words  string
}

func (f BillFault) String() string {
	return strings.TrimSpace(f.Series+" "+f.Number+" "+f.Bill) + ": " + f.Words
}

// BillAudit is what an audit has seen.
type BillAudit struct {
	Series, Bills, Faults int64
}

// billAudit is an audit under way.
type billAudit struct {
	BillAudit
	tx    *store.Tx
	found func(BillFault) error
}

func (a *billAudit) say(f BillFault) error {
	a.Faults++
	return a.found(f)
}

// AuditBills proves the posted bills of the tenant, series by series: numbers without a
// gap, each hash made of the one before and of the document, dates that never go
// backwards, totals that are those of the document and of the lines, and the ledger's
// entries. It hands what is wrong to found, in pages: any number of bills will do.
func AuditBills(tx *store.Tx, found func(BillFault) error) (BillAudit, error) {
	a := &billAudit{tx: tx, found: found}
	rows, err := tx.Query("SELECT series, format, last, last_date, hash FROM billing_series WHERE tenant = $1 ORDER BY series")
	all, err := store.Collect(rows, err, func(r store.Rows) (s series, err error) {
		return s, r.Scan(&s.name, &s.format, &s.last, &s.lastDate, &s.hash)
	})
	if err != nil {
		return a.BillAudit, err
	}
	for i := range all {
		a.Series++
		if err := a.series(&all[i]); err != nil {
			return a.BillAudit, err
		}
	}
	return a.BillAudit, a.strays()
}

// auditRow is a posted bill with what it is held against.
type auditRow struct {
	posted
	draft   *draft
	doc     []byte
	entries string // of the ledger, as entriesOf writes them
}

const auditAtOnce = 200

// series follows one chain from its root.
func (a *billAudit) series(s *series) error {
	parts := strings.Split(s.name, "/")
	year, err := strconv.Atoi(parts[len(parts)-1])
	if err != nil || len(parts) < 3 {
		return a.say(BillFault{Series: s.name, Words: "the name of the series is not one"})
	}
	s.year, s.kind = year, parts[len(parts)-2]
	at := &series{name: s.name, kind: s.kind, year: year, format: s.format, hash: rootHash(s.name)}
	for {
		page, err := a.page(s.name, at.last)
		if err != nil {
			return err
		}
		for i := range page {
			if err := a.link(at, &page[i]); err != nil {
				return err
			}
		}
		if len(page) == auditAtOnce {
			continue
		}
		// What was posted while we read is there together with the new end of its series.
		if err := a.tx.Row(lockSeries, s.name).Scan(&s.format, &s.last, &s.lastDate, &s.hash); err != nil {
			return err
		}
		if len(page) == 0 || s.last <= at.last {
			break
		}
	}
	switch {
	case at.last != s.last:
		return a.say(BillFault{Series: s.name, Words: fmt.Sprintf("%d numbers were given, the last posted bill has number %d", s.last, at.last)})
	case at.hash != s.hash:
		return a.say(BillFault{Series: s.name, Words: "the chain does not end with the hash that the series has"})
	case at.lastDate != s.lastDate:
		return a.say(BillFault{Series: s.name, Words: fmt.Sprintf("the last bill is of %s, the series of %s", at.lastDate, s.lastDate)})
	}
	return nil
}

const readAudit = `SELECT p.seq, p.bill, p.number, p.issue_date, p.due_date, p.hash, coalesce(t.doc, ''), ` +
	`d.id, d.account, d.turn, d.run, d.page, d.entity, d.kind, d.idx, d.currency, d.net, d.tax, d.gross, d.bill_date, d.next_date, d.due_days, d.held, d.entries, d.digest
	FROM billing_posted p JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill LEFT JOIN billing_document t ON t.tenant = p.tenant AND t.bill = p.bill
	WHERE p.tenant = $1 AND p.series = $2 AND p.seq > $3 ORDER BY p.seq LIMIT $4`

func (a *billAudit) page(name string, after int64) ([]auditRow, error) {
	rows, err := a.tx.Query(readAudit, name, after, int64(auditAtOnce))
	page, err := store.Collect(rows, err, func(r store.Rows) (x auditRow, err error) {
		d := &draft{}
		x.draft, x.series = d, name
		return x, r.Scan(&x.seq, &x.bill, &x.number, &x.issue, &x.due, &x.hash, &x.doc,
			&d.id, &d.account, &d.turn, &d.run, &d.page, &d.entity, &d.kind, &d.idx, &d.currency, &d.net, &d.tax, &d.gross,
			&d.date, &d.next, &d.dueDays, &d.held, &d.entries, &d.digest)
	})
	if err != nil || len(page) == 0 {
		return page, err
	}
	var names []string
	for i := range page {
		names = append(names, billBooking+page[i].bill)
	}
	booked, err := ledger.EntriesOf(a.tx, names)
	if err != nil {
		return nil, err
	}
	for i := range page {
		page[i].entries = entriesText(booked[billBooking+page[i].bill])
	}
	return page, nil
}

// entriesText writes entries of the ledger as a draft has them.
func entriesText(entries []ledger.Entry) string {
	var out []byte
	for _, e := range entries {
		out = appendEntry(out, e.Account, e.Amount)
	}
	return string(out)
}

// link holds a bill against the one before it and against all that says the same.
func (a *billAudit) link(at *series, x *auditRow) error {
	a.Bills++
	wrong := func(format string, args ...any) error {
		return a.say(BillFault{Series: at.name, Number: x.number, Bill: x.bill, Words: fmt.Sprintf(format, args...)})
	}
	var out []error
	if x.seq != at.last+1 {
		out = append(out, wrong("numbers %d to %d are missing", at.last+1, x.seq-1))
	}
	if want := at.number(x.seq); x.number != want {
		out = append(out, wrong("the number should be %s", want))
	}
	if x.issue < at.lastDate || x.issue < x.draft.date {
		out = append(out, wrong("it is of %s, the one before of %s, and its own period ended on %s", x.issue, at.lastDate, x.draft.date))
	}
	if !strings.HasPrefix(x.issue, fmt.Sprintf("%04d-", at.year)) {
		out = append(out, wrong("it is of %s, which is not the year of its series", x.issue))
	}
	if want := chainHash(at.hash, x.number, x.issue, x.due, x.draft.digest); x.hash != want {
		out = append(out, wrong("its hash does not follow from the bill before and from its own contents"))
	}
	if x.draft.held != "" {
		out = append(out, wrong("it was posted while it was held: %s", x.draft.held))
	}
	if x.entries != x.draft.entries {
		out = append(out, wrong("the ledger has %q, the bill %q", x.entries, x.draft.entries))
	}
	for _, words := range x.contents() {
		out = append(out, wrong("%s", words))
	}
	at.last, at.hash, at.lastDate = x.seq, x.hash, x.issue
	for _, err := range out {
		if err != nil {
			return err
		}
	}
	return nil
}

// contents holds the document against the digest, the row and itself.
func (x *auditRow) contents() (out []string) {
	if len(x.doc) == 0 {
		return []string{"its document is gone"}
	}
	if digestOf(x.doc) != x.draft.digest {
		out = append(out, "its document was changed: the digest is another one")
	}
	doc, err := ReadDocument(x.doc)
	if err != nil {
		return append(out, "its document cannot be read")
	}
	d := x.draft
	if doc.Bill != d.id || doc.Account != d.account || doc.Entity != d.entity || doc.Kind != d.kind || doc.Currency != d.currency ||
		doc.Net != d.net || doc.Tax != d.tax || doc.Gross != d.gross || doc.Date.String() != d.date {
		out = append(out, "its document says something else than its row")
	}
	var lines, net, tax int64
	for i := range doc.Lines {
		lines += doc.Lines[i].Net
	}
	for _, t := range doc.Taxes {
		net, tax = net+t.Net, tax+t.Tax
	}
	if lines != doc.Net || net != doc.Net || tax != doc.Tax || doc.Net+doc.Tax != doc.Gross {
		out = append(out, "its lines, taxes and totals do not add up")
	}
	return append(out, x.booked(doc)...)
}

// booked says whether the receivable of the ledger is what the document asks for.
func (x *auditRow) booked(doc *Document) []string {
	want := doc.Gross
	if doc.Kind == CreditNote {
		want = -want
	}
	entries, err := readEntries(x.draft.entries, x.draft.account)
	if err != nil {
		return []string{"its entries cannot be read"}
	}
	var sum, receivable int64
	for _, e := range entries {
		sum += e.Amount
		if e.Account == ledger.Receivable {
			receivable += e.Amount
		}
	}
	if receivable != want || sum != 0 {
		return []string{fmt.Sprintf("the ledger asks for %d, the bill for %d, and the booking leaves %d", receivable, want, sum)}
	}
	return nil
}

// strays finds posted bills whose series or contents are gone, and booked ones that were
// never posted.
func (a *billAudit) strays() error {
	for _, q := range []struct{ words, sql string }{
		{"it was posted, and what it says is gone", `SELECT p.series, p.number, p.bill FROM billing_posted p LEFT JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill
			WHERE p.tenant = $1 AND d.id IS NULL`},
		{"it was posted in a series that is not there", `SELECT p.series, p.number, p.bill FROM billing_posted p LEFT JOIN billing_series s ON s.tenant = p.tenant AND s.series = p.series
			WHERE p.tenant = $1 AND s.series IS NULL`},
		{"a line was billed on a bill that is not there", `SELECT '', '', b.bill FROM billing_billed b LEFT JOIN billing_draft d ON d.tenant = b.tenant AND d.id = b.bill
			WHERE b.tenant = $1 AND d.id IS NULL`},
	} {
		rows, err := a.tx.Query(q.sql)
		found, err := store.Collect(rows, err, func(r store.Rows) (f BillFault, err error) {
			f.Words = q.words
			return f, r.Scan(&f.Series, &f.Number, &f.Bill)
		})
		if err != nil {
			return err
		}
		for _, f := range found {
			if err := a.say(f); err != nil {
				return err
			}
		}
	}
	return a.unposted()
}

const postedOf = "SELECT bill FROM billing_posted WHERE tenant = $1 AND bill IN ("

// unposted finds what is in the books as a bill that was never posted.
func (a *billAudit) unposted() error {
	after := ""
	for {
		names, err := ledger.NamesOf(a.tx, billBooking, after, auditAtOnce)
		if err != nil || len(names) == 0 {
			return err
		}
		after = names[len(names)-1]
		var bills []string
		for _, name := range names {
			bills = append(bills, strings.TrimPrefix(name, billBooking))
		}
		args := store.Padded(bills)
		rows, err := a.tx.Query(postedOf+store.In(2, len(args))+")", args...)
		posted, err := store.Collect(rows, err, store.Text)
		if err != nil {
			return err
		}
		for _, bill := range bills {
			if slices.Contains(posted, bill) {
				continue
			}
			if err := a.say(BillFault{Bill: bill, Words: "it is in the books, and was never posted"}); err != nil {
				return err
			}
		}
	}
}

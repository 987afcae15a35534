package billing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"tandem/kit/civil"
	"tandem/kit/store"
)

// series is a row of numbers without a gap. Its bills are a chain: each one's hash covers
// the hash of the one before.
type series struct {
	name, kind string
	year       int
	format     string // of its numbers, as the entity had it when the series began
	last       int64
	lastDate   string
	hash       string
}

// seriesName is the series of an entity's documents of a kind and year.
func seriesName(entity, kind string, year int) string {
	return fmt.Sprintf("%s/%s/%04d", entity, kind, year)
}

// number is how the n-th number of a series is written.
func (s *series) number(n int64) string {
	e := LegalEntity{InvoiceNumber: s.format, CreditNoteNumber: s.format}
	return e.Number(s.kind, s.year, n)
}

// rootHash begins the chain of a series.
func rootHash(name string) string {
	sum := sha256.Sum256([]byte("tandem bill series\n" + name + "\n"))
	return hex.EncodeToString(sum[:])
}

// chainHash is the hash of a posted bill. digest is that of its document: the chain is
// proved without reading documents, and each document by its digest.
func chainHash(before, number, issue, due, digest string) string {
	var b strings.Builder
	b.Grow(256)
	for _, s := range []string{before, number, issue, due, digest} {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}

const (
	lockSeries = "SELECT format, last, last_date, hash FROM billing_series WHERE tenant = $1 AND series = $2"
	makeSeries = "INSERT INTO billing_series (tenant, series, format, last, last_date, hash) VALUES ($1, $2, $3, 0, '', $4) ON CONFLICT (tenant, series) DO NOTHING"
	moveSeries = "UPDATE billing_series SET last = $3, last_date = $4, hash = $5 WHERE tenant = $1 AND series = $2 AND last = $6"
)

// holdSeries locks a series until the transaction ends, and begins it if it is new.
func holdSeries(tx *store.Tx, e *LegalEntity, kind string, year int) (*series, error) {
	name := seriesName(e.ID, kind, year)
	s := &series{name: name, kind: kind, year: year}
	read := func() error {
		return tx.Row(lockSeries+tx.Dialect().ForUpdate(), name).Scan(&s.format, &s.last, &s.lastDate, &s.hash)
	}
	err := read()
	if err != store.ErrNotFound {
		return s, err
	}
	format := e.InvoiceNumber
	if kind == CreditNote {
		format = e.CreditNoteNumber
	}
	if _, err := tx.Exec(makeSeries, name, format, rootHash(name)); err != nil {
		return nil, err
	}
	return s, read()
}

// take gives the next number and its link in the chain to a bill issued on the day, or on
// the day of the last one of the series if a clock was set back.
func (s *series) take(d *draft, today civil.Date) (posted, error) {
	p := posted{bill: d.id, series: s.name}
	bill, err := d.billDate()
	if err != nil {
		return p, err
	}
	issue := today
	if bill.After(issue) {
		issue = bill
	}
	p.issue = issue.String()
	if p.issue < s.lastDate {
		p.issue = s.lastDate
		if issue, err = civil.ParseDate(s.lastDate); err != nil {
			return p, err
		}
	}
	p.due = issue.AddDays(int(d.dueDays)).String()
	s.last++
	p.seq, p.number = s.last, s.number(s.last)
	p.hash = chainHash(s.hash, p.number, p.issue, p.due, d.digest)
	s.hash, s.lastDate = p.hash, p.issue
	return p, nil
}

// save writes how far the series is; before is where it was.
func (s *series) save(tx *store.Tx, before int64) {
	tx.QueueOne(moveSeries, s.name, s.last, s.lastDate, s.hash, before)
}

// posted is a row of billing_posted.
type posted struct {
	bill, series, number, issue, due, hash string
	seq                                    int64
}

const insertPosted = "INSERT INTO billing_posted (tenant, series, seq, bill, number, issue_date, due_date, hash, posted_at)"

func (p *posted) write(tx *store.Tx) {
	tx.Insert(insertPosted, p.series, p.seq, p.bill, p.number, p.issue, p.due, p.hash, store.Micros(tx.Now()))
}

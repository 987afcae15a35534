package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Sums that an export is made of.
const (
	ByMonth = "month" // a line for each account of the general ledger
	ByDay   = "day"   // and day
	ByEntry = "entry" // a line for each entry, with its booking and text
)

// exportColumns are those of the file, see docs/general-ledger.md.
var exportColumns = []string{"record", "entity", "period", "closing", "date", "glAccount", "name", "account", "party", "booking", "text", "currency", "debit", "credit", "entries"}

// closing is one closing of an entity's books.
type closing struct {
	number int64
	to     string
}

// closingOf is the closing that a month rests on: the first that holds which reaches its
// last day. Errors: periodOpen.
func closingOf(tx *store.Tx, entity string, month civil.Date) (c closing, err error) {
	err = tx.Row("SELECT number, closed_to FROM ledger_closed WHERE tenant = $1 AND entity = $2 AND reopened_by = '' AND closed_to >= $3 ORDER BY closed_to LIMIT 1",
		entity, lastOf(month).String()).Scan(&c.number, &c.to)
	if err == store.ErrNotFound {
		return c, fault.Clash("periodOpen", "The month %s of %q is still open: what is exported does not change any more, so close it first", month.String()[:7], entity)
	}
	return c, err
}

// chartAt is the chart as it was at a closing.
func chartAt(tx *store.Tx, entity string, number int64) (Chart, error) {
	out := Chart{}
	rows, err := tx.Query("SELECT account, gl_account, name FROM ledger_closed_chart WHERE tenant = $1 AND entity = $2 AND number = $3", entity, number)
	_, err = store.Collect(rows, err, func(r store.Rows) (a ChartAccount, err error) {
		err = r.Scan(&a.Account, &a.GLAccount, &a.Name)
		out[a.Account] = a
		return a, err
	})
	return out, err
}

// exportLine is a line of the file, or a sum of several.
type exportLine struct {
	date, gl, name, account, party, booking, text string
	currency                                      string
	debit, credit, entries                        int64
}

// exporter writes one file.
type exporter struct {
	out            *csv.Writer
	entity, period string
	closing        closing
	chart          Chart
	totals         map[string]*exportLine
	lines          int64
}

// Exported is what an export came to.
type Exported struct {
	Closing int64
	Lines   int64
	Total   []PeriodTotal
	SHA256  string // of the file
}

// Export writes the closed month of an entity for the general ledger as CSV (RFC 4180, UTF-8,
// lines end with LF): columns, lines, and for each currency a line of totals. The same
// closing gives the same octets, whenever and wherever it is asked. tx is a snapshot.
// Errors: periodOpen, badGrouping.
func Export(tx *store.Tx, w io.Writer, entity string, month civil.Date, by string) (got Exported, err error) {
	defer fault.Wrap(&err, "ledger.Export(%s, %s)", entity, month)
	if by != ByMonth && by != ByDay && by != ByEntry {
		return got, fault.BadInput("badGrouping", "by is month, day or entry, not %.20q", by)
	}
	digest := sha256.New()
	e := exporter{out: csv.NewWriter(io.MultiWriter(w, digest)), entity: entity, period: month.String()[:7], totals: map[string]*exportLine{}}
	if e.closing, err = closingOf(tx, entity, month); err != nil {
		return got, err
	}
	if e.chart, err = chartAt(tx, entity, e.closing.number); err != nil {
		return got, err
	}
	if err := e.out.Write(exportColumns); err != nil {
		return got, err
	}
	if by == ByEntry {
		err = e.entries(tx, month)
	} else {
		err = e.sums(tx, month, by)
	}
	if err != nil {
		return got, err
	}
	if got.Total, err = e.finish(); err != nil {
		return got, err
	}
	got.Closing, got.Lines, got.SHA256 = e.closing.number, e.lines, hex.EncodeToString(digest.Sum(nil))
	return got, nil
}

// entries writes each entry in the order of the books.
func (e *exporter) entries(tx *store.Tx, month civil.Date) error {
	in := monthOf(month)
	rows, err := tx.Query(movements+`WHERE e.tenant = $1 AND e.entity = $2 AND e.on_date >= $3 AND e.on_date < $4 ORDER BY e.on_date, e.name, e.line`,
		e.entity, in.From.String(), in.To.String())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		m, err := scanMovement(rows)
		if err != nil {
			return err
		}
		l := exportLine{date: m.Date.String(), account: m.Account, party: m.Party, booking: m.Name, text: m.What, currency: m.Currency,
			debit: max(m.Amount, 0), credit: max(-m.Amount, 0), entries: 1}
		l.gl, l.name = e.chart.Of(m.Account)
		if err := e.write("entry", &l); err != nil {
			return err
		}
	}
	return rows.Err()
}

const turnovers = `SELECT on_date, account, currency, CAST(sum(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS BIGINT),
	CAST(sum(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS BIGINT), count(*)
	FROM ledger_entry WHERE tenant = $1 AND entity = $2 AND on_date >= $3 AND on_date < $4 GROUP BY on_date, account, currency`

// sums writes a line for each account of the general ledger, of a month or of a day.
func (e *exporter) sums(tx *store.Tx, month civil.Date, by string) error {
	in := monthOf(month)
	rows, err := tx.Query(turnovers, e.entity, in.From.String(), in.To.String())
	got, err := store.Collect(rows, err, func(r store.Rows) (l exportLine, err error) {
		err = r.Scan(&l.date, &l.account, &l.currency, &l.debit, &l.credit, &l.entries)
		if by == ByMonth {
			l.date = lastOf(month).String()
		}
		l.gl, l.name = e.chart.Of(l.account)
		l.account = ""
		return l, err
	})
	if err != nil {
		return err
	}
	type key struct{ date, gl, currency string }
	sums := map[key]*exportLine{}
	for i := range got {
		l := &got[i]
		k := key{l.date, l.gl, l.currency}
		sum := sums[k]
		if sum == nil {
			sums[k] = l
			continue
		}
		if l.name < sum.name { // accounts that are kept under one may have names of their own
			sum.name = l.name
		}
		if err := sum.add(l); err != nil {
			return err
		}
	}
	var lines []*exportLine
	for _, l := range sums {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(a, b *exportLine) int {
		return cmp.Or(cmp.Compare(a.date, b.date), cmp.Compare(a.gl, b.gl), cmp.Compare(a.currency, b.currency))
	})
	for _, l := range lines {
		if err := e.write("sum", l); err != nil {
			return err
		}
	}
	return nil
}

// add adds what another line has; the sum of a month may not fit, a defect that is told.
func (l *exportLine) add(o *exportLine) error {
	if l.debit > math.MaxInt64-o.debit || l.credit > math.MaxInt64-o.credit {
		return fmt.Errorf("ledger: the turnover of %s is too large", l.gl)
	}
	l.debit, l.credit, l.entries = l.debit+o.debit, l.credit+o.credit, l.entries+o.entries
	return nil
}

// plain is a text as a spreadsheet program shows it: one that begins as a formula does would
// be worked out there, so that an apostrophe is put before it (OWASP, CSV Injection).
func plain(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

func (e *exporter) write(record string, l *exportLine) error {
	c, err := money.ParseCurrency(l.currency)
	if err != nil {
		return err
	}
	if record != "total" {
		sum := e.totals[l.currency]
		if sum == nil {
			sum = &exportLine{currency: l.currency}
			e.totals[l.currency] = sum
		}
		if err := sum.add(l); err != nil {
			return err
		}
		e.lines++
	}
	return e.out.Write([]string{record, plain(e.entity), e.period, strconv.FormatInt(e.closing.number, 10), l.date, l.gl, plain(l.name), l.account, plain(l.party), plain(l.booking), plain(l.text), l.currency,
		money.Amount{Minor: l.debit, Currency: c}.Decimal(), money.Amount{Minor: l.credit, Currency: c}.Decimal(), strconv.FormatInt(l.entries, 10)})
}

// finish writes the totals, which are equal on both sides: what is not leaves no file.
func (e *exporter) finish() (out []PeriodTotal, err error) {
	var all []*exportLine
	for _, t := range e.totals {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *exportLine) int { return cmp.Compare(a.currency, b.currency) })
	for _, t := range all {
		if t.debit != t.credit {
			return nil, fault.Clash("unbalanced", "The month %s does not balance: debit %d, credit %d minor units of %s; run tandem verify", e.period, t.debit, t.credit, t.currency)
		}
		if err := e.write("total", t); err != nil {
			return nil, err
		}
		c, err := money.ParseCurrency(t.currency)
		if err != nil {
			return nil, err
		}
		out = append(out, PeriodTotal{Debit: money.Amount{Minor: t.debit, Currency: c}, Credit: money.Amount{Minor: t.credit, Currency: c}, Entries: t.entries})
	}
	e.out.Flush()
	return out, e.out.Error()
}

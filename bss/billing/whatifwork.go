package billing

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Jobs of a comparison. As those of a bill run: the list of bills is frozen in pages, a page
// is a job of its own, read on one snapshot, and what it finds is one transaction with the
// end of its job.
//
//	billing.compare.scope ──freezes pages──> billing.compare.page ──the last one──> done
const (
	jobCompareScope = "billing.compare.scope"
	jobComparePage  = "billing.compare.page"
)

const comparedPages = 2 // at once on a node: bill runs go before

// comparedTries is how often a job is tried. It is a constant; tests try less often.
var comparedTries = 10

// comparePage is the payload of a page's job.
type comparePage struct {
	Comparison string `json:"comparison"`
	Page       int64  `json:"page"`
}

// handleComparisons registers the jobs of comparisons.
func handleComparisons(r *work.Runner, m *runner) {
	quick := work.Exponential(200*time.Millisecond, time.Minute)
	r.Handle(jobCompareScope, work.Options{Concurrency: 1, Backoff: quick, Timeout: time.Hour, MaxAttempts: comparedTries},
		m.orFails(func(j *work.Job) string { return j.Key }, m.compareScope))
	r.Handle(jobComparePage, work.Options{Concurrency: comparedPages, Backoff: quick, Timeout: pageTime, MaxAttempts: comparedTries},
		m.orFails(func(j *work.Job) string { id, _, _ := strings.Cut(j.Key, "/"); return id }, m.comparePage))
}

// pageKey is the key of a page's job.
func pageKey(comparison string, page int64) string { return fmt.Sprintf("%s/%d", comparison, page) }

// orFails has a comparison fail with the last try of a job of it: a parked job would leave it
// under way, and in the way of others, until somebody finds it.
func (m *runner) orFails(of func(*work.Job) string, do work.Handler) work.Handler {
	return func(ctx context.Context, j *work.Job) error {
		err := steadily(ctx, do, j)
		if err == nil || j.Attempt < int64(comparedTries) || ctx.Err() == context.Canceled { // the node stops: it is tried again
			return err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTime) // the job's time may be over
		defer cancel()
		return m.failed(ctx, j, of(j), fmt.Sprintf("It was tried %d times: %s", j.Attempt, sentence(err)))
	}
}

const failTime = 30 * time.Second

// steadily makes a panic of a job an error of it.
func steadily(ctx context.Context, do work.Handler, j *work.Job) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errDefect{fmt.Sprintf("a defect of this program: %v\n%s", p, debug.Stack())}
		}
	}()
	return do(ctx, j)
}

func (m *runner) readComparison(ctx context.Context, j *work.Job, id string) (c *BillComparison, err error) {
	err = m.db.Read(ctx, j.Scope(), func(tx *store.Tx) error {
		c, err = BillComparisons.Get(tx, id)
		return err
	})
	if fault.Is(err, fault.NotFound) { // it was deleted meanwhile
		return &BillComparison{State: ComparisonFailed}, nil
	}
	return c, err
}

// end ends a job that has nothing left to do.
func (m *runner) end(ctx context.Context, j *work.Job) error {
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return j.Finish(tx) })
}

// compareScope freezes the list of bills, page by page; after a crash it goes on behind the
// last page that is there. Then all pages are begun.
func (m *runner) compareScope(ctx context.Context, j *work.Job) error {
	c, err := m.readComparison(ctx, j, j.Key)
	if err != nil {
		return err
	}
	if c.State != ComparisonScoping {
		return m.end(ctx, j)
	}
	for more := true; more; {
		if more, err = m.compareSome(ctx, j, c); err != nil {
			return err
		}
	}
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		_, err := BillComparisons.Edit(tx, c.ID, func(c *BillComparison) error {
			if c.Progress.Pages == 0 {
				c.State, c.FinishedDate, c.Reason = ComparisonDone, tx.Now(), "There are no such bills"
				return nil
			}
			c.State = ComparisonReplaying
			for n := range c.Progress.Pages {
				p := comparePage{c.ID, n + 1}
				if err := work.Enqueue(tx, jobComparePage, pageKey(c.ID, p.Page), p, time.Time{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		return j.Finish(tx)
	})
}

// Bills that correct one another are no bills of a period: credit notes that were asked for
// are left out, those that a bill became since it was in the customer's favour are not.
const scopeBills = `SELECT d.id FROM billing_draft d JOIN billing_posted p ON p.tenant = d.tenant AND p.bill = d.id
	WHERE d.tenant = $1 AND d.id > $2 AND NOT EXISTS (SELECT 1 FROM billing_credit_of x WHERE x.tenant = d.tenant AND x.note = d.id)`

// meant is the question for the next bills behind one.
func (c *BillComparison) meant(tx *store.Tx, after string, limit int64) (text string, args []any, err error) {
	text, args = scopeBills, []any{after}
	also := func(condition string, values ...any) {
		text += " AND " + fmt.Sprintf(condition, store.In(len(args)+2, len(values)))
		args = append(args, values...)
	}
	if c.BillRun != nil {
		also("d.run IN (%s)", c.BillRun.ID)
	} else {
		also("d.bill_date >= %s", c.From)
		also("d.bill_date <= %s", c.To)
	}
	if c.LegalEntity != nil {
		also("d.entity IN (%s)", c.LegalEntity.ID)
	}
	if c.Brand != "" {
		entities, err := LegalEntities.Select(tx, tmf.Where{}, tmf.Page{})
		if err != nil {
			return "", nil, err
		}
		of := []any{""}
		for _, e := range entities {
			if e.Brand == c.Brand {
				of = append(of, e.ID)
			}
		}
		also("d.entity IN (%s)", of...)
	}
	if len(c.BillingAccount) > 0 {
		var ids []string
		for _, a := range c.BillingAccount {
			ids = append(ids, a.ID)
		}
		also("d.account IN (%s)", store.Padded(ids)...)
	}
	if c.CycleSpecification != nil {
		also("EXISTS (SELECT 1 FROM billing_account a WHERE a.tenant = d.tenant AND a.id = d.account AND a."+cycleColumn+" IN (%s))", c.CycleSpecification.ID)
	}
	order := "d.id"
	if c.Sample > 0 { // the digest of a bill is as good as chance, and the same each time
		order, limit = "d.digest", c.Sample
	}
	return text + fmt.Sprintf(" ORDER BY %s LIMIT %d", order, limit), args, nil
}

// compareSome freezes the next pages and says whether there may be more.
func (m *runner) compareSome(ctx context.Context, j *work.Job, c *BillComparison) (more bool, err error) {
	var ids []string
	var page int64
	limit := int64(scopedAtOnce * accountsAPage)
	err = m.db.Read(ctx, j.Scope(), func(tx *store.Tx) error {
		var after string
		if page, after, err = lastComparePage(tx, c.ID); err != nil || c.Sample > 0 && page > 0 {
			return err
		}
		text, args, err := c.meant(tx, after, limit)
		if err != nil {
			return err
		}
		rows, err := tx.Query(text, args...)
		ids, err = store.Collect(rows, err, store.Text)
		return err
	})
	if err != nil || len(ids) == 0 {
		return false, err
	}
	return c.Sample == 0 && int64(len(ids)) == limit, m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		if at, _, err := lastComparePage(tx, c.ID); err != nil || at != page {
			return errors.Join(err, store.ErrStale)
		}
		for part := range slices.Chunk(ids, accountsAPage) {
			page++
			tx.Insert("INSERT INTO billing_compare_page (tenant, comparison, page, bills, done)", c.ID, page, strings.Join(part, "\n"), 0)
		}
		_, err := BillComparisons.Edit(tx, c.ID, func(c *BillComparison) error {
			c.Progress.Bills += int64(len(ids))
			c.Progress.Pages = page
			return nil
		})
		return err
	})
}

// lastComparePage is the number of the last page, and the last bill on it.
func lastComparePage(tx *store.Tx, comparison string) (page int64, bill string, err error) {
	var bills string
	err = tx.Row("SELECT page, bills FROM billing_compare_page WHERE tenant = $1 AND comparison = $2 ORDER BY page DESC LIMIT 1", comparison).Scan(&page, &bills)
	if err == store.ErrNotFound {
		return 0, "", nil
	}
	return page, bills[strings.LastIndexByte(bills, '\n')+1:], err
}

// comparePage replays the bills of a page.
func (m *runner) comparePage(ctx context.Context, j *work.Job) error {
	var p comparePage
	if err := j.Decode(&p); err != nil {
		return work.Park(err)
	}
	c, err := m.readComparison(ctx, j, p.Comparison)
	if err != nil {
		return err
	}
	if c.State != ComparisonReplaying {
		return m.end(ctx, j)
	}
	var found *comparing
	err = m.db.Snapshot(ctx, j.Scope(), func(tx *store.Tx) error {
		var bills string
		if err := tx.Row("SELECT bills FROM billing_compare_page WHERE tenant = $1 AND comparison = $2 AND page = $3", p.Comparison, p.Page).Scan(&bills); err != nil {
			return err
		}
		found, err = compare(tx, c, strings.Split(bills, "\n"))
		return err
	})
	if f := fault.Of(err); err != nil && f.Kind != fault.Internal && f.Kind != fault.Unavailable {
		return m.failed(ctx, j, p.Comparison, f.Reason)
	}
	if err != nil {
		return err
	}
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return found.keep(tx, j, p) })
}

// failed ends a comparison that cannot go on.
func (m *runner) failed(ctx context.Context, j *work.Job, id, reason string) error {
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		_, err := BillComparisons.Edit(tx, id, func(c *BillComparison) error {
			if c.Working() {
				c.State, c.Reason, c.FinishedDate = ComparisonFailed, short(reason), tx.Now()
			}
			return nil
		})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		return j.Finish(tx)
	})
}

const (
	insertCompared   = "INSERT INTO billing_compared (tenant, comparison, bill, account, number, currency, lines, net, tax, gross, new_net, new_tax, new_gross, code, reason)"
	insertDifference = "INSERT INTO billing_difference (tenant, comparison, bill, n, account, item, product, offering, name, sort, currency, was, becomes, code, reason)"
	insertTotal      = "INSERT INTO billing_compare_total (tenant, comparison, page, offering, currency, name, lines, changed, was, becomes)"
)

// keep writes what was found on a page, and how far the comparison is.
func (p *comparing) keep(tx *store.Tx, j *work.Job, at comparePage) error {
	for _, b := range p.bills {
		tx.Insert(insertCompared, at.Comparison, b.bill, b.account, b.number, b.currency, b.lines, b.net, b.tax, b.gross, b.newNet, b.newTax, b.newGross, b.code, b.reason)
	}
	for _, d := range p.lines {
		tx.Insert(insertDifference, at.Comparison, d.bill, d.n, d.account, d.item, d.product, d.offering, d.name, d.sort, d.currency, d.was, d.becomes, d.code, d.reason)
	}
	for key, t := range p.totals {
		tx.Insert(insertTotal, at.Comparison, at.Page, key[0], key[1], p.names[key[0]], t.lines, t.changed, t.was, t.becomes)
	}
	tx.QueueOne("UPDATE billing_compare_page SET done = 1 WHERE tenant = $1 AND comparison = $2 AND page = $3 AND done = 0", at.Comparison, at.Page)
	_, err := BillComparisons.Edit(tx, at.Comparison, func(c *BillComparison) (err error) {
		if c.State != ComparisonReplaying {
			return nil
		}
		c.Progress.add(&p.counts)
		if c.Sum, err = p.sums.into(c.Sum); err != nil {
			return err
		}
		if c.Progress.Done++; c.Progress.Done < c.Progress.Pages {
			return nil
		}
		if err := tx.Flush(); err != nil {
			return err
		}
		c.State, c.FinishedDate = ComparisonDone, tx.Now()
		c.Total, err = readTotals(tx, c.ID)
		return err
	})
	if err != nil {
		return err
	}
	return j.Finish(tx)
}

func (p *ComparisonProgress) add(n *ComparisonProgress) {
	p.Reproduced, p.Parked, p.Changed, p.Lines = p.Reproduced+n.Reproduced, p.Parked+n.Parked, p.Changed+n.Changed, p.Lines+n.Lines
	p.Kept, p.Undecided, p.Unrated, p.Older = p.Kept+n.Kept, p.Undecided+n.Undecided, p.Unrated+n.Unrated, p.Older+n.Older
}

// comparedSums are what bills come to, by currency: bills, net, gross, new net, new gross.
type comparedSums map[string]*[5]int64

func (s comparedSums) add(currency string, net, gross, newNet, newGross int64) {
	if s[currency] == nil {
		s[currency] = &[5]int64{}
	}
	for i, n := range [5]int64{1, net, gross, newNet, newGross} {
		s[currency][i] += n
	}
}

// into adds them to those of a comparison.
func (s comparedSums) into(sums []ComparedSum) ([]ComparedSum, error) {
	out := slices.Clone(sums)
	for code, n := range s {
		i := slices.IndexFunc(out, func(x ComparedSum) bool { return x.Net.Currency.Code() == code })
		if i < 0 {
			c, err := money.ParseCurrency(code)
			if err != nil {
				return nil, err
			}
			zero := money.Amount{Currency: c}
			i, out = len(out), append(out, ComparedSum{Net: zero, Gross: zero, NewNet: zero, NewGross: zero})
		}
		t := &out[i]
		t.Bills += n[0]
		for k, to := range []*money.Amount{&t.Net, &t.Gross, &t.NewNet, &t.NewGross} {
			sum, err := to.Add(money.Amount{Minor: n[k+1], Currency: to.Currency})
			if err != nil {
				return nil, err
			}
			*to = sum
		}
	}
	slices.SortFunc(out, func(a, b ComparedSum) int { return strings.Compare(a.Net.Currency.Code(), b.Net.Currency.Code()) })
	return out, nil
}

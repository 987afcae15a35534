package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/work"
)

// Jobs of a bill run. A page of accounts is a job of its own: pages are worked on side by
// side, on all nodes, and what a page leaves is one transaction with the end of its job.
//
//	billing.scope ──freezes pages──> billing.page (compute) ──the last one──> billing.assure ──> ready
//	                 approved, a person says post ──> billing.page (post) ──the last one──> posted
const (
	jobScope  = "billing.scope"
	jobPage   = "billing.page"
	jobAssure = "billing.assure"
)

// Stages of a page's job.
const (
	stageCompute = "compute"
	stagePost    = "post"
	stageDiscard = "discard"
)

// stages of a page's row, after and before its job.
var pageStages = map[string]struct{ from, to string }{
	stageCompute: {"scoped", "computed"}, stagePost: {"computed", "posted"}, stageDiscard: {"computed", "discarded"},
}

// pageJob is the payload of a page's job; its key is the run's id and the page.
type pageJob struct {
	Run     string `json:"run"`
	Page    int64  `json:"page"`
	Stage   string `json:"stage"`
	Attempt int64  `json:"attempt,omitzero"` // of accounts that were parked before
}

func (p pageJob) key() string { return fmt.Sprintf("%s/%d", p.Run, p.Page) }

// runner does the jobs.
type runner struct{ db *store.DB }

const (
	pagesAtOnce  = 3 // on a node: one reads and computes while another writes
	pageTries    = 5 // of a page whose accounts another run billed meanwhile
	pageTime     = 10 * time.Minute
	scopedAtOnce = 20 // pages of a transaction
)

// Handle registers the jobs of bill runs.
func Handle(r *work.Runner, db *store.DB) {
	m := &runner{db}
	quick := work.Exponential(200*time.Millisecond, time.Minute)
	r.Handle(jobScope, work.Options{Concurrency: 1, Backoff: quick, Timeout: time.Hour}, m.scope)
	r.Handle(jobPage, work.Options{Concurrency: pagesAtOnce, Backoff: quick, Timeout: pageTime}, m.page)
	r.Handle(jobAssure, work.Options{Concurrency: 1, Backoff: quick, Timeout: time.Hour}, m.assure)
	handleComparisons(r, m)
	handleDeposits(r, db)
}

// readRun reads the run of a job; one that is gone has nothing left to do.
func (m *runner) readRun(ctx context.Context, j *work.Job, id string) (r *BillRun, err error) {
	err = m.db.Read(ctx, j.Scope(), func(tx *store.Tx) error {
		r, err = BillRuns.Get(tx, id)
		return err
	})
	return r, err
}

// scope freezes the list of accounts, page by page; after a crash it goes on behind the
// last page that is there. Then all pages are begun.
func (m *runner) scope(ctx context.Context, j *work.Job) error {
	r, err := m.readRun(ctx, j, j.Key)
	if err != nil || r.State != RunScoping {
		return err
	}
	for {
		more, err := m.scopeSome(ctx, j, r)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		pages, _, err := lastPage(tx, r.ID)
		if err != nil {
			return err
		}
		_, err = BillRuns.Edit(tx, r.ID, func(r *BillRun) error {
			r.State, r.Progress.Pages = RunComputing, pages
			if pages == 0 {
				r.State = RunAssuring
				return work.Enqueue(tx, jobAssure, r.ID, nil, time.Time{})
			}
			return enqueuePages(tx, r.ID, stageCompute)
		})
		if err != nil {
			return err
		}
		return j.Finish(tx)
	})
}

// lastPage is the number of the last page of a run, and the last account on it.
func lastPage(tx *store.Tx, run string) (page int64, account string, err error) {
	var accounts string
	err = tx.Row("SELECT page, accounts FROM billing_run_page WHERE tenant = $1 AND run = $2 ORDER BY page DESC LIMIT 1", run).Scan(&page, &accounts)
	if err == store.ErrNotFound {
		return 0, "", nil
	}
	return page, accounts[strings.LastIndexByte(accounts, '\n')+1:], err
}

const (
	// scoped: no bill says that the next one is due later, or the calendar was changed since.
	scoped = `(NOT EXISTS (SELECT 1 FROM billing_draft d WHERE d.tenant = a.tenant AND d.account = a.id AND d.next_date > $3)
		OR EXISTS (SELECT 1 FROM billing_calendar_was m WHERE m.tenant = a.tenant AND m.account = a.id AND ` + dueAnew + `))`
	scopeAll   = "SELECT a.id FROM billing_account a WHERE a.tenant = $1 AND a.id > $2 AND %s ORDER BY a.id LIMIT $4"
	scopeCycle = "SELECT a.id FROM billing_account a WHERE a.tenant = $1 AND a.id > $2 AND a.%s = $5 AND %s ORDER BY a.id LIMIT $4"
	insertPage = "INSERT INTO billing_run_page (tenant, run, page, stage, accounts)"
)

// scopeSome freezes the next pages and says whether there may be more.
func (m *runner) scopeSome(ctx context.Context, j *work.Job, r *BillRun) (more bool, err error) {
	var ids []string
	var page int64
	err = m.db.Read(ctx, j.Scope(), func(tx *store.Tx) error {
		var after string
		if page, after, err = lastPage(tx, r.ID); err != nil {
			return err
		}
		if r.onDemand() {
			for _, a := range r.BillingAccount {
				if a.ID > after {
					ids = append(ids, a.ID)
				}
			}
			slices.Sort(ids)
			ids = slices.Compact(ids)
			return nil
		}
		due := fmt.Sprintf(scoped, 3)
		text, args := fmt.Sprintf(scopeAll, due), []any{after, r.CutOff, int64(scopedAtOnce * accountsAPage)}
		if r.CycleSpecification != nil {
			text, args = fmt.Sprintf(scopeCycle, cycleColumn, due), append(args, r.CycleSpecification.ID)
		}
		rows, err := tx.Query(text, args...)
		ids, err = store.Collect(rows, err, store.Text)
		return err
	})
	if err != nil || len(ids) == 0 {
		return false, err
	}
	return len(ids) >= scopedAtOnce*accountsAPage, m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		if at, _, err := lastPage(tx, r.ID); err != nil || at != page {
			return errors.Join(err, store.ErrStale)
		}
		for part := range slices.Chunk(ids, accountsAPage) {
			page++
			tx.Insert(insertPage, r.ID, page, "scoped", strings.Join(part, "\n"))
		}
		_, err := BillRuns.Edit(tx, r.ID, func(r *BillRun) error {
			r.Progress.Accounts += int64(len(ids))
			r.Progress.Pages = page
			return nil
		})
		return err
	})
}

// cycleColumn is where the machine keeps an account's cycle specification.
const cycleColumn = "a_bill_structure_cycle_specification_id"

// enqueuePages begins a stage for all pages of a run that are ready for it.
func enqueuePages(tx *store.Tx, run, stage string) error {
	rows, err := tx.Query("SELECT page FROM billing_run_page WHERE tenant = $1 AND run = $2 AND stage = $3 ORDER BY page", run, pageStages[stage].from)
	pages, err := store.Collect(rows, err, func(r store.Rows) (n int64, err error) { return n, r.Scan(&n) })
	if err != nil {
		return err
	}
	for _, n := range pages {
		p := pageJob{Run: run, Page: n, Stage: stage}
		if err := work.Enqueue(tx, jobPage, p.key(), p, time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// page does a page's job.
func (m *runner) page(ctx context.Context, j *work.Job) error {
	var p pageJob
	if err := j.Decode(&p); err != nil {
		return work.Park(err)
	}
	r, err := m.readRun(ctx, j, p.Run)
	if err != nil {
		return err
	}
	switch p.Stage {
	case stageCompute:
		return m.computePage(ctx, j, r, p)
	case stagePost:
		return m.postPage(ctx, j, p)
	case stageDiscard:
		return m.discardPage(ctx, j, p)
	}
	return work.Park(fmt.Errorf("a page of a bill run has no stage %q", p.Stage))
}

func pageAccounts(tx *store.Tx, p pageJob) ([]string, error) {
	var accounts string
	err := tx.Row("SELECT accounts FROM billing_run_page WHERE tenant = $1 AND run = $2 AND page = $3", p.Run, p.Page).Scan(&accounts)
	return strings.Split(accounts, "\n"), err
}

// computePage makes the drafts of a page. Whoever was billed by another run meanwhile is
// looked at again; an account whose rows the database refuses is parked, the others go on.
func (m *runner) computePage(ctx context.Context, j *work.Job, r *BillRun, p pageJob) error {
	bad := map[string]error{}
	for try := 1; ; try++ {
		var all []outcome
		var accounts []string
		err := m.db.Snapshot(ctx, j.Scope(), func(tx *store.Tx) (err error) {
			if accounts, err = pageAccounts(tx, p); err == nil {
				all, err = outcomes(tx, r, accounts)
			}
			return err
		})
		if err != nil {
			return err
		}
		for i := range all {
			if why := bad[all[i].account]; why != nil {
				all[i] = outcome{account: all[i].account, code: "notKept", parked: short("The bill cannot be kept: " + sentence(why))}
			}
		}
		err = m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return keepPage(tx, j, p, accounts, all) })
		if err == nil || try == pageTries || errors.Is(err, store.ErrStale) || errors.Is(err, store.ErrAway) || ctx.Err() != nil {
			return err
		}
		if !store.IsUnique(err, "billing_") {
			m.suspects(ctx, j, all, bad)
		}
	}
}

// errProbe takes a trial back.
var errProbe = errors.New("billing: only tried")

// suspects finds the accounts whose rows the database refuses, by trying one by one.
func (m *runner) suspects(ctx context.Context, j *work.Job, all []outcome, bad map[string]error) {
	for i := range all {
		if all[i].draft == nil {
			continue
		}
		err := m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
			all[i].write(tx)
			return errors.Join(tx.Flush(), errProbe)
		})
		if err != nil && !only(err) {
			bad[all[i].account] = err
		}
	}
}

// only says that a trial failed for nothing but having been one.
func only(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(e error) bool { return !only(e) })
	}
	return err == errProbe
}

// keepPage writes what was worked out for a page, and how far the run is.
func keepPage(tx *store.Tx, j *work.Job, p pageJob, accounts []string, all []outcome) error {
	var n RunProgress
	for i := range all {
		o := &all[i]
		switch {
		case o.parked != "":
			n.Parked++
			tx.Insert(insertParked, p.Run, o.account, o.code, o.parked, max(1, p.Attempt), store.Micros(tx.Now()))
		case o.waits:
			n.Waiting++
		case o.draft != nil:
			n.Bills++
			if o.draft.held != "" {
				n.Held++
			}
			o.draft.run, o.draft.page = p.Run, p.Page
			o.write(tx)
		}
	}
	n.UpToDate = int64(len(accounts)) - n.Parked - n.Waiting - n.Bills
	return pageDone(tx, j, p, func(r *BillRun) error {
		x := &r.Progress
		x.Bills, x.Held, x.Parked = x.Bills+n.Bills, x.Held+n.Held, x.Parked+n.Parked
		x.Waiting, x.UpToDate = x.Waiting+n.Waiting, x.UpToDate+n.UpToDate
		if x.Computed++; x.Computed < x.Pages {
			return nil
		}
		r.State = RunAssuring
		return work.Enqueue(tx, jobAssure, r.ID, nil, time.Time{})
	})
}

// pageDone ends a page's stage: its row, the run's progress and the job, together.
func pageDone(tx *store.Tx, j *work.Job, p pageJob, count func(*BillRun) error) error {
	s := pageStages[p.Stage]
	tx.QueueOne("UPDATE billing_run_page SET stage = $4 WHERE tenant = $1 AND run = $2 AND page = $3 AND stage = $5", p.Run, p.Page, s.to, s.from)
	if _, err := BillRuns.Edit(tx, p.Run, count); err != nil {
		return err
	}
	return j.Finish(tx)
}

// assure adds up what the run has made, from the bills themselves, and lets it wait for a
// person. A run that has nothing to approve, hold or park is done.
func (m *runner) assure(ctx context.Context, j *work.Job) error {
	var totals []RunTotal
	err := m.db.Read(ctx, j.Scope(), func(tx *store.Tx) (err error) {
		totals, err = openTotals(tx, j.Key)
		return err
	})
	if err != nil {
		return err
	}
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		_, err := BillRuns.Edit(tx, j.Key, func(r *BillRun) error {
			if r.State != RunAssuring {
				return nil
			}
			r.State, r.Total = RunReady, totals
			if len(totals) == 0 && r.Progress.Held == 0 && r.Progress.Parked == 0 {
				r.State = RunPosted
				if r.Progress.Done == 0 {
					r.Reason = "No account had anything to bill"
				}
			}
			return nil
		})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		return j.Finish(tx)
	})
}

// openTotals adds up the bills of a run that are neither held nor posted.
func openTotals(tx *store.Tx, run string) ([]RunTotal, error) {
	rows, err := tx.Query(`SELECT d.entity, d.kind, d.currency, count(*), CAST(sum(d.net) AS BIGINT), CAST(sum(d.tax) AS BIGINT), CAST(sum(d.gross) AS BIGINT)
		FROM billing_draft d LEFT JOIN billing_posted p ON p.tenant = d.tenant AND p.bill = d.id
		WHERE d.tenant = $1 AND d.run = $2 AND d.held = '' AND p.bill IS NULL GROUP BY d.entity, d.kind, d.currency`, run)
	totals, err := store.Collect(rows, err, func(r store.Rows) (t RunTotal, err error) {
		var currency string
		if err = r.Scan(&t.Entity, &t.Kind, &currency, &t.Bills, &t.Net.Minor, &t.Tax.Minor, &t.Gross.Minor); err != nil {
			return t, err
		}
		c, err := money.ParseCurrency(currency)
		t.Net.Currency, t.Tax.Currency, t.Gross.Currency = c, c, c
		return t, err
	})
	slices.SortFunc(totals, compareTotals)
	return totals, err
}

const openOfPage = "SELECT " + draftColumns + ` FROM billing_draft d WHERE d.tenant = $1 AND d.run = $2 AND d.page = $3 AND d.held = ''
	AND NOT EXISTS (SELECT 1 FROM billing_posted p WHERE p.tenant = d.tenant AND p.bill = d.id) ORDER BY d.id`

// postPage posts the bills of a page that are not held. They do not change any more, so
// they are read before the transaction, which begins with the series' locks.
func (m *runner) postPage(ctx context.Context, j *work.Job, p pageJob) error {
	var drafts []*draft
	err := m.db.Read(ctx, j.Scope(), func(tx *store.Tx) error {
		rows, err := tx.Query(openOfPage, p.Run, p.Page)
		drafts, err = store.Collect(rows, err, scanDraft)
		return err
	})
	if err != nil {
		return err
	}
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		if err := postAll(tx, drafts); err != nil {
			return err
		}
		return pageDone(tx, j, p, func(r *BillRun) (err error) {
			r.Progress.Done += int64(len(drafts))
			r.Progress.Posted++
			r.PostedDate = tx.Now()
			for _, d := range drafts {
				if r.PostedTotal, err = add(r.PostedTotal, d, 1); err != nil {
					return err
				}
			}
			left, err := pagesLeft(tx, r.ID, "computed", p.Page)
			if err != nil || left > 0 {
				return err
			}
			r.State = RunPosted
			if !slices.Equal(r.Total, r.PostedTotal) {
				return fmt.Errorf("bill run %s: what was posted, %v, is not what was approved, %v", r.ID, r.PostedTotal, r.Total)
			}
			return nil
		})
	})
}

// pagesLeft counts the pages of a run at a stage, but for one.
func pagesLeft(tx *store.Tx, run, stage string, but int64) (n int64, err error) {
	err = tx.Row("SELECT count(*) FROM billing_run_page WHERE tenant = $1 AND run = $2 AND stage = $3 AND page <> $4", run, stage, but).Scan(&n)
	return n, err
}

const allOfPage = "SELECT " + draftColumns + " FROM billing_draft d WHERE d.tenant = $1 AND d.run = $2 AND d.page = $3 ORDER BY d.id"

// discardPage takes the drafts of a page back.
func (m *runner) discardPage(ctx context.Context, j *work.Job, p pageJob) error {
	return m.db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		rows, err := tx.Query(allOfPage, p.Run, p.Page)
		drafts, err := store.Collect(rows, err, scanDraft)
		if err != nil {
			return err
		}
		for _, d := range drafts {
			if err := takeBack(tx, d); err != nil {
				return err
			}
		}
		tx.Queue("DELETE FROM billing_parked WHERE tenant = $1 AND run = $2", p.Run)
		return pageDone(tx, j, p, func(r *BillRun) error {
			r.Progress.Posted++
			left, err := pagesLeft(tx, r.ID, "computed", p.Page)
			if err == nil && left == 0 {
				r.State, r.Total = RunDiscarded, nil
				r.Progress.Bills, r.Progress.Held, r.Progress.Parked = 0, 0, 0
			}
			return err
		})
	})
}

// takeBack undoes a draft, if it is the last bill of its account.
func takeBack(tx *store.Tx, d *draft) error {
	doc, err := documentOf(tx, d.id)
	if err != nil {
		return err
	}
	undo(tx, d, doc)
	if err := tx.Flush(); err != nil {
		if errors.Is(err, store.ErrStale) {
			return fault.Clash("notTheLast", "The bill %q of account %q cannot be taken back: a later bill of the account rests on it; discard that one first", d.id, d.account)
		}
		return err
	}
	return nil
}

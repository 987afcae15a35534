package revenue

import (
	"context"
	"slices"
	"time"

	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// leak is a disagreement as a comparison finds it.
type leak struct {
	key, class, words string
	side              string     // "": Leakage
	since             time.Time  // zero: nobody knows
	lasts             bool       // it does not settle by itself: it is told at once though nobody knows since when
	monthly           *tmf.Money // what it costs a month: for the formula by day
	amount            *tmf.Money // what it comes to, where that is known
	about             []tmf.Ref
	evidence          []Evidence
	correction        *Proposal

	not bool // it is no finding of this run: too young, or a person has said that nothing is wrong
}

const (
	writeAtOnce = 100    // findings of a transaction
	maxWritten  = 10_000 // new findings of a run: what is more is counted
	maxWords    = 1000   // octets
	maxEvidence = 20
)

// check is one control at work.
type check struct {
	ctx     context.Context
	db      *store.DB
	scope   store.Scope
	doors   Doors
	control *Control
	run     string
	at      time.Time // now, for this control
	young   time.Time // what began after it may be on its way
	out     ControlResult
	leaks   []leak
	lost    sums // what all it has found comes to
	charged sums
	risk    sums
	fixes   []string // findings that may be put right

	// blind says that the control has not looked at all there is: what it did not find
	// again may be there. unlooked are accounts that it did not look at.
	blind    bool
	unlooked map[string]bool
}

func newCheck(ctx context.Context, db *store.DB, s store.Scope, d Doors, c *Control, run string) (*check, error) {
	patience, err := c.patience()
	if err != nil {
		return nil, err
	}
	now := db.Now()
	return &check{ctx: ctx, db: db, scope: s, doors: d, control: c, run: run, at: now, young: now.Add(-patience),
		out: ControlResult{Control: c.ID}, lost: sums{}, charged: sums{}, risk: sums{}}, nil
}

// read runs fn on a reader.
func (c *check) read(fn func(tx *store.Tx) error) error { return c.db.Read(c.ctx, c.scope, fn) }

// tell takes what a comparison found. What may be on its way, and what the tolerance
// allows, is none.
func (c *check) tell(l leak) error {
	if l.since.After(c.young) {
		c.out.Young++
		return nil
	}
	if c.tolerated(l.amount) {
		return nil
	}
	if l.side == "" {
		l.side = Leakage
	}
	if l.monthly != nil && l.monthly.Sign() == 0 {
		l.monthly = nil
	}
	c.leaks = append(c.leaks, l)
	return nil
}

// waits says that a leak whose beginning nobody knows has not stood for the patience of
// the control since it was first seen. A finding that stands has.
func (c *check) waits(tx *store.Tx, id string, old *Finding, l *leak) (bool, error) {
	if !l.since.IsZero() || l.lasts || old != nil && !old.over() {
		return false, nil
	}
	now := store.Micros(c.at)
	first := now
	err := tx.Row("SELECT first_at FROM revenue_first WHERE tenant = $1 AND control = $2 AND finding = $3", c.control.ID, id).Scan(&first)
	if err != nil && err != store.ErrNotFound {
		return false, err
	}
	if store.Instant(first).After(c.young) {
		tx.Queue(`INSERT INTO revenue_first (tenant, control, finding, first_at, seen_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant, control, finding) DO UPDATE SET seen_at = excluded.seen_at`, c.control.ID, id, first, now)
		return true, nil
	}
	l.since = store.Instant(first)
	return false, nil
}

// price works out what a leak comes to: the amount of a month for each day since it began,
// unless the comparison knows better. What nobody can say the beginning of began when it
// was found.
func (c *check) price(l *leak, old *Finding) error {
	if l.since.IsZero() {
		l.since = c.at
		if old != nil && !old.over() {
			l.since = old.Since
		}
	}
	if l.amount != nil || l.monthly == nil {
		return nil
	}
	m, err := forDays(*l.monthly, wholeDays(l.since, c.at))
	l.amount = &m
	return err
}

// tolerated says that an amount is not worth a finding.
func (c *check) tolerated(m *tmf.Money) bool {
	most := c.control.Tolerance
	if m == nil || most == nil || m.Currency != most.Currency {
		return false
	}
	n := m.Nano
	return max(n, -n) <= most.Nano
}

func (c *check) sumUp(l *leak) error {
	to := map[string]sums{Leakage: c.lost, Overcharge: c.charged, Risk: c.risk}[l.side]
	return to.add(l.amount)
}

// written is what became of some findings.
type written struct {
	opened, reopened, more, young int64
	fix                           []string // may be put right by themselves
}

// flush writes the findings down that were told since the last time. It is called outside
// of any transaction, after each page.
func (c *check) flush() error {
	for some := range slices.Chunk(c.leaks, writeAtOnce) {
		var w written
		err := c.db.Write(c.ctx, c.scope, func(tx *store.Tx) (err error) {
			w, err = c.write(tx, some)
			return err
		})
		if err != nil {
			return err
		}
		c.out.Opened, c.out.Reopened, c.out.More = c.out.Opened+w.opened, c.out.Reopened+w.reopened, c.out.More+w.more
		c.out.Young += w.young
		c.fixes = append(c.fixes, w.fix...)
		for i := range some {
			if some[i].not {
				continue
			}
			c.out.Findings++
			if err := c.sumUp(&some[i]); err != nil {
				return err
			}
		}
	}
	c.leaks = nil
	return nil
}

func (c *check) write(tx *store.Tx, some []leak) (w written, err error) {
	ids := make([]string, len(some))
	for i := range some {
		ids[i] = findingID(c.control.ID, some[i].key)
	}
	if err := Findings.Fetch(tx, ids, true); err != nil {
		return w, err
	}
	for i := range some {
		old, err := Findings.Lock(tx, ids[i])
		if err != nil && !fault.Is(err, fault.NotFound) {
			return w, err
		}
		young, err := c.waits(tx, ids[i], old, &some[i])
		if err != nil {
			return w, err
		}
		some[i].not = young || old != nil && old.State == False
		if young {
			w.young++
			continue
		}
		if err := c.price(&some[i], old); err != nil {
			return w, err
		}
		switch {
		case old != nil:
			if err := c.again(tx, old, &some[i], &w); err != nil {
				return w, err
			}
		case c.out.Opened+w.opened >= maxWritten:
			w.more++
			continue
		default:
			w.opened++
			if err := Findings.Create(tx, c.finding(ids[i], &some[i])); err != nil {
				return w, err
			}
		}
		if c.mayFix(&some[i]) {
			w.fix = append(w.fix, ids[i])
		}
	}
	return w, nil
}

// finding is a new one.
func (c *check) finding(id string, l *leak) *Finding {
	f := &Finding{Control: &tmf.Ref{ID: c.control.ID, Name: c.control.Name, ReferredType: "Control"}, Key: l.key, State: Open, Found: c.at, FirstRun: c.run, Owner: c.control.Owner}
	f.ID = id
	c.fill(f, l)
	return f
}

// fill puts what the comparison says now into a finding.
func (c *check) fill(f *Finding, l *leak) {
	f.Class, f.Side, f.Words, f.Amount, f.Monthly, f.Since = l.class, l.side, cut(l.words), l.amount, l.monthly, l.since.UTC().Truncate(time.Microsecond)
	f.About, f.Evidence, f.LastSeen, f.LastRun = l.about, l.evidence[:min(len(l.evidence), maxEvidence)], c.at, c.run
	if f.Correction == nil || f.Correction.State == Proposed {
		f.Correction = l.correction
	}
}

func cut(s string) string {
	if len(s) > maxWords {
		return s[:maxWords] + "..."
	}
	return s
}

// again finds a finding again: it ages, and comes back if it had ended.
func (c *check) again(tx *store.Tx, old *Finding, l *leak, w *written) error {
	f, err := Findings.Copy(old)
	if err != nil {
		return err
	}
	switch {
	case f.over():
		f.State, f.Closed, f.Correction = Open, time.Time{}, nil
		f.Reopened++
		w.reopened++
	case f.FirstRun == c.run:
		w.opened++ // by a try of this run that broke off
	}
	c.fill(f, l)
	return Findings.Save(tx, old, f)
}

// totals puts what was found into the result.
func (c *check) totals() (err error) {
	for _, s := range []struct {
		to   *[]tmf.Money
		from sums
	}{{&c.out.Leakage, c.lost}, {&c.out.Overcharge, c.charged}, {&c.out.Risk, c.risk}} {
		if *s.to, err = s.from.list(); err != nil {
			return err
		}
	}
	return nil
}

// compare merges two sides for a control and writes down what judge tells, page by page.
func compare[L, R any](c *check, left side[L], right side[R], judge func(tx *store.Tx, page []pair[L, R]) error) error {
	return merge(c.ctx, c.db, c.scope, left, right, func(tx *store.Tx, page []pair[L, R]) error {
		c.leaks = nil
		for i := range page {
			if page[i].left != nil {
				c.out.Left++
			}
			if page[i].right != nil {
				c.out.Right++
			}
		}
		return judge(tx, page)
	}, c.flush)
}

// noMoney is the amount of what costs nothing that can be counted.
func noMoney(m tmf.Money) *tmf.Money {
	if m.Currency == (money.Currency{}) {
		return nil
	}
	return &m
}

package revenue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"tandem/bss/charging"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// States of a run.
const (
	Running = "running"
	Done    = "done"
)

// States of a control in a run.
const (
	Waiting = "waiting"
	NotRun  = "notRun" // what it compares is not at hand on this node
	Failed  = "failed" // it broke off: nothing is said of what it did not reach
)

// ControlRun runs controls: those it names, or all that are enabled.
type ControlRun struct {
	tmf.Entity
	Control       []tmf.Ref       `json:"control,omitzero"`
	State         string          `json:"state,omitzero"`
	RequestedBy   string          `json:"requestedBy,omitzero"`
	RequestedDate time.Time       `json:"requestedDate,omitzero"`
	EndDate       time.Time       `json:"endDate,omitzero"`
	Result        []ControlResult `json:"result,omitzero"`
}

// ControlResult is what a control has found in a run.
type ControlResult struct {
	Control   string `json:"control"`
	State     string `json:"state"`
	Reason    string `json:"reason,omitzero"`
	Left      int64  `json:"leftCount"`
	Right     int64  `json:"rightCount"`
	Findings  int64  `json:"findings"`           // that stand now
	Opened    int64  `json:"opened"`             // of them, for the first time
	Reopened  int64  `json:"reopened"`           // and again
	Closed    int64  `json:"closed"`             // that are not found any more
	Young     int64  `json:"tooYoung"`           // that may be on their way
	Corrected int64  `json:"corrected,omitzero"` // put right by this run
	More      int64  `json:"notKept,omitzero"`   // findings that were counted only: there are too many
	Judged    int64  `json:"judged,omitzero"`    // of a sample: how many were judged
	Wrong     int64  `json:"wrong,omitzero"`     // and how many of them were wrong
	Unjudged  int64  `json:"unjudged,omitzero"`  // and of how many nobody can say

	Leakage    []tmf.Money `json:"leakage,omitzero"`
	Overcharge []tmf.Money `json:"overcharge,omitzero"`
	Risk       []tmf.Money `json:"risk,omitzero"`
	Recovered  []tmf.Money `json:"recovered,omitzero"` // of findings that were made good
	Prevented  []tmf.Money `json:"prevented,omitzero"` // a month, of findings that ended
	Millis     int64       `json:"milliseconds"`
}

// ControlRuns of the tenant.
var ControlRuns = tmf.Kind[ControlRun, *ControlRun]{
	API: &API, Name: "controlRun", Table: "revenue_run", Verbs: tmf.Post, Index: []string{"state", "requestedDate"}, StateAttr: "state",
	Moves: tmf.Moves{"": {Running}, Running: {Done}},
}

// Doors are what of a node is not in its store. A control whose door is nil is not run.
type Doors struct {
	Network  Network        // the elements' own words
	Charging *charging.Room // balances and the journal of charges
}

const (
	runJob = "revenue.run"
	// maxTries is how often a run is tried. Its job is never parked: a run is always ended,
	// so that the next can begin, and says itself why.
	maxTries = 5
)

// Handle registers the jobs of control runs.
func Handle(r *work.Runner, db *store.DB, d Doors) {
	r.Handle(runJob, work.Options{Concurrency: 1, Timeout: 12 * time.Hour, MaxAttempts: math.MaxInt32}, func(ctx context.Context, j *work.Job) error {
		return runAll(ctx, db, d, j)
	})
}

// Begin begins a run of all enabled controls, unless one is under way.
func Begin(tx *store.Tx) error {
	err := postRun(tx, &ControlRun{})
	if fault.Is(err, fault.Conflict) {
		return nil
	}
	return err
}

// postRun begins a run: its job does the rest.
func postRun(tx *store.Tx, r *ControlRun) error {
	if len(r.Control) > len(controls) {
		return fault.BadInput("tooManyControls", "There are %d controls; name each once", len(controls))
	}
	if err := endLostRuns(tx); err != nil {
		return err
	}
	all, err := Controls.Select(tx, nil, tmf.Page{})
	if err != nil {
		return err
	}
	*r = ControlRun{Entity: r.Entity, Control: r.Control, State: Running, RequestedBy: tx.Actor(), RequestedDate: tx.Now()}
	asked := map[string]bool{}
	for i, c := range r.Control {
		known, ok := builtin(c.ID)
		if !ok {
			return fault.BadInput("unknownControl", "There is no control with id %q", c.ID)
		}
		asked[c.ID], r.Control[i] = true, tmf.Ref{ID: c.ID, Name: known.Name, ReferredType: "Control"}
	}
	for _, c := range all {
		if asked[c.ID] || len(asked) == 0 && c.enabled() {
			r.Result = append(r.Result, ControlResult{Control: c.ID, State: Waiting})
		}
	}
	r.ID = cmp.Or(r.ID, tmf.NewID())
	if err := takeTurn(tx, r.ID); err != nil {
		return err
	}
	if err := ControlRuns.Create(tx, r); err != nil {
		return err
	}
	if err := access.Audit(tx, "revenue.run", "controlRun:"+r.ID, nil, nil); err != nil {
		return err
	}
	return work.Enqueue(tx, runJob, r.ID, nil, time.Time{})
}

// runAll does the controls of a run that are not done yet, one after the other.
func runAll(ctx context.Context, db *store.DB, d Doors, j *work.Job) error {
	if j.Attempt > maxTries {
		return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
			why := fmt.Sprintf("Given up after %d attempts: %s", maxTries, cmp.Or(j.LastError, "each time the node stopped in the middle"))
			if err := giveUp(tx, j.Key, why); err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			return j.Finish(tx)
		})
	}
	for {
		var r *ControlRun
		var c *Control
		err := db.Read(ctx, j.Scope(), func(tx *store.Tx) (err error) {
			if r, err = ControlRuns.Get(tx, j.Key); err != nil {
				return err
			}
			i := slices.IndexFunc(r.Result, func(x ControlResult) bool { return x.State == Waiting })
			if i < 0 {
				c = nil
				return nil
			}
			c, err = Controls.Get(tx, r.Result[i].Control)
			return err
		})
		if fault.Is(err, fault.NotFound) && r == nil {
			return db.Write(ctx, j.Scope(), func(tx *store.Tx) error { // nothing is left to do
				giveTurn(tx, j.Key)
				return j.Finish(tx)
			})
		}
		if err != nil {
			return err
		}
		if c == nil {
			return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
				if err := endRun(tx, j.Key); err != nil {
					return err
				}
				return j.Finish(tx)
			})
		}
		out, err := runOne(ctx, db, j.Scope(), d, c, r.ID)
		if err != nil {
			return err
		}
		if err := db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return keepResult(tx, r.ID, out) }); err != nil {
			return err
		}
	}
}

// errNotHere says that a control cannot be run on this node, and why.
type errNotHere string

func (e errNotHere) Error() string { return string(e) }

// runOne runs a control. Its own failure is part of the result: the others go on.
func runOne(ctx context.Context, db *store.DB, s store.Scope, d Doors, c *Control, run string) (ControlResult, error) {
	began := time.Now()
	k, err := newCheck(ctx, db, s, d, c, run)
	if err != nil {
		return ControlResult{}, err
	}
	err = k.all()
	if ctx.Err() != nil {
		return k.out, ctx.Err()
	}
	k.out.Millis = time.Since(began).Milliseconds()
	var not errNotHere
	switch {
	case errors.As(err, &not):
		k.out.State, k.out.Reason = NotRun, string(not)
	case err != nil:
		k.out.State, k.out.Reason = Failed, cut(err.Error())
	default:
		k.out.State = Done
	}
	return k.out, nil
}

// all is a control from end to end: compare, write down, end what is gone.
func (c *check) all() error {
	if err := c.control.work(c); err != nil {
		return err
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.correct(); err != nil {
		return err
	}
	if err := c.close(); err != nil {
		return err
	}
	return c.totals()
}

func keepResult(tx *store.Tx, run string, out ControlResult) error {
	_, err := ControlRuns.Edit(tx, run, func(r *ControlRun) error {
		i := slices.IndexFunc(r.Result, func(x ControlResult) bool { return x.Control == out.Control })
		if i < 0 {
			return fmt.Errorf("control %s is not part of run %s", out.Control, run)
		}
		r.Result[i] = out
		return nil
	})
	return err
}

func endRun(tx *store.Tx, run string) error {
	_, err := ControlRuns.Edit(tx, run, func(r *ControlRun) error {
		r.State, r.EndDate = Done, tx.Now()
		return nil
	})
	giveTurn(tx, run)
	return err
}

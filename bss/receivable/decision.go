package receivable

import (
	"slices"
	"strconv"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Standing is where an account stands on its ladder.
type Standing struct {
	tmf.Entity             // of the billing account
	Cycle       int64      `json:"cycle,omitzero"`
	Level       *int64     `json:"level,omitzero"` // the last one that was entered; 0: none
	Barred      *bool      `json:"barred,omitzero"`
	PausedTo    string     `json:"pausedTo,omitzero"` // with this day
	PauseReason string     `json:"pauseReason,omitzero"`
	Action      []TakenAct `json:"action,omitzero"` // of this cycle
}

// TakenAct is a level that was entered.
type TakenAct struct {
	Level   int64      `json:"level,omitzero"`
	Action  string     `json:"action,omitzero"`
	Overdue *tmf.Money `json:"overdue,omitzero"`
	Oldest  *Ref       `json:"oldest,omitzero"`
	On      string     `json:"on,omitzero"`
	tmf.Extension
}

// Decisions of a person about the dunning of an account.
const (
	DecidePause  = "pause"
	DecideResume = "resume"
	DecideUnbar  = "unbar" // and rest until the day
)

// DunningDecision is a person who has the ladder of an account rest, go on, or lets its
// lines run again although it has not paid.
type DunningDecision struct {
	tmf.Entity
	Account  *Ref   `json:"account,omitzero" tmf:"required"`
	Decision string `json:"decision,omitzero" tmf:"required,enum=pause|resume|unbar"`
	Until    string `json:"until,omitzero"` // ISO date up to and with which it rests
	Reason   string `json:"reason,omitzero" tmf:"required"`
	By       string `json:"by,omitzero"`
}

// Standings and Decisions of the tenant.
var (
	Standings = tmf.Kind[Standing, *Standing]{API: &API, Name: "dunning", Class: "Dunning", Table: "receivable_dunning", Verbs: tmf.ReadOnly,
		Rows: &tmf.Rows[*Standing]{From: "receivable_dunning", Columns: "account, cycle, level, barred, paused_to, pause_reason", Order: []string{"account"},
			Paths: map[string]string{"level": "level", "pausedTo": "paused_to"},
			Find:  accountRow, Scan: scanStanding}}
	Decisions = tmf.Kind[DunningDecision, *DunningDecision]{API: &API, Name: "dunningDecision", Table: "receivable_decision", Verbs: tmf.Task, Index: []string{"account.id"}}
)

func init() { Standings.Rows.Complete, Decisions.OnPost = completeStandings, postDecision }

func accountRow(id string, first int) (string, []any) { return "account = $" + itoa(first), []any{id} }

func scanStanding(r store.Rows) (*Standing, error) {
	s := &Standing{Level: new(int64), Barred: new(bool)}
	var barred int64
	err := r.Scan(&s.ID, &s.Cycle, s.Level, &barred, &s.PausedTo, &s.PauseReason)
	*s.Barred = barred == 1
	return s, err
}

// completeStandings adds what was done in the present cycles.
func completeStandings(tx *store.Tx, page []*Standing) error {
	var ids []string
	for _, s := range page {
		ids = append(ids, s.ID)
	}
	args := store.Padded(ids)
	rows, err := tx.Query(`SELECT account, cycle, level, action, overdue, currency, oldest, on_date FROM receivable_action
		WHERE tenant = $1 AND account IN (`+store.In(2, len(args))+") ORDER BY account, cycle, level", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (t TakenAct, err error) {
		var account, currency, oldest string
		var cycle, overdue int64
		if err = r.Scan(&account, &cycle, &t.Level, &t.Action, &overdue, &currency, &oldest, &t.On); err != nil {
			return t, err
		}
		t.Oldest = refTo(oldest)
		if t.Overdue, err = amountIn(overdue, currency); err != nil {
			return t, err
		}
		if i := slices.IndexFunc(page, func(s *Standing) bool { return s.ID == account && s.Cycle == cycle }); i >= 0 {
			page[i].Action = append(page[i].Action, t)
		}
		return t, nil
	})
	return err
}
func itoa(n int) string { return strconv.Itoa(n) }

// postDecision does what a person has decided, and keeps who it was and why.
func postDecision(tx *store.Tx, d *DunningDecision) error {
	a, err := accountOf(tx, d.Account)
	if err != nil {
		return err
	}
	if len(d.Reason) > 500 {
		return fault.BadInput("tooLong", "reason has at most 500 characters")
	}
	var until civil.Date
	if d.Decision != DecideResume {
		if until, err = civil.ParseDate(d.Until); err != nil {
			return fault.BadInput("invalidDate", "until is the ISO date up to which the ladder rests, such as 2026-01-31, not %.20q", d.Until)
		}
	}
	d.By = tx.Actor()
	if err := Decisions.Create(tx, d); err != nil {
		return err
	}
	switch d.Decision {
	case DecidePause:
		return Pause(tx, a.ID, d.Reason, until)
	case DecideUnbar:
		return Unbar(tx, a.ID, d.Reason, until)
	}
	return Resume(tx, a.ID)
}

// Resume ends a pause: the ladder goes on with the next look at it.
func Resume(tx *store.Tx, account string) error {
	n, err := tx.Exec("UPDATE receivable_dunning SET paused_to = '', pause_reason = '' WHERE tenant = $1 AND account = $2 AND paused_to <> ''", account)
	if err == nil && n == 0 {
		err = fault.Clash("notPaused", "The dunning of the account %q does not rest", account)
	}
	return err
}

// Unbar lifts the bar of an account that has not paid, and has its ladder rest up to a
// day. If it still has not paid then, the ladder goes on with the level that barred it.
func Unbar(tx *store.Tx, account, reason string, until civil.Date) error {
	s, err := stand(tx, account)
	if err != nil {
		return err
	}
	if !s.barred {
		return fault.Clash("notBarred", "The lines of the account %q are not barred for debt", account)
	}
	if err := Pause(tx, account, reason, until); err != nil {
		return err
	}
	var level int64
	err = tx.Row("SELECT min(level) FROM receivable_action WHERE tenant = $1 AND account = $2 AND cycle = $3 AND action = $4", account, s.cycle, Bar).Scan(&level)
	if err != nil {
		return err
	}
	work.Cancel(tx, endJob, account)
	s.cycle, s.level, s.barred = s.cycle+1, level-1, false // each level once in a cycle
	s.save(tx)
	return work.Enqueue(tx, barJob, account, nil, tx.Now())
}

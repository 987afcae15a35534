package ledger

import (
	"cmp"
	"strings"
	"time"

	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of a PeriodClose, and what it does.
const (
	CloseRequested = "requested"
	CloseDone      = "done"
	CloseRejected  = "rejected"

	ActClose  = "close"
	ActReopen = "reopen"
)

// PeriodClose closes a month of the books, or opens it again. One person asks for it, and
// another one does it, by setting the state to done, or rejects it.
type PeriodClose struct {
	tmf.Entity
	LegalEntity   *tmf.Ref      `json:"legalEntity,omitzero"`                    // none: the only one that has books
	Period        string        `json:"period,omitzero" tmf:"required"`          // the month: 2026-03
	Action        string        `json:"action,omitzero" tmf:"enum=close|reopen"` // none: close
	Reason        string        `json:"reason,omitzero"`                         // to open a month again it is required
	State         string        `json:"state,omitzero" tmf:"enum=requested|done|rejected"`
	RequestedBy   string        `json:"requestedBy,omitzero"`
	RequestedDate time.Time     `json:"requestedDate,omitzero"`
	DecidedBy     string        `json:"decidedBy,omitzero"`
	DecidedDate   time.Time     `json:"decidedDate,omitzero"`
	Total         []PeriodTotal `json:"total,omitzero"` // of what was booked in the month when it was asked for, or closed
}

// PeriodTotal is what was booked in a month in one currency; debit and credit are equal.
type PeriodTotal struct {
	Debit   money.Amount `json:"debit"`
	Credit  money.Amount `json:"credit"`
	Entries int64        `json:"entries"`
}

// PeriodCloses are what was asked for and done.
var PeriodCloses = tmf.Kind[PeriodClose, *PeriodClose]{
	API: &API, Name: "periodClose", Table: "ledger_period_close", Verbs: tmf.Post | tmf.Patch, Index: []string{"legalEntity.id", "period", "state"},
	StateAttr: "state", Moves: tmf.Moves{"": {CloseRequested}, CloseRequested: {CloseDone, CloseRejected}, CloseDone: {}, CloseRejected: {}},
	Frozen: []string{"legalEntity", "period", "action", "requestedBy", "requestedDate", "decidedBy", "decidedDate", "total"},
}

const maxReason = 1000 // characters

// parseMonth reads 2026-03.
func parseMonth(text string) (civil.Date, error) {
	d, err := civil.ParseDate(text + "-01")
	if err != nil {
		return d, fault.BadInput("badPeriod", "period is a month such as 2026-03, not %.20q", text)
	}
	return d, nil
}

func entityRef(id string) *tmf.Ref {
	return &tmf.Ref{ID: id, Href: "/tandem-api/billing/v1/legalEntity/" + id, ReferredType: "LegalEntity"}
}

// postClose takes a request, if it could be done now.
func postClose(tx *store.Tx, p *PeriodClose) error {
	month, err := parseMonth(p.Period)
	if err != nil {
		return err
	}
	named := ""
	if p.LegalEntity != nil {
		named = p.LegalEntity.ID
	}
	entity, err := bookOfOne(tx, named)
	if err != nil {
		return err
	}
	*p = PeriodClose{Entity: p.Entity, LegalEntity: entityRef(entity), Period: p.Period, Action: cmp.Or(p.Action, ActClose), Reason: p.Reason, State: CloseRequested,
		RequestedBy: tx.Actor(), RequestedDate: tx.Now()}
	if len(p.Reason) > maxReason {
		return fault.BadInput("reasonTooLong", "reason has at most %d characters", maxReason)
	}
	if err := p.possible(tx, entity, month); err != nil {
		return err
	}
	open, err := PeriodCloses.Select(tx, tmf.Where{"legalEntity.id": entity, "period": p.Period, "state": CloseRequested}, tmf.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return fault.Clash("requestedAlready", "%s has asked to %s %s of %q already: do that or reject it", open[0].RequestedBy, open[0].Action, p.Period, entity)
	}
	if p.Total, err = totals(tx, entity, monthOf(month)); err != nil {
		return err
	}
	if err := PeriodCloses.Create(tx, p); err != nil {
		return err
	}
	return access.Audit(tx, "ledger.request", "periodClose:"+p.ID, nil, map[string]string{"legalEntity": entity, "period": p.Period, "action": p.Action, "reason": p.Reason})
}

// possible refuses at once what could not be done.
func (p *PeriodClose) possible(tx *store.Tx, entity string, month civil.Date) error {
	closed, err := ClosedTo(tx, entity)
	last := lastOf(month)
	switch {
	case err != nil:
		return err
	case p.Action == ActReopen && strings.TrimSpace(p.Reason) == "":
		return fault.BadInput("noReason", "A month is opened again for a reason: say it")
	case p.Action == ActReopen && closed != last:
		return fault.Clash("notTheLast", "Only the month closed last can be opened again; the books of %q are closed up to %s", entity, closed)
	case p.Action == ActClose && closed.Valid() && !last.After(closed):
		return fault.Clash("monthClosed", "The books of %q are closed up to %s already", entity, closed)
	case p.Action == ActClose && !last.Before(civil.DateOf(tx.Now(), time.UTC)):
		return fault.Clash("monthNotOver", "The month of %s is not over yet", last)
	case p.Action == ActReopen:
		return nil
	}
	before := ""
	if closed.Valid() {
		before = closed.String()
	}
	return inTurn(tx, entity, before, month)
}

// patchClose does what was asked for, or rejects it. Who asked cannot do it, but can take it back.
func patchClose(tx *store.Tx, old, p *PeriodClose) error {
	if p.State == old.State {
		return PeriodCloses.Save(tx, old, p)
	}
	entity := old.LegalEntity.ID
	month, err := parseMonth(old.Period)
	if err != nil {
		return err
	}
	if p.State == CloseDone && old.State == CloseRequested {
		if old.RequestedBy == tx.Actor() {
			return fault.Denied("fourEyes", "Who asked to %s the month cannot do it: another person must", old.Action)
		}
		if old.Action == ActReopen {
			err = Reopen(tx, entity, month, old.Reason)
		} else {
			err = Close(tx, entity, month)
		}
		if err != nil {
			return err
		}
	}
	if p.Total, err = totals(tx, entity, monthOf(month)); err != nil {
		return err
	}
	p.DecidedBy, p.DecidedDate = tx.Actor(), tx.Now()
	if err := PeriodCloses.Save(tx, old, p); err != nil {
		return err
	}
	return access.Audit(tx, "ledger."+old.Action, "periodClose:"+p.ID, map[string]string{"state": old.State},
		map[string]string{"state": p.State, "legalEntity": entity, "period": old.Period, "reason": old.Reason})
}

// totals are the turnovers of a period.
func totals(tx *store.Tx, entity string, in civil.Period) ([]PeriodTotal, error) {
	rows, err := tx.Query(`SELECT currency, CAST(sum(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS BIGINT), CAST(sum(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS BIGINT), count(*)
		FROM ledger_entry WHERE tenant = $1 AND entity = $2 AND on_date >= $3 AND on_date < $4 GROUP BY currency ORDER BY currency`, entity, in.From.String(), in.To.String())
	return store.Collect(rows, err, func(r store.Rows) (t PeriodTotal, err error) {
		var c money.Currency
		if err = r.Scan(&c, &t.Debit.Minor, &t.Credit.Minor, &t.Entries); err == nil {
			t.Debit.Currency, t.Credit.Currency = c, c
		}
		return t, err
	})
}

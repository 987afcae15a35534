package recognition

import (
	"context"
	"fmt"
	"time"

	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"

	"tandem/bss/ledger"
)

// States of a recognition run.
const (
	Running = "running"
	Done    = "done"
)

// Run recognises the revenue of a month of a legal entity, contract by contract. A second
// run of the month takes up what was missed, and books nothing twice. A contract that cannot
// be recognised is set aside with a sentence.
type Run struct {
	tmf.Entity
	LegalEntity   *tmf.Ref       `json:"legalEntity,omitzero" tmf:"required"`
	Period        string         `json:"period,omitzero" tmf:"required"` // the month: 2026-03
	State         string         `json:"state,omitzero" tmf:"enum=running|done"`
	Contracts     int64          `json:"contracts,omitzero"`    // worked on
	SetAside      int64          `json:"setAside,omitzero"`     // left as they are
	Problem       []Problem      `json:"problem,omitzero"`      // why; of the first of them
	LastContract  string         `json:"lastContract,omitzero"` // that was looked at: there it goes on
	Recognised    []money.Amount `json:"recognised,omitzero"`   // by currency
	RequestedBy   string         `json:"requestedBy,omitzero"`
	RequestedDate time.Time      `json:"requestedDate,omitzero"`
	DoneDate      time.Time      `json:"doneDate,omitzero"`
}

// Runs are the tenant's.
var Runs = tmf.Kind[Run, *Run]{
	API: &ledger.API, Name: "recognitionRun", Table: "recognition_run", Verbs: tmf.Task, Index: []string{"legalEntity.id", "period", "state"},
	StateAttr: "state", Moves: tmf.Moves{"": {Running}, Running: {Done}, Done: {}},
}

func init() { Runs.OnPost = postRun }

const (
	jobRun = "recognition.run"
	atOnce = 500 // contracts in a transaction
	// settledAfter is how long after its end the last bills of a contract may come.
	settledAfter = 2 // months
)

// monthEnd is the day after a month that is over.
func monthEnd(tx *store.Tx, period string) (civil.Date, error) {
	first, err := civil.ParseDate(period + "-01")
	if err != nil {
		return first, fault.BadInput("badPeriod", "period is a month such as 2026-03, not %.20q", period)
	}
	end := first.AddMonths(1)
	if end.After(civil.DateOf(tx.Now(), time.UTC)) {
		return end, fault.Clash("monthNotOver", "The month %s is not over yet", period)
	}
	return end, nil
}

func postRun(tx *store.Tx, r *Run) error {
	if _, err := monthEnd(tx, r.Period); err != nil {
		return err
	}
	*r = Run{Entity: r.Entity, LegalEntity: r.LegalEntity, Period: r.Period, State: Running, RequestedBy: tx.Actor(), RequestedDate: tx.Now()}
	if err := Runs.Create(tx, r); err != nil {
		return err
	}
	if err := access.Audit(tx, "ledger.recognise", "recognitionRun:"+r.ID, nil, map[string]string{"legalEntity": r.LegalEntity.ID, "period": r.Period}); err != nil {
		return err
	}
	return work.Enqueue(tx, jobRun, r.ID, nil, time.Time{})
}

// Handle does the jobs of recognition runs: a page of contracts in a transaction, with what
// the run has come to. One that was interrupted goes on where it was.
func Handle(r *work.Runner, db *store.DB) {
	r.Handle(jobRun, work.Options{}, func(ctx context.Context, job *work.Job) error {
		for {
			last := false
			err := db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
				run, err := Runs.Edit(tx, job.Key, func(run *Run) error { return run.page(tx) })
				if err != nil || run.State != Done {
					return err
				}
				last = true
				return job.Finish(tx)
			})
			if err != nil || last {
				return err
			}
		}
	})
}

// page recognises the next contracts; after the last one the run is done.
func (r *Run) page(tx *store.Tx) error {
	upto, err := monthEnd(tx, r.Period)
	if err != nil {
		return err
	}
	all, err := find(tx, fmt.Sprintf("entity = $2 AND upto < $3 AND starts < $3 AND state <> 'settled' AND id > $4 ORDER BY id LIMIT %d", atOnce)+tx.Dialect().ForUpdate(),
		r.LegalEntity.ID, upto.String(), r.LastContract)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		r.State, r.DoneDate = Done, tx.Now()
		return r.heard(tx)
	}
	was, err := recognisedOf(tx, all)
	if err != nil {
		return err
	}
	for _, c := range all {
		r.LastContract = c.ID
		m, err := c.render(upto, was[c.ID])
		if err == nil {
			err = r.add(money.Amount{Minor: m.sum, Currency: c.Price.Currency})
		}
		if err != nil {
			r.problem(c.ID, err)
			continue
		}
		if err := m.keep(tx); err != nil {
			return err
		}
		r.Contracts++
	}
	return nil
}

func (r *Run) add(a money.Amount) (err error) {
	for i := range r.Recognised {
		if r.Recognised[i].Currency == a.Currency {
			r.Recognised[i], err = r.Recognised[i].Add(a)
			return err
		}
	}
	r.Recognised = append(r.Recognised, a)
	return nil
}

// recognisedOf is what was recognised so far, by contract and obligation.
func recognisedOf(tx *store.Tx, all []*Contract) (map[string]map[string]int64, error) {
	ids, out := make([]string, len(all)), map[string]map[string]int64{}
	for i, c := range all {
		ids[i], out[c.ID] = c.ID, map[string]int64{}
	}
	args := store.Padded(ids)
	rows, err := tx.Query("SELECT contract, obligation, CAST(sum(amount) AS BIGINT) FROM recognition_recognised WHERE tenant = $1 AND contract IN ("+store.In(2, len(args))+
		") GROUP BY contract, obligation", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var contract, obligation string
		err = r.Scan(&contract, &obligation, &n)
		if err == nil {
			out[contract][obligation] = n
		}
		return n, err
	})
	return out, err
}

// rendered is what of a contract is recognised before a day and was not yet. It is worked
// out whole before anything of it is written.
type rendered struct {
	*Contract
	on      civil.Date // the last day of the month
	by      []int64    // of its obligations
	sum     int64
	settles bool // its last bills must have come
	booking ledger.Transaction
}

// render works out a month of a contract, and moves it there.
func (c *Contract) render(upto civil.Date, was map[string]int64) (m *rendered, err error) {
	m = &rendered{Contract: c, on: upto.AddDays(-1), by: make([]int64, len(c.Obligations)), settles: !c.Ends.AddMonths(settledAfter).After(upto)}
	if m.settles {
		if err := c.settle(m.on); err != nil {
			return nil, err
		}
	}
	now, err := c.Schedule.Before(upto)
	if err != nil {
		return nil, err
	}
	revenue, before := map[string]int64{}, c.position()
	for i, o := range c.Obligations {
		m.by[i] = now[o.ID] - was[o.ID]
		revenue[o.Revenue] -= m.by[i]
		m.sum += m.by[i]
	}
	c.Recognised, c.Upto = c.Recognised+m.sum, upto
	m.booking = c.booking("recognition/"+c.ID+"/"+upto.String(), m.on, "Recognised of contract "+c.ID, before, revenue)
	if len(m.booking.Entries) > 0 {
		err = m.booking.Check()
	}
	return m, err
}

// keep writes and books it.
func (m *rendered) keep(tx *store.Tx) error {
	if m.settles {
		m.Contract.keep(tx, "settled", m.on)
	}
	for i, more := range m.by {
		if more != 0 {
			tx.Insert("INSERT INTO recognition_recognised (tenant, contract, upto, obligation, amount)", m.ID, m.Upto.String(), m.Obligations[i].ID, more)
		}
	}
	m.save(tx)
	return post(tx, m.booking)
}

// settle makes what was billed the price of a contract that is over (IFRS 15.87): the
// difference is recognised for the obligation that lasted longest.
func (c *Contract) settle(on civil.Date) error {
	if len(c.Obligations) == 0 {
		return fault.BadInput("noObligations", "It has no obligation that it could be settled for")
	}
	last := c.Obligations[0]
	for _, o := range c.Obligations {
		if o.Over.To.After(last.Over.To) {
			last = o
		}
	}
	c.Schedule = c.Schedule.Settled(on, c.Billed, last.ID)
	c.State, c.Price.Minor, c.Version = Settled, c.Billed, c.Version+1
	return nil
}

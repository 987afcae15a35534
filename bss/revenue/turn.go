package revenue

import (
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// takeTurn makes a run the one of the tenant that is under way, or refuses and has written
// nothing. Its row has a key of the tenant's: who begins at the same time, on another node,
// finds it.
func takeTurn(tx *store.Tx, run string) error {
	n, err := tx.Exec("INSERT INTO revenue_turn (tenant, run) VALUES ($1, $2) ON CONFLICT (tenant) DO NOTHING", run)
	if err == nil && n == 0 {
		return fault.Clash("runUnderWay", "Somebody else has just begun a run; wait for its end")
	}
	return err
}

// endLostRuns ends the runs that nobody works on any more, and refuses if there is one
// that somebody does.
func endLostRuns(tx *store.Tx) error {
	all, err := ControlRuns.Select(tx, tmf.Where{"state": Running}, tmf.Page{})
	for _, r := range all {
		if err == nil {
			err = endLost(tx, r.ID)
		}
	}
	return err
}

func endLost(tx *store.Tx, run string) error {
	r, err := ControlRuns.Lock(tx, run)
	if err != nil || r.State != Running { // it has ended meanwhile
		return err
	}
	state, _, err := work.StateOf(tx, runJob, run)
	switch {
	case err != nil:
		return err
	case state == "open":
		return fault.Clash("runUnderWay", "The run %s is under way; wait for its end", run)
	}
	work.Cancel(tx, runJob, run)
	return giveUp(tx, run, "Nobody works on the run any more: its job is "+map[string]string{"": "gone", "parked": "parked"}[state])
}

// giveUp ends a run whose controls cannot all be run: those that wait have failed.
func giveUp(tx *store.Tx, run, why string) error {
	if _, err := ControlRuns.Edit(tx, run, func(r *ControlRun) error {
		for i := range r.Result {
			if r.Result[i].State == Waiting {
				r.Result[i].State, r.Result[i].Reason = Failed, cut(why)
			}
		}
		r.State, r.EndDate = Done, tx.Now()
		return nil
	}); err != nil {
		return err
	}
	giveTurn(tx, run)
	return access.Audit(tx, "revenue.run", "controlRun:"+run, nil, map[string]string{"givenUp": cut(why)})
}

// giveTurn lets another run begin.
func giveTurn(tx *store.Tx, run string) {
	tx.Queue("DELETE FROM revenue_turn WHERE tenant = $1 AND run = $2", run)
}

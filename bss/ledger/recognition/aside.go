package recognition

import (
	"tandem/kit/civil"
	"tandem/kit/store"
)

// Aside is what could not be done with a contract.
type Aside struct {
	Contract string
	What     string     // opened, changed, ended, or the bill that is not taken
	On       civil.Date // when it was to be
	Entity   string     // whose runs say so; "": not known
	Reason   string     // a sentence
}

// SetAside keeps what could not be done with a contract, so that who bills goes on: the next
// run says so. It is kept once.
func SetAside(tx *store.Tx, a Aside) error {
	_, err := tx.Exec(`INSERT INTO recognition_aside (tenant, contract, what, on_date, entity, reason, run, at) VALUES ($1, $2, $3, $4, $5, $6, '', $7)
		ON CONFLICT (tenant, contract, what, on_date) DO NOTHING`, a.Contract, a.What, a.On.String(), a.Entity, a.Reason, store.Micros(tx.Now()))
	return err
}

// Problem is a contract that a run leaves as it is.
type Problem struct {
	Contract string `json:"contract"`
	Reason   string `json:"reason"`
}

// maxProblems bounds what a run says in words; it counts all of them.
const maxProblems = 100

// problem sets a contract aside that the run could not work on.
func (r *Run) problem(contract string, err error) {
	r.SetAside++
	if len(r.Problem) < maxProblems {
		r.Problem = append(r.Problem, Problem{contract, "Nothing of it is recognised, a run takes it up again: " + err.Error()})
	}
}

// heard takes up what was set aside since the runs before. What there is no room for is
// taken up by the next run.
func (r *Run) heard(tx *store.Tx) error {
	room := maxProblems - len(r.Problem)
	if room == 0 {
		return nil
	}
	rows, err := tx.Query("SELECT contract, what, on_date, reason FROM recognition_aside WHERE tenant = $1 AND entity IN ($2, '') AND run = '' ORDER BY contract, what, on_date LIMIT $3",
		r.LegalEntity.ID, int64(room))
	type aside struct{ contract, what, on, reason string }
	all, err := store.Collect(rows, err, func(r store.Rows) (a aside, err error) { return a, r.Scan(&a.contract, &a.what, &a.on, &a.reason) })
	if err != nil {
		return err
	}
	for _, a := range all {
		r.SetAside++
		r.Problem = append(r.Problem, Problem{a.contract, a.reason})
		tx.Queue("UPDATE recognition_aside SET run = $5 WHERE tenant = $1 AND contract = $2 AND what = $3 AND on_date = $4", a.contract, a.what, a.on, r.ID)
	}
	return nil
}

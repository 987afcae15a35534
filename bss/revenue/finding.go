package revenue

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// API is Tandem's own API of revenue assurance.
var API = tmf.API{ID: "REVENUE", Name: "Revenue Assurance", Version: "1.0.0", Base: "/tandem-api/revenue/v1"}

// States of a finding. The run of its control opens it, and ends it when the sets agree
// again: as recovered if something shows that it was made good, else as prevented; the
// rest is for people.
const (
	Open      = "open"
	Confirmed = "confirmed" // a person has looked: it is so
	False     = "false"     // a person has looked: nothing is wrong
	Recovered = "recovered" // made good: what was lost is billed, what was charged too much is given back
	Prevented = "prevented" // ended: what was lost stays lost, and no more is
)

// Sides of a finding: whose money it is.
const (
	Leakage    = "leakage"    // the operator's
	Overcharge = "overcharge" // customers'
	Risk       = "risk"       // nobody's yet: an amount that may turn out wrong
)

// Finding is one disagreement that a control has found. Control and key are its identity:
// the next runs of the control find the same one again, and it ages.
type Finding struct {
	tmf.Entity
	Control *tmf.Ref `json:"control,omitzero"`
	Key     string   `json:"key,omitzero"`
	Class   string   `json:"class,omitzero"` // of the control's classes
	State   string   `json:"state,omitzero" tmf:"enum=open|confirmed|false|recovered|prevented"`
	Side    string   `json:"side,omitzero"`
	Words   string   `json:"description,omitzero"`
	// Amount is what it comes to so far, Monthly what it goes on costing each month.
	Amount   *tmf.Money `json:"amount,omitzero"`
	Monthly  *tmf.Money `json:"monthly,omitzero"`
	Since    time.Time  `json:"since,omitzero"` // when it began
	About    []tmf.Ref  `json:"about,omitzero"`
	Evidence []Evidence `json:"evidence,omitzero"`

	Found      time.Time `json:"foundDate,omitzero"`
	LastSeen   time.Time `json:"lastSeenDate,omitzero"`
	Closed     time.Time `json:"closedDate,omitzero"`
	FirstRun   string    `json:"firstControlRun,omitzero"`
	LastRun    string    `json:"lastControlRun,omitzero"`
	Reopened   int64     `json:"reopened,omitzero"` // how often it came back
	Owner      string    `json:"owner,omitzero"`
	Note       string    `json:"note,omitzero"`
	Correction *Proposal `json:"correction,omitzero"`
}

// Evidence is one thing that one of the two sets says.
type Evidence struct {
	Set  string `json:"set"`
	ID   string `json:"id,omitzero"`
	Says string `json:"says"`
}

// Findings of the tenant.
var Findings = tmf.Kind[Finding, *Finding]{
	API: &API, Name: "finding", Table: "revenue_finding", Verbs: tmf.Patch,
	Index: []string{"control.id", "state", "side", "owner", "foundDate", "lastSeenDate", "lastControlRun", "firstControlRun"}, Multi: []string{"about.id"}, StateAttr: "state",
	Moves: tmf.Moves{"": {Open}, Open: {Confirmed, False, Recovered, Prevented}, Confirmed: {Open, False, Recovered, Prevented},
		False: {Open, Confirmed}, Recovered: {Open}, Prevented: {Open}},
	Frozen: []string{"control", "key", "class", "side", "description", "amount", "monthly", "since", "about", "evidence", "foundDate", "lastSeenDate",
		"closedDate", "firstControlRun", "lastControlRun", "reopened"},
}

const (
	maxNote  = 4000 // characters
	maxOwner = 200
)

// patchFinding lets a person say what became of a finding, and have its correction made.
func patchFinding(tx *store.Tx, old, f *Finding) error {
	if len(f.Note) > maxNote || len(f.Owner) > maxOwner {
		return fault.BadInput("tooLong", "A note has at most %d characters, an owner %d", maxNote, maxOwner)
	}
	if old.State != f.State {
		f.Closed = time.Time{}
		if f.over() {
			f.Closed = tx.Now()
		}
		if err := access.Audit(tx, "revenue.finding", "finding:"+f.ID, map[string]string{"state": old.State}, map[string]string{"state": f.State}); err != nil {
			return err
		}
	}
	if err := decideCorrection(tx, old, f); err != nil {
		return err
	}
	return Findings.Save(tx, old, f)
}

// over says that a finding is at its end.
func (f *Finding) over() bool { return f.State == Recovered || f.State == Prevented }

// findingID is the identity of a control and a key, as an id.
func findingID(control, key string) string {
	sum := sha256.Sum256([]byte(key))
	return control + "-" + hex.EncodeToString(sum[:10])
}

// ref names a thing that a finding is about.
func ref(typ, id string) tmf.Ref { return tmf.Ref{ID: id, ReferredType: typ} }

// refs are those of them that have an id.
func refs(all ...tmf.Ref) (out []tmf.Ref) {
	for _, r := range all {
		if r.ID != "" {
			out = append(out, r)
		}
	}
	return out
}

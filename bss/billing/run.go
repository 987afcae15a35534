package billing

import (
	"slices"
	"strings"
	"time"

	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// States of a bill run.
const (
	RunScoping    = "scoping"    // the list of accounts is being frozen
	RunComputing  = "computing"  // drafts are being made
	RunAssuring   = "assuring"   // totals are being added up
	RunReady      = "ready"      // waits for a person to approve the totals
	RunApproved   = "approved"   // waits to be posted
	RunPosting    = "posting"    // bills get their numbers
	RunPosted     = "posted"     // done, but for what is held or parked
	RunDiscarding = "discarding" // drafts are being taken back
	RunDiscarded  = "discarded"
)

// BillRun makes the bills of many accounts: it freezes the list of accounts, works out a
// draft for each, waits for a second person to approve the totals, and posts.
type BillRun struct {
	tmf.Entity
	Description string `json:"description,omitzero"`
	State       string `json:"state,omitzero"`
	// CutOff is the last bill date, by the calendar of each account: periods that ended
	// on or before it are billed. Absent: today in UTC.
	CutOff string `json:"cutOff,omitzero"`
	// CycleSpecification limits the run to the accounts of one cycle.
	CycleSpecification *tmf.Ref `json:"cycleSpecification,omitzero"`
	// BillingAccount limits the run to these accounts, which are billed for what there is
	// even if their last period has its bill.
	BillingAccount []tmf.Ref `json:"billingAccount,omitzero"`

	RequestedBy   string      `json:"requestedBy,omitzero"`
	RequestedDate time.Time   `json:"requestedDate,omitzero"`
	Progress      RunProgress `json:"progress,omitzero"`
	// Total is what is approved: the bills of the run that are neither held nor posted yet.
	Total        []RunTotal `json:"total,omitzero"`
	ApprovedBy   string     `json:"approvedBy,omitzero"`
	ApprovedDate time.Time  `json:"approvedDate,omitzero"`
	// PostedTotal is what was posted so far of what was approved last.
	PostedTotal []RunTotal `json:"postedTotal,omitzero"`
	PostedBy    string     `json:"postedBy,omitzero"`
	PostedDate  time.Time  `json:"postedDate,omitzero"` // when the last bill was posted
	Reason      string     `json:"reason,omitzero"`     // in words, where a state needs one
}

// RunProgress is how far a run is, in accounts, bills and pages of accounts.
type RunProgress struct {
	Pages    int64 `json:"pages"`
	Computed int64 `json:"computedPages"`
	Posted   int64 `json:"postedPages"` // or discarded
	Accounts int64 `json:"accounts"`
	Bills    int64 `json:"bills"` // drafts, held or not, and posted ones
	Held     int64 `json:"held"`
	Parked   int64 `json:"parked"`
	UpToDate int64 `json:"upToDate"` // accounts with nothing to bill
	Waiting  int64 `json:"waiting"`  // accounts below their minimum, billed next time
	Done     int64 `json:"postedBills"`
}

// RunTotal is a sum over bills of one legal entity, kind and currency.
type RunTotal struct {
	Entity string       `json:"entity"`
	Kind   string       `json:"kind"`
	Bills  int64        `json:"bills"`
	Net    money.Amount `json:"net"`
	Tax    money.Amount `json:"tax"`
	Gross  money.Amount `json:"gross"`
}

// BillRuns are the tenant's bill runs.
var BillRuns = tmf.Kind[BillRun, *BillRun]{
	API: &ItemAPI, Name: "billRun", Table: "billing_run", Verbs: tmf.Post | tmf.Patch,
	Index: []string{"state", "requestedDate"}, StateAttr: "state",
	Moves: tmf.Moves{"": {RunScoping}, RunScoping: {RunComputing, RunAssuring}, RunComputing: {RunAssuring}, RunAssuring: {RunReady, RunPosted},
		RunReady: {RunApproved, RunDiscarding, RunComputing, RunPosted}, RunApproved: {RunPosting, RunReady}, RunPosting: {RunPosted},
		RunPosted: {RunReady, RunComputing}, RunDiscarding: {RunDiscarded}, RunDiscarded: {}},
	Frozen: []string{"cutOff", "cycleSpecification", "billingAccount", "requestedBy", "requestedDate", "progress", "total",
		"approvedBy", "approvedDate", "postedTotal", "postedBy", "postedDate", "reason"},
}

// cutOff is the run's last bill date.
func (r *BillRun) cutOff() (civil.Date, error) { return civil.ParseDate(r.CutOff) }

// onDemand says that the run was asked for certain accounts.
func (r *BillRun) onDemand() bool { return len(r.BillingAccount) > 0 }

// Working says that jobs of the run are under way.
func (r *BillRun) Working() bool {
	return slices.Contains([]string{RunScoping, RunComputing, RunAssuring, RunPosting, RunDiscarding}, r.State)
}

const (
	maxDemand    = 1000 // accounts a run can be asked for by name
	cutOffAhead  = 1    // days: somewhere it is tomorrow already
	maxReason    = 2000 // characters
	runsUnderWay = 8    // runs of a tenant that compute at once
)

// accountsAPage is a constant; tests make pages smaller.
var accountsAPage = 500

// postRun begins a run: its jobs do the rest.
func postRun(tx *store.Tx, r *BillRun) error {
	today := civil.DateOf(tx.Now(), time.UTC)
	if r.CutOff == "" {
		r.CutOff = today.String()
	}
	on, err := r.cutOff()
	if err != nil {
		return fault.BadInput("badDate", "cutOff: %v", err)
	}
	if on.After(today.AddDays(cutOffAhead)) {
		return fault.BadInput("cutOffAhead", "cutOff is %s: a period is billed when it is over", on)
	}
	if err := checkScope(tx, r); err != nil {
		return err
	}
	if err := alone(tx, r); err != nil {
		return err
	}
	if err := haveEntity(tx); err != nil {
		return err
	}
	*r = BillRun{Entity: r.Entity, Description: r.Description, CutOff: r.CutOff, CycleSpecification: r.CycleSpecification, BillingAccount: r.BillingAccount,
		State: RunScoping, RequestedBy: tx.Actor(), RequestedDate: tx.Now()}
	if err := BillRuns.Create(tx, r); err != nil {
		return err
	}
	if err := access.Audit(tx, "billing.run", "billRun:"+r.ID, nil, map[string]string{"cutOff": r.CutOff}); err != nil {
		return err
	}
	return work.Enqueue(tx, jobScope, r.ID, nil, time.Time{})
}

// haveEntity makes the tenant's first legal entity if there is none: the jobs of a run only
// read it.
func haveEntity(tx *store.Tx) error {
	if _, err := DefaultEntity(tx); err != nil {
		return err
	}
	err := tx.Flush()
	if store.IsUnique(err, "billing_legal_entity") {
		return fault.Clash("runUnderWay", "Somebody else is just starting the first bill run; try again")
	}
	return err
}

// checkScope refuses accounts and cycles that are not there.
func checkScope(tx *store.Tx, r *BillRun) error {
	if len(r.BillingAccount) > maxDemand {
		return fault.New(fault.TooLarge, "tooManyAccounts", "At most %d accounts can be named; leave them out and all that are due are billed", maxDemand)
	}
	var ids []string
	for i := range r.BillingAccount {
		ids = append(ids, r.BillingAccount[i].ID)
	}
	found, err := BillingAccounts.GetMany(tx, ids)
	if err != nil {
		return named("billingAccount", err)
	}
	for i, a := range found {
		r.BillingAccount[i] = tmf.Ref{ID: a.ID, Href: a.Href, Name: a.Name, ReferredType: "BillingAccount"}
	}
	if r.CycleSpecification == nil {
		return nil
	}
	c, err := CycleSpecifications.Get(tx, r.CycleSpecification.ID)
	if err != nil {
		return named("cycleSpecification", err)
	}
	r.CycleSpecification = &tmf.Ref{ID: c.ID, Href: c.Href, Name: c.Name, ReferredType: "BillingCycleSpecification"}
	return nil
}

// alone refuses a run whose accounts another one is working on. What two runs that begin
// at the same instant both take up is billed by one of them: the database lets no two
// bills rest on the same state of an account.
func alone(tx *store.Tx, r *BillRun) error {
	var busy []*BillRun
	for _, state := range []string{RunScoping, RunComputing} {
		found, err := BillRuns.Select(tx, tmf.Where{"state": state}, tmf.Page{Limit: runsUnderWay})
		if err != nil {
			return err
		}
		busy = append(busy, found...)
	}
	for _, b := range busy {
		if b.onDemand() || r.onDemand() {
			continue
		}
		if b.CycleSpecification == nil || r.CycleSpecification == nil || b.CycleSpecification.ID == r.CycleSpecification.ID {
			return fault.Clash("runUnderWay", "The bill run %s of %s, started by %s, is still making its drafts; wait until it is ready, or discard it then",
				b.ID, b.CutOff, b.RequestedBy)
		}
	}
	if len(busy) >= runsUnderWay {
		return fault.Clash("tooManyRuns", "%d bill runs are making their drafts; wait until one is ready", len(busy))
	}
	return nil
}

// patchRun does what a person asks of a run by naming the state it is to have: approved,
// posted, discarded, or ready again.
func patchRun(tx *store.Tx, old, r *BillRun) error {
	wanted := r.State
	r.State = old.State
	switch {
	case wanted == old.State:
		return BillRuns.Save(tx, old, r)
	case wanted == RunApproved:
		return approveRun(tx, old, r)
	case wanted == RunPosted && old.State == RunApproved:
		return startPosting(tx, old, r)
	case wanted == RunDiscarded && old.State == RunReady:
		return startDiscarding(tx, old, r)
	case wanted == RunReady && old.State == RunApproved:
		r.State, r.ApprovedBy, r.ApprovedDate = RunReady, "", time.Time{}
		return decided(tx, old, r, "withdraw")
	}
	return fault.Clash("illegalMove", "A bill run that is %s cannot become %q: one that is ready is approved or discarded, one that is approved is posted or made ready again",
		old.State, wanted)
}

// decided saves what a person has decided, and notes it in the audit.
func decided(tx *store.Tx, old, r *BillRun, what string) error {
	if err := BillRuns.Save(tx, old, r); err != nil {
		return err
	}
	return access.Audit(tx, "billing."+what, "billRun:"+r.ID, map[string]string{"state": old.State}, map[string]string{"state": r.State})
}

// approveRun lets a second person approve the totals, which stay as they are from now on.
func approveRun(tx *store.Tx, old, r *BillRun) error {
	switch {
	case old.State != RunReady:
		return fault.Clash("notReady", "A bill run that is %s cannot be approved; it can when it is ready", old.State)
	case old.RequestedBy == tx.Actor():
		return fault.Denied("fourEyes", "Who started the run cannot approve it: another person must")
	case len(old.Total) == 0:
		return fault.Clash("nothingToApprove", "All bills of this run are held or parked: release them first")
	}
	r.State, r.ApprovedBy, r.ApprovedDate = RunApproved, tx.Actor(), tx.Now()
	r.PostedTotal = nil
	return decided(tx, old, r, "approve")
}

func startPosting(tx *store.Tx, old, r *BillRun) error {
	r.State, r.PostedBy = RunPosting, tx.Actor()
	r.Progress.Posted = 0
	if err := decided(tx, old, r, "post"); err != nil {
		return err
	}
	return enqueuePages(tx, r.ID, stagePost)
}

func startDiscarding(tx *store.Tx, old, r *BillRun) error {
	if r.Progress.Done > 0 {
		return fault.Clash("postedPartly", "%d bills of this run are posted; discard what is left bill by bill", r.Progress.Done)
	}
	r.State, r.Progress.Posted = RunDiscarding, 0
	if err := decided(tx, old, r, "discard"); err != nil {
		return err
	}
	return enqueuePages(tx, r.ID, stageDiscard)
}

// add puts a bill into totals, or with times -1 takes it out.
func add(totals []RunTotal, d *draft, times int64) ([]RunTotal, error) {
	i := slices.IndexFunc(totals, func(t RunTotal) bool {
		return t.Entity == d.entity && t.Kind == d.kind && t.Net.Currency.Code() == d.currency
	})
	if i < 0 {
		c, err := money.ParseCurrency(d.currency)
		if err != nil {
			return nil, err
		}
		zero := money.Amount{Currency: c}
		i = len(totals)
		totals = append(totals, RunTotal{Entity: d.entity, Kind: d.kind, Net: zero, Tax: zero, Gross: zero})
	}
	t := &totals[i]
	for _, x := range []struct {
		to *money.Amount
		n  int64
	}{{&t.Net, d.net}, {&t.Tax, d.tax}, {&t.Gross, d.gross}} {
		sum, err := x.to.Add(money.Amount{Minor: times * x.n, Currency: x.to.Currency})
		if err != nil {
			return nil, err
		}
		*x.to = sum
	}
	if t.Bills += times; t.Bills == 0 {
		totals = slices.Delete(totals, i, i+1)
	}
	slices.SortFunc(totals, compareTotals)
	return totals, nil
}

func compareTotals(a, b RunTotal) int {
	return strings.Compare(a.Entity+"\x00"+a.Kind+"\x00"+a.Net.Currency.Code(), b.Entity+"\x00"+b.Kind+"\x00"+b.Net.Currency.Code())
}

func init() { // hooks refer back to their kinds
	BillRuns.OnPost, BillRuns.OnPatch = postRun, patchRun
	BillPolicies.Default, BillPolicies.Check, BillPolicies.OnPost = defaultPolicy, checkBillPolicy, postBillPolicy
	BillDecisions.OnPost = postBillDecision
}

package billing

import (
	"fmt"
	"strings"
	"time"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// HeldBill is a draft that is not posted before somebody has looked at it.
type HeldBill struct {
	tmf.Entity
	BillRun        *tmf.Ref     `json:"billRun,omitzero"`
	BillingAccount *tmf.Ref     `json:"billingAccount,omitzero"`
	Kind           string       `json:"kind,omitzero"`
	BillDate       string       `json:"billDate,omitzero"`
	Reason         string       `json:"reason,omitzero"`
	Net            money.Amount `json:"net,omitzero"`
	Tax            money.Amount `json:"tax,omitzero"`
	Gross          money.Amount `json:"gross,omitzero"`
	HeldSince      time.Time    `json:"heldSince,omitzero"`
}

// HeldBills are the held drafts of the tenant.
var HeldBills = tmf.Kind[HeldBill, *HeldBill]{
	API: &ItemAPI, Name: "heldBill", Table: "billing_draft", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*HeldBill]{
		From:    "(SELECT * FROM billing_draft WHERE held <> '') AS held_bills",
		Columns: "id, run, account, kind, bill_date, held, currency, net, tax, gross, at",
		Order:   []string{"run", "id"},
		Paths:   map[string]string{"billRun.id": "run", "billingAccount.id": "account", "billDate": "bill_date"},
		Find:    func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
		Scan:    scanHeld,
	},
}

func scanHeld(r store.Rows) (*HeldBill, error) {
	h, run, account, currency, at := &HeldBill{}, "", "", "", int64(0)
	if err := r.Scan(&h.ID, &run, &account, &h.Kind, &h.BillDate, &h.Reason, &currency, &h.Net.Minor, &h.Tax.Minor, &h.Gross.Minor, &at); err != nil {
		return nil, err
	}
	c, err := money.ParseCurrency(currency)
	h.Net.Currency, h.Tax.Currency, h.Gross.Currency, h.HeldSince = c, c, c, store.Instant(at)
	h.BillingAccount, h.BillRun = accountRef(account), runRef(run)
	return h, err
}

func runRef(id string) *tmf.Ref {
	if id == "" {
		return nil
	}
	return &tmf.Ref{ID: id, Href: ItemAPI.Base + "/billRun/" + id, ReferredType: "BillRun"}
}

func accountRef(id string) *tmf.Ref {
	return &tmf.Ref{ID: id, Href: API.Base + "/billingAccount/" + id, ReferredType: "BillingAccount"}
}

// ParkedAccount is an account that a run could not bill.
type ParkedAccount struct {
	tmf.Entity
	BillRun        *tmf.Ref  `json:"billRun,omitzero"`
	BillingAccount *tmf.Ref  `json:"billingAccount,omitzero"`
	Code           string    `json:"code,omitzero"`
	Reason         string    `json:"reason,omitzero"` // and what to do
	Attempts       int64     `json:"attempts,omitzero"`
	Date           time.Time `json:"date,omitzero"`
}

// ParkedAccounts are the accounts that runs could not bill; the id is the run's and the
// account's with a point between.
var ParkedAccounts = tmf.Kind[ParkedAccount, *ParkedAccount]{
	API: &ItemAPI, Name: "parkedAccount", Table: "billing_parked", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*ParkedAccount]{
		From:    "billing_parked",
		Columns: "run, account, code, reason, attempts, at",
		Order:   []string{"run", "account"},
		Paths:   map[string]string{"billRun.id": "run", "billingAccount.id": "account", "code": "code", "date": "at"},
		Find:    findParked,
		Scan:    scanParked,
	},
}

func findParked(id string, first int) (string, []any) {
	run, account, ok := strings.Cut(id, ".")
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("run = $%d AND account = $%d", first, first+1), []any{run, account}
}

func scanParked(r store.Rows) (*ParkedAccount, error) {
	p, run, account, at := &ParkedAccount{}, "", "", int64(0)
	err := r.Scan(&run, &account, &p.Code, &p.Reason, &p.Attempts, &at)
	p.ID, p.Date, p.BillRun, p.BillingAccount = run+"."+account, store.Instant(at), runRef(run), accountRef(account)
	return p, err
}

// BillDecision is what a person decides of a held bill, a draft or a parked account.
type BillDecision struct {
	tmf.Entity
	// Subject is a bill (@referredType HeldBill or CustomerBill), a ParkedAccount, or a
	// BillRun, whose parked accounts are all meant.
	Subject  *tmf.Ref `json:"subject,omitzero" tmf:"required"`
	Decision string   `json:"decision,omitzero" tmf:"required,enum=release|hold|discard|retry"`
	// Reason is required to hold and to discard.
	Reason    string    `json:"reason,omitzero"`
	DecidedBy string    `json:"decidedBy,omitzero"`
	Date      time.Time `json:"date,omitzero"`
}

// Decisions of a BillDecision.
const (
	Release = "release" // a held bill is posted with the next approval of its run
	Hold    = "hold"    // a draft waits
	Discard = "discard" // a draft is taken back; the account is billed by the next run
	Retry   = "retry"   // a parked account is worked out again
)

// BillDecisions are what was decided.
var BillDecisions = tmf.Kind[BillDecision, *BillDecision]{
	API: &ItemAPI, Name: "billDecision", Table: "billing_decision", Verbs: tmf.Task, Index: []string{"subject.id", "date"},
}

func postBillDecision(tx *store.Tx, d *BillDecision) (err error) {
	d.DecidedBy, d.Date = tx.Actor(), tx.Now()
	if (d.Decision == Hold || d.Decision == Discard) && strings.TrimSpace(d.Reason) == "" {
		return fault.BadInput("mandatoryAttributeMissing", "reason is required to %s a bill", d.Decision)
	}
	if len(d.Reason) > maxReason {
		return fault.BadInput("reasonTooLong", "reason has at most %d characters", maxReason)
	}
	switch d.Decision {
	case Retry:
		err = retryParked(tx, d.Subject)
	default:
		err = decideBill(tx, d)
	}
	if err != nil {
		return err
	}
	if err := BillDecisions.Create(tx, d); err != nil {
		return err
	}
	return access.Audit(tx, "billing."+d.Decision, d.Subject.ReferredType+":"+d.Subject.ID, nil, map[string]string{"reason": d.Reason})
}

// decideBill releases, holds or discards a draft and keeps the totals of its run in step.
func decideBill(tx *store.Tx, d *BillDecision) error {
	b, done, err := draftOf(tx, d.Subject.ID)
	switch {
	case err != nil:
		return err
	case done:
		return fault.Clash("alreadyPosted", "The bill %q is posted: a credit note corrects it", b.id)
	case d.Decision == Release && b.held == "":
		return fault.Clash("notHeld", "The bill %q is not held", b.id)
	case d.Decision == Hold && b.held != "":
		return fault.Clash("heldAlready", "The bill %q is held already: %s", b.id, b.held)
	}
	if b.run == "" {
		return changeDraft(tx, b, d)
	}
	_, err = BillRuns.Edit(tx, b.run, func(r *BillRun) error { return decideInRun(tx, r, b, d) })
	return err
}

// decideInRun does it for a bill of a run, which must not be under way or approved.
func decideInRun(tx *store.Tx, r *BillRun, b *draft, d *BillDecision) (err error) {
	if r.State != RunReady && r.State != RunPosted {
		return fault.Clash("runUnderWay", "The bill run %q is %s; a bill of it is released, held or discarded when it is ready or posted", r.ID, r.State)
	}
	if r.State == RunPosted { // what comes now is a further round
		r.Total, r.PostedTotal, r.ApprovedBy, r.ApprovedDate = nil, nil, "", time.Time{}
	}
	switch d.Decision {
	case Release:
		r.Progress.Held--
		r.Total, err = add(r.Total, b, 1)
		r.State = RunReady
	case Hold:
		r.Progress.Held++
		r.Total, err = add(r.Total, b, -1)
	case Discard:
		r.Progress.Bills--
		if b.held != "" {
			r.Progress.Held--
		} else {
			r.Total, err = add(r.Total, b, -1)
		}
	}
	if err != nil {
		return err
	}
	if d.Decision == Release {
		tx.QueueOne("UPDATE billing_run_page SET stage = 'computed' WHERE tenant = $1 AND run = $2 AND page = $3", b.run, b.page)
	}
	return changeDraft(tx, b, d)
}

func changeDraft(tx *store.Tx, b *draft, d *BillDecision) error {
	held := ""
	switch d.Decision {
	case Discard:
		return takeBack(tx, b)
	case Hold:
		held = d.Reason
	}
	tx.QueueOne("UPDATE billing_draft SET held = $3 WHERE tenant = $1 AND id = $2 AND held = $4", b.id, held, b.held)
	return nil
}

// retryParked lets accounts of a run that were parked be worked out again, as pages of
// their own.
func retryParked(tx *store.Tx, subject *tmf.Ref) error {
	run, account, one := strings.Cut(subject.ID, ".")
	if !one && subject.ReferredType != "BillRun" {
		return fault.BadInput("badSubject", "subject is a ParkedAccount, or a BillRun to retry all its parked accounts")
	}
	text, args := "SELECT account, attempts FROM billing_parked WHERE tenant = $1 AND run = $2", []any{run}
	if one {
		text, args = text+" AND account = $3", append(args, account)
	}
	attempts := int64(1)
	rows, err := tx.Query(text+" ORDER BY account LIMIT "+fmt.Sprint(accountsAPage), args...)
	accounts, err := store.Collect(rows, err, func(r store.Rows) (id string, err error) {
		var n int64
		err = r.Scan(&id, &n)
		attempts = max(attempts, n+1)
		return id, err
	})
	if err != nil {
		return err
	}
	if len(accounts) == 0 {
		return fault.New(fault.NotFound, "notFound", "No account is parked as %q", subject.ID)
	}
	_, err = BillRuns.Edit(tx, run, func(r *BillRun) error {
		if r.State != RunReady && r.State != RunPosted {
			return fault.Clash("runUnderWay", "The bill run %q is %s; parked accounts are retried when it is ready or posted", r.ID, r.State)
		}
		if r.State == RunPosted {
			r.Total, r.PostedTotal, r.ApprovedBy, r.ApprovedDate = nil, nil, "", time.Time{}
		}
		r.State = RunComputing
		r.Progress.Pages++
		r.Progress.Parked -= int64(len(accounts))
		p := pageJob{Run: run, Stage: stageCompute, Attempt: attempts}
		last, _, err := lastPage(tx, run)
		if err != nil {
			return err
		}
		p.Page = last + 1
		tx.Insert(insertPage, run, p.Page, "scoped", strings.Join(accounts, "\n"))
		for _, a := range accounts {
			tx.QueueOne("DELETE FROM billing_parked WHERE tenant = $1 AND run = $2 AND account = $3", run, a)
		}
		return work.Enqueue(tx, jobPage, p.key(), p, time.Time{})
	})
	return err
}

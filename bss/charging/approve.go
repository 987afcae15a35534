package charging

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/charging/core"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Policy is what a tenant lets one person do alone. There is one, with the id "policy".
type Policy struct {
	tmf.Entity
	Description string `json:"description,omitzero"`
	// FourEyesAbove are the amounts above which an adjustment waits for a second
	// person, in either direction; what is not named has the house's own.
	FourEyesAbove []tmf.Quantity `json:"fourEyesAbove,omitzero"`
}

// Policies are the tenant's own, at most one.
var Policies = tmf.Kind[Policy, *Policy]{
	API: &OwnAPI, Name: "chargingPolicy", Table: "charging_policy", Verbs: tmf.All,
}

const policyID = "policy"

// alone is what one person may adjust where the tenant says nothing.
var alone = map[core.Unit]string{core.Money: "50", core.Octets: "10737418240", core.Seconds: "36000", core.Events: "500"}

// postPolicy sets the policy, in the place of the one before.
func postPolicy(tx *store.Tx, p *Policy) error {
	p.ID = policyID
	_, err := Policies.Edit(tx, policyID, func(old *Policy) error {
		old.Description, old.FourEyesAbove, old.Extension = p.Description, p.FourEyesAbove, p.Extension
		if old.Type == "" {
			old.Type = Policies.Class
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return Policies.Create(tx, p)
	}
	if err != nil {
		return err
	}
	now, err := Policies.Get(tx, policyID)
	if err == nil {
		*p = *now
	}
	return err
}

func checkPolicy(_ *store.Tx, _, p *Policy) error {
	for _, q := range p.FourEyesAbove {
		if _, _, err := measured(&q); err != nil {
			return err
		}
	}
	return nil
}

// measured reads an amount of any sort: its unit says which.
func measured(q *tmf.Quantity) (n int64, unit core.Unit, err error) {
	for u, names := range factors {
		if _, ok := names[strings.ToLower(q.Units)]; ok {
			n, err = amountOf(q, u, "")
			return n, u, err
		}
	}
	n, err = amountOf(q, core.Money, q.Units)
	return n, core.Money, err
}

// needsApproval says whether an adjustment is too large for one person.
func needsApproval(tx *store.Tx, t target, amount int64) (bool, error) {
	most, err := t.amount(&tmf.Quantity{Amount: jsontext.Value(alone[t.def.Unit])})
	if err != nil {
		return false, err
	}
	p, err := Policies.Get(tx, policyID)
	switch {
	case fault.Is(err, fault.NotFound):
	case err != nil:
		return false, err
	default:
		for _, q := range p.FourEyesAbove {
			n, unit, err := measured(&q)
			if err != nil {
				return false, err
			}
			if unit == t.def.Unit && (unit != core.Money || q.Units == t.account.Currency) {
				most = n
			}
		}
	}
	return amount > most || amount < -most, nil
}

// Decision is what a second person says of something that waits for one.
type Decision struct {
	tmf.Entity
	Description string    `json:"description,omitzero"`
	Subject     *tmf.Ref  `json:"subject,omitzero" tmf:"required"` // @referredType says of what: AdjustBalance, VoucherBatch
	Decision    string    `json:"decision,omitzero" tmf:"required,enum=approve|reject"`
	Reason      string    `json:"reason,omitzero"`
	DecidedBy   string    `json:"decidedBy,omitzero"`
	Date        time.Time `json:"date,omitzero"`
}

// Decisions are what was approved and rejected.
var Decisions = tmf.Kind[Decision, *Decision]{
	API: &OwnAPI, Name: "approval", Table: "charging_approval", Verbs: tmf.Task, Index: []string{"subject.id", "date"},
}

func postDecision(tx *store.Tx, d *Decision) (err error) {
	d.DecidedBy, d.Date = tx.Actor(), tx.Now()
	switch d.Subject.ReferredType {
	case "AdjustBalance":
		err = decideAdjustment(tx, d)
	case "VoucherBatch":
		err = decideBatch(tx, d)
	default:
		err = fault.BadInput("badSubject", "subject.@referredType is AdjustBalance or VoucherBatch")
	}
	if err != nil {
		return err
	}
	if err := Decisions.Create(tx, d); err != nil {
		return err
	}
	return access.Audit(tx, "charging."+d.Decision, d.Subject.ReferredType+":"+d.Subject.ID, nil, map[string]string{"reason": d.Reason})
}

// fourEyes takes down the decision of a person who is not the one who asked.
func (a *Approval) fourEyes(d *Decision) error {
	switch {
	case a == nil || a.State != "pending":
		return fault.Clash("notPending", "%q waits for nobody's approval", d.Subject.ID)
	case a.RequestedBy == d.DecidedBy && d.Decision == "approve":
		return fault.Denied("fourEyes", "Who asked for it cannot approve it: another person must")
	}
	a.State = map[string]string{"approve": "approved", "reject": "rejected"}[d.Decision]
	a.DecidedBy, a.Date, a.Reason = d.DecidedBy, d.Date, d.Reason
	return nil
}

func decideAdjustment(tx *store.Tx, d *Decision) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	p, err := Adjustments.Edit(tx, d.Subject.ID, func(p *BalanceAction) error {
		if p.Status != created {
			return fault.Clash("notPending", "%q waits for nobody's approval", d.Subject.ID)
		}
		if err := p.Approval.fourEyes(d); err != nil {
			return err
		}
		if d.Decision == "reject" {
			p.Status, p.StatusReason, p.ConfirmationDate = failed, "It was rejected", tx.Now()
		}
		return nil
	})
	if err != nil || p.Status == failed {
		return err
	}
	t, err := r.find(tx, where{bucket: p.Bucket})
	if err != nil {
		return err
	}
	amount, err := t.amount(p.Amount)
	if err != nil {
		return err
	}
	return r.adjust(tx, p, t, amount)
}

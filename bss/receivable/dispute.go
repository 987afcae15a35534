package receivable

import (
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of a dispute.
const (
	DisputeOpen     = "open"
	DisputeCredited = "credited" // by a credit note: the customer was right
	DisputeRejected = "rejected" // the claim is dunned again
)

// DisputeCase is a customer who does not accept a bill or a part of it: that is not dunned
// and not collected until it is settled, by a credit note or by a rejection. There is one
// for a claim.
type DisputeCase struct {
	tmf.Entity
	Claim      *Ref       `json:"claim,omitzero" tmf:"required"`
	Account    *Ref       `json:"account,omitzero"`
	Amount     *tmf.Money `json:"amount,omitzero"` // that is disputed; none: all of it
	Reason     string     `json:"reason,omitzero" tmf:"required"`
	State      string     `json:"state,omitzero" tmf:"enum=open|credited|rejected"`
	Resolution string     `json:"resolution,omitzero"` // in words for the customer
	CreditNote *Ref       `json:"creditNote,omitzero"`
	OpenedBy   string     `json:"openedBy,omitzero"`
	SettledBy  string     `json:"settledBy,omitzero"`
}

// Disputes of the tenant.
var Disputes = tmf.Kind[DisputeCase, *DisputeCase]{API: &API, Name: "dispute", Class: "Dispute", Table: "receivable_dispute_doc", Verbs: tmf.Post | tmf.Patch,
	Index: []string{"account.id", "claim.id", "state"}, StateAttr: "state",
	Moves:  tmf.Moves{"": {DisputeOpen}, DisputeOpen: {DisputeCredited, DisputeRejected}, DisputeCredited: {}, DisputeRejected: {}},
	Frozen: []string{"claim", "account", "amount", "reason", "creditNote", "openedBy", "settledBy"}}

func init() { Disputes.OnPost, Disputes.OnPatch = postDispute, patchDispute }

// postDispute takes a dispute about what is open of a claim.
func postDispute(tx *store.Tx, d *DisputeCase) error {
	c, err := lockClaim(tx, d.Claim.ID)
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownClaim", "There is no bill or fee with id %q", d.Claim.ID)
	}
	if err != nil {
		return err
	}
	amount := int64(0)
	if d.Amount != nil {
		a, err := accountOf(tx, &Ref{ID: c.Account})
		if err != nil {
			return err
		}
		m, err := minorOf("amount", d.Amount, a)
		if err != nil {
			return err
		}
		if amount = m.Minor; amount <= 0 || amount > c.Open {
			return fault.BadInput("invalidDispute", "What is disputed is more than nothing and not more than is open, %s", money.Amount{Minor: max(c.Open, 0), Currency: c.Amount.Currency})
		}
	}
	if len(d.Reason) > 1000 {
		return fault.BadInput("tooLong", "reason has at most 1000 characters")
	}
	d.State, d.Account, d.OpenedBy, d.SettledBy, d.CreditNote, d.Claim.Name = DisputeOpen, &Ref{ID: c.Account}, tx.Actor(), "", nil, c.Number
	if err := Disputes.Create(tx, d); err != nil {
		return err
	}
	return dispute(tx, c, d.ID, d.Reason, amount)
}

// Dispute takes a claim out of dunning until the dispute is settled.
func Dispute(tx *store.Tx, claim, reason string) error {
	c, err := lockClaim(tx, claim)
	if err != nil {
		return err
	}
	return dispute(tx, c, "", reason, 0)
}

// dispute takes so much of a claim out of dunning; 0: all of it.
func dispute(tx *store.Tx, c Claim, id, reason string, amount int64) error {
	if reason == "" || c.Open <= 0 {
		return fault.BadInput("invalidDispute", "A dispute has a reason, and is about a bill that is open")
	}
	n, err := tx.Exec(`INSERT INTO receivable_dispute (tenant, claim, reason, actor, at, amount, id) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		c.ID, reason, tx.Actor(), store.Micros(tx.Now()), amount, id)
	if err == nil && n == 0 {
		err = fault.Clash("disputed", "%s %q is or was disputed before", c.Sort, c.Number)
	}
	if err != nil {
		return err
	}
	return paid(tx, c.Account)
}

// SettleDispute ends a dispute: the claim is dunned again from where its account stands.
func SettleDispute(tx *store.Tx, claim string) error {
	n, err := tx.Exec("UPDATE receivable_dispute SET settled_at = $3 WHERE tenant = $1 AND claim = $2 AND settled_at IS NULL", claim, store.Micros(tx.Now()))
	if err == nil && n == 0 {
		err = fault.Missing("dispute of claim", claim)
	}
	return err
}

// patchDispute is a person who settles a dispute. That the customer was right is said by
// the credit note itself.
func patchDispute(tx *store.Tx, old, d *DisputeCase) error {
	if d.State == old.State {
		return Disputes.Save(tx, old, d)
	}
	if d.State == DisputeCredited {
		return fault.BadInput("byCreditNote", "A dispute is credited by a credit note for the bill %q; request one", old.Claim.Name)
	}
	if d.Resolution == "" || len(d.Resolution) > 1000 {
		return fault.BadInput("noReason", "Say in resolution why the dispute is rejected, in words for the customer, at most 1000 characters")
	}
	d.SettledBy = tx.Actor()
	if err := Disputes.Save(tx, old, d); err != nil {
		return err
	}
	if err := SettleDispute(tx, old.Claim.ID); err != nil {
		return err
	}
	return Settle(tx, old.Account.ID) // what he has paid meanwhile may be for it
}

// creditDispute settles the dispute of the bill that a credit note credits, if that covers
// what is disputed.
func creditDispute(tx *store.Tx, note Claim) error {
	var id string
	var amount int64
	err := tx.Row("SELECT id, amount FROM receivable_dispute WHERE tenant = $1 AND claim = $2 AND settled_at IS NULL"+tx.Dialect().ForUpdate(), note.Concerns).Scan(&id, &amount)
	if err == store.ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := lockClaim(tx, note.Concerns)
	if err != nil {
		return err
	}
	if amount == 0 {
		amount = c.Open
	}
	if -note.Amount.Minor < min(amount, c.Open) {
		return nil // a part of it: a person says what of the rest
	}
	if err := SettleDispute(tx, note.Concerns); err != nil || id == "" {
		return err
	}
	_, err = Disputes.Edit(tx, id, func(d *DisputeCase) error {
		d.State, d.SettledBy, d.CreditNote = DisputeCredited, tx.Actor(), &Ref{ID: note.ID, Name: note.Number}
		if d.Resolution == "" {
			d.Resolution = "Credited by " + note.Number
		}
		return nil
	})
	return err
}

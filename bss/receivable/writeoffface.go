package receivable

import (
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of a request to write off.
const (
	WriteOffWaiting  = "waiting"
	WriteOffApproved = "approved"
	WriteOffRejected = "rejected"
)

// WriteOffRequest asks to give up what is open of a claim. Another person approves it:
// nobody gives money away alone.
type WriteOffRequest struct {
	tmf.Entity
	Claim       *Ref        `json:"claim,omitzero" tmf:"required"`
	Account     *Ref        `json:"account,omitzero"`
	Reason      string      `json:"reason,omitzero" tmf:"required"`
	Relief      []TaxRelief `json:"taxRelief,omitzero"` // tax of it that the state gives back
	State       string      `json:"state,omitzero" tmf:"enum=waiting|approved|rejected"`
	Amount      *tmf.Money  `json:"amount,omitzero"` // that is open: what is approved, and nothing else
	Booked      *Ref        `json:"booked,omitzero"` // the write-off, for a recovery
	Recovered   *tmf.Money  `json:"recovered,omitzero"`
	RequestedBy string      `json:"requestedBy,omitzero"`
	DecidedBy   string      `json:"decidedBy,omitzero"`
	Note        string      `json:"note,omitzero"` // of who decided
}

// TaxRelief is tax that is claimed back (Article 90 of 2006/112/EC).
type TaxRelief struct {
	Code   string     `json:"code,omitzero" tmf:"required"` // as it was booked
	Amount *tmf.Money `json:"amount,omitzero" tmf:"required"`
	tmf.Extension
}

// Recovery uses a payment for what was written off.
type Recovery struct {
	tmf.Entity
	WriteOff *Ref       `json:"writeOff,omitzero" tmf:"required"` // the request
	Payment  *Ref       `json:"payment,omitzero" tmf:"required"`
	Amount   *tmf.Money `json:"amount,omitzero" tmf:"required"`
	By       string     `json:"by,omitzero"`
}

// WriteOffs and Recoveries of the tenant.
var (
	WriteOffs = tmf.Kind[WriteOffRequest, *WriteOffRequest]{API: &API, Name: "writeOff", Class: "WriteOff", Table: "receivable_write_off_doc", Verbs: tmf.Post | tmf.Patch,
		Index: []string{"account.id", "claim.id", "state"}, StateAttr: "state",
		Moves:  tmf.Moves{"": {WriteOffWaiting}, WriteOffWaiting: {WriteOffApproved, WriteOffRejected}, WriteOffApproved: {}, WriteOffRejected: {}},
		Frozen: []string{"claim", "account", "reason", "taxRelief", "amount", "booked", "recovered", "requestedBy", "decidedBy"}}
	Recoveries = tmf.Kind[Recovery, *Recovery]{API: &API, Name: "recovery", Table: "receivable_recovery_doc", Verbs: tmf.Task, Index: []string{"writeOff.id", "payment.id"}}
)

func init() {
	WriteOffs.OnPost, WriteOffs.OnPatch, Recoveries.OnPost = postWriteOff, patchWriteOff, postRecovery
}

func postWriteOff(tx *store.Tx, w *WriteOffRequest) error {
	c, err := lockClaim(tx, w.Claim.ID)
	if fault.Is(err, fault.NotFound) {
		return fault.BadInput("unknownClaim", "There is no bill or fee with id %q", w.Claim.ID)
	}
	if err != nil {
		return err
	}
	if c.Open <= 0 {
		return fault.Clash("notOpen", "Nothing of %s %q is open", c.Sort, c.Number)
	}
	if len(w.Reason) > 1000 || len(w.Relief) > 20 {
		return fault.BadInput("tooLong", "reason has at most 1000 characters, taxRelief 20 lines")
	}
	if _, err := w.relief(tx, c); err != nil {
		return err
	}
	waiting, err := WriteOffs.Select(tx, tmf.Where{"claim.id": c.ID, "state": WriteOffWaiting}, tmf.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		return fault.Clash("requestedAlready", "That %s %q is written off was asked for before; the request %q waits", c.Sort, c.Number, waiting[0].ID)
	}
	if w.Amount, err = amountIn(c.Open, c.Amount.Currency.Code()); err != nil {
		return err
	}
	w.State, w.Account, w.Claim.Name, w.RequestedBy, w.DecidedBy, w.Booked, w.Recovered = WriteOffWaiting, &Ref{ID: c.Account}, c.Number, tx.Actor(), "", nil, nil
	return WriteOffs.Create(tx, w)
}

func (w *WriteOffRequest) relief(tx *store.Tx, c Claim) (out []TaxPart, err error) {
	a, err := accountOf(tx, &Ref{ID: c.Account})
	if err != nil {
		return nil, err
	}
	left := c.Open
	for _, r := range w.Relief {
		m, err := minorOf("taxRelief "+r.Code, r.Amount, a)
		if err != nil {
			return nil, err
		}
		if left -= m.Minor; m.Minor <= 0 || left < 0 || r.Code == "" || len(r.Code) > 40 {
			return nil, fault.BadInput("invalidRelief", "The tax given back is more than is open of %s %q, or names no tax", c.Sort, c.Number)
		}
		out = append(out, TaxPart{Code: r.Code, Amount: m.Minor})
	}
	return out, nil
}

// stillOpen refuses to give up another amount than the one who decides was shown: what is
// open, and the tax of it, may have changed since by a payment or by one that came back.
func (w *WriteOffRequest) stillOpen(c Claim) error {
	open := money.Amount{Minor: c.Open, Currency: c.Amount.Currency}
	shown, err := w.Amount.PostRat(1, 1, money.HalfUp)
	if err == nil && shown != open {
		err = fault.Clash("amountChanged", "Of %s %q %s are open now, not %s; reject this request and ask anew", c.Sort, c.Number, open, shown)
	}
	return err
}

// patchWriteOff is another person who decides.
func patchWriteOff(tx *store.Tx, old, w *WriteOffRequest) error {
	if w.State == old.State {
		return WriteOffs.Save(tx, old, w)
	}
	if tx.Actor() == old.RequestedBy {
		return fault.Denied("fourEyes", "Another person than the one who asked for it decides about a write-off")
	}
	w.DecidedBy = tx.Actor()
	if w.State == WriteOffApproved {
		c, err := lockClaim(tx, old.Claim.ID)
		if err != nil {
			return err
		}
		if err := old.stillOpen(c); err != nil {
			return err
		}
		relief, err := old.relief(tx, c)
		if err != nil {
			return err
		}
		id, err := WriteOff(tx, c.ID, old.Reason, relief...)
		if err != nil {
			return err
		}
		w.Booked = &Ref{ID: id}
		if err := WriteOffs.Save(tx, old, w); err != nil {
			return err
		}
		return paid(tx, c.Account)
	}
	return WriteOffs.Save(tx, old, w)
}

// postRecovery books what was paid all the same.
func postRecovery(tx *store.Tx, r *Recovery) error {
	w, err := WriteOffs.Lock(tx, r.WriteOff.ID)
	if fault.Is(err, fault.NotFound) || err == nil && w.Booked == nil {
		return fault.BadInput("unknownWriteOff", "There is no approved write-off with id %q", r.WriteOff.ID)
	}
	if err != nil {
		return err
	}
	a, err := accountOf(tx, w.Account)
	if err != nil {
		return err
	}
	m, err := minorOf("amount", r.Amount, a)
	if err != nil {
		return err
	}
	if err := Recover(tx, r.Payment.ID, w.Booked.ID, m.Minor); err != nil {
		return err
	}
	r.By = tx.Actor()
	if err := Recoveries.Create(tx, r); err != nil {
		return err
	}
	_, err = WriteOffs.Edit(tx, w.ID, func(w *WriteOffRequest) (err error) {
		before := money.Amount{Currency: m.Currency}
		if w.Recovered != nil {
			if before, err = w.Recovered.PostRat(1, 1, money.HalfUp); err != nil {
				return err
			}
		}
		w.Recovered, err = amountIn(before.Minor+m.Minor, m.Currency.Code())
		return err
	})
	return err
}

package receivable

import (
	"time"

	"tandem/edge/card"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// Card is how money comes in that a gateway takes from a card.
const Card = "card"

// States of an attempt. Between sent and an end nobody here knows whether money moved.
const (
	attemptMinted    = "minted"
	attemptSent      = "sent"
	attemptConfirm   = "confirm" // the customer is asked by his bank (3-D Secure)
	attemptPending   = "pending"
	attemptSucceeded = "succeeded"
	attemptDeclined  = "declined"
	attemptCancelled = "cancelled"
)

const (
	cardPayment = "payment"
	cardRefund  = "refund"

	atScreen = time.Hour          // a customer has so long to confirm
	patience = 3 * 24 * time.Hour // how long an attempt without a customer may take
)

// attempt is a movement of money at a gateway: stored before it is asked for, and asked
// for under its id until it is known how it ended.
type attempt struct {
	id, sort, document, payment string
	method, account, entity     string
	amount                      money.Amount
	automatic                   bool
	correlator, backTo          string
	state, gateway              string
	revision                    int64
	ends                        time.Time
}

const attemptColumns = "id, sort, document, payment, method, account, entity, currency, amount, automatic, correlator, back_to, state, gateway, revision, ends"

func scanAttempt(r interface{ Scan(...any) error }) (a attempt, err error) {
	var automatic, ends int64
	err = r.Scan(&a.id, &a.sort, &a.document, &a.payment, &a.method, &a.account, &a.entity, &a.amount.Currency, &a.amount.Minor, &automatic,
		&a.correlator, &a.backTo, &a.state, &a.gateway, &a.revision, &ends)
	a.automatic, a.ends = automatic == 1, store.Instant(ends)
	return a, err
}

func lockAttempt(tx *store.Tx, id string) (attempt, error) {
	a, err := scanAttempt(tx.Row("SELECT "+attemptColumns+" FROM receivable_attempt WHERE tenant = $1 AND id = $2"+tx.Dialect().ForUpdate(), id))
	if err == store.ErrNotFound {
		return a, fault.Missing("card attempt", id)
	}
	return a, err
}

// over tells whether the attempt can change no more.
func (a *attempt) over() bool {
	return a.state == attemptSucceeded || a.state == attemptDeclined || a.state == attemptCancelled
}

// mint stores a new attempt, what of it is meant for which claim, and the job that asks
// the gateway: money moves in no transaction.
func (a *attempt) mint(tx *store.Tx, shares []Share) error {
	for a.id = tmf.NewID(); card.HasNumber(a.id); { // it looks like a card number, which the gateway refuses
		a.id = tmf.NewID()
	}
	a.state = attemptMinted
	if a.ends = tx.Now().Add(patience); a.backTo != "" {
		a.ends = tx.Now().Add(atScreen)
	}
	tx.Insert(`INSERT INTO receivable_attempt (tenant, id, sort, document, payment, method, account, entity, currency, amount, automatic, correlator, back_to,
		state, gateway, revision, code, ends, at)`, a.id, a.sort, a.document, a.payment, a.method, a.account, a.entity, a.amount.Currency.Code(), a.amount.Minor,
		flag(a.automatic), a.correlator, a.backTo, a.state, a.gateway, 0, "", store.Micros(a.ends), store.Micros(tx.Now()))
	for _, s := range shares {
		tx.Insert("INSERT INTO receivable_attempt_share (tenant, attempt, claim, amount)", a.id, s.Claim, s.Amount)
	}
	return work.Enqueue(tx, cardJob, a.id, nil, tx.Now())
}

// save writes how the attempt stands.
func (a *attempt) save(tx *store.Tx, code string) {
	var ended any
	if a.over() {
		ended = store.Micros(tx.Now())
	}
	tx.QueueOne("UPDATE receivable_attempt SET state = $3, gateway = $4, revision = $5, code = $6, ended_at = $7 WHERE tenant = $1 AND id = $2 AND ended_at IS NULL",
		a.id, a.state, a.gateway, a.revision, code, ended)
}

// sharesLeft are the parts that are still open: what else paid a claim meanwhile leaves
// the rest of the money for what else the account owes.
func (a *attempt) sharesLeft(tx *store.Tx) ([]Share, error) {
	rows, err := tx.Query("SELECT claim, amount FROM receivable_attempt_share WHERE tenant = $1 AND attempt = $2 ORDER BY claim", a.id)
	all, err := store.Collect(rows, err, func(r store.Rows) (s Share, err error) { return s, r.Scan(&s.Claim, &s.Amount) })
	if err != nil {
		return nil, err
	}
	var out []Share
	left := a.amount.Minor
	for _, s := range all {
		c, err := lockClaim(tx, s.Claim)
		if err != nil {
			return nil, err
		}
		amount := min(max(c.Open, 0), left)
		if s.Amount > 0 {
			amount = min(amount, s.Amount)
		}
		if amount > 0 && c.Account == a.account && c.Entity == a.entity {
			out, left = append(out, Share{Claim: s.Claim, Amount: amount}), left-amount
		}
	}
	return out, nil
}

// learn takes what the gateway says about the attempt. What is older than what is known
// changes nothing. Errors: gatewayOther, when it speaks of another amount.
func (a *attempt) learn(tx *store.Tx, r card.Result) error {
	if a.over() || a.revision > 0 && r.Revision <= a.revision {
		return nil
	}
	if r.Kind != "" && (r.Amount != a.amount || string(r.Kind) != a.sort) {
		return fault.Clash("gatewayOther", "The card gateway speaks of a %s of %s; the attempt %q is a %s of %s", r.Kind, r.Amount, a.id, a.sort, a.amount)
	}
	a.revision = r.Revision
	if r.Payment != "" {
		a.gateway = r.Payment
	}
	switch r.Status {
	case card.Succeeded:
		return a.succeed(tx, r)
	case card.Declined:
		return a.fail(tx, attemptDeclined, r.Decline.Code, r.Decline.Advice(), r.Decline.Hard())
	case card.Cancelled:
		return a.fail(tx, attemptCancelled, "cancelled", "The payment was not confirmed in time", false)
	case card.RequiresAction:
		a.state = attemptConfirm
	default:
		a.state = attemptPending
	}
	a.save(tx, "")
	return a.tell(tx, r.RedirectURL, "", "")
}

// succeed books what moved.
func (a *attempt) succeed(tx *store.Tx, r card.Result) error {
	a.state = attemptSucceeded
	a.save(tx, "")
	if a.sort == cardPayment {
		shares, err := a.sharesLeft(tx)
		if err != nil {
			return err
		}
		if _, err := Receive(tx, Payment{ID: a.document, Entity: a.entity, Account: a.account, Amount: a.amount, Way: Card, External: a.id}, shares...); err != nil {
			return err
		}
	}
	return a.tell(tx, "", r.ID, "")
}

// fail ends an attempt that moved no money. A refund was booked when it was asked for:
// that is undone. A card that will say no again is not charged by itself any more.
func (a *attempt) fail(tx *store.Tx, state, code, advice string, hard bool) error {
	a.state = state
	a.save(tx, code)
	if a.sort == cardRefund {
		if err := a.undoRefund(tx); err != nil {
			return err
		}
	}
	if hard {
		if err := suspendMethod(tx, a.method, advice); err != nil {
			return err
		}
	}
	return a.tell(tx, "", "", advice)
}

// undoRefund puts back what was booked as given back.
func (a *attempt) undoRefund(tx *store.Tx) error {
	p, err := lockPayment(tx, a.payment)
	if err != nil {
		return err
	}
	return p.unback(tx, a.amount.Minor, "refund/"+a.document, "The card gateway did not give it back")
}

// statuses say how a payment or refund (TMF676) stands whose attempt is in a state.
var statuses = map[string]string{attemptMinted: "pending", attemptSent: "pending", attemptConfirm: "requiresAction", attemptPending: "pending",
	attemptSucceeded: "done", attemptDeclined: "declined", attemptCancelled: "cancelled"}

// tell has the payment or refund (TMF676) say how its attempt stands: where the customer
// confirms it, what the gateway calls it, what to tell the customer.
func (a *attempt) tell(tx *store.Tx, redirect, code, advice string) error {
	if a.sort == cardRefund {
		_, err := Refunds.Edit(tx, a.document, func(r *RefundResource) error {
			r.Status, r.StatusDate, r.StatusReason, r.AuthorizationCode = statuses[a.state], tx.Now(), advice, code
			return nil
		})
		return err
	}
	_, err := Payments.Edit(tx, a.document, func(p *PaymentResource) error {
		p.Status, p.StatusDate, p.StatusReason, p.AuthorizationCode, p.RedirectURL = statuses[a.state], tx.Now(), advice, code, redirect
		return nil
	})
	return err
}

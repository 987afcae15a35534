package receivable

import (
	"context"
	"net/http"

	"tandem/bss/ledger"
	"tandem/edge/card"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/work"
)

// chargebackJob books what a gateway said of a disputed payment.
const chargebackJob = "receivable.chargeback"

// Webhooks is where gateways tell their news: this, and the name of the tenant.
const Webhooks = "/gateway/card/"

// Routes takes the messages of gateways. Each is signed by the gateway of its tenant:
// nobody logs in. Tenants with one gateway are told at the address of any of them.
func (c *Cards) Routes(mux *http.ServeMux) {
	mux.HandleFunc("POST "+Webhooks+"{tenant}", func(w http.ResponseWriter, r *http.Request) {
		tenant := r.PathValue("tenant")
		g := c.Of(tenant)
		if g == nil {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		take := func(ctx context.Context, e card.Event) error {
			home, err := c.home(ctx, tenant, g, e)
			if err != nil {
				return err
			}
			return c.DB.Write(ctx, store.Scope{Tenant: home, Actor: "gateway:card"}, func(tx *store.Tx) error { return keepEvent(tx, e) })
		}
		card.Handler(g, c.DB.Now, take).ServeHTTP(w, r)
	})
}

// home is the tenant whose money a message is about: of those whose gateway has signed it
// the one that knows the attempt, or the payment that is disputed. What none of them knows
// is kept by the one whose address it came to.
func (c *Cards) home(ctx context.Context, addressed string, g card.Gateway, e card.Event) (string, error) {
	if c.Tenants == nil {
		return addressed, nil
	}
	all, err := c.Tenants(ctx)
	if err != nil {
		return "", err
	}
	for _, tenant := range append([]string{addressed}, all...) {
		if c.Of(tenant) != g {
			continue
		}
		known, err := c.knows(ctx, tenant, e)
		if known || err != nil {
			return tenant, err
		}
	}
	return addressed, nil
}

// knows tells whether a message is about money of the tenant.
func (c *Cards) knows(ctx context.Context, tenant string, e card.Event) (bool, error) {
	which, id := "id = $2", e.Result.Attempt
	if e.Dispute != nil {
		which, id = "gateway = $2 AND gateway <> ''", e.Dispute.Payment
	}
	var n int64
	err := c.DB.Read(ctx, store.Scope{Tenant: tenant, Actor: "gateway:card"}, func(tx *store.Tx) error {
		return tx.Row("SELECT count(*) FROM receivable_attempt WHERE tenant = $1 AND "+which, id).Scan(&n)
	})
	return n > 0, err
}

// keepEvent puts a message in the inbox, once. One about an attempt is a hint to ask:
// what the gateway answers is booked, so the order of its messages does not matter.
func keepEvent(tx *store.Tx, e card.Event) error {
	d := e.Dispute
	if d == nil {
		d = &card.Dispute{}
	}
	answer := int64(0)
	if !d.Answer.IsZero() {
		answer = store.Micros(d.Answer)
	}
	n, err := tx.Exec(`INSERT INTO receivable_gateway_event (tenant, id, sort, attempt, dispute, gateway, currency, amount, fee, reason, answer_by, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`, e.ID, cut(string(e.Type), 60), e.Result.Attempt, d.ID, d.Payment,
		d.Amount.Currency.Code(), d.Amount.Minor, d.Fee.Minor, d.Reason, answer, store.Micros(tx.Now()))
	if err != nil || n == 0 {
		return err
	}
	if e.Dispute != nil {
		return work.Enqueue(tx, chargebackJob, e.ID, nil, tx.Now())
	}
	a, err := scanAttempt(tx.Row("SELECT "+attemptColumns+" FROM receivable_attempt WHERE tenant = $1 AND id = $2", e.Result.Attempt))
	if err == store.ErrNotFound || err == nil && a.over() {
		return nil // not ours, or known to the end
	}
	if err != nil {
		return err
	}
	return work.Enqueue(tx, cardJob, a.id, nil, tx.Now())
}

// chargeback books a message about a dispute. While the payment is not known here, or a
// refund of it is under way, it waits.
func (c *Cards) chargeback(ctx context.Context, j *work.Job) error {
	return c.DB.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		var sort, gateway string
		d := chargeback{}
		err := tx.Row("SELECT sort, dispute, gateway, currency, amount, fee, reason, answer_by FROM receivable_gateway_event WHERE tenant = $1 AND id = $2", j.Key).
			Scan(&sort, &d.id, &gateway, &d.amount.Currency, &d.amount.Minor, &d.fee, &d.reason, &d.answer)
		if err != nil {
			return err
		}
		if err := d.open(tx, gateway); err != nil {
			return err
		}
		if err := d.end(tx, card.EventType(sort)); err != nil {
			return err
		}
		return j.Finish(tx)
	})
}

// chargeback is a payment that a card holder takes back through his bank.
type chargeback struct {
	id, reason  string
	amount      money.Amount
	fee, answer int64
	p           Payment
}

// open takes the money off the books, once for a dispute: whichever of its messages
// comes first says that it was opened.
func (d *chargeback) open(tx *store.Tx, gateway string) error {
	a, err := scanAttempt(tx.Row("SELECT "+attemptColumns+" FROM receivable_attempt WHERE tenant = $1 AND gateway = $2 AND gateway <> '' AND sort = 'payment'"+
		tx.Dialect().ForUpdate(), gateway))
	if err == store.ErrNotFound || err == nil && a.state != attemptSucceeded {
		return fault.Clash("paymentUnknown", "The card gateway tells of a dispute of its payment %q, which is not booked here", gateway)
	}
	if err != nil {
		return err
	}
	if d.p, err = lockPayment(tx, a.document); err != nil {
		return err
	}
	var state string
	if err = tx.Row("SELECT state FROM receivable_chargeback WHERE tenant = $1 AND id = $2", d.id).Scan(&state); err != store.ErrNotFound {
		return err
	}
	if d.amount.Currency != d.p.Amount.Currency || d.amount.Minor > d.p.Amount.Minor-d.p.Returned {
		return fault.Clash("chargebackTooMuch", "The dispute %q is about %s; of the payment %q %s are here, or a refund of it is under way", d.id, d.amount, d.p.ID,
			money.Amount{Minor: d.p.Amount.Minor - d.p.Returned, Currency: d.p.Amount.Currency})
	}
	tx.Insert("INSERT INTO receivable_chargeback (tenant, id, payment, account, currency, amount, fee, reason, answer_by, state, at)",
		d.id, d.p.ID, d.p.Account, d.amount.Currency.Code(), d.amount.Minor, d.fee, d.reason, d.answer, "opened", store.Micros(tx.Now()))
	if err := suspendMethod(tx, a.method, "A payment was taken back through the card's bank: "+cut(d.reason, 200)); err != nil {
		return err
	}
	return d.book(tx)
}

// book undoes what the payment pays. The gateway keeps a fee, which the customer owes.
func (d *chargeback) book(tx *store.Tx) error {
	if err := d.p.undoRecoveries(tx); err != nil {
		return err
	}
	fee := money.Amount{Minor: d.fee, Currency: d.amount.Currency}
	if err := d.p.takenBack(tx, d.amount.Minor, "chargeback/"+d.id, "chargeback, "+d.reason, fee); err != nil || d.fee == 0 {
		return err
	}
	return ledger.Post(tx, ledger.Transaction{Name: "chargeback/" + d.id + "/fee", Entity: d.p.Entity, Currency: d.amount.Currency, Date: today(tx), What: "Fee of a chargeback",
		Entries: []ledger.Entry{{Account: ledger.BankCharges, Amount: d.fee}, {Account: d.p.Through, Amount: -d.fee}}})
}

// end notes how the dispute ended. Money that was won back is a payment.
func (d *chargeback) end(tx *store.Tx, sort card.EventType) error {
	to := map[card.EventType]string{card.DisputeWon: "won", card.DisputeLost: "lost"}[sort]
	if to == "" {
		return nil
	}
	n, err := tx.Exec("UPDATE receivable_chargeback SET state = $3 WHERE tenant = $1 AND id = $2 AND state = 'opened'", d.id, to)
	if err != nil || n == 0 || to != "won" {
		return err
	}
	_, err = Receive(tx, Payment{Entity: d.p.Entity, Account: d.p.Account, Amount: d.amount, Way: Card, External: "chargeback/" + d.id})
	return err
}

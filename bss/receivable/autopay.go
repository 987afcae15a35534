package receivable

import (
	"context"
	"slices"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// collectJob takes daily what customers let us take by ourselves.
const (
	collectJob   = "receivable.collect"
	chargeJob    = "receivable.autopay" // one account that the daily round failed at
	collectPage  = 500
	maxDeclines  = 3 // of one debt by one card: then the customer has to pay otherwise
	collectEvery = 24 * time.Hour
)

// keepCollecting begins the daily round of a tenant, if it is not begun.
func keepCollecting(tx *store.Tx) error {
	state, _, err := work.StateOf(tx, collectJob, "daily")
	if err != nil || state != "" {
		return err
	}
	return work.Enqueue(tx, collectJob, "daily", nil, tx.Now())
}

// handleCollecting runs the daily round of collections.
func handleCollecting(r *work.Runner, db *store.DB) {
	handleFiles(r, db)
	r.Handle(collectJob, work.Options{Concurrency: 2, Timeout: time.Hour}, func(ctx context.Context, j *work.Job) error {
		if err := chargeAll(ctx, db, j); err != nil {
			return err
		}
		if err := fileAll(ctx, db, j); err != nil {
			return err
		}
		return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
			if err := j.Finish(tx); err != nil {
				return err
			}
			return work.Enqueue(tx, collectJob, "daily", nil, tx.Now().Add(collectEvery))
		})
	})
	r.Handle(chargeJob, work.Options{Concurrency: 2}, func(ctx context.Context, j *work.Job) error {
		return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
			if err := ChargeDue(tx, j.Key, today(tx)); err != nil {
				return err
			}
			return j.Finish(tx)
		})
	})
}

// chargeAll charges the cards of all accounts on which something is due, each in a
// transaction of its own; one that fails gets a job of its own, and the others go on.
func chargeAll(ctx context.Context, db *store.DB, j *work.Job) error {
	on := civil.DateOf(db.Now(), time.UTC)
	for after, more := "", true; more; {
		var accounts []string
		err := db.Read(ctx, j.Scope(), func(tx *store.Tx) (err error) { accounts, err = toCharge(tx, on, after); return err })
		if err != nil {
			return err
		}
		for _, a := range accounts {
			if err := db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return ChargeDue(tx, a, on) }); err != nil && ctx.Err() == nil {
				if err = db.Write(ctx, j.Scope(), func(tx *store.Tx) error { return work.Enqueue(tx, chargeJob, a, nil, tx.Now()) }); err != nil {
					return err
				}
			}
			after = a
		}
		more = len(accounts) == collectPage
	}
	return nil
}

func toCharge(tx *store.Tx, on civil.Date, after string) ([]string, error) {
	rows, err := tx.Query(`SELECT m.account FROM receivable_method m WHERE m.tenant = $1 AND m.automatic = 1 AND m.active = 1 AND m.account > $2
		AND EXISTS (SELECT 1 FROM receivable_claim c WHERE c.tenant = m.tenant AND c.account = m.account AND c.open > 0 AND c.due <= $3)
		ORDER BY m.account LIMIT $4`, after, on.String(), int64(collectPage))
	return store.Collect(rows, err, store.Text)
}

// ChargeDue charges the preferred card of an account for what is due on it by the day:
// one attempt at a time, and no more than maxDeclines for the same debt. What is disputed,
// in a plan, on its way from a bank or told to be collected by direct debit is not charged,
// and nothing is while the customer keeps a promise or his ladder is paused.
func ChargeDue(tx *store.Tx, account string, on civil.Date) (err error) {
	defer fault.Wrap(&err, "receivable.ChargeDue(%s)", account)
	var method string
	err = tx.Row("SELECT id FROM receivable_method WHERE tenant = $1 AND account = $2 AND automatic = 1 AND active = 1"+tx.Dialect().ForUpdate(), account).Scan(&method)
	if err == store.ErrNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := holdAccount(tx, account); err != nil {
		return err
	}
	if rests, err := restsOn(tx, account, on); err != nil || rests {
		return err
	}
	due, err := toChargeNow(tx, account, on)
	if err != nil || len(due) == 0 {
		return err
	}
	open, declined, err := triesOf(tx, account, method, due[0].ID)
	if err != nil || open > 0 || declined >= maxDeclines {
		return err
	}
	return chargeCard(tx, method, due)
}

// restsOn tells whether the customer has our word that nothing is done about his debts on
// the day: he has promised to pay by a later one, or his ladder is paused.
func restsOn(tx *store.Tx, account string, on civil.Date) (bool, error) {
	promised, err := keepArrangement(tx, account, on)
	if err != nil || promised {
		return promised, err
	}
	var to string
	err = tx.Row("SELECT paused_to FROM receivable_dunning WHERE tenant = $1 AND account = $2", account).Scan(&to)
	if err == store.ErrNotFound {
		return false, nil
	}
	return on.String() <= to, err
}

// toChargeNow are the debts of an account that its card is charged: not those of which the
// customer was told that his bank will pay them, until that is late.
func toChargeNow(tx *store.Tx, account string, on civil.Date) (debts, error) {
	due, err := overdueOf(tx, account, on.AddDays(1))
	if err != nil || len(due.now) == 0 {
		return nil, err
	}
	rows, err := tx.Query(`SELECT n.claim FROM receivable_debtor d JOIN receivable_prenotice n ON n.tenant = d.tenant AND n.mandate = d.mandate AND n.collect_on > $3
		JOIN receivable_claim c ON c.tenant = n.tenant AND c.id = n.claim AND c.account = d.account
		WHERE d.tenant = $1 AND d.account = $2 AND d.active = 1 AND c.open > 0
		AND NOT EXISTS (SELECT 1 FROM receivable_collection s WHERE s.tenant = n.tenant AND s.claim = n.claim AND s.hold = 1)`, account, on.AddDays(-bankAnswers).String())
	told, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(due.now, func(c Claim) bool { return slices.Contains(told, c.ID) }), nil
}

// triesOf counts attempts of the account that have not ended, and those that were
// declined for the debt due the longest.
func triesOf(tx *store.Tx, account, method, oldest string) (open, declined int64, err error) {
	if err = tx.Row("SELECT count(*) FROM receivable_attempt WHERE tenant = $1 AND account = $2 AND sort = 'payment' AND ended_at IS NULL", account).Scan(&open); err != nil {
		return 0, 0, err
	}
	err = tx.Row(`SELECT count(*) FROM receivable_attempt_share s JOIN receivable_attempt t ON t.tenant = s.tenant AND t.id = s.attempt
		WHERE s.tenant = $1 AND s.claim = $2 AND t.method = $3 AND t.automatic = 1 AND t.state = 'declined'`, oldest, method).Scan(&declined)
	return open, declined, err
}

// chargeCard mints the attempt for the debts of one legal entity and currency, those of
// the longest due one.
func chargeCard(tx *store.Tx, method string, due debts) error {
	first := due[0]
	t := attempt{sort: cardPayment, method: method, account: first.Account, entity: first.Entity, amount: money.Amount{Currency: first.Amount.Currency}, automatic: true}
	p := &PaymentResource{Description: "Automatic payment of what is due", Account: &Ref{ID: first.Account}, PaymentMethod: &Method{ID: method, ReferredType: "tokenizedCard"},
		Status: "pending", StatusDate: tx.Now(), PaymentDate: tx.Now()}
	var shares []Share
	for _, c := range due {
		if c.Entity != first.Entity || c.Amount.Currency != first.Amount.Currency || len(shares) == maxItems {
			continue
		}
		amount, err := amountIn(c.Open, c.Amount.Currency.Code())
		if err != nil {
			return err
		}
		t.amount.Minor += c.Open
		shares = append(shares, Share{Claim: c.ID, Amount: c.Open})
		p.PaymentItem = append(p.PaymentItem, PaymentItem{Amount: amount, Item: &Ref{ID: c.ID, Name: c.Number}})
	}
	total, err := amountIn(t.amount.Minor, t.amount.Currency.Code())
	if err != nil {
		return err
	}
	p.TotalAmount, p.ID = total, tmf.NewID()
	if err := Payments.Create(tx, p); err != nil {
		return err
	}
	t.document = p.ID
	return t.mint(tx, shares)
}

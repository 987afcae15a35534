package receivable

import (
	"fmt"

	"tandem/bss/billing"
	"tandem/bss/communication"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/work"
)

// standing is where an account is on its ladder.
type standing struct {
	account  string
	cycle    int64
	level    int64
	barred   bool
	pausedTo string
}

// stand reads the standing of an account, to be written back.
func stand(tx *store.Tx, account string) (standing, error) {
	s := standing{account: account}
	var barred int64
	read := func() error {
		return tx.Row("SELECT cycle, level, barred, paused_to FROM receivable_dunning WHERE tenant = $1 AND account = $2"+tx.Dialect().ForUpdate(), account).
			Scan(&s.cycle, &s.level, &barred, &s.pausedTo)
	}
	err := read()
	if err == store.ErrNotFound {
		if _, err = tx.Exec(`INSERT INTO receivable_dunning (tenant, account, cycle, level, barred, paused_to, pause_reason) VALUES ($1, $2, 1, 0, 0, '', '')
			ON CONFLICT DO NOTHING`, account); err == nil {
			err = read()
		}
	}
	s.barred = barred == 1
	return s, err
}

func (s *standing) save(tx *store.Tx) {
	barred := 0
	if s.barred {
		barred = 1
	}
	tx.QueueOne("UPDATE receivable_dunning SET cycle = $3, level = $4, barred = $5 WHERE tenant = $1 AND account = $2", s.account, s.cycle, s.level, barred)
}

// Dun enters the next level of an account's ladder if its time has come, one a day at
// the most, and ends the cycle of one that owes nothing overdue. It may be called as
// often as one likes.
func Dun(tx *store.Tx, account string, on civil.Date) (err error) {
	defer fault.Wrap(&err, "receivable.Dun(%s)", account)
	s, err := stand(tx, account)
	if err != nil {
		return err
	}
	promised, err := keepArrangement(tx, account, on)
	if err != nil {
		return err
	}
	overdue, err := overdueOf(tx, account, on)
	if err != nil {
		return err
	}
	if len(overdue.all) == 0 {
		return s.relieve(tx)
	}
	if s.barred { // what was sold, resumed or refused since is barred as well
		if err := work.Enqueue(tx, barJob, account, nil, tx.Now()); err != nil {
			return err
		}
	}
	if promised || on.String() <= s.pausedTo || len(overdue.now) == 0 {
		return nil
	}
	a, err := billing.BillingAccounts.Get(tx, account)
	if err != nil {
		return err
	}
	p, err := policyOf(tx, a.AccountType)
	if err != nil || s.level >= int64(len(p.Levels)) {
		return err
	}
	l, sum := p.Levels[s.level], overdue.now.sum()
	if !l.due(overdue.now[0], sum, on) || l.Action == Bar && !p.barsOn(on.Weekday(), on.String()) {
		return nil
	}
	s.level++
	return s.enter(tx, a, l, overdue.now, sum, on)
}

// debts are open claims that are overdue, the longest due first.
type debts []Claim

// sum is what they leave open. The claims of an account have one currency, that of the account.
func (d debts) sum() money.Amount {
	out := money.Amount{Currency: d[0].Amount.Currency}
	for _, c := range d {
		out.Minor += c.Open
	}
	return out
}

// bankAnswers is how many days after its due date a collection may still be on its way:
// the five that a bank has for a return, and those on which it does not work.
const bankAnswers = 10

// owing is what is overdue on an account: all of it, and what of that is to be dunned now.
// The rest is on its way from a card, or with an agency.
type owing struct{ all, now debts }

const (
	// disputedOf is how much of a claim c is disputed.
	disputedOf = `coalesce((SELECT CASE WHEN d.amount = 0 OR d.amount > c.open THEN c.open ELSE d.amount END FROM receivable_dispute d
		WHERE d.tenant = c.tenant AND d.claim = c.id AND d.settled_at IS NULL), 0)`
	// inPlan, byCard and withAgency tell of a claim c who sees to it.
	inPlan = `EXISTS (SELECT 1 FROM receivable_arranged_claim p JOIN receivable_arrangement a ON a.tenant = p.tenant AND a.id = p.arrangement AND a.state = 'active' AND a.sort = 'plan'
		WHERE p.tenant = c.tenant AND p.claim = c.id)`
	byCard = `EXISTS (SELECT 1 FROM receivable_attempt_share s JOIN receivable_attempt t ON t.tenant = s.tenant AND t.id = s.attempt AND t.ended_at IS NULL
		WHERE s.tenant = c.tenant AND s.claim = c.id)`
	withAgency = `EXISTS (SELECT 1 FROM receivable_agency_case g WHERE g.tenant = c.tenant AND g.claim = c.id AND g.state = 'placed')`
)

// overdueOf are the debts of an account that are due, as far as they are not disputed, not
// in a plan, and not on their way from the customer's bank.
func overdueOf(tx *store.Tx, account string, on civil.Date) (out owing, err error) {
	rows, err := tx.Query(`SELECT c.id, c.sort, c.number, c.entity, c.account, c.concerns, c.currency, c.amount, c.open - `+disputedOf+`, c.on_date, c.due,
		CASE WHEN `+byCard+" OR "+withAgency+` THEN 1 ELSE 0 END
		FROM receivable_claim c WHERE c.tenant = $1 AND c.account = $2 AND c.open > 0 AND c.due < $3 AND NOT `+inPlan+`
		AND NOT EXISTS (SELECT 1 FROM receivable_collection s WHERE s.tenant = c.tenant AND s.claim = c.id AND s.state = 'sent' AND s.due > $4) ORDER BY c.due, c.id`,
		account, on.String(), on.AddDays(-bankAnswers).String())
	_, err = store.Collect(rows, err, func(r store.Rows) (c Claim, err error) {
		var rests int64
		err = r.Scan(&c.ID, &c.Sort, &c.Number, &c.Entity, &c.Account, &c.Concerns, &c.Amount.Currency, &c.Amount.Minor, &c.Open, &c.On, &c.Due, &rests)
		if c.Open > 0 {
			out.all = append(out.all, c)
		}
		if c.Open > 0 && rests == 0 {
			out.now = append(out.now, c)
		}
		return c, err
	})
	return out, err
}

// due tells whether the level is to be entered.
func (l *Level) due(oldest Claim, sum money.Amount, on civil.Date) bool {
	if int64(on.Sub(oldest.Due)) < l.AfterDays {
		return false
	}
	if l.Minimum == nil || l.Minimum.Currency != sum.Currency {
		return true
	}
	owed, err := sum.Rate()
	return err == nil && owed.Nano >= l.Minimum.Nano
}

// enter does what the level says, once in a cycle.
func (s *standing) enter(tx *store.Tx, a *billing.BillingAccount, l Level, overdue debts, sum money.Amount, on civil.Date) error {
	tx.Insert("INSERT INTO receivable_action (tenant, account, cycle, level, action, overdue, currency, oldest, on_date, at)",
		s.account, s.cycle, s.level, l.Action, sum.Minor, sum.Currency.Code(), overdue[0].ID, on.String(), store.Micros(tx.Now()))
	name := fmt.Sprintf("dunning/%s/%d/%d", s.account, s.cycle, s.level)
	if l.Fee != nil && l.Fee.Sign() > 0 && l.Fee.Currency == sum.Currency {
		fee, err := l.Fee.Post(money.HalfUp)
		if err != nil {
			return err
		}
		if err := Charge(tx, Claim{ID: name, Sort: Fee, Number: "Reminder fee", Entity: overdue[0].Entity, Account: s.account,
			Concerns: overdue[0].ID, Amount: fee, On: on, Due: on}); err != nil {
			return err
		}
	}
	if job := map[string]string{Bar: barJob, Disconnect: endJob}[l.Action]; job != "" {
		s.barred = s.barred || l.Action == Bar
		if err := work.Enqueue(tx, job, s.account, nil, tx.Now()); err != nil {
			return err
		}
	}
	s.save(tx)
	return tell(tx, a, l, name, overdue, sum)
}

// tell writes to the customer about the level.
func tell(tx *store.Tx, a *billing.BillingAccount, l Level, key string, overdue debts, sum money.Amount) error {
	template := l.Template
	if template == "" {
		template = map[string]string{Remind: "reminder", Bar: "barredForDebt", Disconnect: "disconnected"}[l.Action]
	}
	customer := a.Customer()
	if customer == "" {
		return nil
	}
	return communication.Send(tx, communication.Notice{Key: key, Customer: customer, Purpose: communication.Billing, Template: template, At: tx.Now(),
		Values: map[string]string{"bill": overdue[0].Number, "amount": sum.String(), "due": overdue[0].Due.String()}})
}

// relieve ends the cycle of an account that owes nothing overdue, and has its products
// unbarred.
func (s *standing) relieve(tx *store.Tx) error {
	if s.level == 0 && !s.barred {
		return nil
	}
	work.Cancel(tx, endJob, s.account)
	if s.barred {
		if err := work.Enqueue(tx, barJob, s.account, nil, tx.Now()); err != nil {
			return err
		}
	}
	s.cycle, s.level, s.barred = s.cycle+1, 0, false
	s.save(tx)
	return nil
}

// paid looks whether an account that pays is out of its ladder now: its products are
// unbarred at once, not the next morning.
func paid(tx *store.Tx, account string) error {
	if _, err := keepArrangement(tx, account, today(tx)); err != nil {
		return err
	}
	var level, barred int64
	err := tx.Row("SELECT level, barred FROM receivable_dunning WHERE tenant = $1 AND account = $2", account).Scan(&level, &barred)
	if err == store.ErrNotFound || err == nil && level == 0 && barred == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	overdue, err := overdueOf(tx, account, today(tx))
	if err != nil || len(overdue.all) > 0 {
		return err
	}
	s, err := stand(tx, account)
	if err != nil {
		return err
	}
	return s.relieve(tx)
}

// Pause lets the ladder of an account rest up to a day: a promise to pay, hardship, an
// outage that is ours.
func Pause(tx *store.Tx, account, reason string, to civil.Date) error {
	if reason == "" || !to.After(today(tx)) || to.After(today(tx).AddDays(400)) {
		return fault.BadInput("invalidPause", "A pause has a reason and ends in the future, within 400 days")
	}
	if _, err := stand(tx, account); err != nil {
		return err
	}
	tx.QueueOne("UPDATE receivable_dunning SET paused_to = $3, pause_reason = $4 WHERE tenant = $1 AND account = $2", account, to.String(), reason)
	return nil
}

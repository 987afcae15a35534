package receivable

import (
	"slices"
	"time"

	"tandem/bss/billing"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of what was arranged with a customer.
const (
	ArrangementActive    = "active"
	ArrangementKept      = "kept"
	ArrangementBroken    = "broken" // dunning goes on
	ArrangementCancelled = "cancelled"
)

const (
	planSort    = "plan"
	promiseSort = "promise"

	maxInstalments = 60
	usualGrace     = 3  // days that an instalment may be late
	longestPromise = 31 // days
	maxBroken      = 2  // promises in a year, before no other is taken
)

var arrangementMoves = tmf.Moves{"": {ArrangementActive}, ArrangementActive: {ArrangementKept, ArrangementBroken, ArrangementCancelled},
	ArrangementKept: {}, ArrangementBroken: {}, ArrangementCancelled: {}}

// PaymentPlan lets a customer pay what is open in instalments. While he keeps it, what is
// in it is not dunned and his lines are not barred; an instalment that is late by more than
// the days of grace breaks it.
type PaymentPlan struct {
	tmf.Entity
	Account    *Ref         `json:"account,omitzero" tmf:"required"`
	Claim      []Ref        `json:"claim,omitzero"` // bills and fees in it; none: all that are open
	Instalment []Instalment `json:"instalment,omitzero"`
	Count      *int64       `json:"count,omitzero"`   // instead of instalments: so many equal ones, monthly
	FirstOn    string       `json:"firstOn,omitzero"` // from this ISO date on
	GraceDays  *int64       `json:"graceDays,omitzero"`
	Reason     string       `json:"reason,omitzero"`
	State      string       `json:"state,omitzero" tmf:"enum=active|kept|broken|cancelled"`
	AgreedBy   string       `json:"agreedBy,omitzero"`
}

// Instalment is a part of a plan and the ISO date by which it is paid.
type Instalment struct {
	Due    string     `json:"due,omitzero" tmf:"required"`
	Amount *tmf.Money `json:"amount,omitzero" tmf:"required"`
	tmf.Extension
}

// PromiseToPay is the word of a customer that he pays by a day: until then his ladder
// rests where it is.
type PromiseToPay struct {
	tmf.Entity
	Account *Ref       `json:"account,omitzero" tmf:"required"`
	Amount  *tmf.Money `json:"amount,omitzero"` // none: all that is overdue
	By      string     `json:"by,omitzero" tmf:"required"`
	Reason  string     `json:"reason,omitzero"`
	State   string     `json:"state,omitzero" tmf:"enum=active|kept|broken|cancelled"`
	TakenBy string     `json:"takenBy,omitzero"`
}

// Plans and Promises of the tenant. Both end by what is paid; a person cancels them.
var (
	Plans = tmf.Kind[PaymentPlan, *PaymentPlan]{API: &API, Name: "paymentPlan", Table: "receivable_plan_doc", Verbs: tmf.Post | tmf.Patch,
		Index: []string{"account.id", "state"}, StateAttr: "state", Moves: arrangementMoves,
		Frozen: []string{"account", "claim", "instalment", "count", "firstOn", "graceDays", "agreedBy"}}
	Promises = tmf.Kind[PromiseToPay, *PromiseToPay]{API: &API, Name: "promiseToPay", Table: "receivable_promise_doc", Verbs: tmf.Post | tmf.Patch,
		Index: []string{"account.id", "state"}, StateAttr: "state", Moves: arrangementMoves, Frozen: []string{"account", "amount", "by", "takenBy"}}
)

func init() {
	Plans.OnPost, Plans.OnPatch = postPlan, patchPlan
	Promises.OnPost, Promises.OnPatch = postPromise, patchPromise
}

// arrangement is what was agreed, as it is judged.
type arrangement struct {
	id, sort, account string
	currency          money.Currency
	owed, grace       int64
	lines             []instalment
}

type instalment struct {
	due    civil.Date
	amount int64
}

// paidIn is what was arranged and how much of it the customer owes no more; held is what of
// the rest is disputed, which he need not pay before that is settled.
type paidIn struct{ paid, held int64 }

// judge says how an arrangement stands on a day. What is held is taken off the end of it.
func (a *arrangement) judge(p paidIn, on civil.Date) string {
	sum, late := int64(0), false
	for _, l := range a.lines {
		sum, late = sum+l.amount, on.After(l.due.AddDays(int(a.grace)))
		if late && p.paid < min(sum, a.owed-p.held) {
			return ArrangementBroken
		}
	}
	if late || p.paid >= sum {
		return ArrangementKept
	}
	return ArrangementActive
}

// stands reads how much of an arrangement is paid.
func (a *arrangement) stands(tx *store.Tx) (p paidIn, err error) {
	var open int64
	err = tx.Row(`SELECT coalesce(CAST(sum(c.open) AS BIGINT), 0), coalesce(CAST(sum(`+disputedOf+`) AS BIGINT), 0)
		FROM receivable_arranged_claim p JOIN receivable_claim c ON c.tenant = p.tenant AND c.id = p.claim WHERE p.tenant = $1 AND p.arrangement = $2`, a.id).Scan(&open, &p.held)
	p.paid = a.owed - open
	return p, err
}

// arrangedNow is what money without a purpose pays first: the instalments of an account
// that are due, with the next one, as far as they are not paid. in are the claims of the
// arrangement.
func arrangedNow(tx *store.Tx, account string) (now int64, in map[string]bool, err error) {
	a, err := arrangementOf(tx, account)
	if err != nil || a == nil {
		return 0, nil, err
	}
	p, err := a.stands(tx)
	if err != nil {
		return 0, nil, err
	}
	for _, l := range a.lines {
		now += l.amount
		if !l.due.Before(today(tx)) {
			break
		}
	}
	rows, err := tx.Query("SELECT claim FROM receivable_arranged_claim WHERE tenant = $1 AND arrangement = $2", a.id)
	claims, err := store.Collect(rows, err, store.Text)
	in = map[string]bool{}
	for _, c := range claims {
		in[c] = true
	}
	return now - p.paid, in, err
}

// keepArrangement judges what was arranged with an account, and says whether it rests on a
// promise.
func keepArrangement(tx *store.Tx, account string, on civil.Date) (promised bool, err error) {
	a, err := arrangementOf(tx, account)
	if err != nil || a == nil {
		return false, err
	}
	p, err := a.stands(tx)
	if err != nil {
		return false, err
	}
	state := a.judge(p, on)
	if state == ArrangementActive {
		return a.sort == promiseSort, nil
	}
	return false, a.end(tx, state)
}

// arrangementOf is the active one of an account; nil if there is none.
func arrangementOf(tx *store.Tx, account string) (*arrangement, error) {
	a := &arrangement{account: account}
	err := tx.Row("SELECT id, sort, currency, owed, grace FROM receivable_arrangement WHERE tenant = $1 AND account = $2 AND state = 'active'"+tx.Dialect().ForUpdate(), account).
		Scan(&a.id, &a.sort, &a.currency, &a.owed, &a.grace)
	if err == store.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query("SELECT due, amount FROM receivable_instalment WHERE tenant = $1 AND arrangement = $2 ORDER BY line", a.id)
	a.lines, err = store.Collect(rows, err, func(r store.Rows) (l instalment, err error) { return l, r.Scan(&l.due, &l.amount) })
	return a, err
}

// end ends it, in its row and in its resource.
func (a *arrangement) end(tx *store.Tx, state string) (err error) {
	tx.QueueOne("UPDATE receivable_arrangement SET state = $3, ended_at = $4 WHERE tenant = $1 AND id = $2 AND state = 'active'", a.id, state, store.Micros(tx.Now()))
	if a.sort == promiseSort {
		_, err = Promises.Edit(tx, a.id, func(p *PromiseToPay) error { p.State = state; return nil })
	} else {
		_, err = Plans.Edit(tx, a.id, func(p *PaymentPlan) error { p.State = state; return nil })
	}
	return err
}

// begin stores an arrangement about claims, which have a currency.
func (a *arrangement) begin(tx *store.Tx, claims []Claim) error {
	other, err := arrangementOf(tx, a.account)
	if err != nil {
		return err
	}
	if other != nil {
		return fault.Clash("arrangedAlready", "The account %q has a %s already, %q; cancel that one first", a.account, other.sort, other.id)
	}
	tx.Insert("INSERT INTO receivable_arrangement (tenant, id, sort, account, currency, owed, grace, state, at)",
		a.id, a.sort, a.account, a.currency.Code(), a.owed, a.grace, ArrangementActive, store.Micros(tx.Now()))
	for _, c := range claims {
		tx.Insert("INSERT INTO receivable_arranged_claim (tenant, arrangement, claim)", a.id, c.ID)
	}
	for i, l := range a.lines {
		tx.Insert("INSERT INTO receivable_instalment (tenant, arrangement, line, due, amount)", a.id, i+1, l.due.String(), l.amount)
	}
	return nil
}

// postPlan makes a plan of what is open.
func postPlan(tx *store.Tx, p *PaymentPlan) error {
	b, err := accountOf(tx, p.Account)
	if err != nil {
		return err
	}
	claims, err := planned(tx, b.ID, p.Claim)
	if err != nil {
		return err
	}
	a := &arrangement{sort: planSort, account: b.ID, currency: claims[0].Amount.Currency, grace: usualGrace}
	p.Claim = nil
	for _, c := range claims {
		a.owed += c.Open
		p.Claim = append(p.Claim, Ref{ID: c.ID, Name: c.Number})
	}
	if p.GraceDays != nil {
		if a.grace = *p.GraceDays; a.grace < 0 || a.grace > 31 {
			return fault.BadInput("invalidPlan", "graceDays is 0 to 31")
		}
	}
	if err := a.instalments(tx, p, b); err != nil {
		return err
	}
	p.State, p.AgreedBy = ArrangementActive, tx.Actor()
	if err := Plans.Create(tx, p); err != nil {
		return err
	}
	a.id = p.ID
	if err := a.begin(tx, claims); err != nil {
		return err
	}
	return paid(tx, b.ID) // out of dunning, and his lines run again
}

// planned are the claims of a plan: those it names, or all that are open.
func planned(tx *store.Tx, account string, named []Ref) ([]Claim, error) {
	all, err := openClaims(tx, account)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c Claim) bool {
		return c.Open <= 0 || len(named) > 0 && !slices.ContainsFunc(named, func(r Ref) bool { return r.ID == c.ID })
	})
	if len(all) == 0 || len(named) > len(all) {
		return nil, fault.BadInput("notOpen", "What the plan is about is not open on the account %q", account)
	}
	if len(all) > maxItems || slices.ContainsFunc(all, func(c Claim) bool { return c.Amount.Currency != all[0].Amount.Currency }) {
		return nil, fault.BadInput("invalidPlan", "A plan is about bills of one currency, %d at most", maxItems)
	}
	return all, nil
}

// instalments reads those of a plan, or divides what is owed into equal ones: they are all
// that is owed, one after the other.
func (a *arrangement) instalments(tx *store.Tx, p *PaymentPlan, b *billing.BillingAccount) error {
	if len(p.Instalment) == 0 {
		if err := a.divide(p); err != nil {
			return err
		}
	}
	sum, last := int64(0), today(tx)
	if len(p.Instalment) > maxInstalments {
		return fault.BadInput("invalidPlan", "A plan has at most %d instalments", maxInstalments)
	}
	for i, l := range p.Instalment {
		due, err := civil.ParseDate(l.Due)
		if err != nil || i > 0 && !due.After(last) || i == 0 && due.Before(last) || due.After(today(tx).AddMonths(maxInstalments)) {
			return fault.BadInput("invalidPlan", "due of instalment[%d] is no ISO date after the one before it, within %d months", i, maxInstalments)
		}
		amount, err := minorOf("amount of an instalment", l.Amount, b)
		if err != nil {
			return err
		}
		if amount.Sign() <= 0 || amount.Currency != a.currency {
			return fault.BadInput("invalidPlan", "instalment[%d] is not an amount in %s", i, a.currency)
		}
		sum, last = sum+amount.Minor, due
		a.lines = append(a.lines, instalment{due, amount.Minor})
	}
	if sum != a.owed {
		return fault.BadInput("invalidPlan", "The instalments are %s; what is open is %s", money.Amount{Minor: sum, Currency: a.currency}, money.Amount{Minor: a.owed, Currency: a.currency})
	}
	return nil
}

// divide makes equal monthly instalments; what does not divide is in the first ones.
func (a *arrangement) divide(p *PaymentPlan) error {
	first, err := civil.ParseDate(p.FirstOn)
	if err != nil || p.Count == nil || *p.Count < 1 || *p.Count > min(maxInstalments, a.owed) {
		return fault.BadInput("invalidPlan", "Give the instalments, or their count (1 to %d) and firstOn, the ISO date of the first one", maxInstalments)
	}
	n := *p.Count
	for i := range n {
		part := a.owed / n
		if i < a.owed%n {
			part++
		}
		amount, err := amountIn(part, a.currency.Code())
		if err != nil {
			return err
		}
		p.Instalment = append(p.Instalment, Instalment{Due: first.AddMonths(int(i)).String(), Amount: amount})
	}
	return nil
}

// patchPlan lets a person cancel a plan: dunning goes on.
func patchPlan(tx *store.Tx, old, p *PaymentPlan) error {
	if err := cancels(old.State, p.State); err != nil {
		return err
	}
	if err := Plans.Save(tx, old, p); err != nil || old.State == p.State {
		return err
	}
	return cancelled(tx, p.ID)
}

func patchPromise(tx *store.Tx, old, p *PromiseToPay) error {
	if err := cancels(old.State, p.State); err != nil {
		return err
	}
	if err := Promises.Save(tx, old, p); err != nil || old.State == p.State {
		return err
	}
	return cancelled(tx, p.ID)
}

func cancels(from, to string) error {
	if from != to && to != ArrangementCancelled {
		return fault.BadInput("invalidState", "An arrangement is kept or broken by what is paid; a person can only have it %s", ArrangementCancelled)
	}
	return nil
}

func cancelled(tx *store.Tx, id string) error {
	tx.QueueOne("UPDATE receivable_arrangement SET state = 'cancelled', ended_at = $3 WHERE tenant = $1 AND id = $2 AND state = 'active'", id, store.Micros(tx.Now()))
	return nil
}

// postPromise takes a promise about what is overdue.
func postPromise(tx *store.Tx, p *PromiseToPay) error {
	b, err := accountOf(tx, p.Account)
	if err != nil {
		return err
	}
	by, err := civil.ParseDate(p.By)
	if now := today(tx); err != nil || by.Before(now) || by.After(now.AddDays(longestPromise)) {
		return fault.BadInput("invalidPromise", "by is the ISO date until which the customer pays: today, or at most %d days ahead", longestPromise)
	}
	overdue, err := overdueOf(tx, b.ID, today(tx))
	if err != nil {
		return err
	}
	if len(overdue.all) == 0 {
		return fault.BadInput("notOverdue", "Nothing is overdue on the account %q", b.ID)
	}
	if err := mayPromise(tx, b.ID); err != nil {
		return err
	}
	a := &arrangement{sort: promiseSort, account: b.ID, currency: overdue.all[0].Amount.Currency}
	for _, c := range overdue.all {
		whole, err := lockClaim(tx, c.ID) // a part of it may be disputed
		if err != nil {
			return err
		}
		a.owed += whole.Open
	}
	amount := overdue.all.sum()
	if p.Amount != nil {
		if amount, err = minorOf("amount", p.Amount, b); err != nil {
			return err
		}
	} else if p.Amount, err = amountIn(amount.Minor, amount.Currency.Code()); err != nil {
		return err
	}
	if amount.Sign() <= 0 || amount.Minor > a.owed {
		return fault.BadInput("invalidPromise", "What is promised is more than nothing and not more than is overdue, %s", overdue.all.sum())
	}
	a.lines = []instalment{{by, amount.Minor}}
	p.State, p.TakenBy = ArrangementActive, tx.Actor()
	if err := Promises.Create(tx, p); err != nil {
		return err
	}
	a.id = p.ID
	return a.begin(tx, overdue.all)
}

// mayPromise refuses another promise of who broke several lately.
func mayPromise(tx *store.Tx, account string) error {
	var broken int64
	err := tx.Row("SELECT count(*) FROM receivable_arrangement WHERE tenant = $1 AND account = $2 AND sort = 'promise' AND state = 'broken' AND at > $3",
		account, store.Micros(tx.Now().Add(-365*24*time.Hour))).Scan(&broken)
	if err == nil && broken >= maxBroken {
		err = fault.Clash("promisesBroken", "On the account %q %d promises were broken within a year; agree on a payment plan", account, broken)
	}
	return err
}

package billing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/ledger"
	"tandem/bss/subscription"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// States of a deposit, and why one is given back.
const (
	DepositRequested = "requested" // stands on a bill, or will on the next one
	DepositHeld      = "held"      // its bill is paid
	DepositReleased  = "released"  // given back by the next bill

	ForGoodMonths = "goodMonths"
	ForEnd        = "end"
	ForDebt       = "debt"
	ForRequest    = "request"
	ForCredit     = "credit" // its bill was credited
)

// Accounts of the books that lines of bills are booked on instead of revenue. No operator's
// account begins so.
const (
	depositAccount  = "@" + ledger.Deposits
	interestAccount = "@" + ledger.Interest
)

// DepositTerms make a one-time price a security that is given back. It is part of the terms
// of the price:
//
//	"deposit": {"goodMonths": 12, "interestPercent": 1.5}
type DepositTerms struct {
	GoodMonths      int64          `json:"goodMonths,omitzero"`      // it is given back after so many months without a bill paid late; none: at the end
	InterestPercent jsontext.Value `json:"interestPercent,omitzero"` // a year, from the day on which it was paid; none: no interest
}

func (t *DepositTerms) check(p *catalog.ProductOfferingPrice) error {
	if t == nil {
		return nil
	}
	percent, ok := exactPercent(t.InterestPercent)
	switch {
	case p != nil && (p.Sort() != catalog.OneTime || p.Price == nil || p.Price.Sign() <= 0):
		return badTerms("deposit is for a price that is charged once, with an amount")
	case t.GoodMonths < 0 || t.GoodMonths > maxTerm:
		return badTerms("deposit.goodMonths is from 1 to %d, not %d", maxTerm, t.GoodMonths)
	case len(t.InterestPercent) > 0 && (!ok || percent.Num < 0 || percent.Num > 100*percent.Den):
		return badTerms("deposit.interestPercent is from 0 to 100, not %.40s", t.InterestPercent)
	}
	return nil
}

// Deposit is a security that a customer gives: a liability, not revenue, and no supply that is
// taxed. It is asked for by a price of an offering, or by hand.
type Deposit struct {
	tmf.Entity
	BillingAccount  *tmf.Ref       `json:"billingAccount,omitzero" tmf:"required"`
	Product         *tmf.Ref       `json:"product,omitzero"` // it was sold with, or is for; none: for what begins on the account after it
	Amount          *tmf.Money     `json:"amount,omitzero" tmf:"required"`
	Reason          string         `json:"reason,omitzero"`
	GoodMonths      int64          `json:"goodMonths,omitzero"`
	InterestPercent jsontext.Value `json:"interestPercent,omitzero"`
	State           string         `json:"state,omitzero" tmf:"enum=requested|held|released"`
	RequestedDate   time.Time      `json:"requestedDate,omitzero"`
	HeldSince       time.Time      `json:"heldSince,omitzero"` // when its bill was paid
	ReleasedDate    time.Time      `json:"releasedDate,omitzero"`
	ReleaseReason   string         `json:"releaseReason,omitzero" tmf:"enum=goodMonths|end|debt|request|credit"`
	Interest        *tmf.Money     `json:"interest,omitzero"`
	BillableItem    *tmf.Ref       `json:"billableItem,omitzero"` // that charges it
}

// Deposits are the tenant's.
var Deposits = tmf.Kind[Deposit, *Deposit]{
	API: &ItemAPI, Name: "deposit", Table: "billing_deposit", Verbs: tmf.Post | tmf.Patch, Index: []string{"billingAccount.id", "state"}, StateAttr: "state",
	Moves:  tmf.Moves{"": {DepositRequested}, DepositRequested: {DepositHeld, DepositReleased}, DepositHeld: {DepositReleased}, DepositReleased: {}},
	Frozen: []string{"billingAccount", "product", "amount", "goodMonths", "interestPercent", "requestedDate", "heldSince", "releasedDate", "interest", "billableItem"},
}

func init() {
	Deposits.OnPost, Deposits.OnPatch = postDeposit, patchDeposit
	for language, texts := range map[string]map[string]string{
		"en": {"deposit": "Security deposit", "deposit.back": "Security deposit given back", "deposit.interest": "Interest on your security deposit, %s %% a year from %s to %s"},
		"de": {"deposit": "Sicherheitsleistung", "deposit.back": "Erstattung der Sicherheitsleistung", "deposit.interest": "Zinsen auf Ihre Sicherheitsleistung, %s %% im Jahr vom %s bis %s"},
	} {
		for key, text := range texts {
			words[language][key] = text
		}
	}
}

// bookedOn is the account of the books that a line with this code is booked on.
func bookedOn(code string) string {
	if own, ok := strings.CutPrefix(code, "@"); ok {
		return own
	}
	return ledger.Of(ledger.Revenue, cmp.Or(code, defaultRevenue))
}

// apart says that what an item charges is no price of a supply: no discount or commitment
// counts it.
func (i *BillableItem) apart() bool {
	return i.Billing != nil && strings.HasPrefix(i.Billing.Revenue, "@")
}

// depositTerms are those of an item that is booked apart.
func depositTerms(account string, d *DepositTerms) *BillingTerms {
	return &BillingTerms{Revenue: account, TaxCategory: TaxExempt, Deposit: d}
}

// soldDeposit notes the deposit that an item charges which was sold with a product.
func soldDeposit(tx *store.Tx, i *BillableItem) error {
	if i.Billing == nil || i.Billing.Deposit == nil {
		return nil
	}
	d := &Deposit{BillingAccount: i.BillingAccount, Product: i.Product, Amount: i.Amount, GoodMonths: i.Billing.Deposit.GoodMonths,
		InterestPercent: i.Billing.Deposit.InterestPercent, BillableItem: itemRef(i.ID)}
	return d.request(tx)
}

func itemRef(id string) *tmf.Ref {
	return &tmf.Ref{ID: id, Href: ItemAPI.Base + "/billableItem/" + id, ReferredType: "BillableItem"}
}

// request keeps a deposit that is asked for.
func (d *Deposit) request(tx *store.Tx) error {
	d.State, d.RequestedDate = DepositRequested, tx.Now()
	if err := Deposits.Create(tx, d); err != nil || d.GoodMonths == 0 {
		return err
	}
	return work.Enqueue(tx, jobDeposit, d.ID, nil, tx.Now().AddDate(0, int(d.GoodMonths), 0))
}

// postDeposit asks for a deposit by hand: it is charged with the next bill of the account, or
// with one that is made on demand, before anything is delivered.
func postDeposit(tx *store.Tx, d *Deposit) error {
	a, err := BillingAccounts.Lock(tx, d.BillingAccount.ID)
	if err != nil {
		return named("billingAccount", err)
	}
	amount, err := d.Amount.Post(money.HalfUp)
	if err != nil {
		return err
	}
	exact, err := amount.Rate()
	switch {
	case a.State == Closed:
		return fault.Clash("accountClosed", "The billing account %q is closed", a.ID)
	case err != nil || exact != *d.Amount || amount.Minor <= 0:
		return fault.BadInput("badAmount", "amount is more than nothing, in whole minor units, not %s", d.Amount)
	case len(d.Reason) > maxReason:
		return fault.BadInput("reasonTooLong", "reason has at most %d characters", maxReason)
	}
	terms := &DepositTerms{GoodMonths: d.GoodMonths, InterestPercent: d.InterestPercent}
	if err := terms.check(nil); err != nil {
		return err
	}
	if a, err = inCurrency(tx, a, d.Amount.Currency.Code()); err != nil {
		return err
	}
	if d.ID == "" {
		d.ID = tmf.NewID()
	}
	if d.Product != nil {
		if _, err := subscription.Get(tx, d.Product.ID); err != nil {
			return named("product", err)
		}
	}
	*d = Deposit{Entity: d.Entity, BillingAccount: accountRef(a.ID), Product: d.Product, Amount: d.Amount, Reason: d.Reason, GoodMonths: d.GoodMonths, InterestPercent: d.InterestPercent,
		BillableItem: itemRef(d.ID + ".deposit")}
	if err := d.request(tx); err != nil {
		return err
	}
	if err := d.charge(tx, ".deposit", "deposit", depositTerms(depositAccount, terms), *d.Amount); err != nil {
		return err
	}
	return access.Audit(tx, "billing.deposit", "deposit:"+d.ID, nil, map[string]string{"billingAccount": a.ID, "amount": d.Amount.String(), "reason": d.Reason})
}

// charge makes an item of the account, in words; one below zero gives something back.
func (d *Deposit) charge(tx *store.Tx, suffix, key string, terms *BillingTerms, amount tmf.Money, args ...any) error {
	a, err := accountingOf(tx, d.BillingAccount.ID)
	if err != nil {
		return err
	}
	x := explainer{lang: cmp.Or(a.account.Language, a.entity.Language)}
	for n, arg := range args {
		if on, ok := arg.(civil.Date); ok {
			args[n] = x.date(on)
		}
	}
	own := &tmf.Ref{ID: d.ID, Href: d.Href, ReferredType: "Deposit"}
	i := &BillableItem{Name: x.say(key, args...), State: ItemEnded, ChargeType: OneTime, Product: own, Price: own, BillingAccount: d.BillingAccount, Amount: &amount,
		ConfirmedBy: d.ID, From: tx.Now(), To: tx.Now(), Billing: terms}
	i.ID = d.ID + suffix
	return Items.Create(tx, i)
}

// patchDeposit gives a deposit back when a person asks for it: for a debt, or by request. Why
// is said with that, and stays.
func patchDeposit(tx *store.Tx, old, d *Deposit) error {
	if d.State == old.State {
		if d.ReleaseReason != old.ReleaseReason || old.State == DepositReleased && d.Reason != old.Reason {
			return fault.Clash("depositReasonStays", "Why a deposit is given back is said when it is, and why it was asked for stays from then on")
		}
		return Deposits.Save(tx, old, d)
	}
	if d.ReleaseReason == ForCredit {
		return fault.BadInput("badReason", "A deposit is released as %s by the credit note of its bill", ForCredit)
	}
	if d.State != DepositReleased || old.State == DepositReleased {
		return fault.Clash("illegalMove", "A deposit that is %s cannot become %q: it is held when its bill is paid, and can be released once", old.State, d.State)
	}
	d.State = old.State
	return d.release(tx, old, cmp.Or(d.ReleaseReason, ForRequest))
}

// release gives a deposit back by the next bill of the account, with its interest. Whatever
// the account owes is set off against it there. What credit notes gave back of it already is
// not given back once more.
func (d *Deposit) release(tx *store.Tx, old *Deposit, why string) error {
	if err := d.notePaid(tx); err != nil {
		return err
	}
	left, err := d.left(tx)
	if err != nil {
		return err
	}
	if left.Sign() > 0 {
		back, err := left.Neg()
		if err != nil {
			return err
		}
		if err := d.charge(tx, ".back", "deposit.back", depositTerms(depositAccount, nil), back); err != nil {
			return err
		}
		if err := d.payInterest(tx, left); err != nil {
			return err
		}
	}
	return d.released(tx, old, why)
}

// released keeps a deposit that is given back.
func (d *Deposit) released(tx *store.Tx, old *Deposit, why string) error {
	d.State, d.ReleasedDate, d.ReleaseReason = DepositReleased, tx.Now(), why
	if err := Deposits.Save(tx, old, d); err != nil {
		return err
	}
	return access.Audit(tx, "billing.depositReleased", "deposit:"+d.ID, map[string]string{"state": old.State}, map[string]string{"state": d.State, "reason": why})
}

// left is what of a deposit no credit note gave back for good. What was credited to be charged
// again is charged again.
func (d *Deposit) left(tx *store.Tx) (tmf.Money, error) {
	var credited int64
	if d.BillableItem != nil {
		if err := tx.Row("SELECT coalesce(CAST(sum(amount) AS BIGINT), 0) FROM billing_credited WHERE tenant = $1 AND item = $2", d.BillableItem.ID).Scan(&credited); err != nil {
			return tmf.Money{}, err
		}
	}
	given, err := money.Amount{Minor: -credited, Currency: d.Amount.Currency}.Rate()
	if err != nil {
		return tmf.Money{}, err
	}
	return d.Amount.Add(given)
}

// creditDeposit hears that a credit note gave back the line of a bill for good. A deposit of
// which nothing is left is released by that; one that was given back is not given back again.
func creditDeposit(tx *store.Tx, number string, l *DocumentLine) error {
	if l.Revenue != depositAccount {
		return nil
	}
	i, err := Items.Get(tx, l.Item)
	if err != nil {
		return err
	}
	all, err := Deposits.Select(tx, tmf.Where{"billingAccount.id": i.BillingAccount.ID}, tmf.Page{})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(d *Deposit) bool { return d.BillableItem != nil && d.BillableItem.ID == l.Item })
	given := fault.Clash("depositReleased", "Line %s of %s is of a deposit that was given back: credit the other lines, or ask for a deposit anew", l.ID, number)
	if at < 0 {
		return given
	}
	old, err := Deposits.Lock(tx, all[at].ID)
	if err != nil {
		return err
	}
	if old.State == DepositReleased {
		return given
	}
	d, err := Deposits.Copy(old)
	if err != nil {
		return err
	}
	left, err := d.left(tx)
	if err != nil || left.Sign() > 0 {
		return err
	}
	return d.released(tx, old, ForCredit)
}

// payInterest gives the interest of an amount since it was paid: by actual days, of years of
// 365 days.
func (d *Deposit) payInterest(tx *store.Tx, of tmf.Money) error {
	percent, ok := exactPercent(d.InterestPercent)
	if !ok || percent.Num == 0 || d.HeldSince.IsZero() {
		return nil
	}
	a, err := accountingOf(tx, d.BillingAccount.ID)
	if err != nil {
		return err
	}
	from, to := civil.DateOf(d.HeldSince, a.zone), civil.DateOf(tx.Now(), a.zone)
	interest, err := of.PostRat(percent.Num*int64(to.Sub(from)), percent.Den*100*365, money.HalfUp)
	if err != nil || interest.Minor <= 0 {
		return err
	}
	given, err := interest.Rate()
	if err != nil {
		return err
	}
	back, err := given.Neg()
	if err != nil {
		return err
	}
	d.Interest = &given
	return d.charge(tx, ".interest", "deposit.interest", depositTerms(interestAccount, nil), back, percentText([2]int64{percent.Num, percent.Den}), from, to)
}

// depositPaid finds when the bill was paid that a deposit stands on: the last one, if it was
// credited to be charged again. One on which nothing is to be paid was paid when it was posted.
const depositPaid = `SELECT coalesce(w.at, p.posted_at) FROM billing_billed b JOIN billing_draft d ON d.tenant = b.tenant AND d.id = b.bill
	JOIN billing_posted p ON p.tenant = b.tenant AND p.bill = b.bill
	LEFT JOIN billing_afterwards w ON w.tenant = b.tenant AND w.bill = b.bill AND w.state = 'settled'
	WHERE b.tenant = $1 AND b.item = $2 AND b.net > 0 AND (w.bill IS NOT NULL OR d.kind <> 'invoice' OR d.gross = 0)
	AND NOT EXISTS (SELECT 1 FROM billing_billed m WHERE m.tenant = b.tenant AND m.item = b.item AND m.idx = b.idx AND m.version > b.version)`

// notePaid finds out whether the bill that has the deposit is paid, and since when: a payment
// that was taken back is none.
func (d *Deposit) notePaid(tx *store.Tx) error {
	if d.BillableItem == nil {
		return nil
	}
	var at int64
	d.HeldSince = time.Time{}
	err := tx.Row(depositPaid, d.BillableItem.ID).Scan(&at)
	if err == store.ErrNotFound {
		return nil
	}
	d.HeldSince = store.Instant(at)
	return err
}

// payerOf is the account that has the bills of an account now: itself, or one that pays for it.
func payerOf(tx *store.Tx, account string) (*Account, error) {
	a, err := BillingAccounts.Get(tx, account)
	for range maxPayers {
		if err != nil || a.payer(tx.Now()) == "" {
			break
		}
		a, err = BillingAccounts.Get(tx, a.payer(tx.Now()))
	}
	return a, err
}

// moneyDays is how long money is under way: what comes so many days after a bill was due was
// not late.
const moneyDays = 5

// dueBills are the bills of an account that were due by a day and are not settled, and those
// that were settled since an instant. One that was credited was settled late by whoever made it.
const dueBills = `SELECT p.due_date, coalesce(w.at, 0) FROM billing_posted p JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill AND d.kind = 'invoice' AND d.gross > 0
	LEFT JOIN billing_afterwards w ON w.tenant = p.tenant AND w.bill = p.bill AND w.state = 'settled'
	WHERE p.tenant = $1 AND d.account = $2 AND p.due_date < $3
	AND (w.bill IS NULL OR w.at >= $4 AND NOT EXISTS (SELECT 1 FROM billing_credit_of c WHERE c.tenant = p.tenant AND c.bill = p.bill))`

// lateSince says whether a bill of the account is overdue now, however long, or was paid late
// since a day.
func lateSince(tx *store.Tx, account string, since, today civil.Date) (late bool, err error) {
	rows, err := tx.Query(dueBills, account, today.AddDays(-moneyDays).String(), store.Micros(since.Start(time.UTC)))
	_, err = store.Collect(rows, err, func(r store.Rows) (bool, error) {
		var due string
		var settled int64
		if err := r.Scan(&due, &settled); err != nil {
			return false, err
		}
		on, err := civil.ParseDate(due)
		late = late || settled == 0 || civil.DateOf(store.Instant(settled), time.UTC).After(on.AddDays(moneyDays))
		return late, err
	})
	return late, err
}

const jobDeposit = "billing.deposit"

// handleDeposits gives deposits back when their good months are over; one whose time has not
// come is looked at again after a month.
func handleDeposits(r *work.Runner, db *store.DB) {
	r.Handle(jobDeposit, work.Options{}, func(ctx context.Context, job *work.Job) error {
		return db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
			again, err := ripen(tx, job.Key)
			if err != nil {
				return err
			}
			if err := job.Finish(tx); err != nil || !again {
				return err
			}
			return work.Enqueue(tx, jobDeposit, job.Key, nil, tx.Now().AddDate(0, 1, 0))
		})
	})
}

// ripen looks at a deposit whose good months may be over.
func ripen(tx *store.Tx, id string) (again bool, err error) {
	old, err := Deposits.Lock(tx, id)
	if err != nil || old.State == DepositReleased {
		return false, err
	}
	d, err := Deposits.Copy(old)
	if err != nil {
		return false, err
	}
	if err := d.notePaid(tx); err != nil {
		return false, err
	}
	if d.HeldSince.IsZero() {
		return true, nil
	}
	today := civil.DateOf(tx.Now(), time.UTC)
	since := today.AddMonths(-int(d.GoodMonths))
	pays, err := payerOf(tx, d.BillingAccount.ID)
	if err != nil {
		return false, err
	}
	late, err := lateSince(tx, pays.ID, since, today)
	if err != nil {
		return false, err
	}
	if !late && !civil.DateOf(d.HeldSince, time.UTC).After(since) {
		return false, d.release(tx, old, ForGoodMonths)
	}
	if d.State == DepositRequested {
		d.State = DepositHeld
	}
	return true, Deposits.Save(tx, old, d)
}

// endDeposits looks at the deposits of all accounts that a product is or was billed on, when it
// ends or goes on elsewhere: those are given back whose time is over.
func endDeposits(tx *store.Tx, product string) error {
	items, err := ItemsOf(tx, product)
	if err != nil {
		return err
	}
	var accounts []string
	for _, i := range items {
		if id := i.BillingAccount.ID; !slices.Contains(accounts, id) {
			accounts = append(accounts, id)
		}
	}
	for _, account := range accounts {
		all, err := Deposits.Select(tx, tmf.Where{"billingAccount.id": account}, tmf.Page{})
		if err != nil {
			return err
		}
		for _, d := range all {
			if d.State == DepositReleased {
				continue
			}
			if err := d.endWith(tx); err != nil {
				return err
			}
		}
	}
	return nil
}

// endWith gives a deposit back when what it is for has ended, and nothing runs on its account
// any more that it could be needed for.
func (d *Deposit) endWith(tx *store.Tx) error {
	over, err := d.over(tx)
	if err != nil || !over {
		return err
	}
	if err := nothingOpen(tx, d.BillingAccount.ID); err != nil {
		if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code == "accountInUse" {
			return nil
		}
		return err
	}
	old, err := Deposits.Lock(tx, d.ID)
	if err != nil || old.State == DepositReleased {
		return err
	}
	if d, err = Deposits.Copy(old); err != nil {
		return err
	}
	return d.release(tx, old, ForEnd)
}

const (
	endedProduct = "SELECT count(*) FROM billing_heard WHERE tenant = $1 AND product = $2 AND what = 'terminated'"
	// begunSince counts the products that began on an account after an instant, and those of
	// them that ended. What deposits charge themselves is none.
	begunSince = `SELECT count(DISTINCT c.product), count(DISTINCT h.product) FROM billing_charge c
		LEFT JOIN billing_heard h ON h.tenant = c.tenant AND h.product = c.product AND h.what = 'terminated'
		WHERE c.tenant = $1 AND c.account = $2 AND c.from_at >= $3
		AND NOT EXISTS (SELECT 1 FROM billing_charge e WHERE e.tenant = c.tenant AND e.product = c.product AND e.from_at < $3)
		AND NOT EXISTS (SELECT 1 FROM billing_deposit x WHERE x.tenant = c.tenant AND x.id = c.product)`
)

// over says that what a deposit is for has ended: its product, or, if it names none, all that
// began on its account after it was asked for.
func (d *Deposit) over(tx *store.Tx) (bool, error) {
	var begun, ended int64
	if d.Product != nil {
		err := tx.Row(endedProduct, d.Product.ID).Scan(&ended)
		return ended > 0, err
	}
	err := tx.Row(begunSince, d.BillingAccount.ID, store.Micros(d.RequestedDate)).Scan(&begun, &ended)
	return begun > 0 && begun == ended, err
}

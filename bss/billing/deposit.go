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
	Product         *tmf.Ref       `json:"product,omitzero"` // it was sold with
	Amount          *tmf.Money     `json:"amount,omitzero" tmf:"required"`
	Reason          string         `json:"reason,omitzero"`
	GoodMonths      int64          `json:"goodMonths,omitzero"`
	InterestPercent jsontext.Value `json:"interestPercent,omitzero"`
	State           string         `json:"state,omitzero" tmf:"enum=requested|held|released"`
	RequestedDate   time.Time      `json:"requestedDate,omitzero"`
	HeldSince       time.Time      `json:"heldSince,omitzero"` // when its bill was paid
	ReleasedDate    time.Time      `json:"releasedDate,omitzero"`
	ReleaseReason   string         `json:"releaseReason,omitzero" tmf:"enum=goodMonths|end|debt|request"`
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
	*d = Deposit{Entity: d.Entity, BillingAccount: accountRef(a.ID), Amount: d.Amount, Reason: d.Reason, GoodMonths: d.GoodMonths, InterestPercent: d.InterestPercent,
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

// patchDeposit gives a deposit back when a person asks for it: for a debt, or by request.
func patchDeposit(tx *store.Tx, old, d *Deposit) error {
	if d.State == old.State {
		return Deposits.Save(tx, old, d)
	}
	if d.State != DepositReleased || old.State == DepositReleased {
		return fault.Clash("illegalMove", "A deposit that is %s cannot become %q: it is held when its bill is paid, and can be released once", old.State, d.State)
	}
	d.State = old.State
	if err := d.release(tx, old, cmp.Or(d.ReleaseReason, ForRequest)); err != nil {
		return err
	}
	return access.Audit(tx, "billing.depositReleased", "deposit:"+d.ID, map[string]string{"state": old.State}, map[string]string{"state": d.State, "reason": d.ReleaseReason})
}

// release gives a deposit back by the next bill of the account, with its interest. Whatever
// the account owes is set off against it there.
func (d *Deposit) release(tx *store.Tx, old *Deposit, why string) error {
	if err := d.notePaid(tx); err != nil {
		return err
	}
	back, err := d.Amount.Neg()
	if err != nil {
		return err
	}
	if err := d.charge(tx, ".back", "deposit.back", depositTerms(depositAccount, nil), back); err != nil {
		return err
	}
	if err := d.payInterest(tx); err != nil {
		return err
	}
	d.State, d.ReleasedDate, d.ReleaseReason = DepositReleased, tx.Now(), why
	return Deposits.Save(tx, old, d)
}

// payInterest gives the interest since it was paid: by actual days, of years of 365 days.
func (d *Deposit) payInterest(tx *store.Tx) error {
	percent, ok := exactPercent(d.InterestPercent)
	if !ok || percent.Num == 0 || d.HeldSince.IsZero() {
		return nil
	}
	a, err := accountingOf(tx, d.BillingAccount.ID)
	if err != nil {
		return err
	}
	from, to := civil.DateOf(d.HeldSince, a.zone), civil.DateOf(tx.Now(), a.zone)
	interest, err := d.Amount.PostRat(percent.Num*int64(to.Sub(from)), percent.Den*100*365, money.HalfUp)
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

const depositPaid = `SELECT w.at FROM billing_billed b JOIN billing_afterwards w ON w.tenant = b.tenant AND w.bill = b.bill AND w.state = 'settled'
	WHERE b.tenant = $1 AND b.item = $2 ORDER BY w.at LIMIT 1`

// notePaid finds out whether the bill that has the deposit is paid, and since when.
func (d *Deposit) notePaid(tx *store.Tx) error {
	if !d.HeldSince.IsZero() || d.BillableItem == nil {
		return nil
	}
	var at int64
	err := tx.Row(depositPaid, d.BillableItem.ID).Scan(&at)
	if err == store.ErrNotFound {
		return nil
	}
	d.HeldSince = store.Instant(at)
	return err
}

// lateSince counts bills of an account that were due since a day and were not paid by then.
const lateSince = `SELECT count(*) FROM billing_posted p JOIN billing_draft d ON d.tenant = p.tenant AND d.id = p.bill AND d.kind = 'invoice'
	LEFT JOIN billing_afterwards w ON w.tenant = p.tenant AND w.bill = p.bill
	WHERE p.tenant = $1 AND d.account = $2 AND p.due_date >= $3 AND p.due_date < $4 AND (w.state IS NULL OR w.state <> 'settled')`

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
	var late int64
	if err := tx.Row(lateSince, d.BillingAccount.ID, since.String(), today.String()).Scan(&late); err != nil {
		return false, err
	}
	if late == 0 && !civil.DateOf(d.HeldSince, time.UTC).After(since) {
		return false, d.release(tx, old, ForGoodMonths)
	}
	if d.State == DepositRequested {
		d.State = DepositHeld
	}
	return true, Deposits.Save(tx, old, d)
}

// endDeposits gives the deposits of accounts back on which nothing runs any more.
func endDeposits(tx *store.Tx, items []*BillableItem) error {
	var accounts []string
	for _, i := range items {
		if id := i.BillingAccount.ID; !slices.Contains(accounts, id) {
			accounts = append(accounts, id)
		}
	}
	for _, account := range accounts {
		held, err := Deposits.Select(tx, tmf.Where{"billingAccount.id": account}, tmf.Page{})
		if err != nil {
			return err
		}
		held = slices.DeleteFunc(held, func(d *Deposit) bool { return d.State == DepositReleased })
		if len(held) == 0 {
			continue
		}
		if err := nothingOpen(tx, account); err != nil {
			if f := (*fault.Error)(nil); errors.As(err, &f) && f.Code == "accountInUse" {
				continue
			}
			return err
		}
		for _, old := range held {
			d, err := Deposits.Copy(old)
			if err == nil {
				err = d.release(tx, old, ForEnd)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

package billing

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Fees for a product that ends before its minimum term.
const (
	FeeRemaining = "remaining" // a share of what would still have been charged
	FeeDeclining = "declining" // an amount that melts evenly over the term
	FeeFixed     = "fixed"     // an amount
)

// MinimumTerm is for how long a product is taken at least, and what it costs to end it
// before. It is part of the terms of a recurring price:
//
//	"minimumTerm": {"months": 24, "fee": "remaining", "percent": 50, "cap": 300}
type MinimumTerm struct {
	Months  int64          `json:"months"`
	Fee     string         `json:"fee,omitzero" tmf:"enum=remaining|declining|fixed"` // none: nothing is charged
	Percent jsontext.Value `json:"percent,omitzero"`                                  // of what remains; none: 100
	Amount  jsontext.Value `json:"amount,omitzero"`                                   // of a declining or fixed fee, in the price's currency
	Cap     jsontext.Value `json:"cap,omitzero"`                                      // the most that is charged
	// WithdrawalDays is how long after its beginning the product can be ended for nothing; none: 14.
	WithdrawalDays *int64 `json:"withdrawalDays,omitzero"`
	TaxCategory    string `json:"taxCategory,omitzero"` // none: that of the price
	Revenue        string `json:"revenue,omitzero"`     // general-ledger account; none: that of the price
}

// maxTerm bounds a minimum term, in months.
const maxTerm = 120

// check refuses a term that means nothing for the price.
func (m *MinimumTerm) check(p *catalog.ProductOfferingPrice) error {
	if m == nil {
		return nil
	}
	unit, _, recurs := p.Period()
	amount, badAmount := amountOf(m.Amount, money.EUR)
	limit, badCap := amountOf(m.Cap, money.EUR)
	percent, ok := exactPercent(m.Percent)
	switch {
	case p.Sort() != catalog.Recurring || p.Price == nil || !recurs || monthsOf(unit, 1) == 0:
		return badTerms("minimumTerm is for a recurring price with an amount a month, quarter or year")
	case m.Months < 1 || m.Months > maxTerm:
		return badTerms("minimumTerm.months is from 1 to %d, not %d", maxTerm, m.Months)
	case !slices.Contains([]string{"", FeeRemaining, FeeDeclining, FeeFixed}, m.Fee):
		return badTerms("minimumTerm.fee is remaining, declining or fixed, not %.40q", m.Fee)
	case len(m.Percent) > 0 && (!ok || percent.Num < 0 || percent.Num > 100*percent.Den || m.Fee != FeeRemaining):
		return badTerms("minimumTerm.percent is the part of what remains, from 0 to 100, not %.40s", m.Percent)
	case badAmount != nil || amount.Sign() < 0 || (len(m.Amount) > 0) != (m.Fee == FeeDeclining || m.Fee == FeeFixed):
		return badTerms("minimumTerm.amount is what a declining or fixed fee is in full, without a sign, not %.40s", m.Amount)
	case badCap != nil || limit.Sign() < 0:
		return badTerms("minimumTerm.cap is an amount without a sign, not %.40s", m.Cap)
	case m.WithdrawalDays != nil && (*m.WithdrawalDays < 0 || *m.WithdrawalDays > 366):
		return badTerms("minimumTerm.withdrawalDays is from 0 to 366, not %d", *m.WithdrawalDays)
	case m.Revenue != "" && !accountCode.MatchString(m.Revenue), len(m.TaxCategory) > 40:
		return badTerms("minimumTerm.revenue is the number of a general-ledger account, taxCategory a word of the tax table")
	}
	return nil
}

// monthsOf are the months of a period; 0: it is one of days.
func monthsOf(unit string, count int64) int64 { return int64(periodSteps[unit].Months) * count }

// withdrawal is how many days the product can be ended for nothing (Article 9 of 2011/83/EU
// has 14).
func (m *MinimumTerm) withdrawal() int {
	if m.WithdrawalDays == nil {
		return 14
	}
	return int(*m.WithdrawalDays)
}

// earlyEnd is an item that ends before its term.
type earlyEnd struct {
	begins, ends, until civil.Date
	left, of            int64 // days of months of 30
}

// early says whether an end on a day is before the term, and by how much.
func (m *MinimumTerm) early(begins, ends civil.Date) (e earlyEnd, is bool) {
	e = earlyEnd{begins: begins, ends: ends, until: begins.AddMonths(int(m.Months))}
	e.left, e.of = civil.Days360(ends, e.until), civil.Days360(begins, e.until)
	return e, e.left > 0 && e.of > 0 && ends.Sub(begins) > m.withdrawal()
}

// fee is what an early end of an item costs, rounded once. Amounts are as the price: with tax
// if it has it.
func (m *MinimumTerm) fee(i *BillableItem, e earlyEnd) (fee money.Amount, err error) {
	c := i.Amount.Currency
	switch m.Fee {
	case FeeRemaining:
		percent, ok := exactPercent(m.Percent)
		if !ok {
			percent.Num, percent.Den = 100, 1
		}
		months, pieces := monthsOf(i.PeriodUnit, i.PeriodCount), max(i.Billing.Quantity, 1)
		part := new(big.Rat).SetFrac(product(e.left, pieces, percent.Num), product(30, months, 100, percent.Den))
		fee, err = i.Amount.PostRat(part.Num().Int64(), part.Denom().Int64(), money.HalfUp)
	case FeeDeclining, FeeFixed:
		full, bad := amountOf(m.Amount, c)
		if bad != nil {
			return fee, bad
		}
		left := e.left
		if m.Fee == FeeFixed {
			left = e.of
		}
		fee, err = full.PostRat(left, e.of, money.HalfUp)
	default:
		fee.Currency = c
	}
	if limit, bad := amountOf(m.Cap, c); bad == nil && len(m.Cap) > 0 && err == nil {
		most, bad := limit.Post(money.HalfUp)
		if bad != nil {
			return fee, bad
		}
		fee.Minor = min(fee.Minor, most.Minor)
	}
	return fee, err
}

func product(all ...int64) *big.Int {
	out := big.NewInt(1)
	for _, n := range all {
		out.Mul(out, big.NewInt(n))
	}
	return out
}

// free are the reasons for which an early end costs nothing; any other, such as a debt that
// was not paid, is the customer's.
var free = []string{subscription.EndedByOperator, subscription.EndedByFault, subscription.EndedByWithdrawal, subscription.EndedByGoodwill, subscription.EndedByDeath}

// endEarly charges what the early end of a product costs, once for each of its prices that
// has a term, before its items end.
func endEarly(tx *store.Tx, f fact.ProductTerminated, items []*BillableItem) error {
	items = slices.DeleteFunc(slices.Clone(items), func(i *BillableItem) bool { return i.Billing == nil || i.Billing.MinimumTerm == nil || i.Amount == nil })
	if len(items) == 0 {
		return nil
	}
	p, err := subscription.Get(tx, f.Product)
	if err != nil || slices.Contains(free, p.TerminationReason) {
		return err
	}
	return chargeEarlyEnds(tx, items, nil, f.Service, f.At)
}

// chargeEarlyEnds makes what it costs that items end before their terms items of its own.
// instead are those that begin in their place: a change to a term that is as long, and that
// costs something to break, breaks none.
func chargeEarlyEnds(tx *store.Tx, items, instead []*BillableItem, service string, at time.Time) error {
	for _, i := range items {
		fee, err := i.earlyEnd(tx, instead, service, at)
		if err != nil {
			return err
		}
		if fee == nil {
			continue
		}
		if err := Items.Create(tx, fee); err != nil {
			return err
		}
	}
	return nil
}

// earlyEnd is a one-time item of what it costs that an item ends, in words; nil: nothing.
func (i *BillableItem) earlyEnd(tx *store.Tx, instead []*BillableItem, service string, at time.Time) (*BillableItem, error) {
	if i.committed() == 0 || i.Amount == nil {
		return nil, nil
	}
	a, err := accountingOf(tx, i.BillingAccount.ID)
	if err != nil {
		return nil, err
	}
	m := i.Billing.MinimumTerm
	e, is := m.early(civil.DateOf(i.termFrom(), a.zone), civil.DateOf(at, a.zone))
	if !is || slices.ContainsFunc(instead, func(n *BillableItem) bool { return n.bindsUntil(e.until, a.zone) }) {
		return nil, nil
	}
	fee, err := m.fee(i, e)
	if err != nil || fee.Minor <= 0 {
		return nil, err
	}
	amount, err := fee.Rate()
	if err != nil {
		return nil, err
	}
	x := *i
	x.Name = e.words(i.Name, m.Months, cmp.Or(a.account.Language, a.entity.Language))
	x.Amount, x.ChargeType, x.State, x.ConfirmedBy = &amount, OneTime, ItemEnded, cmp.Or(service, i.ConfirmedBy)
	x.From, x.To, x.TermFrom, x.Suspension = at, at, time.Time{}, nil
	x.PeriodUnit, x.PeriodCount, x.ServicePeriods, x.Alters = "", 0, nil, nil
	x.Billing = &BillingTerms{TaxIncluded: i.Billing.TaxIncluded, TaxCategory: cmp.Or(m.TaxCategory, i.Billing.TaxCategory), Revenue: cmp.Or(m.Revenue, i.Billing.Revenue)}
	x.Entity.ID, x.Entity.Href = i.ID+feeItem, ""
	return &x, nil
}

// bindsUntil says that the item has a minimum term up to a day or longer, with a fee.
func (i *BillableItem) bindsUntil(day civil.Date, zone *time.Location) bool {
	return i.committed() > 0 && i.Billing.MinimumTerm.Fee != "" && !civil.DateOf(i.termFrom(), zone).AddMonths(int(i.committed())).Before(day)
}

// termFrom is when the minimum term of an item began: what goes on on another account began
// before that.
func (i *BillableItem) termFrom() time.Time {
	if i.TermFrom.IsZero() {
		return i.From
	}
	return i.TermFrom
}

// words are how the bill names the fee.
func (e earlyEnd) words(name string, months int64, language string) string {
	x := explainer{lang: language}
	var left []string
	if n := e.left / 30; n > 0 {
		left = append(left, x.count("termination.month", n))
	}
	if n := e.left % 30; n > 0 {
		left = append(left, x.count("termination.day", n))
	}
	return x.say("termination.fee", name, x.date(e.until.AddDays(-1)), strings.Join(left, say(language, "termination.and")), months)
}

// count is a number of things, one or several.
func (e *explainer) count(key string, n int64) string {
	if n == 1 {
		key += ".one"
	}
	return fmt.Sprintf(say(e.lang, key), n)
}

func init() {
	for language, texts := range map[string]map[string]string{
		"en": {"termination.fee": "%s: early end. The minimum term runs until %s; %s of %d months are left",
			"termination.month": "%d months", "termination.month.one": "%d month", "termination.day": "%d days", "termination.day.one": "%d day", "termination.and": " and "},
		"de": {"termination.fee": "%s: vorzeitiges Ende. Die Mindestlaufzeit dauert bis %s; es verbleiben %s von %d Monaten",
			"termination.month": "%d Monate", "termination.month.one": "%d Monat", "termination.day": "%d Tage", "termination.day.one": "%d Tag", "termination.and": " und "},
	} {
		for key, text := range texts {
			words[language][key] = text
		}
	}
}

package billing

import (
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/billing/compute"
	"tandem/bss/catalog"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Attribute is the extension of a price that says how it is billed, which TMF620 has no
// field for:
//
//	"tandem:billing": {"timing": "arrears", "proration": "30days", "taxIncluded": true, "revenue": "4400"}
//
// A price without it is charged in advance, parts of a period by days, without tax, in
// the periods of the account. What it says is frozen into the item when the product is sold.
const Attribute = "tandem:billing"

func init() { catalog.AskBeforeLaunch(judgePrices) }

// Words of BillingTerms.
const (
	inAdvance = "advance"
	inArrears = "arrears"
	alignOwn  = "own"
)

var (
	timings  = map[string]compute.Timing{"": compute.Advance, inAdvance: compute.Advance, inArrears: compute.Arrears}
	rules    = map[string]compute.Proration{"": compute.ByDays, "days": compute.ByDays, "30days": compute.By30Days, "seconds": compute.BySeconds, "full": compute.InFull, "whole": compute.WholeOnly}
	aligning = []string{"", "account", alignOwn}
)

// BillingTerms are what the Attribute holds.
type BillingTerms struct {
	Timing      string `json:"timing,omitzero" tmf:"enum=advance|arrears"`
	Proration   string `json:"proration,omitzero" tmf:"enum=days|30days|seconds|full|whole"`
	TaxIncluded bool   `json:"taxIncluded,omitzero"` // the price is with tax, and the gross stays exact
	TaxCategory string `json:"taxCategory,omitzero"` // of the tax table; none: what the price's tax says
	Quantity    int64  `json:"quantity,omitzero"`    // pieces; none: 1
	// WhileSuspended is what is charged while the product is suspended: "full", "none", or
	// {"amount": 2.50} for a full period, in the price's currency. None: what
	// chargeWhileSuspended says.
	WhileSuspended jsontext.Value `json:"whileSuspended,omitzero"`
	// Align says whether service periods are those of the account's calendar, or begin on the
	// day of the month on which the item begins ("own").
	Align      string           `json:"align,omitzero" tmf:"enum=account|own"`
	Revenue    string           `json:"revenue,omitzero"` // general-ledger account
	Commitment *CommitmentTerms `json:"commitment,omitzero"`
	Discount   *DiscountTerms   `json:"discount,omitzero"`
	// MinimumTerm is what it costs to end the product early; Obligation makes the price part of
	// a contract whose revenue is recognised as it is rendered.
	MinimumTerm *MinimumTerm     `json:"minimumTerm,omitzero"`
	Obligation  *ObligationTerms `json:"obligation,omitzero"`
	Deposit     *DepositTerms    `json:"deposit,omitzero"` // the price is a security that is given back
}

// CommitmentTerms make a price the least that other charges come to: what is missing is
// charged. It counts the prices that it alters, or all.
type CommitmentTerms struct {
	AllOf     bool `json:"allOf,omitzero"`     // of all products of the account, not only its own
	WithUsage bool `json:"withUsage,omitzero"` // usage counts as well
}

// DiscountTerms say how a price that alters others takes its turn.
type DiscountTerms struct {
	Priority  int64          `json:"priority,omitzero"` // the lowest first
	Cap       jsontext.Value `json:"cap,omitzero"`      // the most it takes off in a period, in the account's currency
	Periods   int64          `json:"periods,omitzero"`  // how many it holds; none: as long as the product
	AllOf     bool           `json:"allOf,omitzero"`
	WithUsage bool           `json:"withUsage,omitzero"`
}

// resting is WhileSuspended written out.
type resting struct {
	Amount jsontext.Value `json:"amount"`
}

func badTerms(format string, args ...any) error {
	return fault.BadInput("invalidBilling", Attribute+": "+format, args...)
}

// billingTerms reads the Attribute of a price, strictly: a word it does not know is refused,
// since a misspelt cap would be no cap. nil: the price has none.
func billingTerms(p *catalog.ProductOfferingPrice) (*BillingTerms, error) {
	t, err := saidTerms(p)
	if err == nil && t != nil && t.Deposit != nil {
		t = depositTerms(depositAccount, t.Deposit)
	}
	return t, err
}

// saidTerms are the terms of a price in its own words.
func saidTerms(p *catalog.ProductOfferingPrice) (*BillingTerms, error) {
	if len(p.Extra) == 0 {
		return nil, nil
	}
	var all map[string]jsontext.Value
	if err := json.Unmarshal(p.Extra, &all); err != nil {
		return nil, err
	}
	for name := range all {
		if strings.HasPrefix(strings.ToLower(name), "tandem:bil") && name != Attribute {
			return nil, fault.BadInput("invalidBilling", "Price %q has an attribute %q; how it is billed stands in %q", p.Name, name, Attribute)
		}
	}
	doc, said := all[Attribute]
	if !said {
		return nil, nil
	}
	t := &BillingTerms{}
	if err := json.Unmarshal(doc, t, json.RejectUnknownMembers(true)); err != nil {
		return nil, fault.At("Price "+p.Name, badTerms("it cannot be read: %v", err))
	}
	if err := t.check(p); err != nil {
		return nil, fault.At("Price "+p.Name, err)
	}
	return t, nil
}

// alone refuses what is said beside a deposit: it is charged once, without tax and on an
// account of its own, so that nothing else has a meaning.
func (t *BillingTerms) alone() error {
	if t == nil || t.Deposit == nil {
		return nil
	}
	rest := *t
	rest.Deposit = nil
	if !reflect.ValueOf(rest).IsZero() {
		return badTerms("a deposit stands alone: it is charged once, not taxed and no revenue, so that no other term holds for it")
	}
	return nil
}

// check refuses what means nothing for the price.
func (t *BillingTerms) check(p *catalog.ProductOfferingPrice) error {
	_, timing := timings[t.Timing]
	_, rule := rules[t.Proration]
	switch {
	case !timing:
		return badTerms("timing is advance or arrears, not %q", t.Timing)
	case !rule:
		return badTerms("proration is days, 30days, seconds, full or whole, not %q", t.Proration)
	case !slices.Contains(aligning, t.Align):
		return badTerms("align is account or own, not %q", t.Align)
	case t.Quantity < 0 || t.Quantity > 1_000_000:
		return badTerms("quantity is from 1 to 1000000, not %d", t.Quantity)
	case len(t.TaxCategory) > 40:
		return badTerms("taxCategory has at most 40 characters")
	case t.Revenue != "" && !accountCode.MatchString(t.Revenue):
		return badTerms("revenue is the number of a general-ledger account: up to 40 letters, digits, dots, hyphens, not %q", t.Revenue)
	case t.Commitment != nil && (p.Sort() != catalog.Recurring || p.Price == nil):
		return badTerms("a commitment is a price of type recurring with an amount: the least that is charged in its period")
	case t.Discount != nil && !p.IsAlteration():
		return badTerms("discount is for a price that alters others, such as one of type discount")
	case t.Commitment != nil && t.Discount != nil:
		return badTerms("a price is a commitment or a discount, not both")
	}
	if _, _, err := t.whileSuspended(money.EUR); err != nil {
		return err
	}
	if err := t.MinimumTerm.check(p); err != nil {
		return err
	}
	if err := t.Obligation.check(p); err != nil {
		return err
	}
	if err := t.Deposit.check(p); err != nil {
		return err
	}
	if d := t.Discount; d != nil {
		if d.Periods < 0 || d.Periods > 1200 {
			return badTerms("discount.periods is from 1 to 1200, not %d", d.Periods)
		}
		if limit, err := amountOf(d.Cap, money.EUR); err != nil || limit.Sign() < 0 {
			return badTerms("discount.cap is an amount without a sign, not %s", d.Cap)
		}
	}
	return nil
}

// whileSuspended is the policy: full, none, or an amount for a full period; said is false
// if nothing is said of it.
func (t *BillingTerms) whileSuspended(c money.Currency) (amount *money.Rate, said bool, err error) {
	switch text := string(t.WhileSuspended); text {
	case "":
		return nil, false, nil
	case `"full"`:
		return nil, true, nil
	case `"none"`:
		return &money.Rate{Currency: c}, true, nil
	}
	var r resting
	if err := json.Unmarshal(t.WhileSuspended, &r, json.RejectUnknownMembers(true)); err != nil || len(r.Amount) == 0 {
		return nil, false, badTerms(`whileSuspended is "full", "none" or {"amount": 2.50}, not %.40s`, t.WhileSuspended)
	}
	a, err := amountOf(r.Amount, c)
	if err != nil || a.Sign() < 0 {
		return nil, false, badTerms("whileSuspended.amount is an amount without a sign, not %.40s", r.Amount)
	}
	return &a, true, nil
}

// amountOf reads a number or text of major units; nothing is the rate without currency.
func amountOf(v jsontext.Value, c money.Currency) (money.Rate, error) {
	if len(v) == 0 {
		return money.Rate{}, nil
	}
	return money.ParseRate(strings.Trim(string(v), `"`), c)
}

// judgePrices refuses to launch prices that could not be billed.
func judgePrices(_ *store.Tx, _ *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) error {
	for _, p := range prices {
		t, err := saidTerms(p)
		if err != nil {
			return err
		}
		if err := t.alone(); err != nil {
			return fault.At("Price "+p.Name, err)
		}
		if _, err := whileSuspended(p); err != nil {
			return err
		}
	}
	return nil
}

// ServicePeriods are those of an item: they are fixed when it begins, so that what was
// billed of a period is found again whatever becomes of the account.
type ServicePeriods struct {
	Origin civil.Date `json:"origin"`
	Step   string     `json:"step"` // ISO 8601: P1M
	Day    int        `json:"day,omitzero"`
}

// cycle is the calendar they mean.
func (s *ServicePeriods) cycle() (civil.Cycle, error) {
	step, err := civil.ParseDuration(s.Step)
	return civil.Cycle{Origin: s.Origin, Step: step, Day: s.Day}, err
}

var periodSteps = map[string]civil.Duration{"day": {Days: 1}, "week": {Days: 7}, "month": {Months: 1}, "quarter": {Months: 3}, "year": {Months: 12}}

// servicePeriods are those of an item that begins on a date. Periods of months follow the
// day on which the account's bills are made, those of days begin with the item.
func servicePeriods(i *BillableItem, begins civil.Date, account civil.Cycle) *ServicePeriods {
	step, ok := periodSteps[i.PeriodUnit]
	if !ok || i.PeriodCount <= 0 {
		return nil
	}
	step.Months *= int(i.PeriodCount)
	step.Days *= int(i.PeriodCount)
	out := &ServicePeriods{Origin: begins, Step: step.String()}
	if step.Months == 0 {
		return out
	}
	out.Day = begins.Day
	if own := i.Billing != nil && i.Billing.Align == alignOwn; !own && account.Step.Months > 0 {
		if out.Day = account.Day; out.Day == 0 {
			out.Day = account.Origin.Day
		}
		c := civil.Cycle{Origin: begins, Step: civil.Duration{Months: 1}, Day: out.Day}
		if p, _, err := c.PeriodOf(begins); err == nil {
			out.Origin = p.From // the first period is the one that holds the day
		}
	}
	return out
}

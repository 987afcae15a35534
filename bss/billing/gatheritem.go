package billing

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

func decodeItem(doc []byte, i *BillableItem) error { return tmf.Decode(doc, i) }

// sortOf is what an item is to the engine.
func sortOf(i *BillableItem) compute.Sort {
	switch {
	case i.Billing != nil && i.Billing.Commitment != nil:
		return compute.Commitment
	case i.ChargeType == Alteration:
		return compute.Discount
	case i.ChargeType == OneTime || i.PeriodUnit == "":
		return compute.OneTime
	}
	return compute.Recurring
}

// countsUsage says that a discount or commitment looks at usage too.
func (i *BillableItem) countsUsage() bool {
	b := i.Billing
	return b != nil && (b.Commitment != nil && b.Commitment.WithUsage || b.Discount != nil && b.Discount.WithUsage)
}

// finish makes the engine's items of what was read, and what is known of the document.
func (g *gatherer) finish() error {
	for i := range g.rows {
		p := &g.rows[i]
		if p.Parked != "" {
			continue
		}
		slices.SortFunc(p.docs, func(a, b *itemRow) int { return cmp.Compare(a.ID, b.ID) })
		for _, it := range p.docs {
			if it.ChargeType == Usage {
				continue // charging rates it
			}
			item, err := p.item(it)
			if f := fault.Of(err); err != nil && f.Kind == fault.Invalid {
				p.park(f.Code, "%s", f.Reason)
				break
			}
			if err != nil {
				return err
			}
			p.Input.Items = append(p.Input.Items, item)
		}
		p.document(g.tx.Tenant())
	}
	return nil
}

// item is a billable item as the engine takes it.
func (p *gathering) item(it *itemRow) (compute.Item, error) {
	t := it.Billing
	if t == nil {
		t = &BillingTerms{}
	}
	out := compute.Item{ID: it.ID, Price: it.Price.ID, Version: it.Price.Version, Name: it.Name, Product: it.Product.ID, Sort: sortOf(it.BillableItem),
		Quantity: t.Quantity, Timing: timings[t.Timing], Proration: rules[t.Proration], Span: it.Span(), Suspended: it.Suspension, Alters: it.Alters,
		TaxIncluded: t.TaxIncluded, Revenue: cmp.Or(t.Revenue, p.entity.Revenue), Revision: it.revision}
	out.Apart = it.apart()
	if it.account != p.Account {
		out.Account = it.account
	}
	var err error
	if out.Amount, out.Percent, err = p.price(it); err != nil {
		return out, err
	}
	if out.Cycle, err = p.service(it); err != nil {
		return out, err
	}
	if out.Resting, err = p.resting(it, t); err != nil {
		return out, err
	}
	if c := t.Commitment; c != nil {
		out.AllOf, out.WithUsage = c.AllOf, c.WithUsage
	}
	if d := t.Discount; d != nil {
		out.AllOf, out.WithUsage, out.Priority, out.Periods = d.AllOf, d.WithUsage, d.Priority, d.Periods
		if out.Cap, err = amountOf(d.Cap, p.Input.Currency); err != nil {
			return out, err
		}
	}
	out.TaxCategory, err = p.category(it, t)
	return out, err
}

// price is the amount or percentage of an item.
func (p *gathering) price(it *itemRow) (amount money.Rate, percent compute.Percent, err error) {
	switch {
	case it.Amount != nil && it.Amount.Currency != p.Input.Currency:
		return amount, percent, fault.BadInput("wrongCurrency", "%q costs %s, the account is billed in %s: bill it on another account", it.Name, it.Amount, p.Input.Currency)
	case it.Amount != nil:
		return *it.Amount, percent, nil
	}
	percent, ok := exactPercent(it.Percentage)
	if !ok {
		return amount, percent, fault.BadInput("noAmount", "%q has neither an amount nor a percentage: give its price one, and bill the product anew", it.Name)
	}
	return money.Rate{Currency: p.Input.Currency}, percent, nil
}

// service is the calendar of an item's service periods. One made before they were frozen
// has those of its account.
func (p *gathering) service(it *itemRow) (civil.Cycle, error) {
	s := it.ServicePeriods
	if s == nil {
		s = servicePeriods(it.BillableItem, civil.DateOf(it.From, p.zone), p.cycle)
	}
	if s == nil { // charged once, or a discount that is as long as a bill
		return civil.Cycle{Origin: civil.DateOf(it.From, p.zone), Step: p.cycle.Step, Day: p.cycle.Day}, nil
	}
	c, err := s.cycle()
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		err = fault.BadInput("badCycle", "The service periods of %q cannot be read: %v", it.Name, err)
	}
	return c, err
}

// resting is what is charged for a full period in which the product is suspended; nil: all.
func (p *gathering) resting(it *itemRow, t *BillingTerms) (*money.Rate, error) {
	amount, said, err := t.whileSuspended(p.Input.Currency)
	if err != nil || said {
		return amount, err
	}
	if it.ChargeWhileSuspended == ChargeFull {
		return nil, nil
	}
	return &money.Rate{Currency: p.Input.Currency}, nil
}

// category is how an item is taxed.
func (p *gathering) category(it *itemRow, t *BillingTerms) (string, error) {
	word, percent := "", ""
	if len(it.Tax) > 0 {
		word, percent = it.Tax[0].TaxCategory, strings.Trim(string(it.Tax[0].TaxRate), `"`)
	}
	category, ok := p.rates.category(t.TaxCategory, word, percent, p.period.To)
	if !ok && p.Input.Override == "" {
		return "", fault.BadInput("noTaxRate", "%q is taxed as %q, of which %s has no rate on %s: add a taxRate", it.Name, category, p.entity.Jurisdiction, p.period.To)
	}
	return category, nil
}

// calendarOf is the zone and the calendar of an account's bills, and in how many days they
// fall due. Bills are monthly from the first, unless the account's cycle specification says
// otherwise: billingPeriod day, week, month, quarter or year, frequency how many of them,
// billingDateShift by how many days they begin later than the first. Calendars of months
// are counted from January 2000, so that nothing that happens to the account moves them.
func calendarOf(tx *store.Tx, a *Account, e *LegalEntity) (zone *time.Location, c civil.Cycle, dueDays int64, err error) {
	if zone, err = civil.LoadZone(cmp.Or(a.TimeZone, e.TimeZone)); err != nil {
		return nil, c, 0, fault.BadInput("unknownTimeZone", "timeZone: %v", err)
	}
	s, err := cycleSpecification(tx, a)
	if err != nil {
		return nil, c, 0, err
	}
	dueDays = paymentDays
	if e.PaymentDays != nil {
		dueDays = *e.PaymentDays
	}
	if s.PaymentDueDateOffset != nil && *s.PaymentDueDateOffset >= 0 {
		dueDays = *s.PaymentDueDateOffset
	}
	c, err = s.calendar()
	return zone, c, dueDays, err
}

// cycleSpecification is when an account's bills are made; the zero one says nothing.
func cycleSpecification(tx *store.Tx, a *Account) (*BillingCycleSpecification, error) {
	none := &BillingCycleSpecification{}
	if a.BillStructure == nil || a.BillStructure.CycleSpecification == nil {
		return none, nil
	}
	r := a.BillStructure.CycleSpecification
	if r.IsRef == nil || *r.IsRef {
		if err := CycleSpecifications.Fetch(tx, []string{r.ID}, false); err != nil {
			return nil, err
		}
		return CycleSpecifications.Get(tx, r.ID)
	}
	if len(r.Extra) > 0 {
		if err := json.Unmarshal(r.Extra, none); err != nil {
			return nil, fault.BadInput("badCycle", "billStructure.cycleSpecification cannot be read: %v", err)
		}
	}
	return none, nil
}

// calendar is the calendar that a specification means.
func (s *BillingCycleSpecification) calendar() (civil.Cycle, error) {
	word := strings.TrimSuffix(strings.ToLower(s.BillingPeriod), "s")
	named := map[string]string{"": "month", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year", "annual": "year"}
	if unit, ok := named[word]; ok {
		word = unit
	}
	step, ok := periodSteps[word]
	if !ok {
		return civil.Cycle{}, fault.BadInput("badCycle", "billingPeriod is day, week, month, quarter or year, not %.40q: correct the billingCycleSpecification", s.BillingPeriod)
	}
	times, shift := 1, 0
	if n, ok := exactPercent([]byte(s.Frequency)); ok && n.Den == 1 && n.Num >= 1 && n.Num <= 120 {
		times = int(n.Num)
	}
	if s.BillingDateShift != nil {
		shift = int(*s.BillingDateShift)
	}
	step.Months, step.Days = step.Months*times, step.Days*times
	if step.Months == 0 {
		monday := civil.Date{Year: 2000, Month: time.January, Day: 3}
		return civil.Cycle{Origin: monday.AddDays(shift), Step: step}, nil
	}
	day := max(1, min(31, 1+shift))
	return civil.Cycle{Origin: civil.Date{Year: 2000, Month: time.January, Day: 1}, Step: step, Day: day}, nil
}

// align fixes the service periods of a new item by the account's calendar.
func align(tx *store.Tx, i *BillableItem, a *Account) error {
	if i.PeriodUnit == "" || i.ServicePeriods != nil {
		return nil
	}
	e, err := EntityOf(tx, a)
	if err != nil {
		return err
	}
	zone, cycle, _, err := calendarOf(tx, a, e)
	if err != nil {
		return err
	}
	i.ServicePeriods = servicePeriods(i, civil.DateOf(i.From, zone), cycle)
	return nil
}

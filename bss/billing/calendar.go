package billing

import (
	"fmt"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

func init() { BillingAccounts.Saved = savedAccount }

// calendar is the row of an account's billing periods. A cycle that is changed holds up to
// its last boundary before the first one of the new cycle; between both lies one short period:
//
//	 1 Oct        1 Nov     10 Nov: from now on the 15th       15 Dec
//	───┼────────────┼────────────┼──15 Nov───────────────────────┼───
//	   │ old cycle  │   short    │          new cycle            │
//
// So no day is billed twice or in no period, and a bill follows the change soon.
type calendar struct{ eras []era }

// era is a time in which a cycle held.
type era struct {
	cycle civil.Cycle
	until civil.Date // of the last one none
}

// before is a row of billing_calendar_was.
type before struct {
	at    int64
	zone  *time.Location
	cycle civil.Cycle
	next  civil.Date
}

// calendarAfter is the calendar of an account that has a cycle now and had others before, in
// order.
func calendarAfter(was []before, now civil.Cycle) (c calendar, err error) {
	for i, w := range was {
		next := now
		if i+1 < len(was) {
			next = was[i+1].cycle
		}
		if next == w.cycle {
			continue
		}
		until, _, err := w.ends(next)
		if err != nil {
			return c, err
		}
		c.eras = append(c.eras, era{w.cycle, until})
	}
	c.eras = append(c.eras, era{cycle: now})
	return c, nil
}

// ends is the date up to which a cycle holds that is changed to another one, and the end of
// the billing period in which it is changed.
func (w *before) ends(next civil.Cycle) (until, period civil.Date, err error) {
	on := civil.DateOf(store.Instant(w.at), w.zone)
	to, _, err := next.PeriodOf(on)
	if err != nil {
		return until, period, err
	}
	last, _, err := w.cycle.PeriodOf(to.To)
	if err != nil {
		return until, period, err
	}
	if until, period = last.From, to.To; until.After(on) {
		was, _, err := w.cycle.PeriodOf(on)
		return until, was.To, err
	}
	return until, period, nil
}

// period is the billing period that holds a day; whole says that it is one of a cycle.
func (c *calendar) period(d civil.Date) (p civil.Period, whole bool, err error) {
	n := 0
	for n < len(c.eras)-1 && !d.Before(c.eras[n].until) {
		n++
	}
	if p, _, err = c.eras[n].cycle.PeriodOf(d); err != nil {
		return p, false, err
	}
	full := p
	if n > 0 && p.From.Before(c.eras[n-1].until) {
		p.From = c.eras[n-1].until
	}
	if until := c.eras[n].until; n < len(c.eras)-1 && until.Before(p.To) {
		p.To = until
	}
	return p, p == full, nil
}

// last is the last billing period that ends on or before a day.
func (c *calendar) last(d civil.Date) (p civil.Period, whole bool, err error) {
	now, _, err := c.period(d)
	if err != nil {
		return p, false, err
	}
	return c.period(now.From.AddDays(-1))
}

// input sets the billing period of a bill. One that is of no cycle is told as one of days.
func (c *calendar) input(in *compute.Input, p civil.Period, whole bool) (err error) {
	if !whole {
		in.Cycle, in.Index = civil.Cycle{Origin: p.From, Step: civil.Duration{Days: p.To.Sub(p.From)}}, 0
		return nil
	}
	for n := range c.eras {
		if in.Cycle = c.eras[n].cycle; n == len(c.eras)-1 || p.From.Before(c.eras[n].until) {
			break
		}
	}
	in.Index, err = in.Cycle.Index(p.From)
	return err
}

// moved are the zones that held before, each up to the end of the billing period in which
// it was changed.
func moved(was []before, now *time.Location) (out []compute.Moved) {
	for i, w := range was {
		next := now
		if i+1 < len(was) {
			next = was[i+1].zone
		}
		if next.String() != w.zone.String() {
			out = append(out, compute.Moved{Zone: w.zone, Until: w.next})
		}
	}
	return out
}

const (
	readBefore = "SELECT account, at, zone, origin, step, day, next_date FROM billing_calendar_was WHERE tenant = $1 AND account IN ("
	dropBefore = "DELETE FROM billing_calendar_was WHERE tenant = $1 AND account = $2"
	addBefore  = "INSERT INTO billing_calendar_was (tenant, account, at, zone, origin, step, day, next_date)"
	// corrects says that a draft is the credit note of a bill: it is of no billing period.
	corrects = "EXISTS (SELECT 1 FROM billing_credit_of c WHERE c.tenant = x.tenant AND c.note = x.id)"
	// dueAnew says that an account is due by a date since its calendar was changed: no bill
	// was made since by what it was changed to.
	dueAnew = `m.next_date <= $%d AND NOT EXISTS (SELECT 1 FROM billing_draft x
		WHERE x.tenant = m.tenant AND x.account = m.account AND x.bill_date >= m.next_date AND NOT ` + corrects + `)`
)

// dueAgain are those of some accounts that are due by a date since their calendar was changed,
// whatever their last bill says of the next one.
func dueAgain(tx *store.Tx, date string, accounts []string) (map[string]bool, error) {
	out := map[string]bool{}
	args := store.Padded(accounts)
	if len(args) == 0 {
		return out, nil
	}
	rows, err := tx.Query("SELECT m.account FROM billing_calendar_was m WHERE m.tenant = $1 AND "+fmt.Sprintf(dueAnew, 2)+" AND m.account IN ("+store.In(3, len(args))+")",
		append([]any{date}, args...)...)
	_, err = store.Collect(rows, err, func(r store.Rows) (a string, err error) {
		err = r.Scan(&a)
		out[a] = true
		return a, err
	})
	return out, err
}

// calendarsBefore reads what was before of accounts; mostly nothing.
func calendarsBefore(tx *store.Tx, accounts []string) (map[string][]before, error) {
	out := map[string][]before{}
	args := store.Padded(accounts)
	if len(args) == 0 {
		return out, nil
	}
	rows, err := tx.Query(readBefore+store.In(2, len(args))+") ORDER BY account, at", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (b before, err error) {
		var account, zone, origin, step, next string
		if err = r.Scan(&account, &b.at, &zone, &origin, &step, &b.cycle.Day, &next); err != nil {
			return b, err
		}
		if b.zone, err = civil.LoadZone(zone); err != nil {
			return b, err
		}
		if b.cycle.Origin, err = civil.ParseDate(origin); err != nil {
			return b, err
		}
		if b.cycle.Step, err = civil.ParseDuration(step); err != nil {
			return b, err
		}
		b.next, err = civil.ParseDate(next)
		out[account] = append(out[account], b)
		return b, err
	})
	return out, err
}

// savedAccount keeps zone and calendar of an account that was billed when they are changed.
func savedAccount(tx *store.Tx, old, a *Account) error {
	if a == nil {
		tx.Queue(dropBefore, old.ID)
		return nil
	}
	if old == nil || old.TimeZone == a.TimeZone && sameJSON(old.BillStructure, a.BillStructure) && sameJSON(old.LegalEntity, a.LegalEntity) {
		return nil
	}
	var bills int64
	err := tx.Row("SELECT count(*) FROM billing_draft x WHERE x.tenant = $1 AND x.account = $2 AND NOT "+corrects, a.ID).Scan(&bills)
	if err != nil || bills == 0 {
		return err
	}
	zone, cycle, err := ownCalendar(tx, old)
	if f := fault.Of(err); err != nil && (f.Kind == fault.Invalid || f.Kind == fault.NotFound) {
		return nil // there was none that a bill could have been made by
	}
	if err != nil {
		return err
	}
	newZone, newCycle, err := ownCalendar(tx, a)
	if err != nil || zone.String() == newZone.String() && cycle == newCycle {
		return err
	}
	if err := freezeServicePeriods(tx, a.ID, zone, cycle); err != nil {
		return err
	}
	return keepBefore(tx, a.ID, before{at: store.Micros(tx.Now()), zone: zone, cycle: cycle}, newCycle)
}

func sameJSON(a, b any) bool {
	x, err := tmf.Encode(a)
	y, err2 := tmf.Encode(b)
	return err == nil && err2 == nil && string(x) == string(y)
}

// ownCalendar is the zone and calendar of an account by itself.
func ownCalendar(tx *store.Tx, a *Account) (*time.Location, civil.Cycle, error) {
	e, err := EntityOf(tx, a)
	if err != nil {
		return nil, civil.Cycle{}, err
	}
	zone, cycle, _, err := calendarOf(tx, a, e)
	return zone, cycle, err
}

// keepBefore writes down what was before. What was changed to in a billing period and is
// changed again in it has never held: the first row of the period stays, and goes over to
// what is said last.
func keepBefore(tx *store.Tx, account string, was before, next civil.Cycle) error {
	known, err := calendarsBefore(tx, []string{account})
	if err != nil {
		return err
	}
	if rows := known[account]; len(rows) > 0 {
		last := &rows[len(rows)-1]
		if civil.DateOf(tx.Now(), last.zone).Before(last.next) {
			if _, last.next, err = last.ends(next); err != nil {
				return err
			}
			tx.QueueOne("UPDATE billing_calendar_was SET next_date = $4 WHERE tenant = $1 AND account = $2 AND at = $3", account, last.at, last.next.String())
			return nil
		}
	}
	if _, was.next, err = was.ends(next); err != nil {
		return err
	}
	tx.Insert(addBefore, account, was.at, was.zone.String(), was.cycle.Origin.String(), was.cycle.Step.String(), int64(was.cycle.Day), was.next.String())
	return nil
}

// freezeServicePeriods gives items that were made before service periods were frozen those
// that they were billed by, on an account and on those that it pays for: a change of the
// account's calendar does not move them.
func freezeServicePeriods(tx *store.Tx, account string, zone *time.Location, cycle civil.Cycle) error {
	accounts, level := []string{account}, []string{account}
	for range maxPayers {
		owners, err := BillingAccounts.Owners(tx, "accountRelationship.account.id", level)
		if err != nil {
			return err
		}
		var next []string
		for _, id := range level {
			for _, child := range owners[id] {
				a, err := BillingAccounts.Get(tx, child)
				if err != nil {
					return err
				}
				if a.payer(tx.Now()) == id {
					next = append(next, child)
				}
			}
		}
		if len(next) == 0 {
			break
		}
		accounts, level = append(accounts, next...), next
	}
	for _, id := range accounts {
		items, err := Items.Select(tx, tmf.Where{"billingAccount.id": id}, tmf.Page{Sort: "id"})
		if err != nil {
			return err
		}
		for _, i := range items {
			s := servicePeriods(i, civil.DateOf(i.From, zone), cycle)
			if i.ServicePeriods != nil || s == nil {
				continue
			}
			if err := edit(tx, i, func(i *BillableItem) { i.ServicePeriods = s }); err != nil {
				return err
			}
		}
	}
	return nil
}

// cycleInUse refuses to change the calendar of a specification that accounts are billed by:
// it would move the bills of all of them, with no word to any.
func cycleInUse(tx *store.Tx, old, c *BillingCycleSpecification) error {
	was, err := old.calendar()
	is, errNow := c.calendar()
	if err != nil || errNow == nil && was == is {
		return nil
	}
	found, err := BillingAccounts.Select(tx, tmf.Where{"billStructure.cycleSpecification.id": c.ID}, tmf.Page{Limit: 1})
	if err == nil && len(found) > 0 {
		err = fault.Clash("cycleInUse", "Account %q is billed by this cycle: make another billingCycleSpecification and let the accounts that change refer to it", found[0].ID)
	}
	return err
}

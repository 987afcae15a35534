package rating

import (
	"cmp"
	"slices"

	"tandem/edge/credit"
	"tandem/kit/civil"
)

// Allowance is units a subscriber gets, with or without paying for them: "20 GB a
// month for data at home". Rating only says what it is; balances are kept by others.
type Allowance struct {
	ID       string         // of the price it comes from
	Name     string         // as the customer reads it
	Unit     credit.Has     // HasTotal, HasSeconds, HasEvents or HasMoney
	Amount   uint64         // units; of money 10^-9 of the major unit
	Renew    civil.Duration // a new one after each such period; zero: given once
	Price    int64          // of each period, 10^-9 of the major unit, taken from the balance when it begins; 0: included
	Grace    civil.Duration // how long a period waits for its price; then the allowance is gone
	Ahead    civil.Duration // how long before its end the customer is told of what is left; zero: not
	Classes  []string       // usage classes it may be used for; none: all of its unit
	Priority int            // a lower one is used first

	Shared    bool           // one for all members of a group
	MemberCap uint64         // what one member may take of it; 0: all
	Validity  civil.Duration // from its start; zero: to the end of its period
	FirstUse  bool           // Validity starts with the first use
	Prorate   bool           // the first period gives a share by days
	Notify    []int          // percentages of use that are told to the customer
	Rollover  *Rollover      // what is left moves on; nil: it expires
	FairUse   *FairUse       // nil: none
	Within    string         // limit of the offering up to which it covers what that counts; none: all
}

// Rollover says how much of an allowance moves into the next period.
type Rollover struct {
	Percent   uint8  `json:"percent,omitzero"`   // of what is left, 1 to 100; none: 100
	MaxUnits  uint64 `json:"maxUnits,omitzero"`  // none: no limit
	MaxCycles uint32 `json:"maxCycles,omitzero"` // periods it lives on; none: 1
	First     bool   `json:"first,omitzero"`     // is used before the period's own
}

// FairUse is the use in a period after which policy control is told a status, for
// example to slow the line down (TS 29.594, TS 29.219).
type FairUse struct {
	Counter string     `json:"counter"`         // name of the policy counter
	Normal  string     `json:"normal,omitzero"` // its status before Units; none: DefaultStatus
	Units   uint64     `json:"units"`           // of use in the period
	Status  string     `json:"status"`          // from Units on, such as "throttled"
	Steps   []FairStep `json:"steps,omitzero"`  // further ones, rising
}

// FairStep is a further status of a policy counter.
type FairStep struct {
	Units  uint64 `json:"units"`
	Status string `json:"status"`
}

// DefaultStatus is that of a policy counter nothing is to be done about.
const DefaultStatus = "normal"

// MaxUnits is the most that one amount of units may be, so that sums of them fit:
// 2 EiB.
const MaxUnits = 1 << 61

// All are the statuses of the counter, rising, from its first one at zero.
func (f *FairUse) All() []FairStep {
	first := f.Normal
	if first == "" {
		first = DefaultStatus
	}
	return append([]FairStep{{0, first}, {f.Units, f.Status}}, f.Steps...)
}

func (f *FairUse) check() error {
	if f.Units == 0 || f.Counter == "" || f.Status == "" {
		return invalid("fairUse needs units, counter and status")
	}
	all := f.All()
	if len(all) > maxStatuses {
		return invalid("fairUse: a policy counter has at most %d statuses", maxStatuses)
	}
	for i, s := range all[1:] {
		switch {
		case s.Status == "":
			return invalid("fairUse: the step from %d units on has no status", s.Units)
		case s.Units <= all[i].Units || s.Units > MaxUnits:
			return invalid("fairUse: steps rise; %d units come after %d", s.Units, all[i].Units)
		case s.Status == all[i].Status:
			return invalid("fairUse: the step from %d units on changes nothing, it is %q before and after", s.Units, s.Status)
		}
	}
	return nil
}

// maxStatuses of one policy counter.
const maxStatuses = 100

// check refuses what no customer could be given.
func (a *Allowance) check() error {
	for _, check := range []func() error{a.checkPeriod, a.checkPrice, a.checkTimes, a.checkShares} {
		if err := check(); err != nil {
			return err
		}
	}
	if r := a.Rollover; r != nil {
		r.Percent, r.MaxCycles = cmp.Or(r.Percent, 100), cmp.Or(r.MaxCycles, 1)
	}
	if a.FairUse != nil {
		return a.FairUse.check()
	}
	return nil
}

func (a *Allowance) once() bool { return a.Renew == civil.Duration{} }

// checkPeriod: an allowance comes again, or lasts for a time, or lasts until it is used.
func (a *Allowance) checkPeriod() error {
	lasts := a.Validity != civil.Duration{}
	switch {
	case a.Amount > MaxUnits:
		return invalid("%d units are more than an account can hold", a.Amount)
	case a.FirstUse && !lasts:
		return invalid("firstUse needs a validity")
	case !a.once() && (lasts || a.FirstUse):
		return invalid("an allowance with a recurringChargePeriodType lasts as long as its period; leave validity and firstUse out")
	case a.FirstUse && a.Validity.Months > 0:
		return invalid("firstUse: give the validity in days or hours, such as P30D; a month has no fixed length")
	case a.Prorate && a.once():
		return invalid("prorate is for an allowance with a recurringChargePeriodType")
	case a.Rollover != nil && a.once():
		return invalid("rollover is for an allowance with a recurringChargePeriodType")
	case a.Rollover != nil && a.Rollover.Percent > 100:
		return invalid("rollover: %d percent is more than all", a.Rollover.Percent)
	case a.Rollover != nil && a.Rollover.MaxUnits > MaxUnits:
		return invalid("rollover: %d units are more than an account can hold", a.Rollover.MaxUnits)
	}
	return nil
}

// checkPrice: what is paid anew each period says how long it waits for the money.
func (a *Allowance) checkPrice() error {
	waits := a.Grace != civil.Duration{}
	switch {
	case a.Price < 0:
		return invalid("an allowance cannot cost less than nothing")
	case a.Price > 0 && a.once():
		return invalid("only an allowance with a recurringChargePeriodType has a price of its own; sell one that is given once by a price of type oneTime")
	case a.Price > 0 && !waits:
		return invalid("an allowance with a price needs grace: how long it waits for money when the balance is short, such as P7D")
	case a.Price == 0 && waits:
		return invalid("grace is for an allowance with a price")
	case a.Grace.Months > 0:
		return invalid("grace: give days or hours, such as P7D; a month has no fixed length")
	}
	return nil
}

// checkTimes: notices come in order, and before the end.
func (a *Allowance) checkTimes() error {
	end := a.Renew
	if a.once() {
		end = a.Validity
	}
	switch {
	case slices.ContainsFunc(a.Notify, func(n int) bool { return n < 1 || n > 100 }):
		return invalid("notify: percentages are from 1 to 100")
	case len(a.Notify) > MaxNotices:
		return invalid("notify: at most %d percentages", MaxNotices)
	case !rising(a.Notify):
		return invalid("notify: percentages rise, such as [50, 80, 100]")
	case a.Ahead == civil.Duration{}:
		return nil
	case end == civil.Duration{}:
		return invalid("ahead is for an allowance that ends: it has neither a recurringChargePeriodType nor a validity")
	case a.Ahead.Months > 0:
		return invalid("ahead: give days or hours, such as P3D; a month has no fixed length")
	case Seconds(a.Ahead) >= Seconds(end):
		return invalid("ahead: the customer would be told of the end before the beginning")
	}
	return nil
}

func (a *Allowance) checkShares() error {
	switch {
	case a.MemberCap != 0 && !a.Shared:
		return invalid("memberCap is for a shared allowance")
	case a.MemberCap > a.Amount:
		return invalid("memberCap: one member cannot take %d of %d units", a.MemberCap, a.Amount)
	case a.MemberCap != 0 && a.Unit == unitMoney:
		return invalid("memberCap is for units; limit the money of each line by limits of the offering")
	case a.FairUse != nil && a.Unit == unitMoney:
		return invalid("fairUse is for units; give statuses of spending by limits of the offering")
	}
	return nil
}

// Seconds is about how long a duration is: a month counts 30 days.
func Seconds(d civil.Duration) int64 {
	return int64(d.Months)*30*86400 + int64(d.Days)*86400 + int64(d.Clock.Seconds())
}

// MaxNotices is how many percentages of one amount can be told of.
const MaxNotices = 7

func rising(list []int) bool {
	for i := 1; i < len(list); i++ {
		if list[i] <= list[i-1] {
			return false
		}
	}
	return true
}

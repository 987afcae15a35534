package receivable

import (
	"slices"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// API is Tandem's own API of what is done about debts.
var API = tmf.API{ID: "RECEIVABLE", Name: "Receivables", Version: "1.0.0", Base: "/tandem-api/receivable/v1"}

// Actions of a dunning level.
const (
	Remind     = "remind"
	Bar        = "bar"        // in the network, until it is paid
	Disconnect = "disconnect" // for good
)

// DunningPolicy is the ladder of a segment of accounts: what is done when, about a debt
// that is not paid.
type DunningPolicy struct {
	tmf.Entity
	Name    string `json:"name,omitzero" tmf:"required"`
	Segment string `json:"segment,omitzero"` // accountType of the accounts; none: all others
	// BarOn are the days of the week on which products are barred: Monday to Thursday if
	// none are named, so that somebody answers the telephone the day after.
	BarOn    []string `json:"barOn,omitzero"`
	Holidays []string `json:"holiday,omitzero"` // ISO dates on which nothing is barred
	Levels   []Level  `json:"level,omitzero" tmf:"required"`
}

// Level is a rung: entered when the oldest debt is so many days overdue, and what is
// overdue is at least the minimum.
type Level struct {
	AfterDays int64      `json:"afterDays"`
	Minimum   *tmf.Money `json:"minimum,omitzero"`
	Action    string     `json:"action,omitzero" tmf:"required,enum=remind|bar|disconnect"`
	Template  string     `json:"template,omitzero"` // of the message; none: the action's own
	Fee       *tmf.Money `json:"fee,omitzero"`      // charged when the level is entered
	tmf.Extension
}

// Policies are the ladders of the tenant.
var Policies = tmf.Kind[DunningPolicy, *DunningPolicy]{API: &API, Name: "dunningPolicy", Table: "receivable_policy",
	Verbs: tmf.All, Index: []string{"segment", "name"}, Still: true}

func init() { Policies.Check = checkPolicy }

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return append([]tmf.Mounted{&Payments, &Refunds, &PaymentMethods, &Policies, &Standings, &Decisions, &Plans, &Promises, &Disputes, &WriteOffs, &Recoveries,
		&AgencyFiles, &AgencyCases, &AgencyRemittances}, bankKinds()...)
}

// usual is the ladder of an operator who has set none: two reminders, then the bar.
var usual = DunningPolicy{Name: "usual", Levels: []Level{
	{AfterDays: 3, Action: Remind}, {AfterDays: 10, Action: Remind, Template: "lastReminder"}, {AfterDays: 17, Action: Bar}}}

const maxLevels = 20

var weekdays = []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

func checkPolicy(tx *store.Tx, _, p *DunningPolicy) error {
	if len(p.Levels) == 0 || len(p.Levels) > maxLevels {
		return fault.BadInput("invalidLadder", "A dunning policy has 1 to %d levels", maxLevels)
	}
	last := int64(0)
	for i, l := range p.Levels {
		switch {
		case l.AfterDays <= last:
			return fault.BadInput("invalidLadder", "level[%d] begins %d days after the due date; it must be later than the one before it", i, l.AfterDays)
		case l.Minimum != nil && l.Minimum.Sign() < 0 || l.Fee != nil && l.Fee.Sign() < 0:
			return fault.BadInput("invalidAmount", "minimum and fee of level[%d] cannot be negative", i)
		}
		last = l.AfterDays
	}
	for _, d := range p.BarOn {
		if !slices.Contains(weekdays, d) {
			return fault.BadInput("invalidDay", "%q of barOn is no day of the week", d)
		}
	}
	for _, h := range p.Holidays {
		if _, err := time.Parse(time.DateOnly, h); err != nil {
			return fault.BadInput("invalidDay", "%q of holiday is no date", h)
		}
	}
	same, err := Policies.Select(tx, tmf.Where{"segment": p.Segment}, tmf.Page{Limit: 2})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(same, func(o *DunningPolicy) bool { return o.ID != p.ID && o.Segment == p.Segment }) {
		return fault.Clash("twoLadders", "The segment %q has a dunning policy already", p.Segment)
	}
	return nil
}

// policyOf is the ladder of a segment.
func policyOf(tx *store.Tx, segment string) (*DunningPolicy, error) {
	all, err := Policies.Select(tx, tmf.Where{}, tmf.Page{Limit: 1000})
	if err != nil {
		return nil, err
	}
	found := &usual
	for _, p := range all {
		if p.Segment == segment {
			return p, nil
		}
		if p.Segment == "" {
			found = p
		}
	}
	return found, nil
}

// barsOn tells whether products may be barred on the day.
func (p *DunningPolicy) barsOn(day time.Weekday, date string) bool {
	if slices.Contains(p.Holidays, date) {
		return false
	}
	if len(p.BarOn) == 0 {
		return day >= time.Monday && day <= time.Thursday
	}
	return slices.Contains(p.BarOn, day.String())
}

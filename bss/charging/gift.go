package charging

import (
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/kit/civil"
	"tandem/kit/store"
)

// gift is what a customer is given when a limit has counted far enough, once in each of
// its periods (P7): {"at": "5", "name": "Free texts", "units": 3, "unit": "events", "classes": ["sms"], "validity": "PT1H"}
type gift struct {
	At       rating.Decimal `json:"at"` // of what the limit counts
	Name     string         `json:"name"`
	Amount   rating.Decimal `json:"amount,omitzero"` // of money
	Units    uint64         `json:"units,omitzero"`
	Unit     string         `json:"unit,omitzero"`     // octets, seconds, events; of Units
	Classes  []string       `json:"classes,omitzero"`  // usage it is for; none: all
	Validity civil.Duration `json:"validity,omitzero"` // none: for ever
}

// giftPriority has gifts used before what was paid for.
const giftPriority = 5

// definition is the gift of a limit as the engine knows it, and the bucket it comes in.
func (l *limit) gift(currency, zone string) (g core.Gift, d core.Definition, err error) {
	x := l.Gift
	if g.At, err = l.value(x.At, currency); err != nil {
		return g, d, err
	}
	d = core.Definition{Name: x.Name, Unit: unitsOfLimit[x.Unit], Classes: x.Classes, Priority: giftPriority, Zone: zone, Notices: []uint8{80, 100}}
	g.Amount, g.Valid = int64(x.Units), rating.Seconds(x.Validity)
	if x.Amount != "" {
		g.Amount, err = nano(string(x.Amount), currency)
	}
	return g, d, err
}

// checkPeriod refuses a period of a limit that means nothing, and a gift of it.
func (l *limit) checkPeriod(tariff *rating.Plan) error {
	cycle := l.Reset == "" || l.Reset == "cycle"
	switch {
	case l.Months < 0 || l.Months > 12 || l.Months > 0 && !cycle:
		return nonsense("months are how many a cycle has, 1 to 12; reset %s has none", l.Reset)
	case l.Window.Months > 0 || l.Window != civil.Duration{} && (l.Reset != "" || l.Months > 0):
		return nonsense("window is a length such as PT10M that begins with what is counted first; it goes with no reset, and with no months")
	case l.TopUps && (len(l.Classes) > 0 || l.Hard || l.Net || l.Per == "line" || l.Unit != "" && l.Unit != "events"):
		return nonsense("topUps counts top-ups of the account, their number (unit events) or their sum; it refuses nothing")
	case l.Gift == nil:
		return nil
	}
	return l.checkGift(tariff)
}

func (l *limit) checkGift(tariff *rating.Plan) error {
	x := l.Gift
	_, counts := unitsOfLimit[x.Unit]
	switch {
	case x.Name == "":
		return nonsense("its gift needs a name: the customer sees it among his balances")
	case (x.Amount != "") == (x.Units > 0) || !counts || (x.Units > 0) == (x.Unit == ""):
		return nonsense("its gift is an amount of money, or units of octets, seconds or events")
	case x.Units > rating.MaxUnits:
		return nonsense("%d units are more than an account can hold", x.Units)
	case x.Validity.Months > 0:
		return nonsense("the validity of its gift is in days or hours, such as P30D; a month has no fixed length")
	}
	for _, class := range x.Classes {
		if !hasClass(tariff, class) {
			return nonsense("its gift is for the class %q, which no usage price has", class)
		}
	}
	g, _, err := l.gift(currencyOf(tariff), tariff.Zone)
	if err == nil && (g.At <= 0 || g.Amount <= 0) {
		err = nonsense("its gift needs at, what must be counted for it, and what it is; both above zero")
	}
	return err
}

// shelveGift puts the gift of a limit on the shelf.
func (l *limit) shelveGift(tx *store.Tx, currency, zone string) (core.Gift, error) {
	if l.Gift == nil {
		return core.Gift{}, nil
	}
	g, d, err := l.gift(currency, zone)
	if err != nil {
		return g, err
	}
	n, err := shelve(tx, "definition", "gift "+d.Name+"#"+digest(d), d)
	g.Def = uint32(n)
	return g, err
}

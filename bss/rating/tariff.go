package rating

import (
	"tandem/edge/credit"
	"tandem/kit/money"
)

// Tariff is a compiled plan. It never changes and may be used by any number of
// goroutines.
type Tariff struct {
	Name     string
	Version  string
	Currency money.Currency
	Counters []Counter // Rate.Counter and Rate.DayCounter are indexes of it

	rates    []Rate
	criteria []criteria // of the rate with the same index
	ranked   []uint32   // rates of all lists, most specific first within a list
	lists    []span     // by service and destination zone
	classes  []string   // 0 is no class
	numbers  trie
	networks networks
	times    schedule
	rounding money.Rounding
	taxNum   int64 // percent as a ratio
	taxDen   int64
	included bool
}

// Rate is a rule of a tariff, ready to price. Its fields are read only.
type Rate struct {
	ID       uint32     // index in the tariff, the same for the same version
	Name     string     // of the rule
	Unit     credit.Has // HasTotal, HasSeconds, HasEvents or HasMoney
	Class    uint16     // of usage, see Tariff.ClassName; 0: none
	Zero     bool       // free, still counted and recorded
	Currency uint16     // ISO 4217 numeric
	Counter  int        // index of Tariff.Counters the units count in; -1: none

	SessionCap int64 // 10^-9 of the major unit; -1: none
	DayCap     int64 // -1: none
	DayCounter int   // index of Tariff.Counters the charges count in; -1: none

	Quota

	blocks  blocks
	ladder  ladder
	counted bool // the ladder is by position in the counter
	connect int64
	minimum int64
	formula *formula
}

// Quota is how units of a rate are granted; 0 leaves the choice to the caller.
type Quota struct {
	Default, Min, Max uint64
	Validity          uint32 // seconds
	Holding           uint32 // seconds without traffic
	Threshold         uint8  // percent of the grant
	Final             credit.FinalUnit
	Pool              uint16 // groups of one number share their grants (RFC 8506 5.1.2); 0: none
}

const (
	unitOctets  = credit.HasTotal
	unitSeconds = credit.HasSeconds
	unitEvents  = credit.HasEvents
	unitMoney   = credit.HasMoney
)

// Rate is the rate with an ID, nil if there is none.
func (t *Tariff) Rate(id uint32) *Rate {
	if uint64(id) >= uint64(len(t.rates)) {
		return nil
	}
	return &t.rates[id]
}

// Rates is how many rates there are; their IDs run from 0.
func (t *Tariff) Rates() int { return len(t.rates) }

// ClassName is the name of a usage class, "" for 0 and unknown ones.
func (t *Tariff) ClassName(class uint16) string {
	if int(class) >= len(t.classes) {
		return ""
	}
	return t.classes[class]
}

// Class finds a usage class by name.
func (t *Tariff) Class(name string) (class uint16, ok bool) {
	for i, n := range t.classes {
		if n == name && i > 0 {
			return uint16(i), true
		}
	}
	return 0, false
}

// Tax splits a charge into what it is without tax and the tax on it, rounded once.
// If prices include tax, net + tax is nano; else net is nano and tax comes on top.
func (t *Tariff) Tax(nano int64) (net, tax int64) {
	whole := 100 * t.taxDen
	if t.included {
		whole += t.taxNum
	}
	tax, err := money.MulDiv(nano, t.taxNum, whole, t.rounding)
	if err != nil {
		return nano, 0 // cannot be: the tax is at most as large as nano
	}
	if t.included {
		return nano - tax, tax
	}
	return nano, tax
}

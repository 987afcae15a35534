package rating

import (
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
	Units   uint64 `json:"units"`   // of use in the period
	Counter string `json:"counter"` // name of the policy counter
	Status  string `json:"status"`  // from Units on, such as "throttled"
}

package rating

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/money"
)

// Plan is a tariff as a product manager publishes it. Compile makes it usable.
type Plan struct {
	Name     string         `json:"name"`
	Version  string         `json:"version,omitzero"`
	Currency string         `json:"currency"`          // ISO 4217, such as "EUR"
	Zone     string         `json:"zone"`              // IANA zone of the bands, such as "Europe/Berlin"
	Rounding money.Rounding `json:"rounding,omitzero"` // of charges at 10^-9; none: half-up
	Tax      Tax            `json:"tax,omitzero"`

	Calendars    []Calendar    `json:"calendars,omitzero"`
	Destinations []Destination `json:"destinations,omitzero"`
	Networks     []Network     `json:"networks,omitzero"`
	// UnknownNetwork is the network zone taken when the visited network is not
	// known, as for a message from the home SMSC. Empty: then no zone holds.
	UnknownNetwork string    `json:"unknownNetwork,omitzero"`
	Bands          []Band    `json:"bands,omitzero"`
	Counters       []Counter `json:"counters,omitzero"`
	Rules          []Rule    `json:"rules"`
}

// Tax is the tax on every charge of the tariff.
type Tax struct {
	Percent  Decimal `json:"percent,omitzero"`  // 0 to 100
	Included bool    `json:"included,omitzero"` // prices hold it already; else it comes on top
}

// Calendar is a list of holidays: "2026-04-03", or "12-25" for every year.
type Calendar struct {
	Name     string   `json:"name"`
	Holidays []string `json:"holidays"`
}

// Destination is a zone of called numbers: a number belongs to the zone with the
// longest prefix of it. Prefixes are digits in international form without +; a
// leading "=" asks for the whole number ("=112"); "*" is every other number.
// A ported number is a long entry in the zone of its new network.
type Destination struct {
	Name     string   `json:"name"`
	Prefixes []string `json:"prefixes"`
}

// Network is a zone of visited networks. A code is a country (MCC, "262"), a
// network (MCC and MNC, "26202", "310410"), or "*" for every other network.
type Network struct {
	Name  string   `json:"name"`
	Codes []string `json:"codes"`
}

// Band is a part of the week on the clocks of the tariff's zone. A day that is a
// holiday is "holiday" and no weekday. A band that runs past midnight belongs to
// the day it begins on. Where clocks go back, a band ends when its end is shown for
// the first time, and does not begin again.
type Band struct {
	Name     string   `json:"name"`
	Days     []string `json:"days"`              // mon tue wed thu fri sat sun holiday
	From     string   `json:"from,omitzero"`     // "08:00"; empty: 00:00
	To       string   `json:"to,omitzero"`       // "18:00"; empty: 24:00; before From: past midnight
	Calendar string   `json:"calendar,omitzero"` // whose holidays; empty: those of all calendars
}

// Counter is a number the caller keeps per subscriber: units (or money) so far in
// its period.
type Counter struct {
	Name  string `json:"name"`
	Reset string `json:"reset"` // day, cycle, session
}

// Periods after which a counter starts again.
const (
	Day     = "day"
	Cycle   = "cycle"
	Session = "session"
)

// Rule says what a kind of usage costs and how it is granted.
type Rule struct {
	Name     string `json:"name"`
	Priority int    `json:"priority,omitzero"` // higher wins before anything else is compared
	Match    Match  `json:"match,omitzero"`
	Class    string `json:"class,omitzero"`   // what allowances are eligible by: "data.home"
	Zero     bool   `json:"zero,omitzero"`    // free, still counted and recorded
	Counter  string `json:"counter,omitzero"` // moved by every unit used; tiers and volume prices read it
	Price    *Price `json:"price,omitzero"`
	Grant    Grant  `json:"grant,omitzero"`
}

// Match is the usage a rule is for. What is left out matches everything.
type Match struct {
	Service     string   `json:"service,omitzero"` // data voice sms mms broadband content
	Groups      []uint32 `json:"groups,omitzero"`  // rating groups
	Services    []uint32 `json:"services,omitzero"`
	Destination string   `json:"destination,omitzero"`
	Network     string   `json:"network,omitzero"`
	Band        string   `json:"band,omitzero"`
	Direction   string   `json:"direction,omitzero"` // out, in, forward
	Access      string   `json:"access,omitzero"`    // APN or DNN
}

// Price is the price of usage in one of the shapes Amount, Steps, Tiers, Volume,
// Percent and Formula.
type Price struct {
	Unit   string  `json:"unit"`            // octets, seconds, events, money
	Amount Decimal `json:"amount,omitzero"` // of the major unit, for Per units
	Per    uint64  `json:"per,omitzero"`    // 1048576 for a price per MiB; none: 1

	// Block is how usage is rounded before it is priced.
	Block Block `json:"block,omitzero"`

	// Connect is charged once, with the first unit. Minimum is the least a session
	// with any use costs. SessionCap is the most it costs.
	Connect    Decimal `json:"connect,omitzero"`
	Minimum    Decimal `json:"minimum,omitzero"`
	SessionCap Decimal `json:"sessionCap,omitzero"`
	// DayCap is the most that all use costs in the period of DayCounter, which the
	// caller keeps in 10^-9 of the major unit; see Rate.Capped.
	DayCap     Decimal `json:"dayCap,omitzero"`
	DayCounter string  `json:"dayCounter,omitzero"`

	// Steps are prices by position within the session. Tiers are prices by
	// position in the rule's counter. Volume prices all units of the counter (of
	// the session, if the rule has none) at the price of the step reached.
	Steps  []Step `json:"steps,omitzero"`
	Tiers  []Step `json:"tiers,omitzero"`
	Volume []Step `json:"volume,omitzero"`

	// Percent is the price as a part of a given sum; unit money only.
	Percent Decimal `json:"percent,omitzero"`
	// Formula is the price of the session's events (units) or of a given sum
	// (money, in 10^-9), as whole 10^-9 of the major unit. See formula.go.
	Formula string `json:"formula,omitzero"`
}

// Block is how units are rounded: the first First units are taken whole, what is
// beyond in increments of Step. 60/1 is {60, 1}; a price per started minute {60, 60}.
type Block struct {
	First    uint64 `json:"first,omitzero"` // none: Step
	Step     uint64 `json:"step,omitzero"`  // none: 1
	Rounding string `json:"rounding,omitzero"`
}

// Step is the price of the units after From up to and with To; To 0 is open.
type Step struct {
	From   uint64  `json:"from,omitzero"`
	To     uint64  `json:"to,omitzero"`
	Amount Decimal `json:"amount"`
	Per    uint64  `json:"per,omitzero"` // none: that of the price
}

// Grant is how quota of a rule is handed out. Units are those of the price.
type Grant struct {
	Default   uint64 `json:"default,omitzero"`
	Min       uint64 `json:"min,omitzero"`
	Max       uint64 `json:"max,omitzero"`
	Validity  uint32 `json:"validity,omitzero"`  // seconds
	Holding   uint32 `json:"holding,omitzero"`   // seconds without traffic
	Threshold uint8  `json:"threshold,omitzero"` // report when less than this percentage is left
	Pool      uint16 `json:"pool,omitzero"`      // groups of one number share what they were granted, where the protocol can (RFC 8506 5.1.2); 0: none
	Final     Final  `json:"final,omitzero"`
}

// Final is what happens to a session whose last units are used.
type Final struct {
	Action  string   `json:"action,omitzero"`  // terminate, redirect, restrict; empty: nothing is said
	Type    string   `json:"type,omitzero"`    // url, ipv4, ipv6, sip; empty: url
	Address string   `json:"address,omitzero"` // with redirect
	Filters []string `json:"filters,omitzero"` // with restrict: what stays reachable
}

// Decimal is an exact number without exponent, "0.05", or a ratio of two, "0.01/3".
// In JSON it is a string or a number, whose digits are kept.
type Decimal string

// MarshalJSON writes a string.
func (d Decimal) MarshalJSON() ([]byte, error) {
	return jsontext.AppendQuote(nil, string(d))
}

// UnmarshalJSON reads a string or a number.
func (d *Decimal) UnmarshalJSON(b []byte) error {
	v := jsontext.Value(strings.TrimSpace(string(b)))
	switch v.Kind() {
	case '0':
		*d = Decimal(v)
		return nil
	case '"':
		text, err := jsontext.AppendUnquote(nil, v)
		*d = Decimal(text)
		return err
	}
	return fault.BadInput("invalidTariff", "An amount is a number such as 0.05, not %.40s", v)
}

// Parse reads a plan from JSON. A member the plan does not know is refused: a
// misspelt cap must not be a missing cap.
func Parse(doc []byte) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(doc, &p, json.RejectUnknownMembers(true)); err != nil {
		return Plan{}, fault.BadInput("invalidTariff", "The tariff cannot be read: %v", err)
	}
	return p, nil
}

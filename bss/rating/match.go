package rating

import (
	"slices"

	"tandem/edge/credit"
)

// Directions of a Context (P13).
const (
	AnyDirection uint8 = iota // unknown
	Outgoing                  // the subscriber calls or sends (MO)
	Incoming                  // the subscriber is called or receives (MT)
	Forwarded                 // the forwarded leg
)

var directions = map[string]uint8{"": AnyDirection, "out": Outgoing, "in": Incoming, "forward": Forwarded}

var services = map[string]credit.Service{
	"": credit.UnknownService, "data": credit.Data, "voice": credit.Voice, "sms": credit.SMS, "mms": credit.MMS,
	"broadband": credit.Broadband, "content": credit.Content,
}

const serviceCount = int(credit.Content) + 1

// Context is the usage a price is looked for.
type Context struct {
	Service   credit.Service
	Group     uint32
	HasGroup  bool
	ServiceID uint32 // 0: none
	Called    []byte // digits with or without +, or a tel or sip URI
	PLMN      uint32 // visited: MCC * 1000 + MNC; 0: unknown
	Access    []byte // APN or DNN
	Direction uint8
	At        int64 // Unix seconds
}

// criteria is a Match with names resolved; zero values match everything.
type criteria struct {
	service     credit.Service
	direction   uint8
	destination uint16
	network     uint16
	band        int8 // -1: any time
	groups      []uint32
	services    []uint32
	access      string // lower case
	priority    int
}

// span is a part of Tariff.ranked.
type span struct{ from, to uint32 }

// rank orders rules: of two that match, the one with the higher priority wins; if
// equal, the one whose most telling criterion the other lacks, in the order service
// id, rating group, access, destination, network, direction, service, band.
func (c *criteria) rank() uint8 {
	var rank uint8
	for _, named := range []bool{len(c.services) > 0, len(c.groups) > 0, c.access != "", c.destination != 0,
		c.network != 0, c.direction != 0, c.service != 0, c.band >= 0} {
		rank <<= 1
		if named {
			rank |= 1
		}
	}
	return rank
}

// holds says whether usage in the given network zone matches, time and destination
// aside.
func (c *criteria) holds(of *Context, network uint16) bool {
	switch {
	case c.network != 0 && c.network != network,
		c.direction != 0 && c.direction != of.Direction,
		len(c.groups) > 0 && (!of.HasGroup || !slices.Contains(c.groups, of.Group)),
		len(c.services) > 0 && !slices.Contains(c.services, of.ServiceID),
		c.access != "" && !sameAccess(c.access, of.Access):
		return false
	}
	return true
}

// sameAccess compares an access point name without case; the operator identifier a
// network may add (".mnc001.mcc262.gprs", TS 23.003 9.1) is no part of the name.
func sameAccess(lower string, access []byte) bool {
	if len(access) < len(lower) {
		return false
	}
	for i := range len(lower) {
		b := access[i]
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != lower[i] {
			return false
		}
	}
	rest := access[len(lower):]
	return len(rest) == 0 || len(rest) > 4 && (string(rest[:4]) == ".mnc" || string(rest[:4]) == ".MNC")
}

// horizon is how far Find looks for the next change of the rate.
const horizon = 8 * daySeconds

// maxBands bounds the bands of a plan: they are bits of a word.
const maxBands = 64

// choice is a rate that would hold in its band.
type choice struct {
	band int8
	rate uint32
}

// Find is the rate for usage: of the rules that match, the one that rank puts
// first. until is the Unix second at which another rate (or none) holds for the
// same usage, 0 if that is more than 8 days away. ok is false, and r nil, if no
// rule matches now; until may still say when one will.
func (t *Tariff) Find(c *Context) (r *Rate, until int64, ok bool) {
	var choices [maxBands + 1]choice
	n := t.choose(c, &choices)
	if n == 0 {
		return nil, 0, false
	}
	if choices[0].band < 0 {
		return &t.rates[choices[0].rate], 0, true
	}
	rate, until := t.times.pick(choices[:n], c.At)
	if rate < 0 {
		return nil, until, false
	}
	return &t.rates[rate], until, true
}

// choose collects the rates that could hold at some time, best first: one per band
// at most, and none after the first that holds always.
func (t *Tariff) choose(c *Context, choices *[maxBands + 1]choice) int {
	if int(c.Service) >= serviceCount {
		return 0
	}
	network := t.networks.zone(c.PLMN)
	list := t.lists[int(c.Service)*(t.numbers.zones+1)+int(t.numbers.zone(c.Called))]
	n, seen := 0, uint64(0)
	for _, id := range t.ranked[list.from:list.to] {
		rule := &t.criteria[id]
		if rule.band >= 0 && seen>>uint(rule.band)&1 == 1 || !rule.holds(c, network) {
			continue
		}
		choices[n] = choice{rule.band, id}
		n++
		if rule.band < 0 {
			break
		}
		seen |= 1 << uint(rule.band)
	}
	return n
}

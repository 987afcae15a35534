package rating

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// full is a plan that uses every part of the grammar.
const full = `{
 "name": "Flat M", "version": "3", "currency": "EUR", "zone": "Europe/Berlin", "rounding": "half-even",
 "tax": {"percent": 19, "included": true},
 "calendars": [{"name": "de", "holidays": ["01-01", "2026-04-03"]}],
 "destinations": [{"name": "national", "prefixes": ["49"]}, {"name": "emergency", "prefixes": ["=112"]}, {"name": "rest", "prefixes": ["*"]}],
 "networks": [{"name": "home", "codes": ["26299"]}, {"name": "row", "codes": ["*"]}], "unknownNetwork": "home",
 "bands": [{"name": "night", "days": ["mon", "holiday"], "from": "22:00", "to": "06:00", "calendar": "de"}],
 "counters": [{"name": "data", "reset": "cycle"}, {"name": "spent", "reset": "day"}],
 "rules": [
  {"name": "data home", "match": {"service": "data", "network": "home", "groups": [10, 11]}, "class": "data.home", "counter": "data",
   "price": {"unit": "octets", "per": 1048576, "tiers": [{"to": 1073741824, "amount": "0.02"}, {"from": 1073741824, "amount": 0.01}],
    "block": {"step": 1024}, "dayCap": "2.50", "dayCounter": "spent"},
   "grant": {"default": 10485760, "min": 1048576, "max": 104857600, "validity": 3600, "holding": 600, "threshold": 20,
    "final": {"action": "redirect", "address": "https://top.up"}}},
  {"name": "help", "priority": 5, "match": {"service": "voice", "destination": "emergency"}, "zero": true},
  {"name": "night", "match": {"service": "voice", "band": "night", "direction": "out"}, "price": {"unit": "seconds", "per": 60, "amount": "0.01/3", "connect": 0.05}},
  {"name": "premium", "match": {"service": "content", "services": [7], "access": "IMS"}, "price": {"unit": "money", "percent": 100},
   "grant": {"final": {"action": "restrict", "filters": ["permit out ip from any to 10.0.0.1"]}}}]}`

// TestCompileFull: what a plan says stands in the rates.
func TestCompileFull(t *testing.T) {
	plan, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	tariff := mustCompile(t, plan)
	r := tariff.Rate(0)
	want := Quota{10 << 20, 1 << 20, 100 << 20, 3600, 600, 20, credit.FinalUnit{Action: credit.FinalRedirect, Type: credit.URL, Address: "https://top.up"}, 0}
	if r.ID != 0 || r.Name != "data home" || r.Unit != credit.HasTotal || r.Currency != 978 || !reflect.DeepEqual(r.Quota, want) {
		t.Errorf("%+v", r)
	}
	if tariff.Counters[r.Counter].Name != "data" || tariff.Counters[r.DayCounter].Name != "spent" || r.DayCap != 2_500_000_000 || r.SessionCap != -1 {
		t.Errorf("counters %d, %d, caps %d, %d", r.Counter, r.DayCounter, r.DayCap, r.SessionCap)
	}
	if class, ok := tariff.Class("data.home"); !ok || class != r.Class || tariff.ClassName(r.Class) != "data.home" {
		t.Error("class", r.Class)
	}
	if _, ok := tariff.Class(""); ok || tariff.ClassName(999) != "" || tariff.Rate(1).Class != 0 {
		t.Error("a class without a name")
	}
	if tariff.Rate(4) != nil || tariff.Rate(math.MaxUint32) != nil || tariff.Rates() != 4 || tariff.Rate(3).Final.Action != credit.FinalRestrict {
		t.Error("rates by id")
	}
	if r := tariff.Rate(1); r.Counter != -1 || r.Unit != credit.HasSeconds || !r.Zero {
		t.Errorf("%+v", r)
	}
}

// TestPlanRoundTrip: a plan survives being written and read.
func TestPlanRoundTrip(t *testing.T) {
	plan, err := Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil || !reflect.DeepEqual(plan, again) {
		t.Errorf("%v\n%+v\n%+v", err, plan, again)
	}
}

// TestCompileKeepsNothing: a plan changed after Compile does not change the tariff.
func TestCompileKeepsNothing(t *testing.T) {
	plan, _ := Parse([]byte(full))
	tariff := mustCompile(t, plan)
	plan.Rules[0].Match.Groups[0] = 99
	plan.Rules[3].Grant.Final.Filters[0] = "none"
	plan.Counters[0].Name = "other"
	if r, _, ok := tariff.Find(&Context{Service: credit.Data, Group: 10, HasGroup: true}); !ok || r.ID != 0 {
		t.Error("the rating groups moved")
	}
	if tariff.Counters[0].Name != "data" || tariff.Rate(3).Final.Filters[0] == "none" {
		t.Error("names moved")
	}
}

// TestCompileRefuses: what is wrong is said with its name and the user's words.
func TestCompileRefuses(t *testing.T) {
	voice := func(p Price) func(*Plan) { return func(plan *Plan) { plan.Rules[2].Price = &p } }
	seconds := func(steps ...Step) Price { return Price{Unit: "seconds", Steps: steps} }
	for want, change := range map[string]func(*Plan){
		"needs a name":                               func(p *Plan) { p.Name = "" },
		"unknown currency":                           func(p *Plan) { p.Currency = "EURO" },
		"no minor unit":                              func(p *Plan) { p.Currency = "XAU" },
		"the currency HRK is withdrawn":              func(p *Plan) { p.Currency = "HRK" },
		"unknown rounding mode":                      func(p *Plan) { p.Rounding = 99 },
		"name one such as Europe/Berlin":             func(p *Plan) { p.Zone = "Berlin" },
		`Tax: -1 is negative`:                        func(p *Plan) { p.Tax.Percent = "-1" },
		"must be from 0 to 100":                      func(p *Plan) { p.Tax.Percent = "101" },
		`"x" is not a decimal number`:                func(p *Plan) { p.Tax.Percent = "x" },
		`Two of the destinations are called "a`:      func(p *Plan) { p.Destinations = []Destination{{"a", []string{"1"}}, {"a", []string{"2"}}} },
		`Destination "a" has no prefixes`:            func(p *Plan) { p.Destinations = []Destination{{"a", nil}} },
		`the prefix "+49"`:                           func(p *Plan) { p.Destinations[0].Prefixes = []string{"+49"} },
		`the prefix 49 belongs to "national"`:        func(p *Plan) { p.Destinations[1].Prefixes = []string{"49"} },
		`Network zone "row": "2629" is not an MCC`:   func(p *Plan) { p.Networks[1].Codes = []string{"2629"} },
		`the code 26299 belongs to "home"`:           func(p *Plan) { p.Networks[1].Codes = []string{"26299"} },
		`Network zone "row" has no codes`:            func(p *Plan) { p.Networks[1].Codes = nil },
		`there is no network zone "mars"`:            func(p *Plan) { p.UnknownNetwork = "mars" },
		`Calendar "de": "2026-02-30" is not a day`:   func(p *Plan) { p.Calendars[0].Holidays = []string{"2026-02-30"} },
		`there is no day "monday"`:                   func(p *Plan) { p.Bands[0].Days = []string{"monday"} },
		`Band "night" has no days`:                   func(p *Plan) { p.Bands[0].Days = nil },
		`there is no calendar "fr"`:                  func(p *Plan) { p.Bands[0].Calendar = "fr" },
		"but the tariff has no calendar":             func(p *Plan) { p.Calendars = nil },
		`"22:60"`:                                    func(p *Plan) { p.Bands[0].From = "22:60" },
		"begins and ends at the same time":           func(p *Plan) { p.Bands[0].To = "22:00" },
		`reset is "week"; it must be day, cycle`:     func(p *Plan) { p.Counters[0].Reset = "week" },
		"has no rules":                               func(p *Plan) { p.Rules = nil },
		`Each rule needs a name of at most 200 byt`:  func(p *Plan) { p.Rules[1].Name = "" },
		`Rule "data home": there is no service "tv"`: func(p *Plan) { p.Rules[0].Match.Service = "tv" },
		`there is no direction "up"`:                 func(p *Plan) { p.Rules[0].Match.Direction = "up" },
		`Rule "help": there is no destination "x"`:   func(p *Plan) { p.Rules[1].Match.Destination = "x" },
		`Rule "help": there is no band "x"`:          func(p *Plan) { p.Rules[1].Match.Band = "x" },
		"0 is no service identifier":                 func(p *Plan) { p.Rules[0].Match.Services = []uint32{0} },
		`there is no counter "x"`:                    func(p *Plan) { p.Rules[0].Counter = "x" },
		"say zero if it is free":                     func(p *Plan) { p.Rules[1].Zero = false },
		"are not in order":                           func(p *Plan) { p.Rules[0].Grant.Min = 1 << 40 },
		"a threshold of 100 percent":                 func(p *Plan) { p.Rules[0].Grant.Threshold = 100 },
		`there is no final action "stop"`:            func(p *Plan) { p.Rules[0].Grant.Final.Action = "stop" },
		"redirect needs an address":                  func(p *Plan) { p.Rules[0].Grant.Final.Address = "" },
		"filters go with restrict":                   func(p *Plan) { p.Rules[0].Grant.Final.Filters = []string{"x"} },
		`there is no address type "fax"`:             func(p *Plan) { p.Rules[0].Grant.Final.Type = "fax" },
		`there is no unit "minutes"`:                 voice(Price{Unit: "minutes", Amount: "1"}),
		"the price has no amount":                    voice(Price{Unit: "seconds"}),
		"more than one of amount":                    voice(Price{Unit: "seconds", Amount: "1", Steps: []Step{{Amount: "1"}}}),
		"the unit must be money":                     voice(Price{Unit: "seconds", Percent: "1"}),
		"priced by percent or formula":               voice(Price{Unit: "money", Amount: "1"}),
		"a percentage has no per":                    voice(Price{Unit: "money", Percent: "1", Per: 2}),
		"a formula is for events and money":          voice(Price{Unit: "seconds", Formula: "units"}),
		"a formula has no block":                     voice(Price{Unit: "events", Formula: "units", Block: Block{Step: 2}}),
		"a volume price has no minimum and no cap":   voice(Price{Unit: "seconds", Volume: []Step{{Amount: "1"}}, DayCap: "1", DayCounter: "spent"}),
		`block: there is no rounding "round"`:        voice(Price{Unit: "seconds", Amount: "1", Block: Block{Rounding: "round"}}),
		"amount: -1 is negative":                     voice(Price{Unit: "seconds", Amount: "-1"}),
		"connect: 0.0000000001 has more than nine":   voice(Price{Unit: "seconds", Amount: "1", Connect: "0.0000000001"}),
		"minimum: 99999999999 is too large":          voice(Price{Unit: "seconds", Amount: "1", Minimum: "99999999999"}),
		"amount: \"1/0\" divides by zero":            voice(Price{Unit: "seconds", Amount: "1/0"}),
		`amount: "1e9" is not a decimal number`:      voice(Price{Unit: "seconds", Amount: "1e9"}),
		"is above the session cap":                   voice(Price{Unit: "seconds", Amount: "1", Minimum: "2", SessionCap: "1"}),
		"dayCap and dayCounter go together":          voice(Price{Unit: "seconds", Amount: "1", DayCap: "1"}),
		"cannot count both units and money":          func(p *Plan) { p.Rules[0].Price.DayCounter = "data" },
		"tiers need a counter":                       voice(Price{Unit: "seconds", Tiers: []Step{{Amount: "1"}}}),
		"the first step must begin at 0":             voice(seconds(Step{From: 1, Amount: "1"})),
		"no step has the units from 60 to 61":        voice(seconds(Step{To: 60, Amount: "1"}, Step{From: 61, Amount: "1"})),
		"two steps have the units from 59 to 60":     voice(seconds(Step{To: 60, Amount: "1"}, Step{From: 59, Amount: "1"})),
		"only the last may be open":                  voice(seconds(Step{Amount: "1"}, Step{From: 0, Amount: "1"})),
		"no step has the units beyond 60":            voice(seconds(Step{To: 60, Amount: "1"})),
		"too fine":                                   voice(seconds(Step{To: 9, Amount: "1/999999999989"}, Step{From: 9, Amount: "1/999999999961"})),
		"too large":                                  voice(Price{Unit: "seconds", Amount: "99999999999999"}),
		"the formula gives float64":                  voice(Price{Unit: "events", Formula: "units / 2"}),
		"gives bool":                                 voice(Price{Unit: "events", Formula: "units > 2"}),
		"gives string":                               voice(Price{Unit: "events", Formula: `"1"`}),
		`may not use "len(\"x\")`:                    voice(Price{Unit: "events", Formula: `len("x")`}),
		"unknown name price":                         voice(Price{Unit: "events", Formula: "price * 2"}),
		"the formula cannot be read":                 voice(Price{Unit: "events", Formula: "units *"}),
		"not enough arguments":                       voice(Price{Unit: "events", Formula: "max(units)"}),
	} {
		plan, err := Parse([]byte(full))
		if err != nil {
			t.Fatal(err)
		}
		change(&plan)
		if _, err = Compile(plan); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got: %v", want, err)
		}
	}
}

// orderPlan has two free rules and some bands.
func orderPlan(a, b Match, priority int) Plan {
	plan := Plan{Name: "order", Currency: "EUR", Zone: "Europe/Berlin", Networks: []Network{{"home", []string{"26299"}}},
		Calendars: []Calendar{{"de", []string{"01-01"}}, {"at", []string{"10-26"}}},
		Bands: []Band{
			{Name: "monday night", Days: []string{"mon"}, From: "22:00", To: "06:00"},
			{Name: "tuesday night", Days: []string{"tue"}, From: "22:00", To: "06:00"},
			{Name: "monday evening", Days: []string{"mon"}, From: "18:00", To: "23:00"},
			{Name: "tuesday morning", Days: []string{"tue"}, From: "00:00", To: "05:00"},
			{Name: "monday morning", Days: []string{"mon"}, From: "00:00", To: "05:00"},
			{Name: "tuesday", Days: []string{"tue"}, From: "06:00", To: "22:00"},
			{Name: "holiday", Days: []string{"holiday"}}, {Name: "holiday night", Days: []string{"holiday"}, From: "23:00", To: "01:00"},
			{Name: "german monday", Days: []string{"mon"}, Calendar: "de", To: "12:00"}, {Name: "austrian holiday", Days: []string{"holiday"}, Calendar: "at"},
		}}
	plan.Rules = []Rule{{Name: "a", Match: a, Zero: true, Priority: priority}, {Name: "b", Match: b, Zero: true}}
	return plan
}

// TestCompileConflicts: two rules that can match the same usage with the same rank
// are refused, also if only at the end of a night or on a day that is a holiday in
// one calendar; what never meets, or has a rank, is taken.
func TestCompileConflicts(t *testing.T) {
	band := func(name string) Match { return Match{Band: name} }
	for _, c := range []struct {
		a, b     Match
		priority int
		conflict bool
	}{
		{Match{}, Match{}, 0, true},
		{Match{}, Match{}, 1, false},
		{Match{Groups: []uint32{1, 2}}, Match{Groups: []uint32{2}}, 0, true},
		{Match{Groups: []uint32{1}}, Match{Groups: []uint32{2}}, 0, false},
		{Match{Services: []uint32{1}}, Match{Services: []uint32{2}}, 0, false},
		{Match{Services: []uint32{1}, Groups: []uint32{1}}, Match{Services: []uint32{1}, Groups: []uint32{1}}, 0, true},
		{Match{Groups: []uint32{1}}, Match{Groups: []uint32{1}, Network: "home"}, 0, false},
		{Match{Groups: []uint32{1}}, Match{Services: []uint32{1}}, 0, false},
		{Match{Direction: "in"}, Match{Direction: "out"}, 0, false},
		{Match{Access: "IMS"}, Match{Access: "ims"}, 0, true},
		{band("monday night"), band("monday night"), 0, true},
		{band("monday night"), band("monday evening"), 0, true},
		{band("monday night"), band("tuesday morning"), 0, true},
		{band("tuesday morning"), band("monday night"), 0, true},
		{band("monday night"), band("monday morning"), 0, false},
		{band("monday night"), band("tuesday night"), 0, false},
		{band("monday night"), band("tuesday"), 0, false},
		{band("monday night"), band("holiday"), 0, true},          // a Tuesday that is one
		{band("tuesday morning"), band("holiday night"), 0, true}, // after a Monday that is one
		{band("tuesday"), band("holiday"), 0, false},
		{band("german monday"), band("austrian holiday"), 0, true},
		{band("german monday"), band("monday evening"), 0, false},
	} {
		_, err := Compile(orderPlan(c.a, c.b, c.priority))
		if refused := err != nil; refused != c.conflict {
			t.Errorf("%+v and %+v: %v", c.a, c.b, err)
		}
		if c.conflict && !strings.Contains(fmt.Sprint(err), `Rules "a" and "b" match the same usage`) {
			t.Error(err)
		}
	}
}

// TestParseRefuses: a member that does not exist is not passed over.
func TestParseRefuses(t *testing.T) {
	for _, doc := range []string{``, `[]`, `{"name": "x", "rulez": []}`, `{"rules": [{"price": {"amount": true}}]}`, `{"rounding": "sometimes"}`, `{"name": "a", "name": "b"}`,
		`{"rules": [{"price": {"sessionCaps": 5}}]}`, `{"rules": [{"price": {"per": 1.5}}]}`, `{"rules": [{"price": {"per": -1}}]}`} {
		if _, err := Parse([]byte(doc)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// FuzzCompile: no document makes Parse, Compile, Find, Cost or Units panic, and
// what can be priced is not negative unless by volume.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(full), uint64(100), uint64(5))
	f.Add([]byte(`{"name":"x","currency":"JPY","zone":"UTC","rules":[{"name":"r","price":{"unit":"events","formula":"share(units, 3, 2) % 7"}}]}`), uint64(1), uint64(1<<63))
	f.Add([]byte(`{"name":"x","currency":"KWD","zone":"UTC","counters":[{"name":"c","reset":"day"}],"rules":[{"name":"r","counter":"c","price":{"unit":"octets","volume":[{"to":5,"amount":"1/7"},{"from":5,"amount":0}],"block":{"first":3,"step":2,"rounding":"half-even"}}}]}`), uint64(3), uint64(9))
	f.Fuzz(func(t *testing.T, doc []byte, used, more uint64) {
		plan, err := Parse(doc)
		if err != nil {
			return
		}
		tariff, err := Compile(plan)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		for id := range tariff.Rates() {
			r := tariff.Rate(uint32(id))
			cost, err := r.Cost(used, more, used, 0)
			if err == nil && cost < 0 && len(plan.Rules[id].Price.Volume) == 0 && plan.Rules[id].Price.Formula == "" {
				t.Fatalf("%d after %d cost %d", more, used, cost)
			}
			n, bounded := r.Units(used, used, 0, cost)
			if spent, err := r.Cost(used, n, used, 0); err == nil && bounded && spent > max(0, cost) {
				t.Fatalf("%d units for %d cost %d", n, cost, spent)
			}
			tariff.Tax(cost)
		}
		for service := range credit.Content + 1 {
			tariff.Find(&Context{Service: service, Called: doc[:min(len(doc), 15)], At: int64(used)})
		}
	})
}

// TestRoundingDefault: a plan that names no rounding is half-up.
func TestRoundingDefault(t *testing.T) {
	if tariff := mustCompile(t, planOf(Price{Unit: "events", Amount: "1"}, "", false)); tariff.rounding != money.HalfUp {
		t.Error(tariff.rounding)
	}
}

package rating

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tandem/edge/credit"
	"tandem/kit/civil"
)

// genBand draws a band; holidays only if there is a calendar.
func genBand(t *rapid.T, name string) Band {
	b := Band{Name: name, Calendar: rapid.SampledFrom([]string{"", "public", "bank"}).Draw(t, "calendar")}
	for _, d := range []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday"} {
		if rapid.Bool().Draw(t, d) {
			b.Days = append(b.Days, d)
		}
	}
	if len(b.Days) == 0 {
		b.Days = []string{"sun"}
	}
	times := rapid.SampledFrom([]string{"", "00:30", "01:00", "01:30", "02:00", "02:30", "03:00", "08:00", "18:00", "22:00", "23:59"})
	b.From, b.To = times.Draw(t, "from"), times.Draw(t, "to")
	if b.From == b.To {
		b.From, b.To = "", ""
	}
	return b
}

func genMatch(t *rapid.T) Match {
	one := func(name string, values ...string) string {
		return rapid.SampledFrom(append(values, "", "")).Draw(t, name)
	}
	m := Match{Service: one("service", "voice", "data"), Destination: one("destination", "near", "far", "rest"),
		Network: one("network", "home", "eu", "row"), Band: one("band", "b0", "b1", "b2"), Direction: one("direction", "out", "in"),
		Access: one("access", "Internet", "ims")}
	if rapid.Bool().Draw(t, "has groups") {
		m.Groups = rapid.SliceOfN(rapid.Uint32Range(1, 3), 1, 2).Draw(t, "groups")
	}
	if rapid.Bool().Draw(t, "has services") {
		m.Services = rapid.SliceOfN(rapid.Uint32Range(1, 3), 1, 2).Draw(t, "services")
	}
	return m
}

var zones = []string{"Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "America/Santiago", "UTC"}

// genPlan draws a plan that Compile takes: rules it cannot order are left out.
func genPlan(t *rapid.T) (Plan, *Tariff) {
	p := Plan{Name: "drawn", Currency: "EUR", Zone: rapid.SampledFrom(zones).Draw(t, "zone"), UnknownNetwork: rapid.SampledFrom([]string{"", "home"}).Draw(t, "unknown"),
		Calendars: []Calendar{{"public", []string{"12-25", "2026-03-29", "2026-10-24", "02-29"}}, {"bank", []string{"2026-10-26", "2026-11-01"}}},
		Destinations: []Destination{{"near", []string{"49", "4930123", "=112"}}, {"far", []string{"1", "4930", "4930124"}},
			{"rest", []string{"*", "12"}}},
		Networks: []Network{{"home", []string{"26201", "26202"}}, {"eu", []string{"262", "208", "310410"}}, {"row", []string{"*"}}},
		Bands:    []Band{genBand(t, "b0"), genBand(t, "b1"), genBand(t, "b2")}}
	var tariff *Tariff
	for i := range rapid.IntRange(1, 14).Draw(t, "rules") {
		rule := Rule{Name: fmt.Sprint("rule ", i), Zero: true, Match: genMatch(t), Priority: rapid.IntRange(0, 2).Draw(t, "priority")}
		p.Rules = append(p.Rules, rule)
		compiled, err := Compile(p)
		if err != nil {
			p.Rules = p.Rules[:len(p.Rules)-1]
			continue
		}
		tariff = compiled
	}
	return p, tariff
}

// slowRule says whether a rule matches, and how telling its criteria are, by the
// words of the plan.
func slowRule(r *Rule, p *Plan, c *Context, digits, plmn string, clock *clockOracle) (matches bool, named []bool) {
	m := &r.Match
	kinds := map[string]credit.Service{"voice": credit.Voice, "data": credit.Data}
	ways := map[string]uint8{"out": Outgoing, "in": Incoming}
	matches = (m.Service == "" || kinds[m.Service] == c.Service) &&
		(m.Destination == "" || m.Destination == slowZone(p, digits)) &&
		(m.Network == "" || m.Network == slowNetwork(p, plmn)) &&
		(m.Band == "" || clock.holds(m.Band)) &&
		(m.Direction == "" || ways[m.Direction] == c.Direction) &&
		(m.Access == "" || strings.EqualFold(m.Access, string(c.Access))) &&
		(len(m.Groups) == 0 || c.HasGroup && slices.Contains(m.Groups, c.Group)) &&
		(len(m.Services) == 0 || slices.Contains(m.Services, c.ServiceID))
	return matches, []bool{len(m.Services) > 0, len(m.Groups) > 0, m.Access != "", m.Destination != "", m.Network != "",
		m.Direction != "", m.Service != "", m.Band != ""}
}

// slowWinner is the rule that wins at the instant the clock shows; "" if none
// matches. It fails if two cannot be told apart: Compile should have refused.
func slowWinner(t *rapid.T, p *Plan, c *Context, digits, plmn string, clock *clockOracle) string {
	best, bestNamed := -1, []bool(nil)
	for i := range p.Rules {
		matches, named := slowRule(&p.Rules[i], p, c, digits, plmn, clock)
		if !matches {
			continue
		}
		if best < 0 {
			best, bestNamed = i, named
			continue
		}
		order := p.Rules[i].Priority - p.Rules[best].Priority
		for k := 0; order == 0 && k < len(named); k++ {
			order = int(b2i(named[k]) - b2i(bestNamed[k]))
		}
		if order == 0 {
			t.Fatalf("%q and %q both match", p.Rules[i].Name, p.Rules[best].Name)
		}
		if order > 0 {
			best, bestNamed = i, named
		}
	}
	if best < 0 {
		return ""
	}
	return p.Rules[best].Name
}

// changes are instants near which clocks change or days are holidays in 2026.
var changes = []string{"2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z",
	"2026-04-04T15:00:00Z", "2026-04-23T22:00:00Z", "2026-10-29T21:00:00Z", "2026-12-25T00:00:00Z", "2028-02-29T12:00:00Z", "2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z"}

func genInstant(t *rapid.T) int64 {
	at, err := time.Parse(time.RFC3339, rapid.SampledFrom(changes).Draw(t, "change"))
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix() + rapid.Int64Range(-9*86400, 2*86400).Draw(t, "offset")
}

// TestP16FindAgainstOracle: the rate and the next change are those of a scan,
// minute by minute, over clocks that never run backwards, holidays and changes of
// the clocks in all kinds of zones included.
func TestP16FindAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, tariff := genPlan(t)
		digits := rapid.SampledFrom([]string{"", "4930123", "49301234", "4930124", "49", "4", "112", "1123", "12", "13", "999"}).Draw(t, "digits")
		plmn := rapid.SampledFrom([]string{"", "26201", "26202", "26203", "20801", "310410", "310411", "90132"}).Draw(t, "plmn")
		c := Context{Service: rapid.SampledFrom([]credit.Service{credit.Voice, credit.Data, credit.SMS, 99}).Draw(t, "service"),
			Group: rapid.Uint32Range(0, 3).Draw(t, "group"), HasGroup: rapid.Bool().Draw(t, "has group"), ServiceID: rapid.Uint32Range(0, 3).Draw(t, "service id"),
			Called: []byte(digits), Access: []byte(rapid.SampledFrom([]string{"", "internet", "INTERNET", "ims"}).Draw(t, "access")),
			Direction: rapid.Uint8Range(0, 3).Draw(t, "direction"), At: genInstant(t)}
		if plmn != "" {
			_, _ = fmt.Sscanf(plmn, "%3d", &c.PLMN)
			var mnc uint32
			_, _ = fmt.Sscanf(plmn[3:], "%d", &mnc)
			c.PLMN = c.PLMN*1000 + mnc
		}
		zone, _ := time.LoadLocation(p.Zone)
		clock := &clockOracle{plan: &p, zone: zone}
		clock.start(c.At)
		want, wantUntil := "", int64(0)
		if c.Service != 99 {
			want = slowWinner(t, &p, &c, digits, plmn, clock)
		}
		for at := c.At - c.At%60 + 60; c.Service != 99 && at <= c.At+8*86400; at += 60 {
			clock.show(at)
			if slowWinner(t, &p, &c, digits, plmn, clock) != want {
				wantUntil = at
				break
			}
		}
		r, until, ok := tariff.Find(&c)
		got := ""
		if ok {
			got = r.Name
		}
		if got != want || until != wantUntil {
			t.Fatalf("%q until %d; want %q until %d (from %d)", got, until, want, wantUntil, c.At)
		}
	})
}

// TestScheduleAgainstCivil: the flat tables say what kit/civil does, for the years
// they cover.
func TestScheduleAgainstCivil(t *testing.T) {
	tables := map[string][]shift{}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(append(zones, "Pacific/Apia", "Antarctica/Troll", "America/Havana", "Asia/Tehran", "Europe/Dublin")).Draw(t, "zone")
		zone, _ := civil.LoadZone(name)
		if tables[name] == nil {
			tables[name] = shiftsOf(zone)
		}
		s := schedule{shifts: tables[name]}
		date := civil.Date{Year: 1970, Month: 1, Day: 2}.AddDays(rapid.IntRange(0, 130*365).Draw(t, "day"))
		second := rapid.Int32Range(0, daySeconds).Draw(t, "second")
		i := s.shiftAt(date.Start(zone).Unix() - 3*daySeconds)
		if got, want := s.instant(i, int64(dayNumber(date)), second), date.At(time.Duration(second)*time.Second, zone).Unix(); got != want {
			t.Fatalf("%v + %d s: %d; want %d", date, second, got, want)
		}
		at := date.Start(zone).Unix() + rapid.Int64Range(-7200, 100_000).Draw(t, "after")
		if got, want := s.day(i, at), int64(dayNumber(civil.DateOf(time.Unix(at, 0), zone))); got != want {
			t.Fatalf("the day of %d: %d; want %d", at, got, want)
		}
	})
}

// weekPlan has peak, evening, weekend and holiday prices for voice.
func weekPlan(zone string) Plan {
	work := []string{"mon", "tue", "wed", "thu", "fri"}
	return Plan{Name: "week", Currency: "GBP", Zone: zone,
		Calendars: []Calendar{{"public", []string{"12-25", "2026-04-03"}}},
		Bands: []Band{{Name: "peak", Days: work, From: "08:00", To: "18:00"}, {Name: "night", Days: append(work, "sat", "sun", "holiday"), From: "22:00", To: "06:00"},
			{Name: "repeated", Days: []string{"sun"}, From: "01:00", To: "01:30"}},
		Rules: []Rule{
			{Name: "peak", Match: Match{Service: "voice", Band: "peak"}, Price: &Price{Unit: "seconds", Amount: "0.20", Per: 60}},
			{Name: "night", Match: Match{Service: "voice", Band: "night"}, Price: &Price{Unit: "seconds", Amount: "0.02", Per: 60}},
			{Name: "repeated", Priority: 1, Match: Match{Service: "voice", Band: "repeated"}, Price: &Price{Unit: "seconds", Amount: "0.01", Per: 60}},
			{Name: "other", Match: Match{Service: "voice"}, Price: &Price{Unit: "seconds", Amount: "0.10", Per: 60}},
		}}
}

// TestP16BandsAndSwitches: weekdays, holidays, midnight and both changes of the
// clocks, with the instant of the next switch.
func TestP16BandsAndSwitches(t *testing.T) {
	for _, c := range []struct{ zone, at, rate, until string }{
		{"Europe/London", "2026-06-01T07:00:00Z", "peak", "2026-06-01T17:00:00Z"},     // 08:00 BST
		{"Europe/London", "2026-06-01T06:59:59Z", "other", "2026-06-01T07:00:00Z"},    // a second before
		{"Europe/London", "2026-01-05T08:00:00Z", "peak", "2026-01-05T18:00:00Z"},     // 08:00 GMT
		{"Europe/London", "2026-04-03T11:00:00Z", "other", "2026-04-03T21:00:00Z"},    // Good Friday is no weekday
		{"Europe/London", "2026-06-06T11:00:00Z", "other", "2026-06-06T21:00:00Z"},    // Saturday
		{"Europe/London", "2026-06-01T21:30:00Z", "night", "2026-06-02T05:00:00Z"},    // past midnight
		{"Europe/London", "2026-03-28T23:00:00Z", "night", "2026-03-29T05:00:00Z"},    // an hour is missing: the band 01:00 is empty
		{"Europe/London", "2026-10-24T23:30:00Z", "night", "2026-10-25T00:00:00Z"},    // 00:30 BST
		{"Europe/London", "2026-10-25T00:10:00Z", "repeated", "2026-10-25T00:30:00Z"}, // 01:10 BST
		{"Europe/London", "2026-10-25T00:40:00Z", "night", "2026-10-25T06:00:00Z"},    // 01:40 BST
		{"Europe/London", "2026-10-25T01:10:00Z", "night", "2026-10-25T06:00:00Z"},    // 01:10 GMT: had its time already
		{"America/New_York", "2026-03-08T06:30:00Z", "repeated", ""},                  // 01:30 EST is over, see below
		{"America/New_York", "2026-11-01T05:10:00Z", "repeated", "2026-11-01T05:30:00Z"},
		{"America/New_York", "2026-11-01T06:10:00Z", "night", "2026-11-01T11:00:00Z"}, // 01:10 for the second time
		{"America/New_York", "2026-03-08T07:10:00Z", "night", "2026-03-08T10:00:00Z"}, // 03:10 EDT, ten minutes after 01:59 EST
	} {
		if c.until == "" { // 01:30 EST: the band has just ended
			c.rate, c.until = "night", "2026-03-08T10:00:00Z"
		}
		at, _ := time.Parse(time.RFC3339, c.at)
		r, until, ok := mustCompile(t, weekPlan(c.zone)).Find(&Context{Service: credit.Voice, At: at.Unix()})
		if got := time.Unix(until, 0).UTC().Format(time.RFC3339); !ok || r.Name != c.rate || got != c.until {
			t.Errorf("%s in %s: %s until %s; want %s until %s", c.at, c.zone, r.Name, got, c.rate, c.until)
		}
	}
}

// TestP16EverySecondHasOneRate: on a day of 25 and a day of 23 hours the spans
// between switches are without gap and their lengths are those of the day.
func TestP16EverySecondHasOneRate(t *testing.T) {
	for zone, days := range map[string][]string{"Europe/London": {"2026-10-25", "2026-03-29"}, "America/New_York": {"2026-11-01", "2026-03-08"}} {
		for i, text := range days {
			date, _ := civil.ParseDate(text)
			loc, _ := civil.LoadZone(zone)
			at, end := date.Start(loc).Unix(), date.AddDays(1).Start(loc).Unix()
			if hours := (end - at) / 3600; hours != []int64{25, 23}[i] {
				t.Fatalf("%s has %d hours", text, hours)
			}
			tariff, seconds := mustCompile(t, weekPlan(zone)), map[string]int64{}
			for at < end {
				r, until, _ := tariff.Find(&Context{Service: credit.Voice, At: at})
				if until <= at {
					t.Fatalf("%s: the switch after %d is at %d", text, at, until)
				}
				seconds[r.Name] += min(until, end) - at
				at = until
			}
			want := []map[string]int64{ // New York changes at 02:00, after the band 01:00 to 01:30
				{"repeated": 1800, "night": 8*3600 + 1800, "other": 16 * 3600},
				{"repeated": pick(zone == "Europe/London", 0, 1800), "night": 7*3600 - pick(zone == "Europe/London", 0, 1800), "other": 16 * 3600},
			}[i]
			for name, n := range want {
				if seconds[name] != n {
					t.Errorf("%s in %s: %d s at %q; want %d", text, zone, seconds[name], name, n)
				}
			}
		}
	}
}

// TestP16SwitchInsideSession: a call over the switch costs both rates for their
// parts.
func TestP16SwitchInsideSession(t *testing.T) {
	tariff := mustCompile(t, weekPlan("Europe/London"))
	start := time.Date(2026, 6, 1, 16, 50, 0, 0, time.UTC).Unix()
	c := Context{Service: credit.Voice, At: start}
	var sum int64
	for left := int64(20 * 60); left > 0; {
		r, until, ok := tariff.Find(&c)
		if !ok {
			t.Fatal("no rate")
		}
		part := min(left, until-c.At)
		cost, err := r.Cost(0, uint64(part), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		sum, left, c.At = sum+cost, left-part, c.At+part
	}
	if sum != 3_000_000_000 {
		t.Errorf("ten minutes at 0.20 and ten at 0.10 cost %d", sum)
	}
}

// roamPlan has the zones of P13.
func roamPlan() Plan {
	free := func(name string, m Match) Rule { return Rule{Name: name, Match: m, Zero: true} }
	return Plan{Name: "roam", Currency: "EUR", Zone: "Europe/Berlin", UnknownNetwork: "home",
		Networks: []Network{{"home", []string{"26299"}}, {"eu", []string{"262", "208", "222", "234"}}, {"usa", []string{"310410"}}, {"world", []string{"*"}}},
		Destinations: []Destination{{"national", []string{"49"}}, {"on-net", []string{"4915", "4917612345678"}}, {"premium", []string{"49900"}},
			{"emergency", []string{"=112", "=110"}}, {"abroad", []string{"*"}}},
		Rules: []Rule{
			free("data home", Match{Service: "data", Network: "home"}), free("data eu", Match{Service: "data", Network: "eu"}),
			free("data usa", Match{Service: "data", Network: "usa"}), free("data world", Match{Service: "data", Network: "world"}),
			free("ims", Match{Service: "data", Access: "ims"}),
			free("call", Match{Service: "voice"}), free("received", Match{Service: "voice", Direction: "in"}),
			free("received in the world", Match{Service: "voice", Direction: "in", Network: "world"}),
			free("forwarded", Match{Service: "voice", Direction: "forward"}),
			free("on-net call", Match{Service: "voice", Destination: "on-net", Direction: "out"}),
			free("national call", Match{Service: "voice", Destination: "national", Direction: "out"}),
			free("premium call", Match{Service: "voice", Destination: "premium"}),
			free("emergency call", Match{Service: "voice", Destination: "emergency"}),
			free("call abroad", Match{Service: "voice", Destination: "abroad", Direction: "out"}),
		}}
}

func findName(t *testing.T, tariff *Tariff, c Context) string {
	t.Helper()
	r, _, ok := tariff.Find(&c)
	if !ok {
		return ""
	}
	return r.Name
}

// TestP13VisitedNetworks: home, EU, single networks and the rest of the world.
func TestP13VisitedNetworks(t *testing.T) {
	tariff := mustCompile(t, roamPlan())
	for plmn, want := range map[uint32]string{262099: "data home", 262001: "data eu", 208001: "data eu", 310410: "data usa",
		310411: "data world", 901018: "data world", 0: "data home"} {
		if got := findName(t, tariff, Context{Service: credit.Data, PLMN: plmn}); got != want {
			t.Errorf("%d: %q; want %q", plmn, got, want)
		}
	}
}

// TestP13Destinations: the longest prefix wins, a ported number is one, short
// codes are whole numbers, and URIs are read.
func TestP13Destinations(t *testing.T) {
	tariff := mustCompile(t, roamPlan())
	for called, want := range map[string]string{
		"4930123456": "national call", "4915112345678": "on-net call", "4917612345678": "on-net call", "4917612345679": "national call",
		"49900123": "premium call", "112": "emergency call", "1123": "call abroad", "33123": "call abroad", "": "call",
		"+4930123456": "national call", "tel:+49-30-123456": "national call", "sip:+4915112345678@ims.example.org;user=phone": "on-net call",
		"TEL:+49(900)123;ext=5": "premium call", "sip:alice@example.org": "call", "sips:+33123@x": "call abroad", "urn:service:sos": "call", "tel:": "call",
	} {
		if got := findName(t, tariff, Context{Service: credit.Voice, Called: []byte(called), Direction: Outgoing}); got != want {
			t.Errorf("%s: %q; want %q", called, got, want)
		}
	}
}

// TestP13Legs: originating, terminating and forwarded legs, and the access point.
func TestP13Legs(t *testing.T) {
	tariff := mustCompile(t, roamPlan())
	for _, c := range []struct {
		Context
		want string
	}{
		{Context{Service: credit.Voice, Direction: Incoming}, "received"},
		{Context{Service: credit.Voice, Direction: Incoming, PLMN: 901018}, "received in the world"},
		{Context{Service: credit.Voice, Direction: Forwarded, Called: []byte("4930")}, "forwarded"},
		{Context{Service: credit.Voice, Direction: AnyDirection, Called: []byte("4930")}, "call"},
		{Context{Service: credit.Data, Access: []byte("IMS.mnc099.mcc262.gprs"), PLMN: 208001}, "ims"},
		{Context{Service: credit.Data, Access: []byte("imsx"), PLMN: 208001}, "data eu"},
		{Context{Service: credit.SMS}, ""},
		{Context{Service: 200}, ""},
	} {
		if got := findName(t, tariff, c.Context); got != c.want {
			t.Errorf("%+v: %q; want %q", c.Context, got, c.want)
		}
	}
}

// TestNoRuleNow: usage that has a price only at other times says when.
func TestNoRuleNow(t *testing.T) {
	plan := weekPlan("UTC")
	plan.Rules = plan.Rules[:1]
	at := time.Date(2026, 6, 5, 18, 0, 0, 0, time.UTC)
	r, until, ok := mustCompile(t, plan).Find(&Context{Service: credit.Voice, At: at.Unix()})
	if ok || r != nil || until != at.Add(62*time.Hour).Unix() {
		t.Errorf("%v until %d, %v", r, until, ok)
	}
}

// TestHorizon: a switch is told up to 8 days ahead and no further.
func TestHorizon(t *testing.T) {
	plan := weekPlan("UTC")
	plan.Bands = []Band{{Name: "christmas", Days: []string{"holiday"}}}
	plan.Rules = []Rule{{Name: "gift", Match: Match{Band: "christmas"}, Zero: true}, {Name: "other", Zero: true}}
	tariff := mustCompile(t, plan)
	day := time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC).Unix()
	for at, want := range map[int64]int64{day - 8*86400: day, day - 8*86400 - 1: 0, day: day + 86400} {
		if _, until, _ := tariff.Find(&Context{At: at}); until != want {
			t.Errorf("at %d: %d; want %d", at, until, want)
		}
	}
}

// TestManyRulesOfOneBand: of many rules that match in one band the best is kept.
func TestManyRulesOfOneBand(t *testing.T) {
	plan := weekPlan("UTC")
	for i := range 200 {
		plan.Rules = append(plan.Rules, Rule{Name: fmt.Sprint("rule ", i), Priority: 2 + i, Zero: true, Match: Match{Service: "voice", Band: "peak"}})
	}
	at := time.Date(2026, 6, 5, 12, 0, 0, 0, time.UTC).Unix()
	if got := findName(t, mustCompile(t, plan), Context{Service: credit.Voice, At: at}); got != "rule 199" {
		t.Error(got)
	}
}

// busyTariff has a thousand prefixes, many rules and bands, as a real one.
func busyTariff(t testing.TB) (*Tariff, []Context) {
	p := weekPlan("Europe/London")
	for i := range 200 {
		d := Destination{Name: fmt.Sprint("zone ", i)}
		for j := range 5 {
			d.Prefixes = append(d.Prefixes, fmt.Sprint(1000+i*5+j))
		}
		p.Destinations = append(p.Destinations, d)
		for _, band := range []string{"", "peak", "night"} {
			p.Rules = append(p.Rules, Rule{Name: d.Name + band, Match: Match{Service: "voice", Destination: d.Name, Band: band}, Zero: true})
		}
	}
	p.Networks = []Network{{"home", []string{"23410"}}, {"world", []string{"*"}}}
	for i := range 40 {
		p.Rules = append(p.Rules, Rule{Name: fmt.Sprint("group ", i), Match: Match{Service: "data", Groups: []uint32{uint32(i)}, Network: "home"}, Zero: true})
	}
	at := time.Date(2026, 10, 25, 0, 40, 0, 0, time.UTC).Unix()
	return mustCompile(t, p), []Context{
		{Service: credit.Voice, Called: []byte("tel:+15551234567"), PLMN: 234010, At: at},
		{Service: credit.Data, Group: 39, HasGroup: true, PLMN: 234010, Access: []byte("internet"), At: at},
	}
}

func BenchmarkFind(b *testing.B) {
	tariff, contexts := busyTariff(b)
	for i, name := range []string{"voice with bands", "data by group"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = tariff.Find(&contexts[i])
			}
		})
	}
}

// FuzzFind: no context makes Find panic or give a switch in the past.
func FuzzFind(f *testing.F) {
	tariff, _ := busyTariff(f)
	roam, err := Compile(roamPlan())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(2), []byte("tel:+1555"), []byte("internet"), uint32(262001), uint32(1), int64(1_790_000_000))
	f.Add(uint8(1), []byte("sip:@"), []byte(".mnc"), uint32(4_294_967_295), uint32(0), int64(-1<<63))
	f.Add(uint8(2), []byte("(;"), []byte(""), uint32(0), uint32(0), int64(1<<63-1))
	f.Fuzz(func(t *testing.T, service uint8, called, access []byte, plmn, group uint32, at int64) {
		for _, tariff := range []*Tariff{tariff, roam} {
			c := Context{Service: credit.Service(service), Called: called, Access: access, PLMN: plmn, Group: group, HasGroup: true, At: at}
			r, until, ok := tariff.Find(&c)
			if ok != (r != nil) {
				t.Fatal(r, ok)
			}
			if until != 0 && at > -latest && at < latest && (until <= at || until > at+horizon) {
				t.Fatalf("at %d the next switch is at %d", at, until)
			}
		}
	})
}

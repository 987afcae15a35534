package rating

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// Limits of a plan.
const (
	maxRules    = 4096
	maxZones    = 1000
	maxPrefixes = 1_000_000 // digits of all prefixes: nodes of the trie
	maxCounters = 256
	maxSteps    = 100
	maxHolidays = 10_000
	maxRanked   = 4 << 20 // entries of all lists
	maxName     = 200
)

// invalid is a refusal of a plan.
func invalid(format string, args ...any) error {
	return fault.BadInput("invalidTariff", format, args...)
}

// compiler holds the names of a plan while it becomes a tariff.
type compiler struct {
	plan         *Plan
	t            *Tariff
	destinations map[string]int
	networks     map[string]int
	bands        map[string]int
	counters     map[string]int
	classes      map[string]uint16
}

// Compile checks a plan and makes it ready to use. A refusal is fault.Invalid and
// names the rule, zone or band it is about.
func Compile(p Plan) (*Tariff, error) {
	c := &compiler{plan: &p, t: &Tariff{Name: p.Name, Version: p.Version, rounding: cmp.Or(p.Rounding, money.HalfUp)}}
	for _, step := range []func() error{
		c.head, c.tax, c.listDestinations, c.listNetworks, c.listBands, c.listCounters, c.listRules, c.conflicts, c.lists,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.t, nil
}

func (c *compiler) head() (err error) {
	p := c.plan
	if p.Name == "" || len(p.Name) > maxName {
		return invalid("The tariff needs a name of at most %d bytes", maxName)
	}
	if c.t.Currency, err = money.ParseCurrency(p.Currency); err != nil {
		return invalid("Tariff %q: %v", p.Name, err)
	}
	if !c.t.Currency.Active() {
		return invalid("Tariff %q: the currency %s is withdrawn", p.Name, p.Currency)
	}
	if _, err := money.MulDiv(0, 1, 1, c.t.rounding); err != nil {
		return invalid("Tariff %q: %v", p.Name, err)
	}
	zone, err := civil.LoadZone(p.Zone)
	if err != nil {
		return invalid("Tariff %q: %v", p.Name, err)
	}
	c.t.times.shifts = shiftsOf(zone)
	return nil
}

func (c *compiler) tax() error {
	percent, err := c.plan.Tax.Percent.rat()
	if err == nil {
		c.t.taxNum, c.t.taxDen, err = fraction(percent)
	}
	switch {
	case err != nil:
		return invalid("Tax: %v", err)
	case c.t.taxDen > 1_000_000_000_000 || c.t.taxNum > 100*c.t.taxDen:
		return invalid("Tax: the percentage %s must be from 0 to 100, with at most twelve digits after the point", c.plan.Tax.Percent)
	}
	c.t.included = c.plan.Tax.Included
	return nil
}

// index makes a list of names searchable, counting from 1; each must be there and
// differ from the others.
func index(what string, most int, names []string) (map[string]int, error) {
	if len(names) > most {
		return nil, invalid("There are %d %ss; %d are allowed", len(names), what, most)
	}
	at := make(map[string]int, len(names))
	for i, n := range names {
		if n == "" || len(n) > maxName {
			return nil, invalid("Each %s needs a name of at most %d bytes; number %d has none such", what, maxName, i+1)
		}
		if at[n] != 0 {
			return nil, invalid("Two of the %ss are called %q", what, n)
		}
		at[n] = i + 1
	}
	return at, nil
}

func namesOf[E any](list []E, name func(E) string) []string {
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = name(e)
	}
	return names
}

func (c *compiler) listDestinations() (err error) {
	zones := c.plan.Destinations
	c.destinations, err = index("destination", maxZones, namesOf(zones, func(d Destination) string { return d.Name }))
	if err != nil {
		return err
	}
	numbers := &c.t.numbers
	numbers.nodes, numbers.zones = make([]node, 1, 64), len(zones)
	for i, z := range zones {
		if len(z.Prefixes) == 0 {
			return invalid("Destination %q has no prefixes", z.Name)
		}
		for _, p := range z.Prefixes {
			if digits := strings.TrimPrefix(p, "="); p != "*" && (!isDigits(digits) || len(digits) > 32) {
				return invalid("Destination %q: the prefix %.40q is not digits without + (or = and digits, or *)", z.Name, p)
			}
			if taken := numbers.add(p, uint16(i+1)); taken != 0 {
				return invalid("Destination %q: the prefix %s belongs to %q already", z.Name, p, zones[taken-1].Name)
			}
			if len(numbers.nodes) > maxPrefixes {
				return invalid("The destinations have more than %d digits", maxPrefixes)
			}
		}
	}
	numbers.nodes = slices.Clip(numbers.nodes)
	return nil
}

func (c *compiler) listNetworks() (err error) {
	zones := c.plan.Networks
	c.networks, err = index("network zone", maxZones, namesOf(zones, func(n Network) string { return n.Name }))
	if err != nil {
		return err
	}
	n := &c.t.networks
	n.exact, n.country = map[uint32]uint16{}, map[uint32]uint16{}
	for i, z := range zones {
		if len(z.Codes) == 0 {
			return invalid("Network zone %q has no codes", z.Name)
		}
		for _, code := range z.Codes {
			taken, ok := n.add(code, uint16(i+1))
			if !ok {
				return invalid("Network zone %q: %.40q is not an MCC such as 262, an MCC with MNC such as 26202, or *", z.Name, code)
			}
			if taken != 0 {
				return invalid("Network zone %q: the code %s belongs to %q already", z.Name, code, zones[taken-1].Name)
			}
		}
	}
	name := c.plan.UnknownNetwork
	if n.unknown = uint16(c.networks[name]); name != "" && n.unknown == 0 {
		return invalid("unknownNetwork: there is no network zone %q", name)
	}
	return nil
}

// add puts a code into the table; taken is a zone that has it already.
func (n *networks) add(code string, zone uint16) (taken uint16, ok bool) {
	if code == "*" {
		taken, n.other = n.other, zone
		return taken, true
	}
	if !isDigits(code) || len(code) != 3 && len(code) != 5 && len(code) != 6 {
		return 0, false
	}
	table, key := n.country, uint32(0)
	for _, d := range code[:3] {
		key = key*10 + uint32(d-'0')
	}
	if mnc := code[3:]; mnc != "" {
		table = n.exact
		var m uint32
		for _, d := range mnc {
			m = m*10 + uint32(d-'0')
		}
		key = key*1000 + m
	}
	if key == 0 {
		return 0, false
	}
	taken, table[key] = table[key], zone
	return taken, true
}

func (c *compiler) listCounters() (err error) {
	counters := c.plan.Counters
	c.counters, err = index("counter", maxCounters, namesOf(counters, func(n Counter) string { return n.Name }))
	if err != nil {
		return err
	}
	for _, n := range counters {
		if !slices.Contains([]string{Day, Cycle, Session}, n.Reset) {
			return invalid("Counter %q: reset is %.40q; it must be day, cycle or session", n.Name, n.Reset)
		}
	}
	c.t.Counters = slices.Clone(counters)
	return nil
}

func (c *compiler) listRules() error {
	rules := c.plan.Rules
	if len(rules) == 0 {
		return invalid("Tariff %q has no rules", c.plan.Name)
	}
	if _, err := index("rule", maxRules, namesOf(rules, func(r Rule) string { return r.Name })); err != nil {
		return err
	}
	c.classes, c.t.classes = map[string]uint16{"": 0}, []string{""}
	c.t.rates, c.t.criteria = make([]Rate, len(rules)), make([]criteria, len(rules))
	for i := range rules {
		if err := c.rule(&rules[i], uint32(i)); err != nil {
			return fault.At(fmt.Sprintf("Rule %q", rules[i].Name), asInvalid(err))
		}
	}
	return nil
}

// asInvalid makes a plain error a refusal.
func asInvalid(err error) error {
	var refusal *fault.Error
	if errors.As(err, &refusal) {
		return err
	}
	return invalid("%v", err)
}

func (c *compiler) rule(rule *Rule, id uint32) error {
	var err error
	if c.t.criteria[id], err = c.match(rule); err != nil {
		return err
	}
	r := &c.t.rates[id]
	*r = Rate{ID: id, Name: rule.Name, Zero: rule.Zero, Class: c.class(rule.Class), Currency: c.t.Currency.Number(),
		SessionCap: noCap, DayCap: noCap, Counter: -1, DayCounter: -1}
	if r.Counter, err = c.counter(rule.Counter); err != nil {
		return err
	}
	if r.Quota, err = quota(&rule.Grant); err != nil {
		return err
	}
	if rule.Price == nil {
		if !rule.Zero {
			return errors.New("there is no price; say zero if it is free")
		}
		r.Unit = naturalUnit(c.t.criteria[id].service)
		return nil
	}
	return c.price(r, rule)
}

// naturalUnit is what free usage of a service is counted in.
func naturalUnit(s credit.Service) credit.Has {
	switch s {
	case credit.Voice:
		return unitSeconds
	case credit.SMS, credit.MMS, credit.Content:
		return unitEvents
	}
	return unitOctets
}

// class numbers the classes in the order in which the rules name them.
func (c *compiler) class(name string) uint16 {
	id, known := c.classes[name]
	if !known {
		id = uint16(len(c.t.classes))
		c.classes[name], c.t.classes = id, append(c.t.classes, name)
	}
	return id
}

func (c *compiler) counter(name string) (int, error) {
	if name != "" && c.counters[name] == 0 {
		return -1, fmt.Errorf("there is no counter %q", name)
	}
	return c.counters[name] - 1, nil
}

func (c *compiler) match(rule *Rule) (criteria, error) {
	m := &rule.Match
	out := criteria{priority: rule.Priority, groups: slices.Clone(m.Groups), services: slices.Clone(m.Services), access: strings.ToLower(m.Access)}
	var ok bool
	if out.service, ok = services[m.Service]; !ok {
		return out, fmt.Errorf("there is no service %q; it must be data, voice, sms, mms, broadband or content", m.Service)
	}
	if out.direction, ok = directions[m.Direction]; !ok {
		return out, fmt.Errorf("there is no direction %q; it must be out, in or forward", m.Direction)
	}
	if slices.Contains(m.Services, 0) {
		return out, errors.New("0 is no service identifier")
	}
	var err error
	named := func(what, name string, in map[string]int) int {
		if name != "" && in[name] == 0 && err == nil {
			err = fmt.Errorf("there is no %s %q", what, name)
		}
		return in[name]
	}
	out.destination = uint16(named("destination", m.Destination, c.destinations))
	out.network = uint16(named("network zone", m.Network, c.networks))
	out.band = int8(named("band", m.Band, c.bands) - 1)
	return out, err
}

func quota(g *Grant) (Quota, error) {
	q := Quota{Default: g.Default, Min: g.Min, Max: g.Max, Validity: g.Validity, Holding: g.Holding, Threshold: g.Threshold, Pool: g.Pool}
	switch {
	case g.Max != 0 && (g.Default > g.Max || g.Min > g.Max), g.Default != 0 && g.Min > g.Default:
		return q, fmt.Errorf("grant: min %d, default %d and max %d are not in order", g.Min, g.Default, g.Max)
	case g.Threshold >= 100:
		return q, fmt.Errorf("grant: a threshold of %d percent would be reached at once", g.Threshold)
	}
	var err error
	q.Final, err = final(&g.Final)
	return q, err
}

var finalActions = map[string]credit.FinalAction{"": credit.NotFinal, "terminate": credit.FinalTerminate,
	"redirect": credit.FinalRedirect, "restrict": credit.FinalRestrict}

var addressTypes = map[string]credit.AddressType{"": credit.URL, "url": credit.URL, "ipv4": credit.IPv4,
	"ipv6": credit.IPv6, "sip": credit.SIP}

func final(f *Final) (credit.FinalUnit, error) {
	action, known := finalActions[f.Action]
	kind, typed := addressTypes[f.Type]
	switch {
	case !known:
		return credit.FinalUnit{}, fmt.Errorf("grant: there is no final action %q; it must be terminate, redirect or restrict", f.Action)
	case !typed:
		return credit.FinalUnit{}, fmt.Errorf("grant: there is no address type %q; it must be url, ipv4, ipv6 or sip", f.Type)
	case (action == credit.FinalRedirect) != (f.Address != ""):
		return credit.FinalUnit{}, errors.New("grant: redirect needs an address, and nothing else has one (RFC 8506 8.37)")
	case action != credit.FinalRestrict && len(f.Filters) > 0:
		return credit.FinalUnit{}, errors.New("grant: filters go with restrict")
	}
	return credit.FinalUnit{Action: action, Type: kind, Address: f.Address, Filters: slices.Clone(f.Filters)}, nil
}

// lists ranks the rules for every service and destination zone.
func (c *compiler) lists() error {
	t := c.t
	order := make([]uint32, len(t.rates))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(a, b uint32) int {
		x, y := &t.criteria[a], &t.criteria[b]
		return cmp.Or(cmp.Compare(y.priority, x.priority), cmp.Compare(y.rank(), x.rank()))
	})
	for s := range serviceCount {
		for d := range t.numbers.zones + 1 {
			from := uint32(len(t.ranked))
			for _, id := range order {
				rule := &t.criteria[id]
				if (rule.service == 0 || int(rule.service) == s) && (rule.destination == 0 || int(rule.destination) == d) {
					t.ranked = append(t.ranked, id)
				}
			}
			t.lists = append(t.lists, span{from, uint32(len(t.ranked))})
			if len(t.ranked) > maxRanked {
				return invalid("The tariff is too large: %d rules without a destination times %d destinations", len(t.rates), t.numbers.zones)
			}
		}
	}
	return nil
}

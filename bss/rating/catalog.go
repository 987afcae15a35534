package rating

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/tmf"
)

// Attribute is the extension that holds what TMF620 has no field for. On a product
// offering it is a Plan: zone, tax, calendars, destinations, networks, bands,
// counters, and rules beyond the offering's prices, such as zero-rated ones:
//
//	"tandem:rating": {"zone": "Europe/Berlin", "tax": {"percent": 19},
//	  "networks": [{"name": "home", "codes": ["26299"]}, {"name": "row", "codes": ["*"]}]}
//
// On a price of type usage it is a Rule, whose amount, unit and per come from price
// and unitOfMeasure unless it gives a shape of its own:
//
//	"priceType": "usage", "price": {"unit": "EUR", "value": 0.09}, "unitOfMeasure": {"amount": 1, "units": "min"},
//	"tandem:rating": {"match": {"service": "voice", "network": "home"}, "class": "voice.home", "price": {"block": {"first": 60, "step": 1}}}
//
// On a price of type allowance it is what else there is to say of an Allowance;
// amount and units are its unitOfMeasure, the period its recurringChargePeriodType,
// and price is what each period costs:
//
//	"priceType": "allowance", "unitOfMeasure": {"amount": 20, "units": "GB"}, "recurringChargePeriodType": "month",
//	"tandem:rating": {"classes": ["data.home"], "rollover": {"percent": 50, "maxCycles": 1}}
//
// docs/tariffs.md has an example of each thing that can be said.
const Attribute = "tandem:rating"

// allowanceDoc is the Attribute of an allowance.
type allowanceDoc struct {
	Classes   []string       `json:"classes,omitzero"`
	Priority  int            `json:"priority,omitzero"`
	Shared    bool           `json:"shared,omitzero"`
	MemberCap uint64         `json:"memberCap,omitzero"`
	Validity  civil.Duration `json:"validity,omitzero"`
	FirstUse  bool           `json:"firstUse,omitzero"`
	Grace     civil.Duration `json:"grace,omitzero"`
	Ahead     civil.Duration `json:"ahead,omitzero"`
	Prorate   bool           `json:"prorate,omitzero"`
	Notify    []int          `json:"notify,omitzero"`
	Rollover  *Rollover      `json:"rollover,omitzero"`
	FairUse   *FairUse       `json:"fairUse,omitzero"`
	Within    string         `json:"within,omitzero"`
}

// Rates says that charging takes the price up, as usage that it rates or as an
// allowance that it gives: such a price is billed by what was used.
func Rates(p *catalog.ProductOfferingPrice) bool {
	if sort := p.Sort(); sort != catalog.Usage && sort != "allowance" {
		return false
	}
	var own jsontext.Value
	return attribute(p.Extra, &own) == nil && len(own) > 0
}

// FromCatalog reads the tariff and the allowances of an offering out of its prices
// of type usage and allowance; other types are not looked at. The prices must be
// those that hold for the product: of prodSpecCharValueUse only names that begin with
// "usage:" mean something here, as entries of the rule's match: usage:service,
// usage:destination, usage:network, usage:band, usage:direction, usage:access,
// usage:ratingGroup and usage:serviceIdentifier. The catalogue takes those only if the
// product specification has characteristics of these names; the match in the Attribute
// needs none. A pricingLogicAlgorithm with plaSpecId "formula" has the formula in its description.
//
// Units of volume: kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. A plan
// without rules means that the offering prices no usage.
func FromCatalog(o *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) (Plan, []Allowance, error) {
	plan := Plan{}
	if err := attribute(o.Extra, &plan); err != nil {
		return Plan{}, nil, fault.At(quoted("Offering", o.Name), err)
	}
	plan.Name, plan.Version = cmp.Or(plan.Name, o.Name), cmp.Or(plan.Version, o.Version)
	var allowances []Allowance
	for _, p := range prices {
		if err := plan.take(p, &allowances); err != nil {
			return Plan{}, nil, fault.At(quoted("Price", p.Name), err)
		}
	}
	for _, a := range allowances {
		if len(plan.Rules) == 0 {
			break // an option: it is for the classes of the plan it is added to
		}
		if err := a.known(&plan); err != nil {
			return Plan{}, nil, err
		}
	}
	return plan, allowances, nil
}

func quoted(what, name string) string { return what + " " + strconv.Quote(name) }

// take adds one price to the plan.
func (plan *Plan) take(p *catalog.ProductOfferingPrice, allowances *[]Allowance) error {
	if p.Price != nil {
		code := p.Price.Currency.Code()
		if plan.Currency = cmp.Or(plan.Currency, code); plan.Currency != code {
			return invalid("it is in %s, the tariff in %s", code, plan.Currency)
		}
	}
	switch p.Sort() {
	case catalog.Usage:
		if err := plan.takeTax(p.Tax); err != nil {
			return err
		}
		rule, err := ruleOf(p)
		plan.Rules = append(plan.Rules, rule)
		return err
	case "allowance":
		a, err := allowanceOf(p)
		*allowances = append(*allowances, a)
		return err
	}
	return nil
}

// takeTax: all usage prices of a tariff have the same rate of tax.
func (plan *Plan) takeTax(items []catalog.TaxItem) error {
	for _, item := range items {
		if item.TaxRate == nil {
			continue
		}
		rate, err := Decimal(strings.TrimSpace(string(item.TaxRate))).rat()
		if err != nil {
			return invalid("tax: %v", err)
		}
		if plan.Tax.Percent == "" {
			plan.Tax.Percent = Decimal(strings.TrimSpace(string(item.TaxRate)))
		}
		if have, err := plan.Tax.Percent.rat(); err != nil || have.Cmp(rate) != 0 {
			return invalid("its tax is %s percent, that of the tariff %s", item.TaxRate, plan.Tax.Percent)
		}
	}
	return nil
}

// attribute reads the extension out of unknown members, strictly.
func attribute(extra jsontext.Value, into any) error {
	if len(extra) == 0 {
		return nil
	}
	var members map[string]jsontext.Value
	if err := tmf.Decode(extra, &members); err != nil {
		return invalid("its extensions cannot be read: %v", err)
	}
	doc, found := members[Attribute]
	if !found {
		return nil
	}
	if err := json.Unmarshal(doc, into, json.RejectUnknownMembers(true)); err != nil {
		return invalid("%s: %v", Attribute, err)
	}
	return nil
}

// ruleOf reads a usage price.
func ruleOf(p *catalog.ProductOfferingPrice) (Rule, error) {
	rule := Rule{}
	if err := attribute(p.Extra, &rule); err != nil {
		return rule, err
	}
	rule.Name = cmp.Or(rule.Name, p.Name)
	for _, use := range p.ProdSpecCharValueUse {
		if err := rule.Match.narrow(&use); err != nil {
			return rule, err
		}
	}
	if rule.Zero && p.Price == nil && rule.Price == nil {
		return rule, nil
	}
	if rule.Price == nil {
		rule.Price = &Price{}
	}
	return rule, rule.Price.fill(p)
}

// fill completes a price with what TMF620 has fields for.
func (price *Price) fill(p *catalog.ProductOfferingPrice) error {
	for _, logic := range p.PricingLogicAlgorithm {
		if logic.PlaSpecID == "formula" {
			price.Formula = cmp.Or(price.Formula, logic.Description)
		}
	}
	if q := p.UnitOfMeasure; q != nil && q.Units != "" {
		unit, factor, known := measure(q.Units)
		if !known {
			return invalid("unitOfMeasure: %q is no unit of usage such as MB, GiB, s, min or message", q.Units)
		}
		per, ok := scaled(q.Amount, factor)
		if !ok || per == 0 {
			return invalid("unitOfMeasure: %s %s is no whole number of %s", q.Amount, q.Units, unit)
		}
		price.Unit = cmp.Or(price.Unit, unit)
		if price.Unit != unit {
			return invalid("it is for %s, but unitOfMeasure is %s", price.Unit, q.Units)
		}
		if price.Per == 0 {
			price.Per = per
		}
	}
	shaped := len(price.Steps)+len(price.Tiers)+len(price.Volume) > 0 || price.Amount != "" || price.Percent != "" || price.Formula != ""
	if p.Price != nil && !shaped {
		price.Amount = Decimal(p.Price.Decimal())
	}
	return nil
}

// narrow adds one prodSpecCharValueUse to a match, if it is about usage.
func (m *Match) narrow(use *catalog.ValueUse) error {
	name, ours := strings.CutPrefix(use.Name, "usage:")
	if !ours {
		return nil
	}
	one := map[string]*string{"service": &m.Service, "destination": &m.Destination, "network": &m.Network,
		"band": &m.Band, "direction": &m.Direction, "access": &m.Access}
	many := map[string]*[]uint32{"ratingGroup": &m.Groups, "serviceIdentifier": &m.Services}
	if one[name] == nil && many[name] == nil {
		return invalid("prodSpecCharValueUse: there is no %q", use.Name)
	}
	for _, spec := range use.Values {
		value := strings.TrimSpace(string(spec.Value))
		if text, err := jsontext.AppendUnquote(nil, value); err == nil {
			value = string(text)
		}
		if slot := one[name]; slot != nil {
			if *slot != "" && *slot != value || value == "" {
				return invalid("prodSpecCharValueUse %s: a usage price is for one value; make a price for each", use.Name)
			}
			*slot = value
		}
		if list := many[name]; list != nil {
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return invalid("prodSpecCharValueUse %s: %.40s is not a whole number", use.Name, value)
			}
			*list = append(*list, uint32(n))
		}
	}
	return nil
}

// measures are the units of usage a catalogue may name, with what one of them is.
var measures = map[string]struct {
	unit   string
	factor uint64
}{
	"octet": {"octets", 1}, "octets": {"octets", 1}, "byte": {"octets", 1}, "bytes": {"octets", 1}, "b": {"octets", 1},
	"kb": {"octets", 1e3}, "mb": {"octets", 1e6}, "gb": {"octets", 1e9}, "tb": {"octets", 1e12},
	"kib": {"octets", 1 << 10}, "mib": {"octets", 1 << 20}, "gib": {"octets", 1 << 30}, "tib": {"octets", 1 << 40},
	"s": {"seconds", 1}, "sec": {"seconds", 1}, "second": {"seconds", 1}, "seconds": {"seconds", 1},
	"min": {"seconds", 60}, "minute": {"seconds", 60}, "minutes": {"seconds", 60},
	"h": {"seconds", 3600}, "hour": {"seconds", 3600}, "hours": {"seconds", 3600},
	"event": {"events", 1}, "events": {"events", 1}, "message": {"events", 1}, "messages": {"events", 1},
	"sms": {"events", 1}, "mms": {"events", 1}, "piece": {"events", 1}, "pieces": {"events", 1},
}

// measure is the unit of usage a word stands for, written in any case; a code of a
// currency is not one.
func measure(word string) (unit string, factor uint64, known bool) {
	m, known := measures[strings.ToLower(word)]
	return m.unit, m.factor, known
}

// scaled is an amount times factor as a whole number.
func scaled(amount jsontext.Value, factor uint64) (uint64, bool) {
	text := cmp.Or(strings.TrimSpace(string(amount)), "1")
	n, err := Decimal(text).rat()
	if err != nil {
		return 0, false
	}
	n.Mul(n, new(big.Rat).SetInt(new(big.Int).SetUint64(factor)))
	return n.Num().Uint64(), n.IsInt() && n.Num().IsUint64()
}

// allowanceOf reads a price of type allowance.
func allowanceOf(p *catalog.ProductOfferingPrice) (Allowance, error) {
	doc := allowanceDoc{}
	if err := attribute(p.Extra, &doc); err != nil {
		return Allowance{}, err
	}
	a := Allowance{ID: p.ID, Name: p.Name, Classes: doc.Classes, Priority: doc.Priority, Shared: doc.Shared, MemberCap: doc.MemberCap,
		Validity: doc.Validity, FirstUse: doc.FirstUse, Grace: doc.Grace, Ahead: doc.Ahead, Prorate: doc.Prorate, Notify: doc.Notify, Rollover: doc.Rollover, FairUse: doc.FairUse, Within: doc.Within}
	var err error
	if a.Unit, a.Amount, err = allowed(p); err != nil {
		return a, err
	}
	if unit, count, ok := p.Period(); ok {
		a.Renew = every(unit, int(count))
	}
	if p.Price != nil && a.Unit != unitMoney && Rates(p) { // of money it is the amount itself
		a.Price = p.Price.Nano
	}
	return a, a.check()
}

// allowed is how much an allowance gives: units of usage, or money.
func allowed(p *catalog.ProductOfferingPrice) (credit.Has, uint64, error) {
	q := p.UnitOfMeasure
	if q == nil || q.Units == "" {
		if p.Price == nil || p.Price.Nano <= 0 {
			return 0, 0, invalid("an allowance needs unitOfMeasure (amount and units), or a price as an amount of money")
		}
		return unitMoney, uint64(p.Price.Nano), nil
	}
	unit, factor, known := measure(q.Units)
	amount, ok := scaled(q.Amount, factor)
	if !known || !ok || amount == 0 {
		return 0, 0, invalid("unitOfMeasure: %s %s is no amount of usage such as 20 GB", q.Amount, q.Units)
	}
	return units[unit], amount, nil
}

// every is a period of the catalogue as a duration.
func every(unit string, count int) civil.Duration {
	switch unit {
	case "day":
		return civil.Duration{Days: count}
	case "week":
		return civil.Duration{Days: 7 * count}
	case "quarter":
		return civil.Duration{Months: 3 * count}
	case "year":
		return civil.Duration{Months: 12 * count}
	}
	return civil.Duration{Months: count}
}

// known refuses an allowance for classes that no rule of the plan has: it could
// never be used.
func (a *Allowance) known(plan *Plan) error {
	for _, class := range a.Classes {
		if !slices.ContainsFunc(plan.Rules, func(r Rule) bool { return r.Class == class }) {
			return invalid("Allowance %q is for the class %q, which no usage price has", a.Name, class)
		}
	}
	return nil
}

package rating

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/tmf"
)

// shelf is an offering with its prices, as documents of the catalogue.
type shelf struct {
	Offering catalog.ProductOffering         `json:"offering"`
	Prices   []*catalog.ProductOfferingPrice `json:"prices"`
}

func readShelf(t *testing.T) shelf {
	t.Helper()
	doc, err := os.ReadFile("testdata/flat.json")
	if err != nil {
		t.Fatal(err)
	}
	var s shelf
	if err := tmf.Decode(doc, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestFromCatalog: an offering's usage prices become a tariff that prices usage, its
// allowances say what they are, and other prices are left alone.
func TestFromCatalog(t *testing.T) {
	s := readShelf(t)
	plan, allowances, err := FromCatalog(&s.Offering, s.Prices)
	if err != nil {
		t.Fatal(err)
	}
	tariff := mustCompile(t, plan)
	if tariff.Name != "Flat M" || tariff.Version != "2.1" || tariff.Currency.Code() != "EUR" || len(plan.Rules) != 6 {
		t.Errorf("%+v", plan)
	}
	for _, c := range []struct {
		context Context
		units   uint64
		class   string
		want    int64
	}{
		{Context{Service: credit.Voice, PLMN: 262099, Called: []byte("4930"), Direction: Outgoing}, 61, "voice.home", 91_500_000},
		{Context{Service: credit.SMS, PLMN: 262099}, 3, "sms", 270_000_000},
		{Context{Service: credit.Data, PLMN: 262099, HasGroup: true, Group: 10}, 500_000_001, "data.home", 1_000_002_000},
		{Context{Service: credit.Data, PLMN: 208001}, 1 << 20, "data.row", 10_000_000},
		{Context{Service: credit.Data, PLMN: 208001, HasGroup: true, Group: 99}, 1 << 40, "", 0},
		{Context{Service: credit.MMS, PLMN: 208001}, 4, "", 600_000_000},
	} {
		r, _, ok := tariff.Find(&c.context)
		if !ok {
			t.Errorf("%+v has no rate", c.context)
			continue
		}
		cost, err := r.Cost(0, c.units, 0, 0)
		if err != nil || cost != c.want || tariff.ClassName(r.Class) != c.class {
			t.Errorf("%s (class %q): %d units cost %d, %v; want %d of %q", r.Name, tariff.ClassName(r.Class), c.units, cost, err, c.want, c.class)
		}
	}
	if net, tax := tariff.Tax(1_000_000_000); net != 1_000_000_000 || tax != 190_000_000 {
		t.Errorf("net %d, tax %d", net, tax)
	}
	month := civil.Duration{Months: 1}
	want := []Allowance{
		{ID: "flat-m-data", Name: "20 GB", Unit: credit.HasTotal, Amount: 20_000_000_000, Renew: month, Classes: []string{"data.home"}, Priority: 10, Prorate: true,
			Notify: []int{50, 80, 100}, Rollover: &Rollover{Percent: 50, MaxUnits: 5_000_000_000, MaxCycles: 1}, FairUse: &FairUse{Units: 20_000_000_000, Counter: "data", Status: "slow"}},
		{ID: "flat-m-minutes", Name: "100 minutes for the family", Unit: credit.HasSeconds, Amount: 6000, Renew: civil.Duration{Days: 28}, Shared: true, MemberCap: 1200},
		{ID: "flat-m-gift", Name: "Gift", Unit: credit.HasMoney, Amount: 5_000_000_000, Validity: civil.Duration{Days: 30}, FirstUse: true},
	}
	if !reflect.DeepEqual(allowances, want) {
		t.Errorf("%+v\n%+v", allowances, want)
	}
}

// TestFromCatalogRefuses: what the catalogue says wrong is told with its name.
func TestFromCatalogRefuses(t *testing.T) {
	const data, minutes = 0, 6 // indexes in testdata/flat.json
	extra := func(i int, doc string) func(*shelf) {
		return func(s *shelf) { s.Prices[i].Extra = jsontext.Value(`{"` + Attribute + `":` + doc + `}`) }
	}
	unit := func(i int, amount, units string) func(*shelf) {
		return func(s *shelf) {
			s.Prices[i].UnitOfMeasure = &tmf.Quantity{Amount: jsontext.Value(amount), Units: units}
		}
	}
	use := func(name string, values ...string) func(*shelf) {
		return func(s *shelf) {
			u := catalog.ValueUse{Name: name}
			for _, v := range values {
				u.Values = append(u.Values, catalog.ValueSpec{Value: jsontext.Value(v)})
			}
			s.Prices[data].ProdSpecCharValueUse = []catalog.ValueUse{u}
		}
	}
	for want, change := range map[string]func(*shelf){
		`Price "Data": tandem:rating:`:     extra(data, `{"clas": "x"}`),
		"is no unit of usage such as MB":   unit(data, "1", "EUR"),
		"is no whole number of octets":     unit(data, "0.0000000001", "GB"),
		"is no amount of usage such as 20": unit(minutes, "0", "min"),
		"an allowance needs unitOfMeasure": func(s *shelf) { s.Prices[minutes].UnitOfMeasure = nil },
		"memberCap is for a shared":        extra(minutes, `{"memberCap": 5}`),
		"firstUse needs a validity":        extra(minutes, `{"firstUse": true}`),
		"fairUse needs units":              extra(minutes, `{"fairUse": {"units": 5}}`),
		"120 percent is more than all":     extra(minutes, `{"rollover": {"percent": 120}}`),
		"percentages are from 1 to 100":    extra(minutes, `{"notify": [0]}`),
		`for the class "gone", which no`:   extra(minutes, `{"classes": ["gone"]}`),
		"cannot take 7000 of 6000":         extra(minutes, `{"shared": true, "memberCap": 7000}`),
		"steps rise; 5 units":              extra(minutes, `{"fairUse": {"units": 5, "counter": "c", "status": "slow", "steps": [{"units": 5, "status": "slower"}]}}`),
		`it is "slow" before and after`:    extra(minutes, `{"fairUse": {"units": 5, "counter": "c", "status": "slow", "steps": [{"units": 9, "status": "slow"}]}}`),
		"percentages rise":                 extra(minutes, `{"notify": [80, 50]}`),
		"at most 7 percentages":            extra(minutes, `{"notify": [1, 2, 3, 4, 5, 6, 7, 8]}`),
		"leave validity and firstUse out":  extra(minutes, `{"validity": "P30D"}`),
		"grace is for an allowance with a": extra(minutes, `{"grace": "P7D"}`),
		"told of the end before the begin": extra(minutes, `{"ahead": "P28D"}`),
		"ahead is for an allowance that": func(s *shelf) {
			s.Prices[minutes].RecurringChargePeriodType = ""
			extra(minutes, `{"ahead": "P1D"}`)(s)
		},
		"needs grace: how long": func(s *shelf) { s.Prices[minutes].Price = s.Prices[1].Price },
		"sell one that is given once by": func(s *shelf) {
			s.Prices[minutes].Price = s.Prices[1].Price
			s.Prices[minutes].RecurringChargePeriodType = ""
		},
		"prorate is for an allowance with": func(s *shelf) {
			s.Prices[minutes].RecurringChargePeriodType = ""
			extra(minutes, `{"prorate": true}`)(s)
		},
		"a month has no fixed length": func(s *shelf) {
			s.Prices[minutes].RecurringChargePeriodType = ""
			extra(minutes, `{"firstUse": true, "validity": "P1M"}`)(s)
		},
		"units are more than an account": unit(minutes, "1000000000000000", "h"),
		"rollover is for an allowance with": func(s *shelf) {
			s.Prices[minutes].RecurringChargePeriodType = ""
			extra(minutes, `{"rollover": {}}`)(s)
		},
		"its tax is 7 percent":               func(s *shelf) { s.Prices[1].Tax = []catalog.TaxItem{{TaxRate: jsontext.Value("7")}} },
		"make a price for each":              use("usage:network", `"home"`, `"row"`),
		"is not a whole number":              use("usage:ratingGroup", `"ten"`),
		`there is no "usage:weather"`:        use("usage:weather", `"rain"`),
		`Offering "Flat M": tandem:rating`:   func(s *shelf) { s.Offering.Extra = jsontext.Value(`{"tandem:rating": {"zoned": 1}}`) },
		"it is for events, but unitOfMeasur": extra(data, `{"price": {"unit": "events"}}`),
		"it is in CHF, the tariff in EUR":    func(s *shelf) { p := *s.Prices[1].Price; p.Currency = money.CHF; s.Prices[1].Price = &p },
	} {
		s := readShelf(t)
		change(&s)
		if _, _, err := FromCatalog(&s.Offering, s.Prices); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got: %v", want, err)
		}
	}
}

// TestFromCatalogNothing: an offering without usage prices has a plan without rules.
func TestFromCatalogNothing(t *testing.T) {
	plan, allowances, err := FromCatalog(&catalog.ProductOffering{Name: "Router"}, nil)
	if err != nil || len(plan.Rules) != 0 || allowances != nil {
		t.Errorf("%+v, %+v, %v", plan, allowances, err)
	}
}

// FuzzFromCatalog: no extension of an offering or a price makes reading it panic; what is read compiles, or is refused in words.
func FuzzFromCatalog(f *testing.F) {
	f.Add([]byte(`{"tandem:rating":{"zone":"UTC","networks":[{"name":"home","codes":["24001"]}]}}`), []byte(`{"tandem:rating":{"match":{"service":"data"},"class":"data","price":{"block":{"first":60,"step":1}}}}`),
		[]byte(`{"tandem:rating":{"classes":["data"],"rollover":{"percent":50},"fairUse":{"counter":"data","units":5,"status":"slow"},"within":"abroad","ahead":"P2D"}}`), "GB", "20")
	f.Add([]byte(`{"tandem:rating":{}}`), []byte(`{"tandem:rating":{"price":{"formula":"min(units, 3)"}}}`), []byte(`{"tandem:rating":null}`), "min", "1e3")
	f.Fuzz(func(t *testing.T, offering, usage, allowance []byte, unit, amount string) {
		o := &catalog.ProductOffering{Name: "o"}
		o.Extra = offering
		eur, err := money.ParseCurrency("EUR")
		if err != nil {
			t.Fatal(err)
		}
		price := money.Rate{Currency: eur, Nano: 1e9}
		u := &catalog.ProductOfferingPrice{Name: "u", PriceType: "usage", Price: &price, UnitOfMeasure: &tmf.Quantity{Amount: jsontext.Value(amount), Units: unit}}
		a := &catalog.ProductOfferingPrice{Name: "a", PriceType: "allowance", RecurringChargePeriodType: "month", UnitOfMeasure: u.UnitOfMeasure}
		u.Extra, a.Extra = usage, allowance
		plan, given, err := FromCatalog(o, []*catalog.ProductOfferingPrice{u, a})
		if err != nil {
			return
		}
		for i := range given {
			if given[i].Amount == 0 || given[i].Amount > MaxUnits {
				t.Fatalf("%+v is given", given[i])
			}
		}
		if len(plan.Rules) > 0 {
			_, _ = Compile(plan) // refuses, or not: FuzzCompile looks at it
		}
	})
}

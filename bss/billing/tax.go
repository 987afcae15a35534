package billing

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// TaxRate is what a category of supplies is taxed with in a jurisdiction, and when.
type TaxRate struct {
	tmf.Entity
	Jurisdiction string         `json:"jurisdiction,omitzero" tmf:"required"` // ISO 3166: DE, ES-CN
	Category     string         `json:"category,omitzero" tmf:"required"`     // the operator's word: standard, reduced, zero, exempt, reverseCharge
	Code         string         `json:"code,omitzero" tmf:"required"`         // UNTDID 5305: S Z E AE K G O L M
	Percent      jsontext.Value `json:"percent,omitzero" tmf:"required"`
	Reason       string         `json:"reason,omitzero"` // of a category without tax, as the invoice says it
	ValidFrom    civil.Date     `json:"validFrom,omitzero" tmf:"required"`
	ValidTo      civil.Date     `json:"validTo,omitzero"` // not included; none: it holds until another rate is made
}

// TaxRates are the tenant's tables.
var TaxRates = tmf.Kind[TaxRate, *TaxRate]{
	API: &ItemAPI, Name: "taxRate", Table: "billing_tax_rate", Verbs: tmf.All, Index: []string{"jurisdiction", "category"},
}

// Categories the house acts on.
const (
	TaxStandard      = "standard"
	TaxExempt        = "exempt"
	TaxReverseCharge = "reverseCharge" // the buyer owes the tax
	TaxThirdCountry  = "thirdCountry"  // a buyer outside of the customs union
)

// taxCodes are those of EN 16931, and whether a percentage goes with them.
var taxCodes = map[string]bool{"S": true, "L": true, "M": true, "Z": false, "E": false, "AE": false, "K": false, "G": false, "O": false}

func checkTaxRate(tx *store.Tx, _, r *TaxRate) error {
	bad := func(format string, args ...any) error { return fault.BadInput("invalidTaxRate", format, args...) }
	taxed, known := taxCodes[r.Code]
	percent, ok := exactPercent(r.Percent)
	switch {
	case !jurisdiction.MatchString(r.Jurisdiction):
		return bad("jurisdiction is a country or a part of one (ISO 3166), such as DE or ES-CN, not %q", r.Jurisdiction)
	case !known:
		return bad("code is one of S Z E AE K G O L M (UNTDID 5305), not %q", r.Code)
	case !ok || percent.Num < 0 || percent.Num > 100*percent.Den:
		return bad("percent is a number from 0 to 100 with at most six decimals, not %.40s", r.Percent)
	case r.Code == "S" && percent.Num == 0:
		return bad("a standard rate (S) is more than zero; zero rated supplies have code Z")
	case !taxed && percent.Num != 0:
		return bad("supplies with code %s are not taxed: percent is 0", r.Code)
	case slices.Contains([]string{"E", "AE", "K", "G", "O"}, r.Code) && r.Reason == "":
		return bad("code %s needs a reason: the invoice says why there is no tax", r.Code)
	case !r.ValidTo.Valid() && r.ValidTo != civil.Date{}, r.ValidTo != civil.Date{} && !r.ValidFrom.Before(r.ValidTo):
		return bad("validTo is after validFrom")
	}
	others, err := TaxRates.Select(tx, tmf.Where{"jurisdiction": r.Jurisdiction, "category": r.Category}, tmf.Page{})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.ID != r.ID && o.period().Overlaps(r.period()) {
			return fault.Clash("overlappingTaxRate", "From %s on there is a rate of %s %% for %s in %s already; end it first", o.ValidFrom, o.Percent, r.Category, r.Jurisdiction)
		}
	}
	return nil
}

func (r *TaxRate) period() civil.Period { return civil.Period{From: r.ValidFrom, To: r.ValidTo} }

// exactPercent reads a percentage as a fraction of whole numbers.
func exactPercent(v jsontext.Value) (compute.Percent, bool) {
	text := strings.Trim(string(v), `"`)
	r, ok := new(big.Rat).SetString(text)
	if !ok || len(text) > 20 || strings.ContainsAny(text, "/eE") || !r.Num().IsInt64() || !r.Denom().IsInt64() || r.Denom().Int64() > 1_000_000 {
		return compute.Percent{}, false
	}
	return compute.Percent{Num: r.Num().Int64(), Den: r.Denom().Int64()}, true
}

// defaultRates makes the rates of a country that the house knows, where the tenant has none
// of it.
func defaultRates(tx *store.Tx, country string) error {
	n, err := TaxRates.Count(tx, tmf.Where{"jurisdiction": country})
	if err != nil || n > 0 {
		return err
	}
	since := civil.Date{Year: 2021, Month: time.January, Day: 1}
	for _, r := range []struct{ category, code, percent, reason string }{
		{TaxStandard, "S", "19", ""}, {"reduced", "S", "7", ""}, {"zero", "Z", "0", ""}, {TaxExempt, "E", "0", "Exempt from tax"},
		{TaxReverseCharge, "AE", "0", "Reverse charge: the customer owes the tax"}, {TaxThirdCountry, "G", "0", "Export outside the EU"},
	} {
		t := &TaxRate{Jurisdiction: country, Category: r.category, Code: r.code, Percent: jsontext.Value(r.percent), Reason: r.reason, ValidFrom: since}
		if err := TaxRates.Create(tx, t); err != nil {
			return err
		}
	}
	return nil
}

// rateTable is the rates of a jurisdiction.
type rateTable []compute.TaxRate

// ratesOf reads the tables of a tenant once in a transaction, by jurisdiction.
func ratesOf(tx *store.Tx) (map[string]rateTable, error) {
	type key struct{}
	v, err := tx.Memo(key{}, func() (any, error) {
		all, err := TaxRates.Select(tx, nil, tmf.Page{Sort: "id"})
		out := map[string]rateTable{}
		for _, r := range all {
			percent, _ := exactPercent(r.Percent)
			out[r.Jurisdiction] = append(out[r.Jurisdiction], compute.TaxRate{Category: r.Category, Code: r.Code, Percent: percent, Period: r.period(), Reason: r.Reason})
		}
		return out, err
	})
	if err != nil {
		return nil, err
	}
	return v.(map[string]rateTable), nil
}

func (t rateTable) has(category string) bool {
	return slices.ContainsFunc(t, func(r compute.TaxRate) bool { return r.Category == category })
}

// generic are words for a tax that say nothing of its rate.
var generic = []string{"", "vat", "tax", "ust", "mwst", "iva", "tva", "gst", "s", "normal"}

// category is that of a charge: the one its terms name, or the one that the tax of its price
// means; a tax that only names a percentage is the category that had it on the date, or
// that ever had: what was sold with the old rate is taxed with the new one from its day on.
func (t rateTable) category(named, word, percent string, at civil.Date) (string, bool) {
	switch {
	case named != "":
		return named, t.has(named)
	case t.has(word):
		return word, true
	case !slices.Contains(generic, strings.ToLower(word)):
		return word, false
	}
	p, ok := exactPercent(jsontext.Value(percent))
	if percent == "" || !ok {
		return TaxStandard, t.has(TaxStandard)
	}
	ever := ""
	for _, r := range t {
		if r.Percent.Num*p.Den != p.Num*r.Percent.Den || !slices.Contains([]string{"S", "Z", "L", "M"}, r.Code) {
			continue
		}
		if r.Period.Contains(at) {
			return r.Category, true
		}
		ever = r.Category
	}
	return cmp.Or(ever, percent+" %"), ever != ""
}

// union are the members of the customs union by country, Northern Ireland and Greece by the
// letters of their VAT ids too.
var union = strings.Fields("AT BE BG CY CZ DE DK EE EL ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI")

func inUnion(country string) bool { return slices.Contains(union, country) }

// treated are the treatments that an account names instead of letting the house find out.
var treated = []string{TaxStandard, TaxReverseCharge, TaxThirdCountry, TaxExempt}

// exemptions are the times in which an account is exempt in a jurisdiction, by the dates of
// its certificates where the account is: a tax point is exempt if its day is one of them.
func exemptions(a *Account, jurisdiction string, terms *compute.Terms) (out []compute.Exemption) {
	if slices.Contains(treated, a.TaxTreatment) {
		return nil
	}
	for _, x := range a.TaxExemption {
		if x.IssuingJurisdiction != jurisdiction && x.IssuingJurisdiction != countryOf(jurisdiction) {
			continue
		}
		e := compute.Exemption{Category: TaxExempt}
		if v := x.ValidFor; v != nil {
			if !v.StartDateTime.IsZero() {
				e.Period.From = terms.Date(v.StartDateTime)
			}
			if !v.EndDateTime.IsZero() {
				if e.Period.To = terms.Date(v.EndDateTime); terms.Start(e.Period.To).Before(v.EndDateTime) {
					e.Period.To = e.Period.To.AddDays(1)
				}
			}
		}
		out = append(out, e)
	}
	return out
}

// treatment is what category all supplies to a buyer have, and the jurisdiction whose rates
// hold; "": each supply has its own.
func treatment(a *Account, e *LegalEntity, buyer *DocumentParty) (override, jurisdiction string) {
	jurisdiction = e.Jurisdiction
	if a.TaxJurisdiction != "" {
		jurisdiction = a.TaxJurisdiction
	}
	switch a.TaxTreatment {
	case TaxStandard:
		return "", jurisdiction
	case TaxReverseCharge, TaxThirdCountry, TaxExempt:
		return a.TaxTreatment, jurisdiction
	}
	home, vat := countryOf(e.Jurisdiction), ""
	if len(buyer.VATID) > 2 {
		vat = countryOf(buyer.VATID)
	}
	switch {
	case !inUnion(home):
		return "", jurisdiction
	case vat != "" && vat != home && inUnion(vat):
		return TaxReverseCharge, jurisdiction
	case buyer.Country != "" && !inUnion(buyer.Country):
		return TaxThirdCountry, jurisdiction
	}
	return "", jurisdiction
}

// countryOf is the country of a jurisdiction or VAT id, Greece by its ISO letters.
func countryOf(text string) string {
	country := text[:min(2, len(text))]
	if country == "EL" {
		return "GR"
	}
	return country
}

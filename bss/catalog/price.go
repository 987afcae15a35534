package catalog

import (
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/tmf"
)

// ProductOfferingPrice is a charge, an allowance or the alteration of a charge
// (TMF620). Amounts are without tax; tax is worked out when billing.
type ProductOfferingPrice struct {
	tmf.Entity
	Name            string          `json:"name,omitzero" tmf:"required"`
	Description     string          `json:"description,omitzero"`
	Version         string          `json:"version,omitzero"`
	LifecycleStatus string          `json:"lifecycleStatus,omitzero"`
	LastUpdate      time.Time       `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod `json:"validFor,omitzero"`
	IsBundle        *bool           `json:"isBundle,omitzero"`

	PriceType                   string         `json:"priceType,omitzero"` // recurring, oneTime, usage, discount ...
	Price                       *tmf.Money     `json:"price,omitzero"`
	Percentage                  jsontext.Value `json:"percentage,omitzero"` // of the price altered; digits as given
	UnitOfMeasure               *tmf.Quantity  `json:"unitOfMeasure,omitzero"`
	RecurringChargePeriodType   string         `json:"recurringChargePeriodType,omitzero"`
	RecurringChargePeriodLength *int64         `json:"recurringChargePeriodLength,omitzero"`

	Tax                    []TaxItem           `json:"tax,omitzero"`
	ProdSpecCharValueUse   []ValueUse          `json:"prodSpecCharValueUse,omitzero"` // the price holds for these values
	PricingLogicAlgorithm  []PricingLogic      `json:"pricingLogicAlgorithm,omitzero"`
	BundledPopRelationship []BundledPriceRel   `json:"bundledPopRelationship,omitzero"`
	PopRelationship        []PriceRelationship `json:"popRelationship,omitzero"`
	ProductOfferingTerm    []Term              `json:"productOfferingTerm,omitzero"`
	Constraint             []Ref               `json:"constraint,omitzero"`
	Place                  []Ref               `json:"place,omitzero"`
}

// TaxItem is a tax that applies to the price: a rate in percent, or an amount.
type TaxItem struct {
	ID          string         `json:"id,omitzero"`
	Href        string         `json:"href,omitzero"`
	TaxCategory string         `json:"taxCategory,omitzero"`
	TaxRate     jsontext.Value `json:"taxRate,omitzero"`
	TaxAmount   *tmf.Money     `json:"taxAmount,omitzero"`
	tmf.Extension
}

// PricingLogic names an algorithm of the rating room.
type PricingLogic struct {
	ID          string          `json:"id,omitzero"`
	Href        string          `json:"href,omitzero"`
	Name        string          `json:"name,omitzero"`
	Description string          `json:"description,omitzero"`
	PlaSpecID   string          `json:"plaSpecId,omitzero"`
	ValidFor    *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// BundledPriceRel is a part of a composite price.
type BundledPriceRel struct {
	ID   string `json:"id,omitzero" tmf:"required"`
	Href string `json:"href,omitzero"`
	Name string `json:"name,omitzero"`
	tmf.Extension
}

// PriceRelationship ties a price to another: a discount to what it lowers.
type PriceRelationship struct {
	ID               string `json:"id,omitzero" tmf:"required"`
	Href             string `json:"href,omitzero"`
	Name             string `json:"name,omitzero"`
	Role             string `json:"role,omitzero"`
	RelationshipType string `json:"relationshipType,omitzero"`
	ReferredType     string `json:"@referredType,omitzero"`
	tmf.Extension
}

// OfferingPrices are the prices of the tenant.
var OfferingPrices = tmf.Kind[ProductOfferingPrice, *ProductOfferingPrice]{
	Still: true,
	API:   &API, Name: "productOfferingPrice", Table: "catalog_price", Verbs: tmf.All,
	Index:     []string{"lifecycleStatus", "name", "priceType"},
	Multi:     []string{"bundledPopRelationship.id", "popRelationship.id", "prodSpecCharValueUse.productSpecification.id"},
	StateAttr: "lifecycleStatus", Moves: lifecycle, Frozen: []string{"lastUpdate"},
}

// Sorts of price the house acts on. The file leaves priceType free: words are
// compared without case, blanks and hyphens.
const (
	Recurring = "recurring"
	OneTime   = "onetime"
	Usage     = "usage"
)

// alterations are the types of price that change another one and may be negative.
var alterations = []string{"discount", "alteration", "rebate", "credit", "surcharge", "allowance", "penalty"}

// Sort is the type of the price in canonical form: "recurring", "onetime", "usage",
// or the operator's own word in lower case.
func (p *ProductOfferingPrice) Sort() string {
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(p.PriceType))
}

// IsAlteration says that the price changes another one.
func (p *ProductOfferingPrice) IsAlteration() bool { return slices.Contains(alterations, p.Sort()) }

var periodUnits = map[string]string{
	"day": "day", "days": "day", "daily": "day", "week": "week", "weeks": "week", "weekly": "week",
	"month": "month", "months": "month", "monthly": "month", "quarter": "quarter", "quarterly": "quarter",
	"year": "year", "years": "year", "yearly": "year", "annual": "year",
}

// Period is how often a recurring price falls due: "day", "week", "month",
// "quarter" or "year", and how many of them; ok is false if the price has none.
func (p *ProductOfferingPrice) Period() (unit string, count int64, ok bool) {
	unit, ok = periodUnits[strings.ToLower(p.RecurringChargePeriodType)]
	count = 1
	if p.RecurringChargePeriodLength != nil && *p.RecurringChargePeriodLength > 0 {
		count = *p.RecurringChargePeriodLength
	}
	return unit, count, ok
}

// lowering are the sorts of alteration that take away from a charge.
var lowering = []string{"discount", "rebate", "credit"}

// Lowers says that the price takes away from a charge.
func (p *ProductOfferingPrice) Lowers() bool { return slices.Contains(lowering, p.Sort()) }

// Signed is an amount of the price as it counts: what a discount takes away is
// negative. The catalogue has it with either sign.
func (p *ProductOfferingPrice) Signed(amount tmf.Money) (tmf.Money, error) {
	if !p.Lowers() || amount.Sign() <= 0 {
		return amount, nil
	}
	return amount.Neg()
}

// Percent is the exact percentage of an alteration; ok is false if it has none.
func (p *ProductOfferingPrice) Percent() (rate *big.Rat, ok bool) { return number(p.Percentage) }

package catalog

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/tmf"
)

// ProductOffering is what can be ordered, under which conditions (TMF620).
type ProductOffering struct {
	tmf.Entity
	Name            string          `json:"name,omitzero" tmf:"required"`
	Description     string          `json:"description,omitzero"`
	Version         string          `json:"version,omitzero"`
	LifecycleStatus string          `json:"lifecycleStatus,omitzero"`
	StatusReason    string          `json:"statusReason,omitzero"`
	LastUpdate      time.Time       `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod `json:"validFor,omitzero"`
	IsBundle        *bool           `json:"isBundle,omitzero"`
	IsSellable      *bool           `json:"isSellable,omitzero"` // false: only as part of a bundle

	ProductSpecification        *Ref                   `json:"productSpecification,omitzero"`
	ProdSpecCharValueUse        []ValueUse             `json:"prodSpecCharValueUse,omitzero"`
	ProductOfferingPrice        []PriceRefOrValue      `json:"productOfferingPrice,omitzero"`
	ProductOfferingTerm         []Term                 `json:"productOfferingTerm,omitzero"`
	BundledProductOffering      []BundledOffering      `json:"bundledProductOffering,omitzero"`
	ProductOfferingRelationship []OfferingRelationship `json:"productOfferingRelationship,omitzero"`
	Category                    []Ref                  `json:"category,omitzero"`

	// Who may have it. An empty list means everybody; Eligibility are conditions.
	MarketSegment []Ref       `json:"marketSegment,omitzero"`
	Channel       []Ref       `json:"channel,omitzero"`
	Place         []Ref       `json:"place,omitzero"`
	Eligibility   []Condition `json:"eligibility,omitzero"`

	Agreement             []Ref            `json:"agreement,omitzero"`
	Attachment            []tmf.Attachment `json:"attachment,omitzero"`
	ResourceCandidate     *Ref             `json:"resourceCandidate,omitzero"`
	ServiceCandidate      *Ref             `json:"serviceCandidate,omitzero"`
	ServiceLevelAgreement *Ref             `json:"serviceLevelAgreement,omitzero"`
}

// Ref points to another thing, always by id.
type Ref struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Version      string `json:"version,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// Term is a commitment: how long the customer binds himself.
type Term struct {
	Name        string          `json:"name,omitzero"`
	Description string          `json:"description,omitzero"`
	Duration    *tmf.Duration   `json:"duration,omitzero"`
	ValidFor    *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// BundledOffering is a part of a bundle.
type BundledOffering struct {
	ID              string         `json:"id,omitzero" tmf:"required"`
	Href            string         `json:"href,omitzero"`
	Name            string         `json:"name,omitzero"`
	LifecycleStatus string         `json:"lifecycleStatus,omitzero"`
	Option          *BundledOption `json:"bundledProductOfferingOption,omitzero"`
	tmf.Extension
}

// BundledOption says how often a part may be taken; nothing said means once.
type BundledOption struct {
	LowerLimit *int64 `json:"numberRelOfferLowerLimit,omitzero"`
	UpperLimit *int64 `json:"numberRelOfferUpperLimit,omitzero"`
	Default    *int64 `json:"numberRelOfferDefault,omitzero"`
	tmf.Extension
}

// Limits are the least, the greatest and the default number of the part.
func (b BundledOffering) Limits() (lower, upper, usual int64) {
	lower, upper = 1, 1
	if o := b.Option; o != nil {
		if o.LowerLimit != nil {
			lower = *o.LowerLimit
		}
		upper = max(upper, lower)
		if o.UpperLimit != nil {
			upper = *o.UpperLimit
		}
		if o.Default != nil {
			return lower, upper, *o.Default
		}
	}
	return lower, upper, lower
}

// Types of relationship the house acts on; others are kept and mean nothing to it.
const (
	Requires     = "requires"     // only together with the other
	Excludes     = "excludes"     // never together with the other
	OptionalFor  = "optionalFor"  // only as an addition to one of those named
	Substitution = "substitution" // the older version this one replaces
)

// OfferingRelationship ties an offering to another one.
type OfferingRelationship struct {
	ID               string          `json:"id,omitzero" tmf:"required"`
	Href             string          `json:"href,omitzero"`
	Name             string          `json:"name,omitzero"`
	Role             string          `json:"role,omitzero"`
	RelationshipType string          `json:"relationshipType,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	ReferredType     string          `json:"@referredType,omitzero"`
	tmf.Extension
}

// Condition is a rule of eligibility: an expression over [Env] that must be true,
// and what to tell the customer if it is not. An extension of TMF620.
type Condition struct {
	Expr   string `json:"expr,omitzero" tmf:"required"`
	Reason string `json:"reason,omitzero" tmf:"required"`
	tmf.Extension
}

// PriceRefOrValue is a reference to a price; one written out in place is made a
// price of its own when the offering is saved (see inline.go).
type PriceRefOrValue struct {
	ID                          string            `json:"id,omitzero"`
	Href                        string            `json:"href,omitzero"`
	Name                        string            `json:"name,omitzero"`
	Description                 string            `json:"description,omitzero"`
	Version                     string            `json:"version,omitzero"`
	LifecycleStatus             string            `json:"lifecycleStatus,omitzero"`
	LastUpdate                  time.Time         `json:"lastUpdate,omitzero"`
	PriceType                   string            `json:"priceType,omitzero"`
	Price                       *PriceValue       `json:"price,omitzero"`
	PriceAlteration             []PriceAlteration `json:"priceAlteration,omitzero"`
	RecurringChargePeriod       string            `json:"recurringChargePeriod,omitzero"`
	RecurringChargePeriodLength *int64            `json:"recurringChargePeriodLength,omitzero"`
	UnitOfMeasure               *tmf.Quantity     `json:"unitOfMeasure,omitzero"`
	Constraint                  []Ref             `json:"constraint,omitzero"`
	ValidFor                    *tmf.TimePeriod   `json:"validFor,omitzero"`
	ReferredType                string            `json:"@referredType,omitzero"`
	tmf.Extension
}

// PriceValue is an amount without or with tax, or a percentage.
type PriceValue struct {
	DutyFreeAmount    *tmf.Money     `json:"dutyFreeAmount,omitzero"`
	TaxIncludedAmount *tmf.Money     `json:"taxIncludedAmount,omitzero"`
	TaxRate           jsontext.Value `json:"taxRate,omitzero"`
	TaxCategory       string         `json:"taxCategory,omitzero"`
	Percentage        jsontext.Value `json:"percentage,omitzero"`
	tmf.Extension
}

// PriceAlteration changes a price written out in place.
type PriceAlteration struct {
	ID                    string          `json:"id,omitzero"`
	Href                  string          `json:"href,omitzero"`
	Name                  string          `json:"name,omitzero"`
	Description           string          `json:"description,omitzero"`
	PriceType             string          `json:"priceType,omitzero" tmf:"required"`
	Price                 *PriceValue     `json:"price,omitzero" tmf:"required"`
	Priority              *int64          `json:"priority,omitzero"`
	ApplicationDuration   *tmf.Duration   `json:"applicationDuration,omitzero"`
	RecurringChargePeriod string          `json:"recurringChargePeriod,omitzero"`
	UnitOfMeasure         *tmf.Quantity   `json:"unitOfMeasure,omitzero"`
	ValidFor              *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// Offerings are the product offerings of the tenant.
var Offerings = tmf.Kind[ProductOffering, *ProductOffering]{
	Still: true,
	API:   &API, Name: "productOffering", Table: "catalog_offering", Verbs: tmf.All,
	Index: []string{"lifecycleStatus", "name", "productSpecification.id"},
	Multi: []string{"category.id", "productOfferingPrice.id", "bundledProductOffering.id", "productOfferingRelationship.id",
		"prodSpecCharValueUse.productSpecification.id"},
	StateAttr: "lifecycleStatus", Moves: lifecycle, Frozen: []string{"lastUpdate"},
}

func isTrue(b *bool) bool { return b != nil && *b }

package catalog

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/tmf"
)

// ProductSpecification says what a product is and what can be chosen about it. It
// names the customer-facing service that realises it (serviceSpecification): an id
// of the network wing, which the catalogue never looks into.
type ProductSpecification struct {
	tmf.Entity
	Name            string          `json:"name,omitzero" tmf:"required"`
	Description     string          `json:"description,omitzero"`
	Brand           string          `json:"brand,omitzero"`
	ProductNumber   string          `json:"productNumber,omitzero"`
	Version         string          `json:"version,omitzero"`
	LifecycleStatus string          `json:"lifecycleStatus,omitzero"`
	LastUpdate      time.Time       `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod `json:"validFor,omitzero"`
	IsBundle        *bool           `json:"isBundle,omitzero"`

	ProductSpecCharacteristic        []SpecCharacteristic `json:"productSpecCharacteristic,omitzero"`
	ServiceSpecification             []Ref                `json:"serviceSpecification,omitzero"`
	ResourceSpecification            []Ref                `json:"resourceSpecification,omitzero"`
	BundledProductSpecification      []BundledSpec        `json:"bundledProductSpecification,omitzero"`
	ProductSpecificationRelationship []SpecRelationship   `json:"productSpecificationRelationship,omitzero"`
	TargetProductSchema              *TargetSchema        `json:"targetProductSchema,omitzero"`
	Attachment                       []tmf.Attachment     `json:"attachment,omitzero"`
	RelatedParty                     []tmf.RelatedParty   `json:"relatedParty,omitzero"`
}

// SpecCharacteristic is something about the product that has a value.
type SpecCharacteristic struct {
	ID                  string          `json:"id,omitzero"`
	Name                string          `json:"name,omitzero" tmf:"required"`
	Description         string          `json:"description,omitzero"`
	ValueType           string          `json:"valueType,omitzero"`
	Configurable        *bool           `json:"configurable,omitzero"` // false: the customer does not choose
	Extensible          *bool           `json:"extensible,omitzero"`   // true: other values than those listed may be given
	IsUnique            *bool           `json:"isUnique,omitzero"`
	MinCardinality      *int64          `json:"minCardinality,omitzero"`
	MaxCardinality      *int64          `json:"maxCardinality,omitzero"` // 0: no limit
	Regex               string          `json:"regex,omitzero"`
	ValidFor            *tmf.TimePeriod `json:"validFor,omitzero"`
	Values              []ValueSpec     `json:"productSpecCharacteristicValue,omitzero"`
	Relationship        []CharRelation  `json:"productSpecCharRelationship,omitzero"`
	ValueSchemaLocation string          `json:"@valueSchemaLocation,omitzero"`
	tmf.Extension
}

// ValueSpec is an allowed value: one value, a range of numbers, or a pattern.
type ValueSpec struct {
	Value         jsontext.Value  `json:"value,omitzero"`
	IsDefault     *bool           `json:"isDefault,omitzero"`
	ValueFrom     *int64          `json:"valueFrom,omitzero"`
	ValueTo       *int64          `json:"valueTo,omitzero"`
	RangeInterval string          `json:"rangeInterval,omitzero" tmf:"enum=open|closed|closedBottom|closedTop"`
	Regex         string          `json:"regex,omitzero"`
	UnitOfMeasure string          `json:"unitOfMeasure,omitzero"`
	ValueType     string          `json:"valueType,omitzero"`
	ValidFor      *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// CharRelation ties a characteristic to another of the same specification.
type CharRelation struct {
	ID               string          `json:"id,omitzero"`
	Href             string          `json:"href,omitzero"`
	Name             string          `json:"name,omitzero"`
	CharSpecSeq      *int64          `json:"charSpecSeq,omitzero"`
	RelationshipType string          `json:"relationshipType,omitzero"` // dependency, exclusivity ...
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// ValueUse narrows a characteristic of a specification for an offering or price.
type ValueUse struct {
	ID                   string          `json:"id,omitzero"`
	Name                 string          `json:"name,omitzero" tmf:"required"`
	Description          string          `json:"description,omitzero"`
	ValueType            string          `json:"valueType,omitzero"`
	MinCardinality       *int64          `json:"minCardinality,omitzero"`
	MaxCardinality       *int64          `json:"maxCardinality,omitzero"`
	Values               []ValueSpec     `json:"productSpecCharacteristicValue,omitzero"`
	ProductSpecification *Ref            `json:"productSpecification,omitzero"`
	ValidFor             *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// BundledSpec is a part of a composite specification.
type BundledSpec struct {
	ID              string `json:"id,omitzero" tmf:"required"`
	Href            string `json:"href,omitzero"`
	Name            string `json:"name,omitzero"`
	LifecycleStatus string `json:"lifecycleStatus,omitzero"`
	tmf.Extension
}

// SpecRelationship ties a specification to another one.
type SpecRelationship struct {
	ID               string          `json:"id,omitzero" tmf:"required"`
	Href             string          `json:"href,omitzero"`
	Name             string          `json:"name,omitzero"`
	RelationshipType string          `json:"relationshipType,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	ReferredType     string          `json:"@referredType,omitzero"`
	tmf.Extension
}

// TargetSchema names the schema of the product made from the specification; both
// its attributes are in Extension and the file asks for both.
type TargetSchema struct {
	tmf.Extension
}

// Specs are the product specifications of the tenant.
var Specs = tmf.Kind[ProductSpecification, *ProductSpecification]{
	Still: true,
	API:   &API, Name: "productSpecification", Table: "catalog_spec", Verbs: tmf.All,
	Index:     []string{"lifecycleStatus", "name", "productNumber"},
	Multi:     []string{"bundledProductSpecification.id", "productSpecificationRelationship.id", "serviceSpecification.id"},
	StateAttr: "lifecycleStatus", Moves: lifecycle, Frozen: []string{"lastUpdate"},
}

package spec

import (
	"slices"
	"strings"
	"time"

	"tandem/kit/tmf"
)

// Decomposition are the rules of a branch: when it is taken, how often, and what
// the target is given (see the package comment).
type Decomposition struct {
	MinCardinality *int64    `json:"minCardinality,omitzero"` // default 0 with a condition or quantity, else 1
	MaxCardinality *int64    `json:"maxCardinality,omitzero"` // 0 or absent: no limit
	Quantity       string    `json:"quantity,omitzero"`       // expression -> whole number
	Condition      string    `json:"condition,omitzero"`      // expression -> true or false
	Mapping        []Mapping `json:"mapping,omitzero"`
}

// Mapping gives a characteristic of the target its value.
type Mapping struct {
	Name string `json:"name,omitzero" tmf:"required"`
	Expr string `json:"expr,omitzero" tmf:"required"`
	tmf.Extension
}

// ServiceSpecRelationship leads from a service specification to another.
type ServiceSpecRelationship struct {
	ID               string          `json:"id,omitzero" tmf:"required"`
	Href             string          `json:"href,omitzero"`
	Name             string          `json:"name,omitzero"`
	RelationshipType string          `json:"relationshipType,omitzero" tmf:"required"`
	Role             string          `json:"role,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	ReferredType     string          `json:"@referredType,omitzero"`
	Decomposition
	tmf.Extension
}

// ResourceSpecificationRef leads from a service specification to a resource it runs on.
type ResourceSpecificationRef struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Version      string `json:"version,omitzero"`
	Role         string `json:"role,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	Decomposition
	tmf.Extension
}

// ResourceSpecificationRelationship leads from a resource specification to another.
type ResourceSpecificationRelationship struct {
	ID               string                                `json:"id,omitzero" tmf:"required"`
	Href             string                                `json:"href,omitzero"`
	Name             string                                `json:"name,omitzero"`
	RelationshipType string                                `json:"relationshipType,omitzero" tmf:"required"`
	Role             string                                `json:"role,omitzero"`
	DefaultQuantity  *int64                                `json:"defaultQuantity,omitzero"`
	MinimumQuantity  *int64                                `json:"minimumQuantity,omitzero"`
	MaximumQuantity  *int64                                `json:"maximumQuantity,omitzero"`
	Characteristic   []ResourceSpecificationCharacteristic `json:"characteristic,omitzero"`
	ValidFor         *tmf.TimePeriod                       `json:"validFor,omitzero"`
	Decomposition
	tmf.Extension
}

// EntitySpecificationRelationship leads to a specification of any other sort.
type EntitySpecificationRelationship struct {
	ID               string          `json:"id,omitzero"`
	Href             string          `json:"href,omitzero"`
	Name             string          `json:"name,omitzero"`
	RelationshipType string          `json:"relationshipType,omitzero" tmf:"required"`
	Role             string          `json:"role,omitzero"`
	AssociationSpec  *tmf.Ref        `json:"associationSpec,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	ReferredType     string          `json:"@referredType,omitzero"`
	tmf.Extension
}

// FeatureSpecification is a part that can be switched on and off.
type FeatureSpecification struct {
	ID                        string                               `json:"id,omitzero"`
	Href                      string                               `json:"href,omitzero"`
	Name                      string                               `json:"name,omitzero"`
	Version                   string                               `json:"version,omitzero"`
	IsBundle                  *bool                                `json:"isBundle,omitzero"`
	IsEnabled                 *bool                                `json:"isEnabled,omitzero"`
	Constraint                []tmf.Ref                            `json:"constraint,omitzero"`
	FeatureSpecCharacteristic []FeatureSpecificationCharacteristic `json:"featureSpecCharacteristic,omitzero"`
	FeatureSpecRelationship   []FeatureSpecificationRelationship   `json:"featureSpecRelationship,omitzero"`
	ValidFor                  *tmf.TimePeriod                      `json:"validFor,omitzero"`
	tmf.Extension
}

// FeatureSpecificationRelationship leads to another feature.
type FeatureSpecificationRelationship struct {
	FeatureID               string          `json:"featureId,omitzero"`
	Name                    string          `json:"name,omitzero" tmf:"required"`
	ParentSpecificationHref string          `json:"parentSpecificationHref,omitzero"`
	ParentSpecificationID   string          `json:"parentSpecificationId,omitzero"`
	RelationshipType        string          `json:"relationshipType,omitzero" tmf:"required"`
	ValidFor                *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// TargetSchema names the class of the things made after a specification.
type TargetSchema struct {
	Type           string `json:"@type,omitzero"`
	SchemaLocation string `json:"@schemaLocation,omitzero"`
}

// ServiceSpecification is a kind of service: customer facing (CFS) or resource
// facing (RFS), told apart by @type.
type ServiceSpecification struct {
	tmf.Entity
	Name                      string                            `json:"name,omitzero" tmf:"required"`
	Description               string                            `json:"description,omitzero"`
	Version                   string                            `json:"version,omitzero"`
	LifecycleStatus           string                            `json:"lifecycleStatus,omitzero"`
	LastUpdate                time.Time                         `json:"lastUpdate,omitzero"`
	ValidFor                  *tmf.TimePeriod                   `json:"validFor,omitzero"`
	IsBundle                  *bool                             `json:"isBundle,omitzero"`
	Attachment                []tmf.Attachment                  `json:"attachment,omitzero"`
	Constraint                []tmf.Ref                         `json:"constraint,omitzero"`
	EntitySpecRelationship    []EntitySpecificationRelationship `json:"entitySpecRelationship,omitzero"`
	FeatureSpecification      []FeatureSpecification            `json:"featureSpecification,omitzero"`
	RelatedParty              []tmf.RelatedParty                `json:"relatedParty,omitzero"`
	ResourceSpecification     []ResourceSpecificationRef        `json:"resourceSpecification,omitzero"`
	ServiceLevelSpecification []tmf.Ref                         `json:"serviceLevelSpecification,omitzero"`
	ServiceSpecRelationship   []ServiceSpecRelationship         `json:"serviceSpecRelationship,omitzero"`
	SpecCharacteristic        []CharacteristicSpecification     `json:"specCharacteristic,omitzero"`
	TargetEntitySchema        *TargetSchema                     `json:"targetEntitySchema,omitzero"`
}

// ResourceSpecification is a kind of resource; @type says whether it is a
// LogicalResourceSpecification or a PhysicalResourceSpecification, of which the
// last four attributes are.
type ResourceSpecification struct {
	tmf.Entity
	Name                       string                                `json:"name,omitzero" tmf:"required"`
	Description                string                                `json:"description,omitzero"`
	Version                    string                                `json:"version,omitzero"`
	Category                   string                                `json:"category,omitzero"`
	LifecycleStatus            string                                `json:"lifecycleStatus,omitzero"`
	LastUpdate                 time.Time                             `json:"lastUpdate,omitzero"`
	ValidFor                   *tmf.TimePeriod                       `json:"validFor,omitzero"`
	IsBundle                   *bool                                 `json:"isBundle,omitzero"`
	Attachment                 []tmf.Attachment                      `json:"attachment,omitzero"`
	FeatureSpecification       []FeatureSpecification                `json:"featureSpecification,omitzero"`
	RelatedParty               []tmf.RelatedParty                    `json:"relatedParty,omitzero"`
	ResourceSpecCharacteristic []ResourceSpecificationCharacteristic `json:"resourceSpecCharacteristic,omitzero"`
	ResourceSpecRelationship   []ResourceSpecificationRelationship   `json:"resourceSpecRelationship,omitzero"`
	TargetResourceSchema       *TargetSchema                         `json:"targetResourceSchema,omitzero"`
	Model                      string                                `json:"model,omitzero"`
	Part                       string                                `json:"part,omitzero"`
	SKU                        string                                `json:"sku,omitzero"`
	Vendor                     string                                `json:"vendor,omitzero"`
}

// Kinds of things a specification makes.
const (
	Service  = "service"
	Resource = "resource"
)

// member is a specification of either sort as decomposition sees it.
type member struct {
	kind, id, name, version, class, category, status string
	rev                                              int64
	traits                                           []trait
	links                                            []link
}

// link is a branch of either sort.
type link struct {
	where    string // path in the document, for messages
	kind, id string // target
	relation string
	role     string
	rules    Decomposition
}

// Specified is a service or resource specification.
type Specified interface{ member() *member }

func (s *ServiceSpecification) member() *member {
	m := &member{kind: Service, id: s.ID, name: s.Name, version: s.Version, class: s.Type, status: s.LifecycleStatus, rev: s.Rev()}
	for _, c := range s.SpecCharacteristic {
		m.traits = append(m.traits, trait{c.CharacteristicRule, c.Values})
	}
	for i, r := range s.ServiceSpecRelationship {
		m.links = append(m.links, link{at("serviceSpecRelationship", i), Service, r.ID, r.RelationshipType, r.Role, r.Decomposition})
	}
	for i, r := range s.ResourceSpecification {
		m.links = append(m.links, link{at("resourceSpecification", i), Resource, r.ID, Requires, r.Role, r.Decomposition})
	}
	return m
}

func (s *ResourceSpecification) member() *member {
	m := &member{kind: Resource, id: s.ID, name: s.Name, version: s.Version, class: s.Type, category: s.Category, status: s.LifecycleStatus, rev: s.Rev()}
	for _, c := range s.ResourceSpecCharacteristic {
		m.traits = append(m.traits, trait{c.CharacteristicRule, c.Values})
	}
	for i, r := range s.ResourceSpecRelationship {
		m.links = append(m.links, link{at("resourceSpecRelationship", i), Resource, r.ID, r.RelationshipType, r.Role, r.rules()})
	}
	return m
}

// rules reads the quantities of TMF634 as cardinalities where none are given.
func (r *ResourceSpecificationRelationship) rules() Decomposition {
	d := r.Decomposition
	if d.MinCardinality == nil {
		d.MinCardinality = r.MinimumQuantity
	}
	if d.MaxCardinality == nil {
		d.MaxCardinality = r.MaximumQuantity
	}
	if d.Quantity == "" && r.DefaultQuantity != nil {
		d.Quantity = bound(r.DefaultQuantity)
	}
	return d
}

func (m *member) title() string { return m.kind + " specification " + m.name }

func (m *member) trait(name string) *trait {
	i := slices.IndexFunc(m.traits, func(t trait) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &m.traits[i]
}

func (m *member) traitNames() string {
	out := make([]string, len(m.traits))
	for i, t := range m.traits {
		out[i] = t.Name
	}
	return strings.Join(out, ", ")
}

// Relationship types that make one specification part of another. Any other type
// (migration, substitution, ...) is kept and decomposes nothing.
const (
	Requires = "requires" // made together with the source and for it alone
	ReliesOn = "reliesOn" // shared: used if it is there, made if not
	Contains = "contains" // a physical or logical part
)

func decomposes(relation string) bool {
	return relation == Requires || relation == ReliesOn || relation == Contains
}

package spec

import (
	"time"

	"tandem/kit/tmf"
)

// ServiceCatalog is a named collection of categories of services.
type ServiceCatalog struct {
	tmf.Entity
	Name            string             `json:"name,omitzero" tmf:"required"`
	Description     string             `json:"description,omitzero"`
	Version         string             `json:"version,omitzero"`
	LifecycleStatus string             `json:"lifecycleStatus,omitzero"`
	LastUpdate      time.Time          `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod    `json:"validFor,omitzero"`
	Category        []tmf.Ref          `json:"category,omitzero"`
	RelatedParty    []tmf.RelatedParty `json:"relatedParty,omitzero"`
}

// ResourceCatalog is a named collection of categories of resources.
type ResourceCatalog struct {
	tmf.Entity
	Name            string             `json:"name,omitzero" tmf:"required"`
	Description     string             `json:"description,omitzero"`
	Version         string             `json:"version,omitzero"`
	LifecycleStatus string             `json:"lifecycleStatus,omitzero"`
	LastUpdate      time.Time          `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod    `json:"validFor,omitzero"`
	Category        []tmf.Ref          `json:"category,omitzero"`
	RelatedParty    []tmf.RelatedParty `json:"relatedParty,omitzero"`
}

// ServiceCategory groups service candidates; categories form trees.
type ServiceCategory struct {
	tmf.Entity
	Name             string          `json:"name,omitzero" tmf:"required"`
	Description      string          `json:"description,omitzero"`
	Version          string          `json:"version,omitzero"`
	LifecycleStatus  string          `json:"lifecycleStatus,omitzero"`
	LastUpdate       time.Time       `json:"lastUpdate,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	IsRoot           *bool           `json:"isRoot,omitzero"`
	ParentID         string          `json:"parentId,omitzero"`
	Category         []tmf.Ref       `json:"category,omitzero"`
	ServiceCandidate []tmf.Ref       `json:"serviceCandidate,omitzero"`
}

// ResourceCategory groups resource candidates; categories form trees.
type ResourceCategory struct {
	tmf.Entity
	Name              string             `json:"name,omitzero" tmf:"required"`
	Description       string             `json:"description,omitzero"`
	Version           string             `json:"version,omitzero"`
	LifecycleStatus   string             `json:"lifecycleStatus,omitzero"`
	LastUpdate        time.Time          `json:"lastUpdate,omitzero"`
	ValidFor          *tmf.TimePeriod    `json:"validFor,omitzero"`
	IsRoot            *bool              `json:"isRoot,omitzero"`
	ParentID          string             `json:"parentId,omitzero"`
	Category          []tmf.Ref          `json:"category,omitzero"`
	ResourceCandidate []tmf.Ref          `json:"resourceCandidate,omitzero"`
	RelatedParty      []tmf.RelatedParty `json:"relatedParty,omitzero"`
}

// ServiceCandidate offers a service specification in categories.
type ServiceCandidate struct {
	tmf.Entity
	Name                 string          `json:"name,omitzero" tmf:"required"`
	Description          string          `json:"description,omitzero"`
	Version              string          `json:"version,omitzero"`
	LifecycleStatus      string          `json:"lifecycleStatus,omitzero"`
	LastUpdate           time.Time       `json:"lastUpdate,omitzero"`
	ValidFor             *tmf.TimePeriod `json:"validFor,omitzero"`
	Category             []tmf.Ref       `json:"category,omitzero"`
	ServiceSpecification *tmf.Ref        `json:"serviceSpecification,omitzero" tmf:"required"`
}

// ResourceCandidate offers a resource specification in categories.
type ResourceCandidate struct {
	tmf.Entity
	Name                  string          `json:"name,omitzero" tmf:"required"`
	Description           string          `json:"description,omitzero"`
	Version               string          `json:"version,omitzero"`
	LifecycleStatus       string          `json:"lifecycleStatus,omitzero"`
	LastUpdate            time.Time       `json:"lastUpdate,omitzero"`
	ValidFor              *tmf.TimePeriod `json:"validFor,omitzero"`
	Category              []tmf.Ref       `json:"category,omitzero"`
	ResourceSpecification *tmf.Ref        `json:"resourceSpecification,omitzero"`
}

package inventory

import (
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Service states (TMF638).
const (
	FeasibilityChecked = "feasibilityChecked"
	Designed           = "designed"
	Reserved           = "reserved"
	Inactive           = "inactive"
	Active             = "active"
	Terminated         = "terminated"
)

var serviceMoves = tmf.Moves{
	"":                 {FeasibilityChecked, Designed, Reserved, Inactive, Active},
	FeasibilityChecked: {Designed, Reserved, Inactive, Active, Terminated},
	Designed:           {FeasibilityChecked, Reserved, Inactive, Active, Terminated},
	Reserved:           {Designed, Inactive, Active, Terminated},
	Inactive:           {Active, Terminated},
	Active:             {Inactive, Terminated},
	Terminated:         {},
}

// Service is a customer facing or resource facing service as it stands in the network.
type Service struct {
	tmf.Entity
	Category              string                    `json:"category,omitzero"`
	Description           string                    `json:"description,omitzero"`
	EndDate               time.Time                 `json:"endDate,omitzero"`
	Feature               []Feature                 `json:"feature,omitzero"`
	HasStarted            *bool                     `json:"hasStarted,omitzero"`
	IsBundle              *bool                     `json:"isBundle,omitzero"`
	IsServiceEnabled      *bool                     `json:"isServiceEnabled,omitzero"`
	IsStateful            *bool                     `json:"isStateful,omitzero"`
	Name                  string                    `json:"name,omitzero"`
	Note                  []tmf.Note                `json:"note,omitzero"`
	Place                 []tmf.Place               `json:"place,omitzero"`
	RelatedEntity         []tmf.Ref                 `json:"relatedEntity,omitzero"`
	RelatedParty          []tmf.RelatedParty        `json:"relatedParty,omitzero"`
	ServiceCharacteristic []tmf.Characteristic      `json:"serviceCharacteristic,omitzero"`
	ServiceDate           string                    `json:"serviceDate,omitzero"`
	ServiceOrderItem      []RelatedServiceOrderItem `json:"serviceOrderItem,omitzero"`
	ServiceRelationship   []ServiceRelationship     `json:"serviceRelationship,omitzero"`
	ServiceSpecification  *tmf.Ref                  `json:"serviceSpecification,omitzero" tmf:"required"`
	ServiceType           string                    `json:"serviceType,omitzero"`
	StartDate             time.Time                 `json:"startDate,omitzero"`
	StartMode             string                    `json:"startMode,omitzero"`
	State                 string                    `json:"state,omitzero" tmf:"required,enum=feasibilityChecked|designed|reserved|inactive|active|terminated"`
	SupportingResource    []tmf.Ref                 `json:"supportingResource,omitzero"`
	SupportingService     []tmf.Ref                 `json:"supportingService,omitzero"`

	// SuspendedSince says that an inactive service was active and is barred since.
	SuspendedSince time.Time `json:"suspendedSince,omitzero"`

	// BuiltBy is the order that made the service or changed it last, if one did:
	// see keep.go.
	BuiltBy string `json:"builtBy,omitzero"`
}

// ServiceRelationship ties a service to another; the types are in relation.go.
type ServiceRelationship struct {
	RelationshipType                  string               `json:"relationshipType,omitzero" tmf:"required"`
	Role                              string               `json:"role,omitzero"`
	Service                           *tmf.Ref             `json:"service,omitzero" tmf:"required"`
	ServiceRelationshipCharacteristic []tmf.Characteristic `json:"serviceRelationshipCharacteristic,omitzero"`
	tmf.Extension
}

// Feature is a part of a service or resource that can be switched on and off.
type Feature struct {
	ID                    string                `json:"id,omitzero"`
	Name                  string                `json:"name,omitzero" tmf:"required"`
	IsBundle              *bool                 `json:"isBundle,omitzero"`
	IsEnabled             *bool                 `json:"isEnabled,omitzero"`
	Constraint            []tmf.Ref             `json:"constraint,omitzero"`
	FeatureCharacteristic []tmf.Characteristic  `json:"featureCharacteristic,omitzero" tmf:"required"`
	FeatureRelationship   []FeatureRelationship `json:"featureRelationship,omitzero"`
	tmf.Extension
}

// FeatureRelationship ties a feature to another.
type FeatureRelationship struct {
	ID               string          `json:"id,omitzero"`
	Name             string          `json:"name,omitzero" tmf:"required"`
	RelationshipType string          `json:"relationshipType,omitzero" tmf:"required"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// RelatedServiceOrderItem is the order item that made or changed a service.
type RelatedServiceOrderItem struct {
	ItemID           string `json:"itemId,omitzero" tmf:"required"`
	ItemAction       string `json:"itemAction,omitzero" tmf:"enum=add|modify|delete|noChange"`
	Role             string `json:"role,omitzero"`
	ServiceOrderHref string `json:"serviceOrderHref,omitzero"`
	ServiceOrderID   string `json:"serviceOrderId,omitzero" tmf:"required"`
	ReferredType     string `json:"@referredType,omitzero"`
	tmf.Extension
}

// The API and the services of TMF638.
var (
	ServiceAPI = tmf.API{ID: "TMF638", Name: "Service Inventory", Version: "4.0.0", Base: "/tmf-api/serviceInventory/v4"}
	Services   = tmf.Kind[Service, *Service]{API: &ServiceAPI, Name: "service", Table: "inventory_service", Verbs: tmf.All,
		Index: []string{"state", "serviceSpecification.id"}, Multi: []string{"relatedParty.id"},
		StateAttr: "state", Moves: serviceMoves, Frozen: []string{"builtBy"}}
)

func initServices() {
	keepServices()
	Services.Default = func(tx *store.Tx, s *Service) error {
		if s.ServiceDate == "" {
			s.ServiceDate = tmf.FormatTime(tx.Now())
		}
		return nil
	}
	Services.Check = func(tx *store.Tx, old, s *Service) error {
		if s.ServiceSpecification.ID == "" {
			return fault.BadInput("mandatoryAttributeMissing", "serviceSpecification.id is required")
		}
		if err := s.stamp(tx.Now(), old); err != nil {
			return err
		}
		return checkGraph(tx, serviceNode(old), serviceNode(s))
	}
	Services.Saved = func(tx *store.Tx, old, s *Service) error {
		if s == nil && old.State == Active {
			return fault.Clash("serviceActive", "Service %s is active: terminate it before it is deleted", old.ID)
		}
		return saveGraph(tx, serviceNode(old), serviceNode(s))
	}
}

// stamp keeps the dates of a service in step with its state.
func (s *Service) stamp(now time.Time, old *Service) error {
	yes, no := true, false
	switch s.State {
	case Active:
		s.SuspendedSince = time.Time{}
		s.HasStarted, s.IsServiceEnabled = &yes, &yes
		if s.StartDate.IsZero() {
			s.StartDate = now
		}
	case Inactive:
		s.IsServiceEnabled = &no
	case Terminated:
		s.IsServiceEnabled = &no
		if s.EndDate.IsZero() {
			s.EndDate = now
		}
	}
	if !s.SuspendedSince.IsZero() && s.State != Inactive && s.State != Terminated {
		return fault.BadInput("notSuspended", "suspendedSince belongs to an inactive service; this one is %s", s.State)
	}
	if !s.EndDate.IsZero() && !s.StartDate.IsZero() && s.EndDate.Before(s.StartDate) {
		return fault.BadInput("wrongOrder", "endDate %s is before startDate %s", tmf.FormatTime(s.EndDate), tmf.FormatTime(s.StartDate))
	}
	if old != nil && old.State == Terminated && s.EndDate != old.EndDate {
		return fault.Clash("terminated", "The endDate of a terminated service stands")
	}
	return nil
}

// Suspend makes an active service inactive since at, as confirmed by the network.
func Suspend(tx *store.Tx, id string, at time.Time) (*Service, error) {
	return Services.Edit(tx, id, func(s *Service) error {
		if s.State == Inactive && !s.SuspendedSince.IsZero() {
			return nil
		}
		if s.State != Active {
			return fault.Clash("notActive", "Service %s is %s; only an active one can be suspended", id, s.State)
		}
		s.State, s.SuspendedSince = Inactive, at
		return nil
	})
}

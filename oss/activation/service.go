package activation

import (
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// API is TMF640.
var API = &tmf.API{ID: "TMF640", Name: "Service Activation and Configuration", Version: "4.0.0", Base: "/tmf-api/ServiceActivationAndConfiguration/v4"}

// States of a service (TMF640 ServiceStateType).
const (
	stateFeasible   = "feasibilityChecked"
	stateDesigned   = "designed"
	stateReserved   = "reserved"
	stateInactive   = "inactive"
	stateActive     = "active"
	stateTerminated = "terminated"
	deleted         = "deleted" // of a target: the service goes when it is off its element
)

// Service is a service that an integrator activates directly on an element. serviceType is the type of the resource there
// ("hlrSubscriber"); the characteristics "element" and "key" say where it is and what the element knows it by, the others are its
// attributes, and its secrets, which are sealed and never shown.
type Service struct {
	tmf.Entity
	Category              string                `json:"category,omitzero"`
	Description           string                `json:"description,omitzero"`
	EndDate               time.Time             `json:"endDate,omitzero"`
	Feature               []Feature             `json:"feature,omitzero"`
	HasStarted            *bool                 `json:"hasStarted,omitzero"`
	IsBundle              *bool                 `json:"isBundle,omitzero"`
	IsServiceEnabled      *bool                 `json:"isServiceEnabled,omitzero"`
	IsStateful            *bool                 `json:"isStateful,omitzero"`
	Name                  string                `json:"name,omitzero"`
	Note                  []tmf.Note            `json:"note,omitzero"`
	Place                 []tmf.Place           `json:"place,omitzero"`
	RelatedEntity         []RelatedEntity       `json:"relatedEntity,omitzero"`
	RelatedParty          []tmf.RelatedParty    `json:"relatedParty,omitzero"`
	ServiceCharacteristic []tmf.Characteristic  `json:"serviceCharacteristic,omitzero"`
	ServiceDate           string                `json:"serviceDate,omitzero"`
	ServiceOrderItem      []ServiceOrderItem    `json:"serviceOrderItem,omitzero"`
	ServiceRelationship   []ServiceRelationship `json:"serviceRelationship,omitzero"`
	ServiceSpecification  *tmf.Ref              `json:"serviceSpecification,omitzero" tmf:"required"`
	ServiceType           string                `json:"serviceType,omitzero"`
	StartDate             time.Time             `json:"startDate,omitzero"`
	StartMode             string                `json:"startMode,omitzero"`
	State                 string                `json:"state,omitzero" tmf:"enum=feasibilityChecked|designed|reserved|inactive|active|terminated"`
	SupportingResource    []tmf.Ref             `json:"supportingResource,omitzero"`
	SupportingService     []tmf.Ref             `json:"supportingService,omitzero"`
}

// Feature is a part of a service that is on or off.
type Feature struct {
	ID             string               `json:"id,omitzero"`
	Name           string               `json:"name,omitzero" tmf:"required"`
	IsBundle       *bool                `json:"isBundle,omitzero"`
	IsEnabled      *bool                `json:"isEnabled,omitzero"`
	Constraint     []tmf.Ref            `json:"constraint,omitzero"`
	Characteristic []tmf.Characteristic `json:"featureCharacteristic,omitzero" tmf:"required"`
	tmf.Extension
}

// RelatedEntity is anything else that plays a role; the server sets the one with the role "monitor".
type RelatedEntity struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Role         string `json:"role,omitzero" tmf:"required"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// ServiceOrderItem is the order item that a service comes from.
type ServiceOrderItem struct {
	ItemID           string `json:"itemId,omitzero" tmf:"required"`
	ItemAction       string `json:"itemAction,omitzero"`
	Role             string `json:"role,omitzero"`
	ServiceOrderID   string `json:"serviceOrderId,omitzero" tmf:"required"`
	ServiceOrderHref string `json:"serviceOrderHref,omitzero"`
	ReferredType     string `json:"@referredType,omitzero"`
	tmf.Extension
}

// ServiceRelationship relates services to one another.
type ServiceRelationship struct {
	RelationshipType string   `json:"relationshipType,omitzero" tmf:"required"`
	Service          *tmf.Ref `json:"service,omitzero"`
	tmf.Extension
}

// Services are the directly activated services.
var Services = tmf.Kind[Service, *Service]{
	API: API, Name: "service", Table: "activation_service", Verbs: tmf.All,
	Index: []string{"state", "name", "category", "serviceType", "serviceSpecification.id"}, Multi: []string{"relatedParty.id"},
	StateAttr: "state",
	Moves: tmf.Moves{
		"":              {stateFeasible, stateDesigned, stateReserved},
		stateFeasible:   {stateDesigned, stateReserved, stateActive, stateInactive, stateTerminated},
		stateDesigned:   {stateFeasible, stateReserved, stateActive, stateInactive, stateTerminated},
		stateReserved:   {stateFeasible, stateDesigned, stateActive, stateInactive, stateTerminated},
		stateInactive:   {stateActive, stateTerminated},
		stateActive:     {stateInactive, stateTerminated},
		stateTerminated: {},
	},
	Frozen: []string{"serviceDate"},
}

// Monitor follows one request on a service.
type Monitor struct {
	tmf.Entity
	State      string    `json:"state,omitzero" tmf:"enum=InProgress|InError|Completed"`
	SourceHref string    `json:"sourceHref,omitzero"`
	Request    *Request  `json:"request,omitzero"`
	Response   *Response `json:"response,omitzero"`
}

// Request is what was asked, without secrets.
type Request struct {
	Method string       `json:"method,omitzero"`
	To     string       `json:"to,omitzero"`
	Body   string       `json:"body,omitzero"`
	Header []HeaderItem `json:"header,omitzero"`
	tmf.Extension
}

// Response is what came of it: what the element was read to have, or the error.
type Response struct {
	StatusCode string       `json:"statusCode,omitzero"`
	Body       string       `json:"body,omitzero"`
	Header     []HeaderItem `json:"header,omitzero"`
	tmf.Extension
}

// HeaderItem is a header field.
type HeaderItem struct {
	Name  string `json:"name,omitzero" tmf:"required"`
	Value string `json:"value,omitzero" tmf:"required"`
	tmf.Extension
}

// States of a monitor.
const (
	inProgress = "InProgress"
	inError    = "InError"
	completed  = "Completed"
)

// Monitors follow requests. A request that failed may still come to its end: when its parked job is released.
var Monitors = tmf.Kind[Monitor, *Monitor]{
	API: API, Name: "monitor", Table: "activation_monitor", Verbs: tmf.ReadOnly,
	Index:     []string{"state", "sourceHref"},
	StateAttr: "state",
	Moves:     tmf.Moves{"": {inProgress}, inProgress: {completed, inError}, inError: {completed}, completed: {}},
}

func init() {
	Services.Default = defaults
	Services.OnPost, Services.OnPatch, Services.OnDelete = post, patch, remove
}

func defaults(tx *store.Tx, s *Service) error {
	s.ServiceDate = tmf.FormatTime(tx.Now())
	return nil
}

// post stores the service as designed and begins to bring the element to the state that is asked for.
func post(tx *store.Tx, s *Service) error {
	w, err := wishOf(s)
	if err != nil {
		return err
	}
	want := s.State
	switch {
	case want == "" && w.element != "":
		want = stateActive
	case want == "":
		want = stateDesigned
	case want == stateTerminated:
		return fault.BadInput("illegalState", "A new service cannot be terminated")
	}
	if s.State = want; runs(want) {
		s.State = stateDesigned
	}
	if s.ID == "" {
		s.ID = tmf.NewID()
	}
	s.Href = API.Base + "/service/" + s.ID
	if err := request(tx, s, nil, "POST", want, takeSecrets(s, w.typ)); err != nil {
		return err
	}
	return Services.Create(tx, s)
}

// runs tells whether a service in this state is on its element.
func runs(state string) bool { return state == stateActive || state == stateInactive }

// patch stores what is changed and begins to bring the element there; the state moves when the element has confirmed it.
func patch(tx *store.Tx, old, s *Service) error {
	t, err := lockTarget(tx, old.ID)
	if err != nil {
		return err
	}
	want, err := wantedState(t, old, s)
	if err != nil {
		return err
	}
	before, err := wishOf(old)
	if err != nil {
		return err
	}
	w, err := wishOf(s)
	if err != nil {
		return err
	}
	if t != nil && (w.element != t.element || w.key != t.key || w.typ != t.typ) {
		return fault.Clash("fixedCharacteristic", "Element, key and type of a service that is on its element are fixed; delete it and make another")
	}
	secrets := takeSecrets(s, w.typ)
	asked := s.State != old.State || len(secrets) > 0 || pack(before.attributes) != pack(w.attributes)
	if runs(want) || t != nil {
		s.State = old.State
	}
	if asked {
		if err := request(tx, s, t, "PATCH", want, secrets); err != nil {
			return err
		}
	}
	return Services.Save(tx, old, s)
}

// wantedState is the state that a changed service shall have; a state that was asked for before still holds if none is asked for now.
func wantedState(t *target, old, s *Service) (string, error) {
	switch {
	case old.State == stateTerminated && s.State != stateTerminated:
		return "", fault.Clash("illegalMove", "A terminated service stays terminated; make another")
	case t == nil:
		return s.State, nil
	case !runs(t.state):
		return "", fault.Clash("beingRemoved", "The service is being removed from its element and cannot be changed any more")
	case s.State == old.State:
		return t.state, nil
	case !runs(s.State) && s.State != stateTerminated:
		return "", fault.Clash("illegalMove", "A service that is on its element is active, inactive or terminated")
	}
	return s.State, nil
}

// remove begins to take the service off its element; it can be read until that is confirmed. One that is on none goes at once.
func remove(tx *store.Tx, old *Service) error {
	t, err := lockTarget(tx, old.ID)
	switch {
	case err != nil:
		return err
	case t == nil:
		return Services.Remove(tx, old)
	}
	s, err := Services.Copy(old)
	if err != nil {
		return err
	}
	if err := request(tx, s, t, "DELETE", deleted, nil); err != nil {
		return err
	}
	return Services.Save(tx, old, s)
}

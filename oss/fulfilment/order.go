package fulfilment

import (
	"time"

	"tandem/fact"
	"tandem/kit/tmf"
)

// ServiceOrdering is TMF641.
var ServiceOrdering = &tmf.API{ID: "TMF641", Name: "Service Ordering", Version: "4.1.0", Base: "/tmf-api/serviceOrdering/v4"}

// States of orders and items (TMF641 ServiceOrderStateType).
const (
	Acknowledged          = "acknowledged"
	Rejected              = "rejected"
	Pending               = "pending"
	Held                  = "held"
	InProgress            = "inProgress"
	Cancelled             = "cancelled"
	Completed             = "completed"
	Failed                = "failed"
	Partial               = "partial"
	AssessingCancellation = "assessingCancellation"
	PendingCancellation   = "pendingCancellation"
)

// Actions of an order item.
const (
	Add      = "add"
	Modify   = "modify"
	Delete   = "delete"
	NoChange = "noChange"
)

// States of a service (TMF638 ServiceStateType). A suspended service is Inactive.
const (
	ServiceDesigned   = "designed"
	ServiceReserved   = "reserved"
	ServiceInactive   = "inactive"
	ServiceActive     = "active"
	ServiceTerminated = "terminated"
)

// ServiceOrder asks for services to be added, modified or deleted.
type ServiceOrder struct {
	tmf.Entity
	State                   string                  `json:"state,omitzero" tmf:"enum=acknowledged|rejected|pending|held|inProgress|cancelled|completed|failed|partial|assessingCancellation|pendingCancellation"`
	ServiceOrderItem        []ServiceOrderItem      `json:"serviceOrderItem,omitzero" tmf:"required"`
	Category                string                  `json:"category,omitzero"`
	Description             string                  `json:"description,omitzero"`
	Priority                string                  `json:"priority,omitzero"`
	NotificationContact     string                  `json:"notificationContact,omitzero"`
	ExternalID              string                  `json:"externalId,omitzero"`
	ExternalReference       []tmf.ExternalReference `json:"externalReference,omitzero"`
	RelatedParty            []tmf.RelatedParty      `json:"relatedParty,omitzero"`
	Note                    []tmf.Note              `json:"note,omitzero"`
	OrderRelationship       []OrderRelationship     `json:"orderRelationship,omitzero"`
	OrderDate               time.Time               `json:"orderDate,omitzero"`
	StartDate               time.Time               `json:"startDate,omitzero"`
	RequestedStartDate      time.Time               `json:"requestedStartDate,omitzero"`
	RequestedCompletionDate time.Time               `json:"requestedCompletionDate,omitzero"`
	ExpectedCompletionDate  time.Time               `json:"expectedCompletionDate,omitzero"`
	CompletionDate          time.Time               `json:"completionDate,omitzero"`
	CancellationDate        time.Time               `json:"cancellationDate,omitzero"`
	CancellationReason      string                  `json:"cancellationReason,omitzero"`
	ErrorMessage            []ErrorMessage          `json:"errorMessage,omitzero"`
	JeopardyAlert           []JeopardyAlert         `json:"jeopardyAlert,omitzero"`
	Milestone               []Milestone             `json:"milestone,omitzero"`
}

// ServiceOrderItem is one thing asked for. External is an extension attribute:
// what the one who ordered calls it; it comes back in every fact.
type ServiceOrderItem struct {
	ID               string             `json:"id,omitzero" tmf:"required"`
	Action           string             `json:"action,omitzero" tmf:"required,enum=add|modify|delete|noChange"`
	State            string             `json:"state,omitzero" tmf:"enum=acknowledged|rejected|pending|held|inProgress|cancelled|completed|failed|partial|assessingCancellation|pendingCancellation"`
	Quantity         *int64             `json:"quantity,omitzero"`
	Service          *Service           `json:"service,omitzero" tmf:"required"`
	Appointment      *tmf.Ref           `json:"appointment,omitzero"`
	ErrorMessage     []ErrorMessage     `json:"errorMessage,omitzero"`
	ServiceOrderItem []ServiceOrderItem `json:"serviceOrderItem,omitzero"`
	Relationship     []ItemRelationship `json:"serviceOrderItemRelationship,omitzero"`
	External         *fact.External     `json:"external,omitzero"`
	tmf.Extension
}

// Service is the service an item is about: by id, or described by its
// specification and characteristics. State asks for a state: active, or inactive
// to suspend. A supporting resource with the @referredType Reservation is one of
// TMF685, whose numbers and cards the service takes.
type Service struct {
	ID             string               `json:"id,omitzero"`
	Href           string               `json:"href,omitzero"`
	Name           string               `json:"name,omitzero"`
	Category       string               `json:"category,omitzero"`
	ServiceType    string               `json:"serviceType,omitzero"`
	State          string               `json:"state,omitzero" tmf:"enum=feasibilityChecked|designed|reserved|inactive|active|terminated"`
	Specification  *tmf.Ref             `json:"serviceSpecification,omitzero"`
	Characteristic []tmf.Characteristic `json:"serviceCharacteristic,omitzero"`
	RelatedParty   []tmf.RelatedParty   `json:"relatedParty,omitzero"`
	Place          []tmf.Place          `json:"place,omitzero"`
	Supporting     []tmf.Ref            `json:"supportingResource,omitzero"`
	ReferredType   string               `json:"@referredType,omitzero"`
	tmf.Extension
}

// ItemRelationship makes an item wait for another ("reliesOn").
type ItemRelationship struct {
	RelationshipType string   `json:"relationshipType,omitzero"`
	OrderItem        *ItemRef `json:"orderItem,omitzero"`
	tmf.Extension
}

// ItemRef names an item of a service order.
type ItemRef struct {
	ItemID         string `json:"itemId,omitzero"`
	ServiceOrderID string `json:"serviceOrderId,omitzero"`
	Role           string `json:"role,omitzero"`
	tmf.Extension
}

// OrderRelationship relates orders to one another.
type OrderRelationship struct {
	ID               string `json:"id,omitzero" tmf:"required"`
	Href             string `json:"href,omitzero"`
	RelationshipType string `json:"relationshipType,omitzero" tmf:"required"`
	ReferredType     string `json:"@referredType,omitzero"`
	tmf.Extension
}

// ErrorMessage says what went wrong, for the one who ordered.
type ErrorMessage struct {
	Code      string    `json:"code,omitzero"`
	Reason    string    `json:"reason,omitzero"`
	Message   string    `json:"message,omitzero"`
	Status    string    `json:"status,omitzero"`
	Timestamp time.Time `json:"timestamp,omitzero"`
	Items     []ItemRef `json:"serviceOrderItem,omitzero"`
	tmf.Extension
}

// JeopardyAlert says that the requested date is in danger.
type JeopardyAlert struct {
	ID           string    `json:"id,omitzero"`
	Name         string    `json:"name,omitzero"`
	JeopardyType string    `json:"jeopardyType,omitzero"`
	Exception    string    `json:"exception,omitzero"`
	Message      string    `json:"message,omitzero"`
	AlertDate    time.Time `json:"alertDate,omitzero"`
	Items        []ItemRef `json:"serviceOrderItem,omitzero"`
	tmf.Extension
}

// Milestone is a step of the order that was reached.
type Milestone struct {
	ID            string    `json:"id,omitzero"`
	Name          string    `json:"name,omitzero"`
	Description   string    `json:"description,omitzero"`
	Message       string    `json:"message,omitzero"`
	Status        string    `json:"status,omitzero"`
	MilestoneDate time.Time `json:"milestoneDate,omitzero"`
	Items         []ItemRef `json:"serviceOrderItem,omitzero"`
	tmf.Extension
}

// CancelServiceOrder asks to cancel an order (TMF641 task resource).
type CancelServiceOrder struct {
	tmf.Entity
	State                     string        `json:"state,omitzero" tmf:"enum=accepted|terminatedWithError|inProgress|done"`
	ServiceOrder              *tmf.Ref      `json:"serviceOrder,omitzero" tmf:"required"`
	CancellationReason        string        `json:"cancellationReason,omitzero"`
	CompletionMessage         string        `json:"completionMessage,omitzero"`
	RequestedCancellationDate time.Time     `json:"requestedCancellationDate,omitzero"`
	EffectiveCancellationDate time.Time     `json:"effectiveCancellationDate,omitzero"`
	ErrorMessage              *ErrorMessage `json:"errorMessage,omitzero"`
}

package order

import (
	"time"

	"tandem/bss/subscription"
	"tandem/kit/tmf"
)

// API is TMF622.
var API = &tmf.API{ID: "TMF622", Name: "Product Ordering", Version: "4.0.0", Base: "/tmf-api/productOrderingManagement/v4"}

// States of an order and of its items (TMF622 ProductOrderStateType).
const (
	Acknowledged        = "acknowledged"
	InProgress          = "inProgress"
	Cancelled           = "cancelled"
	Completed           = "completed"
	Failed              = "failed"
	Partial             = "partial"
	PendingCancellation = "pendingCancellation"
)

// Actions of an item.
const (
	Add      = "add"
	Modify   = "modify"
	Delete   = "delete"
	NoChange = "noChange"
)

// ProductOrder asks for products to be added, modified or ended.
type ProductOrder struct {
	tmf.Entity
	State                   string             `json:"state,omitzero" tmf:"enum=acknowledged|rejected|pending|held|inProgress|cancelled|completed|failed|partial|assessingCancellation|pendingCancellation"`
	ProductOrderItem        []Item             `json:"productOrderItem,omitzero" tmf:"required"`
	Category                string             `json:"category,omitzero"`
	Description             string             `json:"description,omitzero"`
	Priority                string             `json:"priority,omitzero"`
	ExternalID              string             `json:"externalId,omitzero"`
	NotificationContact     string             `json:"notificationContact,omitzero"`
	OrderDate               time.Time          `json:"orderDate,omitzero"`
	RequestedStartDate      time.Time          `json:"requestedStartDate,omitzero"`
	RequestedCompletionDate time.Time          `json:"requestedCompletionDate,omitzero"`
	ExpectedCompletionDate  time.Time          `json:"expectedCompletionDate,omitzero"`
	CompletionDate          time.Time          `json:"completionDate,omitzero"`
	CancellationDate        time.Time          `json:"cancellationDate,omitzero"`
	CancellationReason      string             `json:"cancellationReason,omitzero"`
	RelatedParty            []tmf.RelatedParty `json:"relatedParty,omitzero"`
	BillingAccount          *Ref               `json:"billingAccount,omitzero"`
	Channel                 []Ref              `json:"channel,omitzero"`
	Note                    []tmf.Note         `json:"note,omitzero"`
	Agreement               []Ref              `json:"agreement,omitzero"`
	Payment                 []Ref              `json:"payment,omitzero"`
	Qualification           []Ref              `json:"productOfferingQualification,omitzero"`
	Quote                   []Ref              `json:"quote,omitzero"`
	OrderTotalPrice         []OrderPrice       `json:"orderTotalPrice,omitzero"`
}

// Item is one thing asked for.
type Item struct {
	ID                string         `json:"id,omitzero" tmf:"required"`
	Action            string         `json:"action,omitzero" tmf:"required,enum=add|modify|delete|noChange"`
	State             string         `json:"state,omitzero" tmf:"enum=acknowledged|rejected|pending|held|inProgress|cancelled|completed|failed|assessingCancellation|pendingCancellation"`
	Quantity          *int64         `json:"quantity,omitzero"`
	ProductOffering   *Ref           `json:"productOffering,omitzero"`
	Product           *Product       `json:"product,omitzero"`
	BillingAccount    *Ref           `json:"billingAccount,omitzero"`
	Appointment       *Ref           `json:"appointment,omitzero"`
	ItemPrice         []OrderPrice   `json:"itemPrice,omitzero"`
	ItemTotalPrice    []OrderPrice   `json:"itemTotalPrice,omitzero"`
	Relationship      []Relationship `json:"productOrderItemRelationship,omitzero"`
	ProductOrderItem  []Item         `json:"productOrderItem,omitzero"` // the parts chosen of a bundle
	Payment           []Ref          `json:"payment,omitzero"`
	Qualification     []Ref          `json:"qualification,omitzero"`
	QualificationItem *Ref           `json:"productOfferingQualificationItem,omitzero"`
	QuoteItem         *Ref           `json:"quoteItem,omitzero"`
	tmf.Extension
}

// Product is the product an item is about: by id, or as it shall be. Its status
// asks for one: suspended to bar it, active to lift the bar.
type Product struct {
	ID             string               `json:"id,omitzero"`
	Href           string               `json:"href,omitzero"`
	Name           string               `json:"name,omitzero"`
	Description    string               `json:"description,omitzero"`
	Status         string               `json:"status,omitzero" tmf:"enum=created|pendingActive|cancelled|active|pendingTerminate|terminated|suspended|aborted|aborted "`
	Characteristic []tmf.Characteristic `json:"productCharacteristic,omitzero"`
	Place          []tmf.Place          `json:"place,omitzero"`
	RelatedParty   []tmf.RelatedParty   `json:"relatedParty,omitzero"`
	BillingAccount *Ref                 `json:"billingAccount,omitzero"`
	Realizing      []tmf.Ref            `json:"realizingResource,omitzero"` // reservations whose numbers and cards it takes
	// Relationship ties a new product to ones that the customer has: what it relies on,
	// as an option on the line it is for, or whose allowance it shares.
	Relationship []subscription.Relationship `json:"productRelationship,omitzero"`
	ReferredType string                      `json:"@referredType,omitzero"`
	tmf.Extension
}

// Ref points to another thing, always by id.
type Ref = subscription.Ref

// Relationship makes an item wait for another of the order ("reliesOn").
type Relationship struct {
	ID               string `json:"id,omitzero" tmf:"required"`
	RelationshipType string `json:"relationshipType,omitzero"`
	tmf.Extension
}

// OrderPrice is a price of an item or of the whole order.
type OrderPrice struct {
	Name                  string              `json:"name,omitzero"`
	Description           string              `json:"description,omitzero"`
	PriceType             string              `json:"priceType,omitzero"`
	RecurringChargePeriod string              `json:"recurringChargePeriod,omitzero"`
	UnitOfMeasure         string              `json:"unitOfMeasure,omitzero"`
	Price                 *subscription.Price `json:"price,omitzero"`
	ProductOfferingPrice  *Ref                `json:"productOfferingPrice,omitzero"`
	BillingAccount        *Ref                `json:"billingAccount,omitzero"`
	tmf.Extension
}

// CancelProductOrder asks to cancel an order (TMF622 task resource).
type CancelProductOrder struct {
	tmf.Entity
	State                     string    `json:"state,omitzero" tmf:"enum=acknowledged|terminatedWithError|inProgress|done"`
	ProductOrder              *Ref      `json:"productOrder,omitzero" tmf:"required"`
	CancellationReason        string    `json:"cancellationReason,omitzero"`
	RequestedCancellationDate time.Time `json:"requestedCancellationDate,omitzero"`
	EffectiveCancellationDate time.Time `json:"effectiveCancellationDate,omitzero"`
}

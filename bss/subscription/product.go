package subscription

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/tmf"
)

// API is TMF637.
var API = tmf.API{ID: "TMF637", Name: "Product Inventory", Version: "4.0.0", Base: "/tmf-api/productInventory/v4"}

// States of a product (TMF637 ProductStatusType). The file writes "aborted " with
// a blank; it is accepted and written without.
const (
	Created          = "created"
	PendingActive    = "pendingActive"
	Active           = "active"
	Suspended        = "suspended"
	PendingTerminate = "pendingTerminate"
	Terminated       = "terminated"
	Cancelled        = "cancelled"
	Aborted          = "aborted"
)

// moves is the state machine. A product whose termination is given up returns to
// what its services say, active or suspended. A migration brings products that
// wait for the network's word, and those that have ended.
var moves = tmf.Moves{
	"":               {Created, PendingActive, Terminated},
	Created:          {PendingActive, Active, Cancelled, Aborted},
	PendingActive:    {Active, Cancelled, Aborted},
	Active:           {Suspended, PendingTerminate, Terminated},
	Suspended:        {Active, PendingTerminate, Terminated},
	PendingTerminate: {Terminated, Active, Suspended},
}

// Product is what a customer has (TMF637).
type Product struct {
	tmf.Entity
	Name                string    `json:"name,omitzero"`
	Description         string    `json:"description,omitzero"`
	Status              string    `json:"status,omitzero" tmf:"required,enum=created|pendingActive|cancelled|active|pendingTerminate|terminated|suspended|aborted|aborted "`
	IsBundle            *bool     `json:"isBundle,omitzero"`
	IsCustomerVisible   *bool     `json:"isCustomerVisible,omitzero"`
	ProductSerialNumber string    `json:"productSerialNumber,omitzero"`
	OrderDate           time.Time `json:"orderDate,omitzero"`
	StartDate           time.Time `json:"startDate,omitzero"` // when the last service was confirmed
	TerminationDate     time.Time `json:"terminationDate,omitzero"`
	TerminationReason   string    `json:"terminationReason,omitzero"` // as the order that ends it says; an extension of TMF637

	ProductOffering       *Ref                 `json:"productOffering,omitzero"`
	ProductSpecification  *SpecRef             `json:"productSpecification,omitzero"`
	ProductCharacteristic []tmf.Characteristic `json:"productCharacteristic,omitzero"`
	ProductPrice          []ProductPrice       `json:"productPrice,omitzero"`
	ProductTerm           []Term               `json:"productTerm,omitzero"`
	ProductOrderItem      []OrderItem          `json:"productOrderItem,omitzero"`
	ProductRelationship   []Relationship       `json:"productRelationship,omitzero"`
	Product               []RefOrValue         `json:"product,omitzero"`
	BillingAccount        *Ref                 `json:"billingAccount,omitzero"`
	Agreement             []AgreementItem      `json:"agreement,omitzero"`
	RelatedParty          []tmf.RelatedParty   `json:"relatedParty,omitzero"`
	Place                 []Place              `json:"place,omitzero"`
	RealizingService      []ServiceRef         `json:"realizingService,omitzero"`
	RealizingResource     []ResourceRef        `json:"realizingResource,omitzero"`

	// PendingChange is what an order has asked for and the network has not yet
	// confirmed. An extension of TMF637.
	PendingChange *PendingChange `json:"pendingChange,omitzero"`
	// PaidFromBalance is what its line pays for it once, from its balance, when it becomes
	// active: nobody is billed for that. An extension of TMF637.
	PaidFromBalance *FromBalance `json:"paidFromBalance,omitzero"`
	// ChangeDate is when the last confirmed change was ordered. An extension of TMF637.
	ChangeDate time.Time `json:"changeDate,omitzero"`
}

// FromBalance is an amount with the prices that it is the sum of.
type FromBalance struct {
	Amount *tmf.Money `json:"amount,omitzero"`
	Price  []Ref      `json:"price,omitzero"`
}

// Pays says that a price is among those that are paid so.
func (f *FromBalance) Pays(price string) bool {
	return f != nil && slices.ContainsFunc(f.Price, func(r Ref) bool { return r.ID == price })
}

// PendingChange becomes part of the product when all services that it awaits have
// confirmed it.
type PendingChange struct {
	ProductOffering       *Ref                 `json:"productOffering,omitzero"`
	ProductSpecification  *SpecRef             `json:"productSpecification,omitzero"`
	ProductCharacteristic []tmf.Characteristic `json:"productCharacteristic,omitzero"` // those that change
	ProductPrice          []ProductPrice       `json:"productPrice,omitzero"`          // all, if any
	BillingAccount        *Ref                 `json:"billingAccount,omitzero"`
	Place                 []Place              `json:"place,omitzero"` // all, if any
	ProductOrderItem      *OrderItem           `json:"productOrderItem,omitzero"`
	OrderDate             time.Time            `json:"orderDate,omitzero"`
	Awaited               []string             `json:"awaited,omitzero"` // services that have not confirmed it
}

// Ref points to another thing, always by id.
type Ref struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// SpecRef points to the product specification in the version sold.
type SpecRef struct {
	ID                  string         `json:"id,omitzero" tmf:"required"`
	Href                string         `json:"href,omitzero"`
	Name                string         `json:"name,omitzero"`
	Version             string         `json:"version,omitzero"`
	TargetProductSchema *tmf.Extension `json:"targetProductSchema,omitzero"`
	ReferredType        string         `json:"@referredType,omitzero"`
	tmf.Extension
}

// ServiceRef points to a service that realises the product. State and Since, which
// extend TMF637, are what the network last confirmed of it: "" is not yet.
type ServiceRef struct {
	ID           string    `json:"id,omitzero" tmf:"required"`
	Href         string    `json:"href,omitzero"`
	Name         string    `json:"name,omitzero"`
	State        string    `json:"state,omitzero" tmf:"enum=active|suspended|terminated"`
	Since        time.Time `json:"since,omitzero"`
	Started      time.Time `json:"started,omitzero"` // first confirmed
	ReferredType string    `json:"@referredType,omitzero"`
	tmf.Extension
}

// ResourceRef points to a resource a service of the product runs on. Role and
// Service, which extend TMF637, say what it does for which service.
type ResourceRef struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Value        string `json:"value,omitzero"`
	Role         string `json:"role,omitzero"`
	Service      string `json:"service,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// ProductPrice is a price as agreed for this product.
type ProductPrice struct {
	Name                   string            `json:"name,omitzero"`
	Description            string            `json:"description,omitzero"`
	PriceType              string            `json:"priceType,omitzero" tmf:"required"`
	RecurringChargePeriod  string            `json:"recurringChargePeriod,omitzero"`
	UnitOfMeasure          string            `json:"unitOfMeasure,omitzero"`
	Price                  *Price            `json:"price,omitzero" tmf:"required"`
	ProductOfferingPrice   *Ref              `json:"productOfferingPrice,omitzero"`
	ProductPriceAlteration []PriceAlteration `json:"productPriceAlteration,omitzero"`
	BillingAccount         *Ref              `json:"billingAccount,omitzero"`
	tmf.Extension
}

// Price is an amount without or with tax, or a percentage.
type Price struct {
	DutyFreeAmount    *tmf.Money     `json:"dutyFreeAmount,omitzero"`
	TaxIncludedAmount *tmf.Money     `json:"taxIncludedAmount,omitzero"`
	TaxRate           jsontext.Value `json:"taxRate,omitzero"`
	Percentage        jsontext.Value `json:"percentage,omitzero"`
	tmf.Extension
}

// PriceAlteration changes a price of the product for some time.
type PriceAlteration struct {
	Name                  string `json:"name,omitzero"`
	Description           string `json:"description,omitzero"`
	PriceType             string `json:"priceType,omitzero" tmf:"required"`
	Price                 *Price `json:"price,omitzero" tmf:"required"`
	Priority              *int64 `json:"priority,omitzero"`
	ApplicationDuration   *int64 `json:"applicationDuration,omitzero"`
	RecurringChargePeriod string `json:"recurringChargePeriod,omitzero"`
	UnitOfMeasure         string `json:"unitOfMeasure,omitzero"`
	ProductOfferingPrice  *Ref   `json:"productOfferingPrice,omitzero"`
	tmf.Extension
}

// Term is a commitment the customer agreed to.
type Term struct {
	Name        string          `json:"name,omitzero"`
	Description string          `json:"description,omitzero"`
	Duration    *tmf.Quantity   `json:"duration,omitzero"`
	ValidFor    *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// OrderItem names an item of a product order that made or changed the product.
type OrderItem struct {
	ProductOrderID   string `json:"productOrderId,omitzero" tmf:"required"`
	ProductOrderHref string `json:"productOrderHref,omitzero"`
	OrderItemID      string `json:"orderItemId,omitzero" tmf:"required"`
	OrderItemAction  string `json:"orderItemAction,omitzero"`
	Role             string `json:"role,omitzero"`
	ReferredType     string `json:"@referredType,omitzero"`
	tmf.Extension
}

// ReliesOn is the relationship of an option to the line it is for: a pack of data, a
// booster. When the line ends, the option ends with it.
const ReliesOn = "reliesOn"

// Relationship ties the product to another: reliesOn, bundles, replaces ...
type Relationship struct {
	RelationshipType string      `json:"relationshipType,omitzero" tmf:"required"`
	Product          *RefOrValue `json:"product,omitzero" tmf:"required"`
	tmf.Extension
}

// RefOrValue is another product by id; one written out in place is kept as it is
// and has no life of its own.
type RefOrValue struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Description  string `json:"description,omitzero"`
	Status       string `json:"status,omitzero"`
	IsBundle     *bool  `json:"isBundle,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// AgreementItem points to an item of an agreement.
type AgreementItem struct {
	ID              string `json:"id,omitzero" tmf:"required"`
	Href            string `json:"href,omitzero"`
	Name            string `json:"name,omitzero"`
	AgreementItemID string `json:"agreementItemId,omitzero"`
	ReferredType    string `json:"@referredType,omitzero"`
	tmf.Extension
}

// Place is where the product is used or was delivered.
type Place struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	Role         string `json:"role,omitzero" tmf:"required"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// Products are the products of the tenant.
var Products = tmf.Kind[Product, *Product]{
	API: &API, Name: "product", Table: "subscription_product", Verbs: tmf.All,
	Index:     []string{"status", "startDate", "productOffering.id", "billingAccount.id"},
	Multi:     []string{"relatedParty.id", "realizingService.id", "productRelationship.product.id"},
	StateAttr: "status", Moves: moves,
	Frozen: []string{"realizingService", "realizingResource", "pendingChange", "changeDate", "paidFromBalance", "terminationReason"},
}

// Customer is the id of the customer who has the product, "" if it names none.
func (p *Product) Customer() string {
	if c := customer(p.RelatedParty); c != nil {
		return c.ID
	}
	return ""
}

// customer is the party that plays the customer: by role, else by type.
func customer(parties []tmf.RelatedParty) *tmf.RelatedParty {
	for i := range parties {
		if strings.EqualFold(parties[i].Role, "customer") {
			return &parties[i]
		}
	}
	for i := range parties {
		if parties[i].ReferredType == "Customer" {
			return &parties[i]
		}
	}
	return nil
}

// Offering is the id of the offering the product was sold as, "" if none.
func (p *Product) Offering() string {
	if p.ProductOffering == nil {
		return ""
	}
	return p.ProductOffering.ID
}

// Places are the ids of where the product is used.
func (p *Product) Places() (ids []string) {
	for _, at := range p.Place {
		ids = append(ids, at.ID)
	}
	return ids
}

// ReliesOn are the ids of the products that this one is an option of.
func (p *Product) ReliesOn() (ids []string) {
	for _, r := range p.ProductRelationship {
		if r.RelationshipType == ReliesOn && r.Product != nil && r.Product.ID != "" {
			ids = append(ids, r.Product.ID)
		}
	}
	return ids
}

// Over says that the product has ended, or never came to be.
func (p *Product) Over() bool {
	return p.Status == Terminated || p.Status == Cancelled || p.Status == Aborted
}

// Ordered is when the product, as it is now, was ordered: by that date its prices
// are judged. Zero if no order made it.
func (p *Product) Ordered() time.Time {
	if p.ChangeDate.IsZero() {
		return p.OrderDate
	}
	return p.ChangeDate
}

// Account is the id of the billing account, "" if none.
func (p *Product) Account() string {
	if p.BillingAccount == nil {
		return ""
	}
	return p.BillingAccount.ID
}

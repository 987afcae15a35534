// Package fact is the vocabulary of what can happen: one plain struct per thing.
//
// Facts are told in the transaction that made them true and reach every hearer
// at least once, in order per Key (see kit/outbox). They are past tense, small,
// and never change meaning; a new meaning is a new fact. Who hears what stands
// on one page: app/flow.go.
//
//	oss ──tells──> fact <──hears── bss
//
// Ids of the other wing are opaque: a service order carries the customer's
// things only as External, which the network wing never looks into.
package fact

import "time"

// External names, for the one who ordered, what a service order item realises.
type External struct {
	Order   string `json:"order,omitzero"`   // the product order
	Item    string `json:"item,omitzero"`    // its item
	Product string `json:"product,omitzero"` // the product in the product inventory
}

// Resource is a resource a service runs on, as the network confirmed it.
type Resource struct {
	ID    string `json:"id"`
	Role  string `json:"role"`           // sim, msisdn, hlrSubscriber
	Value string `json:"value,omitzero"` // the number itself, for messages and bills
}

// ServiceActive says that the element has confirmed the service, read back, at At.
// Nothing is billed before it.
type ServiceActive struct {
	Service      string     `json:"service"`
	ServiceOrder string     `json:"serviceOrder"`
	External     External   `json:"external,omitzero"`
	At           time.Time  `json:"at"`
	Resources    []Resource `json:"resources,omitzero"`
}

// ServiceChanged says that a running service was modified (number, SIM, profile).
type ServiceChanged struct {
	Service      string     `json:"service"`
	ServiceOrder string     `json:"serviceOrder"`
	External     External   `json:"external,omitzero"`
	At           time.Time  `json:"at"`
	Resources    []Resource `json:"resources,omitzero"`
}

// ServiceSuspended says that the element refuses the subscriber since At.
type ServiceSuspended struct {
	Service      string    `json:"service"`
	ServiceOrder string    `json:"serviceOrder"`
	External     External  `json:"external,omitzero"`
	At           time.Time `json:"at"`
}

// ServiceResumed says that a suspended service runs again since At.
type ServiceResumed struct {
	Service      string    `json:"service"`
	ServiceOrder string    `json:"serviceOrder"`
	External     External  `json:"external,omitzero"`
	At           time.Time `json:"at"`
}

// ServiceTerminated says that the element no longer knows the service since At.
type ServiceTerminated struct {
	Service      string    `json:"service"`
	ServiceOrder string    `json:"serviceOrder"`
	External     External  `json:"external,omitzero"`
	At           time.Time `json:"at"`
}

// ServiceOrderItemDone says how an item of a service order ended (TMF641 states).
type ServiceOrderItemDone struct {
	ServiceOrder string   `json:"serviceOrder"`
	Item         string   `json:"item"`
	External     External `json:"external,omitzero"`
	State        string   `json:"state"`           // completed, failed, cancelled
	Reason       string   `json:"reason,omitzero"` // in words, when not completed
}

// ServiceOrderFellOut says that a task of the order waits for a person.
type ServiceOrderFellOut struct {
	ServiceOrder string   `json:"serviceOrder"`
	Item         string   `json:"item"`
	External     External `json:"external,omitzero"`
	Cause        string   `json:"cause"`
}

// OrderPlaced says that a product order was accepted.
type OrderPlaced struct {
	Order string `json:"order"`
}

// OrderEnded says that a product order reached a final state (TMF622).
type OrderEnded struct {
	Order    string `json:"order"`
	State    string `json:"state"` // completed, failed, partial, cancelled
	Customer string `json:"customer,omitzero"`
}

// ProductActive says that a product runs: its service was confirmed at At.
type ProductActive struct {
	Product        string     `json:"product"`
	Offering       string     `json:"offering,omitzero"`
	Customer       string     `json:"customer,omitzero"`
	BillingAccount string     `json:"billingAccount,omitzero"`
	Service        string     `json:"service"` // the service that confirms it
	At             time.Time  `json:"at"`
	Resources      []Resource `json:"resources,omitzero"`
}

// ProductChanged says that a running product was modified at At.
type ProductChanged struct {
	Product        string     `json:"product"`
	Offering       string     `json:"offering,omitzero"`
	Customer       string     `json:"customer,omitzero"`
	BillingAccount string     `json:"billingAccount,omitzero"`
	OrderDate      time.Time  `json:"orderDate,omitzero"` // when the product, as it is now, was ordered
	Service        string     `json:"service"`
	At             time.Time  `json:"at"`
	Resources      []Resource `json:"resources,omitzero"`
}

// ProductSuspended says that a product is barred in the network since At.
type ProductSuspended struct {
	Product  string    `json:"product"`
	Customer string    `json:"customer,omitzero"`
	Service  string    `json:"service"`
	At       time.Time `json:"at"`
}

// ProductResumed says that a suspended product runs again since At.
type ProductResumed struct {
	Product  string    `json:"product"`
	Customer string    `json:"customer,omitzero"`
	Service  string    `json:"service"`
	At       time.Time `json:"at"`
}

// ProductTerminated says that a product's service left the network at At.
type ProductTerminated struct {
	Product  string    `json:"product"`
	Customer string    `json:"customer,omitzero"`
	Service  string    `json:"service"`
	At       time.Time `json:"at"`
}

// ThresholdCrossed says that a part of an allowance, or of a limit, is used up, or
// that an allowance will end soon with something left. It is told once for each
// threshold and period.
type ThresholdCrossed struct {
	Account  string    `json:"account"` // of charging
	Customer string    `json:"customer,omitzero"`
	Name     string    `json:"name"`           // of the allowance or limit
	Limit    bool      `json:"limit,omitzero"` // a spending limit or cap, not an allowance
	Percent  int       `json:"percent"`
	Ending   bool      `json:"ending,omitzero"` // no part was used up: its end is near
	At       time.Time `json:"at"`
}

// BalanceChanged says that somebody's order changed a balance: a top-up, a transfer,
// an adjustment, or that one was taken back.
type BalanceChanged struct {
	Account  string    `json:"account"` // of charging
	Customer string    `json:"customer,omitzero"`
	Bucket   string    `json:"bucket"`
	Action   string    `json:"action"` // topupBalance, adjustBalance, transferBalance, reserveBalance
	ID       string    `json:"id"`     // of the action
	At       time.Time `json:"at"`
}

// OptionRefused says that charging could not give a line what a product that relies on
// it gives, as when the balance does not reach for it any more. Nothing was taken.
type OptionRefused struct {
	Product string    `json:"product"` // the option, which runs in vain
	Line    string    `json:"line"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// UsageFileEnded says how a file of usage that a source left was dealt with. A file
// that is refused or missing is usage that nobody was charged for.
type UsageFileEnded struct {
	Source     string    `json:"source"`
	Name       string    `json:"name"`
	State      string    `json:"state"` // taken, duplicate, refused
	Reason     string    `json:"reason,omitzero"`
	Sequence   int64     `json:"sequence"`         // -1: none
	Missing    int64     `json:"missing,omitzero"` // sequence numbers before it that did not come
	Records    int64     `json:"records,omitzero"`
	Duplicates int64     `json:"duplicates,omitzero"`
	Suspended  int64     `json:"suspended,omitzero"`
	Late       int64     `json:"late,omitzero"`
	At         time.Time `json:"at"`
}

// Key orders facts: those with the same key reach a hearer in the order told.
func (f ServiceActive) Key() string        { return f.Service }
func (f ServiceChanged) Key() string       { return f.Service }
func (f ServiceSuspended) Key() string     { return f.Service }
func (f ServiceResumed) Key() string       { return f.Service }
func (f ServiceTerminated) Key() string    { return f.Service }
func (f ServiceOrderItemDone) Key() string { return f.ServiceOrder }
func (f ServiceOrderFellOut) Key() string  { return f.ServiceOrder }
func (f OrderPlaced) Key() string          { return f.Order }
func (f OrderEnded) Key() string           { return f.Order }
func (f ProductActive) Key() string        { return f.Product }
func (f ProductChanged) Key() string       { return f.Product }
func (f ProductSuspended) Key() string     { return f.Product }
func (f ProductResumed) Key() string       { return f.Product }
func (f ProductTerminated) Key() string    { return f.Product }
func (f ThresholdCrossed) Key() string     { return f.Account }
func (f BalanceChanged) Key() string       { return f.Account }
func (f OptionRefused) Key() string        { return f.Product }
func (f UsageFileEnded) Key() string       { return f.Source }
func (f BillsPosted) Key() string          { return f.Entity }

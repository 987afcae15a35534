package fulfilment

import (
	"fmt"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

// ResourceOrdering is TMF652: single resources, outside any service. An order of
// theirs is planned and run by the same engine; its items' graphs have a resource
// at the root.
var ResourceOrdering = &tmf.API{ID: "TMF652", Name: "Resource Ordering", Version: "4.0.0", Base: "/tmf-api/resourceOrderingManagement/v4"}

// ResourceOrder asks for resources to be added, modified or deleted.
type ResourceOrder struct {
	tmf.Entity
	Name                    string              `json:"name,omitzero"`
	Description             string              `json:"description,omitzero"`
	Category                string              `json:"category,omitzero"`
	OrderType               string              `json:"orderType,omitzero"`
	Priority                *int64              `json:"priority,omitzero"`
	State                   string              `json:"state,omitzero"`
	ExternalID              string              `json:"externalId,omitzero"`
	ExternalReference       []ExternalID        `json:"externalReference,omitzero"`
	OrderItem               []ResourceOrderItem `json:"orderItem,omitzero"`
	Note                    []tmf.Note          `json:"note,omitzero"`
	RelatedParty            []tmf.RelatedParty  `json:"relatedParty,omitzero"`
	OrderDate               time.Time           `json:"orderDate,omitzero"`
	StartDate               time.Time           `json:"startDate,omitzero"`
	RequestedStartDate      time.Time           `json:"requestedStartDate,omitzero"`
	RequestedCompletionDate time.Time           `json:"requestedCompletionDate,omitzero"`
	ExpectedCompletionDate  time.Time           `json:"expectedCompletionDate,omitzero"`
	CompletionDate          time.Time           `json:"completionDate,omitzero"`
}

// ExternalID is an id the order has elsewhere.
type ExternalID struct {
	ID         string `json:"id,omitzero" tmf:"required"`
	Owner      string `json:"owner,omitzero"`
	EntityType string `json:"entityType,omitzero"`
	tmf.Extension
}

// ResourceOrderItem is one resource asked for.
type ResourceOrderItem struct {
	ID                    string                     `json:"id,omitzero"`
	Action                string                     `json:"action,omitzero"`
	State                 string                     `json:"state,omitzero"`
	Quantity              *int64                     `json:"quantity,omitzero"`
	Resource              *ResourceValue             `json:"resource,omitzero"`
	ResourceSpecification *tmf.Ref                   `json:"resourceSpecification,omitzero"`
	Appointment           *tmf.Ref                   `json:"appointment,omitzero"`
	Relationship          []ResourceItemRelationship `json:"orderItemRelationship,omitzero"`
	tmf.Extension
}

// ResourceItemRelationship makes an item wait for another.
type ResourceItemRelationship struct {
	RelationshipType string           `json:"relationshipType,omitzero"`
	OrderItem        *ResourceItemRef `json:"orderItem,omitzero"`
	tmf.Extension
}

// ResourceItemRef names an item of a resource order.
type ResourceItemRef struct {
	ItemID            string `json:"itemId,omitzero"`
	ResourceOrderID   string `json:"resourceOrderId,omitzero"`
	ResourceOrderHref string `json:"resourceOrderHref,omitzero"`
	ReferredType      string `json:"@referredType,omitzero"`
	tmf.Extension
}

// ResourceValue is the resource an item is about: by id, or as it shall be.
type ResourceValue struct {
	ID             string               `json:"id,omitzero"`
	Href           string               `json:"href,omitzero"`
	Name           string               `json:"name,omitzero"`
	Category       string               `json:"category,omitzero"`
	Specification  *tmf.Ref             `json:"resourceSpecification,omitzero"`
	Characteristic []tmf.Characteristic `json:"resourceCharacteristic,omitzero"`
	ReferredType   string               `json:"@referredType,omitzero"`
	tmf.Extension
}

// CancelResourceOrder asks to cancel a resource order.
type CancelResourceOrder struct {
	tmf.Entity
	State                     string    `json:"state,omitzero" tmf:"enum=acknowledged|terminatedWithError|inProgress|done"`
	ResourceOrder             *tmf.Ref  `json:"resourceOrder,omitzero" tmf:"required"`
	CancellationReason        string    `json:"cancellationReason,omitzero"`
	RequestedCancellationDate time.Time `json:"requestedCancellationDate,omitzero"`
	EffectiveCancellationDate time.Time `json:"effectiveCancellationDate,omitzero"`
}

// The resources of TMF652.
var (
	ResourceOrders = tmf.Kind[ResourceOrder, *ResourceOrder]{
		API: ResourceOrdering, Name: "resourceOrder", Table: "fulfilment_resource_order", Verbs: tmf.All,
		Index: []string{"state", "externalId", "orderDate"}, StateAttr: "state", Moves: orderMoves,
		Frozen: []string{"state", "orderItem", "orderDate", "startDate", "completionDate"},
	}
	CancelResourceOrders = tmf.Kind[CancelResourceOrder, *CancelResourceOrder]{
		API: ResourceOrdering, Name: "cancelResourceOrder", Table: "fulfilment_cancel_resource_order", Verbs: tmf.Task,
		Index: []string{"state", "resourceOrder.id"}, StateAttr: "state",
		Moves: tmf.Moves{"": {"done", "inProgress", "terminatedWithError"}, "inProgress": {"done", "terminatedWithError"}},
	}
)

func init() {
	ResourceOrders.OnPost = BeginResources
	ResourceOrders.OnDelete = func(tx *store.Tx, ro *ResourceOrder) error {
		if !ended(ro.State) {
			return fault.Clash("notEnded", "The order is %s; cancel it first", ro.State)
		}
		work.Cancel(tx, startJob, ro.ID)
		return ResourceOrders.Remove(tx, ro)
	}
	ResourceOrders.Saved = func(tx *store.Tx, old, ro *ResourceOrder) error {
		if ro == nil || old == nil || old.State != PendingCancellation || !ended(ro.State) {
			return nil
		}
		return closeCancellations(tx, ro.ID, func(id string) error {
			_, err := CancelResourceOrders.Edit(tx, id, func(c *CancelResourceOrder) error {
				c.State, c.EffectiveCancellationDate = "done", tx.Now()
				return nil
			})
			return err
		})
	}
	CancelResourceOrders.OnPost = postCancelResource
}

// ended says whether an order in this state has nothing left to happen to it.
func ended(state string) bool { return final[state] || state == Partial }

// BeginResources takes a resource order on, as Begin does a service order.
func BeginResources(tx *store.Tx, ro *ResourceOrder) error {
	if ro.State != "" && ro.State != Acknowledged {
		return fault.BadInput("notSettable", "state is set by the server")
	}
	ro.OrderDate, ro.StartDate, ro.ExpectedCompletionDate, ro.CompletionDate = tx.Now(), time.Time{}, time.Time{}, time.Time{}
	if ro.ID == "" {
		ro.ID = tmf.NewID()
	}
	so, err := ro.shadow()
	if err != nil {
		return err
	}
	items, err := order(so)
	if err != nil {
		return err
	}
	for i, it := range items {
		if err := it.planResource(tx, so, &ro.OrderItem[i]); err != nil {
			return fault.At("orderItem "+ro.OrderItem[i].ID, err)
		}
	}
	ro.State = Acknowledged
	if !ro.RequestedStartDate.After(tx.Now()) {
		ro.State, ro.StartDate = InProgress, tx.Now()
	}
	for i := range ro.OrderItem {
		ro.OrderItem[i].State = ro.State
	}
	so.State = ro.State
	if len(items) == 0 {
		ro.State, ro.CompletionDate = Completed, tx.Now()
	}
	if err := ResourceOrders.Create(tx, ro); err != nil {
		return err
	}
	if err := storeItems(tx, so, items); err != nil || ro.State != Acknowledged {
		return err
	}
	return work.Enqueue(tx, startJob, ro.ID, nil, ro.RequestedStartDate)
}

// startResources moves a resource order whose day has come to inProgress, unless
// it was cancelled meanwhile.
func startResources(tx *store.Tx, id string) (begins bool, err error) {
	_, err = ResourceOrders.Edit(tx, id, func(ro *ResourceOrder) error {
		if begins = ro.State == Acknowledged; !begins {
			return nil
		}
		ro.State, ro.StartDate = InProgress, tx.Now()
		for i := range ro.OrderItem {
			if it := &ro.OrderItem[i]; it.State == Acknowledged {
				it.State = InProgress
			}
		}
		return nil
	})
	return begins, err
}

// isResourceOrder says whether the order is one of TMF652.
func isResourceOrder(tx *store.Tx, id string) (bool, error) {
	_, err := ResourceOrders.Get(tx, id)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// shadow is the order as the engine sees it: items with ids, actions and who
// waits for whom.
func (ro *ResourceOrder) shadow() (*ServiceOrder, error) {
	so := &ServiceOrder{RequestedStartDate: ro.RequestedStartDate, RelatedParty: ro.RelatedParty}
	so.ID = ro.ID
	for i := range ro.OrderItem {
		it := &ro.OrderItem[i]
		if it.ID == "" {
			it.ID = fmt.Sprint(i + 1)
		}
		switch it.Action {
		case "":
			it.Action = Add
		case Add, Modify, Delete, NoChange:
		default:
			return nil, fault.BadInput("invalidValue", "action of item %q is %q; it must be add, modify, delete or noChange", it.ID, it.Action)
		}
		shadow := ServiceOrderItem{ID: it.ID, Action: it.Action, Quantity: it.Quantity, Service: &Service{}}
		for _, r := range it.Relationship {
			if r.OrderItem != nil {
				shadow.Relationship = append(shadow.Relationship, ItemRelationship{OrderItem: &ItemRef{ItemID: r.OrderItem.ItemID}})
			}
		}
		so.ServiceOrderItem = append(so.ServiceOrderItem, shadow)
	}
	return so, nil
}

// planResource decides what one item wants.
func (p *planned) planResource(tx *store.Tx, so *ServiceOrder, it *ResourceOrderItem) error {
	if it.Resource == nil {
		it.Resource = &ResourceValue{}
	}
	r := it.Resource
	switch {
	case it.Action == NoChange:
		p.step, p.service = stepNothing, r.ID
		return nil
	case it.Action == Add && r.ID != "":
		return fault.BadInput("resourceExists", "An item with action add describes a new resource; it cannot name resource %q", r.ID)
	case it.Action != Add && r.ID == "":
		return fault.BadInput("mandatoryAttributeMissing", "resource.id is required to %s a resource", it.Action)
	}
	p.step = map[string]string{Add: stepActivate, Modify: stepChange, Delete: stepTerminate}[it.Action]
	id, chars := specOf(it), r.Characteristic
	if it.Action != Add {
		if err := p.claim(tx, so.ID, r.ID); err != nil {
			return err
		}
		var err error
		if p.before, err = asBuilt(tx, r.ID); err != nil {
			return err
		}
		if p.before == nil || p.before.Root().Kind != spec.Resource { // it is gone, or a service
			return fault.Missing("resource", r.ID)
		}
		id = p.before.Root().Spec.ID
		chars = p.before.Root().Chars
		for _, c := range r.Characteristic {
			chars = tmf.With(chars, c)
		}
	}
	if it.Action != Delete {
		if err := p.targetResource(tx, so, id, chars); err != nil {
			return err
		}
		p.service, r.ID = p.target.Root().ID, p.target.Root().ID
		r.Characteristic = p.target.Root().Chars
	}
	r.Href = inventory.Resources.API.Base + "/resource/" + r.ID
	p.steps = diff(p.before, p.target)
	return nil
}

func specOf(it *ResourceOrderItem) string {
	for _, ref := range []*tmf.Ref{it.ResourceSpecification, it.Resource.Specification} {
		if ref != nil && ref.ID != "" {
			return ref.ID
		}
	}
	return ""
}

// targetResource is the graph of a resource by itself.
func (p *planned) targetResource(tx *store.Tx, so *ServiceOrder, id string, chars []tmf.Characteristic) error {
	if id == "" {
		return fault.BadInput("mandatoryAttributeMissing", "resourceSpecification.id is required to add a resource")
	}
	s, err := spec.ResourceSpecifications.Get(tx, id)
	if err != nil {
		return err
	}
	if chars, err = spec.Configure(s, chars); err != nil {
		return err
	}
	node := &spec.Node{Kind: spec.Resource, Characteristics: chars,
		Spec: spec.Member{Kind: spec.Resource, ID: s.ID, Name: s.Name, Version: s.Version, Class: s.Type, Category: s.Category}}
	p.target = graphOf(node, p.before, tmf.NewID)
	return assign(tx, p.target, so.draw(p.item.Service), so.RequestedStartDate, p.before)
}

// progressResource is progress for an item of a resource order.
func progressResource(tx *store.Tx, it itemRow, state, reason string) error {
	_, err := ResourceOrders.Edit(tx, it.order, func(ro *ResourceOrder) error {
		var states []string
		for i := range ro.OrderItem {
			if ro.OrderItem[i].ID == it.item {
				ro.OrderItem[i].State = state
			}
			states = append(states, ro.OrderItem[i].State)
		}
		if reason != "" {
			ro.Note = append(ro.Note, tmf.Note{Author: "fulfilment", Date: tx.Now(), Text: "Item " + it.item + " " + state + ": " + reason})
		}
		if sum := sumStates(states); sum != "" {
			ro.State, ro.CompletionDate = sum, tx.Now()
		}
		return nil
	})
	return err
}

func postCancelResource(tx *store.Tx, c *CancelResourceOrder) error {
	if c.ResourceOrder.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "resourceOrder.id is required")
	}
	ro, err := ResourceOrders.Lock(tx, c.ResourceOrder.ID)
	if err != nil {
		return err
	}
	if ended(ro.State) {
		c.State, c.EffectiveCancellationDate = "terminatedWithError", tx.Now()
		return CancelResourceOrders.Create(tx, c)
	}
	if c.ID == "" {
		c.ID = tmf.NewID()
	}
	c.State = "inProgress"
	if err := CancelResourceOrders.Create(tx, c); err != nil {
		return err
	}
	tx.Queue("INSERT INTO fulfilment_cancel (tenant, service_order, task) VALUES ($1, $2, $3)", ro.ID, c.ID)
	if _, err := ResourceOrders.Edit(tx, ro.ID, func(ro *ResourceOrder) error {
		ro.State = PendingCancellation
		for i := range ro.OrderItem {
			if !final[ro.OrderItem[i].State] {
				ro.OrderItem[i].State = PendingCancellation
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := takeBackAll(tx, ro.ID, c.CancellationReason); err != nil {
		return err
	}
	shown, err := CancelResourceOrders.Get(tx, c.ID)
	if err == nil {
		*c = *shown
	}
	return err
}

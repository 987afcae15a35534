package fulfilment

import (
	"embed"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("fulfilment", schemaFiles)}

// orderMoves is the state machine of a service order (TMF641).
var orderMoves = tmf.Moves{
	"":                    {Acknowledged, InProgress, Completed},
	Acknowledged:          {InProgress, Rejected, Held, Completed, Failed, Partial, PendingCancellation, Cancelled},
	InProgress:            {Held, Completed, Failed, Partial, AssessingCancellation, PendingCancellation, Cancelled},
	Held:                  {InProgress, PendingCancellation, Cancelled},
	AssessingCancellation: {InProgress, PendingCancellation, Cancelled},
	PendingCancellation:   {Cancelled, Failed, Partial, Completed},
}

// The resources of TMF641.
var (
	ServiceOrders = tmf.Kind[ServiceOrder, *ServiceOrder]{
		API: ServiceOrdering, Name: "serviceOrder", Table: "fulfilment_service_order", Verbs: tmf.All,
		Index: []string{"state", "externalId", "orderDate"}, StateAttr: "state", Moves: orderMoves,
		Frozen: []string{"state", "serviceOrderItem", "orderDate", "startDate", "completionDate", "cancellationDate", "errorMessage", "jeopardyAlert", "milestone"},
	}
	CancelServiceOrders = tmf.Kind[CancelServiceOrder, *CancelServiceOrder]{
		API: ServiceOrdering, Name: "cancelServiceOrder", Table: "fulfilment_cancel_service_order", Verbs: tmf.Task,
		Index: []string{"state", "serviceOrder.id"}, StateAttr: "state",
		Moves: tmf.Moves{"": {"done", "inProgress", "terminatedWithError"}, "inProgress": {"done", "terminatedWithError"}},
	}
)

// Kinds are the resources the room serves.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&ServiceOrders, &CancelServiceOrders, &ResourceOrders, &CancelResourceOrders, &FaultPolicies, &Fallouts, &FalloutActions}
}

func init() {
	ServiceOrders.OnPost = postOrder
	ServiceOrders.OnDelete = deleteOrder
	ServiceOrders.Saved = func(tx *store.Tx, old, so *ServiceOrder) error {
		if so != nil && old != nil && old.State == PendingCancellation && ended(so.State) {
			return cancelled(tx, so)
		}
		return nil
	}
	CancelServiceOrders.OnPost = postCancel
	FaultPolicies.Check = checkPolicy
	FalloutActions.OnPost = act
}

// postOrder is POST serviceOrder: what the server sets may not be given.
func postOrder(tx *store.Tx, so *ServiceOrder) error {
	if so.State != "" && so.State != Acknowledged {
		return fault.BadInput("notSettable", "state is set by the server")
	}
	for _, it := range so.ServiceOrderItem {
		if it.External != nil {
			return fault.BadInput("notSettable", "external is set by the one who orders from within")
		}
	}
	return Begin(tx, so)
}

// deleteOrder removes the record of an order that has ended.
func deleteOrder(tx *store.Tx, so *ServiceOrder) error {
	if !ended(so.State) {
		return fault.Clash("notEnded", "The order is %s; cancel it first", so.State)
	}
	work.Cancel(tx, startJob, so.ID)
	work.Cancel(tx, dateJob, so.ID)
	return ServiceOrders.Remove(tx, so)
}

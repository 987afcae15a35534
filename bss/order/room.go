package order

import (
	"embed"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("order", schemaFiles)}

var moves = tmf.Moves{
	"":                  {Acknowledged, InProgress, Completed},
	Acknowledged:        {InProgress, Completed, Failed, Partial, Cancelled, PendingCancellation},
	InProgress:          {Completed, Failed, Partial, Cancelled, PendingCancellation},
	PendingCancellation: {Cancelled, Completed, Failed, Partial},
}

// The resources of TMF622.
var (
	ProductOrders = tmf.Kind[ProductOrder, *ProductOrder]{
		API: API, Name: "productOrder", Table: "order_product_order", Verbs: tmf.All,
		Index: []string{"state", "externalId", "orderDate"}, Multi: []string{"relatedParty.id"},
		StateAttr: "state", Moves: moves,
		Frozen: []string{"state", "productOrderItem", "orderDate", "completionDate", "cancellationDate", "orderTotalPrice"},
	}
	CancelProductOrders = tmf.Kind[CancelProductOrder, *CancelProductOrder]{
		API: API, Name: "cancelProductOrder", Table: "order_cancel_product_order", Verbs: tmf.Task,
		Index: []string{"state", "productOrder.id"}, StateAttr: "state",
		Moves: tmf.Moves{"": {Acknowledged, cancelling, notCancelled}, Acknowledged: {cancelling, notCancelled}, cancelling: {cancelDone, notCancelled}},
	}
)

// Kinds are the resources the room serves.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&ProductOrders, &CancelProductOrders} }

func init() {
	ProductOrders.OnPost = Place
	ProductOrders.OnDelete = func(tx *store.Tx, o *ProductOrder) error {
		if !final[o.State] {
			return fault.Clash("notEnded", "The order is %s; cancel it first", o.State)
		}
		return ProductOrders.Remove(tx, o)
	}
	ProductOrders.Saved = func(tx *store.Tx, old, o *ProductOrder) error {
		if o != nil && old != nil && old.State == PendingCancellation && final[o.State] {
			return closeCancellations(tx, o)
		}
		return nil
	}
	CancelProductOrders.OnPost = postCancel
}

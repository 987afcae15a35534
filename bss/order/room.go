package order

import (
	"embed"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
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
		Moves: tmf.Moves{"": {"done", "inProgress", "terminatedWithError"}, "inProgress": {"done", "terminatedWithError"}},
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

// postCancel is POST cancelProductOrder: it is done at once if nothing had begun,
// else when the network is back to what it was.
func postCancel(tx *store.Tx, c *CancelProductOrder) error {
	if c.ProductOrder == nil {
		return fault.BadInput("mandatoryAttributeMissing", "productOrder.id is required")
	}
	if c.State != "" && c.State != Acknowledged {
		return fault.BadInput("notSettable", "state is set by the server")
	}
	o, err := ProductOrders.Lock(tx, c.ProductOrder.ID)
	if err != nil {
		return err
	}
	if final[o.State] {
		c.State, c.EffectiveCancellationDate = "terminatedWithError", tx.Now()
		return CancelProductOrders.Create(tx, c)
	}
	if err := Cancel(tx, o.ID, c.CancellationReason); err != nil {
		return err
	}
	if c.ID == "" {
		c.ID = tmf.NewID()
	}
	c.State = "inProgress"
	tx.Queue("INSERT INTO order_cancel (tenant, product_order, task) VALUES ($1, $2, $3)", o.ID, c.ID)
	return CancelProductOrders.Create(tx, c)
}

// Cancel takes an order back, in the network too. The order ends when the network
// has confirmed it (ServiceOrderItemDone).
func Cancel(tx *store.Tx, id, reason string) error {
	if _, err := ProductOrders.Edit(tx, id, func(o *ProductOrder) error {
		if final[o.State] {
			return fault.Clash("alreadyEnded", "The order has ended as %s; it can no longer be cancelled", o.State)
		}
		o.State, o.CancellationReason = PendingCancellation, reason
		for i := range o.ProductOrderItem {
			if it := &o.ProductOrderItem[i]; !final[it.State] {
				it.State = PendingCancellation
			}
		}
		return nil
	}); err != nil {
		return err
	}
	var service string
	err := tx.Row("SELECT service_order FROM order_line WHERE tenant = $1 AND product_order = $2 LIMIT 1", id).Scan(&service)
	if err != nil {
		return err
	}
	return fulfilment.Cancel(tx, service, reason)
}

func closeCancellations(tx *store.Tx, o *ProductOrder) error {
	rows, err := tx.Query("SELECT task FROM order_cancel WHERE tenant = $1 AND product_order = $2", o.ID)
	tasks, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return err
	}
	for _, id := range tasks {
		if _, err := CancelProductOrders.Edit(tx, id, func(c *CancelProductOrder) error {
			c.State, c.EffectiveCancellationDate = "done", tx.Now()
			if o.State != Cancelled {
				c.State = "terminatedWithError"
			}
			return nil
		}); err != nil {
			return err
		}
	}
	tx.Queue("DELETE FROM order_cancel WHERE tenant = $1 AND product_order = $2", o.ID)
	return nil
}

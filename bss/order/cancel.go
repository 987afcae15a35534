package order

import (
	"context"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/fulfilment"
)

// States of a cancellation (TMF622 TaskStateType), besides acknowledged: its day
// has not come.
const (
	cancelling   = "inProgress"
	cancelDone   = "done"
	notCancelled = "terminatedWithError"
)

const cancelJob = "order.cancel" // the requested cancellation date has come

// Handle registers the room's timers.
func Handle(r *work.Runner, db *store.DB) {
	r.Handle(cancelJob, work.Options{}, func(ctx context.Context, job *work.Job) error { return due(ctx, db, job) })
}

// postCancel is POST cancelProductOrder: now, or when the requested date comes. It
// is done when the network is back to what it was.
func postCancel(tx *store.Tx, c *CancelProductOrder) error {
	if c.ProductOrder == nil {
		return fault.BadInput("mandatoryAttributeMissing", "productOrder.id is required")
	}
	if c.State != "" && c.State != Acknowledged {
		return fault.BadInput("notSettable", "state is set by the server")
	}
	c.EffectiveCancellationDate = time.Time{}
	if c.ID == "" {
		c.ID = tmf.NewID()
	}
	if !c.RequestedCancellationDate.After(tx.Now()) {
		if err := c.begin(tx); err != nil {
			return err
		}
		return CancelProductOrders.Create(tx, c)
	}
	if _, err := ProductOrders.Get(tx, c.ProductOrder.ID); err != nil {
		return err
	}
	c.State = Acknowledged
	if err := CancelProductOrders.Create(tx, c); err != nil {
		return err
	}
	return work.Enqueue(tx, cancelJob, c.ID, nil, c.RequestedCancellationDate)
}

// begin cancels the order; a cancellation that comes after its end has failed.
func (c *CancelProductOrder) begin(tx *store.Tx) error {
	o, err := ProductOrders.Lock(tx, c.ProductOrder.ID)
	if err != nil {
		return err
	}
	if final[o.State] {
		c.State, c.EffectiveCancellationDate = notCancelled, tx.Now()
		return nil
	}
	c.State = cancelling
	tx.Queue("INSERT INTO order_cancel (tenant, product_order, task) VALUES ($1, $2, $3)", o.ID, c.ID)
	return Cancel(tx, o.ID, c.CancellationReason)
}

// due cancels when the date has come. Nobody is there any more to be told that it
// cannot be done: the task says so.
func due(ctx context.Context, db *store.DB, job *work.Job) error {
	edit := func(change func(tx *store.Tx, c *CancelProductOrder) error) error {
		return db.Write(ctx, job.Scope(), func(tx *store.Tx) error {
			if err := job.Finish(tx); err != nil {
				return err
			}
			_, err := CancelProductOrders.Edit(tx, job.Key, func(c *CancelProductOrder) error { return change(tx, c) })
			return err
		})
	}
	err := edit(func(tx *store.Tx, c *CancelProductOrder) error { return c.begin(tx) })
	if !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
		return err
	}
	return edit(func(tx *store.Tx, c *CancelProductOrder) error {
		c.State, c.EffectiveCancellationDate = notCancelled, tx.Now()
		return nil
	})
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
			c.State, c.EffectiveCancellationDate = cancelDone, tx.Now()
			if o.State != Cancelled {
				c.State = notCancelled
			}
			return nil
		}); err != nil {
			return err
		}
	}
	tx.Queue("DELETE FROM order_cancel WHERE tenant = $1 AND product_order = $2", o.ID)
	return nil
}

package fulfilment

import (
	"slices"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/activation"
	"tandem/oss/inventory"
)

// Cancel takes an order back: what was not begun is dropped, what was or may
// have been done on elements is undone there, in reverse, and confirmed. It is
// refused once every item has ended: what the network has confirmed is ended by
// an order of its own.
func Cancel(tx *store.Tx, order, reason string) error {
	so, err := ServiceOrders.Lock(tx, order)
	if err != nil {
		return err
	}
	if ended(so.State) {
		return fault.Clash("alreadyEnded", "Service order %q has ended (%s); it can no longer be cancelled", order, so.State)
	}
	if _, err := ServiceOrders.Edit(tx, order, func(so *ServiceOrder) error {
		so.State, so.CancellationReason = PendingCancellation, reason
		for i := range so.ServiceOrderItem {
			if it := &so.ServiceOrderItem[i]; !final[it.State] {
				it.State = PendingCancellation
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return takeBackAll(tx, order, reason)
}

// takeBackAll takes back the items of an order that have not ended, last first.
func takeBackAll(tx *store.Tx, order, reason string) error {
	rows, err := tx.Query(selectItem+"service_order = $2 ORDER BY n DESC", order)
	items, err := store.Collect(rows, err, func(r store.Rows) (itemRow, error) { return scanItem(r) })
	if err != nil {
		return err
	}
	for _, it := range items {
		if final[it.state] {
			continue
		}
		if it, err = loadItem(tx, it.order, it.item); err != nil { // taking one back may have ended another
			return err
		}
		if final[it.state] {
			continue
		}
		if err := it.takeBack(tx, Cancelled, reason); err != nil {
			return err
		}
	}
	return nil
}

// takeBack turns the tasks of an item round. A task that may have touched its
// element is undone under the same job, so that a run under way cannot overlap
// with the undoing, and cannot write its outcome either.
func (it itemRow) takeBack(tx *store.Tx, endsIn, reason string) error {
	if it.state == PendingCancellation {
		return nil
	}
	rows, err := tx.Query(selectTask+"service_order = $2 AND item = $3 ORDER BY n DESC", it.order, it.item)
	tasks, err := store.Collect(rows, err, func(r store.Rows) (task, error) { return scanTask(r) })
	if err != nil {
		return err
	}
	now := store.Micros(tx.Now())
	var undo, earlier []string
	for _, t := range tasks {
		switch {
		case t.state == taskCancelled:
			if it.owns(t.do.place()) { // an earlier plan may have touched it, and this one not have cleared it yet
				earlier = append(earlier, t.id)
			}
			continue
		case t.state == taskWaiting || t.n < 0:
			tx.QueueOne("UPDATE fulfilment_task SET state = 'cancelled', at = $3 WHERE tenant = $1 AND id = $2", t.id, now)
		default:
			undo = append(undo, t.id)
		}
		tx.Queue("DELETE FROM fulfilment_arrow WHERE tenant = $1 AND before = $2", t.id)
		if err := closeFallout(tx, t.id, "The order item is taken back"); err != nil {
			return err
		}
	}
	undo = append(undo, earlier...)
	tx.QueueOne("UPDATE fulfilment_item SET state = $4, open_tasks = $5, arrows = 1, ends_in = $6, reason = $7, at = $8 WHERE tenant = $1 AND service_order = $2 AND item = $3",
		it.order, it.item, PendingCancellation, len(undo), endsIn, reason, now)
	for i, id := range undo {
		state := taskReady
		if i > 0 {
			state = taskWaiting
			arrow(tx, undo[i-1], id)
		}
		tx.QueueOne("UPDATE fulfilment_task SET undoing = 1, state = $3, waits_for = $4, attempt = 0, class = '', cause = '', at = $5 WHERE tenant = $1 AND id = $2",
			id, state, min(i, 1), now)
		if i > 0 {
			work.Cancel(tx, taskJob, id)
		} else if err := work.Enqueue(tx, taskJob, id, nil, tx.Now()); err != nil {
			return err
		}
	}
	it.endsIn, it.reason, it.state, it.arrows = endsIn, reason, PendingCancellation, true
	if len(undo) == 0 {
		return takenBack(tx, it)
	}
	return nil
}

// owns says whether a place on an element is the item's to change: its service has
// it, or a plan of the item does or did.
func (it itemRow) owns(place activation.Place) bool {
	return slices.ContainsFunc([]*Graph{it.graph, it.graph.earlier(), it.before}, func(g *Graph) bool { return slices.Contains(g.places(), place) })
}

// takenBack ends an item whose effects are gone: what it reserved is free again,
// services it would have made never were.
func takenBack(tx *store.Tx, it itemRow) error {
	if err := releaseAll(tx, it.before, it.graph, it.graph.earlier()); err != nil {
		return err
	}
	for _, p := range partsOf(it.graph) {
		if p.Kind != "service" || it.before.same(&p) != nil {
			continue
		}
		if it.step != stepActivate {
			continue // it would have entered the inventory only on completion
		}
		if _, err := inventory.Services.Edit(tx, p.ID, func(s *inventory.Service) error {
			s.State, s.EndDate = ServiceTerminated, tx.Now()
			s.SupportingService, s.SupportingResource = nil, nil
			return nil
		}); err != nil {
			return err
		}
	}
	return it.end(tx, it.endsIn, it.reason)
}

// failBehind takes back the items that waited for one that will never be done.
func failBehind(tx *store.Tx, it itemRow) error {
	rows, err := tx.Query("SELECT after FROM fulfilment_arrow WHERE tenant = $1 AND before = $2", itemDone(it.order, it.item))
	gates, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return err
	}
	for _, g := range gates {
		var order, item string
		if err := tx.Row("SELECT service_order, item FROM fulfilment_task WHERE tenant = $1 AND id = $2", g).Scan(&order, &item); err != nil {
			return err
		}
		next, err := loadItem(tx, order, item)
		if err != nil {
			return err
		}
		if final[next.state] {
			continue
		}
		if err := next.takeBack(tx, it.endsIn, "It relies on item "+it.item+", which ended as "+it.endsIn); err != nil {
			return err
		}
	}
	return nil
}

// postCancel is POST cancelServiceOrder (TMF641): the task says how it went.
func postCancel(tx *store.Tx, c *CancelServiceOrder) error {
	if c.ServiceOrder == nil || c.ServiceOrder.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "serviceOrder.id is required")
	}
	so, err := ServiceOrders.Get(tx, c.ServiceOrder.ID)
	if err != nil {
		return err
	}
	if c.State != "" {
		return fault.BadInput("notSettable", "state is set by the server")
	}
	c.State = "done"
	c.EffectiveCancellationDate = tx.Now()
	if ended(so.State) {
		c.State = "terminatedWithError"
		c.ErrorMessage = &ErrorMessage{Code: "alreadyEnded", Reason: "The order has ended as " + so.State + " and can no longer be cancelled", Timestamp: tx.Now()}
		return CancelServiceOrders.Create(tx, c)
	}
	if err := Cancel(tx, so.ID, c.CancellationReason); err != nil {
		return err
	}
	if so, err = ServiceOrders.Get(tx, so.ID); err != nil {
		return err
	}
	if !ended(so.State) {
		c.State, c.EffectiveCancellationDate = "inProgress", so.CancellationDate
		if c.ID == "" {
			c.ID = tmf.NewID()
		}
		tx.Queue("INSERT INTO fulfilment_cancel (tenant, service_order, task) VALUES ($1, $2, $3)", so.ID, c.ID)
	}
	return CancelServiceOrders.Create(tx, c)
}

// cancelled closes the cancellation tasks of an order that has ended.
func cancelled(tx *store.Tx, so *ServiceOrder) error {
	return closeCancellations(tx, so.ID, func(id string) error {
		_, err := CancelServiceOrders.Edit(tx, id, func(c *CancelServiceOrder) error {
			c.State, c.EffectiveCancellationDate = "done", tx.Now()
			c.CompletionMessage = "The order ended as " + so.State
			return nil
		})
		return err
	})
}

// closeCancellations ends the cancellation tasks that wait for an order.
func closeCancellations(tx *store.Tx, order string, end func(id string) error) error {
	rows, err := tx.Query("SELECT task FROM fulfilment_cancel WHERE tenant = $1 AND service_order = $2", order)
	tasks, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return err
	}
	for _, id := range tasks {
		if err := end(id); err != nil {
			return err
		}
	}
	tx.Queue("DELETE FROM fulfilment_cancel WHERE tenant = $1 AND service_order = $2", order)
	return nil
}

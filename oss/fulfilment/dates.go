package fulfilment

import (
	"context"

	"tandem/kit/store"
	"tandem/kit/work"
)

const (
	startJob = "fulfilment.start" // the requested start has come
	dateJob  = "fulfilment.date"  // the requested completion has come
)

// watchDate sets the timers of an order: its start, and the date it was promised for.
func watchDate(tx *store.Tx, so *ServiceOrder) error {
	if so.State == Acknowledged {
		if err := work.Enqueue(tx, startJob, so.ID, nil, so.RequestedStartDate); err != nil {
			return err
		}
	}
	if so.RequestedCompletionDate.After(tx.Now()) && !final[so.State] {
		return work.Enqueue(tx, dateJob, so.ID, nil, so.RequestedCompletionDate)
	}
	return nil
}

// start moves an order whose day has come to inProgress. Its tasks have timers
// of their own, set to the same instant; items that have none are done with it.
func (e *Engine) start(ctx context.Context, job *work.Job) error {
	return e.db.Write(ctx, e.scope(job.Tenant), func(tx *store.Tx) error {
		if err := job.Finish(tx); err != nil {
			return err
		}
		tx.Queue("UPDATE fulfilment_item SET state = 'inProgress' WHERE tenant = $1 AND service_order = $2 AND state = 'pending'", job.Key)
		ofResources, err := isResourceOrder(tx, job.Key)
		if err != nil {
			return err
		}
		begin := startServices
		if ofResources {
			begin = startResources
		}
		if begins, err := begin(tx, job.Key); err != nil || !begins {
			return err
		}
		return completeIdle(tx, job.Key)
	})
}

// startServices moves a service order to inProgress, unless it was cancelled
// meanwhile.
func startServices(tx *store.Tx, id string) (begins bool, err error) {
	_, err = ServiceOrders.Edit(tx, id, func(so *ServiceOrder) error {
		if begins = so.State == Acknowledged; !begins {
			return nil
		}
		so.State, so.StartDate = InProgress, tx.Now()
		for i := range so.ServiceOrderItem {
			if it := &so.ServiceOrderItem[i]; it.State == Acknowledged {
				it.State = InProgress
			}
		}
		return nil
	})
	return begins, err
}

// dateReached raises a jeopardy alert on an order that is late.
func (e *Engine) dateReached(ctx context.Context, job *work.Job) error {
	return e.db.Write(ctx, e.scope(job.Tenant), func(tx *store.Tx) error {
		if err := job.Finish(tx); err != nil {
			return err
		}
		_, err := ServiceOrders.Edit(tx, job.Key, func(so *ServiceOrder) error {
			if final[so.State] || so.State == Partial {
				return nil
			}
			alert := JeopardyAlert{Name: "late", JeopardyType: "deadlineMissed", AlertDate: tx.Now(),
				Message: "The requested completion date has passed and the order is not complete"}
			for _, it := range so.ServiceOrderItem {
				if !final[it.State] {
					alert.Items = append(alert.Items, ItemRef{ItemID: it.ID})
				}
			}
			so.JeopardyAlert = append(so.JeopardyAlert, alert)
			return nil
		})
		return err
	})
}

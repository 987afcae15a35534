package fulfilment

import (
	"context"
	"fmt"
	"slices"

	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/work"
)

// EachOpen calls f with the id of every service order that has not ended, by id.
func EachOpen(ctx context.Context, db *store.DB, s store.Scope, f func(id string) error) error {
	for after := ""; ; {
		var page []string
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query(`SELECT id FROM fulfilment_service_order WHERE tenant = $1 AND id > $2
				AND a_state IN ('acknowledged', 'pending', 'held', 'inProgress', 'assessingCancellation', 'pendingCancellation') ORDER BY id LIMIT $3`, after, int64(builtPage))
			page, err = store.Collect(rows, err, store.Text)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1]
		for _, id := range page {
			if err := f(id); err != nil {
				return err
			}
		}
	}
}

// Standstill is why a service order will never end by itself.
type Standstill struct {
	Reason   string // in words; empty: it goes on, waits for a person or a date, or has ended
	External []fact.External
}

// Stuck looks for what keeps a service order going: a task with a job, a fallout
// that a person sees, or the timer of its start. It says what is missing.
func Stuck(tx *store.Tx, order string) (s Standstill, err error) {
	so, err := ServiceOrders.Get(tx, order)
	if fault.Is(err, fault.NotFound) || err == nil && (final[so.State] || so.State == Partial) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	for _, it := range so.ServiceOrderItem {
		if it.External != nil {
			s.External = append(s.External, *it.External)
		}
	}
	timer, _, err := work.StateOf(tx, startJob, order)
	if err != nil {
		return s, err
	}
	if so.State == Acknowledged && timer == "" {
		s.Reason = "its start was set for " + so.RequestedStartDate.UTC().Format("2006-01-02 15:04") + ", but no timer waits for it"
		return s, nil
	}
	s.Reason, err = standstill(tx, order, so.State == Acknowledged)
	return s, err
}

// life is what still moves in an order.
type life struct {
	open  map[string]bool // items that have not ended
	moves map[string]bool // of these, those that a task or a fallout keeps going
	waits map[string]bool // of these, those that wait for others
}

// standstill looks at the items. Those of an order whose timer runs may have
// nothing else to do than to wait for it.
func standstill(tx *store.Tx, order string, timer bool) (string, error) {
	l := life{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	rows, err := tx.Query("SELECT item FROM fulfilment_item WHERE tenant = $1 AND service_order = $2 AND state NOT IN ('completed', 'failed', 'cancelled')", order)
	items, err := store.Collect(rows, err, store.Text)
	if err != nil {
		return "", err
	}
	for _, it := range items {
		l.open[it] = true
	}
	if len(items) == 0 {
		return "all its items have ended, the order has not", nil
	}
	rows, err = tx.Query("SELECT id, item, n, state FROM fulfilment_task WHERE tenant = $1 AND service_order = $2 AND state IN ('waiting', 'ready', 'fallen') ORDER BY n", order)
	tasks, err := store.Collect(rows, err, func(r store.Rows) (t task, err error) {
		err = r.Scan(&t.id, &t.item, &t.n, &t.state)
		return t, err
	})
	if err != nil {
		return "", err
	}
	for _, it := range items {
		if timer && !slices.ContainsFunc(tasks, func(t task) bool { return t.item == it }) {
			l.moves[it] = true
		}
	}
	for _, t := range tasks {
		if reason, err := l.take(tx, t); err != nil || reason != "" {
			return reason, err
		}
	}
	return l.verdict(items), nil
}

// take notes what a task contributes, or says what is wrong with it.
func (l life) take(tx *store.Tx, t task) (string, error) {
	switch t.state {
	case taskWaiting:
		l.waits[t.item] = l.waits[t.item] || t.n < 0
	case taskReady:
		job, _, err := work.StateOf(tx, taskJob, t.id)
		if err != nil {
			return "", err
		}
		if job == "" {
			return fmt.Sprintf("task %s of item %s is to be done, but no job will do it", t.id, t.item), nil
		}
		l.moves[t.item] = true
	case taskFallen:
		f, err := Fallouts.Get(tx, t.id)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return "", err
		}
		if err != nil || f.State != "open" {
			return fmt.Sprintf("task %s of item %s has failed, but nobody is told by an open fallout", t.id, t.item), nil
		}
		l.moves[t.item] = true
	}
	return "", nil
}

func (l life) verdict(items []string) string {
	for _, it := range items {
		switch {
		case l.moves[it], l.waits[it] && len(l.moves) > 0:
		case l.waits[it]:
			return "its items wait for one another, and none of them moves"
		default:
			return "item " + it + " has not ended, but no task of it is left to do"
		}
	}
	return ""
}

// ItemState is where a service order item stands.
type ItemState struct{ Order, Item string }

// ItemStates are the states of all items of up to a few hundred service orders.
func ItemStates(tx *store.Tx, orders []string) (map[ItemState]string, error) {
	out := map[ItemState]string{}
	if len(orders) == 0 {
		return out, nil
	}
	args := make([]any, len(orders))
	for i, id := range orders {
		args[i] = id
	}
	rows, err := tx.Query("SELECT service_order, item, state FROM fulfilment_item WHERE tenant = $1 AND service_order IN ("+store.In(2, len(args))+")", args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (state string, err error) {
		var at ItemState
		err = r.Scan(&at.Order, &at.Item, &state)
		out[at] = state
		return state, err
	})
	return out, err
}

// OfTask says for whom a task works, the zero value if there is no such task.
func OfTask(tx *store.Tx, id string) (e fact.External, err error) {
	var doc []byte
	err = tx.Row(`SELECT i.external FROM fulfilment_task t JOIN fulfilment_item i ON i.tenant = t.tenant AND i.service_order = t.service_order AND i.item = t.item
		WHERE t.tenant = $1 AND t.id = $2`, id).Scan(&doc)
	if err == store.ErrNotFound {
		return e, nil
	}
	if err != nil {
		return e, err
	}
	return external(doc)
}

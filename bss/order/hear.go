package order

import (
	"strings"

	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// ItemDone hears that a service order item has ended: its line is done, perhaps
// its item, perhaps the order.
func ItemDone(tx *store.Tx, f fact.ServiceOrderItemDone) error {
	if f.External.Order == "" {
		return nil
	}
	n, err := tx.Exec("UPDATE order_line SET state = $4, reason = $5 WHERE tenant = $1 AND product_order = $2 AND line = $3 AND state = 'open'",
		f.External.Order, f.Item, f.State, f.Reason)
	if err != nil || n == 0 {
		return err // heard before
	}
	if err := unwind(tx, f); err != nil {
		return err
	}
	lines, err := linesOf(tx, f.External.Order)
	if err != nil {
		return err
	}
	o, err := ProductOrders.Edit(tx, f.External.Order, func(o *ProductOrder) error {
		o.follow(tx, lines, f)
		return nil
	})
	if err == nil && final[o.State] {
		ended(tx, o)
	}
	return err
}

// unwind brings the product of a line that failed back to what the network says.
func unwind(tx *store.Tx, f fact.ServiceOrderItemDone) error {
	if f.State == Completed {
		return nil
	}
	var action string
	err := tx.Row("SELECT action FROM order_line WHERE tenant = $1 AND product_order = $2 AND line = $3", f.External.Order, f.Item).Scan(&action)
	if err != nil {
		return err
	}
	switch {
	case action == Delete:
		return subscription.Settle(tx, f.External.Product)
	case action == Modify:
		return subscription.Propose(tx, f.External.Product, nil)
	}
	status := subscription.Aborted
	if f.State == Cancelled {
		status = subscription.Cancelled
	}
	p, err := subscription.Get(tx, f.External.Product)
	if err != nil || p.Status != subscription.Created && p.Status != subscription.PendingActive {
		return err
	}
	return subscription.Mark(tx, f.External.Product, status)
}

type lineState struct{ item, state, reason string }

func linesOf(tx *store.Tx, order string) ([]lineState, error) {
	rows, err := tx.Query("SELECT item, state, reason FROM order_line WHERE tenant = $1 AND product_order = $2 ORDER BY line", order)
	return store.Collect(rows, err, func(r store.Rows) (l lineState, err error) {
		err = r.Scan(&l.item, &l.state, &l.reason)
		return l, err
	})
}

var final = map[string]bool{Completed: true, Failed: true, Partial: true, Cancelled: true}

// follow derives items and order from the lines.
func (o *ProductOrder) follow(tx *store.Tx, lines []lineState, f fact.ServiceOrderItemDone) {
	all := map[string]int{}
	for i := range o.ProductOrderItem {
		it := &o.ProductOrderItem[i]
		if state := sum(lines, it.ID); state != "" {
			it.State = state
		}
		all[it.State]++
	}
	if f.State != Completed && f.Reason != "" {
		o.Note = append(o.Note, tmf.Note{Author: "fulfilment", Date: tx.Now(), Text: "Item " + f.External.Item + " " + f.State + ": " + f.Reason})
	}
	n := len(o.ProductOrderItem)
	if all[Completed]+all[Failed]+all[Cancelled] < n {
		if o.State == Acknowledged {
			o.State = InProgress
		}
		return
	}
	switch {
	case all[Completed] == n:
		o.State = Completed
	case all[Cancelled] == n:
		o.State, o.CancellationDate = Cancelled, tx.Now()
	case all[Completed] == 0:
		o.State = Failed
	default:
		o.State = Partial
	}
	o.CompletionDate = tx.Now()
}

// sum is the state of an item from those of its lines; "" while one is open.
// An item has no state for "partly": what was not all done has failed.
func sum(lines []lineState, item string) string {
	count := map[string]int{}
	for _, l := range lines {
		if l.item == item {
			count[l.state]++
		}
	}
	switch {
	case count["open"] > 0 || len(count) == 0:
		return ""
	case count[Failed] > 0 || count[Cancelled] > 0 && count[Completed] > 0:
		return Failed
	case count[Cancelled] > 0:
		return Cancelled
	}
	return Completed
}

func ended(tx *store.Tx, o *ProductOrder) {
	customer := ""
	if c := customerOf(o.RelatedParty); c != nil {
		customer = c[0].ID
	}
	outbox.Tell(tx, fact.OrderEnded{Order: o.ID, State: o.State, Customer: customer})
}

// FellOut hears that the order waits for a person in the network: whoever looks at
// the order sees why.
func FellOut(tx *store.Tx, f fact.ServiceOrderFellOut) error {
	if f.External.Order == "" {
		return nil
	}
	_, err := ProductOrders.Edit(tx, f.External.Order, func(o *ProductOrder) error {
		text := "Item " + f.External.Item + " waits in the fallout queue: " + f.Cause
		for _, n := range o.Note {
			if strings.HasPrefix(n.Text, text) {
				return nil
			}
		}
		o.Note = append(o.Note, tmf.Note{Author: "fulfilment", Date: tx.Now(), Text: text})
		return nil
	})
	return err
}

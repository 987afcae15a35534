package order

import (
	"slices"
	"strings"

	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
)

// ItemDone hears that a service order item has ended: its line is done, perhaps
// its item, perhaps the order.
func ItemDone(tx *store.Tx, f fact.ServiceOrderItemDone) error {
	if f.External.Order == "" {
		return nil
	}
	l, lines, err := closeLine(tx, f)
	if err == store.ErrNotFound {
		return nil // heard before
	}
	if err != nil {
		return err
	}
	if err := unwind(tx, l.action, f); err != nil {
		return err
	}
	o, err := ProductOrders.Edit(tx, f.External.Order, func(o *ProductOrder) error {
		o.follow(tx, lines, f)
		return nil
	})
	if err != nil || !final[o.State] {
		return err
	}
	ended(tx, o)
	return endHalfBuilt(tx, o, f.ServiceOrder)
}

// Ahead reads at once the orders of which several items have ended, with their lines.
func Ahead(tx *store.Tx, facts []fact.ServiceOrderItemDone) error {
	var ids []string
	for _, f := range facts {
		if f.External.Order != "" {
			ids = append(ids, f.External.Order)
		}
	}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) == 0 {
		return nil
	}
	ProductOrders.FetchLater(tx, ids, true)
	known, args := readAhead(tx), store.Padded(ids)
	tx.Later(func(rows store.Rows) error {
		for _, id := range ids {
			known[id] = []lineState{}
		}
		for rows.Next() {
			var order string
			l, err := scanState(rows, &order)
			if err != nil {
				return err
			}
			known[order] = append(known[order], l)
		}
		return nil
	}, "SELECT product_order, "+lineColumns+" FROM order_line WHERE tenant = $1 AND product_order IN ("+store.In(2, len(args))+") ORDER BY product_order, line", args...)
	return tx.Flush()
}

type aheadKey struct{ tenant string }

// readAhead is the lines of the orders that were read ahead. Nobody else writes them
// meanwhile: whoever hears holds the cursor.
func readAhead(tx *store.Tx) map[string][]lineState {
	v, err := tx.Shared(aheadKey{tx.Tenant()}, func() (any, error) { return map[string][]lineState{}, nil })
	if err != nil {
		panic(err) // the maker above never fails
	}
	return v.(map[string][]lineState)
}

// endHalfBuilt takes out of the network what was built for products that could
// not be built as a whole: nobody would ever pay for it.
func endHalfBuilt(tx *store.Tx, o *ProductOrder, serviceOrder string) error {
	failed := map[string]bool{}
	for _, it := range o.ProductOrderItem {
		failed[it.ID] = it.Action == Add && (it.State == Failed || it.State == Cancelled)
	}
	if !slices.ContainsFunc(o.ProductOrderItem, func(it Item) bool { return failed[it.ID] }) {
		return nil
	}
	so, err := fulfilment.ServiceOrders.Get(tx, serviceOrder)
	if err != nil {
		return err
	}
	broken := map[string]bool{} // products of which a part is missing
	for _, si := range so.ServiceOrderItem {
		if si.External != nil && failed[si.External.Item] && si.State != fulfilment.Completed {
			broken[si.External.Product] = true
		}
	}
	undo := &fulfilment.ServiceOrder{RelatedParty: so.RelatedParty, Description: "Ends what product order " + o.ID + " could not complete"}
	for _, si := range so.ServiceOrderItem {
		if si.External != nil && broken[si.External.Product] && si.State == fulfilment.Completed {
			undo.ServiceOrderItem = append(undo.ServiceOrderItem, fulfilment.ServiceOrderItem{ID: si.ID, Action: fulfilment.Delete,
				Service: &fulfilment.Service{ID: si.Service.ID}, External: &fact.External{Product: si.External.Product}})
		}
	}
	if len(undo.ServiceOrderItem) == 0 {
		return nil
	}
	return fulfilment.Begin(tx, undo)
}

// closeLine notes how a line ended, and gives all lines of its order;
// store.ErrNotFound if it had ended before.
func closeLine(tx *store.Tx, f fact.ServiceOrderItemDone) (l lineState, lines []lineState, err error) {
	lines, err = linesOf(tx, f.External.Order)
	i := slices.IndexFunc(lines, func(l lineState) bool { return l.line == f.Item && l.state == "open" })
	switch {
	case err != nil:
		return l, nil, err
	case i < 0:
		return l, nil, store.ErrNotFound
	}
	lines[i].state, lines[i].reason = f.State, f.Reason
	tx.QueueOne("UPDATE order_line SET state = $4, reason = $5 WHERE tenant = $1 AND product_order = $2 AND line = $3 AND state = 'open'",
		f.External.Order, f.Item, f.State, f.Reason)
	return lines[i], lines, nil
}

// unwind brings the product of a line that failed back to what the network says.
func unwind(tx *store.Tx, action string, f fact.ServiceOrderItemDone) error {
	if f.State == Completed {
		return nil
	}
	switch {
	case action == Delete:
		return subscription.Settle(tx, f.External.Product)
	case action == Modify:
		return subscription.Withdraw(tx, f.External.Product, f.External.Order)
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

type lineState struct{ line, item, product, state, reason, action string }

const lineColumns = "line, item, product, state, reason, action"

// scanState scans further columns that stand before those of the line.
func scanState(r store.Rows, first ...any) (l lineState, err error) {
	err = r.Scan(append(first, &l.line, &l.item, &l.product, &l.state, &l.reason, &l.action)...)
	return l, err
}

func linesOf(tx *store.Tx, order string) ([]lineState, error) {
	if lines, ok := readAhead(tx)[order]; ok {
		return lines, nil
	}
	rows, err := tx.Query("SELECT "+lineColumns+" FROM order_line WHERE tenant = $1 AND product_order = $2 ORDER BY line", order)
	return store.Collect(rows, err, func(r store.Rows) (lineState, error) { return scanState(r) })
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
// An item has no state for "partly": what was not all done has failed, unless it
// was cancelled and nothing of it stays.
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
	case count[Failed] > 0 || count[Cancelled] > 0 && stays(lines, item):
		return Failed
	case count[Cancelled] > 0:
		return Cancelled
	}
	return Completed
}

// stays says that something of an item remains although not all its lines were
// completed: a product that is whole, or any part of a change.
func stays(lines []lineState, item string) bool {
	broken := map[string]bool{}
	for _, l := range lines {
		broken[l.product] = broken[l.product] || l.state != Completed
	}
	return slices.ContainsFunc(lines, func(l lineState) bool {
		return l.item == item && l.state == Completed && (l.action != Add || !broken[l.product])
	})
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

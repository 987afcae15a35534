package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/order"
)

// A cancellation that names a day to come is kept until then, and carried out by
// the node itself.
func TestACancellationComesOnItsDay(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		later := wish(add(mobile.FlatM))
		later.RequestedStartDate = time.Now().Add(time.Hour)
		placed := must[order.ProductOrder](o, http.MethodPost, orders, later)
		task := must[order.CancelProductOrder](o, http.MethodPost, cancels, &order.CancelProductOrder{
			ProductOrder: &order.Ref{ID: placed.ID}, RequestedCancellationDate: time.Now().Add(time.Second)})
		if task.State != order.Acknowledged {
			t.Errorf("before its day the cancellation is %s", task.State)
		}
		o.takenBack(placed.ID, task)
	})
}

package fulfilment_test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

type cancellation = fulfilment.CancelServiceOrder

func (w *wing) cancel(id string) *cancellation {
	w.Helper()
	return do[cancellation](w, http.MethodPost, cancels, &cancellation{ServiceOrder: &tmf.Ref{ID: id}, CancellationReason: "changed my mind"})
}

// cancelled waits for the end of a cancellation and says how it went.
func (w *wing) cancelled(c *cancellation, state string) {
	w.Helper()
	w.await(func() string {
		if now := do[cancellation](w, http.MethodGet, cancels+"/"+c.ID, nil); now.State != state {
			return "the cancellation is " + now.State + ", not " + state
		} else if now.EffectiveCancellationDate.IsZero() {
			return "the cancellation has no date"
		}
		return ""
	})
}

func TestCancelBeforeWhileAndAfter(t *testing.T) {
	each(t, func(w *wing) {
		nothing := func(o *order) {
			w.Helper()
			w.idle()
			w.has()
			w.wantNumber(number(0), inventory.NumberAvailable)
			w.wantCard(0, inventory.NumberAvailable)
			w.wantService(serviceOf(o, 0), inventory.Terminated)
			if got := w.told(serviceOf(o, 0)); len(got) > 0 {
				w.Errorf("told %v", got)
			}
			if got := w.told(o.ID); !slices.Equal(got, []string{"ServiceOrderItemDone"}) {
				w.Errorf("told %v", got)
			}
			if now := w.order(o.ID); now.CancellationDate.IsZero() || now.CancellationReason != "changed my mind" {
				w.Errorf("cancelled at %s because %q", now.CancellationDate, now.CancellationReason)
			}
		}
		later := do[order](w, http.MethodPost, orders, &order{RequestedStartDate: w.db.Now().Add(time.Hour), ServiceOrderItem: []item{add("1", "line")}})
		c := w.cancel(later.ID)
		w.ends(later.ID, fulfilment.Cancelled)
		w.cancelled(c, "done")
		nothing(later)

		b := w.hold(imsi(0))
		under := w.place(add("1", "line"))
		b.Wait(w)
		c = w.cancel(under.ID)
		if c.State != "inProgress" || w.order(under.ID).State != fulfilment.PendingCancellation {
			w.Errorf("the cancellation is %s, the order %s", c.State, w.order(under.ID).State)
		}
		again := w.cancel(under.ID)
		b.Release()
		w.ends(under.ID, fulfilment.Cancelled)
		w.cancelled(c, "done")
		w.cancelled(again, "done")
		nothing(under)

		done := w.through(add("1", "line"))
		c = w.cancel(done.ID)
		if c.State != "terminatedWithError" || c.ErrorMessage == nil {
			w.Errorf("a completed order was cancelled: %s", c.State)
		}
		w.has(entry(0, 0))
		w.wantService(serviceOf(done, 0), inventory.Active)
		w.refused(http.MethodPost, cancels, &cancellation{ServiceOrder: &tmf.Ref{ID: "nobody"}}, 404, "notFound")
		w.refused(http.MethodPost, cancels, &cancellation{}, 400, "mandatoryAttributeMissing")
		w.refused(http.MethodPost, cancels, &cancellation{State: "done", ServiceOrder: &tmf.Ref{ID: done.ID}}, 400, "notSettable")
	})
}

// A cancelled change leaves the service as it was, with its claim free.
func TestCancelOfAChangePutsBackWhatWas(t *testing.T) {
	each(t, func(w *wing) {
		line := serviceOf(w.through(add("1", "line")), 0)
		for name, it := range map[string]item{
			"number": modify("1", line, "", tmf.Text("msisdn", number(5))),
			"swap":   modify("1", line, "", tmf.Text("iccid", iccid(5))),
			"delete": remove("1", line),
		} {
			subscriber := imsi(0)
			if name == "swap" {
				subscriber = imsi(5) // the old card is off by then
			}
			b := w.hold(subscriber)
			o := w.place(it)
			b.Wait(w)
			c := w.cancel(o.ID)
			b.Release()
			w.ends(o.ID, fulfilment.Cancelled)
			w.cancelled(c, "done")
			w.has(entry(0, 0))
			w.wantService(line, inventory.Active)
			w.wantNumber(number(0), inventory.NumberAssigned)
			w.wantNumber(number(5), inventory.NumberAvailable)
			w.wantCard(0, inventory.NumberAssigned)
			w.wantCard(5, inventory.NumberAvailable)
			if got := w.told(line); len(got) != 1 {
				w.Errorf("%s: told %v", name, got)
			}
		}
		w.reg.SetFaults(nil)
		w.through(remove("1", line))
	})
}

// What is done stays done: it is ended by an order of its own.
func TestCancelLeavesItemsThatAreDone(t *testing.T) {
	each(t, func(w *wing) {
		b := w.hold(imsi(1))
		o := w.place(add("a", "line"), w.after(add("b", "line"), "a"), w.after(add("c", "line"), "b"))
		b.Wait(w)
		c := w.cancel(o.ID)
		b.Release()
		o = w.ends(o.ID, fulfilment.Partial)
		if got := states(o); !slices.Equal(got, []string{"completed", "cancelled", "cancelled"}) {
			w.Errorf("the items are %v", got)
		}
		w.cancelled(c, "done")
		w.has(entry(0, 0))
		w.wantNumber(number(1), inventory.NumberAvailable)
		w.wantNumber(number(2), inventory.NumberAvailable)

		noop := item{ID: "1", Action: "noChange", Service: &fulfilment.Service{}}
		done := w.place(noop)
		if now := w.ends(done.ID, fulfilment.Completed); !slices.Equal(states(now), []string{"completed"}) {
			w.Errorf("nothing to do ended as %v", states(now))
		}
	})
}

// All items of an order for later that has nothing to do on elements can be taken
// back at once: the cancellation is done with its answer.
func TestCancelThatIsDoneAtOnceSaysSo(t *testing.T) {
	each(t, func(w *wing) {
		o := do[order](w, http.MethodPost, orders, &order{RequestedStartDate: w.db.Now().Add(time.Hour), ServiceOrderItem: []item{add("1", "plain-number"), add("2", "plain-number")}})
		if c := w.cancel(o.ID); c.State != "done" || c.EffectiveCancellationDate.IsZero() {
			w.Errorf("the cancellation is %s", c.State)
		}
		w.ends(o.ID, fulfilment.Cancelled)
		w.wantNumber(number(0), inventory.NumberAvailable)
		w.pass(2 * time.Hour)
		w.idle()
		if now := w.order(o.ID); now.State != fulfilment.Cancelled {
			w.Errorf("on its day the order is %s", now.State)
		}
	})
}

package e2e_test

import (
	"net/http"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

// cancel asks to take an order back.
func (o *operator) cancel(id string) *order.CancelProductOrder {
	o.t.Helper()
	return must[order.CancelProductOrder](o, http.MethodPost, cancels, &order.CancelProductOrder{ProductOrder: &order.Ref{ID: id}, CancellationReason: "changed my mind"})
}

// takenBack waits until a cancelled order has ended as such, and checks that
// nothing of it is left anywhere.
func (o *operator) takenBack(id string, task *order.CancelProductOrder) {
	o.t.Helper()
	o.ends(id, order.Cancelled)
	if c := must[order.CancelProductOrder](o, http.MethodGet, cancels+"/"+task.ID, nil); c.State != "done" {
		o.t.Errorf("the cancellation is %s", c.State)
	}
	o.proves()
}

// An order is cancelled at every point of its way: it has not begun, the register
// has seen so many of its commands, the register hangs, is dead, has refused it.
// Each time number and card are free again, and nothing is left on the register.
func TestCancelAtEveryPoint(t *testing.T) {
	eachBehind(t, func(t *testing.T, o *operator, p *hlrtest.Proxy) {
		msisdn := number(170, 5)
		line := add(mobile.FlatM, tmf.Text("msisdn", msisdn), tmf.Text("iccid", card(prefix, 5).ICCID))
		nothing := func(id string) {
			t.Helper()
			if x := o.productOf(id); x.Status != subscription.Cancelled {
				t.Errorf("the product is %s", x.Status)
			}
			if o.charges() != 0 || o.stateOf(msisdn) != inventory.NumberAvailable {
				t.Errorf("%d billable items, and the number is %s", o.charges(), o.stateOf(msisdn))
			}
		}

		later := wish(line)
		later.RequestedStartDate = time.Now().Add(time.Hour)
		placed := must[order.ProductOrder](o, http.MethodPost, orders, later)
		if placed.State != order.Acknowledged {
			t.Errorf("an order for later is %s", placed.State)
		}
		o.takenBack(placed.ID, o.cancel(placed.ID))
		nothing(placed.ID)

		for n := 1; n <= commandsOfAdd; n++ {
			hold := make(chan struct{})
			from, reached := p.Seen(), make(chan struct{})
			p.SetRule(func(seen int, _ string) hlrtest.Verdict {
				if seen != from+n {
					return hlrtest.Verdict{}
				}
				close(reached)
				return hlrtest.Verdict{Action: hlrtest.Hold, Until: hold}
			})
			placed := o.place(line)
			<-reached
			task := o.cancel(placed.ID)
			close(hold)
			o.takenBack(placed.ID, task)
			nothing(placed.ID)
		}
		p.SetRule(nil)

		o.element.Freeze()
		from := p.Seen()
		placed = o.place(line)
		o.await("a command for the frozen element", func() bool { return p.Seen() > from })
		task := o.cancel(placed.ID)
		if task.State != "inProgress" {
			t.Errorf("the cancellation is %s while the element hangs", task.State)
		}
		o.element.Thaw()
		o.takenBack(placed.ID, task)
		nothing(placed.ID)

		o.element.Kill()
		placed = o.place(line)
		o.await("an attempt on the dead element", func() bool {
			return o.count("SELECT count(*) FROM fulfilment_task WHERE state = 'ready' AND attempt > 0") > 0
		})
		task = o.cancel(placed.ID)
		o.element.Restart()
		o.takenBack(placed.ID, task)
		nothing(placed.ID)
	})
}

// An order that waits in the fallout queue can be cancelled by the customer, or
// by whoever works on the queue.
func TestCancelWhatFellOut(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		stranger, msisdn := "999990000000001", number(170, 7)
		ctrl := o.register()
		if _, err := ctrl.Create(t.Context(), stranger); err != nil {
			t.Fatal(err)
		}
		if err := ctrl.SetMSISDN(t.Context(), stranger, msisdn); err != nil {
			t.Fatal(err)
		}
		for _, byOperator := range []bool{false, true} {
			placed := o.place(add(mobile.FlatM, tmf.Text("msisdn", msisdn)))
			f := o.fellOut(placed.ID)
			if byOperator {
				must[map[string]any](o, http.MethodPost, decisions, map[string]any{"action": "cancel", "fallout": []string{f.ID}, "reason": "not worth it"})
			} else {
				o.cancel(placed.ID)
			}
			o.ends(placed.ID, order.Cancelled)
			if got := o.stateOf(msisdn); got != inventory.NumberAvailable {
				t.Errorf("the number is %s", got)
			}
			if n := o.count("SELECT count(*) FROM fulfilment_fallout WHERE a_state = 'open'"); n != 0 {
				t.Errorf("%d fallouts are open", n)
			}
			o.proves(stranger)
		}
	})
}

// A change or an end that is cancelled under way leaves the line as it was; what
// is done is not taken back by a cancellation.
func TestCancelAChange(t *testing.T) {
	eachBehind(t, func(t *testing.T, o *operator, p *hlrtest.Proxy) {
		w := o.tower()
		x := o.through(add(mobile.FlatM))
		c, msisdn := cardOf(char(x, "imsi")), char(x, "msisdn")
		for name, item := range map[string]order.Item{
			"number":  modify(x.ID, "", tmf.Text("msisdn", number(170, 30))),
			"swap":    modify(x.ID, "", tmf.Text("iccid", card(prefix, 30).ICCID)),
			"suspend": modify(x.ID, subscription.Suspended),
			"delete":  end(x.ID),
		} {
			hold := make(chan struct{})
			from, reached := p.Seen(), make(chan struct{})
			p.SetRule(func(seen int, command string) hlrtest.Verdict {
				if seen != from+1 {
					return hlrtest.Verdict{}
				}
				close(reached)
				return hlrtest.Verdict{Action: hlrtest.Hold, Until: hold}
			})
			placed := o.place(item)
			<-reached
			task := o.cancel(placed.ID)
			close(hold)
			o.takenBack(placed.ID, task)
			if now := o.productOf(placed.ID); now.Status != subscription.Active || now.PendingChange != nil {
				t.Errorf("%s cancelled: the product is %s, with pending %+v", name, now.Status, now.PendingChange)
			}
			w.attaches(c, msisdn)
		}
		p.SetRule(nil)
		o.through(modify(x.ID, "", tmf.Text("msisdn", number(170, 31))))

		done := o.place(modify(x.ID, subscription.Suspended))
		o.ends(done.ID, order.Completed)
		if task := o.cancel(done.ID); task.State != "terminatedWithError" {
			t.Errorf("a completed order was cancelled: %s", task.State)
		}
		if now := o.productOf(done.ID); now.Status != subscription.Suspended {
			t.Errorf("the product is %s", now.Status)
		}
		o.proves()
	})
}

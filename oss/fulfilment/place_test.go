package fulfilment_test

import (
	"net/http"
	"testing"

	"tandem/edge/hlr"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// A fix that falls out again still owns the card of the plan before: nobody else
// gets it, until the cancellation has cleared it away.
func TestACardOfAnEarlierPlanIsKeptUntilTheItemEnds(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse("create"))
		a := w.place(add("1", "line", tmf.Text("msisdn", number(0)), tmf.Text("iccid", iccid(0))))
		w.decide("fixAndRetry", "another card", w.fallen(1), tmf.Text("msisdn", number(6)), tmf.Text("iccid", iccid(6)))
		w.idle()
		f := w.fallen(1)
		w.wantCard(0, inventory.NumberReserved)
		w.wantNumber(number(0), inventory.NumberReserved)
		other := add("1", "line", tmf.Text("iccid", iccid(0)))
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{other}}, 409, "numberNotAvailable")

		w.reg.SetFaults(nil)
		w.decide("cancel", "never mind", f)
		w.ends(a.ID, fulfilment.Cancelled)
		w.has()
		w.wantCard(0, inventory.NumberAvailable)
		w.wantCard(6, inventory.NumberAvailable)
		w.wantNumber(number(0), inventory.NumberAvailable)
		b := w.through(other)
		w.has(entry(0, 0))
		w.wantService(serviceOf(b, 0), inventory.Active)
	})
}

// The same, completed: what the fix gave up is free with the confirmation.
func TestACardOfAnEarlierPlanIsFreeOnceTheFixIsConfirmed(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.configure(noVTY)
		w.reg.SetFaults(refuse(".msisdn"))
		a := w.place(add("1", "line", tmf.Text("iccid", iccid(0))))
		f := w.fallen(1)
		w.reg.SetFaults(refuse(imsi(0), imsi(6)))
		w.decide("fixAndRetry", "another card", f, tmf.Text("iccid", iccid(6)))
		w.idle()
		w.decide("fixAndRetry", "a third one", w.fallen(1), tmf.Text("iccid", iccid(3)))
		w.idle()
		f = w.fallen(1)
		for _, kept := range []int{0, 3, 6} {
			w.wantCard(kept, inventory.NumberReserved)
		}
		w.reg.SetFaults(nil)
		w.decide("retry", "", f)
		w.ends(a.ID, fulfilment.Completed)
		w.has(entry(3, 0))
		w.wantCard(0, inventory.NumberAvailable)
		w.wantCard(3, inventory.NumberAssigned)
		w.wantCard(6, inventory.NumberAvailable)
		w.through(add("1", "line", tmf.Text("iccid", iccid(0))), add("2", "line", tmf.Text("iccid", iccid(6))))
	})
}

// Both halves of an item left something behind before it was fixed, and then the
// first step of the fix falls out, while the others wait: all of it is cleared away.
func TestACancelledFixLeavesNothingOfAnEarlierPlan(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.configure(noVTY)
		w.reg.SetFaults(refuse(".msisdn")) // the subscribers are made, and get no number
		a := w.place(add("1", "twin"))
		f := w.fallen(2)
		if got := w.holds(); len(got) != 2 {
			w.Fatalf("the register has %q", got)
		}
		w.reg.SetFaults(refuse(imsi(1)))
		w.decide("fixAndRetry", "one is enough", f, truth("both", false))
		w.idle()
		f = w.fallen(1)
		w.reg.SetFaults(nil)
		w.decide("cancel", "never mind", f)
		w.ends(a.ID, fulfilment.Cancelled)
		w.has()
	})
}

// What is on an element is one's own: of one service, of one resource order, or of
// one direct activation.
func TestAnEntryOfAnElementHasOneOwner(t *testing.T) {
	each(t, func(w *wing) {
		activate := func(card int) map[string]any {
			return map[string]any{"state": "active", "serviceType": "hlrSubscriber", "serviceSpecification": map[string]any{"id": "x"},
				"serviceCharacteristic": []map[string]any{{"name": "element", "value": "hlr"}, {"name": "key", "value": imsi(card)}, {"name": "cs", "value": "false"}}}
		}
		line := serviceOf(w.through(add("1", "line")), 0)
		bare := resourceItem{ID: "1", Action: "add", ResourceSpecification: &tmf.Ref{ID: "entry"},
			Resource: &fulfilment.ResourceValue{Characteristic: []tmf.Characteristic{tmf.Text("imsi", "240029999999999")}}}
		c, err := hlr.Dial(w.Context(), w.reg.Addr())
		w.ok(err)
		defer c.Close()
		_, err = c.Create(w.Context(), "240029999999999") // without a card nobody has its keys
		w.ok(err)
		stranger := w.throughResources(bare).OrderItem[0].Resource.ID
		w.refused(http.MethodPost, activation.API.Base+"/service", activate(0), 409, "alreadyActivated")
		w.refused(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{bare}}, 409, "alreadyActivated")
		w.has(entry(0, 0))

		w.throughResources(onResource("1", "delete", stranger))
		w.placeResources(bare)
		if a := w.send(http.MethodPost, activation.API.Base+"/service", activate(5)); a.Status != 201 {
			w.Fatalf("%d %s", a.Status, a.Body)
		}
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{add("1", "line", tmf.Text("iccid", iccid(5)))}}, 409, "alreadyActivated")
		w.wantCard(5, inventory.NumberAvailable)
		w.through(modify("1", line, "", tmf.Text("iccid", iccid(4))))
		w.through(remove("1", line))
		if a := w.send(http.MethodPost, activation.API.Base+"/service", activate(0)); a.Status != 201 {
			w.Errorf("the card of a service that has gone: %d %s", a.Status, a.Body)
		}
	})
}

package fulfilment_test

import (
	"fmt"
	"net/http"
	"testing"

	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

const reservations = "/tmf-api/resourcePoolManagement/v1/reservation"

// reserve keeps so many values of a pool for a party.
func (w *wing) reserve(party, pool string, n int, values ...string) *inventory.Reservation {
	w.Helper()
	item := inventory.ReservationItem{ResourceCapacity: &inventory.Capacity{ResourcePool: &tmf.Ref{ID: pool}}, AppliedCapacityAmount: &inventory.AppliedAmount{}}
	quantity := int64(n)
	item.Quantity = &quantity
	for _, v := range values {
		item.AppliedCapacityAmount.Resource = append(item.AppliedCapacityAmount.Resource, inventory.AppliedResource{ID: v})
	}
	return do[inventory.Reservation](w, http.MethodPost, reservations, &inventory.Reservation{RelatedParty: &tmf.Ref{ID: party}, ReservationItem: []inventory.ReservationItem{item}})
}

func (w *wing) wantReservation(id, state string) {
	w.Helper()
	if r := do[inventory.Reservation](w, http.MethodGet, reservations+"/"+id, nil); r.ReservationState != state {
		w.Errorf("reservation is %s, want %s", r.ReservationState, state)
	}
}

// from lets an item name the reservations that it takes its values from.
func from(it item, reservations ...string) item {
	for _, id := range reservations {
		it.Service.Supporting = append(it.Service.Supporting, tmf.Ref{ID: id, ReferredType: "Reservation"})
	}
	return it
}

func TestAReservedNumberGoesToWhoeverItIsReservedFor(t *testing.T) {
	each(t, func(w *wing) {
		r := w.reserve("ada", "numbers", 2, number(7), number(8))
		asking := func(party string, n int) *order {
			return &order{RelatedParty: []tmf.RelatedParty{{ID: party, Role: "customer"}}, ServiceOrderItem: []item{add("1", "line", tmf.Text("msisdn", number(n)))}}
		}
		w.refused(http.MethodPost, orders, asking("bob", 7), 409, "numberNotAvailable")
		o := w.ends(do[order](w, http.MethodPost, orders, asking("ada", 7)).ID, fulfilment.Completed)
		if state, holder := w.pooled(number(7)); state != inventory.NumberAssigned || holder != serviceOf(o, 0) {
			w.Errorf("the number is %s with %s", state, holder)
		}
		w.wantReservation(r.ID, inventory.ReservationOpen)
		w.wantNumber(number(8), inventory.NumberReserved)
		w.ends(do[order](w, http.MethodPost, orders, asking("ada", 8)).ID, fulfilment.Completed)
		w.wantReservation(r.ID, inventory.ReservationUsed)
		w.refused(http.MethodPost, orders, asking("ada", 7), 409, "numberNotAvailable") // it is in use

		given := w.reserve("ada", "numbers", 1, number(9))
		do[inventory.Reservation](w, http.MethodPatch, reservations+"/"+given.ID, `{"reservationState":"cancelled"}`)
		w.ends(do[order](w, http.MethodPost, orders, asking("bob", 9)).ID, fulfilment.Completed)
	})
}

// A shop reserves for its basket, whoever the customer will be: the order names the
// reservations, and no values.
func TestAnOrderTakesWhatTheReservationsItNamesHold(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		numbers, cards := w.reserve("shop", "numbers", 2, number(5), number(6)), w.reserve("shop", "cards", 1, iccid(4))
		w.reg.SetFaults(refuse(imsi(4)))
		o := w.place(from(add("1", "line"), numbers.ID, cards.ID))
		w.wantReservation(cards.ID, inventory.ReservationUsed)
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{from(add("1", "line"), cards.ID)}}, 409, "reservationOver")
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{from(add("1", "line"), "nobody")}}, 400, "unknownReservation")
		f := w.fallen(1)
		w.reg.SetFaults(nil)
		w.decide("fixAndRetry", "without data", f, truth("data", false)) // what was handed over stays
		w.ends(o.ID, fulfilment.Completed)
		w.has(fmt.Sprintf("%s %s cs=true ps=false", imsi(4), number(5)))

		second := w.through(from(modify("1", serviceOf(o, 0), "", tmf.Text("msisdn", number(6))), numbers.ID))
		w.has(fmt.Sprintf("%s %s cs=true ps=false", imsi(4), number(6)))
		w.wantReservation(numbers.ID, inventory.ReservationUsed)
		w.through(remove("1", serviceOf(second, 0)))
		w.wantNumber(number(6), inventory.NumberQuarantined)
	})
}

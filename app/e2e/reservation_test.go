package e2e_test

import (
	"net/http"
	"testing"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/kit/tmf"
	"tandem/oss/inventory"
)

const reservations = "/tmf-api/resourcePoolManagement/v1/reservation"

// reserve keeps a number for a party and says the reservation's id.
func (o *operator) reserve(party, msisdn string) string {
	o.t.Helper()
	return must[inventory.Reservation](o, http.MethodPost, reservations, map[string]any{"relatedParty": map[string]any{"id": party},
		"reservationItem": []any{map[string]any{"resourceCapacity": map[string]any{"resourcePool": map[string]any{"id": mobile.NumberPool}},
			"appliedCapacityAmount": map[string]any{"resource": []any{map[string]any{"id": msisdn}}}}}}).ID
}

// A number is chosen first and ordered later: by the customer it is reserved for, or
// by whoever names the shop's reservation.
func TestAReservedNumberIsOrdered(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		w := o.tower()
		mine, shops := number(170, 33), number(170, 44)
		o.reserve(wish(order.Item{}).RelatedParty[0].ID, mine)
		inBasket := o.reserve("shop", shops)

		p := o.through(add(mobile.FlatM, tmf.Text("msisdn", mine)))
		w.attaches(cardOf(char(p, "imsi")), mine)

		named := add(mobile.FlatM)
		if a := o.as(brand, http.MethodPost, orders, wish(add(mobile.FlatM, tmf.Text("msisdn", shops)))); a.status != http.StatusConflict {
			t.Errorf("a number that is reserved for somebody else: %s", a)
		}
		named.Product.Realizing = []tmf.Ref{{ID: inBasket, ReferredType: "Reservation"}}
		p = o.through(named)
		w.attaches(cardOf(char(p, "imsi")), shops)
		if r := must[inventory.Reservation](o, http.MethodGet, reservations+"/"+inBasket, nil); r.ReservationState != inventory.ReservationUsed {
			t.Errorf("the reservation is %s", r.ReservationState)
		}
		o.proves()
	})
}

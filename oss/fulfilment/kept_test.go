package fulfilment_test

import (
	"net/http"
	"testing"

	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// What an order has built cannot be talked away in the inventory: the network would
// still have it, and the bill would go on.
func TestTheInventoryOfWhatIsBuiltIsChangedByOrders(t *testing.T) {
	each(t, func(w *wing) {
		b := w.hold(imsi(0))
		o := w.place(add("1", "line"))
		line := serviceOf(o, 0)
		b.Wait(w)
		w.refused(http.MethodPatch, services+"/"+line, `{"state":"active"}`, 409, "orderNeeded")
		w.refused(http.MethodDelete, services+"/"+line, nil, 409, "orderNeeded")
		b.Release()
		w.ends(o.ID, fulfilment.Completed)

		access := w.wantService(line, inventory.Active).SupportingService[0].ID
		card := w.wantService(access, inventory.Active).SupportingResource[0].ID
		for _, service := range []string{line, access} {
			for _, patch := range []string{`{"state":"terminated"}`, `{"state":"inactive"}`, `{"serviceCharacteristic":[]}`, `{"supportingService":null,"supportingResource":null}`,
				`{"serviceSpecification":{"id":"twin"}}`, `{"serviceOrderItem":[{"itemId":"9","serviceOrderId":"x"}]}`} {
				w.refused(http.MethodPatch, services+"/"+service, patch, 409, "orderNeeded")
			}
			w.refused(http.MethodDelete, services+"/"+service, nil, 409, "orderNeeded")
			w.refused(http.MethodPatch, services+"/"+service, `{"builtBy":null}`, 400, "notPatchable")
			do[inventory.Service](w, http.MethodPatch, services+"/"+service, `{"description":"the red one","note":[{"text":"rings at night"}]}`)
		}
		for _, patch := range []string{`{"resourceCharacteristic":[]}`, `{"name":"other"}`, `{"resourceSpecification":{"id":"number"}}`} {
			w.refused(http.MethodPatch, resources+"/"+card, patch, 409, "orderNeeded")
		}
		w.refused(http.MethodDelete, resources+"/"+card, nil, 409, "orderNeeded")
		do[inventory.Resource](w, http.MethodPatch, resources+"/"+card, `{"resourceStatus":"alarm"}`)
		w.refused(http.MethodPost, services, `{"serviceSpecification":{"id":"line"},"state":"active","builtBy":"me"}`, 400, "notSettable")
		w.refused(http.MethodPost, resources, `{"name":"x","builtBy":"me"}`, 400, "notSettable")

		w.through(remove("1", line))
		w.has()
		do[struct{}](w, http.MethodDelete, services+"/"+line, nil) // its record may go, once it has

		// What no order built is a client's own.
		own := do[inventory.Service](w, http.MethodPost, services, `{"serviceSpecification":{"id":"line"},"state":"active"}`)
		do[inventory.Service](w, http.MethodPatch, services+"/"+own.ID, `{"state":"terminated"}`)
		do[struct{}](w, http.MethodDelete, services+"/"+own.ID, nil)
	})
}

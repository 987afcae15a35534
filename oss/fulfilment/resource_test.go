package fulfilment_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/edge/hlr"
	"tandem/edge/lab"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

type resourceOrder = fulfilment.ResourceOrder
type resourceItem = fulfilment.ResourceOrderItem

const resources = "/tmf-api/resourceInventoryManagement/v4/resource"

func addResource(id, specification string, chars ...tmf.Characteristic) resourceItem {
	return resourceItem{ID: id, Action: "add", ResourceSpecification: &tmf.Ref{ID: specification}, Resource: &fulfilment.ResourceValue{Characteristic: chars}}
}

func onResource(id, action, resource string, chars ...tmf.Characteristic) resourceItem {
	return resourceItem{ID: id, Action: action, Resource: &fulfilment.ResourceValue{ID: resource, Characteristic: chars}}
}

func (w *wing) placeResources(items ...resourceItem) *resourceOrder {
	w.Helper()
	return do[resourceOrder](w, http.MethodPost, resourceOrders, &resourceOrder{OrderItem: items})
}

func (w *wing) endsResources(id, state string) *resourceOrder {
	w.Helper()
	var o *resourceOrder
	w.await(func() string {
		if o = do[resourceOrder](w, http.MethodGet, resourceOrders+"/"+id, nil); o.State == state {
			return ""
		}
		return "resource order is " + o.State + ", not " + state
	})
	return o
}

func (w *wing) throughResources(items ...resourceItem) *resourceOrder {
	w.Helper()
	return w.endsResources(w.placeResources(items...).ID, fulfilment.Completed)
}

func TestANumberIsOrderedAlone(t *testing.T) {
	each(t, func(w *wing) {
		o := w.throughResources(addResource("1", "number"), addResource("2", "number", tmf.Text("msisdn", number(7))))
		one, two := o.OrderItem[0].Resource.ID, o.OrderItem[1].Resource.ID
		for id, value := range map[string]string{one: number(0), two: number(7)} {
			if r := do[inventory.Resource](w, http.MethodGet, resources+"/"+id, nil); r.Name != value {
				w.Errorf("resource %s is %s, want %s", id, r.Name, value)
			}
			if state, holder := w.pooled(value); state != inventory.NumberAssigned || holder != id {
				w.Errorf("number %s is %s with %q", value, state, holder)
			}
		}
		if got := w.told(o.ID); len(got) > 0 {
			w.Errorf("told %v of no service", got)
		}
		w.throughResources(onResource("1", "modify", one, tmf.Text("msisdn", number(3))))
		w.wantNumber(number(0), inventory.NumberQuarantined)
		w.wantNumber(number(3), inventory.NumberAssigned)
		w.throughResources(onResource("1", "delete", one), onResource("2", "noChange", two))
		w.wantNumber(number(3), inventory.NumberQuarantined)
		w.wantNumber(number(7), inventory.NumberAssigned)
		w.refused(http.MethodGet, resources+"/"+one, nil, 404, "notFound")
		for _, action := range []string{"modify", "delete"} {
			w.refused(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{onResource("1", action, one)}}, 404, "notFound")
		}
	})
}

func TestASubscriberIsOrderedAlone(t *testing.T) {
	each(t, func(w *wing) {
		o := w.throughResources(addResource("1", "entry", tmf.Text("imsi", imsi(4)), tmf.Text("iccid", iccid(4)), tmf.Text("msisdn", "46123")))
		id := o.OrderItem[0].Resource.ID
		w.has(imsi(4) + " 46123 cs=true ps=true")
		c, err := hlr.Dial(w.Context(), w.reg.Addr())
		w.ok(err)
		defer c.Close()
		if a, err := c.AuthInfo(w.Context(), imsi(4)); err != nil || a.Algorithm != "MILENAGE" {
			w.Errorf("the register authenticates with %q, %v", a.Algorithm, err)
		}
		w.throughResources(onResource("1", "modify", id, tmf.Text("msisdn", "46124"), truth("ps", false)))
		w.has(imsi(4) + " 46124 cs=true ps=false")
		b := w.hold(imsi(4))
		busy := w.placeResources(onResource("1", "modify", id, tmf.Text("msisdn", "46125")))
		b.Wait(w)
		w.refused(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{onResource("1", "delete", id)}}, 409, "serviceBusy")
		task := do[fulfilment.CancelResourceOrder](w, http.MethodPost, cancelsOfRO, &fulfilment.CancelResourceOrder{ResourceOrder: &tmf.Ref{ID: busy.ID}, CancellationReason: "never mind"})
		if task.State != "inProgress" {
			w.Errorf("the cancellation is %s", task.State)
		}
		b.Release()
		w.endsResources(busy.ID, fulfilment.Cancelled)
		w.await(func() string {
			return map[bool]string{false: "the cancellation is not done"}[do[fulfilment.CancelResourceOrder](w, http.MethodGet, cancelsOfRO+"/"+task.ID, nil).State == "done"]
		})
		w.has(imsi(4) + " 46124 cs=true ps=false")
		w.wantCard(4, inventory.NumberAssigned)
		w.throughResources(onResource("1", "modify", id, tmf.Text("imsi", imsi(5)), tmf.Text("iccid", iccid(5))))
		w.has(imsi(5) + " 46124 cs=true ps=false")
		w.wantCard(4, inventory.NumberAvailable)
		w.throughResources(onResource("1", "delete", id))
		w.has()
		w.wantCard(5, inventory.NumberAvailable)
		if late := do[fulfilment.CancelResourceOrder](w, http.MethodPost, cancelsOfRO, &fulfilment.CancelResourceOrder{ResourceOrder: &tmf.Ref{ID: busy.ID}}); late.State != "terminatedWithError" {
			w.Errorf("an order that has ended was cancelled: %s", late.State)
		}
		do[struct{}](w, http.MethodDelete, resourceOrders+"/"+busy.ID, nil)
	})
}

// A subscriber that a service or another resource order has is not a second one's.
func TestASubscriberHasOneOwner(t *testing.T) {
	each(t, func(w *wing) {
		line := w.through(add("1", "line"))
		w.refused(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{addResource("1", "entry", tmf.Text("imsi", imsi(0)), tmf.Text("iccid", iccid(0)))}}, 409, "simInUse")
		w.refused(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{addResource("1", "entry", tmf.Text("imsi", imsi(1)), tmf.Text("iccid", iccid(2)))}}, 400, "wrongCard")
		w.has(entry(0, 0))
		for _, action := range []string{"modify", "delete"} { // a service is no resource
			w.refused(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{onResource("1", action, serviceOf(line, 0))}}, 404, "notFound")
		}
		w.idle()
		w.has(entry(0, 0))
	})
}

func TestResourceItemsWaitAndFallOutLikeThoseOfServices(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(func(c hlr.Command) lab.Fault {
			if c.Var == "subscriber.create" {
				return lab.Fault{Action: lab.Refuse, Text: "Out of order"}
			}
			return lab.Fault{}
		})
		second := addResource("2", "number")
		second.Relationship = []fulfilment.ResourceItemRelationship{{RelationshipType: "reliesOn", OrderItem: &fulfilment.ResourceItemRef{ItemID: "1"}}}
		third := onResource("3", "noChange", "")
		third.Relationship = []fulfilment.ResourceItemRelationship{{RelationshipType: "reliesOn", OrderItem: &fulfilment.ResourceItemRef{ItemID: "2"}}}
		o := w.placeResources(addResource("1", "entry", tmf.Text("imsi", imsi(4)), tmf.Text("iccid", iccid(4))), second, third)
		f := w.fallen(1)
		w.refused(http.MethodPost, decisions, decision("fixAndRetry", "", f, tmf.Text("msisdn", "46")), 409, "cannotFix")
		w.reg.SetFaults(nil)
		w.decide("retry", "", f)
		w.endsResources(o.ID, fulfilment.Completed)
		w.has(imsi(4) + "  cs=true ps=true")

		w.reg.SetFaults(func(c hlr.Command) lab.Fault {
			if c.Var == "subscriber.create" {
				return lab.Fault{Action: lab.Refuse, Text: "Out of order"}
			}
			return lab.Fault{}
		})
		o = w.placeResources(addResource("1", "entry", tmf.Text("imsi", imsi(5)), tmf.Text("iccid", iccid(5))), second)
		f = w.fallen(1)
		w.reg.SetFaults(nil)
		w.decide("cancel", "not needed", f)
		o = w.endsResources(o.ID, fulfilment.Cancelled)
		if got := []string{o.OrderItem[0].State, o.OrderItem[1].State}; !slices.Equal(got, []string{"cancelled", "cancelled"}) {
			w.Errorf("the items are %v", got)
		}
		if len(o.Note) == 0 || !strings.Contains(o.Note[0].Text, "not needed") {
			w.Errorf("notes %+v", o.Note)
		}
		w.has(imsi(4) + "  cs=true ps=true")
		w.wantNumber(number(1), inventory.NumberAvailable)
	})
}

func TestResourceOrdersThatCannotBeAreRefused(t *testing.T) {
	each(t, func(w *wing) {
		three := addResource("1", "number")
		n := int64(3)
		three.Quantity = &n
		for name, c := range map[string]struct {
			item   resourceItem
			status int
			code   string
		}{
			"a category no driver serves":   {addResource("1", "beacon"), 409, "unknownElementKind"},
			"no specification":              {onResource("1", "add", ""), 400, "mandatoryAttributeMissing"},
			"an unknown specification":      {addResource("1", "nothing"), 404, "notFound"},
			"an unknown action":             {onResource("1", "paint", "x"), 400, "invalidValue"},
			"a new resource that has an id": {onResource("1", "add", "x"), 400, "resourceExists"},
			"no resource to change":         {onResource("1", "modify", ""), 400, "mandatoryAttributeMissing"},
			"an unknown resource":           {onResource("1", "delete", "nobody"), 409, "notBuilt"},
			"an entry without a key":        {addResource("1", "entry"), 409, "incompleteSpecification"},
			"an empty pool":                 {addResource("1", "number", tmf.Text("pool", "bare")), 409, "poolEmpty"},
			"a pool that is not there":      {addResource("1", "number", tmf.Text("pool", "nothing")), 404, "notFound"},
			"a pool of another kind":        {addResource("1", "number", tmf.Text("pool", "cards")), 400, "wrongKind"},
			"a number that is not there":    {addResource("1", "number", tmf.Text("msisdn", "46999")), 409, "numberNotAvailable"},
			"a quantity":                    {three, 400, "badQuantity"},
		} {
			a := w.send(http.MethodPost, resourceOrders, &resourceOrder{OrderItem: []resourceItem{c.item}})
			if a.Status != c.status || a.Object()["code"] != c.code {
				w.Errorf("%s: %d %s; want %d %s", name, a.Status, a.Body, c.status, c.code)
			}
		}
		if n := w.count("SELECT count(*) FROM fulfilment_resource_order WHERE tenant = $1"); n != 0 {
			w.Errorf("%d orders are there", n)
		}
		empty := w.placeResources() // TMF652 does not require items
		w.endsResources(empty.ID, fulfilment.Completed)
	})
}

// An order for later holds what it reserved, and touches no element before its day.
func TestAResourceOrderForLaterBeginsOnItsDay(t *testing.T) {
	each(t, func(w *wing) {
		day := w.db.Now().Add(40 * 24 * time.Hour).Truncate(time.Second)
		kept := w.throughResources(addResource("1", "number", tmf.Text("msisdn", number(8)))).OrderItem[0].Resource.ID
		later := func(items ...resourceItem) *resourceOrder {
			o := do[resourceOrder](w, http.MethodPost, resourceOrders, &resourceOrder{OrderItem: items, RequestedStartDate: day})
			if o.State != fulfilment.Acknowledged || !o.StartDate.IsZero() {
				w.Errorf("the order is %s at first, begun %s", o.State, o.StartDate)
			}
			return o
		}
		entry := func() resourceItem {
			return addResource("1", "entry", tmf.Text("imsi", imsi(4)), tmf.Text("iccid", iccid(4)), tmf.Text("msisdn", "46123"))
		}
		given := later(entry())
		do[map[string]any](w, http.MethodPost, strings.TrimSuffix(resourceOrders, "resourceOrder")+"cancelResourceOrder",
			&fulfilment.CancelResourceOrder{ResourceOrder: &tmf.Ref{ID: given.ID}})
		w.endsResources(given.ID, fulfilment.Cancelled)
		placed := later(entry(), addResource("2", "number"), onResource("3", "noChange", kept))
		w.pass(39 * 24 * time.Hour)
		w.idle()
		early := do[resourceOrder](w, http.MethodGet, resourceOrders+"/"+placed.ID, nil)
		if got := resourceStates(early); early.State != fulfilment.Acknowledged || !slices.Equal(got, []string{"acknowledged", "acknowledged", "acknowledged"}) {
			w.Errorf("a day early the order is %s, its items %v", early.State, got)
		}
		w.has()
		w.wantNumber(number(0), inventory.NumberReserved)
		w.pass(24 * time.Hour)
		o := w.endsResources(placed.ID, fulfilment.Completed)
		if o.StartDate.Before(day) || o.CompletionDate.Before(day) {
			w.Errorf("begun on %s, ended on %s, before %s", o.StartDate, o.CompletionDate, day)
		}
		w.has(imsi(4) + " 46123 cs=true ps=true")
		w.wantNumber(number(0), inventory.NumberAssigned)
		if again := do[resourceOrder](w, http.MethodGet, resourceOrders+"/"+given.ID, nil); again.State != fulfilment.Cancelled {
			w.Errorf("what was cancelled is %s on its day", again.State)
		}
	})
}

func resourceStates(o *resourceOrder) (out []string) {
	for _, it := range o.OrderItem {
		out = append(out, it.State)
	}
	return out
}

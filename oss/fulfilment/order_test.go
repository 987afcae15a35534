package fulfilment_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

var update = flag.Bool("update", false, "write the golden files anew")

// planOf writes the tasks of an order as a person would draw them.
func (w *wing) planOf(order string) string {
	w.Helper()
	var out strings.Builder
	w.read(func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT t.item, t.n, t.element, t.desired, t.undo, t.waits_for,
			coalesce((SELECT min(b.n) FROM fulfilment_arrow a JOIN fulfilment_task b ON b.tenant = a.tenant AND b.id = a.before WHERE a.tenant = $1 AND a.after = t.id), -1)
			FROM fulfilment_task t WHERE t.tenant = $1 AND t.service_order = $2 ORDER BY t.item, t.n`, order)
		lines, err := store.Collect(rows, err, func(r store.Rows) (string, error) {
			var item, element string
			var n, waits, before int64
			var do, undo []byte
			if err := r.Scan(&item, &n, &element, &do, &undo, &waits, &before); err != nil {
				return "", err
			}
			after := ""
			if waits > 0 {
				after = fmt.Sprintf(" after %d", before)
			}
			d, err := wish(do)
			if err != nil {
				return "", err
			}
			u, err := wish(undo)
			return fmt.Sprintf("item %s step %d on %s%s\n  do   %s\n  undo %s\n", item, n, element, after, d, u), err
		})
		out.WriteString(strings.Join(lines, ""))
		return err
	})
	return out.String()
}

// wish writes an intent.
func wish(doc []byte) (string, error) {
	var in fulfilment.Intent
	if err := tmf.Decode(doc, &in); err != nil || in.Absent {
		return in.Type + " " + in.Key + " absent", err
	}
	a := in.Attributes
	return fmt.Sprintf("%s %s msisdn=%s cs=%s ps=%s keys of %s", in.Type, in.Key, a["msisdn"], a["cs"], a["ps"], in.Keys), nil
}

func (w *wing) golden(name, got string) {
	w.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		w.ok(os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	w.ok(err)
	if got != string(want) {
		w.Errorf("the plan of %s is\n%s\nwant\n%s", name, got, want)
	}
}

// A line lives: each order plans just the steps it needs, the register holds what
// was asked for, and pools, inventory and facts agree with it.
func TestALineLivesFromAddToDelete(t *testing.T) {
	each(t, func(w *wing) {
		placed := w.place(add("1", "line", tmf.Text("msisdn", number(3))))
		if placed.State != fulfilment.InProgress || placed.ServiceOrderItem[0].State != fulfilment.InProgress {
			w.Errorf("placed %s %v", placed.State, states(placed))
		}
		line := serviceOf(placed, 0)
		w.golden("add", w.planOf(placed.ID))
		done := w.ends(placed.ID, fulfilment.Completed)
		if !slices.Equal(states(done), []string{"completed"}) || done.CompletionDate.IsZero() {
			w.Errorf("ended %v at %s", states(done), done.CompletionDate)
		}
		w.has(entry(0, 3))
		s := w.wantService(line, inventory.Active)
		if text(s, "msisdn") != number(3) || text(s, "iccid") != iccid(0) || text(s, "imsi") != imsi(0) {
			w.Errorf("the service has %+v", s.ServiceCharacteristic)
		}
		w.wantNumber(number(3), inventory.NumberAssigned)
		w.wantCard(0, inventory.NumberAssigned)
		if got := w.told(line); !slices.Equal(got, []string{"ServiceActive"}) {
			w.Errorf("told %v", got)
		}

		for _, step := range []struct {
			name  string
			item  item
			holds string
			state string
			told  string
		}{
			{"number", modify("1", line, "", tmf.Text("msisdn", number(5))), entry(0, 5), inventory.Active, "ServiceChanged"},
			{"swap", modify("1", line, "", tmf.Text("iccid", iccid(7))), entry(7, 5), inventory.Active, "ServiceChanged"},
			{"nothing", modify("1", line, "", truth("data", true)), entry(7, 5), inventory.Active, "ServiceChanged"},
			{"suspend", modify("1", line, fulfilment.ServiceInactive), imsi(7) + " " + number(5) + " cs=false ps=false", inventory.Inactive, "ServiceSuspended"},
			{"resume", modify("1", line, fulfilment.ServiceActive), entry(7, 5), inventory.Active, "ServiceResumed"},
		} {
			o := w.place(step.item)
			w.golden(step.name, w.planOf(o.ID))
			w.ends(o.ID, fulfilment.Completed)
			w.has(step.holds)
			w.wantService(line, step.state)
			if got := w.told(line); got[len(got)-1] != step.told {
				w.Errorf("%s told %v", step.name, got)
			}
		}
		w.wantNumber(number(3), inventory.NumberQuarantined)
		w.wantNumber(number(5), inventory.NumberAssigned)
		w.wantCard(0, inventory.NumberAvailable)
		w.wantCard(7, inventory.NumberAssigned)

		o := w.place(remove("1", line))
		w.golden("delete", w.planOf(o.ID))
		w.ends(o.ID, fulfilment.Completed)
		w.has()
		w.wantNumber(number(5), inventory.NumberQuarantined)
		w.wantCard(7, inventory.NumberAvailable)
		if s := w.wantService(line, inventory.Terminated); len(s.SupportingService) > 0 || s.EndDate.IsZero() {
			w.Errorf("the ended service has %+v until %s", s.SupportingService, s.EndDate)
		}
		if n := w.count("SELECT count(*) FROM inventory_resource WHERE tenant = $1"); n != 0 {
			w.Errorf("%d resources are left", n)
		}
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{modify("1", line, "", truth("data", false))}}, 409, "serviceTerminated")
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{remove("1", line)}}, 409, "serviceTerminated")
	})
}

func TestAServiceOfTwoAccessesIsActiveWhenBothAre(t *testing.T) {
	each(t, func(w *wing) {
		second := w.hold(imsi(1))
		placed := w.place(add("1", "twin"))
		w.golden("twin", w.planOf(placed.ID))
		second.Wait(w)
		w.await(func() string {
			if n := w.count("SELECT count(*) FROM fulfilment_task WHERE tenant = $1 AND state = 'done'"); n != 1 {
				return fmt.Sprintf("%d tasks are done", n)
			}
			return ""
		})
		w.wantService(serviceOf(placed, 0), inventory.Reserved)
		if got := w.told(serviceOf(placed, 0)); len(got) > 0 {
			w.Errorf("half of it runs, and already told %v", got)
		}
		second.Release()
		w.ends(placed.ID, fulfilment.Completed)
		w.has(entry(0, 0), entry(1, 1))
		one := w.through(modify("1", serviceOf(placed, 0), "", truth("both", false)))
		w.has(entry(0, 0))
		w.wantNumber(number(1), inventory.NumberQuarantined)
		w.through(modify("1", serviceOf(one, 0), "", truth("both", true)))
		if got := w.holds(); len(got) != 2 {
			w.Errorf("the register has %q", got)
		}
		w.through(remove("1", serviceOf(placed, 0)))
		w.has()
	})
}

// A part of a service may give way to one of another specification.
// The numbers of a service's parts move among them: each is off its old entry before
// the register is given it with another.
func TestPartsOfOneServiceSwapTheirNumbers(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		twin := serviceOf(w.through(add("1", "twin")), 0)
		w.has(entry(0, 0), entry(1, 1))
		for _, twice := range []item{modify("1", twin, "", tmf.Text("first", number(1))), add("1", "twin", tmf.Text("first", number(4)), tmf.Text("second", number(4)))} {
			w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{twice}}, 400, "assignedTwice")
		}
		w.through(modify("1", twin, "", tmf.Text("first", number(1)), tmf.Text("second", number(0))))
		w.has(entry(0, 1), entry(1, 0))
		w.wantNumber(number(0), inventory.NumberAssigned)
		w.wantNumber(number(1), inventory.NumberAssigned)

		w.through(modify("1", twin, "", tmf.Text("first", number(0)), tmf.Text("second", number(5))))
		w.has(entry(0, 0), entry(1, 5))
		w.wantNumber(number(1), inventory.NumberQuarantined)

		b := w.hold(imsi(1))
		o := w.place(modify("1", twin, "", tmf.Text("first", number(5)), tmf.Text("second", number(0))))
		b.Wait(w)
		w.cancel(o.ID)
		b.Release()
		w.ends(o.ID, fulfilment.Cancelled)
		w.has(entry(0, 0), entry(1, 5))
		w.through(modify("1", twin, "", truth("both", false), tmf.Text("first", number(5))))
		w.has(entry(0, 5))
		w.wantNumber(number(5), inventory.NumberAssigned)
	})
}

func TestAPartThatFollowsAnotherSpecificationIsAnotherPart(t *testing.T) {
	each(t, func(w *wing) {
		o := w.through(add("1", "flexible"))
		s := serviceOf(o, 0)
		w.has(imsi(0) + "  cs=true ps=true")
		names := func() (out []string) {
			w.read(func(tx *store.Tx) error {
				rows, err := tx.Query("SELECT id FROM inventory_resource WHERE tenant = $1 ORDER BY id")
				ids, err := store.Collect(rows, err, store.Text)
				for _, id := range ids {
					if err == nil {
						var r *inventory.Resource
						r, err = inventory.Resources.Get(tx, id)
						out = append(out, r.ResourceSpecification.ID)
					}
				}
				return err
			})
			slices.Sort(out)
			return out
		}
		w.through(modify("1", s, "", truth("on", false)))
		w.has()
		if got := names(); !slices.Equal(got, []string{"card", "licence"}) {
			w.Errorf("the inventory has %v", got)
		}
		w.through(modify("1", s, "", truth("on", true)))
		w.has(imsi(0) + "  cs=true ps=true")
		if got := names(); !slices.Equal(got, []string{"card", "entry"}) {
			w.Errorf("the inventory has %v", got)
		}
		w.through(remove("1", s))
		if got := names(); len(got) > 0 {
			w.Errorf("the inventory has %v", got)
		}
	})
}

func TestAnItemStartsWhenThoseItReliesOnAreDone(t *testing.T) {
	each(t, func(w *wing) {
		first := w.hold(imsi(0))
		placed := w.place(add("a", "line"), w.after(add("b", "line"), "a", "a"), w.after(add("c", "plain-number"), "b"))
		first.Wait(w)
		if n := w.count("SELECT count(*) FROM fulfilment_task WHERE tenant = $1 AND item IN ('b', 'c') AND state <> 'waiting'"); n != 0 {
			w.Errorf("%d tasks of those that wait have begun", n)
		}
		first.Release()
		w.ends(placed.ID, fulfilment.Completed)
		w.has(entry(0, 0), entry(1, 1))
		if got := w.told(placed.ID); len(got) != 3 {
			w.Errorf("told %v", got)
		}
	})
}

func TestWhatReliesOnAnItemThatFailsIsNotBegun(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("compensate")
		w.reg.SetFaults(refuse("create " + imsi(0))) // what takes it away again is not
		o := w.place(add("a", "line"), w.after(add("b", "line"), "a"), add("c", "line"))
		o = w.ends(o.ID, fulfilment.Partial)
		if got := states(o); !slices.Equal(got, []string{"failed", "failed", "completed"}) {
			w.Errorf("the items are %v", got)
		}
		if m := o.ServiceOrderItem[1].ErrorMessage; len(m) != 1 || !strings.Contains(m[0].Reason, "relies on item a") {
			w.Errorf("item b says %+v", m)
		}
		w.has(entry(2, 2))
		for _, i := range []int{0, 1} {
			w.wantNumber(number(i), inventory.NumberAvailable)
			w.wantCard(i, inventory.NumberAvailable)
			w.wantService(serviceOf(o, i), inventory.Terminated)
			if got := w.told(serviceOf(o, i)); len(got) > 0 {
				w.Errorf("item %d told %v", i, got)
			}
		}
	})
}

func TestAnOrderForLaterBeginsOnItsDay(t *testing.T) {
	each(t, func(w *wing) {
		day := w.db.Now().Add(40 * 24 * time.Hour).Truncate(time.Second)
		placed := do[order](w, http.MethodPost, orders, &order{RequestedStartDate: day, ServiceOrderItem: []item{
			add("1", "line"), add("2", "plain-number"), {ID: "3", Action: "noChange", Service: &fulfilment.Service{}}, w.after(add("4", "plain-number"), "1")}})
		w.pass(39 * 24 * time.Hour)
		w.idle()
		early := w.order(placed.ID)
		if early.State != fulfilment.Acknowledged || !early.StartDate.IsZero() {
			w.Errorf("a day early the order is %s, begun %s", early.State, early.StartDate)
		}
		if got := states(early); !slices.Equal(got, []string{"acknowledged", "acknowledged", "acknowledged", "acknowledged"}) {
			w.Errorf("a day early its items are %v", got)
		}
		w.has()
		w.wantNumber(number(0), inventory.NumberReserved)
		w.wantStuck(placed.ID, "")
		w.pass(24 * time.Hour)
		o := w.ends(placed.ID, fulfilment.Completed)
		if !slices.Equal(states(o), []string{"completed", "completed", "completed", "completed"}) {
			w.Errorf("its items are %v", states(o))
		}
		w.has(entry(0, 0))
		for _, i := range []int{0, 1, 3} {
			if s := w.wantService(serviceOf(o, i), inventory.Active); s.StartDate.Before(day) {
				w.Errorf("service %d began on %s, before %s", i, s.StartDate, day)
			}
		}
	})
}

// wantStuck checks why an order is said to stand still.
func (w *wing) wantStuck(id, want string) {
	w.Helper()
	w.read(func(tx *store.Tx) error {
		s, err := fulfilment.Stuck(tx, id)
		if err == nil && (want == "" && s.Reason != "" || !strings.Contains(s.Reason, want)) {
			w.Errorf("order %s stands still: %q, want %q", id, s.Reason, want)
		}
		return err
	})
}

func TestALateOrderRaisesAJeopardyAlert(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse(imsi(0)))
		late := do[order](w, http.MethodPost, orders, &order{RequestedCompletionDate: w.db.Now().Add(time.Hour), ServiceOrderItem: []item{add("1", "line"), add("2", "plain-number")}})
		inTime := do[order](w, http.MethodPost, orders, &order{RequestedCompletionDate: w.db.Now().Add(time.Hour), ServiceOrderItem: []item{add("1", "plain-number")}})
		w.fallen(1)
		if a := w.order(late.ID).JeopardyAlert; len(a) > 0 {
			w.Errorf("alert before the date: %+v", a)
		}
		w.pass(2 * time.Hour)
		w.await(func() string {
			if len(w.order(late.ID).JeopardyAlert) == 0 {
				return "no alert"
			}
			return ""
		})
		w.idle()
		a := w.order(late.ID).JeopardyAlert
		if len(a) != 1 || a[0].JeopardyType == "" || len(a[0].Items) != 1 || a[0].Items[0].ItemID != "1" {
			w.Errorf("alert %+v", a)
		}
		if a := w.order(inTime.ID).JeopardyAlert; len(a) > 0 {
			w.Errorf("an order that was in time has the alert %+v", a)
		}
	})
}

func TestAServiceIsWorkedOnByOneOrderAtATime(t *testing.T) {
	each(t, func(w *wing) {
		line := serviceOf(w.through(add("1", "line")), 0)
		b := w.hold(imsi(0))
		first := w.place(modify("1", line, "", tmf.Text("msisdn", number(4))))
		b.Wait(w)
		for _, it := range []item{modify("1", line, "", truth("voice", false)), modify("1", line, fulfilment.ServiceInactive), remove("1", line)} {
			w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{it}}, 409, "serviceBusy")
		}
		b.Release()
		w.ends(first.ID, fulfilment.Completed)
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{modify("1", line, "", truth("data", true)), remove("2", line)}}, 409, "serviceBusy")
		w.through(modify("1", line, "", truth("data", false)))
		w.has(imsi(0) + " " + number(4) + " cs=true ps=false")
	})
}

func TestWhatCannotBeOrderedIsRefusedAndLeavesNothing(t *testing.T) {
	each(t, func(w *wing) {
		line := serviceOf(w.through(add("1", "line")), 0)
		ring := []item{w.after(add("a", "line"), "b"), w.after(add("b", "line"), "a")}
		three := add("1", "line")
		n := int64(3)
		three.Quantity = &n
		for name, c := range map[string]struct {
			items  []item
			status int
			code   string
		}{
			"two items of one id":            {[]item{add("1", "line"), add("1", "line")}, 400, "duplicateItem"},
			"an item that waits for itself":  {[]item{w.after(add("1", "line"), "1")}, 400, "cyclicItems"},
			"items that wait in a circle":    {ring, 400, "cyclicItems"},
			"an item that is not there":      {[]item{w.after(add("1", "line"), "2")}, 400, "unknownItem"},
			"a new service that has an id":   {[]item{{ID: "1", Action: "add", Service: &fulfilment.Service{ID: line, Specification: &tmf.Ref{ID: "line"}}}}, 400, "serviceExists"},
			"no specification":               {[]item{{ID: "1", Action: "add", Service: &fulfilment.Service{}}}, 400, "mandatoryAttributeMissing"},
			"no service to change":           {[]item{modify("1", "", "", truth("data", false))}, 400, "mandatoryAttributeMissing"},
			"an unknown service":             {[]item{remove("1", "nobody")}, 404, "notFound"},
			"an unknown specification":       {[]item{add("1", "nothing")}, 404, "notFound"},
			"an unknown characteristic":      {[]item{add("1", "line", tmf.Text("colour", "red"))}, 400, "unknownCharacteristic"},
			"a number that is not there":     {[]item{add("1", "line", tmf.Text("msisdn", "46999"))}, 409, "numberNotAvailable"},
			"a number in use":                {[]item{add("1", "line", tmf.Text("msisdn", number(0)))}, 409, "numberNotAvailable"},
			"the same number twice":          {[]item{add("1", "line", tmf.Text("msisdn", number(9))), add("2", "line", tmf.Text("msisdn", number(9)))}, 409, "numberNotAvailable"},
			"what no driver serves":          {[]item{add("1", "lit")}, 409, "unknownElementKind"},
			"resuming what runs":             {[]item{modify("1", line, fulfilment.ServiceDesigned)}, 409, "illegalMove"},
			"suspension as a characteristic": {[]item{modify("1", line, "", truth("suspended", true))}, 400, "notSettable"},
			"a new service that is barred":   {[]item{add("1", "line", truth("suspended", true))}, 400, "notSettable"},
			"a quantity of services":         {[]item{three}, 400, "badQuantity"},
			"items within items":             {[]item{{ID: "1", Action: "add", Service: &fulfilment.Service{}, ServiceOrderItem: []item{add("2", "line")}}}, 400, "nestedItems"},
			"whom it is for in another wing": {[]item{{ID: "1", Action: "noChange", Service: &fulfilment.Service{}, External: &fact.External{Order: "x"}}}, 400, "notSettable"},
		} {
			a := w.send(http.MethodPost, orders, &order{ServiceOrderItem: c.items})
			if a.Status != c.status || a.Object()["code"] != c.code {
				w.Errorf("%s: %d %s; want %d %s", name, a.Status, a.Body, c.status, c.code)
			}
		}
		w.refused(http.MethodPost, orders, &order{State: fulfilment.Completed, ServiceOrderItem: []item{add("1", "line")}}, 400, "notSettable")
		w.refused(http.MethodPost, orders, `{}`, 400, "mandatoryAttributeMissing")
		if n := w.count("SELECT count(*) FROM fulfilment_service_order WHERE tenant = $1"); n != 1 {
			w.Errorf("%d orders are there, want the one that was good", n)
		}
		w.wantNumber(number(1), inventory.NumberAvailable)
		w.wantCard(1, inventory.NumberAvailable)
		w.has(entry(0, 0))
	})
}

func TestAnEmptyPoolRefusesTheOrder(t *testing.T) {
	each(t, func(w *wing) {
		for range stock {
			w.through(add("1", "line"))
		}
		w.refused(http.MethodPost, orders, &order{ServiceOrderItem: []item{add("1", "line")}}, 409, "poolEmpty")
		if got := w.holds(); len(got) != stock {
			w.Errorf("the register has %d subscribers", len(got))
		}
	})
}

func TestOnlyTheRecordOfAnEndedOrderIsDeleted(t *testing.T) {
	each(t, func(w *wing) {
		b := w.hold(imsi(0))
		o := do[order](w, http.MethodPost, orders, &order{RequestedCompletionDate: w.db.Now().Add(time.Hour), ServiceOrderItem: []item{add("1", "line")}})
		b.Wait(w)
		w.refused(http.MethodDelete, orders+"/"+o.ID, nil, 409, "notEnded")
		b.Release()
		w.ends(o.ID, fulfilment.Completed)
		later := do[order](w, http.MethodPost, orders, &order{RequestedStartDate: w.db.Now().Add(time.Hour), ServiceOrderItem: []item{add("1", "plain-number")}})
		do[map[string]any](w, http.MethodPost, cancels, &fulfilment.CancelServiceOrder{ServiceOrder: &tmf.Ref{ID: later.ID}})
		w.ends(later.ID, fulfilment.Cancelled)
		for _, id := range []string{o.ID, later.ID} {
			do[struct{}](w, http.MethodDelete, orders+"/"+id, nil)
			w.refused(http.MethodGet, orders+"/"+id, nil, 404, "notFound")
		}
		w.pass(2 * time.Hour) // its timers have nothing to do any more
		w.idle()
		if n := w.count("SELECT count(*) FROM work_job WHERE tenant = $1 AND kind LIKE 'fulfilment.%'"); n != 0 {
			w.Errorf("%d jobs of deleted orders are left", n)
		}
		w.through(modify("1", serviceOf(o, 0), "", truth("data", false))) // how it was built is kept
		w.has(imsi(0) + " " + number(0) + " cs=true ps=false")
	})
}

// What happened when is the server's to say: dates that a client sends are
// not kept.
func TestTheServerDatesAnOrder(t *testing.T) {
	each(t, func(w *wing) {
		then, later := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(48*time.Hour)
		so := do[order](w, http.MethodPost, orders, &order{ServiceOrderItem: []item{add("1", "line")}, RequestedStartDate: later,
			OrderDate: then, StartDate: then, CompletionDate: then, CancellationDate: then, ExpectedCompletionDate: then})
		if so = w.order(so.ID); so.OrderDate.Before(later.Add(-72*time.Hour)) || !so.StartDate.IsZero() || !so.CompletionDate.IsZero() ||
			!so.CancellationDate.IsZero() || !so.ExpectedCompletionDate.IsZero() {
			w.Errorf("service order %+v", so)
		}
		ro := do[resourceOrder](w, http.MethodPost, resourceOrders, &resourceOrder{OrderDate: then, StartDate: then, CompletionDate: then,
			OrderItem: []resourceItem{addResource("1", "entry", tmf.Text("imsi", imsi(7)), tmf.Text("iccid", iccid(7)))}})
		if ro.OrderDate.Before(later.Add(-72*time.Hour)) || ro.StartDate.Equal(then) || !ro.CompletionDate.IsZero() {
			w.Errorf("resource order %+v", ro)
		}
	})
}

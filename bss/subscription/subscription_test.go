package subscription_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

var (
	mno   = store.Scope{Tenant: "mno", Actor: "test"}
	start = time.Now().UTC().Add(-100 * time.Hour).Truncate(time.Second)
)

// world is a store with the room and its neighbours, and an API before it.
type world struct {
	*testing.T
	db  *store.DB
	api *tmftest.API
}

func each(t *testing.T, f func(w *world)) {
	kinds := slices.Concat(party.Kinds(), catalog.Kinds(), subscription.Kinds())
	schemas := append([]store.Schema{outbox.Schema()}, subscription.Schemas...)
	tmftest.Each(t, schemas, kinds, func(t *testing.T, db *store.DB) {
		f(&world{t, db, tmftest.Serve(t, db, kinds)})
	})
}

func (w *world) write(fn func(tx *store.Tx) error) error {
	w.Helper()
	return w.db.Write(w.Context(), mno, fn)
}

func (w *world) must(fn func(tx *store.Tx) error) {
	w.Helper()
	if err := w.write(fn); err != nil {
		w.Fatal(err)
	}
}

const path = "/tmf-api/productInventory/v4/product"

func (w *world) post(base, body string) string {
	w.Helper()
	a := w.api.Do("mno", "POST", base, body)
	if a.Status != 201 {
		w.Fatalf("POST %s: %d %s", base, a.Status, a.Body)
	}
	return a.Object()["id"].(string)
}

func (w *world) refused(method, at, body string, status int, code string) {
	w.Helper()
	a := w.api.Do("mno", method, at, body)
	if a.Status != status || a.Object()["code"] != code {
		w.Errorf("%s %s: %d %s; want %d %s", method, body, a.Status, a.Body, status, code)
	}
}

// product is an ordered product that waits for services.
func (w *world) product(services ...string) string {
	w.Helper()
	var id string
	w.must(func(tx *store.Tx) error {
		p := &subscription.Product{Name: "Mobile M", Status: subscription.PendingActive}
		for _, s := range services {
			p.RealizingService = append(p.RealizingService, subscription.ServiceRef{ID: s})
		}
		err := subscription.Create(tx, p)
		id = p.ID
		return err
	})
	return id
}

func (w *world) get(id string) (p *subscription.Product) {
	w.Helper()
	err := w.db.Read(w.Context(), mno, func(tx *store.Tx) (err error) {
		p, err = subscription.Get(tx, id)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// told are the facts told of the product so far, as name@hours since start.
func (w *world) told(product string) (all []string) {
	w.Helper()
	err := w.db.Read(w.Context(), mno, func(tx *store.Tx) error {
		type row struct{ name, body string }
		rows, err := tx.Query("SELECT name, body FROM outbox_fact WHERE tenant = $1 AND key = $2 ORDER BY seq", product)
		facts, err := store.Collect(rows, err, func(r store.Rows) (x row, err error) {
			err = r.Scan(&x.name, &x.body)
			return x, err
		})
		for _, f := range facts {
			var at struct {
				At time.Time `json:"at"`
			}
			if err := tmf.Decode([]byte(f.body), &at); err != nil {
				return err
			}
			all = append(all, fmt.Sprintf("%s@%g", strings.TrimPrefix(f.name, "Product"), at.At.Sub(start).Hours()))
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func (w *world) hear(what, product, service string, hour float64, resources ...fact.Resource) error {
	w.Helper()
	at, ext := start.Add(time.Duration(hour*float64(time.Hour))), fact.External{Product: product}
	return w.write(func(tx *store.Tx) error {
		switch what {
		case "active":
			return subscription.Activate(tx, fact.ServiceActive{Service: service, External: ext, At: at, Resources: resources})
		case "changed":
			return subscription.Change(tx, fact.ServiceChanged{Service: service, External: ext, At: at, Resources: resources})
		case "suspended":
			return subscription.Suspend(tx, fact.ServiceSuspended{Service: service, External: ext, At: at})
		case "resumed":
			return subscription.Resume(tx, fact.ServiceResumed{Service: service, External: ext, At: at})
		}
		return subscription.Terminate(tx, fact.ServiceTerminated{Service: service, External: ext, At: at})
	})
}

func TestAProductLivesByWhatTheNetworkConfirms(t *testing.T) {
	each(t, func(w *world) {
		id := w.product("s1", "s2")
		steps := []struct {
			what, service string
			hour          float64
			status        string
			told          string
		}{
			{"active", "s1", 1, "pendingActive", ""},
			{"active", "s2", 2, "active", "Active@2"}, // the last one counts
			{"suspended", "s2", 3, "suspended", "Suspended@3"},
			{"suspended", "s1", 4, "suspended", ""},
			{"resumed", "s2", 5, "suspended", ""},
			{"resumed", "s1", 6, "active", "Resumed@6"},
			{"changed", "s1", 7, "active", "Changed@7"},
			{"terminated", "s1", 8, "active", ""},
			{"terminated", "s2", 9, "terminated", "Terminated@9"},
		}
		var told []string
		for n, step := range steps {
			if step.told != "" {
				told = append(told, step.told)
			}
			// Then all that was heard before is heard again: nothing may change.
			for _, s := range slices.Concat(steps[n:n+1], steps[:n+1]) {
				if err := w.hear(s.what, id, s.service, s.hour); err != nil {
					w.Fatal(err)
				}
				if p := w.get(id); p.Status != step.status {
					w.Errorf("after %s of %s, hearing %s of %s: %s, want %s", step.what, step.service, s.what, s.service, p.Status, step.status)
				}
				if got := w.told(id); !slices.Equal(got, told) {
					w.Fatalf("after %s of %s, hearing %s of %s: told %v, want %v", step.what, step.service, s.what, s.service, got, told)
				}
			}
		}
		p := w.get(id)
		if p.Status != "terminated" || !p.StartDate.Equal(start.Add(2*time.Hour)) || !p.TerminationDate.Equal(start.Add(9*time.Hour)) {
			w.Errorf("in the end: %s from %v to %v", p.Status, p.StartDate, p.TerminationDate)
		}
	})
}

func TestResourcesBecomeCharacteristicsAndStayInStep(t *testing.T) {
	each(t, func(w *world) {
		id := w.product("s1")
		res := func(iccid string) []fact.Resource {
			return []fact.Resource{{ID: "r1", Role: "sim", Value: iccid}, {ID: "r2", Role: "msisdn", Value: "491701"}, {ID: "r3", Role: "hlrSubscriber", Value: "26201"}}
		}
		if err := w.hear("active", id, "s1", 1, res("8949-1")...); err != nil {
			w.Fatal(err)
		}
		if err := w.hear("changed", id, "s1", 2, fact.Resource{ID: "r9", Role: "sim", Value: "8949-2"}); err != nil {
			w.Fatal(err)
		}
		p := w.get(id)
		for name, want := range map[string]string{"iccid": "8949-2", "msisdn": "491701", "imsi": "26201"} {
			if got, _ := tmf.Value(p.ProductCharacteristic, name); got != want {
				w.Errorf("%s = %q, want %q", name, got, want)
			}
		}
		if len(p.RealizingResource) != 3 || p.RealizingResource[0].ID != "r9" {
			w.Errorf("resources: %+v", p.RealizingResource)
		}
	})
}

func TestAPendingChangeHoldsWhenTheNetworkConfirmsIt(t *testing.T) {
	each(t, func(w *world) {
		offering := func(name string) string {
			return w.post("/tmf-api/productCatalogManagement/v4/productOffering", `{"name":"`+name+`"}`)
		}
		small, large := offering("S"), offering("L")
		var id string
		w.must(func(tx *store.Tx) error {
			p := &subscription.Product{Status: subscription.Created, ProductOffering: &subscription.Ref{ID: small}}
			err := subscription.Create(tx, p)
			id = p.ID
			return err
		})
		if err := w.hear("active", id, "s1", 1); err != nil {
			w.Fatal(err)
		}
		change := func() *subscription.PendingChange {
			return &subscription.PendingChange{ProductOffering: &subscription.Ref{ID: large}, ProductCharacteristic: []tmf.Characteristic{tmf.Text("speed", "500")}}
		}
		w.must(func(tx *store.Tx) error { return subscription.Propose(tx, id, change()) })
		if err := w.write(func(tx *store.Tx) error { return subscription.Propose(tx, id, change()) }); !fault.Is(err, fault.Conflict) {
			w.Errorf("a second change at a time: %v", err)
		}
		if p := w.get(id); p.Offering() != small || p.Name != "S" {
			w.Errorf("before it is confirmed: %s %s", p.Offering(), p.Name)
		}
		if err := w.hear("changed", id, "s1", 2); err != nil {
			w.Fatal(err)
		}
		p := w.get(id)
		if speed, _ := tmf.Value(p.ProductCharacteristic, "speed"); p.Offering() != large || speed != "500" || p.PendingChange != nil {
			w.Errorf("after: offering %s, speed %q, pending %v", p.Offering(), speed, p.PendingChange)
		}
	})
}

func TestAChangeAwaitsAllItsServices(t *testing.T) {
	each(t, func(w *world) {
		id := w.product("s1", "s2")
		for n, s := range []string{"s1", "s2"} {
			if err := w.hear("active", id, s, float64(n+1)); err != nil {
				w.Fatal(err)
			}
		}
		propose := func() {
			w.Helper()
			w.must(func(tx *store.Tx) error {
				return subscription.Propose(tx, id, &subscription.PendingChange{OrderDate: start.Add(3 * time.Hour), Awaited: []string{"s1", "s2"},
					Place: []subscription.Place{{ID: "SE", Role: "use"}}})
			})
		}
		propose()
		w.must(func(tx *store.Tx) error { return subscription.Withdraw(tx, id, "another") })
		if err := w.hear("changed", id, "s2", 4); err != nil {
			w.Fatal(err)
		}
		if p := w.get(id); p.PendingChange == nil || !slices.Equal(p.PendingChange.Awaited, []string{"s1"}) || p.Place != nil || len(w.told(id)) != 1 {
			w.Errorf("one of two has confirmed: %+v at %v, told %v", p.PendingChange, p.Place, w.told(id))
		}
		if err := w.hear("changed", id, "s1", 5); err != nil {
			w.Fatal(err)
		}
		if p := w.get(id); p.PendingChange != nil || len(p.Place) != 1 || !p.Ordered().Equal(start.Add(3*time.Hour)) || !slices.Equal(w.told(id), []string{"Active@2", "Changed@5"}) {
			w.Errorf("both have: %+v at %v, ordered %v, told %v", p.PendingChange, p.Place, p.Ordered(), w.told(id))
		}
		propose()
		w.must(func(tx *store.Tx) error { return subscription.Withdraw(tx, id, "") })
		if p := w.get(id); p.PendingChange != nil {
			w.Errorf("withdrawn: %+v", p.PendingChange)
		}
	})
}

func TestWhatOrdersDecideAndWhatTheyDoNot(t *testing.T) {
	each(t, func(w *world) {
		id := w.product("s1")
		mark := func(status string) error {
			return w.write(func(tx *store.Tx) error { return subscription.Mark(tx, id, status) })
		}
		if err := mark("active"); !fault.Is(err, fault.Conflict) {
			w.Errorf("an order makes a product active: %v", err)
		}
		if err := w.hear("active", id, "s1", 1); err != nil {
			w.Fatal(err)
		}
		if err := mark("cancelled"); !fault.Is(err, fault.Conflict) {
			w.Errorf("an active product is cancelled: %v", err)
		}
		if err := mark("pendingTerminate"); err != nil {
			w.Fatal(err)
		}
		if err := w.hear("suspended", id, "s1", 2); err != nil {
			w.Fatal(err)
		}
		if p := w.get(id); p.Status != "pendingTerminate" {
			w.Errorf("while it is being ended: %s", p.Status)
		}
		w.must(func(tx *store.Tx) error { return subscription.Settle(tx, id) })
		if p := w.get(id); p.Status != "suspended" {
			w.Errorf("the termination was given up: %s, its service is suspended", p.Status)
		}
		if got := w.told(id); !slices.Equal(got, []string{"Active@1", "Suspended@2"}) {
			w.Errorf("told %v", got)
		}
	})
}

func TestAServiceOfACancelledProductIsAMismatchAndNotBilled(t *testing.T) {
	each(t, func(w *world) {
		id := w.product("s1")
		w.must(func(tx *store.Tx) error { return subscription.Mark(tx, id, "cancelled") })
		if err := w.hear("active", id, "s1", 1); err != nil {
			w.Fatal(err)
		}
		if got := w.told(id); got != nil {
			w.Errorf("told %v", got)
		}
		found, err := subscription.Mismatches(w.Context(), w.db, mno)
		if err != nil || len(found) != 1 || found[0].Product != id || found[0].Reason != "is cancelled, but service s1 runs" {
			w.Errorf("mismatches %+v, %v", found, err)
		}
		if err := w.hear("terminated", id, "s1", 2); err != nil {
			w.Fatal(err)
		}
		if found, err = subscription.Mismatches(w.Context(), w.db, mno); err != nil || len(found) != 0 {
			w.Errorf("mismatches %+v, %v", found, err)
		}
		if got := w.told(id); got != nil {
			w.Errorf("told %v", got)
		}
	})
}

func TestAProductThatNeverRanWholeIsToldNothingOf(t *testing.T) {
	each(t, func(w *world) {
		id := w.product("s1", "s2")
		for n, step := range [][2]string{{"active", "s1"}, {"terminated", "s1"}, {"terminated", "s2"}} {
			if err := w.hear(step[0], id, step[1], float64(n+1)); err != nil {
				w.Fatal(err)
			}
		}
		if p := w.get(id); p.Status != "pendingActive" || w.told(id) != nil {
			w.Errorf("%s, told %v", p.Status, w.told(id))
		}
	})
}

func TestAFactForAProductThatIsNotThereIsAnError(t *testing.T) {
	each(t, func(w *world) {
		if err := w.hear("active", "nowhere", "s1", 1); !fault.Is(err, fault.NotFound) {
			w.Errorf("unknown product: %v", err)
		}
		if err := w.hear("active", "", "s1", 1); err != nil {
			w.Errorf("a service nobody bought: %v", err)
		}
	})
}

func TestProductsByAPI(t *testing.T) {
	each(t, func(w *world) {
		id := w.post(path, `{"name":"n","status":"created","isBundle":false,"productPrice":[{"priceType":"recurring","price":{"dutyFreeAmount":{"unit":"EUR","value":9.99}}}]}`)
		w.refused("POST", path, `{"name":"n"}`, 400, "mandatoryAttributeMissing")
		w.refused("POST", path, `{"status":"asleep"}`, 400, "invalidValue")
		for _, status := range []string{"active", "suspended", "pendingTerminate"} { // whatever it names: nobody would bill it
			w.refused("POST", path, `{"status":"`+status+`"}`, 400, "networkDecides")
			w.refused("POST", path, `{"status":"`+status+`","startDate":"2020-05-01T00:00:00Z","realizingService":[{"id":"s1"}]}`, 400, "networkDecides")
		}
		w.refused("POST", path, `{"status":"terminated"}`, 400, "endMissing")
		w.refused("POST", path, `{"status":"aborted"}`, 400, "illegalState")
		w.refused("POST", path, `{"status":"created","productOffering":{"id":"x"}}`, 400, "unknownOffering")
		w.refused("POST", path, `{"status":"created","relatedParty":[{"id":"x","role":"customer"}]}`, 400, "unknownCustomer")
		w.refused("PATCH", path+"/"+id, `{"status":"active"}`, 409, "networkDecides")
		w.refused("PATCH", path+"/"+id, `{"realizingService":[{"id":"s1"}]}`, 400, "notPatchable")
		if a := w.api.Do("mno", "PATCH", path+"/"+id, `{"status":"aborted "}`); a.Status != 200 || a.Object()["status"] != "aborted" {
			w.Errorf("aborted with the file's blank: %d %s", a.Status, a.Body)
		}
		if a := w.api.Do("mno", "DELETE", path+"/"+id, nil); a.Status != 204 {
			w.Errorf("DELETE: %d %s", a.Status, a.Body)
		}
	})
}

func TestAMigratedProductTakesPartInTheNetworksLife(t *testing.T) {
	each(t, func(w *world) {
		id := w.post(path, `{"name":"old","status":"pendingActive","orderDate":"2020-05-01T00:00:00Z","changeDate":"2020-06-01T00:00:00Z","realizingService":[{"id":"s1","state":"active"}]}`)
		if p := w.get(id); p.RealizingService[0].State != "" || !p.ChangeDate.IsZero() || w.told(id) != nil {
			w.Errorf("a client says what the network does: %+v, told %v", p, w.told(id))
		}
		if err := w.hear("active", id, "s1", 0.5); err != nil {
			w.Fatal(err)
		}
		w.refused("PATCH", path+"/"+id, `{"orderDate":"2021-05-01T00:00:00Z"}`, 409, "orderNeeded")
		w.refused("PATCH", path+"/"+id, `{"place":[{"id":"SE","role":"use"}]}`, 409, "orderNeeded")
		w.refused("PATCH", path+"/"+id, `{"startDate":"2021-05-01T00:00:00Z"}`, 409, "orderNeeded")
		w.refused("PATCH", path+"/"+id, `{"productCharacteristic":[{"name":"a","value":1}]}`, 409, "orderNeeded")
		w.refused("DELETE", path+"/"+id, ``, 409, "productRuns")
		if a := w.api.Do("mno", "PATCH", path+"/"+id, `{"description":"from the old system"}`); a.Status != 200 {
			w.Errorf("PATCH description: %d %s", a.Status, a.Body)
		}
		if got := w.told(id); !slices.Equal(got, []string{"Active@0.5"}) { // which starts its billing
			w.Errorf("told %v", got)
		}
		if err := w.hear("suspended", id, "s1", 1); err != nil {
			w.Fatal(err)
		}
		p := w.get(id)
		if p.Status != "suspended" || !p.StartDate.Equal(start.Add(30*time.Minute)) || !slices.Equal(w.told(id), []string{"Active@0.5", "Suspended@1"}) {
			w.Errorf("%s since %v, told %v", p.Status, p.StartDate, w.told(id))
		}
		if found, err := subscription.Mismatches(w.Context(), w.db, mno); err != nil || len(found) != 0 {
			w.Errorf("mismatches %+v, %v", found, err)
		}
		byService := w.api.Do("mno", "GET", path+"?realizingService.id=s1", nil)
		if l := byService.List(); len(l) != 1 || l[0]["id"] != id {
			w.Errorf("by service: %s", byService.Body)
		}
	})
}

func TestACustomerWithProductsIsKept(t *testing.T) {
	each(t, func(w *world) {
		person := w.post("/tmf-api/party/v4/individual", `{"givenName":"Änne","familyName":"Groß"}`)
		c := w.post("/tmf-api/customerManagement/v4/customer", `{"name":"Groß","engagedParty":{"id":"`+person+`","@referredType":"Individual"}}`)
		needs := func() (err error) {
			return w.write(func(tx *store.Tx) error { return subscription.Needs(tx, c) })
		}
		if err := needs(); err != nil {
			w.Errorf("without products: %v", err)
		}
		id := w.post(path, `{"status":"created","relatedParty":[{"id":"`+c+`","role":"Customer"}]}`)
		if p := w.get(id); p.Customer() != c || p.RelatedParty[0].Name != "Groß" {
			w.Errorf("the customer: %+v", p.RelatedParty)
		}
		if err := needs(); !fault.Is(err, fault.Conflict) {
			w.Errorf("with a product: %v", err)
		}
	})
}

package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	rival       = "copperline"
	rivalPrefix = "2400102"
	poor        = "pauper" // has one number
	offeringAPI = "/tmf-api/productCatalogManagement/v4/productOffering"
)

// scene is what bad orders are tried on: lines in every state, offerings that
// cannot be sold, and a rival on the same node.
type scene struct {
	*operator
	active, suspended, terminated, busy, rivals *subscription.Product
}

func newScene(t *testing.T, o *operator) *scene {
	t.Helper()
	o.tenant(rival, rivalPrefix, 171, 5)
	o.tenant(poor, "2400103", 172, 1)
	for tenant, p := range map[string]string{rival: rivalPrefix, poor: "2400103"} {
		o.write(host, grant(tenant, p))
	}
	s := &scene{operator: o, active: o.through(add(mobile.FlatM)), suspended: o.through(add(mobile.Prepaid)),
		terminated: o.through(add(mobile.FlatM)), busy: o.through(add(mobile.FlatM))}
	s.suspended = o.through(modify(s.suspended.ID, subscription.Suspended))
	s.terminated = o.through(end(s.terminated.ID))
	later := wish(end(s.busy.ID))
	later.RequestedStartDate = time.Now().Add(time.Hour)
	must[order.ProductOrder](o, http.MethodPost, orders, later)
	for tenant, out := range map[string]**subscription.Product{rival: &s.rivals, poor: new(*subscription.Product)} {
		a := o.as(tenant, http.MethodPost, orders, wish(add(mobile.FlatL)))
		if a.status != http.StatusCreated {
			t.Fatalf("%s: %s", tenant, a)
		}
		o.idle()
		var found []*subscription.Product
		b := o.as(tenant, http.MethodGet, "/tmf-api/productInventory/v4/product?status=active", nil)
		if err := tmf.Decode(b.body, &found); err != nil || len(found) != 1 {
			t.Fatalf("%s has %d lines: %v", tenant, len(found), err)
		}
		*out = found[0]
	}
	for id, state := range map[string]string{"still-designed": "In design", "not-launched": "Active"} {
		must[map[string]any](o, http.MethodPost, offeringAPI, map[string]any{"id": id, "name": id, "lifecycleStatus": state,
			"productSpecification": map[string]any{"id": "mobile-sim"}})
	}
	must[map[string]any](o, http.MethodPatch, offeringAPI+"/"+mobile.FlatL, map[string]any{"lifecycleStatus": "Retired"})
	if a := o.as(rival, http.MethodPost, offeringAPI, map[string]any{"id": "rivals-own", "name": "Rival", "lifecycleStatus": "Launched",
		"productSpecification": map[string]any{"id": "mobile-sim"}}); a.status != http.StatusCreated {
		t.Fatal(a)
	}
	if a := o.as(rival, http.MethodPost, "/tmf-api/party/v4/individual", map[string]any{"id": "rivals-person", "givenName": "Eve", "familyName": "Ek"}); a.status != http.StatusCreated {
		t.Fatal(a)
	}
	if a := o.as(rival, http.MethodPost, "/tmf-api/customerManagement/v4/customer", map[string]any{"id": "rivals-customer", "name": "Eve",
		"engagedParty": map[string]any{"id": "rivals-person", "@referredType": "Individual"}}); a.status != http.StatusCreated {
		t.Fatal(a)
	}
	o.idle()
	return s
}

// bad is an order that must be refused: with the status, in most cases with the code.
type bad struct {
	name   string
	body   any
	status int
	code   string
}

// items is an order of several items.
func items(all ...order.Item) *order.ProductOrder {
	w := wish(order.Item{})
	w.ProductOrderItem = all
	return w
}

func named(id string, it order.Item, reliesOn ...string) order.Item {
	it.ID = id
	for _, r := range reliesOn {
		it.Relationship = append(it.Relationship, order.Relationship{ID: r, RelationshipType: "reliesOn"})
	}
	return it
}

func of(item order.Item, n int64) order.Item {
	item.Quantity = &n
	return item
}

func forCustomer(id string, it order.Item) *order.ProductOrder {
	w := wish(it)
	w.RelatedParty[0].ID = id
	return w
}

func billedTo(account string, it order.Item) *order.ProductOrder {
	w := wish(it)
	w.BillingAccount = &order.Ref{ID: account}
	return w
}

func noCustomer(it order.Item) *order.ProductOrder {
	w := wish(it)
	w.RelatedParty = nil
	return w
}

func (s *scene) cases() []bad {
	sim := add(mobile.FlatM)
	raw := func(item string) string {
		return `{"relatedParty":[{"id":"ada","role":"customer"}],"productOrderItem":[` + item + `]}`
	}
	noChange := order.Item{Action: order.NoChange}
	return []bad{
		{"unknown offering", wish(add("nothing")), 400, "unknownOffering"},
		{"retired offering", wish(add(mobile.FlatL)), 400, "offeringRetired"},
		{"offering not launched", wish(add("not-launched")), 400, "notSellable"},
		{"offering in design", wish(add("still-designed")), 400, "notSellable"},
		{"offering of the rival", wish(add("rivals-own")), 400, "unknownOffering"},
		{"no offering", wish(order.Item{Action: order.Add}), 400, "mandatoryAttributeMissing"},
		{"unknown customer", forCustomer("nobody", sim), 400, "unknownCustomer"},
		{"customer of the rival", forCustomer("rivals-customer", sim), 400, "unknownCustomer"},
		{"no customer", noCustomer(sim), 400, "customerMissing"},
		{"unknown billing account", billedTo("nothing", sim), 400, "unknownAccount"},

		{"modify an unknown product", wish(modify("nothing", subscription.Suspended)), 404, "notFound"},
		{"modify a product of the rival", wish(modify(s.rivals.ID, subscription.Suspended)), 404, "notFound"},
		{"end a product of the rival", noCustomer(end(s.rivals.ID)), 404, "notFound"},
		{"modify without a product", wish(order.Item{Action: order.Modify}), 400, "mandatoryAttributeMissing"},
		{"delete without a product", wish(order.Item{Action: order.Delete}), 400, "mandatoryAttributeMissing"},
		{"add a product that exists", wish(order.Item{Action: order.Add, ProductOffering: &order.Ref{ID: mobile.FlatM}, Product: &order.Product{ID: s.active.ID}}), 400, "productExists"},
		{"suspend what is suspended", wish(modify(s.suspended.ID, subscription.Suspended)), 409, "nothingToChange"},
		{"resume what runs", wish(modify(s.active.ID, subscription.Active)), 409, "nothingToChange"},
		{"modify without a change", wish(modify(s.active.ID, "")), 409, "nothingToChange"},
		{"suspend what has ended", wish(modify(s.terminated.ID, subscription.Suspended)), 409, "notActive"},
		{"end what has ended", wish(end(s.terminated.ID)), 409, "alreadyEnded"},
		{"end what is being ended", wish(end(s.busy.ID)), 409, ""},
		{"change what is being ended", wish(modify(s.busy.ID, "", tmf.Text("msisdn", number(170, 60)))), 409, ""},
		{"terminate by modify", wish(modify(s.active.ID, subscription.Terminated)), 400, "badStatus"},
		{"two items for one product", items(named("a", modify(s.active.ID, subscription.Suspended)), named("b", end(s.active.ID))), 409, ""},
		{"change to a retired offering", wish(order.Item{Action: order.Modify, ProductOffering: &order.Ref{ID: mobile.FlatL}, Product: &order.Product{ID: s.active.ID}}), 400, "offeringRetired"},

		{"two items with one id", items(named("a", sim), named("a", sim)), 400, "duplicateItem"},
		{"item that relies on itself", items(named("a", sim, "a")), 400, "cyclicItems"},
		{"items that rely on one another", items(named("a", sim, "b"), named("b", sim, "c"), named("c", sim, "a")), 400, "cyclicItems"},
		{"cycle of items without change", items(named("a", noChange, "b"), named("b", noChange, "a")), 400, "cyclicItems"},
		{"item that relies on none", items(named("a", sim, "z")), 400, "unknownItem"},
		{"no items", items(), 400, "mandatoryAttributeMissing"},
		{"no item id", raw(`{"action":"add","productOffering":{"id":"mobile-flat-m"}}`), 400, "mandatoryAttributeMissing"},
		{"unknown action", raw(`{"id":"1","action":"steal","productOffering":{"id":"mobile-flat-m"}}`), 400, ""},
		{"good and bad item", items(named("a", sim), named("b", add("nothing"))), 400, "unknownOffering"},
		{"state is set by the client", raw(`{"id":"1","action":"add","state":"completed","productOffering":{"id":"mobile-flat-m"}}`), 400, "notSettable"},

		{"quantity 0", wish(of(sim, 0)), 400, "badQuantity"},
		{"quantity -1", wish(of(sim, -1)), 400, "badQuantity"},
		{"quantity 1e9", wish(of(sim, 1_000_000_000)), 400, "badQuantity"},
		{"quantity 1.5", raw(`{"id":"1","action":"add","quantity":1.5,"productOffering":{"id":"mobile-flat-m"}}`), 400, "wrongType"},
		{"quantity as text", raw(`{"id":"1","action":"add","quantity":"two","productOffering":{"id":"mobile-flat-m"}}`), 400, "wrongType"},
		{"more lines than numbers", wish(of(sim, 100)), 409, "poolEmpty"},

		{"number in use by an own line", wish(add(mobile.FlatM, tmf.Text("msisdn", char(s.active, "msisdn")))), 409, "numberNotAvailable"},
		{"number of the rival", wish(add(mobile.FlatM, tmf.Text("msisdn", char(s.rivals, "msisdn")))), 409, "numberNotAvailable"},
		{"free number of the rival", wish(add(mobile.FlatM, tmf.Text("msisdn", number(171, 3)))), 409, "numberNotAvailable"},
		{"number that does not exist", wish(add(mobile.FlatM, tmf.Text("msisdn", "46999999999"))), 409, "numberNotAvailable"},
		{"one number twice", items(named("a", add(mobile.FlatM, tmf.Text("msisdn", number(170, 50)))), named("b", add(mobile.FlatM, tmf.Text("msisdn", number(170, 50))))), 409, "numberNotAvailable"},
		{"one number for two pieces", wish(of(add(mobile.FlatM, tmf.Text("msisdn", number(170, 50))), 2)), 409, "numberNotAvailable"},
		{"card of the rival", wish(add(mobile.FlatM, tmf.Text("iccid", card(rivalPrefix, 3).ICCID))), 409, "numberNotAvailable"},
		{"change to a number in use", wish(modify(s.active.ID, "", tmf.Text("msisdn", char(s.suspended, "msisdn")))), 409, "numberNotAvailable"},
		{"swap to a card in use", wish(modify(s.active.ID, "", tmf.Text("iccid", char(s.suspended, "iccid")))), 409, "numberNotAvailable"},
		{"number that is none", wish(add(mobile.FlatM, tmf.Text("msisdn", "not a number"))), 400, ""},
		{"unknown characteristic", wish(add(mobile.FlatM, tmf.Text("colour", "green"))), 400, ""},
		{"value that is not allowed", wish(add(mobile.FlatM, tmf.Text("voice", "maybe"))), 400, ""},

		{"not JSON", "this is not JSON", 400, "malformedJSON"},
		{"empty body", "", 400, "malformedJSON"},
		{"an array", "[]", 400, "wrongType"},
		{"half an object", `{"productOrderItem":[{"id":"1"`, 400, "malformedJSON"},
		{"an attribute twice", `{"description":"a","description":"b"}`, 400, "malformedJSON"},
		{"item is a number", raw("7"), 400, "wrongType"},
		{"date that is none", `{"requestedStartDate":"tomorrow","productOrderItem":[]}`, 400, "wrongType"},
		{"bad UTF-8", []byte("{\"description\":\"\xff\xfe\",\"productOrderItem\":[]}"), 400, "malformedJSON"},
		{"NUL in a text", raw(`{"id":"1\u0000","action":"add","productOffering":{"id":"mobile-flat-m"}}`), 400, "badText"},
		{"deep JSON", `{"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, 400, "tooDeep"},
		{"10 MB", `{"description":"` + strings.Repeat("x", 10<<20) + `"}`, 413, "bodyTooLarge"},
		{"id with a path in it", `{"id":"../../x","productOrderItem":[]}`, 400, ""},
		{"1000 items", items(many(1000, sim)...), 400, "tooManyItems"},
	}
}

func many(n int, it order.Item) []order.Item {
	var all []order.Item
	for i := range n {
		all = append(all, named(fmt.Sprint(i), it))
	}
	return all
}

// inside are words of the program that no user should read.
var inside = regexp.MustCompile(`(?i)goroutine|panic|\.go:|SELECT |INSERT |UNIQUE|constraint|sqlite|pgx|SQLSTATE|fulfilment_|inventory_|order_`)

// What is wrong with an order is said in the user's words, and nothing of it is
// written, not even of its good part.
func TestBadOrders(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		s := newScene(t, o)
		before := o.rows()
		refuse := func(tenant string, b bad) {
			t.Helper()
			a := o.as(tenant, http.MethodPost, orders, b.body)
			code, reason := a.refusal()
			if a.status != b.status || code == "" || b.code != "" && code != b.code {
				t.Errorf("%s: %s, want %d %s", b.name, a, b.status, b.code)
			}
			if len(reason) < 10 || len(reason) > 400 || inside.MatchString(reason) {
				t.Errorf("%s: the reason %q is not for users", b.name, reason)
			}
			after := o.rows()
			for table, n := range after {
				if before[table] != n {
					t.Errorf("%s: %s had %s, now %s", b.name, table, before[table], n)
				}
			}
			before = after
		}
		for _, b := range s.cases() {
			refuse(brand, b)
		}
		refuse(poor, bad{"empty pool", wish(add(mobile.FlatM)), 409, "poolEmpty"})
		s.sameAnswer()
	})
}

// sameAnswer: whoever has a number, and whether it exists, the answer is the same.
func (s *scene) sameAnswer() {
	s.t.Helper()
	want := ""
	for _, n := range []string{char(s.active, "msisdn"), char(s.rivals, "msisdn"), number(171, 3), "46999999999"} {
		a := s.as(brand, http.MethodPost, orders, wish(add(mobile.FlatM, tmf.Text("msisdn", n))))
		got := strings.ReplaceAll(a.String(), n, "NUMBER")
		if want == "" {
			want = got
		}
		if got != want {
			s.t.Errorf("the answer for %s is %s, elsewhere %s", n, got, want)
		}
	}
}

// bookkeeping is what every request may write.
var bookkeeping = map[string]bool{"access_failure": true, "access_token": true, "access_audit": true}

// rows is a fingerprint of every table: how many rows, and in which revisions and
// states.
func (o *operator) rows() map[string]string {
	o.t.Helper()
	out := map[string]string{}
	err := o.DB.Read(o.t.Context(), store.Scope{}, func(tx *store.Tx) error {
		list := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
		if tx.Dialect() == store.Postgres {
			list = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
		}
		rows, err := tx.System().Query(list)
		tables, err := store.Collect(rows, err, store.Text)
		if err != nil {
			return err
		}
		rows, err = tx.System().Query("SELECT tbl FROM tmf_kind")
		kinds, err := store.Collect(rows, err, store.Text)
		if err != nil {
			return err
		}
		sum := map[string]string{"inventory_number": "count(CASE WHEN state = 'available' THEN 1 END)", "inventory_sim": "count(CASE WHEN state = 'available' THEN 1 END)",
			"work_job": "count(CASE WHEN state = 'parked' THEN 1 END)"}
		for _, k := range kinds {
			sum[k] = "coalesce(sum(rev), 0)"
		}
		var parts []string
		for _, table := range tables {
			extra := sum[table]
			if extra == "" {
				extra = "0"
			}
			if !bookkeeping[table] {
				parts = append(parts, fmt.Sprintf("SELECT '%s', count(*), CAST(%s AS BIGINT) FROM %s", table, extra, table))
			}
		}
		for len(parts) > 0 { // SQLite joins at most 500
			n := min(len(parts), 100)
			rows, err := tx.System().Query(strings.Join(parts[:n], " UNION ALL "))
			_, err = store.Collect(rows, err, func(r store.Rows) (table string, err error) {
				var rows, sum int64
				err = r.Scan(&table, &rows, &sum)
				out[table] = fmt.Sprintf("%d rows (%d)", rows, sum)
				return table, err
			})
			if err != nil {
				return err
			}
			parts = parts[n:]
		}
		return nil
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return out
}

package charging_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/fact"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

const (
	balance     = "/tmf-api/prepayBalanceManagement/v4/"
	usage       = "/tmf-api/usageManagement/v4/"
	consumption = "/tmf-api/usageConsumption/v4/queryUsageConsumption"
	own         = "/tandem-api/charging/v1/"
)

// world is a brand with two offerings, and the room that charges for them. A token is
// a tenant and who asks: "mno/ann".
type world struct {
	*testing.T
	db, journal *store.DB
	room        *charging.Room
	url         string
	facts       chan fact.BalanceChanged
	crossed     chan fact.ThresholdCrossed
	refusals    chan fact.OptionRefused
	tenants     []string
	host        string // that keeps the usage of nobody
}

var kinds = slices.Concat(party.Kinds(), catalog.Kinds(), subscription.Kinds(), charging.Kinds())

func each(t *testing.T, f func(w *world)) {
	t.Helper()
	schemas := slices.Concat([]store.Schema{outbox.Schema(), access.Schema()}, subscription.Schemas, charging.Schemas)
	tmftest.Each(t, schemas, kinds, func(t *testing.T, db *store.DB) {
		w := &world{T: t, db: db, journal: db, facts: make(chan fact.BalanceChanged, 100), crossed: make(chan fact.ThresholdCrossed, 100),
			refusals: make(chan fact.OptionRefused, 100),
			tenants:  []string{"mno", "rival"}, host: "mno"}
		if db.Dialect() == store.SQLite {
			w.journal = storetest.Open(t, store.SQLite)
		}
		if err := w.journal.Migrate(t.Context(), journal.Schema()); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.serve()
		w.listen()
		w.shelve("mno")
		w.shelve("rival")
		f(w)
	})
}

func (w *world) start() {
	w.Helper()
	w.room = charging.New(charging.Config{DB: w.db, Journal: w.journal, Holder: tmf.NewID(), Address: "here", Lease: time.Second, PINKey: []byte("a key for tests"),
		Tenants: func(context.Context) ([]string, error) { return w.tenants, nil }, Host: func(context.Context) (string, error) { return w.host, nil },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := w.room.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	room := w.room
	w.Cleanup(func() {
		if err := room.Stop(context.Background()); err != nil {
			w.Error(err)
		}
	})
}

// again ends the node in good order and starts another.
func (w *world) again() {
	w.Helper()
	if err := errors.Join(w.room.Idle(w.Context()), w.room.Stop(w.Context())); err != nil {
		w.Fatal(err)
	}
	w.start()
}

func (w *world) serve() {
	hub := tmf.NewHub(w.db, kinds, tmf.HubOptions{})
	s := tmf.NewServer(w.db, kinds, tmf.Options{Hub: hub, Authenticate: func(r *http.Request) (*tmf.Caller, error) {
		tenant, actor, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "/")
		if !ok {
			return nil, fault.New(fault.Unauthorized, "unauthorized", "Give a bearer token")
		}
		return &tmf.Caller{Tenant: tenant, Actor: actor, Allow: func(string, string, string) bool { return true }}, nil
	}})
	srv := httptest.NewServer(s)
	w.Cleanup(srv.Close)
	w.url = srv.URL
}

// listen hears what the room tells.
func (w *world) listen() {
	w.Helper()
	b := outbox.New(w.db, slog.New(slog.NewTextHandler(io.Discard, nil)))
	outbox.On(b, "changed", func(_ *store.Tx, f fact.BalanceChanged) error { w.facts <- f; return nil })
	outbox.On(b, "crossed", func(_ *store.Tx, f fact.ThresholdCrossed) error { w.crossed <- f; return nil })
	outbox.On(b, "refused", func(_ *store.Tx, f fact.OptionRefused) error { w.refusals <- f; return nil })
	if err := b.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(b.Stop)
}

type answer struct {
	status int
	body   []byte
}

func (a answer) object() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.body, &m) // a wrong body shows in what is then compared
	return m
}

func (a answer) list() (l []map[string]any) {
	_ = json.Unmarshal(a.body, &l) // the same
	return l
}

// text is an attribute by path, "" if it is not there.
func (a answer) text(path ...string) string {
	var v any = a.object()
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	switch x := v.(type) {
	case string:
		return x
	case nil:
		return ""
	}
	b, _ := json.Marshal(v) // it came out of JSON
	return string(b)
}

func (w *world) do(token, method, path string, body any) answer {
	w.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			w.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+path, bytes.NewReader(data))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if method == "PATCH" {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	} else if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		w.Fatal(err)
	}
	return answer{res.StatusCode, out}
}

const ann, bob = "mno/user:ann", "mno/user:bob"

// post wants what is posted to be made.
func (w *world) post(path, body string) answer {
	w.Helper()
	a := w.do(ann, "POST", path, body)
	if a.status != 201 {
		w.Fatalf("POST %s %s: %d %s", path, body, a.status, a.body)
	}
	return a
}

func (w *world) get(path string) answer {
	w.Helper()
	a := w.do(ann, "GET", path, nil)
	if a.status != 200 && a.status != 206 {
		w.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	return a
}

func (w *world) refused(token, method, path string, body any, status int, code string) {
	w.Helper()
	if a := w.do(token, method, path, body); a.status != status || a.text("code") != code {
		w.Errorf("%s %s %v: %d %s; want %d %s", method, path, body, a.status, a.body, status, code)
	}
}

// shelve makes a tenant's catalogue: prepaid data by the MiB with a bonus on top-ups,
// and a plan with an allowance of 100 MB.
func (w *world) shelve(tenant string) {
	w.Helper()
	for _, x := range [][2]string{
		{"productOfferingPrice", `{"id":"data","name":"Data","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":0.01},"unitOfMeasure":{"amount":1,"units":"MiB"},
			"tandem:rating":{"match":{"service":"data"},"class":"data"}}`},
		{"productOfferingPrice", `{"id":"text","name":"Text","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":0.05},"unitOfMeasure":{"amount":1,"units":"message"},
			"tandem:rating":{"match":{"service":"sms"},"class":"sms"}}`},
		{"productOfferingPrice", `{"id":"mb100","name":"100 MB","lifecycleStatus":"Active","priceType":"allowance","recurringChargePeriodType":"month","recurringChargePeriodLength":1,
			"unitOfMeasure":{"amount":100,"units":"MB"},"tandem:rating":{"classes":["data"],"priority":10,"notify":[50,80,100]}}`},
		{"productOffering", `{"id":"prepaid","name":"Prepaid","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"data"},{"id":"text"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR"},"tandem:charging":{"home":["24001"],"bonus":[{"from":"20","percent":10},{"from":"100","amount":"30","days":30}]}}`},
		{"productOffering", `{"id":"plan","name":"Plan","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"data"},{"id":"text"},{"id":"mb100"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR"},"tandem:charging":{"home":["24001"]}}`},
	} {
		if a := w.do(tenant+"/user:shop", "POST", "/tmf-api/productCatalogManagement/v4/"+x[0], x[1]); a.status != 201 {
			w.Fatalf("%s %s: %d %s", tenant, x[1], a.status, a.body)
		}
	}
}

// sell makes a line run: the product with the id has the number, and charging knows it.
func (w *world) sell(tenant, id, offering, number string) {
	w.Helper()
	w.order(tenant, id, offering, number)
	w.await("the line "+id, func() bool {
		return w.count(tenant, "SELECT count(*) FROM charging_line WHERE tenant = $1 AND product = $2 AND subscriber > 0", id) == 1
	})
}

// order makes a line run in the network; charging has heard of it.
func (w *world) order(tenant, id, offering, number string) {
	w.Helper()
	scope := store.Scope{Tenant: tenant, Actor: "test"}
	for _, x := range [][2]string{{"/tmf-api/party/v4/individual", `{"id":"ind-` + id + `","givenName":"Ada","familyName":"Lovelace"}`},
		{"/tmf-api/customerManagement/v4/customer", `{"id":"cust-` + id + `","name":"Ada","engagedParty":{"id":"ind-` + id + `","@referredType":"Individual"}}`}} {
		if a := w.do(tenant+"/user:shop", "POST", x[0], x[1]); a.status != 201 {
			w.Fatalf("%s: %d %s", x[1], a.status, a.body)
		}
	}
	err := w.db.Write(w.Context(), scope, func(tx *store.Tx) error {
		p := &subscription.Product{Status: subscription.Created, ProductOffering: &subscription.Ref{ID: offering},
			RelatedParty: []tmf.RelatedParty{{ID: "cust-" + id, Role: "customer"}}}
		p.ID = id
		if err := subscription.Create(tx, p); err != nil {
			return err
		}
		return w.room.Open(tx, fact.ProductActive{Product: id, Offering: offering, Customer: "cust-" + id, BillingAccount: "ba-" + id, Service: "s-" + id,
			At: time.Now().Add(-time.Hour), Resources: []fact.Resource{{Role: "msisdn", Value: number}}})
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) count(tenant, sql string, args ...any) (n int64) {
	w.Helper()
	err := w.db.Read(w.Context(), store.Scope{Tenant: tenant, Actor: "test"}, func(tx *store.Tx) error { return tx.Row(sql, args...).Scan(&n) })
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) await(what string, ok func() bool) {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			w.Fatalf("waited too long for %s", what)
		}
	}
}

// ends waits until an action has a status.
func (w *world) ends(kind, id, status string) answer {
	w.Helper()
	var a answer
	w.await(kind+" "+id+" to be "+status, func() bool {
		a = w.get(balance + kind + "/" + id)
		return a.text("status") == status && a.text("statusReason") != "It is being taken back"
	})
	return a
}

// main is the balance of a product.
func (w *world) main(product string) string {
	w.Helper()
	return product + ".1"
}

func (w *world) left(bucket string) string {
	w.Helper()
	return w.get(balance+"bucket/"+bucket).text("remainingValue", "amount")
}

// eats charges an event of octets at once.
func (w *world) eats(number, name string, octets uint64) {
	w.Helper()
	call := &credit.Call{}
	r := &call.Request
	*r = credit.Request{Face: credit.Diameter, Kind: credit.Event, Action: credit.Post, Service: credit.Data, Numbered: true, Peer: []byte("gw"), Session: []byte(name),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte(number)}}}
	u := r.AddUnit()
	u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: octets}})
	credit.Do(w.room.Engine, call)
	if call.Answer.Result != credit.Success {
		w.Fatalf("%s used %d octets: %v", number, octets, call.Answer.Result)
	}
}

// next is the fact that comes next.
func next[F any](w *world, from chan F) (f F) {
	w.Helper()
	select {
	case f = <-from:
	case <-time.After(30 * time.Second):
		w.Fatalf("no %T was told", f)
	}
	return f
}

package verify_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/apptest"
	"tandem/app/mobile"
	"tandem/app/verify"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/edge/hlr"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	"tandem/oss/inventory"
)

const (
	host     = "northwind"
	brand    = "bluebird"
	prefix   = "2400101"
	token    = "verification-token-000001"
	stock    = 300
	patience = 30 * time.Second
)

// operator is a running node on the lab, with a host and a brand on its network.
type operator struct {
	*app.App
	t      testing.TB
	config app.Config
}

// each runs f on a fresh operator over either store.
func each(t *testing.T, f func(t *testing.T, o *operator)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			data, database := apptest.Store(t, engine)
			o := &operator{t: t, config: app.Config{Data: data, Database: database, AdminToken: token, Tenant: host,
				AllowLocal: true, Lab: true, Log: slog.New(slog.DiscardHandler)}}
			o.start()
			o.seed()
			f(t, o)
		})
	}
}

func (o *operator) start() {
	o.t.Helper()
	var err error
	if o.App, err = app.New(o.t.Context(), o.config); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(o.App.Stop)
	if err := o.App.Start(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) write(tenant string, f func(*store.Tx) error) {
	o.t.Helper()
	if err := o.DB.Write(o.t.Context(), store.Scope{Tenant: tenant, Actor: "test"}, f); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) read(f func(*store.Tx) error) {
	o.t.Helper()
	if err := o.DB.Read(o.t.Context(), store.Scope{Tenant: brand, Actor: "test"}, f); err != nil {
		o.t.Fatal(err)
	}
}

func (o *operator) send(tenant, token, method, path string, body any) *httptest.ResponseRecorder {
	o.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		o.t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(o.t.Context(), method, path, strings.NewReader(string(data)))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Tandem-Tenant", tenant)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	o.Handler().ServeHTTP(w, r)
	return w
}

func (o *operator) seed() {
	o.t.Helper()
	if w := o.send(host, token, http.MethodPost, "/access/v1/tenants", map[string]any{"id": brand, "name": brand}); w.Code != http.StatusCreated {
		o.t.Fatalf("tenant: %d %s", w.Code, w.Body)
	}
	o.write(host, func(tx *store.Tx) error { return activation.Grant(tx, mobile.Element, brand, prefix) })
	o.write(brand, func(tx *store.Tx) error {
		if err := mobile.Install(tx); err != nil {
			return err
		}
		if _, err := inventory.AddRange(tx, mobile.NumberPool, number(0), number(stock-1)); err != nil {
			return err
		}
		cards := make([]mobile.Card, stock)
		for i := range cards {
			cards[i] = mobile.Card{IMSI: imsi(i), ICCID: iccid(i)}
			cards[i].K[0], cards[i].OPc[0] = byte(i), byte(i)
		}
		if err := mobile.AddCards(tx, o.Sealer, cards); err != nil {
			return err
		}
		p := &party.Individual{GivenName: "Ada", FamilyName: "Berg"}
		if err := party.Individuals.Create(tx, p); err != nil {
			return err
		}
		c := &party.Customer{Name: "Ada Berg", EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}}
		c.ID = "ada"
		return party.Customers.Create(tx, c)
	})
}

func number(i int) string { return fmt.Sprintf("46170%07d", i) }
func imsi(i int) string   { return fmt.Sprintf("%s%08d", prefix, i) }
func iccid(i int) string  { return fmt.Sprintf("894601%s%06d", prefix, i) }

// place orders without waiting.
func (o *operator) place(it order.Item, start time.Time) string {
	o.t.Helper()
	var id string
	o.write(brand, func(tx *store.Tx) error {
		it.ID = "1"
		p := &order.ProductOrder{RequestedStartDate: start, ProductOrderItem: []order.Item{it},
			RelatedParty: []tmf.RelatedParty{{ID: "ada", Role: "customer", ReferredType: "Customer"}}}
		err := order.Place(tx, p)
		id = p.ID
		return err
	})
	return id
}

// settled waits until nothing is under way.
func (o *operator) settled() {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(o.t.Context(), patience)
	defer cancel()
	for range 3 { // jobs tell facts, facts may ask for jobs
		if err := o.Runner.Idle(ctx); err != nil {
			o.t.Fatal(err)
		}
		if err := o.Bus.Idle(ctx); err != nil {
			o.t.Fatal(err)
		}
		if err := o.Charging.Idle(ctx); err != nil {
			o.t.Fatal(err)
		}
	}
}

// done places an order and waits for its end.
func (o *operator) done(it order.Item) {
	o.t.Helper()
	id := o.place(it, time.Time{})
	o.settled()
	o.read(func(tx *store.Tx) error {
		p, err := order.ProductOrders.Get(tx, id)
		if err == nil && p.State != order.Completed {
			err = fmt.Errorf("the order is %s: %v", p.State, p.Note)
		}
		return err
	})
}

// line is a product with what the tests tamper with.
type line struct{ product, service, msisdn, iccid, imsi string }

// sell orders a line and waits until it runs.
func (o *operator) sell(offering string) line {
	o.t.Helper()
	o.done(order.Item{Action: order.Add, ProductOffering: &order.Ref{ID: offering}})
	return o.newest()
}

func (o *operator) newest() (l line) {
	o.t.Helper()
	o.read(func(tx *store.Tx) error {
		ps, err := subscription.Products.Select(tx, nil, tmf.Page{Sort: "-id", Limit: 1})
		if err == nil {
			l = lineOf(ps[0])
		}
		return err
	})
	return l
}

func lineOf(p *subscription.Product) line {
	l := line{product: p.ID, service: p.RealizingService[0].ID}
	l.msisdn, _ = tmf.Value(p.ProductCharacteristic, "msisdn")
	l.iccid, _ = tmf.Value(p.ProductCharacteristic, "iccid")
	l.imsi, _ = tmf.Value(p.ProductCharacteristic, "imsi")
	return l
}

// modify asks for a status, or a characteristic, of a line.
func (o *operator) modify(l line, status string, chars ...tmf.Characteristic) line {
	o.t.Helper()
	o.done(order.Item{Action: order.Modify, Product: &order.Product{ID: l.product, Status: status, Characteristic: chars}})
	o.read(func(tx *store.Tx) error {
		p, err := subscription.Get(tx, l.product)
		if err == nil {
			l = lineOf(p)
		}
		return err
	})
	return l
}

// lines are one of each story that a line can have, all at their end.
type lines struct{ plain, barred, renumbered, swapped, prepaid, gone, back, grown line }

func (o *operator) stories() (s lines) {
	o.t.Helper()
	s.plain = o.sell(mobile.FlatM)
	s.barred = o.modify(o.sell(mobile.FlatL), subscription.Suspended)
	s.renumbered = o.modify(o.sell(mobile.FlatM), "", tmf.Text("msisdn", number(stock-1)))
	s.swapped = o.modify(o.sell(mobile.FlatL), "", tmf.Text("iccid", iccid(stock-1)))
	s.prepaid = o.sell(mobile.Prepaid)
	s.back = o.modify(o.modify(o.sell(mobile.FlatM), subscription.Suspended), subscription.Active)
	s.grown = o.sell(mobile.FlatM)
	o.done(order.Item{Action: order.Modify, ProductOffering: &order.Ref{ID: mobile.FlatL}, Product: &order.Product{ID: s.grown.product}})
	s.gone = o.sell(mobile.FlatM)
	o.done(order.Item{Action: order.Delete, Product: &order.Product{ID: s.gone.product}})
	return s
}

// verify runs a verification of the running node.
func (o *operator) verify(grace time.Duration) ([]verify.Mismatch, verify.Summary) {
	o.t.Helper()
	var found []verify.Mismatch
	s, err := verify.Run(o.t.Context(), verify.Config{DB: o.DB, Elements: o.Network, Bus: o.Bus, Charging: o.Charging, Running: true, Grace: grace, Patience: 5 * time.Second},
		func(m verify.Mismatch) error {
			found = append(found, m)
			return nil
		})
	if err != nil {
		o.t.Fatal(err)
	}
	return found, s
}

// agrees fails the test if anything is found.
func (o *operator) agrees() verify.Summary {
	o.t.Helper()
	found, s := o.verify(20 * time.Millisecond)
	for _, m := range found {
		o.t.Errorf("found %s", m)
	}
	if err := s.Err(); err != nil {
		o.t.Fatal(err)
	}
	return s
}

// element is a client of the lab's register.
func (o *operator) element() *hlr.Client {
	o.t.Helper()
	c, err := hlr.Dial(o.t.Context(), o.Lab.Addr())
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close() })
	return c
}

// keep remembers rows, and gives them back as they were.
func (o *operator) keep(table, where string) (undo func()) {
	o.t.Helper()
	system := func(statements ...string) {
		o.t.Helper()
		o.write(brand, func(tx *store.Tx) error {
			for _, s := range statements {
				if _, err := tx.System().Exec(s); err != nil {
					return fmt.Errorf("%s: %w", s, err)
				}
			}
			return nil
		})
	}
	system("CREATE TABLE kept_" + table + " AS SELECT * FROM " + table + " WHERE " + where)
	return func() {
		o.t.Helper()
		system("DELETE FROM "+table+" WHERE "+where, "INSERT INTO "+table+" SELECT * FROM kept_"+table, "DROP TABLE kept_"+table)
	}
}

// sql changes rows behind the program's back.
func (o *operator) sql(text string, args ...any) {
	o.t.Helper()
	o.write(brand, func(tx *store.Tx) error {
		n, err := tx.Exec(text, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s changes nothing", text)
		}
		return err
	})
}

// doc changes a document, and a promoted column with it, behind the program's back.
func (o *operator) doc(table, id, column, from, to string) {
	o.t.Helper()
	o.write(brand, func(tx *store.Tx) error {
		var doc []byte
		if err := tx.Row("SELECT doc FROM "+table+" WHERE tenant = $1 AND id = $2", id).Scan(&doc); err != nil {
			return err
		}
		old := fmt.Sprintf(`"%s":"%s"`, strings.TrimPrefix(column, "a_"), from)
		if !strings.Contains(string(doc), old) {
			return fmt.Errorf("no %s in %s", old, doc)
		}
		text := strings.Replace(string(doc), old, fmt.Sprintf(`"%s":"%s"`, strings.TrimPrefix(column, "a_"), to), 1)
		_, err := tx.Exec("UPDATE "+table+" SET doc = $3, "+column+" = $4 WHERE tenant = $1 AND id = $2", id, text, to)
		return err
	})
}

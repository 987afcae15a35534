// Package demo makes an operator to try: a host with its network and two brands
// that sell on it, with catalogues, stock, sites and customers; and it keeps
// orders flowing gently.
//
//	host "northwind" ── HLR (lab) ──granted to──┬── brand "bluebird"
//	     sites, network                         └── brand "copperline"
package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	"tandem/oss/inventory"
)

// Host is the demo's first tenant: it owns the network.
const Host = "northwind"

// Brand is an MVNO of the demo.
type Brand struct {
	ID, Name, Prefix string // Prefix: of its IMSIs
	Numbers          int    // first digits after the country code
}

// Brands sell on the host's network.
var Brands = []Brand{
	{ID: "bluebird", Name: "Bluebird Mobile", Prefix: "2400101", Numbers: 170},
	{ID: "copperline", Name: "Copperline", Prefix: "2400102", Numbers: 171},
}

const (
	customersEach = 2000
	stockEach     = 5000
	batch         = 250 // customers made in one transaction
)

// Login is a user of the demo.
type Login struct{ Tenant, User, Password string }

// Demo is the demo operator on a node.
type Demo struct {
	app    *app.App
	token  string
	Logins []Login
}

// New is the demo on a node whose admin token is given.
func New(a *app.App, token string) *Demo { return &Demo{app: a, token: token} }

func scope(tenant string) store.Scope { return store.Scope{Tenant: tenant, Actor: "system:demo"} }

// Seed makes the operator, once: on a store that has it, it changes nothing. Each of
// its steps is a transaction and knows itself done, so that one that was ended before
// its end goes on where it was.
func (d *Demo) Seed(ctx context.Context) error {
	if err := d.host(ctx); err != nil {
		return fmt.Errorf("demo host: %w", err)
	}
	for _, b := range Brands {
		if err := d.brand(ctx, b); err != nil {
			return fmt.Errorf("demo brand %s: %w", b.ID, err)
		}
	}
	return nil
}

// call uses the node's own API, as any administrator would.
func (d *Demo) call(ctx context.Context, tenant, method, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r := httptest.NewRequestWithContext(ctx, method, path, bytes.NewReader(data))
	r.Header.Set("Authorization", "Bearer "+d.token)
	r.Header.Set("Tandem-Tenant", tenant)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	d.app.Handler().ServeHTTP(w, r)
	if w.Code/100 != 2 && w.Code != http.StatusConflict {
		return fmt.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
	return nil
}

// password of a demo user: derived from the node's token, so that it is stable
// on a store and different on every other.
func (d *Demo) password(tenant, user string) string {
	sum := sha256.Sum256([]byte("demo " + d.token + tenant + user))
	return fmt.Sprintf("%x", sum[:9])
}

func (d *Demo) user(ctx context.Context, tenant, user, role string) error {
	pw := d.password(tenant, user)
	d.Logins = append(d.Logins, Login{tenant, user, pw})
	return d.call(ctx, tenant, http.MethodPost, "/access/v1/users", map[string]any{"id": user, "password": pw, "roles": []string{role}})
}

// cities are where the host has sites: name, latitude and longitude in degrees.
var cities = []struct{ name, lat, lon string }{
	{"Stockholm", "59.33", "18.07"}, {"Gothenburg", "57.71", "11.97"}, {"Malmö", "55.60", "13.00"}, {"Uppsala", "59.86", "17.64"},
	{"Västerås", "59.61", "16.54"}, {"Örebro", "59.27", "15.21"}, {"Linköping", "58.41", "15.62"}, {"Umeå", "63.83", "20.26"},
	{"Luleå", "65.58", "22.15"}, {"Sundsvall", "62.39", "17.31"}, {"Karlstad", "59.38", "13.50"}, {"Kiruna", "67.86", "20.23"},
}

func (d *Demo) host(ctx context.Context) error {
	if err := d.user(ctx, Host, "noc", "noc"); err != nil {
		return err
	}
	return d.app.DB.Write(ctx, scope(Host), func(tx *store.Tx) error {
		n, err := inventory.Sites.Count(tx, nil)
		if err != nil || n > 0 {
			return err
		}
		for i, c := range cities {
			s := &inventory.Site{Name: "Core site " + c.name, Code: fmt.Sprintf("NW-%02d", i+1), Description: "Point of presence"}
			s.Extra = fmt.Appendf(nil, `{"latitude":%q,"longitude":%q}`, c.lat, c.lon)
			if err := inventory.Sites.Create(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *Demo) brand(ctx context.Context, b Brand) error {
	if err := d.call(ctx, Host, http.MethodPost, "/access/v1/tenants", map[string]any{"id": b.ID, "name": b.Name}); err != nil {
		return err
	}
	for user, role := range map[string]string{"admin": "admin", "agent": "agent"} {
		if err := d.user(ctx, b.ID, user, role); err != nil {
			return err
		}
	}
	err := d.app.DB.Write(ctx, scope(Host), func(tx *store.Tx) error { return activation.Grant(tx, mobile.Element, b.ID, b.Prefix) })
	if err != nil {
		return err
	}
	err = d.app.DB.Write(ctx, scope(b.ID), func(tx *store.Tx) error {
		if n, err := inventory.ResourcePools.Count(tx, nil); err != nil || n > 0 {
			return err
		}
		if err := mobile.Install(tx); err != nil {
			return err
		}
		if _, err := inventory.AddRange(tx, mobile.NumberPool, fmt.Sprintf("46%d0000000", b.Numbers), fmt.Sprintf("46%d%07d", b.Numbers, stockEach-1)); err != nil {
			return err
		}
		return mobile.AddCards(tx, d.app.Sealer, cards(b, stockEach))
	})
	if err != nil {
		return err
	}
	for n := 0; n < customersEach; n += batch {
		if err := d.app.DB.Write(ctx, scope(b.ID), func(tx *store.Tx) error { return customers(tx, b, n, n+batch) }); err != nil {
			return err
		}
	}
	return nil
}

// cards makes a delivery of SIM cards whose keys follow from their numbers: good
// enough for a lab, and reproducible.
func cards(b Brand, n int) []mobile.Card {
	out := make([]mobile.Card, n)
	for i := range out {
		c := mobile.Card{IMSI: fmt.Sprintf("%s%08d", b.Prefix, i), ICCID: fmt.Sprintf("894601%s%06d", b.Prefix, i)}
		sum := sha256.Sum256([]byte("demo card " + c.ICCID))
		copy(c.K[:], sum[:16])
		copy(c.OPc[:], sum[16:])
		out[i] = c
	}
	return out
}

var (
	given  = []string{"Ada", "Björn", "Carla", "Dmitri", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Karin", "Lars", "Maja", "Nils", "Olga", "Per", "Quentin", "Rosa", "Sven", "Tove"}
	family = []string{"Andersson", "Berg", "Cruz", "Dahl", "Ek", "Fors", "Grahn", "Holm", "Isaksson", "Jansson", "Kask", "Lind", "Moreau", "Nyberg", "Olsen", "Palm", "Quist", "Rossi", "Sand", "Thorn"}
)

// CustomerID of the n-th customer of a brand.
func CustomerID(n int) string { return fmt.Sprintf("customer-%04d", n) }

// customers makes those from and up to a number, unless they are there.
func customers(tx *store.Tx, b Brand, from, to int) error {
	if n, err := party.Customers.Count(tx, tmf.Where{"id": CustomerID(from)}); err != nil || n > 0 {
		return err
	}
	for n := from; n < to; n++ {
		g, f := given[n%len(given)], family[n/len(given)%len(family)]
		p := &party.Individual{GivenName: g, FamilyName: f, FullName: g + " " + f}
		p.ID = fmt.Sprintf("person-%04d", n)
		if err := party.Individuals.Create(tx, p); err != nil {
			return err
		}
		c := &party.Customer{Name: g + " " + f, EngagedParty: &tmf.RelatedParty{ID: p.ID, Name: g + " " + f, ReferredType: "Individual"}}
		c.ID = CustomerID(n)
		if err := party.Customers.Create(tx, c); err != nil {
			return err
		}
	}
	return nil
}

// Flow places an order every interval until the context ends: mostly new lines,
// now and then a suspension, a resumption, a change of number or an end.
func (d *Demo) Flow(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b := Brands[rand.IntN(len(Brands))]
		err := d.app.DB.Write(ctx, scope(b.ID), func(tx *store.Tx) error { return oneOrder(tx) })
		if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Conflict) {
			d.app.Log.Warn("demo order", "tenant", b.ID, "error", err)
		}
	}
}

// oneOrder places what a random customer might want.
func oneOrder(tx *store.Tx) error {
	customer := CustomerID(rand.IntN(customersEach))
	has, err := subscription.OfCustomer(tx, customer, subscription.Active, subscription.Suspended)
	if err != nil {
		return err
	}
	item := order.Item{ID: "1", Action: order.Add, ProductOffering: &order.Ref{ID: []string{mobile.Prepaid, mobile.FlatM, mobile.FlatL}[rand.IntN(3)]}}
	if len(has) > 0 {
		p := has[rand.IntN(len(has))]
		item = order.Item{ID: "1", Action: order.Modify, Product: &order.Product{ID: p.ID, Status: subscription.Suspended}}
		switch {
		case p.Status == subscription.Suspended:
			item.Product.Status = subscription.Active
		case rand.IntN(4) == 0:
			item.Action, item.Product.Status = order.Delete, ""
		}
	}
	return order.Place(tx, &order.ProductOrder{Description: "demo", ProductOrderItem: []order.Item{item},
		RelatedParty: []tmf.RelatedParty{{ID: customer, Role: "customer", ReferredType: "Customer"}}})
}

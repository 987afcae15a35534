package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"tandem/app/selfcare"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	allowance = 8_000_000 // octets of "Surf"
	pack      = 5_000_000_000
)

// offersSurf puts a small data product on sale, and a pack to buy when it is used up.
func (o *operator) offersSurf() {
	o.t.Helper()
	for _, d := range []struct{ kind, doc string }{
		{"productCatalogManagement/v4/productOfferingPrice", fmt.Sprintf(`{"id": "surf-data", "name": "8 MB", "version": "1.0", "lifecycleStatus": "Active", "priceType": "allowance", "recurringChargePeriodType": "month",
			"recurringChargePeriodLength": 1, "unitOfMeasure": {"amount": %d, "units": "octets"}, "tandem:rating": {"classes": ["data.home"], "priority": 10}}`, allowance)},
		{"productCatalogManagement/v4/productOfferingPrice", `{"id": "surf-traffic", "name": "Data", "version": "1.0", "lifecycleStatus": "Active", "priceType": "usage", "price": {"unit": "EUR", "value": 0.01},
			"unitOfMeasure": {"amount": 1, "units": "MiB"}, "tandem:rating": {"match": {"service": "data", "network": "home"}, "class": "data.home",
			"grant": {"default": 2097152, "min": 65536, "max": 104857600, "validity": 3600, "threshold": 20, "final": {"action": "redirect", "address": "http://` + portal + `/"}}}}`},
		{"productCatalogManagement/v4/productOffering", `{"id": "surf", "name": "Surf", "version": "1.0", "lifecycleStatus": "Launched", "isSellable": true, "productSpecification": {"id": "mobile-sim", "name": "Mobile SIM"},
			"productOfferingPrice": [{"id": "flat-m-month", "name": "Flat M monthly"}, {"id": "surf-data", "name": "8 MB"}, {"id": "surf-traffic", "name": "Data"}],
			"tandem:rating": {"zone": "Europe/Stockholm", "unknownNetwork": "home", "currency": "EUR", "networks": [{"name": "home", "codes": ["24001"]}],
				"rules": [{"name": "Self-care", "match": {"service": "data", "groups": [900]}, "class": "data.free", "zero": true, "price": {"unit": "octets", "amount": "0"}}]},
			"tandem:charging": {"home": ["24001"], "mode": "postpaid"}}`},
		{"productCatalogManagement/v4/productOffering", `{"id": "surf-flat", "name": "Surf flat", "version": "1.0", "lifecycleStatus": "Launched", "isSellable": true, "productSpecification": {"id": "mobile-sim", "name": "Mobile SIM"},
			"productOfferingPrice": [{"id": "flat-m-month", "name": "Flat M monthly"}, {"id": "flat-m-data", "name": "20 GB"}, {"id": "surf-traffic", "name": "Data"}, {"id": "mobile-data-europe", "name": "Data in Europe"}],
			"tandem:rating": {"zone": "Europe/Stockholm", "unknownNetwork": "home", "currency": "EUR", "networks": [{"name": "home", "codes": ["24001"]}, {"name": "europe", "codes": ["*"]}]},
			"tandem:charging": {"home": ["24001"], "mode": "postpaid"}}`},
		{"serviceCatalogManagement/v4/serviceSpecification", `{"id": "data-pack", "name": "Data pack", "version": "1.0", "lifecycleStatus": "Active", "@type": "CustomerFacingServiceSpecification"}`},
		{"productCatalogManagement/v4/productSpecification", `{"id": "data-pack", "name": "Data pack", "version": "1.0", "lifecycleStatus": "Active", "serviceSpecification": [{"id": "data-pack", "name": "Data pack"}]}`},
		{"productCatalogManagement/v4/productOfferingPrice", fmt.Sprintf(`{"id": "pack-5-data", "name": "5 GB", "version": "1.0", "lifecycleStatus": "Active", "priceType": "allowance",
			"unitOfMeasure": {"amount": %d, "units": "GB"}, "tandem:rating": {"classes": ["data.home"], "priority": 20, "validity": "P30D"}}`, pack/1_000_000_000)},
		{"productCatalogManagement/v4/productOfferingPrice", `{"id": "pack-5-fee", "name": "5 GB pack", "version": "1.0", "lifecycleStatus": "Active", "priceType": "oneTime", "price": {"unit": "EUR", "value": 9.90}}`},
		{"productCatalogManagement/v4/productOffering", `{"id": "pack-5", "name": "5 GB pack", "version": "1.0", "lifecycleStatus": "Launched", "isSellable": true, "description": "5 GB more, for 30 days",
			"productSpecification": {"id": "data-pack", "name": "Data pack"}, "productOfferingPrice": [{"id": "pack-5-fee", "name": "5 GB pack"}, {"id": "pack-5-data", "name": "5 GB"}],
			"productOfferingRelationship": [{"id": "surf", "name": "Surf", "relationshipType": "optionalFor"}, {"id": "surf-flat", "name": "Surf flat", "relationshipType": "optionalFor"}]}`},
	} {
		if a := o.as(brand, http.MethodPost, "/tmf-api/"+d.kind, d.doc); a.status != http.StatusCreated {
			o.t.Fatalf("%s: %s", d.doc, a)
		}
	}
}

// owner is a customer at a client of the self-care API: his phone, through the portal,
// or a computer at home.
type owner struct {
	web   *http.Client
	base  string
	token string
}

func (o *operator) owner(token string) owner {
	return owner{http.DefaultClient, "http://" + o.Addr(), token}
}

// asks sends a request with the owner's token.
func (o owner) asks(ctx context.Context, method, path string, body, into any) (int, error) {
	doc, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, method, o.base+path, bytes.NewReader(doc))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+o.token)
	res, err := o.web.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode/100 == 2 {
		return res.StatusCode, json.Unmarshal(got, into)
	}
	return res.StatusCode, fmt.Errorf("%s %s: %s, %v", method, path, got, err)
}

// tokenOf has staff of the tenant make a token of a customer.
func (o *operator) tokenOf(tenant, customer string) string {
	o.t.Helper()
	a := o.as(tenant, http.MethodPost, selfcare.TokenRoute, map[string]string{"customer": customer})
	var t selfcare.Token
	if err := json.Unmarshal(a.body, &t); err != nil || a.status != http.StatusCreated {
		o.t.Fatalf("a token of %s: %s, %v", customer, a, err)
	}
	return t.Token
}

// must asks for what must be given.
func (o owner) must(t testing.TB, method, path string, body, into any) {
	t.Helper()
	if _, err := o.asks(t.Context(), method, path, body, into); err != nil {
		t.Fatal(err)
	}
}

// refused says that a request gets the status and the code.
func (o owner) refused(t testing.TB, want int, code, method, path string, body any) {
	t.Helper()
	var ignored any
	if status, err := o.asks(t.Context(), method, path, body, &ignored); status != want || err == nil || !strings.Contains(err.Error(), code) {
		t.Errorf("%s %s %+v: %d, %v; want %d %s", method, path, body, status, err, want, code)
	}
}

// left are the balances of the customer's only line by name, as amounts.
func (o owner) left(t testing.TB) map[string]string {
	t.Helper()
	var lines []selfcare.Line
	o.must(t, http.MethodGet, "/selfcare/v1/lines", nil, &lines)
	if len(lines) != 1 {
		t.Fatalf("lines: %+v", lines)
	}
	out := map[string]string{}
	for _, b := range lines[0].Balances {
		out[b.Name] = b.Remaining.Amount.String()
	}
	return out
}

const buy = "/selfcare/v1/orders"

// A customer sees what he has, buys a pack for it, asks twice and has it once, and
// keeps it with another tariff until it is ended.
func TestSelfCare(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.offersSurf()
		line := o.sold("surf")
		ada := o.owner(o.tokenOf(brand, customer))
		var lines []selfcare.Line
		ada.must(t, http.MethodGet, "/selfcare/v1/lines", nil, &lines)
		if len(lines) != 1 || lines[0].ID != line.ID || lines[0].Number != char(line, "msisdn") || lines[0].Offering != "surf" {
			t.Fatalf("lines: %+v", lines)
		}
		var shelf []selfcare.Pack
		ada.must(t, http.MethodGet, "/selfcare/v1/lines/"+line.ID+"/packs", nil, &shelf)
		if len(shelf) != 1 || shelf[0].Offering != "pack-5" || len(shelf[0].Prices) != 2 || shelf[0].Prices[0].Amount.String() != "9.90 EUR" {
			t.Fatalf("packs: %+v", shelf)
		}
		id := o.buysTwice(ada, line)
		p := o.completed(id)
		o.await("the pack", func() bool { return ada.left(t)["5 GB"] == "5000000000" })
		if got := ada.left(t); got["8 MB"] != "8000000" {
			t.Errorf("balances: %v", got)
		}
		if n := o.count("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND product = $2", brand, p.ID); n != 1 {
			t.Errorf("%d billable items of the pack", n)
		}
		o.through(moveTo(line.ID, "surf-flat"))
		o.await("the other tariff", func() bool { return ada.left(t)["20 GB"] == "20000000000" })
		if got := ada.left(t); got["5 GB"] != "5000000000" || got["8 MB"] != "" {
			t.Errorf("with another tariff: %v", got)
		}
		o.through(end(p.ID))
		o.await("the end of the pack", func() bool { return ada.left(t)["5 GB"] == "" })
		if got := ada.left(t); got["20 GB"] != "20000000000" {
			t.Errorf("without the pack: %v", got)
		}
	})
}

// buysTwice buys the pack under one id, twice.
func (o *operator) buysTwice(who owner, line *subscription.Product) string {
	o.t.Helper()
	want := selfcare.Purchase{ID: "purchase-1", Line: line.ID, Offering: "pack-5"}
	for range 2 {
		var got selfcare.Order
		who.must(o.t, http.MethodPost, buy, want, &got)
		if got.ID != want.ID {
			o.t.Fatalf("the order: %+v", got)
		}
	}
	if n := o.count("SELECT count(*) FROM order_line WHERE tenant = $1 AND product_order = $2", brand, want.ID); n != 1 {
		o.t.Errorf("%d products were ordered", n)
	}
	return want.ID
}

// moveTo makes another offering of a product.
func moveTo(product, offering string) order.Item {
	it := modify(product, "")
	it.ProductOffering = &order.Ref{ID: offering}
	return it
}

// What belongs to another customer, or another brand, is not there; and no token is
// good for what it was not made for.
func TestSelfCareKeepsCustomersApart(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.offersSurf()
		line := o.sold("surf")
		o.write(brand, func(tx *store.Tx) error { return buyer(tx, "bob") })
		o.tenant("finch", "2400102", 171, 3)
		ada := o.owner(o.tokenOf(brand, customer))
		bought := selfcare.Order{}
		ada.must(t, http.MethodPost, buy, selfcare.Purchase{Line: line.ID, Offering: "pack-5"}, &bought)
		for name, other := range map[string]owner{"bob": o.owner(o.tokenOf(brand, "bob")), "ada of another brand": o.owner(o.tokenOf("finch", customer))} {
			var lines []selfcare.Line
			other.must(t, http.MethodGet, "/selfcare/v1/lines", nil, &lines)
			if len(lines) != 0 {
				t.Errorf("%s sees %+v", name, lines)
			}
			other.refused(t, http.StatusNotFound, "notFound", http.MethodGet, "/selfcare/v1/lines/"+line.ID+"/packs", nil)
			other.refused(t, http.StatusNotFound, "notFound", http.MethodGet, buy+"/"+bought.ID, nil)
			other.refused(t, http.StatusNotFound, "notFound", http.MethodPost, buy, selfcare.Purchase{Line: line.ID, Offering: "pack-5"})
		}
		ada.refused(t, http.StatusBadRequest, "notAPack", http.MethodPost, buy, selfcare.Purchase{Line: line.ID, Offering: "surf"})
		ada.refused(t, http.StatusBadRequest, "unknownOffering", http.MethodPost, buy, selfcare.Purchase{Line: line.ID, Offering: "none"})
		ada.refused(t, http.StatusBadRequest, "mandatoryAttributeMissing", http.MethodPost, buy, selfcare.Purchase{Offering: "pack-5"})
		ada.refused(t, http.StatusBadRequest, "badBody", http.MethodPost, buy, map[string]any{"line": line.ID, "offering": "pack-5", "price": 0})
		ada.refused(t, http.StatusUnauthorized, "unauthorized", http.MethodGet, orders, nil)
		ada.refused(t, http.StatusUnauthorized, "unauthorized", http.MethodPost, selfcare.TokenRoute, map[string]string{"customer": customer})
		o.owner(adminToken).refused(t, http.StatusUnauthorized, "unauthorized", http.MethodGet, "/selfcare/v1/lines", nil)
		if a := o.as(brand, http.MethodPost, selfcare.TokenRoute, map[string]string{"customer": "nobody"}); a.status/100 != 4 {
			t.Errorf("a token of nobody: %s", a)
		}
		reader := must[struct {
			Token string `json:"token"`
		}](o, http.MethodPost, "/access/v1/tokens", map[string]any{"id": "looks", "roles": []string{"reader"}})
		o.owner(reader.Token).refused(t, http.StatusForbidden, "notAllowed", http.MethodPost, selfcare.TokenRoute, map[string]string{"customer": customer})
		if a := o.as(brand, http.MethodDelete, selfcare.TokenRoute, map[string]string{"customer": customer}); a.status != http.StatusNoContent {
			t.Errorf("ending tokens: %s", a)
		}
		ada.refused(t, http.StatusUnauthorized, "unauthorized", http.MethodGet, "/selfcare/v1/lines", nil)
	})
}

// An order names products that its customer has, and that are not over.
func TestWhatAnOptionReliesOn(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.offersSurf()
		line := o.sold("surf")
		o.write(brand, func(tx *store.Tx) error { return buyer(tx, "bob") })
		option := func(who, on string) answer {
			it := add("pack-5")
			it.Product.Relationship = []subscription.Relationship{{RelationshipType: "reliesOn", Product: &subscription.RefOrValue{ID: on}}}
			w := wish(it)
			w.RelatedParty = []tmf.RelatedParty{{ID: who, Role: "customer", ReferredType: "Customer"}}
			return o.as(brand, http.MethodPost, orders, w)
		}
		for _, bad := range []struct {
			who, on string
			status  int
		}{{"bob", line.ID, http.StatusNotFound}, {customer, "none", http.StatusNotFound}, {customer, "", http.StatusBadRequest}} {
			if a := option(bad.who, bad.on); a.status != bad.status {
				t.Errorf("an option of %s on %q: %s, want %d", bad.who, bad.on, a, bad.status)
			}
		}
		other := o.sold("surf-flat")
		o.through(end(line.ID))
		if a := option(customer, line.ID); a.status != http.StatusConflict {
			t.Errorf("an option on what has ended: %s", a)
		}
		if a := option(customer, other.ID); a.status != http.StatusCreated {
			t.Errorf("an option on what runs: %s", a)
		}
	})
}

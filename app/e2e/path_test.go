package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/gsup"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// cardOf is the card with the IMSI.
func cardOf(imsi string) mobile.Card {
	var n int
	_, _ = fmt.Sscan("1"+imsi[len(imsi)-8:], &n) // digits, as the stock was made
	return card(imsi[:len(imsi)-8], n-100_000_000)
}

// The life of a line, seen from the phone: it attaches when the order is through,
// and is refused as soon as the order that takes something away is.
func TestPathOfAnOrder(t *testing.T) {
	t.Parallel()
	for _, offering := range []string{mobile.Prepaid, mobile.FlatM} {
		t.Run(offering, func(t *testing.T) {
			each(t, func(t *testing.T, o *operator) { o.life(offering) })
		})
	}
}

func (o *operator) life(offering string) {
	t, w := o.t, o.tower()
	w.refused(card(prefix, 0), gsup.CauseIMSIUnknown)

	p := o.through(add(offering))
	c, msisdn := cardOf(char(p, "imsi")), char(p, "msisdn")
	if p.Status != subscription.Active || msisdn == "" {
		t.Fatalf("product %+v", p)
	}
	w.attaches(c, msisdn)
	o.proves()

	p = o.through(modify(p.ID, subscription.Suspended))
	w.cut(c) // an attached phone is thrown out, not only kept out
	w.refused(c, gsup.CauseGPRSNotAllowed)
	o.proves()

	p = o.through(modify(p.ID, subscription.Active))
	w.attaches(c, msisdn)
	o.proves()

	fresh := number(170, 40)
	p = o.through(modify(p.ID, "", tmf.Text("msisdn", fresh)))
	w.attaches(c, fresh)
	if p.Status != subscription.Active || char(p, "msisdn") != fresh {
		t.Fatalf("after the change of number: %s, %s", p.Status, char(p, "msisdn"))
	}
	o.proves()

	other := card(prefix, 41)
	p = o.through(modify(p.ID, "", tmf.Text("iccid", other.ICCID)))
	w.refused(c, gsup.CauseIMSIUnknown)
	w.attaches(other, fresh)
	if char(p, "imsi") != other.IMSI {
		t.Fatalf("after the swap the product has IMSI %s", char(p, "imsi"))
	}
	o.proves()

	p = o.through(end(p.ID))
	w.refused(other, gsup.CauseIMSIUnknown)
	if p.Status != subscription.Terminated {
		t.Fatalf("after its end the product is %s", p.Status)
	}
	o.proves()
}

// What the customer does not want is not switched on, and can be had later.
func TestDomains(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		w := o.tower()
		off := func(name, v string) tmf.Characteristic { return tmf.Characteristic{Name: name, Value: []byte(v)} }
		p := o.through(add(mobile.FlatL, off("voice", "false")))
		c := cardOf(char(p, "imsi"))
		if _, err := w.Attach(t.Context(), c.IMSI, gsup.CS); err == nil {
			t.Fatal("a line without voice attaches for voice")
		}
		if _, err := w.Attach(t.Context(), c.IMSI, gsup.PS); err != nil {
			t.Fatal(err)
		}
		o.proves()
		o.through(modify(p.ID, "", off("voice", "true")))
		w.attaches(c, char(p, "msisdn"))
		o.proves()
	})
}

// Items of one order that rely on one another are done in that order, and an
// order of several lines completes as one.
func TestOrderOfSeveralLines(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		three := int64(3)
		first, second := add(mobile.Prepaid), add(mobile.FlatM)
		first.ID, second.ID = "a", "b"
		second.Quantity = &three
		second.Relationship = []order.Relationship{{ID: "a", RelationshipType: "reliesOn"}}
		want := wish(second)
		want.ProductOrderItem = []order.Item{second, first}
		placed := must[order.ProductOrder](o, http.MethodPost, orders, want)
		o.ends(placed.ID, order.Completed)
		o.proves()
		products := *must[[]*subscription.Product](o, http.MethodGet, "/tmf-api/productInventory/v4/product?sort=startDate", nil)
		if len(products) != 4 || products[0].Offering() != mobile.Prepaid {
			t.Fatalf("%d products, the first one %s", len(products), products[0].Offering())
		}
	})
}

// From the order to an active service, one at a time, on the real register.
func TestOrderToActiveService(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) { // not parallel: it measures
			o := fresh(t, engine)
			var seen, own []time.Duration
			for range 50 {
				began := time.Now()
				placed := o.place(add(mobile.FlatM))
				service := o.serviceOf(placed.ID)
				var s *inventory.Service
				o.await("active service", func() bool {
					s = must[inventory.Service](o, http.MethodGet, "/tmf-api/serviceInventory/v4/service/"+service, nil)
					return s.State == fulfilment.ServiceActive
				})
				seen = append(seen, time.Since(began))
				own = append(own, s.StartDate.Sub(placed.OrderDate))
				o.idle()
			}
			o.proves()
			p50, p95, worst := percentiles(seen)
			t.Logf(`{"name":"order to active service, osmo-hlr","store":%q,"orders":%d,"p50_ms":%.1f,"p95_ms":%.1f,"max_ms":%.1f}`, engine, len(seen), p50, p95, worst)
			p50, p95, worst = percentiles(own)
			t.Logf("by the node's own clock: p50 %.1f ms, p95 %.1f ms, max %.1f ms", p50, p95, worst)
			if p95 > 2000 { // far from the 200 ms aimed at: machines are noisy, figures stand in the log
				t.Errorf("p95 %.0f ms", p95)
			}
		})
	}
}

func percentiles(d []time.Duration) (p50, p95, most float64) {
	slices.Sort(d)
	at := func(n int) float64 { return float64(d[min(len(d)-1, len(d)*n/100)].Microseconds()) / 1000 }
	return at(50), at(95), at(100)
}

// serviceOf is the service that an order builds.
func (o *operator) serviceOf(id string) string {
	o.t.Helper()
	p := o.productOf(id)
	return p.RealizingService[0].ID
}

package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"tandem/app/mobile"
	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/edge/lab"
	"tandem/kit/access"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/work"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/hlr"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

type adapter struct{ d driver.Driver }

func (a adapter) Ensure(ctx context.Context, tenant, element string, d driver.Desired) (driver.Observed, error) {
	return a.d.Ensure(ctx, d)
}

func TestPath(t *testing.T) {
	schemas := []store.Schema{tmf.Schema(), outbox.Schema(), work.Schema()}
	var kinds []tmf.Mounted
	schemas = append(schemas, subscription.Schemas...)
	schemas = append(schemas, billing.Schemas...)
	schemas = append(schemas, spec.Schemas...)
	schemas = append(schemas, inventory.Schemas...)
	schemas = append(schemas, fulfilment.Schemas()...)
	schemas = append(schemas, order.Schemas()...)
	for _, k := range [][]tmf.Mounted{party.Kinds(), catalog.Kinds(), subscription.Kinds(), order.Kinds(), billing.Kinds(), spec.Kinds(), inventory.Kinds(), fulfilment.Kinds()} {
		kinds = append(kinds, k...)
	}
	storetest.Each(t, schemas, func(t *testing.T, db *store.DB) {
		if err := tmf.Migrate(t.Context(), db, kinds); err != nil {
			t.Fatal(err)
		}
		h, err := lab.StartHLR(t.Context(), lab.HLRConfig{Dir: t.TempDir(), CTRLAddr: "127.0.0.1:0", VTYAddr: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := hlr.New(driver.Endpoint{Address: h.Addr()})
		if err != nil {
			t.Fatal(err)
		}
		seal, err := access.NewSealer(make([]byte, 32))
		if err != nil {
			t.Fatal(err)
		}
		log := slog.Default()
		bus := outbox.New(db, log)
		outbox.On(bus, "subscription", subscription.Activate)
		outbox.On(bus, "subscription", subscription.Change)
		outbox.On(bus, "subscription", subscription.Suspend)
		outbox.On(bus, "subscription", subscription.Resume)
		outbox.On(bus, "subscription", subscription.Terminate)
		outbox.On(bus, "order", order.ItemDone)
		outbox.On(bus, "order", order.FellOut)
		outbox.On(bus, "billing", billing.Begin)
		outbox.On(bus, "billing", billing.End)
		runner := work.New(db, log, work.Config{})
		fulfilment.NewEngine(db, runner, adapter{d}, seal, log, 8)
		if err := bus.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := runner.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { runner.Stop(); bus.Stop(); d.Close(); h.Close() })
		scope := store.Scope{Tenant: "mno", Actor: "test"}
		write := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.Write(t.Context(), scope, f); err != nil {
				t.Fatal(err)
			}
		}
		write(mobile.Install)
		write(func(tx *store.Tx) error {
			var cards []mobile.Card
			for i := range 100 {
				cards = append(cards, mobile.Card{ICCID: fmt.Sprintf("8949000000000000%03d", i), IMSI: fmt.Sprintf("240010000000%03d", i)})
			}
			if err := mobile.AddCards(tx, seal, cards); err != nil {
				return err
			}
			if _, err := inventory.AddRange(tx, mobile.NumberPool, "491700000000", "491700000099"); err != nil {
				return err
			}
			ind := &party.Individual{GivenName: "Ada", FamilyName: "L"}
			if err := party.Individuals.Create(tx, ind); err != nil {
				return err
			}
			c := &party.Customer{Name: "Ada L", EngagedParty: &tmf.RelatedParty{ID: ind.ID, ReferredType: "Individual"}}
			c.ID = "ada"
			return party.Customers.Create(tx, c)
		})
		place := func(o *order.ProductOrder) *order.ProductOrder {
			t.Helper()
			o.RelatedParty = []tmf.RelatedParty{{ID: "ada", Role: "customer", ReferredType: "Customer"}}
			write(func(tx *store.Tx) error { return order.Place(tx, o) })
			deadline := time.Now().Add(20 * time.Second)
			for {
				if err := runner.Idle(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := bus.Idle(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got *order.ProductOrder
				_ = db.Read(t.Context(), scope, func(tx *store.Tx) (err error) {
					got, err = order.ProductOrders.Get(tx, o.ID)
					return err
				})
				if got.State != "inProgress" || time.Now().After(deadline) {
					return got
				}
			}
		}
		o := place(&order.ProductOrder{ProductOrderItem: []order.Item{{ID: "1", Action: "add", ProductOffering: &order.Ref{ID: mobile.FlatM}}}})
		b, _ := tmf.Encode(o)
		t.Logf("%s", b)
		if o.State != "completed" {
			parked, _ := bus.Parked(t.Context(), outbox.ParkedQuery{})
			t.Fatalf("state %s; parked %+v", o.State, parked)
		}
		var product *subscription.Product
		_ = db.Read(t.Context(), scope, func(tx *store.Tx) error {
			ps, err := subscription.OfCustomer(tx, "ada")
			if err != nil || len(ps) != 1 {
				t.Fatal(ps, err)
			}
			product = ps[0]
			b, _ := tmf.Encode(product)
			t.Logf("%s", b)
			items, err := billing.ItemsOf(tx, product.ID)
			for _, i := range items {
				b, _ := tmf.Encode(i)
				t.Logf("%s", b)
			}
			return err
		})
		for _, step := range []*order.Product{{ID: product.ID, Status: "suspended"}, {ID: product.ID, Status: "active"},
			{ID: product.ID, Characteristic: []tmf.Characteristic{tmf.Text("msisdn", "491700000050")}}, {ID: product.ID, Characteristic: []tmf.Characteristic{tmf.Text("iccid", "8949000000000000077")}}} {
			o := place(&order.ProductOrder{ProductOrderItem: []order.Item{{ID: "1", Action: "modify", Product: step}}})
			if o.State != "completed" {
				b, _ := tmf.Encode(o)
				t.Fatalf("%s", b)
			}
			obs, err := d.Observe(t.Context(), driver.HLRSubscriber, "240010000000077")
			t.Log(obs, err)
		}
		o = place(&order.ProductOrder{ProductOrderItem: []order.Item{{ID: "1", Action: "delete", Product: &order.Product{ID: product.ID}}}})
		if o.State != "completed" {
			b, _ := tmf.Encode(o)
			t.Fatalf("%s", b)
		}
	})
}

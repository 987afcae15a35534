package billing_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/communication"
	"tandem/bss/ledger/recognition"
	"tandem/bss/party"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

// flow is a world in which the facts flow as they do in the house.
func flow(t *testing.T, f func(w *world, bus *outbox.Bus)) {
	kinds := slices.Concat(party.Kinds(), catalog.Kinds(), communication.Kinds(), subscription.Kinds(), billing.Kinds())
	schemas := slices.Concat([]store.Schema{outbox.Schema(), work.Schema()}, communication.Schemas, subscription.Schemas, billing.Schemas, recognition.Schemas)
	tmftest.Each(t, schemas, kinds, func(t *testing.T, db *store.DB) {
		bus := outbox.New(db, slog.New(slog.DiscardHandler))
		outbox.On(bus, "subscription", subscription.Activate)
		outbox.On(bus, "subscription", subscription.Change)
		outbox.On(bus, "subscription", subscription.Suspend)
		outbox.On(bus, "subscription", subscription.Resume)
		outbox.On(bus, "subscription", subscription.Terminate)
		outbox.On(bus, "billing", billing.Begin)
		outbox.On(bus, "billing", billing.Change)
		outbox.On(bus, "billing", billing.Suspend)
		outbox.On(bus, "billing", billing.Resume)
		outbox.On(bus, "billing", billing.End)
		outbox.On(bus, "communication", communication.Welcome)
		outbox.On(bus, "communication", communication.Changed)
		outbox.On(bus, "communication", communication.Suspended)
		outbox.On(bus, "communication", communication.Resumed)
		outbox.On(bus, "communication", communication.Goodbye)
		if err := bus.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bus.Stop)
		f(&world{t, db, tmftest.Serve(t, db, kinds)}, bus)
	})
}

// TestFromTheNetworksWordToTheBillAndTheMailbox tells what the network confirms,
// each thing twice, and looks at what the business wing made of it.
func TestFromTheNetworksWordToTheBillAndTheMailbox(t *testing.T) {
	flow(t, func(w *world, bus *outbox.Bus) {
		person := w.post("/tmf-api/party/v4/individual", `{"givenName":"Änne","familyName":"Groß","contactMedium":[{"mediumType":"email","characteristic":{"emailAddress":"a@example.com"}}]}`)
		customer := w.post("/tmf-api/customerManagement/v4/customer", `{"name":"Groß","engagedParty":{"id":"`+person+`","@referredType":"Individual"}}`)
		id := w.product(w.offering("M", w.price("line", "recurring", "20", monthly)), customer, func(p *subscription.Product) {
			p.Status, p.RealizingService = subscription.PendingActive, []subscription.ServiceRef{{ID: "s1"}}
		})
		ext := fact.External{Product: id}
		for range 2 {
			w.must(func(tx *store.Tx) error {
				outbox.Tell(tx, fact.ServiceActive{Service: "s1", External: ext, At: hour(1.25), Resources: []fact.Resource{{ID: "r", Role: "msisdn", Value: "491"}}})
				outbox.Tell(tx, fact.ServiceSuspended{Service: "s1", External: ext, At: hour(3)})
				outbox.Tell(tx, fact.ServiceResumed{Service: "s1", External: ext, At: hour(5)})
				outbox.Tell(tx, fact.ServiceTerminated{Service: "s1", External: ext, At: hour(9)})
				return nil
			})
		}
		ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
		defer cancel()
		if err := bus.Idle(ctx); err != nil {
			w.Fatal(err)
		}
		w.want(id, "line recurring 20.00 ended 1.25-9")
		item := w.items(id)[0]
		if s := item.Suspension; len(s) != 1 || !s[0].From.Equal(hour(3)) || !s[0].To.Equal(hour(5)) || item.ConfirmedBy != "s1" {
			w.Errorf("suspended %v, confirmed by %s", s, item.ConfirmedBy)
		}
		if p := w.api.Do("mno", "GET", "/tmf-api/productInventory/v4/product/"+id, nil).Object(); p["status"] != "terminated" {
			w.Errorf("product %v", p["status"])
		}
		var subjects []string
		for _, m := range w.api.Do("mno", "GET", "/tmf-api/communicationManagement/v4/communicationMessage", nil).List() {
			subjects = append(subjects, m["subject"].(string))
		}
		slices.Sort(subjects)
		if want := []string{"M has ended", "M is ready", "M is suspended", "M works again"}; !slices.Equal(subjects, want) {
			w.Errorf("messages %v, want %v", subjects, want)
		}
	})
}

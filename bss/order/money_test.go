package order_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

const (
	cataloguePath = "/tmf-api/productCatalogManagement/v4/"
	accounts      = "/tmf-api/accountManagement/v4/billingAccount"
)

// sell puts prices and an offering of them on the market: each price is a document
// without what all have.
func (s *shop) sell(offering, specification string, prices ...string) {
	s.Helper()
	var refs []string
	for _, p := range prices {
		var x struct {
			ID string `json:"id"`
		}
		s.ok(tmf.Decode([]byte(p), &x))
		refs = append(refs, `{"id":"`+x.ID+`"}`)
		s.write(func(tx *store.Tx) error {
			return create(tx, &catalog.OfferingPrices, []byte(strings.TrimSuffix(p, "}")+`,"name":"`+x.ID+`","lifecycleStatus":"Active"}`))
		})
	}
	s.write(func(tx *store.Tx) error {
		return create(tx, &catalog.Offerings, []byte(`{"id":"`+offering+`","name":"`+offering+`","lifecycleStatus":"Launched","productSpecification":{"id":"`+specification+`"},
			"productOfferingPrice":[`+strings.Join(refs, ",")+`]}`))
	})
}

// eur is a price of some euros a month; more are further attributes.
func eur(id, value, more string) string {
	return `{"id":"` + id + `","priceType":"recurring","recurringChargePeriodType":"month","recurringChargePeriodLength":1,"price":{"unit":"EUR","value":` + value + `}` + more + `}`
}

func from(t time.Time) string {
	return `,"validFor":{"startDateTime":"` + t.UTC().Format(time.RFC3339Nano) + `"}`
}

func when(characteristic, value string) string {
	return `,"prodSpecCharValueUse":[{"name":"` + characteristic + `","productSpecCharacteristicValue":[{"value":` + value + `}]}]`
}

func (s *shop) patch(path, body string) {
	s.Helper()
	if a := s.api.Do(tenant, http.MethodPatch, path, body); a.Status != http.StatusOK {
		s.Fatalf("PATCH %s: %d %s", path, a.Status, a.Body)
	}
}

// A tariff that came on the market after the product was first ordered is billed
// from the change on, and the audit would see if it were not.
func TestAChangeIsJudgedByItsOwnDate(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		s.sell("mobile-new", "mobile", eur("new-month", "12", from(s.db.Now())))
		s.through(of("ada", become("1", p.ID, "mobile-new")))
		if got := s.billed(p.ID); !slices.Equal(got, []string{"connection ended", "new-month active", "s-month ended"}) {
			t.Errorf("billed %v", got)
		}
		s.read(func(tx *store.Tx) error {
			items, err := billing.ItemsOf(tx, p.ID)
			if err != nil {
				return err
			}
			items = slices.DeleteFunc(items, func(i *billing.BillableItem) bool { return i.Price.ID == "new-month" })
			names, _, err := (&billing.Owing{}).Missing(tx, s.product(p.ID), items)
			if !slices.Equal(names, []string{"new-month"}) {
				t.Errorf("the audit misses %v", names)
			}
			return err
		})
	})
}

// An option that came on the market later is billed when it is chosen, and what
// was sold before it stays although it is sold no more.
func TestWhatIsChosenLaterIsBilledBesideWhatStays(t *testing.T) {
	each(t, func(s *shop) {
		s.sell("plan", "mobile", eur("plan-month", "12", ""))
		p := s.sold("ada", "plan")
		s.write(func(tx *store.Tx) error {
			return create(tx, &catalog.OfferingPrices, []byte(strings.TrimSuffix(eur("paper-month", "2", from(tx.Now())+when("paper", "true")), "}")+`,"name":"paper","lifecycleStatus":"Active"}`))
		})
		s.patch(cataloguePath+"productOffering/plan", `{"productOfferingPrice":[{"id":"plan-month"},{"id":"paper-month"}]}`)
		s.patch(cataloguePath+"productOfferingPrice/plan-month", `{"validFor":{"endDateTime":"`+s.db.Now().UTC().Format(time.RFC3339Nano)+`"}}`)
		s.through(of("ada", modify("1", p.ID, "", truth("paper", true))))
		if got := s.billed(p.ID); !slices.Equal(got, []string{"paper-month active", "plan-month active"}) {
			t.Errorf("billed %v", got)
		}
	})
}

func TestTheServerDatesAnOrder(t *testing.T) {
	each(t, func(s *shop) {
		begun := s.db.Now()
		o := of("ada", add("1", "mobile-s"))
		long := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		o.OrderDate, o.CompletionDate, o.CancellationDate, o.ExpectedCompletionDate = long, long, long, long
		o = s.place(o)
		if o.OrderDate.Before(begun.Truncate(time.Millisecond)) || !o.CompletionDate.IsZero() || !o.CancellationDate.IsZero() || !o.ExpectedCompletionDate.IsZero() {
			t.Errorf("ordered %s, expected %s, completed %s, cancelled %s", o.OrderDate, o.ExpectedCompletionDate, o.CompletionDate, o.CancellationDate)
		}
		s.ends(o.ID, order.Completed)
		if got := s.billed(s.productsOf(o.ID)[0].ID); !slices.Equal(got, []string{"connection ended", "s-month active"}) { // and not old-fee
			t.Errorf("billed %v", got)
		}
	})
}

// at gives an item a place.
func at(it order.Item, place string) order.Item {
	it.Product.Place = []tmf.Place{{ID: place, ReferredType: "GeographicAddress"}}
	return it
}

// The order shows the prices that will be billed: those for its place, for what is
// chosen and by the parts of a composite, with discounts taken off.
func TestWhatAnOrderShowsIsWhatIsBilled(t *testing.T) {
	each(t, func(s *shop) {
		s.sell("local-plan", "mobile", eur("base-part", "9", ""), eur("tv-part", "3", ""),
			eur("whole", "12", `,"isBundle":true,"bundledPopRelationship":[{"id":"base-part"},{"id":"tv-part"}]`),
			eur("north", "5", `,"place":[{"id":"NORTH"}]`), eur("south", "7", `,"place":[{"id":"SOUTH"}]`),
			eur("paper-month", "2", when("paper", "true")),
			strings.Replace(eur("loyal", "1", ""), "recurring", "discount", 1))
		o := s.place(of("ada", at(add("1", "local-plan"), "NORTH")))
		if got, want := prices(o.OrderTotalPrice), []string{"recurring month 17.00 EUR", "discount month -1.00 EUR"}; !slices.Equal(got, want) {
			t.Errorf("the order costs %q, want %q", got, want)
		}
		s.ends(o.ID, order.Completed)
		p := s.productsOf(o.ID)[0]
		var shown []string
		for _, x := range o.ProductOrderItem[0].ItemPrice {
			shown = append(shown, x.ProductOfferingPrice.ID+" active")
		}
		slices.Sort(shown)
		if got := s.billed(p.ID); len(p.Place) != 1 || p.Place[0].ID != "NORTH" || !slices.Equal(got, shown) {
			t.Errorf("at %+v billed %v, shown %v", p.Place, got, shown)
		}

		it := modify("1", p.ID, "", truth("paper", true))
		s.through(of("ada", at(it, "SOUTH"))) // she moves
		now := s.product(p.ID)
		if got := s.billed(p.ID); now.Places()[0] != "SOUTH" || !slices.Equal(got, []string{"base-part active", "loyal active", "north ended", "paper-month active", "south active", "tv-part active"}) {
			t.Errorf("at %v billed %v", now.Place, got)
		}
	})
}

func (s *shop) account(customer, currency string) string {
	s.Helper()
	return do[billing.Account](s, http.MethodPost, accounts, map[string]any{"name": "in " + currency, "currency": currency,
		"relatedParty": []any{map[string]any{"id": customer, "role": "customer"}}}).ID
}

func on(it order.Item, account string) order.Item {
	it.BillingAccount = &order.Ref{ID: account}
	return it
}

func TestWhatNobodyCouldBeBilledForIsRefused(t *testing.T) {
	each(t, func(s *shop) {
		s.sell("kronor", "mobile", strings.Replace(eur("sek-month", "99", ""), "EUR", "SEK", 1))
		s.refused("two currencies, and no account", of("ada", add("1", "mobile-s"), add("2", "kronor")), 400, "wrongCurrency")
		sek := s.account("ada", "SEK")
		s.refused("euros on the account she has", of("ada", add("1", "mobile-s")), 400, "wrongCurrency")
		s.refused("another's account", of("bob", on(add("1", "kronor"), sek)), 400, "anothersAccount")
		whole := of("bob", add("1", "kronor"))
		whole.BillingAccount = &order.Ref{ID: sek}
		s.refused("another's account for the whole order", whole, 400, "anothersAccount")
		s.refused("no account at all", of("bob", on(add("1", "mobile-s"), "none")), 400, "unknownAccount")

		p := s.sold("ada", "kronor")
		s.refused("a change into euros", of("ada", become("1", p.ID, "mobile-s")), 400, "wrongCurrency")
		eur := s.account("ada", "EUR")
		s.refused("kronor on a euro account", of("ada", on(modify("1", p.ID, ""), eur)), 400, "wrongCurrency")
		s.through(of("ada", on(become("1", p.ID, "mobile-s"), eur)))
		if got := s.billed(p.ID); s.product(p.ID).Account() != eur || !slices.Equal(got, []string{"connection ended", "s-month active", "sek-month ended"}) {
			t.Errorf("on account %q billed %v", s.product(p.ID).Account(), got)
		}
	})
}

// Orders in two currencies by a customer who has no account, or one that nothing was
// billed on yet: the first settles what he is billed in, before anything runs; the
// other is refused in words. However close they come, nothing runs unbilled.
func TestTwoCurrenciesOfACustomerWithoutAccount(t *testing.T) {
	each(t, func(s *shop) {
		s.sell("kronor", "mobile", strings.Replace(eur("sek-month", "99", ""), "EUR", "SEK", 1))
		first := of("ada", add("1", "mobile-s"))
		first.RequestedStartDate = s.db.Now().Add(time.Hour)
		s.place(first)
		s.refused("kronor, while nothing is billed yet", of("ada", add("1", "kronor")), 400, "wrongCurrency")
		blank := s.account("bob", "")
		s.place(of("bob", on(add("1", "kronor"), blank)))
		s.refused("euros on the same account", of("bob", on(add("1", "mobile-s"), blank)), 400, "wrongCurrency")

		for n := range 8 {
			newcomer := fmt.Sprintf("new-%d", n)
			s.write(func(tx *store.Tx) error { return customer(tx, newcomer, "private") })
			var both sync.WaitGroup
			answers := make([]tmftest.Answer, 2)
			for i, offering := range []string{"mobile-s", "kronor"} {
				both.Go(func() { answers[i] = s.send(http.MethodPost, orders, of(newcomer, add("1", offering))) })
			}
			both.Wait()
			slices.SortFunc(answers, func(a, b tmftest.Answer) int { return a.Status - b.Status })
			if taken, refused := answers[0], answers[1]; taken.Status != 201 || refused.Object()["code"] != "wrongCurrency" {
				s.Fatalf("%d %s; %d %s", taken.Status, taken.Body, refused.Status, refused.Body)
			}
			if all := *do[[]billing.Account](s, http.MethodGet, accounts+"?relatedParty.id="+newcomer, nil); len(all) != 1 {
				s.Errorf("%s has %d accounts", newcomer, len(all))
			}
		}
		s.idle() // with no fact that billing could not take
	})
}

// A product goes over to another account: what it is billed for stays as it was
// sold, and each account pays for its time.
func TestAProductMovesToAnotherAccount(t *testing.T) {
	each(t, func(s *shop) {
		first, second := s.account("ada", "EUR"), s.account("ada", "EUR")
		p := s.sold("ada", "mobile-s")
		s.patch(cataloguePath+"productOfferingPrice/s-month", `{"price":{"unit":"EUR","value":70}}`)
		s.through(of("ada", on(modify("1", p.ID, ""), second)))
		s.read(func(tx *store.Tx) error {
			items, err := billing.ItemsOf(tx, p.ID)
			var got []string
			for _, i := range items {
				if i.Price.ID == "s-month" {
					got = append(got, fmt.Sprint(i.BillingAccount.ID == first, " ", i.BillingAccount.ID == second, " ", i.Amount, " ", i.State))
				}
			}
			if want := []string{"true false 7.99 EUR ended", "false true 7.99 EUR active"}; !slices.Equal(got, want) {
				t.Errorf("items %q, want %q", got, want)
			}
			if len(got) == 2 && !items[len(items)-1].From.Equal(items[0].To) && !items[len(items)-1].From.Equal(items[1].To) {
				t.Errorf("a gap between the accounts: %+v", items)
			}
			return err
		})
		s.refused("the account it is on", of("ada", on(modify("1", p.ID, ""), second)), 409, "nothingToChange")
	})
}

// A suspension that fails late must not wipe what another order is changing.
func TestALateFailureLeavesWhatAnotherOrderChanges(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		o := of("ada", modify("1", p.ID, subscription.Suspended))
		o.RequestedStartDate = s.db.Now().Add(time.Hour)
		o = s.place(o)
		s.write(func(tx *store.Tx) error {
			return subscription.Propose(tx, p.ID, &subscription.PendingChange{ProductOffering: &subscription.Ref{ID: "mobile-m"},
				ProductOrderItem: &subscription.OrderItem{ProductOrderID: "another", OrderItemID: "1"}})
		})
		s.cancel(o.ID)
		s.ends(o.ID, order.Cancelled)
		if c := s.product(p.ID).PendingChange; c == nil || c.ProductOrderItem.ProductOrderID != "another" {
			t.Errorf("the pending change is %+v", c)
		}
	})
}

// A change of a product of two services counts when both have confirmed it.
func TestAChangeCountsWhenAllServicesHaveConfirmedIt(t *testing.T) {
	each(t, func(s *shop) {
		s.sell("duo-paper", "duo", eur("duo-month", "31", ""))
		p := s.sold("ada", "duo")
		o := of("ada", become("1", p.ID, "duo-paper"))
		o.RequestedStartDate = s.db.Now().Add(time.Hour)
		o = s.place(o)
		c := s.product(p.ID).PendingChange
		if c == nil || len(c.Awaited) != 2 || c.Awaited[0] != p.RealizingService[0].ID || c.Awaited[1] != p.RealizingService[1].ID {
			t.Fatalf("pending %+v", c)
		}
		s.write(func(tx *store.Tx) error { // the first confirms, alone
			return subscription.Change(tx, fact.ServiceChanged{Service: c.Awaited[0], External: fact.External{Order: o.ID, Item: "1", Product: p.ID}, At: tx.Now()})
		})
		s.idle()
		if now := s.product(p.ID); now.Offering() != "duo" || !slices.Equal(s.billed(p.ID), []string{"family-month active"}) {
			t.Errorf("one of two services makes it %s, billed %v", now.Offering(), s.billed(p.ID))
		}
		s.ahead.Store(int64(2 * time.Hour))
		s.ends(o.ID, order.Completed)
		if now := s.product(p.ID); now.Offering() != "duo-paper" || now.PendingChange != nil || !slices.Equal(s.billed(p.ID), []string{"duo-month active", "family-month ended"}) {
			t.Errorf("it is %s, pending %+v, billed %v", now.Offering(), now.PendingChange, s.billed(p.ID))
		}
	})
}

// Some kilobytes of JSON must not ask for more than one transaction should make.
func TestAnOrderHasOnlySoManyPieces(t *testing.T) {
	each(t, func(s *shop) {
		var many, parts, each []order.Item
		for i := range 201 {
			many = append(many, order.Item{ID: fmt.Sprint(i), Action: order.NoChange})
		}
		for i := range 500 {
			parts = append(parts, times(100, add(fmt.Sprint(i), "inner")))
		}
		for i := range 3 {
			each = append(each, times(70, add(fmt.Sprint(i), "mobile-s")))
		}
		s.refused("too many items", of("ada", many...), 400, "tooManyItems")
		s.refused("too many pieces", of("ada", each...), 400, "tooManyItems")
		s.refused("too many parts of a bundle", of("ada", times(100, with(add("1", "family"), parts...))), 400, "tooManyItems")
		s.refused("too many parts that come by themselves", of("ada", times(100, add("1", "family")), add("2", "mobile-s")), 400, "tooManyItems")
		s.refused("more of a part than the bundle takes", of("ada", with(add("1", "family"), times(4, add("x", "inner", tmf.Text("colour", "red"))))), 400, "bundleLimit")
		var chain []order.Item
		for i := range 3 {
			it := times(60, add(fmt.Sprint(i), "mobile-s"))
			for j := range i {
				it = after(it, fmt.Sprint(j))
			}
			chain = append(chain, it)
		}
		s.refused("too many that wait", of("ada", chain...), 400, "tooManyRelations")
	})
}

func TestAClientsPricesAreNotListenedTo(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		mine := []order.OrderPrice{{Name: "x"}}
		for _, it := range []order.Item{{ID: "1", Action: order.NoChange, Product: &order.Product{ID: p.ID}},
			modify("1", p.ID, "", truth("data", false)), with(add("1", "family"), order.Item{ID: "2", Action: order.Add, ProductOffering: &order.Ref{ID: "mobile-m"}, ItemPrice: mine}), end("1", p.ID)} {
			it.ItemPrice, it.ItemTotalPrice = mine, mine
			o := of("ada", it)
			o.OrderTotalPrice = mine
			o = s.ends(s.place(o).ID, order.Completed)
			for _, x := range slices.Concat(o.OrderTotalPrice, o.ProductOrderItem[0].ItemPrice, o.ProductOrderItem[0].ItemTotalPrice) {
				if x.Name == "x" {
					t.Errorf("%s: the client's price is shown: %+v", it.Action, o)
				}
			}
			for _, child := range o.ProductOrderItem[0].ProductOrderItem {
				if child.ItemPrice != nil {
					t.Errorf("the client's price of a part is shown: %+v", child)
				}
			}
		}
	})
}

// A cancellation with a date in the future waits for it; one for a day that is gone
// is for now. When the date comes too late it says so.
func TestACancellationWaitsForItsDate(t *testing.T) {
	each(t, func(s *shop) {
		later := func() *order.ProductOrder {
			o := of("ada", add("1", "mobile-s"))
			o.RequestedStartDate = s.db.Now().Add(48 * time.Hour)
			return s.place(o)
		}
		ask := func(id string, date time.Time) *order.CancelProductOrder {
			t.Helper()
			return do[order.CancelProductOrder](s, http.MethodPost, cancels, &order.CancelProductOrder{ProductOrder: &order.Ref{ID: id},
				CancellationReason: "changed my mind", RequestedCancellationDate: date, EffectiveCancellationDate: date})
		}
		past := later()
		ask(past.ID, s.db.Now().Add(-time.Hour))
		s.ends(past.ID, order.Cancelled)

		first, second := later(), later()
		tomorrow := s.db.Now().Add(24 * time.Hour)
		task, late := ask(first.ID, tomorrow), ask(second.ID, tomorrow)
		if a := s.send(http.MethodPost, cancels, &order.CancelProductOrder{ProductOrder: &order.Ref{ID: "none"}, RequestedCancellationDate: tomorrow}); a.Status != http.StatusNotFound {
			t.Errorf("no such order: %d %s", a.Status, a.Body)
		}
		s.cancel(second.ID)
		s.ends(second.ID, order.Cancelled)
		if now := s.order(first.ID); now.State != order.Acknowledged || task.State != order.Acknowledged || !task.EffectiveCancellationDate.IsZero() {
			t.Errorf("before its date the order is %s, the cancellation %+v", now.State, task)
		}
		s.ahead.Store(int64(25 * time.Hour))
		s.ends(first.ID, order.Cancelled)
		s.cancelled(task, "done")
		s.cancelled(late, "terminatedWithError")
		if now := s.order(first.ID); now.CancellationReason != "changed my mind" {
			t.Errorf("cancelled because %q", now.CancellationReason)
		}
		s.has()
	})
}

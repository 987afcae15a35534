package order_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
)

func TestAProductIsOrderedChangedSuspendedAndEnded(t *testing.T) {
	each(t, func(s *shop) {
		placed := s.place(of("ada", add("1", "mobile-s", tmf.Text("msisdn", number(3)))))
		if placed.State != order.InProgress || itemStates(placed)[0] != order.InProgress || placed.ProductOrderItem[0].ProductOffering.Name != "Mobile S" {
			s.Errorf("placed %s %+v", placed.State, placed.ProductOrderItem[0])
		}
		o := s.ends(placed.ID, order.Completed)
		if o.CompletionDate.IsZero() || itemStates(o)[0] != order.Completed {
			s.Errorf("completed at %s, items %v", o.CompletionDate, itemStates(o))
		}
		p := s.productsOf(o.ID)[0]
		if p.Status != subscription.Active || p.Customer() != "ada" || char(p, "msisdn") != number(3) || char(p, "iccid") != iccid(0) || p.StartDate.IsZero() {
			s.Errorf("product %+v", p)
		}
		s.has(line(0, 3))
		if got := s.billed(p.ID); !slices.Equal(got, []string{"connection ended", "s-month active"}) {
			s.Errorf("billed %v", got)
		}
		s.through(of("ada", modify("1", p.ID, "", tmf.Text("msisdn", number(5)))))
		s.has(line(0, 5))
		if now := s.product(p.ID); char(now, "msisdn") != number(5) || now.PendingChange != nil {
			s.Errorf("changed %+v", now)
		}
		for _, step := range []struct{ status, billed string }{{subscription.Suspended, "s-month suspended"}, {subscription.Active, "s-month active"}} {
			s.through(of("ada", modify("1", p.ID, step.status)))
			if now := s.product(p.ID); now.Status != step.status || !slices.Contains(s.billed(p.ID), step.billed) {
				s.Errorf("after %s it is %s, billed %v", step.status, now.Status, s.billed(p.ID))
			}
		}
		s.through(of("ada", end("1", p.ID)))
		if now := s.product(p.ID); now.Status != subscription.Terminated || !slices.Equal(s.billed(p.ID), []string{"connection ended", "s-month ended"}) {
			s.Errorf("ended as %s, billed %v", now.Status, s.billed(p.ID))
		}
		s.has()
		s.refused("an ended product", of("ada", end("1", p.ID)), 409, "alreadyEnded")
		s.refused("an ended product", of("ada", modify("1", p.ID, "", truth("data", false))), 409, "notActive")
	})
}

func TestABundleIsActiveWhenAllItsPartsAre(t *testing.T) {
	each(t, func(s *shop) {
		reached, release := s.hold(imsi(1))
		placed := s.place(of("ada", add("1", "family", tmf.Text("msisdn", number(7)))))
		reached()
		s.await(func() string {
			p := s.productsOf(placed.ID)
			if len(p) != 1 || len(p[0].RealizingService) != 2 || p[0].RealizingService[0].State != subscription.Active {
				return fmt.Sprintf("products %+v", p)
			}
			return ""
		})
		if p := s.productsOf(placed.ID)[0]; p.Status != subscription.PendingActive || s.items() != 0 {
			s.Errorf("half of it runs, and the product is %s with %d billable items", p.Status, s.items())
		}
		release()
		s.ends(placed.ID, order.Completed)
		p := s.productsOf(placed.ID)[0]
		if p.Status != subscription.Active || p.IsBundle == nil || !*p.IsBundle || p.Offering() != "family" {
			s.Errorf("product %+v", p)
		}
		if got := s.billed(p.ID); !slices.Equal(got, []string{"family-month active"}) {
			s.Errorf("billed %v", got)
		}
		s.has(line(0, 7), line(1, 0))
		s.through(of("ada", modify("1", p.ID, subscription.Suspended)))
		if now := s.product(p.ID); now.Status != subscription.Suspended {
			s.Errorf("the bundle is %s", now.Status)
		}
		s.through(of("ada", end("1", p.ID)))
		s.has()
		if now := s.product(p.ID); now.Status != subscription.Terminated {
			s.Errorf("the bundle is %s", now.Status)
		}
	})
}

func TestThePartsOfABundleAreChosenWithinItsLimits(t *testing.T) {
	each(t, func(s *shop) {
		o := s.through(of("ada", with(add("1", "family"), times(2, add("x", "inner")), add("y", "mobile-m", tmf.Text("msisdn", number(9))))))
		p := s.productsOf(o.ID)
		if len(p) != 1 || len(p[0].RealizingService) != 3 {
			s.Fatalf("products %+v", p)
		}
		o = s.through(of("ada", with(add("1", "family"), add("x", "inner"), add("z", "inner"), add("w", "inner"))))
		if p := s.productsOf(o.ID); len(p[0].RealizingService) != 4 {
			s.Errorf("%d services", len(p[0].RealizingService))
		}
		s.refused("too many of a part", of("ada", with(add("1", "family"), times(4, add("x", "inner")))), 400, "bundleLimit")
		s.refused("a part's quantity of nothing", of("ada", with(add("1", "family"), times(0, add("x", "inner")))), 400, "badQuantity")
		s.refused("a stranger as part", of("ada", with(add("1", "family"), add("x", "mobile-s"))), 400, "notInBundle")
		s.refused("parts of no bundle", of("ada", with(add("1", "mobile-s"), add("x", "inner"))), 400, "notABundle")
		s.refused("a part by itself", of("ada", add("1", "inner")), 400, "notSellable")
	})
}

// One part of a bundle cannot be built: the other is ended again, whichever comes
// first, and nothing was ever billed.
func TestABundleThatIsHalfBuiltIsTakenDown(t *testing.T) {
	for name, failing := range map[string]int{"the first part fails": 0, "the second part fails": 1} {
		t.Run(name, func(t *testing.T) {
			each(t, func(s *shop) {
				s.tryOnce("compensate")
				s.refuse("create " + imsi(failing))
				o := s.ends(s.place(of("ada", add("1", "family"))).ID, order.Failed)
				if got := itemStates(o); !slices.Equal(got, []string{order.Failed}) || len(o.Note) == 0 || !strings.Contains(o.Note[0].Text, "refused") {
					s.Errorf("items %v, notes %+v", got, o.Note)
				}
				s.idle()
				s.has()
				if p := s.productsOf(o.ID)[0]; p.Status != subscription.Aborted {
					s.Errorf("the product is %s", p.Status)
				}
				if n := s.items(); n != 0 {
					s.Errorf("%d billable items of what does not run", n)
				}
				s.read(func(tx *store.Tx) error {
					for _, x := range s.productsOf(o.ID)[0].RealizingService {
						b, err := fulfilment.BuiltOf(tx, x.ID)
						if err != nil || b != nil {
							s.Errorf("service %s stands: %+v, %v", x.ID, b, err)
						}
					}
					return nil
				})
			})
		})
	}
}

// A half built product beside good ones: these stay, and only these are billed.
func TestWhatIsWholeStaysBesideWhatIsHalfBuilt(t *testing.T) {
	each(t, func(s *shop) {
		s.tryOnce("compensate")
		s.refuse("create " + imsi(2))
		o := s.ends(s.place(of("ada", add("1", "mobile-s"), add("2", "family"), add("3", "card"))).ID, order.Partial)
		if got := itemStates(o); !slices.Equal(got, []string{order.Completed, order.Failed, order.Completed}) {
			s.Errorf("items %v", got)
		}
		s.idle()
		p := s.productsOf(o.ID)
		if got := []string{p[0].Status, p[1].Status, p[2].Status}; !slices.Equal(got, []string{subscription.Active, subscription.Aborted, subscription.Active}) {
			s.Errorf("products are %v", got)
		}
		s.has(line(0, 0), line(3, 3))
		if n := s.items(); n != 3 || len(s.billed(p[1].ID)) != 0 {
			s.Errorf("%d billable items, of the broken one %v", n, s.billed(p[1].ID))
		}
	})
}

func TestAProductOfTwoServicesIsLikeABundle(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "duo")
		if len(p.RealizingService) != 2 || p.Status != subscription.Active || !slices.Equal(s.billed(p.ID), []string{"family-month active"}) {
			s.Errorf("product %+v", p)
		}
		s.has(line(0, 0), line(1, 1))
	})
}

func TestAQuantityMakesSoManyProducts(t *testing.T) {
	each(t, func(s *shop) {
		o := s.through(of("ada", times(3, add("1", "mobile-s"))))
		p := s.productsOf(o.ID)
		if len(p) != 3 {
			s.Fatalf("%d products", len(p))
		}
		for i, x := range p {
			if x.Status != subscription.Active || len(x.RealizingService) != 1 || len(s.billed(x.ID)) != 2 {
				s.Errorf("product %d is %s with %d services, billed %v", i, x.Status, len(x.RealizingService), s.billed(x.ID))
			}
		}
		s.has(line(0, 0), line(1, 1), line(2, 2))
		s.tryOnce("compensate")
		s.refuse("create " + imsi(4))
		o = s.ends(s.place(of("ada", times(2, add("1", "mobile-s")))).ID, order.Failed) // an item has no state for partly
		p = s.productsOf(o.ID)
		if got := []string{p[0].Status, p[1].Status}; !slices.Equal(got, []string{subscription.Active, subscription.Aborted}) {
			s.Errorf("products are %v", got)
		}
		for _, n := range []int64{0, -1, 101} {
			s.refused(fmt.Sprintf("quantity %d", n), of("ada", times(n, add("1", "mobile-s"))), 400, "badQuantity")
		}
	})
}

// prices writes prices as "type period amount".
func prices(list []order.OrderPrice) (out []string) {
	for _, p := range list {
		out = append(out, strings.Join(strings.Fields(fmt.Sprint(p.PriceType, " ", p.RecurringChargePeriod, " ", p.Price.DutyFreeAmount)), " "))
	}
	return out
}

func TestAnOrderShowsItsPricesAndTheirSums(t *testing.T) {
	each(t, func(s *shop) {
		o := s.place(of("ada", times(3, add("1", "mobile-s")), add("2", "mobile-m"), add("3", "card")))
		for i, want := range [][]string{{"recurring month 7.99 EUR", "oneTime 9.90 EUR"}, {"recurring month 19.99 EUR", "oneTime 9.90 EUR"}, {"recurring 3 month 5.00 EUR"}} {
			if got := prices(o.ProductOrderItem[i].ItemPrice); !slices.Equal(got, want) {
				s.Errorf("item %d costs %q, want %q", i+1, got, want)
			}
		}
		if got, want := prices(o.OrderTotalPrice), []string{"recurring month 43.96 EUR", "oneTime 39.60 EUR", "recurring 3 month 5.00 EUR"}; !slices.Equal(got, want) {
			s.Errorf("the order costs %q, want %q", got, want)
		}
		s.ends(o.ID, order.Completed)
	})
}

func TestWhoMayBuyWhat(t *testing.T) {
	each(t, func(s *shop) {
		s.refused("a segment", of("ada", add("1", "business")), 400, "notEligible")
		s.refused("a channel", of("ada", add("1", "web")), 400, "notEligible")
		s.refused("a place", of("ada", add("1", "local")), 400, "notEligible")
		s.refused("a condition", of("ada", add("1", "loyal")), 400, "notEligible")
		s.refused("an addition alone", of("ada", add("1", "extra")), 400, "offeringRequired")
		s.refused("rivals", of("ada", add("1", "rival"), add("2", "mobile-s")), 400, "offeringsExclusive")
		s.refused("a draft", of("ada", add("1", "draft")), 400, "notSellable")
		s.refused("nothing", of("ada", add("1", "none")), 400, "unknownOffering")
		s.refused("an unknown customer", of("eve", add("1", "mobile-s")), 400, "unknownCustomer")
		s.refused("nobody", &order.ProductOrder{ProductOrderItem: []order.Item{add("1", "mobile-s")}}, 400, "customerMissing")
		s.has()

		s.sold("bob", "business")
		byWeb := of("ada", add("1", "web"))
		byWeb.Channel = []order.Ref{{ID: "web"}}
		s.through(byWeb)
		here := add("1", "local")
		here.Product.Place = []tmf.Place{{ID: "SE", Role: "use", ReferredType: "GeographicAddress"}}
		s.through(of("ada", here))
		s.through(of("ada", add("1", "loyal"), add("2", "mobile-m")))
		s.sold("ada", "mobile-s")
		s.sold("ada", "extra")
		s.refused("a rival of what she has", of("ada", add("1", "rival")), 400, "offeringsExclusive")
		s.sold("bob", "rival") // who has no Mobile S
	})
}

// What the customer will have counts: a product that ends with the order, or
// becomes another offering, is not in the way any more, and what it becomes is.
func TestCompatibleIsWhatTheCustomerWillHave(t *testing.T) {
	each(t, func(s *shop) {
		small := s.sold("ada", "mobile-s")
		other := s.sold("ada", "mobile-m")
		s.refused("a change into a rival", of("ada", become("1", other.ID, "rival")), 400, "offeringsExclusive")
		s.refused("a change into what she may not have", of("ada", become("1", other.ID, "business")), 400, "notEligible")
		s.refused("a change without what it relies on", of("ada", become("1", other.ID, "loyal")), 400, "notEligible")
		s.through(of("ada", end("1", small.ID), add("2", "rival")))
		s.refused("a change into a rival of what she has", of("ada", become("1", other.ID, "mobile-s")), 400, "offeringsExclusive")
		rival := s.productsOfCustomer("ada", "rival")
		s.through(of("ada", become("1", rival.ID, "mobile-s")))
		if now := s.product(rival.ID); now.Offering() != "mobile-s" {
			s.Errorf("it became %s", now.Offering())
		}
	})
}

func (s *shop) productsOfCustomer(customer, offering string) (found *subscription.Product) {
	s.Helper()
	s.read(func(tx *store.Tx) error {
		all, err := subscription.OfCustomer(tx, customer, subscription.Active)
		for _, p := range all {
			if p.Offering() == offering {
				found = p
			}
		}
		return err
	})
	if found == nil {
		s.Fatalf("%s has no %s", customer, offering)
	}
	return found
}

func TestAnotherOfferingCountsWhenTheNetworkHasConfirmedIt(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		reached, release := s.hold(imsi(0))
		o := s.place(of("ada", become("1", p.ID, "mobile-m", tmf.Text("msisdn", number(6)))))
		reached()
		if now := s.product(p.ID); now.Offering() != "mobile-s" || now.PendingChange == nil || now.PendingChange.ProductOffering.ID != "mobile-m" {
			s.Errorf("before the network has confirmed it the product is %s, pending %+v", now.Offering(), now.PendingChange)
		}
		if got := s.billed(p.ID); !slices.Equal(got, []string{"connection ended", "s-month active"}) {
			s.Errorf("and billed %v", got)
		}
		s.refused("a second change", of("ada", become("1", p.ID, "mobile-s", truth("data", false))), 409, "changePending")
		release()
		s.ends(o.ID, order.Completed)
		if now := s.product(p.ID); now.Offering() != "mobile-m" || now.PendingChange != nil || char(now, "msisdn") != number(6) {
			s.Errorf("the product is %s with %s, pending %+v", now.Offering(), char(now, "msisdn"), now.PendingChange)
		}
		if got := s.billed(p.ID); !slices.Equal(got, []string{"connection ended", "m-month active", "s-month ended"}) {
			s.Errorf("billed %v", got)
		}

		s.tryOnce("compensate")
		s.refuse(imsi(0) + ".msisdn " + number(8))
		o = s.ends(s.place(of("ada", become("1", p.ID, "mobile-s", tmf.Text("msisdn", number(8))))).ID, order.Failed)
		if now := s.product(p.ID); now.Status != subscription.Active || now.Offering() != "mobile-m" || now.PendingChange != nil || char(now, "msisdn") != number(6) {
			s.Errorf("after a change that failed the product is %s %s with %s", now.Status, now.Offering(), char(now, "msisdn"))
		}
		s.has(line(0, 6))
		s.through(of("ada", become("1", p.ID, "mobile-s"))) // nothing for the register to do
		if got := s.billed(p.ID); !slices.Contains(got, "m-month ended") || !slices.Contains(got, "s-month active") {
			s.Errorf("billed %v", got)
		}
	})
}

// What runs in the network must be what is billed: an offering that is realised
// otherwise is not a change of the product.
func TestAChangeThatTheNetworkCouldNotConfirmIsRefused(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		for _, offering := range []string{"card", "duo", "family", "fee", "bare"} {
			s.refused("mobile becomes "+offering, of("ada", become("1", p.ID, offering)), 400, "otherServices")
		}
		both := become("1", p.ID, "mobile-m")
		both.Product.Status = subscription.Suspended
		s.refused("suspended and changed at once", of("ada", both), 400, "twoChanges")
		s.refused("suspended and changed at once", of("ada", modify("1", p.ID, subscription.Suspended, truth("data", false))), 400, "twoChanges")
		s.refused("a state that no order asks for", of("ada", modify("1", p.ID, subscription.Terminated)), 400, "badStatus")
		s.refused("an unknown characteristic", of("ada", modify("1", p.ID, "", tmf.Text("colour", "red"))), 400, "unknownCharacteristic")
		if now := s.product(p.ID); now.PendingChange != nil || now.Status != subscription.Active {
			s.Errorf("the product is %s, pending %+v", now.Status, now.PendingChange)
		}
		s.through(of("ada", modify("1", p.ID, subscription.Active, truth("data", false)))) // it runs already: only the change is left
		if now := s.product(p.ID); char(now, "data") != "false" || now.PendingChange != nil {
			s.Errorf("data %s, pending %+v", char(now, "data"), now.PendingChange)
		}
	})
}

func TestNoChangeDoesNothing(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		same := order.Item{ID: "1", Action: order.NoChange, Product: &order.Product{ID: p.ID}}
		o := s.place(of("ada", same))
		if o.State != order.Completed || itemStates(o)[0] != order.Completed || o.CompletionDate.IsZero() {
			s.Errorf("nothing to do is %s at %s", o.State, o.CompletionDate)
		}
		add := add("2", "mobile-s")
		o = s.through(of("ada", same, after(add, "1")))
		if !slices.Equal(itemStates(o), []string{order.Completed, order.Completed}) {
			s.Errorf("items %v", itemStates(o))
		}
		s.has(line(0, 0), line(1, 1))
	})
}

func TestTheCustomerIsTheOneWhoseProductItIs(t *testing.T) {
	each(t, func(s *shop) {
		p, q := s.sold("ada", "mobile-s"), s.sold("bob", "mobile-s")
		o := s.through(&order.ProductOrder{ProductOrderItem: []order.Item{modify("1", p.ID, "", truth("data", false))}})
		if len(o.RelatedParty) != 1 || o.RelatedParty[0].ID != "ada" || o.RelatedParty[0].Role != "customer" {
			s.Errorf("related parties %+v", o.RelatedParty)
		}
		if found := *do[[]*order.ProductOrder](s, http.MethodGet, orders+"?relatedParty.id=ada&state=completed", nil); len(found) != 2 {
			s.Errorf("ada has %d orders", len(found))
		}
		for _, it := range []order.Item{modify("1", q.ID, subscription.Suspended), become("1", q.ID, "mobile-m"), end("1", q.ID)} {
			s.refused("another customer's product", of("ada", it), 404, "notFound")
		}
		s.refused("products of two customers", &order.ProductOrder{ProductOrderItem: []order.Item{end("1", p.ID), end("2", q.ID)}}, 404, "notFound")
		s.refused("a product that is not there", of("ada", end("1", "nothing")), 404, "notFound")
		for _, x := range []string{p.ID, q.ID} {
			if now := s.product(x); now.Status != subscription.Active {
				s.Errorf("product %s is %s", x, now.Status)
			}
		}
	})
}

func TestWhatTheNetworkCouldNeverConfirmIsNotSold(t *testing.T) {
	each(t, func(s *shop) {
		s.refused("a specification without services", of("ada", add("1", "bare")), 409, "notRealisable")
		s.refused("no specification", of("ada", add("1", "fee")), 409, "notRealisable")
		s.refused("one good item beside it", of("ada", add("1", "mobile-s"), add("2", "bare")), 409, "notRealisable")
		var n int64
		s.read(func(tx *store.Tx) error {
			return tx.Row("SELECT count(*) FROM subscription_product WHERE tenant = $1").Scan(&n)
		})
		if n != 0 {
			s.Errorf("%d products are there", n)
		}
	})
}

func TestOrdersThatMakeNoSenseAreRefused(t *testing.T) {
	each(t, func(s *shop) {
		p := s.sold("ada", "mobile-s")
		done := add("1", "mobile-s")
		done.State = order.Completed
		made := add("1", "mobile-s")
		made.Product.ID = p.ID
		s.refused("two items of one id", of("ada", add("1", "mobile-s"), add("1", "mobile-s")), 400, "duplicateItem")
		s.refused("an item that is done", of("ada", done), 400, "notSettable")
		s.refused("a new product that exists", of("ada", made), 400, "productExists")
		s.refused("no offering", of("ada", order.Item{ID: "1", Action: order.Add}), 400, "mandatoryAttributeMissing")
		s.refused("no product", of("ada", order.Item{ID: "1", Action: order.Delete}), 400, "mandatoryAttributeMissing")
		s.refused("an item that is not there", of("ada", after(add("1", "mobile-s"), "2")), 400, "unknownItem")
		s.refused("items in a circle", of("ada", after(add("1", "mobile-s"), "2"), after(add("2", "mobile-s"), "1")), 400, "cyclicItems")
		s.refused("the same product twice", of("ada", modify("1", p.ID, subscription.Suspended), end("2", p.ID)), 409, "serviceBusy")
		s.refused("a characteristic no part of a bundle has", of("ada", add("1", "family", tmf.Text("colour", "red"))), 400, "unknownCharacteristic")
		s.refused("no items", of("ada"), 400, "mandatoryAttributeMissing")
		s.refused("a number in use", of("ada", add("1", "mobile-s", tmf.Text("msisdn", number(0)))), 409, "numberNotAvailable")
		full := of("ada", add("1", "mobile-s"))
		full.State = order.Completed
		s.refused("an order that is done", full, 400, "notSettable")
		if now := s.product(p.ID); now.Status != subscription.Active {
			s.Errorf("the product is %s", now.Status)
		}
	})
}

func TestItemsWaitForThoseTheyRelyOn(t *testing.T) {
	each(t, func(s *shop) {
		s.tryOnce("compensate")
		s.refuse("create " + imsi(0))
		o := s.ends(s.place(of("ada", add("1", "mobile-s"), after(add("2", "family"), "1", "1"))).ID, order.Failed)
		if got := itemStates(o); !slices.Equal(got, []string{order.Failed, order.Failed}) {
			s.Errorf("items %v", got)
		}
		s.has()
		s.reg.SetFaults(nil)
		s.through(of("ada", add("1", "mobile-s"), after(add("2", "family"), "1", "1")))
		s.has(line(0, 0), line(1, 1), line(2, 2))
	})
}

func (s *shop) cancel(id string) *order.CancelProductOrder {
	s.Helper()
	return do[order.CancelProductOrder](s, http.MethodPost, cancels, &order.CancelProductOrder{ProductOrder: &order.Ref{ID: id}, CancellationReason: "changed my mind"})
}

func (s *shop) cancelled(task *order.CancelProductOrder, state string) {
	s.Helper()
	if now := do[order.CancelProductOrder](s, http.MethodGet, cancels+"/"+task.ID, nil); now.State != state || now.EffectiveCancellationDate.IsZero() {
		s.Errorf("the cancellation is %s since %s, want %s", now.State, now.EffectiveCancellationDate, state)
	}
}

func TestCancelTakesBackWhatIsNotDone(t *testing.T) {
	each(t, func(s *shop) {
		later := of("ada", add("1", "mobile-s"))
		later.RequestedStartDate = s.db.Now().Add(time.Hour)
		o := s.place(later)
		if o.State != order.Acknowledged || itemStates(o)[0] != order.Acknowledged {
			s.Errorf("an order for later is %s %v", o.State, itemStates(o))
		}
		if a := s.send(http.MethodDelete, orders+"/"+o.ID, nil); a.Status != http.StatusConflict {
			s.Errorf("an open order was deleted: %d %s", a.Status, a.Body)
		}
		task := s.cancel(o.ID)
		o = s.ends(o.ID, order.Cancelled)
		s.cancelled(task, "done")
		if p := s.productsOf(o.ID)[0]; p.Status != subscription.Cancelled || o.CancellationReason != "changed my mind" || o.CancellationDate.IsZero() {
			s.Errorf("the product is %s, the order cancelled at %s", p.Status, o.CancellationDate)
		}
		do[struct{}](s, http.MethodDelete, orders+"/"+o.ID, nil)

		reached, release := s.hold(imsi(0))
		o = s.place(of("ada", add("1", "mobile-s")))
		reached()
		task, again := s.cancel(o.ID), s.cancel(o.ID)
		if now := s.order(o.ID); now.State != order.PendingCancellation || itemStates(now)[0] != order.PendingCancellation {
			s.Errorf("the order is %s %v", now.State, itemStates(now))
		}
		release()
		s.ends(o.ID, order.Cancelled)
		s.cancelled(task, "done")
		s.cancelled(again, "done")
		s.has()
		if n := s.items(); n != 0 {
			s.Errorf("%d billable items", n)
		}

		o = s.through(of("ada", add("1", "mobile-s")))
		s.cancelled(s.cancel(o.ID), "terminatedWithError")
		p := s.productsOf(o.ID)[0]
		reached, release = s.hold(imsi(0))
		o = s.place(of("ada", end("1", p.ID)))
		if now := s.product(p.ID); now.Status != subscription.PendingTerminate {
			s.Errorf("the product is %s", now.Status)
		}
		reached()
		task = s.cancel(o.ID)
		release()
		s.ends(o.ID, order.Cancelled)
		s.cancelled(task, "done")
		if now := s.product(p.ID); now.Status != subscription.Active || !slices.Contains(s.billed(p.ID), "s-month active") {
			s.Errorf("the product is %s, billed %v", now.Status, s.billed(p.ID))
		}
		s.has(line(0, 0))
	})
}

// A bundle is cancelled when one of its parts runs already: that part is ended too.
func TestCancelOfABundleTakesBackThePartThatRuns(t *testing.T) {
	each(t, func(s *shop) {
		reached, release := s.hold(imsi(1))
		o := s.place(of("ada", add("1", "family")))
		reached()
		s.await(func() string {
			if p := s.productsOf(o.ID)[0]; p.RealizingService[0].State != subscription.Active {
				return "the first part does not run yet"
			}
			return ""
		})
		task := s.cancel(o.ID)
		release()
		o = s.ends(o.ID, order.Cancelled)
		s.cancelled(task, "done")
		if p := s.productsOf(o.ID)[0]; p.Status != subscription.Cancelled || s.items() != 0 {
			s.Errorf("the product is %s, with %d billable items", p.Status, s.items())
		}
		s.has()

		reached, release = s.hold(imsi(1)) // the second item; the first runs and stays
		o = s.place(of("ada", add("1", "mobile-s"), after(add("2", "mobile-s"), "1")))
		reached()
		s.cancel(o.ID)
		release()
		o = s.ends(o.ID, order.Partial)
		if got := itemStates(o); !slices.Equal(got, []string{order.Completed, order.Cancelled}) {
			s.Errorf("items %v", got)
		}
		s.has(line(0, 0))
	})
}

// What waits for a person in the network says so on the product order, once.
func TestAFalloutIsSeenOnTheOrder(t *testing.T) {
	each(t, func(s *shop) {
		s.tryOnce("fallout")
		s.refuse("subscriber.create")
		o := s.place(of("ada", add("1", "mobile-s")))
		open := func(n int64) (f *fulfilment.Fallout) {
			s.Helper()
			s.await(func() string {
				found := *do[[]*fulfilment.Fallout](s, http.MethodGet, fallouts+"?state=open", nil)
				if len(found) != 1 || found[0].Attempts != n {
					return fmt.Sprintf("fallouts %+v", found)
				}
				f = found[0]
				return ""
			})
			s.idle()
			return f
		}
		f := open(1)
		if f.External.Order != o.ID || f.External.Item != "1" || f.External.Product == "" {
			s.Errorf("the fallout is for %+v", f.External)
		}
		do[map[string]any](s, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "retry", Fallout: []string{f.ID}})
		f = open(2)
		now := s.order(o.ID)
		if now.State != order.InProgress || len(now.Note) != 1 || !strings.Contains(now.Note[0].Text, "Out of order") || s.items() != 0 {
			s.Errorf("the order is %s with notes %+v and %d billable items", now.State, now.Note, s.items())
		}
		s.reg.SetFaults(nil)
		do[map[string]any](s, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "retry", Fallout: []string{f.ID}})
		s.ends(o.ID, order.Completed)
		s.has(line(0, 0))
	})
}

func TestProgressNamesTheLinesOfEveryOrder(t *testing.T) {
	each(t, func(s *shop) {
		a := s.through(of("ada", times(2, add("1", "mobile-s"))))
		b := s.place(of("ada", order.Item{ID: "1", Action: order.NoChange}))
		var all []order.Progress
		s.ok(order.EachProgress(s.Context(), s.db, store.Scope{Tenant: tenant, Actor: "test"}, func(p order.Progress) error {
			all = append(all, p)
			return nil
		}))
		if len(all) != 2 || all[0].Order != a.ID || len(all[0].Lines) != 2 || !all[0].Ended() || all[1].Order != b.ID || len(all[1].Lines) != 0 {
			s.Fatalf("progress %+v", all)
		}
		for _, l := range all[0].Lines {
			if l.State != "completed" || l.Product == "" || l.ServiceOrder == "" {
				s.Errorf("line %+v", l)
			}
		}
	})
}

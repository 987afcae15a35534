package order_test

import (
	"net/http"
	"slices"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// relying makes an item's product an option of a product.
func relying(it order.Item, on string) order.Item {
	it.Product.Relationship = []subscription.Relationship{{RelationshipType: subscription.ReliesOn, Product: &subscription.RefOrValue{ID: on}}}
	return it
}

// option sells an offering as an option of a product.
func (s *shop) option(offering, on string) *subscription.Product {
	s.Helper()
	return s.productsOf(s.through(of("ada", relying(add("1", offering), on))).ID)[0]
}

// A line takes its options with it, by items of the same order; nothing is
// billed after that.
func TestTheEndOfALineIsThatOfItsOptions(t *testing.T) {
	each(t, func(s *shop) {
		line, other := s.sold("ada", "mobile-s"), s.sold("ada", "mobile-m")
		pack, stays := s.option("card", line.ID), s.option("card", other.ID)
		booster := s.option("card", line.ID)
		s.refused("an option of an option", of("ada", relying(add("1", "card"), pack.ID)), http.StatusBadRequest, "optionOfOption")
		why := func(reason string) order.Item {
			it := end("1", line.ID)
			it.Product.Characteristic = []tmf.Characteristic{tmf.Text(subscription.TerminationReason, reason)}
			return it
		}
		s.refused("a reason that nobody knows", of("ada", why("moon")), http.StatusBadRequest, "unknownReason")
		placed := s.place(of("ada", why(subscription.EndedByFault)))
		items := placed.ProductOrderItem
		if len(items) != 3 || items[1].ID != "1-1" || items[2].ID != "1-2" || items[1].Product.ID != pack.ID || items[2].Product.ID != booster.ID {
			s.Fatalf("items %+v", items)
		}
		for _, it := range items[1:] {
			if it.Action != order.Delete || len(it.Relationship) != 1 || it.Relationship[0].ID != "1" {
				s.Errorf("item %+v", it)
			}
		}
		s.ends(placed.ID, order.Completed)
		for _, p := range []*subscription.Product{line, pack, booster} {
			if now := s.product(p.ID); now.Status != subscription.Terminated || now.TerminationReason != subscription.EndedByFault || slices.ContainsFunc(s.billed(p.ID), func(b string) bool { return b == "card-month active" || b == "s-month active" }) {
				s.Errorf("%s ended as %s, billed %v", p.Name, now.Status, s.billed(p.ID))
			}
		}
		if now := s.product(stays.ID); now.Status != subscription.Active || !slices.Equal(s.billed(stays.ID), []string{"card-month active"}) {
			s.Errorf("the option of another line is %s, billed %v", now.Status, s.billed(stays.ID))
		}
		s.refused("an option of what has ended", of("ada", relying(add("1", "card"), line.ID)), http.StatusConflict, "productEnded")
	})
}

// What the client orders to end himself is not ended twice; an option that is being
// built must be waited for.
func TestOptionsThatAnOrderNamesItself(t *testing.T) {
	each(t, func(s *shop) {
		line := s.sold("ada", "mobile-s")
		pack := s.option("card", line.ID)
		s.refused("an option of what the order ends", of("ada", relying(add("1", "card"), line.ID), end("2", line.ID)), http.StatusBadRequest, "reliesOnEnded")
		reached, release := s.hold(imsi(2))
		late := s.place(of("ada", relying(add("1", "card"), line.ID)))
		reached()
		s.refused("an option under way", of("ada", end("1", line.ID)), http.StatusConflict, "optionUnderWay")
		release()
		s.ends(late.ID, order.Completed)
		placed := s.place(of("ada", end("1", pack.ID), end("2", line.ID)))
		if len(placed.ProductOrderItem) != 3 || placed.ProductOrderItem[2].ID != "2-1" {
			s.Fatalf("items %+v", placed.ProductOrderItem)
		}
		s.refused("an option of what is being ended", of("ada", relying(add("1", "card"), line.ID)), http.StatusConflict, "productEnded")
		s.ends(placed.ID, order.Completed)
		s.has()
	})
}

// A line that the register does not let go keeps its options.
func TestALineThatCannotBeEndedKeepsItsOptions(t *testing.T) {
	each(t, func(s *shop) {
		line := s.sold("ada", "mobile-s")
		pack := s.option("card", line.ID)
		s.tryOnce("compensate")
		s.refuse("delete")
		placed := s.place(of("ada", end("1", line.ID)))
		s.ends(placed.ID, order.Failed)
		if now := s.product(pack.ID); now.Status != subscription.Active || !slices.Equal(s.billed(pack.ID), []string{"card-month active"}) {
			s.Errorf("the option is %s, billed %v", now.Status, s.billed(pack.ID))
		}
	})
}

// While a line is barred its options cannot be used: they rest as their own prices say,
// also one that came in that time, and go on with the line.
func TestOptionsRestWithTheirLine(t *testing.T) {
	each(t, func(s *shop) {
		s.sell("rests", "data-card", eur("rests-month", "3", ""))
		s.sell("paid-for", "data-card", eur("paid-month", "4", `,"chargeWhileSuspended":"full"`))
		line := s.sold("ada", "mobile-s")
		rests, paid := s.option("rests", line.ID), s.option("paid-for", line.ID)
		s.through(of("ada", modify("1", line.ID, subscription.Suspended)))
		late := s.option("rests", line.ID)
		s.through(of("ada", modify("1", paid.ID, subscription.Suspended)))
		s.idle()
		for p, want := range map[string]string{line.ID: "s-month suspended", rests.ID: "rests-month suspended", paid.ID: "paid-month suspended", late.ID: "rests-month suspended"} {
			if got := s.billed(p); !slices.Contains(got, want) {
				s.Errorf("billed %v, want %s", got, want)
			}
		}
		s.read(func(tx *store.Tx) error {
			items, err := billing.ItemsOf(tx, paid.ID)
			if err != nil || len(items) != 1 || items[0].ChargeWhileSuspended != billing.ChargeFull || len(items[0].Suspension) != 1 {
				s.Errorf("%v %+v", err, items)
			}
			return err
		})
		s.through(of("ada", modify("1", line.ID, subscription.Active)))
		for p, want := range map[string]string{line.ID: "s-month active", rests.ID: "rests-month active", paid.ID: "paid-month suspended", late.ID: "rests-month active"} {
			if got := s.billed(p); !slices.Contains(got, want) {
				s.Errorf("after the bar was lifted billed %v, want %s", got, want)
			}
		}
		s.through(of("ada", modify("1", paid.ID, subscription.Active)))
		if got := s.billed(paid.ID); !slices.Equal(got, []string{"paid-month active"}) {
			s.Errorf("billed %v", got)
		}
	})
}

package order_test

import (
	"net/http"
	"slices"
	"testing"

	"tandem/bss/order"
	"tandem/bss/subscription"
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

// A line takes its options with it, and theirs, by items of the same order; nothing is
// billed after that.
func TestTheEndOfALineIsThatOfItsOptions(t *testing.T) {
	each(t, func(s *shop) {
		line, other := s.sold("ada", "mobile-s"), s.sold("ada", "mobile-m")
		pack, stays := s.option("card", line.ID), s.option("card", other.ID)
		booster := s.option("card", pack.ID)
		placed := s.place(of("ada", end("1", line.ID)))
		if items := placed.ProductOrderItem; len(items) != 3 || items[1].ID != "1-1" || items[1].Action != order.Delete || items[1].Product.ID != pack.ID ||
			items[1].Relationship[0].ID != "1" || items[2].Product.ID != booster.ID || items[2].Relationship[0].ID != "1-1" {
			s.Fatalf("items %+v", items)
		}
		s.ends(placed.ID, order.Completed)
		for _, p := range []*subscription.Product{line, pack, booster} {
			if now := s.product(p.ID); now.Status != subscription.Terminated || slices.ContainsFunc(s.billed(p.ID), func(b string) bool { return b == "card-month active" || b == "s-month active" }) {
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

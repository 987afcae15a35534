package charging_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// eachShop is each, in a shop with some examples of docs/tariffs.md on the shelf.
func eachShop(t *testing.T, titles []string, f func(s *shop)) {
	t.Helper()
	each(t, func(w *world) {
		s := open(w, time.Date(2027, 1, 11, 9, 0, 0, 0, berlin))
		for _, e := range examples(t) {
			for _, title := range titles {
				if e.title == title {
					s.publish(e)
				}
			}
		}
		f(s)
	})
}

// offers puts an offering with an allowance of 10 MB a week for 2.50, half of what is
// left kept, on the shelf, with what else its prices and the allowance say.
func (s *shop) offers(id, prices, more string) {
	s.Helper()
	for _, x := range [][2]string{
		{"productOfferingPrice", `{"id":"` + id + `-10","name":"10 MB a week","lifecycleStatus":"Active","priceType":"allowance","recurringChargePeriodType":"week",
			"unitOfMeasure":{"amount":10,"units":"MB"},"price":{"unit":"EUR","value":2.5},
			"tandem:rating":{"classes":["data"],"priority":10,"grace":"P3D","rollover":{"percent":50,"maxCycles":1}` + more + `}}`},
		{"productOffering", `{"id":"` + id + `","name":"` + id + `","lifecycleStatus":"Launched","productOfferingPrice":[` + prices + `{"id":"` + id + `-10"}],
			"tandem:rating":{"zone":"Europe/Berlin"}}`},
	} {
		if a := s.do("mno/user:shop", "POST", catalogue+x[0], x[1]); a.status != 201 {
			s.Fatalf("%s: %d %s", x[1], a.status, a.body)
		}
	}
}

// hears tells the room a fact, and waits until what it orders is carried out.
func (s *shop) hears(tell func(tx *store.Tx) error) {
	s.Helper()
	if err := s.db.Write(s.Context(), store.Scope{Tenant: "mno", Actor: "test"}, tell); err != nil {
		s.Fatal(err)
	}
	s.settles()
}

func (s *shop) settles() {
	s.Helper()
	s.await("all commands to be carried out", func() bool {
		return s.count("mno", "SELECT count(*) FROM charging_command WHERE tenant = $1 AND state = 'pending'") == 0
	})
}

// weeks lets time pass and does what it brings.
func (s *shop) weeks(n int) {
	s.Helper()
	for range n {
		s.pass(7*24*time.Hour + time.Minute)
		s.room.Engine.Sweep()
	}
}

// opts makes an option of the line run.
func (c *customer) opts(offering string) (product string) {
	c.Helper()
	product = offering + "-of-" + c.product
	c.hears(func(tx *store.Tx) error {
		p := &subscription.Product{Status: subscription.Created, ProductOffering: &subscription.Ref{ID: offering},
			ProductRelationship: []subscription.Relationship{{RelationshipType: charging.ReliesOn, Product: &subscription.RefOrValue{ID: c.product}}}}
		p.ID = product
		if err := subscription.Create(tx, p); err != nil {
			return err
		}
		return c.room.Open(tx, fact.ProductActive{Product: product, Offering: offering, Customer: "cust", Service: "s", At: c.now()})
	})
	return product
}

func (s *shop) end(product string) {
	s.Helper()
	s.hears(func(tx *store.Tx) error {
		return s.room.End(tx, fact.ProductTerminated{Product: product, Customer: "cust", Service: "s", At: s.now()})
	})
}

func (c *customer) changes(offering string) {
	c.Helper()
	c.hears(func(tx *store.Tx) error { return c.room.Change(tx, c.changed(offering)) })
}

func (c *customer) changed(offering string) fact.ProductChanged {
	return fact.ProductChanged{Product: c.product, Offering: offering, Customer: "cust", Service: "s", At: c.now()}
}

// An option that is paid by the week is paid no more when it has ended, and what was kept
// of it is gone; another option of the same offering goes on.
func TestAnOptionThatEndedIsNotPaidAgain(t *testing.T) {
	eachShop(t, nil, func(s *shop) {
		s.offers("week", "", "")
		c := s.sold("prepaid", "")
		other := s.sold("prepaid", c.product)
		c.pays("15")
		option, kept := c.opts("week"), other.opts("week")
		c.wants("what it gives", c.has(2), int64(10*mb))
		c.wants("what the other gives", c.has(3), int64(10*mb))
		s.weeks(1)
		c.wants("what it gives again", c.has(2), int64(10*mb))
		c.wants("the balance", c.has(1), int64(5*eur))
		c.wants("what was kept", c.has(5)+c.has(4), int64(10*mb))
		s.end(option)
		c.wants("what is left of it", c.has(2), int64(-1))
		c.look(func(a *core.Account) { c.wants("buckets", len(a.Buckets), 3) })
		s.weeks(1)
		c.wants("the balance a week later", c.has(1), int64(5*eur/2))
		s.end(kept)
		s.weeks(3)
		c.wants("the balance in the end", c.has(1), int64(5*eur/2))
		c.look(func(a *core.Account) { c.wants("buckets in the end", len(a.Buckets), 1) })
	})
}

// An option ends although what it gives was never paid.
func TestAnOptionThatWasNeverPaidEnds(t *testing.T) {
	eachShop(t, nil, func(s *shop) {
		s.offers("week", "", "")
		c := s.sold("prepaid", "")
		option := c.opts("week")
		c.wants("unpaid", c.has(2), int64(0))
		s.end(option)
		c.pays("10")
		s.weeks(1)
		c.wants("the balance", c.has(1), int64(10*eur))
	})
}

// Who has left pays for nothing more: not for what his tariff gave, not for his options,
// and nobody who shares his account does.
func TestALineThatEndedPaysForNothing(t *testing.T) {
	eachShop(t, []string{"Paid renewal"}, func(s *shop) {
		s.offers("week", "", "")
		parent := s.sold("prepaid", "")
		parent.pays("15")
		child := s.sold("paid", parent.product)
		child.opts("week")
		parent.wants("the balance", parent.has(1), int64(10*eur))
		s.weeks(1)
		parent.wants("the balance a week later", parent.has(1), int64(5*eur))
		s.end(child.product)
		s.weeks(3)
		parent.wants("the balance when the child has left", parent.has(1), int64(5*eur))
		parent.look(func(a *core.Account) { parent.wants("buckets", len(a.Buckets), 1) })
	})
}

// An option of a line that has ended meanwhile gives nothing, and takes nothing.
func TestAnOptionOfALineThatEnded(t *testing.T) {
	eachShop(t, nil, func(s *shop) {
		s.offers("week", "", "")
		parent := s.sold("prepaid", "")
		parent.pays("10")
		child := s.sold("prepaid", parent.product)
		s.end(child.product)
		child.opts("week")
		parent.wants("the balance", parent.has(1), int64(10*eur))
		parent.look(func(a *core.Account) { parent.wants("buckets", len(a.Buckets), 1) })
	})
}

// What all lines share is paid as long as one has the tariff that brings it.
func TestWhatIsSharedGoesWithTheLastLine(t *testing.T) {
	eachShop(t, nil, func(s *shop) {
		s.offers("club", `{"id":"data"},`, `,"shared":true`)
		parent := s.sold("club", "")
		child := s.sold("club", parent.product)
		friend := s.sold("prepaid", parent.product)
		parent.pays("10")
		parent.wants("the balance", parent.has(1), int64(15*eur/2))
		s.end(parent.product)
		s.weeks(1)
		child.wants("the balance when the first has left", child.has(1), int64(5*eur))
		child.wants("what the others share", child.has(2), int64(10*mb))
		s.end(child.product)
		s.weeks(3)
		friend.wants("the balance in the end", friend.has(1), int64(5*eur))
		friend.look(func(a *core.Account) { friend.wants("buckets", len(a.Buckets), 1) })
	})
}

// Who changes to another tariff of a family brings what it shares; what the old one shared
// stays as long as another line has it.
func TestAFamilyChangesItsTariff(t *testing.T) {
	eachShop(t, []string{"Families"}, func(s *shop) {
		for _, x := range [][2]string{
			{"productOfferingPrice", `{"id":"clan-30","name":"30 MB for all","lifecycleStatus":"Active","priceType":"allowance","recurringChargePeriodType":"month",
				"unitOfMeasure":{"amount":30,"units":"MB"},"tandem:rating":{"classes":["data"],"priority":10,"shared":true}}`},
			{"productOffering", `{"id":"clan","name":"Clan","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"family-data"},{"id":"clan-30"}],"tandem:rating":{"zone":"Europe/Berlin"}}`},
		} {
			if a := s.do("mno/user:shop", "POST", catalogue+x[0], x[1]); a.status != 201 {
				s.Fatalf("%s: %d %s", x[1], a.status, a.body)
			}
		}
		parent := s.sold("family", "")
		child := s.sold("family", parent.product)
		parent.wants("what they share", parent.has(2), int64(20*mb))
		parent.changes("clan")
		parent.wants("what the child's tariff shares", parent.has(2), int64(20*mb))
		parent.wants("what the new one shares", parent.has(3), int64(30*mb))
		child.changes("clan")
		child.wants("what nobody's tariff shares", child.has(2), int64(-1))
		child.wants("what they share now", child.has(3), int64(30*mb))
		child.look(func(a *core.Account) { child.wants("buckets", len(a.Buckets), 2) })
		parent.changes("prepaid")
		child.wants("with one line", child.has(3), int64(30*mb))
		child.changes("prepaid")
		child.look(func(a *core.Account) { child.wants("buckets in the end", len(a.Buckets), 1) })
	})
}

// A limit holds again for who comes back to the tariff that has it, and has counted on; what
// a customer has set himself is not set anew by a line that joins.
func TestALimitIsBackWithItsTariff(t *testing.T) {
	eachShop(t, []string{"Limits"}, func(s *shop) {
		c := s.sold("limits", "")
		c.pays("10")
		for range 3 {
			c.wants("a text", c.texts(), credit.Success)
		}
		c.wants("the fourth", c.texts(), credit.LimitReached)
		c.changes("prepaid")
		c.wants("where there is no limit", c.texts(), credit.Success)
		c.changes("limits")
		c.wants("back where there is one", c.texts(), credit.LimitReached)
		s.pass(24 * time.Hour)
		for range 3 {
			c.wants("a text of the next day", c.texts(), credit.Success)
		}
		c.wants("the fourth of the next day", c.texts(), credit.LimitReached)
		c.sets("limitChange", `"limit":"A day","amount":{"amount":0,"units":"EUR"}`, "completed")
		s.sold("limits", c.product)
		c.wants("without a limit of his own", c.texts(), credit.Success)
	})
}

// A change of a limit that comes after the line has left the tariff fails, and limits
// nobody.
func TestALimitOfATariffThatIsLeftCannotBeSet(t *testing.T) {
	eachShop(t, []string{"Limits"}, func(s *shop) {
		c := s.sold("limits", "")
		c.pays("10")
		change := &charging.LimitChange{Product: &tmf.Ref{ID: c.product}, Limit: "Texts", Amount: &tmf.Quantity{Amount: jsontext.Value("1"), Units: "events"}}
		s.hears(func(tx *store.Tx) error {
			if err := c.room.Change(tx, c.changed("prepaid")); err != nil {
				return err
			}
			return charging.LimitChanges.OnPost(tx, change)
		})
		s.await("the change to end", func() bool { return c.get(own+"limitChange/"+change.ID).text("status") != "created" })
		if a := c.get(own + "limitChange/" + change.ID); a.text("status") != "failed" || !strings.Contains(a.text("statusReason"), "no longer") {
			s.Errorf("%s", a.body)
		}
		for range 3 {
			c.wants("a text", c.texts(), credit.Success)
		}
	})
}

// A node that does not decide for an account tells the same statuses as the one that does:
// those of the tariff the line has.
func TestStatusesAreTheSameOnAllNodes(t *testing.T) {
	eachShop(t, []string{"Fair use"}, func(s *shop) {
		for _, x := range [][2]string{
			{"productOfferingPrice", `{"id":"fast-flat","name":"Flat","lifecycleStatus":"Active","priceType":"allowance","recurringChargePeriodType":"month","unitOfMeasure":{"amount":1,"units":"TB"},
				"tandem:rating":{"classes":["data"],"priority":10,"fairUse":{"counter":"data","normal":"fast","units":5000000,"status":"crawling"}}}`},
			{"productOffering", `{"id":"fast","name":"Fast","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"fair-data"},{"id":"fast-flat"}],"tandem:rating":{"zone":"Europe/Berlin"}}`},
		} {
			if a := s.do("mno/user:shop", "POST", catalogue+x[0], x[1]); a.status != 201 {
				s.Fatalf("%s: %d %s", x[1], a.status, a.body)
			}
		}
		c := s.sold("fair", "")
		mate := s.sold("fair", c.product)
		c.uses(21*mb, 0, 0)
		c.changes("fast")
		far := charging.New(charging.Config{DB: s.db, Journal: s.journal, Holder: tmf.NewID(), Address: "there", Lease: time.Second, PINKey: []byte("a key for tests"), Clock: s.now,
			Tenants: s.room.Tenants, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err := far.Start(s.Context()); err != nil {
			s.Fatal(err)
		}
		defer func() {
			if err := far.Stop(s.Context()); err != nil {
				s.Error(err)
			}
		}()
		if held := far.Engine.Held().Len(); held != 0 {
			s.Fatalf("the other node has %d shards", held)
		}
		told := func(r *charging.Room, x *customer) string {
			got, unknown, err := r.PolicyStatuses(s.Context(), []credit.Subscriber{{Type: credit.E164, ID: []byte(x.number)}}, nil)
			if err != nil || len(unknown) > 0 {
				s.Fatal(unknown, err)
			}
			return "data " + got["data"].Current + ", spending " + got["spending"].Current
		}
		both := func(x *customer, want string) {
			s.Helper()
			if got := told(s.room, x); got != want {
				s.Errorf("%s where it is decided: %s, not %s", x.product, got, want)
			}
			s.await("the other node to tell "+want+" of "+x.product, func() bool { return told(far, x) == want })
		}
		both(c, "data fast, spending ")
		both(mate, "data full, spending normal")
		c.uses(6*mb, 0, 0)
		both(c, "data crawling, spending ")
		both(mate, "data full, spending normal")
	})
}

// Of the brand counts what was said last: a change of a price, or of something else in an
// offering, says nothing of it again.
func TestAPriceSaysNothingOfTheBrand(t *testing.T) {
	eachShop(t, []string{"The brand"}, func(s *shop) {
		c := s.sold("brand", "")
		c.pays("5")
		c.wants("at home", c.texts(), credit.Success)
		for _, x := range [][2]string{
			{"productOfferingPrice", `{"id":"moved-text","name":"Text","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":0.1},"unitOfMeasure":{"amount":1,"units":"message"},
				"tandem:rating":{"match":{"service":"sms","network":"home"},"class":"sms"}}`},
			{"productOffering", `{"id":"moved","name":"Moved","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"moved-text"}],
				"tandem:rating":{"zone":"Europe/Berlin","networks":[{"name":"home","codes":["26201"]},{"name":"row","codes":["*"]}]},"tandem:charging":{"home":["26201"]}}`},
		} {
			if a := s.do("mno/user:shop", "POST", catalogue+x[0], x[1]); a.status != 201 {
				s.Fatalf("%s: %d %s", x[1], a.status, a.body)
			}
		}
		patch := func(path, body string) {
			s.Helper()
			if a := s.do("mno/user:shop", "PATCH", catalogue+path, body); a.status != 200 {
				s.Fatalf("%s: %d %s", body, a.status, a.body)
			}
		}
		c.wants("where the brand has moved", c.texts(), credit.RatingFailed)
		patch("productOfferingPrice/brand-text", `{"price":{"unit":"EUR","value":0.2}}`)
		c.wants("after a change of a price", c.texts(), credit.RatingFailed)
		patch("productOffering/brand", `{"description":"As it was"}`)
		c.wants("after a change of something else", c.texts(), credit.RatingFailed)
		s.sold("brand", "")
		c.wants("after it was sold again", c.texts(), credit.RatingFailed)
		patch("productOffering/brand", `{"tandem:charging":{"home":["24001"]}}`)
		c.wants("after it was said anew", c.texts(), credit.Success)
		patch("productOffering/moved", `{"tandem:charging":{"home":["26201","26202"]}}`)
		c.wants("after the other was", c.texts(), credit.RatingFailed)
	})
}

// Limits of what is sold beside a tariff would be nobody's: the launch says so.
func TestAPackHasNoLimits(t *testing.T) {
	each(t, func(w *world) {
		s := &shop{world: w}
		s.offers("week", "", "")
		for body, want := range map[string]string{
			`"memberCap":8000000,"shared":true`:                                            "memberCap and fairUse stand in the tariff of the line",
			`"fairUse":{"counter":"data","normal":"full","units":5000000,"status":"slow"}`: "memberCap and fairUse stand in the tariff of the line",
		} {
			s.shelf("productOfferingPrice", map[string]any{"id": "p" + body[1:5], "name": "10 MB", "lifecycleStatus": "Active", "priceType": "allowance", "recurringChargePeriodType": "month",
				"unitOfMeasure": map[string]any{"amount": 10, "units": "MB"}})
			patched := s.do("mno/user:shop", "PATCH", catalogue+"productOfferingPrice/p"+body[1:5], `{"tandem:rating":{"classes":["data"],`+body+`}}`)
			if patched.status != 200 {
				s.Fatalf("%d %s", patched.status, patched.body)
			}
			a := s.do("mno/user:shop", "POST", catalogue+"productOffering", `{"name":"Pack","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"p`+body[1:5]+`"}],"tandem:rating":{"zone":"Europe/Berlin"}}`)
			if a.status != 400 || !strings.Contains(a.text("reason"), want) {
				s.Errorf("%s: %d %s", body, a.status, a.body)
			}
		}
		a := s.do("mno/user:shop", "PATCH", catalogue+"productOffering/week", `{"tandem:charging":{"limits":[{"name":"A day","amount":"1","hard":true}]}}`)
		if a.status != 400 || !strings.Contains(a.text("reason"), "limits stand in the tariff of the line") {
			s.Errorf("%d %s", a.status, a.body)
		}
	})
}

// A tariff is no option: the line has one, and nothing would be charged or limited by the
// other. It is refused when it is ordered, and when it was ordered before it was a tariff.
func TestATariffIsNoOption(t *testing.T) {
	eachShop(t, []string{"Limits", "Passes"}, func(s *shop) {
		s.offers("week", "", "")
		c := s.sold("prepaid", "")
		c.pays("10")
		fits := func(option string) (err error) {
			s.Helper()
			e := s.db.Read(s.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
				line, e := subscription.Get(tx, c.product)
				if e != nil {
					return e
				}
				o, e := catalog.Offerings.Get(tx, option)
				if e != nil {
					return e
				}
				prices, e := catalog.Prices(tx, o)
				err = charging.Fits(tx, line, o, prices)
				return e
			})
			if e != nil {
				s.Fatal(e)
			}
			return err
		}
		for _, tariff := range []string{"limits", "pass"} {
			if err := fits(tariff); fault.Of(err).Code != "tariffAsOption" {
				s.Errorf("%s: %v", tariff, err)
			}
		}
		if err := fits("week"); err != nil {
			s.Errorf("a pack: %v", err)
		}
		option := c.opts("limits")
		if f := next(s.world, s.refusals); f.Product != option || f.Line != c.product || !strings.Contains(f.Reason, "it is a tariff") {
			s.Errorf("told %+v", f)
		}
		s.end(option)
		c.look(func(a *core.Account) { c.wants("buckets and limits", len(a.Buckets)+len(a.Counters), 1) })
		c.wants("the balance", c.has(1), int64(10*eur))
	})
}

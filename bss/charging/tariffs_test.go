package charging_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/fact"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// example is one of docs/tariffs.md.
type example struct {
	title    string
	Offering map[string]any   `json:"offering"`
	Prices   []map[string]any `json:"prices"`
}

func examples(t *testing.T) (list []example) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/tariffs.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(doc), "\n## ")[1:] {
		title, rest, _ := strings.Cut(part, "\n")
		_, rest, found := strings.Cut(rest, "```json\n")
		body, _, closed := strings.Cut(rest, "\n```")
		e := example{title: title}
		if err := json.Unmarshal([]byte(body), &e); !found || !closed || err != nil {
			t.Fatalf("%s has no example that can be read: %v", title, err)
		}
		list = append(list, e)
	}
	return list
}

// shop is a world whose clock of charging can be put forward.
type shop struct {
	*world
	ahead atomic.Int64
	lines int
}

func (s *shop) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

// pass puts the clock of charging forward.
func (s *shop) pass(d time.Duration) { s.ahead.Add(int64(d)) }

// until puts it forward to an instant.
func (s *shop) until(t time.Time) { s.pass(t.Sub(s.now())) }

func open(w *world, start time.Time) *shop {
	w.Helper()
	s := &shop{world: w}
	s.until(start)
	if err := w.room.Stop(context.Background()); err != nil {
		w.Fatal(err)
	}
	w.room = charging.New(charging.Config{DB: w.db, Journal: w.journal, Holder: tmf.NewID(), Address: "here", Lease: time.Second, PINKey: []byte("a key for tests"), Clock: s.now,
		Tenants: func(context.Context) ([]string, error) { return []string{"mno", "rival"}, nil }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := w.room.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	room := w.room
	w.Cleanup(func() {
		if err := room.Stop(context.Background()); err != nil {
			w.Error(err)
		}
	})
	return s
}

func (s *shop) publish(e example) {
	s.Helper()
	for _, p := range e.Prices {
		s.shelf("productOfferingPrice", p)
	}
	s.shelf("productOffering", e.Offering)
}

const catalogue = "/tmf-api/productCatalogManagement/v4/"

func (s *shop) shelf(kind string, body map[string]any) {
	s.Helper()
	if a := s.do("mno/user:shop", "POST", catalogue+kind, body); a.status != 201 {
		s.Fatalf("%s %v: %d %s", kind, body["id"], a.status, a.body)
	}
}

// customer is a line that was sold.
type customer struct {
	*shop
	product, number string
	said            uint32
}

// sold makes a line run from now on; with is the product whose account it shares.
func (s *shop) sold(offering, with string) *customer {
	s.Helper()
	s.lines++
	c := &customer{shop: s, product: offering + strconv.Itoa(s.lines), number: "49151" + strconv.Itoa(7000+s.lines)}
	err := s.db.Write(s.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
		p := &subscription.Product{Status: subscription.Created, ProductOffering: &subscription.Ref{ID: offering}}
		p.ID = c.product
		if with != "" {
			p.ProductRelationship = []subscription.Relationship{{RelationshipType: "sharesAllowanceOf", Product: &subscription.RefOrValue{ID: with}}}
		}
		if err := subscription.Create(tx, p); err != nil {
			return err
		}
		return s.room.Open(tx, fact.ProductActive{Product: c.product, Offering: offering, Customer: "cust", BillingAccount: "ba-" + c.product, Service: "s",
			At: s.now(), Resources: []fact.Resource{{Role: "msisdn", Value: c.number}}})
	})
	if err != nil {
		s.Fatal(err)
	}
	s.await("the line "+c.product, func() bool {
		return s.count("mno", "SELECT count(*) FROM charging_line WHERE tenant = $1 AND product = $2 AND subscriber > 0", c.product) == 1
	})
	return c
}

func (c *customer) pays(amount string) {
	c.Helper()
	id := c.post(balance+"topupBalance", `{"product":[{"id":"`+c.product+`"}],"amount":{"amount":`+amount+`,"units":"EUR"}}`).text("id")
	c.ends("topupBalance", id, "completed")
}

// says sends a request.
func (c *customer) says(service credit.Service, kind credit.Kind, change func(r *credit.Request, u *credit.Unit)) credit.Granted {
	c.Helper()
	call := &credit.Call{}
	r := &call.Request
	c.said++
	*r = credit.Request{Face: credit.Diameter, Kind: kind, Service: service, Numbered: true, Number: c.said, Peer: []byte("gw"), Session: []byte(c.product), Called: []byte("4930123"),
		Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte(c.number)}}}
	u := r.AddUnit()
	change(r, u)
	credit.Do(c.room.Engine, call)
	if len(call.Answer.Units) == 0 {
		return credit.Granted{Result: call.Answer.Result}
	}
	return call.Answer.Units[0]
}

// uses charges octets at once, at home unless a network is named.
func (c *customer) uses(octets uint64, group, plmn uint32) credit.Result {
	c.Helper()
	name := c.product + strconv.Itoa(int(c.said))
	return c.says(credit.Data, credit.Event, func(r *credit.Request, u *credit.Unit) {
		r.Action, r.Session, r.PLMN = credit.Post, []byte(name), plmn
		u.HasGroup, u.Group = group > 0, group
		u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: octets}})
	}).Result
}

// asks opens a session and asks for quota.
func (c *customer) asks(group, plmn uint32) credit.Granted {
	c.Helper()
	name := c.product + "s" + strconv.Itoa(int(c.said))
	return c.says(credit.Data, credit.Initial, func(r *credit.Request, u *credit.Unit) {
		r.Session, r.PLMN, u.Asked = []byte(name), plmn, true
		u.HasGroup, u.Group = group > 0, group
	})
}

// texts sends a message, if there is money for it.
func (c *customer) texts() credit.Result {
	c.Helper()
	name := c.product + "m" + strconv.Itoa(int(c.said))
	return c.says(credit.SMS, credit.Event, func(r *credit.Request, u *credit.Unit) {
		r.Session, u.Asked = []byte(name), true
		u.Want = credit.Units{Has: credit.HasEvents, Events: 1}
	}).Result
}

// look is the account as it is.
func (c *customer) look(fn func(a *core.Account)) {
	c.Helper()
	account := c.count("mno", "SELECT account FROM charging_line WHERE tenant = $1 AND product = $2", c.product)
	if err := c.room.Engine.Look(core.NewRef(int(account%256), uint32(account/256)), fn); err != nil {
		c.Fatal(err)
	}
}

// has is what is left in the bucket that was made as the nth of the account.
func (c *customer) has(n uint32) (left int64) {
	c.Helper()
	left = -1
	c.look(func(a *core.Account) {
		for i := range a.Buckets {
			if a.Buckets[i].ID == n {
				left = a.Buckets[i].Value
			}
		}
	})
	return left
}

func (c *customer) wants(what string, got, want any) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %v, not %v", what, got, want)
	}
}

func (c *customer) comes(n uint32, want int64) {
	c.Helper()
	c.await("bucket "+strconv.Itoa(int(n))+" of "+c.product+" to hold "+strconv.FormatInt(want, 10), func() bool { return c.has(n) == want })
}

const (
	mb  = 1_000_000
	eur = 1_000_000_000
)

var berlin = func() *time.Location {
	z, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return z
}()

// What docs/tariffs.md says of each example.
var sold = map[string]func(s *shop){
	"Allowances": func(s *shop) {
		c := s.sold("monthly", "") // on 11 January: 21 of 31 days are left
		c.wants("the first month", c.has(2), int64(21*mb))
		c.wants("use", c.uses(11*mb, 0, 0), credit.Success)
		s.until(time.Date(2027, 1, 30, 12, 0, 0, 0, berlin))
		for _, percent := range []int{50, 0} { // 0: it will end
			f := next(s.world, s.crossed)
			c.wants("the notice", f.Percent, percent)
			c.wants("the end", f.Ending, percent == 0)
		}
		s.until(time.Date(2027, 2, 1, 0, 0, 1, 0, berlin))
		c.comes(2, 31*mb)
		c.wants("kept", c.has(3), int64(5*mb))
	},
	"Paid renewal": func(s *shop) {
		c := s.sold("paid", "")
		c.wants("before it is paid", c.has(2), int64(0))
		c.pays("3")
		c.wants("when it is paid", c.has(2), int64(10*mb))
		c.wants("the balance", c.has(1), int64(eur/2))
		s.pass(8 * 24 * time.Hour)
		c.comes(2, 0)
		s.pass(24 * time.Hour)
		c.pays("2")
		c.wants("within the grace", c.has(2), int64(10*mb))
		c.wants("the balance then", c.has(1), int64(0))
		s.pass(11 * 24 * time.Hour)
		c.comes(2, -1)
	},
	"Passes": func(s *shop) {
		c := s.sold("pass", "")
		c.wants("use", c.uses(6*mb, 0, 0), credit.Success)
		c.wants("the day", c.has(2), int64(0))
		c.wants("the hours", c.has(3), int64(6*mb))
		s.pass(5 * time.Hour)
		c.wants("use after five hours", c.uses(mb, 0, 0), credit.Success)
		c.wants("the hours then", c.has(3), int64(5*mb))
		s.pass(2 * time.Hour)
		c.comes(3, -1)
	},
	"Families": func(s *shop) {
		parent := s.sold("family", "")
		child := s.sold("family", parent.product)
		parent.pays("5")
		child.wants("the child", child.uses(7*mb, 0, 0), credit.Success)
		child.wants("what is left for the child", child.asks(0, 0).Grant.Total, uint64(mb))
		parent.wants("what is left for all", parent.has(2), int64(13*mb))
		child.wants("its last megabyte", child.uses(mb, 0, 0), credit.Success)
		child.wants("beyond it", child.asks(0, 0).Result, credit.LimitReached)
		if g := parent.asks(0, 0); g.Grant.Total <= mb {
			s.Errorf("the parent gets %+v", g)
		}
	},
	"Who pays": func(s *shop) {
		c := s.sold("hybrid", "")
		c.pays("0.5")
		c.wants("the first", c.texts(), credit.Success)
		c.wants("own money", c.has(1), int64(0))
		c.wants("the second", c.texts(), credit.Success)
		c.wants("the third", c.texts(), credit.Success)
		c.wants("credit", c.has(2), int64(-eur))
		c.wants("the fourth", c.texts(), credit.LimitReached)
		c.sets("creditLimitChange", `"amount":{"amount":1.5,"units":"EUR"}`, "completed")
		c.wants("with more credit", c.texts(), credit.Success)
		c.pays("20")
		c.wants("with the bonus", c.has(1), int64(22*eur))
	},
	"Limits": func(s *shop) {
		c := s.sold("limits", "")
		c.pays("10")
		for range 3 {
			c.wants("a text", c.texts(), credit.Success)
		}
		c.wants("the fourth of a day", c.texts(), credit.LimitReached)
		c.sets("limitChange", `"limit":"A day","consent":true`, "completed")
		c.wants("with consent", c.texts(), credit.Success)
		s.pass(24 * time.Hour)
		c.sets("limitChange", `"limit":"Texts","amount":{"amount":5,"units":"events"}`, "completed")
		c.wants("the fifth text", c.texts(), credit.Success)
		c.wants("the sixth", c.texts(), credit.LimitReached)
		c.sets("limitChange", `"limit":"Texts","restart":true`, "completed")
		c.wants("from zero again", c.texts(), credit.Success)
		for body, code := range map[string]string{
			`"limit":"Faxes","amount":{"amount":5}`:                          "unknownLimit",
			`"limit":"Texts"`:                                                "mandatoryAttributeMissing",
			`"limit":"Texts","amount":{"amount":-5}`:                         "badAmount",
			`"limit":"Texts","amount":{"amount":5,"units":"EUR"}`:            "wrongUnit",
			`"limit":"Texts","consent":true,"restart":true`:                  "badConsent",
			`"limit":"A day","amount":{"amount":5,"units":"USD"}`:            "wrongCurrency",
			`"limit":"A day","amount":{"amount":1e30,"units":"EUR"}`:         "badAmount",
			`"limit":"Texts","amount":{"amount":5},"status":"lifted"`:        "invalidValue",
			`"limit":"A day","amount":{"amount":"5; DROP","units":"events"}`: "wrongCurrency",
		} {
			s.refused(ann, "POST", own+"limitChange", `{"product":{"id":"`+c.product+`"},`+body+`}`, 400, code)
		}
		s.refused("rival/user:eve", "POST", own+"limitChange", `{"product":{"id":"`+c.product+`"},"limit":"Texts","restart":true}`, 400, "unknownProduct")
		s.refused(ann, "POST", own+"creditLimitChange", `{"product":{"id":"`+c.product+`"},"amount":{"amount":5,"units":"EUR"}}`, 409, "charging.prepaid")
	},
	"Abroad": func(s *shop) {
		c := s.sold("abroad", "")
		c.pays("10")
		c.wants("0.40 without tax", c.uses(5*mib, 0, 208001), credit.Success)
		c.wants("beyond", c.asks(0, 208001).Result, credit.LimitReached)
		c.wants("at home", c.asks(0, 240001).Result, credit.Success)
		for _, percent := range []int{80, 100} {
			f := next(s.world, s.crossed)
			c.wants(f.Name, f.Percent, percent)
		}
		c.sets("limitChange", `"limit":"Data abroad","consent":true`, "completed")
		c.wants("with consent", c.asks(0, 208001).Result, credit.Success)
	},
	"Fair use abroad": func(s *shop) {
		const gb, france = 1_000_000_000, 208_001
		c := s.sold("roam", "")
		child := s.sold("roam", c.product)
		c.pays("10")
		c.wants("20 GB abroad", c.uses(20*gb, 0, france), credit.Success)
		c.wants("from the allowance", c.has(2), int64(80*gb))
		if f := next(s.world, s.crossed); f.Name != "Fair use abroad" || f.Percent != 80 {
			s.Errorf("told %+v", f)
		}
		c.wants("3 GB more", c.uses(3*gb, 0, france), credit.Success)
		c.wants("two of them from the allowance", c.has(2), int64(78*gb))
		c.wants("one for the surcharge", c.has(1), int64(10*eur-eur*11/10))
		if f := next(s.world, s.crossed); f.Name != "Fair use abroad" || f.Percent != 100 {
			s.Errorf("told %+v", f)
		}
		if g := c.asks(0, france); g.Result != credit.Success || g.Grant.Total == 0 {
			s.Errorf("granted for money %+v", g)
		}
		c.wants("nothing of it from the allowance", c.has(2), int64(78*gb))
		c.wants("at home", c.uses(10*gb, 0, 0), credit.Success)
		c.wants("from the allowance as ever", c.has(2), int64(68*gb))
		child.wants("another line", child.uses(22*gb, 0, france), credit.Success)
		child.wants("has its own", child.has(3), int64(78*gb))
		c.wants("the balance", c.has(1), int64(10*eur-eur*11/10))
		c.sets("limitChange", `"limit":"Fair use abroad","amount":{"amount":24000000000,"units":"octets"}`, "completed")
		c.wants("more fair use", c.uses(gb, 0, france), credit.Success)
		c.wants("is from the allowance", c.has(2), int64(67*gb))
		s.pass(32 * 24 * time.Hour)
		c.comes(2, 100*gb)
		c.wants("the next month", c.uses(gb, 0, france), credit.Success)
		c.wants("from the allowance again", c.has(2), int64(99*gb))
		c.wants("the balance then", c.has(1), int64(10*eur-eur*11/10))
		c.look(func(a *core.Account) {
			counted := int64(0)
			for _, x := range a.Counters {
				if d := s.room.Definition(x.Def); d != nil && d.Months == 4 && x.Owner == 1 {
					counted = x.Value
				}
			}
			c.wants("watched over four months", counted, int64(25*gb))
		})
	},
	"Where and when": func(s *shop) {
		c := s.sold("where", "")
		s.until(time.Date(s.now().Year(), s.now().Month(), s.now().Day()+1, 12, 0, 0, 0, berlin))
		c.wants("self-care without money", c.asks(900, 0).Result, credit.Success)
		c.wants("by day without money", c.asks(0, 0).Result, credit.LimitReached)
		c.pays("1")
		c.wants("by day", c.uses(mib, 0, 0), credit.Success)
		c.wants("for 0.10", c.has(1), int64(eur*9/10))
		c.wants("video", c.uses(mib, 70, 0), credit.Success)
		c.wants("for 0.20", c.has(1), int64(eur*7/10))
		s.until(time.Date(s.now().Year(), s.now().Month(), s.now().Day(), 23, 0, 0, 0, berlin))
		c.wants("at night", c.uses(2*mib, 0, 0), credit.Success)
		c.wants("from the allowance", c.has(2), int64(mib))
		c.wants("for nothing", c.has(1), int64(eur*7/10))
	},
	"Shapes of price": func(s *shop) {
		c := s.sold("shapes", "")
		c.pays("1")
		for i, left := range []int64{eur * 75 / 100, eur * 25 / 100, eur * 20 / 100} { // 0.05 and two minutes; no more than 0.50; no more than 0.80 a day
			seconds := []uint64{61, 3600, 600}[i]
			name := c.product + strconv.Itoa(i)
			c.says(credit.Voice, credit.Event, func(r *credit.Request, u *credit.Unit) {
				r.Action, r.Session = credit.Post, []byte(name)
				u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasSeconds, Seconds: seconds}})
			})
			c.wants("after call "+name, c.has(1), left)
		}
	},
	"At the end": func(s *shop) {
		c := s.sold("end", "")
		g := c.asks(0, 0)
		if g.Result != credit.Success || g.Final.Action != credit.FinalRedirect || g.Final.Address != "https://pay.example/" {
			s.Errorf("redirect: %+v", g)
		}
		g = c.asks(20, 0)
		if g.Result != credit.Success || g.Final.Action != credit.FinalRestrict || len(g.Final.Filters) != 1 || g.Final.Filters[0] != "slow-64k" {
			s.Errorf("restrict: %+v", g)
		}
		c.pays("1")
		c.wants("after a top-up", c.asks(0, 0).Final.Action, credit.NotFinal)
	},
	"Fair use": func(s *shop) {
		c := s.sold("fair", "")
		status := func() (text string) {
			got, unknown, err := s.room.PolicyStatuses(s.Context(), []credit.Subscriber{{Type: credit.E164, ID: []byte(c.number)}}, nil)
			if err != nil || len(unknown) > 0 {
				s.Fatal(unknown, err)
			}
			if got["data"].Pending != "" && got["data"].At <= s.now().Unix() {
				s.Errorf("pending in the past: %+v", got["data"])
			}
			return got["data"].Current + " " + got["data"].Pending + " " + got["spending"].Current
		}
		c.wants("at first", status(), "full  normal")
		c.uses(21*mb, 0, 0)
		c.wants("then", status(), "slow full normal")
		c.uses(10*mb, 0, 0)
		c.wants("and then", status(), "slower full normal")
		c.sets("limitChange", `"limit":"data","restart":true`, "completed")
		c.wants("with a booster", status(), "full  normal")
		c.uses(25*mb, 0, 0)
		s.pass(32 * 24 * time.Hour)
		c.wants("the next month", status(), "full  normal")
	},
	"Gifts": func(s *shop) {
		c := s.sold("gifts", "")
		c.pays("5")
		c.wants("for the first top-up", c.has(2), int64(2*eur))
		c.pays("5")
		for range 4 {
			c.wants("a text", c.texts(), credit.Success)
		}
		s.pass(11 * time.Minute)
		for range 5 {
			c.wants("for four texts", c.has(3), int64(-1))
			c.wants("a text", c.texts(), credit.Success)
		}
		c.wants("for five", c.has(3), int64(3))
		c.wants("a text for nothing", c.texts(), credit.Success)
		c.wants("of three", c.has(3), int64(2))
		c.wants("the rest was paid from the first gift", c.has(2), int64(eur*11/10))
		c.wants("the balance", c.has(1), int64(10*eur))
		c.wants("a second gift", c.has(4), int64(-1))
	},
	"Pools": func(s *shop) {
		c := s.sold("pool", "")
		c.pays("5")
		call := &credit.Call{}
		r := &call.Request
		*r = credit.Request{Face: credit.Diameter, Kind: credit.Initial, Service: credit.Data, Numbered: true, Peer: []byte("gw"), Session: []byte("pool"),
			Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte(c.number)}}}
		for _, group := range []uint32{1, 70} {
			u := r.AddUnit()
			u.HasGroup, u.Group, u.Asked = true, group, true
		}
		credit.Do(c.room.Engine, call)
		if len(call.Answer.Units) != 2 {
			s.Fatalf("answer %+v", call.Answer)
		}
		data, video := call.Answer.Units[0], call.Answer.Units[1]
		if data.Pool == 0 || data.Pool != video.Pool || data.Grant.Total != mib || video.Grant.Total != mib {
			s.Errorf("granted %+v and %+v", data, video)
		}
		if d := video.Multiplier - 2*data.Multiplier; data.Multiplier <= 0 || d < -2 || d > 2 {
			s.Errorf("a unit is worth %d and %d", data.Multiplier, video.Multiplier)
		}
	},
	"The brand": func(s *shop) {
		c := s.sold("brand", "")
		c.pays("1")
		if g := c.asks(99, 0); g.Result != credit.Success || g.Grant.Total != 1<<20 || g.Validity != 600 {
			s.Errorf("without a price: %+v", g)
		}
		c.wants("another group", c.asks(98, 0).Result, credit.RatingFailed)
		s.pass(91 * 24 * time.Hour)
		s.await("the account to be reached only", func() (inbound bool) {
			c.look(func(a *core.Account) { inbound = a.Stage == core.Inbound })
			return inbound
		})
		c.wants("then", c.texts(), credit.Denied)
		c.pays("1")
		c.wants("after a top-up", c.texts(), credit.Success)
		if a := s.do("mno/user:shop", "PATCH", catalogue+"productOffering/brand", `{"tandem:charging":{"home":["26201"]}}`); a.status != 200 {
			s.Fatalf("%d %s", a.status, a.body)
		}
		c.wants("at a home that is none of the tariff's", c.texts(), credit.RatingFailed)
		c.wants("the default has not changed", c.asks(99, 0).Result, credit.Success)
		if a := s.do("mno/user:shop", "PATCH", catalogue+"productOffering/brand", `{"tandem:charging":{"defaults":[]}}`); a.status != 200 {
			s.Fatalf("%d %s", a.status, a.body)
		}
		c.wants("without defaults", c.asks(99, 0).Result, credit.RatingFailed)
	},
}

// sets changes a limit of the customer.
func (c *customer) sets(kind, body, status string) {
	c.Helper()
	id := c.post(own+kind, `{"product":{"id":"`+c.product+`"},`+body+`}`).text("id")
	c.await(kind+" "+body, func() bool { return c.get(own+kind+"/"+id).text("status") != "created" })
	if a := c.get(own + kind + "/" + id); a.text("status") != status || a.text("requestedBy") != "user:ann" {
		c.Errorf("%s %s: %s", kind, body, a.body)
	}
}

// Each example of docs/tariffs.md is published through the catalogue, sold, and charged
// as the page says.
func TestTariffs(t *testing.T) {
	list := examples(t)
	if len(list) != len(sold) {
		t.Fatalf("%d examples, %d are tested", len(list), len(sold))
	}
	each(t, func(w *world) {
		s := open(w, time.Date(2027, 1, 11, 9, 0, 0, 0, berlin))
		for _, e := range list {
			test := sold[e.title]
			if test == nil {
				t.Fatalf("nobody tests %s", e.title)
			}
			s.publish(e)
			t.Log(e.title)
			test(s)
			for len(s.crossed) > 0 {
				<-s.crossed
			}
		}
	})
}

// What could not be charged is refused where it is written, in words that name it: at the
// launch of the offering, and when a price of one on the market is changed.
func TestNonsenseIsRefusedInTheCatalogue(t *testing.T) {
	list := examples(t)
	find := func(title string) (e example) {
		for _, e = range list {
			if e.title == title {
				break
			}
		}
		return e
	}
	each(t, func(w *world) {
		s := &shop{world: w}
		s.publish(find("Limits"))
		s.publish(find("Allowances"))
		launch := func(rating, charging string) answer {
			return s.do("mno/user:shop", "POST", catalogue+"productOffering", `{"name":"New","lifecycleStatus":"Launched","productOfferingPrice":[{"id":"limits-text"}],
				"tandem:rating":{"zone":"Europe/Berlin"`+rating+`},"tandem:charging":{`+charging+`}}`)
		}
		for charging, want := range map[string]string{
			`"mode":"later"`:           `Offering "New": mode is prepaid, postpaid, hybridPrepaid or hybridPostpaid, not "later"`,
			`"mode":"hybridPrepaid"`:   "say in credit how long it is",
			`"credit":"-5"`:            "write it without a sign",
			`"cycleDay":31`:            "a day that each month has",
			`"limitz":[]`:              "tandem:charging cannot be read",
			`"home":["1"]`:             "is not a network code",
			`"life":{"inbound":"P9D"}`: "life needs active",
			`"defaults":[{"service":"fax","unit":"octets","units":5}]`:                                                         "service is data, voice",
			`"defaults":[{"service":"data","unit":"miles","units":5}]`:                                                         "unit is octets, seconds or events",
			`"defaults":[{"service":"data","unit":"octets"}]`:                                                                  "more than none",
			`"defaults":[{"service":"data","unit":"octets","units":5,"validity":"P1M"}]`:                                       "no longer than a day",
			`"defaults":[{"service":"data","unit":"octets","units":5},{"service":"data","group":7,"unit":"octets","units":5}]`: "after one that is for it already",
			`"life":{"active":"P3M"}`:   "a month has no fixed length",
			`"limits":[{"amount":"5"}]`: "A limit needs a name",
			`"limits":[{"name":"x"}]`:   "Limit x: it needs an amount of money",
			`"bonus":[{"from":"5"}]`:    "a percentage or an amount",
			`"limits":[{"name":"x","amount":"5","unit":"octets","units":5}]`:                           "make a limit of each",
			`"limits":[{"name":"x","units":5}]`:                                                        "units need unit",
			`"limits":[{"name":"x","unit":"miles","units":5}]`:                                         "octets, seconds or events, not",
			`"limits":[{"name":"x","unit":"events","units":5,"net":true}]`:                             "units have no tax",
			`"limits":[{"name":"x","amount":"5","per":"head"}]`:                                        "per is account or line",
			`"limits":[{"name":"x","amount":"5","reset":"hour"}]`:                                      "reset is day, cycle or never",
			`"limits":[{"name":"x","amount":"5","notices":[100,80]}]`:                                  "rising",
			`"limits":[{"name":"x","amount":"5","classes":["data.moon"]}]`:                             `it is for the class "data.moon", which no usage price has`,
			`"limits":[{"name":"x","amount":"5"},{"name":"x","amount":"6"}]`:                           "both called",
			`"limits":[{"name":"x","statuses":[{"from":"0","status":"a"}]}]`:                           "rise from above zero",
			`"limits":[{"name":"x","statuses":[{"from":"2","status":"a"},{"from":"1","status":"b"}]}]`: "does not come after",
			`"limits":[{"name":"x","statuses":[{"from":"2","status":"normal"}]}]`:                      "nothing changes",
			`"mode":"postpaid","life":{"active":"P90D"}`:                                               "life is for prepaid",
			`"limits":[{"name":"x","gift":{"at":"5","units":3,"unit":"events"}}]`:                      "its gift needs a name",
			`"limits":[{"name":"x","gift":{"at":"5","name":"y"}}]`:                                     "its gift is an amount of money, or units",
			`"limits":[{"name":"x","gift":{"at":"0","name":"y","amount":"3"}}]`:                        "both above zero",
			`"limits":[{"name":"x","gift":{"at":"5","name":"y","amount":"3","classes":["moon"]}}]`:     "which no usage price has",
			`"limits":[{"name":"x","amount":"5","window":"PT10M","reset":"day"}]`:                      "goes with no reset",
			`"limits":[{"name":"x","amount":"5","reset":"day","months":4}]`:                            "how many a cycle has",
			`"limits":[{"name":"x","amount":"5","topUps":true,"hard":true}]`:                           "it refuses nothing",
			`"limits":[{"name":"x","openData":{"price":"5","wholesale":"1"}}]`:                         "write unit octets",
			`"limits":[{"name":"x","unit":"octets","openData":{"price":"5","wholesale":"0"}}]`:         "both above zero",
			`"limits":[{"name":"x","unit":"octets","openData":{"price":"5","wholesale":"1"}}]`:         "Limit x: openData limits an allowance, and none is within it",
		} {
			if a := launch("", charging); a.status != 400 || !strings.Contains(a.text("reason"), want) {
				s.Errorf("%s: %d %s; want %s", charging, a.status, a.body, want)
			}
		}
		if a := launch(`,"zoned":"Mars"`, ""); a.status != 400 || a.text("code") != "invalidTariff" {
			s.Errorf("%d %s", a.status, a.body)
		}
		patch := func(price, body, want string) {
			s.Helper()
			if a := s.do("mno/user:shop", "PATCH", catalogue+"productOfferingPrice/"+price, body); a.status != 400 || !strings.Contains(a.text("reason"), want) {
				s.Errorf("%s: %d %s; want %s", body, a.status, a.body, want)
			}
		}
		patch("monthly-10", `{"tandem:rating":{"classes":["voice"]}}`, `for the class "voice", which no usage price has`)
		patch("monthly-10", `{"price":{"unit":"EUR","value":5}}`, "needs grace")
		patch("monthly-10", `{"tandem:rating":{"rollover":{"percent":200}}}`, "more than all")
		patch("monthly-10", `{"tandem:rating":{"within":"Fair use"}}`, `Allowance 31 MB a month: it is within the limit "Fair use", which the offering does not have`)
		s.publish(find("Fair use abroad"))
		for limit, want := range map[string]string{
			`"unit":"seconds","units":5`:                                    "within needs a limit of its own unit, octets",
			`"unit":"octets","units":5,"hard":true,"classes":["data.eu"]`:   "is hard",
			`"unit":"octets","units":5`:                                     "must name the classes",
			`"unit":"octets","units":5,"classes":["data.eu"]`:               "within a limit per line",
			`"unit":"octets","units":5,"per":"line","classes":["data.sea"]`: "which no usage price has",
		} {
			a := s.do("mno/user:shop", "PATCH", catalogue+"productOffering/roam", `{"tandem:charging":{"limits":[{"name":"Fair use abroad",`+limit+`}]}}`)
			if a.status != 400 || !strings.Contains(a.text("reason"), want) {
				s.Errorf("%s: %d %s; want %s", limit, a.status, a.body, want)
			}
		}
		if a := s.do("mno/user:shop", "POST", catalogue+"productOffering", `{"name":"Draft","productOfferingPrice":[{"id":"limits-text"}],"tandem:charging":{"mode":"later"}}`); a.status != 201 {
			s.Errorf("a draft: %d %s", a.status, a.body)
		}
	})
}

// What an offering says of its brand holds on the node that decides, also if another
// one was told.
func TestTheBrandIsHeardOnAllNodes(t *testing.T) {
	schemas := slices.Concat([]store.Schema{outbox.Schema(), access.Schema(), journal.Schema()}, subscription.Schemas, charging.Schemas)
	db := tmftest.Open(t, tmftest.Config(t, store.Postgres, schemas, kinds), schemas, kinds)
	w := &world{T: t, db: db, journal: db, tenants: []string{"mno"}, host: "mno"}
	w.start()
	decides := w.room
	w.start() // is told, and has no shards
	w.serve()
	if held := w.room.Engine.Held().Len(); held != 0 {
		t.Fatalf("the second node has %d shards", held)
	}
	s := &shop{world: w}
	for _, e := range examples(t) {
		if e.title == "The brand" {
			s.publish(e)
		}
	}
	c := s.sold("brand", "")
	told := w.room
	w.room = decides
	c.wants("at home, without money", c.texts(), credit.LimitReached)
	w.room = told
	if a := s.do("mno/user:shop", "PATCH", catalogue+"productOffering/brand", `{"tandem:charging":{"home":["26201"]}}`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.room = decides
	s.await("the node that decides to know it", func() bool { return c.texts() == credit.RatingFailed })
}

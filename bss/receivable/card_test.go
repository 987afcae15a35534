package receivable_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"tandem/bss/ledger"
	"tandem/bss/receivable"
	"tandem/edge/card"
	"tandem/edge/card/cardtest"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

const (
	methods  = "/tmf-api/paymentMethod/v4/paymentMethod"
	payments = "/payment/v4/payment"
	refunds  = "/payment/v4/refund"
)

// till is a desk that takes cards through a gateway of the test.
type till struct {
	*desk
	gateway *cardtest.Gateway
	hooks   string // address of the webhooks
}

func tills(t *testing.T, f func(c *till)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(openTill(t, engine)) })
	}
}

func openTill(t *testing.T, engine store.Dialect) *till {
	d := &desk{books: &books{t, storetest.Open(t, engine, deskSchemas...)}}
	if err := tmf.Migrate(t.Context(), d.db, deskKinds); err != nil {
		t.Fatal(err)
	}
	d.api = tmftest.Serve(t, d.db, deskKinds)
	d.entity()
	g, err := cardtest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := card.NewClient(card.Config{URL: g.URL, Key: card.Secret(g.Key), Webhooks: []card.Secret{card.Secret(g.Secret)}, Timeout: 250 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	cards := &receivable.Cards{DB: d.db, Look: 20 * time.Millisecond, Backoff: func(int) time.Duration { return 20 * time.Millisecond }, Of: func(tenant string) card.Gateway {
		if tenant != "host" && tenant != "blue" {
			return nil
		}
		return client
	}, Tenants: func(context.Context) ([]string, error) { return []string{"blue", "host", "other"}, nil }}
	runner := work.New(d.db, slog.New(slog.DiscardHandler), work.Config{})
	receivable.Handle(runner, d.db)
	cards.Handle(runner)
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Stop)
	mux := http.NewServeMux()
	cards.Routes(mux)
	hooks := httptest.NewServer(mux)
	t.Cleanup(hooks.Close)
	return &till{d, g, hooks.URL + receivable.Webhooks + "host"}
}

// card leaves a card with an account.
func (c *till) card(account string, b cardtest.Behaviour, automatic bool) string {
	c.Helper()
	m := &receivable.PaymentMethod{Name: "Visa", Token: c.gateway.Card(b), LastFourDigits: "4242", ExpirationDate: "2031-12", Account: []receivable.Ref{{ID: account}}, IsPreferred: &automatic}
	m.Type = "TokenizedCard"
	return tmftest.Must[receivable.PaymentMethod](c.api, "host", http.MethodPost, methods, m).ID
}

func (c *till) request(account, method string, cents int64, bills ...string) *receivable.PaymentResource {
	amount, err := euros(cents).Rate()
	if err != nil {
		c.Fatal(err)
	}
	p := &receivable.PaymentResource{Account: &receivable.Ref{ID: account}, TotalAmount: &amount, PaymentMethod: &receivable.Method{ID: method}}
	for _, b := range bills {
		p.PaymentItem = append(p.PaymentItem, receivable.PaymentItem{Item: &receivable.Ref{ID: b}})
	}
	if len(bills) == 0 {
		p.CorrelatorID = tmf.NewID()
	}
	return p
}

func (c *till) charge(account, method string, cents int64, bills ...string) string {
	c.Helper()
	return tmftest.Must[receivable.PaymentResource](c.api, "host", http.MethodPost, payments, c.request(account, method, cents, bills...)).ID
}

func (c *till) payment(id string) *receivable.PaymentResource {
	c.Helper()
	return tmftest.Must[receivable.PaymentResource](c.api, "host", http.MethodGet, payments+"/"+id, nil)
}

// ends waits until the payment is in a state.
func (c *till) ends(id, status string) *receivable.PaymentResource {
	c.Helper()
	var p *receivable.PaymentResource
	tmftest.Await(c, func() string {
		if p = c.payment(id); p.Status == status {
			return ""
		}
		return fmt.Sprintf("payment %s is %s, not %s", id, p.Status, status)
	})
	return p
}

// count is how many rows a condition has.
func (c *till) count(from string) (n int64) {
	c.Helper()
	if err := c.db.Read(c.Context(), host, func(tx *store.Tx) error { return tx.Row("SELECT count(*) FROM " + from).Scan(&n) }); err != nil {
		c.Fatal(err)
	}
	return n
}

// rest waits until no attempt is open and no dispute waits.
func (c *till) rest() {
	c.Helper()
	tmftest.Await(c, func() string {
		open := c.count("receivable_attempt WHERE tenant = $1 AND ended_at IS NULL")
		waits := c.count("work_job WHERE tenant = $1 AND kind IN ('receivable.chargeback', 'receivable.card')")
		if open+waits == 0 {
			return ""
		}
		return fmt.Sprintf("%d attempts are open, %d jobs wait: %s", open, waits, c.lastError())
	})
}

// lastError is why a job has not ended.
func (c *till) lastError() (text string) {
	c.Helper()
	err := c.db.Read(c.Context(), host, func(tx *store.Tx) error {
		return tx.Row("SELECT kind || ' ' || state || ' ' || last_error FROM work_job WHERE tenant = $1 AND kind IN ('receivable.chargeback', 'receivable.card') LIMIT 1").Scan(&text)
	})
	if err != nil {
		return err.Error()
	}
	return text
}

// webhooks sends every message of the gateway so often, in any order.
func (c *till) webhooks(times int, seed uint64) {
	c.Helper()
	statuses, err := c.gateway.Deliver(c.Context(), c.hooks, times, seed, time.Now())
	if err != nil || len(statuses) > 1 || len(statuses) == 1 && statuses[http.StatusOK] == 0 {
		c.Fatalf("webhooks were answered %v, %v", statuses, err)
	}
}

// sameBooks proves that the gateway's own account is ours, but for its fees.
func (c *till) sameBooks(fees int64) {
	c.Helper()
	c.sound()
	var ours int64
	c.must(func(tx *store.Tx) error {
		sums, err := ledger.Trial(tx, "acme", civil.Last)
		for _, s := range sums {
			if s.Account == ledger.Of(ledger.Clearing, "card") {
				ours = s.Amount
			}
		}
		return err
	})
	if theirs := c.gateway.Taken("EUR") - fees; ours != theirs {
		c.Errorf("the books have %d cents at the gateway, the gateway %d", ours, theirs)
	}
	once := map[string]int{}
	for _, m := range c.gateway.Moves() {
		if once[m.Attempt]++; m.Attempt != "" && once[m.Attempt] > 1 {
			c.Errorf("attempt %s moved money %d times", m.Attempt, once[m.Attempt])
		}
	}
}

func now() civil.Date { return civil.DateOf(time.Now(), time.UTC) }

func TestACardPaysABill(t *testing.T) {
	tills(t, func(c *till) {
		c.account("a", "Anna", "")
		m := c.card("a", cardtest.Behaviour{}, false)
		c.bill("1", "a", 5000, now(), "")
		p := c.ends(c.charge("a", m, 5000, "1"), "done")
		if p.AuthorizationCode == "" || p.StatusReason != "" {
			t.Errorf("%+v", p)
		}
		c.expect("a", map[string]int64{})
		c.sameBooks(0)
		if got := c.api.Do("host", http.MethodGet, methods+"/"+m, nil); strings.Contains(string(got.Body), "tok_") {
			t.Errorf("the token is shown: %s", got.Body)
		}
		if got := c.api.Send("other", http.MethodGet, methods+"/"+m, nil); got.Status != http.StatusNotFound {
			t.Errorf("another tenant sees the card: %d", got.Status)
		}
	})
}

func TestWhatNoCardPaymentMayBe(t *testing.T) {
	tills(t, func(c *till) {
		c.account("a", "Anna", "")
		c.account("b", "Bert", "")
		m := c.card("a", cardtest.Behaviour{Pending: true}, true)
		c.bill("1", "a", 5000, now().AddDays(9), "")
		c.bill("2", "b", 5000, now().AddDays(9), "")
		refuse := func(body any, path, code string) {
			t.Helper()
			if got := c.api.Send("host", http.MethodPost, path, body); got.Object()["code"] != code {
				t.Errorf("%d %s, want %s", got.Status, got.Body, code)
			}
		}
		number := &receivable.PaymentMethod{Name: "Visa", Token: "4242424242424242", Account: []receivable.Ref{{ID: "a"}}}
		number.Type = "TokenizedCard"
		refuse(number, methods, "cardNumber")
		number.Type, number.Token = "BankCard", "tok_abc"
		refuse(number, methods, "unknownMethod")
		yes := true
		second := &receivable.PaymentMethod{Name: "Visa", Token: "tok_abcdefghijkl", Account: []receivable.Ref{{ID: "a"}}, IsPreferred: &yes}
		second.Type = "TokenizedCard"
		refuse(second, methods, "twoPreferred")
		refuse(c.request("b", m, 100), payments, "anothersMethod")
		refuse(c.request("a", m, 5000, "2"), payments, "unknownClaim")
		refuse(c.request("a", m, 0), payments, "invalidAmount")
		first := c.request("a", m, 5000, "1")
		first.CorrelatorID = "click-1"
		id := tmftest.Must[receivable.PaymentResource](c.api, "host", http.MethodPost, payments, first).ID
		refuse(first, payments, "alreadyTaken")
		refuse(c.request("a", m, 5000, "1"), payments, "underWay")
		tmftest.Await(t, func() string {
			if len(c.gateway.Unconfirmed()) == 1 {
				return ""
			}
			return "the gateway was not asked"
		})
		if err := c.gateway.Confirm(c.gateway.Unconfirmed()[0], true); err != nil {
			t.Fatal(err)
		}
		c.ends(id, "done")
		refuse(c.request("a", m, 5000, "1"), payments, "notOpen")
		c.sameBooks(0)
	})
}

// The customer confirms a payment on the page of his bank: where that is stands at the
// payment; what he does there, or that he does nothing, ends it.
func TestTheCustomerConfirmsAPayment(t *testing.T) {
	tills(t, func(c *till) {
		c.account("a", "Anna", "")
		m := c.card("a", cardtest.Behaviour{Confirm: true}, false)
		c.bill("1", "a", 5000, now().AddDays(9), "")
		for _, yes := range []bool{false, true} {
			r := c.request("a", m, 5000, "1")
			r.ReturnURL = "https://portal.example/paid"
			id := tmftest.Must[receivable.PaymentResource](c.api, "host", http.MethodPost, payments, r).ID
			if p := c.ends(id, "requiresAction"); !strings.HasPrefix(p.RedirectURL, "https://gateway.example/") {
				t.Errorf("%+v", p)
			}
			if err := c.gateway.Confirm(c.gateway.Unconfirmed()[0], yes); err != nil {
				t.Fatal(err)
			}
			c.webhooks(2, 1)
			if p := c.ends(id, map[bool]string{true: "done", false: "declined"}[yes]); p.RedirectURL != "" || yes == (p.StatusReason != "") {
				t.Errorf("%+v", p)
			}
		}
		c.expect("a", map[string]int64{})
		c.sameBooks(0)
	})
}

// A card is charged by itself when something is due: once at a time, not for ever, and not
// at all once its bank has said that it never will pay again.
func TestWhatFallsDueIsCharged(t *testing.T) {
	tills(t, func(c *till) {
		for _, a := range []string{"good", "poor", "lost", "none"} {
			c.account(a, "Customer "+a, "")
			c.bill("1-"+a, a, 3000, now().AddDays(-1), "")
			c.bill("2-"+a, a, 2000, now(), "")
			c.bill("3-"+a, a, 1000, now().AddDays(5), "")
		}
		for range 6 {
			for a, b := range map[string]cardtest.Behaviour{"good": {}, "poor": {Decline: "insufficient_funds"}, "lost": {Decline: "stolen_card"}} {
				if c.count("receivable_method WHERE tenant = $1 AND account = '"+a+"'") == 0 {
					c.card(a, b, true)
				}
				c.must(func(tx *store.Tx) error { return receivable.ChargeDue(tx, a, now()) })
			}
			c.must(func(tx *store.Tx) error { return receivable.ChargeDue(tx, "none", now()) })
			c.rest()
		}
		c.expect("good", map[string]int64{"3-good": 1000})
		c.expect("none", map[string]int64{"1-none": 3000, "2-none": 2000, "3-none": 1000})
		for a, want := range map[string]int64{"good": 1, "poor": 3, "lost": 1} {
			if n := c.count("receivable_attempt WHERE tenant = $1 AND account = '" + a + "'"); n != want {
				t.Errorf("%s was charged %d times, want %d", a, n, want)
			}
		}
		lost := *tmftest.Must[[]receivable.PaymentMethod](c.api, "host", http.MethodGet, methods+"?account.id=lost", nil)
		if len(lost) != 1 || lost[0].Status != "suspended" || lost[0].StatusReason == "" {
			t.Errorf("%+v", lost)
		}
		c.sameBooks(0)
	})
}

func TestAChargebackOpensTheBillAndCostsAFee(t *testing.T) {
	tills(t, func(c *till) {
		c.account("a", "Anna", "")
		m := c.card("a", cardtest.Behaviour{}, true)
		c.bill("1", "a", 5000, now().AddDays(9), "")
		id := c.charge("a", m, 6000, "1")
		c.ends(id, "done")
		amount, err := euros(1000).Rate()
		if err != nil {
			t.Fatal(err)
		}
		r := tmftest.Must[receivable.RefundResource](c.api, "host", http.MethodPost, refunds, &receivable.RefundResource{Account: &receivable.Ref{ID: "a"},
			Payment: &receivable.Ref{ID: id}, TotalAmount: &amount, PaymentMethod: &receivable.Method{ID: m}})
		c.rest()
		if r = tmftest.Must[receivable.RefundResource](c.api, "host", http.MethodGet, refunds+"/"+r.ID, nil); r.Status != "done" {
			t.Errorf("%+v", r)
		}
		c.sameBooks(0)
		pay := c.gateway.Payments()[0]
		if err := c.gateway.Dispute(pay, "fraudulent", 1500); err != nil {
			t.Fatal(err)
		}
		if err := c.gateway.EndDispute(pay, false); err != nil {
			t.Fatal(err)
		}
		c.webhooks(10, 7)
		c.rest()
		c.sameBooks(1500)
		open := c.open("a")
		if open["1"] != 5000 || len(open) != 2 {
			t.Errorf("open: %v, want the bill and the fee", open)
		}
		if got := tmftest.Must[receivable.PaymentMethod](c.api, "host", http.MethodGet, methods+"/"+m, nil); got.Status != "suspended" {
			t.Errorf("the card is %s after a chargeback", got.Status)
		}
		refuse := c.api.Send("host", http.MethodPost, payments, c.request("a", m, 5000))
		if refuse.Object()["code"] != "methodNotActive" {
			t.Errorf("%s", refuse.Body)
		}
	})
}

// Whoever does not have the gateway's secret tells nothing.
func TestAStrangersWebhookIsRefused(t *testing.T) {
	tills(t, func(c *till) {
		c.account("a", "Anna", "")
		m := c.card("a", cardtest.Behaviour{}, false)
		c.ends(c.charge("a", m, 100), "done")
		all, err := c.gateway.Messages(time.Now())
		if err != nil || len(all) == 0 {
			t.Fatal(len(all), err)
		}
		for _, bad := range []struct {
			m      cardtest.Message
			url    string
			status int
		}{
			{cardtest.Message{Body: all[0].Body, Signature: "t=1,v1=00"}, c.hooks, http.StatusUnauthorized},
			{cardtest.Message{Body: append([]byte(" "), all[0].Body...), Signature: all[0].Signature}, c.hooks, http.StatusUnauthorized},
			{all[0], strings.TrimSuffix(c.hooks, "host") + "other", http.StatusNotFound},
		} {
			if got, err := bad.m.Send(t.Context(), bad.url); err != nil || got != bad.status {
				t.Errorf("%d %v, want %d", got, err, bad.status)
			}
		}
		if n := c.count("receivable_gateway_event WHERE tenant = $1"); n != 0 {
			t.Errorf("%d messages were kept", n)
		}
	})
}

// TestCardMoneyIsTakenOnce pays, charges, refunds and disputes at random through a gateway
// that hangs, breaks off, answers nonsense after it took the money and tells its news ten
// times in any order. In the end its own account is in our books to the cent.
func TestCardMoneyIsTakenOnce(t *testing.T) {
	tills(t, func(c *till) {
		seed, steps := rand.Uint64(), 40
		if n, err := strconv.Atoi(os.Getenv("TANDEM_CARD_STEPS")); err == nil && n > 0 {
			steps = n
		}
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 5))
		accounts := []string{"a", "b", "c"}
		var cards []string
		for i, a := range accounts {
			c.account(a, "Customer "+a, "")
			cards = append(cards, c.card(a, []cardtest.Behaviour{{}, {Confirm: true}, {Limit: 20_000}}[i], i != 1))
		}
		faults := []cardtest.Fault{cardtest.TakeDrop, cardtest.TakeCut, cardtest.TakeGarbage, cardtest.TakeError, cardtest.TakeOther, cardtest.Drop, cardtest.Error, cardtest.Busy}
		fees, done, paid := int64(0), map[string]int{}, []string{}
		for n := range steps {
			i := r.IntN(len(accounts))
			switch k := r.IntN(40); {
			case k == 0: // each costs the time that a call may take
				c.gateway.Break([]cardtest.Fault{cardtest.TakeHang, cardtest.Hang}[r.IntN(2)])
			case k < 20:
				c.gateway.Break(faults[r.IntN(len(faults))])
			}
			ok := true
			what := []string{"bill", "pay", "pay", "auto", "refund", "dispute", "win", "confirm", "news"}[r.IntN(9)]
			switch what {
			case "bill":
				c.bill(fmt.Sprint(n), accounts[i], 100+r.Int64N(3000), now(), "")
			case "pay":
				got := c.api.Send("host", http.MethodPost, payments, c.request(accounts[i], cards[i], 1+r.Int64N(4000)))
				if ok = got.Status == http.StatusCreated; ok {
					paid = append(paid, got.Object()["id"].(string))
				}
			case "auto":
				before := len(*tmftest.Must[[]receivable.PaymentResource](c.api, "host", http.MethodGet, payments+"?limit=1000", nil))
				c.must(func(tx *store.Tx) error { return receivable.ChargeDue(tx, accounts[i], now()) })
				ok = before < len(*tmftest.Must[[]receivable.PaymentResource](c.api, "host", http.MethodGet, payments+"?limit=1000", nil))
			case "refund":
				ok = len(paid) > 0 && c.giveBack(paid[r.IntN(len(paid))], 1+r.Int64N(2000))
			case "dispute", "win":
				all := c.gateway.Payments()
				if ok = len(all) > 0; !ok {
					break
				}
				p, fee := all[r.IntN(len(all))], r.Int64N(3)*500
				if what == "win" {
					ok = c.gateway.EndDispute(p, r.IntN(2) == 0) == nil
				} else if ok = c.gateway.Dispute(p, "not mine", fee) == nil; ok {
					fees += fee
				}
			case "confirm":
				for _, a := range c.gateway.Unconfirmed() {
					ok = c.gateway.Confirm(a, r.IntN(3) > 0) == nil
				}
			case "news":
				c.webhooks(1+r.IntN(2), r.Uint64())
			}
			if ok {
				done[what]++
			}
		}
		t.Logf("%v", done)
		c.gateway.Release()
		tmftest.Await(t, func() string {
			for _, a := range c.gateway.Unconfirmed() {
				_ = c.gateway.Confirm(a, true) // a webhook may have been quicker
			}
			if n := c.count("receivable_attempt WHERE tenant = $1 AND ended_at IS NULL"); n > 0 {
				return fmt.Sprintf("%d attempts are open", n)
			}
			return ""
		})
		c.webhooks(10, seed)
		c.rest()
		c.sameBooks(fees)
		if len(c.gateway.Moves()) == 0 {
			t.Error("no money was moved")
		}
	})
}

// giveBack asks for a refund, and says whether it was taken.
func (c *till) giveBack(payment string, cents int64) bool {
	c.Helper()
	p := c.payment(payment)
	amount, err := euros(cents).Rate()
	if err != nil {
		c.Fatal(err)
	}
	return c.api.Send("host", http.MethodPost, refunds, &receivable.RefundResource{Account: p.Account, Payment: &receivable.Ref{ID: payment}, TotalAmount: &amount,
		PaymentMethod: p.PaymentMethod}).Status == http.StatusCreated
}

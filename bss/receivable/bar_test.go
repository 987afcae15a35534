package receivable_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/billing"
	"tandem/bss/catalog"
	"tandem/bss/charging"
	"tandem/bss/communication"
	"tandem/bss/ledger"
	"tandem/bss/order"
	"tandem/bss/party"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/edge/hlr"
	"tandem/edge/lab"
	"tandem/kit/access"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
	"tandem/oss/activation"
	"tandem/oss/activation/driver"
	hlrdriver "tandem/oss/activation/driver/hlr"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
	"tandem/oss/spec"
)

// lines is an operator down to the register of the lab, with one customer.
type lines struct {
	*desk
	reg *lab.HLR
}

func withLines(t *testing.T, f func(l *lines)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(openLines(t, engine)) })
	}
}

func openLines(t *testing.T, engine store.Dialect) *lines {
	kinds := slices.Concat(party.Kinds(), catalog.Kinds(), communication.Kinds(), subscription.Kinds(), order.Kinds(), billing.Kinds(), receivable.Kinds(),
		spec.Kinds(), inventory.Kinds(), activation.Kinds(), fulfilment.Kinds())
	schemas := slices.Concat([]store.Schema{outbox.Schema(), work.Schema()}, communication.Schemas, subscription.Schemas, charging.Schemas, order.Schemas,
		ledger.Schemas, billing.Schemas, receivable.Schemas, spec.Schemas, inventory.Schemas, activation.Schemas, fulfilment.Schemas)
	l := &lines{desk: &desk{books: &books{t, tmftest.Open(t, tmftest.Config(t, engine, schemas, kinds), schemas, kinds)}}}
	var err error
	if l.reg, err = lab.StartHLR(context.WithoutCancel(t.Context()), lab.HLRConfig{Dir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.reg.Close() })
	seal, err := access.NewSealer(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	l.entity()
	l.must(func(tx *store.Tx) error { return l.install(tx, seal) })
	l.run(seal)
	l.api = tmftest.Serve(t, l.db, kinds)
	return l
}

// install makes known the register, what the shop of the order room sells, cards and
// numbers, and a ladder whose rungs are all on the first days, on any day of the week.
func (l *lines) install(tx *store.Tx, seal *access.Sealer) error {
	if err := activation.SaveElement(tx, activation.Element{Name: "hlr", Type: "osmo-hlr", Address: l.reg.Addr(), VTY: l.reg.VTYAddr(), Enabled: true}); err != nil {
		return err
	}
	for _, file := range []string{"network", "catalogue"} {
		if err := sellable(tx, "../order/testdata/"+file+".json"); err != nil {
			return err
		}
	}
	for _, p := range []inventory.Pool{{ID: "numbers", Kind: "msisdn", Name: "Numbers"}, {ID: "cards", Kind: "sim", Name: "Cards"}} {
		if err := inventory.NewPool(tx, p); err != nil {
			return err
		}
	}
	if _, err := inventory.AddRange(tx, "numbers", "46700000000", "46700000009"); err != nil {
		return err
	}
	var cards []inventory.SIM
	for i := range 4 {
		iccid := fmt.Sprintf("8946000000000%06d", i)
		sealed, err := seal.Seal(fmt.Appendf(nil, `{"k":"%032x","opc":"%032x"}`, i+1, i+100), fulfilment.KeysContext(iccid))
		if err != nil {
			return err
		}
		cards = append(cards, inventory.SIM{ICCID: iccid, IMSI: imsi(i), Form: inventory.Removable, Algorithm: "milenage", Sealed: sealed})
	}
	if err := inventory.AddSIMs(tx, "cards", cards); err != nil {
		return err
	}
	p := &receivable.DunningPolicy{Name: "Fast", BarOn: []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"},
		Levels: []receivable.Level{{AfterDays: 1, Action: receivable.Bar}, {AfterDays: 2, Action: receivable.Disconnect}}}
	return receivable.Policies.Create(tx, p)
}

// imsi is that of the card which the n-th line gets.
func imsi(n int) string { return fmt.Sprintf("24001%010d", n) }

func sellable(tx *store.Tx, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var all []struct {
		Kind string         `json:"kind"`
		Doc  jsontext.Value `json:"doc"`
	}
	if err := tmf.Decode(text, &all); err != nil {
		return err
	}
	kinds := map[string]func([]byte) error{
		"resource": func(doc []byte) error { return made(tx, &spec.ResourceSpecifications, doc) },
		"service":  func(doc []byte) error { return made(tx, &spec.ServiceSpecifications, doc) },
		"spec":     func(doc []byte) error { return made(tx, &catalog.Specs, doc) },
		"price":    func(doc []byte) error { return made(tx, &catalog.OfferingPrices, doc) },
		"offering": func(doc []byte) error { return made(tx, &catalog.Offerings, doc) },
	}
	for _, e := range all {
		if err := kinds[e.Kind](e.Doc); err != nil {
			return fmt.Errorf("%.60s: %w", e.Doc, err)
		}
	}
	return nil
}

func made[T any, P tmf.Pointer[T]](tx *store.Tx, k *tmf.Kind[T, P], doc []byte) error {
	p := P(new(T))
	if err := tmf.Decode(doc, p); err != nil {
		return err
	}
	return k.Create(tx, p)
}

// run starts what works in the background.
func (l *lines) run(seal *access.Sealer) {
	l.Helper()
	log := slog.New(slog.DiscardHandler)
	network := activation.New(l.db, activation.Options{Log: log, Threshold: 1000, Drivers: map[string]driver.Factory{"osmo-hlr": hlrdriver.New}})
	l.Cleanup(func() { network.Close() })
	bus := outbox.New(l.db, log)
	outbox.On(bus, "subscription", subscription.Activate)
	outbox.On(bus, "subscription", subscription.Change)
	outbox.On(bus, "subscription", subscription.Suspend)
	outbox.On(bus, "subscription", subscription.Resume)
	outbox.On(bus, "subscription", subscription.Terminate)
	outbox.On(bus, "order", order.ItemDone)
	outbox.On(bus, "order", order.FellOut)
	outbox.On(bus, "billing", billing.Begin)
	outbox.On(bus, "billing", billing.Suspend)
	outbox.On(bus, "billing", billing.Resume)
	outbox.On(bus, "billing", billing.End)
	outbox.On(bus, "receivable", receivable.Barred)
	outbox.On(bus, "receivable", receivable.Unbarred)
	runner := work.New(l.db, log, work.Config{})
	order.Handle(runner, l.db)
	receivable.Handle(runner, l.db)
	fulfilment.NewEngine(l.db, runner, network, seal, log, 8)
	if err := bus.Start(l.Context()); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(bus.Stop)
	if err := runner.Start(l.Context()); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(runner.Stop)
}

// sell sells lines to the customer of an account, and waits until they run and are billed.
func (l *lines) sell(account string, count int) (products []string) {
	l.Helper()
	for range count {
		o := &order.ProductOrder{RelatedParty: []tmf.RelatedParty{{ID: "customer-" + account, Role: "customer", ReferredType: "Customer"}}, ProductOrderItem: []order.Item{{ID: "1",
			Action: order.Add, BillingAccount: &order.Ref{ID: account}, ProductOffering: &order.Ref{ID: "mobile-s"}}}}
		l.must(func(tx *store.Tx) error { return order.Place(tx, o) })
		var p order.Progress
		l.must(func(tx *store.Tx) (err error) { p, err = order.ProgressOf(tx, o.ID); return err })
		products = append(products, p.Lines[0].Product)
		l.becomes(p.Lines[0].Product, "active", "")
		tmftest.Await(l, func() string {
			if l.count("billing_item WHERE tenant = $1 AND a_product_id = '"+p.Lines[0].Product+"' AND a_state = 'active'") > 0 {
				return ""
			}
			return "nothing of it is billed"
		})
	}
	return products
}

func (l *lines) count(from string) (n int64) {
	l.Helper()
	if err := l.db.Read(l.Context(), host, func(tx *store.Tx) error { return tx.Row("SELECT count(*) FROM " + from).Scan(&n) }); err != nil {
		l.Fatal(err)
	}
	return n
}

// becomes waits until a product has a status and its bar a state; "": it has none.
func (l *lines) becomes(product, status, bar string) {
	l.Helper()
	tmftest.Await(l, func() string {
		p := l.api.Do("host", http.MethodGet, "/tmf-api/productInventory/v4/product/"+product, nil).Object()["status"]
		if p == status && (bar == "" || l.count("receivable_bar WHERE tenant = $1 AND product = '"+product+"' AND state = '"+bar+"'") == 1) {
			return ""
		}
		return fmt.Sprintf("product %s is %v, want %s and %q", product, p, status, bar)
	})
}

// owes charges the account what is so many days overdue.
func (l *lines) owes(account string, days int) {
	l.Helper()
	l.must(func(tx *store.Tx) error {
		return receivable.Charge(tx, receivable.Claim{ID: "debt-" + account, Sort: receivable.Fee, Number: "Router", Entity: "acme", Account: account, Amount: euros(5000),
			On: now().AddDays(-days), Due: now().AddDays(-days)})
	})
}

func (l *lines) dunNow(account string) {
	l.Helper()
	l.must(func(tx *store.Tx) error { return receivable.Dun(tx, account, now()) })
}

// hold keeps back the register's answers about a card: what is ordered for its line is
// under way until it is released, however often it is tried.
func (l *lines) hold(imsi string) (reached, release func()) {
	asked, free := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	l.reg.SetFaults(func(c hlr.Command) lab.Fault {
		if strings.Contains(c.Var, imsi) {
			if first.CompareAndSwap(false, true) {
				close(asked)
			}
			return lab.Fault{Action: lab.LateReply, Until: free}
		}
		return lab.Fault{}
	})
	reached = func() {
		l.Helper()
		select {
		case <-asked:
		case <-time.After(30 * time.Second):
			l.Fatal("the register was not asked")
		}
	}
	return reached, func() { close(free) }
}

// Who pays while the network is about to bar him is served again, and stays so.
func TestWhoPaysWhileHisBarIsUnderWay(t *testing.T) {
	withLines(t, func(l *lines) {
		l.account("a", "Anna", "")
		p := l.sell("a", 1)[0]
		l.owes("a", 1)
		reached, release := l.hold(imsi(0))
		l.dunNow("a")
		reached()
		l.pays("a", 5000)
		if n := l.count("receivable_bar WHERE tenant = $1 AND state = 'barring'"); n != 1 {
			t.Errorf("%d bars are under way", n)
		}
		release()
		l.becomes(p, "active", "lifted")
		if n := l.count("receivable_bar WHERE tenant = $1 AND confirmed_at IS NOT NULL"); n != 1 {
			t.Errorf("the element has confirmed %d", n)
		}
		l.expect("a", map[string]int64{})
	})
}

// A line that its customer has suspended himself is no bar of ours, which the next payment
// would lift, though the network has not confirmed it yet; it holds up no other line.
func TestACustomersOwnSuspensionIsNoBar(t *testing.T) {
	withLines(t, func(l *lines) {
		l.account("a", "Anna", "")
		both := l.sell("a", 2)
		reached, release := l.hold(imsi(0))
		o := &order.ProductOrder{RelatedParty: []tmf.RelatedParty{{ID: "customer-a", Role: "customer", ReferredType: "Customer"}}, ProductOrderItem: []order.Item{{ID: "1", Action: order.Modify,
			Product: &order.Product{ID: both[0], Status: subscription.Suspended}}}}
		l.must(func(tx *store.Tx) error { return order.Place(tx, o) })
		reached()
		l.owes("a", 1)
		l.dunNow("a")
		l.becomes(both[1], "suspended", "barred")
		if n := l.count("receivable_bar WHERE tenant = $1"); n != 1 {
			t.Errorf("%d lines were barred while one of them was busy", n)
		}
		release()
		l.becomes(both[0], "suspended", "")
		l.pays("a", 5000)
		l.becomes(both[1], "active", "lifted")
		l.becomes(both[0], "suspended", "")
		if n := l.count("receivable_bar WHERE tenant = $1"); n != 1 {
			t.Errorf("%d lines were barred", n)
		}
	})
}

// Who pays before his lines are ended keeps them, and so does who has promised it, or whose
// card is being asked; who does not pay loses them.
func TestNobodyIsDisconnectedAfterHePaid(t *testing.T) {
	withLines(t, func(l *lines) {
		lost := map[string]string{}
		for _, a := range []string{"pays", "promises", "card", "owes"} {
			l.account(a, "Customer "+a, "")
			lost[a] = l.sell(a, 1)[0]
			l.owes(a, 2)
			l.dunNow(a)
			l.becomes(lost[a], "suspended", "barred")
		}
		l.must(func(tx *store.Tx) error { // the money comes when the job is about to run
			if err := receivable.Dun(tx, "pays", now()); err != nil {
				return err
			}
			_, err := receivable.Receive(tx, receivable.Payment{Entity: "acme", Account: "pays", Amount: euros(5000), Way: receivable.Cash})
			return err
		})
		l.must(func(tx *store.Tx) error {
			if err := receivable.Dun(tx, "promises", now()); err != nil {
				return err
			}
			return receivable.Promises.OnPost(tx, &receivable.PromiseToPay{Account: &receivable.Ref{ID: "promises"}, By: now().AddDays(3).String()})
		})
		l.must(func(tx *store.Tx) error {
			tx.Insert(`INSERT INTO receivable_attempt (tenant, id, sort, document, payment, method, account, entity, currency, amount, automatic, correlator, back_to, state, gateway, revision,
				code, ends, at)`, "try", "payment", "try", "", "visa", "card", "acme", "EUR", 5000, 0, "", "", "sent", "", 0, "", 0, 0)
			return receivable.Dun(tx, "card", now())
		})
		l.dunNow("owes")
		l.becomes(lost["owes"], "terminated", "")
		l.becomes(lost["pays"], "active", "lifted")
		for _, a := range []string{"promises", "card"} { // the job has looked, and waits
			tmftest.Await(t, func() string {
				if l.count(fmt.Sprintf("work_job WHERE tenant = $1 AND kind = 'receivable.end' AND key = '%s' AND run_at > %d", a, store.Micros(time.Now().Add(time.Minute)))) == 1 {
					return ""
				}
				return "nothing waits for " + a
			})
			l.becomes(lost[a], "suspended", "barred")
			l.pays(a, 5000)
			l.becomes(lost[a], "active", "lifted")
		}
		if n := l.count("work_job WHERE tenant = $1 AND kind = 'receivable.end'"); n != 0 {
			t.Errorf("%d jobs are to disconnect", n)
		}
	})
}

package verify_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/mobile"
	"tandem/app/verify"
	"tandem/bss/order"
	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

func TestWhatWasDoneByOrdersAgrees(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.stories()
		s := o.agrees()
		if s.Tenants != 2 || s.Products != 8 || s.Services != 7 || s.Resources != 7 || s.Orders != 15 || s.Unheard != 0 || s.OnTheWay != 0 {
			t.Errorf("seen %+v", s)
		}
	})
}

// tampering is one thing changed behind the program's back; undo makes it good.
type tampering struct {
	name  string
	do    func(o *operator, l lines) (undo func())
	kind  string
	about func(l lines) verify.Mismatch // ids that must be named
	words string                        // that must be said
	money string
}

var tamperings = []tampering{
	{name: "a recurring item is gone", kind: verify.KindBilling, money: "19.99 EUR", words: "not billed: Flat M monthly",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Product: l.plain.product} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("billing_item", "id = '"+l.plain.product+".flat-m-month'")
			o.sql("DELETE FROM billing_item WHERE tenant = $1 AND id = $2", l.plain.product+".flat-m-month")
			return undo
		}},
	{name: "a one-time item is gone", kind: verify.KindBilling, words: "not billed: Starter fee",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Product: l.prepaid.product} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("billing_item", "id = '"+l.prepaid.product+".prepaid-start-fee'")
			o.sql("DELETE FROM billing_item WHERE tenant = $1 AND id = $2", l.prepaid.product+".prepaid-start-fee")
			return undo
		}},
	{name: "an ended item of another offering is gone", kind: verify.KindBilling, money: "29.99 EUR", words: "is gone",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.grown.product, Item: l.grown.product + ".flat-m-month"}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("billing_item", "id = '"+l.grown.product+".flat-m-month'")
			o.sql("DELETE FROM billing_item WHERE tenant = $1 AND id = $2", l.grown.product+".flat-m-month")
			return undo
		}},
	{name: "billed in full while suspended", kind: verify.KindBilling, money: "29.99 EUR", words: "billed in full",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.barred.product, Item: l.barred.product + ".flat-l-month"}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("billing_item", "id = '"+l.barred.product+".flat-l-month'")
			o.doc("billing_item", l.barred.product+".flat-l-month", "a_state", "suspended", "active")
			return undo
		}},
	{name: "charging has lost a line", kind: verify.KindCharging, money: "19.99 EUR", words: "charging does not know it",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Product: l.plain.product} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("charging_line", "product = '"+l.plain.product+"'")
			o.sql("DELETE FROM charging_line WHERE tenant = $1 AND product = $2", l.plain.product)
			return undo
		}},
	{name: "charging lets a barred line go on", kind: verify.KindCharging, money: "29.99 EUR", words: "but active in charging",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Product: l.barred.product} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("charging_line", "product = '"+l.barred.product+"'")
			o.sql("UPDATE charging_line SET state = 0 WHERE tenant = $1 AND product = $2", l.barred.product)
			return undo
		}},
	{name: "billed on the word of nobody", kind: verify.KindBilling, money: "19.99 EUR", words: "does not realise the product",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.plain.product, Item: l.plain.product + ".flat-m-month"}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("billing_item", "id = '"+l.plain.product+".flat-m-month'")
			o.sql("UPDATE billing_item SET doc = $4 WHERE tenant = $1 AND id = $2 AND a_state = $3", l.plain.product+".flat-m-month", "active",
				o.replaced("billing_item", l.plain.product+".flat-m-month", l.plain.service, "another-service"))
			return undo
		}},
	{name: "the subscriber is not on the element", kind: verify.KindElement, money: "19.99 EUR", words: "does not have it",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.renumbered.product, Service: l.renumbered.service, Element: mobile.Element, Key: l.renumbered.imsi}
		},
		do: func(o *operator, l lines) func() {
			c := o.element()
			o.ok(c.Delete(o.t.Context(), l.renumbered.imsi))
			return func() {
				_, err := c.Create(o.t.Context(), l.renumbered.imsi)
				o.ok(err)
				o.ok(c.SetMSISDN(o.t.Context(), l.renumbered.imsi, l.renumbered.msisdn))
			}
		}},
	{name: "another number on the element", kind: verify.KindElement, money: "29.99 EUR", words: `msisdn is "4799" on the element`,
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.swapped.product, Service: l.swapped.service, Element: mobile.Element, Key: l.swapped.imsi}
		},
		do: func(o *operator, l lines) func() {
			c := o.element()
			o.ok(c.SetMSISDN(o.t.Context(), l.swapped.imsi, "4799"))
			return func() { o.ok(c.SetMSISDN(o.t.Context(), l.swapped.imsi, l.swapped.msisdn)) }
		}},
	{name: "barred by us, served by the element", kind: verify.KindElement, money: "29.99 EUR", words: `cs is "true" on the element and should be "false"`,
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.barred.product, Key: l.barred.imsi}
		},
		do: func(o *operator, l lines) func() {
			c := o.element()
			o.ok(c.SetCS(o.t.Context(), l.barred.imsi, true))
			return func() { o.ok(c.SetCS(o.t.Context(), l.barred.imsi, false)) }
		}},
	{name: "a stranger on the element", kind: verify.KindElement, words: "nothing that stands has put it there",
		about: func(lines) verify.Mismatch { return verify.Mismatch{Element: mobile.Element, Key: "240990000000001"} },
		do: func(o *operator, l lines) func() {
			c := o.element()
			_, err := c.Create(o.t.Context(), "240990000000001")
			o.ok(err)
			return func() { o.ok(c.Delete(o.t.Context(), "240990000000001")) }
		}},
	{name: "a terminated service comes back to the element", kind: verify.KindElement, words: "nothing that stands has put it there",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Key: l.gone.imsi} },
		do: func(o *operator, l lines) func() {
			c := o.element()
			_, err := c.Create(o.t.Context(), l.gone.imsi)
			o.ok(err)
			return func() { o.ok(c.Delete(o.t.Context(), l.gone.imsi)) }
		}},
	{name: "terminated in the inventory, left on the element", kind: verify.KindService, money: "19.99 EUR", words: "is terminated in the inventory",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Service: l.back.service, Product: l.back.product}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("inventory_service", "id = '"+l.back.service+"'")
			o.doc("inventory_service", l.back.service, "a_state", "active", "terminated")
			return undo
		}},
	{name: "active in the inventory, barred in the network", kind: verify.KindService, money: "29.99 EUR", words: "is inactive in the network, but active in the inventory",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Service: l.barred.service} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("inventory_service", "id = '"+l.barred.service+"'")
			o.doc("inventory_service", l.barred.service, "a_state", "inactive", "active")
			return undo
		}},
	{name: "back in the inventory, and nobody built it", kind: verify.KindService, money: "19.99 EUR", words: "no order that stands has built it",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Service: l.gone.service} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("inventory_service", "id = '"+l.gone.service+"'")
			o.doc("inventory_service", l.gone.service, "a_state", "terminated", "active")
			return undo
		}},
	{name: "a product ended by hand", kind: verify.KindProduct, money: "19.99 EUR", words: "is terminated, but service",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.plain.product, Service: l.plain.service}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("subscription_product", "id = '"+l.plain.product+"'")
			o.doc("subscription_product", l.plain.product, "a_status", "active", "terminated")
			return undo
		}},
	{name: "a product is gone", kind: verify.KindProduct, money: "19.99 EUR", words: "does not exist",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Product: l.plain.product, Service: l.plain.service}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("subscription_product", "id = '"+l.plain.product+"'")
			o.sql("DELETE FROM subscription_product WHERE tenant = $1 AND id = $2", l.plain.product)
			return undo
		}},
	{name: "a number assigned to nobody", kind: verify.KindPool, words: "assigned to service nobody",
		about: func(lines) verify.Mismatch { return verify.Mismatch{Key: number(200)} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("inventory_number", "value = '"+number(200)+"'")
			o.sql("UPDATE inventory_number SET state = 'assigned', holder = 'nobody' WHERE tenant = $1 AND value = $2", number(200))
			return undo
		}},
	{name: "a number in use is free in its pool", kind: verify.KindPool, money: "19.99 EUR", words: "is available in pool msisdn",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Key: l.plain.msisdn, Service: l.plain.service, Product: l.plain.product}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("inventory_number", "value = '"+l.plain.msisdn+"'")
			o.sql("UPDATE inventory_number SET state = 'available', holder = '' WHERE tenant = $1 AND value = $2", l.plain.msisdn)
			return undo
		}},
	{name: "a SIM in use is free in its pool", kind: verify.KindPool, money: "29.99 EUR", words: "the SIM is used by the service, but is available",
		about: func(l lines) verify.Mismatch {
			return verify.Mismatch{Key: l.swapped.iccid, Product: l.swapped.product}
		},
		do: func(o *operator, l lines) func() {
			undo := o.keep("inventory_sim", "iccid = '"+l.swapped.iccid+"'")
			o.sql("UPDATE inventory_sim SET state = 'available', holder = '' WHERE tenant = $1 AND iccid = $2", l.swapped.iccid)
			return undo
		}},
	{name: "an order waits for what is done", kind: verify.KindOrder, money: "19.99 EUR", words: "for open, but in the network it is completed",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Product: l.plain.product} },
		do: func(o *operator, l lines) func() {
			undo := o.keep("order_line", "product = '"+l.plain.product+"'")
			o.sql("UPDATE order_line SET state = 'open' WHERE tenant = $1 AND product = $2", l.plain.product)
			return undo
		}},
	{name: "a parked fact explains what follows from it", kind: verify.KindFact, money: "19.99 EUR", words: "could not be heard by billing in 9 attempts: no more disk",
		about: func(l lines) verify.Mismatch { return verify.Mismatch{Product: l.plain.product} },
		do: func(o *operator, l lines) func() {
			items := o.keep("billing_item", "id LIKE '"+l.plain.product+"%'")
			charges := o.keep("billing_charge", "product = '"+l.plain.product+"'")
			o.sql("DELETE FROM billing_item WHERE tenant = $1 AND a_product_id = $2", l.plain.product)
			o.sql("DELETE FROM billing_charge WHERE tenant = $1 AND product = $2", l.plain.product)
			o.sql(`INSERT INTO outbox_parked (tenant, hearer, seq, name, key, body, told_at, error, attempts, next_at, at)
				VALUES ($1, 'billing', 1, 'ProductActive', $2, $3, 1, 'no more disk', 9, 4000000000000000, 1)`, l.plain.product, `{"product":"`+l.plain.product+`"}`)
			return func() {
				o.sql("DELETE FROM outbox_parked WHERE tenant = $1 AND seq = 1")
				items()
				charges()
			}
		}},
}

func (o *operator) ok(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// replaced is a document with one text in place of another.
func (o *operator) replaced(table, id, from, to string) (doc string) {
	o.t.Helper()
	o.read(func(tx *store.Tx) error {
		var b []byte
		err := tx.Row("SELECT doc FROM "+table+" WHERE tenant = $1 AND id = $2", id).Scan(&b)
		doc = strings.ReplaceAll(string(b), from, to)
		return err
	})
	return doc
}

func TestEachTamperingIsFoundAloneWithItsMoney(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		l := o.stories()
		for _, c := range tamperings {
			t.Run(c.name, func(t *testing.T) {
				undo := c.do(o, l)
				found, s := o.verify(20 * time.Millisecond)
				undo()
				c.check(t, l, found, s)
			})
		}
		o.agrees() // all was made good
	})
}

func (c tampering) check(t *testing.T, l lines, found []verify.Mismatch, s verify.Summary) {
	t.Helper()
	if len(found) != 1 {
		t.Fatalf("%d mismatches instead of one:\n%v", len(found), found)
	}
	m, want := found[0], c.about(l)
	for _, f := range [][2]string{{m.Kind, c.kind}, {m.Product, want.Product}, {m.Service, want.Service}, {m.Item, want.Item}, {m.Element, want.Element}, {m.Key, want.Key}} {
		if f[1] != "" && f[0] != f[1] {
			t.Errorf("%q instead of %q in %s", f[0], f[1], m)
		}
	}
	if !strings.Contains(m.Words, c.words) {
		t.Errorf("%q is not said in %s", c.words, m)
	}
	want1 := "1 mismatch"
	if c.money != "" {
		want1 += ", " + c.money + " a month at stake"
	}
	if err := s.Err(); err == nil || err.Error() != want1 {
		t.Errorf("the end is %v, want %s", err, want1)
	}
	if line := m.String(); strings.Contains(line, "\n") || c.money != "" && !strings.HasSuffix(line, "["+c.money+" a month]") {
		t.Errorf("the line is %q", line)
	}
}

func TestAFactThatNobodyCanHear(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.write(brand, func(tx *store.Tx) error {
			outbox.Tell(tx, fact.ServiceActive{Service: "ghost", External: fact.External{Product: "nowhere"}, At: tx.Now()})
			return nil
		})
		o.settled()
		found, _ := o.verify(20 * time.Millisecond)
		if len(found) != 1 || found[0].Kind != verify.KindFact || found[0].Product != "nowhere" || found[0].Money != nil || !strings.Contains(found[0].Words, "ServiceActive") {
			t.Errorf("found %v", found)
		}
	})
}

func TestOrdersOfTomorrowStandStillOnlyWithoutTheirTimers(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		id := o.place(order.Item{Action: order.Add, ProductOffering: &order.Ref{ID: mobile.FlatM}}, time.Now().Add(24*time.Hour))
		o.agrees()
		o.sql("UPDATE work_job SET state = 'parked', last_error = 'gave up' WHERE tenant = $1 AND kind = 'fulfilment.task'")
		found, s := o.verify(20 * time.Millisecond)
		if len(found) != 1 || found[0].Kind != verify.KindJob || found[0].Order != id || s.Err().Error() != "1 mismatch, 19.99 EUR a month at stake" {
			t.Errorf("a parked job: %v, %v", found, s.Err())
		}
		o.sql("DELETE FROM work_job WHERE tenant = $1 AND kind = 'fulfilment.task'")
		found, _ = o.verify(20 * time.Millisecond)
		if len(found) != 1 || found[0].Kind != verify.KindOrder || found[0].Order != id || !strings.Contains(found[0].Words, "no job will do it") {
			t.Errorf("without its job: %v", found)
		}
		o.sql("DELETE FROM work_job WHERE tenant = $1 AND kind = 'fulfilment.start'")
		found, _ = o.verify(20 * time.Millisecond)
		if len(found) != 1 || !strings.Contains(found[0].Words, "no timer waits for it") {
			t.Errorf("without its timer: %v", found)
		}
	})
}

func TestAnElementThatCannotBeAskedIsAMismatchOfItsOwn(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		o.sell(mobile.FlatM)
		if err := o.Lab.Close(); err != nil {
			t.Fatal(err)
		}
		found, _ := o.verify(20 * time.Millisecond)
		if len(found) != 1 || found[0].Kind != verify.KindElement || found[0].Element != mobile.Element || !strings.Contains(found[0].Words, "could not be asked") {
			t.Errorf("found %v", found)
		}
	})
}

// What is on its way is no mismatch: verifications run while orders of all kinds
// pass through.
func TestABusyNodeHasNoMismatch(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		const many = 120
		placed := make(chan struct{})
		go func() {
			defer close(placed)
			for range many {
				o.place(order.Item{Action: order.Add, ProductOffering: &order.Ref{ID: mobile.FlatM}}, time.Time{})
			}
		}()
		rounds := 0
		for busy := true; busy; rounds++ {
			select {
			case <-placed:
				busy = false // the last round sees the end of the work
			default:
			}
			if found, _ := o.verify(400 * time.Millisecond); len(found) > 0 {
				t.Errorf("round %d: %d mismatches, %s", rounds, len(found), found[0])
			}
		}
		<-placed
		o.settled()
		if s := o.agrees(); s.Products != many || s.Resources != many {
			t.Errorf("seen %+v", s)
		}
	})
}

// A stopped store is verified on the lab's own state, and nothing runs meanwhile:
// facts told and not yet heard stay so.
func TestAStoppedStoreIsVerifiedWithoutRunningIt(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		l := o.stories()
		o.App.Stop()
		o.stopped(nil)
		a, err := app.Open(t.Context(), app.Config{Data: o.config.Data, Database: o.config.Database, Log: o.config.Log})
		if err != nil {
			t.Fatal(err)
		}
		o.App = a
		o.write(brand, func(tx *store.Tx) error { // as a node that was killed would leave it
			outbox.Tell(tx, fact.ProductSuspended{Product: l.plain.product, Service: l.plain.service, At: tx.Now()})
			return nil
		})
		o.doc("subscription_product", l.plain.product, "a_status", "active", "pendingActive")
		o.doc("subscription_product", l.back.product, "a_status", "active", "pendingActive")
		a.Stop()
		s := o.stopped([]string{l.back.product})
		if s.Unheard != 1 || s.OnTheWay != 1 {
			t.Errorf("one fact about one product is unheard; seen %+v", s)
		}
	})
}

// stopped verifies the store as the command does and compares the products found.
func (o *operator) stopped(products []string) verify.Summary {
	o.t.Helper()
	a, err := app.Open(o.t.Context(), app.Config{Data: o.config.Data, Database: o.config.Database, Log: o.config.Log})
	if err != nil {
		o.t.Fatal(err)
	}
	defer a.Stop()
	o.ok(a.StartElements(o.t.Context()))
	var got []string
	s, err := a.Verify(o.t.Context(), func(string) {}, func(m verify.Mismatch) error {
		o.t.Log(m)
		got = append(got, m.Product)
		return nil
	})
	o.ok(err)
	if fmt.Sprint(got) != fmt.Sprint(products) {
		o.t.Errorf("found %v, want %v", got, products)
	}
	if s.Resources != 7 {
		o.t.Errorf("the lab listed %d subscribers of 7", s.Resources)
	}
	return s
}

func TestTheReportOfARunningNode(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		l := o.sell(mobile.FlatM)
		o.ok(o.element().Delete(t.Context(), l.imsi))
		w := o.send(host, token, http.MethodGet, "/verify/v1/report", nil)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/x-ndjson" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		var mismatches, progress int
		var sum *verify.Summary
		for in := bufio.NewScanner(w.Body); in.Scan(); {
			var r app.ReportLine
			if err := tmf.Decode(in.Bytes(), &r); err != nil || sum != nil {
				t.Fatalf("%s: %v", in.Text(), err)
			}
			switch {
			case r.Mismatch != nil && r.Mismatch.Product == l.product && r.Mismatch.Key == l.imsi:
				mismatches++
			case r.Summary != nil:
				sum = r.Summary
			case r.Progress != "":
				progress++
			default:
				t.Errorf("unexpected %s", in.Text())
			}
		}
		if mismatches != 1 || progress == 0 || sum == nil || sum.Err() == nil || sum.Err().Error() != "1 mismatch, 19.99 EUR a month at stake" {
			t.Errorf("%d mismatches, %d lines of progress, summary %+v", mismatches, progress, sum)
		}
	})
}

func TestOnlyAHostMayReadTheReport(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		if w := o.send(host, "no token that anybody has", http.MethodGet, "/verify/v1/report", nil); w.Code != http.StatusUnauthorized {
			t.Errorf("a stranger: %d %s", w.Code, w.Body)
		}
		login := func(tenant, role string) string {
			user := map[string]any{"id": "ann", "password": "correct horse battery", "roles": []string{role}}
			if w := o.send(tenant, token, http.MethodPost, "/access/v1/users", user); w.Code != http.StatusCreated {
				t.Fatalf("user: %d %s", w.Code, w.Body)
			}
			w := o.send(tenant, "", http.MethodPost, "/access/v1/login", map[string]any{"tenant": tenant, "user": "ann", "password": "correct horse battery"})
			var in struct {
				Token string `json:"token"`
			}
			if err := tmf.Decode(w.Body.Bytes(), &in); err != nil || in.Token == "" {
				t.Fatalf("login: %d %s", w.Code, w.Body)
			}
			return in.Token
		}
		for _, c := range []struct{ tenant, role, code string }{{brand, "admin", "hostOnly"}, {host, "agent", "notAllowed"}} {
			w := o.send(c.tenant, login(c.tenant, c.role), http.MethodGet, "/verify/v1/report", nil)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), c.code) {
				t.Errorf("%s of %s: %d %s", c.role, c.tenant, w.Code, w.Body)
			}
		}
	})
}

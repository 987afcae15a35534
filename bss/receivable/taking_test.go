package receivable_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/bss/party"
	"tandem/bss/receivable"
	"tandem/edge/card/cardtest"
	"tandem/fact"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// token leaves a card with an account that is charged by itself. No gateway is asked at a
// desk: attempts stay as they are minted.
func (d *desk) token(account string) string {
	d.Helper()
	yes := true
	m := &receivable.PaymentMethod{Name: "Visa", Token: "tok_" + account + "xxxxxxxx", Account: []receivable.Ref{{ID: account}}, IsPreferred: &yes}
	m.Type = "TokenizedCard"
	return tmftest.Must[receivable.PaymentMethod](d.api, "host", http.MethodPost, methods, m).ID
}

func (d *desk) count(from string, args ...any) (n int64) {
	d.Helper()
	d.must(func(tx *store.Tx) error { return tx.Row("SELECT count(*) FROM "+from, args...).Scan(&n) })
	return n
}

// attempts is how often the cards of an account were charged.
func (d *desk) attempts(account string) int64 {
	d.Helper()
	return d.count("receivable_attempt WHERE tenant = $1 AND account = $2", account)
}

func (d *desk) chargeDue(account string) func(tx *store.Tx) error {
	return func(tx *store.Tx) error { return receivable.ChargeDue(tx, account, d.day()) }
}

func byCard(account, method string, bills ...string) *receivable.PaymentResource {
	amount, err := euros(1000).Rate()
	if err != nil {
		panic(err)
	}
	p := &receivable.PaymentResource{Account: &receivable.Ref{ID: account}, TotalAmount: &amount, PaymentMethod: &receivable.Method{ID: method}}
	for _, b := range bills {
		p.PaymentItem = append(p.PaymentItem, receivable.PaymentItem{Item: &receivable.Ref{ID: b}})
	}
	return p
}

func (d *desk) send(body any, path, code string) {
	d.Helper()
	got := d.api.Send("host", http.MethodPost, path, body)
	if code == "" && got.Status != http.StatusCreated || code != "" && got.Object()["code"] != code {
		d.Errorf("%s: %d %s, want %q", path, got.Status, got.Body, code)
	}
}

// meanwhile does the second thing when the first is done and not committed: as far as it
// gets, which is to its end where nothing holds it up. SQLite has one writer: there it
// begins after the commit.
func (d *desk) meanwhile(first, second func(tx *store.Tx) error) (err error) {
	d.Helper()
	var sqlite bool
	var once sync.Once // a transaction may be done again
	ended := make(chan struct{})
	d.must(func(tx *store.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		if sqlite = tx.Dialect() == store.SQLite; sqlite {
			return nil
		}
		if err := tx.Flush(); err != nil {
			return err
		}
		once.Do(func() {
			go func() {
				defer close(ended)
				err = d.write(second)
			}()
		})
		tmftest.Await(d, func() string {
			select {
			case <-ended:
				return ""
			default:
			}
			var waiting int64
			if err := d.db.Read(d.Context(), host, func(tx *store.Tx) error {
				return tx.System().Row("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
			}); err != nil || waiting > 0 {
				return ""
			}
			return "the second thing neither ended nor waits"
		})
		return nil
	})
	if sqlite {
		return d.write(second)
	}
	<-ended
	return err
}

// A customer pays by hand, his card is charged by itself and his bank is sent a file, all at
// the same time on several nodes: one of them takes the money.
func TestWhoeverAsksTakesTheMoneyOnce(t *testing.T) {
	desks(t, func(d *desk) {
		ways := func(account string) map[string]func(tx *store.Tx) error {
			m := d.token(account)
			return map[string]func(tx *store.Tx) error{
				"hand": func(tx *store.Tx) error { return receivable.Payments.OnPost(tx, byCard(account, m, "1-"+account)) },
				"amount": func(tx *store.Tx) error {
					p := byCard(account, m)
					p.CorrelatorID = account
					return receivable.Payments.OnPost(tx, p)
				},
				"auto": d.chargeDue(account),
				"file": func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err },
			}
		}
		for _, pair := range []struct{ first, second, code string }{
			{"hand", "auto", ""}, {"amount", "auto", ""}, {"auto", "hand", "underWay"}, {"auto", "amount", "underWay"}, {"amount", "hand", "underWay"},
			{"hand", "file", "nothingToCollect"}, {"amount", "file", "nothingToCollect"}, {"auto", "file", "nothingToCollect"}, {"file", "hand", "atBank"}, {"file", "auto", ""},
		} {
			account := pair.first + "-" + pair.second
			d.account(account, "Customer "+account, ibans[0])
			d.bill("1-"+account, account, 1000, d.day(), "")
			of := ways(account)
			err := d.meanwhile(of[pair.first], of[pair.second])
			if pair.code != "" {
				d.refused(err, pair.code)
			} else if err != nil {
				t.Errorf("%v: %v", pair, err)
			}
			if cards, bank := d.attempts(account), d.count("receivable_collection WHERE tenant = $1 AND account = $2", account); cards+bank != 1 {
				t.Errorf("%s while %s: %d card payments and %d collections of one bill", pair.second, pair.first, cards, bank)
			}
		}
	})
}

// Whoever presses the button twice, or after his card was charged by itself or his bank was
// asked, pays once.
func TestAButtonPressedTwicePaysOnce(t *testing.T) {
	desks(t, func(d *desk) {
		for i, a := range []string{"a", "b", "c"} {
			d.account(a, "Customer "+a, map[string]string{"b": ibans[i]}[a])
			d.bill("1"+a, a, 1000, d.day(), "")
		}
		a, b, c := d.token("a"), d.token("b"), d.token("c")
		press := byCard("a", a)
		d.send(press, payments, "noCorrelator")
		press.CorrelatorID = "click-1"
		d.send(press, payments, "")
		d.send(press, payments, "alreadyTaken")
		press.CorrelatorID = "click-2"
		d.send(press, payments, "underWay")
		d.send(byCard("a", a, "1a"), payments, "underWay")
		d.must(d.chargeDue("a"))
		d.must(d.chargeDue("c"))
		d.send(byCard("c", c, "1c"), payments, "underWay")
		d.collect()
		d.must(d.chargeDue("b"))
		d.send(byCard("b", b, "1b"), payments, "atBank")
		for account, want := range map[string]int64{"a": 1, "b": 0, "c": 1} {
			if n := d.attempts(account); n != want {
				t.Errorf("%s was charged %d times, want %d", account, n, want)
			}
		}
		d.on(20) // the bank has said nothing for too long
		d.send(byCard("b", b, "1b"), payments, "")
	})
}

// collectBy writes how a legal entity collects.
func (d *desk) collectBy(terms string) {
	d.Helper()
	d.must(func(tx *store.Tx) error {
		_, err := billing.LegalEntities.Edit(tx, "acme", func(e *billing.LegalEntity) error {
			e.Extra = []byte(`{"tandem:collect":` + terms + `}`)
			return nil
		})
		return err
	})
}

func (d *desk) scheduled() {
	d.Helper()
	for done := false; !done; {
		d.must(func(tx *store.Tx) (err error) { done, err = receivable.CollectScheduled(tx, "acme"); return err })
	}
}

// Who was given time, or told that his bank will pay, is not charged by card meanwhile.
func TestACardIsNotChargedAgainstOurWord(t *testing.T) {
	desks(t, func(d *desk) {
		d.collectBy(`{"automatic":true,"daysBefore":1,"noticeDays":7}`)
		for _, a := range []string{"promised", "paused", "told"} {
			d.account(a, "Customer "+a, map[string]string{"told": ibans[0]}[a])
			d.bill("1"+a, a, 1000, d.day().AddDays(-1), "")
			d.token(a)
		}
		d.post("promiseToPay", object{"account": ref("promised"), "by": d.day().AddDays(3).String()})
		d.post("dunningDecision", object{"account": ref("paused"), "decision": "pause", "until": d.day().AddDays(3).String(), "reason": "Our outage"})
		d.scheduled()
		charged := func(want int64) {
			t.Helper()
			for _, a := range []string{"promised", "paused", "told"} {
				d.must(d.chargeDue(a))
				if n := d.attempts(a); n != want {
					t.Errorf("%s was charged %d times, want %d", a, n, want)
				}
			}
		}
		charged(0)
		d.on(3)
		charged(0)
		d.on(1)
		tmftest.Must[receivable.Mandate](d.api, "host", http.MethodPatch, receivables+"mandate/M-told", object{"state": "stopped", "reason": "He asked for it"})
		charged(1)
	})
}

// No text of a payment, refund or payment method keeps a card number, and accounts at banks
// are kept masked.
func TestNumbersAreNotKept(t *testing.T) {
	const number = "4111 1111 1111 1111"
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		method := func(with object) object {
			m := object{"@type": "tokenizedCard", "name": "Visa", "token": "tok_abcdefghijkl", "account": []object{ref("a")}}
			for k, v := range with {
				m[k] = v
			}
			return m
		}
		d.send(method(object{"accountNumber": number}), methods, "")
		for _, with := range []object{{"owner": number}, {"bank": number}, {"issuer": number}, {"brand": number}, {"cardType": number}, {"BIC": number}, {"expirationDate": number},
			{"tokenType": number}, {"name": number}, {"relatedParty": object{"id": "x", "name": number}}, {"pan": number}, {"account": []object{{"id": "a", "name": number}}}} {
			d.send(method(with), methods, "cardNumber")
		}
		d.send(method(object{"owner": strings.Repeat("x", 2001)}), methods, "tooLong")
		d.send(method(object{"lastFourDigits": "41111111"}), methods, "lastFourDigits")
		paid := func(with, by object) object {
			m := object{"account": ref("a"), "totalAmount": object{"unit": "EUR", "value": 9}, "paymentMethod": object{"@type": "bankAccountTransfer"}}
			for k, v := range with {
				m[k] = v
			}
			for k, v := range by {
				m["paymentMethod"].(object)[k] = v
			}
			return m
		}
		d.send(paid(object{"description": number}, nil), payments, "cardNumber")
		d.send(paid(nil, object{"accountNumber": number}), payments, "cardNumber")
		d.send(paid(nil, object{"pan": number}), payments, "cardNumber")
		d.send(paid(object{"correlatorId": "1"}, object{"accountNumber": ibans[0]}), payments, "")
		d.send(paid(object{"correlatorId": "2"}, object{"accountNumber": "12345678901234567890"}), payments, "")
		var id string
		d.must(func(tx *store.Tx) error {
			return tx.Row("SELECT id FROM receivable_payment WHERE tenant = $1 AND external = '1'").Scan(&id)
		})
		d.send(paid(object{"payment": ref(id), "description": number}, nil), refunds, "cardNumber")
		d.send(paid(object{"payment": ref(id)}, object{"@type": "cash", "accountNumber": ibans[0]}), refunds, "")
		for _, table := range []string{"receivable_method_doc", "receivable_payment_doc", "receivable_refund_doc"} {
			for _, secret := range []string{"4111", ibans[0], "1234567890"} {
				if n := d.count(table+" WHERE tenant = $1 AND CAST(doc AS TEXT) LIKE $2", "%"+secret+"%"); n != 0 {
					t.Errorf("%d rows of %s have %s", n, table, secret)
				}
			}
		}
	})
}

// Brands that share a gateway share the address at which it tells its news: each gets its own.
func TestASharedGatewayTellsTheRightBrand(t *testing.T) {
	tills(t, func(c *till) {
		blue := store.Scope{Tenant: "blue", Actor: "user:bob"}
		must := func(fn func(tx *store.Tx) error) {
			t.Helper()
			if err := c.db.Write(t.Context(), blue, fn); err != nil {
				t.Fatal(err)
			}
		}
		must(func(tx *store.Tx) error {
			yes := true
			e := &billing.LegalEntity{Name: "Blue", Address: &billing.PostalAddress{Country: "DE"}, IsDefault: &yes}
			e.ID = "blue"
			if err := billing.LegalEntities.Create(tx, e); err != nil {
				return err
			}
			person := &party.Individual{GivenName: "Bea", FamilyName: "x"}
			person.ID = "person-bea"
			if err := party.Individuals.Create(tx, person); err != nil {
				return err
			}
			customer := &party.Customer{Name: "Bea", EngagedParty: &tmf.RelatedParty{ID: person.ID, ReferredType: "Individual"}}
			customer.ID = "bea"
			if err := party.Customers.Create(tx, customer); err != nil {
				return err
			}
			a := &billing.BillingAccount{Currency: "EUR", AccountTerms: billing.AccountTerms{Name: "Bea", RelatedParty: []tmf.RelatedParty{{ID: "bea", Role: "customer", ReferredType: "Customer"}}}}
			a.ID = "a"
			if err := billing.BillingAccounts.Create(tx, a); err != nil {
				return err
			}
			if err := ledger.Post(tx, ledger.Transaction{Name: "bill/1", Entity: "blue", Currency: euros(1).Currency, Date: now(), What: "Bill", Entries: []ledger.Entry{
				{Account: ledger.Receivable, Party: "a", Amount: 5000}, {Account: ledger.Of(ledger.Revenue, "4400"), Amount: -5000}}}); err != nil {
				return err
			}
			return receivable.Posted(tx, fact.BillsPosted{Entity: "blue", Bills: []fact.PostedBill{{Bill: "1", Number: "B-1", Account: "a", Currency: "EUR", Gross: 5000,
				IssuedOn: now().String(), Due: now().AddDays(9).String()}}})
		})
		m := &receivable.PaymentMethod{Name: "Visa", Token: c.gateway.Card(cardtest.Behaviour{}), Account: []receivable.Ref{{ID: "a"}}}
		m.Type = "TokenizedCard"
		m = tmftest.Must[receivable.PaymentMethod](c.api, "blue", http.MethodPost, methods, m)
		p := tmftest.Must[receivable.PaymentResource](c.api, "blue", http.MethodPost, payments, c.request("a", m.ID, 5000, "1"))
		tmftest.Await(t, func() string {
			return strings.TrimPrefix(tmftest.Must[receivable.PaymentResource](c.api, "blue", http.MethodGet, payments+"/"+p.ID, nil).Status, "done")
		})
		if err := c.gateway.Dispute(c.gateway.Payments()[0], "fraudulent", 0); err != nil {
			t.Fatal(err)
		}
		c.webhooks(3, 11) // to the address of host
		of := func(tenant, from string) (n int64) {
			t.Helper()
			if err := c.db.Read(t.Context(), store.Scope{Tenant: tenant, Actor: "test"}, func(tx *store.Tx) error {
				return tx.Row("SELECT count(*) FROM " + from + " WHERE tenant = $1").Scan(&n)
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		tmftest.Await(t, func() string {
			if of("blue", "receivable_chargeback") == 1 {
				return ""
			}
			return "the dispute is not booked"
		})
		if n := of("host", "receivable_gateway_event"); n != 0 {
			t.Errorf("%d messages are with the other brand", n)
		}
	})
}

func TestOneGatewayUnderTwoNamesIsRefused(t *testing.T) {
	g := &receivable.CardGateway{URL: "https://gateway.example", Key: "secret-key-of-the-gateway", Webhook: []string{"secret-of-the-webhooks-of-the-gateway"}}
	for _, c := range []receivable.CardConfig{{Gateway: g, Brand: map[string]*receivable.CardGateway{"blue": g}}, {Brand: map[string]*receivable.CardGateway{"blue": g, "red": g}}} {
		_, closing, err := c.Open()
		closing()
		if err == nil || !strings.Contains(err.Error(), "have it be the general one") || strings.Contains(err.Error(), g.Key) {
			t.Errorf("%v", err)
		}
	}
}

// A mandate that the bank stopped is no way to pay: neither for us nor for who looks at it.
func TestAStoppedMandateIsNoWayToPay(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		m := &receivable.PaymentMethod{Name: "My bank", AccountNumber: ibans[0], Owner: "Anna", Account: []receivable.Ref{{ID: "a"}}, SignatureDate: "2026-01-05"}
		m.Type, m.MandateID = "directDebit", "M-a"
		id := tmftest.Must[receivable.PaymentMethod](d.api, "host", http.MethodPost, methods, m).ID
		is := func(status, mandate, reason string) {
			t.Helper()
			got := tmftest.Must[receivable.PaymentMethod](d.api, "host", http.MethodGet, methods+"/"+id, nil)
			if got.Status != status || got.MandateStatus != mandate || !strings.HasPrefix(got.StatusReason, reason) || reason == "" && got.StatusReason != "" {
				t.Errorf("the method is %s, its mandate %s (%s); want %s, %s (%s)", got.Status, got.MandateStatus, got.StatusReason, status, mandate, reason)
			}
		}
		d.bill("1", "a", 1000, d.day(), "")
		d.bank.Reject(ibans[0], "AC04")
		d.collect()
		is("suspended", "stopped", "AC04")
		if got := d.api.Send("host", http.MethodPatch, methods+"/"+id, object{"status": "active"}); got.Object()["code"] != "mandateNotActive" {
			t.Errorf("%s", got.Body)
		}
		d.refused(d.write(func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err }), "nothingToCollect")
		tmftest.Must[receivable.Mandate](d.api, "host", http.MethodPatch, receivables+"mandate/M-a", object{"state": "active", "reason": "The bank was wrong"})
		is("active", "active", "")
		d.bank.Reject(ibans[0], "")
		d.collect()
		tmftest.Must[receivable.PaymentMethod](d.api, "host", http.MethodPatch, methods+"/"+id, object{"status": "cancelled", "statusReason": "I pay by hand"})
		is("cancelled", "stopped", "I pay by hand")
		if got := d.state("mandate", "M-a"); got != "stopped" {
			t.Errorf("the mandate is %v", got)
		}
	})
}

// Nobody is told of what will not be collected, and nobody is collected from by a mandate
// that he was not told of.
func TestCustomersAreToldOfWhatIsCollected(t *testing.T) {
	desks(t, func(d *desk) {
		for i, a := range []string{"a", "b"} {
			d.account(a, "Customer "+a, ibans[i])
			d.bill("1"+a, a, 1000, d.day(), "")
		}
		d.post("dispute", object{"claim": ref("1b"), "reason": "I was in hospital"})
		d.collectBy(`{"automatic":false,"noticeDays":7}`)
		collect := func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err }
		d.refused(d.write(collect), "invalidCollect")
		d.collectBy(`{"automatic":true,"daysBefore":1,"noticeDays":7}`)
		d.scheduled()
		if a, b := d.count("receivable_prenotice WHERE tenant = $1 AND claim = '1a'"), d.count("receivable_prenotice WHERE tenant = $1 AND claim = '1b'"); a != 1 || b != 0 {
			t.Errorf("told %d times of what is collected, %d of what is disputed", a, b)
		}
		d.on(6) // he was told of the next day
		tmftest.Must[receivable.Mandate](d.api, "host", http.MethodPatch, receivables+"mandate/M-a", object{"state": "stopped", "reason": "Another account"})
		d.mandate("M-a2", "a", ibans[2])
		d.refused(d.write(collect), "nothingToCollect")
		d.scheduled()
		d.refused(d.write(collect), "nothingToCollect")
		d.on(8)
		d.must(collect)
		if n := d.count("receivable_collection WHERE tenant = $1 AND mandate = 'M-a2'"); n != 1 {
			t.Errorf("%d collections under the mandate that he was told of", n)
		}
	})
}

// A mandate that was not used for too long is named, to who wonders why nothing is collected.
func TestAnOldMandateIsNamed(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		m := mandateOf("M-old", "a", ibans[0])
		m.Signed = d.day().AddMonths(-37).String()
		tmftest.Must[receivable.Mandate](d.api, "host", http.MethodPost, receivables+"mandate", m)
		d.bill("1", "a", 1000, d.day(), "")
		got := d.api.Send("host", http.MethodPost, receivables+"directDebitFile", &receivable.DirectDebitFile{LegalEntity: &receivable.Ref{ID: "acme"}})
		if got.Object()["code"] != "nothingToCollect" || !strings.Contains(string(got.Body), "M-old") || !strings.Contains(string(got.Body), "36 months") {
			t.Errorf("%s", got.Body)
		}
		d.collectBy(`{"automatic":true,"noticeDays":0}`)
		d.scheduled()
		if got := d.state("mandate", "M-old"); got != "expired" {
			t.Errorf("after the daily round the mandate is %v", got)
		}
	})
}

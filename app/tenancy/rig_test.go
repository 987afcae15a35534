// Package tenancy proves on a whole node, over all kinds of resources and on both
// stores, that a tenant reaches nothing of another, that a permission is exactly
// what it says, and that nothing is written without a line of history.
//
//	tenant A: a resource of every kind, ──x──>  every byte that B receives
//	full of A's own marks                       (routes, lists, errors, events, files)
package tenancy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/apptest"
	"tandem/app/mobile"
	"tandem/bss/billing"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/edge/sepa/sepatest"
	"tandem/fact"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const superuser = "a-superuser-token-for-tests"

// rig is a node with three tenants: alpha owns the network, beta and gamma are guests.
type rig struct {
	*testing.T
	app *app.App
	dir string
}

func each(t *testing.T, f func(r *rig)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			data, database := apptest.Store(t, engine)
			r := &rig{T: t, dir: data}
			a, err := app.New(t.Context(), app.Config{Data: data, Database: database, AdminToken: superuser, Tenant: "alpha",
				AllowLocal: true, Lab: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(a.Stop)
			if err := a.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.app = a
			for _, guest := range []string{"beta", "gamma"} {
				r.must(201, r.as(superuser, "POST", "/access/v1/tenants", map[string]any{"id": guest, "name": guest}))
			}
			f(r)
		})
	}
}

// who sends requests: a token, and for the superuser a tenant.
type who struct {
	*rig
	token, tenant string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) object() map[string]any {
	var m map[string]any
	_ = json.Unmarshal(a.body, &m) // a wrong body shows in what is then compared
	return m
}

func (a answer) list() (l []map[string]any) {
	_ = json.Unmarshal(a.body, &l) // the same
	return l
}

func (r *rig) as(token, method, path string, body any) answer {
	return who{r, token, ""}.do(method, path, body)
}

// admin is an API token of a tenant with its admin's role.
func (r *rig) admin(tenant, id string, roles ...string) who {
	r.Helper()
	in := map[string]any{"id": id, "roles": append(roles, "admin")[:max(1, len(roles))]}
	a := who{r, superuser, tenant}.do("POST", "/access/v1/tokens", in)
	r.must(201, a)
	return who{r, a.object()["token"].(string), ""}
}

func (w who) do(method, path string, body any, header ...string) answer {
	w.Helper()
	var data []byte
	switch b := body.(type) {
	case nil:
	case string:
		data = []byte(b)
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			w.Fatal(err)
		}
	}
	req := httptest.NewRequestWithContext(w.Context(), method, "http://node", bytes.NewReader(data))
	if err := parsePath(req, path); err != nil {
		w.Fatalf("%s: %v", path, err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if w.tenant != "" {
		req.Header.Set("Tandem-Tenant", w.tenant)
	}
	if data != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	w.app.Handler().ServeHTTP(rec, req)
	return answer{rec.Code, rec.Header(), rec.Body.Bytes()}
}

// parsePath sets the path and query as they would come over the wire.
func parsePath(req *http.Request, path string) (err error) {
	req.RequestURI = path
	req.URL, err = req.URL.Parse(path)
	return err
}

func (r *rig) must(want int, a answer) answer {
	r.Helper()
	if a.status != want {
		r.Fatalf("%d %s, want %d", a.status, a.body, want)
	}
	return a
}

// settle waits until what runs in the background has nothing left to do.
func (r *rig) settle() {
	r.Helper()
	for range 3 { // facts make work, work tells facts
		if err := r.app.Runner.Idle(r.Context()); err != nil {
			r.Fatal(err)
		}
		if err := r.app.Bus.Idle(r.Context()); err != nil {
			r.Fatal(err)
		}
		if err := r.app.Charging.Idle(r.Context()); err != nil {
			r.Fatal(err)
		}
	}
}

// marks are what makes a tenant's data known again: the beginning of its ids, its
// texts, and the digits of its numbers and cards.
type marks struct{ id, text, digits string }

func (m marks) all() []string { return []string{m.id, m.text, m.digits} }

// bodies are those of the conformance check, and of the kinds it does not know.
func bodies(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	data, err := os.ReadFile("../../test/tmfcheck/bodies.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	own := `{
		"TMF685.resourcePool": {"kind": "vlan"},
		"TMF685.reservation": {"reservationItem": [{"quantity": 1, "resourceCapacity": {"resourcePool": {"id": "vlans"}}}]},
		"TMF685.availabilityCheck": {"resourceCapacity": {"resourcePool": {"id": "vlans"}}},
		"TMF685.push": {"resourcePool": {"id": "vlans"}, "resource": [{"id": "{{t}}{{n}}"}]},
		"TMF685.extract": {"resourcePool": {"id": "vlans"}, "resource": [{"id": "{{t}}spare"}]},
		"TMF654.topupBalance": {"amount": {"amount": 5, "units": "EUR"}, "logicalResource": [{"id": "4915100090"}], "reason": "{{t}}"},
		"TMF654.adjustBalance": {"amount": {"amount": 5, "units": "EUR"}, "logicalResource": [{"id": "4915100090"}], "reason": "{{t}}"},
		"TMF654.transferBalance": {"amount": {"amount": 1, "units": "EUR"}, "logicalResource": [{"id": "4915100090"}], "receiverLogicalResource": {"id": "4915100091"}, "reason": "{{t}}"},
		"TMF654.reserveBalance": {"amount": {"amount": 1, "units": "EUR"}, "logicalResource": [{"id": "4915100090"}], "reason": "{{t}}"},
		"TMF677.queryUsageConsumption": {"searchCriteria": {"logicalResource": [{"id": "4915100090"}]}, "description": "{{t}}"},
		"TMF635.usage": {"usageType": "sms", "usageCharacteristic": [{"name": "msisdn", "value": "4915100090"}, {"name": "events", "value": 1}]},
		"CHARGING.limitChange": {"product": {"id": "line90"}, "limit": "Data abroad", "amount": {"amount": 20, "units": "EUR"}, "reason": "{{t}}"},
		"CHARGING.creditLimitChange": {"product": {"id": "line90"}, "amount": {"amount": 90, "units": "EUR"}, "reason": "{{t}}"},
		"CHARGING.balanceStatement": {"product": {"id": "line90"}},
		"CHARGING.voucherBatch": {"count": 2, "amount": {"amount": 5, "units": "EUR"}, "name": "{{t}}"},
		"COMMUNICATION.messageTemplate": {"name": "own-{{n}}-{{w}}", "channel": "sms", "language": "en", "body": "{{t}}"},
		"COMMUNICATION.communicationPreference": {"customer": {"id": "ada"}, "purpose": null},
		"RECEIVABLE.dunningPolicy": {"segment": "{{t}}{{n}}", "level": [{"afterDays": 3, "action": "remind"}]},
		"RECEIVABLE.mandate": {"account": {"id": "ada"}, "iban": "DE89370400440532013000", "signedOn": "2026-01-05", "debtorName": "{{t}}", "state": null},
		"RECEIVABLE.bankStatement": {"file": "{{t}}"},
		"LEDGER.account": {"account": "revenue:{{w}}{{n}}", "glAccount": "{{n}}"},
		"LEDGER.recognitionRun": {"legalEntity": {"id": "{{w}}books"}, "period": "2026-01"},
		"LEDGER.periodClose": {"legalEntity": {"id": "{{w}}books"}, "period": "2026-02", "action": "close", "state": null},
		"LEDGER.generalLedgerExport": {"legalEntity": {"id": "{{w}}books"}, "period": "2026-01", "by": "day"},
		"REVENUE.finding": {"control": {"id": "R2"}, "key": "{{t}}{{n}}", "state": "open"},
		"REVENUE.controlRun": {"state": "running"},
		"REVENUE.report": {"from": null, "to": null, "madeDate": null},
		"BILLING.deposit": {"billingAccount": {"id": "ada"}, "reason": "{{t}}", "state": null},
		"BILLING.billableItem": {"state": "active", "product": {"id": "{{t}}"}, "price": {"id": "{{t}}"}, "billingAccount": {"id": "{{t}}"}},
		"BILLING.legalEntity": {"address": {"country": "DE"}},
		"BILLING.taxRate": {"jurisdiction": "FR", "category": "{{t}}{{n}}", "code": "S", "percent": 20, "validFrom": "2026-01-01"},
		"BILLING.creditNoteRequest": {"state": "waiting", "bill": {"id": "{{t}}"}, "reason": "{{t}}"},
		"BILLING.billPreview": {"order": [{"productOffering": {"id": "presence"}, "productCharacteristic": [{"name": "note", "value": "{{t}}"}]}], "currency": "EUR"},
		"BILLING.billDecision": {"subject": {"id": "{{t}}"}, "decision": "release", "reason": "{{t}}"},
		"FULFILMENT.faultPolicy": {"tries": 3, "description": "{{t}}"},
		"FULFILMENT.falloutAction": {"action": "retry", "fallout": ["fallen"], "reason": "{{t}}"},
		"FULFILMENT.fallout": {"state": "open", "cause": "{{t}}cause", "owner": "{{t}}owner"},
		"COMMUNICATION.unsentNotice": {"customer": {"id": "ada"}, "reason": "{{t}}"},
		"TMF640.monitor": {"state": "InProgress", "sourceHref": "{{t}}"}
	}`
	if err := json.Unmarshal([]byte(own), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// names in bodies and seed that become a tenant's own.
var seeded = []string{"ada", "presence", "box", "done", "done-resource", "vlans", "fallen", "line90", "ada-payment"}

func (m marks) own(text string, n int) string {
	for _, name := range seeded {
		text = strings.ReplaceAll(text, `"`+name+`"`, `"`+m.id+name+`"`)
	}
	for _, name := range []string{"Ada", "Lovelace", "Presence", "Box"} {
		text = strings.ReplaceAll(text, `"`+name, `"`+m.text+name)
	}
	text = strings.ReplaceAll(text, "ada@example.com", m.text+"@example.com")
	text = strings.ReplaceAll(text, "/transfer/", "/transfer/"+m.id)
	text = strings.ReplaceAll(text, "lab-subscriber", m.id+"subscriber")
	text = strings.ReplaceAll(text, "00101000000000", "00101"+m.digits)
	text = strings.ReplaceAll(text, "49151000", "49"+m.digits)
	return strings.NewReplacer("{{n}}", fmt.Sprint(n), "{{t}}", m.text, "{{w}}", m.id).Replace(text)
}

// body is a minimal body of a kind: its required attributes, a name and a
// description, and over it what the bodies file says.
func (m marks) body(k tmf.Mounted, over map[string]map[string]any, n int) map[string]any {
	meta := k.Meta()
	out := m.sample(meta.Type, true).(map[string]any)
	for attr, v := range over[meta.API.ID+"."+meta.Name] {
		if out[attr] = v; v == nil {
			delete(out, attr)
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		panic(err) // it is made of plain maps
	}
	out = map[string]any{}
	if err := json.Unmarshal([]byte(m.own(string(text), n)), &out); err != nil {
		panic(err) // marks are letters and digits
	}
	return out
}

// sample makes a value of a type from what its tags require.
func (m marks) sample(t reflect.Type, top bool) any {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "2026-01-02T03:04:05Z"
	case t == reflect.TypeFor[tmf.Money]():
		return map[string]any{"unit": "EUR", "value": 1}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return m.text // a value of any type
	case t.Kind() == reflect.Slice:
		return []any{m.sample(t.Elem(), false)}
	case t.Kind() == reflect.Bool:
		return true
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return 1
	case t.Kind() != reflect.Struct:
		return m.text + "text"
	}
	out := map[string]any{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		rules := strings.Split(f.Tag.Get("tmf"), ",")
		label := top && (name == "name" || name == "description") && f.Type.Kind() == reflect.String
		if name == "" || f.Anonymous || !label && !slices.Contains(rules, "required") {
			continue
		}
		out[name] = m.sample(f.Type, false)
		for _, rule := range rules {
			if list, ok := strings.CutPrefix(rule, "enum="); ok {
				out[name], _, _ = strings.Cut(list, "|")
			}
		}
	}
	return out
}

// populate gives a tenant at least one resource of every kind; it returns their
// documents by route.
func (w who) populate(m marks) map[string][]map[string]any {
	w.Helper()
	w.seed(m)
	over := bodies(w.T)
	for n, k := range app.Kinds() {
		meta := k.Meta()
		if meta.Verbs&tmf.Post == 0 {
			continue
		}
		for i := range 2 {
			body := m.body(k, over, 10*n+i)
			body["id"] = fmt.Sprintf("%s%d-%d", m.id, n, i)
			if slices.Contains([]string{"communicationPreference", "extract", "chargingPolicy", "billPolicy", "billRun", "mandate", "periodClose"}, meta.Name) && i > 0 ||
				slices.Contains([]string{"falloutAction", "approval", "billDecision", "creditNoteRequest", "directDebitFile", "bankStatement", "controlRun",
					"dunningDecision", "paymentPlan", "promiseToPay", "dispute", "writeOff", "recovery", "agencyFile", "agencyRemittance", "creditTransferFile"}, meta.Name) {
				continue
			}
			if a := w.do("POST", meta.API.Base+"/"+meta.Name, body); a.status != 201 {
				w.Fatalf("POST %s %v: %d %s", meta.Name, body, a.status, a.body)
			}
		}
	}
	w.settle()
	out := map[string][]map[string]any{}
	for n, k := range app.Kinds() {
		route := k.Meta().API.Base + "/" + k.Meta().Name
		if w.do("GET", route, nil).header.Get("X-Total-Count") == "0" {
			w.create(k, m, m.body(k, over, n))
		}
		if out[route] = w.do("GET", route+"?limit=1000", nil).list(); len(out[route]) == 0 {
			w.Errorf("there is no %s", route)
		}
	}
	return out
}

// create makes a resource through its kind's own door: of kinds that come about
// by themselves only.
func (w who) create(k tmf.Mounted, m marks, body map[string]any) {
	w.Helper()
	body["id"] = m.id + "made"
	text, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	err = w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: "test"}, func(tx *store.Tx) error {
		p := reflect.New(k.Meta().Type)
		if err := tmf.Decode(text, p.Interface()); err != nil {
			return err
		}
		err, _ := reflect.ValueOf(k).MethodByName("Create").Call([]reflect.Value{reflect.ValueOf(tx), p})[0].Interface().(error)
		return err
	})
	if err != nil {
		w.Fatalf("%s %s: %v", k.Meta().Name, text, err)
	}
}

// seed makes what the bodies refer to, and a real subscriber with a number and a
// card of the tenant's own.
func (w who) seed(m marks) {
	w.Helper()
	data, err := os.ReadFile("../../test/tmfcheck/seed")
	if err != nil {
		w.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		route, body, ok := strings.Cut(line, " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Contains(body, `"hlr"`) && w.tenantName() != "alpha" {
			continue // the element is alpha's
		}
		w.must(201, w.do("POST", route, m.own(body, i)))
	}
	pools := "/tmf-api/resourcePoolManagement/v1/"
	w.must(201, w.do("POST", pools+"resourcePool", map[string]any{"id": m.id + "vlans", "name": m.text + "VLANs", "kind": "vlan"}))
	w.must(201, w.do("POST", pools+"push", map[string]any{"resourcePool": map[string]any{"id": m.id + "vlans"},
		"resource": []any{map[string]any{"id": m.text + "spare"}, map[string]any{"id": m.text + "a"}, map[string]any{"id": m.text + "b"}, map[string]any{"id": m.text + "c"}}}))
	w.subscriber(m)
}

func (w who) subscriber(m marks) {
	w.Helper()
	if err := w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: "test"}, mobile.Install); err != nil {
		w.Fatal(err)
	}
	w.must(201, w.do("POST", "/tmf-api/resourcePoolManagement/v1/push", map[string]any{"resourcePool": map[string]any{"id": mobile.NumberPool},
		"first": "49" + m.digits + "00", "last": "49" + m.digits + "99"}))
	w.must(201, w.do("POST", "/tandem-api/stock/v1/simCard", map[string]any{"pool": mobile.CardPool, "cards": []any{map[string]any{
		"iccid": "8949" + m.digits + "000001", "imsi": "262" + m.digits + "001", "k": strings.Repeat("a7", 16), "opc": strings.Repeat("b8", 16)}}}))
	customer := []any{map[string]any{"id": m.id + "ada", "role": "customer", "@referredType": "Customer"}}
	order := func(id, offering string) {
		w.must(201, w.do("POST", "/tmf-api/productOrderingManagement/v4/productOrder", map[string]any{"id": m.id + id, "relatedParty": customer,
			"productOrderItem": []any{map[string]any{"id": "1", "action": "add", "productOffering": map[string]any{"id": offering}}}}))
	}
	order("mobile", mobile.FlatM)
	w.settle()
	w.lines(m)
	w.bills(m)
	w.bank(m)
	w.debts(m)
	w.settle()
}

// bank leaves a claim that is being collected, and a payment on a bank statement that
// nobody recognises.
func (w who) bank(m marks) {
	w.Helper()
	const iban = "DE02120300000000202051"
	payer := map[string]any{"id": m.id + "debtor", "name": m.text, "currency": "EUR", "relatedParty": []any{map[string]any{"id": m.id + "ada", "role": "customer", "@referredType": "Customer"}}}
	w.must(201, w.do("POST", "/tmf-api/accountManagement/v4/billingAccount", payer))
	w.must(201, w.do("POST", receivable.API.Base+"/mandate", map[string]any{"id": m.id + "mandate", "account": map[string]any{"id": m.id + "debtor"}, "iban": "AT611904300234573201",
		"debtorName": m.text, "signedOn": "2026-01-05"}))
	err := w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: "test"}, func(tx *store.Tx) error {
		e, err := billing.DefaultEntity(tx)
		if err != nil {
			return err
		}
		if _, err := billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error {
			e.IBAN, e.CreditorID = iban, "DE98ZZZ09999999999"
			return nil
		}); err != nil {
			return err
		}
		today := civil.DateOf(tx.Now(), time.UTC)
		if err := receivable.Charge(tx, receivable.Claim{ID: m.id + "fee", Sort: receivable.Fee, Number: m.text, Entity: e.ID, Account: m.id + "debtor",
			Amount: money.Amount{Minor: 500, Currency: money.EUR}, On: today, Due: today}); err != nil {
			return err
		}
		if _, err := receivable.Collect(tx, e.ID, tx.Now()); err != nil {
			return err
		}
		bank := sepatest.New(iban, 0)
		bank.Pay(today.String(), m.text, "FR1420041010050500013M02606", m.text, "", 700)
		return receivable.TakeBankFile(tx, &receivable.BankStatement{}, bank.Statement(today.String()))
	})
	if err != nil {
		w.Fatal(err)
	}
}

// debts leaves what is done about debts of two accounts: one after the other, since what
// is with an agency is in no plan.
func (w who) debts(m marks) {
	w.Helper()
	customer := []any{map[string]any{"id": m.id + "ada", "role": "customer", "@referredType": "Customer"}}
	ref := func(id string) map[string]any { return map[string]any{"id": id} }
	post := func(kind string, body map[string]any) map[string]any {
		w.Helper()
		return w.must(201, w.do("POST", receivable.API.Base+"/"+kind, body)).object()
	}
	for _, id := range []string{"owes", "late"} {
		w.must(201, w.do("POST", "/tmf-api/accountManagement/v4/billingAccount", map[string]any{"id": m.id + id, "name": m.text, "currency": "EUR", "relatedParty": customer}))
	}
	err := w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: "test"}, func(tx *store.Tx) error {
		on := civil.DateOf(tx.Now(), time.UTC).AddDays(-100)
		for i := range 6 {
			if err := receivable.Charge(tx, receivable.Claim{ID: fmt.Sprintf("%sdebt%d", m.id, i), Sort: receivable.Fee, Number: fmt.Sprintf("%s-%d", m.text, i), Entity: "default",
				Account: m.id + map[bool]string{true: "owes", false: "late"}[i < 3], Amount: money.Amount{Minor: 1000, Currency: money.EUR}, On: on, Due: on}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	debt := func(i int) map[string]any { return ref(fmt.Sprintf("%sdebt%d", m.id, i)) }
	post("dunningDecision", map[string]any{"account": ref(m.id + "owes"), "decision": "pause", "until": time.Now().AddDate(0, 1, 0).Format(time.DateOnly), "reason": m.text})
	post("dispute", map[string]any{"claim": debt(0), "reason": m.text})
	off := post("writeOff", map[string]any{"claim": debt(1), "reason": m.text})
	post("paymentPlan", map[string]any{"account": ref(m.id + "owes"), "claim": []any{debt(2)}, "count": 2, "firstOn": time.Now().AddDate(0, 0, 1).Format(time.DateOnly), "reason": m.text})
	post("agencyFile", map[string]any{"agency": m.text, "legalEntity": ref("default"), "claim": []any{debt(3)}})
	post("promiseToPay", map[string]any{"account": ref(m.id + "late"), "by": time.Now().AddDate(0, 0, 7).Format(time.DateOnly), "reason": m.text})
	w.must(200, w.do("PATCH", receivable.API.Base+"/writeOff/"+off["id"].(string), map[string]any{"note": m.text}))
	w.recovered(m)
}

// recovered leaves a write-off that was paid all the same, and a refund in a file.
func (w who) recovered(m marks) {
	w.Helper()
	yes := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	as := func(actor string, fn func(tx *store.Tx) error) {
		w.Helper()
		yes(w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: actor}, fn))
	}
	as("test", func(tx *store.Tx) error {
		return receivable.WriteOffs.OnPost(tx, &receivable.WriteOffRequest{Entity: tmf.Entity{ID: m.id + "off"}, Claim: &receivable.Ref{ID: m.id + "debt4"}, Reason: m.text})
	})
	as("other", func(tx *store.Tx) error {
		old, err := receivable.WriteOffs.Lock(tx, m.id+"off")
		if err != nil {
			return err
		}
		p, err := receivable.WriteOffs.Copy(old)
		if err != nil {
			return err
		}
		p.State = receivable.WriteOffApproved
		return receivable.WriteOffs.OnPatch(tx, old, p)
	})
	euros := func(n int) map[string]any { return map[string]any{"unit": "EUR", "value": n} }
	account := map[string]any{"id": m.id + "late"}
	w.must(201, w.do("POST", receivable.PaymentAPI.Base+"/payment", map[string]any{"id": m.id + "late-payment", "account": account, "totalAmount": euros(100), "paymentMethod": map[string]any{"@type": "Cash"}}))
	w.must(201, w.do("POST", receivable.API.Base+"/recovery", map[string]any{"writeOff": map[string]any{"id": m.id + "off"}, "payment": map[string]any{"id": m.id + "late-payment"}, "amount": euros(5)}))
	w.must(201, w.do("POST", receivable.PaymentAPI.Base+"/refund", map[string]any{"account": account, "payment": map[string]any{"id": m.id + "late-payment"}, "totalAmount": euros(3),
		"paymentMethod": map[string]any{"@type": "BankAccountTransfer", "accountNumber": "AT611904300234573201", "owner": m.text}}))
	w.must(201, w.do("POST", receivable.API.Base+"/creditTransferFile", map[string]any{"legalEntity": map[string]any{"id": "default"}}))
	cases := w.do("GET", receivable.API.Base+"/agencyCase?limit=10", nil).list()
	w.must(201, w.do("POST", receivable.API.Base+"/agencyRemittance", map[string]any{"agency": m.text, "number": m.id + "1",
		"file": fmt.Sprintf("%s;4.00;1.00;%s", cases[0]["id"], time.Now().UTC().Format(time.DateOnly))}))
}

// bills leaves a bill that is held, and an account that a run could not bill.
func (w who) bills(m marks) {
	w.Helper()
	err := w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: "test"}, func(tx *store.Tx) error {
		if _, err := billing.DefaultEntity(tx); err != nil {
			return err
		}
		if err := w.booked(tx, m); err != nil {
			return err
		}
		day := civil.Date{Year: 2026, Month: 1, Day: 1}
		if err := billing.KeepDocument(tx, &billing.Document{Bill: m.id + "bill", Kind: billing.Invoice, Account: m.id + "payer", AccountName: m.text, Entity: "default",
			Currency: "EUR", Language: "en", Zone: "UTC", Date: day, From: day.AddMonths(-1), To: day, Buyer: billing.DocumentParty{Name: m.text},
			Lines: []billing.DocumentLine{{ID: "1", Name: m.text, Sort: billing.OneTime, Amount: 100, Net: 100, TaxCategory: "standard", TaxCode: "S", TaxPercent: [2]int64{0, 1}}},
			Taxes: []billing.DocumentTax{{Category: "standard", Code: "S", Percent: [2]int64{0, 1}, Net: 100}}, Net: 100, Gross: 100}, nil); err != nil {
			return err
		}
		tx.QueueOne("UPDATE billing_draft SET held = $3 WHERE tenant = $1 AND id = $2", m.id+"bill", m.text)
		tx.Insert("INSERT INTO billing_parked (tenant, run, account, code, reason, attempts, at)", m.id+"run", m.id+"payer", "noTaxRate", m.text, 1, store.Micros(tx.Now()))
		tx.Insert("INSERT INTO billing_compared (tenant, comparison, bill, account, number, currency, lines, net, tax, gross, new_net, new_tax, new_gross, code, reason)",
			m.id+"comparison", m.id+"bill", m.id+"payer", m.text, "EUR", 1, 100, 19, 119, 200, 38, 238, "changed", m.text)
		tx.Insert("INSERT INTO billing_difference (tenant, comparison, bill, n, account, item, product, offering, name, sort, currency, was, becomes, code, reason)",
			m.id+"comparison", m.id+"bill", 1, m.id+"payer", m.id+"item", m.id+"product", m.id+"presence", m.text, "recurring", "EUR", 100, 200, "price", m.text)
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// booked leaves books of a legal entity with a closed month and entries in an open one.
func (w who) booked(tx *store.Tx, m marks) error {
	for month := time.January; month <= time.February; month++ {
		if err := ledger.Post(tx, ledger.Transaction{Name: fmt.Sprintf("%sbooking/%d", m.id, month), Entity: m.id + "books", Currency: money.EUR,
			Date: civil.Date{Year: 2026, Month: month, Day: 5}, What: m.text, Entries: []ledger.Entry{
				{Account: ledger.Deposits, Party: m.id + "payer", Amount: 100}, {Account: ledger.Of(ledger.Revenue, "4400"), Amount: -100}}}); err != nil {
			return err
		}
	}
	if err := recognition.Open(tx, recognition.Contract{ID: m.id + "contract", Entity: m.id + "books", Account: m.id + "payer", Product: m.id + "line", Start: civil.Date{Year: 2026, Month: time.February, Day: 1},
		Price: money.Amount{Minor: 100, Currency: money.EUR}, Obligations: []recognition.Obligation{{ID: m.id + "promise", Name: m.text, SellingPrice: 100,
			Over: civil.Period{From: civil.Date{Year: 2026, Month: time.February, Day: 1}}, Revenue: "4400"}}}); err != nil {
		return err
	}
	return ledger.Close(tx, m.id+"books", civil.Date{Year: 2026, Month: time.January, Day: 1})
}

// lines lets charging know two lines, whatever the network says: a guest has no element.
func (w who) lines(m marks) {
	w.Helper()
	err := w.app.DB.Write(w.Context(), store.Scope{Tenant: w.tenantName(), Actor: "test"}, func(tx *store.Tx) error {
		for _, n := range []string{"90", "91"} {
			p := &subscription.Product{Status: subscription.Created, ProductOffering: &subscription.Ref{ID: mobile.FlatM},
				RelatedParty: []tmf.RelatedParty{{ID: m.id + "ada", Role: "customer"}}}
			p.ID = m.id + "line" + n
			if err := subscription.Create(tx, p); err != nil {
				return err
			}
			if err := w.app.Charging.Open(tx, fact.ProductActive{Product: p.ID, Offering: mobile.FlatM, Customer: m.id + "ada", At: tx.Now(),
				Resources: []fact.Resource{{Role: "msisdn", Value: "49" + m.digits + n}}}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

func (w who) tenantName() string {
	return w.do("GET", "/access/v1/me", nil).object()["tenant"].(string)
}

package billing_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/edge/einvoice"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// readAs asks for a bill as a tenant who has the right of reading bills, or not.
func (o *office) readAs(tenant, url string, may bool) *httptest.ResponseRecorder {
	o.Helper()
	if !may {
		return o.reads(tenant, url)
	}
	return o.reads(tenant, url, "TMF678/customerBill")
}

// reads asks for a bill as a tenant who has the right of reading some kinds.
func (o *office) reads(tenant, url string, kinds ...string) *httptest.ResponseRecorder {
	o.Helper()
	mux := http.NewServeMux()
	(&render.Server{DB: o.db, Authenticate: func(*http.Request) (*tmf.Caller, error) {
		return &tmf.Caller{Tenant: tenant, Actor: "reader", Allow: func(api, kind, verb string) bool {
			return verb == tmf.VerbRead && slices.Contains(kinds, api+"/"+kind)
		}}, nil
	}}).Routes(mux, func(h http.Handler) http.Handler { return h })
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(o.Context(), http.MethodGet, url, nil))
	return w
}

// A bill says where it can be had as people and programs read it, and it is there, for those
// who may read bills, of their own tenant.
func TestABillCanBeReadInEachForm(t *testing.T) {
	bills(t, func(o *office) {
		template := o.post(runs+"billTemplate", `{"id":"nordlicht","name":"Nordlicht","wordmark":"nordlicht mobil","color":"#0b5d4e","text":[{"language":"de","opening":"Vielen Dank."}]}`)
		o.must(func(tx *store.Tx) error {
			e, err := billing.DefaultEntity(tx)
			if err == nil {
				_, err = billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error { e.Brand = template; return nil })
			}
			return err
		})
		account, _ := o.joined(`"language":"de",`)
		draft := at(o.read(tmf678+"customerBillOnDemand/"+o.post(tmf678+"customerBillOnDemand", `{"billingAccount":{"id":"`+account+`"}}`)), "customerBill.id")
		urls := o.documents(draft)
		if len(urls) != 2 || urls["ubl"] != "" {
			t.Errorf("a draft can be had as %v", urls)
		}
		if w := o.readAs("mno", urls["html"], true); w.Code != 200 || !strings.Contains(w.Body.String(), "Entwurf, keine Rechnung") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if w := o.readAs("mno", strings.Replace(urls["pdf"], "pdf", "ubl", 1), true); w.Code != 409 || !strings.Contains(w.Body.String(), "notPosted") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		o.must(func(tx *store.Tx) error { return billing.PostBill(tx, draft) })
		if urls = o.documents(draft); len(urls) != 4 {
			t.Errorf("a bill can be had as %v", urls)
		}
		number := at(o.read(tmf678+"customerBill/"+draft), "billNo")
		for format, media := range map[string]string{"pdf": "application/pdf", "html": "text/html; charset=utf-8", "ubl": "application/xml", "cii": "application/xml"} {
			w := o.readAs("mno", urls[format], true)
			if w.Code != 200 || w.Header().Get("Content-Type") != media || !strings.Contains(w.Header().Get("Content-Disposition"), number) {
				t.Errorf("%s: %d %v %.200s", format, w.Code, w.Header(), w.Body)
			}
			switch format {
			case "html":
				for _, want := range []string{number, "44,03", "nordlicht mobil", "#0b5d4e", "Vielen Dank.", "18 von 30 Tagen", "Zu zahlen"} {
					if !strings.Contains(w.Body.String(), want) {
						t.Errorf("%q is not in\n%s", want, w.Body)
					}
				}
			case "ubl":
				v, err := einvoice.ReadUBL(w.Body)
				if err != nil || v.Number != number || v.Totals.Payable.Minor != 4403 {
					t.Errorf("%+v %v", v, err)
				}
			case "pdf":
				if !bytes.HasPrefix(w.Body.Bytes(), []byte("%PDF-")) {
					t.Errorf("%.20q", w.Body)
				}
			}
			for who, w := range map[string]*httptest.ResponseRecorder{"another tenant": o.readAs("rival", urls[format], true), "one who may not": o.readAs("mno", urls[format], false)} {
				if w.Code != map[string]int{"another tenant": 404, "one who may not": 403}[who] || strings.Contains(w.Body.String(), "44,03") || strings.Contains(w.Body.String(), "44.03") {
					t.Errorf("%s reads %s: %d %s", who, format, w.Code, w.Body)
				}
			}
		}
		for query, code := range map[string]string{"?format=docx": "badFormat", "?usage=all": "badItemisation"} {
			path, _, _ := strings.Cut(urls["pdf"], "?")
			if w := o.readAs("mno", path+query, true); w.Code != 400 || !strings.Contains(w.Body.String(), code) {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
		}
	})
}

// documents are where a bill can be had, by form.
func (o *office) documents(bill string) map[string]string {
	o.Helper()
	out := map[string]string{}
	list, _ := o.read(tmf678 + "customerBill/" + bill)["billDocument"].([]any)
	for _, d := range list {
		out[at(d, "id")] = at(d, "url")
	}
	return out
}

// What would be printed badly is refused.
func TestTemplatesThatCannotBePrinted(t *testing.T) {
	bills(t, func(o *office) {
		for body, code := range map[string]string{
			`{"name":"n","color":"blue"}`:    "invalidTemplate",
			`{"name":"n","color":"#ffee00"}`: "invalidTemplate", // yellow on white
			`{"name":"n","window":"top"}`:    "invalidTemplate",
			`{"name":"n","logo":"%%%"}`:      "invalidTemplate",
			`{"name":"n","logo":"` + base64.StdEncoding.EncodeToString([]byte("no picture")) + `"}`: "invalidTemplate",
			`{"name":"n","text":[{"language":"German"}]}`:                                           "invalidTemplate",
			`{"name":"n","footer":["` + strings.Repeat("x", 81) + `"]}`:                             "invalidTemplate",
			`{"color":"#000000"}`: "mandatoryAttributeMissing",
		} {
			o.refused("POST", runs+"billTemplate", body, 400, code)
		}
		made := o.read(runs + "billTemplate/" + o.post(runs+"billTemplate", `{"name":"n"}`))
		if made["color"] == "" || made["window"] != "din5008B" {
			t.Errorf("%v", made)
		}
		o.refused("POST", accounts+"billingAccount", `{"name":"A","currency":"EUR","itemisation":"some","relatedParty":[{"id":"`+o.customer("x")+`","role":"customer"}]}`, 400, "invalidValue")
	})
}

// The usage of a bill is itemised as the account wants it: not, with the last digits of numbers
// hidden, or in full; and what stands there is what was billed.
func TestItemisedUsage(t *testing.T) {
	meters(t, func(o *office, room *charging.Room) {
		month := time.Now().UTC()
		month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
		price := func(name, service, unit string) string {
			return o.post(catalogs+"productOfferingPrice", `{"name":"`+name+`","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":0.0123},
			"unitOfMeasure":{"amount":1,"units":"`+unit+`"},"tandem:rating":{"match":{"service":"`+service+`"},"class":"`+service+`.abroad"}}`)
		}
		offering := o.post(catalogs+"productOffering", `{"name":"M","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"`+price("Data abroad", "data", "MiB")+`"},{"id":"`+price("Calls abroad", "voice", "s")+`"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR","tax":{"percent":19}},"tandem:charging":{"mode":"postpaid","credit":"500","home":["24001"]}}`)
		customer := o.customer("Groß")
		account := o.post(accounts+"billingAccount", `{"name":"Account","currency":"EUR","timeZone":"UTC","itemisation":"masked","relatedParty":[{"id":"`+customer+`","role":"customer"}]}`)
		begins := month.AddDate(0, -1, 0)
		product := o.product(offering, customer, func(p *subscription.Product) { p.OrderDate = begins })
		o.must(func(tx *store.Tx) error {
			f := fact.ProductActive{Product: product, Offering: offering, Customer: customer, BillingAccount: account, Service: "s1", At: begins,
				Resources: []fact.Resource{{Role: "msisdn", Value: "491510001"}}}
			if err := billing.Begin(tx, f); err != nil {
				return err
			}
			return room.Open(tx, f)
		})
		o.awaitLine(product)
		for n := range 4 {
			o.uses(product, fmt.Sprint("data", n), month.Add(-time.Duration(n+1)*time.Hour), 3)
		}
		for n := range 3 {
			o.post("/tmf-api/usageManagement/v4/usage", fmt.Sprintf(`{"externalId":"call%d","usageType":"voice","usageDate":%q,"ratedProductUsage":[{"productRef":{"id":%q}}],
				"usageCharacteristic":[{"name":"seconds","value":61},{"name":"called","value":"4930123456"}]}`, n, month.Add(-time.Duration(n+2)*time.Hour).Format(time.RFC3339), product))
		}
		o.uses(product, "now", month.Add(time.Minute), 100) // of the running month
		bill := o.demand(account)
		for _, x := range []struct{ asked, called string }{{"", "4930123xxx"}, {"masked", "4930123xxx"}, {"full", "4930123456"}, {"none", ""}} {
			var p *billing.Paper
			o.must(func(tx *store.Tx) (err error) {
				p, err = billing.ReadPaper(tx, bill, billing.Itemising{As: x.asked, More: true})
				return err
			})
			if x.called == "" {
				if len(p.Usage) > 0 {
					t.Errorf("%+v", p.Usage)
				}
				continue
			}
			records := map[string]int{}
			for _, u := range p.Usage {
				var sum money.Rate
				for i, r := range u.Records {
					if r.Called != "" && r.Called != x.called || i > 0 && r.At.Before(u.Records[i-1].At) {
						t.Errorf("%q: %+v", x.asked, r)
					}
					if i == 0 {
						sum = r.Amount
						continue
					}
					var err error
					if sum, err = sum.Add(r.Amount); err != nil {
						t.Fatal(err)
					}
				}
				if sum.Nano != u.Line.Unit || u.Omitted != 0 || int64(len(u.Records)) != u.Line.Records {
					t.Errorf("%s: %s of %d records, the line has %d nano of %d, %d omitted", u.Line.Name, sum, len(u.Records), u.Line.Unit, u.Line.Records, u.Omitted)
				}
				records[u.Line.Name] = len(u.Records)
			}
			if records["Data abroad"] != 4 || records["Calls abroad"] != 3 {
				t.Errorf("%q: %v", x.asked, records)
			}
		}
		if w := o.readAs("mno", o.documents(bill)["html"], true); !strings.Contains(w.Body.String(), "4930123xxx") || strings.Contains(w.Body.String(), "4930123456") || !strings.Contains(w.Body.String(), "1:01") {
			t.Errorf("%s", w.Body)
		}
		o.showsNoMore(bill)
		if err := o.db.Read(t.Context(), store.Scope{Tenant: "mno"}, func(tx *store.Tx) error { _, err := billing.ReadPaper(tx, "none", billing.Itemising{}); return err }); !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
	})
}

// showsNoMore wants a bill whose account has numbers masked to show all of them only to who
// may read usage, and that to be on record.
func (o *office) showsNoMore(bill string) {
	o.Helper()
	url := o.documents(bill)["html"] + "&usage="
	noted := func() int64 {
		return o.count("SELECT count(*) FROM access_audit WHERE tenant = $1 AND actor = 'reader' AND action = 'bill.usage' AND subject = $2", "customerBill:"+bill)
	}
	if w := o.readAs("mno", url+"full", true); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "usageNotAllowed") || strings.Contains(w.Body.String(), "4930123456") {
		o.Errorf("who may read bills reads all numbers: %d %s", w.Code, w.Body)
	}
	if w := o.readAs("mno", url+"masked", true); w.Code != http.StatusOK || noted() != 0 {
		o.Errorf("%d %s", w.Code, w.Body)
	}
	if w := o.reads("mno", url+"full", "TMF678/customerBill", "TMF635/usage"); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "4930123456") || noted() != 1 {
		o.Errorf("who may read usage: %d, noted %d times: %s", w.Code, noted(), w.Body)
	}
}

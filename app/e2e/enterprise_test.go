package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/bss/ledger"
	"tandem/bss/order"
	"tandem/bss/receivable"
	"tandem/bss/subscription"
	"tandem/edge/einvoice"
	"tandem/edge/sepa/sepatest"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	firm     = "nordlicht"
	employee = "eva"

	headOffice = "nordlicht-hq"      // pays for
	hamburg    = "nordlicht-hamburg" // cost centre 4100
	munich     = "nordlicht-munich"  // cost centre 4200
	private    = "eva-private"       // what Eva pays herself

	customerBills = "/tmf-api/customerBillManagement/v4/customerBill"

	firmsIBAN = "DE75512108001245126199"
)

// enterprise is a company that buys for its sites, on the first day of a month.
type enterprise struct {
	*debtor
	lines map[string]*subscription.Product
}

// The story of an enterprise: a company with two sites buys by a framework agreement with a
// minimum and a discount, its lines work in the register, one bill goes to the head office
// and one to an employee for what is private, a mistake is credited and the corrected
// invoice takes its place, one transfer pays for both, and nothing is left anywhere.
func TestTheStoryOfAnEnterprise(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			first := time.Date(2027, 2, 1, 8, 0, 0, 0, time.UTC)
			e := &enterprise{turningFrom(t, engine, first), map[string]*subscription.Product{}}
			e.story()
		})
	}
}

func (e *enterprise) story() {
	e.sells()
	e.signs()
	e.orders()
	e.phones()
	e.days(30) // the third of March
	run := e.bills(`{}`)
	bill, own := e.bill(headOffice, run), e.bill(private, run)
	e.says(bill, map[string]int64{"recurring": 96_00, "oneTime": 40_00, "usage": 5_00, "discount": -(9_30 + 4_80), "commitment": 66_30}, 193_20, 36_71)
	e.says(own, map[string]int64{"recurring": 8_39}, 8_39, 1_59) // 4.99 a month with tax
	e.sites(bill)
	note := e.mistake(bill)
	corrected := e.bill(headOffice, e.bills(`{"billingAccount": [{"id": "`+headOffice+`"}]}`))
	e.linked(bill, note, corrected)
	for _, b := range []string{bill, own, note, corrected} {
		e.exchanged(b)
	}
	e.paid(bill, corrected, own)
	e.proves()
	e.addsUp()
	e.nothingLeft()
}

// makes posts documents, each to a path.
func (e *enterprise) makes(docs ...[2]string) {
	e.t.Helper()
	for _, d := range docs {
		if a := e.as(brand, http.MethodPost, d[0], d[1]); a.status != http.StatusCreated {
			e.t.Fatalf("%s %s: %s", d[0], d[1], a)
		}
	}
}

const catalogue = "/tmf-api/productCatalogManagement/v4/"

// sells is what the brand offers to companies, and who sells it.
func (e *enterprise) sells() {
	e.write(brand, func(tx *store.Tx) error {
		entity, err := billing.DefaultEntity(tx)
		if err != nil {
			return err
		}
		_, err = billing.LegalEntities.Edit(tx, entity.ID, func(l *billing.LegalEntity) error {
			l.Name, l.IBAN, l.VATID, l.Email = "Bluebird Mobile GmbH", ourIBAN, "DE136695976", "billing@bluebird.example"
			l.Address = &billing.PostalAddress{Street: "Hafenstraße 1", PostCode: "20457", City: "Hamburg", Country: "DE"}
			l.ApproveAbove = euros(50)
			return nil
		})
		return err
	})
	price := func(id, more string) [2]string {
		return [2]string{catalogue + "productOfferingPrice", `{"id": "` + id + `", "name": "` + id + `", "version": "1.0", "lifecycleStatus": "Active", ` + more + `}`}
	}
	const monthly = `"recurringChargePeriodType": "month", "recurringChargePeriodLength": 1`
	offering := func(id, spec, prices, more string) [2]string {
		return [2]string{catalogue + "productOffering", `{"id": "` + id + `", "name": "` + id + `", "version": "1.0", "lifecycleStatus": "Launched", "isSellable": true,
			"productSpecification": {"id": "` + spec + `", "name": "` + spec + `"}, "productOfferingPrice": [` + prices + `]` + more + `}`}
	}
	e.makes(
		price("fleet-month", `"priceType": "recurring", "price": {"unit": "EUR", "value": 12}, `+monthly),
		price("fleet-connection", `"priceType": "oneTime", "price": {"unit": "EUR", "value": 10}`),
		price("fleet-data", `"priceType": "usage", "price": {"unit": "EUR", "value": 0.05}, "unitOfMeasure": {"amount": 1, "units": "MiB"},
			"tandem:rating": {"match": {"service": "data", "network": "home"}, "class": "data.home", "grant": {"default": 104857600}}`),
		offering("fleet", "mobile-sim", `{"id": "fleet-month"}, {"id": "fleet-connection"}, {"id": "fleet-data"}`, `,
			"tandem:rating": {"zone": "Europe/Berlin", "unknownNetwork": "home", "currency": "EUR", "networks": [{"name": "home", "codes": ["*"]}]},
			"tandem:charging": {"home": ["24001"], "mode": "postpaid"}`),
		[2]string{"/tmf-api/serviceCatalogManagement/v4/serviceSpecification",
			`{"id": "agreement", "name": "Agreement", "version": "1.0", "lifecycleStatus": "Active", "@type": "CustomerFacingServiceSpecification"}`},
		[2]string{catalogue + "productSpecification",
			`{"id": "agreement", "name": "Agreement", "version": "1.0", "lifecycleStatus": "Active", "serviceSpecification": [{"id": "agreement", "name": "Agreement"}]}`},
		price("frame-minimum", `"priceType": "recurring", "price": {"unit": "EUR", "value": 150}, `+monthly+`, "tandem:billing": {"commitment": {"allOf": true, "withUsage": true}}`),
		price("frame-discount", `"priceType": "discount", "percentage": 10, "popRelationship": [{"id": "fleet-month"}, {"id": "fleet-connection"}],
			"tandem:billing": {"discount": {"allOf": true, "withUsage": true}}`),
		offering("frame", "agreement", `{"id": "frame-minimum"}, {"id": "frame-discount"}`, ""),
		price("private-month", `"priceType": "recurring", "price": {"unit": "EUR", "value": 4.99}, `+monthly+`, "tandem:billing": {"taxIncluded": true}`),
		offering("private", "agreement", `{"id": "private-month"}`, `, "productOfferingRelationship": [{"id": "fleet", "name": "fleet", "relationshipType": "optionalFor"}]`),
	)
}

// signs is who buys: the company with its accounts, and the employee with hers.
func (e *enterprise) signs() {
	const address = `"contactMedium": [{"mediumType": "postalAddress", "preferred": true, "characteristic": {"street1": "Am Sandtorkai 5", "postCode": "20457", "city": "Hamburg", "country": "DE"}},
		{"mediumType": "email", "characteristic": {"emailAddress": "%s@nordlicht.example"}}]`
	account := func(id, name, more string, parties ...string) [2]string {
		return [2]string{"/tmf-api/accountManagement/v4/billingAccount", `{"id": "` + id + `", "name": "` + name + `", "currency": "EUR", "timeZone": "Europe/Berlin",
			"relatedParty": [` + strings.Join(parties, ", ") + `]` + more + `}`}
	}
	of := func(customer, role string) string {
		return `{"id": "` + customer + `", "role": "` + role + `", "@referredType": "Customer"}`
	}
	const site = `, "accountRelationship": [{"relationshipType": "billedBy", "account": {"id": "` + headOffice + `"}, "validFor": {"startDateTime": "2027-01-01T00:00:00Z"}}]`
	e.makes(
		[2]string{"/tmf-api/party/v4/organization", `{"id": "org-nordlicht", "tradingName": "Nordlicht", "name": "Nordlicht Werke AG", "isLegalEntity": true,
			"organizationIdentification": [{"identificationType": "VAT", "identificationId": "DE811907980"}, {"identificationType": "companyRegistration", "identificationId": "HRB 4711"}], ` +
			fmt.Sprintf(address, "invoices") + `}`},
		[2]string{"/tmf-api/customerManagement/v4/customer", `{"id": "` + firm + `", "name": "Nordlicht Werke AG", "engagedParty": {"id": "org-nordlicht", "@referredType": "Organization"}}`},
		[2]string{"/tmf-api/party/v4/individual", `{"id": "person-eva", "givenName": "Eva", "familyName": "Lindqvist", ` + fmt.Sprintf(address, "eva") + `}`},
		[2]string{"/tmf-api/customerManagement/v4/customer", `{"id": "` + employee + `", "name": "Eva Lindqvist", "engagedParty": {"id": "person-eva", "@referredType": "Individual"}}`},
		account(headOffice, "Nordlicht Werke AG", `, "contractNumber": "F-2027-01", "purchaseOrder": "PO-1000"`, of(firm, "customer")),
		account(hamburg, "Hamburg, cost centre 4100", site, of(firm, "customer")),
		account(munich, "Munich, cost centre 4200", site, of(firm, "customer")),
		account(private, "Eva Lindqvist, private", "", of(employee, "customer"), of(firm, "")),
	)
}

// orders is the agreement, two lines for each site, and Eva's own option on hers.
func (e *enterprise) orders() {
	e.buys("frame", headOffice, add("frame"))
	for _, l := range []struct{ name, site string }{{"anna", hamburg}, {"boris", hamburg}, {"carla", munich}, {employee, munich}} {
		e.buys(l.name, l.site, add("fleet"))
	}
	option := add("private")
	option.Product.Relationship = []subscription.Relationship{{RelationshipType: subscription.ReliesOn, Product: &subscription.RefOrValue{ID: e.lines[employee].ID}}}
	e.buys("option", private, option)
}

// buys orders for the company on an account.
func (e *enterprise) buys(name, account string, item order.Item) {
	e.t.Helper()
	item.ID, item.BillingAccount = "1", &order.Ref{ID: account}
	placed := must[order.ProductOrder](e.operator, http.MethodPost, orders, &order.ProductOrder{ProductOrderItem: []order.Item{item},
		RelatedParty: []tmf.RelatedParty{{ID: firm, Role: "customer", ReferredType: "Customer"}}})
	e.lines[name] = e.completed(placed.ID)
}

// phones is that the lines work, and what they use.
func (e *enterprise) phones() {
	w := e.tower()
	for _, name := range []string{"anna", "boris", "carla", employee} {
		line := e.lines[name]
		w.attaches(cardOf(char(line, "imsi")), char(line, "msisdn"))
		e.await("charging to know the line", func() bool {
			return e.count("SELECT count(*) FROM charging_line WHERE tenant = $1 AND product = $2 AND subscriber > 0", brand, line.ID) == 1
		})
	}
	for name, octets := range map[string]uint64{"anna": 30 << 20, "carla": 50 << 20, employee: 20 << 20} {
		e.uses(char(e.lines[name], "msisdn"), name, 0, octets)
	}
}

// bills runs bills that ann asks for and bob approves, and returns the run. Ann cannot
// approve it herself.
func (e *enterprise) bills(scope string) string {
	e.t.Helper()
	run := &billing.BillRun{}
	if err := tmf.Decode([]byte(scope), run); err != nil {
		e.t.Fatal(err)
	}
	e.actor("user:ann", func(tx *store.Tx) error { return billing.BillRuns.OnPost(tx, run) })
	approve := func(tx *store.Tx) error {
		old, err := billing.BillRuns.Lock(tx, run.ID)
		if err != nil {
			return err
		}
		next, err := billing.BillRuns.Copy(old)
		if err != nil {
			return err
		}
		next.State = billing.RunApproved
		return billing.BillRuns.OnPatch(tx, old, next)
	}
	if err := e.tries("user:ann", approve); !fault.Is(err, fault.Forbidden) {
		e.t.Fatalf("who made the run approves it: %v", err)
	}
	e.actor("user:bob", approve)
	e.actor("user:bob", func(tx *store.Tx) error {
		old, err := billing.BillRuns.Lock(tx, run.ID)
		if err != nil || old.State == billing.RunPosted {
			return err
		}
		next, err := billing.BillRuns.Copy(old)
		if err != nil {
			return err
		}
		next.State = billing.RunPosted
		return billing.BillRuns.OnPatch(tx, old, next)
	})
	return run.ID
}

// tries does something as somebody, and waits for what follows.
func (e *enterprise) tries(actor string, f func(*store.Tx) error) error {
	err := e.DB.Write(e.t.Context(), store.Scope{Tenant: brand, Actor: actor}, f)
	e.idle()
	return err
}

func (e *enterprise) actor(actor string, f func(*store.Tx) error) {
	e.t.Helper()
	if err := e.tries(actor, f); err != nil {
		e.t.Fatal(err)
	}
}

// bill is the bill of an account by a run.
func (e *enterprise) bill(account, run string) string {
	e.t.Helper()
	bills := *must[[]*billing.CustomerBill](e.operator, http.MethodGet, customerBills+"?billingAccount.id="+account+"&billRun.id="+run, nil)
	if len(bills) != 1 || bills[0].BillNo == "" {
		parked := e.as(brand, http.MethodGet, "/tandem-api/billing/v1/parkedAccount", nil)
		held := e.as(brand, http.MethodGet, "/tandem-api/billing/v1/heldBill", nil)
		e.t.Fatalf("account %s has %d bills: %+v\nparked %s\nheld %s", account, len(bills), bills, parked, held)
	}
	return bills[0].ID
}

// posted is a bill with what it was posted as.
type posted struct {
	*billing.Document
	number      string
	issued, due civil.Date
}

func (e *enterprise) posted(bill string) (p posted) {
	e.t.Helper()
	var doc, issued, due string
	err := e.DB.Read(e.t.Context(), scope(brand), func(tx *store.Tx) error {
		return tx.Row("SELECT d.doc, p.number, p.issue_date, p.due_date FROM billing_document d JOIN billing_posted p ON p.tenant = d.tenant AND p.bill = d.bill WHERE d.tenant = $1 AND d.bill = $2", bill).
			Scan(&doc, &p.number, &issued, &due)
	})
	if err == nil {
		p.Document, err = billing.ReadDocument([]byte(doc))
	}
	if err == nil {
		p.issued, err = civil.ParseDate(issued)
	}
	if err == nil {
		p.due, err = civil.ParseDate(due)
	}
	if err != nil {
		e.t.Fatalf("bill %s: %v", bill, err)
	}
	return p
}

// says compares a bill: what its lines come to without tax, by sort, and its totals, in cents.
func (e *enterprise) says(bill string, lines map[string]int64, net, tax int64) {
	e.t.Helper()
	d, got := e.posted(bill), map[string]int64{}
	for _, l := range d.Lines {
		got[l.Sort] += l.Net
	}
	if !reflect.DeepEqual(got, lines) || d.Net != net || d.Tax != tax || d.Gross != net+tax {
		text := must[billing.Explanation](e.operator, http.MethodGet, "/tandem-api/billing/v1/billExplanation/"+bill, nil).Text
		e.t.Errorf("bill %s: %v, %d and %d tax; want %v, %d and %d\n%s", d.number, got, d.Net, d.Tax, lines, net, tax, text)
	}
}

// sites is that each line of the bill stands for the account that it was ordered on.
func (e *enterprise) sites(bill string) {
	e.t.Helper()
	of := map[string]string{}
	for name, site := range map[string]string{"anna": hamburg, "boris": hamburg, "carla": munich, employee: munich, "frame": ""} {
		of[e.lines[name].ID] = site
	}
	used := map[string]int64{}
	for _, l := range e.posted(bill).Lines {
		site, known := of[l.Product]
		if l.Product != "" && (!known || l.Account != site && l.Sort != "discount") {
			e.t.Errorf("line %s %s of product %s is on account %q, not %q", l.ID, l.Name, l.Product, l.Account, site)
		}
		if l.Sort == billing.Usage {
			used[l.Account] += l.Net
		}
	}
	if want := map[string]int64{hamburg: 1_50, munich: 3_50}; !reflect.DeepEqual(used, want) {
		e.t.Errorf("usage by site %v, want %v", used, want)
	}
}

// mistake is found on the bill, the order number of the company: all but usage is credited,
// which two people decide, and the account is put right.
func (e *enterprise) mistake(bill string) (note string) {
	e.t.Helper()
	again := true
	r := &billing.CreditNoteRequest{Bill: &tmf.Ref{ID: bill}, Reason: "wrongParty", Note: "Your order number was wrong", Rebill: &again}
	for _, l := range e.posted(bill).Lines {
		if l.Item != "" {
			r.Line = append(r.Line, billing.CreditLine{ID: l.ID})
		}
	}
	e.actor("user:ann", func(tx *store.Tx) error { return billing.CreditNotes.OnPost(tx, r) })
	decide := func(tx *store.Tx) error {
		old, err := billing.CreditNotes.Lock(tx, r.ID)
		if err != nil {
			return err
		}
		next, err := billing.CreditNotes.Copy(old)
		if err != nil {
			return err
		}
		next.State = "posted"
		err = billing.CreditNotes.OnPatch(tx, old, next)
		if err == nil {
			note = next.CreditNote.ID
		}
		return err
	}
	if err := e.tries("user:ann", decide); !fault.Is(err, fault.Forbidden) {
		e.t.Fatalf("who asked for the credit note posts it: %v", err)
	}
	e.actor("user:bob", decide)
	if a := e.as(brand, http.MethodPatch, "/tmf-api/accountManagement/v4/billingAccount/"+headOffice, `{"purchaseOrder": "PO-2000"}`); a.status != http.StatusOK {
		e.t.Fatal(a)
	}
	return note
}

// linked is that the three documents name each other, and come to what the first one did.
func (e *enterprise) linked(bill, note, corrected string) {
	e.t.Helper()
	was, credit, now := e.posted(bill), e.posted(note), e.posted(corrected)
	if credit.Kind != billing.CreditNote || credit.Preceding == nil || credit.Preceding.Number != was.number {
		e.t.Errorf("the credit note is %s of %+v, not of %s", credit.Kind, credit.Preceding, was.number)
	}
	if now.Replaces == nil || now.Replaces.Number != was.number || now.PurchaseOrder != "PO-2000" || was.PurchaseOrder != "PO-1000" {
		e.t.Errorf("the corrected invoice replaces %+v, with order number %q after %q; it is for %s", now.Replaces, now.PurchaseOrder, was.PurchaseOrder, was.number)
	}
	if now.Net != credit.Net || now.Gross != credit.Gross {
		e.t.Errorf("credited %d, with tax %d; charged again %d, with tax %d", credit.Net, credit.Gross, now.Net, now.Gross)
	}
	e.says(corrected, map[string]int64{"recurring": 96_00, "oneTime": 40_00, "discount": -(9_30 + 4_80), "commitment": 66_30}, 188_20, 35_76)
}

// exchanged is that a bill is a good electronic invoice, and the company reads the same in
// either syntax.
func (e *enterprise) exchanged(bill string) {
	e.t.Helper()
	p := e.posted(bill)
	v, err := p.Invoice(p.number, p.issued, p.due)
	if err != nil {
		e.t.Fatal(err)
	}
	for _, broken := range einvoice.Check(v) {
		e.t.Errorf("%s: %v", p.number, broken)
	}
	document := func(format string) []byte {
		e.t.Helper()
		a := e.as(brand, http.MethodGet, customerBills+"/"+bill+"/document?format="+format, nil)
		if a.status != http.StatusOK {
			e.t.Fatalf("%s as %s: %s", p.number, format, a)
		}
		return a.body
	}
	for format, read := range map[string]func(io.Reader) (*einvoice.Invoice, error){render.UBL: einvoice.ReadUBL, render.CII: einvoice.ReadCII} {
		if got, err := read(bytes.NewReader(document(format))); err != nil || !reflect.DeepEqual(got, v) {
			e.t.Errorf("%s is another invoice as %s, %v:\n%+v\n%+v", p.number, format, err, got, v)
		}
	}
	if paper := document(render.PDF); !bytes.HasPrefix(paper, []byte("%PDF-")) {
		e.t.Errorf("%s on paper: %.40q", p.number, paper)
	}
}

// paid is that the company pays both its invoices by one transfer, and Eva hers by another.
func (e *enterprise) paid(bill, corrected, own string) {
	e.t.Helper()
	bank, before := sepatest.New(ourIBAN, 0), e.open(headOffice)
	first, second, hers := e.posted(bill), e.posted(corrected), e.posted(own)
	if before != first.Gross {
		e.t.Errorf("%d are open, the first invoice was %d", before, first.Gross)
	}
	bank.Pay(e.date(), "NORDLICHT WERKE AG", firmsIBAN, fmt.Sprintf("Invoices %s, %s", first.number, second.number), "", before)
	bank.Pay(e.date(), "Eva Lindqvist", adasIBAN, hers.number, "", hers.Gross)
	e.tells(bank.Statement(e.date()))
	if n := e.count("SELECT count(DISTINCT a.claim) FROM receivable_allocation a JOIN receivable_payment p ON p.tenant = a.tenant AND p.id = a.source WHERE a.tenant = $1 AND p.account = $2", brand, headOffice); n != 2 {
		e.t.Errorf("the transfer paid %d invoices, want both", n)
	}
	for _, id := range []string{bill, corrected, own} {
		if b := must[billing.CustomerBill](e.operator, http.MethodGet, customerBills+"/"+id, nil); b.State != billing.BillSettled {
			e.t.Errorf("bill %s is %s", b.BillNo, b.State)
		}
	}
	if got := e.count("SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM ledger_entry WHERE tenant = $1 AND account = $2", brand, ledger.Of(ledger.Bank, ourIBAN)); got != bank.Balance {
		e.t.Errorf("the books have %d at the bank, the bank %d", got, bank.Balance)
	}
}

// nothingLeft is that nobody owes anything, and the books add up to nothing.
func (e *enterprise) nothingLeft() {
	e.t.Helper()
	err := e.DB.Read(e.t.Context(), scope(brand), func(tx *store.Tx) error {
		today := civil.DateOf(tx.Now(), time.UTC)
		aged, err := receivable.Ageing(tx, today.AddDays(365), 10)
		if err != nil {
			return err
		}
		for _, a := range aged {
			e.t.Errorf("still owed: %+v", a)
		}
		entity, err := billing.DefaultEntity(tx)
		if err != nil {
			return err
		}
		sums, err := ledger.Trial(tx, entity.ID, today)
		total := int64(0)
		for _, s := range sums {
			total += s.Amount
		}
		if total != 0 || len(sums) == 0 {
			e.t.Errorf("the books come to %d: %+v", total, sums)
		}
		return err
	})
	if err != nil {
		e.t.Fatal(err)
	}
}

func euros(n int64) *tmf.Money { return &tmf.Money{Nano: n * 1_000_000_000, Currency: money.EUR} }

package billing

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BillAPI is TMF678.
var BillAPI = tmf.API{ID: "TMF678", Name: "Customer Bill Management", Version: "4.0.0", Base: "/tmf-api/customerBillManagement/v4"}

// States of a customer bill (TMF678).
const (
	BillNew       = "new"       // a draft
	BillOnHold    = "onHold"    // a draft that somebody must look at
	BillValidated = "validated" // posted
	BillSent      = "sent"
	BillPartly    = "partiallyPaid"
	BillSettled   = "settled"
)

// CustomerBill is a bill as TMF678 shows it.
type CustomerBill struct {
	tmf.Entity
	BillDate          time.Time          `json:"billDate,omitzero"`
	BillNo            string             `json:"billNo,omitzero"`
	Category          string             `json:"category,omitzero"` // normal, creditNote
	LastUpdate        time.Time          `json:"lastUpdate,omitzero"`
	NextBillDate      time.Time          `json:"nextBillDate,omitzero"`
	PaymentDueDate    time.Time          `json:"paymentDueDate,omitzero"`
	RunType           string             `json:"runType,omitzero"` // onCycle, offCycle
	AmountDue         *tmf.Money         `json:"amountDue,omitzero"`
	BillDocument      []tmf.Attachment   `json:"billDocument,omitzero"`
	BillingAccount    *tmf.Ref           `json:"billingAccount,omitzero"`
	BillingPeriod     *tmf.TimePeriod    `json:"billingPeriod,omitzero"`
	RelatedParty      []tmf.RelatedParty `json:"relatedParty,omitzero"`
	RemainingAmount   *tmf.Money         `json:"remainingAmount,omitzero"`
	State             string             `json:"state,omitzero" tmf:"enum=new|onHold|validated|sent|partiallyPaid|settled"`
	TaxExcludedAmount *tmf.Money         `json:"taxExcludedAmount,omitzero"`
	TaxIncludedAmount *tmf.Money         `json:"taxIncludedAmount,omitzero"`
	TaxItem           []BillTax          `json:"taxItem,omitzero"`

	// These extend TMF678.
	LegalEntity    *tmf.Ref `json:"legalEntity,omitzero"`
	BillRun        *tmf.Ref `json:"billRun,omitzero"`
	CorrectedBill  *tmf.Ref `json:"correctedBill,omitzero"` // of a credit note
	CorrectsReason string   `json:"correctsReason,omitzero"`

	doc  []byte
	next string
}

// BillTax is the tax of one category and rate on a bill or a line.
type BillTax struct {
	TaxCategory string         `json:"taxCategory,omitzero"`
	TaxRate     jsontext.Value `json:"taxRate,omitzero"`
	TaxAmount   *tmf.Money     `json:"taxAmount,omitzero"`
	tmf.Extension
}

// CustomerBills are the tenant's bills: drafts, posted ones and credit notes. They are views
// of the rows that the bill run writes; only the state is patched.
var CustomerBills = tmf.Kind[CustomerBill, *CustomerBill]{
	API: &BillAPI, Name: "customerBill", Table: "billing_draft", Verbs: tmf.Patch, StateAttr: "state",
	Frozen: []string{"billDate", "billNo", "category", "lastUpdate", "nextBillDate", "paymentDueDate", "runType", "amountDue", "billDocument", "billingAccount",
		"billingPeriod", "relatedParty", "remainingAmount", "taxExcludedAmount", "taxIncludedAmount", "taxItem", "legalEntity", "billRun", "correctedBill", "correctsReason"},
	Rows: &tmf.Rows[*CustomerBill]{
		From:    "billing_shown",
		Columns: "id, account, run, entity, kind, currency, net, tax, gross, next_date, number, due_date, state, remaining, run_type, changed_at, doc",
		Order:   []string{"id"},
		Paths: map[string]string{"billingAccount.id": "account", "billNo": "number", "state": "state", "runType": "run_type", "lastUpdate": "changed_at",
			"billRun.id": "run", "legalEntity.id": "entity"},
		Find: func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
		Scan: scanCustomerBill,
	},
}

// categories of bills by kind of document.
var billCategories = map[string]string{Invoice: "normal", CreditNote: "creditNote"}

func scanCustomerBill(r store.Rows) (*CustomerBill, error) {
	b := &CustomerBill{}
	var account, run, entity, kind, currency, next, due, doc string
	var net, tax, gross, remaining, changed int64
	if err := r.Scan(&b.ID, &account, &run, &entity, &kind, &currency, &net, &tax, &gross, &next, &b.BillNo, &due, &b.State, &remaining, &b.RunType, &changed, &doc); err != nil {
		return nil, err
	}
	c, err := money.ParseCurrency(currency)
	if err != nil {
		return nil, err
	}
	b.Category, b.LastUpdate = billCategories[kind], store.Instant(changed)
	b.BillingAccount, b.BillRun = accountRef(account), runRef(run)
	b.LegalEntity = &tmf.Ref{ID: entity, Href: ItemAPI.Base + "/legalEntity/" + entity, ReferredType: "LegalEntity"}
	for _, m := range []struct {
		to *(*tmf.Money)
		n  int64
	}{{&b.AmountDue, gross}, {&b.TaxIncludedAmount, gross}, {&b.TaxExcludedAmount, net}, {&b.RemainingAmount, remaining}} {
		if *m.to, err = minorMoney(m.n, c); err != nil {
			return nil, err
		}
	}
	b.next = next
	return b, b.read([]byte(doc), next, due)
}

// minorMoney is an amount of minor units on the wire.
func minorMoney(minor int64, c money.Currency) (*tmf.Money, error) {
	r, err := money.Amount{Minor: minor, Currency: c}.Rate()
	return &r, err
}

// read adds what the document says. One that is gone, which an audit finds, says nothing.
func (b *CustomerBill) read(doc []byte, next, due string) error {
	if len(doc) == 0 {
		return nil
	}
	d, err := ReadDocument(doc)
	if err != nil {
		return fmt.Errorf("bill %s: %w", b.ID, err)
	}
	zone, err := civil.LoadZone(d.Zone)
	if err != nil {
		return err
	}
	b.BillDate = d.Date.Start(zone)
	if d.From.Valid() && d.To.Valid() {
		b.BillingPeriod = &tmf.TimePeriod{StartDateTime: d.From.Start(zone), EndDateTime: d.To.Start(zone)}
	}
	for _, x := range []struct {
		text string
		to   *time.Time
	}{{next, &b.NextBillDate}, {cmp.Or(due, d.Due.String()), &b.PaymentDueDate}} {
		if on, err := civil.ParseDate(x.text); err == nil {
			*x.to = on.Start(zone)
		}
	}
	b.BillingAccount.Name, b.BillDocument = d.AccountName, billDocuments(b.ID, b.BillNo)
	if d.Customer != "" {
		b.RelatedParty = []tmf.RelatedParty{{ID: d.Customer, Name: d.Buyer.Name, Role: "customer", ReferredType: "Customer"}}
	}
	if p := d.Preceding; p != nil {
		b.CorrectedBill = &tmf.Ref{ID: p.Bill, Name: p.Number, Href: BillAPI.Base + "/customerBill/" + p.Bill, ReferredType: "CustomerBill"}
		b.CorrectsReason = d.Reason
	}
	c, err := money.ParseCurrency(d.Currency)
	if err != nil {
		return err
	}
	for _, t := range d.Taxes {
		amount, err := minorMoney(t.Tax, c)
		if err != nil {
			return err
		}
		b.TaxItem = append(b.TaxItem, BillTax{TaxCategory: t.Category, TaxRate: percentValue(t.Percent), TaxAmount: amount})
	}
	return nil
}

// percentValue is a percentage on the wire.
func percentValue(p [2]int64) jsontext.Value { return jsontext.Value(percentText(p)) }

// percentText writes a percentage: 19, 7.7.
func percentText(p [2]int64) string {
	if p[1] == 0 {
		return "0"
	}
	n, err := money.MulDiv(p[0], 1_000_000, p[1], money.HalfUp)
	if err != nil {
		return "0"
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	text := fmt.Sprintf("%s%d.%06d", sign, n/1_000_000, n%1_000_000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// patchBill does what the state that a client asks for means: a draft is held, released or,
// if no run is about to do it, posted; a posted bill was sent. What is paid receivable says.
func patchBill(tx *store.Tx, old, b *CustomerBill) (err error) {
	switch from, to := old.State, b.State; {
	case from == to:
		return nil
	case from == BillNew && to == BillOnHold:
		err = postBillDecision(tx, &BillDecision{Subject: &tmf.Ref{ID: old.ID, ReferredType: "CustomerBill"}, Decision: Hold, Reason: "state set to onHold"})
	case from == BillOnHold && to == BillNew:
		err = postBillDecision(tx, &BillDecision{Subject: &tmf.Ref{ID: old.ID, ReferredType: "CustomerBill"}, Decision: Release})
	case from == BillNew && to == BillValidated:
		err = validateBill(tx, old)
	case from == BillValidated && to == BillSent:
		tx.Insert("INSERT INTO billing_afterwards (tenant, bill, state, remaining, at)", old.ID, BillSent, remainingMinor(old), store.Micros(tx.Now()))
	default:
		return fault.Clash("illegalMove", "A bill that is %s cannot become %q: a draft can be held, released or validated, a validated bill sent; payments settle it", from, to)
	}
	if err != nil {
		return err
	}
	return access.Audit(tx, "billing.billState", "customerBill:"+old.ID, map[string]string{"state": old.State}, map[string]string{"state": b.State})
}

// validateBill posts a bill that was made on demand: another person does than who made it.
func validateBill(tx *store.Tx, b *CustomerBill) error {
	asked, err := OnDemand.Select(tx, tmf.Where{"customerBill.id": b.ID}, tmf.Page{Limit: 1})
	if err != nil {
		return err
	}
	if len(asked) > 0 && asked[0].RequestedBy == tx.Actor() {
		return fault.Denied("fourEyes", "Who asked for the bill cannot post it: another person must")
	}
	return PostBill(tx, b.ID)
}

func remainingMinor(b *CustomerBill) int64 {
	if b.RemainingAmount == nil {
		return 0
	}
	a, err := b.RemainingAmount.Post(money.HalfUp)
	if err != nil {
		return 0
	}
	return a.Minor
}

const (
	keepPaid = `INSERT INTO billing_afterwards (tenant, bill, state, remaining, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, bill) DO UPDATE SET state = $3, remaining = $4, at = $5`
)

// Paid notes what is still to be paid of a posted bill, in minor units: for receivable, which
// allocates payments. What is paid in full is settled; a reversal opens it again.
func Paid(tx *store.Tx, bill string, gross, remaining int64) {
	state := BillSent
	switch {
	case remaining == 0:
		state = BillSettled
	case remaining != gross:
		state = BillPartly
	}
	tx.Queue(keepPaid, bill, state, remaining, store.Micros(tx.Now()))
}

// AppliedRate is a line of a bill (TMF678 appliedCustomerBillingRate).
type AppliedRate struct {
	tmf.Entity
	Name              string               `json:"name,omitzero"`
	Description       string               `json:"description,omitzero"`
	Date              time.Time            `json:"date,omitzero"`
	IsBilled          *bool                `json:"isBilled,omitzero"`
	RateType          string               `json:"type,omitzero"` // recurring, oneTime, usage, discount, commitment
	AppliedTax        []BillTax            `json:"appliedTax,omitzero"`
	Bill              *tmf.Ref             `json:"bill,omitzero"`
	BillingAccount    *tmf.Ref             `json:"billingAccount,omitzero"`
	Characteristic    []tmf.Characteristic `json:"characteristic,omitzero"`
	PeriodCoverage    *tmf.TimePeriod      `json:"periodCoverage,omitzero"`
	Product           *tmf.Ref             `json:"product,omitzero"`
	TaxExcludedAmount *tmf.Money           `json:"taxExcludedAmount,omitzero"`
	TaxIncludedAmount *tmf.Money           `json:"taxIncludedAmount,omitzero"`
}

// AppliedRates are the lines of all bills. The id is the bill's and the line's number.
var AppliedRates = tmf.Kind[AppliedRate, *AppliedRate]{
	API: &BillAPI, Name: "appliedCustomerBillingRate", Table: "billing_line", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*AppliedRate]{
		From: `(SELECT l.tenant AS tenant, l.bill AS bill, l.n AS n, l.line AS line, d.account AS account, d.currency AS currency, d.bill_date AS bill_date, d.at AS at,
			CASE WHEN p.bill IS NULL THEN 0 ELSE 1 END AS billed FROM billing_line l JOIN billing_draft d ON d.tenant = l.tenant AND d.id = l.bill
			LEFT JOIN billing_posted p ON p.tenant = l.tenant AND p.bill = l.bill) AS rates`,
		Columns: "bill, n, line, account, currency, at, billed",
		Order:   []string{"bill", "n"},
		Paths:   map[string]string{"bill.id": "bill", "billingAccount.id": "account", "date": "at"},
		Find:    findRate,
		Scan:    scanRate,
	},
}

// findRate finds a line by its bill and number.
func findRate(id string, first int) (string, []any) {
	i := strings.LastIndexByte(id, '.')
	if i <= 0 {
		return "", nil
	}
	n, err := strconv.ParseInt(id[i+1:], 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != id[i+1:] {
		return "", nil
	}
	return fmt.Sprintf("bill = $%d AND n = $%d", first, first+1), []any{id[:i], n}
}

func scanRate(r store.Rows) (*AppliedRate, error) {
	a := &AppliedRate{}
	var bill, line, account, currency string
	var n, at, billed int64
	if err := r.Scan(&bill, &n, &line, &account, &currency, &at, &billed); err != nil {
		return nil, err
	}
	var l DocumentLine
	if err := json.Unmarshal([]byte(line), &l); err != nil {
		return nil, err
	}
	c, err := money.ParseCurrency(currency)
	if err != nil {
		return nil, err
	}
	is := billed == 1
	a.ID, a.IsBilled, a.Date = bill+"."+strconv.FormatInt(n, 10), &is, store.Instant(at)
	a.Bill = &tmf.Ref{ID: bill, Href: BillAPI.Base + "/customerBill/" + bill, ReferredType: "CustomerBill"}
	a.BillingAccount = accountRef(cmp.Or(l.Account, account))
	return a, a.show(&l, c)
}

// show fills in what the line says.
func (a *AppliedRate) show(l *DocumentLine, c money.Currency) (err error) {
	a.Name, a.RateType = l.Name, l.Sort
	if l.Product != "" {
		a.Product = &tmf.Ref{ID: l.Product, Href: "/tmf-api/productInventory/v4/product/" + l.Product, ReferredType: "Product"}
	}
	if l.ServiceFrom.Valid() && l.ServiceTo.Valid() { // dates: of the calendar, written in UTC
		a.PeriodCoverage = &tmf.TimePeriod{StartDateTime: l.ServiceFrom.Start(time.UTC), EndDateTime: l.ServiceTo.Start(time.UTC)}
	}
	if a.TaxExcludedAmount, err = minorMoney(l.Net, c); err != nil {
		return err
	}
	if l.TaxIncluded {
		if a.TaxIncludedAmount, err = minorMoney(l.Amount, c); err != nil {
			return err
		}
	}
	a.AppliedTax = []BillTax{{TaxCategory: l.TaxCategory, TaxRate: percentValue(l.TaxPercent)}}
	for _, x := range [][2]string{{"item", l.Item}, {"price", l.Price}, {"priceVersion", l.Version}, {"proration", l.Rule}, {"usageUnit", l.UsageUnit},
		{"correctsBill", l.Corrects}, {"revenueAccount", l.Revenue}} {
		if x[1] != "" {
			a.Characteristic = append(a.Characteristic, tmf.Text(x[0], x[1]))
		}
	}
	for _, x := range []struct {
		name string
		n    int64
	}{{"part", l.Part}, {"of", l.Of}, {"quantity", l.Quantity}, {"records", l.Records}} {
		if x.n != 0 {
			a.Characteristic = append(a.Characteristic, tmf.Characteristic{Name: x.name, ValueType: "number", Value: jsontext.Value(strconv.FormatInt(x.n, 10))})
		}
	}
	return nil
}

// BillOnDemand asks for the bill of one account now (TMF678 customerBillOnDemand): what is
// owed up to its last billing period, late usage included.
type BillOnDemand struct {
	tmf.Entity
	Name           string            `json:"name,omitzero"`
	Description    string            `json:"description,omitzero"`
	LastUpdate     string            `json:"lastUpdate,omitzero"`
	BillingAccount *tmf.Ref          `json:"billingAccount,omitzero"`
	CustomerBill   *tmf.Ref          `json:"customerBill,omitzero"`
	RelatedParty   *tmf.RelatedParty `json:"relatedParty,omitzero"`
	State          string            `json:"state,omitzero" tmf:"enum=inProgress|rejected|done|terminatedWithError"`
	StateReason    string            `json:"stateReason,omitzero"`
	RequestedBy    string            `json:"requestedBy,omitzero"`
}

// OnDemand are the bills that were asked for.
var OnDemand = tmf.Kind[BillOnDemand, *BillOnDemand]{
	API: &BillAPI, Name: "customerBillOnDemand", Table: "billing_on_demand", Verbs: tmf.Task, Index: []string{"state", "billingAccount.id", "customerBill.id"},
	StateAttr: "state",
}

// postOnDemand makes the draft in the same transaction; validating it posts it. Where there
// is nothing to bill, or the account cannot be billed, the request is rejected with the
// reason.
func postOnDemand(tx *store.Tx, o *BillOnDemand) error {
	if o.BillingAccount == nil || o.BillingAccount.ID == "" {
		return fault.BadInput("mandatoryAttributeMissing", "billingAccount is required")
	}
	a, err := BillingAccounts.Lock(tx, o.BillingAccount.ID)
	if err != nil {
		return named("billingAccount", err)
	}
	o.BillingAccount = accountRef(a.ID)
	o.BillingAccount.Name, o.CustomerBill = a.Name, nil
	o.State, o.StateReason, o.RequestedBy, o.LastUpdate = "rejected", "", tx.Actor(), tmf.FormatTime(tx.Now())
	e, err := DefaultEntity(tx)
	if err == nil {
		e, err = EntityOf(tx, a)
	}
	if err != nil {
		return err
	}
	zone, err := civil.LoadZone(cmp.Or(a.TimeZone, e.TimeZone))
	if err != nil {
		return err
	}
	found, err := outcomes(tx, &BillRun{CutOff: civil.DateOf(tx.Now(), zone).String(), BillingAccount: []tmf.Ref{*o.BillingAccount}}, []string{a.ID})
	if err != nil {
		return err
	}
	switch x := firstOf(found); {
	case x.parked != "":
		o.StateReason = x.parked
	case x.draft == nil:
		o.StateReason = "There is nothing to bill on the account up to its last billing period"
	default:
		x.write(tx)
		o.State = "done"
		o.CustomerBill = &tmf.Ref{ID: x.draft.id, Href: BillAPI.Base + "/customerBill/" + x.draft.id, ReferredType: "CustomerBill"}
	}
	return OnDemand.Create(tx, o)
}

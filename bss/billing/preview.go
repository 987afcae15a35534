package billing

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BillPreview is what bills would say that are not made: of the running period, after a
// change of plan, or of what is about to be ordered. It is worked out as bills are, from the
// same things by the same engine, and it bills nothing. What is not known yet is not on it:
// use that is still to come.
type BillPreview struct {
	tmf.Entity
	// BillingAccount is whose bill it is. Who has none yet may be named as Customer, or not
	// at all; then LegalEntity says who would sell (none: the usual one), and Currency in what.
	BillingAccount *tmf.Ref `json:"billingAccount,omitzero"`
	Customer       *tmf.Ref `json:"customer,omitzero"`
	LegalEntity    *tmf.Ref `json:"legalEntity,omitzero"`
	Currency       string   `json:"currency,omitzero"`
	Language       string   `json:"language,omitzero"`
	// Date is a day of the billing period that is shown first, where the account is. Absent: today.
	Date string `json:"date,omitzero"`
	// Closing is when the bill is made: with the period, or at the end of today.
	Closing string           `json:"closing,omitzero" tmf:"enum=period|today"`
	Change  []SupposedChange `json:"change,omitzero"`
	Order   []SupposedOrder  `json:"order,omitzero"`

	RequestedBy   string    `json:"requestedBy,omitzero"`
	RequestedDate time.Time `json:"requestedDate,omitzero"`
	// Bill are the bills from the running period on, up to the second one that holds
	// everything supposed.
	Bill []PreviewedBill `json:"bill,omitzero"`
	// Thereafter is what the bills after those come to, one each time the amount changes, for
	// two years if nothing is used.
	Thereafter []PreviewedAmount `json:"thereafter,omitzero"`
}

// Closings of a preview.
const (
	ClosingPeriod = "period"
	ClosingToday  = "today"
)

// SupposedChange is a product that becomes another offering, as an order would make it.
type SupposedChange struct {
	Product               *tmf.Ref             `json:"product,omitzero" tmf:"required"`
	ProductOffering       *tmf.Ref             `json:"productOffering,omitzero" tmf:"required"`
	Date                  string               `json:"date,omitzero"`                  // or an instant; absent: now
	ProductCharacteristic []tmf.Characteristic `json:"productCharacteristic,omitzero"` // those that change
	tmf.Extension
}

// SupposedOrder is a line of a quote or a shopping cart.
type SupposedOrder struct {
	ProductOffering       *tmf.Ref             `json:"productOffering,omitzero" tmf:"required"`
	Bundle                *tmf.Ref             `json:"bundle,omitzero"`   // it is taken as a part of
	Quantity              int64                `json:"quantity,omitzero"` // none: 1
	Date                  string               `json:"date,omitzero"`     // on which the network confirms it, or an instant; absent: now
	ProductCharacteristic []tmf.Characteristic `json:"productCharacteristic,omitzero"`
	tmf.Extension
}

// PreviewedBill is one bill that is not made, in the words of one that is.
type PreviewedBill struct {
	BillDate       string          `json:"billDate"`
	From           string          `json:"from"` // the first and the last day of the billing period
	To             string          `json:"to"`
	PaymentDueDate string          `json:"paymentDueDate"`
	Kind           string          `json:"kind"` // invoice; creditNote: its amounts are what the customer gets
	Net            money.Amount    `json:"net"`
	Tax            money.Amount    `json:"tax"`
	Gross          money.Amount    `json:"gross"`
	Waits          bool            `json:"waits,omitzero"` // it is below the account's minimum: all of it would be on the next one
	Text           []string        `json:"text,omitzero"`
	Line           []ExplainedLine `json:"line,omitzero"`
	Change         []BillChange    `json:"change,omitzero"` // against the bill before
	Document       *Document       `json:"document,omitzero"`
	tmf.Extension
}

// PreviewedAmount is what bills come to from a bill date on.
type PreviewedAmount struct {
	BillDate string       `json:"billDate"`
	Net      money.Amount `json:"net"`
	Tax      money.Amount `json:"tax"`
	Gross    money.Amount `json:"gross"`
	tmf.Extension
}

// BillPreviews are those that were asked for; they are kept until somebody deletes them, so
// that what a customer was told can be looked up.
var BillPreviews = tmf.Kind[BillPreview, *BillPreview]{
	API: &ItemAPI, Name: "billPreview", Table: "billing_preview", Verbs: tmf.Post | tmf.Delete,
	Index: []string{"billingAccount.id", "requestedDate"},
}

const (
	maxSupposed    = 50  // changes and orders of a preview
	maxPieces      = 500 // products that it supposes
	maxBillsAhead  = 13  // bills it shows one by one
	billsLookedFor = 24  // after those, for amounts that change
)

func init() { // hooks refer back to their kinds
	BillPreviews.Act = func(ctx context.Context, db *store.DB, s store.Scope, p *BillPreview) error {
		if err := settled(ctx, db, s); err != nil {
			return err
		}
		if err := db.Snapshot(ctx, s, func(tx *store.Tx) error { return Preview(tx, p) }); err != nil {
			return err
		}
		return db.Write(ctx, s, func(tx *store.Tx) error { return BillPreviews.Create(tx, p) })
	}
}

// settled makes sure that there is a legal entity, as the first bill would.
func settled(ctx context.Context, db *store.DB, s store.Scope) error {
	err := db.Read(ctx, s, func(tx *store.Tx) error { _, err := DefaultEntity(tx); return err })
	if fault.Is(err, fault.NotFound) {
		return db.Write(ctx, s, haveEntity)
	}
	return err
}

// Preview works a preview out. It only reads, and wants a snapshot of the store.
func Preview(tx *store.Tx, p *BillPreview) (err error) {
	p.RequestedBy, p.RequestedDate, p.Bill, p.Thereafter = tx.Actor(), tx.Now(), nil, nil
	p.Closing = cmp.Or(p.Closing, ClosingPeriod)
	if err := p.check(); err != nil {
		return err
	}
	v := &previewing{tx: tx, BillPreview: p}
	for _, step := range []func() error{v.whose, v.when, v.suppositions, v.gather, v.bills} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (p *BillPreview) check() error {
	pieces := int64(0)
	for _, o := range p.Order {
		if o.Quantity < 0 || o.Quantity > maxPieces {
			return fault.BadInput("badQuantity", "quantity is from 1 to %d, not %d", maxPieces, o.Quantity)
		}
		pieces += max(1, o.Quantity)
	}
	supposed := len(p.Change) + len(p.Order)
	switch {
	case supposed > maxSupposed || pieces > maxPieces:
		return fault.BadInput("tooMany", "A preview supposes at most %d changes and orders, of %d products", maxSupposed, maxPieces)
	case p.BillingAccount == nil && len(p.Order) == 0:
		return fault.BadInput("mandatoryAttributeMissing", "billingAccount is required; who has none yet can only order")
	case p.Closing == ClosingToday && (supposed > 0 || p.Date != ""):
		return fault.BadInput("badClosing", "What the bill is today is shown of what there is, as of today: without change, order and date")
	case p.Language != "" && !languageTag.MatchString(p.Language):
		return fault.BadInput("badLanguage", "language is one such as en or de-AT, not %.20q", p.Language)
	}
	return nil
}

// previewing is a preview under way.
type previewing struct {
	*BillPreview
	tx      *store.Tx
	account *Account
	virtual bool // there is no such account yet
	zone    *time.Location
	cal     calendar
	period  civil.Period // billing period that is shown first
	today   civil.Date
	turns   []turning // what is supposed, in the order of time
	stages  [][]*itemRow
	own     *gathering
}

// turning is something supposed, with the instant at which it happens.
type turning struct {
	at     time.Time
	date   civil.Date
	change *SupposedChange
	order  *SupposedOrder
	n      int // of the orders
}

// whose finds the account, or makes up one for somebody who has none.
func (v *previewing) whose() (err error) {
	id := ""
	if v.BillingAccount != nil {
		id = v.BillingAccount.ID
	}
	if id == "" && v.Customer != nil {
		a, err := usual(v.tx, v.Customer.ID)
		if err != nil {
			return err
		}
		if a != nil {
			id = a.ID
		}
	}
	if id == "" {
		v.supposeAccount()
		return nil
	}
	if v.account, err = BillingAccounts.Get(v.tx, id); err != nil {
		return named("billingAccount", err)
	}
	v.BillingAccount = accountRef(id)
	v.BillingAccount.Name = v.account.Name
	if other := v.account.payer(v.tx.Now()); other != "" {
		return fault.Clash("paidByAnother", "What the account %q owes is on the bill of the account %q, which pays for it: ask for that one's", id, other)
	}
	return nil
}

// nobodys is the id of the account of somebody who has none.
const nobodys = "preview"

func (v *previewing) supposeAccount() {
	v.virtual = true
	v.account = &Account{Currency: v.Currency, AccountTerms: AccountTerms{State: Active}}
	v.account.ID, v.account.Language = nobodys, v.Language
	if v.LegalEntity != nil {
		v.account.LegalEntity = &tmf.Ref{ID: v.LegalEntity.ID}
	}
	if v.Customer != nil {
		v.account.RelatedParty = []tmf.RelatedParty{{ID: v.Customer.ID, Role: "customer", ReferredType: "Customer"}}
	}
}

// when finds the billing period that is shown first.
func (v *previewing) when() error {
	e, err := EntityOf(v.tx, v.account)
	if fault.Is(err, fault.NotFound) {
		return fault.Clash("noLegalEntity", "There is no legal entity that would bill this: make one (legalEntity), or name another")
	}
	if err != nil {
		return err
	}
	zone, cycle, _, err := calendarOf(v.tx, v.account, e)
	if err != nil {
		return err
	}
	was, err := calendarsBefore(v.tx, []string{v.account.ID})
	if err != nil {
		return err
	}
	if v.cal, err = calendarAfter(was[v.account.ID], cycle); err != nil {
		return err
	}
	v.zone, v.today = zone, civil.DateOf(v.tx.Now(), zone)
	day := v.today
	if v.Date != "" {
		if day, err = civil.ParseDate(v.Date); err != nil {
			return fault.BadInput("badDate", "date: %v", err)
		}
	}
	v.period, _, err = v.cal.period(day)
	return err
}

// suppositions puts what is supposed in the order of time.
func (v *previewing) suppositions() error {
	for i := range v.Change {
		if err := v.turn(turning{change: &v.Change[i]}, v.Change[i].Date); err != nil {
			return err
		}
	}
	for i := range v.Order {
		if err := v.turn(turning{order: &v.Order[i], n: i + 1}, v.Order[i].Date); err != nil {
			return err
		}
	}
	slices.SortStableFunc(v.turns, func(a, b turning) int { return a.at.Compare(b.at) })
	return nil
}

func (v *previewing) turn(t turning, text string) error {
	t.at = v.tx.Now()
	if d, err := civil.ParseDate(text); err == nil {
		t.at = d.Start(v.zone)
	} else if text != "" {
		if t.at, err = civil.ParseInstant(text); err != nil {
			return fault.BadInput("badDate", "date is a day such as 2026-03-01 or an instant, not %.40q", text)
		}
	}
	t.date = civil.DateOf(t.at, v.zone)
	v.turns = append(v.turns, t)
	return nil
}

// gather reads all that the bills are made from, what is supposed among it.
func (v *previewing) gather() error {
	g := newGatherer(v.tx, []string{v.account.ID}, v.period.To)
	v.own = &g.rows[0]
	if v.virtual {
		v.own.account, v.own.paidFor = v.account, []string{v.account.ID}
	}
	if err := g.all(v.suppose); err != nil {
		return err
	}
	if v.own.Parked != "" {
		return fault.Clash(v.own.Code, "%s", v.own.Parked)
	}
	if v.Language != "" {
		v.own.paper.Language = v.Language
	}
	return nil
}

// bills works out the bills one after the other, each as if the ones before had been made.
func (v *previewing) bills() error {
	in := v.own.Input
	if v.Closing == ClosingToday {
		in.Cycle, in.Index = untilToday(v.period, v.today), 0
	}
	was, err := v.lastBill()
	if err != nil {
		return err
	}
	for period := v.period; ; {
		b, err := v.make(&in)
		if err != nil {
			return err
		}
		doc := v.own.Document("", b)
		shown, err := v.show(doc, was, b.Waits)
		if err != nil {
			return err
		}
		v.Bill, was = append(v.Bill, shown), doc
		of := period
		if period, err = v.settle(&in, b, of); err != nil {
			return err
		}
		switch {
		case len(v.turns) == 0:
			return nil
		case len(v.Bill) > 1 && v.turns[len(v.turns)-1].date.Before(of.From):
			return v.later(&in, period)
		case len(v.Bill) == maxBillsAhead:
			return fault.BadInput("tooFar", "What is supposed lies more than %d bills ahead", maxBillsAhead-1)
		}
	}
}

// untilToday is a billing period of which only the days up to today are over.
func untilToday(p civil.Period, today civil.Date) civil.Cycle {
	return civil.Cycle{Origin: p.From, Step: civil.Duration{Days: max(1, today.Sub(p.From)+1)}}
}

// make works out the next bill, with what will have happened by its date.
func (v *previewing) make(in *compute.Input) (*compute.Bill, error) {
	period, err := in.Cycle.Period(in.Index)
	if err != nil {
		return nil, err
	}
	if in.Items, err = v.itemsBy(period.To); err != nil {
		return nil, err
	}
	return compute.Make(in)
}

// itemsBy are the items as they will be known on a date.
func (v *previewing) itemsBy(date civil.Date) (out []compute.Item, err error) {
	stage := 0
	for stage < len(v.turns) && !v.turns[stage].date.After(date) {
		stage++
	}
	for _, it := range v.stages[stage] {
		if it.ChargeType == Usage {
			continue
		}
		item, err := v.own.item(it)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, nil
}

// settle moves an input on to the next billing period, as if the bill of this one had been
// made.
func (v *previewing) settle(in *compute.Input, b *compute.Bill, of civil.Period) (next civil.Period, err error) {
	if !b.Waits {
		if err := putBilled(in, b); err != nil {
			return next, err
		}
	}
	next, whole, err := v.cal.period(of.To)
	if err != nil {
		return next, err
	}
	v.own.paper.Shortened = !whole
	return next, v.cal.input(in, next, whole)
}

// putBilled puts what a bill charges among what was billed.
func putBilled(in *compute.Input, b *compute.Bill) error {
	revision := map[string]int64{}
	for i := range in.Items {
		revision[in.Items[i].ID] = in.Items[i].Revision
	}
	in.Billed = slices.Clone(in.Billed)
	for i := range b.Lines {
		l := &b.Lines[i]
		if l.Item == "" {
			continue
		}
		in.Billed = append(in.Billed, compute.Billed{Item: l.Item, Index: l.Index, Net: l.Amount, Version: l.Number + 1, Revision: revision[l.Item],
			TaxCategory: l.TaxCategory, TaxRate: l.TaxPercent, TaxIncluded: l.TaxIncluded, Bill: l.Corrects})
	}
	in.Usage = slices.Clone(in.Usage)
	for i := range in.Usage { // it only counts from now on
		u := &in.Usage[i]
		sum := u.Amount
		if u.Before != (money.Rate{}) {
			var err error
			if sum, err = sum.Add(u.Before); err != nil {
				return err
			}
		}
		u.Before, u.Amount.Nano, u.Records, u.Quantity = sum, 0, 0, 0
	}
	return nil
}

// later says what the bills after those that are shown come to.
func (v *previewing) later(in *compute.Input, period civil.Period) error {
	var last [2]int64
	for range billsLookedFor {
		b, err := v.make(in)
		if err != nil {
			return err
		}
		if now := [2]int64{b.Net, b.Tax}; !b.Waits && (len(v.Thereafter) == 0 || now != last) {
			a := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: in.Currency} }
			v.Thereafter = append(v.Thereafter, PreviewedAmount{BillDate: b.Date.String(), Net: a(b.Net), Tax: a(b.Tax), Gross: a(b.Gross)})
			last = now
		}
		if period, err = v.settle(in, b, period); err != nil {
			return err
		}
	}
	return nil
}

// lastBill is what stands on the account's last bill, nil if there is none.
func (v *previewing) lastBill() (*Document, error) {
	var id, number, doc string
	err := v.tx.Row(readPrevious, v.account.ID, int64(math.MaxInt64)).Scan(&id, &number, &doc)
	if err == store.ErrNotFound || err == nil && doc == "" {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ReadDocument([]byte(doc))
}

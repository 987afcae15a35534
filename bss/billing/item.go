package billing

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/catalog"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// ItemAPI is Tandem's own API of what there is to bill.
var ItemAPI = tmf.API{ID: "BILLING", Name: "Billable Items", Version: "1.0.0", Base: "/tandem-api/billing/v1"}

// States of a billable item.
const (
	ItemActive    = "active"
	ItemSuspended = "suspended"
	ItemEnded     = "ended"
)

// Sorts of charge.
const (
	Recurring  = "recurring"
	OneTime    = "oneTime"
	Usage      = "usage"
	Alteration = "alteration" // changes another charge: discount, surcharge
)

// What is charged while the product is suspended.
const (
	ChargeFull = "full"
	ChargeNone = "none"
)

// BillableItem is one price of one product from the instant it is owed: what the
// bill run reads. The price is a copy; later changes of the catalogue do not
// reach it.
type BillableItem struct {
	tmf.Entity
	Name            string   `json:"name,omitzero"`
	State           string   `json:"state,omitzero" tmf:"enum=active|suspended|ended"`
	ChargeType      string   `json:"chargeType,omitzero"` // recurring, oneTime, usage, alteration or the operator's own
	Product         *tmf.Ref `json:"product,omitzero" tmf:"required"`
	ProductOffering *tmf.Ref `json:"productOffering,omitzero"`
	Price           *tmf.Ref `json:"price,omitzero" tmf:"required"` // with the version frozen here
	BillingAccount  *tmf.Ref `json:"billingAccount,omitzero" tmf:"required"`
	Customer        *tmf.Ref `json:"customer,omitzero"`

	Amount        *tmf.Money        `json:"amount,omitzero"`     // for one period, one piece or one unit of measure; without tax unless Billing says otherwise
	Percentage    jsontext.Value    `json:"percentage,omitzero"` // of the prices in Alters, instead of an amount
	Alters        []string          `json:"alters,omitzero"`     // price ids
	PeriodUnit    string            `json:"periodUnit,omitzero"` // day, week, month, quarter, year
	PeriodCount   int64             `json:"periodCount,omitzero"`
	UnitOfMeasure *tmf.Quantity     `json:"unitOfMeasure,omitzero"`
	Tax           []catalog.TaxItem `json:"tax,omitzero"`

	ConfirmedBy string       `json:"confirmedBy,omitzero" tmf:"required"` // the service whose activation started it
	From        time.Time    `json:"from,omitzero" tmf:"required"`        // the instant the network confirmed
	To          time.Time    `json:"to,omitzero"`                         // not included; absent while it runs
	TermFrom    time.Time    `json:"termFrom,omitzero"`                   // of a minimum term that began before From, on another account
	Suspension  []civil.Span `json:"suspension,omitzero"`
	// ChargeWhileSuspended is "full" or "none".
	ChargeWhileSuspended string `json:"chargeWhileSuspended,omitzero" tmf:"enum=full|none"`

	// Billing is how the price is billed, and ServicePeriods its calendar. An item that has
	// neither was made before there was a choice: it has the defaults.
	Billing        *BillingTerms   `json:"billing,omitzero"`
	ServicePeriods *ServicePeriods `json:"servicePeriods,omitzero"`
}

// Items are the billable items of the tenant.
var Items = tmf.Kind[BillableItem, *BillableItem]{
	API: &ItemAPI, Name: "billableItem", Table: "billing_item", Verbs: tmf.ReadOnly,
	Index:     []string{"state", "product.id", "billingAccount.id", "customer.id", "from"},
	StateAttr: "state",
	Moves: tmf.Moves{"": {ItemActive, ItemSuspended, ItemEnded}, ItemActive: {ItemSuspended, ItemEnded},
		ItemSuspended: {ItemActive, ItemEnded}},
}

// open says that the item still runs.
func (i *BillableItem) open() bool { return i.State != ItemEnded }

// Span is the instants from the beginning to the end of the item.
func (i *BillableItem) Span() civil.Span { return civil.Span{From: i.From, To: i.To} }

// Billable are the parts of a span in which the item is charged: all of its own
// time, less the suspended times if the price does not charge for them. They do
// not overlap and are in order.
func (i *BillableItem) Billable(within civil.Span) []civil.Span {
	whole, ok := i.Span().Intersect(within)
	if !ok {
		return nil
	}
	if i.ChargeWhileSuspended == ChargeFull {
		return []civil.Span{whole}
	}
	var out []civil.Span
	rest := whole
	for _, s := range i.Suspension {
		cut, ok := s.Intersect(rest)
		if !ok {
			continue
		}
		if before := (civil.Span{From: rest.From, To: cut.From}); !before.Empty() {
			out = append(out, before)
		}
		if cut.Open() {
			return out
		}
		if rest.From = cut.To; rest.Empty() {
			return out
		}
	}
	return append(out, rest)
}

// suspend notes that the product is barred since at; a clock behind the last
// resumption is set to it.
func (i *BillableItem) suspend(at time.Time) {
	at = latest(at, i.From)
	if n := len(i.Suspension); n > 0 {
		at = latest(at, i.Suspension[n-1].To)
	}
	i.Suspension = append(i.Suspension, civil.Span{From: at})
	i.State = ItemSuspended
}

func (i *BillableItem) resume(at time.Time) {
	i.closeSuspension(at)
	i.State = ItemActive
}

func (i *BillableItem) end(at time.Time) {
	at = latest(at, i.From)
	if n := len(i.Suspension); n > 0 {
		at = latest(at, i.Suspension[n-1].From)
		at = latest(at, i.Suspension[n-1].To)
	}
	i.closeSuspension(at)
	i.To, i.State = at, ItemEnded
}

func (i *BillableItem) closeSuspension(at time.Time) {
	n := len(i.Suspension)
	if n == 0 || !i.Suspension[n-1].Open() {
		return
	}
	s := &i.Suspension[n-1]
	if s.To = latest(at, s.From); s.Empty() {
		i.Suspension = i.Suspension[:n-1] // no time at all
	}
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// checkItem: what makes a billable item one. The table behind it says it again.
func checkItem(_ *store.Tx, _, i *BillableItem) error {
	switch {
	case i.Product.ID == "" || i.Price.ID == "" || i.BillingAccount.ID == "":
		return fault.BadInput("itemIncomplete", "A billable item names its product, price and account")
	case i.ConfirmedBy == "":
		return fault.BadInput("notConfirmed", "Nothing is billed that no service has confirmed")
	case !i.To.IsZero() && i.To.Before(i.From):
		return fault.BadInput("invalidPeriod", "A billable item cannot end before it begins")
	}
	return nil
}

const (
	insertCharge = "INSERT INTO billing_charge (tenant, item, product, price, account, confirmed_by, from_at, to_at)"
	updateCharge = `UPDATE billing_charge SET account = $3, to_at = $4 WHERE tenant = $1 AND item = $2`
)

// savedItem keeps billing_charge in step, whose constraints hold for every item.
func savedItem(tx *store.Tx, old, i *BillableItem) error {
	if i == nil {
		return fmt.Errorf("billable item %s: what was owed is not deleted", old.ID)
	}
	var to any
	if !i.To.IsZero() {
		to = store.Micros(i.To)
	}
	if old == nil {
		delete(readAhead(tx).billed, i.Product.ID)
		tx.Insert(insertCharge, i.ID, i.Product.ID, i.Price.ID, i.BillingAccount.ID, i.ConfirmedBy, store.Micros(i.From), to)
		return nil
	}
	tx.QueueOne(updateCharge, i.ID, i.BillingAccount.ID, to)
	return nil
}

// onAccount counts all items of an account.
func onAccount(tx *store.Tx, account string) (n int64, err error) {
	err = tx.Row("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND account = $2", account).Scan(&n)
	return n, err
}

// everBilled counts, by price, all items there ever were of a product.
func everBilled(tx *store.Tx, product string) (map[string]int64, error) {
	if out, ok := readAhead(tx).billed[product]; ok {
		return out, nil
	}
	out := map[string]int64{}
	rows, err := tx.Query("SELECT price, count(*) FROM billing_charge WHERE tenant = $1 AND product = $2 GROUP BY price", product)
	_, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
		var price string
		err = r.Scan(&price, &n)
		out[price] = n
		return n, err
	})
	return out, err
}

// nothingOpen refuses to close an account on which something is still billed.
func nothingOpen(tx *store.Tx, account string) error {
	var n int64
	err := tx.Row("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND account = $2 AND to_at IS NULL", account).Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	return fault.Clash("accountInUse", "The account cannot be closed: %d billable items still run on it", n)
}

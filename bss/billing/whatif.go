package billing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/catalog"
	"tandem/bss/rating"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// BillComparison replays posted bills under a changed catalogue and lists every cent that
// would be another, before the change is published: prices that are not launched yet take the
// place of those that are. Each bill is first worked out as it was; one that does not come to
// the same is set aside with a sentence, so that what is listed is the change and nothing
// else. What a bill charged for the first time has the new price; corrections on it of what
// earlier bills charged keep the old one. It writes nothing to bills. Deleted while it is under
// way, it is given up.
type BillComparison struct {
	tmf.Entity
	Description string `json:"description,omitzero"`
	State       string `json:"state,omitzero"`

	// Which bills: those of a run, or those dated From up to and with To (none: To is today,
	// From the first of the month before it), less what the others leave out.
	BillRun            *tmf.Ref  `json:"billRun,omitzero"`
	From               string    `json:"from,omitzero"`
	To                 string    `json:"to,omitzero"`
	LegalEntity        *tmf.Ref  `json:"legalEntity,omitzero"`
	Brand              string    `json:"brand,omitzero"` // of the legal entity
	CycleSpecification *tmf.Ref  `json:"cycleSpecification,omitzero"`
	BillingAccount     []tmf.Ref `json:"billingAccount,omitzero"`
	Sample             int64     `json:"sample,omitzero"` // so many of them, by chance, the same each time; none: all

	// Change are the prices; none: only whether the bills come to the same is looked at.
	Change []PriceChange `json:"change,omitzero"`
	// IncludeAgreed has the new price take the place of amounts that were agreed for one
	// product, or sold before the list price was what it is, as well.
	IncludeAgreed bool `json:"includeAgreed,omitzero"`

	RequestedBy   string             `json:"requestedBy,omitzero"`
	RequestedDate time.Time          `json:"requestedDate,omitzero"`
	FinishedDate  time.Time          `json:"finishedDate,omitzero"`
	Progress      ComparisonProgress `json:"progress,omitzero"`
	Sum           []ComparedSum      `json:"sum,omitzero"`   // by currency, of the bills that could be worked out
	Total         []ComparedTotal    `json:"total,omitzero"` // by offering, the largest difference first
	Reason        string             `json:"reason,omitzero"`
}

// States of a comparison.
const (
	ComparisonScoping   = "scoping"   // the list of bills is being frozen
	ComparisonReplaying = "replaying" // bills are being worked out again
	ComparisonDone      = "done"
	ComparisonFailed    = "failed" // with a reason
)

// PriceChange is a price that takes the place of another.
type PriceChange struct {
	ProductOfferingPrice *tmf.Ref `json:"productOfferingPrice,omitzero" tmf:"required"`
	With                 *tmf.Ref `json:"with,omitzero" tmf:"required"`
	Revision             int64    `json:"revision,omitzero"`         // of With when the comparison was asked for
	Replaced             int64    `json:"replacedRevision,omitzero"` // and of the price that it takes the place of
	tmf.Extension
}

// ComparisonProgress is how far a comparison is.
type ComparisonProgress struct {
	Pages      int64 `json:"pages"`
	Done       int64 `json:"donePages"`
	Bills      int64 `json:"bills"`
	Reproduced int64 `json:"reproduced"` // came to the same under the unchanged catalogue: what is listed is of these
	Parked     int64 `json:"parked"`     // could not be worked out, see comparedBill
	Changed    int64 `json:"changed"`    // would be another bill
	Lines      int64 `json:"changedLines"`
	Kept       int64 `json:"keptItems"`      // items with an amount of their own, which they keep
	Undecided  int64 `json:"undecidedUsage"` // records paid in part by an allowance, or priced by a counter: they keep theirs
	Unrated    int64 `json:"unratedUsage"`   // records that the changed tariff has no rate for
	Older      int64 `json:"olderUsage"`     // records by a tariff that is no longer sold
}

// ComparedSum is what all bills of a currency come to.
type ComparedSum struct {
	Bills    int64        `json:"bills"`
	Net      money.Amount `json:"net"`
	Gross    money.Amount `json:"gross"`
	NewNet   money.Amount `json:"newNet"`
	NewGross money.Amount `json:"newGross"`
	tmf.Extension
}

// ComparedTotal is what the lines of an offering come to, without tax.
type ComparedTotal struct {
	ProductOffering *tmf.Ref     `json:"productOffering,omitzero"` // none: charges that belong to no offering
	Lines           int64        `json:"lines"`
	Changed         int64        `json:"changedLines"`
	Was             money.Amount `json:"was"`
	Becomes         money.Amount `json:"becomes"`
	Difference      money.Amount `json:"difference"`
	tmf.Extension
}

// BillComparisons are the tenant's.
var BillComparisons = tmf.Kind[BillComparison, *BillComparison]{
	API: &ItemAPI, Name: "billComparison", Table: "billing_comparison", Verbs: tmf.Post | tmf.Delete,
	Index: []string{"state", "requestedDate"}, StateAttr: "state",
	Moves: tmf.Moves{"": {ComparisonScoping}, ComparisonScoping: {ComparisonReplaying, ComparisonDone, ComparisonFailed}, ComparisonReplaying: {ComparisonDone, ComparisonFailed},
		ComparisonDone: {}, ComparisonFailed: {}},
}

// Working says that jobs of the comparison are under way.
func (c *BillComparison) Working() bool {
	return c.State == ComparisonScoping || c.State == ComparisonReplaying
}

const (
	maxPriceChanges = 200
	maxSample       = 20_000
	comparedAtOnce  = 4 // comparisons of a tenant under way
)

func init() { // hooks refer back to their kinds
	BillComparisons.OnPost, BillComparisons.OnDelete = postComparison, deleteComparison
}

func postComparison(tx *store.Tx, c *BillComparison) error {
	if err := c.scope(tx); err != nil {
		return err
	}
	if err := c.prices(tx); err != nil {
		return err
	}
	for _, state := range []string{ComparisonScoping, ComparisonReplaying} {
		busy, err := BillComparisons.Select(tx, tmf.Where{"state": state}, tmf.Page{Limit: comparedAtOnce})
		if err != nil {
			return err
		}
		if len(busy) == comparedAtOnce {
			return fault.Clash("tooManyComparisons", "%d comparisons are under way; wait until one is done", len(busy))
		}
	}
	c.State, c.RequestedBy, c.RequestedDate = ComparisonScoping, tx.Actor(), tx.Now()
	c.FinishedDate, c.Progress, c.Sum, c.Total, c.Reason = time.Time{}, ComparisonProgress{}, nil, nil, ""
	if err := BillComparisons.Create(tx, c); err != nil {
		return err
	}
	if err := access.Audit(tx, "billing.compare", "billComparison:"+c.ID, nil, c.Change); err != nil {
		return err
	}
	return work.Enqueue(tx, jobCompareScope, c.ID, nil, time.Time{})
}

// scope completes and checks which bills are meant.
func (c *BillComparison) scope(tx *store.Tx) error {
	today := civil.DateOf(tx.Now(), time.UTC).AddDays(cutOffAhead)
	to, err := dateOr(c.To, today)
	if err != nil {
		return fault.BadInput("badDate", "to: %v", err)
	}
	month := civil.Date{Year: to.Year, Month: to.Month, Day: 1}
	from, err := dateOr(c.From, month.AddMonths(-1))
	if err != nil {
		return fault.BadInput("badDate", "from: %v", err)
	}
	if c.BillRun != nil {
		if c.From != "" || c.To != "" {
			return fault.BadInput("badScope", "Name a bill run, or the dates of bills, not both")
		}
		if _, err := BillRuns.Get(tx, c.BillRun.ID); err != nil {
			return named("billRun", err)
		}
		c.BillRun = runRef(c.BillRun.ID)
	} else {
		c.From, c.To = from.String(), to.String()
	}
	switch {
	case to.Before(from):
		return fault.BadInput("badDate", "from is %s, after to, %s", from, to)
	case c.Sample < 0 || c.Sample > maxSample:
		return fault.BadInput("badSample", "A sample has from 1 to %d bills, not %d", maxSample, c.Sample)
	case len(c.BillingAccount) > maxDemand:
		return fault.BadInput("tooMany", "At most %d accounts are named; leave them out for all", maxDemand)
	}
	if c.LegalEntity != nil {
		e, err := LegalEntities.Get(tx, c.LegalEntity.ID)
		if err != nil {
			return named("legalEntity", err)
		}
		c.LegalEntity = &tmf.Ref{ID: e.ID, Name: e.Name, Href: e.Href, ReferredType: "LegalEntity"}
	}
	if c.CycleSpecification != nil {
		s, err := CycleSpecifications.Get(tx, c.CycleSpecification.ID)
		if err != nil {
			return named("cycleSpecification", err)
		}
		c.CycleSpecification = &tmf.Ref{ID: s.ID, Href: s.Href, Name: s.Name, ReferredType: "BillingCycleSpecification"}
	}
	return nil
}

func dateOr(text string, other civil.Date) (civil.Date, error) {
	if text == "" {
		return other, nil
	}
	return civil.ParseDate(text)
}

// prices checks that each price can take the place of the other.
func (c *BillComparison) prices(tx *store.Tx) error {
	if len(c.Change) > maxPriceChanges {
		return fault.BadInput("tooMany", "At most %d prices are compared at once", maxPriceChanges)
	}
	seen := map[string]bool{}
	for i := range c.Change {
		ch := &c.Change[i]
		was, err := catalog.OfferingPrices.Get(tx, ch.ProductOfferingPrice.ID)
		if err != nil {
			return named(fmt.Sprintf("change[%d].productOfferingPrice", i), err)
		}
		with, err := catalog.OfferingPrices.Get(tx, ch.With.ID)
		if err != nil {
			return named(fmt.Sprintf("change[%d].with", i), err)
		}
		if seen[was.ID] || was.ID == with.ID {
			return fault.BadInput("badChange", "change[%d]: the price %q is named twice", i, was.Name)
		}
		seen[was.ID] = true
		if err := replaces(was, with); err != nil {
			return fault.At(fmt.Sprintf("change[%d]", i), err)
		}
		ch.ProductOfferingPrice, ch.With, ch.Revision = priceRef(was), priceRef(with), with.Rev()
		ch.Replaced = was.Rev()
	}
	return nil
}

func priceRef(p *catalog.ProductOfferingPrice) *tmf.Ref {
	return &tmf.Ref{ID: p.ID, Name: p.Name, Version: p.Version, Href: p.Href, ReferredType: "ProductOfferingPrice"}
}

// replaces refuses a price that cannot take the place of another.
func replaces(was, with *catalog.ProductOfferingPrice) error {
	switch {
	case with.LifecycleStatus == catalog.Rejected || with.LifecycleStatus == catalog.Obsolete:
		return fault.BadInput("withdrawnPrice", "The price %q is %s: it will never be sold", with.Name, with.LifecycleStatus)
	case chargeType(was) != chargeType(with) || rating.Rates(was) != rating.Rates(with):
		return fault.BadInput("otherSort", "%q is a price of type %s, %q one of type %s: one cannot take the place of the other", was.Name, was.PriceType, with.Name, with.PriceType)
	case rating.Rates(was) && was.Sort() != catalog.Usage:
		return fault.BadInput("allowance", "%q is an allowance: what it would have paid of past use is not known, so it cannot be compared", was.Name)
	case was.Price != nil && with.Price != nil && was.Price.Currency != with.Price.Currency:
		return fault.BadInput("otherCurrency", "%q is in %s, %q in %s", was.Name, was.Price.Currency, with.Name, with.Price.Currency)
	}
	if _, err := billingTerms(with); err != nil {
		return err
	}
	_, err := whileSuspended(with)
	return err
}

const pagesUnderWay = "SELECT page FROM billing_compare_page WHERE tenant = $1 AND comparison = $2 AND done = 0"

// deleteComparison takes a comparison away with all that it lists; one that is under way is
// given up, with its jobs.
func deleteComparison(tx *store.Tx, c *BillComparison) error {
	if c.Working() {
		rows, err := tx.Query(pagesUnderWay, c.ID)
		pages, err := store.Collect(rows, err, func(r store.Rows) (n int64, err error) {
			err = r.Scan(&n)
			return n, err
		})
		if err != nil {
			return err
		}
		work.Cancel(tx, jobCompareScope, c.ID)
		for _, n := range pages {
			work.Cancel(tx, jobComparePage, pageKey(c.ID, n))
		}
	}
	for _, table := range []string{"billing_compare_page", "billing_compared", "billing_difference", "billing_compare_total"} {
		tx.Queue("DELETE FROM "+table+" WHERE tenant = $1 AND comparison = $2", c.ID)
	}
	return BillComparisons.Remove(tx, c)
}

// ComparedBill is a bill that would come to another amount, or could not be worked out.
// Amounts in the customer's favour are negative.
type ComparedBill struct {
	tmf.Entity
	BillComparison *tmf.Ref     `json:"billComparison,omitzero"`
	Bill           *tmf.Ref     `json:"bill,omitzero"`
	BillingAccount *tmf.Ref     `json:"billingAccount,omitzero"`
	Code           string       `json:"code,omitzero"` // changed; else why it could not be worked out
	Reason         string       `json:"reason,omitzero"`
	Lines          int64        `json:"changedLines"`
	Net            money.Amount `json:"net,omitzero"`
	Tax            money.Amount `json:"tax,omitzero"`
	Gross          money.Amount `json:"gross,omitzero"`
	NewNet         money.Amount `json:"newNet,omitzero"`
	NewTax         money.Amount `json:"newTax,omitzero"`
	NewGross       money.Amount `json:"newGross,omitzero"`
}

const comparedChanged = "changed" // code of a compared bill

// ComparedBills are those of all comparisons; the id is the comparison's and the bill's with
// a point between.
var ComparedBills = tmf.Kind[ComparedBill, *ComparedBill]{
	API: &ItemAPI, Name: "comparedBill", Table: "billing_compared", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*ComparedBill]{
		From:    "billing_compared",
		Columns: "comparison, bill, account, number, currency, lines, net, tax, gross, new_net, new_tax, new_gross, code, reason",
		Order:   []string{"comparison", "bill"},
		Paths:   map[string]string{"billComparison.id": "comparison", "bill.id": "bill", "billingAccount.id": "account", "code": "code", "changedLines": "lines"},
		Find: func(id string, first int) (string, []any) {
			comparison, bill, ok := strings.Cut(id, ".")
			if !ok {
				return "", nil
			}
			return fmt.Sprintf("comparison = $%d AND bill = $%d", first, first+1), []any{comparison, bill}
		},
		Scan: scanCompared,
	},
}

func scanCompared(r store.Rows) (*ComparedBill, error) {
	b := &ComparedBill{}
	var comparison, bill, account, number, currency string
	if err := r.Scan(&comparison, &bill, &account, &number, &currency, &b.Lines, &b.Net.Minor, &b.Tax.Minor, &b.Gross.Minor, &b.NewNet.Minor, &b.NewTax.Minor, &b.NewGross.Minor,
		&b.Code, &b.Reason); err != nil {
		return nil, err
	}
	c, err := money.ParseCurrency(currency)
	for _, a := range []*money.Amount{&b.Net, &b.Tax, &b.Gross, &b.NewNet, &b.NewTax, &b.NewGross} {
		a.Currency = c
	}
	b.ID, b.BillComparison, b.BillingAccount = comparison+"."+bill, comparisonRef(comparison), accountRef(account)
	b.Bill = billRef(bill, number)
	return b, err
}

func comparisonRef(id string) *tmf.Ref {
	return &tmf.Ref{ID: id, Href: ItemAPI.Base + "/billComparison/" + id, ReferredType: "BillComparison"}
}

func billRef(id, number string) *tmf.Ref {
	return &tmf.Ref{ID: id, Name: number, Href: BillAPI.Base + "/customerBill/" + id, ReferredType: "CustomerBill"}
}

// BillDifference is a line of a bill that would come to another amount. Amounts are without
// tax, negative in the customer's favour.
type BillDifference struct {
	tmf.Entity
	BillComparison  *tmf.Ref     `json:"billComparison,omitzero"`
	Bill            *tmf.Ref     `json:"bill,omitzero"`
	BillingAccount  *tmf.Ref     `json:"billingAccount,omitzero"`
	BillableItem    *tmf.Ref     `json:"billableItem,omitzero"` // none: usage
	Product         *tmf.Ref     `json:"product,omitzero"`
	ProductOffering *tmf.Ref     `json:"productOffering,omitzero"`
	Name            string       `json:"name,omitzero"`
	Sort            string       `json:"sort,omitzero"`
	Was             money.Amount `json:"was"`
	Becomes         money.Amount `json:"becomes"`
	Difference      money.Amount `json:"difference"`
	Code            string       `json:"code,omitzero"` // price, tariff, follows or share
	Reason          string       `json:"reason,omitzero"`
}

// Codes of a difference.
const (
	differsByPrice  = "price"   // the line has the new price
	differsByTariff = "tariff"  // its use is priced by the changed tariff
	differsByBase   = "follows" // a discount or commitment, which counts other lines
	differsByShare  = "share"   // its share of the net of prices with tax, which add up to the gross
)

// BillDifferences are those of all comparisons; the id is the comparison's, the bill's and a
// number with points between.
var BillDifferences = tmf.Kind[BillDifference, *BillDifference]{
	API: &ItemAPI, Name: "billDifference", Table: "billing_difference", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*BillDifference]{
		From:    "billing_difference",
		Columns: "comparison, bill, n, account, item, product, offering, name, sort, currency, was, becomes, code, reason",
		Order:   []string{"comparison", "bill", "n"},
		Paths: map[string]string{"billComparison.id": "comparison", "bill.id": "bill", "billingAccount.id": "account", "productOffering.id": "offering",
			"product.id": "product", "code": "code", "sort": "sort"},
		Find: findDifference,
		Scan: scanDifference,
	},
}

func findDifference(id string, first int) (string, []any) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return "", nil
	}
	return fmt.Sprintf("comparison = $%d AND bill = $%d AND CAST(n AS TEXT) = $%d", first, first+1, first+2), []any{parts[0], parts[1], parts[2]}
}

func scanDifference(r store.Rows) (*BillDifference, error) {
	d, n := &BillDifference{}, int64(0)
	var comparison, bill, account, item, product, offering, currency string
	if err := r.Scan(&comparison, &bill, &n, &account, &item, &product, &offering, &d.Name, &d.Sort, &currency, &d.Was.Minor, &d.Becomes.Minor, &d.Code, &d.Reason); err != nil {
		return nil, err
	}
	c, err := money.ParseCurrency(currency)
	d.Was.Currency, d.Becomes.Currency = c, c
	d.Difference = money.Amount{Minor: d.Becomes.Minor - d.Was.Minor, Currency: c}
	d.ID = fmt.Sprintf("%s.%s.%d", comparison, bill, n)
	d.BillComparison, d.Bill, d.BillingAccount = comparisonRef(comparison), billRef(bill, ""), accountRef(account)
	if item != "" {
		d.BillableItem = &tmf.Ref{ID: item, Href: ItemAPI.Base + "/billableItem/" + item, ReferredType: "BillableItem"}
	}
	if product != "" {
		d.Product = &tmf.Ref{ID: product, Href: "/tmf-api/productInventory/v4/product/" + product, ReferredType: "Product"}
	}
	d.ProductOffering = offeringRef(offering, "")
	return d, err
}

func offeringRef(id, name string) *tmf.Ref {
	if id == "" {
		return nil
	}
	return &tmf.Ref{ID: id, Name: name, Href: catalog.API.Base + "/productOffering/" + id, ReferredType: "ProductOffering"}
}

// readTotals adds up what the pages of a comparison have found.
func readTotals(tx *store.Tx, id string) (out []ComparedTotal, err error) {
	rows, err := tx.Query(`SELECT offering, currency, max(name), CAST(sum(lines) AS BIGINT), CAST(sum(changed) AS BIGINT), CAST(sum(was) AS BIGINT), CAST(sum(becomes) AS BIGINT)
		FROM billing_compare_total WHERE tenant = $1 AND comparison = $2 GROUP BY offering, currency`, id)
	out, err = store.Collect(rows, err, func(r store.Rows) (t ComparedTotal, err error) {
		var offering, currency, name string
		if err = r.Scan(&offering, &currency, &name, &t.Lines, &t.Changed, &t.Was.Minor, &t.Becomes.Minor); err != nil {
			return t, err
		}
		c, err := money.ParseCurrency(currency)
		t.Was.Currency, t.Becomes.Currency = c, c
		t.Difference = money.Amount{Minor: t.Becomes.Minor - t.Was.Minor, Currency: c}
		t.ProductOffering = offeringRef(offering, name)
		return t, err
	})
	slices.SortFunc(out, func(a, b ComparedTotal) int {
		if x, y := abs(a.Difference.Minor), abs(b.Difference.Minor); x != y {
			if x > y {
				return -1
			}
			return 1
		}
		return strings.Compare(a.key(), b.key())
	})
	return out, err
}

func (t *ComparedTotal) key() string {
	if t.ProductOffering == nil {
		return t.Was.Currency.Code()
	}
	return t.Was.Currency.Code() + t.ProductOffering.ID
}

package compute

import (
	"time"

	"tandem/kit/civil"
	"tandem/kit/money"
)

// Timing is when a recurring charge falls due.
type Timing uint8

// Timings of a charge.
const (
	Advance Timing = iota // at the start of its period
	Arrears               // at its end
)

// Proration is how a part of a service period is charged.
type Proration uint8

// Rules of proration. The zero rule is by actual days.
const (
	ByDays    Proration = iota // days used of the days of the period
	By30Days                   // every month has 30 days (30E/360)
	BySeconds                  // time used of the time of the period, to the second
	InFull                     // a period that was begun is charged in full
	WholeOnly                  // a period that was not used wholly is not charged
)

// Sort is what a charge is.
type Sort uint8

// Sorts of charge.
const (
	Recurring Sort = iota
	OneTime
	Discount   // lowers other charges, or raises them (surcharge)
	Commitment // a minimum; charged is what is missing to it
	Usage
)

// Percent is an exact percentage: 5.5 % is 55/10. With Den 0 it is none.
type Percent struct{ Num, Den int64 }

// Item is one price of one product that is owed on the account.
type Item struct {
	ID      string // of the billable item
	Price   string // id of the price
	Version string // of the price
	Name    string // as the customer reads it
	Product string
	Account string // whose item it is, where the payer pays for another account; else empty

	Sort      Sort
	Amount    money.Rate // for one full period, or once; of a Discount without percentage what it takes off (negative) a period
	Percent   Percent    // of a Discount: negative lowers, positive raises; Den 0: it has an amount
	Quantity  int64      // pieces; 0 is 1
	Timing    Timing
	Proration Proration
	Cycle     civil.Cycle // of the service periods of the item

	Span      civil.Span   // from the instant the network confirmed
	Suspended []civil.Span // in order, not overlapping
	// Resting is charged a full period while suspended; nil: all of Amount is. The zero
	// amount with a currency charges nothing.
	Resting *money.Rate

	Alters    []string   // prices a Discount or Commitment counts: of the same product, or with AllOf of the whole account; none: all
	AllOf     bool       // Discount, Commitment: over the charges of all products of the account
	Priority  int64      // of a Discount: the lowest runs first; equal ones by ID
	Cap       money.Rate // the most a Discount takes off in a period; no currency: no cap
	Periods   int64      // how many service periods a Discount holds from its start; 0: as long as it runs
	WithUsage bool       // Discount, Commitment: usage of the product counts as well

	TaxCategory string // EN 16931 code or the operator's own, looked up in Rates
	TaxIncluded bool   // Amount is with tax
	Revenue     string // general-ledger account of the revenue
	Apart       bool   // OneTime: no price of a supply, such as a security: no discount or commitment counts it
	Revision    int64  // grows when the item is changed: an item that has not is not looked at again
}

// UsageSum is rated usage of one product, summed by what makes a line.
type UsageSum struct {
	Key      string // identity of the line within the bill
	Product  string
	Account  string
	Name     string // of the class, as the customer reads it
	Class    string // rating class: data.home, voice.national ...
	Quantity int64  // in Unit
	Unit     string // octets, seconds, events
	Records  int64
	Amount   money.Rate // exact sum of what is new; rounded once, here
	// Before is the exact sum of the same key and period that was billed already; the zero
	// rate: nothing. What is new is charged as round(Before+Amount) - round(Before), so that
	// the total does not depend on when usage came. A sum with no Amount and no Records
	// makes no line, it only counts for a Discount or Commitment with WithUsage.
	Before      money.Rate
	Period      civil.Period // the billing period in which it was used; earlier than the bill's own: late usage
	TaxCategory string
	TaxIncluded bool
	Revenue     string
}

// Billed is what an item's service period was billed so far: one for each line, or one
// for all lines of the period that have the same tax.
type Billed struct {
	Item        string
	Index       int     // of the service period, by the item's Cycle
	Net         int64   // minor units, as Line.Amount: with tax where the price includes it
	Version     int     // one more than the highest Number of the lines: the next one is this
	Revision    int64   // of the item when the lines were made; 0: the item is to be looked at again
	TaxCategory string  // of the lines; empty: the category that the item has now
	TaxRate     Percent // of the lines; Den 0: what the table says now
	TaxIncluded bool    // of the lines
	Bill        string  // that had the first line: what a correction refers to
}

// Credited is what final credit notes gave back of an item's service period under one tax,
// in minor units as Line.Amount. What is credited to be charged anew is not here: it is a
// line of Billed.
type Credited struct {
	Item        string
	Index       int
	Corrected   int64 // since the bill was wrong, or the service not taken: what a correction would find too
	Waived      int64 // for its own sake, such as a gesture of goodwill: a correction comes on top
	TaxCategory string
	TaxRate     Percent
	TaxIncluded bool
}

// TaxRate is a dated rate of one category in one jurisdiction.
type TaxRate struct {
	Category string // the operator's: standard, reduced, zero, exempt, reverseCharge ...
	Code     string // UNTDID 5305: S Z E AE K G O
	Percent  Percent
	Period   civil.Period // in which it holds; open at the end or not
	Reason   string       // of an exemption, as it stands on the invoice
}

// Moved is a zone that held for an account up to a date, the first day of a billing
// period: the boundary itself is still that of the old zone (no gap, no overlap).
type Moved struct {
	Zone  *time.Location
	Until civil.Date
}

// Exemption is a category of tax that all charges of an account have in a time.
type Exemption struct {
	Category string
	Period   civil.Period
}

// Terms are what of the account the bill depends on.
type Terms struct {
	Account  string
	Currency money.Currency
	Zone     *time.Location
	Moved    []Moved     // zones of the account before, in order; mostly none
	Cycle    civil.Cycle // billing periods of the account
	Rates    []TaxRate   // of the account's jurisdiction
	// Override replaces the category of every charge: reverse charge, supplies to a third
	// country. Empty: each charge has its own.
	Override string
	// Exempted replaces it for tax points in a time, before Override: exemptions of the
	// account. The first that holds counts; the zero period is all of time.
	Exempted []Exemption
	// Minimum is the least amount a bill is made for: below it all waits for the next
	// one. Minor units, 0: none.
	Minimum  int64
	Rounding money.Rounding // of charges and tax; the zero rounding is half up
}

// Input is all that a bill is made from.
type Input struct {
	Terms
	Index int // of the billing period by Terms.Cycle; the bill is dated its end
	Items []Item
	// Usage is what was not billed yet. If an item counts usage (WithUsage), also what was
	// billed since that item began: sums with Before, and no Amount.
	Usage []UsageSum
	// Billed holds all of an item that has changed: whose Revision is higher than that of
	// all its lines, or one of them has 0. Of another the last period is enough, with the highest Revision of all
	// its periods. Where the account has a Discount or Commitment it holds all of all items;
	// while none has changed the periods since the longest one that runs are enough. Any order.
	Billed []Billed
	// Credited holds all that final credit notes gave back of the items that are looked at
	// again, so that no correction gives it back once more. Any order.
	Credited []Credited
}

// Line is one line of a bill. Amounts are minor units of the bill's currency.
type Line struct {
	Item    string // billable item; empty for usage
	Key     string // of a usage line
	Price   string
	Version string // of the price
	Name    string
	Product string
	Account string
	Sort    Sort

	Index     int           // of the service period; 0 for one-time charges and usage
	Number    int           // how many lines this item and period had before
	Service   civil.Period  // what of it is charged, from its first to its last day
	Full      civil.Period  // the whole service period
	Portion   civil.Portion // share of the whole at the full price, in days or nanoseconds, summed over suspensions: From 0
	Rested    int64         // of Portion.Of: suspended, at the resting price
	Rule      Proration
	Unit      money.Rate // price of a full period, one piece or, for usage, the exact sum
	Quantity  int64
	UsageUnit string
	Records   int64
	Percent   Percent // of a Discount
	Base      int64   // what a Discount or Commitment counted

	Wanted   int64  // what ought to be billed for item and period by now
	Before   int64  // what was billed before
	Credited int64  // of the difference, what credit notes have settled already
	Amount   int64  // Wanted - Before + Credited: with tax if TaxIncluded, else without
	Net      int64  // without tax; of a price with tax its share of the net of its rate
	Corrects string // bill that had the first line of the period, if Before is not all new

	TaxCategory string
	TaxCode     string
	TaxPercent  Percent
	TaxReason   string
	TaxIncluded bool
	TaxPoint    civil.Date
	Revenue     string
}

// TaxSum is the tax of one category and rate (EN 16931 BG-23).
type TaxSum struct {
	Category string
	Code     string
	Percent  Percent
	Reason   string
	Net, Tax int64
}

// Bill is the result.
type Bill struct {
	Account string
	Period  civil.Period // the billing period
	Date    civil.Date   // its end
	Lines   []Line
	Taxes   []TaxSum
	Net     int64
	Tax     int64
	Gross   int64 // Net + Tax: what is to be paid
	// Waits says that the bill is below the account's minimum: it is not made now.
	Waits bool
}

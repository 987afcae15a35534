package selfcare

import (
	"net/url"
	"strconv"
	"time"

	"tandem/bss/charging"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	usualPeriod = 30 * 24 * time.Hour // of usage, if none is named
	longest     = 92 * 24 * time.Hour // period: three months
	usualPage   = 50
	largestPage = 100 // records
)

// Use is what was used at once: a session, a part of one, a call, a message.
type Use struct {
	ID         string     `json:"id"`
	Type       string     `json:"type"` // data, voice, sms ...
	Start      time.Time  `json:"start,omitzero"`
	End        time.Time  `json:"end"`
	Called     string     `json:"called,omitzero"`
	Network    string     `json:"network,omitzero"` // MCC and MNC
	Seconds    int64      `json:"seconds,omitzero"`
	Octets     int64      `json:"octets,omitzero"` // in both directions
	OctetsUp   int64      `json:"octetsUp,omitzero"`
	OctetsDown int64      `json:"octetsDown,omitzero"`
	Events     int64      `json:"events,omitzero"` // messages
	Price      *tmf.Money `json:"price,omitzero"`  // with tax; 0: an allowance paid
}

// Usage is a page of uses of a line, those charged last first. Next is the cursor of
// the page after it, "" at the end; a page before the end may have fewer than asked
// for.
type Usage struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"` // not in it
	Uses []Use     `json:"uses"`
	Next string    `json:"next,omitzero"`
}

// Statement is what was in the balances of a line at an instant, and what came and
// went since an earlier one.
type Statement struct {
	From     time.Time `json:"from,omitzero"`
	At       time.Time `json:"at"`
	Balances []Stated  `json:"balances"`
	Entries  []Entry   `json:"entries,omitzero"`
}

// Stated is a balance in a statement.
type Stated struct {
	ID      string        `json:"id"`
	Name    string        `json:"name,omitzero"`
	Opening *tmf.Quantity `json:"opening,omitzero"` // at From
	Value   *tmf.Quantity `json:"value,omitzero"`   // at At
}

// Entry is what a balance gained or lost.
type Entry struct {
	Balance string        `json:"balance"`
	At      time.Time     `json:"at"`
	Against string        `json:"against"` // usage, topUp, voucher, adjustment ...
	Amount  *tmf.Quantity `json:"amount,omitzero"`
}

// usage is what was used of a line: from and to (RFC 3339), limit and cursor.
func (c caller) usage(tx *store.Tx, line string, q url.Values) (out Usage, err error) {
	if err := known(q, "from", "to", "limit", "cursor"); err != nil {
		return out, err
	}
	if _, err := c.line(tx, line); err != nil {
		return out, err
	}
	if out.From, out.To, err = period(tx, q, "to"); err != nil {
		return out, err
	}
	if out.From.IsZero() {
		out.From = out.To.Add(-usualPeriod)
	}
	limit := usualPage
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > largestPage {
			return out, fault.BadInput("badLimit", "limit is a number from 1 to %d", largestPage)
		}
	}
	found, next, err := charging.UsageOfLine(tx, line, out.From, out.To, q.Get("cursor"), limit)
	out.Next, out.Uses = next, make([]Use, len(found))
	for i, u := range found {
		out.Uses[i] = use(u)
	}
	return out, err
}

func use(u *charging.Usage) Use {
	text := func(name string) string {
		value, _ := tmf.Value(u.UsageCharacteristic, name) // what is not there is ""
		return value
	}
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(text(name), 10, 64) // what is not there is 0
		return n
	}
	out := Use{ID: u.ID, Type: u.UsageType, End: u.UsageDate, Called: text("called"), Network: text("network"), Seconds: number("seconds"), Octets: number("octets"),
		OctetsUp: number("octetsUp"), OctetsDown: number("octetsDown"), Events: number("events")}
	if at, err := tmf.ParseTime(text("startDate")); err == nil {
		out.Start = at
	}
	for _, r := range u.RatedProductUsage {
		out.Price = r.TaxIncludedRatingAmount
	}
	return out
}

// statement is what the balances of a line were: from and at (RFC 3339).
func (c caller) statement(tx *store.Tx, line string, q url.Values) (out Statement, err error) {
	if err := known(q, "from", "at"); err != nil {
		return out, err
	}
	if _, err := c.line(tx, line); err != nil {
		return out, err
	}
	from, at, err := period(tx, q, "at")
	if err != nil {
		return out, err
	}
	s, err := charging.StatementOfLine(tx, line, from, at)
	if err != nil {
		return out, err
	}
	out = Statement{From: s.From, At: s.At, Balances: []Stated{}}
	for _, b := range s.Balance {
		out.Balances = append(out.Balances, Stated{ID: b.ID, Name: b.Name, Opening: b.Opening, Value: b.Value})
	}
	for _, e := range s.Entry {
		out.Entries = append(out.Entries, Entry{Balance: e.Bucket, At: e.Date, Against: e.Against, Amount: e.Amount})
	}
	return out, nil
}

// known refuses parameters that would be passed over.
func known(q url.Values, names ...string) error {
	left := len(q)
	for _, name := range names {
		if q.Has(name) {
			left--
		}
	}
	if left > 0 {
		return fault.BadInput("unknownParameter", "The parameters are %q", names)
	}
	return nil
}

// period is from the parameter from to another one; to is now if it is not given.
func period(tx *store.Tx, q url.Values, end string) (from, to time.Time, err error) {
	to = tx.Now()
	for name, at := range map[string]*time.Time{"from": &from, end: &to} {
		if text := q.Get(name); text != "" {
			if *at, err = tmf.ParseTime(text); err != nil {
				return from, to, fault.BadInput("badTime", "%s is an instant such as 2026-03-01T00:00:00Z", name)
			}
		}
	}
	if !from.IsZero() && (!from.Before(to) || to.Sub(from) > longest) {
		return from, to, fault.BadInput("invalidPeriod", "from is before %s, by at most %d days", end, int(longest.Hours()/24))
	}
	return from, to, nil
}

package compute_test

import (
	"cmp"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// A history is an account of which everything is known in the end, and of each thing when
// it becomes known. It is billed period by period by what is known then, and after each bill
// the sums of all bills have to be what the oracle says.
type history struct {
	r       *rand.Rand
	terms   compute.Terms
	bills   int
	runs    []time.Time // of each bill: when it is made
	movedAt int         // bill from which a move of zone is known; bills for none
	zones   []*time.Location
	items   []*story
	usage   []used
	later   bool // ends are known ahead
}

// story is an item with when each thing about it is known.
type story struct {
	compute.Item
	known   int // bill from which the item is known
	wrong   time.Time
	righted int // bill from which its true start is known
	ended   int
	rests   []rest
}

type rest struct {
	civil.Span
	from, to int // bills from which the beginning and the end are known
}

// used is one record of usage.
type used struct {
	key, product string
	period       int
	nano         int64
	known        int
	category     string
	included     bool
}

const longAgo = "1990-01-01"

var zoneNames = []string{"Europe/Berlin", "America/Santiago", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "America/New_York",
	"Asia/Kolkata", "Atlantic/Azores", "UTC", "Pacific/Kiritimati", "Australia/Lord_Howe", "America/Havana"}

func mustZone(name string) *time.Location {
	z, err := civil.LoadZone(name)
	if err != nil {
		panic(err)
	}
	return z
}

var zones = sync.OnceValue(func() (out []*time.Location) {
	for _, n := range zoneNames {
		out = append(out, mustZone(n))
	}
	return out
})

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func mustDate(text string) civil.Date {
	d, err := civil.ParseDate(text)
	if err != nil {
		panic(err)
	}
	return d
}

func mustPeriod(c civil.Cycle, i int) civil.Period {
	p, err := c.Period(i)
	if err != nil {
		panic(err)
	}
	return p
}

// newHistory makes up an account.
func newHistory(r *rand.Rand) *history {
	h := &history{r: r, bills: 2 + r.IntN(9), later: r.IntN(3) == 0}
	h.movedAt = h.bills
	h.zones = []*time.Location{pick(r, zones()...), pick(r, zones()...)}
	origin := mustDate("2007-12-25").AddDays(r.IntN(366 * 18))
	step := pick(r, civil.Duration{Months: 1}, civil.Duration{Months: 1}, civil.Duration{Months: 1}, civil.Duration{Months: 3}, civil.Duration{Days: 7}, civil.Duration{Days: 30})
	cycle := civil.Cycle{Origin: origin, Step: step}
	if step.Months != 0 {
		cycle.Day = pick(r, 0, 1, 15, 28, 29, 30, 31)
	}
	if !h.later && r.IntN(3) == 0 {
		h.movedAt = r.IntN(h.bills)
	}
	h.terms = compute.Terms{Account: "acc", Currency: pick(r, money.EUR, money.EUR, money.JPY, money.KWD), Zone: h.zones[0], Cycle: cycle,
		Rounding: pick(r, 0, money.HalfUp, money.HalfEven, money.HalfDown, money.Up, money.Down, money.Ceiling, money.Floor)}
	h.terms.Rates = h.rates()
	if r.IntN(6) == 0 {
		h.terms.Exempted = []compute.Exemption{{Category: pick(r, "exempt", "reverse"), Period: civil.Period{From: h.anyDate()}}}
	}
	for n := range h.bills {
		run := h.zoneAt(n).start(mustPeriod(cycle, n).To)
		if h.later {
			run = run.Add(time.Duration(r.IntN(70)) * time.Hour)
		}
		h.runs = append(h.runs, run)
	}
	products := 1 + r.IntN(3)
	for range 1 + r.IntN(5) {
		h.addItem(fmt.Sprintf("line%d", r.IntN(products)))
	}
	for range r.IntN(3) {
		h.addDiscount(fmt.Sprintf("line%d", r.IntN(products)))
	}
	if r.IntN(4) == 0 {
		h.addCommitment(fmt.Sprintf("line%d", r.IntN(products)))
	}
	for range r.IntN(3) * r.IntN(4) {
		h.addUsage(fmt.Sprintf("line%d", r.IntN(products)))
	}
	r.Shuffle(len(h.items), func(i, j int) { h.items[i], h.items[j] = h.items[j], h.items[i] })
	return h
}

// rates change once within the history.
func (h *history) rates() []compute.TaxRate {
	change := h.anyDate()
	all := civil.Period{From: mustDate(longAgo)}
	return []compute.TaxRate{
		{Category: "standard", Code: "S", Percent: compute.Percent{Num: 19, Den: 1}, Period: civil.Period{From: all.From, To: change}},
		{Category: "standard", Code: "S", Percent: compute.Percent{Num: 160, Den: 10}, Period: civil.Period{From: change}},
		{Category: "reduced", Code: "S", Percent: compute.Percent{Num: 55, Den: 10}, Period: all},
		{Category: "exempt", Code: "E", Period: all, Reason: "Article 132"},
		{Category: "reverse", Code: "AE", Period: all, Reason: "Reverse charge"},
	}
}

// terms says which zone an account has and had, as known at a bill.
type zoned struct{ *oracle }

func (z zoned) start(d civil.Date) time.Time { return time.Unix(z.startOf(numberOf(d)), 0).UTC() }

func (h *history) zoneAt(bill int) zoned {
	in := &compute.Input{Terms: h.termsAt(bill)}
	return zoned{&oracle{in: in, begin: map[int]int64{}}}
}

func (h *history) termsAt(bill int) compute.Terms {
	t := h.terms
	if bill >= h.movedAt {
		t.Moved = []compute.Moved{{Zone: h.zones[0], Until: mustPeriod(t.Cycle, h.movedAt).To}}
		t.Zone = h.zones[1]
	}
	return t
}

func (h *history) anyDate() civil.Date {
	first, last := mustPeriod(h.terms.Cycle, 0).From, mustPeriod(h.terms.Cycle, h.bills-1).To
	return first.AddDays(h.r.IntN(last.Sub(first)+20) - 10)
}

// anyInstant is often near midnight, at times between two boundaries.
func (h *history) anyInstant() time.Time {
	at := h.zoneAt(0).start(h.anyDate())
	if h.r.IntN(3) == 0 {
		return at.Add(time.Duration(h.r.IntN(3)-1) * time.Second)
	}
	return at.Add(time.Duration(h.r.Int64N(int64(26 * time.Hour))))
}

// knownOf is the bill at which something that happened is known: the first one made after
// it, or a later one.
func (h *history) knownOf(at time.Time) int {
	n := 0
	for n < h.bills && !h.runs[n].After(at) {
		n++
	}
	for h.r.IntN(4) == 0 {
		n++
	}
	return n
}

func (h *history) amount() money.Rate {
	nano := int64(h.r.IntN(5000)) * 10_000_000
	switch h.r.IntN(8) {
	case 0:
		nano = h.r.Int64N(100_000_000_000)
	case 1:
		nano = -nano
	case 2:
		nano *= 1000
	}
	return money.Rate{Nano: nano, Currency: h.terms.Currency}
}

func (h *history) ownCycle() civil.Cycle {
	if h.r.IntN(3) > 0 {
		return h.terms.Cycle
	}
	c := civil.Cycle{Origin: h.anyDate(), Step: pick(h.r, civil.Duration{Months: 1}, civil.Duration{Months: 1}, civil.Duration{Months: 3},
		civil.Duration{Months: 12}, civil.Duration{Days: 7}, civil.Duration{Days: 31})}
	if c.Step.Months != 0 {
		c.Day = pick(h.r, 0, 1, 29, 30, 31)
	}
	return c
}

// addItem makes up a charge of a product, its life, and at times one that follows it.
func (h *history) addItem(product string) {
	for at, more := h.anyInstant(), true; more; {
		s := h.newStory(product, at)
		s.Sort = pick(h.r, compute.Recurring, compute.Recurring, compute.Recurring, compute.OneTime)
		h.live(s)
		at, more = s.Span.To, s.Sort == compute.Recurring && !s.Span.To.IsZero() && h.r.IntN(2) == 0
	}
}

func (h *history) newStory(product string, at time.Time) *story {
	id := fmt.Sprintf("i%02d", len(h.items))
	s := &story{Item: compute.Item{ID: id, Price: "p" + strconv.Itoa(len(h.items)%5), Name: id, Product: product, Amount: h.amount(),
		Timing: pick(h.r, compute.Advance, compute.Advance, compute.Arrears), Proration: compute.Proration(h.r.IntN(5)), Cycle: h.ownCycle(),
		TaxCategory: pick(h.r, "standard", "standard", "reduced", "exempt"), TaxIncluded: h.r.IntN(3) == 0}}
	if s.Proration == compute.BySeconds && h.movedAt < h.bills {
		// A move that falls into a period changes how long it is. One that was billed is not
		// looked at again for that alone.
		s.Cycle = h.terms.Cycle
	}
	if h.r.IntN(3) == 0 {
		s.Quantity = int64(h.r.IntN(5))
	}
	if h.r.IntN(2) == 0 {
		s.Resting = &money.Rate{Currency: h.terms.Currency}
		if h.r.IntN(2) == 0 {
			s.Resting.Nano = s.Amount.Nano / 3
		}
	}
	s.Span.From = at
	s.known = h.knownOf(at)
	s.ended, s.righted = h.bills, s.known
	h.items = append(h.items, s)
	return s
}

// live makes up corrections, suspensions and the end of an item.
func (h *history) live(s *story) {
	if h.r.IntN(4) == 0 {
		s.wrong = s.Span.From.Add(time.Duration(h.r.Int64N(int64(40*24*time.Hour))) - 20*24*time.Hour)
		if later := h.knownOf(s.wrong); later > s.known {
			s.known = later
		}
		s.righted = s.known + 1 + h.r.IntN(3)
		if s.righted >= h.bills { // it is never found out
			s.Span.From, s.wrong = s.wrong, time.Time{}
		}
	}
	if s.Sort == compute.OneTime {
		s.Span.To = s.Span.From
		return
	}
	at := s.Span.From
	for h.r.IntN(3) == 0 {
		from := at.Add(time.Duration(h.r.Int64N(int64(60 * 24 * time.Hour))))
		to := from.Add(time.Duration(h.r.Int64N(int64(50 * 24 * time.Hour))))
		x := rest{Span: civil.Span{From: from, To: to}, from: max(s.known, h.knownOf(from))}
		x.to = max(x.from, h.knownOf(to))
		s.rests = append(s.rests, x)
		at = to
	}
	if h.r.IntN(2) == 0 {
		s.Span.To = at.Add(time.Duration(h.r.Int64N(int64(120 * 24 * time.Hour))))
		s.ended = max(s.known, h.knownOf(s.Span.To))
		if h.later && h.r.IntN(2) == 0 {
			s.ended = s.known
		}
	}
}

func (h *history) addDiscount(product string) {
	s := h.newStory(product, h.anyInstant())
	s.Sort, s.Priority = compute.Discount, int64(h.r.IntN(2))
	s.Amount.Nano = -max(s.Amount.Nano, -s.Amount.Nano)
	if h.r.IntN(2) == 0 {
		s.Percent = compute.Percent{Num: -int64(h.r.IntN(1200)), Den: 10}
		s.Amount = money.Rate{}
		s.Resting = nil
	}
	if h.r.IntN(8) == 0 { // a surcharge
		s.Percent.Num, s.Amount.Nano = -s.Percent.Num, -s.Amount.Nano
	}
	if h.r.IntN(4) == 0 {
		s.Cap = money.Rate{Nano: int64(h.r.IntN(2000)) * 10_000_000, Currency: h.terms.Currency}
	}
	if h.r.IntN(4) == 0 {
		s.Periods = int64(1 + h.r.IntN(4))
	}
	h.scope(s)
	h.live(s)
}

func (h *history) addCommitment(product string) {
	s := h.newStory(product, h.anyInstant())
	s.Sort = compute.Commitment
	s.Amount.Nano *= 2
	h.scope(s)
	h.live(s)
}

func (h *history) scope(s *story) {
	s.AllOf, s.WithUsage = h.r.IntN(2) == 0, h.r.IntN(2) == 0
	if h.r.IntN(3) == 0 {
		s.Alters = []string{"p0", "p2", "p3"}
	}
}

func (h *history) addUsage(product string) {
	u := used{product: product, period: h.r.IntN(h.bills), category: pick(h.r, "standard", "reduced"), included: h.r.IntN(3) == 0}
	u.key = fmt.Sprintf("%s %s %v %d", product, u.category, u.included, u.period)
	for range 1 + h.r.IntN(5) {
		u.nano = h.r.Int64N(9_000_000_000)
		u.known = u.period
		for h.r.IntN(3) == 0 {
			u.known++
		}
		h.usage = append(h.usage, u)
	}
}

// at is the item as it is known at a bill.
func (s *story) at(bill int) (it compute.Item) {
	it = s.Item
	it.Revision = 1
	if it.Sort == compute.OneTime {
		defer func() { it.Span.To = it.Span.From }()
	}
	if !s.wrong.IsZero() {
		if bill < s.righted {
			it.Span.From = s.wrong
		} else {
			it.Revision++
		}
	}
	if it.Sort != compute.OneTime {
		it.Span.To = time.Time{}
		if bill >= s.ended {
			it.Span.To = s.Span.To
			it.Revision++
		}
	}
	for _, x := range s.rests {
		if x.from > bill {
			break
		}
		it.Revision++
		if x.to > bill {
			it.Suspended = append(it.Suspended, civil.Span{From: x.From})
			break
		}
		it.Revision++
		it.Suspended = append(it.Suspended, x.Span)
	}
	return it
}

// input is what is known at a bill, with the rows of the bills before.
func (h *history) input(bill int, rows []compute.Billed) *compute.Input {
	in := &compute.Input{Terms: h.termsAt(bill), Index: bill}
	for _, s := range h.items {
		if s.known <= bill {
			in.Items = append(in.Items, s.at(bill))
		}
	}
	in.Usage = h.sums(bill, false)
	in.Billed = h.rows(in.Items, rows)
	return in
}

// sums are those of usage that is new since the last bill, and what a discount needs.
func (h *history) sums(bill int, all bool) (out []compute.UsageSum) {
	counted := all || slices.ContainsFunc(h.items, func(s *story) bool { return s.WithUsage })
	for _, u := range h.usage {
		if u.known > bill {
			continue
		}
		at := slices.IndexFunc(out, func(s compute.UsageSum) bool { return s.Key == u.key })
		if at < 0 {
			at = len(out)
			out = append(out, compute.UsageSum{Key: u.key, Product: u.product, Amount: money.Rate{Currency: h.terms.Currency},
				Before: money.Rate{Currency: h.terms.Currency}, Period: mustPeriod(h.terms.Cycle, u.period), TaxCategory: u.category, TaxIncluded: u.included})
		}
		s := &out[at]
		if u.known <= h.last(bill) {
			s.Before.Nano += u.nano
			continue
		}
		s.Amount.Nano += u.nano
		s.Records++
	}
	if counted {
		return out
	}
	return slices.DeleteFunc(out, func(s compute.UsageSum) bool { return s.Records == 0 })
}

// last is the bill that was made before: some periods are left out, as of an account that
// was parked.
func (h *history) last(bill int) int {
	for bill--; bill >= 0 && h.parked(bill); bill-- {
	}
	return bill
}

func (h *history) parked(bill int) bool { return bill < h.bills-1 && (bill*7+len(h.items))%5 == 0 }

// rows are those that a bill has to be given, in any order.
func (h *history) rows(items []compute.Item, rows []compute.Billed) []compute.Billed {
	out := slices.Clone(rows)
	h.r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i := range items {
		if items[i].Sort == compute.Discount || items[i].Sort == compute.Commitment {
			return out
		}
	}
	for i := range items { // of an item that has not changed the last period is enough
		top, revision := -1<<60, int64(0)
		for _, b := range rows {
			if b.Item == items[i].ID {
				top, revision = max(top, b.Index), max(revision, b.Revision)
			}
		}
		if revision == items[i].Revision {
			out = slices.DeleteFunc(out, func(b compute.Billed) bool { return b.Item == items[i].ID && b.Index < top })
			for j := range out {
				if out[j].Item == items[i].ID {
					out[j].Revision = revision
				}
			}
		}
	}
	return out
}

// kept are the rows that the lines of a bill leave.
func kept(in *compute.Input, b *compute.Bill, id string) (out []compute.Billed) {
	for _, l := range b.Lines {
		if l.Item == "" {
			continue
		}
		at := slices.IndexFunc(in.Items, func(it compute.Item) bool { return it.ID == l.Item })
		out = append(out, compute.Billed{Item: l.Item, Index: l.Index, Net: l.Amount, Version: l.Number + 1, Revision: in.Items[at].Revision,
			TaxCategory: l.TaxCategory, TaxRate: l.TaxPercent, TaxIncluded: l.TaxIncluded, Bill: id})
	}
	return out
}

// play bills a history and compares each bill with the oracle.
func (h *history) play() (lines int, err error) {
	var rows []compute.Billed
	before, first := map[owedKey]int64{}, map[period]oTax{}
	numbers := map[string]bool{}
	for n := range h.bills {
		if h.parked(n) {
			continue
		}
		in := h.input(n, rows)
		b, err := compute.Make(in)
		if err != nil {
			return lines, fmt.Errorf("bill %d: %w", n, err)
		}
		full := *in
		full.Usage = h.sums(n, true)
		now := expected(&full, first)
		if err := compare(b, before, now); err != nil {
			return lines, fmt.Errorf("bill %d: %w%s", n, err, dump(in, b))
		}
		if err := checkTotals(in, b); err != nil {
			return lines, fmt.Errorf("bill %d: %w", n, err)
		}
		for _, l := range b.Lines {
			id := fmt.Sprintf("%s/%s/%d/%d", l.Item, l.Key, l.Index, l.Number)
			if l.Item != "" && numbers[id] {
				return lines, fmt.Errorf("bill %d: %s is billed twice", n, id)
			}
			numbers[id] = true
		}
		rows = append(rows, kept(in, b, fmt.Sprint("bill", n))...)
		before, lines = now, lines+len(b.Lines)
		in.Billed, in.Usage = rows, nil
		if again, err := compute.Make(in); err != nil || h.quiet() && len(again.Lines) > 0 {
			return lines, fmt.Errorf("bill %d, made again: %v, %v", n, again, err)
		}
	}
	return lines, nil
}

// quiet says that no discount counts usage, which a second run would have to be given again.
func (h *history) quiet() bool {
	return !slices.ContainsFunc(h.items, func(s *story) bool { return s.WithUsage })
}

// compare says where the lines of a bill are not the difference of what is expected.
func compare(b *compute.Bill, before, now map[owedKey]int64) error {
	diff := map[owedKey]int64{}
	for k, v := range now {
		diff[k] += v
	}
	for k, v := range before {
		diff[k] -= v
	}
	for _, l := range b.Lines {
		k := owedKey{period{l.Item, l.Index}, oTax{l.TaxCategory, l.TaxCode, big.NewRat(l.TaxPercent.Num, l.TaxPercent.Den).RatString(), l.TaxIncluded}}
		if l.Sort == compute.Usage {
			k.period = period{"usage " + l.Key, 0}
		}
		diff[k] -= l.Amount
		if l.Wanted-l.Before != l.Amount {
			return fmt.Errorf("line %+v does not add up", l)
		}
	}
	var wrong []string
	for k, v := range diff {
		if v != 0 {
			wrong = append(wrong, fmt.Sprintf("%+v: %d too little, %d expected in all", k, v, now[k]))
		}
	}
	slices.SortFunc(wrong, cmp.Compare[string])
	if wrong != nil {
		return fmt.Errorf("%v", wrong)
	}
	return nil
}

// TestEveryBillIsWhatTheOracleSays bills made-up accounts. TANDEM_BILLING_HISTORIES is how many,
// TANDEM_SEED the first of them.
func TestEveryBillIsWhatTheOracleSays(t *testing.T) {
	count, seed := setting(t, "TANDEM_BILLING_HISTORIES", 2_000), setting(t, "TANDEM_SEED", rand.Uint64N(1<<40))
	t.Logf("TANDEM_SEED=%d TANDEM_BILLING_HISTORIES=%d", seed, count)
	begun := time.Now()
	var next, lines atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= count {
					return
				}
				n, err := newHistory(rand.New(rand.NewPCG(seed+i, 1))).play()
				if lines.Add(uint64(n)); err != nil {
					t.Errorf("TANDEM_SEED=%d TANDEM_BILLING_HISTORIES=1: %v", seed+i, err)
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d histories, %d lines, %v for each 10,000", count, lines.Load(), time.Since(begun)*10_000/time.Duration(count))
}

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

package rating

import (
	"math/big"
	"strings"
	"testing"
	"time"
)

// The oracle prices usage the slow way: unbounded fractions, one unit after the
// other, from the words of the plan. It shares no code with the compiled form.

// ratOf reads an amount, "a" or "a/b".
func ratOf(d Decimal) *big.Rat {
	if d == "" {
		return new(big.Rat)
	}
	over, under, ok := strings.Cut(string(d), "/")
	n, _ := new(big.Rat).SetString(over)
	if ok {
		m, _ := new(big.Rat).SetString(under)
		n.Quo(n, m)
	}
	return n
}

// slowRound rounds a fraction that is not negative to a whole number.
func slowRound(r *big.Rat, how string) *big.Int {
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	rest := new(big.Rat).Sub(r, new(big.Rat).SetInt(whole))
	half := rest.Cmp(big.NewRat(1, 2))
	up := false
	switch how {
	case "up", "ceiling":
		up = rest.Sign() > 0
	case "half-up", "":
		up = half >= 0
	case "half-down":
		up = half > 0
	case "half-even":
		up = half > 0 || half == 0 && whole.Bit(0) == 1
	}
	if up {
		whole.Add(whole, big.NewInt(1))
	}
	return whole
}

// slowBilled walks increment by increment.
func slowBilled(b Block, n uint64) uint64 {
	step, first := b.Step, b.First
	if step == 0 {
		step = 1
	}
	if first == 0 {
		first = step
	}
	if n == 0 {
		return 0
	}
	billed, steps := first, uint64(0)
	for billed+step <= n {
		billed, steps = billed+step, steps+1
	}
	if billed >= n {
		return billed
	}
	rest, up := n-billed, false
	switch b.Rounding {
	case "", "up":
		up = true
	case "half-up":
		up = 2*rest >= step
	case "half-even":
		up = 2*rest > step || 2*rest == step && steps%2 == 1
	}
	if up {
		billed += step
	}
	return billed
}

// slowCase is one price with all that its Cost depends on.
type slowCase struct {
	price    *Price
	rounding string
	counted  bool
	sums     []*big.Rat // of the first 0, 1, 2 ... units
}

// steps are the price's steps, an amount being one.
func (c *slowCase) steps() []Step {
	p := c.price
	switch {
	case len(p.Steps) > 0:
		return p.Steps
	case len(p.Tiers) > 0:
		return p.Tiers
	case len(p.Volume) > 0:
		return p.Volume
	case p.Percent != "":
		hundredth := new(big.Rat).Quo(ratOf(p.Percent), big.NewRat(100*1_000_000_000, 1))
		return []Step{{Amount: Decimal(hundredth.Num().String() + "/" + hundredth.Denom().String())}}
	}
	return []Step{{Amount: p.Amount}}
}

func (c *slowCase) unitPrice(s Step) *big.Rat {
	per := s.Per
	if per == 0 {
		per = c.price.Per
	}
	if per == 0 {
		per = 1
	}
	nano := new(big.Rat).Mul(ratOf(s.Amount), big.NewRat(1_000_000_000, 1))
	return nano.Quo(nano, new(big.Rat).SetInt(new(big.Int).SetUint64(per)))
}

// upTo is the price of the first x units, rounded once.
func (c *slowCase) upTo(x int64) *big.Int {
	steps, at := c.steps(), 0
	for u := int64(len(c.sums)); u <= x; u++ {
		if u == 0 {
			c.sums = append(c.sums, new(big.Rat))
			continue
		}
		for steps[at].To != 0 && uint64(u) > steps[at].To {
			at++
		}
		sum := new(big.Rat).Add(c.sums[u-1], c.unitPrice(steps[at]))
		if len(c.price.Volume) > 0 {
			sum.Mul(c.unitPrice(steps[at]), new(big.Rat).SetInt64(u))
		}
		c.sums = append(c.sums, sum)
	}
	return slowRound(c.sums[x], c.rounding)
}

// total is what n units of a session cost that began when the counter stood at
// start, before any cap.
func (c *slowCase) total(n uint64, start int64) *big.Int {
	if n == 0 {
		return new(big.Int)
	}
	billed := int64(slowBilled(c.price.Block, n))
	sum := c.upTo(billed)
	if c.counted {
		sum = new(big.Int).Sub(c.upTo(max(0, start+billed)), c.upTo(max(0, start)))
	}
	sum.Add(sum, slowRound(new(big.Rat).Mul(ratOf(c.price.Connect), big.NewRat(1e9, 1)), "down"))
	least := slowRound(new(big.Rat).Mul(ratOf(c.price.Minimum), big.NewRat(1e9, 1)), "down")
	if c.price.Minimum != "" && sum.Cmp(least) < 0 {
		return least
	}
	return sum
}

func (c *slowCase) cost(used, more, counter uint64, charged int64) int64 {
	start := int64(counter) - int64(used)
	cost := new(big.Int).Sub(c.total(used+more, start), c.total(used, start)).Int64()
	if c.price.SessionCap == "" {
		return cost
	}
	left := slowRound(new(big.Rat).Mul(ratOf(c.price.SessionCap), big.NewRat(1e9, 1)), "down").Int64() - charged
	return min(cost, max(0, left))
}

// clockOracle reads bands off a wall clock that never runs backwards, minute by
// minute.
type clockOracle struct {
	plan *Plan
	zone *time.Location
	best time.Time // the latest time the wall has shown, as if it were UTC
}

// wall is what clocks show at an instant, as if it were UTC.
func (o *clockOracle) wall(at int64) time.Time {
	t := time.Unix(at, 0).In(o.zone)
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// start looks back far enough that clocks put back before at are noticed.
func (o *clockOracle) start(at int64) {
	o.best = o.wall(at - 4*3600)
	for t := at - 4*3600; t < at; t += 60 {
		o.show(t)
	}
	o.show(at)
}

func (o *clockOracle) show(at int64) {
	if w := o.wall(at); w.After(o.best) {
		o.best = w
	}
}

// ofDay says whether a band names the day.
func (o *clockOracle) ofDay(b *Band, day time.Time) bool {
	name := strings.ToLower(day.Format("Mon"))
	for _, c := range o.plan.Calendars {
		for _, h := range c.Holidays {
			if (b.Calendar == "" || b.Calendar == c.Name) && strings.HasSuffix(day.Format("2006-01-02"), h) {
				name = "holiday"
			}
		}
	}
	for _, d := range b.Days {
		if d == name {
			return true
		}
	}
	return false
}

// holds says whether a band holds at the instant last shown.
func (o *clockOracle) holds(name string) bool {
	var b *Band
	for i := range o.plan.Bands {
		if o.plan.Bands[i].Name == name {
			b = &o.plan.Bands[i]
		}
	}
	clock, from, to := o.best.Format("15:04"), b.From, b.To
	if from == "" {
		from = "00:00"
	}
	if to == "" {
		to = "24:00"
	}
	if from < to {
		return o.ofDay(b, o.best) && from <= clock && clock < to
	}
	return from <= clock && o.ofDay(b, o.best) || clock < to && o.ofDay(b, o.best.AddDate(0, 0, -1))
}

// slowZone is the destination with the longest prefix, by trying all of them.
func slowZone(p *Plan, digits string) string {
	best, length := "", -1
	for _, z := range p.Destinations {
		for _, prefix := range z.Prefixes {
			switch {
			case digits == "":
			case prefix == "="+digits:
				return z.Name
			case prefix == "*" && length < 0:
				best, length = z.Name, 0
			case strings.HasPrefix(digits, prefix) && len(prefix) > length:
				best, length = z.Name, len(prefix)
			}
		}
	}
	return best
}

// slowNetwork is the network zone by the longest code; plmn is "" or MCC and MNC.
func slowNetwork(p *Plan, plmn string) string {
	if plmn == "" {
		return p.UnknownNetwork
	}
	best, length := "", -1
	for _, z := range p.Networks {
		for _, code := range z.Codes {
			if code == "*" && length < 0 {
				best, length = z.Name, 0
			}
			if (code == plmn || code == plmn[:3]) && len(code) > length {
				best, length = z.Name, len(code)
			}
		}
	}
	return best
}

// mustCompile is for plans that are right.
func mustCompile(t testing.TB, p Plan) *Tariff {
	t.Helper()
	tariff, err := Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	return tariff
}

// priced is the rate of a plan with one rule.
func priced(t testing.TB, p Price, counter bool) *Rate {
	t.Helper()
	return mustCompile(t, planOf(p, "", counter)).Rate(0)
}

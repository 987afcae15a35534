package rating

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	"tandem/edge/credit"
)

var units = map[string]credit.Has{"octets": unitOctets, "seconds": unitSeconds, "events": unitEvents, "money": unitMoney}

// price compiles the price of a rule.
func (c *compiler) price(r *Rate, rule *Rule) error {
	p := rule.Price
	unit, known := units[p.Unit]
	if !known {
		return fmt.Errorf("there is no unit %q; it must be octets, seconds, events or money", p.Unit)
	}
	r.Unit = unit
	if err := oneShape(p); err != nil {
		return err
	}
	var err error
	if r.blocks, err = p.Block.compile(); err != nil {
		return err
	}
	if err := c.fees(r, p); err != nil {
		return err
	}
	return c.shape(r, rule)
}

// oneShape refuses a price that says its amount twice or not at all.
func oneShape(p *Price) error {
	shapes := 0
	for _, set := range []bool{p.Amount != "", len(p.Steps) > 0, len(p.Tiers) > 0, len(p.Volume) > 0, p.Percent != "", p.Formula != ""} {
		if set {
			shapes++
		}
	}
	switch {
	case shapes == 0 && p.Connect == "":
		return errors.New("the price has no amount; give amount, steps, tiers, volume, percent or formula")
	case shapes > 1:
		return errors.New("the price has more than one of amount, steps, tiers, volume, percent and formula")
	case p.Percent != "" && p.Unit != "money":
		return errors.New("a percentage is of a sum of money; the unit must be money")
	case p.Unit == "money" && p.Percent == "" && p.Formula == "":
		return errors.New("a sum of money is priced by percent or formula")
	case p.Percent != "" && p.Per != 0:
		return errors.New("a percentage has no per")
	case p.Formula != "" && p.Unit != "events" && p.Unit != "money":
		return errors.New("a formula is for events and money; other units have prices in closed form")
	case p.Formula != "" && p.Block != (Block{}):
		return errors.New("a formula has no block; it may round by itself")
	case len(p.Volume) > 0 && (p.Minimum != "" || p.SessionCap != "" || p.DayCap != ""):
		return errors.New("a volume price has no minimum and no cap: its total may fall")
	}
	return nil
}

func (b *Block) compile() (blocks, error) {
	out := blocks{first: b.First, step: max(1, b.Step)}
	if out.first == 0 {
		out.first = out.step
	}
	var known bool
	if out.round, known = blockRoundings[b.Rounding]; !known {
		return out, fmt.Errorf("block: there is no rounding %q; it must be up, half-up, half-even or down", b.Rounding)
	}
	return out, nil
}

// fees compiles what is charged beside the units.
func (c *compiler) fees(r *Rate, p *Price) error {
	var err error
	amount := func(name string, d Decimal, none int64) int64 {
		if d == "" || err != nil {
			return none
		}
		n, failed := d.nano()
		if failed != nil {
			err = fmt.Errorf("%s: %w", name, failed)
		}
		return n
	}
	r.connect, r.minimum = amount("connect", p.Connect, 0), amount("minimum", p.Minimum, 0)
	r.SessionCap, r.DayCap = amount("sessionCap", p.SessionCap, noCap), amount("dayCap", p.DayCap, noCap)
	if err != nil {
		return err
	}
	if (p.DayCap == "") != (p.DayCounter == "") {
		return errors.New("dayCap and dayCounter go together")
	}
	if r.SessionCap != noCap && r.minimum > r.SessionCap {
		return fmt.Errorf("the minimum %s is above the session cap %s", p.Minimum, p.SessionCap)
	}
	if r.DayCounter, err = c.counter(p.DayCounter); err != nil {
		return err
	}
	if r.DayCounter >= 0 && r.DayCounter == r.Counter {
		return fmt.Errorf("the counter %q cannot count both units and money", p.DayCounter)
	}
	return nil
}

// shape compiles how the price depends on the number of units.
func (c *compiler) shape(r *Rate, rule *Rule) (err error) {
	p := rule.Price
	switch {
	case p.Formula != "":
		r.formula, err = compileFormula(p.Formula, c.t.rounding)
	case p.Percent != "":
		r.ladder, err = c.percent(p)
	case len(p.Tiers) > 0:
		if rule.Counter == "" {
			return errors.New("tiers need a counter: it says which tier is reached")
		}
		r.counted = true
		r.ladder, err = c.ladder("tiers", p.Tiers, p)
	case len(p.Volume) > 0:
		r.counted = rule.Counter != ""
		r.ladder, err = c.ladder("volume", p.Volume, p)
		r.ladder.volume = true
	case len(p.Steps) > 0:
		r.ladder, err = c.ladder("steps", p.Steps, p)
	default:
		r.ladder, err = c.ladder("amount", []Step{{Amount: p.Amount}}, p)
	}
	return err
}

// percent is a ladder over 10^-9 of the given sum.
func (c *compiler) percent(p *Price) (ladder, error) {
	percent, err := p.Percent.rat()
	if err != nil {
		return ladder{}, fmt.Errorf("percent: %w", err)
	}
	percent.Quo(percent, big.NewRat(100, 1))
	return c.build([]rung{{to: math.MaxUint64}}, []*big.Rat{percent})
}

func (c *compiler) ladder(what string, steps []Step, p *Price) (ladder, error) {
	if len(steps) > maxSteps {
		return ladder{}, fmt.Errorf("%s: there are %d; %d are allowed", what, len(steps), maxSteps)
	}
	rungs, prices := make([]rung, len(steps)), make([]*big.Rat, len(steps))
	for i, s := range steps {
		if err := follows(steps, i); err != nil {
			return ladder{}, fmt.Errorf("%s: %w", what, err)
		}
		price, err := s.Amount.rat()
		if err != nil {
			return ladder{}, fmt.Errorf("%s: %w", what, err)
		}
		per := new(big.Int).SetUint64(max(1, firstSet(s.Per, p.Per)))
		price.Mul(price, nanos)
		prices[i] = price.Quo(price, new(big.Rat).SetInt(per))
		rungs[i] = rung{from: s.From, to: s.To}
		if s.To == 0 {
			rungs[i].to = math.MaxUint64
		}
	}
	return c.build(rungs, prices)
}

func firstSet(a, b uint64) uint64 {
	if a != 0 {
		return a
	}
	return b
}

// follows refuses gaps and overlaps: each step begins where the one before ends,
// the first at 0, and only the last is open.
func follows(steps []Step, i int) error {
	s, from := steps[i], uint64(0)
	if i > 0 {
		from = steps[i-1].To
	}
	switch {
	case s.From != from && i == 0:
		return fmt.Errorf("the first step must begin at 0, not at %d", s.From)
	case s.From > from:
		return fmt.Errorf("there is a gap: no step has the units from %d to %d", from, s.From)
	case s.From < from:
		return fmt.Errorf("two steps have the units from %d to %d", s.From, from)
	case i < len(steps)-1 && s.To <= s.From:
		return fmt.Errorf("the step from %d must end above that; only the last may be open", s.From)
	case i == len(steps)-1 && s.To != 0:
		return fmt.Errorf("there is a gap: no step has the units beyond %d; leave out the last \"to\"", s.To)
	}
	return nil
}

// build gives prices per unit, in 10^-9, one denominator and sums them up to each
// rung.
func (c *compiler) build(rungs []rung, prices []*big.Rat) (ladder, error) {
	den := big.NewInt(1)
	for _, p := range prices {
		common := new(big.Int).GCD(nil, nil, den, p.Denom())
		den.Mul(den, new(big.Int).Quo(p.Denom(), common))
		if den.BitLen() > 61 {
			return ladder{}, errors.New("the amounts are too fine: their common fraction of 10^-9 has more than 18 digits")
		}
	}
	base := new(big.Int)
	for i, p := range prices {
		num := new(big.Int).Mul(p.Num(), new(big.Int).Quo(den, p.Denom()))
		if !num.IsUint64() || base.BitLen() > 125 {
			return ladder{}, errors.New("the amounts are too large")
		}
		g := &rungs[i]
		g.num = num.Uint64()
		g.base = wide{new(big.Int).Rsh(base, 64).Uint64(), new(big.Int).And(base, mask64).Uint64()}
		base.Add(base, num.Mul(num, new(big.Int).SetUint64(g.to-g.from)))
	}
	return ladder{rungs: rungs, den: den.Uint64(), round: c.t.rounding}, nil
}

var mask64 = new(big.Int).SetUint64(math.MaxUint64)

package charging

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/kit/fault"
	"tandem/kit/journal"
	"tandem/kit/money"
	"tandem/kit/store"
)

// Line is what charging knows of a product.
type Line struct {
	Product   string
	Confirmed bool       // the account has a subscriber for it
	Option    bool       // it has none of its own: what it gives is its line's
	State     core.State // of the subscriber, as the journal last said
}

// LinesOf are the lines of up to a few hundred products, by product.
func LinesOf(tx *store.Tx, products []string) (map[string]Line, error) {
	out := map[string]Line{}
	if len(products) == 0 {
		return out, nil
	}
	args := make([]any, len(products))
	for i, id := range products {
		args[i] = id
	}
	in := "WHERE tenant = $1 AND product IN (" + store.In(2, len(args)) + ")"
	rows, err := tx.Query("SELECT product, subscriber, state, 0 FROM charging_line "+in+" UNION ALL SELECT product, 0, 0, 1 FROM charging_option "+in, args...)
	_, err = store.Collect(rows, err, func(r store.Rows) (l Line, err error) {
		var subscriber, state, option int64
		err = r.Scan(&l.Product, &subscriber, &state, &option)
		l.Confirmed, l.State, l.Option = subscriber > 0, core.State(state), option == 1
		out[l.Product] = l
		return l, err
	})
	return out, err
}

// Pending are the products whose commands have not been carried out yet: what is
// said of them here is behind.
func Pending(tx *store.Tx) ([]string, error) {
	rows, err := tx.Query("SELECT DISTINCT product FROM charging_command WHERE tenant = $1 AND state = 'pending' AND product <> ''")
	return store.Collect(rows, err, store.Text)
}

// LinesAfter are the next lines that have not ended, in the order of their products.
func LinesAfter(tx *store.Tx, product string, limit int) ([]string, error) {
	rows, err := tx.Query("SELECT product FROM charging_line WHERE tenant = $1 AND product > $2 AND state <> $4 ORDER BY product LIMIT $3", product, limit, int64(core.Closed))
	return store.Collect(rows, err, store.Text)
}

// Charges says whether an offering charges for usage, or gives some.
func Charges(tx *store.Tx, offering string) (bool, error) {
	o, err := catalog.Offerings.Get(tx, offering)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	prices, err := catalog.Prices(tx, o)
	if err != nil {
		return false, err
	}
	plan, allowances, err := rating.FromCatalog(o, prices)
	return len(plan.Rules) > 0 || len(allowances) > 0, err
}

func (r *Room) read(ctx context.Context, tenant string, fn func(*store.Tx) error) error {
	return r.DB.Read(ctx, store.Scope{Tenant: tenant, Actor: actor}, fn)
}

// Audited is what an audit of the journal has looked at.
type Audited struct {
	Records  int64 // of usage
	Unjudged int64 // their price depends on more than the units of one rate
}

// totals are what usage records add up to.
type totals struct{ rows, seconds, octets, events, money int64 }

// audit is one pass over the journal.
type audit struct {
	r        *Room
	since    bool // rows up to the marks are not added up again
	found    func(tenant, words string) error
	wrong    func(plan rating.Plan, charged int64, want *big.Int, words string) error // of a price; nil: found hears of it
	upto     map[uint32]int64                                                         // position of the journal, by tenant
	number   map[uint32]int64                                                         // of the last usage row before it
	names    map[uint32]string
	written  map[uint32]totals // what the usage rows say
	read     map[uint32]totals // what the journal says
	unjudged map[uint32]int64
	marks    map[uint32]mark
	rules    map[uint32]rating.Plan
	open     map[chain]chainRate
	sum      Audited
}

// chain is a rating group of a session, whose records follow each other.
type chain struct {
	shard   int
	session uint64
	group   int
}

type chainRate struct {
	tenant, tariff, rate uint32
	mixed                bool
}

// AuditJournal holds the usage rows of all tenants against the journal: nothing lost,
// nothing twice. And it prices what was used anew, from the words of the tariffs and
// with exact fractions, and holds that against what was charged. What was pruned was
// audited before; of it the sums were kept (prune.go), and all rows must still add up
// to them.
func (r *Room) AuditJournal(ctx context.Context, found func(tenant, words string) error) (Audited, error) {
	a, err := r.auditJournal(ctx, false, found)
	return a.sum, err
}

func (r *Room) newAudit(found func(tenant, words string) error) *audit {
	return &audit{r: r, found: found, upto: map[uint32]int64{}, number: map[uint32]int64{}, names: map[uint32]string{}, written: map[uint32]totals{},
		read: map[uint32]totals{}, unjudged: map[uint32]int64{}, marks: map[uint32]mark{}, rules: map[uint32]rating.Plan{}, open: map[chain]chainRate{}}
}

// differs tells of a record that was charged otherwise than it costs.
func (a *audit) differs(tenant, tariff uint32, charged int64, want *big.Int, words string) error {
	if a.wrong != nil {
		return a.wrong(a.rules[tariff], charged, want, words)
	}
	return a.found(a.names[tenant], words)
}

// auditJournal does so. since: only the rows that were written since the last marks
// are added up, which is enough to set new ones.
func (r *Room) auditJournal(ctx context.Context, since bool, found func(tenant, words string) error) (*audit, error) {
	a := r.newAudit(found)
	a.since = since
	if err := r.readShelves(ctx); err != nil {
		return a, err
	}
	tenants, err := r.tenants(ctx)
	if err != nil {
		return a, err
	}
	last := int64(0)
	for _, t := range tenants {
		if err := a.prepare(ctx, t); err != nil {
			return a, err
		}
	}
	for _, upto := range a.upto {
		last = max(last, upto)
	}
	if err := a.scan(ctx, last); err != nil {
		return a, err
	}
	for n, name := range a.names {
		if w, j := a.written[n], a.read[n]; w != j {
			if err := found(name, fmt.Sprintf("the journal has %d records of usage (%d s, %d octets, %d events, %d of 10^-9), written down are %d (%d s, %d octets, %d events, %d)",
				j.rows, j.seconds, j.octets, j.events, j.money, w.rows, w.seconds, w.octets, w.events, w.money)); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

const (
	// One statement sees one instant: the cursor, and the last row of what is before it.
	auditUpto = `SELECT seq, coalesce((SELECT max(number) FROM charging_usage WHERE tenant = $1), 0)
		FROM charging_cursor WHERE tenant = $1 AND part = 1`
	auditRows = `SELECT CAST(coalesce(sum(records), 0) AS BIGINT), coalesce(sum(seconds), 0), coalesce(sum(octets), 0), coalesce(sum(events), 0), coalesce(sum(money), 0)
		FROM charging_usage WHERE tenant = $1 AND number > $2 AND number <= $3`
)

// prepare reads what is written of a tenant, at one position of the journal, and from
// where on the journal is to be read.
func (a *audit) prepare(ctx context.Context, tenant string) error {
	n := a.r.tenantNumber(tenant)
	if n == 0 {
		return nil // it charges for nothing
	}
	a.names[n] = tenant
	return a.r.read(ctx, tenant, func(tx *store.Tx) error {
		if err := a.readTariffs(tx); err != nil {
			return err
		}
		m, err := readMark(tx)
		if err != nil {
			return err
		}
		var upto, number int64
		if err := tx.Row(auditUpto).Scan(&upto, &number); err != nil {
			if err == store.ErrNotFound {
				return nil
			}
			return err
		}
		after := int64(0)
		if a.since {
			after = m.Number
		}
		var t totals
		if err := tx.Row(auditRows, after, number).Scan(&t.rows, &t.seconds, &t.octets, &t.events, &t.money); err != nil {
			return err
		}
		if a.since {
			t.add(m.totals)
		}
		a.upto[n], a.number[n], a.written[n] = upto, number, t
		a.goOn(n, m)
		return nil
	})
}

func (a *audit) readTariffs(tx *store.Tx) error {
	rows, err := tx.Query("SELECT number, kind, name, from_at, doc FROM charging_book WHERE tenant = $1 AND kind = 'tariff' ORDER BY number")
	_, err = store.Collect(rows, err, func(r store.Rows) (e entry, err error) {
		if err = r.Scan(&e.number, &e.kind, &e.name, &e.from, &e.doc); err != nil {
			return e, err
		}
		var d tariffDoc
		err = json.Unmarshal([]byte(e.doc), &d)
		a.rules[uint32(e.number)] = d.Prices
		return e, err
	})
	return err
}

func (a *audit) scan(ctx context.Context, last int64) error {
	var m core.Move
	for after := a.from(); after < last; {
		at, err := a.r.journal.Read(ctx, after, projectBytes, func(seq int64, b *journal.Batch) error {
			return core.Scan(b.Blob, b.First, func(rec *core.Record, next func(*core.Move) bool) error {
				if upto, known := a.upto[rec.Tenant]; !known || seq > upto || seq <= a.marks[rec.Tenant].Seq {
					return nil
				}
				return a.record(rec, next, &m)
			})
		})
		if err != nil {
			return err
		}
		if at == after {
			return nil
		}
		after = at
	}
	return nil
}

func (a *audit) record(rec *core.Record, next func(*core.Move) bool, m *core.Move) error {
	for next(m) {
		if m.Op == core.MovePost {
			if err := a.posted(rec, &m.Posted); err != nil {
				return err
			}
		}
		if m.Op != core.MoveShut && m.Op != core.MovePart && m.Op != core.MoveEvent {
			continue
		}
		for i := range m.Session.Groups {
			if err := a.group(rec, m, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// group adds a record of usage up, and prices it anew.
func (a *audit) group(rec *core.Record, m *core.Move, i int) error {
	g := &m.Session.Groups[i]
	key := chain{rec.Shard, m.Session.Number, i}
	seen, known := a.open[key]
	switch {
	case m.Op == core.MovePart && !known:
		a.open[key] = chainRate{tenant: rec.Tenant, tariff: g.Tariff, rate: g.Rate}
	case m.Op == core.MovePart:
		seen.mixed = seen.mixed || seen.tariff != g.Tariff || seen.rate != g.Rate
		a.open[key] = seen
	case m.Op == core.MoveShut:
		delete(a.open, key)
	}
	if g.Total == (core.Totals{}) {
		return nil
	}
	t := a.read[rec.Tenant]
	t.rows++
	t.seconds += int64(g.Total.Seconds)
	t.octets += int64(g.Total.Total)
	t.events += int64(g.Total.Events)
	t.money += g.Total.Money
	a.read[rec.Tenant] = t
	a.sum.Records++
	if known && (seen.mixed || seen.tariff != g.Tariff || seen.rate != g.Rate) {
		a.skip(rec.Tenant)
		return nil
	}
	want, judged := a.price(g)
	if !judged {
		a.skip(rec.Tenant)
		return nil
	}
	if want.Cmp(big.NewInt(g.Charged)) == 0 {
		return nil
	}
	return a.differs(rec.Tenant, g.Tariff, g.Charged, want, fmt.Sprintf("session %q (shard %d, record %d): %d units were charged with %d of 10^-9, by tariff %d they cost %s",
		m.Session.Name(), rec.Shard, rec.N, g.Priced, g.Charged, g.Tariff, want))
}

// skip counts a record whose price is not judged.
func (a *audit) skip(tenant uint32) {
	a.unjudged[tenant]++
	a.sum.Unjudged++
}

// price is what the priced units of a group cost by the words of its tariff. Prices
// that depend on more than them are not judged: steps, tiers, caps, formulas.
func (a *audit) price(g *core.Group) (*big.Int, bool) {
	plan, known := a.rules[g.Tariff]
	if !known || int(g.Rate) >= len(plan.Rules) {
		return nil, false
	}
	rule := &plan.Rules[g.Rate]
	p := rule.Price
	if rule.Zero || g.Priced == 0 {
		return new(big.Int), true
	}
	if p == nil || rule.Counter != "" || p.Percent != "" || p.Formula != "" || p.SessionCap != "" || p.DayCap != "" || len(p.Steps)+len(p.Tiers)+len(p.Volume) > 0 ||
		p.Block.Rounding != "" && p.Block.Rounding != "up" {
		return nil, false
	}
	units := new(big.Rat).SetInt(billed(p.Block, g.Priced))
	sum := units.Mul(units, fraction(p.Amount))
	sum.Mul(sum, big.NewRat(1e9, 1))
	sum.Quo(sum, new(big.Rat).SetInt(new(big.Int).SetUint64(max(1, p.Per))))
	nano := nearest(sum, cmp.Or(plan.Rounding, money.HalfUp).String())
	if nano == nil {
		return nil, false
	}
	nano.Add(nano, nearest(new(big.Rat).Mul(fraction(p.Connect), big.NewRat(1e9, 1)), "half-up"))
	if least := nearest(new(big.Rat).Mul(fraction(p.Minimum), big.NewRat(1e9, 1)), "half-up"); nano.Cmp(least) < 0 {
		return least, true
	}
	return nano, true
}

// billed rounds units up to whole blocks.
func billed(b rating.Block, n uint64) *big.Int {
	step := new(big.Int).SetUint64(max(1, b.Step))
	first := new(big.Int).SetUint64(b.First)
	if b.First == 0 {
		first.Set(step)
	}
	units := new(big.Int).SetUint64(n)
	if units.Cmp(first) <= 0 {
		return first
	}
	beyond := new(big.Int).Sub(units, first)
	beyond.Add(beyond, step).Sub(beyond, big.NewInt(1)).Div(beyond, step)
	return beyond.Mul(beyond, step).Add(beyond, first)
}

// fraction reads an amount, "a" or "a/b"; nothing is zero.
func fraction(d rating.Decimal) *big.Rat {
	over, under, ratio := strings.Cut(string(d), "/")
	n, ok := new(big.Rat).SetString(over)
	if !ok {
		return new(big.Rat)
	}
	if m, ok := new(big.Rat).SetString(under); ratio && ok && m.Sign() != 0 {
		n.Quo(n, m)
	}
	return n
}

// nearest rounds a fraction that is not below zero; nil for a rounding it does not know.
func nearest(r *big.Rat, how string) *big.Int {
	whole, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	half := rest.Lsh(rest, 1).Cmp(r.Denom())
	up := false
	switch how {
	case "half-up":
		up = half >= 0
	case "half-even":
		up = half > 0 || half == 0 && whole.Bit(0) == 1
	case "half-down":
		up = half > 0
	case "up", "ceiling":
		up = rest.Sign() > 0
	case "down", "floor":
	default:
		return nil
	}
	if up {
		whole.Add(whole, big.NewInt(1))
	}
	return whole
}

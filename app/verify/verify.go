package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/charging"
	"tandem/kit/access"
	"tandem/kit/money"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation/driver"
)

// Elements is what verify asks of activation: the elements' own words.
type Elements interface {
	List(ctx context.Context, tenant, element, typ string, each func(driver.Observed) error) error
	Observe(ctx context.Context, tenant, element, typ, key string) (driver.Observed, error)
}

// Config of a run.
type Config struct {
	DB       *store.DB
	Elements Elements
	Bus      *outbox.Bus    // with all hearers; it need not be started
	Charging *charging.Room // nil: charges are not verified
	Running  bool           // orders and facts may move meanwhile
	Grace    time.Duration  // on a running node: how long a disagreement must last
	Patience time.Duration  // on a running node: how long hearers are waited for; 0: 30 s
	Progress func(string)   // says where the run is; nil: nobody
}

// Kinds of mismatch.
const (
	KindFact     = "fact"     // a hearer could not take a fact
	KindJob      = "job"      // a job was given up and waits for a person
	KindService  = "service"  // inventory and what was built disagree
	KindElement  = "element"  // an element holds something else than was built
	KindProduct  = "product"  // product and services disagree
	KindBilling  = "billing"  // product and billable items disagree
	KindPool     = "pool"     // a number or SIM is in use by nobody, or twice
	KindCharging = "charging" // product and line, balance and ledger, usage and journal disagree
	KindOrder    = "order"    // an order stands still, or contradicts its service order
	KindBill     = "bill"     // a posted bill, its series and the ledger disagree
)

// follow says of which kinds a mismatch may be the whole cause. What the network
// wing says of itself does not depend on facts: it is written in one transaction.
var follow = map[string][]string{
	KindFact:    {KindProduct, KindBilling, KindOrder, KindCharging},
	KindService: {KindProduct, KindBilling, KindOrder, KindPool, KindCharging},
	KindProduct: {KindBilling, KindCharging},
}

// Mismatch is one disagreement that lasts.
type Mismatch struct {
	Kind         string     `json:"kind"`
	Tenant       string     `json:"tenant"`
	Product      string     `json:"product,omitzero"`
	Service      string     `json:"service,omitzero"`
	Item         string     `json:"item,omitzero"` // billable item
	Order        string     `json:"order,omitzero"`
	ServiceOrder string     `json:"serviceOrder,omitzero"`
	Element      string     `json:"element,omitzero"`
	Key          string     `json:"key,omitzero"` // on the element, in the pool, of the fact or the job
	Words        string     `json:"words"`
	Money        *tmf.Money `json:"money,omitzero"` // at stake in a month
}

// String is the mismatch in one line.
func (m Mismatch) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s tenant=%s", m.Kind, m.Tenant)
	for _, f := range []struct{ name, value string }{{"product", m.Product}, {"service", m.Service}, {"item", m.Item}, {"order", m.Order},
		{"serviceOrder", m.ServiceOrder}, {"element", m.Element}, {"key", m.Key}} {
		if f.value != "" {
			fmt.Fprintf(&b, " %s=%s", f.name, f.value)
		}
	}
	b.WriteString(": " + strings.ReplaceAll(m.Words, "\n", " "))
	if m.Money != nil {
		fmt.Fprintf(&b, " [%s a month]", amount(*m.Money))
	}
	return b.String()
}

// amount is money as people write it: whole minor units, unless there are more digits.
func amount(m tmf.Money) string {
	if a, err := m.Post(money.HalfEven); err == nil {
		if r, err := a.Rate(); err == nil && r == m {
			return a.String()
		}
	}
	return m.String()
}

// Summary is what a run has seen.
type Summary struct {
	Mismatches int         `json:"mismatches"`
	Money      []tmf.Money `json:"money,omitzero"` // at stake in a month, by currency; each product once
	Tenants    int         `json:"tenants"`
	Products   int64       `json:"products"`
	Items      int64       `json:"items"`
	Services   int64       `json:"services"`
	Resources  int64       `json:"resources"` // read on elements
	Orders     int64       `json:"orders"`
	Accounts   int64       `json:"accounts"` // of charging, whose balances were held against the ledger
	Charges    int64       `json:"charges"`  // records of usage in the journal
	Bills      int64       `json:"bills"`    // posted ones, whose chain was followed
	Unjudged   int64       `json:"unjudged"` // of them, whose price depends on more than their units
	OnTheWay   int64       `json:"onTheWay"` // not judged: a fact about it is still to be heard
	Unheard    int64       `json:"unheard"`  // such facts
	Seconds    float64     `json:"seconds"`
}

// Err is nil if all agrees.
func (s Summary) Err() error {
	if s.Mismatches == 0 {
		return nil
	}
	what := "mismatches"
	if s.Mismatches == 1 {
		what = "mismatch"
	}
	if len(s.Money) == 0 {
		return fmt.Errorf("%d %s", s.Mismatches, what)
	}
	sums := make([]string, len(s.Money))
	for i, m := range s.Money {
		sums[i] = amount(m)
	}
	return fmt.Errorf("%d %s, %s a month at stake", s.Mismatches, what, strings.Join(sums, " and "))
}

// String is the summary for people.
func (s Summary) String() string {
	text := fmt.Sprintf("%d tenants, %d products, %d billable items, %d services, %d resources on elements, %d orders, %d balances, %d usage records, %d posted bills in %.1f s",
		s.Tenants, s.Products, s.Items, s.Services, s.Resources, s.Orders, s.Accounts, s.Charges, s.Bills, s.Seconds)
	if s.Unheard > 0 {
		text += fmt.Sprintf("; %d facts are still to be heard, and %d things were not judged for that: verify again when they are", s.Unheard, s.OnTheWay)
	}
	return text
}

// run is one verification.
type run struct {
	Config
	ctx      context.Context
	found    func(Mismatch) error
	sum      Summary
	tenants  []string
	suspects []suspect

	explained map[id]bool            // kinds and ids that a reported cause explains
	counted   map[id]bool            // products whose money is in the sum
	money     map[string]money.Tally // by currency

	network *network
	usage   map[string]bool // offerings that charge for usage
}

func scopeOf(tenant string) store.Scope { return store.Scope{Tenant: tenant, Actor: "system:verify"} }

// Run verifies all tenants and hands every mismatch to found, as it becomes
// certain. Its error is that of the run, not of what it found.
func Run(ctx context.Context, c Config, found func(Mismatch) error) (Summary, error) {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	c.Patience = cmp.Or(c.Patience, 30*time.Second)
	began := time.Now()
	v := &run{Config: c, ctx: ctx, found: found, explained: map[id]bool{}, counted: map[id]bool{}, money: map[string]money.Tally{}, usage: map[string]bool{}}
	err := v.all()
	v.sum.Seconds = time.Since(began).Seconds()
	for _, code := range sortedKeys(v.money) {
		r, overflow := v.money[code].Rate()
		if overflow != nil {
			return v.sum, fmt.Errorf("the money at stake in %s cannot be added up: %w", code, overflow)
		}
		v.sum.Money = append(v.sum.Money, r)
	}
	return v.sum, err
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (v *run) say(format string, args ...any) { v.Progress(fmt.Sprintf(format, args...)) }

// read runs fn on a reader of a tenant.
func (v *run) read(tenant string, fn func(tx *store.Tx) error) error {
	return v.DB.Read(v.ctx, scopeOf(tenant), fn)
}

// all goes from causes to consequences, and ends with the elements, whose lists
// need what all tenants have built.
func (v *run) all() error {
	tenants, err := access.Tenants(v.ctx, v.DB)
	if err != nil {
		return err
	}
	for _, t := range tenants {
		v.tenants = append(v.tenants, t.ID)
	}
	v.sum.Tenants = len(tenants)
	v.network = newNetwork()
	if err := v.parkedFacts(); err != nil {
		return fmt.Errorf("parked facts: %w", err)
	}
	for _, t := range v.tenants {
		for _, step := range []struct {
			name string
			do   func(tenant string) error
		}{{"services and numbers", v.services}, {"products and billable items", v.products}, {"orders", v.orders}, {"parked jobs", v.parkedJobs},
			{"lines of charging", v.lines}, {"balances", v.balances}, {"posted bills and the ledger", v.bills}} {
			v.say("%s: %s", t, step.name)
			if err := step.do(t); err != nil {
				return fmt.Errorf("%s of %s: %w", step.name, t, err)
			}
		}
	}
	if err := v.journal(); err != nil {
		return fmt.Errorf("journal of charges: %w", err)
	}
	if err := v.elements(); err != nil {
		return fmt.Errorf("elements: %w", err)
	}
	return v.confirm()
}

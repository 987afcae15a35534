package core

import (
	"sync/atomic"

	"tandem/bss/rating"
	"tandem/edge/credit"
)

// Book is all that accounts refer to by number: tenants, plans, and what buckets
// and counters are. Entries are only ever added, so that a number in the journal
// means the same for ever.
type Book struct {
	at atomic.Pointer[pages]
}

type pages struct {
	tenants     []Tenant
	plans       []Plan
	tariffs     []*Tariff
	definitions []*Definition
	classes     map[string]int
}

// Tenant is an operator brand, with its home networks.
type Tenant struct {
	Name string
	Home []uint32 // PLMNs: MCC * 1000 + MNC
	Life Life     // of prepaid accounts

	Defaults []Default // granted where usage has no price; its use goes to suspense, to be charged when it has
}

// Life is how long a prepaid account stays in each state, counted from its last
// top-up or chargeable event, in seconds; 0: for ever. A top-up brings it back to
// life until it is closed.
type Life struct {
	Active  int64 // then it can only be reached
	Inbound int64 // then it is barred
	Barred  int64 // then it is closed, and its numbers may be given away
}

// stage is the state at an instant of an account that was last alive at another,
// and when the next begins (0: never).
func (l Life) stage(alive, now int64) (s State, next int64) {
	next = alive
	for i, span := range [...]int64{l.Active, l.Inbound, l.Barred} {
		if span == 0 {
			return s, 0
		}
		next += span
		if now < next {
			return s, next
		}
		s = State(i + 1)
	}
	return s, 0
}

// Tariff is one published version of a plan's prices.
type Tariff struct {
	*rating.Tariff
	ID       uint32
	classes  []int    // class of a rate -> class of the book
	counters []uint32 // counter of the tariff -> definition
}

// Plan is what a subscriber is charged by: tariff versions, each from its date.
type Plan struct {
	Name     string
	Tenant   uint32
	Versions []Version // by From
}

// Version is a tariff of a plan and the instant it begins, Unix seconds.
type Version struct {
	From   int64
	Tariff uint32
}

// Reset says when a counter starts from zero again.
type Reset uint8

const (
	NoReset Reset = iota
	Daily         // at local midnight
	Monthly       // at the account's anchor
)

// Definition is what a bucket or a counter is.
type Definition struct {
	ID       uint32
	Tenant   uint32
	Name     string
	Unit     Unit
	Counter  bool     // a counter, not a bucket
	Classes  []string // usage classes it is for; none: all
	Priority int16    // buckets: smaller first
	Main     bool     // the balance that takes what nothing else covers
	FirstUse int64    // seconds of validity from the first use; 0: fixed dates
	Notices  []uint8  // percent of use at which a notice is given, rising; at most 7
	Ahead    int64    // seconds before its end at which a notice is given (NoticeAhead) if something is left; 0: none
	Reset    Reset    // counters
	Zone     string   // IANA zone of days and months
	Hard     bool     // a counter's limit refuses; else it only tells
	Money    bool     // the counter counts money, not units
	Net      bool     // of money: without tax, as the law on roaming counts (EU 2022/612 Art. 14)
	Tariff   bool     // the counter belongs to a tariff, which alone moves it
	Rollover Rollover
	Renew    Renew
	Status   []Step // policy counter statuses by value, rising (TS 29.594)
	Months   int    // of a Monthly counter's period; 0: one
	Window   int64  // counters: seconds of their period, which begins with what is counted first; 0: see Reset
	TopUps   bool   // the counter counts top-ups, not use
	Gift     Gift   // of a counter
	Within   uint32 // buckets: use that this counter counts draws on them up to its limit only, and is paid beyond it; 0: no such limit

	classes map[int]bool
}

// Gift is a bucket that an account is given when a counter reaches a value, once in
// each of the counter's periods (P7).
type Gift struct {
	At     int64 // value of the counter; 0: there is no gift
	Def    uint32
	Amount int64
	Valid  int64 // seconds; 0: for ever
}

// Rollover says what is kept at renewal.
type Rollover struct {
	Percent int64  // of what is left
	Max     int64  // units; 0: no cap
	Cycles  uint32 // periods that what is kept lives on; 0: one
	Def     uint32 // definition of the bucket that holds it
}

// Renew says when a bucket is filled again.
type Renew struct {
	Unit  byte // 'd' days, 'm' months; 0: never
	Every int
	Price int64 // taken from money first; 0: included
	Grace int64 // seconds in which it is tried again if the money was short; then the bucket is gone
}

// Step is a status a counter has from a value on.
type Step struct {
	From   int64
	Status string
}

// step is which status a value has: an index of Status plus one, 0 if it is below all.
func (d *Definition) step(value int64) (step uint8) {
	for i := range d.Status {
		if value >= d.Status[i].From {
			step = uint8(i + 1)
		}
	}
	return step
}

// fits says that a definition is for a class of usage.
func (d *Definition) fits(class int) bool { return d.classes == nil || d.classes[class] }

// NewBook makes an empty book. Number 0 of everything is taken, so that 0 can mean
// none.
func NewBook() *Book {
	b := &Book{}
	b.at.Store(&pages{tenants: []Tenant{{}}, plans: []Plan{{}}, tariffs: []*Tariff{nil}, definitions: []*Definition{nil}, classes: map[string]int{}})
	return b
}

// homeOf is the first network of a tenant's own; 0: none is known.
func (p *pages) homeOf(tenant uint32) uint32 {
	if int(tenant) < len(p.tenants) && len(p.tenants[tenant].Home) > 0 {
		return p.tenants[tenant].Home[0]
	}
	return 0
}

// life is that of a tenant's accounts.
func (p *pages) life(tenant uint32) Life {
	if int(tenant) >= len(p.tenants) {
		return Life{}
	}
	return p.tenants[tenant].Life
}

// change copies the book, changes the copy and publishes it. One writer at a time.
func (b *Book) change(f func(p *pages)) {
	old := b.at.Load()
	next := &pages{
		tenants: append([]Tenant(nil), old.tenants...), plans: append([]Plan(nil), old.plans...),
		tariffs: append([]*Tariff(nil), old.tariffs...), definitions: append([]*Definition(nil), old.definitions...),
		classes: make(map[string]int, len(old.classes)),
	}
	for name, n := range old.classes {
		next.classes[name] = n
	}
	f(next)
	b.at.Store(next)
}

func (p *pages) class(name string) int {
	n, ok := p.classes[name]
	if !ok {
		n = len(p.classes)
		p.classes[name] = n
	}
	return n
}

func grow[T any](list []T, id int, zero T) []T {
	for len(list) <= id {
		list = append(list, zero)
	}
	return list
}

// SetTenant enters a tenant under its number.
func (b *Book) SetTenant(id uint32, t Tenant) {
	b.change(func(p *pages) { p.tenants = grow(p.tenants, int(id), Tenant{}); p.tenants[id] = t })
}

// SetTariff enters a compiled tariff under its number. counters are the
// definitions of the tariff's own counters, in their order.
func (b *Book) SetTariff(id uint32, t *rating.Tariff, counters []uint32) {
	b.change(func(p *pages) {
		entry := &Tariff{Tariff: t, ID: id, counters: counters, classes: []int{p.class("")}}
		for i := uint16(1); t.ClassName(i) != ""; i++ {
			entry.classes = append(entry.classes, p.class(t.ClassName(i)))
		}
		p.tariffs = grow(p.tariffs, int(id), nil)
		p.tariffs[id] = entry
	})
}

// SetPlan enters a plan under its number.
func (b *Book) SetPlan(id uint32, plan Plan) {
	b.change(func(p *pages) { p.plans = grow(p.plans, int(id), Plan{}); p.plans[id] = plan })
}

// SetDefinition enters a definition under its number.
func (b *Book) SetDefinition(d Definition) {
	b.change(func(p *pages) {
		if len(d.Classes) > 0 {
			d.classes = make(map[int]bool, len(d.Classes))
			for _, name := range d.Classes {
				d.classes[p.class(name)] = true
			}
		}
		p.definitions = grow(p.definitions, int(d.ID), nil)
		p.definitions[d.ID] = &d
	})
}

// Definition is the one with the number; nil if there is none.
func (b *Book) Definition(id uint32) *Definition { return b.at.Load().definition(id) }

func (p *pages) definition(id uint32) *Definition {
	if int(id) >= len(p.definitions) {
		return nil
	}
	return p.definitions[id]
}

// Tariff is the one with the number; nil if there is none.
func (b *Book) Tariff(id uint32) *Tariff { return b.at.Load().tariff(id) }

func (p *pages) tariff(id uint32) *Tariff {
	if int(id) >= len(p.tariffs) {
		return nil
	}
	return p.tariffs[id]
}

// lacks is a number that the account refers to and the book does not have, with what
// it is a number of; "" if it has all.
func (p *pages) lacks(a *Account) (what string, number uint32) {
	if int(a.Tenant) >= len(p.tenants) || a.Tenant != 0 && p.tenants[a.Tenant].Name == "" {
		return "tenant", a.Tenant
	}
	for i := range a.Buckets {
		if p.definition(a.Buckets[i].Def) == nil {
			return "a bucket of definition", a.Buckets[i].Def
		}
	}
	for i := range a.Counters {
		if p.definition(a.Counters[i].Def) == nil {
			return "a counter of definition", a.Counters[i].Def
		}
	}
	for i := range a.Subscribers {
		if n := a.Subscribers[i].Plan; int(n) >= len(p.plans) {
			return "plan", n
		}
	}
	for s := a.sessions; s != nil; s = s.next {
		for i := range s.Groups {
			if n := s.Groups[i].Tariff; n != 0 && p.tariff(n) == nil {
				return "a session at tariff", n
			}
		}
	}
	return "", 0
}

// of is the tariff of a plan at an instant and when the next version begins (0:
// none is announced).
func (p *pages) of(plan uint32, at int64) (t *Tariff, until int64) {
	if int(plan) >= len(p.plans) {
		return nil, 0
	}
	for _, v := range p.plans[plan].Versions {
		if v.From > at {
			until = v.From
			break
		}
		t = p.tariff(v.Tariff)
	}
	return t, until
}

// rate is what usage of a class costs now: the rate, its class in the book, and
// until when both hold (0: no end in sight).
type rate struct {
	*rating.Rate
	tariff *Tariff
	class  int
	until  int64
}

// find picks the rate of a context at an instant.
func (p *pages) find(plan uint32, c *rating.Context) (r rate, ok bool) {
	t, next := p.of(plan, c.At)
	if t == nil {
		return rate{}, false
	}
	found, until, ok := t.Find(c)
	if !ok {
		return rate{}, false
	}
	if next != 0 && (until == 0 || next < until) {
		until = next
	}
	return rate{Rate: found, tariff: t, class: t.classes[found.Class], until: until}, true
}

// byNumber is the rate a session was charged by before.
func (p *pages) byNumber(tariff, id uint32) (r rate, ok bool) {
	t := p.tariff(tariff)
	if t == nil {
		return rate{}, false
	}
	found := t.Rate(id)
	if found == nil {
		return rate{}, false
	}
	return rate{Rate: found, tariff: t, class: t.classes[found.Class]}, true
}

// unitOf says which unit a rate prices.
func (r rate) unit() Unit {
	switch r.Unit {
	case credit.HasTotal:
		return Octets
	case credit.HasSeconds:
		return Seconds
	case credit.HasMoney:
		return Money
	}
	return Events
}

// amount is how much of the rate's unit a report holds.
func (r rate) amount(u *credit.Units) (n uint64, ok bool) {
	switch r.Unit {
	case credit.HasTotal:
		return u.Octets()
	case credit.HasSeconds:
		return u.Seconds, u.Has&credit.HasSeconds != 0
	case credit.HasMoney:
		return uint64(u.Money), u.Has&credit.HasMoney != 0 && u.Money >= 0
	}
	return u.Events, u.Has&credit.HasEvents != 0
}

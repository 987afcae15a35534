package verify

import (
	"context"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
)

const maxSuspects = 10_000 // confirmed at once

// suspect is a mismatch at first sight.
type suspect struct {
	Mismatch
	seen time.Time
	also []string // further ids that facts on their way may be about
	// built, if set, lets the suspect go when a second look at what is built, or
	// being built, finds it.
	built id
	// again looks anew; ok is false if all agrees by now.
	again func() (m Mismatch, ok bool, err error)
}

func (s suspect) ids() []string {
	return append([]string{s.Product, s.Service, s.Order, s.ServiceOrder}, s.also...)
}

// suspect notes what looks wrong.
func (v *run) suspect(s suspect) error {
	s.seen = time.Now()
	v.suspects = append(v.suspects, s)
	if len(v.suspects) < maxSuspects {
		return nil
	}
	return v.confirm()
}

// confirm looks at all suspects again and reports those that stay. On a running
// node it looks twice: what was caught in the middle of one change may be caught
// in the middle of the next, but hardly all the time.
func (v *run) confirm() error {
	looks := 1
	if v.Running {
		looks = 2
	}
	for n := range looks {
		if len(v.suspects) == 0 {
			return nil
		}
		v.say("looking again at %d suspects", len(v.suspects))
		if v.Running {
			if err := v.settle(v.Grace * time.Duration(n+1) / time.Duration(looks)); err != nil {
				return err
			}
		}
		if err := v.lookAgain(); err != nil {
			return err
		}
	}
	all := v.suspects
	v.suspects = nil
	for _, s := range all {
		if err := v.report(s); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the youngest suspect has the age, and until the hearers have
// passed what was told so far, and what they told themselves.
func (v *run) settle(age time.Duration) error {
	wait := time.NewTimer(time.Until(v.suspects[len(v.suspects)-1].seen.Add(age)))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(v.ctx, v.Patience)
	defer cancel()
	for range 3 { // a service's fact, the product's behind it, what follows from that
		if err := v.Bus.Passed(ctx); err != nil {
			return v.ctx.Err() // too slow: what is unheard says what cannot be judged
		}
	}
	return nil
}

// lookAgain keeps the suspects that still disagree.
func (v *run) lookAgain() error {
	unheard, err := v.unheard()
	if err != nil {
		return err
	}
	built, err := v.builtNow()
	if err != nil {
		return err
	}
	keep := v.suspects[:0]
	for _, s := range v.suspects {
		if s.built != (id{}) && built[s.built] {
			continue
		}
		if slices.Contains(follow[KindFact], s.Kind) && s.about(unheard, "") {
			v.sum.OnTheWay++
			continue
		}
		m, ok, err := s.again()
		if err != nil {
			return err
		}
		if ok {
			s.Mismatch = m
			keep = append(keep, s)
		}
	}
	v.suspects = keep
	return nil
}

// about says whether a set has one of the suspect's ids, noted for a kind.
func (s suspect) about(set map[id]bool, kind string) bool {
	for _, x := range s.ids() {
		if x != "" && set[digest(s.Tenant, kind, x)] {
			return true
		}
	}
	return false
}

// subject is what a fact names.
type subject struct {
	Service, Product, Order, ServiceOrder string
	External                              struct{ Order, Product string }
}

// subjectOf reads a fact of any type; one that cannot be read names nothing.
func subjectOf(body string) (s subject) {
	if json.Unmarshal([]byte(body), &s, json.MatchCaseInsensitiveNames(true)) != nil {
		return subject{}
	}
	return s
}

// ids are all that the fact names, and its key.
func (s subject) ids(key string) []string {
	return []string{key, s.Service, s.Product, s.Order, s.ServiceOrder, s.External.Order, s.External.Product}
}

// unheard are the ids of all facts that are still to be heard, and of products that
// charging has heard of and not yet dealt with.
func (v *run) unheard() (map[id]bool, error) {
	set := map[id]bool{}
	v.sum.Unheard = 0
	err := v.Bus.Unheard(v.ctx, func(u outbox.Unheard) error {
		v.sum.Unheard++
		for _, x := range subjectOf(u.Body).ids(u.Key) {
			if x != "" {
				set[digest(u.Tenant, "", x)] = true
			}
		}
		return nil
	})
	for _, t := range v.tenants {
		if err != nil {
			break
		}
		err = v.read(t, func(tx *store.Tx) error {
			behind, err := charging.Pending(tx)
			for _, product := range behind {
				set[digest(t, "", product)] = true
			}
			return err
		})
	}
	return set, err
}

// builtNow says which of the things that suspects doubt are built by now, or are
// being built. It costs a pass over all services, so it is done only if asked.
func (v *run) builtNow() (map[id]bool, error) {
	asked := map[id]bool{}
	for _, s := range v.suspects {
		if s.built != (id{}) {
			asked[s.built] = false
		}
	}
	if len(asked) == 0 {
		return nil, nil
	}
	note := func(d id) {
		if _, ok := asked[d]; ok {
			asked[d] = true
		}
	}
	for _, t := range v.tenants {
		names, err := v.names(t)
		if err != nil {
			return nil, err
		}
		if v.Running { // what stands still was seen by the first pass
			if err := fulfilment.Built(v.ctx, v.DB, scopeOf(t), func(s fulfilment.Standing) error {
				for _, x := range s.Services {
					note(digest(t, x))
				}
				for _, in := range s.Intents {
					note(names.place(in.Element, in.Type, in.Key))
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
		if err := v.underWay(t, names, note); err != nil {
			return nil, err
		}
	}
	return asked, nil
}

// report tells a mismatch, with its money, unless a reported cause explains it.
func (v *run) report(s suspect) error {
	if s.about(v.explained, s.Kind) {
		return nil
	}
	for _, kind := range follow[s.Kind] {
		for _, x := range s.ids() {
			if x != "" {
				v.explained[digest(s.Tenant, kind, x)] = true
			}
		}
	}
	if err := v.price(&s.Mismatch); err != nil {
		return err
	}
	v.sum.Mismatches++
	return v.found(s.Mismatch)
}

// price finds what is at stake, and adds it to the sum once a product.
func (v *run) price(m *Mismatch) error {
	if err := v.read(m.Tenant, func(tx *store.Tx) error { return m.value(tx) }); err != nil {
		return err
	}
	about := digest(m.Tenant, m.Product)
	if m.Money == nil || m.Product != "" && v.counted[about] {
		return nil
	}
	if m.Product != "" {
		v.counted[about] = true
	}
	code := m.Money.Currency.Code()
	t, ok := v.money[code]
	if !ok {
		t = money.NewTally(m.Money.Currency)
	}
	err := t.Add(*m.Money)
	v.money[code] = t
	return err
}

// value is what the product brings in a month; one that is not named is found by
// its service. Who found the mismatch may have said it already.
func (m *Mismatch) value(tx *store.Tx) error {
	if m.Product == "" && m.Service != "" {
		having, err := subscription.OfService(tx, m.Service)
		if err != nil {
			return err
		}
		if len(having) > 0 {
			m.Product = having[0].ID
		}
	}
	if m.Money == nil && m.Product != "" {
		worth, err := billing.MonthlyValue(tx, m.Product)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		m.Money = &worth
	}
	if m.Money != nil && m.Money.Sign() == 0 {
		m.Money = nil
	}
	return nil
}

// worth is money that was found out already, perhaps none.
func worth(m tmf.Money) *tmf.Money { return &m }

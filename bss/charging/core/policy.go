package core

import (
	"tandem/edge/credit"
	"tandem/kit/civil"
	"tandem/kit/fault"
)

// Status is what policy control is told of a counter: its status now, and the one it
// will have at its reset, so that it can switch by itself (TS 29.594, TS 29.219).
type Status struct {
	Counter uint32 // definition
	Name    string // of the policy counter
	Owner   uint16 // subscriber; 0: the account
	Current string
	Pending string // from At on; "": none is ahead
	At      int64  // Unix seconds
}

// Statuses are those of the account's policy counters at an instant (Unix seconds):
// of all whose definition has statuses. Use it inside Look.
func (a *Account) Statuses(b *Book, now int64) (list []Status) {
	for i := range a.Counters {
		c := &a.Counters[i]
		d := b.Definition(c.Def)
		if d == nil || len(d.Status) == 0 {
			continue
		}
		value := c.Value
		if c.Ends != 0 && now >= c.Ends { // the sweeper has not come to it
			value = 0
		}
		s := Status{Counter: c.Def, Name: d.Name, Owner: c.Owner, Current: d.status(d.step(value))}
		if next := d.status(d.step(0)); next != s.Current && c.Ends > now {
			s.Pending, s.At = next, c.Ends
		}
		list = append(list, s)
	}
	return list
}

// StatusName is the status of a step, as a MoveStatus gives it; "" for 0.
func (d *Definition) StatusName(step uint8) string { return d.status(step) }

func (d *Definition) status(step uint8) string {
	if step == 0 || int(step) > len(d.Status) {
		return ""
	}
	return d.Status[step-1].Status
}

// Find is the account that all names of a subscriber lead to; ok is false if they lead
// to none, or to several, or if the account's shard is not here.
func (e *Engine) Find(ids []credit.Subscriber) (Ref, bool) { return e.names.find(ids) }

// Named is the subscriber of the account who has the first of some names; 0: nobody.
func (a *Account) Named(ids []credit.Subscriber) uint16 {
	for i := range a.Subscribers {
		if s := &a.Subscribers[i]; len(ids) > 0 && s.names(&ids[0]) {
			return s.ID
		}
	}
	return 0
}

// Share is the part of an amount that the rest of the running period is worth, by
// days, today included: a first period that is begun in its middle gives that (P2).
func (h *Hand) Share(def uint32, amount int64) int64 {
	d := h.t.book.definition(def)
	if d == nil || h.t.a == nil || d.Renew.Unit == 0 {
		return amount
	}
	z := zone(d.Zone)
	today := civil.Wall(unix(h.t.now(), z))
	to := civil.Wall(unix(next(h.t.a.Anchor, unix(h.t.now(), z), z, d.Renew.Unit, d.Renew.Every), z))
	from := civil.Wall(unix(h.t.a.Anchor, z))
	for n := 1; ; n++ { // the boundary before the next one
		then := civil.Wall(unix(h.t.a.Anchor, z)).AddMonths(n * d.Renew.Every)
		if d.Renew.Unit == 'd' {
			then = civil.Wall(unix(h.t.a.Anchor, z)).AddDays(n * d.Renew.Every)
		}
		if !then.Before(to) {
			break
		}
		from = then
	}
	whole, rest := int64(to.Sub(from)), int64(to.Sub(today))
	if whole <= 0 || rest >= whole {
		return amount
	}
	return amount/whole*rest + amount%whole*rest/whole
}

// Due does now what time has brought, as the sweeper would within a minute: buckets
// whose period is over are filled again, for their price.
func (h *Hand) Due() error {
	if err := h.exists(); err != nil {
		return err
	}
	h.t.overdue()
	h.t.wakeBlocked()
	return nil
}

// Restart lets a counter start from zero before its time: a boost lifts a throttle,
// what was paid for twice is forgiven (P10). Its period stays.
func (h *Hand) Restart(def uint32, owner uint16) error {
	if err := h.exists(); err != nil {
		return err
	}
	i := h.t.a.counter(def, owner)
	if i < 0 {
		return fault.New(fault.NotFound, "charging.limit", "The account has no such limit")
	}
	c := h.t.a.Counters[i]
	c.Value, c.Notified = 0, 0
	h.t.setCounter(c)
	h.t.restep(i, h.t.book.definition(def))
	h.t.wakeBlocked()
	return nil
}

// Watch gives a counter the status of where it stands, so that the first status is
// no change.
func (h *Hand) Watch(def uint32, owner uint16) {
	if i := h.t.a.counter(def, owner); i >= 0 {
		h.t.restep(i, h.t.book.definition(def))
	}
}

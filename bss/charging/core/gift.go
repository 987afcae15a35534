package core

import (
	"math"
	"math/bits"

	"tandem/kit/fault"
)

// openWindow begins the period of a counter that has a window, with what is counted
// now.
func (t *turn) openWindow(i int, d *Definition) {
	c := t.a.Counters[i]
	if d.Window <= 0 || c.Ends != 0 {
		return
	}
	c.Ends = t.now() + d.Window
	t.setCounter(c)
}

// toppedUp counts a top-up, where top-ups are counted.
func (t *turn) toppedUp(amount int64, why Why) {
	if amount <= 0 || why != TopUp && why != Voucher {
		return
	}
	for i := range t.a.Counters {
		d := t.book.definition(t.a.Counters[i].Def)
		if d == nil || !d.TopUps {
			continue
		}
		n := int64(1)
		if d.Money {
			n = amount
		}
		t.restart(i)
		t.openWindow(i, d)
		t.count(i, n)
	}
	t.gifts()
}

// gifts gives what counters have earned, once in their periods.
func (t *turn) gifts() {
	for i := range t.a.Counters {
		c := t.a.Counters[i]
		d := t.book.definition(c.Def)
		if d == nil || d.Gift.At <= 0 || c.Given || c.Value < d.Gift.At || t.book.definition(d.Gift.Def) == nil {
			continue
		}
		c.Given = true
		t.setCounter(c)
		b := Bucket{ID: t.a.nextBucket + 1, Def: d.Gift.Def, Owner: c.Owner, From: t.now(), Initial: d.Gift.Amount}
		if d.Gift.Valid > 0 {
			b.To = t.now() + d.Gift.Valid
		}
		t.setBucket(b)
		t.credit(b.ID, d.Gift.Amount, Bonus, d.Name)
		t.wakeBlocked()
	}
}

// room is how much of a kind of use buckets may cover that have a limit of their own
// (Definition.Within).
type room struct {
	counter int   // index in the account; -1: this use has no such limit
	left    int64 // of it
	held    int64
}

// room is that of use at a rate.
func (t *turn) room(rt rate) room {
	for i := range t.a.Buckets {
		d := t.book.definition(t.a.Buckets[i].Def)
		if d == nil || d.Within == 0 {
			continue
		}
		limit := t.book.definition(d.Within)
		at := t.a.counter(d.Within, 0)
		if limit == nil || at < 0 || !t.limits(limit, rt) {
			continue
		}
		t.restart(at)
		return room{counter: at, left: max(0, t.a.Counters[at].left())}
	}
	return room{counter: -1}
}

// of is how much a bucket may cover.
func (r *room) of(t *turn, bucket int) int64 {
	if !r.limits(t, bucket) {
		return math.MaxInt64
	}
	return r.left
}

func (r *room) limits(t *turn, bucket int) bool {
	if r.counter < 0 {
		return false
	}
	d := t.book.definition(t.a.Buckets[bucket].Def)
	return d != nil && d.Within == t.a.Counters[r.counter].Def
}

// take takes down what a bucket covers.
func (r *room) take(t *turn, bucket int, n int64) int64 {
	if r.limits(t, bucket) {
		r.left -= n
		r.held += n
	}
	return n
}

// hold reserves in the limit what buckets will cover, so that open grants count;
// false: nothing is under it.
func (r *room) hold(t *turn, group int) bool {
	if r.counter < 0 {
		return false
	}
	c := &t.a.Counters[r.counter]
	t.hold(group, Hold{Counter: c.Def, Owner: c.Owner, Amount: r.held})
	return true
}

const gigabyte = 1_000_000_000

// FairUse limits a counter to the volume that a customer may use abroad as at home: at
// least twice what the price of the plan buys at the wholesale cap (EU 2016/2286 Art. 4).
// price is that of a period without tax, wholesale the cap for a gigabyte, both at
// 10^-9 of the currency.
func (h *Hand) FairUse(def uint32, price, wholesale int64) error {
	if price <= 0 || wholesale <= 0 || price > most {
		return fault.BadInput("charging.fairUse", "Fair use needs the price of the plan and the wholesale cap, both above zero")
	}
	high, low := bits.Mul64(uint64(price)*2, gigabyte)
	if high >= uint64(wholesale) {
		return fault.BadInput("charging.tooMuch", "The volume of fair use is beyond what an account can hold")
	}
	octets, rest := bits.Div64(high, low, uint64(wholesale))
	if rest > 0 {
		octets++
	}
	if octets > most {
		return fault.BadInput("charging.tooMuch", "The volume of fair use is beyond what an account can hold")
	}
	return h.Cap(def, 0, int64(octets), false)
}

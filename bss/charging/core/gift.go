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
// (Definition.Within), by the counters that limit them; most accounts have none.
type room []roomOf

type roomOf struct {
	counter int   // index in the account
	left    int64 // of it
	held    int64
}

// room is that of use at a rate. A bucket of one line is under the limit of that line,
// a bucket for all under that of the account. A limit that was lifted limits nothing.
func (t *turn) room(rt rate) (r room) {
	for i := range t.a.Buckets {
		b := &t.a.Buckets[i]
		d := t.book.definition(b.Def)
		if d == nil || d.Within == 0 || b.Owner != 0 && b.Owner != t.s.Sub {
			continue
		}
		limit, at := t.book.definition(d.Within), t.a.counter(d.Within, b.Owner)
		if limit == nil || at < 0 || !t.limits(limit, rt) || r.by(at) != nil {
			continue
		}
		t.restart(at)
		if c := &t.a.Counters[at]; c.Limit > 0 && !c.Consent {
			r = append(r, roomOf{counter: at, left: max(0, c.left())})
		}
	}
	return r
}

// by is the room under a counter, nil if there is none.
func (r room) by(counter int) *roomOf {
	for i := range r {
		if r[i].counter == counter {
			return &r[i]
		}
	}
	return nil
}

// over is the room that a bucket is under, nil if under none.
func (r room) over(t *turn, bucket int) *roomOf {
	if len(r) == 0 {
		return nil
	}
	b := &t.a.Buckets[bucket]
	if d := t.book.definition(b.Def); d != nil && d.Within != 0 {
		return r.by(t.a.counter(d.Within, b.Owner))
	}
	return nil
}

// of is how much a bucket may cover.
func (r room) of(t *turn, bucket int) int64 {
	if x := r.over(t, bucket); x != nil {
		return x.left
	}
	return math.MaxInt64
}

// take takes down what a bucket covers.
func (r room) take(t *turn, bucket int, n int64) int64 {
	if x := r.over(t, bucket); x != nil {
		x.left -= n
		x.held += n
	}
	return n
}

// hold reserves in the limits what buckets will cover, so that open grants count;
// false: nothing is under one.
func (r room) hold(t *turn, group int) bool {
	for i := range r {
		c := &t.a.Counters[r[i].counter]
		t.hold(group, Hold{Counter: c.Def, Owner: c.Owner, Amount: r[i].held})
	}
	return len(r) > 0
}

const gigabyte = 1_000_000_000

// OpenData is the volume that a customer may use abroad as at home, in octets: at least
// twice what the price of his plan buys at the wholesale cap (EU 2016/2286 Art. 4(2)).
// price is that of a period without tax, wholesale the cap for a gigabyte, both at
// 10^-9 of the currency.
func OpenData(price, wholesale int64) (octets int64, err error) {
	if price <= 0 || wholesale <= 0 || price > most {
		return 0, fault.BadInput("charging.fairUse", "Fair use needs the price of the plan and the wholesale cap, both above zero")
	}
	high, low := bits.Mul64(uint64(price)*2, gigabyte)
	if high >= uint64(wholesale) {
		return 0, fault.BadInput("charging.tooMuch", "The volume of fair use is beyond what an account can hold")
	}
	n, rest := bits.Div64(high, low, uint64(wholesale))
	if rest > 0 {
		n++
	}
	if n > most {
		return 0, fault.BadInput("charging.tooMuch", "The volume of fair use is beyond what an account can hold")
	}
	return int64(n), nil
}

package core

import (
	"encoding/binary"
	"errors"

	"tandem/edge/credit"
)

// The journal and the pages are written with unsigned and zigzag varints and
// length-prefixed strings.

var errShort = errors.New("charging: a record ends too early")

func putU(b []byte, n uint64) []byte { return binary.AppendUvarint(b, n) }
func putI(b []byte, n int64) []byte  { return binary.AppendVarint(b, n) }

func putS[T string | []byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putB(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// reader reads what put wrote. After the first error it yields zeros, and err says
// so.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	r.err, r.b = errShort, nil
}

func (r *reader) u() uint64 {
	n, k := binary.Uvarint(r.b)
	if k <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *reader) i() int64 {
	n, k := binary.Varint(r.b)
	if k <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *reader) u64() uint64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	n := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return n
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) bool() bool { return r.byte() != 0 }

func (r *reader) bytes() []byte {
	n := r.u()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) s() string { return string(r.bytes()) }

// count reads the length of a list whose entries take a byte each at least.
func (r *reader) count() int {
	n := r.u()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func putUnits(b []byte, u *credit.Units) []byte {
	b = append(b, byte(u.Has))
	if u.Has&credit.HasSeconds != 0 {
		b = putU(b, u.Seconds)
	}
	if u.Has&credit.HasTotal != 0 {
		b = putU(b, u.Total)
	}
	if u.Has&credit.HasInput != 0 {
		b = putU(b, u.Input)
	}
	if u.Has&credit.HasOutput != 0 {
		b = putU(b, u.Output)
	}
	if u.Has&credit.HasEvents != 0 {
		b = putU(b, u.Events)
	}
	if u.Has&credit.HasMoney != 0 {
		b = putU(putI(b, u.Money), uint64(u.Currency))
	}
	return b
}

func (r *reader) units(u *credit.Units) {
	u.Has = credit.Has(r.byte())
	if u.Has&credit.HasSeconds != 0 {
		u.Seconds = r.u()
	}
	if u.Has&credit.HasTotal != 0 {
		u.Total = r.u()
	}
	if u.Has&credit.HasInput != 0 {
		u.Input = r.u()
	}
	if u.Has&credit.HasOutput != 0 {
		u.Output = r.u()
	}
	if u.Has&credit.HasEvents != 0 {
		u.Events = r.u()
	}
	if u.Has&credit.HasMoney != 0 {
		u.Money = r.i()
		u.Currency = uint16(r.u())
	}
}

// putAnswer keeps an answer for the request that comes again.
func putAnswer(b []byte, a *credit.Answer) []byte {
	flags := byte(0)
	for i, set := range [...]bool{a.Failover, a.HasCost, a.HasRemaining, a.LowBalance, a.NotEnough, a.Reason != "", len(a.Session) > 0} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, byte(a.Result), flags, byte(a.Failure))
	if a.HasCost || a.HasRemaining {
		b = putI(putI(putU(b, uint64(a.Currency)), a.Cost), a.Remaining)
	}
	if a.Reason != "" {
		b = putS(b, a.Reason)
	}
	if len(a.Session) > 0 {
		b = putS(b, a.Session)
	}
	b = putU(b, uint64(len(a.Units)))
	for i := range a.Units {
		b = putGranted(b, &a.Units[i])
	}
	return b
}

func (r *reader) answer(a *credit.Answer) {
	a.Reset()
	a.Result = credit.Result(r.byte())
	flags := r.byte()
	a.Failure = credit.Failure(r.byte())
	for i, to := range [...]*bool{&a.Failover, &a.HasCost, &a.HasRemaining, &a.LowBalance, &a.NotEnough} {
		*to = flags&(1<<i) != 0
	}
	if a.HasCost || a.HasRemaining {
		a.Currency = uint16(r.u())
		a.Cost = r.i()
		a.Remaining = r.i()
	}
	if flags&(1<<5) != 0 {
		a.Reason = r.s()
	}
	if flags&(1<<6) != 0 {
		a.Session = append(a.Session[:0], r.bytes()...)
	}
	for n := r.count(); n > 0; n-- {
		r.granted(a.AddUnit(nil))
	}
}

func putGranted(b []byte, g *credit.Granted) []byte {
	flags := byte(0)
	for i, set := range [...]bool{g.HasGroup, g.HasHolding, g.Change != 0, g.Pool != 0, g.Final.Action != 0, g.Arm, len(g.Services) > 0, g.Threshold.Has != 0} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, byte(g.Result), flags)
	b = putU(b, uint64(g.Group))
	b = putUnits(b, &g.Grant)
	b = putU(b, uint64(g.Validity))
	if g.HasHolding {
		b = putU(b, uint64(g.Holding))
	}
	if g.Change != 0 {
		b = putI(b, g.Change)
	}
	if g.Pool != 0 {
		b = putI(putU(b, uint64(g.Pool)), g.Multiplier)
	}
	if g.Final.Action != 0 {
		b = append(b, byte(g.Final.Action), byte(g.Final.Type))
		b = putS(b, g.Final.Address)
		b = putU(b, uint64(len(g.Final.Filters)))
		for _, f := range g.Final.Filters {
			b = putS(b, f)
		}
	}
	if g.Arm {
		b = putNumbers(b, g.Triggers)
	}
	if len(g.Services) > 0 {
		b = putNumbers(b, g.Services)
	}
	if g.Threshold.Has != 0 {
		b = putUnits(b, &g.Threshold)
	}
	return b
}

func (r *reader) granted(g *credit.Granted) {
	g.Result = credit.Result(r.byte())
	flags := r.byte()
	g.HasGroup, g.HasHolding, g.Arm = flags&1 != 0, flags&2 != 0, flags&(1<<5) != 0
	g.Group = uint32(r.u())
	r.units(&g.Grant)
	g.Validity = uint32(r.u())
	if g.HasHolding {
		g.Holding = uint32(r.u())
	}
	if flags&(1<<2) != 0 {
		g.Change = r.i()
	}
	if flags&(1<<3) != 0 {
		g.Pool = uint32(r.u())
		g.Multiplier = r.i()
	}
	if flags&(1<<4) != 0 {
		g.Final.Action, g.Final.Type = credit.FinalAction(r.byte()), credit.AddressType(r.byte())
		g.Final.Address = r.s()
		for n := r.count(); n > 0; n-- {
			g.Final.Filters = append(g.Final.Filters, r.s())
		}
	}
	if g.Arm {
		g.Triggers = r.numbers(g.Triggers)
	}
	if flags&(1<<6) != 0 {
		g.Services = r.numbers(g.Services)
	}
	if flags&(1<<7) != 0 {
		r.units(&g.Threshold)
	}
}

func putNumbers(b []byte, list []uint32) []byte {
	b = putU(b, uint64(len(list)))
	for _, n := range list {
		b = putU(b, uint64(n))
	}
	return b
}

func (r *reader) numbers(to []uint32) []uint32 {
	to = to[:0]
	for n := r.count(); n > 0; n-- {
		to = append(to, uint32(r.u()))
	}
	return to
}

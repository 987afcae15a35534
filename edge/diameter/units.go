package diameter

import (
	"math"
	"math/bits"

	"tandem/edge/credit"
)

// units reads a Requested-Service-Unit (RFC 8506 8.18).
func (r *reading) units(a *avp, u *credit.Units) *flaw {
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		if err = r.amount(&a, u); err != nil {
			return err
		}
	}
}

// usedUnits reads a Used-Service-Unit (RFC 8506 8.19).
func (r *reading) usedUnits(a *avp, of *credit.Unit) *flaw {
	of.Used = append(of.Used, credit.Used{})
	u := &of.Used[len(of.Used)-1]
	c := cursor{a.data, &r.left}
	for {
		a, more, err := c.next()
		if err != nil || !more {
			return err
		}
		switch a.key {
		case tariffChangeUsage:
			var v uint32
			v, err = a.enum(2)
			u.Change = credit.Change(v + 1)
		case reportingReason:
			u.Reason, err = reason(&a)
		case eventChargingTime:
			u.At, err = a.time()
		default:
			err = r.amount(&a, &u.Units)
		}
		if err != nil {
			return err
		}
	}
}

// amount reads one AVP of service units (RFC 8506 8.20-8.26).
func (r *reading) amount(a *avp, u *credit.Units) *flaw {
	var err *flaw
	switch a.key {
	case ccTime:
		var v uint32
		v, err = a.u32()
		u.Has, u.Seconds = u.Has|credit.HasSeconds, uint64(v)
	case ccTotal:
		u.Has |= credit.HasTotal
		u.Total, err = a.u64()
	case ccInput:
		u.Has |= credit.HasInput
		u.Input, err = a.u64()
	case ccOutput:
		u.Has |= credit.HasOutput
		u.Output, err = a.u64()
	case ccSpecific:
		u.Has |= credit.HasEvents
		u.Events, err = a.u64()
	case ccMoney:
		u.Has |= credit.HasMoney
		err = r.money(a, u)
	default:
		err = r.other(a)
	}
	return err
}

// money reads a CC-Money exactly; what does not fit into 10^-9 of the major unit is refused (RFC 8506 8.22).
func (r *reading) money(whole *avp, u *credit.Units) *flaw {
	var digits int64
	var exp int32
	valued := false
	c := cursor{whole.data, &r.left}
	for {
		a, more, err := c.next()
		if err == nil && !more {
			break
		}
		if err == nil {
			switch a.key {
			case unitValue:
				valued = true
				digits, exp, err = r.value(&a)
			case currencyCode:
				var v uint32
				if v, err = a.u32(); err == nil && v > 999 {
					err = a.flaw(resultBadValue, "the currency code has more than three digits")
				}
				u.Currency = uint16(v)
			default:
				err = r.other(&a)
			}
		}
		if err != nil {
			return err
		}
	}
	if !valued {
		return absent(unitValue, 0)
	}
	nano, ok := scale(digits, int64(exp)+9)
	if !ok || nano < 0 {
		return whole.flaw(resultBadValue, "the amount of money is negative, too large or too fine")
	}
	u.Money = nano
	return nil
}

// value reads a Unit-Value.
func (r *reading) value(whole *avp) (digits int64, exp int32, err *flaw) {
	c := cursor{whole.data, &r.left}
	valued := false
	for {
		a, more, err := c.next()
		if err == nil && !more {
			break
		}
		if err == nil {
			switch a.key {
			case valueDigits:
				var v uint64
				v, err = a.u64()
				digits, valued = int64(v), true
			case exponent:
				var v uint32
				v, err = a.u32()
				exp = int32(v)
			default:
				err = r.other(&a)
			}
		}
		if err != nil {
			return 0, 0, err
		}
	}
	if !valued {
		return 0, 0, absent(valueDigits, 8)
	}
	return digits, exp, nil
}

// scale is v * 10^e; ok is false if that is not a whole number or does not fit.
func scale(v, e int64) (n int64, ok bool) {
	if v == 0 {
		return 0, true
	}
	for ; e > 0; e-- {
		hi, lo := bits.Mul64(magnitude(v), 10)
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		v *= 10
	}
	for ; e < 0; e++ {
		if v%10 != 0 {
			return 0, false
		}
		v /= 10
	}
	return v, true
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

package diameter

import (
	"tandem/edge/credit"
)

// readAnswer reads the AVPs of a CCA or ACA into a; unknown ones are passed over. The client does not judge: what cannot be read is an
// error, and the caller asks again.
// r is the room to work in, used again and again.
func readAnswer(body []byte, a *credit.Answer, r *reading) *flaw {
	r.left = MaxAVPs
	c := cursor{body, &r.left}
	var flat credit.Granted
	code := uint32(0)
	for {
		v, more, err := c.next()
		if err == nil && !more {
			break
		}
		if err == nil {
			err = answerField(&v, a, &flat, &code, r)
		}
		if err != nil {
			return err
		}
	}
	if code == 0 {
		return absent(resultCode, 4)
	}
	a.Result = resultOf(code)
	if len(a.Units) == 0 && (flat.Grant.Has != 0 || flat.Validity != 0 || flat.Final.Action != credit.NotFinal) {
		*a.AddUnit(nil) = flat
	}
	return nil
}

func answerField(v *avp, a *credit.Answer, flat *credit.Granted, code *uint32, r *reading) *flaw {
	var n uint32
	var err *flaw
	switch v.key {
	case resultCode:
		*code, err = v.u32()
	case ccFailover:
		n, err = v.u32()
		a.Failover = n == 1
	case failureHandling:
		n, err = v.u32()
		a.Failure = credit.Failure(n)
	case debitFailure:
		n, err = v.u32()
		a.Failure = credit.Failure(n & 1)
	case checkBalance:
		n, err = v.u32()
		a.NotEnough = n == 1
	case lowBalance:
		n, err = v.u32()
		a.LowBalance = n == 1
	case costInformation:
		a.HasCost = true
		a.Cost, a.Currency, err = moneyOf(v, r)
	case remainingBalance:
		a.HasRemaining = true
		a.Remaining, a.Currency, err = moneyOf(v, r)
	case refundInformation:
		a.Refund = append(a.Refund[:0], v.data...)
	case errorMessage:
		a.Reason = string(v.data)
	case mscc:
		err = groupOf(v, a, r)
	default:
		err = grantField(v, flat, r)
	}
	return err
}

// groupOf reads a Multiple-Services-Credit-Control of an answer.
func groupOf(group *avp, a *credit.Answer, r *reading) *flaw {
	g := a.AddUnit(nil)
	c := cursor{group.data, &r.left}
	for {
		v, more, err := c.next()
		if err != nil || !more {
			return err
		}
		var n uint32
		switch v.key {
		case ratingGroup:
			g.HasGroup = true
			g.Group, err = v.u32()
		case serviceID:
			n, err = v.u32()
			g.Services = append(g.Services, n)
		case resultCode:
			n, err = v.u32()
			g.Result = resultOf(n)
		case holdingTime:
			g.HasHolding = true
			g.Holding, err = v.u32()
		case timeThreshold:
			n, err = v.u32()
			g.Threshold.Has, g.Threshold.Seconds = g.Threshold.Has|credit.HasSeconds, uint64(n)
		case volumeThreshold:
			n, err = v.u32()
			g.Threshold.Has, g.Threshold.Total = g.Threshold.Has|credit.HasTotal, uint64(n)
		case unitThreshold:
			n, err = v.u32()
			g.Threshold.Has, g.Threshold.Events = g.Threshold.Has|credit.HasEvents, uint64(n)
		case refundInformation:
			a.Refund = append(a.Refund[:0], v.data...)
		case poolReference:
			err = poolOf(&v, g, r)
		case trigger:
			g.Arm = true
			u := credit.Unit{Triggers: g.Triggers}
			err = r.triggers(&v, &u)
			g.Triggers = u.Triggers
		default:
			err = grantField(&v, g, r)
		}
		if err != nil {
			return err
		}
	}
}

// grantField reads what may stand in a group or in the message itself.
func grantField(v *avp, g *credit.Granted, r *reading) *flaw {
	var err *flaw
	switch v.key {
	case granted:
		c := cursor{v.data, &r.left}
		for {
			u, more, err := c.next()
			if err == nil && more {
				if u.key == tariffChangeTime {
					g.Change, err = u.time()
				} else {
					err = r.amount(&u, &g.Grant)
				}
			}
			if err != nil || !more {
				return err
			}
		}
	case validityTime:
		g.Validity, err = v.u32()
	case finalUnit:
		err = finalOf(v, &g.Final, r)
	}
	return err
}

func finalOf(group *avp, f *credit.FinalUnit, r *reading) *flaw {
	c := cursor{group.data, &r.left}
	for {
		v, more, err := c.next()
		if err != nil || !more {
			return err
		}
		var n uint32
		switch v.key {
		case finalAction:
			n, err = v.enum(2)
			f.Action = credit.FinalAction(n + 1)
		case restrictionRule, filterID:
			f.Filters = append(f.Filters, string(v.data))
		case redirectServer:
			err = redirectOf(&v, f, r)
		}
		if err != nil {
			return err
		}
	}
}

func redirectOf(group *avp, f *credit.FinalUnit, r *reading) *flaw {
	c := cursor{group.data, &r.left}
	for {
		v, more, err := c.next()
		if err != nil || !more {
			return err
		}
		switch v.key {
		case redirectType:
			var n uint32
			n, err = v.enum(3)
			f.Type = credit.AddressType(n)
		case redirectAddress:
			f.Address = string(v.data)
		}
		if err != nil {
			return err
		}
	}
}

func poolOf(group *avp, g *credit.Granted, r *reading) *flaw {
	c := cursor{group.data, &r.left}
	for {
		v, more, err := c.next()
		if err != nil || !more {
			return err
		}
		switch v.key {
		case poolID:
			g.Pool, err = v.u32()
		case unitValue:
			g.Multiplier, err = nanoOf(&v, r)
		}
		if err != nil {
			return err
		}
	}
}

// nanoOf reads a Unit-Value as 10^-9.
func nanoOf(v *avp, r *reading) (int64, *flaw) {
	digits, exp, err := r.value(v)
	if err != nil {
		return 0, err
	}
	n, ok := scale(digits, int64(exp)+9)
	if !ok {
		return 0, v.flaw(resultBadValue, "the value is too large or too fine")
	}
	return n, nil
}

// moneyOf reads Unit-Value and Currency-Code of a figure of the account, which may be negative.
func moneyOf(group *avp, r *reading) (nano int64, currency uint16, err *flaw) {
	c := cursor{group.data, &r.left}
	for {
		v, more, err := c.next()
		if err != nil || !more {
			return nano, currency, err
		}
		switch v.key {
		case unitValue:
			nano, err = nanoOf(&v, r)
		case currencyCode:
			var n uint32
			n, err = v.u32()
			currency = uint16(n)
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

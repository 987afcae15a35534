package diameter

import "tandem/edge/credit"

// recordKinds maps Accounting-Record-Type to the same places in a session (RFC 6733 9.8.1).
var recordKinds = [...]credit.Kind{1: credit.Event, 2: credit.Initial, 3: credit.Update, 4: credit.Terminate}

// recordField reads an AVP that only an ACR has (TS 32.299 6.2.2).
func (r *reading) recordField(a *avp) *flaw {
	q := r.request
	var err *flaw
	switch a.key {
	case acctApplication:
		if v, e := a.u32(); e != nil || v != appAccounting {
			err = a.flaw(resultBadValue, "the application is not accounting")
		}
	case accountingRecordType:
		if err = r.once(a, sawKind); err == nil {
			r.kind, err = a.u32()
			if err == nil && (r.kind < 1 || r.kind > 4) {
				return a.flaw(resultBadValue, "the record type is unknown")
			}
			q.Kind = recordKinds[r.kind]
		}
	case accountingRecordNo:
		if err = r.once(a, sawNumber); err == nil {
			r.number, err = a.u32()
			q.Number, q.Numbered = r.number, true
		}
	case accountingSubSession:
		if err = r.once(a, sawSub); err == nil {
			q.SubSession, err = a.u64()
		}
	case userName:
		var id []byte
		if id, err = a.text(); err == nil {
			r.subscriber(credit.NAI, id)
		}
	case acctSessionTime, acctInputOctets, acctOutputOctets:
		err = r.plain(a, r.topUsed())
	default:
		err = r.other(a)
	}
	return err
}

// topUsed is the report in the message itself.
func (r *reading) topUsed() *credit.Used {
	u := r.topUnit()
	if len(u.Used) == 0 {
		u.Used = append(u.Used, credit.Used{Quota: credit.Offline})
	}
	return &u.Used[0]
}

// plain reads seconds and octets of accounting.
func (r *reading) plain(a *avp, u *credit.Used) *flaw {
	var err *flaw
	switch a.key {
	case acctSessionTime, timeUsage:
		var v uint32
		v, err = a.u32()
		u.Has, u.Seconds = u.Has|credit.HasSeconds, uint64(v)
	case acctInputOctets:
		u.Has |= credit.HasInput
		u.Input, err = a.u64()
	case acctOutputOctets:
		u.Has |= credit.HasOutput
		u.Output, err = a.u64()
	case changeTime:
		u.At, err = a.time()
	case localSequence:
		u.Seq, err = a.u32()
	default:
		err = r.foreign(a)
	}
	return err
}

// container reads a Service-Data-Container: one flow of one rating group (TS 32.299 7.2.190).
func (r *reading) container(a *avp) *flaw {
	if !r.accounting {
		return nil
	}
	r.containers++
	u := r.request.AddUnit()
	u.Used = append(u.Used, credit.Used{Quota: credit.Offline})
	return r.each(a, func(r *reading, a *avp) *flaw {
		u := &r.request.Units[len(r.request.Units)-1]
		var err *flaw
		switch a.key {
		case ratingGroup:
			u.HasGroup = true
			u.Group, err = a.u32()
		case serviceID:
			var v uint32
			v, err = a.u32()
			u.Services = append(u.Services, v)
		default:
			err = r.plain(a, &u.Used[0])
		}
		return err
	})
}

// volumes reads a Traffic-Data-Volumes: the whole bearer up to a change of its conditions.
func (r *reading) volumes(a *avp) *flaw {
	if !r.accounting {
		return nil
	}
	if r.bearer < 0 {
		r.request.AddUnit()
		r.bearer = len(r.request.Units) - 1
	}
	u := &r.request.Units[r.bearer]
	u.Used = append(u.Used, credit.Used{Quota: credit.Offline})
	return r.each(a, func(r *reading, a *avp) *flaw {
		u := &r.request.Units[r.bearer]
		return r.plain(a, &u.Used[len(u.Used)-1])
	})
}

// settleRecord finishes an ACR. The same octets may stand in flows, in the bearer and in the message: the finest of them counts.
func (r *reading) settleRecord() *flaw {
	q := r.request
	drop := [2]int{-1, -1}
	if r.containers > 0 {
		drop[0] = r.bearer
	}
	if r.containers > 0 || r.bearer >= 0 {
		drop[1] = r.top
	}
	if drop[0] < drop[1] { // from behind, since the last one fills the hole
		drop[0], drop[1] = drop[1], drop[0]
	}
	for _, i := range drop {
		if i >= 0 {
			r.drop(i)
		}
	}
	if q.Kind == credit.Event {
		q.Action = credit.Post
		if len(q.Units) == 0 {
			u := r.topUsed()
			u.Has, u.Events = credit.HasEvents, max(r.parts, 1)
		}
	}
	r.nameByParty()
	return nil
}

// nameByParty charges the calling or called side of a record that names no subscription.
func (r *reading) nameByParty() {
	q := r.request
	id := q.Calling
	if q.Incoming {
		id = q.Called
	}
	if len(q.Subscribers) > 0 || len(id) == 0 {
		return
	}
	kind := credit.SIPURI
	if digits(id) {
		kind = credit.E164
	}
	r.subscriber(kind, id)
}

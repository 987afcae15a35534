package diameter

import "tandem/edge/credit"

// contextOf is the Service-Context-Id of a service, for a request that brings none.
func contextOf(s credit.Service) string {
	switch s {
	case credit.Voice:
		return "32260@3gpp.org"
	case credit.SMS:
		return "32274@3gpp.org"
	case credit.MMS:
		return "32270@3gpp.org"
	}
	return "32251@3gpp.org"
}

// appendRequest encodes q as a CCR, or with accounting as an ACR. head is the identity of the client with Destination-Realm and -Host.
func appendRequest(b []byte, head []byte, q *credit.Request, accounting bool, hop, endToEnd uint32) []byte {
	flags, code, app := byte(flagRequest|flagProxiable), uint32(cmdCreditControl), uint32(appCredit)
	if accounting {
		code, app = cmdAccounting, appAccounting
	}
	if q.Retransmitted {
		flags |= flagRetransmit
	}
	b, at := beginMessage(b, flags, code, app, hop, endToEnd)
	b = appendBytes(b, sessionID, q.Session)
	b = append(b, head...)
	if accounting {
		b = appendRecordHead(b, q)
	} else {
		b = appendCreditHead(b, q)
	}
	if len(q.Context) > 0 {
		b = appendBytes(b, serviceContext, q.Context)
	} else {
		b = appendBytes(b, serviceContext, contextOf(q.Service))
	}
	if q.OriginState != 0 {
		b = appendU32(b, originState, q.OriginState)
	}
	if q.At != 0 {
		b = appendTime(b, eventTimestamp, q.At)
	}
	for i := range q.Subscribers {
		s := &q.Subscribers[i]
		var group int
		b, group = begin(b, subscriptionID)
		b = appendU32(b, subscriptionType, uint32(s.Type))
		b = end(appendBytes(b, subscriptionData, s.ID), group)
	}
	if len(q.RefundOf) > 0 {
		b = appendBytes(b, refundInformation, q.RefundOf)
	}
	if !accounting {
		b = appendWanted(b, q)
	}
	if len(q.Device) > 0 {
		var group int
		b, group = begin(b, userEquipment|optional)
		b = appendU32(b, equipmentType|optional, 0)
		b = end(appendBytes(b, equipmentValue|optional, q.Device), group)
	}
	return endMessage(appendServiceInformation(b, q, accounting), at)
}

func appendCreditHead(b []byte, q *credit.Request) []byte {
	b = appendU32(b, authApplication, appCredit)
	b = appendU32(b, ccType, uint32(q.Kind))
	b = appendU32(b, ccNumber, q.Number)
	if q.SubSession != 0 {
		b = appendU64(b, ccSubSession, q.SubSession)
	}
	if q.Kind == credit.Event {
		b = appendU32(b, requestedAction, uint32(q.Action))
	}
	return b
}

func appendRecordHead(b []byte, q *credit.Request) []byte {
	for kind, k := range recordKinds {
		if kind > 0 && k == q.Kind {
			b = appendU32(b, accountingRecordType, uint32(kind))
		}
	}
	b = appendU32(b, accountingRecordNo, q.Number)
	b = appendU32(b, acctApplication, appAccounting)
	if q.SubSession != 0 {
		b = appendU64(b, accountingSubSession, q.SubSession)
	}
	return b
}

// appendWanted appends the units: a single one without group in the message itself, else one group each.
func appendWanted(b []byte, q *credit.Request) []byte {
	if len(q.Units) == 1 && isPlain(&q.Units[0]) {
		return appendAsked(b, &q.Units[0])
	}
	if q.Kind == credit.Initial {
		b = appendU32(b, multipleServices, 1)
	}
	for i := range q.Units {
		u := &q.Units[i]
		var at int
		b, at = begin(b, mscc)
		b = appendAsked(b, u)
		if u.HasGroup {
			b = appendU32(b, ratingGroup, u.Group)
		}
		if u.Reason != credit.NoReason {
			b = appendU32(b, reportingReason, uint32(u.Reason-1))
		}
		if len(u.Triggers) > 0 {
			var group int
			b, group = begin(b, trigger)
			for _, t := range u.Triggers {
				b = appendU32(b, triggerType, t)
			}
			b = end(b, group)
		}
		b = end(b, at)
	}
	return b
}

// isPlain tells a unit that can stand in the message itself.
func isPlain(u *credit.Unit) bool {
	something := u.Asked || len(u.Used) > 0 || len(u.Services) > 0
	return something && !u.HasGroup && u.Reason == credit.NoReason && len(u.Triggers) == 0
}

// appendAsked appends services, what is wanted and what was used.
func appendAsked(b []byte, u *credit.Unit) []byte {
	var at int
	for _, s := range u.Services {
		b = appendU32(b, serviceID, s)
	}
	if u.Asked {
		b, at = begin(b, requested)
		b = end(appendUnits(b, &u.Want), at)
	}
	for i := range u.Used {
		x := &u.Used[i]
		b, at = begin(b, used)
		if x.Change != credit.NoChange {
			b = appendU32(b, tariffChangeUsage, uint32(x.Change-1))
		}
		b = appendUnits(b, &x.Units)
		if x.Reason != credit.NoReason {
			b = appendU32(b, reportingReason, uint32(x.Reason-1))
		}
		if x.At != 0 {
			b = appendTime(b, eventChargingTime, x.At)
		}
		b = end(b, at)
	}
	return b
}

// appendServiceInformation appends what is known of the bearer, the call or the message.
func appendServiceInformation(b []byte, q *credit.Request, accounting bool) []byte {
	b, outer := begin(b, serviceInformation)
	var inner int
	switch q.Service {
	case credit.Voice:
		b, inner = begin(b, imsInformation)
		b = appendU32(b, roleOfNode, flag(q.Incoming))
		b = appendSome(b, callingParty, q.Calling)
		b = appendSome(b, calledParty, q.Called)
		b = appendSome(b, imsChargingID, q.ChargingID)
		b = appendSome(b, imsServiceID, q.Item)
	case credit.SMS, credit.MMS:
		b, inner = begin(b, smsInformation)
		if q.Incoming {
			b = appendU32(b, smMessageType, messageDelivery)
		}
		b = appendParty(b, originatorReceived, 0, q.Calling)
		b = appendParty(b, recipientInfo, recipientAddress, q.Called)
	default:
		b, inner = begin(b, psInformation)
		b = appendPacket(b, q)
		if accounting {
			b = appendContainers(b, q)
		}
	}
	return end(end(b, inner), outer)
}

// appendSome appends an AVP that is left out when empty.
func appendSome(b []byte, k key, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return appendBytes(b, k, v)
}

// appendParty appends an address of a message, in one group or two.
func appendParty(b []byte, outer, inner key, number []byte) []byte {
	if len(number) == 0 {
		return b
	}
	var at int
	b, at = begin(b, outer)
	if inner != 0 {
		b = appendParty(b, inner, 0, number)
	} else {
		b = appendU32(b, addressType, 1) // MSISDN
		b = appendBytes(b, addressData, number)
	}
	return end(b, at)
}

func appendPacket(b []byte, q *credit.Request) []byte {
	b = appendSome(b, tgppChargingID|optional, q.ChargingID)
	b = appendAddress(b, pdpAddress, q.Address)
	b = appendAddress(b, sgsnAddress, q.Node)
	b = appendSome(b, calledStation, q.Access)
	if q.PLMN != 0 {
		var at int
		b, at = begin(b, sgsnMCCMNC|optional)
		b = end(appendPLMN(b, q.PLMN), at)
	}
	if q.HasZone {
		var at int
		b, at = begin(b, msTimeZone|optional)
		b = end(appendZone(b, q.Zone), at)
	}
	b = appendSome(b, userLocation|optional, q.Location)
	if q.RAT != 0 {
		var at int
		b, at = begin(b, ratType|optional)
		b = end(append(b, q.RAT), at)
	}
	return b
}

// appendPLMN writes MCC and MNC; the network code has three digits only if it needs them.
func appendPLMN(b []byte, plmn uint32) []byte {
	mcc, mnc := plmn/1000%1000, plmn%1000
	b = append(b, '0'+byte(mcc/100), '0'+byte(mcc/10%10), '0'+byte(mcc%10))
	if mnc >= 100 {
		b = append(b, '0'+byte(mnc/100))
	}
	return append(b, '0'+byte(mnc/10%10), '0'+byte(mnc%10))
}

func appendZone(b []byte, minutes int16) []byte {
	sign := byte(0)
	if minutes < 0 {
		sign, minutes = 8, -minutes
	}
	quarters := byte(minutes / 15)
	return append(b, quarters/10|quarters%10<<4|sign, 0)
}

// appendContainers appends the used units of an ACR as flows.
func appendContainers(b []byte, q *credit.Request) []byte {
	for i := range q.Units {
		u := &q.Units[i]
		for j := range u.Used {
			x := &u.Used[j]
			var at int
			b, at = begin(b, dataContainer)
			if u.HasGroup {
				b = appendU32(b, ratingGroup, u.Group)
			}
			for _, s := range u.Services {
				b = appendU32(b, serviceID, s)
			}
			if x.Has&credit.HasSeconds != 0 {
				b = appendU32(b, timeUsage, clamp32(x.Seconds))
			}
			if x.Has&credit.HasInput != 0 {
				b = appendU64(b, acctInputOctets, x.Input)
			}
			if x.Has&credit.HasOutput != 0 {
				b = appendU64(b, acctOutputOctets, x.Output)
			}
			if x.Seq != 0 {
				b = appendU32(b, localSequence, x.Seq)
			}
			if x.At != 0 {
				b = appendTime(b, changeTime, x.At)
			}
			b = end(b, at)
		}
	}
	return b
}

package nchf

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"

	"tandem/edge/credit"
)

// consumer is who a client says it is, encoded once.
type consumer struct {
	identity []byte // nfConsumerIdentification with its name
	notify   []byte // notifyUri with its name, or nothing
}

func newConsumer(name, function, notify string) consumer {
	c := consumer{identity: appendText([]byte(`"nfConsumerIdentification":{"nodeFunctionality":`), function)}
	if name != "" {
		c.identity = appendText(append(c.identity, `,"nFName":`...), name)
	}
	c.identity = append(c.identity, '}')
	if notify != "" {
		c.notify = appendText([]byte(`,"notifyUri":`), notify)
	}
	return c
}

// appendRequest encodes q as a ChargingDataRequest.
func appendRequest(b []byte, who *consumer, q *credit.Request) []byte {
	b = append(b, '{')
	b = append(b, who.identity...)
	b = appendInstant(append(b, `,"invocationTimeStamp":`...), q.At)
	b = appendNumber(b, `,"invocationSequenceNumber":`, uint64(q.Number))
	if q.Retransmitted {
		b = append(b, `,"retransmissionIndicator":true`...)
	}
	if q.Kind == credit.Event {
		b = append(b, `,"oneTimeEvent":true,"oneTimeEventType":"`...)
		if q.Action == credit.Post {
			b = append(b, `PEC"`...)
		} else {
			b = append(b, `IEC"`...)
		}
	}
	for i := range q.Subscribers {
		if s := &q.Subscribers[i]; s.Type != credit.E164 {
			b = appendName(append(b, `,"subscriberIdentifier":`...), s)
			break
		}
	}
	if q.Kind == credit.Initial || q.Kind == credit.Event {
		b = append(b, who.notify...)
	}
	b = appendSome(b, `,"serviceSpecificationInfo":`, q.Context)
	if len(q.Units) > 0 && q.Units[0].HasGroup {
		b = append(b, `,"multipleUnitUsage":[`...)
		for i := range q.Units {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendUsage(b, q, &q.Units[i])
		}
		b = append(b, ']')
	}
	return append(appendService(b, q), '}')
}

// appendName encodes a SUPI or GPSI.
func appendName(b []byte, s *credit.Subscriber) []byte {
	prefix := [...]string{credit.E164: "msisdn-", credit.IMSI: "imsi-", credit.SIPURI: "nai-", credit.NAI: "nai-", credit.Private: ""}
	at := len(b)
	b = appendText(b, s.ID)
	if p := prefix[min(int(s.Type), len(prefix)-1)]; p != "" {
		b = append(b, p...)
		copy(b[at+1+len(p):], b[at+1:len(b)-len(p)])
		copy(b[at+1:], p)
	}
	return b
}

func appendSome(b []byte, name string, text []byte) []byte {
	if len(text) == 0 {
		return b
	}
	return appendText(append(b, name...), text)
}

func appendUsage(b []byte, q *credit.Request, u *credit.Unit) []byte {
	b = appendNumber(b, `{"ratingGroup":`, uint64(u.Group))
	if u.Asked {
		b = appendUnits(append(b, `,"requestedUnit":`...), &u.Want, 0)
	}
	if len(u.Used) > 0 {
		b = append(b, `,"usedUnitContainer":[`...)
		for i := range u.Used {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendContainer(b, q, u, &u.Used[i])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendContainer(b []byte, q *credit.Request, u *credit.Unit, x *credit.Used) []byte {
	b = appendNumber(b, `{"localSequenceNumber":`, uint64(x.Seq))
	if x.Service != 0 {
		b = appendNumber(b, `,"serviceId":`, uint64(x.Service))
	} else if len(u.Services) > 0 {
		b = appendNumber(b, `,"serviceId":`, uint64(u.Services[0]))
	}
	quota := [...]string{credit.Online: "ONLINE_CHARGING", credit.Offline: "OFFLINE_CHARGING", credit.Suspended: "QUOTA_MANAGEMENT_SUSPENDED"}
	b = append(b, `,"quotaManagementIndicator":"`...)
	b = append(append(b, quota[min(int(x.Quota), len(quota)-1)]...), '"')
	b = appendReport(b, u, x)
	if at := orElse(x.At, q.At); at != 0 {
		b = appendInstant(append(b, `,"triggerTimestamp":`...), at)
	}
	at := len(b)
	b = appendUnits(b, &x.Units, 0)
	if b[at+1] == '}' {
		b = b[:at]
	} else { // the members go on instead of beginning
		b[at] = ','
		b = b[:len(b)-1]
	}
	return append(b, '}')
}

// appendReport encodes why a container was closed.
func appendReport(b []byte, u *credit.Unit, x *credit.Used) []byte {
	reason := orElse(x.Reason, u.Reason)
	var names []string
	switch {
	case x.Change == credit.Before:
		names = append(names, "TARIFF_TIME_CHANGE")
	case reason == credit.Condition:
		for _, n := range u.Triggers {
			if name := triggerName(n); name != "" {
				names = append(names, name)
			}
		}
	case int(reason) < len(reasonNames) && reasonNames[reason] != "":
		names = append(names, reasonNames[reason])
	}
	if len(names) == 0 {
		return b
	}
	b = append(b, `,"triggers":[`...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"triggerType":"`...)
		b = append(append(b, name...), `","triggerCategory":"IMMEDIATE_REPORT"}`...)
	}
	return append(b, ']')
}

// appendService encodes what is known of the bearer, the message or the call.
func appendService(b []byte, q *credit.Request) []byte {
	switch q.Service {
	case credit.SMS, credit.MMS:
		b = append(b, `,"sMSChargingInformation":{"originatorInfo":`...)
		b = appendParty(b, `"originatorGPSI":`, q.Calling)
		b = appendParty(append(b, `,"recipientInfo":[`...), `"recipientGPSI":`, q.Called)
		b = append(b, `],"sMMessageType":"`...)
		if q.Incoming {
			return append(b, `DELIVERY"}`...)
		}
		return append(b, `SUBMISSION"}`...)
	case credit.Voice:
		b = append(b, `,"iMSChargingInformation":{"roleOfNode":"`...)
		role := "ORIGINATING"
		if q.Incoming {
			role = "TERMINATING"
		}
		b = append(append(b, role...), '"')
		if len(q.Calling) > 0 {
			b = append(appendText(append(b, `,"callingPartyAddresses":[`...), q.Calling), ']')
		}
		b = appendSome(b, `,"calledPartyAddress":`, q.Called)
		b = appendSome(b, `,"imsChargingIdentifier":`, q.ChargingID)
		return append(appendSome(b, `,"imsServiceId":`, q.Item), '}')
	case credit.Content:
		b = append(b, `,"nEFChargingInformation":{"aPIName":`...)
		return append(appendText(b, q.Item), '}')
	}
	return appendSession(b, q)
}

func appendParty(b []byte, name string, number []byte) []byte {
	b = append(b, '{')
	if len(number) > 0 {
		s := credit.Subscriber{Type: credit.E164, ID: number}
		b = appendName(append(b, name...), &s)
	}
	return append(b, '}')
}

// appendSession encodes a PDUSessionChargingInformation.
func appendSession(b []byte, q *credit.Request) []byte {
	b = append(b, `,"pDUSessionChargingInformation":{`...)
	at := len(b)
	id := q.ChargingID
	if len(id) == 0 {
		id = q.Session // so that the server can tell one session from another
	}
	b = appendSome(b, `,"sMFchargingId":`, id)
	b = appendUser(b, q)
	if q.HasZone {
		zone, sign := q.Zone, byte('+')
		if zone < 0 {
			zone, sign = -zone, '-'
		}
		b = fmt.Appendf(b, `,"uetimeZone":"%c%02d:%02d"`, sign, zone/60, zone%60)
	}
	b = append(b, `,"pduSessionInformation":{"pduSessionID":1,"dnnId":`...)
	b = appendText(b, q.Access)
	if name := ratName(q.RAT); name != "" {
		b = append(append(append(b, `,"ratType":"`...), name...), '"')
	}
	if q.PLMN != 0 {
		b = fmt.Appendf(b, `,"servingCNPlmnId":{"mcc":"%03d","mnc":"%02d"}`, q.PLMN/1000%1000, q.PLMN%1000)
	}
	if ip, ok := netip.AddrFromSlice(q.Address); ok && ip.Is4() {
		b = append(append(append(b, `,"pduAddress":{"pduIPv4Address":"`...), ip.String()...), `"}`...)
	}
	return closeObject(append(b, '}'), at)
}

func appendUser(b []byte, q *credit.Request) []byte {
	b = append(b, `,"userInformation":{`...)
	at := len(b)
	for i := range q.Subscribers {
		if s := &q.Subscribers[i]; s.Type == credit.E164 {
			b = appendName(append(b, `,"servedGPSI":`...), s)
			break
		}
	}
	if isNumber(q.Device) {
		kind := "imei-"
		if len(q.Device) == 16 {
			kind = "imeisv-"
		}
		b = append(append(append(append(b, `,"servedPEI":"`...), kind...), q.Device...), '"')
	}
	return closeObject(b, at)
}

// readAnswer decodes a ChargingDataResponse, or problem details, with the status it came with.
func readAnswer(s *scanner, status int, body []byte, a *credit.Answer) *flaw {
	s.reset(body)
	if status/100 != 2 {
		readProblem(s, status, a)
		return nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	for o := s.object(); s.more(&o); {
		switch string(s.key) {
		case "sessionFailover":
			a.Failover = string(s.str()) == "FAILOVER_SUPPORTED"
		case "invocationResult":
			readInvocation(s, a)
		case "multipleUnitInformation":
			for l := s.array(); s.more(&l); {
				readGroup(s, a.AddUnit(nil))
			}
		default:
			s.skip()
		}
	}
	s.end()
	return s.err
}

func readInvocation(s *scanner, a *credit.Answer) {
	for o := s.object(); s.more(&o); {
		if string(s.key) != "failureHandling" {
			s.skip()
			continue
		}
		name := s.str()
		for f, n := range failures {
			if n == string(name) {
				a.Failure = credit.Failure(f)
			}
		}
	}
}

func readProblem(s *scanner, status int, a *credit.Answer) {
	var cause, title, detail []byte
	for o := s.object(); s.more(&o); {
		switch string(s.key) {
		case "cause":
			cause = s.str()
		case "title":
			title = s.str()
		case "detail":
			detail = s.str()
		default:
			s.skip()
		}
	}
	a.Result = resultOfCause(status, cause)
	if len(detail) == 0 {
		detail = title
	}
	a.Reason = string(detail)
	if a.Reason == "" {
		a.Reason = "HTTP status " + strconv.Itoa(status)
	}
}

// readGroup decodes a MultipleUnitInformation.
func readGroup(s *scanner, g *credit.Granted) {
	for o := s.object(); s.more(&o); {
		switch string(s.key) {
		case "resultCode":
			g.Result = resultOfGroup(s.str())
		case "ratingGroup":
			g.Group, g.HasGroup = s.u32(), true
		case "grantedUnit":
			readGrant(s, g)
		case "validityTime":
			g.Validity = s.u32()
		case "quotaHoldingTime":
			g.Holding, g.HasHolding = s.u32(), true
		case "timeQuotaThreshold":
			g.Threshold.Seconds, _ = s.uint(1<<64 - 1)
			g.Threshold.Has |= credit.HasSeconds
		case "volumeQuotaThreshold":
			g.Threshold.Total, _ = s.uint(1<<64 - 1)
			g.Threshold.Has |= credit.HasTotal
		case "unitQuotaThreshold":
			g.Threshold.Events, _ = s.uint(1<<64 - 1)
			g.Threshold.Has |= credit.HasEvents
		case "triggers":
			g.Arm = true
			var r reading
			var none credit.Reason
			r.scanner = *s
			r.triggerList(&none, &g.Triggers)
			*s = r.scanner
		case "finalUnitIndication":
			readFinal(s, &g.Final)
		default:
			s.skip()
		}
	}
}

func readGrant(s *scanner, g *credit.Granted) {
	var r reading
	r.scanner = *s
	for o := r.object(); r.more(&o); {
		switch {
		case r.amount(&g.Grant):
		case string(r.key) == "tariffTimeChange":
			g.Change = r.time()
		default:
			r.skip()
		}
	}
	*s = r.scanner
}

func readFinal(s *scanner, f *credit.FinalUnit) {
	for o := s.object(); s.more(&o); {
		switch string(s.key) {
		case "finalUnitAction":
			f.Action = map[string]credit.FinalAction{"TERMINATE": credit.FinalTerminate, "REDIRECT": credit.FinalRedirect,
				"RESTRICT_ACCESS": credit.FinalRestrict}[string(s.str())]
		case "redirectServer":
			for o := s.object(); s.more(&o); {
				switch string(s.key) {
				case "redirectAddressType":
					name := s.str()
					for t, n := range addressTypes {
						if n == string(name) {
							f.Type = credit.AddressType(t)
						}
					}
				case "redirectServerAddress":
					f.Address = string(s.str())
				default:
					s.skip()
				}
			}
		case "restrictionFilterRuleList", "filterIdList":
			for l := s.array(); s.more(&l); {
				f.Filters = append(f.Filters, string(s.str()))
			}
		case "restrictionFilterRule", "filterId":
			f.Filters = append(f.Filters, string(s.str()))
		default:
			s.skip()
		}
	}
}

// bearer is a token in the form of a header.
func bearer(token string) string {
	if token == "" {
		return ""
	}
	return "Bearer " + token
}

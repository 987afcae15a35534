package nchf

import (
	"strconv"
	"time"
	"unicode/utf8"

	"tandem/edge/credit"
)

// appendResponse encodes a ChargingDataResponse (TS 32.291 6.1.6.2.1.2).
func appendResponse(b []byte, r *reading, a *credit.Answer) []byte {
	b = append(b, `{"invocationTimeStamp":`...)
	b = appendText(b, r.stamp)
	b = append(b, `,"invocationSequenceNumber":`...)
	b = strconv.AppendUint(b, uint64(r.number), 10)
	b = append(b, `,"invocationResult":{"failureHandling":"`...)
	b = append(b, failures[min(int(a.Failure), len(failures)-1)]...)
	b = append(b, `"}`...)
	if a.Failover {
		b = append(b, `,"sessionFailover":"FAILOVER_SUPPORTED"`...)
	}
	if r.features != nil {
		b = append(b, `,"supportedFeatures":"0"`...) // none of the optional features is ours
	}
	if len(a.Units) > 0 {
		b = append(b, `,"multipleUnitInformation":[`...)
		for i := range a.Units {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendGroup(b, &a.Units[i])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// failures are the values of failureHandling by those of credit.Failure.
var failures = [...]string{credit.FailTerminate: "TERMINATE", credit.FailContinue: "CONTINUE", credit.FailRetry: "RETRY_AND_TERMINATE"}

// appendGroup encodes a MultipleUnitInformation (TS 32.291 6.1.6.2.1.6).
func appendGroup(b []byte, g *credit.Granted) []byte {
	b = append(b, `{"resultCode":"`...)
	b = append(b, outcomes[known(g.Result)].group...)
	b = append(b, `","ratingGroup":`...)
	b = strconv.AppendUint(b, uint64(g.Group), 10)
	if g.Grant.Has&^credit.HasMoney != 0 || g.Change != 0 {
		b = append(b, `,"grantedUnit":`...)
		b = appendUnits(b, &g.Grant, g.Change)
	}
	if g.Arm {
		b = appendTriggers(b, g.Triggers)
	}
	if g.Validity != 0 {
		b = appendNumber(b, `,"validityTime":`, uint64(g.Validity))
	}
	if g.HasHolding {
		b = appendNumber(b, `,"quotaHoldingTime":`, uint64(g.Holding))
	}
	if g.Final.Action != credit.NotFinal {
		b = appendFinal(b, &g.Final)
	}
	if g.Threshold.Has&credit.HasSeconds != 0 {
		b = appendNumber(b, `,"timeQuotaThreshold":`, g.Threshold.Seconds)
	}
	if n, ok := g.Threshold.Octets(); ok {
		b = appendNumber(b, `,"volumeQuotaThreshold":`, n)
	}
	if g.Threshold.Has&credit.HasEvents != 0 {
		b = appendNumber(b, `,"unitQuotaThreshold":`, g.Threshold.Events)
	}
	return append(b, '}')
}

func appendNumber(b []byte, name string, n uint64) []byte {
	return strconv.AppendUint(append(b, name...), n, 10)
}

// appendUnits encodes service units; there is no word for money.
func appendUnits(b []byte, u *credit.Units, change int64) []byte {
	b = append(b, '{')
	at := len(b)
	if change != 0 {
		b = appendInstant(append(b, `,"tariffTimeChange":`...), change)
	}
	if u.Has&credit.HasSeconds != 0 {
		b = appendNumber(b, `,"time":`, min(u.Seconds, 1<<32-1))
	}
	if u.Has&credit.HasTotal != 0 {
		b = appendNumber(b, `,"totalVolume":`, u.Total)
	}
	if u.Has&credit.HasInput != 0 {
		b = appendNumber(b, `,"uplinkVolume":`, u.Input)
	}
	if u.Has&credit.HasOutput != 0 {
		b = appendNumber(b, `,"downlinkVolume":`, u.Output)
	}
	if u.Has&credit.HasEvents != 0 {
		b = appendNumber(b, `,"serviceSpecificUnits":`, u.Events)
	}
	return closeObject(b, at)
}

// closeObject ends an object whose members, from at on, all begin with a comma.
func closeObject(b []byte, at int) []byte {
	if len(b) > at {
		b = append(b[:at], b[at+1:]...)
	}
	return append(b, '}')
}

// appendTriggers encodes the armed triggers; an empty list disarms all.
func appendTriggers(b []byte, numbers []uint32) []byte {
	b = append(b, `,"triggers":[`...)
	first := true
	for _, n := range numbers {
		name := triggerName(n)
		if name == "" {
			continue // of another face
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"triggerType":"`...)
		b = append(b, name...)
		b = append(b, `","triggerCategory":"IMMEDIATE_REPORT"}`...)
	}
	return append(b, ']')
}

// addressTypes are the values of redirectAddressType by those of credit.AddressType.
var addressTypes = [...]string{credit.IPv4: "IPV4", credit.IPv6: "IPV6", credit.URL: "URL", credit.SIP: "URI"}

// appendFinal encodes a FinalUnitIndication; the address of a redirect is mandatory, of the others there is none.
func appendFinal(b []byte, f *credit.FinalUnit) []byte {
	b = append(b, `,"finalUnitIndication":{"finalUnitAction":"`...)
	switch f.Action {
	case credit.FinalRedirect:
		b = append(b, `REDIRECT","redirectServer":{"redirectAddressType":"`...)
		b = append(b, addressTypes[min(int(f.Type), len(addressTypes)-1)]...)
		b = append(b, `","redirectServerAddress":`...)
		b = append(appendText(b, f.Address), '}')
	case credit.FinalRestrict:
		b = append(b, `RESTRICT_ACCESS"`...)
		b = appendFilters(b, `,"restrictionFilterRuleList":[`, f.Filters, true)
		b = appendFilters(b, `,"filterIdList":[`, f.Filters, false)
	default:
		b = append(b, `TERMINATE"`...)
	}
	return append(b, '}')
}

// appendFilters encodes the filters that are rules, or those that are names of rules.
func appendFilters(b []byte, name string, filters []string, rules bool) []byte {
	n := 0
	for _, f := range filters {
		if isRule(f) != rules {
			continue
		}
		if n == 0 {
			b = append(b, name...)
		} else {
			b = append(b, ',')
		}
		n++
		b = appendText(b, f)
	}
	if n == 0 {
		return b
	}
	return append(b, ']')
}

// isRule tells an IPFilterRule (RFC 6733 4.3.1) from a name: it begins with an action and a blank.
func isRule(f string) bool {
	return len(f) > 7 && (f[:7] == "permit " || f[:5] == "deny ")
}

// appendInstant encodes an instant as RFC 3339 in UTC.
func appendInstant(b []byte, micro int64) []byte {
	b = append(b, '"')
	b = time.UnixMicro(micro).UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// appendText encodes a string (RFC 8259 7); octets that are not UTF-8 become the replacement character.
func appendText[T []byte | string](b []byte, text T) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRuneInString(string(text[i:min(i+4, len(text))]))
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return append(b, '"')
}

// appendProblem encodes problem details (RFC 9457, TS 29.571 5.2.4.1).
func appendProblem(b []byte, status int, cause, title, detail, param string) []byte {
	b = appendNumber(b, `{"status":`, uint64(status))
	if title != "" {
		b = appendText(append(b, `,"title":`...), title)
	}
	if detail != "" {
		b = appendText(append(b, `,"detail":`...), detail)
	}
	if cause != "" {
		b = appendText(append(b, `,"cause":`...), cause)
	}
	if param != "" {
		b = appendText(append(b, `,"invalidParams":[{"param":`...), param)
		b = append(b, `}]`...)
	}
	return append(b, '}')
}

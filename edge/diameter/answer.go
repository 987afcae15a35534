package diameter

import (
	"net/netip"
	"strings"

	"tandem/edge/credit"
)

// identity is what every message of ours carries, encoded once.
type identity struct {
	origin []byte // Origin-Host, Origin-Realm
	state  []byte // Origin-State-Id
}

func newIdentity(host, realm string, stateID uint32) identity {
	id := identity{origin: appendBytes(appendBytes(nil, originHost, host), originRealm, realm)}
	if stateID != 0 {
		id.state = appendU32(nil, originState, stateID)
	}
	return id
}

// appendAnswer encodes the CCA or ACA to the request that r has read. f is nil unless the message itself was refused; then a may be
// nil.
func appendAnswer(b []byte, id *identity, h *header, r *reading, code uint32, a *credit.Answer, f *flaw) []byte {
	flags := h.flags & flagProxiable
	if protocolError(code) {
		flags |= flagError
	}
	b, at := beginMessage(b, flags, h.code, h.app, h.hop, h.end)
	if len(r.session) > 0 {
		b = appendBytes(b, sessionID, r.session)
	}
	b = appendU32(b, resultCode, code)
	b = append(b, id.origin...)
	switch {
	case h.code == cmdCreditControl:
		b = appendCredit(b, r, code, a)
	case h.code == cmdAccounting:
		b = appendRecord(b, r)
	}
	b = append(b, id.state...)
	if reason := reasonOf(code, a, f); reason != "" {
		b = appendBytes(b, errorMessage|optional, reason)
	}
	if f != nil && f.failed != nil {
		var group int
		b, group = begin(b, failedAVP)
		b = appendRaw(b, f.failed)
		b = end(b, group)
	}
	for _, p := range r.proxies {
		b = appendRaw(b, p)
	}
	return endMessage(b, at)
}

func reasonOf(code uint32, a *credit.Answer, f *flaw) string {
	switch {
	case f != nil:
		return f.reason
	case a != nil && code != resultSuccess:
		return a.Reason
	}
	return ""
}

func appendRecord(b []byte, r *reading) []byte {
	if r.seen&sawKind != 0 {
		b = appendU32(b, accountingRecordType, r.kind)
	}
	if r.seen&sawNumber != 0 {
		b = appendU32(b, accountingRecordNo, r.number)
	}
	return appendU32(b, acctApplication, appAccounting)
}

// appendCredit appends what only a CCA has (RFC 8506 3.2, TS 32.299 6.4.3).
func appendCredit(b []byte, r *reading, code uint32, a *credit.Answer) []byte {
	b = appendU32(b, authApplication, appCredit)
	if r.seen&sawKind != 0 {
		b = appendU32(b, ccType, r.kind)
	}
	if r.seen&sawNumber != 0 {
		b = appendU32(b, ccNumber, r.number)
	}
	if r.seen&sawSub != 0 {
		b = appendU64(b, ccSubSession, r.request.SubSession)
	}
	if a == nil || protocolError(code) {
		return b
	}
	b = appendHandling(b, r.request, a)
	if code/1000 != 2 { // nothing was granted, whatever the charger left in the answer
		return appendAccount(b, r.request, a)
	}
	for i := range a.Units {
		if r.flat {
			b = appendGrant(b, &a.Units[i], r.modern)
			b = appendSome(b, refundInformation, a.Refund)
			break
		}
		var group int
		b, group = begin(b, mscc)
		b = appendGroup(b, &a.Units[i], r.modern)
		b = end(appendSome(b, refundInformation, a.Refund), group)
	}
	return appendAccount(b, r.request, a)
}

// appendHandling says what the client does if we cannot be reached (RFC 8506 5.7, 6.5): with every first answer, later only when it
// is not what the client assumes anyway.
func appendHandling(b []byte, q *credit.Request, a *credit.Answer) []byte {
	first := q.Kind == credit.Initial || q.Kind == credit.Event
	if first || a.Failover {
		b = appendU32(b, ccFailover, flag(a.Failover))
	}
	switch {
	case q.Kind == credit.Event && q.Action == credit.Debit:
		b = appendU32(b, debitFailure, flag(a.Failure == credit.FailContinue))
	case first || a.Failure != credit.FailTerminate:
		b = appendU32(b, failureHandling, uint32(a.Failure))
	}
	return b
}

func flag(v bool) uint32 {
	if v {
		return 1
	}
	return 0
}

// appendAccount appends the figures of the account.
func appendAccount(b []byte, q *credit.Request, a *credit.Answer) []byte {
	if q.Kind == credit.Event && q.Action == credit.Balance && a.Result == credit.Success {
		b = appendU32(b, checkBalance, flag(a.NotEnough))
	}
	if a.HasCost {
		var group int
		b, group = begin(b, costInformation)
		b = end(appendMoney(b, a.Cost, a.Currency), group)
	}
	if a.LowBalance {
		b = appendU32(b, lowBalance, 1)
	}
	if a.HasRemaining {
		var group int
		b, group = begin(b, remainingBalance)
		b = end(appendMoney(b, a.Remaining, a.Currency), group)
	}
	return b
}

// appendMoney appends Unit-Value and Currency-Code of an amount in 10^-9.
func appendMoney(b []byte, nano int64, currency uint16) []byte {
	b = appendValue(b, nano)
	if currency != 0 {
		b = appendU32(b, currencyCode, uint32(currency))
	}
	return b
}

// appendValue appends the Unit-Value of a number in 10^-9 with as few digits as it needs.
func appendValue(b []byte, nano int64) []byte {
	exp := int32(-9)
	for exp < 0 && nano%10 == 0 {
		nano /= 10
		exp++
	}
	b, group := begin(b, unitValue)
	b = appendU64(b, valueDigits, uint64(nano))
	b = appendU32(b, exponent, uint32(exp))
	return end(b, group)
}

// appendGroup appends the content of a Multiple-Services-Credit-Control.
func appendGroup(b []byte, g *credit.Granted, modern bool) []byte {
	for _, s := range g.Services {
		b = appendU32(b, serviceID, s)
	}
	if g.HasGroup {
		b = appendU32(b, ratingGroup, g.Group)
	}
	b = appendU32(b, resultCode, groupCode(g.Result))
	b = appendGrant(b, g, modern)
	if g.Pool != 0 {
		b = appendPool(b, g)
	}
	b = appendThresholds(b, &g.Threshold)
	if g.HasHolding {
		b = appendU32(b, holdingTime, g.Holding)
	}
	if !g.Arm {
		return b
	}
	b, at := begin(b, trigger)
	for _, t := range g.Triggers {
		b = appendU32(b, triggerType, t)
	}
	return end(b, at)
}

// appendGrant appends what may stand in the message itself too: the units, for how long, and whether they are the last.
func appendGrant(b []byte, g *credit.Granted, modern bool) []byte {
	if g.Grant.Has != 0 {
		var at int
		b, at = begin(b, granted)
		if g.Change != 0 {
			b = appendTime(b, tariffChangeTime, g.Change)
		}
		b = end(appendUnits(b, &g.Grant), at)
	}
	if g.Validity != 0 {
		b = appendU32(b, validityTime, g.Validity)
	}
	if g.Final.Action != credit.NotFinal {
		b = appendFinal(b, &g.Final)
		if modern && g.Final.Action != credit.FinalTerminate {
			b = appendQoSFinal(b, &g.Final)
		}
	}
	return b
}

// appendUnits appends amounts of service in the order of their codes.
func appendUnits(b []byte, u *credit.Units) []byte {
	if u.Has&credit.HasSeconds != 0 {
		b = appendU32(b, ccTime, clamp32(u.Seconds))
	}
	if u.Has&credit.HasMoney != 0 {
		var at int
		b, at = begin(b, ccMoney)
		b = end(appendMoney(b, u.Money, u.Currency), at)
	}
	if u.Has&credit.HasTotal != 0 {
		b = appendU64(b, ccTotal, u.Total)
	}
	if u.Has&credit.HasInput != 0 {
		b = appendU64(b, ccInput, u.Input)
	}
	if u.Has&credit.HasOutput != 0 {
		b = appendU64(b, ccOutput, u.Output)
	}
	if u.Has&credit.HasEvents != 0 {
		b = appendU64(b, ccSpecific, u.Events)
	}
	return b
}

func appendThresholds(b []byte, u *credit.Units) []byte {
	if u.Has&credit.HasSeconds != 0 {
		b = appendU32(b, timeThreshold, clamp32(u.Seconds))
	}
	if octets, ok := u.Octets(); ok {
		b = appendU32(b, volumeThreshold, clamp32(octets))
	}
	if u.Has&credit.HasEvents != 0 {
		b = appendU32(b, unitThreshold, clamp32(u.Events))
	}
	return b
}

// poolUnits are the values of CC-Unit-Type in the order in which a grant is looked through (RFC 8506 8.32).
var poolUnits = [...]struct {
	has  credit.Has
	code uint32
}{{credit.HasTotal, 2}, {credit.HasInput, 3}, {credit.HasOutput, 4}, {credit.HasSeconds, 0}, {credit.HasEvents, 5}, {credit.HasMoney, 1}}

func appendPool(b []byte, g *credit.Granted) []byte {
	b, at := begin(b, poolReference)
	b = appendU32(b, poolID, g.Pool)
	for _, u := range poolUnits {
		if g.Grant.Has&u.has != 0 {
			b = appendU32(b, unitType, u.code)
			break
		}
	}
	return end(appendValue(b, g.Multiplier), at)
}

// appendFinal appends a Final-Unit-Indication (RFC 8506 8.34).
func appendFinal(b []byte, f *credit.FinalUnit) []byte {
	b, at := begin(b, finalUnit)
	b = appendU32(b, finalAction, uint32(f.Action-1))
	for _, rule := range f.Filters {
		if isRule(rule) {
			b = appendBytes(b, restrictionRule, rule)
		} else {
			b = appendBytes(b, filterID, rule)
		}
	}
	if f.Action == credit.FinalRedirect {
		var server int
		b, server = begin(b, redirectServer)
		b = appendU32(b, redirectType, uint32(f.Type))
		b = appendBytes(b, redirectAddress, f.Address)
		b = end(b, server)
	}
	return end(b, at)
}

// isRule tells an IPFilterRule (RFC 6733 4.3.1) from the name of a filter that the client knows.
func isRule(s string) bool { return strings.HasPrefix(s, "permit ") || strings.HasPrefix(s, "deny ") }

// appendQoSFinal appends the form of RFC 8506 8.68 beside the old one, for a client that speaks it. It has no IPFilterRules: if there
// are any, only the old form says everything.
func appendQoSFinal(b []byte, f *credit.FinalUnit) []byte {
	for _, rule := range f.Filters {
		if isRule(rule) {
			return b
		}
	}
	b, at := begin(b, qosFinalUnit|optional)
	b = appendU32(b, finalAction, uint32(f.Action-1))
	for _, name := range f.Filters {
		b = appendBytes(b, filterID, name)
	}
	if f.Action == credit.FinalRedirect {
		var server int
		b, server = begin(b, redirectExtension|optional)
		b = end(appendRedirect(b, f), server)
	}
	return end(b, at)
}

func appendRedirect(b []byte, f *credit.FinalUnit) []byte {
	switch f.Type {
	case credit.URL:
		return appendBytes(b, redirectURL|optional, f.Address)
	case credit.SIP:
		return appendBytes(b, redirectSIP|optional, f.Address)
	}
	ip, err := netip.ParseAddr(f.Address)
	if err != nil {
		return b // the old form carries whatever was configured
	}
	return appendAddress(b, redirectIP|optional, ip.AsSlice())
}

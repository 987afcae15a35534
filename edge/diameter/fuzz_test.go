package diameter

import (
	"reflect"
	"testing"

	"tandem/edge/credit"
)

// FuzzMessage feeds messages to every decoder: none may panic, all that is read lies within limits, and a request that is understood is
// understood in the same way when our own client sends it.
func FuzzMessage(f *testing.F) {
	q := typical()
	f.Add(encode(&q))
	q = data("x", credit.Initial, 0, 0)
	f.Add(encode(&q))
	q = credit.Request{Kind: credit.Event, Service: credit.SMS, Session: []byte("e"), Called: []byte("4788"), Action: credit.Balance}
	f.Add(encode(&q))
	head := appendBytes(newIdentity(pgwHost, pgwRealm, 0).origin, destinationRealm, ocsRealm)
	q = data("r", credit.Update, 3, 99)
	f.Add(appendRequest(nil, head, &q, true, 1, 2))
	b, at := beginMessage(nil, flagRequest, cmdCapabilities, 0, 1, 1)
	f.Add(endMessage(appendAbilities(append(b, head...), "x"), at))
	f.Fuzz(func(t *testing.T, m []byte) {
		if len(m) < headerSize {
			return
		}
		h, _ := parseHeader(m)
		body := m[headerSize:]
		parseCapabilities(body)
		find(body, resultCode)
		var a credit.Answer
		readAnswer(body, &a, new(reading))
		for _, code := range []uint32{cmdCreditControl, cmdAccounting} {
			h.code = code
			var r reading
			var q credit.Request
			r.reset(&q, nil)
			flaw := r.decode(h, body)
			if r.depth != 0 && flaw == nil || r.left > MaxAVPs {
				t.Fatalf("depth %d, %d AVPs left", r.depth, r.left)
			}
			id := newIdentity(ocsHost, ocsRealm, 1)
			result := uint32(resultSuccess)
			if flaw != nil {
				result = flaw.code
			}
			answer := appendAnswer(nil, &id, &h, &r, result, &credit.Answer{}, flaw)
			if back, ok := parseHeader(answer); !ok || len(answer) < 1<<24 && back.length != len(answer) {
				t.Fatalf("an answer of %d octets says %d", len(answer), back.length)
			}
			if flaw == nil && code == cmdCreditControl {
				again(t, &q)
			}
		}
	})
}

func again(t *testing.T, q *credit.Request) {
	sent := *q
	if sent.Service == credit.UnknownService || sent.Service == credit.MMS || len(sent.Return) == 0 {
		return
	}
	head := appendBytes(appendBytes(appendBytes(nil, originHost, sent.Peer), originRealm, sent.Return), destinationRealm, ocsRealm)
	m := appendRequest(nil, head, &sent, false, 1, 2)
	h, _ := parseHeader(m)
	var r reading
	var got credit.Request
	r.reset(&got, nil)
	if f := r.decode(h, m[headerSize:]); f != nil {
		if f.code == resultTooOften { // our form may have more AVPs
			return
		}
		t.Fatalf("what was understood is refused when sent again: %s %x", f.reason, f.failed)
	}
	if got.Kind != sent.Kind || got.Number != sent.Number || len(got.Units) != len(sent.Units) ||
		!reflect.DeepEqual(units(&got), units(&sent)) {
		t.Fatalf("\n%+v\nis understood as\n%+v", sent, got)
	}
}

// units are the amounts of a request.
func units(q *credit.Request) []credit.Unit {
	list := normal(*q).Units
	for i := range list {
		for j := range list[i].Used {
			list[i].Used[j].At = 0 // seconds on the wire, any era
		}
		if list[i].Want.Has&credit.HasMoney == 0 {
			list[i].Want.Currency = 0
		}
	}
	return list
}

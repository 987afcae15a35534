package radius

import (
	"crypto/subtle"
	"net/netip"
	"strings"
	"sync/atomic"
)

// Method is how a user proves who he is.
type Method uint8

// The methods.
const (
	NoProof Method = iota // the request proves nothing: a re-authorisation by State, or a call check
	PAP                   // RFC 2865 5.2
	CHAP                  // RFC 1994
	EAPMD5                // RFC 3748 5.4
)

var methods = [...]string{"none", "PAP", "CHAP", "EAP-MD5"}

func (m Method) String() string { return methods[m] }

// Authenticator decides on access. It holds the credentials. Authenticate returns at once; exactly one of Accept, Reject and Ignore is
// called for each Access, from any goroutine.
type Authenticator interface {
	Authenticate(*Access)
}

// Access is one user who asks to be let in. Its slices are valid until it is decided.
type Access struct {
	User      []byte // User-Name, or the identity of EAP
	Peer      []byte // the gateway's identity, as in the Peer of its accounting requests
	Calling   []byte // Calling-Station-Id: the user's line or MAC address
	Called    []byte // Called-Station-Id
	Port      []byte // NAS-Port-Id
	State     []byte // of the Profile of the session that asks to be renewed
	Source    netip.AddrPort
	Method    Method
	Authorize bool  // Service-Type Authorize-Only: the answer to a CoA, who he is has been proven before (RFC 5176 3.2)
	Received  int64 // Unix microseconds

	exchange  *exchange
	proof     []byte // of PAP hidden, of CHAP and EAP-MD5 16 octets
	challenge []byte
	proofID   byte
	eap       bool
	eapID     byte
	decided   atomic.Bool
}

// Verify tells whether the user knows the credential.
func (a *Access) Verify(credential []byte) bool {
	switch a.Method {
	case PAP:
		password, ok := a.Password()
		return ok && subtle.ConstantTimeCompare(password, credential) == 1
	case CHAP, EAPMD5:
		want := digestOf(a.proofID, credential, a.challenge)
		return subtle.ConstantTimeCompare(want[:], a.proof) == 1
	}
	return false
}

// Password is the password of PAP, for credentials that are kept as salted hashes. The other methods never show it.
func (a *Access) Password() (password []byte, ok bool) {
	if a.Method != PAP {
		return nil, false
	}
	return RevealPassword(a.proof, a.exchange.packet.Authenticator(), a.exchange.nas.secret)
}

// Accept lets the user in. An error says that the profile cannot be sent, and leaves the decision open.
func (a *Access) Accept(p *Profile) error {
	if err := p.check(); err != nil {
		return err
	}
	if a.decided.Swap(true) {
		return nil
	}
	x := a.exchange
	b := x.reply(AccessAccept)
	if a.eap {
		b = appendEAP(b, []byte{eapSuccess, a.eapID, 0, 4})
	}
	b = echoFramed(b, x.packet)
	x.out.data = p.append(b, x.nas.Vendors)
	x.finish(toSeal)
	return nil
}

// Reject keeps the user out. The reason is shown to him where the protocol has a place for it (not beside EAP: RFC 3579 2.6.5).
func (a *Access) Reject(reason string) {
	if a.decided.Swap(true) {
		return
	}
	x := a.exchange
	b := x.reply(AccessReject)
	switch {
	case a.eap:
		b = appendEAP(b, []byte{eapFailure, a.eapID, 0, 4})
	case reason != "":
		b = AppendBytes(b, ReplyMessage, strings.ToValidUTF8(reason[:min(len(reason), maxValue)], ""))
	}
	x.out.data = b
	x.finish(toSeal)
}

// Ignore leaves the gateway without an answer, so that it asks another server: nothing can be decided here now.
func (a *Access) Ignore() {
	if !a.decided.Swap(true) {
		a.exchange.finish(silent)
	}
}

// access reads an Access-Request and hands it to the authenticator. False: it is malformed, or not to be answered.
func (p *port) access(x *exchange, now int64) bool {
	a := &Access{exchange: x, Source: x.in.peer, Received: now}
	var pap, chap, eap []byte
	a.challenge = x.packet.Authenticator()
	fragments := 0
	for t, v := range x.packet.All() {
		switch t {
		case UserName:
			a.User = v
		case UserPassword:
			pap = v
		case CHAPPassword:
			chap = v
		case CHAPChallenge:
			a.challenge = v
		case CallingStationID:
			a.Calling = v
		case CalledStationID:
			a.Called = v
		case NASPortID:
			a.Port = v
		case State:
			a.State = v
		case ServiceType:
			n, _ := number(v)
			a.Authorize = n == serviceAuthorizeOnly
		case EAPMessage:
			eap = append(eap, v...)
			fragments++
		}
	}
	x.name()
	a.Peer = x.peer
	switch {
	case fragments > 0:
		return p.eap(a, eap)
	case pap != nil:
		a.Method, a.proof = PAP, pap
	case chap != nil:
		if len(chap) != 17 {
			p.server.count.malformed.Add(1)
			return false
		}
		a.Method, a.proofID, a.proof = CHAP, chap[0], chap[1:]
	}
	p.server.authenticator.Authenticate(a)
	return true
}

// eap takes one step of EAP (RFC 3579 2.1). A packet without Message-Authenticator is dropped whatever the gateway may otherwise do
// (RFC 3579 3.1).
func (p *port) eap(a *Access, message []byte) bool {
	x := a.exchange
	if !x.signed {
		p.server.count.unsigned.Add(1)
		return false
	}
	a.eap = true
	if len(message) == 0 { // EAP-Start: the gateway leaves it to us to ask who is there
		x.ask(eapPacket{eapRequest, 0, eapIdentity, nil}, nil)
		return true
	}
	e, ok := parseEAP(message)
	if !ok || e.code != eapResponse {
		p.server.count.malformed.Add(1)
		return false
	}
	a.eapID = e.id
	switch e.kind {
	case eapIdentity:
		p.challenge(a, e)
	case eapMD5:
		p.respond(a, e)
	default: // a Nak: the user speaks another method than the one there is
		a.Reject("")
	}
	return true
}

// challenge answers an identity with a challenge, whose State leads back to it.
func (p *port) challenge(a *Access, e eapPacket) {
	if a.User == nil {
		a.User = e.data
	}
	handle, value := p.server.challenges.issue(a.Received, e.id+1, a.User, a.State)
	a.exchange.ask(eapPacket{eapRequest, e.id + 1, eapMD5, append([]byte{16}, value[:]...)}, handle[:])
}

// respond has the response to a challenge verified.
func (p *port) respond(a *Access, e eapPacket) {
	ch, known := p.server.challenges.take(a.Received, a.State, a.User)
	value, whole := e.md5Value()
	if !known || !whole || ch.id != e.id {
		a.Reject("")
		return
	}
	a.Method, a.proofID, a.proof, a.challenge = EAPMD5, e.id, value, ch.value[:]
	a.State = ch.state
	p.server.authenticator.Authenticate(a)
}

// ask sends an EAP request to the user.
func (x *exchange) ask(e eapPacket, state []byte) {
	b := appendEAP(x.reply(AccessChallenge), e.append(nil))
	x.out.data = appendIf(b, State, state)
	x.finish(toSeal)
}

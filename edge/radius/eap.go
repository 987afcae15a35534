package radius

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"hash/maphash"
	"sync"
)

// Codes and types of EAP (RFC 3748 4, 5).
const (
	eapRequest  = 1
	eapResponse = 2
	eapSuccess  = 3
	eapFailure  = 4

	eapIdentity = 1
	eapNak      = 3
	eapMD5      = 4
)

// eapPacket is a request or response.
type eapPacket struct {
	code, id, kind byte
	data           []byte // behind the type
}

// parseEAP reads a request or response; octets behind its length are padding (RFC 3748 4.1).
func parseEAP(b []byte) (eapPacket, bool) {
	if len(b) < 5 {
		return eapPacket{}, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < 5 || n > len(b) || b[0] != eapRequest && b[0] != eapResponse {
		return eapPacket{}, false
	}
	return eapPacket{b[0], b[1], b[4], b[5:n]}, true
}

func (e eapPacket) append(b []byte) []byte {
	b = append(b, e.code, e.id)
	b = binary.BigEndian.AppendUint16(b, uint16(5+len(e.data)))
	return append(append(b, e.kind), e.data...)
}

// appendEAP appends an EAP packet as EAP-Message attributes, cut into as many as it needs (RFC 3579 3.1).
func appendEAP(b, packet []byte) []byte {
	for len(packet) > maxValue {
		b = AppendBytes(b, EAPMessage, packet[:maxValue])
		packet = packet[maxValue:]
	}
	return AppendBytes(b, EAPMessage, packet)
}

// md5Value reads the value of an MD5-Challenge or its response: its size, 16 octets, and a name that nobody needs (RFC 1994 4.1).
func (e eapPacket) md5Value() ([]byte, bool) {
	if len(e.data) < 17 || e.data[0] != 16 {
		return nil, false
	}
	return e.data[1:17], true
}

const (
	challengeLife = 30_000_000 // microseconds
	stateSize     = 16         // slot (4), nonce (12)
)

// challenge is an EAP-MD5 challenge that waits for its response.
type challenge struct {
	nonce  [12]byte
	value  [16]byte
	issued int64 // Unix microseconds; 0: the slot is free
	id     byte
	user   uint64 // hash of the identity, so that the response is for who was challenged
	state  []byte // the State that the request came with: our own session at a re-authentication
}

// challenges is a ring of challenges: when it is full the oldest is forgotten. State names the slot, so nothing is searched.
type challenges struct {
	mu   sync.Mutex
	ring []challenge
	next int
	seed maphash.Seed
}

func newChallenges(n int) *challenges {
	return &challenges{ring: make([]challenge, n), seed: maphash.MakeSeed()}
}

// issue makes a challenge for a user and returns the State that finds it again.
func (c *challenges) issue(now int64, id byte, user, state []byte) (handle [stateSize]byte, value [16]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slot := c.next
	c.next = (c.next + 1) % len(c.ring)
	ch := &c.ring[slot]
	rand.Read(ch.nonce[:])
	rand.Read(ch.value[:])
	ch.issued, ch.id, ch.user = now, id, maphash.Bytes(c.seed, user)
	ch.state = append(ch.state[:0], state...)
	binary.BigEndian.PutUint32(handle[:], uint32(slot))
	copy(handle[4:], ch.nonce[:])
	return handle, ch.value
}

// take returns the challenge of a State and forgets it: a challenge is answered once. A repeated packet is answered from the memory
// of replies.
func (c *challenges) take(now int64, handle, user []byte) (ch challenge, ok bool) {
	if len(handle) != stateSize {
		return challenge{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slot := binary.BigEndian.Uint32(handle)
	if int64(slot) >= int64(len(c.ring)) {
		return challenge{}, false
	}
	found := &c.ring[slot]
	if found.issued == 0 || now-found.issued > challengeLife || subtle.ConstantTimeCompare(found.nonce[:], handle[4:]) != 1 ||
		found.user != maphash.Bytes(c.seed, user) {
		return challenge{}, false
	}
	ch = *found
	*found = challenge{} // its State now belongs to the caller
	return ch, true
}

package radius

import (
	"crypto/hmac"
	"crypto/md5"
	"fmt"
	"hash"
	"io"
	"log/slog"
)

// Key is a shared secret as it stands in a configuration. It never prints.
type Key []byte

// Format prints no octet of the key, for every verb.
func (Key) Format(s fmt.State, _ rune) { io.WriteString(s, "(secret)") }

// LogValue keeps the key out of logs.
func (Key) LogValue() slog.Value { return slog.StringValue("(secret)") }

// MarshalText keeps it out of documents.
func (Key) MarshalText() ([]byte, error) { return []byte("(secret)"), nil }

// UnmarshalText takes a key from a configuration as it is written there.
func (k *Key) UnmarshalText(text []byte) error {
	*k = append(Key(nil), text...)
	return nil
}

// Secret is a shared secret with the two blocks that HMAC-MD5 derives from it (RFC 2104). It never prints.
type Secret struct {
	key          Key
	inner, outer [md5.BlockSize]byte
}

// NewSecret prepares a shared secret.
func NewSecret(key []byte) *Secret {
	s := &Secret{key: append([]byte(nil), key...)}
	short := s.key
	if len(short) > md5.BlockSize {
		sum := md5.Sum(short)
		short = sum[:]
	}
	copy(s.inner[:], short)
	copy(s.outer[:], short)
	for i := range s.inner {
		s.inner[i] ^= 0x36
		s.outer[i] ^= 0x5c
	}
	return s
}

// Format prints nothing of the secret, for every verb.
func (s *Secret) Format(f fmt.State, r rune) { s.key.Format(f, r) }

// LogValue keeps it out of logs.
func (s *Secret) LogValue() slog.Value { return s.key.LogValue() }

// signer computes the checksums of packets without allocating. Each goroutine has one of its own.
type signer struct {
	h   hash.Hash
	sum [md5.Size]byte
}

func newSigner() *signer { return &signer{h: md5.New()} }

// authenticator is MD5(code, id, length, authenticator, attributes, secret): of a reply with the authenticator of its request (RFC 2865
// 3), of an accounting or CoA request with zeros (RFC 2866 3, RFC 5176 2.3).
func (g *signer) authenticator(p, with []byte, s *Secret) []byte {
	g.h.Reset()
	g.h.Write(p[:4])
	g.h.Write(with)
	g.h.Write(p[headSize:])
	g.h.Write(s.key)
	return g.h.Sum(g.sum[:0])
}

// mac is the Message-Authenticator whose value begins at: HMAC-MD5 over the packet with that value zero and the given authenticator
// (RFC 3579 3.2).
func (g *signer) mac(p []byte, at int, with []byte, s *Secret) []byte {
	g.h.Reset()
	g.h.Write(s.inner[:])
	g.h.Write(p[:4])
	g.h.Write(with)
	g.h.Write(p[headSize:at])
	g.h.Write(zero[:])
	g.h.Write(p[at+md5.Size:])
	inner := g.h.Sum(g.sum[:0])
	g.h.Reset()
	g.h.Write(s.outer[:])
	g.h.Write(inner)
	return g.h.Sum(g.sum[:0])
}

// provenMAC tells whether the packet has a Message-Authenticator and whether it is right.
func (g *signer) provenMAC(p Packet, with []byte, s *Secret) (present, right bool) {
	at := p.offset(MessageAuthenticator)
	if at == 0 {
		return false, false
	}
	if p[at-1] != 2+md5.Size {
		return true, false
	}
	return true, hmac.Equal(g.mac(p, at, with, s), p[at:at+md5.Size])
}

// provenRequest tells whether a request whose authenticator is a checksum (accounting, CoA, Disconnect) was made with the secret. A
// Message-Authenticator is not required in it, but if there is one it has to be right.
func (g *signer) provenRequest(p Packet, s *Secret) (right, signed bool) {
	if !hmac.Equal(g.authenticator(p, zero[:], s), p.Authenticator()) {
		return false, false
	}
	present, good := g.provenMAC(p, zero[:], s)
	return good || !present, present
}

// provenReply tells whether a reply was made with the secret for the request with the given authenticator. A Message-Authenticator in an
// Accounting-Response is not looked at: the authenticator proves all of it, and servers compute the other in different ways.
func (g *signer) provenReply(p Packet, asked []byte, s *Secret) bool {
	if !hmac.Equal(g.authenticator(p, asked, s), p.Authenticator()) {
		return false
	}
	if p.Code() == AccountingResponse {
		return true
	}
	present, good := g.provenMAC(p, asked, s)
	return good || !present
}

// sealReply completes a reply to the request with the authenticator asked: length, Message-Authenticator if it has the place for one,
// authenticator. False: it is too long.
func (g *signer) sealReply(p, asked []byte, s *Secret) bool {
	if !setLength(p) {
		return false
	}
	if hasMAC(p) {
		copy(p[headSize+2:], g.mac(p, headSize+2, asked, s))
	}
	copy(p[4:headSize], g.authenticator(p, asked, s))
	return true
}

// sealRequest completes a request whose authenticator is a checksum: it is computed as that of a reply to zeros.
func (g *signer) sealRequest(p []byte, s *Secret) bool { return g.sealReply(p, zero[:], s) }

// sealAccess completes an Access-Request or Status-Server, whose authenticator is random and was set by the caller.
func (g *signer) sealAccess(p []byte, s *Secret) bool {
	if !setLength(p) {
		return false
	}
	if hasMAC(p) {
		copy(p[headSize+2:], g.mac(p, headSize+2, p[4:headSize], s))
	}
	return true
}

// hasMAC tells whether the packet begins with the place for a Message-Authenticator, as all that we write do.
func hasMAC(p []byte) bool {
	return len(p) >= headSize+2+md5.Size && Type(p[headSize]) == MessageAuthenticator
}

// HidePassword appends the value of a User-Password (RFC 2865 5.2): the password is filled up with zeros to 16, 32 ... 128 octets and
// covered by a chain of MD5. A longer password is cut.
func HidePassword(b, password, authenticator []byte, s *Secret) []byte {
	const most = 128
	password = password[:min(len(password), most)]
	last := authenticator
	for first := true; first || len(password) > 0; first = false {
		cover := coverOf(s, last)
		n := copy(cover.plain[:], password)
		password = password[n:]
		for i := range cover.mask {
			cover.mask[i] ^= cover.plain[i]
		}
		b = append(b, cover.mask[:]...)
		last = b[len(b)-md5.Size:]
	}
	return b
}

// RevealPassword undoes HidePassword. It is false for a value that nobody can have hidden.
func RevealPassword(value, authenticator []byte, s *Secret) (password []byte, ok bool) {
	if len(value) == 0 || len(value) > 128 || len(value)%md5.Size != 0 {
		return nil, false
	}
	last := authenticator
	for ; len(value) > 0; value = value[md5.Size:] {
		cover := coverOf(s, last)
		last = value[:md5.Size]
		for i := range cover.mask {
			password = append(password, cover.mask[i]^last[i])
		}
	}
	for len(password) > 0 && password[len(password)-1] == 0 {
		password = password[:len(password)-1]
	}
	return password, true
}

type cover struct{ mask, plain [md5.Size]byte }

func coverOf(s *Secret, last []byte) cover {
	return cover{mask: md5.Sum(append(append(make([]byte, 0, 64), s.key...), last...))}
}

// digestOf is MD5(id, secret, challenge): the response of CHAP (RFC 1994 4.1) and of EAP-MD5 (RFC 3748 5.4).
func digestOf(id byte, secret, challenge []byte) [md5.Size]byte {
	b := append(make([]byte, 0, 64), id)
	return md5.Sum(append(append(b, secret...), challenge...))
}

package e2e_test

import (
	"bytes"
	"crypto/aes"
	"errors"
	"fmt"
	"testing"

	"tandem/app/mobile"
	"tandem/edge/gsup"
	"tandem/edge/hlr"
)

// tower is a serving node at the register: where phones try their SIM cards.
type tower struct {
	*gsup.Peer
	t testing.TB
}

func (o *operator) tower() *tower {
	o.t.Helper()
	p, err := gsup.Dial(o.t.Context(), o.element.GSUP(), "SGSN-1")
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { p.Close() })
	return &tower{p, o.t}
}

// attaches says that the card authenticates, and that the network gives it the
// number in both domains.
func (w *tower) attaches(c mobile.Card, msisdn string) {
	w.t.Helper()
	w.authenticates(c)
	for _, d := range []gsup.Domain{gsup.PS, gsup.CS} {
		got, err := w.Attach(w.t.Context(), c.IMSI, d)
		if err != nil || got != msisdn {
			w.t.Fatalf("attach of %s in domain %d: number %q, %v; want %q", c.IMSI, d, got, err, msisdn)
		}
	}
}

// refused says that the network refuses the card, with the cause on the packet side.
func (w *tower) refused(c mobile.Card, want gsup.Cause) {
	w.t.Helper()
	for _, d := range []gsup.Domain{gsup.PS, gsup.CS} {
		_, err := w.Attach(w.t.Context(), c.IMSI, d)
		var no *gsup.CauseError
		if !errors.As(err, &no) || d == gsup.PS && no.Cause != want {
			w.t.Fatalf("attach of %s in domain %d: %v, want a refusal with cause %d", c.IMSI, d, err, want)
		}
	}
}

// authenticates says that the register's vectors are those that the card computes
// from its own keys (3GPP TS 33.102, 6.3).
func (w *tower) authenticates(c mobile.Card) {
	w.t.Helper()
	vectors, err := w.Authenticate(w.t.Context(), c.IMSI)
	if err != nil || len(vectors) == 0 {
		w.t.Fatalf("authenticate %s: %d vectors, %v", c.IMSI, len(vectors), err)
	}
	for i, v := range vectors {
		if err := (usim{c.K[:], c.OPc[:]}).accepts(v); err != nil {
			w.t.Fatalf("vector %d for %s: %v", i, c.IMSI, err)
		}
		if (usim{c.OPc[:], c.K[:]}).accepts(v) == nil {
			w.t.Fatalf("vector %d for %s is good for any card", i, c.IMSI)
		}
	}
}

// cut waits for what tells the serving node that a phone loses its service.
func (w *tower) cut(c mobile.Card) {
	w.t.Helper()
	select {
	case p := <-w.Pushes():
		if p.Kind != gsup.DeleteSubscriberData || p.IMSI != c.IMSI {
			w.t.Fatalf("pushed %+v, want the data of %s deleted", p, c.IMSI)
		}
	case <-w.t.Context().Done():
		w.t.Fatal("the serving node was not told")
	}
}

// usim is the computing side of a card: Milenage (3GPP TS 35.206, 4.1).
type usim struct{ k, opc []byte }

// accepts checks network authentication and the expected response of a vector.
func (u usim) accepts(v gsup.Vector) error {
	if len(v.RAND) != 16 || len(v.AUTN) != 16 {
		return errors.New("malformed")
	}
	temp := u.encrypt(xor(v.RAND, u.opc))
	f2and5 := u.out(temp, 0, 1)
	sqn, amf := xor(v.AUTN[:6], f2and5[:6]), v.AUTN[6:8]
	in := append(append([]byte{}, sqn...), amf...)
	in = append(in, in...)
	mac := xor(u.encrypt(xor(temp, turn(xor(in, u.opc), 8))), u.opc)[:8]
	switch {
	case !bytes.Equal(mac, v.AUTN[8:]):
		return errors.New("the card does not trust this network: MAC differs")
	case !bytes.Equal(f2and5[8:], v.XRES):
		return errors.New("the network would not trust the card: RES differs")
	case !bytes.Equal(u.out(temp, 4, 2), v.CK) || !bytes.Equal(u.out(temp, 8, 4), v.IK):
		return errors.New("card and network would encrypt with different keys")
	}
	return nil
}

// out is OUT2 to OUT5: turned by so many octets, with the constant in the last octet.
func (u usim) out(temp []byte, octets int, constant byte) []byte {
	in := turn(xor(temp, u.opc), octets)
	in[15] ^= constant
	return xor(u.encrypt(in), u.opc)
}

func (u usim) encrypt(in []byte) []byte {
	block, err := aes.NewCipher(u.k)
	if err != nil {
		panic(err) // a key has 16 octets
	}
	out := make([]byte, 16)
	block.Encrypt(out, in)
	return out
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

// turn rotates to the left by whole octets.
func turn(b []byte, octets int) []byte {
	return append(append([]byte{}, b[octets:]...), b[:octets]...)
}

// register is a provisioning connection of its own, beside the node's.
func (o *operator) register() *hlr.Client {
	o.t.Helper()
	c, err := hlr.Dial(o.t.Context(), o.element.CTRL())
	if err != nil {
		o.t.Fatal(fmt.Errorf("register: %w", err))
	}
	o.t.Cleanup(func() { c.Close() })
	return c
}

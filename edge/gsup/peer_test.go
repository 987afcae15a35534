package gsup_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"tandem/edge/gsup"
	"tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
)

const (
	imsi   = "240010000000001"
	number = "447900000001"
	kHex   = "465b5ce8b199b49faa5f0a2ee238a6bc"
	opcHex = "cd63cb71954a9f4e48a5994e37a02baf"
)

type bench struct {
	ctx  context.Context
	ctrl *hlr.Client
	vty  *hlr.VTY
	sgsn *gsup.Peer
}

// setup starts a real register with one SIM and an SGSN beside it.
func setup(t *testing.T) bench {
	t.Helper()
	e := hlrtest.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	ctrl, err := hlr.Dial(ctx, e.CTRL())
	must(t, err)
	t.Cleanup(func() { ctrl.Close() })
	vty, err := hlr.DialVTY(ctx, e.VTY())
	must(t, err)
	t.Cleanup(func() { vty.Close() })
	sgsn, err := gsup.Dial(ctx, e.GSUP(), "SGSN-1")
	must(t, err)
	t.Cleanup(func() { sgsn.Close() })
	k, err := hlr.ParseSecret(kHex)
	must(t, err)
	opc, err := hlr.ParseSecret(opcHex)
	must(t, err)
	replies, err := ctrl.Do(ctx, hlr.CreateCommand(imsi), hlr.MilenageCommand(imsi, k, opc),
		hlr.MSISDNCommand(imsi, number), hlr.PSCommand(imsi, true))
	must(t, err)
	for _, r := range replies {
		must(t, r.Err)
	}
	return bench{ctx, ctrl, vty, sgsn}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCause(t *testing.T, err error, want gsup.Cause) {
	t.Helper()
	var refused *gsup.CauseError
	if !errors.As(err, &refused) || refused.Cause != want {
		t.Fatalf("got %v, want cause %d", err, want)
	}
}

// The SIM computes the same answers as the register, so the register holds the right K and OPc.
func TestSIMAuthenticates(t *testing.T) {
	b := setup(t)
	vectors, err := b.sgsn.Authenticate(b.ctx, imsi)
	must(t, err)
	if len(vectors) != 5 {
		t.Fatalf("%d vectors, want 5", len(vectors))
	}
	var last []byte
	for i, v := range vectors {
		if len(v.AUTN) != 16 || len(v.RAND) != 16 {
			t.Fatalf("vector %d is malformed", i)
		}
		// AUTN = SQN xor AK, AMF, MAC (3GPP TS 33.102, 6.3.2): AK does not depend on SQN.
		amf, mac := v.AUTN[6:8], v.AUTN[8:]
		_, _, _, _, ak := milenage(unhex(kHex), unhex(opcHex), v.RAND, make([]byte, 6), amf)
		sqn := xor(v.AUTN[:6], ak)
		wantMAC, res, ck, ik, _ := milenage(unhex(kHex), unhex(opcHex), v.RAND, sqn, amf)
		if !bytes.Equal(mac, wantMAC) || !bytes.Equal(v.XRES, res) || !bytes.Equal(v.CK, ck) || !bytes.Equal(v.IK, ik) {
			t.Fatalf("vector %d is not what the SIM computes", i)
		}
		if bytes.Compare(sqn, last) <= 0 {
			t.Fatalf("vector %d: the SIM would refuse sequence number %x after %x", i, sqn, last)
		}
		last = sqn
	}
}

// Another key gives other answers: the comparison above can fail.
func TestWrongKeyIsNoticed(t *testing.T) {
	b := setup(t)
	wrong, err := hlr.ParseSecret("00112233445566778899aabbccddeeff")
	must(t, err)
	opc, err := hlr.ParseSecret(opcHex)
	must(t, err)
	must(t, b.ctrl.SetMilenage(b.ctx, imsi, wrong, opc))
	vectors, err := b.sgsn.Authenticate(b.ctx, imsi)
	must(t, err)
	for _, v := range vectors {
		if _, res, _, _, _ := milenage(unhex(kHex), unhex(opcHex), v.RAND, make([]byte, 6), v.AUTN[6:8]); bytes.Equal(res, v.XRES) {
			t.Fatal("the SIM agrees with a register that has another K")
		}
	}
}

func TestSIMWithoutKeysIsRefused(t *testing.T) {
	b := setup(t)
	must(t, b.ctrl.ClearMilenage(b.ctx, imsi))
	_, err := b.sgsn.Authenticate(b.ctx, imsi)
	var refused *gsup.CauseError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v, want a refusal", err)
	}
}

func TestAttach(t *testing.T) {
	b := setup(t)
	for _, d := range []gsup.Domain{gsup.PS, gsup.CS} {
		msisdn, err := b.sgsn.Attach(b.ctx, imsi, d)
		must(t, err)
		if msisdn != number {
			t.Fatalf("domain %d: the phone got %q, want %q", d, msisdn, number)
		}
	}
	s, err := b.ctrl.Info(b.ctx, imsi)
	must(t, err)
	if s.SGSN == "" || s.VLR == "" || s.PurgedPS {
		t.Fatalf("the register does not know where the phone is: %+v", s)
	}
	must(t, b.sgsn.Purge(b.ctx, imsi, gsup.PS))
	if s, err = b.ctrl.Info(b.ctx, imsi); err != nil || !s.PurgedPS || s.PurgedCS {
		t.Fatalf("after the purge: %+v, %v", s, err)
	}
}

func TestBarredSIMIsRefusedAtTheNextAttach(t *testing.T) {
	b := setup(t)
	must(t, b.ctrl.SetPS(b.ctx, imsi, false))
	_, err := b.sgsn.Attach(b.ctx, imsi, gsup.PS)
	wantCause(t, err, gsup.CauseGPRSNotAllowed)
	_, err = b.sgsn.Attach(b.ctx, imsi, gsup.CS)
	must(t, err)
	must(t, b.ctrl.SetPS(b.ctx, imsi, true))
	_, err = b.sgsn.Attach(b.ctx, imsi, gsup.PS)
	must(t, err)
}

func TestDeletedSIMIsUnknown(t *testing.T) {
	b := setup(t)
	must(t, b.ctrl.Delete(b.ctx, imsi))
	_, err := b.sgsn.Attach(b.ctx, imsi, gsup.PS)
	wantCause(t, err, gsup.CauseIMSIUnknown)
	_, err = b.sgsn.Authenticate(b.ctx, imsi)
	wantCause(t, err, gsup.CauseIMSIUnknown)
}

// What the control interface changes does not reach an attached phone; what the command line changes does, in this order.
func TestOnlyTheCommandLinePushes(t *testing.T) {
	b := setup(t)
	_, err := b.sgsn.Attach(b.ctx, imsi, gsup.PS)
	must(t, err)
	must(t, b.ctrl.SetMSISDN(b.ctx, imsi, "447900000002"))
	must(t, b.ctrl.SetPS(b.ctx, imsi, false))
	must(t, b.ctrl.SetPS(b.ctx, imsi, true))
	must(t, b.vty.SetMSISDN(b.ctx, imsi, "447900000003"))
	want := gsup.Push{Kind: gsup.InsertSubscriberData, IMSI: imsi, MSISDN: "447900000003", Domain: gsup.PS}
	wantPush(t, b, want)
	must(t, b.vty.SetAccess(b.ctx, imsi, hlr.Access{CS: true}))
	wantPush(t, b, gsup.Push{Kind: gsup.DeleteSubscriberData, IMSI: imsi})
	_, err = b.sgsn.Attach(b.ctx, imsi, gsup.CS)
	must(t, err)
	must(t, b.vty.SetAccess(b.ctx, imsi, hlr.Access{}))
	wantPush(t, b, gsup.Push{Kind: gsup.DeleteSubscriberData, IMSI: imsi})
}

func wantPush(t *testing.T, b bench, want gsup.Push) {
	t.Helper()
	select {
	case got := <-b.sgsn.Pushes():
		if got != want {
			t.Fatalf("push %+v, want %+v", got, want)
		}
	case <-b.ctx.Done():
		t.Fatalf("no push, want %+v", want)
	}
}

func TestDialRefused(t *testing.T) {
	e := hlrtest.Start(t)
	e.Kill()
	if _, err := gsup.Dial(t.Context(), e.GSUP(), "SGSN-1"); err == nil {
		t.Fatal("connected to a dead register")
	}
}

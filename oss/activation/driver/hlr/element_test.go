package hlr_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"tandem/edge/gsup"
	edge "tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/lab"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/hlr"
)

// rig is a real register, a driver for it, and a serving node.
type rig struct {
	t     *testing.T
	ctx   context.Context
	e     *hlrtest.Element
	proxy *hlrtest.Proxy
	d     driver.Driver
	sgsn  *gsup.Peer
}

func setup(t *testing.T) rig {
	t.Helper()
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	e := hlrtest.Start(t)
	p := hlrtest.NewProxy(t, e.CTRL())
	sgsn, err := gsup.Dial(ctx, e.GSUP(), "SGSN-1")
	must(t, err)
	t.Cleanup(func() { sgsn.Close() })
	r := rig{t: t, ctx: ctx, e: e, proxy: p, sgsn: sgsn}
	r.d = r.open(driver.Endpoint{Address: p.Addr(), VTY: e.VTY()})
	return r
}

func (r rig) open(end driver.Endpoint) driver.Driver {
	r.t.Helper()
	end.Patience = time.Second
	d, err := hlr.New(end)
	must(r.t, err)
	r.t.Cleanup(func() { d.Close() })
	return d
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r rig) ensure(d driver.Desired) {
	r.t.Helper()
	_, err := r.d.Ensure(r.ctx, d)
	must(r.t, err)
}

func (r rig) attach(imsi string) {
	r.t.Helper()
	for _, domain := range []gsup.Domain{gsup.CS, gsup.PS} {
		_, err := r.sgsn.Attach(r.ctx, imsi, domain)
		must(r.t, err)
	}
}

// barred waits until the serving node is told to delete the subscriber's data. It is told more than once: for each domain taken away, as
// VLR and as SGSN.
func (r rig) barred(imsi string) {
	r.t.Helper()
	for {
		select {
		case p := <-r.sgsn.Pushes():
			if p.IMSI == imsi && p.Kind == gsup.DeleteSubscriberData {
				return
			}
		case <-r.ctx.Done():
			r.t.Fatal("the serving node is not told")
		}
	}
}

func access(imsi string, cs, ps string) driver.Desired {
	return driver.Desired{Type: driver.HLRSubscriber, Key: imsi, Attributes: map[string]string{"cs": cs, "ps": ps}}
}

func class(t *testing.T, err error, want driver.Class, words string) {
	t.Helper()
	var e *driver.Error
	if !errors.As(err, &e) || e.Class != want || !strings.Contains(err.Error(), words) {
		t.Fatalf("got %v (class %s), want class %s and the words %q", err, driver.ClassOf(err), want, words)
	}
}

func TestAnAttachedPhoneIsToldWhenItIsSuspendedOrDeleted(t *testing.T) {
	r := setup(t)
	one, two, three := full(1), full(2), full(3)
	for _, d := range []driver.Desired{one, two, three} {
		r.ensure(d)
		r.attach(d.Key)
	}
	r.ensure(access(one.Key, "false", "false"))
	r.barred(one.Key)
	r.ensure(access(two.Key, "true", "false"))
	r.barred(two.Key)
	r.ensure(driver.Desired{Type: driver.HLRSubscriber, Key: three.Key, Absent: true})
	r.barred(three.Key)
	_, err := r.sgsn.Attach(r.ctx, one.Key, gsup.PS)
	var refused *gsup.CauseError
	if !errors.As(err, &refused) || refused.Cause != gsup.CauseGPRSNotAllowed {
		t.Errorf("the suspended phone attaches: %v", err)
	}
	r.ensure(one)
	r.attach(one.Key)
}

// A suspension whose reply is lost was told to the serving node nevertheless, and one that died before it is told when it is tried again.
func TestAPhoneIsToldAlsoWhenTheControlInterfaceBreaks(t *testing.T) {
	r := setup(t)
	for n := 1; n <= 2; n++ {
		one := full(n)
		r.ensure(one)
		r.attach(one.Key)
		seen := r.proxy.Seen()
		r.proxy.SetRule(func(i int, _ string) hlrtest.Verdict {
			if i >= seen+n {
				return hlrtest.Verdict{Action: hlrtest.CutBefore}
			}
			return hlrtest.Verdict{}
		})
		if _, err := r.d.Ensure(r.ctx, access(one.Key, "false", "false")); err == nil {
			t.Fatal("it succeeded although nothing could be read back")
		}
		r.proxy.SetRule(nil)
		r.ensure(access(one.Key, "false", "false"))
		r.barred(one.Key)
	}
}

// Without its command line the register cannot tell the phone, so it is not suspended either: that would look done.
func TestSuspensionWaitsForTheCommandLine(t *testing.T) {
	r := setup(t)
	one := full(1)
	r.ensure(one)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	d := r.open(driver.Endpoint{Address: r.e.CTRL(), VTY: l.Addr().String()})
	_, err = d.Ensure(r.ctx, access(one.Key, "false", "false"))
	class(t, err, driver.Transient, l.Addr().String())
	must(t, holds(t, r.e.CTRL(), one))
	d = r.open(driver.Endpoint{Address: r.e.CTRL()})
	_, err = d.Ensure(r.ctx, access(one.Key, "false", "false"))
	must(t, err)
	must(t, holds(t, r.e.CTRL(), access(one.Key, "false", "false")))
	class(t, d.List(r.ctx, driver.HLRSubscriber, func(driver.Observed) error { return nil }), driver.Validation, "command line")
}

// The command line's idle connection dies with the register; the next suspension makes a new one.
func TestSuspensionAfterARestartOfTheRegister(t *testing.T) {
	r := setup(t)
	one := full(1)
	r.ensure(one)
	r.ensure(access(one.Key, "false", "false"))
	r.e.Restart()
	r.ensure(one)
	r.ensure(access(one.Key, "false", "false"))
	must(t, holds(t, r.e.CTRL(), access(one.Key, "false", "false")))
}

// Writing the keys would put the sequence number back to 0, and the SIM would refuse the network.
func TestTheSequenceNumberIsLeftAlone(t *testing.T) {
	r := setup(t)
	one := full(1)
	r.ensure(one)
	_, err := r.sgsn.Authenticate(r.ctx, one.Key)
	must(t, err)
	ctrl, err := edge.Dial(r.ctx, r.e.CTRL())
	must(t, err)
	defer ctrl.Close()
	before, err := ctrl.AuthInfo(r.ctx, one.Key)
	must(t, err)
	if before.SQN == 0 {
		t.Fatal("the sequence number is 0, so this proves nothing")
	}
	for _, d := range []driver.Desired{one, access(one.Key, "false", "false"), one} {
		r.ensure(d)
	}
	after, err := ctrl.AuthInfo(r.ctx, one.Key)
	must(t, err)
	if after.SQN != before.SQN {
		t.Errorf("the sequence number went from %d to %d", before.SQN, after.SQN)
	}
}

func TestANumberInUse(t *testing.T) {
	r := setup(t)
	one, two := full(1), full(2)
	r.ensure(one)
	two.Attributes["msisdn"] = one.Attributes["msisdn"]
	_, err := r.d.Ensure(r.ctx, two)
	class(t, err, driver.Conflict, "MSISDN "+one.Attributes["msisdn"]+" is in use by another subscriber on the element")
	if holds(t, r.e.CTRL(), access(two.Key, "true", "true")) == nil {
		t.Error("half a subscriber was left")
	}
}

// The number is taken between the question and the change.
func TestANumberTakenMeanwhile(t *testing.T) {
	r := setup(t)
	one, two := full(1), full(2)
	r.ensure(one)
	number := "447900009999"
	two.Attributes["msisdn"] = number
	taken := false
	r.proxy.SetRule(func(_ int, command string) hlrtest.Verdict {
		if !taken && strings.Contains(command, "create") {
			taken = true
			send(t, r.e.CTRL(), edge.MSISDNCommand(one.Key, number))
		}
		return hlrtest.Verdict{}
	})
	_, err := r.d.Ensure(r.ctx, two)
	class(t, err, driver.Conflict, "MSISDN "+number+" is in use by another subscriber on the element")
}

// Somebody undoes every change before it is read back: the register's OK is not the state.
func TestAReplyIsNotTrusted(t *testing.T) {
	r := setup(t)
	one := full(1)
	r.ensure(one)
	want := full(1)
	want.Attributes["msisdn"] = "447900009999"
	changed := false
	r.proxy.SetRule(func(_ int, command string) hlrtest.Verdict {
		if strings.HasPrefix(command, "SET") {
			changed = true
		}
		if changed && strings.HasSuffix(command, want.Key+".info") {
			changed = false
			for holds(t, r.e.CTRL(), want) != nil && r.ctx.Err() == nil {
				continue // until the change in front of this question is done
			}
			send(t, r.e.CTRL(), edge.MSISDNCommand(want.Key, one.Attributes["msisdn"]))
		}
		return hlrtest.Verdict{}
	})
	_, err := r.d.Ensure(r.ctx, want)
	class(t, err, driver.Conflict, "reading it back shows otherwise")
}

// A frozen register keeps connections open and answers nobody; what it was sent it does when it wakes up.
func TestAFrozenRegister(t *testing.T) {
	r := setup(t)
	one := full(1)
	r.ensure(full(2))
	r.e.Freeze()
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	_, err := r.d.Ensure(ctx, one)
	class(t, err, driver.Transient, "cannot be reached")
	r.e.Thaw()
	r.ensure(one)
	must(t, holds(t, r.e.CTRL(), one))
}

// A SIM swap: the number moves when the old SIM is gone.
func TestSIMSwap(t *testing.T) {
	r := setup(t)
	one, two := full(1), full(2)
	r.ensure(one)
	two.Attributes["msisdn"] = one.Attributes["msisdn"]
	r.ensure(driver.Desired{Type: one.Type, Key: one.Key, Absent: true})
	r.ensure(two)
	if err := usesPhone(t, r.e.GSUP(), two); err != nil {
		t.Error(err)
	}
	if usesPhone(t, r.e.GSUP(), one) == nil {
		t.Error("the old SIM still works")
	}
}

// What the register refuses without a reason that we know is worth another try, and its words are told.
func TestAnUnknownRefusal(t *testing.T) {
	reg, err := lab.StartHLR(t.Context(), lab.HLRConfig{Dir: t.TempDir()})
	must(t, err)
	defer reg.Close()
	d, err := hlr.New(driver.Endpoint{Address: reg.Addr()})
	must(t, err)
	defer d.Close()
	reg.SetFaults(func(c edge.Command) lab.Fault {
		if c.Verb == edge.Set {
			return lab.Fault{Action: lab.Refuse, Text: "Disk on fire"}
		}
		return lab.Fault{}
	})
	_, err = d.Ensure(t.Context(), full(1))
	class(t, err, driver.Transient, "Disk on fire")
	reg.SetFaults(nil)
	_, err = d.Ensure(t.Context(), full(1))
	must(t, err)
}

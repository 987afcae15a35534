package hlr_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/lab"
)

const (
	imsi = "240010000000001"
	kHex = "465b5ce8b199b49faa5f0a2ee238a6bc"
	opc  = "cd63cb71954a9f4e48a5994e37a02baf"
)

// register is one of the two elements that must not be told apart.
type register struct {
	ctrl, vty string
}

// onBoth runs f on a fresh lab register and on a fresh osmo-hlr.
func onBoth(t *testing.T, f func(t *testing.T, ctx context.Context, r register)) {
	t.Run("lab", func(t *testing.T) {
		h, err := lab.StartHLR(t.Context(), lab.HLRConfig{Dir: t.TempDir()})
		must(t, err)
		t.Cleanup(func() { must(t, h.Close()) })
		f(t, limited(t), register{h.Addr(), h.VTYAddr()})
	})
	t.Run("osmo-hlr", func(t *testing.T) {
		e := hlrtest.Start(t)
		f(t, limited(t), register{e.CTRL(), e.VTY()})
	})
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dial(t testing.TB, ctx context.Context, addr string) *hlr.Client {
	t.Helper()
	c, err := hlr.Dial(ctx, addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func dialVTY(t testing.TB, ctx context.Context, addr string) *hlr.VTY {
	t.Helper()
	v, err := hlr.DialVTY(ctx, addr)
	must(t, err)
	t.Cleanup(func() { v.Close() })
	return v
}

func secret(t testing.TB, s string) hlr.Secret {
	t.Helper()
	k, err := hlr.ParseSecret(s)
	must(t, err)
	return k
}

const infoRest = "\nms_purged_cs\t0\nms_purged_ps\t0\nperiodic_lu_timer\t0\nperiodic_rau_tau_timer\t0\nlmsi\t00000000"

// step is a command and the words that come back: the value, or "!" and the error text.
type step struct {
	command string // GET or SET, variable, value; ~ stands for subscriber.by-imsi-240010000000001
	want    string
}

var steps = []step{
	{"SET subscriber.create 240010000000001", "1"},
	{"SET subscriber.create 240010000000001", "!Subscriber already exists."},
	{"SET subscriber.create abc", "!Invalid IMSI value."},
	{"SET subscriber.create 12345", "!Invalid IMSI value."},
	{"SET subscriber.create 1234567890123456", "!Invalid IMSI value."},
	{"SET subscriber.create 240010000000004 x", "!Invalid IMSI value."},
	{"GET subscriber.create", "!Write Only attribute"},
	{"SET subscriber.create 012345", "2"}, // a leading zero counts
	{"GET ~.info", "\nid\t1\nimsi\t240010000000001\nnam_cs\t1\nnam_ps\t1" + infoRest},
	{"GET ~.info-aud", ""},
	{"GET ~.info-all", "\nid\t1\nimsi\t240010000000001\nnam_cs\t1\nnam_ps\t1" + infoRest},

	{"GET ~.msisdn", "none"},
	{"SET ~.msisdn 447900000001", "OK"},
	{"SET ~.msisdn 447900000001", "OK"},
	{"GET ~.msisdn", "447900000001"},
	{"GET ~.info", "\nid\t1\nimsi\t240010000000001\nmsisdn\t447900000001\nnam_cs\t1\nnam_ps\t1" + infoRest},
	{"SET subscriber.by-id-2.msisdn 447900000001", "!Update MSISDN failed"},
	{"SET subscriber.by-id-2.msisdn 0447900000001", "OK"},
	{"SET ~.msisdn abc", "!Value failed verification."},
	{"SET ~.msisdn +447", "!Value failed verification."},
	{"SET ~.msisdn 1234567890123456", "!Value failed verification."},
	{"GET subscriber.by-msisdn-447900000001.info", "\nid\t1\nimsi\t240010000000001\nmsisdn\t447900000001\nnam_cs\t1\nnam_ps\t1" + infoRest},
	{"GET subscriber.by-msisdn-0447900000001.info", "\nid\t2\nimsi\t012345\nmsisdn\t0447900000001\nnam_cs\t1\nnam_ps\t1" + infoRest},
	{"GET subscriber.by-msisdn-447900000009.info", "!No such subscriber."},
	{"GET subscriber.by-msisdn-abc.info", "!Invalid value part of 'by-xxx-value' selector."},
	{"SET subscriber.by-msisdn-447900000001.msisdn 447900000002", "OK"},
	{"GET subscriber.by-msisdn-447900000001.msisdn", "!No such subscriber."},
	{"SET ~.msisdn none", "OK"},
	{"SET ~.msisdn none", "OK"},
	{"SET subscriber.by-id-2.msisdn 447900000002", "OK"}, // free again

	{"GET ~.aud3g", "none"},
	{"SET ~.aud3g none", "!Update aud3g failed."},
	{"SET ~.aud3g milenage," + kHex + ",OPC," + opc, "OK"},
	{"GET ~.aud3g", "MILENAGE," + kHex + ",OPC," + opc + ",5"},
	{"GET ~.info-aud", "\naud3g.algo\tMILENAGE\naud3g.k\t" + kHex + "\naud3g.opc\t" + opc + "\naud3g.ind_bitlen\t5\naud3g.sqn\t0"},
	{"SET ~.aud3g milenage," + strings.ToUpper(kHex) + ",opc," + opc + ",7x", "OK"},
	{"GET ~.aud3g", "MILENAGE," + kHex + ",OPC," + opc + ",7"},
	{"SET ~.aud3g milenage," + kHex + ",OP," + opc, "OK"},
	{"GET ~.info-aud", "\naud3g.algo\tMILENAGE\naud3g.k\t" + kHex + "\naud3g.op\t" + opc + "\naud3g.ind_bitlen\t5\naud3g.sqn\t0"},
	{"SET ~.aud3g milenage," + kHex[1:] + ",OPC," + opc, "!Invalid KI."},
	{"SET ~.aud3g milenage," + kHex[1:] + "z,OPC," + opc, "!Invalid KI."},
	{"SET ~.aud3g milenage," + kHex + ",OPC," + opc[2:], "!Invalid OP/OPC."},
	{"SET ~.aud3g milenage," + kHex + ",OPX," + opc, "!Invalid format."},
	{"SET ~.aud3g milenage," + kHex + ",OPC", "!Invalid format."},
	{"SET ~.aud3g milenage", "!Value failed verification."},
	{"SET ~.aud3g foo," + kHex + ",OPC," + opc, "!Unknown auth algorithm."},
	{"SET ~.aud3g comp128v1," + kHex + ",OPC," + opc, "!Update aud3g failed."},
	{"SET ~.aud3g milenage," + kHex + ",OPC," + opc + ",29", "!Update aud3g failed."},
	{"SET ~.aud3g NONE", "OK"},
	{"GET ~.aud3g", "none"},
	{"SET ~.aud3g xor," + kHex + ",OPC," + opc, "OK"},

	{"GET ~.aud2g", "none"},
	{"SET ~.aud2g none", "!Update aud2g failed."},
	{"SET ~.aud2g comp128v1," + kHex, "OK"},
	{"GET ~.aud2g", "COMP128v1," + kHex},
	{"SET ~.aud2g milenage," + kHex, "!Update aud2g failed."},
	{"SET ~.aud2g comp128v1,12", "!Invalid KI."},
	{"SET ~.aud2g comp128," + kHex, "!Unknown auth algorithm."},
	{"SET ~.aud2g comp128v1", "!Value failed verification."},
	{"GET ~.info-aud", "\naud2g.algo\tCOMP128v1\naud2g.ki\t" + kHex + "\naud3g.algo\tXOR\naud3g.k\t" + kHex + "\naud3g.opc\t" + opc +
		"\naud3g.ind_bitlen\t5\naud3g.sqn\t0"},

	{"SET ~.ps-enabled 0", "OK"},
	{"SET ~.ps-enabled 0", "OK"},
	{"GET ~.ps-enabled", "0"},
	{"GET ~.cs-enabled", "1"},
	{"SET ~.ps-enabled 2", "!Value failed verification."},
	{"SET ~.cs-enabled true", "!Value failed verification."},
	{"SET ~.cs-enabled 0", "OK"},
	{"GET ~.info", "\nid\t1\nimsi\t240010000000001\nnam_cs\t0\nnam_ps\t0" + infoRest},
	{"SET ~.cs-enabled 1", "OK"},

	{"SET subscriber.by-imsi-240010000000009.ps-enabled 0", "!An error has occurred."},
	{"SET subscriber.by-imsi-240010000000009.cs-enabled 1", "!An error has occurred."},
	{"SET subscriber.by-imsi-240010000000009.ps-enabled 7", "!Value failed verification."},
	{"SET subscriber.by-id-77.ps-enabled 1", "!No such subscriber."},
	{"SET subscriber.by-msisdn-77.cs-enabled 1", "!No such subscriber."},
	{"GET subscriber.by-imsi-240010000000009.ps-enabled", "!No such subscriber."},
	{"SET subscriber.by-imsi-240010000000009.msisdn 5", "!No such subscriber."},
	{"SET subscriber.by-imsi-240010000000009.aud3g none", "!No such subscriber."},
	{"GET subscriber.by-imsi-240010000000009.info", "!No such subscriber."},
	{"GET subscriber.by-imsi-240010000000009.info-aud", ""}, // as if it had no keys
	{"GET subscriber.by-imsi-240010000000009.info-all", "!No such subscriber."},
	{"GET subscriber.by-imsi-240010000000009.aud3g", "!No such subscriber."},
	{"GET subscriber.by-id-99.info-aud", "!No such subscriber."},
	{"GET subscriber.by-msisdn-99.info-aud", "!No such subscriber."},
	{"GET subscriber.by-imsi-2400.info", "!Invalid value part of 'by-xxx-value' selector."},
	{"GET subscriber.by-id-0.info", "!No such subscriber."},
	{"GET subscriber.by-id--1.info", "!No such subscriber."},
	{"GET subscriber.by-id-.info", "!No such subscriber."},
	{"GET subscriber.by-id-x.info", "!Invalid value part of 'by-xxx-value' selector."},
	{"GET subscriber.by-id-1x.info", "!Invalid value part of 'by-xxx-value' selector."},
	{"GET subscriber.by-foo-1.info", "!Not a known subscriber 'by-xxx-' selector."},
	{"GET subscriber.by-imsi.info", "!Not a known subscriber 'by-xxx-' selector."},
	{"GET ~.foo", "!Command not found"},
	{"SET ~.foo 1", "!Command not found"},
	{"GET subscriber.by-imsi-240010000000009.foo", "!Command not found"},
	{"GET foo", "!Command not found"},
	{"GET subscriber", "!Command not present."},
	{"GET ~", "!Command not present."},
	{"SET ~.info 1", "!Read Only attribute"},
	{"SET ~.info-aud 1", "!Read Only attribute"},

	{"SET subscriber.delete abc", "!Invalid IMSI value."},
	{"SET subscriber.delete 240010000000009", "!Subscriber doesn't exist."},
	{"SET subscriber.delete 240010000000001", "1"},
	{"SET subscriber.delete 240010000000001", "!Subscriber doesn't exist."},
	{"SET subscriber.create 240010000000001", "3"}, // 2 is the highest id in use
	{"GET ~.info-all", "\nid\t3\nimsi\t240010000000001\nnam_cs\t1\nnam_ps\t1" + infoRest},
	{"SET subscriber.delete 240010000000001", "3"},
	{"SET subscriber.create 240010000000005", "3"}, // the highest id is used again
	{"GET subscriber.by-id-3.msisdn", "none"},
	{"GET subscriber.by-id-3.aud3g", "none"},
}

func (s step) parse() hlr.Command {
	f := strings.SplitN(strings.ReplaceAll(s.command, "~", "subscriber.by-imsi-"+imsi), " ", 3)
	cmd := hlr.Command{Verb: hlr.Verb(f[0]), Var: f[1]}
	if len(f) == 3 {
		cmd.Value = f[2]
	}
	return cmd
}

// check compares a reply with the words that are wanted; a mismatch never prints keys of real SIMs, these are the test set's.
func (s step) check(r hlr.Reply) error {
	got := r.Value
	var refused *hlr.Error
	if errors.As(r.Err, &refused) {
		got = "!" + refused.Text
	}
	if got != s.want {
		return fmt.Errorf("%s: got %q, want %q", s.command, got, s.want)
	}
	return nil
}

// TestSameReplies runs the same commands on both registers, one by one and then all in one pipeline.
func TestSameReplies(t *testing.T) {
	onBoth(t, func(t *testing.T, ctx context.Context, r register) {
		c := dial(t, ctx, r.ctrl)
		for _, s := range steps {
			replies, err := c.Do(ctx, s.parse())
			must(t, err)
			if err := s.check(replies[0]); err != nil {
				t.Error(err)
			}
		}
		var cmds []hlr.Command
		for _, s := range steps {
			cmds = append(cmds, s.parse())
		}
		for _, leftover := range []string{"012345", "240010000000005"} {
			must(t, c.Delete(ctx, leftover))
		}
		replies, err := c.Do(ctx, cmds...)
		must(t, err)
		for i, s := range steps {
			if err := s.check(replies[i]); err != nil {
				t.Errorf("in a pipeline: %v", err)
			}
		}
	})
}

// TestHelpers walks the life of a SIM through the typed methods.
func TestHelpers(t *testing.T) {
	onBoth(t, func(t *testing.T, ctx context.Context, r register) {
		c := dial(t, ctx, r.ctrl)
		k, o := secret(t, kHex), secret(t, opc)
		id, err := c.Create(ctx, imsi)
		must(t, err)
		want(t, hlr.Exists, second(c.Create(ctx, imsi)))
		want(t, hlr.InvalidIMSI, second(c.Create(ctx, "12")))
		must(t, c.SetMSISDN(ctx, imsi, "447900000001"))
		must(t, c.SetMilenage(ctx, imsi, k, o))
		must(t, c.SetPS(ctx, imsi, true))
		must(t, c.SetCS(ctx, imsi, false))
		s, err := c.Info(ctx, imsi)
		must(t, err)
		if s != (hlr.Subscriber{ID: id, IMSI: imsi, MSISDN: "447900000001", PS: true}) {
			t.Errorf("read back %+v", s)
		}
		holder, err := c.InfoByMSISDN(ctx, "447900000001")
		if err != nil || holder != s {
			t.Errorf("the holder of the number is %+v, %v", holder, err)
		}
		auth, err := c.AuthInfo(ctx, imsi)
		must(t, err)
		if !auth.Matches(k, o) || auth.Matches(o, k) || auth.IndBits != 5 {
			t.Error("the keys do not read back")
		}
		must(t, c.ClearMilenage(ctx, imsi))
		must(t, c.ClearMilenage(ctx, imsi)) // there are none: no error
		if auth, err = c.AuthInfo(ctx, imsi); err != nil || auth.Matches(k, o) || auth.Algorithm != "" {
			t.Errorf("after clearing: %v, %v", auth, err)
		}
		must(t, c.SetMSISDN(ctx, imsi, ""))
		want(t, hlr.NoSubscriber, second(c.InfoByMSISDN(ctx, "447900000001")))
		must(t, c.Delete(ctx, imsi))
		for name, err := range map[string]error{
			"delete": c.Delete(ctx, imsi), "msisdn": c.SetMSISDN(ctx, imsi, "1"), "keys": c.SetMilenage(ctx, imsi, k, o),
			"clear": c.ClearMilenage(ctx, imsi), "ps": c.SetPS(ctx, imsi, false), "cs": c.SetCS(ctx, imsi, true),
			"info": second(c.Info(ctx, imsi)), "auth": second(c.AuthInfo(ctx, imsi)),
		} {
			if !errors.Is(err, hlr.NoSubscriber) || hlr.OutcomeUnknown(err) {
				t.Errorf("%s of an absent subscriber: %v", name, err)
			}
		}
	})
}

func TestNumberInUse(t *testing.T) {
	onBoth(t, func(t *testing.T, ctx context.Context, r register) {
		c, v := dial(t, ctx, r.ctrl), dialVTY(t, ctx, r.vty)
		for _, s := range []string{"240010000000001", "240010000000002"} {
			_, err := c.Create(ctx, s)
			must(t, err)
		}
		must(t, c.SetMSISDN(ctx, "240010000000001", "447900000001"))
		want(t, hlr.NumberInUse, c.SetMSISDN(ctx, "240010000000002", "447900000001"))
		want(t, hlr.NumberInUse, v.SetMSISDN(ctx, "240010000000002", "447900000001"))
		must(t, v.SetMSISDN(ctx, "240010000000001", ""))
		must(t, v.SetMSISDN(ctx, "240010000000002", "447900000001"))
		if s, err := c.InfoByMSISDN(ctx, "447900000001"); err != nil || s.IMSI != "240010000000002" {
			t.Errorf("the number is with %+v, %v", s, err)
		}
	})
}

// TestCommandLine reads the table and changes the access mode on both registers.
func TestCommandLine(t *testing.T) {
	onBoth(t, func(t *testing.T, ctx context.Context, r register) {
		c, v := dial(t, ctx, r.ctrl), dialVTY(t, ctx, r.vty)
		if list := table(t, ctx, v); len(list) != 0 {
			t.Fatalf("an empty register lists %v", list)
		}
		var want []hlr.Subscriber
		var cmds []hlr.Command
		modes := []hlr.Access{{CS: true, PS: true}, {CS: true}, {PS: true}, {}}
		for i := range 1500 {
			s := hlr.Subscriber{ID: int64(i + 1), IMSI: fmt.Sprintf("24001%010d", i), CS: true, PS: true}
			cmds = append(cmds, hlr.CreateCommand(s.IMSI))
			if i%3 == 0 {
				s.MSISDN = fmt.Sprintf("4479%011d", i)
				cmds = append(cmds, hlr.MSISDNCommand(s.IMSI, s.MSISDN))
			}
			want = append(want, s)
		}
		_, err := c.Do(ctx, cmds...)
		must(t, err)
		for i, mode := range modes {
			must(t, v.SetAccess(ctx, want[i].IMSI, mode))
			want[i].CS, want[i].PS = mode.CS, mode.PS
			s, err := c.Info(ctx, want[i].IMSI)
			if err != nil || s.CS != mode.CS || s.PS != mode.PS {
				t.Errorf("mode %v reads back as %+v, %v", mode, s, err)
			}
		}
		if got := table(t, ctx, v); !slices.Equal(got, want) {
			t.Errorf("the table has %d rows and differs from the %d subscribers", len(got), len(want))
		}
		if err := v.SetAccess(ctx, "240010000009999", hlr.Access{}); !errors.Is(err, hlr.NoSubscriber) {
			t.Errorf("mode of an absent subscriber: %v", err)
		}
		if err := v.SetMSISDN(ctx, "240010000009999", "1"); !errors.Is(err, hlr.NoSubscriber) {
			t.Errorf("number of an absent subscriber: %v", err)
		}
	})
}

// TestStoppedTable leaves the table early: the connection is given up, and says so.
func TestStoppedTable(t *testing.T) {
	onBoth(t, func(t *testing.T, ctx context.Context, r register) {
		c, v := dial(t, ctx, r.ctrl), dialVTY(t, ctx, r.vty)
		for _, s := range []string{"240010000000001", "240010000000002"} {
			_, err := c.Create(ctx, s)
			must(t, err)
		}
		for s, err := range v.Subscribers(ctx) {
			must(t, err)
			if s.ID != 1 {
				t.Fatalf("first row %+v", s)
			}
			break
		}
		want(t, hlr.NotSent, v.SetAccess(ctx, imsi, hlr.Access{}))
	})
}

func table(t *testing.T, ctx context.Context, v *hlr.VTY) []hlr.Subscriber {
	t.Helper()
	var list []hlr.Subscriber
	for s, err := range v.Subscribers(ctx) {
		must(t, err)
		list = append(list, s)
	}
	return list
}

func want(t *testing.T, kind hlr.Kind, err error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

func second[T any](_ T, err error) error { return err }

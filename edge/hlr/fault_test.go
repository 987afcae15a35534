package hlr_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
)

// setup gives a client that reaches a real register through a proxy, and one that reaches it directly.
func setup(t *testing.T) (p *hlrtest.Proxy, through, direct *hlr.Client, ctx context.Context) {
	t.Helper()
	e := hlrtest.Start(t)
	p = hlrtest.NewProxy(t, e.CTRL())
	ctx = limited(t)
	return p, dial(t, ctx, p.Addr()), dial(t, ctx, e.CTRL()), ctx
}

func soon(t *testing.T, ctx context.Context) context.Context {
	ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestLostReplyIsAnUnknownOutcome(t *testing.T) {
	p, c, _, ctx := setup(t)
	p.SetRule(hlrtest.Once("create", hlrtest.Verdict{Action: hlrtest.Swallow}))
	_, err := c.Create(soon(t, ctx), imsi)
	if !errors.Is(err, hlr.Timeout) || !errors.Is(err, context.DeadlineExceeded) || !hlr.OutcomeUnknown(err) {
		t.Fatalf("got %v", err)
	}
	if s, err := c.Info(ctx, imsi); err != nil || s.IMSI != imsi {
		t.Fatalf("the read-back on the same connection: %+v, %v", s, err)
	}
}

func TestLateReplyGoesToNobody(t *testing.T) {
	p, c, _, ctx := setup(t)
	release := make(chan struct{})
	p.SetRule(hlrtest.Once("create", hlrtest.Verdict{Action: hlrtest.Hold, Until: release}))
	want(t, hlr.Timeout, second(c.Create(soon(t, ctx), imsi)))
	close(release)
	want(t, hlr.NoSubscriber, c.Delete(ctx, "240010000000002"))
	must(t, c.Delete(ctx, imsi))
}

func TestLateReplyInTime(t *testing.T) {
	p, c, _, ctx := setup(t)
	release := make(chan struct{})
	p.SetRule(func(_ int, command string) hlrtest.Verdict {
		if strings.Contains(command, "create") {
			return hlrtest.Verdict{Action: hlrtest.Hold, Until: release}
		}
		close(release) // the reply to the second command overtakes the first
		return hlrtest.Verdict{}
	})
	replies, err := c.Do(ctx, hlr.CreateCommand(imsi), hlr.InfoCommand(imsi))
	must(t, err)
	if replies[0].Value != "1" || !strings.Contains(replies[1].Value, imsi) {
		t.Fatalf("replies %v", replies)
	}
}

func TestCutConnection(t *testing.T) {
	for _, c := range []struct {
		action   hlrtest.Action
		executed bool
	}{{hlrtest.CutBefore, false}, {hlrtest.CutAfter, true}} {
		t.Run(fmt.Sprintf("executed %v", c.executed), func(t *testing.T) {
			p, through, direct, ctx := setup(t)
			p.SetRule(hlrtest.Once("create", hlrtest.Verdict{Action: c.action}))
			_, err := through.Create(ctx, imsi)
			if !errors.Is(err, hlr.Lost) || !hlr.OutcomeUnknown(err) {
				t.Fatalf("got %v", err)
			}
			_, err = direct.Info(ctx, imsi)
			if executed := err == nil; executed != c.executed {
				t.Fatalf("executed is %v (%v)", executed, err)
			}
			_, err = through.Create(ctx, imsi)
			if !errors.Is(err, hlr.NotSent) || hlr.OutcomeUnknown(err) {
				t.Fatalf("on a dead connection: %v", err)
			}
		})
	}
}

// The replies before the cut count, the command at the cut is unknown, and what was behind the window was never sent.
func TestCutInThePipeline(t *testing.T) {
	p, c, direct, ctx := setup(t)
	p.SetRule(func(n int, _ string) hlrtest.Verdict {
		if n == 10 {
			return hlrtest.Verdict{Action: hlrtest.CutAfter}
		}
		return hlrtest.Verdict{}
	})
	var cmds []hlr.Command
	for i := range 200 {
		cmds = append(cmds, hlr.CreateCommand(fmt.Sprintf("24001%010d", i)))
	}
	replies, err := c.Do(ctx, cmds...)
	want(t, hlr.Lost, err)
	for i, r := range replies {
		switch {
		case i < 9 && r.Err != nil:
			t.Errorf("command %d: %v", i, r.Err)
		case i == 9 && !hlr.OutcomeUnknown(r.Err):
			t.Errorf("command %d at the cut: %v", i, r.Err)
		case i >= 64 && !errors.Is(r.Err, hlr.NotSent):
			t.Errorf("command %d behind the window: %v", i, r.Err)
		}
		if errors.Is(r.Err, hlr.NotSent) {
			want(t, hlr.NoSubscriber, second(direct.Info(ctx, cmds[i].Value)))
		}
	}
}

// A frozen element executes late; a read on the same connection cannot overtake.
func TestFrozenElement(t *testing.T) {
	e := hlrtest.Start(t)
	ctx := limited(t)
	c := dial(t, ctx, e.CTRL())
	e.Freeze()
	want(t, hlr.Timeout, second(c.Create(soon(t, ctx), imsi)))
	e.Thaw()
	if s, err := c.Info(ctx, imsi); err != nil || s.IMSI != imsi {
		t.Fatalf("read back %+v, %v", s, err)
	}
}

func TestRestartedElementKeepsItsSubscribers(t *testing.T) {
	e := hlrtest.Start(t)
	ctx := limited(t)
	c := dial(t, ctx, e.CTRL())
	_, err := c.Create(ctx, imsi)
	must(t, err)
	e.Kill()
	_, err = c.Info(ctx, imsi)
	if !errors.Is(err, hlr.Lost) && !errors.Is(err, hlr.NotSent) {
		t.Fatalf("from a dead element: %v", err)
	}
	want(t, hlr.NotSent, second(hlr.Dial(ctx, e.CTRL())))
	e.Restart()
	if _, err := dial(t, ctx, e.CTRL()).Info(ctx, imsi); err != nil {
		t.Fatal(err)
	}
}

// Many callers share a client; each gets its own answers.
func TestConcurrentCallers(t *testing.T) {
	onBoth(t, func(t *testing.T, ctx context.Context, r register) {
		c := dial(t, ctx, r.ctrl)
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				for j := range 20 {
					own := fmt.Sprintf("24001%05d%05d", i, j)
					replies, err := c.Do(ctx, hlr.CreateCommand(own), hlr.InfoCommand(own))
					if err != nil || replies[0].Err != nil || !strings.Contains(replies[1].Value, own) {
						t.Errorf("%s: %v, %v", own, replies, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// What cannot be one command is refused before it is sent.
func TestCommandsThatAreNotSent(t *testing.T) {
	p, c, _, ctx := setup(t)
	for _, cmd := range []hlr.Command{
		hlr.CreateCommand("240010000000001\nSET 1 subscriber.delete 1"),
		hlr.MSISDNCommand("1 x", "1"),
		hlr.MSISDNCommand(imsi, "1\x00"),
		hlr.CreateCommand(""),
		hlr.CreateCommand(strings.Repeat("1", 1200)),
		{Verb: "DEL", Var: "subscriber.create", Value: "1"},
		{Verb: hlr.Get, Var: "subscriber.by-id-1.info", Value: "1"},
	} {
		replies, err := c.Do(ctx, hlr.CreateCommand("240010000000007"), cmd)
		if !errors.Is(err, hlr.InvalidValue) || !errors.Is(replies[0].Err, hlr.NotSent) || !errors.Is(replies[1].Err, hlr.NotSent) {
			t.Errorf("%v: %v, %v", cmd, err, replies)
		}
	}
	expired, cancel := context.WithCancel(ctx)
	cancel()
	want(t, hlr.NotSent, second(c.Create(expired, imsi)))
	if n := p.Seen(); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
}

// A real register survives the longest command that the client sends.
func TestLongestCommand(t *testing.T) {
	_, c, _, ctx := setup(t)
	longest := hlr.MSISDNCommand(imsi, "")
	longest.Value = strings.Repeat("9", hlr.MaxCommand-16-len(longest.Var))
	replies, err := c.Do(ctx, longest)
	must(t, err)
	want(t, hlr.InvalidValue, replies[0].Err)
	want(t, hlr.NoSubscriber, second(c.Info(ctx, imsi)))
}

// Keys appear in no way of printing.
func TestKeysAreNeverPrinted(t *testing.T) {
	_, c, _, ctx := setup(t)
	k, o := secret(t, kHex), secret(t, opc)
	_, err := c.Create(ctx, imsi)
	must(t, err)
	cmd := hlr.MilenageCommand(imsi, k, o)
	replies, err := c.Do(ctx, cmd, hlr.AuthCommand(imsi), hlr.Command{Verb: hlr.Get, Var: "subscriber.by-imsi-" + imsi + ".aud3g"})
	must(t, err)
	if !strings.Contains(replies[1].Value, kHex) || !strings.Contains(replies[2].Value, kHex) {
		t.Fatal("the replies have no keys, so this test proves nothing")
	}
	auth, err := c.AuthInfo(ctx, imsi)
	must(t, err)
	_, badKey := hlr.ParseSecret(kHex + "0")
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range []any{k, &k, cmd, &cmd, replies, auth, &auth, badKey, []hlr.Command{cmd}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
		logger.Info("a value", "v", v)
	}
	for _, v := range []any{k, auth, cmd, replies} {
		b, err := json.Marshal(v)
		must(t, err)
		out.Write(b)
	}
	text := strings.ToLower(out.String())
	for _, secret := range []string{kHex, opc, kHex[:8], opc[:8], "70, 91, 92", "[70 91 92", "0x46"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q was printed in %q", secret, text)
		}
	}
}

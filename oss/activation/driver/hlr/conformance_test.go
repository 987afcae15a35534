package hlr_test

import (
	"context"
	"crypto/aes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tandem/edge/gsup"
	edge "tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/lab"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/drivertest"
	"tandem/oss/activation/driver/hlr"
)

func TestConformanceOfTheLab(t *testing.T) { drivertest.Run(t, startLab) }

func TestConformanceOfTheRealElement(t *testing.T) { drivertest.Run(t, startReal) }

// startLab disturbs the register with its own faults.
func startLab(t *testing.T) drivertest.Harness {
	cfg := lab.HLRConfig{Dir: t.TempDir()}
	start := func() *lab.HLR {
		r, err := lab.StartHLR(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := start()
	cfg.CTRLAddr, cfg.VTYAddr = r.Addr(), r.VTYAddr()
	t.Cleanup(func() { r.Close() })
	h := common(cfg.CTRLAddr)
	h.Endpoint = driver.Endpoint{Address: cfg.CTRLAddr, VTY: cfg.VTYAddr}
	h.Inject = func(rule drivertest.Rule) { r.SetFaults(labFaults(rule)) }
	h.Kill = func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	h.Restart = func() { r = start() }
	return h
}

func labFaults(rule drivertest.Rule) lab.Faults {
	if rule == nil {
		return nil
	}
	actions := map[drivertest.Action]lab.Action{drivertest.LoseReply: lab.LoseReply, drivertest.HoldReply: lab.LateReply,
		drivertest.CutBefore: lab.CloseBefore, drivertest.CutAfter: lab.CloseAfter}
	var mu sync.Mutex
	n := 0
	return func(edge.Command) lab.Fault {
		mu.Lock()
		defer mu.Unlock()
		n++
		f := rule(n)
		return lab.Fault{Action: actions[f.Action], Until: f.Until}
	}
}

// startReal disturbs the way to the register with a proxy.
func startReal(t *testing.T) drivertest.Harness {
	e := hlrtest.Start(t)
	p := hlrtest.NewProxy(t, e.CTRL())
	h := common(e.CTRL())
	h.Endpoint = driver.Endpoint{Address: p.Addr(), VTY: e.VTY()}
	h.Inject = func(rule drivertest.Rule) { p.SetRule(proxyRule(p.Seen(), rule)) }
	h.Kill, h.Restart = e.Kill, e.Restart
	h.Works = func(t testing.TB, d driver.Desired) error { return usesPhone(t, e.GSUP(), d) }
	return h
}

func proxyRule(before int, rule drivertest.Rule) hlrtest.Rule {
	if rule == nil {
		return nil
	}
	actions := map[drivertest.Action]hlrtest.Action{drivertest.LoseReply: hlrtest.Swallow, drivertest.HoldReply: hlrtest.Hold,
		drivertest.CutBefore: hlrtest.CutBefore, drivertest.CutAfter: hlrtest.CutAfter}
	return func(n int, _ string) hlrtest.Verdict {
		f := rule(n - before)
		return hlrtest.Verdict{Action: actions[f.Action], Until: f.Until}
	}
}

// common is what both registers share; direct is the address past the faults.
func common(direct string) drivertest.Harness {
	return drivertest.Harness{
		New:  hlr.New,
		Full: full,
		Changed: func(d driver.Desired) driver.Desired {
			d = full(number(d) + 5000)
			d.Key = imsi(number(d) - 5000)
			d.Attributes["cs"] = "false"
			return d
		},
		Clashing: func(d, owner driver.Desired) driver.Desired {
			d = full(number(d))
			d.Attributes["msisdn"] = owner.Attributes["msisdn"]
			return d
		},
		Invalid: invalid(),
		Holds:   func(t testing.TB, d driver.Desired) error { return holds(t, direct, d) },
		Tamper: func(t testing.TB, d driver.Desired) {
			send(t, direct, edge.MSISDNCommand(d.Key, "491510000000000"), edge.CSCommand(d.Key, false), edge.PSCommand(d.Key, false),
				edge.MilenageCommand(d.Key, edge.Secret{1}, edge.Secret{2}))
		},
		Vanish: func(t testing.TB, d driver.Desired) { send(t, direct, edge.DeleteCommand(d.Key)) },
	}
}

func imsi(n int) string { return fmt.Sprintf("24001%010d", n) }

func number(d driver.Desired) (n int) {
	fmt.Sscanf(strings.TrimPrefix(d.Key, "24001"), "%d", &n)
	return n
}

func full(n int) driver.Desired {
	return driver.Desired{
		Type:       driver.HLRSubscriber,
		Key:        imsi(n),
		Attributes: map[string]string{"msisdn": fmt.Sprintf("4479%08d", n), "cs": "true", "ps": "true"},
		Secrets: map[string]driver.Secret{
			"k":   driver.NewSecret(fmt.Sprintf("465b5ce8b199b49faa5f0a2e%08x", n)),
			"opc": driver.NewSecret(fmt.Sprintf("cd63cb71954a9f4e48a5994e%08x", n)),
		},
	}
}

func invalid() []driver.Desired {
	with := func(change func(*driver.Desired)) driver.Desired {
		d := full(1)
		change(&d)
		return d
	}
	k := driver.NewSecret("465b5ce8b199b49faa5f0a2ee238a6bc")
	return []driver.Desired{
		with(func(d *driver.Desired) { d.Key = "12345" }),
		with(func(d *driver.Desired) { d.Key = "2400100000000011" }),
		with(func(d *driver.Desired) { d.Key = "24001000000001\n" }),
		with(func(d *driver.Desired) { d.Attributes["msisdn"] = "+447900000001" }),
		with(func(d *driver.Desired) { d.Attributes["msisdn"] = "4479000000010000" }),
		with(func(d *driver.Desired) { d.Attributes["cs"] = "yes" }),
		with(func(d *driver.Desired) { d.Attributes["ps"] = "" }),
		with(func(d *driver.Desired) { d.Secrets = map[string]driver.Secret{"k": k} }),
		with(func(d *driver.Desired) { d.Secrets["opc"] = driver.NewSecret("465b5ce8b199b49faa5f0a2ee238a6") }),
		with(func(d *driver.Desired) { d.Secrets["k"] = driver.NewSecret("x65b5ce8b199b49faa5f0a2ee238a6bc") }),
	}
}

func send(t testing.TB, addr string, cmds ...edge.Command) []edge.Reply {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := edge.Dial(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	replies, err := c.Do(ctx, cmds...)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range replies {
		if r.Err != nil && !errors.Is(r.Err, edge.NoSubscriber) {
			t.Fatal(r.Err)
		}
	}
	return replies
}

// holds reads the register itself and compares everything, the keys included.
func holds(t testing.TB, addr string, d driver.Desired) error {
	t.Helper()
	replies := send(t, addr, edge.InfoCommand(d.Key), edge.AuthCommand(d.Key))
	if replies[0].Err != nil {
		return replies[0].Err
	}
	s, err := edge.ParseInfo(replies[0].Value)
	if err != nil {
		return err
	}
	have := map[string]string{"msisdn": s.MSISDN, "cs": fmt.Sprint(s.CS), "ps": fmt.Sprint(s.PS)}
	for name, value := range d.Attributes {
		if have[name] != value {
			return fmt.Errorf("%s is %q, not %q", name, have[name], value)
		}
	}
	for _, key := range []struct{ name, line string }{{"k", "aud3g.k\t"}, {"opc", "aud3g.opc\t"}} {
		if secret, ok := d.Secrets[key.name]; ok && !strings.Contains(replies[1].Value, key.line+secret.Reveal()+"\n") {
			return fmt.Errorf("%s is another", key.name)
		}
	}
	return nil
}

// nodes counts serving nodes: the register takes a name for the connection that had it first until it has noticed its end.
var nodes atomic.Int64

// usesPhone is a phone with the SIM of d: the network authenticates it, it checks the network's answer, and it attaches.
func usesPhone(t testing.TB, addr string, d driver.Desired) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sgsn, err := gsup.Dial(ctx, addr, fmt.Sprint("SGSN-phone-", nodes.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	defer sgsn.Close()
	vectors, err := sgsn.Authenticate(ctx, d.Key)
	if err != nil {
		return err
	}
	for _, v := range vectors {
		if got := response(t, d, v.RAND); got != hex.EncodeToString(v.XRES) {
			return fmt.Errorf("the SIM answers the challenge otherwise than the register expects")
		}
	}
	msisdn, err := sgsn.Attach(ctx, d.Key, gsup.PS)
	if err == nil && msisdn != d.Attributes["msisdn"] {
		err = fmt.Errorf("the phone is told that its number is %q", msisdn)
	}
	return err
}

// response is the SIM's answer to a challenge: the function f2 of Milenage (3GPP TS 35.206, 4.1).
func response(t testing.TB, d driver.Desired, challenge []byte) string {
	t.Helper()
	k, _ := hex.DecodeString(d.Secrets["k"].Reveal())
	opc, _ := hex.DecodeString(d.Secrets["opc"].Reveal())
	e, err := aes.NewCipher(k)
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 16)
	for range 2 {
		for i := range block {
			block[i] ^= opc[i]
		}
		if challenge == nil {
			block[15] ^= 1
		}
		for i := range challenge {
			block[i] ^= challenge[i]
		}
		challenge = nil
		e.Encrypt(block, block)
	}
	for i := range block {
		block[i] ^= opc[i]
	}
	return hex.EncodeToString(block[8:])
}

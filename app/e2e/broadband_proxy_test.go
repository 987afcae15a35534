package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tandem/app"
	"tandem/app/broadband"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/peertest"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// proxied is an operator whose gateways speak through FreeRADIUS, which also takes what gateways are told.
type proxied struct {
	*fixed
	dir string
}

// A line that has used up what it paid for, or more than is fair, is slowed where it is; what it buys then lifts that without a new session; a faster
// offering, suspension and a flood of forgeries reach whom they should. All through a proxy, and told to a CoA server of another house.
func TestBroadbandThroughAProxy(t *testing.T) {
	t.Parallel()
	for program, pack := range map[string]string{"freeradius": "freeradius", "radclient": "freeradius-utils", "ip": "iproute2"} {
		peertest.Need(t, program, pack)
	}
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			if apart(t, engine) {
				throughTheProxy(t, engine)
			}
		})
	}
}

func throughTheProxy(t *testing.T, engine store.Dialect) {
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := &proxied{fixedLine(t, engine, app.RADIUSFace{Authentication: []string{"127.0.0.1:1812"}, Accounting: []string{"127.0.0.1:1813"},
		Gateways: []app.RADIUSNAS{{Name: "proxy", Address: "127.0.0.1", Secret: nasSecret, Vendors: []string{"mikrotik"}}}}), t.TempDir()}
	p.freeradius()
	p.throttled()
	p.fairUse()
	p.flooded()
	p.agrees()
}

// throttled is a prepaid line: slowed with its last octet, lifted with its money.
func (p *proxied) throttled() {
	p.t.Helper()
	l := p.sells(broadband.Prepaid)
	p.pays(l, 5_000_000) // five MiB
	const fast, slow = "10000000/50000000", "500000/1000000"
	s := p.opens(l, "prepaid-1", fast)
	p.reports(s, "Interim-Update", "Acct-Output-Octets = 1000000\n")
	p.reports(s, "Interim-Update", "Acct-Output-Octets = 9000000\n")
	p.hears("CoA-Request", l, s, slow)
	p.wants(p.login(l), "Access-Accept", `Mikrotik-Rate-Limit = "`+slow+`"`)
	p.pays(l, 100_000_000)
	p.hears("CoA-Request", l, s, fast)
	p.wants(p.login(l), "Access-Accept", `Mikrotik-Rate-Limit = "`+fast+`"`)
	p.through(modify(l.ID, subscription.Suspended))
	p.hears("Disconnect-Request", l, s, "")
	p.wants(p.login(l), "Access-Reject", "This line is suspended")
	p.reports(s, "Stop", "Acct-Output-Octets = 9000000\n")
	p.through(end(l.ID))
}

// fairUse is a flat line that gets slow behind its fair use, and fast with an offering that has none.
func (p *proxied) fairUse() {
	p.t.Helper()
	l := p.sells(broadband.Flat100)
	s := p.opens(l, "flat-1", "40000000/100000000")
	p.reports(s, "Interim-Update", "Acct-Output-Octets = 0\nAcct-Output-Gigawords = 233\n") // 233 * 2^32 is just above 1,000 GB
	p.hears("CoA-Request", l, s, "500000/1000000")
	other := modify(l.ID, "", tmf.Characteristic{Name: "down", Value: []byte("250")}, tmf.Characteristic{Name: "up", Value: []byte("100")})
	other.ProductOffering = &order.Ref{ID: broadband.Flat250}
	p.through(other)
	p.hears("CoA-Request", l, s, "100000000/250000000")
	p.reports(s, "Stop", "Acct-Output-Gigawords = 233\n")
	p.through(end(l.ID))
}

// flooded is what the access server gets from many at once, and from those who have no business with it.
func (p *proxied) flooded() {
	p.t.Helper()
	l := p.sells(broadband.Flat100)
	file := filepath.Join(p.dir, "flood")
	if err := os.WriteFile(file, fmt.Appendf(nil, "User-Name = %q\nUser-Password = %q\nNAS-Identifier = bng-1\nMessage-Authenticator = 0x00\n", l.login, l.password), 0o600); err != nil {
		p.t.Fatal(err)
	}
	const many = 2000
	out, _ := exec.Command("radclient", "-q", "-s", "-p", "50", "-c", fmt.Sprint(many), "-t", "1", "-r", "20", "-f", file, "127.0.0.1:1812", "auth", nasSecret).CombinedOutput()
	p.wants(string(out), fmt.Sprintf("Accepted      : %d\n", many), "Lost          : 0")
	before := *p.RADIUSStats()
	hopeless := func(secret, attributes string) {
		out, err := exec.Command("sh", "-c", fmt.Sprintf("printf '%s' | radclient -x -t 0.2 -r 2 127.0.0.1:1812 auth '%s'", attributes, secret)).CombinedOutput()
		if err == nil || bytes.Contains(out, []byte("Received")) {
			p.t.Errorf("%s is answered:\n%s", attributes, out)
		}
	}
	login := fmt.Sprintf(`User-Name = "%s"\nUser-Password = "%s"\n`, l.login, l.password)
	hopeless("another secret", login+`Message-Authenticator = 0x00\n`)
	hopeless(nasSecret, login)
	hopeless(nasSecret, login+`Message-Authenticator = 0x00\nPacket-Src-IP-Address = 127.0.0.9\n`)
	after := *p.RADIUSStats()
	if after.Forged == before.Forged || after.Unsigned == before.Unsigned || after.Unknown == before.Unknown || after.Requests != before.Requests {
		p.t.Errorf("forged, unsigned and unknown packets were not counted as such: %+v, then %+v", before, after)
	}
	p.through(end(l.ID))
}

// session is one that the test's gateway has, with the Class it was given.
type lineSession struct {
	line
	id, class string
}

func (p *proxied) login(l line) string {
	p.t.Helper()
	return p.radclient("127.0.0.1:11812", "auth", fmt.Sprintf("User-Name = %q\nUser-Password = %q\nNAS-Identifier = bng-1\nMessage-Authenticator = 0x00\n", l.login, l.password))
}

// opens logs a line in, which gets a speed, and begins its session.
func (p *proxied) opens(l line, id, speed string) lineSession {
	p.t.Helper()
	out := p.login(l)
	p.wants(out, "Received Access-Accept", "Framed-IP-Address = "+l.address, `Mikrotik-Rate-Limit = "`+speed+`"`)
	_, class, _ := strings.Cut(out, "Class = ")
	class, _, _ = strings.Cut(class, "\n")
	s := lineSession{l, id, class}
	p.reports(s, "Start", "")
	return s
}

func (p *proxied) reports(s lineSession, status, more string) {
	p.t.Helper()
	p.wants(p.radclient("127.0.0.1:11813", "acct", fmt.Sprintf("User-Name = %q\nAcct-Session-Id = %q\nNAS-Identifier = bng-1\nAcct-Status-Type = %s\nClass = %s\n%s\n", s.login, s.id, status, s.class, more)),
		"Received Accounting-Response")
}

// hears waits for what the gateway is told of a session.
func (p *proxied) hears(what string, l line, s lineSession, speed string) {
	p.t.Helper()
	want := strings.TrimSpace(strings.Join([]string{what, l.login, s.id, speed}, " "))
	var text []byte
	p.await(want, func() bool {
		text, _ = os.ReadFile(filepath.Join(p.dir, "told"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		return strings.TrimSpace(lines[len(lines)-1]) == want
	}, func() string { return fmt.Sprintf("the gateway was told\n%s", text) })
}

// freeradius starts the proxy.
func (p *proxied) freeradius() {
	p.t.Helper()
	conf := strings.NewReplacer("DIR", p.dir, "SECRET", nasSecret).Replace(proxyConfiguration)
	if err := os.WriteFile(filepath.Join(p.dir, "radiusd.conf"), []byte(conf), 0o600); err != nil {
		p.t.Fatal(err)
	}
	log := &logbook{}
	cmd := exec.Command("freeradius", "-f", "-d", p.dir, "-l", "stdout")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if p.t.Failed() {
			p.t.Logf("freeradius:\n%s", log)
		}
	})
	p.await("the proxy", func() bool { return strings.Contains(log.String(), "Ready to process requests") }, log.String)
}

const proxyConfiguration = `name = freeradius
libdir = /usr/lib/freeradius
run_dir = DIR
logdir = DIR
log {
	destination = stdout
}
proxy server {
}
thread pool {
}
client gateways {
	ipaddr = 127.0.0.0/8
	secret = "SECRET"
}
home_server logins {
	type = auth
	ipaddr = 127.0.0.1
	port = 1812
	secret = "SECRET"
}
home_server reports {
	type = acct
	ipaddr = 127.0.0.1
	port = 1813
	secret = "SECRET"
}
home_server_pool logins {
	home_server = logins
}
home_server_pool reports {
	home_server = reports
}
realm tandem {
	auth_pool = logins
	acct_pool = reports
	nostrip
}
modules {
	always ok {
		rcode = ok
	}
	linelog told {
		filename = DIR/told
		format = "%{Packet-Type} %{User-Name} %{Acct-Session-Id} %{Mikrotik-Rate-Limit}"
	}
}
server gateway {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = 11812
	}
	listen {
		type = acct
		ipaddr = 127.0.0.1
		port = 11813
	}
	listen {
		type = coa
		ipaddr = 127.0.0.1
		port = 3799
	}
	authorize {
		update control {
			Proxy-To-Realm := "tandem"
		}
	}
	preacct {
		update control {
			Proxy-To-Realm := "tandem"
		}
	}
	accounting {
		ok
	}
	recv-coa {
		told
		ok
	}
	send-coa {
		ok
	}
}
`

package e2e_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/broadband"
	"tandem/bss/charging/core"
	"tandem/bss/subscription"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/peertest"
	"tandem/edge/radius"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	aaa "tandem/oss/activation/driver/radius"
	"tandem/oss/inventory"
)

const nasSecret = "a shared secret of the lab"

// fixed is an operator of fixed lines.
type fixed struct{ *operator }

// fixedLine starts a node whose access server answers to gateways, and a brand that sells lines.
func fixedLine(t *testing.T, engine store.Dialect, face app.RADIUSFace) *fixed {
	t.Helper()
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Faces.RADIUS = &face
	o := start(t, c, e)
	o.seed(e.CTRL(), e.VTY(), 1)
	f := &fixed{o}
	f.stock()
	return f
}

// stock gives the brand its product, logins and addresses, and the use of the host's access server.
func (f *fixed) stock() {
	f.t.Helper()
	f.write(brand, func(tx *store.Tx) error {
		if err := broadband.Install(tx); err != nil {
			return err
		}
		var logins, addresses []string
		for i := range 20 {
			logins, addresses = append(logins, fmt.Sprintf("bluebird-%04d", i)), append(addresses, fmt.Sprintf("100.64.0.%d", 100+i))
		}
		if err := inventory.AddNumbers(tx, broadband.LoginPool, logins); err != nil {
			return err
		}
		return inventory.AddNumbers(tx, broadband.AddressPool, addresses)
	})
	f.write(host, func(tx *store.Tx) error {
		if err := activation.SaveElement(tx, activation.Element{Name: broadband.Element, Type: aaa.Element, Address: "127.0.0.1:1812", Enabled: true}); err != nil {
			return err
		}
		return activation.Grant(tx, broadband.Element, brand, "bluebird-")
	})
}

// line is a line that was sold.
type line struct {
	*subscription.Product
	login, password, address string
}

func (f *fixed) sells(offering string, chars ...tmf.Characteristic) line {
	f.t.Helper()
	p := f.through(add(offering, chars...))
	f.await("charging to know the line", func() bool {
		return f.count("SELECT count(*) FROM charging_line WHERE tenant = $1 AND product = $2 AND subscriber > 0", brand, p.ID) == 1
	})
	return line{p, char(p, "radiusUser"), f.password(char(p, "radiusUser")), char(p, "ipv4")}
}

// password asks for a login's password as customer care does.
func (f *fixed) password(login string) string {
	f.t.Helper()
	got := must[struct {
		Login    string `json:"login"`
		Password string `json:"password"`
	}](f.operator, http.MethodGet, "/tandem-api/broadband/v1/login/"+login, nil)
	return got.Password
}

// pays tops the line's balance up, in 10^-9 EUR.
func (f *fixed) pays(l line, amount int64) {
	f.t.Helper()
	n := f.count("SELECT account FROM charging_line WHERE tenant = $1 AND product = $2", brand, l.ID)
	_, err := f.Charging.Engine.Run(f.t.Context(), core.Command{Ref: core.NewRef(int(n%256), uint32(n/256)),
		Do: func(h *core.Hand) error { return h.Credit(1, amount, core.TopUp, "voucher", 0) }})
	if err != nil {
		f.t.Fatal(err)
	}
}

// radclient sends one request as a gateway and returns what came back.
func (f *fixed) radclient(address, kind, attributes string) string {
	f.t.Helper()
	path := peertest.Need(f.t, "radclient", "freeradius-utils")
	keys := filepath.Join(f.t.TempDir(), "secret")
	if err := os.WriteFile(keys, []byte(nasSecret+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(path, "-x", "-t", "0.5", "-r", "20", "-S", keys, address, kind)
	cmd.Stdin = strings.NewReader(attributes)
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		f.t.Fatal(err)
	}
	return string(out)
}

// login is an Access-Request of the line by PAP.
func (f *fixed) logsIn(l line, password string) string {
	f.t.Helper()
	return f.radclient(f.LoginAddr(), "auth", fmt.Sprintf("User-Name = %q\nUser-Password = %q\nNAS-Identifier = bng-1\nMessage-Authenticator = 0x00\n", l.login, password))
}

func (f *fixed) wants(out string, parts ...string) {
	f.t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			f.t.Fatalf("%q is missing in\n%s", part, out)
		}
	}
}

// agrees fails the test if tandem verify finds that elements, inventory and bills differ.
func (f *fixed) agrees() {
	f.t.Helper()
	books := &proof{ctx: f.t.Context()}
	if err := books.verify(f.App, nil); err != nil || len(books.found) > 0 {
		f.t.Errorf("tandem verify: %q, %v", books.found, err)
	}
}

var lab = []app.RADIUSNAS{{Name: "lab", Address: "127.0.0.0/8", Secret: nasSecret}}

// passwords are those of a line: care reads it, an order renews it, and who has the login next gets another. The line ends.
func (f *fixed) passwords(l line) {
	f.t.Helper()
	token := func(role string) owner {
		return f.owner(must[struct {
			Token string `json:"token"`
		}](f.operator, http.MethodPost, "/access/v1/tokens", map[string]any{"id": role, "roles": []string{role}}).Token)
	}
	var read struct {
		Login    string `json:"login"`
		Password string `json:"password"`
	}
	token("agent").must(f.t, http.MethodGet, "/tandem-api/broadband/v1/login/"+l.login, nil, &read)
	if read.Password != l.password {
		f.t.Errorf("customer care reads %q", read)
	}
	for _, role := range []string{"dealer", "reader"} {
		token(role).refused(f.t, http.StatusForbidden, "notAllowed", http.MethodGet, "/tandem-api/broadband/v1/login/"+l.login, nil)
	}
	f.through(modify(l.ID, "", tmf.Characteristic{Name: "passwordIssue", Value: []byte("2")}))
	renewed := f.password(l.login)
	if renewed == l.password {
		f.t.Error("the password is not renewed")
	}
	f.wants(f.logsIn(l, l.password), "Received Access-Reject")
	f.wants(f.logsIn(l, renewed), "Received Access-Accept")
	f.through(end(l.ID))
	f.wants(f.logsIn(l, renewed), "Received Access-Reject")
	f.write(brand, func(tx *store.Tx) error { // its rest is over
		_, err := tx.Exec("UPDATE inventory_number SET state = 'available', until = 0 WHERE tenant = $1 AND kind = 'login' AND value = $2", l.login)
		return err
	})
	next := f.sells(broadband.Flat100)
	if next.login != l.login || next.password == l.password || next.password == renewed {
		f.t.Errorf("whoever has %s after %s has a password of his", next.login, l.login)
	}
	for _, former := range []string{l.password, renewed} {
		f.wants(f.logsIn(next, former), "Received Access-Reject")
	}
	f.wants(f.logsIn(next, next.password), "Received Access-Accept")
	f.through(end(next.ID))
}

// quotas are those of a prepaid line that ends when nothing is left: what the money buys, in the words of its gateway.
func (f *fixed) quotas() {
	f.t.Helper()
	l := f.sells(broadband.Prepaid, tmf.Text("whenEmpty", "disconnect"))
	f.wants(f.logsIn(l, l.password), "Received Access-Reject", "Nothing is left to use on this line")
	f.pays(l, 5_000_000)
	out := f.logsIn(l, l.password)
	f.wants(out, "Received Access-Accept", "Mikrotik-Total-Limit = 5242880", "Mikrotik-Total-Limit-Gigawords = 0", "ChilliSpot-Max-Total-Octets = 5242880", "Session-Timeout = 86400")
	class, _, _ := strings.Cut(out[strings.Index(out, "Class = 0x"):], "\n")
	f.wants(f.radclient(f.RADIUSAddr(), "acct", fmt.Sprintf("User-Name = %q\nAcct-Session-Id = q1\nNAS-Identifier = bng-1\nAcct-Status-Type = Stop\n%s\nAcct-Input-Octets = 3145728\nAcct-Output-Octets = 0\n", l.login, class)),
		"Received Accounting-Response")
	f.wants(f.logsIn(l, l.password), "Received Access-Accept", "Mikrotik-Total-Limit = 2097152")
	f.pays(l, 5_000_000_000_000)
	f.wants(f.logsIn(l, l.password), "Received Access-Accept", "Mikrotik-Total-Limit-Gigawords = 1220")
	f.through(end(l.ID))
}

// A line is sold, logs in with its address and speed, is accounted, throttled when nothing is left, suspended and ended.
func TestBroadbandIsSold(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			f := fixedLine(t, engine, app.RADIUSFace{Authentication: []string{"127.0.0.1:0"}, Accounting: []string{"127.0.0.1:0"}, Gateways: lab, SessionTimeout: 86400})
			l := f.sells(broadband.Flat100)
			if l.login != "bluebird-0000" || l.address != "100.64.0.100" {
				t.Fatalf("sold %q with address %q", l.login, l.address)
			}
			out := f.logsIn(l, l.password)
			f.wants(out, "Received Access-Accept", "Framed-IP-Address = "+l.address, "Session-Timeout = 86400", "Mikrotik-Rate-Limit = \"40000000/100000000\"",
				"WISPr-Bandwidth-Max-Down = 100000000", "Class = 0x")
			f.wants(f.logsIn(l, "not the password"), "Received Access-Reject")
			f.wants(f.logsIn(line{login: "bluebird-9999"}, l.password), "Received Access-Reject")
			class := out[strings.Index(out, "Class = 0x"):]
			class, _, _ = strings.Cut(class, "\n")
			report := func(status string, more string) {
				t.Helper()
				f.wants(f.radclient(f.RADIUSAddr(), "acct", fmt.Sprintf("User-Name = %q\nAcct-Session-Id = s1\nNAS-Identifier = bng-1\nAcct-Status-Type = %s\n%s\n%s\n", l.login, status, class, more)),
					"Received Accounting-Response")
			}
			report("Start", "")
			report("Interim-Update", "Acct-Input-Octets = 1000000\nAcct-Output-Octets = 5000000\nAcct-Session-Time = 60")
			report("Stop", "Acct-Input-Octets = 2000000\nAcct-Output-Octets = 8000000\nAcct-Session-Time = 90")
			f.await("the usage record", func() bool {
				return f.count("SELECT coalesce(sum(octets), 0) FROM charging_usage WHERE tenant = $1", brand) == 10_000_000
			})
			if n := f.count("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND product = $2", brand, l.ID); n != 2 {
				t.Errorf("%d billable items, want month and connection", n)
			}
			f.through(modify(l.ID, subscription.Suspended))
			f.wants(f.logsIn(l, l.password), "Received Access-Reject", "This line is suspended")
			f.through(modify(l.ID, subscription.Active))
			f.await("the line to work again", func() bool { return strings.Contains(f.logsIn(l, l.password), "Received Access-Accept") })
			f.passwords(l)
			f.quotas()
			f.proves()
		})
	}
}

// speeds is the gateway's side of CoA: what it is told, it does.
func speeds(t *testing.T) (port uint16, told chan string) {
	t.Helper()
	told = make(chan string, 100)
	g, err := radius.ListenGateway("127.0.0.1:0", []byte(nasSecret), func(p radius.Packet) (bool, radius.ErrorCause) {
		for kind, v := range p.All() {
			if kind != radius.VendorSpecific {
				continue
			}
			vendor, parts := radius.Vendor(v)
			for part, text := range parts {
				if vendor == 14988 && part == 8 { // Mikrotik-Rate-Limit
					told <- string(text)
				}
			}
		}
		return true, 0
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return netip.MustParseAddrPort(g.Addr()).Port(), told
}

// A session that was slowed before its node was started anew, as by one that takes over from another, is lifted when something is paid: its
// gateway has not reported to this node.
func TestALiftOfASessionThatReportedToAnotherNode(t *testing.T) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			port, told := speeds(t)
			hears := func(want string) {
				t.Helper()
				select {
				case got := <-told:
					if got != want {
						t.Fatalf("the gateway is told %q, want %q", got, want)
					}
				case <-time.After(20 * time.Second):
					t.Fatalf("the gateway is not told %q", want)
				}
			}
			e := hlrtest.Start(t)
			c := config(t, engine)
			c.Faces.RADIUS = &app.RADIUSFace{Authentication: []string{"127.0.0.1:0"}, Accounting: []string{"127.0.0.1:0"},
				Gateways: []app.RADIUSNAS{{Name: "lab", Address: "127.0.0.0/8", Secret: nasSecret, Port: port}}}
			f := &fixed{start(t, c, e)}
			f.seed(e.CTRL(), e.VTY(), 1)
			f.stock()
			l := f.sells(broadband.Prepaid)
			f.pays(l, 5_000_000)
			out := f.logsIn(l, l.password)
			class, _, _ := strings.Cut(out[strings.Index(out, "Class = 0x"):], "\n")
			for _, report := range []string{"Start", "Interim-Update\nAcct-Input-Octets = 5000000\nAcct-Output-Octets = 0\nAcct-Session-Time = 60"} {
				f.wants(f.radclient(f.RADIUSAddr(), "acct", fmt.Sprintf("User-Name = %q\nAcct-Session-Id = s1\nNAS-Identifier = bng-1\n%s\nAcct-Status-Type = %s\n", l.login, class, report)),
					"Received Accounting-Response")
			}
			slow := <-told
			f.Stop()
			again := &fixed{start(t, c, e)}
			again.pays(l, 50_000_000)
			_, fast, _ := strings.Cut(out, "Mikrotik-Rate-Limit = \"")
			fast, _, _ = strings.Cut(fast, "\"")
			if fast == slow {
				t.Fatalf("it was let in with %q", fast)
			}
			hears(fast)
		})
	}
}

package radius_test

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tandem/edge/credit"
	"tandem/edge/peertest"
	"tandem/edge/radius"
)

// radclient runs FreeRADIUS' client with one request and returns what it prints. It asks for ten seconds, unless flags say otherwise.
func radclient(t *testing.T, name, address, kind, key, attributes string, flags ...string) string {
	t.Helper()
	path := peertest.Need(t, name, "freeradius-utils")
	keys := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(keys, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-x", "-t", "0.5", "-r", "20", "-S", keys}, flags...)
	cmd := exec.Command(path, append(args, address, kind)...)
	cmd.Stdin = strings.NewReader(attributes)
	out, err := cmd.CombinedOutput()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		t.Fatal(err)
	}
	return string(out)
}

func wantText(t *testing.T, out string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(out, part) {
			t.Errorf("%q is missing in\n%s", part, out)
		}
	}
}

const sign = "Message-Authenticator = 0x00\n"

var fullProfile = radius.Profile{Seconds: 3600, Octets: 5<<32 + 1, Renew: true, Interim: 600, Up: 1_000_000, Down: 20_000_000,
	State: []byte("renewal"), Class: []byte("class-7"), Address: netip.MustParseAddr("100.64.0.7"), Pool: "home", Filter: "open",
	Prefix: netip.MustParsePrefix("2001:db8:1:2::/64"), Delegated: netip.MustParsePrefix("2001:db8:8000::/56")}

// FreeRADIUS' client reads every attribute of an Accept as it was meant.
func TestForeignPAP(t *testing.T) {
	b := setup(t)
	b.users.give(fullProfile)
	out := radclient(t, "radclient", b.server.AuthAddr(), "auth", secret,
		"User-Name = alice\nUser-Password = wonderland\nService-Type = Framed-User\nFramed-Protocol = PPP\nProxy-State = 0x0102\n"+sign)
	wantText(t, out, "Received Access-Accept", "Session-Timeout = 3600", "Termination-Action = RADIUS-Request", "Acct-Interim-Interval = 600",
		"Framed-IP-Address = 100.64.0.7", `Framed-Pool = "home"`, `Filter-Id = "open"`, "Framed-IPv6-Prefix = 2001:db8:1:2::/64",
		"Delegated-IPv6-Prefix = 2001:db8:8000::/56", "Class = 0x636c6173732d37", "State = 0x72656e6577616c", "Mikrotik-Total-Limit = 1",
		"Mikrotik-Total-Limit-Gigawords = 5", `Mikrotik-Rate-Limit = "1000000/20000000"`, "WISPr-Bandwidth-Max-Up = 1000000",
		"WISPr-Bandwidth-Max-Down = 20000000", "ChilliSpot-Max-Total-Octets = 1", "Attr-26.14559.23 = 0x00000005",
		"Framed-Protocol = PPP", "Proxy-State = 0x0102")
	if _, reply, _ := strings.Cut(out, "Received Access-Accept"); !strings.HasPrefix(strings.SplitN(reply, "\n\t", 2)[1], "Message-Authenticator") {
		t.Errorf("Message-Authenticator is not the first attribute of\n%s", reply)
	}
	out = radclient(t, "radclient", b.server.AuthAddr(), "auth", secret, "User-Name = alice\nUser-Password = wonderlane\n"+sign)
	wantText(t, out, "Received Access-Reject", `Reply-Message = "You are not known here"`)
}

func TestForeignCHAP(t *testing.T) {
	b := setup(t)
	for password, want := range map[string]string{"wonderland": "Received Access-Accept", "wonder": "Received Access-Reject"} {
		wantText(t, radclient(t, "radclient", b.server.AuthAddr(), "auth", secret, "User-Name = alice\nCHAP-Password = "+password+"\n"+sign), want)
	}
	if got := b.users.last(); got[:4] != "CHAP" {
		t.Errorf("asked as %q", got)
	}
}

func TestForeignEAPMD5(t *testing.T) {
	b := setup(t)
	b.users.give(radius.Profile{Seconds: 60})
	for password, want := range map[string]string{"hello": "Received Access-Accept", "hullo": "Received Access-Reject"} {
		out := radclient(t, "radeapclient", b.server.AuthAddr(), "auth", secret, "User-Name = \"bob\"\nCleartext-Password = \""+password+
			"\"\nNAS-IP-Address = 127.0.0.1\nEAP-Code = Response\nEAP-Id = 210\nEAP-Type-Identity = \"bob\"\n"+sign)
		wantText(t, out, "Received Access-Challenge", want)
	}
	if got := b.users.last(); got != "EAP-MD5 bob bng-1 " {
		t.Errorf("asked as %q", got)
	}
}

// A whole session reported by a foreign gateway is charged by what its totals grew, above 4 GiB too.
func TestForeignAccounting(t *testing.T) {
	b := setup(t)
	session := "User-Name = alice\nAcct-Session-Id = s-1\nNAS-Identifier = bng-1\nFramed-IP-Address = 100.64.0.7\nClass = 0x3737\n" +
		"Framed-IPv6-Prefix = 2001:db8:1:2::/64\nDelegated-IPv6-Prefix = 2001:db8:8000::/56\nNAS-IPv6-Address = 2001:db8::1\n"
	for _, step := range []struct {
		attributes string
		octets     uint64
	}{
		{"Acct-Status-Type = Start\n", 0},
		{"Acct-Status-Type = Interim-Update\nAcct-Session-Time = 60\nAcct-Input-Octets = 1000\nAcct-Output-Octets = 4294967295\n", 1000 + 1<<32 - 1},
		{"Acct-Status-Type = Stop\nAcct-Session-Time = 90\nAcct-Input-Octets = 1500\nAcct-Output-Octets = 5\nAcct-Output-Gigawords = 1\n" +
			"Acct-Terminate-Cause = User-Request\nEvent-Timestamp = \"1700000000\"\n" + sign, 1500 + 1<<32 + 5},
	} {
		out := radclient(t, "radclient", b.server.AcctAddr(), "acct", secret, session+step.attributes)
		wantText(t, out, "Received Accounting-Response")
		if octets, _ := b.ledger.sum(); octets != step.octets {
			t.Errorf("after %q: %d octets are charged, want %d", step.attributes, octets, step.octets)
		}
	}
	r := b.ledger.newest()
	if r.Kind != credit.Terminate || r.Cause != 1 || r.At != 1_700_000_000_000_000 || string(r.Class) != "77" || string(r.Peer) != "bng-1" ||
		r.Face != credit.RADIUS || r.Service != credit.Broadband || r.Numbered || len(r.Node) != 16 || len(r.Prefix) != 9 || len(r.Delegated) != 8 {
		t.Errorf("the Stop is %+v", r)
	}
}

func TestForeignStatusServer(t *testing.T) {
	b := setup(t)
	wantText(t, radclient(t, "radclient", b.server.AuthAddr(), "status", secret, sign), "Received Access-Accept")
	wantText(t, radclient(t, "radclient", b.server.AcctAddr(), "status", secret, sign), "Received Accounting-Response")
}

// The gateway's side of CoA understands FreeRADIUS' client, and it ours.
func TestForeignCoA(t *testing.T) {
	obeyed := make(chan string, 16)
	g, err := radius.ListenGateway("127.0.0.1:0", []byte(secret), func(p radius.Packet) (bool, radius.ErrorCause) {
		user, _ := p.Find(radius.UserName)
		obeyed <- string(user)
		if string(user) != "alice" {
			return false, radius.SessionNotFound
		}
		return true, 0
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	wantText(t, radclient(t, "radclient", g.Addr(), "coa", secret, "User-Name = alice\nSession-Timeout = 60\n"), "Received CoA-ACK")
	wantText(t, radclient(t, "radclient", g.Addr(), "disconnect", secret, "User-Name = alice\n"+sign), "Received Disconnect-ACK", "Message-Authenticator")
	wantText(t, radclient(t, "radclient", g.Addr(), "disconnect", secret, "User-Name = carol\n"), "Received Disconnect-NAK", "Error-Cause = Session-Context-Not-Found")
	if out := radclient(t, "radclient", g.Addr(), "disconnect", "another secret", "User-Name = alice\n", "-r", "1"); strings.Contains(out, "Received") {
		t.Errorf("a foreign order is obeyed:\n%s", out)
	}
	if len(obeyed) != 3 {
		t.Errorf("%d orders were carried out, want 3", len(obeyed))
	}
}

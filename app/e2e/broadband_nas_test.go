package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"tandem/app"
	"tandem/app/broadband"
	"tandem/bss/subscription"
	"tandem/edge/peertest"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

const (
	beyond    = "10.70.0.1" // a service behind the gateway
	gatewayIP = "10.7.0.1"
	subjects  = "subscriber" // the namespace of the customer's router
)

// gatewayPlugins are loaded one by one: the defaults want IPsec of the kernel.
const gatewayPlugins = "random nonce aes sha2 sha1 md5 hmac kdf gmp pem openssl kernel-libipsec kernel-netlink socket-default vici eap-identity eap-md5 updown attr"

// bng is strongSwan as the access gateway of a line, and strongSwan as the customer's router.
type bng struct {
	*fixed
	dir string
}

// Lines are sold, log in through a real access gateway, carry octets, and lose the session that runs: with the money, at suspension and at the end.
func TestBroadbandOnARealGateway(t *testing.T) {
	t.Parallel()
	for program, pack := range map[string]string{"/usr/lib/ipsec/charon": "strongswan-charon libcharon-extra-plugins libstrongswan-standard-plugins", "swanctl": "strongswan-swanctl",
		"ping": "iputils-ping", "ip": "iproute2"} {
		peertest.Need(t, program, pack)
	}
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			if apart(t, engine) {
				throughTheGateway(t, engine)
			}
		})
	}
}

func throughTheGateway(t *testing.T, engine store.Dialect) {
	accessNetwork(t)
	b := &bng{fixedLine(t, engine, app.RADIUSFace{Authentication: []string{"127.0.0.1:1812"}, Accounting: []string{"127.0.0.1:1813"},
		Gateways: []app.RADIUSNAS{{Name: "bng-1", Address: "127.0.0.1", Secret: nasSecret}}, SessionTimeout: 86400}), t.TempDir()}
	b.gateway()
	b.carries()
	b.runsOutOfMoney()
	b.proves()
}

// carries is a flat line: what passes its tunnel is what is charged, to the octet; suspension and the end take the tunnel that runs.
func (b *bng) carries() {
	b.t.Helper()
	l := b.sells(broadband.Flat100)
	b.router(l)
	b.connects(l)
	const size = 1200
	n := b.pings(500, size)
	b.hangsUp()
	b.await("the octets of the tunnel", func() bool {
		return b.octets(l) == 2*n*(size+28) // IP and ICMP headers, both ways
	}, func() string { return fmt.Sprintf("%d octets", b.octets(l)) })
	b.connects(l)
	b.through(modify(l.ID, subscription.Suspended))
	b.cut("the suspension")
	b.refused("a suspended line")
	b.through(modify(l.ID, subscription.Active))
	b.connects(l)
	b.through(end(l.ID))
	b.cut("the end")
	b.refused("a line that is gone")
}

// runsOutOfMoney is a prepaid line that is to be disconnected when nothing is left.
func (b *bng) runsOutOfMoney() {
	b.t.Helper()
	l := b.sells(broadband.Prepaid, tmf.Text("whenEmpty", "disconnect"))
	b.router(l)
	b.refused("a line without money")
	b.pays(l, 5_000_000) // five MiB
	b.connects(l)
	b.pings(1500, 1200)
	if _, err := b.run("ip", "netns", "exec", subjects, "ping", "-q", "-A", "-c", "50000", "-s", "1200", "-w", "8", beyond); err == nil {
		b.t.Fatal("more was used than was paid for, and nothing was lost")
	}
	b.cut("the last of the money")
	// It is cut with the first report that leaves less than a MiB: how much has passed by then is the gateway's doing.
	var octets, paid int64
	b.await("the last report", func() bool {
		octets = b.octets(l)
		paid = b.count("SELECT -sum(e.amount) FROM charging_entry e JOIN charging_line n ON n.tenant = e.tenant AND n.account = e.account WHERE e.tenant = $1 AND e.against = 'usage' AND n.product = $2", brand, l.ID)
		due := octets * 1_000_000 / (1 << 20)
		return octets > 4<<20 && paid >= due-1 && paid <= due+1
	}, func() string { return fmt.Sprintf("%d octets were charged with %d", octets, paid) })
	b.refused("a line whose money is used up")
	b.pays(l, 20_000_000)
	b.connects(l)
	b.pings(10, 100)
	b.hangsUp()
	b.through(end(l.ID))
}

// octets are what was charged to a line.
func (b *bng) octets(l line) int64 {
	return b.count("SELECT coalesce(sum(u.octets), 0) FROM charging_usage u JOIN charging_line n ON n.tenant = u.tenant AND n.account = u.account WHERE u.tenant = $1 AND n.product = $2", brand, l.ID)
}

func (b *bng) run(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(b.t.Context(), name, args...).CombinedOutput()
	return string(out), err
}

// accessNetwork lays the link between the gateway, which is here, and the customer, in a namespace of his own.
func accessNetwork(t *testing.T) {
	t.Helper()
	for _, line := range []string{"mount --make-rprivate /", "mkdir -p /run/netns", "mount -t tmpfs tmpfs /run/netns", "ip link set lo up", "ip netns add " + subjects,
		"ip link add access type veth peer name home netns " + subjects, "ip addr add " + gatewayIP + "/24 dev access", "ip link set access up", "ip addr add " + beyond + "/32 dev lo",
		"ip -n " + subjects + " link set lo up", "ip -n " + subjects + " addr add 10.7.0.2/24 dev home", "ip -n " + subjects + " link set home up"} {
		args := strings.Fields(line)
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", line, err, out)
		}
	}
}

// charon starts strongSwan with a configuration of its own, in a namespace ("" is this one), and waits until it can be spoken to.
func (b *bng) charon(role, settings, connections string, prefix ...string) {
	b.t.Helper()
	dir := filepath.Join(b.dir, role)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	conf := "charon {\n filelog {\n log {\n path = " + dir + "/log\n default = 1\n flush_line = yes\n }\n }\n" + settings + "}\n"
	for name, text := range map[string]string{"strongswan.conf": conf, "swanctl.conf": connections} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			b.t.Fatal(err)
		}
	}
	args := append(prefix, "sh", "-c", "mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+filepath.Join(dir, "strongswan.conf"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if b.t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			b.t.Logf("%s:\n%s", role, text[max(0, len(text)-4000):])
		}
	})
	b.await("strongSwan as "+role, func() bool {
		_, err := b.swanctl(role, "--stats")
		return err == nil
	})
	b.load(role)
}

func (b *bng) load(role string) {
	b.t.Helper()
	if out, err := b.swanctl(role, "--load-all", "--clear", "--noprompt", "-f", filepath.Join(b.dir, role, "swanctl.conf")); err != nil {
		b.t.Fatalf("%s: %v\n%s", role, err, out)
	}
}

func (b *bng) swanctl(role string, args ...string) (string, error) {
	return b.run("swanctl", append(args, "-u", "unix://"+filepath.Join(b.dir, role, "vici.sock"))...)
}

// gateway starts the gateway, which asks the access server and reports each second.
func (b *bng) gateway() {
	b.t.Helper()
	b.charon("gateway", fmt.Sprintf(` load = %s eap-radius
 plugins {
  vici {
   socket = unix://%s/gateway/vici.sock
  }
  eap-radius {
   accounting = yes
   accounting_send_class = yes
   accounting_interval = 1
   accounting_requires_vip = no
   dae {
    enable = yes
    listen = 0.0.0.0
    port = 3799
    secret = "%s"
   }
   servers {
    tandem {
     address = 127.0.0.1
     auth_port = 1812
     acct_port = 1813
     secret = "%s"
     nas_identifier = bng-1
    }
   }
  }
 }
`, gatewayPlugins, b.dir, nasSecret, nasSecret), `connections {
 rw {
  version = 2
  local_addrs = 10.7.0.1
  proposals = aes128-sha256-modp2048
  pools = radius
  encap = yes
  local {
   auth = psk
   id = gw
  }
  remote {
   auth = eap-radius
   id = %any
   eap_id = %any
  }
  children {
   net {
    local_ts = 10.70.0.0/24
    esp_proposals = aes128-sha256
   }
  }
 }
}
secrets {
 ike-1 {
  id-1 = gw
  secret = "the gateway's own"
 }
}
`, "unshare", "-m")
}

// router is the customer's router with the credentials of a line.
func (b *bng) router(l line) {
	b.t.Helper()
	conf := fmt.Sprintf(`connections {
 home {
  version = 2
  remote_addrs = 10.7.0.1
  proposals = aes128-sha256-modp2048
  vips = 0.0.0.0
  encap = yes
  local {
   auth = eap-md5
   id = %[1]s
   eap_id = %[1]s
  }
  remote {
   auth = psk
   id = gw
  }
  children {
   net {
    remote_ts = 10.70.0.0/24
    esp_proposals = aes128-sha256
   }
  }
 }
}
secrets {
 eap-1 {
  id = %[1]s
  secret = "%[2]s"
 }
 ike-1 {
  id-1 = gw
  secret = "the gateway's own"
 }
}
`, l.login, l.password)
	if _, err := os.Stat(filepath.Join(b.dir, "router")); err == nil {
		if err := os.WriteFile(filepath.Join(b.dir, "router", "swanctl.conf"), []byte(conf), 0o600); err != nil {
			b.t.Fatal(err)
		}
		b.load("router")
		return
	}
	b.charon("router", " load = "+gatewayPlugins+"\n plugins {\n vici {\n socket = unix://"+b.dir+"/router/vici.sock\n }\n }\n", conf, "ip", "netns", "exec", subjects)
}

// connects logs in and has the line's address.
func (b *bng) connects(l line) {
	b.t.Helper()
	if out, err := b.swanctl("router", "--initiate", "--child", "net", "--timeout", "20"); err != nil {
		b.t.Fatalf("%s does not get in: %v\n%s", l.login, err, out)
	}
	out, err := b.run("ip", "-n", subjects, "-4", "addr", "show", "dev", "ipsec0")
	if err != nil || !strings.Contains(out, "inet "+l.address+"/32") {
		b.t.Fatalf("the router has not %s: %v\n%s", l.address, err, out)
	}
	b.await("the gateway's report", func() bool { return b.LiveSessions() == 1 })
}

// refused says that the gateway lets the router not in.
func (b *bng) refused(what string) {
	b.t.Helper()
	out, err := b.swanctl("router", "--initiate", "--child", "net", "--timeout", "20")
	if err == nil || !strings.Contains(out, "AUTH_FAILED") && !strings.Contains(out, "EAP_FAILURE") && !strings.Contains(out, "EAP-MD5") {
		b.t.Fatalf("%s gets in, or fails otherwise: %v\n%s", what, err, out)
	}
}

var sentAway = regexp.MustCompile(`(\d+) packets transmitted, `)

// pings sends packets through the tunnel until so many came back, and says how many went:
// one that is late is not waited for in the end.
func (b *bng) pings(n, size int) (sent int64) {
	b.t.Helper()
	out, err := b.run("ip", "netns", "exec", subjects, "ping", "-q", "-A", "-c", fmt.Sprint(n), "-s", fmt.Sprint(size), "-w", "30", beyond)
	m := sentAway.FindStringSubmatch(out)
	if m == nil || !strings.Contains(out, fmt.Sprintf(", %d received", n)) {
		b.t.Fatalf("%v\n%s", err, out)
	}
	if sent, err = strconv.ParseInt(m[1], 10, 64); err != nil {
		b.t.Fatal(err)
	}
	return sent
}

// cut waits until the gateway has no tunnel, and its last report was taken; what is sent then reaches nobody.
func (b *bng) cut(by string) {
	b.t.Helper()
	b.await("the tunnel to be cut by "+by, func() bool {
		out, err := b.swanctl("gateway", "--list-sas", "--raw")
		return err == nil && !strings.Contains(out, "ESTABLISHED") && b.LiveSessions() == 0
	})
	if out, err := b.run("ip", "netns", "exec", subjects, "ping", "-q", "-c", "1", "-W", "1", beyond); err == nil {
		b.t.Fatalf("packets pass after %s:\n%s", by, out)
	}
}

// hangsUp ends the session as the customer does.
func (b *bng) hangsUp() {
	b.t.Helper()
	if out, err := b.swanctl("router", "--terminate", "--ike", "home"); err != nil {
		b.t.Fatalf("%v\n%s", err, out)
	}
	b.await("the gateway's last report", func() bool { return b.LiveSessions() == 0 })
}

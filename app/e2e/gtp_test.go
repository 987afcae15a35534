package e2e_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/app"
	gw "tandem/app/e2e/gateway"
	"tandem/app/selfcare"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/credit"
	"tandem/edge/diameter"
	"tandem/edge/hlr/hlrtest"
	"tandem/edge/peertest"
	"tandem/kit/store"
)

const (
	internet = "10.70.0.1" // a web server behind the gateway
	portal   = "10.71.0.1" // where who has nothing left is led
	internal = 10          // rating group of the internet
	selfCare = 900         // and of the portal
)

// A phone on a real GGSN uses its allowance up, is led to the portal, buys 5 GB there
// with its owner's token, and goes on in the same GTP session. It runs in a network of
// its own, in which the test makes further ones.
func TestAllowanceOverGTP(t *testing.T) {
	t.Parallel()
	for program, pack := range map[string]string{"osmo-ggsn": "osmo-ggsn", "sgsnemu": "osmo-ggsn", "ip": "iproute2", "mount": "mount"} {
		peertest.Need(t, program, pack)
	}
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			if apart(t, engine) {
				allowanceOverGTP(t, engine)
			}
		})
	}
}

func allowanceOverGTP(t *testing.T, engine store.Dialect) {
	m := mobileNetwork(t, engine)
	m.offersSurf()
	line := m.sold("surf")
	m.tower().attaches(card(prefix, 0), char(line, "msisdn"))
	p := m.attach(char(line, "imsi"))
	p.token = m.tokenOf(brand, customer)
	before := m.context(p)

	m.downloads(p, 3_000_000)
	m.agrees(p, line, "8 MB", allowance)
	rest := m.begins(p, 12_000_000)
	m.turns(p, gw.Redirected)
	if c := m.gate.Counted(p.address, internal); c.Passed > allowance || c.Passed < allowance-1500 {
		t.Errorf("%d octets of %d passed before the redirect", c.Passed, allowance)
	}
	m.agrees(p, line, "8 MB", allowance)
	m.isLed(p)

	bought := m.buys(p, line, "pack-5")
	lifted := m.turns(p, gw.Open)
	m.ends(bought, order.Completed)
	if err := <-rest; err != nil {
		t.Fatal("the download that was under way: ", err)
	}
	took := lifted.At.Sub(p.bought)
	t.Logf("%s: from the answer to the purchase until the gateway let packets through: %v", engine, took)
	if took > time.Second {
		t.Errorf("it took %v until what was bought could be used", took)
	}
	m.downloads(p, 2_000_000)
	if now := m.context(p); now != before {
		t.Errorf("the GTP session is not the one it was:\n%s\nbefore:\n%s", now, before)
	}
	m.detaches(p)
	m.addsUp()
	m.billedOnce(bought)
}

// gtp is an operator with a packet core: phones are in the namespace ue, the GGSN in
// ggsn, the world in inet. The gateway has a device in each of the last two.
type gtp struct {
	*operator
	dir  string
	ggsn *gw.GGSN
	gate *gw.Gateway
}

// mobileNetwork builds all of it, Tandem included.
func mobileNetwork(t *testing.T, engine store.Dialect) *gtp {
	m := &gtp{dir: t.TempDir()}
	run(t, "mount", "--make-rprivate", "/")
	run(t, "mount", "-t", "tmpfs", "run", "/run") // the names of namespaces are this test's
	run(t, "ip", "link", "set", "lo", "up")
	for _, ns := range []string{"ue", "ggsn", "inet"} {
		run(t, "ip", "netns", "add", ns)
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	run(t, "ip", "link", "add", "gn", "netns", "ggsn", "mtu", "1600", "type", "veth", "peer", "name", "gn", "netns", "ue", "mtu", "1600")
	run(t, "ip", "-n", "ggsn", "addr", "add", "10.99.0.1/24", "dev", "gn")
	run(t, "ip", "-n", "ue", "addr", "add", "10.99.0.2/24", "dev", "gn")
	run(t, "ip", "-n", "ggsn", "link", "set", "gn", "up")
	run(t, "ip", "-n", "ue", "link", "set", "gn", "up")
	e := hlrtest.Start(t)
	c := config(t, engine)
	c.Faces = app.Faces{Diameter: &app.DiameterFace{Listen: "127.0.0.1:0", Host: charger, Realm: realm, Peers: []app.DiameterPeer{{Host: gateway}}},
		Nchf: &app.NchfFace{Listen: "127.0.0.1:0"}}
	m.operator = start(t, c, e)
	m.seed(e.CTRL(), e.VTY(), stock)
	m.startGGSN()
	m.startGateway()
	m.serve(internet, http.HandlerFunc(content))
	m.serve(portal, m.portal())
	return m
}

// run runs a program that must succeed.
func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// daemon runs a program in a namespace until the test ends.
func (m *gtp) daemon(ns, name string, args ...string) *exec.Cmd {
	m.t.Helper()
	log, err := os.Create(filepath.Join(m.dir, name+".log"))
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...) // it becomes the program
	cmd.Dir, cmd.Stdout, cmd.Stderr = m.dir, log, log
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if m.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			m.t.Logf("%s:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
	return cmd
}

func (m *gtp) startGGSN() {
	m.t.Helper()
	conf := filepath.Join(m.dir, "ggsn.cfg")
	text := `log stderr
 logging color 0
 logging level ggsn info
line vty
 no login
ggsn ggsn0
 gtp state-dir ` + m.dir + `
 gtp bind-ip 10.99.0.1
 apn internet
  gtpu-mode tun
  tun-device tun4
  type-support v4
  ip prefix dynamic 10.46.0.0/16
  ip dns 0 10.46.0.1
  ip ifconfig 10.46.0.1/16
  no shutdown
 default-apn internet
 no shutdown ggsn
`
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.daemon("ggsn", "osmo-ggsn", "osmo-ggsn", "-c", conf)
	m.await("osmo-ggsn", func() (up bool) {
		v, err := gw.DialGGSN("ggsn")
		if err == nil {
			m.ggsn = v
			m.t.Cleanup(func() { v.Close() })
		}
		return err == nil
	})
	run(m.t, "ip", "netns", "exec", "ggsn", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
}

// startGateway puts the gateway between the GGSN and the world.
func (m *gtp) startGateway() {
	m.t.Helper()
	c := gw.Config{Host: gateway, PLMN: 240001, Group: internal, Free: selfCare, Portal: netip.MustParseAddr(portal), Who: m.ggsn.Who, Log: m.t.Logf}
	for _, side := range []struct {
		ns, device, route string
		to                *io.ReadWriteCloser
	}{{"ggsn", "gin", "default", &c.Inside}, {"inet", "gout", "10.46.0.0/16", &c.Outside}} {
		d, err := gw.Device(side.ns, side.device)
		if err != nil {
			m.t.Fatal(err)
		}
		*side.to = d
		run(m.t, "ip", "-n", side.ns, "link", "set", side.device, "up")
		run(m.t, "ip", "-n", side.ns, "route", "add", side.route, "dev", side.device)
	}
	var err error
	var g *gw.Gateway
	c.Charger, err = diameter.Dial(m.t.Context(), m.DiameterAddr(), diameter.ClientConfig{Host: gateway, Realm: realm, ToRealm: realm,
		Reauthorise: func(session []byte, groups []uint32) credit.Outcome { return g.Reauthorise(session, groups) },
		Abort:       func(session []byte) credit.Outcome { return g.Abort(session) }})
	if err != nil {
		m.t.Fatal(err)
	}
	g = gw.New(c)
	g.Start()
	m.gate = g
	m.t.Cleanup(func() {
		g.Close()
		c.Charger.(*diameter.Client).Close(context.Background())
	})
}

// serve puts a web server into the world.
func (m *gtp) serve(address string, h http.Handler) {
	m.t.Helper()
	run(m.t, "ip", "-n", "inet", "addr", "add", address+"/32", "dev", "lo")
	err := gw.In("inet", func() error {
		l, err := net.Listen("tcp", address+":80")
		if err != nil {
			return err
		}
		s := &http.Server{Handler: h}
		go s.Serve(l)
		m.t.Cleanup(func() { s.Close() })
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// content is a page of as many octets as its path says, the same ones each time.
func content(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(n))
	_, _ = w.Write(octets(n)) // the phone went away
}

func octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 131 >> 3)
	}
	return b
}

const welcome = "Your data is used up. Buy more here."

// portal is the operator's portal: a page, and the way to the self-care API.
func (m *gtp) portal() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, welcome) })
	mux.Handle("/selfcare/", httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: m.Addr()}))
	return mux
}

// phone is a phone with a GTP session.
type phone struct {
	address netip.Addr
	web     *http.Client
	process *exec.Cmd
	token   string    // its owner's
	bought  time.Time // when the last purchase was answered
}

// attach opens a GTP session for a card.
func (m *gtp) attach(imsi string) *phone {
	m.t.Helper()
	cmd := m.daemon("ue", "sgsnemu", "sgsnemu", "--statedir", m.dir, "--pidfile", filepath.Join(m.dir, "sgsnemu.pid"), "-l", "10.99.0.2", "-r", "10.99.0.1",
		"-a", "internet", "-i", imsi, "-m", "447900000001", "--createif", "--defaultroute", "--tun-device", "ue1")
	p := &phone{process: cmd}
	m.await("the phone's address", func() bool {
		for _, field := range strings.Fields(run(m.t, "ip", "-n", "ue", "-4", "-o", "addr")) {
			if a, err := netip.ParsePrefix(field); err == nil && strings.HasPrefix(field, "10.46.") {
				p.address = a.Addr()
			}
		}
		return p.address.IsValid()
	})
	m.await("the phone's route", func() bool { // which it lays when it has the address
		return strings.Contains(run(m.t, "ip", "-n", "ue", "-4", "route", "show", "default"), "ue1")
	})
	dial := func(ctx context.Context, network, address string) (c net.Conn, err error) {
		err = gw.In("ue", func() (err error) {
			c, err = (&net.Dialer{}).DialContext(ctx, "tcp4", address)
			return err
		})
		return c, err
	}
	p.web = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	return p
}

// detaches ends the GTP session.
func (m *gtp) detaches(p *phone) {
	m.t.Helper()
	if err := p.process.Process.Signal(syscall.SIGTERM); err != nil {
		m.t.Fatal(err)
	}
	m.await("the end of the session", func() bool { return m.gate.Sessions() == 0 })
}

// get fetches a page through the tunnel.
func (p *phone) get(ctx context.Context, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := p.web.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// downloads fetches so many octets, which must arrive.
func (m *gtp) downloads(p *phone, n int) {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), patience)
	defer stop()
	got, err := p.get(ctx, fmt.Sprintf("http://%s/%d", internet, n))
	if err != nil || sha256.Sum256(got) != sha256.Sum256(octets(n)) {
		m.t.Fatalf("%d of %d octets: %v", len(got), n, err)
	}
}

// begins fetches so many octets while the test goes on; the channel has the outcome.
func (m *gtp) begins(p *phone, n int) <-chan error {
	done := make(chan error, 1)
	ctx, stop := context.WithTimeout(m.t.Context(), 2*patience)
	go func() {
		defer stop()
		got, err := p.get(ctx, fmt.Sprintf("http://%s/%d", internet, n))
		if err == nil && sha256.Sum256(got) != sha256.Sum256(octets(n)) {
			err = fmt.Errorf("%d octets arrived, and not those that were sent", len(got))
		}
		done <- err
	}()
	return done
}

// context is the GTP session as the GGSN has it, with its tunnel endpoints.
func (m *gtp) context(p *phone) string {
	m.t.Helper()
	text, err := m.ggsn.Context(p.address)
	if err != nil || !strings.Contains(text, "Data: ") {
		m.t.Fatalf("the context of %s: %q, %v", p.address, text, err)
	}
	return text
}

// turns waits until the gateway does something else with the internet's packets.
func (m *gtp) turns(p *phone, to gw.State) gw.Event {
	m.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-m.gate.Events():
			if e.Address == p.address && e.Group == internal && e.State == to {
				return e
			}
		case <-late:
			m.t.Fatalf("the gateway is not %s: %+v", to, m.gate.Counted(p.address, internal))
		}
	}
}

// isLed says that the phone gets the portal's page for whatever it asks of the web,
// and nothing else.
func (m *gtp) isLed(p *phone) {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), patience)
	defer stop()
	was := m.gate.Counted(p.address, internal).Passed
	if page, err := p.get(ctx, "http://"+internet+"/1000000"); err != nil || !strings.Contains(string(page), welcome) {
		m.t.Fatalf("a page of the web: %.200q, %v; want the portal's", page, err)
	}
	if now := m.gate.Counted(p.address, internal).Passed; now != was {
		m.t.Errorf("%d octets more passed to and from the internet", now-was)
	}
}

func (p *phone) owner() owner { return owner{p.web, "http://" + portal, p.token} }

func (m *gtp) atHome(p *phone) owner { return m.owner(p.token) }

// buys orders a pack as the phone's owner and returns the order.
func (m *gtp) buys(p *phone, line *subscription.Product, offering string) string {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), patience)
	defer stop()
	var shelf []selfcare.Pack
	if _, err := p.owner().asks(ctx, http.MethodGet, "/selfcare/v1/lines/"+line.ID+"/packs", nil, &shelf); err != nil || len(shelf) != 1 || shelf[0].Offering != offering {
		m.t.Fatalf("packs to buy: %+v, %v", shelf, err)
	}
	var o selfcare.Order
	status, err := p.owner().asks(ctx, http.MethodPost, "/selfcare/v1/orders", selfcare.Purchase{Line: line.ID, Offering: offering}, &o)
	if err != nil || status != http.StatusCreated {
		m.t.Fatalf("buy %s: %d, %v", offering, status, err)
	}
	p.bought = time.Now()
	return o.ID
}

// agrees says that a balance is what it was less what the gateway has reported, to
// the octet, as the owner sees it. It is not looked at through the tunnel: the portal
// must be new to the session when nothing is left.
func (m *gtp) agrees(p *phone, line *subscription.Product, bucket string, was uint64) {
	m.t.Helper()
	var seen string
	m.await("the balance", func() bool {
		var lines []selfcare.Line
		if _, err := m.atHome(p).asks(m.t.Context(), http.MethodGet, "/selfcare/v1/lines", nil, &lines); err != nil || len(lines) != 1 || lines[0].ID != line.ID {
			seen = fmt.Sprintf("%+v, %v", lines, err)
			return false
		}
		want := strconv.FormatUint(was-m.gate.Counted(p.address, internal).Reported, 10)
		for _, b := range lines[0].Balances {
			if b.Name == bucket {
				seen = fmt.Sprintf("%s of %s left, want %s", b.Remaining.Amount, bucket, want)
				return b.Remaining.Amount.String() == want
			}
		}
		return false
	}, func() string { return seen })
}

// addsUp says that the octets which the kernel moved, the gateway counted, and
// charging charged and wrote down are the same.
func (m *gtp) addsUp() {
	m.t.Helper()
	m.idle()
	world, free := m.gate.Total(internal), m.gate.Total(selfCare)
	if down, up := m.moved("ggsn", "gin"), m.moved("inet", "gout"); down != world.Down+free.Down || up != world.Up+free.Up {
		m.t.Errorf("the kernel moved %d octets down and %d up, the gateway counted %d and %d", down, up, world.Down+free.Down, world.Up+free.Up)
	}
	for group, c := range map[uint32]gw.Counted{internal: world, selfCare: free} {
		rows := m.count("SELECT coalesce(sum(octets), 0) FROM charging_usage WHERE tenant = $1 AND rating_group = $2", brand, int64(group))
		if c.Reported != c.Passed || rows != int64(c.Passed) {
			m.t.Errorf("group %d: %d octets counted, %d reported, %d in usage records", group, c.Passed, c.Reported, rows)
		}
		m.t.Logf("group %d: %d octets in %d grants, asked to ask again %d times", group, c.Passed, c.Grants, c.Asked)
	}
	if n := m.count("SELECT -sum(amount) FROM charging_entry WHERE tenant = $1 AND against = 'usage'", brand); n != int64(world.Passed) {
		m.t.Errorf("%d octets were taken from buckets, %d were used", n, world.Passed)
	}
	if n := m.count("SELECT count(*) FROM charging_suspense WHERE tenant IN ($1, $2)", brand, host); n != 0 {
		m.t.Errorf("%d reports are in suspense", n)
	}
}

// moved is how many octets the kernel took out of the gateway's hands.
func (m *gtp) moved(ns, device string) uint64 {
	m.t.Helper()
	var links []struct {
		Stats struct {
			RX struct {
				Bytes uint64 `json:"bytes"`
			} `json:"rx"`
		} `json:"stats64"`
	}
	if err := json.Unmarshal([]byte(run(m.t, "ip", "-n", ns, "-s", "-j", "link", "show", device)), &links); err != nil || len(links) != 1 {
		m.t.Fatalf("%s in %s: %+v, %v", device, ns, links, err)
	}
	return links[0].Stats.RX.Bytes
}

// billedOnce says that what was bought is billed, once.
func (m *gtp) billedOnce(bought string) {
	m.t.Helper()
	product := m.productOf(bought)
	if n := m.count("SELECT count(*) FROM billing_charge WHERE tenant = $1 AND product = $2", brand, product.ID); n != 1 {
		m.t.Errorf("%d billable items of %s", n, product.ID)
	}
}

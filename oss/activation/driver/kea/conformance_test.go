package kea_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	edge "tandem/edge/kea"
	"tandem/edge/peertest"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/oss/activation/driver"
	"tandem/oss/activation/driver/drivertest"
	"tandem/oss/activation/driver/kea"
)

func TestConformanceOfTheRealElement(t *testing.T) { drivertest.Run(t, startReal) }

// server is a real Kea with its agent, which serves no interface.
type server struct {
	t     *testing.T
	dir   string
	agent string
	procs []*exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	peertest.Need(t, "kea-dhcp4", "kea-dhcp4-server")
	peertest.Need(t, "kea-ctrl-agent", "kea-ctrl-agent")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, dir: shortDir(t), agent: l.Addr().String()}
	l.Close()
	host, port, _ := net.SplitHostPort(s.agent)
	for name, text := range map[string]string{
		"dhcp4.json": `{"Dhcp4":{"interfaces-config":{"interfaces":[]},"control-socket":{"socket-type":"unix","socket-name":"` + s.dir + `/s"},
			"lease-database":{"type":"memfile","persist":false},"valid-lifetime":600,"subnet4":[{"id":1,"subnet":"100.64.0.0/16","pools":[{"pool":"100.64.255.1-100.64.255.200"}],
			"reservations":[{"hw-address":"02:00:00:00:00:01","ip-address":"100.64.254.1","hostname":"printer"}]}],
			"loggers":[{"name":"kea-dhcp4","severity":"WARN","output_options":[{"output":"stdout"}]}]}}`,
		"agent.json": `{"Control-agent":{"http-host":"` + host + `","http-port":` + port + `,"control-sockets":{"dhcp4":{"socket-type":"unix","socket-name":"` + s.dir + `/s"}},
			"loggers":[{"name":"kea-ctrl-agent","severity":"WARN","output_options":[{"output":"stdout"}]}]}}`,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.kill)
	s.start()
	return s
}

// shortDir is a folder whose name leaves room for a socket's: it has 108 octets at most.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kea")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (s *server) start() {
	s.t.Helper()
	for _, args := range [][]string{{"kea-dhcp4", "-c", s.dir + "/dhcp4.json"}, {"kea-ctrl-agent", "-c", s.dir + "/agent.json"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+s.dir, "KEA_LOCKFILE_DIR="+s.dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.procs = append(s.procs, cmd)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		_, err := s.do("config-get", nil)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("kea does not answer: %v\n%s%s", err, s.procs[0].Stdout, s.procs[1].Stdout)
		}
		time.Sleep(20 * time.Millisecond) // between two questions: it says nothing when it is ready
	}
}

func (s *server) kill() {
	for _, p := range s.procs {
		_ = p.Process.Kill()
		_ = p.Wait()
	}
	s.procs = nil
	for _, left := range []string{"/kea-dhcp4.dhcp4.pid", "/dhcp4.kea-dhcp4.pid", "/agent.kea-ctrl-agent.pid", "/s", "/s.lock"} {
		_ = os.Remove(s.dir + left)
	}
}

// do asks the agent itself, past the driver and the faults.
func (s *server) do(command string, arguments any) ([]byte, error) {
	c := edge.New(s.agent, 1)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return c.Do(ctx, command, arguments)
}

// way is a proxy in front of the agent under the suite's rule.
type way struct {
	mu   sync.Mutex
	rule drivertest.Rule
	seen int
}

func (w *way) inject(rule drivertest.Rule) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rule, w.seen = rule, 0
}

func (w *way) verdict() drivertest.Fault {
	w.mu.Lock()
	rule := w.rule
	w.seen++
	n := w.seen
	w.mu.Unlock()
	if rule == nil {
		return drivertest.Fault{}
	}
	return rule(n)
}

func (w *way) handler(agent string) http.HandlerFunc {
	return func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		fault := w.verdict()
		if fault.Action == drivertest.CutBefore {
			panic(http.ErrAbortHandler)
		}
		res, err := http.Post("http://"+agent+"/", "application/json", bytes.NewReader(body))
		if err != nil {
			panic(http.ErrAbortHandler) // the agent is dead
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		switch {
		case err != nil || fault.Action == drivertest.CutAfter:
			panic(http.ErrAbortHandler)
		case fault.Action == drivertest.LoseReply:
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case fault.Action == drivertest.HoldReply:
			select {
			case <-fault.Until:
			case <-r.Context().Done():
			}
		}
		out.Header().Set("Content-Type", "application/json")
		_, _ = out.Write(text)
	}
}

func startReal(t *testing.T) drivertest.Harness {
	s, w := newServer(t), &way{}
	front := httptest.NewServer(w.handler(s.agent))
	t.Cleanup(front.Close)
	return drivertest.Harness{
		New: kea.NewTurns(storetest.Open(t, store.SQLite, kea.Schemas...), "northwind").New, Endpoint: driver.Endpoint{Address: strings.TrimPrefix(front.URL, "http://")}, Inject: w.inject, Kill: s.kill, Restart: s.start,
		Full: full,
		Changed: func(d driver.Desired) driver.Desired {
			d.Attributes = map[string]string{"login": d.Attributes["login"] + "-moved"}
			return d
		},
		Clashing: func(d, owner driver.Desired) driver.Desired {
			d.Attributes = map[string]string{"login": owner.Attributes["login"]}
			return d
		},
		Invalid: wrong(),
		Holds:   func(t testing.TB, d driver.Desired) error { return s.holds(d) },
		Tamper:  func(t testing.TB, d driver.Desired) { s.set(t, d.Key, "00:"+hexOf("drift")) },
		Vanish:  func(t testing.TB, d driver.Desired) { s.set(t, d.Key, "") },
	}
}

func full(n int) driver.Desired {
	return driver.Desired{Type: driver.DHCPReservation, Key: netip.AddrFrom4([4]byte{100, 64, byte(n >> 8), byte(n)}).String(),
		Attributes: map[string]string{"login": fmt.Sprintf("line-%06d", n)}, Secrets: map[string]driver.Secret{}}
}

func wrong() (list []driver.Desired) {
	for _, key := range []string{"", "100.64.0.256", "2001:db8::1", "100.064.0.1"} {
		d := full(1)
		d.Key = key
		list = append(list, d)
	}
	for _, login := range []string{"", "two words", strings.Repeat("x", 65)} {
		d := full(1)
		d.Attributes["login"] = login
		list = append(list, d)
	}
	return list
}

func hexOf(s string) string {
	var parts []string
	for _, c := range []byte(s) {
		parts = append(parts, fmt.Sprintf("%02X", c))
	}
	return strings.Join(parts, ":")
}

// document is the server's configuration as the test reads it.
func (s *server) document(t testing.TB) (doc map[string]any, subnet map[string]any) {
	text, err := s.do("config-get", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "hash")
	return doc, doc["Dhcp4"].(map[string]any)["subnet4"].([]any)[0].(map[string]any)
}

func (s *server) holds(d driver.Desired) error {
	_, subnet := s.document(s.t)
	printer := false
	have := ""
	for _, r := range subnet["reservations"].([]any) {
		m := r.(map[string]any)
		printer = printer || m["hw-address"] == "02:00:00:00:00:01" && m["ip-address"] == "100.64.254.1" && m["hostname"] == "printer"
		if m["ip-address"] == d.Key {
			have, _ = m["client-id"].(string)
		}
	}
	if !printer {
		return errors.New("what else was reserved is gone or changed")
	}
	if want := "00" + strings.ReplaceAll(hexOf(d.Attributes["login"]), ":", ""); !strings.EqualFold(strings.ReplaceAll(have, ":", ""), want) {
		return fmt.Errorf("%s is reserved for %q, not %q", d.Key, have, want)
	}
	return nil
}

// set reserves an address for a client, or for none, past the driver.
func (s *server) set(t testing.TB, address, client string) {
	doc, subnet := s.document(t)
	var kept []any
	for _, r := range subnet["reservations"].([]any) {
		if r.(map[string]any)["ip-address"] != address {
			kept = append(kept, r)
		}
	}
	if client != "" {
		kept = append(kept, map[string]any{"ip-address": address, "client-id": client})
	}
	subnet["reservations"] = kept
	if _, err := s.do("config-set", doc); err != nil {
		t.Fatal(err)
	}
}

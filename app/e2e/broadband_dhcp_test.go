package e2e_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tandem/app"
	"tandem/app/broadband"
	"tandem/edge/kea"
	"tandem/edge/peertest"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
)

const agentAddress = "127.0.0.1:8000"

// A line whose router asks by DHCP gets the line's own address from a real Kea, and no other client does; the end of the line gives it back.
func TestBroadbandAddressByKea(t *testing.T) {
	t.Parallel()
	for program, pack := range map[string]string{"kea-dhcp4": "kea-dhcp4-server", "kea-ctrl-agent": "kea-ctrl-agent", "udhcpc": "udhcpc", "ip": "iproute2"} {
		peertest.Need(t, program, pack)
	}
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			if apart(t, engine) {
				addressByKea(t, engine)
			}
		})
	}
}

func addressByKea(t *testing.T, engine store.Dialect) {
	accessNetwork(t)
	f := fixedLine(t, engine, app.RADIUSFace{Authentication: []string{"127.0.0.1:1812"}, Accounting: []string{"127.0.0.1:1813"}, Gateways: lab})
	f.kea()
	f.write(host, func(tx *store.Tx) error {
		if err := activation.SaveElement(tx, activation.Element{Name: broadband.DHCP, Type: "kea-dhcp4", Address: agentAddress, Enabled: true}); err != nil {
			return err
		}
		return activation.Grant(tx, broadband.DHCP, brand, "100.64.0.")
	})
	l := f.sells(broadband.Flat100, tmf.Characteristic{Name: "dhcp", Value: []byte("true")})
	if got := f.asks(l.login); got != l.address {
		t.Fatalf("the router of %s gets %q, want %s", l.login, got, l.address)
	}
	if got := f.asks("a stranger"); got == l.address {
		t.Fatalf("a stranger gets %s", got)
	}
	f.wants(f.logsIn(l, l.password), "Framed-IP-Address = "+l.address)
	f.agrees()
	f.through(end(l.ID))
	if got := f.asks(l.login); got == l.address {
		t.Fatalf("the router of a line that is gone gets %s", got)
	}
	f.agrees()
}

// kea starts the DHCP server of the access link, and its agent.
func (f *fixed) kea() {
	f.t.Helper()
	dir, err := os.MkdirTemp("", "kea") // short: the name of a socket has 108 octets at most
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { os.RemoveAll(dir) })
	for name, text := range map[string]string{
		"kea-dhcp4": `{"Dhcp4":{"interfaces-config":{"interfaces":["access"]},"control-socket":{"socket-type":"unix","socket-name":"DIR/s"},"authoritative":true,
			"lease-database":{"type":"memfile","persist":false},"valid-lifetime":600,"subnet4":[{"id":1,"interface":"access","subnet":"100.64.0.0/16","pools":[{"pool":"100.64.255.1-100.64.255.200"}]}],
			"loggers":[{"name":"kea-dhcp4","severity":"INFO","output_options":[{"output":"stdout"}]}]}}`,
		"kea-ctrl-agent": `{"Control-agent":{"http-host":"127.0.0.1","http-port":8000,"control-sockets":{"dhcp4":{"socket-type":"unix","socket-name":"DIR/s"}},
			"loggers":[{"name":"kea-ctrl-agent","severity":"WARN","output_options":[{"output":"stdout"}]}]}}`,
	} {
		conf := filepath.Join(dir, name+".json")
		if err := os.WriteFile(conf, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o600); err != nil {
			f.t.Fatal(err)
		}
		log := &logbook{}
		cmd := exec.Command(name, "-c", conf)
		cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+dir, "KEA_LOCKFILE_DIR="+dir)
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			if f.t.Failed() {
				f.t.Logf("%s:\n%s", name, log)
			}
		})
	}
	agent := kea.New(agentAddress, 1)
	defer agent.Close()
	f.await("the DHCP server", func() bool {
		_, err := agent.Do(context.Background(), "config-get", nil)
		return err == nil
	})
}

// asks is a DHCP client that calls itself by a name; "": it got no address.
func (f *fixed) asks(name string) string {
	f.t.Helper()
	dir := f.t.TempDir()
	script := filepath.Join(dir, "got")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = bound ] && echo \"$ip\" >"+dir+"/address\nexit 0\n"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	out, err := exec.Command("ip", "netns", "exec", subjects, "udhcpc", "-i", "home", "-f", "-n", "-q", "-t", "8", "-T", "1", "-C", "-x", fmt.Sprintf("0x3d:00%x", name), "-s", script).CombinedOutput()
	text, unbound := os.ReadFile(filepath.Join(dir, "address"))
	if (err == nil) != (unbound == nil) {
		f.t.Fatalf("udhcpc: %v, %v\n%s", err, unbound, out)
	}
	return strings.TrimSpace(string(text))
}

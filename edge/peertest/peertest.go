// Package peertest is how tests drive programs of other houses: call servers, agents,
// decoders, each in a network of its own where it wants one.
//
//	test ── Need ──> there? else it fails (or is skipped, where that is allowed)
//	test ── Inside ──> the same test again, in a child with an empty network
//
// Owns, tells and hears nothing; only tests import it.
package peertest

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Need finds the path of a program. Where it is missing the test fails and says by
// which package it comes; TANDEM_ALLOW_SKIP=1 has it skipped instead.
func Need(t testing.TB, program, pack string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("TANDEM_ALLOW_SKIP") == "1" {
		t.Skipf("%s is missing: apt-get install %s", program, pack)
	}
	t.Fatalf("%s is missing: apt-get install %s", program, pack)
	return ""
}

const inside = "TANDEM_TEST_INSIDE"

// Inside runs the test that calls it once more, in a child process with a network (and
// mounts) of its own, and is true there; outside it is false, and the child's failure
// is the test's. env is added to the child's environment. A user who is not root is
// root in there.
func Inside(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		return true
	}
	own := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		own.Cloneflags |= syscall.CLONE_NEWUSER
		own.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		own.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+only(t.Name()), "-test.v")
	cmd.Env = append(append(os.Environ(), env...), inside+"="+t.Name())
	cmd.SysProcAttr = own
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	runtime.LockOSThread() // Pdeathsig follows the thread that started the process
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil || !bytes.Contains(out.Bytes(), []byte("--- PASS: "+t.Name()+" ")) {
		t.Errorf("%v\n%s", err, out.String())
	} else {
		t.Log(out.String()) // what it measured
	}
	return false
}

// only is the pattern that selects one test by its whole name.
func only(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

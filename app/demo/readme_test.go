package demo

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"tandem/app"
	"tandem/edge/peertest"
)

// What a stranger pastes out of the README works as printed: its sh blocks, word by
// word but for the addresses, in one shell, on the demo.
func TestWalkOfTheREADME(t *testing.T) {
	peertest.Need(t, "curl", "curl")
	faces, err := app.ReadFaces("faces.json")
	if err != nil {
		t.Fatal(err)
	}
	charging := faces.Nchf.Listen
	faces.Nchf.Listen = "127.0.0.1:0"
	const token = "a-superuser-token-for-tests"
	a, err := app.New(t.Context(), app.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Tenant: Host, AdminToken: token, Lab: true, AllowLocal: true,
		Faces: faces, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Stop()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := New(a, token).Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	shell := newShell(t, "TANDEM_ADMIN_TOKEN="+token)
	here := strings.NewReplacer("127.0.0.1:8080", a.Addr(), charging, a.NchfAddr())
	answers := []string{
		``,
		`"externalId":"my-first-order".*"state":"inProgress"|"state":"inProgress".*"externalId":"my-first-order"`,
		`(?s)"state":"completed".*"status":"active".*"value":9.9\b.*"value":19.99\b`,
		`"state":"inProgress".*"status":"suspended"`,
		`"state":"inProgress"`,
		`"status":"created".*"amount":1\b`,
		`(?s)"totalVolume":10485760.*"totalVolume":5242880\b.*"finalUnitAction":"REDIRECT"`,
		`(?s)"amount":0.04\b.*"value":100663296\b.*"taxIncludedRatingAmount":{"unit":"EUR","value":0.96}`,
		`(?s)"amount":10\b.*"offering":"mobile-pack-5".*"value":9.9\b`,
		`"id":"pack-1","state":"inProgress"`,
		`"remaining":{"amount":0.14,"units":"EUR"}.*"remaining":{"amount":5000000000,"units":"octets"}`,
	}
	blocks := shellBlocks(t, "../../README.md")
	if len(blocks) != len(answers) {
		t.Fatalf("the README has %d blocks for a shell, this test knows %d", len(blocks), len(answers))
	}
	for i, block := range blocks {
		out := shell.run(here.Replace(block))
		if !regexp.MustCompile(answers[i]).MatchString(out) {
			t.Fatalf("%s\nanswers\n%s\nwithout %s", block, out, answers[i])
		}
		comeToRest(t, a)
	}
}

// shellBlocks are what stands between ```sh and ``` in a file.
func shellBlocks(t *testing.T, path string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllSubmatch(text, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

// comeToRest is the moment after which the README says that something is done.
func comeToRest(t *testing.T, a *app.App) {
	t.Helper()
	for _, idle := range []func(context.Context) error{a.Bus.Idle, a.Runner.Idle, a.Bus.Idle, a.Charging.Idle, a.Bus.Idle} {
		if err := idle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// shell is a bash that keeps what earlier blocks have set.
type shell struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

func newShell(t *testing.T, env ...string) *shell {
	t.Helper()
	cmd := exec.Command("bash")
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	s := &shell{t: t, in: in, out: bufio.NewScanner(out)}
	s.out.Buffer(nil, 1<<20)
	return s
}

const endOfBlock = "-- that was it --"

// run pastes a block and returns all that it prints.
func (s *shell) run(block string) string {
	s.t.Helper()
	if _, err := io.WriteString(s.in, block+"\necho; echo '"+endOfBlock+"'\n"); err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for s.out.Scan() {
		if s.out.Text() == endOfBlock {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, s.out.Text())
	}
	s.t.Fatalf("the shell ended: %v\n%s", s.out.Err(), strings.Join(lines, "\n"))
	return ""
}

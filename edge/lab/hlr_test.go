package lab_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/edge/hlr"
	"tandem/edge/lab"
)

const imsi = "240010000000001"

// childDir makes the test binary a register that serves until it is killed.
const childDir = "TANDEM_LAB_HLR_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

func child(dir string) {
	h, err := lab.StartHLR(context.Background(), lab.HLRConfig{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(h.Addr())
	io.Copy(io.Discard, os.Stdin) // ends with the parent
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t testing.TB, dir string) (*lab.HLR, *hlr.Client) {
	t.Helper()
	h, err := lab.StartHLR(t.Context(), lab.HLRConfig{Dir: dir})
	must(t, err)
	t.Cleanup(func() { h.Close() })
	c, err := hlr.Dial(t.Context(), h.Addr())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return h, c
}

// sim is the n-th SIM of a stream: four commands make it.
func sim(n int) (imsi, msisdn string, cmds []hlr.Command) {
	imsi, msisdn = fmt.Sprintf("24001%010d", n), fmt.Sprintf("4479%08d", n)
	k, err := hlr.ParseSecret(fmt.Sprintf("%032x", n+1))
	if err != nil {
		panic(err)
	}
	return imsi, msisdn, []hlr.Command{hlr.CreateCommand(imsi), hlr.MilenageCommand(imsi, k, k),
		hlr.MSISDNCommand(imsi, msisdn), hlr.PSCommand(imsi, n%2 == 0)}
}

// The register is killed in the middle of a stream of commands; whatever it answered is there afterwards.
func TestAnsweredCommandsSurviveKill9(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	must(t, err)
	c, err := hlr.Dial(t.Context(), strings.TrimSpace(addr))
	must(t, err)
	defer c.Close()

	const enough = 2000
	var answered atomic.Int64
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for answered.Load() < enough {
			runtime.Gosched()
		}
		cmd.Process.Kill()
	}()
	kept := 0 // SIMs whose four commands were all answered
	for err == nil {
		var stream []hlr.Command
		for n := kept; n < kept+16; n++ {
			_, _, cmds := sim(n)
			stream = append(stream, cmds...)
		}
		var replies []hlr.Reply
		replies, err = c.Do(t.Context(), stream...)
		for i := 0; i < len(replies) && replies[i].Err == nil; i++ {
			if answered.Add(1); i%4 == 3 {
				kept++
			}
		}
	}
	<-killed
	if !errors.Is(err, hlr.Lost) || kept < enough/4 {
		t.Fatalf("the stream ended with %v after %d SIMs", err, kept)
	}
	cmd.Wait()

	_, c = start(t, dir)
	for n := range kept {
		imsi, msisdn, _ := sim(n)
		s, err := c.Info(t.Context(), imsi)
		if err != nil || s.MSISDN != msisdn || s.PS != (n%2 == 0) || !s.CS {
			t.Fatalf("SIM %d of %d: %+v, %v", n, kept, s, err)
		}
		a, err := c.AuthInfo(t.Context(), imsi)
		k, _ := hlr.ParseSecret(fmt.Sprintf("%032x", n+1))
		if err != nil || !a.Matches(k, k) {
			t.Fatalf("SIM %d has other keys (%v)", n, err)
		}
	}
}

func journal(dir string) string { return filepath.Join(dir, "hlr.journal") }

// Each length of the last record that a crash may leave loads, without that record and with all before it.
func TestTornLastRecord(t *testing.T) {
	dir := t.TempDir()
	h, c := start(t, dir)
	for n := range 2 {
		imsi, _, _ := sim(n)
		_, err := c.Create(t.Context(), imsi)
		must(t, err)
	}
	must(t, h.Close())
	whole, err := os.ReadFile(journal(dir))
	must(t, err)
	first := strings.IndexByte(string(whole), '\n') + 1
	for cut := first; cut < len(whole); cut++ {
		must(t, os.WriteFile(journal(dir), whole[:cut], 0o600))
		h, c := start(t, dir)
		imsi0, _, _ := sim(0)
		imsi1, _, _ := sim(1)
		if _, err := c.Info(t.Context(), imsi0); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if id, err := c.Create(t.Context(), imsi1); err != nil || id != 2 {
			t.Fatalf("cut at %d: the torn subscriber is not free: %d, %v", cut, id, err)
		}
		must(t, h.Close())
		if again, err := os.ReadFile(journal(dir)); err != nil || string(again) != string(whole) {
			t.Fatalf("cut at %d: the journal goes on with %q, %v", cut, again, err)
		}
	}
}

// Damage in front of the end is told, not passed over.
func TestDamagedJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	h, c := start(t, dir)
	_, err := c.Create(t.Context(), imsi)
	must(t, err)
	must(t, c.SetMSISDN(t.Context(), imsi, "447900000001"))
	must(t, h.Close())
	whole, err := os.ReadFile(journal(dir))
	must(t, err)
	for at := range len(whole) - 1 {
		bad := []byte(string(whole))
		bad[at] ^= 1
		must(t, os.WriteFile(journal(dir), bad, 0o600))
		if h, err := lab.StartHLR(t.Context(), lab.HLRConfig{Dir: dir}); err == nil {
			h.Close()
			t.Fatalf("octet %d is damaged and the register starts", at)
		}
	}
}

// A long journal shrinks at the start and means the same; ids of deleted subscribers stay free.
func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	h, c := start(t, dir)
	for n := range 3 {
		_, _, cmds := sim(n)
		_, err := c.Do(t.Context(), cmds...)
		must(t, err)
	}
	imsi1, _, _ := sim(1)
	must(t, c.Delete(t.Context(), imsi1))
	imsi2, _, _ := sim(2)
	_, err := c.Do(t.Context(), hlr.Command{Verb: hlr.Set, Var: "subscriber.by-id-1.aud2g", Value: "comp128v1," + strings.Repeat("ab", 16)})
	must(t, err)
	var toggles []hlr.Command
	for i := range 11_000 {
		toggles = append(toggles, hlr.CSCommand(imsi2, i%2 == 1))
	}
	_, err = c.Do(t.Context(), toggles...)
	must(t, err)
	before := state(t, c)
	must(t, h.Close())
	long, err := os.Stat(journal(dir))
	must(t, err)
	h, c = start(t, dir)
	if after := state(t, c); after != before {
		t.Errorf("the compacted journal means\n%s\nnot\n%s", after, before)
	}
	must(t, c.SetMSISDN(t.Context(), imsi2, "1")) // it goes on in the new file
	must(t, h.Close())
	short, err := os.Stat(journal(dir))
	must(t, err)
	if long.Size() < 1_000_000 || short.Size() > 1000 {
		t.Errorf("the journal went from %d to %d octets", long.Size(), short.Size())
	}
	_, c = start(t, dir)
	if s, err := c.Info(t.Context(), imsi2); err != nil || s.MSISDN != "1" || s.ID != 3 {
		t.Errorf("after the second start: %+v, %v", s, err)
	}
}

// state is everything that the first four ids hold.
func state(t *testing.T, c *hlr.Client) string {
	t.Helper()
	var b strings.Builder
	for id := range 4 {
		replies, err := c.Do(t.Context(), hlr.Command{Verb: hlr.Get, Var: "subscriber.by-id-" + strconv.Itoa(id+1) + ".info-all"})
		must(t, err)
		fmt.Fprintln(&b, replies[0].Value, replies[0].Err)
	}
	return b.String()
}

func TestOneProcessPerDirectory(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	if h, err := lab.StartHLR(t.Context(), lab.HLRConfig{Dir: dir}); err == nil {
		h.Close()
		t.Fatal("two registers write one journal")
	}
}

func TestContextEndsTheRegister(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	h, err := lab.StartHLR(ctx, lab.HLRConfig{Dir: t.TempDir()})
	must(t, err)
	c, err := hlr.Dial(t.Context(), h.Addr())
	must(t, err)
	defer c.Close()
	_, err = c.Create(t.Context(), imsi)
	must(t, err)
	cancel()
	for err == nil {
		_, err = c.Info(t.Context(), imsi)
	}
	if errors.Is(err, hlr.Timeout) {
		t.Fatal(err)
	}
	must(t, h.Close())
}

// Each fault, the error of the caller, and whether the command was executed.
func TestFaults(t *testing.T) {
	released := make(chan struct{})
	close(released)
	for _, c := range []struct {
		name     string
		fault    lab.Fault
		want     hlr.Kind
		executed bool
	}{
		{"reply lost", lab.Fault{Action: lab.LoseReply}, hlr.Timeout, true},
		{"command lost", lab.Fault{Action: lab.LoseCommand}, hlr.Timeout, false},
		{"closed before", lab.Fault{Action: lab.CloseBefore}, hlr.Lost, false},
		{"closed after", lab.Fault{Action: lab.CloseAfter}, hlr.Lost, true},
		{"refused", lab.Fault{Action: lab.Refuse, Text: "Subscriber already exists."}, hlr.Exists, false},
		{"too late", lab.Fault{Action: lab.LateReply, Until: make(chan struct{})}, hlr.Timeout, true},
		{"late", lab.Fault{Action: lab.LateReply, Until: released}, "", true},
		{"late by a time", lab.Fault{Action: lab.LateReply, Delay: time.Millisecond}, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, client := start(t, t.TempDir())
			h.SetFaults(func(cmd hlr.Command) lab.Fault {
				if cmd == hlr.CreateCommand(imsi) {
					return c.fault
				}
				return lab.Fault{}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if c.want == hlr.Timeout {
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
			}
			// Those before and behind it in the pipeline are not harmed, unless the connection ends.
			replies, _ := client.Do(ctx, hlr.CreateCommand("240010000000008"), hlr.CreateCommand(imsi), hlr.CreateCommand("240010000000009"))
			if replies[0].Err != nil {
				t.Errorf("the command before: %v", replies[0].Err)
			}
			if (replies[2].Err != nil) != (c.want == hlr.Lost) {
				t.Errorf("the command behind: %v", replies[2].Err)
			}
			err := replies[1].Err
			if c.want == "" && err != nil || c.want != "" && !errors.Is(err, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			other, err := hlr.Dial(t.Context(), h.Addr())
			must(t, err)
			defer other.Close()
			if _, err := other.Info(t.Context(), imsi); (err == nil) != c.executed {
				t.Errorf("read back: %v, want executed %v", err, c.executed)
			}
		})
	}
}

// The error texts of what the client never sends, recorded from osmo-hlr 1.5.0.
func TestMalformedRequests(t *testing.T) {
	h, c := start(t, t.TempDir())
	_, err := c.Create(t.Context(), imsi)
	must(t, err)
	conn, err := net.Dial("tcp", h.Addr())
	must(t, err)
	defer conn.Close()
	r := bufio.NewReader(conn)
	for _, s := range []struct{ text, want string }{
		{"", "ERROR err Request malformed"},
		{"FOO 1 x", "ERROR err Request type unknown"},
		{"GET", "ERROR err Missing ID"},
		{"GET x y", "ERROR err Invalid message ID number"},
		{"GET -1 subscriber.create", "ERROR err Invalid message ID number"},
		{"GET 12", "ERROR 12 GET incomplete"},
		{"SET 12", "ERROR 12 SET incomplete"},
		{"SET 12 subscriber.create ", "ERROR 12 SET incomplete"},
		{"GET 12 subscriber.create x", "ERROR 12 GET with trailing characters"},
		{"GET 14 rate_ctr.*", "ERROR 14 GET variable contains invalid characters"},
		{"GET_REPLY 1 x y", "ERROR 1 Trying to execute something not GET or SET"},
		{"get 03  subscriber.by-id-1.msisdn \n", "GET_REPLY 03 subscriber.by-id-1.msisdn none"},
		{"SET 3 subscriber.by-id-1.msisdn  55", "ERROR 3 Value failed verification."},
		{"SET 3 subscriber.by-id-1.msisdn 55\n", "SET_REPLY 3 subscriber.by-id-1.msisdn OK"},
		{"GET 18446744073709551616 subscriber.by-id-1.msisdn", "GET_REPLY 18446744073709551616 subscriber.by-id-1.msisdn 55"},
	} {
		_, err := conn.Write(hlr.AppendFrame(nil, s.text))
		must(t, err)
		f, err := hlr.ReadFrame(r, 4096)
		must(t, err)
		if got, _ := f.Text(); got != s.want {
			t.Errorf("%q: got %q, want %q", s.text, got, s.want)
		}
	}
	conn.Write([]byte{0, 1, 0xfe, 0})
	if f, err := hlr.ReadFrame(r, 16); err != nil || hex.EncodeToString(f.Body) != "01" {
		t.Errorf("ping: %x, %v", f.Body, err)
	}
	conn.Write([]byte{0x05, 0x00, 0xee, 0x00})
	if _, err := hlr.ReadFrame(r, 16); err == nil {
		t.Error("a frame of 1280 octets is accepted")
	}
}

// A million subscribers fit and load in little memory.
func TestMillionSubscribers(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds long")
	}
	dir := t.TempDir()
	h, c := start(t, dir)
	const million = 1_000_000
	for from := 0; from < million; from += 10_000 {
		var cmds []hlr.Command
		for n := from; n < from+10_000; n++ {
			_, _, four := sim(n)
			cmds = append(cmds, four[0], four[2])
		}
		if _, err := c.Do(t.Context(), cmds...); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() int { // after a collection, so the load itself is not counted
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc >> 20)
	}
	with := heap()
	must(t, h.Close())
	began := time.Now()
	_, c = start(t, dir)
	t.Logf("%d MB of heap; the journal loads in %v", with, time.Since(began).Round(time.Millisecond))
	if with > 200 {
		t.Errorf("a million subscribers take %d MB", with)
	}
	last, _, _ := sim(million - 1)
	if s, err := c.Info(t.Context(), last); err != nil || s.ID != million {
		t.Errorf("the last subscriber: %+v, %v", s, err)
	}
}

// BenchmarkCTRL prints commands a second on one pipelined connection: create, keys, number, access for each SIM.
func BenchmarkCTRL(b *testing.B) {
	_, c := start(b, b.TempDir())
	next, done := 0, 0
	for b.Loop() {
		var cmds []hlr.Command
		for range 256 {
			_, _, four := sim(next)
			cmds, next = append(cmds, four...), next+1
		}
		replies, err := c.Do(b.Context(), cmds...)
		must(b, err)
		for _, r := range replies {
			must(b, r.Err)
		}
		done += len(cmds)
	}
	b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "commands/s")
}

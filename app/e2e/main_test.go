package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/app"
)

// childEnv makes this test binary a node: its value says which.
const childEnv = "TANDEM_E2E_NODE"

func TestMain(m *testing.M) {
	if doc := os.Getenv(childEnv); doc != "" {
		if err := child(doc); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	overlap()
	os.Exit(m.Run())
}

// overlap lets more tests run at once than there are processors, unless -parallel says
// how many: they wait for elements, leases and starting nodes more than they work.
func overlap() {
	const parallel = "test.parallel"
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == parallel })
	if given {
		return
	}
	if err := flag.Set(parallel, fmt.Sprint(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
}

// job is what a child process does: it runs a node. With an order it places that
// and ends when all is done; to recover it only does what is left and ends; else it
// serves until its standard input closes.
type job struct {
	Data, Database string
	Order          json.RawMessage `json:",omitempty"` // of the brand
	Recover        bool
	KillAt         int64 // the n-th commit since the order came in, or since the start of a recovery
	Durable        bool  // after the commit, else before it
}

const placed = "placed" // on a child's standard output: the client has its answer

func child(doc string) error {
	var j job
	if err := json.Unmarshal([]byte(doc), &j); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var armed atomic.Bool
	armed.Store(j.Recover)
	a, err := app.New(ctx, app.Config{Data: j.Data, Database: j.Database, Listen: "127.0.0.1:0", AdminToken: adminToken, Tenant: host,
		AllowLocal: true, Lease: time.Second, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Around: j.killer(&armed)})
	if err != nil {
		return err
	}
	defer a.Stop()
	if err := a.Start(ctx); err != nil {
		return err
	}
	if j.Recover {
		return settled(ctx, a)
	}
	if len(j.Order) == 0 {
		fmt.Println(a.Addr())
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	if err := settled(ctx, a); err != nil {
		return err
	}
	armed.Store(true)
	res, err := send(ctx, a.Addr(), brand, http.MethodPost, orders, "application/json", bytes.NewReader(j.Order))
	if err != nil || res.status != http.StatusCreated {
		return fmt.Errorf("place: %s, %w", res, err)
	}
	fmt.Println(placed)
	return settled(ctx, a)
}

// killer ends the process at the commit the job names, as kill -9 does.
func (j job) killer(armed *atomic.Bool) func(bool) {
	var n atomic.Int64
	return func(durable bool) {
		if !armed.Load() || durable != j.Durable || n.Add(1) != j.KillAt {
			return
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {}
	}
}

func settled(ctx context.Context, a *app.App) error {
	for range 3 { // jobs tell facts, facts order jobs
		if err := a.Runner.Idle(ctx); err != nil {
			return err
		}
		if err := a.Bus.Idle(ctx); err != nil {
			return err
		}
		if err := a.Charging.Idle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// process is a child under way.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   bytes.Buffer
	log   logbook
}

// spawn starts a child. It ends with the test at the latest.
func spawn(t testing.TB, j job) *process {
	t.Helper()
	doc, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(doc))
	p.cmd.Stderr = &p.log
	p.cmd.Stdout = &p.out
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *process) start(t testing.TB) {
	t.Helper()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cmd.Process.Kill() })
}

// wait returns how a child ended that had an order: killed or through, and
// whether the client had its answer.
func (p *process) wait(t testing.TB) (killed, answered bool) {
	t.Helper()
	err := p.cmd.Wait()
	answered = strings.Contains(p.out.String(), placed)
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true, answered
	}
	if err != nil {
		t.Fatalf("the node ended with %v:\n%s", err, &p.log)
	}
	return false, answered
}

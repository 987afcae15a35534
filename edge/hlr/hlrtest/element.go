package hlrtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tandem/edge/hlr"
)

const startTimeout = 15 * time.Second

// Element is one osmo-hlr process with a database of its own.
type Element struct {
	Dir    string // configuration, database, log
	IP     string // 127.x.y.z
	t      testing.TB
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process is gone
}

// CTRL is the address of the control interface.
func (e *Element) CTRL() string { return net.JoinHostPort(e.IP, "4259") }

// VTY is the address of the command line.
func (e *Element) VTY() string { return net.JoinHostPort(e.IP, "4258") }

// GSUP is the address for serving nodes.
func (e *Element) GSUP() string { return net.JoinHostPort(e.IP, "4222") }

// Start starts an osmo-hlr with an empty database and returns when it answers. It ends with the test. Where osmo-hlr is not installed
// the test fails, unless TANDEM_ALLOW_SKIP=1 permits to skip it.
func Start(t testing.TB) *Element {
	t.Helper()
	if _, err := exec.LookPath("osmo-hlr"); err != nil {
		if os.Getenv("TANDEM_ALLOW_SKIP") == "1" {
			t.Skip("osmo-hlr is missing: apt-get install osmo-hlr")
		}
		t.Fatal("osmo-hlr is missing: apt-get install osmo-hlr")
	}
	e := &Element{Dir: t.TempDir(), t: t}
	t.Cleanup(e.cleanup)
	var err error
	for range 10 {
		if e.IP, err = freeAddress(); err != nil {
			continue
		}
		if err = e.run(); err == nil {
			return e
		}
	}
	t.Fatalf("osmo-hlr does not start: %v\n%s", err, e.log())
	return nil
}

var counter atomic.Uint32

// freeAddress derives a loopback address from the process id and a counter and probes its three ports. Another process may still
// take it before the element does; then the element ends and Start tries the next one.
func freeAddress() (string, error) {
	n := uint32(os.Getpid())*64 + counter.Add(1)
	ip := net.IPv4(127, byte(64+n>>16%128), byte(n>>8), byte(1+n%250)).String()
	for _, port := range []string{"4258", "4259", "4222"} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
		if err != nil {
			return "", err
		}
		l.Close()
	}
	return ip, nil
}

const config = `log stderr
 logging color 0
 logging level main notice
line vty
 no login
 bind %[1]s 4258
ctrl
 bind %[1]s
hlr
 gsup
  bind ip %[1]s
`

// run starts the process on the database in Dir and waits for its first answer.
func (e *Element) run() error {
	cfg := filepath.Join(e.Dir, "hlr.cfg")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, config, e.IP), 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(e.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	e.cmd = exec.Command("osmo-hlr", "-c", cfg, "-l", filepath.Join(e.Dir, "hlr.db"))
	e.cmd.Dir, e.cmd.Stdout, e.cmd.Stderr = e.Dir, log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	e.exited = make(chan struct{})
	started := make(chan error)
	go func() {
		// Pdeathsig follows the thread that started the process, so that thread has to stay.
		runtime.LockOSThread()
		err := e.cmd.Start()
		started <- err
		if err == nil {
			e.cmd.Wait()
		}
		close(e.exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	return e.ready()
}

// ready returns when the control interface answers a question.
func (e *Element) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		c, err := hlr.Dial(ctx, e.CTRL())
		if err == nil {
			_, err = c.Info(ctx, "000000000000000")
			c.Close()
		}
		if errors.Is(err, hlr.NoSubscriber) {
			return nil
		}
		select {
		case <-e.exited:
			return errors.New("the process ended")
		case <-ctx.Done():
			e.stop()
			return fmt.Errorf("no answer: %w", err)
		case <-retry.C:
		}
	}
}

// Kill ends the process as a crash would (SIGKILL) and returns when it is gone.
func (e *Element) Kill() {
	e.t.Helper()
	e.stop()
}

// Restart kills the process if it runs, starts it on the same database and address, and returns when it answers.
func (e *Element) Restart() {
	e.t.Helper()
	e.stop()
	if err := e.run(); err != nil {
		e.t.Fatalf("osmo-hlr does not restart: %v\n%s", err, e.log())
	}
}

// Freeze stops the process without closing anything (SIGSTOP): connections open, nobody answers.
func (e *Element) Freeze() { e.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on; it executes what was sent meanwhile.
func (e *Element) Thaw() { e.signal(syscall.SIGCONT) }

func (e *Element) signal(s syscall.Signal) {
	e.t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		e.t.Fatalf("osmo-hlr: %v: %v", s, err)
	}
}

// stop ends the process; SIGKILL also ends a frozen one.
func (e *Element) stop() {
	if e.exited == nil || e.cmd.Process == nil {
		return
	}
	e.cmd.Process.Kill()
	<-e.exited
}

func (e *Element) cleanup() {
	e.stop()
	if e.t.Failed() {
		e.t.Logf("osmo-hlr log:\n%s", e.log())
	}
}

// log returns the end of the element's log.
func (e *Element) log() []byte {
	b, err := os.ReadFile(filepath.Join(e.Dir, "log"))
	if err != nil {
		return nil
	}
	return b[max(0, len(b)-4000):]
}

package storetest

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pair is a PostgreSQL server with a synchronous standby: what a commit answered is
// on both. They live until the test ends.
type Pair struct {
	t        testing.TB
	bin      string
	cred     *syscall.Credential
	primary  *instance
	standby  *instance
	database string
}

// instance is one of them.
type instance struct {
	data  string
	port  int
	cmd   *exec.Cmd      // a shell that ends it with this process
	leash io.WriteCloser // as long as it is open
}

// StartPair starts a pair with an empty database.
func StartPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{t: t, database: "pair"}
	var err error
	if p.bin, err = binaries(); err != nil {
		if os.Getenv("TANDEM_ALLOW_SKIP") == "1" {
			t.Skipf("no PostgreSQL: %v", err)
		}
		t.Fatalf("no PostgreSQL for tests (apt-get install postgresql-15): %v", err)
	}
	dir, err := os.MkdirTemp(memory(), "tandem-pair-") // not the test's own: the server's user must reach it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if p.cred, err = unprivileged(dir); err != nil {
		t.Fatal(err)
	}
	p.primary, p.standby = p.server(filepath.Join(dir, "a")), p.server(filepath.Join(dir, "b"))
	p.run("initdb", "-D", p.primary.data, "-U", "tandem", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	p.start(p.primary)
	p.sql(p.primary, "CREATE DATABASE "+p.database)
	p.run("pg_basebackup", "-D", p.standby.data, "-R", "-X", "stream", "-c", "fast", "-N", "-h", "127.0.0.1", "-p", fmt.Sprint(p.primary.port), "-U", "tandem")
	p.start(p.standby)
	p.sql(p.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
	p.until(p.primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")
	return p
}

// URL names both, and asks for the one that takes writes.
func (p *Pair) URL() string {
	return fmt.Sprintf("postgres://tandem@127.0.0.1:%d,127.0.0.1:%d/%s?sslmode=disable&target_session_attrs=read-write", p.primary.port, p.standby.port, p.database)
}

// FailOver kills the primary as a power cut does, and makes the standby the primary,
// as whoever watches over a cluster does.
func (p *Pair) FailOver() {
	p.t.Helper()
	p.kill(p.primary)
	p.run("pg_ctl", "promote", "-w", "-D", p.standby.data)
	p.until(p.standby, "SELECT NOT pg_is_in_recovery()")
}

func (p *Pair) server(data string) *instance {
	p.t.Helper()
	port, err := freePort()
	if err != nil {
		p.t.Fatal(err)
	}
	return &instance{data: data, port: port}
}

func (p *Pair) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = filepath.Dir(p.primary.data), &syscall.SysProcAttr{Credential: p.cred}
	return cmd
}

func (p *Pair) run(name string, args ...string) {
	p.t.Helper()
	if out, err := p.command(name, args...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func (p *Pair) start(s *instance) {
	p.t.Helper()
	script := fmt.Sprintf(`trap '' INT TERM; %q/postgres -D %q -h 127.0.0.1 -p %d -k %q >%q 2>&1 & P=$!
read -r _; kill -QUIT $P 2>/dev/null; wait $P`, p.bin, s.data, s.port, filepath.Dir(s.data), s.data+".log")
	s.cmd = exec.Command("/bin/sh", "-c", script)
	s.cmd.Dir, s.cmd.SysProcAttr = filepath.Dir(s.data), &syscall.SysProcAttr{Credential: p.cred, Setpgid: true}
	var err error
	if s.leash, err = s.cmd.StdinPipe(); err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		s.leash.Close()
		_ = s.cmd.Wait() // it ends as it likes
	})
	if err := await(p.address(s, "postgres")); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends all processes of a server at once.
func (p *Pair) kill(s *instance) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		p.t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	master, err := strconv.Atoi(strings.TrimSpace(line))
	if err == nil {
		err = syscall.Kill(master, syscall.SIGSTOP) // it starts no more of them
	}
	if err != nil {
		p.t.Fatal(err)
	}
	for _, pid := range append(children(master), master) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
}

// children are the processes that a process has started.
func children(of int) (pids []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ") // behind the name
		f := strings.Fields(rest)
		if len(f) > 1 && f[1] == strconv.Itoa(of) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (p *Pair) address(s *instance, database string) string {
	return fmt.Sprintf("postgres://tandem@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

func (p *Pair) sql(s *instance, statements ...string) {
	p.t.Helper()
	for _, one := range statements {
		admin(p.t, p.address(s, "postgres"), one)
	}
}

// until asks a question until the answer is yes.
func (p *Pair) until(s *instance, question string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.address(s, "postgres"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.Close(ctx)
	for yes := false; !yes; {
		if err := conn.QueryRow(ctx, question).Scan(&yes); err != nil {
			p.t.Fatalf("%s: %v", question, err)
		}
	}
}

// Package storetest gives tests real stores: a SQLite file in a temporary
// folder and a database of its own on a real PostgreSQL.
//
// The PostgreSQL server is TANDEM_TEST_POSTGRES (a URL of a superuser) if set;
// otherwise the test process starts a throw-away cluster once and stops it with
// itself. A missing PostgreSQL fails the test unless TANDEM_ALLOW_SKIP=1.
package storetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tandem/kit/store"
)

// Each runs f as a subtest on a fresh store of either engine.
func Each(t *testing.T, schemas []store.Schema, f func(t *testing.T, db *store.DB)) {
	t.Helper()
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(t, Open(t, engine, schemas...)) })
	}
}

// Open is a fresh store of one engine with the schemas applied.
func Open(t testing.TB, engine store.Dialect, schemas ...store.Schema) *store.DB {
	t.Helper()
	return OpenConfig(t, Made(t, engine, Layout{Schemas: schemas}), schemas...)
}

// OpenConfig opens a store of a config made by Config, so that a test can open
// the same store twice (restart, two nodes).
func OpenConfig(t testing.TB, c store.Config, schemas ...store.Schema) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context(), schemas...); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return db
}

var databases atomic.Int64

// Config names a fresh, empty store.
func Config(t testing.TB, engine store.Dialect) store.Config {
	t.Helper()
	if engine == store.SQLite {
		return store.Config{Path: filepath.Join(t.TempDir(), "tandem.db")}
	}
	return database(t, "")
}

// database is a new one, which is gone after the test.
func database(t testing.TB, options string) store.Config {
	t.Helper()
	url := Server(t)
	name := fmt.Sprintf("t_%d_%d", os.Getpid(), databases.Add(1))
	admin(t, url, "CREATE DATABASE "+name+options)
	t.Cleanup(func() { admin(t, url, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return store.Config{URL: within(url, name)}
}

func admin(t testing.TB, url, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

const serverEnv = "TANDEM_TEST_POSTGRES" // names a server to use

var (
	once    sync.Once
	server  string
	failure error
	leash   io.Closer // the server lives as long as this pipe is open
)

// Server is the URL of a PostgreSQL superuser's "postgres" database.
func Server(t testing.TB) string {
	t.Helper()
	once.Do(func() {
		if server = os.Getenv(serverEnv); server == "" {
			server, failure = startCluster()
		}
	})
	if failure != nil {
		if os.Getenv("TANDEM_ALLOW_SKIP") == "1" {
			t.Skipf("no PostgreSQL: %v", failure)
		}
		t.Fatalf("no PostgreSQL for tests (apt-get install postgresql-15): %v", failure)
	}
	return server
}

// startCluster makes a cluster whose server dies with this process: it is the
// child of a shell that waits for our end of a pipe to close. No test cuts the power, so
// it need not wait for the disk.
func startCluster() (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(memory(), "tandem-pg-")
	if err != nil {
		return "", err
	}
	cred, err := unprivileged(dir)
	if err != nil {
		return "", err
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: cred}
		return cmd
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "tandem", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %v: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	script := fmt.Sprintf(`trap '' INT TERM; %q/postgres -D %q -h 127.0.0.1 -p %d -k %q -c max_connections=200 -c fsync=off -c full_page_writes=off -c max_wal_size=256MB >%q 2>&1 & P=$!
read -r _; kill -QUIT $P; wait $P; rm -rf %q`, bin, data, port, dir, filepath.Join(dir, "log"), dir)
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: cred, Setpgid: true}
	if leash, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	url := fmt.Sprintf("postgres://tandem@127.0.0.1:%d/postgres?sslmode=disable", port)
	return url, await(url)
}

// memory is a folder in memory if there is enough of it, else "". Each test has a database
// of a thousand files, and to make those costs more on a disk than most tests do.
func memory() string {
	const folder, enough = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return ""
	}
	return folder
}

func await(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not come up: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// unprivileged gives the folder to the postgres user when we are root, as
// which PostgreSQL refuses to run.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Nearby is the environment in which a test that runs in a network of its own has the same
// server: by its socket in the file system, which all networks of a machine share. Where
// there is none, such a test starts a server for itself.
func Nearby(t testing.TB) string {
	t.Helper()
	const alone = serverEnv + "="
	server := Server(t)
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(t.Context())
	var folders, port string
	if err := conn.QueryRow(t.Context(), "SELECT current_setting('unix_socket_directories'), current_setting('port')").Scan(&folders, &port); err != nil {
		t.Fatalf("ask PostgreSQL for its socket: %v", err)
	}
	folder, _, _ := strings.Cut(folders, ",")
	if _, err := os.Stat(filepath.Join(folder, ".s.PGSQL."+port)); err != nil {
		return alone // it is on another machine
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", folder)
	q.Set("port", port)
	u.Host, u.RawQuery = "", q.Encode()
	return alone + u.String()
}

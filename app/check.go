package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tandem/kit/access"
	"tandem/kit/store"
)

// checkup is a configuration while it is explained.
type checkup struct {
	Config
	w     io.Writer
	wrong int
}

// Check explains a configuration line by line: what each setting means, what is
// wrong with it, and how to mend that. It looks whether a node could start so,
// and changes nothing. Its error says how many lines are wrong.
func Check(ctx context.Context, c Config, w io.Writer) error {
	if c.Tenant == "" {
		c.Tenant = "host"
	}
	k := &checkup{Config: c, w: w}
	folder := k.data()
	if folder {
		k.key()
	}
	switch {
	case c.Database != "":
		k.database(ctx)
	case folder:
		k.file()
	}
	k.listen()
	k.token()
	k.tenant()
	k.messages(ctx)
	k.limits()
	switch k.wrong {
	case 0:
		fmt.Fprintln(w, "A node can start with this configuration.")
		return nil
	case 1:
		return errors.New("1 setting is wrong")
	}
	return fmt.Errorf("%d settings are wrong", k.wrong)
}

func (k *checkup) say(verdict, name, format string, args ...any) {
	fmt.Fprintf(k.w, "%-5s %-22s %s\n", verdict, name, fmt.Sprintf(format, args...))
}

func (k *checkup) ok(name, format string, args ...any)   { k.say("ok", name, format, args...) }
func (k *checkup) note(name, format string, args ...any) { k.say("note", name, format, args...) }

// bad says what is wrong, and how to mend it.
func (k *checkup) bad(name, what, mend string) {
	k.wrong++
	k.say("WRONG", name, "%s. %s.", what, mend)
}

const lowSpace = 1 << 30 // octets that should be free

// data looks at the folder, or at the nearest one above it that exists, and says
// whether it can be used.
func (k *checkup) data() bool {
	const name = "--data"
	if k.Data == "" {
		k.bad(name, "no folder is given", "Name the folder of keys, transfers and the embedded store")
		return false
	}
	there := filepath.Clean(k.Data)
	info, err := os.Stat(there)
	for errors.Is(err, fs.ErrNotExist) && filepath.Dir(there) != there {
		there = filepath.Dir(there)
		info, err = os.Stat(there)
	}
	switch {
	case err != nil:
		k.bad(name, fmt.Sprintf("%s cannot be looked at: %v", there, err), "Name a folder that this user may reach")
		return false
	case !info.IsDir():
		k.bad(name, there+" is a file, not a folder", "Name a folder, or move the file away")
		return false
	case syscall.Access(there, 0x2|0x1) != nil: // W_OK, X_OK
		k.bad(name, "this user may not write in "+there, fmt.Sprintf("Give it to the user: chown %d %s", os.Getuid(), there))
		return false
	}
	if there != filepath.Clean(k.Data) {
		k.ok(name, "%s will be made in %s", k.Data, there)
	} else {
		k.ok(name, "%s exists and can be written", k.Data)
		if info.Mode().Perm()&0o077 != 0 {
			k.note(name, "others on this machine can look into it; chmod 700 %s keeps them out", k.Data)
		}
	}
	var space syscall.Statfs_t
	if syscall.Statfs(there, &space) == nil {
		if free := int64(space.Bavail) * int64(space.Bsize); free < lowSpace {
			k.note(name, "only %d MB are free there", free>>20)
		}
	}
	return true
}

// key looks at the file that seals secrets; LoadKey would make it.
func (k *checkup) key() {
	const name = "secret.key"
	path := filepath.Join(k.Data, name)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && k.hasStore():
		k.bad(name, "it is missing, but there is a store: the keys of its SIM cards cannot be opened without it", "Put the key back from your backup: "+path)
	case errors.Is(err, fs.ErrNotExist):
		k.ok(name, "will be made at the first start; keep a copy in a safe place")
	case err != nil:
		k.bad(name, fmt.Sprintf("it cannot be read: %v", err), "Give it to the user of the node")
	default:
		if raw, err := hex.DecodeString(strings.TrimSpace(string(b))); err != nil || len(raw) != 32 {
			k.bad(name, "it does not hold 64 hexadecimal digits", "Put the key back from your backup: "+path)
			return
		}
		k.ok(name, "is there")
	}
}

func (k *checkup) hasStore() bool {
	info, err := os.Stat(filepath.Join(k.Data, "tandem.db"))
	return err == nil && info.Size() > 0
}

// file looks at the embedded store without opening it as a database, which would
// make files beside it.
func (k *checkup) file() {
	const name = "--database"
	path := filepath.Join(k.Data, "tandem.db")
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.ok(name, "not given: the embedded store will be made in %s", path)
		return
	case err != nil:
		k.bad(name, fmt.Sprintf("the embedded store cannot be read: %v", err), "Give it to the user of the node")
		return
	}
	defer f.Close()
	head := make([]byte, 16)
	if n, _ := io.ReadFull(f, head); n > 0 && string(head) != "SQLite format 3\x00" {
		k.bad(name, path+" is not a database of the embedded store", "Put the file back from your backup, or name another --data")
		return
	}
	if k.inUse() {
		k.bad(name, "another process uses the data folder "+k.Data, "Stop it first, or name another --data; several nodes share a store on PostgreSQL")
		return
	}
	k.ok(name, "not given: the embedded store %s is there and free", path)
}

// inUse says that a process holds the lock of the data folder.
func (k *checkup) inUse() bool {
	f, err := os.Open(filepath.Join(k.Data, "lock"))
	if err != nil {
		return false
	}
	defer f.Close() // gives the lock back, if it was free
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) != nil
}

const oldestPostgres = 150000 // as server_version_num has it

// database asks a PostgreSQL whether it would do.
func (k *checkup) database(ctx context.Context) {
	const name = "--database"
	u, err := url.Parse(k.Database)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		k.bad(name, "it does not look like postgres://user:password@host:5432/name", "Write it like that")
		return
	}
	where := u.Redacted()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	db, err := store.Open(ctx, store.Config{URL: k.Database, Conns: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		k.bad(name, fmt.Sprintf("%s does not let us in: %s", where, k.hide(err)), "Check that it runs, that the address is right, and that user and password are")
		return
	}
	defer db.Close()
	var version int64
	var may bool
	err = db.Read(ctx, store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT current_setting('server_version_num')::bigint, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)").Scan(&version, &may)
	})
	switch {
	case err != nil:
		k.bad(name, fmt.Sprintf("%s does not answer: %s", where, k.hide(err)), "Look into the log of PostgreSQL")
	case version < oldestPostgres:
		k.bad(name, fmt.Sprintf("%s is PostgreSQL %d", where, version/10000), fmt.Sprintf("Use PostgreSQL %d or newer", oldestPostgres/10000))
	case !may:
		k.bad(name, "the user may not make tables in "+where, "GRANT CREATE ON SCHEMA public TO the user, or make it the owner of the database")
	default:
		k.ok(name, "%s answers, PostgreSQL %d, and tables can be made", where, version/10000)
	}
}

// hide takes the password out of an error.
func (k *checkup) hide(err error) string {
	text := err.Error()
	if u, bad := url.Parse(k.Database); bad == nil {
		if pw, ok := u.User.Password(); ok && pw != "" {
			text = strings.ReplaceAll(text, pw, "xxxxx")
		}
	}
	return strings.ReplaceAll(text, "\n", " ")
}

func (k *checkup) listen() {
	const name = "--listen"
	host, port, err := net.SplitHostPort(k.Listen)
	if err != nil {
		k.bad(name, fmt.Sprintf("%q is not HOST:PORT", k.Listen), "Write it like 127.0.0.1:8080")
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		k.bad(name, fmt.Sprintf("%q is not a port", port), "Take a number from 1 to 65535")
		return
	} else if n == 0 {
		k.note(name, "port 0: each start takes another free port")
	}
	l, err := net.Listen("tcp", k.Listen)
	if err != nil {
		mend := "Take an address of this machine"
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			mend = "Stop the process that has it, or take another port"
		case errors.Is(err, syscall.EACCES):
			mend = "Take a port from 1024 on, or give the program the capability CAP_NET_BIND_SERVICE"
		}
		k.bad(name, fmt.Sprintf("nobody could be answered there: %v", err), mend)
		return
	}
	l.Close()
	k.ok(name, "%s is free", k.Listen)
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		k.note(name, "other machines can reach it, and tokens travel as they are: put a proxy with TLS before it")
	}
}

func (k *checkup) token() {
	const name = "TANDEM_ADMIN_TOKEN"
	if k.AdminToken == "" {
		k.note(name, "not set: there is no superuser; set it at the first start to make users")
		return
	}
	if _, err := access.New(nil, slog.New(slog.DiscardHandler), access.Config{AdminToken: k.AdminToken, Tenant: "host"}); err != nil {
		k.bad(name, strings.TrimPrefix(err.Error(), "access: "), "Make one with: openssl rand -hex 24")
		return
	}
	k.ok(name, "is set and long enough")
}

func (k *checkup) tenant() {
	if _, err := access.New(nil, slog.New(slog.DiscardHandler), access.Config{Tenant: k.Tenant}); err != nil {
		k.bad("--tenant", fmt.Sprintf("%q cannot be a tenant", k.Tenant), "The id of a tenant is 1 to 32 of a-z, 0-9 and -, beginning with a letter")
		return
	}
	k.ok("--tenant", "%s is the first tenant, the host", k.Tenant)
}

// messages looks at the ways by which messages leave.
func (k *checkup) messages(ctx context.Context) {
	if err := k.Messages.Check(); err != nil {
		k.bad("messages", err.Error(), "See tandem serve -h for --smtp, --mail-from, --smtp-tls, --sms-gateway and --messages; secrets are in TANDEM_SMS_SECRET and TANDEM_WEBHOOK_SECRET")
		return
	}
	k.mail(ctx)
	k.gateway(ctx)
	if k.Messages.Webhook == nil {
		k.note("TANDEM_WEBHOOK_SECRET", "not set: webhooks to customers fail, and say so")
	} else {
		k.ok("TANDEM_WEBHOOK_SECRET", "webhooks to customers are signed")
	}
	for _, brand := range slices.Sorted(maps.Keys(k.Messages.Brand)) {
		k.ok("--messages", "brand %s sends by its own ways", brand)
	}
}

// gateway looks whether the SMS gateway is there.
func (k *checkup) gateway(ctx context.Context) {
	const name = "--sms-gateway"
	if k.Messages.SMS == nil {
		k.note(name, "not given: short messages to customers fail, and say so")
		return
	}
	u, err := url.Parse(k.Messages.SMS.URL)
	if err != nil {
		k.bad(name, "it is not a URL", "Write it like https://sms.example.com/send")
		return
	}
	port := u.Port()
	if port == "" {
		port = u.Scheme // a port's name is as good as its number
	}
	addr := net.JoinHostPort(u.Hostname(), port)
	if err := reach(ctx, addr); err != nil {
		k.bad(name, fmt.Sprintf("the gateway %s cannot be reached: %v", addr, err), "Check the URL, and the way there")
		return
	}
	k.ok(name, "the gateway %s is there", addr)
	if u.Scheme == "http" {
		k.note(name, "short messages travel as they are: use https")
	}
}

func reach(ctx context.Context, addr string) error {
	d := net.Dialer{Timeout: 5 * time.Second}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// mail looks whether the mail relay is there.
func (k *checkup) mail(ctx context.Context) {
	const name = "--smtp"
	s := k.Messages.SMTP
	if s == nil {
		k.note(name, "not given: e-mails to customers fail, and say so")
		return
	}
	port := s.Port
	switch {
	case port == 0 && s.TLS == "implicit":
		port = 465
	case port == 0:
		port = 587
	}
	addr := net.JoinHostPort(s.Host, strconv.Itoa(port))
	if err := reach(ctx, addr); err != nil {
		k.bad(name, fmt.Sprintf("the mail relay %s cannot be reached: %v", addr, err), "Check --smtp and --smtp-port, and the way there")
		return
	}
	k.ok(name, "the mail relay %s is there; e-mails come from %s", addr, s.From)
	if s.TLS == "none" {
		k.note("--smtp-tls", "none: e-mails, and the relay's password, travel as they are")
	}
}

const shortestLease = time.Second

func (k *checkup) limits() {
	if k.Rate < 0 {
		k.bad("--rate", "it is negative", "Give requests a second, or 0 for no limit")
	} else if k.Rate > 0 {
		k.ok("--rate", "%g requests a second and tenant", k.Rate)
	}
	if k.Lease != 0 && k.Lease < shortestLease {
		k.bad("--lease", fmt.Sprintf("%s is too short: a node that is only slow would lose its jobs to another", k.Lease), "Give a second or more, or 0 for the default")
	}
	if k.AllowLocal {
		k.note("--allow-local-callbacks", "events and imports may be aimed at this machine's own services: for tests only")
	}
	if k.Lab {
		k.note("--lab", "a simulated HLR runs in this process: for trying, not for customers")
	}
	if k.Profile {
		k.note("--pprof", "/debug/pprof shows the inside of the process to whoever can reach it")
	}
}

package app_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tandem/app"
	"tandem/app/apptest"
	"tandem/bss/communication"
	"tandem/kit/store"
)

// files lists all there is below a folder, with sizes and times.
func files(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		b.WriteString(path + " " + info.ModTime().String() + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCheckExplainsAConfiguration(t *testing.T) {
	const good = "a-token-that-is-long-enough"
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	put := func(dir, name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		change func(dir string, c *app.Config)
		says   string
		wrong  string // the error; empty: none
	}{
		{"all is well", func(string, *app.Config) {}, "A node can start", ""},
		{"a folder to be made", func(dir string, c *app.Config) { c.Data = filepath.Join(dir, "a", "b") }, "will be made in ", ""},
		{"the folder is a file", func(dir string, c *app.Config) { put(dir, "f", ""); c.Data = filepath.Join(dir, "f") }, "is a file, not a folder", "1 setting is wrong"},
		{"a folder below a file", func(dir string, c *app.Config) { put(dir, "f", ""); c.Data = filepath.Join(dir, "f", "g") }, "cannot be looked at", "1 setting is wrong"},
		{"the address is taken", func(_ string, c *app.Config) { c.Listen = occupied.Addr().String() }, "Stop the process that has it", "1 setting is wrong"},
		{"no address", func(_ string, c *app.Config) { c.Listen = "8080" }, "is not HOST:PORT", "1 setting is wrong"},
		{"a port too high", func(_ string, c *app.Config) { c.Listen = "127.0.0.1:70000" }, "is not a port", "1 setting is wrong"},
		{"open to the world", func(_ string, c *app.Config) { c.Listen = "0.0.0.0:0" }, "put a proxy with TLS before it", ""},
		{"a short token", func(_ string, c *app.Config) { c.AdminToken = "secret" }, "openssl rand", "1 setting is wrong"},
		{"no token", func(_ string, c *app.Config) { c.AdminToken = "" }, "there is no superuser", ""},
		{"a bad tenant", func(_ string, c *app.Config) { c.Tenant = "Ünder" }, "cannot be a tenant", "1 setting is wrong"},
		{"a damaged key", func(dir string, c *app.Config) { put(dir, "secret.key", "abc") }, "64 hexadecimal digits", "1 setting is wrong"},
		{"a store without its key", func(dir string, c *app.Config) { put(dir, "tandem.db", "SQLite format 3\x00") }, "Put the key back from your backup", "1 setting is wrong"},
		{"a store that is none", func(dir string, c *app.Config) {
			put(dir, "tandem.db", "something else entirely")
			put(dir, "secret.key", strings.Repeat("0f", 32))
		}, "is not a database", "1 setting is wrong"},
		{"a database that is none", func(_ string, c *app.Config) { c.Database = "mysql://x" }, "does not look like postgres://", "1 setting is wrong"},
		{"a database that is away", func(_ string, c *app.Config) {
			c.Database = "postgres://ann:hidden-word@" + closed(t) + "/tandem?connect_timeout=2"
		}, "does not let us in", "1 setting is wrong"},
		{"mail without a sender", func(_ string, c *app.Config) { c.Messages.SMTP = &communication.SMTP{Host: "127.0.0.1"} }, "--mail-from", "1 setting is wrong"},
		{"a mail relay that is away", func(_ string, c *app.Config) {
			host, port, _ := net.SplitHostPort(closed(t))
			c.Messages.SMTP = &communication.SMTP{Host: host, Port: number(t, port), From: "a@example.com"}
		}, "cannot be reached", "1 setting is wrong"},
		{"an SMS gateway without a secret", func(_ string, c *app.Config) { c.Messages.SMS = &communication.Gateway{URL: "http://" + closed(t)} }, "TANDEM_SMS_SECRET", "1 setting is wrong"},
		{"an SMS gateway that is away", func(_ string, c *app.Config) {
			c.Messages.SMS = &communication.Gateway{URL: "http://" + closed(t) + "/x", Secret: good}
		}, "cannot be reached", "1 setting is wrong"},
		{"no webhooks", func(string, *app.Config) {}, "webhooks to customers fail", ""},
		{"webhooks with a short secret", func(_ string, c *app.Config) { c.Messages.Webhook = &communication.Hook{Secret: "hidden-word"} }, "TANDEM_WEBHOOK_SECRET", "1 setting is wrong"},
		{"a brand with ways of its own", func(_ string, c *app.Config) {
			c.Messages.Brand = map[string]communication.Channels{"bluebird": {Webhook: &communication.Hook{Secret: good}}}
		}, "brand bluebird", ""},
		{"a negative rate and a short lease", func(_ string, c *app.Config) { c.Rate, c.Lease = -1, time.Millisecond }, "is too short", "2 settings are wrong"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := app.Config{Data: t.TempDir(), Listen: "127.0.0.1:0", AdminToken: good, Tenant: "host"}
			root := conf.Data
			c.change(root, &conf)
			before := files(t, root)
			var out strings.Builder
			err := app.Check(t.Context(), conf, &out)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != c.wrong {
				t.Errorf("the error is %q, want %q:\n%s", text, c.wrong, &out)
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("it does not say %q:\n%s", c.says, &out)
			}
			if strings.Contains(out.String(), good) || strings.Contains(out.String(), "hidden-word") {
				t.Errorf("a secret is shown:\n%s", &out)
			}
			if after := files(t, root); after != before {
				t.Errorf("the check changed files:\n%s\n%s", before, after)
			}
		})
	}
}

// closed is an address where nobody answers.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func number(t *testing.T, s string) int {
	t.Helper()
	p, err := net.LookupPort("tcp", s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCheckOfStoresThatExist(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			data, database := apptest.Store(t, engine)
			c := app.Config{Data: data, Database: database, Tenant: "host"}
			a, err := app.New(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Stop()
			c.Listen = "127.0.0.1:0"
			var out strings.Builder
			err = app.Check(t.Context(), c, &out)
			if engine == store.Postgres {
				if err != nil || !strings.Contains(out.String(), "and tables can be made") {
					t.Errorf("%v:\n%s", err, &out)
				}
				return
			}
			if err == nil || !strings.Contains(out.String(), "another process uses the data folder") {
				t.Errorf("a node runs there: %v\n%s", err, &out)
			}
			a.Stop()
			out.Reset()
			if err := app.Check(t.Context(), c, &out); err != nil || !strings.Contains(out.String(), "is there and free") {
				t.Errorf("%v:\n%s", err, &out)
			}
		})
	}
}

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"tandem/app"
	"tandem/app/demo"
	"tandem/bss/communication"
	"tandem/kit/access"
)

// flags that serve and demo share.
func nodeFlags(name string, c *app.Config) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&c.Data, "data", "./var/tandem", "`DIR` of the embedded store, keys and transfers")
	f.StringVar(&c.Listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to answer on")
	f.StringVar(&c.Database, "database", "", "postgres://... instead of the embedded store")
	f.StringVar(&c.Tenant, "tenant", "host", "`ID` of the first tenant, the host")
	f.BoolVar(&c.AllowLocal, "allow-local-callbacks", false, "events and imports may use this machine's own addresses (for tests)")
	f.Float64Var(&c.Rate, "rate", 2000, "requests a second and tenant; 0: no limit")
	f.BoolVar(&c.Lab, "lab", false, "run the lab's HLR in this process")
	f.BoolVar(&c.Profile, "pprof", false, "serve /debug/pprof (for developers)")
	f.Func("faces", "`FILE` in JSON that says by which protocols network elements reach charging", func(path string) (err error) {
		c.Faces, err = app.ReadFaces(path)
		return err
	})
	f.Func("keep-history", "`DAYS` that it is kept what each write of a resource changed and who wrote it; 0: for ever (default 400)", func(days string) error {
		n, err := strconv.ParseUint(days, 10, 16)
		c.KeepHistory = time.Duration(n) * 24 * time.Hour
		return err
	})
	f.DurationVar(&c.Lease, "lease", 0, "how long the jobs of a dead node wait for another; 0: the default")
	f.StringVar(&c.Messages.SMTP.Host, "smtp", "", "`HOST` of the mail relay; empty: e-mails fail and say so")
	f.IntVar(&c.Messages.SMTP.Port, "smtp-port", 0, "port of the mail relay; 0: 587")
	f.StringVar(&c.Messages.SMTP.From, "mail-from", "", "sender of e-mails, e.g. 'Tandem <service@example.com>'")
	f.StringVar(&c.Messages.SMTP.TLS, "smtp-tls", "", "mandatory (default), opportunistic, implicit or none")
	f.StringVar(&c.Messages.SMS.URL, "sms-gateway", "", "`URL` that takes short messages, signed with TANDEM_SMS_SECRET; empty: they fail and say so")
	f.Func("messages", "`FILE` in JSON with what these flags and the environment say of messages, and with the brands' own ways", c.Messages.Load)
	f.Func("card-gateway", "`FILE` in JSON with the gateway that card payments go through, and with those of the brands; none: cards are not charged", c.Cards.Load)
	return f
}

// environment takes what must not stand on a command line.
func environment(c *app.Config) {
	c.AdminToken = os.Getenv("TANDEM_ADMIN_TOKEN")
	m := &c.Messages
	if s := os.Getenv("TANDEM_SMTP_USER"); s != "" {
		m.SMTP.User, m.SMTP.Password = s, os.Getenv("TANDEM_SMTP_PASSWORD")
	}
	if s := os.Getenv("TANDEM_SMS_SECRET"); s != "" {
		m.SMS.Secret = s
	}
	if s := os.Getenv("TANDEM_WEBHOOK_SECRET"); s != "" {
		m.Webhook.Secret = s
	}
	if m.SMTP.Host == "" {
		m.SMTP = nil
	}
	if m.SMS.URL == "" {
		m.SMS = nil
	}
	if m.Webhook.Secret == "" {
		m.Webhook = nil
	}
	c.Messages.AllowLocal = c.AllowLocal
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
}

func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected %q; flags begin with a dash", f.Arg(0))
	}
	return nil
}

func newConfig() app.Config {
	return app.Config{KeepHistory: 400 * 24 * time.Hour, Messages: communication.Config{Channels: communication.Channels{
		SMTP: &communication.SMTP{}, SMS: &communication.Gateway{}, Webhook: &communication.Hook{}}}}
}

func serve(ctx context.Context, args []string) error {
	c := newConfig()
	if err := parse(nodeFlags("tandem serve", &c), args); err != nil {
		return quiet(err)
	}
	environment(&c)
	a, err := app.New(ctx, c)
	if err != nil {
		return err
	}
	defer a.Stop()
	if err := run(ctx, a); err != nil {
		return err
	}
	a.Log.Info("tandem answers", "address", "http://"+a.Addr(), "store", a.DB.Dialect().String(), "data", c.Data)
	<-ctx.Done()
	a.Log.Info("tandem stops")
	return nil
}

// run starts the node; it works until Stop: the end of ctx is a request to stop, which what is
// under way outlives.
func run(ctx context.Context, a *app.App) error { return a.Start(context.WithoutCancel(ctx)) }

// quiet lets -h end without an error.
func quiet(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

func runDemo(ctx context.Context, args []string) error {
	c := newConfig()
	f := nodeFlags("tandem demo", &c)
	every := f.Duration("every", 2*time.Second, "pause between the orders that come by themselves; 0: none come")
	if err := parse(f, args); err != nil {
		return quiet(err)
	}
	environment(&c)
	c.Lab, c.Tenant, c.AllowLocal = true, demo.Host, true
	c.Messages.AllowLocal = true
	if c.AdminToken == "" {
		token, err := demoToken(c.Data)
		if err != nil {
			return err
		}
		c.AdminToken = token
	}
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	a, err := app.New(ctx, c)
	if err != nil {
		return err
	}
	defer a.Stop()
	if err := run(ctx, a); err != nil {
		return err
	}
	d := demo.New(a, c.AdminToken)
	fmt.Println("Setting up the demo operator ...")
	if err := d.Seed(ctx); err != nil {
		return err
	}
	greet(a, d, c.AdminToken)
	if *every > 0 {
		d.Flow(ctx, *every)
	}
	<-ctx.Done()
	return nil
}

// demoToken is kept with the demo's data, so that the logins printed yesterday
// hold today.
func demoToken(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	key, err := access.LoadKey(filepath.Join(dir, "demo.token"))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("demo-%x", key), nil
}

func greet(a *app.App, d *demo.Demo, token string) {
	fmt.Printf("\nTandem answers at http://%s\n\n", a.Addr())
	fmt.Printf("  administrator   export TANDEM_ADMIN_TOKEN=%s\n", token)
	for _, l := range d.Logins {
		fmt.Printf("  %-12s %-8s password %s\n", l.Tenant, l.User, l.Password)
	}
	fmt.Println("\nOrders flow gently. The README shows how to place one; Ctrl-C ends the demo.")
}

func check(ctx context.Context, args []string) error {
	c := newConfig()
	if err := parse(nodeFlags("tandem check", &c), args); err != nil {
		return quiet(err)
	}
	environment(&c)
	return app.Check(ctx, c, os.Stdout)
}

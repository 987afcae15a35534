package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"time"

	"tandem/app"
	"tandem/bss/revenue"
	"tandem/kit/money"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// assureCommands are the words after "tandem assure".
var assureCommands = map[string]func(context.Context, *assurer, []string) error{
	"run": assureRun, "report": assureReport, "findings": assureFindings,
}

const assureUsage = `say what to do:
  run [CONTROL ...]        run controls now, or all that are enabled, and show what they find
  report                   how the revenue stands: leakage, ageing, accuracy
  findings [CONTROL]       what is open, of one control or of all`

// assurer asks the API of revenue assurance: of a running node, or over the store of a
// stopped one.
type assurer struct {
	ask  func(*http.Request) (*http.Response, error)
	base string
	out  io.Writer
	log  io.Writer
	json bool
}

// assure is the command.
func assure(ctx context.Context, args []string) error {
	if len(args) == 0 || assureCommands[args[0]] == nil {
		return errors.New(assureUsage)
	}
	c, d := app.Config{}, &assurer{out: os.Stdout, log: os.Stderr}
	f := flag.NewFlagSet("tandem assure "+args[0], flag.ContinueOnError)
	f.StringVar(&c.Data, "data", "./var/tandem", "`DIR` of the data of a stopped node")
	f.StringVar(&c.Database, "database", "", "postgres://... instead of the embedded store")
	tenant := f.String("tenant", "", "`ID` of the tenant; with --server that of the token, else the only one there is")
	server := f.String("server", "", "`URL` of a running node, asked with the token in TANDEM_TOKEN")
	f.BoolVar(&d.json, "json", false, "print JSON")
	rest, names := args[1:], []string(nil)
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		names, rest = append(names, rest[0]), rest[1:]
	}
	if err := parse(f, rest); err != nil {
		return quiet(err)
	}
	do := func() error { return assureCommands[args[0]](ctx, d, names) }
	if *server != "" {
		return d.remote(*server, os.Getenv("TANDEM_TOKEN"), *tenant, do)
	}
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return d.stopped(ctx, c, *tenant, do)
}

// remote asks a running node.
func (d *assurer) remote(server, token, tenant string, do func() error) error {
	if token == "" {
		return errors.New("set TANDEM_TOKEN to a token that may see to the revenue")
	}
	d.base = strings.TrimSuffix(server, "/")
	d.ask = func(r *http.Request) (*http.Response, error) {
		r.Header.Set("Authorization", "Bearer "+token)
		if tenant != "" {
			r.Header.Set("Tandem-Tenant", tenant)
		}
		return http.DefaultClient.Do(r)
	}
	return do()
}

// stopped works on the store of a node that does not run, and runs the controls itself.
func (d *assurer) stopped(ctx context.Context, c app.Config, tenant string, do func() error) error {
	a, err := app.Open(ctx, c)
	if err != nil {
		return err
	}
	defer a.Stop()
	if tenant, err = tenantMeant(ctx, a, tenant); err != nil {
		return err
	}
	if err := a.StartElements(ctx); err != nil {
		return err
	}
	jobs := work.New(a.DB, c.Log, work.Config{})
	revenue.Handle(jobs, a.DB, a.Assurance())
	if err := jobs.Start(ctx); err != nil {
		return err
	}
	defer jobs.Stop()
	api := tmf.NewServer(a.DB, revenue.Kinds(), tmf.Options{Log: c.Log, Authenticate: func(*http.Request) (*tmf.Caller, error) {
		return &tmf.Caller{Tenant: tenant, Actor: "console:assure", Allow: func(string, string, string) bool { return true }}, nil
	}})
	d.ask = func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w.Result(), nil
	}
	return do()
}

// do sends a request and reads the answer into out.
func (d *assurer) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := tmf.Encode(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, d.base+revenue.API.Base+path, body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := d.ask(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return refusal(res)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return err
	}
	return tmf.Decode(b, out)
}

func (d *assurer) print(v any) error {
	b, err := tmf.Encode(v)
	if err == nil {
		_, err = fmt.Fprintf(d.out, "%s\n", b)
	}
	return err
}

const assureLook = 300 * time.Millisecond // between two looks at a run

// assureRun runs controls, and waits for their end.
func assureRun(ctx context.Context, d *assurer, names []string) error {
	r := &revenue.ControlRun{}
	for _, n := range names {
		r.Control = append(r.Control, tmf.Ref{ID: n})
	}
	if err := d.do(ctx, http.MethodPost, "/controlRun", r, r); err != nil {
		return err
	}
	id, said := r.ID, map[string]bool{}
	for r.State == revenue.Running {
		for _, c := range r.Result {
			if c.State != revenue.Waiting && !said[c.Control] {
				said[c.Control] = true
				fmt.Fprintf(d.log, "%s: %s\n", c.Control, c.State)
			}
		}
		select {
		case <-time.After(assureLook):
		case <-ctx.Done():
			return ctx.Err()
		}
		r = &revenue.ControlRun{}
		if err := d.do(ctx, http.MethodGet, "/controlRun/"+url.PathEscape(id), nil, r); err != nil {
			return err
		}
	}
	if d.json {
		return d.print(r)
	}
	for _, c := range r.Result {
		fmt.Fprintf(d.out, "%-4s %-7s %d findings (%d new, %d ended) of %d and %d in %d ms", c.Control, c.State, c.Findings, c.Opened, c.Closed, c.Left, c.Right, c.Millis)
		for _, m := range []struct {
			word string
			of   []tmf.Money
		}{{"lost", c.Leakage}, {"charged too much", c.Overcharge}, {"at risk", c.Risk}} {
			for _, x := range m.of {
				fmt.Fprintf(d.out, ", %s %s", moneyWords(x), m.word)
			}
		}
		if c.Reason != "" {
			fmt.Fprintf(d.out, ": %s", c.Reason)
		}
		fmt.Fprintln(d.out)
	}
	return nil
}

// moneyWords is money rounded to whole minor units.
func moneyWords(m tmf.Money) string {
	a, err := m.Post(money.HalfEven)
	if err != nil {
		return m.String()
	}
	return a.String()
}

// assureReport shows how the revenue stands.
func assureReport(ctx context.Context, d *assurer, names []string) error {
	if len(names) > 0 {
		return fmt.Errorf("unexpected %q; flags begin with a dash", names[0])
	}
	r := &revenue.Report{}
	if err := d.do(ctx, http.MethodPost, "/report", r, r); err != nil {
		return err
	}
	if d.json {
		return d.print(r)
	}
	_, err := fmt.Fprint(d.out, r)
	return err
}

const shownFindings = 200

// assureFindings lists what is open, oldest first.
func assureFindings(ctx context.Context, d *assurer, names []string) error {
	if len(names) > 1 {
		return errors.New("name one control")
	}
	var all []*revenue.Finding
	for _, state := range []string{revenue.Open, revenue.Confirmed} {
		path := fmt.Sprintf("/finding?state=%s&sort=foundDate&limit=%d", state, shownFindings)
		if len(names) == 1 {
			path += "&control.id=" + url.QueryEscape(names[0])
		}
		var some []*revenue.Finding
		if err := d.do(ctx, http.MethodGet, path, nil, &some); err != nil {
			return err
		}
		all = append(all, some...)
	}
	if d.json {
		return d.print(all)
	}
	for _, f := range all {
		line := f.ID + "  " + f.Class + "  "
		if f.Amount != nil {
			line += moneyWords(*f.Amount) + "  "
		}
		fmt.Fprintln(d.out, line+f.Words)
	}
	return nil
}

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
	"os/user"
	"slices"
	"strings"
	"time"

	"tandem/app"
	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/kit/access"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// billCommands are the words after "tandem bill".
var billCommands = map[string]func(context.Context, *desk, []string) error{
	"run": billRun, "status": billStatus, "approve": billMove(billing.RunApproved), "post": billMove(billing.RunPosted),
	"discard": billMove(billing.RunDiscarded), "withdraw": billMove(billing.RunReady), "held": billHeld, "parked": billParked,
	"release": billDecide(billing.Release), "hold": billDecide(billing.Hold), "drop": billDecide(billing.Discard), "retry": billDecide(billing.Retry),
	"explain": billExplain, "show": billShow,
}

const billUsage = `say what to do:
  run                make the drafts of all accounts that are due, and show the totals
  status [RUN]       how far the runs are, or one of them
  held RUN           drafts that wait for somebody to look at them
  parked RUN         accounts that could not be billed, and why
  release BILL       let a held draft go on       hold BILL --reason WHY    stop a draft
  drop BILL --reason WHY   take a draft back      retry RUN | RUN.ACCOUNT   work parked accounts out again
  approve RUN        a second person approves the totals       withdraw RUN   takes that back
  post RUN           number, book and chain what was approved
  discard RUN        take all drafts of a run back
  explain BILL       each line of a bill, by its id or number, in words
  show BILL --format pdf|html|ubl|cii    the bill itself, by its id or number, to --output FILE
  preview --account ID [--change PRODUCT=OFFERING@DATE | --offering OFFERING*COUNT@DATE]   what a bill would be
  compare [--run RUN | --from DATE --to DATE] --price OLD=NEW   what posted bills would be at other prices`

// desk is where the command asks: a running node, or the store of a stopped one, by the
// same requests.
type desk struct {
	ask    func(*http.Request) (*http.Response, error)
	base   string
	out    io.Writer
	log    io.Writer
	json   bool
	cutOff string
	cycle  string
	only   list
	reason string
	paper  paper
	books  *books // of the command books, which asks another API
	whatIf whatIf
}

type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// bill is the command: bill runs by hand.
func bill(ctx context.Context, args []string) error {
	if len(args) == 0 || billCommands[args[0]] == nil {
		return errors.New(billUsage)
	}
	c, d := app.Config{}, &desk{out: os.Stdout, log: os.Stderr}
	f := flag.NewFlagSet("tandem bill "+args[0], flag.ContinueOnError)
	f.StringVar(&c.Data, "data", "./var/tandem", "`DIR` of the data of a stopped node")
	f.StringVar(&c.Database, "database", "", "postgres://... instead of the embedded store")
	tenant := f.String("tenant", "", "`ID` of the tenant; with --server that of the token, else the only one there is")
	as := f.String("as", "", "`NAME` of who asks, for the audit and the four eyes, without --server; default: the user of this machine")
	server := f.String("server", "", "`URL` of a running node, asked with the token in TANDEM_TOKEN")
	f.BoolVar(&d.json, "json", false, "print JSON")
	f.StringVar(&d.cutOff, "cut-off", "", "`DATE` up to which periods must have ended; default: today")
	f.StringVar(&d.cycle, "cycle", "", "`ID` of the cycle specification whose accounts are billed; default: all")
	f.Var(&d.only, "account", "`ID` of an account to bill now, as often as wanted; default: all that are due")
	f.StringVar(&d.reason, "reason", "", "why, for those decisions that need one")
	d.whatIf.flags(f)
	f.StringVar(&d.paper.format, "format", render.PDF, "of a bill that is shown: "+strings.Join(render.Formats, ", "))
	f.StringVar(&d.paper.usage, "usage", "", "that is shown on it: "+strings.Join(billing.Itemisations, ", ")+"; default: as the account has it")
	f.StringVar(&d.paper.output, "output", "", "`FILE` that it is written to; default: standard output")
	rest, names := args[1:], []string(nil)
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		names, rest = append(names, rest[0]), rest[1:]
	}
	if err := parse(f, rest); err != nil {
		return quiet(err)
	}
	if *server != "" {
		return d.remote(*server, os.Getenv("TANDEM_TOKEN"), *tenant, func() error { return billCommands[args[0]](ctx, d, names) })
	}
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return d.stopped(ctx, c, *tenant, *as, func() error { return billCommands[args[0]](ctx, d, names) })
}

// remote asks a running node.
func (d *desk) remote(server, token, tenant string, do func() error) error {
	if token == "" {
		return errors.New("set TANDEM_TOKEN to a token that may work on bill runs")
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

// stopped works on the store of a node that does not run, and does the jobs of bill runs
// meanwhile.
func (d *desk) stopped(ctx context.Context, c app.Config, tenant, as string, do func() error) error {
	a, err := app.Open(ctx, c)
	if err != nil {
		return err
	}
	defer a.Stop()
	if tenant, err = tenantMeant(ctx, a, tenant); err != nil {
		return err
	}
	if as == "" {
		u, err := user.Current()
		if err != nil {
			return fmt.Errorf("say who asks by --as: %w", err)
		}
		as = u.Username
	}
	jobs := work.New(a.DB, c.Log, work.Config{})
	billing.Handle(jobs, a.DB)
	recognition.Handle(jobs, a.DB)
	if err := jobs.Start(ctx); err != nil {
		return err
	}
	defer jobs.Stop()
	who := func(*http.Request) (*tmf.Caller, error) {
		return &tmf.Caller{Tenant: tenant, Actor: "console:" + as, Allow: func(string, string, string) bool { return true }}, nil
	}
	api := withPaper(a.DB, tmf.NewServer(a.DB, billing.Kinds(), tmf.Options{Log: c.Log, Authenticate: who}), who)
	if d.books != nil {
		api = booksHandler(a.DB, c.Log, who)
	}
	d.ask = func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w.Result(), nil
	}
	return do()
}

// tenantMeant is the tenant named, which there has to be, or the only one there is: a name
// spelt wrongly would find nothing to bill, and nothing wrong.
func tenantMeant(ctx context.Context, a *app.App, named string) (string, error) {
	all, err := access.Tenants(ctx, a.DB)
	if err != nil {
		return "", err
	}
	var names []string
	for _, t := range all {
		names = append(names, t.ID)
	}
	switch {
	case named == "" && len(names) == 1:
		return names[0], nil
	case slices.Contains(names, named):
		return named, nil
	case named == "":
		return "", fmt.Errorf("say which tenant is meant by --tenant; there are %s", strings.Join(names, ", "))
	}
	return "", fmt.Errorf("there is no tenant %q; there are %s", named, strings.Join(names, ", "))
}

// do sends a request and reads the answer into out.
func (d *desk) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := tmf.Encode(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	root := billing.ItemAPI.Base
	if d.books != nil {
		root = ledger.API.Base
	}
	r, err := http.NewRequestWithContext(ctx, method, d.base+root+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	res, err := d.ask(r)
	if err != nil {
		return err
	}
	b, err := answered(res)
	if err != nil {
		return err
	}
	return tmf.Decode(b, out)
}

// answered is what an answer says, or the reason why there is none.
func answered(res *http.Response) ([]byte, error) {
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil || res.StatusCode < 300 {
		return b, err
	}
	var e struct {
		Reason string `json:"reason"`
	}
	if tmf.Decode(b, &e) != nil || e.Reason == "" {
		return nil, fmt.Errorf("the node answered %s", res.Status)
	}
	return nil, errors.New(e.Reason)
}

// one is the only name that is given.
func one(names []string, what string) (string, error) {
	if len(names) != 1 {
		return "", fmt.Errorf("name one %s", what)
	}
	return names[0], nil
}

func billRun(ctx context.Context, d *desk, names []string) error {
	if len(names) > 0 {
		return fmt.Errorf("unexpected %q; flags begin with a dash", names[0])
	}
	r := &billing.BillRun{CutOff: d.cutOff}
	if d.cycle != "" {
		r.CycleSpecification = &tmf.Ref{ID: d.cycle}
	}
	for _, id := range d.only {
		r.BillingAccount = append(r.BillingAccount, tmf.Ref{ID: id})
	}
	if err := d.do(ctx, http.MethodPost, "/billRun", r, r); err != nil {
		return err
	}
	return d.follow(ctx, r)
}

func billMove(state string) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, names []string) error {
		id, err := one(names, "bill run")
		if err != nil {
			return err
		}
		r := &billing.BillRun{}
		if err := d.do(ctx, http.MethodPatch, "/billRun/"+url.PathEscape(id), map[string]string{"state": state}, r); err != nil {
			return err
		}
		return d.follow(ctx, r)
	}
}

// follow shows a run until no job of it is under way.
func (d *desk) follow(ctx context.Context, r *billing.BillRun) error {
	last := ""
	for r.Working() {
		if s := progress(r); s != last {
			fmt.Fprintln(d.log, s)
			last = s
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		fresh := &billing.BillRun{}
		if err := d.do(ctx, http.MethodGet, "/billRun/"+r.ID, nil, fresh); err != nil {
			return err
		}
		r = fresh
	}
	return d.show(r)
}

func progress(r *billing.BillRun) string {
	p := r.Progress
	switch r.State {
	case billing.RunPosting, billing.RunDiscarding:
		return fmt.Sprintf("%s: %d of %d pages, %d bills posted", r.State, p.Posted, p.Pages, p.Done)
	}
	return fmt.Sprintf("%s: %d of %d pages of %d accounts, %d drafts, %d held, %d parked", r.State, p.Computed, p.Pages, p.Accounts, p.Bills, p.Held, p.Parked)
}

// print writes a value as JSON.
func (d *desk) print(v any) error {
	b, err := tmf.Encode(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.out, "%s\n", b)
	return err
}

func (d *desk) show(r *billing.BillRun) error {
	if d.json {
		return d.print(r)
	}
	p := r.Progress
	fmt.Fprintf(d.out, "run %s, bills up to %s: %s\n", r.ID, r.CutOff, r.State)
	fmt.Fprintf(d.out, "  %d accounts: %d drafts (%d held), %d parked, %d up to date, %d below their minimum; %d bills posted\n",
		p.Accounts, p.Bills, p.Held, p.Parked, p.UpToDate, p.Waiting, p.Done)
	totals, what := r.Total, "to approve"
	switch r.State {
	case billing.RunApproved:
		what = "approved by " + r.ApprovedBy
	case billing.RunPosted:
		totals, what = r.PostedTotal, "posted"
	}
	for _, t := range totals {
		fmt.Fprintf(d.out, "  %s: %d of %s, kind %s: net %s, tax %s, total %s\n", what, t.Bills, t.Entity, t.Kind, t.Net, t.Tax, t.Gross)
	}
	if r.Reason != "" {
		fmt.Fprintf(d.out, "  %s\n", r.Reason)
	}
	return nil
}

func billStatus(ctx context.Context, d *desk, names []string) error {
	if len(names) == 1 {
		r := &billing.BillRun{}
		if err := d.do(ctx, http.MethodGet, "/billRun/"+url.PathEscape(names[0]), nil, r); err != nil {
			return err
		}
		return d.show(r)
	}
	var all []*billing.BillRun
	if err := d.do(ctx, http.MethodGet, "/billRun?sort=-requestedDate&limit=20", nil, &all); err != nil {
		return err
	}
	for _, r := range all {
		if err := d.show(r); err != nil {
			return err
		}
	}
	return nil
}

const listed = 200 // held bills or parked accounts that are shown

func billHeld(ctx context.Context, d *desk, names []string) error {
	id, err := one(names, "bill run")
	if err != nil {
		return err
	}
	var all []*billing.HeldBill
	if err := d.do(ctx, http.MethodGet, fmt.Sprintf("/heldBill?billRun.id=%s&limit=%d", url.QueryEscape(id), listed), nil, &all); err != nil || d.json {
		return errors.Join(err, d.printIf(all))
	}
	for _, h := range all {
		fmt.Fprintf(d.out, "%s  account %s  %s  %s\n", h.ID, h.BillingAccount.ID, h.Gross, h.Reason)
	}
	return nil
}

func (d *desk) printIf(v any) error {
	if !d.json {
		return nil
	}
	return d.print(v)
}

func billParked(ctx context.Context, d *desk, names []string) error {
	id, err := one(names, "bill run")
	if err != nil {
		return err
	}
	var all []*billing.ParkedAccount
	if err := d.do(ctx, http.MethodGet, fmt.Sprintf("/parkedAccount?billRun.id=%s&limit=%d", url.QueryEscape(id), listed), nil, &all); err != nil || d.json {
		return errors.Join(err, d.printIf(all))
	}
	for _, p := range all {
		fmt.Fprintf(d.out, "%s  %s  %s\n", p.ID, p.Code, p.Reason)
	}
	return nil
}

func billDecide(what string) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, names []string) error {
		id, err := one(names, "bill, parked account or bill run")
		if err != nil {
			return err
		}
		sort := "HeldBill"
		if what == billing.Retry {
			sort = "ParkedAccount"
			if !strings.Contains(id, ".") {
				sort = "BillRun"
			}
		}
		x := &billing.BillDecision{Subject: &tmf.Ref{ID: id, ReferredType: sort}, Decision: what, Reason: d.reason}
		if err := d.do(ctx, http.MethodPost, "/billDecision", x, x); err != nil {
			return err
		}
		if what != billing.Retry {
			_, err = fmt.Fprintf(d.out, "%s: %s\n", id, what)
			return err
		}
		run, _, _ := strings.Cut(id, ".")
		r := &billing.BillRun{}
		if err := d.do(ctx, http.MethodGet, "/billRun/"+url.PathEscape(run), nil, r); err != nil {
			return err
		}
		return d.follow(ctx, r)
	}
}

// billExplain says why a bill is what it is.
func billExplain(ctx context.Context, d *desk, names []string) error {
	id, err := one(names, "bill")
	if err != nil {
		return err
	}
	var all []*billing.Explanation
	for _, by := range []string{"bill.id", "billNo"} {
		if err := d.do(ctx, http.MethodGet, "/billExplanation?"+by+"="+url.QueryEscape(id), nil, &all); err != nil {
			return err
		}
		if len(all) > 0 {
			break
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no bill %q", id)
	}
	if d.json {
		return d.print(all)
	}
	for _, x := range all {
		fmt.Fprintln(d.out, strings.TrimSpace(x.Text))
	}
	return nil
}

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"tandem/app"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// booksCommands are the words after "tandem books".
var booksCommands = map[string]func(context.Context, *desk, []string) error{
	"trial": booksTrial, "close": booksAsk(ledger.ActClose), "reopen": booksAsk(ledger.ActReopen), "status": booksStatus,
	"approve": booksDecide(ledger.CloseDone), "reject": booksDecide(ledger.CloseRejected), "export": booksExport,
	"recognise": booksRecognise,
}

const booksUsage = `say what to do:
  recognise MONTH        book what of contracts was rendered in a month (IFRS 15), before it is closed
  trial                  what stands on each account by the end of a day (--date)
  close MONTH            ask to close a month, such as 2026-03; another person approves
  reopen MONTH --reason WHY   ask to open the month closed last again
  approve ID             do what somebody else has asked for       reject ID   do not
  status                 what was asked for and done
  export MONTH           a closed month as a file for the general ledger`

// books are the flags of the command.
type books struct {
	entity, date, by, file string
}

// runBooks is the command: the books by hand.
func runBooks(ctx context.Context, args []string) error {
	if len(args) == 0 || booksCommands[args[0]] == nil {
		return errors.New(booksUsage)
	}
	c, d := app.Config{}, &desk{out: os.Stdout, log: os.Stderr, books: &books{}}
	f := flag.NewFlagSet("tandem books "+args[0], flag.ContinueOnError)
	f.StringVar(&c.Data, "data", "./var/tandem", "`DIR` of the data of a stopped node")
	f.StringVar(&c.Database, "database", "", "postgres://... instead of the embedded store")
	tenant := f.String("tenant", "", "`ID` of the tenant; with --server that of the token, else the only one there is")
	as := f.String("as", "", "`NAME` of who asks, for the audit and the four eyes, without --server; default: the user of this machine")
	server := f.String("server", "", "`URL` of a running node, asked with the token in TANDEM_TOKEN")
	f.BoolVar(&d.json, "json", false, "print JSON")
	f.StringVar(&d.books.entity, "entity", "", "`ID` of the legal entity; default: the only one that has books")
	f.StringVar(&d.books.date, "date", "", "`DATE` of the trial balance; default: today")
	f.StringVar(&d.books.by, "by", ledger.ByDay, "what a line of the export is the sum of: month, day or entry")
	f.StringVar(&d.books.file, "out", "", "`FILE` that the export is written to; default: standard output")
	f.StringVar(&d.reason, "reason", "", "why; to open a month again it is required")
	rest, names := args[1:], []string(nil)
	for len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		names, rest = append(names, rest[0]), rest[1:]
	}
	if err := parse(f, rest); err != nil {
		return quiet(err)
	}
	do := func() error { return booksCommands[args[0]](ctx, d, names) }
	if *server != "" {
		return d.remote(*server, os.Getenv("TANDEM_TOKEN"), *tenant, do)
	}
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return d.stopped(ctx, c, *tenant, *as, do)
}

// booksHandler answers for the books of a node that does not run.
func booksHandler(db *store.DB, log *slog.Logger, who func(*http.Request) (*tmf.Caller, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", tmf.NewServer(db, append(ledger.Kinds(), recognition.Kinds()...), tmf.Options{Log: log, Authenticate: who}))
	(&ledger.Server{DB: db, Authenticate: who}).Routes(mux, func(h http.Handler) http.Handler { return h })
	return mux
}

// legalEntity is the one that is named, or none.
func (b *books) legalEntity() *tmf.Ref {
	if b.entity == "" {
		return nil
	}
	return &tmf.Ref{ID: b.entity}
}

func booksTrial(ctx context.Context, d *desk, names []string) error {
	if len(names) > 0 {
		return fmt.Errorf("unexpected %q; flags begin with a dash", names[0])
	}
	q := url.Values{}
	if d.books.entity != "" {
		q.Set("legalEntity.id", d.books.entity)
	}
	if d.books.date != "" {
		q.Set("date", d.books.date)
	}
	t := &ledger.TrialBalance{}
	if err := d.do(ctx, http.MethodGet, "/trialBalance?"+q.Encode(), nil, t); err != nil || d.json {
		return errors.Join(err, d.printIf(t))
	}
	closed := "no month is closed"
	if t.ClosedTo != "" {
		closed = "closed up to " + t.ClosedTo
	}
	fmt.Fprintf(d.out, "trial balance of %s by the end of %s; %s\n", t.LegalEntity.ID, t.Date, closed)
	for _, l := range t.Line {
		fmt.Fprintf(d.out, "  %-12s %-24s %20s %20s\n", l.GLAccount, l.Account, side(l.Debit), side(l.Credit))
	}
	for _, x := range t.Total {
		fmt.Fprintf(d.out, "  %-12s %-24s %20s %20s\n", "", "total", x.Debit, x.Credit)
	}
	return nil
}

func side(a *money.Amount) string {
	if a == nil {
		return ""
	}
	return a.String()
}

func booksAsk(action string) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, names []string) error {
		month, err := one(names, "month, such as 2026-03")
		if err != nil {
			return err
		}
		p := &ledger.PeriodClose{LegalEntity: d.books.legalEntity(), Period: month, Action: action, Reason: d.reason}
		if err := d.do(ctx, http.MethodPost, "/periodClose", p, p); err != nil {
			return err
		}
		return d.showClose(p)
	}
}

func booksDecide(state string) func(context.Context, *desk, []string) error {
	return func(ctx context.Context, d *desk, names []string) error {
		id, err := one(names, "request, by the id that close or reopen gave it")
		if err != nil {
			return err
		}
		p := &ledger.PeriodClose{}
		if err := d.do(ctx, http.MethodPatch, "/periodClose/"+url.PathEscape(id), map[string]string{"state": state}, p); err != nil {
			return err
		}
		return d.showClose(p)
	}
}

func booksStatus(ctx context.Context, d *desk, _ []string) error {
	path := "/periodClose?sort=-id&limit=20"
	if d.books.entity != "" {
		path += "&legalEntity.id=" + url.QueryEscape(d.books.entity)
	}
	var all []*ledger.PeriodClose
	if err := d.do(ctx, http.MethodGet, path, nil, &all); err != nil || d.json {
		return errors.Join(err, d.printIf(all))
	}
	for _, p := range all {
		if err := d.showClose(p); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) showClose(p *ledger.PeriodClose) error {
	if d.json {
		return d.print(p)
	}
	by := "asked by " + p.RequestedBy
	if p.DecidedBy != "" {
		by += ", " + p.State + " by " + p.DecidedBy
	}
	fmt.Fprintf(d.out, "%s  %s %s of %s: %s, %s\n", p.ID, p.Action, p.Period, p.LegalEntity.ID, p.State, by)
	for _, t := range p.Total {
		fmt.Fprintf(d.out, "  %d entries, debit %s, credit %s\n", t.Entries, t.Debit, t.Credit)
	}
	return nil
}

// booksExport writes the file and proves it by its SHA-256.
func booksExport(ctx context.Context, d *desk, names []string) (err error) {
	month, err := one(names, "month, such as 2026-03")
	if err != nil {
		return err
	}
	x := &ledger.GeneralLedgerExport{LegalEntity: d.books.legalEntity(), Period: month, By: d.books.by}
	if err := d.do(ctx, http.MethodPost, "/generalLedgerExport", x, x); err != nil {
		return err
	}
	out := d.out
	if d.books.file != "" {
		f, err := os.CreateTemp(dirOf(d.books.file), ".export-*")
		if err != nil {
			return err
		}
		defer os.Remove(f.Name()) // nothing of it is left under that name when it was taken over
		defer f.Close()
		out = f
	}
	digest := sha256.New()
	if err := d.fetch(ctx, x.ContentHref, io.MultiWriter(out, digest)); err != nil {
		return err
	}
	if got := hex.EncodeToString(digest.Sum(nil)); got != x.SHA256 {
		return fmt.Errorf("the file did not come whole: its SHA-256 is %s, that of the export %s", got, x.SHA256)
	}
	if f, ok := out.(*os.File); ok && d.books.file != "" {
		if err := errors.Join(f.Sync(), f.Close(), os.Rename(f.Name(), d.books.file)); err != nil {
			return err
		}
	}
	fmt.Fprintf(d.log, "%s of %s, closing %d: %d lines, SHA-256 %s\n", x.Period, x.LegalEntity.ID, x.Closing, x.Lines, x.SHA256)
	for _, t := range x.Total {
		fmt.Fprintf(d.log, "  %d entries, debit %s, credit %s\n", t.Entries, t.Debit, t.Credit)
	}
	return nil
}

// booksRecognise has the revenue of a month recognised, and waits for it.
func booksRecognise(ctx context.Context, d *desk, names []string) error {
	month, err := one(names, "month, such as 2026-03")
	if err != nil {
		return err
	}
	r := &recognition.Run{LegalEntity: d.books.legalEntity(), Period: month}
	if err := d.do(ctx, http.MethodPost, "/recognitionRun", r, r); err != nil {
		return err
	}
	for r.State == recognition.Running {
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		fresh := &recognition.Run{}
		if err := d.do(ctx, http.MethodGet, "/recognitionRun/"+r.ID, nil, fresh); err != nil {
			return err
		}
		r = fresh
	}
	if d.json {
		return d.print(r)
	}
	fmt.Fprintf(d.out, "%s of %s: %d contracts", r.Period, r.LegalEntity.ID, r.Contracts)
	for _, a := range r.Recognised {
		fmt.Fprintf(d.out, ", %s", a)
	}
	fmt.Fprintln(d.out)
	if r.SetAside > 0 {
		fmt.Fprintf(d.out, "%d set aside:\n", r.SetAside)
	}
	for _, p := range r.Problem {
		fmt.Fprintf(d.out, "  %s: %s\n", p.Contract, p.Reason)
	}
	return nil
}

func dirOf(file string) string {
	if at := strings.LastIndexByte(file, '/'); at >= 0 {
		return file[:at+1]
	}
	return "."
}

// fetch copies a file of the node.
func (d *desk) fetch(ctx context.Context, path string, to io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return err
	}
	res, err := d.ask(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the node answered %s", res.Status)
	}
	_, err = io.Copy(to, res.Body)
	return err
}

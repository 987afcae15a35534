package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"tandem/app"
	agreement "tandem/app/verify"
	"tandem/kit/tmf"
)

// verify is the command: what it proves is said in package app/verify. Mismatches
// go to stdout, one a line, everything else to stderr.
func verify(ctx context.Context, args []string) error {
	c := app.Config{}
	f := flag.NewFlagSet("tandem verify", flag.ContinueOnError)
	f.StringVar(&c.Data, "data", "./var/tandem", "`DIR` of the data of a stopped node")
	f.StringVar(&c.Database, "database", "", "postgres://... of a stopped node, instead of the embedded store")
	server := f.String("server", "", "`URL` of a running node, asked with the token in TANDEM_ADMIN_TOKEN")
	if err := parse(f, args); err != nil {
		return quiet(err)
	}
	report := printer{os.Stdout, os.Stderr}
	if *server != "" {
		return report.remote(ctx, *server, os.Getenv("TANDEM_ADMIN_TOKEN"))
	}
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	return report.stopped(ctx, c)
}

// printer writes a report for people.
type printer struct{ out, log io.Writer }

func (p printer) progress(text string) { fmt.Fprintln(p.log, text) }

func (p printer) mismatch(m agreement.Mismatch) error {
	_, err := fmt.Fprintln(p.out, m)
	return err
}

// end prints the summary; its error says that not all agrees.
func (p printer) end(s agreement.Summary) error {
	fmt.Fprintln(p.log, s)
	if err := s.Err(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.out, "0 mismatches")
	return err
}

// stopped verifies the store of a node that does not run.
func (p printer) stopped(ctx context.Context, c app.Config) error {
	a, err := app.Open(ctx, c)
	if err != nil {
		return err
	}
	defer a.Stop()
	if err := a.StartElements(ctx); err != nil {
		return err
	}
	s, err := a.Verify(ctx, p.progress, p.mismatch)
	if err != nil {
		return err
	}
	return p.end(s)
}

// remote asks a running node to verify itself and prints what it says.
func (p printer) remote(ctx context.Context, server, token string) error {
	if token == "" {
		return errors.New("set TANDEM_ADMIN_TOKEN to a token of the host's that may read verification reports")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(server, "/")+"/verify/v1/report", nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	return p.lines(res.Body)
}

// refusal is the reason of an error body.
func refusal(res *http.Response) error {
	var e struct {
		Reason string `json:"reason"`
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil || tmf.Decode(b, &e) != nil || e.Reason == "" {
		return fmt.Errorf("the node answered %s", res.Status)
	}
	return fmt.Errorf("the node answered %s: %s", res.Status, e.Reason)
}

const longestLine = 1 << 20 // octets of a line of a report

func (p printer) lines(body io.Reader) error {
	in := bufio.NewScanner(body)
	in.Buffer(nil, longestLine)
	for in.Scan() {
		var l app.ReportLine
		if err := tmf.Decode(in.Bytes(), &l); err != nil {
			return fmt.Errorf("the report is not readable: %w", err)
		}
		switch {
		case l.Error != "":
			return errors.New(l.Error)
		case l.Summary != nil:
			return p.end(*l.Summary)
		case l.Mismatch != nil:
			if err := p.mismatch(*l.Mismatch); err != nil {
				return err
			}
		default:
			p.progress(l.Progress)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("the report broke off: %w", err)
	}
	return errors.New("the report broke off before its summary")
}

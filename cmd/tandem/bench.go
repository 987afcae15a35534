package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"tandem/app/bench"
)

// runBench measures: the first word says what.
func runBench(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to measure: orders, api, charging, billing or render")
	}
	var c bench.ChargingOptions
	compare := false
	o := &c.Options
	o.Out, o.Log = os.Stdout, os.Stderr
	f := flag.NewFlagSet("tandem bench "+args[0], flag.ContinueOnError)
	f.IntVar(&o.Seconds, "seconds", 10, "how long to measure")
	f.BoolVar(&o.JSON, "json", false, "print one JSON object")
	f.StringVar(&o.Data, "data", "", "`DIR` to use and keep; default: a temporary one")
	f.StringVar(&o.Database, "database", "", "postgres://... instead of the embedded store")
	kind := f.String("store", "", "sqlite or postgresql; default: by --database")
	f.StringVar(&o.Profile, "cpuprofile", "", "write a CPU profile to `FILE`")
	measure := map[string]func(context.Context) (bench.Result, error){
		"orders":   func(ctx context.Context) (bench.Result, error) { return bench.Orders(ctx, *o) },
		"api":      func(ctx context.Context) (bench.Result, error) { return bench.API(ctx, *o) },
		"charging": func(ctx context.Context) (bench.Result, error) { return bench.Charging(ctx, c) },
		"billing": func(ctx context.Context) (bench.Result, error) {
			return bench.Billing(ctx, bench.BillingOptions{Options: *o, Accounts: c.Accounts, Compare: compare})
		},
		"render": func(ctx context.Context) (bench.Result, error) { return bench.Render(ctx, *o) },
	}[args[0]]
	if measure == nil {
		return fmt.Errorf("there is no benchmark %q; there are orders, api, charging, billing and render", args[0])
	}
	if args[0] == "charging" {
		f.StringVar(&c.Face, "face", "direct", "by which face the requests come: "+strings.Join(bench.Faces, ", "))
		f.StringVar(&c.Format, "format", "3gpp", "of the files of --face file: 3gpp or csv")
		f.StringVar(&c.Mix, "mix", "sessions", "what is asked for: "+strings.Join(bench.Mixes, ", "))
		f.IntVar(&c.Accounts, "accounts", 10_000, "accounts to charge")
		f.IntVar(&c.Callers, "callers", 0, "requests in flight at most (default 4096 or those of half a second, with --hot 32)")
		f.IntVar(&c.Rate, "rate", 0, "requests a second, each timed from the instant it is due; 0: as fast as they are answered")
		f.BoolVar(&c.Hot, "hot", false, "all requests on one wallet of a family, beside the same callers on accounts of their own")
		f.Func("increment", "round use up to so many octets, such as 1KiB or 1MiB; default: as the catalogue has it", func(text string) (err error) {
			c.Increment, err = octets(text)
			return err
		})
		f.Int64Var(&c.Replay, "replay", 0, "charge so many requests instead of for a time, then stop and replay them all")
	} else if args[0] == "billing" {
		f.IntVar(&c.Accounts, "accounts", 10_000, "accounts to bill, each with five charges and usage")
		f.BoolVar(&compare, "compare", false, "compare the bills with what they would be at another price")
	} else if args[0] != "render" {
		f.IntVar(&o.Existing, "existing", 1000, "products that exist before")
		f.IntVar(&o.Workers, "workers", 16, "callers at once")
	}
	if err := parse(f, args[1:]); err != nil {
		return quiet(err)
	}
	if o.JSON {
		o.Log = io.Discard
	}
	if err := storeIs(*kind, o.Database); err != nil {
		return err
	}
	r, err := measure(ctx)
	if err != nil {
		return err
	}
	if err := r.Print(*o); err != nil {
		return err
	}
	if len(r.Failed) > 0 {
		return errors.New("these figures do not count: " + strings.Join(r.Failed, "; "))
	}
	return nil
}

// storeIs says whether the store that is wanted is the one that is given.
func storeIs(kind, database string) error {
	switch {
	case kind == "", kind == "sqlite" && database == "", kind == "postgresql" && database != "":
		return nil
	case kind == "postgresql":
		return errors.New("--store postgresql needs --database postgres://...")
	case kind == "sqlite":
		return errors.New("--store sqlite is a file; leave out --database")
	}
	return fmt.Errorf("there is no store %q; there are sqlite and postgresql", kind)
}

// octets reads 512, 1KiB or 10MiB.
func octets(text string) (uint64, error) {
	unit := uint64(1)
	for suffix, n := range map[string]uint64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			text, unit = rest, n
		}
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no number of octets", text)
	}
	return n * unit, nil
}

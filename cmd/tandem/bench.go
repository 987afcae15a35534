package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"tandem/app/bench"
)

// runBench measures: the first word says what.
func runBench(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to measure: orders, api or charging")
	}
	var c bench.ChargingOptions
	o := &c.Options
	o.Out, o.Log = os.Stdout, os.Stderr
	f := flag.NewFlagSet("tandem bench "+args[0], flag.ContinueOnError)
	f.IntVar(&o.Seconds, "seconds", 10, "how long to measure")
	f.BoolVar(&o.JSON, "json", false, "print one JSON object")
	f.StringVar(&o.Data, "data", "", "`DIR` to use and keep; default: a temporary one")
	f.StringVar(&o.Database, "database", "", "postgres://... instead of the embedded store")
	f.StringVar(&o.Profile, "cpuprofile", "", "write a CPU profile to `FILE`")
	measure := map[string]func(context.Context) (bench.Result, error){
		"orders":   func(ctx context.Context) (bench.Result, error) { return bench.Orders(ctx, *o) },
		"api":      func(ctx context.Context) (bench.Result, error) { return bench.API(ctx, *o) },
		"charging": func(ctx context.Context) (bench.Result, error) { return bench.Charging(ctx, c) },
	}[args[0]]
	if measure == nil {
		return fmt.Errorf("there is no benchmark %q; there are orders, api and charging", args[0])
	}
	if args[0] == "charging" {
		f.StringVar(&c.Face, "face", "direct", "by which face the requests come: direct, diameter, nchf or radius")
		f.IntVar(&c.Accounts, "accounts", 10_000, "accounts to charge")
		f.IntVar(&c.Callers, "callers", 4096, "requests in flight")
		f.IntVar(&c.Rate, "rate", 0, "requests a second, sent whatever becomes of those before; 0: as fast as they are answered")
		f.BoolVar(&c.Hot, "hot", false, "all requests on one account")
	} else {
		f.IntVar(&o.Existing, "existing", 1000, "products that exist before")
		f.IntVar(&o.Workers, "workers", 16, "callers at once")
	}
	if err := parse(f, args[1:]); err != nil {
		return quiet(err)
	}
	if o.JSON {
		o.Log = io.Discard
	}
	r, err := measure(ctx)
	if err != nil {
		return err
	}
	return r.Print(*o)
}

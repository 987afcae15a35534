package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"tandem/app"
	"tandem/bss/subscription"
	"tandem/kit/store"
)

const adminToken = "bench-token-of-this-process-only"

// API measures reading: a product by id beside the floor (bare net/http, the same
// SELECT, the same bytes), a filtered and sorted page of 20, memory meanwhile,
// and how long the node takes to start on the store.
func API(ctx context.Context, o Options) (Result, error) {
	done, err := o.folder()
	if err != nil {
		return Result{}, err
	}
	defer done()
	if err := prepare(ctx, o); err != nil {
		return Result{}, err
	}
	began := time.Now()
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	a, err := app.New(ctx, app.Config{Data: o.Data, Database: o.Database, Tenant: tenant, AdminToken: adminToken, Listen: "127.0.0.1:0", Log: log})
	if err != nil {
		return Result{}, err
	}
	defer a.Stop()
	if err := a.Start(ctx); err != nil {
		return Result{}, err
	}
	load := newLoad(o)
	if _, err := load.get(ctx, "http://"+a.Addr()+"/readyz"); err != nil {
		return Result{}, err
	}
	start := time.Since(began)
	floor, stop, err := bareServer(a.DB)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	path := func() string { return fmt.Sprintf("/existing-%08d", rand.IntN(o.Existing)) }
	api := "http://" + a.Addr() + "/tmf-api/productInventory/v4/product"
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return Result{}, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return Result{}, err
		}
		defer pprof.StopCPUProfile()
	}
	// The two are measured in turn, in slices, so that a neighbour on the machine
	// slows both.
	var bare, ours []float64
	var took []time.Duration
	slice := time.Duration(o.Seconds) * time.Second / 5
	for range 5 {
		n, _, err := load.run(ctx, slice, func() string { return floor + path() })
		if err != nil {
			return Result{}, err
		}
		bare = append(bare, n)
		n, d, err := load.run(ctx, slice, func() string { return api + path() })
		if err != nil {
			return Result{}, err
		}
		ours = append(ours, n)
		took = append(took, d...)
	}
	page, err := load.pages(ctx, api, o)
	if err != nil {
		return Result{}, err
	}
	slices.Sort(bare)
	slices.Sort(ours)
	r := Result{Name: "api", Store: a.DB.Dialect().String(), Seconds: float64(o.Seconds), PerSecond: ours[2], FloorPerSecond: bare[2], Ratio: ours[2] / bare[2],
		P50: percentile(took, .5), P99: percentile(took, .99), RSS: resident(),
		Own: map[string]any{"products": o.Existing, "page_p50_ms": percentile(page, .5), "page_p95_ms": percentile(page, .95), "start_ms": start.Milliseconds()}}
	return r, nil
}

// prepare fills the store in a node of its own, so that the measured one starts cold.
func prepare(ctx context.Context, o Options) error {
	r, err := newRig(ctx, o)
	if err != nil {
		return err
	}
	defer r.Stop()
	if err := r.stock(ctx, 1000); err != nil {
		return err
	}
	return r.fill(ctx, o.Existing)
}

// bareServer answers the same bytes from the same SELECT with nothing around it.
func bareServer(db *store.DB) (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var rev int64
		var doc []byte
		err := db.Read(r.Context(), scope, func(tx *store.Tx) error {
			return tx.Row("SELECT rev, doc FROM "+subscription.Products.Table+" WHERE tenant = $1 AND id = $2", r.URL.Path[1:]).Scan(&rev, &doc)
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc) // the client went away: nobody is left to tell
	})}
	go func() { _ = srv.Serve(l) }() // ends with Close
	return "http://" + l.Addr().String(), func() { srv.Close() }, nil
}

// load sends requests over kept connections.
type load struct {
	workers int
	client  *http.Client
}

func newLoad(o Options) *load {
	return &load{o.Workers, &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: nil, MaxIdleConnsPerHost: o.Workers, MaxIdleConns: o.Workers, DisableCompression: true}}}
}

func (l *load) get(ctx context.Context, url string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	res, err := l.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode/100 != 2 {
		err = fmt.Errorf("GET %s: %d", url, res.StatusCode)
	}
	return int(n), err
}

// run sends requests for a while and gives their rate and durations.
func (l *load) run(ctx context.Context, d time.Duration, url func() string) (float64, []time.Duration, error) {
	var mu sync.Mutex
	var all []time.Duration
	var failed error
	var wg sync.WaitGroup
	began, end := time.Now(), time.Now().Add(d)
	for range l.workers {
		wg.Go(func() {
			var took []time.Duration
			var err error
			for err == nil && time.Now().Before(end) {
				t := time.Now()
				_, err = l.get(ctx, url())
				took = append(took, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			all, failed = append(all, took...), errors.Join(failed, err)
		})
	}
	wg.Wait()
	return float64(len(all)) / time.Since(began).Seconds(), all, failed
}

// pages asks for filtered, sorted pages of 20, one after another.
func (l *load) pages(ctx context.Context, api string, o Options) ([]time.Duration, error) {
	one := &load{1, l.client}
	queries := []string{"status=active&sort=-startDate&limit=20", "productOffering.id=mobile-flat-m&sort=startDate&limit=20",
		"status=active&productOffering.id=mobile-flat-l&sort=-startDate&limit=20&offset=40", "relatedParty.id=buyer-00000007&sort=name&limit=20",
		"startDate.gt=2025-01-01T00:00:00Z&sort=-startDate&limit=20"}
	i := 0
	_, took, err := one.run(ctx, time.Duration(o.Seconds)*time.Second, func() string { i++; return api + "?" + queries[i%len(queries)] })
	return took, err
}

// Package bench measures the whole product, and beside each figure the floor of
// the machine it ran on, in the same run: machines are noisy, ratios are not.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/kit/store"
)

// Options of a benchmark.
type Options struct {
	Seconds  int
	Data     string // a folder of its own; empty: a temporary one
	Database string // postgres://...; empty: SQLite in Data
	Existing int    // products that exist before
	Workers  int
	JSON     bool
	Out      io.Writer
	Log      io.Writer // progress
	Profile  string    // file for a CPU profile; empty: none
}

// Result is what every benchmark says; Own are its further figures.
type Result struct {
	Name           string         `json:"name"`
	Store          string         `json:"store"`
	Seconds        float64        `json:"seconds"`
	PerSecond      float64        `json:"per_second"`
	FloorPerSecond float64        `json:"floor_per_second"`
	Ratio          float64        `json:"ratio"`
	P50            float64        `json:"p50_ms"`
	P99            float64        `json:"p99_ms"`
	RSS            float64        `json:"rss_mb"`
	Own            map[string]any `json:"-"`
	Failed         []string       `json:"failed,omitzero"` // what was not as it should be: the figures do not count
}

// fail notes what was not as it should be.
func (r *Result) fail(format string, args ...any) {
	r.Failed = append(r.Failed, fmt.Sprintf(format, args...))
}

// Print writes the result as one JSON object, or for people.
func (r Result) Print(o Options) error {
	if o.JSON {
		all := map[string]any{"name": r.Name, "store": r.Store, "seconds": r.Seconds, "per_second": r.PerSecond,
			"floor_per_second": r.FloorPerSecond, "ratio": r.Ratio, "p50_ms": r.P50, "p99_ms": r.P99, "rss_mb": r.RSS}
		for k, v := range r.Own {
			all[k] = v
		}
		if len(r.Failed) > 0 {
			all["failed"] = r.Failed
		}
		return json.NewEncoder(o.Out).Encode(all)
	}
	fmt.Fprintf(o.Out, "%s on %s, %.1f s\n  %10.0f a second   (floor %.0f, ratio %.2f)\n  p50 %.2f ms, p99 %.2f ms, resident %.0f MB\n",
		r.Name, r.Store, r.Seconds, r.PerSecond, r.FloorPerSecond, r.Ratio, r.P50, r.P99, r.RSS)
	keys := make([]string, 0, len(r.Own))
	for k := range r.Own {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(o.Out, "  %s: %v\n", k, r.Own[k])
	}
	for _, why := range r.Failed {
		fmt.Fprintf(o.Out, "  FAILED: %s\n", why)
	}
	return nil
}

func (o Options) say(format string, args ...any) {
	fmt.Fprintf(o.Log, format+"\n", args...)
}

// percentile of durations, in milliseconds; the slice is sorted.
func percentile(d []time.Duration, p float64) float64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return float64(d[min(len(d)-1, int(float64(len(d))*p))].Microseconds()) / 1000
}

// resident is the process's resident memory in MB.
func resident() float64 { return statusMB("VmRSS") }

// statusMB is a size that the kernel knows of this process, in MB.
func statusMB(key string) float64 {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(data), "\n") {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}

// folder gives the benchmark a place of its own.
func (o *Options) folder() (done func(), err error) {
	if o.Data != "" {
		return func() {}, nil
	}
	if o.Data, err = os.MkdirTemp("", "tandem-bench-"); err != nil {
		return nil, err
	}
	dir := o.Data
	return func() { os.RemoveAll(dir) }, nil
}

// floorOfRows is how many orders a second this store takes if an order were only
// its rows: documents of the given size, so many an order, inserted in bulk, with
// a durable commit for each group of orders.
func floorOfRows(ctx context.Context, db *store.DB, rows, size, group int, seconds float64) (float64, error) {
	const table = `CREATE TABLE IF NOT EXISTS bench_floor (tenant TEXT NOT NULL, id BIGINT NOT NULL, doc JSON NOT NULL, PRIMARY KEY (tenant, id)) STRICT;`
	if err := db.Script(ctx, table); err != nil {
		return 0, err
	}
	doc := `{"a":"` + strings.Repeat("x", size) + `"}`
	scope := store.Scope{Tenant: "floor", Actor: "bench"}
	if err := db.Write(ctx, scope, func(tx *store.Tx) error {
		tx.Queue("DELETE FROM bench_floor WHERE tenant = $1")
		return nil
	}); err != nil {
		return 0, err
	}
	id, orders, began := 0, 0, time.Now()
	for time.Since(began).Seconds() < seconds {
		first := id
		if err := db.Write(ctx, scope, func(tx *store.Tx) error {
			id = first
			for range group * rows {
				tx.Queue("INSERT INTO bench_floor (tenant, id, doc) VALUES ($1, $2, $3)", id, doc)
				id++
			}
			return nil
		}); err != nil {
			return 0, err
		}
		orders += group
	}
	rate := float64(orders) / time.Since(began).Seconds()
	return rate, db.Script(ctx, "DROP TABLE bench_floor;")
}

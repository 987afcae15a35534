package bench

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// The benchmark bills every account it has seeded, with charges and usage, and what it
// leaves is one chain. TANDEM_BENCH_ACCOUNTS says how many; the figures are in the log.
func TestBillingBench(t *testing.T) {
	accounts := 30
	if n, err := strconv.Atoi(os.Getenv("TANDEM_BENCH_ACCOUNTS")); err == nil && n > 0 {
		accounts = n
	}
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			var out, log bytes.Buffer
			o := BillingOptions{Options: Options{Data: t.TempDir(), Database: storetest.Config(t, engine).URL, Out: &out, Log: &log}, Accounts: accounts, Compare: true}
			r, err := Billing(t.Context(), o)
			if err != nil {
				t.Fatalf("%v\n%s", err, log.Bytes())
			}
			if len(r.Failed) > 0 || r.Own["bills"] != int64(accounts) || r.PerSecond <= 0 || r.FloorPerSecond <= 0 {
				t.Errorf("%+v", r)
			}
			// Five charges, four of them of two months, and two classes of usage.
			if rows := r.Own["rows_per_account"].(float64); rows < 15 {
				t.Errorf("%.1f rows an account", rows)
			}
			if err := r.Print(o.Options); err != nil || !strings.Contains(out.String(), "billing on ") {
				t.Errorf("%v %s", err, out.Bytes())
			}
			t.Logf("%s", out.Bytes())
		})
	}
}

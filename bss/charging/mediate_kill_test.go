package charging_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// killed is a node on its own store that takes files and writes files.
type killed struct {
	db, log *store.DB
	room    *charging.Room
	m       *charging.Mediator
}

const killedLines = 20

// startKilled starts it; log is the store of the journal, the same if it is zero.
func startKilled(t *testing.T, c, log store.Config, dir string) *killed {
	t.Helper()
	k := &killed{db: storetest.OpenConfig(t, c, append([]store.Schema{tmf.Schema(), outbox.Schema(), access.Schema()}, charging.Schemas...)...)}
	if k.log = k.db; log.Path != "" {
		k.log = storetest.OpenConfig(t, log, journal.Schema())
	} else if err := k.db.Migrate(t.Context(), journal.Schema()); err != nil {
		t.Fatal(err)
	}
	err := k.db.Write(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
		var n int64
		if err := tx.Row("SELECT count(*) FROM charging_book WHERE tenant = $1").Scan(&n); err != nil || n > 0 {
			return err
		}
		for _, x := range shelf {
			tx.Insert("INSERT INTO charging_book (tenant, kind, name, from_at, doc)", x.kind, x.name, 0, x.doc)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k.room = charging.New(charging.Config{DB: k.db, Journal: k.log, Holder: tmf.NewID(), Address: "here", Lease: 300 * time.Millisecond,
		Tenants: func(context.Context) ([]string, error) { return []string{"mno"}, nil }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := k.room.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.m = charging.NewMediator(k.room, charging.MediationConfig{Window: 64, Poll: 5 * time.Millisecond,
		Feeds:   []charging.Feed{{Tenant: "mno", Source: "smf-1", Folder: filepath.Join(dir, "in"), Format: cdr.Format3GPP}},
		Streams: []charging.Stream{{Tenant: "mno", Name: "out", Folder: filepath.Join(dir, "out"), Format: cdr.FormatJSON, Records: 50, Seconds: -1}}})
	return k
}

func (k *killed) stop(t *testing.T) {
	t.Helper()
	k.m.Stop()
	if err := k.room.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if k.log != k.db {
		k.log.Close()
	}
	k.db.Close()
}

// lineUp opens the accounts.
func (k *killed) lineUp(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for i := range killedLines {
		do := func(h *core.Hand) error {
			if err := h.Open(1, 978, core.Prepaid, 0); err != nil {
				return err
			}
			if _, err := h.Subscribe(core.Subscriber{Plan: 3, E164: core.Digits(fmt.Sprint(46700000000 + i))}); err != nil {
				return err
			}
			_, err := h.Give(core.Bucket{Def: 2}, 1e15, core.TopUp, "")
			return err
		}
		for {
			_, err := k.room.Engine.Run(t.Context(), core.Command{Ref: core.NewRef(i%256, uint32(i/256)), Do: do})
			if err == nil {
				break
			}
			if err != core.ErrAway || time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
}

// A node is killed at any instant, again and again, while it takes files and writes
// files: every record is charged once and goes out once.
func TestMediationIsKilled(t *testing.T) {
	const files, records, kills = 30, 200, 8
	if os.Getenv("TANDEM_TEST_KILLED") != "" {
		runKilled(t)
		return
	}
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel() // its nodes start and wait for leases
			c, log, dir := storetest.Config(t, engine), store.Config{}, t.TempDir()
			if engine == store.SQLite {
				log = storetest.Config(t, engine)
			}
			k := startKilled(t, c, log, dir)
			k.lineUp(t)
			k.stop(t)
			in := filepath.Join(dir, "in")
			if err := os.MkdirAll(in, 0o750); err != nil {
				t.Fatal(err)
			}
			octets := int64(0)
			for f := range files {
				var list []*cdr.Record
				for i := range records {
					n := 1 + rand.IntN(9)
					octets += int64(n) * mib
					list = append(list, session(fmt.Sprintf("%d-%d", f, i), fmt.Sprint(46700000000+i%killedLines), 0, n))
				}
				if err := cdr.Write(filepath.Join(in, fmt.Sprintf("%04d.cdr", f)), framed(t, uint32(f+1), list...)); err != nil {
					t.Fatal(err)
				}
			}
			for range kills {
				kill(t, c, log, dir)
			}
			k = startKilled(t, c, log, dir)
			if err := k.m.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.settle(t, dir, files, records, octets)
			k.stop(t)
		})
	}
}

// kill starts a node in a process of its own, and kills it.
func kill(t *testing.T, c, log store.Config, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMediationIsKilled$")
	cmd.Env = append(os.Environ(), "TANDEM_TEST_KILLED="+dir, "KILLED_URL="+c.URL, "KILLED_PATH="+c.Path, "KILLED_LOG="+log.Path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready [1]byte
	if _, err := io.ReadFull(out, ready[:]); err != nil || ready[0] != '.' {
		rest, _ := io.ReadAll(out) // what it said instead
		t.Fatalf("the node did not start: %v %q%s", err, ready, rest)
	}
	timer := time.NewTimer(time.Duration(20+rand.IntN(150)) * time.Millisecond)
	<-timer.C
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

// runKilled is the node in its own process.
func runKilled(t *testing.T) {
	c := store.Config{URL: os.Getenv("KILLED_URL"), Path: os.Getenv("KILLED_PATH")}
	k := startKilled(t, c, store.Config{Path: os.Getenv("KILLED_LOG")}, os.Getenv("TANDEM_TEST_KILLED"))
	if err := k.m.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Print(".")
	select {} // until it is killed
}

func (k *killed) number(t *testing.T, sql string) (n int64) {
	t.Helper()
	if err := k.db.Read(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error { return tx.Row(sql).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// settle waits for the end and compares what came with what is there.
func (k *killed) settle(t *testing.T, dir string, files, records int, octets int64) {
	t.Helper()
	all := int64(files * records)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(60 * time.Second)
	for k.number(t, "SELECT CAST(coalesce(sum(records), 0) AS BIGINT) FROM charging_cdr_file WHERE tenant = $1 AND state = 'written'") < all {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d files are taken, %d usage records written", k.number(t, "SELECT count(*) FROM charging_file WHERE tenant = $1 AND state = 'taken'"),
				k.number(t, "SELECT count(*) FROM charging_usage WHERE tenant = $1"))
		}
	}
	for what, want := range map[string]int64{
		"SELECT count(*) FROM charging_file WHERE tenant = $1 AND state = 'taken'":                       int64(files),
		"SELECT count(*) FROM charging_file WHERE tenant = $1 AND state <> 'taken'":                      0,
		"SELECT CAST(sum(charged) AS BIGINT) FROM charging_file WHERE tenant = $1":                       all,
		"SELECT CAST(sum(records) AS BIGINT) FROM charging_usage WHERE tenant = $1":                      all,
		"SELECT CAST(sum(octets) AS BIGINT) FROM charging_usage WHERE tenant = $1":                       octets,
		"SELECT CAST(sum(amount) AS BIGINT) FROM charging_entry WHERE tenant = $1 AND against = 'usage'": -octets / mib * 10_000_000,
		"SELECT count(*) FROM charging_case WHERE tenant = $1":                                           0,
		"SELECT max(sequence) - count(*) FROM charging_cdr_file WHERE tenant = $1":                       0,
	} {
		if got := k.number(t, what); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	seen, total := map[string]bool{}, int64(0)
	names, err := filepath.Glob(filepath.Join(dir, "out", "out_*"))
	if err != nil || int64(len(names)) != k.number(t, "SELECT count(*) FROM charging_cdr_file WHERE tenant = $1") {
		t.Errorf("%d files are there: %v", len(names), err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		r := cdr.NewJSON(f)
		var rec cdr.Record
		for r.Next(&rec) == nil {
			if seen[string(rec.Session)] {
				t.Errorf("%s went out twice", rec.Session)
			}
			seen[string(rec.Session)] = true
			total += int64(rec.Usage[0].Units.Total)
		}
		f.Close()
	}
	if int64(len(seen)) != all || total != octets {
		t.Errorf("%d records with %d octets went out, want %d with %d", len(seen), total, all, octets)
	}
}

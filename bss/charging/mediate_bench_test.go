package charging_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/kit/access"
	"tandem/kit/journal"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// shelf is what a brand has published, as it lies in charging_book.
var shelf = []struct{ kind, name, doc string }{
	{"tenant", "mno", `{"home":[24001]}`},
	{"definition", "balance", `{"Name":"balance","Unit":3,"Priority":1000,"Main":true,"Zone":"UTC"}`},
	{"plan", "p", `{"offering":"p","currency":"EUR","main":2,"zone":"UTC"}`},
	{"tariff", "t", `{"plan":3,"prices":{"name":"t","currency":"EUR","zone":"UTC","rules":[{"name":"data","match":{"service":"data"},"class":"data",
		"price":{"unit":"octets","amount":"0.01","per":1048576}},{"name":"voice","match":{"service":"voice"},"class":"voice","price":{"unit":"seconds","amount":"0.06","per":60}}]}}`},
}

const benchAccounts = 10_000

// benchRoom is a room with accounts, on SQLite with a journal of its own file.
func benchRoom(b *testing.B, start func(*charging.Room, context.Context) error) (*charging.Room, *store.DB) {
	b.Helper()
	db := storetest.Open(b, store.SQLite, append([]store.Schema{tmf.Schema(), outbox.Schema(), access.Schema()}, charging.Schemas...)...)
	log := storetest.Open(b, store.SQLite, journal.Schema())
	err := db.Write(b.Context(), store.Scope{Tenant: "mno", Actor: "bench"}, func(tx *store.Tx) error {
		for _, x := range shelf {
			tx.Insert("INSERT INTO charging_book (tenant, kind, name, from_at, doc)", x.kind, x.name, 0, x.doc)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	room := charging.New(charging.Config{DB: db, Journal: log, Holder: "bench", Address: "here", Tenants: func(context.Context) ([]string, error) { return []string{"mno"}, nil },
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := start(room, b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		room.Stop(context.Background())
		room.Engine.Close(context.Background())
	})
	var wg sync.WaitGroup
	for w := range 256 {
		wg.Go(func() {
			for i := w; i < benchAccounts; i += 256 {
				_, err := room.Engine.Run(b.Context(), core.Command{Ref: core.NewRef(i%256, uint32(i/256)), Do: func(h *core.Hand) error {
					if err := h.Open(1, 978, core.Prepaid, 0); err != nil {
						return err
					}
					if _, err := h.Subscribe(core.Subscriber{Plan: 3, E164: core.Digits(fmt.Sprint(46700000000 + i))}); err != nil {
						return err
					}
					_, err := h.Give(core.Bucket{Def: 2}, 1e15, core.TopUp, "")
					return err
				}})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return room, db
}

// BenchmarkFiles takes files of 100,000 records: read, rated, durable, and, in the
// second figure, in the usage table too.
func BenchmarkFiles(b *testing.B) {
	const records = 100_000
	for _, format := range []string{cdr.Format3GPP, cdr.FormatCSV} {
		b.Run(format, func(b *testing.B) {
			room, _ := benchRoom(b, (*charging.Room).Start)
			dir := b.TempDir()
			m := charging.NewMediator(room, charging.MediationConfig{})
			feed := charging.Feed{Tenant: "mno", Source: "smf-1", Folder: dir, Format: format, Done: dir, Failed: dir, Mapping: cdr.Mapping{Service: "data", Columns: []cdr.Column{
				{Field: "session"}, {Field: "msisdn"}, {Field: "octets"}, {Field: "start", Format: "unix"}, {Field: "group"}}}}
			taken, written := time.Duration(0), time.Duration(0)
			total, n := int64(0), 0
			spent := cpu() // not by what is measured
			for b.Loop() {
				b.StopTimer()
				making := cpu()
				path := filepath.Join(dir, fmt.Sprintf("%d.cdr", n))
				writeBench(b, path, format, n, records)
				n++
				b.StartTimer()
				spent += cpu() - making
				begun := time.Now()
				f, err := m.Take(b.Context(), &feed, path)
				if err != nil || f.Charged != records {
					b.Fatalf("%+v, %v", f, err)
				}
				taken += time.Since(begun)
				total += records
				if err := room.Idle(b.Context()); err != nil { // the projector
					b.Fatal(err)
				}
				written += time.Since(begun)
			}
			b.ReportMetric(float64(total)/taken.Seconds(), "rated/s")
			b.ReportMetric(float64(total)/written.Seconds(), "stored/s")
			b.ReportMetric(float64((cpu()-spent).Microseconds())/float64(total), "cpu-us/record")
		})
	}
}

// BenchmarkFilesRated takes files as far as the answer: read, rated and durable in
// the journal. The projector, which writes usage records and entries, does not run.
func BenchmarkFilesRated(b *testing.B) {
	const records = 100_000
	room, _ := benchRoom(b, (*charging.Room).StartEngine)
	dir := b.TempDir()
	m := charging.NewMediator(room, charging.MediationConfig{})
	feed := charging.Feed{Tenant: "mno", Source: "smf-1", Folder: dir, Format: cdr.Format3GPP, Done: dir, Failed: dir}
	var taken, spent time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		path := filepath.Join(dir, fmt.Sprintf("%d.cdr", n))
		writeBench(b, path, feed.Format, n, records)
		n++
		b.StartTimer()
		begun, used := time.Now(), cpu()
		if f, err := m.Take(b.Context(), &feed, path); err != nil || f.Charged != records {
			b.Fatalf("%+v, %v", f, err)
		}
		taken, spent = taken+time.Since(begun), spent+cpu()-used
	}
	b.ReportMetric(float64(n*records)/taken.Seconds(), "rated/s")
	b.ReportMetric(float64(spent.Microseconds())/float64(n*records), "cpu-us/record")
}

// cpu is what this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func writeBench(b *testing.B, path, format string, file, records int) {
	b.Helper()
	frame := cdr.Frame{Sequence: uint32(file + 1), Standard: cdr.TS32255, Opened: time.Now()}
	var text, body []byte
	at := time.Now().Add(-time.Hour).Unix()
	for i := range records {
		name, msisdn := fmt.Appendf(nil, "%d-%d", file, i), fmt.Append(nil, 46700000000+i*7919%benchAccounts)
		if format == cdr.FormatCSV {
			text = fmt.Appendf(text, "%s,%s,%d,%d,10\n", name, msisdn, 1<<20+i, at)
			continue
		}
		r := cdr.Record{Service: credit.Data, Session: name, MSISDN: msisdn, Start: at * 1e6, Access: []byte("internet"), PLMN: 24001,
			Usage: []cdr.Usage{{HasGroup: true, Group: 10, First: at * 1e6, Units: credit.Units{Has: credit.HasTotal, Total: 1<<20 + uint64(i)}}}}
		body = cdr.PutCHF(body[:0], &r)
		if err := frame.Add(body, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
	if format != cdr.FormatCSV {
		text = frame.Close(cdr.Normal)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
}

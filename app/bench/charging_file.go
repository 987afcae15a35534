package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"tandem/bss/charging"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/kit/fault"
)

// What lies in the files of the benchmark: the records of some elements, each of
// which began its uses in the last minutes, so that the files of an element overlap in
// time and are looked through for records that came twice.
const (
	fileElements = 8
	fileSpan     = 5 * time.Minute
	filesAhead   = 2 // written, and not taken yet
)

// fileRecords is how many records a file has; tests take fewer.
var fileRecords = 100_000

// usageFile is a file that lies ready.
type usageFile struct {
	path string
	feed *charging.Feed
	err  error
}

// fileFace leaves files of usage and has them taken, one after the other, and measures
// records a second that are rated, durable and written down. Writing the files costs
// its part of the machine too.
func fileFace(ctx context.Context, r *chargingRig) (Result, error) {
	dir := filepath.Join(r.o.Data, "usage")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Result{}, err
	}
	defer os.RemoveAll(dir)
	m := charging.NewMediator(r.Charging, charging.MediationConfig{})
	w := &fileWriter{rig: r, dir: dir, ready: make(chan usageFile, filesAhead)}
	w.prepare()
	stop, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for range w.ready { // until the writer has ended
		}
	}()
	go w.run(stop)
	if _, _, err := takeFiles(ctx, m, w, 0); err != nil { // memory and files have their size then
		return Result{}, err
	}
	if !r.caughtUp(time.Minute) {
		return Result{}, errors.New("the projector did not even keep up with the first file")
	}
	finish, err := profile(r.o.Profile)
	if err != nil {
		return Result{}, err
	}
	before, began := r.meter(), time.Now()
	n, took, err := takeFiles(ctx, m, w, r.o.limit())
	if err != nil {
		return Result{}, err
	}
	rated := time.Since(began)
	behind, caught := r.Charging.Behind(), r.caughtUp(time.Minute)
	stored := time.Since(began)
	meter := r.meter().since(before)
	finish()
	if !caught {
		return Result{}, errors.New("the projector stands still")
	}
	return r.fileResult(n, took, meter, rated, stored, behind)
}

// takeFiles takes files for a time, at least one.
func takeFiles(ctx context.Context, m *charging.Mediator, w *fileWriter, d time.Duration) (n int64, took []time.Duration, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	begun, given := make(chan time.Time, fileElements), 0 // of those that have not ended, in their order
	m.TakeEach(ctx, func(yield func(*charging.Feed, string) bool) {
		for began := time.Now(); given == 0 || time.Since(began) < d; given++ {
			next := <-w.ready
			if next.err != nil {
				stop(next.err)
				return
			}
			begun <- time.Now()
			if !yield(next.feed, next.path) {
				return
			}
		}
	}, func(f charging.File, err error) {
		took = append(took, time.Since(<-begun))
		n += f.Charged
		if err == nil && (f.State != "taken" || f.Charged != int64(fileRecords)) {
			err = fault.New(fault.Internal, "bench", "a file was not taken as it should be: %+v", f)
		}
		if err == nil {
			err = os.Remove(filepath.Join(w.dir, f.Name))
		}
		if err != nil {
			stop(err)
		}
	})
	return n, took, context.Cause(ctx)
}

// fileWriter writes files of usage ahead of who takes them.
type fileWriter struct {
	rig   *chargingRig
	dir   string
	feeds [fileElements]charging.Feed
	ready chan usageFile
	rec   cdr.Record
	body  []byte
	frame cdr.Frame
	lines []byte
}

func (w *fileWriter) prepare() {
	for i := range w.feeds {
		done := filepath.Join(w.dir, "done")
		w.feeds[i] = charging.Feed{Tenant: tenant, Source: fmt.Sprintf("smf-%d", i), Folder: w.dir, Format: w.rig.o.format(), Done: w.dir, Failed: done,
			Mapping: cdr.Mapping{Service: "data", Columns: []cdr.Column{{Field: "session"}, {Field: "number"}, {Field: "msisdn"}, {Field: "start", Format: "unix"},
				{Field: "octetsIn"}, {Field: "octetsOut"}, {Field: "group"}, {Field: "access"}}}}
	}
}

// format is that of the files.
func (o *ChargingOptions) format() string {
	if o.Format == "" {
		return cdr.Format3GPP
	}
	return o.Format
}

func (w *fileWriter) run(ctx context.Context) {
	defer close(w.ready)
	for n := 0; ; n++ {
		f := usageFile{path: filepath.Join(w.dir, fmt.Sprintf("%08d.cdr", n)), feed: &w.feeds[n%fileElements]}
		f.err = w.write(f.path, n)
		select {
		case w.ready <- f:
		case <-ctx.Done():
			return
		}
	}
}

// write writes a file of records of random accounts.
func (w *fileWriter) write(path string, n int) error {
	now := time.Now()
	frame, lines := &w.frame, w.lines[:0]
	frame.Reset()
	frame.Sequence, frame.Standard, frame.Opened = uint32(n/fileElements+1), cdr.TS32255, now
	r := &w.rec
	for i := range fileRecords {
		r.Reset()
		began := now.Add(-time.Duration(rand.Int64N(int64(fileSpan)))).Truncate(time.Second).UnixMicro()
		r.Service, r.Start, r.Seconds, r.PLMN, r.RAT = credit.Data, began, 60, 240001, 6
		r.Session = strconv.AppendInt(strconv.AppendInt(r.Session[:0], began, 36), int64(n)*int64(fileRecords)+int64(i), 36)
		r.MSISDN = strconv.AppendInt(r.MSISDN[:0], firstNumber+rand.Int64N(int64(w.rig.o.Accounts)), 10)
		r.Access = internet
		up, down := uint64(rand.Int64N(mib)), uint64(rand.Int64N(8*mib))
		if w.rig.o.format() == cdr.FormatCSV {
			lines = appendLine(lines, r, up, down)
			continue
		}
		r.Usage = append(r.Usage, cdr.Usage{HasGroup: true, Group: group, First: began, Units: credit.Units{Has: credit.HasTotal | credit.HasInput | credit.HasOutput, Total: up + down, Input: up, Output: down}})
		w.body = cdr.PutCHF(w.body[:0], r)
		if err := frame.Add(w.body, now); err != nil {
			return err
		}
	}
	if w.rig.o.format() == cdr.FormatCSV {
		w.lines = lines
		return os.WriteFile(path, lines, 0o600)
	}
	return os.WriteFile(path, frame.Close(cdr.CountLimit), 0o600)
}

var internet = []byte("internet")

func appendLine(b []byte, r *cdr.Record, up, down uint64) []byte {
	b = append(append(b, r.Session...), ",0,"...)
	b = append(append(b, r.MSISDN...), ',')
	b = append(strconv.AppendInt(b, r.Start/1e6, 10), ',')
	b = append(strconv.AppendUint(b, up, 10), ',')
	b = append(strconv.AppendUint(b, down, 10), ',')
	b = append(strconv.AppendInt(b, group, 10), ',')
	return append(append(b, internet...), '\n')
}

// fileResult is what a run comes to. Its rate is of records that are written down;
// its latencies are of whole files.
func (r *chargingRig) fileResult(n int64, took []time.Duration, m meter, rated, stored time.Duration, behind int64) (Result, error) {
	if m.batches == 0 {
		return Result{}, errors.New("nothing was charged")
	}
	floor, err := raw(r.folder(), m.perBatch(m.octets), m.perBatch(n))
	if err != nil {
		return Result{}, err
	}
	cpu := m.user + m.system
	res := Result{Name: "charging", Store: r.DB.Dialect().String(), Seconds: stored.Seconds(), PerSecond: float64(n) / stored.Seconds(), FloorPerSecond: floor,
		P50: percentile(took, 0.5), P99: percentile(took, 0.99), RSS: resident(), Own: map[string]any{
			"face": "file", "format": r.o.format(), "accounts": r.o.Accounts, "records": n, "records_a_file": fileRecords,
			"rated_per_second": float64(n) / rated.Seconds(), "stored_per_cpu_second": float64(n) / cpu.Seconds(), "cpu_us_per_record": cpu.Seconds() * 1e6 / float64(n),
			"cores_busy": cpu.Seconds() / stored.Seconds(), "bytes_per_record": float64(m.octets) / float64(n), "records_per_batch": m.perBatch(n),
			"projector_behind_batches": behind, "projector_caught_up_seconds": (stored - rated).Seconds(),
		}}
	res.Ratio = res.PerSecond / floor
	if catching, allowed := stored-rated, max(2*time.Second, stored/10); catching > allowed {
		res.fail("the projector was %.1f s behind at the end; it keeps up if that is no more than %.1f s", catching.Seconds(), allowed.Seconds())
	}
	return res, nil
}

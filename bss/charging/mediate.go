package charging

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/fact"
	"tandem/kit/outbox"
	"tandem/kit/store"
)

// Feed is a folder where a source leaves files of usage. A source writes a file
// under another name (one that begins with a dot or ends in .tmp or .part) and
// renames it when it is whole; when it is taken it is moved to Done.
type Feed struct {
	Tenant   string            `json:"tenant"`          // who keeps the file and its suspense; a record is charged to its subscriber, of whatever brand of the host
	Source   string            `json:"source,omitzero"` // an element or partner, by whom sequences are counted; none: who the file says it is from
	Folder   string            `json:"folder"`
	Pattern  string            `json:"pattern,omitzero"`  // of names, such as *.cdr; none: all
	Format   string            `json:"format"`            // 3gpp, tap3, nrtrde, csv, json
	Mapping  cdr.Mapping       `json:"mapping,omitzero"`  // of csv
	Done     string            `json:"done,omitzero"`     // none: done in Folder
	Failed   string            `json:"failed,omitzero"`   // none: failed in Folder
	Networks map[string]uint32 `json:"networks,omitzero"` // of roaming partners: TADIG code -> MCC * 1000 + MNC
}

// MediationConfig is what mediation is told. Folders are those of one node: a feed or
// stream is configured on one only.
type MediationConfig struct {
	Feeds   []Feed
	Streams []Stream      // of files written
	Window  int           // charges under way at once when suspense is recycled; 0: 4096
	Late    time.Duration // usage older than this when it comes is counted as late; 0: 24 h
	Keep    time.Duration // how long records are known by identity; 0: 70 days
	Poll    time.Duration // of folders; 0: 1 s
}

// Mediator takes files of usage, keeps what cannot be charged, and writes files of
// records.
type Mediator struct {
	MediationConfig
	room    *Room
	charger charger
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// charger is the engine, as mediation uses it.
type charger interface {
	credit.Charger
	ChargeAll(*core.Posts)
}

// NewMediator prepares mediation of a room; Start runs it.
func NewMediator(r *Room, c MediationConfig) *Mediator {
	c.Window = cmp.Or(c.Window, 4096)
	c.Late = cmp.Or(c.Late, 24*time.Hour)
	c.Keep = cmp.Or(c.Keep, 70*24*time.Hour)
	c.Poll = cmp.Or(c.Poll, time.Second)
	for i := range c.Feeds {
		f := &c.Feeds[i]
		f.Done, f.Failed = cmp.Or(f.Done, filepath.Join(f.Folder, "done")), cmp.Or(f.Failed, filepath.Join(f.Folder, "failed"))
	}
	return &Mediator{MediationConfig: c, room: r, charger: r.Engine}
}

// Start watches the folders. The room must have been started.
func (m *Mediator) Start(ctx context.Context) error {
	for _, f := range m.Feeds {
		for _, folder := range []string{f.Folder, f.Done, f.Failed} {
			if err := os.MkdirAll(folder, 0o750); err != nil {
				return fmt.Errorf("mediation of %s: %w", f.Source, err)
			}
		}
	}
	for _, s := range m.Streams {
		if err := s.check(); err != nil {
			return err
		}
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	for _, work := range []struct {
		name string
		do   func(context.Context) error
	}{{"files could not be taken", m.takeAll}, {"suspense could not be worked on", m.workSuspense}, {"files of records could not be written", m.writeStreams}} {
		m.done.Go(func() { m.again(run, work.name, work.do) })
	}
	return nil
}

// Stop ends it; what is half done goes on at the next start.
func (m *Mediator) Stop() {
	if m.stop != nil {
		m.stop()
		m.done.Wait()
		m.stop = nil
	}
}

func (m *Mediator) again(ctx context.Context, what string, do func(context.Context) error) {
	tick := time.NewTicker(m.Poll)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			m.room.log.Error("mediation: "+what+"; trying again", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// takeAll takes what lies in the folders, oldest name first.
func (m *Mediator) takeAll(ctx context.Context) (err error) {
	var unread error
	m.TakeEach(ctx, func(yield func(*Feed, string) bool) {
		for i := range m.Feeds {
			f := &m.Feeds[i]
			names, e := f.waiting()
			unread = errors.Join(unread, e)
			for _, name := range names {
				if !yield(f, filepath.Join(f.Folder, name)) {
					return
				}
			}
		}
	}, func(f File, e error) {
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", f.Name, e))
		}
	})
	return errors.Join(unread, err, ctx.Err())
}

func (f *Feed) waiting() (names []string, err error) {
	entries, err := os.ReadDir(f.Folder)
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".part") {
			continue
		}
		if f.Pattern != "" {
			if ok, err := filepath.Match(f.Pattern, name); err != nil || !ok {
				continue
			}
		}
		names = append(names, name)
	}
	return names, err
}

// File is a file of usage as it was dealt with.
type File struct {
	Number     int64     `json:"id"`
	Source     string    `json:"source"`
	Name       string    `json:"name"`
	Format     string    `json:"format"`
	Sequence   int64     `json:"sequence"`
	Hash       string    `json:"hash"`
	Size       int64     `json:"size"`
	State      string    `json:"state"`
	Reason     string    `json:"reason,omitzero"`
	Records    int64     `json:"records"`
	Skipped    int64     `json:"skipped"`
	Charged    int64     `json:"charged"`
	Duplicates int64     `json:"duplicates"`
	Suspended  int64     `json:"suspended"`
	Late       int64     `json:"late"`
	Missing    int64     `json:"missing"`
	First      time.Time `json:"first,omitzero"`
	Last       time.Time `json:"last,omitzero"`
	SeenAt     time.Time `json:"seenAt"`

	resumed bool // it was begun before
}

// recordKey is a record by identity and digest.
type recordKey struct {
	identity, digest uint64
	position         int64
}

// survey is what a first reading found: a file that does not pass is not taken.
type survey struct {
	head        cdr.Head
	keys        []recordKey // sorted
	first, last int64
	not         map[int64]bool // positions not to be charged; true: a suspect, false: the same record again
}

// survey reads a file without charging anything.
func (f *Feed) survey(body *os.File) (s survey, err error) {
	r, err := f.open(body)
	if err != nil {
		return s, err
	}
	var rec cdr.Record
	for {
		switch err := r.Next(&rec); err {
		case nil:
		case io.EOF:
			s.head = r.Head()
			s.sort()
			return s, nil
		default:
			s.head = r.Head()
			return s, err
		}
		s.keys = append(s.keys, recordKey{rec.Identity(), rec.Digest(), rec.Position})
		if s.first == 0 || rec.Start < s.first {
			s.first = rec.Start
		}
		s.last = max(s.last, rec.Start)
	}
}

func (f *Feed) open(body *os.File) (cdr.Reader, error) {
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return cdr.Open(body, f.Format, f.Mapping)
}

// sort sorts the keys and finds the records that come twice in the file itself.
func (s *survey) sort() {
	slices.SortFunc(s.keys, func(a, b recordKey) int {
		if a.identity != b.identity {
			return cmp.Compare(a.identity, b.identity)
		}
		return cmp.Compare(a.position, b.position)
	})
	s.not = map[int64]bool{}
	for i := 1; i < len(s.keys); i++ {
		if s.keys[i].identity == s.keys[i-1].identity {
			s.not[s.keys[i].position] = s.keys[i].digest != s.keys[i-1].digest
		}
	}
}

// meet finds the records that another file had: those with the same digest are the
// same, the others are suspects.
func (s *survey) meet(other []byte) {
	i := 0
	for ; len(other) >= 16; other = other[16:] {
		identity, digest := binary.LittleEndian.Uint64(other), binary.LittleEndian.Uint64(other[8:])
		for i < len(s.keys) && s.keys[i].identity < identity {
			i++
		}
		for j := i; j < len(s.keys) && s.keys[j].identity == identity; j++ {
			if suspect, known := s.not[s.keys[j].position]; !known || suspect {
				s.not[s.keys[j].position] = s.keys[j].digest != digest
			}
		}
	}
}

func (s *survey) packed() []byte {
	b := make([]byte, 0, 16*len(s.keys))
	for _, k := range s.keys {
		b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, k.identity), k.digest)
	}
	return b
}

const (
	fileColumns = "number, source, name, format, sequence, hash, size, state, reason, records, skipped, charged, duplicates, suspended, late, missing, first_at, last_at, seen_at"
	addFile     = `INSERT INTO charging_file (tenant, source, name, format, sequence, hash, size, state, reason, records, skipped, charged, duplicates, suspended, late, missing,
		first_at, last_at, progress, marked_at, seen_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 0, 0, 0, $12, $13, 0, $14, $14, $15) RETURNING number`
)

func scanFile(r store.Rows) (f File, err error) {
	var first, last, seen int64
	err = r.Scan(&f.Number, &f.Source, &f.Name, &f.Format, &f.Sequence, &f.Hash, &f.Size, &f.State, &f.Reason, &f.Records, &f.Skipped, &f.Charged, &f.Duplicates, &f.Suspended,
		&f.Late, &f.Missing, &first, &last, &seen)
	f.SeenAt = store.Instant(seen)
	if first != 0 {
		f.First, f.Last = store.Instant(first), store.Instant(last)
	}
	return f, err
}

// begin enters a file: to be taken, or why not. One that was begun before goes on.
func (m *Mediator) begin(ctx context.Context, f *Feed, out *File, s *survey, wrong error) error {
	fresh, keys := *out, s.packed()
	return m.write(ctx, f.Tenant, func(tx *store.Tx) error {
		*out = fresh
		rows, err := tx.Query("SELECT "+fileColumns+" FROM charging_file WHERE tenant = $1 AND state IN ('taking', 'taken') AND (hash = $2 OR source = $3 AND sequence = $4 AND sequence >= 0)",
			out.Hash, f.Source, out.Sequence)
		same, err := store.Collect(rows, err, scanFile)
		if err != nil {
			return err
		}
		out.State = "taking"
		switch {
		case wrong != nil:
			out.State, out.Reason = "refused", wrong.Error()
		case len(same) > 0 && same[0].Hash == out.Hash && same[0].State == "taking":
			*out = same[0]
			out.Name, out.resumed = fresh.Name, true
			return nil
		case len(same) > 0 && same[0].Hash == out.Hash && same[0].Name == out.Name && !there(filepath.Join(f.Done, out.Name)):
			*out = same[0] // it was taken, and then not moved any more
			return nil
		case len(same) > 0 && same[0].Hash == out.Hash:
			out.State, out.Reason = "duplicate", fmt.Sprintf("it was taken before, as %s", same[0].Name)
		case len(same) > 0:
			out.State, out.Reason = "refused", fmt.Sprintf("another file with sequence number %d was taken: %s", out.Sequence, same[0].Name)
		}
		return m.enter(tx, out, keys)
	})
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// enter writes a file down. What is in one that is to be taken is known from then on,
// also if it is interrupted and another comes with some of its records.
func (m *Mediator) enter(tx *store.Tx, out *File, keys []byte) error {
	out.SeenAt = tx.Now()
	ended := any(nil)
	if out.State != "taking" {
		ended = store.Micros(tx.Now())
		out.tell(tx)
	}
	err := tx.Row(addFile, out.Source, out.Name, out.Format, out.Sequence, out.Hash, out.Size, out.State, out.Reason, out.Records, out.Skipped,
		micros(out.First), micros(out.Last), store.Micros(tx.Now()), ended).Scan(&out.Number)
	if err == nil && out.State == "taking" {
		tx.Insert("INSERT INTO charging_file_keys (tenant, file, keys)", out.Number, keys)
	}
	return err
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return store.Micros(t)
}

// tell tells how a file was dealt with.
func (f *File) tell(tx *store.Tx) {
	outbox.Tell(tx, fact.UsageFileEnded{Source: f.Source, Name: f.Name, State: f.State, Reason: f.Reason, Sequence: f.Sequence, Missing: f.Missing,
		Records: f.Records, Duplicates: f.Duplicates, Suspended: f.Suspended, Late: f.Late, At: tx.Now()})
}

func (m *Mediator) write(ctx context.Context, tenant string, fn func(*store.Tx) error) error {
	return m.room.DB.Write(ctx, store.Scope{Tenant: tenant, Actor: actorMediation}, fn)
}

func (m *Mediator) read(ctx context.Context, tenant string, fn func(*store.Tx) error) error {
	return m.room.DB.Read(ctx, store.Scope{Tenant: tenant, Actor: actorMediation}, fn)
}

const actorMediation = "system:mediation"

// sameWithin is how far apart two records of one name can be and still be taken for
// the same, with another date: later a source may use a name again.
const sameWithin = time.Hour

const overlappingFiles = `SELECT f.number FROM charging_file f WHERE f.tenant = $1 AND f.source = $2 AND f.state IN ('taking', 'taken') AND f.last_at >= $3 AND f.first_at <= $4
	AND f.number < $5 ORDER BY f.number`

// meetOthers compares the records with those of the files that came before and whose
// times overlap, nearly.
func (m *Mediator) meetOthers(ctx context.Context, f *Feed, s *survey, number int64) error {
	if len(s.keys) == 0 {
		return nil
	}
	var files []int64
	err := m.read(ctx, f.Tenant, func(tx *store.Tx) (err error) {
		rows, err := tx.Query(overlappingFiles, f.Source, s.first-sameWithin.Microseconds(), s.last+sameWithin.Microseconds(), number)
		files, err = store.Collect(rows, err, func(r store.Rows) (n int64, err error) { return n, r.Scan(&n) })
		return err
	})
	for _, n := range files {
		if err != nil {
			return err
		}
		var keys []byte
		err = m.read(ctx, f.Tenant, func(tx *store.Tx) error {
			err := tx.Row("SELECT keys FROM charging_file_keys WHERE tenant = $1 AND file = $2", n).Scan(&keys)
			if err == store.ErrNotFound { // aged out
				err = nil
			}
			return err
		})
		s.meet(keys)
	}
	return err
}

// finish writes that a file is taken, and which sequence numbers before it are not
// there.
func (m *Mediator) finish(ctx context.Context, f *Feed, out *File) error {
	return m.write(ctx, f.Tenant, func(tx *store.Tx) error {
		var err error
		if out.Missing, err = missing(tx, out); err != nil {
			return err
		}
		out.State = "taken"
		tx.QueueOne(`UPDATE charging_file SET state = 'taken', charged = $3, duplicates = $4, suspended = $5, late = $6, missing = $7, ended_at = $8 WHERE tenant = $1 AND number = $2
			AND state = 'taking'`, out.Number, out.Charged, out.Duplicates, out.Suspended, out.Late, out.Missing, store.Micros(tx.Now()))
		tx.Queue(`DELETE FROM charging_file_keys WHERE tenant = $1 AND file IN (SELECT number FROM charging_file WHERE tenant = $1 AND source = $2 AND state = 'taken' AND last_at < $3
			AND ended_at < $3)`, f.Source, store.Micros(tx.Now().Add(-m.Keep)))
		out.tell(tx)
		return nil
	})
}

// missing counts the sequence numbers between a file and the one taken before it.
func missing(tx *store.Tx, f *File) (n int64, err error) {
	if f.Sequence < 0 {
		return 0, nil
	}
	var before, after int64
	err = tx.Row("SELECT coalesce(max(sequence), -1) FROM charging_file WHERE tenant = $1 AND source = $2 AND sequence >= 0 AND sequence < $3 AND state = 'taken'", f.Source, f.Sequence).Scan(&before)
	if err != nil || before < 0 {
		return 0, err
	}
	err = tx.Row("SELECT count(*) FROM charging_file WHERE tenant = $1 AND source = $2 AND sequence > $3 AND state = 'taken'", f.Source, f.Sequence).Scan(&after)
	if err != nil || after > 0 {
		return 0, err // it fills a gap itself
	}
	return f.Sequence - before - 1, nil
}

// Gap is a run of sequence numbers of a source that never came.
type Gap struct {
	Source string `json:"source"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
}

const findGaps = `SELECT source, was, sequence FROM (SELECT source, sequence, lag(sequence) OVER (PARTITION BY source ORDER BY sequence) AS was
	FROM charging_file WHERE tenant = $1 AND sequence >= 0 AND state = 'taken') AS runs WHERE sequence > was + 1 ORDER BY source, sequence LIMIT $2`

// Gaps are the sequence numbers that are missing now.
func Gaps(tx *store.Tx) ([]Gap, error) {
	rows, err := tx.Query(findGaps, 1000)
	return store.Collect(rows, err, func(r store.Rows) (g Gap, err error) {
		err = r.Scan(&g.Source, &g.From, &g.To)
		g.From, g.To = g.From+1, g.To-1
		return g, err
	})
}

// flight is a case that is charged again, with the record that its request's text
// lies in.
type flight struct {
	call credit.Call
	rec  cdr.Record
	at   int // which case
}

// window keeps a number of charges under way.
type window struct {
	m     *Mediator
	size  int
	ready chan *flight
	busy  chan *flight  // to be tried again
	ended func(*flight) // hears what became of each
}

func (m *Mediator) newWindow(ended func(*flight)) *window {
	w := &window{m: m, size: m.Window, ready: make(chan *flight, m.Window), busy: make(chan *flight, m.Window), ended: ended}
	for range m.Window {
		x := &flight{}
		x.call.Done = func(*credit.Call) { w.landed(x) }
		w.ready <- x
	}
	return w
}

// landed hears that a charge is durable, or must be tried again. It does not block:
// both channels hold all flights.
func (w *window) landed(x *flight) {
	if x.call.Answer.Result == credit.Busy {
		w.busy <- x
		return
	}
	w.ended(x)
	w.ready <- x
}

// free waits for a flight that is not under way. What could not be decided on (the
// engine was full, or another node decides) is sent again.
func (w *window) free(ctx context.Context) (*flight, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for {
		select {
		case x := <-w.ready:
			return x, nil
		default:
		}
		select {
		case x := <-w.ready:
			return x, nil
		case x := <-w.busy:
			if err := w.retry(ctx, x); err != nil {
				w.ready <- x
				return nil, err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

const busyPause = 20 * time.Millisecond

// retry waits a little for an engine that is busy.
func (w *window) retry(ctx context.Context, x *flight) error {
	t := time.NewTimer(busyPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	x.call.Request.Received = 0
	w.m.charger.Charge(&x.call)
	return nil
}

func (w *window) give(x *flight) { w.ready <- x }

// drain waits until nothing is under way. When ctx ends, it waits for what is
// decided and sends nothing again.
func (w *window) drain(ctx context.Context) error {
	landed := make([]*flight, 0, w.size)
	for len(landed) < w.size {
		select {
		case x := <-w.ready:
			landed = append(landed, x)
		case x := <-w.busy:
			if ctx.Err() != nil || w.retry(ctx, x) != nil {
				landed = append(landed, x)
			}
		}
	}
	for _, x := range landed {
		w.ready <- x
	}
	return ctx.Err()
}

// reasonOf is why the i-th use of a request was not charged, "" if it was.
func reasonOf(a *credit.Answer, i int) string {
	res := a.Result
	if i < len(a.Units) {
		res = a.Units[i].Result
	}
	return suspenseOf(res)
}

// suspenseOf is in words why a use was not charged, "" if it was.
func suspenseOf(res credit.Result) string {
	switch res {
	case credit.Success:
		return ""
	case credit.UnknownUser:
		return "unknownSubscriber"
	case credit.RatingFailed:
		return "noRate"
	case credit.Clash:
		return "duplicateSuspect"
	case credit.Denied:
		return "closedAccount"
	}
	return res.String()
}

const casesAtOnce = 1000

// marshal is a document as a column takes it.
func marshal(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(bytes.TrimSpace(b)), err
}

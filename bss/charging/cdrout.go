package charging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/store"
)

// Stream is a row of files of usage records that is written for somebody, with a
// sequence without holes: each usage record is in one file of it, once.
//
//	planned ──> whole under a temporary name ──> ready ──> renamed ──> written
//
// What is in a file is settled with its number in one transaction; it is only
// renamed when it is whole and known to be. So whatever is interrupted goes on where
// it was: a file that is planned is written anew under the temporary name; one that
// is ready is renamed if that has not happened.
type Stream struct {
	Tenant  string      `json:"tenant"`
	Name    string      `json:"name"` // begins the names of the files
	Folder  string      `json:"folder"`
	Format  string      `json:"format"` // csv, json, 3gpp (CHFRecord), tap3, nrtrde
	Mapping cdr.Mapping `json:"mapping,omitzero"`
	Roaming Roaming     `json:"roaming,omitzero"` // of tap3 and nrtrde: a tenant whose subscribers are all another network's
	Records int         `json:"records,omitzero"` // in a file at most; none: 10,000
	Seconds int         `json:"seconds,omitzero"` // after which a file is closed although it is not full; none: 60; below 0: at once
}

// Roaming says between which networks files go (TD.57, TD.35).
type Roaming struct {
	Sender    string `json:"sender"` // TADIG codes
	Recipient string `json:"recipient"`
	Currency  string `json:"currency,omitzero"` // of tap3: what the tenant's accounts are in
	Places    int    `json:"places,omitzero"`   // of tap3: decimal places that a charge is rounded to, half up; none: 5
}

const (
	maxStreamRecords = 100_000
	tapPlaces        = 5
	tapFiles         = 99_999    // after which the numbers of files begin at 1 again (TD.57)
	nearFiles        = 9_999_999 // the same of TD.35
)

func (r *Roaming) check(format string) error {
	if len(r.Sender) != 5 || len(r.Recipient) != 5 {
		return fault.BadInput("stream", "A roaming file goes from one TADIG code of five characters to another, not from %q to %q", r.Sender, r.Recipient)
	}
	if format == cdr.FormatTAP && (len(r.Currency) != 3 || r.Places < 0 || r.Places > 9) {
		return fault.BadInput("stream", "The charges of a TAP file have a currency of three letters and up to 9 decimal places")
	}
	return nil
}

func (r *Roaming) places() int {
	if r.Places == 0 {
		return tapPlaces
	}
	return r.Places
}

func (s *Stream) check() error {
	if s.Name == "" || strings.ContainsAny(s.Name, "/\\\x00") || strings.HasPrefix(s.Name, ".") {
		return fault.BadInput("stream", "%q cannot begin the name of a file", s.Name)
	}
	if s.Records < 0 || s.Records > maxStreamRecords {
		return fault.BadInput("stream", "A file has 1 to %d records", maxStreamRecords)
	}
	switch s.Format {
	case cdr.FormatCSV:
		if _, err := cdr.NewCSVWriter(s.Mapping); err != nil {
			return fault.BadInput("stream", "The mapping of %s: %v", s.Name, err)
		}
	case cdr.FormatTAP, cdr.FormatNRTRDE:
		if err := s.Roaming.check(s.Format); err != nil {
			return err
		}
	case cdr.FormatJSON, cdr.Format3GPP:
	default:
		return fault.BadInput("stream", "Files are written as csv, json, 3gpp, tap3 or nrtrde, not %q", s.Format)
	}
	return os.MkdirAll(s.Folder, 0o750)
}

func (s *Stream) most() int {
	if s.Records == 0 {
		return 10_000
	}
	return s.Records
}

func (s *Stream) age() time.Duration {
	if s.Seconds == 0 {
		return time.Minute
	}
	return time.Duration(s.Seconds) * time.Second
}

// outFile is a file of a stream.
type outFile struct {
	sequence, records int64
	after, upto       outPlace
	name, state       string
	closing           cdr.Closing
	at                time.Time
}

// outPlace is how far a stream is: a row of usage, and how many of its records are
// out.
type outPlace struct{ number, records int64 }

// from is the first record of a row that is not out.
func (p outPlace) from(number int64) int64 {
	if number == p.number {
		return p.records
	}
	return 0
}

const outColumns = "sequence, after_number, after_place, upto_number, upto_place, records, name, closing, state, at"

func scanOut(r store.Rows) (f outFile, err error) {
	var closing, at int64
	err = r.Scan(&f.sequence, &f.after.number, &f.after.records, &f.upto.number, &f.upto.records, &f.records, &f.name, &closing, &f.state, &at)
	f.closing, f.at = cdr.Closing(closing), store.Instant(at)
	return f, err
}

func (m *Mediator) writeStreams(ctx context.Context) error {
	for i := range m.Streams {
		if err := m.writeStream(ctx, &m.Streams[i]); err != nil {
			return fmt.Errorf("stream %s: %w", m.Streams[i].Name, err)
		}
	}
	return nil
}

// writeStream ends what was begun, and writes what has become due.
func (m *Mediator) writeStream(ctx context.Context, s *Stream) error {
	var begun []outFile
	err := m.read(ctx, s.Tenant, func(tx *store.Tx) (err error) {
		rows, err := tx.Query("SELECT "+outColumns+" FROM charging_cdr_file WHERE tenant = $1 AND stream = $2 AND state <> 'written' ORDER BY sequence", s.Name)
		begun, err = store.Collect(rows, err, scanOut)
		return err
	})
	if err != nil {
		return err
	}
	for i := range begun {
		if err := m.finishOut(ctx, s, &begun[i]); err != nil {
			return err
		}
	}
	for {
		f, err := m.plan(ctx, s)
		if err != nil || f == nil {
			return err
		}
		if err := m.finishOut(ctx, s, f); err != nil {
			return err
		}
	}
}

// plan settles what is in the next file; nil if nothing is due.
func (m *Mediator) plan(ctx context.Context, s *Stream) (f *outFile, err error) {
	err = m.write(ctx, s.Tenant, func(tx *store.Tx) error {
		f = nil
		rows, err := tx.Query("SELECT "+outColumns+" FROM charging_cdr_file WHERE tenant = $1 AND stream = $2 ORDER BY sequence DESC LIMIT 1", s.Name)
		last, err := store.Collect(rows, err, scanOut)
		if err != nil {
			return err
		}
		next := outFile{sequence: 1, at: tx.Now(), state: "planned", closing: cdr.CountLimit}
		if len(last) > 0 {
			next.sequence, next.after = last[0].sequence+1, last[0].upto
		}
		oldest, err := s.fill(tx, &next)
		if err != nil || next.records == 0 {
			return err
		}
		if next.records < int64(s.most()) {
			if tx.Now().Sub(store.Instant(oldest)) < s.age() {
				return nil
			}
			next.closing = cdr.TimeLimit
		}
		next.name = fmt.Sprintf("%s_%010d%s", s.Name, next.sequence, outNames[s.Format])
		tx.Insert("INSERT INTO charging_cdr_file (tenant, stream, sequence, after_number, after_place, upto_number, upto_place, records, name, closing, hash, state, at)",
			s.Name, next.sequence, next.after.number, next.after.records, next.upto.number, next.upto.records, next.records, next.name, int64(next.closing), "", "planned", store.Micros(next.at))
		f = &next
		return nil
	})
	return f, err
}

// outNames end the names of files.
var outNames = map[string]string{cdr.FormatCSV: ".csv", cdr.FormatJSON: ".jsonl", cdr.Format3GPP: ".cdr", cdr.FormatTAP: ".tap", cdr.FormatNRTRDE: ".nrt"}

const dueOut = "SELECT number, records, at FROM charging_usage WHERE tenant = $1 AND number >= $2 ORDER BY number LIMIT $3"

// fill settles which records are in a file, and says since when the oldest waits. The
// projector writes a tenant's usage in one transaction after the other, so a row with
// a lower number does not appear later.
func (s *Stream) fill(tx *store.Tx, f *outFile) (oldest int64, err error) {
	rows, err := tx.Query(dueOut, f.after.number, s.most()+1)
	due, err := store.Collect(rows, err, func(r store.Rows) (u [3]int64, err error) { return u, r.Scan(&u[0], &u[1], &u[2]) })
	for _, u := range due {
		from := f.after.from(u[0])
		n := min(u[1]-from, int64(s.most())-f.records)
		if n <= 0 {
			continue
		}
		if f.records == 0 || u[2] < oldest {
			oldest = u[2]
		}
		f.records += n
		f.upto = outPlace{u[0], from + n}
	}
	return oldest, err
}

// finishOut brings a file from where it stands to its name.
func (m *Mediator) finishOut(ctx context.Context, s *Stream, f *outFile) error {
	path := filepath.Join(s.Folder, f.name)
	tmp := cdr.Temporary(path)
	if f.state == "planned" {
		body, err := m.compose(ctx, s, f)
		if err != nil {
			return err
		}
		if err := cdr.WriteTemporary(path, body); err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		err = m.write(ctx, s.Tenant, func(tx *store.Tx) error {
			tx.QueueOne("UPDATE charging_cdr_file SET state = 'ready', hash = $4 WHERE tenant = $1 AND stream = $2 AND sequence = $3 AND state = 'planned'", s.Name, f.sequence, hex.EncodeToString(sum[:]))
			return nil
		})
		if err != nil {
			return err
		}
	}
	// A temporary file that is not there any more has been renamed.
	if err := cdr.Place(tmp, path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return m.write(ctx, s.Tenant, func(tx *store.Tx) error {
		tx.Queue("UPDATE charging_cdr_file SET state = 'written' WHERE tenant = $1 AND stream = $2 AND sequence = $3", s.Name, f.sequence)
		return nil
	})
}

// outRow is a usage row on its way out.
type outRow struct {
	number, account, sub, service, part, group, seconds, octets, in, out, events, money, network, first, last, file int64
	session, cause, called                                                                                          string
	page                                                                                                            []byte
}

const readOut = `SELECT number, account, subscriber, service, part, rating_group, seconds, octets, octets_in, octets_out, events, money, network, first_at, last_at,
	session, cause, called, file, page FROM charging_usage WHERE tenant = $1 AND number >= $2 AND number <= $3 ORDER BY number`

// compose is the body of a file.
func (m *Mediator) compose(ctx context.Context, s *Stream, f *outFile) ([]byte, error) {
	var rows []outRow
	err := m.read(ctx, s.Tenant, func(tx *store.Tx) (err error) {
		found, err := tx.Query(readOut, f.after.number, f.upto.number)
		rows, err = store.Collect(found, err, func(r store.Rows) (u outRow, err error) {
			return u, r.Scan(&u.number, &u.account, &u.sub, &u.service, &u.part, &u.group, &u.seconds, &u.octets, &u.in, &u.out, &u.events, &u.money, &u.network, &u.first, &u.last,
				&u.session, &u.cause, &u.called, &u.file, &u.page)
		})
		return err
	})
	if err == nil {
		rows, err = f.each(rows)
	}
	if err != nil {
		return nil, err
	}
	if int64(len(rows)) != f.records {
		return nil, fmt.Errorf("file %d was planned with %d records and there are %d", f.sequence, f.records, len(rows))
	}
	w, err := newOutWriter(s, f)
	if err != nil {
		return nil, err
	}
	names := map[int64]subscriberNames{}
	var rec cdr.Record
	for i := range rows {
		rows[i].fill(&rec, m.room.namesOfSub(rows[i].account, rows[i].sub, names))
		if err := w.add(&rec, f.at); err != nil {
			return nil, fmt.Errorf("usage %d: %w", rows[i].number, err)
		}
	}
	return w.close()
}

// each makes a row of each record of the rows that is in the file.
func (f *outFile) each(rows []outRow) (all []outRow, err error) {
	for i := range rows {
		u := &rows[i]
		from, to := f.after.from(u.number), int64(math.MaxInt64)
		if u.number == f.upto.number {
			to = f.upto.records
		}
		if u.file == 0 {
			if from == 0 {
				all = append(all, *u)
			}
			continue
		}
		n := int64(0)
		err := core.EachPosted(u.page, func(x *core.Posted) bool {
			if n >= from && n < to {
				all = append(all, u.of(x))
			}
			n++
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("usage %d: %w", u.number, err)
		}
	}
	return all, nil
}

// of is one record of a row.
func (u *outRow) of(x *core.Posted) outRow {
	one := *u
	one.page, one.session, one.called, one.part = nil, string(x.Session), string(x.Called), int64(x.Number)
	one.seconds, one.octets, one.in, one.out, one.events = int64(x.Totals.Seconds), int64(x.Totals.Total), int64(x.Totals.Input), int64(x.Totals.Output), int64(x.Totals.Events)
	one.money, one.first, one.last = x.Totals.Money, x.At, x.At
	return one
}

// subscriberNames are what the subscribers of an account are called by.
type subscriberNames map[int64][3]string

// namesOfSub asks the engine. An account that another node decides for, or that is
// gone, has no names here; the record goes out with its account and session.
func (r *Room) namesOfSub(account, sub int64, known map[int64]subscriberNames) [3]string {
	n, ok := known[account]
	if !ok {
		n = subscriberNames{}
		known[account] = n
		_ = r.Engine.Look(refOf(account), func(a *core.Account) { // without: see above
			for i := range a.Subscribers {
				s := &a.Subscribers[i]
				n[int64(s.ID)] = [3]string{unpack(s.E164), unpack(s.IMSI), s.Name}
			}
		})
	}
	return n[sub]
}

// unpack is the name that core.Digits packed: digits behind a leading one.
func unpack(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)[1:]
}

// closings are the causes of TS 32.298 for those of the engine.
var closings = map[string]uint8{"normalRelease": 0, "event": 0, "abnormalRelease": 4, "stale": 4, "peerRestart": 4, "replaced": 4, "volumeLimit": 16, "timeLimit": 17,
	"tariffSwitch": 19, "ratChange": 22, "plmnChange": 24}

func (u *outRow) fill(r *cdr.Record, names [3]string) {
	r.Reset()
	*r = cdr.Record{Kind: cdr.CHF, Service: credit.Service(u.service), Number: uint32(u.part), PLMN: uint32(u.network), Start: u.first, Cause: closings[u.cause],
		Seconds: uint64(max(0, u.last-u.first) / 1e6), Charge: u.money, HasCharge: true, Session: []byte(u.session), Called: []byte(u.called),
		MSISDN: []byte(names[0]), IMSI: []byte(names[1]), Name: []byte(names[2]), Node: []byte("charging"), Usage: r.Usage[:0]}
	x := cdr.Usage{HasGroup: u.group != 0, Group: uint32(u.group), First: u.first, Last: u.last, Charge: u.money}
	for _, f := range [...]struct {
		has credit.Has
		n   int64
		to  *uint64
	}{{credit.HasSeconds, u.seconds, &x.Units.Seconds}, {credit.HasTotal, u.octets, &x.Units.Total}, {credit.HasInput, u.in, &x.Units.Input},
		{credit.HasOutput, u.out, &x.Units.Output}, {credit.HasEvents, u.events, &x.Units.Events}} {
		if f.n != 0 {
			x.Units.Has |= f.has
			*f.to = uint64(f.n)
		}
	}
	r.Usage = append(r.Usage, x)
}

// outWriter makes a file of one of the formats.
type outWriter struct {
	csv   *cdr.CSV
	frame *cdr.Frame
	tap   *cdr.TAP
	near  *cdr.NRTRDE
	lines []byte
	body  []byte
	why   cdr.Closing
}

func newOutWriter(s *Stream, f *outFile) (w *outWriter, err error) {
	w = &outWriter{why: f.closing}
	switch s.Format {
	case cdr.FormatCSV:
		w.csv, err = cdr.NewCSVWriter(s.Mapping)
	case cdr.Format3GPP:
		w.frame = &cdr.Frame{Sequence: uint32(f.sequence), Standard: cdr.TS32255, Opened: f.at}
	case cdr.FormatTAP:
		w.tap = &cdr.TAP{Sender: s.Roaming.Sender, Recipient: s.Roaming.Recipient, Sequence: int((f.sequence-1)%tapFiles + 1), Currency: s.Roaming.Currency, Places: s.Roaming.places(), Available: f.at}
	case cdr.FormatNRTRDE:
		w.near = &cdr.NRTRDE{Sender: s.Roaming.Sender, Recipient: s.Roaming.Recipient, Sequence: int((f.sequence-1)%nearFiles + 1), Available: f.at}
	}
	return w, err
}

func (w *outWriter) add(r *cdr.Record, at time.Time) (err error) {
	switch {
	case w.csv != nil:
		return w.csv.Add(r)
	case w.frame != nil:
		w.body = cdr.PutCHF(w.body[:0], r)
		return w.frame.Add(w.body, at)
	case w.tap != nil:
		r.Charge = halfUp(r.Charge, w.tap.Places)
		return w.tap.Add(r)
	case w.near != nil:
		w.near.Add(r)
		return nil
	}
	w.lines, err = cdr.PutJSON(w.lines, r)
	return err
}

func (w *outWriter) close() ([]byte, error) {
	switch {
	case w.csv != nil:
		return w.csv.Close()
	case w.frame != nil:
		return w.frame.Close(w.why), nil
	case w.tap != nil:
		return w.tap.Close(), nil
	case w.near != nil:
		return w.near.Close(), nil
	}
	return w.lines, nil
}

// halfUp rounds a charge that is not below zero to decimal places.
func halfUp(nano int64, places int) int64 {
	unit := int64(1)
	for range 9 - places {
		unit *= 10
	}
	return (nano + unit/2) / unit * unit
}

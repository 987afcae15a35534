package charging_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/bss/charging"
	"tandem/bss/charging/core"
	"tandem/edge/cdr"
	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// mediation is a mediator and the folder of its feed.
type mediation struct {
	*world
	m    *charging.Mediator
	feed charging.Feed
	dir  string
}

func (w *world) mediate(format string) *mediation {
	w.Helper()
	dir := w.TempDir()
	feed := charging.Feed{Tenant: "mno", Source: "smf-1", Folder: dir, Format: format, Done: filepath.Join(dir, "done"), Failed: filepath.Join(dir, "failed")}
	for _, d := range []string{feed.Done, feed.Failed} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			w.Fatal(err)
		}
	}
	m := charging.NewMediator(w.room, charging.MediationConfig{Feeds: []charging.Feed{feed}, Window: 64, Poll: 20 * time.Millisecond})
	return &mediation{world: w, m: m, feed: feed, dir: dir}
}

const mib = 1 << 20

// session is a record of n MiB used an hour ago.
func session(name, msisdn string, number, n int) *cdr.Record {
	at := time.Now().Add(-time.Hour).Truncate(time.Second)
	r := &cdr.Record{Kind: cdr.CHF, Service: credit.Data, Session: []byte(name), Number: uint32(number), MSISDN: []byte(msisdn), Start: at.UnixMicro(), PLMN: 24001, Node: []byte("smf-1")}
	r.Usage = append(r.Usage, cdr.Usage{HasGroup: true, Group: 10, First: at.UnixMicro(), Units: credit.Units{Has: credit.HasTotal, Total: uint64(n) * mib}})
	return r
}

func lines(t testing.TB, records ...*cdr.Record) (b []byte) {
	t.Helper()
	for _, r := range records {
		var err error
		if b, err = cdr.PutJSON(b, r); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func framed(t testing.TB, sequence uint32, records ...*cdr.Record) []byte {
	t.Helper()
	f := cdr.Frame{Sequence: sequence, Standard: cdr.TS32255, Opened: time.Now()}
	for _, r := range records {
		if err := f.Add(cdr.PutCHF(nil, r), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return f.Close(cdr.Normal)
}

// take leaves a file and has it taken.
func (m *mediation) take(name string, body []byte) charging.File {
	m.Helper()
	path := filepath.Join(m.dir, name)
	if err := cdr.Write(path, body); err != nil {
		m.Fatal(err)
	}
	out, err := m.m.Take(m.Context(), &m.feed, path)
	if err != nil {
		m.Fatal(err)
	}
	return out
}

// used waits until so many octets are in the usage records.
func (m *mediation) used(octets int64) {
	m.Helper()
	m.await(fmt.Sprint(octets, " octets in usage records"), func() bool {
		return m.count("mno", "SELECT CAST(coalesce(sum(octets), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1") == octets
	})
	if n := m.count("mno", "SELECT CAST(coalesce(sum(money), 0) AS BIGINT) FROM charging_usage WHERE tenant = $1"); n != octets/mib*10_000_000 {
		m.Errorf("%d octets cost %d", octets, n)
	}
	if n := m.count("mno", "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM charging_entry WHERE tenant = $1 AND against = 'usage'"); n != -octets/mib*10_000_000 {
		m.Errorf("%d octets took %d from the balance", octets, n)
	}
}

func TestAFileIsTakenOnce(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		body := lines(t, session("a", "4917011", 0, 1), session("a", "4917011", 1, 2), session("b", "4917011", 0, 4), session("b", "4917011", 0, 4))
		f := m.take("one.jsonl", body)
		if f.State != "taken" || f.Records != 4 || f.Charged != 3 || f.Duplicates != 1 || f.Suspended != 0 {
			t.Fatalf("%+v", f)
		}
		m.used(7 * mib)
		if f := m.take("again.jsonl", body); f.State != "duplicate" {
			t.Errorf("the same file under another name: %+v", f)
		}
		if _, err := os.Stat(filepath.Join(m.feed.Done, "one.jsonl")); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(m.feed.Failed, "again.jsonl")); err != nil {
			t.Error(err)
		}
		// Another file with one of the records again, one that claims to be one of
		// them and is not, and a new one.
		f = m.take("two.jsonl", lines(t, session("a", "4917011", 1, 2), session("b", "4917011", 0, 5), session("c", "4917011", 0, 8)))
		if f.State != "taken" || f.Charged != 1 || f.Duplicates != 2 || f.Suspended != 1 {
			t.Errorf("%+v", f)
		}
		m.used(15 * mib)
		if c := m.cases("open"); len(c) != 1 || c[0].Reason != "duplicateSuspect" {
			t.Errorf("%+v", c)
		}
	})
}

func (m *mediation) cases(state string) (found []charging.Case) {
	m.Helper()
	err := m.db.Read(m.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) (err error) {
		found, err = charging.Cases(tx, charging.Selection{State: state})
		return err
	})
	if err != nil {
		m.Fatal(err)
	}
	return found
}

func TestAFileIsTakenWhollyOrNot(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		f := m.take("bad.jsonl", append(lines(t, session("a", "4917011", 0, 1)), `{"service":"data","session":"b"}`...))
		if f.State != "refused" || !strings.Contains(f.Reason, "record 2") {
			t.Fatalf("%+v", f)
		}
		f = m.take("good.jsonl", lines(t, session("a", "4917011", 0, 1)))
		if f.State != "taken" || f.Charged != 1 {
			t.Fatalf("%+v", f)
		}
		m.used(mib) // nothing of the first file
	})
}

func TestGapsInTheSequenceAreSeen(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.Format3GPP)
		file := func(sequence uint32) charging.File {
			return m.take(fmt.Sprintf("%d.cdr", sequence), framed(t, sequence, session(fmt.Sprint("s", sequence), "4917011", 0, 1)))
		}
		for sequence, missing := range map[uint32]int64{7: 0} {
			if f := file(sequence); f.State != "taken" || f.Missing != missing || f.Sequence != int64(sequence) {
				t.Errorf("%+v", f)
			}
		}
		if f := file(10); f.Missing != 2 {
			t.Errorf("%+v", f)
		}
		if f := file(8); f.State != "taken" || f.Missing != 0 {
			t.Errorf("a late file: %+v", f)
		}
		var gaps []charging.Gap
		err := w.db.Read(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) (err error) {
			gaps, err = charging.Gaps(tx)
			return err
		})
		if err != nil || len(gaps) != 1 || gaps[0] != (charging.Gap{Source: "smf-1", From: 9, To: 9}) {
			t.Errorf("%+v, %v", gaps, err)
		}
		if f := m.take("other.cdr", framed(t, 8, session("x", "4917011", 0, 1))); f.State != "refused" || !strings.Contains(f.Reason, "sequence number 8") {
			t.Errorf("another file of the same number: %+v", f)
		}
		m.used(3 * mib)
	})
}

// Late usage keeps its own date, and is counted.
func TestLateUsageKeepsItsDate(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		r := session("old", "4917011", 0, 1)
		at := time.Now().AddDate(0, -2, 0).Truncate(time.Second)
		r.Start, r.Usage[0].First = at.UnixMicro(), at.UnixMicro()
		if f := m.take("late.jsonl", lines(t, r, session("new", "4917011", 0, 1))); f.Late != 1 || f.Charged != 2 {
			t.Errorf("%+v", f)
		}
		m.used(2 * mib)
		if n := w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1 AND first_at = $2", at.UnixMicro()); n != 1 {
			t.Errorf("%d records of %v", n, at)
		}
	})
}

func TestSuspenseIsCorrectedAndRecycled(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		mixed := session("mixed", "4917011", 0, 2)
		mixed.Service = credit.Voice // nobody has a price for calls
		mixed.Usage[0].Units = credit.Units{Has: credit.HasSeconds, Seconds: 60}
		f := m.take("a.jsonl", lines(t, session("wrong", "4917099", 0, 1), session("wrong", "4917099", 1, 2), session("right", "4917011", 0, 4), mixed))
		if f.Charged != 1 || f.Suspended != 3 {
			t.Fatalf("%+v", f)
		}
		// The engine's own suspense is handed over and makes no second case.
		w.await("the suspense rows", func() bool {
			return w.count("mno", "SELECT count(*) FROM charging_suspense WHERE tenant = $1") == 3
		})
		if err := m.m.WorkSuspense(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.count("mno", "SELECT count(*) FROM charging_suspense WHERE tenant = $1 AND state = 'open'"); n != 0 {
			t.Errorf("%d rows were not handed over", n)
		}
		if c := m.cases("open"); len(c) != 3 {
			t.Fatalf("%d cases: %+v", len(c), c)
		}
		m.recycle(charging.Recycling{Select: charging.Selection{Reason: "unknownSubscriber"}}, 2) // as they are: nothing has changed
		if c := m.cases("open"); len(c) != 3 || c[0].Attempts != 1 || c[0].Reason != "unknownSubscriber" {
			t.Errorf("%+v", c)
		}
		right := charging.Recycling{Select: charging.Selection{Reason: "unknownSubscriber"}, Set: map[string]jsontext.Value{"msisdn": jsontext.Value(`"4917011"`)}}
		m.recycle(right, 2)
		if c := m.cases("charged"); len(c) != 2 || c[0].Attempts != 2 {
			t.Errorf("%+v", c)
		}
		m.used(7 * mib)
		m.recycle(right, 0)
		right.Select.Reason, right.Set = "noRate", map[string]jsontext.Value{"start": jsontext.Value("null")}
		err := w.db.Write(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			_, err := charging.Recycle(tx, right)
			return err
		})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("usage without a date was taken: %v", err)
		}
	})
}

// recycle orders it and does it, twice: an interrupted round is done again.
func (m *mediation) recycle(r charging.Recycling, want int) {
	m.Helper()
	n := 0
	err := m.db.Write(m.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) (err error) {
		n, err = charging.Recycle(tx, r)
		return err
	})
	if err != nil || n != want {
		m.Fatalf("%d cases, %v", n, err)
	}
	cut, cancel := context.WithCancel(m.Context())
	m.m.Through(&charger{to: m.room.Engine, after: func(*credit.Call) { cancel() }})
	if err := m.m.WorkSuspense(cut); err == nil && n > 0 {
		m.Error("the round that was interrupted ended well")
	}
	m.m.Through(m.room.Engine)
	if err := m.m.WorkSuspense(m.Context()); err != nil {
		m.Fatal(err)
	}
}

// charger looks on while the engine works.
type charger struct {
	to    charging.Charger
	after func(*credit.Call)
	block func() // after each block of a file
}

func (c *charger) Charge(x *credit.Call) {
	c.to.Charge(x)
	c.after(x)
}

func (c *charger) ChargeAll(b *core.Posts) {
	c.to.ChargeAll(b)
	if c.block != nil {
		c.block()
	}
}

// A file that is interrupted at any place is taken in the end, once.
func TestAnInterruptedFileGoesOn(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		defer charging.BlocksOf(10)()
		var records []*cdr.Record
		for i := range 200 {
			records = append(records, session(fmt.Sprint("s", i), "4917011", 0, 1))
		}
		records = append(records, session("nobody", "4917099", 0, 1))
		path := filepath.Join(m.dir, "a.jsonl")
		if err := cdr.Write(path, lines(t, records...)); err != nil {
			t.Fatal(err)
		}
		for _, stop := range []int64{1, 7, 10} {
			ctx, cancel := context.WithCancel(t.Context())
			var n atomic.Int64
			m.m.Through(&charger{to: w.room.Engine, block: func() {
				if n.Add(1) == stop {
					cancel()
				}
			}})
			if f, err := m.m.Take(ctx, &m.feed, path); !errors.Is(err, context.Canceled) || f.State != "taking" {
				t.Fatalf("stopped after %d: %+v, %v", stop, f, err)
			}
		}
		m.m.Through(w.room.Engine)
		f, err := m.m.Take(t.Context(), &m.feed, path)
		if err != nil || f.State != "taken" || f.Charged != 200 || f.Suspended != 1 {
			t.Fatalf("%+v, %v", f, err)
		}
		m.used(200 * mib)
		if c := m.cases("open"); len(c) != 1 {
			t.Errorf("%d cases", len(c))
		}
	})
}

// A file that was left for days goes on as well: what was charged of it stands in
// the usage, and what could not be is a case.
func TestAFileLeftForLong(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		defer charging.BlocksOf(5)()
		records := []*cdr.Record{session("nobody", "4917099", 0, 1)}
		for i := range 50 {
			records = append(records, session(fmt.Sprint("s", i), "4917011", 0, 1))
		}
		path := filepath.Join(m.dir, "a.jsonl")
		if err := cdr.Write(path, lines(t, records...)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var n atomic.Int64
		m.m.Through(&charger{to: w.room.Engine, block: func() {
			if n.Add(1) == 6 { // the first has landed
				cancel()
			}
		}})
		if _, err := m.m.Take(ctx, &m.feed, path); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		m.used(29 * mib)
		if c := m.cases("open"); len(c) != 1 {
			t.Fatalf("%+v", c)
		}
		w.sell("mno", "late", "prepaid", "4917099") // does not make the case a charge
		if err := w.db.Write(t.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			tx.QueueOne("UPDATE charging_file SET seen_at = $2 WHERE tenant = $1", store.Micros(tx.Now().Add(-300*time.Hour)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		w.again() // another node, which remembers nothing
		m.m = charging.NewMediator(w.room, m.m.MediationConfig)
		f, err := m.m.Take(t.Context(), &m.feed, path)
		if err != nil || f.State != "taken" || f.Charged != 50 || f.Suspended != 1 {
			t.Fatalf("%+v, %v", f, err)
		}
		m.used(50 * mib)
		if c := m.cases("open"); len(c) != 1 || c[0].Reason != "unknownSubscriber" {
			t.Errorf("%+v", c)
		}
	})
}

// Use that another face could not charge is worked on in the same way, and what a
// client reports again is no second case.
func TestSuspenseOfOtherFaces(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		for range 2 {
			call := &credit.Call{}
			r := &call.Request
			*r = credit.Request{Face: credit.Diameter, Kind: credit.Update, Service: credit.Data, Numbered: true, Number: 7, Peer: []byte("pgw"), Session: []byte("pgw;1;2"),
				Subscribers: []credit.Subscriber{{Type: credit.E164, ID: []byte("4917011")}}}
			u := r.AddUnit()
			u.HasGroup, u.Group = true, 10
			u.Used = append(u.Used, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: 2 * mib}}, credit.Used{Units: credit.Units{Has: credit.HasTotal, Total: mib}})
			credit.Do(w.room.Engine, call)
			if call.Answer.Result != credit.UnknownSession {
				t.Fatal(call.Answer.Result)
			}
		}
		w.await("the suspense rows", func() bool {
			return w.count("mno", "SELECT count(*) FROM charging_suspense WHERE tenant = $1") == 4
		})
		if err := m.m.WorkSuspense(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := m.cases("open"); len(c) != 2 || c[0].Reason != "unknownSession" || c[0].Source != "pgw" {
			t.Fatalf("%+v", c)
		}
		m.recycle(charging.Recycling{Select: charging.Selection{Source: "pgw"}}, 2)
		if c := m.cases("charged"); len(c) != 2 {
			t.Errorf("%+v", c)
		}
		m.used(3 * mib)
	})
}

// A roaming partner's file: its sender is the source, its number the sequence, and
// the visited network is known by the sender.
func TestRoamingFilesAreTaken(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatTAP)
		m.feed.Source, m.feed.Networks = "", map[string]uint32{"DEUD1": 262001}
		r := session("x", "4917011", 0, 3)
		r.Kind, r.Access, r.HasCharge, r.Charge = cdr.GPRS, []byte("internet"), true, 50_000_000 // the line of this test has no IMSI
		for sequence, missing := range []int64{0, 0, 1} {
			tap := cdr.TAP{Sender: "DEUD1", Recipient: "SWEAB", Sequence: 5 + sequence, Currency: "SDR", Places: 3, Available: time.Now()}
			if missing > 0 {
				tap.Sequence++
			}
			r.ChargingID = fmt.Append(nil, 77+sequence)
			if err := tap.Add(r); err != nil {
				t.Fatal(err)
			}
			if f := m.take(fmt.Sprintf("CDDEUD1SWEAB%05d", tap.Sequence), tap.Close()); f.State != "taken" || f.Source != "DEUD1" || f.Sequence != int64(tap.Sequence) || f.Missing != missing || f.Charged != 1 {
				t.Errorf("%+v", f)
			}
		}
		m.used(9 * mib)
		if n := w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1 AND network = 262001"); n != 3 {
			t.Errorf("%d records of the visited network", n)
		}
	})
}

// Feeds and streams are read from the node's configuration.
func TestMediationIsConfigured(t *testing.T) {
	var s charging.Stream
	if err := json.Unmarshal([]byte(`{"tenant":"mno","name":"dwh","folder":"/var/out","format":"json","seconds":300}`), &s); err != nil || s.Seconds != 300 {
		t.Errorf("%+v, %v", s, err)
	}
	var f charging.Feed
	if err := json.Unmarshal([]byte(`{"tenant":"mno","source":"smf-1","folder":"/var/in","format":"csv","mapping":{"columns":[{"field":"imsi"}]},"networks":{"DEUD1":262001}}`), &f); err != nil || f.Networks["DEUD1"] != 262001 {
		t.Errorf("%+v, %v", f, err)
	}
}

// An engine that is full is asked again; nothing is lost.
func TestABusyEngineIsAskedAgain(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		b := &busy{to: w.room.Engine}
		m.m.Through(b)
		f := m.take("a.jsonl", lines(t, session("a", "4917011", 0, 1), session("b", "4917011", 0, 1), session("c", "4917011", 0, 1), session("d", "4917011", 0, 1)))
		if f.Charged != 4 || f.Suspended != 0 || b.n != 6 {
			t.Errorf("%+v after %d decisions", f, b.n)
		}
		m.used(4 * mib)
	})
}

// busy does not decide on every third record.
type busy struct {
	to charging.Charger
	n  int
}

func (b *busy) Charge(c *credit.Call) { b.to.Charge(c) }

func (b *busy) ChargeAll(p *core.Posts) {
	q, not := *p, map[int]bool{}
	for i := range p.Len {
		if p.Before == nil || !p.Before(i, 0) {
			not[i] = b.n%3 == 0
			b.n++
		}
	}
	q.Before = func(i, part int) bool { return not[i] || p.Before != nil && p.Before(i, part) }
	for i, yes := range not {
		if yes {
			p.Refused(i, 0, credit.Busy)
		}
	}
	b.to.ChargeAll(&q)
}

// A folder is watched: what is renamed into it is taken and moved on.
func TestAFolderIsWatched(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.Format3GPP)
		if err := m.m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.m.Stop)
		if err := os.WriteFile(filepath.Join(m.dir, "half.cdr.part"), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := cdr.Write(filepath.Join(m.dir, "1.cdr"), framed(t, 1, session("a", "4917011", 0, 3))); err != nil {
			t.Fatal(err)
		}
		w.await("the file to be done", func() bool {
			_, err := os.Stat(filepath.Join(m.feed.Done, "1.cdr"))
			return err == nil
		})
		m.used(3 * mib)
		if _, err := os.Stat(filepath.Join(m.dir, "half.cdr.part")); err != nil {
			t.Error("half a file was touched")
		}
	})
}

// Files of records go out once each, whatever is interrupted.
func TestRecordsGoOutOnce(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		in := w.mediate(cdr.FormatJSON)
		var records []*cdr.Record
		for i := range 25 {
			records = append(records, session(fmt.Sprint("s", i), "4917011", 0, i+1))
		}
		in.take("a.jsonl", lines(t, records...))
		in.used(25 * 26 / 2 * mib)
		dir := t.TempDir()
		csv, err := cdr.ParseMapping([]byte(`{"header":true,"service":"data","columns":[{"name":"session","field":"session"},{"name":"number","field":"msisdn"},{"name":"octets","field":"octets"},
			{"name":"from","field":"start"},{"name":"price","field":"charge"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []charging.Stream{{Format: cdr.FormatJSON}, {Format: cdr.Format3GPP}, {Format: cdr.FormatCSV, Mapping: csv}} {
			s.Tenant, s.Name, s.Folder, s.Records, s.Seconds = "mno", s.Format, filepath.Join(dir, s.Format), 10, -1
			if err := os.MkdirAll(s.Folder, 0o750); err != nil {
				t.Fatal(err)
			}
			m := charging.NewMediator(w.room, charging.MediationConfig{Streams: []charging.Stream{s}})
			if err := m.WriteStreams(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantOut(t, &s, 3, 25)
			interrupt(w, m, &s)
			wantOut(t, &s, 3, 25)
		}
	})
}

// interrupt puts the files back to where a kill could have left them.
func interrupt(w *world, m *charging.Mediator, s *charging.Stream) {
	w.Helper()
	names, err := os.ReadDir(s.Folder)
	if err != nil || len(names) != 3 {
		w.Fatalf("%v, %v", names, err)
	}
	path := func(i int) string { return filepath.Join(s.Folder, names[i].Name()) }
	state := func(sequence int, state string) {
		if err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
			tx.QueueOne("UPDATE charging_cdr_file SET state = $4 WHERE tenant = $1 AND stream = $2 AND sequence = $3", s.Name, sequence, state)
			return nil
		}); err != nil {
			w.Fatal(err)
		}
	}
	whole, err := os.ReadFile(path(2))
	if err != nil {
		w.Fatal(err)
	}
	state(1, "planned") // killed before it was whole
	if err := os.Rename(path(0), cdr.Temporary(path(0))); err != nil {
		w.Fatal(err)
	}
	if err := os.Truncate(cdr.Temporary(path(0)), 5); err != nil {
		w.Fatal(err)
	}
	state(2, "ready") // killed before it had its name
	if err := os.Rename(path(1), cdr.Temporary(path(1))); err != nil {
		w.Fatal(err)
	}
	state(3, "ready") // killed after it had its name, and somebody has fetched it already
	if err := os.Remove(path(2)); err != nil {
		w.Fatal(err)
	}
	if err := m.WriteStreams(w.Context()); err != nil {
		w.Fatal(err)
	}
	if _, err := os.Stat(path(2)); !os.IsNotExist(err) {
		w.Errorf("a file that was fetched came again: %v", err)
	}
	if err := os.WriteFile(path(2), whole, 0o600); err != nil { // for the count
		w.Fatal(err)
	}
	if n := w.count("mno", "SELECT count(*) FROM charging_cdr_file WHERE tenant = $1 AND stream = $2 AND state = 'written'", s.Name); n != 3 {
		w.Errorf("%d files are written", n)
	}
}

// wantOut reads the files of a stream: no sequence number missing, no record twice.
func wantOut(t *testing.T, s *charging.Stream, files, records int) {
	t.Helper()
	names, err := os.ReadDir(s.Folder)
	if err != nil || len(names) != files {
		t.Fatalf("%v, %v", names, err)
	}
	seen := map[string]bool{}
	for i, n := range names {
		if !strings.Contains(n.Name(), fmt.Sprintf("_%010d.", i+1)) {
			t.Errorf("file %d is %s", i+1, n.Name())
		}
		body, err := os.ReadFile(filepath.Join(s.Folder, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		f, err := cdr.Open(bytes.NewReader(body), s.Format, s.Mapping)
		var r cdr.Record
		for err == nil {
			if err = f.Next(&r); err != nil {
				break
			}
			if seen[string(r.Session)] || string(r.MSISDN) != "4917011" {
				t.Errorf("%s of %s", r.Session, r.MSISDN)
			}
			seen[string(r.Session)] = true
		}
		if err.Error() != "EOF" {
			t.Fatal(err)
		}
		if h := f.Head(); h.Sequence >= 0 && h.Sequence != int64(i+1) {
			t.Errorf("file %d says %d", i+1, h.Sequence)
		}
	}
	if len(seen) != records {
		t.Errorf("%d records went out, there are %d", len(seen), records)
	}
}

// callers reads a token as the rig does; who is called reader may only read.
func callers(r *http.Request) (*tmf.Caller, error) {
	tenant, actor, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "/")
	if !ok {
		return nil, fault.New(fault.Unauthorized, "unauthorized", "Give a bearer token")
	}
	return &tmf.Caller{Tenant: tenant, Actor: actor, Allow: func(_, _, verb string) bool { return verb == tmf.VerbRead || actor != "user:reader" }}, nil
}

func (m *mediation) routes() {
	mux := http.NewServeMux()
	m.m.Routes(mux, callers, func(h http.Handler) http.Handler { return h })
	srv := httptest.NewServer(mux)
	m.Cleanup(srv.Close)
	m.url = srv.URL
}

func TestWriteOffNeedsTwo(t *testing.T) {
	each(t, func(w *world) {
		m := w.mediate(cdr.FormatJSON)
		m.take("a.jsonl", lines(t, session("a", "4917099", 0, 1), session("b", "4917099", 0, 1)))
		m.routes()
		if l := m.get(own + "suspense?state=open&reason=unknownSubscriber").list(); len(l) != 2 {
			t.Fatalf("%v", l)
		}
		if l := m.do("rival/user:eve", "GET", own+"suspense", nil).list(); len(l) != 0 {
			t.Errorf("another tenant sees %v", l)
		}
		m.refused("mno/user:reader", "POST", own+"suspense/writeOff", `{}`, 403, "notAllowed")
		p := m.do(ann, "POST", own+"suspense/writeOff", `{"reason":"unknownSubscriber"}`)
		if p.status != 200 || p.text("state") != "proposed" {
			t.Fatalf("%d %s", p.status, p.body)
		}
		path := own + "proposal/" + p.text("id")
		m.refused(ann, "POST", path+"/approve", `{}`, 403, "fourEyes")
		if a := m.do(bob, "POST", path+"/approve", `{}`); a.status != 200 || a.text("state") != "approved" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		m.refused(bob, "POST", path+"/approve", `{}`, 409, "decided")
		if c := m.cases("writtenOff"); len(c) != 2 {
			t.Errorf("%+v", c)
		}
		if l := m.get(own + "suspense/amount").list(); len(l) != 0 {
			t.Errorf("%v", l)
		}
		if l := m.get(own + "file?source=smf-1").list(); len(l) != 1 || l[0]["suspended"] != 2.0 {
			t.Errorf("%v", l)
		}
		m.refused(ann, "POST", own+"suspense/recycle", `{"selekt":{}}`, 400, "malformedJSON")
	})
}

// Re-rating posts the difference, when a second person agrees; with the same
// version it changes nothing.
func TestRerating(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		m.take("a.jsonl", lines(t, session("a", "4917011", 0, 10), session("b", "4917011", 0, 30)))
		m.used(40 * mib)
		if a := w.do(ann, "PATCH", "/tmf-api/productCatalogManagement/v4/productOfferingPrice/data", `{"price":{"unit":"EUR","value":0.008}}`); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.sell("mno", "other", "prepaid", "4917012") // publishes the version
		old := w.count("mno", "SELECT DISTINCT tariff FROM charging_usage WHERE tenant = $1")
		fresh := w.count("mno", "SELECT max(number) FROM charging_book WHERE tenant = $1 AND kind = 'tariff'")
		if old == fresh {
			t.Fatal("there is no other version")
		}
		m.routes()
		body := func(with int64) string {
			return fmt.Sprintf(`{"tariff":%d,"with":%d,"from":"2020-01-01T00:00:00Z","to":"2100-01-01T00:00:00Z"}`, old, with)
		}
		if a := m.do(ann, "POST", own+"rerate", body(old)); a.status != 200 || a.text("id") != "" || a.text("report", "same") != "2" || a.text("report", "delta") != "0" {
			t.Errorf("with the same version: %d %s", a.status, a.body)
		}
		p := m.do(ann, "POST", own+"rerate", body(fresh))
		if p.status != 200 || p.text("report", "changed") != "2" || p.text("report", "delta") != "-80000000" || p.text("report", "accounts") != "1" {
			t.Fatalf("%d %s", p.status, p.body)
		}
		posted := func() int64 {
			return w.count("mno", "SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM charging_entry WHERE tenant = $1 AND against = 'rerating'")
		}
		if n := posted(); n != 0 {
			t.Errorf("a proposal posted %d", n)
		}
		m.refused(ann, "POST", own+"proposal/"+p.text("id")+"/approve", `{}`, 403, "fourEyes")
		if a := m.do(bob, "POST", own+"proposal/"+p.text("id")+"/approve", `{}`); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		w.await("the entry", func() bool { return posted() == 80_000_000 })
		if a := m.do(ann, "POST", own+"rerate", body(fresh)); a.text("report", "records") != "0" {
			t.Errorf("again: %s", a.body)
		}
	})
}

// Records of a file are written in rows of many, and each is shown by itself, with its
// place in the file; the journal and the rows say the same.
func TestRecordsOfAFileAreShown(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		w.sell("mno", "other", "prepaid", "4917012")
		m := w.mediate(cdr.FormatJSON)
		var records []*cdr.Record
		for i := range 30 {
			r := session(fmt.Sprint("s", i), fmt.Sprint(4917011+i%2), i, i+1)
			r.Called = []byte("portal")
			records = append(records, r)
		}
		f := m.take("a.jsonl", lines(t, records...))
		m.used(30 * 31 / 2 * mib)
		if n := w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1"); n > 6 { // a row for each line, and each piece of the journal
			t.Errorf("%d rows", n)
		}
		w.eats("4917011", "one", mib)
		w.await("the event", func() bool {
			return w.count("mno", "SELECT count(*) FROM charging_usage WHERE tenant = $1 AND file = 0") == 1
		})
		all := w.get(usage + "usage?limit=100").list()
		if len(all) != 31 {
			t.Fatalf("%d are listed", len(all))
		}
		if l := w.get(usage + "usage?limit=10&offset=25").list(); len(l) != 6 || l[0]["id"] != all[25]["id"] {
			t.Errorf("a page of %d", len(l))
		}
		if l := w.get(usage + "usage?limit=100&ratedProductUsage.productRef.id=line").list(); len(l) != 16 {
			t.Errorf("%d of one product", len(l))
		}
		seen := map[string]bool{}
		for _, u := range all {
			one := w.get(usage + "usage/" + u["id"].(string))
			if one.text("externalId") != u["externalId"] || one.text("usageDate") != u["usageDate"] {
				t.Errorf("%v is shown as %s", u, one.body)
			}
			if seen[one.text("externalId")] = true; one.text("externalId") == "one" {
				continue
			}
			position, _ := strings.CutPrefix(one.text("externalId"), "s")
			n, err := strconv.Atoi(position)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]any{"file": f.Number, "position": n + 1, "octets": (n + 1) * mib, "called": "portal", "part": n} {
				if got := characteristic(u, name); got != fmt.Sprint(want) && (n > 0 || name != "part") {
					t.Errorf("%s: %s is %s, not %v", one.text("externalId"), name, got, want)
				}
			}
		}
		if len(seen) != 31 {
			t.Errorf("%d different ones", len(seen))
		}
		row, _, _ := strings.Cut(all[0]["id"].(string), ".")
		for _, id := range []string{row, row + ".999", row + ".x", row + ".-1"} {
			w.refused(ann, "GET", usage+"usage/"+id, nil, 404, "notFound")
		}
		w.refused("rival/user:eve", "GET", usage+"usage/"+all[0]["id"].(string), nil, 404, "notFound")
		sum, err := w.room.AuditJournal(t.Context(), func(_, words string) error { t.Error(words); return nil })
		if err != nil || sum.Records != 31 || sum.Unjudged != 0 {
			t.Errorf("%+v, %v", sum, err)
		}
	})
}

// characteristic is the value of one, "" if it is not there.
func characteristic(u map[string]any, name string) string {
	list, _ := u["usageCharacteristic"].([]any)
	for _, c := range list {
		if m, _ := c.(map[string]any); m["name"] == name {
			if n, ok := m["value"].(float64); ok {
				return strconv.FormatInt(int64(n), 10)
			}
			return fmt.Sprint(m["value"])
		}
	}
	return ""
}

// Usage of another network's subscribers goes to it as TAP, with its charges, and as
// NRTRDE.
func TestRoamingFilesGoOut(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		in := w.mediate(cdr.FormatJSON)
		var records []*cdr.Record
		for i := range 7 {
			records = append(records, session(fmt.Sprint("s", i), "4917011", 0, i+1))
		}
		in.take("a.jsonl", lines(t, records...))
		in.used(28 * mib)
		for format, charge := range map[string]int64{cdr.FormatTAP: 280_000_000, cdr.FormatNRTRDE: 0} {
			s := charging.Stream{Tenant: "mno", Name: "to-germany", Folder: t.TempDir(), Format: format, Records: 5, Seconds: -1,
				Roaming: charging.Roaming{Sender: "SWEAA", Recipient: "DEUD1", Currency: "EUR", Places: 3}}
			m := charging.NewMediator(w.room, charging.MediationConfig{Streams: []charging.Stream{s}})
			s.Name += format
			m.Streams[0].Name = s.Name
			if err := m.WriteStreams(t.Context()); err != nil {
				t.Fatal(err)
			}
			names, err := filepath.Glob(filepath.Join(s.Folder, s.Name+"_*"))
			if err != nil || len(names) != 2 {
				t.Fatalf("%v, %v", names, err)
			}
			var total, octets int64
			for i, name := range names {
				h, n := readOut(t, name, format)
				if h.Source != "SWEAA" || h.Recipient != "DEUD1" || h.Sequence != int64(i+1) || h.Records != []int64{5, 2}[i] {
					t.Errorf("%s: %+v", name, h)
				}
				total, octets = total+h.TotalCharge, octets+n
			}
			if total != charge || octets != 28*mib {
				t.Errorf("%s: %d octets are charged with %d", format, octets, total)
			}
		}
		for _, r := range []charging.Roaming{{}, {Sender: "SWEAA", Recipient: "DEU"}, {Sender: "SWEAA", Recipient: "DEUD1", Currency: "EURO"}} {
			m := charging.NewMediator(w.room, charging.MediationConfig{Streams: []charging.Stream{{Tenant: "mno", Name: "x", Folder: t.TempDir(), Format: cdr.FormatTAP, Roaming: r}}})
			if err := m.Start(t.Context()); !fault.Is(err, fault.Invalid) {
				t.Errorf("%+v was taken: %v", r, err)
			}
			m.Stop()
		}
	})
}

// readOut reads a file of records and adds its octets up.
func readOut(t *testing.T, name, format string) (h cdr.Head, octets int64) {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := cdr.Open(bytes.NewReader(body), format, cdr.Mapping{})
	var r cdr.Record
	for err == nil {
		if err = f.Next(&r); err == nil {
			n, _ := r.Usage[0].Units.Octets()
			octets += int64(n)
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	return f.Head(), octets
}

// A record that is in a file which was interrupted, and in another that is taken
// meanwhile, is charged once.
func TestARecordOfAnInterruptedFileComesAgain(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "line", "prepaid", "4917011")
		m := w.mediate(cdr.FormatJSON)
		defer charging.BlocksOf(2)()
		var records []*cdr.Record
		for i := range 20 {
			records = append(records, session(fmt.Sprint("s", i), "4917011", 0, 1))
		}
		path := filepath.Join(m.dir, "a.jsonl")
		if err := cdr.Write(path, lines(t, records...)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		m.m.Through(&charger{to: w.room.Engine, block: cancel})
		if _, err := m.m.Take(ctx, &m.feed, path); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		m.m.Through(w.room.Engine)
		again := *records[7]
		again.Start += 60e6 // says another time now
		f := m.take("b.jsonl", lines(t, records[0], records[19], &again, session("new", "4917011", 0, 1)))
		if f.Charged != 1 || f.Duplicates != 3 || f.Suspended != 1 {
			t.Errorf("%+v", f)
		}
		if f, err := m.m.Take(t.Context(), &m.feed, path); err != nil || f.Charged != 20 || f.Duplicates != 0 {
			t.Errorf("%+v, %v", f, err)
		}
		m.used(21 * mib)
	})
}

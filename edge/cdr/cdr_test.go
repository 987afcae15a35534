package cdr

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"tandem/edge/credit"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// data is a record of a data session in its n-th part.
func data(n int) *Record {
	r := &Record{Kind: CHF, Service: credit.Data, Number: uint32(n), PLMN: 240001, RAT: 6, Start: noon.UnixMicro(), Seconds: 3600, Cause: 16,
		Session: []byte("chg-17"), IMSI: []byte("240010000000017"), MSISDN: []byte("46700000017"), Access: []byte("internet"), ChargingID: []byte("4000000017")}
	r.Usage = append(r.Usage,
		Usage{HasGroup: true, Group: 10, Service: 3, Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: 1 << 20, Output: 5 << 40}, First: noon.UnixMicro(), Last: noon.Add(time.Hour).UnixMicro()},
		Usage{HasGroup: true, Group: 4_000_000_000, Units: credit.Units{Has: credit.HasSeconds | credit.HasEvents, Seconds: 61, Events: 2}, First: noon.Add(time.Minute).UnixMicro(), Last: noon.Add(time.Hour).UnixMicro()})
	return r
}

func call(n int, incoming bool) *Record {
	r := &Record{Kind: MOC, Service: credit.Voice, Roaming: true, Incoming: incoming, Start: noon.Add(time.Duration(n) * time.Second).UnixMicro(), Seconds: 61, Charge: 120_000_000, HasCharge: true,
		IMSI: []byte("24001000000001"), MSISDN: []byte("46700000017"), Device: []byte("352099001761480"), ChargingID: fmt.Appendf(nil, "%08x", n+1), Node: []byte("4670111")}
	r.Usage = append(r.Usage, Usage{Units: credit.Units{Has: credit.HasSeconds, Seconds: 61}})
	if incoming {
		r.Kind, r.Calling = MTC, []byte("4930123456")
	} else {
		r.Called = []byte("4930123457")
	}
	return r
}

func gprs(n int) *Record {
	r := data(n)
	r.Kind, r.Roaming, r.HasCharge, r.Charge, r.Node = GPRS, true, true, 55_000_000, []byte("10.0.0.1")
	r.Usage = r.Usage[:1]
	return r
}

// all reads a file to its end.
func all(t testing.TB, f Reader) (out []*Record, head Head) {
	t.Helper()
	for {
		r := &Record{}
		err := f.Next(r)
		if err == io.EOF {
			return out, f.Head()
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
}

// same compares what a format carries.
func same(t testing.TB, got, want *Record, but ...string) {
	t.Helper()
	g, w := got.Doc(), want.Doc()
	gv, wv := reflect.ValueOf(&g).Elem(), reflect.ValueOf(&w).Elem()
	for _, name := range but {
		gv.FieldByName(name).SetZero()
		wv.FieldByName(name).SetZero()
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("read  %+v\nwrote %+v", g, w)
	}
}

func framed(records ...[]byte) []byte {
	f := Frame{Sequence: 42, Standard: TS32255, Opened: noon}
	for _, b := range records {
		if err := f.Add(b, noon); err != nil {
			panic(err)
		}
	}
	return f.Close(CountLimit)
}

func TestCHFRecordsComeBack(t *testing.T) {
	file := framed(PutCHF(nil, data(1)), PutCHF(nil, data(2)))
	f, err := New3GPP(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	got, head := all(t, f)
	if len(got) != 2 || head.Sequence != 42 || head.Closing != CountLimit || head.Records != 2 {
		t.Fatalf("%d records, head %+v", len(got), head)
	}
	want := data(2)
	want.Usage[0].Units.Has |= credit.HasTotal // the writer says the sum as well
	want.Usage[0].Units.Total = want.Usage[0].Units.Input + want.Usage[0].Units.Output
	want.Usage[0].Last, want.Usage[1].Last = 0, 0 // a container has one time
	same(t, got[1], want)
}

func TestPGWRecordsComeBack(t *testing.T) {
	r := data(3)
	r.Kind, r.Node = PGW, []byte{10, 0, 0, 1}
	f, err := New3GPP(bytes.NewReader(framed(PutPGW(nil, r))))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := all(t, f)
	same(t, got[0], r, "Session")
	if string(got[0].Session) != "4000000017" || !bytes.Equal(got[0].Node, r.Node) {
		t.Errorf("session %q, node %x", got[0].Session, got[0].Node)
	}
}

// The volumes of a bearer are not charged once more beside those of its groups.
func TestBearerVolumesBesideGroups(t *testing.T) {
	b, at := begin(nil, pgwRecord)
	b = putInstant(putInt(b, c(5), 7), c(13), noon.UnixMicro())
	volume := func(b []byte) []byte {
		b, list := begin(b, c(12))
		b, one := begin(b, sequence)
		return end(end(putInt(putInt(b, c(3), 100), c(4), 200), one), list)
	}
	bare := end(volume(bytes.Clone(b)), at)
	f, _ := New3GPP(bytes.NewReader(framed(bare)))
	if got, _ := all(t, f); len(got[0].Usage) != 1 || got[0].Usage[0].Units.Input != 100 || got[0].Usage[0].HasGroup {
		t.Errorf("a bearer alone: %+v", got[0].Usage)
	}
	grouped := volume(bytes.Clone(b))
	grouped, list := begin(grouped, c(34))
	grouped, one := begin(grouped, sequence)
	grouped = end(end(end(putInt(putInt(grouped, c(1), 9), c(12), 100), one), list), at)
	f, _ = New3GPP(bytes.NewReader(framed(grouped)))
	if got, _ := all(t, f); len(got[0].Usage) != 1 || !got[0].Usage[0].HasGroup || got[0].Usage[0].Group != 9 {
		t.Errorf("a bearer with a group: %+v", got[0].Usage)
	}
}

func tapFile(t testing.TB, n int) []byte {
	t.Helper()
	f := TAP{Sender: "SWEAB", Recipient: "DEUD1", Sequence: 7, Currency: "SDR", Places: 3, Available: noon.Add(time.Hour)}
	for i := range n {
		r := []*Record{call(i, false), call(i, true), gprs(i)}[i%3]
		if err := f.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return f.Close()
}

func TestTAPComesBack(t *testing.T) {
	got, head := all(t, NewTAP(bytes.NewReader(tapFile(t, 3))))
	if len(got) != 3 || head.Source != "SWEAB" || head.Recipient != "DEUD1" || head.Sequence != 7 || head.TotalCharge != 295_000_000 {
		t.Fatalf("%d records, head %+v", len(got), head)
	}
	but := []string{"Session", "Network", "Node", "ChargingID", "Number", "PLMN", "RAT"}
	same(t, got[0], call(0, false), but...)
	same(t, got[1], call(1, true), but...)
	w := gprs(2)
	w.Usage = []Usage{{Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: 1 << 20, Output: 5 << 40}}}
	same(t, got[2], w, but...)
	if s := string(got[0].Session); s != "moc-00000001-20260302120000" {
		t.Errorf("session %q", s)
	}
	if empty, head := all(t, NewTAP(bytes.NewReader(tapFile(t, 0)))); len(empty) != 0 || head.Sequence != 7 {
		t.Errorf("a notification: %+v", head)
	}
}

// A file whose audit control does not agree is not taken.
func TestTAPAuditControl(t *testing.T) {
	file := tapFile(t, 3)
	for name, tag := range map[string]Tag{"count": ap(43), "charge": ap(415)} {
		wrong := bytes.Clone(file)
		i := bytes.LastIndex(wrong, putHead(nil, tag, false))
		wrong[i+len(putHead(nil, tag, false))+1]++
		f := NewTAP(bytes.NewReader(wrong))
		var err error
		for err == nil {
			err = f.Next(&Record{})
		}
		if err == io.EOF {
			t.Errorf("a wrong %s was taken", name)
		}
	}
}

func TestTAPChargesAreNotRounded(t *testing.T) {
	f := TAP{Places: 2}
	r := call(1, false)
	r.Charge = 1
	if err := f.Add(r); err == nil {
		t.Error("a billionth was written with two decimal places")
	}
}

func TestNRTRDEComesBack(t *testing.T) {
	f := NRTRDE{Sender: "SWEAB", Recipient: "DEUD1", Sequence: 19, Available: noon}
	c1, c2, g := call(1, false), call(2, true), gprs(1)
	c1.ChargingID = []byte("71")
	for _, r := range []*Record{c1, c2, g} {
		f.Add(r)
	}
	file := f.Close()
	got, head := all(t, NewNRTRDE(bytes.NewReader(file)))
	if len(got) != 3 || head.Source != "SWEAB" || head.Sequence != 19 || head.Opened != noon.UnixMicro() {
		t.Fatalf("%d records, head %+v", len(got), head)
	}
	but := []string{"Session", "Network", "ChargingID", "Number", "PLMN", "RAT", "Charge", "MSISDN"}
	same(t, got[0], c1, but...)
	same(t, got[1], c2, but...)
	w := gprs(1)
	w.Usage = []Usage{{Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: 1 << 20, Output: 5 << 40}}}
	same(t, got[2], w, but...)
	file[len(file)-1]++ // the count
	f2 := NewNRTRDE(bytes.NewReader(file))
	var err error
	for err == nil {
		err = f2.Next(&Record{})
	}
	if err == io.EOF {
		t.Error("a wrong count was taken")
	}
}

func TestJSONComesBack(t *testing.T) {
	var b []byte
	for _, r := range []*Record{data(1), call(2, true), gprs(3)} {
		var err error
		if b, err = PutJSON(b, r); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := all(t, NewJSON(bytes.NewReader(b)))
	same(t, got[0], data(1))
	want := call(2, true)
	want.Session = want.ChargingID // a call without a session is named by its reference
	same(t, got[1], want)
	same(t, got[2], gprs(3))
	bad := `{"service":"data","session":"x","start":"2026-03-02T12:00:00Z","usage":[{"octets":-1}]}`
	if err := NewJSON(strings.NewReader(bad)).Next(&Record{}); err == nil {
		t.Error("octets below zero were taken")
	}
}

const mapping = `{"delimiter":";","header":true,"service":"voice","columns":[
	{"name":"TYPE","field":"incoming","values":{"MOC":"0","MTC":"1"}},
	{"name":"ID","field":"session","needed":true},
	{"name":"A","field":"msisdn"},{"name":"B","field":"called"},
	{"name":"WHEN","field":"start","format":"DD.MM.YYYY hh:mm:ss","zone":"Europe/Berlin","needed":true},
	{"name":"DUR","field":"seconds","format":"hh:mm:ss"},{"name":"VOL","field":"octets","unit":"KiB"},
	{"name":"PRICE","field":"charge","decimal":","},{"name":"REST"}],
	"filter":[{"column":"TYPE","in":["MOC","MTC"]}]}`

func csvMapping(t testing.TB) Mapping {
	t.Helper()
	m, err := ParseMapping([]byte(mapping))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCSVByMapping(t *testing.T) {
	file := "TYPE;WHEN;ID;A;B;REST;DUR;VOL;PRICE\n" +
		"MOC;29.03.2026 03:30:00;c1;+4917012;030 1;x;00:01:01;;1,25\n" +
		"SSP;;;;;;;;\n" +
		"MTC;02.03.2026 13:00:00;c2;4917012;\"a;b\";x;;2;\n"
	f, err := NewCSV(strings.NewReader(file), csvMapping(t))
	if err != nil {
		t.Fatal(err)
	}
	got, head := all(t, f)
	if len(got) != 2 || head.Skipped != 1 || got[1].Position != 3 {
		t.Fatalf("%d records, head %+v", len(got), head)
	}
	a := got[0]
	if a.Start != time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC).UnixMicro() || a.Usage[0].Units.Seconds != 61 || a.Charge != 1_250_000_000 || string(a.MSISDN) != "4917012" {
		t.Errorf("%+v", a.Doc())
	}
	if b := got[1]; !b.Incoming || b.Usage[0].Units.Total != 2048 || string(b.Called) != "a;b" || b.Start != noon.UnixMicro() {
		t.Errorf("%+v", b.Doc())
	}
	w, err := NewCSVWriter(csvMapping(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	out, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	f, err = NewCSV(bytes.NewReader(out), csvMapping(t))
	if err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	again, _ := all(t, f)
	for i := range got {
		got[i].HasCharge, again[i].HasCharge = true, true
		for _, r := range []*Record{got[i], again[i]} { // a column that is there is written, also if empty
			r.Usage[0].Units.Has = credit.HasSeconds | credit.HasTotal
		}
		same(t, again[i], got[i])
	}
}

func TestCSVSaysWhereItIsWrong(t *testing.T) {
	for name, line := range map[string]string{
		"no session": "MOC;02.03.2026 13:00:00;;1;2;x;00:00:01;;",
		"date":       "MOC;31.02.2026 13:00:00;c;1;2;x;00:00:01;;",
		"duration":   "MOC;02.03.2026 13:00:00;c;1;2;x;00:61:01;;",
		"volume":     "MOC;02.03.2026 13:00:00;c;1;2;x;;18446744073709551615;",
		"money":      "MOC;02.03.2026 13:00:00;c;1;2;x;;;1,2345678901",
	} {
		f, err := NewCSV(strings.NewReader("TYPE;WHEN;ID;A;B;REST;DUR;VOL;PRICE\n"+line+"\n"), csvMapping(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Next(&Record{}); err == nil || !strings.Contains(err.Error(), "record 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, doc := range []string{`{}`, `{"columns":[{"field":"what"}]}`, `{"columns":[{"field":"start","format":"soon"}]}`, `{"delimiter":"ab","columns":[{"field":"imsi"}]}`,
		`{"columns":[{"field":"octets","unit":"furlong"}]}`, `{"columns":[{"field":"imsi"}],"filter":[{"column":"X","in":["a"]}]}`} {
		if _, err := ParseMapping([]byte(doc)); err == nil {
			t.Errorf("%s is no mapping", doc)
		}
	}
}

// A file is whole or an error: every cut is noticed.
func TestFilesThatEndEarly(t *testing.T) {
	files := map[string][]byte{"3gpp": framed(PutCHF(nil, data(1)), PutCHF(nil, data(2))), "tap": tapFile(t, 3)}
	for name, file := range files {
		for n := range len(file) {
			f, err := Open(bytes.NewReader(file[:n]), map[string]string{"3gpp": Format3GPP, "tap": FormatTAP}[name], Mapping{})
			for err == nil {
				err = f.Next(&Record{})
			}
			if err == io.EOF {
				t.Fatalf("%s: %d of %d octets were taken for the whole", name, n, len(file))
			}
		}
	}
	f, err := New3GPP(bytes.NewReader(append(framed(PutCHF(nil, data(1))), 0)))
	for err == nil {
		err = f.Next(&Record{})
	}
	if err == io.EOF {
		t.Error("an octet too many was not noticed")
	}
}

// What we write is BER to others: another library and openssl see the same tree.
func TestOthersReadOurBER(t *testing.T) {
	near := NRTRDE{Sender: "SWEAB", Recipient: "DEUD1", Available: noon}
	near.Add(call(1, false))
	near.Add(gprs(2))
	for name, file := range map[string][]byte{"chf": PutCHF(nil, data(1)), "pgw": PutPGW(nil, data(1)), "tap": tapFile(t, 30), "nrtrde": near.Close()} {
		p, err := ber.DecodePacketErr(file)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := p.Bytes(); !bytes.Equal(again, file) {
			t.Errorf("%s: another writer makes %d octets of our %d", name, len(again), len(file))
		}
		cmd := exec.Command("openssl", "asn1parse", "-inform", "DER")
		cmd.Stdin = bytes.NewReader(file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: openssl: %v\n%s", name, err, out)
		}
	}
}

func TestNumbersAsOthersWriteThem(t *testing.T) {
	for _, n := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, 32767, 32768, math.MaxInt32, math.MaxInt64, math.MinInt64} {
		want, err := asn1.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		got := putInt(nil, universal|2, n)
		if !bytes.Equal(got, want) {
			t.Errorf("%d: %x, others write %x", n, got, want)
		}
		if back, err := integer(got[2:]); err != nil || back != n {
			t.Errorf("%d: %d, %v", n, back, err)
		}
	}
	b := putUint(nil, universal|2, math.MaxUint64)
	if n, err := natural(b[2:]); err != nil || n != math.MaxUint64 {
		t.Errorf("%x: %d, %v", b, n, err)
	}
	for _, tag := range []asn1.RawValue{{Class: 1, Tag: 30, Bytes: make([]byte, 127)}, {Class: 1, Tag: 31, Bytes: make([]byte, 128)}, {Class: 2, Tag: 200, Bytes: make([]byte, 70000)}, {Class: 1, Tag: 16384, IsCompound: true}} {
		want, err := asn1.Marshal(tag)
		if err != nil {
			t.Fatal(err)
		}
		got := append(putLength(putHead(nil, Tag(tag.Class)<<30|Tag(tag.Tag), tag.IsCompound), len(tag.Bytes)), tag.Bytes...)
		if !bytes.Equal(got, want) {
			t.Errorf("tag %d: %x, others write %x", tag.Tag, got[:8], want[:8])
		}
	}
}

// indefinite writes a tree anew with indefinite lengths.
func indefinite(t testing.TB, b []byte) (out []byte) {
	for len(b) > 0 {
		e, rest, err := cut(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		b = rest
		out = putHead(out, e.tag, e.constructed)
		if e.constructed {
			out = append(append(append(out, 0x80), indefinite(t, e.value)...), 0, 0)
		} else {
			out = append(putLength(out, len(e.value)), e.value...)
		}
	}
	return out
}

func TestIndefiniteLengths(t *testing.T) {
	got, head := all(t, NewTAP(bytes.NewReader(indefinite(t, tapFile(t, 6)))))
	want, _ := all(t, NewTAP(bytes.NewReader(tapFile(t, 6))))
	if len(got) != 6 || head.TotalCharge != 590_000_000 {
		t.Fatalf("%d records, %+v", len(got), head)
	}
	for i := range got {
		same(t, got[i], want[i])
	}
	f, err := New3GPP(bytes.NewReader(framed(indefinite(t, PutCHF(nil, data(1))))))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := all(t, f); len(got) != 1 || len(got[0].Usage) != 2 {
		t.Errorf("%+v", got[0].Doc())
	}
}

func TestDeepAndLargeElementsAreRefused(t *testing.T) {
	deep := bytes.Repeat([]byte{0x30, 0x80}, 10_000)
	if _, _, err := cut(deep, 0); !errors.Is(err, errDepth) {
		t.Errorf("deep: %v", err)
	}
	large := append([]byte{0x61, 0x80, 0x64, 0x84, 0x7f, 0xff, 0xff, 0xff}, make([]byte, 2<<20)...)
	if err := NewTAP(bytes.NewReader(large)).Next(&Record{}); !errors.Is(err, errSize) {
		t.Errorf("large: %v", err)
	}
}

func TestRequestOfARecord(t *testing.T) {
	var q credit.Request
	r := data(5)
	r.Fill(&q, []byte("smf-1"))
	if q.Face != credit.File || q.Kind != credit.Event || q.Action != credit.Post || !q.Numbered || q.Number != 5 || string(q.Session) != "chg-17" || string(q.Peer) != "smf-1" {
		t.Errorf("%+v", q)
	}
	if len(q.Units) != 2 || q.Units[1].Used[0].At != noon.Add(time.Minute).UnixMicro() || q.Units[0].Used[0].Output != 5<<40 || len(q.Subscribers) != 2 {
		t.Errorf("%+v", q.Units)
	}
	other := data(5)
	if r.Digest() != other.Digest() || r.Identity() != other.Identity() {
		t.Error("the same record has another digest")
	}
	other.Usage[0].Units.Output++
	if r.Digest() == other.Digest() || r.Identity() != other.Identity() {
		t.Error("an octet more makes no other digest")
	}
}

func TestWriteLeavesNoHalfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.cdr")
	if err := Write(path, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "whole" {
		t.Fatalf("%q, %v", b, err)
	}
	if names, _ := os.ReadDir(filepath.Dir(path)); len(names) != 1 {
		t.Errorf("%v", names)
	}
}

func TestCalendar(t *testing.T) {
	for _, at := range []time.Time{noon, time.Date(2000, 2, 29, 23, 59, 59, 0, time.UTC), time.Date(2024, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)} {
		b := putInstant(nil, c(1), at.UnixMicro())
		if got, err := instant(b[2:]); err != nil || got != at.UnixMicro() {
			t.Errorf("%v: %v, %v", at, time.UnixMicro(got).UTC(), err)
		}
		if got, err := local([]byte(localText(at.UnixMicro())), 0); err != nil || got != at.UnixMicro() {
			t.Errorf("%v: %v, %v", at, got, err)
		}
	}
	for _, n := range []uint32{240001, 310410, 262002, 1001} {
		b := putPLMN(nil, c(1), n)
		if got, err := plmn(b[2:]); err != nil || got != n {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
}

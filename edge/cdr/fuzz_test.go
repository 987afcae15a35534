package cdr

import (
	"bytes"
	"io"
	"testing"

	"tandem/edge/credit"
)

// drain reads anything to its end or its first error: it must end, and what it
// hands out must be fit to be charged.
func drain(t *testing.T, f Reader, err error) {
	var r Record
	var q credit.Request
	for n := 0; err == nil; n++ {
		if err = f.Next(&r); err != nil {
			break
		}
		if n > 1<<20 {
			t.Fatal("a file without an end")
		}
		if r.Start == 0 || len(r.Session) == 0 {
			t.Fatalf("a record without identity: %+v", r.Doc())
		}
		r.Fill(&q, []byte("x"))
		if _, err := PutJSON(nil, &r); err != nil {
			t.Fatal(err)
		}
		PutCHF(nil, &r)
		PutPGW(nil, &r)
	}
	if err != nil && err != io.EOF && f != nil {
		f.Head()
	}
}

func Fuzz3GPP(f *testing.F) {
	f.Add(framed(PutCHF(nil, data(1)), PutPGW(nil, data(2))))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := New3GPP(bytes.NewReader(b))
		drain(t, r, err)
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(PutCHF(nil, data(1)))
	f.Add(PutPGW(nil, data(1)))
	f.Add(indefinite(f, PutCHF(nil, data(1))))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 0xffff {
			r, err := New3GPP(bytes.NewReader(framed(b)))
			drain(t, r, err)
		}
	})
}

func FuzzTAP(f *testing.F) {
	f.Add(tapFile(f, 3))
	f.Add(indefinite(f, tapFile(f, 3)))
	f.Add(tapFile(f, 0))
	f.Fuzz(func(t *testing.T, b []byte) { drain(t, NewTAP(bytes.NewReader(b)), nil) })
}

func FuzzNRTRDE(f *testing.F) {
	w := NRTRDE{Sender: "SWEAB", Recipient: "DEUD1", Available: noon}
	w.Add(call(1, false))
	w.Add(call(2, true))
	w.Add(gprs(3))
	f.Add(w.Close())
	f.Fuzz(func(t *testing.T, b []byte) { drain(t, NewNRTRDE(bytes.NewReader(b)), nil) })
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("TYPE;WHEN;ID;A;B;REST;DUR;VOL;PRICE\nMOC;29.03.2026 03:30:00;c1;+4917012;030 1;x;00:01:01;;1,25\n"))
	m := csvMapping(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewCSV(bytes.NewReader(b), m)
		drain(t, r, err)
	})
}

func FuzzJSON(f *testing.F) {
	b, _ := PutJSON(nil, data(1))
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { drain(t, NewJSON(bytes.NewReader(b)), nil) })
}

func FuzzMapping(f *testing.F) {
	f.Add([]byte(mapping))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMapping(b)
		if err != nil {
			return
		}
		r, err := NewCSV(bytes.NewReader([]byte("a;b;c\n1;2;3\n")), m)
		for err == nil {
			err = r.Next(&Record{})
		}
	})
}

// Benchmarks read whole files; the figure is records a second.
func BenchmarkRead(b *testing.B) {
	const n = 10_000
	var csvFile, jsonFile bytes.Buffer
	csvFile.WriteString("TYPE;WHEN;ID;A;B;REST;DUR;VOL;PRICE\n")
	frame := Frame{Standard: TS32255, Opened: noon}
	var line []byte
	for i := range n {
		csvFile.WriteString("MOC;29.03.2026 03:30:00;call-4711;+491701234567;4930123456;x;00:01:01;;1,25\n")
		line, _ = PutJSON(line[:0], data(i))
		jsonFile.Write(line)
		if err := frame.Add(PutCHF(nil, data(i)), noon); err != nil {
			b.Fatal(err)
		}
	}
	near := NRTRDE{Sender: "SWEAB", Recipient: "DEUD1", Available: noon}
	for i := range n {
		near.Add(call(i, false))
	}
	m := csvMapping(b)
	files := map[string][]byte{Format3GPP: frame.Close(Normal), FormatTAP: tapFile(b, n), FormatNRTRDE: near.Close(), FormatCSV: csvFile.Bytes(), FormatJSON: jsonFile.Bytes()}
	for _, format := range []string{Format3GPP, FormatTAP, FormatNRTRDE, FormatCSV, FormatJSON} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			var r Record
			read := 0
			for b.Loop() {
				f, err := Open(bytes.NewReader(files[format]), format, m)
				for err == nil {
					if err = f.Next(&r); err == nil {
						read++
					}
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

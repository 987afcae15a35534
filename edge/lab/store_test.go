package lab

import (
	"testing"
)

// FuzzReplay feeds journal records: none may panic, and what is accepted is written back as it was.
func FuzzReplay(f *testing.F) {
	body := func(s string) []byte { return appendRecord(nil, func(b []byte) []byte { return append(b, s...) }) }
	f.Add("put 1 240010000000001 447900000001 1 0 - -")
	f.Add("put 2 012345 - 0 1 MILENAGE,465b5ce8b199b49faa5f0a2ee238a6bc,OPC,cd63cb71954a9f4e48a5994e37a02baf,5 COMP128v1,465b5ce8b199b49faa5f0a2ee238a6bc")
	f.Add("del 1")
	f.Fuzz(func(t *testing.T, text string) {
		s := &store{rows: make([]subscriber, 1), byIMSI: map[number]uint32{}, byMSISDN: map[number]uint32{}, aud2g: map[uint32]keys2G{}}
		record := body(text)
		if len(text) > 200 || s.replay(record[:len(record)-1]) != nil {
			return
		}
		if s.live != len(s.byIMSI) || s.live == 0 {
			t.Fatalf("%q: %d subscribers, %d in the index", text, s.live, len(s.byIMSI))
		}
		id := uint32(len(s.rows) - 1)
		again := &store{rows: make([]subscriber, 1), byIMSI: map[number]uint32{}, byMSISDN: map[number]uint32{}, aud2g: map[uint32]keys2G{}}
		if err := again.replay(trim(s.appendPut(nil, id))); err != nil {
			t.Fatalf("%q is written as %q: %v", text, s.appendPut(nil, id), err)
		}
		if again.rows[id] != s.rows[id] || again.aud2g[id] != s.aud2g[id] {
			t.Fatalf("%q comes back as another subscriber", text)
		}
	})
}

func trim(record []byte) []byte { return record[:len(record)-1] }

// FuzzRequest feeds command text: every request gets an answer.
func FuzzRequest(f *testing.F) {
	f.Add("SET 1 subscriber.create 240010000000001")
	f.Add("SET 2 subscriber.by-id-1.aud3g milenage,465b5ce8b199b49faa5f0a2ee238a6bc,OPC,cd63cb71954a9f4e48a5994e37a02baf,9")
	f.Add("GET 3 subscriber.by-msisdn-1.info-all")
	f.Add("SET 4 subscriber.by-id-1.aud2g ,,,")
	f.Fuzz(func(t *testing.T, text string) {
		s := &store{rows: make([]subscriber, 1), byIMSI: map[number]uint32{}, byMSISDN: map[number]uint32{}, aud2g: map[uint32]keys2G{}}
		s.create(1240010000000002)
		if s.answer(parseRequest(text)) == "" {
			t.Fatalf("%q has no answer", text)
		}
		if s.live != len(s.byIMSI) {
			t.Fatalf("after %q: %d subscribers, %d in the index", text, s.live, len(s.byIMSI))
		}
	})
}

package nchf

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"tandem/edge/credit"
)

// FuzzDecode feeds bodies to the decoder. Whatever comes must not panic; what is accepted is JSON, and its digest does not depend on
// when it is read.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{createBody, updateBody, releaseBody, with(`"oneTimeEvent":true,"oneTimeEventType":"IEC"`),
		with(`"x":[1.5e3,"\u00e4",null,true]`), `{"a":`, `[]`} {
		f.Add([]byte(body))
	}
	var r reading
	f.Fuzz(func(t *testing.T, body []byte) {
		var q credit.Request
		first := r.decode(&q, credit.Initial, body)
		digest := q.Digest
		if first == nil && !json.Valid(body) {
			t.Fatalf("accepted, and no JSON: %q", body)
		}
		second := r.decode(&q, credit.Initial, body)
		if (first == nil) != (second == nil) || first == nil && q.Digest != digest {
			t.Fatalf("read twice, understood differently: %v, %v", first, second)
		}
		if first != nil {
			return
		}
		n := newNamer("", testKey)
		n.name(nil, &r)
		who := newConsumer("x", "SMF", "")
		if out := appendRequest(nil, &who, &q); !json.Valid(out) {
			t.Fatalf("encoded as %q", out)
		}
		var a credit.Answer
		for i := range q.Units {
			grant(&a, &q.Units[i])
		}
		if out := appendResponse(nil, &r, &a); !json.Valid(out) {
			t.Fatalf("answered with %q", out)
		}
	})
}

// FuzzSkip compares the scanner with the standard library on what is JSON.
func FuzzSkip(f *testing.F) {
	f.Add([]byte(createBody))
	f.Add([]byte(`{"a":[1,2.5e-3,{"b":null}],"c":"\u00e4\ud83d\ude00","d":-0.0}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var s scanner
		s.reset(body)
		s.skip()
		s.end()
		if s.err == nil && !json.Valid(body) {
			t.Fatalf("passed over, and no JSON: %q", body)
		}
		if s.err != nil && json.Valid(body) && utf8.Valid(body) && len(body) < 1000 && s.err.reason == "a value cannot be read" {
			t.Fatalf("JSON, and refused: %q: %+v", body, s.err)
		}
	})
}

// FuzzHeaders feeds header blocks to the decompressor, several to one table.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte{0x82, 0x86, 0x84, 0x41, 0x0f, 'w', 'w', 'w', '.', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm'})
	f.Add([]byte{0x3f, 0x21, 0x82, 0xbe, 0x58, 0x86, 0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf})
	f.Fuzz(func(t *testing.T, block []byte) {
		d := decompressor{max: tableSize, limit: 4096}
		for range 3 {
			d.decode(block, func(name, value []byte) {})
		}
		size := 0
		for i := range d.table {
			size += d.table[i].size()
		}
		if size != d.size || size > d.max {
			t.Fatalf("the table has %d octets, counts %d, may have %d", size, d.size, d.max)
		}
	})
}

package nchf

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
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

// FuzzAnswer feeds answers to our own client: what it makes of them is an answer that we could have given.
func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"invocationSequenceNumber":1,"sessionFailover":"FAILOVER_SUPPORTED","invocationResult":{"failureHandling":"CONTINUE"},"multipleUnitInformation":[{"ratingGroup":10,
		"resultCode":"SUCCESS","grantedUnit":{"totalVolume":9007199254740993,"time":60},"validityTime":60,"finalUnitIndication":{"finalUnitAction":"REDIRECT","redirectServer":{"redirectAddressType":"URL","redirectServerAddress":"https://x"}}}]}`))
	f.Add(404, []byte(`{"status":404,"cause":"USER_UNKNOWN","title":"\u00e4","invalidParams":[{"param":"x"}]}`))
	f.Add(204, []byte(" "))
	var s scanner
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var a credit.Answer
		if err := readAnswer(&s, status, body, &a); err != nil || status/100 != 2 {
			return
		}
		if len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) {
			t.Fatalf("accepted, and no JSON: %q", body)
		}
		if out := appendResponse(nil, &reading{q: &credit.Request{}}, &a); !json.Valid(out) {
			t.Fatalf("answered with %q", out)
		}
	})
}

// FuzzToken: no token is taken that was not signed, whatever it says of itself.
func FuzzToken(f *testing.F) {
	public, private, err := ed25519.GenerateKey(bytes.NewReader(make([]byte, 32)))
	if err != nil {
		f.Fatal(err)
	}
	s := signer{"EdDSA", published(f, public), func(text []byte) []byte { return ed25519.Sign(private, text) }}
	tokens, err := NewTokens(TokenConfig{Keys: s.pem, Clock: func() time.Time { return time.Unix(1790000050, 0) }})
	if err != nil {
		f.Fatal(err)
	}
	good := s.token(s.alg, goodClaims)
	if err := tokens.Verify(good, ScopeCharging); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(s.token("none", goodClaims))
	f.Add("a.b.c")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + good[strings.Index(good, "."):])
	f.Fuzz(func(t *testing.T, token string) {
		if err := tokens.Verify(token, ScopeCharging); err != nil {
			return
		}
		text, signature, _ := strings.Cut(token[strings.Index(token, ".")+1:], ".")
		text = token[:strings.Index(token, ".")+1] + text
		if raw, err := base64.RawURLEncoding.DecodeString(signature); err != nil || !ed25519.Verify(public, []byte(text), raw) {
			t.Fatalf("taken: %q", token)
		}
	})
}

// FuzzFrames sends octets behind a right beginning of HTTP/2: the server ends the connection, sooner or later, and serves the next one.
func FuzzFrames(f *testing.F) {
	h := serve(f, Config{}, null{})
	begin := append([]byte(preface), appendHead(nil, 0, frameSettings, 0, 0)...)
	f.Add(appendHead(nil, 0, frameSettings, flagAck, 0))
	f.Add(append(appendHead(nil, 4, frameReset, 0, 1), 0, 0, 0, 8))
	f.Add(append(appendHead(nil, 3, 1, 5, 1), 0x82, 0x86, 0x84))
	f.Add(appendWindow(appendSetting(appendHead(nil, 6, frameSettings, 0, 0), 4, 1<<31-1), 0, 1<<31-1))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write(append(begin[:len(begin):len(begin)], b...)); err == nil {
			c.(*net.TCPConn).CloseWrite()
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			if late, ok := err.(net.Error); ok && late.Timeout() {
				t.Fatal("the connection does not end")
			}
		}
	})
}

// FuzzSpending feeds subscriptions of spending limits: each is answered, and what is taken names a subscriber and a place.
func FuzzSpending(f *testing.F) {
	f.Add([]byte(`{"supi":"imsi-001010000000001","notifUri":"http://pcf.example/n28","policyCounterIds":["data"],"expiry":"2099-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"gpsi":"msisdn-49","notifUri":"x","notifId":"\ud800","expiry":"soon"}`))
	s, err := New(Config{Key: testKey, Spending: &Spending{counters{"data": {Current: "full"}}, folder(f.TempDir())}}, null{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := httptest.NewRequest("POST", spendingPath, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		sub, in, ok := s.readContext(w, r, Subscription{})
		if ok != (in != nil) || ok && (sub.Notify == "" || sub.SUPI+sub.GPSI == "") || !ok && (w.Code < 400 || !json.Valid(w.Body.Bytes())) {
			t.Fatalf("%t %+v: %d %q", ok, sub, w.Code, w.Body)
		}
		if ok {
			sub.Subscribers()
		}
	})
}

package gsup

import (
	"bytes"
	"testing"
)

func TestBCD(t *testing.T) {
	for digits, want := range map[string][]byte{
		"1":               {0xf1},
		"240010000000001": {0x42, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0xf1},
		"447900000001":    {0x44, 0x97, 0x00, 0x00, 0x00, 0x10},
	} {
		b := encodeBCD(digits)
		if !bytes.Equal(b, want) {
			t.Errorf("%s is %x, want %x", digits, b, want)
		}
		if back, err := decodeBCD(b); err != nil || back != digits {
			t.Errorf("%x is %q, %v", b, back, err)
		}
	}
	for _, bad := range [][]byte{{0x0a}, {0xa1}, {0xf1, 0x21}} {
		if digits, err := decodeBCD(bad); err == nil {
			t.Errorf("%x is accepted as %q", bad, digits)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	request := message{updateLocation, []element{{tagIMSI, encodeBCD("240010000000001")}, {tagDomain, []byte{1}}}}
	f.Add(request.append(nil))
	f.Add([]byte{0x0a, 0x03, 0x06, 0x20, 0x01, 0xaa, 0x27, 0x01, 0xbb})
	f.Add([]byte{0x10, 0x08, 0x02, 0x01, 0x21})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMessage(b)
		if err != nil {
			return
		}
		if again := m.append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x becomes %x", b, again)
		}
		m.imsi()
		m.msisdn()
		m.vectors()
	})
}

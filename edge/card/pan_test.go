package card

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestCardNumbersAreFoundHoweverTheyAreWritten(t *testing.T) {
	for _, text := range []string{
		"4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "x4111111111111111y", "No. 12 4111 1111 1111 1111.",
		"5555555555554444", "2223003122003222", "378282246310005", "3782 822463 10005", "6011111111111117", "30569309025904",
		"3530111333300000", "6200000000000005", "4111\u00a01111\u00a01111\u00a01111", "４１１１１１１１１１１１１１１１", "4111.1111.1111.1111", "a\n4111111111111111\n",
	} {
		if !HasNumber(text) {
			t.Errorf("%q is not found", text)
		}
		if left := Scrub(text); HasNumber(left) || !strings.Contains(left, "[card number]") {
			t.Errorf("%q is scrubbed to %q", text, left)
		}
	}
}

func TestOtherNumbersAreLetThrough(t *testing.T) {
	for _, text := range []string{
		"", "4111111111111112", "INV-2026-000017", "+49 151 12345678", "4915112345678", "DE89 3704 0044 0532 0130 00", "DE89370400440532013000",
		"490154203237518", "8949020000001234567", "262011234567890", "12345678901234567890123", "2026-11-22 10:00:00", "41111111 and 11111111", "4111,1111,1111,1111", "01JABCDEFGHJKMNPQRSTVWXYZ0",
	} {
		if HasNumber(text) {
			t.Errorf("%q is taken for a card number", text)
		}
		if Scrub(text) != text {
			t.Errorf("%q is scrubbed", text)
		}
	}
}

// Any number that a scheme can issue is found in any surroundings without digits.
func TestEveryCardNumberIsScrubbed(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for range 20_000 {
		r := ranges[rnd.IntN(len(ranges))]
		number := []byte(r.from)
		for want := r.least + rnd.IntN(r.most-r.least+1); len(number) < want-1; {
			number = append(number, byte('0'+rnd.IntN(10)))
		}
		number = append(number, '0')
		for !luhn(appendDigits(nil, string(number))) {
			number[len(number)-1]++
		}
		text := fmt.Sprintf("pay with %s, please", number)
		if got := Scrub(text); got != "pay with [card number], please" {
			t.Fatalf("%q became %q", text, got)
		}
	}
}

func FuzzScrub(f *testing.F) {
	f.Add("4111 1111 1111 1111 and 378282246310005")
	f.Fuzz(func(t *testing.T, text string) {
		if got := Scrub(text); !HasNumber(text) && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"attempt":"attempt-1","kind":"payment","id":"m","payment":"p","status":"succeeded","amount":100,"currency":"EUR","revision":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := want{attempt: "attempt-1"}.result(text)
		if err == nil && (r.Attempt != "attempt-1" || r.Amount.Minor < 0 || HasNumber(r.Decline.Message)) {
			t.Errorf("%+v", r)
		}
	})
}

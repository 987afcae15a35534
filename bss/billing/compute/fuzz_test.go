package compute_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"tandem/bss/billing/compute"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// stream draws whatever a bill is made from out of the fuzzer's bytes; used up, it draws zeros.
type stream struct{ data []byte }

func (s *stream) byte() byte {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return b
}

// int is mostly small, at times anything.
func (s *stream) int() int64 {
	switch b := s.byte(); {
	case b < 200:
		return int64(b) - 60
	case b < 240:
		return int64(b)<<8 | int64(s.byte())
	}
	var word [8]byte
	s.data = s.data[copy(word[:], s.data):]
	return int64(binary.LittleEndian.Uint64(word[:]))
}

func (s *stream) bool() bool { return s.byte()%2 == 1 }

func (s *stream) text() string { return string(rune('a' + s.byte()%4)) }

func (s *stream) date() civil.Date {
	if s.byte() == 255 {
		return civil.Date{Year: int(s.int()), Month: time.Month(s.int()), Day: int(s.int())}
	}
	return mustDate("2026-01-01").AddDays(int(s.int()))
}

func (s *stream) instant() time.Time {
	if s.byte() == 255 {
		return time.Unix(s.int(), 0)
	}
	return noon("2026-01-01").Add(time.Duration(s.int()) * 7 * time.Hour)
}

func (s *stream) span() civil.Span {
	out := civil.Span{From: s.instant()}
	if s.bool() {
		out.To = s.instant()
	}
	return out
}

func (s *stream) rate() money.Rate {
	r := money.Rate{Nano: s.int(), Currency: money.EUR}
	if b := s.byte(); b == 254 {
		r.Currency = money.USD
	} else if b%2 == 0 {
		r.Nano *= 10_000_000
	}
	return r
}

func (s *stream) percent() compute.Percent { return compute.Percent{Num: s.int(), Den: s.int()} }

func (s *stream) cycle() civil.Cycle {
	if s.byte() < 200 {
		return monthly
	}
	return civil.Cycle{Origin: s.date(), Step: civil.Duration{Months: int(s.int()), Days: int(s.int())}, Day: int(s.int())}
}

func (s *stream) item() compute.Item {
	it := compute.Item{ID: s.text(), Price: s.text(), Product: s.text(), Sort: compute.Sort(s.byte() % 6), Amount: s.rate(), Quantity: s.int(),
		Timing: compute.Timing(s.byte() % 3), Proration: compute.Proration(s.byte() % 6), Cycle: s.cycle(), Span: s.span(),
		TaxCategory: "standard", TaxIncluded: s.bool(), Revision: s.int()}
	for range s.byte() % 4 {
		it.Suspended = append(it.Suspended, s.span())
	}
	if s.bool() {
		r := s.rate()
		it.Resting = &r
	}
	if it.Sort >= compute.Discount {
		it.AllOf, it.WithUsage, it.Priority, it.Periods = s.bool(), s.bool(), s.int(), s.int()
		if s.bool() {
			it.Percent = s.percent()
		}
		if s.bool() {
			it.Cap = s.rate()
		}
		if s.bool() {
			it.Alters = []string{s.text()}
		}
	}
	return it
}

func (s *stream) input() *compute.Input {
	in := account(int(s.int()))
	in.Rounding = money.Rounding(s.byte() % 9)
	in.Minimum = s.int()
	if s.byte() > 200 {
		in.Terms.Cycle = s.cycle()
		in.Moved = []compute.Moved{{Zone: mustZone("Pacific/Apia"), Until: s.date()}}
		in.Rates[0].Percent = s.percent()
		in.Exempted = []compute.Exemption{{Category: "exempt", Period: civil.Period{From: s.date()}}}
	}
	for range s.byte() % 6 {
		it := s.item()
		it.ID += string(rune('0' + len(in.Items)))
		in.Items = append(in.Items, it)
	}
	for range s.byte() % 3 {
		in.Usage = append(in.Usage, compute.UsageSum{Key: s.text(), Product: s.text(), Records: s.int(), Amount: s.rate(), Before: s.rate(),
			Period: civil.Period{From: s.date(), To: s.date()}, TaxCategory: "reduced", TaxIncluded: s.bool()})
	}
	for range s.byte() % 8 {
		b := compute.Billed{Item: s.text() + string(rune('0'+s.byte()%6)), Index: int(s.int()), Net: s.int(), Version: int(s.int()), Revision: s.int(), Bill: "x"}
		if s.bool() {
			b.TaxCategory, b.TaxRate, b.TaxIncluded = "standard", s.percent(), s.bool()
		}
		in.Billed = append(in.Billed, b)
	}
	return in
}

// FuzzMake: whatever comes in, Make refuses it in words or makes a bill that adds up, and
// the same one again.
func FuzzMake(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a plan, a discount and what was billed of them, by a stream of letters that stands for them all"))
	f.Add([]byte{62, 1, 60, 0, 3, 0, 1, 2, 0, 80, 2, 61, 0, 0, 0, 0, 65, 0, 0, 0, 0, 0, 1, 1, 1, 2, 90, 0, 61, 1, 2, 3, 4, 5, 6, 7, 8, 9, 250, 255, 255, 255, 255, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		in := (&stream{data}).input()
		b, err := compute.Make(in)
		if err != nil {
			var refusal *fault.Error
			if !errors.As(err, &refusal) || refusal.Kind != fault.Invalid {
				t.Fatalf("not in words: %v", err)
			}
			return
		}
		if err := rulesOfTotals(in, b); err != nil {
			t.Fatalf("%v%s", err, dump(in, b))
		}
		again, err := compute.Make(in)
		if err != nil || dump(in, again) != dump(in, b) {
			t.Fatalf("made again: %v", err)
		}
		for _, l := range b.Lines {
			if l.Wanted-l.Before != l.Amount || l.Portion.Of < 0 || l.Portion.To < 0 || l.Portion.To+l.Rested > l.Portion.Of {
				t.Fatalf("%+v", l)
			}
		}
	})
}

package sepa

import (
	"testing"
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
)

func day(t testing.TB, text string) civil.Date {
	t.Helper()
	d, err := civil.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func zone(t testing.TB) *time.Location {
	t.Helper()
	z, err := civil.LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestEaster(t *testing.T) {
	// Among them the earliest and latest possible, and the years in which the two
	// corrections of the moon apply.
	for _, text := range []string{"1818-03-22", "1943-04-25", "1954-04-18", "1981-04-19", "2000-04-23", "2008-03-23", "2019-04-21", "2024-03-31",
		"2025-04-20", "2026-04-05", "2027-03-28", "2028-04-16", "2029-04-01", "2030-04-21", "2038-04-25", "2049-04-18", "2076-04-19", "2099-04-12", "2285-03-22"} {
		want := day(t, text)
		if got := Easter(want.Year); got != want {
			t.Errorf("Easter of %d is %v, not %v", want.Year, want, got)
		}
	}
}

// Another way to the same Sunday, without a case for the exceptions (J. Meeus,
// Astronomical Algorithms, chapter 8), for all years of the calendar.
func TestEasterByAnotherWay(t *testing.T) {
	for y := 1583; y <= 9999; y++ {
		a, b, c := y%19, y/100, y%100
		h := (19*a + b - b/4 - (b-(b+8)/25+1)/3 + 15) % 30
		l := (32 + 2*(b%4) + 2*(c/4) - h - c%4) % 7
		n := h + l - 7*((a+11*h+22*l)/451) + 114
		if want := (civil.Date{Year: y, Month: time.Month(n / 31), Day: n%31 + 1}); Easter(y) != want {
			t.Fatalf("Easter of %d is %v, not %v", y, want, Easter(y))
		}
	}
}

func TestClosingDaysOfBanks(t *testing.T) {
	closed := map[int][]string{
		2025: {"2025-01-01", "2025-04-18", "2025-04-21", "2025-05-01", "2025-12-25", "2025-12-26"},
		2026: {"2026-01-01", "2026-04-03", "2026-04-06", "2026-05-01", "2026-12-25"},
		2027: {"2027-01-01", "2027-03-26", "2027-03-29"},
		2028: {"2028-04-14", "2028-04-17", "2028-05-01", "2028-12-25", "2028-12-26"},
	}
	for year, texts := range closed {
		want := map[civil.Date]bool{}
		for _, text := range texts {
			want[day(t, text)] = true
		}
		for d := day(t, "2000-01-01").AddMonths((year - 2000) * 12); d.Year == year; d = d.AddDays(1) {
			weekend := d.Weekday() == time.Saturday || d.Weekday() == time.Sunday
			if BankDay(d) != (!weekend && !want[d]) {
				t.Errorf("%v: bank day %v", d, BankDay(d))
			}
		}
	}
	for _, tt := range []struct {
		from string
		n    int
		want string
	}{
		{"2026-04-02", 1, "2026-04-07"}, {"2026-04-03", 0, "2026-04-07"}, {"2026-12-24", 2, "2026-12-29"}, {"2026-11-20", 1, "2026-11-23"},
		{"2026-11-21", 1, "2026-11-24"}, {"2026-04-30", 5, "2026-05-08"}, {"2026-11-23", -3, "2026-11-23"},
	} {
		if got := AddBankDays(day(t, tt.from), tt.n); got != day(t, tt.want) {
			t.Errorf("%s and %d bank days: %v, want %s", tt.from, tt.n, got, tt.want)
		}
	}
	if got := AddBankDays(civil.Last, 3); got != civil.Last {
		t.Errorf("beyond the calendar: %v", got)
	}
}

func TestWhenACollectionCanBeDue(t *testing.T) {
	classic, standard := Classic(zone(t)), Standard(zone(t))
	noon := func(text, clock string) time.Time {
		at, err := time.ParseInLocation("2006-01-02 15:04", text+" "+clock, zone(t))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	tests := []struct {
		name string
		p    Profile
		now  time.Time
		s    Scheme
		q    Sequence
		want string
	}{
		{"before the cut-off", standard, noon("2026-11-23", "11:59"), Core, Recurring, "2026-11-24"},
		{"at the cut-off", standard, noon("2026-11-23", "12:00"), Core, Recurring, "2026-11-25"},
		{"on a Sunday", standard, noon("2026-11-22", "10:00"), Core, First, "2026-11-24"},
		{"first, the old way", classic, noon("2026-11-23", "10:00"), Core, First, "2026-11-30"},
		{"recurring, the old way", classic, noon("2026-11-23", "10:00"), Core, Recurring, "2026-11-25"},
		{"businesses", classic, noon("2026-11-23", "10:00"), B2B, First, "2026-11-24"},
		{"over Easter", classic, noon("2026-04-01", "10:00"), Core, Recurring, "2026-04-07"},
		{"midnight of the bank, not of the server", standard, noon("2026-11-24", "00:30"), Core, Final, "2026-11-25"},
	}
	for _, tt := range tests {
		if got := tt.p.Earliest(tt.now, tt.s, tt.q); got != day(t, tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	now := noon("2026-11-23", "10:00")
	for wish, want := range map[string]string{"2026-11-01": "2026-11-24", "2026-12-05": "2026-12-07", "2026-12-25": "2026-12-28", "2026-12-01": "2026-12-01"} {
		if got := standard.Due(day(t, wish), now, Core, Recurring); got != day(t, want) {
			t.Errorf("wished for %s: %v, want %s", wish, got, want)
		}
	}
}

func TestSequenceTypes(t *testing.T) {
	p := Standard(zone(t))
	q := p
	q.First = FirstRecurring
	for _, tt := range []struct {
		m          MandateUse
		std, other Sequence
	}{
		{MandateUse{}, First, Recurring}, {MandateUse{Used: true}, Recurring, Recurring}, {MandateUse{OneOff: true}, OneOff, OneOff},
		{MandateUse{Used: true, Last: true}, Final, Final},
	} {
		if p.SequenceOf(tt.m) != tt.std || q.SequenceOf(tt.m) != tt.other {
			t.Errorf("%+v: %v and %v", tt.m, p.SequenceOf(tt.m), q.SequenceOf(tt.m))
		}
	}
	if _, err := ParseSequence("ALL"); err == nil {
		t.Error("ALL is taken for a sequence type")
	}
	for _, text := range []string{"FRST", "RCUR", "OOFF", "FNAL"} {
		if s, err := ParseSequence(text); err != nil || s.String() != text {
			t.Errorf("%s: %v, %v", text, s, err)
		}
	}
}

func TestHowLongMoneyCanBeTakenBack(t *testing.T) {
	if d, ok := Core.RefundUntil(day(t, "2026-01-05")); !ok || d != day(t, "2026-03-02") {
		t.Errorf("%v, %v", d, ok)
	}
	if _, ok := B2B.RefundUntil(day(t, "2026-01-05")); ok {
		t.Error("a business may have an authorised collection back")
	}
	if d := UnauthorisedUntil(day(t, "2026-01-31")); d != day(t, "2027-02-28") {
		t.Errorf("%v", d)
	}
	if d := MandateEnds(day(t, "2026-01-31")); d != day(t, "2029-02-01") {
		t.Errorf("%v", d)
	}
}

func TestWhatReasonsMean(t *testing.T) {
	for code, want := range map[string]Action{
		"AC01": StopMandate, "AC04": StopMandate, "AC06": StopMandate, "AG01": StopMandate, "MD01": StopMandate, "MD07": StopMandate, "SL01": StopMandate,
		"AM04": Retry, "MD06": Reopen, "MS02": Reopen, "MS03": RetryOnce, "AG02": Correct, "FF01": Correct, "AM05": Review, "ZZ99": Review, "": Review,
	} {
		r := ReasonOf(code)
		if r.Action != want || r.Code != code || r.Text == "" {
			t.Errorf("%s: %+v, want %v", code, r, want)
		}
	}
	if ReasonOf("AM04").Ours || !ReasonOf("AG02").Ours {
		t.Error("who caused it is wrong")
	}
}

func TestProfilesAreConfigured(t *testing.T) {
	p, err := ParseProfile([]byte(`{"name": "Hausbank", "zone": "Europe/Berlin", "version": "2009", "charset": "german",
		"core": {"FRST": 5, "RCUR": 2}, "cutOff": "14:30", "first": "recurring", "each": true, "longest": 9}`))
	want := Standard(zone(t))
	want.Name, want.Version, want.Charset, want.First = "Hausbank", V2009, German, FirstRecurring
	want.Core, want.CutOff, want.Each, want.Longest = Lead{5, 2, 1, 1}, 14*time.Hour+30*time.Minute, true, 9
	want.Zone = p.Zone
	if err != nil || p != want {
		t.Errorf("%+v, %v; want %+v", p, err, want)
	}
	if p, err := ParseProfile([]byte(`{"like": "classic", "zone": "Europe/Vienna"}`)); err != nil || p.Core.First != 5 || p.Zone.String() != "Europe/Vienna" {
		t.Errorf("%+v, %v", p, err)
	}
	for text, code := range map[string]string{
		``: "profileForm", `{"zone":"Europe/Berlin"} x`: "profileForm", `{"zone":"Europe/Berlin","cutoff2":1}`: "profileForm", `{}`: "profileZone", `{"zone":"Local"}`: "profileZone",
		`{"zone":"Europe/Berlin","like":"mine"}`: "profileLike", `{"zone":"Europe/Berlin","version":"2008"}`: "unknownCode", `{"zone":"Europe/Berlin","first":"ALL"}`: "unknownCode",
		`{"zone":"Europe/Berlin","charset":"ebcdic"}`: "unknownCode", `{"zone":"Europe/Berlin","core":{"ALL":1}}`: "unknownCode", `{"zone":"Europe/Berlin","b2b":{"FRST":-1}}`: "profileLead",
		`{"zone":"Europe/Berlin","cutOff":"25:00"}`: "profileCutOff", `{"zone":"Europe/Berlin","cutOff":"00:00"}`: "profileCutOff", `{"zone":"Europe/Berlin","longest":-1}`: "profileLongest",
	} {
		if _, err := ParseProfile([]byte(text)); fault.Of(err).Code != code {
			t.Errorf("%s: %v, want %s", text, err, code)
		}
	}
}

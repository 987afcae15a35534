package sepa

import (
	"time"

	"tandem/kit/civil"
	"tandem/kit/fault"
)

// Scheme is the direct debit scheme that a mandate is for.
type Scheme uint8

const (
	Core Scheme = iota + 1 // anybody; may be refunded for eight weeks without a reason
	B2B                    // businesses only, the debtor's bank knows the mandate; no refund
)

var schemes = [...]string{"", "CORE", "B2B"}

// String is the local instrument of the message: CORE or B2B.
func (s Scheme) String() string { return named(schemes[:], int(s)) }

// ParseScheme reads CORE or B2B.
func ParseScheme(text string) (Scheme, error) {
	i, err := which("scheme", text, schemes[:])
	return Scheme(i), err
}

// RefundUntil is the last day on which the debtor may have an authorised collection
// back without giving a reason, eight weeks after it was debited; ok is false where
// the scheme knows no such right.
func (s Scheme) RefundUntil(debited civil.Date) (until civil.Date, ok bool) {
	return debited.AddDays(8 * 7), s == Core
}

// UnauthorisedUntil is the last day on which the debtor may claim that there was no
// mandate, thirteen months after the debit, in every scheme.
func UnauthorisedUntil(debited civil.Date) civil.Date { return debited.AddMonths(13) }

// MandateEnds is the day from which a mandate may no longer be used, 36 months after
// its last collection (or its signature).
func MandateEnds(lastUse civil.Date) civil.Date { return lastUse.AddMonths(36).AddDays(1) }

// Sequence is the place of a collection in the life of its mandate.
type Sequence uint8

const (
	First     Sequence = iota + 1 // FRST
	Recurring                     // RCUR
	OneOff                        // OOFF: the mandate allows this one only
	Final                         // FNAL: the mandate ends with it
)

var sequences = [...]string{"", "FRST", "RCUR", "OOFF", "FNAL"}

// String is the code of the message.
func (s Sequence) String() string { return named(sequences[:], int(s)) }

// ParseSequence reads FRST, RCUR, OOFF or FNAL; nothing else stands for one.
func ParseSequence(text string) (Sequence, error) {
	i, err := which("sequence type", text, sequences[:])
	return Sequence(i), err
}

// FirstRule says how the first collection under a recurrent mandate is marked.
type FirstRule uint8

const (
	FirstMarked    FirstRule = iota + 1 // FRST, then RCUR: what all banks take
	FirstRecurring                      // RCUR from the beginning: allowed since November 2016
)

// MandateUse is what the sequence type depends on.
type MandateUse struct {
	OneOff bool // the mandate is for one collection
	Used   bool // a collection under it was settled and not rejected
	Last   bool // no other will follow
}

// Version is which generation of messages a bank takes.
type Version uint8

const (
	V2009 Version = iota + 1 // pain.008.001.02 and pain.001.001.03
	V2019                    // pain.008.001.08 and pain.001.001.09
)

var versions = [...]string{"", "2009", "2019"}

// String is the year of the ISO release.
func (v Version) String() string { return named(versions[:], int(v)) }

// ParseVersion reads 2009 or 2019.
func ParseVersion(text string) (Version, error) {
	i, err := which("version of messages", text, versions[:])
	return Version(i), err
}

// Lead is how many bank days before its due date a collection must be with the bank.
type Lead struct{ First, Recurring, OneOff, Final int }

func (l Lead) of(s Sequence) int {
	return [...]int{0, l.First, l.Recurring, l.OneOff, l.Final}[s]
}

// Profile is what one bank wants of the files it is sent.
type Profile struct {
	Name    string
	Version Version
	First   FirstRule
	Charset Charset
	Core    Lead
	B2B     Lead
	// CutOff is the time of a bank day in Zone until which a file still counts as
	// handed in on that day.
	CutOff time.Duration
	Zone   *time.Location
	// Each has every collection booked by itself instead of one sum for a batch.
	Each bool
	// Longest is how many payments one file may have.
	Longest int
}

// Standard is the profile of the present rulebooks: one day ahead for everything,
// until noon, in the newer messages. Banks that want other are described by a copy.
func Standard(zone *time.Location) Profile {
	return Profile{
		Name: "standard", Version: V2019, First: FirstMarked, Charset: Latin,
		Core: Lead{1, 1, 1, 1}, B2B: Lead{1, 1, 1, 1},
		CutOff: 12 * time.Hour, Zone: zone, Longest: 100_000,
	}
}

// Classic is the profile of banks that kept the dates of before November 2016: five
// days ahead for a first or only collection, two for the others, in the older messages.
func Classic(zone *time.Location) Profile {
	p := Standard(zone)
	p.Name, p.Version, p.Core = "classic", V2009, Lead{First: 5, Recurring: 2, OneOff: 5, Final: 2}
	return p
}

// Valid refuses a profile with which no file can be written.
func (p Profile) Valid() error {
	switch {
	case p.Version != V2009 && p.Version != V2019:
		return fault.BadInput("profileVersion", "The bank profile %q names no version of messages", p.Name)
	case p.First != FirstMarked && p.First != FirstRecurring:
		return fault.BadInput("profileFirst", "The bank profile %q does not say how a first collection is marked", p.Name)
	case p.Charset < Latin || p.Charset > UTF8:
		return fault.BadInput("profileCharset", "The bank profile %q names no set of characters", p.Name)
	case p.Zone == nil:
		return fault.BadInput("profileZone", "The bank profile %q has no time zone for its cut-off", p.Name)
	case p.CutOff <= 0 || p.CutOff > 24*time.Hour:
		return fault.BadInput("profileCutOff", "The cut-off of the bank profile %q is not a time of day", p.Name)
	case p.Longest <= 0:
		return fault.BadInput("profileLongest", "The bank profile %q allows no payment in a file", p.Name)
	}
	for _, l := range []Lead{p.Core, p.B2B} {
		if min(l.First, l.Recurring, l.OneOff, l.Final) < 0 || max(l.First, l.Recurring, l.OneOff, l.Final) > 30 {
			return fault.BadInput("profileLead", "The bank profile %q has a lead time of less than 0 or more than 30 days", p.Name)
		}
	}
	return nil
}

// HandedIn is the bank day on which a file given at the instant counts as received.
func (p Profile) HandedIn(now time.Time) civil.Date {
	day := civil.DateOf(now, p.Zone)
	if !now.Before(day.At(p.CutOff, p.Zone)) {
		day = day.AddDays(1)
	}
	return NextBankDay(day)
}

// Earliest is the first due date that a collection handed in now can have.
func (p Profile) Earliest(now time.Time, s Scheme, q Sequence) civil.Date {
	lead := p.Core
	if s == B2B {
		lead = p.B2B
	}
	return AddBankDays(p.HandedIn(now), lead.of(q))
}

// Due is the due date to ask for when the debtor was told wish: never earlier than
// that, never too early for the bank, always a bank day.
func (p Profile) Due(wish civil.Date, now time.Time, s Scheme, q Sequence) civil.Date {
	if first := p.Earliest(now, s, q); wish.Before(first) {
		return first
	}
	return NextBankDay(wish)
}

// SequenceOf is the sequence type that this bank wants for a collection.
func (p Profile) SequenceOf(m MandateUse) Sequence {
	switch {
	case m.OneOff:
		return OneOff
	case m.Last:
		return Final
	case !m.Used && p.First == FirstMarked:
		return First
	}
	return Recurring
}

func named(names []string, i int) string {
	if i <= 0 || i >= len(names) {
		return "-"
	}
	return names[i]
}

func which(what, text string, names []string) (int, error) {
	for i, n := range names {
		if i > 0 && n == text {
			return i, nil
		}
	}
	return 0, fault.BadInput("unknownCode", "%q is not a %s that SEPA knows", text, what)
}

package nchf

import (
	"math"
	"time"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects of a body nest; real ones have about eight levels.
const maxDepth = 24

// flaw is why a body was refused: the answer names the attribute (TS 29.500 5.2.7.2).
type flaw struct {
	cause  string // of ProblemDetails
	param  string // attribute
	reason string
}

// Causes of TS 29.500 table 5.2.7.2-1.
const (
	causeFormat  = "INVALID_MSG_FORMAT"
	causeMissing = "MANDATORY_IE_MISSING"
	causeWrong   = "MANDATORY_IE_INCORRECT"
)

// scanner reads a JSON text (RFC 8259) in one pass, without building anything. After the first error every method returns at once
// and every loop ends, so that errors are looked at in one place. Strings lie in the text, or in arena if they were escaped.
type scanner struct {
	b     []byte
	i     int
	depth int
	key   []byte // the member that was read last
	arena []byte
	err   *flaw
}

func (s *scanner) reset(b []byte) { *s = scanner{b: b, arena: s.arena[:0]} }

func (s *scanner) fail(cause, reason string) {
	if s.err == nil {
		s.err = &flaw{cause, string(s.key), reason}
		s.i = len(s.b)
	}
}

func (s *scanner) syntax(reason string) { s.fail(causeFormat, reason) }

// peek skips white space and shows the next octet; 0: the end.
func (s *scanner) peek() byte {
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// list is where a loop over an object or array stands.
type list struct {
	end   byte
	begun bool
}

// object enters an object: for o := s.object(); s.more(&o); { switch string(s.key) ... }. null is an object without members.
func (s *scanner) object() list { return s.enter('{', '}') }

// array enters an array; s.key stays what it was.
func (s *scanner) array() list { return s.enter('[', ']') }

func (s *scanner) enter(open, end byte) list {
	c := s.peek()
	switch {
	case c == 'n':
		s.null()
		return list{}
	case c != open:
		s.fail(causeWrong, "an attribute has the wrong type")
		return list{}
	case s.depth == maxDepth:
		s.syntax("the body is nested too deep")
		return list{}
	}
	s.depth++
	s.i++
	return list{end: end}
}

// more goes to the next member or element; false: there is none.
func (s *scanner) more(l *list) bool {
	if l.end == 0 || s.err != nil {
		return false
	}
	c := s.peek()
	if c == l.end {
		s.i++
		s.depth--
		return false
	}
	if l.begun {
		if c != ',' {
			s.syntax("a comma or the end of a list is missing")
			return false
		}
		s.i++
		c = s.peek()
	}
	l.begun = true
	if l.end == ']' {
		return true
	}
	if c != '"' {
		s.syntax("the name of a member is missing")
		return false
	}
	s.key = s.text()
	if s.peek() != ':' {
		s.syntax("a colon is missing")
		return false
	}
	s.i++
	return s.err == nil
}

// null reads null; false: something else stands there.
func (s *scanner) null() bool {
	return s.peek() == 'n' && s.word("null")
}

func (s *scanner) word(w string) bool {
	if len(s.b)-s.i >= len(w) && string(s.b[s.i:s.i+len(w)]) == w {
		s.i += len(w)
		return true
	}
	s.syntax("a value cannot be read")
	return false
}

// str reads a string; null is none.
func (s *scanner) str() []byte {
	switch s.peek() {
	case '"':
		b := s.text()
		if len(b) > maxString {
			s.fail(causeWrong, "a string is too long")
		}
		return b
	case 'n':
		s.null()
		return nil
	}
	s.fail(causeWrong, "an attribute is not a string")
	return nil
}

// maxString caps a string that is used. Those that are passed over may be as long as the body.
const maxString = 8 << 10

// text reads a string whose quotation mark is next.
func (s *scanner) text() []byte {
	start := s.i + 1
	for i := start; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			s.i = i + 1
			return s.b[start:i:i]
		case c == '\\':
			return s.escaped(start, i)
		case c < ' ':
			s.syntax("a control character in a string")
			return nil
		}
	}
	s.syntax("a string does not end")
	return nil
}

// escaped reads the rest of a string into the arena.
func (s *scanner) escaped(start, i int) []byte {
	at := len(s.arena)
	out := append(s.arena, s.b[start:i]...)
	for i < len(s.b) {
		c := s.b[i]
		switch {
		case c == '"':
			s.i = i + 1
			s.arena = out
			return out[at:len(out):len(out)]
		case c < ' ':
			s.syntax("a control character in a string")
			return nil
		case c != '\\':
			out = append(out, c)
			i++
		default:
			r, n := unescape(s.b[i:])
			if n == 0 {
				s.syntax("an escape cannot be read")
				return nil
			}
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	s.syntax("a string does not end")
	return nil
}

// unescape reads one escape of n octets; 0: it is none.
func unescape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, 0
	}
	r, ok := hex4(b[2:])
	switch {
	case !ok, r >= 0xdc00 && r < 0xe000:
		return 0, 0
	case r < 0xd800 || r >= 0xe000:
		return r, 6
	case len(b) < 12 || b[6] != '\\' || b[7] != 'u':
		return 0, 0
	}
	low, ok := hex4(b[8:])
	if !ok || low < 0xdc00 || low >= 0xe000 {
		return 0, 0
	}
	return 0x10000 + (r-0xd800)<<10 + low - 0xdc00, 12
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// uint reads an integer from 0 to max, exactly; ok is false for null.
func (s *scanner) uint(max uint64) (n uint64, ok bool) {
	c := s.peek()
	if c == 'n' {
		s.null()
		return 0, false
	}
	start := s.i
	for ; s.i < len(s.b) && s.b[s.i]-'0' <= 9; s.i++ {
		d := uint64(s.b[s.i] - '0')
		if n > (math.MaxUint64-d)/10 {
			s.fail(causeWrong, "a number is too large")
			return 0, false
		}
		n = n*10 + d
	}
	switch {
	case s.i == start:
		s.fail(causeWrong, "an attribute is not a number from 0 on")
	case s.b[start] == '0' && s.i-start > 1:
		s.syntax("a number begins with 0")
	case s.i < len(s.b) && (s.b[s.i] == '.' || s.b[s.i]|0x20 == 'e'):
		s.fail(causeWrong, "a number is not whole")
	case n > max:
		s.fail(causeWrong, "a number is too large")
	default:
		return n, true
	}
	return 0, false
}

func (s *scanner) u32() uint32 {
	n, _ := s.uint(math.MaxUint32)
	return uint32(n)
}

func (s *scanner) boolean() bool {
	switch s.peek() {
	case 't':
		return s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.null()
	default:
		s.fail(causeWrong, "an attribute is neither true nor false")
	}
	return false
}

// time reads a date-time (RFC 3339) as Unix microseconds; null is 0.
func (s *scanner) time() int64 {
	b := s.str()
	if b == nil {
		return 0
	}
	at, ok := parseTime(b)
	if !ok {
		s.fail(causeWrong, "an instant is not of the form 2026-01-02T03:04:05Z")
	}
	return at
}

// skip passes over any value.
func (s *scanner) skip() {
	switch c := s.peek(); c {
	case '{':
		key := s.key
		for o := s.object(); s.more(&o); {
			s.skip()
		}
		s.key = key
	case '[':
		for a := s.array(); s.more(&a); {
			s.skip()
		}
	case '"':
		s.text()
	case 't':
		s.word("true")
	case 'f':
		s.word("false")
	case 'n':
		s.word("null")
	default:
		s.number()
	}
}

// number passes over a number of any form.
func (s *scanner) number() {
	if s.i < len(s.b) && s.b[s.i] == '-' {
		s.i++
	}
	zero := s.i < len(s.b) && s.b[s.i] == '0'
	n := s.digits()
	if n == 0 || zero && n > 1 {
		s.syntax("a value cannot be read")
		return
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if s.digits() == 0 {
			s.syntax("a number cannot be read")
			return
		}
	}
	if s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if s.digits() == 0 {
			s.syntax("a number cannot be read")
		}
	}
}

func (s *scanner) digits() (n int) {
	for ; s.i < len(s.b) && s.b[s.i]-'0' <= 9; s.i++ {
		n++
	}
	return n
}

// end checks that nothing follows.
func (s *scanner) end() {
	if s.peek(); s.err == nil && s.i < len(s.b) {
		s.syntax("something follows the body")
	}
}

// parseTime reads an RFC 3339 instant. The common forms, in UTC or with an offset, are read here; time.Parse judges the others.
func parseTime(b []byte) (micro int64, ok bool) {
	if len(b) < 20 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return slowTime(b)
	}
	year, month, day := two(b[0:])*100+two(b[2:]), two(b[5:]), two(b[8:])
	hour, minute, second := two(b[11:]), two(b[14:]), two(b[17:])
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour < 0 || hour > 23 || minute < 0 ||
		minute > 59 || second < 0 || second > 59 {
		return slowTime(b)
	}
	i, fraction := 19, 0
	if b[i] == '.' {
		scale := 100_000
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			fraction += int(b[i]-'0') * scale
			scale /= 10
		}
	}
	offset := 0
	switch rest := b[i:]; {
	case len(rest) == 1 && rest[0] == 'Z':
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		h, m := two(rest[1:]), two(rest[4:])
		if h < 0 || h > 23 || m < 0 || m > 59 {
			return 0, false
		}
		if offset = h*3600 + m*60; rest[0] == '-' {
			offset = -offset
		}
	default:
		return slowTime(b)
	}
	days := daysSince1970(year, month, day)
	seconds := int64(days)*86400 + int64(hour*3600+minute*60+second-offset)
	return seconds*1e6 + int64(fraction), true
}

func slowTime(b []byte) (micro int64, ok bool) {
	if len(b) > 64 {
		return 0, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	return t.UnixMicro(), err == nil
}

// two reads two digits; a negative number: they are none.
func two(b []byte) int {
	if b[0]-'0' > 9 || b[1]-'0' > 9 {
		return math.MinInt32
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

func daysOf(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts in years that begin in March, so that the leap day is their last.
func daysSince1970(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - 719468
}

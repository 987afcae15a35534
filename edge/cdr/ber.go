package cdr

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
)

// Tag is the class and number of a BER element (X.690 8.1.2), without the
// constructed bit.
type Tag uint32

// Classes of a Tag.
const (
	universal   Tag = 0
	application Tag = 1 << 30
	context     Tag = 2 << 30
	private     Tag = 3 << 30

	sequence = universal | 16
	set      = universal | 17
)

const (
	maxTag     = 1<<24 - 1 // number of a tag
	maxDepth   = 24        // of nested elements
	maxElement = 1 << 20   // octets of a record, and of any element read as a whole
)

var (
	errShort  = errors.New("the element ends early")
	errTag    = errors.New("the tag is malformed")
	errLength = errors.New("the length is malformed")
	errDepth  = fmt.Errorf("elements are nested more than %d deep", maxDepth)
	errSize   = fmt.Errorf("the element has more than %d octets", maxElement)
)

func (t Tag) String() string {
	return fmt.Sprintf("%s %d", [...]string{"universal", "application", "context", "private"}[t>>30], t&maxTag)
}

// — writing —

// putHead appends the identifier octets.
func putHead(b []byte, t Tag, constructed bool) []byte {
	first := byte(t>>30) << 6
	if constructed {
		first |= 0x20
	}
	n := t & (1<<30 - 1)
	if n < 31 {
		return append(b, first|byte(n))
	}
	b = append(b, first|31)
	for shift := 28; shift > 0; shift -= 7 {
		if n>>shift != 0 {
			b = append(b, byte(n>>shift)|0x80)
		}
	}
	return append(b, byte(n)&0x7f)
}

func putLength(b []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(b, byte(n))
	case n < 0x100:
		return append(b, 0x81, byte(n))
	case n < 0x10000:
		return append(b, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		return append(b, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// put appends a primitive element.
func put[V string | []byte](b []byte, t Tag, value V) []byte {
	return append(putLength(putHead(b, t, false), len(value)), value...)
}

// putInt appends an INTEGER in the fewest octets (X.690 8.3.2).
func putInt(b []byte, t Tag, n int64) []byte {
	size := 1
	for v := n; v > 127 || v < -128; v >>= 8 {
		size++
	}
	b = append(putHead(b, t, false), byte(size))
	for i := size - 1; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// putUint is putInt for numbers that need the 64th bit.
func putUint(b []byte, t Tag, n uint64) []byte {
	if n <= math.MaxInt64 {
		return putInt(b, t, int64(n))
	}
	b = append(putHead(b, t, false), 9, 0)
	for i := 7; i >= 0; i-- {
		b = append(b, byte(n>>(8*i)))
	}
	return b
}

// begin opens a constructed element; end closes the one that began at a place.
func begin(b []byte, t Tag) ([]byte, int) {
	b = append(putHead(b, t, true), 0)
	return b, len(b)
}

func end(b []byte, at int) []byte {
	n := len(b) - at
	if n < 0x80 {
		b[at-1] = byte(n)
		return b
	}
	var head [5]byte
	length := putLength(head[:0], n)
	b = append(b, length[1:]...) // room; overwritten
	copy(b[at+len(length)-1:], b[at:at+n])
	copy(b[at-1:], length)
	return b
}

// — reading from memory —

// element is one element and what it holds.
type element struct {
	tag         Tag
	constructed bool
	value       []byte // without end-of-contents octets
}

// head reads identifier and length octets; length is -1 if it is indefinite.
func head(b []byte) (t Tag, constructed bool, length int, rest []byte, err error) {
	if len(b) == 0 {
		return 0, false, 0, nil, errShort
	}
	first := b[0]
	t, constructed, b = Tag(first&31), first&0x20 != 0, b[1:]
	if t == 31 {
		if t, b, err = highTag(b); err != nil {
			return 0, false, 0, nil, err
		}
	}
	t |= Tag(first>>6) << 30
	if len(b) == 0 {
		return 0, false, 0, nil, errShort
	}
	n := b[0]
	b = b[1:]
	switch {
	case n < 0x80:
		return t, constructed, int(n), b, nil
	case n == 0x80:
		if !constructed {
			return 0, false, 0, nil, errLength // X.690 8.1.3.2
		}
		return t, true, -1, b, nil
	case n > 0x88:
		return 0, false, 0, nil, errLength
	}
	if len(b) < int(n&0x7f) {
		return 0, false, 0, nil, errShort
	}
	for _, c := range b[:n&0x7f] {
		if length > math.MaxInt32 {
			return 0, false, 0, nil, errSize
		}
		length = length<<8 | int(c)
	}
	return t, constructed, length, b[n&0x7f:], nil
}

func highTag(b []byte) (t Tag, rest []byte, err error) {
	for i, c := range b {
		if i == 0 && c == 0x80 {
			return 0, nil, errTag // X.690 8.1.2.4.2 c
		}
		if t = t<<7 | Tag(c&0x7f); t > maxTag {
			return 0, nil, errTag
		}
		if c&0x80 == 0 {
			return t, b[i+1:], nil
		}
	}
	return 0, nil, errShort
}

// cut takes the first element off b.
func cut(b []byte, depth int) (e element, rest []byte, err error) {
	var n int
	if depth > maxDepth {
		return e, nil, errDepth
	}
	if e.tag, e.constructed, n, b, err = head(b); err != nil {
		return e, nil, err
	}
	if n >= 0 {
		if n > len(b) {
			return e, nil, errShort
		}
		e.value = b[:n]
		return e, b[n:], nil
	}
	at := 0
	for { // indefinite: up to the end-of-contents octets
		if len(b)-at >= 2 && b[at] == 0 && b[at+1] == 0 {
			e.value = b[:at]
			return e, b[at+2:], nil
		}
		_, after, err := cut(b[at:], depth+1)
		if err != nil {
			return e, nil, err
		}
		at = len(b) - len(after)
	}
}

// rule says what to do with the elements of a tag. A reader is a table of rules, one
// for a tag.
type rule[T any] struct {
	tag   Tag
	begin func(*T)               // before what is inside
	take  func(*T, []byte) error // the contents
	in    []rule[T]              // of a constructed element
	end   func(*T)
}

// walk reads the elements in b by a table; elements that are not in it are passed
// over, as extensions are (X.680 clause 52).
func walk[T any](b []byte, table []rule[T], x *T, depth int) error {
	last := 0 // elements mostly come in the order of the table: look from here on
	for len(b) > 0 {
		e, rest, ok := cutShort(b)
		if !ok || depth > maxDepth {
			var err error
			if e, rest, err = cut(b, depth); err != nil {
				return err
			}
		}
		b = rest
		i := find(table, e.tag, last)
		if i < 0 {
			continue
		}
		last = i
		if err := table[i].apply(&e, x, depth); err != nil {
			return err
		}
	}
	return nil
}

// cutShort is cut for what most elements are: a tag and a length of one octet each.
func cutShort(b []byte) (e element, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&31 == 31 || b[1] >= 0x80 || int(b[1]) > len(b)-2 {
		return e, nil, false
	}
	n := 2 + int(b[1])
	return element{Tag(b[0]&31) | Tag(b[0]>>6)<<30, b[0]&0x20 != 0, b[2:n]}, b[n:], true
}

// find is the rule for a tag, looked for from one on and around; -1: there is none.
func find[T any](table []rule[T], t Tag, from int) int {
	for i := from; i < len(table); i++ {
		if table[i].tag == t {
			return i
		}
	}
	for i := range from {
		if table[i].tag == t {
			return i
		}
	}
	return -1
}

func (r *rule[T]) apply(e *element, x *T, depth int) error {
	if r.begin != nil {
		r.begin(x)
	}
	if r.take != nil {
		if err := r.take(x, e.value); err != nil {
			return fmt.Errorf("%v: %w", e.tag, err)
		}
	}
	if r.in != nil {
		if !e.constructed {
			return fmt.Errorf("%v: %w", e.tag, errTag)
		}
		if err := walk(e.value, r.in, x, depth+1); err != nil {
			return err
		}
	}
	if r.end != nil {
		r.end(x)
	}
	return nil
}

// integer reads an INTEGER.
func integer(b []byte) (n int64, err error) {
	if len(b) == 0 || len(b) > 8 {
		return 0, fmt.Errorf("a number of %d octets", len(b))
	}
	n = int64(int8(b[0]))
	for _, c := range b[1:] {
		n = n<<8 | int64(c)
	}
	return n, nil
}

// natural reads an INTEGER that is not below zero.
func natural(b []byte) (uint64, error) {
	if len(b) == 9 && b[0] == 0 {
		b = b[1:]
		n := uint64(0)
		for _, c := range b {
			n = n<<8 | uint64(c)
		}
		return n, nil
	}
	n, err := integer(b)
	if err == nil && n < 0 {
		err = errors.New("a number below zero")
	}
	return uint64(n), err
}

func natural32(b []byte) (uint32, error) {
	n, err := natural(b)
	if err == nil && n > math.MaxUint32 {
		err = errors.New("a number of more than 32 bits")
	}
	return uint32(n), err
}

// — reading from a stream —

// stream reads elements one after the other, and enters those that hold records
// without having them in memory as a whole.
type stream struct {
	r     *bufio.Reader
	at    int64   // octets read
	ends  []int64 // of the elements that were entered; -1: indefinite
	value []byte
	heads [16]byte
}

func newStream(r io.Reader) *stream { return &stream{r: bufio.NewReaderSize(r, 1<<16)} }

// next reads the head of the next element at this level; io.EOF at its end.
func (s *stream) next() (t Tag, constructed bool, length int64, err error) {
	if n := len(s.ends); n > 0 {
		end := s.ends[n-1]
		if end >= 0 && s.at >= end {
			if s.at > end {
				return 0, false, 0, errShort
			}
			s.ends = s.ends[:n-1]
			return 0, false, 0, io.EOF
		}
		if end < 0 {
			if p, err := s.r.Peek(2); err == nil && p[0] == 0 && p[1] == 0 {
				s.discard(2)
				s.ends = s.ends[:n-1]
				return 0, false, 0, io.EOF
			}
		}
	}
	t, constructed, length, _, err = s.head()
	return t, constructed, length, err
}

// head reads identifier and length octets, and leaves them in s.heads.
func (s *stream) head() (t Tag, constructed bool, length int64, size int, err error) {
	for n := 2; ; n++ {
		p, err := s.r.Peek(n)
		if err != nil {
			if len(p) == 0 && len(s.ends) == 0 && errors.Is(err, io.EOF) {
				return 0, false, 0, 0, io.EOF
			}
			return 0, false, 0, 0, short(err)
		}
		t, constructed, l, rest, err := head(p)
		if errors.Is(err, errShort) && n < len(s.heads) {
			continue
		}
		if err != nil {
			return 0, false, 0, 0, err
		}
		size = n - len(rest)
		copy(s.heads[:], p[:size])
		s.discard(size)
		return t, constructed, int64(l), size, nil
	}
}

func (s *stream) discard(n int) {
	d, _ := s.r.Discard(n) // these octets were peeked at before
	s.at += int64(d)
}

// enter goes into the element whose head was read.
func (s *stream) enter(length int64) error {
	if len(s.ends) >= maxDepth {
		return errDepth
	}
	if length >= 0 {
		length += s.at
		if n := len(s.ends); n > 0 && s.ends[n-1] >= 0 && length > s.ends[n-1] {
			return errShort
		}
	}
	s.ends = append(s.ends, length)
	return nil
}

// whole reads what is in the element whose head was read. It is valid until the
// next call.
func (s *stream) whole(length int64) ([]byte, error) {
	s.value = s.value[:0]
	if length >= 0 {
		err := s.take(length)
		return s.value, err
	}
	err := s.indefinite(len(s.ends))
	if err != nil {
		return nil, err
	}
	return s.value[:len(s.value)-2], nil
}

func (s *stream) take(length int64) error {
	if n := len(s.ends); n > 0 && s.ends[n-1] >= 0 && s.at+length > s.ends[n-1] {
		return errShort
	}
	at := len(s.value)
	if length > maxElement-int64(at) {
		return errSize
	}
	for length > 0 { // in pieces: a wrong length does not take memory for nothing
		n := min(length, 1<<14)
		from := len(s.value)
		s.value = append(s.value, make([]byte, n)...)
		if _, err := io.ReadFull(s.r, s.value[from:]); err != nil {
			return short(err)
		}
		s.at += n
		length -= n
	}
	return nil
}

// indefinite reads up to and with the end-of-contents octets.
func (s *stream) indefinite(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	for {
		if p, err := s.r.Peek(2); err == nil && p[0] == 0 && p[1] == 0 {
			return s.take(2)
		}
		_, _, length, size, err := s.head()
		if err != nil {
			return short(err)
		}
		if len(s.value)+size > maxElement {
			return errSize
		}
		s.value = append(s.value, s.heads[:size]...)
		if length < 0 {
			err = s.indefinite(depth + 1)
		} else {
			err = s.take(length)
		}
		if err != nil {
			return err
		}
	}
}

// skip passes over the element whose head was read.
func (s *stream) skip(length int64) error {
	if length < 0 {
		_, err := s.whole(length)
		return err
	}
	if n := len(s.ends); n > 0 && s.ends[n-1] >= 0 && s.at+length > s.ends[n-1] {
		return errShort
	}
	n, err := io.CopyN(io.Discard, s.r, length)
	s.at += n
	return short(err)
}

// short makes the end of a file in the middle of an element an error.
func short(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}

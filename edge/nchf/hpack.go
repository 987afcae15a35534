package nchf

import (
	"errors"
	"slices"
)

// Header compression of HTTP/2 (RFC 7541): the whole decoder; what we send is encoded with the static table alone, so that no state is
// shared with the peer.

// staticTable is RFC 7541 appendix A; the first entry has index 1.
var staticTable = [...]pair{{":authority", ""}, {":method", "GET"}, {":method", "POST"}, {":path", "/"}, {":path", "/index.html"},
	{":scheme", "http"}, {":scheme", "https"}, {":status", "200"}, {":status", "204"}, {":status", "206"}, {":status", "304"},
	{":status", "400"}, {":status", "404"}, {":status", "500"}, {"accept-charset", ""}, {"accept-encoding", "gzip, deflate"},
	{"accept-language", ""}, {"accept-ranges", ""}, {"accept", ""}, {"access-control-allow-origin", ""}, {"age", ""}, {"allow", ""},
	{"authorization", ""}, {"cache-control", ""}, {"content-disposition", ""}, {"content-encoding", ""}, {"content-language", ""},
	{"content-length", ""}, {"content-location", ""}, {"content-range", ""}, {"content-type", ""}, {"cookie", ""}, {"date", ""},
	{"etag", ""}, {"expect", ""}, {"expires", ""}, {"from", ""}, {"host", ""}, {"if-match", ""}, {"if-modified-since", ""},
	{"if-none-match", ""}, {"if-range", ""}, {"if-unmodified-since", ""}, {"last-modified", ""}, {"link", ""}, {"location", ""},
	{"max-forwards", ""}, {"proxy-authenticate", ""}, {"proxy-authorization", ""}, {"range", ""}, {"referer", ""}, {"refresh", ""},
	{"retry-after", ""}, {"server", ""}, {"set-cookie", ""}, {"strict-transport-security", ""}, {"transfer-encoding", ""},
	{"user-agent", ""}, {"vary", ""}, {"via", ""}, {"www-authenticate", ""}}

type pair struct{ name, value string }

// staticBytes is staticTable as the decoder hands it out.
var staticBytes = func() (t [len(staticTable)]entry) {
	for i, p := range staticTable {
		t[i] = newEntry(nil, []byte(p.name), []byte(p.value))
	}
	return t
}()

// Indices of the static table that we send.
const (
	headerAuthority     = 1
	headerPOST          = 3
	headerPath          = 4
	headerHTTP          = 6
	headerHTTPS         = 7
	headerStatus        = 8
	headerAllow         = 22
	headerAuthorization = 23
	headerLength        = 28
	headerType          = 31
	headerDate          = 33
	headerLocation      = 46
	headerRetryAfter    = 53
	headerAuthenticate  = 61
)

// huffmanLengths has one letter per octet: the length of its code in bits, A is 5 (RFC 7541 appendix B). The code is canonical, so
// the lengths say it all; the mark of the end, 30 ones, is never sent.
const huffmanLengths = "ISXXXXXXXTZXXZXXXXXXXXZXXXXXXXXXBFFHIBDGFFDGDBBBAAABBBBBBBCDKBHF" +
	"IBCCCCCCCCCCCCCCCCCCCCCCDCDIOIJBKABABABBBACCBBBABCBAABCCCCCKGJIX" +
	"PRPPRRRSRSSSSSTSTTRSTSSSSQRSRSSTRQPRRSSQSRRTQRSSQQRQSRSSPRRRSRRS" +
	"VVPORSRUVVVWWVTUOQVWWVWTQQVVXWWWPTPQRQQSRRUUTTVSVWVVWWWWWXWWWWWV"

// huffman finds the symbol of a code: the codes of one length follow each other, so a code of length n, moved to the left end of 32
// bits, lies below end[n], and its place among those of its length leads to the symbol.
var huffman = func() (h struct {
	end     [31]uint64
	offset  [31]int
	symbols []byte
}) {
	code := uint64(0)
	for n := 5; n <= 30; n++ {
		code <<= 1
		if n == 5 {
			code = 0
		}
		h.offset[n] = len(h.symbols) - int(code)
		for s := range 256 {
			if int(huffmanLengths[s]-'A')+5 == n {
				h.symbols = append(h.symbols, byte(s))
				code++
			}
		}
		h.end[n] = code << (32 - n)
	}
	return h
}()

var errCompression = errors.New("the header block cannot be decompressed")

// appendHuffman decodes src; the padding must be the beginning of the mark of the end and shorter than an octet (RFC 7541 5.2).
func appendHuffman(dst, src []byte, limit int) ([]byte, error) {
	var window uint64 // the next bits, left in 64
	have := 0
	for i := 0; ; {
		for ; have <= 56 && i < len(src); i++ {
			window |= uint64(src[i]) << (56 - have)
			have += 8
		}
		top := window >> 32
		n := 5
		for n <= 30 && top >= huffman.end[n] {
			n++
		}
		if n > 30 || n > have {
			if have >= 8 || window != ^uint64(0)<<(64-have) {
				return dst, errCompression
			}
			return dst, nil
		}
		if len(dst) == limit {
			return dst, errCompression
		}
		dst = append(dst, huffman.symbols[huffman.offset[n]+int(top>>(32-n))])
		window <<= n
		have -= n
	}
}

// entry is one field of the dynamic table; its memory is used again.
type entry struct {
	name int // octets of the name in text
	text []byte
}

func newEntry(memory, name, value []byte) entry {
	return entry{len(name), append(append(memory[:0], name...), value...)}
}

func (e *entry) size() int { return len(e.text) + 32 }

// tableSize is the size of the dynamic table that we let a peer use: the value that holds without a setting (RFC 9113 6.5.2).
const tableSize = 4096

// decompressor decodes the header blocks of one connection, in order.
type decompressor struct {
	table   []entry // the newest last
	spare   [][]byte
	size    int
	max     int
	total   int // octets of the list so far, as RFC 9113 10.5.1 counts them
	limit   int // of total; 0: none
	name    []byte
	value   []byte
	scratch []byte
}

var errTooLarge = errors.New("the header list is too large")

// decode hands every field of a block to field, valid for the call. What is beyond the limit is decoded, to keep the table, and not
// handed over; the error is then errTooLarge, and the connection can go on.
func (d *decompressor) decode(b []byte, field func(name, value []byte)) error {
	d.total = 0
	started := false
	for len(b) > 0 {
		var err error
		first := b[0]
		if first&0xe0 == 0x20 {
			if started {
				return errCompression
			}
			b, err = d.resize(b)
		} else {
			started = true
			b, err = d.field(b)
		}
		if err != nil {
			return err
		}
		if first&0xe0 == 0x20 {
			continue
		}
		if d.total += len(d.name) + len(d.value) + 32; d.limit == 0 || d.total <= d.limit {
			field(d.name, d.value)
		}
	}
	if d.limit > 0 && d.total > d.limit {
		return errTooLarge
	}
	return nil
}

// resize obeys a dynamic table size update (RFC 7541 6.3).
func (d *decompressor) resize(b []byte) ([]byte, error) {
	n, b, ok := integer(b, 5)
	if !ok || n > tableSize {
		return nil, errCompression
	}
	d.max = n
	d.evict(0)
	return b, nil
}

// field reads one representation (RFC 7541 6.1, 6.2) into d.name and d.value.
func (d *decompressor) field(b []byte) ([]byte, error) {
	prefix := 4
	switch {
	case b[0]&0x80 != 0:
		i, rest, ok := integer(b, 7)
		e := d.at(i)
		if !ok || e == nil {
			return nil, errCompression
		}
		d.name, d.value = e.text[:e.name], e.text[e.name:]
		return rest, nil
	case b[0]&0x40 != 0:
		prefix = 6
	}
	i, rest, ok := integer(b, prefix)
	if !ok {
		return nil, errCompression
	}
	d.scratch = d.scratch[:0]
	var err error
	if i == 0 {
		if rest, err = d.text(rest); err != nil {
			return nil, err
		}
	} else if e := d.at(i); e != nil {
		d.scratch = append(d.scratch, e.text[:e.name]...)
	} else {
		return nil, errCompression
	}
	n := len(d.scratch)
	if rest, err = d.text(rest); err != nil {
		return nil, err
	}
	d.name, d.value = d.scratch[:n], d.scratch[n:]
	if prefix == 6 {
		d.insert()
	}
	return rest, nil
}

// maxText caps one decoded string: a Huffman code may be shorter than its octet.
const maxText = 64 << 10

// text appends a string literal to d.scratch (RFC 7541 5.2).
func (d *decompressor) text(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errCompression
	}
	coded := b[0]&0x80 != 0
	n, b, ok := integer(b, 7)
	if !ok || n > len(b) || n > maxText {
		return nil, errCompression
	}
	var err error
	if coded {
		d.scratch, err = appendHuffman(d.scratch, b[:n], 2*maxText)
	} else {
		d.scratch = append(d.scratch, b[:n]...)
	}
	return b[n:], err
}

// at finds an entry; the static table comes first, then the newest of the dynamic one. nil: there is none.
func (d *decompressor) at(i int) *entry {
	switch {
	case i <= 0:
		return nil
	case i <= len(staticBytes):
		return &staticBytes[i-1]
	case i-len(staticBytes) > len(d.table):
		return nil
	}
	return &d.table[len(d.table)-(i-len(staticBytes))]
}

// insert adds d.name and d.value to the dynamic table; a field larger than the table empties it (RFC 7541 4.4).
func (d *decompressor) insert() {
	need := len(d.name) + len(d.value) + 32
	d.evict(need)
	if need > d.max {
		return
	}
	var memory []byte
	if n := len(d.spare); n > 0 {
		memory, d.spare = d.spare[n-1], d.spare[:n-1]
	}
	d.table = append(d.table, newEntry(memory, d.name, d.value))
	d.size += need
}

// evict drops the oldest entries until need more octets fit.
func (d *decompressor) evict(need int) {
	n := 0
	for n < len(d.table) && d.size+need > d.max {
		d.size -= d.table[n].size()
		if len(d.spare) < 64 {
			d.spare = append(d.spare, d.table[n].text)
		}
		n++
	}
	d.table = slices.Delete(d.table, 0, n)
}

// integer reads a prefixed integer (RFC 7541 5.1); those above 2^28 are refused.
func integer(b []byte, prefix int) (n int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	mask := 1<<prefix - 1
	n = int(b[0]) & mask
	b = b[1:]
	if n < mask {
		return n, b, true
	}
	for shift := 0; shift <= 21 && len(b) > 0; shift += 7 {
		n += int(b[0]&0x7f) << shift
		more := b[0]&0x80 != 0
		b = b[1:]
		if !more {
			return n, b, true
		}
	}
	return 0, nil, false
}

func appendInteger(b []byte, first byte, prefix, n int) []byte {
	mask := 1<<prefix - 1
	if n < mask {
		return append(b, first|byte(n))
	}
	b = append(b, first|byte(mask))
	for n -= mask; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// appendField encodes a field whose name has an index in the static table, without indexing (RFC 7541 6.2.2).
func appendField[T []byte | string](b []byte, index int, value T) []byte {
	b = appendInteger(b, 0, 4, index)
	b = appendInteger(b, 0, 7, len(value))
	return append(b, value...)
}

// appendNamed encodes a field with a name of its own.
func appendNamed(b []byte, name, value string) []byte {
	b = append(b, 0)
	b = appendInteger(b, 0, 7, len(name))
	b = append(b, name...)
	b = appendInteger(b, 0, 7, len(value))
	return append(b, value...)
}

// appendStatus encodes :status.
func appendStatus(b []byte, status int) []byte {
	switch status {
	case 200:
		return append(b, 0x80|8)
	case 204:
		return append(b, 0x80|9)
	case 400:
		return append(b, 0x80|12)
	case 404:
		return append(b, 0x80|13)
	case 500:
		return append(b, 0x80|14)
	}
	text := [3]byte{'0' + byte(status/100%10), '0' + byte(status/10%10), '0' + byte(status%10)}
	return appendField(b, headerStatus, text[:])
}

package cdr

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

var (
	errDigits = errors.New("digits that are none")
	errTime   = errors.New("an instant that cannot be")
)

const hexDigits = "0123456789abcdef"

// swapped reads digits that lie low half first and end with 0xf (TBCD, TS 29.002
// 17.7.8).
func (r *Record) swapped(b []byte) []byte {
	at := len(r.text)
	for _, c := range b {
		for _, d := range [...]byte{c & 15, c >> 4} {
			if d == 15 {
				break
			}
			r.text = append(r.text, "0123456789*#abc"[d])
		}
	}
	return r.text[at:len(r.text):len(r.text)]
}

// straight reads digits that lie high half first (BCDString of TD.57).
func (r *Record) straight(b []byte) []byte {
	at := len(r.text)
	for _, c := range b {
		for _, d := range [...]byte{c >> 4, c & 15} {
			if d == 15 {
				break
			}
			r.text = append(r.text, hexDigits[d])
		}
	}
	return r.text[at:len(r.text):len(r.text)]
}

// address reads an ISDN address: nature and plan of the number, then its digits.
func (r *Record) address(b []byte) ([]byte, error) {
	if len(b) < 1 || len(b) > 20 {
		return nil, errDigits
	}
	return r.swapped(b[1:]), nil
}

// putSwapped appends digits low half first.
func putSwapped(b []byte, t Tag, lead []byte, digits []byte) []byte {
	b = append(putLength(putHead(b, t, false), len(lead)+(len(digits)+1)/2), lead...)
	for i := 0; i < len(digits); i += 2 {
		high := byte(15)
		if i+1 < len(digits) {
			high = nibble(digits[i+1])
		}
		b = append(b, high<<4|nibble(digits[i]))
	}
	return b
}

func putStraight(b []byte, t Tag, digits []byte) []byte {
	b = putLength(putHead(b, t, false), (len(digits)+1)/2)
	for i := 0; i < len(digits); i += 2 {
		low := byte(15)
		if i+1 < len(digits) {
			low = nibble(digits[i+1])
		}
		b = append(b, nibble(digits[i])<<4|low)
	}
	return b
}

func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'e':
		return c - 'a' + 10
	case c == '*':
		return 10
	case c == '#':
		return 11
	}
	return 15
}

// number reads decimal text.
func number(b []byte) (n int64, err error) {
	if len(b) == 0 || len(b) > 18 {
		return 0, errDigits
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errDigits
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

func trim(b []byte) []byte {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// clean is text as it may be stored: what is not printable ASCII is not text.
func clean(b []byte) []byte {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return nil
		}
	}
	return b
}

// plmn reads a network in the three octets of TS 24.008 10.5.1.13.
func plmn(b []byte) (uint32, error) {
	if len(b) != 3 {
		return 0, errDigits
	}
	d := [...]byte{b[0] & 15, b[0] >> 4, b[1] & 15, b[2] & 15, b[2] >> 4, b[1] >> 4}
	n := uint32(0)
	for i, x := range d {
		if i == 5 && x == 15 {
			break // a network code of two digits
		}
		if x > 9 {
			return 0, errDigits
		}
		n = n*10 + uint32(x)
	}
	if d[5] == 15 {
		return n/100*1000 + n%100, nil
	}
	return n, nil
}

// putPLMN writes a network; codes below 100 have two digits.
func putPLMN(b []byte, t Tag, n uint32) []byte {
	c, m := n/1000%1000, n%1000
	d := [6]byte{byte(c / 100), byte(c / 10 % 10), byte(c % 10), byte(m / 100), byte(m / 10 % 10), byte(m % 10)}
	if m < 100 {
		d = [6]byte{d[0], d[1], d[2], d[4], d[5], 15}
	}
	return put(b, t, []byte{d[1]<<4 | d[0], d[5]<<4 | d[2], d[4]<<4 | d[3]})
}

// instant reads a TimeStamp of TS 32.298 5.1.1.12: YYMMDDhhmmss in half octets,
// the sign of the zone in ASCII, and hhmm of it.
func instant(b []byte) (int64, error) {
	if len(b) != 9 || b[6] != '+' && b[6] != '-' {
		return 0, errTime
	}
	var d [8]int
	for i, at := range [...]int{0, 1, 2, 3, 4, 5, 7, 8} {
		high, low := int(b[at]>>4), int(b[at]&15)
		if high > 9 || low > 9 {
			return 0, errTime
		}
		d[i] = high*10 + low
	}
	zone := d[6]*3600 + d[7]*60
	if b[6] == '-' {
		zone = -zone
	}
	return civil(2000+d[0], d[1], d[2], d[3], d[4], d[5], zone)
}

func civil(year, month, day, hour, minute, second, zone int) (int64, error) {
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || zone < -86400 || zone > 86400 {
		return 0, errTime
	}
	return (days(year, month, day)*86400 + int64(hour*3600+minute*60+second-zone)) * 1e6, nil
}

// days since 1970 of a date in the Gregorian calendar.
func days(y, m, d int) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	ofEra := y - era*400
	ofYear := (153*(m-3)+2)/5 + d - 1
	return int64(era)*146097 + int64(ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}

func putInstant(b []byte, t Tag, at int64) []byte {
	x := time.UnixMicro(at).UTC()
	b = putLength(putHead(b, t, false), 9)
	for _, n := range [...]int{x.Year() % 100, int(x.Month()), x.Day(), x.Hour(), x.Minute(), x.Second()} {
		b = append(b, byte(n/10<<4|n%10))
	}
	return append(b, '+', 0, 0)
}

// local reads CCYYMMDDhhmmss at an offset from UTC, in seconds.
func local(b []byte, zone int) (int64, error) {
	if len(b) != 14 {
		return 0, errTime
	}
	n, err := number(b)
	if err != nil {
		return 0, errTime
	}
	return civil(int(n/1e10), int(n/1e8%100), int(n/1e6%100), int(n/1e4%100), int(n/100%100), int(n%100), zone)
}

// offset reads +hhmm, in seconds.
func offset(b []byte) (int, error) {
	if len(b) != 5 || b[0] != '+' && b[0] != '-' {
		return 0, errTime
	}
	n, err := number(b[1:])
	if err != nil || n%100 > 59 || n > 1500 {
		return 0, errTime
	}
	s := int(n/100*3600 + n%100*60)
	if b[0] == '-' {
		s = -s
	}
	return s, nil
}

func localText(at int64) string { return time.UnixMicro(at).UTC().Format("20060102150405") }

// at names the place of an error.
func at(position int64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("record %d: %w", position, err)
}

func decimal(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }

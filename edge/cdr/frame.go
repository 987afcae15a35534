package cdr

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Closing is why a file was closed (TS 32.297 6.1.1.11).
type Closing uint8

const (
	Normal       Closing = 0
	SizeLimit    Closing = 1
	TimeLimit    Closing = 2
	CountLimit   Closing = 3
	Manual       Closing = 4
	OtherRelease Closing = 5
	Abnormal     Closing = 128
)

// Standard says by which specification a record is written (TS 32.297 6.1.2.4).
type Standard uint8

const (
	TS32251 Standard = 7  // packet data, PGWRecord
	TS32255 Standard = 20 // 5G data, CHFRecord
)

const (
	headFixed   = 50 // octets of the file header up to the routeing filter
	headWritten = headFixed + 4
	encodingBER = 1
	release     = 7       // above 9: the extension octet says which
	releaseMore = 17 - 10 // Rel-17, counted from 10
	unknownSize = 0xffffffff
	recordHead  = 4 // octets of the header of a record, without the extension octet
)

// threeGPP reads a file of TS 32.297.
type threeGPP struct {
	r    *bufio.Reader // which holds a record of any size
	head Head
	left uint32 // records
	rest int64  // octets of the file; -1: not said
}

// New3GPP reads a file of TS 32.297 with records of TS 32.298 in BER.
func New3GPP(r io.Reader) (Reader, error) {
	f := &threeGPP{r: bufio.NewReaderSize(r, 2<<16)}
	if err := f.readHead(); err != nil {
		return nil, fmt.Errorf("file header: %w", err)
	}
	return f, nil
}

func (f *threeGPP) readHead() error {
	var b [headFixed]byte
	if _, err := io.ReadFull(f.r, b[:]); err != nil {
		return short(err)
	}
	length, size := binary.BigEndian.Uint32(b[0:]), binary.BigEndian.Uint32(b[4:])
	f.left = binary.BigEndian.Uint32(b[18:])
	f.head.Sequence = int64(binary.BigEndian.Uint32(b[22:]))
	f.head.Closing, f.head.Lost = Closing(b[26]), b[47]
	f.head.Source = fmt.Sprintf("%x", b[27:47])
	read := uint32(headFixed)
	skip := func(n int) error {
		d, err := f.r.Discard(n)
		read += uint32(d)
		return short(err)
	}
	if err := skip(int(binary.BigEndian.Uint16(b[48:]))); err != nil {
		return err
	}
	var two [2]byte
	if _, err := io.ReadFull(f.r, two[:]); err != nil {
		return short(err)
	}
	read += 2
	more := int(binary.BigEndian.Uint16(two[:])) // private extension
	for _, c := range b[8:10] {
		if c>>5 == release {
			more++
		}
	}
	if err := skip(more); err != nil {
		return err
	}
	if size != unknownSize && size != read {
		return fmt.Errorf("it says %d octets and has %d", size, read)
	}
	f.rest = -1
	if length != unknownSize {
		if f.rest = int64(length) - int64(read); f.rest < 0 {
			return errLength
		}
	}
	return nil
}

func (f *threeGPP) Head() Head { return f.head }

// Next reads the next record of a sort that is covered.
func (f *threeGPP) Next(r *Record) error {
	for {
		if f.left == 0 {
			return f.finish()
		}
		body, err := f.one()
		if err != nil {
			return at(f.head.Records+f.head.Skipped+1, err)
		}
		f.left--
		r.Reset()
		covered, err := decode3GPP(body, r)
		switch {
		case err != nil:
			return at(f.head.Records+f.head.Skipped+1, err)
		case !covered:
			f.head.Skipped++
			continue
		}
		f.head.Records++
		r.Position = f.head.Records + f.head.Skipped
		return nil
	}
}

// finish is the end of the file: nothing may follow the last record.
func (f *threeGPP) finish() error {
	if f.rest > 0 {
		return fmt.Errorf("the file header says there are %d octets more", f.rest)
	}
	if _, err := f.r.ReadByte(); err == nil {
		return errors.New("there is more in the file than its header says")
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

// one reads the header of a record and the record, which is valid until the next one.
func (f *threeGPP) one() ([]byte, error) {
	h, err := f.r.Peek(recordHead)
	if err != nil {
		return nil, short(err)
	}
	head, n, encoding := recordHead, int(binary.BigEndian.Uint16(h)), h[3]>>5
	if h[2]>>5 == release {
		head++
	}
	if encoding != encodingBER {
		return nil, fmt.Errorf("it is encoded in format %d; only BER (1) is read", encoding)
	}
	b, err := f.r.Peek(head + n)
	if err != nil {
		return nil, short(err)
	}
	f.r.Discard(head + n) // they are in the buffer
	if f.rest >= 0 {
		if f.rest -= int64(head + n); f.rest < 0 {
			return nil, errLength
		}
	}
	return b[head:], nil
}

// Frame makes a file of TS 32.297.
type Frame struct {
	Sequence uint32
	Standard Standard
	Node     [20]byte // address of who wrote it, as an IPv6 address in the first 16 octets
	Opened   time.Time

	file  []byte // room for the header, and the records
	count uint32
	last  time.Time
}

// Reset begins another file in the same memory; what Close returned is no more.
func (f *Frame) Reset() {
	*f = Frame{file: f.file[:0]}
}

// Add appends a record, at most 65,535 octets.
func (f *Frame) Add(body []byte, at time.Time) error {
	if len(body) > 0xffff {
		return errSize
	}
	f.leaveRoom()
	f.file = binary.BigEndian.AppendUint16(f.file, uint16(len(body)))
	f.file = append(f.file, release<<5, encodingBER<<5|byte(f.Standard), releaseMore)
	f.file = append(f.file, body...)
	f.count++
	f.last = at
	return nil
}

// leaveRoom leaves room for the header.
func (f *Frame) leaveRoom() {
	if len(f.file) == 0 {
		f.file = append(f.file, make([]byte, headWritten)...)
	}
}

// Len is how large the file is.
func (f *Frame) Len() int { return max(len(f.file), headWritten) }

// Close is the file. Nothing is added any more.
func (f *Frame) Close(why Closing) []byte {
	f.leaveRoom()
	b := binary.BigEndian.AppendUint32(f.file[:0], uint32(len(f.file)))
	b = binary.BigEndian.AppendUint32(b, headWritten)
	b = append(b, release<<5, release<<5)
	last := f.last
	if last.IsZero() {
		last = f.Opened
	}
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, stamp(f.Opened)), stamp(last))
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, f.count), f.Sequence)
	b = append(b, byte(why))
	b = append(b, f.Node[:]...)
	b = append(b, 0)          // no records were lost
	b = append(b, 0, 0, 0, 0) // no routeing filter, no private extension
	b = append(b, releaseMore, releaseMore)
	return b[:len(f.file)] // the records lie behind
}

// stamp is a time of the file header: month, day, hour and minute here, and the
// offset from UTC (TS 32.297 6.1.1.6), which is none.
func stamp(t time.Time) uint32 {
	t = t.UTC()
	return uint32(t.Month())<<28 | uint32(t.Day())<<23 | uint32(t.Hour())<<18 | uint32(t.Minute())<<12 | 1<<11
}

// Write puts a file into its place: it is written under another name, made durable
// and then renamed, so nobody sees half of it.
func Write(path string, body []byte) error {
	tmp := Temporary(path)
	if err := WriteTemporary(path, body); err != nil {
		return err
	}
	return Place(tmp, path)
}

// Temporary is the name of a file while it is being written.
func Temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
}

// WriteTemporary writes a file under its temporary name and makes it durable.
func WriteTemporary(path string, body []byte) (err error) {
	f, err := os.OpenFile(Temporary(path), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	if _, err = f.Write(body); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncFolder(path)
}

// Place gives a file its name.
func Place(from, path string) error {
	if err := os.Rename(from, path); err != nil {
		return err
	}
	return syncFolder(path)
}

// syncFolder makes the names in a file's folder durable.
func syncFolder(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"tandem/edge/hlr"
)

// number is a digit string of 1 to 15 digits with a leading 1, so that leading zeros count: "007" is 1007. Zero is none.
type number uint64

func parseNumber(s string, least int) (number, bool) {
	if len(s) < least || len(s) > 15 {
		return 0, false
	}
	n := number(1)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + number(s[i]-'0')
	}
	return n, true
}

func (n number) String() string {
	if n == 0 {
		return "none"
	}
	return strconv.FormatUint(uint64(n), 10)[1:]
}

// algorithm is an authentication algorithm; 0 is none.
type algorithm byte

var algorithmNames = [...]string{"none", "COMP128v1", "COMP128v2", "COMP128v3", "XOR", "MILENAGE"}

const (
	xor      algorithm = 4
	milenage algorithm = 5
)

func parseAlgorithm(s string) (algorithm, bool) {
	for i, name := range algorithmNames {
		if strings.EqualFold(s, name) {
			return algorithm(i), true
		}
	}
	return 0, false
}

func (a algorithm) String() string { return algorithmNames[a] }

// keys3G is the aud3g record of a subscriber.
type keys3G struct {
	algo    algorithm
	isOP    bool
	indBits byte
	k, op   hlr.Secret
}

// keys2G is the aud2g record of a subscriber.
type keys2G struct {
	algo algorithm
	ki   hlr.Secret
}

// subscriber is one row. An imsi of 0 is a free id.
type subscriber struct {
	imsi, msisdn number
	cs, ps       bool
	aud3g        keys3G
}

// store holds all subscribers in memory and every change in the journal.
type store struct {
	mu       sync.RWMutex
	rows     []subscriber // by id; row 0 is never used; the last row is never free
	live     int
	byIMSI   map[number]uint32
	byMSISDN map[number]uint32
	aud2g    map[uint32]keys2G // few SIMs have one
	journal  *os.File
	lock     *os.File
	pending  []byte // records not yet written
	broken   error  // a failed write: memory is ahead of the journal, nothing more is answered
}

const journalName = "hlr.journal"

// openStore loads dir and makes its journal short. Two processes cannot open one directory.
func openStore(dir string) (_ *store, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &store{
		rows:     make([]subscriber, 1),
		byIMSI:   map[number]uint32{},
		byMSISDN: map[number]uint32{},
		aud2g:    map[uint32]keys2G{},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.lock, err = os.OpenFile(filepath.Join(dir, "hlr.lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("%s is in use by another process: %w", dir, err)
	}
	path := filepath.Join(dir, journalName)
	if s.journal, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	records, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if records > 2*s.live+10_000 {
		return s, s.compact(path)
	}
	return s, nil
}

// load replays the journal. A last record without its line end was never answered: it is cut off. Any other damage is an error.
func (s *store) load() (records int, err error) {
	r := bufio.NewReaderSize(s.journal, 1<<20)
	var good int64
	for {
		line, err := r.ReadSlice('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("after octet %d: %w", good, err)
		}
		if err := s.replay(line[:len(line)-1]); err != nil {
			return 0, fmt.Errorf("record at octet %d: %w", good, err)
		}
		good += int64(len(line))
		records++
	}
	if err := s.journal.Truncate(good); err != nil {
		return 0, err
	}
	_, err = s.journal.Seek(good, io.SeekStart)
	return records, err
}

var errRecord = errors.New("the journal is damaged")

// replay applies one record: "CRC put id imsi msisdn cs ps algo,isop,ind,k,op algo,ki" or "CRC del id".
func (s *store) replay(line []byte) error {
	sum, body, ok := bytes.Cut(line, []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if !ok || err != nil || crc32.ChecksumIEEE(body) != uint32(want) {
		return errRecord
	}
	f := strings.Split(string(body), " ")
	if len(f) < 2 {
		return errRecord
	}
	id, err := strconv.ParseUint(f[1], 10, 32)
	if err != nil || id == 0 {
		return errRecord
	}
	if f[0] == "del" && len(f) == 2 && s.get(uint32(id)) != nil {
		s.remove(uint32(id))
		return nil
	}
	if f[0] != "put" || len(f) != 8 {
		return errRecord
	}
	return s.replayPut(uint32(id), f[2:])
}

func (s *store) replayPut(id uint32, f []string) error {
	row := subscriber{cs: f[2] == "1", ps: f[3] == "1"}
	var ok bool
	if row.imsi, ok = parseNumber(f[0], 1); !ok {
		return errRecord
	}
	if f[1] != "-" {
		if row.msisdn, ok = parseNumber(f[1], 1); !ok {
			return errRecord
		}
	}
	if f[4] != "-" {
		var err error
		if row.aud3g, err = parse3G(strings.Split(f[4], ",")); err != nil {
			return errRecord
		}
	}
	var two keys2G
	if f[5] != "-" {
		var err error
		if two, err = parse2G(strings.Split(f[5], ",")); err != nil {
			return errRecord
		}
	}
	s.put(id, row)
	s.put2G(id, two)
	return nil
}

// get returns the row of an id, or nil.
func (s *store) get(id uint32) *subscriber {
	if int(id) >= len(s.rows) || s.rows[id].imsi == 0 {
		return nil
	}
	return &s.rows[id]
}

// put replaces the row of an id and keeps the indexes.
func (s *store) put(id uint32, row subscriber) {
	for int(id) >= len(s.rows) {
		s.rows = append(s.rows, subscriber{})
	}
	old := &s.rows[id]
	if old.imsi == 0 {
		s.live++
	}
	if old.imsi != row.imsi {
		delete(s.byIMSI, old.imsi)
		s.byIMSI[row.imsi] = id
	}
	if old.msisdn != row.msisdn {
		delete(s.byMSISDN, old.msisdn)
		if row.msisdn != 0 {
			s.byMSISDN[row.msisdn] = id
		}
	}
	*old = row
}

func (s *store) put2G(id uint32, k keys2G) {
	if k.algo == 0 {
		delete(s.aud2g, id)
		return
	}
	s.aud2g[id] = k
}

// remove deletes a row. The next id is the highest one in use plus 1, as in SQLite, so free rows at the end go.
func (s *store) remove(id uint32) {
	row := &s.rows[id]
	delete(s.byIMSI, row.imsi)
	delete(s.byMSISDN, row.msisdn)
	delete(s.aud2g, id)
	*row = subscriber{}
	s.live--
	for len(s.rows) > 1 && s.rows[len(s.rows)-1].imsi == 0 {
		s.rows = s.rows[:len(s.rows)-1]
	}
}

// save changes a row and puts the change in the pending records.
func (s *store) save(id uint32, row subscriber) {
	s.put(id, row)
	s.pending = s.appendPut(s.pending, id)
}

func (s *store) save2G(id uint32, k keys2G) {
	s.put2G(id, k)
	s.pending = s.appendPut(s.pending, id)
}

func (s *store) erase(id uint32) {
	s.remove(id)
	s.pending = appendRecord(s.pending, func(b []byte) []byte {
		return strconv.AppendUint(append(b, "del "...), uint64(id), 10)
	})
}

func (s *store) appendPut(b []byte, id uint32) []byte {
	row := &s.rows[id]
	return appendRecord(b, func(b []byte) []byte {
		b = strconv.AppendUint(append(b, "put "...), uint64(id), 10)
		b = append(append(b, ' '), row.imsi.String()...)
		b = append(b, ' ')
		if row.msisdn == 0 {
			b = append(b, '-')
		} else {
			b = append(b, row.msisdn.String()...)
		}
		b = append(append(b, ' '), bit(row.cs)...)
		b = append(append(b, ' '), bit(row.ps)...)
		b = append(b, ' ')
		if row.aud3g.algo == 0 {
			b = append(b, '-')
		} else {
			b = append(b, row.aud3g.wire()...)
		}
		b = append(b, ' ')
		if two := s.aud2g[id]; two.algo == 0 {
			b = append(b, '-')
		} else {
			b = append(b, two.wire()...)
		}
		return b
	})
}

// appendRecord appends "CRC body\n".
func appendRecord(b []byte, body func([]byte) []byte) []byte {
	const hexDigits = "0123456789abcdef"
	start := len(b)
	b = append(b, "00000000 "...)
	b = body(b)
	sum := crc32.ChecksumIEEE(b[start+9:])
	for i := range 8 {
		b[start+i] = hexDigits[sum>>(28-4*i)&15]
	}
	return append(b, '\n')
}

// flush writes the pending records. It is called under the lock and before the replies go out, so nobody sees a change that a
// crash could undo.
func (s *store) flush() error {
	if s.broken != nil {
		return s.broken
	}
	if len(s.pending) == 0 {
		return nil
	}
	_, s.broken = s.journal.Write(s.pending)
	s.pending = s.pending[:0]
	return s.broken
}

// compact writes one record for each subscriber to a new file and puts it in the place of the journal.
func (s *store) compact(path string) error {
	next, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := s.writeAll(next); err != nil {
		next.Close()
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		next.Close()
		return err
	}
	s.journal.Close()
	s.journal = next
	return nil
}

func (s *store) writeAll(f *os.File) error {
	w := bufio.NewWriterSize(f, 1<<20)
	var b []byte
	for id := range s.rows {
		if s.rows[id].imsi == 0 {
			continue
		}
		b = s.appendPut(b[:0], uint32(id))
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

func (s *store) close() {
	for _, f := range []*os.File{s.journal, s.lock} {
		if f != nil {
			f.Close()
		}
	}
}

package cdr

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"tandem/edge/credit"
)

// Kind is what sort of record it was in its file.
type Kind uint8

const (
	Other Kind = iota
	PGW        // TS 32.298 PGWRecord
	CHF        // TS 32.298 CHFRecord
	MOC        // mobile originated call or message (TAP, NRTRDE)
	MTC        // mobile terminated
	GPRS       // TAP, NRTRDE
	Line       // of CSV or JSON
)

var kindNames = [...]string{"other", "pgw", "chf", "moc", "mtc", "gprs", "line"}

func (k Kind) String() string { return kindNames[k] }

// Record is one usage record, whatever it was written in. Its text lies in memory
// of the record itself and is valid until the next Reset.
type Record struct {
	Position   int64 // in its file, from 1
	Kind       Kind
	Service    credit.Service
	Incoming   bool
	Roaming    bool
	RAT        uint8
	Cause      uint8  // for closing the record (TS 32.298) or for termination (TD.57)
	Number     uint32 // of a partial record within its session
	PLMN       uint32 // visited: MCC * 1000 + MNC
	Start      int64  // Unix microseconds
	Seconds    uint64 // how long it lasted
	Charge     int64  // what its writer charges, 10^-9 of the major unit
	HasCharge  bool
	Session    []byte // what its writer calls the session; see Identity
	IMSI       []byte
	MSISDN     []byte
	Name       []byte // any other name of the subscriber
	Calling    []byte
	Called     []byte
	Access     []byte // APN or DNN
	Device     []byte // IMEI
	ChargingID []byte
	Node       []byte // the element that served, as the file names it
	Network    []byte // the sender of a roaming file (TADIG code)
	Item       []byte
	Usage      []Usage

	text  []byte
	named subscription
}

// Usage is one use in a record: of a rating group, or the only one.
type Usage struct {
	HasGroup bool
	Group    uint32
	Service  uint32 // service identifier
	Units    credit.Units
	First    int64 // Unix microseconds; 0: the start of the record
	Last     int64
	Charge   int64
}

// Reset empties r and keeps its memory.
func (r *Record) Reset() {
	usage, text := r.Usage[:0], r.text[:0]
	*r = Record{Usage: usage, text: text}
}

// keep copies text into the record.
func (r *Record) keep(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	at := len(r.text)
	r.text = append(r.text, text...)
	return r.text[at:len(r.text):len(r.text)]
}

// add appends a use.
func (r *Record) add() *Usage {
	r.Usage = append(r.Usage, Usage{})
	return &r.Usage[len(r.Usage)-1]
}

// last is the use that is being read.
func (r *Record) last() *Usage {
	if len(r.Usage) == 0 {
		return r.add()
	}
	return &r.Usage[len(r.Usage)-1]
}

// Copy makes r a copy of from, in memory of its own.
func (r *Record) Copy(from *Record) {
	usage, text := append(r.Usage[:0], from.Usage...), r.text[:0]
	*r = *from
	r.Usage, r.text = usage, text
	for _, f := range r.texts() {
		*f = r.keep(*f)
	}
}

func (r *Record) texts() [12]*[]byte {
	return [...]*[]byte{&r.Session, &r.IMSI, &r.MSISDN, &r.Name, &r.Calling, &r.Called, &r.Access, &r.Device, &r.ChargingID, &r.Node, &r.Network, &r.Item}
}

// Digest is of all that a charge depends on: two records with the same identity
// and the same digest are the same record.
func (r *Record) Digest() uint64 {
	var b [512]byte
	x := append(b[:0], byte(r.Service), bit(r.Incoming), r.RAT)
	x = binary.LittleEndian.AppendUint32(x, r.PLMN)
	x = binary.LittleEndian.AppendUint64(x, uint64(r.Start))
	for _, f := range [...][]byte{r.IMSI, r.MSISDN, r.Name, r.Calling, r.Called, r.Access, r.Item} {
		x = append(binary.AppendUvarint(x, uint64(len(f))), f...)
	}
	for i := range r.Usage {
		u := &r.Usage[i]
		x = append(x, byte(u.Units.Has), bit(u.HasGroup))
		x = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(x, u.Group), u.Service)
		for _, n := range [...]uint64{u.Units.Seconds, u.Units.Total, u.Units.Input, u.Units.Output, u.Units.Events, uint64(u.Units.Money), uint64(u.First)} {
			x = binary.AppendUvarint(x, n)
		}
	}
	return xxhash.Sum64(x)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Identity names the record among those of its source, as a number.
func (r *Record) Identity() uint64 {
	var b [128]byte
	return xxhash.Sum64(binary.LittleEndian.AppendUint32(append(b[:0], r.Session...), r.Number))
}

// Fill makes a request of the record: use that has happened (PEC), of a date of its
// own. It is named by source, session and number, so the same record is charged
// once. The text is the record's: the record must live as long as the request.
func (r *Record) Fill(q *credit.Request, source []byte) {
	r.FillUse(q, source)
	q.Digest = r.Digest()
}

// FillUse is Fill without the digest, for who knows the record by its place.
func (r *Record) FillUse(q *credit.Request, source []byte) {
	q.Reset()
	q.Face, q.Kind, q.Action = credit.File, credit.Event, credit.Post
	q.Service, q.Incoming, q.Roaming, q.RAT, q.PLMN = r.Service, r.Incoming, r.Roaming, r.RAT, r.PLMN
	q.Numbered, q.Number, q.At = true, r.Number, r.Start
	q.Peer, q.Session, q.ChargingID = source, r.Session, r.ChargingID
	q.Calling, q.Called, q.Access, q.Device, q.Item = r.Calling, r.Called, r.Access, r.Device, r.Item
	for _, s := range [...]credit.Subscriber{{Type: credit.IMSI, ID: r.IMSI}, {Type: credit.E164, ID: r.MSISDN}, {Type: credit.Private, ID: r.Name}} {
		if len(s.ID) > 0 {
			q.Subscribers = append(q.Subscribers, s)
		}
	}
	for i := range r.Usage {
		u := q.AddUnit()
		x := &r.Usage[i]
		u.HasGroup, u.Group = x.HasGroup, x.Group
		if x.Service != 0 {
			u.Services = append(u.Services, x.Service)
		}
		at := x.First
		if at == 0 {
			at = r.Start
		}
		u.Used = append(u.Used, credit.Used{Units: x.Units, At: at, Service: x.Service, Quota: credit.Offline})
	}
}

// Reader reads the records of a file in order.
type Reader interface {
	// Next reads a record; io.EOF at the end of a file that is whole.
	Next(*Record) error
	// Head is what the file says of itself, complete when Next has said io.EOF.
	Head() Head
}

// Head is what a file says of itself.
type Head struct {
	Source      string // who wrote it; "" if the file does not say
	Recipient   string
	Sequence    int64 // -1: the file has none
	Opened      int64 // Unix microseconds; 0: not said
	Records     int64 // read
	Skipped     int64 // of a sort that is not covered
	TotalCharge int64 // of a roaming file, 10^-9
	Closing     Closing
	Lost        uint8 // TS 32.297 6.1.1.13
}

package cdr

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"tandem/edge/credit"
)

// nrtrde reads an NRTRDE file (GSMA TD.35, version 2.1). The amount that an event
// is charged is not read: its unit is agreed between the partners.
type nrtrde struct {
	s     *stream
	head  Head
	count int64
	local []byte
	zone  int
	seen  bool
}

// NewNRTRDE reads a file of near real time roaming data.
func NewNRTRDE(r io.Reader) Reader {
	return &nrtrde{s: newStream(r), head: Head{Sequence: -1}, count: -1}
}

func (f *nrtrde) Head() Head { return f.head }

const (
	nrtrdeFile   = application | 1
	nrtrdeEvents = application | 2
)

// Next reads the next event.
func (f *nrtrde) Next(r *Record) error {
	for {
		level := len(f.s.ends)
		t, constructed, length, err := f.s.next()
		switch {
		case err == io.EOF && level == 0 && f.seen:
			return io.EOF
		case err == io.EOF && level == 0:
			return errors.New("there is no NRTRDE file in it")
		case err == io.EOF && level == 1:
			if f.count != f.head.Records {
				return fmt.Errorf("the file has %d events and says %d", f.head.Records, f.count)
			}
			continue
		case err == io.EOF:
			continue
		case err != nil:
			return at(f.head.Records+1, err)
		case level == 0 && (f.seen || t != nrtrdeFile || !constructed):
			return errTag
		case level == 0:
			f.seen, err = true, f.s.enter(length)
		case level == 1 && t == nrtrdeEvents && constructed:
			err = f.s.enter(length)
		case level == 1:
			err = f.frame(t, length)
		default:
			return f.one(t, length, r)
		}
		if err != nil {
			return fmt.Errorf("%v: %w", t, err)
		}
	}
}

// frame reads a field of the file.
func (f *nrtrde) frame(t Tag, length int64) (err error) {
	b, err := f.s.whole(length)
	if err != nil {
		return err
	}
	switch t {
	case ap(41):
		if n, err := integer(b); err != nil || n != 2 {
			return errors.New("only version 2 is read")
		}
	case ap(38):
		f.head.Source = string(clean(trim(b)))
	case ap(36):
		f.head.Recipient = string(clean(trim(b)))
	case ap(39):
		f.head.Sequence, err = number(trim(b))
	case ap(31):
		f.local = append([]byte(nil), b...)
		f.head.Opened, err = local(f.local, 0)
	case ap(45):
		if f.zone, err = offset(b); err == nil && f.local != nil {
			f.head.Opened, err = local(f.local, f.zone)
		}
	case ap(20):
		f.count, err = integer(b)
	}
	return err
}

// nrtrdeEvent is an event that is being read.
type nrtrdeEvent struct {
	*Record
	local []byte
	zone  int
	tele  []byte
	ref   int64
}

var nrtrdeRules = []rule[nrtrdeEvent]{
	{tag: ap(34), take: func(x *nrtrdeEvent, b []byte) error { x.IMSI = x.straight(b); return nil }},
	{tag: ap(33), take: func(x *nrtrdeEvent, b []byte) error { x.Device = x.straight(b); return nil }},
	{tag: ap(21), take: func(x *nrtrdeEvent, b []byte) error { x.local = b; return nil }},
	{tag: ap(45), take: func(x *nrtrdeEvent, b []byte) (err error) { x.zone, err = offset(b); return err }},
	{tag: ap(19), take: func(x *nrtrdeEvent, b []byte) (err error) { x.Seconds, err = natural(b); return err }},
	{tag: ap(24), take: func(x *nrtrdeEvent, b []byte) error { return x.cause(b) }},
	{tag: ap(46), in: []rule[nrtrdeEvent]{{tag: ap(43), take: func(x *nrtrdeEvent, b []byte) error { x.tele = b; return nil }}}},
	{tag: ap(30), take: func(x *nrtrdeEvent, b []byte) error { x.Called = x.keep(clean(b)); return nil }},
	{tag: ap(27), take: func(x *nrtrdeEvent, b []byte) error { x.Called = x.keep(clean(b)); return nil }},
	{tag: ap(22), take: func(x *nrtrdeEvent, b []byte) error { x.Calling = x.keep(clean(b)); return nil }},
	{tag: ap(35), take: func(x *nrtrdeEvent, b []byte) error { x.Node = x.keep(clean(b)); return nil }},
	{tag: ap(40), take: func(x *nrtrdeEvent, b []byte) error { x.Node = x.keep(clean(b)); return nil }},
	{tag: ap(23), take: func(x *nrtrdeEvent, b []byte) (err error) { x.ref, err = integer(b); return err }},
	{tag: ap(16), take: func(x *nrtrdeEvent, b []byte) error { x.Access = x.keep(clean(b)); return nil }},
	{tag: ap(28), take: func(x *nrtrdeEvent, b []byte) error { return x.down(b) }},
	{tag: ap(29), take: func(x *nrtrdeEvent, b []byte) error { return x.up(b) }},
	{tag: ap(26), take: func(x *nrtrdeEvent, b []byte) error {
		n, err := natural(b)
		x.ChargingID = x.keep(decimal(n))
		return err
	}},
}

func (f *nrtrde) one(t Tag, length int64, r *Record) error {
	b, err := f.s.whole(length)
	if err != nil {
		return at(f.head.Records+1, err)
	}
	f.head.Records++
	r.Reset()
	r.Position = f.head.Records
	x := nrtrdeEvent{Record: r}
	if err := walk(b, nrtrdeRules, &x, 2); err != nil {
		return at(r.Position, err)
	}
	if r.Start, err = local(x.local, x.zone); err != nil {
		return at(r.Position, err)
	}
	r.Roaming, r.Network = true, r.keep([]byte(f.head.Source))
	switch t {
	case ap(3):
		r.Kind = MOC
		r.telephony(x.tele)
	case ap(4):
		r.Kind, r.Incoming = MTC, true
		r.telephony(x.tele)
	case ap(5):
		r.Kind, r.Service = GPRS, credit.Data
	default:
		return at(r.Position, errTag)
	}
	r.Session = r.keep(x.session(f.head.Sequence))
	return nil
}

func (x *nrtrdeEvent) session(file int64) []byte {
	b := append(append([]byte(nil), x.Kind.String()...), '-')
	switch {
	case x.ref != 0:
		b = append(append(strconv.AppendInt(b, x.ref, 10), '-'), x.local...)
	case len(x.ChargingID) > 0:
		b = append(append(append(b, x.ChargingID...), '-'), x.local...)
	default:
		b = strconv.AppendInt(append(strconv.AppendInt(b, file, 10), '-'), x.Position, 10)
	}
	return b
}

// NRTRDE makes a file of near real time roaming data.
type NRTRDE struct {
	Sender    string // TADIG codes
	Recipient string
	Sequence  int
	Available time.Time

	events []byte
	count  int64
}

// Add appends an event.
func (f *NRTRDE) Add(r *Record) {
	t := ap(3)
	switch {
	case r.Kind == GPRS || r.Service == credit.Data:
		t = ap(5)
	case r.Incoming:
		t = ap(4)
	}
	b, in := begin(f.events, t)
	b = putStraight(b, ap(34), r.IMSI)
	if len(r.Device) > 0 {
		b = putStraight(b, ap(33), r.Device)
	}
	b = put(put(b, ap(21), localText(r.Start)), ap(45), "+0000")
	b = putInt(putUint(b, ap(19), r.Seconds), ap(24), int64(r.Cause))
	if t == ap(5) {
		b = putNearGPRS(b, r)
	} else {
		b = putNearCall(b, r)
	}
	f.events = end(b, in)
	f.count++
}

func putNearGPRS(b []byte, r *Record) []byte {
	up, down := volumes(r)
	b = putUint(putUint(put(b, ap(16), r.Access), ap(28), down), ap(29), up)
	if len(r.Node) > 0 {
		b = put(b, ap(40), r.Node)
	}
	if id, err := number(r.ChargingID); err == nil {
		b = putInt(b, ap(26), id)
	}
	return b
}

func putNearCall(b []byte, r *Record) []byte {
	b, code := begin(b, ap(46))
	b = end(put(b, ap(43), teleservice(r)), code)
	if r.Incoming {
		if len(r.Calling) > 0 {
			b = put(b, ap(22), r.Calling)
		}
	} else if len(r.Called) > 0 {
		b = put(b, ap(30), r.Called)
	}
	if len(r.Node) > 0 {
		b = put(b, ap(35), r.Node)
	}
	if id, err := number(r.ChargingID); err == nil {
		b = putInt(b, ap(23), id)
	}
	return b
}

// Len is about how large the file is.
func (f *NRTRDE) Len() int { return len(f.events) + 256 }

// Close is the file.
func (f *NRTRDE) Close() []byte {
	b, at := begin(nil, nrtrdeFile)
	b = putInt(putInt(b, ap(41), 2), ap(37), 1)
	b = put(put(b, ap(38), f.Sender), ap(36), f.Recipient)
	b = put(b, ap(39), fmt.Sprintf("%07d", f.Sequence))
	b = put(put(b, ap(31), localText(f.Available.UnixMicro())), ap(45), "+0000")
	b, in := begin(b, nrtrdeEvents)
	b = end(append(b, f.events...), in)
	return end(putInt(b, ap(20), f.count), at)
}

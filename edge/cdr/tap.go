package cdr

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"tandem/edge/credit"
)

// Tags of TAP 3.12 (GSMA TD.57), all of class application.
const (
	tapBatch        = application | 1
	tapNotification = application | 2
	tapEvents       = application | 3
	tapControl      = application | 4
	tapAccounting   = application | 5
	tapNetworkInfo  = application | 6
	tapMOC          = application | 9
	tapMTC          = application | 10
	tapGPRS         = application | 14
	tapAudit        = application | 15
)

func ap(n Tag) Tag { return application | n }

const maxPlaces = 9 // decimal places of charges that 10^-9 can hold

// tap reads a TAP file.
type tap struct {
	s       *stream
	head    Head
	places  int64
	offsets map[int64]int // of UTC, seconds, by code
	audit   audit
	event   tapEvent
	seen    bool // the batch
}

// audit is what the file says it holds.
type audit struct {
	count, charge int64
	has           bool
}

// NewTAP reads a TAP file of version 3.
func NewTAP(r io.Reader) Reader {
	return &tap{s: newStream(r), offsets: map[int64]int{}, head: Head{Sequence: -1}, places: -1}
}

func (f *tap) Head() Head { return f.head }

// Next reads the next call event of a sort that is covered.
func (f *tap) Next(r *Record) error {
	for {
		level := len(f.s.ends)
		t, constructed, length, err := f.s.next()
		if err == io.EOF && level == 0 {
			if !f.seen {
				return errors.New("there is no transfer batch in the file")
			}
			return io.EOF
		}
		if err == io.EOF {
			if level == 1 {
				err = f.check()
			} else {
				err = nil
			}
			if err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return at(f.head.Records+f.head.Skipped+1, err)
		}
		if level < 2 {
			if err := f.frame(level, t, constructed, length); err != nil {
				return fmt.Errorf("%v: %w", t, err)
			}
			continue
		}
		covered, err := f.one(t, length, r)
		if err != nil {
			return at(f.head.Records+f.head.Skipped+1, err)
		}
		if covered {
			return nil
		}
	}
}

// frame reads what is around the events.
func (f *tap) frame(level int, t Tag, constructed bool, length int64) error {
	if level == 0 {
		if f.seen && t != tapBatch && t != tapNotification && length == 0 { // filler
			return nil
		}
		if f.seen || t != tapBatch && t != tapNotification || !constructed {
			return errTag
		}
		f.seen = true
		if t == tapNotification {
			b, err := f.s.whole(length)
			if err != nil {
				return err
			}
			return walk(b, controlRules, f, 1)
		}
		return f.s.enter(length)
	}
	if t == tapEvents && constructed {
		return f.s.enter(length)
	}
	rules := map[Tag][]rule[tap]{tapControl: controlRules, tapAccounting: accountingRules, tapNetworkInfo: networkRules, tapAudit: auditRules}[t]
	if rules == nil {
		return f.s.skip(length)
	}
	b, err := f.s.whole(length)
	if err != nil {
		return err
	}
	return walk(b, rules, f, 1)
}

var controlRules = []rule[tap]{
	{tag: ap(196), take: func(f *tap, b []byte) error { f.head.Source = string(clean(trim(b))); return nil }},
	{tag: ap(182), take: func(f *tap, b []byte) error { f.head.Recipient = string(clean(trim(b))); return nil }},
	{tag: ap(109), take: func(f *tap, b []byte) (err error) { f.head.Sequence, err = number(trim(b)); return err }},
	{tag: ap(201), take: func(f *tap, b []byte) error {
		if n, err := integer(b); err != nil || n != 3 {
			return fmt.Errorf("TAP version %x is not read; only 3 is", b)
		}
		return nil
	}},
	{tag: ap(107), take: func(f *tap, b []byte) (err error) {
		var x tapEvent
		if err := walk(b, longTimeRules, &x, 2); err != nil || len(x.local) == 0 {
			return err
		}
		f.head.Opened, err = local(x.local, x.zone)
		return err
	}},
}

var accountingRules = []rule[tap]{
	{tag: ap(244), take: func(f *tap, b []byte) (err error) {
		if f.places, err = integer(b); err == nil && (f.places < 0 || f.places > maxPlaces) {
			err = fmt.Errorf("%d decimal places", f.places)
		}
		return err
	}},
}

var networkRules = []rule[tap]{
	{tag: ap(234), in: []rule[tap]{{tag: ap(233), take: func(f *tap, b []byte) error {
		x := tapEvent{}
		if err := walk(b, offsetRules, &x, 3); err != nil {
			return err
		}
		if len(f.offsets) > 1000 {
			return errors.New("more than 1000 offsets from UTC")
		}
		f.offsets[x.code] = x.zone
		return nil
	}}}},
}

var offsetRules = []rule[tapEvent]{
	{tag: ap(232), take: func(x *tapEvent, b []byte) (err error) { x.code, err = integer(b); return err }},
	{tag: ap(231), take: func(x *tapEvent, b []byte) (err error) { x.zone, err = offset(b); return err }},
}

var longTimeRules = []rule[tapEvent]{
	{tag: ap(16), take: func(x *tapEvent, b []byte) error { x.local = b; return nil }},
	{tag: ap(231), take: func(x *tapEvent, b []byte) (err error) { x.zone, err = offset(b); return err }},
}

var auditRules = []rule[tap]{
	{tag: ap(415), take: func(f *tap, b []byte) (err error) { f.audit.charge, err = integer(b); return err }},
	{tag: ap(43), take: func(f *tap, b []byte) (err error) { f.audit.count, err = integer(b); f.audit.has = true; return err }},
}

// check compares the file with its audit control information.
func (f *tap) check() error {
	if !f.audit.has {
		return errors.New("the file has no audit control information")
	}
	if n := f.head.Records + f.head.Skipped; n != f.audit.count {
		return fmt.Errorf("the file has %d call events, its audit control says %d", n, f.audit.count)
	}
	if total, err := f.nano(f.audit.charge); f.head.Skipped == 0 && (err != nil || total != f.head.TotalCharge) {
		return fmt.Errorf("the charges add up to %d (10^-9), the audit control says %d", f.head.TotalCharge, total)
	}
	return nil
}

// nano is an amount of the file at 10^-9.
func (f *tap) nano(n int64) (int64, error) {
	if n == 0 {
		return 0, nil
	}
	if f.places < 0 {
		return 0, errors.New("a charge, but no decimal places")
	}
	for i := f.places; i < maxPlaces; i++ {
		if n > math.MaxInt64/10 || n < 0 {
			return 0, errors.New("an amount that is too large")
		}
		n *= 10
	}
	return n, nil
}

// tapEvent is a call event that is being read.
type tapEvent struct {
	*Record
	f       *tap
	local   []byte
	code    int64
	zone    int
	tele    []byte
	ref     []byte
	dialled []byte
	kind    []byte // charge type of a charge detail
	amount  int64
}

func (f *tap) one(t Tag, length int64, r *Record) (covered bool, err error) {
	rules := map[Tag][]rule[tapEvent]{tapMOC: mocRules, tapMTC: mtcRules, tapGPRS: gprsRules}[t]
	if rules == nil {
		f.head.Skipped++
		return false, f.s.skip(length)
	}
	b, err := f.s.whole(length)
	if err != nil {
		return false, err
	}
	r.Reset()
	x := &f.event
	*x = tapEvent{Record: r, f: f}
	if err := walk(b, rules, x, 2); err != nil {
		return false, err
	}
	f.head.Records++
	r.Position = f.head.Records + f.head.Skipped
	if f.head.TotalCharge += r.Charge; f.head.TotalCharge < 0 {
		return false, errors.New("the charges are too large to add up")
	}
	return true, x.finish(t)
}

// finish works out what the parts of the event mean together.
func (x *tapEvent) finish(t Tag) (err error) {
	zone, known := x.f.offsets[x.code]
	if !known {
		return fmt.Errorf("the offset from UTC with code %d is not in the file", x.code)
	}
	if x.Start, err = local(x.local, zone); err != nil {
		return err
	}
	x.Roaming, x.Network = true, x.keep([]byte(x.f.head.Source))
	switch t {
	case tapMOC:
		x.Kind = MOC
		if len(x.Called) == 0 {
			x.Called = x.keep(clean(x.dialled))
		}
	case tapMTC:
		x.Kind, x.Incoming = MTC, true
	default:
		x.Kind, x.Service = GPRS, credit.Data
	}
	if t != tapGPRS {
		x.telephony(x.tele)
	}
	x.Session = x.session()
	return nil
}

// telephony sets what a circuit switched service used (TS 22.003: 21 and 22 are
// short messages).
func (r *Record) telephony(tele []byte) {
	u := r.last()
	if string(tele) == "21" || string(tele) == "22" {
		r.Service = credit.SMS
		u.Units.Has, u.Units.Events = credit.HasEvents, 1
		return
	}
	r.Service = credit.Voice
	u.Units.Has, u.Units.Seconds = credit.HasSeconds, r.Seconds
}

// session names the event: by the reference the network gave it, or by its place
// in the file if there is none.
func (x *tapEvent) session() []byte {
	at := len(x.text)
	x.text = append(append(x.text, x.Kind.String()...), '-')
	switch {
	case len(x.ref) > 0:
		x.text = append(append(hex.AppendEncode(x.text, x.ref), '-'), x.local...)
	case len(x.ChargingID) > 0:
		x.text = append(append(append(x.text, x.ChargingID...), '-'), x.local...)
	default:
		x.text = strconv.AppendInt(append(strconv.AppendInt(x.text, x.f.head.Sequence, 10), '-'), x.Position, 10)
	}
	return x.text[at:len(x.text):len(x.text)]
}

var subscriberRules = []rule[tapEvent]{{tag: ap(199), in: []rule[tapEvent]{
	{tag: ap(129), take: func(x *tapEvent, b []byte) error { x.IMSI = x.straight(b); return nil }},
	{tag: ap(152), take: func(x *tapEvent, b []byte) error { x.MSISDN = x.straight(b); return nil }},
}}}

var startRules = []rule[tapEvent]{
	{tag: ap(16), take: func(x *tapEvent, b []byte) error { x.local = b; return nil }},
	{tag: ap(232), take: func(x *tapEvent, b []byte) (err error) { x.code, err = integer(b); return err }},
}

// basicRules are common to the basic information of calls.
var basicRules = []rule[tapEvent]{
	{tag: ap(427), in: subscriberRules},
	{tag: ap(44), in: startRules},
	{tag: ap(223), take: func(x *tapEvent, b []byte) (err error) { x.Seconds, err = natural(b); return err }},
	{tag: ap(58), take: func(x *tapEvent, b []byte) error { return x.cause(b) }},
	{tag: ap(89), in: []rule[tapEvent]{
		{tag: ap(407), take: func(x *tapEvent, b []byte) error { x.Called = x.straight(b); return nil }},
		{tag: ap(279), take: func(x *tapEvent, b []byte) error { x.dialled = b; return nil }},
		{tag: ap(419), take: func(x *tapEvent, b []byte) error { x.Called = x.keep(clean(b)); return nil }},
	}},
	{tag: ap(41), in: []rule[tapEvent]{
		{tag: ap(405), take: func(x *tapEvent, b []byte) error { x.Calling = x.straight(b); return nil }},
		{tag: ap(425), take: func(x *tapEvent, b []byte) error { x.Calling = x.keep(clean(b)); return nil }},
	}},
}

var placeRules = []rule[tapEvent]{
	{tag: ap(156), in: []rule[tapEvent]{
		{tag: ap(45), take: func(x *tapEvent, b []byte) error { x.ref = b; return nil }},
	}},
}

var deviceRules = []rule[tapEvent]{{tag: ap(128), take: func(x *tapEvent, b []byte) error { x.Device = x.straight(b); return nil }}}

// chargeRules read ChargeInformation; type 00 is the total of the others.
var chargeRules = []rule[tapEvent]{{tag: ap(69), in: []rule[tapEvent]{{tag: ap(64), in: []rule[tapEvent]{{
	tag:   ap(63),
	begin: func(x *tapEvent) { x.kind, x.amount = nil, 0 },
	take: func(x *tapEvent, b []byte) error {
		if err := walk(b, detailRules, x, 6); err != nil || string(x.kind) != "00" {
			return err
		}
		n, err := x.f.nano(x.amount)
		if x.Charge += n; x.Charge < 0 {
			return errors.New("an amount that is too large")
		}
		x.HasCharge = true
		return err
	},
}}}}}}

var detailRules = []rule[tapEvent]{
	{tag: ap(71), take: func(x *tapEvent, b []byte) error { x.kind = b; return nil }},
	{tag: ap(62), take: func(x *tapEvent, b []byte) (err error) { x.amount, err = integer(b); return err }},
}

var usedRules = []rule[tapEvent]{{tag: ap(39), in: []rule[tapEvent]{
	{tag: ap(36), in: []rule[tapEvent]{{tag: ap(426), in: []rule[tapEvent]{
		{tag: ap(218), take: func(x *tapEvent, b []byte) error { x.tele = b; return nil }},
	}}}},
	{tag: ap(70), in: chargeRules},
}}}

var mocRules = []rule[tapEvent]{
	{tag: ap(147), in: basicRules},
	{tag: ap(138), in: placeRules},
	{tag: ap(429), in: deviceRules},
	{tag: ap(38), in: usedRules},
}

var mtcRules = append([]rule[tapEvent]{{tag: ap(153), in: basicRules}}, mocRules[1:]...)

var gprsRules = []rule[tapEvent]{
	{tag: ap(114), in: append([]rule[tapEvent]{
		{tag: ap(115), in: []rule[tapEvent]{{tag: ap(427), in: subscriberRules}}},
		{tag: ap(116), in: []rule[tapEvent]{{tag: ap(261), take: func(x *tapEvent, b []byte) error { x.Access = x.keep(clean(b)); return nil }}}},
		{tag: ap(72), take: func(x *tapEvent, b []byte) error {
			n, err := natural(b)
			x.ChargingID = x.keep(decimal(n))
			return err
		}},
	}, basicRules[1:4]...)},
	{tag: ap(429), in: deviceRules},
	{tag: ap(121), in: []rule[tapEvent]{
		{tag: ap(250), take: func(x *tapEvent, b []byte) error { return x.down(b) }},
		{tag: ap(251), take: func(x *tapEvent, b []byte) error { return x.up(b) }},
		{tag: ap(70), in: chargeRules},
	}},
}

// — writing —

// TAP makes a TAP file of calls of another network's subscribers.
type TAP struct {
	Sender    string // TADIG codes of five characters
	Recipient string
	Sequence  int // 1 to 99999; 0: a test
	Currency  string
	Places    int // decimal places of charges, up to 9
	Available time.Time

	events   []byte
	count    int64
	total    int64
	earliest int64
	latest   int64
	nodes    []string
}

// Add appends a call event.
func (f *TAP) Add(r *Record) error {
	charge, err := f.amount(r.Charge)
	if err != nil {
		return err
	}
	switch {
	case r.Kind == GPRS || r.Service == credit.Data:
		f.events = f.putGPRS(f.events, r, charge)
	case r.Incoming:
		f.events = f.putCall(f.events, r, charge, tapMTC, 153)
	default:
		f.events = f.putCall(f.events, r, charge, tapMOC, 147)
	}
	if f.total += charge; f.total < 0 {
		return errors.New("the charges are too large to add up")
	}
	f.count++
	if f.earliest == 0 || r.Start < f.earliest {
		f.earliest = r.Start
	}
	f.latest = max(f.latest, r.Start)
	return nil
}

// amount is a charge in the file's decimal places; it must fit.
func (f *TAP) amount(nano int64) (int64, error) {
	unit := int64(1)
	for i := f.Places; i < maxPlaces; i++ {
		unit *= 10
	}
	if nano < 0 || nano%unit != 0 {
		return 0, fmt.Errorf("a charge of %d (10^-9) has no %d decimal places: round it first", nano, f.Places)
	}
	return nano / unit, nil
}

// Len is about how large the file is.
func (f *TAP) Len() int { return len(f.events) + 512 }

// Close is the file.
func (f *TAP) Close() []byte {
	if f.count == 0 {
		b, at := begin(nil, tapNotification)
		return end(f.putControl(b), at)
	}
	b, at := begin(nil, tapBatch)
	b, in := begin(b, tapControl)
	b = end(f.putControl(b), in)
	b, in = begin(b, tapAccounting)
	b = put(b, ap(135), f.Currency)
	b = end(putInt(b, ap(244), int64(f.Places)), in)
	b, in = begin(b, tapNetworkInfo)
	b, list := begin(b, ap(234))
	b, one := begin(b, ap(233))
	b = put(putInt(b, ap(232), 0), ap(231), "+0000")
	b = f.putNodes(end(end(b, one), list))
	b = end(b, in)
	b, in = begin(b, tapEvents)
	b = end(append(b, f.events...), in)
	b, in = begin(b, tapAudit)
	b = putLong(putLong(b, 101, f.earliest), 133, f.latest)
	b = putInt(putInt(putInt(b, ap(415), f.total), ap(226), 0), ap(225), 0)
	return end(end(putInt(b, ap(43), f.count), in), at)
}

// putNodes lists the elements that the events name.
func (f *TAP) putNodes(b []byte) []byte {
	if len(f.nodes) == 0 {
		return b
	}
	b, list := begin(b, ap(188))
	for i, n := range f.nodes {
		var at int
		b, at = begin(b, ap(183))
		kind := int64(1) // MSC
		if n[0] == 'g' {
			kind = 4 // SGSN
		}
		b = end(put(putInt(putInt(b, ap(184), int64(i)), ap(186), kind), ap(400), n[1:]), at)
	}
	return end(b, list)
}

func (f *TAP) node(kind string, r *Record) int64 {
	name := kind + string(r.Node)
	for i, n := range f.nodes {
		if n == name {
			return int64(i)
		}
	}
	f.nodes = append(f.nodes, name)
	return int64(len(f.nodes) - 1)
}

func (f *TAP) putControl(b []byte) []byte {
	b = put(put(b, ap(196), f.Sender), ap(182), f.Recipient)
	b = put(b, ap(109), fmt.Sprintf("%05d", f.Sequence))
	now := f.Available.UnixMicro()
	b = putLong(putLong(putLong(b, 108, now), 227, now), 107, now)
	return putInt(putInt(b, ap(201), 3), ap(189), 12)
}

func putLong(b []byte, t Tag, at int64) []byte {
	b, in := begin(b, ap(t))
	return end(put(put(b, ap(16), localText(at)), ap(231), "+0000"), in)
}

func putStart(b []byte, r *Record) []byte {
	b, in := begin(b, ap(44))
	b = end(putInt(put(b, ap(16), localText(r.Start)), ap(232), 0), in)
	return putUint(b, ap(223), r.Seconds)
}

func putSubscriber(b []byte, r *Record) []byte {
	b, at := begin(b, ap(427))
	b, in := begin(b, ap(199))
	b = putStraight(b, ap(129), r.IMSI)
	if len(r.MSISDN) > 0 {
		b = putStraight(b, ap(152), r.MSISDN)
	}
	return end(end(b, in), at)
}

func (f *TAP) putCall(b []byte, r *Record, charge int64, t, basic Tag) []byte {
	b, at := begin(b, t)
	b, in := begin(b, ap(basic))
	b = putParty(putSubscriber(b, r), r)
	b = end(putInt(putStart(b, r), ap(58), int64(r.Cause)), in)
	b, in = begin(b, ap(138))
	b, net := begin(b, ap(156))
	b = putInt(b, ap(184), f.node("m", r))
	if ref, err := hex.DecodeString(string(r.ChargingID)); err == nil && len(ref) > 0 && len(ref) <= 8 {
		b = put(b, ap(45), ref)
	}
	b = end(end(b, net), in)
	b = putDevice(b, r)
	b, in = begin(b, ap(38))
	b, used := begin(b, ap(39))
	b, service := begin(b, ap(36))
	b, code := begin(b, ap(426))
	b = end(end(put(b, ap(218), teleservice(r)), code), service)
	item := "D"
	if r.Service == credit.SMS {
		item = "E"
	}
	return end(end(end(putCharge(b, item, charge), used), in), at)
}

func teleservice(r *Record) string {
	switch {
	case r.Service == credit.SMS && r.Incoming:
		return "21"
	case r.Service == credit.SMS:
		return "22"
	}
	return "11"
}

func putParty(b []byte, r *Record) []byte {
	list, tag, other := Tag(89), Tag(407), r.Called
	if r.Incoming {
		list, tag, other = 41, 405, r.Calling
	}
	if len(other) == 0 {
		return b
	}
	b, at := begin(b, ap(list))
	return end(putStraight(b, ap(tag), other), at)
}

func putDevice(b []byte, r *Record) []byte {
	if len(r.Device) == 0 {
		return b
	}
	b, at := begin(b, ap(429))
	return end(putStraight(b, ap(128), r.Device), at)
}

func putCharge(b []byte, item string, charge int64) []byte {
	b, list := begin(b, ap(70))
	b, one := begin(b, ap(69))
	b = put(b, ap(66), item)
	b, details := begin(b, ap(64))
	b, detail := begin(b, ap(63))
	b = putInt(put(b, ap(71), "00"), ap(62), charge)
	return end(end(end(end(b, detail), details), one), list)
}

func (f *TAP) putGPRS(b []byte, r *Record, charge int64) []byte {
	b, at := begin(b, tapGPRS)
	b, in := begin(b, ap(114))
	b, sub := begin(b, ap(115))
	b = end(putSubscriber(b, r), sub)
	b, to := begin(b, ap(116))
	b = end(put(b, ap(261), r.Access), to)
	b = putInt(putStart(b, r), ap(58), int64(r.Cause))
	if id, err := number(r.ChargingID); err == nil {
		b = putInt(b, ap(72), id)
	}
	b = end(b, in)
	b, in = begin(b, ap(117))
	b, net := begin(b, ap(118))
	b, list := begin(b, ap(185))
	b = end(end(end(putInt(b, ap(184), f.node("g", r)), list), net), in)
	b = putDevice(b, r)
	up, down := volumes(r)
	b, in = begin(b, ap(121))
	b = putUint(putUint(b, ap(250), down), ap(251), up)
	return end(end(putCharge(b, "X", charge), in), at)
}

// volumes are the octets of all uses; what is only known as a sum is taken as down.
func volumes(r *Record) (up, down uint64) {
	for i := range r.Usage {
		u := &r.Usage[i].Units
		n, _ := u.Octets()
		if u.Input+u.Output == n {
			up, down = up+u.Input, down+u.Output
		} else {
			down += n
		}
	}
	return up, down
}

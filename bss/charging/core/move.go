package core

import (
	"fmt"

	"tandem/edge/credit"
)

// Record is what one decision did, as it lies in the journal.
type Record struct {
	Tenant uint32 // of the Book; 0: of an unknown subscriber
	Shard  int
	Slot   uint32
	N      uint64 // of the shard, without holes
	At     int64  // Unix microseconds
	Sess   uint64 // number of the session; 0: none
	moves  []byte
}

// Ref is the account the record is about.
func (r *Record) Ref() Ref { return NewRef(r.Shard, r.Slot) }

// Move is one change of a record. Which fields count depends on Op.
type Move struct {
	Op      byte
	ID      uint32 // bucket, counter definition, group, subscriber
	Owner   uint16
	Group   int
	Flag    bool
	Bit     uint8
	State   State
	Why     Why
	Cause   Cause
	Amount  int64
	From    int64
	To      int64
	Number  uint64
	Digest  uint64
	Key     [2]uint64
	Text    []byte // reference, answer
	Account *Account
	Bucket  Bucket
	Counter Counter
	Sub     Subscriber
	Hold    Hold
	Totals  Totals
	Session Session
	Lost    Lost
	Posted  Posted
	use     used
}

// What a Move can be, for whoever reads the journal.
const (
	MoveBucket     = opBucket
	MoveDrop       = opDrop
	MoveSubscriber = opSubscriber
	MoveState      = opState
	MoveCommand    = opCommand
	MoveShut       = opShut
	MovePart       = opPart
	MoveEvent      = opEvent
	MoveDebit      = opDebit
	MoveCredit     = opCredit
	MoveNotice     = opNotice
	MoveSuspense   = opSuspense
	MoveUse        = opUse
	MoveStage      = opStage
	MoveStatus     = opStatus
	MoveFile       = opFile
	MoveAccount    = opAccountIs
	MovePost       = opPost
)

// Lost is usage that could not be charged.
type Lost struct {
	Reason        Suspense
	Face          credit.Face
	Service       credit.Service
	Kind          credit.Kind
	Peer, Session string
	Number        uint32
	IDType        credit.IDType
	Subscriber    string
	Group         uint32
	Totals        Totals
	At            int64
}

// putRecord writes the head of a record before its moves. first is the instant of
// the batch.
func putRecord(b []byte, r *Record, first int64) []byte {
	b = putU(putU(append(b, byte(r.Shard)), r.N), uint64(r.Tenant))
	b = putI(putU(b, uint64(r.Slot)), r.At-first)
	b = putU(b, r.Sess)
	return putS(b, r.moves)
}

func (r *reader) record(first int64) (x Record) {
	x.Shard, x.N, x.Tenant, x.Slot = int(r.byte()), r.u(), uint32(r.u()), uint32(r.u())
	x.At = first + r.i()
	x.Sess, x.moves = r.u(), r.bytes()
	return x
}

// Scan calls fn for every record of a batch, and each with its moves in order:
// next reads the next one and is false at the end. A Move is valid until then.
func Scan(blob []byte, first int64, fn func(r *Record, next func(*Move) bool) error) error {
	in := reader{b: blob}
	for len(in.b) > 0 {
		rec := in.record(first)
		if in.err != nil {
			return fmt.Errorf("%w: in the head of a record", in.err)
		}
		moves := reader{b: rec.moves}
		err := fn(&rec, func(m *Move) bool {
			if len(moves.b) == 0 {
				return false
			}
			moves.move(m)
			return moves.err == nil
		})
		if err == nil && moves.err != nil {
			err = fmt.Errorf("%w: shard %d, record %d", moves.err, rec.Shard, rec.N)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// move reads one move: the mirror of what turn writes.
func (r *reader) move(m *Move) {
	m.Op = r.byte()
	switch m.Op {
	case opAccount:
		m.Account = r.account()
	case opBucket:
		m.Bucket = r.bucket()
	case opDrop, opLeave:
		m.ID = uint32(r.u())
	case opCounter:
		m.Counter = r.counter()
	case opSubscriber:
		m.Sub = r.subscriber()
	case opState:
		m.State = State(r.byte())
	case opStage:
		m.State = State(r.byte())
	case opShift:
		m.ID, m.Number = uint32(r.u()), r.u()
	case opStatus:
		m.ID, m.Owner, m.Bit = uint32(r.u()), uint16(r.u()), r.byte()
	case opCommand:
		m.Number = r.u()
	case opOpen, opEvent:
		m.Session = Session{Groups: m.Session.Groups}
		r.session(&m.Session)
	case opShut, opPart:
		m.Cause = Cause(r.byte())
		m.Session = Session{Groups: m.Session.Groups}
		r.session(&m.Session)
	case opGroup:
		m.ID, m.Flag = uint32(r.u()), r.bool()
	case opUse:
		m.Group = int(r.u())
		m.use = used{tariff: uint32(r.u()), rate: uint32(r.u()), service: uint32(r.u()), class: int32(r.i()), priced: r.u(), money: r.i(), totals: r.totals(), at: r.i()}
	case opFree:
		m.Group = int(r.u())
	case opHold:
		m.Group, m.Hold = int(r.u()), r.hold()
	case opGrant:
		m.Group, m.Number, m.To, m.From = int(r.u()), r.u(), r.i(), r.i()
		set := r.byte()
		m.Flag, m.ID = set&1 != 0, 0
		if set&2 != 0 {
			m.ID = uint32(r.u())
		}
	case opDebit:
		m.ID, m.Amount = uint32(r.u()), r.i()
	case opCredit:
		m.ID, m.Amount, m.Why, m.Text = uint32(r.u()), r.i(), Why(r.byte()), r.bytes()
	case opCount:
		m.ID, m.Owner, m.Amount = uint32(r.u()), uint16(r.u()), r.i()
	case opNotice:
		m.Flag, m.ID, m.Owner, m.Bit = r.bool(), uint32(r.u()), uint16(r.u()), r.byte()
	case opFirst:
		m.ID, m.From, m.To = uint32(r.u()), r.i(), r.i()
	case opReported:
		m.Group, m.Totals, m.To = int(r.u()), r.totals(), 0
	case opReportedAt:
		m.Group, m.Totals, m.To = int(r.u()), r.totals(), r.i()
	case opAnswer:
		m.Number, m.Flag, m.Digest, m.Text = r.u(), r.bool(), r.u64(), r.bytes()
	case opKey:
		m.Key[0], m.Key[1] = r.u64(), r.u64()
		m.Digest, m.Text = r.u64(), r.bytes()
	case opHeard:
		m.To, m.Flag, m.From = r.i(), r.bool(), r.i()
	case opMoved:
		m.Number, m.Bit = r.u(), r.byte()
	case opSuspense:
		r.lost(&m.Lost)
	case opFile:
		m.Posted.File = r.u()
	case opAccountIs:
		m.ID = uint32(r.u())
	case opPost:
		r.posted(&m.Posted)
	default:
		r.fail()
	}
}

func (r *reader) lost(l *Lost) {
	*l = Lost{Reason: Suspense(r.byte()), Face: credit.Face(r.byte()), Service: credit.Service(r.byte()), Kind: credit.Kind(r.byte()),
		Peer: r.s(), Session: r.s(), Number: uint32(r.u()), IDType: credit.IDType(r.byte()), Subscriber: r.s(), Group: uint32(r.u()),
		Totals: r.totals(), At: r.i()}
}

// apply makes a move again, with the code that made it first.
func (t *turn) apply(m *Move) error {
	if t.a == nil && m.Op != opAccount && m.Op != opSuspense && m.Op != opKey {
		return fmt.Errorf("charging: a record of account %d of shard %d, which was never opened", t.slot, t.sh.number)
	}
	switch m.Op {
	case opAccount:
		if t.a == nil {
			m.Account.slot = t.slot
			if !t.sh.put(m.Account) {
				return fmt.Errorf("charging: account %d of shard %d has no place: the journal is damaged", t.slot, t.sh.number)
			}
		}
		t.setAccount(m.Account)
	case opBucket:
		t.setBucket(m.Bucket)
	case opDrop:
		t.drop(m.ID)
	case opCounter:
		t.setCounter(m.Counter)
	case opSubscriber:
		t.setSubscriber(m.Sub)
	case opLeave:
		t.leave(uint16(m.ID))
	case opState:
		t.setState(m.State)
	case opStage:
		t.setStage(m.State)
	case opShift:
		t.shift(m.ID, uint32(m.Number))
	case opStatus:
		t.status(m.ID, m.Owner, m.Bit)
	case opCommand:
		t.command(m.Number)
	case opDebit:
		t.debit(m.ID, m.Amount)
	case opCredit:
		t.credit(m.ID, m.Amount, m.Why, "")
	case opCount:
		if i := t.a.counter(m.ID, m.Owner); i >= 0 {
			t.count(i, m.Amount)
		}
	case opNotice:
		t.notice(m.Flag, m.ID, m.Owner, m.Bit)
	case opFirst:
		t.first(m.ID, m.From, m.To)
	case opKey:
		t.keepKey(m.Key, m.Digest, m.Text)
	case opOpen:
		s := roomy()
		groups := s.Groups
		*s = m.Session
		s.Groups = groups
		for i := range m.Session.Groups {
			g, was := s.addGroup(), &m.Session.Groups[i]
			holds := append(g.Holds, was.Holds...)
			*g = *was
			g.Holds = holds
		}
		t.begin(s)
	case opAccountIs:
		if t.a = t.sh.account(m.ID); t.a == nil {
			return fmt.Errorf("charging: a record of account %d of shard %d, which was never opened", m.ID, t.sh.number)
		}
		t.sh.soil(m.ID)
	case opSuspense, opEvent, opFile, opPost:
	default:
		return t.applySession(m)
	}
	return nil
}

func (t *turn) applySession(m *Move) error {
	if t.s == nil {
		return fmt.Errorf("charging: a record of a session that is not open, account %d of shard %d", t.slot, t.sh.number)
	}
	if uint(m.Group) >= uint(len(t.s.Groups)) && (m.Op == opUse || m.Op == opFree || m.Op == opHold || m.Op == opGrant || m.Op == opReported || m.Op == opReportedAt) {
		return fmt.Errorf("charging: a record of a group that is not there, account %d of shard %d", t.slot, t.sh.number)
	}
	switch m.Op {
	case opShut:
		t.shut(m.Cause)
	case opPart:
		t.part(m.Cause)
	case opGroup:
		t.addGroup(m.ID, m.Flag)
	case opUse:
		u := m.use
		u.at += t.at
		t.use(m.Group, &u)
	case opFree:
		t.free(m.Group)
	case opHold:
		t.hold(m.Group, m.Hold)
	case opGrant:
		t.grantInto(m.Group, m.Number, m.To, m.From, m.Flag, m.ID)
	case opReported, opReportedAt:
		t.reported(m.Group, m.Totals, t.at+m.To)
	case opAnswer:
		t.keep(uint32(m.Number), m.Flag, m.Digest, m.Text)
	case opHeard:
		t.heard(t.at+m.To, t.at+m.From, m.Flag)
	case opMoved:
		t.moved(uint32(m.Number), m.Bit)
	}
	return nil
}

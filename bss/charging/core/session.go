package core

import "tandem/edge/credit"

// Session is one open use of the network by a subscriber: a PDU session, a call, a
// login.
type Session struct {
	Number   uint64 // in the shard
	Key      string // peer, session id and sub-session; see sessionKey
	Sub      uint16
	Service  credit.Service
	Face     credit.Face
	Blocked  bool // its last grant was final or nothing: told at once when there is more
	closed   bool
	Incoming bool // begun by the other side
	Offline  bool // its client reports what has happened and asks for nothing
	RAT      uint8
	PLMN     uint32
	Highest  uint32 // request number
	State    uint32 // Origin-State-Id of the peer
	seen     uint64 // which of the 64 numbers up to Highest came
	Opened   int64  // Unix microseconds
	Last     int64  // when it was heard of
	Expires  int64  // when it is stale (Tcc)
	Said     int64  // the latest instant its client spoke of, Unix microseconds
	texts    string // what else its client says of it; see text
	Groups   []Group
	Part     uint32 // partial records written

	autos      uint32 // answers without a number of the client
	account    *Account
	answers    [answersKept]answered // by number, a ring
	said       []byte                // their octets: a part of equal size for each
	next, prev *Session
}

// What a client says of its session in words, in the order in which it is written down.
const (
	textCalled = iota
	_          // calling
	textAccess // network or APN
	textBack   // where the client is told things
	_          // Service-Context-Id
	_          // charging id, which correlates with other services
	_          // device
	_          // address
	textsOfSession
)

// noTexts is how eight times nothing is written.
const noTexts = "\x00\x00\x00\x00\x00\x00\x00\x00"

// textsOf is what a request says, as it is written down. Few sessions say much, and most
// of it is read only when the record of the session is written, so that it is one string.
func textsOf(r *credit.Request) string {
	var room [256]byte
	b := room[:0]
	for _, text := range [textsOfSession][]byte{r.Called, r.Calling, r.Access, r.Return, r.Context, r.ChargingID, r.Device, r.Address} {
		b = putS(b, text)
	}
	if string(b) == noTexts {
		return noTexts
	}
	return string(b)
}

// text is the i-th of what the client says.
func (s *Session) text(i int) string {
	for rest := s.texts; rest != ""; i-- {
		n, size := 0, 0
		for shift := 0; ; shift += 7 {
			c := rest[size]
			size++
			if n |= int(c&0x7f) << shift; c < 0x80 {
				break
			}
		}
		if rest = rest[size:]; i == 0 {
			return rest[:n]
		}
		rest = rest[n:]
	}
	return ""
}

// Called is who is called, in the client's words.
func (s *Session) Called() string { return s.text(textCalled) }

// answersKept is how many answers a session remembers for repeated requests.
const answersKept = 4

// answered is what a request was told, kept for the one that comes again.
type answered struct {
	digest uint64
	number uint32
	size   uint16 // octets, in Session.said
	used   bool
	auto   bool // the number is ours: the client gave none, the digest tells a repetition
}

// roomier is an open session with what most need: one group, and two holds for its grant.
// They are one piece of memory, as a wallet is.
type roomier struct {
	Session
	group [1]Group
	holds [2]Hold
}

// roomy is an empty session that will be open for a while.
func roomy() *Session {
	x := &roomier{}
	x.group[0].Holds, x.Groups = x.holds[:0], x.group[:0]
	return &x.Session
}

// Group is one rating group of a session.
type Group struct {
	ID       uint32
	Has      bool // false: the session has no groups (voice, RADIUS)
	Final    bool // its last grant was the last
	Anew     bool // the network changed: what is priced next is a new beginning
	Tariff   uint32
	Rate     uint32
	Class    int32
	Service  uint32
	Switch   int64  // of the tariff inside the grant, Unix microseconds; 0: none
	Priced   uint64 // units priced with money on this rate
	Charged  int64  // what for them
	Expires  int64  // of the grant, Unix microseconds
	First    int64  // use, Unix microseconds
	LastUse  int64
	Total    Totals // since the last partial record
	Reported Totals // cumulative counters of a client that reports those
	Heard    int64  // the instant that Reported was said of, Unix microseconds
	Pool     uint32 // the credit pool that the open grant went into; 0: none
	Granted  uint64 // of the open grant, in the rate's unit
	Holds    []Hold
}

// Totals is what was used.
type Totals struct {
	Seconds, Total, Input, Output, Events uint64
	Money                                 int64
}

// Hold is an amount of a bucket or counter that a grant has reserved.
type Hold struct {
	Bucket  uint32 // id; 0: a counter
	Counter uint32 // definition
	Owner   uint16
	Amount  int64
}

// sessionKey joins what makes a session unique (RFC 8506 8.2).
func sessionKey(b []byte, r *credit.Request) []byte {
	b = append(b, byte(r.Face))
	b = append(b, r.Peer...)
	b = append(b, 0)
	b = append(b, r.Session...)
	if r.SubSession != 0 {
		b = append(b, 0)
		for n := r.SubSession; n != 0; n >>= 8 {
			b = append(b, byte(n))
		}
	}
	return b
}

// Peer is the part of the key that names the client.
func (s *Session) Peer() string { p, _ := splitKey(s.Key); return p }

// Name is the part of the key that the client calls the session by.
func (s *Session) Name() string { _, n := splitKey(s.Key); return n }

func splitKey(key string) (peer, session string) {
	for i := 1; i < len(key); i++ {
		if key[i] == 0 {
			return key[1:i], key[i+1:]
		}
	}
	return "", key
}

func (s *Session) group(id uint32, has bool) *Group {
	for i := range s.Groups {
		if g := &s.Groups[i]; g.ID == id && g.Has == has {
			return g
		}
	}
	return nil
}

func (s *Session) offline() bool {
	return s.Offline || s.Face == credit.RADIUS || s.Face == credit.File
}

// came says whether a request number came before, and note takes it down.
func (s *Session) came(n uint32) bool {
	switch {
	case s.seen == 0 || n > s.Highest:
		return false
	case s.ancient(n):
		return true // too old to tell: never charge twice
	}
	return s.seen&(1<<(s.Highest-n)) != 0
}

// ancient says that nobody knows any more whether a number came.
func (s *Session) ancient(n uint32) bool {
	return s.seen != 0 && n < s.Highest && s.Highest-n >= 64
}

func (s *Session) note(n uint32) {
	switch {
	case s.seen == 0:
		s.Highest, s.seen = n, 1
	case n > s.Highest:
		if d := n - s.Highest; d < 64 {
			s.seen = s.seen<<d | 1
		} else {
			s.seen = 1
		}
		s.Highest = n
	case s.Highest-n < 64:
		s.seen |= 1 << (s.Highest - n)
	}
}

// link and unlink keep the account's list of open sessions.
func (a *Account) link(s *Session) {
	s.account, s.next, s.prev = a, a.sessions, nil
	if a.sessions != nil {
		a.sessions.prev = s
	}
	a.sessions = s
	a.open++
}

func (a *Account) unlink(s *Session) {
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		a.sessions = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	s.next, s.prev = nil, nil
	a.open--
}

// putEnding writes what is kept of a session that is over: which requests came,
// what the last were told, and how far its counters were.
func putEnding(b []byte, s *Session) []byte {
	b = putI(putU(putU(b, uint64(s.Highest)), s.seen), s.Said)
	b = putAnswered(b, s)
	n := 0
	for i := range s.Groups {
		if s.Groups[i].Reported != (Totals{}) {
			n++
		}
	}
	b = putU(b, uint64(n))
	for i := range s.Groups {
		if g := &s.Groups[i]; g.Reported != (Totals{}) {
			b = putTotals(putI(putB(putU(b, uint64(g.ID)), g.Has), g.Heard), &g.Reported)
		}
	}
	return b
}

func (r *reader) ending(s *Session) {
	*s = Session{Groups: s.Groups[:0], said: s.said}
	s.Highest, s.seen, s.Said = uint32(r.u()), r.u(), r.i()
	r.answered(s)
	for n := r.count(); n > 0; n-- {
		g := s.addGroup()
		g.ID, g.Has, g.Heard, g.Reported = uint32(r.u()), r.bool(), r.i(), r.totals()
	}
}

// ending is what is kept of the session of a request, if it is over; it is valid
// until the next is asked for.
func (sh *shard) ending(r *credit.Request) *Session {
	b := keys.Get().(*[]byte)
	defer keys.Put(b)
	*b = sessionKey((*b)[:0], r)
	k := keyOf(*b)
	_, kept, ok := sh.ended.get(k)
	if !ok {
		_, kept, ok = sh.told.get(k)
	}
	if !ok {
		return nil
	}
	in := reader{b: kept}
	in.ending(&sh.over)
	if in.err != nil {
		return nil
	}
	return &sh.over
}

package core

import "tandem/edge/credit"

// Unit is what a bucket or counter is measured in.
type Unit uint8

const (
	Octets Unit = iota
	Seconds
	Events
	Money // 10^-9 of the major unit of the account's currency
)

var unitNames = [...]string{"octets", "seconds", "events", "money"}

func (u Unit) String() string { return unitNames[u] }

// State is the life of an account or a subscriber (TS 32.296, P8 of the trade:
// active, reachable only, barred, ended).
type State uint8

const (
	Active  State = iota
	Inbound       // may be reached, may not start anything
	Barred        // nothing
	Closed        // ended; late usage goes to suspense
)

var stateNames = [...]string{"active", "inbound", "barred", "closed"}

func (s State) String() string { return stateNames[s] }

// Ref is where an account lives: its shard and its slot there. It never changes.
type Ref uint64

// NewRef names an account by shard and slot.
func NewRef(shard int, slot uint32) Ref { return Ref(shard)<<32 | Ref(slot) }

// Shard is the shard of the account.
func (r Ref) Shard() int { return int(r >> 32) }

// Slot is the account's place in its shard.
func (r Ref) Slot() uint32 { return uint32(r) }

// Account is a wallet: buckets, counters and the subscribers who draw on them.
// Everything that shares a balance lives in one account, so that no charge ever
// needs two of them.
type Account struct {
	Tenant      uint32 // of the Book
	Currency    uint16 // ISO 4217 numeric
	State       State
	Mode        Mode
	Stage       State // where the timers of its life have brought it (P8); see Life
	slot        uint32
	nextBucket  uint32
	nextSub     uint16
	open        uint16 // sessions
	Anchor      int64  // origin of its cycles, Unix seconds
	Alive       int64  // the last top-up or chargeable event, Unix seconds
	due         uint32 // when the sweeper must look, Unix seconds; 0: never
	Buckets     []Bucket
	Counters    []Counter
	Subscribers []Subscriber
	sessions    *Session // open ones, a list
}

// wallet is an account with what most have one of: a bucket and a subscriber. They are
// one piece of memory, so that a charge finds them together, and the collector has one
// thing to look at where there are three. More than one of either are elsewhere.
type wallet struct {
	Account
	bucket     [1]Bucket
	subscriber [1]Subscriber
}

// newAccount is an account without anything in it.
func newAccount(slot uint32) *Account {
	w := &wallet{}
	w.slot, w.Buckets, w.Subscribers = slot, w.bucket[:0], w.subscriber[:0]
	return &w.Account
}

// Mode says which money is taken first.
type Mode uint8

const (
	Prepaid Mode = iota
	Postpaid
	HybridPrepaid  // own money first, then credit
	HybridPostpaid // credit first, then own money
)

// Bucket is an amount that may be used (TMF654). Value is what is left; Held is
// the part of it that open sessions have reserved. Value of a money bucket may fall
// below zero down to -Limit (credit).
type Bucket struct {
	ID       uint32 // in the account, never used again
	Def      uint32 // of the Book
	Owner    uint16 // the subscriber it is for; 0: everybody
	Notified uint8  // which notices were given in this cycle, a bit each
	Tail     bool   // split off a bucket that was renewed, for open grants of the period before
	Pending  bool   // its validity starts with the first use
	Cycle    uint32 // how many times it was renewed
	From     int64  // Unix seconds
	To       int64  // Unix seconds, the first instant it is not valid; 0: for ever
	Initial  int64
	Value    int64
	Held     int64
	Limit    int64 // credit, money only
	Full     int64 // what it is filled with at renewal; Initial is that of this cycle
	Source   Source
}

// free is what may still be reserved.
func (b *Bucket) free() int64 { return b.Value + b.Limit - b.Held }

// valid says that the bucket may be used at an instant (Unix seconds).
func (b *Bucket) valid(at int64) bool { return at >= b.From && (b.To == 0 || at < b.To) }

// Counter is an amount that has been used: of a tier, a cap, a spending limit, a
// fair use policy. Limit 0 counts only.
type Counter struct {
	Def      uint32
	Owner    uint16 // subscriber; 0: the account
	Notified uint8
	Step     uint8 // which status it has: an index of Definition.Status plus one; 0: none
	Given    bool  // the gift of this period; see Definition.Gift
	Consent  bool  // the customer lifted a soft limit for this period
	Lifted   bool  // the plan that had the limit is gone; see Hand.Lift
	Ends     int64 // Unix seconds, when it starts from zero again; 0: never
	Value    int64
	Held     int64
	Limit    int64
}

// left is what the limit still allows.
func (c *Counter) left() int64 { return c.Limit - c.Value - c.Held }

// Subscriber is one SIM or line of an account.
type Subscriber struct {
	ID    uint16
	State State
	Plan  uint32 // of the Book
	E164  uint64 // digits; 0: none
	IMSI  uint64
	Name  string // NAI, SIP URI or private name
}

// names says whether the subscriber has the name.
func (s *Subscriber) names(id *credit.Subscriber) bool {
	switch id.Type {
	case credit.E164:
		return s.E164 != 0 && s.E164 == digits(id.ID)
	case credit.IMSI:
		return s.IMSI != 0 && s.IMSI == digits(id.ID)
	case credit.SIPURI:
		if user := digits(userPart(id.ID)); user != 0 && user == s.E164 {
			return true
		}
	}
	return s.Name != "" && s.Name == string(id.ID)
}

func (a *Account) subscriber(id uint16) *Subscriber {
	for i := range a.Subscribers {
		if a.Subscribers[i].ID == id {
			return &a.Subscribers[i]
		}
	}
	return nil
}

// bucket finds the index of a bucket by id, -1 if it is gone.
func (a *Account) bucket(id uint32) int {
	for i := range a.Buckets {
		if a.Buckets[i].ID == id {
			return i
		}
	}
	return -1
}

func (a *Account) counter(def uint32, owner uint16) int {
	for i := range a.Counters {
		if a.Counters[i].Def == def && a.Counters[i].Owner == owner {
			return i
		}
	}
	return -1
}

// digits packs a decimal name of up to 18 digits, with or without "+"; 0 if it is
// none. A leading one keeps leading zeros apart.
func digits(text []byte) uint64 {
	if len(text) > 0 && text[0] == '+' {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > 18 {
		return 0
	}
	n := uint64(1)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// Digits packs a decimal name, such as a number in international form; 0 if it is
// none.
func Digits(text string) uint64 { return digits([]byte(text)) }

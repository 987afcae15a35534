package credit

// Result is how a request, or one rating group of it, ended.
type Result uint8

const (
	Success        Result = iota
	Denied                // barred, suspended, not subscribed, refused (4010)
	NotApplicable         // allowed, and never to be reported (4011)
	LimitReached          // credit, cap or spending limit used up (4012)
	UnknownUser           // 5030
	RatingFailed          // no tariff, or not a known service (5031)
	UnknownSession        // 5002
	BadValue              // 5004
	Missing               // 5005
	Unsupported           // 5001
	Busy                  // overload: try later (3004)
	Failed                // internal (5012)
	Clash                 // the number was used for other content (5012, 400)
)

var results = [...]string{"success", "denied", "notApplicable", "limitReached", "unknownUser", "ratingFailed",
	"unknownSession", "badValue", "missing", "unsupported", "busy", "failed", "clash"}

func (r Result) String() string {
	if int(r) < len(results) {
		return results[r]
	}
	return "unknown"
}

// Failure says what the client does if it cannot reach us; the values are those of
// Credit-Control-Failure-Handling (RFC 8506 8.14).
type Failure uint8

const (
	FailTerminate Failure = 0
	FailContinue  Failure = 1
	FailRetry     Failure = 2 // and terminate
)

// FinalAction is what the client does when the final units are used; the values
// are those of Final-Unit-Action plus one (RFC 8506 8.35).
type FinalAction uint8

const (
	NotFinal FinalAction = iota
	FinalTerminate
	FinalRedirect
	FinalRestrict
)

// AddressType is the form of a redirect address; values of Redirect-Address-Type.
type AddressType uint8

const (
	IPv4 AddressType = 0
	IPv6 AddressType = 1
	URL  AddressType = 2
	SIP  AddressType = 3
)

// FinalUnit is the last word on a group (RFC 8506 8.34). With units it acts when
// they are used, without it acts now.
type FinalUnit struct {
	Action  FinalAction
	Type    AddressType
	Address string
	Filters []string // IPFilterRules or filter ids that stay reachable
}

// Granted is the answer for one rating group.
type Granted struct {
	Result     Result
	HasGroup   bool
	HasHolding bool
	Group      uint32
	Services   []uint32
	Grant      Units  // Has == 0: nothing was granted
	Threshold  Units  // report when less than this is left, and keep serving
	Validity   uint32 // seconds from receipt; 0: none
	Holding    uint32 // seconds without traffic
	Change     int64  // a tariff switch inside the grant's life, Unix microseconds; 0: none
	Pool       uint32 // credit pool; 0: none
	Multiplier int64  // of units into the pool, 10^-9
	Final      FinalUnit
	Triggers   []uint32 // armed; see ArmTriggers
	Arm        bool     // the list of Triggers counts, also when empty (disarms all)
}

// Answer is what a client is told. It is durable before it is sent.
type Answer struct {
	Result       Result
	Failover     bool // CC-Session-Failover: another server may be asked
	Failure      Failure
	HasCost      bool
	HasRemaining bool
	LowBalance   bool
	NotEnough    bool   // of an Action Balance
	Currency     uint16 // ISO 4217 numeric, of Cost and Remaining
	Cost         int64  // 10^-9 of the major unit
	Remaining    int64
	RetryAfter   uint32 // seconds, with Busy
	Session      []byte // the name we gave the session, where the protocol lets us
	Refund       []byte // names this debit when it is to be refunded (Refund-Information)
	Reason       string // in the client's words, for problem details and logs
	Units        []Granted
}

// Reset empties a and keeps its memory.
func (a *Answer) Reset() {
	units, session, refund := a.Units[:0], a.Session[:0], a.Refund[:0]
	*a = Answer{Units: units, Session: session, Refund: refund}
}

// AddUnit appends the answer for a group, reusing memory.
func (a *Answer) AddUnit(of *Unit) *Granted {
	if len(a.Units) == cap(a.Units) {
		a.Units = append(a.Units, Granted{})
	} else {
		a.Units = a.Units[:len(a.Units)+1]
	}
	g := &a.Units[len(a.Units)-1]
	*g = Granted{Services: g.Services[:0], Triggers: g.Triggers[:0]}
	if of != nil {
		g.HasGroup, g.Group = of.HasGroup, of.Group
		g.Services = append(g.Services, of.Services...)
	}
	return g
}

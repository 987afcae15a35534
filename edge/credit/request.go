package credit

// Kind is where in its session a request stands; the values are those of
// CC-Request-Type (RFC 8506 8.3).
type Kind uint8

const (
	Initial   Kind = 1
	Update    Kind = 2
	Terminate Kind = 3
	Event     Kind = 4
)

// Action is what an Event asks for; the first four are the values of
// Requested-Action (RFC 8506 8.41).
type Action uint8

const (
	Debit   Action = 0 // charge now (IEC)
	Refund  Action = 1
	Balance Action = 2 // is there enough?
	Enquiry Action = 3 // what would it cost?
	Post    Action = 4 // it has happened (PEC): charge it, whatever is left
	Left    Action = 5 // how much is left, up to what is asked for? no protocol has it
)

// Face is the protocol a request came by.
type Face uint8

const (
	Direct Face = iota
	Diameter
	Nchf
	RADIUS
	File
)

// Service is the grammar a request is read by: what Service-Context-Id or the
// charging information says (RFC 8506 8.42).
type Service uint8

const (
	UnknownService Service = iota
	Data                   // TS 32.251, 32.255: octets and seconds of a bearer or PDU session
	Voice                  // TS 32.260: seconds of a call
	SMS                    // TS 32.274
	MMS                    // TS 32.270
	Broadband              // RADIUS accounting of a fixed line
	Content                // anything bought once
)

// IDType says what a subscriber is named by; the values are those of
// Subscription-Id-Type (RFC 8506 8.47).
type IDType uint8

const (
	E164    IDType = 0
	IMSI    IDType = 1
	SIPURI  IDType = 2
	NAI     IDType = 3
	Private IDType = 4 // a name of the operator's own, such as a RADIUS User-Name
)

// Subscriber is one name of who is charged. All names of a request must lead to
// the same account.
type Subscriber struct {
	Type IDType
	ID   []byte
}

// Has says which amounts of Units were present on the wire.
type Has uint8

const (
	HasSeconds Has = 1 << iota
	HasTotal
	HasInput
	HasOutput
	HasEvents
	HasMoney
)

// Units is an amount of service (GSU, RSU, USU: RFC 8506 8.17-8.19).
type Units struct {
	Has      Has
	Currency uint16 // of Money, ISO 4217 numeric
	Seconds  uint64
	Total    uint64 // octets both ways
	Input    uint64 // octets from the user
	Output   uint64 // octets to the user
	Events   uint64 // service specific units: messages, pieces
	Money    int64  // 10^-9 of the major unit
}

// Octets is the volume: the total if it was given, else input plus output; ok is
// false if none was given or the sum overflows.
func (u *Units) Octets() (n uint64, ok bool) {
	switch {
	case u.Has&HasTotal != 0:
		return u.Total, true
	case u.Has&(HasInput|HasOutput) != 0:
		n = u.Input + u.Output
		return n, n >= u.Input
	}
	return 0, false
}

// Change says on which side of a tariff switch units were used; the values are
// those of Tariff-Change-Usage plus one (RFC 8506 8.27).
type Change uint8

const (
	NoChange      Change = iota
	Before               // before the switch
	After                // after it
	Indeterminate        // the client cannot split
)

// Reason is why units are reported; the values are those of Reporting-Reason plus
// one (TS 32.299 7.2.175).
type Reason uint8

const (
	NoReason Reason = iota
	Threshold
	HoldingTime // no traffic for the quota holding time
	Final
	Exhausted
	ValidityTime
	OtherQuota
	Condition // a rating condition has changed
	Forced    // after a re-authorisation request
	PoolExhausted
	UnusedTimer
)

// Quota says how a container is to be handled (TS 32.291 quotaManagementIndicator).
type Quota uint8

const (
	Online    Quota = iota
	Offline         // record and charge it, nothing was reserved
	Suspended       // charge it, grant nothing
)

// Used is one report of units (USU, or one Nchf used unit container).
type Used struct {
	Units
	At      int64  // Unix microseconds; 0: the instant of the request
	Service uint32 // of an Nchf container; 0: those of the Unit
	Seq     uint32 // local sequence number in the session
	Change  Change
	Reason  Reason
	Quota   Quota

	// Cumulative: the amounts are totals since the session began, so the use is
	// what they grew by since the report before (RFC 2866 5.3-5.7). A report that
	// was lost is healed by the next one.
	Cumulative bool
	// Narrow: the octet counters of a Cumulative report have 32 bits, because no
	// high words came with them: a lower count may be a wrap (RFC 2869 5.1, 5.2).
	Narrow bool
}

// Unit is what a request says of one rating group (one MSCC, RFC 8506 8.16, or
// one multipleUnitUsage).
type Unit struct {
	HasGroup bool
	Asked    bool   // a grant is asked for; with Want empty the server chooses how much
	Reason   Reason // of the whole group; Used has its own where the protocol gives one each
	Group    uint32
	Services []uint32
	Triggers []uint32 // with Reason Condition: what has changed, values of Trigger-Type
	Want     Units
	Used     []Used
}

// Request is one message of a client. Its byte slices may lie in the buffer the
// message was read into: they are valid until Done.
type Request struct {
	Face          Face
	Kind          Kind
	Action        Action
	Service       Service
	Numbered      bool // Number came from the client
	Retransmitted bool // the client says so; a hint only (RFC 6733 3)
	Roaming       bool // PLMN is not a home network (set by whoever knows)
	Incoming      bool // the user is the called side: a call or message that reaches him
	HasZone       bool
	Zone          int16 // where the user is, minutes east of UTC (3GPP-MS-TimeZone), summer time included
	RAT           uint8
	Number        uint32 // CC-Request-Number, invocationSequenceNumber
	PLMN          uint32 // visited: MCC * 1000 + MNC; 0: unknown
	OriginState   uint32 // Origin-State-Id; 0: not given
	SubSession    uint64 // CC-Sub-Session-Id, its least significant 64 bits; 0: none
	Digest        uint64 // of the content, without flags and hop ids: same number, other content is an error
	At            int64  // the client's instant, Unix microseconds; 0: unknown
	Received      int64  // Unix microseconds
	Peer          []byte // Origin-Host, NF instance, NAS
	Session       []byte // Session-Id, charging data ref, Acct-Session-Id
	Context       []byte // Service-Context-Id as sent
	Return        []byte // where the client is told things, if the protocol says (notifyUri)
	Calling       []byte
	Called        []byte // dialled, E.164 digits without +, or a URI
	Access        []byte // APN, DNN, or NAS-Port-Id
	Location      []byte // as sent (3GPP-User-Location-Info), for the record
	Device        []byte // IMEI(SV)
	Address       []byte // of the user, 4 or 16 octets
	ChargingID    []byte // correlates with the records of other services
	Item          []byte // what is bought: content id, event name
	RefundOf      []byte // Refund-Information: the debit that is refunded
	Node          []byte // address of the serving node, 4 or 16 octets
	Prefix        []byte // Framed-IPv6-Prefix of the user: its length in bits, then the octets that matter
	Delegated     []byte // Delegated-IPv6-Prefix, in the same form
	Class         []byte // what our own Access-Accept gave the node to echo (RFC 2865 5.25)
	Cause         uint32 // Acct-Terminate-Cause of a Terminate (RFC 2866 5.10); 0: not given
	Subscribers   []Subscriber
	Units         []Unit
}

// Reset empties r for the next message and keeps its memory.
func (r *Request) Reset() {
	subscribers, units := r.Subscribers[:0], r.Units[:0]
	*r = Request{Subscribers: subscribers, Units: units}
}

// AddUnit appends an empty Unit, reusing memory of an earlier message.
func (r *Request) AddUnit() *Unit {
	if len(r.Units) == cap(r.Units) {
		r.Units = append(r.Units, Unit{})
		return &r.Units[len(r.Units)-1]
	}
	r.Units = r.Units[:len(r.Units)+1]
	u := &r.Units[len(r.Units)-1]
	*u = Unit{Services: u.Services[:0], Triggers: u.Triggers[:0], Used: u.Used[:0]}
	return u
}

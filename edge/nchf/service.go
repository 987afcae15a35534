package nchf

import (
	"bytes"
	"net/netip"
)

// session reads a PDUSessionChargingInformation (TS 32.291 6.1.6.2.2.1).
func (r *reading) session() {
	q := r.q
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "chargingId":
			r.chargingID()
		case "sMFchargingId":
			if id := r.str(); len(id) > 0 {
				q.ChargingID = id
			}
		case "userInformation":
			r.user()
		case "userLocationinfo":
			r.location()
		case "uetimeZone":
			q.Zone, q.HasZone = zoneOf(r.str())
		case "pduSessionInformation":
			r.pduSession()
		default:
			r.skip()
		}
	}
}

func (r *reading) user() {
	q := r.q
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "servedGPSI":
			r.subscriber(r.str())
		case "servedPEI":
			q.Device = deviceOf(r.str())
		case "roamerInOut":
			q.Roaming = string(r.str()) == "OUT_BOUND"
		default:
			r.skip()
		}
	}
}

// deviceOf takes the kind off a PEI (TS 29.571 5.3.2).
func deviceOf(b []byte) []byte {
	if _, id, ok := bytes.Cut(b, []byte("-")); ok {
		return id
	}
	return b
}

func (r *reading) pduSession() {
	q := r.q
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "pduSessionID":
			r.bearer = r.u32()
		case "dnnId":
			q.Access = r.str()
		case "ratType":
			q.RAT = ratOf(r.str())
		case "startTime":
			r.start = r.str()
		case "pduAddress":
			r.pduAddress()
		case "servingCNPlmnId":
			if v := r.plmn(); v != 0 {
				q.PLMN = v
			}
		case "servingNetworkFunctionID":
			r.serving()
		default:
			r.skip()
		}
	}
}

func (r *reading) serving() {
	for o := r.object(); r.more(&o); {
		if string(r.key) != "servingNetworkFunctionInformation" {
			r.skip()
			continue
		}
		for o := r.object(); r.more(&o); {
			switch string(r.key) {
			case "nFIPv4Address", "nFIPv6Address":
				if b := addressInto(&r.node, r.str()); b != nil {
					r.q.Node = b
				}
			case "nFPLMNID":
				if v := r.plmn(); v != 0 && r.q.PLMN == 0 {
					r.q.PLMN = v
				}
			default:
				r.skip()
			}
		}
	}
}

// pduAddress reads the addresses of the user; an IPv4 address is the one that is kept beside a prefix.
func (r *reading) pduAddress() {
	var v6 []byte
	length := uint32(64)
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "pduIPv4Address":
			if b := addressInto(&r.address, r.str()); len(b) == 4 {
				r.q.Address = b
			}
		case "pduIPv6AddresswithPrefix":
			v6 = r.str()
		case "pduAddressprefixlength":
			length = r.u32()
		default:
			r.skip()
		}
	}
	if len(v6) > 0 && len(v6) < 64 {
		r.network(v6, length)
	}
}

// network keeps a prefix in the form of credit.Request.Prefix: its length, then the octets that matter.
func (r *reading) network(text []byte, length uint32) {
	p, err := netip.ParsePrefix(string(text))
	if err != nil {
		ip, err := netip.ParseAddr(string(text))
		if err != nil || !ip.Is6() || length > 128 {
			return
		}
		p = netip.PrefixFrom(ip, int(length))
	}
	if !p.Addr().Is6() {
		return
	}
	octets := p.Masked().Addr().As16()
	r.prefix[0] = byte(p.Bits())
	n := copy(r.prefix[1:], octets[:(p.Bits()+7)/8])
	r.q.Prefix = r.prefix[:1+n]
}

// location keeps a UserLocation as it was sent, and reads the network from its first identity.
func (r *reading) location() {
	r.peek()
	from := r.i
	r.findNetwork()
	if r.err == nil {
		r.q.Location = r.b[from:r.i]
	}
}

// findNetwork looks for plmnId in a value, at any depth. An explicit network of the session is better known and is not replaced.
func (r *reading) findNetwork() {
	if r.peek() != '{' {
		r.skip()
		return
	}
	for o := r.object(); r.more(&o); {
		if string(r.key) != "plmnId" {
			r.findNetwork()
		} else if v := r.plmn(); r.visited == 0 {
			r.visited = v
		}
	}
}

// plmn reads a PlmnId as MCC * 1000 + MNC; 0: it is none.
func (r *reading) plmn() uint32 {
	var mcc, mnc []byte
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "mcc":
			mcc = r.str()
		case "mnc":
			mnc = r.str()
		default:
			r.skip()
		}
	}
	if len(mcc) != 3 || len(mnc) < 2 || len(mnc) > 3 {
		return 0
	}
	country, ok := decimal(mcc)
	network, valid := decimal(mnc)
	if !ok || !valid {
		return 0
	}
	return country*1000 + network
}

func decimal(b []byte) (n uint32, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint32(c-'0')
	}
	return n, len(b) > 0
}

// zoneOf reads a TimeZone (TS 29.571 5.2.2): the offset has summer time in it; what follows only says so.
func zoneOf(b []byte) (minutes int16, ok bool) {
	if len(b) < 6 || b[3] != ':' || b[0] != '+' && b[0] != '-' {
		return 0, false
	}
	h, m := two(b[1:]), two(b[4:])
	if h < 0 || h > 15 || m < 0 || m > 59 {
		return 0, false
	}
	minutes = int16(h*60 + m)
	if b[0] == '-' {
		minutes = -minutes
	}
	return minutes, true
}

// rats are the radio access types as 3GPP-RAT-Type has them (TS 29.061 16.4.7.2), so that all faces speak of one.
var rats = map[string]uint8{"UTRA": 1, "GERA": 2, "WLAN": 3, "EUTRA": 6, "VIRTUAL": 7, "NBIOT": 8, "LTE-M": 9, "NR": 51, "NR_REDCAP": 51,
	"NR_U": 52, "TRUSTED_WLAN": 53, "TRUSTED_N3GA": 54, "WIRELINE": 55, "WIRELINE_CABLE": 56, "WIRELINE_BBF": 57}

func ratOf(b []byte) uint8 { return rats[string(b)] }

func ratName(v uint8) string {
	for name, n := range rats {
		if n == v && name != "NR_REDCAP" {
			return name
		}
	}
	return ""
}

// message reads an SMSChargingInformation (TS 32.291 6.1.6.2.3.1).
func (r *reading) message() {
	q := r.q
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "originatorInfo":
			q.Calling = r.party("originator")
		case "recipientInfo":
			for a := r.array(); r.more(&a); {
				if p := r.party("recipient"); q.Called == nil {
					q.Called = p
				}
			}
		case "userEquipmentInfo":
			q.Device = deviceOf(r.str())
		case "roamerInOut":
			q.Roaming = string(r.str()) == "OUT_BOUND"
		case "userLocationinfo":
			r.location()
		case "uetimeZone":
			q.Zone, q.HasZone = zoneOf(r.str())
		case "rATType":
			q.RAT = ratOf(r.str())
		case "sMMessageType":
			q.Incoming = string(r.str()) == "DELIVERY"
		case "numberofMessagesSent":
			r.parts = uint64(r.u32())
		default:
			r.skip()
		}
	}
}

// party reads an OriginatorInfo or RecipientInfo: the public number, else the address as received.
func (r *reading) party(side string) []byte {
	var gpsi, other []byte
	for o := r.object(); r.more(&o); {
		switch name, ok := bytes.CutPrefix(r.key, []byte(side)); {
		case !ok:
			r.skip()
		case string(name) == "GPSI":
			gpsi = numberOf(r.str())
		case string(name) == "OtherAddress" || string(name) == "ReceivedAddress":
			for o := r.object(); r.more(&o); {
				if string(r.key) == "sMaddressData" {
					other = numberOf(r.str())
				} else {
					r.skip()
				}
			}
		default:
			r.skip()
		}
	}
	if gpsi != nil {
		return gpsi
	}
	return other
}

// call reads an IMSChargingInformation (TS 32.291 6.1.6.2.11).
func (r *reading) call() {
	q := r.q
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "roleOfNode":
			q.Incoming = string(r.str()) == "TERMINATING"
		case "userInformation":
			r.user()
		case "userLocationInfo":
			r.location()
		case "ueTimeZone":
			q.Zone, q.HasZone = zoneOf(r.str())
		case "callingPartyAddresses":
			for a := r.array(); r.more(&a); {
				if p := numberOf(r.str()); q.Calling == nil || isNumber(p) && !isNumber(q.Calling) {
					q.Calling = p
				}
			}
		case "calledPartyAddress":
			q.Called = numberOf(r.str())
		case "imsChargingIdentifier":
			if id := r.str(); len(id) > 0 {
				q.ChargingID = id
			}
		case "imsServiceId":
			q.Item = r.str()
		default:
			r.skip()
		}
	}
}

// exposure reads a NEFChargingInformation: the API that was called is what is bought.
func (r *reading) exposure() {
	for o := r.object(); r.more(&o); {
		switch string(r.key) {
		case "aPIName":
			r.q.Item = r.str()
		case "externalIndividualIdentifier":
			r.subscriber(r.str())
		default:
			r.skip()
		}
	}
}

// numberOf is the number in a GPSI, a tel URI, a SIP URI whose user part is a number of the world, or plain digits, without +;
// anything else stays as it is.
func numberOf(b []byte) []byte {
	text, isGPSI := bytes.CutPrefix(b, []byte("msisdn-"))
	text, isTel := bytes.CutPrefix(text, []byte("tel:"))
	text, isSIP := bytes.CutPrefix(text, []byte("sip:"))
	text, isSIPS := bytes.CutPrefix(text, []byte("sips:"))
	uri := !isGPSI && !isTel && (isSIP || isSIPS)
	if uri {
		text, _, _ = bytes.Cut(text, []byte("@"))
	}
	text, _, _ = bytes.Cut(text, []byte(";"))
	number, plus := bytes.CutPrefix(text, []byte("+"))
	if !isNumber(number) || uri && !plus && !bytes.Contains(b, []byte("user=phone")) {
		return b
	}
	return number
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// Package radius is the RADIUS face of charging and of access: authentication (RFC 2865 PAP and CHAP, RFC 3748 EAP-MD5 inside
// RFC 3579), accounting (RFC 2866, 2869, 3162, 4818) and the way back to the gateway, CoA and Disconnect (RFC 5176).
//
// Owns: the codec, the UDP sockets, the list of gateways (NAS) with their shared secrets, the memory of replies of the last half
// minute, the EAP challenges under way. It knows no account, no credential and no tariff: an Authenticator holds the passwords and
// decides on access, a credit.Charger decides on accounting. Tells and hears no facts.
//
//	         UDP 1812, 1813                                   Access.Verify, Accept, Reject
//	NAS ------------------> reader: gateway known? authentic? ----> Authenticator
//	 ^                        | seen before? the same bytes again    credit.Charger (Start, Interim, Stop)
//	 |                        v                                      Restarted     (Accounting-On, -Off)
//	 `---- sendmmsg <------ writer: encode, sign, remember <--------- done, once it is durable
//
//	NAS <------------------ Dynamic: Disconnect, CoA (UDP 3799) <---- credit.Client
//	    ACK, NAK + cause -->
//
// What a caller must know:
//
//   - An Accounting-Response goes out only after Done, and only if the report was kept: charged, or in suspense because nobody knows
//     the user or the price. Busy, Failed and Clash are silence: the gateway keeps the record and sends it again, here or to another
//     server (RFC 2866 2).
//   - Requests of one source port are handed over in the order in which they came.
//   - Message-Authenticator is required in every Access-Request and stands first in every reply to one (CVE-2024-3596). A gateway that
//     cannot send it has to be marked so, and Config.Check names it. An Accounting-Response has none: RFC 2866 5.13 leaves no place
//     for it, and its authenticator proves all of it.
//   - Counters of RADIUS are totals since the session began: credit.Used.Cumulative. A retry with a new Acct-Delay-Time has a new
//     identifier but the same credit.Request.Digest.
//
// Client and Gateway are the other side, for load, tests and the laboratory network.
package radius

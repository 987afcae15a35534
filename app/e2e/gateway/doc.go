// Package gateway is a small policy and charging enforcement function for tests: it
// stands between a GGSN and the internet, where a packet gateway has it built in
// (TS 23.203), lets through what charging grants, and counts every octet.
//
//	phone ──GTP──> osmo-ggsn ──> Inside │ Gateway │ Outside ──> internet, portal
//	                   ^ VTY            └────┬────┘
//	                   └── who has this ─────┤ CCR, CCA, RAR (Gy)
//	                       address?          └──> Tandem
//
// It owns a session per address, from its first packet until the GGSN has no context
// for it any more. A packet that no quota covers waits for the answer; it is never
// let through on trust, so what is counted is what was granted. When the last units
// are used new web connections are led to the portal, whose traffic is a rating group
// of its own, and everything else is dropped, until charging asks it to ask again.
//
// What it leaves out: thresholds by time, tariff switches (TS 32.299 7.2), IPv6.
// Only tests import it.
package gateway

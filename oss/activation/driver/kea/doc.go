// Package kea keeps addresses for lines at a Kea DHCPv4 server, as host reservations by client identifier.
//
// Owns: the connections to one control agent. Tells and hears nothing; activation calls it.
//
//	Ensure   config-get                    compare
//	         config-set, config-write      the whole configuration, with the reservation changed
//	         config-get                    read back and compare
//
// The server has no command for one reservation (Kea 2.2.0: reservation-add is result 2), so the configuration is changed as a
// whole, and the last writer wins: Tandem is to be the only one. The operations of this driver follow one another; what another node
// writes at the same moment is found by the read-back, or by tandem verify. What else the configuration says is kept as it
// is, and reservations by other identifiers are not ours: an address that has one is a conflict, and none is listed.
//
// A server that dies between config-set and config-write forgets the reservation; tandem verify finds that.
package kea

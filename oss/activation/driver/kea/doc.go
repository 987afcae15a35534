// Package kea keeps addresses for lines at a Kea DHCPv4 server, as host reservations by client identifier.
//
// Owns: the connections to one control agent, and whose turn it is to change its configuration. Tells and hears nothing; activation
// calls it.
//
//	Ensure   the turn                      this node's, for half a minute at most
//	         config-get                    compare
//	         config-set, config-write      the whole configuration, with the reservation changed
//	         config-get                    read back and compare
//
// The server has no command for one reservation (Kea 2.2.0: reservation-add is result 2), so the configuration is changed as a
// whole, and the last writer wins: Tandem is to be the only one. Its own nodes take turns, by a row in the store. What else the
// configuration says is kept as it is, and reservations by other identifiers are not ours: an address that has one is a conflict, and
// none is listed.
//
// Nothing is reported as done before all that was set is on the server's disk: the row of the turn says whether it is, so that a node
// that comes after one that died, or whose config-write was refused, writes it. A server that dies in between forgets the
// reservation, and the read-back finds that.
package kea

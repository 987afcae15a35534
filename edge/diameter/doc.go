// Package diameter is the Diameter face of charging: Gy and Ro (credit control, RFC 8506 and TS 32.299) and Rf (accounting,
// TS 32.299) on the base protocol of RFC 6733, as server and as a small fast client.
//
// It owns the wire: connections of the peers it is told of, their watchdogs, the octets of every message, and the answers to
// messages that cannot be understood. It decides nothing about credit: each request becomes a credit.Call, and is answered when the
// charger says so. It hears re-authorisations and aborts (Server is a credit.Client) and tells nothing else.
//
//	peer ==TCP/TLS==> reader: frame -> decode -> credit.Charger.Charge      (in the order of the connection)
//	                                               |
//	peer <==========  writer <- buffer <- encode <-' Done, from any goroutine, once the answer is durable
//
// A connection goes through these states (RFC 6733 5.6; only the side that is called):
//
//	accepted --CER from a known peer--> open --DPR sent or received--> closing --> gone
//	    |                                |
//	    '--CER of a stranger: CEA 3010 --'--no sign of life for two watchdog periods --> gone
package diameter

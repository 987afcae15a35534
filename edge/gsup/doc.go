// Package gsup is a small serving node (SGSN or MSC) on the Generic Subscriber Update Protocol of Osmocom, TCP 4222: the way by which
// phones meet the home location register. It shows what provisioning really did: whether a SIM authenticates, attaches and has
// its number, and what the register pushes to a phone that is attached.
//
// It owns one connection and answers what the register sends by itself. It tells its caller the pushes; it hears nothing else.
//
//	Authenticate: SendAuthInfo -------------> HLR
//	              vectors      <-------------
//	Attach:       UpdateLocation -----------> HLR      (refused: cause 2 unknown, 7 service not allowed)
//	              InsertSubscriberData <-----           the MSISDN
//	              its result ---------------->
//	              result <--------------------
//	Pushes:       Insert-, DeleteSubscriberData, LocationCancel <--- HLR, whenever a subscriber changes
package gsup

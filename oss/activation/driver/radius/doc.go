// Package radius is the register of logins that the access server of this node decides by, and the driver that provisions it: who may
// log in, by which password, with which address and at which speed.
//
// Owns: the tables radius_user, passwords sealed in it, and radius_change, the log of what was changed. The register is an element of the host like any other, of type "tandem-aaa": a
// brand uses it by a grant for the user names that begin with its prefix. Tells and hears no facts; who wants to know of a change gives
// Changed, and has Watch read the log: the node that carries an order out need not be the one that a gateway reports to.
//
//	fulfilment ─ Ensure ─> Driver ─ Get, Put, Remove, read back ─> Register ─> radius_user
//	                                                                  ^  `──── Changed ───> live sessions are told
//	UDP 1812 ─ edge/radius ─ app/broadband ─ Find ───────────────────┘
//
// Each operation of the register is a transaction of its own. One whose outcome is unknown, because time ran out while it was committed,
// is read back like that of any other element. Nodes on one store share the register, and need the same key.
package radius

// Package broadband is the fixed line as a product that an operator can start with, and what its access server decides: who may
// log in, what gateways are told of him, and what is told to a session that runs when that changes.
//
//	productOffering Broadband 100 | Broadband 250 | Broadband prepaid
//	   └─ productSpecification Broadband line
//	        └─ CFS Broadband ─┬─ RFS Broadband access ──┬─ login              (pool login)
//	                          │                         └─ RADIUS subscriber  (element aaa)
//	                          └─ RFS Broadband address ─┬─ IPv4 address       (pool ipv4)
//	                                                    └─ DHCP reservation   (element dhcp, if the line's router asks for it)
//
// Owns: those documents, and in memory the live sessions of the gateways that report to this node. Tells and hears no facts.
//
//	Access-Request ─> Authenticate ─┐            ┌─ register: password, enabled, address, speeds
//	                                ├─> verdict ─┤
//	accounting ─────> Reported ─┐   │            └─ charging: barred? something left?
//	charging ───────> Reauthorise ──┼─> look at a user's sessions ─> CoA, Disconnect
//	register ───────> Changed ──┘   │
//	a timer, for who is slowed ─────┘
//
// The verdict of a login is what the register says (oss/activation/driver/radius) and what charging answers to "how much is left?"
// (credit.Left). A line that is to end when nothing is left has that as its quota: Session-Timeout, and octets in the attributes of its
// gateway's maker (RFC 2865 5.27). Gateways count it from the beginning of the session, so it is what was used and what is left, and is told
// anew when that changes by more than what was used. Everything that a session was told is in its Class, which the gateway echoes with each report: a session whose
// Class is not the one that the verdict has now is told the new profile by CoA; where only an end helps, because the login is out,
// its address is another or the gateway cannot change a session that must be slowed, by Disconnect. So a node that starts anew knows after
// one report what each session was told, and a change that was missed is made up for.
//
// Who is slowed is looked at when charging says that there is more, and without that after waits that grow to half a minute. Charging
// tells the node that holds the account. If the gateway reported to another one, that session is known here by its way back alone, which has
// its user and its Class: it is told all the same, at once. A gateway that is silent keeps others waiting no longer than its own places are taken.
//
// A password is made of a key, the login, the resource that has the login and a number: whoever gets a login that was somebody else's
// gets another password, and a modify order that raises the characteristic passwordIssue gives a line a new one.
package broadband

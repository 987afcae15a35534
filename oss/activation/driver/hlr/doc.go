// Package hlr drives an osmo-hlr home location register: provisioning over its control interface, the list of all subscribers and the
// barring of attached phones over its command line.
//
// It owns a few connections to one register and nothing that lasts. It tells nobody anything and hears nothing; activation calls it.
//
//	Ensure     1  info, info-aud, info of the number's holder        compare
//	           2  create, aud3g, msisdn, cs-enabled, ps-enabled,     only what differs
//	              info, info-aud                                     in the same write: read back and compare
//
// A register that is as desired costs one round trip, a new or changed subscriber two. The keys are compared inside this process,
// in constant time, and written only if they differ: writing them puts the sequence number back to 0.
//
// # Attached phones
//
// What the control interface changes does not reach a phone that is attached. The command line tells the serving node, but only if it
// is the command line that changes something: osmo-hlr 1.5.0 pushes nothing for an access mode that is set already. So where the
// element has an address for the command line, a domain is taken away there, in one step with the push, and read back over the control
// interface; a subscriber to delete is barred so first. Without that address the phone keeps its service until its next
// location update.
//
// # Unknown outcomes
//
// After a timeout the read-back goes over the same connection, where it cannot overtake the command. After a lost connection it goes over
// a new one; what the element still has in its input from the old one are commands of the same Ensure, which lead to the same state.
package hlr

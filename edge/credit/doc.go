// Package credit is the one neutral request behind every face of charging: what
// a network element asks for and reports, whether it speaks Diameter (RFC 8506,
// TS 32.299), Nchf (TS 32.291), RADIUS (RFC 2866) or wrote a file. A face is a
// codec between its wire and a Call; whoever charges knows no wire.
//
// Owns: the words of credit control. Tells and hears nothing.
//
//	diameter ──┐                        ┌── decide, commit
//	nchf     ──┼──> Call.Request ──> Charger
//	radius   ──┤    Call.Answer  <──────┘ Call.Done, once it is durable
//	cdr      ──┘
package credit

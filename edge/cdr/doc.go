// Package cdr reads and writes files of usage records: 3GPP records in BER (TS
// 32.298) in the files of TS 32.297, TAP3 (GSMA TD.57) and NRTRDE (TD.35) between
// roaming partners, CSV by a mapping, and JSON lines.
//
// Owns: the formats. Tells and hears nothing.
//
//	TS 32.297 ─┐                                        ┌─> credit.Request (Fill)
//	TAP3       ├─ Reader.Next ──> Record, one at a time ┤
//	NRTRDE     │                                        └─> the writers of the
//	CSV, JSON ─┘                                             same formats
//
// A Reader hands out one record at a time into memory that the caller owns, so a
// file of any size needs the memory of one record. Every length, depth and count
// is limited; a file that breaks a rule is an error that names the place.
//
// # What is covered
//
//   - TS 32.297 clause 6.1: the file header, the header of each record, both with
//     the release extension, the closing reasons and the lost record indicator.
//     Routeing filter and private extension are skipped, and written empty.
//   - TS 32.298: PGWRecord (79) and CHFRecord (200) with the fields that charging
//     needs: subscriber, charging id, times, sequence, cause, access point, network,
//     radio, volumes, seconds and events by rating group. Other records are counted
//     as skipped, other fields are ignored; both are not invented when written.
//   - TAP 3.12: mobile originated and terminated calls and GPRS calls, with the
//     audit control totals checked and written. Supplementary services, service
//     centre usage, content, location, messaging and mobile session events, CAMEL,
//     taxes and discounts of an event are read over (Skipped counts the events);
//     notifications (empty files) are read and written; RAP is not.
//     Incoming volume is taken as to the user, outgoing as from him.
//   - NRTRDE 2.1: Moc, Mtc and Gprs events, without the supplementary service code,
//     the third party, the operator part of the access point, the GGSN and the
//     amount charged, whose unit is agreed between the partners.
//
// Amounts of money are 10^-9 of the major unit, octets and seconds are whole
// numbers, instants are Unix microseconds.
package cdr

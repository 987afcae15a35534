// Package einvoice is the electronic invoice of EN 16931-1: its semantic model, its
// business rules, and the two syntaxes that every public buyer of the Union accepts
// (CEN/TS 16931-3-2 UBL 2.1, CEN/TS 16931-3-3 UN/CEFACT CII D16B).
//
// Owns: the model, the rules, the two formats. Tells and hears nothing.
//
//	posted bill ──> Invoice ──> Check ──> no violation: may be posted
//	                   │
//	                   ├──> WriteUBL ──> <Invoice>, <CreditNote> ──> ReadUBL ──┐
//	                   └──> WriteCII ──> <CrossIndustryInvoice> ───> ReadCII ──┤
//	                                                                           v
//	                                                               the same Invoice
//
// # The model
//
// Every field names its business term (BT-1 ... BT-163) or group (BG-1 ... BG-32).
// Amounts are [money.Amount], whole minor units; the zero Amount (no currency) is an
// absent amount, which is not 0.00. Quantities, unit prices and percentages are exact
// [Decimal]s; the zero Decimal is absent. An empty string is an absent text, a nil
// pointer or slice an absent group. Outer white space of a text is not kept.
//
// # The rules
//
// [Check] applies all rules of EN 16931-1 clause 6.4: 58 BR, 24 BR-CO, 21 BR-DEC and
// 96 of the nine VAT categories. It reads only, allocates nothing for an invoice
// without a violation, and takes a few microseconds. Where it says more or less than
// the Schematron that the standard's keeper publishes:
//
//   - A rule about a term that is missing is silent; the rule that demands the term
//     speaks. The Schematron lets both fail.
//   - BR-CO-17 and the -09 rules of S, L and M let the VAT differ by 0.01, which bills
//     with gross prices need; the Schematron lets it differ by less than 1.00.
//   - BR-S-08, BR-AF-08 and BR-AG-08 are exact (the Schematron: less than 1.00), and
//     also speak when a rate of a line has no VAT breakdown of its own.
//   - Where releases of the Schematron, or its UBL and CII, differ, the stricter holds: a
//     breakdown that no line, allowance or charge uses breaks -01, a VAT accounting
//     currency that is the invoice's breaks BR-53, and BR-CO-25 is for credit notes too.
//   - BR-CO-05 to BR-CO-08 (code and text of a reason mean the same) cannot be
//     decided by a machine; the Schematron has true() there, Check is silent.
//   - The rules of IGIC and IPSI are named BR-AF and BR-AG as in the standard; the
//     Schematron says BR-IG and BR-IP.
//
// Of the code lists (BR-CL) Check knows the short ones by heart, of the long ones
// (UNTDID 1153, 4451, 7143, 7161, ISO/IEC 6523, EAS, VATEX, units) the form of a code
// only. Three rules are our own: TD-1 (every amount is in the invoice currency), TD-2
// (no amount beyond 10^13 minor units, so that no sum of them can overflow) and TD-3
// (an attached file has a name, which both syntaxes want).
//
// # The formats
//
// The writers give no indentation and no comment, elements in the order of the
// schemas. What a syntax cannot carry is an error, not a loss. The readers take what
// others write: any prefix, any order, elements that the model does not have are read
// over. They limit octets, depth and number of elements, and refuse a document type
// declaration.
package einvoice

// Package render makes what people and programs read of a bill: HTML, PDF, and electronic
// invoices. It is pure but for the routes: the same paper gives the same octets.
//
//	billing.ReadPaper ──> sheet: every word and amount, in the customer's language
//	                        ├──> HTML   one file, nothing fetched, printable
//	                        └──> PDF    A4, DIN 5008 window, tagged; the CII inside (Factur-X)
//	Document.Invoice  ──> edge/einvoice ──> UBL, CII
//
// Both pictures are drawn from one [sheet], and that from the posted document, so none can
// say another thing. Files are made when they are asked for, and never kept: the document is
// what is kept. A draft says so, has no number, and is no electronic invoice.
//
// Charges are shown with tax where all prices include it, else without; either way the column
// adds up to the total below it. Words are tables (words.go): English, German, French; another
// language gets English.
//
// Who must be paid stands there with a code that banking programs read (EPC069-12, "GiroCode"),
// for amounts in euro.
//
//	GET .../customerBill/{id}/document?format=pdf|html|ubl|cii&usage=none|masked|full
//
// The usage on it is what the account has shown (itemisation) or less; more is for those who
// may read usage (TMF635), and is audited.
//
// Doors: [Make], [Server].
package render

// Package sepatest is a bank for tests: it takes the files of a creditor and answers
// with the files of a bank, and keeps the account, so that a test can compare its own
// books with the bank's.
//
//	pain.008 ─> Take ─> pain.002      what it will not carry out
//	pain.001 ─> Carry ─> pain.002     transfers, carried out at once
//	            Settle                 collections that are due, as a bank books them
//	            Return, Pay            what debtors do
//	            Statement ─> camt.053  Notice ─> camt.054
//
// It reads with structures of its own and shares no code with package sepa, so that
// each checks the other. Only tests and demonstrations import it.
package sepatest

package sepa

import (
	"encoding/xml"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
)

// StatementFile is a bank's file of account statements.
type StatementFile struct {
	ID         string // message id
	Created    time.Time
	Notice     bool // camt.054: what was booked is told before the statement tells it again
	Statements []Statement
}

// Statement is what happened to one account: a day of it, or a page of a day.
type Statement struct {
	ID       string
	Number   string // the bank's running number, if it has one
	Created  time.Time
	Account  string // IBAN, or the bank's own number of an account that has none
	Currency money.Currency
	Page     string // "" or "1"...
	Copy     bool   // the bank says that it sent it before
	// Opening and Closing are booked balances, negative when overdrawn. A notice
	// (camt.054) has none.
	Opening, Closing *Balance
	Entries          []Entry
}

// Balance is a booked balance.
type Balance struct {
	Day civil.Date
	Sum money.Amount
}

// Entry is one line of a statement. Amounts are positive when the account grows.
type Entry struct {
	Ref      string // the bank's reference of the line, often absent
	Bank     string // the servicer's reference: the same in statement and notice
	Amount   money.Amount
	Reversal bool // takes an earlier line back
	Booked   bool // only what is booked counts; the others are announced
	Day      civil.Date
	Value    civil.Date
	Code     BankCode
	Text     string
	Message  string // message id of our file that the line is a batch of
	Batch    string // payment information id of our batch
	// Split tells that the details have amounts that add up to Amount together with
	// Charges. Otherwise the line has one detail for its whole amount, and what the
	// bank wrote about its parts stands in Parts.
	Split   bool
	Charges money.Amount // the bank's fees inside of Amount that belong to no detail
	Details []Detail
	Parts   []Detail
}

// BankCode says what sort of booking it was, in the ISO domains and the bank's own.
type BankCode struct{ Domain, Family, Sub, Own string }

// Detail is one payment: the smallest thing that can be matched.
type Detail struct {
	Key      Key
	Amount   money.Amount // positive when the account grows; fees of a return included
	Charges  money.Amount // of Amount, what are fees; same sign
	EndToEnd string
	Mandate  string
	Message  string
	Batch    string
	Bank     string // the servicer's reference of the payment
	Creditor CreditorID
	Payer    Account // who paid, or whose account was debited
	Payee    Account
	Ref      string   // structured creditor reference
	Invoices []string // numbers of documents that the payer names
	Text     string
	Purpose  string
	Return   *Return
}

// Principal is the amount without the fees inside: what was owed or collected.
func (d Detail) Principal() (money.Amount, error) { return d.Amount.Sub(d.Charges) }

// Account is a party with its account, as far as the bank names them.
type Account struct {
	Name string
	IBAN string
	BIC  string
}

// Return says that a payment of ours came back, and why.
type Return struct {
	Code     string // see ReasonOf
	Text     string
	Original BankCode
}

// Key is what one payment on a statement is called, once for ever: a file that is sent
// twice has the same keys, two equal payments on one day have different ones. It is
// the unique column of an inbox.
type Key struct {
	Account   string
	Statement string // id of the statement
	Entry     string // the line's day, reference and place among those of that reference
	Index     int    // of the detail in the line, from 1
}

// String is the key in one column: less than 200 characters for what banks write.
func (k Key) String() string {
	return plain.Replace(k.Account) + "|" + plain.Replace(k.Statement) + "|" + plain.Replace(k.Entry) + "|" + strconv.Itoa(k.Index)
}

// plain keeps the parts of a key apart whatever a bank writes into them.
var plain = strings.NewReplacer("|", "%7C", "%", "%25")

// Follows refuses a statement that does not begin where the one before it ended: one
// between them is missing, or they came in the wrong order.
func (s Statement) Follows(before Balance) error {
	if s.Opening == nil || s.Opening.Sum == before.Sum {
		return nil
	}
	return fault.Clash("statementGap", "The statement %s begins with %s, the one before it ended with %s on %v: a statement between them is missing", s.ID, s.Opening.Sum, before.Sum, before.Day)
}

// ReadStatements reads camt.053 and camt.054 of any version. Every statement must add
// up: opening balance and booked lines make the closing balance, details make their
// line, counts and sums are those announced. Nothing is returned of a file that is
// cut, does not add up or passes a limit.
func ReadStatements(in io.Reader, lim Limits) (StatementFile, error) {
	var out StatementFile
	err := WalkStatements(in, lim, func(s Statement) error {
		out.Statements = append(out.Statements, s)
		return nil
	}, &out)
	if err != nil {
		return StatementFile{}, err
	}
	return out, nil
}

// WalkStatements hands out one statement after the other, so that a file of many needs
// the memory of one. What was handed out before an error must not be kept: do it in
// one transaction. head, if given, is filled before the first statement.
func WalkStatements(in io.Reader, lim Limits, take func(Statement) error, head *StatementFile) error {
	r := newReader(in, lim.orUsual())
	kind, err := r.begin(map[string]string{"camt.053": "BkToCstmrStmt", "camt.054": "BkToCstmrDbtCdtNtfctn"})
	if err != nil {
		return err
	}
	if head == nil {
		head = new(StatementFile)
	}
	head.Notice = kind == "camt.054"
	item := "Stmt"
	if head.Notice {
		item = "Ntfctn"
	}
	seen := map[string]bool{}
	err = r.each(func(name string, el xml.StartElement) error {
		switch name {
		case "GrpHdr":
			return r.statementHead(el, head)
		case item:
			s, err := r.statement(head.Notice)
			if err != nil {
				return err
			}
			id := s.Account + "|" + s.ID + "|" + s.Page
			if seen[id] {
				return r.bad("statementTwice", "the statement %s of account %s stands in the file twice", s.ID, shown(s.Account))
			}
			seen[id] = true
			return take(s)
		}
		return r.skip()
	})
	if err == nil {
		err = r.finish()
	}
	if err == nil && len(seen) == 0 {
		err = r.bad("statementMissing", "the file has no statement")
	}
	return err
}

func (r *reader) statementHead(el xml.StartElement, out *StatementFile) error {
	n, err := r.tree(el)
	if err != nil {
		return err
	}
	if out.ID = n.str("MsgId"); out.ID == "" {
		return r.bad("fileForm", "the file has no message id")
	}
	out.Created, err = r.instant(n.str("CreDtTm"), "The time of the file")
	return err
}

// statement reads one Stmt or Ntfctn.
func (r *reader) statement(notice bool) (Statement, error) {
	s := Statement{}
	var c checks
	err := r.each(func(name string, el xml.StartElement) error {
		if name == "Ntry" {
			e, err := r.entry(&s)
			if err == nil {
				s.Entries = append(s.Entries, e)
			}
			return err
		}
		n, err := r.tree(el)
		if err != nil {
			return err
		}
		return r.statementPart(name, n, &s, &c)
	})
	if err != nil {
		return s, err
	}
	if err := r.named(&s); err != nil {
		return s, err
	}
	return s, c.check(r, &s, notice)
}

func (r *reader) statementPart(name string, n *node, s *Statement, c *checks) (err error) {
	switch name {
	case "Id":
		s.ID = n.text
	case "ElctrncSeqNb":
		s.Number = n.text
	case "LglSeqNb":
		if s.Number == "" {
			s.Number = n.text
		}
	case "StmtPgntn", "NtfctnPgntn":
		s.Page = n.str("PgNb")
	case "CpyDplctInd":
		s.Copy = true
	case "CreDtTm":
		s.Created, err = r.instant(n.text, "The time of the statement")
	case "Acct":
		return r.account(n, s)
	case "Bal":
		return c.balance(r, n)
	case "TxsSummry":
		c.summary = n
	}
	return err
}

// account reads which account the statement is of.
func (r *reader) account(n *node, s *Statement) error {
	if iban := n.str("Id", "IBAN"); iban != "" {
		i, err := ParseIBAN(iban)
		if err != nil {
			return r.bad("statementAccount", "the account of the statement: %v", err)
		}
		s.Account = string(i)
	} else {
		s.Account = n.str("Id", "Othr", "Id")
	}
	if s.Account == "" {
		return r.bad("statementAccount", "the statement does not say of which account it is")
	}
	if ccy := n.str("Ccy"); ccy != "" {
		c, err := money.ParseCurrency(ccy)
		if err != nil {
			return r.bad("currency", "%.10q is not a currency", ccy)
		}
		s.Currency = c
	}
	return nil
}

// named checks the statement's identity, and gives every detail its key.
func (r *reader) named(s *Statement) error {
	if s.ID == "" || tooLong(s.ID) || tooLong(s.Page) {
		return r.bad("statementId", "a statement has no id, or one of more than %d characters: %.40q", longestRef, s.ID)
	}
	if s.Account == "" || tooLong(s.Account) {
		return r.bad("statementAccount", "the statement %s does not say of which account it is", s.ID)
	}
	// The place of a line among those of the same reference is part of its name: banks
	// leave references out, and repeat them.
	places := map[string]int{}
	for i := range s.Entries {
		e := &s.Entries[i]
		ref := e.Ref
		if ref == "" {
			ref = e.Bank
		}
		if tooLong(ref) {
			return r.bad("entryRef", "a line of the statement %s has a reference of more than %d characters", s.ID, longestRef)
		}
		places[ref]++
		// The day keeps keys apart where a bank begins its numbers anew every year.
		name := e.Day.String() + "/" + ref + "#" + strconv.Itoa(places[ref])
		id := s.ID
		if s.Page != "" {
			id += "/" + s.Page
		}
		for j := range e.Details {
			e.Details[j].Key = Key{s.Account, id, name, j + 1}
		}
	}
	return nil
}

// longestRef is the length of identifiers in ISO 20022 (Max35Text).
const longestRef = 35

func tooLong(ref string) bool { return utf8.RuneCountInString(ref) > longestRef }

func or(text, instead string) string {
	if text == "" {
		return instead
	}
	return text
}

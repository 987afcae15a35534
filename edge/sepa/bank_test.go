package sepa_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tandem/edge/sepa"
	"tandem/edge/sepa/sepatest"
	"tandem/kit/civil"
	"tandem/kit/money"
)

const ourAccount = "DE02120300000000202051"

var debtors = []sepa.IBAN{"DE89370400440532013000", "AT611904300234573201", "NL91ABNA0417164300", "FR1420041010050500013M02606", "IT60X0542811101000000123456"}

// A life with a bank: collected, rejected, settled, returned, paid by transfer. In the
// end what was read from the bank's files is what stands in its account, to the cent,
// and every payment was told of once.
func TestOurBooksAreTheBanks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for run := range uint64(12) {
		t.Run(fmt.Sprint(run), func(t *testing.T) { live(t, rand.New(rand.NewPCG(seed, run))) })
	}
}

// books are ours: what each payment stands at, in cents.
type books struct {
	seen     map[string]bool // the inbox
	open     map[string]int64
	paid     map[string]int64
	fees     int64
	incoming int64
	balance  int64
}

func live(t *testing.T, rnd *rand.Rand) {
	zone, err := civil.LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	p := sepa.Standard(zone)
	bank := sepatest.New(ourAccount, rnd.Int64N(1_000_000)-500_000)
	bank.Newer, bank.Each = rnd.IntN(2) == 0, rnd.IntN(2) == 0
	if rnd.IntN(2) == 0 {
		p.Version = sepa.V2009
	}
	bank.Reject(string(debtors[0]), "AC04")
	our := books{seen: map[string]bool{}, open: map[string]int64{}, paid: map[string]int64{}, balance: bank.Balance}
	now := time.Date(2026, 3, 30, 10, 0, 0, 0, zone) // Easter lies ahead
	for n := range 4 {
		d := file(p, rnd, n, now)
		for _, c := range d.Collections {
			our.open[c.EndToEnd] = c.Amount.Minor
		}
		submit(t, p, bank, d, &our)
		last := sepa.AddBankDays(civil.DateOf(now, zone), 12)
		day := last.String()
		bank.Settle(day)
		bank.Pay(day, "Frau Müller & Co. <Berlin>", "DE75512108001245126199", "Rechnung 4711", "", 1+rnd.Int64N(10_000))
		refund(t, p, bank, n, now, day)
		notice := bank.Notice(day)
		read(t, notice, nil) // tells the same again: the statement counts
		statement := bank.Statement(day)
		read(t, statement, &our)
		read(t, statement, &our) // sent twice
		giveBack(t, rnd, bank, d, sepa.NextBankDay(last.AddDays(1)).String())
		now = now.AddDate(0, 1, 0)
	}
	read(t, bank.Statement("2026-08-03"), &our)
	if our.balance != bank.Balance {
		t.Errorf("we have %d cents, the bank has %d", our.balance, bank.Balance)
	}
	for e, cents := range our.open {
		if cents < 0 {
			t.Errorf("%s is paid %d cents too much", e, -cents)
		}
	}
}

// file makes one of several schemes, sequence types and due dates.
func file(p sepa.Profile, rnd *rand.Rand, n int, now time.Time) sepa.Debits {
	d := sepa.Debits{ID: fmt.Sprintf("RUN-%d", n), Created: now, Creditor: sepa.Creditor{Name: "Tandem", IBAN: ourAccount, ID: "DE98ZZZ09999999999"}}
	for i := range 5 + rnd.IntN(60) {
		scheme, seq := sepa.Core, sepa.First+sepa.Sequence(rnd.IntN(4))
		if rnd.IntN(4) == 0 {
			scheme = sepa.B2B
		}
		wish := civil.DateOf(now, p.Zone).AddDays(rnd.IntN(10))
		d.Collections = append(d.Collections, sepa.Collection{
			EndToEnd: fmt.Sprintf("E-%d-%d", n, i), Scheme: scheme, Sequence: seq, Due: p.Due(wish, now, scheme, seq),
			Amount:  money.Amount{Minor: 1 + rnd.Int64N(100_000), Currency: money.EUR},
			Mandate: sepa.Mandate{ID: fmt.Sprintf("M-%d", i), Signed: civil.Date{Year: 2025, Month: 1, Day: 1}},
			Debtor:  "A & B <C>", IBAN: debtors[rnd.IntN(len(debtors))], Text: `Invoice "1" & 2`,
		})
	}
	return d
}

// submit sends a file, twice, and takes the answers.
func submit(t *testing.T, p sepa.Profile, bank *sepatest.Bank, d sepa.Debits, our *books) {
	t.Helper()
	var out bytes.Buffer
	sent, err := p.WriteDebits(&out, d)
	if err != nil {
		t.Fatal(err)
	}
	waiting := len(bank.Waiting())
	answer, err := bank.Take(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	r, err := sepa.ReadStatus(bytes.NewReader(answer), sepa.Limits{})
	if err != nil || r.Original != sent.ID {
		t.Fatalf("%+v, %v", r, err)
	}
	rejected := 0
	for _, b := range sent.Batches {
		for _, i := range b.Items {
			c := d.Collections[i]
			status, why, _ := r.Of(b.ID, c.EndToEnd)
			if status.Bad() != (c.IBAN == debtors[0]) {
				t.Errorf("%s of %s: %s", c.EndToEnd, c.IBAN, status)
			}
			if status.Bad() {
				rejected++
				if sepa.ReasonOf(why[0].Code).Action != sepa.StopMandate {
					t.Errorf("%+v", why)
				}
			}
		}
	}
	if got := len(bank.Waiting()) - waiting; got != sent.Count-rejected {
		t.Errorf("the bank keeps %d of %d collections, %d were rejected", got, sent.Count, rejected)
	}
	again, err := bank.Take(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := sepa.ReadStatus(bytes.NewReader(again), sepa.Limits{}); err != nil || r.Status != sepa.Rejected {
		t.Errorf("the file was taken twice: %+v, %v", r, err)
	}
}

// refund pays somebody back, by two transfers.
func refund(t *testing.T, p sepa.Profile, bank *sepatest.Bank, n int, now time.Time, day string) {
	t.Helper()
	d := sepa.Transfers{ID: fmt.Sprintf("REFUND-%d", n), Created: now, Execute: p.HandedIn(now), Name: "Tandem", IBAN: ourAccount}
	for i := range 2 {
		d.Items = append(d.Items, sepa.Transfer{EndToEnd: fmt.Sprintf("R-%d-%d", n, i), Amount: money.Amount{Minor: int64(100 + i), Currency: money.EUR}, Name: "Frau Müller", IBAN: debtors[i], Text: "Refund"})
	}
	var out bytes.Buffer
	sent, err := p.WriteTransfers(&out, d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []sepa.Status{sepa.Accepted, sepa.Rejected} { // once, and not twice
		answer, err := bank.Carry(day, out.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		r, err := sepa.ReadStatus(bytes.NewReader(answer), sepa.Limits{})
		if err != nil || r.Status != want || r.About(sent) != nil {
			t.Fatalf("%+v, %v; want %s", r, err, want)
		}
	}
}

// read takes a file of statements into our books; nil only reads it.
func read(t *testing.T, file []byte, our *books) {
	t.Helper()
	f, err := sepa.ReadStatements(bytes.NewReader(file), sepa.Limits{})
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	if our == nil {
		return
	}
	for _, s := range f.Statements {
		for _, e := range s.Entries {
			for _, d := range e.Details {
				our.take(t, d)
			}
		}
		if our.balance != s.Closing.Sum.Minor {
			t.Errorf("after %s we have %d cents, the bank says %s", s.ID, our.balance, s.Closing.Sum)
		}
	}
}

func (b *books) take(t *testing.T, d sepa.Detail) {
	t.Helper()
	if b.seen[d.Key.String()] {
		return
	}
	b.seen[d.Key.String()] = true
	b.balance += d.Amount.Minor
	b.fees += d.Charges.Minor
	if _, ours := b.open[d.EndToEnd]; !ours {
		b.incoming += d.Amount.Minor
		return
	}
	owed, err := d.Principal()
	if err != nil {
		t.Error(err)
	}
	b.open[d.EndToEnd] -= owed.Minor
	b.paid[d.EndToEnd] += owed.Minor
	if d.Return != nil && b.paid[d.EndToEnd] != 0 {
		t.Errorf("%s came back, and %d cents of it stay", d.EndToEnd, b.paid[d.EndToEnd])
	}
}

// giveBack has some debtors take their money back, one by one and several in a line.
func giveBack(t *testing.T, rnd *rand.Rand, bank *sepatest.Bank, d sepa.Debits, day string) {
	t.Helper()
	var some []string
	for _, c := range d.Collections {
		if c.IBAN != debtors[0] && rnd.IntN(5) == 0 {
			some = append(some, c.EndToEnd)
		}
	}
	if half := len(some) / 2; half > 0 {
		if err := bank.Return(day, "MD06", 300, some[:half]...); err != nil {
			t.Fatal(err)
		}
		some = some[half:]
	}
	for _, e := range some {
		if err := bank.Return(day, "AM04", rnd.Int64N(2)*150, e); err != nil {
			t.Fatal(err)
		}
	}
}

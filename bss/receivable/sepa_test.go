package receivable_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/communication"
	"tandem/bss/ledger"
	"tandem/bss/party"
	"tandem/bss/receivable"
	"tandem/edge/sepa"
	"tandem/edge/sepa/sepatest"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
	"tandem/kit/work"
)

const (
	ourAccount  = "DE02120300000000202051"
	receivables = "/tandem-api/receivable/v1/"
)

var (
	deskKinds   = slices.Concat(party.Kinds(), communication.Kinds(), billing.Kinds(), receivable.Kinds())
	deskSchemas = slices.Concat([]store.Schema{tmf.Schema(), outbox.Schema(), work.Schema(), access.Schema()}, communication.Schemas, ledger.Schemas, billing.Schemas, receivable.Schemas)
	// ibans of debtors, by account.
	ibans = []string{"DE89370400440532013000", "AT611904300234573201", "NL91ABNA0417164300", "FR1420041010050500013M02606", "IT60X0542811101000000123456"}
)

// desk is a creditor with an account at a bank of the test.
type desk struct {
	*books
	api  *tmftest.API
	bank *sepatest.Bank
	now  *atomic.Int64 // unix seconds
	from int64         // what the bank's account stood at in the beginning
}

func desks(t *testing.T, f func(d *desk)) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) { f(openDesk(t, engine)) })
	}
}

func openDesk(t *testing.T, engine store.Dialect) *desk {
	now := &atomic.Int64{}
	now.Store(time.Date(2026, 3, 9, 8, 0, 0, 0, time.UTC).Unix()) // a Monday
	c := tmftest.Config(t, engine, deskSchemas, deskKinds)
	c.Clock = func() time.Time { return time.Unix(now.Load(), 0).UTC() }
	db := tmftest.Open(t, c, deskSchemas, deskKinds)
	d := &desk{&books{t, db}, tmftest.Serve(t, db, deskKinds), sepatest.New(ourAccount, 12345), now, 12345}
	d.entity()
	return d
}

// entity is the legal entity that is owed.
func (d *desk) entity() {
	d.Helper()
	d.must(func(tx *store.Tx) error {
		e := &billing.LegalEntity{Name: "Acme Telecom", IBAN: ourAccount, CreditorID: "DE98ZZZ09999999999", Address: &billing.PostalAddress{Country: "DE"}}
		e.ID, e.IsDefault = "acme", new(bool)
		*e.IsDefault = true
		return billing.LegalEntities.Create(tx, e)
	})
}

func euros(cents int64) money.Amount { return money.Amount{Minor: cents, Currency: money.EUR} }

// account opens a billing account, and its mandate if there is an IBAN.
func (d *desk) account(id, name, iban string) {
	d.Helper()
	d.must(func(tx *store.Tx) error {
		p := &party.Individual{GivenName: name, FamilyName: "x"}
		p.ID = "person-" + id
		if err := party.Individuals.Create(tx, p); err != nil {
			return err
		}
		c := &party.Customer{Name: name, EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}}
		c.ID = "customer-" + id
		if err := party.Customers.Create(tx, c); err != nil {
			return err
		}
		a := &billing.BillingAccount{Currency: "EUR", AccountTerms: billing.AccountTerms{Name: name,
			RelatedParty: []tmf.RelatedParty{{ID: c.ID, Role: "customer", ReferredType: "Customer"}}}}
		a.ID = id
		return billing.BillingAccounts.Create(tx, a)
	})
	if iban != "" {
		d.mandate("M-"+id, id, iban)
	}
}

func (d *desk) mandate(id, account, iban string) {
	d.Helper()
	tmftest.Must[receivable.Mandate](d.api, "host", http.MethodPost, receivables+"mandate", mandateOf(id, account, iban))
}

func mandateOf(id, account, iban string) *receivable.Mandate {
	m := &receivable.Mandate{Account: &receivable.Ref{ID: account}, IBAN: iban, Debtor: "Frau Müller", Signed: "2026-01-05"}
	m.ID = id
	return m
}

func (d *desk) clock() time.Time { return time.Unix(d.now.Load(), 0).UTC() }

// on sets the clock on by days, and says the day it is then.
func (d *desk) on(days int) string {
	d.now.Add(int64(days) * 86400)
	return civil.DateOf(d.clock(), time.UTC).String()
}

// collect makes a file and hands it in; the bank's answer is taken.
func (d *desk) collect() string {
	d.Helper()
	var id string
	var file []byte
	d.must(func(tx *store.Tx) (err error) {
		if id, err = receivable.Collect(tx, "acme", d.clock()); err == nil {
			file, err = receivable.DebitFile(tx, id)
		}
		return err
	})
	answer, err := d.bank.Take(file)
	if err != nil {
		d.Fatalf("%v\n%s", err, file)
	}
	b := d.take(answer)
	if b.Answers != id {
		d.Errorf("the bank's answer is about %q, not %q", b.Answers, id)
	}
	return id
}

// take posts a file of the bank.
func (d *desk) take(file []byte) *receivable.BankStatement {
	d.Helper()
	return tmftest.Must[receivable.BankStatement](d.api, "host", http.MethodPost, receivables+"bankStatement", &receivable.BankStatement{File: string(file)})
}

// sent are the end-to-end references the bank waits to settle, by account.
func (d *desk) sent() map[string]string {
	out := map[string]string{}
	for _, c := range d.bank.Waiting() {
		out[strings.TrimPrefix(c.Mandate, "M-")] = c.EndToEnd
	}
	return out
}

// even proves that our books have what the bank has.
func (d *desk) even() {
	d.Helper()
	d.sound()
	var ours int64
	d.must(func(tx *store.Tx) error {
		sums, err := ledger.Trial(tx, "acme", civil.Date{Year: 2027, Month: 1, Day: 1})
		for _, s := range sums {
			if s.Account == ledger.Of(ledger.Bank, ourAccount) {
				ours = s.Amount
			}
		}
		return err
	})
	if ours+d.from != d.bank.Balance {
		d.Errorf("the books have %d cents at the bank, the bank %d", ours+d.from, d.bank.Balance)
	}
}

func number(b *int64) int64 {
	if b == nil {
		return -1
	}
	return *b
}

func TestABillIsCollectedReturnedAndCollectedAgain(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna Groß", ibans[0])
		d.bill("2026-0001", "a", 5000, civil.Date{Year: 2026, Month: 3, Day: 12}, "")
		d.collect()
		e := d.sent()["a"]
		if waiting := d.bank.Waiting(); len(waiting) != 1 || waiting[0].Cents != 5000 || waiting[0].Sequence != "FRST" || waiting[0].Due != "2026-03-12" {
			t.Fatalf("the bank was asked for %+v", waiting)
		}
		d.refused(d.write(func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err }), "nothingToCollect")
		day := d.on(4)
		d.bank.Settle(day)
		statement := d.bank.Statement(day)
		if b := d.take(statement); number(b.Settled) != 1 || number(b.Open) != 0 {
			t.Errorf("%+v", b)
		}
		d.expect("a", map[string]int64{})
		if b := d.take(statement); number(b.Known) != 1 || number(b.Settled) != 0 {
			t.Errorf("sent twice, it was taken twice: %+v", b)
		}
		d.even()
		day = d.on(5)
		if err := d.bank.Return(day, "AM04", 350, e); err != nil {
			t.Fatal(err)
		}
		if b := d.take(d.bank.Statement(day)); number(b.Returned) != 1 {
			t.Errorf("%+v", b)
		}
		d.even()
		d.bank.Settle(day)
		d.collect() // the mandate is good
		if waiting := d.bank.Waiting(); len(waiting) != 2 || waiting[0].Sequence != "RCUR" || waiting[0].Cents+waiting[1].Cents != 5350 {
			t.Errorf("the bank was asked for %+v", waiting)
		}
		day = d.on(4)
		d.bank.Settle(day)
		d.take(d.bank.Statement(day))
		d.expect("a", map[string]int64{})
		d.even()
	})
}

func TestWhatTheBankSaysIsDone(t *testing.T) {
	desks(t, func(d *desk) {
		for i, id := range []string{"a", "b", "c"} {
			d.account(id, "Customer "+id, ibans[i])
			d.bill("2026-000"+id, id, 1000, day, "")
		}
		d.bank.Reject(ibans[0], "AC04")
		d.bank.Reject(ibans[1], "AM09")
		file := d.collect()
		f := tmftest.Must[receivable.DirectDebitFile](d.api, "host", http.MethodGet, receivables+"directDebitFile/"+file, nil)
		if f.Status != "partly" || f.Count != 3 {
			t.Errorf("%+v", f)
		}
		m := tmftest.Must[receivable.Mandate](d.api, "host", http.MethodGet, receivables+"mandate/M-a", nil)
		if m.State != receivable.MandateStopped || !strings.HasPrefix(m.Reason, "AC04") {
			t.Errorf("the mandate of a closed account: %+v", m)
		}
		held := tmftest.Must[[]receivable.DirectDebitResource](d.api, "host", http.MethodGet, receivables+"directDebit?account.id=b", nil)
		if len(*held) != 1 || !*(*held)[0].OnHold || (*held)[0].Reason != "AM09" || (*held)[0].State != "rejected" {
			t.Fatalf("%+v", *held)
		}
		d.refused(d.write(func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err }), "nothingToCollect")
		d.mandate("M-a2", "a", ibans[3]) // another way to pay
		off := false
		tmftest.Must[receivable.DirectDebitResource](d.api, "host", http.MethodPatch, receivables+"directDebit/"+(*held)[0].ID, &receivable.DirectDebitResource{OnHold: &off})
		d.bank.Reject(ibans[1], "")
		d.collect()
		if n := len(d.bank.Waiting()); n != 3 {
			t.Errorf("%d collections wait at the bank", n)
		}
	})
}

func TestAMandateShowsNoAccount(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", ibans[0])
		for _, path := range []string{"mandate/M-a", "mandate"} {
			if body := d.api.Do("host", http.MethodGet, receivables+path, nil).Body; bytes.Contains(body, []byte(ibans[0])) || !bytes.Contains(body, []byte("DE89...3000")) {
				t.Errorf("%s: %s", path, body)
			}
		}
		for _, bad := range []struct{ id, account, iban, code string }{
			{"M-1", "a", "DE89370400440532013001", "ibanChecksum"},
			{"M-1", "a", "US00000000000", "ibanCountry"},
			{"M-1", "a", ibans[1], "twoMandates"},
			{"M-1", "nobody", ibans[1], "unknownAccount"},
			{strings.Repeat("M", 36), "a", ibans[1], "badReference"},
		} {
			if got := d.api.Send("host", http.MethodPost, receivables+"mandate", mandateOf(bad.id, bad.account, bad.iban)); got.Object()["code"] != bad.code {
				t.Errorf("%+v: %s", bad, got.Body)
			}
		}
		d.bill("2026-0001", "a", 1000, day, "")
		d.collect()
		now := d.on(8)
		d.bank.Settle(now)
		d.take(d.bank.Statement(now))
		tmftest.Must[receivable.Mandate](d.api, "host", http.MethodPatch, receivables+"mandate/M-a", map[string]string{"iban": ibans[2]})
		d.bill("2026-0002", "a", 1000, day, "")
		d.must(func(tx *store.Tx) error {
			id, err := receivable.Collect(tx, "acme", d.clock())
			if err != nil {
				return err
			}
			file, err := receivable.DebitFile(tx, id)
			if !bytes.Contains(file, []byte("<OrgnlDbtrAcct><Id><IBAN>"+ibans[0])) && !bytes.Contains(bytes.Join(bytes.Fields(file), nil), []byte("<OrgnlDbtrAcct><Id><IBAN>"+ibans[0])) {
				t.Errorf("the bank is not told of the former account:\n%s", file)
			}
			return err
		})
	})
}

func TestATransferFindsItsBill(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna Groß", "")
		d.account("b", "Bernd Klein", "")
		d.account("c", "Anna Schmidt", "")
		d.bill("2026-0001", "a", 5000, day, "")
		d.bill("2026-0002", "b", 5000, day, "")
		d.bill("2026-0003", "a", 700, day, "")
		d.bill("2026-0004", "b", 900, day, "")
		d.bill("2026-0005", "c", 900, day, "")
		rf, err := sepa.NewReference("N20260001")
		if err != nil {
			t.Fatal(err)
		}
		now := d.on(7)
		d.bank.Pay(now, "Somebody", ibans[0], "", rf, 5000)                              // a structured reference
		d.bank.Pay(now, "Somebody", ibans[1], "Rechnung N-2026-0002 danke", "", 4000)    // a number in the text, less than is open
		d.bank.Pay(now, "Gross, Anna", ibans[2], "danke", "", 700)                       // amount and name
		d.bank.Pay(now, "Wer weiss", ibans[3], "Miete", "", 12300)                       // nobody's
		d.bank.Pay(now, "Anna Gross", ibans[4], "N-2026-0004 und N-2026-0005", "", 1800) // two accounts
		if b := d.take(d.bank.Statement(now)); number(b.Matched) != 3 || number(b.Open) != 2 {
			t.Errorf("%d matched, %d open", number(b.Matched), number(b.Open))
		}
		d.expect("a", map[string]int64{})
		d.expect("b", map[string]int64{"2026-0002": 1000, "2026-0004": 900})
		d.even()
		open := *tmftest.Must[[]receivable.BankEntry](d.api, "host", http.MethodGet, receivables+"bankEntry?state=open", nil)
		if len(open) != 2 {
			t.Fatalf("%+v", open)
		}
		assign := func(id, account string) tmftest.Answer {
			return d.api.Send("host", http.MethodPatch, receivables+"bankEntry/"+id, map[string]any{"account": map[string]string{"id": account}})
		}
		miete := slices.IndexFunc(open, func(e receivable.BankEntry) bool { return e.Text == "Miete" })
		if got := assign(open[miete].ID, "b"); got.Status != http.StatusOK || got.Object()["state"] != "assigned" {
			t.Fatalf("%s", got.Body)
		}
		if got := assign(open[miete].ID, "a"); got.Object()["code"] != "notOpen" {
			t.Errorf("assigned twice: %s", got.Body)
		}
		d.expect("b", map[string]int64{})
		d.bill("2026-0006", "b", 10400, day, "")
		d.expect("b", map[string]int64{}) // it was too much
		d.even()
		d.bill("2026-0007", "b", 1111, day, "")
		now = d.on(1)
		d.bank.Pay(now, "Unreadable", ibans[3], "xyz", "", 1111) // he has paid from there before
		if b := d.take(d.bank.Statement(now)); number(b.Matched) != 1 {
			t.Errorf("%+v", b)
		}
		d.expect("b", map[string]int64{})
		d.even()
	})
}

func TestABadFileLeavesNothing(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("2026-0001", "a", 1000, day, "")
		now := d.on(7)
		d.bank.Pay(now, "Anna", ibans[0], "N-2026-0001", "", 1000)
		good := string(d.bank.Statement(now))
		d.bank.Pay(now, "Anna", ibans[0], "again", "", 200)
		next := string(d.bank.Statement(now))
		d.bank.Pay(now, "Anna", ibans[0], "and again", "", 300)
		third := string(d.bank.Statement(now))
		for _, bad := range []struct{ file, code string }{
			{good[:len(good)-40], "fileCut"},
			{strings.Replace(good, ">10.00<", ">11.00<", 1), ""},
			{strings.ReplaceAll(good, ourAccount, "DE89370400440532013000"), "unknownBankAccount"},
			{"hello", ""},
			{"", "fileMissing"},
		} {
			got := d.api.Send("host", http.MethodPost, receivables+"bankStatement", &receivable.BankStatement{File: bad.file})
			if got.Status != http.StatusBadRequest || bad.code != "" && got.Object()["code"] != bad.code {
				t.Errorf("%.60q: %d %s", bad.file, got.Status, got.Body)
			}
		}
		d.expect("a", map[string]int64{"2026-0001": 1000})
		d.take([]byte(good))
		gap := d.api.Send("host", http.MethodPost, receivables+"bankStatement", &receivable.BankStatement{File: third})
		if gap.Status != http.StatusConflict || gap.Object()["code"] != "statementGap" {
			t.Errorf("a statement between was not missed: %s", gap.Body)
		}
		d.take([]byte(next))
		d.take([]byte(third))
		d.expect("a", map[string]int64{})
		d.even()
	})
}

// TestDaysWithTheBank lives with a bank for some months: collected, rejected, settled,
// returned, paid by transfer, files sent twice. Every day our books have what the bank
// has, and nobody has paid a bill twice.
func TestDaysWithTheBank(t *testing.T) {
	desks(t, func(d *desk) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		r := rand.New(rand.NewPCG(seed, 3))
		d.bank.Newer, d.bank.Each = r.IntN(2) == 0, r.IntN(2) == 0
		for i, iban := range ibans {
			d.account(fmt.Sprintf("a%d", i), fmt.Sprintf("Kunde %c", 'A'+i), iban)
		}
		d.bank.Reject(ibans[4], []string{"AC04", "MS03", "AM04"}[r.IntN(3)])
		var settled []string
		done := map[string]int{}
		for n := range 12 {
			for range 1 + r.IntN(3) {
				id := fmt.Sprintf("2026-%04d", done["bill"])
				done["bill"]++
				d.bill(id, fmt.Sprintf("a%d", r.IntN(len(ibans))), 100+r.Int64N(9000), civil.DateOf(d.clock(), time.UTC).AddDays(r.IntN(5)), "")
			}
			if err := d.write(func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err }); err == nil {
				d.hand()
				done["collect"]++
			} else {
				d.refused(err, "nothingToCollect")
			}
			now := d.on(2 + r.IntN(3))
			for _, c := range d.bank.Waiting() {
				if c.Due <= now {
					settled = append(settled, c.EndToEnd)
				}
			}
			d.bank.Settle(now)
			if r.IntN(2) == 0 {
				d.bank.Pay(now, "Kunde B", "DE75512108001245126199", fmt.Sprintf("Rechnung N-2026-%04d", r.IntN(done["bill"])), "", 1+r.Int64N(5000))
				done["pay"]++
			}
			if len(settled) > 0 && r.IntN(2) == 0 {
				i := r.IntN(len(settled))
				if err := d.bank.Return(d.today(), []string{"AM04", "MD06", "MS03"}[r.IntN(3)], r.Int64N(2)*300, settled[i]); err != nil {
					t.Fatal(err)
				}
				settled = slices.Delete(settled, i, i+1)
				done["return"]++
			}
			statement := d.bank.Statement(d.today())
			for range 1 + n%2 {
				d.take(statement)
			}
			d.even()
		}
		t.Logf("%v", done)
		if done["collect"] == 0 {
			t.Error("nothing was ever collected")
		}
	})
}

func (d *desk) today() string { return civil.DateOf(d.clock(), time.UTC).String() }

// hand hands the file in that was made last.
func (d *desk) hand() {
	d.Helper()
	files := *tmftest.Must[[]receivable.DirectDebitFile](d.api, "host", http.MethodGet, receivables+"directDebitFile?status=made", nil)
	for _, f := range files {
		var file []byte
		d.must(func(tx *store.Tx) (err error) { file, err = receivable.DebitFile(tx, f.ID); return err })
		answer, err := d.bank.Take(file)
		if err != nil {
			d.Fatal(err)
		}
		d.take(answer)
	}
}

func TestTwoFilesAtOnceCollectAClaimOnce(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", ibans[0])
		d.bill("2026-0001", "a", 1000, day, "")
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() {
				errs <- d.write(func(tx *store.Tx) error { _, err := receivable.Collect(tx, "acme", d.clock()); return err })
			}()
		}
		made := 0
		for range cap(errs) {
			if err := <-errs; err == nil {
				made++
			} else {
				d.refused(err, "nothingToCollect")
			}
		}
		if made != 1 {
			t.Errorf("%d files were made", made)
		}
	})
}

func TestFilesGoOverTheWireAsTheyAre(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", ibans[0])
		d.bill("2026-0001", "a", 1000, day, "")
		mux := http.NewServeMux()
		allow := true
		(&receivable.BankFiles{DB: d.db, Authenticate: func(r *http.Request) (*tmf.Caller, error) {
			return &tmf.Caller{Tenant: r.Header.Get("Tenant"), Actor: "ann", Allow: func(string, string, string) bool { return allow }}, nil
		}}).Routes(mux, func(h http.Handler) http.Handler { return h })
		send := func(tenant, method, path, body string) *httptest.ResponseRecorder {
			r, w := httptest.NewRequest(method, receivables+path, strings.NewReader(body)), httptest.NewRecorder()
			r.Header.Set("Tenant", tenant)
			mux.ServeHTTP(w, r)
			return w
		}
		f := tmftest.Must[receivable.DirectDebitFile](d.api, "host", http.MethodPost, receivables+"directDebitFile", &receivable.DirectDebitFile{LegalEntity: &receivable.Ref{ID: "acme"}})
		got := send("host", "GET", "directDebitFile/"+f.ID+"/content", "")
		answer, err := d.bank.Take(got.Body.Bytes())
		if err != nil || got.Code != http.StatusOK {
			t.Fatalf("%d %v", got.Code, err)
		}
		if got := send("other", "GET", "directDebitFile/"+f.ID+"/content", ""); got.Code != http.StatusNotFound {
			t.Errorf("another tenant reads the file: %d", got.Code)
		}
		if got := send("host", "POST", "bankStatement/content", string(answer)); got.Code != http.StatusCreated || !strings.Contains(got.Body.String(), f.ID) {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		allow = false
		if got := send("host", "POST", "bankStatement/content", string(answer)); got.Code != http.StatusForbidden {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
}

// Who pays by direct debit is not reminded while the money is on its way from his bank, and
// is when the bank says nothing for too long.
func TestNobodyIsDunnedWhileHisBankPays(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Ada Berg", ibans[0])
		d.bill("1", "a", 4200, civil.DateOf(d.clock(), time.UTC).AddDays(2), "")
		d.collect()
		steps := func(days int) (n int64) {
			d.Helper()
			d.on(days)
			d.must(func(tx *store.Tx) error { return receivable.Dun(tx, "a", civil.DateOf(d.clock(), time.UTC)) })
			d.must(func(tx *store.Tx) error {
				return tx.Row("SELECT count(*) FROM receivable_action WHERE tenant = $1 AND account = 'a'").Scan(&n)
			})
			return n
		}
		if n := steps(9); n != 0 {
			t.Errorf("dunned %d times while the bank was to pay", n)
		}
		if n := steps(20); n != 1 {
			t.Errorf("dunned %d times when the bank was silent for weeks, want once", n)
		}
	})
}

// What the bank books in a sum and takes back in part may stand on one statement.
func TestABatchAndItsReturnOnOneStatement(t *testing.T) {
	desks(t, func(d *desk) {
		d.bank.Sums = true
		due := civil.DateOf(d.clock(), time.UTC).AddDays(3)
		for i, id := range []string{"a", "b"} {
			d.account(id, "Customer "+id, ibans[i])
			d.bill("bill-"+id, id, 5000, due, "")
		}
		d.collect()
		sent := d.sent()
		day := d.on(4)
		d.bank.Settle(day)
		if err := d.bank.Return(day, "AM04", 350, sent["a"]); err != nil {
			t.Fatal(err)
		}
		if b := d.take(d.bank.Statement(day)); number(b.Returned) != 1 || number(b.Open) != 0 {
			t.Errorf("%+v", b)
		}
		if open := d.open("a"); open["bill-a"] != 5000 || len(open) != 2 {
			t.Errorf("a has open %v, want the bill and the fee of its return", open)
		}
		d.expect("b", map[string]int64{})
		d.even()
	})
}

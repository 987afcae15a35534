package receivable_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"tandem/bss/ledger"
	"tandem/bss/receivable"
	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// roles are the built-in ones, by what they allow.
func roles(t *testing.T) map[string]func(api, kind, verb string) bool {
	text, err := os.ReadFile("../../kit/access/roles.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []access.Role
	if err := tmf.Decode(text, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]func(api, kind, verb string) bool{}
	for _, r := range all {
		out[r.ID] = func(api, kind, verb string) bool {
			return slices.ContainsFunc(r.Permissions, func(p access.Permission) bool {
				return slices.Contains([]string{"*", api}, p.API) && slices.Contains([]string{"*", kind}, p.Kind) &&
					(slices.Contains(p.Verbs, "*") || slices.Contains(p.Verbs, verb))
			})
		}
	}
	return out
}

// The accounts and addresses of customers leave the house by those hands only that are to
// carry them to the bank, and it is written down whose they were. A file is what its
// address says.
func TestFilesAreHandedOutToFew(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", ibans[0])
		d.account("b", "Bert", "")
		d.bill("1", "a", 1000, d.day(), "")
		d.bill("2", "b", 1000, d.day().AddDays(-80), "")
		now := d.on(1)
		d.bank.Pay(now, "Anna Gross", ibans[2], "fuer account a", "", 9000)
		d.take(d.bank.Statement(now))
		open := *tmftest.Must[[]receivable.BankEntry](d.api, "host", http.MethodGet, receivables+"bankEntry?state=open", nil)
		debit := d.collect()
		e := tmftest.Must[receivable.BankEntry](d.api, "host", http.MethodPatch, receivables+"bankEntry/"+open[0].ID, object{"account": ref("a")})
		if got := d.api.Send("host", http.MethodPost, refunds, object{"account": ref("a"), "payment": ref(e.Payment.ID), "totalAmount": object{"unit": "EUR", "value": 20},
			"paymentMethod": object{"@type": "BankAccountTransfer"}}); got.Status != http.StatusCreated {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		transfer := d.post("creditTransferFile", object{"legalEntity": ref("acme")})["id"].(string)
		agency := d.post("agencyFile", object{"agency": "Creditreform", "legalEntity": ref("acme")})["id"].(string)
		files := map[string]string{"directDebitFile/" + debit + "/content": ibans[0], "creditTransferFile/" + transfer + "/content": ibans[2],
			"agencyFile/" + agency + "/content": "Bert x", "agencyFile/" + agency + "/ended": "reference"}
		for role, may := range roles(t) {
			for path, secret := range files {
				w := d.read(path, may)
				if given := role == "finance" || role == "admin"; given != (w.Code == http.StatusOK) || given != strings.Contains(w.Body.String(), secret) {
					t.Errorf("%s is given %s: %d %s", role, path, w.Code, w.Body)
				}
			}
		}
		var written int64
		d.must(func(tx *store.Tx) error {
			return tx.Row("SELECT count(*) FROM access_audit WHERE tenant = $1 AND action = 'receivable.handOut' AND actor = 'ann'").Scan(&written)
		})
		if written != int64(2*len(files)) {
			t.Errorf("%d handovers are written down, want %d", written, 2*len(files))
		}
		for _, path := range []string{"directDebitFile/" + transfer, "creditTransferFile/" + debit, "agencyFile/" + debit} {
			if w := d.read(path+"/content", func(string, string, string) bool { return true }); w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
	})
}

// booked is what the books have on an account by the end.
func (d *desk) booked(account string) (sum int64) {
	d.Helper()
	d.must(func(tx *store.Tx) error {
		all, err := ledger.Trial(tx, "acme", civil.Date{Year: 2027, Month: 1, Day: 1})
		for _, s := range all {
			if s.Account == account {
				sum = s.Amount
			}
		}
		return err
	})
	return sum
}

// What an agency has collected is on its clearing account until it pays it out; a person
// says once that this is it. No customer is known by that.
func TestAPayoutSettlesItsClearingAccount(t *testing.T) {
	desks(t, func(d *desk) {
		d.account("a", "Anna", "")
		d.bill("1", "a", 5000, d.day().AddDays(-80), "")
		file := d.post("agencyFile", object{"agency": "Creditreform", "legalEntity": ref("acme")})["id"].(string)
		reference, _, _ := strings.Cut(strings.Split(d.report("agencyFile/"+file+"/content"), "\n")[1], ";")
		clearing, suspense := ledger.Of(ledger.Clearing, "agency"), ledger.Of(ledger.Clearing, "bank")
		pays := func(number string, cents int64) *receivable.BankStatement {
			d.post("agencyRemittance", object{"agency": "Creditreform", "number": number, "file": reference + ";20.00;5.00;" + d.day().String()})
			if got := d.booked(clearing); got != cents {
				t.Errorf("the agency has %d cents of ours, want %d", got, cents)
			}
			now := d.on(1)
			d.bank.Pay(now, "Creditreform Inkasso", ibans[3], "Auszahlung", "", cents)
			return d.take(d.bank.Statement(now))
		}
		if b := pays("1", 1500); number(b.Open) != 1 {
			t.Fatalf("%+v", b)
		}
		e := (*tmftest.Must[[]receivable.BankEntry](d.api, "host", http.MethodGet, receivables+"bankEntry?state=open", nil))[0]
		d.no(http.MethodPatch, "bankEntry/"+e.ID, object{"clearing": "agency", "account": ref("a")}, "invalidAssignment")
		d.no(http.MethodPatch, "bankEntry/"+e.ID, object{"clearing": "agency", "state": "charges"}, "invalidAssignment")
		if got := tmftest.Must[receivable.BankEntry](d.api, "host", http.MethodPatch, receivables+"bankEntry/"+e.ID, object{"clearing": "agency"}); got.State != "settled" || got.Clearing != "agency" {
			t.Errorf("%+v", got)
		}
		d.no(http.MethodPatch, "bankEntry/"+e.ID, object{"clearing": "card"}, "notOpen")
		if b := pays("2", 1500); number(b.Settled) != 1 || number(b.Open) != 0 {
			t.Errorf("the second payout is not known: %+v", b)
		}
		if a, b := d.booked(clearing), d.booked(suspense); a != 0 || b != 0 {
			t.Errorf("%d cents are with the agency, %d in suspense", a, b)
		}
		d.expect("a", map[string]int64{"1": 1000})
		d.even()
	})
}

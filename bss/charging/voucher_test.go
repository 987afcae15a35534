package charging_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

func (w *world) printed(id string) (pins []string) {
	w.Helper()
	err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "user:ann"}, func(tx *store.Tx) error {
		all, err := w.room.Print(tx, id)
		for _, v := range all {
			pins = append(pins, v.PIN)
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return pins
}

func (w *world) redeems(product, pin string) answer {
	w.Helper()
	return w.do(ann, "POST", balance+"topupBalance", fmt.Sprintf(`{"product":[{"id":%q}],"voucher":%q,"channel":{"id":"ussd"}}`, product, pin))
}

// A voucher is worth what its batch says, once, however many try at the same time.
func TestVoucherIsRedeemedOnce(t *testing.T) {
	each(t, func(w *world) {
		const customers = 6
		for i := range customers {
			w.sell("mno", fmt.Sprintf("p%d", i), "prepaid", fmt.Sprintf("49151000%d", i))
		}
		pin := w.print("b1", `{"amount":15,"units":"EUR"}`, 3)[0]
		if len(pin) != 16 {
			t.Fatalf("a PIN of %d digits", len(pin))
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		ends := map[string]int{}
		for i := range customers {
			wait.Go(func() {
				a := w.redeems(fmt.Sprintf("p%d", i), pin[:4]+" "+pin[4:8]+"-"+pin[8:])
				mu.Lock()
				defer mu.Unlock()
				ends[a.text("status")]++
				if strings.Contains(string(a.body), pin) {
					t.Errorf("the answer shows the PIN: %s", a.body)
				}
			})
		}
		wait.Wait()
		if ends["created"] != 1 || ends["failed"] != customers-1 {
			t.Fatalf("%v", ends)
		}
		w.await("the top-up", func() bool {
			return w.count("mno", "SELECT coalesce(sum(amount), 0) FROM charging_entry WHERE tenant = $1 AND against = 'voucher'") == 15e9
		})
		if n := w.count("mno", "SELECT count(*) FROM charging_redemption WHERE tenant = $1"); n != 1 {
			t.Errorf("%d redemptions", n)
		}
		for _, table := range []string{"charging_topup", "charging_action", "charging_batch"} {
			if n := w.count("mno", "SELECT count(*) FROM "+table+" WHERE tenant = $1 AND CAST(doc AS TEXT) LIKE $2", "%"+pin+"%"); n != 0 {
				t.Errorf("%s keeps the PIN", table)
			}
		}
	})
}

// A batch is worth nothing before a second person approves it, and nothing after it
// was made void or has expired; its PINs are shown once.
func TestVoucherBatchNeedsFourEyes(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		w.sell("mno", "p2", "prepaid", "491510002")
		for _, bad := range []string{`{"count":0,"amount":{"amount":5,"units":"EUR"}}`, `{"count":10001,"amount":{"amount":5,"units":"EUR"}}`,
			`{"count":1,"amount":{"amount":-5,"units":"EUR"}}`, `{"count":1,"amount":{"amount":5,"units":"shells"}}`} {
			if a := w.do(ann, "POST", own+"voucherBatch", bad); a.status != 400 {
				t.Errorf("%s: %d %s", bad, a.status, a.body)
			}
		}
		w.post(own+"voucherBatch", `{"id":"b1","count":2,"amount":{"amount":5,"units":"EUR"}}`)
		const approve = `{"subject":{"id":"b1","@referredType":"VoucherBatch"},"decision":"approve"}`
		w.refused(bob, "POST", own+"approval", approve, 409, "notPrinted")
		pins := w.printed("b1")
		err := w.db.Write(t.Context(), store.Scope{Tenant: "mno", Actor: "user:ann"}, func(tx *store.Tx) error { _, err := w.room.Print(tx, "b1"); return err })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("printed twice: %v", err)
		}
		if a := w.redeems("p1", pins[0]); a.text("status") != "failed" {
			t.Errorf("before the approval: %s", a.body)
		}
		w.refused(ann, "POST", own+"approval", approve, 403, "fourEyes")
		if a := w.do(bob, "POST", own+"approval", approve); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := w.redeems("p1", pins[0]); a.text("status") != "created" || a.text("voucher") != "b1-00001" {
			t.Errorf("%s", a.body)
		}
		if a := w.do(ann, "PATCH", own+"voucherBatch/b1", `{"state":"void"}`); a.status != 200 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := w.redeems("p2", pins[1]); a.text("status") != "failed" {
			t.Errorf("of a void batch: %s", a.body)
		}
		w.refused(ann, "PATCH", own+"voucherBatch/b1", `{"state":"active"}`, 409, "illegalMove")
		w.post(own+"voucherBatch", `{"id":"b2","count":1,"amount":{"amount":5,"units":"EUR"},"expires":"`+time.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)+`"}`)
		late := w.printed("b2")[0]
		w.do(bob, "POST", own+"approval", strings.Replace(approve, "b1", "b2", 1))
		w.await("the batch to expire", func() bool {
			return w.get(own+"voucherBatch/b2").text("expires") < time.Now().UTC().Format(time.RFC3339Nano)
		})
		if a := w.redeems("p2", late); a.text("status") != "failed" {
			t.Errorf("after its end: %s", a.body)
		}
		if n := w.count("mno", "SELECT count(*) FROM charging_voucher WHERE tenant = $1 AND state = 'expired'"); n != 1 {
			t.Errorf("%d have expired", n)
		}
	})
}

// Who guesses is shut out, for longer each time; guesses at the same instant count too,
// and a good voucher is refused as long as that lasts.
func TestVoucherGuessing(t *testing.T) {
	each(t, func(w *world) {
		w.sell("mno", "p1", "prepaid", "491510001")
		pin := w.print("b1", `{"amount":5,"units":"EUR"}`, 1)[0]
		var wait sync.WaitGroup
		var mu sync.Mutex
		ends := map[int]int{}
		for i := range 20 {
			wait.Go(func() {
				a := w.redeems("p1", fmt.Sprintf("%016d", i))
				mu.Lock()
				defer mu.Unlock()
				ends[a.status]++
			})
		}
		wait.Wait()
		if ends[201] != 3 || ends[429] != 17 {
			t.Errorf("20 guesses: %v", ends)
		}
		if a := w.redeems("p1", pin); a.status != 429 || a.text("code") != "voucherLocked" {
			t.Errorf("a good voucher of who is shut out: %d %s", a.status, a.body)
		}
		if n := w.count("mno", "SELECT count(*) FROM access_audit WHERE tenant = $1 AND action = 'charging.voucher.refused'"); n != 3 {
			t.Errorf("%d lines in the audit", n)
		}
		w.unlock()
		if a := w.redeems("p1", "1"); a.text("status") != "failed" {
			t.Errorf("%s", a.body)
		}
		if n := w.count("mno", "SELECT locked_until - $2 FROM charging_guess WHERE tenant = $1 AND who = 'account:p1'", time.Now().UnixMicro()); n < 90e6 || n > 121e6 {
			t.Errorf("the second lock lasts %d µs", n)
		}
		w.unlock()
		if a := w.redeems("p1", pin); a.text("status") != "created" {
			t.Errorf("%s", a.body)
		}
		if n := w.count("mno", "SELECT count(*) FROM charging_guess WHERE tenant = $1 AND who = 'account:p1'"); n != 0 {
			t.Errorf("the guesses are not forgotten")
		}
	})
}

// unlock lets time pass.
func (w *world) unlock() {
	w.Helper()
	err := w.db.Write(w.Context(), store.Scope{Tenant: "mno", Actor: "test"}, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE charging_guess SET locked_until = 1 WHERE tenant = $1")
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
}

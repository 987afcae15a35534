package charging

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"strings"
	"time"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// VoucherBatch is a lot of vouchers of one worth. Its PINs come into being when it is
// printed, are shown then and never again, and are worth nothing before a second
// person has approved the batch.
type VoucherBatch struct {
	tmf.Entity
	Name        string        `json:"name,omitzero"`
	Description string        `json:"description,omitzero"`
	State       string        `json:"state,omitzero" tmf:"enum=made|printed|active|void"`
	Count       int64         `json:"count,omitzero" tmf:"required"`
	Amount      *tmf.Quantity `json:"amount,omitzero" tmf:"required"` // what each is worth
	Expires     time.Time     `json:"expires,omitzero"`
	Approval    *Approval     `json:"approval,omitzero"`
}

// States of a batch.
const (
	made    = "made"
	printed = "printed"
	active  = "active"
	void    = "void"
)

const maxBatch = 10_000 // vouchers of a batch: one transaction prints them

// Batches are the tenant's voucher batches.
var Batches = tmf.Kind[VoucherBatch, *VoucherBatch]{
	API: &OwnAPI, Name: "voucherBatch", Table: "charging_batch", Verbs: tmf.Post | tmf.Patch, Index: []string{"state"},
	StateAttr: "state",
	Moves:     tmf.Moves{"": {made}, made: {printed, void}, printed: {active, void}, active: {void}},
	Frozen:    []string{"count", "amount", "expires", "approval"},
}

func postBatch(tx *store.Tx, b *VoucherBatch) error {
	b.State = made
	b.Approval = &Approval{State: "pending", RequestedBy: tx.Actor()}
	return Batches.Create(tx, b)
}

func checkBatch(tx *store.Tx, old, b *VoucherBatch) error {
	if old != nil {
		return nil
	}
	if b.Count < 1 || b.Count > maxBatch {
		return fault.BadInput("badCount", "A batch has 1 to %d vouchers", maxBatch)
	}
	n, _, err := measured(b.Amount)
	if err == nil && n <= 0 {
		err = fault.BadInput("badAmount", "A voucher is worth something: amount is above zero")
	}
	if err == nil && !b.Expires.IsZero() && !b.Expires.After(tx.Now()) {
		err = fault.BadInput("invalidPeriod", "expires is in the past")
	}
	return err
}

// patchBatch lets a client change words, and make a batch void.
func patchBatch(tx *store.Tx, old, b *VoucherBatch) error {
	if b.State != old.State {
		if b.State != void {
			return fault.Clash("illegalMove", "A batch becomes printed by printing it, and active by an approval; it can be made void")
		}
		if _, err := tx.Exec("UPDATE charging_voucher SET state = 'void' WHERE tenant = $1 AND batch = $2 AND state IN ('made', 'active')", b.ID); err != nil {
			return err
		}
	}
	return Batches.Save(tx, old, b)
}

// decideBatch makes a printed batch active, by another person than the one who made it.
func decideBatch(tx *store.Tx, d *Decision) error {
	_, err := Batches.Edit(tx, d.Subject.ID, func(b *VoucherBatch) error {
		if b.State != printed {
			return fault.Clash("notPrinted", "The batch %q is %s; one that is printed can be approved", b.ID, b.State)
		}
		if err := b.Approval.fourEyes(d); err != nil {
			return err
		}
		b.State = map[string]string{"approve": active, "reject": void}[d.Decision]
		_, err := tx.Exec("UPDATE charging_voucher SET state = $3 WHERE tenant = $1 AND batch = $2 AND state = 'made'", b.ID, b.State)
		return err
	})
	return err
}

// PrintedVoucher is a voucher as it goes to the printer.
type PrintedVoucher struct {
	Serial string `json:"serial"`
	PIN    string `json:"pin"`
}

const pinDigits = 16

// Print makes the PINs of a batch. They are returned here and kept nowhere: only a
// keyed MAC of each is stored. A batch is printed once.
func (r *Room) Print(tx *store.Tx, batch string) ([]PrintedVoucher, error) {
	b, err := Batches.Edit(tx, batch, func(b *VoucherBatch) error {
		if b.State != made {
			return fault.Clash("alreadyPrinted", "The batch %q is %s: its PINs are shown once", b.ID, b.State)
		}
		b.State = printed
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]PrintedVoucher, b.Count)
	for i := range out {
		pin, err := newPIN()
		if err != nil {
			return nil, err
		}
		out[i] = PrintedVoucher{fmt.Sprintf("%s-%05d", b.ID, i+1), pin}
		tx.Insert("INSERT INTO charging_voucher (tenant, serial, batch, mac, state)", out[i].Serial, b.ID, r.mac(tx.Tenant(), pin), made)
	}
	return out, access.Audit(tx, "charging.print", "VoucherBatch:"+b.ID, nil, map[string]int64{"count": b.Count})
}

var pins = new(big.Int).Exp(big.NewInt(10), big.NewInt(pinDigits), nil)

func newPIN() (string, error) {
	n, err := rand.Int(rand.Reader, pins)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*s", pinDigits, n.String()), nil
}

// mac is what is kept of a PIN. Without the key nothing can be tried against it.
func (r *Room) mac(tenant, pin string) []byte {
	m := hmac.New(sha256.New, r.PINKey)
	m.Write([]byte("voucher\x00" + tenant + "\x00" + pin))
	return m.Sum(nil)
}

// Guessing: after some wrong PINs in a row a balance takes none for a while, and
// twice as long after each further one. A channel, through which many customers
// come, may be wrong more often.
const (
	guesses        = 3
	channelGuesses = 30
	firstLock      = time.Minute
	longestLock    = 24 * time.Hour
)

// redeem takes the voucher of a top-up. A PIN that is not good ends the top-up as
// failed, which is stored, so that guesses are counted whatever becomes of the answer.
func (r *Room) redeem(tx *store.Tx, p *BalanceAction, t target) error {
	pin := strings.NewReplacer(" ", "", "-", "").Replace(p.Voucher)
	p.Voucher = ""
	account := "account:" + t.account.ID
	channel := "channel:" + tx.Actor()
	if p.Channel != nil {
		channel += "/" + p.Channel.ID
	}
	if err := mayTry(tx, account, true); err != nil {
		return err
	}
	if err := mayTry(tx, channel, false); err != nil {
		return err
	}
	why, err := r.take(tx, p, t, pin)
	if err != nil {
		return err
	}
	if why == "" {
		_, err := tx.Exec("DELETE FROM charging_guess WHERE tenant = $1 AND who = $2", account)
		return err
	}
	p.Status, p.StatusReason, p.ConfirmationDate = failed, why, tx.Now()
	if err := wrong(tx, account, guesses); err != nil {
		return err
	}
	if err := wrong(tx, channel, channelGuesses); err != nil {
		return err
	}
	return access.Audit(tx, "charging.voucher.refused", account, nil, map[string]string{"channel": channel, "topupBalance": p.ID})
}

// take redeems the voucher with a PIN; why says why not. What is not a voucher and
// what is one no more look the same to who guesses.
func (r *Room) take(tx *store.Tx, p *BalanceAction, t target, pin string) (why string, err error) {
	const refused = "The voucher is not valid"
	var serial, batch string
	err = tx.Row("SELECT serial, batch FROM charging_voucher WHERE tenant = $1 AND mac = $2 AND state = 'active'", r.mac(tx.Tenant(), pin)).Scan(&serial, &batch)
	if err == store.ErrNotFound {
		return refused, nil
	}
	if err != nil {
		return "", err
	}
	b, err := Batches.Get(tx, batch)
	if err != nil {
		return "", err
	}
	if !b.Expires.IsZero() && !b.Expires.After(tx.Now()) {
		_, err := tx.Exec("UPDATE charging_voucher SET state = 'expired' WHERE tenant = $1 AND serial = $2 AND state = 'active'", serial)
		return refused, err
	}
	if _, err := t.amount(b.Amount); err != nil {
		return "The voucher is for another sort of balance", nil
	}
	n, err := tx.Exec("UPDATE charging_voucher SET state = 'used' WHERE tenant = $1 AND serial = $2 AND state = 'active'", serial)
	if err != nil || n == 0 {
		return refused, err
	}
	tx.Insert("INSERT INTO charging_redemption (tenant, serial, action, account, at)", serial, p.ID, t.account.Number, store.Micros(tx.Now()))
	p.Voucher, p.Amount = serial, b.Amount
	return "", nil
}

// mayTry refuses who has guessed too often, for as long as that lasts. With hold
// nobody else may try for the same balance until this transaction ends.
func mayTry(tx *store.Tx, who string, hold bool) error {
	if hold {
		if _, err := tx.Exec(`INSERT INTO charging_guess (tenant, who, failures, locked_until) VALUES ($1, $2, 0, 0)
			ON CONFLICT (tenant, who) DO UPDATE SET failures = charging_guess.failures`, who); err != nil {
			return err
		}
	}
	var until int64
	err := tx.Row("SELECT locked_until FROM charging_guess WHERE tenant = $1 AND who = $2", who).Scan(&until)
	if err == store.ErrNotFound {
		return nil
	}
	if err == nil && until > store.Micros(tx.Now()) {
		return fault.New(fault.TooMany, "voucherLocked", "Too many vouchers were wrong; try again after %s", tmf.FormatTime(store.Instant(until)))
	}
	return err
}

// wrong counts a wrong PIN.
func wrong(tx *store.Tx, who string, free int64) error {
	if _, err := tx.Exec(`INSERT INTO charging_guess (tenant, who, failures, locked_until) VALUES ($1, $2, 1, 0)
		ON CONFLICT (tenant, who) DO UPDATE SET failures = charging_guess.failures + 1`, who); err != nil {
		return err
	}
	var n int64
	if err := tx.Row("SELECT failures FROM charging_guess WHERE tenant = $1 AND who = $2", who).Scan(&n); err != nil || n < free {
		return err
	}
	lock := longestLock
	if over := n - free; over < 11 {
		lock = min(lock, firstLock<<over)
	}
	_, err := tx.Exec("UPDATE charging_guess SET locked_until = $3 WHERE tenant = $1 AND who = $2", who, store.Micros(tx.Now().Add(lock)))
	return err
}

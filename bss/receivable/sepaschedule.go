package receivable

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"tandem/bss/billing"
	"tandem/bss/communication"
	"tandem/edge/sepa"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// fileJob makes the files of collections of one legal entity for today.
const fileJob = "receivable.debitfile"

// collecting is what the attribute tandem:collect of a legal entity says: its files are
// made by themselves, so many calendar days before what is in them falls due, and its
// customers are told before. The rulebooks ask for 14 days, unless it was agreed otherwise.
type collecting struct {
	Automatic  bool `json:"automatic"`
	DaysBefore *int `json:"daysBefore"` // none: collectAhead
	NoticeDays *int `json:"noticeDays"` // 0: customers are told otherwise, such as on the bill; none: 14
}

const usualNotice = 14

func collectingOf(e *billing.LegalEntity) (c collecting, err error) {
	var own struct {
		Collect *collecting `json:"tandem:collect"`
	}
	if len(e.Extra) > 0 {
		if err := json.Unmarshal(e.Extra, &own); err != nil {
			return c, fault.BadInput("invalidCollect", "tandem:collect of the legal entity %q: %v", e.Name, err)
		}
	}
	if own.Collect != nil {
		c = *own.Collect
	}
	ahead, notice := collectAhead, 0
	if c.Automatic {
		notice = usualNotice
	}
	if c.DaysBefore != nil {
		ahead = *c.DaysBefore
	}
	if c.NoticeDays != nil {
		notice = *c.NoticeDays
	}
	if ahead < 1 || ahead > 30 || notice < 0 || notice > 60 {
		return c, fault.BadInput("invalidCollect", "tandem:collect of the legal entity %q: daysBefore is 1 to 30, noticeDays 0 to 60", e.Name)
	}
	if notice > 0 && !c.Automatic { // nobody would be told, so nothing would ever be collected
		return c, fault.BadInput("invalidCollect", "tandem:collect of the legal entity %q: customers are told noticeDays before by the daily round; set automatic to true, or noticeDays to 0", e.Name)
	}
	c.DaysBefore, c.NoticeDays = &ahead, &notice
	return c, nil
}

// fileAll gives every legal entity that collects by itself a job for its files.
func fileAll(ctx context.Context, db *store.DB, j *work.Job) error {
	return db.Write(ctx, j.Scope(), func(tx *store.Tx) error {
		all, err := billing.LegalEntities.Select(tx, tmf.Where{}, tmf.Page{Limit: 1000})
		if err != nil {
			return err
		}
		for _, e := range all {
			c, err := collectingOf(e)
			if err == nil && !c.Automatic {
				continue
			}
			if err := work.Enqueue(tx, fileJob, e.ID, nil, tx.Now()); err != nil { // a wrong attribute is seen there
				return err
			}
		}
		return nil
	})
}

// CollectScheduled tells the customers of a legal entity what will be collected, a page at
// a time, and makes the files of what they were told of and is due soon. It does so on
// days on which banks work. It is done when it says so.
func CollectScheduled(tx *store.Tx, entity string) (done bool, err error) {
	defer fault.Wrap(&err, "receivable.CollectScheduled(%s)", entity)
	e, err := billing.LegalEntities.Lock(tx, entity)
	if err != nil {
		return false, err
	}
	c, err := collectingOf(e)
	if err != nil || !c.Automatic {
		return true, err
	}
	profile, err := profileOf(e)
	if err != nil {
		return false, err
	}
	day := civil.DateOf(tx.Now(), profile.Zone)
	if *c.NoticeDays > 0 {
		told, err := announce(tx, e, day, c)
		if err != nil || told == noticePage {
			return false, err
		}
	}
	if !sepa.BankDay(day) {
		return true, nil
	}
	f := &DirectDebitFile{LegalEntity: &Ref{ID: entity}}
	err = makeFile(tx, f, tx.Now())
	var refused *fault.Error
	if errors.As(err, &refused) && refused.Code == "nothingToCollect" {
		return true, nil
	}
	return f.More == nil, err
}

const noticePage = 500

// announce tells customers of collections to come: which bill, how much, and when at the
// earliest. Once for a claim and a mandate: who gives another account is told again.
func announce(tx *store.Tx, e *billing.LegalEntity, day civil.Date, terms collecting) (told int, err error) {
	rows, err := tx.Query(`SELECT c.id, c.number, c.account, d.mandate, d.iban, c.open, c.due FROM receivable_claim c
		JOIN receivable_debtor d ON d.tenant = c.tenant AND d.account = c.account AND d.active = 1
		WHERE c.tenant = $1 AND c.entity = $2 AND c.open > 0 AND c.currency = 'EUR' AND c.due <= $3
		AND NOT EXISTS (SELECT 1 FROM receivable_prenotice n WHERE n.tenant = c.tenant AND n.claim = c.id AND n.mandate = d.mandate)
		AND `+collectible+`
		ORDER BY c.due, c.id LIMIT $4`, e.ID, day.AddDays(*terms.NoticeDays+*terms.DaysBefore).String(), int64(noticePage))
	type upcoming struct {
		claim, number, account, mandate, iban string
		open                                  int64
		due                                   civil.Date
	}
	found, err := store.Collect(rows, err, func(r store.Rows) (u upcoming, err error) {
		return u, r.Scan(&u.claim, &u.number, &u.account, &u.mandate, &u.iban, &u.open, &u.due)
	})
	if err != nil {
		return 0, err
	}
	for _, u := range found {
		on := day.AddDays(*terms.NoticeDays)
		if on.Before(u.due) {
			on = u.due
		}
		on = sepa.NextBankDay(on)
		tx.Queue(`INSERT INTO receivable_prenotice (tenant, claim, mandate, amount, collect_on, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, claim) DO UPDATE SET mandate = $3, amount = $4, collect_on = $5, at = $6`, u.claim, u.mandate, u.open, on.String(), store.Micros(tx.Now()))
		a, err := billing.BillingAccounts.Get(tx, u.account)
		if err != nil {
			return 0, err
		}
		if a.Customer() == "" {
			continue
		}
		if err := communication.Send(tx, communication.Notice{Key: "collection/" + u.claim + "/" + u.mandate, Customer: a.Customer(), Purpose: communication.Billing, Template: "collectionNotice", At: tx.Now(),
			Values: map[string]string{"bill": u.number, "amount": money.Amount{Minor: u.open, Currency: money.EUR}.String(), "due": on.String(),
				"account": sepa.IBAN(u.iban).Masked(), "mandate": u.mandate, "creditor": e.CreditorID}}); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// handleFiles runs the jobs of files that are made by themselves.
func handleFiles(r *work.Runner, db *store.DB) {
	r.Handle(fileJob, work.Options{Concurrency: 2, Timeout: time.Hour}, func(ctx context.Context, j *work.Job) error {
		for done := false; !done; {
			err := db.Write(ctx, j.Scope(), func(tx *store.Tx) (err error) {
				if done, err = CollectScheduled(tx, j.Key); err != nil || !done {
					return err
				}
				return j.Finish(tx)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

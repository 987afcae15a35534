package revenue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// close ends the findings that nobody has seen since this control began. Money is said to
// be recovered only where something shows it; that a finding is not there any more shows
// nothing.
func (c *check) close() error {
	recovered, prevented := sums{}, sums{}
	for after, more := "", true; more; {
		var gone []*Finding
		last := after
		err := c.db.Write(c.ctx, c.scope, func(tx *store.Tx) error {
			gone, more = nil, false
			ids, err := c.unseen(tx, after)
			if err != nil || len(ids) == 0 {
				return err
			}
			last, more = ids[len(ids)-1], len(ids) == writeAtOnce
			if err := Findings.Fetch(tx, ids, true); err != nil {
				return err
			}
			for _, id := range ids {
				f, err := c.end(tx, id)
				if err != nil {
					return err
				}
				if f != nil {
					gone = append(gone, f)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		after = last
		for _, f := range gone {
			c.out.Closed++
			to, m := recovered, f.Amount
			if f.State == Prevented {
				to, m = prevented, f.Monthly
			}
			if err := to.add(m); err != nil {
				return err
			}
		}
	}
	var err error
	if c.out.Recovered, err = recovered.list(); err != nil {
		return err
	}
	if c.out.Prevented, err = prevented.list(); err != nil || c.blind {
		return err
	}
	return c.db.Write(c.ctx, c.scope, func(tx *store.Tx) error { // what has settled by itself
		_, err := tx.Exec("DELETE FROM revenue_first WHERE tenant = $1 AND control = $2 AND seen_at < $3", c.control.ID, store.Micros(c.at))
		return err
	})
}

// unseen are findings behind an id that are not over, and were last seen before this
// control began: what another run finds meanwhile is not gone.
func (c *check) unseen(tx *store.Tx, after string) ([]string, error) {
	rows, err := tx.Query(`SELECT id FROM revenue_finding WHERE tenant = $1 AND a_control_id = $2 AND a_state IN ('open', 'confirmed') AND a_last_seen_date < $3 AND id > $4
		ORDER BY id LIMIT $5`, c.control.ID, store.Micros(c.at), after, int64(writeAtOnce))
	return store.Collect(rows, err, store.Text)
}

// end ends a finding; nil: it stands.
func (c *check) end(tx *store.Tx, id string) (*Finding, error) {
	old, err := Findings.Lock(tx, id)
	if err != nil {
		return nil, err
	}
	f, err := Findings.Copy(old)
	if err != nil {
		return nil, err
	}
	if f.State, err = c.becomes(tx, f); err != nil || f.State == "" {
		return nil, err
	}
	f.Closed = c.at
	return f, Findings.Save(tx, old, f)
}

// becomes is what becomes of a finding that is not found any more: recovered if something
// shows that it was made good, "" if it stands because nobody has looked, else prevented.
func (c *check) becomes(tx *store.Tx, f *Finding) (string, error) {
	if f.Correction != nil && f.Correction.State == Made {
		return Recovered, nil
	}
	if show := shown[f.Class]; show != nil {
		if is, err := show(tx, f); err != nil || is != Prevented {
			return is, err
		}
	}
	if c.blind || slices.ContainsFunc(f.About, func(r tmf.Ref) bool { return r.ReferredType == "BillingAccount" && c.unlooked[r.ID] }) {
		return "", nil
	}
	return Prevented, nil
}

// shown are the classes of which something can show that they were made good, and what
// does: recovered, prevented, or "" if it is on its way. Where only a part was made good,
// the amount becomes that of the part.
var shown = map[string]func(tx *store.Tx, f *Finding) (string, error){
	NotBilled: billedSince, ItemLost: billedSince, BillingLate: beganThen, BillingEarly: beginsLater, BilledAfterEnd: endedThen, Orphan: endedThen,
	NotOnBill: onBill, NotPosted: posted, FileGap: filesCame, InSuspense: chargedSince,
}

// recovered is the state of what was made good or only ended.
func recovered(good bool) string {
	if good {
		return Recovered
	}
	return Prevented
}

// itemsOf are the billable items of the finding's product, and those that it is about.
func itemsOf(tx *store.Tx, f *Finding) (all, about []*billing.BillableItem, err error) {
	i := slices.IndexFunc(f.About, func(r tmf.Ref) bool { return r.ReferredType == "Product" })
	if i < 0 {
		return nil, nil, nil
	}
	if all, err = billing.ItemsOf(tx, f.About[i].ID); err != nil {
		return nil, nil, err
	}
	for _, x := range all {
		if slices.ContainsFunc(f.About, func(r tmf.Ref) bool { return r.ReferredType == "BillableItem" && r.ID == x.ID }) {
			about = append(about, x)
		}
	}
	return all, about, nil
}

// notAfter compares instants as findings keep them.
func notAfter(t, at time.Time) bool { return !t.Truncate(time.Microsecond).After(at) }

// billedSince: an item that was not there when it was found bills from the start.
func billedSince(tx *store.Tx, f *Finding) (string, error) {
	all, _, err := itemsOf(tx, f)
	return recovered(slices.ContainsFunc(all, func(i *billing.BillableItem) bool {
		known := slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return e.Set == "billing" && e.ID == i.ID })
		return !known && notAfter(i.From, f.Since)
	}) && len(f.Evidence) < maxEvidence), err
}

// beganThen: what was billed too late is billed from the start.
func beganThen(tx *store.Tx, f *Finding) (string, error) {
	all, _, err := itemsOf(tx, f)
	return recovered(slices.ContainsFunc(all, func(i *billing.BillableItem) bool { return notAfter(i.From, f.Since) })), err
}

// beginsLater: what was billed too early begins later.
func beginsLater(tx *store.Tx, f *Finding) (string, error) {
	_, about, err := itemsOf(tx, f)
	return recovered(len(about) > 0 && !slices.ContainsFunc(about, func(i *billing.BillableItem) bool { return notAfter(i.From, f.Since) })), err
}

// endedThen: what was billed on has ended when the product did, and the next bill gives
// back what was billed since.
func endedThen(tx *store.Tx, f *Finding) (string, error) {
	_, about, err := itemsOf(tx, f)
	return recovered(len(about) > 0 && !slices.ContainsFunc(about, func(i *billing.BillableItem) bool { return i.Open() || !notAfter(i.To, f.Since) })), err
}

// onBill: bills that were posted since have lines of all that was due. What is on a draft
// only is on its way.
func onBill(tx *store.Tx, f *Finding) (string, error) {
	var due []string
	for _, e := range f.Evidence {
		if e.Set == "due" {
			due = append(due, e.ID)
		}
	}
	slices.Sort(due)
	due = slices.Compact(due)
	lines, err := billing.LinesSince(tx, due, f.Found)
	if err != nil {
		return "", err
	}
	good := len(due) > 0
	for _, item := range due {
		posted, has := lines[item]
		if has && !posted {
			return "", nil
		}
		good = good && has
	}
	return recovered(good), nil
}

// posted: the bill that waited was posted.
func posted(tx *store.Tx, f *Finding) (string, error) {
	i := slices.IndexFunc(f.About, func(r tmf.Ref) bool { return r.ReferredType == "CustomerBill" })
	if i < 0 {
		return Prevented, nil
	}
	is, err := billing.WasPosted(tx, f.About[i].ID)
	return recovered(is), err
}

// filesCame: files that were missing have come. Those that have not are a finding by
// another number.
func filesCame(tx *store.Tx, f *Finding) (string, error) {
	at := strings.LastIndexByte(f.Key, '/')
	var from, to int64
	if len(f.Evidence) == 0 || at < 0 {
		return Prevented, nil
	}
	if n, _ := fmt.Sscanf(f.Evidence[0].ID, "%d-%d", &from, &to); n != 2 {
		return Prevented, nil // it was found before numbers were kept
	}
	came, err := charging.FilesCame(tx, f.Key[:at], from, to)
	if err != nil {
		return "", err
	}
	return f.part(came, to-from+1)
}

// chargedSince: usage that waited was charged.
func chargedSince(tx *store.Tx, f *Finding) (string, error) {
	at := strings.LastIndexByte(f.Key, '/')
	if at < 0 {
		return Prevented, nil
	}
	charged, all, err := charging.CasesSince(tx, f.Key[:at], f.Key[at+1:], f.Found)
	if err != nil {
		return "", err
	}
	return f.part(charged, all)
}

// part makes n of all of a finding good.
func (f *Finding) part(n, all int64) (string, error) {
	if n <= 0 {
		return Prevented, nil
	}
	if n < all && f.Amount != nil {
		m, err := f.Amount.MulRat(n, all, money.HalfEven)
		if err != nil {
			return "", err
		}
		f.Amount = &m
	}
	return Recovered, nil
}

package revenue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/bss/subscription"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// Classes of what can be wrong between a product, its services and what is billed of it.
const (
	ServicesContradict = "servicesContradict" // R2: the services say another thing than the product
	NothingRealises    = "nothingRealises"    // R2: the product runs, and no service does
	NotBilled          = "notBilled"          // R2: the product runs, and a price of it is not billed
	ItemLost           = "itemLost"           // R2: a billable item was begun and is not there
	WrongService       = "wrongService"       // R2: billed on the word of a service that does not realise the product
	NoProduct          = "noProduct"          // R2: a service runs for a product that is not there
	NotInInventory     = "notInInventory"     // R2: a service that was built is not in the inventory, or in another state
	BillingLate        = "billingLate"        // R4: billed only from after the network's word on
	BillingEarly       = "billingEarly"       // R4: billed from before the network's word on
	BilledAfterEnd     = "billedAfterEnd"     // R5: billed on, and not there any more
	BilledInFull       = "billedInFull"       // R5: billed in full while it is barred
	BilledAsBarred     = "billedAsBarred"     // R5: billed as barred while it runs
)

// Disagreement is one thing that is wrong between a product, its services and what is
// billed of it.
type Disagreement struct {
	Class                  string
	Product, Service, Item string
	Words                  string
	Monthly                *tmf.Money // at stake in a month, where it is known; nil: all of the product
	Since                  time.Time  // when it began, as far as it can be known
	Until                  time.Time  // when it ended; zero: it goes on
	Over                   bool       // customers pay for what they do not have

	item *billing.BillableItem
}

// Disagreements judges products that were read together.
func Disagreements(tx *store.Tx, owing *billing.Owing, page []*subscription.Product) (map[string][]Disagreement, error) {
	var ids, services, on []string
	for _, p := range page {
		ids, on = append(ids, p.ID), append(on, p.ReliesOn()...)
		for _, r := range p.RealizingService {
			services = append(services, r.ID)
		}
	}
	states, err := inventory.States(tx, services)
	if err != nil {
		return nil, err
	}
	booked, err := billing.BookedOf(tx, ids)
	if err != nil {
		return nil, err
	}
	relied, err := subscription.Statuses(tx, on)
	if err != nil {
		return nil, err
	}
	out := map[string][]Disagreement{}
	for _, p := range page {
		found, err := judge(tx, owing, p, states, relied, booked[p.ID])
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			out[p.ID] = found
		}
	}
	return out, nil
}

// judge holds a product against its services, what it relies on, and its bill. A
// product whose own state is wrong is not judged further.
func judge(tx *store.Tx, owing *billing.Owing, p *subscription.Product, states, relied map[string]string, b *billing.Booked) ([]Disagreement, error) {
	d := Disagreement{Class: ServicesContradict, Product: p.ID, Since: moved(p)}
	if len(p.RealizingService) > 0 {
		d.Service = p.RealizingService[0].ID
	}
	if d.Words = p.Mismatch(); d.Words != "" {
		d.Over = p.Live() && p.Network() != subscription.Active
		return []Disagreement{d}, nil
	}
	for _, r := range p.RealizingService {
		if words := contradiction(p, r, states[r.ID]); words != "" {
			if d.Service, d.Words, d.Over = r.ID, words, states[r.ID] != inventory.Active; p.Live() && states[r.ID] == "" {
				d.Class = NothingRealises
			}
			return []Disagreement{d}, nil
		}
	}
	if d.Words = leftBehind(p, relied); d.Words != "" {
		d.Over = true
		return []Disagreement{d}, nil
	}
	var out []Disagreement
	for _, i := range b.Items {
		one := d
		if judgeItem(&one, p, standing(p, relied), i); one.Words != "" {
			one.Item, one.item = i.ID, i
			out = append(out, one)
		}
	}
	if !p.Live() {
		return out, nil
	}
	d.Words = ""
	err := judgeBill(tx, owing, p, b, &d)
	if err == nil && d.Words != "" {
		out = append(out, d)
	}
	return out, err
}

// moved is when the product last became what it is.
func moved(p *subscription.Product) time.Time {
	at := latest(p.StartDate, p.TerminationDate)
	for _, r := range p.RealizingService {
		at = latest(at, r.Since)
	}
	return at
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// leftBehind says that an option runs whose line is over: nobody can use it. relied are
// the statuses of what products rely on.
func leftBehind(p *subscription.Product, relied map[string]string) string {
	if !p.Live() || p.Status == subscription.PendingTerminate {
		return ""
	}
	for _, id := range p.ReliesOn() {
		switch relied[id] {
		case "":
			return fmt.Sprintf("is %s, but product %s, which it relies on, does not exist", p.Status, id)
		case subscription.Terminated, subscription.Cancelled, subscription.Aborted:
			return fmt.Sprintf("is %s, but product %s, which it relies on, is %s", p.Status, id, relied[id])
		}
	}
	return ""
}

// standing is how a product stands for its bill: an option rests while its line does.
// "" while that is being ended, and nobody can say.
func standing(p *subscription.Product, relied map[string]string) string {
	is := p.Network()
	for _, id := range p.ReliesOn() {
		switch {
		case is == subscription.Active && relied[id] == subscription.Suspended:
			is = subscription.Suspended
		case relied[id] != subscription.Active && relied[id] != subscription.Suspended:
			return ""
		}
	}
	return is
}

// confirmed is what the inventory must say for each state that a product heard.
var confirmed = map[string]string{subscription.Active: inventory.Active, subscription.Suspended: inventory.Inactive}

// contradiction is in words how a product and a service of it disagree.
func contradiction(p *subscription.Product, r subscription.ServiceRef, state string) string {
	want := confirmed[r.State]
	lives := state == inventory.Active || state == inventory.Inactive
	switch {
	case want == state && want != "":
		return ""
	case want == "" && lives:
		return fmt.Sprintf("is %s, but service %s is %s in the inventory", p.Status, r.ID, state)
	case want == "":
		return ""
	case state == "":
		return fmt.Sprintf("is %s, but the inventory does not know service %s", p.Status, r.ID)
	}
	return fmt.Sprintf("is %s, but service %s is %s in the inventory", p.Status, r.ID, state)
}

// judgeItem says what is wrong with a billable item of a product that stands so.
func judgeItem(d *Disagreement, p *subscription.Product, is string, i *billing.BillableItem) {
	d.Words = ""
	switch {
	case !slices.ContainsFunc(p.RealizingService, func(r subscription.ServiceRef) bool { return r.ID == i.ConfirmedBy }):
		d.Class, d.Words = WrongService, fmt.Sprintf("%s is billed on the word of service %s, which does not realise the product", i.Name, i.ConfirmedBy)
	case i.From.Before(p.StartDate) && !p.StartDate.IsZero():
		d.Class, d.Since, d.Until, d.Over = BillingEarly, i.From, p.StartDate, true
		d.Words = fmt.Sprintf("%s is billed from %s, but the network confirmed the product at %s only", i.Name, instant(i.From), instant(p.StartDate))
	case !i.Open():
	case !p.Live():
		d.Class, d.Since, d.Over = BilledAfterEnd, latest(p.TerminationDate, i.From), true
		d.Words = fmt.Sprintf("%s is billed, but the product is %s", i.Name, p.Status)
	case is == subscription.Suspended && i.State != billing.ItemSuspended:
		d.Class, d.Over = BilledInFull, true
		d.Words = fmt.Sprintf("%s is billed in full, but the product is suspended in the network", i.Name)
	case is == subscription.Active && i.State == billing.ItemSuspended:
		d.Class = BilledAsBarred
		d.Words = fmt.Sprintf("%s is billed as suspended, but the product runs", i.Name)
	}
}

func instant(t time.Time) string { return tmf.FormatTime(t) }

// judgeBill says what of a live product is not billed, or too late.
func judgeBill(tx *store.Tx, owing *billing.Owing, p *subscription.Product, b *billing.Booked, d *Disagreement) error {
	names, money, err := owing.Missing(tx, p, b.Items)
	if err != nil {
		return err
	}
	switch {
	case len(names) > 0:
		d.Class, d.Monthly, d.Since = NotBilled, &money, latest(p.StartDate, p.ChangeDate)
		d.Words = fmt.Sprintf("is %s since %s, but not billed: %s", p.Status, instant(p.StartDate), strings.Join(names, ", "))
	case len(b.Lost) > 0:
		d.Class, d.Item, d.Words = ItemLost, b.Lost[0], "was billed, but the billable item is gone: "+strings.Join(b.Lost, ", ")
	case len(b.Items) > 0 && late(p, b.Items):
		d.Class, d.Since, d.Until = BillingLate, p.StartDate, b.Items[0].From
		d.Words = fmt.Sprintf("runs since %s, but is billed only from %s", instant(p.StartDate), instant(b.Items[0].From))
	}
	return nil
}

// late says that the first item began after the product. One that was changed may
// have been free before.
func late(p *subscription.Product, items []*billing.BillableItem) bool {
	return len(p.ProductOrderItem) == 1 && items[0].From.After(p.StartDate)
}

// JudgeStanding says what is wrong with the records of a service that stands in the
// network; the class is "" if nothing is. states are those of its services in the
// inventory, statuses those of products.
func JudgeStanding(s fulfilment.Standing, states, statuses map[string]string) (class, words string) {
	root := inventory.Active
	if s.Suspended {
		root = inventory.Inactive
	}
	for i, x := range s.Services {
		state, there := states[x]
		switch {
		case !there:
			return NotInInventory, "runs in the network, but the inventory does not know service " + x
		case state != inventory.Active && state != inventory.Inactive:
			return NotInInventory, fmt.Sprintf("runs in the network, but service %s is %s in the inventory", x, state)
		case i == 0 && state != root:
			return NotInInventory, fmt.Sprintf("is %s in the network, but %s in the inventory", root, state)
		}
	}
	if _, there := statuses[s.Product]; s.Product != "" && !there {
		return NoProduct, "runs in the network, but the product it was ordered for does not exist"
	}
	return "", ""
}

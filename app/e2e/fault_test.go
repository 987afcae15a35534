package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"tandem/app/mobile"
	"tandem/bss/order"
	"tandem/bss/subscription"
	"tandem/edge/gsup"
	"tandem/edge/hlr/hlrtest"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

// commandsOfAdd is how many commands bring a new line onto the register: three
// questions, create, keys, number, two questions that read back.
const commandsOfAdd = 8

// behind is an operator whose commands pass through a proxy.
func behind(t *testing.T, engine store.Dialect) (*operator, *hlrtest.Proxy) {
	t.Helper()
	e := hlrtest.Start(t)
	p := hlrtest.NewProxy(t, e.CTRL())
	o := start(t, config(t, engine), e)
	o.seed(p.Addr(), e.VTY(), stock)
	return o, p
}

func eachBehind(t *testing.T, f func(t *testing.T, o *operator, p *hlrtest.Proxy)) {
	t.Parallel()
	for _, engine := range engines {
		t.Run(engine.String(), func(t *testing.T) {
			t.Parallel()
			o, p := behind(t, engine)
			f(t, o, p)
		})
	}
}

// charges is how many billable items there ever were.
func (o *operator) charges() int64 { return o.count("SELECT count(*) FROM billing_charge") }

// fellOut waits for the one open fallout of an order.
func (o *operator) fellOut(id string) *fulfilment.Fallout {
	o.t.Helper()
	var open []*fulfilment.Fallout
	o.await("fallout of order "+id, func() bool {
		open = *must[[]*fulfilment.Fallout](o, http.MethodGet, fallouts+"?state=open", nil)
		return len(open) == 1 && open[0].External.Order == id
	})
	o.idle()
	return open[0]
}

// The register refuses: the number is with a subscriber nobody knew of. The order
// says so and waits, nothing is billed; with another number it completes, and is
// billed once.
func TestActivationFailsAndBillingDoesNotStart(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		w, stranger := o.tower(), "999990000000001"
		taken, free := number(170, 7), number(170, 9)
		ctrl := o.register()
		if _, err := ctrl.Create(t.Context(), stranger); err != nil {
			t.Fatal(err)
		}
		if err := ctrl.SetMSISDN(t.Context(), stranger, taken); err != nil {
			t.Fatal(err)
		}
		placed := o.place(add(mobile.FlatM, tmf.Text("msisdn", taken)))
		f := o.fellOut(placed.ID)
		if f.Class != "conflict" || !strings.Contains(f.Cause, taken) || f.Attempts != 1 {
			t.Errorf("fallout %+v", f)
		}
		now := must[order.ProductOrder](o, http.MethodGet, orders+"/"+placed.ID, nil)
		if now.State != order.InProgress || len(now.Note) != 1 || !strings.Contains(now.Note[0].Text, taken) {
			t.Errorf("the order is %s with notes %+v", now.State, now.Note)
		}
		if p := o.productOf(placed.ID); p.Status != subscription.PendingActive || !p.StartDate.IsZero() {
			t.Errorf("the product is %s from %s", p.Status, p.StartDate)
		}
		if n := o.charges(); n != 0 {
			t.Errorf("%d billable items of something that does not run", n)
		}
		o.proves(stranger)
		w.refused(card(prefix, 0), gsup.CauseIMSIUnknown)

		fix := must[fulfilment.FalloutAction](o, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "fixAndRetry", Fallout: []string{f.ID},
			Reason: "the number is somebody else's", Characteristic: []tmf.Characteristic{tmf.Text("msisdn", free)}})
		if len(fix.Done) != 1 {
			t.Errorf("fixed %+v", fix)
		}
		p := o.completed(placed.ID)
		w.attaches(cardOf(char(p, "imsi")), free)
		if n := o.charges(); n != 2 {
			t.Errorf("%d billable items, want the month and the connection once each", n)
		}
		if got := o.stateOf(taken); got != inventory.NumberAvailable {
			t.Errorf("the number that was not given is %s", got)
		}
		if left := *must[[]*fulfilment.Fallout](o, http.MethodGet, fallouts+"?state=open", nil); len(left) != 0 {
			t.Errorf("%d fallouts are open", len(left))
		}
		o.proves(stranger)
	})
}

// stateOf is the state of a number in its pool.
func (o *operator) stateOf(msisdn string) string {
	o.t.Helper()
	var n inventory.Number
	err := o.DB.Read(o.t.Context(), scope(brand), func(tx *store.Tx) (err error) {
		n, err = inventory.NumberOf(tx, inventory.MSISDN, msisdn)
		return err
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return n.State
}

// The stranger goes away, and the same order is tried again as it is.
func TestRetryAfterTheCauseIsGone(t *testing.T) {
	each(t, func(t *testing.T, o *operator) {
		stranger, taken := "999990000000001", number(170, 7)
		ctrl := o.register()
		if _, err := ctrl.Create(t.Context(), stranger); err != nil {
			t.Fatal(err)
		}
		if err := ctrl.SetMSISDN(t.Context(), stranger, taken); err != nil {
			t.Fatal(err)
		}
		placed := o.place(add(mobile.FlatM, tmf.Text("msisdn", taken)))
		f := o.fellOut(placed.ID)
		skip := o.as(brand, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "skip", Fallout: []string{f.ID}, Reason: "it will do"})
		if code, _ := skip.refusal(); skip.status != http.StatusConflict || code != "cannotSkip" {
			t.Errorf("an activation was waived: %s", skip)
		}
		if err := ctrl.Delete(t.Context(), stranger); err != nil {
			t.Fatal(err)
		}
		must[fulfilment.FalloutAction](o, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "retry", Cause: f.Cause})
		if p := o.completed(placed.ID); char(p, "msisdn") != taken {
			t.Errorf("number %s, want %s", char(p, "msisdn"), taken)
		}
		o.proves()
	})
}

// The register does it, and its reply is lost: the node asks, finds it done, and
// billing begins, once.
func TestActivationSucceedsButTheReplyIsLostAndBillingStartsOnce(t *testing.T) {
	eachBehind(t, func(t *testing.T, o *operator, p *hlrtest.Proxy) {
		w := o.tower()
		p.SetRule(func(_ int, command string) hlrtest.Verdict {
			if strings.HasPrefix(command, "SET ") {
				return hlrtest.Verdict{Action: hlrtest.Swallow} // every reply to a change, for ever
			}
			return hlrtest.Verdict{}
		})
		placed := o.place(add(mobile.FlatM))
		x := o.completed(placed.ID)
		w.attaches(cardOf(char(x, "imsi")), char(x, "msisdn"))
		if n := o.charges(); n != 2 {
			t.Errorf("%d billable items, want the month and the connection once each", n)
		}
		o.proves()
	})
}

// spoiled spoils the n-th command about each line, as its row says.
type spoiled struct {
	mu   sync.Mutex
	rows map[string]*spoil // by the end of IMSI and number
}

type spoil struct {
	action  hlrtest.Action
	at, n   int
	until   chan struct{}
	spoiled string // the command
}

func (s *spoiled) rule(_ int, command string) hlrtest.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	for about, row := range s.rows {
		if !strings.Contains(command, about) {
			continue
		}
		if row.n++; row.n != row.at {
			return hlrtest.Verdict{}
		}
		row.spoiled = strings.SplitN(command, " ", 3)[1]
		return hlrtest.Verdict{Action: row.action, Until: row.until}
	}
	return hlrtest.Verdict{}
}

// Whatever happens to whichever command of an activation, the line is there in
// the end, once, and billed once: the reply is lost, comes when nobody waits any
// more, or the connection breaks before or after the command is done.
func TestEveryCommandMayGoWrong(t *testing.T) {
	actions := map[string]hlrtest.Action{"lost": hlrtest.Swallow, "late": hlrtest.Hold, "cut before": hlrtest.CutBefore, "cut after": hlrtest.CutAfter}
	eachBehind(t, func(t *testing.T, o *operator, p *hlrtest.Proxy) {
		s, late := &spoiled{rows: map[string]*spoil{}}, make(chan struct{})
		p.SetRule(s.rule)
		type sold struct{ what, id string }
		var all []sold
		n := 0
		for what, action := range actions {
			for at := 1; at <= commandsOfAdd; at++ {
				c, msisdn := card(prefix, n), number(170, n)
				row := &spoil{action: action, at: at, until: late}
				s.mu.Lock()
				s.rows[c.IMSI], s.rows[msisdn] = row, row
				s.mu.Unlock()
				placed := o.place(add(mobile.Prepaid, tmf.Text("msisdn", msisdn), tmf.Text("iccid", c.ICCID)))
				all = append(all, sold{fmt.Sprintf("%s %d", what, at), placed.ID})
				n++
			}
		}
		for _, x := range all {
			o.ends(x.id, order.Completed)
		}
		close(late) // the late replies come now
		for i, x := range all {
			if row := s.rows[card(prefix, i).IMSI]; row.spoiled == "" {
				t.Errorf("%s: only %d commands", x.what, row.n)
			}
		}
		if got := o.charges(); got != int64(n) {
			t.Errorf("%d billable items of %d lines with one price each", got, n)
		}
		p.SetRule(nil)
		o.proves()
	})
}

// The register is dead before the order, dies with each of its commands, and dies
// when it has done all but answered nothing. It comes back, and all is done once.
func TestTheElementDies(t *testing.T) {
	eachBehind(t, func(t *testing.T, o *operator, p *hlrtest.Proxy) {
		o.element.Kill()
		placed := o.place(add(mobile.FlatM))
		o.await("an attempt on the dead element", func() bool { return o.count("SELECT coalesce(max(attempt), 0) FROM fulfilment_task") > 0 })
		if n := o.charges(); n != 0 {
			t.Fatalf("%d billable items while the element is dead", n)
		}
		o.element.Restart()
		o.completed(placed.ID)
		o.proves()

		for n := 1; n <= commandsOfAdd; n++ {
			died := make(chan struct{})
			from := p.Seen()
			p.SetRule(func(seen int, _ string) hlrtest.Verdict {
				if seen == from+n {
					o.element.Kill()
					close(died)
				}
				return hlrtest.Verdict{}
			})
			placed := o.place(add(mobile.FlatM))
			<-died
			o.element.Restart()
			o.completed(placed.ID)
			o.proves()
		}

		// All was done, and the last answers are on the way when it dies.
		never := make(chan struct{})
		from := p.Seen()
		p.SetRule(func(seen int, _ string) hlrtest.Verdict {
			if seen > from+3 && seen <= from+commandsOfAdd {
				return hlrtest.Verdict{Action: hlrtest.Hold, Until: never}
			}
			return hlrtest.Verdict{}
		})
		placed = o.place(add(mobile.FlatM))
		service := o.serviceOf(placed.ID)
		c := o.reservedCard(service)
		ctrl := o.register()
		o.await("the register has the line", func() bool {
			s, err := ctrl.Info(t.Context(), c.IMSI)
			return err == nil && s.MSISDN != ""
		})
		if n := o.charges(); n != 2*(1+commandsOfAdd) {
			t.Fatalf("%d billable items before the element confirmed the last line", n)
		}
		o.element.Restart()
		o.completed(placed.ID)
		o.proves()
	})
}

// reservedCard is the card that an order gave to a service.
func (o *operator) reservedCard(service string) mobile.Card {
	o.t.Helper()
	var imsi string
	err := o.DB.Read(o.t.Context(), store.Scope{}, func(tx *store.Tx) error {
		return tx.System().Row("SELECT imsi FROM inventory_sim WHERE holder = $1", service).Scan(&imsi)
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return cardOf(imsi)
}

// The register hangs with a command in its queue, and does it later, when the
// node has given up waiting.
func TestTheElementFreezes(t *testing.T) {
	eachBehind(t, func(t *testing.T, o *operator, p *hlrtest.Proxy) {
		frozen := make(chan struct{})
		p.SetRule(func(_ int, command string) hlrtest.Verdict {
			select {
			case <-frozen:
			default:
				if strings.Contains(command, "subscriber.create") {
					o.element.Freeze()
					close(frozen)
				}
			}
			return hlrtest.Verdict{}
		})
		placed := o.place(add(mobile.FlatM))
		<-frozen
		o.await("the node asks again", func() bool { return p.Seen() > commandsOfAdd })
		if n := o.charges(); n != 0 {
			t.Fatalf("%d billable items while the element hangs", n)
		}
		o.element.Thaw()
		o.completed(placed.ID)
		o.proves()
	})
}

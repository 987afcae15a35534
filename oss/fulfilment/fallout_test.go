package fulfilment_test

import (
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/edge/hlr"
	"tandem/edge/lab"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/oss/activation"
	"tandem/oss/fulfilment"
	"tandem/oss/inventory"
)

func TestAFalloutSaysWhatFailedAndIsRetried(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse(imsi(0)))
		o := w.place(add("1", "line"))
		f := w.fallen(1)[0]
		if f.ServiceOrder != o.ID || f.Item != "1" || f.Service != serviceOf(o, 0) || f.Element != "hlr" || f.Class != "transient" ||
			!strings.Contains(f.Cause, "Out of order") || f.Attempts != 1 || f.Since.IsZero() {
			w.Errorf("fallout %+v", f)
		}
		if m := w.order(o.ID).ServiceOrderItem[0].ErrorMessage; len(m) != 1 || !strings.Contains(m[0].Reason, "Out of order") {
			w.Errorf("the order says %+v", m)
		}
		if got := w.told(o.ID); !slices.Equal(got, []string{"ServiceOrderFellOut"}) {
			w.Errorf("told %v", got)
		}
		w.wantStuck(o.ID, "")

		w.decide("retry", "", []*fulfilment.Fallout{f}) // too early: it opens again
		w.idle()
		if again := w.fallen(1)[0]; again.ID != f.ID || again.Attempts != 2 {
			w.Errorf("fallout %+v", again)
		}
		w.reg.SetFaults(nil)
		w.decide("retry", "repaired", w.fallen(1))
		w.ends(o.ID, fulfilment.Completed)
		w.fallen(0)
		done := do[fulfilment.Fallout](w, http.MethodGet, fallouts+"/"+f.ID, nil)
		if !strings.Contains(done.Resolution, "retry by test: repaired") || done.ResolvedAt.IsZero() {
			w.Errorf("resolved %+v", done)
		}
		w.refused(http.MethodPost, decisions, decision("retry", "", []*fulfilment.Fallout{f}), 409, "notOpen")
	})
}

func TestAFalloutHasAnOwnerAndNothingElseIsPatched(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse(imsi(0)))
		w.place(add("1", "line"))
		f := w.fallen(1)[0]
		do[fulfilment.Fallout](w, http.MethodPatch, fallouts+"/"+f.ID, `{"owner":"ann"}`)
		if own := *do[[]*fulfilment.Fallout](w, http.MethodGet, fallouts+"?owner=ann", nil); len(own) != 1 || own[0].ID != f.ID {
			w.Errorf("ann has %v", own)
		}
		for _, patch := range []string{`{"state":"resolved"}`, `{"cause":"none"}`, `{"attempts":0}`} {
			if a := w.send(http.MethodPatch, fallouts+"/"+f.ID, patch); a.Status/100 != 4 {
				w.Errorf("PATCH %s: %d %s", patch, a.Status, a.Body)
			}
		}
		if a := w.send(http.MethodPost, fallouts, `{"state":"open"}`); a.Status/100 != 4 {
			w.Errorf("a fallout was posted: %d %s", a.Status, a.Body)
		}
	})
}

// Another subscriber has the number: with another one the order goes on, and what
// was reserved before is free again.
func TestFixAndRetryReplacesWhatWasWrong(t *testing.T) {
	each(t, func(w *wing) {
		w.taken(number(3))
		o := w.place(add("1", "line", tmf.Text("msisdn", number(3))))
		f := w.fallen(1)
		if f[0].Class != "conflict" || f[0].Attempts != 1 {
			w.Errorf("fallout %+v", f[0])
		}
		w.refused(http.MethodPost, decisions, decision("fixAndRetry", "", f), 400, "mandatoryAttributeMissing")
		w.refused(http.MethodPost, decisions, decision("fixAndRetry", "", f, tmf.Text("colour", "red")), 400, "unknownCharacteristic")
		w.refused(http.MethodPost, decisions, decision("fixAndRetry", "", f, tmf.Text("msisdn", "46999")), 409, "numberNotAvailable")
		w.decide("fixAndRetry", "wrong number", f, tmf.Text("msisdn", number(8)), tmf.Text("iccid", iccid(6)))
		o = w.ends(o.ID, fulfilment.Completed)
		w.has(entry(6, 8), imsi(11)+" "+number(3)+" cs=true ps=true")
		w.wantNumber(number(3), inventory.NumberAvailable)
		w.wantNumber(number(8), inventory.NumberAssigned)
		w.wantCard(0, inventory.NumberAvailable)
		w.wantCard(6, inventory.NumberAssigned)
		if s := w.wantService(serviceOf(o, 0), inventory.Active); text(s, "msisdn") != number(8) || text(s, "iccid") != iccid(6) {
			w.Errorf("the service has %+v", s.ServiceCharacteristic)
		}
		if v, _ := tmf.Value(o.ServiceOrderItem[0].Service.Characteristic, "msisdn"); v != number(8) {
			w.Errorf("the order shows number %s", v)
		}
		w.fallen(0)
		w.through(remove("1", serviceOf(o, 0)))
		w.has(imsi(11) + " " + number(3) + " cs=true ps=true")
	})
}

// taken gives a number to the last card, behind everybody's back.
func (w *wing) taken(number string) {
	w.Helper()
	c, err := hlr.Dial(w.Context(), w.reg.Addr())
	w.ok(err)
	defer c.Close()
	_, err = c.Create(w.Context(), imsi(stock-1))
	w.ok(err)
	w.ok(c.SetMSISDN(w.Context(), imsi(stock-1), number))
}

// A change that fell out is fixed: the number that the service has in the network
// stays its own until the fixed change is confirmed.
func TestAFixOfAChangeKeepsWhatTheServiceHas(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		line := serviceOf(w.through(add("1", "line")), 0)
		w.reg.SetFaults(refuse("create " + imsi(5)))
		o := w.place(modify("1", line, "", tmf.Text("iccid", iccid(5)), truth("data", false)))
		f := w.fallen(1)
		w.refused(http.MethodPost, decisions, decision("fixAndRetry", "", f, tmf.Text("msisdn", number(4))), 409, "cannotFix") // the old card is off already
		w.decide("cancel", "never mind", f)
		w.ends(o.ID, fulfilment.Cancelled)
		w.has(entry(0, 0))

		w.reg.SetFaults(refuse(imsi(0) + ".msisdn"))
		o = w.place(modify("1", line, "", tmf.Text("msisdn", number(4))))
		w.decide("fixAndRetry", "another one", w.fallen(1), tmf.Text("msisdn", number(5)))
		w.wantNumber(number(4), inventory.NumberReserved) // the refused attempt may have brought it there all the same
		w.wantNumber(number(0), inventory.NumberAssigned)
		w.idle()
		w.reg.SetFaults(nil)
		w.decide("retry", "", w.fallen(1))
		w.ends(o.ID, fulfilment.Completed)
		w.has(entry(0, 5))
		w.wantNumber(number(4), inventory.NumberAvailable)
		w.wantNumber(number(0), inventory.NumberQuarantined)

		w.reg.SetFaults(refuse(imsi(0) + ".ps"))
		w.configure(noVTY)
		o = w.place(modify("1", line, "", truth("data", false)))
		w.decide("fixAndRetry", "the number as well", w.fallen(1), tmf.Text("msisdn", number(6)))
		w.wantNumber(number(5), inventory.NumberAssigned)
		w.idle()
		w.decide("cancel", "never mind", w.fallen(1))
		w.reg.SetFaults(nil)
		w.ends(o.ID, fulfilment.Cancelled)
		w.has(entry(0, 5))
		w.wantNumber(number(5), inventory.NumberAssigned)
		w.wantNumber(number(6), inventory.NumberAvailable)
	})
}

// noVTY lets the driver bar services by the control interface, where faults are.
func noVTY(e *activation.Element) { e.VTY = "" }

func outOfService(e *activation.Element) { e.Enabled = false }

// unreachable has the register where nobody listens.
func unreachable(e *activation.Element) { e.Address, e.VTY = "127.0.0.1:1", "127.0.0.1:1" }

func asItWas(*activation.Element) {}

// A change that fell out is fixed so that nothing is left of it: the subscriber
// stays on the register, and the order completes.
func TestAFixThatTakesTheChangeBackLeavesTheServiceAsItIs(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.configure(noVTY)
		line := serviceOf(w.through(add("1", "line")), 0)
		w.reg.SetFaults(refuse(imsi(0) + ".ps"))
		o := w.place(modify("1", line, "", truth("data", false)))
		f := w.fallen(1)
		w.reg.SetFaults(nil)
		w.decide("fixAndRetry", "it was right before", f, truth("data", true))
		w.ends(o.ID, fulfilment.Completed)
		w.has(entry(0, 0))
		w.wantService(line, inventory.Active)
		w.fallen(0)

		// The card that goes is off already when the swap is given up: the register
		// took it off and has not answered since.
		var off atomic.Bool
		w.reg.SetFaults(func(c hlr.Command) lab.Fault {
			if c.Var == "subscriber.delete" {
				off.Store(true)
				return lab.Fault{Action: lab.CloseAfter}
			}
			if off.Load() {
				return lab.Fault{Action: lab.CloseBefore}
			}
			return lab.Fault{}
		})
		o = w.place(modify("1", line, "", tmf.Text("iccid", iccid(5))))
		f = w.fallen(1)
		w.reg.SetFaults(nil)
		w.has()
		if f[0].Class != "unknown" {
			w.Errorf("fallout %+v", f[0])
		}
		w.decide("fixAndRetry", "the old card", f, tmf.Text("iccid", iccid(0)))
		w.ends(o.ID, fulfilment.Completed)
		w.has(entry(0, 0))
		w.wantCard(0, inventory.NumberAssigned)
		w.wantCard(5, inventory.NumberAvailable)
	})
}

func TestOnlyWhatTakesAwayIsSkipped(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse(imsi(0)))
		o := w.place(add("1", "line"))
		f := w.fallen(1)
		w.refused(http.MethodPost, decisions, decision("skip", "it will do", f), 409, "cannotSkip")
		w.refused(http.MethodPost, decisions, decision("skip", "", f), 400, "reasonMissing")
		w.reg.SetFaults(nil)
		w.decide("retry", "", f)
		w.ends(o.ID, fulfilment.Completed)

		w.reg.SetFaults(refuse(imsi(0)))
		o = w.place(remove("1", serviceOf(o, 0)))
		w.decide("skip", "the register is scrapped", w.fallen(1))
		w.ends(o.ID, fulfilment.Completed)
		w.has(imsi(0) + " " + number(0) + " cs=false ps=false") // barred before the refusal, and left so
		w.wantService(serviceOf(o, 0), inventory.Terminated)
		if n := w.count("SELECT count(*) FROM fulfilment_task WHERE tenant = $1 AND state = 'skipped' AND evidence LIKE 'waived by test: the register%'"); n != 1 {
			w.Errorf("%d tasks say who waived them", n)
		}
	})
}

func TestOneDecisionForAllOfACause(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse("subscriber.create"))
		var placed []string
		for range 3 {
			placed = append(placed, w.place(add("1", "line"), add("2", "line")).ID)
		}
		open := w.fallen(6)
		slices.SortFunc(open, func(a, b *fulfilment.Fallout) int { return strings.Compare(a.Cause, b.Cause) })
		if a := w.send(http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "retry", Cause: "none has it"}); a.Status != 400 {
			w.Errorf("no fallout has the cause: %d %s", a.Status, a.Body)
		}
		w.refused(http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "retry", Cause: "x", Fallout: []string{open[0].ID}}, 400, "ambiguousAction")
		w.refused(http.MethodPost, decisions, decision("retry", "", []*fulfilment.Fallout{open[0], {Entity: tmf.Entity{ID: "nobody"}}}), 404, "notFound")
		w.fallen(6) // all or nothing
		w.reg.SetFaults(nil)
		for _, f := range open {
			if f.Cause == open[0].Cause {
				continue
			}
			t := do[fulfilment.FalloutAction](w, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "retry", Cause: f.Cause, Reason: "repaired"})
			if len(t.Done) == 0 {
				w.Errorf("%q: nothing done", f.Cause)
			}
		}
		w.decide("retry", "repaired", []*fulfilment.Fallout{open[0]})
		for _, id := range placed {
			w.ends(id, fulfilment.Completed)
		}
		if got := w.holds(); len(got) != 6 {
			w.Errorf("the register has %q", got)
		}
	})
}

// One cause stopped several items of one order; cancelling all of the cause takes
// the order back once.
func TestCancelByACauseThatOneOrderHasTwice(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.configure(unreachable)
		o := w.place(add("1", "line"), add("2", "twin"))
		open := w.fallen(3)
		for _, f := range open[1:] {
			if f.Cause != open[0].Cause {
				w.Fatalf("causes %q and %q", f.Cause, open[0].Cause)
			}
		}
		w.configure(asItWas)
		got := do[fulfilment.FalloutAction](w, http.MethodPost, decisions, &fulfilment.FalloutAction{Action: "cancel", Cause: open[0].Cause, Reason: "not now"})
		if len(got.Done) != 3 {
			w.Errorf("done %v", got.Done)
		}
		w.ends(o.ID, fulfilment.Cancelled)
		w.fallen(0)
		w.has()
	})
}

// Two steps of one item failed; the item is fixed as a whole.
func TestAFixResolvesAllFalloutsOfItsItem(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.configure(unreachable)
		o := w.place(add("1", "twin"))
		open := w.fallen(2)
		w.configure(asItWas)
		w.decide("fixAndRetry", "other numbers", open, tmf.Text("first", number(7)))
		w.ends(o.ID, fulfilment.Completed)
		w.fallen(0)
		w.has(entry(0, 7), entry(1, 1))
	})
}

// Undoing fails too: that is a fallout of its own, which cannot be cancelled again.
func TestUndoingThatFailsFallsOut(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		line := serviceOf(w.through(add("1", "line")), 0)
		w.reg.SetFaults(refuse(imsi(0)))
		o := w.place(modify("1", line, "", tmf.Text("msisdn", number(4))))
		w.fallen(1)
		w.taken(number(9))
		w.reg.SetFaults(func(c hlr.Command) lab.Fault { return lab.Fault{Action: lab.Refuse, Text: "Out of order"} })
		w.decide("cancel", "changed my mind", w.fallen(1))
		w.idle()
		f := w.fallen(1)
		w.refused(http.MethodPost, decisions, decision("cancel", "again", f), 409, "beingTakenBack")
		w.refused(http.MethodPost, decisions, decision("skip", "it will do", f), 409, "cannotSkip") // it puts the number back
		w.refused(http.MethodPost, decisions, decision("fixAndRetry", "", f, truth("data", false)), 409, "cannotFix")
		w.reg.SetFaults(nil)
		w.decide("retry", "", f)
		w.ends(o.ID, fulfilment.Cancelled)
		w.has(entry(0, 0), imsi(11)+" "+number(9)+" cs=true ps=true")
		w.fallen(0)
	})
}

func TestAPolicyOfOnesOwnGoesBeforeTheBuiltInOne(t *testing.T) {
	each(t, func(w *wing) {
		for _, p := range []fulfilment.FaultPolicy{
			{Class: "transient", Tries: 1, Then: "compensate"},
			{Class: "transient", ResourceType: "hlrSubscriber", Tries: 3, FirstWait: 1, LongestWait: 2, Then: "fallout"},
			{Class: "transient", ResourceType: "other", Tries: 1, Then: "compensate"},
		} {
			do[fulfilment.FaultPolicy](w, http.MethodPost, policies, &p)
		}
		w.reg.SetFaults(refuse(imsi(0)))
		o := w.place(add("1", "line"))
		if f := w.fallen(1); f[0].Attempts != 3 {
			w.Errorf("%d attempts, want 3: the policy of the type is the most specific one", f[0].Attempts)
		}
		w.decide("cancel", "enough", w.fallen(1))
		w.reg.SetFaults(nil)
		w.ends(o.ID, fulfilment.Cancelled)

		for _, p := range *do[[]*fulfilment.FaultPolicy](w, http.MethodGet, policies, nil) {
			if p.ResourceType == "hlrSubscriber" {
				do[struct{}](w, http.MethodDelete, policies+"/"+p.ID, nil)
			}
		}
		w.reg.SetFaults(refuse("create " + imsi(0)))
		o = w.place(add("1", "line"))
		o = w.ends(o.ID, fulfilment.Failed)
		if m := o.ServiceOrderItem[0].ErrorMessage; len(m) != 1 || !strings.Contains(m[0].Reason, "Out of order") {
			w.Errorf("the item says %+v", m)
		}
		w.fallen(0)
		w.wantNumber(number(0), inventory.NumberAvailable)
		if got := w.told(o.ID); !slices.Equal(got, []string{"ServiceOrderItemDone"}) {
			w.Errorf("told %v", got)
		}
	})
}

func TestBadPoliciesAreRefused(t *testing.T) {
	each(t, func(w *wing) {
		for _, p := range []string{`{"class":"transient","then":"fallout"}`, `{"class":"transient","tries":1001,"then":"fallout"}`,
			`{"class":"transient","tries":1,"firstWait":2,"longestWait":1,"then":"fallout"}`, `{"class":"transient","tries":1,"longestWait":86400001,"then":"fallout"}`,
			`{"class":"transient","tries":1,"firstWait":-1,"then":"fallout"}`} {
			w.refused(http.MethodPost, policies, p, 400, "badPolicy")
		}
		for _, p := range []string{`{"class":"bad","tries":1,"then":"fallout"}`, `{"class":"auth","tries":1,"then":"pray"}`, `{"tries":1,"then":"fallout"}`} {
			if a := w.send(http.MethodPost, policies, p); a.Status != 400 {
				w.Errorf("%s: %d %s", p, a.Status, a.Body)
			}
		}
	})
}

// The reservation runs out while the order waits. If the number is still there, it
// is taken again; if it is somebody else's, a person decides, and nothing is told.
func TestALostReservationIsSeenBeforeTheServiceIsActive(t *testing.T) {
	each(t, func(w *wing) {
		w.tryOnce("fallout")
		w.reg.SetFaults(refuse("subscriber.create"))
		free := w.place(add("1", "line", tmf.Text("msisdn", number(1)), tmf.Text("iccid", iccid(1))))
		lost := w.place(add("1", "line", tmf.Text("msisdn", number(2)), tmf.Text("iccid", iccid(2))))
		given := w.place(add("1", "line", tmf.Text("msisdn", number(3)), tmf.Text("iccid", iccid(3))))
		open := w.fallen(3)
		w.pass(31 * 24 * time.Hour)
		w.write(func(tx *store.Tx) error {
			if _, err := inventory.Expire(tx, 100); err != nil {
				return err
			}
			for _, i := range []int{2, 3} {
				if _, err := inventory.Reserve(tx, "msisdn", "numbers", number(i), "somebody", tx.Now().Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		w.reg.SetFaults(nil)
		w.decide("retry", "", open)
		w.ends(free.ID, fulfilment.Completed)
		w.wantNumber(number(1), inventory.NumberAssigned)
		w.wantCard(1, inventory.NumberAssigned)

		w.idle()
		open = w.fallen(2)
		for _, f := range open {
			if f.Class != "conflict" || !strings.Contains(f.Cause, "not reserved") {
				w.Errorf("fallout %+v", f)
			}
			w.wantService(f.Service, inventory.Reserved)
			if got := w.told(f.Service); len(got) > 0 {
				w.Errorf("told %v", got)
			}
		}
		byOrder := map[string][]*fulfilment.Fallout{}
		for _, f := range open {
			byOrder[f.ServiceOrder] = append(byOrder[f.ServiceOrder], f)
		}
		w.decide("fixAndRetry", "", byOrder[lost.ID], tmf.Text("msisdn", number(8)))
		w.ends(lost.ID, fulfilment.Completed)
		w.decide("cancel", "too late", byOrder[given.ID])
		w.ends(given.ID, fulfilment.Cancelled)
		w.has(entry(1, 1), entry(2, 8))
		for _, i := range []int{2, 3} {
			if _, holder := w.pooled(number(i)); holder != "somebody" {
				w.Errorf("number %d is held by %q", i, holder)
			}
		}
	})
}

package core

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"tandem/bss/rating"
	"tandem/edge/credit"
)

const (
	mib       = 1 << 20
	planTimed = 9
	number    = uint64(447700950000)
)

// timed is a plan of data that costs half at night, with what a test adds.
func (r *rig) timed(change func(*rating.Plan)) {
	r.Helper()
	p := basicPlan()
	p.Rules = []rating.Rule{
		{Name: "day", Match: rating.Match{Service: "data"}, Class: "data.home", Price: &rating.Price{Unit: "octets", Amount: "0.02", Per: mib},
			Grant: rating.Grant{Default: 10 * mib, Validity: 3600, Holding: 30}},
		{Name: "night", Match: rating.Match{Service: "data", Band: "night"}, Class: "data.home", Price: &rating.Price{Unit: "octets", Amount: "0.01", Per: mib},
			Grant: rating.Grant{Default: 10 * mib, Validity: 3600}},
	}
	if change != nil {
		change(&p)
	}
	tariff, err := rating.Compile(p)
	if err != nil {
		r.Fatal(err)
	}
	var counters []uint32
	for i, c := range p.Counters {
		d := Definition{ID: uint32(40 + i), Tenant: host, Name: c.Name, Counter: true, Tariff: true, Zone: "Europe/London"}
		switch c.Reset {
		case rating.Day:
			d.Reset = Daily
		case rating.Cycle:
			d.Reset = Monthly
		}
		r.book.SetDefinition(d)
		counters = append(counters, d.ID)
	}
	r.book.SetTariff(planTimed, tariff, counters)
	r.book.SetPlan(planTimed, Plan{Name: "timed", Tenant: host, Versions: []Version{{Tariff: planTimed}}})
}

// on puts the first subscriber of an account on a plan.
func (r *rig) on(ref Ref, plan uint32) {
	r.Helper()
	r.run(ref, func(h *Hand) error {
		s := h.Account().Subscribers[0]
		s.Plan = plan
		_, err := h.Subscribe(s)
		return err
	})
}

// money checks the main balance.
func (r *rig) money(ref Ref, left, held int64) {
	r.Helper()
	if l, h, ok := r.value(ref, 1); !ok || l != left || h != held {
		r.Fatalf("the balance is %d with %d held, not %d with %d", l, h, left, held)
	}
}

// suspended is what lies in the journal as usage that could not be charged.
func (r *rig) suspended() (lost []Lost) {
	r.Helper()
	r.moves(func(rec *Record, m *Move) {
		if m.Op == opSuspense {
			lost = append(lost, m.Lost)
		}
	})
	return lost
}

func vol(n uint64) credit.Used { return credit.Used{Units: octets(n)} }

// request is one request of a data session, with any reports.
func (r *rig) request(kind credit.Kind, session string, n uint32, rg uint32, asks bool, reports ...credit.Used) *credit.Answer {
	r.Helper()
	c := ask(kind, session, n, number)
	u := group(c, rg)
	u.Asked, u.Used = asks, reports
	return r.charge(c)
}

func one(t *testing.T, f func(t *testing.T, r *rig, ref Ref)) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(int(number%256), 1)
		r.account(ref, number, 1e9)
		f(t, r, ref)
	})
}

func TestQ01GrantsAreReservationsWithinTheBalance(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		granted := uint64(0)
		for i := range 30 {
			a := r.request(credit.Initial, fmt.Sprint("s", i), 0, 10, true)
			granted += a.Units[0].Grant.Total
		}
		left, held, _ := r.value(ref, 1)
		price := new(big.Int).Div(new(big.Int).Mul(big.NewInt(int64(granted)), big.NewInt(1e7)), big.NewInt(mib)).Int64()
		if left != 1e9 || held > left || held < price-30 || held > price+30 { // each grant is rounded by itself
			t.Fatalf("left %d, held %d for %d octets", left, held, granted)
		}
	})
}

func TestQ02ANewGrantReplacesTheRemainder(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		r.request(credit.Update, "s", 1, 10, true, vol(4*mib))
		r.money(ref, 96e7, 1e8)
	})
}

func TestQ03UseAboveTheGrantIsChargedInFull(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		a := r.request(credit.Update, "s", 1, 10, true, vol(150*mib))
		r.money(ref, -5e8, 0)
		if a.Units[0].Result != credit.LimitReached || a.Result != credit.Success {
			t.Fatalf("%+v", a)
		}
	})
}

func TestQ04ValidityEndsWithTheBucketAndTheCounter(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.give(ref, rolled, 500*mib, r.now().Add(20*time.Minute))
		if g := r.request(credit.Initial, "s", 0, 10, true).Units[0]; g.Validity != 1200 {
			t.Fatalf("valid for %d s with a bucket that ends in 20 minutes", g.Validity)
		}
	})
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetDefinition(Definition{ID: 30, Tenant: host, Name: "day", Unit: Octets, Counter: true, Hard: true, Classes: []string{"data.home"}, Reset: Daily, Zone: "Europe/London"})
		r.run(ref, func(h *Hand) error { return h.Cap(30, 0, 100*mib, false) })
		r.pass(11*time.Hour + 30*time.Minute)
		if g := r.request(credit.Initial, "s", 0, 10, true).Units[0]; g.Validity != 1800 {
			t.Fatalf("valid for %d s half an hour before the limit starts anew", g.Validity)
		}
	})
}

func TestQ05ThresholdIsBelowTheGrantAndNotOnTheLast(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		g := r.request(credit.Initial, "s", 0, 10, true).Units[0]
		if g.Threshold.Total == 0 || g.Threshold.Total >= g.Grant.Total {
			t.Fatalf("%+v", g)
		}
		g = r.request(credit.Update, "s", 1, 10, true, vol(95*mib)).Units[0]
		if g.Grant.Total != 5*mib || g.Final.Action != credit.FinalTerminate || g.Threshold.Has != 0 {
			t.Fatalf("the last grant: %+v", g)
		}
	})
}

func TestQ06HoldingTimeReleasesTheReservation(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(nil)
		r.on(ref, planTimed)
		if g := r.request(credit.Initial, "s", 0, 10, true).Units[0]; !g.HasHolding || g.Holding != 30 {
			t.Fatalf("%+v", g)
		}
		u := vol(2 * mib)
		u.Reason = credit.HoldingTime
		r.request(credit.Update, "s", 1, 10, false, u)
		r.money(ref, 96e7, 0)
	})
}

func TestQ08TriggersAndAChangeOfNetwork(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		g := r.request(credit.Initial, "s", 0, 10, true).Units[0]
		if !g.Arm || len(g.Triggers) == 0 {
			t.Fatalf("nothing armed: %+v", g)
		}
		c := ask(credit.Update, "s", 1, number)
		u := group(c, 10)
		u.Used = []credit.Used{vol(5 * mib)} // used at home, reported because of the change
		c.Request.PLMN = 262001
		if g := r.charge(c).Units[0]; g.Grant.Total != mib || g.Arm {
			t.Fatalf("abroad: %+v", g)
		}
		r.money(ref, 95e7, 1e8)
		c = ask(credit.Update, "s", 2, number)
		c.Request.PLMN = 262001
		group(c, 10).Used = []credit.Used{vol(mib)}
		r.charge(c)
		r.money(ref, 85e7, 1e8)
		if parts := r.parts(); len(parts) != 1 || parts[0] != PLMNChange {
			t.Fatalf("partial records: %v", parts)
		}
	})
}

// parts are the causes of partial records.
func (r *rig) parts() (causes []Cause) {
	r.moves(func(rec *Record, m *Move) {
		if m.Op == opPart {
			causes = append(causes, m.Cause)
		}
	})
	return causes
}

func TestQ09TariffSwitch(t *testing.T) {
	change := func(side credit.Change, n uint64) credit.Used {
		u := vol(n)
		u.Change = side
		return u
	}
	for name, c := range map[string]struct {
		reports []credit.Used
		cost    int64
	}{
		"split":         {[]credit.Used{change(credit.Before, 4*mib), change(credit.After, 2*mib)}, 4*2e7 + 2*1e7},
		"indeterminate": {[]credit.Used{change(credit.Indeterminate, 6*mib)}, 6 * 1e7},
		"not said":      {[]credit.Used{vol(6 * mib)}, 6 * 1e7},
	} {
		t.Run(name, func(t *testing.T) {
			one(t, func(t *testing.T, r *rig, ref Ref) {
				r.timed(nil)
				r.on(ref, planTimed)
				r.pass(7*time.Hour + 30*time.Minute) // 19:30
				g := r.request(credit.Initial, "s", 0, 10, true).Units[0]
				if at := time.UnixMicro(g.Change).UTC(); at.Hour() != 20 || at.Minute() != 0 || g.Validity != 3600 {
					t.Fatalf("%+v, switch at %v", g, at)
				}
				r.money(ref, 1e9, 2e8) // the dearer side
				r.pass(45 * time.Minute)
				r.request(credit.Update, "s", 1, 10, true, c.reports...)
				r.money(ref, 1e9-c.cost, 1e8)
			})
		})
	}
}

func TestQ09ASecondSwitchEndsTheGrant(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(func(p *rating.Plan) {
			p.Bands = []rating.Band{{Name: "night", Days: []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}, From: "12:20", To: "12:40"}}
		})
		r.on(ref, planTimed)
		g := r.request(credit.Initial, "s", 0, 10, true).Units[0]
		if at := time.UnixMicro(g.Change).UTC(); at.Minute() != 20 || g.Validity != 40*60 {
			t.Fatalf("%+v, switch at %v", g, at)
		}
	})
}

func TestQ10ContainersAreSplitAtTheSwitch(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration // from noon to half an hour before the switch
		cost int64
	}{"to the cheaper": {7*time.Hour + 30*time.Minute, 4*2e7 + 2*1e7}, "to the dearer": {17*time.Hour + 30*time.Minute, 4*1e7 + 2*2e7}} {
		t.Run(name, func(t *testing.T) {
			one(t, func(t *testing.T, r *rig, ref Ref) {
				r.timed(nil)
				r.on(ref, planTimed)
				r.pass(c.wait)
				g := r.request(credit.Initial, "s", 0, 10, true).Units[0]
				r.money(ref, 1e9, 2e8) // the dearer side, whichever it is
				r.pass(45 * time.Minute)
				before, after := vol(4*mib), vol(2*mib)
				before.At, before.Seq = g.Change, 1
				after.At, after.Seq = r.now().UnixMicro(), 2
				r.request(credit.Update, "s", 1, 10, false, after, before) // N4: in the order of their numbers
				r.money(ref, 1e9-c.cost, 0)
			})
		})
	}
}

func TestQ11FinalUnits(t *testing.T) {
	for action, want := range map[string]credit.FinalAction{"terminate": credit.FinalTerminate, "redirect": credit.FinalRedirect, "restrict": credit.FinalRestrict} {
		t.Run(action, func(t *testing.T) {
			one(t, func(t *testing.T, r *rig, ref Ref) {
				r.timed(func(p *rating.Plan) {
					p.Rules = p.Rules[:1]
					f := rating.Final{Action: action}
					switch action {
					case "redirect":
						f.Address = "http://portal.example/"
					case "restrict":
						f.Filters = []string{"permit out ip from 192.0.2.1 to any"}
					}
					p.Rules[0].Grant.Final = f
				})
				r.on(ref, planTimed)
				r.request(credit.Initial, "s", 0, 10, true)
				g := r.request(credit.Update, "s", 1, 10, true, vol(45*mib)).Units[0]
				if g.Grant.Total != 5*mib || g.Final.Action != want {
					t.Fatalf("the last units: %+v", g)
				}
				g = r.request(credit.Update, "s", 2, 10, true, vol(5*mib)).Units[0]
				if action == "terminate" {
					if g.Result != credit.LimitReached || g.Grant.Has != 0 {
						t.Fatalf("nothing left: %+v", g)
					}
					return
				}
				if g.Result != credit.Success || g.Grant.Has != 0 || g.Final.Action != want || g.Validity == 0 {
					t.Fatalf("act now: %+v", g)
				}
				r.run(ref, func(h *Hand) error { return h.Credit(1, 1e9, TopUp, "t", 0) })
				if asked, _ := r.client.heard(); len(asked) != 1 {
					t.Fatalf("told after the top-up: %v", asked)
				}
				if g = r.request(credit.Update, "s", 3, 10, true, vol(0)).Units[0]; g.Grant.Total != 10*mib || g.Final.Action != credit.NotFinal {
					t.Fatalf("lifted: %+v", g)
				}
			})
		})
	}
}

func TestQ12SharesAreFairAndNotTiny(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		for i := range 8 { // 8 sessions, 10 MiB wanted each, 100 MiB in all: there is plenty
			r.request(credit.Initial, fmt.Sprint("s", i), 0, 10, true)
		}
		for i := range 8 {
			r.request(credit.Update, fmt.Sprint("s", i), 1, 10, false, vol(9*mib)) // 28 MiB left, nothing held
		}
		sum := uint64(0)
		for i := range 8 {
			g := r.request(credit.Update, fmt.Sprint("s", i), 2, 10, true).Units[0]
			if g.Grant.Total > 4*mib || i < 6 && g.Grant.Total < mib {
				t.Fatalf("session %d got %d", i, g.Grant.Total)
			}
			sum += g.Grant.Total
		}
		if left, held, _ := r.value(ref, 1); held > left || sum > 28*mib {
			t.Fatalf("%d granted, %d held of %d", sum, held, left)
		}
	})
}

func TestQ13AGrantCostsTheSameWhateverTheIncrement(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(func(p *rating.Plan) {
			p.Rules = p.Rules[:1]
			p.Rules[0].Price.Block = rating.Block{Step: 1024}
			p.Rules[0].Grant.Default = 1 << 40
		})
		r.on(ref, planTimed)
		if g := r.request(credit.Initial, "s", 0, 10, true).Units[0]; g.Grant.Total != 50*mib || g.Final.Action == credit.NotFinal {
			t.Fatalf("%+v", g)
		}
		n := testing.AllocsPerRun(1, func() { r.request(credit.Update, "s", 1, 10, true, vol(50*mib)) })
		if n > 300 { // a walk over 51,200 blocks would show
			t.Fatalf("%v allocations", n)
		}
		r.money(ref, 0, 0)
	})
}

func TestQ14ACrossingReportAnswersTheReauthorisation(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		r.request(credit.Update, "s", 1, 10, true, vol(95*mib))
		r.client.say = credit.Accepted
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1e9, TopUp, "t", 0) })
		u := vol(mib)
		u.Reason = credit.Threshold // it was on its way already
		if g := r.request(credit.Update, "s", 2, 10, true, u).Units[0]; g.Grant.Total != 10*mib {
			t.Fatalf("%+v", g)
		}
		r.client.say = credit.Gone // the client has lost the session
		r.request(credit.Update, "s", 3, 10, true, vol(190*mib-86*mib))
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1e7, TopUp, "t", 0) })
		r.e.flush()
		if err := r.e.Look(ref, func(a *Account) { a.Sessions(func(*Session) { t.Error("still open") }) }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestR03AnswersAreKeptAfterTheSession(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		for n := range uint32(6) {
			r.request(credit.Update, "s", n+1, 10, true, vol(mib))
		}
		first := r.request(credit.Terminate, "s", 7, 10, false, vol(mib))
		r.money(ref, 93e7, 0)
		for range 2 {
			if a := r.request(credit.Terminate, "s", 7, 10, false, vol(mib)); a.Result != first.Result || len(a.Units) != 1 {
				t.Fatalf("%+v, then %+v", first, a)
			}
			if a := r.request(credit.Update, "s", 2, 10, true, vol(mib)); a.Result != credit.Success || a.Units[0].Grant.Has != 0 {
				t.Fatalf("a repetition of long ago: %+v", a)
			}
			c := ask(credit.Terminate, "s", 7, number) // without the subscriber
			c.Request.Subscribers = nil
			group(c, 10).Used = []credit.Used{vol(mib)}
			if a := r.charge(c); a.Result != credit.Success {
				t.Fatalf("without a subscriber: %+v", a)
			}
			r.reopen()
		}
		r.pass(30 * time.Minute)
		r.crash()
		if a := r.request(credit.Terminate, "s", 7, 10, false, vol(mib)); a.Result != credit.Success {
			t.Fatalf("after half an hour: %+v", a)
		}
		r.money(ref, 93e7, 0)
		if lost := r.suspended(); len(lost) != 0 {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

func TestR03ARepeatedInitialDoesNotEndTheSession(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		for n := range uint32(5) { // its answer is forgotten by now
			r.request(credit.Update, "s", n+1, 10, true, vol(mib))
		}
		r.request(credit.Initial, "s", 0, 10, true)
		r.money(ref, 95e7, 1e8)
		r.request(credit.Update, "s", 6, 10, true, vol(mib))
		r.money(ref, 94e7, 1e8)
	})
}

func TestR04OtherContentUnderAUsedNumber(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		r.request(credit.Update, "s", 1, 10, true, vol(mib))
		c := ask(credit.Update, "s", 1, number)
		c.Request.Digest++
		group(c, 10).Used = []credit.Used{vol(9 * mib)}
		if a := r.charge(c); a.Result != credit.Clash {
			t.Fatalf("%+v", a)
		}
		r.money(ref, 99e7, 1e8)
	})
}

// TestR04WithoutNumbersTheContentTells: a client that numbers nothing repeats itself.
func TestR04WithoutNumbersTheContentTells(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		send := func(kind credit.Kind, digest uint64, n uint64) {
			c := ask(kind, "s", 0, number)
			c.Request.Numbered, c.Request.Digest = false, digest
			u := group(c, 10)
			if n > 0 {
				u.Used = []credit.Used{vol(n)}
			}
			u.Asked = kind != credit.Terminate
			if a := r.charge(c); a.Result != credit.Success {
				t.Fatalf("%v %d: %+v", kind, digest, a)
			}
		}
		for range 2 {
			send(credit.Initial, 1, 0)
		}
		for range 3 {
			send(credit.Update, 2, mib)
		}
		r.crash()
		send(credit.Update, 2, mib)
		send(credit.Update, 3, mib)
		for range 2 {
			send(credit.Terminate, 4, mib)
		}
		r.money(ref, 97e7, 0)
	})
}

func TestR05LateNumbersAreChargedOnceAndGrantNothing(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		r.request(credit.Update, "s", 2, 10, true, vol(mib))
		for range 2 {
			if g := r.request(credit.Update, "s", 1, 10, true, vol(3*mib)).Units[0]; g.Grant.Has != 0 {
				t.Fatalf("%+v", g)
			}
			r.money(ref, 96e7, 1e8) // the grant of number 2 stays
		}
		r.request(credit.Terminate, "s", 4, 10, false, vol(mib))
		if a := r.request(credit.Update, "s", 3, 10, true, vol(2*mib)); a.Result != credit.UnknownSession {
			t.Fatalf("after the end: %+v", a)
		}
		r.money(ref, 95e7, 0)
		if lost := r.suspended(); len(lost) != 1 || lost[0].Reason != NoSession || lost[0].Totals.Total != 2*mib {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

func TestR08StaleSessionsEndWithinASecondOfTcc(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true) // valid for an hour
		r.pass(time.Hour)
		r.request(credit.Update, "s", 1, 10, true, vol(mib))
		r.pass(2*time.Hour - time.Second)
		r.money(ref, 99e7, 1e8)
		r.crash()
		r.pass(time.Second)
		r.money(ref, 99e7, 0)
		if _, ended := r.client.heard(); len(ended) != 1 {
			t.Fatalf("told: %v", ended)
		}
		if a := r.request(credit.Update, "s", 2, 10, true, vol(mib)); a.Result != credit.UnknownSession {
			t.Fatalf("%+v", a)
		}
	})
}

func TestR09APeerThatRestartedLosesItsOlderSessions(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		for i, state := range []uint32{5, 5, 6} {
			c := ask(credit.Initial, fmt.Sprint("s", i), 0, number)
			c.Request.OriginState = state
			group(c, 10)
			r.charge(c)
		}
		if n := r.e.Restarted(credit.Direct, "pgw.example", 6); n != 2 {
			t.Fatalf("%d ended", n)
		}
		r.money(ref, 1e9, 1e8)
		if n := r.e.Restarted(credit.Direct, "other.example", 7); n != 0 {
			t.Fatalf("%d of another peer ended", n)
		}
	})
}

func TestR10OverloadRefusesNewSessionsFirst(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.e.Queue = 100
		sheds := func(waiting int64, kind credit.Kind, action credit.Action) bool {
			r.e.pending.Store(waiting)
			defer r.e.pending.Store(0)
			return r.e.shed(&credit.Request{Kind: kind, Action: action})
		}
		for _, c := range []struct {
			waiting                                        int64
			initial, debit, update, terminate, refund, pec bool
		}{{40, false, false, false, false, false, false}, {60, true, true, false, false, false, false}, {80, true, true, true, false, false, false}, {101, true, true, true, true, true, true}} {
			got := [...]bool{sheds(c.waiting, credit.Initial, 0), sheds(c.waiting, credit.Event, credit.Debit), sheds(c.waiting, credit.Update, 0),
				sheds(c.waiting, credit.Terminate, 0), sheds(c.waiting, credit.Event, credit.Refund), sheds(c.waiting, credit.Event, credit.Post)}
			if got != [...]bool{c.initial, c.debit, c.update, c.terminate, c.refund, c.pec} {
				t.Errorf("with %d waiting: %v", c.waiting, got)
			}
		}
	})
}

func TestD03AllNamesMustLeadToOneAccount(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.account(NewRef(90, 0), number+1, 1e9)
		c := ask(credit.Initial, "s", 0, number)
		group(c, 10)
		c.Request.Subscribers = append(c.Request.Subscribers, credit.Subscriber{Type: credit.IMSI, ID: fmt.Appendf(nil, "24001%010d", number%1e10)})
		if a := r.charge(c); a.Result != credit.Success {
			t.Fatalf("two names of one: %+v", a)
		}
		c = ask(credit.Initial, "s2", 0, number)
		c.Request.Subscribers = append(c.Request.Subscribers, credit.Subscriber{Type: credit.IMSI, ID: fmt.Appendf(nil, "24001%010d", (number+1)%1e10)})
		if a := r.charge(c); a.Result != credit.UnknownUser {
			t.Fatalf("names of two: %+v", a)
		}
	})
}

func TestD05WhatIsAskedFor(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		if a := r.charge(ask(credit.Initial, "s", 0, number)); a.Result != credit.Success || len(a.Units) != 0 {
			t.Fatalf("no groups: %+v", a)
		}
		r.money(ref, 1e9, 0)
		c := ask(credit.Update, "s", 1, number)
		group(c, 10).Want = octets(3 * mib)
		group(c, 99).Asked = true
		a := r.charge(c)
		if a.Units[0].Grant.Total != 3*mib || a.Units[1].Grant.Total != 10*mib {
			t.Fatalf("%+v", a.Units)
		}
		r.request(credit.Update, "s", 2, 10, false, vol(mib))
		r.money(ref, 99e7, 1e8) // group 10 let go, group 99 keeps
	})
}

func TestD04OneGroupsFailureBlocksNoOther(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.timed(func(p *rating.Plan) { p.Rules[0].Match.Groups = []uint32{10}; p.Rules = p.Rules[:1] })
		r.on(ref, planTimed)
		c := ask(credit.Initial, "s", 0, number)
		group(c, 11)
		group(c, 10)
		a := r.charge(c)
		if a.Result != credit.Success || a.Units[0].Result != credit.RatingFailed || a.Units[1].Result != credit.Success {
			t.Fatalf("%+v", a)
		}
	})
}

func TestD06Volumes(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.request(credit.Initial, "s", 0, 10, true)
		r.request(credit.Update, "s", 1, 10, true, credit.Used{Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: mib, Output: 2 * mib}})
		r.money(ref, 97e7, 1e8)
		r.request(credit.Update, "s", 2, 10, true, credit.Used{Units: credit.Units{Has: credit.HasTotal | credit.HasInput | credit.HasSeconds, Total: 4 * mib, Input: mib, Seconds: 99}})
		r.money(ref, 93e7, 1e8)
		a := r.request(credit.Update, "s", 3, 10, true, credit.Used{Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: 1 << 63, Output: 1 << 63}})
		if a.Units[0].Result != credit.BadValue {
			t.Fatalf("%+v", a)
		}
		r.money(ref, 93e7, 0)
		if lost := r.suspended(); len(lost) != 1 || lost[0].Reason != Implausible {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

func TestD08SubSessionsAreSessions(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		for sub := range uint64(2) {
			c := ask(credit.Initial, "s", 0, number)
			c.Request.SubSession = sub
			group(c, 10)
			r.charge(c)
		}
		r.money(ref, 1e9, 2e8)
		c := ask(credit.Terminate, "s", 1, number)
		c.Request.SubSession = 1
		group(c, 10).Asked = false
		r.charge(c)
		r.money(ref, 1e9, 1e8)
	})
}

func TestF01EventsAndPostEvents(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		send := func(name string, action credit.Action, n uint64) *credit.Answer {
			c := ask(credit.Event, name, 0, number)
			c.Request.Service, c.Request.Action = credit.SMS, action
			u := c.Request.AddUnit()
			if n > 0 {
				u.Want = credit.Units{Has: credit.HasEvents, Events: n}
			}
			return r.charge(c)
		}
		if a := send("e1", credit.Debit, 2); a.Result != credit.Success || a.Cost != 18e7 {
			t.Fatalf("%+v", a)
		}
		r.money(ref, 82e7, 0)
		if a := send("e2", credit.Debit, 0); a.Result != credit.Success || a.Cost != 9e7 { // F2: the server finds the units
			t.Fatalf("%+v", a)
		}
		if a := send("q1", credit.Balance, 9); !a.NotEnough || a.Result != credit.Success {
			t.Fatalf("is there enough for nine: %+v", a)
		}
		if a := send("q2", credit.Balance, 8); a.NotEnough {
			t.Fatalf("is there enough for eight: %+v", a)
		}
		if a := send("q3", credit.Enquiry, 90); a.Cost != 90*9e7 {
			t.Fatalf("what would it cost: %+v", a)
		}
		if a := send("e3", credit.Debit, 9); a.Result != credit.LimitReached {
			t.Fatalf("more than there is: %+v", a)
		}
		r.money(ref, 73e7, 0)
		if a := send("e4", credit.Post, 9); a.Result != credit.Success {
			t.Fatalf("it has happened: %+v", a)
		}
		r.money(ref, -8e7, 0)
	})
}

// radius is an accounting request with counters.
func (r *rig) radius(kind credit.Kind, at time.Time, in, out uint64, narrow bool, digest uint64) *credit.Answer {
	c := ask(kind, "acct", 0, number)
	c.Request.Face, c.Request.Numbered, c.Request.Digest, c.Request.At = credit.RADIUS, false, digest, at.UnixMicro()
	u := c.Request.AddUnit()
	if kind != credit.Initial {
		u.Used = []credit.Used{{Cumulative: true, Narrow: narrow, Units: credit.Units{Has: credit.HasInput | credit.HasOutput, Input: in, Output: out}}}
	}
	return r.charge(c)
}

func TestA03CountersAreCumulativeAndWrap(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.run(ref, func(h *Hand) error { return h.Credit(1, 1e12, TopUp, "", 0) })
		left := int64(1e12 + 1e9)
		t0 := r.now()
		r.radius(credit.Initial, t0, 0, 0, true, 1)
		r.radius(credit.Update, t0.Add(10*time.Minute), 0, 1<<32-mib, true, 2)
		left -= 4095 * 1e7
		r.radius(credit.Update, t0.Add(20*time.Minute), 0, 2*mib, true, 3) // wrapped
		left -= 3 * 1e7
		r.money(ref, left, 0)
		r.radius(credit.Update, t0.Add(15*time.Minute), 0, mib, true, 4) // late: the newer one has said it
		r.money(ref, left, 0)
		r.radius(credit.Update, t0.Add(20*time.Minute+time.Millisecond), 0, mib, true, 5) // 4 GiB in a millisecond
		if lost := r.suspended(); len(lost) != 1 || lost[0].Reason != Implausible {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.money(ref, left, 0)
		r.radius(credit.Update, t0.Add(20*time.Minute+2*time.Millisecond), 0, mib, true, 7) // counted from anew
		r.money(ref, left, 0)
		for range 2 {
			r.radius(credit.Terminate, t0.Add(30*time.Minute), 0, 5*mib, true, 6)
			left -= 4 * 1e7
			r.money(ref, left, 0)
			left += 4 * 1e7
		}
	})
}

// none checks that the account has no open session.
func (r *rig) none(ref Ref) {
	r.Helper()
	if err := r.e.Look(ref, func(a *Account) { a.Sessions(func(*Session) { r.Error("a session is open") }) }); err != nil {
		r.Fatal(err)
	}
}

func TestA04LateReportsOpenNoSecondSession(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		t0 := r.now()
		r.radius(credit.Update, t0.Add(time.Minute), mib, mib, false, 2) // before the Start (O1)
		r.money(ref, 98e7, 0)
		r.radius(credit.Initial, t0, 0, 0, false, 1)
		r.radius(credit.Terminate, t0.Add(3*time.Minute), 2*mib, 2*mib, false, 4)
		r.money(ref, 96e7, 0)
		r.crash()
		r.radius(credit.Update, t0.Add(2*time.Minute), 2*mib, mib, false, 3) // overtaken by the Stop
		r.none(ref)
		r.radius(credit.Initial, t0, 0, 0, false, 9) // a retry with another digest
		r.none(ref)
		r.radius(credit.Terminate, t0.Add(3*time.Minute), 2*mib, 2*mib, false, 8)
		r.none(ref)
		r.money(ref, 96e7, 0)
		r.radius(credit.Terminate, t0.Add(9*time.Minute), 3*mib, 3*mib, false, 10) // it went on after all
		r.money(ref, 94e7, 0)
	})
}

func TestA05AccountingOnEndsTheSessionsOfTheNAS(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		t0 := r.now()
		r.radius(credit.Initial, t0, 0, 0, false, 1)
		r.radius(credit.Update, t0.Add(time.Minute), mib, mib, false, 2)
		n, err := r.e.Restart(t.Context(), credit.RADIUS, "pgw.example", 0)
		if n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.money(ref, 98e7, 0)
		r.radius(credit.Terminate, t0.Add(2*time.Minute), 2*mib, mib, false, 3) // its Stop comes all the same
		r.money(ref, 97e7, 0)
	})
}

func TestO01OfflineReportsNeedNoStart(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		send := func(kind credit.Kind, n uint32, octets uint64) {
			c := ask(kind, "rf", n, number)
			u := group(c, 10)
			u.Asked = false
			x := vol(octets)
			x.Quota = credit.Offline
			u.Used = []credit.Used{x}
			if a := r.charge(c); a.Result != credit.Success {
				t.Fatalf("%v %d: %+v", kind, n, a)
			}
		}
		send(credit.Update, 1, mib)
		send(credit.Terminate, 2, mib)
		for range 2 {
			send(credit.Update, 1, mib)
			send(credit.Terminate, 2, mib)
		}
		send(credit.Update, 0, mib) // was never heard before: late, not lost
		send(credit.Update, 0, mib)
		r.money(ref, 97e7, 0)
		r.crash()
		send(credit.Update, 1, mib)
		r.money(ref, 97e7, 0)
	})
}

package core

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"tandem/bss/rating"
	"tandem/edge/credit"
	"tandem/kit/journal"
)

// fixed is one request of a session of a fixed line.
func (r *rig) fixed(kind credit.Kind, n uint32, rg uint32, used uint64) *credit.Answer {
	r.Helper()
	c := ask(kind, "line", n, number)
	c.Request.Service = credit.Broadband
	u := group(c, rg)
	if u.Asked = kind != credit.Terminate; kind != credit.Initial {
		u.Used = []credit.Used{vol(used)}
	}
	return r.charge(c)
}

// TestR10ADefaultGrantWhereThereIsNoPrice: what is used of it is in suspense, and is
// charged at once when there is a price.
func TestR10ADefaultGrantWhereThereIsNoPrice(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.book.SetTenant(host, Tenant{Name: "host", Home: []uint32{240001}, Defaults: []Default{{Service: credit.Broadband, Group: 77, Units: octets(5 * mib), Validity: 60}}})
		if g := r.fixed(credit.Initial, 0, 77, 0).Units[0]; g.Result != credit.Success || g.Grant.Total != 5*mib || g.Validity != 60 {
			t.Fatalf("%+v", g)
		}
		if g := r.fixed(credit.Update, 1, 78, 0).Units[0]; g.Result != credit.RatingFailed {
			t.Fatalf("a group without a policy: %+v", g)
		}
		if g := r.fixed(credit.Update, 2, 77, 3*mib).Units[0]; g.Result != credit.Success || g.Grant.Total != 5*mib {
			t.Fatalf("%+v", g)
		}
		if lost := r.suspended(); len(lost) != 1 || lost[0].Reason != NoRate || lost[0].Totals.Total != 3*mib || lost[0].Group != 77 {
			t.Fatalf("in suspense: %+v", lost)
		}
		r.money(ref, 1e9, 0)
		r.sound(ref)
		p := basicPlan()
		p.Rules = append(p.Rules, rating.Rule{Name: "line", Match: rating.Match{Service: "broadband"}, Class: "line", Price: &rating.Price{Unit: "octets", Amount: "0.02", Per: mib}})
		tariff, err := rating.Compile(p)
		if err != nil {
			t.Fatal(err)
		}
		r.book.SetTariff(61, tariff, nil)
		r.book.SetPlan(planBasic, Plan{Name: "basic", Tenant: host, Versions: []Version{{Tariff: 61}}})
		if g := r.fixed(credit.Update, 3, 77, mib).Units[0]; g.Result != credit.Success || g.Grant.Total != defaultOctets {
			t.Fatalf("%+v", g)
		}
		r.money(ref, 1e9-2e7, 2e8)
		if lost := r.suspended(); len(lost) != 1 {
			t.Fatalf("in suspense: %+v", lost)
		}
	})
}

// down is a journal that may be out of reach as a whole.
type down struct {
	Journal
	out atomic.Bool
}

func (d *down) Append(ctx context.Context, b *journal.Batch) (int64, error) {
	if !d.out.Load() {
		return d.Journal.Append(ctx, b)
	}
	broken, stop := context.WithCancel(ctx) // what the log sees: it does not know either
	stop()
	_, _ = d.Journal.Append(broken, b)
	return 0, errCut
}

func (d *down) Claim(ctx context.Context, most int) (journal.Set, error) {
	if d.out.Load() {
		return journal.Set{}, errCut
	}
	return d.Journal.Claim(ctx, most)
}

func (d *down) Renew(ctx context.Context) (journal.Set, error) {
	if d.out.Load() {
		return journal.Set{}, errCut
	}
	return d.Journal.Renew(ctx)
}

// TestR10ADefaultGrantWhileNothingCanBeWritten: first clients are told to try again;
// when it lasts, new sessions get a small grant where the policy gives one, and what
// they report is charged when it can be written. Use is never taken before.
func TestR10ADefaultGrantWhileNothingCanBeWritten(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(9, 0)
		r.account(ref, number, 1e9)
		r.e.Close(t.Context())
		broken := &down{}
		r.wrap = func(j Journal) Journal { broken.Journal = j; return broken }
		r.defaults = []Default{{Service: credit.Data, Group: 10, Units: octets(2 * mib), Validity: 120}}
		r.open()
		r.request(credit.Initial, "before", 0, 10, true)
		broken.out.Store(true)
		if a := r.request(credit.Update, "before", 1, 10, true, vol(mib)); a.Result != credit.Busy {
			t.Fatalf("what could not be written was answered with %v", a.Result)
		}
		if a := r.request(credit.Initial, "new", 0, 10, true); a.Result != credit.Busy {
			t.Fatalf("at once: %v", a.Result)
		}
		r.mu.Lock()
		r.at = r.at.Add(patience + time.Second)
		r.mu.Unlock()
		a := r.request(credit.Initial, "new", 0, 10, true)
		if a.Result != credit.Success || len(a.Units) != 1 || a.Units[0].Grant.Total != 2*mib || a.Units[0].Validity != 120 {
			t.Fatalf("after a while: %+v", a)
		}
		if a := r.request(credit.Initial, "other", 0, 20, true); a.Result != credit.Busy {
			t.Fatalf("a group without a policy: %v", a.Result)
		}
		if a := r.request(credit.Update, "new", 1, 10, true, vol(mib)); a.Result != credit.Busy {
			t.Fatalf("use that cannot be written was taken: %v", a.Result)
		}
		broken.out.Store(false)
		r.settle()
		for _, session := range []string{"before", "new"} {
			if a := r.request(credit.Update, session, 1, 10, true, vol(mib)); a.Result != credit.Success || a.Units[0].Grant.Total != 10*mib {
				t.Fatalf("session %q after it: %+v", session, a)
			}
		}
		r.money(ref, 1e9-2e7, 2e8)
		if a := r.request(credit.Update, "nobody's", 1, 10, true, vol(mib)); a.Result != credit.UnknownSession {
			t.Fatalf("a session that was granted nothing: %v", a.Result)
		}
		r.sound(ref)
		r.ledger(ref)
	})
}

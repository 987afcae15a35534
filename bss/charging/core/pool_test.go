package core

import (
	"testing"
	"time"

	"tandem/bss/rating"
	"tandem/edge/credit"
)

// pooled gives the rig's subscriber a plan with two groups in a pool, the second at
// twice the price of the first.
func (r *rig) pooled(ref Ref) {
	r.Helper()
	const plan = 60
	p := basicPlan()
	rule := func(name string, group uint32, amount rating.Decimal) rating.Rule {
		return rating.Rule{Name: name, Priority: 1, Match: rating.Match{Service: "data", Groups: []uint32{group}}, Class: "data.home",
			Price: &rating.Price{Unit: "octets", Amount: amount, Per: mib}, Grant: rating.Grant{Default: 10 * mib, Pool: 1}}
	}
	p.Rules = append(p.Rules, rule("plain", 31, "0.01"), rule("fast", 32, "0.02"))
	tariff, err := rating.Compile(p)
	if err != nil {
		r.Fatal(err)
	}
	r.book.SetTariff(plan, tariff, nil)
	r.book.SetPlan(plan, Plan{Name: "pooled", Tenant: host, Versions: []Version{{Tariff: plan}}})
	r.on(ref, plan)
}

// both is a request about the two groups of the pool.
func (r *rig) both(kind credit.Kind, n uint32, asks bool, plain, fast uint64) *credit.Answer {
	r.Helper()
	c := ask(kind, "s", n, number)
	for i, used := range [...]uint64{plain, fast} {
		u := group(c, 31+uint32(i))
		if u.Asked = asks; kind != credit.Initial {
			u.Used = []credit.Used{vol(used)}
		}
	}
	a := r.charge(c)
	if len(a.Units) != 2 {
		r.Fatalf("%+v", a)
	}
	return a
}

// sound checks that what is held is there, and that replay finds it.
func (r *rig) sound(ref Ref) {
	r.Helper()
	r.heldIsGranted(ref)
	if err := r.e.Look(ref, func(a *Account) {
		for _, b := range a.Buckets {
			if b.Held < 0 || b.Held > b.Value {
				r.Errorf("bucket %d: %d of %d are held", b.ID, b.Held, b.Value)
			}
		}
	}); err != nil {
		r.Fatal(err)
	}
	before := r.state()
	r.crash()
	if after := r.state(); string(before) != string(after) {
		r.Fatalf("replay differs:\n%x\n%x", before, after)
	}
}

// TestD08GroupsShareAPoolOfMoney: what one group uses beyond its own grant is paid by
// what the other reserved; together they never use more than that.
func TestD08GroupsShareAPoolOfMoney(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.pooled(ref)
		a := r.both(credit.Initial, 0, true, 0, 0)
		plain, fast := &a.Units[0], &a.Units[1]
		if plain.Pool == 0 || plain.Pool != fast.Pool || plain.Grant.Total != 10*mib || fast.Grant.Total != 10*mib {
			t.Fatalf("%+v\n%+v", plain, fast)
		}
		// 0.01 for a MiB is 9.536743164 of 10^-9 for an octet, rounded up.
		if plain.Multiplier != 9_536_743_165 || fast.Multiplier != 19_073_486_329 {
			t.Fatalf("a unit is worth %d and %d", plain.Multiplier, fast.Multiplier)
		}
		r.money(ref, 1e9, 3e8)
		r.both(credit.Update, 1, false, 30*mib, 0) // all of the pool by one
		r.money(ref, 7e8, 0)
		r.sound(ref)
		r.both(credit.Update, 2, true, 0, 0)
		r.money(ref, 7e8, 3e8)
		r.request(credit.Update, "s", 3, 31, true, vol(20*mib)) // one reports, and the other goes on
		r.money(ref, 5e8, 1e8+1e8)
		r.sound(ref)
		r.both(credit.Terminate, 4, false, 10*mib, 5*mib)
		r.money(ref, 3e8, 0)
		r.ledger(ref)
	})
}

// TestD08NobodyIsOverdrawnByAPool: the pool has all that there is, and is used to the
// last by either member.
func TestD08NobodyIsOverdrawnByAPool(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ref := NewRef(5, 0)
		r.account(ref, number, 31e7)
		r.pooled(ref)
		a := r.both(credit.Initial, 0, true, 0, 0)
		if a.Units[1].Pool == 0 || a.Units[1].Final.Action != credit.NotFinal {
			t.Fatalf("%+v", a.Units[1])
		}
		r.request(credit.Update, "s", 1, 32, false, vol(15*mib))
		r.money(ref, 1e7, 0)
		r.sound(ref)
		r.request(credit.Terminate, "s", 2, 31, false, vol(mib)) // one MiB that nobody reserved
		r.money(ref, 0, 0)
		r.ledger(ref)
	})
}

// TestD08APoolOfUnitsAndWhoHasNone: buckets of units pool by the unit; a grant that is
// the last, or of a client that has no pools, or at a price with a set-up fee, is alone.
func TestD08APoolOfUnitsAndWhoHasNone(t *testing.T) {
	one(t, func(t *testing.T, r *rig, ref Ref) {
		r.pooled(ref)
		id := r.give(ref, dataBucket, 64*mib, r.now().Add(24*time.Hour))
		a := r.both(credit.Initial, 0, true, 0, 0)
		if a.Units[0].Pool == 0 || a.Units[0].Pool != a.Units[1].Pool || a.Units[0].Multiplier != 1e9 || a.Units[1].Multiplier != 1e9 {
			t.Fatalf("%+v", a.Units)
		}
		r.request(credit.Update, "s", 1, 31, false, vol(16*mib))
		if left, held, _ := r.value(ref, id); left != 48*mib || held != 4*mib {
			t.Fatalf("left %d, held %d", left, held)
		}
		r.sound(ref)
		r.both(credit.Terminate, 2, false, 0, 4*mib)
		if left, held, _ := r.value(ref, id); left != 44*mib || held != 0 {
			t.Fatalf("left %d, held %d", left, held)
		}
		c := ask(credit.Initial, "nchf", 0, number)
		c.Request.Face = credit.Nchf
		group(c, 31)
		if g := r.charge(c).Units[0]; g.Pool != 0 {
			t.Fatalf("a client without pools: %+v", g)
		}
		if g := r.request(credit.Initial, "other", 0, 10, true).Units[0]; g.Pool != 0 {
			t.Fatalf("a group that is in no pool: %+v", g)
		}
		c = ask(credit.Initial, "call", 0, number)
		c.Request.Service = credit.Voice
		u := c.Request.AddUnit()
		u.Asked = true
		if g := r.charge(c).Units[0]; g.Pool != 0 || g.Grant.Seconds == 0 {
			t.Fatalf("a call with a set-up fee: %+v", g)
		}
	})
}

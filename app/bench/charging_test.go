package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tandem/kit/store"
)

// A slot of the spread holds a duration, and says it within a thirtieth.
func TestSpread(t *testing.T) {
	var s spread
	dice := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(dice.Uint64N(1 << (10 + dice.Uint64N(25))))
		all = append(all, d)
		s.add(d)
	}
	slices.Sort(all)
	for _, p := range []float64{0.5, 0.9, 0.99, 0.999, 1} {
		want := float64(all[int(float64(len(all))*p)-1].Microseconds()) / 1000
		if got := s.percentile(p); got < want || got > want*1.04+0.001 {
			t.Errorf("percentile %v is %v, not %v", p, got, want)
		}
	}
	for us := range uint64(1 << 20) {
		slot := slotOf(us)
		if up := upper(slot); up < us || slot > 0 && upper(slot-1) >= us {
			t.Fatalf("%d microseconds are in slot %d, up to %d", us, slot, up)
		}
	}
}

// A request that is due while everybody waits is timed from then on, and counted as
// late: a stall does not make its own figures better.
func TestPacedRequestsAreTimedFromWhenTheyAreDue(t *testing.T) {
	const stall = 200 * time.Millisecond
	r, first := &chargingRig{}, true
	l := r.run(400*time.Millisecond, 1, 100, 0, func(c *caller) {
		wait := time.Duration(0)
		if first {
			first, wait = false, stall
		}
		time.AfterFunc(wait, func() { c.ended(true) })
	})
	if n := l.count.Load(); n != 40 {
		t.Errorf("%d requests were answered, not 40", n)
	}
	if l.late < 15 || l.unsent != 0 {
		t.Errorf("%d were late and %d unsent; some 19 are due in the stall", l.late, l.unsent)
	}
	if p := l.took.percentile(0.7); p < 40 {
		t.Errorf("7 of 10 took %v ms at most, as if nobody had waited", p)
	}
}

// Requests that nobody can take any more are counted, not forgotten.
func TestPacedRequestsThatAreNeverSent(t *testing.T) {
	defer func(d time.Duration) { patience = d }(patience)
	patience = 100 * time.Millisecond
	r := &chargingRig{}
	stuck := make(chan *caller, 1)
	go func() { // answers when the run has given up
		c := <-stuck
		<-c.load.over
		c.ended(true)
	}()
	l := r.run(100*time.Millisecond, 1, 100, 0, func(c *caller) { stuck <- c })
	if l.late != 9 || l.unsent != 9 {
		t.Errorf("%d late, %d unsent, not 9 of 10", l.late, l.unsent)
	}
}

// Each mix runs on either store, nothing is refused, and what is replayed from the
// journal alone is what was in memory.
func TestCharging(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		for name, o := range map[string]ChargingOptions{
			"sessions": {Replay: 3000, Increment: 1 << 10},
			"events":   {Mix: "events", Replay: 1000},
			"charglt":  {Mix: "charglt", Replay: 3000},
		} {
			t.Run(engine.String()+" "+name, func(t *testing.T) {
				o.Options = quietly(t, engine)
				o.Face, o.Accounts, o.Callers = "direct", 300, 64
				res, err := Charging(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if res.Own["refused"] != int64(0) || res.Own["replayed_records"].(int64) < o.Replay {
					t.Errorf("%+v", res)
				}
				for _, why := range res.Failed {
					t.Error(why)
				}
			})
		}
	}
}

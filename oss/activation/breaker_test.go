package activation

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tandem/oss/activation/driver"
)

func TestBreakerLetsOneProbeGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &breaker{threshold: 2, cooldown: time.Second, now: time.Now}
		fail := func() {
			wait, probe := b.admit()
			if wait != 0 || probe {
				t.Fatalf("a closed breaker says %v, %v", wait, probe)
			}
			b.report(silent, probe)
		}
		fail()
		b.report(answered, false) // a success in between: failures count in a row
		fail()
		if b.open() != 0 {
			t.Fatal("open after one failure in a row")
		}
		fail()
		if b.open() != time.Second {
			t.Fatalf("open for %v", b.open())
		}
		b.report(silent, false) // admitted before
		time.Sleep(time.Second)
		var probes atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if wait, probe := b.admit(); wait == 0 {
					probes.Add(1)
					time.Sleep(time.Second)
					b.report(nothing, probe) // the caller gave up: the next one probes
				}
			})
		}
		wg.Wait()
		if probes.Load() != 1 {
			t.Fatalf("%d probes", probes.Load())
		}
		wait, probe := b.admit()
		if wait != 0 || !probe {
			t.Fatalf("after a probe that says nothing: %v, %v", wait, probe)
		}
		b.report(answered, probe)
		if b.open() != 0 || b.opened != 1 {
			t.Fatalf("open for %v, opened %d times", b.open(), b.opened)
		}
	})
}

// A driver that has not asked the element says nothing of it.
func TestWhatWasNotSentOpensNothing(t *testing.T) {
	g := &gate{options: &Options{Deadline: time.Second}, breaker: &breaker{threshold: 1, cooldown: time.Minute, now: time.Now}}
	for _, unsent := range []bool{true, false} {
		err := g.run(t.Context(), false, func(context.Context, driver.Driver) error {
			return &driver.Error{Class: driver.Transient, Unsent: unsent}
		})
		if opened := g.breaker.open() > 0; err == nil || opened == unsent {
			t.Errorf("unsent %v: opened %v, %v", unsent, opened, err)
		}
	}
}

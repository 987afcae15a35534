package activation

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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

package activation

import (
	"sync"
	"time"
)

// breaker spares an element that does not answer, and its callers the wait.
//
//	closed ── threshold failures in a row ──> open ── cooldown over ──> half open: one probe
//	   └<────────────── success ─────────────────────────────────────────┴── failure ──> open
type breaker struct {
	threshold int
	cooldown  time.Duration
	now       func() time.Time

	mu       sync.Mutex
	failures int       // in a row
	until    time.Time // open or half open if it is set; half open from then on
	probing  bool      // the probe is under way
	opened   int64
}

// open says how long the element is to be left alone, without asking to use it; 0 if it may be used.
func (b *breaker) open() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left()
}

func (b *breaker) left() time.Duration {
	switch {
	case b.until.IsZero():
		return 0
	case b.probing:
		return max(b.cooldown/10, time.Millisecond)
	}
	return max(0, b.until.Sub(b.now()))
}

// admit asks to use the element: 0 is yes, and report must follow. When it is half open, only one caller gets the yes.
func (b *breaker) admit() (wait time.Duration, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.left(); wait > 0 {
		return wait, false
	}
	b.probing = !b.until.IsZero()
	return 0, b.probing
}

// verdict is what an operation says about the element.
type verdict int

const (
	answered verdict = iota // it answers, be it with a refusal
	silent                  // it does not
	nothing                 // the caller gave up, or the element was not asked
)

// report tells how an admitted operation went. A failure that was admitted before the breaker opened does not keep it open longer.
func (b *breaker) report(v verdict, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
	}
	switch {
	case v == answered:
		b.failures, b.until = 0, time.Time{}
	case v == silent && (probe || b.until.IsZero()):
		b.failures++
		if probe || b.failures >= b.threshold {
			b.until = b.now().Add(b.cooldown)
			b.opened++
		}
	}
}

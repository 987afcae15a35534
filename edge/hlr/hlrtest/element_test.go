package hlrtest_test

import (
	"errors"
	"sync"
	"syscall"
	"testing"

	"tandem/edge/hlr"
	"tandem/edge/hlr/hlrtest"
)

// Several elements run side by side, each with subscribers of its own.
func TestElementsSideBySide(t *testing.T) {
	elements := make([]*hlrtest.Element, 4)
	var wg sync.WaitGroup
	for i := range elements {
		wg.Go(func() { elements[i] = hlrtest.Start(t) })
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, e := range elements {
		if e == nil {
			t.Fatal("an element did not start")
		}
		if seen[e.IP] {
			t.Fatalf("two elements at %s", e.IP)
		}
		seen[e.IP] = true
		c, err := hlr.Dial(t.Context(), e.CTRL())
		if err != nil {
			t.Fatal(err)
		}
		if id, err := c.Create(t.Context(), "240010000000001"); err != nil || id != 1 {
			t.Errorf("%s: id %d, %v", e.IP, id, err)
		}
		c.Close()
	}
}

// Nothing is left when the test that started the element has ended, even if it left the element frozen: the kernel would still accept
// connections for a frozen process.
func TestCleanup(t *testing.T) {
	var addr string
	t.Run("inner", func(t *testing.T) {
		e := hlrtest.Start(t)
		addr = e.CTRL()
		e.Freeze()
	})
	if _, err := hlr.Dial(t.Context(), addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the element still runs: %v", err)
	}
}

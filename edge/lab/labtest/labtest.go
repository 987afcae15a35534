// Package labtest has the lab's register misbehave in the ways that tests of orders need.
//
//	test ── Refuse, Hold ──> lab.Faults ──> the register: "Out of order", or an answer kept back
//
// Owns, tells and hears nothing; only tests import it.
package labtest

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tandem/edge/hlr"
	"tandem/edge/lab"
)

// changes says whether a command changes what has one of the words in it.
func changes(cmd hlr.Command, words ...string) bool {
	return cmd.Verb == hlr.Set && slices.ContainsFunc(words, func(w string) bool { return strings.Contains(cmd.Var+" "+cmd.Value, w) })
}

// Refuse makes a register refuse changes that have one of the words in them.
func Refuse(words ...string) lab.Faults {
	return func(cmd hlr.Command) lab.Fault {
		if changes(cmd, words...) {
			return lab.Fault{Action: lab.Refuse, Text: "Out of order"}
		}
		return lab.Fault{}
	}
}

// Barrier keeps back one answer of a register.
type Barrier struct {
	reached, free chan struct{}
}

// Hold keeps back the answer to the first change that has the word in it.
func Hold(reg *lab.HLR, word string) *Barrier {
	b := &Barrier{make(chan struct{}), make(chan struct{})}
	var first atomic.Bool
	reg.SetFaults(func(cmd hlr.Command) lab.Fault {
		if changes(cmd, word) && first.CompareAndSwap(false, true) {
			close(b.reached)
			return lab.Fault{Action: lab.LateReply, Until: b.free}
		}
		return lab.Fault{}
	})
	return b
}

// Wait waits until the change is made and its answer kept back.
func (b *Barrier) Wait(t testing.TB) {
	t.Helper()
	select {
	case <-b.reached:
	case <-time.After(30 * time.Second):
		t.Fatal("no such change was sent")
	}
}

// Release lets the answer go, once.
func (b *Barrier) Release() { close(b.free) }

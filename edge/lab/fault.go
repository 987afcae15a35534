package lab

import (
	"time"

	"tandem/edge/hlr"
)

// Action is what goes wrong with one command.
type Action int

// The faults of an element and of the way to it.
const (
	NoFault     Action = iota
	LoseReply          // executed, no reply ever
	LoseCommand        // not executed, no reply ever
	LateReply          // executed; the reply comes after Fault.Delay, or when Fault.Until is closed; others overtake it
	CloseBefore        // not executed, the connection closes
	CloseAfter         // executed, the connection closes instead of a reply
	Refuse             // not executed, the reply is an ERROR with Fault.Text
)

// Fault is an Action with its data.
type Fault struct {
	Action Action
	Delay  time.Duration   // of LateReply
	Until  <-chan struct{} // of LateReply: counts instead of Delay if it is set
	Text   string          // of Refuse
}

// Faults chooses the fault of a command. It is called by many goroutines at once.
type Faults func(cmd hlr.Command) Fault

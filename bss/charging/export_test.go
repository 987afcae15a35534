package charging

import (
	"context"
	"time"

	"tandem/bss/charging/core"
)

// Definition is what a bucket or counter is, as this node knows it.
func (r *Room) Definition(id uint32) *core.Definition { return r.book.Definition(id) }

// Flights are the commands that the room takes for being carried out.
func (r *Room) Flights() (n int) {
	r.flying.Range(func(_, _ any) bool { n++; return true })
	return n
}

// FlightTime changes for how long a command is not looked at again.
func FlightTime(d time.Duration) (back func()) {
	old := flightTime
	flightTime = d
	return func() { flightTime = old }
}

// StartWithoutProjector starts a room that decides and carries out commands.
func (r *Room) StartWithoutProjector(ctx context.Context) error {
	if err := r.StartEngine(ctx); err != nil {
		return err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	r.done.Add(1)
	go r.carryOut(run)
	return nil
}

// CommandsByNumber is the statement that reads commands.
const CommandsByNumber = commandsByNumber

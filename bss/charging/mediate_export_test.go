package charging

import (
	"context"

	"tandem/edge/credit"
)

// Through puts something between mediation and the engine.
func (m *Mediator) Through(c credit.Charger) { m.charger = c }

// WorkSuspense does what the mediator does every second.
func (m *Mediator) WorkSuspense(ctx context.Context) error { return m.workSuspense(ctx) }

// WriteStreams does what the mediator does every second.
func (m *Mediator) WriteStreams(ctx context.Context) error { return m.writeStreams(ctx) }

// MarkEvery changes how often it is written down how far a file is.
func MarkEvery(n int64) (back func()) {
	old := markEvery
	markEvery = n
	return func() { markEvery = old }
}

// StartEngine starts a room without its projector.
func (r *Room) StartEngine(ctx context.Context) error {
	if err := r.readShelves(ctx); err != nil {
		return err
	}
	return r.Engine.Start(ctx)
}

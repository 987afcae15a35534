package charging

import "context"

// Charger is the engine, as mediation uses it.
type Charger = charger

// OverlappingFiles finds the files that a new one is compared with: by source, times
// and number.
const OverlappingFiles = overlappingFiles

// Through puts something between mediation and the engine.
func (m *Mediator) Through(c Charger) { m.charger = c }

// WorkSuspense does what the mediator does every second.
func (m *Mediator) WorkSuspense(ctx context.Context) error { return m.workSuspense(ctx) }

// WriteStreams does what the mediator does every second.
func (m *Mediator) WriteStreams(ctx context.Context) error { return m.writeStreams(ctx) }

// BlocksOf changes how many records are charged together.
func BlocksOf(n int) (back func()) {
	old := blockSize
	blockSize = n
	return func() { blockSize = old }
}

// StartEngine starts a room without its projector.
func (r *Room) StartEngine(ctx context.Context) error {
	if err := r.readShelves(ctx); err != nil {
		return err
	}
	return r.Engine.Start(ctx)
}

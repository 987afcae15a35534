package core

import (
	"slices"

	"tandem/edge/credit"
)

// What happened and could not be charged is in suspense, and becomes a case. Its client
// may report it again, when its subscriber has become known or is lifted: then it would
// be charged beside the case. So what was suspended is remembered under its number, like
// what was charged, and answered as it was, for as long as answers to events are kept.
// Files have a memory of their own. As with counters (counted.go), what another node
// remembers is not found.

// recalls says that a request reports what has happened and can be told from others: by
// its number, or an event by its content.
func recalls(r *credit.Request) bool {
	switch {
	case r.Face == credit.File:
		return false
	case r.Kind == credit.Event:
		return r.Action == credit.Post && (r.Numbered || r.Digest != 0)
	}
	return r.Numbered && offline(r)
}

// begins says that a request opens a session and asks for nothing: what it reports later
// may have been suspended before.
func begins(r *credit.Request) bool {
	return r.Kind == credit.Initial && r.Numbered && r.Face != credit.File && !slices.ContainsFunc(r.Units, func(u credit.Unit) bool { return u.Asked })
}

// suspendedBefore is what is known of the requests of a session, or of an event, that
// nobody was charged for; nil if nothing.
func (e *Engine) suspendedBefore(r *credit.Request) *Session {
	sh := e.nobodys(r)
	if r.Kind != credit.Event {
		return sh.heardOf(r)
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	digest, answer, ok := sh.told.get(eventKey(r))
	if !ok || !sh.held.Load() {
		return nil
	}
	s := &Session{}
	s.remember(r.Number, !r.Numbered, digest, answer)
	return s
}

// recall notes that a request was suspended, with what it was told.
func (t *turn) recall(s *Session, r *credit.Request, a *credit.Answer) {
	t.answer = putAnswer(t.answer[:0], a)
	if r.Kind == credit.Event {
		t.keepKey(eventKey(r), r.Digest, putDebits(t.answer, nil))
		return
	}
	s.note(r.Number)
	s.remember(r.Number, false, r.Digest, t.answer)
}

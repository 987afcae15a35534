package core

import (
	"crypto/sha256"
	"encoding/binary"
)

// Source names what a bucket came from, if that can end before its line does: an
// option. 0: the plan of the line, a top-up, or one of a time when that was not known.
type Source uint64

// SourceOf is the source behind a reference of the business.
func SourceOf(ref string) Source {
	if ref == "" {
		return 0
	}
	sum := sha256.Sum256([]byte(ref))
	return Source(max(1, binary.LittleEndian.Uint64(sum[:])))
}

// End takes a bucket away, as Withdraw takes all of a subscriber. What open grants
// hold stays until they are settled. One that is gone already stays gone.
func (h *Hand) End(bucket uint32) error {
	if err := h.exists(); err != nil {
		return err
	}
	i := h.t.a.bucket(bucket)
	if i < 0 {
		return nil
	}
	b := h.t.a.Buckets[i]
	if left := b.Value - b.Held; left > 0 {
		h.t.credit(b.ID, -left, Expired, "")
	}
	if b.Held == 0 {
		h.t.drop(b.ID)
		return nil
	}
	b = h.t.a.Buckets[i]
	b.To, b.Tail = h.t.now(), true
	h.t.setBucket(b)
	return nil
}

// EndOf takes away all that came from a source, and what was rolled over of it.
func (h *Hand) EndOf(s Source) error {
	if err := h.exists(); err != nil || s == 0 {
		return err
	}
	for i := len(h.t.a.Buckets) - 1; i >= 0; i-- {
		if b := &h.t.a.Buckets[i]; b.Source == s {
			if err := h.End(b.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Lift takes a limit away: the plan that had it is gone. The count goes on, so that
// who comes back within the period does not begin anew; Cap sets a limit again.
func (h *Hand) Lift(def uint32, owner uint16) error {
	if err := h.exists(); err != nil {
		return err
	}
	i := h.t.a.counter(def, owner)
	if i < 0 || h.t.a.Counters[i].Lifted {
		return nil
	}
	c := h.t.a.Counters[i]
	c.Limit, c.Consent, c.Lifted = 0, false, true
	h.t.setCounter(c)
	h.t.wakeBlocked()
	return nil
}

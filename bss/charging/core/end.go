package core

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

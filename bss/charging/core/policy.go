package core

// Status is what policy control is told of a counter: its status now, and the one it
// will have at its reset, so that it can switch by itself (TS 29.594, TS 29.219).
type Status struct {
	Counter uint32 // definition
	Name    string // of the policy counter
	Owner   uint16 // subscriber; 0: the account
	Current string
	Pending string // from At on; "": none is ahead
	At      int64  // Unix seconds
}

// Statuses are those of the account's policy counters at an instant (Unix seconds):
// of all whose definition has statuses. Use it inside Look.
func (a *Account) Statuses(b *Book, now int64) (list []Status) {
	for i := range a.Counters {
		c := &a.Counters[i]
		d := b.Definition(c.Def)
		if d == nil || len(d.Status) == 0 {
			continue
		}
		value := c.Value
		if c.Ends != 0 && now >= c.Ends { // the sweeper has not come to it
			value = 0
		}
		s := Status{Counter: c.Def, Name: d.Name, Owner: c.Owner, Current: d.status(d.step(value))}
		if next := d.status(d.step(0)); next != s.Current && c.Ends > now {
			s.Pending, s.At = next, c.Ends
		}
		list = append(list, s)
	}
	return list
}

// StatusName is the status of a step, as a MoveStatus gives it; "" for 0.
func (d *Definition) StatusName(step uint8) string { return d.status(step) }

func (d *Definition) status(step uint8) string {
	if step == 0 || int(step) > len(d.Status) {
		return ""
	}
	return d.Status[step-1].Status
}

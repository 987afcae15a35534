package inventory

import (
	"slices"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Draw is what an order may draw on besides what is free in the pools: the
// reservations it names come before free values, and a certain value that is wanted
// may be reserved for one of its parties. What is drawn is handed over, from the
// reservation to the service ordered; with its last value a reservation is used.
type Draw struct {
	Reservations []string // of TMF685, by id
	Parties      []string // ids
}

// Check refuses reservations that are not there or over.
func (d Draw) Check(tx *store.Tx) error {
	for _, id := range d.Reservations {
		r, err := Reservations.Lock(tx, id)
		switch {
		case fault.Is(err, fault.NotFound):
			return fault.BadInput("unknownReservation", "There is no reservation %q", id)
		case err != nil:
			return err
		case r.ReservationState != ReservationOpen:
			return fault.Clash("reservationOver", "Reservation %q is %s", id, r.ReservationState)
		}
	}
	return nil
}

// Reserve is the package's Reserve that draws on reservations as well.
func (d Draw) Reserve(tx *store.Tx, kind, pool, want, holder string, until time.Time) (string, error) {
	value, from, err := d.named(tx, kind, pool, want)
	switch {
	case err != nil:
		return "", err
	case from != "":
		return value, takeOver(tx, kind, value, from, holder, until)
	}
	value, err = Reserve(tx, kind, pool, want, holder, until)
	if want == "" || !fault.Is(err, fault.Conflict) {
		return value, err
	}
	if from = d.forParty(tx, kind, pool, want); from == "" {
		return value, err
	}
	return want, takeOver(tx, kind, want, from, holder, until)
}

// ReserveSIM is the package's ReserveSIM that draws on reservations as well.
func (d Draw) ReserveSIM(tx *store.Tx, pool, iccid, holder string, until time.Time) (SIM, error) {
	if len(d.Reservations) == 0 && iccid == "" {
		return ReserveSIM(tx, pool, "", holder, until)
	}
	iccid, err := d.Reserve(tx, SIMs, pool, iccid, holder, until)
	if err != nil {
		return SIM{}, err
	}
	return SIMOf(tx, iccid)
}

// Next asks a pool for the next free value.
type Next struct {
	Kind, Pool string
	Value      string // that was reserved
	IMSI       string // of a SIM, whose Value is the ICCID
}

// ReserveNext reserves the next free value of each pool for the holder: what Reserve and
// ReserveSIM do for one without a wish, in one round trip for them all.
func (d Draw) ReserveNext(tx *store.Tx, holder string, until time.Time, next []*Next) error {
	if len(d.Reservations) == 0 && len(next) > 0 {
		if err := checkHolder(tx, holder, until); err != nil {
			return err
		}
		for _, n := range next {
			n.later(tx, holder, until)
		}
		if err := tx.Flush(); err != nil {
			return err
		}
	}
	for _, n := range next {
		if err := n.orElse(tx, d, holder, until); err != nil {
			return err
		}
	}
	return nil
}

// later asks for a value behind those that were taken before, if nobody else is taking it.
func (n *Next) later(tx *store.Tx, holder string, until time.Time) {
	s := shelfOf(n.Kind)
	text, dest := s.takeNext(tx.Dialect().SkipLocked()), []any{&n.Value}
	if n.Kind == SIMs {
		text, dest = text+", imsi", append(dest, &n.IMSI)
	}
	tx.Later(func(rows store.Rows) error {
		if !rows.Next() {
			return nil
		}
		return rows.Scan(dest...)
	}, text, n.Kind, n.Pool, holder, store.Micros(until), behind(tx, n.Pool))
}

// orElse reserves a value by itself if none was found so.
func (n *Next) orElse(tx *store.Tx, d Draw, holder string, until time.Time) (err error) {
	switch {
	case n.Value != "":
		noteTaken(tx, n.Pool, n.Value)
	case n.Kind == SIMs:
		var sim SIM
		sim, err = d.ReserveSIM(tx, n.Pool, "", holder, until)
		n.Value, n.IMSI = sim.ICCID, sim.IMSI
	default:
		n.Value, err = d.Reserve(tx, n.Kind, n.Pool, "", holder, until)
	}
	return err
}

// named is the first fitting value that the named reservations hold, and which does.
func (d Draw) named(tx *store.Tx, kind, pool, want string) (value, reservation string, err error) {
	for _, id := range d.Reservations {
		held, err := HeldBy(tx, HolderOf(id))
		if err != nil {
			return "", "", err
		}
		i := slices.IndexFunc(held, func(n Number) bool { return n.Kind == kind && n.Pool == pool && (want == "" || n.Value == want) })
		if i >= 0 {
			return held[i].Value, id, nil
		}
	}
	return "", "", nil
}

// forParty is the open reservation that has a value of the pool for one of the
// parties, "" if none has.
func (d Draw) forParty(tx *store.Tx, kind, pool, value string) string {
	s := shelfOf(kind)
	var holder string
	if tx.Row("SELECT holder FROM "+s.table+" WHERE tenant = $1 AND "+s.match()+" AND pool = $4", kind, value, pool).Scan(&holder) != nil {
		return "" // the refusal stands
	}
	id, of := strings.CutPrefix(holder, HolderOf(""))
	if !of {
		return ""
	}
	r, err := Reservations.Lock(tx, id)
	if err != nil || r.ReservationState != ReservationOpen || r.RelatedParty == nil || !slices.Contains(d.Parties, r.RelatedParty.ID) {
		return ""
	}
	return id
}

// takeOver hands a value over, and closes the reservation that holds nothing more.
func takeOver(tx *store.Tx, kind, value, reservation, holder string, until time.Time) error {
	if err := HandOver(tx, kind, value, HolderOf(reservation), holder, until); err != nil {
		return err
	}
	left, err := HeldBy(tx, HolderOf(reservation))
	if err != nil || len(left) > 0 {
		return err
	}
	_, err = Reservations.Edit(tx, reservation, func(r *Reservation) error {
		r.ReservationState = ReservationUsed
		return nil
	})
	return err
}

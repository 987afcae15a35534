package inventory

import (
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// Forms of a SIM.
const (
	Removable = "removable"
	ESIM      = "esim"
)

// SIM is a card or profile. Sealed is its key material (K, OPc) as the caller
// sealed it; this room neither opens nor shows it.
type SIM struct {
	ICCID     string // 18 to 20 digits (ITU-T E.118)
	IMSI      string // 14 or 15 digits (ITU-T E.212)
	Form      string // removable or esim
	Algorithm string // milenage, tuak, comp128v1 ...
	Sealed    []byte

	Pool, State, Holder string
	Until               time.Time
}

// String leaves the key material out of every log.
func (s SIM) String() string { return "SIM " + s.ICCID }

func (s *SIM) check() error {
	switch {
	case !isDigits(s.ICCID) || len(s.ICCID) < 18 || len(s.ICCID) > 20:
		return fault.BadInput("badICCID", "ICCID %q does not have 18 to 20 digits", s.ICCID)
	case !isDigits(s.IMSI) || len(s.IMSI) < 14 || len(s.IMSI) > 15:
		return fault.BadInput("badIMSI", "IMSI %q does not have 14 or 15 digits", s.IMSI)
	case s.Form != Removable && s.Form != ESIM:
		return fault.BadInput("invalidValue", "The form of SIM %s is %q; it must be removable or esim", s.ICCID, s.Form)
	case s.Algorithm == "" || len(s.Sealed) == 0:
		return fault.BadInput("keysMissing", "SIM %s comes without algorithm or keys", s.ICCID)
	}
	return nil
}

// AddSIMs puts SIMs into a pool. An ICCID or IMSI that is in a pool already,
// whoever's, refuses them all.
func AddSIMs(tx *store.Tx, pool string, sims []SIM) error {
	p, err := poolOf(tx, pool)
	if err != nil {
		return err
	}
	if p.Kind != SIMs {
		return fault.BadInput("wrongKind", "Pool %s holds %s, not SIMs", pool, p.Kind)
	}
	startOver(tx)
	for _, s := range sims {
		if err := s.check(); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO inventory_sim (tenant, iccid, imsi, pool, state, holder, until, form, algorithm, sealed)
			VALUES ($1, $2, $3, $4, 'available', '', 0, $5, $6, $7)`, s.ICCID, s.IMSI, pool, s.Form, s.Algorithm, s.Sealed)
		if store.IsUnique(err, "inventory_sim") {
			return fault.Clash("simTaken", "ICCID %s or IMSI %s is in a pool already", s.ICCID, s.IMSI)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ReserveSIM keeps a SIM for the holder: the one with the ICCID, or with "" the
// next free one of the pool. Refusals as of Reserve.
func ReserveSIM(tx *store.Tx, pool, iccid, holder string, until time.Time) (SIM, error) {
	if iccid == "" {
		s, err := nextSIM(tx, pool, holder, until)
		if err != store.ErrNotFound {
			return s, err
		}
	}
	iccid, err := simShelf.reserve(tx, SIMs, pool, iccid, holder, until)
	if err != nil {
		return SIM{}, err
	}
	return SIMOf(tx, iccid)
}

// nextSIM reserves the next free SIM that nobody else is taking, and reads it, in
// one statement; store.ErrNotFound if there is none.
func nextSIM(tx *store.Tx, pool, holder string, until time.Time) (s SIM, err error) {
	if err := checkHolder(tx, holder, until); err != nil {
		return s, err
	}
	var at int64
	_, err = goOn(tx, pool, func(behind string) (string, error) {
		err := tx.Row(simShelf.takeNext(tx.Dialect().SkipLocked())+", imsi, form, algorithm, sealed, pool, state, holder, until", SIMs, pool, holder, store.Micros(until), behind).
			Scan(&s.ICCID, &s.IMSI, &s.Form, &s.Algorithm, &s.Sealed, &s.Pool, &s.State, &s.Holder, &at)
		return s.ICCID, err
	})
	s.Until = store.Instant(at)
	return s, err
}

// AssignSIM is Assign for a SIM.
func AssignSIM(tx *store.Tx, iccid, holder string) error {
	return simShelf.assign(tx, SIMs, iccid, holder)
}

// ReleaseSIM is Release for a SIM.
func ReleaseSIM(tx *store.Tx, iccid, holder string, quarantine time.Duration) error {
	return simShelf.release(tx, SIMs, iccid, holder, quarantine)
}

const simColumns = "SELECT iccid, imsi, form, algorithm, sealed, pool, state, holder, until FROM inventory_sim WHERE tenant = $1 AND "

// SIMOf reads a SIM of the tenant by ICCID.
func SIMOf(tx *store.Tx, iccid string) (SIM, error) { return readSIM(tx, "iccid = $2", iccid) }

// SIMByIMSI reads a SIM of the tenant by IMSI.
func SIMByIMSI(tx *store.Tx, imsi string) (SIM, error) { return readSIM(tx, "imsi = $2", imsi) }

func readSIM(tx *store.Tx, where, id string) (s SIM, err error) {
	var until int64
	err = tx.Row(simColumns+where, id).Scan(&s.ICCID, &s.IMSI, &s.Form, &s.Algorithm, &s.Sealed, &s.Pool, &s.State, &s.Holder, &until)
	if err == store.ErrNotFound {
		return s, fault.Missing("SIM", id)
	}
	s.Until = store.Instant(until)
	return s, err
}

package inventory

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/work"
)

// States of a reservation.
const (
	ReservationOpen      = "reserved"
	ReservationCancelled = "cancelled"
	ReservationExpired   = "expired"
	ReservationUsed      = "used" // every number went to a service
)

const (
	defaultReservation = 30 * time.Minute
	longestReservation = 90 * 24 * time.Hour
	maxReserved        = 1000 // values of one reservation
)

// Reservation keeps values of pools for a party for a while (TMF685). valid_for
// is an instant, or start/end; without it a reservation ends after 30 minutes.
type Reservation struct {
	tmf.Entity
	Description        string            `json:"description,omitzero"`
	RelatedParty       *tmf.Ref          `json:"relatedParty,omitzero" tmf:"required"`
	ReservationState   string            `json:"reservationState,omitzero"`
	ValidFor           string            `json:"valid_for,omitzero"`
	ReservationItem    []ReservationItem `json:"reservationItem,omitzero"`
	ChannelRef         *tmf.Ref          `json:"channelRef,omitzero"`
	RequestedPeriod    *Schedule         `json:"requestedPeriod,omitzero"`
	ProductOfferingRef *tmf.Ref          `json:"productOfferingRef,omitzero"`
}

// ReservationItem asks for a quantity from a pool, or for certain values of it.
type ReservationItem struct {
	Quantity              *int64         `json:"quantity,omitzero"` // default 1
	SubReservationState   string         `json:"subReservationState,omitzero"`
	ResourceCapacity      *Capacity      `json:"resourceCapacity,omitzero"`
	AppliedCapacityAmount *AppliedAmount `json:"appliedCapacityAmount,omitzero"`
	tmf.Extension
}

// Capacity names what is asked for; only pools are served.
type Capacity struct {
	CapacityDemandAmount string    `json:"capacityDemandAmount,omitzero"`
	ResourcePool         *tmf.Ref  `json:"resourcePool,omitzero"`
	ApplicableTimePeriod *Schedule `json:"applicableTimePeriod,omitzero"`
	Place                *tmf.Ref  `json:"place,omitzero"`
	tmf.Extension
}

// AppliedAmount lists the values that were reserved; in a request, those wanted.
// The file gives its @type as a number by mistake; it is text as everywhere.
type AppliedAmount struct {
	AppliedDemandAmount    string            `json:"appliedDemandAmount,omitzero"`
	ResourceCapacityDemand *Capacity         `json:"resourceCapacityDemand,omitzero"`
	Resource               []AppliedResource `json:"resource,omitzero"`
	tmf.Extension
}

// AppliedResource is one value.
type AppliedResource struct {
	ID    string `json:"id,omitzero"`
	Href  string `json:"href,omitzero"`
	Name  string `json:"name,omitzero"`
	State string `json:"state,omitzero"`
	Sort  string `json:"type,omitzero"`
	tmf.Extension
}

// Schedule is when something applies, in the words of TMF685.
type Schedule struct {
	DayOfWeek      string `json:"dayOfWeek,omitzero"`
	DaysOfWeek     string `json:"daysOfWeek,omitzero"`
	FromToDateTime string `json:"fromToDateTime,omitzero"`
	RangeInterval  string `json:"rangeInterval,omitzero"`
	ValidFor       string `json:"validFor,omitzero"`
	tmf.Extension
}

// Reservations of TMF685.
var Reservations = tmf.Kind[Reservation, *Reservation]{API: &PoolAPI, Name: "reservation", Table: "inventory_reservation", Verbs: tmf.Post | tmf.Patch,
	Index: []string{"reservationState", "relatedParty.id"}, StateAttr: "reservationState",
	Moves: tmf.Moves{"": {ReservationOpen}, ReservationOpen: {ReservationCancelled, ReservationExpired, ReservationUsed},
		ReservationCancelled: {}, ReservationExpired: {}, ReservationUsed: {}},
	Frozen: []string{"reservationItem", "valid_for", "relatedParty"}}

// HolderOf is the name under which a reservation holds its numbers, for HandOver.
func HolderOf(reservation string) string { return "reservation:" + reservation }

func initReservations() {
	Reservations.Default = func(tx *store.Tx, r *Reservation) error {
		if r.ReservationState == "" {
			r.ReservationState = ReservationOpen
		}
		if r.ValidFor == "" {
			r.ValidFor = tmf.FormatTime(tx.Now().Add(defaultReservation))
		}
		return nil
	}
	Reservations.Check = func(tx *store.Tx, old, r *Reservation) error {
		if old == nil {
			return r.take(tx)
		}
		if old.ReservationState == ReservationOpen && r.ReservationState != ReservationOpen {
			return r.giveBack(tx)
		}
		return nil
	}
	Reservations.Saved = func(tx *store.Tx, old, r *Reservation) error {
		switch {
		case old == nil:
			until, err := r.until(tx.Now())
			if err != nil {
				return err
			}
			return work.Enqueue(tx, ReservationJob, r.ID, nil, until)
		case r != nil && r.ReservationState != ReservationOpen && r.ReservationState != ReservationExpired:
			work.Cancel(tx, ReservationJob, r.ID)
		}
		return nil
	}
}

// until reads valid_for.
func (r *Reservation) until(now time.Time) (time.Time, error) {
	text := r.ValidFor
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		text = text[i+1:]
	}
	t, err := tmf.ParseTime(strings.TrimSpace(text))
	if err != nil {
		return t, fault.BadInput("invalidValue", "valid_for is %q; it must be an end like 2026-01-31T12:00:00Z, or start/end", r.ValidFor)
	}
	if t.After(now.Add(longestReservation)) {
		return t, fault.BadInput("tooLong", "A reservation lasts %d days at most", int(longestReservation.Hours()/24))
	}
	return t, nil
}

// take reserves what the items ask for; all or nothing.
func (r *Reservation) take(tx *store.Tx) error {
	until, err := r.until(tx.Now())
	if err != nil {
		return err
	}
	total := int64(0)
	for i := range r.ReservationItem {
		item := &r.ReservationItem[i]
		if total += item.wants(); item.wants() < 1 || total > maxReserved {
			return fault.BadInput("invalidValue", "%s.quantity: a reservation is for 1 to %d values", at("reservationItem", i), maxReserved)
		}
		if item.ResourceCapacity == nil || item.ResourceCapacity.ResourcePool == nil || item.ResourceCapacity.ResourcePool.ID == "" {
			return fault.BadInput("mandatoryAttributeMissing", "%s.resourceCapacity.resourcePool.id is required", at("reservationItem", i))
		}
		if err := item.take(tx, HolderOf(r.ID), until); err != nil {
			return err
		}
	}
	return nil
}

// wants is the quantity, or the count of values named if there are more.
func (i *ReservationItem) wants() int64 {
	n := int64(1)
	if i.Quantity != nil {
		n = *i.Quantity
	}
	if i.AppliedCapacityAmount != nil {
		n = max(n, int64(len(i.AppliedCapacityAmount.Resource)))
	}
	return n
}

func (i *ReservationItem) take(tx *store.Tx, holder string, until time.Time) error {
	pool, err := poolOf(tx, i.ResourceCapacity.ResourcePool.ID)
	if err != nil {
		return err
	}
	if i.AppliedCapacityAmount == nil {
		i.AppliedCapacityAmount = &AppliedAmount{}
	}
	applied := i.AppliedCapacityAmount
	wanted, count := applied.Resource, int(i.wants())
	applied.Resource = nil
	for n := range count {
		want := ""
		if n < len(wanted) {
			want = wanted[n].ID
		}
		value, err := Reserve(tx, pool.Kind, pool.ID, want, holder, until)
		if err != nil {
			return err
		}
		applied.Resource = append(applied.Resource, AppliedResource{ID: value, Name: value, Sort: pool.Kind, State: NumberReserved})
	}
	i.SubReservationState = ReservationOpen
	applied.AppliedDemandAmount = strconv.Itoa(len(applied.Resource))
	return nil
}

// giveBack frees what the reservation still holds; what was handed over stays.
func (r *Reservation) giveBack(tx *store.Tx) error {
	held, err := HeldBy(tx, HolderOf(r.ID))
	if err != nil {
		return err
	}
	for _, n := range held {
		if err := Release(tx, n.Kind, n.Value, n.Holder, 0); err != nil {
			return err
		}
	}
	for i := range r.ReservationItem {
		item := &r.ReservationItem[i]
		item.SubReservationState = r.ReservationState
		if item.AppliedCapacityAmount == nil {
			continue
		}
		applied := *item.AppliedCapacityAmount
		applied.Resource = slices.Clone(applied.Resource)
		for j := range applied.Resource {
			if err := applied.Resource[j].settle(tx); err != nil {
				return err
			}
		}
		item.AppliedCapacityAmount = &applied
	}
	return nil
}

// settle notes what became of a value: handed over, or free again.
func (r *AppliedResource) settle(tx *store.Tx) error {
	holder, err := shelfOf(r.Sort).holder(tx, r.Sort, r.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if r.State = NumberAvailable; holder != "" {
		r.State = NumberAssigned
	}
	return nil
}

// AvailabilityCheck asks whether a pool could serve a demand now (TMF685). The
// file leaves its content open: the demand is a resourceCapacity as in a
// reservation, the answer is availabilityState and availableQuantity.
type AvailabilityCheck struct {
	tmf.Entity
	Quantity          *int64    `json:"quantity,omitzero"` // default 1
	ResourceCapacity  *Capacity `json:"resourceCapacity,omitzero"`
	AvailabilityState string    `json:"availabilityState,omitzero"` // available, notAvailable or, without a pool, notChecked
	AvailableQuantity *int64    `json:"availableQuantity,omitzero"` // counted up to the quantity
	CheckedAt         time.Time `json:"checkedAt,omitzero"`
}

// Transfer is a push into or an extract out of a pool (TMF685). The file leaves
// its content open: a pool and a range or a list of values.
type Transfer struct {
	tmf.Entity
	ResourcePool *tmf.Ref          `json:"resourcePool,omitzero"`
	First        string            `json:"first,omitzero"`
	Last         string            `json:"last,omitzero"`
	Resource     []AppliedResource `json:"resource,omitzero"`
	Count        *int64            `json:"count,omitzero"` // values moved; the server's
}

// Task resources of TMF685.
var (
	AvailabilityChecks = tmf.Kind[AvailabilityCheck, *AvailabilityCheck]{API: &PoolAPI, Name: "availabilityCheck", Table: "inventory_availability_check", Verbs: tmf.Task}
	Pushes             = tmf.Kind[Transfer, *Transfer]{API: &PoolAPI, Name: "push", Class: "Push", Table: "inventory_push", Verbs: tmf.Task}
	Extracts           = tmf.Kind[Transfer, *Transfer]{API: &PoolAPI, Name: "extract", Class: "Extract", Table: "inventory_extract", Verbs: tmf.Task}
)

func initTasks() {
	AvailabilityChecks.Default = func(tx *store.Tx, c *AvailabilityCheck) error { return c.run(tx) }
	Pushes.Default = func(tx *store.Tx, t *Transfer) error {
		return t.run(func(pool string) (int, error) { return AddRange(tx, pool, t.First, t.Last) },
			func(pool string, values []string) error { return AddNumbers(tx, pool, values) })
	}
	Extracts.Default = func(tx *store.Tx, t *Transfer) error {
		return t.run(func(pool string) (int, error) { return RemoveRange(tx, pool, t.First, t.Last) },
			func(pool string, values []string) error {
				for _, v := range values {
					if n, err := RemoveRange(tx, pool, v, v); err != nil || n != 1 {
						return firstOf(err, numberShelf.notAvailable(v))
					}
				}
				return nil
			})
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *AvailabilityCheck) run(tx *store.Tx) error {
	c.CheckedAt, c.AvailabilityState = tx.Now(), "notChecked"
	if c.ResourceCapacity == nil || c.ResourceCapacity.ResourcePool == nil {
		return nil
	}
	want := int64(1)
	if c.Quantity != nil {
		want = *c.Quantity
	}
	if want < 1 || want > maxReserved {
		return fault.BadInput("invalidValue", "quantity is 1 to %d", maxReserved)
	}
	n, err := Available(tx, c.ResourceCapacity.ResourcePool.ID, int(want))
	if err != nil {
		return err
	}
	got := int64(n)
	if c.AvailableQuantity, c.AvailabilityState = &got, "notAvailable"; got == want {
		c.AvailabilityState = "available"
	}
	return nil
}

// run moves a range, or the values listed.
func (t *Transfer) run(ranged func(pool string) (int, error), listed func(pool string, values []string) error) error {
	moved := int64(0)
	defer func() { t.Count = &moved }()
	if t.ResourcePool == nil || t.First == "" && len(t.Resource) == 0 {
		return nil // the file demands nothing; nothing is moved
	}
	if t.First != "" {
		if t.Last == "" {
			t.Last = t.First
		}
		n, err := ranged(t.ResourcePool.ID)
		moved = int64(n)
		return err
	}
	if len(t.Resource) > maxReserved {
		return fault.BadInput("tooMany", "At most %d values at once; give a range instead", maxReserved)
	}
	values := make([]string, len(t.Resource))
	for i, r := range t.Resource {
		values[i] = r.ID
	}
	moved = int64(len(values))
	return listed(t.ResourcePool.ID, values)
}

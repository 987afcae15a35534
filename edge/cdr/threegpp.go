package cdr

import (
	"errors"

	"tandem/edge/credit"
)

// Records of TS 32.298, by the tags of Rel-14 (GPRSChargingDataTypes) and Rel-17
// (CHFChargingDataTypes); IMPLICIT TAGS.

func c(n Tag) Tag { return context | n }

// keepFirst keeps the subscriber's name by its type.
func (r *Record) subscriber(kind int64, id []byte) {
	switch credit.IDType(kind) {
	case credit.E164:
		r.MSISDN = r.keep(id)
	case credit.IMSI:
		r.IMSI = r.keep(id)
	default:
		r.Name = r.keep(id)
	}
}

var pgwRules = []rule[Record]{
	{tag: c(3), take: func(r *Record, b []byte) error { r.IMSI = r.swapped(b); return nil }},
	{tag: c(4), in: []rule[Record]{ // p-GWAddress
		{tag: c(0), take: func(r *Record, b []byte) error { r.Node = r.keep(b); return nil }},
		{tag: c(1), take: func(r *Record, b []byte) error { r.Node = r.keep(b); return nil }},
	}},
	{tag: c(5), take: func(r *Record, b []byte) error { // chargingID
		n, err := natural32(b)
		r.ChargingID = r.keep(decimal(uint64(n)))
		return err
	}},
	{tag: c(7), take: func(r *Record, b []byte) error { r.Access = r.keep(clean(b)); return nil }},
	{tag: c(12), in: []rule[Record]{{tag: sequence, begin: func(r *Record) { r.add() }, in: volumeRules}}},
	{tag: c(13), take: func(r *Record, b []byte) (err error) { r.Start, err = instant(b); return err }},
	{tag: c(14), take: func(r *Record, b []byte) (err error) { r.Seconds, err = natural(b); return err }},
	{tag: c(15), take: (*Record).cause},
	{tag: c(17), take: func(r *Record, b []byte) (err error) { r.Number, err = natural32(b); return err }},
	{tag: c(22), take: func(r *Record, b []byte) (err error) { r.MSISDN, err = r.address(b); return err }},
	{tag: c(27), take: func(r *Record, b []byte) (err error) { r.PLMN, err = plmn(b); return err }},
	{tag: c(29), take: func(r *Record, b []byte) error { r.Device = r.swapped(b); return nil }},
	{tag: c(30), take: (*Record).radio},
	{tag: c(34), in: []rule[Record]{{tag: sequence, begin: func(r *Record) { r.add().HasGroup = true }, in: serviceRules}}},
}

func (r *Record) cause(b []byte) error {
	n, err := integer(b)
	r.Cause = uint8(n)
	return err
}

func (r *Record) radio(b []byte) error {
	n, err := natural32(b)
	r.RAT = uint8(n)
	return err
}

// volumeRules read ChangeOfCharCondition.
var volumeRules = []rule[Record]{
	{tag: c(3), take: (*Record).up},
	{tag: c(4), take: (*Record).down},
	{tag: c(6), take: func(r *Record, b []byte) (err error) { r.last().Last, err = instant(b); return err }},
}

// serviceRules read ChangeOfServiceCondition.
var serviceRules = []rule[Record]{
	{tag: c(1), take: (*Record).group},
	{tag: c(5), take: func(r *Record, b []byte) (err error) { r.last().First, err = instant(b); return err }},
	{tag: c(6), take: func(r *Record, b []byte) (err error) { r.last().Last, err = instant(b); return err }},
	{tag: c(7), take: (*Record).seconds},
	{tag: c(12), take: (*Record).up},
	{tag: c(13), take: (*Record).down},
	{tag: c(17), take: (*Record).service},
	{tag: c(21), in: []rule[Record]{{tag: c(1), take: (*Record).events}}},
}

func (r *Record) group(b []byte) error {
	n, err := natural32(b)
	r.last().Group = n
	return err
}

func (r *Record) service(b []byte) error {
	n, err := natural32(b)
	r.last().Service = n
	return err
}

func (r *Record) amount(b []byte, has credit.Has, to func(*credit.Units) *uint64) error {
	n, err := natural(b)
	u := &r.last().Units
	u.Has |= has
	*to(u) = n
	return err
}

func (r *Record) up(b []byte) error {
	return r.amount(b, credit.HasInput, func(u *credit.Units) *uint64 { return &u.Input })
}

func (r *Record) down(b []byte) error {
	return r.amount(b, credit.HasOutput, func(u *credit.Units) *uint64 { return &u.Output })
}

func (r *Record) total(b []byte) error {
	return r.amount(b, credit.HasTotal, func(u *credit.Units) *uint64 { return &u.Total })
}

func (r *Record) seconds(b []byte) error {
	return r.amount(b, credit.HasSeconds, func(u *credit.Units) *uint64 { return &u.Seconds })
}

func (r *Record) events(b []byte) error {
	return r.amount(b, credit.HasEvents, func(u *credit.Units) *uint64 { return &u.Events })
}

// subscription is a SubscriptionID that is being read.
type subscription struct {
	kind int64
	id   []byte
}

var chfRules = []rule[Record]{
	{tag: c(1), take: func(r *Record, b []byte) error { r.Node = r.keep(clean(b)); return nil }},
	{tag: c(2), in: []rule[Record]{ // SubscriptionID
		{tag: c(0), take: func(r *Record, b []byte) (err error) { r.named.kind, err = integer(b); return err }},
		{tag: c(1), take: func(r *Record, b []byte) error { r.named.id = b; return nil }},
	}, end: func(r *Record) {
		r.subscriber(r.named.kind, clean(r.named.id))
		r.named = subscription{}
	}},
	{tag: c(5), in: []rule[Record]{{tag: sequence, in: []rule[Record]{ // MultipleUnitUsage
		{tag: c(0), take: func(r *Record, b []byte) error {
			u := r.add()
			u.HasGroup = true
			return r.group(b)
		}},
		{tag: c(1), in: []rule[Record]{{tag: sequence, begin: (*Record).container, in: containerRules}}},
	}}}},
	{tag: c(6), take: func(r *Record, b []byte) (err error) { r.Start, err = instant(b); return err }},
	{tag: c(7), take: func(r *Record, b []byte) (err error) { r.Seconds, err = natural(b); return err }},
	{tag: c(8), take: func(r *Record, b []byte) (err error) { r.Number, err = natural32(b); return err }},
	{tag: c(9), take: (*Record).cause},
	{tag: c(13), in: []rule[Record]{ // PDUSessionChargingInformation
		{tag: c(0), take: func(r *Record, b []byte) error {
			n, err := natural32(b)
			r.ChargingID = r.keep(decimal(uint64(n)))
			return err
		}},
		{tag: c(1), in: []rule[Record]{{tag: c(3), take: func(r *Record, b []byte) error { r.MSISDN = r.keep(clean(b)); return nil }}}},
		{tag: c(12), take: (*Record).radio},
		{tag: c(13), take: func(r *Record, b []byte) error { r.Access = r.keep(clean(b)); return nil }},
		{tag: c(27), take: func(r *Record, b []byte) (err error) { r.PLMN, err = plmn(b); return err }},
	}},
	{tag: c(16), take: func(r *Record, b []byte) error { r.Session = r.keep(clean(b)); return nil }},
}

// container begins a UsedUnitContainer of the group that was read last.
func (r *Record) container() {
	last := r.last()
	if last.Units.Has != 0 || last.First != 0 {
		group, has := last.Group, last.HasGroup
		u := r.add()
		u.Group, u.HasGroup = group, has
	}
}

// containerRules read UsedUnitContainer.
var containerRules = []rule[Record]{
	{tag: c(0), take: (*Record).service},
	{tag: c(1), take: (*Record).seconds},
	{tag: c(3), take: func(r *Record, b []byte) (err error) { r.last().First, err = instant(b); return err }},
	{tag: c(4), take: (*Record).total},
	{tag: c(5), take: (*Record).up},
	{tag: c(6), take: (*Record).down},
	{tag: c(7), take: (*Record).events},
}

const (
	pgwRecord = context | 79
	chfRecord = context | 200
	pgwType   = 85 // RecordType pGWRecord
	chfType   = 200
)

// decode3GPP reads one record; covered is false if it is of another sort.
func decode3GPP(b []byte, r *Record) (covered bool, err error) {
	e, rest, err := cut(b, 0)
	if err != nil {
		return false, err
	}
	if len(rest) > 0 && !padding(rest) {
		return false, errors.New("there is more in it than the record")
	}
	r.Service = credit.Data
	switch e.tag {
	case pgwRecord:
		r.Kind = PGW
		err = walk(e.value, pgwRules, r, 1)
		r.onlyGroups()
	case chfRecord:
		r.Kind = CHF
		err = walk(e.value, chfRules, r, 1)
		r.onlyUsed()
	default:
		return false, nil
	}
	if len(r.Session) == 0 {
		r.Session = r.ChargingID
	}
	if err == nil && len(r.Session) == 0 {
		err = errors.New("it has neither a charging id nor a session")
	}
	if err == nil && r.Start == 0 {
		err = errors.New("it has no opening time")
	}
	return true, err
}

func padding(b []byte) bool {
	for _, x := range b {
		if x != 0 && x != 0xff {
			return false
		}
	}
	return true
}

// onlyGroups leaves the use by rating group where there is some: the volumes of the
// bearer are the same octets once more (TS 32.251 5.2.3).
func (r *Record) onlyGroups() {
	grouped := 0
	for i := range r.Usage {
		if r.Usage[i].HasGroup {
			r.Usage[grouped] = r.Usage[i]
			grouped++
		}
	}
	if grouped > 0 {
		r.Usage = r.Usage[:grouped]
	}
}

// onlyUsed drops groups without a container.
func (r *Record) onlyUsed() {
	n := 0
	for i := range r.Usage {
		if r.Usage[i].Units.Has != 0 {
			r.Usage[n] = r.Usage[i]
			n++
		}
	}
	r.Usage = r.Usage[:n]
}

// PutPGW appends a PGWRecord.
func PutPGW(b []byte, r *Record) []byte {
	b, at := begin(b, pgwRecord)
	b = putInt(b, c(0), pgwType)
	if len(r.IMSI) > 0 {
		b = putSwapped(b, c(3), nil, r.IMSI)
	}
	b = putAddress(b, c(4), r.Node)
	if id, err := number(r.ChargingID); err == nil {
		b = putInt(b, c(5), id)
	}
	if len(r.Access) > 0 {
		b = put(b, c(7), r.Access)
	}
	b = putInstant(b, c(13), r.Start)
	b = putUint(b, c(14), r.Seconds)
	b = putInt(b, c(15), int64(r.Cause))
	b = putInt(b, c(17), int64(r.Number))
	if len(r.MSISDN) > 0 {
		b = putSwapped(b, c(22), []byte{0x91}, r.MSISDN) // international, E.164
	}
	if r.PLMN != 0 {
		b = putPLMN(b, c(27), r.PLMN)
	}
	if len(r.Device) > 0 {
		b = putSwapped(b, c(29), nil, r.Device)
	}
	if r.RAT != 0 {
		b = putInt(b, c(30), int64(r.RAT))
	}
	b, list := begin(b, c(34))
	for i := range r.Usage {
		b = putService(b, r, &r.Usage[i])
	}
	return end(end(b, list), at)
}

func putService(b []byte, r *Record, u *Usage) []byte {
	b, at := begin(b, sequence)
	b = putInt(b, c(1), int64(u.Group))
	first, last := times(r, u)
	b = putInstant(putInstant(b, c(5), first), c(6), last)
	if u.Units.Has&credit.HasSeconds != 0 {
		b = putUint(b, c(7), u.Units.Seconds)
	}
	b = put(b, c(8), []byte{7, 0, 0, 0, 0x80}) // ServiceConditionChange: bit 24, record closure
	if n, ok := u.Units.Octets(); ok {
		up, down := u.Units.Input, u.Units.Output
		if up+down != n {
			up, down = 0, n // only the sum is known
		}
		b = putUint(putUint(b, c(12), up), c(13), down)
	}
	b = putInstant(b, c(14), last)
	if u.Service != 0 {
		b = putInt(b, c(17), int64(u.Service))
	}
	if u.Units.Has&credit.HasEvents != 0 {
		var in int
		b, in = begin(b, c(21))
		b = end(putUint(b, c(1), u.Units.Events), in)
	}
	return end(b, at)
}

func times(r *Record, u *Usage) (first, last int64) {
	if first = u.First; first == 0 {
		first = r.Start
	}
	if last = u.Last; last == 0 {
		last = r.Start + int64(r.Seconds)*1e6
	}
	return first, last
}

// putAddress appends an IPAddress: 4 or 16 octets.
func putAddress(b []byte, t Tag, address []byte) []byte {
	b, at := begin(b, t)
	switch len(address) {
	case 4:
		b = put(b, c(0), address)
	case 16:
		b = put(b, c(1), address)
	default:
		b = put(b, c(0), []byte{0, 0, 0, 0})
	}
	return end(b, at)
}

// PutCHF appends a CHFRecord.
func PutCHF(b []byte, r *Record) []byte {
	b, at := begin(b, chfRecord)
	b = putInt(b, c(0), chfType)
	b = put(b, c(1), r.Node)
	switch {
	case len(r.IMSI) > 0:
		b = putSubscription(b, credit.IMSI, r.IMSI)
	case len(r.MSISDN) > 0:
		b = putSubscription(b, credit.E164, r.MSISDN)
	case len(r.Name) > 0:
		b = putSubscription(b, credit.Private, r.Name)
	}
	b, list := begin(b, c(5))
	for i := range r.Usage {
		b = putContainer(b, r, &r.Usage[i])
	}
	b = end(b, list)
	b = putInstant(b, c(6), r.Start)
	b = putUint(b, c(7), r.Seconds)
	b = putInt(b, c(8), int64(r.Number))
	b = putInt(b, c(9), int64(r.Cause))
	b = putSession(b, r)
	if len(r.Session) > 0 {
		b = put(b, c(16), r.Session)
	}
	return end(b, at)
}

func putSubscription(b []byte, kind credit.IDType, id []byte) []byte {
	b, at := begin(b, c(2))
	return end(put(putInt(b, c(0), int64(kind)), c(1), id), at)
}

// putSession appends the PDU session, if anything is known of one.
func putSession(b []byte, r *Record) []byte {
	if r.Service != credit.Data {
		return b
	}
	b, at := begin(b, c(13))
	if id, err := number(r.ChargingID); err == nil {
		b = putInt(b, c(0), id)
	}
	if len(r.MSISDN) > 0 {
		var in int
		b, in = begin(b, c(1))
		b = end(put(b, c(3), r.MSISDN), in)
	}
	if r.RAT != 0 {
		b = putInt(b, c(12), int64(r.RAT))
	}
	if len(r.Access) > 0 {
		b = put(b, c(13), r.Access)
	}
	if r.PLMN != 0 {
		b = putPLMN(b, c(27), r.PLMN)
	}
	return end(b, at)
}

func putContainer(b []byte, r *Record, u *Usage) []byte {
	b, at := begin(b, sequence)
	b = putInt(b, c(0), int64(u.Group))
	b, list := begin(b, c(1))
	b, one := begin(b, sequence)
	if u.Service != 0 {
		b = putInt(b, c(0), int64(u.Service))
	}
	if u.Units.Has&credit.HasSeconds != 0 {
		b = putUint(b, c(1), u.Units.Seconds)
	}
	first, _ := times(r, u)
	b = putInstant(b, c(3), first)
	if n, ok := u.Units.Octets(); ok {
		b = putUint(b, c(4), n)
	}
	if u.Units.Has&(credit.HasInput|credit.HasOutput) != 0 {
		b = putUint(putUint(b, c(5), u.Units.Input), c(6), u.Units.Output)
	}
	if u.Units.Has&credit.HasEvents != 0 {
		b = putUint(b, c(7), u.Units.Events)
	}
	return end(end(end(b, one), list), at)
}

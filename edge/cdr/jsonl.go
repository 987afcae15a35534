package cdr

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/edge/credit"
)

// Doc is a record as JSON, one to a line.
type Doc struct {
	Service    string    `json:"service"`
	Session    string    `json:"session"`
	Number     uint32    `json:"number,omitzero"`
	Start      time.Time `json:"start"`
	Duration   uint64    `json:"duration,omitzero"` // seconds
	Incoming   bool      `json:"incoming,omitzero"`
	Roaming    bool      `json:"roaming,omitzero"`
	IMSI       string    `json:"imsi,omitzero"`
	MSISDN     string    `json:"msisdn,omitzero"`
	Name       string    `json:"name,omitzero"`
	Calling    string    `json:"calling,omitzero"`
	Called     string    `json:"called,omitzero"`
	Access     string    `json:"access,omitzero"`
	Device     string    `json:"device,omitzero"`
	ChargingID string    `json:"chargingId,omitzero"`
	Node       string    `json:"node,omitzero"`
	Network    string    `json:"network,omitzero"`
	Item       string    `json:"item,omitzero"`
	PLMN       uint32    `json:"plmn,omitzero"`
	RAT        uint8     `json:"rat,omitzero"`
	Cause      uint8     `json:"cause,omitzero"`
	Charge     *int64    `json:"charge,omitzero"` // 10^-9 of the major unit
	Usage      []DocUse  `json:"usage"`
}

// DocUse is one use of a Doc.
type DocUse struct {
	Group     *uint32   `json:"group,omitzero"`
	ServiceID uint32    `json:"serviceId,omitzero"`
	Seconds   *uint64   `json:"seconds,omitzero"`
	Octets    *uint64   `json:"octets,omitzero"`
	OctetsIn  *uint64   `json:"octetsIn,omitzero"`
	OctetsOut *uint64   `json:"octetsOut,omitzero"`
	Events    *uint64   `json:"events,omitzero"`
	First     time.Time `json:"first,omitzero"`
	Last      time.Time `json:"last,omitzero"`
	Charge    int64     `json:"charge,omitzero"`
}

const maxUses = 10_000 // of a record

// Doc is the record as JSON.
func (r *Record) Doc() (d Doc) {
	d = Doc{Session: string(r.Session), Number: r.Number, Start: time.UnixMicro(r.Start).UTC(), Duration: r.Seconds, Incoming: r.Incoming,
		Roaming: r.Roaming, IMSI: string(r.IMSI), MSISDN: string(r.MSISDN), Name: string(r.Name), Calling: string(r.Calling), Called: string(r.Called),
		Access: string(r.Access), Device: string(r.Device), ChargingID: string(r.ChargingID), Node: string(clean(r.Node)), Network: string(r.Network),
		Item: string(r.Item), PLMN: r.PLMN, RAT: r.RAT, Cause: r.Cause, Usage: make([]DocUse, 0, len(r.Usage))}
	if int(r.Service) < len(serviceNames) {
		d.Service = serviceNames[r.Service]
	}
	if r.HasCharge {
		d.Charge = &r.Charge
	}
	for i := range r.Usage {
		d.Usage = append(d.Usage, r.Usage[i].doc())
	}
	return d
}

func (u *Usage) doc() (d DocUse) {
	d = DocUse{ServiceID: u.Service, Charge: u.Charge}
	if u.HasGroup {
		d.Group = &u.Group
	}
	for _, x := range [...]struct {
		has  credit.Has
		from *uint64
		to   **uint64
	}{{credit.HasSeconds, &u.Units.Seconds, &d.Seconds}, {credit.HasTotal, &u.Units.Total, &d.Octets}, {credit.HasInput, &u.Units.Input, &d.OctetsIn},
		{credit.HasOutput, &u.Units.Output, &d.OctetsOut}, {credit.HasEvents, &u.Units.Events, &d.Events}} {
		if u.Units.Has&x.has != 0 {
			n := *x.from
			*x.to = &n
		}
	}
	if u.First != 0 {
		d.First = time.UnixMicro(u.First).UTC()
	}
	if u.Last != 0 {
		d.Last = time.UnixMicro(u.Last).UTC()
	}
	return d
}

// Fill fills a record from JSON.
func (d *Doc) Fill(r *Record) error {
	i := slices.Index(serviceNames, d.Service)
	if i <= 0 {
		return fmt.Errorf("there is no service %q", cutText(d.Service))
	}
	if len(d.Usage) > maxUses {
		return fmt.Errorf("it has more than %d uses", maxUses)
	}
	if d.Start.IsZero() || d.Start.Year() < 1970 || d.Start.Year() > 2200 {
		return errTime
	}
	r.Kind, r.Service, r.Number, r.Start, r.Seconds = Line, credit.Service(i), d.Number, d.Start.UnixMicro(), d.Duration
	r.Incoming, r.Roaming, r.PLMN, r.RAT, r.Cause = d.Incoming, d.Roaming, d.PLMN, d.RAT, d.Cause
	for i, v := range [...]string{d.Session, d.IMSI, d.MSISDN, d.Name, d.Calling, d.Called, d.Access, d.Device, d.ChargingID, d.Node, d.Network, d.Item} {
		if !plain(v) {
			return errText
		}
		*r.texts()[i] = r.keep([]byte(v))
	}
	if d.Charge != nil {
		r.Charge, r.HasCharge = *d.Charge, true
	}
	for i := range d.Usage {
		d.Usage[i].fill(r.add())
	}
	return r.complete()
}

func (d *DocUse) fill(u *Usage) {
	u.Service, u.Charge = d.ServiceID, d.Charge
	if d.Group != nil {
		u.HasGroup, u.Group = true, *d.Group
	}
	for _, x := range [...]struct {
		has  credit.Has
		from *uint64
		to   *uint64
	}{{credit.HasSeconds, d.Seconds, &u.Units.Seconds}, {credit.HasTotal, d.Octets, &u.Units.Total}, {credit.HasInput, d.OctetsIn, &u.Units.Input},
		{credit.HasOutput, d.OctetsOut, &u.Units.Output}, {credit.HasEvents, d.Events, &u.Units.Events}} {
		if x.from != nil {
			u.Units.Has |= x.has
			*x.to = *x.from
		}
	}
	if !d.First.IsZero() {
		u.First = d.First.UnixMicro()
	}
	if !d.Last.IsZero() {
		u.Last = d.Last.UnixMicro()
	}
}

// jsonReader reads lines of JSON.
type jsonReader struct {
	s    *bufio.Scanner
	head Head
}

// NewJSON reads a file with a record as JSON on each line.
func NewJSON(r io.Reader) Reader {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 1<<16), maxLine)
	return &jsonReader{s: s, head: Head{Sequence: -1}}
}

func (f *jsonReader) Head() Head { return f.head }

// Next reads the next line; empty lines are passed over.
func (f *jsonReader) Next(r *Record) error {
	for f.s.Scan() {
		line := f.s.Bytes()
		if len(trim(line)) == 0 {
			continue
		}
		f.head.Records++
		r.Reset()
		r.Position = f.head.Records
		var d Doc
		if err := json.Unmarshal(line, &d, json.RejectUnknownMembers(true)); err != nil {
			return at(r.Position, err)
		}
		return at(r.Position, d.Fill(r))
	}
	if err := f.s.Err(); err != nil {
		return at(f.head.Records+1, err)
	}
	return io.EOF
}

// PutJSON appends a record as a line of JSON.
func PutJSON(b []byte, r *Record) ([]byte, error) {
	line, err := json.Marshal(r.Doc())
	if err != nil {
		return b, err
	}
	return append(append(b, line...), '\n'), nil
}

// Formats of files, by name.
const (
	Format3GPP   = "3gpp"
	FormatTAP    = "tap3"
	FormatNRTRDE = "nrtrde"
	FormatCSV    = "csv"
	FormatJSON   = "json"
)

// Open reads a file of a format by its name.
func Open(r io.Reader, format string, m Mapping) (Reader, error) {
	switch format {
	case Format3GPP:
		return New3GPP(r)
	case FormatTAP:
		return NewTAP(r), nil
	case FormatNRTRDE:
		return NewNRTRDE(r), nil
	case FormatCSV:
		return NewCSV(r, m)
	case FormatJSON:
		return NewJSON(r), nil
	}
	return nil, errors.New("there is no format of files " + format)
}

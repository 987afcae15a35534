package cdr

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"tandem/edge/credit"
)

// Mapping says how a CSV file is read and written.
type Mapping struct {
	Delimiter string   `json:"delimiter,omitzero"` // one character; none: a comma
	Header    bool     `json:"header,omitzero"`    // the first line names the columns
	Comment   string   `json:"comment,omitzero"`   // lines that begin with it are passed over
	Service   string   `json:"service,omitzero"`   // of all records, unless a column says
	Columns   []Column `json:"columns"`
	Filter    []Filter `json:"filter,omitzero"` // all must hold, others are counted as skipped
}

// Column is one column and the field it fills.
type Column struct {
	Name    string            `json:"name,omitzero"`    // in the header line
	Index   int               `json:"index,omitzero"`   // from 1; none: found by name, or the next one
	Field   string            `json:"field,omitzero"`   // see fields; none: not read
	Format  string            `json:"format,omitzero"`  // of times: YYYYMMDDhhmmss and the like, unix, unixMilli, unixMicro; of durations: seconds, millis, hh:mm:ss
	Zone    string            `json:"zone,omitzero"`    // IANA name for times without an offset; none: UTC
	Unit    string            `json:"unit,omitzero"`    // of octets: B, KiB, MiB, kB, MB
	Decimal string            `json:"decimal,omitzero"` // of money: the decimal mark; none: a point
	Values  map[string]string `json:"values,omitzero"`  // what the file says -> what it means
	Needed  bool              `json:"needed,omitzero"`  // a line without it is an error
}

// Filter keeps the lines that have one of the values in a column.
type Filter struct {
	Column string   `json:"column"`
	In     []string `json:"in,omitzero"`
	Not    []string `json:"not,omitzero"`
}

const (
	maxColumns = 1000
	maxLine    = 1 << 20
)

// ParseMapping reads a mapping and says what is wrong with it.
func ParseMapping(doc []byte) (m Mapping, err error) {
	if err := json.Unmarshal(doc, &m, json.RejectUnknownMembers(true)); err != nil {
		return m, err
	}
	_, err = m.compile()
	return m, err
}

// mapped is a mapping ready to use.
type mapped struct {
	Mapping
	comma   rune
	service credit.Service
	columns []column
}

type column struct {
	Column
	at     int // index in a line; -1: by name
	field  *field
	layout string
	zone   *time.Location
	scale  uint64
}

// field is something of a record that a column can fill.
type field struct {
	kind byte // t text, d digits, n number, o octets, s seconds, m money, i instant, v service, b truth
	text func(*Record) *[]byte
	set  func(*Record, uint64)
	get  func(*Record) uint64
}

func text(f func(*Record) *[]byte) *field { return &field{kind: 't', text: f} }

func units(kind byte, has credit.Has, f func(*credit.Units) *uint64) *field {
	return &field{kind: kind,
		set: func(r *Record, n uint64) { u := &r.last().Units; u.Has |= has; *f(u) = n },
		get: func(r *Record) uint64 {
			if len(r.Usage) == 0 {
				return 0
			}
			return *f(&r.Usage[0].Units)
		}}
}

func first(r *Record, f func(*Usage) uint64) uint64 {
	if len(r.Usage) == 0 {
		return 0
	}
	return f(&r.Usage[0])
}

// fields are what columns can fill, by name.
var fields = map[string]*field{
	"session":    text(func(r *Record) *[]byte { return &r.Session }),
	"imsi":       text(func(r *Record) *[]byte { return &r.IMSI }),
	"msisdn":     {kind: 'd', text: func(r *Record) *[]byte { return &r.MSISDN }},
	"name":       text(func(r *Record) *[]byte { return &r.Name }),
	"calling":    {kind: 'd', text: func(r *Record) *[]byte { return &r.Calling }},
	"called":     {kind: 'd', text: func(r *Record) *[]byte { return &r.Called }},
	"access":     text(func(r *Record) *[]byte { return &r.Access }),
	"device":     text(func(r *Record) *[]byte { return &r.Device }),
	"chargingId": text(func(r *Record) *[]byte { return &r.ChargingID }),
	"node":       text(func(r *Record) *[]byte { return &r.Node }),
	"network":    text(func(r *Record) *[]byte { return &r.Network }),
	"item":       text(func(r *Record) *[]byte { return &r.Item }),
	"service":    {kind: 'v', set: func(r *Record, n uint64) { r.Service = credit.Service(n) }, get: func(r *Record) uint64 { return uint64(r.Service) }},
	"incoming":   {kind: 'b', set: func(r *Record, n uint64) { r.Incoming = n != 0 }, get: func(r *Record) uint64 { return uint64(bit(r.Incoming)) }},
	"roaming":    {kind: 'b', set: func(r *Record, n uint64) { r.Roaming = n != 0 }, get: func(r *Record) uint64 { return uint64(bit(r.Roaming)) }},
	"number":     {kind: 'n', set: func(r *Record, n uint64) { r.Number = uint32(n) }, get: func(r *Record) uint64 { return uint64(r.Number) }},
	"plmn":       {kind: 'n', set: func(r *Record, n uint64) { r.PLMN = uint32(n) }, get: func(r *Record) uint64 { return uint64(r.PLMN) }},
	"rat":        {kind: 'n', set: func(r *Record, n uint64) { r.RAT = uint8(n) }, get: func(r *Record) uint64 { return uint64(r.RAT) }},
	"cause":      {kind: 'n', set: func(r *Record, n uint64) { r.Cause = uint8(n) }, get: func(r *Record) uint64 { return uint64(r.Cause) }},
	"group": {kind: 'n', set: func(r *Record, n uint64) { u := r.last(); u.HasGroup, u.Group = true, uint32(n) },
		get: func(r *Record) uint64 { return first(r, func(u *Usage) uint64 { return uint64(u.Group) }) }},
	"serviceId": {kind: 'n', set: func(r *Record, n uint64) { r.last().Service = uint32(n) },
		get: func(r *Record) uint64 { return first(r, func(u *Usage) uint64 { return uint64(u.Service) }) }},
	"start": {kind: 'i', set: func(r *Record, n uint64) { r.Start = int64(n) }, get: func(r *Record) uint64 { return uint64(r.Start) }},
	"first": {kind: 'i', set: func(r *Record, n uint64) { r.last().First = int64(n) },
		get: func(r *Record) uint64 { return first(r, func(u *Usage) uint64 { return uint64(u.First) }) }},
	"end": {kind: 'i', set: func(r *Record, n uint64) { r.last().Last = int64(n) },
		get: func(r *Record) uint64 { return first(r, func(u *Usage) uint64 { return uint64(u.Last) }) }},
	"duration":  {kind: 's', set: func(r *Record, n uint64) { r.Seconds = n }, get: func(r *Record) uint64 { return r.Seconds }},
	"seconds":   units('s', credit.HasSeconds, func(u *credit.Units) *uint64 { return &u.Seconds }),
	"octets":    units('o', credit.HasTotal, func(u *credit.Units) *uint64 { return &u.Total }),
	"octetsIn":  units('o', credit.HasInput, func(u *credit.Units) *uint64 { return &u.Input }),
	"octetsOut": units('o', credit.HasOutput, func(u *credit.Units) *uint64 { return &u.Output }),
	"events":    units('n', credit.HasEvents, func(u *credit.Units) *uint64 { return &u.Events }),
	"charge": {kind: 'm', set: func(r *Record, n uint64) { r.Charge, r.HasCharge = int64(n), true },
		get: func(r *Record) uint64 { return uint64(r.Charge) }},
}

var narrow = map[string]uint64{"number": math.MaxUint32, "plmn": math.MaxUint32, "group": math.MaxUint32, "serviceId": math.MaxUint32, "rat": 255, "cause": 255}

var serviceNames = []string{"", "data", "voice", "sms", "mms", "broadband", "content"}

var scales = map[string]uint64{"": 1, "B": 1, "kB": 1000, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

func (m Mapping) compile() (*mapped, error) {
	x := &mapped{Mapping: m, comma: ','}
	if m.Delimiter != "" {
		d := []rune(m.Delimiter)
		if len(d) != 1 || d[0] == '"' || d[0] == '\n' || d[0] == '\r' {
			return nil, fmt.Errorf("the delimiter %q is not one character", m.Delimiter)
		}
		x.comma = d[0]
	}
	if i := slices.Index(serviceNames, m.Service); i >= 0 {
		x.service = credit.Service(i)
	} else {
		return nil, fmt.Errorf("there is no service %q", m.Service)
	}
	if len(m.Columns) == 0 || len(m.Columns) > maxColumns {
		return nil, fmt.Errorf("a mapping has 1 to %d columns, not %d", maxColumns, len(m.Columns))
	}
	for i, c := range m.Columns {
		one, err := c.compile(i, m.Header)
		if err != nil {
			return nil, fmt.Errorf("column %d (%s): %w", i+1, c.Name, err)
		}
		x.columns = append(x.columns, one)
	}
	for _, f := range m.Filter {
		if !slices.ContainsFunc(m.Columns, func(c Column) bool { return c.Name == f.Column }) {
			return nil, fmt.Errorf("the filter is of column %q, which there is not", f.Column)
		}
	}
	return x, nil
}

func (c Column) compile(i int, header bool) (x column, err error) {
	x = column{Column: c, at: i, zone: time.UTC}
	switch {
	case c.Index < 0 || c.Index > maxColumns:
		return x, errors.New("the index is out of range")
	case c.Index > 0:
		x.at = c.Index - 1
	case header && c.Name != "":
		x.at = -1
	}
	if c.Field == "" {
		return x, nil
	}
	if x.field = fields[c.Field]; x.field == nil {
		return x, fmt.Errorf("there is no field %q", c.Field)
	}
	if c.Zone != "" {
		if x.zone, err = time.LoadLocation(c.Zone); err != nil {
			return x, err
		}
	}
	var known bool
	if x.scale, known = scales[c.Unit]; !known {
		return x, fmt.Errorf("there is no unit %q", c.Unit)
	}
	return x, x.formats()
}

// formats checks the format against what the field is.
func (c *column) formats() error {
	switch c.field.kind {
	case 'i':
		switch c.Format {
		case "unix", "unixMilli", "unixMicro":
			return nil
		case "", "rfc3339":
			c.layout = time.RFC3339Nano
			return nil
		}
		if c.layout = layout(c.Format); c.layout == c.Format {
			return fmt.Errorf("%q is no format of a time", c.Format)
		}
	case 's':
		if !slices.Contains([]string{"", "seconds", "millis", "hh:mm:ss"}, c.Format) {
			return fmt.Errorf("%q is no format of a duration", c.Format)
		}
	default:
		if c.Format != "" {
			return fmt.Errorf("the field %s has no format", c.Field)
		}
	}
	return nil
}

// layout turns YYYY-MM-DD hh:mm:ss and the like into what package time knows.
func layout(format string) string {
	return strings.NewReplacer("YYYY", "2006", "YY", "06", "MM", "01", "DD", "02", "hh", "15", "mm", "04", "ss", "05", "fff", "000", "zzzzz", "-0700", "zz", "Z07:00").Replace(format)
}

// csvReader reads a CSV file.
type csvReader struct {
	r      *csv.Reader
	m      *mapped
	head   Head
	line   int64
	filter []int // column of each filter
}

// NewCSV reads a CSV file by a mapping.
func NewCSV(r io.Reader, m Mapping) (Reader, error) {
	x, err := m.compile()
	if err != nil {
		return nil, err
	}
	f := &csvReader{r: csv.NewReader(&lines{r: r}), m: x, head: Head{Sequence: -1}}
	f.r.Comma, f.r.ReuseRecord, f.r.FieldsPerRecord = x.comma, true, -1
	if x.Comment != "" {
		f.r.Comment = []rune(x.Comment)[0]
	}
	if x.Header {
		if err := f.readHeader(); err != nil {
			return nil, fmt.Errorf("header line: %w", err)
		}
	}
	for _, w := range x.Filter {
		for i := range x.columns {
			if x.columns[i].Name == w.Column {
				f.filter = append(f.filter, x.columns[i].at)
				break
			}
		}
	}
	return f, nil
}

// lines refuses lines that never end.
type lines struct {
	r io.Reader
	n int
}

func (l *lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for _, c := range p[:n] {
		if l.n++; c == '\n' {
			l.n = 0
		}
		if l.n > maxLine {
			return 0, fmt.Errorf("a line has more than %d octets", maxLine)
		}
	}
	return n, err
}

func (f *csvReader) readHeader() error {
	names, err := f.r.Read()
	if err != nil {
		return short(err)
	}
	f.line++
	for i := range f.m.columns {
		c := &f.m.columns[i]
		if c.at >= 0 {
			continue
		}
		c.at = slices.IndexFunc(names, func(n string) bool { return strings.TrimSpace(strings.TrimPrefix(n, "\ufeff")) == c.Name })
		if c.at < 0 {
			return fmt.Errorf("there is no column %q", c.Name)
		}
	}
	return nil
}

func (f *csvReader) Head() Head { return f.head }

// Next reads the next line that the filter lets through.
func (f *csvReader) Next(r *Record) error {
	for {
		line, err := f.r.Read()
		if err == io.EOF {
			return io.EOF
		}
		if err != nil {
			return err
		}
		if !f.lets(line) {
			f.head.Skipped++
			continue
		}
		r.Reset()
		f.head.Records++
		r.Position = f.head.Records + f.head.Skipped
		r.Kind, r.Service = Line, f.m.service
		for i := range f.m.columns {
			if err := f.m.columns[i].read(line, r); err != nil {
				return at(r.Position, fmt.Errorf("column %d (%s): %w", i+1, f.m.columns[i].Name, err))
			}
		}
		return at(r.Position, r.complete())
	}
}

func (f *csvReader) lets(line []string) bool {
	for i, at := range f.filter {
		w := &f.m.Filter[i]
		v := ""
		if at < len(line) {
			v = strings.TrimSpace(line[at])
		}
		if len(w.In) > 0 && !slices.Contains(w.In, v) || slices.Contains(w.Not, v) {
			return false
		}
	}
	return true
}

// complete says what a record of a line lacks to be charged.
func (r *Record) complete() error {
	if len(r.Session) == 0 {
		if r.Session = r.ChargingID; len(r.Session) == 0 {
			return errors.New("it has no session: nothing tells it from others")
		}
	}
	if r.Start == 0 {
		return errors.New("it has no start")
	}
	return nil
}

// read fills the column's field from a line.
func (c *column) read(line []string, r *Record) error {
	if c.field == nil {
		return nil
	}
	v := ""
	if c.at < len(line) {
		v = strings.TrimSpace(line[c.at])
	}
	if c.Values != nil {
		if to, ok := c.Values[v]; ok {
			v = to
		}
	}
	if v == "" {
		if c.Needed {
			return errors.New("it is empty")
		}
		return nil
	}
	if c.field.text != nil {
		if c.field.kind == 'd' {
			v = strings.TrimPrefix(v, "+")
		}
		if !plain(v) {
			return errText
		}
		at := len(r.text)
		r.text = append(r.text, v...)
		*c.field.text(r) = r.text[at:len(r.text):len(r.text)]
		return nil
	}
	n, err := c.value(v)
	if err != nil {
		return fmt.Errorf("%q: %w", cutText(v), err)
	}
	c.field.set(r, n)
	return nil
}

var errText = errors.New("it is not text")

// plain says that a value may be kept: UTF-8 without control characters.
func plain(v string) bool {
	for i := range len(v) {
		if v[i] < ' ' || v[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(v)
}

func cutText(v string) string { return v[:min(len(v), 40)] }

// value reads a number of the column's sort.
func (c *column) value(v string) (uint64, error) {
	switch c.field.kind {
	case 'i':
		return c.instant(v)
	case 's':
		return c.seconds(v)
	case 'm':
		n, err := money(v, c.Decimal)
		return uint64(n), err
	case 'v':
		if i := slices.Index(serviceNames, v); i > 0 {
			return uint64(i), nil
		}
		return 0, errors.New("there is no such service")
	case 'b':
		switch v {
		case "1", "true", "yes":
			return 1, nil
		case "0", "false", "no":
			return 0, nil
		}
		return 0, errors.New("it is neither true nor false")
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if most, limited := narrow[c.Field]; limited && n > most {
		return 0, errors.New("the number is too large")
	}
	if err != nil || n > math.MaxUint64/c.scale {
		return 0, errors.New("it is no whole number, or too large")
	}
	return n * c.scale, nil
}

func (c *column) instant(v string) (uint64, error) {
	if c.layout != "" {
		t, err := time.ParseInLocation(c.layout, v, c.zone)
		if err != nil || t.Year() < 1970 || t.Year() > 2200 {
			return 0, errTime
		}
		return uint64(t.UnixMicro()), nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	scale := map[string]int64{"unix": 1e6, "unixMilli": 1e3, "unixMicro": 1}[c.Format]
	if err != nil || n < 0 || n > 7258118400e6/scale {
		return 0, errTime
	}
	return uint64(n * scale), nil
}

// seconds reads a duration; parts of a second count as a whole one.
func (c *column) seconds(v string) (uint64, error) {
	if c.Format != "hh:mm:ss" {
		n, err := strconv.ParseUint(v, 10, 63)
		if c.Format == "millis" {
			n = n/1000 + uint64(bit(n%1000 > 0))
		}
		return n, err
	}
	p := strings.Split(v, ":")
	if len(p) != 3 {
		return 0, errors.New("it is not hh:mm:ss")
	}
	n := uint64(0)
	for i, x := range p {
		k, err := strconv.ParseUint(x, 10, 32)
		if err != nil || i > 0 && k > 59 {
			return 0, errors.New("it is not hh:mm:ss")
		}
		n = n*60 + k
	}
	return n, nil
}

// money reads an amount at 10^-9 of the major unit, exactly.
func money(v, mark string) (int64, error) {
	if mark == "" {
		mark = "."
	}
	whole, part, _ := strings.Cut(v, mark)
	part = strings.TrimRight(part, "0")
	if len(part) > 9 || whole == "" {
		return 0, errors.New("it is no amount with up to 9 decimal places")
	}
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil || n >= math.MaxInt64/1_000_000_000 {
		return 0, errors.New("it is no amount, or too large")
	}
	n *= 1e9
	unit := uint64(1e9)
	for _, c := range []byte(part) {
		if c < '0' || c > '9' {
			return 0, errors.New("it is no amount")
		}
		unit /= 10
		n += uint64(c-'0') * unit
	}
	return int64(n), nil
}

// CSV makes a file by a mapping: one line for each use of a record.
type CSV struct {
	m    *mapped
	b    strings.Builder
	w    *csv.Writer
	line []string
	one  Record
}

// NewCSVWriter makes an empty file, with its header line if there is one.
func NewCSVWriter(m Mapping) (*CSV, error) {
	x, err := m.compile()
	if err != nil {
		return nil, err
	}
	f := &CSV{m: x, line: make([]string, len(x.columns))}
	f.w = csv.NewWriter(&f.b)
	f.w.Comma = x.comma
	if x.Header {
		for i := range x.columns {
			f.line[i] = x.columns[i].Name
		}
		err = f.w.Write(f.line)
	}
	return f, err
}

// Add appends the lines of a record.
func (f *CSV) Add(r *Record) error {
	f.one.Copy(r)
	for i := range max(1, len(r.Usage)) {
		if len(r.Usage) > 0 {
			f.one.Usage = append(f.one.Usage[:0], r.Usage[i])
		}
		for j := range f.m.columns {
			f.line[j] = f.m.columns[j].write(&f.one)
		}
		if err := f.w.Write(f.line); err != nil {
			return err
		}
	}
	return nil
}

// Len is how large the file is so far, nearly.
func (f *CSV) Len() int { return f.b.Len() }

// Close is the file.
func (f *CSV) Close() ([]byte, error) {
	f.w.Flush()
	return []byte(f.b.String()), f.w.Error()
}

func (c *column) write(r *Record) string {
	if c.field == nil {
		return ""
	}
	v := c.show(r)
	for from, to := range c.Values { // the other way round
		if to == v {
			return from
		}
	}
	return v
}

func (c *column) show(r *Record) string {
	if c.field.text != nil {
		return string(*c.field.text(r))
	}
	n := c.field.get(r)
	switch c.field.kind {
	case 'i':
		return c.showInstant(int64(n))
	case 's':
		switch c.Format {
		case "hh:mm:ss":
			return fmt.Sprintf("%02d:%02d:%02d", n/3600, n/60%60, n%60)
		case "millis":
			n *= 1000
		}
	case 'o':
		n = n/c.scale + uint64(bit(n%c.scale > 0)) // started units are whole ones
	case 'm':
		mark := c.Decimal
		if mark == "" {
			mark = "."
		}
		sign := ""
		if int64(n) < 0 {
			sign, n = "-", -n
		}
		return fmt.Sprintf("%s%d%s%09d", sign, n/1e9, mark, n%1e9)
	case 'v':
		return serviceNames[min(n, uint64(len(serviceNames)-1))]
	}
	return strconv.FormatUint(n, 10)
}

func (c *column) showInstant(n int64) string {
	switch {
	case n == 0:
		return ""
	case c.layout != "":
		return time.UnixMicro(n).In(c.zone).Format(c.layout)
	}
	return strconv.FormatInt(n/map[string]int64{"unix": 1e6, "unixMilli": 1e3, "unixMicro": 1}[c.Format], 10)
}

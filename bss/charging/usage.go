package charging

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/edge/credit"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// UsageAPI is TMF635 Usage Management.
var UsageAPI = tmf.API{ID: "TMF635", Name: "Usage Management", Version: "4.0.0", Base: "/tmf-api/usageManagement/v4"}

// Usage is a record of what was used, and what it cost: of a session, a part of one,
// or an event, and one rating group in it (TMF635).
type Usage struct {
	tmf.Entity
	Description         string               `json:"description,omitzero"`
	Status              string               `json:"status,omitzero" tmf:"enum=received|rejected|recycled|guided|rated|rerated|billed"`
	UsageDate           time.Time            `json:"usageDate,omitzero"`
	UsageType           string               `json:"usageType,omitzero"` // data, voice, sms, mms, broadband, content
	UsageSpecification  *tmf.Ref             `json:"usageSpecification,omitzero"`
	UsageCharacteristic []tmf.Characteristic `json:"usageCharacteristic,omitzero"`
	RatedProductUsage   []RatedUsage         `json:"ratedProductUsage,omitzero"`
	RelatedParty        []tmf.RelatedParty   `json:"relatedParty,omitzero"`
	ExternalID          string               `json:"externalId,omitzero"` // of whoever reports it; the session's name

	row usageSeen
}

// RatedUsage is what a usage cost.
type RatedUsage struct {
	ProductRef                   *tmf.Ref       `json:"productRef,omitzero"`
	RatingDate                   time.Time      `json:"ratingDate,omitzero"`
	RatingAmountType             string         `json:"ratingAmountType,omitzero"`
	UsageRatingTag               string         `json:"usageRatingTag,omitzero"`
	OfferTariffType              string         `json:"offerTariffType,omitzero"`
	TaxExcludedRatingAmount      *tmf.Money     `json:"taxExcludedRatingAmount,omitzero"`
	TaxIncludedRatingAmount      *tmf.Money     `json:"taxIncludedRatingAmount,omitzero"`
	TaxRate                      jsontext.Value `json:"taxRate,omitzero"`
	IsBilled                     *bool          `json:"isBilled,omitzero"`
	IsTaxExempt                  *bool          `json:"isTaxExempt,omitzero"`
	BucketValueConvertedInAmount *tmf.Money     `json:"bucketValueConvertedInAmount,omitzero"`
	tmf.Extension
}

type usageSeen struct {
	number, account, service, part, group, tariff, rate     int64
	seconds, octets, in, out, events, money, network        int64
	first, last, at                                         int64
	place, file                                             int64 // of the record in its row; number of its file
	open                                                    bool  // a record of a file: its row was read (openUsages)
	session, cause, called, product, id, customer, currency string
}

// Usages are the tenant's usage records. They come from the journal; a client may
// report an event by a POST, which charges it. Each record of a file is one, though
// many lie in a row (mediatebook.go); filters look at the row: they find records of
// files by the instant of the last one in it, and not by externalId.
var Usages = tmf.Kind[Usage, *Usage]{
	API: &UsageAPI, Name: "usage", Table: "charging_usage", Verbs: tmf.Post,
	Rows: &tmf.Rows[*Usage]{
		From: `(SELECT u.*, coalesce(l.product, '') AS product, coalesce(a.id, '') AS account_id, coalesce(a.customer, '') AS customer, coalesce(a.currency, '') AS currency
			, n.n AS place FROM charging_usage u JOIN charging_place n ON n.n < u.records LEFT JOIN charging_account a ON a.tenant = u.tenant AND a.number = u.account
			LEFT JOIN charging_line l ON l.tenant = u.tenant AND l.account = u.account AND l.subscriber = u.subscriber) AS usages`,
		Columns: `number, account, service, part, rating_group, tariff, rate, seconds, octets, octets_in, octets_out, events, money, network,
			first_at, last_at, at, place, file, session, cause, called, product, account_id, customer, currency`,
		Order: []string{"number", "place"},
		Paths: map[string]string{"usageDate": "last_at", "ratedProductUsage.productRef.id": "product", "relatedParty.id": "customer", "externalId": "session"},
		Find:  findUsage,
		Scan:  scanUsage,
	},
}

// findUsage finds a record by the number of its row, and, if it came by file, by its
// place in the row behind a point.
func findUsage(id string, first int) (string, []any) {
	row, place, ofFile := strings.Cut(id, ".")
	n, err := strconv.ParseInt(row, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != row {
		return "", nil
	}
	where := "number = $" + strconv.Itoa(first)
	if !ofFile {
		return where + " AND file = 0", []any{n}
	}
	at, err := strconv.ParseInt(place, 10, 64)
	if err != nil || strconv.FormatInt(at, 10) != place {
		return "", nil
	}
	return where + " AND file > 0 AND place = $" + strconv.Itoa(first+1), []any{n, at}
}

var services = [...]string{"other", "data", "voice", "sms", "mms", "broadband", "content"}

// scanUsage reads a row. What a record of a file says is filled in by openUsages.
func scanUsage(r store.Rows) (*Usage, error) {
	u := &Usage{}
	s := &u.row
	err := r.Scan(&s.number, &s.account, &s.service, &s.part, &s.group, &s.tariff, &s.rate, &s.seconds, &s.octets, &s.in, &s.out, &s.events, &s.money,
		&s.network, &s.first, &s.last, &s.at, &s.place, &s.file, &s.session, &s.cause, &s.called, &s.product, &s.id, &s.customer, &s.currency)
	u.ID = strconv.FormatInt(s.number, 10)
	if s.file > 0 {
		u.ID += "." + strconv.FormatInt(s.place, 10)
		return u, err
	}
	u.show(0)
	return u, err
}

// show makes a record of what its row says. position: of one of a file, in it.
func (u *Usage) show(position int64) {
	s := &u.row
	u.Status, u.UsageDate, u.UsageType, u.ExternalID = "rated", store.Instant(s.last), "other", s.session
	if int(s.service) < len(services) {
		u.UsageType = services[s.service]
	}
	u.UsageSpecification = &tmf.Ref{ID: u.UsageType, ReferredType: "UsageSpecification"}
	for _, c := range []struct {
		name  string
		value int64
	}{{"seconds", s.seconds}, {"octets", s.octets}, {"octetsUp", s.in}, {"octetsDown", s.out}, {"events", s.events}, {"ratingGroup", s.group}, {"part", s.part}, {"file", s.file}, {"position", position}} {
		if c.value != 0 {
			u.UsageCharacteristic = append(u.UsageCharacteristic, tmf.Characteristic{Name: c.name, ValueType: "number", Value: jsontext.Value(strconv.FormatInt(c.value, 10))})
		}
	}
	for _, c := range [][2]string{{"called", s.called}, {"network", networkCode(s.network)}, {"cause", s.cause}, {"startDate", tmf.FormatTime(store.Instant(s.first))}} {
		if c[1] != "" {
			u.UsageCharacteristic = append(u.UsageCharacteristic, tmf.Text(c[0], c[1]))
		}
	}
	if s.customer != "" {
		u.RelatedParty = []tmf.RelatedParty{{ID: s.customer, Role: "customer", ReferredType: "Customer"}}
	}
}

// networkCode writes MCC * 1000 + MNC.
func networkCode(n int64) string {
	if n == 0 {
		return ""
	}
	if n%1000 > 99 {
		return strconv.FormatInt(n/1000*1000+n%1000, 10)
	}
	return strconv.FormatInt(n/1000*100+n%100, 10)
}

// completeUsage adds what the tariffs say of it.
func completeUsage(tx *store.Tx, page []*Usage) error {
	r, err := roomOf(tx)
	if err == nil {
		err = openUsages(tx, page)
	}
	if err != nil {
		return err
	}
	for _, u := range page {
		rated := RatedUsage{RatingDate: store.Instant(u.row.at)}
		if u.row.product != "" {
			rated.ProductRef = &tmf.Ref{ID: u.row.product, ReferredType: "Product"}
		}
		if c, err := money.ParseCurrency(u.row.currency); err == nil {
			net, tax := u.row.money, int64(0)
			if t := r.book.Tariff(uint32(u.row.tariff)); t != nil {
				net, tax = t.Tax(u.row.money)
				if rate := t.Rate(uint32(u.row.rate)); rate != nil {
					rated.UsageRatingTag = t.ClassName(rate.Class)
				}
			}
			rated.TaxExcludedRatingAmount = &tmf.Money{Nano: net, Currency: c}
			rated.TaxIncludedRatingAmount = &tmf.Money{Nano: net + tax, Currency: c}
		}
		u.RatedProductUsage = []RatedUsage{rated}
	}
	return nil
}

const (
	usageOfLine = ` WHERE tenant = $1 AND account = $2 AND subscriber = $3 AND at >= $4 AND last_at >= $5 AND (last_at < $6 OR file > 0 AND first_at < $6)
		AND (at < $7 OR at = $7 AND (number < $8 OR number = $8 AND place < $9)) ORDER BY at DESC, number DESC, place DESC LIMIT $10`
	aheadAtMost = 24 * time.Hour // a client's clock
)

// UsageOfLine are the usage records of a product in a period, those charged last
// first: at most limit of them, behind a cursor. next is the cursor of the next page,
// "" at the end; a page before the end may have fewer.
func UsageOfLine(tx *store.Tx, product string, from, to time.Time, cursor string, limit int) (page []*Usage, next string, err error) {
	l, err := lineOf(tx, product)
	if err == store.ErrNotFound {
		err = fault.Missing("line", product)
	}
	if err != nil || l.Subscriber == 0 {
		return nil, "", err
	}
	at := [3]int64{math.MaxInt64, math.MaxInt64, math.MaxInt64}
	if cursor != "" {
		if at, err = readCursor(cursor); err != nil {
			return nil, "", err
		}
	}
	rows, err := tx.Query("SELECT "+Usages.Rows.Columns+" FROM "+Usages.Rows.From+usageOfLine, l.Account, l.Subscriber, store.Micros(from.Add(-aheadAtMost)),
		store.Micros(from), store.Micros(to), at[0], at[1], at[2], limit+1)
	found, err := store.Collect(rows, err, scanUsage)
	if err != nil {
		return nil, "", err
	}
	if len(found) > limit {
		found = found[:limit]
		last := &found[limit-1].row
		next = fmt.Sprintf("%d.%d.%d", last.at, last.number, last.place)
	}
	if err := openUsages(tx, found); err != nil {
		return nil, "", err
	}
	for _, u := range found { // a row of a file has records of a whole day
		if !u.UsageDate.Before(from) && u.UsageDate.Before(to) {
			page = append(page, u)
		}
	}
	return page, next, completeUsage(tx, page)
}

// readCursor reads what the page before ended with: instant, number and place.
func readCursor(cursor string) (at [3]int64, err error) {
	parts := strings.Split(cursor, ".")
	for i := range at {
		if len(parts) == len(at) && err == nil {
			at[i], err = strconv.ParseInt(parts[i], 10, 64)
		}
	}
	if err != nil || len(parts) != len(at) {
		return at, fault.BadInput("badCursor", "The cursor is not one that a page has given")
	}
	return at, nil
}

// UsageSpecification says what a sort of usage records holds (TMF635).
type UsageSpecification struct {
	tmf.Entity
	Name                   string             `json:"name,omitzero" tmf:"required"`
	Description            string             `json:"description,omitzero"`
	Version                string             `json:"version,omitzero"`
	LifecycleStatus        string             `json:"lifecycleStatus,omitzero"`
	LastUpdate             time.Time          `json:"lastUpdate,omitzero"`
	IsBundle               *bool              `json:"isBundle,omitzero"`
	ValidFor               *tmf.TimePeriod    `json:"validFor,omitzero"`
	RelatedParty           []tmf.RelatedParty `json:"relatedParty,omitzero"`
	Attachment             []tmf.Attachment   `json:"attachment,omitzero"`
	Constraint             []tmf.Ref          `json:"constraint,omitzero"`
	EntitySpecRelationship jsontext.Value     `json:"entitySpecRelationship,omitzero"`
	SpecCharacteristic     jsontext.Value     `json:"specCharacteristic,omitzero"`
	TargetEntitySchema     jsontext.Value     `json:"targetEntitySchema,omitzero"`
}

// UsageSpecifications are the tenant's.
var UsageSpecifications = tmf.Kind[UsageSpecification, *UsageSpecification]{
	API: &UsageAPI, Name: "usageSpecification", Table: "charging_usage_specification", Verbs: tmf.All, Index: []string{"name", "lifecycleStatus"},
}

// event is a usage that a client reports, as the engine takes it.
type event struct {
	call    credit.Call
	account int64
	name    string
}

const reportTime = 10 * time.Second // until a charged event can be read

// postUsage charges an event that has happened, once by the client's own name of it,
// and shows the record of it when it can be read.
func postUsage(ctx context.Context, db *store.DB, scope store.Scope, u *Usage) error {
	r := roomOn(db)
	if r == nil {
		return fault.Away(nil, "Charging does not run on this node")
	}
	if u.ExternalID == "" {
		u.ExternalID = u.ID
	}
	if u.ExternalID == "" {
		u.ExternalID = tmf.NewID()
	}
	var e *event
	err := db.Read(ctx, scope, func(tx *store.Tx) (err error) {
		e, err = u.event(tx)
		return err
	})
	if err != nil {
		return err
	}
	credit.Do(r.Engine, &e.call)
	if err := refusal(&e.call.Answer); err != nil {
		return err
	}
	return r.shown(ctx, db, scope, e, u)
}

// shown waits until the record of an event is written.
func (r *Room) shown(ctx context.Context, db *store.DB, scope store.Scope, e *event, u *Usage) error {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var number int64
		err := db.Read(ctx, scope, func(tx *store.Tx) error {
			err := tx.Row("SELECT number FROM charging_usage WHERE tenant = $1 AND account = $2 AND session = $3 ORDER BY at DESC LIMIT 1", e.account, e.name).Scan(&number)
			if err != nil {
				return err
			}
			found, err := Usages.Get(tx, strconv.FormatInt(number, 10))
			if err == nil {
				*u = *found
			}
			return err
		})
		if err != store.ErrNotFound {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.Away(ctx.Err(), "The usage is charged, but cannot be shown yet; ask for it by its externalId")
		}
	}
}

func refusal(a *credit.Answer) error {
	result := a.Result
	for i := range a.Units {
		if result == credit.Success {
			result = a.Units[i].Result
		}
	}
	switch result {
	case credit.Success:
		return nil
	case credit.Clash:
		return fault.Clash("alreadyReported", "Usage with this externalId was reported before, with other content")
	case credit.RatingFailed:
		return fault.BadInput("noRate", "The product has no price for such usage")
	case credit.UnknownUser, credit.Denied:
		return fault.Clash("notCharged", "The product takes no usage at present: %s", result)
	case credit.Busy, credit.Failed:
		return fault.Away(nil, "Charging cannot take the usage at present")
	}
	return fault.BadInput("notCharged", "The usage cannot be charged: %s", result)
}

// event makes a request of what a client reports. The subscriber is looked up among
// the tenant's own lines.
func (u *Usage) event(tx *store.Tx) (*event, error) {
	l, err := u.line(tx)
	if err != nil {
		return nil, err
	}
	e := &event{account: l.Account, name: text(u.ExternalID)}
	r := &e.call.Request
	*r = credit.Request{Face: credit.File, Kind: credit.Event, Action: credit.Post, Numbered: true, At: u.UsageDate.UnixMicro(),
		Peer: []byte("usage/" + tx.Tenant()), Session: []byte(e.name)}
	switch {
	case u.UsageDate.IsZero():
		r.At = store.Micros(tx.Now())
	case u.UsageDate.After(tx.Now().Add(time.Hour)):
		return nil, fault.BadInput("invalidDate", "usageDate lies in the future")
	}
	for i, name := range services {
		if i > 0 && name == u.UsageType {
			r.Service = credit.Service(i)
		}
	}
	if r.Service == credit.UnknownService {
		return nil, fault.BadInput("badUsageType", "usageType is one of %s", strings.Join(services[1:], ", "))
	}
	for _, s := range []struct {
		kind credit.IDType
		id   string
	}{{credit.E164, l.e164}, {credit.IMSI, l.imsi}, {credit.Private, l.name}} {
		if s.id != "" && len(r.Subscribers) == 0 {
			r.Subscribers = append(r.Subscribers, credit.Subscriber{Type: s.kind, ID: []byte(s.id)})
		}
	}
	if err := u.fill(r); err != nil {
		return nil, err
	}
	doc, err := json.Marshal([]any{u.UsageType, u.UsageDate, u.UsageCharacteristic, l.product}, json.Deterministic(true))
	r.Digest = xxhash.Sum64(doc)
	return e, err
}

type reported struct {
	line
	product, e164, imsi, name string
}

const readLine = "SELECT product, account, subscriber, offering, e164, imsi, name FROM charging_line WHERE tenant = $1 AND "

// line is the one a usage names, by product or by number.
func (u *Usage) line(tx *store.Tx) (l reported, err error) {
	where, arg := "product = $2", ""
	if len(u.RatedProductUsage) > 0 && u.RatedProductUsage[0].ProductRef != nil {
		arg = u.RatedProductUsage[0].ProductRef.ID
	} else if number, ok := tmf.Value(u.UsageCharacteristic, "msisdn"); ok {
		where, arg = "e164 = $2", strings.TrimPrefix(number, "+")
	}
	if arg == "" {
		return l, fault.BadInput("mandatoryAttributeMissing", "ratedProductUsage.productRef is required, or the usageCharacteristic msisdn")
	}
	err = tx.Row(readLine+where+" AND subscriber > 0 LIMIT 1", arg).Scan(&l.product, &l.Account, &l.Subscriber, &l.Offering, &l.e164, &l.imsi, &l.name)
	if err == store.ErrNotFound {
		err = fault.BadInput("unknownProduct", "Nothing is charged for %q", arg)
	}
	return l, err
}

// fill reads what was used out of the characteristics.
func (u *Usage) fill(r *credit.Request) error {
	used := credit.Used{}
	unit := r.AddUnit()
	for _, c := range u.UsageCharacteristic {
		value, _ := tmf.Value([]tmf.Characteristic{c}, c.Name)
		switch c.Name {
		case "msisdn", "cause", "startDate", "part":
			continue
		case "called":
			r.Called = []byte(strings.TrimPrefix(value, "+"))
			continue
		case "network":
			n, err := plmn(value)
			if err != nil {
				return err
			}
			r.PLMN = n
			continue
		}
		n, ok := whole(value)
		if !ok {
			return fault.BadInput("badCharacteristic", "usageCharacteristic %.40s is not a whole number", c.Name)
		}
		switch c.Name {
		case "seconds":
			used.Seconds, used.Has = n, used.Has|credit.HasSeconds
		case "octets":
			used.Total, used.Has = n, used.Has|credit.HasTotal
		case "octetsUp":
			used.Input, used.Has = n, used.Has|credit.HasInput
		case "octetsDown":
			used.Output, used.Has = n, used.Has|credit.HasOutput
		case "events":
			used.Events, used.Has = n, used.Has|credit.HasEvents
		case "ratingGroup":
			if n > 1<<32-1 {
				return fault.BadInput("badCharacteristic", "ratingGroup has 32 bits")
			}
			unit.HasGroup, unit.Group = true, uint32(n)
		default:
			return fault.BadInput("badCharacteristic", "usageCharacteristic %.40q is not one of msisdn, called, network, seconds, octets, octetsUp, octetsDown, events, ratingGroup", c.Name)
		}
	}
	if used.Has == 0 {
		return fault.BadInput("mandatoryAttributeMissing", "usageCharacteristic says what was used: seconds, octets or events")
	}
	unit.Used = append(unit.Used, used)
	return nil
}

const mostUsed = 1 << 53 // more cannot have been used by one event

func whole(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n <= mostUsed
}

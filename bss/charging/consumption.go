package charging

import (
	"time"

	"tandem/bss/charging/core"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// ConsumptionAPI is TMF677 Usage Consumption.
var ConsumptionAPI = tmf.API{ID: "TMF677", Name: "Usage Consumption", Version: "4.0.0", Base: "/tmf-api/usageConsumption/v4"}

// ConsumptionQuery asks what is used and left of a product, a number, an account or
// all that a customer has; the answer is true at the instant it was asked (TMF677).
type ConsumptionQuery struct {
	tmf.Entity
	QueryUsageConsumptionDate time.Time          `json:"queryUsageConsumptionDate,omitzero"`
	PartyAccount              []tmf.Ref          `json:"partyAccount,omitzero"`
	RelatedParty              []tmf.RelatedParty `json:"relatedParty,omitzero"`
	SearchCriteria            *Consumption       `json:"searchCriteria,omitzero"`
	UsageConsumption          []Consumption      `json:"usageConsumption,omitzero"`
}

// Consumption is what is used and left of one product.
type Consumption struct {
	ID               string              `json:"id,omitzero"`
	Href             string              `json:"href,omitzero"`
	Name             string              `json:"name,omitzero"`
	Description      string              `json:"description,omitzero"`
	State            string              `json:"state,omitzero" tmf:"enum=accepted|terminatedWithError|inProgress|done"`
	CreationDate     time.Time           `json:"creationDate,omitzero"`
	LastUpdate       time.Time           `json:"lastUpdate,omitzero"`
	ValidPeriod      *tmf.TimePeriod     `json:"validPeriod,omitzero"`
	Product          []tmf.Ref           `json:"product,omitzero"`
	LogicalResource  []tmf.Ref           `json:"logicalResource,omitzero"`
	Service          []tmf.Ref           `json:"service,omitzero"`
	PartyAccount     []tmf.Ref           `json:"partyAccount,omitzero"`
	RelatedParty     []tmf.RelatedParty  `json:"relatedParty,omitzero"`
	BucketRefOrValue []ConsumptionBucket `json:"bucketRefOrValue,omitzero"`
	tmf.Extension
}

// ConsumptionBucket is a bucket with what was used of it in its period.
type ConsumptionBucket struct {
	ID                 string               `json:"id,omitzero"`
	Href               string               `json:"href,omitzero"`
	Name               string               `json:"name,omitzero"`
	Status             string               `json:"status,omitzero"`
	UsageType          string               `json:"usageType,omitzero"`
	IsShared           *bool                `json:"isShared,omitzero"`
	RemainingValue     *tmf.Quantity        `json:"remainingValue,omitzero"`
	RemainingValueName string               `json:"remainingValueName,omitzero"`
	ReservedValue      *tmf.Quantity        `json:"reservedValue,omitzero"`
	ValidFor           *tmf.TimePeriod      `json:"validFor,omitzero"`
	Product            []tmf.Ref            `json:"product,omitzero"`
	BucketCounter      []ConsumptionCounter `json:"bucketCounter,omitzero"`
	tmf.Extension
}

// ConsumptionCounter is an amount that was used in a period.
type ConsumptionCounter struct {
	CounterType       string          `json:"counterType,omitzero"` // used, limit
	Level             string          `json:"level,omitzero"`       // product, account
	ValueName         string          `json:"valueName,omitzero"`
	Value             *tmf.Quantity   `json:"value,omitzero"`
	ConsumptionPeriod *tmf.TimePeriod `json:"consumptionPeriod,omitzero"`
	tmf.Extension
}

// Queries are what was asked, with the answers.
var Queries = tmf.Kind[ConsumptionQuery, *ConsumptionQuery]{
	API: &ConsumptionAPI, Name: "queryUsageConsumption", Table: "charging_query", Verbs: tmf.Post | tmf.Delete,
	Index: []string{"queryUsageConsumptionDate"}, Multi: []string{"relatedParty.id"},
}

const maxQueried = 100 // lines in one answer

func postQuery(tx *store.Tx, q *ConsumptionQuery) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	lines, err := q.lines(tx)
	if err != nil {
		return err
	}
	q.QueryUsageConsumptionDate, q.UsageConsumption = tx.Now(), nil
	for _, l := range lines {
		c, err := r.consumption(tx, l)
		if err != nil {
			return err
		}
		q.UsageConsumption = append(q.UsageConsumption, c)
	}
	return Queries.Create(tx, q)
}

// lines are those a query is about.
func (q *ConsumptionQuery) lines(tx *store.Tx) ([]reported, error) {
	s := q.SearchCriteria
	if s == nil {
		s = &Consumption{}
	}
	where, arg := "", ""
	switch {
	case len(s.Product) > 0:
		where, arg = "product = $2", s.Product[0].ID
	case len(s.LogicalResource) > 0:
		where, arg = "e164 = $2", s.LogicalResource[0].ID
	case len(s.PartyAccount)+len(q.PartyAccount) > 0:
		where, arg = "account IN (SELECT number FROM charging_account WHERE tenant = $1 AND billing_account = $2)", append(s.PartyAccount, q.PartyAccount...)[0].ID
	case len(s.RelatedParty)+len(q.RelatedParty) > 0:
		where, arg = "account IN (SELECT number FROM charging_account WHERE tenant = $1 AND customer = $2)", append(s.RelatedParty, q.RelatedParty...)[0].ID
	default:
		return nil, fault.BadInput("mandatoryAttributeMissing", "searchCriteria is required: a product, logicalResource, partyAccount or relatedParty")
	}
	rows, err := tx.Query(readLine+where+" ORDER BY product LIMIT $3", arg, maxQueried+1)
	found, err := store.Collect(rows, err, func(r store.Rows) (l reported, err error) {
		err = r.Scan(&l.product, &l.Account, &l.Subscriber, &l.Offering, &l.e164, &l.imsi, &l.name)
		return l, err
	})
	if err == nil && len(found) > maxQueried {
		err = fault.BadInput("tooBroad", "More than %d products match; ask for some of them", maxQueried)
	}
	return found, err
}

// consumption is what a line has used and has left: its own buckets and those of the
// whole account, and how far its limits are reached.
func (r *Room) consumption(tx *store.Tx, l reported) (c Consumption, err error) {
	acc, err := oneAccount(tx, "number = $2", l.Account)
	if err != nil {
		return c, err
	}
	c = Consumption{ID: l.product, State: "done", CreationDate: tx.Now(), LastUpdate: tx.Now(), Product: []tmf.Ref{{ID: l.product, ReferredType: "Product"}}}
	if l.e164 != "" {
		c.LogicalResource = []tmf.Ref{{ID: l.e164, ReferredType: "MSISDN"}}
	}
	if acc.Customer != "" {
		c.RelatedParty = []tmf.RelatedParty{{ID: acc.Customer, Role: "customer", ReferredType: "Customer"}}
	}
	all, err := r.bucketsOf(tx, acc)
	if err != nil {
		return c, err
	}
	for _, b := range all {
		if b.row.owner != 0 && b.row.owner != l.Subscriber {
			continue
		}
		x := ConsumptionBucket{ID: b.ID, Href: BalanceAPI.Base + "/bucket/" + b.ID, Name: b.Name, Status: b.Status, UsageType: b.UsageType, IsShared: b.IsShared,
			RemainingValue: b.RemainingValue, ReservedValue: b.ReservedValue, ValidFor: b.ValidFor, Product: b.Product}
		used, err := usedOf(tx, b)
		if err != nil {
			return c, err
		}
		x.BucketCounter = []ConsumptionCounter{{CounterType: "used", Level: "product", ConsumptionPeriod: b.ValidFor, Value: quantity(used, b.row.unit, acc.Currency)}}
		if b.row.owner == 0 {
			x.BucketCounter[0].Level = "account"
		}
		c.BucketRefOrValue = append(c.BucketRefOrValue, x)
	}
	limits, err := r.limitsOf(tx, acc, l)
	c.BucketRefOrValue = append(c.BucketRefOrValue, limits...)
	return c, err
}

// usedOf is what was taken from a bucket for usage since its period began.
func usedOf(tx *store.Tx, b *Bucket) (used int64, err error) {
	from := b.row.made
	if b.ValidFor != nil {
		from = store.Micros(b.ValidFor.StartDateTime)
	}
	err = tx.Row("SELECT coalesce(-sum(amount), 0) FROM charging_entry WHERE tenant = $1 AND account = $2 AND bucket = $3 AND against = 'usage' AND at >= $4",
		b.row.account, b.row.bucket, from).Scan(&used)
	return used, err
}

// limitsOf are the limits on what a line uses, with how far they are reached.
func (r *Room) limitsOf(tx *store.Tx, acc account, l reported) (out []ConsumptionBucket, err error) {
	var counters []core.Counter
	if r.Engine.Look(refOf(acc.Number), func(a *core.Account) { counters = append(counters, a.Counters...) }) != nil {
		return nil, nil // another node decides for the account: its limits are asked there
	}
	for _, n := range counters {
		d, err := r.definition(tx, int64(n.Def))
		if err != nil {
			return nil, err
		}
		if d == nil || n.Limit == 0 || d.Tariff || n.Owner != 0 && int64(n.Owner) != l.Subscriber {
			continue
		}
		unit := d.Unit.String()
		x := ConsumptionBucket{Name: d.Name, Status: "active", UsageType: usageTypes[unit], RemainingValue: quantity(max(0, n.Limit-n.Value), unit, acc.Currency),
			ReservedValue: quantity(n.Held, unit, acc.Currency)}
		counter := ConsumptionCounter{CounterType: "limit", Level: "account", ValueName: d.Name, Value: quantity(n.Value, unit, acc.Currency)}
		if n.Ends != 0 {
			counter.ConsumptionPeriod = &tmf.TimePeriod{EndDateTime: time.Unix(n.Ends, 0).UTC()}
		}
		x.BucketCounter = []ConsumptionCounter{counter}
		out = append(out, x)
	}
	return out, nil
}

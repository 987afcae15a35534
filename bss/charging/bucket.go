package charging

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"tandem/bss/charging/core"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// BalanceAPI is TMF654 Prepay Balance Management.
var BalanceAPI = tmf.API{ID: "TMF654", Name: "Prepay Balance Management", Version: "4.0.0", Base: "/tmf-api/prepayBalanceManagement/v4"}

// OwnAPI is Tandem's own API of what stands behind balances.
var OwnAPI = tmf.API{ID: "CHARGING", Name: "Charging", Version: "1.0.0", Base: "/tandem-api/charging/v1"}

// rooms are those that run in this process, by the store they work on: what serves
// a resource has a transaction, and asks its room for what is in memory.
var rooms sync.Map

func roomOn(db *store.DB) *Room {
	if r, ok := rooms.Load(db); ok {
		return r.(*Room)
	}
	return nil
}

// roomOf is the room of a transaction, for who cannot do without.
func roomOf(tx *store.Tx) (*Room, error) {
	if r := roomOn(tx.DB()); r != nil {
		return r, nil
	}
	return nil, fault.Away(nil, "Charging does not run on this node")
}

// definition is what a bucket or counter is, as any node has published it.
func (r *Room) definition(tx *store.Tx, id int64) (*core.Definition, error) {
	if d := r.book.Definition(uint32(id)); d != nil {
		return d, nil
	}
	if err := r.readShelf(tx); err != nil {
		return nil, err
	}
	return r.book.Definition(uint32(id)), nil
}

// Bucket is an amount that may be used (TMF654, TMF677). What is left is true at the
// instant it is read.
type Bucket struct {
	tmf.Entity
	Name               string             `json:"name,omitzero"`
	Description        string             `json:"description,omitzero"`
	Status             string             `json:"status,omitzero"` // active, suspended, expired
	UsageType          string             `json:"usageType,omitzero"`
	IsShared           *bool              `json:"isShared,omitzero"`
	RemainingValue     *tmf.Quantity      `json:"remainingValue,omitzero"`
	RemainingValueName string             `json:"remainingValueName,omitzero"`
	ReservedValue      *tmf.Quantity      `json:"reservedValue,omitzero"`
	ValidFor           *tmf.TimePeriod    `json:"validFor,omitzero"`
	RequestedDate      time.Time          `json:"requestedDate,omitzero"`
	ConfirmationDate   time.Time          `json:"confirmationDate,omitzero"`
	PartyAccount       *tmf.Ref           `json:"partyAccount,omitzero"`
	Product            []tmf.Ref          `json:"product,omitzero"`
	LogicalResource    []tmf.Ref          `json:"logicalResource,omitzero"`
	RelatedParty       []tmf.RelatedParty `json:"relatedParty,omitzero"`
	Initial            *tmf.Quantity      `json:"initialValue,omitzero"` // what it was filled with

	row bucketSeen
}

// bucketSeen is a row of charging_bucket with what its account says.
type bucketSeen struct {
	account, bucket, definition, owner, made, ended int64
	unit, product, id, customer, payer, currency    string
}

const bucketsFrom = `(SELECT b.tenant AS tenant, b.account AS account, b.bucket AS bucket, b.definition AS definition, b.unit AS unit, b.owner AS owner,
	b.product AS product, b.made_at AS made_at, coalesce(b.ended_at, 0) AS ended_at, a.id AS account_id, a.customer AS customer,
	a.billing_account AS billing_account, a.currency AS currency
	FROM charging_bucket b JOIN charging_account a ON a.tenant = b.tenant AND a.number = b.account) AS buckets`

// Buckets are those of the tenant's accounts, the ended ones too.
var Buckets = tmf.Kind[Bucket, *Bucket]{
	API: &BalanceAPI, Name: "bucket", Table: "charging_bucket", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*Bucket]{
		From:    bucketsFrom,
		Columns: "account, bucket, definition, unit, owner, product, made_at, ended_at, account_id, customer, billing_account, currency",
		Order:   []string{"account", "bucket"},
		Paths:   map[string]string{"product.id": "product", "relatedParty.id": "customer", "partyAccount.id": "billing_account", "confirmationDate": "made_at"},
		Find:    findBucket,
		Scan:    scanBucket,
	},
}

// bucketID names a bucket to the outside.
func bucketID(account string, bucket int64) string {
	return account + "." + strconv.FormatInt(bucket, 10)
}

func splitBucketID(id string) (account string, bucket int64, ok bool) {
	i := strings.LastIndexByte(id, '.')
	if i <= 0 {
		return "", 0, false
	}
	bucket, err := strconv.ParseInt(id[i+1:], 10, 32)
	return id[:i], bucket, err == nil && id == bucketID(id[:i], bucket)
}

func findBucket(id string, first int) (string, []any) {
	account, bucket, ok := splitBucketID(id)
	if !ok {
		return "", nil
	}
	return "account_id = $" + strconv.Itoa(first) + " AND bucket = $" + strconv.Itoa(first+1), []any{account, bucket}
}

func scanBucket(r store.Rows) (*Bucket, error) {
	var s bucketSeen
	err := r.Scan(&s.account, &s.bucket, &s.definition, &s.unit, &s.owner, &s.product, &s.made, &s.ended, &s.id, &s.customer, &s.payer, &s.currency)
	shared := s.owner == 0
	b := &Bucket{UsageType: usageTypes[s.unit], IsShared: &shared, ConfirmationDate: store.Instant(s.made), Status: "active", row: s}
	b.ID = bucketID(s.id, s.bucket)
	if s.product != "" {
		b.Product = []tmf.Ref{{ID: s.product, ReferredType: "Product"}}
	}
	if s.customer != "" {
		b.RelatedParty = []tmf.RelatedParty{{ID: s.customer, Role: "customer", ReferredType: "Customer"}}
	}
	if s.payer != "" {
		b.PartyAccount = &tmf.Ref{ID: s.payer, ReferredType: "BillingAccount"}
	}
	return b, err
}

// completeBuckets adds what is left, from memory; where another node decides for the
// account, as far as the journal has been projected.
func completeBuckets(tx *store.Tx, page []*Bucket) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	for _, b := range page {
		d, err := r.definition(tx, b.row.definition)
		if err != nil {
			return err
		}
		if d != nil {
			b.Name = d.Name
		}
		if err := r.fill(tx, b); err != nil {
			return err
		}
	}
	return nil
}

func (r *Room) fill(tx *store.Tx, b *Bucket) error {
	s := &b.row
	if s.ended != 0 {
		b.Status = "expired"
		b.ValidFor = &tmf.TimePeriod{StartDateTime: store.Instant(s.made), EndDateTime: store.Instant(s.ended)}
		b.RemainingValue = quantity(0, s.unit, s.currency)
		return nil
	}
	seen := false
	err := r.Engine.Look(refOf(s.account), func(a *core.Account) {
		for i := range a.Buckets {
			if x := &a.Buckets[i]; int64(x.ID) == s.bucket {
				b.show(x, a.State, tx.Now())
				seen = true
			}
		}
	})
	if seen || err == nil {
		if !seen {
			b.Status = "expired" // the projector is about to write it down
		}
		return nil
	}
	var left int64
	err = tx.Row("SELECT coalesce(sum(amount), 0) FROM charging_entry WHERE tenant = $1 AND account = $2 AND bucket = $3", s.account, s.bucket).Scan(&left)
	b.RemainingValue = quantity(left, s.unit, s.currency)
	return err
}

// show fills in what the account says.
func (b *Bucket) show(x *core.Bucket, state core.State, now time.Time) {
	b.RemainingValue = quantity(x.Value, b.row.unit, b.row.currency)
	b.ReservedValue = quantity(x.Held, b.row.unit, b.row.currency)
	b.Initial = quantity(x.Initial, b.row.unit, b.row.currency)
	b.ValidFor = &tmf.TimePeriod{StartDateTime: time.Unix(x.From, 0).UTC()}
	if x.To != 0 {
		b.ValidFor.EndDateTime = time.Unix(x.To, 0).UTC()
	}
	switch {
	case x.To != 0 && now.Unix() >= x.To:
		b.Status = "expired"
	case state >= core.Barred:
		b.Status = "suspended"
	}
}

// AccumulatedBalance is all that an account has of one sort (TMF654).
type AccumulatedBalance struct {
	tmf.Entity
	Name            string             `json:"name,omitzero"`
	Description     string             `json:"description,omitzero"`
	TotalBalance    *tmf.Quantity      `json:"totalBalance,omitzero"`
	Bucket          []tmf.Ref          `json:"bucket,omitzero"`
	PartyAccount    *tmf.Ref           `json:"partyAccount,omitzero"`
	Product         []tmf.Ref          `json:"product,omitzero"`
	LogicalResource *tmf.Ref           `json:"logicalResource,omitzero"`
	RelatedParty    []tmf.RelatedParty `json:"relatedParty,omitzero"`

	account, unit string
}

// Balances are the sums of the tenant's buckets.
var Balances = tmf.Kind[AccumulatedBalance, *AccumulatedBalance]{
	API: &BalanceAPI, Name: "accumulatedBalance", Table: "charging_bucket", Verbs: tmf.ReadOnly,
	Rows: &tmf.Rows[*AccumulatedBalance]{
		From: `(SELECT b.tenant AS tenant, b.unit AS unit, b.account AS number, a.id AS account, a.customer AS customer, a.billing_account AS billing_account
			FROM charging_bucket b JOIN charging_account a ON a.tenant = b.tenant AND a.number = b.account
			WHERE b.ended_at IS NULL GROUP BY b.tenant, b.unit, b.account, a.id, a.customer, a.billing_account) AS balances`,
		Columns: "unit, account, customer, billing_account",
		Order:   []string{"number", "unit"},
		Paths:   map[string]string{"product.id": "account", "relatedParty.id": "customer", "partyAccount.id": "billing_account"},
		Find:    findBalance,
		Scan:    scanBalance,
	},
}

func findBalance(id string, first int) (string, []any) {
	i := strings.LastIndexByte(id, '.')
	if i <= 0 {
		return "", nil
	}
	return "account = $" + strconv.Itoa(first) + " AND unit = $" + strconv.Itoa(first+1), []any{id[:i], id[i+1:]}
}

func scanBalance(r store.Rows) (*AccumulatedBalance, error) {
	var customer, payer string
	b := &AccumulatedBalance{}
	err := r.Scan(&b.unit, &b.account, &customer, &payer)
	b.ID = b.account + "." + b.unit
	b.Name = usageTypes[b.unit]
	b.Product = []tmf.Ref{{ID: b.account, ReferredType: "Product"}}
	if customer != "" {
		b.RelatedParty = []tmf.RelatedParty{{ID: customer, Role: "customer", ReferredType: "Customer"}}
	}
	if payer != "" {
		b.PartyAccount = &tmf.Ref{ID: payer, ReferredType: "BillingAccount"}
	}
	return b, err
}

// completeBalances adds up what is left in the buckets.
func completeBalances(tx *store.Tx, page []*AccumulatedBalance) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	for _, b := range page {
		acc, err := oneAccount(tx, "id = $2", b.account)
		if err != nil {
			return err
		}
		of, err := r.bucketsOf(tx, acc)
		if err != nil {
			return err
		}
		sum := int64(0)
		for _, x := range of {
			if x.row.unit != b.unit || x.Status == "expired" {
				continue
			}
			left, err := amountOf(x.RemainingValue, unitNamed(b.unit), acc.Currency)
			if err != nil {
				return err
			}
			sum += left
			b.Bucket = append(b.Bucket, tmf.Ref{ID: x.ID, Name: x.Name, ReferredType: "Bucket"})
		}
		b.TotalBalance = quantity(sum, b.unit, acc.Currency)
	}
	return nil
}

func unitNamed(name string) core.Unit {
	for u := core.Octets; u <= core.Money; u++ {
		if u.String() == name {
			return u
		}
	}
	return core.Events
}

// bucketsOf are the buckets of an account that have not ended.
func (r *Room) bucketsOf(tx *store.Tx, a account) ([]*Bucket, error) {
	rows, err := tx.Query("SELECT "+Buckets.Rows.Columns+" FROM "+bucketsFrom+" WHERE tenant = $1 AND account = $2 AND ended_at = 0 ORDER BY bucket", a.Number)
	all, err := store.Collect(rows, err, scanBucket)
	if err != nil {
		return nil, err
	}
	return all, completeBuckets(tx, all)
}

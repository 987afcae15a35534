package charging

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// States of a balance action (TMF654 ActionStatusType). One that waits for its
// command or for a second person is created.
const (
	created   = "created"
	failed    = "failed"
	cancelled = "cancelled"
	completed = "completed"
)

// BalanceAction is a change of a bucket that somebody orders (TMF654). It is carried
// out after it is stored; its status says how that ended.
type BalanceAction struct {
	tmf.Entity
	Status           string             `json:"status,omitzero" tmf:"enum=created|failed|cancelled|completed"`
	StatusReason     string             `json:"statusReason,omitzero"` // why it failed
	Description      string             `json:"description,omitzero"`
	Reason           string             `json:"reason,omitzero"` // the client's
	Amount           *tmf.Quantity      `json:"amount,omitzero"`
	UsageType        string             `json:"usageType,omitzero" tmf:"enum=monetary|voice|data|sms|other"`
	Bucket           *tmf.Ref           `json:"bucket,omitzero"`
	PartyAccount     *tmf.Ref           `json:"partyAccount,omitzero"`
	Product          []tmf.Ref          `json:"product,omitzero"`
	LogicalResource  []tmf.Ref          `json:"logicalResource,omitzero"`
	RelatedParty     []tmf.RelatedParty `json:"relatedParty,omitzero"`
	Requestor        *tmf.RelatedParty  `json:"requestor,omitzero"`
	Channel          *tmf.Ref           `json:"channel,omitzero"`
	RequestedDate    time.Time          `json:"requestedDate,omitzero"`
	ConfirmationDate time.Time          `json:"confirmationDate,omitzero"`
	ValidFor         *tmf.TimePeriod    `json:"validFor,omitzero"`

	// Of a top-up. A voucher is shown by its serial number, never by its PIN.
	Voucher         string   `json:"voucher,omitzero"`
	IsAutoTopup     *bool    `json:"isAutoTopup,omitzero"`
	NumberOfPeriods *int64   `json:"numberOfPeriods,omitzero"`
	RecurringPeriod string   `json:"recurringPeriod,omitzero"`
	PaymentMethod   *tmf.Ref `json:"paymentMethod,omitzero"`
	BalanceTopup    *tmf.Ref `json:"balanceTopup,omitzero"`

	// Of an adjustment.
	AdjustType string   `json:"adjustType,omitzero" tmf:"enum=recurring|oneTime"`
	Usage      *tmf.Ref `json:"usage,omitzero"` // for which money is given back; without amount: all that is left

	// Of a transfer.
	Receiver                *tmf.RelatedParty `json:"receiver,omitzero"`
	ReceiverBucket          *tmf.Ref          `json:"receiverBucket,omitzero"`
	ReceiverBucketUsageType string            `json:"receiverBucketUsageType,omitzero" tmf:"enum=monetary|voice|data|sms|other"`
	ReceiverLogicalResource *tmf.Ref          `json:"receiverLogicalResource,omitzero"`
	ReceiverProduct         *tmf.Ref          `json:"receiverProduct,omitzero"`
	CostOwner               string            `json:"costOwner,omitzero" tmf:"enum=originator|receiver"`
	TransferCost            *tmf.Money        `json:"transferCost,omitzero"`

	// ExternalID is the client's own name of the action, such as a payment's
	// reference: the same one again is the same action.
	ExternalID string    `json:"externalId,omitzero"`
	Approval   *Approval `json:"approval,omitzero"`
}

// Approval is what a second person said, where one is needed (four eyes).
type Approval struct {
	State       string    `json:"state,omitzero"` // pending, approved, rejected
	RequestedBy string    `json:"requestedBy,omitzero"`
	DecidedBy   string    `json:"decidedBy,omitzero"`
	Date        time.Time `json:"date,omitzero"`
	Reason      string    `json:"reason,omitzero"`
}

type actionKind = tmf.Kind[BalanceAction, *BalanceAction]

func actions(name, table string) actionKind {
	return actionKind{
		API: &BalanceAPI, Name: name, Table: table, Verbs: tmf.All,
		Index:     []string{"status", "requestedDate", "bucket.id", "externalId"},
		Multi:     []string{"relatedParty.id", "product.id"},
		StateAttr: "status",
		Moves:     tmf.Moves{"": {created, failed}, created: {completed, failed, cancelled}, completed: {cancelled}},
		Frozen: []string{"statusReason", "amount", "usageType", "bucket", "partyAccount", "product", "logicalResource", "relatedParty", "requestedDate",
			"confirmationDate", "validFor", "voucher", "paymentMethod", "receiver", "receiverBucket", "receiverProduct", "receiverLogicalResource",
			"externalId", "approval", "usage"},
	}
}

// The balance actions of the tenant.
var (
	TopUps       = actions("topupBalance", "charging_topup")
	Adjustments  = actions("adjustBalance", "charging_adjust")
	Transfers    = actions("transferBalance", "charging_transfer")
	Reservations = actions("reserveBalance", "charging_reserve")
)

// History is all of them together, as they stand.
var History = actions("balanceActionHistory", "charging_action")

func actionKindOf(name string) *actionKind {
	for _, k := range []*actionKind{&TopUps, &Adjustments, &Transfers, &Reservations} {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// keepHistory writes an action into the list of all.
func keepHistory(k *actionKind) func(tx *store.Tx, old, p *BalanceAction) error {
	return func(tx *store.Tx, old, p *BalanceAction) error {
		if p == nil {
			return nil // what was done stays
		}
		id := k.Name + ":" + p.ID
		if old == nil {
			copied := *p
			copied.Entity = tmf.Entity{ID: id}
			copied.Type = k.Class
			return History.Create(tx, &copied)
		}
		_, err := History.Edit(tx, id, func(h *BalanceAction) error {
			entity := h.Entity
			*h = *p
			h.Entity = entity
			return nil
		})
		return err
	}
}

// target is the bucket an action is for.
type target struct {
	account account
	bucket  *Bucket
	def     *core.Definition
}

func (t *target) number() uint32 { return uint32(t.bucket.row.bucket) }

func (t *target) amount(q *tmf.Quantity) (int64, error) {
	return amountOf(q, t.def.Unit, t.account.Currency)
}

// where names a bucket, or whose main balance is meant.
type where struct {
	bucket, product, number, payer *tmf.Ref
}

func first(refs []tmf.Ref) *tmf.Ref {
	if len(refs) == 0 {
		return nil
	}
	return &refs[0]
}

// find is the bucket a client means.
func (r *Room) find(tx *store.Tx, w where) (t target, err error) {
	if w.bucket != nil && w.bucket.ID != "" {
		t.bucket, err = Buckets.Get(tx, w.bucket.ID)
		if fault.Is(err, fault.NotFound) {
			return t, fault.BadInput("unknownBucket", "There is no bucket with id %q", w.bucket.ID)
		}
		if err == nil {
			t.account, err = oneAccount(tx, "number = $2", t.bucket.row.account)
		}
	} else if t.account, err = whose(tx, w); err == nil {
		t.bucket, err = r.payingBucket(tx, t.account)
	}
	if err != nil {
		return t, err
	}
	if t.bucket.row.ended != 0 {
		return t, fault.Clash("bucketEnded", "The bucket %q has ended", t.bucket.ID)
	}
	if t.def, err = r.definition(tx, t.bucket.row.definition); err == nil && t.def == nil {
		err = fault.Away(nil, "The bucket %q cannot be read at present", t.bucket.ID)
	}
	return t, err
}

// whose is the account a client means by a product, a number or an account.
func whose(tx *store.Tx, w where) (a account, err error) {
	var number int64
	switch {
	case w.product != nil:
		l, err := lineOf(tx, w.product.ID)
		if err == store.ErrNotFound {
			return a, fault.BadInput("unknownProduct", "The product %q has no balance", w.product.ID)
		}
		if err != nil {
			return a, err
		}
		number = l.Account
	case w.number != nil:
		err := tx.Row("SELECT account FROM charging_line WHERE tenant = $1 AND e164 = $2 LIMIT 1", strings.TrimPrefix(w.number.ID, "+")).Scan(&number)
		if err == store.ErrNotFound {
			return a, fault.BadInput("unknownNumber", "The number %q has no balance", w.number.ID)
		}
		if err != nil {
			return a, err
		}
	case w.payer != nil:
		a, err = oneAccount(tx, "id = $2", w.payer.ID)
		if err == store.ErrNotFound {
			a, err = onlyAccount(tx, w.payer.ID)
		}
		return a, err
	default:
		return a, fault.BadInput("mandatoryAttributeMissing", "bucket is required, or a product, logicalResource or partyAccount that has one")
	}
	return oneAccount(tx, "number = $2", number)
}

// onlyAccount is the one account that is paid for by a billing account.
func onlyAccount(tx *store.Tx, payer string) (a account, err error) {
	rows, err := tx.Query(readAccount+"billing_account = $2 ORDER BY number LIMIT 2", payer)
	all, err := store.Collect(rows, err, scanAccount)
	switch {
	case err != nil:
		return a, err
	case len(all) == 0:
		return a, fault.BadInput("unknownAccount", "The account %q has no balance", payer)
	case len(all) > 1:
		return a, fault.BadInput("ambiguousAccount", "The account %q has several balances; name a bucket or a product", payer)
	}
	return all[0], nil
}

func (r *Room) payingBucket(tx *store.Tx, a account) (*Bucket, error) {
	all, err := r.bucketsOf(tx, a)
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		if d, err := r.definition(tx, b.row.definition); err != nil || d != nil && d.Main {
			return b, err
		}
	}
	return nil, fault.Clash("noBalance", "The account %q has no balance yet", a.ID)
}

// describe fills in what the server knows of an action.
func (p *BalanceAction) describe(tx *store.Tx, t target) {
	p.Status, p.StatusReason, p.ConfirmationDate = created, "", time.Time{}
	p.RequestedDate = tx.Now()
	p.Approval = &Approval{RequestedBy: tx.Actor()}
	p.UsageType = usageTypes[t.bucket.row.unit]
	p.Bucket = &tmf.Ref{ID: t.bucket.ID, Name: t.bucket.Name, Href: BalanceAPI.Base + "/bucket/" + t.bucket.ID, ReferredType: "Bucket"}
	p.PartyAccount, p.Product, p.RelatedParty = t.bucket.PartyAccount, t.bucket.Product, t.bucket.RelatedParty
}

// once takes down by which names a client may ask for an action again. known says
// that it was asked for before; then p is what was stored.
func (r *Room) once(tx *store.Tx, k *actionKind, p *BalanceAction) (known bool, err error) {
	var names []string
	if p.ID == "" {
		p.ID = tmf.NewID()
	} else {
		names = append(names, k.Name+"/id:"+p.ID)
	}
	if len(p.ExternalID) > 200 {
		return false, fault.BadInput("badExternalId", "externalId has at most 200 characters")
	}
	if p.ExternalID != "" {
		names = append(names, k.Name+"/external:"+p.ExternalID)
	}
	digest, err := r.digest(p)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		n, err := tx.Exec(`INSERT INTO charging_action_key (tenant, name, action, digest) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, name) DO NOTHING`, name, p.ID, digest)
		if err != nil {
			return false, err
		}
		if n == 1 {
			continue
		}
		var id, was string
		if err := tx.Row("SELECT action, digest FROM charging_action_key WHERE tenant = $1 AND name = $2", name).Scan(&id, &was); err != nil {
			return false, err
		}
		if was != digest {
			return false, fault.Clash("alreadyExists", "%s %q was asked for before, with other content", k.Name, strings.SplitN(name, ":", 2)[1])
		}
		old, err := k.Get(tx, id)
		if err != nil {
			return false, err
		}
		*p = *old
		return true, nil
	}
	return false, nil
}

// digest is what makes two requests the same one. It is keyed, since a PIN is in it.
func (r *Room) digest(p *BalanceAction) (string, error) {
	said := []any{p.Amount, p.Bucket, p.Product, p.LogicalResource, p.PartyAccount, p.Voucher, p.ReceiverBucket, p.ReceiverProduct,
		p.ReceiverLogicalResource, p.ExternalID, p.Reason}
	if p.Usage != nil {
		said = append(said, p.Usage.ID)
	}
	doc, err := json.Marshal(said, json.Deterministic(true))
	mac := hmac.New(sha256.New, r.PINKey)
	mac.Write(doc)
	return hex.EncodeToString(mac.Sum(nil)[:16]), err
}

// postTopUp stores a top-up by payment or by voucher, and orders it.
func postTopUp(tx *store.Tx, p *BalanceAction) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	if known, err := r.once(tx, &TopUps, p); known || err != nil {
		return err
	}
	t, err := r.find(tx, where{p.Bucket, first(p.Product), first(p.LogicalResource), p.PartyAccount})
	if err != nil {
		return err
	}
	p.describe(tx, t)
	why := core.TopUp
	if p.Voucher != "" {
		if why = core.Voucher; p.Amount != nil {
			return fault.BadInput("amountOfVoucher", "What a voucher is worth is known: leave amount out")
		}
		if err := r.redeem(tx, p, t); err != nil {
			return err
		}
		if p.Status == failed {
			return TopUps.Create(tx, p)
		}
	}
	amount, err := t.amount(p.Amount)
	if err == nil && amount <= 0 {
		err = fault.BadInput("badAmount", "A top-up adds something: amount is above zero")
	}
	if err != nil {
		return err
	}
	o := order{Action: TopUps.Name + "/" + p.ID, Bucket: t.number(), Amount: amount, Why: why, Ref: p.ID}
	if p.ValidFor != nil && !p.ValidFor.EndDateTime.IsZero() {
		if o.To = p.ValidFor.EndDateTime.Unix(); o.To <= tx.Now().Unix() {
			return fault.BadInput("invalidPeriod", "validFor ends in the past")
		}
	}
	if err := TopUps.Create(tx, p); err != nil {
		return err
	}
	return r.order(tx, t.account.Number, cmdTopUp, "", o)
}

// postAdjust stores a correction with its reason. A large one waits for a second
// person.
func postAdjust(tx *store.Tx, p *BalanceAction) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	if strings.TrimSpace(p.Reason) == "" {
		return fault.BadInput("mandatoryAttributeMissing", "reason is required")
	}
	if known, err := r.once(tx, &Adjustments, p); known || err != nil {
		return err
	}
	t, err := r.find(tx, where{p.Bucket, first(p.Product), first(p.LogicalResource), p.PartyAccount})
	if err != nil {
		return err
	}
	amount, err := adjusts(tx, p, t)
	if err != nil {
		return err
	}
	p.describe(tx, t)
	above, err := needsApproval(tx, t, amount)
	if err != nil {
		return err
	}
	if above {
		p.Approval.State = "pending"
		return Adjustments.Create(tx, p)
	}
	if err := Adjustments.Create(tx, p); err != nil {
		return err
	}
	return r.adjust(tx, p, t, amount)
}

// adjusts is by how much an adjustment changes a bucket.
func adjusts(tx *store.Tx, p *BalanceAction, t target) (int64, error) {
	if p.Usage != nil {
		return refund(tx, p, t)
	}
	amount, err := t.amount(p.Amount)
	if err == nil && amount == 0 {
		err = fault.BadInput("badAmount", "An adjustment changes something: amount is not zero")
	}
	return amount, err
}

func (r *Room) adjust(tx *store.Tx, p *BalanceAction, t target, amount int64) error {
	why := core.Adjusted
	if p.Usage != nil {
		why = core.Refunded
	}
	return r.order(tx, t.account.Number, cmdCredit, "", order{Action: Adjustments.Name + "/" + p.ID, Bucket: t.number(), Amount: amount, Why: why, Ref: p.ID})
}

// postTransfer stores a transfer: first out of one bucket, then into the other, and
// back if that cannot be.
func postTransfer(tx *store.Tx, p *BalanceAction) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	if known, err := r.once(tx, &Transfers, p); known || err != nil {
		return err
	}
	from, err := r.find(tx, where{p.Bucket, first(p.Product), first(p.LogicalResource), p.PartyAccount})
	if err != nil {
		return err
	}
	if p.ReceiverBucket == nil && p.ReceiverProduct == nil && p.ReceiverLogicalResource == nil {
		return fault.BadInput("mandatoryAttributeMissing", "receiverBucket is required, or a receiverProduct or receiverLogicalResource that has one")
	}
	to, err := r.find(tx, where{bucket: p.ReceiverBucket, product: p.ReceiverProduct, number: p.ReceiverLogicalResource})
	if err != nil {
		return err
	}
	switch {
	case from.bucket.ID == to.bucket.ID:
		return fault.BadInput("sameBucket", "A transfer goes to another bucket")
	case from.def.Unit != to.def.Unit || from.def.Unit == core.Money && from.account.Currency != to.account.Currency:
		return fault.BadInput("wrongUnit", "The two buckets do not hold the same: %s and %s", from.bucket.row.unit, to.bucket.row.unit)
	}
	amount, err := from.amount(p.Amount)
	if err == nil && amount <= 0 {
		err = fault.BadInput("badAmount", "A transfer moves something: amount is above zero")
	}
	if err != nil {
		return err
	}
	p.describe(tx, from)
	p.ReceiverBucket = &tmf.Ref{ID: to.bucket.ID, Name: to.bucket.Name, Href: BalanceAPI.Base + "/bucket/" + to.bucket.ID, ReferredType: "Bucket"}
	p.ReceiverBucketUsageType = usageTypes[to.bucket.row.unit]
	if err := Transfers.Create(tx, p); err != nil {
		return err
	}
	return r.order(tx, from.account.Number, cmdOut, "", order{Action: Transfers.Name + "/" + p.ID, Bucket: from.number(), Amount: -amount, Why: core.TransferOut,
		Ref: p.ID, Other: to.account.Number, OtherBucket: to.number()})
}

// postReserve sets an amount of a bucket aside, until it is cancelled.
func postReserve(tx *store.Tx, p *BalanceAction) error {
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	if known, err := r.once(tx, &Reservations, p); known || err != nil {
		return err
	}
	t, err := r.find(tx, where{p.Bucket, first(p.Product), first(p.LogicalResource), p.PartyAccount})
	if err != nil {
		return err
	}
	amount, err := t.amount(p.Amount)
	if err == nil && amount <= 0 {
		err = fault.BadInput("badAmount", "A reservation holds something: amount is above zero")
	}
	if err != nil {
		return err
	}
	p.describe(tx, t)
	if err := Reservations.Create(tx, p); err != nil {
		return err
	}
	return r.order(tx, t.account.Number, cmdCredit, "", order{Action: Reservations.Name + "/" + p.ID, Bucket: t.number(), Amount: -amount, Why: core.TransferOut, Ref: p.ID})
}

// patchAction lets a client change words, and cancel.
func patchAction(k *actionKind) func(tx *store.Tx, old, p *BalanceAction) error {
	return func(tx *store.Tx, old, p *BalanceAction) error {
		if p.Status == old.Status {
			return k.Save(tx, old, p)
		}
		if p.Status != cancelled {
			return fault.Clash("illegalMove", "A client may cancel a %s, and nothing else", k.Name)
		}
		r, err := roomOf(tx)
		if err != nil {
			return err
		}
		return r.cancel(tx, k, old, p)
	}
}

// cancel takes an action back: at once if it waits for a second person; by a command
// if it was a top-up or a reservation. p shows it as it is then.
func (r *Room) cancel(tx *store.Tx, k *actionKind, old, p *BalanceAction) error {
	switch {
	case old.Status == created && old.Approval != nil && old.Approval.State == "pending":
		return k.Save(tx, old, p)
	case old.Status == created:
		return fault.Clash("underWay", "The %s %q is being carried out; try again when it has ended", k.Name, old.ID)
	case old.Status != completed || k != &TopUps && k != &Reservations:
		return fault.Clash("illegalMove", "A %s in status %q cannot be cancelled", k.Name, old.Status)
	case old.StatusReason != "":
		return fault.Clash("underWay", "The %s %q is being taken back", k.Name, old.ID)
	}
	number, takes, err := gave(tx, old)
	if err != nil {
		return err
	}
	p.Status, p.StatusReason = old.Status, "It is being taken back"
	if err := k.Save(tx, old, p); err != nil {
		return err
	}
	return r.order(tx, number, cmdBack, "", order{Action: k.Name + "/" + p.ID, Ref: p.ID, Takes: takes, Why: core.TransferIn, Reverse: k == &TopUps})
}

// take is an amount of a bucket that is taken back, as it was given.
type take struct {
	Bucket uint32   `json:"bucket"`
	Amount int64    `json:"amount"`
	Why    core.Why `json:"why"`
}

// gave is what an action gave, with its bonus, as the ledger says.
func gave(tx *store.Tx, p *BalanceAction) (number int64, out []take, err error) {
	b, err := Buckets.Get(tx, p.Bucket.ID)
	if err != nil {
		return 0, nil, err
	}
	rows, err := tx.Query("SELECT bucket, against, sum(amount) FROM charging_entry WHERE tenant = $1 AND account = $2 AND ref = $3 GROUP BY bucket, against ORDER BY bucket, against",
		b.row.account, p.ID)
	out, err = store.Collect(rows, err, func(r store.Rows) (t take, err error) {
		var against string
		err = r.Scan(&t.Bucket, &against, &t.Amount)
		t.Why = whyNamed(against)
		return t, err
	})
	return b.row.account, out, err
}

func whyNamed(name string) core.Why {
	for w := core.TopUp; w <= core.Fee; w++ {
		if w.String() == name {
			return w
		}
	}
	return core.Adjusted
}

// deleteAction removes an action that changed nothing.
func deleteAction(k *actionKind) func(tx *store.Tx, old *BalanceAction) error {
	return func(tx *store.Tx, old *BalanceAction) error {
		if old.Status != failed && old.Status != cancelled {
			return fault.Clash("stillReferenced", "The %s %q has changed a balance, or is about to: it is kept", k.Name, old.ID)
		}
		return k.Remove(tx, old)
	}
}

// commandsByNumber goes by the key. Both engines take a tenant for the owner of ten rows and
// would rather read all of his than look up a dozen numbers: an expression has no index.
const commandsByNumber = "SELECT number, account, kind, product, action, doc, at FROM charging_command WHERE tenant || '' = $1 AND action <> '' AND number IN ("

// finished moves the actions whose steps the journal shows.
func (r *Room) finished(tx *store.Tx, numbers []int64) error {
	for len(numbers) > 0 {
		part := numbers[:min(len(numbers), 64)]
		numbers = numbers[len(part):]
		args := make([]any, len(part))
		for i, n := range part {
			args[i] = n
		}
		rows, err := tx.Query(commandsByNumber+store.In(2, len(args))+") ORDER BY number", args...)
		steps, err := store.Collect(rows, err, scanCommand(tx.Tenant()))
		if err != nil {
			return err
		}
		for _, c := range steps {
			if err := r.stepDone(tx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// stepDone goes on with an action after a step of it.
func (r *Room) stepDone(tx *store.Tx, c command) error {
	var o order
	if err := json.Unmarshal([]byte(c.doc), &o); err != nil {
		return err
	}
	if is, err := moveLimit(tx, c.action, completed, ""); is || err != nil {
		return err
	}
	switch c.kind {
	case cmdOut:
		return r.order(tx, o.Other, cmdIn, "", order{Action: c.action, Bucket: o.OtherBucket, Amount: -o.Amount, Why: core.TransferIn, Ref: o.Ref,
			Other: c.account, OtherBucket: o.Bucket})
	case cmdBack:
		if o.Failed != "" {
			return moveAction(tx, c.action, failed, o.Failed)
		}
		if err := moveAction(tx, c.action, cancelled, ""); err != nil {
			return err
		}
	default:
		if err := moveAction(tx, c.action, completed, ""); err != nil {
			return err
		}
	}
	return tellChanged(tx, c, &o)
}

// stepRefused ends an action whose step the account refuses. What a transfer took
// out goes back.
func (r *Room) stepRefused(tx *store.Tx, c command, why string) error {
	var o order
	if err := json.Unmarshal([]byte(c.doc), &o); err != nil {
		return err
	}
	if is, err := moveLimit(tx, c.action, failed, why); is || err != nil {
		return err
	}
	switch {
	case c.kind == cmdIn:
		return r.order(tx, o.Other, cmdBack, "", order{Action: c.action, Takes: []take{{o.OtherBucket, o.Amount, core.TransferIn}}, Ref: o.Ref, Why: core.TransferIn, Failed: why})
	case c.kind == cmdBack && o.Failed == "":
		return moveAction(tx, c.action, completed, "")
	}
	return moveAction(tx, c.action, failed, why)
}

// moveAction writes how an action ended.
func moveAction(tx *store.Tx, action, status, why string) error {
	name, id, _ := strings.Cut(action, "/")
	k := actionKindOf(name)
	if k == nil {
		return nil
	}
	_, err := k.Edit(tx, id, func(p *BalanceAction) error {
		p.Status, p.StatusReason = status, why
		if p.ConfirmationDate.IsZero() {
			p.ConfirmationDate = tx.Now()
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return nil // it was removed
	}
	return err
}

// tellChanged tells that a balance was changed by somebody's order.
func tellChanged(tx *store.Tx, c command, o *order) error {
	a, err := oneAccount(tx, "number = $2", c.account)
	if err != nil {
		return err
	}
	name, id, _ := strings.Cut(c.action, "/")
	outbox.Tell(tx, fact.BalanceChanged{Account: a.ID, Customer: a.Customer, Bucket: bucketID(a.ID, int64(o.Bucket)), Action: name, ID: id, At: tx.Now()})
	return nil
}

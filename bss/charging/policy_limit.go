package charging

import (
	"slices"
	"strings"
	"time"

	"tandem/bss/charging/core"
	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// LimitChange is an order that changes a limit of one customer: what he may spend or
// use, or how far his balance may fall. It is carried out after it is stored; its
// status says how that ended.
type LimitChange struct {
	tmf.Entity
	Product *tmf.Ref      `json:"product,omitzero" tmf:"required"` // the line
	Limit   string        `json:"limit,omitzero"`                  // as the offering calls it
	Amount  *tmf.Quantity `json:"amount,omitzero"`                 // zero: no limit
	Consent bool          `json:"consent,omitzero"`                // the customer goes on beyond it for the rest of the period
	Restart bool          `json:"restart,omitzero"`                // it counts from zero again
	Reason  string        `json:"reason,omitzero"`

	Status           string    `json:"status,omitzero" tmf:"enum=created|failed|completed"`
	StatusReason     string    `json:"statusReason,omitzero"`
	RequestedBy      string    `json:"requestedBy,omitzero"`
	RequestedDate    time.Time `json:"requestedDate,omitzero"`
	ConfirmationDate time.Time `json:"confirmationDate,omitzero"`
}

type limitKind = tmf.Kind[LimitChange, *LimitChange]

func limitChanges(name, table string) limitKind {
	return limitKind{API: &OwnAPI, Name: name, Table: table, Verbs: tmf.Task, Index: []string{"product.id", "status", "requestedDate"},
		StateAttr: "status", Moves: tmf.Moves{"": {created}, created: {completed, failed}}}
}

// Changes of limits, and of credit, which another right is needed for.
var (
	LimitChanges  = limitChanges("limitChange", "charging_limit_change")
	CreditChanges = limitChanges("creditLimitChange", "charging_credit_change")
)

func init() {
	LimitChanges.OnPost, CreditChanges.OnPost = postLimit, postCredit
}

// limited is the line a change is for, with the plan that says what its limits are.
type limited struct {
	room    *Room
	line    line
	account account
	plan    *plan
}

func limitedLine(tx *store.Tx, c *LimitChange) (l limited, err error) {
	if l.room, err = roomOf(tx); err != nil {
		return l, err
	}
	l.line, err = lineOf(tx, c.Product.ID)
	if err == store.ErrNotFound {
		return l, fault.BadInput("unknownProduct", "The product %q is not charged for", c.Product.ID)
	}
	if err != nil {
		return l, err
	}
	if l.line.Subscriber == 0 {
		return l, fault.Clash("charging.pending", "The product %q is being opened for charging; try again in a moment", c.Product.ID)
	}
	if l.account, err = oneAccount(tx, "number = $2", l.line.Account); err != nil {
		return l, err
	}
	return l, l.room.readPlan(tx, &l)
}

// readPlan finds the plan the line is charged by now.
func (r *Room) readPlan(tx *store.Tx, l *limited) error {
	var number int64
	err := r.Engine.Look(refOf(l.line.Account), func(a *core.Account) {
		for i := range a.Subscribers {
			if int64(a.Subscribers[i].ID) == l.line.Subscriber {
				number = int64(a.Subscribers[i].Plan)
			}
		}
	})
	if err != nil {
		return fault.Away(err, "Another node decides for the account of %q; ask it, or try again in a moment", l.line.Product)
	}
	if l.plan = r.planByNumber(number); l.plan == nil {
		if err := r.readShelf(tx); err != nil {
			return err
		}
		l.plan = r.planByNumber(number)
	}
	if l.plan == nil {
		return fault.Clash("charging.ended", "The product %q is no longer charged for", l.line.Product)
	}
	return nil
}

// postLimit stores a change of a limit, and orders it.
func postLimit(tx *store.Tx, c *LimitChange) error {
	l, err := limitedLine(tx, c)
	if err != nil {
		return err
	}
	found, def, err := l.limit(tx, c.Limit)
	if err != nil {
		return err
	}
	o := order{Plan: l.plan.Number, Definition: uint32(found.Definition), Consent: c.Consent, Restart: c.Restart, Keep: c.Amount == nil, Action: LimitChanges.Name + "/" + c.identify()}
	if found.Each {
		o.Subscriber = l.line.Subscriber
	}
	switch {
	case c.Amount == nil && !c.Consent && !c.Restart:
		return fault.BadInput("mandatoryAttributeMissing", "Say what is to change: amount, consent or restart")
	case c.Consent && c.Restart:
		return fault.BadInput("badConsent", "What counts from zero again needs no consent")
	case c.Amount != nil:
		if o.Amount, err = amountOf(c.Amount, def.Unit, l.account.Currency); err == nil && o.Amount < 0 {
			err = fault.BadInput("badAmount", "A limit is zero, which means none, or more")
		}
	}
	if err != nil {
		return err
	}
	return l.order(tx, &LimitChanges, c, cmdCap, o)
}

// identify gives a change its id.
func (c *LimitChange) identify() string {
	if c.ID == "" {
		c.ID = tmf.NewID()
	}
	return c.ID
}

// limit is one of the plan's limits by its name.
func (l *limited) limit(tx *store.Tx, name string) (c capOf, d *core.Definition, err error) {
	var known []string
	for _, c := range l.plan.Caps {
		d, err := l.room.definition(tx, c.Definition)
		if err != nil {
			return c, nil, err
		}
		if d == nil {
			continue
		}
		if d.Name == name {
			return c, d, nil
		}
		known = append(known, d.Name)
	}
	if len(known) == 0 {
		return c, nil, fault.BadInput("unknownLimit", "The offering of %q has no limits", l.line.Product)
	}
	return c, nil, fault.BadInput("unknownLimit", "The offering of %q has no limit %q; it has %s", l.line.Product, name, strings.Join(known, ", "))
}

// postCredit stores a change of how far a balance may fall, and orders it.
func postCredit(tx *store.Tx, c *LimitChange) error {
	l, err := limitedLine(tx, c)
	if err != nil {
		return err
	}
	switch {
	case c.Limit != "" || c.Consent || c.Restart:
		return fault.BadInput("badCredit", "A credit has an amount, and nothing else")
	case l.account.Mode == core.Prepaid:
		return fault.Clash("charging.prepaid", "The account of %q is prepaid: it has no credit", l.line.Product)
	}
	o := order{Action: CreditChanges.Name + "/" + c.identify()}
	if o.Amount, err = amountOf(c.Amount, core.Money, l.account.Currency); err == nil && o.Amount < 0 {
		err = fault.BadInput("badAmount", "A credit is zero or more")
	}
	if err != nil {
		return err
	}
	return l.order(tx, &CreditChanges, c, cmdLimit, o)
}

// order stores a change and orders it, and says who did.
func (l *limited) order(tx *store.Tx, k *limitKind, c *LimitChange, kind string, o order) error {
	c.Status, c.StatusReason, c.ConfirmationDate = created, "", time.Time{}
	c.RequestedBy, c.RequestedDate = tx.Actor(), tx.Now()
	if err := k.Create(tx, c); err != nil {
		return err
	}
	if err := access.Audit(tx, "charging."+k.Name, "product:"+l.line.Product, nil, c); err != nil {
		return err
	}
	return l.room.order(tx, l.account.Number, kind, "", o)
}

// setLimit is a change of a limit, on the account: if a line that it is for still has
// a plan with the limit.
func (r *Room) setLimit(h *core.Hand, o *order) error {
	if h.Account() != nil && !slices.ContainsFunc(h.Account().Subscribers, func(s core.Subscriber) bool {
		p := r.planByNumber(int64(s.Plan))
		return (o.Subscriber == 0 || int64(s.ID) == o.Subscriber) && (p == nil || p.watches(int64(o.Definition)))
	}) {
		return fault.Clash("charging.limit", "The tariff that has this limit is no longer that of the line")
	}
	if o.Restart {
		if err := h.Restart(o.Definition, uint16(o.Subscriber)); err != nil {
			return err
		}
	}
	amount := o.Amount
	if o.Keep && h.Account() != nil {
		for _, c := range h.Account().Counters {
			if c.Def == o.Definition && int64(c.Owner) == o.Subscriber {
				amount = c.Limit
			}
		}
	}
	return h.Cap(o.Definition, uint16(o.Subscriber), amount, o.Consent)
}

// setCredit is a change of how far the balance may fall; a hybrid account has a credit
// line of its own beside it.
func (r *Room) setCredit(h *core.Hand, o *order) error {
	a := h.Account()
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	for _, s := range a.Subscribers {
		p := r.planByNumber(int64(s.Plan))
		if p == nil {
			continue
		}
		def := p.Main
		if p.Line != 0 && a.Mode >= core.HybridPrepaid {
			def = p.Line
		}
		for _, b := range a.Buckets {
			if int64(b.Def) == def {
				return h.SetLimit(b.ID, o.Amount)
			}
		}
	}
	return fault.New(fault.NotFound, "charging.bucket", "The account has no balance that could have a credit")
}

// moveLimit writes how a change of a limit ended; it is false for other actions.
func moveLimit(tx *store.Tx, action, status, why string) (is bool, err error) {
	name, id, _ := strings.Cut(action, "/")
	for _, k := range []*limitKind{&LimitChanges, &CreditChanges} {
		if k.Name != name {
			continue
		}
		_, err := k.Edit(tx, id, func(c *LimitChange) error {
			c.Status, c.StatusReason, c.ConfirmationDate = status, why, tx.Now()
			return nil
		})
		return true, err
	}
	return false, nil
}

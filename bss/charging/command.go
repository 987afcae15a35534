package charging

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"tandem/bss/charging/core"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/money"
	"tandem/kit/store"
)

const (
	commandsAtOnce = 256
	commandPoll    = time.Second
)

// command is a row of charging_command.
type command struct {
	tenant  string
	number  int64
	account int64
	kind    string
	product string
	action  string
	doc     string
	at      int64
}

func scanCommand(tenant string) func(store.Rows) (command, error) {
	return func(r store.Rows) (c command, err error) {
		c.tenant = tenant
		err = r.Scan(&c.number, &c.account, &c.kind, &c.product, &c.action, &c.doc, &c.at)
		return c, err
	}
}

// Only the oldest command of an account is carried out; the next one may rest on
// what it made.
const pendingCommands = `SELECT number, account, kind, product, action, doc, at FROM charging_command c WHERE tenant = $1 AND state = 'pending'
	AND NOT EXISTS (SELECT 1 FROM charging_command e WHERE e.tenant = $1 AND e.account = c.account AND e.state = 'pending' AND e.number < c.number)
	ORDER BY number LIMIT $2`

// carryOut carries out commands as they come.
func (r *Room) carryOut(ctx context.Context) {
	defer r.done.Done()
	tick := time.NewTicker(commandPoll)
	defer tick.Stop()
	for {
		if err := r.carryOutSome(ctx); err != nil && ctx.Err() == nil {
			r.log.Error("charging: commands could not be carried out; trying again", "err", err)
		}
		select {
		case <-r.kick:
		case <-tick.C:
			r.land()
		case <-ctx.Done():
			return
		}
	}
}

// flightTime is for how long a command that was carried out is not looked at again,
// unless its outcome is written down here before. To carry it out again does nothing.
var flightTime = time.Minute

// land lets go of commands whose outcome another node has written down.
func (r *Room) land() {
	before := time.Now().Add(-flightTime)
	r.flying.Range(func(number, since any) bool {
		if since.(time.Time).Before(before) {
			r.flying.Delete(number)
		}
		return true
	})
}

func (r *Room) carryOutSome(ctx context.Context) error {
	tenants, err := r.tenants(ctx)
	if err != nil {
		return err
	}
	for _, tenant := range tenants {
		var due []command
		err := r.DB.Read(ctx, store.Scope{Tenant: tenant, Actor: actor}, func(tx *store.Tx) (err error) {
			if err := r.follow(tx); err != nil {
				return err
			}
			rows, err := tx.Query(pendingCommands, commandsAtOnce)
			due, err = store.Collect(rows, err, scanCommand(tenant))
			return err
		})
		if err != nil {
			return err
		}
		var wait sync.WaitGroup
		for _, c := range due {
			if _, busy := r.flying.LoadOrStore(c.number, time.Now()); busy {
				continue
			}
			wait.Go(func() { r.carry(ctx, c) })
		}
		wait.Wait()
	}
	return nil
}

const actor = "system:charging"

// carry carries out one command. What the account refuses is written down as
// refused; what could not be tried is tried again.
func (r *Room) carry(ctx context.Context, c command) {
	err := r.run(ctx, c)
	var refused *fault.Error
	switch {
	case err == nil:
		return // the projector writes the outcome, and lets go of it
	case errors.As(err, &refused) && c.mayBeFreed(refused, r.DB.Now()):
		err = nil // it is tried again
	case errors.As(err, &refused):
		err = r.refuse(ctx, c, refused)
	}
	r.flying.Delete(c.number)
	if err != nil && ctx.Err() == nil && !errors.Is(err, core.ErrAway) {
		r.log.Error("charging: a command could not be carried out; trying again", "command", c.number, "kind", c.kind, "err", err)
	}
}

// numberFreed is how long a line waits for the number it is to have: another account
// may be about to give it up, as when a number goes from one customer to another.
const numberFreed = 15 * time.Minute

func (c *command) mayBeFreed(why *fault.Error, now time.Time) bool {
	taken := why.Code == "charging.number" || why.Code == "charging.imsi" || why.Code == "charging.name"
	return taken && (c.kind == cmdLine || c.kind == cmdChange) && c.at > store.Micros(now.Add(-numberFreed))
}

func (r *Room) refuse(ctx context.Context, c command, why *fault.Error) error {
	r.log.Warn("charging: a command was refused", "tenant", c.tenant, "command", c.number, "kind", c.kind, "product", c.product, "reason", why)
	return r.DB.Write(ctx, store.Scope{Tenant: c.tenant, Actor: actor}, func(tx *store.Tx) error {
		n, err := tx.Exec("UPDATE charging_command SET state = 'refused', error = $3, ended_at = $4 WHERE tenant = $1 AND number = $2 AND state = 'pending'",
			c.number, why.Error(), store.Micros(tx.Now()))
		switch {
		case err != nil || n == 0:
			return err
		case c.kind == cmdOption:
			return optionRefused(tx, c, why.Reason)
		case c.action == "":
			return nil
		}
		return r.stepRefused(tx, c, why.Reason)
	})
}

// run hands a command to the engine.
func (r *Room) run(ctx context.Context, c command) error {
	var o order
	if err := json.Unmarshal([]byte(c.doc), &o); err != nil {
		return err
	}
	var acc account
	var l line
	err := r.DB.Read(ctx, store.Scope{Tenant: c.tenant, Actor: actor}, func(tx *store.Tx) (err error) {
		if o.Plan != 0 && r.planByNumber(o.Plan) == nil {
			if err := r.readShelf(tx); err != nil {
				return err
			}
		}
		if acc, err = oneAccount(tx, "number = $2", c.account); err != nil {
			return err
		}
		if c.product != "" {
			l, err = lineOf(tx, c.product)
		}
		return err
	})
	if err != nil {
		return err
	}
	do, err := r.doing(c, &o, acc, l)
	if err != nil {
		return err
	}
	_, err = r.Engine.Run(ctx, core.Command{Number: uint64(c.number), Ref: refOf(c.account), Do: do})
	return err
}

// doing is what a command does with the account.
func (r *Room) doing(c command, o *order, acc account, l line) (func(*core.Hand) error, error) {
	switch c.kind {
	case cmdLine:
		return r.beginLine(c, o, acc)
	case cmdChange:
		return func(h *core.Hand) error { return r.changeLine(h, o, l) }, nil
	case cmdState:
		return func(h *core.Hand) error { return r.setLine(h, uint16(l.Subscriber), o.State) }, nil
	case cmdOption:
		return r.giveOption(o, acc, l)
	case cmdOptionEnd:
		return takeOption(o), nil
	case cmdTopUp:
		return func(h *core.Hand) error { return r.topUp(h, o) }, nil
	case cmdOut, cmdIn:
		return func(h *core.Hand) error { return h.Credit(o.Bucket, o.Amount, o.Why, o.Ref, 0) }, nil
	case cmdBack:
		return func(h *core.Hand) error { return takeBack(h, o) }, nil
	case cmdCredit:
		return func(h *core.Hand) error {
			if o.Reverse {
				return h.Reverse(o.Bucket, o.Amount, o.Why, o.Ref)
			}
			if o.Definition != 0 {
				_, err := h.Give(core.Bucket{Def: o.Definition, To: o.To}, o.Amount, o.Why, o.Ref)
				return err
			}
			return h.Credit(o.Bucket, o.Amount, o.Why, o.Ref, o.To)
		}, nil
	case cmdCap:
		return func(h *core.Hand) error { return r.setLimit(h, o) }, nil
	case cmdLimit:
		return func(h *core.Hand) error { return r.setCredit(h, o) }, nil
	}
	return nil, fault.BadInput("charging.command", "There is no command %q", c.kind)
}

// beginLine opens the account if it is new, and gives the line what its plan gives.
func (r *Room) beginLine(c command, o *order, acc account) (func(*core.Hand) error, error) {
	p := r.planByNumber(o.Plan)
	if p == nil {
		return nil, errors.New("its plan is not on the shelf")
	}
	currency, err := money.ParseCurrency(acc.Currency)
	if err != nil {
		return nil, err
	}
	tenant := r.tenantNumber(c.tenant)
	return func(h *core.Hand) error {
		if h.Account() == nil {
			if err := open(h, p, tenant, currency.Number(), acc.Mode, o); err != nil {
				return err
			}
		}
		sub, err := h.Subscribe(core.Subscriber{Plan: uint32(p.Number), E164: core.Digits(o.Names.E164), IMSI: core.Digits(o.Names.IMSI), Name: o.Names.Name})
		if err != nil {
			return err
		}
		if err := r.limit(h, p, sub); err != nil {
			return err
		}
		return give(h, p, sub, !o.First, o.Ref, 0)
	}, nil
}

// open opens an account with its balance, and the credit line of a hybrid one.
func open(h *core.Hand, p *plan, tenant uint32, currency uint16, mode core.Mode, o *order) error {
	if err := h.Open(tenant, currency, mode, cycleStart(o.Anchor, p.CycleDay, p.Zone)); err != nil {
		return err
	}
	main := core.Bucket{Def: uint32(p.Main), Limit: p.Credit}
	if p.Line != 0 {
		main.Limit = 0
	}
	if _, err := h.Give(main, 0, core.TopUp, o.Ref); err != nil || p.Line == 0 {
		return err
	}
	_, err := h.Give(core.Bucket{Def: uint32(p.Line), Limit: p.Credit}, 0, core.TopUp, o.Ref)
	return err
}

// cycleStart is the last start of a period on a day of the month (0: the day itself).
func cycleStart(at int64, day int, zone string) int64 {
	if day == 0 {
		return at
	}
	z := location(zone)
	d := civil.Wall(time.Unix(at, 0).In(z))
	start := civil.Date{Year: d.Year, Month: d.Month, Day: day}
	if d.Before(start) {
		start = start.AddMonths(-1)
	}
	return start.Start(z).Unix()
}

// location is a time zone that the catalogue has checked.
func location(zone string) *time.Location {
	z, err := time.LoadLocation(zone)
	if err != nil {
		return time.UTC
	}
	return z
}

// limit puts a line under the limits of its plan; what was set before stays as it is.
func (r *Room) limit(h *core.Hand, p *plan, sub uint16) error {
	for _, c := range p.Caps {
		owner := uint16(0)
		if c.Each {
			owner = sub
		}
		has := slices.ContainsFunc(h.Account().Counters, func(x core.Counter) bool { return x.Def == uint32(c.Definition) && x.Owner == owner && !x.Lifted })
		if has {
			continue
		}
		if err := h.Cap(uint32(c.Definition), owner, c.Limit, false); err != nil {
			return err
		}
		h.Watch(uint32(c.Definition), owner)
	}
	return nil
}

// unlimit lifts the limits of a plan that a line leaves, unless another line of the
// account has the plan or the next one has the same limit. next is nil for a line
// that ends.
func (r *Room) unlimit(h *core.Hand, was, next *plan, sub uint16) error {
	for _, c := range was.Caps {
		kept := next.limits(c)
		for _, s := range h.Account().Subscribers {
			other := r.planByNumber(int64(s.Plan))
			kept = kept || !c.Each && s.ID != sub && other != nil && other.limits(c)
		}
		owner := uint16(0)
		if c.Each {
			owner = sub
		}
		if kept {
			continue
		}
		if err := h.Lift(uint32(c.Definition), owner); err != nil {
			return err
		}
	}
	return nil
}

// limits says that a plan has a limit.
func (p *plan) limits(c capOf) bool {
	return p != nil && slices.ContainsFunc(p.Caps, func(x capOf) bool { return x.Definition == c.Definition && x.Each == c.Each })
}

// give gives a line its allowances. Shared ones are given once; a member draws on those
// that are there.
func give(h *core.Hand, p *plan, sub uint16, member bool, ref string, from core.Source) error {
	for _, g := range p.Gives {
		if g.Shared && member {
			continue
		}
		b := core.Bucket{Def: uint32(g.Definition), Owner: sub, Initial: g.Amount, Source: from}
		if g.Shared {
			b.Owner = 0
		}
		amount := g.begin(h, &b, p.Zone)
		if _, err := h.Give(b, amount, core.Renewed, ref); err != nil {
			return err
		}
	}
	return h.Due()
}

// begin says how long the first period of an allowance lasts, and how much of it is
// there at once. One that is paid for is a period whose end has come: it begins as
// all later ones do, when its price is taken.
func (g *given) begin(h *core.Hand, b *core.Bucket, zone string) (amount int64) {
	renews := g.Renew.Months > 0 || g.Renew.Days > 0
	switch {
	case g.FirstUse:
	case g.Paid:
		b.From, b.To, b.Notified = h.Now(), h.Now(), 0xff
		return 0
	case renews:
		b.To = h.Boundary(uint32(g.Definition))
		if g.Prorate {
			return h.Share(uint32(g.Definition), g.Amount)
		}
	case g.Validity != civil.Duration{}:
		b.To = g.Validity.From(time.Unix(h.Now(), 0), location(zone)).Unix()
	}
	return g.Amount
}

// changeLine takes over other numbers, and with another plan what it gives.
func (r *Room) changeLine(h *core.Hand, o *order, l line) error {
	a := h.Account()
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	for _, s := range a.Subscribers {
		if int64(s.ID) != l.Subscriber {
			continue
		}
		if o.Names.E164 != "" {
			s.E164 = core.Digits(o.Names.E164)
		}
		if o.Names.IMSI != "" {
			s.IMSI = core.Digits(o.Names.IMSI)
		}
		if o.Names.Name != "" {
			s.Name = o.Names.Name
		}
		p := r.planByNumber(o.Plan)
		if p != nil && s.Plan != uint32(p.Number) {
			was := r.planByNumber(int64(s.Plan))
			s.Plan = uint32(p.Number)
			if err := r.withdraw(h, was, s.ID); err != nil {
				return err
			}
			if was != nil {
				if err := r.unlimit(h, was, p, s.ID); err != nil {
					return err
				}
			}
			if err := r.limit(h, p, s.ID); err != nil {
				return err
			}
			if err := give(h, p, s.ID, r.mates(h, p, s.ID), o.Ref, 0); err != nil {
				return err
			}
		}
		_, err := h.Subscribe(s)
		return err
	}
	return fault.New(fault.NotFound, "charging.subscriber", "The account has no such subscriber")
}

func (r *Room) setLine(h *core.Hand, sub uint16, state core.State) error {
	a := h.Account()
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	for _, s := range a.Subscribers {
		if s.ID == sub {
			s.State = state
			if _, err := h.Subscribe(s); err != nil || state != core.Closed {
				return err
			}
			return r.leave(h, s)
		}
	}
	return fault.New(fault.NotFound, "charging.subscriber", "The account has no subscriber %d", sub)
}

// leave ends a line. What it was given goes with it, so that nothing of it is paid for
// again; of what its plan gave to all, what no other line of the account has.
func (r *Room) leave(h *core.Hand, s core.Subscriber) error {
	if err := h.Withdraw(s.ID); err != nil {
		return err
	}
	if was := r.planByNumber(int64(s.Plan)); was != nil {
		if err := r.withdraw(h, was, s.ID); err != nil {
			return err
		}
		if err := r.unlimit(h, was, nil, s.ID); err != nil {
			return err
		}
	}
	return h.Leave(s.ID)
}

// has says that a line of the account has not ended.
func has(h *core.Hand, sub uint16) bool {
	return h.Account() != nil && slices.ContainsFunc(h.Account().Subscribers, func(s core.Subscriber) bool { return s.ID == sub })
}

func (r *Room) tenantNumber(name string) uint32 {
	r.shelves.mu.Lock()
	defer r.shelves.mu.Unlock()
	return r.shelves.number(name)
}

package charging

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"tandem/bss/catalog"
	"tandem/bss/charging/core"
	"tandem/bss/rating"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/fault"
	"tandem/kit/outbox"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Fits refuses an option that gives what its line could never use, as data to a line
// whose tariff knows none, and one that is a tariff itself: the line keeps its own, so
// that nothing would be charged or limited by it. prices are those of the option.
func Fits(tx *store.Tx, line *subscription.Product, option *catalog.ProductOffering, prices []*catalog.ProductOfferingPrice) error {
	own, gives, err := rating.FromCatalog(option, prices)
	if err != nil || len(gives)+len(own.Rules) == 0 || line.Offering() == "" {
		return err
	}
	base, err := catalog.Offerings.Look(tx, line.Offering())
	if fault.Is(err, fault.NotFound) {
		return nil // nobody can say what it charges for
	}
	if err != nil {
		return err
	}
	sold, err := catalog.Prices(tx, base)
	if err != nil {
		return err
	}
	tariff, given, err := rating.FromCatalog(base, sold)
	if err != nil {
		return err
	}
	if len(own.Rules) > 0 && len(tariff.Rules)+len(given) > 0 {
		return tariffAsOption(option.Name)
	}
	for i := range gives {
		if a := &gives[i]; !usable(a, tariff.Rules) {
			return fault.BadInput("packDoesNotFit", "%q gives %q for %s; %q charges for %s, so nothing of it could be used", option.Name, a.Name,
				few(a.Classes, "all "+unitOf(a.Unit).String()), base.Name, few(classesOf(tariff.Rules), "nothing"))
		}
	}
	return nil
}

// tariffAsOption refuses an offering with usage prices of its own beside a tariff.
func tariffAsOption(name string) error {
	return fault.BadInput("tariffAsOption", "%q has prices of type usage: it is a tariff, and the line it would rely on has one. Sell it as a line of its own, or make an offering of allowances", name)
}

// usable says that a tariff charges for something that an allowance covers.
func usable(a *rating.Allowance, rules []rating.Rule) bool {
	unit := unitOf(a.Unit)
	return slices.ContainsFunc(rules, func(r rating.Rule) bool {
		switch {
		case r.Zero || r.Price == nil:
			return false
		case len(a.Classes) > 0:
			return slices.Contains(a.Classes, r.Class)
		}
		return unit == core.Money || unit.String() == r.Price.Unit
	})
}

func classesOf(rules []rating.Rule) (classes []string) {
	for _, r := range rules {
		if !r.Zero && r.Class != "" && !slices.Contains(classes, r.Class) {
			classes = append(classes, r.Class)
		}
	}
	return classes
}

// few names the first of some, or says that there are none.
func few(names []string, none string) string {
	switch {
	case len(names) == 0:
		return none
	case len(names) > 3:
		return strings.Join(names[:3], ", ") + " and " + strconv.Itoa(len(names)-3) + " more"
	}
	return strings.Join(names, ", ")
}

// FromBalance is what an option costs once if its line pays that from its balance: who
// has a prepaid account gets no bill. nil: it is billed.
func FromBalance(tx *store.Tx, line *subscription.Product, prices []*catalog.ProductOfferingPrice) (*subscription.FromBalance, error) {
	a, err := walletOf(tx, line)
	if err != nil || a == nil || a.Mode != core.Prepaid {
		return nil, err
	}
	return once(prices, a.Currency)
}

// walletOf is the account of a line; nil if it is not charged for.
func walletOf(tx *store.Tx, line *subscription.Product) (*account, error) {
	l, err := lineOf(tx, line.ID)
	if err == store.ErrNotFound {
		charged, err := Charges(tx, line.Offering())
		if err == nil && charged {
			err = fault.Clash("lineNotOpen", "The account of product %q is just being opened; try again in a moment", line.ID)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	a, err := oneAccount(tx, "number = $2", l.Account)
	return &a, err
}

// Reaches refuses what the balance of a line does not reach at the moment. It takes
// nothing: the balance is asked again when the option becomes active.
func Reaches(tx *store.Tx, line *subscription.Product, price tmf.Money) error {
	a, err := walletOf(tx, line)
	if err != nil || a == nil {
		return err
	}
	r, err := roomOf(tx)
	if err != nil {
		return err
	}
	free, err := r.freeOf(tx, *a)
	if err == nil && free < price.Nano {
		err = tooLow(price.Nano, free, a.Currency)
	}
	return err
}

func tooLow(price, free int64, currency string) error {
	return fault.Clash("balanceTooLow", "It costs %s %s, and %s %s of the balance are free: top it up first", major(price), currency, major(max(0, free)), currency)
}

// freeOf is what of the balance nobody has reserved, with its credit; where another
// node decides for the account, what the journal shows of it.
func (r *Room) freeOf(tx *store.Tx, a account) (free int64, err error) {
	buckets, err := r.bucketsOf(tx, a)
	if err != nil {
		return 0, err
	}
	for _, b := range buckets {
		d, err := r.definition(tx, b.row.definition)
		if err != nil {
			return 0, err
		}
		if d == nil || !d.Main {
			continue
		}
		seen := false
		if r.Engine.Look(refOf(a.Number), func(x *core.Account) { free, seen = r.freeIn(x) }) == nil && seen {
			return free, nil
		}
		err = tx.Row("SELECT coalesce(sum(amount), 0) FROM charging_entry WHERE tenant = $1 AND account = $2 AND bucket = $3", a.Number, b.row.bucket).Scan(&free)
		return free, err
	}
	return 0, nil
}

// freeIn is what of an account's balance nobody has reserved.
func (r *Room) freeIn(a *core.Account) (free int64, ok bool) {
	if b := r.mainOf(a); b != nil {
		return b.Value + b.Limit - b.Held, true
	}
	return 0, false
}

// mainOf is the balance of an account, nil if it has none.
func (r *Room) mainOf(a *core.Account) *core.Bucket {
	for i := range a.Buckets {
		if d := r.book.Definition(a.Buckets[i].Def); d != nil && d.Main {
			return &a.Buckets[i]
		}
	}
	return nil
}

// pay takes what an option costs once from the balance; the ledger has it as a fee.
func (r *Room) pay(h *core.Hand, o *order, currency string) error {
	if o.Amount == 0 {
		return nil
	}
	a := h.Account()
	if a == nil {
		return fault.New(fault.NotFound, "charging.account", "This account is not open for charging")
	}
	b := r.mainOf(a)
	if b == nil {
		return fault.New(fault.NotFound, "charging.bucket", "The account has no balance")
	}
	if free, _ := r.freeIn(a); free < o.Amount {
		return tooLow(o.Amount, free, currency)
	}
	return h.Credit(b.ID, -o.Amount, core.Fee, o.Ref, 0)
}

// optionRefused tells that a line was not given what its option gives.
func optionRefused(tx *store.Tx, c command, why string) error {
	var o order
	if err := json.Unmarshal([]byte(c.doc), &o); err != nil {
		return err
	}
	return tellRefused(tx, o.Ref, c.product, why)
}

func tellRefused(tx *store.Tx, option, line, why string) error {
	outbox.Tell(tx, fact.OptionRefused{Product: option, Line: line, Reason: why, At: tx.Now()})
	return nil
}

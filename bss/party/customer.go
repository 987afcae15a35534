package party

import (
	"slices"
	"time"

	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Customer is the relation to a party that buys or may buy (TMF629).
type Customer struct {
	tmf.Entity
	Name         string            `json:"name,omitzero" tmf:"required"`
	EngagedParty *tmf.RelatedParty `json:"engagedParty,omitzero" tmf:"required"`
	Terms
}

// PartyRole is any other part a party plays (TMF669): dealer, supplier, agent.
type PartyRole struct {
	tmf.Entity
	Name         string            `json:"name,omitzero" tmf:"required"`
	EngagedParty *tmf.RelatedParty `json:"engagedParty,omitzero"`
	Terms
}

// Terms are what customers and other roles have in common.
type Terms struct {
	Status         string               `json:"status,omitzero"`
	StatusReason   string               `json:"statusReason,omitzero"`
	ValidFor       *tmf.TimePeriod      `json:"validFor,omitzero"`
	Account        []AccountRef         `json:"account,omitzero"`
	Agreement      []RequiredRef        `json:"agreement,omitzero"`
	PaymentMethod  []RequiredRef        `json:"paymentMethod,omitzero"`
	CreditProfile  []CreditProfile      `json:"creditProfile,omitzero"`
	Characteristic []tmf.Characteristic `json:"characteristic,omitzero"`
	ContactMedium  []ContactMedium      `json:"contactMedium,omitzero"`
	RelatedParty   []tmf.RelatedParty   `json:"relatedParty,omitzero"`
}

// AccountRef points to an account of the receivables; the file asks for its name.
type AccountRef struct {
	ID           string `json:"id,omitzero"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero" tmf:"required"`
	Description  string `json:"description,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// RequiredRef points to an agreement or a means of payment, by id.
type RequiredRef struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// CreditProfile is what a credit agency said of the customer at a date.
type CreditProfile struct {
	CreditProfileDate time.Time       `json:"creditProfileDate,omitzero" tmf:"required"`
	CreditRiskRating  *int64          `json:"creditRiskRating,omitzero"`
	CreditScore       *int64          `json:"creditScore,omitzero"`
	ValidFor          *tmf.TimePeriod `json:"validFor,omitzero" tmf:"required"`
	tmf.Extension
}

// Customers are the customers of the tenant.
var Customers = tmf.Kind[Customer, *Customer]{
	API: &CustomerAPI, Name: "customer", Table: "party_customer", Verbs: tmf.All,
	Index:     []string{"name", "status", "engagedParty.id"},
	Multi:     []string{"relatedParty.id", "account.id"},
	StateAttr: "status",
}

// Roles are the other roles of parties of the tenant.
var Roles = tmf.Kind[PartyRole, *PartyRole]{
	API: &RoleAPI, Name: "partyRole", Table: "party_role", Verbs: tmf.All,
	Index:     []string{"name", "status", "engagedParty.id"},
	Multi:     []string{"relatedParty.id"},
	StateAttr: "status",
}

// Statuses the house itself acts on.
const (
	Prospective = "Prospective"
	Active      = "Active"
	Suspended   = "Suspended"
	Closed      = "Closed"
)

// statusMoves orders the statuses the house knows. The files leave the status
// free, so a word not in the table comes and goes as the operator likes, except
// that nothing leaves Closed.
var statusMoves = tmf.Moves{
	Prospective: {Active, Closed},
	Active:      {Suspended, Closed},
	Suspended:   {Active, Closed},
	Closed:      {},
}

func checkStatus(kind string, old, now Terms) error {
	_, knowsOld := statusMoves[old.Status]
	_, knowsNow := statusMoves[now.Status]
	switch {
	case old.Status == now.Status,
		!knowsOld,
		!knowsNow && old.Status != Closed,
		slices.Contains(statusMoves[old.Status], now.Status):
		return nil
	}
	return fault.Clash("illegalMove", "A %s that is %s cannot become %q", kind, old.Status, now.Status)
}

func defaultCustomer(_ *store.Tx, c *Customer) error {
	if c.Status == "" {
		c.Status = Active
	}
	return nil
}

func defaultRole(_ *store.Tx, r *PartyRole) error {
	if r.Status == "" {
		r.Status = Active
	}
	return nil
}

func checkCustomer(tx *store.Tx, old, c *Customer) error {
	if old != nil {
		if err := checkStatus("customer", old.Terms, c.Terms); err != nil {
			return err
		}
	}
	if err := checkMedia(c.ContactMedium); err != nil {
		return err
	}
	var was *tmf.RelatedParty
	if old != nil {
		was = old.EngagedParty
	}
	return engage(tx, was, c.EngagedParty)
}

func checkRole(tx *store.Tx, old, r *PartyRole) error {
	var was *tmf.RelatedParty
	if old != nil {
		if err := checkStatus("party role", old.Terms, r.Terms); err != nil {
			return err
		}
		was = old.EngagedParty
	}
	if err := checkMedia(r.ContactMedium); err != nil {
		return err
	}
	if r.EngagedParty == nil {
		return nil
	}
	return engage(tx, was, r.EngagedParty)
}

// savedCustomer asks those who may still need the customer before it goes.
func savedCustomer(tx *store.Tx, old, now *Customer) error {
	if now != nil {
		return nil
	}
	if err := unreferenced(tx, "customer", old.ID); err != nil {
		return err
	}
	return askKeepers(tx, old.ID)
}

func savedRole(tx *store.Tx, old, now *PartyRole) error {
	if now != nil {
		return nil
	}
	return unreferenced(tx, "partyRole", old.ID)
}

// engage checks that the engaged party exists and completes the reference with
// the party's own name and class. The party stays locked until the transaction
// ends, so that it cannot be deleted meanwhile. was is the party engaged so far:
// only a newly engaged one must be alive.
func engage(tx *store.Tx, was, ref *tmf.RelatedParty) error {
	p, err := find(tx, ref)
	if err != nil {
		return err
	}
	if p.gone != "" && (was == nil || was.ID != ref.ID) {
		return fault.BadInput("partyClosed", "%s %q is %s and cannot be engaged any more", p.class, p.name, p.gone)
	}
	ref.Name, ref.Href, ref.ReferredType = p.name, p.href, p.class
	return nil
}

// engaged is what a reference needs to know of a party.
type engaged struct{ name, href, class, gone string }

// find looks for the party where the reference says, or in both registers.
func find(tx *store.Tx, ref *tmf.RelatedParty) (engaged, error) {
	switch ref.ReferredType {
	case "", "Individual", "Organization", "Party":
	default:
		return engaged{}, fault.BadInput("wrongPartyType", "engagedParty is an Individual or an Organization, not a %s", ref.ReferredType)
	}
	if ref.ReferredType != "Organization" {
		p, err := Individuals.Lock(tx, ref.ID)
		if err == nil {
			return engaged{p.Name(), p.Href, "Individual", only(p.Status, "deceaded")}, nil
		}
		if !fault.Is(err, fault.NotFound) {
			return engaged{}, err
		}
	}
	if ref.ReferredType != "Individual" {
		o, err := Organizations.Lock(tx, ref.ID)
		if err == nil {
			return engaged{o.TradingName, o.Href, "Organization", only(o.Status, "closed")}, nil
		}
		if !fault.Is(err, fault.NotFound) {
			return engaged{}, err
		}
	}
	return engaged{}, fault.BadInput("unknownParty", "engagedParty: there is no individual or organization with id %q", ref.ID)
}

func only(status, gone string) string {
	if status == gone {
		return status
	}
	return ""
}

package party

import (
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Organization is a company, a public body or a part of one (TMF632).
type Organization struct {
	tmf.Entity
	TradingName      string          `json:"tradingName,omitzero" tmf:"required"`
	Name             string          `json:"name,omitzero"`
	NameType         string          `json:"nameType,omitzero"`         // Co, Inc, Ltd
	OrganizationType string          `json:"organizationType,omitzero"` // company, department, franchise
	IsHeadOffice     *bool           `json:"isHeadOffice,omitzero"`
	IsLegalEntity    *bool           `json:"isLegalEntity,omitzero"`
	ExistsDuring     *tmf.TimePeriod `json:"existsDuring,omitzero"`
	Status           string          `json:"status,omitzero" tmf:"enum=initialized|validated|closed"`

	OrganizationParentRelationship *OrganizationRelationship  `json:"organizationParentRelationship,omitzero"`
	OrganizationChildRelationship  []OrganizationRelationship `json:"organizationChildRelationship,omitzero"`

	ContactMedium              []ContactMedium           `json:"contactMedium,omitzero"`
	OrganizationIdentification []Identification          `json:"organizationIdentification,omitzero"`
	OtherName                  []OtherNameOrganization   `json:"otherName,omitzero"`
	CreditRating               []PartyCreditProfile      `json:"creditRating,omitzero"`
	TaxExemptionCertificate    []TaxExemptionCertificate `json:"taxExemptionCertificate,omitzero"`
	PartyCharacteristic        []tmf.Characteristic      `json:"partyCharacteristic,omitzero"`
	ExternalReference          []tmf.ExternalReference   `json:"externalReference,omitzero"`
	RelatedParty               []tmf.RelatedParty        `json:"relatedParty,omitzero"`
}

// OrganizationRelationship points from a part to the whole, or back.
type OrganizationRelationship struct {
	RelationshipType string           `json:"relationshipType,omitzero"`
	Organization     *OrganizationRef `json:"organization,omitzero" tmf:"required"`
	tmf.Extension
}

// OrganizationRef names another organization of the tenant.
type OrganizationRef struct {
	ID           string `json:"id,omitzero" tmf:"required"`
	Href         string `json:"href,omitzero"`
	Name         string `json:"name,omitzero"`
	ReferredType string `json:"@referredType,omitzero"`
	tmf.Extension
}

// OtherNameOrganization is a name the organization bears or bore besides.
type OtherNameOrganization struct {
	Name        string          `json:"name,omitzero"`
	NameType    string          `json:"nameType,omitzero"`
	TradingName string          `json:"tradingName,omitzero"`
	ValidFor    *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// Organizations are the bodies of the tenant.
var Organizations = tmf.Kind[Organization, *Organization]{
	API: &PartyAPI, Name: "organization", Table: "party_organization", Verbs: tmf.All,
	Index:     []string{"tradingName", "status", "organizationParentRelationship.organization.id"},
	Multi:     []string{"relatedParty.id", "organizationIdentification.identificationId", "organizationChildRelationship.organization.id"},
	StateAttr: "status",
	Moves: tmf.Moves{
		"":            {"initialized", "validated"},
		"initialized": {"validated", "closed"},
		"validated":   {"initialized", "closed"},
	},
}

// maxGroupDepth is how many levels a group of organizations may have.
const maxGroupDepth = 20

func defaultOrganization(_ *store.Tx, o *Organization) error {
	if o.Status == "" {
		o.Status = "initialized"
	}
	return nil
}

func checkOrganization(tx *store.Tx, _, o *Organization) error {
	if err := checkMedia(o.ContactMedium); err != nil {
		return err
	}
	for i := range o.OrganizationChildRelationship {
		if _, err := refer(tx, o.OrganizationChildRelationship[i].Organization, o.ID); err != nil {
			return err
		}
	}
	return checkParent(tx, o)
}

// checkParent walks up the group: every step must exist and none may come back.
func checkParent(tx *store.Tx, o *Organization) error {
	rel := o.OrganizationParentRelationship
	for depth := 0; rel != nil; depth++ {
		if depth == maxGroupDepth {
			return fault.BadInput("groupTooDeep", "A group of organizations has at most %d levels", maxGroupDepth)
		}
		parent, err := refer(tx, rel.Organization, o.ID)
		if err != nil {
			return err
		}
		rel = parent.OrganizationParentRelationship
	}
	return nil
}

// refer completes a reference to an organization, which stays locked until the
// transaction ends, so that it cannot be deleted meanwhile.
func refer(tx *store.Tx, ref *OrganizationRef, self string) (*Organization, error) {
	if ref.ID == self {
		return nil, fault.BadInput("organizationCycle", "Organization %q would be part of itself", self)
	}
	found, err := Organizations.Lock(tx, ref.ID)
	if fault.Is(err, fault.NotFound) {
		return nil, fault.BadInput("unknownOrganization", "There is no organization with id %q", ref.ID)
	}
	if err != nil {
		return nil, err
	}
	ref.Name, ref.Href, ref.ReferredType = found.TradingName, found.Href, "Organization"
	return found, nil
}

// savedOrganization refuses the delete of an organization that has parts.
func savedOrganization(tx *store.Tx, old, now *Organization) error {
	if now != nil {
		return nil
	}
	for _, path := range []string{"organizationParentRelationship.organization.id", "organizationChildRelationship.organization.id"} {
		used, err := Organizations.Select(tx, tmf.Where{path: old.ID}, tmf.Page{Limit: 1})
		if err != nil {
			return err
		}
		if len(used) > 0 {
			return stillNeeded("organization", old.ID, "organization", used[0].ID)
		}
	}
	return unreferenced(tx, "organization", old.ID)
}

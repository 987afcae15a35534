package inventory

import (
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Resource is anything of the network a service can run on. @type says whether
// it is a LogicalResource (value) or a PhysicalResource (the last four attributes).
type Resource struct {
	tmf.Entity
	ActivationFeature      []Feature              `json:"activationFeature,omitzero"`
	AdministrativeState    string                 `json:"administrativeState,omitzero" tmf:"enum=locked|unlocked|shutdown"`
	Attachment             []tmf.Attachment       `json:"attachment,omitzero"`
	Category               string                 `json:"category,omitzero"`
	Description            string                 `json:"description,omitzero"`
	EndOperatingDate       time.Time              `json:"endOperatingDate,omitzero"`
	Name                   string                 `json:"name,omitzero" tmf:"required"`
	Note                   []tmf.Note             `json:"note,omitzero"`
	OperationalState       string                 `json:"operationalState,omitzero" tmf:"enum=enable|disable"`
	Place                  *tmf.Place             `json:"place,omitzero"`
	RelatedParty           []tmf.RelatedParty     `json:"relatedParty,omitzero"`
	ResourceCharacteristic []tmf.Characteristic   `json:"resourceCharacteristic,omitzero"`
	ResourceRelationship   []ResourceRelationship `json:"resourceRelationship,omitzero"`
	ResourceSpecification  *tmf.Ref               `json:"resourceSpecification,omitzero"`
	ResourceStatus         string                 `json:"resourceStatus,omitzero" tmf:"enum=standby|alarm|available|reserved|unknown|suspended"`
	ResourceVersion        string                 `json:"resourceVersion,omitzero"`
	StartOperatingDate     time.Time              `json:"startOperatingDate,omitzero"`
	UsageState             string                 `json:"usageState,omitzero" tmf:"enum=idle|active|busy"`

	Value string `json:"value,omitzero"`

	ManufactureDate time.Time `json:"manufactureDate,omitzero"`
	PowerState      string    `json:"powerState,omitzero"`
	SerialNumber    string    `json:"serialNumber,omitzero"`
	VersionNumber   string    `json:"versionNumber,omitzero"`

	// BuiltBy is the order that made the resource or changed it last, if one did:
	// see keep.go.
	BuiltBy string `json:"builtBy,omitzero"`
}

// ResourceRelationship ties a resource to another; the types are in relation.go.
type ResourceRelationship struct {
	ID               string   `json:"id,omitzero"`
	Href             string   `json:"href,omitzero"`
	RelationshipType string   `json:"relationshipType,omitzero" tmf:"required"`
	Role             string   `json:"role,omitzero"`
	Resource         *tmf.Ref `json:"resource,omitzero" tmf:"required"`
	tmf.Extension
}

// Site is a place of the operator or of a customer (TMF674).
type Site struct {
	tmf.Entity
	Calendar         []CalendarPeriod   `json:"calendar,omitzero"`
	Code             string             `json:"code,omitzero"`
	Description      string             `json:"description,omitzero"`
	Name             string             `json:"name,omitzero"`
	Place            []tmf.Place        `json:"place,omitzero"`
	RelatedParty     []tmf.RelatedParty `json:"relatedParty,omitzero"`
	SiteRelationship []SiteRelationship `json:"siteRelationship,omitzero"`
	Status           string             `json:"status,omitzero"`
}

// CalendarPeriod says when a site is open.
type CalendarPeriod struct {
	Day        string       `json:"day,omitzero"`
	HourPeriod []HourPeriod `json:"hourPeriod,omitzero"`
	Status     string       `json:"status,omitzero"`
	TimeZone   string       `json:"timeZone,omitzero"`
	tmf.Extension
}

// HourPeriod is a part of a day.
type HourPeriod struct {
	StartHour string `json:"startHour,omitzero"`
	EndHour   string `json:"endHour,omitzero"`
	tmf.Extension
}

// SiteRelationship ties a site to another; the types are in relation.go.
type SiteRelationship struct {
	ID               string          `json:"id,omitzero" tmf:"required"`
	Href             string          `json:"href,omitzero"`
	RelationshipType string          `json:"relationshipType,omitzero" tmf:"required"`
	Role             string          `json:"role,omitzero"`
	ValidFor         *tmf.TimePeriod `json:"validFor,omitzero"`
	tmf.Extension
}

// The APIs, the resources of TMF639 and the sites of TMF674.
var (
	ResourceAPI = tmf.API{ID: "TMF639", Name: "Resource Inventory Management", Version: "4.0.0", Base: "/tmf-api/resourceInventoryManagement/v4"}
	Resources   = tmf.Kind[Resource, *Resource]{API: &ResourceAPI, Name: "resource", Table: "inventory_resource", Verbs: tmf.All,
		Index: []string{"resourceStatus", "resourceSpecification.id", "value"}, Multi: []string{"relatedParty.id"},
		StateAttr: "resourceStatus", Frozen: []string{"builtBy"}}

	SiteAPI = tmf.API{ID: "TMF674", Name: "Geographic Site Management", Version: "4.0.0", Base: "/tmf-api/geographicSiteManagement/v4"}
	Sites   = tmf.Kind[Site, *Site]{API: &SiteAPI, Name: "geographicSite", Table: "inventory_geographic_site", Verbs: tmf.All,
		Index: []string{"name", "code", "status"}, Multi: []string{"relatedParty.id"}, StateAttr: "status", Events: tmf.EventNames{State: "StatusChangeEvent"}}
)

func initResources() {
	keepResources()
	Resources.Check = func(tx *store.Tx, old, r *Resource) error { return checkGraph(tx, resourceNode(old), resourceNode(r)) }
	Resources.Saved = func(tx *store.Tx, old, r *Resource) error { return saveGraph(tx, resourceNode(old), resourceNode(r)) }
	Sites.Check = func(tx *store.Tx, old, s *Site) error { return checkGraph(tx, siteNode(old), siteNode(s)) }
	Sites.Saved = func(tx *store.Tx, old, s *Site) error { return saveGraph(tx, siteNode(old), siteNode(s)) }
}

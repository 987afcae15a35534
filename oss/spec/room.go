package spec

import (
	"embed"
	"slices"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("spec", schemaFiles)}

// The APIs of the room.
var (
	ServiceCatalogAPI = tmf.API{ID: "TMF633", Name: "Service Catalog Management", Version: "4.0.0",
		Base: "/tmf-api/serviceCatalogManagement/v4"}
	ResourceCatalogAPI = tmf.API{ID: "TMF634", Name: "Resource Catalog Management", Version: "4.1.0",
		Base: "/tmf-api/resourceCatalog/v4"}
)

// States of a catalogue entry's life.
const (
	InStudy  = "In study"
	InDesign = "In design"
	InTest   = "In test"
	Active   = "Active"
	Launched = "Launched"
	Retired  = "Retired"
	Obsolete = "Obsolete"
	Rejected = "Rejected"
)

// life is the life of everything in a catalogue. A catalogue taken over from
// elsewhere may begin in any state but the last two.
var life = tmf.Moves{
	"":       {InStudy, InDesign, InTest, Active, Launched, Retired},
	InStudy:  {InDesign, InTest, Active, Launched, Rejected},
	InDesign: {InStudy, InTest, Active, Launched, Rejected},
	InTest:   {InDesign, Active, Launched, Rejected},
	Active:   {Launched, Retired},
	Launched: {Retired},
	Retired:  {Launched, Obsolete},
	Obsolete: {},
	Rejected: {InStudy},
}

const firstVersion = "1.0"

// changes have one name in TMF633 and TMF634, whether of the state or not.
var changes = tmf.EventNames{Change: "ChangeEvent", State: "ChangeEvent"}

// The resources of the room.
var (
	ServiceCatalogs = tmf.Kind[ServiceCatalog, *ServiceCatalog]{API: &ServiceCatalogAPI, Name: "serviceCatalog", Table: "spec_service_catalog",
		Verbs: tmf.All, Index: []string{"name", "lifecycleStatus"}, Multi: []string{"category.id"}, StateAttr: "lifecycleStatus", Moves: life, Events: changes}
	ServiceCategories = tmf.Kind[ServiceCategory, *ServiceCategory]{API: &ServiceCatalogAPI, Name: "serviceCategory", Table: "spec_service_category",
		Verbs: tmf.All, Index: []string{"name", "parentId"}, Multi: []string{"category.id", "serviceCandidate.id"}, StateAttr: "lifecycleStatus", Moves: life, Events: changes}
	ServiceCandidates = tmf.Kind[ServiceCandidate, *ServiceCandidate]{API: &ServiceCatalogAPI, Name: "serviceCandidate", Table: "spec_service_candidate",
		Verbs: tmf.All, Index: []string{"name", "serviceSpecification.id"}, Multi: []string{"category.id"}, StateAttr: "lifecycleStatus", Moves: life, Events: changes}
	ServiceSpecifications = tmf.Kind[ServiceSpecification, *ServiceSpecification]{API: &ServiceCatalogAPI, Name: "serviceSpecification", Table: "spec_service_specification",
		Verbs: tmf.All, Index: []string{"name", "lifecycleStatus", "@type"}, Multi: []string{"serviceSpecRelationship.id", "resourceSpecification.id"},
		StateAttr: "lifecycleStatus", Moves: life, Events: changes}

	ResourceCatalogs = tmf.Kind[ResourceCatalog, *ResourceCatalog]{API: &ResourceCatalogAPI, Name: "resourceCatalog", Table: "spec_resource_catalog",
		Verbs: tmf.All, Index: []string{"name", "lifecycleStatus"}, Multi: []string{"category.id"}, StateAttr: "lifecycleStatus", Moves: life, Events: changes}
	ResourceCategories = tmf.Kind[ResourceCategory, *ResourceCategory]{API: &ResourceCatalogAPI, Name: "resourceCategory", Table: "spec_resource_category",
		Verbs: tmf.All, Index: []string{"name", "parentId"}, Multi: []string{"category.id", "resourceCandidate.id"}, StateAttr: "lifecycleStatus", Moves: life, Events: changes}
	ResourceCandidates = tmf.Kind[ResourceCandidate, *ResourceCandidate]{API: &ResourceCatalogAPI, Name: "resourceCandidate", Table: "spec_resource_candidate",
		Verbs: tmf.All, Index: []string{"name", "resourceSpecification.id"}, Multi: []string{"category.id"}, StateAttr: "lifecycleStatus", Moves: life, Events: changes}
	ResourceSpecifications = tmf.Kind[ResourceSpecification, *ResourceSpecification]{API: &ResourceCatalogAPI, Name: "resourceSpecification", Table: "spec_resource_specification",
		Verbs: tmf.All, Index: []string{"name", "lifecycleStatus", "category", "@type"}, Multi: []string{"resourceSpecRelationship.id"},
		StateAttr: "lifecycleStatus", Moves: life, Events: changes}
)

// Import and export jobs of the two catalogues; app gives them a runner and a folder.
var (
	ServiceJobs = transfer.New(&ServiceCatalogAPI, "spec_service", transfer.Of(&ServiceSpecifications, "CustomerFacingServiceSpecification", "ResourceFacingServiceSpecification"),
		transfer.Of(&ServiceCandidates), transfer.Of(&ServiceCategories), transfer.Of(&ServiceCatalogs))
	ResourceJobs = transfer.New(&ResourceCatalogAPI, "spec_resource", transfer.Of(&ResourceSpecifications, "LogicalResourceSpecification", "PhysicalResourceSpecification"),
		transfer.Of(&ResourceCandidates), transfer.Of(&ResourceCategories), transfer.Of(&ResourceCatalogs))
)

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	kinds := []tmf.Mounted{
		&ServiceCatalogs, &ServiceCategories, &ServiceCandidates, &ServiceSpecifications,
		&ResourceCatalogs, &ResourceCategories, &ResourceCandidates, &ResourceSpecifications,
	}
	return slices.Concat(kinds, ServiceJobs.Kinds(), ResourceJobs.Kinds())
}

// begin fills in what every new catalogue entry has.
func begin(tx *store.Tx, version, status *string, updated *time.Time) {
	if *version == "" {
		*version = firstVersion
	}
	if *status == "" {
		*status = InDesign
	}
	*updated = tx.Now()
}

func init() {
	ServiceCatalogs.Default = func(tx *store.Tx, p *ServiceCatalog) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		return nil
	}
	ServiceCatalogs.Check = func(tx *store.Tx, old, p *ServiceCatalog) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was []tmf.Ref
		if old != nil {
			was = old.Category
		}
		return refsExist(tx, &ServiceCategories, "category", was, p.Category)
	}
	ResourceCatalogs.Default = func(tx *store.Tx, p *ResourceCatalog) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		return nil
	}
	ResourceCatalogs.Check = func(tx *store.Tx, old, p *ResourceCatalog) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was []tmf.Ref
		if old != nil {
			was = old.Category
		}
		return refsExist(tx, &ResourceCategories, "category", was, p.Category)
	}
	initCategories()
	initCandidates()
	initSpecifications()
}

func initCategories() {
	ServiceCategories.Default = func(tx *store.Tx, p *ServiceCategory) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		p.IsRoot = rootUnless(p.IsRoot, p.ParentID)
		return nil
	}
	ServiceCategories.Check = func(tx *store.Tx, old, p *ServiceCategory) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was ServiceCategory
		if old != nil {
			was = *old
		}
		if err := refsExist(tx, &ServiceCategories, "category", was.Category, p.Category); err != nil {
			return err
		}
		if err := refsExist(tx, &ServiceCandidates, "serviceCandidate", was.ServiceCandidate, p.ServiceCandidate); err != nil {
			return err
		}
		return checkParent(tx, p.ID, was.ParentID, p.ParentID, p.IsRoot, func(id string) (string, error) {
			c, err := ServiceCategories.Get(tx, id)
			if err != nil {
				return "", err
			}
			return c.ParentID, nil
		})
	}
	ServiceCategories.Saved = func(tx *store.Tx, old, p *ServiceCategory) error {
		if p != nil {
			return nil
		}
		return unusedCategory(tx, old.ID, &ServiceCategories, &ServiceCatalogs, &ServiceCandidates)
	}
	ResourceCategories.Default = func(tx *store.Tx, p *ResourceCategory) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		p.IsRoot = rootUnless(p.IsRoot, p.ParentID)
		return nil
	}
	ResourceCategories.Check = func(tx *store.Tx, old, p *ResourceCategory) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was ResourceCategory
		if old != nil {
			was = *old
		}
		if err := refsExist(tx, &ResourceCategories, "category", was.Category, p.Category); err != nil {
			return err
		}
		if err := refsExist(tx, &ResourceCandidates, "resourceCandidate", was.ResourceCandidate, p.ResourceCandidate); err != nil {
			return err
		}
		return checkParent(tx, p.ID, was.ParentID, p.ParentID, p.IsRoot, func(id string) (string, error) {
			c, err := ResourceCategories.Get(tx, id)
			if err != nil {
				return "", err
			}
			return c.ParentID, nil
		})
	}
	ResourceCategories.Saved = func(tx *store.Tx, old, p *ResourceCategory) error {
		if p != nil {
			return nil
		}
		return unusedCategory(tx, old.ID, &ResourceCategories, &ResourceCatalogs, &ResourceCandidates)
	}
}

func initCandidates() {
	ServiceCandidates.Default = func(tx *store.Tx, p *ServiceCandidate) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		return nil
	}
	ServiceCandidates.Check = func(tx *store.Tx, old, p *ServiceCandidate) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was ServiceCandidate
		if old != nil {
			was = *old
		}
		if err := refsExist(tx, &ServiceCategories, "category", was.Category, p.Category); err != nil {
			return err
		}
		return refsExist(tx, &ServiceSpecifications, "serviceSpecification", one(was.ServiceSpecification), one(p.ServiceSpecification))
	}
	ServiceCandidates.Saved = func(tx *store.Tx, old, p *ServiceCandidate) error {
		if p != nil {
			return nil
		}
		return unused(tx, "serviceCandidate", old.ID, use{&ServiceCategories, "serviceCandidate.id"})
	}
	ResourceCandidates.Default = func(tx *store.Tx, p *ResourceCandidate) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		return nil
	}
	ResourceCandidates.Check = func(tx *store.Tx, old, p *ResourceCandidate) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was ResourceCandidate
		if old != nil {
			was = *old
		}
		if err := refsExist(tx, &ResourceCategories, "category", was.Category, p.Category); err != nil {
			return err
		}
		return refsExist(tx, &ResourceSpecifications, "resourceSpecification", one(was.ResourceSpecification), one(p.ResourceSpecification))
	}
	ResourceCandidates.Saved = func(tx *store.Tx, old, p *ResourceCandidate) error {
		if p != nil {
			return nil
		}
		return unused(tx, "resourceCandidate", old.ID, use{&ResourceCategories, "resourceCandidate.id"})
	}
}

func initSpecifications() {
	ServiceSpecifications.Default = func(tx *store.Tx, p *ServiceSpecification) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		if p.IsBundle == nil {
			p.IsBundle = new(bool)
		}
		return nil
	}
	ServiceSpecifications.Check = func(tx *store.Tx, old, p *ServiceSpecification) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was *member
		if old != nil {
			was = old.member()
		}
		return check(tx, was, p.member())
	}
	ServiceSpecifications.Saved = func(tx *store.Tx, old, p *ServiceSpecification) error {
		if p != nil {
			return nil
		}
		return drop(tx, old.member(), use{&ServiceSpecifications, "serviceSpecRelationship.id"}, use{&ServiceCandidates, "serviceSpecification.id"})
	}
	ResourceSpecifications.Default = func(tx *store.Tx, p *ResourceSpecification) error {
		begin(tx, &p.Version, &p.LifecycleStatus, &p.LastUpdate)
		if p.IsBundle == nil {
			p.IsBundle = new(bool)
		}
		return nil
	}
	ResourceSpecifications.Check = func(tx *store.Tx, old, p *ResourceSpecification) error {
		touch(tx, old == nil || !same(old, p), &p.LastUpdate)
		var was *member
		if old != nil {
			was = old.member()
		}
		return check(tx, was, p.member())
	}
	ResourceSpecifications.Saved = func(tx *store.Tx, old, p *ResourceSpecification) error {
		if p != nil {
			return nil
		}
		return drop(tx, old.member(), use{&ServiceSpecifications, "resourceSpecification.id"},
			use{&ResourceSpecifications, "resourceSpecRelationship.id"}, use{&ResourceCandidates, "resourceSpecification.id"})
	}
}

package catalog

import (
	"time"

	"tandem/kit/tmf"
)

// Catalog is a collection of categories for an audience (TMF620).
type Catalog struct {
	tmf.Entity
	Name            string             `json:"name,omitzero" tmf:"required"`
	Description     string             `json:"description,omitzero"`
	CatalogType     string             `json:"catalogType,omitzero"`
	Version         string             `json:"version,omitzero"`
	LifecycleStatus string             `json:"lifecycleStatus,omitzero"`
	LastUpdate      time.Time          `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod    `json:"validFor,omitzero"`
	Category        []Ref              `json:"category,omitzero"`
	RelatedParty    []tmf.RelatedParty `json:"relatedParty,omitzero"`
}

// Category groups offerings; categories form a tree by parentId (TMF620).
type Category struct {
	tmf.Entity
	Name            string          `json:"name,omitzero" tmf:"required"`
	Description     string          `json:"description,omitzero"`
	Version         string          `json:"version,omitzero"`
	LifecycleStatus string          `json:"lifecycleStatus,omitzero"`
	LastUpdate      time.Time       `json:"lastUpdate,omitzero"`
	ValidFor        *tmf.TimePeriod `json:"validFor,omitzero"`
	IsRoot          *bool           `json:"isRoot,omitzero"`
	ParentID        string          `json:"parentId,omitzero"`
	SubCategory     []Ref           `json:"subCategory,omitzero"`
	ProductOffering []Ref           `json:"productOffering,omitzero"`
}

// Catalogs are the catalogues of the tenant.
var Catalogs = tmf.Kind[Catalog, *Catalog]{
	API: &API, Name: "catalog", Table: "catalog_catalog", Verbs: tmf.All,
	Index:     []string{"lifecycleStatus", "name"},
	Multi:     []string{"category.id"},
	StateAttr: "lifecycleStatus", Moves: lifecycle, Frozen: []string{"lastUpdate"},
}

// Categories are the categories of the tenant.
var Categories = tmf.Kind[Category, *Category]{
	API: &API, Name: "category", Table: "catalog_category", Verbs: tmf.All,
	Index:     []string{"lifecycleStatus", "name", "parentId"},
	Multi:     []string{"subCategory.id", "productOffering.id"},
	StateAttr: "lifecycleStatus", Moves: lifecycle, Frozen: []string{"lastUpdate"},
}

package catalog

import (
	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/transfer"
)

// API is TMF620.
var API = tmf.API{ID: "TMF620", Name: "Product Catalog Management", Version: "4.1.0", Base: "/tmf-api/productCatalogManagement/v4"}

// Jobs are importJob and exportJob over the whole catalogue; app starts them.
var Jobs = transfer.New(&API, "catalog",
	transfer.Of(&Specs), transfer.Of(&OfferingPrices), transfer.Of(&Categories), transfer.Of(&Offerings), transfer.Of(&Catalogs))

func init() { // hooks refer back to their kinds
	Specs.Default, Specs.Check, Specs.Saved = defaultSpec, checkSpec, savedSpec
	OfferingPrices.Default, OfferingPrices.Check, OfferingPrices.Saved = defaultPrice, checkPrice, savedPrice
	Offerings.Default, Offerings.Check, Offerings.Saved = defaultOffering, checkOffering, savedOffering
	Categories.Default, Categories.Check, Categories.Saved = defaultCategory, checkCategory, savedCategory
	Catalogs.Default, Catalogs.Check = defaultCatalog, checkCatalog
}

// Schemas is empty: the room has no tables besides those of its kinds.
var Schemas []store.Schema

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return append([]tmf.Mounted{&Catalogs, &Categories, &Offerings, &OfferingPrices, &Specs}, Jobs.Kinds()...)
}

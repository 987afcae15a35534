package subscription

import (
	"embed"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("subscription", schemaFiles)}

func init() { // hooks refer back to the kind
	Products.Check = check
	Products.OnPost, Products.OnPatch, Products.OnDelete = post, patch, remove
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&Products} }

package receivable

import (
	"embed"

	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("receivable", schemaFiles)}

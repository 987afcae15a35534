package subscription

import (
	"embed"
	"io/fs"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{{Room: "subscription", Files: folder()}}

func folder() fs.FS {
	sub, err := fs.Sub(schemaFiles, "schema")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

func init() { // hooks refer back to the kind
	Products.Check = check
	Products.OnPost, Products.OnPatch, Products.OnDelete = post, patch, remove
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&Products} }

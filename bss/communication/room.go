package communication

import (
	"embed"
	"io/fs"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{{Room: "communication", Files: folder()}}

func folder() fs.FS {
	sub, err := fs.Sub(schemaFiles, "schema")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

func init() { // hooks refer back to their kinds
	Messages.Default, Messages.Check, Messages.Saved = defaultMessage, checkMessage, savedMessage
	Messages.OnPatch, Messages.OnDelete = patchMessage, removeMessage
	Templates.OnPost, Templates.Check = postTemplate, checkTemplate
	Preferences.OnPost, Preferences.Check = postPreference, checkPreference
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&Messages, &Templates, &Preferences, &Unsent} }

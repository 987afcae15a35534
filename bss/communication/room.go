package communication

import (
	"embed"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("communication", schemaFiles)}

func init() { // hooks refer back to their kinds
	Messages.Default, Messages.Check, Messages.Saved = defaultMessage, checkMessage, savedMessage
	Messages.OnPatch, Messages.OnDelete = patchMessage, removeMessage
	Templates.OnPost, Templates.Check = postTemplate, checkTemplate
	Preferences.OnPost, Preferences.Check = postPreference, checkPreference
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted { return []tmf.Mounted{&Messages, &Templates, &Preferences, &Unsent} }

package revenue

import (
	"embed"

	"tandem/kit/store"
	"tandem/kit/tmf"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schemas are the room's own tables.
var Schemas = []store.Schema{store.Embedded("revenue", schemaFiles)}

func init() { // hooks refer back to their kinds
	Controls.Rows.Scan = scanControl
	Controls.OnPatch, Findings.OnPatch, ControlRuns.OnPost, Reports.Act = patchControl, patchFinding, postRun, postReport
}

// Kinds are the room's resources.
func Kinds() []tmf.Mounted {
	return []tmf.Mounted{&Controls, &ControlRuns, &Findings, &Reports}
}

package tmf

import "strings"

// Layout is what Migrate makes in an empty store, as text: where it is the same, so are
// the tables.
func Layout(kinds []Mounted) string {
	var b strings.Builder
	for _, k := range kinds {
		if m := k.Meta(); !m.Rows {
			b.WriteString(m.Table + ": " + strings.Join(m.promoted(), " ") + "\n" + m.ddl(true, nil))
		}
	}
	return b.String()
}

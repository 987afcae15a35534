package bench

import (
	"testing"

	"tandem/edge/cdr"
	"tandem/kit/store"
)

// Files are written, taken and written down, in both formats; the figures are of
// records that are there.
func TestChargingFiles(t *testing.T) {
	was := fileRecords
	fileRecords = 3000
	defer func() { fileRecords = was }()
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		for _, format := range []string{cdr.Format3GPP, cdr.FormatCSV} {
			t.Run(engine.String()+" "+format, func(t *testing.T) {
				o := ChargingOptions{Face: "file", Format: format, Accounts: 300,
					Options: quietly(t, engine)}
				res, err := Charging(t.Context(), o) // one file to warm up, one to measure
				if err != nil {
					t.Fatal(err)
				}
				if n := res.Own["records"].(int64); n != 3000 || res.PerSecond <= 0 || res.FloorPerSecond <= 0 {
					t.Errorf("%+v", res)
				}
			})
		}
	}
}

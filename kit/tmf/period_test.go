package tmf_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tandem/kit/store"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// Lease has periods at every level.
type Lease struct {
	tmf.Entity
	ValidFor *tmf.TimePeriod  `json:"validFor,omitzero"`
	Term     tmf.TimePeriod   `json:"term,omitzero"`
	Pauses   []tmf.TimePeriod `json:"pauses,omitzero"`
	Rooms    []Room           `json:"rooms,omitzero"`
}

// Room is part of a lease.
type Room struct {
	Name     string          `json:"name,omitzero"`
	ValidFor *tmf.TimePeriod `json:"validFor,omitzero"`
	Sub      *Room           `json:"sub,omitzero"`
	tmf.Extension
}

var leases = tmf.Kind[Lease, *Lease]{API: api, Name: "lease", Table: "test_lease", Verbs: tmf.All}

func TestNoPeriodEndsBeforeItBegins(t *testing.T) {
	kinds := []tmf.Mounted{&leases}
	tmftest.Each(t, nil, kinds, func(t *testing.T, db *store.DB) {
		a := tmftest.Serve(t, db, kinds)
		at := func(d time.Duration) string {
			return tmf.FormatTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(d))
		}
		period := func(from, to string) string { return fmt.Sprintf(`{"startDateTime":%q,"endDateTime":%q}`, from, to) }
		good, empty, bad := period(at(0), at(time.Second)), period(at(0), at(0)), period(at(time.Microsecond), at(0))
		for shape, path := range map[string]string{
			`{"validFor":%s}`: "validFor", `{"term":%s}`: "term", `{"pauses":[{},%s]}`: "pauses[1]",
			`{"rooms":[{},{"validFor":%s}]}`: "rooms[1].validFor", `{"rooms":[{"sub":{"sub":{"validFor":%s}}}]}`: "rooms[0].sub.sub.validFor",
		} {
			for _, ok := range []string{good, empty, `{}`, `{"startDateTime":"2026-01-01T00:00:00Z"}`, `{"endDateTime":"2026-01-01T00:00:00Z"}`} {
				if r := a.Do("mno", "POST", "/tmf-api/things/v4/lease", fmt.Sprintf(shape, ok)); r.Status != 201 {
					t.Errorf("%s with %s: %d %s", path, ok, r.Status, r.Body)
				}
			}
			if r := a.Do("mno", "POST", "/tmf-api/things/v4/lease", fmt.Sprintf(shape, bad)); r.Status != 400 || !strings.Contains(string(r.Body), path+" ends before it starts") {
				t.Errorf("%s: %d %s", path, r.Status, r.Body)
			}
		}
	})
}

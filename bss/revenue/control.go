package revenue

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/kit/access"
	"tandem/kit/civil"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// Rungs of the ladder of correction.
const (
	Observe = "observe" // findings are counted
	Case    = "case"    // and are somebody's case
	Propose = "propose" // with what would put it right, for a person to accept
	Fix     = "fix"     // put right by itself where the control's policy allows
)

// Areas of leakage (TM Forum GB941-D).
const (
	areaOrder       = "order"
	areaNetwork     = "network"
	areaUsage       = "usage"
	areaRating      = "rating"
	areaBilling     = "billing"
	areaReceivables = "receivables"
	areaFinance     = "finance"
	areaCustomer    = "customer"
)

// Formulas of what a mismatch comes to.
const (
	byDay    = "monthlyByDay" // the monthly amount for each whole day since it began
	byAmount = "amount"       // the difference itself
)

// Control holds one set against another. What it compares is the house's; how much it
// bears, whose it is and what is done about it are the tenant's.
type Control struct {
	tmf.Entity
	Name       string   `json:"name,omitzero"`
	Area       string   `json:"area,omitzero"`
	Left       string   `json:"leftSet,omitzero"`
	Right      string   `json:"rightSet,omitzero"`
	Key        string   `json:"key,omitzero"`
	Classes    []string `json:"mismatchClass,omitzero"`
	Formula    string   `json:"formula,omitzero"`
	Confidence int64    `json:"confidence,omitzero"` // how often a finding is one, in per cent
	Gone       string   `json:"whenGone,omitzero"`   // what a finding becomes at best that is not found any more

	Enabled    *bool      `json:"enabled,omitzero"`
	Tolerance  *tmf.Money `json:"tolerance,omitzero"` // differences up to it are none
	Patience   string     `json:"patience,omitzero"`  // ISO 8601: what is younger may be on its way
	Owner      string     `json:"owner,omitzero"`
	Correction string     `json:"correction,omitzero" tmf:"enum=observe|case|propose|fix"`
	FixDays    *int64     `json:"fixDays,omitzero"` // nothing is charged by itself that began longer ago

	work func(*check) error
}

// Controls are the tenant's: all of the house, as the tenant has set them.
var Controls = tmf.Kind[Control, *Control]{
	API: &API, Name: "control", Table: "revenue_control", Verbs: tmf.Patch,
	Frozen: []string{"name", "area", "leftSet", "rightSet", "key", "mismatchClass", "formula", "confidence", "whenGone"},
	Rows: &tmf.Rows[*Control]{
		From: controlsFrom(), Columns: "id, doc", Order: []string{"place"}, Paths: map[string]string{},
		Find: func(id string, first int) (string, []any) { return fmt.Sprintf("id = $%d", first), []any{id} },
	},
}

// settings are what of a control is the tenant's.
type settings struct {
	Enabled    *bool      `json:"enabled,omitzero"`
	Tolerance  *tmf.Money `json:"tolerance,omitzero"`
	Patience   string     `json:"patience,omitzero"`
	Owner      string     `json:"owner,omitzero"`
	Correction string     `json:"correction,omitzero"`
	FixDays    *int64     `json:"fixDays,omitzero"`
}

// controlsFrom is the list of controls as a table, with what the tenant has set.
func controlsFrom() string {
	list := make([]string, len(controlIDs))
	for i, id := range controlIDs {
		list[i] = fmt.Sprintf("SELECT %d AS place, '%s' AS id", i, id)
	}
	return "(SELECT CAST($1 AS TEXT) AS tenant, l.place AS place, l.id AS id, coalesce(s.doc, '') AS doc FROM (" + strings.Join(list, " UNION ALL ") +
		") AS l LEFT JOIN revenue_setting s ON s.tenant = CAST($1 AS TEXT) AND s.control = l.id) AS controls"
}

func scanControl(r store.Rows) (*Control, error) {
	var id, doc string
	if err := r.Scan(&id, &doc); err != nil {
		return nil, err
	}
	c, ok := builtin(id)
	if !ok || doc == "" {
		return c, nil
	}
	var own settings
	if err := tmf.Decode([]byte(doc), &own); err != nil {
		return nil, err
	}
	c.Enabled, c.Tolerance, c.Patience, c.Owner, c.Correction, c.FixDays = own.Enabled, own.Tolerance, own.Patience, own.Owner, own.Correction, own.FixDays
	return c, nil
}

// builtin is a control as the house has it.
func builtin(id string) (*Control, bool) {
	for _, c := range controls {
		if c.ID == id {
			c.Classes = slices.Clone(c.Classes)
			return &c, true
		}
	}
	return &Control{}, false
}

// patchControl keeps what a tenant sets.
func patchControl(tx *store.Tx, old, c *Control) error {
	if _, err := c.patience(); err != nil {
		return err
	}
	switch {
	case len(c.Owner) > maxOwner:
		return fault.BadInput("tooLong", "An owner has at most %d characters", maxOwner)
	case c.Tolerance != nil && c.Tolerance.Sign() < 0:
		return fault.BadInput("invalidTolerance", "A tolerance is an amount without a sign")
	case c.FixDays != nil && (*c.FixDays < 0 || *c.FixDays > 3650):
		return fault.BadInput("invalidFixDays", "fixDays is a number of days up to 3650")
	case !slices.Contains([]string{Observe, Case, Propose, Fix}, c.Correction):
		return fault.BadInput("invalidCorrection", "correction is one of %s, %s, %s, %s", Observe, Case, Propose, Fix)
	}
	doc, err := tmf.Encode(settings{c.Enabled, c.Tolerance, c.Patience, c.Owner, c.Correction, c.FixDays})
	if err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO revenue_setting (tenant, control, doc) VALUES ($1, $2, $3) ON CONFLICT (tenant, control) DO UPDATE SET doc = excluded.doc", c.ID, string(doc)); err != nil {
		return err
	}
	return access.Audit(tx, "revenue.control", "control:"+c.ID, nil, map[string]string{"settings": string(doc)})
}

// patience is how long a disagreement must last to be one.
func (c *Control) patience() (time.Duration, error) {
	d, err := civil.ParseDuration(c.Patience)
	if err != nil || d.Months != 0 {
		return 0, fault.BadInput("invalidPatience", "patience is a duration in days or shorter, such as PT1H or P5D, not %.40q", c.Patience)
	}
	return time.Duration(d.Days)*day + d.Clock, nil
}

// enabled says that the control runs each day.
func (c *Control) enabled() bool { return c.Enabled == nil || *c.Enabled }

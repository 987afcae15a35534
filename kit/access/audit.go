package access

import (
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// audit notes a change in its own transaction. before and after are what can be
// listed, which never holds a secret.
func audit(tx *store.Tx, action, subject string, before, after any) error {
	b, err := note(before)
	if err != nil {
		return err
	}
	a, err := note(after)
	if err != nil {
		return err
	}
	tx.Queue("INSERT INTO access_audit (tenant, at, actor, action, subject, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		store.Micros(tx.Now()), tx.Actor(), action, subject, b, a)
	return nil
}

// Audit notes, in the transaction of the change, an action of the scope's actor
// that is not a change of a resource. subject is what it was done to; before and
// after (nil for none) are written as JSON and hold no secrets.
func Audit(tx *store.Tx, action, subject string, before, after any) error {
	return audit(tx, action, subject, before, after)
}

func note(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}

// Entry is a line of the audit.
type Entry struct {
	Seq     int64          `json:"seq"`
	At      time.Time      `json:"at"`
	Actor   string         `json:"actor"`
	Action  string         `json:"action"`
	Subject string         `json:"subject"`
	Before  jsontext.Value `json:"before,omitzero"`
	After   jsontext.Value `json:"after,omitzero"`
}

func (g *Guard) getAudit(c *Caller, w http.ResponseWriter, r *http.Request) error {
	text, limit, err := page(r)
	if err != nil {
		return err
	}
	after := int64(0)
	if text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil {
			return fault.BadInput("badPage", "after is the seq of the last entry you have")
		}
	}
	return g.reading(c, w, r, "audit", func(tx *store.Tx) (any, error) {
		rows, err := tx.Query(`SELECT seq, at, actor, action, subject, coalesce(before, 'null'), coalesce(after, 'null') FROM access_audit
			WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3`, after, limit)
		return store.Collect(rows, err, scanEntry)
	})
}

func scanEntry(r store.Rows) (e Entry, err error) {
	var at int64
	var before, after string
	err = r.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Subject, &before, &after)
	e.At = store.Instant(at)
	if before != "null" {
		e.Before = jsontext.Value(before)
	}
	if after != "null" {
		e.After = jsontext.Value(after)
	}
	return e, err
}

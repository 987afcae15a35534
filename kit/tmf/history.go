package tmf

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"tandem/kit/fault"
	"tandem/kit/store"
)

// historyEntry is one write of a resource: who did what, when, and the resource
// before and after it. The first has no before, that of a deletion no after.
type historyEntry struct {
	seq    int64          // counts the writes of all tenants: nothing to show
	At     time.Time      `json:"at"`
	Actor  string         `json:"actor"`
	Op     string         `json:"op"` // create, change, state or delete
	Rev    int64          `json:"rev"`
	Before jsontext.Value `json:"before,omitzero"`
	After  jsontext.Value `json:"after,omitzero"`
}

// history answers GET {resource}/{id}/history, oldest first and in pages like a
// list. It outlives its resource: who deleted it is part of it; and the resource may
// outlive it, when its records are older than they are kept.
func (c *call) history() error {
	q, err := parseQuery(c.r.URL.RawQuery, noConditions)
	if err != nil {
		return err
	}
	if q.Fields != nil {
		return fault.BadInput("badQuery", "A history takes offset and limit only")
	}
	var p page
	err = c.s.db.Read(c.r.Context(), c.caller.scope(), func(tx *store.Tx) (err error) {
		if p, err = c.readHistory(tx, q); err != nil || p.total > 0 {
			return err
		}
		_, err = c.kind.getDoc(tx, c.id)
		return err
	})
	if err != nil {
		return err
	}
	return c.writeList(q, p)
}

const ofResource = " FROM tmf_change WHERE tenant = $1 AND id = $2 AND kind = $3 AND api = $4"

func (c *call) readHistory(tx *store.Tx, q *Query) (p page, err error) {
	if err = tx.Row("SELECT count(*)"+ofResource, c.id, c.meta.Name, c.meta.API.ID).Scan(&p.total); err != nil {
		return p, err
	}
	// One more than asked for: its before is the last one's after.
	rows, err := tx.Query("SELECT seq, at, actor, op, rev, before"+ofResource+" ORDER BY seq LIMIT $5 OFFSET $6",
		c.id, c.meta.Name, c.meta.API.ID, q.Limit+1, q.Offset)
	entries, err := store.Collect(rows, err, scanHistory)
	if err != nil {
		return p, err
	}
	for i := range min(len(entries), q.Limit) {
		e := entries[i]
		switch {
		case e.Op == opDelete:
		case i+1 < len(entries):
			e.After = entries[i+1].Before
		default:
			if e.After, err = after(tx, c.meta, c.id, e.seq); err != nil {
				return p, err
			}
		}
		body, err := c.entry(e)
		if err != nil {
			return p, err
		}
		p.docs = append(p.docs, document{body: body})
	}
	return p, nil
}

func scanHistory(r store.Rows) (e historyEntry, err error) {
	var at int64
	var before []byte
	err = r.Scan(&e.seq, &at, &e.Actor, &e.Op, &e.Rev, &before)
	e.At, e.Before = store.Instant(at), before
	return e, err
}

// entry is a history entry as a reader sees it: through the Kind's View.
func (c *call) entry(e historyEntry) ([]byte, error) {
	for _, doc := range []*jsontext.Value{&e.Before, &e.After} {
		if *doc == nil {
			continue
		}
		shown, err := c.kind.present(*doc)
		if err != nil {
			return nil, err
		}
		*doc = shown
	}
	return encode(e)
}

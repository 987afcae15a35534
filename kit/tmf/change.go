package tmf

import (
	"embed"
	"sync/atomic"

	"tandem/kit/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// Schema is the machine's own tables.
func Schema() store.Schema { return store.Embedded("tmf", schemaFiles) }

// What happened to a resource. The change record is both the audit (who, when,
// before; after is the next record's before, or the document) and the source
// of TMF events: two readings of one row, so neither can be forgotten.
const (
	opCreate = "create"
	opChange = "change"
	opState  = "state"
	opDelete = "delete"
)

type change struct {
	api, kind, id string
	rev           int64
	op            string
	before        []byte // nil for create
}

// changed wakes this process's hub deliveries after a commit.
var changed atomic.Pointer[func()]

func record(tx *store.Tx, c change) {
	var before any
	if c.before != nil {
		before = string(c.before)
	}
	tx.Log("INSERT INTO tmf_change (tenant, api, kind, id, rev, op, at, actor, before)",
		c.api, c.kind, c.id, c.rev, c.op, store.Micros(tx.Now()), tx.Actor(), before)
	if wake := changed.Load(); wake != nil {
		tx.OnCommit(*wake)
	}
}

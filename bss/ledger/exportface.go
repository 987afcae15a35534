package ledger

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"tandem/kit/access"
	"tandem/kit/fault"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// GeneralLedgerExport is a closed month as it was handed over to the general ledger. Asking
// for the same closing again gives the same one: the file is made anew each time it is
// fetched, and is the same to the octet, or it is not given out.
type GeneralLedgerExport struct {
	tmf.Entity
	LegalEntity *tmf.Ref      `json:"legalEntity,omitzero"`
	Period      string        `json:"period,omitzero" tmf:"required"`         // the month: 2026-03
	By          string        `json:"by,omitzero" tmf:"enum=month|day|entry"` // none: day
	Closing     int64         `json:"closing,omitzero"`                       // number of the closing: a month that was opened again has another one
	Lines       int64         `json:"lines,omitzero"`
	Total       []PeriodTotal `json:"total,omitzero"`
	SHA256      string        `json:"sha256,omitzero"`
	ContentHref string        `json:"contentHref,omitzero"` // where the file is
	CreatedBy   string        `json:"createdBy,omitzero"`
	CreatedDate time.Time     `json:"createdDate,omitzero"`
}

// GeneralLedgerExports are what was handed over.
var GeneralLedgerExports = tmf.Kind[GeneralLedgerExport, *GeneralLedgerExport]{
	API: &API, Name: "generalLedgerExport", Table: "ledger_export", Verbs: tmf.Task, Index: []string{"legalEntity.id", "period"},
}

// makeExport works out the file once, in a snapshot, to know what it comes to, and notes it.
func makeExport(ctx context.Context, db *store.DB, s store.Scope, x *GeneralLedgerExport) error {
	month, err := parseMonth(x.Period)
	if err != nil {
		return err
	}
	by, entity := cmp.Or(x.By, ByDay), ""
	if x.LegalEntity != nil {
		entity = x.LegalEntity.ID
	}
	var got Exported
	err = db.Snapshot(ctx, s, func(tx *store.Tx) (err error) {
		if entity, err = bookOfOne(tx, entity); err == nil {
			got, err = Export(tx, io.Discard, entity, month, by)
		}
		return err
	})
	if err != nil {
		return err
	}
	made := GeneralLedgerExport{LegalEntity: entityRef(entity), Period: x.Period, By: by, Closing: got.Closing, Lines: got.Lines, Total: got.Total, SHA256: got.SHA256}
	made.ID = fmt.Sprintf("%s.%s.%s.%d", entity, x.Period, by, got.Closing)
	made.ContentHref = API.Base + "/generalLedgerExport/" + made.ID + "/content"
	return db.Write(ctx, s, func(tx *store.Tx) error {
		was, err := GeneralLedgerExports.Get(tx, made.ID)
		if err == nil {
			if was.SHA256 != made.SHA256 {
				return differs(was, made.SHA256)
			}
			*x = *was
			return nil
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		*x = made
		x.CreatedBy, x.CreatedDate = tx.Actor(), tx.Now()
		if err := GeneralLedgerExports.Create(tx, x); err != nil {
			return err
		}
		return access.Audit(tx, "ledger.export", "generalLedgerExport:"+x.ID, nil, map[string]string{"sha256": x.SHA256})
	})
}

// differs is told when the books are not what they were: somebody was at the database.
func differs(x *GeneralLedgerExport, now string) error {
	return fault.Clash("exportDiffers", "The closed month %s of %q is not what was exported on %s (SHA-256 %s, now %s): the database was changed by hand; run tandem verify",
		x.Period, x.LegalEntity.ID, x.CreatedDate.Format(time.DateOnly), x.SHA256, now)
}

// Content writes the file of an export. What it says is whether all of it is as it was: a
// file that is not must not be used. tx is a snapshot.
func Content(tx *store.Tx, w io.Writer, x *GeneralLedgerExport) error {
	month, err := parseMonth(x.Period)
	if err != nil {
		return err
	}
	c, err := closingOf(tx, x.LegalEntity.ID, month)
	if err != nil {
		return err
	}
	if c.number != x.Closing {
		return fault.Clash("reopened", "The month %s was opened again after closing %d: export it anew", x.Period, x.Closing)
	}
	got, err := Export(tx, w, x.LegalEntity.ID, month, x.By)
	if err == nil && got.SHA256 != x.SHA256 {
		err = differs(x, got.SHA256)
	}
	return err
}

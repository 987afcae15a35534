package order

import (
	"context"

	"tandem/kit/store"
)

// Progress is a product order with the lines the network works on.
type Progress struct {
	Order, State string
	Lines        []Line
}

// Line is the service order item that realises a part of a product order.
type Line struct {
	ID, Product, ServiceOrder string
	State                     string // open, completed, failed, cancelled
}

// Ended reports whether the order's state is a last one.
func (p Progress) Ended() bool { return final[p.State] }

const (
	auditPage  = 1000 // lines read at once
	selectLine = `SELECT o.id, o.a_state, coalesce(l.line, ''), coalesce(l.product, ''), coalesce(l.service_order, ''), coalesce(l.state, '')
		FROM order_product_order o LEFT JOIN order_line l ON l.tenant = o.tenant AND l.product_order = o.id WHERE o.tenant = $1 AND `
)

type lineRow struct {
	order, state string
	line         Line
}

func scanLine(r store.Rows) (l lineRow, err error) {
	err = r.Scan(&l.order, &l.state, &l.line.ID, &l.line.Product, &l.line.ServiceOrder, &l.line.State)
	return l, err
}

func (p *Progress) take(l lineRow) {
	p.Order, p.State = l.order, l.state
	if l.line.ID != "" {
		p.Lines = append(p.Lines, l.line)
	}
}

// EachProgress calls f with every product order, by id.
func EachProgress(ctx context.Context, db *store.DB, s store.Scope, f func(Progress) error) error {
	var now Progress
	for after := ""; ; {
		var page []string
		var lines []lineRow
		err := db.Read(ctx, s, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT id FROM order_product_order WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3", after, int64(auditPage))
			if page, err = store.Collect(rows, err, store.Text); err != nil || len(page) == 0 {
				return err
			}
			rows, err = tx.Query(selectLine+"o.id > $2 AND o.id <= $3 ORDER BY o.id, l.line", after, page[len(page)-1])
			lines, err = store.Collect(rows, err, scanLine)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1]
		for i, l := range lines {
			now.take(l)
			if i+1 < len(lines) && lines[i+1].order == l.order {
				continue
			}
			if err := f(now); err != nil {
				return err
			}
			now = Progress{}
		}
	}
}

// ProgressOf is the progress of one order; its Order is empty if there is none.
func ProgressOf(tx *store.Tx, order string) (p Progress, err error) {
	rows, err := tx.Query(selectLine+"o.id = $2 ORDER BY l.line", order)
	lines, err := store.Collect(rows, err, scanLine)
	for _, l := range lines {
		p.take(l)
	}
	return p, err
}

package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/kit/tmf"
)

// whatIf are the flags of compare and preview.
type whatIf struct {
	run, from, to, entity, brand string
	sample                       int64
	prices, changes, orders      list
	agreed, today, csv           bool
	date, language               string
}

func (w *whatIf) flags(f *flag.FlagSet) {
	f.StringVar(&w.run, "run", "", "compare: `ID` of the bill run whose bills are meant; default: by date")
	f.StringVar(&w.from, "from", "", "compare: first bill `DATE`; default: the first of the month before")
	f.StringVar(&w.to, "to", "", "compare: last bill `DATE`; default: today")
	f.StringVar(&w.entity, "entity", "", "compare: `ID` of the legal entity whose bills are meant")
	f.StringVar(&w.brand, "brand", "", "compare: `BRAND` whose bills are meant")
	f.Int64Var(&w.sample, "sample", 0, "compare: so many bills by chance; default: all")
	f.Var(&w.prices, "price", "compare: `OLD=NEW`, ids of a price and of the one in its place, as often as wanted")
	f.BoolVar(&w.agreed, "include-agreed", false, "compare: amounts that were agreed for one product become the new price too")
	f.BoolVar(&w.csv, "csv", false, "compare: all lines that differ, as CSV")
	f.Var(&w.changes, "change", "preview: `PRODUCT=OFFERING[@DATE]`, a change of plan, as often as wanted")
	f.Var(&w.orders, "offering", "preview: `OFFERING[*COUNT][@DATE]` that is ordered, as often as wanted")
	f.BoolVar(&w.today, "today", false, "preview: what the bill is at the end of today; default: at the end of its period")
	f.StringVar(&w.date, "date", "", "preview: a `DATE` in the billing period; default: today")
	f.StringVar(&w.language, "language", "", "preview: the `LANGUAGE` of its words; default: the customer's")
}

func init() { // they are commands like the others
	billCommands["compare"], billCommands["preview"] = billCompare, billPreview
}

// billCompare works posted bills out under other prices and lists what differs.
func billCompare(ctx context.Context, d *desk, names []string) error {
	c := &billing.BillComparison{}
	if len(names) == 1 {
		if err := d.do(ctx, http.MethodGet, "/billComparison/"+url.PathEscape(names[0]), nil, c); err != nil {
			return err
		}
		return d.compared(ctx, c)
	}
	if len(names) > 1 {
		return errors.New("name one comparison, or none to make one")
	}
	w := &d.whatIf
	c.From, c.To, c.Brand, c.Sample, c.IncludeAgreed = w.from, w.to, w.brand, w.sample, w.agreed
	for id, to := range map[string]**tmf.Ref{w.run: &c.BillRun, w.entity: &c.LegalEntity, d.cycle: &c.CycleSpecification} {
		if id != "" {
			*to = &tmf.Ref{ID: id}
		}
	}
	for _, id := range d.only {
		c.BillingAccount = append(c.BillingAccount, tmf.Ref{ID: id})
	}
	for _, pair := range w.prices {
		old, fresh, ok := strings.Cut(pair, "=")
		if !ok {
			return fmt.Errorf("--price is OLD=NEW, not %q", pair)
		}
		c.Change = append(c.Change, billing.PriceChange{ProductOfferingPrice: &tmf.Ref{ID: old}, With: &tmf.Ref{ID: fresh}})
	}
	if err := d.do(ctx, http.MethodPost, "/billComparison", c, c); err != nil {
		return err
	}
	return d.compared(ctx, c)
}

// compared shows a comparison when it is done.
func (d *desk) compared(ctx context.Context, c *billing.BillComparison) error {
	last := ""
	for c.Working() {
		if s := fmt.Sprintf("%s: %d of %d pages, %d bills of %d come to the same as they were", c.State, c.Progress.Done, c.Progress.Pages, c.Progress.Reproduced, c.Progress.Bills); s != last {
			fmt.Fprintln(d.log, s)
			last = s
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		fresh := &billing.BillComparison{}
		if err := d.do(ctx, http.MethodGet, "/billComparison/"+c.ID, nil, fresh); err != nil {
			return err
		}
		c = fresh
	}
	if d.whatIf.csv {
		return d.differences(ctx, c)
	}
	if d.json {
		return d.print(c)
	}
	d.report(c)
	return d.firstDifferences(ctx, c)
}

// report is a comparison in a few lines.
func (d *desk) report(c *billing.BillComparison) {
	p := c.Progress
	fmt.Fprintf(d.out, "comparison %s: %s %s\n", c.ID, c.State, c.Reason)
	fmt.Fprintf(d.out, "  check: %d of %d bills come to the same under the present catalogue, %d could not be worked out\n", p.Reproduced, p.Bills, p.Parked)
	fmt.Fprintf(d.out, "  %d bills would be others, in %d lines; %d items keep an amount of their own\n", p.Changed, p.Lines, p.Kept)
	if n := p.Undecided + p.Unrated + p.Older; n > 0 {
		fmt.Fprintf(d.out, "  %d records of usage keep their price: %d paid in part by an allowance or priced by a counter, %d without a rate, %d by a tariff that is no longer sold\n",
			n, p.Undecided, p.Unrated, p.Older)
	}
	for _, s := range c.Sum {
		fmt.Fprintf(d.out, "  %d bills: %s become %s without tax, %s become %s with it\n", s.Bills, s.Net, s.NewNet, s.Gross, s.NewGross)
	}
	for _, t := range c.Total {
		name := "(no offering)"
		if r := t.ProductOffering; r != nil {
			name = r.Name
		}
		fmt.Fprintf(d.out, "  %-30s %8d lines %8d changed %16s -> %16s %16s\n", name, t.Lines, t.Changed, t.Was, t.Becomes, t.Difference)
	}
}

// firstDifferences are the first lines that differ, and the first bills that were set aside.
func (d *desk) firstDifferences(ctx context.Context, c *billing.BillComparison) error {
	var lines []*billing.BillDifference
	if err := d.do(ctx, http.MethodGet, fmt.Sprintf("/billDifference?billComparison.id=%s&limit=%d", c.ID, listed), nil, &lines); err != nil {
		return err
	}
	for _, l := range lines {
		fmt.Fprintf(d.out, "%s  %s  %s -> %s (%s)  %s\n", l.BillingAccount.ID, l.Name, l.Was, l.Becomes, l.Difference, l.Reason)
	}
	if c.Progress.Lines > int64(len(lines)) {
		fmt.Fprintf(d.out, "... and %d lines more: --csv writes all of them\n", c.Progress.Lines-int64(len(lines)))
	}
	if c.Progress.Parked == 0 {
		return nil
	}
	var bills []*billing.ComparedBill
	if err := d.do(ctx, http.MethodGet, fmt.Sprintf("/comparedBill?billComparison.id=%s&changedLines=0&limit=%d", c.ID, listed), nil, &bills); err != nil {
		return err
	}
	for _, b := range bills {
		fmt.Fprintf(d.out, "%s  bill %s  %s  %s\n", b.BillingAccount.ID, b.Bill.Name, b.Code, b.Reason)
	}
	return nil
}

const differencesAtOnce = 1000

// differences writes all lines that differ as CSV, page by page.
func (d *desk) differences(ctx context.Context, c *billing.BillComparison) error {
	w := csv.NewWriter(d.out)
	if err := w.Write([]string{"account", "bill", "offering", "product", "item", "name", "sort", "currency", "was", "becomes", "difference", "code", "reason"}); err != nil {
		return err
	}
	for offset := 0; ; offset += differencesAtOnce {
		var page []*billing.BillDifference
		if err := d.do(ctx, http.MethodGet, fmt.Sprintf("/billDifference?billComparison.id=%s&limit=%d&offset=%d", c.ID, differencesAtOnce, offset), nil, &page); err != nil {
			return err
		}
		for _, l := range page {
			if err := w.Write([]string{l.BillingAccount.ID, l.Bill.ID, idOf(l.ProductOffering), idOf(l.Product), idOf(l.BillableItem), l.Name, l.Sort, l.Was.Currency.Code(),
				l.Was.Decimal(), l.Becomes.Decimal(), l.Difference.Decimal(), l.Code, l.Reason}); err != nil {
				return err
			}
		}
		if w.Flush(); len(page) < differencesAtOnce || w.Error() != nil {
			return w.Error()
		}
	}
}

func idOf(r *tmf.Ref) string {
	if r == nil {
		return ""
	}
	return r.ID
}

// billPreview says what a bill would be.
func billPreview(ctx context.Context, d *desk, names []string) error {
	if len(names) > 0 || len(d.only) > 1 {
		return errors.New("name one account by --account, or none for somebody who has none yet")
	}
	w := &d.whatIf
	p := &billing.BillPreview{Date: w.date, Language: w.language}
	if w.today {
		p.Closing = billing.ClosingToday
	}
	for _, id := range d.only {
		p.BillingAccount = &tmf.Ref{ID: id}
	}
	for _, text := range w.changes {
		what, date, _ := strings.Cut(text, "@")
		product, offering, ok := strings.Cut(what, "=")
		if !ok {
			return fmt.Errorf("--change is PRODUCT=OFFERING@DATE, not %q", text)
		}
		p.Change = append(p.Change, billing.SupposedChange{Product: &tmf.Ref{ID: product}, ProductOffering: &tmf.Ref{ID: offering}, Date: date})
	}
	for _, text := range w.orders {
		what, date, _ := strings.Cut(text, "@")
		offering, count, several := strings.Cut(what, "*")
		o := billing.SupposedOrder{ProductOffering: &tmf.Ref{ID: offering}, Date: date}
		if several {
			n, err := strconv.ParseInt(count, 10, 64)
			if err != nil {
				return fmt.Errorf("--offering is OFFERING*COUNT@DATE, not %q", text)
			}
			o.Quantity = n
		}
		p.Order = append(p.Order, o)
	}
	if err := d.do(ctx, http.MethodPost, "/billPreview", p, p); err != nil || d.json {
		return errors.Join(err, d.printIf(p))
	}
	for _, b := range p.Bill {
		fmt.Fprintln(d.out, strings.Join(b.Text, "\n"))
	}
	for _, a := range p.Thereafter {
		fmt.Fprintf(d.out, "from %s on: %s without tax, %s with it\n", a.BillDate, a.Net, a.Gross)
	}
	return nil
}

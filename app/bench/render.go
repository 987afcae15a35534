package bench

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"tandem/bss/billing"
	"tandem/bss/billing/render"
	"tandem/kit/civil"
	"tandem/kit/money"
)

// Render measures drawing bills: an invoice of seven lines as PDF, HTML and electronic
// invoice, and one with 2,000 usage records. Nothing is read or stored. The floor is the same
// invoice as XML, of which nothing is laid out.
func Render(ctx context.Context, o Options) (Result, error) {
	short, long := benchPaper(0), benchPaper(2000)
	if o.Profile != "" {
		f, err := os.Create(o.Profile)
		if err != nil {
			return Result{}, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return Result{}, err
		}
		defer pprof.StopCPUProfile()
	}
	r := Result{Name: "render", Store: "no store", Own: map[string]any{}}
	share := time.Duration(o.Seconds) * time.Second / 6
	for _, m := range []struct {
		name, format string
		paper        *billing.Paper
	}{{"pdf_7_lines", render.PDF, short}, {"html_7_lines", render.HTML, short}, {"ubl_7_lines", render.UBL, short}, {"cii_7_lines", render.CII, short},
		{"pdf_2000_records", render.PDF, long}, {"html_2000_records", render.HTML, long}} {
		times, size, took, err := drawn(ctx, m.paper, m.format, share)
		if err != nil {
			return Result{}, fmt.Errorf("%s: %w", m.name, err)
		}
		r.Own[m.name+"_p50_ms"], r.Own[m.name+"_p99_ms"], r.Own[m.name+"_octets"] = percentile(times, 0.5), percentile(times, 0.99), size
		rate := float64(len(times)) / took.Seconds()
		switch m.name {
		case "pdf_7_lines":
			r.PerSecond, r.P50, r.P99, r.Seconds = rate, percentile(times, 0.5), percentile(times, 0.99), took.Seconds()
		case "ubl_7_lines":
			r.FloorPerSecond = rate
		}
		if m.format == render.PDF && m.paper == short && r.P50 > slowestPaper {
			r.fail("an invoice of seven lines takes %.1f ms as PDF, more than %d", r.P50, slowestPaper)
		}
	}
	r.Ratio, r.RSS = r.PerSecond/r.FloorPerSecond, statusMB("VmHWM")
	return r, nil
}

const slowestPaper = 30 // ms

// drawn draws a bill again and again, one after the other.
func drawn(ctx context.Context, p *billing.Paper, format string, during time.Duration) (times []time.Duration, size int, took time.Duration, err error) {
	if _, err := render.Make(p, format); err != nil { // fonts are read once in a process
		return nil, 0, 0, err
	}
	for began := time.Now(); len(times) == 0 || took < during && ctx.Err() == nil; took = time.Since(began) {
		at := time.Now()
		f, err := render.Make(p, format)
		if err != nil {
			return nil, 0, 0, err
		}
		times, size = append(times, time.Since(at)), len(f.Data)
	}
	return times, size, took, ctx.Err()
}

// benchPaper is an invoice of seven lines, with usage records behind the last of them.
func benchPaper(records int) *billing.Paper {
	d := &billing.Document{Bill: "bill", Kind: billing.Invoice, Account: "account-00000000", Customer: "customer-00000000", Entity: "default", Currency: "EUR", Language: "de", Zone: "Europe/Berlin",
		Date: civil.Date{Year: 2026, Month: 6, Day: 1}, Due: civil.Date{Year: 2026, Month: 6, Day: 15}, From: civil.Date{Year: 2026, Month: 5, Day: 1}, To: civil.Date{Year: 2026, Month: 6, Day: 1},
		Seller: billing.DocumentParty{Name: "Nordlicht Telekom GmbH", Street: "Hafenstraße 1", PostCode: "20457", City: "Hamburg", Country: "DE", VATID: "DE123456789", Registration: "HRB 12345"},
		Buyer:  billing.DocumentParty{Name: "Änne Großmann", ID: "customer-00000000", Street: "Lange Straße 12", PostCode: "50667", City: "Köln", Country: "DE"},
		Bank:   &billing.Bank{Name: "Nordlicht Telekom GmbH", IBAN: "DE89370400440532013000", BIC: "COBADEFFXXX"}}
	add := func(name, sort string, net int64) *billing.DocumentLine {
		d.Lines = append(d.Lines, billing.DocumentLine{ID: fmt.Sprint(len(d.Lines) + 1), Name: name, Sort: sort, Product: "product", ServiceFrom: d.From, ServiceTo: d.To,
			Amount: net, Net: net, Wanted: net, Unit: net * 1e7, TaxCategory: "standard", TaxCode: "S", TaxPercent: [2]int64{19, 1}})
		d.Net += net
		return &d.Lines[len(d.Lines)-1]
	}
	for _, x := range benchCharges {
		amount, err := money.ParseAmount(x.amount, money.EUR)
		if err != nil {
			panic(err) // the table above is fixed
		}
		add(x.name, x.typ, amount.Minor)
	}
	for _, x := range []struct {
		name, unit string
		quantity   int64
	}{{"Data abroad", "octets", 3 << 30}, {"Calls", "seconds", 2000 * 95}} {
		l := add(x.name, billing.Usage, 3167)
		l.UsageUnit, l.Quantity, l.Records, l.Unit = x.unit, x.quantity, 2000, 0
	}
	d.Tax = (d.Net*19 + 50) / 100
	d.Gross = d.Net + d.Tax
	d.Taxes = []billing.DocumentTax{{Category: "standard", Code: "S", Percent: [2]int64{19, 1}, Net: d.Net, Tax: d.Tax}}
	p := &billing.Paper{Document: d, Number: "INV-2026-0000042", IssuedOn: d.Date, Names: map[string]string{"product": "Mobile M +491701234567"},
		Template: &billing.BillTemplate{Name: "bench", Color: "#17466f", Window: billing.WindowB}}
	if records == 0 {
		return p
	}
	calls := billing.ItemisedLine{Line: &d.Lines[6]}
	for i := range records {
		calls.Records = append(calls.Records, billing.ItemisedRecord{At: time.Date(2026, 5, 1+i*31/records, 8, i%60, i%59, 0, time.UTC), Called: fmt.Sprintf("4930%07d", i),
			Network: "26202", Quantity: int64(30 + i%130), Amount: money.Rate{Nano: int64(30+i%130) * 1e6, Currency: money.EUR}})
	}
	p.Usage = []billing.ItemisedLine{calls}
	return p
}

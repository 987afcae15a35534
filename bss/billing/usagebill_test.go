package billing_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tandem/bss/billing"
	"tandem/bss/charging"
	"tandem/bss/subscription"
	"tandem/fact"
	"tandem/kit/journal"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
	"tandem/kit/tmf/tmftest"
)

// meters runs f on both stores, in an office where charging runs, by the clock on the wall.
func meters(t *testing.T, f func(o *office, room *charging.Room)) {
	tmftest.Each(t, runSchemas, runKinds, func(t *testing.T, db *store.DB) {
		log := db
		if db.Dialect() == store.SQLite {
			log = storetest.Open(t, store.SQLite)
		}
		if err := log.Migrate(t.Context(), journal.Schema()); err != nil {
			t.Fatal(err)
		}
		room := charging.New(charging.Config{DB: db, Journal: log, Holder: tmf.NewID(), Address: "here", Lease: time.Second, PINKey: []byte("a key for tests"),
			Tenants: func(context.Context) ([]string, error) { return []string{"mno"}, nil }, Host: func(context.Context) (string, error) { return "mno", nil },
			Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if err := room.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := room.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		o := &office{world: &world{t, db, tmftest.Serve(t, db, runKinds)}}
		o.must(completeEntity)
		f(o, room)
	})
}

// uses reports data used by a product.
func (o *office) uses(product, name string, at time.Time, mib int) {
	o.Helper()
	o.post("/tmf-api/usageManagement/v4/usage", fmt.Sprintf(`{"externalId":%q,"usageType":"data","usageDate":%q,"ratedProductUsage":[{"productRef":{"id":%q}}],
		"usageCharacteristic":[{"name":"octets","value":%d}]}`, name, at.UTC().Format(time.RFC3339), product, mib<<20))
}

// What was used is on the bill with the cents it cost, once, and each line of it opens to its
// records; what comes late is on the next bill.
func TestUsageOnBills(t *testing.T) {
	meters(t, func(o *office, room *charging.Room) {
		month := time.Now().UTC()
		month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
		price := o.post(catalogs+"productOfferingPrice", `{"name":"Data abroad","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":0.0123},
			"unitOfMeasure":{"amount":1,"units":"MiB"},"tandem:rating":{"match":{"service":"data"},"class":"data.abroad"}}`)
		base := o.price("Mobile M", "recurring", "20", monthly)
		offering := o.post(catalogs+"productOffering", `{"name":"M","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"`+price+`"},{"id":"`+base+`"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR","tax":{"percent":19}},"tandem:charging":{"mode":"postpaid","credit":"500","home":["24001"]}}`)
		customer := o.customer("Groß")
		account := o.post(accounts+"billingAccount", `{"name":"Account","currency":"EUR","timeZone":"UTC","relatedParty":[{"id":"`+customer+`","role":"customer"}]}`)
		begins := month.AddDate(0, -1, 0)
		product := o.product(offering, customer, func(p *subscription.Product) { p.OrderDate = begins })
		o.must(func(tx *store.Tx) error {
			f := fact.ProductActive{Product: product, Offering: offering, Customer: customer, BillingAccount: account, Service: "s1", At: begins,
				Resources: []fact.Resource{{Role: "msisdn", Value: "491510001"}}}
			if err := billing.Begin(tx, f); err != nil {
				return err
			}
			return room.Open(tx, f)
		})
		o.awaitLine(product)
		for n := range 25 {
			o.uses(product, fmt.Sprint("early", n), month.Add(-time.Duration(n+1)*time.Hour), 3)
		}
		o.uses(product, "now", month.Add(time.Minute), 100) // of the running month
		first := o.demand(account)
		lines := o.api.Do("mno", "GET", tmf678+"appliedCustomerBillingRate?bill.id="+first, nil).List()
		usage := map[string]any{}
		for _, l := range lines {
			if l["type"] == "usage" {
				usage = l
			}
		}
		if len(lines) != 3 || at(usage, "taxExcludedAmount.value") != "0.92" { // 75 MiB at 0.0123: 0.9225, and the next month in advance
			t.Fatalf("%v", lines)
		}
		o.uses(product, "late", month.Add(-48*time.Hour), 1) // 0.0123: with what was billed 0.9348, a cent more
		second := o.demand(account)
		if b := o.read(tmf678 + "customerBill/" + second); at(b, "taxExcludedAmount.value") != "0.01" {
			t.Errorf("%v", b)
		}
		x := o.read(runs + "billExplanation/" + first)
		if text := at(x, "text"); !strings.Contains(text, "Data abroad: 78.64 MB in 25 records, 0.92 EUR.") {
			t.Error(text)
		}
		o.opens(first, 25)
		o.opens(second, 1)
		o.zero()
	})
}

// A discount on usage of three months is not corrected when something is added: what was used
// in each of them counts once, not for each of its days.
func TestUsageOfMonthsBeforeCountsOnce(t *testing.T) {
	meters(t, func(o *office, room *charging.Room) {
		month := time.Now().UTC()
		month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
		begins := month.AddDate(0, -3, 0)
		data := o.post(catalogs+"productOfferingPrice", `{"name":"Data","lifecycleStatus":"Active","priceType":"usage","price":{"unit":"EUR","value":1},
			"unitOfMeasure":{"amount":1,"units":"MiB"},"tandem:rating":{"match":{"service":"data"},"class":"data"}}`)
		tenth := o.price("Tenth", "discount", "", monthly+`"percentage":10,"tandem:billing":{"discount":{"withUsage":true,"allOf":true}},`)
		base := o.price("Mobile M", "recurring", "20", monthly)
		offering := o.post(catalogs+"productOffering", `{"name":"M","lifecycleStatus":"Launched","isSellable":true,"productOfferingPrice":[{"id":"`+data+`"},{"id":"`+base+`"},{"id":"`+tenth+`"}],
			"tandem:rating":{"zone":"Europe/Berlin","currency":"EUR","tax":{"percent":19}},"tandem:charging":{"mode":"postpaid","credit":"500","home":["24001"]}}`)
		customer := o.customer("Groß")
		account := o.post(accounts+"billingAccount", `{"name":"Account","currency":"EUR","timeZone":"UTC","relatedParty":[{"id":"`+customer+`","role":"customer"}]}`)
		product := o.product(offering, customer, func(p *subscription.Product) { p.OrderDate = begins })
		o.must(func(tx *store.Tx) error {
			f := fact.ProductActive{Product: product, Offering: offering, Customer: customer, BillingAccount: account, Service: "s1", At: begins,
				Resources: []fact.Resource{{Role: "msisdn", Value: "491510001"}}}
			if err := billing.Begin(tx, f); err != nil {
				return err
			}
			return room.Open(tx, f)
		})
		o.awaitLine(product)
		for n := range 3 {
			o.uses(product, fmt.Sprint("month", n), begins.AddDate(0, n, 10), 100)
		}
		var off int64
		for _, l := range o.documentOf(o.demand(account)).Lines {
			if l.Name == "Tenth" {
				off += l.Amount
			}
		}
		if off != -3*1200 && off != -3*1200-200 { // of the running month the price, if it is due in advance
			t.Errorf("a tenth of three months is %d", off)
		}
		o.runs(o.offering("Extra", o.price("Extra", "recurring", "5", monthly)), customer, account, begins.AddDate(0, 1, 5))
		tenths := 0
		for _, l := range o.documentOf(o.demand(account)).Lines {
			if l.Name != "Tenth" {
				continue
			}
			if tenths++; l.Wanted-l.Before < -50 || l.Wanted-l.Before > 0 {
				t.Errorf("5.00 a month was added, and a tenth of all of a month is %d instead of %d, of %d", l.Wanted, l.Before, l.Base)
			}
		}
		if tenths == 0 {
			t.Error("the tenth of what was added is not on the bill")
		}
		o.zero()
	})
}

// opens pages through the usage records of the bill's usage line.
func (o *office) opens(bill string, want int) {
	o.Helper()
	seen, more := map[string]bool{}, ""
	o.must(func(tx *store.Tx) error {
		x, err := billing.Explanations.Get(tx, bill)
		if err != nil {
			return err
		}
		for _, l := range x.Line {
			if l.Item != nil {
				continue
			}
			if len(l.Usage) != min(want, 20) || (l.More == "") != (want <= 20) {
				o.Errorf("the explanation shows %d records, and %q", len(l.Usage), l.More)
			}
			if l.More != "" {
				more = l.More
			}
			cursor := ""
			for {
				page, next, err := billing.BillUsageOf(tx, bill, l.ID, cursor, 7)
				if err != nil {
					return err
				}
				for _, u := range page {
					if seen[u.ID] || u.Session == "" || u.Session == "now" || u.Amount == nil {
						o.Errorf("%+v", u)
					}
					seen[u.ID] = true
				}
				if cursor = next; cursor == "" {
					break
				}
			}
		}
		return nil
	})
	if more != "" {
		if rest := o.pages(more); len(rest) != want-20 {
			o.Errorf("%s leads to %d records, want %d", more, len(rest), want-20)
		}
	}
	if len(seen) != want {
		o.Errorf("bill %s opens to %d records, want %d", bill, len(seen), want)
	}
}

// awaitLine waits until charging knows the line.
func (o *office) awaitLine(product string) {
	o.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		var n int64
		if err := o.db.Read(o.Context(), mno, func(tx *store.Tx) error {
			return tx.Row("SELECT count(*) FROM charging_line WHERE tenant = $1 AND product = $2 AND subscriber > 0", product).Scan(&n)
		}); err != nil {
			o.Fatal(err)
		}
		if n == 1 {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			o.Fatal("the line is not charged for")
		}
	}
}

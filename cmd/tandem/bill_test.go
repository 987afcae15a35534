package main

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tandem/app"
	"tandem/bss/billing"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
	"tandem/kit/tmf"
)

// spoken runs fn and gives back what it printed.
func spoken(t *testing.T, fn func() error) (string, error) {
	t.Helper()
	was := os.Stdout
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout = w
	done := make(chan string)
	go func() {
		var b bytes.Buffer
		_, _ = io.Copy(&b, r) // the pipe ends with the writer
		done <- b.String()
	}()
	err = fn()
	os.Stdout = was
	w.Close()
	return <-done, err
}

// The whole way of a bill by hand, on the store of a stopped node.
func TestBillsByHand(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			dir, database := t.TempDir(), storetest.Config(t, engine).URL
			a, err := app.New(t.Context(), app.Config{Data: dir, Database: database, Tenant: "host", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			err = a.DB.Write(t.Context(), store.Scope{Tenant: "host", Actor: "test"}, func(tx *store.Tx) error {
				e, err := billing.DefaultEntity(tx)
				if err != nil {
					return err
				}
				if _, err := billing.LegalEntities.Edit(tx, e.ID, func(e *billing.LegalEntity) error { // bills of a provisional one are held
					e.Name, e.TaxRegistration = "Mobile Networks GmbH", "12/345/67890"
					e.Address.Street, e.Address.PostCode, e.Address.City = "Way 1", "10115", "Berlin"
					return nil
				}); err != nil {
					return err
				}
				account := &billing.BillingAccount{Currency: "EUR", AccountTerms: billing.AccountTerms{Name: "Anne", RelatedParty: []tmf.RelatedParty{{ID: "elsewhere", Role: "payer"}}}}
				account.ID = "anne"
				if err := billing.BillingAccounts.Create(tx, account); err != nil {
					return err
				}
				return billing.Items.Create(tx, &billing.BillableItem{Name: "Line M", State: billing.ItemActive, ChargeType: billing.Recurring, PeriodUnit: "month", PeriodCount: 1,
					Product: &tmf.Ref{ID: "product"}, Price: &tmf.Ref{ID: "price"}, BillingAccount: &tmf.Ref{ID: "anne"}, Amount: &tmf.Money{Nano: 20e9, Currency: money.EUR},
					ConfirmedBy: "service", From: time.Now().AddDate(0, -2, 0), ChargeWhileSuspended: billing.ChargeNone})
			})
			a.Stop()
			if err != nil {
				t.Fatal(err)
			}
			say := func(want string, args ...string) string {
				t.Helper()
				text, err := spoken(t, func() error { return bill(t.Context(), append(args, "--data", dir, "--database", database)) })
				if err != nil {
					text += err.Error()
				}
				if !strings.Contains(text, want) {
					t.Fatalf("tandem bill %s said %q, want %q", strings.Join(args, " "), text, want)
				}
				return text
			}
			say("say what to do", "what")
			text := say("1 drafts (0 held)", "run", "--as", "ann")
			run := regexp.MustCompile(`run (\w+),`).FindStringSubmatch(text)[1]
			say("another person must", "approve", run, "--as", "ann")
			say("approved by console:bob", "approve", run, "--as", "bob")
			say("posted", "post", run, "--as", "bob")
			say("1 bills posted", "status", "--as", "bob")
			say("had anything to bill", "run", "--as", "ann")
			say("Line M", "explain", "INV-"+time.Now().Format("2006")+"-0000001")
			say("%PDF-1.7", "show", "INV-"+time.Now().Format("2006")+"-0000001")
			say("Line M", "show", "INV-"+time.Now().Format("2006")+"-0000001", "--format", "ubl")
			say("there is no bill", "show", "nobody")
			file := filepath.Join(dir, "bill.html")
			say("", "show", "INV-"+time.Now().Format("2006")+"-0000001", "--format", "html", "--output", file)
			if page, err := os.ReadFile(file); err != nil || !bytes.Contains(page, []byte("<!DOCTYPE html>")) {
				t.Errorf("%v %.100s", err, page)
			}
			say("1 of 1 bills come to the same under the present catalogue", "compare", "--run", run)
			say("account,bill,offering,product,item,name", "compare", "--run", run, "--csv")
			say("--price is OLD=NEW", "compare", "--run", run, "--price", "one")
			say("There is no productOfferingPrice", "compare", "--run", run, "--price", "one=other")
			say("Line M from 1", "preview", "--account", "anne")
			say("nothing to bill", "preview", "--account", "anne", "--today")
			say("no offering", "preview", "--account", "anne", "--offering", "nothing*2@2026-12-01")
			say("posted", "discard", run)
			say("There is no", "status", "nobody")
		})
	}
}

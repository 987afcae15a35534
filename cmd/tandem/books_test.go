package main

import (
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tandem/app"
	"tandem/bss/ledger"
	"tandem/bss/ledger/recognition"
	"tandem/kit/civil"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/store/storetest"
)

// The end of a month by hand, on the store of a stopped node.
func TestTheBooksByHand(t *testing.T) {
	for _, engine := range []store.Dialect{store.SQLite, store.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			dir, database := t.TempDir(), storetest.Config(t, engine).URL
			a, err := app.New(t.Context(), app.Config{Data: dir, Database: database, Tenant: "host", Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			march := civil.Date{Year: 2025, Month: 3, Day: 1}
			err = a.DB.Write(t.Context(), store.Scope{Tenant: "host", Actor: "test"}, func(tx *store.Tx) error {
				if err := recognition.Open(tx, recognition.Contract{ID: "c1", Entity: "acme", Account: "a1", Product: "p1", Start: march, Price: money.Amount{Minor: 2400, Currency: money.EUR},
					Obligations: []recognition.Obligation{{ID: "service", Name: "Service", SellingPrice: 2400, Over: civil.Period{From: march, To: march.AddMonths(24)}, Revenue: "4400"}}}); err != nil {
					return err
				}
				return ledger.Post(tx, ledger.Transaction{Name: "bill/1", Entity: "acme", Currency: money.EUR, Date: march, What: "Bill", Entries: []ledger.Entry{
					{Account: ledger.Receivable, Party: "a1", Amount: 1190}, {Account: ledger.Of(ledger.Revenue, "4400"), Amount: -1000}, {Account: ledger.Of(ledger.Tax, "S19"), Amount: -190}}})
			})
			a.Stop()
			if err != nil {
				t.Fatal(err)
			}
			say := func(want string, args ...string) string {
				t.Helper()
				text, err := spoken(t, func() error { return runBooks(t.Context(), append(args, "--data", dir, "--database", database)) })
				if err != nil {
					text += err.Error()
				}
				if !strings.Contains(text, want) {
					t.Fatalf("tandem books %s said %q, want %q", strings.Join(args, " "), text, want)
				}
				return text
			}
			file := filepath.Join(t.TempDir(), "march.csv")
			say("say what to do", "what")
			say("1 contracts, 1.00 EUR", "recognise", "2025-03", "--entity", "acme")
			say("no month is closed", "trial", "--date", "2025-03-31")
			say("still open", "export", "2025-03", "--out", file)
			text := say("requested, asked by console:ann", "close", "2025-03", "--as", "ann")
			id := regexp.MustCompile(`^(\w+) `).FindStringSubmatch(text)[1]
			say("another person must", "approve", id, "--as", "ann")
			say("done by console:bob", "approve", id, "--as", "bob")
			say("5 entries, debit 12.90 EUR, credit 12.90 EUR", "status")
			say("closed up to 2025-03-31", "trial")
			say("", "export", "2025-03", "--out", file, "--by", "month")
			got, err := os.ReadFile(file)
			if err != nil || strings.Count(string(got), "\n") != 6 {
				t.Fatalf("the file: %v\n%s", err, got)
			}
			sum := sha256.Sum256(got)
			again := say("total,acme,2025-03,1", "export", "2025-03", "--by", "month")
			if now := sha256.Sum256([]byte(again)); hex.EncodeToString(now[:]) != hex.EncodeToString(sum[:]) {
				t.Errorf("exported again\n%s\nwas\n%s", again, got)
			}
			say("say it", "reopen", "2025-03")
			text = say("reopen 2025-03 of acme", "reopen", "2025-03", "--reason", "Wrong bill", "--as", "bob")
			say("rejected by console:ann", "reject", regexp.MustCompile(`^(\w+) `).FindStringSubmatch(text)[1], "--as", "ann")
		})
	}
}

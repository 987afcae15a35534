package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"tandem/bss/billing"
	"tandem/bss/party"
	"tandem/kit/money"
	"tandem/kit/store"
	"tandem/kit/tmf"
)

// marker is in all names of the account that the others are copies of: eight digits.
const marker = "-00000000"

// began is when all products of the benchmark were confirmed: in the month that is billed.
var confirmed = time.Date(2026, 5, 11, 9, 30, 0, 0, time.UTC)

// charges of each account: what a household has.
var benchCharges = []struct {
	name, typ, amount string
}{{"Fibre 250", billing.Recurring, "39.95"}, {"Mobile M", billing.Recurring, "19.99"}, {"Mobile S for a child", billing.Recurring, "9.99"},
	{"Static address", billing.Recurring, "4.90"}, {"Installation", billing.OneTime, "49.00"}}

// seed makes an account by the ways that all accounts go, and the others as copies of the
// rows it has left, each under names with a number of its own.
func (b *billingRun) seed(ctx context.Context) error {
	var rows []row
	if err := b.DB.Write(ctx, scope, b.first); err != nil {
		return err
	}
	if err := b.DB.Read(ctx, scope, func(tx *store.Tx) (err error) {
		rows, err = markedRows(tx)
		return err
	}); err != nil {
		return err
	}
	const step = 5000
	for from := 1; from < b.options.Accounts; from += step {
		to := min(from+step, b.options.Accounts)
		if err := b.DB.Write(ctx, scope, func(tx *store.Tx) error { return copies(tx, rows, from, to) }); err != nil {
			return err
		}
	}
	for from := 0; from < b.options.Accounts; from += step {
		to := min(from+step, b.options.Accounts)
		if err := b.DB.Write(ctx, scope, func(tx *store.Tx) error { return usage(tx, from, to) }); err != nil {
			return err
		}
	}
	return analyse(ctx, b.DB)
}

// first makes the account that the others are copies of.
func (b *billingRun) first(tx *store.Tx) error {
	p := &party.Individual{GivenName: "Änne", FamilyName: "Großmann", ContactMedium: []party.ContactMedium{{MediumType: "postalAddress",
		Characteristic: &party.MediumCharacteristic{Street1: "Lange Straße 12", City: "Köln", PostCode: "50667", Country: "DE", EmailAddress: "aenne@example.com"}}}}
	p.ID = "person" + marker
	if err := party.Individuals.Create(tx, p); err != nil {
		return err
	}
	c := &party.Customer{Name: "Änne Großmann", EngagedParty: &tmf.RelatedParty{ID: p.ID, ReferredType: "Individual"}}
	c.ID = "customer" + marker
	if err := party.Customers.Create(tx, c); err != nil {
		return err
	}
	a := &billing.BillingAccount{Currency: "EUR", TimeZone: "Europe/Berlin", AccountTerms: billing.AccountTerms{Name: "Account of Änne Großmann",
		RelatedParty: []tmf.RelatedParty{{ID: c.ID, Name: c.Name, Role: "customer", ReferredType: "Customer"}}}}
	a.ID = "account" + marker
	if err := billing.BillingAccounts.Create(tx, a); err != nil {
		return err
	}
	for n, x := range benchCharges {
		amount, err := money.ParseRate(x.amount, money.EUR)
		if err != nil {
			return err
		}
		i := &billing.BillableItem{Name: x.name, State: billing.ItemActive, ChargeType: x.typ, ConfirmedBy: "service" + marker, From: confirmed, Amount: &amount,
			Product: &tmf.Ref{ID: fmt.Sprintf("product%s-%d", marker, n), Name: x.name, ReferredType: "Product"}, Price: &tmf.Ref{ID: fmt.Sprintf("price-%d", n), Version: "1.0"},
			ProductOffering: &tmf.Ref{ID: fmt.Sprintf("offering-%d", n), Name: x.name}, BillingAccount: &tmf.Ref{ID: a.ID, Name: a.Name, ReferredType: "BillingAccount"},
			Customer: &tmf.Ref{ID: c.ID, ReferredType: "Customer"}, ChargeWhileSuspended: billing.ChargeNone}
		i.ID = fmt.Sprintf("item%s-%d", marker, n)
		if i.PeriodUnit, i.PeriodCount = "month", 1; x.typ == billing.OneTime {
			i.PeriodUnit, i.PeriodCount, i.To, i.State = "", 0, confirmed, billing.ItemEnded
		}
		if err := billing.Items.Create(tx, i); err != nil {
			return err
		}
	}
	return book(tx)
}

// book is the tariff that the usage of the benchmark was priced by.
func book(tx *store.Tx) error {
	for _, x := range [][3]string{{"definition", "bench balance", `{"Name":"balance","Unit":3,"Priority":1000,"Main":true,"Zone":"UTC"}`},
		{"plan", "bench", `{"offering":"bench","currency":"EUR","main":1,"zone":"UTC"}`},
		{"tariff", "bench", `{"plan":2,"prices":{"name":"bench","currency":"EUR","zone":"Europe/Berlin","tax":{"percent":"19"},"rules":[
			{"name":"Data abroad","match":{"service":"data"},"class":"data.abroad","price":{"unit":"octets","amount":"0.01","per":1048576}},
			{"name":"Calls","match":{"service":"voice"},"class":"voice.national","price":{"unit":"seconds","amount":"0.06","per":60}}]}}`}} {
		tx.Insert("INSERT INTO charging_book (tenant, kind, name, from_at, doc)", x[0], x[1], 0, x[2])
	}
	return nil
}

// markedRows are the rows of all tables that have the marker in them.
func markedRows(tx *store.Tx) (out []row, err error) {
	all, err := tables(tx)
	if err != nil {
		return nil, err
	}
	own := slices.DeleteFunc(slices.Clone(passing), func(s string) bool { return s == "party_" })
	s := &stamp{prefixes: []string{marker}}
	for _, t := range all {
		if slices.ContainsFunc(own, func(p string) bool { return strings.HasPrefix(t.name, p) }) || slices.ContainsFunc(t.columns, func(c column) bool { return c.name == "seq" }) ||
			strings.HasPrefix(t.name, "billing_run") {
			continue
		}
		found, err := s.rowsOf(tx, t)
		if err != nil {
			return nil, fmt.Errorf("rows of %s: %w", t.name, err)
		}
		out = append(out, found...)
	}
	return out, nil
}

const numbered = `WITH RECURSIVE i(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM i WHERE i < %d),
	n(i, d) AS (SELECT i, substr(CAST(100000000 + i AS TEXT), 2) FROM i) `

// copies makes the accounts from and up to a number.
func copies(tx *store.Tx, rows []row, from, to int) error {
	named := strings.NewReplacer("'", "''", marker, "-' || n.d || '")
	for _, row := range rows {
		var names, values []string
		for i, c := range row.table.columns {
			names, values = append(names, c.name), append(values, c.value(tx.Dialect(), row.cells[i], named, time.Time{}, time.Time{}))
		}
		tx.System().Queue(fmt.Sprintf(numbered, from, to-1) + fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM n", row.table.name, strings.Join(names, ", "), strings.Join(values, ", ")))
	}
	return nil
}

// usage gives accounts wallets that pay afterwards, each with three uses in May.
func usage(tx *store.Tx, from, to int) error {
	over := ""
	if tx.Dialect() == store.Postgres {
		over = " OVERRIDING SYSTEM VALUE"
	}
	var tariff int64
	if err := tx.Row("SELECT number FROM charging_book WHERE tenant = $1 AND kind = 'tariff'").Scan(&tariff); err != nil {
		return err
	}
	q := func(into, values string) {
		tx.System().Queue(fmt.Sprintf(numbered, from, to-1) + "INSERT INTO " + into + " SELECT " + values + " FROM n")
	}
	q("charging_account (number, tenant, id, customer, billing_account, mode, currency, opened_at)"+over,
		fmt.Sprintf("1000 + n.i, '%s', 'wallet-' || n.d, 'customer-' || n.d, 'account-' || n.d, 1, 'EUR', 1", tenant))
	q("charging_line (tenant, product, account, subscriber, offering)", fmt.Sprintf("'%s', 'product-' || n.d || '-1', 1000 + n.i, 1, 'bench'", tenant))
	for k, u := range []struct{ rate, seconds, octets, money int64 }{{0, 0, 40 << 20, 4e8}, {1, 185, 0, 185e6}, {1, 61, 0, 61e6}} {
		at := store.Micros(confirmed) + int64(k+1)*86400e6
		q(`charging_usage (tenant, account, subscriber, service, session, part, cause, rating_group, tariff, rate, seconds, octets, octets_in, octets_out, events, money,
			called, network, first_at, last_at, shard, record, at)`,
			fmt.Sprintf("'%s', 1000 + n.i, 1, %d, 's', 1, '', 0, %d, %d, %d, %d, 0, 0, 1, %d, '', 0, %d, %d, 0, 0, %d", tenant, 1+min(k, 1), tariff, u.rate, u.seconds, u.octets, u.money, at, at, at))
	}
	return nil
}
